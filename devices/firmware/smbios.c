/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SMBIOS structures after DMTF DSP0134 3.0; layouts by the specification's chapter 7. */
#include "devices/firmware/smbios.h"

#include "devices/pci/pci.h"

#define DIMM_MAX (16 * VM_GIB)

typedef struct Builder {
  VmMachine          *machine;
  const VmSmbiosInfo *info;
  GByteArray         *tables;
  uint16_t            count;
  uint32_t            largest, start; /* of the open structure */
  GPtrArray          *strings;        /* of the open structure, owned */
} Builder;

/* --- -smbios -------------------------------------------------------------------------------------------- */

/* The options of -smbios type=TYPE, the N-th of them; NULL when there are fewer. */
static const VmKeyVals *
smbios_options (Builder *b, unsigned type, unsigned n)
{
  const GPtrArray *all = b->machine->settings->smbios;

  for (unsigned i = 0; i < all->len; i++)
    {
      const char *text = vm_keyvals_get (all->pdata[i], "type");

      if (text && strtoul (text, NULL, 10) == type && n-- == 0)
        return all->pdata[i];
    }
  return NULL;
}

/* The last value of KEY over all -smbios type=TYPE, else DEFVAL. */
static const char *
smbios_value (Builder *b, unsigned type, const char *key, const char *defval)
{
  const char *value = defval;

  for (unsigned n = 0; smbios_options (b, type, n); n++)
    {
      const char *given = vm_keyvals_get (smbios_options (b, type, n), key);

      value = given ? given : value;
    }
  return value;
}

static uint64_t
smbios_number (Builder *b, unsigned type, const char *key, uint64_t defval)
{
  const char *text = smbios_value (b, type, key, NULL);

  return text ? g_ascii_strtoull (text, NULL, 0) : defval;
}

/* --- structures ------------------------------------------------------------------------------------------- */

static void
put (Builder *b, uint64_t value, unsigned size)
{
  uint8_t out[8];

  vm_store_le (out, value, size);
  g_byte_array_append (b->tables, out, size);
}

static void
begin (Builder *b, uint8_t type, uint16_t handle)
{
  b->start = b->tables->len;
  put (b, type, 1);
  put (b, 0, 1);
  put (b, handle, 2);
  g_ptr_array_set_size (b->strings, 0);
}

/* A string is a number that counts those behind the formatted part; 0: not given. */
static void
put_string (Builder *b, const char *text)
{
  if (!text || !*text)
    {
      put (b, 0, 1);
      return;
    }
  g_ptr_array_add (b->strings, g_strdup (text));
  put (b, b->strings->len, 1);
}

static void
put_value (Builder *b, unsigned type, const char *key, const char *defval)
{
  put_string (b, smbios_value (b, type, key, defval));
}

static void
end (Builder *b)
{
  b->tables->data[b->start + 1] = b->tables->len - b->start;
  for (unsigned i = 0; i < b->strings->len; i++)
    g_byte_array_append (b->tables, b->strings->pdata[i], strlen (b->strings->pdata[i]) + 1);
  if (!b->strings->len)
    put (b, 0, 1);
  put (b, 0, 1);
  b->largest = MAX (b->largest, b->tables->len - b->start);
  b->count++;
}

/* Firmware makes its own type 0 unless somebody wants another. */
static void
write_bios (Builder *b)
{
  const char *release = smbios_value (b, 0, "release", "0.0"), *uefi = smbios_value (b, 0, "uefi", "off");

  if (!smbios_options (b, 0, 0))
    return;
  begin (b, 0, 0x0000);
  put_value (b, 0, "vendor", NULL);
  put_value (b, 0, "version", NULL);
  put (b, 0xe800, 2);
  put_value (b, 0, "date", NULL);
  put (b, 0, 1);            /* 64 KiB */
  put (b, 0x08, 8);         /* characteristics not supported */
  put (b, 0, 1);
  put (b, 0x14 | (strcmp (uefi, "on") == 0 ? 0x08 : 0), 1); /* virtual machine, targeted content */
  put (b, strtoul (release, NULL, 10), 1);
  put (b, strchr (release, '.') ? strtoul (strchr (release, '.') + 1, NULL, 10) : 0, 1);
  put (b, 0xff, 1);
  put (b, 0xff, 1);
  end (b);
}

