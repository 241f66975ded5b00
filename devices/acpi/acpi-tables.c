/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The static ACPI tables (ACPI 6.4, section 5.2) and the loader script of the fw_cfg "table-loader" interface. */
#include "devices/acpi/acpi-private.h"

#include <errno.h>

#define USER_TABLE_MAX (1 * VM_MIB)
#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP   "etc/acpi/rsdp"
#define FILE_LOADER "etc/table-loader"

enum { HEADER = 36, FACS_SIZE = 64, LOADER_ENTRY = 128, LOADER_NAME = 56 };
enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER = 2, CMD_ADD_CHECKSUM = 3, CMD_WRITE_POINTER = 4 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
enum { FADT_WBINVD = 1 << 0, FADT_PROC_C1 = 1 << 2, FADT_SLP_BUTTON = 1 << 5, FADT_RTC_S4 = 1 << 7,
       FADT_APIC_CLUSTER = 1 << 18 };

/* --- small writers -------------------------------------------------------------------------------- */

static void
put_padded (GByteArray *bytes, const char *text, unsigned size)
{
  size_t len = MIN (strlen (text), size);

  g_byte_array_append (bytes, (const uint8_t *) text, len);
  for (; len < size; len++)
    put (bytes, ' ', 1);
}

/* Generic address structure (5.2.3.2). */
static void
put_gas (GByteArray *bytes, uint8_t space, uint8_t bits, uint64_t address)
{
  put (bytes, space, 1);
  put (bytes, address ? bits : 0, 1);
  put (bytes, 0, 2);
  put (bytes, address, 8);
}

static void
loader_entry (VmAcpiBlob *blob, const uint8_t *entry, size_t size)
{
  uint8_t out[LOADER_ENTRY] = { 0 };

  memcpy (out, entry, size);
  g_byte_array_append (blob->script, out, sizeof out);
}

static void
loader_allocate (VmAcpiBlob *blob, const char *file, uint32_t align, uint8_t zone)
{
  uint8_t entry[LOADER_ENTRY] = { 0 };

  vm_store_le32 (entry, CMD_ALLOCATE);
  g_strlcpy ((char *) entry + 4, file, LOADER_NAME);
  vm_store_le32 (entry + 60, align);
  entry[64] = zone;
  loader_entry (blob, entry, 65);
}

static void
loader_checksum (VmAcpiBlob *blob, const char *file, uint32_t at, uint32_t start, uint32_t length)
{
  uint8_t entry[LOADER_ENTRY] = { 0 };

  vm_store_le32 (entry, CMD_ADD_CHECKSUM);
  g_strlcpy ((char *) entry + 4, file, LOADER_NAME);
  vm_store_le32 (entry + 60, at);
  vm_store_le32 (entry + 64, start);
  vm_store_le32 (entry + 68, length);
  loader_entry (blob, entry, 72);
}

static void
loader_pointer (VmAcpiBlob *blob, const char *in_file, uint32_t at, const char *to_file, unsigned size)
{
  uint8_t entry[LOADER_ENTRY] = { 0 };

  vm_store_le32 (entry, CMD_ADD_POINTER);
  g_strlcpy ((char *) entry + 4, in_file, LOADER_NAME);
  g_strlcpy ((char *) entry + 60, to_file, LOADER_NAME);
  vm_store_le32 (entry + 116, at);
  entry[120] = (uint8_t) size;
  loader_entry (blob, entry, 121);
}

void
vm_acpi_add_pointer (VmAcpiBlob *blob, const char *in_file, uint32_t at, unsigned size)
{
  loader_pointer (blob, in_file, at, FILE_TABLES, size);
}

