/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes: edges between them, drained sections, what happens to all parents at once. */
#include "block/graph-private.h"

#include "engine/base/log.h"

/* --- life ------------------------------------------------------------------------------------------- */

VmNode *
vm_node_ref (VmNode *node)
{
  node->refs++;
  return node;
}

void
vm_node_free (VmNode *node)
{
  VmNodeCore *core = node->core;

  g_ptr_array_remove (node->graph->nodes, node);
  while (node->children->len)
    vm_node_detach (g_ptr_array_index (node->children, node->children->len - 1));
  if (node->opened_file)
    vm_node_unref (node->opened_file);
  g_assert (node->parents->len == 0 && core->tracked.length == 0);
  g_ptr_array_unref (node->children);
  g_ptr_array_unref (node->parents);
  g_clear_pointer (&node->bitmaps, g_ptr_array_unref);
  json_object_put (node->options);
  g_free (node->state);
  g_free (node->name);
  g_free (node->filename);
  g_free (node->backing_name);
  g_free (node->backing_format);
  g_free (core);
  g_free (node);
}

void
vm_node_unref (VmNode *node)
{
  if (!node || --node->refs)
    return;
  node->refs = 1; /* what runs while it closes may take references and drop them */
  while (node->in_flight)
    vm_fiber_queue_wait (&node->idle);
  if (!node->readonly && !node->dead)
    {
      int status = vm_node_flush (node);
      if (status < 0)
        vm_report_error ("%s: the last writes may be lost: %s", node->filename, g_strerror (-status));
    }
  if (node->driver->close)
    node->driver->close (node);
  vm_node_free (node);
}

/* --- edges ------------------------------------------------------------------------------------------ */

static void
set_shortcuts (VmNode *parent)
{
  parent->file = parent->backing = NULL;
  for (guint i = 0; i < parent->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (parent->children, i);
      if (!strcmp (edge->name, "file"))
        parent->file = edge;
      else if (!strcmp (edge->name, "backing"))
        parent->backing = edge;
    }
}

static VmEdge *
edge_new (VmNode *node, const char *name)
{
  VmEdge *edge = g_new0 (VmEdge, 1);

  edge->node = vm_node_ref (node);
  edge->name = g_strdup (name);
  edge->shared = VM_PERM_ALL;
  g_ptr_array_add (node->parents, edge);
  return edge;
}

void
vm_node_detach (VmEdge *edge)
{
  VmNode *node = edge->node, *parent = edge->parent;

  vm_node_drain_forget (edge);
  g_ptr_array_remove (node->parents, edge);
  if (parent)
    {
      g_ptr_array_remove (parent->children, edge);
      set_shortcuts (parent);
    }
  g_free (edge->name);
  g_free (edge);
  /* Wanting less cannot fail. */
  vm_node_update_perms (node, NULL);
  vm_node_unref (node);
}

static bool
reaches (VmNode *from, const VmNode *to)
{
  if (from == to)
    return true;
  for (guint i = 0; i < from->children->len; i++)
    if (reaches (((VmEdge *) g_ptr_array_index (from->children, i))->node, to))
      return true;
  return false;
}

VmEdge *
vm_node_attach (VmNode *parent, const char *name, VmNode *node, unsigned role, GError **error)
{
  if (reaches (node, parent))
    {
      vm_fail (error, "Making '%s' a %s child of '%s' would create a cycle", node->name, name, parent->name);
      return NULL;
    }

  VmEdge *edge = edge_new (node, name);

  edge->parent = parent;
  edge->role = role;
  g_ptr_array_add (parent->children, edge);
  set_shortcuts (parent);
  if (!vm_node_update_perms (parent, error))
    {
      edge->perm = 0;
      edge->shared = VM_PERM_ALL;
      vm_node_detach (edge);
      return NULL;
    }
  return edge;
}

VmEdge *
vm_node_attach_root (VmNode *node, const char *who, const VmRootClass *klass, void *opaque, unsigned perm,
                     unsigned shared, GError **error)
{
  VmEdge *edge = edge_new (node, who);

  edge->root = klass;
  edge->opaque = opaque;
  if (!vm_edge_set_perms (edge, perm, shared, error))
    {
      vm_node_detach (edge);
      return NULL;
    }
  return edge;
}

bool
vm_edge_set_perms (VmEdge *edge, unsigned perm, unsigned shared, GError **error)
{
  unsigned old_perm = edge->perm, old_shared = edge->shared;

  edge->perm = perm;
  edge->shared = shared;
  if (vm_node_update_perms (edge->node, error))
    return true;
  edge->perm = old_perm;
  edge->shared = old_shared;
  return false;
}

static void
edge_move (VmEdge *edge, VmNode *to)
{
  g_ptr_array_remove (edge->node->parents, edge);
  edge->node = to;
  g_ptr_array_add (to->parents, edge);
}

