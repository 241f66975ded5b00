/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The devices' side of the graph: requests go to the graph's thread, run there in fibers, and come back to the loop of
 * the device. In both directions many travel with one wake-up. */
#include "block/front.h"
#include "block/latency.h"

#include <errno.h>

typedef struct FrontSource
{
  GSource source;
  VmBlock *block;
} FrontSource;

/* --- on the graph's thread -------------------------------------------------------------------------------- */

static int
request_execute (Request *r)
{
  VmNode *node = r->block->root ? r->block->root->node : NULL;
  VmVec vec = vm_vec (r->iov, r->n);

  if (!node)
    return -ENOMEDIUM;
  if (r->control)
    return vm_node_control (node, r->control, r->arg);
  switch (r->kind)
    {
    case VM_BLOCK_READ:
      return vm_node_read (node, r->offset, vec, 0);
    case VM_BLOCK_WRITE:
      {
        unsigned flags = (r->flags & VM_BLOCK_FUA ? VM_REQ_FUA : 0) | (r->flags & VM_BLOCK_UNMAP ? VM_REQ_UNMAP : 0);
        if (r->offset > node->size || r->len > node->size - r->offset)
          return -ENOSPC;
        return r->zeroes ? vm_node_write_zeroes (node, r->offset, r->len, flags)
                         : vm_node_write (node, r->offset, vec, flags);
      }
    case VM_BLOCK_FLUSH:
      return vm_node_flush (node);
    default:
      return vm_node_discard (node, r->offset, r->len);
    }
}

/* To the device's loop. Inside the mutex: whoever drains and sees this request finished may free the block next. */
static void
request_finish (Request *r)
{
  VmBlock *block = r->block;

  g_mutex_lock (&block->mutex);
  g_queue_push_tail (&block->finished, r);
  if (block->finished.length == 1)
    g_source_set_ready_time (block->source, 0);
  g_cond_broadcast (&block->idle);
  g_mutex_unlock (&block->mutex);
}

static void
request_run (void *opaque)
{
  Request *r = opaque;
  VmBlock *block = r->block;

  if (block->throttle)
    vm_throttle_wait (block->throttle, r->kind == VM_BLOCK_WRITE, r->len);
  r->status = request_execute (r);
  block->running--;
  request_finish (r);
}

static void
request_start (Request *r)
{
  VmBlock *block = r->block;

  if (block->quiesced)
    {
      g_queue_push_tail (&block->parked, r);
      return;
    }
  block->running++;
  vm_fiber_spawn (vm_graph_loop (block->graph), request_run, r);
}

static void
front_start (void *opaque)
{
  VmBlock *block = opaque;

  g_mutex_lock (&block->mutex);
  GQueue started = block->submitted;
  g_queue_init (&block->submitted);
  block->submit_posted = false;
  g_mutex_unlock (&block->mutex);
  for (Request *r; (r = g_queue_pop_head (&started));)
    request_start (r);
}

static void
front_drain_begin (void *opaque)
{
  VmBlock *block = opaque;

  block->quiesced++;
  if (block->throttle)
    vm_throttle_member_drain (block->throttle, true);
}

static bool
front_drain_busy (void *opaque)
{
  return ((VmBlock *) opaque)->running != 0;
}

static void
front_drain_end (void *opaque)
{
  VmBlock *block = opaque;

  block->quiesced--;
  if (block->throttle)
    vm_throttle_member_drain (block->throttle, false);
  for (Request *r; !block->quiesced && (r = g_queue_pop_head (&block->parked));)
    request_start (r);
}

/* What devices may ask for at any time. */
static void
publish (VmBlock *block)
{
  const VmNode *node = block->root->node;

  g_mutex_lock (&block->mutex);
  block->limits = node->limits;
  block->limits.alignment = MAX (node->limits.alignment, 1);
  g_mutex_unlock (&block->mutex);
  __atomic_store_n (&block->size, node->size, __ATOMIC_RELEASE);
  __atomic_store_n (&block->readonly, node->readonly, __ATOMIC_RELEASE);
}

static void
front_resized (void *opaque)
{
  VmBlock *block = opaque;

  publish (block);
  g_mutex_lock (&block->mutex);
  block->tell_resized = true;
  g_source_set_ready_time (block->source, 0);
  g_mutex_unlock (&block->mutex);
}

static const VmRootClass front_class = {
  .kind = "device",
  .drain_begin = front_drain_begin,
  .drain_busy = front_drain_busy,
  .drain_end = front_drain_end,
  .resized = front_resized,
};

