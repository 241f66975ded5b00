/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New qcow2 images, and how big they would be. */
#include "block/bitmap.h"
#include "block/crypto/luks.h"
#include "block/qcow2/qcow2-private.h"

/* In the order in which they are told of. */
const VmCreateOption qcow2_create_options[] = {
  { "encryption", 'b', NULL, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)",
    false },
  { "encrypt.format", 's', NULL, "Encrypt the image, format choices: 'aes', 'luks'", false },
  { "encrypt.key-secret", 's', NULL, "ID of secret providing qcow AES key or LUKS passphrase", false },
  { "encrypt.cipher-alg", 's', NULL, "Name of encryption cipher algorithm", false },
  { "encrypt.cipher-mode", 's', NULL, "Name of encryption cipher mode", false },
  { "encrypt.ivgen-alg", 's', NULL, "Name of IV generator algorithm", false },
  { "encrypt.ivgen-hash-alg", 's', NULL, "Name of IV generator hash algorithm", false },
  { "encrypt.hash-alg", 's', NULL, "Name of encryption hash algorithm", false },
  { "encrypt.iter-time", 'n', NULL, "Time to spend in PBKDF in milliseconds", true },
  { "encrypt.keyslot", 'n', NULL, "Select a single keyslot to modify explicitly", true, true },
  { "encrypt.state", 's', NULL, "Select new state of affected keyslots (active/inactive)", true, true },
  { "encrypt.new-secret", 's', NULL, "New secret to set in the matching keyslots. Empty string to erase", true, true },
  { "encrypt.old-secret", 's', NULL, "Select all keyslots that match this password", true, true },
  { "cluster_size", 'z', "65536", "qcow2 cluster size", false },
  { "extended_l2", 'b', "off", "Extended L2 tables", false },
  { "preallocation", 's', NULL, "Preallocation mode (allowed values: off, metadata, falloc, full)", false },
  { "compression_type", 's', "zlib", "Compression method used for image cluster compression", false },
  VM_CREATE_SIZE,
  { "compat", 's', NULL, "Compatibility level (v2 [0.10] or v3 [1.1])", true },
  { "backing_file", 's', NULL, "File name of a base image", true },
  { "backing_fmt", 's', NULL, "Image format of the base image", true },
  { "data_file", 's', NULL, "File name of an external data file", true },
  { "data_file_raw", 'b', NULL, "The external data file must stay valid as a raw image", true },
  { "lazy_refcounts", 'b', "off", "Postpone refcount updates", true },
  { "refcount_bits", 'n', "16", "Width of a reference count entry in bits", true },
  { NULL, 0, NULL, NULL, false },
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

/* --- the values -------------------------------------------------------------------------------------------------- */

static bool
read_version (Qcow2 *s, const VmCreateValues *values, GError **error)
{
  const char *compat = vm_create_text (values, "compat");

  s->version = 3;
  if (!compat || g_str_equal (compat, "1.1") || g_str_equal (compat, "v3"))
    return true;
  if (!g_str_equal (compat, "0.10") && !g_str_equal (compat, "v2"))
    return fail (error, "Parameter 'version' does not accept value '%s'", compat);
  s->version = 2;
  return true;
}

static bool
needs_version_3 (Qcow2 *s, bool wanted, const char *what, GError **error)
{
  if (!wanted || s->version >= 3)
    return true;
  return fail (error, "%s compatibility level 1.1 %s above (use version=v3 or greater)", what,
               g_str_has_prefix (what, "Different") ? "or" : "and");
}

