/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I2C buses: a master addresses a device, bytes go one way or the other, a stop ends it. SMBus commands are
 * sequences of that. */
#pragma once

#include "engine/bus/device.h"

#define VM_I2C_BUS_TYPE "i2c-bus"

typedef struct VmI2cBus VmI2cBus;

typedef enum VmI2cEvent { VM_I2C_START_WRITE, VM_I2C_START_READ, VM_I2C_STOP, VM_I2C_NACK } VmI2cEvent;

typedef struct VmI2cDevice {
  VmDevice parent;
  uint8_t  address; /* property: 7 bits */
} VmI2cDevice;

typedef struct VmI2cClass {
  VmDeviceClass parent;
  bool    (*event) (VmI2cDevice *dev, VmI2cEvent event); /* false: does not answer to a start */
  bool    (*send) (VmI2cDevice *dev, uint8_t byte);      /* master writes; false: not acknowledged */
  uint8_t (*receive) (VmI2cDevice *dev);
} VmI2cClass;

struct VmI2cBus {
  VmBus        parent;
  VmI2cDevice *current;
};
#define VM_I2C_BUS(bus) ((VmI2cBus *) (bus))

extern const VmType vm_i2c_device_type;

void    vm_i2c_bus_init (VmI2cBus *bus, VmDevice *owner, const char *name);
/* A (repeated) start; false when nobody acknowledged. */
bool    vm_i2c_start (VmI2cBus *bus, uint8_t address, bool read);
bool    vm_i2c_send (VmI2cBus *bus, uint8_t byte);
uint8_t vm_i2c_receive (VmI2cBus *bus);
void    vm_i2c_nack (VmI2cBus *bus);
void    vm_i2c_stop (VmI2cBus *bus);
/* For state: who is addressed; 0xff: nobody. */
uint8_t vm_i2c_current_address (const VmI2cBus *bus);
void    vm_i2c_set_current_address (VmI2cBus *bus, uint8_t address);
