/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The device's side of the serial protocol of Baum braille displays: what a screen reader in the guest speaks. */
#pragma once

#include "engine/base/base.h"

#define VM_BAUM_CELLS_MAX 84

typedef struct VmBaum
{
  unsigned cells;
  uint8_t dots[VM_BAUM_CELLS_MAX]; /* what the display shows, dot 1 in bit 0 */
  /* the packet that comes in */
  uint8_t packet[1 + VM_BAUM_CELLS_MAX];
  unsigned len;
  bool inside, escaped;
} VmBaum;

/* Bytes of the screen reader; answers are appended to OUT. True: dots has changed. */
bool vm_baum_receive (VmBaum *baum, const uint8_t *buf, size_t len, GByteArray *out);
/* A key is pressed and released: one of the six beside the display (bit set), or the one over CELL. */
void vm_baum_display_keys (VmBaum *baum, unsigned keys, GByteArray *out);
void vm_baum_routing_key (VmBaum *baum, unsigned cell, GByteArray *out);
