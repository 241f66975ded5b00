/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AML over the registers of hotplug.h: PCI slots, processors, memory modules, and the events that start it. */
#include "devices/acpi/acpi-private.h"

#include "devices/acpi/hotplug.h"
#include "engine/machine/numa.h"

enum { NOTIFY_CHECK = 1, NOTIFY_EJECT = 3 };
enum { FIELD_WRITE_ZEROS = 2 << 5 }; /* bits that are not written get zeros: ones would act */
#define ACQUIRE_FOREVER 0xffff

/* --- small sentences ------------------------------------------------------------------------------------------ */

static void
store_op (VmAml *aml, uint8_t op, const char *to)
{
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_op (aml, op);
  vm_aml_path (aml, to);
}

static void
store_int (VmAml *aml, uint64_t value, const char *to)
{
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_int (aml, value);
  vm_aml_path (aml, to);
}

static void
store_local0 (VmAml *aml, uint64_t value)
{
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_int (aml, value);
  vm_aml_op (aml, VM_AML_LOCAL0);
}

static void
mutex (VmAml *aml, const char *name)
{
  vm_aml_op (aml, VM_AML_EXTENDED);
  vm_aml_op (aml, VM_AML_EXT_MUTEX);
  vm_aml_path (aml, name);
  vm_aml_op (aml, 0);
}

static void
acquire (VmAml *aml, const char *name)
{
  vm_aml_op (aml, VM_AML_EXTENDED);
  vm_aml_op (aml, VM_AML_EXT_ACQUIRE);
  vm_aml_path (aml, name);
  vm_aml_op (aml, ACQUIRE_FOREVER & 0xff);
  vm_aml_op (aml, ACQUIRE_FOREVER >> 8);
}

static void
release (VmAml *aml, const char *name)
{
  vm_aml_op (aml, VM_AML_EXTENDED);
  vm_aml_op (aml, VM_AML_EXT_RELEASE);
  vm_aml_path (aml, name);
}

static void
return_local0 (VmAml *aml)
{
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_op (aml, VM_AML_LOCAL0);
}

/* Method (NAME) { Return (CALLEE (NUMBER)) } */
static void
method_returning_call (VmAml *aml, const char *name, unsigned args, const char *callee, uint64_t number)
{
  vm_aml_method_begin (aml, name, args, false);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, callee);
  vm_aml_int (aml, number);
  vm_aml_end (aml);
}

/* Method (NAME, n) { CALLEE (NUMBER, Arg0, Arg1 ...) } */
static void
method_calling (VmAml *aml, const char *name, unsigned args, const char *callee, uint64_t number, unsigned passed)
{
  vm_aml_method_begin (aml, name, args, false);
  vm_aml_path (aml, callee);
  vm_aml_int (aml, number);
  for (unsigned i = 0; i < passed; i++)
    vm_aml_op (aml, (uint8_t) (VM_AML_ARG0 + i));
  vm_aml_end (aml);
}

/* If (LEqual (Arg0, NUMBER)) { Notify (DEVICE, Arg1) } */
static void
notify_if (VmAml *aml, uint64_t number, const char *device)
{
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LEQUAL);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_int (aml, number);
  vm_aml_op (aml, VM_AML_NOTIFY);
  vm_aml_path (aml, device);
  vm_aml_op (aml, VM_AML_ARG1);
  vm_aml_end (aml);
}

/* --- PCI slots -------------------------------------------------------------------------------------------------- */

