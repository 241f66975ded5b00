/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The PIIX4's ACPI registers, SMI command port and SMBus; small devices. */
#include "devices/i2c/smbus-eeprom.h"
#include "devices/misc/port92.h"
#include "devices/pci/i440fx.h"
#include "devices/pci/piix4-pm.h"
#include "tests/devices/isa-rig.h"

typedef struct Bench {
  Rig           rig;
  VmI440fxHost *host;
  VmPiix4Pm    *pm;
  Probe         sci, smi;
} Bench;

#define IN(port, size) rig_in (&b->rig, (port), (size))
#define OUT(port, value, size) rig_out (&b->rig, (port), (value), (size))

static void
cfg_write (Bench *b, unsigned reg, uint32_t value, unsigned size)
{
  vm_pci_config_cycle_write (&b->host->bus, 0, VM_PCI_DEVFN (2, 0), reg, value, size);
}

static void
bench_init (Bench *b)
{
  memset (b, 0, sizeof *b);
  rig_init (&b->rig, VM_MIB);
  b->host = (VmI440fxHost *) vm_device_new (&vm_i440fx_host_type);
  b->host->ram = &b->rig.ram;
  rig_add (&b->rig, b->host, NULL);
  b->pm = (VmPiix4Pm *) vm_pci_new (&vm_piix4_pm_type, VM_PCI_DEVFN (2, 0), false);
  b->pm->smb_io_base = 0xb100;
  b->pm->smm_enabled = true;
  b->pm->sci = probe_irq (&b->sci);
  b->pm->smi = probe_irq (&b->smi);
  rig_add (&b->rig, b->pm, &b->host->bus.parent);
  cfg_write (b, 0x40, 0x601, 4);
  cfg_write (b, 0x80, 1, 1);
}

static void
bench_clear (Bench *b)
{
  rig_remove (b->host);
  rig_clear (&b->rig);
}

static void
test_acpi (void)
{
  Bench bench, *b = &bench;
  uint32_t before;

  bench_init (b);
  before = IN (0x608, 4);
  rig_advance (&b->rig, VM_NS_PER_SEC);
  g_assert_cmpint (IN (0x608, 4) - before, ==, 3579545);
  g_assert_false (vm_piix4_pm_power_button (b->pm));
  g_assert_cmpint (b->sci.level, ==, 0);
  OUT (0xb2, VM_PIIX4_ACPI_ENABLE, 1);
  g_assert_cmphex (IN (0x604, 2), ==, 1);
  g_assert_cmpint (b->smi.rises, ==, 0);
  OUT (0x602, 0x100, 2);
  g_assert_cmpint (b->sci.level, ==, 1); /* the press of before */
  OUT (0x600, 0x100, 2);
  g_assert_cmpint (b->sci.level, ==, 0);
  g_assert_cmphex (IN (0x602, 2), ==, 0x100);
  g_assert_true (vm_piix4_pm_power_button (b->pm));
  g_assert_cmpint (b->sci.level, ==, 1);
  OUT (0x600, 0xffff, 2);
  /* Timer carry, each 2.3 seconds. */
  OUT (0x602, 1, 2);
  rig_advance (&b->rig, 3 * VM_NS_PER_SEC);
  g_assert_cmpint (b->sci.level, ==, 1);
  OUT (0x600, 1, 2);
  g_assert_cmpint (b->sci.level, ==, 0);
  /* General-purpose events. */
  vm_piix4_pm_raise_gpe (b->pm, 1);
  g_assert_cmpint (b->sci.level, ==, 0);
  OUT (VM_PIIX4_GPE_BASE + 2, 2, 1);
  g_assert_cmpint (b->sci.level, ==, 1);
  OUT (VM_PIIX4_GPE_BASE, 2, 1);
  g_assert_cmpint (b->sci.level, ==, 0);
  /* SMI when DEVACTB says so. */
  cfg_write (b, 0x5b, 2, 1);
  OUT (0xb3, 0x12, 1);
  OUT (0xb2, 0x34, 1);
  g_assert_cmpint (b->smi.rises, ==, 1);
  g_assert_cmphex (IN (0xb2, 2), ==, 0x1234);
  bench_clear (b);
}

