/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and closing qcow2 images: tables into memory and back, the options of an opened one, and what is done about a
 * damaged one. */
#include "block/qcow2/qcow2-private.h"

#include "engine/io/loop.h"

#define L2_CACHE_DEFAULT (32 * VM_MIB)
#define REFCOUNT_CACHE_LEAST 4 /* blocks */
#define CLEAN_INTERVAL 600

/* --- damage --------------------------------------------------------------------------------------------------- */

void
qcow2_corrupt (Qcow2 *s, bool fatal, int64_t offset, int64_t size, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL;

  if (s->incompatible & INCOMPATIBLE_CORRUPT && s->broken)
    return; /* said already */
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (fatal)
    {
      if (s->version >= 3 && !s->opened_readonly && !(s->incompatible & INCOMPATIBLE_CORRUPT))
        {
          uint8_t bytes[8];

          s->incompatible |= INCOMPATIBLE_CORRUPT;
          vm_store_be64 (bytes, s->incompatible);
          /* The image is refused from now on whether this works or not. */
          vm_node_pwrite (qcow2_file (s), HEADER_INCOMPATIBLE, bytes, 8);
        }
      s->incompatible |= INCOMPATIBLE_CORRUPT;
      s->broken = true;
    }
  if (s->node)
    vm_node_corrupt (s->node, fatal, offset, size, "%s", text);
}

bool
qcow2_check_table (const Qcow2 *s, uint64_t offset, uint64_t n, size_t size, uint64_t max, const char *name,
                   GError **error)
{
  if (n > max / size)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s too large", name);
      return false;
    }
  if (offset > INT64_MAX - n * size || offset & (s->cluster_size - 1))
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s offset invalid", name);
      return false;
    }
  return true;
}

/* --- tables ----------------------------------------------------------------------------------------------------- */

static uint64_t *
table_read (Qcow2 *s, uint64_t offset, uint64_t n, const char *name, GError **error)
{
  g_autofree uint64_t *table = g_try_malloc0_n (n + 1, sizeof *table);
  int status = table ? qcow2_meta_read (s, offset, table, n * sizeof *table) : -ENOMEM;

  if (status < 0)
    {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "Could not read %s: %s", name,
                   g_strerror (-status));
      return NULL;
    }
  for (uint64_t i = 0; i < n; i++)
    table[i] = GUINT64_FROM_BE (table[i]);
  return g_steal_pointer (&table);
}

static bool
load_l1 (Qcow2 *s, const uint8_t *h, GError **error)
{
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits);

  s->l1_size = vm_load_be32 (h + HEADER_L1_SIZE);
  s->l1_offset = vm_load_be64 (h + HEADER_L1_OFFSET);
  s->l1_vm_state = (uint32_t) (s->size / table_bytes + !!(s->size % table_bytes));
  if (!qcow2_check_table (s, s->l1_offset, s->l1_size, 8, MAX_L1_BYTES, "Active L1 table", error))
    return false;
  if (s->l1_size < s->l1_vm_state)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "L1 table is too small");
      return false;
    }
  if (s->l1_size && s->l1_offset >= qcow2_file (s)->size)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_IO, "Could not read L1 table: %s", g_strerror (EIO));
      return false;
    }
  return (s->l1 = table_read (s, s->l1_offset, s->l1_size, "L1 table", error)) != NULL;
}

static bool
load_refcounts (Qcow2 *s, const uint8_t *h, unsigned flags, GError **error)
{
  s->refcount_table = vm_load_be64 (h + HEADER_REFCOUNT_TABLE);
  s->refcount_clusters = vm_load_be32 (h + HEADER_REFCOUNT_CLUSTERS);
  if (s->refcount_clusters > MAX_REFCOUNT_TABLE_BYTES >> s->cluster_bits && s->refcount_clusters > 1)
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Reference count table too large");
      return false;
    }
  if (!s->refcount_clusters && !(flags & VM_OPEN_CHECK))
    {
      g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Image does not contain a reference count table");
      return false;
    }
  s->refcount_n = (uint32_t) (s->refcount_clusters * s->cluster_size / 8);
  if (!qcow2_check_table (s, s->refcount_table, s->refcount_n, 8, MAX (MAX_REFCOUNT_TABLE_BYTES, s->cluster_size),
                          "Reference count table", error)
      || !(s->refcounts = table_read (s, s->refcount_table, s->refcount_n, "refcount table", error)))
    return false;
  for (s->refcount_used = s->refcount_n; s->refcount_used && !s->refcounts[s->refcount_used - 1]; s->refcount_used--)
    ;
  return true;
}

