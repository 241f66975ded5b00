/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Real-time clock with CMOS RAM. */
#pragma once

#include "devices/isa/isa.h"

#define VM_RTC_CMOS_SIZE 128

enum { VM_LOST_TICK_DISCARD, VM_LOST_TICK_DELAY, VM_LOST_TICK_SLEW };

typedef struct VmMc146818 {
  VmIsaDevice parent;
  /* properties */
  int32_t  base_year;
  uint16_t iobase;
  uint8_t  irq;
  int      lost_tick_policy;
  /* wiring */
  VmIrq    irq_line;
  VmRegion io;
  VmClockType clock;
  /* guest state */
  uint8_t  cmos[VM_RTC_CMOS_SIZE];
  uint8_t  index;
  int64_t  offset_seconds, offset_ns; /* to add to the clock: years up to 9999 do not fit into ns */
  int64_t  frozen_seconds, frozen_ns; /* time while the divider is held in reset, or a set is under way */
  bool     frozen;
  int64_t  last_second;   /* time of day up to which update and alarm flags are made up */
  int64_t  periodic_start; /* virtual ns: phase of the periodic interrupt */
  int64_t  periodic_seen; /* ns up to which the periodic flag is made up */
  uint32_t lost_ticks;
  bool     irq_disabled;  /* the HPET has taken its line */
  VmTimer  update_timer, periodic_timer;
} VmMc146818;

extern const VmType vm_mc146818_type;

/* CMOS bytes for boards and firmware; the clock's own registers are not for this. */
void    vm_mc146818_set_cmos (VmMc146818 *rtc, unsigned addr, uint8_t value);
uint8_t vm_mc146818_get_cmos (const VmMc146818 *rtc, unsigned addr);
/* HPET legacy replacement: a high level keeps the clock from interrupting. */
VmIrq   vm_mc146818_irq_disable (VmMc146818 *rtc);
/* Seconds since 1970 as the guest's clock says (its wall time, whatever zone that is). */
int64_t vm_mc146818_time (VmMc146818 *rtc);
