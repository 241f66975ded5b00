/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -icount: the virtual clock counts the instructions of all vCPUs, which share a thread; its timers are fired by that
 * thread between two instructions, so that a run repeats exactly as long as nothing comes in from outside. */
#pragma once

#include "engine/tcg/exec.h"

typedef struct VmIcount
{
  VmEnv *env;
  VmCountedClock *clock;
  VmIcountOptions options;
  uint64_t count;     /* instructions */
  uint64_t turn_end;  /* the count at which another vCPU's turn comes */
  bool partial;       /* the last was a repetition that is not over */
  GPtrArray *vcpus;   /* VmTcgExec *; changes under the machine lock */
  int64_t host, virt; /* when the pace was last looked at */
  int64_t ahead;      /* align: of host time, by all that was seen */
  int64_t warned;     /* host time */
} VmIcount;

VmIcount *vm_icount_new (VmEnv *env);
void vm_icount_free (VmIcount *self);
void vm_icount_join (VmIcount *self, VmTcgExec *x);
/* Exec begins; ends because the vCPU is halted; the vCPU goes for good. */
void vm_icount_enter (VmIcount *self, VmTcgExec *x);
void vm_icount_idle (VmIcount *self, VmTcgExec *x);
void vm_icount_leave (VmIcount *self, VmTcgExec *x);
/* sleep=off, X is halted: goes to the next deadline if nobody runs. True: X may have been woken. */
bool vm_icount_skip_idle (VmIcount *self, VmTcgExec *x);
/* Fires timers. True: another vCPU's turn. */
bool vm_icount_attend (VmIcount *self, VmTcgExec *x);

/* One more instruction is about to run. */
static inline void
vm_icount_step (VmIcount *self)
{
  if (self->partial)
    return;
  self->count++;
  __atomic_store_n (&self->clock->now, self->clock->now + (INT64_C (1) << self->options.shift), __ATOMIC_RELAXED);
}

static inline bool
vm_icount_due (const VmIcount *self)
{
  return self->clock->now >= __atomic_load_n (&self->clock->deadline, __ATOMIC_RELAXED)
         || self->count >= self->turn_end;
}
