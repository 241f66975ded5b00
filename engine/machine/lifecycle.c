/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Run states, requests of devices and people, reset, and the engine thread. */
#include "engine/machine/machine-private.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"
#include "engine/input/input.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdarg.h>

/* --- who is told --- */

void
vm_machine_watch (VmMachine *m, VmMachineEvent event, VmMachineFunc func, void *opaque)
{
  VmWatch *watch = g_new0 (VmWatch, 1);

  *watch = (VmWatch){ event, func, opaque, false };
  g_ptr_array_add (m->priv->watches, watch);
}

void
vm_machine_unwatch (VmMachine *m, VmMachineEvent event, VmMachineFunc func, void *opaque)
{
  for (guint i = 0; i < m->priv->watches->len; i++)
    {
      VmWatch *w = g_ptr_array_index (m->priv->watches, i);
      if (w->event == event && w->func == func && w->opaque == opaque)
        w->gone = true;
    }
}

void
vm_machine_tell (VmMachine *m, VmMachineEvent event)
{
  GPtrArray *watches = m->priv->watches;

  for (guint i = 0; i < watches->len; i++)
    {
      VmWatch *w = g_ptr_array_index (watches, i);
      if (w->event == event && !w->gone)
        w->func (m, w->opaque);
    }
  for (guint i = watches->len; i-- > 0;)
    if (((VmWatch *) g_ptr_array_index (watches, i))->gone)
      g_ptr_array_remove_index (watches, i);
}

void
vm_machine_set_event_sink (VmMachine *m, VmEventSink sink, void *opaque)
{
  m->priv->sink = sink;
  m->priv->sink_opaque = opaque;
}

typedef struct PostedEvent
{
  VmMachine *m;
  char *name, *data;
} PostedEvent;

static void
emit_posted (void *opaque)
{
  PostedEvent *e = opaque;

  if (e->m->priv->sink)
    e->m->priv->sink (e->m->priv->sink_opaque, e->name, e->data);
  g_free (e->name);
  g_free (e->data);
  g_free (e);
}

void
vm_machine_emit (VmMachine *m, const char *name, const char *format, ...)
{
  g_autofree char *data = NULL;
  va_list args;

  if (!m->priv->sink)
    return;
  if (format)
    {
      va_start (args, format);
      data = g_strdup_vprintf (format, args);
      va_end (args);
    }
  if (vm_lock_held (m->lock))
    m->priv->sink (m->priv->sink_opaque, name, data);
  else
    {
      PostedEvent *e = g_new (PostedEvent, 1);

      *e = (PostedEvent){ m, g_strdup (name), g_steal_pointer (&data) };
      vm_loop_post (m->env.loop, emit_posted, e);
    }
}

static bool
cause_is_guest (VmShutdownCause cause)
{
  return cause >= VM_CAUSE_GUEST_SHUTDOWN && cause <= VM_CAUSE_GUEST_PANIC;
}

static void
emit_cause (VmMachine *m, const char *name, VmShutdownCause cause)
{
  vm_machine_emit (m, name, "{\"guest\": %s, \"reason\": \"%s\"}", cause_is_guest (cause) ? "true" : "false",
                   vm_shutdown_cause_names[cause]);
}

/* --- running and standing --- */

bool
vm_machine_is_running (const VmMachine *m)
{
  return m->state == VM_RUN_RUNNING;
}

static void
set_state (VmMachine *m, VmRunState state)
{
  if (m->state == state)
    return;
  vm_trace (RUNSTATE_SET, "current_run_state %s new_state %s", vm_run_state_names[m->state],
            vm_run_state_names[state]);
  m->state = state;
  vm_machine_tell (m, VM_MACHINE_STATE);
}

static void
halt (VmMachine *m)
{
  vm_vcpu_set_pause (m->vcpus);
  vm_clocks_set_running (m->env.clocks, false);
  vm_input_set_enabled (m->env.input, false);
}

