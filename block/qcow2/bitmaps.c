/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dirty bitmaps kept in qcow2 images. After the qcow2 specification, "Bitmaps extension" and "Bitmaps". They are in
 * memory while the image is open; those in the image are marked as in use before the first change and written anew when
 * it is closed. */
#include "block/qcow2/qcow2-private.h"

#define DIRECTORY_FIXED 24
#define MAX_TABLE_ENTRIES (UINT64_C (1) << 27)

void
qcow2_bitmap_free (gpointer data)
{
  Qcow2Bitmap *b = data;

  g_free (b->name);
  g_clear_pointer (&b->extra, g_bytes_unref);
  g_free (b);
}

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

static Qcow2Bitmap *
find_stored (const Qcow2 *s, const char *name)
{
  for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++)
    if (g_str_equal (((Qcow2Bitmap *) s->bitmaps->pdata[i])->name, name))
      return s->bitmaps->pdata[i];
  return NULL;
}

static VmDirtyBitmap *
find_live (const Qcow2 *s, const char *name)
{
  for (guint i = 0; s->node->bitmaps && i < s->node->bitmaps->len; i++)
    {
      VmDirtyBitmap *b = s->node->bitmaps->pdata[i];

      if (g_strcmp0 (b->name, name) == 0)
        return b;
    }
  return NULL;
}

static uint64_t
table_entries (const Qcow2 *s, unsigned granularity_bits)
{
  uint64_t bits = s->size ? ((s->size - 1) >> granularity_bits) + 1 : 0;

  return qcow2_clusters (s, (bits + 7) / 8);
}

/* --- the directory ---------------------------------------------------------------------------------------------- */

/* The entry at P, of at most LEFT bytes; its length, 0: damaged. */
static uint64_t
directory_entry (Qcow2 *s, const uint8_t *p, uint64_t left, Qcow2Bitmap **out)
{
  uint64_t name_len, extra_len, len;
  Qcow2Bitmap *b;

  if (left < DIRECTORY_FIXED)
    return 0;
  name_len = vm_load_be16 (p + 18);
  extra_len = vm_load_be32 (p + 20);
  len = VM_ALIGN_UP (DIRECTORY_FIXED + extra_len + name_len, 8);
  if (len > left || !name_len || name_len > VM_BITMAP_MAX_NAME || p[16] != 1 || p[17] > 63)
    return 0;
  b = g_new0 (Qcow2Bitmap, 1);
  b->table_offset = vm_load_be64 (p);
  b->table_size = vm_load_be32 (p + 8);
  b->flags = vm_load_be32 (p + 12);
  b->granularity_bits = p[17];
  b->name = g_strndup ((const char *) p + DIRECTORY_FIXED + extra_len, name_len);
  b->extra = extra_len ? g_bytes_new (p + DIRECTORY_FIXED, extra_len) : NULL;
  *out = b;
  if (b->flags & ~7u || b->table_offset & (s->cluster_size - 1) || b->table_offset >= MAX_HOST
      || b->table_size > MAX_TABLE_ENTRIES || (b->table_size && !b->table_offset))
    {
      g_clear_pointer (out, qcow2_bitmap_free);
      return 0;
    }
  return len;
}

bool
qcow2_bitmaps_load (Qcow2 *s, GError **error)
{
  g_autofree uint8_t *bytes = NULL;
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (qcow2_bitmap_free);
  uint64_t at = 0, len;
  int status;

  if (!s->n_bitmaps)
    return true;
  bytes = g_try_malloc (s->bitmap_directory_len + 1);
  if (!bytes || s->bitmap_directory > qcow2_file (s)->size)
    return fail (error, "Could not read bitmap directory");
  if ((status = qcow2_meta_read (s, s->bitmap_directory, bytes, s->bitmap_directory_len)) < 0)
    return fail (error, "Could not read bitmap directory: %s", g_strerror (-status));
  while (at < s->bitmap_directory_len)
    {
      Qcow2Bitmap *b = NULL;

      if (!(len = directory_entry (s, bytes + at, s->bitmap_directory_len - at, &b)))
        return fail (error, "Bitmap directory is damaged");
      g_ptr_array_add (list, b);
      at += len;
    }
  if (list->len != s->n_bitmaps)
    return fail (error, "Bitmap directory has %u entries instead of %u", list->len, s->n_bitmaps);
  s->bitmaps = g_steal_pointer (&list);
  return true;
}

