/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Refcounts and the allocation of clusters. After the qcow2 specification, "Host cluster management". */
#include "block/qcow2/qcow2-private.h"

/* --- entries ------------------------------------------------------------------------------------- */

uint64_t
qcow2_refcount_max (const Qcow2 *s)
{
  return s->refcount_order == 6 ? INT64_MAX : (UINT64_C (1) << (1u << s->refcount_order)) - 1;
}

uint64_t
qcow2_block_get (const Qcow2 *s, const uint8_t *block, uint64_t index)
{
  unsigned bits = 1u << s->refcount_order;

  switch (s->refcount_order)
    {
    case 3:
      return block[index];
    case 4:
      return vm_load_be16 (block + index * 2);
    case 5:
      return vm_load_be32 (block + index * 4);
    case 6:
      return vm_load_be64 (block + index * 8);
    default:
      return block[index * bits / 8] >> (index * bits % 8) & ((1u << bits) - 1);
    }
}

void
qcow2_block_set (const Qcow2 *s, uint8_t *block, uint64_t index, uint64_t value)
{
  unsigned bits = 1u << s->refcount_order, shift;

  switch (s->refcount_order)
    {
    case 3:
      block[index] = (uint8_t) value;
      break;
    case 4:
      vm_store_be16 (block + index * 2, (uint16_t) value);
      break;
    case 5:
      vm_store_be32 (block + index * 4, (uint32_t) value);
      break;
    case 6:
      vm_store_be64 (block + index * 8, value);
      break;
    default:
      shift = index * bits % 8;
      block += index * bits / 8;
      *block = (uint8_t) ((*block & ~(((1u << bits) - 1) << shift)) | value << shift);
    }
}

static unsigned
block_bits (const Qcow2 *s)
{ /* log2 of the entries of a block */
  return s->cluster_bits + 3 - s->refcount_order;
}

/* The block that counts CLUSTER, pinned; *E NULL: there is none, all are 0. */
static int
block_get (Qcow2 *s, uint64_t cluster, Qcow2Cached **e)
{
  uint64_t index = cluster >> block_bits (s), offset;

  *e = NULL;
  if (index >= s->refcount_n || !(offset = s->refcounts[index] & ~UINT64_C (0x1ff)))
    return 0;
  if (offset & (s->cluster_size - 1))
    {
      qcow2_corrupt (s, true, -1, -1, "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64 ")", offset,
                     index);
      return -EIO;
    }
  return qcow2_cache_get (&s->blocks, offset, false, e);
}

bool
qcow2_has_refcounts (const Qcow2 *s, uint64_t cluster)
{
  uint64_t index = cluster >> block_bits (s);

  return index < s->refcount_n && s->refcounts[index] & ~UINT64_C (0x1ff);
}

int
qcow2_refcount (Qcow2 *s, uint64_t cluster, uint64_t *count)
{
  Qcow2Cached *e;
  int status = block_get (s, cluster, &e);

  *count = e ? qcow2_block_get (s, e->data, cluster & (VM_BIT (block_bits (s)) - 1)) : 0;
  qcow2_cache_put (e);
  return status;
}

/* --- the table ------------------------------------------------------------------------------------- */

static void
table_set (Qcow2 *s, uint64_t index, uint64_t offset)
{
  s->refcounts[index] = offset;
  qcow2_overlap_named (s, OVERLAP_REFCOUNT_BLOCK, offset);
  s->refcount_used = MAX (s->refcount_used, (uint32_t) index + 1);
  if (s->refcount_dirty_from == s->refcount_dirty_to)
    {
      s->refcount_dirty_from = (uint32_t) index;
      s->refcount_dirty_to = (uint32_t) index + 1;
      return;
    }
  s->refcount_dirty_from = MIN (s->refcount_dirty_from, (uint32_t) index);
  s->refcount_dirty_to = MAX (s->refcount_dirty_to, (uint32_t) index + 1);
}