/* The name of a slot's function by its acpi-index (PCI firmware specification 3.1, 4.6.7). */
static void
pci_index_method (VmAml *aml)
{
  static const uint8_t uuid[16] = { 0xd0, 0x37, 0xc9, 0xe5, 0x53, 0x35, 0x7a, 0x4d,
                                    0x91, 0x17, 0xea, 0x4d, 0x19, 0xc3, 0x43, 0x4d };
  static const uint8_t none[1] = { 0 }, some[1] = { 0x81 };

  /* Arg0 UUID, Arg1 function, Arg2 slot */
  vm_aml_method_begin (aml, "PDSM", 3, true);
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LNOT);
  vm_aml_op (aml, VM_AML_LEQUAL);
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_buffer (aml, uuid, sizeof uuid);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_buffer (aml, none, sizeof none);
  vm_aml_end (aml);

  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_op (aml, VM_AML_SHIFT_LEFT);
  vm_aml_int (aml, 1);
  vm_aml_op (aml, VM_AML_ARG0 + 2);
  vm_aml_op (aml, 0);
  vm_aml_path (aml, "PIDX");
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_path (aml, "PIDX");
  vm_aml_op (aml, VM_AML_LOCAL0);
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LEQUAL);
  vm_aml_op (aml, VM_AML_LOCAL0);
  vm_aml_int (aml, 0);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_buffer (aml, none, sizeof none);
  vm_aml_end (aml);
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LEQUAL);
  vm_aml_op (aml, VM_AML_ARG1);
  vm_aml_int (aml, 0);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_buffer (aml, some, sizeof some);
  vm_aml_end (aml);

  vm_aml_name (aml, "PNAM");
  vm_aml_package_begin (aml, 2);
  vm_aml_int (aml, 0);
  vm_aml_string (aml, "");
  vm_aml_end (aml);
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_op (aml, VM_AML_LOCAL0);
  vm_aml_op (aml, VM_AML_INDEX);
  vm_aml_path (aml, "PNAM");
  vm_aml_int (aml, 0);
  vm_aml_op (aml, 0);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "PNAM");
  vm_aml_end (aml);
}

static void
pci_slot (VmAml *aml, unsigned slot)
{
  g_autofree char *name = g_strdup_printf ("S%02X", slot << 3);

  vm_aml_device_begin (aml, name);
  vm_aml_name_int (aml, "_ADR", (uint64_t) slot << 16);
  vm_aml_name_int (aml, "_SUN", slot);
  vm_aml_method_begin (aml, "_EJ0", 1, false);
  store_int (aml, UINT64_C (1) << slot, "PEJT");
  vm_aml_end (aml);
  vm_aml_method_begin (aml, "_DSM", 4, false);
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "PDSM");
  vm_aml_op (aml, VM_AML_ARG0);
  vm_aml_op (aml, VM_AML_ARG0 + 2);
  vm_aml_int (aml, slot);
  vm_aml_end (aml);
  vm_aml_end (aml);
}

/* PNTY (slots, event): tells each slot whose bit is set. */
static void
pci_notify_method (VmAml *aml, uint32_t slots)
{
  vm_aml_method_begin (aml, "PNTY", 2, false);
  for (unsigned slot = 0; slot < VM_PCI_SLOTS; slot++)
    {
      g_autofree char *name = g_strdup_printf ("S%02X", slot << 3);

      if (!(slots >> slot & 1))
        continue;
      vm_aml_if_begin (aml);
      vm_aml_op (aml, VM_AML_AND);
      vm_aml_op (aml, VM_AML_ARG0);
      vm_aml_int (aml, UINT64_C (1) << slot);
      vm_aml_op (aml, 0);
      vm_aml_op (aml, VM_AML_NOTIFY);
      vm_aml_path (aml, name);
      vm_aml_op (aml, VM_AML_ARG1);
      vm_aml_end (aml);
    }
  vm_aml_end (aml);
}

