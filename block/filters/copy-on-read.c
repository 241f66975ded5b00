/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is read from backing files is copied up into the image, once. */
#include "block/node.h"

#include "engine/schema/types.h"

#include <errno.h>

#define CHUNK (1024 * 1024)

typedef struct CopyOnReadState
{
  VmNode *bottom;     /* what comes from it and below is not copied; NULL: all is */
  VmFiberRwLock lock; /* writers: copies; readers: requests of parents that change what would be copied over */
} CopyOnReadState;

static bool
copy_on_read_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsCor *options = opaque;
  CopyOnReadState *s = node->state;

  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error))
    return false;
  if (options->bottom)
    {
      s->bottom = vm_node_find (node->graph, options->bottom);
      if (!s->bottom)
        return vm_fail (error, "Bottom node '%s' not found", options->bottom);
      if (!vm_node_chain_contains (node->file->node, s->bottom))
        return vm_fail (error, "Bottom node '%s' isn't reachable from '%s'", options->bottom, node->file->node->name);
    }
  node->size = node->file->node->size;
  node->limits = node->file->node->limits;
  node->write_flags = VM_REQ_FUA;
  return true;
}

/* Writing up changes nothing that can be read. */
static void
copy_on_read_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                          unsigned *child_shared)
{
  *child_perm = perm | (perm & VM_PERM_READ && !edge->node->readonly ? VM_PERM_UNCHANGED : 0);
  *child_shared = shared;
}

/* Reads bytes that only lower layers have, and writes them up when nobody else has meanwhile. */
static int
read_and_copy (VmNode *node, uint64_t offset, VmVec vec)
{
  VmNode *file = node->file->node;
  g_autofree void *buffer = g_try_malloc (MAX (vec.size, 1));
  struct iovec iov;
  int status;

  if (!buffer)
    return -ENOMEM;
  status = vm_node_pread (file, offset, buffer, vec.size);
  if (status < 0)
    return status;
  vm_vec_write (vec, 0, buffer, vec.size);
  vm_node_event (file, VMQ_BLKDEBUG_EVENT_COR_WRITE);
  status = vm_node_write (file, offset, vm_vec_buffer (&iov, buffer, vec.size), VM_REQ_UNCHANGED);
  return status == -ENOSPC ? 0 : status; /* it was an offer */
}

static int
copy_on_read_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  CopyOnReadState *s = node->state;
  VmNode *file = node->file->node;
  int status = 0;

  if (file->readonly || !vm_node_backing (file))
    return vm_node_read (file, offset, vec, flags);
  for (size_t done = 0; status >= 0 && done < vec.size;)
    {
      VmNode *below = vm_node_backing (file);
      size_t len = MIN (vec.size - done, CHUNK);
      VmExtent extent;
      vm_fiber_rw_write (&s->lock);
      status = vm_node_status_above (file, below, offset + done, len, &extent);
      bool mine = status >= 0 && (extent.flags & VM_EXTENT_ALLOCATED);
      len = status >= 0 ? MIN (len, extent.len) : len;
      if (!mine && s->bottom && status >= 0)
        {
          VmNode *base = vm_node_backing (s->bottom);
          status = vm_node_status_above (file, base, offset + done, len, &extent);
          mine = status >= 0 && !(extent.flags & VM_EXTENT_ALLOCATED); /* from below the bottom: only read */
          len = status >= 0 ? MIN (len, extent.len) : len;
        }
      VmVec part = vm_vec_slice (vec, done, len);
      if (status >= 0 && !mine)
        status = read_and_copy (node, offset + done, part);
      vm_fiber_rw_unlock (&s->lock);
      if (status >= 0 && mine)
        status = vm_node_read (file, offset + done, part, flags);
      done += len;
    }
  return status;
}

static int
copy_on_read_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  CopyOnReadState *s = node->state;
  int status;

  vm_fiber_rw_read (&s->lock);
  status = vm_node_write (node->file->node, offset, vec, flags);
  vm_fiber_rw_unlock (&s->lock);
  return status;
}

static int
copy_on_read_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  CopyOnReadState *s = node->state;
  int status;

  vm_fiber_rw_read (&s->lock);
  status = vm_node_write_zeroes (node->file->node, offset, len, flags);
  vm_fiber_rw_unlock (&s->lock);
  return status;
}

static int
copy_on_read_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  CopyOnReadState *s = node->state;
  int status;

  vm_fiber_rw_read (&s->lock);
  status = vm_node_discard (node->file->node, offset, len);
  vm_fiber_rw_unlock (&s->lock);
  return status;
}

const VmBlockDriver vm_copy_on_read_driver = {
  .name = "copy-on-read",
  .help = "Copies what is read from backing files",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (CopyOnReadState),
  .open = copy_on_read_open,
  .child_perms = copy_on_read_child_perms,
  .read = copy_on_read_read,
  .write = copy_on_read_write,
  .write_zeroes = copy_on_read_write_zeroes,
  .discard = copy_on_read_discard,
};
