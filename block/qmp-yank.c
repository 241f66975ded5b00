/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes whose connections "yank" ends. The graph's thread never hangs: only its fibers wait. */
#include "block/qmp-yank.h"

#include "block/drives.h"
#include "engine/monitor/yank.h"

typedef struct Yank
{
  VmBlockGraph *graph;
  GPtrArray *instances; /* of a list */
  const char *name;     /* of a node to end, or to ask for */
  bool end, found;
} Yank;

static void
list_nodes (void *opaque)
{
  Yank *y = opaque;
  const GPtrArray *nodes = vm_graph_nodes (y->graph);

  for (guint i = 0; i < nodes->len; i++)
    {
      const VmNode *node = g_ptr_array_index (nodes, i);
      if (!node->driver->yank)
        continue;
      VmqYankInstance *instance = g_new0 (VmqYankInstance, 1);
      instance->type = VMQ_YANK_INSTANCE_TYPE_BLOCK_NODE;
      instance->u.block_node = g_new0 (VmqYankInstanceBlockNode, 1);
      instance->u.block_node->node_name = g_strdup (node->name);
      g_ptr_array_add (y->instances, instance);
    }
}

static void
yank_list (void *opaque, GPtrArray *instances)
{
  VmDrives *drives = opaque;
  Yank y = { .graph = drives->graph, .instances = instances };

  vm_graph_call (y.graph, list_nodes, &y);
}

static void
end_node (void *opaque)
{
  Yank *y = opaque;
  VmNode *node = vm_node_find (y->graph, y->name);

  y->found = node && node->driver->yank;
  if (y->found && y->end)
    node->driver->yank (node);
}

static bool
yank_node (void *opaque, const VmqYankInstance *instance, bool end)
{
  VmDrives *drives = opaque;
  Yank y = { .graph = drives->graph, .end = end };

  if (instance->type != VMQ_YANK_INSTANCE_TYPE_BLOCK_NODE)
    return false;
  y.name = instance->u.block_node->node_name;
  vm_graph_call (y.graph, end_node, &y);
  return y.found;
}

void
vm_drives_bind_yank (VmObject *root, struct VmDrives *drives)
{
  VmYankSource *source = vm_yank_source_add (root, "block");

  source->list = yank_list;
  source->yank = yank_node;
  source->opaque = drives;
}
