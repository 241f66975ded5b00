/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From bytes of the guest to clusters: L1, L2 and their entries. After the qcow2 specification, "Cluster mapping" and
 * "Extended L2 Entries". */
#include "block/qcow2/qcow2-private.h"

/* --- entries ------------------------------------------------------------------------------------------- */

Qcow2Entry
qcow2_entry_load (const Qcow2 *s, const uint8_t *slice, unsigned index)
{
  const uint8_t *p = slice + (size_t) index * s->entry_size;
  Qcow2Entry e = { vm_load_be64 (p), 0 };

  if (e.entry & ENTRY_COMPRESSED)
    return e;
  if (s->sub_n == 32)
    e.bitmap = vm_load_be64 (p + 8);
  else if (s->version >= 3 && e.entry & ENTRY_ZERO)
    e.bitmap = VM_BIT (32);
  else if (e.entry & ENTRY_OFFSET || (qcow2_external (s) && e.entry & ENTRY_COPIED))
    e.bitmap = 1;
  e.entry &= ~ENTRY_ZERO;
  return e;
}

void
qcow2_entry_store (const Qcow2 *s, uint8_t *slice, unsigned index, Qcow2Entry e)
{
  uint8_t *p = slice + (size_t) index * s->entry_size;

  if (s->sub_n == 32)
    vm_store_be64 (p + 8, e.bitmap);
  else if (e.bitmap >> 32)
    e.entry |= ENTRY_ZERO;
  vm_store_be64 (p, e.entry);
}

static Qcow2Kind
entry_kind (Qcow2Entry e, unsigned sub)
{
  return e.entry & ENTRY_COMPRESSED                ? KIND_COMPRESSED
         : e.bitmap & VM_BIT (32 + (uint64_t) sub) ? KIND_ZERO
         : e.bitmap & VM_BIT (sub)                 ? KIND_NORMAL
                                                   : KIND_UNALLOCATED;
}

static bool
entry_has_host (const Qcow2 *s, Qcow2Entry e)
{
  return !(e.entry & ENTRY_COMPRESSED) && (e.entry & ENTRY_OFFSET || (qcow2_external (s) && e.entry & ENTRY_COPIED));
}

void
qcow2_compressed_place (const Qcow2 *s, uint64_t entry, uint64_t *offset, uint64_t *len)
{
  unsigned x = 62 - (s->cluster_bits - 8);
  uint64_t sectors = ((entry >> x) & (VM_BIT (62 - x) - 1)) + 1;

  *offset = entry & (VM_BIT (x) - 1);
  *len = sectors * 512 - (*offset & 511);
}

int
qcow2_entry_check (Qcow2 *s, Qcow2Entry e, uint64_t guest)
{
  uint64_t host = e.entry & ENTRY_OFFSET;
  unsigned index = (unsigned) (guest >> s->cluster_bits) & (unsigned) (VM_BIT (s->l2_bits) - 1);
  uint64_t table = qcow2_l1_index (s, guest) < s->l1_size ? s->l1[qcow2_l1_index (s, guest)] & ENTRY_OFFSET : 0;

  if (e.entry & ENTRY_COMPRESSED)
    {
      if (!qcow2_external (s))
        return 0;
      qcow2_corrupt (s, true, -1, -1,
                     "Compressed cluster entry found in image with external data file (L2 offset: %#" PRIx64
                     ", L2 index: %#x)",
                     table, index);
      return -EIO;
    }
  if (host & (s->cluster_size - 1))
    {
      qcow2_corrupt (s, true, -1, -1,
                     "Cluster allocation offset %#" PRIx64 " unaligned (L2 offset: %#" PRIx64 ", L2 index: %#x)", host,
                     table, index);
      return -EIO;
    }
  if (qcow2_external (s) && entry_has_host (s, e) && host != VM_ALIGN_DOWN (guest, s->cluster_size))
    {
      qcow2_corrupt (s, true, -1, -1,
                     "External data file host cluster offset %#" PRIx64
                     " does not match guest cluster offset: %#" PRIx64 ", L2 index: %#x",
                     host, VM_ALIGN_DOWN (guest, s->cluster_size), index);
      return -EIO;
    }
  if (s->sub_n == 32 && ((e.bitmap & UINT32_MAX & e.bitmap >> 32) || (e.bitmap & UINT32_MAX && !entry_has_host (s, e))))
    {
      qcow2_corrupt (s, true, -1, -1, "Invalid cluster entry found (L2 offset: %#" PRIx64 ", L2 index: %#x)", table,
                     index);
      return -EIO;
    }
  return 0;
}

