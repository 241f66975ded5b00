/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sequences of monitor commands, each step taken when the one before was answered. */
#include "config.h"

#include "ui/gtk/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/agent/agent.h"
#include "ui/gtk/bars.h"
#include "ui/gtk/iso.h"
#include "ui/gtk/question.h"
#include "ui/gtk/report.h"
#include "ui/gtk/size.h"

/* --- probing -------------------------------------------------------------------------------------------------- */

typedef struct Probe
{
  VmAttach *attach;
  char *path, *drive;
  VmProbed func;
  gpointer data;
  char *format, *error;
  int64_t size;
} Probe;

static void
probe_finish (Probe *probe)
{
  probe->func (probe->data, probe->format, probe->size, probe->error);
  g_free (probe->path);
  g_free (probe->drive);
  g_free (probe->format);
  g_free (probe->error);
  g_free (probe);
}

static void
probe_removed (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  probe_finish (data);
}

static void
probe_looked (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Probe *probe = data;

  for (size_t i = 0; i < vm_json_length (result); i++)
    {
      json_object *block = json_object_array_get_idx (result, i), *inserted = vm_json_get (block, "inserted");
      if (strcmp (vm_json_text (block, "device"), probe->drive) != 0 || !inserted)
        continue;
      probe->format = g_strdup (vm_json_text (inserted, "drv"));
      probe->size = vm_json_number (vm_json_get (inserted, "image"), "virtual-size");
    }
  if (!probe->format && !probe->error)
    probe->error = g_strdup (_ ("It was gone before its format was found."));
  g_autofree char *line = g_strdup_printf ("drive_del %s", probe->drive);
  vm_call_hmp (probe->attach->session, probe->attach->parent, line, probe_removed, probe);
}

static void
probe_opened (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Probe *probe = data;
  const char *said = result ? json_object_get_string (result) : "";

  if (g_str_has_prefix (said, "OK"))
    {
      vm_call (probe->attach->session, owner, "query-block", NULL, probe_looked, probe);
      return;
    }
  probe->error = g_strdup (g_str_has_prefix (said, "Error: ") ? said + strlen ("Error: ") : said);
  g_strstrip (probe->error);
  probe_finish (probe);
}

void
vm_attach_probe (VmAttach *attach, const char *path, VmProbed func, gpointer data)
{
  Probe *probe = g_new0 (Probe, 1);

  *probe = (Probe){ .attach = attach, .path = g_strdup (path), .func = func, .data = data };
  if (!g_utf8_validate (path, -1, NULL))
    {
      probe->error = g_strdup (_ ("Its name is not in UTF-8."));
      probe_finish (probe);
      return;
    }
  probe->drive = g_strdup_printf ("probe%u", attach->serial++);
  g_auto (GStrv) parts = g_strsplit (path, ",", -1);
  g_autofree char *doubled = g_strjoinv (",,", parts);
  g_autofree char *options
      = g_strdup_printf ("if=none,id=%s,read-only=on,force-share=on,file=%s", probe->drive, doubled);
  g_autofree char *word = vm_hmp_word (options), *line = g_strdup_printf ("drive_add 0 %s", word);
  vm_call_hmp (attach->session, attach->parent, line, probe_opened, probe);
}

/* --- media ---------------------------------------------------------------------------------------------------- */

typedef struct Insert
{
  VmAttach *attach;
  char *qdev, *path, *format;
  bool force;
} Insert;

static void
insert_free (Insert *insert)
{
  g_free (insert->qdev);
  g_free (insert->path);
  g_free (insert->format);
  g_free (insert);
}

static char *
drive_title (VmAttach *attach, const char *qdev)
{
  VmMedium *media = vm_devices_find_medium (attach->devices, qdev);

  return media ? vm_medium_title (media) : g_strdup (qdev);
}

static void insert_go (Insert *insert);

static void
force_insert (gpointer window)
{
  Insert *insert = g_object_steal_data (window, "vitrine-insert");

  if (!insert)
    return;
  insert->force = true;
  insert_go (insert);
}

