/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job commit: what layers have goes down into their base. A top that is in use is a mirror to its base. */
#include "block/jobs/copy.h"

#include <errno.h>

typedef struct Commit
{
  VmNode *top, *base, *overlay;
  VmNode *above; /* lies on the base */
  bool was_readonly, prepared;
  char *backing_file;
  VmJobOnError on_error;
  void *buffer;
} Commit;

static bool
commit_run (VmJob *job, GError **error)
{
  Commit *c = job->state;
  bool read = true, retry;
  uint64_t len;

  if (c->base->size < c->top->size && vm_node_truncate (c->base, c->top->size, true, VM_PREALLOC_OFF, 0, error) < 0)
    return false;
  job->total = c->top->size;
  for (uint64_t at = 0; at < c->top->size; at += len)
    {
      if (!vm_job_point (job))
        return false;
      len = c->top->size - at;
      int status = vm_job_allocated (c->top, c->base, at, &len);
      if (status > 0)
        {
          len = MIN (len, VM_JOB_CHUNK - at % VM_JOB_CHUNK);
          status = vm_job_copy (c->top, c->base, at, len, c->buffer, 0, VM_REQ_UNMAP, &read);
          if (status >= 0)
            {
              vm_job_progress (job, len);
              continue;
            }
        }
      if (status < 0)
        {
          if (!vm_job_failed (job, c->on_error, read, status, &retry))
            return vm_fail (error, "%s", g_strerror (-status));
          len = retry ? 0 : MIN (len, VM_JOB_CHUNK);
        }
      job->done += len;
    }
  int flushed = vm_node_flush (c->base);
  return flushed >= 0 || vm_fail (error, "%s", g_strerror (-flushed));
}

/* The overlay lies on the base from now on. */
static bool
commit_commit (VmJob *job, GError **error)
{
  Commit *c = job->state;
  const char *name = c->backing_file ? c->backing_file : c->base->filename;
  bool was_readonly = c->overlay->readonly, ok = true;

  if (c->overlay->driver->change_backing)
    ok = (!was_readonly || vm_node_set_readonly (c->overlay, false, error))
         && c->overlay->driver->change_backing (c->overlay, name, c->base->driver->name, error);
  if (was_readonly)
    vm_node_set_readonly (c->overlay, true, NULL);
  /* The overlay lets nobody write below it: that is over. */
  ok = ok && vm_edge_set_perms (g_ptr_array_index (job->roots, 0), 0, VM_PERM_ALL, error);
  return ok && vm_node_set_backing (c->overlay, c->base, error);
}

static void
commit_clean (VmJob *job)
{
  Commit *c = job->state;

  g_clear_pointer (&c->buffer, g_free);
  g_clear_pointer (&c->backing_file, g_free);
  if (!c->prepared)
    return;
  c->prepared = false;
  for (guint i = 0; i < job->roots->len; i++)
    vm_edge_set_perms (g_ptr_array_index (job->roots, i), 0, VM_PERM_ALL, NULL);
  vm_job_share_backing (c->above, false);
  if (c->was_readonly)
    vm_node_set_readonly (c->base, true, NULL);
}

static const VmJobClass commit_class
    = { .type = VMQ_JOB_TYPE_COMMIT, .block = true, .run = commit_run, .commit = commit_commit, .clean = commit_clean };

static VmNode *
node_on (VmNode *top, VmNode *base)
{
  VmNode *node = vm_node_skip_filters (top), *below;

  while ((below = vm_node_backing (node)) && below != base)
    node = vm_node_skip_filters (below);
  return below ? node : NULL;
}

VmJob *
vm_job_commit (const VmJobOptions *o, VmNode *overlay, GError **error)
{
  VmNode *above = node_on (o->node, o->base);
  VmJob *job;
  Commit *c;

  if (!above)
    {
      vm_fail (error, "Can't find '%s' in the backing chain", o->base->filename);
      return NULL;
    }
  if (!overlay)
    return vm_job_active_commit (o, above, error);
  job = vm_job_new_for (o, &commit_class, sizeof *c, error);
  if (!job)
    return NULL;
  c = job->state;
  c->top = o->node;
  c->base = o->base;
  c->overlay = overlay;
  c->above = above;
  c->on_error = o->on_source_error;
  c->backing_file = g_strdup (o->backing_file);
  c->buffer = g_malloc (VM_JOB_CHUNK);
  c->was_readonly = o->base->readonly;
  c->prepared = true;
  vm_job_share_backing (above, true);
  if (vm_node_set_readonly (c->base, false, error)
      && (!o->filter || vm_job_insert_filter (job, c->top, o->filter, error))
      && vm_job_attach (job, c->base, "commit base", VM_PERM_READ | VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_ALL, error)
      && vm_job_attach (job, c->top, "commit top", VM_PERM_READ, VM_PERM_ALL, error)
      && vm_job_attach (job, overlay, "commit overlay", 0, VM_PERM_ALL, error))
    return job;
  vm_job_free (job);
  return NULL;
}
