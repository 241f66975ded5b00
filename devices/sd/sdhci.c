/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "sdhci-pci": SD host controller on PCI (SD Specifications Part A2, SD Host Controller Simplified Specification 3.00):
 * programmed I/O, SDMA and ADMA2, one slot. */
#include "devices/pci/pci.h"
#include "devices/sd/sd.h"

#include "engine/base/log.h"

enum {
  REG_SDMA = 0x00, REG_BLOCK_SIZE = 0x04, REG_BLOCK_COUNT = 0x06, REG_ARGUMENT = 0x08, REG_MODE = 0x0c,
  REG_COMMAND = 0x0e, REG_RESPONSE = 0x10, REG_DATA = 0x20, REG_PRESENT = 0x24, REG_HOST = 0x28, REG_POWER = 0x29,
  REG_GAP = 0x2a, REG_WAKEUP = 0x2b, REG_CLOCK = 0x2c, REG_TIMEOUT = 0x2e, REG_RESET = 0x2f, REG_INT = 0x30,
  REG_ERROR = 0x32, REG_INT_ENABLE = 0x34, REG_INT_SIGNAL = 0x38, REG_AUTO_STATUS = 0x3c, REG_HOST2 = 0x3e,
  REG_CAPABILITIES = 0x40, REG_CURRENT = 0x48, REG_FORCE_AUTO = 0x50, REG_FORCE_ERROR = 0x52, REG_ADMA_ERROR = 0x54,
  REG_ADMA = 0x58, REG_SLOT_INT = 0xfc, REG_VERSION = 0xfe, REGS = 0x100,
};
enum { MODE_DMA = 1 << 0, MODE_COUNT = 1 << 1, MODE_AUTO12 = 1 << 2, MODE_AUTO23 = 1 << 3, MODE_READ = 1 << 4,
       MODE_MULTI = 1 << 5 };
enum { CMD_RESPONSE = 3, CMD_BUSY = 3, CMD_LONG = 1, CMD_DATA = 1 << 5, CMD_TYPE_ABORT = 3 << 6 };
enum { PRESENT_CMD_BUSY = 1 << 0, PRESENT_DAT_BUSY = 1 << 1, PRESENT_DAT_ACTIVE = 1 << 2, PRESENT_WRITING = 1 << 8,
       PRESENT_READING = 1 << 9, PRESENT_ROOM = 1 << 10, PRESENT_DATA = 1 << 11, PRESENT_INSERTED = 1 << 16,
       PRESENT_STABLE = 1 << 17, PRESENT_PIN = 1 << 18, PRESENT_WRITABLE = 1 << 19, PRESENT_LINES = 0x1f << 20 };
enum { INT_COMMAND = 1 << 0, INT_TRANSFER = 1 << 1, INT_GAP = 1 << 2, INT_DMA = 1 << 3, INT_ROOM = 1 << 4,
       INT_DATA = 1 << 5, INT_INSERTED = 1 << 6, INT_REMOVED = 1 << 7, INT_ERROR = 1 << 15,
       ERROR_TIMEOUT = 1 << 16, ERROR_DATA_TIMEOUT = 1 << 20, ERROR_AUTO = 1 << 24, ERROR_ADMA = 1 << 25 };
enum { RESET_ALL = 1, RESET_CMD = 2, RESET_DAT = 4 };
enum { HOST_DMA = 3 << 3, HOST_ADMA32 = 2 << 3, HOST_ADMA64 = 3 << 3 };
enum { POWER_ON = 1 };
enum { CLOCK_INTERNAL = 1, CLOCK_STABLE = 2, CLOCK_SD = 4 };
enum { GAP_STOP = 1, GAP_CONTINUE = 2 };
enum { ADMA_VALID = 1, ADMA_END = 2, ADMA_INT = 4, ADMA_ACT = 0x30, ADMA_TRAN = 0x20, ADMA_LINK = 0x30 };
#define ADMA_STEPS 4096 /* descriptors in a row without data */
#define CAP_ADMA2  (1u << 19)
#define CAP_64     (1u << 28)

