/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Configuration space, BARs, interrupts and messages of PCI functions; the 440FX with its memory attributes; the
 * PIIX3's routing. */
#include "devices/isa/piix3.h"
#include "devices/pci/i440fx.h"
#include "tests/devices/rig.h"

typedef struct Card {
  VmPciDevice parent;
  VmRegion    io, mem, wide;
  uint8_t     last;
} Card;

typedef struct Bench {
  Rig           rig;
  VmI440fxHost *host;
  VmI440fx     *bridge;
  VmPiix3      *piix3;
  Probe         irq[VM_ISA_IRQS];
  VmRegion      rom;
} Bench;

static uint64_t
card_read (void *opaque, uint64_t offset, unsigned size)
{
  return 0xa0 + offset;
}

static void
card_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  ((Card *) opaque)->last = (uint8_t) value;
}

static const VmRegionOps card_ops = { .read = card_read, .write = card_write, .impl = { .min = 1, .max = 1 } };

static bool
card_realize (VmDevice *dev, GError **error)
{
  Card *self = (Card *) dev;

  vm_pci_set_interrupt_pin (&self->parent, 1);
  vm_region_init_io (&self->io, dev->env->memory, &card_ops, self, "card-io", 0x20);
  vm_region_init_io (&self->mem, dev->env->memory, &card_ops, self, "card-mem", 0x1000);
  vm_region_init_io (&self->wide, dev->env->memory, &card_ops, self, "card-wide", 0x10000);
  vm_pci_add_bar (&self->parent, 0, PCI_BAR_IO, &self->io);
  vm_pci_add_bar (&self->parent, 1, PCI_BAR_MEM, &self->mem);
  vm_pci_add_bar (&self->parent, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &self->wide);
  return vm_pci_add_pm_capability (&self->parent, 0, error)
         && vm_pci_msi_init (&self->parent, 0, 4, true, true, error)
         && vm_pci_msix_init_exclusive_bar (&self->parent, 3, 4, error);
}

static void
card_unrealize (VmDevice *dev)
{
  Card *self = (Card *) dev;

  vm_region_destroy (&self->io);
  vm_region_destroy (&self->mem);
  vm_region_destroy (&self->wide);
}

static const VmPciClass card_class = {
  .parent = { .realize = card_realize, .unrealize = card_unrealize },
  .vendor = 0x1234, .device = 0x5678, .class_id = PCI_CLASS_OTHERS, .revision = 3,
};
static const VmType card_type = {
  .name = "test-card", .parent = &vm_pci_device_type, .size = sizeof (Card), .klass = &card_class,
};

static void
bench_init (Bench *b)
{
  memset (b, 0, sizeof *b);
  rig_init (&b->rig, 2 * VM_MIB);
  b->host = (VmI440fxHost *) vm_device_new (&vm_i440fx_host_type);
  b->host->ram = &b->rig.ram;
  b->host->below_4g = 2 * VM_MIB;
  rig_add (&b->rig, b->host, NULL);
  b->bridge = (VmI440fx *) vm_pci_new (&vm_i440fx_type, 0, false);
  rig_add (&b->rig, b->bridge, &b->host->bus.parent);
  b->piix3 = (VmPiix3 *) vm_pci_new (&vm_piix3_type, VM_PCI_DEVFN (1, 0), true);
  for (int i = 0; i < VM_ISA_IRQS; i++)
    b->piix3->irq[i] = probe_irq (&b->irq[i]);
  rig_add (&b->rig, b->piix3, &b->host->bus.parent);
  b->host->cf9 = &vm_piix3_rst_cnt_ops;
  b->host->cf9_opaque = b->piix3;
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->host);
  if (b->rom.memory)
    vm_region_destroy (&b->rom);
  rig_clear (&b->rig);
}

static uint32_t
cfg_read (Bench *b, unsigned devfn, unsigned reg, unsigned size)
{
  rig_out (&b->rig, 0xcf8, 0x80000000 | devfn << 8 | (reg & 0xfc), 4);
  return rig_in (&b->rig, (uint16_t) (0xcfc + (reg & 3)), size);
}

