/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job backup: the disk as it was when the job began. Before a guest changes a part that is not copied yet, that is
 * copied. */
#include "block/jobs/copy.h"

#include <errno.h>

#define CLUSTER 65536
#define WORKERS 64

typedef struct Backup
{
  VmNode *source, *target;
  VmCopy copy;
  VmqMirrorSyncMode sync;
  VmqBitmapSyncMode bitmap_mode;
  VmDirtyBitmap *bitmap, *taken; /* the user's, and what it said at the beginning */
  bool hooked, ok;
  unsigned hooks; /* guests' writes that wait for copies */
  VmFiberQueue unhooked;
  uint64_t size;
} Backup;

static int
before_write (void *opaque, uint64_t offset, uint64_t len)
{
  VmJob *job = opaque;
  Backup *b = job->state;
  uint64_t before = vm_bitmap_count (b->copy.todo);
  bool read;
  int status;

  if (offset >= b->size || b->copy.failure)
    return 0;
  b->hooks++;
  status = vm_copy_now (&b->copy, offset, offset + len, &read);
  if (status < 0 && !b->copy.failure)
    b->copy.failure = status; /* the guest goes on; the backup is lost */
  else
    job->done += before - MIN (before, vm_bitmap_count (b->copy.todo));
  if (!--b->hooks)
    vm_fiber_queue_wake_all (&b->unhooked);
  return 0;
}

/* Layers that are not copied. */
static bool
mark_top (Backup *b, GError **error)
{
  uint64_t granule = vm_bitmap_granularity (b->copy.todo), len;

  for (uint64_t at = 0; at < b->size; at += len)
    {
      VmExtent extent;
      int status = vm_node_status (vm_node_skip_filters (b->source), at, b->size - at, &extent);
      if (status < 0)
        return vm_fail (error, "%s", g_strerror (-status));
      len = MIN (extent.len, b->size - at);
      /* A granule that is partly here is copied whole. */
      uint64_t first = VM_ALIGN_UP (at, granule),
               last = at + len == b->size ? b->size : VM_ALIGN_DOWN (at + len, granule);
      if (!(extent.flags & VM_EXTENT_ALLOCATED) && first < last)
        vm_bitmap_clear (b->copy.todo, first, last - first);
    }
  return true;
}

static bool
backup_end (const Backup *b, GError **error)
{
  return !b->copy.failure || vm_fail (error, "%s", g_strerror (-b->copy.failure));
}

static bool
backup_run (VmJob *job, GError **error)
{
  Backup *b = job->state;
  bool going = true;

  if (b->sync == VMQ_MIRROR_SYNC_MODE_TOP && !mark_top (b, error))
    return false;
  job->total = vm_bitmap_count (b->copy.todo);
  if (b->sync == VMQ_MIRROR_SYNC_MODE_NONE)
    {
      while (!b->copy.failure)
        if (!vm_job_sleep (job, 100000000))
          return false;
      return backup_end (b, error);
    }
  while (going && vm_job_point (job))
    going = vm_copy_step (&b->copy);
  vm_copy_rest (&b->copy);
  if (going || !backup_end (b, error))
    return false; /* cancelled, if nothing has failed */
  int status = vm_node_flush (b->target);
  return status >= 0 || vm_fail (error, "%s", g_strerror (-status));
}

static bool
backup_commit (VmJob *job, GError **error)
{
  return ((Backup *) job->state)->ok = true;
}

static void
backup_clean (VmJob *job)
{
  Backup *b = job->state;

  if (b->hooked)
    {
      b->hooked = false;
      b->source->before_write = NULL;
      while (b->hooks)
        vm_fiber_queue_wait (&b->unhooked);
    }
  if (b->taken)
    {
      bool keep = b->bitmap_mode == VMQ_BITMAP_SYNC_MODE_NEVER
                  || (b->bitmap_mode == VMQ_BITMAP_SYNC_MODE_ON_SUCCESS && !b->ok);
      if (keep)
        vm_bitmap_merge (b->bitmap, b->taken);
      else if (!b->ok)
        vm_bitmap_merge (b->bitmap, b->copy.todo); /* "always": what was not copied is still to be */
      b->bitmap->busy--;
      g_clear_pointer (&b->taken, vm_bitmap_free);
    }
  g_clear_pointer (&b->copy.todo, vm_bitmap_free);
}