bool
vm_node_replace (VmNode *from, VmNode *to, GError **error)
{
  g_autoptr (GPtrArray) moved = g_ptr_array_new ();
  bool ok = true;

  if (from == to)
    return true;
  vm_node_ref (from);
  vm_node_drain_begin (from);
  vm_node_drain_begin (to);
  for (guint i = 0; i < from->parents->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (from->parents, i);
      if (!edge->parent || !reaches (to, edge->parent)) /* a filter put in stays on top of what it filters */
        g_ptr_array_add (moved, edge);
    }
  for (guint i = 0; i < moved->len; i++)
    edge_move (g_ptr_array_index (moved, i), to);
  /* A filter that is taken out has no more wishes about what it lay on. */
  ok = vm_node_update_perms (reaches (from, to) ? from : to, error);
  if (!ok)
    for (guint i = 0; i < moved->len; i++)
      edge_move (g_ptr_array_index (moved, i), from);
  vm_node_update_perms (from, NULL); /* has fewer parents, or those it had */
  for (guint i = 0; ok && i < moved->len; i++)
    {
      vm_node_ref (to);
      vm_node_unref (from);
    }
  vm_node_drain_end (to);
  vm_node_drain_end (from);
  if (ok && from->size != to->size)
    vm_node_resized (to);
  vm_node_unref (from);
  return ok;
}

bool
vm_node_set_backing (VmNode *node, VmNode *backing, GError **error)
{
  VmNode *old = node->backing ? vm_node_ref (node->backing->node) : NULL;
  bool ok = true;

  vm_node_drain_begin (node);
  if (node->backing)
    vm_node_detach (node->backing);
  if (backing)
    ok = vm_node_attach (node, "backing", backing, VM_ROLE_COW, error) != NULL;
  if (!ok && old)
    vm_node_attach (node, "backing", old, VM_ROLE_COW, NULL); /* was possible a moment ago */
  if (ok)
    node->backing_from_image = false;
  vm_node_drain_end (node);
  if (old)
    vm_node_unref (old);
  return ok;
}

/* --- drained sections --------------------------------------------------------------------------------- */

typedef struct DrainSection
{
  VmNode *node;
  GPtrArray *nodes; /* VmNode *, referenced */
  GPtrArray *roots; /* VmEdge * */
} DrainSection;

static void
collect (GPtrArray *nodes, VmNode *node, bool up, bool down)
{
  if (!g_ptr_array_find (nodes, node, NULL))
    g_ptr_array_add (nodes, vm_node_ref (node));
  for (guint i = 0; up && i < node->parents->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->parents, i);
      if (edge->parent)
        collect (nodes, edge->parent, true, false);
    }
  for (guint i = 0; down && i < node->children->len; i++)
    collect (nodes, ((VmEdge *) g_ptr_array_index (node->children, i))->node, false, true);
}

static VmNode *
find_busy (const GPtrArray *nodes)
{
  for (guint i = 0; i < nodes->len; i++)
    {
      VmNode *node = g_ptr_array_index (nodes, i);
      if (node->in_flight)
        return node;
    }
  return NULL;
}

static bool
roots_are_busy (const GPtrArray *roots)
{
  for (guint i = 0; i < roots->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (roots, i);
      if (edge->root->drain_busy && edge->root->drain_busy (edge->opaque))
        return true;
    }
  return false;
}

static void
wait_until_idle (DrainSection *section)
{
  for (;;)
    {
      VmNode *busy = find_busy (section->nodes);
      if (busy)
        vm_fiber_queue_wait (&busy->idle);
      else if (roots_are_busy (section->roots))
        vm_fiber_sleep (100 * 1000); /* between two of its requests */
      else
        return;
    }
}

void
vm_node_drain_begin (VmNode *node)
{
  DrainSection *section = g_new0 (DrainSection, 1);

  section->node = node;
  section->nodes = g_ptr_array_new ();
  section->roots = g_ptr_array_new ();
  collect (section->nodes, node, true, true);
  g_queue_push_head (&node->graph->drains, section);
  for (guint i = 0; i < section->nodes->len; i++)
    {
      VmNode *n = g_ptr_array_index (section->nodes, i);
      n->quiesced++;
      if (n->driver->drain)
        n->driver->drain (n, true);
      for (guint j = 0; j < n->parents->len; j++)
        {
          VmEdge *edge = g_ptr_array_index (n->parents, j);
          if (edge->root)
            g_ptr_array_add (section->roots, edge);
        }
    }
  for (guint i = 0; i < section->roots->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (section->roots, i);
      if (edge->root->drain_begin)
        edge->root->drain_begin (edge->opaque);
    }
  wait_until_idle (section);
}

static void
root_goes_on (VmEdge *edge)
{
  if (edge->root->drain_end)
    edge->root->drain_end (edge->opaque);
}

