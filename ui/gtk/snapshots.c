/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What snapshot-save, -load and -delete do, with the disks that query-block names. */
#include "config.h"

#include "ui/gtk/snapshots-private.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/list.h"
#include "ui/gtk/question.h"
#include "ui/gtk/report.h"
#include "ui/gtk/size.h"

enum
{
  COLUMN_NAME,
  COLUMN_DATE,
  COLUMN_SIZE,
  COLUMN_WHOLE,
  N_COLUMNS
};

/* NULL: the window goes. */
VmSnapshots *
vm_snapshots_of (gpointer window)
{
  return g_object_get_data (window, "vitrine-snapshots");
}

static void
snapshot_free (gpointer data)
{
  Snapshot *snapshot = data;

  g_free (snapshot->name);
  g_free (snapshot);
}

/* --- what there is ---------------------------------------------------------------------------------------------- */

static void
add_snapshots (VmSnapshots *self, json_object *list)
{
  for (size_t i = 0; i < vm_json_length (list); i++)
    {
      json_object *info = json_object_array_get_idx (list, i);
      const char *name = vm_json_text (info, "name");
      Snapshot *found = NULL;
      for (guint j = 0; j < self->list->len && !found; j++)
        if (!strcmp (((Snapshot *) self->list->pdata[j])->name, name))
          found = self->list->pdata[j];
      if (!found)
        {
          found = g_new0 (Snapshot, 1);
          found->name = g_strdup (name);
          found->date = vm_json_number (info, "date-sec");
          g_ptr_array_add (self->list, found);
        }
      found->size = MAX (found->size, vm_json_number (info, "vm-state-size"));
      found->n++;
    }
}

static void
add_disk (VmSnapshots *self, json_object *block)
{
  json_object *inserted = vm_json_get (block, "inserted");
  const char *node = vm_json_text (inserted, "node-name"), *format = vm_json_text (inserted, "drv");

  if (!inserted || vm_json_flag (inserted, "ro") || !*vm_json_text (block, "qdev"))
    return;
  g_ptr_array_add (self->files, g_strdup (vm_json_text (inserted, "file")));
  if (!strcmp (format, "qcow2"))
    {
      if (!self->vmstate)
        self->vmstate = g_strdup (node);
      g_ptr_array_add (self->nodes, g_strdup (node));
      add_snapshots (self, vm_json_get (vm_json_get (inserted, "image"), "snapshots"));
    }
  else if (!self->reason)
    {
      const char *device = vm_json_text (block, "device");
      /* Translators: the name of a disk, and its format, such as "raw". */
      self->reason = g_strdup_printf (_ ("The disk “%s” is a %s image: only qcow2 images hold snapshots."),
                                      *device ? device : node, format);
    }
}

static gint
compare_dates (gconstpointer a, gconstpointer b)
{
  const Snapshot *x = *(Snapshot *const *) a, *y = *(Snapshot *const *) b;

  return (x->date > y->date) - (x->date < y->date);
}

static void
got_disks (gpointer owner, json_object *result, const GError *error, gpointer data)
{
  VmSnapshots *self = vm_snapshots_of (owner);

  if (!self)
    return;
  g_ptr_array_set_size (self->nodes, 0);
  g_ptr_array_set_size (self->files, 0);
  g_ptr_array_set_size (self->list, 0);
  g_clear_pointer (&self->vmstate, g_free);
  g_clear_pointer (&self->reason, g_free);
  for (size_t i = 0; i < vm_json_length (result); i++)
    add_disk (self, json_object_array_get_idx (result, i));
  if (!self->nodes->len && !self->reason)
    self->reason = g_strdup (_ ("The machine has no disk that it may write, which could hold a snapshot."));
  g_ptr_array_sort (self->list, compare_dates);
  void (*then) (VmSnapshots *) = g_steal_pointer (&self->then);
  if (then)
    then (self);
}

void
vm_snapshots_ask (VmSnapshots *self, void (*then) (VmSnapshots *self))
{
  self->then = then;
  vm_call (self->session, self->parent, "query-block", NULL, got_disks, NULL);
}

/* --- doing ------------------------------------------------------------------------------------------------------ */

static void snapshots_fill (VmSnapshots *self);

static void
job_ended (gpointer owner, const char *error)
{
  VmSnapshots *self = vm_snapshots_of (owner);

  if (!self)
    return;
  if (error)
    vm_report_failure (self->parent, self->session, self->doing, error, _ ("The machine goes on as it was."));
  if (self->dialog)
    vm_snapshots_ask (self, snapshots_fill);
}

