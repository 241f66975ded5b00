/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 82093AA I/O APIC (order number 290566), optionally with the EOI register of later ones
 * (82801 ICH2, version 0x20). */
#include "devices/intc/ioapic.h"

#include "engine/base/trace.h"

#include "engine/cpu/irqchip.h"

#define IOAPIC_SIZE 0x1000

enum { REGSEL = 0x00, IOWIN = 0x10, EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };
enum {
  ENTRY_VECTOR = 0xff, ENTRY_MODE_SHIFT = 8, ENTRY_LOGICAL = 1 << 11, ENTRY_PENDING = 1 << 12,
  ENTRY_REMOTE_IRR = 1 << 14, ENTRY_LEVEL = 1 << 15, ENTRY_MASKED = 1 << 16,
  ENTRY_READ_ONLY = ENTRY_PENDING | ENTRY_REMOTE_IRR,
};
#define ENTRY_WRITABLE UINT64_C (0xff0000000001afff)

/* Local APICs inside the accelerator tell the end of those interrupts alone that they know to come from here. */
static void
ioapic_update_routes (VmIoapic *self)
{
  VmAccel *accel = self->bus ? self->bus->accel : NULL;
  uint64_t address[VM_IOAPIC_PINS];
  uint32_t data[VM_IOAPIC_PINS];

  if (!accel)
    return;
  for (unsigned n = 0; n < VM_IOAPIC_PINS; n++)
    {
      uint64_t entry = self->entry[n];

      address[n] = VM_LAPIC_DEFAULT_BASE | entry >> 56 << 12 | (entry & ENTRY_LOGICAL ? 4 : 0);
      data[n] = (uint32_t) entry & (ENTRY_VECTOR | 7 << ENTRY_MODE_SHIFT | ENTRY_LEVEL);
    }
  accel->ops->irqchip->set_ioapic_routes (accel, address, data, VM_IOAPIC_PINS);
}

static void
ioapic_send (VmIoapic *self, unsigned n)
{
  uint64_t entry = self->entry[n];
  VmLapicMessage message = {
    .destination = (uint32_t) (entry >> 56), .vector = entry & ENTRY_VECTOR,
    .mode = entry >> ENTRY_MODE_SHIFT & 7, .logical = (entry & ENTRY_LOGICAL) != 0,
    .level = (entry & ENTRY_LEVEL) != 0,
  };

  if (entry & ENTRY_MASKED)
    return;
  if (message.level)
    {
      if (entry & ENTRY_REMOTE_IRR)
        return;
      /* Only these two are answered by an EOI. */
      if (message.mode == VM_LAPIC_FIXED || message.mode == VM_LAPIC_LOWEST)
        self->entry[n] |= ENTRY_REMOTE_IRR;
    }
  if (self->bus)
    vm_lapic_bus_deliver (self->bus, &message);
}

static void
ioapic_set_input (void *opaque, int n, int level)
{
  VmIoapic *self = opaque;
  uint32_t bit = 1u << n;
  bool rise = level && !(self->lines & bit);

  vm_trace (IOAPIC_SET_IRQ, "pin %d level %d", n, level);

  self->lines = level ? self->lines | bit : self->lines & ~bit;
  /* An edge that comes while the input is masked is lost (3.2.4); a level waits. */
  if (rise || (level && (self->entry[n] & ENTRY_LEVEL)))
    ioapic_send (self, (unsigned) n);
}

VmIrq
vm_ioapic_input (VmIoapic *ioapic, unsigned n)
{
  return (VmIrq) { .func = ioapic_set_input, .opaque = ioapic, .n = (int) n };
}

void
vm_ioapic_eoi (void *ioapic, uint8_t vector)
{
  VmIoapic *self = ioapic;

  for (unsigned n = 0; n < VM_IOAPIC_PINS; n++)
    {
      uint64_t entry = self->entry[n];

      if ((entry & ENTRY_VECTOR) != vector || !(entry & ENTRY_LEVEL) || !(entry & ENTRY_REMOTE_IRR))
        continue;
      self->entry[n] &= ~(uint64_t) ENTRY_REMOTE_IRR;
      if (self->lines >> n & 1)
        ioapic_send (self, n);
    }
}

/* --- registers ------------------------------------------------------------------------------------ */

static void
ioapic_write_entry (VmIoapic *self, unsigned n, bool high, uint32_t value)
{
  uint64_t entry = self->entry[n], wanted;

  wanted = high ? (uint32_t) entry | (uint64_t) value << 32 : (entry & ~UINT64_C (0xffffffff)) | value;
  entry = (wanted & ENTRY_WRITABLE) | (entry & ENTRY_READ_ONLY);
  /* Software without the EOI register frees an entry by making it edge-triggered for a moment. */
  if (!(entry & ENTRY_LEVEL))
    entry &= ~(uint64_t) ENTRY_REMOTE_IRR;
  self->entry[n] = entry;
  ioapic_update_routes (self);
  if ((entry & ENTRY_LEVEL) && (self->lines >> n & 1))
    ioapic_send (self, n);
}

