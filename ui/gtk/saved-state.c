/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The state is a snapshot with a name of its own. What the images looked like when it was made is written down outside
 * of them: a state may only be restored without a question when nobody has used the disks since. */
#include "config.h"

#include "ui/gtk/saved-state.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "ui/gtk/bars.h"
#include "ui/gtk/question.h"
#include "ui/gtk/report.h"
#include "ui/gtk/snapshots-private.h"

#define TAG "vitrine-closed"

/* --- whether images were used ----------------------------------------------------------------------------------- */

/* What changes when anybody writes to one; NULL: they are no files. */
static char *
look_of_images (VmSnapshots *self)
{
  g_autoptr (GString) look = g_string_new (NULL);

  for (guint i = 0; i < self->files->len; i++)
    {
      struct stat st;
      if (g_stat (self->files->pdata[i], &st) != 0 || !S_ISREG (st.st_mode))
        return NULL;
      g_string_append_printf (look, "%s %ju %jd %jd.%09ld\n", (char *) self->files->pdata[i], (uintmax_t) st.st_ino,
                              (intmax_t) st.st_size, (intmax_t) st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
  return g_string_free (g_steal_pointer (&look), FALSE);
}

/* Where that is written down. */
static char *
note_path (VmSnapshots *self)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  for (guint i = 0; i < self->files->len; i++)
    {
      g_autofree char *path = g_canonicalize_filename (self->files->pdata[i], NULL);
      g_checksum_update (sum, (const guchar *) path, (gssize) strlen (path) + 1);
    }
  return g_build_filename (g_get_user_state_dir (), "vitrine", "closed", g_checksum_get_string (sum), NULL);
}

/* Without a note the next start asks: no harm is done when it cannot be written. */
static void
note_images (VmSnapshots *self)
{
  g_autofree char *path = note_path (self), *folder = g_path_get_dirname (path), *look = look_of_images (self);

  if (look && g_mkdir_with_parents (folder, 0700) == 0)
    g_file_set_contents_full (path, look, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}

static bool
images_are_as_noted (VmSnapshots *self)
{
  g_autofree char *path = note_path (self), *look = look_of_images (self), *noted = NULL;

  return look && g_file_get_contents (path, &noted, NULL, NULL) && !strcmp (noted, look);
}

static void
forget_note (VmSnapshots *self)
{
  g_autofree char *path = note_path (self);

  g_unlink (path);
}

/* --- saving ----------------------------------------------------------------------------------------------------- */

static const Snapshot *
find_saved (VmSnapshots *self)
{
  for (guint i = 0; i < self->list->len; i++)
    if (!strcmp (((const Snapshot *) self->list->pdata[i])->name, TAG))
      return self->list->pdata[i];
  return NULL;
}

static void
go_on (VmSnapshots *self)
{
  if (self->was_running)
    vm_session_cont (self->session);
}

static void
not_saved (VmSnapshots *self, const char *why, const char *remedy)
{
  self->saving = false;
  go_on (self);
  vm_report_failure (self->parent, self->session, _ ("The machine's state was not saved."), why, remedy);
}

static void
state_saved (gpointer window, const char *error)
{
  VmSnapshots *self = vm_snapshots_of (window);

  if (!self)
    return;
  if (error)
    {
      not_saved (self, error, _ ("The machine goes on as it was."));
      return;
    }
  note_images (self);
  vm_session_quit (self->session);
}

static void
older_deleted (gpointer window, const char *error)
{
  VmSnapshots *self = vm_snapshots_of (window);

  if (self && error)
    not_saved (self, error, _ ("The machine goes on as it was."));
  else if (self)
    vm_snapshots_start (self, "snapshot-save", TAG, _ ("Saving the machine's state"), state_saved);
}

/* What is written with "snapshot=on" goes with the program, and the state would go with it. */
static bool
disks_are_kept (VmSnapshots *self)
{
  const GPtrArray *drives = vm_session_settings (self->session)->drives;
  bool kept = true;

  for (guint i = 0; i < drives->len; i++)
    kept &= !((const VmDriveSpec *) drives->pdata[i])->snapshot;
  return kept;
}

static void
save_now (VmSnapshots *self)
{
  if (self->reason)
    not_saved (self, self->reason, _ ("“vitrine-img convert -O qcow2” makes a qcow2 image of another."));
  else if (!disks_are_kept (self))
    not_saved (self, _ ("What this machine writes to its disks is not kept (-snapshot)."), NULL);
  else if (find_saved (self))
    vm_snapshots_start (self, "snapshot-delete", TAG, _ ("Saving the machine's state"), older_deleted);
  else
    older_deleted (self->parent, NULL);
}

void
vm_saved_state_save (VmSnapshots *self)
{
  if (self->saving)
    return;
  self->saving = true;
  self->was_running = vm_session_is_running (self->session);
  vm_session_stop (self->session); /* what it did between being saved and the end would be lost */
  vm_snapshots_ask (self, save_now);
}

/* --- restoring -------------------------------------------------------------------------------------------------- */

static void
drop_saved (VmSnapshots *self)
{
  forget_note (self);
  /* One that stays is asked about the next time. */
  vm_snapshots_start (self, "snapshot-delete", TAG, _ ("Deleting the saved state"), NULL);
  go_on (self);
}

static void
state_restored (gpointer window, const char *error)
{
  VmSnapshots *self = vm_snapshots_of (window);

  if (!self)
    return;
  if (!error)
    {
      drop_saved (self);
      return;
    }
  /* Nobody knows how far it came. */
  vm_session_reset (self->session);
  go_on (self);
  vm_report_failure (self->parent, self->session, _ ("The machine's state was not restored."), error,
                     _ ("The machine starts anew. What was saved is still among its snapshots."));
}

static void
do_restore (gpointer window)
{
  VmSnapshots *self = vm_snapshots_of (window);

  if (self)
    vm_snapshots_start (self, "snapshot-load", TAG, _ ("Restoring the machine's state"), state_restored);
}

static void
start_anew (gpointer window)
{
  VmSnapshots *self = vm_snapshots_of (window);

  if (self)
    drop_saved (self);
}

static char *
date_of (const Snapshot *saved)
{
  g_autoptr (GDateTime) date = g_date_time_new_from_unix_local (saved->date);

  return date ? g_date_time_format (date, "%x %X") : g_strdup ("?");
}

static void
restore_if_saved (VmSnapshots *self)
{
  const Snapshot *saved = self->reason ? NULL : find_saved (self);
  VmRunState state = vm_session_state (self->session);

  if (!saved || saved->n != self->nodes->len || !saved->size
      || (state != VM_RUN_RUNNING && state != VM_RUN_PRELAUNCH && state != VM_RUN_PAUSED))
    return;
  self->was_running = state == VM_RUN_RUNNING;
  vm_session_stop (self->session);

  g_autofree char *date = date_of (saved);
  if (images_are_as_noted (self))
    {
      /* Translators: %s is a date and a time. */
      g_autofree char *text = g_strdup_printf (_ ("The machine goes on where it was closed on %s."), date);
      vm_bars_show (self->bars, "restored", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
      do_restore (self->parent);
      return;
    }
  const VmChoice choices[] = { { _ ("_Start Anew"), start_anew }, { _ ("_Restore"), do_restore } };
  const char *format = _ ("Its state was saved on %s, and its disks may have been used since. Restoring makes memory and "
                          "disks what they were then: what was written since is lost. Starting anew drops the saved "
                          "state.");
  g_autofree char *text = g_strdup_printf (format, date);
  vm_ask (self->parent, NULL, "restore", _ ("Go on where the machine was closed?"), text, choices,
          G_N_ELEMENTS (choices), G_OBJECT (self->parent));
}

void
vm_saved_state_restore (VmSnapshots *self, GtkWidget *bars)
{
  self->bars = bars;
  if (!vm_session_settings (self->session)->loadvm)
    vm_snapshots_ask (self, restore_if_saved);
}