static void
cfg_write (Bench *b, unsigned devfn, unsigned reg, uint32_t value, unsigned size)
{
  rig_out (&b->rig, 0xcf8, 0x80000000 | devfn << 8 | (reg & 0xfc), 4);
  rig_out (&b->rig, (uint16_t) (0xcfc + (reg & 3)), value, size);
}

static Card *
add_card (Bench *b, int devfn)
{
  VmPciDevice *card = vm_pci_new (&card_type, devfn, false);

  rig_add (&b->rig, card, &b->host->bus.parent);
  return (Card *) card;
}

static void
test_config (void)
{
  Bench bench, *b = &bench;
  unsigned at = VM_PCI_DEVFN (5, 0);

  bench_init (b);
  g_assert_cmphex (cfg_read (b, 0, 0, 4), ==, 0x12378086);
  g_assert_cmphex (cfg_read (b, 8, 0, 4), ==, 0x70008086);
  g_assert_cmphex (cfg_read (b, 8, PCI_HEADER_TYPE, 1), ==, 0x80);
  g_assert_cmphex (cfg_read (b, at, 0, 4), ==, 0xffffffff);
  add_card (b, (int) at);
  g_assert_cmphex (cfg_read (b, at, 0, 4), ==, 0x56781234);
  g_assert_cmphex (cfg_read (b, at, 2, 2), ==, 0x5678);
  g_assert_cmphex (cfg_read (b, at, 0x2c, 4), ==, 0x11001af4);
  cfg_write (b, at, 0, 0, 4); /* read-only */
  g_assert_cmphex (cfg_read (b, at, 0, 4), ==, 0x56781234);
  cfg_write (b, at, PCI_INTERRUPT_LINE, 11, 1);
  g_assert_cmphex (cfg_read (b, at, PCI_INTERRUPT_LINE, 2), ==, 0x010b);
  /* Only dwords reach the address register; without bit 31 nothing answers. */
  rig_out (&b->rig, 0xcf8, 0x80000000, 4);
  rig_out (&b->rig, 0xcf8, 0, 1);
  g_assert_cmphex (rig_in (&b->rig, 0xcf8, 4), ==, 0x80000000);
  rig_out (&b->rig, 0xcf8, 0, 4);
  g_assert_cmphex (rig_in (&b->rig, 0xcfc, 4), ==, 0xffffffff);
  /* Port CF9. */
  rig_outb (&b->rig, 0xcf9, 2);
  g_assert_cmphex (rig_inb (&b->rig, 0xcf9), ==, 2);
  g_assert_cmpint (b->rig.resets, ==, 0);
  rig_outb (&b->rig, 0xcf9, 6);
  g_assert_cmpint (b->rig.resets, ==, 1);
  bench_clear (b);
}

static void
test_addresses (void)
{
  Bench bench, *b = &bench;
  g_autoptr (GError) error = NULL;
  VmPciDevice *other;

  bench_init (b);
  g_assert_cmpint (add_card (b, -1)->parent.addr, ==, VM_PCI_DEVFN (2, 0));
  g_assert_cmpint (add_card (b, -1)->parent.addr, ==, VM_PCI_DEVFN (3, 0));
  other = vm_pci_new (&card_type, VM_PCI_DEVFN (2, 0), false);
  g_assert_false (vm_device_realize (&other->parent, &b->rig.env, &b->host->bus.parent, &error));
  g_assert_nonnull (strstr (error->message, "in use by test-card"));
  g_clear_error (&error);
  other->addr = VM_PCI_DEVFN (2, 1);
  g_assert_false (vm_device_realize (&other->parent, &b->rig.env, &b->host->bus.parent, &error));
  g_clear_error (&error);
  g_assert_true (vm_object_set (&other->parent.parent, "addr", "1f.7", &error));
  g_assert_cmpint (other->addr, ==, 255);
  g_assert_false (vm_object_set (&other->parent.parent, "addr", "20", &error));
  g_clear_error (&error);
  g_assert_false (vm_object_set (&other->parent.parent, "addr", "1.8", &error));
  vm_object_unref (&other->parent.parent);
  bench_clear (b);
}

