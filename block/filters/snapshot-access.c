/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disk as it was when the copy-before-write node below was put in, to be read by jobs and exports. */
#include "block/filters/cbw.h"

static bool
snapshot_access_open (VmNode *node, const void *options, GError **error)
{
  if (!vm_node_open_child (node, "file", VM_ROLE_DATA | VM_ROLE_PRIMARY, true, error))
    return false;
  if (!vm_cbw_is (node->file->node))
    return vm_fail (error, "Node '%s' keeps no snapshot that could be accessed", node->file->node->name);
  node->size = node->file->node->size;
  return true;
}

/* Guests go on writing through the node below. */
static void
snapshot_access_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                             unsigned *child_shared)
{
  *child_perm = 0;
  *child_shared = VM_PERM_ALL;
}

static int
snapshot_access_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return vm_cbw_snapshot_read (node->file->node, offset, vec);
}

static int
snapshot_access_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  return vm_cbw_snapshot_status (node->file->node, offset, len, extent);
}

static int
snapshot_access_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  return vm_cbw_snapshot_discard (node->file->node, offset, len);
}

const VmBlockDriver vm_snapshot_access_driver = {
  .name = "snapshot-access",
  .help = "What copy-before-write keeps",
  .kind = VM_DRIVER_FORMAT,
  .open = snapshot_access_open,
  .child_perms = snapshot_access_child_perms,
  .read = snapshot_access_read,
  .discard = snapshot_access_discard,
  .status = snapshot_access_status,
};
