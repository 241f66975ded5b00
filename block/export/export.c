/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exports of all kinds: their place in the graph and their end. */
#include "block/export/export.h"

#include "block/export/nbd-server.h"
#include "block/graph-private.h"

/* --- the node below ------------------------------------------------------------------------------------------------
 */

static void
drain_begin (void *opaque)
{
  ((VmExport *) opaque)->drains++;
}

static bool
drain_busy (void *opaque)
{
  return ((VmExport *) opaque)->in_flight > 0;
}

static void
drain_end (void *opaque)
{
  VmExport *e = opaque;

  if (!--e->drains)
    vm_fiber_queue_wake_all (&e->wake);
}

static const VmRootClass export_root
    = { .kind = "export", .drain_begin = drain_begin, .drain_busy = drain_busy, .drain_end = drain_end };

void
vm_export_begin (VmExport *e)
{
  while (e->drains)
    vm_fiber_queue_wait (&e->wake);
  e->in_flight++;
}

void
vm_export_end (VmExport *e)
{
  e->in_flight--;
}

unsigned
vm_export_write_flags (const VmExport *e)
{
  return e->writethrough ? VM_REQ_FUA : 0;
}

/* --- life ------------------------------------------------------------------------------------- */

bool
vm_export_init (VmExport *e, const VmExportKind *kind, VmNode *node, const char *id, bool writable, unsigned share,
                GError **error)
{
  VmBlockGraph *graph = node->graph;

  if (writable && node->readonly)
    return vm_fail (error, "Cannot export read-only node as writable");
  e->root = vm_node_attach_root (node, id ? id : "export", &export_root, e,
                                 VM_PERM_READ | (writable ? VM_PERM_WRITE : 0), share, error);
  if (!e->root)
    return false;
  e->kind = kind;
  e->graph = graph;
  e->id = g_strdup (id);
  e->writable = writable;
  e->refs = 1;
  if (!graph->exports)
    graph->exports = g_ptr_array_new ();
  g_ptr_array_add (graph->exports, e);
  return true;
}

void
vm_export_ref (VmExport *e)
{
  e->refs++;
}

void
vm_export_unref (VmExport *e)
{
  VmBlockGraph *graph = e->graph;
  g_autofree char *id = NULL;

  if (--e->refs)
    return;
  id = g_steal_pointer (&e->id);
  g_ptr_array_remove (graph->exports, e);
  vm_node_detach (e->root);
  e->kind->free (e);
  if (id)
    {
      json_object *data = json_object_new_object ();
      json_object_object_add (data, "id", json_object_new_string (id));
      vm_graph_event (graph, "BLOCK_EXPORT_DELETED", data);
    }
  vm_fiber_queue_wake_all (&graph->exports_gone);
}

void
vm_export_shut_down (VmExport *e)
{
  if (e->shutting_down)
    return;
  e->shutting_down = true;
  e->kind->shut_down (e);
  vm_export_unref (e);
}

VmExport *
vm_export_find (VmBlockGraph *graph, const char *id)
{
  for (guint i = 0; graph->exports && i < graph->exports->len; i++)
    {
      VmExport *e = g_ptr_array_index (graph->exports, i);
      if (!g_strcmp0 (e->id, id))
        return e;
    }
  return NULL;
}

void
vm_exports_end (VmBlockGraph *graph)
{
  vm_nbd_server_free (g_steal_pointer (&graph->nbd));
  if (!graph->exports)
    return;
  for (guint i = graph->exports->len; i-- > 0; i = MIN (i, graph->exports->len))
    vm_export_shut_down (g_ptr_array_index (graph->exports, i));
  while (graph->exports->len)
    vm_fiber_queue_wait (&graph->exports_gone);
  g_clear_pointer (&graph->exports, g_ptr_array_unref);
}
