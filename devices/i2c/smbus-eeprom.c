/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial EEPROM on the SMBus, the contents being a memory module's description (JEDEC standard 21-C, annex
 * 4.1.2.4 and 4.1.2.5). */
#include "devices/i2c/smbus-eeprom.h"

static bool
eeprom_event (VmI2cDevice *dev, VmI2cEvent event)
{
  if (event == VM_I2C_START_WRITE)
    ((VmSmbusEeprom *) dev)->offset_next = true;
  return true;
}

static bool
eeprom_send (VmI2cDevice *dev, uint8_t byte)
{
  VmSmbusEeprom *self = (VmSmbusEeprom *) dev;

  if (self->offset_next)
    self->offset = byte;
  else
    self->data[self->offset++] = byte;
  self->offset_next = false;
  return true;
}

static uint8_t
eeprom_receive (VmI2cDevice *dev)
{
  VmSmbusEeprom *self = (VmSmbusEeprom *) dev;

  return self->data[self->offset++];
}

void
vm_spd_fill_sdr (uint8_t d[VM_SMBUS_EEPROM_SIZE], uint64_t size)
{
  unsigned megabytes = (unsigned) MIN (size / VM_MIB, 512), density = 4;
  uint8_t sum = 0;

  memset (d, 0, VM_SMBUS_EEPROM_SIZE);
  if (megabytes < 4)
    return;
  while (density * 2 <= megabytes)
    density *= 2;
  d[0] = 128;  /* bytes written by the manufacturer */
  d[1] = 8;    /* 256 bytes in all */
  d[2] = 4;    /* SDRAM */
  d[3] = 12;   /* row address bits */
  d[4] = 9;    /* column address bits */
  d[5] = 1;    /* rows of chips */
  d[6] = 64;   /* data width */
  d[8] = 1;    /* LVTTL */
  d[9] = 0x70; /* cycle time 7 ns */
  d[10] = 0x54; /* access time 5.4 ns */
  d[12] = 0x82; /* self refresh, 7.8 us */
  d[13] = 8;   /* chip width */
  d[15] = 1;   /* back-to-back column delay */
  d[16] = 0x8f; /* burst lengths 1, 2, 4, 8 and page */
  d[17] = 4;   /* banks */
  d[18] = 6;   /* CAS latencies 2 and 3 */
  d[19] = d[20] = 1;
  d[22] = 0x0e;
  d[27] = d[29] = 20;
  d[28] = 15;
  d[30] = 45;
  d[31] = (uint8_t) (density / 4); /* one bit: 4, 8, 16 ... 512 MiB */
  d[32] = d[34] = 0x15;
  d[33] = d[35] = 0x08;
  d[62] = 0x12;
  for (int i = 0; i < 63; i++)
    sum += d[i];
  d[63] = sum;
  d[126] = 100; /* MHz */
  d[127] = 0xff;
}

static bool
eeprom_realize (VmDevice *dev, GError **error)
{
  VmSmbusEeprom *self = (VmSmbusEeprom *) dev;

  memcpy (self->data, self->initial, sizeof self->data);
  return true;
}

static void
eeprom_reset (VmDevice *dev, VmResetKind kind)
{
  VmSmbusEeprom *self = (VmSmbusEeprom *) dev;

  memcpy (self->data, self->initial, sizeof self->data);
  self->offset = 0;
  self->offset_next = false;
}

static const VmField eeprom_state[] = {
  VM_FIELD_ARRAY (VmSmbusEeprom, data), VM_FIELD (VmSmbusEeprom, offset), VM_FIELD (VmSmbusEeprom, offset_next),
  { 0 }
};

static const VmI2cClass eeprom_class = {
  .parent = {
    .realize = eeprom_realize, .reset = eeprom_reset, .bus_type = VM_I2C_BUS_TYPE, .category = "Misc",
  },
  .event = eeprom_event, .send = eeprom_send, .receive = eeprom_receive,
};

const VmType vm_smbus_eeprom_type = {
  .name = "smbus-eeprom", .parent = &vm_i2c_device_type, .size = sizeof (VmSmbusEeprom),
  .help = "Serial EEPROM on the SMBus", .state = eeprom_state, .klass = &eeprom_class,
};
