/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial EEPROMs on three wires (Microwire): 93C46, 93C56, 93C66 in words of 16 bits. */
#pragma once

#include "engine/object/object.h"

#define VM_EEPROM93XX_MAX 256 /* words of the largest, 93C66 */

typedef struct VmEeprom93xx
{
  /* wiring */
  uint16_t n; /* words: 64 (93C46), 128 (93C56), 256 (93C66) */
  /* guest state */
  uint16_t words[VM_EEPROM93XX_MAX];
  uint8_t phase;
  uint8_t bits; /* of the phase, so far */
  uint16_t command;
  uint16_t data; /* on its way in or out */
  bool cs, sk, out, writable;
} VmEeprom93xx;

extern const VmField vm_eeprom93xx_state[];

/* N words, all ones; the wires at rest. */
void vm_eeprom93xx_init (VmEeprom93xx *e, unsigned n);
/* The wires are let go of: power-on. What is stored stays. */
void vm_eeprom93xx_reset (VmEeprom93xx *e);
/* Levels of chip select, clock and data in. */
void vm_eeprom93xx_write (VmEeprom93xx *e, bool cs, bool sk, bool di);
/* Data out; high while nothing drives it. */
static inline bool
vm_eeprom93xx_read (const VmEeprom93xx *e)
{
  return e->out;
}
