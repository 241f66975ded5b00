/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One 8237A DMA controller with its page registers; a PC has two. */
#pragma once

#include "devices/isa/isa.h"

typedef struct VmI8257Channel {
  uint16_t base_address, base_count, address, count; /* guest state */
  uint8_t  page, page_high, mode;
} VmI8257Channel;

typedef struct VmI8257 {
  VmIsaDevice parent;
  /* properties */
  int32_t base, page_base, pageh_base, dshift; /* DSHIFT 1: 16-bit transfers, channels 4-7 */
  /* wiring */
  VmIsaDmaClient client[4];
  bool     serving[4];
  VmRegion channel_io, control_io, page_io, pageh_io;
  /* guest state */
  VmI8257Channel channel[4];
  uint8_t  command, status, mask, request, dreq; /* DREQ: lines of the devices */
  uint8_t  scratch[16]; /* page registers that belong to no channel */
  bool     flip_flop;
} VmI8257;

extern const VmType vm_i8257_type;
