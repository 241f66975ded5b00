/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 8259A programmable interrupt controller (order number 231468), with the edge/level registers of
 * the PIIX3 (290550, section 2.5.4). */
#include "devices/intc/i8259.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"

enum { /* ICW1 and the kinds of word at the command port */
  ICW1_IC4 = 1 << 0, ICW1_SNGL = 1 << 1, ICW1_LTIM = 1 << 3, CMD_ICW1 = 1 << 4, CMD_OCW3 = 1 << 3,
};
enum { ICW4_AEOI = 1 << 1, ICW4_SFNM = 1 << 4 };
enum { OCW3_RIS = 1 << 0, OCW3_RR = 1 << 1, OCW3_POLL = 1 << 2, OCW3_SMM = 1 << 5, OCW3_ESMM = 1 << 6 };
enum { /* OCW2, upper three bits */
  EOI_ROTATE_AUTO_CLEAR, EOI_NONSPECIFIC, EOI_NOP, EOI_SPECIFIC, EOI_ROTATE_AUTO_SET,
  EOI_ROTATE_NONSPECIFIC, EOI_SET_PRIORITY, EOI_ROTATE_SPECIFIC,
};
enum { INIT_NONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };
#define CASCADE_INPUT 2

/* --- derived state ------------------------------------------------------------------------------- */

/* Place in the priority order of the most urgent bit in MASK, 0 the highest; 8: none. */
static unsigned
i8259_priority (const VmI8259 *self, uint8_t mask)
{
  unsigned priority = 0;

  if (mask == 0)
    return 8;
  while (!(mask >> ((priority + self->lowest + 1) & 7) & 1))
    priority++;
  return priority;
}

static unsigned
i8259_input_at (const VmI8259 *self, unsigned priority)
{
  return (priority + self->lowest + 1) & 7;
}

/* The input to be served next, or -1. */
static int
i8259_next (const VmI8259 *self)
{
  unsigned wanted = i8259_priority (self, self->irr & (uint8_t) ~self->imr), serving;
  uint8_t isr = self->isr;

  if (wanted == 8)
    return -1;
  if (self->special_mask)
    isr &= (uint8_t) ~self->imr;
  /* Fully nested special mode: the slave may interrupt its own service. */
  if (self->special_nested && self->master)
    isr &= (uint8_t) ~(1 << CASCADE_INPUT);
  serving = i8259_priority (self, isr);
  return wanted < serving ? (int) i8259_input_at (self, wanted) : -1;
}

static void
i8259_update_irq (VmI8259 *self)
{
  self->output = i8259_next (self) >= 0;
  vm_irq_set (&self->intr, self->output);
}

static bool
i8259_is_level (const VmI8259 *self, unsigned n)
{
  return self->ltim || (self->elcr >> n & 1);
}

static void
i8259_set_input (void *opaque, int n, int level)
{
  VmI8259 *self = opaque;
  uint8_t bit = (uint8_t) (1 << n);

  vm_trace (PIC_SET_IRQ, "%s irq %d level %d", vm_device_path (&self->parent.parent), n, level);

  if (i8259_is_level (self, (unsigned) n))
    self->irr = (uint8_t) (level ? self->irr | bit : self->irr & ~bit);
  else if (level && !(self->lines & bit))
    self->irr |= bit; /* stays latched if the line falls before the acknowledge: devices pulse ... */
  else if (!level && n == CASCADE_INPUT && self->slave)
    self->irr &= (uint8_t) ~bit; /* ... but the slave's output means what it says */
  self->lines = (uint8_t) (level ? self->lines | bit : self->lines & ~bit);
  i8259_update_irq (self);
}

VmIrq
vm_i8259_input (VmI8259 *pic, unsigned n)
{
  return (VmIrq) { .func = i8259_set_input, .opaque = pic, .n = (int) n };
}

static void
i8259_take (VmI8259 *self, unsigned n)
{
  uint8_t bit = (uint8_t) (1 << n);

  vm_trace (PIC_INTERRUPT, "%s irq %u", vm_device_path (&self->parent.parent), n);
  if (!self->auto_eoi)
    self->isr |= bit;
  else if (self->rotate_on_auto_eoi)
    self->lowest = (uint8_t) n;
  if (!i8259_is_level (self, n))
    self->irr &= (uint8_t) ~bit;
  i8259_update_irq (self);
}

