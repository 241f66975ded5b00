/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NBD server: requests and replies, simple and structured. */
#include "block/export/nbd-private.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_EXTENTS 2048

typedef struct Request
{
  NbdConnection *connection;
  uint16_t flags, type;
  uint8_t handle[8];
  uint64_t offset;
  uint32_t len;
  size_t held; /* of memory */
  uint8_t *data;
} Request;

/* --- replies: the lock of sending is held ----------------------------------------------------------------------------
 */

static bool
send_chunk (Request *r, unsigned flags, unsigned type, const void *a, size_t a_len, const void *b, size_t b_len)
{
  uint8_t head[20 + 12];
  struct iovec iov;

  g_assert (a_len <= sizeof head - 20);
  vm_store_be32 (head, NBD_MAGIC_STRUCTURED);
  vm_store_be16 (head + 4, (uint16_t) flags);
  vm_store_be16 (head + 6, (uint16_t) type);
  memcpy (head + 8, r->handle, 8);
  vm_store_be32 (head + 16, (uint32_t) (a_len + b_len));
  if (a_len)
    memcpy (head + 20, a, a_len);
  return vm_stream_write_vec (&r->connection->stream, head, 20 + a_len, vm_vec_buffer (&iov, b, b_len));
}

static bool
send_simple (Request *r, int status, const void *data, size_t len)
{
  uint8_t head[16];
  struct iovec iov;

  vm_store_be32 (head, NBD_MAGIC_SIMPLE);
  vm_store_be32 (head + 4, nbd_error_of_status (status));
  memcpy (head + 8, r->handle, 8);
  return vm_stream_write_vec (&r->connection->stream, head, sizeof head,
                              vm_vec_buffer (&iov, data, status < 0 ? 0 : len));
}

static bool
send_status (Request *r, int status)
{
  uint8_t error[6] = { 0 };

  if (!r->connection->structured)
    return send_simple (r, status, NULL, 0);
  if (status >= 0)
    return send_chunk (r, NBD_CHUNK_DONE, NBD_CHUNK_NONE, NULL, 0, NULL, 0);
  vm_store_be32 (error, nbd_error_of_status (status));
  return send_chunk (r, NBD_CHUNK_DONE, NBD_CHUNK_ERROR, error, sizeof error, NULL, 0);
}