bool
qcow2_load (Qcow2 *s, unsigned flags, GError **error)
{
  uint8_t h[HEADER_V3_LENGTH];
  int status;

  for (unsigned i = 0; i < 2; i++)
    s->freed[i] = g_array_new (FALSE, FALSE, sizeof (Qcow2Freed));
  g_queue_init (&s->allocations);
  s->high = qcow2_file (s)->size;
  s->opened_readonly = flags & VM_OPEN_READONLY;
  s->overlap = OVERLAP_CACHED;
  if (!qcow2_header_read (s, flags, error))
    return false;
  if ((status = qcow2_meta_read (s, 0, h, sizeof h)) < 0)
    {
      g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "Could not read qcow2 header: %s",
                   g_strerror (-status));
      return false;
    }
  return load_refcounts (s, h, flags, error) && load_l1 (s, h, error)
         && qcow2_snapshots_read (s, vm_load_be32 (h + HEADER_NB_SNAPSHOTS), vm_load_be64 (h + HEADER_SNAPSHOTS_OFFSET),
                                  flags & VM_OPEN_CHECK, error);
}

bool
qcow2_make_caches (Qcow2 *s, GError **error)
{
  uint64_t per_l2 = VM_BIT (s->cluster_bits + s->l2_bits), most = (s->size / per_l2 + 1) << s->cluster_bits;
  uint64_t piece = s->l2_piece ? s->l2_piece : MIN (s->cluster_size, 4096);
  uint64_t l2 = s->l2_cache_bytes ? MIN (s->l2_cache_bytes, most) : MIN (L2_CACHE_DEFAULT, most);
  uint64_t blocks = s->refcount_cache_bytes >> s->cluster_bits;

  if (!vm_is_pow2 (piece) || piece < 512 || piece > s->cluster_size)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                   "L2 cache entry size must be a power of two between 512 and the cluster size (%u)",
                   (unsigned) s->cluster_size);
      return false;
    }
  if (l2 / piece > INT32_MAX || blocks > INT32_MAX)
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s cache size too big",
                   blocks > INT32_MAX ? "Refcount" : "L2");
      return false;
    }
  qcow2_cache_init (&s->l2, s, piece, (unsigned) MAX (l2 / piece, 2), OVERLAP_ACTIVE_L2);
  qcow2_cache_init (&s->blocks, s, s->cluster_size, (unsigned) MAX (blocks, REFCOUNT_CACHE_LEAST),
                    OVERLAP_REFCOUNT_BLOCK);
  return true;
}

