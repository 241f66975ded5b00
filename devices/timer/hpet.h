/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The high precision event timer. */
#pragma once

#include "engine/bus/device.h"

#define VM_HPET_MAX_TIMERS 32
#define VM_HPET_SIZE 0x400

typedef struct VmHpet VmHpet;

typedef struct VmHpetTimer {
  VmHpet  *hpet;
  unsigned n;
  VmTimer  timer;
  uint64_t config, comparator, period, fsb; /* guest state */
} VmHpetTimer;

struct VmHpet {
  VmDevice parent;
  /* properties */
  uint8_t  timers;
  bool     msi, hpet_offset_saved;
  uint32_t intcap;       /* I/O APIC inputs the timers can use, a bit each */
  /* wiring */
  VmIrq    irq[32];      /* lines of the I/O APIC; 0 and 8 are those of PIT and RTC */
  VmIrq    pit_disable, rtc_disable;
  VmRegion region;       /* the board maps it */
  /* guest state */
  uint64_t config, status, counter; /* COUNTER while halted */
  uint64_t offset;       /* ticks to add to those of the virtual clock while running */
  VmHpetTimer timer[VM_HPET_MAX_TIMERS];
};

extern const VmType vm_hpet_type;
