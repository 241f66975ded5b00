/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What block_resize does. It would shrink a disk as well, and change one below a job that copies it: so what the disk
 * is by then is asked again before. */
#include "config.h"

#include "ui/gtk/grow.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/bars.h"
#include "ui/gtk/form.h"
#include "ui/gtk/report.h"
#include "ui/gtk/size.h"

#define MIB (INT64_C (1) << 20)
#define GIB (INT64_C (1) << 30)

typedef struct Grow
{
  VmAttach *attach;
  char *qdev, *title;
  int64_t size, taken; /* bytes of the disk, and of the host that the image takes */
  int64_t wanted;
  int64_t room; /* that the host has left; -1: not known */
  GtkWidget *spin, *host, *warning;
} Grow;

static void
grow_free (gpointer data)
{
  Grow *grow = data;

  g_free (grow->qdev);
  g_free (grow->title);
  g_free (grow);
}

/* Frees GROW. */
static void
grow_failed (Grow *grow, const char *cause, const char *remedy)
{
  g_autofree char *title = g_strdup_printf (_ ("%s was not enlarged."), grow->title);

  vm_report_failure (grow->attach->parent, grow->attach->session, title, cause, remedy);
  vm_devices_refresh (grow->attach->devices);
  grow_free (grow);
}

/* What the drive has in it, of the answer to query-block; NULL: nothing any more, GROW is freed. */
static json_object *
grow_find (Grow *grow, json_object *blocks)
{
  for (size_t i = 0; i < vm_json_length (blocks); i++)
    {
      json_object *block = json_object_array_get_idx (blocks, i), *inserted = vm_json_get (block, "inserted");
      if (inserted && !strcmp (vm_json_text (block, "qdev"), grow->qdev))
        return inserted;
    }
  grow_failed (grow, _ ("The machine does not have it any more."), NULL);
  return NULL;
}

/* --- doing it ------------------------------------------------------------------------------------------------- */

static void
grow_done (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Grow *grow = data;

  if (error)
    {
      grow_failed (grow, error->message,
                   _ ("It has the size it had. Is there a place on the host for a file so large?"));
      return;
    }
  g_autofree char *size = vm_format_size ((guint64) grow->wanted);
  /* Translators: a disk, and its size. */
  g_autofree char *text = g_strdup_printf (
      _ ("%s has %s now. Partitions and file systems on it are to be enlarged in the guest."), grow->title, size);
  vm_bars_show (grow->attach->bars, "grow", GTK_MESSAGE_INFO, text, NULL, 0, NULL);
  vm_devices_refresh (grow->attach->devices);
  grow_free (grow);
}

static void
grow_compared (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Grow *grow = data;
  json_object *inserted = grow_find (grow, result);

  if (!inserted)
    return;
  int64_t size = vm_json_number (vm_json_get (inserted, "image"), "virtual-size");
  if (size >= grow->wanted)
    {
      g_autofree char *has = vm_format_size ((guint64) size), *cause = g_strdup_printf (_ ("It has %s by now."), has);
      grow_failed (grow, cause, NULL);
      return;
    }
  vm_call (grow->attach->session, owner, "block_resize",
           vm_json_dict ("node-name", VM_TEXT (vm_json_text (inserted, "node-name")), "size",
                         json_object_new_int64 (grow->wanted), NULL),
           grow_done, grow);
}

static void
grow_knows_jobs (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Grow *grow = data;

  if (vm_jobs_work (result))
    grow_failed (grow, _ ("A job works on disks, which it began with at their old size."),
                 _ ("Wait until it has ended, or cancel it."));
  else
    vm_call (grow->attach->session, owner, "query-block", NULL, grow_compared, grow);
}

/* --- asking for the size -------------------------------------------------------------------------------------- */

