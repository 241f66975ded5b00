/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A 256-byte serial EEPROM as memory modules carry it. */
#pragma once

#include "devices/i2c/i2c.h"

#define VM_SMBUS_EEPROM_SIZE 256

typedef struct VmSmbusEeprom {
  VmI2cDevice parent;
  uint8_t initial[VM_SMBUS_EEPROM_SIZE]; /* wiring: contents at power-on */
  uint8_t data[VM_SMBUS_EEPROM_SIZE];    /* guest state */
  uint8_t offset;
  bool    offset_next;                   /* the next byte written is the offset */
} VmSmbusEeprom;

extern const VmType vm_smbus_eeprom_type;

/* Serial presence detect of an SDR SDRAM module of SIZE bytes (JEDEC standard 21-C, 4.1.2.5). Sizes that no
 * module has are rounded down to one that has. */
void vm_spd_fill_sdr (uint8_t data[VM_SMBUS_EEPROM_SIZE], uint64_t size);