uint8_t
vm_i8259_acknowledge (VmI8259 *master)
{
  int n = i8259_next (master), m;

  if (n < 0)
    return master->vector_base + 7; /* the request went away: default input 7, nothing in service */
  if (n != CASCADE_INPUT || !master->slave || master->single)
    {
      i8259_take (master, (unsigned) n);
      return (uint8_t) (master->vector_base + n);
    }
  m = i8259_next (master->slave);
  i8259_take (master, (unsigned) n);
  if (m < 0)
    return master->slave->vector_base + 7;
  i8259_take (master->slave, (unsigned) m);
  return (uint8_t) (master->slave->vector_base + m);
}

/* --- registers ------------------------------------------------------------------------------------ */

static void
i8259_write_icw1 (VmI8259 *self, uint8_t value)
{
  self->init_state = INIT_ICW2;
  self->init4 = (value & ICW1_IC4) != 0;
  self->single = (value & ICW1_SNGL) != 0;
  self->ltim = (value & ICW1_LTIM) != 0;
  self->imr = self->isr = 0;
  self->lowest = 7;
  self->special_mask = self->read_isr = self->poll = false;
  self->rotate_on_auto_eoi = false;
  if (!self->init4)
    self->auto_eoi = self->special_nested = false;
  /* Edge detection starts afresh: a line that is high must fall first. Level inputs still ask. */
  for (unsigned n = 0; n < 8; n++)
    if (!i8259_is_level (self, n))
      self->irr &= (uint8_t) ~(1 << n);
    else if (self->lines >> n & 1)
      self->irr |= (uint8_t) (1 << n);
  i8259_update_irq (self);
}

static void
i8259_write_ocw2 (VmI8259 *self, uint8_t value)
{
  unsigned command = value >> 5, n = value & 7, priority;
  uint8_t isr = self->isr;

  switch (command)
    {
    case EOI_ROTATE_AUTO_CLEAR:
    case EOI_ROTATE_AUTO_SET:
      self->rotate_on_auto_eoi = command == EOI_ROTATE_AUTO_SET;
      break;
    case EOI_NONSPECIFIC:
    case EOI_ROTATE_NONSPECIFIC:
      if (self->special_mask)
        isr &= (uint8_t) ~self->imr; /* in that mode masked inputs are not cleared by it */
      priority = i8259_priority (self, isr);
      if (priority == 8)
        break;
      n = i8259_input_at (self, priority);
      self->isr &= (uint8_t) ~(1 << n);
      if (command == EOI_ROTATE_NONSPECIFIC)
        self->lowest = (uint8_t) n;
      break;
    case EOI_SPECIFIC:
      self->isr &= (uint8_t) ~(1 << n);
      break;
    case EOI_SET_PRIORITY:
      self->lowest = (uint8_t) n;
      break;
    case EOI_ROTATE_SPECIFIC:
      self->isr &= (uint8_t) ~(1 << n);
      self->lowest = (uint8_t) n;
      break;
    default:
      break;
    }
  i8259_update_irq (self);
}

static void
i8259_write_ocw3 (VmI8259 *self, uint8_t value)
{
  if (value & OCW3_POLL)
    self->poll = true;
  if (value & OCW3_RR)
    self->read_isr = (value & OCW3_RIS) != 0;
  if (value & OCW3_ESMM)
    {
      self->special_mask = (value & OCW3_SMM) != 0;
      i8259_update_irq (self);
    }
}

static void
i8259_write_data (VmI8259 *self, uint8_t value)
{
  switch (self->init_state)
    {
    case INIT_NONE:
      self->imr = value;
      i8259_update_irq (self);
      break;
    case INIT_ICW2:
      self->vector_base = value & 0xf8;
      self->init_state = !self->single ? INIT_ICW3 : self->init4 ? INIT_ICW4 : INIT_NONE;
      break;
    case INIT_ICW3: /* the wiring is what it is */
      self->init_state = self->init4 ? INIT_ICW4 : INIT_NONE;
      break;
    default:
      self->special_nested = (value & ICW4_SFNM) != 0;
      self->auto_eoi = (value & ICW4_AEOI) != 0;
      self->init_state = INIT_NONE;
      i8259_update_irq (self);
      break;
    }
}

static void
i8259_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8259 *self = opaque;

  if (offset == 1)
    i8259_write_data (self, (uint8_t) value);
  else if (value & CMD_ICW1)
    i8259_write_icw1 (self, (uint8_t) value);
  else if (value & CMD_OCW3)
    i8259_write_ocw3 (self, (uint8_t) value);
  else
    i8259_write_ocw2 (self, (uint8_t) value);
}

static uint64_t
i8259_read (void *opaque, uint64_t offset, unsigned size)
{
  VmI8259 *self = opaque;
  int n;

  if (self->poll)
    {
      self->poll = false;
      n = i8259_next (self);
      if (n < 0)
        return 0;
      i8259_take (self, (unsigned) n);
      return 0x80u | (unsigned) n;
    }
  if (offset == 1)
    return self->imr;
  return self->read_isr ? self->isr : self->irr;
}

