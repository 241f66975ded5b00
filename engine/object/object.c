/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects: making and freeing them, the tree they form, finding them in it. */
#include "engine/object/object.h"
#include "engine/object/prop-private.h"

#include <stdlib.h>

#define OBJECT_ALIGN 64

/* Memory that big objects have not touched stays unmapped: this relies on calloc() mapping big
 * blocks fresh, and keeps the address to free in the word before the object. */
static void *
object_alloc (size_t size)
{
  char *base = calloc (1, size + OBJECT_ALIGN + sizeof (void *));

  if (!base)
    g_error ("no memory for an object of %zu bytes", size);
  char *aligned = (char *) VM_ALIGN_UP ((uintptr_t) base + sizeof (void *), OBJECT_ALIGN);
  ((void **) (void *) aligned)[-1] = base;
  return aligned;
}

static void
object_free_memory (void *obj)
{
  free (((void **) obj)[-1]);
}

static bool
set_default (const VmProp *prop, uint32_t offset, void *opaque)
{
  vm_prop_set_default (opaque, prop, (char *) opaque + offset);
  return true;
}

static bool
clear_prop (const VmProp *prop, uint32_t offset, void *opaque)
{
  vm_prop_clear (opaque, prop, (char *) opaque + offset);
  return true;
}

static void
run_init (VmObject *obj, const VmType *type)
{
  if (type->parent)
    run_init (obj, type->parent);
  if (type->init)
    type->init (obj);
}

void
vm_object_init_embedded (VmObject *obj, const VmType *type)
{
  obj->type = type;
  obj->refs = 1;
  obj->embedded = true;
  vm_type_foreach_prop (type, set_default, obj);
  run_init (obj, type);
}

VmObject *
vm_object_new (const VmType *type)
{
  g_assert (!type->abstract && type->size >= sizeof (VmObject));
  VmObject *obj = object_alloc (type->size);

  vm_object_init_embedded (obj, type);
  obj->embedded = false;
  return obj;
}

VmObject *
vm_object_ref (VmObject *obj)
{
  __atomic_add_fetch (&obj->refs, 1, __ATOMIC_RELAXED);
  return obj;
}

static void
object_free (VmObject *obj)
{
  /* Latest first: later children may lean on earlier ones. */
  while (obj->children && obj->children->len)
    vm_object_remove_child (g_ptr_array_index (obj->children, obj->children->len - 1));
  for (const VmType *type = obj->type; type; type = type->parent)
    if (type->finalize)
      type->finalize (obj);
  vm_type_foreach_prop (obj->type, clear_prop, obj);
  g_clear_pointer (&obj->children, g_ptr_array_unref);
  g_clear_pointer (&obj->id, g_free);
  if (!obj->embedded)
    object_free_memory (obj);
}

void
vm_object_unref (VmObject *obj)
{
  if (obj && __atomic_sub_fetch (&obj->refs, 1, __ATOMIC_ACQ_REL) == 0)
    object_free (obj);
}

bool
vm_object_is_a (const VmObject *obj, const VmType *type)
{
  return obj && vm_type_is_a (obj->type, type);
}

/* --- tree ------------------------------------------------------------------------------------- */

VmObject *
vm_object_child (const VmObject *parent, const char *id)
{
  for (guint i = 0; parent->children && i < parent->children->len; i++)
    {
      VmObject *child = g_ptr_array_index (parent->children, i);

      if (strcmp (child->id, id) == 0)
        return child;
    }
  return NULL;
}

/* "NAME[n]" with the lowest n that is free. */
static char *
numbered_id (const VmObject *parent, const char *name)
{
  for (unsigned n = 0;; n++)
    {
      g_autofree char *id = g_strdup_printf ("%s[%u]", name, n);

      if (!vm_object_child (parent, id))
        return g_steal_pointer (&id);
    }
}

void
vm_object_add_child (VmObject *parent, const char *id, VmObject *child)
{
  g_assert (!child->parent && child != parent);
  char *own = id ? g_strdup (id) : numbered_id (parent, child->type->name);
  g_assert (!vm_object_child (parent, own));
  if (!parent->children)
    parent->children = g_ptr_array_new ();
  g_free (child->id);
  child->id = own;
  child->parent = parent;
  g_ptr_array_add (parent->children, vm_object_ref (child));
}

void
vm_object_remove_child (VmObject *child)
{
  VmObject *parent = child->parent;

  if (!parent)
    return;
  /* A parent that is being freed may be the root itself. */
  child->scope = parent->refs > 0 ? vm_object_root (parent) : NULL;
  child->parent = NULL;
  g_ptr_array_remove (parent->children, child);
  vm_object_unref (child);
}

void
vm_object_set_id (VmObject *obj, const char *id)
{
  g_assert (!obj->parent);
  g_free (obj->id);
  obj->id = g_strdup (id);
}

VmObject *
vm_object_root (const VmObject *obj)
{
  if (!obj->parent)
    return obj->scope;
  while (obj->parent)
    obj = obj->parent;
  return (VmObject *) obj;
}

VmObject *
vm_object_container (VmObject *root, const char *path)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  VmObject *at = root;

  for (char **name = names; *name; name++)
    {
      if (!**name)
        continue;
      VmObject *child = vm_object_child (at, *name);
      if (!child)
        {
          child = vm_object_new (&vm_container_type);
          vm_object_add_child (at, *name, child);
          vm_object_unref (child);
        }
      at = child;
    }
  return at;
}

static VmObject *
walk_path (VmObject *from, char **names)
{
  for (; from && *names; names++)
    if (**names)
      from = vm_object_child (from, *names);
  return from;
}

/* Looks for the relative path NAMES under each object below ROOT; counts how many have it. */
static unsigned
search_path (VmObject *root, char **names, VmObject **found)
{
  VmObject *here = walk_path (root, names);
  unsigned n = here != NULL;

  if (here)
    *found = here;
  for (guint i = 0; root->children && i < root->children->len && n < 2; i++)
    n += search_path (g_ptr_array_index (root->children, i), names, found);
  return n;
}

VmObject *
vm_object_resolve (VmObject *root, const char *path)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  VmObject *found = NULL;

  if (!root || !*path)
    return NULL;
  if (*path == '/')
    return walk_path (root, names);
  return search_path (root, names, &found) == 1 ? found : NULL;
}

char *
vm_object_path (const VmObject *obj)
{
  g_autofree char *above = NULL;

  if (!obj->parent)
    return g_strdup ("/");
  above = vm_object_path (obj->parent);
  return g_strdup_printf ("%s/%s", obj->parent->parent ? above : "", obj->id);
}

const VmType vm_object_type = {
  .name = "object",
  .size = sizeof (VmObject),
  .help = "what everything is",
  .abstract = true,
};

const VmType vm_container_type = {
  .name = "container",
  .parent = &vm_object_type,
  .size = sizeof (VmObject),
  .help = "a folder of the object tree",
};
