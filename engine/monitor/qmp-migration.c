/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Migration as far as clients that only look need it: none is ever under way. */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

VmqMigrationInfo *
vm_qmp_query_migrate (VmMonitor *mon, GError **error)
{
  return g_new0 (VmqMigrationInfo, 1);
}

GPtrArray *
vm_qmp_query_migrate_capabilities (VmMonitor *mon, GError **error)
{
  GPtrArray *list = g_ptr_array_new ();
  VmqMigrationCapabilityStatus *events = g_new0 (VmqMigrationCapabilityStatus, 1);

  events->capability = VMQ_MIGRATION_CAPABILITY_EVENTS;
  events->state = mon->all->migration_events;
  g_ptr_array_add (list, events);
  return list;
}

/* Those who manage machines ask for events of migrations at once, long before one begins. */
bool
vm_qmp_migrate_set_capabilities (VmMonitor *mon, const VmqMigrateSetCapabilitiesArg *args, GError **error)
{
  for (guint i = 0; i < args->capabilities->len; i++)
    {
      const VmqMigrationCapabilityStatus *c = g_ptr_array_index (args->capabilities, i);
      if (c->state && c->capability != VMQ_MIGRATION_CAPABILITY_EVENTS)
        return vm_fail (error, "Migration capability '%s' is not available in this build",
                        vmq_type_migrationcapability.names[c->capability]);
    }
  for (guint i = 0; i < args->capabilities->len; i++)
    {
      const VmqMigrationCapabilityStatus *c = g_ptr_array_index (args->capabilities, i);
      if (c->capability == VMQ_MIGRATION_CAPABILITY_EVENTS)
        mon->all->migration_events = c->state;
    }
  return true;
}

bool
vm_qmp_migrate (VmMonitor *mon, const VmqMigrateArg *args, GError **error)
{
  return vm_fail (error, "Migration is not available in this build");
}

bool
vm_qmp_migrate_cancel (VmMonitor *mon, GError **error)
{
  return true; /* nothing is under way */
}

bool
vm_qmp_migrate_incoming (VmMonitor *mon, const VmqMigrateIncomingArg *args, GError **error)
{
  return vm_fail (error, "'-incoming' was not specified on the command line");
}
