/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial EEPROMs on four wires (Microchip 25LC010A data sheet, DS21832): an instruction, an address of eight bits,
 * data; most significant bit first. Rising edges take a bit, falling ones put one out. */
#include "devices/net/eeprom25xx.h"

#define PAGE 16u /* bytes that one write reaches */

enum
{
  PHASE_COMMAND,
  PHASE_ADDRESS,
  PHASE_READ,
  PHASE_STATUS,
  PHASE_WRITE,
  PHASE_DONE
};
enum
{
  COMMAND_WRITE = 2,
  COMMAND_READ = 3,
  COMMAND_WRITE_DISABLE = 4,
  COMMAND_READ_STATUS = 5,
  COMMAND_WRITE_ENABLE = 6
};
#define STATUS_WRITABLE 2

const VmField vm_eeprom25xx_state[] = {
  VM_FIELD (VmEeprom25xx, phase),    VM_FIELD (VmEeprom25xx, bits),
  VM_FIELD (VmEeprom25xx, shift),    VM_FIELD (VmEeprom25xx, command),
  VM_FIELD (VmEeprom25xx, address),  VM_FIELD (VmEeprom25xx, selected),
  VM_FIELD (VmEeprom25xx, clock),    VM_FIELD (VmEeprom25xx, out),
  VM_FIELD (VmEeprom25xx, writable), { 0 },
};

void
vm_eeprom25xx_reset (VmEeprom25xx *e)
{
  e->phase = PHASE_COMMAND;
  e->bits = e->shift = e->command = e->address = 0;
  e->selected = e->clock = e->writable = false;
  e->out = true;
}

void
vm_eeprom25xx_init (VmEeprom25xx *e, uint16_t *words, unsigned n)
{
  e->words = words;
  e->n = n;
  vm_eeprom25xx_reset (e);
}

static uint8_t
load (const VmEeprom25xx *e, unsigned address)
{
  address &= e->n - 1;
  return e->words[address / 2] >> address % 2 * 8;
}

static void
store (VmEeprom25xx *e, unsigned address, uint8_t value)
{
  unsigned shift = address % 2 * 8;
  uint16_t *word = &e->words[(address & (e->n - 1)) / 2];

  *word = (*word & ~(0xff << shift)) | value << shift;
}

static void
begin (VmEeprom25xx *e, uint8_t command)
{
  e->command = command & 7; /* smaller ones do not look at the bit that larger ones have for addresses */
  switch (e->command)
    {
    case COMMAND_READ:
    case COMMAND_WRITE:
      e->phase = PHASE_ADDRESS;
      break;
    case COMMAND_READ_STATUS:
      e->phase = PHASE_STATUS;
      e->shift = e->writable ? STATUS_WRITABLE : 0;
      break;
    case COMMAND_WRITE_ENABLE:
    case COMMAND_WRITE_DISABLE:
      e->writable = e->command == COMMAND_WRITE_ENABLE;
      e->phase = PHASE_DONE;
      break;
    default:
      e->phase = PHASE_DONE;
      break;
    }
}

/* Eight bits are through; SHIFT is what came, or becomes what goes out next. */
static void
byte_done (VmEeprom25xx *e)
{
  switch (e->phase)
    {
    case PHASE_COMMAND:
      begin (e, e->shift);
      break;
    case PHASE_ADDRESS:
      e->address = e->shift;
      e->phase = e->command == COMMAND_READ ? PHASE_READ : e->writable ? PHASE_WRITE : PHASE_DONE;
      e->shift = load (e, e->address);
      break;
    case PHASE_READ:
      e->shift = load (e, ++e->address);
      break;
    case PHASE_STATUS:
      e->shift = e->writable ? STATUS_WRITABLE : 0;
      break;
    case PHASE_WRITE:
      store (e, e->address, e->shift);
      e->address = (e->address & ~(PAGE - 1)) | ((e->address + 1) & (PAGE - 1));
      break;
    default:
      break;
    }
}

static bool
sends (const VmEeprom25xx *e)
{
  return e->phase == PHASE_READ || e->phase == PHASE_STATUS;
}

static void
rise (VmEeprom25xx *e, bool in)
{
  if (!sends (e))
    e->shift = e->shift << 1 | in;
  if (++e->bits == 8)
    {
      e->bits = 0;
      byte_done (e);
    }
}

void
vm_eeprom25xx_write (VmEeprom25xx *e, bool selected, bool clock, bool in)
{
  if (!selected)
    {
      /* A write ends with it, and with the write the permission. */
      if (e->phase == PHASE_WRITE)
        e->writable = false;
      e->phase = PHASE_COMMAND;
      e->bits = 0;
      e->out = true;
    }
  else if (e->selected && clock && !e->clock)
    rise (e, in);
  else if (e->selected && !clock && e->clock)
    e->out = !sends (e) || e->shift >> (7 - e->bits) & 1;
  e->selected = selected;
  e->clock = clock;
}
