/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One 8259A interrupt controller; a PC has two, the second on input 2 of the first. */
#pragma once

#include "devices/isa/isa.h"

typedef struct VmI8259 {
  VmIsaDevice parent;
  /* properties */
  uint32_t iobase, elcr_addr;
  uint8_t  elcr_mask;
  bool     master;
  /* wiring */
  VmIrq           intr;      /* INT output */
  struct VmI8259 *slave;     /* of the master: who answers on input 2 */
  VmRegion        io, elcr_io;
  /* guest state */
  uint8_t irr, imr, isr, lines; /* LINES: levels of the inputs as last seen */
  uint8_t elcr, vector_base, lowest; /* LOWEST: input with the lowest priority */
  uint8_t init_state;           /* which ICW the data port takes next; 0: none */
  bool    init4, single, ltim, auto_eoi, rotate_on_auto_eoi, special_mask, special_nested;
  bool    read_isr, poll, output;
} VmI8259;

extern const VmType vm_i8259_type;

VmIrq vm_i8259_input (VmI8259 *pic, unsigned n);
/* Both bus cycles of an interrupt acknowledge to the master: the vector. */
uint8_t vm_i8259_acknowledge (VmI8259 *master);
static inline bool
vm_i8259_pending (const VmI8259 *master)
{
  return master->output;
}
/* "info pic" */
void vm_i8259_describe (const VmI8259 *pic, unsigned n, GString *out);