typedef struct Sdhci {
  VmPciDevice parent;
  /* properties */
  uint64_t capareg, maxcurr;
  uint8_t  spec_version, vendor, uhs;
  /* wiring */
  VmRegion mmio;
  VmSdBus  bus;
  bool     working;      /* in sdhci_work() */
  /* guest state */
  uint8_t  reg[REGS];    /* those that are plain */
  uint32_t pending;      /* interrupt status; errors in the high half */
  bool     inserted;
  bool     active, reading, waiting; /* a transfer; the card has something to do for it */
  uint32_t block_at;     /* bytes of the present block that the guest has moved through the data port */
  uint8_t  block[4096];
  uint32_t block_n;      /* bytes there */
  uint32_t sdma_left;    /* to the next boundary */
  uint64_t adma_addr;    /* of the present descriptor's data */
  uint32_t adma_len;
  bool     adma_end;
  bool     last;         /* of writes: when the card is ready, all is done */
} Sdhci;

static uint16_t
reg16 (const Sdhci *s, unsigned at)
{
  return vm_load_le16 (s->reg + at);
}

static uint32_t
reg32 (const Sdhci *s, unsigned at)
{
  return vm_load_le32 (s->reg + at);
}

/* --- interrupts ---------------------------------------------------------------------------------------- */

static uint32_t
status_of (const Sdhci *s)
{
  return s->pending | (s->pending >> 16 ? (uint32_t) INT_ERROR : 0);
}

static void
update_irq (Sdhci *s)
{
  vm_pci_set_irq (&s->parent, (status_of (s) & reg32 (s, REG_INT_SIGNAL)) != 0);
}

static void
sdhci_raise (Sdhci *s, uint32_t bits)
{
  s->pending |= bits & reg32 (s, REG_INT_ENABLE);
  update_irq (s);
}

/* --- the end of a transfer ----------------------------------------------------------------------------- */

static unsigned
card_command (Sdhci *s, uint8_t index, uint32_t argument, uint8_t answer[16])
{
  VmSdCard *card = vm_sd_bus_card (&s->bus);
  bool on = (s->reg[REG_POWER] & POWER_ON) && (reg16 (s, REG_CLOCK) & CLOCK_SD);

  return card && on ? vm_sd_command (card, index, argument, answer) : 0;
}

static void
stop_transfer (Sdhci *s)
{
  s->active = s->waiting = false;
  s->block_at = s->block_n = 0;
}

static void
end_transfer (Sdhci *s)
{
  uint16_t mode = reg16 (s, REG_MODE);

  stop_transfer (s);
  if ((mode & MODE_AUTO12) && !(mode & MODE_AUTO23) && (mode & MODE_MULTI))
    {
      uint8_t answer[16] = { 0 };

      if (card_command (s, 12, 0, answer) == 4)
        memcpy (s->reg + REG_RESPONSE + 12, (uint8_t[]) { answer[3], answer[2], answer[1], answer[0] }, 4);
      else
        {
          s->reg[REG_AUTO_STATUS] |= 2; /* no answer */
          sdhci_raise (s, ERROR_AUTO);
        }
    }
  sdhci_raise (s, INT_TRANSFER);
}

static void
fail_transfer (Sdhci *s, uint32_t error)
{
  stop_transfer (s);
  sdhci_raise (s, error);
}

/* --- memory -------------------------------------------------------------------------------------------- */

