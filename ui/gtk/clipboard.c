/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GTK asks a selection's owner for its content and wants it before the handler returns. Here the event waits instead,
 * until the guest has sent what is asked for, and is handled then: nothing ever waits in a loop of its own. */
#include "config.h"

#include "ui/gtk/clipboard.h"

#include <glib/gi18n-lib.h>
#ifdef GDK_WINDOWING_X11
#include <gdk/gdkx.h>
#endif

#include "ui/gtk/clipboard-bridge.h"

#define REQUESTS_MAX 32    /* of other programs, that wait for one content */
#define KEPT_MAX (4 << 20) /* of a content, for who asks next */

/* One selection of the desktop. */
typedef struct Side
{
  VmUiClipboard *ui;
  VmClipSelection selection;
  GdkAtom atom;
  GtkClipboard *clipboard;
  gulong watch;
  GtkWidget *owner; /* in whose name we own it */
  /* what the guest has */
  unsigned types;
  bool ours;    /* the desktop's clipboard shows it */
  bool pending; /* will when a window is active */
  GBytes *kept[VM_CLIP_TYPES];
  GQueue waiting[VM_CLIP_TYPES]; /* GdkEvent * */
  bool replaying;
  /* what the desktop has */
  bool dirty;         /* nobody has looked since it changed */
  unsigned announced; /* types, to the machine */
} Side;

struct VmUiClipboard
{
  int refs;             /* the window's, and one for each question to the desktop under way */
  VmClipBridge *bridge; /* NULL: the window is gone */
  VmSession *session;
  GActionMap *actions;
  GSettings *preferences;
  GtkWidget *button;
  bool focus;
  VmClipMode mode;
  Side sides[VM_CLIP_SELECTIONS];
};

static const char *const mode_names[] = { "off", "to-guest", "to-host", "both", NULL };

static VmUiClipboard *
ui_ref (VmUiClipboard *self)
{
  self->refs++;
  return self;
}

static void
ui_unref (VmUiClipboard *self)
{
  if (!--self->refs)
    g_free (self);
}

/* --- the button ------------------------------------------------------------------------------------ */

static void
ui_describe (VmUiClipboard *self)
{
  static const char *const words_of_types[]
      = { N_ ("nothing"), N_ ("text"), N_ ("a picture"), N_ ("text and a picture") };
  VmAgentState state = vm_display_agent_state (vm_session_display (self->session));
  const Side *side = &self->sides[VM_CLIP_CLIPBOARD];
  const char *icon = "edit-paste-symbolic";
  g_autofree char *text = NULL;

  if (!state.connected)
    text = g_strdup (_ ("No agent has answered in the guest. It is called spice-vdagent."));
  else if (!state.clipboard)
    text = g_strdup (_ ("The clipboard is not shared: the machine is not set up for it (“clipboard=on”), or the "
                        "guest's agent cannot."));
  else if (self->mode == VM_CLIP_OFF)
    text = g_strdup (_ ("The clipboard is not shared: it is switched off."));
  else
    /* Translators: text, a picture, nothing. */
    text = g_strdup_printf (_ ("Clipboard shared. The guest has %s; this desktop has %s."),
                            _ (words_of_types[side->types]), _ (words_of_types[side->announced]));
  if (!state.connected || !state.clipboard || self->mode == VM_CLIP_OFF)
    icon = "action-unavailable-symbolic";
  gtk_button_set_image (GTK_BUTTON (self->button), gtk_image_new_from_icon_name (icon, GTK_ICON_SIZE_MENU));
  gtk_widget_set_visible (self->button, state.present);
  gtk_widget_set_tooltip_text (self->button, text);
  atk_object_set_name (gtk_widget_get_accessible (self->button), _ ("Clipboard"));
  atk_object_set_description (gtk_widget_get_accessible (self->button), text);
}

/* --- what the desktop has, for the guest ------------------------------------------------------------- */

static void
side_announce (Side *side, unsigned types)
{
  if (!types && !side->announced)
    return;
  side->announced = types;
  vm_clip_bridge_grab (side->ui->bridge, side->selection, types);
  ui_describe (side->ui);
}

