/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The graph: its thread, its drivers, its nodes by name. */
#include "block/export/export.h"
#include "block/graph-private.h"
#include "block/job.h"
#include "engine/base/module.h"

VmBlockGraph *
vm_graph_new (const VmBlockDriver *const *drivers, VmObject *objects)
{
  VmBlockGraph *graph = g_new0 (VmBlockGraph, 1);

  graph->drivers = drivers;
  graph->objects = objects;
  graph->nodes = g_ptr_array_new ();
  g_mutex_init (&graph->mutex);
  g_queue_init (&graph->drains);
  return graph;
}

void
vm_graph_set_patient (VmBlockGraph *graph)
{
  graph->patient = true;
}

static gpointer
graph_main (gpointer data)
{
  VmBlockGraph *graph = data;

  vm_loop_run (graph->loop);
  return NULL;
}

VmLoop *
vm_graph_loop (VmBlockGraph *graph)
{
  g_mutex_lock (&graph->mutex);
  if (!graph->loop)
    {
      graph->loop = vm_loop_new ("block", NULL);
      graph->thread = g_thread_new ("block", graph_main, graph);
    }
  g_mutex_unlock (&graph->mutex);
  return graph->loop;
}

VmObject *
vm_graph_objects (VmBlockGraph *graph)
{
  return graph->objects;
}

/* --- entering --------------------------------------------------------------------------------------- */

typedef struct Call
{
  VmFiberFunc func;
  void *opaque;
  GMutex mutex;
  GCond cond;
  bool done;
} Call;

static void
run_call (void *opaque)
{
  Call *call = opaque;

  call->func (call->opaque);
  g_mutex_lock (&call->mutex);
  call->done = true;
  g_cond_signal (&call->cond);
  g_mutex_unlock (&call->mutex);
}

void
vm_graph_call (VmBlockGraph *graph, VmFiberFunc func, void *opaque)
{
  VmLoop *loop = vm_graph_loop (graph);
  Call call = { .func = func, .opaque = opaque };

  if (vm_loop_is_current (loop))
    {
      g_assert (vm_fiber_self () != NULL);
      func (opaque);
      return;
    }
  g_mutex_init (&call.mutex);
  g_cond_init (&call.cond);
  vm_fiber_spawn (loop, run_call, &call);
  g_mutex_lock (&call.mutex);
  while (!call.done)
    g_cond_wait (&call.cond, &call.mutex);
  g_mutex_unlock (&call.mutex);
  g_mutex_clear (&call.mutex);
  g_cond_clear (&call.cond);
}

/* --- drivers and nodes ---------------------------------------------------------------------------------- */

const VmBlockDriver *
vm_graph_find_driver (VmBlockGraph *graph, const char *name)
{
  for (const VmBlockDriver *const *d = graph->drivers; *d; d++)
    if (!strcmp ((*d)->name, name))
      return *d;
  return NULL;
}

typedef struct Loading
{
  const char *folder, *module, *symbol;
  GError **error;
  void *found;
} Loading;

static void
do_load (void *opaque)
{
  Loading *l = opaque;

  l->found = vm_module_symbol (l->folder, l->module, l->symbol, l->error);
}

void *
vm_graph_load (const char *folder, const char *module, const char *symbol, GError **error)
{
  Loading l = { folder, module, symbol, error, NULL };

  vm_fiber_work (do_load, &l); /* what a library does when it is loaded may need more stack than a fiber has */
  return l.found;
}

const VmBlockDriver *
vm_block_driver_load (const VmBlockDriver *driver, GError **error)
{
  const VmBlockDriver *loaded;

  if (!driver->module)
    return driver;
  g_autofree char *symbol = g_strconcat ("vm_block_", driver->name, NULL);
  loaded = vm_graph_load ("block/protocols", driver->module, symbol, error);
  if (!loaded)
    g_prefix_error (error, "Protocol '%s' needs %s, but ", driver->name, driver->needs);
  return loaded;
}

const VmBlockDriver *const *
vm_graph_drivers (VmBlockGraph *graph)
{
  return graph->drivers;
}

VmNode *
vm_node_find (VmBlockGraph *graph, const char *name)
{
  for (guint i = 0; i < graph->nodes->len; i++)
    {
      VmNode *node = g_ptr_array_index (graph->nodes, i);
      if (!strcmp (node->name, name))
        return node;
    }
  return NULL;
}

const GPtrArray *
vm_graph_nodes (VmBlockGraph *graph)
{
  return graph->nodes;
}

void
vm_graph_set_event_func (VmBlockGraph *graph, void (*event) (void *opaque, const char *name, json_object *data),
                         void *opaque)
{
  graph->event = event;
  graph->event_opaque = opaque;
}

void
vm_graph_event (VmBlockGraph *graph, const char *name, json_object *data)
{
  if (graph->event)
    graph->event (graph->event_opaque, name, data);
  else
    json_object_put (data);
}

/* --- end --------------------------------------------------------------------------------------------------- */

/* Roots are gone; what monitors opened by name still stands, each on top of what it uses. */
static void
close_all (void *opaque)
{
  VmBlockGraph *graph = opaque;

  for (guint i = graph->nodes->len; i-- > 0;)
    {
      VmNode *node = g_ptr_array_index (graph->nodes, i);
      if (!node->monitor_owned)
        continue;
      node->monitor_owned = false;
      vm_node_unref (node);
      i = graph->nodes->len; /* others may have gone with it */
    }
  for (size_t i = 0; i < G_N_ELEMENTS (graph->aio); i++)
    if (graph->aio[i])
      graph->aio_free[i](graph->aio[i]);
}

static void
cancel_jobs (void *opaque)
{
  vm_jobs_cancel_all (opaque);
  vm_exports_end (opaque);
}

void
vm_graph_free (VmBlockGraph *graph)
{
  if (!graph)
    return;
  graph->event = NULL; /* nobody is left who could be told */
  if (graph->loop)
    {
      vm_graph_call (graph, cancel_jobs, graph);
      vm_graph_call (graph, close_all, graph);
      vm_loop_quit (graph->loop);
      g_thread_join (graph->thread);
      vm_loop_free (graph->loop);
    }
  g_ptr_array_unref (graph->nodes);
  json_object_put (graph->iscsi);
  g_mutex_clear (&graph->mutex);
  g_free (graph);
}
