/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counting instructions: timers, turns, idle time and the pace of host time. */
#include "engine/tcg/icount.h"

#include "engine/base/log.h"
#include "engine/io/loop.h"
#include "engine/tcg/sys/sys.h"

#define TURN 20000                     /* instructions of a vCPU until the next one's turn */
#define WINDOW_NS (100 * VM_NS_PER_MS) /* of a look at the pace */
#define AHEAD_NS (3 * VM_NS_PER_MS)    /* align: as much does not matter */
#define LATE_NS (VM_NS_PER_SEC / 2)    /* worth a warning */
#define MAX_SHIFT 10

static VmX86Env *
env_of (VmTcgExec *x)
{
  return &((VmX86Cpu *) x->vcpu)->env;
}

/* Machine lock held. */
static bool
is_idle (void *opaque)
{
  VmIcount *self = opaque;

  for (guint i = 0; i < self->vcpus->len; i++)
    {
      VmTcgExec *x = g_ptr_array_index (self->vcpus, i);

      if (!x->idle || vm_sys_has_wakeup (env_of (x)))
        return false;
    }
  return self->vcpus->len > 0 && self->options.sleep;
}

VmIcount *
vm_icount_new (VmEnv *env)
{
  VmIcount *self = g_new0 (VmIcount, 1);

  self->env = env;
  self->options = env->icount;
  self->vcpus = g_ptr_array_new ();
  self->turn_end = TURN;
  self->clock = vm_clocks_set_counted (env->clocks, is_idle, self);
  self->host = vm_clock_now (env->clocks, VM_CLOCK_REALTIME);
  self->virt = self->clock->now;
  return self;
}

void
vm_icount_free (VmIcount *self)
{
  vm_log (VM_LOG_OP_OPT, "instructions counted %" G_GUINT64_FORMAT ", virtual time %" G_GINT64_FORMAT " ns\n",
          self->count, self->clock->now);
  g_ptr_array_unref (self->vcpus);
  g_free (self);
}

static void
set_idle (VmIcount *self, VmTcgExec *x, bool idle)
{
  VmLock *lock = vm_loop_lock (self->env->loop);
  bool taken = vm_lock_enter (lock);

  x->idle = idle;
  vm_clocks_counted_idle (self->env->clocks);
  vm_lock_leave (lock, taken);
}

void
vm_icount_enter (VmIcount *self, VmTcgExec *x)
{
  /* Waits for the loop to have fired all that belongs to the instant that woke us. */
  set_idle (self, x, false);
}

void
vm_icount_idle (VmIcount *self, VmTcgExec *x)
{
  set_idle (self, x, true);
}

void
vm_icount_join (VmIcount *self, VmTcgExec *x)
{
  VmLock *lock = vm_loop_lock (self->env->loop);
  bool taken = vm_lock_enter (lock);

  g_ptr_array_add (self->vcpus, x);
  vm_lock_leave (lock, taken);
}

void
vm_icount_leave (VmIcount *self, VmTcgExec *x)
{
  VmLock *lock = vm_loop_lock (self->env->loop);
  bool taken = vm_lock_enter (lock);

  g_ptr_array_remove (self->vcpus, x);
  vm_lock_leave (lock, taken);
}

bool
vm_icount_skip_idle (VmIcount *self, VmTcgExec *x)
{
  VmLock *lock = vm_loop_lock (self->env->loop);
  VmX86Env *env = env_of (x);
  bool skip = !self->options.sleep;

  if (!skip)
    return false;
  bool taken = vm_lock_enter (lock);
  for (guint i = 0; skip && i < self->vcpus->len; i++)
    {
      VmTcgExec *other = g_ptr_array_index (self->vcpus, i);

      skip = (other == x || other->idle) && !vm_sys_has_wakeup (env_of (other));
    }
  skip = skip && self->clock->deadline != INT64_MAX;
  if (skip)
    vm_clocks_fire_counted (self->env->clocks, true);
  vm_lock_leave (lock, taken);
  return skip || vm_sys_has_wakeup (env);
}

static void
align (VmIcount *self, int64_t host, int64_t gained)
{
  self->ahead += gained;
  if (self->ahead > AHEAD_NS)
    {
      int64_t nap = MIN (self->ahead, WINDOW_NS);

      g_usleep (nap / VM_NS_PER_US);
      self->ahead -= nap;
      self->host += nap;
    }
  else if (self->ahead < -LATE_NS && host - self->warned > 2 * VM_NS_PER_SEC)
    {
      vm_log_print ("Warning: The guest is now late by %.1f seconds\n", -self->ahead / 1e9);
      self->warned = host;
    }
}

/* Looks at how virtual time went by the host's since the last time. */
static void
keep_pace (VmIcount *self)
{
  int64_t host = vm_clock_now (self->env->clocks, VM_CLOCK_REALTIME), virt = self->clock->now;
  int64_t real = host - self->host, gone = virt - self->virt;

  if (real < WINDOW_NS && gone < (self->options.align ? AHEAD_NS : WINDOW_NS))
    return;
  self->host = host;
  self->virt = virt;
  if (real > VM_NS_PER_SEC) /* the machine stood */
    return;
  if (self->options.align)
    align (self, host, gone - real);
  if (self->options.automatic && gone > real + real / 2 && self->options.shift > 0)
    self->options.shift--;
  else if (self->options.automatic && gone < real / 2 && self->options.shift < MAX_SHIFT)
    self->options.shift++;
}

bool
vm_icount_attend (VmIcount *self, VmTcgExec *x)
{
  if (self->clock->now >= self->clock->deadline)
    {
      VmLock *lock = vm_loop_lock (self->env->loop);
      bool taken = vm_lock_enter (lock);

      vm_clocks_fire_counted (self->env->clocks, false);
      vm_lock_leave (lock, taken);
    }
  if (self->count < self->turn_end)
    return false;
  self->turn_end = self->count + TURN;
  if (self->options.align || self->options.automatic)
    keep_pace (self);
  return self->vcpus->len > 1;
}
