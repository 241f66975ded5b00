/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was dragged in is looked at as soon as it is over the window, so that zones which cannot take it say so. Nothing
 * is done before the drop, and nothing to the files themselves at any time. */
#include "config.h"

#include "ui/gtk/drop.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/file-kind.h"
#include "ui/gtk/preferences.h"
#include "ui/gtk/report.h"

#define FILES_MAX 200

typedef enum Act
{
  ACT_NONE,
  ACT_CD,
  ACT_DISK,
  ACT_COPY,
  ACT_FOLDER,
  ACT_FLOPPY,
  ACT_NEW_CD,
  N_ACTS
} Act;

/* As "do not ask again" remembers them. */
static const char *const act_names[N_ACTS] = { "none", "cd", "disk", "copy", "folder", "floppy", "new-cd" };
static const char *const kind_names[]
    = { "unreadable", "folder", "iso", "image", "raw", "floppy", "kernel", "archive", "other" };

static const Act zone_acts[] = { ACT_CD, ACT_DISK, ACT_COPY, ACT_FOLDER };
#define ZONES G_N_ELEMENTS (zone_acts)

typedef struct Zone
{
  GtkWidget *box, *label, *reason;
  bool possible;
} Zone;

typedef struct Drop
{
  VmAttach *attach;
  GtkWidget *overlay, *grid;
  Zone zones[ZONES];
  GPtrArray *files;          /* VmFileInfo *, as they are known */
  guint waiting;             /* for what is to be looked at */
  GCancellable *cancellable; /* of those; NULL: nothing is dragged */
  char *refused;             /* why nothing of it can be taken; NULL: it can */
  bool dropping;             /* the data that comes is that of the drop */
  bool dropped;
  int zone;              /* of the drop; -1: none */
  GdkModifierType state; /* at the drop */
  guint hide;            /* idle: the pointer has left */
} Drop;

static void drop_decide (Drop *drop);

/* --- what can be done -----------------------------------------------------------------------------------------------
 */

/* Why ACT cannot be done with INFO; NULL: it can. */
static const char *
act_refused (Drop *drop, const VmFileInfo *info, Act act)
{
  bool image = info->kind == VM_FILE_IMAGE || info->kind == VM_FILE_RAW || info->kind == VM_FILE_FLOPPY
               || info->kind == VM_FILE_ISO;

  if (info->kind == VM_FILE_UNREADABLE)
    return info->error ? info->error : _ ("It cannot be read.");
  switch (act)
    {
    case ACT_CD:
      return !image ? _ ("This is no disc image.") : vm_attach_no_cd (drop->attach);
    case ACT_DISK:
      if (info->kind == VM_FILE_FOLDER)
        return _ ("This is a folder.");
      if (info->kind == VM_FILE_ARCHIVE)
        return _ ("This is packed: unpack it first.");
      if (info->kind == VM_FILE_KERNEL)
        return _ ("This is a kernel, which “-kernel” starts.");
      return vm_attach_no_disk (drop->attach);
    case ACT_COPY:
      if (info->kind == VM_FILE_FOLDER)
        return _ ("This is a folder.");
      return vm_devices_agent_takes_files (drop->attach->devices) ? NULL
                                                                  : _ ("The guest has no agent that takes files.");
    case ACT_FOLDER:
      return info->kind != VM_FILE_FOLDER ? _ ("This is no folder.") : vm_attach_no_disk (drop->attach);
    case ACT_FLOPPY:
      if (info->kind != VM_FILE_FLOPPY && info->kind != VM_FILE_IMAGE)
        return _ ("This is no floppy image.");
      return vm_devices_first_medium (drop->attach->devices, VM_MEDIUM_FLOPPY)
                 ? NULL
                 : _ ("This machine has no floppy drive.");
    case ACT_NEW_CD:
      return info->kind == VM_FILE_FOLDER ? _ ("This is a folder.") : vm_attach_no_cd (drop->attach);
    default:
      return NULL;
    }
}