static json_object *
node_names (const VmSnapshots *self)
{
  json_object *names = json_object_new_array ();

  for (guint i = 0; i < self->nodes->len; i++)
    json_object_array_add (names, json_object_new_string (self->nodes->pdata[i]));
  return names;
}

void
vm_snapshots_start (VmSnapshots *self, const char *command, const char *tag, const char *title, VmJobEnded ended)
{
  g_autofree char *id = vm_jobs_new_id (self->jobs);
  json_object *args = vm_json_dict ("job-id", VM_TEXT (id), "tag", VM_TEXT (tag), "devices", node_names (self), NULL);

  if (strcmp (command, "snapshot-delete") != 0)
    json_object_object_add (args, "vmstate", json_object_new_string (self->vmstate));
  vm_jobs_start (self->jobs, command, args, title, self->parent, ended);
}

static void
snapshots_do (VmSnapshots *self, const char *command, const char *tag, const char *title, const char *failure)
{
  g_autofree char *text = g_strdup_printf (title, tag);

  g_free (self->doing);
  self->doing = g_strdup_printf (failure, tag);
  vm_snapshots_start (self, command, tag, text, job_ended);
}

static void
do_revert (gpointer window)
{
  VmSnapshots *self = vm_snapshots_of (window);

  snapshots_do (self, "snapshot-load", self->chosen, _ ("Going back to “%s”"), _ ("“%s” was not gone back to."));
}

static void
do_delete (gpointer window)
{
  VmSnapshots *self = vm_snapshots_of (window);

  snapshots_do (self, "snapshot-delete", self->chosen, _ ("Deleting “%s”"), _ ("“%s” was not deleted."));
}

static GtkWindow *
front (VmSnapshots *self)
{
  return self->dialog ? GTK_WINDOW (self->dialog) : self->parent;
}

static void
ask_revert (VmSnapshots *self, const char *name)
{
  const VmChoice choice = { _ ("_Go Back"), do_revert };
  g_autofree char *title = g_strdup_printf (_ ("Go back to “%s”?"), name);

  g_free (self->chosen);
  self->chosen = g_strdup (name);
  vm_ask (front (self), self->preferences, "revert", title,
          _ ("Processors, memory and disks become what they were. What happened since is lost, unless there is a "
             "snapshot of "
             "it."),
          &choice, 1, G_OBJECT (self->parent));
}

