/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's window. Menu, keys and names are those that users of the command line know. */
#include "config.h"

#include "ui/gtk/machine-window-private.h"

#include <glib/gi18n-lib.h>

#include "engine/base/recent.h"
#include "ui/gtk/bars.h"
#include "ui/gtk/drop.h"
#include "ui/gtk/fullscreen-bar.h"
#include "ui/gtk/nics.h"
#include "ui/gtk/notice.h"
#include "ui/gtk/saved-state.h"
#include "ui/gtk/send-keys.h"
#include "ui/gtk/status-strip.h"
#include "ui/gtk/tray.h"

#define SETTLE_MS 300

G_DEFINE_TYPE (VmMachineWindow, vm_machine_window, GTK_TYPE_WINDOW)

/* --- pages ----------------------------------------------------------------------------------------- */

/* What a graphic console's page has; NULL for others. */
VmConsole *
vm_page_console (VmPage *page)
{
  return VM_IS_CONSOLE_PAGE (page) ? vm_console_page_console (VM_CONSOLE_PAGE (page)) : NULL;
}

static VmDisplayWidget *
page_display (VmPage *page)
{
  return VM_IS_CONSOLE_PAGE (page) ? vm_console_page_display (VM_CONSOLE_PAGE (page)) : NULL;
}

VmInputController *
vm_page_input (VmPage *page)
{
  return VM_IS_CONSOLE_PAGE (page) ? vm_console_page_input (VM_CONSOLE_PAGE (page)) : NULL;
}

static VmText *
page_text (VmPage *page)
{
  return VM_IS_TERMINAL_PAGE (page) ? vm_terminal_page_text (VM_TERMINAL_PAGE (page)) : NULL;
}

bool
vm_window_is_detached (VmMachineWindow *self, VmPage *page)
{
  return gtk_widget_get_parent (GTK_WIDGET (page)) != self->notebook;
}

/* Where PAGE's tab belongs: after those of the pages before it that are not in windows of their own. */
static int
window_tab_place (VmMachineWindow *self, VmPage *page)
{
  int place = 0;

  for (unsigned i = 0; self->pages->pdata[i] != page; i++)
    place += !vm_window_is_detached (self, self->pages->pdata[i]);
  return place;
}

/* The page that keys go to: that of an active detached window, else the tab in front. */
VmPage *
vm_window_current_page (VmMachineWindow *self)
{
  for (unsigned i = 0; i < self->pages->len; i++)
    {
      VmPage *page = self->pages->pdata[i];
      GtkWidget *top = gtk_widget_get_toplevel (GTK_WIDGET (page));

      if (vm_window_is_detached (self, page) && GTK_IS_WINDOW (top) && gtk_window_is_active (GTK_WINDOW (top)))
        return page;
    }
  int current = gtk_notebook_get_current_page (GTK_NOTEBOOK (self->notebook));
  GtkWidget *page = gtk_notebook_get_nth_page (GTK_NOTEBOOK (self->notebook), current);
  return page ? VM_PAGE (page) : NULL;
}

VmInputController *
vm_window_current_input (VmMachineWindow *self)
{
  VmPage *page = vm_window_current_page (self);

  return page ? vm_page_input (page) : NULL;
}

void
vm_window_apply_hold (VmMachineWindow *self)
{
  for (unsigned i = 0; i < self->pages->len; i++)
    if (vm_page_input (self->pages->pdata[i]))
      vm_input_controller_set_hold (vm_page_input (self->pages->pdata[i]),
                                    self->hold_focused || (self->hold_fullscreen && self->fullscreen));
}

void
vm_window_release_all (VmMachineWindow *self)
{
  for (unsigned i = 0; i < self->pages->len; i++)
    {
      VmInputController *input = vm_page_input (self->pages->pdata[i]);

      if (!input)
        continue;
      vm_input_controller_set_grab (input, false);
      vm_input_controller_release_keys (input);
    }
}

/* --- title and states ------------------------------------------------------------------------------ */

static char *
window_machine_title (VmMachineWindow *self)
{
  const char *name = vm_session_name (self->session);

  /* Translators: %s is the machine's name. */
  return name ? g_strdup_printf (_("Vitrine (%s)"), name) : g_strdup (_("Vitrine"));
}

static void
window_update_page (VmMachineWindow *self, VmPage *page)
{
  VmInputController *input = vm_page_input (page);
  bool grab = input && vm_input_controller_has_grab (input);

  if (page_display (page))
    {
      const char *state = vm_session_is_running (self->session)
                            ? (grab ? _("running, input grabbed") : _("running"))
                            : (self->notice ? self->notice : _("paused"));
      vm_display_widget_describe (page_display (page), state);
    }
  if (vm_window_is_detached (self, page))
    {
      g_autofree char *machine = window_machine_title (self);
      g_autofree char *title
        = g_strdup_printf ("%s: %s%s%s", machine, vm_page_title (page), grab ? " +kbd" : "",
                           input && vm_input_controller_has_pointer (input) ? " +ptr" : "");
      gtk_window_set_title (GTK_WINDOW (gtk_widget_get_toplevel (GTK_WIDGET (page))), title);
    }
}

static void
window_set_state (VmMachineWindow *self, const char *action, GVariant *state)
{
  GAction *found = g_action_map_lookup_action (G_ACTION_MAP (self->actions), action);

  g_simple_action_set_state (G_SIMPLE_ACTION (found), state);
}

