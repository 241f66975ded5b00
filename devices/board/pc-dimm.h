/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A memory module, and the part of the address space where the board has slots for such. */
#pragma once

#include "engine/machine/memory-backend.h"

typedef struct VmPcDimm {
  VmDevice         parent;
  /* properties */
  uint64_t         addr; /* 0: the board's choice */
  uint32_t         node;
  int32_t          slot; /* -1: the board's choice */
  VmMemoryBackend *memdev;
  VmRegion         region;
} VmPcDimm;

extern const VmType vm_pc_dimm_type;