static void
ask_delete (VmSnapshots *self, const char *name)
{
  const VmChoice choice = { _ ("De_lete"), do_delete };
  g_autofree char *title = g_strdup_printf (_ ("Delete “%s”?"), name);

  g_free (self->chosen);
  self->chosen = g_strdup (name);
  vm_ask (front (self), self->preferences, "delete-snapshot", title, _ ("It cannot be brought back."), &choice, 1,
          G_OBJECT (self->parent));
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static void
take_answered (GtkDialog *dialog, int response, VmSnapshots *self)
{
  g_autofree char *name = g_strdup (gtk_entry_get_text (GTK_ENTRY (g_object_get_data (G_OBJECT (dialog), "entry"))));

  gtk_widget_destroy (GTK_WIDGET (dialog));
  g_strstrip (name);
  if (response == GTK_RESPONSE_ACCEPT && *name)
    snapshots_do (self, "snapshot-save", name, _ ("Saving “%s”"), _ ("The snapshot “%s” was not taken."));
}

static void
name_changed (GtkEditable *entry, GtkDialog *dialog)
{
  VmSnapshots *self = g_object_get_data (G_OBJECT (dialog), "self");
  g_autofree char *name = g_strdup (gtk_entry_get_text (GTK_ENTRY (entry)));
  const char *old = g_object_get_data (G_OBJECT (dialog), "old");
  bool taken = false;

  g_strstrip (name);
  for (guint i = 0; i < self->list->len; i++)
    taken |= !strcmp (((Snapshot *) self->list->pdata[i])->name, name);
  gtk_widget_set_visible (g_object_get_data (G_OBJECT (dialog), "taken"), taken && g_strcmp0 (name, old) != 0);
  gtk_dialog_set_response_sensitive (dialog, GTK_RESPONSE_ACCEPT, *name && !taken);
}

/* OLD: the name there is; NULL: it is one to come. */
static void
ask_name (VmSnapshots *self, const char *title, const char *accept, const char *old, const char *name, const char *text,
          void (*answered) (GtkDialog *dialog, int response, VmSnapshots *self))
{
  GtkWidget *dialog
      = gtk_dialog_new_with_buttons (title, front (self), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
                                     _ ("_Cancel"), GTK_RESPONSE_CANCEL, accept, GTK_RESPONSE_ACCEPT, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (dialog));
  GtkWidget *label = gtk_label_new_with_mnemonic (_ ("_Name:")), *entry = gtk_entry_new ();
  GtkWidget *note = gtk_label_new (text), *taken = gtk_label_new (_ ("There is a snapshot of that name."));

  gtk_dialog_set_default_response (GTK_DIALOG (dialog), GTK_RESPONSE_ACCEPT);
  gtk_box_set_spacing (GTK_BOX (box), 6);
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_label_set_mnemonic_widget (GTK_LABEL (label), entry);
  gtk_label_set_xalign (GTK_LABEL (label), 0);
  gtk_label_set_xalign (GTK_LABEL (note), 0);
  gtk_label_set_line_wrap (GTK_LABEL (note), TRUE);
  gtk_label_set_max_width_chars (GTK_LABEL (note), 50);
  gtk_label_set_xalign (GTK_LABEL (taken), 0);
  gtk_widget_set_no_show_all (taken, TRUE);
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  gtk_entry_set_max_length (GTK_ENTRY (entry), 200);
  GtkWidget *parts[] = { label, entry, taken, note };
  for (unsigned i = 0; i < G_N_ELEMENTS (parts); i++)
    gtk_box_pack_start (GTK_BOX (box), parts[i], FALSE, FALSE, 0);
  g_object_set_data (G_OBJECT (dialog), "entry", entry);
  g_object_set_data (G_OBJECT (dialog), "taken", taken);
  g_object_set_data (G_OBJECT (dialog), "self", self);
  g_object_set_data_full (G_OBJECT (dialog), "old", g_strdup (old), g_free);
  g_signal_connect (entry, "changed", G_CALLBACK (name_changed), dialog);
  g_signal_connect (dialog, "response", G_CALLBACK (answered), self);
  gtk_entry_set_text (GTK_ENTRY (entry), name);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (dialog));
}

static void
show_take (VmSnapshots *self)
{
  if (self->reason)
    {
      vm_report_failure (front (self), self->session, _ ("This machine cannot have snapshots now."), self->reason,
                         _ ("“vitrine-img convert -O qcow2” makes a qcow2 image of another."));
      return;
    }
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *name = g_date_time_format (now, "%Y-%m-%d %H:%M:%S");

  ask_name (self, _ ("Take Snapshot"), _ ("_Take"), NULL, name,
            _ ("It holds processors, memory and all disks that the machine may write. The machine "
               "stands still while it is made."),
            take_answered);
}

void
vm_snapshots_take (VmSnapshots *self)
{
  vm_snapshots_ask (self, show_take);
}

static void
renamed (gpointer owner, json_object *result, const GError *error, gpointer failure)
{
  VmSnapshots *self = vm_snapshots_of (owner);

  if (self && error)
    vm_report_failure (front (self), self->session, failure, error->message,
                       _ ("Another name, or another attempt when no job works on the disks, may do."));
  if (self && self->dialog)
    vm_snapshots_ask (self, snapshots_fill);
  g_free (failure);
}

static void
rename_answered (GtkDialog *dialog, int response, VmSnapshots *self)
{
  g_autofree char *name = g_strdup (gtk_entry_get_text (GTK_ENTRY (g_object_get_data (G_OBJECT (dialog), "entry"))));
  g_autofree char *old = g_strdup (g_object_get_data (G_OBJECT (dialog), "old"));

  gtk_widget_destroy (GTK_WIDGET (dialog));
  g_strstrip (name);
  if (response != GTK_RESPONSE_ACCEPT || !*name)
    return;
  g_free (self->chosen);
  self->chosen = g_strdup (name);
  vm_call (self->session, self->parent, "x-snapshot-rename",
           vm_json_dict ("tag", VM_TEXT (old), "name", VM_TEXT (name), "devices", node_names (self), NULL), renamed,
           g_strdup_printf (_ ("“%s” was not renamed."), old));
}

static void
ask_rename (VmSnapshots *self, const char *name)
{
  ask_name (self, _ ("Rename Snapshot"), _ ("_Rename"), name, name,
            _ ("Its date, and what it holds, stay as they are."), rename_answered);
}

