/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A revealer, and a line of pixels above it that feels the pointer. */
#include "config.h"

#include "ui/gtk/fullscreen-bar.h"

#include <glib/gi18n-lib.h>

#define FIRST_MS 3000 /* at the beginning, so that one knows it is there */
#define LEAVE_MS 700

typedef struct Bar
{
  GtkWidget *edge, *revealer, *title;
  GtkWidget *menu; /* by the other mouse button, or the menu key */
  bool active, inside;
  guint timer;
} Bar;

static Bar *
bar_of (GtkWidget *edge)
{
  return g_object_get_data (G_OBJECT (edge), "vitrine-bar");
}

static bool
has_open_menu (GtkWidget *widget)
{
  bool open = GTK_IS_TOGGLE_BUTTON (widget) && gtk_toggle_button_get_active (GTK_TOGGLE_BUTTON (widget));

  if (GTK_IS_CONTAINER (widget))
    {
      g_autoptr (GList) children = gtk_container_get_children (GTK_CONTAINER (widget));
      for (GList *at = children; at; at = at->next)
        open |= has_open_menu (at->data);
    }
  return open;
}

static gboolean
bar_hide (gpointer user_data)
{
  Bar *bar = user_data;

  /* A menu of it lies elsewhere. */
  if (bar->inside || has_open_menu (bar->revealer) || gtk_widget_get_visible (bar->menu))
    return G_SOURCE_CONTINUE;
  bar->timer = 0;
  gtk_revealer_set_reveal_child (GTK_REVEALER (bar->revealer), FALSE);
  return G_SOURCE_REMOVE;
}

static void
bar_hide_after (Bar *bar, guint ms)
{
  g_clear_handle_id (&bar->timer, g_source_remove);
  bar->timer = g_timeout_add (ms, bar_hide, bar);
}

static gboolean
bar_crossing (GtkWidget *widget, GdkEventCrossing *event, Bar *bar)
{
  if (event->detail == GDK_NOTIFY_INFERIOR)
    return FALSE;
  bar->inside = event->type == GDK_ENTER_NOTIFY;
  if (bar->inside && bar->active)
    gtk_revealer_set_reveal_child (GTK_REVEALER (bar->revealer), TRUE);
  if (!bar->inside)
    bar_hide_after (bar, LEAVE_MS);
  return FALSE;
}

static void
add_button (GtkWidget *box, const char *label, const char *icon, const char *action)
{
  GtkWidget *button = gtk_button_new_from_icon_name (icon, GTK_ICON_SIZE_BUTTON);

  gtk_widget_set_tooltip_text (button, label);
  atk_object_set_name (gtk_widget_get_accessible (button), label);
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), action);
  gtk_widget_set_focus_on_click (button, FALSE);
  gtk_container_add (GTK_CONTAINER (box), button);
}

static void
add_menu (GtkWidget *box, const char *label, const char *icon, GMenuModel *menu)
{
  GtkWidget *button = gtk_menu_button_new ();

  gtk_container_add (GTK_CONTAINER (button), gtk_image_new_from_icon_name (icon, GTK_ICON_SIZE_BUTTON));
  gtk_widget_set_tooltip_text (button, label);
  atk_object_set_name (gtk_widget_get_accessible (button), label);
  gtk_menu_button_set_use_popover (GTK_MENU_BUTTON (button), FALSE);
  gtk_menu_button_set_menu_model (GTK_MENU_BUTTON (button), menu);
  gtk_widget_set_focus_on_click (button, FALSE);
  gtk_container_add (GTK_CONTAINER (box), button);
}

static gboolean
bar_button (GtkWidget *widget, GdkEventButton *event, Bar *bar)
{
  if (!gdk_event_triggers_context_menu ((GdkEvent *) event))
    return FALSE;
  gtk_menu_popup_at_pointer (GTK_MENU (bar->menu), (GdkEvent *) event);
  return TRUE;
}

/* In the menu only while HIDDEN_WHEN is not so. */
static void
append_at_times (GMenu *menu, const char *label, const char *action, const char *hidden_when)
{
  g_autoptr (GMenuItem) item = g_menu_item_new (label, action);

  g_menu_item_set_attribute (item, "hidden-when", "s", hidden_when);
  g_menu_append_item (menu, item);
}

