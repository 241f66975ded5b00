/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "nbd": an export of an NBD server as a node. One connection, many requests on it; a fiber of its own takes the
 * replies and, when the connection is lost, makes another. After "The NBD protocol" of the NBD project. */
#include "block/node.h"
#include "block/protocols/nbd-private.h"
#include "engine/clock/clock.h"

#include <errno.h>

enum
{
  MAX_IN_FLIGHT = 16,
  ATTEMPT_S = 30, /* for one connection and its handshake */
  FIRST_PAUSE_S = 1,
  LAST_PAUSE_S = 16,
};

typedef struct Call
{
  uint16_t type, flags;
  uint64_t offset, len;
  VmVec vec; /* what is written or read */
  uint64_t cookie;
  uint64_t got; /* bytes of a read */
  uint32_t extent_len, extent_state;
  int status;
  bool done, lost; /* LOST: with the connection, without an answer */
  VmFiberQueue wake;
} Call;

typedef struct NbdState
{
  VmNode *node;
  VmSocketAddr *addr;
  char *export, *context, *hostname;
  VmTlsCreds *creds;
  int64_t delay_ns; /* requests wait so long for another connection */
  NbdTerms terms;
  VmStream stream;
  bool up, closing, expired, yanked;
  int pending; /* of vm_socket_connect() */
  VmFiber *life;
  VmFiber *dozer; /* who waits for the timer alone; NULL: it ends an attempt */
  VmWakeup *timer;
  int64_t lost_at;
  Call *calls[MAX_IN_FLIGHT];
  uint64_t generation;
  VmFiberMutex sending;
  VmFiberQueue room, waiting, over;
} NbdState;

static int64_t
now (void)
{
  return g_get_monotonic_time () * 1000;
}

/* --- replies -------------------------------------------------------------------------------------------------------
 */

static Call *
find_call (NbdState *s, uint64_t cookie)
{
  Call *call = s->calls[cookie % MAX_IN_FLIGHT];

  return call && !call->done && call->cookie == cookie ? call : NULL;
}

static void
fail_call (Call *call, uint32_t error)
{
  if (call->status >= 0)
    call->status = error ? nbd_status_of_error (error) : -EIO;
}

static void
end_call (Call *call)
{
  if (call->type == NBD_CALL_READ && call->status >= 0 && call->got != call->len)
    call->status = -EIO;
  call->done = true;
  vm_fiber_queue_wake_all (&call->wake);
}

/* The part of a read that begins at OFFSET of the export; false: not what was asked for. */
static bool
part_of (Call *call, uint64_t offset, uint64_t len, VmVec *part)
{
  if (call->type != NBD_CALL_READ || !len || offset < call->offset || offset - call->offset > call->len
      || len > call->len - (offset - call->offset) || len > call->len - call->got)
    return false;
  call->got += len;
  *part = vm_vec_slice (call->vec, offset - call->offset, len);
  return true;
}

static bool
take_status (NbdState *s, Call *call, uint32_t len)
{
  uint8_t data[12];

  if (call->type != NBD_CALL_BLOCK_STATUS || call->extent_len || len < sizeof data || (len - 4) % 8
      || !vm_stream_read (&s->stream, data, sizeof data) || vm_load_be32 (data) != s->terms.context_id)
    return false;
  call->extent_len = vm_load_be32 (data + 4);
  call->extent_state = vm_load_be32 (data + 8);
  return call->extent_len && vm_stream_skip (&s->stream, len - sizeof data);
}

static bool
take_error (NbdState *s, Call *call, uint32_t len)
{
  uint8_t error[4];

  if (len < 6 || !vm_stream_read (&s->stream, error, sizeof error))
    return false;
  fail_call (call, vm_load_be32 (error));
  return vm_stream_skip (&s->stream, len - sizeof error);
}

static bool
take_chunk (NbdState *s, Call *call, uint16_t type, uint32_t len)
{
  uint8_t head[12];
  VmVec part;

  switch (type)
    {
    case NBD_CHUNK_NONE:
      return len == 0;
    case NBD_CHUNK_DATA:
      return len > 8 && vm_stream_read (&s->stream, head, 8) && part_of (call, vm_load_be64 (head), len - 8, &part)
             && vm_stream_read_vec (&s->stream, part);
    case NBD_CHUNK_HOLE:
      if (len != 12 || !vm_stream_read (&s->stream, head, 12)
          || !part_of (call, vm_load_be64 (head), vm_load_be32 (head + 8), &part))
        return false;
      vm_vec_fill (part, 0, 0, part.size);
      return true;
    case NBD_CHUNK_STATUS:
      return take_status (s, call, len);
    default:
      return type & 0x8000 && take_error (s, call, len);
    }
}

