/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What clients ask of abilities that this machine lacks by its nature, and that have a definite answer: no record of
 * its execution, no twin, no encrypted memory, no device tree. And connections handed over, and the translator's state.
 */
#include "engine/monitor/monitor-private.h"
#include "engine/monitor/qmp-handlers.h"

#include <unistd.h>

/* --- recorded executions ------------------------------------------------------------------------------------------ */

VmqReplayInfo *
vm_qmp_query_replay (VmMonitor *mon, GError **error)
{
  return g_new0 (VmqReplayInfo, 1);
}

bool
vm_qmp_replay_break (VmMonitor *mon, const VmqReplayBreakArg *args, GError **error)
{
  return vm_fail (error, "setting the breakpoint is allowed only in play mode");
}

bool
vm_qmp_replay_delete_break (VmMonitor *mon, GError **error)
{
  return vm_fail (error, "replay breakpoints are allowed only in play mode");
}

bool
vm_qmp_replay_seek (VmMonitor *mon, const VmqReplaySeekArg *args, GError **error)
{
  return vm_fail (error, "replay must be enabled to seek");
}

/* --- pairs of machines -------------------------------------------------------------------------------------------- */

VmqCOLOStatus *
vm_qmp_query_colo_status (VmMonitor *mon, GError **error)
{
  return g_new0 (VmqCOLOStatus, 1);
}

bool
vm_qmp_x_colo_lost_heartbeat (VmMonitor *mon, GError **error)
{
  return vm_fail (error, "The feature 'colo' is not enabled");
}

/* --- encrypted memory --------------------------------------------------------------------------------------------- */

VmqSevLaunchMeasureInfo *
vm_qmp_query_sev_launch_measure (VmMonitor *mon, GError **error)
{
  vm_fail (error, "SEV launch measurement is not available");
  return NULL;
}

bool
vm_qmp_sev_inject_launch_secret (VmMonitor *mon, const VmqSevInjectLaunchSecretArg *args, GError **error)
{
  return vm_fail (error, "SEV not enabled for guest");
}

VmqSevAttestationReport *
vm_qmp_query_sev_attestation_report (VmMonitor *mon, const VmqQuerySevAttestationReportArg *args, GError **error)
{
  vm_fail (error, "SEV is not enabled");
  return NULL;
}

/* --- the rest -------------------------------------------------------------------------------------------------------
 */

bool
vm_qmp_dumpdtb (VmMonitor *mon, const VmqDumpdtbArg *args, GError **error)
{
  return vm_fail (error, "This machine doesn't have a FDT");
}

bool
vm_qmp_add_client (VmMonitor *mon, const VmqAddClientArg *args, GError **error)
{
  int fd = vm_fds_take (mon->all, args->fdname, error);
  VmChardev *chr = fd >= 0 ? vm_chardev_find (mon->machine->env.root, args->protocol) : NULL;

  if (fd < 0)
    return false;
  if (!strcmp (args->protocol, "vnc"))
    {
      if (vm_vnc_add_client (mon, fd, args->has_skipauth && args->skipauth, error))
        return true;
      close (fd);
      return false;
    }
  if (!g_strcmp0 (args->protocol, mon->all->client_protocol))
    {
      mon->all->client_func (mon->all->client_opaque, fd);
      return true;
    }
  if (!strcmp (args->protocol, "spice"))
    {
      if (vm_spice_add_client (mon, fd, args->has_skipauth && args->skipauth, args->has_tls && args->tls, error))
        return true;
      close (fd);
      return false;
    }
  if (chr && vm_chardev_add_client (chr, fd, error))
    return true;
  if (!chr)
    vm_fail (error, "protocol '%s' is invalid: there is no such server and no character device of this name",
             args->protocol);
  close (fd);
  return false;
}

VmqHumanReadableText *
vm_qmp_x_query_jit (VmMonitor *mon, GError **error)
{
  VmAccel *accel = mon->machine->accel;
  VmqHumanReadableText *text;

  if (!accel->ops->describe)
    {
      vm_fail (error, "JIT information is only available with accel=tcg");
      return NULL;
    }
  text = g_new0 (VmqHumanReadableText, 1);
  text->human_readable_text = accel->ops->describe (accel, mon->machine->vcpus);
  return text;
}

/* --- limits of change: KVM's dirty ring would be needed -------------------------------------------------------------
 */

bool
vm_qmp_set_vcpu_dirty_limit (VmMonitor *mon, const VmqSetVcpuDirtyLimitArg *args, GError **error)
{
  return vm_fail (error, "dirty page limit feature requires KVM with accelerator property 'dirty-ring-size' set");
}

bool
vm_qmp_cancel_vcpu_dirty_limit (VmMonitor *mon, const VmqCancelVcpuDirtyLimitArg *args, GError **error)
{
  return true; /* there is none */
}

GPtrArray *
vm_qmp_query_vcpu_dirty_limit (VmMonitor *mon, GError **error)
{
  return g_ptr_array_new ();
}
