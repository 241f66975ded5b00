/* SPDX-License-Identifier: GPL-3.0-or-later */
/* National Semiconductor DP8390 (DP8390D data sheet, July 1995: 7.0 buffer ring, 10.0 registers, 12.0 loopback) on an
 * NE2000 card; RTL8029AS: its data sheet, chapter 5. */
#include "devices/net/dp8390.h"

#include "devices/net/dp8390-regs.h"
#include "devices/net/frame.h"

#include <string.h>

#define FRAME_MAX 4096
/* Linux' driver reads nine frames, then clears the interrupt though there may be more: so many come at a time. */
#define BURST_MAX 8
#define EEPROM_WORDS 64

static void
update_irq (Dp8390 *self)
{
  vm_irq_set (&self->irq, (self->isr & self->imr & ~ISR_RST) != 0);
}

static void
interrupt (Dp8390 *self, uint8_t causes)
{
  self->isr |= causes;
  update_irq (self);
}

static void
room_changed (Dp8390 *self)
{
  if (self->card.ports)
    vm_net_port_ready (&self->card.ports[0]);
}

/* --- the card's memory ---------------------------------------------------------------------------------------------
 */

static uint8_t
load (const Dp8390 *self, uint16_t addr)
{
  if (addr < sizeof self->prom)
    return self->prom[addr];
  return addr - DP8390_RAM < DP8390_RAM ? self->ram[addr - DP8390_RAM] : 0xff;
}

static void
store (Dp8390 *self, uint16_t addr, uint8_t value)
{
  if (addr - DP8390_RAM < DP8390_RAM)
    self->ram[addr - DP8390_RAM] = value;
}

static void
fill_prom (Dp8390 *self)
{
  /* Each byte twice, as an eight-bit chip on a sixteen-bit bus shows; W tells that words can be had. */
  for (int i = 0; i < 16; i++)
    self->prom[2 * i] = self->prom[2 * i + 1] = i < 6 ? self->card.permanent[i] : i >= 14 ? 0x57 : 0;
}

/* --- reception -------------------------------------------------------------------------------- */

static bool
passes (const Dp8390 *self, const uint8_t *mac)
{
  if (vm_net_is_broadcast (mac))
    return self->rcr & RCR_AB;
  if (vm_net_is_multicast (mac))
    {
      uint32_t hash = vm_net_crc32_be (mac, 6) >> 26;
      return self->rcr & RCR_AM && self->mar[hash / 8] >> (hash & 7) & 1;
    }
  return self->rcr & RCR_PRO || !memcmp (mac, self->par, 6);
}

void
dp8390_rx_filter (const Dp8390 *self, VmNetRxFilter *filter)
{
  bool every = vm_load_le64 (self->mar) == UINT64_MAX;

  filter->promiscuous = self->rcr & RCR_PRO;
  filter->broadcast_allowed = self->rcr & RCR_AB;
  filter->multicast = !(self->rcr & RCR_AM) ? 1 : every ? 2 : 0;
  filter->unicast = self->rcr & RCR_PRO ? 2 : 0;
  filter->vlan = 2;
}

/* They stop counting at 192, and tell from 128 on. */
static void
count (Dp8390 *self, unsigned which)
{
  if (self->counters[which] < 192)
    self->counters[which]++;
  if (self->counters[which] >= 128)
    interrupt (self, ISR_CNT);
}

static unsigned
page_after (const Dp8390 *self, unsigned page, unsigned n)
{
  unsigned ring = self->pstop - self->pstart;

  return self->pstart + (page - self->pstart + n) % ring;
}

/* Bytes from page PAGE on, around the ring. */
static void
ring_write (Dp8390 *self, unsigned page, unsigned offset, const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    {
      unsigned at = offset + i;
      store (self, page_after (self, page, at / 256) << 8 | (at & 255), bytes[i]);
    }
}