static void
answer (Request *r, int status)
{
  NbdConnection *c = r->connection;

  vm_fiber_mutex_lock (&c->sending);
  c->closing |= !send_status (r, status);
  vm_fiber_mutex_unlock (&c->sending);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Data and holes by turns, as the image has them. */
static bool
send_sparse (Request *r, VmNode *node)
{
  uint8_t head[12];
  VmExtent extent;

  for (uint64_t at = 0, n; at < r->len; at += n)
    {
      if (vm_node_status_above (node, NULL, r->offset + at, r->len - at, &extent) < 0)
        extent = (VmExtent){ .len = r->len - at };
      n = MIN (extent.len, r->len - at);
      unsigned done = at + n == r->len ? NBD_CHUNK_DONE : 0;
      vm_store_be64 (head, r->offset + at);
      vm_store_be32 (head + 8, (uint32_t) n);
      if (extent.flags & VM_EXTENT_ZERO ? !send_chunk (r, done, NBD_CHUNK_HOLE, head, 12, NULL, 0)
                                        : !send_chunk (r, done, NBD_CHUNK_DATA, head, 8, r->data + at, n))
        return false;
    }
  return true;
}

static void
do_read (Request *r, VmNode *node)
{
  NbdConnection *c = r->connection;
  uint8_t head[8];
  int status;
  bool ok;

  status = posix_memalign ((void **) &r->data, VM_PAGE_SIZE, MAX (r->len, VM_PAGE_SIZE)) ? -ENOMEM : 0;
  if (!status && r->len)
    status = vm_node_pread (node, r->offset, r->data, r->len);
  vm_store_be64 (head, r->offset);
  vm_fiber_mutex_lock (&c->sending);
  if (status < 0)
    ok = send_status (r, status);
  else if (!c->structured)
    ok = send_simple (r, 0, r->data, r->len);
  else if (r->flags & NBD_DF || !r->len)
    ok = r->len ? send_chunk (r, NBD_CHUNK_DONE, NBD_CHUNK_DATA, head, sizeof head, r->data, r->len)
                : send_status (r, 0);
  else
    ok = send_sparse (r, node);
  c->closing |= !ok;
  vm_fiber_mutex_unlock (&c->sending);
}

/* --- block status ----------------------------------------------------------------------------- */

static int
state_at (const NbdExport *e, unsigned context, uint64_t offset, uint64_t left, uint64_t *len, uint32_t *state)
{
  VmNode *node = e->parent.root->node;
  VmExtent extent;
  int status;

  if (context >= NBD_CONTEXT_BITMAP)
    {
      const VmDirtyBitmap *bitmap = g_ptr_array_index (e->bitmaps, context - NBD_CONTEXT_BITMAP);
      bool dirty = vm_bitmap_get (bitmap, offset);
      *len = MAX (vm_bitmap_next (bitmap, offset, offset + left, !dirty), offset + 1) - offset;
      *state = dirty;
      return 0;
    }
  if (context == NBD_CONTEXT_DEPTH)
    {
      VmNode *layer = vm_node_skip_filters (node);
      for (*state = 1; layer; (*state)++, layer = vm_node_backing (layer))
        {
          if (offset >= layer->size)
            break;
          status = vm_node_status (layer, offset, MIN (left, layer->size - offset), &extent);
          if (status < 0)
            return status;
          left = MIN (left, MIN (extent.len, layer->size - offset));
          if (extent.flags & VM_EXTENT_ALLOCATED)
            {
              *len = left;
              return 0;
            }
        }
      *state = 0;
      *len = left;
      return 0;
    }
  status = vm_node_status_above (node, NULL, offset, left, &extent);
  *len = MIN (extent.len, left);
  *state = (extent.flags & VM_EXTENT_DATA ? 0 : NBD_STATE_HOLE)
           | (extent.flags & VM_EXTENT_ZERO || !(extent.flags & VM_EXTENT_ALLOCATED) ? NBD_STATE_ZERO : 0);
  return status;
}

static int
collect_states (Request *r, unsigned context, GByteArray *out)
{
  const NbdExport *e = r->connection->export;
  unsigned max = r->flags & NBD_REQ_ONE ? 1 : MAX_EXTENTS, n = 0;
  uint64_t len = 0, held_len = 0;
  uint32_t state = 0, held = 0;
  uint8_t pair[8];

  for (uint64_t at = 0; at < r->len; at += len)
    {
      int status = state_at (e, context, r->offset + at, r->len - at, &len, &state);
      if (status < 0)
        return status;
      if (held_len && state != held)
        {
          vm_store_be32 (pair, (uint32_t) held_len);
          vm_store_be32 (pair + 4, held);
          g_byte_array_append (out, pair, 8);
          held_len = 0;
          if (++n == max)
            return 0;
        }
      held = state;
      held_len += len;
    }
  vm_store_be32 (pair, (uint32_t) held_len);
  vm_store_be32 (pair + 4, held);
  g_byte_array_append (out, pair, 8);
  return 0;
}

static void
do_block_status (Request *r)
{
  NbdConnection *c = r->connection;
  g_autoptr (GPtrArray) lists = g_ptr_array_new_with_free_func ((GDestroyNotify) g_byte_array_unref);
  uint64_t left = c->contexts;
  int status = left && c->structured && r->len ? 0 : -EINVAL;
  bool ok = true;

  for (unsigned id = 0; status >= 0 && id < NBD_MAX_CONTEXTS; id++)
    if (c->contexts & UINT64_C (1) << id)
      {
        GByteArray *list = g_byte_array_new ();
        g_ptr_array_add (lists, list);
        status = collect_states (r, id, list);
      }
  vm_fiber_mutex_lock (&c->sending);
  if (status < 0)
    ok = send_status (r, status);
  for (unsigned id = 0, i = 0; ok && status >= 0 && id < NBD_MAX_CONTEXTS; id++)
    if (left & UINT64_C (1) << id)
      {
        const GByteArray *list = g_ptr_array_index (lists, i++);
        uint8_t number[4];
        left &= ~(UINT64_C (1) << id);
        vm_store_be32 (number, id);
        ok = send_chunk (r, left ? 0 : NBD_CHUNK_DONE, NBD_CHUNK_STATUS, number, 4, list->data, list->len);
      }
  c->closing |= !ok;
  vm_fiber_mutex_unlock (&c->sending);
}

/* --- one request ------------------------------------------------------------------------------ */

static int
check (const Request *r)
{
  const NbdExport *e = r->connection->export;
  uint64_t size = e->parent.root->node->size;
  static const uint8_t allowed[] = {
    [NBD_CALL_READ] = NBD_FUA | NBD_DF,
    [NBD_CALL_WRITE] = NBD_FUA,
    [NBD_CALL_FLUSH] = NBD_FUA,
    [NBD_CALL_TRIM] = NBD_FUA,
    [NBD_CALL_CACHE] = NBD_FUA,
    [NBD_CALL_WRITE_ZEROES] = NBD_FUA | NBD_NO_HOLE | NBD_FAST_ZERO,
    [NBD_CALL_BLOCK_STATUS] = NBD_FUA | NBD_REQ_ONE,
  };

  if (r->type >= G_N_ELEMENTS (allowed) || r->type == NBD_CALL_DISC || r->flags & ~(unsigned) allowed[r->type])
    return -EINVAL;
  if ((r->type == NBD_CALL_WRITE || r->type == NBD_CALL_TRIM || r->type == NBD_CALL_WRITE_ZEROES)
      && !e->parent.writable)
    return -EPERM;
  if (r->type == NBD_CALL_FLUSH)
    return 0;
  if (r->offset > size || r->len > size - r->offset)
    return r->type == NBD_CALL_WRITE || r->type == NBD_CALL_WRITE_ZEROES ? -ENOSPC : -EINVAL;
  return 0;
}

static int
do_change (Request *r, VmNode *node)
{
  unsigned fua = (r->flags & NBD_FUA ? VM_REQ_FUA : 0) | vm_export_write_flags (&r->connection->export->parent);
  struct iovec iov;
  int status;

  switch (r->type)
    {
    case NBD_CALL_WRITE:
      return vm_node_write (node, r->offset, vm_vec_buffer (&iov, r->data, r->len), fua);
    case NBD_CALL_WRITE_ZEROES:
      return vm_node_write_zeroes (node, r->offset, r->len,
                                   fua | (r->flags & NBD_NO_HOLE ? 0 : VM_REQ_UNMAP)
                                       | (r->flags & NBD_FAST_ZERO ? VM_REQ_NO_FALLBACK : 0));
    case NBD_CALL_TRIM:
      status = vm_node_discard (node, r->offset, r->len);
      return status >= 0 && fua ? vm_node_flush (node) : status;
    case NBD_CALL_FLUSH:
      return vm_node_flush (node);
    default: /* NBD_CALL_CACHE: the host's cache is filled by itself when it is read */
      return 0;
    }
}

static void
request_run (void *opaque)
{
  Request *r = opaque;
  NbdConnection *c = r->connection;
  NbdExport *e = c->export;
  VmNode *node;
  int status;

  vm_export_begin (&e->parent);
  node = e->parent.root->node;
  status = check (r);
  if (status < 0)
    answer (r, status);
  else if (r->type == NBD_CALL_READ)
    do_read (r, node);
  else if (r->type == NBD_CALL_BLOCK_STATUS)
    do_block_status (r);
  else
    answer (r, do_change (r, node));
  vm_export_end (&e->parent);
  free (r->data);
  c->in_flight--;
  c->held -= r->held;
  g_free (r);
  vm_fiber_queue_wake_all (&c->wake);
}

static bool
read_request (NbdConnection *c, Request *r)
{
  uint8_t head[28];

  if (!vm_stream_read (&c->stream, head, sizeof head) || vm_load_be32 (head) != NBD_MAGIC_REQUEST)
    return false;
  r->connection = c;
  r->flags = vm_load_be16 (head + 4);
  r->type = vm_load_be16 (head + 6);
  memcpy (r->handle, head + 8, 8);
  r->offset = vm_load_be64 (head + 16);
  r->len = vm_load_be32 (head + 24);
  if (r->type == NBD_CALL_DISC)
    return false;
  /* What cannot be taken off the stream ends it. */
  if ((r->type == NBD_CALL_READ || r->type == NBD_CALL_WRITE) && r->len > NBD_MAX_REQUEST)
    return false;
  r->held = r->type == NBD_CALL_READ || r->type == NBD_CALL_WRITE ? r->len : 0;
  while (c->in_flight >= NBD_MAX_IN_FLIGHT || c->held + r->held > NBD_MAX_HELD)
    vm_fiber_queue_wait (&c->wake);
  if (r->type != NBD_CALL_WRITE)
    return true;
  if (posix_memalign ((void **) &r->data, VM_PAGE_SIZE, MAX (r->len, VM_PAGE_SIZE)))
    return false;
  return vm_stream_read (&c->stream, r->data, r->len);
}

void
nbd_serve (NbdConnection *c)
{
  while (!c->closing)
    {
      Request *r = g_new0 (Request, 1);
      if (!read_request (c, r))
        {
          free (r->data);
          g_free (r);
          return;
        }
      c->in_flight++;
      c->held += r->held;
      vm_fiber_spawn (vm_graph_loop (c->server->graph), request_run, r);
    }
}