/* Kept with the window while something is asked; a later one takes its place. */
static void
insert_keep (Insert *insert)
{
  g_object_set_data_full (G_OBJECT (insert->attach->parent), "vitrine-insert", insert, (GDestroyNotify) insert_free);
}

static void
ask_force_insert (Insert *insert)
{
  const VmChoice choice = { _ ("_Open by Force"), force_insert };
  g_autofree char *title = drive_title (insert->attach, insert->qdev);
  g_autofree char *text = g_strdup_printf (_ ("%s is locked by the guest, which may be reading what is in it."), title);

  insert_keep (insert);
  vm_ask (insert->attach->parent, insert->attach->preferences, "force-tray", _ ("Open the locked drive?"), text,
          &choice, 1, G_OBJECT (insert->attach->parent));
}

static void
insert_done (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Insert *insert = data;

  vm_devices_refresh (insert->attach->devices);
  if (error && strstr (error->message, "is locked") && !insert->force)
    {
      ask_force_insert (insert);
      return;
    }
  if (error)
    {
      g_autofree char *shown = g_filename_display_basename (insert->path);
      g_autofree char *title = g_strdup_printf (_ ("“%s” was not inserted."), shown);
      vm_report_failure (insert->attach->parent, insert->attach->session, title, error->message,
                         _ ("Is the file there, and may you read it?"));
    }
  insert_free (insert);
}

static void
insert_go (Insert *insert)
{
  VmMedium *media = vm_devices_find_medium (insert->attach->devices, insert->qdev);
  json_object *args = vm_json_dict ("id", VM_TEXT (insert->qdev), "filename", VM_TEXT (insert->path), "format",
                                    VM_TEXT (insert->format), "force", VM_FLAG (insert->force), NULL);

  if (media && media->kind != VM_MEDIUM_CD)
    json_object_object_add (args, "read-only-mode",
                            VM_TEXT (g_access (insert->path, W_OK) == 0 ? "read-write" : "read-only"));
  vm_call (insert->attach->session, insert->attach->parent, "blockdev-change-medium", args, insert_done, insert);
}

static void
insert_probed (gpointer data, const char *format, int64_t size, const char *error)
{
  Insert *insert = data;

  if (format)
    {
      insert->format = g_strdup (format);
      insert_go (insert);
      return;
    }
  g_autofree char *shown = g_filename_display_basename (insert->path);
  g_autofree char *title = g_strdup_printf (_ ("“%s” was not inserted."), shown);
  vm_report_failure (insert->attach->parent, insert->attach->session, title, error, NULL);
  insert_free (insert);
}

static void
insert_start (gpointer window)
{
  Insert *insert = g_object_steal_data (window, "vitrine-insert");

  if (!insert)
    return;
  if (insert->format)
    insert_go (insert);
  else
    vm_attach_probe (insert->attach, insert->path, insert_probed, insert);
}

void
vm_attach_insert (VmAttach *attach, const char *qdev, const char *path, const char *format, bool ask)
{
  const VmChoice choice = { _ ("_Replace"), insert_start };
  VmMedium *media = vm_devices_find_medium (attach->devices, qdev);
  Insert *insert = g_new0 (Insert, 1);

  *insert = (Insert){ attach, g_strdup (qdev), g_strdup (path), g_strdup (format), false };
  insert_keep (insert);
  if (!ask || !media || !media->file)
    {
      insert_start (attach->parent);
      return;
    }
  g_autofree char *drive = vm_medium_title (media), *old = g_path_get_basename (media->file);
  g_autofree char *text = g_strdup_printf (_ ("%s has “%s” in it, which would be taken out."), drive, old);
  vm_ask (attach->parent, attach->preferences, "replace-medium", _ ("Replace what is in the drive?"), text, &choice, 1,
          G_OBJECT (attach->parent));
}

typedef struct Eject
{
  VmAttach *attach;
  char *qdev;
  bool force;
} Eject;

static void
eject_free (gpointer data)
{
  Eject *eject = data;

  g_free (eject->qdev);
  g_free (eject);
}

static void eject_go (Eject *eject);