static bool
next_descriptor (Sdhci *s)
{
  bool wide = (s->reg[REG_HOST] & HOST_DMA) == HOST_ADMA64;

  for (unsigned steps = 0; steps < ADMA_STEPS; steps++)
    {
      uint64_t at = wide ? vm_load_le64 (s->reg + REG_ADMA) : reg32 (s, REG_ADMA), addr;
      uint8_t d[12];

      if (vm_pci_dma_read (&s->parent, at, d, wide ? 12 : 8) != VM_MEM_OK || !(d[0] & ADMA_VALID))
        return false;
      addr = wide ? vm_load_le64 (d + 4) : vm_load_le32 (d + 4);
      at = (d[0] & ADMA_ACT) == ADMA_LINK ? addr : at + (wide ? 12 : 8);
      vm_store_le32 (s->reg + REG_ADMA, (uint32_t) at);
      vm_store_le32 (s->reg + REG_ADMA + 4, (uint32_t) (at >> 32));
      s->adma_end = d[0] & ADMA_END;
      if (d[0] & ADMA_INT)
        sdhci_raise (s, INT_DMA);
      if ((d[0] & ADMA_ACT) == ADMA_TRAN)
        {
          s->adma_addr = addr;
          s->adma_len = vm_load_le16 (d + 2);
          s->adma_len += s->adma_len ? 0 : 65536;
          return true;
        }
      if (s->adma_end)
        return false;
    }
  return false;
}

/* Where the next bytes are, and how many of LEN; 0: there is no more memory. */
static uint32_t
next_piece (Sdhci *s, uint32_t len, uint64_t *addr)
{
  if (!(s->reg[REG_HOST] & HOST_DMA))
    {
      *addr = reg32 (s, REG_SDMA);
      return MIN (len, s->sdma_left);
    }
  if (!s->adma_len && (s->adma_end || !next_descriptor (s)))
    return 0;
  *addr = s->adma_addr;
  return MIN (len, s->adma_len);
}

static void
piece_done (Sdhci *s, uint32_t len)
{
  if (!(s->reg[REG_HOST] & HOST_DMA))
    {
      vm_store_le32 (s->reg + REG_SDMA, reg32 (s, REG_SDMA) + len);
      s->sdma_left -= len;
    }
  else
    {
      s->adma_addr += len;
      s->adma_len -= len;
    }
}

/* Between the present block and memory; false: not all of it went, and the transfer stands or has ended. */
static bool
move_block (Sdhci *s)
{
  while (s->block_at < s->block_n)
    {
      uint64_t addr = 0;
      uint32_t len = next_piece (s, s->block_n - s->block_at, &addr);

      if (!len && !(s->reg[REG_HOST] & HOST_DMA)) /* the boundary: the guest says where to go on */
        {
          sdhci_raise (s, INT_DMA);
          return false;
        }
      if (!len)
        {
          s->reg[REG_ADMA_ERROR] = s->adma_end ? 4 : 1;
          fail_transfer (s, ERROR_ADMA);
          return false;
        }
      if (s->reading)
        vm_pci_dma_write (&s->parent, addr, s->block + s->block_at, len);
      else
        vm_pci_dma_read (&s->parent, addr, s->block + s->block_at, len);
      piece_done (s, len);
      s->block_at += len;
    }
  return true;
}

/* --- transfers ----------------------------------------------------------------------------------------- */

static uint32_t
block_size (const Sdhci *s)
{
  return reg16 (s, REG_BLOCK_SIZE) & 0xfff;
}

static bool
counts (const Sdhci *s)
{
  return (reg16 (s, REG_MODE) & (MODE_COUNT | MODE_MULTI)) == (MODE_COUNT | MODE_MULTI);
}

static bool
is_single (const Sdhci *s)
{
  return !(reg16 (s, REG_MODE) & MODE_MULTI);
}

/* A block is through; whether it was the last one. */
static bool
block_counted (Sdhci *s)
{
  uint16_t left = reg16 (s, REG_BLOCK_COUNT);

  s->block_at = s->block_n = 0;
  if (is_single (s))
    return true;
  if (!counts (s))
    return (s->reg[REG_HOST] & HOST_DMA) && (reg16 (s, REG_MODE) & MODE_DMA) && s->adma_end && !s->adma_len;
  vm_store_le16 (s->reg + REG_BLOCK_COUNT, left - 1);
  return left <= 1;
}