static const char *
act_label (Act act)
{
  switch (act)
    {
    case ACT_CD:
      return _ ("Insert as CD");
    case ACT_DISK:
      return _ ("Attach as disk");
    case ACT_COPY:
      return _ ("Copy to guest");
    case ACT_FOLDER:
      return _ ("Share folder");
    case ACT_FLOPPY:
      return _ ("Insert as floppy");
    case ACT_NEW_CD:
      return _ ("Put on a new CD");
    default:
      return _ ("Leave alone");
    }
}

/* The zone of discs takes files that are none, too: on a new one. */
static Act
act_of_zone (int zone, const VmFileInfo *info)
{
  Act act = zone < 0 ? ACT_NONE : zone_acts[zone];
  bool plain = info->kind == VM_FILE_OTHER || info->kind == VM_FILE_ARCHIVE || info->kind == VM_FILE_KERNEL;

  return act == ACT_CD && plain ? ACT_NEW_CD : act;
}

/* What is likely meant. */
static Act
act_for (Drop *drop, const VmFileInfo *info)
{
  static const Act wishes[][2] = {
    [VM_FILE_UNREADABLE] = { ACT_NONE, ACT_NONE }, [VM_FILE_FOLDER] = { ACT_FOLDER, ACT_NONE },
    [VM_FILE_ISO] = { ACT_CD, ACT_DISK },          [VM_FILE_IMAGE] = { ACT_DISK, ACT_NONE },
    [VM_FILE_RAW] = { ACT_DISK, ACT_CD },          [VM_FILE_FLOPPY] = { ACT_FLOPPY, ACT_DISK },
    [VM_FILE_KERNEL] = { ACT_NEW_CD, ACT_NONE },   [VM_FILE_ARCHIVE] = { ACT_NEW_CD, ACT_NONE },
    [VM_FILE_OTHER] = { ACT_COPY, ACT_NEW_CD },
  };

  for (unsigned i = 0; i < 2; i++)
    if (!act_refused (drop, info, wishes[info->kind][i]))
      return wishes[info->kind][i];
  return ACT_NONE;
}

/* --- zones ----------------------------------------------------------------------------------------------------------
 */

static void
drop_update_zones (Drop *drop)
{
  for (unsigned i = 0; i < ZONES; i++)
    {
      Zone *zone = &drop->zones[i];
      const char *reason = drop->refused, *label = act_label (zone_acts[i]);
      static const VmFileInfo any = { .kind = VM_FILE_ISO }, folder = { .kind = VM_FILE_FOLDER };
      bool possible = false;
      if (!drop->files->len && !reason)
        {
          reason = act_refused (drop, zone_acts[i] == ACT_FOLDER ? &folder : &any, zone_acts[i]);
          possible = !reason;
        }
      for (guint j = 0; j < drop->files->len && !possible && !drop->refused; j++)
        {
          const VmFileInfo *info = drop->files->pdata[j];
          Act act = act_of_zone ((int) i, info);
          reason = act_refused (drop, info, act);
          label = act_label (act);
          possible = !reason;
        }
      zone->possible = possible;
      gtk_label_set_text (GTK_LABEL (zone->label), label);
      gtk_label_set_text (GTK_LABEL (zone->reason), possible ? "" : reason ? reason : "");
      gtk_widget_set_visible (zone->reason, !possible);
      /* An insensitive widget would keep the pointer's way from us. */
      GtkStyleContext *style = gtk_widget_get_style_context (zone->box);
      if (possible)
        gtk_style_context_remove_class (style, "impossible");
      else
        gtk_style_context_add_class (style, "impossible");
    }
}

static int
drop_zone_at (Drop *drop, int x, int y)
{
  for (unsigned i = 0; i < ZONES; i++)
    {
      GtkWidget *box = drop->zones[i].box;
      int left, top;
      if (gtk_widget_translate_coordinates (box, drop->overlay, 0, 0, &left, &top) && x >= left && y >= top
          && x < left + gtk_widget_get_allocated_width (box) && y < top + gtk_widget_get_allocated_height (box))
        return (int) i;
    }
  return -1;
}

static void
drop_highlight (Drop *drop, int zone)
{
  for (unsigned i = 0; i < ZONES; i++)
    {
      GtkStyleContext *style = gtk_widget_get_style_context (drop->zones[i].box);
      if ((int) i == zone && drop->zones[i].possible)
        gtk_style_context_add_class (style, "chosen");
      else
        gtk_style_context_remove_class (style, "chosen");
    }
}