/* --- on the device's loop ------------------------------------------------------------------------------------ */

static void
account (VmBlock *block, VmBlockRequestKind kind, uint64_t len, uint64_t ns, bool refused, int status)
{
  VmBlockStats *s = &block->stats;
  VmDrive *drive = block->owner;

  if (status < 0 && refused)
    s->invalid[kind]++;
  else if (status < 0)
    s->failed[kind]++;
  if (status < 0 && drive && !(refused ? drive->account_invalid : drive->account_failed))
    return;
  s->last_us = g_get_monotonic_time ();
  if (refused)
    return;
  s->time_ns[kind] += ns;
  if (drive)
    vm_drive_account_time (drive, kind, ns, s->last_us);
  if (status < 0)
    return;
  s->operations[kind]++;
  s->bytes[kind] += len;
  if (drive)
    vm_histogram_add (&drive->histograms[kind], ns);
}

static void
request_account (const Request *r, int status)
{
  if (r->control)
    return;
  account (r->block, r->kind, r->len, (uint64_t) (g_get_monotonic_time () - r->begun) * 1000, r->refused, status);
  if (r->kind == VM_BLOCK_WRITE && status >= 0)
    r->block->stats.highest = MAX (r->block->stats.highest, r->offset + r->len);
}

static void
request_done (Request *r, int status)
{
  VmBlock *block = r->block;

  request_account (r, r->status);
  r->done (r->opaque, status);
  g_free (r);
  g_mutex_lock (&block->mutex);
  block->in_flight--;
  g_cond_broadcast (&block->idle);
  g_mutex_unlock (&block->mutex);
  vm_block_unref (block);
}

/* What becomes of a request by the drive's policy; false: it is kept until the machine goes on. */
static bool
request_settle (Request *r, bool may_hold)
{
  VmBlock *block = r->block;
  VmBlockErrorAction action = VM_BLOCK_ERROR_REPORT;

  if (r->status < 0 && block->failed && !r->control)
    action = block->failed (block->owner, r->kind == VM_BLOCK_READ, r->status);
  if (action == VM_BLOCK_ERROR_STOP && may_hold)
    return false;
  request_done (r, action == VM_BLOCK_ERROR_IGNORE ? 0 : r->status);
  return true;
}

static void
settle_or_hold (Request *r)
{
  if (!request_settle (r, true))
    g_queue_push_tail (&r->block->held, r);
}

static bool
lock_enter (VmBlock *block)
{
  return block->lock && vm_lock_enter (block->lock);
}

static void
lock_leave (VmBlock *block, bool taken)
{
  if (block->lock)
    vm_lock_leave (block->lock, taken);
}

static Request *
take_finished (VmBlock *block)
{
  g_mutex_lock (&block->mutex);
  Request *r = g_queue_pop_head (&block->finished);
  g_mutex_unlock (&block->mutex);
  return r;
}

void
vm_block_account (VmBlock *block, VmBlockRequestKind kind, uint64_t len, uint64_t ns, bool refused, int status)
{
  bool taken = lock_enter (block);

  account (block, kind, len, ns, refused, status);
  lock_leave (block, taken);
}

/* The source that is ready when requests are finished. */
static gboolean
front_dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  VmBlock *block = ((FrontSource *) source)->block;
  Request *r;

  vm_block_ref (block);
  VmLock *lock = block->lock; /* the block may move meanwhile */
  bool taken = lock && vm_lock_enter (lock);
  g_mutex_lock (&block->mutex);
  g_source_set_ready_time (source, -1);
  bool resized = block->tell_resized;
  block->tell_resized = false;
  g_mutex_unlock (&block->mutex);
  if (resized && block->resized)
    block->resized (block->owner);
  while ((r = take_finished (block)))
    settle_or_hold (r);
  if (lock)
    vm_lock_leave (lock, taken);
  vm_block_unref (block);
  return G_SOURCE_CONTINUE;
}

static const GSourceFuncs front_source_funcs = { .dispatch = front_dispatch };

static void
request_submit (VmBlock *block, const Request *what, const struct iovec *iov, VmBlockDone done, void *opaque)
{
  Request *r = g_malloc0 (sizeof *r + what->n * sizeof *iov);

  *r = *what;
  r->block = vm_block_ref (block);
  r->begun = g_get_monotonic_time ();
  r->done = done;
  r->opaque = opaque;
  if (r->n)
    memcpy (r->iov, iov, r->n * sizeof *iov);
  if (block->write_through && r->kind == VM_BLOCK_WRITE)
    r->flags |= VM_BLOCK_FUA;
  g_mutex_lock (&block->mutex);
  block->in_flight++;
  g_mutex_unlock (&block->mutex);
  if (!block->root)
    {
      /* Taken out: nobody hears of it but the device, at once. */
      request_done (r, r->status = -ENOMEDIUM);
      return;
    }
  if (r->status)
    {
      r->refused = true;
      request_finish (r);
    }
  else
    vm_block_resubmit (r);
}

