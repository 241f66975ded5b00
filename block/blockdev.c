/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes that users make and take away by name: -blockdev, blockdev-add, blockdev-del. */
#include "block/drives.h"

#include "engine/schema/types.h"

typedef struct AddNode
{
  VmBlockGraph *graph;
  json_object *options;
  VmSchemaSource source;
  GError **error;
  bool ok;
} AddNode;

static void
add_node (void *opaque)
{
  AddNode *a = opaque;
  VmNode *node = vm_node_open (a->graph, a->options, a->source, 0, a->error);

  if (node)
    node->monitor_owned = a->ok = true;
}

bool
vm_graph_add_node (VmBlockGraph *graph, json_object *options, VmSchemaSource source, GError **error)
{
  AddNode a = { graph, options, source, error, false };
  json_object *name = NULL;

  if (!json_object_object_get_ex (options, "node-name", &name))
    {
      /* What else is wrong with them is said first. */
      json_object *nested = vm_json_nest (options, error);
      void *read = nested ? vm_schema_read (&vmq_type_blockdevoptions, nested, source, NULL, error) : NULL;
      json_object_put (nested);
      if (!read)
        return false;
      vm_schema_free (&vmq_type_blockdevoptions, read);
      return vm_fail (error, "'node-name' must be specified for the root node");
    }
  vm_graph_call (graph, add_node, &a);
  return a.ok;
}

typedef struct RemoveNode
{
  VmBlockGraph *graph;
  const char *name;
  GError **error;
  bool ok;
} RemoveNode;

static void
remove_node (void *opaque)
{
  RemoveNode *r = opaque;
  VmNode *node = vm_node_find (r->graph, r->name);

  if (!node)
    vm_fail (r->error, "Failed to find node with node-name='%s'", r->name);
  else if (node->parents->len)
    {
      const VmEdge *edge = g_ptr_array_index (node->parents, 0);
      if (edge->root)
        vm_fail (r->error, "Node %s is in use", r->name);
      else
        vm_fail (r->error, "Block device %s is in use", r->name);
    }
  else if (!node->monitor_owned)
    vm_fail (r->error, "Node %s is not owned by the monitor", r->name);
  else
    {
      node->monitor_owned = false;
      vm_node_unref (node);
      r->ok = true;
    }
}

bool
vm_graph_remove_node (VmBlockGraph *graph, const char *name, GError **error)
{
  RemoveNode r = { graph, name, error, false };

  vm_graph_call (graph, remove_node, &r);
  return r.ok;
}
