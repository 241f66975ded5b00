/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMBus host controller (82371AB PIIX4 data sheet 290562, section 7.3; SMBus 2.0). Commands finish at once. */
#include "devices/i2c/piix4-smbus.h"

enum {
  SMBHSTSTS = 0x0, SMBSLVSTS = 0x1, SMBHSTCNT = 0x2, SMBHSTCMD = 0x3, SMBHSTADD = 0x4, SMBHSTDAT0 = 0x5,
  SMBHSTDAT1 = 0x6, SMBBLKDAT = 0x7, SMBSLVCNT = 0x8, SMBSHDWCMD = 0x9, SMBSLVEVT = 0xa, SMBSLVDAT = 0xc,
};
enum {
  STATUS_BUSY = 1 << 0, STATUS_INTR = 1 << 1, STATUS_DEV_ERR = 1 << 2, STATUS_BUS_ERR = 1 << 3,
  STATUS_FAILED = 1 << 4, STATUS_CLEARABLE = 0x1e,
};
enum { CONTROL_INTREN = 1 << 0, CONTROL_KILL = 1 << 1, CONTROL_START = 1 << 6 };
enum { PROTOCOL_QUICK, PROTOCOL_BYTE, PROTOCOL_BYTE_DATA, PROTOCOL_WORD_DATA, PROTOCOL_BLOCK = 5 };

static void
smbus_update_irq (VmPiix4Smbus *self)
{
  vm_irq_set (&self->irq, (self->status & STATUS_CLEARABLE) && (self->control & CONTROL_INTREN));
}

static bool
smbus_write_data (VmPiix4Smbus *self, unsigned protocol)
{
  VmI2cBus *bus = &self->bus;

  switch (protocol)
    {
    case PROTOCOL_BYTE_DATA:
      return vm_i2c_send (bus, self->data0);
    case PROTOCOL_WORD_DATA:
      return vm_i2c_send (bus, self->data0) && vm_i2c_send (bus, self->data1);
    case PROTOCOL_BLOCK:
      if (self->data0 == 0 || self->data0 > sizeof self->block || !vm_i2c_send (bus, self->data0))
        return false;
      for (unsigned i = 0; i < self->data0; i++)
        if (!vm_i2c_send (bus, self->block[i]))
          return false;
      return true;
    default:
      return true;
    }
}

static bool
smbus_read_data (VmPiix4Smbus *self, unsigned protocol)
{
  VmI2cBus *bus = &self->bus;

  self->data0 = vm_i2c_receive (bus);
  if (protocol == PROTOCOL_WORD_DATA)
    self->data1 = vm_i2c_receive (bus);
  if (protocol == PROTOCOL_BLOCK)
    {
      if (self->data0 == 0 || self->data0 > sizeof self->block)
        return false;
      for (unsigned i = 0; i < self->data0; i++)
        self->block[i] = vm_i2c_receive (bus);
    }
  vm_i2c_nack (bus);
  return true;
}

static bool
smbus_transfer (VmPiix4Smbus *self)
{
  VmI2cBus *bus = &self->bus;
  unsigned protocol = self->control >> 2 & 7;
  uint8_t address = self->address >> 1;
  bool read = self->address & 1;

  switch (protocol)
    {
    case PROTOCOL_QUICK:
      return vm_i2c_start (bus, address, read);
    case PROTOCOL_BYTE:
      if (!vm_i2c_start (bus, address, read))
        return false;
      return read ? smbus_read_data (self, protocol) : vm_i2c_send (bus, self->command);
    case PROTOCOL_BYTE_DATA:
    case PROTOCOL_WORD_DATA:
    case PROTOCOL_BLOCK:
      if (!vm_i2c_start (bus, address, false) || !vm_i2c_send (bus, self->command))
        return false;
      if (!read)
        return smbus_write_data (self, protocol);
      return vm_i2c_start (bus, address, true) && smbus_read_data (self, protocol);
    default:
      return false;
    }
}

