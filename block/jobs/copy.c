/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What jobs that copy have in common; and nodes that become writable for them. */
#include "block/jobs/copy.h"

#include "block/graph-private.h"

#include <errno.h>

static bool
is_zero (const uint8_t *buffer, uint64_t len)
{
  return !buffer[0] && !memcmp (buffer, buffer + 1, len - 1);
}

int
vm_job_copy (VmNode *from, VmNode *to, uint64_t offset, uint64_t len, void *buffer, unsigned flags, unsigned zero_flags,
             bool *read)
{
  VmExtent extent = { .len = len };
  struct iovec iov;
  int status = 0;

  *read = true;
  for (uint64_t at = 0; status >= 0 && at < len; at += extent.len)
    {
      extent.len = len - at;
      if (offset + at < from->size)
        status = vm_node_status_above (from, NULL, offset + at, MIN (len - at, from->size - offset - at), &extent);
      else
        extent.flags = VM_EXTENT_ZERO;
      if (status < 0)
        break;
      extent.len = MIN (extent.len, len - at);
      bool zero = extent.flags & VM_EXTENT_ZERO;
      if (!zero && (status = vm_node_pread (from, offset + at, buffer, extent.len)) < 0)
        break;
      *read = false;
      if (zero || is_zero (buffer, extent.len))
        status = vm_node_write_zeroes (to, offset + at, extent.len, zero_flags);
      else
        status = vm_node_write (to, offset + at, vm_vec_buffer (&iov, buffer, extent.len), flags);
      *read = status >= 0;
    }
  return status;
}

VmJob *
vm_job_new_for (const VmJobOptions *o, const VmJobClass *klass, size_t state_size, GError **error)
{
  VmJob *job = vm_job_new (o->node->graph, o->id, klass, state_size, error);

  if (!job)
    return NULL;
  job->speed = o->speed;
  job->auto_finalize = !o->no_auto_finalize;
  job->auto_dismiss = !o->no_auto_dismiss;
  return job;
}

int
vm_job_allocated (VmNode *top, VmNode *base, uint64_t offset, uint64_t *len)
{
  VmExtent extent;
  int status = vm_node_status_above (top, base, offset, *len, &extent);

  if (status < 0)
    return status;
  *len = MIN (*len, extent.len);
  return (extent.flags & VM_EXTENT_ALLOCATED) != 0;
}

void
vm_job_share_backing (VmNode *node, bool written)
{
  node->backing_written = written;
  vm_node_update_perms (node, NULL); /* shares more, or what it did before */
}

/* --- several pieces at once --------------------------------------------------------------------------------------- */

typedef struct Range
{
  GList link; /* data is this */
  VmCopy *copy;
  uint64_t start, end;
} Range;

static uint64_t
counted (const VmCopy *c, uint64_t len)
{
  return c->whole ? VM_ALIGN_UP (len, vm_bitmap_granularity (c->todo)) : len;
}

uint64_t
vm_copy_left (const VmCopy *c)
{
  uint64_t granule = vm_bitmap_granularity (c->todo), size = c->todo->size, left = vm_bitmap_count (c->todo);

  return size % granule && !c->whole && vm_bitmap_get (c->todo, size - 1) ? left - (granule - size % granule) : left;
}

static bool
is_under_way (const VmCopy *c, uint64_t start, uint64_t end)
{
  for (GList *l = c->ranges.head; l; l = l->next)
    {
      const Range *range = l->data;
      if (range->start < end && start < range->end)
        return true;
    }
  return false;
}

/* Its bits are cleared: what is written from now on counts again. */
static void
range_begin (VmCopy *c, Range *range, uint64_t start, uint64_t len)
{
  *range = (Range){ .link.data = range, .copy = c, .start = start, .end = start + len };
  g_queue_push_tail_link (&c->ranges, &range->link);
  vm_bitmap_clear (c->todo, start, len);
}

static void
range_end (Range *range)
{
  g_queue_unlink (&range->copy->ranges, &range->link);
  vm_fiber_queue_wake_all (&range->copy->changed);
}

static int
range_copy (const Range *range, bool *read)
{
  const VmCopy *c = range->copy;
  g_autofree void *buffer = g_try_malloc (range->end - range->start);

  *read = true;
  return buffer ? vm_job_copy (c->from, c->to, range->start, range->end - range->start, buffer, c->flags, c->zero_flags,
                               read)
                : -ENOMEM;
}

