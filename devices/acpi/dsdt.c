/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The differentiated system description table of the i440FX PC: root bus, ISA devices, interrupt routing, sleep
 * states, processors. */
#include "devices/acpi/acpi-private.h"

static void
dsdt_ids (VmAml *aml, const char *hid)
{
  vm_aml_name_eisa_id (aml, "_HID", hid);
}

/* _CRS of port ranges and one interrupt. */
static void
dsdt_isa_device (VmAml *aml, const char *name, const char *hid, const char *uid, const uint16_t (*ports)[2],
                 unsigned n_ports, int irq, int dma)
{
  VmAmlResources *res = vm_aml_resources_new ();

  vm_aml_device_begin (aml, name);
  dsdt_ids (aml, hid);
  if (uid)
    vm_aml_name_int (aml, "_UID", strtoul (uid, NULL, 10));
  vm_aml_name_int (aml, "_STA", 15);
  for (unsigned i = 0; i < n_ports; i++)
    vm_aml_res_io (res, ports[i][0], ports[i][0], 0, ports[i][1]);
  if (irq >= 0)
    vm_aml_res_irq_noflags (res, irq);
  if (dma >= 0)
    vm_aml_res_dma (res, 1u << dma);
  vm_aml_name (aml, "_CRS");
  vm_aml_resources_end (aml, res);
  vm_aml_end (aml);
}

static void
dsdt_isa_devices (VmAml *aml, const VmAcpiPc *pc)
{
  static const uint16_t rtc[][2] = { { 0x70, 8 } }, kbd[][2] = { { 0x60, 1 }, { 0x64, 1 } };
  static const uint16_t fdc[][2] = { { 0x3f2, 4 }, { 0x3f7, 1 } }, lpt[][2] = { { 0x378, 8 } };
  static const uint16_t com[4][1][2] = { { { 0x3f8, 8 } }, { { 0x2f8, 8 } }, { { 0x3e8, 8 } }, { { 0x2e8, 8 } } };
  static const uint8_t com_irq[4] = { 4, 3, 4, 3 };

  dsdt_isa_device (aml, "RTC", "PNP0B00", NULL, rtc, 1, 8, -1);
  if (pc->has_i8042)
    {
      dsdt_isa_device (aml, "KBD", "PNP0303", NULL, kbd, 2, 1, -1);
      dsdt_isa_device (aml, "MOU", "PNP0F13", NULL, NULL, 0, 12, -1);
    }
  if (pc->has_fdc)
    dsdt_isa_device (aml, "FDC0", "PNP0700", NULL, fdc, 2, 6, 2);
  if (pc->has_lpt)
    dsdt_isa_device (aml, "LPT", "PNP0400", "1", lpt, 1, 7, -1);
  for (unsigned i = 0; i < MIN (pc->n_serial, 4); i++)
    {
      g_autofree char *name = g_strdup_printf ("COM%u", i + 1);
      g_autofree char *uid = g_strdup_printf ("%u", i + 1);

      dsdt_isa_device (aml, name, "PNP0501", uid, com[i], 1, com_irq[i], -1);
    }
}

/* PIRQ routing registers of the bridge: bit 7 off, low bits the line. */
static void
dsdt_isa_bridge (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_device_begin (aml, "ISA");
  vm_aml_name_int (aml, "_ADR", (uint64_t) (pc->piix3_devfn >> 3) << 16 | (pc->piix3_devfn & 7));
  vm_aml_operation_region (aml, "P40C", VM_AML_SPACE_PCI_CONFIG, 0x60, 4);
  vm_aml_field_begin (aml, "P40C", VM_AML_ACCESS_BYTE);
  vm_aml_field_unit (aml, "PRQ0", 8);
  vm_aml_field_unit (aml, "PRQ1", 8);
  vm_aml_field_unit (aml, "PRQ2", 8);
  vm_aml_field_unit (aml, "PRQ3", 8);
  vm_aml_end (aml);
  dsdt_isa_devices (aml, pc);
  vm_aml_end (aml);
}

