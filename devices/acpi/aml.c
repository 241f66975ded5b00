/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AML encoding. */
#include "devices/acpi/aml.h"

enum { EXT_OP = 0x5b, NAME_OP = 0x08, SCOPE_OP = 0x10, BUFFER_OP = 0x11, PACKAGE_OP = 0x12, METHOD_OP = 0x14,
       DUAL_PREFIX = 0x2e, MULTI_PREFIX = 0x2f, IF_OP = 0xa0, ELSE_OP = 0xa1, WHILE_OP = 0xa2, BYTE_PREFIX = 0x0a,
       WORD_PREFIX = 0x0b, DWORD_PREFIX = 0x0c, STRING_PREFIX = 0x0d, QWORD_PREFIX = 0x0e, REGION_OP = 0x80,
       FIELD_OP = 0x81, DEVICE_OP = 0x82, PROCESSOR_OP = 0x83 };

VmAml *
vm_aml_new (void)
{
  VmAml *aml = g_new0 (VmAml, 1);

  aml->bytes = g_byte_array_new ();
  aml->open = g_array_new (FALSE, FALSE, sizeof (uint32_t));
  return aml;
}

void
vm_aml_free (VmAml *aml)
{
  g_byte_array_unref (aml->bytes);
  g_array_unref (aml->open);
  g_free (aml);
}

void
vm_aml_op (VmAml *aml, uint8_t op)
{
  g_byte_array_append (aml->bytes, &op, 1);
}

static void
aml_le (GByteArray *bytes, uint64_t value, unsigned size)
{
  uint8_t out[8];

  vm_store_le (out, value, size);
  g_byte_array_append (bytes, out, size);
}

static void
aml_begin (VmAml *aml)
{
  uint32_t at = aml->bytes->len;

  g_array_append_val (aml->open, at);
}

/* A package length counts its own one to four bytes (20.2.4). */
static unsigned
aml_pkg_length (uint8_t out[4], uint32_t body)
{
  unsigned n = body + 1 < 64 ? 1 : body + 2 < 4096 ? 2 : body + 3 < 1048576 ? 3 : 4;
  uint32_t length = body + n;

  if (n == 1)
    out[0] = length;
  else
    {
      out[0] = (n - 1) << 6 | (length & 15);
      for (unsigned i = 1; i < n; i++)
        out[i] = length >> (4 + 8 * (i - 1));
    }
  return n;
}

void
vm_aml_end (VmAml *aml)
{
  uint32_t at = g_array_index (aml->open, uint32_t, aml->open->len - 1);
  uint32_t body = aml->bytes->len - at;
  uint8_t length[4];
  unsigned n = aml_pkg_length (length, body);

  g_array_set_size (aml->open, aml->open->len - 1);
  g_byte_array_set_size (aml->bytes, aml->bytes->len + n);
  memmove (aml->bytes->data + at + n, aml->bytes->data + at, body);
  memcpy (aml->bytes->data + at, length, n);
}

void
vm_aml_int (VmAml *aml, uint64_t value)
{
  if (value <= 1)
    vm_aml_op (aml, value);
  else if (value == UINT64_MAX)
    vm_aml_op (aml, VM_AML_ONES);
  else
    {
      unsigned size = value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;

      vm_aml_op (aml, size == 1 ? BYTE_PREFIX : size == 2 ? WORD_PREFIX : size == 4 ? DWORD_PREFIX : QWORD_PREFIX);
      aml_le (aml->bytes, value, size);
    }
}

void
vm_aml_string (VmAml *aml, const char *text)
{
  vm_aml_op (aml, STRING_PREFIX);
  g_byte_array_append (aml->bytes, (const uint8_t *) text, strlen (text) + 1);
}

static void
aml_name_segment (GByteArray *bytes, const char *text, size_t len)
{
  uint8_t segment[4] = { '_', '_', '_', '_' };

  g_assert (len <= 4);
  memcpy (segment, text, len);
  g_byte_array_append (bytes, segment, 4);
}

void
vm_aml_path (VmAml *aml, const char *path)
{
  while (*path == '\\' || *path == '^')
    vm_aml_op (aml, *path++);

  g_auto (GStrv) segments = g_strsplit (path, ".", -1);
  unsigned n = *path ? g_strv_length (segments) : 0;

  if (n == 0)
    vm_aml_op (aml, 0);
  else if (n == 2)
    vm_aml_op (aml, DUAL_PREFIX);
  else if (n > 2)
    {
      vm_aml_op (aml, MULTI_PREFIX);
      vm_aml_op (aml, n);
    }
  for (unsigned i = 0; i < n; i++)
    aml_name_segment (aml->bytes, segments[i], strlen (segments[i]));
}