static void
worker_run (void *opaque)
{
  Range *range = opaque;
  VmCopy *c = range->copy;
  uint64_t len = range->end - range->start;
  bool read, retry = false;
  int status = range_copy (range, &read);

  if (status < 0 && !c->failure
      && !vm_job_failed (c->job, read ? c->on_read_error : c->on_write_error, read, status, &retry))
    c->failure = status;
  if (status < 0 && retry)
    vm_bitmap_set (c->todo, range->start, len);
  else
    c->job->done += counted (c, len);
  range_end (range);
  vm_job_worker_done (c->job);
  g_free (range);
}

bool
vm_copy_step (VmCopy *c)
{
  uint64_t offset = c->cursor, len;
  bool found;

  if (c->failure)
    return false;
  found = vm_bitmap_next_dirty (c->todo, &offset, c->todo->size, c->chunk, &len);
  if (!found)
    {
      offset = 0;
      found = vm_bitmap_next_dirty (c->todo, &offset, c->todo->size, c->chunk, &len);
    }
  if (!found && !c->ranges.length)
    return false;
  if (!found || c->job->workers >= c->max_workers || is_under_way (c, offset, offset + len))
    {
      vm_fiber_queue_wait (&c->changed);
      return true;
    }
  c->cursor = offset + len;
  Range *range = g_new (Range, 1);
  range_begin (c, range, offset, len);
  c->job->total = MAX (c->job->total, c->job->done + vm_copy_left (c) + counted (c, len));
  vm_job_worker (c->job, worker_run, range);
  if (!c->quick)
    vm_job_slow_down (c->job, len);
  return true;
}

void
vm_copy_rest (VmCopy *c)
{
  while (c->ranges.length)
    vm_fiber_queue_wait (&c->changed);
}

int
vm_copy_now (VmCopy *c, uint64_t offset, uint64_t end, bool *read)
{
  uint64_t granule = vm_bitmap_granularity (c->todo), at, len;
  int status = 0;

  offset = VM_ALIGN_DOWN (offset, granule);
  end = MIN (VM_ALIGN_UP (end, granule), c->todo->size);
  while (status >= 0 && offset < end)
    {
      Range range;
      if (is_under_way (c, offset, end))
        {
          vm_fiber_queue_wait (&c->changed);
          continue;
        }
      at = offset;
      if (!vm_bitmap_next_dirty (c->todo, &at, end, c->chunk, &len))
        break;
      range_begin (c, &range, at, len);
      status = range_copy (&range, read);
      if (status < 0)
        vm_bitmap_set (c->todo, at, len);
      range_end (&range);
    }
  return status;
}

/* --- writable ---------------------------------------------------------------------------------------------------- */

static bool
can_change (VmNode *node)
{
  static const char *const simple[] = { "file", "host_device", "raw", "null-co", "null-aio" };

  for (unsigned i = 0; i < G_N_ELEMENTS (simple); i++)
    if (!strcmp (node->driver->name, simple[i]))
      return true;
  return node->driver->set_readonly != NULL;
}

static void
set_flag (VmNode *node, bool readonly)
{
  node->readonly = readonly;
  if (readonly)
    node->open_flags |= VM_OPEN_READONLY;
  else
    node->open_flags &= ~(unsigned) VM_OPEN_READONLY;
  if (node->driver->set_readonly)
    node->driver->set_readonly (node, readonly);
}

bool
vm_node_set_readonly (VmNode *node, bool readonly, GError **error)
{
  VmNode *file = node->file ? node->file->node : NULL;

  if (node->readonly == readonly)
    return true;
  if (!can_change (node))
    return vm_fail (error, "Block format '%s' used by node '%s' does not support reopening", node->driver->name,
                    node->name);
  if (readonly)
    vm_node_flush (node); /* what fails now fails again when it is closed */
  else if (file && !vm_node_set_readonly (file, false, error))
    return false;
  set_flag (node, readonly);
  if (!vm_node_update_perms (node, error))
    {
      set_flag (node, !readonly);
      vm_node_update_perms (node, NULL);
      return false;
    }
  return !readonly || !file || vm_node_set_readonly (file, true, error);
}