bool
dp8390_receive (void *opaque, const VmNetPacket *packet)
{
  Dp8390 *self = opaque;
  uint8_t frame[FRAME_MAX], header[4];
  size_t len;
  unsigned pages, ring, room;

  if (self->cr & CR_STP || !(self->cr & CR_STA) || self->tcr & TCR_LB || packet->len < 14
      || !(len = vm_net_wire_frame (packet, frame, sizeof frame)) || !passes (self, frame))
    return true;
  if (self->rcr & RCR_MON)
    {
      count (self, 2);
      return true;
    }
  /* A ring out of order takes nothing. */
  if (self->pstart >= self->pstop || self->curr < self->pstart || self->curr >= self->pstop)
    return true;
  ring = self->pstop - self->pstart;
  pages = (sizeof header + len + 255) / 256;
  room = (self->bnry + ring - self->curr) % ring;
  if (pages >= ring)
    {
      self->rsr = RSR_MPA;
      count (self, 2);
      interrupt (self, ISR_OVW);
      return true;
    }
  /* The page of BNRY is the driver's; equal ones are a ring that has just been made. */
  if (pages >= (room ? room : ring) || (self->burst >= BURST_MAX && self->isr & self->imr & ISR_PRX))
    return false;
  self->burst += self->burst < BURST_MAX;
  self->rsr = RSR_PRX | (vm_net_is_multicast (frame) ? RSR_PHY : 0);
  header[0] = self->rsr;
  header[1] = page_after (self, self->curr, pages);
  vm_store_le16 (header + 2, len);
  ring_write (self, self->curr, 0, header, sizeof header);
  ring_write (self, self->curr, sizeof header, frame, len);
  self->curr = header[1];
  interrupt (self, ISR_PRX);
  return true;
}

/* --- transmission ----------------------------------------------------------------------------- */

static void
packet_sent (void *opaque)
{
  Dp8390 *self = opaque;

  self->sending = false;
  self->cr &= ~CR_TXP;
  self->tsr = TSR_PTX;
  interrupt (self, ISR_PTX);
}

/* Of a frame that goes nowhere the chip keeps the end: a byte, the check sequence, and the count (12.0). */
static void
loop_back (Dp8390 *self, size_t len)
{
  uint32_t crc = vm_net_crc32 (self->tx, len);

  self->fifo[0] = len ? self->tx[len - 1] : 0;
  vm_store_le32 (self->fifo + 1, crc);
  len += self->tcr & TCR_CRC ? 0 : 4;
  self->fifo[5] = len;
  self->fifo[6] = self->fifo[7] = len >> 8;
  self->fifo_at = 0;
  self->rsr = RSR_PRX;
}

static void
transmit (Dp8390 *self)
{
  size_t len = MIN (self->tbcr, sizeof self->tx), padded;

  if (self->sending)
    return;
  for (size_t i = 0; i < len; i++)
    self->tx[i] = load (self, (self->tpsr << 8) + i);
  if (self->tcr & TCR_LB)
    loop_back (self, len);
  else
    {
      if (self->tcr & TCR_CRC) /* the driver brings its own */
        len -= MIN (len, 4);
      padded = MAX (len, VM_NET_FRAME_MIN);
      memset (self->tx + len, 0, padded - len);
      self->sending = len >= 14 && !vm_net_send_bytes (&self->card.ports[0], self->tx, padded, packet_sent);
    }
  if (!self->sending)
    {
      self->cr &= ~CR_TXP;
      self->tsr = TSR_PTX;
      interrupt (self, ISR_PTX);
    }
}

/* --- remote DMA ------------------------------------------------------------------------------- */

static void
advance (Dp8390 *self, unsigned n)
{
  self->crda += n;
  if (self->crda == self->pstop << 8)
    self->crda = self->pstart << 8;
  self->rbcr -= MIN (self->rbcr, n);
  if (self->rbcr)
    return;
  if ((self->cr & CR_RD) == CR_RD_SEND)
    {
      self->bnry = self->next_page;
      room_changed (self);
    }
  self->cr = (self->cr & ~CR_RD) | CR_RD_ABORT;
  interrupt (self, ISR_RDC);
}

/* Bytes that go at once: in word mode always an even number. */
static unsigned
unit (const Dp8390 *self, unsigned size)
{
  return self->dcr & DCR_WTS && size == 1 ? 2 : self->dcr & DCR_WTS ? size : 1;
}

static uint32_t
read_data (Dp8390 *self, unsigned size)
{
  unsigned mode = self->cr & CR_RD, n = unit (self, size);
  uint32_t value = 0;

  if (!self->rbcr || (mode != CR_RD_READ && mode != CR_RD_SEND))
    return UINT32_MAX;
  for (unsigned i = 0; i < MIN (n, size); i++)
    value |= (uint32_t) load (self, self->crda + i) << 8 * i;
  advance (self, n);
  return value;
}

