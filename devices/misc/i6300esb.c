/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Watchdog timer of the Intel 6300ESB I/O controller hub (data sheet 300641, chapter 16). */
#include "devices/pci/pci.h"
#include "engine/machine/machine.h"

enum { CFG_CONFIG = 0x60, CFG_LOCK = 0x68 };
enum { /* configuration */
  CONFIG_INT_TYPE = 3 << 0, CONFIG_FAST = 1 << 2, CONFIG_OUTPUT_OFF = 1 << 5,
};
enum { INT_TYPE_IRQ = 0, INT_TYPE_SMI = 2, INT_TYPE_NONE = 3 };
enum { LOCK_LOCKED = 1 << 0, LOCK_ENABLE = 1 << 1, LOCK_FREE_RUN = 1 << 2 };
enum { REG_PRELOAD1 = 0x00, REG_PRELOAD2 = 0x04, REG_INTERRUPT = 0x08, REG_RELOAD = 0x0c };
enum { RELOAD_RELOAD = 1 << 8, RELOAD_TIMEOUT = 1 << 9 };
enum { UNLOCK_1 = 0x80, UNLOCK_2 = 0x86 };
#define PRELOAD_MASK 0xfffff
#define PCI_CLOCK_HZ 33000000

typedef struct I6300esb {
  VmPciDevice parent;
  VmRegion    mmio;
  VmTimer     timer;
  /* guest state */
  uint32_t    preload[2];
  uint8_t     stage;       /* 0 or 1: which preload runs */
  uint8_t     unlock;      /* how much of the unlock sequence has come */
  bool        timed_out;   /* survives the reset that it leads to */
  bool        interrupt;
} I6300esb;

static uint16_t
esb_config (const I6300esb *self)
{
  return vm_load_le16 (self->parent.config + CFG_CONFIG);
}

/* The counter has 35 bits with the preload at its top; the fast clock takes 10 more of them. */
static void
esb_start_stage (I6300esb *self, unsigned stage)
{
  unsigned shift = esb_config (self) & CONFIG_FAST ? 5 : 15;
  uint64_t ticks = (uint64_t) MAX (self->preload[stage], 1) << shift;
  int64_t now = vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);

  self->stage = (uint8_t) stage;
  vm_timer_set (&self->timer, now + (int64_t) vm_muldiv64 (ticks, VM_NS_PER_SEC, PCI_CLOCK_HZ));
}

static bool
esb_enabled (const I6300esb *self)
{
  return self->parent.config[CFG_LOCK] & LOCK_ENABLE;
}

static void
esb_first_stage_over (I6300esb *self)
{
  if ((esb_config (self) & CONFIG_INT_TYPE) == INT_TYPE_IRQ)
    {
      self->interrupt = true;
      vm_pci_set_irq (&self->parent, 1);
    }
  esb_start_stage (self, 1);
}

static void
esb_expired (void *opaque)
{
  I6300esb *self = opaque;
  bool free_run = self->parent.config[CFG_LOCK] & LOCK_FREE_RUN;

  if (self->stage == 0)
    {
      esb_first_stage_over (self);
      return;
    }
  if (free_run)
    {
      esb_start_stage (self, 0);
      return;
    }
  if (esb_config (self) & CONFIG_OUTPUT_OFF)
    return;
  self->timed_out = true;
  vm_machine_watchdog_expired (self->parent.parent.env->machine);
}

/* --- registers ------------------------------------------------------------------------------------------ */

static uint64_t
esb_read (void *opaque, uint64_t offset, unsigned size)
{
  const I6300esb *self = opaque;

  switch (offset)
    {
    case REG_INTERRUPT:
      return self->interrupt;
    case REG_RELOAD:
      return self->timed_out ? RELOAD_TIMEOUT : 0;
    default:
      return 0; /* preloads cannot be read */
    }
}

