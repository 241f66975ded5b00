/* SPDX-License-Identifier: GPL-3.0-or-later */
/* 8237A DMA controller (order number 231466) as a PC wires it: one for bytes, one for words, page registers for
 * the upper address bits (82371SB data sheet 290550, section 2.5.1). */
#include "devices/timer/i8257.h"

enum { COMMAND_DISABLE = 1 << 2 };
enum { MODE_AUTOINIT = 1 << 4, MODE_DECREMENT = 1 << 5 };
enum { /* control ports */
  REG_COMMAND = 0, REG_REQUEST = 1, REG_SINGLE_MASK = 2, REG_MODE = 3, REG_CLEAR_FLIP_FLOP = 4,
  REG_MASTER_CLEAR = 5, REG_CLEAR_MASK = 6, REG_ALL_MASK = 7,
};

/* --- moving data -------------------------------------------------------------------------------------- */

static bool
dma_may_serve (const VmI8257 *self, unsigned n)
{
  return self->client[n].service && (self->dreq >> n & 1) && !(self->mask >> n & 1)
         && !(self->command & COMMAND_DISABLE);
}

static void
dma_serve (VmI8257 *self, unsigned n)
{
  if (self->serving[n] || !dma_may_serve (self, n))
    return;
  self->serving[n] = true;
  self->client[n].service (self->client[n].opaque, n + (self->dshift ? 4 : 0));
  self->serving[n] = false;
}

static void
dma_serve_all (VmI8257 *self)
{
  for (unsigned n = 0; n < 4; n++)
    dma_serve (self, n);
}

static uint64_t
dma_address (const VmI8257 *self, const VmI8257Channel *ch)
{
  uint32_t page = self->dshift ? ch->page & 0xfeu : ch->page;

  return (uint64_t) ch->page_high << 24 | page << 16 | (uint32_t) ch->address << self->dshift;
}

/* UNITS transfers without a wrap of the 16-bit address. */
static void
dma_move_run (VmI8257 *self, VmI8257Channel *ch, uint8_t *buf, uint32_t units)
{
  VmAddressSpace *as = self->parent.parent.env->memory_as;
  VmMemAttrs attrs = { .dma = true };
  uint32_t bytes = units << self->dshift;
  VmIsaDmaMode mode = ch->mode >> 2 & 3;

  if (mode == VM_ISA_DMA_TO_MEMORY)
    vm_as_write (as, dma_address (self, ch), attrs, buf, bytes);
  else if (mode == VM_ISA_DMA_FROM_MEMORY)
    vm_as_read (as, dma_address (self, ch), attrs, buf, bytes);
  else
    memset (buf, 0, bytes); /* verify: addresses without data */
  ch->address = (uint16_t) (ch->address + units);
}

static void
dma_move_units (VmI8257 *self, VmI8257Channel *ch, uint8_t *buf, uint32_t units)
{
  while (units > 0)
    {
      bool down = (ch->mode & MODE_DECREMENT) != 0;
      uint32_t run = down ? 1 : MIN (units, 0x10000u - ch->address);

      dma_move_run (self, ch, buf, run);
      if (down)
        ch->address -= 2; /* one up, as above, and one down */
      buf += run << self->dshift;
      units -= run;
    }
}

static uint32_t
dma_move (void *opaque, unsigned channel, void *buf, uint32_t len, bool *terminal)
{
  VmI8257 *self = opaque;
  unsigned n = channel & 3;
  VmI8257Channel *ch = &self->channel[n];
  uint32_t left = ch->count + 1u, units = MIN (len >> self->dshift, left);

  if ((self->mask >> n & 1) || (self->command & COMMAND_DISABLE) || units == 0)
    return 0;
  dma_move_units (self, ch, buf, units);
  ch->count = (uint16_t) (ch->count - units);
  if (units == left)
    {
      *terminal = true;
      self->status |= (uint8_t) (1 << n);
      if (ch->mode & MODE_AUTOINIT)
        {
          ch->address = ch->base_address;
          ch->count = ch->base_count;
        }
      else
        self->mask |= (uint8_t) (1 << n);
    }
  return units << self->dshift;
}

static void
dma_request (void *opaque, unsigned channel, bool dreq)
{
  VmI8257 *self = opaque;
  uint8_t bit = (uint8_t) (1 << (channel & 3));

  self->dreq = (uint8_t) (dreq ? self->dreq | bit : self->dreq & ~bit);
  if (dreq)
    dma_serve (self, channel & 3);
}

