/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Run states and causes in words. */
#include "config.h"

#include "ui/gtk/notice.h"

#include <glib/gi18n-lib.h>
#include <json-c/json.h>

char *
vm_notice_of_state (VmRunState state)
{
  switch (state)
    {
    case VM_RUN_SHUTDOWN:
      return g_strdup (_("The machine is off."));
    case VM_RUN_GUEST_PANICKED:
      return g_strdup (_("The guest has crashed."));
    case VM_RUN_INTERNAL_ERROR:
      return g_strdup (_("The processor came into a state from which it cannot go on."));
    case VM_RUN_IO_ERROR:
      return g_strdup (_("A disk reported an error. Continue the machine to try again."));
    case VM_RUN_WATCHDOG:
      return g_strdup (_("The watchdog stopped the machine: the guest did not answer."));
    default:
      return NULL;
    }
}

const char *
vm_notice_remedy (VmRunState state)
{
  switch (state)
    {
    case VM_RUN_SHUTDOWN:
      return _("_Start");
    case VM_RUN_GUEST_PANICKED:
    case VM_RUN_INTERNAL_ERROR:
    case VM_RUN_WATCHDOG:
      return _("_Reset");
    case VM_RUN_IO_ERROR:
      return _("_Try Again");
    default:
      return NULL;
    }
}

char *
vm_notice_of_shutdown (const char *data)
{
  static const struct {
    const char *reason, *text;
  } reasons[] = {
    { "guest-shutdown", N_("The guest has shut down.") },
    { "guest-reset", N_("The guest asked for a restart; the machine is off instead.") },
    { "guest-panic", N_("The guest has crashed.") },
    { "host-error", N_("The machine was stopped by an error of the host.") },
  };
  json_object *event = data ? json_tokener_parse (data) : NULL;
  json_object *reason = NULL;
  const char *text = N_("The machine is off.");

  if (event && json_object_object_get_ex (event, "reason", &reason))
    for (unsigned i = 0; i < G_N_ELEMENTS (reasons); i++)
      if (g_strcmp0 (json_object_get_string (reason), reasons[i].reason) == 0)
        text = reasons[i].text;
  json_object_put (event);
  return g_strdup (_(text));
}