static void
force_eject (gpointer window)
{
  Eject *eject = g_object_steal_data (window, "vitrine-eject");

  if (!eject)
    return;
  eject->force = true;
  eject_go (eject);
}

static void
eject_done (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Eject *eject = data;
  VmAttach *attach = eject->attach;

  vm_devices_refresh (attach->devices);
  if (error && strstr (error->message, "is locked") && !eject->force)
    {
      const VmChoice choice = { _ ("_Eject by Force"), force_eject };
      g_autofree char *title = drive_title (attach, eject->qdev);
      g_autofree char *text
          = g_strdup_printf (_ ("%s is locked by the guest, which may be reading what is in it. It has "
                                "been asked to let go; if it does, eject again."),
                             title);
      g_object_set_data_full (G_OBJECT (attach->parent), "vitrine-eject", eject, eject_free);
      vm_ask (attach->parent, attach->preferences, "force-tray", _ ("Open the locked drive?"), text, &choice, 1,
              G_OBJECT (attach->parent));
      return;
    }
  if (error)
    vm_report_failure (attach->parent, attach->session, _ ("The drive was not emptied."), error->message, NULL);
  eject_free (eject);
}

static void
eject_go (Eject *eject)
{
  vm_call (eject->attach->session, eject->attach->parent, "eject",
           vm_json_dict ("id", VM_TEXT (eject->qdev), "force", VM_FLAG (eject->force), NULL), eject_done, eject);
}

void
vm_attach_eject (VmAttach *attach, const char *qdev)
{
  Eject *eject = g_new0 (Eject, 1);

  *eject = (Eject){ attach, g_strdup (qdev), false };
  eject_go (eject);
}

/* --- disks ---------------------------------------------------------------------------------------------------- */

const char *
vm_attach_no_disk (VmAttach *attach)
{
  const char *bus;

  return vm_devices_disk_driver (attach->devices, &bus) ? NULL
                                                        : _ ("No bus of this machine takes disks while it is on: that "
                                                             "of “-machine pc” or a “virtio-scsi-pci” does.");
}

const char *
vm_attach_no_cd (VmAttach *attach)
{
  const char *bus;

  return vm_devices_first_medium (attach->devices, VM_MEDIUM_CD) || vm_devices_cd_driver (attach->devices, &bus)
             ? NULL
             : _ ("This machine has no CD drive and no bus that takes one while it is on.");
}

typedef struct Disk
{
  VmAttach *attach;
  char *path, *format, *node;
  char *label; /* of a folder's file system */
  const char *driver;
  bool folder, readonly, cd;
} Disk;

static void
disk_free (Disk *disk)
{
  g_free (disk->path);
  g_free (disk->format);
  g_free (disk->node);
  g_free (disk->label);
  g_free (disk);
}

static Disk *
disk_new (VmAttach *attach, const char *path, const char *format)
{
  Disk *disk = g_new0 (Disk, 1);

  *disk = (Disk){ .attach = attach, .path = g_strdup (path), .format = g_strdup (format) };
  return disk;
}

static void
disk_failed (Disk *disk, const char *cause)
{
  g_autofree char *shown = g_filename_display_basename (disk->path);
  g_autofree char *title = g_strdup_printf (_ ("“%s” was not attached."), shown);

  vm_report_failure (disk->attach->parent, disk->attach->session, title, cause,
                     disk->folder ? NULL : _ ("The file is as it was."));
  disk_free (disk);
}

/* "PHOTOS-1": what Windows shows and Linux goes by; unlike that of any other share of this machine, and 11 characters
 * at most (FAT). */
static char *
make_label (const char *path, unsigned number)
{
  g_autofree char *base = g_path_get_basename (path), *tail = g_strdup_printf ("-%u", number);
  GString *label = g_string_new (NULL);
  size_t room = 11 - strlen (tail);

  for (const char *at = base; *at && label->len < room; at++)
    if (g_ascii_isalnum (*at))
      g_string_append_c (label, g_ascii_toupper (*at));
  if (!label->len)
    g_string_append (label, "SHARE");
  g_string_truncate (label, room);
  return g_string_free (g_string_append (label, tail), FALSE);
}