static GByteArray *
directory_bytes (const Qcow2 *s)
{
  GByteArray *out = g_byte_array_new ();

  for (guint i = 0; i < s->bitmaps->len; i++)
    {
      const Qcow2Bitmap *b = s->bitmaps->pdata[i];
      uint8_t h[DIRECTORY_FIXED] = { 0 }, padding[8] = { 0 };
      gsize extra = b->extra ? g_bytes_get_size (b->extra) : 0;

      vm_store_be64 (h, b->table_offset);
      vm_store_be32 (h + 8, b->table_size);
      vm_store_be32 (h + 12, b->flags);
      h[16] = 1;
      h[17] = b->granularity_bits;
      vm_store_be16 (h + 18, (uint16_t) strlen (b->name));
      vm_store_be32 (h + 20, (uint32_t) extra);
      g_byte_array_append (out, h, sizeof h);
      if (extra)
        g_byte_array_append (out, g_bytes_get_data (b->extra, NULL), (guint) extra);
      g_byte_array_append (out, (const uint8_t *) b->name, (guint) strlen (b->name));
      g_byte_array_append (out, padding, -out->len & 7);
    }
  return out;
}

/* A new directory and a header that points to it; the old one is set free. With the lock. */
static int
directory_write (Qcow2 *s)
{
  g_autoptr (GByteArray) bytes = directory_bytes (s);
  uint64_t old = s->bitmap_directory, old_len = s->bitmap_directory_len, offset = 0, got,
           clusters = qcow2_clusters (s, bytes->len);
  uint32_t old_n = s->n_bitmaps;
  uint64_t old_autoclear = s->autoclear;
  int status;

  if (clusters
      && ((status = qcow2_allocate (s, clusters, true, &offset, &got, NULL)) < 0
          || (status = qcow2_meta_write (s, offset, bytes->data, bytes->len, OVERLAP_BITMAP_DIRECTORY)) < 0))
    return status;
  if ((status = qcow2_write_back (s)) < 0 || (status = qcow2_meta_flush (s)) < 0)
    return status;
  s->n_bitmaps = s->bitmaps->len;
  s->bitmap_directory = offset;
  s->bitmap_directory_len = bytes->len;
  s->autoclear = (s->autoclear & ~(uint64_t) AUTOCLEAR_BITMAPS) | (bytes->len ? AUTOCLEAR_BITMAPS : 0);
  if ((status = qcow2_header_write (s)) < 0 || (status = qcow2_meta_flush (s)) < 0)
    {
      s->n_bitmaps = old_n;
      s->bitmap_directory = old;
      s->bitmap_directory_len = old_len;
      s->autoclear = old_autoclear;
      if (clusters)
        qcow2_free_now (s, offset, clusters);
      return status;
    }
  if (old_len)
    qcow2_free (s, old, qcow2_clusters (s, old_len), FREE_OTHER);
  return 0;
}

/* --- bits ------------------------------------------------------------------------------------------------------------
 */

static uint64_t *
table_read (Qcow2 *s, const Qcow2Bitmap *b)
{
  g_autofree uint64_t *table = g_try_malloc0_n (b->table_size + UINT64_C (1), 8);

  if (!table || b->table_offset > qcow2_file (s)->size
      || qcow2_meta_read (s, b->table_offset, table, b->table_size * sizeof *table) < 0)
    return NULL;
  for (uint32_t i = 0; i < b->table_size; i++)
    table[i] = GUINT64_FROM_BE (table[i]);
  return g_steal_pointer (&table);
}

static bool
bits_read (Qcow2 *s, const Qcow2Bitmap *b, VmDirtyBitmap *live)
{
  g_autofree uint64_t *table = table_read (s, b);
  g_autofree uint8_t *bytes = g_malloc (s->cluster_size);

  if (!table || b->table_size != table_entries (s, b->granularity_bits))
    return false;
  for (uint32_t i = 0; i < b->table_size; i++)
    {
      uint64_t offset = table[i] & ENTRY_OFFSET;

      if (table[i] & ~(ENTRY_OFFSET | 1) || offset & (s->cluster_size - 1))
        return false;
      if (!offset && !(table[i] & 1))
        continue;
      if (!offset)
        memset (bytes, 0xff, s->cluster_size);
      else if (qcow2_meta_read (s, offset, bytes, s->cluster_size) < 0)
        return false;
      vm_bitmap_restore (live, i * s->cluster_size, bytes, s->cluster_size);
    }
  return true;
}

