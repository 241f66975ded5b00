/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job backup: the disk as it was when the job began. Before a guest changes a part that is not copied yet, that is
 * copied. */
#include "block/bitmap.h"
#include "block/jobs/copy.h"

#include <errno.h>

#define CLUSTER 65536

typedef struct Backup
{
  VmNode *source, *target;
  VmDirtyBitmap *todo;
  VmFiberMutex lock; /* one copies at a time */
  VmqMirrorSyncMode sync;
  VmqBitmapSyncMode bitmap_mode;
  VmDirtyBitmap *bitmap, *taken; /* the user's, and what it said at the beginning */
  VmJobOnError on_source_error, on_target_error;
  unsigned write_flags;
  bool hooked, ok;
  int failure; /* of a copy that a guest's write waited for */
  bool failure_read;
  uint64_t size;
  void *buffer;
} Backup;

static int
copy_one (Backup *b, uint64_t offset, uint64_t end, uint64_t *copied, bool *read)
{
  uint64_t len;
  int status;

  *copied = 0;
  if (!vm_bitmap_next_dirty (b->todo, &offset, end, VM_JOB_CHUNK, &len))
    return 0;
  status = vm_job_copy (b->source, b->target, offset, len, b->buffer, b->write_flags, read);
  if (status >= 0)
    {
      vm_bitmap_clear (b->todo, offset, len);
      *copied = len;
    }
  return status;
}

static int
before_write (void *opaque, uint64_t offset, uint64_t len)
{
  VmJob *job = opaque;
  Backup *b = job->state;
  uint64_t granule = vm_bitmap_granularity (b->todo), end = MIN (VM_ALIGN_UP (offset + len, granule), b->size), copied;
  bool read;
  int status;

  offset = VM_ALIGN_DOWN (offset, granule);
  if (offset >= b->size)
    return 0;
  vm_fiber_mutex_lock (&b->lock);
  do
    {
      status = b->hooked && !b->failure ? copy_one (b, offset, end, &copied, &read) : 0;
      if (status < 0)
        {
          b->failure = status; /* the guest goes on; the backup is lost */
          b->failure_read = read;
        }
      else if (b->hooked && !b->failure)
        job->done += copied;
    }
  while (status >= 0 && b->hooked && !b->failure && copied);
  vm_fiber_mutex_unlock (&b->lock);
  return 0;
}

static bool
mark (VmJob *job, GError **error)
{
  Backup *b = job->state;
  uint64_t len;

  switch (b->sync)
    {
    case VMQ_MIRROR_SYNC_MODE_TOP:
      for (uint64_t at = 0; at < b->size; at += len)
        {
          len = b->size - at;
          int status = vm_job_allocated (b->source, vm_node_backing (b->source), at, &len);
          if (status < 0)
            return vm_fail (error, "%s", g_strerror (-status));
          if (status == 0)
            {
              /* A granule that is partly here is copied whole. */
              uint64_t granule = vm_bitmap_granularity (b->todo), first = VM_ALIGN_UP (at, granule);
              uint64_t last = at + len == b->size ? b->size : VM_ALIGN_DOWN (at + len, granule);
              if (first < last)
                vm_bitmap_clear (b->todo, first, last - first);
            }
        }
      return true;
    default:
      return true;
    }
}

static bool
backup_loop (VmJob *job, GError **error)
{
  Backup *b = job->state;
  uint64_t copied;
  bool read = true, retry;
  int status;

  for (;;)
    {
      if (!vm_job_point (job))
        return false;
      if (!vm_bitmap_count (b->todo))
        return true;
      vm_fiber_mutex_lock (&b->lock);
      status = b->failure ? b->failure : copy_one (b, 0, b->size, &copied, &read);
      vm_fiber_mutex_unlock (&b->lock);
      if (b->failure)
        return vm_fail (error, "%s", g_strerror (-b->failure));
      if (status < 0)
        {
          if (!vm_job_failed (job, read ? b->on_source_error : b->on_target_error, read, status, &retry))
            return vm_fail (error, "%s", g_strerror (-status));
          if (!retry) /* ignored: it is left out */
            {
              uint64_t offset = 0, len;
              if (vm_bitmap_next_dirty (b->todo, &offset, b->size, CLUSTER, &len))
                vm_bitmap_clear (b->todo, offset, len);
            }
          continue;
        }
      vm_job_progress (job, copied);
    }
}