static bool
take_structured (NbdState *s)
{
  uint8_t rest[16];

  if (!s->terms.structured || !vm_stream_read (&s->stream, rest, sizeof rest))
    return false;
  Call *call = find_call (s, vm_load_be64 (rest + 4));
  uint32_t len = vm_load_be32 (rest + 12);
  if (!call || len > NBD_MAX_REQUEST + 8 || !take_chunk (s, call, vm_load_be16 (rest + 2), len))
    return false;
  if (vm_load_be16 (rest) & NBD_CHUNK_DONE)
    end_call (call);
  return true;
}

static bool
take_simple (NbdState *s)
{
  uint8_t rest[12];

  if (!vm_stream_read (&s->stream, rest, sizeof rest))
    return false;
  Call *call = find_call (s, vm_load_be64 (rest + 4));
  uint32_t error = vm_load_be32 (rest);
  if (!call || (s->terms.structured && call->type == NBD_CALL_READ) || call->type == NBD_CALL_BLOCK_STATUS)
    {
      if (!call || !error) /* an error may come in the simple form */
        return false;
    }
  if (error)
    fail_call (call, error);
  else if (call->type == NBD_CALL_READ)
    {
      if (!vm_stream_read_vec (&s->stream, call->vec))
        return false;
      call->got = call->len;
    }
  end_call (call);
  return true;
}

static bool
take_reply (NbdState *s)
{
  uint8_t magic[4];

  if (!vm_stream_read (&s->stream, magic, sizeof magic))
    return false;
  switch (vm_load_be32 (magic))
    {
    case NBD_MAGIC_SIMPLE:
      return take_simple (s);
    case NBD_MAGIC_STRUCTURED:
      return take_structured (s);
    default:
      return false;
    }
}

/* --- the connection --------------------------------------------------------------------------- */

static void
on_timer (void *opaque)
{
  NbdState *s = opaque;
  VmFiber *dozer = s->dozer;

  if (dozer)
    {
      s->dozer = NULL;
      vm_fiber_wake (dozer);
      return;
    }
  vm_stream_break (&s->stream);
  vm_socket_cancel (&s->pending);
}

static void
doze (NbdState *s, int64_t ns)
{
  if (s->closing || s->yanked)
    return;
  s->dozer = vm_fiber_self ();
  vm_wakeup_arm (s->timer, now () + ns);
  while (s->dozer)
    vm_fiber_suspend ();
  vm_wakeup_arm (s->timer, INT64_MAX);
}

static void
doze_for_good (NbdState *s)
{
  s->dozer = vm_fiber_self ();
  while (s->dozer)
    vm_fiber_suspend ();
}

/* Whether what the graph believes of the node still holds. */
static bool
check_same (NbdState *s, const NbdTerms *terms, GError **error)
{
  const VmNode *node = s->node;
  uint32_t align = MAX (node->limits.alignment, 1);

  if (terms->size != s->terms.size)
    return vm_fail (error, "The size of the NBD server's export has changed");
  if (terms->flags & NBD_READ_ONLY && !node->readonly)
    return vm_fail (error, "The NBD server's export has become read-only");
  if (terms->min_block > align || (terms->max_block && terms->max_block < node->limits.max_transfer))
    return vm_fail (error, "The NBD server's limits have changed");
  return true;
}

/* One attempt, of at most NS. */
static bool
attempt (NbdState *s, bool again, int64_t ns, GError **error)
{
  NbdTerms terms = { .export = s->export, .context = s->context, .creds = s->creds, .hostname = s->hostname };
  bool ok = false;
  int fd;

  vm_wakeup_arm (s->timer, now () + ns);
  s->pending = -1;
  fd = vm_socket_connect (s->addr, &s->pending, error);
  if (fd >= 0)
    {
      vm_stream_init (&s->stream, vm_graph_loop (s->node->graph), fd);
      ok = !s->closing && !s->yanked && nbd_connect (&s->stream, &terms, error)
           && (!again || check_same (s, &terms, error));
      if (!ok)
        vm_stream_clear (&s->stream);
    }
  vm_wakeup_arm (s->timer, INT64_MAX);
  if (!ok)
    return false;
  s->terms = terms;
  s->up = true;
  s->expired = false;
  return true;
}