static bool
dma_attach (void *opaque, unsigned channel, VmIsaDmaClient client)
{
  VmI8257 *self = opaque;
  VmIsaDmaClient *slot = &self->client[channel & 3];

  if (client.service && slot->service)
    return false;
  *slot = client;
  if (!client.service)
    self->dreq &= (uint8_t) ~(1 << (channel & 3));
  return true;
}

static VmIsaDmaMode
dma_mode (void *opaque, unsigned channel)
{
  return ((VmI8257 *) opaque)->channel[channel & 3].mode >> 2 & 3;
}

static bool
dma_autoinit (void *opaque, unsigned channel)
{
  return (((VmI8257 *) opaque)->channel[channel & 3].mode & MODE_AUTOINIT) != 0;
}

static const VmIsaDmaOps dma_isa_ops = {
  .attach = dma_attach, .request = dma_request, .move = dma_move, .mode = dma_mode, .autoinit = dma_autoinit,
};

/* --- registers ------------------------------------------------------------------------------------------ */

static uint64_t
dma_channel_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8257 *self = opaque;
  unsigned reg = (unsigned) offset >> self->dshift;
  const VmI8257Channel *ch = &self->channel[reg / 2];
  uint16_t value = reg & 1 ? ch->count : ch->address;

  self->flip_flop = !self->flip_flop;
  return self->flip_flop ? value & 0xff : value >> 8;
}

static void
dma_channel_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8257 *self = opaque;
  unsigned reg = (unsigned) offset >> self->dshift;
  VmI8257Channel *ch = &self->channel[reg / 2];
  uint16_t *base = reg & 1 ? &ch->base_count : &ch->base_address;
  uint16_t *current = reg & 1 ? &ch->count : &ch->address;

  if (self->flip_flop)
    *base = (uint16_t) ((*base & 0xff) | (value & 0xff) << 8);
  else
    *base = (uint16_t) ((*base & 0xff00) | (value & 0xff));
  self->flip_flop = !self->flip_flop;
  *current = *base;
}

static void
dma_master_clear (VmI8257 *self)
{
  self->command = self->status = self->request = 0;
  self->mask = 0xf;
  self->flip_flop = false;
}

static uint64_t
dma_control_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8257 *self = opaque;
  uint8_t value;

  switch (offset >> self->dshift)
    {
    case REG_COMMAND: /* status: terminal counts, cleared by reading, and pending requests */
      value = (uint8_t) ((self->status & 0xf) | (self->dreq | self->request) << 4);
      self->status = 0;
      return value;
    case REG_ALL_MASK:
      return self->mask | 0xf0;
    default:
      return 0;
    }
}

static void
dma_control_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8257 *self = opaque;
  uint8_t bit = (uint8_t) (1 << (value & 3));

  switch (offset >> self->dshift)
    {
    case REG_COMMAND:
      self->command = (uint8_t) value;
      break;
    case REG_REQUEST:
      self->request = (uint8_t) (value & 4 ? self->request | bit : self->request & ~bit);
      break;
    case REG_SINGLE_MASK:
      self->mask = (uint8_t) (value & 4 ? self->mask | bit : self->mask & ~bit);
      break;
    case REG_MODE:
      self->channel[value & 3].mode = (uint8_t) value;
      break;
    case REG_CLEAR_FLIP_FLOP:
      self->flip_flop = false;
      break;
    case REG_MASTER_CLEAR:
      dma_master_clear (self);
      break;
    case REG_CLEAR_MASK:
      self->mask = 0;
      break;
    default:
      self->mask = value & 0xf;
      break;
    }
  dma_serve_all (self);
}

/* Page registers lie scattered; -1: belongs to no channel. */
static int
dma_page_channel (unsigned offset)
{
  static const int8_t channels[8] = { -1, 2, 3, 1, -1, -1, -1, 0 };

  return channels[offset & 7];
}

/* OPAQUE is the controller, OFFSET counts from its page base. */
static uint64_t
dma_page_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8257 *self = opaque;
  int n = dma_page_channel ((unsigned) offset);

  return n < 0 ? self->scratch[offset & 7] : self->channel[n].page;
}

static void
dma_page_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8257 *self = opaque;
  int n = dma_page_channel ((unsigned) offset);

  if (n < 0)
    self->scratch[offset & 7] = (uint8_t) value;
  else
    self->channel[n].page = (uint8_t) value;
}

static uint64_t
dma_pageh_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8257 *self = opaque;
  int n = dma_page_channel ((unsigned) offset);

  return n < 0 ? self->scratch[8 + (offset & 7)] : self->channel[n].page_high;
}