static void
drop_end (Drop *drop)
{
  if (drop->cancellable)
    g_cancellable_cancel (drop->cancellable);
  g_clear_object (&drop->cancellable);
  g_clear_handle_id (&drop->hide, g_source_remove);
  g_ptr_array_set_size (drop->files, 0);
  g_clear_pointer (&drop->refused, g_free);
  drop->waiting = 0;
  drop->dropped = drop->dropping = false;
  if (drop->grid)
    gtk_widget_hide (drop->grid);
}

/* --- looking --------------------------------------------------------------------------------------------------------
 */

/* A file that is being looked at; DROP may be about others, or gone, when that is done. */
typedef struct Look
{
  Drop *drop;
  GCancellable *cancellable;
  VmFileInfo *info;
} Look;

static void
look_over (Look *look)
{
  Drop *drop = look->drop;

  if (!g_cancellable_is_cancelled (look->cancellable))
    {
      g_ptr_array_add (drop->files, g_steal_pointer (&look->info));
      drop_update_zones (drop);
      if (--drop->waiting == 0 && drop->dropped)
        drop_decide (drop);
    }
  vm_file_info_free (look->info);
  g_object_unref (look->cancellable);
  g_free (look);
}

static void
look_probed (gpointer data, const char *format, int64_t size, const char *error)
{
  Look *look = data;

  if (format && strcmp (format, "raw") != 0)
    {
      look->info->kind = VM_FILE_IMAGE;
      g_free (look->info->format);
      look->info->format = g_strdup (format);
      look->info->size = size;
    }
  /* An image that the block layer refuses keeps what it is by itself: a file, or bytes of a disk. */
  look_over (look);
}

static void
looked (GObject *source, GAsyncResult *result, gpointer data)
{
  Look *look = data;

  look->info = vm_file_look_finish (result);
  if (!look->info || g_cancellable_is_cancelled (look->cancellable) || look->info->kind == VM_FILE_UNREADABLE
      || look->info->kind == VM_FILE_FOLDER || look->info->kind == VM_FILE_ISO)
    look_over (look);
  else
    vm_attach_probe (look->drop->attach, look->info->path, look_probed, look);
}

static void
drop_look (Drop *drop, const char *path)
{
  Look *look = g_new0 (Look, 1);

  look->drop = drop;
  look->cancellable = g_object_ref (drop->cancellable);
  drop->waiting++;
  vm_file_look_async (path, NULL, looked, look);
}

static void
drop_take_uris (Drop *drop, GtkSelectionData *selection)
{
  g_auto (GStrv) uris = gtk_selection_data_get_uris (selection);
  guint n = 0;

  for (char **uri = uris; uri && *uri; uri++)
    {
      g_autofree char *path = g_filename_from_uri (*uri, NULL, NULL);
      if (!path || ++n > FILES_MAX)
        continue;
      drop_look (drop, path);
    }
  if (!n)
    drop->refused = g_strdup (_ ("Only files of this host can be dropped here."));
  else if (n > FILES_MAX)
    drop->refused = g_strdup_printf (_ ("These are more than %d files."), FILES_MAX);
  drop_update_zones (drop);
}

/* --- doing ----------------------------------------------------------------------------------------------------------
 */

/* Files that go at once. */
typedef struct Together
{
  GStrvBuilder *for_cd, *to_copy;
} Together;

static void
do_one (Drop *drop, const VmFileInfo *info, Act act, Together *together, bool ask)
{
  VmAttach *attach = drop->attach;
  const char *format = info->format ? info->format : "raw";
  VmMedium *drive = vm_devices_first_medium (attach->devices, act == ACT_FLOPPY ? VM_MEDIUM_FLOPPY : VM_MEDIUM_CD);

  if (act == ACT_NEW_CD)
    g_strv_builder_add (together->for_cd, info->path);
  else if (act == ACT_COPY)
    g_strv_builder_add (together->to_copy, info->path);
  else if (act == ACT_DISK)
    vm_attach_disk (attach, info->path, format);
  else if (act == ACT_FOLDER)
    vm_attach_folder (attach, info->path);
  else if (act == ACT_CD && !drive)
    vm_attach_cd_drive (attach, info->path);
  else if ((act == ACT_CD || act == ACT_FLOPPY) && drive)
    vm_attach_insert (attach, drive->qdev, info->path, format, ask);
}

