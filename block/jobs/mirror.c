/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job mirror: another node becomes equal to one in use, and stays so until it takes its place or is let go. A
 * commit of the top in use is the same, to its base. */
#include "block/jobs/copy.h"

#include <errno.h>

#define GRANULARITY 65536
#define BUFFER (16 * VM_MIB)
#define WORKERS 16
#define IDLE_NS 20000000 /* how long a mirror that is ready looks away */

typedef struct Mirror
{
  VmNode *source, *target, *base; /* BASE: what is below it is not copied */
  VmNode *replaced;               /* by the target, in the end */
  VmEdge *target_root;
  VmCopy copy;
  VmqMirrorSyncMode sync;
  bool target_is_zero, drained;
  bool blocking;  /* writes are done here and there at once */
  unsigned hooks; /* such writes */
  VmFiberQueue unhooked;
  /* of a commit */
  bool commits, prepared, was_readonly;
  VmNode *above;
} Mirror;

/* What is to be copied at first. */
static bool
mark (VmJob *job, GError **error)
{
  Mirror *m = job->state;
  uint64_t len;

  if (m->sync == VMQ_MIRROR_SYNC_MODE_NONE)
    return true;
  if (m->sync == VMQ_MIRROR_SYNC_MODE_FULL && !m->target_is_zero)
    {
      vm_bitmap_set (m->copy.todo, 0, m->source->size);
      return true;
    }
  for (uint64_t at = 0; at < m->source->size; at += len)
    {
      VmExtent extent;
      len = m->source->size - at;
      int status = m->sync != VMQ_MIRROR_SYNC_MODE_TOP ? vm_node_status_above (m->source, NULL, at, len, &extent)
                   : m->base                           ? vm_node_status_above (m->source, m->base, at, len, &extent)
                             : vm_node_status (vm_node_skip_filters (m->source), at, len, &extent);
      if (status < 0)
        return vm_fail (error, "%s", g_strerror (-status));
      len = MIN (len, extent.len);
      bool wanted = extent.flags & VM_EXTENT_ALLOCATED;
      if (m->sync == VMQ_MIRROR_SYNC_MODE_FULL && extent.flags & VM_EXTENT_ZERO)
        wanted = false;
      if (wanted)
        vm_bitmap_set (m->copy.todo, at, len);
      if (!vm_job_point (job))
        return false;
    }
  return true;
}

static bool
copy_end (const Mirror *m, GError **error)
{
  return !m->copy.failure || vm_fail (error, "%s", g_strerror (-m->copy.failure));
}

static bool
flush_target (Mirror *m, GError **error)
{
  int status = vm_node_flush (m->target);

  return status >= 0 || vm_fail (error, "%s", g_strerror (-status));
}

/* Nobody writes any more; the rest is copied. */
static bool
come_to_rest (VmJob *job, GError **error)
{
  Mirror *m = job->state;

  vm_job_still (job, true);
  vm_node_drain_begin (m->source);
  m->drained = m->copy.quick = true;
  while (vm_copy_step (&m->copy))
    ;
  vm_copy_rest (&m->copy);
  return copy_end (m, error) && flush_target (m, error);
}

/* A guest's write is done when the target has it, too. */
static void
after_write (void *opaque, uint64_t offset, uint64_t len)
{
  VmJob *job = opaque;
  Mirror *m = job->state;
  bool read, retry = false;
  int status;

  /* What is not yet copied at all comes with the rest. */
  if (!m->blocking || m->copy.failure || offset >= m->source->size || m->drained)
    return;
  m->hooks++;
  status = vm_copy_now (&m->copy, offset, MIN (offset + len, m->source->size), &read);
  if (status < 0 && !m->copy.failure
      && !vm_job_failed (job, read ? m->copy.on_read_error : m->copy.on_write_error, read, status, &retry))
    m->copy.failure = status;
  if (!--m->hooks)
    vm_fiber_queue_wake_all (&m->unhooked);
}

static bool
mirror_change (VmJob *job, VmqMirrorCopyMode mode, GError **error)
{
  Mirror *m = job->state;

  if (mode == VMQ_MIRROR_COPY_MODE_BACKGROUND && m->blocking)
    return vm_fail (error, "Change to copy mode '%s' is not implemented", vmq_type_mirrorcopymode.names[mode]);
  m->blocking = mode == VMQ_MIRROR_COPY_MODE_WRITE_BLOCKING;
  return true;
}

static bool
mirror_loop (VmJob *job, GError **error)
{
  Mirror *m = job->state;

  for (;;)
    {
      if (!vm_job_point (job))
        return false;
      if (vm_copy_step (&m->copy))
        continue;
      if (!copy_end (m, error))
        return false;
      if (job->status != VMQ_JOB_STATUS_READY)
        {
          if (!flush_target (m, error))
            return false;
          if (vm_bitmap_count (m->copy.todo))
            continue;
          job->total = job->done;
          vm_job_ready (job);
        }
      if (job->completing || job->cancelled)
        return come_to_rest (job, error);
      if (!vm_job_sleep (job, IDLE_NS))
        return false;
    }
}

static bool
mirror_run (VmJob *job, GError **error)
{
  Mirror *m = job->state;
  bool ok;

  if (!mark (job, error))
    return false;
  job->total = vm_copy_left (&m->copy);
  ok = mirror_loop (job, error);
  vm_copy_rest (&m->copy);
  return ok;
}

static bool
mirror_commit (VmJob *job, GError **error)
{
  Mirror *m = job->state;

  if (!job->completing)
    return true;
  return vm_edge_set_perms (m->target_root, 0, VM_PERM_ALL, error) && vm_node_replace (m->replaced, m->target, error);
}

