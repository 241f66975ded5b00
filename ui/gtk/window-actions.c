/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the menu's items do: the actions of group "win". */
#include "config.h"

#include <glib/gi18n-lib.h>

#include "ui/gtk/bars.h"
#include "ui/gtk/machine-window-private.h"
#include "ui/gtk/saved-state.h"
#include "ui/gtk/screenshot.h"

#define PATIENCE 60 /* seconds for the guest to shut down, unless the settings say */

static void
action_pause (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  /* The check mark follows when the machine has done it. */
  vm_window_release_all (self);
  if (g_variant_get_boolean (state))
    vm_session_stop (self->session);
  else
    vm_session_cont (self->session);
}

static void
action_reset (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_session_reset (VM_MACHINE_WINDOW (user_data)->session);
}

void
vm_window_force_off (gpointer user_data)
{
  vm_session_quit (VM_MACHINE_WINDOW (user_data)->session);
}

static void
action_force_off (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  const VmChoice choice = { _("Force _Off"), vm_window_force_off };

  vm_ask (GTK_WINDOW (user_data), VM_MACHINE_WINDOW (user_data)->preferences, "force-off", _("Turn the machine off at once?"),
          _("It is as if the plug were pulled: what the guest has not saved is lost."), &choice, 1, user_data);
}

/* The guest was asked to shut down and has done nothing. */
static gboolean
window_lost_patience (gpointer user_data)
{
  VmMachineWindow *self = user_data;
  const VmChoice choice = { _("Force _Off"), vm_window_force_off };

  self->patience = 0;
  vm_bars_show (self->bars, "shutdown", GTK_MESSAGE_WARNING,
                _("The guest has not shut down. It may be asking something, or not listen to the power button."), &choice, 1,
                self);
  return G_SOURCE_REMOVE;
}

void
vm_window_stop_waiting (VmMachineWindow *self)
{
  g_clear_handle_id (&self->patience, g_source_remove);
  vm_bars_hide (self->bars, "shutdown");
}

void
vm_window_power_down (gpointer user_data)
{
  VmMachineWindow *self = user_data;

  vm_session_powerdown (self->session);
  vm_window_stop_waiting (self);
  self->patience = g_timeout_add_seconds (vm_preferences_number (self->preferences, "patience", PATIENCE), window_lost_patience, self);
}

static void
window_set_hidden (VmMachineWindow *self, gboolean hidden)
{
  const char *name = vm_session_name (self->session);

  if (self->bus)
    vm_session_bus_set_hidden (self->bus, name ? name : _ ("Vitrine"), hidden);
}

void
vm_window_keep_running (gpointer user_data)
{
  VmMachineWindow *self = user_data;

  vm_window_release_all (self);
  gtk_widget_hide (GTK_WIDGET (self));
  window_set_hidden (self, TRUE);
}

void
vm_window_present (VmMachineWindow *self)
{
  gtk_window_present (GTK_WINDOW (self));
  window_set_hidden (self, FALSE);
}

static void
action_present (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_window_present (user_data);
}

void
vm_window_save_and_close (gpointer user_data)
{
  VmMachineWindow *self = user_data;

  vm_window_release_all (self);
  vm_saved_state_save (self->snapshots);
}

static void
action_save_and_close (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_window_save_and_close (user_data);
}

static void
action_power_down (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_window_power_down (user_data);
}

static void
action_send_keys (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_session_send_keys (VM_MACHINE_WINDOW (user_data)->session, g_variant_get_string (parameter, NULL), NULL, NULL);
}

static void
action_quit (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  vm_session_quit (VM_MACHINE_WINDOW (user_data)->session);
}

static void
action_screenshot (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  VmPage *page = vm_window_current_page (self);

  if (page && vm_page_console (page))
    vm_screenshot_ask (GTK_WINDOW (gtk_widget_get_toplevel (GTK_WIDGET (page))), self->session,
                       vm_page_console (page));
}