/* Counts N clusters from CLUSTER, a part of what block E counts. */
static void
block_fill (Qcow2 *s, Qcow2Cached *e, uint64_t cluster, uint64_t n)
{
  for (uint64_t i = 0; i < n; i++)
    qcow2_block_set (s, e->data, (cluster + i) & (VM_BIT (block_bits (s)) - 1), 1);
  qcow2_cache_dirty (&s->blocks, e);
}

/* A table with room for at least INDEX, behind all that the present one can count: blocks that count themselves and the
 * table, then the table. */
static int
table_grow (Qcow2 *s, uint64_t index)
{
  uint64_t per_block = VM_BIT (block_bits (s)),
           start = MAX ((uint64_t) s->refcount_n * per_block, qcow2_clusters (s, s->high));
  uint64_t blocks = 1, clusters, n, old_offset = s->refcount_table, old_clusters = s->refcount_clusters, first;
  g_autofree uint64_t *table = NULL, *bytes = NULL;
  uint8_t header[12];
  int status;

  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFTABLE_GROW);
  start = (start + per_block - 1) / per_block * per_block; /* its own block is new */
  first = start / per_block;
  for (;;)
    {
      n = MAX (index + 1, first + blocks);
      n = MIN (n + n / 2 + 1, MAX (n, MAX_REFCOUNT_TABLE_BYTES / 8));
      clusters = qcow2_clusters (s, n * 8);
      if ((blocks + clusters + per_block - 1) / per_block <= blocks)
        break;
      blocks++;
    }
  n = clusters * s->cluster_size / 8;
  if (n * 8 > MAX (MAX_REFCOUNT_TABLE_BYTES, s->cluster_size)
      || (start + blocks + clusters) << s->cluster_bits >= MAX_HOST)
    return -EFBIG;
  if (!(table = g_try_malloc0_n (n, 8)) || !(bytes = g_try_malloc_n (n, 8)))
    return -ENOMEM;
  memcpy (table, s->refcounts, s->refcount_n * sizeof *table);
  for (uint64_t i = 0; i < blocks; i++)
    {
      Qcow2Cached *e;
      uint64_t offset = (start + i) << s->cluster_bits, from = start + i * per_block;

      if ((status = qcow2_cache_get (&s->blocks, offset, true, &e)) < 0)
        return status;
      block_fill (s, e, from, MIN (per_block, start + blocks + clusters - from));
      qcow2_cache_put (e);
      table[first + i] = offset;
    }
  for (uint64_t i = 0; i < n; i++)
    bytes[i] = GUINT64_TO_BE (table[i]);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS);
  if ((status = qcow2_cache_write (&s->blocks)) < 0)
    return status;
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFBLOCK_ALLOC_WRITE_TABLE);
  if ((status = qcow2_meta_write (s, (start + blocks) << s->cluster_bits, bytes, n * 8, 0)) < 0
      || (status = qcow2_meta_flush (s)) < 0)
    return status;
  vm_store_be64 (header, (start + blocks) << s->cluster_bits);
  vm_store_be32 (header + 8, (uint32_t) clusters);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFBLOCK_ALLOC_SWITCH_TABLE);
  if ((status = qcow2_meta_write (s, HEADER_REFCOUNT_TABLE, header, sizeof header, OVERLAP_MAIN_HEADER)) < 0)
    return status;
  g_free (s->refcounts);
  s->refcounts = g_steal_pointer (&table);
  qcow2_overlap_forget (s);
  s->refcount_n = (uint32_t) n;
  s->refcount_used = (uint32_t) (first + blocks);
  s->refcount_clusters = (uint32_t) clusters;
  s->refcount_table = (start + blocks) << s->cluster_bits;
  s->refcount_dirty_from = s->refcount_dirty_to = 0; /* the new one has all */
  s->unflushed = true;
  qcow2_free (s, old_offset, old_clusters, FREE_OTHER);
  return 0;
}

/* Sees to it that CLUSTER, which is free, can be counted. 1: it can, but something was allocated for it, maybe CLUSTER
 * itself. */
