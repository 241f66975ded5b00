/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Three numbers and two flags, each read and written by itself. */
#include "engine/monitor/progress.h"

#include "engine/monitor/monitor-private.h"

static VmProgress *
progress_of (VmMachine *machine)
{
  VmMonitors *all = vm_monitors_of (machine);

  return all ? &all->progress : NULL; /* NULL: a bench */
}

void
vm_progress_begin (VmMachine *machine, uint64_t total, bool cancellable)
{
  VmProgress *p = progress_of (machine);

  if (!p)
    return;
  __atomic_store_n (&p->cancelled, false, __ATOMIC_RELAXED);
  __atomic_store_n (&p->cancellable, cancellable, __ATOMIC_RELAXED);
  __atomic_store_n (&p->done, 0, __ATOMIC_RELAXED);
  __atomic_store_n (&p->total, total, __ATOMIC_RELAXED);
  __atomic_store_n (&p->under_way, true, __ATOMIC_RELEASE);
}

bool
vm_progress_step (VmMachine *machine, uint64_t done)
{
  VmProgress *p = progress_of (machine);

  if (!p)
    return true;
  __atomic_store_n (&p->done, done, __ATOMIC_RELAXED);
  return !__atomic_load_n (&p->cancelled, __ATOMIC_RELAXED);
}

void
vm_progress_end (VmMachine *machine)
{
  VmProgress *p = progress_of (machine);

  if (p)
    __atomic_store_n (&p->under_way, false, __ATOMIC_RELEASE);
}

bool
vm_progress_get (VmMachine *machine, uint64_t *done, uint64_t *total, bool *cancellable)
{
  VmProgress *p = progress_of (machine);

  if (!p || !__atomic_load_n (&p->under_way, __ATOMIC_ACQUIRE))
    return false;
  *done = __atomic_load_n (&p->done, __ATOMIC_RELAXED);
  *total = __atomic_load_n (&p->total, __ATOMIC_RELAXED);
  *cancellable = __atomic_load_n (&p->cancellable, __ATOMIC_RELAXED);
  return true;
}

void
vm_progress_cancel (VmMachine *machine)
{
  VmProgress *p = progress_of (machine);

  if (p && __atomic_load_n (&p->cancellable, __ATOMIC_RELAXED))
    __atomic_store_n (&p->cancelled, true, __ATOMIC_RELAXED);
}