static void
grow_answered (GtkDialog *dialog, int response, Grow *grow)
{
  VmAttach *attach = grow->attach;

  if (response == GTK_RESPONSE_ACCEPT && g_object_get_data (G_OBJECT (attach->parent), "vitrine-attach"))
    {
      gtk_spin_button_update (GTK_SPIN_BUTTON (grow->spin));
      int64_t bytes = (int64_t) (gtk_spin_button_get_value (GTK_SPIN_BUTTON (grow->spin)) * (double) GIB);
      grow->wanted = (bytes + MIB - 1) / MIB * MIB;
      vm_call (attach->session, attach->parent, "query-block-jobs", NULL, grow_knows_jobs,
               g_object_steal_data (G_OBJECT (dialog), "grow"));
    }
  gtk_widget_destroy (GTK_WIDGET (dialog));
}

/* While it is typed, too: the value follows only then. */
static void
size_changed (GtkEntry *spin, Grow *grow)
{
  double more = g_strtod (gtk_entry_get_text (spin), NULL) * (double) GIB - (double) grow->taken;
  bool scarce = grow->room >= 0 && more > (double) grow->room;

  if (grow->room >= 0)
    {
      g_autofree char *room = vm_format_size ((guint64) grow->room);
      g_autofree char *text = g_strdup_printf (
          scarce ? _ ("The host has %s left, which is less than the disk may come to take. When that "
                      "is used up, the machine stops until there is room.")
                 : _ ("The host has %s left."),
          room);
      gtk_label_set_text (GTK_LABEL (grow->host), text);
    }
  gtk_widget_set_visible (grow->host, grow->room >= 0);
  gtk_widget_set_visible (grow->warning, scarce);
}

static void
got_room (GObject *file, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GFileInfo) info = g_file_query_filesystem_info_finish (G_FILE (file), result, &error);
  Grow *grow = user_data; /* gone if it was cancelled */

  if (!info || !g_file_info_has_attribute (info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE))
    return;
  grow->room = (int64_t) MIN (g_file_info_get_attribute_uint64 (info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE), INT64_MAX);
  size_changed (GTK_ENTRY (grow->spin), grow);
}

/* Of the file system that FILE is in, asked aside: it may be far away. */
static void
ask_room (Grow *grow, GtkWidget *dialog, const char *file)
{
  g_autofree char *scheme = g_uri_parse_scheme (file);
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();

  if (scheme)
    return; /* no file of this host */
  g_autoptr (GFile) place = g_file_new_for_path (file);
  g_signal_connect_object (dialog, "destroy", G_CALLBACK (g_cancellable_cancel), cancellable, G_CONNECT_SWAPPED);
  g_file_query_filesystem_info_async (place, G_FILE_ATTRIBUTE_FILESYSTEM_FREE, G_PRIORITY_DEFAULT, cancellable,
                                      got_room, grow);
}

static GtkWidget *
make_spin (const Grow *grow)
{
  /* At least a MiB more; the next whole GiB is offered. */
  GtkWidget *spin = gtk_spin_button_new_with_range ((double) (grow->size / MIB + 1) * MIB / (double) GIB,
                                                    (double) (INT64_MAX / GIB - 1), 1);

  gtk_spin_button_set_digits (GTK_SPIN_BUTTON (spin), 2);
  gtk_spin_button_set_numeric (GTK_SPIN_BUTTON (spin), TRUE);
  gtk_spin_button_set_value (GTK_SPIN_BUTTON (spin), (double) (grow->size / GIB + 1));
  gtk_entry_set_width_chars (GTK_ENTRY (spin), 12);
  atk_object_set_name (gtk_widget_get_accessible (spin), _ ("New size in GiB"));
  gtk_entry_set_activates_default (GTK_ENTRY (spin), TRUE);
  return spin;
}