static Together
together_new (void)
{
  return (Together){ g_strv_builder_new (), g_strv_builder_new () };
}

static void
together_go (Drop *drop, Together *together)
{
  g_auto (GStrv) for_cd = g_strv_builder_end (together->for_cd);
  g_auto (GStrv) to_copy = g_strv_builder_end (together->to_copy);

  if (*for_cd)
    vm_attach_send (drop->attach, (const char *const *) for_cd);
  if (*to_copy)
    vm_attach_copy (drop->attach, (const char *const *) to_copy);
  g_strv_builder_unref (together->for_cd);
  g_strv_builder_unref (together->to_copy);
}

static char *
remembered_name (const VmFileInfo *info, Act act)
{
  return g_strdup_printf ("drop-%s-%s", kind_names[info->kind], act_names[act]);
}

static Act
remembered_act (Drop *drop, const VmFileInfo *info)
{
  for (unsigned act = ACT_CD; act < N_ACTS; act++)
    {
      g_autofree char *name = remembered_name (info, act);
      if (vm_preferences_unasked (drop->attach->preferences, name) && !act_refused (drop, info, act))
        return act;
    }
  return ACT_NONE;
}

/* --- the list -------------------------------------------------------------------------------------------------------
 */

typedef struct List
{
  Drop *drop;
  GPtrArray *files;  /* VmFileInfo * */
  GPtrArray *combos; /* GtkWidget * */
  GtkWidget *again;
} List;

static void
list_gone (GtkWidget *dialog, List *list)
{
  g_ptr_array_unref (list->files);
  g_ptr_array_unref (list->combos);
  g_free (list);
}

static void
list_answered (GtkDialog *dialog, int response, List *list)
{
  Together together = together_new ();
  bool again = gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (list->again));

  for (guint i = 0; response == GTK_RESPONSE_ACCEPT && i < list->files->len; i++)
    {
      const VmFileInfo *info = list->files->pdata[i];
      const char *id = gtk_combo_box_get_active_id (list->combos->pdata[i]);
      Act act = id ? (Act) g_ascii_strtoull (id, NULL, 10) : ACT_NONE;
      g_autofree char *name = remembered_name (info, act);
      if (again && act != ACT_NONE)
        vm_preferences_set_unasked (list->drop->attach->preferences, name);
      do_one (list->drop, info, act, &together, true);
    }
  together_go (list->drop, &together);
  gtk_widget_destroy (GTK_WIDGET (dialog));
}

static GtkWidget *
make_combo (Drop *drop, const VmFileInfo *info, Act chosen)
{
  static const Act order[] = { ACT_CD, ACT_FLOPPY, ACT_DISK, ACT_FOLDER, ACT_COPY, ACT_NEW_CD, ACT_NONE };
  GtkWidget *combo = gtk_combo_box_text_new ();

  for (unsigned i = 0; i < G_N_ELEMENTS (order); i++)
    {
      g_autofree char *id = g_strdup_printf ("%d", order[i]);
      if (order[i] == ACT_NONE || !act_refused (drop, info, order[i]))
        gtk_combo_box_text_append (GTK_COMBO_BOX_TEXT (combo), id, act_label (order[i]));
    }
  g_autofree char *id = g_strdup_printf ("%d", chosen);
  if (!gtk_combo_box_set_active_id (GTK_COMBO_BOX (combo), id))
    gtk_combo_box_set_active_id (GTK_COMBO_BOX (combo), "0");
  return combo;
}

