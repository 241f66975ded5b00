/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metadata in memory and its way back into the file: pieces of tables by their offset, the order of writing, and what
 * waits for stable storage. After the qcow2 specification, "Host cluster management". */
#include "block/qcow2/qcow2-private.h"

/* What is about to happen, by what is written and read. */
static void
event (Qcow2 *s, unsigned kind, bool update)
{
  static const VmqBlkdebugEvent loads[]
      = { VMQ_BLKDEBUG_EVENT_L2_LOAD, VMQ_BLKDEBUG_EVENT_REFBLOCK_LOAD, VMQ_BLKDEBUG_EVENT_REFTABLE_LOAD };
  static const VmqBlkdebugEvent updates[]
      = { VMQ_BLKDEBUG_EVENT_L2_UPDATE, VMQ_BLKDEBUG_EVENT_REFBLOCK_UPDATE_PART, VMQ_BLKDEBUG_EVENT_REFTABLE_UPDATE };

  if (kind & OVERLAP_ACTIVE_L1)
    qcow2_event (s, VMQ_BLKDEBUG_EVENT_L1_UPDATE);
  else if (kind & (OVERLAP_ACTIVE_L2 | OVERLAP_REFCOUNT_BLOCK | OVERLAP_REFCOUNT_TABLE))
    qcow2_event (s, (update ? updates : loads)[kind & OVERLAP_ACTIVE_L2         ? 0
                                               : kind & OVERLAP_REFCOUNT_BLOCK ? 1
                                                                               : 2]);
}

void
qcow2_event (Qcow2 *s, VmqBlkdebugEvent which)
{
  vm_node_event (qcow2_file (s), which);
}

/* --- the file --------------------------------------------------------------------------------------- */

int
qcow2_meta_read (Qcow2 *s, uint64_t offset, void *buffer, size_t len)
{
  VmNode *file = qcow2_file (s);
  size_t there = offset >= file->size ? 0 : MIN (len, file->size - offset);

  memset ((char *) buffer + there, 0, len - there);
  return there ? vm_node_pread (file, offset, buffer, there) : 0;
}

int
qcow2_meta_write (Qcow2 *s, uint64_t offset, const void *buffer, size_t len, unsigned kind)
{
  int status = qcow2_check_overlap (s, kind, offset, len);

  s->high = MAX (s->high, offset + len);
  event (s, kind, true);
  return status < 0 ? status : vm_node_pwrite (qcow2_file (s), offset, buffer, len);
}

int
qcow2_meta_flush (Qcow2 *s)
{
  VmNode *file = qcow2_file (s), *data = qcow2_data (s);
  int status = data != file ? vm_node_flush (data) : 0;

  if (status >= 0)
    status = vm_node_flush (file);
  if (status >= 0)
    s->unflushed = false;
  return status;
}

/* --- the cache -------------------------------------------------------------------------------------- */

void
qcow2_cache_init (Qcow2Cache *cache, Qcow2 *s, size_t piece, unsigned limit, unsigned kind)
{
  *cache = (Qcow2Cache){ .s = s, .piece = piece, .limit = limit, .kind = kind };
  cache->by_offset = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_queue_init (&cache->order);
}

static void
entry_free (Qcow2Cache *cache, Qcow2Cached *e)
{
  if (e->dirty)
    cache->dirty--;
  g_hash_table_remove (cache->by_offset, &e->offset);
  g_queue_unlink (&cache->order, &e->link);
  g_free (e->data);
  g_free (e);
}

void
qcow2_cache_free (Qcow2Cache *cache)
{
  while (cache->order.head)
    entry_free (cache, cache->order.head->data);
  g_clear_pointer (&cache->by_offset, g_hash_table_unref);
}

Qcow2Cached *
qcow2_cache_peek (Qcow2Cache *cache, uint64_t offset)
{
  Qcow2Cached *e = g_hash_table_lookup (cache->by_offset, &offset);

  if (!e || !e->data)
    return NULL;
  e->used = true;
  if (cache->order.head != &e->link)
    {
      g_queue_unlink (&cache->order, &e->link);
      g_queue_push_head_link (&cache->order, &e->link);
    }
  return e;
}

