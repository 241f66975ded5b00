/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The header of a qcow2 image and its extensions. After the qcow2 specification, "Header" to "Full disk encryption
 * header pointer". What is not known is kept. */
#include "block/qcow2/qcow2-private.h"

static const struct Feature
{
  uint8_t type, bit;
  const char *name;
} features[] = {
  { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
  { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
  { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static bool fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static bool
fail (GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
  return false;
}

/* --- reading ----------------------------------------------------------------------------------------- */

static bool
read_fixed (Qcow2 *s, const uint8_t *h, GError **error)
{
  unsigned header_length = HEADER_V2_LENGTH;
  uint64_t backing = vm_load_be64 (h + HEADER_BACKING_OFFSET);

  if (vm_load_be32 (h) != QCOW2_MAGIC)
    return fail (error, "Image is not in qcow2 format");
  s->version = vm_load_be32 (h + 4);
  if (s->version != 2 && s->version != 3)
    return fail (error, "Unsupported qcow2 version %u", s->version);
  s->cluster_bits = vm_load_be32 (h + HEADER_CLUSTER_BITS);
  if (s->cluster_bits < 9 || s->cluster_bits > 21)
    return fail (error, "Unsupported cluster size: 2^%u", s->cluster_bits);
  s->cluster_size = UINT64_C (1) << s->cluster_bits;
  s->refcount_order = 4;
  if (s->version >= 3)
    {
      s->incompatible = vm_load_be64 (h + HEADER_INCOMPATIBLE);
      s->compatible = vm_load_be64 (h + HEADER_COMPATIBLE);
      s->autoclear = vm_load_be64 (h + HEADER_AUTOCLEAR);
      s->refcount_order = vm_load_be32 (h + HEADER_REFCOUNT_ORDER);
      header_length = vm_load_be32 (h + HEADER_LENGTH);
      if (header_length < HEADER_V3_LENGTH)
        return fail (error, "qcow2 header too short");
    }
  if (header_length > s->cluster_size)
    return fail (error, "qcow2 header exceeds cluster size");
  if (backing > s->cluster_size)
    return fail (error, "Invalid backing file offset");
  if (s->version >= 3 && header_length > HEADER_COMPRESSION)
    s->compression = h[HEADER_COMPRESSION];
  if (s->incompatible & INCOMPATIBLE_COMPRESSION && !s->compression)
    return fail (error, "qcow2: Compression type incompatible feature bit must not be set");
  if (!(s->incompatible & INCOMPATIBLE_COMPRESSION) && s->compression)
    return fail (error, "qcow2: Compression type incompatible feature bit must be set");
  if (s->compression > 1)
    return fail (error, "qcow2: unknown compression type: %u", s->compression);
  if (header_length > HEADER_OUR_LENGTH)
    s->header_rest = g_bytes_new (h + HEADER_OUR_LENGTH, header_length - HEADER_OUR_LENGTH);
  if (s->refcount_order > 6)
    return fail (error, "Reference count entry width too large; may not exceed 64 bits");
  s->crypt_method = vm_load_be32 (h + HEADER_CRYPT_METHOD);
  if (s->crypt_method > CRYPT_LUKS)
    return fail (error, "Unsupported encryption method %u", s->crypt_method);
  s->size = vm_load_be64 (h + HEADER_SIZE);
  return true;
}

static bool
read_bitmaps_extension (Qcow2 *s, const uint8_t *p, uint32_t len, GError **error)
{
  uint64_t most = UINT64_C (65535) * 1024;

  if (len != 24)
    return fail (error, "bitmaps_ext: Invalid extension length");
  if (!(s->autoclear & AUTOCLEAR_BITMAPS))
    return true; /* not consistent: as if it were not there */
  s->n_bitmaps = vm_load_be32 (p);
  s->bitmap_directory_len = vm_load_be64 (p + 8);
  s->bitmap_directory = vm_load_be64 (p + 16);
  if (vm_load_be32 (p + 4))
    return fail (error, "bitmaps_ext: Reserved field is not zero");
  if (s->n_bitmaps > 65535)
    return fail (error, "bitmaps_ext: Image has %u bitmaps, exceeding the supported maximum of 65535", s->n_bitmaps);
  if (!s->n_bitmaps)
    return fail (error, "found bitmaps extension with zero bitmaps");
  if (!s->bitmap_directory || s->bitmap_directory & (s->cluster_size - 1) || s->bitmap_directory >= MAX_HOST)
    return fail (error, "bitmaps_ext: invalid bitmap directory offset");
  if (s->bitmap_directory_len > most)
    return fail (error,
                 "bitmaps_ext: bitmap directory size (%" PRIu64 ") exceeds the maximum supported size (%" PRIu64 ")",
                 s->bitmap_directory_len, most);
  return true;
}

static bool
read_crypt_extension (Qcow2 *s, const uint8_t *p, uint32_t len, GError **error)
{
  if (s->crypt_method != CRYPT_LUKS)
    return fail (error, "CRYPTO header extension only expected with LUKS encryption method");
  if (len != 16)
    return fail (error, "CRYPTO header extension size %u, but expected size 16", len);
  s->crypt_offset = vm_load_be64 (p);
  s->crypt_len = vm_load_be64 (p + 8);
  if (s->crypt_offset & (s->cluster_size - 1) || s->crypt_offset >= MAX_HOST || s->crypt_len > 64 * VM_MIB)
    return fail (error, "Encryption header offset '%" PRIu64 "' is not a multiple of cluster size '%u'",
                 s->crypt_offset, (unsigned) s->cluster_size);
  return true;
}

static bool
read_extensions (Qcow2 *s, const uint8_t *h, uint64_t at, uint64_t end, GBytes **table, GError **error)
{
  while (at + 8 <= end)
    {
      uint32_t type = vm_load_be32 (h + at), len = vm_load_be32 (h + at + 4);
      const uint8_t *p = h + at + 8;
      Qcow2Extension unknown;

      at += 8;
      if (type == EXT_END)
        return true;
      if (len > end - at)
        return fail (error, "Header extension too large");
      switch (type)
        {
        case EXT_BACKING_FORMAT:
          if (len >= 16)
            return fail (error, "ERROR: ext_backing_format: len=%u too large (>=16)", len);
          g_free (s->backing_format);
          s->backing_format = g_strndup ((const char *) p, len);
          break;
        case EXT_FEATURES:
          g_clear_pointer (table, g_bytes_unref);
          *table = g_bytes_new (p, len);
          break;
        case EXT_BITMAPS:
          if (!read_bitmaps_extension (s, p, len, error))
            return false;
          break;
        case EXT_CRYPT:
          if (!read_crypt_extension (s, p, len, error))
            return false;
          break;
        case EXT_DATA_FILE:
          g_free (s->data_name);
          s->data_name = g_strndup ((const char *) p, len);
          break;
        default:
          unknown = (Qcow2Extension){ type, g_bytes_new (p, len) };
          g_array_append_val (s->extensions, unknown);
        }
      at += VM_ALIGN_UP (len, 8);
    }
  return true;
}

/* Names those of BITS as the image does. */
static bool
refuse_features (uint64_t bits, GBytes *table, GError **error)
{
  g_autoptr (GString) text = g_string_new ("Unsupported qcow2 feature(s): ");
  gsize size = 0;
  const uint8_t *p = table ? g_bytes_get_data (table, &size) : NULL;
  const char *comma = "";

  for (gsize at = 0; at + 48 <= size; at += 48)
    if (p[at] == 0 && p[at + 1] < 64 && bits & VM_BIT (p[at + 1]))
      {
        g_autofree char *name = g_strndup ((const char *) p + at + 2, 46), *safe = g_utf8_make_valid (name, -1);

        g_string_append_printf (text, "%s%s", comma, safe);
        bits &= ~VM_BIT (p[at + 1]);
        comma = ", ";
      }
  if (bits)
    g_string_append_printf (text, "%sUnknown incompatible feature: %" PRIx64, comma, bits);
  return fail (error, "%s", text->str);
}

static bool
read_backing_name (Qcow2 *s, const uint8_t *h, GError **error)
{
  uint64_t offset = vm_load_be64 (h + HEADER_BACKING_OFFSET);
  uint32_t len = vm_load_be32 (h + HEADER_BACKING_SIZE);

  if (!offset)
    return true;
  if (len > MIN (1023, s->cluster_size - offset) || len >= s->cluster_size)
    return fail (error, "Backing file name too long");
  s->backing_offset = offset;
  s->backing_name = g_strndup ((const char *) h + offset, len);
  if (!*s->backing_name)
    g_clear_pointer (&s->backing_name, g_free);
  return true;
}

static bool
check_features (Qcow2 *s, unsigned flags, GBytes *table, GError **error)
{
  if (s->incompatible & ~(uint64_t) INCOMPATIBLE_KNOWN)
    return refuse_features (s->incompatible & ~(uint64_t) INCOMPATIBLE_KNOWN, table, error);
  if ((s->incompatible & INCOMPATIBLE_CORRUPT) && !(flags & (VM_OPEN_READONLY | VM_OPEN_CHECK)))
    return fail (error, "qcow2: Image is corrupt; cannot be opened read/write");
  if (s->autoclear & AUTOCLEAR_RAW && !(s->incompatible & INCOMPATIBLE_DATA_FILE))
    return fail (error, "data-file-raw requires a data file");
  if (s->incompatible & INCOMPATIBLE_EXTENDED_L2)
    {
      if (s->cluster_bits < 14)
        return fail (error, "Unsupported subcluster size: %u", 1u << (s->cluster_bits - 5));
      s->sub_n = 32;
      s->entry_size = 16;
    }
  if (s->crypt_method == CRYPT_LUKS && !s->crypt_len)
    return fail (error, "Missing CRYPTO header for crypt method %u", s->crypt_method);
  return true;
}

bool
qcow2_header_read (Qcow2 *s, unsigned flags, GError **error)
{
  uint8_t fixed[HEADER_OUR_LENGTH];
  g_autofree uint8_t *h = NULL;
  g_autoptr (GBytes) table = NULL;
  uint64_t begin, end;
  int status = qcow2_meta_read (s, 0, fixed, sizeof fixed);

  if (status < 0)
    return fail (error, "Could not read qcow2 header: %s", g_strerror (-status));
  s->sub_n = 1;
  s->entry_size = 8;
  s->extensions = g_array_new (FALSE, FALSE, sizeof (Qcow2Extension));
  if (vm_load_be32 (fixed) != QCOW2_MAGIC || vm_load_be32 (fixed + HEADER_CLUSTER_BITS) - 9 > 12)
    return read_fixed (s, fixed, error);
  h = g_malloc (UINT64_C (1) << vm_load_be32 (fixed + HEADER_CLUSTER_BITS));
  if ((status = qcow2_meta_read (s, 0, h, UINT64_C (1) << vm_load_be32 (fixed + HEADER_CLUSTER_BITS))) < 0)
    return fail (error, "Could not read qcow2 header: %s", g_strerror (-status));
  if (!read_fixed (s, h, error))
    return false;
  begin = s->version == 2 ? HEADER_V2_LENGTH : vm_load_be32 (h + HEADER_LENGTH);
  end = vm_load_be64 (h + HEADER_BACKING_OFFSET);
  end = end ? end : s->cluster_size;
  if (!read_extensions (s, h, begin, end, &table, error) || !check_features (s, flags, table, error))
    return false;
  s->sub_bits = s->cluster_bits - (s->sub_n == 32 ? 5 : 0);
  s->l2_bits = s->cluster_bits - (s->entry_size == 16 ? 4 : 3);
  if (s->size > INT64_MAX - s->cluster_size || (s->size >> (s->cluster_bits + s->l2_bits)) >= INT32_MAX / 8)
    return fail (error, "Image is too big");
  return read_backing_name (s, h, error);
}

/* --- writing ------------------------------------------------------------------------------------------ */

typedef struct Writer
{
  uint8_t *bytes;
  size_t at, size;
  bool full;
} Writer;

/* 8 bytes stay for the end of the extensions. */
static void
put_extension (Writer *w, uint32_t type, const void *data, size_t len)
{
  if (w->full || len > w->size || w->size - w->at < 16 + VM_ALIGN_UP (len, 8))
    {
      w->full = true;
      return;
    }
  vm_store_be32 (w->bytes + w->at, type);
  vm_store_be32 (w->bytes + w->at + 4, (uint32_t) len);
  memcpy (w->bytes + w->at + 8, data, len);
  w->at += 8 + VM_ALIGN_UP (len, 8);
}

/* Names for those who do not know what this image needs, where there is room for them. */
static void
put_feature_names (Writer *w, size_t keep)
{
  uint8_t names[G_N_ELEMENTS (features) * 48] = { 0 };

  if (w->size - w->at < sizeof names + 16 + keep)
    return;
  for (unsigned i = 0; i < G_N_ELEMENTS (features); i++)
    {
      names[i * 48] = features[i].type;
      names[i * 48 + 1] = features[i].bit;
      memcpy (names + i * 48 + 2, features[i].name, strlen (features[i].name));
    }
  put_extension (w, EXT_FEATURES, names, sizeof names);
}

static void
put_extensions (Qcow2 *s, Writer *w)
{
  uint8_t block[24] = { 0 };

  if (s->backing_format)
    put_extension (w, EXT_BACKING_FORMAT, s->backing_format, strlen (s->backing_format));
  if (s->data_name && qcow2_external (s))
    put_extension (w, EXT_DATA_FILE, s->data_name, strlen (s->data_name));
  if (s->crypt_method == CRYPT_LUKS)
    {
      vm_store_be64 (block, s->crypt_offset);
      vm_store_be64 (block + 8, s->crypt_len);
      put_extension (w, EXT_CRYPT, block, 16);
    }
  if (s->n_bitmaps)
    {
      vm_store_be32 (block, s->n_bitmaps);
      vm_store_be32 (block + 4, 0);
      vm_store_be64 (block + 8, s->bitmap_directory_len);
      vm_store_be64 (block + 16, s->bitmap_directory);
      put_extension (w, EXT_BITMAPS, block, 24);
    }
  for (guint i = 0; i < s->extensions->len; i++)
    {
      const Qcow2Extension *e = &g_array_index (s->extensions, Qcow2Extension, i);
      gsize len;
      const void *data = g_bytes_get_data (e->data, &len);

      put_extension (w, e->type, data, len);
    }
  if (s->version >= 3 && !w->full)
    put_feature_names (w, s->backing_name ? strlen (s->backing_name) : 0);
  if (!w->full)
    w->at += 8; /* zeros: the end */
}

static void
put_fixed (Qcow2 *s, uint8_t *h, size_t header_length)
{
  vm_store_be32 (h, QCOW2_MAGIC);
  vm_store_be32 (h + 4, s->version);
  vm_store_be32 (h + HEADER_CLUSTER_BITS, s->cluster_bits);
  vm_store_be64 (h + HEADER_SIZE, s->size);
  vm_store_be32 (h + HEADER_CRYPT_METHOD, s->crypt_method);
  vm_store_be32 (h + HEADER_L1_SIZE, s->l1_size);
  vm_store_be64 (h + HEADER_L1_OFFSET, s->l1_offset);
  vm_store_be64 (h + HEADER_REFCOUNT_TABLE, s->refcount_table);
  vm_store_be32 (h + HEADER_REFCOUNT_CLUSTERS, s->refcount_clusters);
  vm_store_be32 (h + HEADER_NB_SNAPSHOTS, s->snapshots ? s->snapshots->len : 0);
  vm_store_be64 (h + HEADER_SNAPSHOTS_OFFSET, s->snapshots_offset);
  if (s->version < 3)
    return;
  vm_store_be64 (h + HEADER_INCOMPATIBLE, s->incompatible);
  vm_store_be64 (h + HEADER_COMPATIBLE, s->compatible);
  vm_store_be64 (h + HEADER_AUTOCLEAR, s->autoclear);
  vm_store_be32 (h + HEADER_REFCOUNT_ORDER, s->refcount_order);
  vm_store_be32 (h + HEADER_LENGTH, (uint32_t) header_length);
  h[HEADER_COMPRESSION] = s->compression;
  if (s->header_rest)
    {
      gsize len;
      const void *rest = g_bytes_get_data (s->header_rest, &len);

      memcpy (h + HEADER_OUR_LENGTH, rest, len);
    }
}

int
qcow2_header_write (Qcow2 *s)
{
  g_autofree uint8_t *h = g_malloc0 (s->cluster_size);
  size_t rest = s->version >= 3 && s->header_rest ? g_bytes_get_size (s->header_rest) : 0;
  size_t header_length = s->version == 2 ? HEADER_V2_LENGTH : HEADER_OUR_LENGTH + rest;
  Writer w = { h, header_length, s->cluster_size, header_length + 8 > s->cluster_size };

  if (w.full)
    return -ENOSPC;
  put_fixed (s, h, header_length);
  put_extensions (s, &w);
  if (s->backing_name)
    {
      size_t len = strlen (s->backing_name);

      if (w.full || len > w.size - w.at)
        return -ENOSPC;
      memcpy (h + w.at, s->backing_name, len);
      vm_store_be64 (h + HEADER_BACKING_OFFSET, w.at);
      vm_store_be32 (h + HEADER_BACKING_SIZE, (uint32_t) len);
      s->backing_offset = w.at;
    }
  if (w.full)
    return -ENOSPC;
  return qcow2_meta_write (s, 0, h, s->cluster_size, OVERLAP_MAIN_HEADER);
}

static int
write_incompatible (Qcow2 *s)
{
  uint8_t bytes[8];
  int status;

  vm_store_be64 (bytes, s->incompatible);
  status = vm_node_pwrite (qcow2_file (s), HEADER_INCOMPATIBLE, bytes, 8);
  return status < 0 ? status : vm_node_flush (qcow2_file (s));
}

int
qcow2_mark_dirty (Qcow2 *s)
{
  int status;

  if (s->dirty_marked)
    return 0;
  s->incompatible |= INCOMPATIBLE_DIRTY;
  if ((status = write_incompatible (s)) < 0)
    {
      s->incompatible &= ~(uint64_t) INCOMPATIBLE_DIRTY;
      return status;
    }
  s->dirty_marked = true;
  return 0;
}

/* With refcounts in the file that are right. */
int
qcow2_mark_clean (Qcow2 *s)
{
  int status;

  if (!(s->incompatible & INCOMPATIBLE_DIRTY))
    return 0;
  s->dirty_marked = false; /* refcounts are written again */
  if ((status = qcow2_write_back (s)) < 0 || (status = qcow2_meta_flush (s)) < 0)
    {
      s->dirty_marked = true;
      return status;
    }
  s->incompatible &= ~(uint64_t) INCOMPATIBLE_DIRTY;
  return write_incompatible (s);
}

void
qcow2_extensions_free (Qcow2 *s)
{
  for (guint i = 0; s->extensions && i < s->extensions->len; i++)
    g_bytes_unref (g_array_index (s->extensions, Qcow2Extension, i).data);
  g_clear_pointer (&s->extensions, g_array_unref);
}