static void
write_pci (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_scope_begin (aml, "\\_SB.PCI0");
  vm_aml_operation_region (aml, "PCST", VM_AML_SPACE_IO, pc->pci_hotplug_base, VM_ACPI_PCI_LENGTH);
  vm_aml_field_begin (aml, "PCST", VM_AML_ACCESS_DWORD);
  vm_aml_field_unit (aml, "PCIU", 32);
  vm_aml_field_unit (aml, "PCID", 32);
  vm_aml_field_unit (aml, "PEJT", 32);
  vm_aml_field_unit (aml, "PRMV", 32);
  vm_aml_field_unit (aml, "PSEL", 32);
  vm_aml_field_unit (aml, "PIDX", 32);
  vm_aml_end (aml);
  pci_index_method (aml);
  for (unsigned slot = 0; slot < VM_PCI_SLOTS; slot++)
    if (pc->pci_slots >> slot & 1)
      pci_slot (aml, slot);
  pci_notify_method (aml, pc->pci_slots);
  vm_aml_method_begin (aml, "PSCN", 0, true);
  store_int (aml, 0, "PSEL");
  vm_aml_path (aml, "PNTY");
  vm_aml_path (aml, "PCIU");
  vm_aml_int (aml, NOTIFY_CHECK);
  vm_aml_path (aml, "PNTY");
  vm_aml_path (aml, "PCID");
  vm_aml_int (aml, NOTIFY_EJECT);
  vm_aml_end (aml);
  vm_aml_end (aml);
}

/* --- processors -------------------------------------------------------------------------------------------------- */

static void
cpu_fields (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_operation_region (aml, "PRST", VM_AML_SPACE_IO, pc->cpu_hotplug_base, VM_ACPI_CPU_LENGTH);
  vm_aml_field_begin (aml, "PRST", VM_AML_ACCESS_BYTE | FIELD_WRITE_ZEROS);
  vm_aml_field_unit (aml, NULL, 32);
  vm_aml_field_unit (aml, "CPEN", 1);
  vm_aml_field_unit (aml, "CINS", 1);
  vm_aml_field_unit (aml, "CRMV", 1);
  vm_aml_field_unit (aml, "CEJC", 1);
  vm_aml_field_unit (aml, NULL, 4);
  vm_aml_field_unit (aml, "CCMD", 8);
  vm_aml_end (aml);
  vm_aml_field_begin (aml, "PRST", VM_AML_ACCESS_DWORD);
  vm_aml_field_unit (aml, "CSEL", 32);
  vm_aml_field_unit (aml, NULL, 32);
  vm_aml_field_unit (aml, "CDAT", 32);
  vm_aml_end (aml);
  mutex (aml, "CPLK");
}

/* If (FLAG) { NOTIFIER (place, EVENT); FLAG = 1, which clears it; Local0 = 1 } */
static void
tell_if (VmAml *aml, const char *flag, const char *notifier, const char *place, uint64_t event)
{
  vm_aml_if_begin (aml);
  vm_aml_path (aml, flag);
  vm_aml_path (aml, notifier);
  vm_aml_path (aml, place);
  vm_aml_int (aml, event);
  store_int (aml, 1, flag);
  store_local0 (aml, 1);
  vm_aml_end (aml);
}

static void
cpu_methods (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_method_begin (aml, "CSTA", 1, true);
  acquire (aml, "CPLK");
  store_op (aml, VM_AML_ARG0, "CSEL");
  store_local0 (aml, 0);
  vm_aml_if_begin (aml);
  vm_aml_path (aml, "CPEN");
  store_local0 (aml, 15);
  vm_aml_end (aml);
  release (aml, "CPLK");
  return_local0 (aml);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "CEJT", 1, true);
  acquire (aml, "CPLK");
  store_op (aml, VM_AML_ARG0, "CSEL");
  store_int (aml, 1, "CEJC");
  release (aml, "CPLK");
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "COST", 3, true);
  acquire (aml, "CPLK");
  store_op (aml, VM_AML_ARG0, "CSEL");
  store_int (aml, VM_ACPI_CPU_OST_SOURCE, "CCMD");
  store_op (aml, VM_AML_ARG1, "CDAT");
  store_int (aml, VM_ACPI_CPU_OST_STATUS, "CCMD");
  store_op (aml, VM_AML_ARG0 + 2, "CDAT");
  release (aml, "CPLK");
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "CTFY", 2, false);
  for (unsigned i = 0; i < pc->n_possible; i++)
    {
      g_autofree char *name = g_strdup_printf ("C%03X", i);
      notify_if (aml, i, name);
    }
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "CSCN", 0, true);
  acquire (aml, "CPLK");
  store_local0 (aml, 1);
  vm_aml_while_begin (aml);
  vm_aml_op (aml, VM_AML_LOCAL0);
  store_local0 (aml, 0);
  store_int (aml, VM_ACPI_CPU_NEXT_EVENT, "CCMD");
  tell_if (aml, "CINS", "CTFY", "CDAT", NOTIFY_CHECK);
  tell_if (aml, "CRMV", "CTFY", "CDAT", NOTIFY_EJECT);
  vm_aml_end (aml);
  release (aml, "CPLK");
  vm_aml_end (aml);
}