/* Makes room for one more. L2 tables go out in order with the rest; refcounts may go at any time. */
static int
make_room (Qcow2Cache *cache)
{
  while (cache->order.length >= cache->limit)
    {
      GList *last = cache->order.tail;
      Qcow2Cached *e;

      while (last && ((Qcow2Cached *) last->data)->pins)
        last = last->prev;
      if (!last)
        return 0; /* all in use: one more than the limit */
      e = last->data;
      if (e->dirty)
        {
          int status = cache->kind == OVERLAP_ACTIVE_L2 ? qcow2_write_back (cache->s) : qcow2_cache_write (cache);

          if (status < 0)
            return status;
          continue;
        }
      entry_free (cache, e);
    }
  return 0;
}

int
qcow2_cache_get (Qcow2Cache *cache, uint64_t offset, bool fresh, Qcow2Cached **out)
{
  Qcow2Cached *e = qcow2_cache_peek (cache, offset);
  g_autofree uint8_t *data = NULL;
  int status;

  if (e)
    {
      if (fresh)
        memset (e->data, 0, cache->piece);
      e->pins++;
      *out = e;
      return 0;
    }
  if ((status = make_room (cache)) < 0)
    return status;
  data = fresh ? g_try_malloc0 (cache->piece) : g_try_malloc (cache->piece);
  if (!data)
    return -ENOMEM;
  if (!fresh)
    event (cache->s, cache->kind, false);
  if (!fresh && (status = qcow2_meta_read (cache->s, offset, data, cache->piece)) < 0)
    return status;
  e = g_new0 (Qcow2Cached, 1);
  e->offset = offset;
  e->used = true;
  e->pins = 1;
  e->data = g_steal_pointer (&data);
  e->link.data = e;
  g_hash_table_insert (cache->by_offset, &e->offset, e);
  g_queue_push_head_link (&cache->order, &e->link);
  *out = e;
  return 0;
}

void
qcow2_cache_put (Qcow2Cached *e)
{
  if (e)
    e->pins--;
}

void
qcow2_cache_dirty (Qcow2Cache *cache, Qcow2Cached *e)
{
  if (!e->dirty)
    cache->dirty++;
  e->dirty = true;
}

void
qcow2_cache_drop (Qcow2Cache *cache, uint64_t offset, uint64_t len)
{
  if (len / cache->piece > cache->order.length)
    {
      for (GList *l = cache->order.head, *next; l; l = next)
        {
          Qcow2Cached *e = l->data;

          next = l->next;
          if (e->offset >= offset && e->offset - offset < len && !e->pins)
            entry_free (cache, e);
        }
      return;
    }
  for (uint64_t at = offset; at < offset + len; at += cache->piece)
    {
      Qcow2Cached *e = g_hash_table_lookup (cache->by_offset, &at);

      if (e && !e->pins)
        entry_free (cache, e);
    }
}

void
qcow2_cache_clean (Qcow2Cache *cache)
{
  for (GList *l = cache->order.head, *next; l; l = next)
    {
      Qcow2Cached *e = l->data;

      next = l->next;
      if (!e->used && !e->dirty && !e->pins)
        entry_free (cache, e);
      else
        e->used = false;
    }
}

