/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Serial EEPROMs on three wires (Microchip 93LC46/56/66 data sheet, DS21794): commands are a start bit, two bits of
 * operation and the address; data is clocked by rising edges, most significant bit first. */
#include "devices/net/eeprom93xx.h"

#include <string.h>

enum
{
  PHASE_START,
  PHASE_COMMAND,
  PHASE_READ,
  PHASE_WRITE,
  PHASE_DONE
};
enum
{
  OP_EXTENDED,
  OP_WRITE,
  OP_READ,
  OP_ERASE
};
enum
{
  EXTENDED_DISABLE,
  EXTENDED_WRITE_ALL,
  EXTENDED_ERASE_ALL,
  EXTENDED_ENABLE
};

const VmField vm_eeprom93xx_state[] = {
  VM_FIELD_ARRAY (VmEeprom93xx, words), VM_FIELD (VmEeprom93xx, phase),
  VM_FIELD (VmEeprom93xx, bits),        VM_FIELD (VmEeprom93xx, command),
  VM_FIELD (VmEeprom93xx, data),        VM_FIELD (VmEeprom93xx, cs),
  VM_FIELD (VmEeprom93xx, sk),          VM_FIELD (VmEeprom93xx, out),
  VM_FIELD (VmEeprom93xx, writable),    { 0 },
};

void
vm_eeprom93xx_reset (VmEeprom93xx *e)
{
  e->phase = PHASE_START;
  e->bits = 0;
  e->command = e->data = 0;
  e->cs = e->sk = e->writable = false;
  e->out = true;
}

void
vm_eeprom93xx_init (VmEeprom93xx *e, unsigned n)
{
  e->n = n;
  memset (e->words, 0xff, sizeof e->words);
  vm_eeprom93xx_reset (e);
}

/* A 93C56 has half of the words that its eight bits of address could name. */
static unsigned
address_bits (const VmEeprom93xx *e)
{
  return e->n <= 64 ? 6 : 8;
}

static uint16_t *
word (VmEeprom93xx *e)
{
  return &e->words[e->command & (e->n - 1)];
}

static void
fill (VmEeprom93xx *e, uint16_t value)
{
  for (unsigned i = 0; e->writable && i < e->n; i++)
    e->words[i] = value;
}

static void
start_extended (VmEeprom93xx *e)
{
  unsigned which = e->command >> (address_bits (e) - 2) & 3;

  e->phase = which == EXTENDED_WRITE_ALL ? PHASE_WRITE : PHASE_DONE;
  if (which == EXTENDED_ERASE_ALL)
    fill (e, 0xffff);
  else if (which != EXTENDED_WRITE_ALL)
    e->writable = which == EXTENDED_ENABLE;
}

static void
start_command (VmEeprom93xx *e)
{
  e->bits = 0;
  switch (e->command >> address_bits (e) & 3)
    {
    case OP_EXTENDED:
      start_extended (e);
      break;
    case OP_WRITE:
      e->phase = PHASE_WRITE;
      break;
    case OP_READ:
      e->phase = PHASE_READ;
      e->data = *word (e);
      e->out = false; /* a zero goes before the first bit */
      break;
    case OP_ERASE:
      e->phase = PHASE_DONE;
      if (e->writable)
        *word (e) = 0xffff;
      break;
    }
}

static void
store (VmEeprom93xx *e)
{
  e->phase = PHASE_DONE;
  if ((e->command >> address_bits (e) & 3) == OP_EXTENDED)
    fill (e, e->data);
  else if (e->writable)
    *word (e) = e->data;
}

static void
clock_bit (VmEeprom93xx *e, bool di)
{
  switch (e->phase)
    {
    case PHASE_START:
      if (di)
        {
          e->phase = PHASE_COMMAND;
          e->command = e->bits = 0;
        }
      break;
    case PHASE_COMMAND:
      e->command = e->command << 1 | di;
      if (++e->bits >= 2 + address_bits (e))
        start_command (e);
      break;
    case PHASE_READ:
      /* One word after the other as long as the clock runs. */
      if (e->bits >= 16)
        {
          e->bits = 0;
          e->command++;
          e->data = *word (e);
        }
      e->out = e->data >> 15;
      e->data <<= 1;
      e->bits++;
      break;
    case PHASE_WRITE:
      e->data = e->data << 1 | di;
      if (++e->bits >= 16)
        store (e);
      break;
    default:
      break;
    }
}

void
vm_eeprom93xx_write (VmEeprom93xx *e, bool cs, bool sk, bool di)
{
  bool rises = sk && !e->sk;

  if (cs && e->cs && rises)
    clock_bit (e, di);
  else if (cs != e->cs)
    {
      /* Programming takes no time: ready as soon as anybody asks. */
      e->phase = PHASE_START;
      e->out = true;
    }
  e->cs = cs;
  e->sk = sk;
}