/* The AML learns where the page with the identifier is, and so do we. */
static void
acpi_add_generation_id (VmAcpiBlob *blob, uint32_t at)
{
  uint8_t entry[LOADER_ENTRY] = { 0 };

  loader_allocate (blob, VM_ACPI_GENERATION_FILE, 4096, ZONE_HIGH);
  loader_pointer (blob, FILE_TABLES, at, VM_ACPI_GENERATION_FILE, 4);
  vm_store_le32 (entry, CMD_WRITE_POINTER);
  g_strlcpy ((char *) entry + 4, VM_ACPI_GENERATION_ADDR, LOADER_NAME);
  g_strlcpy ((char *) entry + 60, VM_ACPI_GENERATION_FILE, LOADER_NAME);
  entry[124] = 8;
  loader_entry (blob, entry, 125);
}

uint32_t
vm_acpi_table_begin (VmAcpiBlob *blob, const VmAcpiPc *pc, const char *signature, uint8_t revision)
{
  GByteArray *t = blob->tables;
  uint32_t offset = t->len;

  g_byte_array_append (t, (const uint8_t *) signature, 4);
  put (t, 0, 4); /* length */
  put (t, revision, 1);
  put (t, 0, 1); /* checksum */
  put_padded (t, pc->oem_id ? pc->oem_id : "VITRNE", 6);
  put_padded (t, pc->oem_table_id ? pc->oem_table_id : "VITRINE", 8);
  put (t, 1, 4);
  put_padded (t, "VTRN", 4);
  put (t, 1, 4);
  return offset;
}

void
vm_acpi_table_end (VmAcpiBlob *blob, uint32_t offset)
{
  uint32_t length = blob->tables->len - offset;

  vm_store_le32 (blob->tables->data + offset + 4, length);
  loader_checksum (blob, FILE_TABLES, offset + 9, offset, length);
}

/* --- tables ---------------------------------------------------------------------------------------- */

static uint32_t
acpi_write_facs (VmAcpiBlob *blob)
{
  uint32_t offset;

  put_zeros (blob->tables, VM_ALIGN_UP (blob->tables->len, 64) - blob->tables->len);
  offset = blob->tables->len;
  g_byte_array_append (blob->tables, (const uint8_t *) "FACS", 4);
  put (blob->tables, FACS_SIZE, 4);
  put_zeros (blob->tables, FACS_SIZE - 8);
  return offset;
}

static uint32_t
acpi_write_dsdt_table (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  VmAml *aml = vm_aml_new ();
  uint32_t offset = vm_acpi_table_begin (blob, pc, "DSDT", 1);

  unsigned generation_at = vm_acpi_write_dsdt (aml, pc);
  if (generation_at)
    acpi_add_generation_id (blob, blob->tables->len + generation_at);
  g_byte_array_append (blob->tables, aml->bytes->data, aml->bytes->len);
  vm_aml_free (aml);
  vm_acpi_table_end (blob, offset);
  return offset;
}