static void
side_targets_came (GtkClipboard *clipboard, GdkAtom *atoms, gint n_atoms, gpointer user_data)
{
  Side *side = user_data;
  VmUiClipboard *self = side->ui;
  unsigned types = 0;

  if (self->bridge && !self->focus)
    side->dirty = true; /* not any more */
  else if (self->bridge && !side->ours && !side->dirty)
    {
      if (n_atoms > 0 && gtk_targets_include_text (atoms, n_atoms))
        types |= VM_CLIP_BIT (VM_CLIP_TEXT);
      if (n_atoms > 0 && gtk_targets_include_image (atoms, n_atoms, FALSE))
        types |= VM_CLIP_BIT (VM_CLIP_PNG);
      side_announce (side, types);
    }
  ui_unref (self);
}

/* Looks what there is. */
static void
side_look (Side *side)
{
  side->dirty = false;
  ui_ref (side->ui);
  gtk_clipboard_request_targets (side->clipboard, side_targets_came, side);
}

static void
side_owner_changed (GtkClipboard *clipboard, GdkEvent *event, gpointer user_data)
{
  Side *side = user_data;
  GdkWindow *owner = event->owner_change.owner;

  if (owner && owner == gtk_widget_get_window (side->owner))
    return;
  side->ours = side->pending = false;
  side_announce (side, 0);
  side->dirty = true;
  if (side->ui->focus)
    side_look (side);
}

/* A content on its way from the desktop. */
typedef struct Fetch
{
  Side *side;
  VmClipType type;
} Fetch;

static void
fetch_end (Fetch *fetch, const void *data, size_t size)
{
  VmUiClipboard *self = fetch->side->ui;
  g_autoptr (GBytes) bytes = data && size <= VM_CLIP_MAX ? g_bytes_new (data, size) : NULL;

  if (self->bridge)
    vm_clip_bridge_deliver (self->bridge, fetch->side->selection, fetch->type, bytes);
  ui_unref (self);
  g_free (fetch);
}

static void
fetch_text_came (GtkClipboard *clipboard, const char *text, gpointer fetch)
{
  fetch_end (fetch, text, text ? strlen (text) : 0);
}

/* As it comes; else what GTK can make text of. */
static void
fetch_utf8_came (GtkClipboard *clipboard, GtkSelectionData *data, gpointer fetch)
{
  if (gtk_selection_data_get_length (data) > 0)
    fetch_end (fetch, gtk_selection_data_get_data (data), gtk_selection_data_get_length (data));
  else
    gtk_clipboard_request_text (clipboard, fetch_text_came, fetch);
}

static void
fetch_encoded (GObject *picture, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GMemoryOutputStream) stream = g_object_steal_data (picture, "vitrine-stream");
  bool fine = gdk_pixbuf_save_to_stream_finish (result, NULL);

  fetch_end (user_data, fine ? g_memory_output_stream_get_data (stream) : NULL,
             fine ? g_memory_output_stream_get_data_size (stream) : 0);
}

static void
fetch_picture_came (GtkClipboard *clipboard, GdkPixbuf *picture, gpointer fetch)
{
  if (!picture)
    {
      fetch_end (fetch, NULL, 0);
      return;
    }
  GOutputStream *stream = g_memory_output_stream_new_resizable ();
  g_object_set_data_full (G_OBJECT (picture), "vitrine-stream", stream, g_object_unref);
  gdk_pixbuf_save_to_stream_async (picture, stream, "png", NULL, fetch_encoded, fetch, NULL);
}

/* As PNG where it is one, which keeps it as it is; else whatever GTK can read. */
static void
fetch_png_came (GtkClipboard *clipboard, GtkSelectionData *data, gpointer fetch)
{
  if (gtk_selection_data_get_length (data) > 0)
    fetch_end (fetch, gtk_selection_data_get_data (data), gtk_selection_data_get_length (data));
  else
    gtk_clipboard_request_image (clipboard, fetch_picture_came, fetch);
}