static void
window_set_enabled (VmMachineWindow *self, const char *action, bool enabled)
{
  GAction *found = g_action_map_lookup_action (G_ACTION_MAP (self->actions), action);

  g_simple_action_set_enabled (G_SIMPLE_ACTION (found), enabled);
}

/* Items that say why they are off have an action of their own, which is there, and off, while that is so. */
static void
window_set_reason (VmMachineWindow *self, const char *reason, bool so)
{
  GActionMap *map = G_ACTION_MAP (self->actions);

  if (!so)
    {
      g_action_map_remove_action (map, reason);
      return;
    }
  if (g_action_map_lookup_action (map, reason))
    return;
  g_autoptr (GSimpleAction) action = g_simple_action_new (reason, NULL);
  g_simple_action_set_enabled (action, FALSE);
  g_action_map_add_action (map, G_ACTION (action));
}

/* Whether a window of ours, which all are this machine's, has the person before it. */
static bool
any_window_is_active (void)
{
  GList *all = gtk_window_list_toplevels ();
  bool active = false;

  for (GList *at = all; at; at = at->next)
    active |= gtk_window_is_active (at->data);
  g_list_free (all);
  return active;
}

/* Those of terminals, besides "copy". */
static const char *const text_actions[] = { "paste", "select-all", "find" };

/* Title, check marks and descriptions after anything changed. */
static void
window_update (VmMachineWindow *self)
{
  VmPage *current = vm_window_current_page (self);
  VmInputController *input = vm_window_current_input (self);
  bool running = vm_session_is_running (self->session);
  bool grabbed = false;

  for (unsigned i = 0; i < self->pages->len; i++)
    {
      VmPage *page = self->pages->pdata[i];

      window_update_page (self, page);
      if (vm_page_input (page) && !vm_window_is_detached (self, page))
        grabbed |= vm_input_controller_has_grab (vm_page_input (page));
    }

  g_autofree char *machine = window_machine_title (self);
  /* Translators: %s is a key chord, such as "Ctrl+Alt+G". */
  g_autofree char *hint
      = grabbed ? g_strdup_printf (_ (" - Press %s to release grab"), self->grab_label) : g_strdup ("");
  g_autofree char *title = g_strconcat (machine, running ? "" : _ (" [Paused]"), hint, NULL);
  gtk_window_set_title (GTK_WINDOW (self), title);
  vm_fullscreen_bar_set_title (self->fullscreen_bar, title);

  vm_status_strip_update (VM_STATUS_STRIP (self->strip), current ? page_display (current) : NULL,
                          input && vm_input_controller_has_grab (input) ? self->grab_label : NULL);
  window_set_state (self, "pause", g_variant_new_boolean (!running));
  window_set_state (self, "grab-input", g_variant_new_boolean (input && vm_input_controller_has_grab (input)));
  window_set_enabled (self, "grab-input", input != NULL);
  window_set_enabled (self, "screenshot", input != NULL);
  window_set_enabled (self, "copy-screenshot", input != NULL);
  window_set_enabled (self, "type-clipboard", input && running);
  bool console = current && (vm_page_console (current) || page_text (current));
  window_set_enabled (self, "detach-tab", console);
  window_set_reason (self, "no-picture", !input);
  window_set_reason (self, "not-running", input && !running);
  window_set_reason (self, "no-console", !console);
  window_set_enabled (self, "copy", current && page_text (current)
                                      && vm_terminal_page_has_selection (VM_TERMINAL_PAGE (current)));
  for (unsigned i = 0; i < G_N_ELEMENTS (text_actions); i++)
    window_set_enabled (self, text_actions[i], current && page_text (current));
  for (unsigned i = 0; i < self->pages->len; i++)
    if (self->pages->pdata[i] == current)
      window_set_state (self, "console", g_variant_new_int32 (i));
  if (self->clipboard)
    vm_ui_clipboard_focus_changed (self->clipboard);
  if (self->bus && any_window_is_active ())
    vm_session_bus_tell (self->bus, NULL, NULL);
}

/* Somebody waits for it, and does other things meanwhile. */
static void
window_job_ended (VmMachineWindow *self, const char *title, const char *error)
{
  const char *name = vm_session_name (self->session);

  if (!self->bus || any_window_is_active ())
    return;
  /* Translators: what was done, such as "Taking snapshot “x”"; then why it failed. */
  g_autofree char *text
      = error ? g_strdup_printf (_ ("%s: failed. %s"), title, error) : g_strdup_printf (_ ("%s: it is over."), title);
  vm_session_bus_tell (self->bus, name ? name : _ ("Vitrine"), text);
}

/* --- size ------------------------------------------------------------------------------------------ */

static bool
window_is_free_to_size (VmMachineWindow *self)
{
  GdkWindow *window = gtk_widget_get_window (GTK_WIDGET (self));
  GdkWindowState fixed = GDK_WINDOW_STATE_FULLSCREEN | GDK_WINDOW_STATE_MAXIMIZED | GDK_WINDOW_STATE_TILED;

  return !self->fullscreen && !(window && gdk_window_get_state (window) & fixed);
}