static uint64_t
bytes_left (const Sdhci *s)
{
  if (is_single (s))
    return block_size (s);
  return counts (s) ? (uint64_t) reg16 (s, REG_BLOCK_COUNT) * block_size (s) : UINT32_MAX;
}

/* Reads go on: true when there is another block in hand. */
static bool
get_block (Sdhci *s, VmSdCard *card)
{
  if (s->block_n)
    return true;
  if (!card)
    {
      fail_transfer (s, ERROR_DATA_TIMEOUT);
      return false;
    }
  if (!vm_sd_left (card))
    {
      if (s->waiting)
        return false;
      s->waiting = true;
      vm_sd_fetch (card, (uint32_t) MIN (bytes_left (s), VM_SD_BUFFER)); /* may come back at once */
      if (s->waiting || !s->active)
        return false;
    }
  if (!s->block_n && s->active)
    {
      s->block_n = block_size (s);
      s->block_at = 0;
      vm_sd_take (card, s->block, s->block_n);
    }
  return s->active;
}

/* Writes: the block goes into the card's buffer, which is written when it is full or the last one is there. False:
 * wait, or it has ended. */
static bool
put_block (Sdhci *s, VmSdCard *card)
{
  uint32_t room = card ? vm_sd_room (card) : 0;
  bool last;

  if (room < s->block_n)
    {
      fail_transfer (s, ERROR_DATA_TIMEOUT);
      return false;
    }
  vm_sd_put (card, s->block, s->block_n);
  last = block_counted (s);
  if (last || vm_sd_room (card) < block_size (s) || !counts (s))
    {
      s->waiting = true;
      s->last = last;
      vm_sd_store (card);
      return s->active && !s->waiting && !last;
    }
  return true;
}

static bool
stands_at_gap (const Sdhci *s)
{
  return s->reg[REG_GAP] & GAP_STOP;
}

static void
work_read (Sdhci *s, VmSdCard *card)
{
  bool dma = reg16 (s, REG_MODE) & MODE_DMA;

  while (s->active && get_block (s, card))
    {
      if (!dma)
        {
          sdhci_raise (s, INT_DATA);
          return; /* the guest takes it through the port */
        }
      if (!move_block (s))
        return;
      if (block_counted (s))
        end_transfer (s);
      else if (stands_at_gap (s))
        {
          sdhci_raise (s, INT_GAP);
          return;
        }
    }
}

static void
work_write (Sdhci *s, VmSdCard *card)
{
  bool dma = reg16 (s, REG_MODE) & MODE_DMA;

  while (s->active && !s->waiting)
    {
      s->block_n = block_size (s);
      if (!dma && s->block_at < s->block_n)
        {
          sdhci_raise (s, INT_ROOM);
          return;
        }
      if (dma && !move_block (s))
        return;
      if (!put_block (s, card))
        return;
      if (stands_at_gap (s))
        {
          sdhci_raise (s, INT_GAP);
          return;
        }
    }
}

static void
sdhci_work (Sdhci *s)
{
  VmSdCard *card = vm_sd_bus_card (&s->bus);

  if (s->working || !s->active)
    return;
  if (!card || vm_sd_data (card) != (s->reading ? VM_SD_TO_HOST : VM_SD_FROM_HOST))
    {
      if (!s->block_n) /* what is in hand may still be taken */
        {
          fail_transfer (s, ERROR_DATA_TIMEOUT);
          return;
        }
    }
  s->working = true;
  if (s->reading)
    work_read (s, card);
  else
    work_write (s, card);
  s->working = false;
}