void
qcow2_entry_free (Qcow2 *s, Qcow2Entry e, Qcow2Free kind)
{
  uint64_t offset, len;

  if (qcow2_external (s))
    return;
  if (e.entry & ENTRY_COMPRESSED)
    {
      qcow2_compressed_place (s, e.entry, &offset, &len);
      len += offset & (s->cluster_size - 1);
      qcow2_free (s, VM_ALIGN_DOWN (offset, s->cluster_size), qcow2_clusters (s, len), FREE_ALWAYS);
    }
  else if (e.entry & ENTRY_OFFSET)
    qcow2_free (s, e.entry & ENTRY_OFFSET, 1, kind);
}

/* --- L1 ------------------------------------------------------------------------------------------------ */

int
qcow2_l1_write (Qcow2 *s)
{
  /* Whole sectors: less would be read and written below. */
  uint32_t from = s->l1_dirty_from & ~63u, to = MIN ((s->l1_dirty_to + 63) & ~63u, s->l1_size), n = to - from;
  g_autofree uint64_t *bytes = g_new (uint64_t, n);
  int status;

  for (uint32_t i = 0; i < n; i++)
    bytes[i] = GUINT64_TO_BE (s->l1[from + i]);
  if ((status = qcow2_meta_write (s, s->l1_offset + from * UINT64_C (8), bytes, n * sizeof *bytes, OVERLAP_ACTIVE_L1))
      >= 0)
    s->l1_dirty_from = s->l1_dirty_to = 0;
  return status;
}

static void
l1_set (Qcow2 *s, uint32_t index, uint64_t entry)
{
  bool clean = s->l1_dirty_from == s->l1_dirty_to;

  s->l1[index] = entry;
  qcow2_overlap_named (s, OVERLAP_ACTIVE_L2, entry & ENTRY_OFFSET);
  s->l1_dirty_from = clean ? index : MIN (s->l1_dirty_from, index);
  s->l1_dirty_to = clean ? index + 1 : MAX (s->l1_dirty_to, index + 1);
}

int
qcow2_l1_grow (Qcow2 *s, uint64_t n)
{
  uint64_t old_offset = s->l1_offset, old_clusters = qcow2_clusters (s, s->l1_size * UINT64_C (8)), offset, got,
           clusters;
  g_autofree uint64_t *l1 = NULL, *bytes = NULL;
  uint8_t header[12];
  int status;

  if (n <= s->l1_size)
    return 0;
  if (n > MAX_L1_BYTES / 8)
    return -EFBIG;
  clusters = qcow2_clusters (s, n * 8);
  if (!(l1 = g_try_malloc0_n (n, 8)) || !(bytes = g_try_malloc0_n (clusters, s->cluster_size)))
    return -ENOMEM;
  if (s->l1_size)
    memcpy (l1, s->l1, s->l1_size * sizeof *l1);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_GROW_ALLOC_TABLE);
  if ((status = qcow2_allocate (s, clusters, true, &offset, &got, NULL)) < 0)
    return status;
  for (uint64_t i = 0; i < n; i++)
    bytes[i] = GUINT64_TO_BE (l1[i]);
  vm_store_be32 (header, (uint32_t) n);
  vm_store_be64 (header + 4, offset);
  /* Tables that the old one does not point to yet are pointed to by the new one as it is written. */
  if ((status = qcow2_write_back (s)) >= 0)
    {
      qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_GROW_WRITE_TABLE);
      status = qcow2_meta_write (s, offset, bytes, clusters * s->cluster_size, 0);
    }
  if (status >= 0 && (status = qcow2_meta_flush (s)) >= 0)
    {
      qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_GROW_ACTIVATE_TABLE);
      status = qcow2_meta_write (s, HEADER_L1_SIZE, header, sizeof header, OVERLAP_MAIN_HEADER);
    }
  if (status < 0)
    {
      qcow2_free_now (s, offset, clusters);
      return status;
    }
  s->unflushed = true;
  g_free (s->l1);
  s->l1 = g_steal_pointer (&l1);
  s->l1_size = (uint32_t) n;
  s->l1_offset = offset;
  s->l1_dirty_from = s->l1_dirty_to = 0;
  if (old_clusters)
    qcow2_free (s, old_offset, old_clusters, FREE_OTHER);
  return 0;
}