static void
show_revert_last (VmSnapshots *self)
{
  for (guint i = self->list->len; !self->reason && i-- > 0;)
    {
      const Snapshot *snapshot = self->list->pdata[i];
      if (snapshot->n != self->nodes->len || !snapshot->size)
        continue;
      ask_revert (self, snapshot->name);
      return;
    }
  vm_report_failure (self->parent, self->session, _ ("There is no snapshot to go back to."), self->reason, NULL);
}

void
vm_snapshots_revert_last (VmSnapshots *self)
{
  vm_snapshots_ask (self, show_revert_last);
}

/* --- the list ----------------------------------------------------------------------------------------------------- */

enum
{
  RESPONSE_TAKE = 1,
  RESPONSE_REVERT,
  RESPONSE_RENAME,
  RESPONSE_DELETE
};

static char *
selected_name (VmSnapshots *self, bool *whole)
{
  GtkTreeSelection *selection = gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view));
  GtkTreeModel *model;
  GtkTreeIter at;
  char *name = NULL;
  gboolean flag = FALSE;

  if (gtk_tree_selection_get_selected (selection, &model, &at))
    gtk_tree_model_get (model, &at, COLUMN_NAME, &name, COLUMN_WHOLE, &flag, -1);
  *whole = flag;
  return name;
}

static void
selection_changed (GtkTreeSelection *selection, VmSnapshots *self)
{
  bool whole;
  g_autofree char *name = selected_name (self, &whole);

  gtk_dialog_set_response_sensitive (GTK_DIALOG (self->dialog), RESPONSE_REVERT, name && whole);
  gtk_dialog_set_response_sensitive (GTK_DIALOG (self->dialog), RESPONSE_RENAME, name != NULL);
  gtk_dialog_set_response_sensitive (GTK_DIALOG (self->dialog), RESPONSE_DELETE, name != NULL);
}

static void
snapshots_fill (VmSnapshots *self)
{
  if (!self->dialog)
    return;
  GtkListStore *store = GTK_LIST_STORE (gtk_tree_view_get_model (GTK_TREE_VIEW (self->view)));
  GtkTreeIter at;

  gtk_list_store_clear (store);
  for (guint i = 0; i < self->list->len; i++)
    {
      const Snapshot *snapshot = self->list->pdata[i];
      bool everywhere = snapshot->n == self->nodes->len;
      g_autoptr (GDateTime) date = g_date_time_new_from_unix_local (snapshot->date);
      g_autofree char *when = date ? g_date_time_format (date, "%x %X") : g_strdup ("");
      g_autofree char *size = !everywhere      ? g_strdup (_ ("only on some disks"))
                              : snapshot->size ? vm_format_size ((guint64) snapshot->size)
                                               : g_strdup (_ ("disks only"));
      gtk_list_store_insert_with_values (store, &at, -1, COLUMN_NAME, snapshot->name, COLUMN_DATE, when, COLUMN_SIZE,
                                         size, COLUMN_WHOLE, everywhere && snapshot->size > 0, -1);
      if (!g_strcmp0 (snapshot->name, self->chosen)) /* what something was done to */
        gtk_tree_selection_select_iter (gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view)), &at);
    }
  gtk_label_set_text (GTK_LABEL (self->note), self->reason      ? self->reason
                                              : self->list->len ? ""
                                                                : _ ("There are none yet."));
  gtk_widget_set_visible (self->note, *gtk_label_get_text (GTK_LABEL (self->note)) != 0);
  gtk_dialog_set_response_sensitive (GTK_DIALOG (self->dialog), RESPONSE_TAKE, !self->reason);
  selection_changed (NULL, self);
}

static void
list_answered (GtkDialog *dialog, int response, VmSnapshots *self)
{
  bool whole;
  g_autofree char *name = selected_name (self, &whole);

  if (response == RESPONSE_TAKE)
    vm_snapshots_take (self);
  else if (response == RESPONSE_REVERT && name)
    ask_revert (self, name);
  else if (response == RESPONSE_RENAME && name)
    ask_rename (self, name);
  else if (response == RESPONSE_DELETE && name)
    ask_delete (self, name);
  else
    gtk_widget_destroy (GTK_WIDGET (dialog));
}

static gboolean
list_key (GtkWidget *view, const GdkEventKey *event, VmSnapshots *self)
{
  if (event->keyval != GDK_KEY_F2)
    return GDK_EVENT_PROPAGATE;
  gtk_dialog_response (GTK_DIALOG (self->dialog), RESPONSE_RENAME);
  return GDK_EVENT_STOP;
}