/* The card has filled or emptied its buffer. */
static void
on_ready (VmSdBus *bus, bool ok)
{
  Sdhci *s = bus->opaque;

  if (!s->active || !s->waiting)
    return;
  s->waiting = false;
  if (!ok)
    fail_transfer (s, ERROR_DATA_TIMEOUT);
  else if (!s->reading && s->last)
    end_transfer (s);
  else
    sdhci_work (s);
}

static void
on_changed (VmSdBus *bus)
{
  Sdhci *s = bus->opaque;
  VmSdCard *card = vm_sd_bus_card (bus);

  if (s->active)
    fail_transfer (s, ERROR_DATA_TIMEOUT);
  if (s->inserted && (!card || s->parent.parent.realized))
    sdhci_raise (s, card && s->inserted ? (uint32_t) INT_REMOVED | INT_INSERTED : INT_REMOVED);
  else if (card)
    sdhci_raise (s, INT_INSERTED);
  s->inserted = card != NULL;
}

static const VmSdBusOps sdhci_bus_ops = { .changed = on_changed, .ready = on_ready };

/* --- commands ------------------------------------------------------------------------------------------ */

static void
put_response (Sdhci *s, const uint8_t *answer, unsigned n)
{
  uint8_t *r = s->reg + REG_RESPONSE;

  if (n == 4)
    vm_store_le32 (r, vm_load_be32 (answer));
  else /* without the checksum, from the other end */
    for (unsigned i = 0; i < 15; i++)
      r[i] = answer[14 - i];
}

static void
start_transfer (Sdhci *s)
{
  s->active = true;
  s->waiting = false;
  s->reading = reg16 (s, REG_MODE) & MODE_READ;
  s->block_at = s->block_n = 0;
  s->sdma_left = (4096u << (reg16 (s, REG_BLOCK_SIZE) >> 12 & 7));
  s->sdma_left -= reg32 (s, REG_SDMA) & (s->sdma_left - 1);
  s->adma_len = 0;
  s->adma_end = s->last = false;
  s->reg[REG_ADMA_ERROR] = 0;
  if (!block_size (s) || block_size (s) > VM_SD_BLOCK || (counts (s) && !reg16 (s, REG_BLOCK_COUNT)))
    {
      vm_guest_error ("sdhci", "a transfer of %u blocks of %u bytes", reg16 (s, REG_BLOCK_COUNT), block_size (s));
      stop_transfer (s);
      sdhci_raise (s, INT_TRANSFER);
      return;
    }
  sdhci_work (s);
}

static void
run_command (Sdhci *s)
{
  uint16_t command = reg16 (s, REG_COMMAND), mode = reg16 (s, REG_MODE);
  uint8_t answer[16] = { 0 };
  unsigned n;

  if (s->active && (command & CMD_TYPE_ABORT) == CMD_TYPE_ABORT)
    stop_transfer (s);
  if (s->active && (command & CMD_DATA))
    return; /* the data line is in use */
  if ((command & CMD_DATA) && (mode & MODE_AUTO23) && !(mode & MODE_AUTO12) && s->spec_version >= 3)
    card_command (s, 23, reg32 (s, REG_SDMA), answer);
  n = card_command (s, command >> 8 & 63, reg32 (s, REG_ARGUMENT), answer);
  if (n)
    put_response (s, answer, n);
  if ((command & CMD_RESPONSE) && !n)
    {
      sdhci_raise (s, ERROR_TIMEOUT);
      return;
    }
  sdhci_raise (s, INT_COMMAND);
  if (command & CMD_DATA)
    start_transfer (s);
  else if ((command & CMD_RESPONSE) == CMD_BUSY)
    sdhci_raise (s, INT_TRANSFER); /* not busy any more */
}

/* --- registers ----------------------------------------------------------------------------------------- */

