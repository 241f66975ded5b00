/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I2C buses: see i2c.h. */
#include "devices/i2c/i2c.h"

static const VmI2cClass *
i2c_class (const VmI2cDevice *dev)
{
  return (const VmI2cClass *) vm_device_class (&dev->parent);
}

static VmI2cDevice *
i2c_find (VmI2cBus *bus, uint8_t address)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmI2cDevice *dev = g_ptr_array_index (bus->parent.devices, i);

      if (dev->address == address)
        return dev;
    }
  return NULL;
}

static void
i2c_detach (VmBus *bus, VmDevice *dev)
{
  if ((VmDevice *) VM_I2C_BUS (bus)->current == dev)
    VM_I2C_BUS (bus)->current = NULL;
}

static char *
i2c_device_path (VmBus *bus, VmDevice *dev)
{
  return g_strdup_printf ("%02x", ((VmI2cDevice *) dev)->address);
}

void
vm_i2c_bus_init (VmI2cBus *bus, VmDevice *owner, const char *name)
{
  vm_bus_init (&bus->parent, VM_I2C_BUS_TYPE, owner, name);
  bus->parent.detach = i2c_detach;
  bus->parent.device_path = i2c_device_path;
}

bool
vm_i2c_start (VmI2cBus *bus, uint8_t address, bool read)
{
  VmI2cDevice *dev = i2c_find (bus, address);

  if (bus->current && bus->current != dev)
    vm_i2c_stop (bus);
  bus->current = dev;
  if (!dev)
    return false;
  if (i2c_class (dev)->event && !i2c_class (dev)->event (dev, read ? VM_I2C_START_READ : VM_I2C_START_WRITE))
    {
      bus->current = NULL;
      return false;
    }
  return true;
}

bool
vm_i2c_send (VmI2cBus *bus, uint8_t byte)
{
  return bus->current && i2c_class (bus->current)->send && i2c_class (bus->current)->send (bus->current, byte);
}

uint8_t
vm_i2c_receive (VmI2cBus *bus)
{
  if (!bus->current || !i2c_class (bus->current)->receive)
    return 0xff;
  return i2c_class (bus->current)->receive (bus->current);
}

static void
i2c_event (VmI2cBus *bus, VmI2cEvent event)
{
  if (bus->current && i2c_class (bus->current)->event)
    i2c_class (bus->current)->event (bus->current, event);
}

void
vm_i2c_nack (VmI2cBus *bus)
{
  i2c_event (bus, VM_I2C_NACK);
}

void
vm_i2c_stop (VmI2cBus *bus)
{
  i2c_event (bus, VM_I2C_STOP);
  bus->current = NULL;
}

uint8_t
vm_i2c_current_address (const VmI2cBus *bus)
{
  return bus->current ? bus->current->address : 0xff;
}

void
vm_i2c_set_current_address (VmI2cBus *bus, uint8_t address)
{
  bus->current = i2c_find (bus, address);
}

static const VmProp i2c_device_props[] = {
  VM_PROP ("address", VmI2cDevice, address, 0, "7-bit address on the bus"),
  { 0 }
};

static const VmI2cClass i2c_device_class = { .parent = { .bus_type = VM_I2C_BUS_TYPE } };

const VmType vm_i2c_device_type = {
  .name = "i2c-slave", .parent = &vm_device_type, .size = sizeof (VmI2cDevice), .abstract = true,
  .help = "A device on an I2C bus", .props = i2c_device_props, .klass = &i2c_device_class,
};
