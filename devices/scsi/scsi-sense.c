/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sense data (SPC-4, 4.5) and logical unit numbers (SAM-5, 4.7). */
#include "devices/scsi/scsi.h"

enum { FIXED_CURRENT = 0x70, FIXED_DEFERRED = 0x71, DESCRIPTOR_CURRENT = 0x72, DESCRIPTOR_DEFERRED = 0x73 };
enum { LUN_PERIPHERAL = 0, LUN_FLAT = 1 };

unsigned
vm_scsi_sense_fixed (uint8_t buf[18], VmScsiSense sense)
{
  memset (buf, 0, 18);
  buf[0] = FIXED_CURRENT;
  buf[2] = sense.key;
  buf[7] = 10;
  buf[12] = sense.asc;
  buf[13] = sense.ascq;
  return 18;
}

unsigned
vm_scsi_sense_descriptor (uint8_t buf[8], VmScsiSense sense)
{
  memset (buf, 0, 8);
  buf[0] = DESCRIPTOR_CURRENT;
  buf[1] = sense.key;
  buf[2] = sense.asc;
  buf[3] = sense.ascq;
  return 8;
}

VmScsiSense
vm_scsi_sense_parse (const uint8_t *sense, unsigned len)
{
  uint8_t code = len ? sense[0] & 0x7f : 0;

  if ((code == FIXED_CURRENT || code == FIXED_DEFERRED) && len >= 14)
    return (VmScsiSense){ sense[2] & 15, sense[12], sense[13] };
  if ((code == DESCRIPTOR_CURRENT || code == DESCRIPTOR_DEFERRED) && len >= 4)
    return (VmScsiSense){ sense[1] & 15, sense[2], sense[3] };
  return VM_SCSI_SENSE_NONE;
}

VmScsiSense
vm_scsi_attention_sense (VmScsiAttention bit)
{
  enum { UNIT_ATTENTION = 6 };

  switch (bit)
    {
    case VM_SCSI_UA_POWER_ON:
      return (VmScsiSense){ UNIT_ATTENTION, 0x29, 0x00 };
    case VM_SCSI_UA_BUS_RESET:
      return (VmScsiSense){ UNIT_ATTENTION, 0x29, 0x02 };
    case VM_SCSI_UA_DEVICE_RESET:
      return (VmScsiSense){ UNIT_ATTENTION, 0x29, 0x03 };
    case VM_SCSI_UA_MEDIUM:
      return (VmScsiSense){ UNIT_ATTENTION, 0x28, 0x00 };
    case VM_SCSI_UA_MODE:
      return (VmScsiSense){ UNIT_ATTENTION, 0x2a, 0x01 };
    case VM_SCSI_UA_CAPACITY:
      return (VmScsiSense){ UNIT_ATTENTION, 0x2a, 0x09 };
    case VM_SCSI_UA_LUNS:
      return (VmScsiSense){ UNIT_ATTENTION, 0x3f, 0x0e };
    }
  return VM_SCSI_SENSE_NONE;
}

uint32_t
vm_scsi_lun_decode (const uint8_t lun[8])
{
  for (unsigned i = 2; i < 8; i++)
    if (lun[i])
      return VM_SCSI_LUN_NONE; /* one level only */
  switch (lun[0] >> 6)
    {
    case LUN_PERIPHERAL:
      return lun[0] & 0x3f ? VM_SCSI_LUN_NONE : lun[1];
    case LUN_FLAT:
      return (lun[0] & 0x3fu) << 8 | lun[1];
    default:
      return VM_SCSI_LUN_NONE;
    }
}

void
vm_scsi_lun_encode (uint8_t lun[8], uint32_t number)
{
  memset (lun, 0, 8);
  lun[0] = number < 256 ? 0 : LUN_FLAT << 6 | (number >> 8 & 0x3f);
  lun[1] = (uint8_t) number;
}