static uint32_t
present_state (const Sdhci *s)
{
  VmSdCard *card = vm_sd_bus_card ((VmSdBus *) &s->bus);
  bool dma = reg16 (s, REG_MODE) & MODE_DMA;
  uint32_t state = PRESENT_STABLE | PRESENT_LINES;

  if (card)
    state |= PRESENT_INSERTED | PRESENT_PIN | (vm_sd_is_protected (card) ? 0 : PRESENT_WRITABLE);
  if (!s->active)
    return state;
  state |= PRESENT_DAT_BUSY | PRESENT_DAT_ACTIVE | (s->reading ? PRESENT_READING : PRESENT_WRITING);
  if (!dma && s->reading && s->block_at < s->block_n)
    state |= PRESENT_DATA;
  if (!dma && !s->reading && !s->waiting)
    state |= PRESENT_ROOM;
  return state;
}

static uint32_t
read_port (Sdhci *s, unsigned size)
{
  uint32_t value = 0;

  if (!s->active || !s->reading || (reg16 (s, REG_MODE) & MODE_DMA))
    return 0;
  for (unsigned i = 0; i < size && s->block_at < s->block_n; i++)
    value |= (uint32_t) s->block[s->block_at++] << 8 * i;
  if (s->block_n && s->block_at == s->block_n)
    {
      if (block_counted (s))
        end_transfer (s);
      else if (stands_at_gap (s))
        sdhci_raise (s, INT_GAP);
      else
        sdhci_work (s);
    }
  return value;
}

static void
write_port (Sdhci *s, uint32_t value, unsigned size)
{
  if (!s->active || s->reading || s->waiting || (reg16 (s, REG_MODE) & MODE_DMA))
    return;
  for (unsigned i = 0; i < size && s->block_at < s->block_n; i++)
    s->block[s->block_at++] = (uint8_t) (value >> 8 * i);
  if (s->block_at == s->block_n)
    sdhci_work (s);
}

static uint8_t
read_byte (Sdhci *s, unsigned at)
{
  if (at >= REG_PRESENT && at < REG_HOST)
    return (uint8_t) (present_state (s) >> 8 * (at - REG_PRESENT));
  if (at >= REG_INT && at < REG_INT_ENABLE)
    return (uint8_t) (status_of (s) >> 8 * (at - REG_INT));
  if (at >= REG_CAPABILITIES && at < REG_CURRENT)
    return (uint8_t) (s->capareg >> 8 * (at - REG_CAPABILITIES));
  if (at >= REG_CURRENT && at < REG_FORCE_AUTO)
    return (uint8_t) (s->maxcurr >> 8 * (at - REG_CURRENT));
  switch (at)
    {
    case REG_CLOCK:
      return s->reg[at] | (s->reg[at] & CLOCK_INTERNAL ? CLOCK_STABLE : 0);
    case REG_SLOT_INT:
      return (status_of (s) & reg32 (s, REG_INT_SIGNAL)) != 0;
    case REG_VERSION:
      return s->spec_version - 1;
    case REG_VERSION + 1:
      return s->vendor;
    default:
      return s->reg[at];
    }
}

static uint64_t
sdhci_read (void *opaque, uint64_t offset, unsigned size)
{
  Sdhci *s = opaque;
  uint32_t value = 0;

  if (offset >= REG_DATA && offset < REG_PRESENT)
    return read_port (s, size);
  for (unsigned i = 0; i < size && offset + i < REGS; i++)
    value |= (uint32_t) read_byte (s, (unsigned) offset + i) << 8 * i;
  return value;
}

static void
software_reset (Sdhci *s, uint8_t which)
{
  if (which & (RESET_ALL | RESET_DAT))
    {
      stop_transfer (s);
      s->pending &= ~(uint32_t) (INT_TRANSFER | INT_GAP | INT_DMA | INT_ROOM | INT_DATA);
      s->reg[REG_GAP] = 0;
    }
  if (which & (RESET_ALL | RESET_CMD))
    s->pending &= ~(uint32_t) INT_COMMAND;
  if (which & RESET_ALL)
    {
      memset (s->reg, 0, sizeof s->reg);
      s->pending = 0;
    }
  update_irq (s);
}

