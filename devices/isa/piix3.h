/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Function 0 of the PIIX3: the bridge to the ISA bus. */
#pragma once

#include "devices/isa/isa.h"
#include "devices/pci/pci.h"

typedef struct VmPiix3 {
  VmPciDevice parent;
  VmIsaBus    isa;                /* isa.0 */
  VmIrq       irq[VM_ISA_IRQS];   /* wiring: where PIRQA..D may go */
  uint16_t    irq_levels;         /* guest state */
  uint8_t     rst_cnt;
} VmPiix3;

extern const VmType vm_piix3_type;
/* Reset control, port CF9, which the host bridge hands on; opaque is the VmPiix3. */
extern const VmRegionOps vm_piix3_rst_cnt_ops;