static bool
backup_run (VmJob *job, GError **error)
{
  Backup *b = job->state;

  if (!mark (job, error))
    return false;
  job->total = vm_bitmap_count (b->todo);
  if (b->sync == VMQ_MIRROR_SYNC_MODE_NONE)
    {
      while (!b->failure)
        if (!vm_job_sleep (job, 100000000))
          return false;
      return vm_fail (error, "%s", g_strerror (-b->failure));
    }
  if (!backup_loop (job, error))
    return false;
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
      /* Whoever waits for a copy finds that there is none to make. */
      vm_fiber_mutex_lock (&b->lock);
      vm_fiber_mutex_unlock (&b->lock);
    }
  if (b->taken)
    {
      bool keep = b->bitmap_mode == VMQ_BITMAP_SYNC_MODE_NEVER
                  || (b->bitmap_mode == VMQ_BITMAP_SYNC_MODE_ON_SUCCESS && !b->ok);
      if (keep)
        vm_bitmap_merge (b->bitmap, b->taken);
      else if (!b->ok)
        vm_bitmap_merge (b->bitmap, b->todo); /* "always": what was not copied is still to be */
      b->bitmap->busy--;
      g_clear_pointer (&b->taken, vm_bitmap_free);
    }
  g_clear_pointer (&b->todo, vm_bitmap_free);
  g_clear_pointer (&b->buffer, g_free);
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
  vm_bitmap_merge (b->todo, b->taken);
  vm_bitmap_clear (b->bitmap, 0, b->bitmap->size);
  return true;
}

static bool
prepare (VmJob *job, const VmJobOptions *o, GError **error)
{
  Backup *b = job->state;
  uint32_t cluster = o->target->driver->cluster_size ? o->target->driver->cluster_size (o->target) : 0;

  b->buffer = g_malloc (VM_JOB_CHUNK);
  b->todo = vm_bitmap_new (NULL, b->size, MIN (MAX (CLUSTER, cluster), VM_JOB_CHUNK));
  if (!b->todo)
    return vm_fail (error, "The bitmap is too big for the memory");
  if (o->bitmap ? !take_bitmap (b, o, error) : false)
    return false;
  if (!o->bitmap)
    vm_bitmap_set (b->todo, 0, b->size);
  return vm_job_attach (job, o->target, "backup target", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL,
                        error)
         && vm_job_attach (job, o->node, "backup source", VM_PERM_READ, VM_PERM_ALL, error);
}

VmJob *
vm_job_backup (const VmJobOptions *o, GError **error)
{
  VmJob *job;
  Backup *b;

  if (o->target == o->node)
    {
      vm_fail (error, "Source and target cannot be the same");
      return NULL;
    }
  if (o->target->size != o->node->size)
    {
      vm_fail (error, "Source and target image have different sizes");
      return NULL;
    }
  if (o->node->before_write)
    {
      vm_fail (error, "Node '%s' is being backed up already", o->node->name);
      return NULL;
    }
  if (o->compress && !o->target->driver->can_compress)
    {
      vm_fail (error, "Compression is not supported for this drive %s", o->target->name);
      return NULL;
    }
  job = vm_job_new_for (o, &backup_class, sizeof *b, error);
  if (!job)
    return NULL;
  b = job->state;
  b->source = o->node;
  b->target = o->target;
  b->size = o->node->size;
  b->sync = o->sync;
  b->on_source_error = o->on_source_error;
  b->on_target_error = o->on_target_error;
  b->write_flags = o->compress ? VM_REQ_COMPRESSED : 0;
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