static int
by_offset (gconstpointer a, gconstpointer b)
{
  const Qcow2Cached *const *x = a, *const *y = b;

  return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

/* N pieces that follow each other on the disk. */
static int
write_run (Qcow2Cache *cache, Qcow2Cached **run, unsigned n)
{
  g_autofree struct iovec *iov = g_new (struct iovec, n);
  uint64_t offset = run[0]->offset, len = (uint64_t) n * cache->piece;
  int status;

  for (unsigned i = 0; i < n; i++)
    iov[i] = (struct iovec){ run[i]->data, cache->piece };
  if ((status = qcow2_check_overlap (cache->s, cache->kind, offset, len)) < 0)
    return status;
  cache->s->high = MAX (cache->s->high, offset + len);
  event (cache->s, cache->kind, true);
  if ((status = vm_node_write (qcow2_file (cache->s), offset, vm_vec (iov, n), 0)) < 0)
    return status;
  for (unsigned i = 0; i < n; i++)
    run[i]->dirty = false;
  cache->dirty -= n;
  return 0;
}

int
qcow2_cache_write (Qcow2Cache *cache)
{
  g_autoptr (GPtrArray) dirty = NULL;
  int status = 0;

  if (!cache->dirty)
    return 0;
  dirty = g_ptr_array_new ();
  for (GList *l = cache->order.head; l; l = l->next)
    if (((Qcow2Cached *) l->data)->dirty)
      g_ptr_array_add (dirty, l->data);
  g_ptr_array_sort (dirty, by_offset);
  for (guint i = 0, n; i < dirty->len && status >= 0; i += n)
    {
      Qcow2Cached **run = (Qcow2Cached **) dirty->pdata + i;

      for (n = 1; n < 256 && i + n < dirty->len && run[n]->offset == run[0]->offset + n * cache->piece; n++)
        ;
      status = write_run (cache, run, n);
    }
  return status;
}

/* --- order ------------------------------------------------------------------------------------------ */

static int
write_refcount_table (Qcow2 *s)
{
  uint32_t from = s->refcount_dirty_from, n = s->refcount_dirty_to - from;
  g_autofree uint64_t *bytes = g_new (uint64_t, n);
  int status;

  for (uint32_t i = 0; i < n; i++)
    bytes[i] = GUINT64_TO_BE (s->refcounts[from + i]);
  status
      = qcow2_meta_write (s, s->refcount_table + from * UINT64_C (8), bytes, n * sizeof *bytes, OVERLAP_REFCOUNT_TABLE);
  if (status >= 0)
    s->refcount_dirty_from = s->refcount_dirty_to = 0;
  return status;
}

static int
write_refcounts (Qcow2 *s)
{
  int status;

  if (s->blocks.dirty)
    s->unflushed = true;
  if ((status = qcow2_cache_write (&s->blocks)) < 0 || s->refcount_dirty_from == s->refcount_dirty_to)
    return status;
  s->unflushed = true;
  if ((status = qcow2_meta_flush (s)) < 0)
    return status;
  s->unflushed = true;
  return write_refcount_table (s);
}

int
qcow2_write_back (Qcow2 *s)
{
  bool l1 = s->l1_dirty_from != s->l1_dirty_to;
  int status;

  /* With lazy refcounts the image is marked dirty, and what the refcounts say does not matter until it is closed. */
  if (!s->dirty_marked && (status = write_refcounts (s)) < 0)
    return status;
  if (!s->l2.dirty && !l1)
    return 0;
  if (s->unflushed && (status = qcow2_meta_flush (s)) < 0)
    return status;
  if ((status = qcow2_cache_write (&s->l2)) < 0 || !l1)
    return status;
  if ((status = qcow2_meta_flush (s)) < 0)
    return status;
  return qcow2_l1_write (s);
}

int
qcow2_barrier (Qcow2 *s)
{
  GArray *list;
  int status = qcow2_write_back (s);

  if (status < 0 || (status = qcow2_meta_flush (s)) < 0)
    return status;
  /* What was set free in the epoch before may still be written or read by requests of that epoch. */
  if (s->users[!s->epoch])
    return 0;
  list = s->freed[!s->epoch];
  s->freed[!s->epoch] = g_array_new (FALSE, FALSE, sizeof (Qcow2Freed));
  s->epoch = !s->epoch;
  status = qcow2_apply_freed (s, list);
  g_array_unref (list);
  /* Nobody of the epoch that has just ended is left: its clusters too. */
  if (status >= 0 && !s->users[!s->epoch])
    {
      list = s->freed[!s->epoch];
      s->freed[!s->epoch] = g_array_new (FALSE, FALSE, sizeof (Qcow2Freed));
      status = qcow2_apply_freed (s, list);
      g_array_unref (list);
    }
  return status;
}
