/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images of formats that we only read, made here: Bochs, cloop, dmg, seSparse extents of VMDK. DATA is what the disk
 * holds. */
#pragma once

#include "engine/base/base.h"

#include <bzlib.h>
#include <zlib.h>

static inline void
foreign_add_zeros (GByteArray *to, gsize len)
{
  guint old = to->len;

  g_byte_array_set_size (to, old + len);
  memset (to->data + old, 0, len);
}

/* Extents of 16 KiB, in reverse order; sectors of zeros are left out. */
static inline GByteArray *
foreign_bochs (const uint8_t *data, gsize size)
{
  enum
  {
    EXTENT = 16384,
    BITMAP = 512
  };
  GByteArray *out = g_byte_array_new ();
  guint n = (size + EXTENT - 1) / EXTENT;

  foreign_add_zeros (out, 512 + 4 * n);
  memcpy (out->data, "Bochs Virtual HD Image", 22);
  memcpy (out->data + 32, "Redolog", 7);
  memcpy (out->data + 48, "Growing", 7);
  vm_store_le32 (out->data + 64, 0x20000);
  vm_store_le32 (out->data + 68, 512);
  vm_store_le32 (out->data + 72, n);
  vm_store_le32 (out->data + 76, BITMAP);
  vm_store_le32 (out->data + 80, EXTENT);
  vm_store_le64 (out->data + 88, size);
  for (guint i = 0; i < n; i++)
    {
      gsize at = out->len, from = (gsize) (n - 1 - i) * EXTENT;
      vm_store_le32 (out->data + 512 + 4 * (n - 1 - i), i);
      foreign_add_zeros (out, BITMAP + EXTENT);
      for (gsize sector = 0; sector < EXTENT / 512 && from + sector * 512 < size; sector++)
        {
          static const uint8_t zeros[512];
          const uint8_t *bytes = data + from + sector * 512;
          if (!memcmp (bytes, zeros, 512))
            continue;
          out->data[at + sector / 8] |= 1 << sector % 8;
          memcpy (out->data + at + BITMAP + sector * 512, bytes, 512);
        }
    }
  return out;
}

/* Grains in reverse order; those of zeros by turns not allocated, unmapped and zero. One table. */
static inline GByteArray *
foreign_vmdk_se (const uint8_t *data, gsize size)
{
  enum
  {
    GRAIN = 4096,
    DIRECTORY = 2,
    TABLES = 8,
    TABLE = 64,
    GRAINS = TABLES + 2 * TABLE
  };
  static const uint8_t zeros[GRAIN];
  GByteArray *out = g_byte_array_new ();
  guint n = size / GRAIN;
  const struct
  {
    unsigned at;
    uint64_t value;
  } header[] = { { 0, 0xcafebabe },  { 8, 0x200000001 }, { 16, size / 512 },       { 24, 8 },  { 32, TABLE },
                 { 80, 1 },          { 88, 1 },          { 128, DIRECTORY },       { 136, 1 }, { 144, TABLES },
                 { 152, 2 * TABLE }, { 192, GRAINS },    { 200, n * UINT64_C (8) } };

  foreign_add_zeros (out, GRAINS * 512);
  for (guint i = 0; i < G_N_ELEMENTS (header); i++)
    vm_store_le64 (out->data + header[i].at, header[i].value);
  vm_store_le64 (out->data + 512, 0xcafecafe);
  vm_store_le64 (out->data + DIRECTORY * 512, UINT64_C (0x1000000000000001));
  for (guint i = n, next = 0; i-- > 0;)
    {
      uint64_t entry = (uint64_t) (i % 3) << 60;
      if (memcmp (data + (gsize) i * GRAIN, zeros, GRAIN))
        {
          entry = UINT64_C (3) << 60 | (uint64_t) (next & 0xfff) << 48 | next >> 12;
          g_byte_array_append (out, data + (gsize) i * GRAIN, GRAIN);
          next++;
        }
      vm_store_le64 (out->data + (TABLES + TABLE) * 512 + i * 8, entry);
    }
  return out;
}