static void
write_data (Dp8390 *self, uint32_t value, unsigned size)
{
  unsigned n = unit (self, size);

  if (!self->rbcr || (self->cr & CR_RD) != CR_RD_WRITE)
    return;
  for (unsigned i = 0; i < MIN (n, size); i++)
    store (self, self->crda + i, value >> 8 * i);
  advance (self, n);
}

static void
start_remote (Dp8390 *self)
{
  if ((self->cr & CR_RD) == CR_RD_SEND)
    {
      self->crda = self->bnry << 8;
      self->next_page = load (self, self->crda + 1);
      self->rbcr = load (self, self->crda + 2) | load (self, self->crda + 3) << 8;
    }
  if (!self->rbcr)
    advance (self, 0);
}

/* --- registers -------------------------------------------------------------------------------- */

static void
write_cr (Dp8390 *self, uint8_t value)
{
  bool was = self->cr & CR_STP, remote = (value & CR_RD) && (value & CR_RD) < CR_RD_ABORT;

  /* Neither start nor stop: as it was, which drivers rely on. TXP falls by itself. RD 0 is not allowed. */
  if (!(value & (CR_STA | CR_STP)))
    value |= self->cr & (CR_STA | CR_STP);
  self->cr = (value & ~CR_RD) | (value & CR_RD ? value & CR_RD : self->cr & CR_RD) | (self->cr & CR_TXP);
  if (value & CR_STP)
    {
      if (self->sending)
        vm_net_port_forget (&self->card.ports[0]);
      self->sending = false;
      self->cr &= ~CR_TXP;
      self->isr |= ISR_RST;
    }
  else if (value & CR_STA)
    self->isr &= ~ISR_RST;
  if (remote)
    start_remote (self);
  if (self->cr & CR_TXP && self->cr & CR_STA)
    transmit (self);
  if (was && !(self->cr & CR_STP))
    room_changed (self);
}

static void
write_page0 (Dp8390 *self, unsigned reg, uint8_t value)
{
  switch (reg)
    {
    case 1:
      self->pstart = value;
      break;
    case 2:
      self->pstop = value;
      break;
    case 3:
      self->bnry = value;
      room_changed (self);
      break;
    case 4:
      self->tpsr = value;
      break;
    case 5:
      self->tbcr = (self->tbcr & 0xff00) | value;
      break;
    case 6:
      self->tbcr = (self->tbcr & 0xff) | value << 8;
      break;
    case 7:
      self->isr &= ~(value & ~ISR_RST);
      update_irq (self);
      if (value & ISR_PRX)
        {
          self->burst = 0;
          room_changed (self);
        }
      break;
    case 8:
      self->rsar = self->crda = (self->rsar & 0xff00) | value;
      break;
    case 9:
      self->rsar = self->crda = (self->rsar & 0xff) | value << 8;
      break;
    case 10:
      self->rbcr = (self->rbcr & 0xff00) | value;
      break;
    case 11:
      self->rbcr = (self->rbcr & 0xff) | value << 8;
      break;
    case 12:
      self->rcr = value & 0x3f;
      vm_net_card_rx_filter_changed (&self->card);
      room_changed (self);
      break;
    case 13:
      self->tcr = value & 0x1f;
      room_changed (self);
      break;
    case 14:
      self->dcr = value & 0x7f;
      break;
    case 15:
      self->imr = value & 0x7f;
      update_irq (self);
      break;
    }
}

static uint8_t
read_page0 (Dp8390 *self, unsigned reg)
{
  uint8_t value;

  switch (reg)
    {
    case 1: /* local DMA stands where it is next wanted */
      return 0;
    case 2:
      return self->curr;
    case 3:
      return self->bnry;
    case 4:
      return self->tsr;
    case 5: /* no collisions */
      return 0;
    case 6:
      value = self->fifo[self->fifo_at & 7];
      self->fifo_at = (self->fifo_at + 1) & 7;
      return value;
    case 7:
      return self->isr;
    case 8:
      return self->crda;
    case 9:
      return self->crda >> 8;
    case 10: /* tells an RTL8029AS */
      return self->realtek ? 0x50 : 0xff;
    case 11:
      return self->realtek ? 0x43 : 0xff;
    case 12:
      return self->rsr;
    default:
      value = self->counters[reg - 13];
      self->counters[reg - 13] = 0;
      return value;
    }
}