/* The first three fields of a UUID are little-endian here. */
static void
put_uuid (Builder *b, const uint8_t uuid[16])
{
  static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

  for (unsigned i = 0; i < 16; i++)
    put (b, uuid[order[i]], 1);
}

static bool
parse_uuid (const char *text, uint8_t uuid[16])
{
  if (!g_uuid_string_is_valid (text))
    return false;
  for (unsigned i = 0; i < 16; i++)
    {
      if (*text == '-')
        text++;
      uuid[i] = g_ascii_xdigit_value (text[0]) << 4 | g_ascii_xdigit_value (text[1]);
      text += 2;
    }
  return true;
}

static bool
write_system (Builder *b, GError **error)
{
  const char *given = smbios_value (b, 1, "uuid", NULL);
  uint8_t uuid[16];

  memcpy (uuid, b->machine->settings->uuid, 16);
  if (given && !parse_uuid (given, uuid))
    return vm_fail (error, "Invalid UUID");
  begin (b, 1, 0x0100);
  put_value (b, 1, "manufacturer", "QEMU");
  put_value (b, 1, "product", b->info->product);
  put_value (b, 1, "version", b->info->version);
  put_value (b, 1, "serial", NULL);
  put_uuid (b, uuid);
  put (b, 6, 1); /* power switch */
  put_value (b, 1, "sku", NULL);
  put_value (b, 1, "family", NULL);
  end (b);
  return true;
}

static void
write_board (Builder *b)
{
  if (!smbios_options (b, 2, 0))
    return;
  begin (b, 2, 0x0200);
  put_value (b, 2, "manufacturer", "QEMU");
  put_value (b, 2, "product", b->info->product);
  put_value (b, 2, "version", b->info->version);
  put_value (b, 2, "serial", NULL);
  put_value (b, 2, "asset", NULL);
  put (b, 1, 1); /* hosting board */
  put_value (b, 2, "location", NULL);
  put (b, 0x300, 2);
  put (b, 0x0a, 1); /* motherboard */
  put (b, 0, 1);
  end (b);
}

static void
write_chassis (Builder *b)
{
  begin (b, 3, 0x0300);
  put_value (b, 3, "manufacturer", "QEMU");
  put (b, 1, 1); /* other */
  put_value (b, 3, "version", b->info->version);
  put_value (b, 3, "serial", NULL);
  put_value (b, 3, "asset", NULL);
  put (b, 3, 1); /* states: safe */
  put (b, 3, 1);
  put (b, 3, 1);
  put (b, 2, 1);
  put (b, 0, 4);
  put (b, 0, 4);
  put_value (b, 3, "sku", NULL);
  end (b);
}

static void
write_processor (Builder *b, unsigned socket)
{
  const VmSmp *smp = &b->machine->settings->smp;
  unsigned cores = smp->dies * smp->clusters * smp->modules * smp->cores, threads = cores * smp->threads;
  uint64_t id = (uint64_t) b->info->cpuid_features << 32 | b->info->cpuid_signature;
  g_autofree char *name = g_strdup_printf ("%s %u", smbios_value (b, 4, "sock_pfx", "CPU"), socket);
  unsigned family = smbios_number (b, 4, "processor-family", 1);

  begin (b, 4, 0x0400 + socket);
  put_string (b, name);
  put (b, 3, 1); /* central processor */
  put (b, family > 0xfd ? 0xfe : family, 1);
  put_value (b, 4, "manufacturer", "QEMU");
  put (b, smbios_number (b, 4, "processor-id", id), 8);
  put_value (b, 4, "version", b->info->version);
  put (b, 0, 1);
  put (b, 0, 2);
  put (b, smbios_number (b, 4, "max-speed", 2000), 2);
  put (b, smbios_number (b, 4, "current-speed", 2000), 2);
  put (b, 0x41, 1); /* populated, enabled */
  put (b, 1, 1);
  put (b, 0xffff, 2);
  put (b, 0xffff, 2);
  put (b, 0xffff, 2);
  put_value (b, 4, "serial", NULL);
  put_value (b, 4, "asset", NULL);
  put_value (b, 4, "part", NULL);
  put (b, MIN (cores, 255), 1);
  put (b, MIN (cores, 255), 1);
  put (b, MIN (threads, 255), 1);
  put (b, 0x02, 2); /* unknown characteristics */
  put (b, family, 2);
  put (b, cores, 2);
  put (b, cores, 2);
  put (b, threads, 2);
  end (b);
}

