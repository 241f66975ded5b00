/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the local APIC share. */
#pragma once

#include "devices/intc/lapic.h"

enum { /* register offsets / 16 */
  LAPIC_ID = 0x02, LAPIC_VERSION = 0x03, LAPIC_TPR = 0x08, LAPIC_APR = 0x09, LAPIC_PPR = 0x0a,
  LAPIC_EOI = 0x0b, LAPIC_RRD = 0x0c, LAPIC_LDR = 0x0d, LAPIC_DFR = 0x0e, LAPIC_SVR = 0x0f,
  LAPIC_ISR = 0x10, LAPIC_TMR = 0x18, LAPIC_IRR = 0x20, LAPIC_ESR = 0x28, LAPIC_ICR_LOW = 0x30,
  LAPIC_ICR_HIGH = 0x31, LAPIC_LVT = 0x32, LAPIC_INITIAL_COUNT = 0x38, LAPIC_CURRENT_COUNT = 0x39,
  LAPIC_DIVIDE = 0x3e, LAPIC_SELF_IPI = 0x3f,
};
enum { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_N };
enum {
  LVT_VECTOR = 0xff, LVT_MODE_SHIFT = 8, LVT_LEVEL = 1 << 15, LVT_MASKED = 1 << 16,
  LVT_TIMER_MODE = 3 << 17, LVT_TIMER_PERIODIC = 1 << 17, LVT_TIMER_DEADLINE = 2 << 17,
  LVT_REMOTE_IRR = 1 << 14, LVT_PENDING = 1 << 12,
};
enum { SVR_ENABLED = 1 << 8, SVR_FOCUS = 1 << 9 };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };
enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLED = 1 << 11 };
enum {
  ICR_MODE_SHIFT = 8, ICR_LOGICAL = 1 << 11, ICR_BUSY = 1 << 12, ICR_ASSERT = 1 << 14,
  ICR_LEVEL = 1 << 15, ICR_SHORTHAND_SHIFT = 18,
};

static inline bool
lapic_enabled (const VmLapic *self)
{
  return (self->base & BASE_ENABLED) != 0;
}

static inline bool
lapic_is_x2 (const VmLapic *self)
{
  return (self->base & (BASE_ENABLED | BASE_X2APIC)) == (BASE_ENABLED | BASE_X2APIC);
}

static inline bool
lapic_is_on (const VmLapic *self)
{
  return lapic_enabled (self) && (self->svr & SVR_ENABLED);
}

/* lapic.c */
uint8_t  lapic_ppr (const VmLapic *self);
void     lapic_update (VmLapic *self);             /* tells the processor whether there is a vector */
void     lapic_accept (VmLapic *self, uint8_t vector, bool level);
void     lapic_error (VmLapic *self, uint32_t bits);
void     lapic_init (VmLapic *self);               /* what INIT does */
uint32_t lapic_register_read (VmLapic *self, unsigned reg);
void     lapic_register_write (VmLapic *self, unsigned reg, uint32_t value);
void     lapic_local (VmLapic *self, unsigned lvt); /* the source of an LVT entry fired */

/* lapic-timer.c */
void     lapic_timer_init (VmLapic *self);
void     lapic_timer_restart (VmLapic *self);
void     lapic_timer_set_divide (VmLapic *self, uint32_t divide);
void     lapic_timer_mode_changed (VmLapic *self, uint32_t old_lvt);
uint32_t lapic_timer_count (VmLapic *self);
void     lapic_timer_set_deadline (VmLapic *self, uint64_t tsc);
unsigned lapic_timer_shift (const VmLapic *self);

/* lapic-bus.c */
void     lapic_bus_map (VmLapic *self);            /* base or mode changed */
void     lapic_send_ipi (VmLapic *self);           /* as the ICR says */