/* The processor's entry of the MADT once it is there. */
static void
cpu_mat (VmAml *aml, uint32_t apic_id, unsigned index)
{
  uint8_t local[8] = { 0, 8, (uint8_t) index, (uint8_t) apic_id, 1 }, x2[16] = { 9, 16 };

  vm_store_le32 (x2 + 4, apic_id);
  vm_store_le32 (x2 + 8, 1);
  vm_store_le32 (x2 + 12, index);
  vm_aml_name (aml, "_MAT");
  if (apic_id < 255)
    vm_aml_buffer (aml, local, sizeof local);
  else
    vm_aml_buffer (aml, x2, sizeof x2);
}

void
vm_acpi_write_processors (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_scope_begin (aml, "\\_SB");
  if (pc->cpu_hotplug)
    cpu_fields (aml, pc);
  for (unsigned i = 0; i < pc->n_possible; i++)
    {
      g_autofree char *name = g_strdup_printf ("C%03X", i);

      if (i < 255 && pc->apic_ids[i] < 255)
        vm_aml_processor_begin (aml, name, (uint8_t) i);
      else
        {
          vm_aml_device_begin (aml, name);
          vm_aml_name_string (aml, "_HID", "ACPI0007");
          vm_aml_name_int (aml, "_UID", i);
        }
      if (pc->cpu_hotplug)
        {
          method_returning_call (aml, "_STA", 0, "CSTA", i);
          cpu_mat (aml, pc->apic_ids[i], i);
          if (i)
            method_calling (aml, "_EJ0", 1, "CEJT", i, 0);
          method_calling (aml, "_OST", 3, "COST", i, 2);
        }
      else
        {
          vm_aml_method_begin (aml, "_STA", 0, false);
          vm_aml_op (aml, VM_AML_RETURN);
          vm_aml_int (aml, pc->cpu_present[i] ? 15 : 0);
          vm_aml_end (aml);
        }
      if (pc->numa->n)
        vm_aml_name_int (aml, "_PXM", vm_numa_cpu_node (pc->numa, i));
      vm_aml_end (aml);
    }
  if (pc->cpu_hotplug)
    cpu_methods (aml, pc);
  vm_aml_end (aml);
}

/* --- memory modules ------------------------------------------------------------------------------------------------ */

static void
memory_fields (VmAml *aml, const VmAcpiPc *pc)
{
  static const char *const names[] = { "MADL", "MADH", "MSZL", "MSZH", "MPRX" };
  static const char *const written[] = { "MSEL", "MOEV", "MOSC" };

  vm_aml_operation_region (aml, "HPMR", VM_AML_SPACE_IO, pc->memory_hotplug_base, VM_ACPI_MEMORY_LENGTH);
  vm_aml_field_begin (aml, "HPMR", VM_AML_ACCESS_DWORD);
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    vm_aml_field_unit (aml, names[i], 32);
  vm_aml_end (aml);
  vm_aml_field_begin (aml, "HPMR", VM_AML_ACCESS_DWORD);
  for (size_t i = 0; i < G_N_ELEMENTS (written); i++)
    vm_aml_field_unit (aml, written[i], 32);
  vm_aml_end (aml);
  vm_aml_field_begin (aml, "HPMR", VM_AML_ACCESS_BYTE | FIELD_WRITE_ZEROS);
  for (unsigned i = 0; i < VM_ACPI_MEMORY_CONTROL / 4; i++)
    vm_aml_field_unit (aml, NULL, 32);
  vm_aml_field_unit (aml, "MEEN", 1);
  vm_aml_field_unit (aml, "MINS", 1);
  vm_aml_field_unit (aml, "MRMV", 1);
  vm_aml_field_unit (aml, "MEJC", 1);
  vm_aml_end (aml);
  mutex (aml, "MLCK");
}

