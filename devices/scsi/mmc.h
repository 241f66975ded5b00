/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies of CD and DVD drives, whatever they are attached to (MMC-5, INCITS 430). */
#pragma once

#include "block/block.h"
#include "engine/bus/device.h"

#define VM_MMC_BLOCK     2048u
#define VM_MMC_RAW_BLOCK 2352u
#define VM_MMC_REPLY_MAX 2052u /* of the longest reply: the buffer of all functions here */

typedef struct VmMmcDrive {
  uint64_t blocks;        /* of the medium; 0 without */
  bool     medium, tray_open, locked;
  bool     event_pending; /* the medium was changed, and nobody has asked yet */
} VmMmcDrive;

/* Each fills B after the command block CDB and returns the length; 0: invalid field in CDB. */
uint32_t vm_mmc_read_toc (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
uint32_t vm_mmc_get_configuration (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
uint32_t vm_mmc_get_event_status (VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
uint32_t vm_mmc_read_disc_information (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
uint32_t vm_mmc_read_disc_structure (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
uint32_t vm_mmc_mechanism_status (const VmMmcDrive *drive, const uint8_t *cdb, uint8_t *b);
/* More blocks than the largest CD has: it is a DVD. */
bool     vm_mmc_is_dvd (const VmMmcDrive *drive);
/* Mode page 2A, capabilities and mechanical status; 22 bytes. */
uint32_t vm_mmc_capabilities_page (const VmMmcDrive *drive, uint8_t *p);
/* RAW becomes the raw form of the block of user data at DATA, which may lie in it: no error correction bytes. */
void     vm_mmc_make_raw (uint8_t raw[VM_MMC_RAW_BLOCK], const uint8_t *data, uint32_t lba);
/* Block size READ CD wants: 0 nothing, VM_MMC_BLOCK, VM_MMC_RAW_BLOCK; -1 something else. */
int      vm_mmc_read_cd_size (const uint8_t *cdb);
/* The guest opens or shuts DEV's tray: whoever listens is told. */
void     vm_mmc_move_tray (VmDevice *dev, VmDrive *drive, bool open);