static int
block_make (Qcow2 *s, uint64_t cluster)
{
  uint64_t index = cluster >> block_bits (s);
  Qcow2Cached *e;
  int status;

  if (index < s->refcount_n && s->refcounts[index] & ~UINT64_C (0x1ff))
    return 0;
  if (cluster << s->cluster_bits >= MAX_HOST)
    return -EFBIG;
  if (index >= s->refcount_n)
    return (status = table_grow (s, index)) < 0 ? status : 1;
  /* The new block lies in the cluster and counts itself. */
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFBLOCK_ALLOC);
  if (!cluster)
    {
      qcow2_corrupt (s, true, -1, -1, "Preventing invalid allocation of refcount block at offset 0");
      return -EIO;
    }
  if ((status = qcow2_check_overlap (s, 0, cluster << s->cluster_bits, s->cluster_size)) < 0)
    return status;
  if ((status = qcow2_cache_get (&s->blocks, cluster << s->cluster_bits, true, &e)) < 0)
    return status;
  block_fill (s, e, cluster, 1);
  qcow2_cache_put (e);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_REFBLOCK_ALLOC_HOOKUP);
  table_set (s, index, cluster << s->cluster_bits);
  s->high = MAX (s->high, (cluster + 1) << s->cluster_bits);
  return 1;
}

/* --- changes ---------------------------------------------------------------------------------------- */

static void
cluster_now_free (Qcow2 *s, uint64_t cluster)
{
  uint64_t offset = cluster << s->cluster_bits;

  s->free_hint = MIN (s->free_hint, cluster);
  qcow2_cache_drop (&s->l2, offset, s->cluster_size);
  qcow2_cache_drop (&s->blocks, offset, s->cluster_size);
  s->plain_entry = 0;
  if (s->bytes_next && s->bytes_next >> s->cluster_bits == cluster)
    s->bytes_next = 0;
}

int
qcow2_refcount_add (Qcow2 *s, uint64_t cluster, uint64_t n, int delta)
{
  uint64_t per_block = VM_BIT (block_bits (s)), done = 0;
  int status = 0;

  while (done < n)
    {
      uint64_t at = cluster + done, index = at & (per_block - 1), count = MIN (n - done, per_block - index);
      Qcow2Cached *e;

      if ((status = block_get (s, at, &e)) < 0)
        break;
      if (!e && delta > 0 && (status = block_make (s, at)) >= 0)
        status = block_get (s, at, &e);
      if (!e)
        {
          status = status < 0 ? status : -EINVAL;
          break;
        }
      for (uint64_t i = 0; i < count && status >= 0; i++)
        {
          uint64_t value = qcow2_block_get (s, e->data, index + i);

          if (delta > 0 ? value >= qcow2_refcount_max (s) : !value)
            {
              status = delta > 0 ? -EINVAL : -EIO;
              break;
            }
          qcow2_block_set (s, e->data, index + i, value + (uint64_t) (int64_t) delta);
          if (delta < 0 && value == 1)
            cluster_now_free (s, at + i);
          done++;
        }
      qcow2_cache_dirty (&s->blocks, e);
      qcow2_cache_put (e);
      if (status < 0)
        break;
    }
  if (status < 0 && delta > 0 && done)
    qcow2_refcount_add (s, cluster, done, -1); /* blocks are there: cannot fail but by reading */
  return status;
}

/* --- allocation -------------------------------------------------------------------------------------- */

/* The next run of free clusters from *AT on, at most N of them, at least LEAST. */
static int
find_run (Qcow2 *s, uint64_t *at, uint64_t n, uint64_t least, uint64_t *got)
{
  uint64_t per_block = VM_BIT (block_bits (s)), cluster = *at, run = 0;

  while (run < n)
    {
      uint64_t end = (cluster | (per_block - 1)) + 1;
      Qcow2Cached *e;
      int status = block_get (s, cluster, &e);

      if (status < 0)
        return status;
      if (cluster << s->cluster_bits >= MAX_HOST)
        return -EFBIG;
      if (!e)
        { /* nobody counts here: all free */
          uint64_t more = MIN (n - run, end - cluster);

          run += more;
          cluster += more;
          continue;
        }
      for (; cluster < end && run < n; cluster++)
        {
          if (!qcow2_block_get (s, e->data, cluster & (per_block - 1)))
            run++;
          else if (run >= least)
            break;
          else
            run = 0;
        }
      qcow2_cache_put (e);
      if (cluster < end)
        break;
    }
  *at = cluster - run;
  *got = run;
  return 0;
}

