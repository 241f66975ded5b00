/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bench of a card on PCI: see card-bench.h. */
#include "tests/net/card-bench.h"

const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x99 };

void
set_up_card (Bench *b, const VmType *type, unsigned bar, size_t card)
{
  *b = (Bench){ 0 };
  disk_rig_init (&b->rig);
  disk_rig_add (&b->rig, type, bar, (const char *const[]){ "mac", "52:54:00:12:34:99", "romfile", "", NULL });
  wire_init (&b->wire, (VmNetCard *) (void *) ((char *) b->rig.dev + card), 0);
}

void
tear_down (Bench *b)
{
  wire_clear (&b->wire);
  disk_rig_clear (&b->rig);
}

void
out (Bench *b, unsigned reg, uint32_t value, unsigned size)
{
  rig_store (&b->rig.rig, DISK_RIG_BAR + reg, value, size);
}

uint32_t
in (Bench *b, unsigned reg, unsigned size)
{
  return (uint32_t) rig_load (&b->rig.rig, DISK_RIG_BAR + reg, size);
}