void
vm_node_drain_end (VmNode *node)
{
  GQueue *drains = &node->graph->drains;
  DrainSection *section = NULL;

  for (GList *l = drains->head; l && !section; l = l->next)
    if (((DrainSection *) l->data)->node == node)
      section = l->data;
  g_assert (section);
  g_queue_remove (drains, section);
  for (guint i = 0; i < section->nodes->len; i++)
    {
      VmNode *n = g_ptr_array_index (section->nodes, i);
      n->quiesced--;
      if (n->driver->drain)
        n->driver->drain (n, false);
    }
  while (section->roots->len)
    root_goes_on (g_ptr_array_steal_index (section->roots, section->roots->len - 1));
  for (guint i = 0; i < section->nodes->len; i++)
    vm_node_unref (g_ptr_array_index (section->nodes, i));
  g_ptr_array_unref (section->nodes);
  g_ptr_array_unref (section->roots);
  g_free (section);
}

void
vm_node_drain_forget (VmEdge *edge)
{
  for (GList *l = edge->node->graph->drains.head; l; l = l->next)
    while (g_ptr_array_remove (((DrainSection *) l->data)->roots, edge))
      root_goes_on (edge);
}

/* --- layers ---------------------------------------------------------------------------------------------- */

static VmEdge *
filtered_child (VmNode *node)
{
  for (guint i = 0; i < node->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->children, i);
      if (edge->role & VM_ROLE_FILTERED)
        return edge;
    }
  return NULL;
}

VmNode *
vm_node_skip_filters (VmNode *node)
{
  VmEdge *edge;

  while (node && node->driver->kind == VM_DRIVER_FILTER && (edge = filtered_child (node)))
    node = edge->node;
  return node;
}

VmNode *
vm_node_backing (VmNode *node)
{
  node = vm_node_skip_filters (node);
  return node && node->backing ? vm_node_skip_filters (node->backing->node) : NULL;
}

bool
vm_node_chain_contains (VmNode *top, VmNode *base)
{
  while (top && top != base)
    {
      VmEdge *below = filtered_child (top);
      if (!below)
        below = top->backing;
      top = below ? below->node : NULL;
    }
  return top != NULL;
}

void
vm_node_event (VmNode *node, VmqBlkdebugEvent event)
{
  if (!node->graph->watched)
    return;
  while (node && !node->driver->event)
    {
      VmEdge *edge = filtered_child (node);
      node = edge ? edge->node : !strcmp (node->driver->name, "raw") && node->file ? node->file->node : NULL;
    }
  if (node)
    node->driver->event (node, event);
}

int
vm_node_break (VmNode *node, VmBreak what, VmqBlkdebugEvent event, const char *tag)
{
  while (node && !node->driver->breakpoint)
    {
      VmEdge *edge = filtered_child (node);
      edge = edge ? edge : node->file;
      node = edge ? edge->node : NULL;
    }
  return node ? node->driver->breakpoint (node, what, event, tag) : -ENOTSUP;
}

bool
vm_node_has_job (const VmNode *node)
{
  for (guint i = 0; i < node->parents->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (node->parents, i);
      if (edge->root && !strcmp (edge->root->kind, "job"))
        return true;
    }
  return false;
}

/* --- to all parents ---------------------------------------------------------------------------------------- */

void
vm_node_resized (VmNode *node)
{
  for (guint i = 0; i < node->parents->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->parents, i);
      VmNode *parent = edge->parent;
      if (!parent)
        {
          if (edge->root->resized)
            edge->root->resized (edge->opaque);
          continue;
        }
      uint64_t before = parent->size;
      if (parent->driver->refresh_size && parent->file == edge)
        parent->driver->refresh_size (parent);
      else if (edge->role & VM_ROLE_FILTERED)
        parent->size = node->size;
      if (parent->size != before)
        vm_node_resized (parent);
    }
}

static void
send_corrupted (VmNode *node, const char *device, bool fatal, int64_t offset, int64_t size, const char *message)
{
  json_object *data = json_object_new_object ();

  json_object_object_add (data, "device", json_object_new_string (device));
  if (node->named)
    json_object_object_add (data, "node-name", json_object_new_string (node->name));
  json_object_object_add (data, "msg", json_object_new_string (message));
  if (offset >= 0)
    json_object_object_add (data, "offset", json_object_new_int64 (offset));
  if (size >= 0)
    json_object_object_add (data, "size", json_object_new_int64 (size));
  json_object_object_add (data, "fatal", json_object_new_boolean (fatal));
  vm_graph_event (node->graph, "BLOCK_IMAGE_CORRUPTED", data);
}

void
vm_node_corrupt (VmNode *node, bool fatal, int64_t offset, int64_t size, const char *format, ...)
{
  va_list args;

  if (node->dead)
    return;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  vm_report_error ("%s: %s%s", node->filename ? node->filename : node->name, message,
                   fatal ? "; further corruption events will be suppressed" : "");

  const char *device = "";
  for (guint i = 0; i < node->parents->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (node->parents, i);
      if (edge->root && !strcmp (edge->root->kind, "device"))
        device = edge->name;
    }
  send_corrupted (node, device, fatal, offset, size, message);
  if (fatal)
    node->dead = true;
}