void
vm_machine_stop (VmMachine *m, VmRunState state)
{
  bool was_running = m->state == VM_RUN_RUNNING || m->state == VM_RUN_SUSPENDED;

  if (!was_running)
    {
      /* A worse state replaces a standing one; a person's "stop" changes nothing. */
      if (state != VM_RUN_PAUSED)
        set_state (m, state);
      return;
    }
  halt (m);
  set_state (m, state);
  vm_machine_emit (m, "STOP", NULL);
  vm_machine_tell (m, VM_MACHINE_STOPPED);
}

static bool
resume (VmMachine *m, bool frozen, GError **error)
{
  switch (m->state)
    {
    case VM_RUN_RUNNING:
    case VM_RUN_SUSPENDED:
      return true;
    case VM_RUN_SHUTDOWN:
    case VM_RUN_INTERNAL_ERROR:
    case VM_RUN_GUEST_PANICKED:
      return vm_fail (error, "Resetting the Virtual Machine is required");
    case VM_RUN_INMIGRATE:
      return vm_fail (error, "The machine is still waiting for its state");
    default:
      break;
    }
  vm_clocks_set_running (m->env.clocks, !frozen);
  vm_input_set_enabled (m->env.input, true);
  set_state (m, VM_RUN_RUNNING);
  vm_machine_emit (m, "RESUME", NULL);
  vm_vcpu_set_resume (m->vcpus);
  return true;
}

bool
vm_machine_cont (VmMachine *m, GError **error)
{
  return resume (m, false, error);
}

bool
vm_machine_cont_frozen (VmMachine *m, GError **error)
{
  return resume (m, true, error);
}

/* --- reset --- */

static void
reset_cpu (VmVcpu *vcpu, void *opaque)
{
  vm_device_reset (&vcpu->parent, *(VmResetKind *) opaque);
}

/* Devices first, then processors, which fetch their first instruction from memory as it is then. */
void
vm_machine_reset_now (VmMachine *m, VmResetKind kind)
{
  vm_trace (MACHINE_RESET, "%s", kind == VM_RESET_WAKEUP ? "wakeup" : kind == VM_RESET_COLD ? "cold" : "warm");
  vm_devices_reset (&m->env, kind);
  for (guint i = 0; i < m->cpus_to_reset->len; i++)
    reset_cpu (g_ptr_array_index (m->cpus_to_reset, i), &kind);
  vm_machine_tell (m, VM_MACHINE_RESET);
}

static void
do_reset (VmMachine *m)
{
  VmMachinePrivate *priv = m->priv;
  VmShutdownCause cause = priv->reset_cause;

  vm_vcpu_set_pause (m->vcpus);
  vm_machine_reset_now (m, priv->reset_kind);
  if (cause != VM_CAUSE_NONE)
    emit_cause (m, "RESET", cause);
  if (m->state == VM_RUN_RUNNING || m->state == VM_RUN_INMIGRATE)
    vm_vcpu_set_resume (m->vcpus);
  else if (m->state == VM_RUN_SUSPENDED)
    {
      set_state (m, VM_RUN_RUNNING);
      vm_vcpu_set_resume (m->vcpus);
    }
  else
    set_state (m, VM_RUN_PRELAUNCH);
}

/* --- requests: noted at once, carried out on the loop --- */

static void
do_shutdown (VmMachine *m)
{
  VmMachinePrivate *priv = m->priv;
  VmShutdownCause cause = priv->shutdown_cause;
  bool pause = priv->on_shutdown == VM_SHUTDOWN_PAUSE && cause != VM_CAUSE_HOST_SIGNAL
               && cause != VM_CAUSE_HOST_QMP_QUIT && cause != VM_CAUSE_HOST_UI;

  if (pause)
    {
      emit_cause (m, "SHUTDOWN", cause);
      vm_machine_stop (m, cause == VM_CAUSE_GUEST_PANIC ? VM_RUN_GUEST_PANICKED : VM_RUN_SHUTDOWN);
    }
  else
    {
      bool failed = cause == VM_CAUSE_GUEST_PANIC && priv->on_panic == VM_PANIC_EXIT_FAILURE;
      vm_machine_quit (m, failed ? 1 : 0, cause);
    }
}