/* Compressed EISA ID (19.6.36): three letters of five bits, four hexadecimal digits; big-endian. */
void
vm_aml_eisa_id (VmAml *aml, const char *id)
{
  uint32_t value = (uint32_t) (id[0] - 0x40) << 26 | (uint32_t) (id[1] - 0x40) << 21
                   | (uint32_t) (id[2] - 0x40) << 16 | strtoul (id + 3, NULL, 16);

  vm_aml_op (aml, DWORD_PREFIX);
  aml_le (aml->bytes, GUINT32_SWAP_LE_BE (value), 4);
}

void
vm_aml_buffer (VmAml *aml, const void *data, size_t size)
{
  vm_aml_op (aml, BUFFER_OP);
  aml_begin (aml);
  vm_aml_int (aml, size);
  g_byte_array_append (aml->bytes, data, size);
  vm_aml_end (aml);
}

void
vm_aml_name (VmAml *aml, const char *path)
{
  vm_aml_op (aml, NAME_OP);
  vm_aml_path (aml, path);
}

void
vm_aml_name_int (VmAml *aml, const char *path, uint64_t value)
{
  vm_aml_name (aml, path);
  vm_aml_int (aml, value);
}

void
vm_aml_name_string (VmAml *aml, const char *path, const char *text)
{
  vm_aml_name (aml, path);
  vm_aml_string (aml, text);
}

void
vm_aml_name_eisa_id (VmAml *aml, const char *path, const char *id)
{
  vm_aml_name (aml, path);
  vm_aml_eisa_id (aml, id);
}

void
vm_aml_scope_begin (VmAml *aml, const char *path)
{
  vm_aml_op (aml, SCOPE_OP);
  aml_begin (aml);
  vm_aml_path (aml, path);
}

void
vm_aml_device_begin (VmAml *aml, const char *path)
{
  vm_aml_op (aml, EXT_OP);
  vm_aml_op (aml, DEVICE_OP);
  aml_begin (aml);
  vm_aml_path (aml, path);
}

void
vm_aml_method_begin (VmAml *aml, const char *path, unsigned args, bool serialized)
{
  vm_aml_op (aml, METHOD_OP);
  aml_begin (aml);
  vm_aml_path (aml, path);
  vm_aml_op (aml, args | (serialized ? 8 : 0));
}

void
vm_aml_package_begin (VmAml *aml, unsigned elements)
{
  vm_aml_op (aml, PACKAGE_OP);
  aml_begin (aml);
  vm_aml_op (aml, elements);
}

void
vm_aml_if_begin (VmAml *aml)
{
  vm_aml_op (aml, IF_OP);
  aml_begin (aml);
}

void
vm_aml_else_begin (VmAml *aml)
{
  vm_aml_op (aml, ELSE_OP);
  aml_begin (aml);
}

void
vm_aml_while_begin (VmAml *aml)
{
  vm_aml_op (aml, WHILE_OP);
  aml_begin (aml);
}

void
vm_aml_operation_region (VmAml *aml, const char *path, unsigned space, uint64_t offset, uint64_t length)
{
  vm_aml_op (aml, EXT_OP);
  vm_aml_op (aml, REGION_OP);
  vm_aml_path (aml, path);
  vm_aml_op (aml, space);
  vm_aml_int (aml, offset);
  vm_aml_int (aml, length);
}

void
vm_aml_field_begin (VmAml *aml, const char *region, unsigned access)
{
  vm_aml_op (aml, EXT_OP);
  vm_aml_op (aml, FIELD_OP);
  aml_begin (aml);
  vm_aml_path (aml, region);
  vm_aml_op (aml, access); /* no lock, preserve */
}

/* A field's bit length is written like a package length, without counting itself. */
void
vm_aml_field_unit (VmAml *aml, const char *name, unsigned bits)
{
  if (name)
    aml_name_segment (aml->bytes, name, strlen (name));
  else
    vm_aml_op (aml, 0);
  if (bits < 64)
    vm_aml_op (aml, bits);
  else
    {
      vm_aml_op (aml, 1 << 6 | (bits & 15));
      vm_aml_op (aml, bits >> 4);
    }
}

void
vm_aml_processor_begin (VmAml *aml, const char *path, uint8_t id)
{
  vm_aml_op (aml, EXT_OP);
  vm_aml_op (aml, PROCESSOR_OP);
  aml_begin (aml);
  vm_aml_path (aml, path);
  vm_aml_op (aml, id);
  aml_le (aml->bytes, 0, 4); /* no processor block */
  vm_aml_op (aml, 0);
}