static bool
read_geometry (Qcow2 *s, const VmCreateValues *values, GError **error)
{
  uint64_t cluster_size = vm_create_number (values, "cluster_size"), bits = vm_create_number (values, "refcount_bits");
  const char *compression = vm_create_text (values, "compression_type");

  if (!vm_create_has (values, "cluster_size") && !cluster_size)
    cluster_size = 65536;
  if (!vm_create_has (values, "refcount_bits") && !bits)
    bits = 16;
  if (!vm_is_pow2 (cluster_size) || cluster_size < 512 || cluster_size > 2 * VM_MIB)
    return fail (error, "Cluster size must be a power of two between 512 and 2048k");
  s->cluster_bits = (unsigned) __builtin_ctzll (cluster_size);
  s->cluster_size = cluster_size;
  if (!vm_is_pow2 (bits) || bits > 64)
    return fail (error, "Refcount width must be a power of two and may not exceed 64 bits");
  s->refcount_order = (unsigned) __builtin_ctzll (bits);
  if (!needs_version_3 (s, bits != 16, "Different refcount widths than 16 bits require", error))
    return false;
  if (compression && !g_str_equal (compression, "zlib"))
    {
      if (!g_str_equal (compression, "zstd"))
        return fail (error, "Parameter 'compression-type' does not accept value '%s'", compression);
      if (!needs_version_3 (s, true, "Non-zlib compression type is only supported with", error))
        return false;
      s->compression = 1;
      s->incompatible |= INCOMPATIBLE_COMPRESSION;
    }
  s->sub_n = 1;
  s->entry_size = 8;
  if (vm_create_bool (values, "extended_l2"))
    {
      if (cluster_size < 16384)
        return fail (error, "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes");
      if (!needs_version_3 (s, true, "Extended L2 entries are only supported with", error))
        return false;
      s->sub_n = 32;
      s->entry_size = 16;
      s->incompatible |= INCOMPATIBLE_EXTENDED_L2;
    }
  s->sub_bits = s->cluster_bits - (s->sub_n == 32 ? 5 : 0);
  s->l2_bits = s->cluster_bits - (s->entry_size == 16 ? 4 : 3);
  if (vm_create_bool (values, "lazy_refcounts"))
    {
      if (!needs_version_3 (s, true, "Lazy refcounts only supported with", error))
        return false;
      s->compatible |= COMPATIBLE_LAZY;
    }
  return true;
}

static bool
read_preallocation (const VmCreateValues *values, VmPreallocation *prealloc, GError **error)
{
  static const char *const names[] = { "off", "metadata", "falloc", "full" };
  const char *text = vm_create_text (values, "preallocation");

  *prealloc = VM_PREALLOC_OFF;
  for (unsigned i = 0; text && i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (text, names[i]))
      {
        *prealloc = (VmPreallocation) i;
        return true;
      }
  return !text || fail (error, "Parameter 'preallocation' does not accept value '%s'", text);
}

static bool
read_links (Qcow2 *s, const VmCreateValues *values, VmPreallocation prealloc, GError **error)
{
  const char *backing = vm_create_text (values, "backing_file"), *format = vm_create_text (values, "backing_fmt");
  const char *data = vm_create_text (values, "data_file");
  bool raw = vm_create_bool (values, "data_file_raw");

  if (backing && !*backing)
    backing = NULL;
  if (format && !backing)
    return fail (error, "Backing format cannot be used without backing file");
  if (backing && prealloc != VM_PREALLOC_OFF && s->sub_n == 1)
    return fail (error, "Backing file and preallocation can only be used at the same time if extended_l2 is on");
  if (raw && !data)
    return fail (error, "data-file-raw requires data-file");
  if (backing && raw)
    return fail (error, "Backing file and data-file-raw cannot be used at the same time");
  if (data)
    {
      if (!needs_version_3 (s, true, "External data files are only supported with", error))
        return false;
      s->data_name = g_strdup (data);
      s->incompatible |= INCOMPATIBLE_DATA_FILE;
      s->autoclear |= raw ? AUTOCLEAR_RAW : 0;
    }
  if (backing && strlen (backing) > 1023)
    return fail (error, "Backing file name too long");
  if (format && strlen (format) >= 16)
    return fail (error, "Backing format name too long");
  s->backing_name = g_strdup (backing);
  s->backing_format = g_strdup (format);
  return true;
}