static void
smbus_write_control (VmPiix4Smbus *self, uint8_t value)
{
  self->control = value & (uint8_t) ~CONTROL_START;
  if (value & CONTROL_KILL)
    self->status |= STATUS_FAILED;
  else if (value & CONTROL_START)
    {
      self->index = 0;
      self->status |= smbus_transfer (self) ? STATUS_INTR : STATUS_DEV_ERR;
      vm_i2c_stop (&self->bus);
    }
  smbus_update_irq (self);
}

static void
smbus_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPiix4Smbus *self = opaque;
  uint8_t byte = (uint8_t) value;

  switch (offset)
    {
    case SMBHSTSTS:
      self->status &= (uint8_t) ~(byte & STATUS_CLEARABLE);
      self->index = 0;
      smbus_update_irq (self);
      break;
    case SMBSLVSTS:
      self->slave_status &= (uint8_t) ~byte;
      break;
    case SMBHSTCNT:
      smbus_write_control (self, byte);
      break;
    case SMBHSTCMD:
      self->command = byte;
      break;
    case SMBHSTADD:
      self->address = byte;
      break;
    case SMBHSTDAT0:
      self->data0 = byte;
      break;
    case SMBHSTDAT1:
      self->data1 = byte;
      break;
    case SMBBLKDAT:
      self->block[self->index] = byte;
      self->index = (self->index + 1) & 31;
      break;
    case SMBSLVCNT:
      self->slave_control = byte & 0xf;
      break;
    case SMBSHDWCMD:
      self->slave_command = byte;
      break;
    case SMBSLVEVT:
    case SMBSLVEVT + 1:
      vm_store_le ((uint8_t *) &self->slave_event + (offset & 1), byte, 1);
      break;
    default:
      break;
    }
}

static uint64_t
smbus_read (void *opaque, uint64_t offset, unsigned size)
{
  VmPiix4Smbus *self = opaque;
  uint8_t byte;

  switch (offset)
    {
    case SMBHSTSTS:
      return self->status;
    case SMBSLVSTS:
      return self->slave_status;
    case SMBHSTCNT:
      self->index = 0; /* also resets the pointer into the block */
      return self->control;
    case SMBHSTCMD:
      return self->command;
    case SMBHSTADD:
      return self->address;
    case SMBHSTDAT0:
      return self->data0;
    case SMBHSTDAT1:
      return self->data1;
    case SMBBLKDAT:
      byte = self->block[self->index];
      self->index = (self->index + 1) & 31;
      return byte;
    case SMBSLVCNT:
      return self->slave_control;
    case SMBSHDWCMD:
      return self->slave_command;
    case SMBSLVEVT:
    case SMBSLVEVT + 1:
      return self->slave_event >> (offset & 1) * 8 & 0xff;
    case SMBSLVDAT:
    case SMBSLVDAT + 1:
      return self->slave_data >> (offset & 1) * 8 & 0xff;
    default:
      return 0xff;
    }
}

const VmRegionOps vm_piix4_smbus_ops = {
  .read = smbus_read, .write = smbus_write, .impl = { .min = 1, .max = 1 },
};

const VmField vm_piix4_smbus_state[] = {
  VM_FIELD (VmPiix4Smbus, status), VM_FIELD (VmPiix4Smbus, control), VM_FIELD (VmPiix4Smbus, command),
  VM_FIELD (VmPiix4Smbus, address), VM_FIELD (VmPiix4Smbus, data0), VM_FIELD (VmPiix4Smbus, data1),
  VM_FIELD_ARRAY (VmPiix4Smbus, block), VM_FIELD (VmPiix4Smbus, index),
  VM_FIELD (VmPiix4Smbus, slave_status), VM_FIELD (VmPiix4Smbus, slave_control),
  VM_FIELD (VmPiix4Smbus, slave_command), VM_FIELD (VmPiix4Smbus, slave_event),
  VM_FIELD (VmPiix4Smbus, slave_data),
  { 0 }
};

void
vm_piix4_smbus_reset (VmPiix4Smbus *self)
{
  self->status = self->control = self->command = self->address = self->data0 = self->data1 = 0;
  self->slave_status = self->slave_control = self->slave_command = self->index = 0;
  self->slave_event = self->slave_data = 0;
  memset (self->block, 0, sizeof self->block);
  smbus_update_irq (self);
}
