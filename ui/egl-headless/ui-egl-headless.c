/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Holds the context that cards draw with, and waits for the end. What they have drawn is read back for the servers that
 * show it. */
#include "config.h"

#include "ui/egl-headless/ui-egl-headless.h"

#include "engine/base/log.h"
#include "ui/egl-headless/egl.h"

static bool
options_read (const char **node, const VmSettings *settings, GError **error)
{
  const VmKeyVals *list = settings->display_opts;

  *node = vm_keyvals_get (list, "rendernode");
  vm_keyvals_get (list, "type");
  return vm_keyvals_check_used (list, error);
}

static bool
ui_probe (const VmSettings *settings, GError **error)
{
  const char *node;
  Egl egl;

  if (!options_read (&node, settings, error) || !vm_egl_open (&egl, node, error))
    return false;
  vm_egl_close (&egl);
  if (!settings->vncs->len && !settings->spice)
    vm_report_warning ("-display egl-headless shows the machine to nobody: give it -vnc or -spice, too");
  return true;
}

static void
ui_session_event (VmSession *session, VmSessionEvent event, const char *name, const char *data, void *opaque)
{
  if (event == VM_SESSION_QUIT)
    g_main_loop_quit (opaque);
}

static void
ui_run (VmMachine *machine, void (*started) (void *opaque), void *opaque)
{
  GMainLoop *loop = g_main_loop_new (NULL, FALSE);
  VmSession *session = vm_session_new (machine, NULL, ui_session_event, loop);
  const char *node;
  Egl egl;

  options_read (&node, vm_session_settings (session), NULL); /* said and checked by probe */
  vm_egl_open (&egl, node, NULL);
  if (started)
    started (opaque);
  g_main_loop_run (loop);
  vm_egl_close (&egl);
  vm_session_free (session);
  g_main_loop_unref (loop);
}

const VmUiModule vm_ui_egl_headless = { .probe = ui_probe, .run = ui_run };