static void
copy_mount_line (gpointer bars)
{
  const char *line = g_object_get_data (bars, "vitrine-mount-line");

  gtk_clipboard_set_text (gtk_widget_get_clipboard (bars, GDK_SELECTION_CLIPBOARD), line, -1);
}

/* A folder is of use to those who know how to get at it. */
static void
tell_share (Disk *disk)
{
  const VmMedium medium = { .label = disk->label, .readonly = true };
  const VmChoice copy = { _ ("Copy _Mount Line"), copy_mount_line };
  g_autofree char *shown = g_filename_display_basename (disk->path), *line = vm_medium_mount_line (&medium);
  /* Translators: a folder, a kind of disk, a command line. */
  g_autofree char *text
      = g_strdup_printf (_ ("The folder “%s” is a disk now (%s), which the guest can only read. Windows and "
                            "macOS show it as a drive of its own; in Linux type: %s"),
                         shown, disk->driver, line);

  vm_bars_show (disk->attach->bars, "attach", GTK_MESSAGE_INFO, text, &copy, 1, disk->attach->bars);
  g_object_set_data_full (G_OBJECT (disk->attach->bars), "vitrine-mount-line", g_steal_pointer (&line), g_free);
}

static void
disk_plugged (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Disk *disk = data;
  g_autofree char *shown = g_filename_display_basename (disk->path);

  vm_devices_refresh (disk->attach->devices);
  if (error)
    {
      vm_call (disk->attach->session, owner, "blockdev-del", vm_json_dict ("node-name", VM_TEXT (disk->node), NULL),
               NULL, NULL);
      disk_failed (disk, error->message);
      return;
    }
  if (disk->folder)
    {
      tell_share (disk);
      disk_free (disk);
      return;
    }
  g_autofree char *text
      = disk->cd ? g_strdup_printf (_ ("“%s” is in a new CD drive (%s)."), shown, disk->driver)
        : disk->readonly
            ? g_strdup_printf (_ ("“%s” is a disk now (%s, %s), which the guest can only read: it is in use, or you "
                                  "may not write it."),
                               shown, disk->driver, disk->format)
            : g_strdup_printf (_ ("“%s” is a disk now (%s, %s)."), shown, disk->driver, disk->format);
  vm_bars_show (disk->attach->bars, "attach", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
  disk_free (disk);
}

static void
disk_plug (Disk *disk)
{
  const char *bus;

  disk->driver = disk->cd ? vm_devices_cd_driver (disk->attach->devices, &bus)
                          : vm_devices_disk_driver (disk->attach->devices, &bus);
  if (!disk->driver)
    {
      disk_failed (disk, disk->cd ? vm_attach_no_cd (disk->attach) : vm_attach_no_disk (disk->attach));
      return;
    }
  g_autofree char *id = g_strconcat ("dev-", disk->node, NULL);
  vm_call (disk->attach->session, disk->attach->parent, "device_add",
           vm_json_dict ("driver", VM_TEXT (disk->driver), "id", VM_TEXT (id), "drive", VM_TEXT (disk->node), "bus",
                         VM_TEXT (bus), NULL),
           disk_plugged, disk);
}

static void disk_open (Disk *disk);

static void
disk_opened (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Disk *disk = data;

  if (!error)
    {
      disk_plug (disk);
    }
  else if (!disk->readonly)
    {
      /* Locked by somebody, or not ours to write. */
      disk->readonly = true;
      disk_open (disk);
    }
  else
    {
      disk_failed (disk, error->message);
    }
}

static void
disk_open (Disk *disk)
{
  struct stat st;
  json_object *file;

  g_free (disk->node);
  disk->node = g_strdup_printf ("added%u", disk->attach->serial++);
  if (disk->folder)
    {
      g_free (disk->label);
      disk->label = make_label (disk->path, disk->attach->serial);
      file = vm_json_dict ("driver", VM_TEXT ("vvfat"), "dir", VM_TEXT (disk->path), "label", VM_TEXT (disk->label),
                           NULL);
    }
  else
    file = vm_json_dict ("driver",
                         VM_TEXT (stat (disk->path, &st) == 0 && S_ISBLK (st.st_mode) ? "host_device" : "file"),
                         "filename", VM_TEXT (disk->path), NULL);
  vm_call (disk->attach->session, disk->attach->parent, "blockdev-add",
           vm_json_dict ("node-name", VM_TEXT (disk->node), "driver", VM_TEXT (disk->format), "read-only",
                         VM_FLAG (disk->readonly), "file", file, NULL),
           disk_opened, disk);
}

static void
disk_probed (gpointer data, const char *format, int64_t size, const char *error)
{
  Disk *disk = data;

  if (!format)
    {
      disk_failed (disk, error);
      return;
    }
  disk->format = g_strdup (format);
  disk_open (disk);
}

void
vm_attach_disk (VmAttach *attach, const char *path, const char *format)
{
  Disk *disk = disk_new (attach, path, format);

  if (vm_attach_no_disk (attach))
    disk_failed (disk, vm_attach_no_disk (attach));
  else if (format)
    disk_open (disk);
  else
    vm_attach_probe (attach, path, disk_probed, disk);
}

void
vm_attach_folder (VmAttach *attach, const char *path)
{
  Disk *disk = disk_new (attach, path, "raw");

  disk->folder = disk->readonly = true;
  if (vm_attach_no_disk (attach))
    disk_failed (disk, vm_attach_no_disk (attach));
  else
    disk_open (disk);
}

void
vm_attach_cd_drive (VmAttach *attach, const char *path)
{
  Disk *disk = disk_new (attach, path, "raw");

  disk->cd = disk->readonly = true;
  disk_open (disk);
}

/* --- files on a CD ---------------------------------------------------------------------------------------------- */

typedef struct Send
{
  char **paths;
  char *image;
} Send;

static void
send_free (gpointer data)
{
  Send *send = data;

  g_strfreev (send->paths);
  g_free (send->image);
  g_free (send);
}

/* A file for the image, where only we may look. */
static int
make_image (char **path, GError **error)
{
  g_autofree char *folder = g_build_filename (g_get_user_cache_dir (), "vitrine", NULL);
  int fd;

  *path = g_build_filename (folder, "files-XXXXXX.iso", NULL);
  if (g_mkdir_with_parents (folder, 0700) < 0 || (fd = g_mkstemp_full (*path, O_RDWR | O_CLOEXEC, 0600)) < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), _ ("“%s” cannot be written: %s."), folder,
                   g_strerror (errno));
      return -1;
    }
  return fd;
}