void
vm_block_resubmit (Request *r)
{
  VmBlock *block = r->block;

  g_mutex_lock (&block->mutex);
  g_queue_push_tail (&block->submitted, r);
  if (!block->submit_posted)
    vm_loop_post (vm_graph_loop (block->graph), front_start, block); /* the request holds a reference */
  block->submit_posted = true;
  g_mutex_unlock (&block->mutex);
}

static size_t
iov_length (const struct iovec *iov, unsigned n)
{
  size_t len = 0;

  for (unsigned i = 0; i < n; i++)
    len += iov[i].iov_len;
  return len;
}

void
vm_block_read (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_READ, .offset = offset, .len = iov_length (iov, n), .n = n };

  request_submit (block, &r, iov, done, opaque);
}

static int
write_refusal (const VmBlock *block, uint64_t offset, uint64_t len)
{
  uint64_t size = vm_block_size (block);

  if (vm_block_readonly (block))
    return -EPERM;
  return offset > size || len > size - offset ? -ENOSPC : 0;
}

void
vm_block_write_flags (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, unsigned flags,
                      VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_WRITE, .offset = offset, .len = iov_length (iov, n), .n = n, .flags = flags };

  r.status = write_refusal (block, offset, r.len);
  request_submit (block, &r, iov, done, opaque);
}

void
vm_block_write (VmBlock *block, uint64_t offset, const struct iovec *iov, unsigned n, VmBlockDone done, void *opaque)
{
  vm_block_write_flags (block, offset, iov, n, 0, done, opaque);
}

void
vm_block_write_zeroes (VmBlock *block, uint64_t offset, uint64_t len, unsigned flags, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_WRITE, .offset = offset, .len = len, .flags = flags, .zeroes = true };

  r.status = write_refusal (block, offset, len);
  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_flush (VmBlock *block, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_FLUSH };

  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_discard (VmBlock *block, uint64_t offset, uint64_t len, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_DISCARD, .offset = offset, .len = len };
  uint64_t size = vm_block_size (block);

  if (vm_block_readonly (block))
    r.status = -EPERM;
  else if (offset > size || len > size - offset)
    r.status = -EINVAL;
  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_control (VmBlock *block, unsigned long request, void *arg, VmBlockDone done, void *opaque)
{
  Request r = { .kind = VM_BLOCK_FLUSH, .control = request, .arg = arg };

  request_submit (block, &r, NULL, done, opaque);
}

void
vm_block_set_write_cache (VmBlock *block, bool on)
{
  block->write_through = !on;
}

VmBlockLimits
vm_block_limits (const VmBlock *block)
{
  VmBlock *b = (VmBlock *) (uintptr_t) block;

  g_mutex_lock (&b->mutex);
  VmBlockLimits limits = b->limits;
  g_mutex_unlock (&b->mutex);
  return limits;
}

/* Until all requests are done, or all but those held. */
static void
wait_for_requests (VmBlock *block, void (*settle) (Request *r), bool keep_held)
{
  vm_block_ref (block);
  g_mutex_lock (&block->mutex);
  while (block->in_flight > (keep_held ? block->held.length : 0))
    {
      Request *r = g_queue_pop_head (&block->finished);

      if (!r)
        {
          g_cond_wait (&block->idle, &block->mutex);
          continue;
        }
      g_mutex_unlock (&block->mutex);
      settle (r);
      g_mutex_lock (&block->mutex);
    }
  g_mutex_unlock (&block->mutex);
  vm_block_unref (block);
}

static void
settle_for_good (Request *r)
{
  request_settle (r, false);
}

/* Who waits here (a reset, a medium that goes) wants an end: what was held is reported as failed. */
void
vm_block_drain (VmBlock *block)
{
  bool taken = lock_enter (block);
  Request *r;

  vm_block_ref (block);
  while ((r = g_queue_pop_head (&block->held)))
    request_done (r, r->status);
  wait_for_requests (block, settle_for_good, false);
  lock_leave (block, taken);
  vm_block_unref (block);
}

