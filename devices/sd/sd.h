/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bus of SD cards: a host on one side, at most one card on the other (SD Specifications Part 1, Physical Layer
 * Simplified Specification 3.01).
 *
 * The host sends commands, each answered at once, and moves data through the card's buffer: it asks the card to fill
 * (or, having filled it, to empty) the buffer and is called back when that is done. */
#pragma once

#include "block/block.h"
#include "engine/bus/device.h"

typedef struct VmSdBus  VmSdBus;
typedef struct VmSdCard VmSdCard;

#define VM_SD_BUS_TYPE "sd-bus"
#define VM_SD_BLOCK    512u
#define VM_SD_BUFFER   (64 * VM_KIB)

typedef struct VmSdBusOps {
  void (*changed) (VmSdBus *bus); /* a card has come or gone, or another is in */
  /* What vm_sd_fetch() or vm_sd_store() began is done. */
  void (*ready) (VmSdBus *bus, bool ok);
} VmSdBusOps;

struct VmSdBus {
  VmBus             parent;
  const VmSdBusOps *ops;
  void             *opaque;
};

void vm_sd_bus_init (VmSdBus *bus, VmDevice *owner, const VmSdBusOps *ops, void *opaque);
/* The card with its medium, or NULL. */
VmSdCard *vm_sd_bus_card (VmSdBus *bus);
bool vm_sd_is_protected (const VmSdCard *card); /* by its switch */

typedef enum VmSdData { VM_SD_NO_DATA, VM_SD_TO_HOST, VM_SD_FROM_HOST } VmSdData;

/* Returns the bytes of the answer: 4, or 16, or 0 when the card says nothing. They are in the order of the wire,
 * without what frames them; the 16 end with their checksum. */
unsigned vm_sd_command (VmSdCard *card, uint8_t index, uint32_t argument, uint8_t answer[16]);
/* What the last command began, until the card has had enough or is stopped. */
VmSdData vm_sd_data (const VmSdCard *card);
/* To the host: fills the buffer, with at most LEN bytes. "ready" may come at once. */
void     vm_sd_fetch (VmSdCard *card, uint32_t len);
uint32_t vm_sd_left (const VmSdCard *card); /* bytes in the buffer, not yet taken */
void     vm_sd_take (VmSdCard *card, void *data, uint32_t len);
/* From the host: as many as there is room for; how many. */
uint32_t vm_sd_room (const VmSdCard *card);
void     vm_sd_put (VmSdCard *card, const void *data, uint32_t len);
void     vm_sd_store (VmSdCard *card); /* writes what the buffer has */
/* Waits for what is under way. */
void     vm_sd_drain (VmSdCard *card);