static inline void
foreign_deflate (GByteArray *to, const uint8_t *data, gsize len)
{
  uLongf room = compressBound (len);
  guint old = to->len;

  g_byte_array_set_size (to, old + room);
  g_assert_cmpint (compress2 (to->data + old, &room, data, len, 6), ==, Z_OK);
  g_byte_array_set_size (to, old + room);
}

/* Blocks of 8 KiB; SIZE is a multiple of them. */
static inline GByteArray *
foreign_cloop (const uint8_t *data, gsize size)
{
  enum
  {
    BLOCK = 8192
  };
  GByteArray *out = g_byte_array_new ();
  guint n = size / BLOCK;

  foreign_add_zeros (out, 136 + 8 * (n + 1));
  memcpy (out->data, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n", 83);
  vm_store_be32 (out->data + 128, BLOCK);
  vm_store_be32 (out->data + 132, n);
  for (guint i = 0; i <= n; i++)
    {
      vm_store_be64 (out->data + 136 + 8 * i, out->len);
      if (i < n)
        foreign_deflate (out, data + (gsize) i * BLOCK, BLOCK);
    }
  return out;
}

/* Chunks of 16 KiB: by turns plain, zlib, bzip2 and, when they are, zeros. */
static inline GByteArray *
foreign_dmg (const uint8_t *data, gsize size)
{
  enum
  {
    CHUNK = 16384
  };
  GByteArray *out = g_byte_array_new (), *table = g_byte_array_new ();
  guint n = (size + CHUNK - 1) / CHUNK;

  foreign_add_zeros (table, 204 + 40 * (n + 1));
  memcpy (table->data, "mish", 4);
  vm_store_be32 (table->data + 4, 1);
  vm_store_be64 (table->data + 16, size / 512);
  vm_store_be32 (table->data + 200, n + 1);
  for (guint i = 0; i < n; i++)
    {
      gsize from = (gsize) i * CHUNK, len = MIN (CHUNK, size - from), at = out->len;
      uint8_t *c = table->data + 204 + 40 * i;
      bool zero = true;
      for (gsize k = 0; k < len; k++)
        zero &= !data[from + k];
      uint32_t type = zero ? 0 : i % 3 == 0 ? 1 : i % 3 == 1 ? 0x80000005u : 0x80000006u;
      if (type == 1)
        g_byte_array_append (out, data + from, len);
      else if (type == 0x80000005u)
        foreign_deflate (out, data + from, len);
      else if (type)
        {
          unsigned room = len + len / 100 + 600;
          g_byte_array_set_size (out, at + room);
          g_assert_cmpint (
              BZ2_bzBuffToBuffCompress ((char *) out->data + at, &room, (char *) (uintptr_t) data + from, len, 5, 0, 0),
              ==, BZ_OK);
          g_byte_array_set_size (out, at + room);
        }
      vm_store_be32 (c, type);
      vm_store_be64 (c + 8, from / 512);
      vm_store_be64 (c + 16, len / 512);
      vm_store_be64 (c + 24, at);
      vm_store_be64 (c + 32, out->len - at);
    }
  vm_store_be32 (table->data + 204 + 40 * n, 0xffffffffu);
  g_autofree char *base64 = g_base64_encode (table->data, table->len);
  g_autofree char *list
      = g_strdup_printf ("<plist version=\"1.0\"><dict><key>resource-fork</key><dict><key>blkx</key>"
                         "<array><dict><key>Data</key><data>\n%s\n</data></dict></array></dict></dict>"
                         "</plist>\n",
                         base64);
  gsize data_len = out->len, list_len = strlen (list);
  g_byte_array_append (out, (guint8 *) list, list_len);
  gsize at = out->len;
  foreign_add_zeros (out, 512);
  memcpy (out->data + at, "koly", 4);
  vm_store_be32 (out->data + at + 4, 4);
  vm_store_be32 (out->data + at + 8, 512);
  vm_store_be64 (out->data + at + 0x20, data_len);
  vm_store_be64 (out->data + at + 0xd8, data_len);
  vm_store_be64 (out->data + at + 0xe0, list_len);
  vm_store_be64 (out->data + at + 0x1ec, size / 512);
  g_byte_array_unref (table);
  return out;
}