static void
mirror_clean (VmJob *job)
{
  Mirror *m = job->state;

  if (m->source->after_write_opaque == job)
    {
      m->source->after_write = NULL;
      m->source->after_write_opaque = NULL;
    }
  while (m->hooks)
    vm_fiber_queue_wait (&m->unhooked);
  if (m->copy.todo && m->source->bitmaps)
    g_ptr_array_remove (m->source->bitmaps, m->copy.todo);
  m->copy.todo = NULL;
  if (m->drained)
    vm_node_drain_end (m->source);
  m->drained = false;
  if (m->prepared)
    {
      m->prepared = false;
      if (m->target_root)
        vm_edge_set_perms (m->target_root, 0, VM_PERM_ALL, NULL);
      vm_job_share_backing (m->above, false);
      if (m->was_readonly && !job->completing)
        vm_node_set_readonly (m->target, true, NULL);
    }
  g_clear_pointer (&m->source, vm_node_unref);
}

static const VmJobClass mirror_class = { .type = VMQ_JOB_TYPE_MIRROR,
                                         .block = true,
                                         .run = mirror_run,
                                         .commit = mirror_commit,
                                         .clean = mirror_clean,
                                         .change = mirror_change,
                                         .can_complete = true };
static const VmJobClass active_commit_class = { .type = VMQ_JOB_TYPE_COMMIT,
                                                .block = true,
                                                .run = mirror_run,
                                                .commit = mirror_commit,
                                                .clean = mirror_clean,
                                                .can_complete = true };

static bool
mirror_attach (VmJob *job, const VmJobOptions *o, GError **error)
{
  Mirror *m = job->state;

  if (o->filter && !vm_job_insert_filter (job, m->source, o->filter, error))
    return false;
  if (!vm_job_attach (job, m->target, "mirror target", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL,
                      error))
    return false;
  m->target_root = g_ptr_array_index (job->roots, 0);
  if (!vm_job_attach (job, m->source, "mirror source", VM_PERM_READ, VM_PERM_ALL, error))
    return false;
  if (m->target->size < m->source->size
      && vm_node_truncate (m->target, m->source->size, true, VM_PREALLOC_OFF, 0, error) < 0)
    return false;
  m->copy.todo = vm_bitmap_new (NULL, m->source->size, o->granularity ? o->granularity : GRANULARITY);
  if (!m->copy.todo)
    return vm_fail (error, "The bitmap is too big for the memory");
  if (m->source->after_write)
    return vm_fail (error, "Node '%s' is being mirrored already", m->source->name);
  m->source->after_write_opaque = job;
  m->source->after_write = after_write;
  if (!m->source->bitmaps)
    m->source->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
  g_ptr_array_add (m->source->bitmaps, m->copy.todo);
  return true;
}

static void
take_copy (VmJob *job, const VmJobOptions *o)
{
  Mirror *m = job->state;
  uint64_t granule = o->granularity ? o->granularity : GRANULARITY;
  uint64_t buffer = o->buffer ? MAX (o->buffer, granule) : BUFFER;

  m->copy.job = job;
  m->copy.from = m->source;
  m->copy.to = m->target;
  m->copy.chunk = MAX (VM_ALIGN_DOWN (MIN (VM_JOB_CHUNK, buffer), granule), granule);
  m->copy.max_workers = (unsigned) CLAMP (buffer / m->copy.chunk, 1, WORKERS);
  m->copy.zero_flags = o->keep_zeroes ? 0 : VM_REQ_UNMAP;
  m->copy.on_read_error = o->on_source_error;
  m->copy.on_write_error = o->on_target_error;
}

static VmJob *
mirror_new (const VmJobOptions *o, const VmJobClass *klass, VmNode *target, VmNode *above, GError **error)
{
  VmJob *job;
  Mirror *m;

  if (o->granularity && (o->granularity < 512 || o->granularity > 64 * VM_MIB || !vm_is_pow2 (o->granularity)))
    {
      vm_fail (error, "Parameter 'granularity' expects a power of 2 in range [512B, 64MB]");
      return NULL;
    }
  if (target == o->node)
    {
      vm_fail (error, "Can't mirror node into itself");
      return NULL;
    }
  job = vm_job_new_for (o, klass, sizeof *m, error);
  if (!job)
    return NULL;
  m = job->state;
  m->source = m->replaced = vm_node_ref (o->node); /* outlives that something takes its place */
  m->target = target;
  m->sync = o->sync;
  m->base = above ? target : vm_node_backing (o->node);
  m->target_is_zero = o->target_is_zero;
  m->blocking = o->write_blocking;
  take_copy (job, o);
  if (above)
    {
      m->above = above;
      m->prepared = true;
      vm_job_share_backing (above, true);
      m->was_readonly = target->readonly;
    }
  else if (o->replaces && !(m->replaced = vm_node_find (o->node->graph, o->replaces)))
    {
      vm_fail (error, "Failed to find node with node-name='%s'", o->replaces);
      vm_job_free (job);
      return NULL;
    }
  if ((!above || vm_node_set_readonly (target, false, error)) && mirror_attach (job, o, error))
    return job;
  vm_job_free (job);
  return NULL;
}

VmJob *
vm_job_mirror (const VmJobOptions *o, GError **error)
{
  return mirror_new (o, &mirror_class, o->target, NULL, error);
}

VmJob *
vm_job_active_commit (const VmJobOptions *o, VmNode *above, GError **error)
{
  VmJobOptions top = *o;

  top.sync = VMQ_MIRROR_SYNC_MODE_TOP;
  return mirror_new (&top, &active_commit_class, o->base, above, error);
}