static void
bridge_request (void *opaque, VmClipSelection selection, VmClipType type)
{
  VmUiClipboard *self = opaque;
  Side *side = &self->sides[selection];

  if (!(side->announced & VM_CLIP_BIT (type)))
    {
      vm_clip_bridge_deliver (self->bridge, selection, type, NULL);
      return;
    }
  Fetch *fetch = g_new (Fetch, 1);
  *fetch = (Fetch){ side, type };
  ui_ref (self);
  if (type == VM_CLIP_PNG)
    gtk_clipboard_request_contents (side->clipboard, gdk_atom_intern_static_string ("image/png"), fetch_png_came,
                                    fetch);
  else
    gtk_clipboard_request_contents (side->clipboard, gdk_atom_intern_static_string ("UTF8_STRING"), fetch_utf8_came,
                                    fetch);
}

/* --- what the guest has, for the desktop ------------------------------------------------------------- */

static void
side_forget (Side *side)
{
  for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
    g_clear_pointer (&side->kept[t], g_bytes_unref);
}

/* GTK does not answer for a selection that it has just given up. */
static void
owner_answer (GtkWidget *owner, GdkEvent *event, bool refuse)
{
  const GdkEventSelection *request = &event->selection;

  if (refuse)
    gdk_selection_send_notify (request->requestor, request->selection, request->target, GDK_NONE, request->time);
  else
    gtk_widget_event (owner, event);
}

/* Handles EVENT now. Who asked may have gone, which an X server calls an error. */
static void
owner_handle (GtkWidget *owner, GdkEvent *event, bool refuse)
{
#ifdef GDK_WINDOWING_X11
  GdkDisplay *display = gtk_widget_get_display (owner);

  if (GDK_IS_X11_DISPLAY (display))
    {
      gdk_x11_display_error_trap_push (display);
      owner_answer (owner, event, refuse);
      gdk_x11_display_error_trap_pop_ignored (display);
      return;
    }
#endif
  owner_answer (owner, event, refuse);
}

/* Those who wait get what there is now, which may be nothing. */
static void
side_replay (Side *side, VmClipType type)
{
  GdkEvent *event;

  while ((event = g_queue_pop_head (&side->waiting[type])))
    {
      side->replaying = true;
      owner_handle (side->owner, event, !side->ours);
      side->replaying = false;
      gdk_event_free (event);
    }
}

static void
side_take (Side *side)
{
  GtkTargetList *list = gtk_target_list_new (NULL, 0);
  gint n;

  if (side->types & VM_CLIP_BIT (VM_CLIP_TEXT))
    gtk_target_list_add_text_targets (list, VM_CLIP_TEXT);
  if (side->types & VM_CLIP_BIT (VM_CLIP_PNG))
    gtk_target_list_add (list, gdk_atom_intern_static_string ("image/png"), 0, VM_CLIP_PNG);
  GtkTargetEntry *targets = gtk_target_table_new_from_list (list, &n);
  side->pending = false;
  gtk_selection_clear_targets (side->owner, side->atom);
  gtk_selection_add_targets (side->owner, side->atom, targets, n);
  side->ours = gtk_selection_owner_set (side->owner, side->atom, GDK_CURRENT_TIME);
  gtk_target_table_free (targets, n);
  gtk_target_list_unref (list);
}

static void
bridge_offered (void *opaque, VmClipSelection selection, unsigned types)
{
  VmUiClipboard *self = opaque;
  Side *side = &self->sides[selection];

  side->types = types;
  side_forget (side);
  if (types)
    {
      /* It overtakes ours. */
      side->announced = 0;
      side->dirty = false;
      side->pending = true;
      if (self->focus)
        side_take (side);
    }
  else
    {
      side->pending = false;
      if (side->ours)
        gtk_selection_owner_set_for_display (gtk_widget_get_display (side->owner), NULL, side->atom, GDK_CURRENT_TIME);
      side->ours = false;
    }
  ui_describe (self);
}

static void
bridge_received (void *opaque, VmClipSelection selection, VmClipType type, GBytes *data)
{
  Side *side = &((VmUiClipboard *) opaque)->sides[selection];

  side->kept[type] = data ? g_bytes_ref (data) : NULL;
  side_replay (side, type);
  if (data && g_bytes_get_size (data) > KEPT_MAX)
    g_clear_pointer (&side->kept[type], g_bytes_unref);
}

