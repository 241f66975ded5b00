/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The limits of a throttle group, in front of any node. */
#include "block/throttle.h"

#include "block/node.h"
#include "engine/schema/types.h"

typedef struct ThrottleState
{
  VmThrottleMember *member;
} ThrottleState;

static bool
throttle_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsThrottle *options = opaque;
  ThrottleState *s = node->state;
  const VmThrottleConfig *config = vm_throttle_object_config (vm_graph_objects (node->graph), options->throttle_group);
  VmThrottleGroup *group = vm_throttle_group_find (node->graph, options->throttle_group);

  if (!group && !config)
    return vm_fail (error, "Throttle group '%s' does not exist", options->throttle_group);
  if (!vm_node_open_child (node, "file", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error))
    return false;
  if (group)
    s->member = vm_throttle_member_new (group);
  else
    {
      group = vm_throttle_group_get (node->graph, options->throttle_group);
      vm_throttle_group_configure (group, config);
      s->member = vm_throttle_member_new (group);
      vm_throttle_group_unref (group);
    }
  node->size = node->file->node->size;
  node->limits = node->file->node->limits;
  node->write_flags = VM_REQ_FUA;
  return true;
}

static void
throttle_close (VmNode *node)
{
  vm_throttle_member_free (((ThrottleState *) node->state)->member);
}

static void
throttle_drain (VmNode *node, bool begin)
{
  vm_throttle_member_drain (((ThrottleState *) node->state)->member, begin);
}

static int
throttle_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  vm_throttle_wait (((ThrottleState *) node->state)->member, false, vec.size);
  return vm_node_read (node->file->node, offset, vec, flags);
}

static int
throttle_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  vm_throttle_wait (((ThrottleState *) node->state)->member, true, vec.size);
  return vm_node_write (node->file->node, offset, vec, flags);
}

static int
throttle_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  vm_throttle_wait (((ThrottleState *) node->state)->member, true, len);
  return vm_node_write_zeroes (node->file->node, offset, len, flags);
}

static int
throttle_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  vm_throttle_wait (((ThrottleState *) node->state)->member, true, len);
  return vm_node_discard (node->file->node, offset, len);
}

const VmBlockDriver vm_throttle_driver = {
  .name = "throttle",
  .help = "Limits of a throttle group",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (ThrottleState),
  .open = throttle_open,
  .close = throttle_close,
  .drain = throttle_drain,
  .read = throttle_read,
  .write = throttle_write,
  .write_zeroes = throttle_write_zeroes,
  .discard = throttle_discard,
};