static void
dsdt_host_bridge (VmAml *aml, const VmAcpiPc *pc)
{
  VmAmlResources *res = vm_aml_resources_new ();

  vm_aml_device_begin (aml, "PCI0");
  dsdt_ids (aml, "PNP0A03");
  vm_aml_name_int (aml, "_ADR", 0);
  vm_aml_name_int (aml, "_UID", 0);

  vm_aml_res_bus (res, 0, 255);
  vm_aml_res_io (res, 0xcf8, 0xcf8, 1, 8);
  vm_aml_res_io_window (res, 0x0000, 0x0cf7);
  vm_aml_res_io_window (res, 0x0d00, 0xffff);
  vm_aml_res_memory_window (res, 0xa0000, 0xbffff, true);
  if (pc->low_ram_top < 0xfec00000)
    vm_aml_res_memory_window (res, pc->low_ram_top, 0xfebfffff, false);
  if (pc->hole64_end)
    vm_aml_res_memory_window64 (res, pc->hole64_start, pc->hole64_end);
  vm_aml_name (aml, "_CRS");
  vm_aml_resources_end (aml, res);
  dsdt_isa_bridge (aml, pc);
  vm_aml_end (aml);
}

/* Slot S, pin P goes to link (S + P - 1) mod 4; the PM function's pin A is the SCI. */
static void
dsdt_routing (VmAml *aml, const VmAcpiPc *pc)
{
  static const char *const links[4] = { "LNKA", "LNKB", "LNKC", "LNKD" };

  vm_aml_scope_begin (aml, "\\_SB.PCI0");
  vm_aml_name (aml, "_PRT");
  vm_aml_package_begin (aml, 128);
  for (unsigned slot = 0; slot < 32; slot++)
    for (unsigned pin = 0; pin < 4; pin++)
      {
        bool sci = slot == pc->piix3_devfn >> 3 && pin == 0;

        vm_aml_package_begin (aml, 4);
        vm_aml_int (aml, (uint64_t) slot << 16 | 0xffff);
        vm_aml_int (aml, pin);
        vm_aml_path (aml, sci ? "LNKS" : links[(slot + pin + 3) & 3]);
        vm_aml_int (aml, 0);
        vm_aml_end (aml);
      }
  vm_aml_end (aml);
  vm_aml_end (aml);
}

static void
dsdt_link (VmAml *aml, unsigned n)
{
  static const uint32_t choices[] = { 5, 10, 11 };
  static const char *const names[4] = { "LNKA", "LNKB", "LNKC", "LNKD" };
  /* The registers are the ISA bridge's. */
  static const char *const registers[4] = { "\\_SB.PCI0.ISA.PRQ0", "\\_SB.PCI0.ISA.PRQ1", "\\_SB.PCI0.ISA.PRQ2",
                                            "\\_SB.PCI0.ISA.PRQ3" };
  VmAmlResources *possible = vm_aml_resources_new ();

  vm_aml_device_begin (aml, names[n]);
  dsdt_ids (aml, "PNP0C0F");
  vm_aml_name_int (aml, "_UID", n);
  vm_aml_name (aml, "_PRS");
  vm_aml_res_interrupt (possible, true, choices, G_N_ELEMENTS (choices));
  vm_aml_resources_end (aml, possible);

  vm_aml_method_begin (aml, "_STA", 0, false);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "IQST");
  vm_aml_path (aml, registers[n]);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "_DIS", 0, false);
  vm_aml_op (aml, VM_AML_OR);
  vm_aml_path (aml, registers[n]);
  vm_aml_int (aml, 0x80);
  vm_aml_path (aml, registers[n]);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "_CRS", 0, false);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "IQCR");
  vm_aml_path (aml, registers[n]);
  vm_aml_end (aml);

  /* The interrupt number stands five bytes into the descriptor. */
  vm_aml_method_begin (aml, "_SRS", 1, false);
  vm_aml_op (aml, VM_AML_CREATE_DWORD_FIELD);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_int (aml, 5);
  vm_aml_path (aml, "PRRI");
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_path (aml, "PRRI");
  vm_aml_path (aml, registers[n]);
  vm_aml_end (aml);
  vm_aml_end (aml);
}