/* Makes the window that big, but not bigger than the screen has room for, and keeps it on the screen. */
static void
window_resize (VmMachineWindow *self, int width, int height)
{
  GdkWindow *window = gtk_widget_get_window (GTK_WIDGET (self));
  GdkRectangle area, frame;

  if (!window)
    {
      gtk_window_set_default_size (GTK_WINDOW (self), width, height);
      return;
    }
  gdk_monitor_get_workarea (gdk_display_get_monitor_at_window (gdk_window_get_display (window), window), &area);
  gdk_window_get_frame_extents (window, &frame);
  int border_width = frame.width - gdk_window_get_width (window);
  int border_height = frame.height - gdk_window_get_height (window);
  width = MIN (width, MAX (area.width - border_width, 1));
  height = MIN (height, MAX (area.height - border_height, 1));
  gtk_window_resize (GTK_WINDOW (self), width, height);

  int x = MIN (frame.x, area.x + area.width - width - border_width);
  int y = MIN (frame.y, area.y + area.height - height - border_height);
  if (x != frame.x || y != frame.y)
    gtk_window_move (GTK_WINDOW (self), MAX (x, area.x), MAX (y, area.y));
}

/* States come after sizes: on the way to a full screen its size does not count. */
static gboolean
window_size_settled (gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->settling = 0;
  if (window_is_free_to_size (self))
    gtk_window_get_size (GTK_WINDOW (self), &self->kept.width, &self->kept.height);
  return G_SOURCE_REMOVE;
}

static gboolean
window_configured (GtkWidget *widget, GdkEvent *event, VmMachineWindow *self)
{
  g_clear_handle_id (&self->settling, g_source_remove);
  self->settling = g_timeout_add (SETTLE_MS, window_size_settled, self);
  return FALSE;
}

/* As big as it was, if the screen still is. A window of a fixed zoom follows the picture. */
static void
window_restore_size (VmMachineWindow *self)
{
  GdkDisplay *display = gtk_widget_get_display (GTK_WIDGET (self));
  GdkMonitor *monitor = gdk_display_get_primary_monitor (display);
  GdkRectangle area;

  monitor = monitor ? monitor : gdk_display_get_monitor (display, 0);
  if (self->zoom.mode == VM_ZOOM_FIXED || !self->kept.width || !self->kept.height || !monitor)
    return;
  gdk_monitor_get_workarea (monitor, &area);
  gtk_window_set_default_size (GTK_WINDOW (self), MIN (self->kept.width, area.width), MIN (self->kept.height, area.height));
}

static void
window_take_wanted_size (VmMachineWindow *self)
{
  VmPage *page = vm_window_current_page (self);
  GtkWidget *box = gtk_bin_get_child (GTK_BIN (self));
  int width, height;

  if (!page || vm_window_is_detached (self, page) || !window_is_free_to_size (self))
    return;
  vm_page_wanted_size (page, &width, &height);
  /* What is around the page, by how it lies now. */
  width += gtk_widget_get_allocated_width (box) - gtk_widget_get_allocated_width (GTK_WIDGET (page));
  height += gtk_widget_get_allocated_height (box) - gtk_widget_get_allocated_height (GTK_WIDGET (page));
  window_resize (self, width, height);
}

static gboolean
window_follow_tick (GtkWidget *widget, GdkFrameClock *clock, gpointer user_data)
{
  VmMachineWindow *self = VM_MACHINE_WINDOW (widget);

  /* The first tick comes before this frame's layout, the second after it. */
  if (++self->follow_ticks < 2)
    return G_SOURCE_CONTINUE;
  self->follow = 0;
  window_take_wanted_size (self);
  return G_SOURCE_REMOVE;
}

/* Makes the window as big as the picture wants, once things lie where they will. */
static void
window_follow_guest (VmMachineWindow *self)
{
  self->follow_ticks = 0;
  if (!self->follow)
    self->follow = gtk_widget_add_tick_callback (GTK_WIDGET (self), window_follow_tick, NULL, NULL);
}

/* A full screen is filled, whatever the zoom of the window. */
static VmZoom
window_zoom_now (VmMachineWindow *self)
{
  VmZoom zoom = self->zoom;

  if (self->fullscreen && zoom.mode == VM_ZOOM_FIXED)
    zoom.mode = VM_ZOOM_FIT;
  return zoom;
}

void
vm_window_apply_zoom (VmMachineWindow *self)
{
  const VmZoom zoom = window_zoom_now (self);

  for (unsigned i = 0; i < self->pages->len; i++)
    vm_page_set_zoom (self->pages->pdata[i], &zoom);
  if (self->zoom.mode == VM_ZOOM_FIXED)
    window_follow_guest (self);
  window_set_state (self, "zoom-to-fit", g_variant_new_boolean (self->zoom.mode == VM_ZOOM_FIT));
  window_set_state (self, "integer-scaling", g_variant_new_boolean (self->zoom.mode == VM_ZOOM_INTEGER));
  window_set_state (self, "zoom", g_variant_new_int32 (self->zoom.mode == VM_ZOOM_FIXED ? (int) self->zoom.percent : 0));
  window_set_state (self, "device-pixels", g_variant_new_boolean (!self->zoom.logical));
  window_set_state (self, "resize-guest", g_variant_new_boolean (self->zoom.hints));
}

static void
window_display_resized (VmMachineWindow *self)
{
  /* A window that fits the picture to itself keeps its size. */
  if (self->zoom.mode == VM_ZOOM_FIXED)
    window_follow_guest (self);
  window_update (self);
}