static bool
check_size (const Qcow2 *s, uint64_t size, const char *whose, GError **error)
{
  return (size <= INT64_MAX - s->cluster_size && (size >> (s->cluster_bits + s->l2_bits)) <= MAX_L1_BYTES / 8)
         || fail (error, "The image size is too large%s (try using a larger cluster size)", whose);
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

/* A disk of no bytes: header, refcount table, one refcount block. */
static int
write_empty (Qcow2 *s)
{
  uint8_t table[8];
  Qcow2Cached *e;
  int status;

  s->refcount_clusters = 1;
  s->refcount_n = (uint32_t) (s->cluster_size / 8);
  s->refcount_table = s->cluster_size;
  s->refcounts = g_new0 (uint64_t, s->refcount_n);
  s->refcounts[0] = 2 * s->cluster_size;
  s->refcount_used = 1;
  if ((status = qcow2_cache_get (&s->blocks, 2 * s->cluster_size, true, &e)) < 0)
    return status;
  for (unsigned i = 0; i < 3; i++)
    qcow2_block_set (s, e->data, i, 1);
  qcow2_cache_dirty (&s->blocks, e);
  qcow2_cache_put (e);
  s->high = 3 * s->cluster_size;
  s->free_hint = 3;
  vm_store_be64 (table, 2 * s->cluster_size);
  if ((status = qcow2_header_write (s)) < 0 || (status = qcow2_cache_write (&s->blocks)) < 0)
    return status;
  return qcow2_meta_write (s, s->cluster_size, table, sizeof table, OVERLAP_REFCOUNT_TABLE);
}

static bool
open_data (Qcow2 *s, VmBlockGraph *graph, VmNode *file, uint64_t size, GError **error)
{
  g_autofree char *folder = NULL, *path = NULL;
  const char *name = s->data_name;

  if (!name)
    return true;
  if (!g_path_is_absolute (name) && !g_uri_peek_scheme (name))
    {
      folder = g_path_get_dirname (file->filename);
      path = g_build_filename (folder, name, NULL);
      name = path;
    }
  /* A new file; one that is there is used as it is, and what it holds with it. */
  if (!g_uri_peek_scheme (name) && !g_file_test (name, G_FILE_TEST_EXISTS) && !g_file_set_contents (name, "", 0, error))
    return false;
  s->new_data = vm_node_open_name (graph, name, "raw", NULL, 0, error);
  return s->new_data
         && (s->new_data->size >= size || vm_node_truncate (s->new_data, size, false, VM_PREALLOC_OFF, 0, error) >= 0);
}

bool
qcow2_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
              GError **error)
{
  Qcow2 *s = g_new0 (Qcow2, 1);
  VmPreallocation prealloc;
  int status = 0;
  bool ok;

  s->new_file = file;
  s->snapshots = g_ptr_array_new ();
  s->extensions = g_array_new (FALSE, FALSE, sizeof (Qcow2Extension));
  for (unsigned i = 0; i < 2; i++)
    s->freed[i] = g_array_new (FALSE, FALSE, sizeof (Qcow2Freed));
  ok = read_version (s, values, error) && read_geometry (s, values, error)
       && read_preallocation (values, &prealloc, error) && read_links (s, values, prealloc, error)
       && check_size (s, size, " for file format 'qcow2'", error);
  if (!ok || !file)
    {
      ok = ok && qcow2_crypt_create (s, graph, values, error);
      qcow2_unload (s);
      g_free (s);
      return ok;
    }
  ok = qcow2_make_caches (s, error) && open_data (s, graph, file, size, error);
  if (ok && s->autoclear & AUTOCLEAR_RAW && prealloc == VM_PREALLOC_OFF)
    prealloc = VM_PREALLOC_METADATA; /* what the raw file holds is the disk */
  if (ok && (status = write_empty (s)) < 0)
    ok = fail (error, "Could not write qcow2 header: %s",
               status == -ENOSPC ? "it does not fit into a cluster" : g_strerror (-status));
  ok = ok && qcow2_crypt_create (s, graph, values, error) && qcow2_resize (s, VM_ALIGN_UP (size, 512), prealloc, error);
  if (ok
      && ((status = qcow2_close_tables (s)) < 0 || (status = qcow2_header_write (s)) < 0
          || (status = vm_node_flush (file)) < 0))
    ok = fail (error, "Could not write qcow2 header: %s", g_strerror (-status));
  if (s->new_data)
    vm_node_unref (s->new_data);
  qcow2_unload (s);
  g_free (s);
  return ok;
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Bytes of all metadata of an image whose clusters are all there. */
static uint64_t
metadata_size (const Qcow2 *s, uint64_t size)
{
  uint64_t data = qcow2_clusters (s, size), tables = (data + VM_BIT (s->l2_bits) - 1) >> s->l2_bits;
  uint64_t l1 = qcow2_clusters (s, tables * 8), per_block = VM_BIT (s->cluster_bits + 3 - s->refcount_order);
  uint64_t blocks = 0, table = 0, fixed = 1 + l1 + tables;

  for (;;)
    {
      uint64_t b = (data + fixed + blocks + table + per_block - 1) / per_block, t = qcow2_clusters (s, b * 8);

      if (b == blocks && t == table)
        return (fixed + blocks + table) << s->cluster_bits;
      blocks = b;
      table = t;
    }
}

static bool
measure_source (const Qcow2 *s, VmNode *source, uint64_t *bytes, GError **error)
{
  uint64_t counted = 0; /* end of the last cluster counted */

  for (uint64_t offset = 0; offset < source->size;)
    {
      VmExtent extent;
      int status = vm_node_status_above (source, NULL, offset, source->size - offset, &extent);
      uint64_t len;

      if (status < 0 || !extent.len)
        return fail (error, "Unable to get block status: %s", g_strerror (status < 0 ? -status : EIO));
      len = MIN (extent.len, source->size - offset);
      if (extent.flags & VM_EXTENT_DATA && !(extent.flags & VM_EXTENT_ZERO))
        {
          uint64_t begin = MAX (VM_ALIGN_DOWN (offset, s->cluster_size), counted),
                   end = VM_ALIGN_UP (offset + len, s->cluster_size);

          *bytes += end > begin ? end - begin : 0;
          counted = MAX (counted, end);
        }
      offset += len;
    }
  return true;
}

/* What the bitmaps of SOURCE take when they come along. */
static uint64_t
bitmaps_size (const Qcow2 *s, const VmNode *source)
{
  uint64_t clusters = 0, directory = 0;

  for (guint i = 0; source && source->bitmaps && i < source->bitmaps->len; i++)
    {
      const VmDirtyBitmap *b = source->bitmaps->pdata[i];
      if (!b->persistent || b->inconsistent)
        continue;
      uint64_t n = (vm_bitmap_bits (b) + 7) / 8;
      n = VM_ALIGN_UP (n, s->cluster_size) >> s->cluster_bits;
      clusters += n + (VM_ALIGN_UP (n * 8, s->cluster_size) >> s->cluster_bits);
      directory += VM_ALIGN_UP (24 + strlen (b->name), 8);
    }
  return (clusters << s->cluster_bits) + VM_ALIGN_UP (directory, s->cluster_size);
}

bool
qcow2_measure (const VmCreateValues *values, uint64_t size, VmNode *source, uint64_t *required, uint64_t *fully,
               uint64_t *bitmaps, GError **error)
{
  Qcow2 s = { 0 };
  VmPreallocation prealloc;
  uint64_t metadata, data = 0;

  if (!read_version (&s, values, error) || !read_geometry (&s, values, error)
      || !read_preallocation (values, &prealloc, error))
    return false;
  size = VM_ALIGN_UP (source ? source->size : size, 512);
  if (!check_size (&s, size, "", error))
    return false;
  if (source && !measure_source (&s, source, &data, error))
    return false;
  metadata = metadata_size (&s, size);
  if (g_strcmp0 (vm_create_text (values, "encrypt.format"), "luks") == 0)
    {
      VmLuksParams params;
      uint64_t header;

      if (!vm_luks_take_params (&params, values, "encrypt.", error) || !(header = vm_luks_measure (&params, error)))
        return false;
      metadata += VM_ALIGN_UP (header, s.cluster_size);
    }
  *fully = metadata + VM_ALIGN_UP (size, s.cluster_size);
  *required = prealloc == VM_PREALLOC_FALLOC || prealloc == VM_PREALLOC_FULL ? *fully : metadata + data;
  if (bitmaps)
    *bitmaps = bitmaps_size (&s, source);
  return true;
}