static void
write_page1 (Dp8390 *self, unsigned reg, uint8_t value)
{
  if (reg == 7)
    {
      self->curr = value;
      return;
    }
  if (reg < 7)
    self->par[reg - 1] = value;
  else
    self->mar[reg - 8] = value;
  if (reg == 6)
    vm_net_card_set_mac (&self->card, self->par);
  vm_net_card_rx_filter_changed (&self->card);
}

static uint8_t
read_page1 (const Dp8390 *self, unsigned reg)
{
  return reg < 7 ? self->par[reg - 1] : reg == 7 ? self->curr : self->mar[reg - 8];
}

/* What was written in page 0. */
static uint8_t
read_page2 (const Dp8390 *self, unsigned reg)
{
  switch (reg)
    {
    case 1:
      return self->pstart;
    case 2:
      return self->pstop;
    case 4:
      return self->tpsr;
    case 12:
      return self->rcr | 0xc0;
    case 13:
      return self->tcr | 0xe0;
    case 14:
      return self->dcr | 0x80;
    case 15:
      return self->imr | 0x80;
    default:
      return 0xff;
    }
}

/* --- page 3 of the RTL8029AS ------------------------------------------------------------------ */

enum
{
  P3_9346CR = 1,
  P3_BPAGE = 2,
  P3_CONFIG0 = 3,
  P3_CONFIG2 = 5,
  P3_CONFIG3 = 6,
  P3_HLTCLK = 9
};

static uint8_t
read_page3 (const Dp8390 *self, unsigned reg)
{
  if (reg == P3_9346CR && (self->page3[reg] & EE_MODE) == EE_PROGRAM)
    return (self->page3[reg] & ~EE_DO) | vm_eeprom93xx_read (&self->eeprom);
  /* BNC: the link test fails on a twisted pair that is looked for, or thin cable was asked for (PL of CONFIG2). */
  if (reg == P3_CONFIG0)
    {
      unsigned medium = self->page3[P3_CONFIG2] >> 6;
      return (medium == 0 && !vm_net_card_link_up (&self->card)) || medium == 3 ? CONFIG0_BNC : 0;
    }
  return reg == 14 ? 0x29 : reg == 15 ? 0x80 : self->page3[reg];
}

static void
write_page3 (Dp8390 *self, unsigned reg, uint8_t value)
{
  bool open = (self->page3[P3_9346CR] & EE_MODE) == EE_CONFIG;

  switch (reg)
    {
    case P3_9346CR:
      {
        bool program = (value & EE_MODE) == EE_PROGRAM;
        bool loads = (value & EE_MODE) == EE_LOAD;
        self->page3[reg] = loads ? 0 : value & ~EE_DO;
        vm_eeprom93xx_write (&self->eeprom, program && value & EE_CS, program && value & EE_SK, value & EE_DI);
        for (int i = 0; loads && i < 3; i++)
          vm_store_le16 (self->par + 2 * i, self->eeprom.words[2 + i]);
        break;
      }
    case P3_BPAGE:
    case P3_HLTCLK:
      self->page3[reg] = value;
      break;
    case P3_CONFIG2:
      if (open)
        self->page3[reg] = value & 0xdf;
      break;
    case P3_CONFIG3: /* full duplex, LEDs, sleep */
      if (open)
        self->page3[reg] = value & 0x76;
      break;
    default:
      break;
    }
}

/* --- ports ------------------------------------------------------------------------------------ */

static void
chip_reset (Dp8390 *self)
{
  if (self->sending)
    vm_net_port_forget (&self->card.ports[0]);
  self->sending = false;
  self->cr = CR_STP | CR_RD_ABORT;
  self->isr = ISR_RST;
  self->imr = 0;
  self->dcr |= DCR_LAS;
  self->tcr &= ~TCR_LB;
  update_irq (self);
}

static uint8_t
read_reg (Dp8390 *self, unsigned reg)
{
  if (reg == 0)
    return self->cr;
  switch (self->cr >> 6)
    {
    case 0:
      return read_page0 (self, reg);
    case 1:
      return read_page1 (self, reg);
    case 2:
      return read_page2 (self, reg);
    default:
      return self->realtek ? read_page3 (self, reg) : 0xff;
    }
}

static void
write_reg (Dp8390 *self, unsigned reg, uint8_t value)
{
  if (reg == 0)
    write_cr (self, value);
  else if (self->cr >> 6 == 0)
    write_page0 (self, reg, value);
  else if (self->cr >> 6 == 1)
    write_page1 (self, reg, value);
  else if (self->cr >> 6 == 3 && self->realtek)
    write_page3 (self, reg, value);
}