void
vm_window_show_chrome (VmMachineWindow *self)
{
  gtk_widget_set_visible (self->menubar, self->show_menubar && !self->fullscreen);
  gtk_widget_set_visible (self->strip, self->show_status && !self->fullscreen);
  gtk_notebook_set_show_tabs (GTK_NOTEBOOK (self->notebook), self->options.show_tabs && !self->fullscreen);
  vm_fullscreen_bar_set_active (self->fullscreen_bar, self->fullscreen);
  if (self->zoom.mode == VM_ZOOM_FIXED)
    window_follow_guest (self);
}

/* --- adding and taking away pages ------------------------------------------------------------------ */

static gboolean
window_key_press (GtkWidget *window, GdkEventKey *event, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (window));

  if (vm_shortcuts_activate (window, event, &self->grab_keys))
    {
      if (vm_window_current_input (self))
        vm_input_controller_spoil_tap (vm_window_current_input (self));
      return TRUE;
    }
  /* Mnemonics and F10 belong to the guest while it has the keyboard. */
  return VM_IS_DISPLAY_WIDGET (focus) && gtk_window_propagate_key_event (GTK_WINDOW (window), event);
}

/* Graphic consoles come before the texts. */
static void
window_add_page (VmMachineWindow *self, GtkWidget *page)
{
  guint at = 0;

  while (at < self->pages->len && (VM_IS_TERMINAL_PAGE (page) || VM_IS_CONSOLE_PAGE (self->pages->pdata[at])))
    at++;
  g_ptr_array_insert (self->pages, at, page);
  gtk_notebook_insert_page (GTK_NOTEBOOK (self->notebook), page, gtk_label_new (vm_page_title (VM_PAGE (page))),
                            window_tab_place (self, VM_PAGE (page)));
  gtk_notebook_set_tab_detachable (GTK_NOTEBOOK (self->notebook), page, TRUE);
  const VmZoom zoom = window_zoom_now (self);
  vm_page_set_zoom (VM_PAGE (page), &zoom);
  vm_page_set_notice (VM_PAGE (page), self->notice, vm_notice_remedy (vm_session_state (self->session)));
}

/* Ctrl+Alt alone lets go of a grab; without one the focus goes to what is around the guest, where all keys of the
 * desktop work: F10 and Alt open menus, Tab goes on. */
static void
window_tapped (VmMachineWindow *self)
{
  VmInputController *input = vm_window_current_input (self);
  GtkWidget *const places[] = { self->bars, self->jobs, self->strip };

  if (input && vm_input_controller_has_grab (input))
    {
      vm_input_controller_set_grab (input, false);
      return;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (places); i++)
    if (gtk_widget_get_visible (places[i]) && gtk_widget_child_focus (places[i], GTK_DIR_TAB_FORWARD))
      return;
}

