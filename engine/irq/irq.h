/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An interrupt line, or any wire that carries a level: a value that says who listens. */
#pragma once

#include "engine/base/base.h"

typedef void (*VmIrqFunc) (void *opaque, int n, int level);

/* Zeroed means not connected. Outputs of a device are VmIrq members that the board (or the bus) fills in
 * with the value the receiver gives out: "self->irq = vm_i8259_input (pic, 4)". */
typedef struct VmIrq {
  VmIrqFunc func;
  void     *opaque;
  int       n;
} VmIrq;

static inline void
vm_irq_set (const VmIrq *irq, int level)
{
  if (irq->func)
    irq->func (irq->opaque, irq->n, level);
}

static inline void
vm_irq_raise (const VmIrq *irq)
{
  vm_irq_set (irq, 1);
}

static inline void
vm_irq_lower (const VmIrq *irq)
{
  vm_irq_set (irq, 0);
}

static inline void
vm_irq_pulse (const VmIrq *irq)
{
  vm_irq_set (irq, 1);
  vm_irq_set (irq, 0);
}

static inline bool
vm_irq_connected (const VmIrq *irq)
{
  return irq->func != NULL;
}