/* --- resources (6.4) ------------------------------------------------------------------------------ */

struct VmAmlResources {
  GByteArray *bytes;
};

VmAmlResources *
vm_aml_resources_new (void)
{
  VmAmlResources *res = g_new0 (VmAmlResources, 1);

  res->bytes = g_byte_array_new ();
  return res;
}

void
vm_aml_resources_end (VmAml *aml, VmAmlResources *res)
{
  aml_le (res->bytes, 0x0079, 2); /* end tag; a zero checksum means none */
  vm_aml_buffer (aml, res->bytes->data, res->bytes->len);
  g_byte_array_unref (res->bytes);
  g_free (res);
}

void
vm_aml_res_io (VmAmlResources *res, uint16_t min, uint16_t max, uint8_t align, uint8_t length)
{
  aml_le (res->bytes, 0x0147, 2); /* decodes 16 bits */
  aml_le (res->bytes, min, 2);
  aml_le (res->bytes, max, 2);
  aml_le (res->bytes, align, 1);
  aml_le (res->bytes, length, 1);
}

void
vm_aml_res_irq_noflags (VmAmlResources *res, unsigned irq)
{
  aml_le (res->bytes, 0x22, 1);
  aml_le (res->bytes, 1u << irq, 2);
}

void
vm_aml_res_irqs (VmAmlResources *res, uint16_t mask, bool level, bool active_low, bool shared)
{
  aml_le (res->bytes, 0x23, 1);
  aml_le (res->bytes, mask, 2);
  aml_le (res->bytes, (level ? 0 : 1) | (active_low ? 8 : 0) | (shared ? 16 : 0), 1);
}

void
vm_aml_res_interrupt (VmAmlResources *res, bool shared, const uint32_t *irqs, unsigned n)
{
  aml_le (res->bytes, 0x89, 1);
  aml_le (res->bytes, 2 + 4 * n, 2);
  aml_le (res->bytes, 1 | (shared ? 8 : 0), 1); /* consumer, level, active high */
  aml_le (res->bytes, n, 1);
  for (unsigned i = 0; i < n; i++)
    aml_le (res->bytes, irqs[i], 4);
}

void
vm_aml_res_dma (VmAmlResources *res, uint8_t mask)
{
  aml_le (res->bytes, 0x2a, 1);
  aml_le (res->bytes, mask, 1);
  aml_le (res->bytes, 0, 1); /* compatibility mode, 8 bits, no bus master */
}

void
vm_aml_res_fixed_memory (VmAmlResources *res, uint32_t base, uint32_t length, bool writable)
{
  aml_le (res->bytes, 0x86, 1);
  aml_le (res->bytes, 9, 2);
  aml_le (res->bytes, writable, 1);
  aml_le (res->bytes, base, 4);
  aml_le (res->bytes, length, 4);
}

/* Word, dword or qword address space descriptor: fixed minimum and maximum, producer. */
static void
aml_res_window (VmAmlResources *res, uint8_t tag, unsigned size, uint8_t type, uint8_t specific, uint64_t min,
                uint64_t max)
{
  aml_le (res->bytes, tag, 1);
  aml_le (res->bytes, 3 + 5 * size, 2);
  aml_le (res->bytes, type, 1);
  aml_le (res->bytes, 0x0c, 1); /* min and max fixed, positive decode */
  aml_le (res->bytes, specific, 1);
  aml_le (res->bytes, 0, size); /* granularity */
  aml_le (res->bytes, min, size);
  aml_le (res->bytes, max, size);
  aml_le (res->bytes, 0, size); /* translation */
  aml_le (res->bytes, max - min + 1, size);
}

void
vm_aml_res_bus (VmAmlResources *res, uint16_t min, uint16_t max)
{
  aml_res_window (res, 0x88, 2, 2, 0, min, max);
}

void
vm_aml_res_io_window (VmAmlResources *res, uint16_t min, uint16_t max)
{
  aml_res_window (res, 0x88, 2, 1, 3, min, max); /* whole range */
}

void
vm_aml_res_memory_window (VmAmlResources *res, uint32_t min, uint32_t max, bool cacheable)
{
  aml_res_window (res, 0x87, 4, 0, cacheable ? 3 : 1, min, max); /* read-write */
}

void
vm_aml_res_memory_window64 (VmAmlResources *res, uint64_t min, uint64_t max)
{
  aml_res_window (res, 0x8a, 8, 0, 3, min, max);
}