static void
test_sleep (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  OUT (0x604, 1 << 10 | 1 << 13, 2);
  g_assert_cmpint (b->rig.suspends, ==, 1);
  g_assert_cmphex (IN (0x604, 2), ==, 1 << 10);
  vm_piix4_pm_power_button (b->pm);
  vm_device_reset (&b->pm->parent.parent, VM_RESET_WAKEUP);
  cfg_write (b, 0x40, 0x601, 4);
  cfg_write (b, 0x80, 1, 1);
  g_assert_cmphex (IN (0x600, 2), ==, 0x8100);
  OUT (0x604, 1 << 13, 2);
  g_assert_cmpint (b->rig.shutdowns, ==, 1);
  OUT (0x604, 2 << 10 | 1 << 13, 2);
  g_assert_cmpint (b->rig.shutdowns, ==, 2);
  OUT (0x604, 5 << 10 | 1 << 13, 2);
  g_assert_cmpint (b->rig.shutdowns, ==, 2);
  bench_clear (b);
}

static void
smbus_command (Bench *b, uint8_t address, uint8_t command, uint8_t protocol)
{
  OUT (0xb100, 0x1e, 1);
  OUT (0xb104, address, 1);
  OUT (0xb103, command, 1);
  OUT (0xb102, 0x40 | protocol << 2, 1);
}

static void
test_smbus (void)
{
  Bench bench, *b = &bench;
  VmSmbusEeprom *eeprom;
  uint8_t sum = 0;

  bench_init (b);
  eeprom = (VmSmbusEeprom *) vm_device_new (&vm_smbus_eeprom_type);
  eeprom->parent.address = 0x50;
  vm_spd_fill_sdr (eeprom->initial, 128 * VM_MIB);
  rig_add (&b->rig, eeprom, &b->pm->smbus.bus.parent);
  smbus_command (b, 0xa1, 2, 2);
  g_assert_cmphex (IN (0xb100, 1), ==, 2);
  g_assert_cmphex (IN (0xb105, 1), ==, 4); /* SDRAM */
  for (unsigned i = 0; i < 63; i++)
    {
      smbus_command (b, 0xa1, (uint8_t) i, 2);
      sum += (uint8_t) IN (0xb105, 1);
    }
  smbus_command (b, 0xa1, 63, 2);
  g_assert_cmphex (IN (0xb105, 1), ==, sum);
  OUT (0xb105, 0x5a, 1);
  smbus_command (b, 0xa0, 0x80, 2); /* write */
  smbus_command (b, 0xa1, 0x7f, 3); /* word */
  g_assert_cmphex (IN (0xb105, 1), ==, 0xff);
  g_assert_cmphex (IN (0xb106, 1), ==, 0x5a);
  smbus_command (b, 0xa3, 0, 2); /* nobody there */
  g_assert_cmphex (IN (0xb100, 1), ==, 4);
  bench_clear (b);
}

static void
test_port92 (void)
{
  IsaRig isa;
  Probe a20 = { 0 };
  VmPort92 *port;

  isa_rig_init (&isa, 0);
  port = (VmPort92 *) vm_device_new (&vm_port92_type);
  port->a20 = probe_irq (&a20);
  rig_add (&isa.rig, port, &isa.bus->parent);
  rig_outb (&isa.rig, 0x92, 2);
  g_assert_cmpint (a20.level, ==, 1);
  g_assert_cmphex (rig_inb (&isa.rig, 0x92), ==, 2);
  rig_outb (&isa.rig, 0x92, 3);
  rig_outb (&isa.rig, 0x92, 3);
  g_assert_cmpint (isa.rig.resets, ==, 1);
  isa_rig_clear (&isa);
}

static void
test_random (void)
{
  Bench bench, *b = &bench;

  bench_init (b);
  for (int i = 0; i < 20000; i++)
    {
      static const uint16_t bases[] = { 0x600, 0x620, 0xb100, 0xb2, VM_PIIX4_GPE_BASE };
      unsigned size = 1u << g_test_rand_int_range (0, 3);
      uint16_t port = (uint16_t) ((bases[g_test_rand_int_range (0, 5)] + g_test_rand_int_range (0, 32)) & ~(size - 1));

      if (i % 64 == 0)
        cfg_write (b, (unsigned) g_test_rand_int_range (0x40, 0x100), (uint32_t) g_test_rand_int (), 1);
      else if (g_test_rand_int_range (0, 2))
        OUT (port, (uint32_t) g_test_rand_int (), size);
      else
        IN (port, size);
    }
  bench_clear (b);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pm/acpi", test_acpi);
  g_test_add_func ("/pm/sleep", test_sleep);
  g_test_add_func ("/pm/smbus", test_smbus);
  g_test_add_func ("/pm/port92", test_port92);
  g_test_add_func ("/pm/random", test_random);
  return g_test_run ();
}
