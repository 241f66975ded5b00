/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intel 82540EM, 82544GC and 82545EM gigabit Ethernet (8254x Software Developer's Manual, 317453). */
#include "devices/net/e1000.h"

/* --- interrupts --------------------------------------------------------------------------------------------- */

/* ITR is the least time between two interrupts, in units of 256 ns (13.4.18). */
static void
update_pin (E1000 *self, uint32_t causes)
{
  uint32_t itr = self->regs[E1000_ITR / 4] & 0xffff;
  bool pending = (self->regs[E1000_ICR / 4] & self->regs[E1000_IMS / 4]) != 0;

  if (!pending)
    vm_pci_set_irq (&self->parent, 0);
  else if (!self->parent.irq_level && !vm_timer_pending (&self->int_timer))
    {
      vm_pci_set_irq (&self->parent, 1);
      if (self->mitigation && itr)
        vm_timer_set (&self->int_timer, e1000_now (self) + itr * INT64_C (256));
    }
}

static uint32_t
read_icr (E1000 *self)
{
  uint32_t value = self->regs[E1000_ICR / 4];

  if (value & self->regs[E1000_IMS / 4])
    value |= INT_ASSERTED;
  /* Reading clears (13.4.17). */
  self->regs[E1000_ICR / 4] = 0;
  update_pin (self, 0);
  return value;
}

/* --- registers ----------------------------------------------------------------------------------------------- */

static bool
write_own (E1000 *self, uint32_t offset, uint32_t value)
{
  switch (offset)
    {
    case E1000_EECD:
      e1000_eecd_write (self, value);
      return true;
    case E1000_EERD:
      self->regs[offset / 4] = value & EERD_START
                                 ? (uint32_t) self->eeprom.words[value >> 8 & (E1000_EEPROM_N - 1)] << 16
                                     | (value & 0xff00) | EERD_DONE
                                 : value & 0xff00;
      return true;
    case E1000_ICR:
      self->regs[E1000_ICR / 4] &= ~value;
      update_pin (self, 0);
      return true;
    default:
      return false;
    }
}

static bool
read_own (E1000 *self, uint32_t offset, uint32_t *value)
{
  switch (offset)
    {
    case E1000_EECD:
      *value = e1000_eecd_read (self);
      return true;
    case E1000_ICR:
      *value = read_icr (self);
      return true;
    default:
      return false;
    }
}

static void
reset_own (E1000 *self)
{
  self->regs[E1000_CTRL / 4] = CTRL_FD | CTRL_SPD_1000 | CTRL_SLU | CTRL_SWDPIN0 | CTRL_SWDPIN2;
  self->regs[E1000_STATUS / 4] = STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 | STATUS_MTXCKOK | 1u << 31;
  self->regs[E1000_LEDCTL / 4] = 0x0602;
  self->regs[E1000_PBA / 4] = 0x00100030;
  self->regs[E1000_MANC / 4] = 0x0000e200 | MANC_EN_MNG2HOST;
}

static uint32_t
store (E1000 *self, const VmNetPacket *packet, E1000Frame *frame)
{
  return e1000_rx_store (self, 0, e1000_rx_buffer_size (self), frame) ? INT_RXT0 : 0;
}

static const E1000Model model = {
  .causes = INT_ALL, .queues = 1, .update = update_pin, .reset_mac = reset_own, .write = write_own, .read = read_own,
  .store = store,
};

/* --- device ----------------------------------------------------------------------------------------------------------- */

static void
e1000_unrealize (VmDevice *dev)
{
  e1000_detach ((E1000 *) dev);
}

static bool
e1000_realize (VmDevice *dev, GError **error)
{
  E1000 *self = (E1000 *) dev;

  if (!e1000_attach (self, &model, error))
    return false;
  vm_pci_add_bar (&self->parent, 0, 0, &self->mmio);
  e1000_add_io (self, 1, 64);
  return true;
}

static const VmProp e1000_props[] = {
  VM_NET_CARD_PROPS (E1000, card),
  VM_PROP ("autonegotiation", E1000, autonegotiation, true, "the link comes up half a second after it was asked for"),
  VM_PROP ("mitigation", E1000, mitigation, true, "interrupts keep their distance (ITR, RDTR, TIDV)"),
  VM_PROP ("extra_mac_registers", E1000, extra_mac_registers, true, "registers that machines up to 2.4 had not"),
  VM_PROP ("migrate_tso_props", E1000, migrate_tso_props, true, "both contexts are part of the saved state"),
  VM_PROP ("init-vet", E1000, init_vet, true, "VET holds 0x8100 after a reset"),
  { 0 },
};

#define E1000_CLASS(device_id)                                                                                         \
  {                                                                                                                    \
    .parent = { .realize = e1000_realize, .unrealize = e1000_unrealize, .reset = e1000_reset,                          \
                .post_load = e1000_post_load, .bus_type = VM_PCI_BUS_TYPE, .category = "Network",                      \
                .user_creatable = true, .hotpluggable = true },                                                        \
    .vendor = 0x8086, .device = (device_id), .class_id = 0x0200, .revision = 3, .romfile = "efi-e1000.rom",            \
  }
static const VmPciClass e1000_82540em_class = E1000_CLASS (0x100e);
static const VmPciClass e1000_82544gc_class = E1000_CLASS (0x1008);
static const VmPciClass e1000_82545em_class = E1000_CLASS (0x100f);

const VmType vm_e1000_base_type = {
  .name = "e1000-base", .parent = &vm_pci_device_type, .size = sizeof (E1000), .abstract = true,
  .help = "Intel 8254x gigabit Ethernet", .props = e1000_props, .state = e1000_state, .klass = &e1000_82540em_class,
};

const VmType vm_e1000_type = {
  .name = "e1000", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82540EM)", .klass = &e1000_82540em_class,
};

const VmType vm_e1000_82544gc_type = {
  .name = "e1000-82544gc", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82544GC)", .klass = &e1000_82544gc_class,
};

const VmType vm_e1000_82545em_type = {
  .name = "e1000-82545em", .parent = &vm_e1000_base_type, .size = sizeof (E1000),
  .help = "Intel Gigabit Ethernet (82545EM)", .klass = &e1000_82545em_class,
};