/* What a program wants by TARGET; false: something about the selection, which GTK knows. */
static bool
type_of_target (GdkAtom target, VmClipType *type)
{
  *type = target == gdk_atom_intern_static_string ("image/png") ? VM_CLIP_PNG : VM_CLIP_TEXT;
  return *type == VM_CLIP_PNG || gtk_targets_include_text (&target, 1);
}

static gboolean
owner_request (GtkWidget *owner, GdkEventSelection *event, gpointer user_data)
{
  Side *side = user_data;
  VmClipType type;

  if (!side->ours)
    {
      owner_handle (owner, (GdkEvent *) event, true);
      return TRUE;
    }
  if (side->replaying || !type_of_target (event->target, &type) || side->kept[type]
      || !(side->types & VM_CLIP_BIT (type)) || side->waiting[type].length >= REQUESTS_MAX)
    return FALSE;
  g_queue_push_tail (&side->waiting[type], gdk_event_copy ((GdkEvent *) event));
  if (side->waiting[type].length == 1)
    vm_clip_bridge_request (side->ui->bridge, side->selection, type);
  return TRUE;
}

static void
owner_get (GtkWidget *owner, GtkSelectionData *data, guint info, guint time, gpointer user_data)
{
  Side *side = user_data;
  GBytes *bytes = info < VM_CLIP_TYPES ? side->kept[info] : NULL;
  gsize size;
  gconstpointer content = bytes ? g_bytes_get_data (bytes, &size) : NULL;

  if (!bytes)
    return; /* GTK says that there is none */
  if (info == VM_CLIP_TEXT)
    gtk_selection_data_set_text (data, content ? content : "", size);
  else
    gtk_selection_data_set (data, gtk_selection_data_get_target (data), 8, content, size);
}

/* --- focus, mode ---------------------------------------------------------------------------------------- */

static bool
a_window_is_active (void)
{
  g_autoptr (GList) windows = gtk_window_list_toplevels ();

  for (GList *l = windows; l; l = l->next)
    if (gtk_window_is_active (l->data))
      return true;
  return false;
}

void
vm_ui_clipboard_focus_changed (VmUiClipboard *self)
{
  bool focus = a_window_is_active ();

  if (self->focus == focus)
    return;
  self->focus = focus;
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS && focus; s++)
    if (self->sides[s].pending)
      side_take (&self->sides[s]);
    else if (self->sides[s].dirty)
      side_look (&self->sides[s]);
}

static void
action_clipboard (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmUiClipboard *self = user_data;
  const char *name = g_variant_get_string (state, NULL);

  for (unsigned i = 0; mode_names[i]; i++)
    if (!strcmp (name, mode_names[i]))
      {
        self->mode = i;
        vm_clip_bridge_set_mode (self->bridge, i);
        g_simple_action_set_state (action, state);
        if (self->preferences)
          g_settings_set_string (self->preferences, "clipboard", name);
      }
  ui_describe (self);
}

static void
action_primary (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmUiClipboard *self = user_data;

  vm_clip_bridge_set_primary (self->bridge, g_variant_get_boolean (state));
  g_simple_action_set_state (action, state);
  if (self->preferences)
    g_settings_set_value (self->preferences, "clipboard-primary", state);
}

void
vm_ui_clipboard_fill (GMenu *menu)
{
  const struct
  {
    const char *label, *action;
  } items[] = {
    { _ ("_Off"), "win.clipboard::off" },
    { _ ("To _Guest"), "win.clipboard::to-guest" },
    { _ ("To This _Desktop"), "win.clipboard::to-host" },
    { _ ("_Both Ways"), "win.clipboard::both" },
  };
  g_autoptr (GMenu) modes = g_menu_new (), more = g_menu_new ();

  for (unsigned i = 0; i < G_N_ELEMENTS (items); i++)
    g_menu_append (modes, items[i].label, items[i].action);
  /* Translators: what is selected with the mouse and pasted with its middle button. */
  g_menu_append (more, _ ("_Selections, Too"), "win.clipboard-primary");
  g_menu_append_section (menu, NULL, G_MENU_MODEL (modes));
  g_menu_append_section (menu, NULL, G_MENU_MODEL (more));
}