/* Bits of registers that can be written. */
static uint8_t
write_mask (const Sdhci *s, unsigned at)
{
  if (at < REG_RESPONSE || (at >= REG_ADMA && at < REG_ADMA + 8))
    return 0xff;
  switch (at)
    {
    case REG_HOST: case REG_INT_ENABLE: case REG_INT_SIGNAL: case REG_CLOCK + 1:
      return 0xff;
    case REG_POWER: case REG_TIMEOUT: case REG_GAP:
      return 0x0f;
    case REG_WAKEUP:
      return 0x07;
    case REG_CLOCK:
      return 0xe5;
    case REG_INT_ENABLE + 1: case REG_INT_SIGNAL + 1:
      return 0x7f;
    case REG_INT_ENABLE + 2: case REG_INT_ENABLE + 3: case REG_INT_SIGNAL + 2: case REG_INT_SIGNAL + 3:
      return 0xff;
    case REG_HOST2: case REG_HOST2 + 1:
      return s->spec_version >= 3 ? 0xff : 0;
    default:
      return 0;
    }
}

static void
write_byte (Sdhci *s, unsigned at, uint8_t value)
{
  uint8_t mask = write_mask (s, at);

  if (at >= REG_INT && at < REG_INT_ENABLE)
    {
      s->pending &= ~((uint32_t) value << 8 * (at - REG_INT));
      update_irq (s);
      return;
    }
  if (at == REG_RESET)
    {
      software_reset (s, value);
      return;
    }
  if (at >= REG_FORCE_AUTO && at < REG_ADMA_ERROR)
    {
      if (at >= REG_FORCE_ERROR)
        sdhci_raise (s, (uint32_t) value << (16 + 8 * (at - REG_FORCE_ERROR)));
      else if (at == REG_FORCE_AUTO)
        s->reg[REG_AUTO_STATUS] |= value;
      return;
    }
  s->reg[at] = (s->reg[at] & ~mask) | (value & mask);
}

static void
sdhci_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Sdhci *s = opaque;
  uint8_t gap = s->reg[REG_GAP];

  if (offset >= REG_DATA && offset < REG_PRESENT)
    {
      write_port (s, (uint32_t) value, size);
      return;
    }
  /* What a transfer goes by does not change under it. */
  if (s->active && offset >= REG_BLOCK_SIZE && offset < REG_ARGUMENT)
    return;
  if (s->active && offset >= REG_MODE && offset < REG_COMMAND)
    {
      if (size <= 2)
        return;
      offset += 2; /* the command beside it may be one without data */
      value >>= 16;
      size = 2;
    }
  for (unsigned i = 0; i < size && offset + i < REGS; i++)
    write_byte (s, (unsigned) offset + i, (uint8_t) (value >> 8 * i));
  if (offset <= REG_COMMAND + 1 && offset + size > REG_COMMAND + 1)
    run_command (s);
  if (offset <= REG_SDMA + 3 && offset + size > REG_SDMA + 3 && s->active && !s->sdma_left)
    {
      s->sdma_left = 4096u << (reg16 (s, REG_BLOCK_SIZE) >> 12 & 7);
      s->sdma_left -= reg32 (s, REG_SDMA) & (s->sdma_left - 1);
      sdhci_work (s);
    }
  if (offset <= REG_GAP && offset + size > REG_GAP)
    {
      if ((gap & GAP_STOP) && !stands_at_gap (s))
        sdhci_work (s);
      s->reg[REG_GAP] &= (uint8_t) ~GAP_CONTINUE;
    }
  if (offset < REG_FORCE_AUTO && offset + size > REG_INT_ENABLE)
    update_irq (s);
}

static const VmRegionOps sdhci_ops = { .read = sdhci_read, .write = sdhci_write, .impl = { .min = 1, .max = 4 } };