static void
send_run (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  Send *send = task_data;
  GError *error = NULL;
  int fd = make_image (&send->image, &error);
  bool ok = fd >= 0 && vm_iso_write (fd, (const char *const *) send->paths, "FILES", cancellable, &error);

  if (fd >= 0)
    close (fd);
  if (ok)
    {
      g_task_return_pointer (task, g_strdup (send->image), g_free);
      return;
    }
  if (fd >= 0)
    g_unlink (send->image);
  g_task_return_error (task, error);
}

static void
send_done (GObject *window, GAsyncResult *result, gpointer data)
{
  VmAttach *attach = g_object_get_data (window, "vitrine-attach");
  g_autoptr (GError) error = NULL;
  g_autofree char *image = g_task_propagate_pointer (G_TASK (result), &error);

  if (!attach)
    {
      if (image)
        g_unlink (image);
      return; /* the window has gone */
    }
  vm_bars_hide (attach->bars, "send");
  if (!image)
    {
      if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        vm_report_failure (attach->parent, attach->session, _ ("The files were not put on a CD."), error->message,
                           NULL);
      return;
    }
  g_ptr_array_add (attach->made, g_strdup (image));
  VmMedium *drive = vm_devices_first_medium (attach->devices, VM_MEDIUM_CD);
  if (drive)
    vm_attach_insert (attach, drive->qdev, image, "raw", true);
  else
    vm_attach_cd_drive (attach, image);
}

static void
send_cancel (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
}

