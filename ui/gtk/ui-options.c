/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The options of "-display gtk". */
#include "ui/gtk/ui-options.h"

bool
vm_ui_options_read (VmUiOptions *options, const VmSettings *settings, GError **error)
{
  static const char *const gl_names[] = { "off", "on", "core", "es", NULL };
  const VmKeyVals *list = settings->display_opts;
  int gl = -1;

  *options = (VmUiOptions) { .show_menubar = true, .window_close = true };
  vm_keyvals_get (list, "type");
  options->zoom_said = vm_keyvals_get (list, "zoom-to-fit") != NULL;
  if (!vm_keyvals_enum (list, "gl", gl_names, &gl, error)
      || !vm_keyvals_bool (list, "full-screen", &options->full_screen, error)
      || !vm_keyvals_bool (list, "grab-on-hover", &options->grab_on_hover, error)
      || !vm_keyvals_bool (list, "show-cursor", &options->show_cursor, error)
      || !vm_keyvals_bool (list, "show-menubar", &options->show_menubar, error)
      || !vm_keyvals_bool (list, "show-tabs", &options->show_tabs, error)
      || !vm_keyvals_bool (list, "window-close", &options->window_close, error)
      || !vm_keyvals_bool (list, "zoom-to-fit", &options->zoom_to_fit, error)
      || !vm_keyvals_check_used (list, error))
    return false;
  options->gl = VM_GL_AUTO + 1 + gl;
  options->full_screen |= settings->full_screen;
  return true;
}