static const VmJobClass backup_class
    = { .type = VMQ_JOB_TYPE_BACKUP, .block = true, .run = backup_run, .commit = backup_commit, .clean = backup_clean };

/* The bitmap begins anew at this moment. */
static bool
take_bitmap (Backup *b, const VmJobOptions *o, GError **error)
{
  b->taken = vm_bitmap_new (NULL, b->size, vm_bitmap_granularity (o->bitmap));
  if (!b->taken)
    return vm_fail (error, "The bitmap is too big for the memory");
  b->bitmap = o->bitmap;
  b->bitmap_mode = o->bitmap_mode;
  b->bitmap->busy++;
  vm_bitmap_merge (b->taken, b->bitmap);
  vm_bitmap_merge (b->copy.todo, b->taken);
  vm_bitmap_clear (b->bitmap, 0, b->bitmap->size);
  return true;
}

static bool
prepare (VmJob *job, const VmJobOptions *o, GError **error)
{
  Backup *b = job->state;
  uint64_t cluster = o->target->driver->cluster_size ? o->target->driver->cluster_size (o->target) : 0;

  cluster = MAX (CLUSTER, cluster);
  if (o->max_chunk && o->max_chunk < cluster)
    return vm_fail (error, "Required max-chunk (%" PRIu64 ") is less than backup cluster size (%" PRIu64 ")",
                    o->max_chunk, cluster);
  b->copy.todo = vm_bitmap_new (NULL, b->size, MIN (cluster, VM_JOB_CHUNK));
  if (!b->copy.todo)
    return vm_fail (error, "The bitmap is too big for the memory");
  b->copy.chunk = o->max_chunk ? MIN (VM_ALIGN_DOWN (o->max_chunk, cluster), VM_JOB_CHUNK) : VM_JOB_CHUNK;
  if (o->bitmap && !take_bitmap (b, o, error))
    return false;
  if (!o->bitmap)
    vm_bitmap_set (b->copy.todo, 0, b->size);
  return (!o->filter || vm_job_insert_filter (job, o->node, o->filter, error))
         && vm_job_attach (job, o->target, "backup target", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL,
                           error)
         && vm_job_attach (job, o->node, "backup source", VM_PERM_READ, VM_PERM_ALL, error);
}

static bool
check (const VmJobOptions *o, GError **error)
{
  if (o->target == o->node)
    return vm_fail (error, "Source and target cannot be the same");
  if (o->target->size != o->node->size)
    return vm_fail (error, "Source and target image have different sizes");
  if (o->node->before_write)
    return vm_fail (error, "Node '%s' is being backed up already", o->node->name);
  return !o->compress || o->target->driver->can_compress
         || vm_fail (error, "Compression is not supported for this drive %s", o->target->name);
}

VmJob *
vm_job_backup (const VmJobOptions *o, GError **error)
{
  VmJob *job = check (o, error) ? vm_job_new_for (o, &backup_class, sizeof (Backup), error) : NULL;
  Backup *b;

  if (!job)
    return NULL;
  b = job->state;
  b->source = o->node;
  b->target = o->target;
  b->size = o->node->size;
  b->sync = o->sync;
  b->copy.job = job;
  b->copy.from = o->node;
  b->copy.to = o->target;
  b->copy.max_workers = o->max_workers ? o->max_workers : WORKERS;
  b->copy.flags = o->compress ? VM_REQ_COMPRESSED : 0;
  b->copy.whole = true;
  b->copy.zero_flags = VM_REQ_UNMAP;
  b->copy.on_read_error = o->on_source_error;
  b->copy.on_write_error = o->on_target_error;
  if (!prepare (job, o, error))
    {
      vm_job_free (job);
      return NULL;
    }
  b->hooked = true;
  b->source->before_write_opaque = job;
  b->source->before_write = before_write;
  return job;
}
