/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parallel NOR flash as boards use it for firmware. */
#pragma once

#include "block/block.h"
#include "engine/bus/device.h"

typedef struct VmPflash {
  VmDevice parent;
  /* properties */
  VmDrive *drive;
  uint64_t sector_length;
  uint32_t num_blocks;
  uint8_t  width, device_width, max_device_width; /* bytes: of the bank, of a chip, of what the chip could be */
  bool     big_endian, secure, old_multiple_chip_handling;
  uint16_t id[4];
  char    *name;
  /* wiring */
  VmRegion region;       /* the board maps it; NUM_BLOCKS * SECTOR_LENGTH bytes */
  bool     readonly;
  uint8_t  query[0x60];
  uint64_t dirty_from, dirty_to, writing_from, writing_to; /* bytes that the drive lacks; that are on their way */
  struct iovec iov;
  bool     warned;
  /* guest state */
  uint8_t  command;      /* the one that began */
  uint8_t  cycle;        /* writes of it so far */
  uint8_t  status;
  uint32_t count;        /* of a buffered write: bytes still to come */
  uint32_t buffer_size;
  uint8_t *buffer;       /* the write buffer, and where it belongs */
  uint64_t buffer_at;
} VmPflash;

extern const VmType vm_pflash_type;
