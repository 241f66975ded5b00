/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Permissions: what the parents of a node want and share, from the top of the graph to the files below. */
#include "block/graph-private.h"

static const char *const perm_names[] = { "consistent read", "write", "write unchanged", "resize" };

static char *
name_perms (unsigned perm)
{
  GString *text = g_string_new (NULL);

  for (unsigned i = 0; i < G_N_ELEMENTS (perm_names); i++)
    if (perm & (1u << i))
      g_string_append_printf (text, "%s%s", text->len ? ", " : "", perm_names[i]);
  return g_string_free (text, FALSE);
}

static char *
name_user (const VmEdge *edge)
{
  if (edge->parent)
    return g_strdup_printf ("node '%s'", edge->parent->name);
  return g_strdup_printf ("block device '%s'", edge->name);
}

static void
sum_up (const VmNode *node, unsigned *perm, unsigned *shared)
{
  *perm = 0;
  *shared = VM_PERM_ALL;
  for (guint i = 0; i < node->parents->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (node->parents, i);
      *perm |= edge->perm;
      *shared &= edge->shared;
    }
}

static bool
check_pair (const VmNode *node, const VmEdge *a, const VmEdge *b, GError **error)
{
  unsigned conflict = a->perm & ~b->shared;

  if (!conflict)
    return true;
  g_autofree char *perms = name_perms (conflict), *wants = name_user (a), *forbids = name_user (b);
  return vm_fail (error,
                  "Permission conflict on node '%s': permissions '%s' are both required by %s (uses node '%s' as '%s' "
                  "child) and unshared by %s (uses node '%s' as '%s' child).",
                  node->name, perms, wants, node->name, a->parent ? a->name : "root", forbids, node->name,
                  b->parent ? b->name : "root");
}

static bool
check_parents (const VmNode *node, GError **error)
{
  unsigned perm, shared;

  for (guint i = 0; i < node->parents->len; i++)
    for (guint j = 0; j < node->parents->len; j++)
      if (i != j
          && !check_pair (node, g_ptr_array_index (node->parents, i), g_ptr_array_index (node->parents, j), error))
        return false;
  sum_up (node, &perm, &shared);
  if ((perm & (VM_PERM_WRITE | VM_PERM_RESIZE)) && node->readonly)
    return vm_fail (error, "Block node is read-only");
  return true;
}

/* What a parent wants of this child when the driver does not say. */
static void
perms_by_role (const VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
               unsigned *child_shared)
{
  bool writes = !node->readonly && !(node->open_flags & VM_OPEN_INACTIVE);

  if (edge->role & VM_ROLE_FILTERED)
    {
      *child_perm = perm;
      *child_shared = shared;
    }
  else if (edge->role & VM_ROLE_COW)
    {
      /* What is read there must not change behind the overlay's back. */
      *child_perm = perm & VM_PERM_READ;
      *child_shared = VM_PERM_READ | VM_PERM_UNCHANGED
                      | (shared & VM_PERM_WRITE || node->backing_written ? VM_PERM_WRITE | VM_PERM_RESIZE : 0);
    }
  else
    {
      *child_perm = VM_PERM_READ | (perm & (VM_PERM_WRITE | VM_PERM_UNCHANGED));
      *child_shared = shared;
      if (edge->role & VM_ROLE_METADATA)
        {
          *child_perm |= writes ? VM_PERM_WRITE | VM_PERM_RESIZE : 0;
          *child_shared = (shared & VM_PERM_READ) | VM_PERM_READ | VM_PERM_UNCHANGED;
        }
      if (*child_perm & VM_PERM_WRITE)
        *child_perm |= edge->role & VM_ROLE_METADATA ? VM_PERM_RESIZE : perm & VM_PERM_RESIZE;
    }
  if (node->open_flags & VM_OPEN_FORCE_SHARE)
    *child_shared = VM_PERM_ALL;
}

typedef struct EdgePerms
{
  VmEdge *edge;
  unsigned perm, shared;
} EdgePerms;

static void
set_children (VmNode *node, GArray *log)
{
  unsigned perm, shared;

  sum_up (node, &perm, &shared);
  for (guint i = 0; i < node->children->len; i++)
    {
      VmEdge *edge = g_ptr_array_index (node->children, i);
      EdgePerms old = { edge, edge->perm, edge->shared };
      unsigned child_perm, child_shared;
      if (node->driver->child_perms)
        node->driver->child_perms (node, edge, perm, shared, &child_perm, &child_shared);
      else
        perms_by_role (node, edge, perm, shared, &child_perm, &child_shared);
      if (node->open_flags & VM_OPEN_FORCE_SHARE)
        child_shared = VM_PERM_ALL;
      edge->perm = child_perm;
      edge->shared = child_shared;
      g_array_append_val (log, old);
    }
}

/* Behind whom all that uses it stands: each node once, after its parents. */
static void
add_below (GPtrArray *order, VmNode *node)
{
  if (g_ptr_array_find (order, node, NULL))
    return;
  for (guint i = 0; i < node->children->len; i++)
    add_below (order, ((VmEdge *) g_ptr_array_index (node->children, i))->node);
  g_ptr_array_add (order, node);
}

static bool
tell_driver (VmNode *node, bool commit, GError **error)
{
  unsigned perm, shared;

  sum_up (node, &perm, &shared);
  return !node->driver->set_perms || node->driver->set_perms (node, perm, shared, commit, error);
}

bool
vm_node_update_perms (VmNode *top, GError **error)
{
  g_autoptr (GPtrArray) order = g_ptr_array_new (); /* children first */
  g_autoptr (GArray) log = g_array_new (FALSE, FALSE, sizeof (EdgePerms));
  bool ok = true;

  add_below (order, top);
  for (guint i = order->len; ok && i-- > 0;)
    {
      VmNode *node = g_ptr_array_index (order, i);
      ok = check_parents (node, error);
      if (ok)
        set_children (node, log);
    }
  for (guint i = order->len; ok && i-- > 0;)
    ok = tell_driver (g_ptr_array_index (order, i), false, error);
  for (guint i = log->len; !ok && i-- > 0;)
    {
      const EdgePerms *old = &g_array_index (log, EdgePerms, i);
      old->edge->perm = old->perm;
      old->edge->shared = old->shared;
    }
  /* Drivers that were asked are told how it ended: all, also when nothing changes for them. */
  for (guint i = order->len; i-- > 0;)
    tell_driver (g_ptr_array_index (order, i), true, NULL);
  return ok;
}
