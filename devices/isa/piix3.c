/* SPDX-License-Identifier: GPL-3.0-or-later */
/* PIIX3 PCI-to-ISA bridge (82371SB data sheet 290550): PIRQ routing, reset control. */
#include "devices/isa/piix3.h"

#define PIRQS 4

enum { XBCS = 0x4e, PIRQRC = 0x60, PIRQRC_DISABLED = 1 << 7 };
enum { RST_SYSTEM = 1 << 1, RST_CPU = 1 << 2 };

/* --- interrupts ------------------------------------------------------------------------------------ */

/* INTA of the functions in slot 1 is PIRQA, of slot 2 PIRQB and so on. */
static unsigned
piix3_map (void *opaque, unsigned devfn, unsigned pin)
{
  return (pin + VM_PCI_SLOT (devfn) - 1) & 3;
}

static void
piix3_update_irqs (VmPiix3 *self)
{
  const VmPciBus *bus = vm_pci_bus (&self->parent);
  uint16_t levels = 0, changed;

  for (unsigned n = 0; n < PIRQS; n++)
    {
      uint8_t route = self->parent.config[PIRQRC + n];

      if (!(route & PIRQRC_DISABLED) && vm_pci_bus_line_level (bus, n))
        levels |= (uint16_t) (1 << (route & 15));
    }
  changed = levels ^ self->irq_levels;
  self->irq_levels = levels;
  for (unsigned irq = 0; irq < VM_ISA_IRQS; irq++)
    if (changed >> irq & 1)
      vm_irq_set (&self->irq[irq], levels >> irq & 1);
}

static void
piix3_set_pirq (void *opaque, unsigned line, int level)
{
  piix3_update_irqs (opaque);
}

static const VmPciRouting piix3_routing = { .map = piix3_map, .set = piix3_set_pirq, .n_lines = PIRQS };

static void
piix3_config_write (VmPciDevice *dev, uint32_t addr, uint32_t value, unsigned size)
{
  vm_pci_default_config_write (dev, addr, value, size);
  if (vm_pci_range_touched (addr, size, PIRQRC, PIRQS))
    piix3_update_irqs ((VmPiix3 *) dev);
}

/* --- reset control (2.5.6) ---------------------------------------------------------------------------- */

static uint64_t
piix3_rst_cnt_read (void *opaque, uint64_t offset, unsigned size)
{
  return ((VmPiix3 *) opaque)->rst_cnt;
}

static void
piix3_rst_cnt_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  VmPiix3 *self = opaque;
  VmEnv *env = self->parent.parent.env;
  bool rise = (value & RST_CPU) && !(self->rst_cnt & RST_CPU);

  self->rst_cnt = (uint8_t) (value & RST_SYSTEM); /* RCPU is read as zero once its reset is under way */
  if (rise && env->request_reset)
    env->request_reset (env->machine, VM_RESET_COLD);
}

const VmRegionOps vm_piix3_rst_cnt_ops = { .read = piix3_rst_cnt_read, .write = piix3_rst_cnt_write };

/* --- life ------------------------------------------------------------------------------------------------ */

static void
piix3_reset (VmDevice *dev, VmResetKind kind)
{
  VmPiix3 *self = (VmPiix3 *) dev;
  uint8_t *c = self->parent.config;
  static const struct { uint8_t reg, value; } defaults[] = {
    { 0x4c, 0x4d }, { 0x4e, 0x03 }, { 0x4f, 0x00 }, { 0x60, 0x80 }, { 0x61, 0x80 }, { 0x62, 0x80 },
    { 0x63, 0x80 }, { 0x69, 0x02 }, { 0x70, 0x80 }, { 0x76, 0x0c }, { 0x77, 0x0c }, { 0x78, 0x02 },
    { 0xa0, 0x08 }, { 0xa8, 0x0f },
  };

  vm_store_le16 (c + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  vm_store_le16 (c + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM);
  memset (c + 0x40, 0, 0xc0);
  for (size_t i = 0; i < G_N_ELEMENTS (defaults); i++)
    c[defaults[i].reg] = defaults[i].value;
  self->rst_cnt = 0;
  vm_pci_update_mappings (&self->parent);
  piix3_update_irqs (self);
}

static bool
piix3_realize (VmDevice *dev, GError **error)
{
  VmPiix3 *self = (VmPiix3 *) dev;
  VmPciBus *bus = vm_pci_bus (&self->parent);

  vm_isa_bus_init (&self->isa, dev, "isa.0", bus->memory, dev->env->system_io);
  vm_pci_bus_set_routing (bus, &piix3_routing, self);
  return true;
}

static void
piix3_unrealize (VmDevice *dev)
{
  vm_pci_bus (VM_PCI_DEVICE (dev))->routing = NULL;
}

static const VmField piix3_state[] = {
  VM_FIELD (VmPiix3, irq_levels), VM_FIELD (VmPiix3, rst_cnt),
  { 0 }
};

static const VmPciClass piix3_class = {
  .parent = {
    .realize = piix3_realize, .unrealize = piix3_unrealize, .reset = piix3_reset,
    .category = "Controller/Bridge/Hub",
  },
  .vendor = PCI_VENDOR_INTEL, .device = 0x7000, .class_id = PCI_CLASS_BRIDGE_ISA,
  .config_write = piix3_config_write,
};

const VmType vm_piix3_type = {
  .name = "PIIX3", .parent = &vm_pci_device_type, .size = sizeof (VmPiix3),
  .help = "ISA bridge", .state = piix3_state, .klass = &piix3_class,
};
