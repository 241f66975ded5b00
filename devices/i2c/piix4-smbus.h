/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The SMBus host controller of the PIIX4. */
#pragma once

#include "devices/i2c/i2c.h"

#define VM_PIIX4_SMBUS_PORTS 16

typedef struct VmPiix4Smbus {
  VmI2cBus bus;                      /* wiring */
  VmIrq    irq;
  uint8_t  status, control, command; /* guest state: SMBHSTSTS, CNT, CMD, ADD, DAT0, DAT1 */
  uint8_t  address, data0, data1;
  uint8_t  block[32], index;
  uint8_t  slave_status, slave_control, slave_command;
  uint16_t slave_event, slave_data;
} VmPiix4Smbus;

extern const VmRegionOps vm_piix4_smbus_ops; /* opaque: VmPiix4Smbus */
extern const VmField vm_piix4_smbus_state[];

void vm_piix4_smbus_reset (VmPiix4Smbus *self);
