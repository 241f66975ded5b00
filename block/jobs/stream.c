/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The job stream: what lies below comes up into the image, which then needs it no more. */
#include "block/graph-private.h"
#include "block/jobs/copy.h"

#include <errno.h>

typedef struct Stream
{
  VmNode *top, *base; /* referenced by roots; BASE may be NULL */
  char *backing_file;
  VmJobOnError on_error;
  uint8_t *buffer;
} Stream;

/* While no other write to these bytes is under way. */
static int
copy_up (Stream *s, uint64_t offset, uint64_t len, bool *read)
{
  VmNode *top = s->top, *below = vm_node_backing (top);
  VmNodeCore *core = top->core;
  VmTracked tracked;
  struct iovec iov;
  int status = 0;

  *read = true;
  vm_node_begin (top);
  vm_node_track (top, &tracked, offset, offset + len, true);
  for (uint64_t at = 0, n; status >= 0 && at < len; at += n)
    {
      n = len - at;
      status = vm_job_allocated (top, below, offset + at, &n);
      if (status || !below || offset + at >= below->size)
        continue; /* came by a guest's write meanwhile, or reads as zeros anyway */
      n = MIN (n, below->size - offset - at);
      status = vm_job_allocated (below, s->base, offset + at, &n);
      if (status <= 0)
        continue;
      status = vm_node_pread (below, offset + at, s->buffer, n);
      if (status < 0)
        break;
      *read = false;
      status = top->driver->write (top, offset + at, vm_vec_buffer (&iov, s->buffer, n), 0);
      core->write_generation++;
      *read = status >= 0;
    }
  vm_node_untrack (top, &tracked);
  vm_node_end (top);
  return MIN (status, 0);
}

static bool
stream_run (VmJob *job, GError **error)
{
  Stream *s = job->state;
  bool read = true, retry;
  uint64_t len;

  job->total = s->top->size;
  for (uint64_t at = 0; at < s->top->size; at += len)
    {
      if (!vm_job_point (job))
        return false;
      len = s->top->size - at;
      VmNode *below = vm_node_backing (s->top);
      int status = vm_job_allocated (s->top, below, at, &len);
      if (status == 0 && below && at < below->size)
        {
          len = MIN (len, below->size - at);
          status = vm_job_allocated (below, s->base, at, &len);
          len = status > 0 ? MIN (len, VM_JOB_CHUNK - at % VM_JOB_CHUNK) : len;
          if (status > 0)
            status = copy_up (s, at, len, &read);
          if (status >= 0)
            {
              vm_job_progress (job, len);
              continue;
            }
        }
      if (status < 0)
        {
          if (!vm_job_failed (job, s->on_error, read, status, &retry))
            return vm_fail (error, "%s", g_strerror (-status));
          len = retry ? 0 : MIN (len, VM_JOB_CHUNK);
        }
      job->done += len;
    }
  return true;
}

static bool
stream_commit (VmJob *job, GError **error)
{
  Stream *s = job->state;
  const char *name = s->backing_file ? s->backing_file : s->base ? s->base->filename : NULL;
  bool ok = true;

  vm_node_drain_begin (s->top);
  if (s->top->driver->change_backing)
    ok = s->top->driver->change_backing (s->top, name, s->base ? s->base->driver->name : NULL, error);
  ok = ok && vm_node_set_backing (s->top, s->base, error);
  vm_node_drain_end (s->top);
  return ok;
}

static void
stream_clean (VmJob *job)
{
  Stream *s = job->state;

  g_clear_pointer (&s->buffer, g_free);
  g_clear_pointer (&s->backing_file, g_free);
}

static const VmJobClass stream_class
    = { .type = VMQ_JOB_TYPE_STREAM, .block = true, .run = stream_run, .commit = stream_commit, .clean = stream_clean };

VmJob *
vm_job_stream (const VmJobOptions *o, GError **error)
{
  VmJob *job;
  Stream *s;

  if (!o->node->driver->write || o->node->readonly)
    {
      vm_fail (error, "Block node is read-only");
      return NULL;
    }
  job = vm_job_new_for (o, &stream_class, sizeof *s, error);
  if (!job)
    return NULL;
  s = job->state;
  s->top = o->node;
  s->base = o->base;
  s->on_error = o->on_source_error;
  s->backing_file = g_strdup (o->backing_file);
  s->buffer = g_malloc (VM_JOB_CHUNK);
  if ((!o->filter || vm_job_insert_filter (job, o->node, o->filter, error))
      && vm_job_attach (job, o->node, "stream", VM_PERM_READ | VM_PERM_UNCHANGED, VM_PERM_ALL, error)
      && (!o->base || vm_job_attach (job, o->base, "stream base", VM_PERM_READ, VM_PERM_ALL, error)))
    return job;
  vm_job_free (job);
  return NULL;
}
