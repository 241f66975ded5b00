/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "-display gtk,..." and "-full-screen" ask of the window. */
#pragma once

#include "engine/machine/session.h"

typedef enum VmGlMode {
  VM_GL_AUTO, /* not said: when the host's driver is not a software renderer */
  VM_GL_OFF,
  VM_GL_ON,
  VM_GL_CORE,
  VM_GL_ES,
} VmGlMode;

typedef struct VmUiOptions {
  VmGlMode gl;
  bool     full_screen;
  bool     grab_on_hover;
  bool     show_cursor;  /* the host's pointer stays visible over the guest */
  bool     show_menubar;
  bool     show_tabs;
  bool     window_close; /* the close button works */
  bool     zoom_to_fit;
  bool     zoom_said;    /* that is: what was kept of the last time does not count */
} VmUiOptions;

bool vm_ui_options_read (VmUiOptions *options, const VmSettings *settings, GError **error);
