/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stands over a disk whose requests a recording would put in order. Nothing records: all goes through. */
#include "block/node.h"

static VmNode *
image_of (const VmNode *node)
{
  return ((VmEdge *) g_ptr_array_index (node->children, 0))->node;
}

static bool
blkreplay_open (VmNode *node, const void *options, GError **error)
{
  VmEdge *below = vm_node_open_child (node, "image", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error);

  if (!below)
    return false;
  node->size = below->node->size;
  node->limits = below->node->limits;
  node->write_flags = VM_REQ_FUA;
  return true;
}

static int
blkreplay_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_read (image_of (node), offset, vec, flags);
}

static int
blkreplay_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_node_write (image_of (node), offset, vec, flags);
}

static int
blkreplay_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return vm_node_write_zeroes (image_of (node), offset, len, flags);
}

static int
blkreplay_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  return vm_node_discard (image_of (node), offset, len);
}

const VmBlockDriver vm_blkreplay_driver = {
  .name = "blkreplay",
  .help = "For disks of recorded machines",
  .kind = VM_DRIVER_FILTER,
  .open = blkreplay_open,
  .read = blkreplay_read,
  .write = blkreplay_write,
  .write_zeroes = blkreplay_write_zeroes,
  .discard = blkreplay_discard,
};