static void
dma_pageh_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8257 *self = opaque;
  int n = dma_page_channel ((unsigned) offset);

  if (n < 0)
    self->scratch[8 + (offset & 7)] = (uint8_t) value;
  else
    self->channel[n].page_high = (uint8_t) value & 0x7f;
}

#define DMA_OPS(name, r, w) \
  static const VmRegionOps name = { .read = (r), .write = (w), .impl = { .min = 1, .max = 1 } }
DMA_OPS (dma_channel_ops, dma_channel_read, dma_channel_write);
DMA_OPS (dma_control_ops, dma_control_read, dma_control_write);
DMA_OPS (dma_page_ops, dma_page_read, dma_page_write);
DMA_OPS (dma_pageh_ops, dma_pageh_read, dma_pageh_write);

/* --- life -------------------------------------------------------------------------------------------------- */

static void
dma_reset (VmDevice *dev, VmResetKind kind)
{
  VmI8257 *self = (VmI8257 *) dev;

  memset (self->channel, 0, sizeof self->channel);
  memset (self->scratch, 0, sizeof self->scratch);
  self->dreq = 0;
  dma_master_clear (self);
}

static bool
dma_realize (VmDevice *dev, GError **error)
{
  VmI8257 *self = (VmI8257 *) dev;
  VmMemory *memory = dev->env->memory;

  if (self->dshift < 0 || self->dshift > 1)
    return vm_fail (error, "i8257: dshift must be 0 or 1");
  vm_region_init_io (&self->channel_io, memory, &dma_channel_ops, self, "dma-chan", 8u << self->dshift);
  vm_region_init_io (&self->control_io, memory, &dma_control_ops, self, "dma-cont", 8u << self->dshift);
  vm_region_init_io (&self->page_io, memory, &dma_page_ops, self, "dma-page", 8);
  if (!vm_isa_add_io (dev, (uint32_t) self->base, &self->channel_io, error)
      || !vm_isa_add_io (dev, (uint32_t) self->base + (8u << self->dshift), &self->control_io, error)
      || !vm_isa_add_io (dev, (uint32_t) self->page_base, &self->page_io, error))
    return false;
  if (self->pageh_base >= 0)
    {
      vm_region_init_io (&self->pageh_io, memory, &dma_pageh_ops, self, "dma-pageh", 8);
      if (!vm_isa_add_io (dev, (uint32_t) self->pageh_base, &self->pageh_io, error))
        return false;
    }
  self->mask = 0xf;
  vm_isa_bus_set_dma (vm_isa_bus (dev), (unsigned) self->dshift, &dma_isa_ops, self);
  return true;
}

static void
dma_unrealize (VmDevice *dev)
{
  vm_isa_bus_set_dma (vm_isa_bus (dev), (unsigned) ((VmI8257 *) dev)->dshift, NULL, NULL);
}

static const VmProp dma_props[] = {
  VM_PROP ("base", VmI8257, base, 0, "first I/O port"),
  VM_PROP ("page-base", VmI8257, page_base, 0x80, "first page register"),
  VM_PROP ("pageh-base", VmI8257, pageh_base, 0x480, "first high page register; -1: none"),
  VM_PROP ("dshift", VmI8257, dshift, 0, "1: moves words"),
  { 0 }
};

static const VmField dma_channel_state[] = {
  VM_FIELD (VmI8257Channel, base_address), VM_FIELD (VmI8257Channel, base_count),
  VM_FIELD (VmI8257Channel, address), VM_FIELD (VmI8257Channel, count), VM_FIELD (VmI8257Channel, page),
  VM_FIELD (VmI8257Channel, page_high), VM_FIELD (VmI8257Channel, mode),
  { 0 }
};

static const VmField dma_state[] = {
  VM_FIELD_EMBED_ARRAY (VmI8257, channel, dma_channel_state), VM_FIELD (VmI8257, command),
  VM_FIELD (VmI8257, status), VM_FIELD (VmI8257, mask), VM_FIELD (VmI8257, request), VM_FIELD (VmI8257, dreq),
  VM_FIELD_ARRAY (VmI8257, scratch), VM_FIELD (VmI8257, flip_flop),
  { 0 }
};

static const VmDeviceClass dma_class = {
  .realize = dma_realize, .unrealize = dma_unrealize, .reset = dma_reset,
  .bus_type = VM_ISA_BUS_TYPE, .category = "Misc",
};

const VmType vm_i8257_type = {
  .name = "i8257", .parent = &vm_isa_device_type, .size = sizeof (VmI8257),
  .help = "8237A DMA controller", .props = dma_props, .state = dma_state, .klass = &dma_class,
};