static void
do_suspend (VmMachine *m)
{
  if (m->state != VM_RUN_RUNNING)
    return;
  vm_vcpu_set_pause (m->vcpus);
  vm_machine_tell (m, VM_MACHINE_SUSPEND);
  set_state (m, VM_RUN_SUSPENDED); /* clocks run on: an alarm may wake the machine */
  vm_machine_emit (m, "SUSPEND", NULL);
}

static void
do_wakeup (VmMachine *m)
{
  if (m->state != VM_RUN_SUSPENDED)
    return;
  vm_vcpu_set_pause (m->vcpus);
  vm_machine_reset_now (m, VM_RESET_WAKEUP);
  vm_machine_tell (m, VM_MACHINE_WAKEUP);
  set_state (m, VM_RUN_RUNNING);
  vm_vcpu_set_resume (m->vcpus);
  vm_machine_emit (m, "WAKEUP", NULL);
}

static void
do_panic (VmMachine *m)
{
  VmMachinePrivate *priv = m->priv;
  bool crashload = priv->panic_crashload;
  bool pause = priv->on_panic == VM_PANIC_PAUSE
               || (priv->on_panic == VM_PANIC_SHUTDOWN && priv->on_shutdown == VM_SHUTDOWN_PAUSE);

  if (crashload || priv->on_panic == VM_PANIC_NONE)
    {
      vm_machine_emit (m, crashload ? "GUEST_CRASHLOADED" : "GUEST_PANICKED", "{\"action\": \"run\"}");
      return;
    }
  vm_machine_emit (m, "GUEST_PANICKED", "{\"action\": \"%s\"}", pause ? "pause" : "poweroff");
  vm_machine_stop (m, VM_RUN_GUEST_PANICKED);
  if (!pause)
    vm_machine_request_shutdown (m, VM_CAUSE_GUEST_PANIC);
}

static void
carry_out (VmMachine *m)
{
  VmMachinePrivate *priv = m->priv;
  unsigned requests = priv->requests;

  priv->requests = 0;
  if (priv->quitting)
    return;
  bool was_running = m->state == VM_RUN_RUNNING;
  if (requests & VM_REQUEST_PANIC)
    do_panic (m);
  if (requests & VM_REQUEST_SHUTDOWN)
    do_shutdown (m);
  if ((requests & VM_REQUEST_RESET) && !priv->quitting)
    do_reset (m);
  if (requests & VM_REQUEST_SUSPEND)
    do_suspend (m);
  if (requests & VM_REQUEST_WAKEUP)
    do_wakeup (m);
  if (requests & VM_REQUEST_POWERDOWN)
    {
      vm_machine_emit (m, "POWERDOWN", NULL);
      vm_machine_tell (m, VM_MACHINE_POWERDOWN);
    }
  /* A request from a processor stopped them all at once: what did not end that goes on. */
  if (was_running && m->state == VM_RUN_RUNNING && !priv->quitting)
    vm_vcpu_set_resume (m->vcpus);
}

static void
handle_requests (void *opaque)
{
  VmMachine *m = opaque;

  m->priv->posted = false;
  carry_out (m);
}

void
vm_machine_settle (VmMachine *m)
{
  if (m->priv->requests && vm_loop_is_current (m->env.loop))
    carry_out (m);
}

static void
request (VmMachine *m, unsigned what)
{
  VmMachinePrivate *priv = m->priv;

  if (!priv->devices_made)
    return; /* a device's own reset at start-up */
  priv->requests |= what;
  /* The processor that asked must not run far beyond the instruction that did. */
  if (vm_vcpu_current ())
    vm_vcpu_set_pause (m->vcpus);
  if (priv->posted)
    return;
  priv->posted = true;
  vm_loop_post (m->env.loop, handle_requests, m);
}

