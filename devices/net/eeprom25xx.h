/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial EEPROMs on four wires (Microchip 25LC010A data sheet, DS21832): what cards keep their settings in, bit by bit. */
#pragma once

#include "engine/base/base.h"
#include "engine/object/object.h"

typedef struct VmEeprom25xx {
  uint16_t *words;   /* somebody else's; the lower byte comes first */
  unsigned  n;       /* bytes: at most 256, a power of two */
  /* guest state */
  uint8_t   phase, bits, shift; /* bits of the byte under way */
  uint8_t   command, address;
  bool      selected, clock, out;
  bool      writable;
} VmEeprom25xx;

extern const VmField vm_eeprom25xx_state[];

void vm_eeprom25xx_init (VmEeprom25xx *e, uint16_t *words, unsigned n);
void vm_eeprom25xx_reset (VmEeprom25xx *e);
/* The wires, as the host drives them; OUT of the struct is the one it reads. */
void vm_eeprom25xx_write (VmEeprom25xx *e, bool selected, bool clock, bool in);