static void
dsdt_links (VmAml *aml, const VmAcpiPc *pc)
{
  static const uint32_t none[] = { 0 };
  const uint32_t sci[] = { pc->sci_irq };

  vm_aml_scope_begin (aml, "\\_SB");

  vm_aml_method_begin (aml, "IQST", 1, false);
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_AND);
  vm_aml_int (aml, 0x80);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_op (aml, 0);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_int (aml, 9);
  vm_aml_end (aml);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_int (aml, 11);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "IQCR", 1, true);
  {
    VmAmlResources *res = vm_aml_resources_new ();

    vm_aml_name (aml, "PRR0");
    vm_aml_res_interrupt (res, true, none, 1);
    vm_aml_resources_end (aml, res);
  }
  vm_aml_op (aml, VM_AML_CREATE_DWORD_FIELD);
  vm_aml_path (aml, "PRR0");
  vm_aml_int (aml, 5);
  vm_aml_path (aml, "PRRI");
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LLESS);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_int (aml, 0x80);
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_path (aml, "PRRI");
  vm_aml_end (aml);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "PRR0");
  vm_aml_end (aml);

  for (unsigned i = 0; i < 4; i++)
    dsdt_link (aml, i);

  vm_aml_device_begin (aml, "LNKS");
  dsdt_ids (aml, "PNP0C0F");
  vm_aml_name_int (aml, "_UID", 4);
  for (unsigned i = 0; i < 2; i++)
    {
      VmAmlResources *res = vm_aml_resources_new ();

      vm_aml_name (aml, i ? "_CRS" : "_PRS");
      vm_aml_res_interrupt (res, true, sci, 1);
      vm_aml_resources_end (aml, res);
    }
  vm_aml_method_begin (aml, "_SRS", 1, false);
  vm_aml_end (aml);
  vm_aml_method_begin (aml, "_STA", 0, false);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_int (aml, 11);
  vm_aml_end (aml);
  vm_aml_method_begin (aml, "_DIS", 0, false);
  vm_aml_end (aml);
  vm_aml_end (aml);
  vm_aml_end (aml);
}

static void
dsdt_system_devices (VmAml *aml, const VmAcpiPc *pc)
{
  VmAmlResources *res;

  vm_aml_scope_begin (aml, "\\_SB");
  if (pc->has_hpet)
    {
      vm_aml_device_begin (aml, "HPET");
      dsdt_ids (aml, "PNP0103");
      vm_aml_name_int (aml, "_UID", 0);
      vm_aml_name_int (aml, "_STA", 15);
      res = vm_aml_resources_new ();
      vm_aml_res_fixed_memory (res, 0xfed00000, 0x400, false);
      vm_aml_name (aml, "_CRS");
      vm_aml_resources_end (aml, res);
      vm_aml_end (aml);
    }
  vm_aml_device_begin (aml, "FWCF");
  vm_aml_name_string (aml, "_HID", "QEMU0002");
  vm_aml_name_int (aml, "_STA", 11);
  res = vm_aml_resources_new ();
  vm_aml_res_io (res, 0x510, 0x510, 1, 12);
  vm_aml_name (aml, "_CRS");
  vm_aml_resources_end (aml, res);
  vm_aml_end (aml);
  if (pc->has_pvpanic)
    {
      vm_aml_device_begin (aml, "PEVT");
      vm_aml_name_string (aml, "_HID", "QEMU0001");
      vm_aml_name_int (aml, "_STA", 15);
      res = vm_aml_resources_new ();
      vm_aml_res_io (res, pc->pvpanic_port, pc->pvpanic_port, 1, 1);
      vm_aml_name (aml, "_CRS");
      vm_aml_resources_end (aml, res);
      vm_aml_operation_region (aml, "PEOR", VM_AML_SPACE_IO, pc->pvpanic_port, 1);
      vm_aml_field_begin (aml, "PEOR", VM_AML_ACCESS_BYTE);
      vm_aml_field_unit (aml, "PEPT", 8);
      vm_aml_end (aml);
      vm_aml_method_begin (aml, "RDPT", 0, false);
      vm_aml_op (aml, VM_AML_RETURN);
      vm_aml_path (aml, "PEPT");
      vm_aml_end (aml);
      vm_aml_method_begin (aml, "WRPT", 1, false);
      vm_aml_op (aml, VM_AML_STORE);
      vm_aml_op (aml, VM_AML_ARG0);
      vm_aml_path (aml, "PEPT");
      vm_aml_end (aml);
      vm_aml_end (aml);
    }
  vm_aml_end (aml);
}