/* --- life ---------------------------------------------------------------------------------------------- */

static void
sdhci_reset (VmDevice *dev, VmResetKind kind)
{
  Sdhci *s = (Sdhci *) dev;

  software_reset (s, RESET_ALL);
  s->inserted = vm_sd_bus_card (&s->bus) != NULL;
}

static bool
sdhci_realize (VmDevice *dev, GError **error)
{
  Sdhci *s = (Sdhci *) dev;

  if (s->spec_version != 2 && s->spec_version != 3)
    return vm_fail (error, "Only Spec v2/v3 are supported");
  if (s->uhs)
    return vm_fail (error, "uhs=%u: not available in this build", s->uhs);
  if ((s->capareg >> 16 & 3) != 0)
    return vm_fail (error, "capareg=%#" G_GINT64_MODIFIER "x: blocks have 512 bytes at most here", s->capareg);
  s->parent.config[0x40] = 0; /* one slot, at BAR 0 */
  vm_pci_set_interrupt_pin (&s->parent, 1);
  vm_region_init_io (&s->mmio, dev->env->memory, &sdhci_ops, s, "sdhci", REGS);
  vm_pci_add_bar (&s->parent, 0, 0, &s->mmio);
  vm_sd_bus_init (&s->bus, dev, &sdhci_bus_ops, s);
  return true;
}

static void
sdhci_unrealize (VmDevice *dev)
{
  vm_region_destroy (&((Sdhci *) dev)->mmio);
}

static bool
sdhci_post_load (VmDevice *dev, GError **error)
{
  Sdhci *s = (Sdhci *) dev;

  if (s->block_n > VM_SD_BLOCK || s->block_at > s->block_n || s->adma_len > 65536 || s->sdma_left > 4096u << 7
      || (s->active && (s->waiting || !block_size (s) || block_size (s) > VM_SD_BLOCK)))
    return vm_fail (error, "%s: impossible state", vm_device_path (dev));
  return true;
}

static const VmProp sdhci_props[] = {
  VM_PROP ("capareg", Sdhci, capareg, 0x57834b4, "capabilities register"),
  VM_PROP ("maxcurr", Sdhci, maxcurr, 0, "maximum current register"),
  VM_PROP ("sd-spec-version", Sdhci, spec_version, 2, "of the host controller: 2 or 3"),
  VM_PROP ("vendor", Sdhci, vendor, 0, "vendor part of the version register"),
  VM_PROP ("uhs", Sdhci, uhs, 0, "ultra high speed modes"),
  { 0 },
};

static const VmField sdhci_state[] = {
  VM_FIELD_ARRAY (Sdhci, reg), VM_FIELD (Sdhci, pending), VM_FIELD (Sdhci, inserted), VM_FIELD (Sdhci, active),
  VM_FIELD (Sdhci, reading), VM_FIELD (Sdhci, waiting), VM_FIELD (Sdhci, block_at), VM_FIELD_ARRAY (Sdhci, block),
  VM_FIELD (Sdhci, block_n), VM_FIELD (Sdhci, sdma_left), VM_FIELD (Sdhci, adma_addr), VM_FIELD (Sdhci, adma_len),
  VM_FIELD (Sdhci, adma_end), VM_FIELD (Sdhci, last), { 0 },
};

static const VmPciClass sdhci_class = {
  .parent = {
    .realize = sdhci_realize, .unrealize = sdhci_unrealize, .reset = sdhci_reset, .post_load = sdhci_post_load,
    .category = "Storage", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_REDHAT, .device = 0x0007, .class_id = 0x0805, .prog_if = 0x01,
};

const VmType vm_sdhci_pci_type = {
  .name = "sdhci-pci", .parent = &vm_pci_device_type, .size = sizeof (Sdhci), .help = "SD host controller on PCI",
  .props = sdhci_props, .state = sdhci_state, .klass = &sdhci_class,
};
