/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bench for chips: memory, ports, a clock that stands until told, lines that count. */
#pragma once

#include "engine/bus/device.h"

typedef struct Rig {
  VmLock         *lock;
  bool            locked;
  VmEnv           env;
  VmRegion        system_memory, system_io, ram;
  VmAddressSpace  memory_as, io_as;
  int             resets, shutdowns, suspends, wakeups, panics, exit_status;
} Rig;

/* A line under watch. */
typedef struct Probe {
  int level, rises, falls;
} Probe;

void     rig_init (Rig *rig, uint64_t ram_size);
void     rig_clear (Rig *rig); /* all devices must be gone */
VmIrq    probe_irq (Probe *probe);
int64_t  rig_now (Rig *rig);
void     rig_advance (Rig *rig, int64_t ns);

/* Realizes on BUS (NULL: none), resets, and keeps the tree's reference only. */
void     rig_add (Rig *rig, void *dev, VmBus *bus);
void     rig_remove (void *dev);

uint32_t rig_in (Rig *rig, uint16_t port, unsigned size);
void     rig_out (Rig *rig, uint16_t port, uint32_t value, unsigned size);
static inline uint8_t
rig_inb (Rig *rig, uint16_t port)
{
  return (uint8_t) rig_in (rig, port, 1);
}
static inline void
rig_outb (Rig *rig, uint16_t port, uint8_t value)
{
  rig_out (rig, port, value, 1);
}
uint64_t rig_load (Rig *rig, uint64_t addr, unsigned size);
void     rig_store (Rig *rig, uint64_t addr, uint64_t value, unsigned size);