/* Nobody has an answer any more. */
static void
disconnect (NbdState *s)
{
  s->up = false;
  s->lost_at = now ();
  s->expired = !s->delay_ns || s->yanked;
  vm_stream_break (&s->stream);
  for (unsigned i = 0; i < MAX_IN_FLIGHT; i++)
    if (s->calls[i] && !s->calls[i]->done)
      {
        s->calls[i]->lost = true;
        s->calls[i]->status = -EIO;
        end_call (s->calls[i]);
      }
  vm_fiber_mutex_lock (&s->sending); /* whoever writes sees the end */
  vm_stream_clear (&s->stream);
  vm_fiber_mutex_unlock (&s->sending);
  vm_fiber_queue_wake_all (&s->waiting);
}

static void
reconnect (NbdState *s)
{
  int64_t pause = FIRST_PAUSE_S;

  while (!s->closing && !s->yanked)
    {
      int64_t left = s->lost_at + s->delay_ns - now ();
      if (!s->expired && left <= 0)
        {
          s->expired = true;
          vm_fiber_queue_wake_all (&s->waiting);
        }
      int64_t most = s->expired ? ATTEMPT_S * VM_NS_PER_SEC : MIN (left, ATTEMPT_S * VM_NS_PER_SEC);
      if (attempt (s, true, most, NULL))
        {
          vm_fiber_queue_wake_all (&s->waiting);
          return;
        }
      left = s->lost_at + s->delay_ns - now ();
      doze (s, s->expired ? pause * VM_NS_PER_SEC : MAX (MIN (pause * VM_NS_PER_SEC, left), 0));
      pause = MIN (pause * 2, LAST_PAUSE_S);
    }
}

static void
life (void *opaque)
{
  NbdState *s = opaque;

  s->life = vm_fiber_self ();
  while (!s->closing)
    {
      while (take_reply (s))
        ;
      disconnect (s);
      reconnect (s);
      while (s->yanked && !s->closing) /* until it is closed */
        doze_for_good (s);
    }
  if (s->up)
    disconnect (s);
  s->life = NULL;
  vm_fiber_queue_wake_all (&s->over);
}

/* --- requests --------------------------------------------------------------------------------- */

/* A place for CALL, or an error: there is no connection, and none to be waited for. */
static int
take_place (NbdState *s, Call *call)
{
  for (;;)
    {
      if (!s->up)
        {
          if (s->closing || s->expired)
            return -EIO;
          vm_fiber_queue_wait (&s->waiting);
          continue;
        }
      for (unsigned i = 0; i < MAX_IN_FLIGHT; i++)
        if (!s->calls[i])
          {
            s->calls[i] = call;
            call->cookie = s->generation++ * MAX_IN_FLIGHT + i;
            return (int) i;
          }
      vm_fiber_queue_wait (&s->room);
    }
}

static void
send_call (NbdState *s, Call *call)
{
  uint8_t head[28];

  vm_store_be32 (head, NBD_MAGIC_REQUEST);
  vm_store_be16 (head + 4, call->flags);
  vm_store_be16 (head + 6, call->type);
  vm_store_be64 (head + 8, call->cookie);
  vm_store_be64 (head + 16, call->offset);
  vm_store_be32 (head + 24, (uint32_t) call->len);
  vm_fiber_mutex_lock (&s->sending);
  if (!call->done
      && !vm_stream_write_vec (&s->stream, head, sizeof head,
                               call->type == NBD_CALL_WRITE ? call->vec : (VmVec){ NULL, 0, 0 }))
    vm_stream_break (&s->stream);
  vm_fiber_mutex_unlock (&s->sending);
}

static int
run_call (NbdState *s, Call *call)
{
  do
    {
      int place = take_place (s, call);
      if (place < 0)
        return place;
      call->status = 0;
      call->got = call->extent_len = 0;
      call->done = call->lost = false;
      send_call (s, call);
      while (!call->done)
        vm_fiber_queue_wait (&call->wake);
      s->calls[place] = NULL;
      vm_fiber_queue_wake (&s->room);
    }
  while (call->lost);
  return call->status;
}

static int
nbd_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Call call = { .type = NBD_CALL_READ, .offset = offset, .len = vec.size, .vec = vec };

  return vec.size ? run_call (node->state, &call) : 0;
}

static int
nbd_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  Call call = { .type = NBD_CALL_WRITE, .offset = offset, .len = vec.size, .vec = vec };

  call.flags = flags & VM_REQ_FUA ? NBD_FUA : 0;
  return vec.size ? run_call (node->state, &call) : 0;
}