static void
action_copy_screenshot (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  VmPage *page = vm_window_current_page (self);

  if (page && vm_page_console (page))
    vm_screenshot_copy (GTK_WINDOW (self), self->session, vm_page_console (page));
}

/* The same without the question: for scripts. */
static void
action_screenshot_to (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  VmPage *page = vm_window_current_page (self);

  if (page && vm_page_console (page))
    vm_screenshot_save (GTK_WINDOW (self), self->session, vm_page_console (page),
                        g_variant_get_string (parameter, NULL));
}

static void
action_fullscreen (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  if (self->fullscreen)
    gtk_window_unfullscreen (GTK_WINDOW (self));
  else
    gtk_window_fullscreen (GTK_WINDOW (self));
}

static void
window_zoom (VmMachineWindow *self, int percent)
{
  self->zoom.mode = VM_ZOOM_FIXED;
  self->zoom.percent = CLAMP (percent, VM_ZOOM_MIN, VM_ZOOM_MAX);
  vm_window_apply_zoom (self);
}

static void
window_zoom_mode (VmMachineWindow *self, bool on, VmZoomMode mode)
{
  self->zoom.mode = on ? mode : VM_ZOOM_FIXED;
  self->zoom.percent = 100;
  vm_window_apply_zoom (self);
}

static void
action_zoom_in (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  window_zoom (self, (int) self->zoom.percent + VM_ZOOM_STEP);
}

static void
action_zoom_out (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  window_zoom (self, (int) self->zoom.percent - VM_ZOOM_STEP);
}

static void
action_best_fit (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  window_zoom (user_data, 100);
}

static void
action_zoom_to_fit (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  window_zoom_mode (user_data, g_variant_get_boolean (state), VM_ZOOM_FIT);
}

static void
action_integer_scaling (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  window_zoom_mode (user_data, g_variant_get_boolean (state), VM_ZOOM_INTEGER);
}

static void
action_zoom (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  window_zoom (user_data, g_variant_get_int32 (state));
}

static void
action_device_pixels (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->zoom.logical = !g_variant_get_boolean (state);
  vm_window_apply_zoom (self);
}

static void
action_resize_guest (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->zoom.hints = g_variant_get_boolean (state);
  vm_window_apply_zoom (self);
}

static void
action_grab_on_hover (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->options.grab_on_hover = g_variant_get_boolean (state);
  for (unsigned i = 0; i < self->pages->len; i++)
    if (vm_page_input (self->pages->pdata[i]))
      vm_input_controller_set_grab_on_hover (vm_page_input (self->pages->pdata[i]),
                                             self->options.grab_on_hover);
  g_simple_action_set_state (action, state);
}

static void
action_hold (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  const char *name = g_action_get_name (G_ACTION (action));
  bool *hold = strcmp (name, "grab-when-focused") ? &self->hold_fullscreen : &self->hold_focused;

  *hold = g_variant_get_boolean (state);
  vm_preferences_set_flag (self->preferences, name, *hold);
  g_simple_action_set_state (action, state);
  vm_window_apply_hold (self);
}

static void
action_grab_input (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmInputController *input = vm_window_current_input (user_data);

  if (input)
    vm_input_controller_set_grab (input, g_variant_get_boolean (state));
}

static void
action_console (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  gint32 index = g_variant_get_int32 (state);

  if (index < 0 || (guint) index >= self->pages->len)
    return;
  VmPage *page = self->pages->pdata[index];
  if (vm_window_is_detached (self, page))
    gtk_window_present (GTK_WINDOW (gtk_widget_get_toplevel (GTK_WIDGET (page))));
  else
    {
      gtk_notebook_set_current_page (GTK_NOTEBOOK (self->notebook),
                                     gtk_notebook_page_num (GTK_NOTEBOOK (self->notebook), GTK_WIDGET (page)));
      vm_page_focus (page); /* it may be in front already */
    }
}