void
vm_attach_send (VmAttach *attach, const char *const *paths)
{
  const VmChoice cancel = { _ ("_Cancel"), send_cancel };
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Send *send = g_new0 (Send, 1);

  if (vm_attach_no_cd (attach))
    {
      vm_report_failure (attach->parent, attach->session, _ ("The files were not put on a CD."),
                         vm_attach_no_cd (attach), NULL);
      g_free (send);
      return;
    }
  send->paths = g_strdupv ((char **) paths);
  guint n = g_strv_length (send->paths);
  g_autofree char *text = g_strdup_printf (ngettext ("Putting %u file on a CD…", "Putting %u files on a CD…", n), n);
  vm_bars_show (attach->bars, "send", GTK_MESSAGE_OTHER, text, &cancel, 1, cancellable);
  g_object_set_data_full (G_OBJECT (attach->bars), "vitrine-send", g_object_ref (cancellable), g_object_unref);
  g_autoptr (GTask) task = g_task_new (attach->parent, cancellable, send_done, NULL);
  g_task_set_task_data (task, send, send_free);
  g_task_run_in_thread (task, send_run);
}

/* --- files for the agent ------------------------------------------------------------------------------------------ */

#define COPY_SHOW_US 1000000 /* between two looks at how far it is */

typedef struct Copy
{
  VmAttach *attach;
  VmAgentFiles *files;
  gint64 shown;
} Copy;

static void
copy_free (gpointer data)
{
  Copy *copy = data;

  vm_agent_files_free (copy->files);
  g_free (copy);
}

static void
copy_cancel (gpointer opaque)
{
  Copy *copy = g_object_get_data (opaque, "vitrine-copy");

  if (copy)
    vm_agent_files_cancel (copy->files);
}

static void
copy_show (Copy *copy, const VmAgentProgress *progress)
{
  const VmChoice cancel = { _ ("_Cancel"), copy_cancel };
  g_autofree char *sent = vm_format_size (progress->sent), *total = vm_format_size (progress->total);
  /* Translators: a file's name; bytes so far, and of all. */
  g_autofree char *text
      = g_strdup_printf (_ ("Copying “%s” to the guest: %s of %s"), progress->name ? progress->name : "", sent, total);

  copy->shown = g_get_monotonic_time ();
  vm_bars_show (copy->attach->bars, "copy", GTK_MESSAGE_OTHER, text, &cancel, 1, copy->attach->parent);
}

static void
copy_told (VmAgentFiles *files, const VmAgentProgress *progress, void *opaque)
{
  Copy *copy = opaque;
  VmAttach *attach = copy->attach;

  if (!progress->ended)
    {
      if (g_get_monotonic_time () - copy->shown > COPY_SHOW_US)
        copy_show (copy, progress);
      return;
    }
  vm_bars_hide (attach->bars, "copy");
  if (!progress->error)
    {
      g_autofree char *text = g_strdup_printf (
          ngettext ("The guest has %u file more.", "The guest has %u files more.", progress->n_files),
          progress->n_files);
      vm_bars_show (attach->bars, "copy", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
    }
  else if (!g_error_matches (progress->error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    vm_report_failure (attach->parent, attach->session, _ ("The files were not copied."), progress->error->message,
                       NULL);
  g_object_set_data (G_OBJECT (attach->parent), "vitrine-copy", NULL); /* and COPY */
}

void
vm_attach_copy (VmAttach *attach, const char *const *paths)
{
  Copy *copy = g_new0 (Copy, 1);

  if (!vm_devices_agent_takes_files (attach->devices) || g_object_get_data (G_OBJECT (attach->parent), "vitrine-copy"))
    {
      vm_report_failure (attach->parent, attach->session, _ ("The files were not copied."),
                         vm_devices_agent_takes_files (attach->devices)
                             ? _ ("Others are being copied.")
                             : _ ("The guest has no agent that takes files."),
                         NULL);
      g_free (copy);
      return;
    }
  copy->attach = attach;
  copy->shown = g_get_monotonic_time ();
  copy->files = vm_agent_send_files (vm_session_display (attach->session), paths, NULL, copy_told, copy);
  g_object_set_data_full (G_OBJECT (attach->parent), "vitrine-copy", copy, copy_free);
}