static int
nbd_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  NbdState *s = node->state;
  Call call = { .type = NBD_CALL_WRITE_ZEROES, .offset = offset, .len = len };

  if (!(s->terms.flags & NBD_SEND_WRITE_ZEROES))
    return -ENOTSUP;
  if (flags & VM_REQ_NO_FALLBACK && !(s->terms.flags & NBD_SEND_FAST_ZERO))
    return -ENOTSUP;
  call.flags = (flags & VM_REQ_UNMAP ? 0 : NBD_NO_HOLE) | (flags & VM_REQ_NO_FALLBACK ? NBD_FAST_ZERO : 0);
  return run_call (s, &call);
}

static int
nbd_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  NbdState *s = node->state;
  Call call = { .type = NBD_CALL_TRIM, .offset = offset, .len = len };

  return s->terms.flags & NBD_SEND_TRIM ? run_call (s, &call) : -ENOTSUP;
}

static int
nbd_flush (VmNode *node)
{
  NbdState *s = node->state;
  Call call = { .type = NBD_CALL_FLUSH };

  return s->terms.flags & NBD_SEND_FLUSH ? run_call (s, &call) : 0;
}

static int
nbd_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  NbdState *s = node->state;
  uint32_t align = MAX (s->terms.min_block, 1);
  Call call = { .type = NBD_CALL_BLOCK_STATUS, .flags = NBD_REQ_ONE, .offset = offset };
  int status;

  *extent = (VmExtent){ .len = len, .flags = VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | VM_EXTENT_HAS_OFFSET };
  extent->file_offset = offset;
  extent->file = node;
  call.len = MIN (MIN (len, node->size - offset), VM_ALIGN_DOWN (NBD_MAX_REQUEST * UINT64_C (32), align));
  if (!s->terms.has_context || offset % align || call.len % align || !call.len)
    return 0;
  status = run_call (s, &call);
  if (status < 0)
    return status;
  if (!call.extent_len)
    return -EIO;
  extent->len = MIN (call.extent_len, call.len);
  if (call.extent_state & NBD_STATE_HOLE)
    extent->flags &= ~(unsigned) VM_EXTENT_DATA;
  if (call.extent_state & NBD_STATE_ZERO)
    extent->flags |= VM_EXTENT_ZERO;
  return 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static void
state_clear (NbdState *s)
{
  vm_wakeup_free (s->timer);
  vm_socket_addr_free (s->addr);
  if (s->creds)
    vm_object_unref ((VmObject *) s->creds);
  g_free (s->export);
  g_free (s->context);
  g_free (s->hostname);
}

static bool
take_seconds (const char *name, bool given, int64_t value, int64_t *ns, GError **error)
{
  if (given && (value < 0 || value > UINT32_MAX))
    return vm_fail (error, "Parameter '%s' expects a number of seconds from 0 to %" PRIu32, name, UINT32_MAX);
  *ns = given ? value * VM_NS_PER_SEC : 0;
  return true;
}

static bool
take_options (NbdState *s, const VmqBlockdevOptionsNbd *o, int64_t *timeout, GError **error)
{
  if (strlen (o->export ? o->export : "") > NBD_MAX_NAME)
    return vm_fail (error, "export name too long to send to server");
  if (strlen (o->x_dirty_bitmap ? o->x_dirty_bitmap : "") > NBD_MAX_NAME)
    return vm_fail (error, "x-dirty-bitmap query too long to send to server");
  s->export = g_strdup (o->export ? o->export : "");
  s->context = g_strdup (o->x_dirty_bitmap ? o->x_dirty_bitmap : "base:allocation");
  if (!take_seconds ("reconnect-delay", o->has_reconnect_delay, o->reconnect_delay, &s->delay_ns, error)
      || !take_seconds ("open-timeout", o->has_open_timeout, o->open_timeout, timeout, error))
    return false;
  s->addr = vm_socket_addr_new (o->server, error);
  if (!s->addr)
    return false;
  s->hostname = g_strdup (o->tls_hostname ? o->tls_hostname : vm_socket_addr_host (s->addr));
  if (o->tls_hostname && !o->tls_creds)
    return vm_fail (error, "tls-hostname without tls-creds has no meaning");
  if (!o->tls_creds)
    return true;
  s->creds = vm_tls_creds_find (vm_graph_objects (s->node->graph), o->tls_creds, VM_TLS_CLIENT, error);
  if (!s->creds)
    return false;
  vm_object_ref ((VmObject *) s->creds);
  return true;
}