/* Preloads and the reload bits take a write only right after 80h and 86h were written to the reload register. */
static void
esb_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  I6300esb *self = opaque;

  if (offset == REG_INTERRUPT)
    {
      if (!(value & 1))
        return;
      self->interrupt = false;
      vm_pci_set_irq (&self->parent, 0);
      return;
    }
  if (offset == REG_RELOAD && value == UNLOCK_1)
    {
      self->unlock = 1;
      return;
    }
  if (offset == REG_RELOAD && value == UNLOCK_2 && self->unlock == 1)
    {
      self->unlock = 2;
      return;
    }
  if (self->unlock == 2)
    switch (offset)
      {
      case REG_PRELOAD1:
      case REG_PRELOAD2:
        self->preload[offset / 4] = value & PRELOAD_MASK;
        break;
      case REG_RELOAD:
        if (value & RELOAD_TIMEOUT)
          self->timed_out = false;
        if ((value & RELOAD_RELOAD) && esb_enabled (self))
          esb_start_stage (self, 0);
        break;
      }
  self->unlock = 0;
}

static const VmRegionOps esb_ops = { .read = esb_read, .write = esb_write, .impl = { .min = 1, .max = 4 } };

/* Enabling starts it; once locked, only a reset ends that. */
static void
esb_write_lock (I6300esb *self, uint8_t value)
{
  uint8_t *lock = self->parent.config + CFG_LOCK;
  bool was_on = esb_enabled (self);

  if (*lock & LOCK_LOCKED)
    return;
  *lock = value & (LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUN);
  if (!was_on && esb_enabled (self))
    esb_start_stage (self, 0);
  else if (!esb_enabled (self))
    vm_timer_cancel (&self->timer);
}

static void
esb_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  I6300esb *self = (I6300esb *) dev;

  if (addr == CFG_CONFIG && size >= 2)
    vm_store_le16 (dev->config + CFG_CONFIG, value & (CONFIG_INT_TYPE | CONFIG_FAST | CONFIG_OUTPUT_OFF));
  else if (addr == CFG_LOCK)
    esb_write_lock (self, (uint8_t) value);
  else
    vm_pci_default_config_write (dev, addr, value, size);
}

/* --- life ------------------------------------------------------------------------------------------------- */

static void
esb_reset (VmDevice *dev, VmResetKind kind)
{
  I6300esb *self = (I6300esb *) dev;

  vm_timer_cancel (&self->timer);
  vm_store_le16 (self->parent.config + CFG_CONFIG, 0);
  self->parent.config[CFG_LOCK] = 0;
  self->preload[0] = self->preload[1] = PRELOAD_MASK;
  self->stage = self->unlock = 0;
  self->interrupt = false;
}

static bool
esb_realize (VmDevice *dev, GError **error)
{
  I6300esb *self = (I6300esb *) dev;

  vm_pci_set_interrupt_pin (&self->parent, 1);
  vm_timer_init (&self->timer, dev->env->clocks, VM_CLOCK_VIRTUAL, esb_expired, self);
  vm_region_init_io (&self->mmio, dev->env->memory, &esb_ops, self, "i6300esb", 16);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_MEM, &self->mmio);
  return true;
}

static void
esb_unrealize (VmDevice *dev)
{
  I6300esb *self = (I6300esb *) dev;

  vm_timer_cancel (&self->timer);
  vm_region_destroy (&self->mmio);
}

static bool
esb_post_load (VmDevice *dev, GError **error)
{
  I6300esb *self = (I6300esb *) dev;

  self->stage &= 1;
  return true;
}

static const VmField esb_state[] = {
  VM_FIELD_ARRAY (I6300esb, preload), VM_FIELD (I6300esb, stage), VM_FIELD (I6300esb, unlock),
  VM_FIELD (I6300esb, timed_out), VM_FIELD (I6300esb, interrupt), VM_FIELD_TIMER_OF (I6300esb, timer),
  { 0 }
};

static const VmPciClass esb_class = {
  .parent = {
    .realize = esb_realize, .unrealize = esb_unrealize, .reset = esb_reset, .post_load = esb_post_load,
    .category = "Watchdog", .user_creatable = true, .hotpluggable = true,
  },
  .vendor = PCI_VENDOR_INTEL, .device = 0x25ab, .class_id = PCI_CLASS_SYSTEM_OTHER, .config_write = esb_config_write,
};

const VmType vm_i6300esb_type = {
  .name = "i6300esb", .parent = &vm_pci_device_type, .size = sizeof (I6300esb),
  .help = "Watchdog timer of the Intel 6300ESB", .state = esb_state, .klass = &esb_class,
};