/* The chip has eight bits: wider accesses are several, but for those of data. */
static uint64_t
port_read (void *opaque, uint64_t offset, unsigned size)
{
  Dp8390 *self = opaque;
  uint32_t value = 0;

  if (offset >= NE_DATA && offset < NE_RESET)
    return read_data (self, size);
  if (offset >= NE_RESET)
    chip_reset (self);
  else
    for (unsigned i = 0; i < size; i++)
      value |= (uint32_t) read_reg (self, (offset + i) & 15) << 8 * i;
  return value;
}

static void
port_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Dp8390 *self = opaque;

  if (offset >= NE_DATA && offset < NE_RESET)
    write_data (self, value, size);
  else if (offset < NE_DATA) /* a write to the reset ports ends the reset that a read began */
    for (unsigned i = 0; i < size; i++)
      write_reg (self, (offset + i) & 15, value >> 8 * i);
}

const VmRegionOps dp8390_ops = {
  .read = port_read,
  .write = port_write,
  .valid = { .max = 4, .unaligned = true },
  .impl = { .min = 1, .max = 4 },
};

/* --- both cards ------------------------------------------------------------------------------- */

bool
dp8390_attach (Dp8390 *self, VmDevice *dev, const VmNetCardOps *ops, VmIrq irq, GError **error)
{
  self->irq = irq;
  if (!vm_net_card_attach (&self->card, &dev->parent, dev->parent.type->name, ops, 1, (void *const[]){ self }, error))
    return false;
  fill_prom (self);
  vm_eeprom93xx_init (&self->eeprom, EEPROM_WORDS);
  for (int i = 0; i < 3; i++)
    self->eeprom.words[2 + i] = vm_load_le16 (self->card.permanent + 2 * i);
  return true;
}

void
dp8390_detach (Dp8390 *self)
{
  vm_net_card_detach (&self->card);
}

void
dp8390_reset (Dp8390 *self)
{
  self->dcr = self->tcr = self->tsr = self->rcr = self->rsr = 0;
  self->pstart = self->pstop = self->bnry = self->curr = self->tpsr = self->next_page = 0;
  self->tbcr = self->rsar = self->rbcr = self->crda = 0;
  memset (self->par, 0, sizeof self->par);
  memset (self->mar, 0, sizeof self->mar);
  memset (self->counters, 0, sizeof self->counters);
  memset (self->page3, 0, sizeof self->page3);
  vm_eeprom93xx_reset (&self->eeprom);
  chip_reset (self);
  vm_net_card_set_mac (&self->card, self->card.permanent);
  room_changed (self);
}

void
dp8390_post_load (Dp8390 *self)
{
  if (self->cr & CR_STA)
    vm_net_card_set_mac (&self->card, self->par);
  if (self->cr & CR_TXP && self->cr & CR_STA)
    transmit (self);
}

const VmField dp8390_state[] = {
  VM_FIELD (Dp8390, cr),
  VM_FIELD (Dp8390, isr),
  VM_FIELD (Dp8390, imr),
  VM_FIELD (Dp8390, dcr),
  VM_FIELD (Dp8390, tcr),
  VM_FIELD (Dp8390, tsr),
  VM_FIELD (Dp8390, rcr),
  VM_FIELD (Dp8390, rsr),
  VM_FIELD (Dp8390, pstart),
  VM_FIELD (Dp8390, pstop),
  VM_FIELD (Dp8390, bnry),
  VM_FIELD (Dp8390, curr),
  VM_FIELD (Dp8390, tpsr),
  VM_FIELD (Dp8390, tbcr),
  VM_FIELD (Dp8390, rsar),
  VM_FIELD (Dp8390, rbcr),
  VM_FIELD (Dp8390, crda),
  VM_FIELD_ARRAY (Dp8390, par),
  VM_FIELD_ARRAY (Dp8390, mar),
  VM_FIELD_ARRAY (Dp8390, counters),
  VM_FIELD_ARRAY (Dp8390, fifo),
  VM_FIELD (Dp8390, fifo_at),
  VM_FIELD (Dp8390, next_page),
  VM_FIELD_ARRAY (Dp8390, page3),
  VM_FIELD_ARRAY (Dp8390, prom),
  VM_FIELD_ARRAY (Dp8390, ram),
  VM_FIELD_EMBED (Dp8390, eeprom, vm_eeprom93xx_state),
  { 0 },
};