/* SLP_TYP values of the PIIX4 model: 0 off, 1 to RAM, the fw_cfg value to disk. */
static void
dsdt_sleep_state (VmAml *aml, const char *name, uint8_t type)
{
  vm_aml_name (aml, name);
  vm_aml_package_begin (aml, 4);
  vm_aml_int (aml, type);
  vm_aml_int (aml, type);
  vm_aml_int (aml, 0);
  vm_aml_int (aml, 0);
  vm_aml_end (aml);
}

/* The device of Microsoft's "Virtual Machine Generation ID". Returns where firmware writes the page's address. */
static unsigned
dsdt_generation_id (VmAml *aml)
{
  vm_aml_name_int (aml, "\\VGIA", UINT32_C (1) << 31); /* outside of all packages: it does not move any more */
  unsigned at = aml->bytes->len - 4;

  vm_store_le32 (aml->bytes->data + at, 0);
  vm_aml_scope_begin (aml, "\\_SB");
  vm_aml_device_begin (aml, "VGEN");
  vm_aml_name_string (aml, "_HID", "QEMUVGID");
  vm_aml_name_string (aml, "_CID", "VM_Gen_Counter");
  vm_aml_name_string (aml, "_DDN", "VM_Gen_Counter");
  vm_aml_method_begin (aml, "ADDR", 0, true);
  vm_aml_name (aml, "LPKG");
  vm_aml_package_begin (aml, 2);
  vm_aml_int (aml, 0);
  vm_aml_int (aml, 0);
  vm_aml_end (aml);
  vm_aml_op (aml, VM_AML_ADD);
  vm_aml_path (aml, "VGIA");
  vm_aml_int (aml, VM_ACPI_GENERATION_OFFSET);
  vm_aml_op (aml, VM_AML_INDEX);
  vm_aml_path (aml, "LPKG");
  vm_aml_int (aml, 0);
  vm_aml_op (aml, 0);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "LPKG");
  vm_aml_end (aml);
  vm_aml_end (aml);
  vm_aml_end (aml);
  return at;
}

unsigned
vm_acpi_write_dsdt (VmAml *aml, const VmAcpiPc *pc)
{
  unsigned generation_at = pc->has_generation_id ? dsdt_generation_id (aml) : 0;

  vm_aml_scope_begin (aml, "\\_SB");
  dsdt_host_bridge (aml, pc);
  vm_aml_end (aml);
  dsdt_links (aml, pc);
  dsdt_routing (aml, pc);
  dsdt_system_devices (aml, pc);
  vm_acpi_write_processors (aml, pc);
  vm_acpi_write_hotplug (aml, pc);
  vm_aml_scope_begin (aml, "\\_GPE");
  vm_aml_name_string (aml, "_HID", "ACPI0006");
  vm_acpi_write_hotplug_events (aml, pc);
  vm_aml_end (aml);
  if (!pc->disable_s3)
    dsdt_sleep_state (aml, "\\_S3", 1);
  if (!pc->disable_s4)
    dsdt_sleep_state (aml, "\\_S4", pc->s4_value);
  dsdt_sleep_state (aml, "\\_S5", 0);
  return generation_at;
}