static void
request_reset_of (VmMachine *m, VmResetKind kind, VmShutdownCause cause)
{
  VmMachinePrivate *priv = m->priv;

  if (priv->on_reboot == VM_REBOOT_SHUTDOWN && cause != VM_CAUSE_SUBSYSTEM_RESET)
    {
      vm_machine_request_shutdown (m, cause);
      return;
    }
  priv->reset_kind = kind;
  priv->reset_cause = cause;
  request (m, VM_REQUEST_RESET);
}

void
vm_machine_request_reset (VmMachine *m, VmShutdownCause cause)
{
  request_reset_of (m, VM_RESET_COLD, cause);
}

void
vm_machine_request_shutdown (VmMachine *m, VmShutdownCause cause)
{
  vm_trace (SHUTDOWN_REQUEST, "reason %s", vm_shutdown_cause_names[cause]);
  m->priv->shutdown_cause = cause;
  request (m, VM_REQUEST_SHUTDOWN);
}

void
vm_machine_request_powerdown (VmMachine *m)
{
  vm_trace (POWERDOWN_REQUEST, "%s", vm_run_state_names[m->state]);
  request (m, VM_REQUEST_POWERDOWN);
}

void
vm_machine_request_wakeup (VmMachine *m)
{
  vm_trace (WAKEUP_REQUEST, "%s", vm_run_state_names[m->state]);
  if (m->state == VM_RUN_SUSPENDED)
    request (m, VM_REQUEST_WAKEUP);
}

void
vm_machine_watchdog_expired (VmMachine *m)
{
  static const char *const names[] = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi" };
  VmWatchdogAction action = m->priv->on_watchdog;

  vm_machine_emit (m, "WATCHDOG", "{\"action\": \"%s\"}", names[action]);
  switch (action)
    {
    case VM_WATCHDOG_RESET:
      vm_machine_request_reset (m, VM_CAUSE_GUEST_RESET);
      break;
    case VM_WATCHDOG_SHUTDOWN:
      vm_machine_request_powerdown (m);
      break;
    case VM_WATCHDOG_POWEROFF:
      vm_machine_quit (m, 0, VM_CAUSE_GUEST_SHUTDOWN);
      break;
    case VM_WATCHDOG_PAUSE:
      vm_machine_stop (m, VM_RUN_WATCHDOG);
      break;
    case VM_WATCHDOG_DEBUG:
      vm_report_info ("watchdog: timer fired");
      break;
    case VM_WATCHDOG_INJECT_NMI:
      if (m->inject_nmi)
        m->inject_nmi (m);
      break;
    case VM_WATCHDOG_NONE:
      break;
    }
}

VmWatchdogAction
vm_machine_watchdog_action (const VmMachine *m)
{
  return m->priv->on_watchdog;
}

void
vm_machine_set_actions (VmMachine *m, const VmRebootAction *reboot, const VmShutdownAction *shutdown,
                        const VmPanicAction *panic, const VmWatchdogAction *watchdog)
{
  if (reboot)
    m->priv->on_reboot = *reboot;
  if (shutdown)
    m->priv->on_shutdown = *shutdown;
  if (panic)
    m->priv->on_panic = *panic;
  if (watchdog)
    m->priv->on_watchdog = *watchdog;
}

/* --- what devices call --- */

static void
env_request_reset (void *machine, VmResetKind kind)
{
  request_reset_of (machine, kind, VM_CAUSE_GUEST_RESET);
}

static void
env_request_shutdown (void *machine)
{
  vm_machine_request_shutdown (machine, VM_CAUSE_GUEST_SHUTDOWN);
}

static void
env_request_suspend (void *machine)
{
  request (machine, VM_REQUEST_SUSPEND);
}

static void
env_request_wakeup (void *machine)
{
  vm_machine_request_wakeup (machine);
}