static void
add_row (List *list, GtkGrid *grid, int row, const VmFileInfo *info, Act act)
{
  g_autofree char *base = g_path_get_basename (info->path), *shown = g_filename_display_name (base);
  g_autofree char *what = vm_file_describe (info);
  GtkWidget *name = gtk_label_new (shown), *kind = gtk_label_new (what), *combo = make_combo (list->drop, info, act);
  const char *refused = act_for (list->drop, info) == ACT_NONE ? act_refused (list->drop, info, ACT_DISK) : NULL;

  gtk_label_set_ellipsize (GTK_LABEL (name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_label_set_width_chars (GTK_LABEL (name), 20);
  gtk_label_set_xalign (GTK_LABEL (name), 0);
  gtk_label_set_xalign (GTK_LABEL (kind), 0);
  gtk_widget_set_hexpand (name, TRUE);
  gtk_widget_set_tooltip_text (name, info->path);
  gtk_widget_set_tooltip_text (combo, refused);
  atk_object_set_name (gtk_widget_get_accessible (combo), shown);
  gtk_grid_attach (grid, name, 0, row, 1, 1);
  gtk_grid_attach (grid, kind, 1, row, 1, 1);
  gtk_grid_attach (grid, combo, 2, row, 1, 1);
  g_ptr_array_add (list->combos, combo);
}

static void
show_list (Drop *drop, GPtrArray *files)
{
  List *list = g_new0 (List, 1);
  GtkWidget *dialog = gtk_dialog_new_with_buttons (_ ("Dropped Files"), drop->attach->parent,
                                                   GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT, _ ("_Cancel"),
                                                   GTK_RESPONSE_CANCEL, _ ("_Do It"), GTK_RESPONSE_ACCEPT, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog)), *scrolled = gtk_scrolled_window_new (NULL, NULL);
  GtkWidget *title = gtk_label_new (_ ("What should become of these?")), *grid = gtk_grid_new ();

  list->drop = drop;
  list->files = files;
  list->combos = g_ptr_array_new ();
  gtk_label_set_xalign (GTK_LABEL (title), 0);
  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  for (guint i = 0; i < files->len; i++)
    {
      const VmFileInfo *info = files->pdata[i];
      Act act = act_of_zone (drop->zone, info);
      add_row (list, GTK_GRID (grid), (int) i, info,
               act != ACT_NONE && !act_refused (drop, info, act) ? act : act_for (drop, info));
    }
  list->again = gtk_check_button_new_with_mnemonic (_ ("Do not _ask again for files of these kinds"));
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scrolled), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height (GTK_SCROLLED_WINDOW (scrolled), TRUE);
  gtk_scrolled_window_set_max_content_height (GTK_SCROLLED_WINDOW (scrolled), 320);
  gtk_container_add (GTK_CONTAINER (scrolled), grid);
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_box_set_spacing (GTK_BOX (box), 12);
  gtk_box_pack_start (GTK_BOX (box), title, FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (box), scrolled, TRUE, TRUE, 0);
  gtk_box_pack_start (GTK_BOX (box), list->again, FALSE, FALSE, 0);
  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_ACCEPT);
  g_signal_connect (dialog, "response", G_CALLBACK (list_answered), list);
  g_signal_connect (dialog, "destroy", G_CALLBACK (list_gone), list);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* --- the drop --------------------------------------------------------------------------------- */

/* One file on a zone that takes it, or with a key that says what is meant: no question. */
static bool
do_at_once (Drop *drop, const GPtrArray *files)
{
  const VmFileInfo *info = files->pdata[0];
  Act act = drop->state & GDK_SHIFT_MASK     ? ACT_DISK
            : drop->state & GDK_CONTROL_MASK ? act_of_zone (0, info)
                                             : act_of_zone (drop->zone, info);

  if (files->len > 1)
    return false;
  if (act == ACT_NONE)
    act = remembered_act (drop, info);
  if (act == ACT_NONE)
    return false;
  /* Bytes of which nobody knows what they are: a disk only when that is said again. */
  if (act == ACT_DISK && info->kind == VM_FILE_OTHER && !(drop->state & GDK_SHIFT_MASK))
    return false;
  const char *refused = act_refused (drop, info, act);
  if (refused)
    {
      g_autofree char *base = g_path_get_basename (info->path), *shown = g_filename_display_name (base);
      /* Translators: what was not done, such as "Attach as disk", and a file's name. */
      g_autofree char *title = g_strdup_printf (_ ("%s: not possible with “%s”."), act_label (act), shown);
      vm_report_failure (drop->attach->parent, drop->attach->session, title, refused, NULL);
    }
  else
    {
      Together together = together_new ();
      do_one (drop, info, act, &together, !(drop->state & GDK_CONTROL_MASK));
      together_go (drop, &together);
    }
  return true;
}