static uint64_t
missing_blocks (const Qcow2 *s, uint64_t at, uint64_t n)
{
  uint64_t count = 0;

  for (uint64_t i = at >> block_bits (s); i <= (at + n - 1) >> block_bits (s); i++)
    count += i >= s->refcount_n || !(s->refcounts[i] & ~UINT64_C (0x1ff));
  return count;
}

/* Blocks for a run of N clusters that is longer than what one block counts: each in the first cluster that it counts
 * would leave no such run. They come before it. 1: as of block_make(). */
static int
blocks_make (Qcow2 *s, uint64_t n)
{
  uint64_t at, got, k, missing = 0;
  int status;

  do
    {
      k = missing;
      at = s->free_hint;
      if ((status = find_run (s, &at, n + k, n + k, &got)) < 0)
        return status;
      missing = missing_blocks (s, at, n + k);
    }
  while (missing > k);
  if (!missing)
    return 0;
  uint64_t last = (at + n + k - 1) >> block_bits (s), place = at << s->cluster_bits;
  if (last >= s->refcount_n)
    return (status = table_grow (s, last)) < 0 ? status : 1;
  if (!at)
    {
      qcow2_corrupt (s, true, -1, -1, "Preventing invalid allocation of refcount block at offset 0");
      return -EIO;
    }
  if ((status = qcow2_check_overlap (s, 0, place, missing << s->cluster_bits)) < 0)
    return status;
  for (uint64_t i = at >> block_bits (s); i <= last; i++)
    {
      Qcow2Cached *e;

      if (s->refcounts[i] & ~UINT64_C (0x1ff))
        continue;
      if ((status = qcow2_cache_get (&s->blocks, place, true, &e)) < 0)
        return status;
      block_fill (s, e, 0, 0);
      qcow2_cache_put (e);
      table_set (s, i, place);
      place += s->cluster_size;
    }
  s->high = MAX (s->high, place);
  status = qcow2_refcount_add (s, at, missing, 1);
  return status < 0 ? status : 1;
}

int
qcow2_allocate (Qcow2 *s, uint64_t n, bool exact, uint64_t *offset, uint64_t *got, bool *fresh)
{
  uint64_t at, run = 0;
  int status;

  g_assert (n);
  qcow2_event (s, VMQ_BLKDEBUG_EVENT_CLUSTER_ALLOC);
  for (;;)
    {
      uint64_t per_block = VM_BIT (block_bits (s));

      at = s->free_hint;
      if ((status = find_run (s, &at, n, exact ? n : 1, &run)) < 0)
        return status;
      /* Blocks for all of it first; those take a cluster, and then another run may be it. */
      status = exact && n >= per_block ? blocks_make (s, n) : 0;
      for (uint64_t c = at; c < at + run && status == 0; c = (c | (per_block - 1)) + 1)
        status = block_make (s, c);
      if (status < 0)
        return status;
      if (status == 0)
        break;
    }
  if ((status = qcow2_check_overlap (s, 0, at << s->cluster_bits, run << s->cluster_bits)) < 0
      || (status = qcow2_refcount_add (s, at, run, 1)) < 0)
    return status;
  if (at == s->free_hint || !exact)
    s->free_hint = at + run;
  *offset = at << s->cluster_bits;
  *got = run;
  if (fresh)
    *fresh = *offset >= s->high;
  s->high = MAX (s->high, *offset + (run << s->cluster_bits));
  /* What a table or data was in these clusters before is not what is there now. */
  qcow2_cache_drop (&s->l2, *offset, run << s->cluster_bits);
  return 0;
}