unsigned
vm_block_settle (VmBlock *block)
{
  bool taken = lock_enter (block);

  wait_for_requests (block, settle_or_hold, true);
  lock_leave (block, taken);
  return block->held.length;
}

void
vm_block_retry (VmBlock *block)
{
  bool taken = lock_enter (block);
  GQueue held = block->held;
  Request *r;

  g_queue_init (&block->held);
  while ((r = g_queue_pop_head (&held)))
    {
      r->status = 0;
      vm_block_resubmit (r);
    }
  lock_leave (block, taken);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

typedef struct NewBlock
{
  VmBlock *block;
  VmNode *node;
} NewBlock;

static void
attach_front (void *opaque)
{
  NewBlock *n = opaque;

  /* Wanting nothing cannot fail. */
  n->block->root = vm_node_attach_root (n->node, "", &front_class, n->block, 0, VM_PERM_ALL, NULL);
  n->block->path = g_strdup (n->node->filename);
  publish (n->block);
}

static void
make_source (VmBlock *block)
{
  block->source = g_source_new ((GSourceFuncs *) (uintptr_t) &front_source_funcs, sizeof (FrontSource));
  ((FrontSource *) (void *) block->source)->block = block;
  g_source_set_name (block->source, "block");
  g_source_attach (block->source, vm_loop_context (block->loop));
}

void
vm_block_set_loop (VmBlock *block, VmLoop *loop, VmLock *lock)
{
  vm_block_drain (block);
  g_mutex_lock (&block->mutex);
  bool ready = block->tell_resized;
  if (block->source)
    vm_source_clear (&block->source);
  block->loop = loop;
  block->lock = lock;
  make_source (block);
  if (ready)
    g_source_set_ready_time (block->source, 0);
  g_mutex_unlock (&block->mutex);
}

VmBlock *
vm_block_new (VmLoop *loop, VmNode *node)
{
  VmBlock *block = g_new0 (VmBlock, 1);

  block->refs = 1;
  block->loop = loop;
  block->graph = node->graph;
  g_mutex_init (&block->mutex);
  g_cond_init (&block->idle);
  make_source (block);
  vm_graph_call (block->graph, attach_front, &(NewBlock){ block, node });
  return block;
}

VmNode *
vm_block_node (VmBlock *block)
{
  return block->root->node;
}

typedef struct Attach
{
  VmBlock *block;
  const char *who;
  unsigned perm, shared;
  GError **error;
  bool ok;
} Attach;

static void
set_perms (void *opaque)
{
  Attach *a = opaque;
  VmEdge *root = a->block->root;
  char *before = root->name;

  root->name = g_strdup (a->who); /* errors name it */
  a->ok = vm_edge_set_perms (root, a->perm, a->shared, a->error);
  if (!a->ok)
    {
      g_free (root->name);
      root->name = g_steal_pointer (&before);
    }
  g_free (before);
  publish (a->block);
}

bool
vm_block_attach (VmBlock *block, const char *who, unsigned perm, unsigned shared, GError **error)
{
  Attach a = { block, who, perm, shared, error, false };

  vm_graph_call (block->graph, set_perms, &a);
  return a.ok;
}

VmBlock *
vm_block_ref (VmBlock *block)
{
  g_atomic_int_inc (&block->refs);
  return block;
}

static void
detach_front (void *opaque)
{
  VmBlock *block = opaque;

  if (block->throttle)
    vm_throttle_member_free (g_steal_pointer (&block->throttle));
  vm_node_detach (g_steal_pointer (&block->root));
}

void
vm_block_close (VmBlock *block)
{
  if (block->root)
    vm_graph_call (block->graph, detach_front, block);
  vm_source_clear (&block->source);
  block->failed = NULL;
  block->resized = NULL;
}

void
vm_block_unref (VmBlock *block)
{
  if (!block || !g_atomic_int_dec_and_test (&block->refs))
    return;
  /* Requests hold references: nothing is under way here. */
  vm_block_close (block);
  g_mutex_clear (&block->mutex);
  g_cond_clear (&block->idle);
  g_free (block->path);
  g_free (block);
}

uint64_t
vm_block_size (const VmBlock *block)
{
  return __atomic_load_n (&block->size, __ATOMIC_ACQUIRE);
}

bool
vm_block_readonly (const VmBlock *block)
{
  return __atomic_load_n (&block->readonly, __ATOMIC_ACQUIRE);
}

const VmBlockStats *
vm_block_stats (const VmBlock *block)
{
  return &block->stats;
}

const char *
vm_block_path (const VmBlock *block)
{
  return block->path;
}
