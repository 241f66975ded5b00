/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job mirror: another node becomes equal to one in use, and stays so until it takes its place or is let go. A
 * commit of the top in use is the same, to its base. */
#include "block/bitmap.h"
#include "block/jobs/copy.h"

#include <errno.h>

#define GRANULARITY 65536
#define IDLE_NS 20000000 /* how long a mirror that is ready looks away */

typedef struct Mirror
{
  VmNode *source, *target, *base; /* BASE: what is below it is not copied */
  VmNode *replaced;               /* by the target, in the end */
  VmEdge *target_root;
  VmDirtyBitmap *dirty;
  VmqMirrorSyncMode sync;
  VmJobOnError on_source_error, on_target_error;
  bool target_is_zero, drained;
  /* of a commit */
  bool commits, prepared, was_readonly;
  VmNode *above;
  void *buffer;
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
      vm_bitmap_set (m->dirty, 0, m->source->size);
      return true;
    }
  for (uint64_t at = 0; at < m->source->size; at += len)
    {
      VmExtent extent;
      len = m->source->size - at;
      int status
          = vm_node_status_above (m->source, m->sync == VMQ_MIRROR_SYNC_MODE_TOP ? m->base : NULL, at, len, &extent);
      if (status < 0)
        return vm_fail (error, "%s", g_strerror (-status));
      len = MIN (len, extent.len);
      bool wanted = extent.flags & VM_EXTENT_ALLOCATED;
      if (m->sync == VMQ_MIRROR_SYNC_MODE_FULL && extent.flags & VM_EXTENT_ZERO)
        wanted = false;
      if (wanted)
        vm_bitmap_set (m->dirty, at, len);
      if (!vm_job_point (job))
        return false;
    }
  return true;
}

/* One piece; false with an error: given up. */
static bool
copy_next (VmJob *job, bool quickly, GError **error)
{
  Mirror *m = job->state;
  uint64_t offset = 0, len;
  bool read = true, retry;

  if (!vm_bitmap_next_dirty (m->dirty, &offset, m->source->size, VM_JOB_CHUNK, &len))
    return true;
  vm_bitmap_clear (m->dirty, offset, len); /* first: what is written from now on counts again */
  int status = vm_job_copy (m->source, m->target, offset, len, m->buffer, 0, &read);
  if (status < 0)
    {
      if (!vm_job_failed (job, read ? m->on_source_error : m->on_target_error, read, status, &retry))
        return vm_fail (error, "%s", g_strerror (-status));
      if (retry)
        {
          vm_bitmap_set (m->dirty, offset, len);
          return true;
        }
    }
  job->total = job->done + len + vm_bitmap_count (m->dirty);
  if (quickly)
    job->done += len;
  else
    vm_job_progress (job, len);
  return true;
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
  m->drained = true;
  while (vm_bitmap_count (m->dirty))
    if (!copy_next (job, true, error))
      return false;
  return flush_target (m, error);
}

static bool
mirror_run (VmJob *job, GError **error)
{
  Mirror *m = job->state;

  if (!mark (job, error))
    return false;
  job->total = vm_bitmap_count (m->dirty);
  for (;;)
    {
      if (!vm_job_point (job))
        return false;
      if (vm_bitmap_count (m->dirty))
        {
          if (!copy_next (job, false, error))
            return false;
          continue;
        }
      if (job->status != VMQ_JOB_STATUS_READY)
        {
          if (!flush_target (m, error))
            return false;
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

  if (m->dirty && m->source->bitmaps)
    g_ptr_array_remove (m->source->bitmaps, m->dirty);
  m->dirty = NULL;
  if (m->drained)
    vm_node_drain_end (m->source);
  m->drained = false;
  g_clear_pointer (&m->buffer, g_free);
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

  if (!vm_job_attach (job, m->target, "mirror target", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL,
                      error))
    return false;
  m->target_root = g_ptr_array_index (job->roots, 0);
  if (!vm_job_attach (job, m->source, "mirror source", VM_PERM_READ, VM_PERM_ALL, error))
    return false;
  if (m->target->size < m->source->size
      && vm_node_truncate (m->target, m->source->size, true, VM_PREALLOC_OFF, 0, error) < 0)
    return false;
  m->dirty = vm_bitmap_new (NULL, m->source->size, o->granularity ? o->granularity : GRANULARITY);
  if (!m->dirty)
    return vm_fail (error, "The bitmap is too big for the memory");
  if (!m->source->bitmaps)
    m->source->bitmaps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_bitmap_free);
  g_ptr_array_add (m->source->bitmaps, m->dirty);
  return true;
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
  m->on_source_error = o->on_source_error;
  m->on_target_error = o->on_target_error;
  m->buffer = g_malloc (VM_JOB_CHUNK);
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