static bool
check_access (NbdState *s, const VmqBlockdevOptionsNbd *o, GError **error)
{
  VmNode *node = s->node;

  if (o->x_dirty_bitmap && !s->terms.has_context)
    return vm_fail (error, "requested x-dirty-bitmap %s not found", o->x_dirty_bitmap);
  if (!(s->terms.flags & NBD_READ_ONLY) || node->readonly)
    return true;
  if (!node->auto_readonly)
    return vm_fail (error, "request on denied for write access: the NBD server's export is read-only");
  node->readonly = true;
  return true;
}

static void
set_limits (NbdState *s)
{
  VmNode *node = s->node;
  const NbdTerms *t = &s->terms;
  uint32_t align = t->min_block ? t->min_block : t->size % 512 ? 1 : 512;

  node->size = t->size;
  node->limits.alignment = align;
  node->limits.max_transfer
      = VM_ALIGN_DOWN (t->max_block ? MIN (t->max_block, NBD_MAX_REQUEST) : NBD_MAX_REQUEST, align);
  node->limits.max_discard = node->limits.max_zero = VM_ALIGN_DOWN (INT32_MAX, align);
  node->limits.optimal_transfer = t->best_block > align ? t->best_block : 0;
  if (t->flags & NBD_SEND_FUA)
    node->write_flags = VM_REQ_FUA;
  node->filename = vm_socket_addr_url (s->addr, "nbd", *s->export ? s->export : NULL);
}

static bool
nbd_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsNbd *o = opaque;
  NbdState *s = node->state;
  VmLoop *loop = vm_graph_loop (node->graph);
  g_autoptr (GError) why = NULL;
  int64_t timeout = 0, begun = now ();
  bool ok;

  s->node = node;
  s->stream.fd = -1;
  s->timer = vm_wakeup_new (loop, on_timer, s);
  ok = take_options (s, o, &timeout, error);
  while (ok && !attempt (s, false, ATTEMPT_S * VM_NS_PER_SEC, &why))
    {
      if (now () - begun >= timeout || s->yanked)
        {
          g_propagate_error (error, g_steal_pointer (&why));
          ok = false;
          break;
        }
      g_clear_error (&why);
      doze (s, MIN (FIRST_PAUSE_S * VM_NS_PER_SEC, MAX (timeout - (now () - begun), 0)));
    }
  if (ok && !check_access (s, o, error))
    {
      vm_stream_clear (&s->stream);
      ok = false;
    }
  if (!ok)
    {
      state_clear (s);
      return false;
    }
  set_limits (s);
  vm_fiber_spawn (loop, life, s);
  return true;
}

static void
nbd_close (VmNode *node)
{
  NbdState *s = node->state;
  uint8_t head[28] = { 0 };

  s->closing = true;
  if (s->up)
    {
      vm_store_be32 (head, NBD_MAGIC_REQUEST);
      vm_store_be16 (head + 6, NBD_CALL_DISC);
      vm_wakeup_arm (s->timer, now () + VM_NS_PER_SEC); /* a server that reads nothing */
      vm_stream_write (&s->stream, head, sizeof head);
      vm_wakeup_arm (s->timer, INT64_MAX);
    }
  on_timer (s); /* ends whatever the other fiber waits for */
  while (s->life)
    vm_fiber_queue_wait (&s->over);
  state_clear (s);
}

/* Requests fail from now on, and so do those under way. */
static void
nbd_yank (VmNode *node)
{
  NbdState *s = node->state;

  if (s->yanked || s->closing)
    return;
  s->yanked = s->expired = true;
  on_timer (s); /* ends whatever the other fiber waits for */
  vm_fiber_queue_wake_all (&s->waiting);
}

static const char *const nbd_schemes[] = { "nbd", "nbd+tcp", "nbd+unix", NULL };

const VmBlockDriver vm_nbd_driver = {
  .name = "nbd",
  .help = "Export of an NBD server",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (NbdState),
  .schemes = nbd_schemes,
  .parse_name = nbd_parse_name,
  .open = nbd_open,
  .close = nbd_close,
  .read = nbd_read,
  .write = nbd_write,
  .write_zeroes = nbd_write_zeroes,
  .discard = nbd_discard,
  .flush = nbd_flush,
  .status = nbd_status,
  .yank = nbd_yank,
};