static void
drop_decide (Drop *drop)
{
  GPtrArray *files = g_steal_pointer (&drop->files);
  g_autofree char *refused = g_steal_pointer (&drop->refused);

  drop->files = g_ptr_array_new_with_free_func (vm_file_info_free);
  drop_end (drop);
  if (refused || !files->len)
    {
      vm_report_failure (drop->attach->parent, drop->attach->session, _ ("Nothing was done with what was dropped."),
                         refused, NULL);
      g_ptr_array_unref (files);
    }
  else if (do_at_once (drop, files))
    {
      g_ptr_array_unref (files);
    }
  else
    {
      show_list (drop, files);
    }
}

static GdkAtom
wanted_target (GtkWidget *widget, GdkDragContext *context)
{
  return gtk_drag_dest_find_target (widget, context, NULL);
}

/* Whatever the source would rather do: its files stay where they are. */
static GdkDragAction
action_of (GdkDragContext *context)
{
  GdkDragAction actions = gdk_drag_context_get_actions (context);

  return actions & GDK_ACTION_COPY   ? GDK_ACTION_COPY
         : actions & GDK_ACTION_LINK ? GDK_ACTION_LINK
                                     : actions & GDK_ACTION_MOVE;
}

static gboolean
drag_motion (GtkWidget *widget, GdkDragContext *context, int x, int y, guint time, Drop *drop)
{
  GdkAtom target = wanted_target (widget, context);

  if (target == GDK_NONE)
    return FALSE;
  g_clear_handle_id (&drop->hide, g_source_remove);
  if (!drop->cancellable)
    {
      drop->cancellable = g_cancellable_new ();
      vm_devices_refresh (drop->attach->devices);
      drop_update_zones (drop);
      gtk_widget_show (drop->grid);
      gtk_drag_get_data (widget, context, target, time);
    }
  int zone = drop_zone_at (drop, x, y);
  drop_highlight (drop, zone);
  gdk_drag_status (context, zone < 0 || drop->zones[zone].possible ? action_of (context) : 0, time);
  return TRUE;
}

static gboolean
drag_left (gpointer user_data)
{
  Drop *drop = user_data;

  drop->hide = 0;
  if (!drop->dropped && !drop->dropping)
    drop_end (drop);
  return G_SOURCE_REMOVE;
}

/* Comes before a drop, too. */
static void
drag_leave (GtkWidget *widget, GdkDragContext *context, guint time, Drop *drop)
{
  if (!drop->hide)
    drop->hide = g_idle_add (drag_left, drop);
}

static gboolean
drag_drop (GtkWidget *widget, GdkDragContext *context, int x, int y, guint time, Drop *drop)
{
  GdkAtom target = wanted_target (widget, context);
  GdkDevice *pointer = gdk_drag_context_get_device (context);

  if (target == GDK_NONE)
    return FALSE;
  g_clear_handle_id (&drop->hide, g_source_remove);
  drop->zone = drop_zone_at (drop, x, y);
  drop->state = 0;
  if (pointer)
    gdk_window_get_device_position (gtk_widget_get_window (widget), pointer, NULL, NULL, &drop->state);
  drop->dropping = true;
  gtk_drag_get_data (widget, context, target, time);
  return TRUE;
}

static void
drag_data_received (GtkWidget *widget, GdkDragContext *context, int x, int y, GtkSelectionData *selection, guint info,
                    guint time, Drop *drop)
{
  if (drop->dropping)
    {
      drop->dropping = false;
      drop->dropped = true;
      gtk_drag_finish (context, TRUE, FALSE, time);
      gtk_widget_hide (drop->grid);
      /* Some sources give nothing out before the drop. */
      if (!drop->files->len && !drop->waiting && drop->cancellable)
        drop_take_uris (drop, selection);
      if (!drop->waiting)
        drop_decide (drop);
    }
  else if (drop->cancellable && !drop->waiting && !drop->files->len && !drop->refused)
    {
      drop_take_uris (drop, selection);
    }
}