/* All that the bar's buttons do, in words. */
static GtkWidget *
bar_menu (GtkWidget *over, GMenuModel *send_keys, GMenuModel *power)
{
  g_autoptr (GMenu) all = g_menu_new (), leave = g_menu_new (), rest = g_menu_new ();

  g_menu_append (leave, _ ("_Leave Full Screen"), "win.fullscreen");
  g_menu_append (leave, _ ("_Minimise"), "win.minimise");
  g_menu_append_submenu (rest, _ ("Send _Keys"), send_keys);
  append_at_times (rest, _ ("_Copy Screenshot"), "win.copy-screenshot", "action-disabled");
  append_at_times (rest, _ ("_Copy Screenshot (this tab has no picture)"), "win.no-picture", "action-missing");
  g_menu_append_section (all, NULL, G_MENU_MODEL (leave));
  g_menu_append_section (all, NULL, G_MENU_MODEL (rest));
  g_menu_append_section (all, NULL, power);
  GtkWidget *menu = gtk_menu_new_from_model (G_MENU_MODEL (all));
  gtk_menu_attach_to_widget (GTK_MENU (menu), over, NULL);
  return menu;
}

static void
bar_free (gpointer data)
{
  Bar *bar = data;

  g_clear_handle_id (&bar->timer, g_source_remove);
  g_free (bar);
}

GtkWidget *
vm_fullscreen_bar_new (GtkOverlay *overlay, GMenuModel *send_keys, GMenuModel *power)
{
  Bar *bar = g_new0 (Bar, 1);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 3), *over = gtk_event_box_new (),
            *line = gtk_event_box_new ();

  /* The line keeps the event box one pixel high while the bar is away. */
  bar->edge = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  bar->revealer = gtk_revealer_new ();
  bar->title = gtk_label_new (NULL);
  gtk_label_set_ellipsize (GTK_LABEL (bar->title), PANGO_ELLIPSIZE_END);
  gtk_label_set_max_width_chars (GTK_LABEL (bar->title), 40);
  gtk_style_context_add_class (gtk_widget_get_style_context (box), "vitrine-fullscreen-bar");
  gtk_label_set_xalign (GTK_LABEL (bar->title), 0);
  gtk_box_pack_start (GTK_BOX (box), bar->title, TRUE, TRUE, 12);
  add_menu (box, _ ("Send Keys"), "input-keyboard-symbolic", send_keys);
  add_button (box, _ ("Copy Screenshot"), "camera-photo-symbolic", "win.copy-screenshot");
  add_menu (box, _ ("Power"), "system-shutdown-symbolic", power);
  add_button (box, _ ("Minimise"), "window-minimize-symbolic", "win.minimise");
  add_button (box, _ ("Leave Full Screen"), "view-restore-symbolic", "win.fullscreen");
  gtk_container_add (GTK_CONTAINER (bar->revealer), box);
  gtk_widget_set_size_request (line, 400, 1);
  gtk_event_box_set_visible_window (GTK_EVENT_BOX (line), FALSE);
  gtk_event_box_set_above_child (GTK_EVENT_BOX (line), TRUE);
  gtk_container_add (GTK_CONTAINER (bar->edge), line);
  gtk_container_add (GTK_CONTAINER (bar->edge), over);
  gtk_container_add (GTK_CONTAINER (over), bar->revealer);
  gtk_widget_set_halign (bar->edge, GTK_ALIGN_CENTER);
  gtk_widget_set_valign (bar->edge, GTK_ALIGN_START);
  bar->menu = bar_menu (over, send_keys, power);
  gtk_widget_add_events (over, GDK_BUTTON_PRESS_MASK);
  g_signal_connect (over, "button-press-event", G_CALLBACK (bar_button), bar);
  gtk_widget_show_all (bar->edge);
  gtk_widget_hide (bar->edge);
  gtk_widget_set_no_show_all (bar->edge, TRUE);
  gtk_overlay_add_overlay (overlay, bar->edge);
  GtkWidget *felt[] = { line, over };
  for (unsigned i = 0; i < G_N_ELEMENTS (felt); i++)
    {
      gtk_widget_add_events (felt[i], GDK_ENTER_NOTIFY_MASK | GDK_LEAVE_NOTIFY_MASK);
      g_signal_connect (felt[i], "enter-notify-event", G_CALLBACK (bar_crossing), bar);
      g_signal_connect (felt[i], "leave-notify-event", G_CALLBACK (bar_crossing), bar);
    }
  g_object_set_data_full (G_OBJECT (bar->edge), "vitrine-bar", bar, bar_free);
  return bar->edge;
}

void
vm_fullscreen_bar_set_active (GtkWidget *edge, bool active)
{
  Bar *bar = bar_of (edge);

  if (bar->active == active)
    return;
  bar->active = active;
  bar->inside = false;
  gtk_widget_set_visible (edge, active);
  gtk_revealer_set_reveal_child (GTK_REVEALER (bar->revealer), active);
  if (active)
    bar_hide_after (bar, FIRST_MS);
  else
    g_clear_handle_id (&bar->timer, g_source_remove);
}

void
vm_fullscreen_bar_set_title (GtkWidget *edge, const char *title)
{
  gtk_label_set_text (GTK_LABEL (bar_of (edge)->title), title);
}
