/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The floppy disk controller and its drives. */
#pragma once

#include "block/block.h"
#include "devices/isa/isa.h"
#include "engine/machine/machine.h"

#define VM_FLOPPY_BUS_TYPE "floppy-bus"

typedef enum VmFloppyKind { VM_FLOPPY_AUTO, VM_FLOPPY_144, VM_FLOPPY_288, VM_FLOPPY_120, VM_FLOPPY_NONE } VmFloppyKind;

typedef struct VmFloppy {
  VmDevice parent;
  /* properties */
  VmBlockConf conf;
  uint32_t unit;
  int      kind;               /* VmFloppyKind */
  /* the medium's geometry; 0 sectors: none */
  uint8_t  tracks, heads, sectors;
  int      medium_kind;        /* of drives that take it; VM_FLOPPY_AUTO: none is known */
  /* guest state */
  uint8_t  track;
  bool     changed;            /* disk change line */
} VmFloppy;

typedef struct VmFdc VmFdc;

extern const VmType vm_isa_fdc_type, vm_floppy_type;

/* For the CMOS: VM_FLOPPY_NONE when there is no such drive. */
VmFloppyKind vm_fdc_drive_kind (VmFdc *fdc, unsigned unit);
