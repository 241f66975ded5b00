/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the benches of cards on PCI have in common: a card with its registers in memory, and the other end of its wire. */
#pragma once

#include "tests/devices/disk-rig.h"
#include "tests/net/wire.h"

typedef struct Bench
{
  DiskRig rig;
  Wire wire;
  unsigned style; /* a test's own */
} Bench;

extern const uint8_t mac[6]; /* the card's */

/* BAR: where the registers are; CARD: the VmNetCard's place in the device. */
void set_up_card (Bench *b, const VmType *type, unsigned bar, size_t card);
void tear_down (Bench *b);
void out (Bench *b, unsigned reg, uint32_t value, unsigned size);
uint32_t in (Bench *b, unsigned reg, unsigned size);