static void
env_request_panic (void *machine, bool crashload)
{
  ((VmMachine *) machine)->priv->panic_crashload = crashload;
  request (machine, VM_REQUEST_PANIC);
}

static void
env_request_exit (void *machine, int status)
{
  vm_machine_quit (machine, status, VM_CAUSE_GUEST_SHUTDOWN);
}

void
vm_machine_init_env (VmMachine *m)
{
  VmEnv *env = &m->env;

  env->request_reset = env_request_reset;
  env->request_shutdown = env_request_shutdown;
  env->request_suspend = env_request_suspend;
  env->request_wakeup = env_request_wakeup;
  env->request_panic = env_request_panic;
  env->request_exit = env_request_exit;
}

/* --- the engine thread --- */

static void
quit_now (void *opaque)
{
  VmMachine *m = opaque;
  VmMachinePrivate *priv = m->priv;

  if (priv->quitting)
    return;
  priv->quitting = true;
  if (m->vcpus)
    halt (m);
  emit_cause (m, "SHUTDOWN", priv->quit_cause);
  vm_machine_tell (m, VM_MACHINE_QUIT);
  vm_loop_quit (m->env.loop);
}

void
vm_machine_quit (VmMachine *m, int status, VmShutdownCause cause)
{
  VmMachinePrivate *priv = m->priv;

  /* The first who wants it gives the reason. */
  if (!g_atomic_int_compare_and_exchange (&priv->quit_asked, 0, 1))
    return;
  priv->exit_status = status;
  priv->quit_cause = cause;
  if (vm_loop_is_current (m->env.loop))
    {
      quit_now (m);
      return;
    }
  if (vm_vcpu_current ())
    vm_vcpu_set_pause (m->vcpus);
  vm_loop_post (m->env.loop, quit_now, m);
}

static gboolean
on_signal (gpointer opaque)
{
  VmMachine *m = opaque;

  vm_machine_quit (m, 0, VM_CAUSE_HOST_SIGNAL);
  return G_SOURCE_CONTINUE;
}

static GSource *
watch_signal (VmMachine *m, int number)
{
  GSource *source = g_unix_signal_source_new (number);

  g_source_set_callback (source, on_signal, m, NULL);
  g_source_attach (source, vm_loop_context (m->env.loop));
  return source;
}

static void
watch_signals (VmMachine *m)
{
  VmMachinePrivate *priv = m->priv;

  if (priv->sigint)
    return;
  priv->sigint = watch_signal (m, SIGINT);
  priv->sigterm = watch_signal (m, SIGTERM);
  priv->sighup = watch_signal (m, SIGHUP);
}

bool
vm_machine_preconfig (VmMachine *m, GError **error)
{
  if (!m->settings->preconfig)
    return true;
  bool taken = vm_lock_enter (m->lock);
  bool ok = vm_machine_take_numa (m, error);
  vm_lock_leave (m->lock, taken);
  if (!ok)
    return false;
  m->priv->preconfig = true;
  watch_signals (m);
  vm_loop_run (m->env.loop);
  m->priv->preconfig = false;
  return !m->priv->quitting;
}

bool
vm_machine_in_preconfig (const VmMachine *m)
{
  return m->priv->preconfig;
}

void
vm_machine_exit_preconfig (VmMachine *m)
{
  m->priv->preconfig = false;
  vm_loop_quit (m->env.loop);
}

int
vm_machine_exit_status (const VmMachine *m)
{
  return m->priv->exit_status;
}

static void
launch (void *opaque)
{
  VmMachine *m = opaque;

  if (!m->settings->start_stopped)
    vm_machine_cont (m, NULL); /* cannot fail from prelaunch */
}

int
vm_machine_run (VmMachine *m)
{
  watch_signals (m);
  vm_loop_post (m->env.loop, launch, m);
  vm_loop_run (m->env.loop);
  return m->priv->exit_status;
}