static void
table_free (Qcow2 *s, const Qcow2Bitmap *b)
{
  g_autofree uint64_t *table = b->table_size ? table_read (s, b) : NULL;

  if (!table)
    return;
  for (uint32_t i = 0; i < b->table_size; i++)
    if (table[i] & ENTRY_OFFSET && !(table[i] & ENTRY_OFFSET & (s->cluster_size - 1)))
      qcow2_free (s, table[i] & ENTRY_OFFSET, 1, FREE_OTHER);
  qcow2_free (s, b->table_offset, qcow2_clusters (s, b->table_size * UINT64_C (8)), FREE_OTHER);
}

/* The bits of LIVE into new clusters, of which B then knows. */
static int
bits_write (Qcow2 *s, const VmDirtyBitmap *live, Qcow2Bitmap *b)
{
  uint64_t n = table_entries (s, live->shift), offset, got;
  g_autofree uint64_t *table = g_try_malloc0_n (n + 1, 8);
  g_autofree uint8_t *bytes = g_malloc (s->cluster_size);
  int status;

  if (!table)
    return -ENOMEM;
  for (uint64_t i = 0; i < n; i++)
    {
      vm_bitmap_save (live, i * s->cluster_size, bytes, s->cluster_size);
      if (!bytes[0] && !memcmp (bytes, bytes + 1, s->cluster_size - 1))
        continue;
      if ((status = qcow2_allocate (s, 1, true, &offset, &got, NULL)) < 0
          || (status = qcow2_meta_write (s, offset, bytes, s->cluster_size, 0)) < 0)
        return status; /* the clusters so far are leaked: the image is full or broken */
      table[i] = GUINT64_TO_BE (offset);
    }
  offset = 0;
  if (n
      && ((status = qcow2_allocate (s, qcow2_clusters (s, n * 8), true, &offset, &got, NULL)) < 0
          || (status = qcow2_meta_write (s, offset, table, n * 8, 0)) < 0))
    return status;
  b->table_offset = offset;
  b->table_size = (uint32_t) n;
  b->granularity_bits = live->shift;
  b->flags = (b->flags & BITMAP_EXTRA_COMPATIBLE) | (live->recording ? BITMAP_AUTO : 0);
  return 0;
}

/* --- with the node ---------------------------------------------------------------------------- */

static bool
usable (const Qcow2Bitmap *b)
{
  return b->granularity_bits >= 9 && b->granularity_bits <= 31 && (!b->extra || b->flags & BITMAP_EXTRA_COMPATIBLE);
}

bool
qcow2_bitmaps_open (Qcow2 *s, GError **error)
{
  if (!qcow2_bitmaps_load (s, error))
    return false;
  for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++)
    {
      const Qcow2Bitmap *b = s->bitmaps->pdata[i];
      VmDirtyBitmap *live;

      if (!usable (b))
        continue;
      if (!(live = vm_bitmap_new (b->name, s->size, UINT64_C (1) << b->granularity_bits)))
        return fail (error, "Could not read bitmap '%s': Cannot allocate memory", b->name);
      if (!s->node->bitmaps)
        s->node->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
      g_ptr_array_add (s->node->bitmaps, live);
      live->persistent = true;
      live->recording = b->flags & BITMAP_AUTO;
      live->inconsistent = b->flags & BITMAP_IN_USE;
      live->readonly = s->opened_readonly;
      if (!live->inconsistent && !bits_read (s, b, live))
        return fail (error, "Could not read bitmap '%s' from image", b->name);
      live->modified = false;
    }
  return true;
}

int
qcow2_bitmaps_mark_in_use (Qcow2 *s)
{
  g_autoptr (GByteArray) bytes = NULL;
  bool any = false;
  int status;

  for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++)
    {
      Qcow2Bitmap *b = s->bitmaps->pdata[i];

      if (b->flags & BITMAP_IN_USE)
        continue;
      b->flags |= BITMAP_IN_USE;
      any = true;
    }
  if (!any)
    return 0;
  bytes = directory_bytes (s); /* as long as before */
  status = qcow2_meta_write (s, s->bitmap_directory, bytes->data, bytes->len, OVERLAP_BITMAP_DIRECTORY);
  return status < 0 ? status : qcow2_meta_flush (s);
}