static void
window_add_console (VmMachineWindow *self, VmConsole *console)
{
  GtkWidget *page = vm_console_page_new (self->session, console, &self->options);

  window_add_page (self, page);
  if (!console)
    return;
  g_signal_connect_object (page_display (VM_PAGE (page)), "resized", G_CALLBACK (window_display_resized), self,
                           G_CONNECT_SWAPPED);
  VmInputController *input = vm_page_input (VM_PAGE (page));
  g_signal_connect_object (input, "changed", G_CALLBACK (window_update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (input, "tapped", G_CALLBACK (window_tapped), self, G_CONNECT_SWAPPED);
  vm_window_apply_hold (self);
}

static void
window_add_text (VmMachineWindow *self, VmText *text)
{
  GtkWidget *page = vm_terminal_page_new (text);

  window_add_page (self, page);
  g_signal_connect_object (page, "selection-changed", G_CALLBACK (window_update), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (page, "pasting", G_CALLBACK (vm_window_show_pasting), self, G_CONNECT_SWAPPED);
}

static void
window_remove_page (VmMachineWindow *self, VmPage *page)
{
  GtkWidget *top = gtk_widget_get_toplevel (GTK_WIDGET (page));
  bool detached = vm_window_is_detached (self, page);

  g_ptr_array_remove (self->pages, page);
  gtk_widget_destroy (GTK_WIDGET (page));
  if (detached)
    gtk_widget_destroy (top);
}

static void
window_fill_consoles_menu (VmMachineWindow *self)
{
  g_menu_remove_all (self->consoles_menu);
  for (unsigned i = 0; i < self->pages->len; i++)
    {
      VmPage *page = self->pages->pdata[i];

      if (!vm_page_console (page) && !page_text (page))
        continue;
      /* Names are not labels: an underscore in them is no mnemonic. */
      g_auto (GStrv) parts = g_strsplit (vm_page_title (page), "_", -1);
      g_autofree char *label = g_strjoinv ("__", parts);
      g_autoptr (GMenuItem) item = g_menu_item_new (label, NULL);
      g_menu_item_set_action_and_target (item, "win.console", "i", i);
      if (i < 9)
        {
          g_autofree char *accel = g_strdup_printf ("<Control><Alt>%u", i + 1);
          g_menu_item_set_attribute (item, "accel", "s", accel);
        }
      g_menu_append_item (self->consoles_menu, item);
    }
}

/* Makes the pages those of the consoles and texts there are now. */
static void
window_sync_pages (VmMachineWindow *self)
{
  VmDisplay *display = vm_session_display (self->session);
  g_autoptr (GPtrArray) consoles = g_ptr_array_new (), texts = vm_session_texts (self->session);
  g_autoptr (GPtrArray) new_texts = g_ptr_array_new ();

  for (unsigned i = 0; i < vm_display_n_consoles (display); i++)
    {
      VmConsole *console = vm_display_console (display, i);

      if (console && !vm_console_is_text (console)) /* texts have pages of their own */
        g_ptr_array_add (consoles, console);
    }
  for (unsigned i = 0; i < texts->len; i++)
    if (!vm_text_stream (texts->pdata[i]))
      g_ptr_array_add (new_texts, texts->pdata[i]);
  if (!consoles->len && !texts->len)
    g_ptr_array_add (consoles, NULL);

  for (unsigned i = self->pages->len; i-- > 0;)
    {
      VmPage *page = self->pages->pdata[i];
      bool there = VM_IS_TERMINAL_PAGE (page) ? g_ptr_array_remove (new_texts, page_text (page))
                                              : g_ptr_array_remove (consoles, vm_page_console (page));
      if (!there)
        window_remove_page (self, page);
    }
  for (unsigned i = 0; i < consoles->len; i++)
    window_add_console (self, consoles->pdata[i]);
  for (unsigned i = 0; i < new_texts->len; i++)
    window_add_text (self, new_texts->pdata[i]);
  window_fill_consoles_menu (self);
  if (vm_window_current_page (self))
    vm_page_focus (vm_window_current_page (self));
  window_update (self);
}

static void
window_switch_page (VmMachineWindow *self)
{
  VmPage *page = vm_window_current_page (self);

  vm_window_release_all (self);
  if (page)
    vm_page_focus (page);
  if (self->zoom.mode == VM_ZOOM_FIXED)
    window_follow_guest (self);
  window_update (self);
}

/* --- tabs in windows of their own ------------------------------------------------------------------ */

/* A display's GL state does not survive the move; its widget makes it anew. */
static void
window_move_page (VmPage *page, GtkWidget *from, GtkWidget *to)
{
  g_object_ref (page);
  gtk_container_remove (GTK_CONTAINER (from), GTK_WIDGET (page));
  gtk_container_add (GTK_CONTAINER (to), GTK_WIDGET (page));
  g_object_unref (page);
}

static gboolean
window_attach (GtkWidget *window, GdkEvent *event, VmMachineWindow *self)
{
  VmPage *page = VM_PAGE (gtk_bin_get_child (GTK_BIN (window)));
  int place = window_tab_place (self, page);

  window_move_page (page, window, self->notebook);
  gtk_notebook_set_tab_label_text (GTK_NOTEBOOK (self->notebook), GTK_WIDGET (page), vm_page_title (page));
  gtk_notebook_set_tab_detachable (GTK_NOTEBOOK (self->notebook), GTK_WIDGET (page), TRUE);
  gtk_notebook_reorder_child (GTK_NOTEBOOK (self->notebook), GTK_WIDGET (page), place);
  gtk_notebook_set_current_page (GTK_NOTEBOOK (self->notebook), place);
  gtk_widget_destroy (window);
  vm_page_focus (page);
  window_update (self);
  return TRUE;
}

GtkWidget *
vm_window_detach (VmMachineWindow *self, VmPage *page)
{
  GtkWidget *window = gtk_window_new (GTK_WINDOW_TOPLEVEL);
  int width, height;

  vm_page_wanted_size (page, &width, &height);
  gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  gtk_widget_insert_action_group (window, "win", G_ACTION_GROUP (self->actions));
  g_signal_connect_object (window, "key-press-event", G_CALLBACK (window_key_press), self, 0);
  g_signal_connect_object (window, "delete-event", G_CALLBACK (window_attach), self, 0);
  g_signal_connect_object (window, "notify::is-active", G_CALLBACK (window_update), self, G_CONNECT_SWAPPED);
  window_move_page (page, self->notebook, window);
  gtk_widget_show (window);
  vm_page_focus (page);
  window_update (self);
  return window;
}

/* --- a full screen on several monitors --------------------------------------------------------------- */

#define ON_MONITOR "vitrine-on-monitor" /* marks windows that go with the full screen */

/* The tab in front fills the monitor it is on; the other pictures get one each while there are any. */
static void
window_fill_monitors (VmMachineWindow *self)
{
  GdkDisplay *display = gtk_widget_get_display (GTK_WIDGET (self));
  GdkMonitor *own = gdk_display_get_monitor_at_window (display, gtk_widget_get_window (GTK_WIDGET (self)));
  int current = gtk_notebook_get_current_page (GTK_NOTEBOOK (self->notebook)), next = 0;
  GtkWidget *front = gtk_notebook_get_nth_page (GTK_NOTEBOOK (self->notebook), current);

  own = own ? own : gdk_display_get_monitor (display, 0);
  for (unsigned i = 0; i < self->pages->len; i++)
    {
      VmPage *page = self->pages->pdata[i];

      if (GTK_WIDGET (page) == front || !vm_page_console (page) || vm_window_is_detached (self, page))
        continue;
      if (gdk_display_get_monitor (display, next) == own)
        next++;
      if (next >= gdk_display_get_n_monitors (display))
        return;
      GtkWidget *top = vm_window_detach (self, page);
      g_object_set_data (G_OBJECT (top), ON_MONITOR, self);
      gtk_window_fullscreen_on_monitor (GTK_WINDOW (top), gtk_widget_get_screen (top), next++);
    }
}

static void
window_leave_monitors (VmMachineWindow *self)
{
  int current = gtk_notebook_get_current_page (GTK_NOTEBOOK (self->notebook));
  GtkWidget *front = gtk_notebook_get_nth_page (GTK_NOTEBOOK (self->notebook), current);

  for (unsigned i = 0; i < self->pages->len; i++)
    {
      GtkWidget *top = gtk_widget_get_toplevel (self->pages->pdata[i]);

      if (g_object_get_data (G_OBJECT (top), ON_MONITOR))
        window_attach (top, NULL, self);
    }
  if (front)
    gtk_notebook_set_current_page (GTK_NOTEBOOK (self->notebook),
                                   gtk_notebook_page_num (GTK_NOTEBOOK (self->notebook), front));
}

static gboolean
window_state_changed (GtkWidget *widget, GdkEventWindowState *event)
{
  VmMachineWindow *self = VM_MACHINE_WINDOW (widget);

  if (event->changed_mask & GDK_WINDOW_STATE_FULLSCREEN)
    {
      self->fullscreen = event->new_window_state & GDK_WINDOW_STATE_FULLSCREEN;
      vm_window_show_chrome (self);
      vm_window_apply_zoom (self);
      vm_window_apply_hold (self);
      if (self->fullscreen)
        window_fill_monitors (self);
      else
        window_leave_monitors (self);
    }
  return GTK_WIDGET_CLASS (vm_machine_window_parent_class)->window_state_event (widget, event);
}

static gboolean
window_detach_dragged (gpointer page)
{
  GtkWidget *window = gtk_widget_get_toplevel (page);

  if (VM_IS_MACHINE_WINDOW (window))
    vm_window_detach (VM_MACHINE_WINDOW (window), page);
  g_object_unref (page);
  return G_SOURCE_REMOVE;
}

/* A tab was dropped where nothing takes it. GTK is not done with it before this returns. */
static GtkNotebook *
window_tab_dragged_out (GtkNotebook *notebook, GtkWidget *page, int x, int y, VmMachineWindow *self)
{
  g_idle_add (window_detach_dragged, g_object_ref (page));
  return NULL;
}

/* --- the machine ----------------------------------------------------------------------------------- */

static void
window_set_notice (VmMachineWindow *self, char *text)
{
  g_free (self->notice);
  self->notice = text;
  for (unsigned i = 0; i < self->pages->len; i++)
    vm_page_set_notice (self->pages->pdata[i], text, vm_notice_remedy (vm_session_state (self->session)));
}

static void
window_continue (gpointer user_data)
{
  vm_session_cont (VM_MACHINE_WINDOW (user_data)->session);
}

/* Trouble with a disk. */
static void
window_tell_event (VmMachineWindow *self, const char *name, const char *data)
{
  const VmChoice retry = { _("_Retry"), window_continue };
  bool stopped;
  g_autofree char *text = vm_bars_text_of_event (name, data, &stopped);

  if (text)
    vm_bars_show (self->bars, stopped ? "disk" : "image", stopped ? GTK_MESSAGE_WARNING : GTK_MESSAGE_ERROR, text, &retry,
                  stopped, self);
}

/* Those that say something about media, disks and cables. */
static bool
event_is_of_devices (const char *name)
{
  static const char *const names[] = { "DEVICE_TRAY_MOVED", "DEVICE_DELETED", "BLOCK_JOB_COMPLETED", "NIC_RX_FILTER_CHANGED",
                                       "JOB_STATUS_CHANGE" };
  bool found = false;

  for (unsigned i = 0; i < G_N_ELEMENTS (names); i++)
    found |= !strcmp (name, names[i]);
  return found;
}

void
vm_machine_window_session_event (VmMachineWindow *self, VmSessionEvent event, const char *name, const char *data)
{
  if (name)
    {
      g_autofree char *line = g_strdup_printf ("%s %s", name, data ? data : "");
      vm_log_remember (line);
    }
  switch (event)
    {
    case VM_SESSION_STATE:
      /* A machine that needs a person shows itself. */
      if (!gtk_widget_get_visible (GTK_WIDGET (self)) && vm_notice_remedy (vm_session_state (self->session)))
        vm_window_present (self);
      if (vm_session_is_running (self->session))
        vm_bars_hide (self->bars, "disk");
      else
        vm_window_release_all (self);
      if (vm_session_state (self->session) == VM_RUN_SHUTDOWN)
        vm_window_stop_waiting (self);
      if (!self->notice || vm_session_state (self->session) != VM_RUN_SHUTDOWN)
        window_set_notice (self, vm_notice_of_state (vm_session_state (self->session)));
      else
        window_set_notice (self, g_strdup (self->notice)); /* with what may be done about it now */
      break;
    case VM_SESSION_SHUTDOWN:
      window_set_notice (self, vm_notice_of_shutdown (data));
      break;
    case VM_SESSION_RESET:
      vm_window_stop_waiting (self);
      window_set_notice (self, vm_notice_of_state (vm_session_state (self->session)));
      break;
    case VM_SESSION_CONSOLES:
    case VM_SESSION_TEXTS:
      window_sync_pages (self);
      break;
    case VM_SESSION_QMP:
      window_tell_event (self, name, data);
      vm_jobs_event (VM_JOBS (self->jobs), name, data);
      vm_remote_event (self->remote, name);
      vm_nics_event (&self->attach, name, data);
      if (event_is_of_devices (name))
        vm_devices_refresh (self->devices);
      return;
    default:
      return;
    }
  window_update (self);
}

void
vm_machine_window_set_bus (VmMachineWindow *self, VmSessionBus *bus)
{
  self->bus = bus;
}

void
vm_machine_window_abandon (VmMachineWindow *self)
{
  for (unsigned i = 0; i < self->pages->len; i++)
    if (page_display (self->pages->pdata[i]))
      vm_display_widget_abandon (page_display (self->pages->pdata[i]));
}

/* --- window ---------------------------------------------------------------------------------------- */

static gboolean
window_delete (GtkWidget *widget, GdkEventAny *event)
{
  VmMachineWindow *self = VM_MACHINE_WINDOW (widget);

  const VmChoice choices[] = { { _ ("Keep _Running"), vm_window_keep_running, "keep" },
                               { _ ("Sa_ve and Close"), vm_window_save_and_close, "save" },
                               { _ ("_Shut Down"), vm_window_power_down, "shut-down" },
                               { _ ("_Power Off"), vm_window_force_off, "power-off" } };
  /* Only where something can bring the window back. */
  unsigned first = self->bus && vm_session_bus_is_connected (self->bus) ? 0 : 1;

  const char *text = _ ("Saved, it goes on from here at its next start. Shutting it down lets the guest save its work. "
                        "Powering it off does not.");
  if (first == 0)
    text = _ ("It can run on without a window: a notification brings that back. Saved, it goes on from here at its next "
              "start. Shutting it down lets the guest save its work. Powering it off does not.");

  /* What is right for one machine is not for another. */
  const char *name = vm_session_name (self->session);
  g_autofree char *question = name ? g_strconcat ("close:", name, NULL) : g_strdup ("close");

  if (self->options.window_close && vm_session_state (self->session) == VM_RUN_SHUTDOWN)
    vm_session_quit (self->session);
  else if (self->options.window_close)
    vm_ask (GTK_WINDOW (self), self->preferences, question, _ ("The machine is still on."), text, choices + first,
            G_N_ELEMENTS (choices) - first, G_OBJECT (self));
  return TRUE; /* the window goes when the machine has gone */
}

static void
window_dispose (GObject *object)
{
  VmMachineWindow *self = VM_MACHINE_WINDOW (object);

  if (self->devices)
    { /* the first time */
      g_clear_handle_id (&self->settling, g_source_remove);
      window_size_settled (self);
      self->kept.zoom = self->zoom;
      vm_kept_save (vm_session_settings (self->session), &self->kept);
    }
  g_clear_handle_id (&self->settling, g_source_remove);
  vm_window_drop_devices (self);
  if (self->pages)
    {
      g_signal_handlers_disconnect_by_data (self->notebook, self);
      while (self->pages->len)
        window_remove_page (self, self->pages->pdata[self->pages->len - 1]);
      g_clear_pointer (&self->pages, g_ptr_array_unref);
    }
  g_clear_handle_id (&self->patience, g_source_remove);
  g_clear_pointer (&self->clipboard, vm_ui_clipboard_free);
  g_clear_object (&self->actions);
  g_clear_object (&self->preferences);
  g_clear_object (&self->consoles_menu);
  g_clear_object (&self->devices_menu);
  g_clear_pointer (&self->notice, g_free);
  g_clear_pointer (&self->folder, g_free);
  g_clear_pointer (&self->grab_label, g_free);
  G_OBJECT_CLASS (vm_machine_window_parent_class)->dispose (object);
}

static void
vm_machine_window_class_init (VmMachineWindowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = window_dispose;
  GTK_WIDGET_CLASS (klass)->delete_event = window_delete;
  GTK_WIDGET_CLASS (klass)->window_state_event = window_state_changed;
}

/* The menu says which keys they are. SECTION's last item is that of the grab. */
static void
window_show_grab_keys (VmMachineWindow *self, GMenu *section)
{
  int last = g_menu_model_get_n_items (G_MENU_MODEL (section)) - 1;
  g_autoptr (GMenuItem) item = g_menu_item_new_from_model (G_MENU_MODEL (section), last);
  g_autofree char *accel = vm_grab_keys_accelerator (&self->grab_keys);

  g_menu_item_set_attribute (item, "accel", "s", accel);
  g_menu_remove (section, last);
  g_menu_append_item (section, item);
}

static void
vm_machine_window_init (VmMachineWindow *self)
{
  self->pages = g_ptr_array_new ();
  self->preferences = vm_preferences_new ();
  self->zoom = (VmZoom) { .percent = 100, .hints = true };
  g_autofree char *grab = vm_preferences_text (self->preferences, "grab-keys", VM_GRAB_KEYS);
  self->grab_keys = vm_grab_keys_parse (grab);
  self->grab_label = vm_grab_keys_label (&self->grab_keys);
  self->actions = g_simple_action_group_new ();
  vm_window_add_actions (self);
  vm_window_add_device_actions (self);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "win", G_ACTION_GROUP (self->actions));

  g_autoptr (GtkBuilder) builder = gtk_builder_new_from_resource ("/vitrine/ui/machine-window.ui");
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  self->consoles_menu = g_object_ref (G_MENU (gtk_builder_get_object (builder, "consoles")));
  self->devices_menu = g_object_ref (G_MENU (gtk_builder_get_object (builder, "devices")));
  window_show_grab_keys (self, G_MENU (gtk_builder_get_object (builder, "grab")));
  GtkWidget *menus = gtk_menu_bar_new_from_model (G_MENU_MODEL (gtk_builder_get_object (builder, "menubar")));
  GMenu *send_keys = G_MENU (gtk_builder_get_object (builder, "send-keys"));
  vm_send_keys_fill (send_keys);
  vm_ui_clipboard_fill (G_MENU (gtk_builder_get_object (builder, "clipboard")));
  /* A small guest's window stays small: then the menu bar scrolls. */
  self->menubar = gtk_scrolled_window_new (NULL, NULL);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (self->menubar), GTK_POLICY_EXTERNAL, GTK_POLICY_NEVER);
  gtk_container_add (GTK_CONTAINER (self->menubar), menus);
  self->bars = vm_bars_new ();
  self->notebook = gtk_notebook_new ();
  gtk_notebook_set_show_border (GTK_NOTEBOOK (self->notebook), FALSE);
  gtk_notebook_set_scrollable (GTK_NOTEBOOK (self->notebook), TRUE);
  gtk_box_pack_start (GTK_BOX (box), self->menubar, FALSE, FALSE, 0);
  gtk_box_pack_start (GTK_BOX (box), self->bars, FALSE, FALSE, 0);
  self->overlay = gtk_overlay_new ();
  gtk_container_add (GTK_CONTAINER (self->overlay), self->notebook);
  self->fullscreen_bar = vm_fullscreen_bar_new (GTK_OVERLAY (self->overlay), G_MENU_MODEL (send_keys),
                                                G_MENU_MODEL (gtk_builder_get_object (builder, "power")));
  gtk_box_pack_start (GTK_BOX (box), self->overlay, TRUE, TRUE, 0);
  gtk_container_add (GTK_CONTAINER (self), box);
  gtk_widget_show_all (box);
  g_signal_connect (self, "key-press-event", G_CALLBACK (window_key_press), self);
  g_signal_connect (self, "configure-event", G_CALLBACK (window_configured), self);
  g_signal_connect (self, "notify::is-active", G_CALLBACK (window_update), NULL);
  g_signal_connect_object (self->notebook, "switch-page", G_CALLBACK (window_switch_page), self,
                           G_CONNECT_SWAPPED | G_CONNECT_AFTER);
  g_signal_connect (self->notebook, "create-window", G_CALLBACK (window_tab_dragged_out), self);
}

GtkWidget *
vm_machine_window_new (VmSession *session, const VmUiOptions *options)
{
  VmMachineWindow *self = g_object_new (VM_TYPE_MACHINE_WINDOW, NULL);

  self->session = session;
  self->options = *options;
  self->kept.zoom = self->zoom;
  vm_kept_load (vm_session_settings (session), &self->kept);
  self->zoom = self->kept.zoom;
  if (options->zoom_said)
    self->zoom.mode = options->zoom_to_fit ? VM_ZOOM_FIT : VM_ZOOM_FIXED;
  window_restore_size (self);
  self->show_menubar = options->show_menubar;
  self->show_status = vm_preferences_flag (self->preferences, "show-status", true);
  self->hold_focused = vm_preferences_flag (self->preferences, "grab-when-focused", false);
  self->hold_fullscreen = vm_preferences_flag (self->preferences, "grab-in-full-screen", false);
  self->strip = vm_status_strip_new (session);
  self->jobs = vm_jobs_new (session);
  g_signal_connect_object (self->jobs, "ended", G_CALLBACK (window_job_ended), self, G_CONNECT_SWAPPED);
  GtkWidget *box = gtk_bin_get_child (GTK_BIN (self));
  gtk_box_pack_end (GTK_BOX (box), self->strip, FALSE, FALSE, 0);
  gtk_box_pack_end (GTK_BOX (box), self->jobs, FALSE, FALSE, 0);
  self->clipboard = vm_ui_clipboard_new (session, G_ACTION_MAP (self->actions), self->preferences);
  gtk_box_pack_end (GTK_BOX (self->strip), vm_ui_clipboard_button (self->clipboard), FALSE, FALSE, 0);
  vm_window_set_up_devices (self);
  self->snapshots = vm_snapshots_new (GTK_WINDOW (self), session, VM_JOBS (self->jobs), self->preferences);
  vm_saved_state_restore (self->snapshots, self->bars);
  vm_status_strip_add_tray (VM_STATUS_STRIP (self->strip), vm_tray_new (self->devices));
  self->remote = vm_remote_new (GTK_WINDOW (self), session, self->bars);
  vm_status_strip_add_tray (VM_STATUS_STRIP (self->strip), vm_remote_button (self->remote));
  vm_drop_set_up (GTK_OVERLAY (self->overlay), &self->attach);
  window_set_state (self, "show-status", g_variant_new_boolean (self->show_status));
  self->notice = vm_notice_of_state (vm_session_state (session));
  window_set_state (self, "grab-on-hover", g_variant_new_boolean (options->grab_on_hover));
  window_set_state (self, "grab-when-focused", g_variant_new_boolean (self->hold_focused));
  window_set_state (self, "grab-in-full-screen", g_variant_new_boolean (self->hold_fullscreen));
  window_set_state (self, "show-tabs", g_variant_new_boolean (options->show_tabs));
  window_set_state (self, "show-menubar", g_variant_new_boolean (options->show_menubar));
  gtk_window_set_deletable (GTK_WINDOW (self), options->window_close);
  window_sync_pages (self);
  vm_window_show_chrome (self);
  vm_window_apply_zoom (self);
  if (options->full_screen)
    gtk_window_fullscreen (GTK_WINDOW (self));
  return GTK_WIDGET (self);
}