int
qcow2_close_tables (Qcow2 *s)
{
  int status, later;

  if (s->broken || s->opened_readonly)
    return 0;
  vm_fiber_mutex_lock (&s->lock);
  status = s->changed || !s->node ? qcow2_barrier (s) : 0;
  if (status >= 0 && s->dirty_marked)
    status = qcow2_mark_clean (s);
  else if ((later = qcow2_write_back (s)) < 0 && status >= 0)
    status = later;
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

void
qcow2_unload (Qcow2 *s)
{
  g_clear_pointer (&s->cleaner, vm_wakeup_free);
  qcow2_crypt_close (s);
  if (s->l2.by_offset)
    {
      qcow2_cache_free (&s->l2);
      qcow2_cache_free (&s->blocks);
    }
  for (unsigned i = 0; i < 2; i++)
    g_clear_pointer (&s->freed[i], g_array_unref);
  qcow2_extensions_free (s);
  g_clear_pointer (&s->snapshots, g_ptr_array_unref);
  g_clear_pointer (&s->bitmaps, g_ptr_array_unref);
  g_clear_pointer (&s->header_rest, g_bytes_unref);
  g_clear_pointer (&s->backing_name, g_free);
  g_clear_pointer (&s->backing_format, g_free);
  g_clear_pointer (&s->data_name, g_free);
  g_clear_pointer (&s->named, g_hash_table_unref);
  g_clear_pointer (&s->l1, g_free);
  g_clear_pointer (&s->refcounts, g_free);
  g_clear_pointer (&s->plain, g_free);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static bool
option_error (GError **error, const char *text)
{
  g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, text);
  return false;
}

static bool
read_cache_options (Qcow2 *s, const VmqBlockdevOptionsQcow2 *o, GError **error)
{
  uint64_t per_l2 = VM_BIT (s->cluster_bits + s->l2_bits), most = (s->size / per_l2 + 1) << s->cluster_bits;
  uint64_t least = REFCOUNT_CACHE_LEAST * s->cluster_size;

  s->l2_piece = o->has_l2_cache_entry_size ? o->l2_cache_entry_size : 0;
  s->l2_cache_bytes = o->has_l2_cache_size ? o->l2_cache_size : 0;
  s->refcount_cache_bytes = o->has_refcount_cache_size ? o->refcount_cache_size : 0;
  if (o->has_l2_cache_entry_size && !o->l2_cache_entry_size)
    s->l2_piece = 1; /* not a size, which is said later */
  if (o->has_cache_clean_interval && (o->cache_clean_interval < 0 || o->cache_clean_interval > UINT32_MAX))
    return option_error (error, "Cache clean interval too big");
  s->clean_interval = o->has_cache_clean_interval ? o->cache_clean_interval : CLEAN_INTERVAL;
  if (!o->has_cache_size)
    return true;
  if (o->has_l2_cache_size && o->has_refcount_cache_size)
    return option_error (error, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
  if (o->has_l2_cache_size && o->l2_cache_size > o->cache_size)
    return option_error (error, "l2-cache-size may not exceed cache-size");
  if (o->has_refcount_cache_size && o->refcount_cache_size > o->cache_size)
    return option_error (error, "refcount-cache-size may not exceed cache-size");
  if (o->has_l2_cache_size)
    s->refcount_cache_bytes = o->cache_size - o->l2_cache_size;
  else if (o->has_refcount_cache_size)
    s->l2_cache_bytes = MAX (o->cache_size - o->refcount_cache_size, 1);
  else
    { /* tables of the whole disk first, then refcounts */
      s->l2_cache_bytes = o->cache_size >= most + least ? most : MAX (o->cache_size - MIN (o->cache_size, least), 1);
      s->refcount_cache_bytes = o->cache_size - MIN (o->cache_size, s->l2_cache_bytes);
    }
  return true;
}

static const unsigned overlap_modes[] = {
  [VMQ_QCOW2_OVERLAP_CHECK_MODE_NONE] = 0,
  [VMQ_QCOW2_OVERLAP_CHECK_MODE_CONSTANT] = OVERLAP_CONSTANT,
  [VMQ_QCOW2_OVERLAP_CHECK_MODE_CACHED] = OVERLAP_CACHED,
  [VMQ_QCOW2_OVERLAP_CHECK_MODE_ALL] = OVERLAP_ALL,
};

static bool
read_overlap_options (Qcow2 *s, json_object *value, GError **error)
{
  static const char *const names[]
      = { "main-header",    "active-l1",   "active-l2",   "refcount-table",  "refcount-block",
          "snapshot-table", "inactive-l1", "inactive-l2", "bitmap-directory" };
  static const char *const modes[] = { "none", "constant", "cached", "all" };
  static const char *const on_words[] = { "on", "true", "yes", "y", NULL };
  static const char *const off_words[] = { "off", "false", "no", "n", NULL };
  const char *mode = NULL;
  json_object *member;

  if (!value)
    return true;
  if (json_object_is_type (value, json_type_string))
    mode = json_object_get_string (value);
  else if (json_object_object_get_ex (value, "template", &member))
    mode = json_object_get_string (member);
  for (unsigned i = 0; mode && i <= G_N_ELEMENTS (modes); i++)
    {
      if (i == G_N_ELEMENTS (modes))
        {
          g_set_error (
              error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
              "Unsupported value '%s' for qcow2 option 'overlap-check'. Allowed are any of the following: none, "
              "constant, cached, all",
              mode);
          return false;
        }
      if (g_str_equal (mode, modes[i]))
        {
          s->overlap = overlap_modes[i];
          break;
        }
    }
  if (!json_object_is_type (value, json_type_object))
    return true;
  json_object_object_foreach (value, key, switch_)
  {
    const char *text = json_object_is_type (switch_, json_type_null) ? "" : json_object_get_string (switch_);
    bool on = g_strv_contains (on_words, text);
    unsigned i = 0;

    while (i < G_N_ELEMENTS (names) && strcmp (names[i], key))
      i++;
    if (i < G_N_ELEMENTS (names) && !on && !g_strv_contains (off_words, text))
      return vm_fail (error, "Parameter 'overlap-check.%s' expects 'on' or 'off'", key);
    if (i == G_N_ELEMENTS (names) && strcmp (key, "template"))
      return vm_fail (error, "Parameter 'overlap-check.%s' is unexpected", key);
    if (i < G_N_ELEMENTS (names))
      s->overlap = on ? s->overlap | 1u << i : s->overlap & ~(1u << i);
  }
  return true;
}

static bool
read_options (Qcow2 *s, const VmqBlockdevOptionsQcow2 *o, GError **error)
{
  s->lazy = o->has_lazy_refcounts ? o->lazy_refcounts : s->compatible & COMPATIBLE_LAZY;
  if (s->lazy && s->version < 3)
    return option_error (error, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  s->pass_discard[FREE_REQUEST] = o->has_pass_discard_request ? o->pass_discard_request : s->node->discard_unmap;
  s->pass_discard[FREE_SNAPSHOT] = o->has_pass_discard_snapshot ? o->pass_discard_snapshot : true;
  s->pass_discard[FREE_OTHER] = o->has_pass_discard_other ? o->pass_discard_other : false;
  s->discard_no_unref = o->has_discard_no_unref && o->discard_no_unref;
  if (s->discard_no_unref && s->version < 3)
    return option_error (error, "discard-no-unref is only supported since qcow2 version 3");
  return read_cache_options (s, o, error) && read_overlap_options (s, o->overlap_check, error);
}

/* --- the external data file -----------------------------------------------------------------------------------------
 */

/* The options that open what the image names, which may only be a file or a protocol's name. */
static json_object *
named_data_file (Qcow2 *s, GError **error)
{
  g_autofree char *path = NULL, *folder = NULL;
  const char *name = s->data_name;

  if (g_str_has_prefix (name, "json:"))
    {
      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "Invalid data file name '%s': json: is not allowed here",
                   name);
      return NULL;
    }
  if (!g_path_is_absolute (name) && !g_uri_peek_scheme (name))
    {
      folder = g_path_get_dirname (qcow2_file (s)->filename);
      path = g_strcmp0 (folder, ".") ? g_build_filename (folder, name, NULL) : g_strdup (name);
    }
  return vm_graph_parse_name (s->node->graph, path ? path : name, error);
}

static bool
open_data_file (Qcow2 *s, const VmqBlockdevOptionsQcow2 *o, unsigned flags, GError **error)
{
  json_object *named;
  VmNode *data;

  if (!qcow2_external (s))
    {
      if (!o->data_file)
        return true;
      return option_error (error, "'data-file' can only be set for images with an external data file");
    }
  if (flags & VM_OPEN_NO_IO && !o->data_file)
    return true; /* nobody will read data */
  if (o->data_file)
    return (s->data_edge = vm_node_open_child (s->node, "data-file", VM_ROLE_DATA, true, error)) != NULL;
  if (!s->data_name || !*s->data_name)
    return option_error (error, "'data-file' is required for this image");
  if (!(named = named_data_file (s, error)))
    return false;
  data = vm_node_open (s->node->graph, named, VM_SCHEMA_TEXT,
                       flags & (VM_OPEN_READONLY | VM_OPEN_UNSAFE | VM_OPEN_FORCE_SHARE), error);
  json_object_put (named);
  if (!data)
    return false;
  s->data_edge = vm_node_attach (s->node, "data-file", data, VM_ROLE_DATA, error);
  vm_node_unref (data);
  return s->data_edge != NULL;
}

/* --- open and close --------------------------------------------------------------------------- */

static void
clean_caches (void *opaque)
{
  Qcow2 *s = opaque;

  qcow2_cache_clean (&s->l2);
  qcow2_cache_clean (&s->blocks);
  vm_wakeup_arm (s->cleaner, (g_get_monotonic_time () + s->clean_interval * 1000000) * 1000);
}

/* Somebody was killed while the refcounts in the file were behind. */
static int
repair_dirty (Qcow2 *s)
{
  VmCheckResult result = { 0 };
  int status = qcow2_check_image (s, &result, VM_CHECK_FIX_ERRORS | VM_CHECK_FIX_LEAKS);

  if (status >= 0 && (result.check_errors || result.corruptions))
    status = -EIO;
  return status < 0 ? status : qcow2_mark_clean (s);
}

static bool
open_dirty (Qcow2 *s, GError **error)
{
  int status;

  vm_fiber_mutex_lock (&s->lock);
  status = repair_dirty (s);
  vm_fiber_mutex_unlock (&s->lock);
  if (status < 0)
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (-status), "Could not repair dirty image: %s",
                 g_strerror (-status));
  return status >= 0;
}

int
qcow2_begin_changes (Qcow2 *s)
{
  int status;

  if (s->changed || !s->node)
    return 0;
  /* It was opened to be read, and then more was asked for. */
  if (s->incompatible & INCOMPATIBLE_DIRTY && !s->dirty_marked && (status = repair_dirty (s)) < 0)
    return status;
  if ((status = qcow2_bitmaps_mark_in_use (s)) < 0)
    return status;
  if (s->autoclear & ~(uint64_t) AUTOCLEAR_KNOWN)
    {
      s->autoclear &= AUTOCLEAR_KNOWN;
      if ((status = qcow2_header_write (s)) < 0 || (status = qcow2_meta_flush (s)) < 0)
        return status;
    }
  s->changed = true;
  return 0;
}

static bool
open_rest (Qcow2 *s, const VmqBlockdevOptionsQcow2 *options, unsigned flags, GError **error)
{
  VmNode *node = s->node;

  if (!qcow2_load (s, flags, error) || !read_options (s, options, error) || !qcow2_make_caches (s, error)
      || !open_data_file (s, options, flags, error) || !qcow2_crypt_open (s, options, flags, error))
    return false;
  node->size = s->size;
  /* A repair counts what bitmaps use. */
  if (!qcow2_bitmaps_open (s, error) && !(flags & VM_OPEN_CHECK))
    return false;
  if (!(flags & (VM_OPEN_READONLY | VM_OPEN_CHECK)) && s->incompatible & INCOMPATIBLE_DIRTY && !open_dirty (s, error))
    return false;
  node->backing_name = g_strdup (s->backing_name);
  node->backing_format = g_strdup (s->backing_format);
  node->encrypted = s->crypt_method != CRYPT_NONE;
  node->limits.alignment = s->crypt ? 512 : 1;
  node->limits.zero_alignment = 1u << s->sub_bits;
  node->limits.discard_alignment = (uint32_t) s->cluster_size;
  node->write_flags = VM_REQ_COMPRESSED;
  node->zero_flags = VM_REQ_UNMAP | VM_REQ_NO_FALLBACK;
  if (s->clean_interval)
    {
      s->cleaner = vm_wakeup_new (vm_graph_loop (node->graph), clean_caches, s);
      vm_wakeup_arm (s->cleaner, (g_get_monotonic_time () + s->clean_interval * 1000000) * 1000);
    }
  return true;
}

bool
qcow2_open (VmNode *node, const void *options, GError **error)
{
  Qcow2 *s = node->state;
  unsigned flags = node->open_flags | (node->readonly ? VM_OPEN_READONLY : 0);

  s->node = node;
  if (!vm_node_open_child (node, "file", VM_ROLE_DATA | VM_ROLE_METADATA | VM_ROLE_PRIMARY, true, error))
    return false;
  if (open_rest (s, options, flags, error))
    return true;
  qcow2_unload (s);
  return false;
}

void
qcow2_close (VmNode *node)
{
  Qcow2 *s = node->state;
  int status = 0;

  if (!s->opened_readonly && !node->readonly && !(s->broken))
    status = qcow2_bitmaps_store (s);
  if (status >= 0)
    status = qcow2_close_tables (s);
  if (status < 0) /* nobody is left who could be told: leaks, and bitmaps that are not used again */
    g_warning ("%s: metadata could not be written: %s", node->filename, g_strerror (-status));
  qcow2_unload (s);
}

void
qcow2_set_readonly (VmNode *node, bool readonly)
{
  Qcow2 *s = node->state;

  /* As if it were closed: what comes from now on is only read. */
  if (readonly && !s->opened_readonly && !s->broken)
    if (qcow2_bitmaps_store (s) < 0 || qcow2_close_tables (s) < 0)
      g_warning ("%s: metadata could not be written", node->filename);
  s->changed = false;
  s->opened_readonly = readonly;
  for (guint i = 0; node->bitmaps && i < node->bitmaps->len; i++)
    ((VmDirtyBitmap *) node->bitmaps->pdata[i])->readonly = readonly;
}