/* --- widgets ---------------------------------------------------------------------------------- */

static GtkWidget *
zone_label (const char *css)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_label_set_line_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_justify (GTK_LABEL (label), GTK_JUSTIFY_CENTER);
  gtk_label_set_width_chars (GTK_LABEL (label), 20);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 28);
  gtk_label_set_lines (GTK_LABEL (label), 3);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_style_context_add_class (gtk_widget_get_style_context (label), css);
  return label;
}

static void
make_zone (Drop *drop, unsigned index)
{
  static const char *const icons[ZONES]
      = { "media-optical-symbolic", "drive-harddisk-symbolic", "document-send-symbolic", "folder-symbolic" };
  Zone *zone = &drop->zones[index];
  GtkWidget *icon = gtk_image_new_from_icon_name (icons[index], GTK_ICON_SIZE_DND);
  GtkWidget *inner = gtk_box_new (GTK_ORIENTATION_VERTICAL, 6);

  zone->box = gtk_event_box_new ();
  zone->label = zone_label ("title");
  zone->reason = zone_label ("reason");
  gtk_style_context_add_class (gtk_widget_get_style_context (zone->box), "vitrine-zone");
  gtk_widget_set_valign (inner, GTK_ALIGN_CENTER);
  gtk_container_add (GTK_CONTAINER (inner), icon);
  gtk_container_add (GTK_CONTAINER (inner), zone->label);
  gtk_container_add (GTK_CONTAINER (inner), zone->reason);
  gtk_container_add (GTK_CONTAINER (zone->box), inner);
  gtk_widget_show_all (zone->box);
  gtk_grid_attach (GTK_GRID (drop->grid), zone->box, index % 2, index / 2, 1, 1);
}

static void
drop_gone (GtkWidget *overlay, Drop *drop)
{
  drop->grid = NULL;
  drop_end (drop);
}

static void
drop_free (gpointer data, GClosure *closure)
{
  Drop *drop = data;

  g_ptr_array_unref (drop->files);
  g_free (drop);
}

void
vm_drop_set_up (GtkOverlay *overlay, VmAttach *attach)
{
  Drop *drop = g_new0 (Drop, 1);

  drop->attach = attach;
  drop->overlay = GTK_WIDGET (overlay);
  drop->files = g_ptr_array_new_with_free_func (vm_file_info_free);
  drop->grid = gtk_grid_new ();
  gtk_style_context_add_class (gtk_widget_get_style_context (drop->grid), "vitrine-zones");
  gtk_grid_set_row_homogeneous (GTK_GRID (drop->grid), TRUE);
  gtk_grid_set_column_homogeneous (GTK_GRID (drop->grid), TRUE);
  gtk_widget_set_no_show_all (drop->grid, TRUE);
  for (unsigned i = 0; i < ZONES; i++)
    {
      make_zone (drop, i);
      gtk_widget_set_hexpand (drop->zones[i].box, TRUE);
      gtk_widget_set_vexpand (drop->zones[i].box, TRUE);
    }
  gtk_overlay_add_overlay (overlay, drop->grid);
  gtk_overlay_set_overlay_pass_through (overlay, drop->grid, TRUE);
  gtk_drag_dest_set (GTK_WIDGET (overlay), 0, NULL, 0, GDK_ACTION_COPY | GDK_ACTION_LINK | GDK_ACTION_MOVE);
  gtk_drag_dest_add_uri_targets (GTK_WIDGET (overlay));
  g_signal_connect (overlay, "drag-motion", G_CALLBACK (drag_motion), drop);
  g_signal_connect (overlay, "drag-leave", G_CALLBACK (drag_leave), drop);
  g_signal_connect (overlay, "drag-drop", G_CALLBACK (drag_drop), drop);
  g_signal_connect (overlay, "drag-data-received", G_CALLBACK (drag_data_received), drop);
  g_signal_connect_data (overlay, "destroy", G_CALLBACK (drop_gone), drop, drop_free, 0);
}