static uint64_t
i8259_elcr_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((VmI8259 *) opaque)->elcr;
}

static void
i8259_elcr_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmI8259 *self = opaque;

  self->elcr = (uint8_t) value & self->elcr_mask;
  for (unsigned n = 0; n < 8; n++)
    if (i8259_is_level (self, n) && (self->lines >> n & 1))
      self->irr |= (uint8_t) (1 << n);
  i8259_update_irq (self);
}

static const VmRegionOps i8259_ops = {
  .read = i8259_read, .write = i8259_write, .impl = { .min = 1, .max = 1 },
};
static const VmRegionOps i8259_elcr_ops = {
  .read = i8259_elcr_read, .write = i8259_elcr_write, .impl = { .min = 1, .max = 1 },
};

void
vm_i8259_describe (const VmI8259 *pic, unsigned n, GString *out)
{
  g_string_append_printf (out, "pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%u elcr=%02x "
                          "fnm=%u\n", n, pic->irr, pic->imr, pic->isr, (pic->lowest + 1u) & 7,
                          pic->vector_base, pic->read_isr, pic->elcr, pic->special_nested);
}

/* --- life --------------------------------------------------------------------------------------------- */

static void
i8259_reset (VmDevice *dev, VmResetKind kind)
{
  VmI8259 *self = (VmI8259 *) dev;

  self->irr = self->imr = self->isr = self->lines = 0;
  self->elcr = self->vector_base = self->init_state = 0;
  self->lowest = 7;
  self->init4 = self->single = self->ltim = self->auto_eoi = self->rotate_on_auto_eoi = false;
  self->special_mask = self->special_nested = self->read_isr = self->poll = false;
  i8259_update_irq (self);
}

static bool
i8259_realize (VmDevice *dev, GError **error)
{
  VmI8259 *self = (VmI8259 *) dev;

  vm_region_init_io (&self->io, dev->env->memory, &i8259_ops, self, "pic", 2);
  if (!vm_isa_add_io (dev, self->iobase, &self->io, error))
    return false;
  self->lowest = 7;
  if (self->elcr_addr == UINT32_MAX)
    return true;
  vm_region_init_io (&self->elcr_io, dev->env->memory, &i8259_elcr_ops, self, "elcr", 1);
  return vm_isa_add_io (dev, self->elcr_addr, &self->elcr_io, error);
}

static bool
i8259_post_load (VmDevice *dev, GError **error)
{
  VmI8259 *self = (VmI8259 *) dev;

  self->lowest &= 7;
  self->init_state &= 3;
  return true;
}

static const VmProp i8259_props[] = {
  VM_PROP ("iobase", VmI8259, iobase, UINT32_MAX, "first I/O port"),
  VM_PROP ("elcr_addr", VmI8259, elcr_addr, UINT32_MAX, "I/O port of the edge/level register"),
  VM_PROP ("elcr_mask", VmI8259, elcr_mask, 255, "inputs that can be set to level"),
  VM_PROP ("master", VmI8259, master, false, "on: the one wired to the processor"),
  { 0 }
};

static const VmField i8259_state[] = {
  VM_FIELD (VmI8259, irr), VM_FIELD (VmI8259, imr), VM_FIELD (VmI8259, isr), VM_FIELD (VmI8259, lines),
  VM_FIELD (VmI8259, elcr), VM_FIELD (VmI8259, vector_base), VM_FIELD (VmI8259, lowest),
  VM_FIELD (VmI8259, init_state), VM_FIELD (VmI8259, init4), VM_FIELD (VmI8259, single),
  VM_FIELD (VmI8259, ltim), VM_FIELD (VmI8259, auto_eoi), VM_FIELD (VmI8259, rotate_on_auto_eoi),
  VM_FIELD (VmI8259, special_mask), VM_FIELD (VmI8259, special_nested), VM_FIELD (VmI8259, read_isr),
  VM_FIELD (VmI8259, poll), VM_FIELD (VmI8259, output),
  { 0 }
};

static const VmDeviceClass i8259_class = {
  .realize = i8259_realize, .reset = i8259_reset, .post_load = i8259_post_load,
  .bus_type = VM_ISA_BUS_TYPE, .category = "Misc",
};

const VmType vm_i8259_type = {
  .name = "isa-i8259", .parent = &vm_isa_device_type, .size = sizeof (VmI8259),
  .help = "8259A programmable interrupt controller", .props = i8259_props, .state = i8259_state,
  .klass = &i8259_class,
};