static void
create_dword (VmAml *aml, const char *buffer, unsigned at, const char *name)
{
  vm_aml_op (aml, VM_AML_CREATE_DWORD_FIELD);
  vm_aml_path (aml, buffer);
  vm_aml_int (aml, at);
  vm_aml_path (aml, name);
}

static void
store_path (VmAml *aml, const char *from, const char *to)
{
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_path (aml, from);
  vm_aml_path (aml, to);
}

static void
store_sum (VmAml *aml, uint8_t op, const char *a, const char *b, uint64_t number, const char *to)
{
  vm_aml_op (aml, op);
  vm_aml_path (aml, a);
  if (b)
    vm_aml_path (aml, b);
  else
    vm_aml_int (aml, number);
  vm_aml_path (aml, to);
}

/* If (LLess (A, B or NUMBER)) */
static void
if_less (VmAml *aml, const char *a, const char *b, uint64_t number)
{
  vm_aml_if_begin (aml);
  vm_aml_op (aml, VM_AML_LLESS);
  vm_aml_path (aml, a);
  if (b)
    vm_aml_path (aml, b);
  else
    vm_aml_int (aml, number);
}

/* Integers have 32 bits in a DSDT of revision 1: 64-bit fields are done in halves. MAX = MIN + LEN - 1. */
static void
memory_crs_method (VmAml *aml)
{
  enum { MIN_AT = 14, MAX_AT = 22, LEN_AT = 38 };
  VmAmlResources *res = vm_aml_resources_new ();

  vm_aml_method_begin (aml, "MCRS", 1, true);
  vm_aml_res_memory_window64 (res, 0, UINT64_MAX - 1);
  vm_aml_name (aml, "MR64");
  vm_aml_resources_end (aml, res);
  acquire (aml, "MLCK");
  store_op (aml, VM_AML_ARG0, "MSEL");
  create_dword (aml, "MR64", MIN_AT, "MINL");
  create_dword (aml, "MR64", MIN_AT + 4, "MINH");
  create_dword (aml, "MR64", MAX_AT, "MAXL");
  create_dword (aml, "MR64", MAX_AT + 4, "MAXH");
  create_dword (aml, "MR64", LEN_AT, "LENL");
  create_dword (aml, "MR64", LEN_AT + 4, "LENH");
  store_path (aml, "MADL", "MINL");
  store_path (aml, "MADH", "MINH");
  store_path (aml, "MSZL", "LENL");
  store_path (aml, "MSZH", "LENH");
  store_sum (aml, VM_AML_ADD, "MINL", "LENL", 0, "MAXL");
  store_sum (aml, VM_AML_ADD, "MINH", "LENH", 0, "MAXH");
  if_less (aml, "MAXL", "MINL", 0);
  store_sum (aml, VM_AML_ADD, "MAXH", NULL, 1, "MAXH");
  vm_aml_end (aml);
  if_less (aml, "MAXL", NULL, 1);
  store_sum (aml, VM_AML_SUBTRACT, "MAXH", NULL, 1, "MAXH");
  vm_aml_end (aml);
  store_sum (aml, VM_AML_SUBTRACT, "MAXL", NULL, 1, "MAXL");
  release (aml, "MLCK");
  vm_aml_op (aml, VM_AML_RETURN);
  vm_aml_path (aml, "MR64");
  vm_aml_end (aml);
}

