/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Grows the file below ahead of writes past its end, in big steps, and cuts the rest off when it is closed. */
#include "block/node.h"

#include "engine/schema/types.h"

#include <errno.h>

typedef struct PreallocateState
{
  uint64_t align, step;
  uint64_t data_end; /* as parents see the size */
  VmFiberMutex growing;
} PreallocateState;

static bool
preallocate_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsPreallocate *options = opaque;
  PreallocateState *s = node->state;

  s->align = options->has_prealloc_align ? (uint64_t) options->prealloc_align : VM_MIB;
  s->step = options->has_prealloc_size ? (uint64_t) options->prealloc_size : 128 * VM_MIB;
  if (!s->align || s->align % 512 || s->align > INT32_MAX)
    return vm_fail (error, "prealloc-align parameter of preallocate filter is not aligned to 512");
  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error))
    return false;
  node->size = s->data_end = node->file->node->size;
  node->limits = node->file->node->limits;
  node->write_flags = VM_REQ_FUA;
  return true;
}

static void
preallocate_close (VmNode *node)
{
  PreallocateState *s = node->state;
  VmNode *file = node->file->node;

  if (!file->readonly && file->size > s->data_end)
    vm_node_truncate (file, s->data_end, true, VM_PREALLOC_OFF, 0, NULL); /* what stays is only space */
}

static void
preallocate_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                         unsigned *child_shared)
{
  *child_perm = perm | (perm & VM_PERM_WRITE ? VM_PERM_RESIZE : 0);
  *child_shared = shared & ~(perm & VM_PERM_WRITE ? VM_PERM_WRITE | VM_PERM_RESIZE : 0u);
}

static void
make_room (VmNode *node, uint64_t end)
{
  PreallocateState *s = node->state;
  VmNode *file = node->file->node;

  s->data_end = MAX (s->data_end, end);
  if (end <= file->size || !s->step)
    return;
  vm_fiber_mutex_lock (&s->growing);
  if (end > file->size)
    {
      uint64_t size = (end + s->step + s->align - 1) / s->align * s->align;
      vm_node_truncate (file, size, false, VM_PREALLOC_FALLOC, 0, NULL); /* without it the write grows the file */
    }
  vm_fiber_mutex_unlock (&s->growing);
}

/* What lies behind the data is nobody's business above. */
static void
preallocate_refresh_size (VmNode *node)
{
  node->size = ((PreallocateState *) node->state)->data_end;
}

static int
preallocate_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
preallocate_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  make_room (node, offset + vec.size);
  return vm_node_write (node->file->node, offset, vec, flags);
}

static int
preallocate_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  make_room (node, offset + len);
  return vm_node_write_zeroes (node->file->node, offset, len, flags);
}

static int
preallocate_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  PreallocateState *s = node->state;
  int status = vm_node_truncate (node->file->node, size, exact, prealloc, flags, error);

  if (status >= 0)
    node->size = s->data_end = size;
  return status;
}

const VmBlockDriver vm_preallocate_driver = {
  .name = "preallocate",
  .help = "Grows files ahead of writes",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (PreallocateState),
  .open = preallocate_open,
  .close = preallocate_close,
  .child_perms = preallocate_child_perms,
  .read = preallocate_read,
  .write = preallocate_write,
  .write_zeroes = preallocate_write_zeroes,
  .truncate = preallocate_truncate,
  .refresh_size = preallocate_refresh_size,
};