/* Ports, slots, OEM strings, onboard devices: one structure for each -smbios. */
static void
write_ports (Builder *b)
{
  const VmKeyVals *o;

  for (unsigned n = 0; (o = smbios_options (b, 8, n)); n++)
    {
      const char *connector = vm_keyvals_get (o, "connector_type"), *port = vm_keyvals_get (o, "port_type");

      begin (b, 8, 0x0800 + n);
      put_string (b, vm_keyvals_get (o, "internal_reference"));
      put (b, 0, 1);
      put_string (b, vm_keyvals_get (o, "external_reference"));
      put (b, connector ? strtoul (connector, NULL, 0) : 0, 1);
      put (b, port ? strtoul (port, NULL, 0) : 0, 1);
      end (b);
    }
}

/* Bus number << 8 | devfn of the device with the id ID. */
static bool
find_pci_place (Builder *b, const char *id, unsigned type, const char *name, uint16_t *place, GError **error)
{
  VmObject *obj = vm_object_child (b->machine->peripheral, id);

  if (!obj || !vm_object_is_a (obj, &vm_pci_device_type))
    return vm_fail (error, "No PCI device %s for SMBIOS type %u entry %s", id, type, name ? name : "(null)");
  const VmPciDevice *dev = VM_PCI_DEVICE (obj);
  if (vm_pci_bus (dev)->up)
    return vm_fail (error, "Cannot attach type %u entry %s to PCI device %s, not attached to the root bus", type,
                    name ? name : "(null)", id);
  *place = vm_pci_requester (dev);
  return true;
}

static unsigned
option_number (const VmKeyVals *o, const char *key)
{
  const char *text = vm_keyvals_get (o, key);

  return text ? (unsigned) strtoul (text, NULL, 0) : 0;
}

/* 7.10; a slot that no device is named for has the segment, bus and function "unknown". */
static bool
write_slots (Builder *b, GError **error)
{
  const VmKeyVals *o;

  for (unsigned n = 0; (o = smbios_options (b, 9, n)); n++)
    {
      const char *name = vm_keyvals_get (o, "slot_designation"), *device = vm_keyvals_get (o, "pci_device");
      uint16_t place = 0;

      if (device && !find_pci_place (b, device, 9, name, &place, error))
        return false;
      begin (b, 9, (uint16_t) (0x0900 + n));
      put_string (b, name);
      put (b, option_number (o, "slot_type"), 1);
      put (b, option_number (o, "slot_data_bus_width"), 1);
      put (b, option_number (o, "current_usage"), 1);
      put (b, option_number (o, "slot_length"), 1);
      put (b, option_number (o, "slot_id"), 2);
      put (b, option_number (o, "slot_characteristics1"), 1);
      put (b, option_number (o, "slot_characteristics2"), 1);
      put (b, device ? 0 : 0xffff, 2);
      put (b, device ? place >> 8 : 0xff, 1);
      put (b, device ? place & 0xff : 0xff, 1);
      end (b);
    }
  return true;
}

static bool
write_oem_strings (Builder *b, GError **error)
{
  const VmKeyVals *o;

  for (unsigned n = 0; (o = smbios_options (b, 11, n)); n++)
    {
      unsigned count_at;

      begin (b, 11, 0x0e00 + n);
      count_at = b->tables->len;
      put (b, 0, 1);
      vm_keyvals_get (o, "value"); /* marks them as used */
      vm_keyvals_get (o, "path");
      for (unsigned i = 0; i < o->pairs->len; i++)
        {
          const VmKeyValue *pair = o->pairs->pdata[i];
          g_autofree char *contents = NULL;
          gsize size;

          if (strcmp (pair->key, "value") == 0)
            g_ptr_array_add (b->strings, g_strdup (pair->value));
          else if (strcmp (pair->key, "path") == 0)
            {
              if (!g_file_get_contents (pair->value, &contents, &size, NULL))
                return vm_fail (error, "Unable to open %s", pair->value);
              if (memchr (contents, 0, size))
                return vm_fail (error, "NUL in OEM strings value in %s", pair->value);
              g_ptr_array_add (b->strings, g_steal_pointer (&contents));
            }
        }
      if (b->strings->len > 255)
        return vm_fail (error, "more than 255 OEM strings in one -smbios type=11");
      b->tables->data[count_at] = b->strings->len;
      end (b);
    }
  return true;
}

