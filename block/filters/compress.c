/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All that is written through it is compressed by the format below. */
#include "block/node.h"

#include <errno.h>

static bool
compress_open (VmNode *node, const void *options, GError **error)
{
  VmNode *below;
  uint32_t cluster;

  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error))
    return false;
  below = node->file->node;
  cluster = below->driver->cluster_size ? below->driver->cluster_size (below) : 0;
  if (!cluster)
    return vm_fail (error, "Compression is not supported for this drive: %s", below->filename);
  node->size = below->size;
  node->limits = below->limits;
  node->limits.alignment = MAX (node->limits.alignment, cluster); /* parts of one would undo it */
  return true;
}

static int
compress_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
compress_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  VmNode *below = node->file->node;

  /* The last cluster may be shorter than the block of this filter. */
  if (offset < below->size && vec.size > below->size - offset)
    vec = vm_vec_slice (vec, 0, below->size - offset);
  return vm_node_write (below, offset, vec, flags | VM_REQ_COMPRESSED);
}

static int
compress_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return vm_node_write_zeroes (node->file->node, offset, len, flags);
}

static int
compress_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  return vm_node_discard (node->file->node, offset, len);
}

const VmBlockDriver vm_compress_driver = {
  .name = "compress",
  .help = "Writes compressed",
  .kind = VM_DRIVER_FILTER,
  .open = compress_open,
  .read = compress_read,
  .write = compress_write,
  .write_zeroes = compress_write_zeroes,
  .discard = compress_discard,
};