static uint32_t
ioapic_read_window (const VmIoapic *self)
{
  unsigned n = (self->select - REG_TABLE) / 2u;

  switch (self->select)
    {
    case REG_ID:
    case REG_ARBITRATION:
      return (uint32_t) self->id << 24;
    case REG_VERSION:
      return (VM_IOAPIC_PINS - 1) << 16 | self->version;
    default:
      if (self->select < REG_TABLE || n >= VM_IOAPIC_PINS)
        return 0;
      return (uint32_t) (self->entry[n] >> (self->select & 1 ? 32 : 0));
    }
}

static void
ioapic_write_window (VmIoapic *self, uint32_t value)
{
  unsigned n = (self->select - REG_TABLE) / 2u;

  if (self->select == REG_ID)
    self->id = value >> 24 & 0xf;
  else if (self->select >= REG_TABLE && n < VM_IOAPIC_PINS)
    ioapic_write_entry (self, n, self->select & 1, value);
}

static uint64_t
ioapic_read (void *opaque, uint64_t offset, unsigned size)
{
  VmIoapic *self = opaque;

  switch (offset & 0xff)
    {
    case REGSEL:
      return self->select;
    case IOWIN:
      return size == 4 ? ioapic_read_window (self) : 0;
    default:
      return 0;
    }
}

static void
ioapic_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmIoapic *self = opaque;

  switch (offset & 0xff)
    {
    case REGSEL:
      self->select = (uint8_t) value;
      break;
    case IOWIN:
      if (size == 4)
        ioapic_write_window (self, (uint32_t) value);
      break;
    case EOI:
      if (size == 4 && self->version >= 0x20)
        vm_ioapic_eoi (self, (uint8_t) value);
      break;
    default:
      break;
    }
}

static const VmRegionOps ioapic_ops = {
  .read = ioapic_read, .write = ioapic_write,
  .valid = { .min = 1, .max = 8 }, .impl = { .min = 1, .max = 4 },
};

void
vm_ioapic_describe (const VmIoapic *self, GString *out)
{
  static const char *const modes[8] = { "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT" };

  g_string_append_printf (out, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x\n", self->version, self->id, self->select);
  for (unsigned n = 0; n < VM_IOAPIC_PINS; n++)
    {
      uint64_t e = self->entry[n];

      g_string_append_printf (out, "  pin %-2u 0x%016" G_GINT64_MODIFIER "x dest=%u vec=%-3u %s %-5s %s %s%s\n",
                              n, e, (unsigned) (e >> 56), (unsigned) e & ENTRY_VECTOR,
                              e & 1 << 13 ? "active-lo" : "active-hi", e & ENTRY_LEVEL ? "level" : "edge",
                              e & ENTRY_MASKED ? "masked" : "      ", modes[e >> ENTRY_MODE_SHIFT & 7],
                              e & ENTRY_LOGICAL ? " logical" : " physical");
    }
  g_string_append_printf (out, "  lines 0x%06x\n", self->lines);
}

/* --- life -------------------------------------------------------------------------------------------- */

static void
ioapic_reset (VmDevice *dev, VmResetKind kind)
{
  VmIoapic *self = (VmIoapic *) dev;

  self->id = self->select = 0;
  self->lines = 0;
  for (unsigned n = 0; n < VM_IOAPIC_PINS; n++)
    self->entry[n] = ENTRY_MASKED;
  ioapic_update_routes (self);
}

static bool
ioapic_post_load (VmDevice *dev, GError **error)
{
  ioapic_update_routes ((VmIoapic *) dev);
  return true;
}

static bool
ioapic_realize (VmDevice *dev, GError **error)
{
  VmIoapic *self = (VmIoapic *) dev;

  if (self->version != 0x11 && self->version != 0x20)
    return vm_fail (error, "IOAPIC version should be 0x11 or 0x20");
  vm_region_init_io (&self->region, dev->env->memory, &ioapic_ops, self, "ioapic", IOAPIC_SIZE);
  vm_region_add (dev->env->system_memory, VM_IOAPIC_BASE, &self->region);
  ioapic_reset (dev, VM_RESET_COLD);
  return true;
}

static void
ioapic_unrealize (VmDevice *dev)
{
  vm_region_destroy (&((VmIoapic *) dev)->region);
}

static const VmProp ioapic_props[] = {
  VM_PROP ("version", VmIoapic, version, 0x20, "version register"),
  { 0 }
};

static const VmField ioapic_state[] = {
  VM_FIELD (VmIoapic, id), VM_FIELD (VmIoapic, select), VM_FIELD (VmIoapic, lines),
  VM_FIELD_ARRAY (VmIoapic, entry),
  { 0 }
};

static const VmDeviceClass ioapic_class = {
  .realize = ioapic_realize, .unrealize = ioapic_unrealize, .reset = ioapic_reset,
  .post_load = ioapic_post_load, .category = "Misc",
};

const VmType vm_ioapic_type = {
  .name = "ioapic", .parent = &vm_device_type, .size = sizeof (VmIoapic),
  .help = "82093AA I/O APIC", .props = ioapic_props, .state = ioapic_state, .klass = &ioapic_class,
};