static void
list_gone (GtkWidget *dialog, VmSnapshots *self)
{
  self->dialog = NULL;
}

static void
show_list (VmSnapshots *self)
{
  if (self->dialog)
    {
      snapshots_fill (self);
      gtk_window_present (GTK_WINDOW (self->dialog));
      return;
    }
  self->dialog
      = gtk_dialog_new_with_buttons (_ ("Snapshots"), self->parent, GTK_DIALOG_DESTROY_WITH_PARENT, _ ("_Take…"),
                                     RESPONSE_TAKE, _ ("_Go Back…"), RESPONSE_REVERT, _ ("_Rename…"), RESPONSE_RENAME,
                                     _ ("_Delete…"), RESPONSE_DELETE, _ ("_Close"), GTK_RESPONSE_CLOSE, NULL);
  GtkWidget *box = gtk_dialog_get_content_area (GTK_DIALOG (self->dialog)),
            *scrolled = gtk_scrolled_window_new (NULL, NULL);
  g_autoptr (GtkListStore) store
      = gtk_list_store_new (N_COLUMNS, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_BOOLEAN);

  self->view = gtk_tree_view_new_with_model (GTK_TREE_MODEL (store));
  atk_object_set_name (gtk_widget_get_accessible (self->view), _ ("Snapshots"));
  vm_list_add_column (self->view, _ ("Name"), COLUMN_NAME, true);
  vm_list_add_column (self->view, _ ("Made"), COLUMN_DATE, false);
  vm_list_add_column (self->view, _ ("State of memory and devices"), COLUMN_SIZE, false);
  g_signal_connect (gtk_tree_view_get_selection (GTK_TREE_VIEW (self->view)), "changed", G_CALLBACK (selection_changed),
                    self);
  g_signal_connect (self->view, "key-press-event", G_CALLBACK (list_key), self);
  gtk_scrolled_window_set_shadow_type (GTK_SCROLLED_WINDOW (scrolled), GTK_SHADOW_IN);
  gtk_container_add (GTK_CONTAINER (scrolled), self->view);
  self->note = gtk_label_new (NULL);
  gtk_label_set_line_wrap (GTK_LABEL (self->note), TRUE);
  gtk_label_set_xalign (GTK_LABEL (self->note), 0);
  gtk_widget_set_no_show_all (self->note, TRUE);
  gtk_container_set_border_width (GTK_CONTAINER (box), 12);
  gtk_box_set_spacing (GTK_BOX (box), 6);
  gtk_box_pack_start (GTK_BOX (box), scrolled, TRUE, TRUE, 0);
  gtk_box_pack_start (GTK_BOX (box), self->note, FALSE, FALSE, 0);
  gtk_window_set_default_size (GTK_WINDOW (self->dialog), 600, 320);
  g_signal_connect (self->dialog, "response", G_CALLBACK (list_answered), self);
  g_signal_connect (self->dialog, "destroy", G_CALLBACK (list_gone), self);
  snapshots_fill (self);
  gtk_widget_show_all (box);
  gtk_window_present (GTK_WINDOW (self->dialog));
}

void
vm_snapshots_manage (VmSnapshots *self)
{
  vm_snapshots_ask (self, show_list);
}

/* --- object ------------------------------------------------------------------------------------------------------- */

VmSnapshots *
vm_snapshots_new (GtkWindow *parent, VmSession *session, VmJobs *jobs, GSettings *preferences)
{
  VmSnapshots *self = g_new0 (VmSnapshots, 1);

  self->parent = parent;
  self->session = session;
  self->jobs = jobs;
  self->preferences = preferences;
  self->nodes = g_ptr_array_new_with_free_func (g_free);
  self->files = g_ptr_array_new_with_free_func (g_free);
  self->list = g_ptr_array_new_with_free_func (snapshot_free);
  g_object_set_data (G_OBJECT (parent), "vitrine-snapshots", self);
  return self;
}

void
vm_snapshots_free (VmSnapshots *self)
{
  g_object_set_data (G_OBJECT (self->parent), "vitrine-snapshots", NULL);
  if (self->dialog)
    gtk_widget_destroy (self->dialog);
  g_ptr_array_unref (self->nodes);
  g_ptr_array_unref (self->files);
  g_ptr_array_unref (self->list);
  g_free (self->reason);
  g_free (self->vmstate);
  g_free (self->chosen);
  g_free (self->doing);
  g_free (self);
}