/* --- L2 ------------------------------------------------------------------------------------------------ */

/* A table of our own for L1 entry INDEX: a copy of the one it has, or empty. */
static int
table_make (Qcow2 *s, uint32_t index)
{
  uint64_t old = s->l1[index] & ENTRY_OFFSET, offset, got;
  g_autofree uint8_t *table = g_try_malloc0 (s->cluster_size);
  int status;

  if (!table)
    return -ENOMEM;
  if ((status = qcow2_allocate (s, 1, true, &offset, &got, NULL)) < 0)
    return status;
  if (!offset)
    {
      qcow2_corrupt (s, true, -1, -1, "Preventing invalid allocation of L2 table at offset 0");
      return -EIO;
    }
  for (uint64_t at = 0; old && at < s->cluster_size && status >= 0; at += s->l2.piece)
    {
      Qcow2Cached *slice = qcow2_cache_peek (&s->l2, old + at);

      if (slice)
        {
          memcpy (table + at, slice->data, s->l2.piece);
          continue;
        }
      qcow2_event (s, VMQ_BLKDEBUG_EVENT_L2_ALLOC_COW_READ);
      status = qcow2_meta_read (s, old + at, table + at, s->l2.piece);
    }
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_L2_ALLOC_WRITE);
  if (status < 0 || (status = qcow2_meta_write (s, offset, table, s->cluster_size, 0)) < 0)
    {
      qcow2_free_now (s, offset, 1);
      return status;
    }
  s->unflushed = true;
  l1_set (s, index, offset | ENTRY_COPIED);
  if (old)
    qcow2_free (s, old, 1, FREE_OTHER);
  return 0;
}

static int
table_check (Qcow2 *s, uint64_t table, uint32_t index)
{
  if (!(table & (s->cluster_size - 1)))
    return 0;
  qcow2_corrupt (s, true, -1, -1, "L2 table offset %#" PRIx64 " unaligned (L1 index: %#x)", table, index);
  return -EIO;
}

/* Where the slice of OFFSET lies in the image, 0: nowhere; and the index of its entry in it. */
static int
slice_find (Qcow2 *s, uint64_t offset, uint64_t *place, unsigned *index)
{
  uint64_t l1_index = qcow2_l1_index (s, offset), table, in_table;

  *place = 0;
  if (l1_index >= s->l1_size || !(table = s->l1[l1_index] & ENTRY_OFFSET))
    return 0;
  if (G_UNLIKELY (table & (s->cluster_size - 1)))
    return table_check (s, table, (uint32_t) l1_index);
  in_table = (offset >> s->cluster_bits & (VM_BIT (s->l2_bits) - 1)) * s->entry_size;
  *index = (unsigned) (in_table & (s->l2.piece - 1)) / s->entry_size;
  *place = table + VM_ALIGN_DOWN (in_table, s->l2.piece);
  return 0;
}