static void
memory_methods (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_method_begin (aml, "MSTA", 1, true);
  acquire (aml, "MLCK");
  store_op (aml, VM_AML_ARG0, "MSEL");
  store_local0 (aml, 0);
  vm_aml_if_begin (aml);
  vm_aml_path (aml, "MEEN");
  store_local0 (aml, 15);
  vm_aml_end (aml);
  release (aml, "MLCK");
  return_local0 (aml);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "MPXM", 1, true);
  acquire (aml, "MLCK");
  store_op (aml, VM_AML_ARG0, "MSEL");
  vm_aml_op (aml, VM_AML_STORE);
  vm_aml_path (aml, "MPRX");
  vm_aml_op (aml, VM_AML_LOCAL0);
  release (aml, "MLCK");
  return_local0 (aml);
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "MOST", 3, true);
  acquire (aml, "MLCK");
  store_op (aml, VM_AML_ARG0, "MSEL");
  store_op (aml, VM_AML_ARG1, "MOEV");
  store_op (aml, VM_AML_ARG0 + 2, "MOSC");
  release (aml, "MLCK");
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "MEJT", 1, true);
  acquire (aml, "MLCK");
  store_op (aml, VM_AML_ARG0, "MSEL");
  store_int (aml, 1, "MEJC");
  release (aml, "MLCK");
  vm_aml_end (aml);

  vm_aml_method_begin (aml, "MTFY", 2, false);
  for (unsigned i = 0; i < pc->memory_slots; i++)
    {
      g_autofree char *name = g_strdup_printf ("MP%02X", i);
      notify_if (aml, i, name);
    }
  vm_aml_end (aml);

  /* Each slot in turn. */
  vm_aml_method_begin (aml, "MSCN", 0, true);
  acquire (aml, "MLCK");
  vm_aml_name_int (aml, "MCUR", 0);
  vm_aml_while_begin (aml);
  vm_aml_op (aml, VM_AML_LLESS);
  vm_aml_path (aml, "MCUR");
  vm_aml_int (aml, pc->memory_slots);
  store_path (aml, "MCUR", "MSEL");
  tell_if (aml, "MINS", "MTFY", "MCUR", NOTIFY_CHECK);
  tell_if (aml, "MRMV", "MTFY", "MCUR", NOTIFY_EJECT);
  vm_aml_op (aml, VM_AML_INCREMENT);
  vm_aml_path (aml, "MCUR");
  vm_aml_end (aml);
  release (aml, "MLCK");
  vm_aml_end (aml);
}

static void
write_memory (VmAml *aml, const VmAcpiPc *pc)
{
  vm_aml_scope_begin (aml, "\\_SB");
  memory_fields (aml, pc);
  memory_crs_method (aml);
  for (unsigned i = 0; i < pc->memory_slots; i++)
    {
      g_autofree char *name = g_strdup_printf ("MP%02X", i);

      vm_aml_device_begin (aml, name);
      vm_aml_name_eisa_id (aml, "_HID", "PNP0C80");
      vm_aml_name_int (aml, "_UID", i);
      method_returning_call (aml, "_CRS", 0, "MCRS", i);
      method_returning_call (aml, "_STA", 0, "MSTA", i);
      method_returning_call (aml, "_PXM", 0, "MPXM", i);
      method_calling (aml, "_EJ0", 1, "MEJT", i, 0);
      method_calling (aml, "_OST", 3, "MOST", i, 2);
      vm_aml_end (aml);
    }
  memory_methods (aml, pc);
  vm_aml_end (aml);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void
write_event (VmAml *aml, unsigned gpe, const char *scan)
{
  g_autofree char *name = g_strdup_printf ("_E%02X", gpe);

  vm_aml_method_begin (aml, name, 0, false);
  vm_aml_path (aml, scan);
  vm_aml_end (aml);
}

void
vm_acpi_write_hotplug (VmAml *aml, const VmAcpiPc *pc)
{
  if (pc->pci_slots)
    write_pci (aml, pc);
  if (pc->memory_slots)
    write_memory (aml, pc);
}

void
vm_acpi_write_hotplug_events (VmAml *aml, const VmAcpiPc *pc)
{
  if (pc->pci_slots)
    write_event (aml, pc->gpe_pci, "\\_SB.PCI0.PSCN");
  if (pc->cpu_hotplug)
    write_event (aml, pc->gpe_cpu, "\\_SB.CSCN");
  if (pc->memory_slots)
    write_event (aml, pc->gpe_memory, "\\_SB.MSCN");
}