static void
test_bars (void)
{
  Bench bench, *b = &bench;
  unsigned at = VM_PCI_DEVFN (4, 0);
  Card *card;

  bench_init (b);
  card = add_card (b, (int) at);
  cfg_write (b, at, 0x10, 0xffffffff, 4);
  g_assert_cmphex (cfg_read (b, at, 0x10, 4), ==, 0xffffffe1);
  cfg_write (b, at, 0x14, 0xffffffff, 4);
  g_assert_cmphex (cfg_read (b, at, 0x14, 4), ==, 0xfffff000);
  cfg_write (b, at, 0x18, 0xffffffff, 4);
  cfg_write (b, at, 0x1c, 0xffffffff, 4);
  g_assert_cmphex (cfg_read (b, at, 0x18, 4), ==, 0xffff000c);
  g_assert_cmphex (cfg_read (b, at, 0x1c, 4), ==, 0xffffffff);
  cfg_write (b, at, 0x10, 0xc000, 4);
  cfg_write (b, at, 0x14, 0xfe000000, 4);
  cfg_write (b, at, 0x18, 0x00000000, 4);
  cfg_write (b, at, 0x1c, 0x00000012, 4);
  g_assert_cmphex (rig_inb (&b->rig, 0xc001), ==, 0xff);
  cfg_write (b, at, PCI_COMMAND, 3, 2);
  g_assert_cmphex (rig_inb (&b->rig, 0xc001), ==, 0xa1);
  g_assert_cmphex (rig_load (&b->rig, 0xfe000002, 1), ==, 0xa2);
  g_assert_cmphex (rig_load (&b->rig, UINT64_C (0x1200000003), 1), ==, 0xa3);
  rig_store (&b->rig, 0xfe000000, 0x77, 1);
  g_assert_cmphex (card->last, ==, 0x77);
  cfg_write (b, at, 0x10, 0xd000, 4); /* moves while decoded */
  g_assert_cmphex (rig_inb (&b->rig, 0xc001), ==, 0xff);
  g_assert_cmphex (rig_inb (&b->rig, 0xd001), ==, 0xa1);
  /* Powered down, it answers configuration cycles only. */
  cfg_write (b, at, vm_pci_find_capability (&card->parent, PCI_CAP_PM) + 4u, 3, 2);
  g_assert_cmphex (rig_inb (&b->rig, 0xd001), ==, 0xff);
  vm_device_reset (&card->parent.parent, VM_RESET_COLD);
  g_assert_cmphex (cfg_read (b, at, 0x10, 4), ==, 1);
  g_assert_cmphex (cfg_read (b, at, PCI_COMMAND, 2), ==, 0);
  rig_remove (card);
  g_assert_cmphex (cfg_read (b, at, 0, 4), ==, 0xffffffff);
  bench_clear (b);
}