static void
write_memory (Builder *b)
{
  uint64_t total = b->info->low_ram + b->info->high_ram, left = total;
  unsigned n = MAX ((total + DIMM_MAX - 1) / DIMM_MAX, 1);

  begin (b, 16, 0x1000);
  put (b, 1, 1); /* location: other */
  put (b, 3, 1); /* system memory */
  put (b, 6, 1); /* multi-bit ECC */
  put (b, total / VM_KIB >= 0x80000000 ? 0x80000000 : total / VM_KIB, 4);
  put (b, 0xfffe, 2);
  put (b, n, 2);
  put (b, total / VM_KIB >= 0x80000000 ? total : 0, 8);
  end (b);

  for (unsigned i = 0; i < n; i++)
    {
      uint64_t size = MIN (left, DIMM_MAX);
      uint64_t mib = size / VM_MIB;
      g_autofree char *locator = g_strdup_printf ("%s %u", smbios_value (b, 17, "loc_pfx", "DIMM"), i);

      left -= size;
      begin (b, 17, 0x1100 + i);
      put (b, 0x1000, 2);
      put (b, 0xfffe, 2);
      put (b, 0xffff, 2);
      put (b, 0xffff, 2);
      put (b, mib < 0x7fff ? mib : 0x7fff, 2);
      put (b, 9, 1); /* DIMM */
      put (b, 0, 1);
      put_string (b, locator);
      put_value (b, 17, "bank", NULL);
      put (b, 7, 1); /* RAM */
      put (b, 2, 2); /* other */
      put (b, smbios_number (b, 17, "speed", 0), 2);
      put_value (b, 17, "manufacturer", "QEMU");
      put_value (b, 17, "serial", NULL);
      put_value (b, 17, "asset", NULL);
      put_value (b, 17, "part", NULL);
      put (b, 0, 1);
      put (b, mib < 0x7fff ? 0 : mib, 4);
      put (b, smbios_number (b, 17, "speed", 0), 2);
      put (b, 0, 2);
      put (b, 0, 2);
      put (b, 0, 2);
      end (b);
    }
}

static void
write_mapping (Builder *b, uint16_t handle, uint64_t start, uint64_t size)
{
  uint64_t first = start / VM_KIB, last = (start + size - 1) / VM_KIB;
  bool wide = last >= UINT32_MAX;

  begin (b, 19, handle);
  put (b, wide ? UINT32_MAX : first, 4);
  put (b, wide ? UINT32_MAX : last, 4);
  put (b, 0x1000, 2);
  put (b, 1, 1);
  put (b, wide ? start : 0, 8);
  put (b, wide ? start + size - 1 : 0, 8);
  end (b);
}

static void
write_boot_info (Builder *b)
{
  begin (b, 32, 0x2000);
  put (b, 0, 6);
  put (b, 0, 1); /* no errors */
  end (b);
}

static bool
write_onboard (Builder *b, GError **error)
{
  static const char *const kinds[] = { "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound", "pata",
                                       "sata", "sas", NULL };
  const VmKeyVals *o;

  for (unsigned n = 0; (o = smbios_options (b, 41, n)); n++)
    {
      const char *kind = vm_keyvals_get (o, "kind"), *instance = vm_keyvals_get (o, "instance");
      unsigned number = 0;

      const char *pcidev = vm_keyvals_get (o, "pcidev");
      uint16_t place = 0;
      if (pcidev && !find_pci_place (b, pcidev, 41, vm_keyvals_get (o, "designation"), &place, error))
        return false;
      while (kind && kinds[number] && strcmp (kinds[number], kind) != 0)
        number++;
      if (!kinds[number])
        return vm_fail (error, "Parameter 'kind' does not accept value '%s'", kind);
      begin (b, 41, 0x2900 + n);
      put_string (b, vm_keyvals_get (o, "designation"));
      put (b, 0x80 | (number + 1), 1);
      put (b, instance ? strtoul (instance, NULL, 0) : 1, 1);
      put (b, 0, 2);
      put (b, place >> 8, 1);
      put (b, place & 0xff, 1);
      end (b);
    }
  return true;
}

