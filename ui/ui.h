/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a window is to the program: a module "vitrine-ui-NAME.so", loaded for "-display NAME" alone so that no other machine maps
 * its libraries. The program finds the one symbol "vm_ui_NAME" in it; the module takes the engine's functions from
 * the program, which therefore exports them. */
#pragma once

#include <gmodule.h>

#include "engine/machine/session.h"

typedef struct VmUiModule {
  /* Connects to the host's display and reads the options of -display; before the machine is built, so that what
   * cannot be shown is not started. Main thread. */
  bool (*probe) (const VmSettings *settings, GError **error);
  /* Opens the window and runs it until the machine has quit; main thread, after probe. Opens a session of its own,
   * so the engine thread may be running already, or be started by STARTED (NULL: nothing to do), which is called once
   * the session exists. */
  void (*run) (VmMachine *machine, void (*started) (void *opaque), void *opaque);
} VmUiModule;
