/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The 8254 interval timer and the gate of its third counter. */
#pragma once

#include "devices/isa/isa.h"

#define VM_I8254_HZ 1193182

typedef struct VmI8254Channel {
  /* guest state */
  uint32_t count;          /* 1..0x10000, or to 10000 in BCD */
  uint32_t next_count;     /* taken over at the end of the period, modes 2 and 3; 0: none */
  int64_t  next_start;     /* when that is */
  uint16_t latched_count;
  uint8_t  latch_left;     /* bytes of a latched count still to be read */
  bool     latch_high;     /* the next of them is the high byte */
  bool     status_latched;
  uint8_t  status;
  bool     read_high, write_high; /* flip-flops of the two-byte modes */
  uint8_t  write_latch;
  uint8_t  access, mode;   /* 1 low, 2 high, 3 both; 0..5 */
  bool     bcd, gate, null_count;
  bool     started;        /* counting since a count or a trigger came */
  int64_t  start;          /* virtual ns */
  int64_t  gate_stop;      /* ns already counted when a low gate froze it; -1: not frozen */
} VmI8254Channel;

typedef struct VmI8254 {
  VmIsaDevice parent;
  uint32_t iobase;         /* property */
  VmIrq    irq;            /* output of counter 0 */
  VmRegion io;
  bool     irq_disabled;   /* guest state: the HPET has taken counter 0's line */
  bool     output0;
  VmI8254Channel channel[3];
  VmTimer  timer;
} VmI8254;

extern const VmType vm_i8254_type;

/* Counter 2, as port 61h has it. */
void vm_i8254_set_gate (VmI8254 *pit, unsigned n, bool level);
bool vm_i8254_gate (const VmI8254 *pit, unsigned n);
bool vm_i8254_output (VmI8254 *pit, unsigned n);
/* Programmed frequency of a counter in Hz times 1000; 0 when it is not a square wave or rate. */
uint64_t vm_i8254_millihertz (const VmI8254 *pit, unsigned n);
/* HPET legacy replacement: a high level keeps counter 0 from interrupting. */
VmIrq vm_i8254_irq_disable (VmI8254 *pit);