/* file=: whole structures as they stand in memory. */
static bool
write_files (Builder *b, GError **error)
{
  const GPtrArray *all = b->machine->settings->smbios;

  for (unsigned i = 0; i < all->len; i++)
    {
      const char *path = vm_keyvals_get (all->pdata[i], "file");
      g_autofree char *contents = NULL;
      gsize size;

      if (!path)
        continue;
      if (!g_file_get_contents (path, &contents, &size, NULL))
        return vm_fail (error, "Cannot read SMBIOS file %s", path);
      if (size < 6 || (uint8_t) contents[1] > size || contents[size - 1] || contents[size - 2])
        return vm_fail (error, "SMBIOS file %s is not one whole structure", path);
      g_byte_array_append (b->tables, (uint8_t *) contents, size);
      b->largest = MAX (b->largest, size);
      b->count++;
    }
  return true;
}

static void
write_end (Builder *b)
{
  begin (b, 127, 0x7f00);
  end (b);
}

/* --- entry points (5.2) ------------------------------------------------------------------------------------- */

static void
set_checksum (uint8_t *at, const uint8_t *data, size_t size)
{
  uint8_t sum = 0;

  *at = 0;
  for (size_t i = 0; i < size; i++)
    sum += data[i];
  *at = -sum;
}

static size_t
make_entry (const Builder *b, uint8_t out[32])
{
  memset (out, 0, 32);
  if (b->info->entry64)
    {
      memcpy (out, "_SM3_", 5);
      out[6] = 24;
      out[7] = 3;
      out[10] = 1;
      vm_store_le32 (out + 12, b->tables->len);
      set_checksum (out + 5, out, 24);
      return 24;
    }
  memcpy (out, "_SM_", 4);
  out[5] = 31;
  out[6] = 2;
  out[7] = 8;
  vm_store_le16 (out + 8, b->largest);
  memcpy (out + 16, "_DMI_", 5);
  vm_store_le16 (out + 22, b->tables->len);
  vm_store_le16 (out + 28, b->count);
  out[30] = 0x28;
  set_checksum (out + 21, out + 16, 15);
  set_checksum (out + 4, out, 31);
  return 31;
}

static bool
smbios_check_types (const GPtrArray *all, GError **error)
{
  static const uint8_t known[] = { 0, 1, 2, 3, 4, 8, 9, 11, 17, 41 };

  for (unsigned i = 0; i < all->len; i++)
    {
      const char *text = vm_keyvals_get (all->pdata[i], "type");
      unsigned long type = text ? strtoul (text, NULL, 0) : 0;

      if (!text && !vm_keyvals_get (all->pdata[i], "file"))
        return vm_fail (error, "Must specify type= or file=");
      if (text && (type > 255 || !memchr (known, (int) type, sizeof known)))
        return vm_fail (error, "Don't know how to build fields for SMBIOS type %lu", type);
    }
  return true;
}

bool
vm_smbios_install (VmMachine *machine, VmFwCfg *fw, const VmSmbiosInfo *info, GError **error)
{
  Builder b = { .machine = machine, .info = info };
  uint8_t entry[32];
  size_t entry_size;
  bool ok;

  if (!smbios_check_types (machine->settings->smbios, error))
    return false;
  b.tables = g_byte_array_new ();
  b.strings = g_ptr_array_new_with_free_func (g_free);

  ok = write_files (&b, error);
  write_bios (&b);
  ok = ok && write_system (&b, error);
  write_board (&b);
  write_chassis (&b);
  for (unsigned i = 0; i < machine->settings->smp.sockets; i++)
    write_processor (&b, i);
  write_ports (&b);
  ok = ok && write_slots (&b, error) && write_oem_strings (&b, error);
  write_memory (&b);
  write_mapping (&b, 0x1300, 0, info->low_ram);
  if (info->high_ram)
    write_mapping (&b, 0x1301, 4 * VM_GIB, info->high_ram);
  write_boot_info (&b);
  ok = ok && write_onboard (&b, error);
  write_end (&b);

  entry_size = make_entry (&b, entry);
  ok = ok && vm_fw_cfg_add_file (fw, "etc/smbios/smbios-tables", b.tables->data, b.tables->len, error)
       && vm_fw_cfg_add_file (fw, "etc/smbios/smbios-anchor", entry, entry_size, error);
  g_byte_array_unref (b.tables);
  g_ptr_array_unref (b.strings);
  return ok;
}