int
qcow2_l2_get (Qcow2 *s, uint64_t offset, bool write, Qcow2Cached **slice, unsigned *index)
{
  uint64_t l1_index = qcow2_l1_index (s, offset), place;
  int status;

  *slice = NULL;
  if (write)
    {
      if (l1_index >= s->l1_size && (status = qcow2_l1_grow (s, l1_index + 1)) < 0)
        return status;
      if (s->l1[l1_index] & ENTRY_OFFSET
          && (status = table_check (s, s->l1[l1_index] & ENTRY_OFFSET, (uint32_t) l1_index)) < 0)
        return status;
      if (!(s->l1[l1_index] & ENTRY_COPIED) && (status = table_make (s, (uint32_t) l1_index)) < 0)
        return status;
    }
  if ((status = slice_find (s, offset, &place, index)) < 0 || !place)
    return status;
  return qcow2_cache_get (&s->l2, place, false, slice);
}

/* What the subclusters from OFFSET on in SLICE are, as long as they are alike. */
static int
map_slice (Qcow2 *s, const uint8_t *slice, unsigned index, uint64_t offset, uint64_t len, Qcow2Map *map)
{
  unsigned n = (unsigned) (s->l2.piece / s->entry_size), sub_mask = s->sub_n - 1;
  uint64_t in_sub = offset & (VM_BIT (s->sub_bits) - 1);
  unsigned sub = (unsigned) (offset >> s->sub_bits) & sub_mask;
  Qcow2Entry e = qcow2_entry_load (s, slice, index);
  int status = qcow2_entry_check (s, e, offset);

  if (status < 0)
    return status;
  *map = (Qcow2Map){ .kind = entry_kind (e, sub), .has_host = entry_has_host (s, e), .entry = e.entry };
  map->host = (e.entry & ENTRY_OFFSET) + (offset & (s->cluster_size - 1));
  if (map->kind == KIND_COMPRESSED)
    {
      map->len = MIN (len, s->cluster_size - (offset & (s->cluster_size - 1)));
      return 0;
    }
  for (;;)
    {
      for (; sub < s->sub_n && map->len < len && entry_kind (e, sub) == map->kind; sub++)
        {
          map->len += VM_BIT (s->sub_bits) - in_sub;
          in_sub = 0;
        }
      if (sub < s->sub_n || map->len >= len || ++index >= n)
        break;
      e = qcow2_entry_load (s, slice, index);
      if (e.entry & ENTRY_COMPRESSED || entry_has_host (s, e) != map->has_host
          || (map->has_host && (e.entry & ENTRY_OFFSET) != map->host + map->len))
        break;
      if ((e.entry & ENTRY_OFFSET) & (s->cluster_size - 1)
          || (s->sub_n == 32 && e.bitmap & UINT32_MAX & (e.bitmap >> 32 | (map->has_host ? 0 : UINT32_MAX))))
        break; /* damaged: said when it is its turn */
      sub = 0;
    }
  map->len = MIN (map->len, len);
  return 0;
}

int
qcow2_map (Qcow2 *s, uint64_t offset, uint64_t len, Qcow2Map *map)
{
  uint64_t table_bytes = VM_BIT (s->cluster_bits + s->l2_bits), place;
  unsigned index;
  Qcow2Cached *slice;
  int status = slice_find (s, offset, &place, &index);

  if (status < 0)
    return status;
  if (!place)
    {
      *map = (Qcow2Map){ .kind = KIND_UNALLOCATED, .len = MIN (len, table_bytes - (offset & (table_bytes - 1))) };
      return 0;
    }
  if ((slice = qcow2_cache_peek (&s->l2, place)))
    return map_slice (s, slice->data, index, offset, len, map);
  vm_fiber_mutex_lock (&s->lock);
  status = qcow2_l2_get (s, offset, false, &slice, &index);
  if (status >= 0)
    {
      if (slice)
        status = map_slice (s, slice->data, index, offset, len, map);
      else
        *map = (Qcow2Map){ .kind = KIND_UNALLOCATED, .len = MIN (len, table_bytes - (offset & (table_bytes - 1))) };
      qcow2_cache_put (slice);
    }
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}