int
qcow2_allocate_bytes (Qcow2 *s, uint64_t len, uint64_t *offset)
{
  uint64_t room = s->bytes_next ? s->cluster_size - (s->bytes_next & (s->cluster_size - 1)) : 0, at, got, count, need;
  bool shared = false;
  int status;

  qcow2_event (s, VMQ_BLKDEBUG_EVENT_CLUSTER_ALLOC_BYTES);
  if (room)
    {
      if ((status = qcow2_refcount (s, s->bytes_next >> s->cluster_bits, &count)) < 0)
        return status;
      shared = count > 0 && count < qcow2_refcount_max (s);
    }
  need = shared && len <= room ? 0 : qcow2_clusters (s, shared ? len - room : len);
  if (need)
    {
      if ((status = qcow2_allocate (s, need, true, &at, &got, NULL)) < 0)
        return status;
      if (shared && at != VM_ALIGN_UP (s->bytes_next, s->cluster_size))
        { /* not behind it: all of it must go into the new ones */
          shared = false;
          if (need < qcow2_clusters (s, len))
            {
              qcow2_free_now (s, at, need);
              if ((status = qcow2_allocate (s, qcow2_clusters (s, len), true, &at, &got, NULL)) < 0)
                return status;
            }
        }
    }
  if (shared)
    {
      if ((status = qcow2_refcount_add (s, s->bytes_next >> s->cluster_bits, 1, 1)) < 0)
        {
          if (need)
            qcow2_free_now (s, at, need);
          return status;
        }
      at = s->bytes_next;
    }
  *offset = at;
  s->bytes_next = (at + len) & (s->cluster_size - 1) ? at + len : 0;
  return 0;
}

/* --- freeing ---------------------------------------------------------------------------------------- */

void
qcow2_free (Qcow2 *s, uint64_t offset, uint64_t n, Qcow2Free kind)
{
  Qcow2Freed f = { offset >> s->cluster_bits, n, kind }, *last;
  GArray *list = s->freed[s->epoch];

  s->freed_clusters += n;
  if (list->len)
    {
      last = &g_array_index (list, Qcow2Freed, list->len - 1);
      if (last->kind == f.kind && last->cluster + last->n == f.cluster)
        {
          last->n += n;
          return;
        }
    }
  g_array_append_val (list, f);
}

void
qcow2_free_now (Qcow2 *s, uint64_t offset, uint64_t n)
{
  /* Failing leaves the clusters counted and unused: a leak, which harms nobody. */
  qcow2_refcount_add (s, offset >> s->cluster_bits, n, -1);
}

/* Gives those of the clusters that are free now back to the host. */
static void
discard_host (Qcow2 *s, const Qcow2Freed *f)
{
  uint64_t run = 0;

  for (uint64_t i = 0; i <= f->n; i++)
    {
      uint64_t count = 1;

      if (i < f->n && qcow2_refcount (s, f->cluster + i, &count) >= 0 && !count)
        {
          run++;
          continue;
        }
      if (run) /* the host may have no way to: then it keeps them */
        vm_node_discard (qcow2_file (s), (f->cluster + i - run) << s->cluster_bits, run << s->cluster_bits);
      run = 0;
    }
}

int
qcow2_apply_freed (Qcow2 *s, GArray *list)
{
  int status = 0;

  if (list->len)
    qcow2_event (s, VMQ_BLKDEBUG_EVENT_CLUSTER_FREE);
  for (guint i = 0; i < list->len; i++)
    {
      const Qcow2Freed *f = &g_array_index (list, Qcow2Freed, i);
      int one = qcow2_refcount_add (s, f->cluster, f->n, -1);

      s->freed_clusters -= MIN (f->n, s->freed_clusters);
      if (one < 0)
        {
          qcow2_corrupt (s, false, -1, -1, "Cluster %#" PRIx64 " is freed but is not in use",
                         f->cluster << s->cluster_bits);
          status = one;
          continue;
        }
      if (s->pass_discard[f->kind])
        discard_host (s, f);
    }
  return status;
}
