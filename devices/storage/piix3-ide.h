/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The IDE function of the PIIX3. */
#pragma once

#include "devices/pci/pci.h"
#include "devices/storage/ide.h"

typedef struct VmPiix3Ide VmPiix3Ide;
extern const VmType vm_piix3_ide_type; /* "piix3-ide" */
extern const VmType vm_isa_ide_type;   /* "isa-ide" */

/* ISA lines 14 and 15; before realize. */
void vm_piix3_ide_set_irqs (VmPiix3Ide *ide, VmIrq irq14, VmIrq irq15);
VmIdeBus *vm_piix3_ide_bus (VmPiix3Ide *ide, unsigned channel);
VmIdeBus *vm_isa_ide_bus (VmDevice *dev);