static bool
need_store (const Qcow2 *s)
{
  for (guint i = 0; s->node->bitmaps && i < s->node->bitmaps->len; i++)
    {
      const VmDirtyBitmap *b = s->node->bitmaps->pdata[i];
      const Qcow2Bitmap *stored = b->persistent && b->name ? find_stored (s, b->name) : NULL;

      if (b->persistent && b->name && !b->inconsistent
          && (b->modified || !stored || stored->flags & BITMAP_IN_USE
              || !!(stored->flags & BITMAP_AUTO) != b->recording))
        return true;
    }
  for (guint i = 0; s->bitmaps && i < s->bitmaps->len; i++)
    {
      const Qcow2Bitmap *stored = s->bitmaps->pdata[i];
      const VmDirtyBitmap *b = find_live (s, stored->name);

      if (usable (stored) && (!b || !b->persistent))
        return true;
    }
  return false;
}

int
qcow2_bitmaps_store (Qcow2 *s)
{
  g_autoptr (GPtrArray) old = NULL;
  int status;

  if (s->version < 3 || !need_store (s))
    return 0;
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_begin_changes (s);
  old = s->bitmaps ? s->bitmaps : g_ptr_array_new_with_free_func (qcow2_bitmap_free);
  s->bitmaps = g_ptr_array_new_with_free_func (qcow2_bitmap_free);
  for (guint i = 0; i < old->len;)
    { /* what we cannot use, or is broken, stays as it is */
      Qcow2Bitmap *b = old->pdata[i];
      const VmDirtyBitmap *live = find_live (s, b->name);

      if (!usable (b) || (live && live->inconsistent))
        g_ptr_array_add (s->bitmaps, g_ptr_array_steal_index (old, i));
      else
        i++;
    }
  for (guint i = 0; status >= 0 && s->node->bitmaps && i < s->node->bitmaps->len; i++)
    {
      const VmDirtyBitmap *live = s->node->bitmaps->pdata[i];
      Qcow2Bitmap *b;

      if (!live->persistent || live->inconsistent || !live->name)
        continue;
      b = g_new0 (Qcow2Bitmap, 1);
      b->name = g_strdup (live->name);
      g_ptr_array_add (s->bitmaps, b);
      status = bits_write (s, live, b);
    }
  if (status >= 0 && (status = directory_write (s)) >= 0)
    for (guint i = 0; i < old->len; i++)
      table_free (s, old->pdata[i]);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

bool
qcow2_bitmap_can_store (VmNode *node, const char *name, uint32_t granularity, GError **error)
{
  Qcow2 *s = node->state;
  unsigned bits = (unsigned) __builtin_ctz (granularity | 1u << 31);

  if (s->version < 3)
    return fail (error, "Cannot store dirty bitmaps in qcow2 v2 files");
  if (find_stored (s, name))
    return fail (error, "Bitmap already exists: %s", name);
  if (strlen (name) > VM_BITMAP_MAX_NAME)
    return fail (error, "Bitmap name is too long");
  if (bits < 9 || bits > 31)
    return fail (error, "Granularity is %s minimum (512)", bits < 9 ? "under" : "above");
  if (s->bitmaps && s->bitmaps->len >= 65535)
    return fail (error, "Maximum number of persistent bitmaps is already reached");
  if (table_entries (s, bits) > MAX_TABLE_ENTRIES)
    return fail (error, "Too much space will be occupied by the bitmap. Use larger granularity");
  return true;
}

int
qcow2_bitmap_remove (VmNode *node, const char *name, GError **error)
{
  Qcow2 *s = node->state;
  Qcow2Bitmap *b = find_stored (s, name);
  guint index;
  int status;

  if (!b || !g_ptr_array_find (s->bitmaps, b, &index))
    return 0; /* not stored yet */
  vm_fiber_rw_write (&s->gate);
  vm_fiber_mutex_lock (&s->lock);
  if ((status = qcow2_begin_changes (s)) >= 0)
    {
      g_ptr_array_steal_index (s->bitmaps, index);
      if ((status = directory_write (s)) < 0)
        g_ptr_array_insert (s->bitmaps, (gint) index, b);
      else
        {
          table_free (s, b);
          qcow2_bitmap_free (b);
        }
    }
  vm_fiber_mutex_unlock (&s->lock);
  vm_fiber_rw_unlock (&s->gate);
  if (status < 0)
    fail (error, "Failed to remove bitmap '%s': %s", name, g_strerror (-status));
  return status;
}