/* --- life ---------------------------------------------------------------------------------------------- */

static void
bridge_agent_changed (void *opaque)
{
  ui_describe (opaque);
}

static const VmClipBridgeOps bridge_ops = {
  .offered = bridge_offered,
  .request = bridge_request,
  .received = bridge_received,
  .agent_changed = bridge_agent_changed,
};

static void
side_init (Side *side, VmUiClipboard *self, VmClipSelection selection)
{
  side->ui = self;
  side->selection = selection;
  side->atom = selection == VM_CLIP_PRIMARY ? GDK_SELECTION_PRIMARY : GDK_SELECTION_CLIPBOARD;
  side->clipboard = gtk_clipboard_get (side->atom);
  side->watch = g_signal_connect (side->clipboard, "owner-change", G_CALLBACK (side_owner_changed), side);
  side->owner = g_object_ref_sink (gtk_invisible_new ());
  gtk_widget_realize (side->owner);
  g_signal_connect (side->owner, "selection-request-event", G_CALLBACK (owner_request), side);
  g_signal_connect (side->owner, "selection-get", G_CALLBACK (owner_get), side);
  side->dirty = true;
}

static void
side_clear (Side *side)
{
  side_forget (side);
  for (unsigned t = 0; t < VM_CLIP_TYPES; t++)
    side_replay (side, t);
  g_signal_handler_disconnect (side->clipboard, side->watch);
  gtk_widget_destroy (side->owner);
  g_object_unref (side->owner);
}

static void
ui_add_actions (VmUiClipboard *self)
{
  static const GActionEntry entries[] = {
    { .name = "clipboard", .parameter_type = "s", .state = "'both'", .change_state = action_clipboard },
    { .name = "clipboard-primary", .state = "false", .change_state = action_primary },
  };

  g_action_map_add_action_entries (self->actions, entries, G_N_ELEMENTS (entries), self);
  if (!self->preferences)
    return;
  g_autofree char *mode = g_settings_get_string (self->preferences, "clipboard");
  g_action_change_state (g_action_map_lookup_action (self->actions, "clipboard"), g_variant_new_string (mode));
  g_action_change_state (g_action_map_lookup_action (self->actions, "clipboard-primary"),
                         g_settings_get_value (self->preferences, "clipboard-primary"));
}

VmUiClipboard *
vm_ui_clipboard_new (VmSession *session, GActionMap *actions, GSettings *preferences)
{
  VmUiClipboard *self = g_new0 (VmUiClipboard, 1);
  g_autoptr (GMenu) menu = g_menu_new ();

  self->refs = 1;
  self->session = session;
  self->actions = actions;
  self->preferences = preferences;
  self->mode = VM_CLIP_BOTH;
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    side_init (&self->sides[s], self, s);
  vm_ui_clipboard_fill (menu);
  self->button = g_object_ref_sink (gtk_menu_button_new ());
  gtk_widget_set_name (self->button, "clipboard");
  gtk_button_set_relief (GTK_BUTTON (self->button), GTK_RELIEF_NONE);
  gtk_widget_set_focus_on_click (self->button, FALSE);
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (self->button), G_MENU_MODEL (menu));
  gtk_widget_set_no_show_all (self->button, TRUE);
  self->bridge = vm_clip_bridge_new (vm_session_display (session), &bridge_ops, self);
  ui_add_actions (self);
  ui_describe (self);
  return self;
}

void
vm_ui_clipboard_free (VmUiClipboard *self)
{
  g_action_map_remove_action (self->actions, "clipboard");
  g_action_map_remove_action (self->actions, "clipboard-primary");
  vm_clip_bridge_free (g_steal_pointer (&self->bridge));
  for (unsigned s = 0; s < VM_CLIP_SELECTIONS; s++)
    side_clear (&self->sides[s]);
  g_object_unref (self->button);
  ui_unref (self);
}

GtkWidget *
vm_ui_clipboard_button (VmUiClipboard *self)
{
  return self->button;
}