/* Revision 1 of the PIIX4 days, in the layout of revision 3 so that 64-bit blocks are there too. */
static void
acpi_write_fadt (VmAcpiBlob *blob, const VmAcpiPc *pc, uint32_t facs, uint32_t dsdt)
{
  uint32_t offset = vm_acpi_table_begin (blob, pc, "FACP", 3);
  GByteArray *t = blob->tables;

  put (t, facs, 4);
  put (t, dsdt, 4);
  put (t, 1, 1);                       /* INT_MODEL: multiple APIC */
  put (t, 0, 1);                       /* preferred profile: unspecified */
  put (t, pc->sci_irq, 2);
  put (t, pc->smm ? 0xb2 : 0, 4);      /* SMI_CMD */
  put (t, pc->smm ? 0xf1 : 0, 1);      /* ACPI_ENABLE, ACPI_DISABLE of the PIIX4's firmware */
  put (t, pc->smm ? 0xf0 : 0, 1);
  put_zeros (t, 2);                    /* S4BIOS_REQ, PSTATE_CNT */
  put (t, pc->pm_base, 4);             /* PM1a_EVT_BLK */
  put (t, 0, 4);
  put (t, pc->pm_base + 4, 4);         /* PM1a_CNT_BLK */
  put (t, 0, 4);
  put (t, 0, 4);                       /* PM2_CNT_BLK */
  put (t, pc->pm_base + 8, 4);         /* PM_TMR_BLK */
  put (t, pc->gpe_base, 4);            /* GPE0_BLK */
  put (t, 0, 4);
  put (t, 4, 1);                       /* lengths: PM1_EVT, PM1_CNT, PM2_CNT, PM_TMR, GPE0, GPE1 */
  put (t, 2, 1);
  put (t, 0, 1);
  put (t, 4, 1);
  put (t, 4, 1);
  put (t, 0, 1);
  put (t, 0, 2);                       /* GPE1_BASE, CST_CNT */
  put (t, 0xfff, 2);                   /* P_LVL2_LAT, P_LVL3_LAT: no C2, no C3 */
  put (t, 0xfff, 2);
  put_zeros (t, 8);                    /* flush, duty, alarms */
  put (t, 0x32, 1);                    /* CENTURY in CMOS */
  put (t, 0, 2);                       /* IAPC_BOOT_ARCH: as revision 1 */
  put (t, 0, 1);
  put (t, FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RTC_S4 | (pc->n_possible > 8 ? FADT_APIC_CLUSTER : 0), 4);
  put_gas (t, 1, 8, 0);                /* RESET_REG: by the keyboard controller */
  put_zeros (t, 4);
  put (t, 0, 8);                       /* X_FIRMWARE_CTRL: the 32-bit field holds it */
  put (t, dsdt, 8);
  put_gas (t, 1, 32, pc->pm_base);
  put_gas (t, 1, 0, 0);
  put_gas (t, 1, 16, pc->pm_base + 4);
  put_gas (t, 1, 0, 0);
  put_gas (t, 1, 0, 0);
  put_gas (t, 1, 32, pc->pm_base + 8);
  put_gas (t, 1, 32, pc->gpe_base);
  put_gas (t, 1, 0, 0);

  vm_acpi_add_pointer (blob, FILE_TABLES, offset + 36, 4);
  vm_acpi_add_pointer (blob, FILE_TABLES, offset + 40, 4);
  vm_acpi_add_pointer (blob, FILE_TABLES, offset + 140, 8);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

static void
acpi_write_madt (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  static const uint8_t pci_irqs[] = { 5, 9, 10, 11 };
  uint32_t offset = vm_acpi_table_begin (blob, pc, "APIC", 3);
  GByteArray *t = blob->tables;
  bool x2apic = false;

  put (t, 0xfee00000, 4);
  put (t, 1, 4); /* PCAT_COMPAT: 8259s too */
  for (unsigned i = 0; i < pc->n_possible; i++)
    {
      uint32_t enabled = pc->cpu_present[i];

      if (pc->apic_ids[i] < 255)
        {
          put (t, 0, 1); /* processor local APIC */
          put (t, 8, 1);
          put (t, i, 1);
          put (t, pc->apic_ids[i], 1);
          put (t, enabled, 4);
        }
      else
        {
          x2apic = true;
          put (t, 9, 1); /* processor local x2APIC */
          put (t, 16, 1);
          put (t, 0, 2);
          put (t, pc->apic_ids[i], 4);
          put (t, enabled, 4);
          put (t, i, 4);
        }
    }
  put (t, 1, 1); /* I/O APIC */
  put (t, 12, 1);
  put (t, 0, 2);
  put (t, 0xfec00000, 4);
  put (t, 0, 4);

  put (t, 2, 1); /* source override: the PIT arrives at pin 2 */
  put (t, 10, 1);
  put (t, 0, 2);
  put (t, 2, 4);
  put (t, 0, 2);
  for (unsigned i = 0; i < G_N_ELEMENTS (pci_irqs); i++)
    {
      put (t, 2, 1);
      put (t, 10, 1);
      put (t, 0, 1);
      put (t, pci_irqs[i], 1);
      put (t, pci_irqs[i], 4);
      put (t, 0xd, 2); /* active high, level */
    }
  if (x2apic)
    {
      put (t, 10, 1); /* local x2APIC NMI at LINT1 of all */
      put (t, 12, 1);
      put (t, 0, 2);
      put (t, 0xffffffff, 4);
      put (t, 1, 1);
      put_zeros (t, 3);
    }
  else
    {
      put (t, 4, 1); /* local APIC NMI at LINT1 of all */
      put (t, 6, 1);
      put (t, 0xff, 1);
      put (t, 0, 2);
      put (t, 1, 1);
    }
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

static void
acpi_write_hpet (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  uint32_t offset = vm_acpi_table_begin (blob, pc, "HPET", 1);
  GByteArray *t = blob->tables;

  put (t, 0x8086a201, 4); /* as the capabilities register says */
  put_gas (t, 0, 0, 0xfed00000);
  put (t, 0, 1);
  put (t, 0, 2);
  put (t, 0, 1);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

/* Windows: it runs on a virtual machine whose RTC and PM timer are good (WAET specification 1.0). */
static void
acpi_write_waet (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  uint32_t offset = vm_acpi_table_begin (blob, pc, "WAET", 1);

  put (blob->tables, 1 << 1, 4);
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

static uint32_t
acpi_write_rsdt (VmAcpiBlob *blob, const VmAcpiPc *pc)
{
  uint32_t offset = vm_acpi_table_begin (blob, pc, "RSDT", 1);

  for (unsigned i = 0; i < blob->offsets->len; i++)
    {
      put (blob->tables, g_array_index (blob->offsets, uint32_t, i), 4);
      vm_acpi_add_pointer (blob, FILE_TABLES, offset + HEADER + 4 * i, 4);
    }
  vm_acpi_table_end (blob, offset);
  return offset;
}

/* Revision 0: a 32-bit pointer is all the tables need, and every loader knows it. */
static GByteArray *
acpi_write_rsdp (VmAcpiBlob *blob, const VmAcpiPc *pc, uint32_t rsdt)
{
  GByteArray *rsdp = g_byte_array_new ();

  g_byte_array_append (rsdp, (const uint8_t *) "RSD PTR ", 8);
  put (rsdp, 0, 1);
  put_padded (rsdp, pc->oem_id ? pc->oem_id : "VITRNE", 6);
  put (rsdp, 0, 1);
  put (rsdp, rsdt, 4);
  vm_acpi_add_pointer (blob, FILE_RSDP, 16, 4);
  loader_checksum (blob, FILE_RSDP, 8, 0, 20);
  return rsdp;
}

/* -acpitable: a whole table in "file=" or the body in "data=" with header fields of its own. */
static GByteArray *
read_user_table (const VmKeyVals *options, GError **error)
{
  const char *file = vm_keyvals_get (options, "file"), *data = vm_keyvals_get (options, "data");
  static const struct {
    const char *key;
    uint8_t     at, size;
    bool        number;
  } fields[] = {
    { "sig", 0, 4, false },           { "rev", 8, 1, true },           { "oem_id", 10, 6, false },
    { "oem_table_id", 16, 8, false }, { "oem_rev", 24, 4, true },      { "asl_compiler_id", 28, 4, false },
    { "asl_compiler_rev", 32, 4, true },
  };

  if (!file == !data)
    {
      vm_fail (error, "'-acpitable' requires one of 'data' or 'file'");
      return NULL;
    }

  g_autoptr (GByteArray) table = g_byte_array_new ();
  g_auto (GStrv) paths = g_strsplit (file ? file : data, ":", -1);

  if (data)
    put_zeros (table, HEADER);
  for (unsigned i = 0; paths[i]; i++)
    {
      g_autofree char *contents = NULL;
      gsize size;

      if (!g_file_get_contents (paths[i], &contents, &size, NULL))
        {
          vm_fail (error, "can't open file %s: %s", paths[i], g_strerror (errno));
          return NULL;
        }
      if (size > USER_TABLE_MAX - table->len)
        {
          vm_fail (error, "ACPI table file '%s' is too big", paths[i]);
          return NULL;
        }
      g_byte_array_append (table, (uint8_t *) contents, size);
    }
  if (table->len < HEADER)
    {
      vm_fail (error, "ACPI table file '%s' is shorter than a table header", file);
      return NULL;
    }

  for (unsigned i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      const char *value = vm_keyvals_get (options, fields[i].key);
      uint8_t *at = table->data + fields[i].at;
      uint64_t number = 0;

      if (!value)
        continue;
      if (fields[i].number)
        {
          if (!vm_keyvals_uint (options, fields[i].key, &number, (UINT64_C (1) << 8 * fields[i].size) - 1, error))
            return NULL;
          vm_store_le (at, number, fields[i].size);
        }
      else
        {
          memset (at, 0, fields[i].size);
          memcpy (at, value, MIN (strlen (value), fields[i].size));
        }
    }
  return g_steal_pointer (&table);
}

GPtrArray *
vm_acpi_read_user_tables (const VmSettings *settings, GError **error)
{
  g_autoptr (GPtrArray) tables = g_ptr_array_new_with_free_func ((GDestroyNotify) g_byte_array_unref);

  for (unsigned i = 0; i < settings->acpi_tables->len; i++)
    {
      GByteArray *table = read_user_table (settings->acpi_tables->pdata[i], error);

      if (!table)
        return NULL;
      g_ptr_array_add (tables, table);
    }
  return g_steal_pointer (&tables);
}

static void
acpi_add_user_table (VmAcpiBlob *blob, const GByteArray *table)
{
  uint32_t offset = blob->tables->len;

  g_byte_array_append (blob->tables, table->data, table->len);
  blob->tables->data[offset + 9] = 0;
  vm_acpi_table_end (blob, offset);
  blob_list (blob, offset);
}

/* --- installation ------------------------------------------------------------------------------------- */

bool
vm_acpi_install (VmFwCfg *fw, const VmAcpiPc *pc, GError **error)
{
  VmAcpiBlob blob = { g_byte_array_new (), g_byte_array_new (), g_array_new (FALSE, FALSE, sizeof (uint32_t)) };

  loader_allocate (&blob, FILE_RSDP, 16, ZONE_FSEG);
  loader_allocate (&blob, FILE_TABLES, 64, ZONE_HIGH);

  uint32_t facs = acpi_write_facs (&blob);
  uint32_t dsdt = acpi_write_dsdt_table (&blob, pc);

  acpi_write_fadt (&blob, pc, facs, dsdt);
  acpi_write_madt (&blob, pc);
  if (pc->has_hpet)
    acpi_write_hpet (&blob, pc);
  acpi_write_waet (&blob, pc);
  vm_acpi_write_numa (&blob, pc);
  for (unsigned i = 0; pc->user_tables && i < pc->user_tables->len; i++)
    acpi_add_user_table (&blob, pc->user_tables->pdata[i]);

  uint32_t rsdt = acpi_write_rsdt (&blob, pc);
  GByteArray *rsdp = acpi_write_rsdp (&blob, pc, rsdt);

  bool ok = vm_fw_cfg_add_file (fw, FILE_TABLES, blob.tables->data, blob.tables->len, error)
            && vm_fw_cfg_add_file (fw, FILE_RSDP, rsdp->data, rsdp->len, error)
            && vm_fw_cfg_add_file (fw, FILE_LOADER, blob.script->data, blob.script->len, error);
  g_byte_array_unref (rsdp);
  g_byte_array_unref (blob.tables);
  g_byte_array_unref (blob.script);
  g_array_unref (blob.offsets);
  return ok;
}
