/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mending refcounts: one by one, or all of them anew where the old ones cannot be trusted. */
#include "block/qcow2/check-private.h"

int
qcow2_check_set (Qcow2Check *c, uint64_t cluster, uint64_t value)
{
  Qcow2 *s = c->s;
  uint64_t bits = s->cluster_bits + 3 - s->refcount_order, index = cluster >> bits;
  Qcow2Cached *e;
  int status;

  if (value > qcow2_refcount_max (s) || index >= s->refcount_n || !(s->refcounts[index] & ~UINT64_C (0x1ff)))
    return -EINVAL;
  if ((status = qcow2_cache_get (&s->blocks, s->refcounts[index] & ~UINT64_C (0x1ff), false, &e)) < 0)
    return status;
  qcow2_block_set (s, e->data, cluster & (VM_BIT (bits) - 1), value);
  qcow2_cache_dirty (&s->blocks, e);
  qcow2_cache_put (e);
  if (!value)
    s->free_hint = MIN (s->free_hint, cluster);
  return 0;
}

/* --- new refcounts -------------------------------------------------------------------------------------------- */

/* A table and blocks for clusters up to what they take themselves, behind the end of all that is in use. */
typedef struct Layout
{
  uint64_t first;  /* cluster of the first new block */
  uint64_t blocks; /* as many as table entries in use */
  uint64_t table;  /* clusters */
  uint64_t n;      /* clusters counted */
} Layout;

static Layout
layout_make (const Qcow2 *s, uint64_t end)
{
  uint64_t per_block = VM_BIT (s->cluster_bits + 3 - s->refcount_order);
  Layout l = { .first = end, .blocks = 1, .table = 1 };

  for (;;)
    {
      uint64_t blocks, table;

      l.n = end + l.blocks + l.table;
      blocks = (l.n + per_block - 1) / per_block;
      table = qcow2_clusters (s, blocks * 8);
      if (blocks <= l.blocks && table <= l.table)
        return l;
      l.blocks = MAX (l.blocks, blocks);
      l.table = MAX (l.table, table);
    }
}

static int
write_blocks (Qcow2Check *c, const Layout *l, uint64_t *table)
{
  Qcow2 *s = c->s;
  uint64_t per_block = VM_BIT (s->cluster_bits + 3 - s->refcount_order);
  int status = 0;

  for (uint64_t b = 0; b < l->blocks && status >= 0; b++)
    {
      uint64_t offset = (l->first + b) << s->cluster_bits;

      memset (c->table, 0, s->cluster_size);
      for (uint64_t i = 0; i < per_block && b * per_block + i < l->n; i++)
        {
          uint64_t cluster = b * per_block + i, value = cluster >= l->first ? 1
                                                        : cluster < c->n    ? c->count[cluster]
                                                                            : 0;

          qcow2_block_set (s, c->table, i, MIN (value, qcow2_refcount_max (s)));
        }
      table[b] = GUINT64_TO_BE (offset);
      s->high = MAX (s->high, offset + s->cluster_size);
      status = vm_node_pwrite (qcow2_file (s), offset, c->table, s->cluster_size);
    }
  return status;
}

/* The old ones are not references any more. */
static void
forget_old (Qcow2Check *c)
{
  Qcow2 *s = c->s;

  for (uint64_t i = 0; i < s->refcount_clusters; i++)
    {
      uint64_t cluster = (s->refcount_table >> s->cluster_bits) + i;

      if (cluster < c->n && c->count[cluster])
        c->count[cluster]--;
    }
  for (uint32_t i = 0; i < s->refcount_n; i++)
    {
      uint64_t offset = s->refcounts[i] & ~UINT64_C (0x1ff), cluster = offset >> s->cluster_bits;

      if (offset && !(offset & (s->cluster_size - 1)) && cluster < c->n && c->count[cluster])
        c->count[cluster]--;
    }
}

static int
switch_table (Qcow2Check *c, uint64_t offset, uint64_t clusters)
{
  Qcow2 *s = c->s;
  uint8_t header[HEADER_LENGTH];
  int status = qcow2_meta_read (s, 0, header, sizeof header);

  if (status < 0)
    return status;
  vm_store_be64 (header + HEADER_REFCOUNT_TABLE, offset);
  vm_store_be32 (header + HEADER_REFCOUNT_CLUSTERS, (uint32_t) clusters);
  if (c->new_width)
    vm_store_be32 (header + HEADER_REFCOUNT_ORDER, s->refcount_order);
  status = vm_node_pwrite (qcow2_file (s), 0, header, c->new_width ? sizeof header : HEADER_V2_LENGTH);
  return status < 0 ? status : qcow2_meta_flush (s);
}

int
qcow2_check_rebuild (Qcow2Check *c)
{
  Qcow2 *s = c->s;
  Layout l = layout_make (s, qcow2_clusters (s, c->file_size));
  uint64_t table_offset = (l.first + l.blocks) << s->cluster_bits, table_n = l.table * s->cluster_size / 8;
  g_autofree uint64_t *table = g_try_malloc0_n (table_n, 8);
  uint32_t *count;
  int status;

  if (!table)
    return -ENOMEM;
  if (l.table * s->cluster_size > MAX (MAX_REFCOUNT_TABLE_BYTES, s->cluster_size) || l.n << s->cluster_bits >= MAX_HOST)
    return -EFBIG;
  if ((status = write_blocks (c, &l, table)) < 0
      || (status = vm_node_pwrite (qcow2_file (s), table_offset, table, table_n * 8)) < 0
      || (status = qcow2_meta_flush (s)) < 0 || (status = switch_table (c, table_offset, l.table)) < 0)
    return status;
  s->high = MAX (s->high, l.n << s->cluster_bits);
  forget_old (c);
  if (!(count = g_try_realloc_n (c->count, MAX (l.n, c->n), sizeof *count)))
    return -ENOMEM;
  c->count = count;
  for (uint64_t i = c->n; i < l.n; i++)
    count[i] = 0;
  c->n = MAX (l.n, c->n);
  for (uint64_t i = l.first; i < l.n; i++)
    count[i] = 1;
  for (uint64_t i = 0; i < table_n; i++)
    table[i] = GUINT64_FROM_BE (table[i]);
  qcow2_cache_drop (&s->blocks, 0, UINT64_MAX);
  g_free (s->refcounts);
  s->refcounts = g_steal_pointer (&table);
  qcow2_overlap_forget (s);
  s->refcount_n = (uint32_t) table_n;
  s->refcount_used = (uint32_t) l.blocks;
  s->refcount_clusters = (uint32_t) l.table;
  s->refcount_table = table_offset;
  s->refcount_dirty_from = s->refcount_dirty_to = 0;
  s->free_hint = 0;
  s->broken = false;
  c->rebuilt = true;
  c->file_size = l.n << s->cluster_bits;
  return 0;
}