static void
test_routing (void)
{
  Bench bench, *b = &bench;
  Card *four, *eight;

  bench_init (b);
  four = add_card (b, VM_PCI_DEVFN (4, 0));
  eight = add_card (b, VM_PCI_DEVFN (8, 0)); /* the same PIRQ: D */
  cfg_write (b, 8, 0x63, 11, 1);
  vm_pci_set_irq (&four->parent, 1);
  g_assert_cmpint (b->irq[11].level, ==, 1);
  vm_pci_set_irq (&eight->parent, 1);
  vm_pci_set_irq (&four->parent, 0);
  g_assert_cmpint (b->irq[11].level, ==, 1);
  cfg_write (b, 8, 0x63, 10, 1);
  g_assert_cmpint (b->irq[11].level, ==, 0);
  g_assert_cmpint (b->irq[10].level, ==, 1);
  cfg_write (b, VM_PCI_DEVFN (8, 0), PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
  g_assert_cmpint (b->irq[10].level, ==, 0);
  g_assert_cmphex (cfg_read (b, VM_PCI_DEVFN (8, 0), PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, !=, 0);
  cfg_write (b, VM_PCI_DEVFN (8, 0), PCI_COMMAND, 0, 2);
  g_assert_cmpint (b->irq[10].level, ==, 1);
  rig_remove (eight);
  g_assert_cmpint (b->irq[10].level, ==, 0);
  bench_clear (b);
}

static void
test_messages (void)
{
  Bench bench, *b = &bench;
  unsigned at = VM_PCI_DEVFN (4, 0), cap;
  Card *card;

  bench_init (b);
  card = add_card (b, (int) at);
  cap = vm_pci_find_capability (&card->parent, PCI_CAP_MSI);
  cfg_write (b, at, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
  cfg_write (b, at, cap + 4, 0x1000, 4);
  cfg_write (b, at, cap + 12, 0x4040, 2);
  cfg_write (b, at, cap + 2, 0x21, 2); /* on, four vectors */
  vm_pci_msi_notify (&card->parent, 2);
  g_assert_cmphex (rig_load (&b->rig, 0x1000, 4), ==, 0x4042);
  cfg_write (b, at, cap + 16, 0x8, 4); /* mask vector 3 */
  vm_pci_msi_notify (&card->parent, 3);
  g_assert_cmphex (rig_load (&b->rig, 0x1000, 4), ==, 0x4042);
  g_assert_cmphex (cfg_read (b, at, cap + 20, 4), ==, 8);
  cfg_write (b, at, cap + 16, 0, 4);
  g_assert_cmphex (rig_load (&b->rig, 0x1000, 4), ==, 0x4043);
  /* No bus master, no message. */
  cfg_write (b, at, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
  vm_pci_msi_notify (&card->parent, 0);
  g_assert_cmphex (rig_load (&b->rig, 0x1000, 4), ==, 0x4043);
  cfg_write (b, at, cap + 2, 0, 2);
  /* MSI-X, table in a BAR of its own. */
  cfg_write (b, at, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
  cfg_write (b, at, 0x20, 0xfe100000, 4);
  rig_store (&b->rig, 0xfe100010, 0x2000, 4);
  rig_store (&b->rig, 0xfe100018, 0x1234, 4);
  cap = vm_pci_find_capability (&card->parent, PCI_CAP_MSIX);
  g_assert_cmphex (cfg_read (b, at, cap + 2, 2), ==, 2);
  cfg_write (b, at, cap + 2, 0x8000, 2);
  vm_pci_msix_notify (&card->parent, 1); /* entries come up masked */
  g_assert_cmphex (rig_load (&b->rig, 0x2000, 4), ==, 0);
  g_assert_cmphex (rig_load (&b->rig, 0xfe100800, 4), ==, 2);
  rig_store (&b->rig, 0xfe10001c, 0, 4);
  g_assert_cmphex (rig_load (&b->rig, 0x2000, 4), ==, 0x1234);
  g_assert_cmphex (rig_load (&b->rig, 0xfe100800, 4), ==, 0);
  vm_pci_msix_notify (&card->parent, 77); /* out of range: nothing */
  bench_clear (b);
}

static void
test_pam (void)
{
  Bench bench, *b = &bench;
  uint8_t *rom;

  bench_init (b);
  g_assert_true (vm_region_init_rom (&b->rom, b->rig.env.memory, "rom", 0x20000, NULL));
  rom = vm_region_ram_ptr (&b->rom);
  memset (rom, 0x5a, 0x20000);
  vm_region_add (&b->host->pci_memory, 0xe0000, &b->rom);
  g_assert_cmphex (rig_load (&b->rig, 0xf0000, 1), ==, 0x5a);
  g_assert_cmphex (rig_load (&b->rig, 0xc0000, 1), ==, 0xff);
  rig_store (&b->rig, 0xf0000, 0x11, 1); /* to ROM: lost */
  g_assert_cmphex (rig_load (&b->rig, 0xf0000, 1), ==, 0x5a);
  cfg_write (b, 0, 0x59, 0x20, 1); /* write RAM, read ROM */
  rig_store (&b->rig, 0xf1234, 0x22, 1);
  g_assert_cmphex (rig_load (&b->rig, 0xf1234, 1), ==, 0x5a);
  cfg_write (b, 0, 0x59, 0x10, 1); /* read RAM only */
  g_assert_cmphex (rig_load (&b->rig, 0xf1234, 1), ==, 0x22);
  rig_store (&b->rig, 0xf1234, 0x33, 1);
  g_assert_cmphex (rig_load (&b->rig, 0xf1234, 1), ==, 0x22);
  cfg_write (b, 0, 0x59, 0x30, 1);
  rig_store (&b->rig, 0xf1234, 0x33, 1);
  g_assert_cmphex (rig_load (&b->rig, 0xf1234, 1), ==, 0x33);
  /* Segments are apart: 5A has C0000 and C4000. */
  cfg_write (b, 0, 0x5a, 0x03, 1);
  rig_store (&b->rig, 0xc0000, 0x44, 1);
  rig_store (&b->rig, 0xc4000, 0x44, 1);
  g_assert_cmphex (rig_load (&b->rig, 0xc0000, 1), ==, 0x44);
  g_assert_cmphex (rig_load (&b->rig, 0xc4000, 1), ==, 0xff);
  vm_device_reset (&b->bridge->parent.parent, VM_RESET_COLD);
  g_assert_cmphex (rig_load (&b->rig, 0xf1234, 1), ==, 0x5a);
  bench_clear (b);
}

static void
test_smram (void)
{
  Bench bench, *b = &bench;
  uint8_t byte = 0x99;

  bench_init (b);
  g_assert_cmphex (rig_load (&b->rig, 0xa0000, 1), ==, 0xff);
  cfg_write (b, 0, 0x72, 0x48, 1); /* enabled and open */
  rig_store (&b->rig, 0xa0000, 0x66, 1);
  g_assert_cmphex (rig_load (&b->rig, 0xa0000, 1), ==, 0x66);
  cfg_write (b, 0, 0x72, 0x18, 1); /* closed and locked */
  g_assert_cmphex (cfg_read (b, 0, 0x72, 1), ==, 0x1a);
  g_assert_cmphex (rig_load (&b->rig, 0xa0000, 1), ==, 0xff);
  vm_as_read (&b->host->smm_as, 0xa0000, VM_MEM_ATTRS_NONE, &byte, 1);
  g_assert_cmphex (byte, ==, 0x66);
  cfg_write (b, 0, 0x72, 0x48, 1);
  g_assert_cmphex (cfg_read (b, 0, 0x72, 1), ==, 0x1a);
  vm_device_reset (&b->bridge->parent.parent, VM_RESET_COLD);
  g_assert_cmphex (cfg_read (b, 0, 0x72, 1), ==, 0x02);
  vm_as_read (&b->host->smm_as, 0xa0000, VM_MEM_ATTRS_NONE, &byte, 1);
  g_assert_cmphex (byte, ==, 0xff);
  bench_clear (b);
}

/* Random configuration writes to all functions. */
static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  add_card (b, VM_PCI_DEVFN (4, 0));
  for (int i = 0; i < 8000; i++)
    {
      static const unsigned functions[] = { 0, 8, VM_PCI_DEVFN (4, 0), VM_PCI_DEVFN (9, 3) };
      unsigned size = 1u << g_test_rand_int_range (0, 3), reg = (unsigned) g_test_rand_int_range (0, 256) & ~(size - 1);

      cfg_write (b, functions[g_test_rand_int_range (0, 4)], reg, (uint32_t) g_test_rand_int (), size);
      cfg_read (b, functions[g_test_rand_int_range (0, 4)], reg, size);
      if (i % 64 == 0)
        rig_store (&b->rig, (uint32_t) g_test_rand_int (), (uint32_t) g_test_rand_int (), 4);
    }
  bench_clear (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pci/config", test_config);
  g_test_add_func ("/pci/addresses", test_addresses);
  g_test_add_func ("/pci/bars", test_bars);
  g_test_add_func ("/pci/routing", test_routing);
  g_test_add_func ("/pci/messages", test_messages);
  g_test_add_func ("/pci/pam", test_pam);
  g_test_add_func ("/pci/smram", test_smram);
  g_test_add_func ("/pci/random", test_random);
  return g_test_run ();
}
