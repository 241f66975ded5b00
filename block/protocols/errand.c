/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Protocols whose library waits: their calls on workers. */
#include "block/protocols/errand.h"

#include <errno.h>
#include <fcntl.h>

typedef struct Trip
{
  VmErrandFunc func;
  VmErrand *errand;
} Trip;

static void
go (void *opaque)
{
  const Trip *trip = opaque;

  trip->func (trip->errand);
}

static int
run (VmErrands *s, VmErrandFunc func, VmErrand *e)
{
  e->state = s;
  vm_fiber_mutex_lock (&s->mutex);
  vm_fiber_work (go, &(Trip){ func, e });
  vm_fiber_mutex_unlock (&s->mutex);
  return e->status;
}

int
vm_errands_run (VmNode *node, VmErrandFunc func, VmErrand *e)
{
  return run (node->state, func, e);
}

static void
finish (VmErrands *s)
{
  vm_fiber_work (s->ops->close, s);
}

bool
vm_errands_open (VmNode *node, const VmErrandOps *ops, const void *options, GError **error)
{
  VmErrands *s = node->state;
  VmErrand e = { .options = options,
                 .flags = node->readonly ? O_RDONLY : O_RDWR,
                 .cache_direct = node->cache_direct,
                 .error = error };

  s->ops = ops;
  if (run (s, ops->open, &e) < 0)
    {
      finish (s);
      return false;
    }
  node->size = e.size;
  return true;
}

void
vm_errands_close (VmNode *node)
{
  finish (node->state);
}

int
vm_errands_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  VmErrands *s = node->state;

  return run (s, s->ops->read, &(VmErrand){ .offset = offset, .vec = vec });
}

int
vm_errands_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  VmErrands *s = node->state;
  int status = run (s, s->ops->write, &(VmErrand){ .offset = offset, .vec = vec });

  if (status >= 0)
    node->size = MAX (node->size, offset + vec.size);
  return status;
}

int
vm_errands_flush (VmNode *node)
{
  VmErrands *s = node->state;

  return run (s, s->ops->flush, &(VmErrand){ 0 });
}

bool
vm_errands_create (VmBlockGraph *graph, const VmErrandOps *ops, size_t state_size, const char *name, uint64_t size,
                   int flags, GError **error)
{
  json_object *json = vm_graph_parse_name (graph, name, error);
  VmqBlockdevOptions *options
      = json ? vm_schema_read (&vmq_type_blockdevoptions, json, VM_SCHEMA_TEXT, NULL, error) : NULL;
  g_autofree VmErrands *s = g_malloc0 (state_size);
  VmErrand e = { .flags = O_RDWR | O_CREAT | flags, .size = size, .status = -EIO, .error = error };

  s->ops = ops;
  if (options)
    {
      e.options = options->u.any;
      run (s, ops->open, &e);
      finish (s);
    }
  vm_schema_free (&vmq_type_blockdevoptions, options);
  json_object_put (json);
  return e.status >= 0;
}