static GtkWidget *
make_fields (Grow *grow, const char *file)
{
  GtkWidget *grid = gtk_grid_new (), *size = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  g_autofree char *now = vm_format_size ((guint64) grow->size), *base = g_path_get_basename (file);
  g_autofree char *shown = g_filename_display_name (base);
  GtkWidget *image = gtk_label_new (shown);

  gtk_label_set_ellipsize (GTK_LABEL (image), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_max_width_chars (GTK_LABEL (image), 45);
  grow->spin = make_spin (grow);
  gtk_box_pack_start (GTK_BOX (size), grow->spin, FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (size), gtk_label_new (_ ("GiB")), FALSE, FALSE, 0);
  vm_form_add_row (GTK_GRID (grid), 0, _ ("Image:"), image);
  vm_form_add_row (GTK_GRID (grid), 1, _ ("Size now:"), gtk_label_new (now));
  vm_form_add_row (GTK_GRID (grid), 2, _ ("_New size:"), size);
  gtk_label_set_mnemonic_widget (GTK_LABEL (gtk_grid_get_child_at (GTK_GRID (grid), 0, 2)), grow->spin);
  return grid;
}

static void
grow_ask (Grow *grow, const char *file)
{
  GtkWidget *dialog = vm_form_new (grow->attach->parent, _ ("Grow Disk"), _ ("_Grow"));
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog)),
            *host = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 6);
  g_autofree char *taken = vm_format_size ((guint64) grow->taken);
  g_autofree char *image = g_strdup_printf (
      grow->taken < grow->size ? _ ("The image is sparse: it takes %s of the host, and more only as the guest writes.")
                               : _ ("The image takes %s of the host, and for what is added only as the guest writes."),
      taken);

  grow->host = vm_form_note (NULL);
  grow->warning = gtk_image_new_from_icon_name ("dialog-warning-symbolic", GTK_ICON_SIZE_MENU);
  atk_object_set_name (gtk_widget_get_accessible (grow->warning), _ ("Warning"));
  gtk_widget_set_valign (grow->warning, GTK_ALIGN_START);
  gtk_widget_set_no_show_all (grow->host, TRUE);
  gtk_widget_set_no_show_all (grow->warning, TRUE);
  gtk_box_pack_start (GTK_BOX (host), grow->warning, FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (host), grow->host, FALSE, FALSE, 0);
  GtkWidget *title = vm_form_note (grow->title), *fields = make_fields (grow, file);
  GtkWidget *parts[]
      = { title, fields, vm_form_note (image), host,
          vm_form_note (_ ("Partitions and file systems on it are to be enlarged in the guest then: on Linux by "
                           "“growpart” and “resize2fs”, on Windows in the Disk Management. Some guests see the "
                           "new size only when they are started again.")) };
  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    gtk_box_pack_start (GTK_BOX (box), parts[i], FALSE, FALSE, 0);
  g_object_set_data_full (G_OBJECT (dialog), "grow", grow, grow_free);
  g_signal_connect (grow->spin, "changed", G_CALLBACK (size_changed), grow);
  g_signal_connect (dialog, "response", G_CALLBACK (grow_answered), grow);
  ask_room (grow, dialog, file);
  gtk_widget_show_all (box);
  gtk_widget_grab_focus (grow->spin);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
grow_measured (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  Grow *grow = data;
  json_object *inserted = grow_find (grow, result), *image = vm_json_get (inserted, "image");

  if (!inserted)
    return;
  grow->size = vm_json_number (image, "virtual-size");
  grow->taken = vm_json_number (image, "actual-size");
  grow_ask (grow, vm_json_text (inserted, "file"));
}

void
vm_grow_show (VmAttach *attach, const char *qdev)
{
  const VmMedium *medium = vm_devices_find_medium (attach->devices, qdev);
  Grow *grow = g_new0 (Grow, 1);
  g_autofree char *why = medium ? vm_medium_no_growth (medium) : NULL;

  *grow = (Grow){
    .attach = attach, .qdev = g_strdup (qdev), .title = medium ? vm_medium_title (medium) : g_strdup (qdev), .room = -1
  };
  if (why)
    grow_failed (grow, why,
                 _ ("“vitrine-img convert” and “vitrine-img resize” make other images while no machine has them."));
  else
    vm_call (attach->session, attach->parent, "query-block", NULL, grow_measured, grow);
}