static void
action_show_tabs (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->options.show_tabs = g_variant_get_boolean (state);
  g_simple_action_set_state (action, state);
  vm_window_show_chrome (self);
}

static void
action_show_menubar (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->show_menubar = g_variant_get_boolean (state);
  g_simple_action_set_state (action, state);
  vm_window_show_chrome (self);
}

static void
action_show_status (GSimpleAction *action, GVariant *state, gpointer user_data)
{
  VmMachineWindow *self = user_data;

  self->show_status = g_variant_get_boolean (state);
  vm_preferences_set_flag (self->preferences, "show-status", self->show_status);
  g_simple_action_set_state (action, state);
  vm_window_show_chrome (self);
}

static void
action_detach_tab (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  VmMachineWindow *self = user_data;
  VmPage *page = vm_window_current_page (self);

  if (page && !vm_window_is_detached (self, page))
    vm_window_detach (self, page);
}

/* Terminals alone: the actions are off elsewhere. */
#define TEXT_ACTION(name)                                                                                              \
  static void action_##name (GSimpleAction *action, GVariant *parameter, gpointer user_data)                           \
  {                                                                                                                    \
    vm_terminal_page_##name (VM_TERMINAL_PAGE (vm_window_current_page (user_data)));                                      \
  }
TEXT_ACTION (copy)
TEXT_ACTION (paste)
TEXT_ACTION (select_all)
TEXT_ACTION (find)

static const GActionEntry action_entries[] = {
  { .name = "copy", .activate = action_copy },
  { .name = "paste", .activate = action_paste },
  { .name = "select-all", .activate = action_select_all },
  { .name = "find", .activate = action_find },
  { .name = "pause", .state = "false", .change_state = action_pause },
  { .name = "reset", .activate = action_reset },
  { .name = "power-down", .activate = action_power_down },
  { .name = "force-off", .activate = action_force_off },
  { .name = "send-keys", .parameter_type = "s", .activate = action_send_keys },
  { .name = "save-and-close", .activate = action_save_and_close },
  { .name = "quit", .activate = action_quit },
  { .name = "present", .activate = action_present },
  { .name = "screenshot", .activate = action_screenshot },
  { .name = "copy-screenshot", .activate = action_copy_screenshot },
  { .name = "screenshot-to", .parameter_type = "s", .activate = action_screenshot_to },
  { .name = "fullscreen", .activate = action_fullscreen },
  { .name = "zoom-in", .activate = action_zoom_in },
  { .name = "zoom-out", .activate = action_zoom_out },
  { .name = "best-fit", .activate = action_best_fit },
  { .name = "zoom-to-fit", .state = "false", .change_state = action_zoom_to_fit },
  { .name = "integer-scaling", .state = "false", .change_state = action_integer_scaling },
  { .name = "zoom", .parameter_type = "i", .state = "100", .change_state = action_zoom },
  { .name = "device-pixels", .state = "true", .change_state = action_device_pixels },
  { .name = "resize-guest", .state = "true", .change_state = action_resize_guest },
  { .name = "grab-on-hover", .state = "false", .change_state = action_grab_on_hover },
  { .name = "grab-when-focused", .state = "false", .change_state = action_hold },
  { .name = "grab-in-full-screen", .state = "false", .change_state = action_hold },
  { .name = "grab-input", .state = "false", .change_state = action_grab_input },
  { .name = "console", .parameter_type = "i", .state = "0", .change_state = action_console },
  { .name = "show-tabs", .state = "false", .change_state = action_show_tabs },
  { .name = "show-menubar", .state = "true", .change_state = action_show_menubar },
  { .name = "show-status", .state = "true", .change_state = action_show_status },
  { .name = "detach-tab", .activate = action_detach_tab },
};

void
vm_window_add_actions (VmMachineWindow *self)
{
  g_action_map_add_action_entries (G_ACTION_MAP (self->actions), action_entries, G_N_ELEMENTS (action_entries), self);
}
