/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walking types: the sorted registry, ancestry, property tables. */
#include "engine/object/object.h"

struct VmTypeList {
  size_t         n;
  const VmType **types; /* by name */
};

static int
compare_types (const void *a, const void *b)
{
  return strcmp ((*(const VmType *const *) a)->name, (*(const VmType *const *) b)->name);
}

VmTypeList *
vm_type_list_new (const VmType *const *types, size_t n)
{
  VmTypeList *list = g_new (VmTypeList, 1);

  list->n = n;
  list->types = g_new (const VmType *, n + 1);
  if (n)
    memcpy (list->types, types, n * sizeof *types);
  qsort (list->types, n, sizeof *list->types, compare_types);
  for (size_t i = 1; i < n; i++)
    if (strcmp (list->types[i - 1]->name, list->types[i]->name) == 0)
      g_error ("two types are named %s", list->types[i]->name);
  return list;
}

void
vm_type_list_free (VmTypeList *list)
{
  if (!list)
    return;
  g_free (list->types);
  g_free (list);
}

const VmType *
vm_type_find (const VmTypeList *list, const char *name)
{
  size_t low = 0, high = list->n;

  while (low < high)
    {
      size_t middle = low + (high - low) / 2;
      int order = strcmp (name, list->types[middle]->name);

      if (order == 0)
        return list->types[middle];
      if (order < 0)
        high = middle;
      else
        low = middle + 1;
    }
  return NULL;
}

void
vm_type_foreach (const VmTypeList *list, const VmType *parent,
                 void (*func) (const VmType *type, void *opaque), void *opaque)
{
  for (size_t i = 0; i < list->n; i++)
    if (!parent || vm_type_is_a (list->types[i], parent))
      func (list->types[i], opaque);
}

bool
vm_type_is_a (const VmType *type, const VmType *ancestor)
{
  while (type && type != ancestor)
    type = type->parent;
  return type != NULL;
}

const void *
vm_type_klass (const VmType *type)
{
  while (type && !type->klass)
    type = type->parent;
  return type ? type->klass : NULL;
}

typedef bool (*PropFunc) (const VmProp *prop, uint32_t offset, void *opaque);

static bool
walk_table (const VmProp *prop, uint32_t base, PropFunc func, void *opaque)
{
  for (; prop && prop->kind != VM_PROP_END; prop++)
    {
      bool more = prop->kind == VM_PROP_EMBED
                    ? walk_table (prop->embed, base + prop->offset, func, opaque)
                    : func (prop, base + prop->offset, opaque);
      if (!more)
        return false;
    }
  return true;
}

bool
vm_type_foreach_own_prop (const VmType *type, PropFunc func, void *opaque)
{
  return walk_table (type->props, 0, func, opaque);
}

typedef struct Search {
  const char   *name;
  const VmProp *found;
  uint32_t      offset;
} Search;

static bool
search_step (const VmProp *prop, uint32_t offset, void *opaque)
{
  Search *search = opaque;

  if (strcmp (prop->name, search->name) != 0)
    return true;
  search->found = prop;
  search->offset = offset;
  return false;
}

/* In the tables of TYPE and its parents, up to but without END. */
static bool
search_prop (const VmType *type, const VmType *end, Search *search)
{
  while (type && type != end && vm_type_foreach_own_prop (type, search_step, search))
    type = type->parent;
  return search->found != NULL;
}

typedef struct Walk {
  const VmType *leaf, *type;
  PropFunc      func;
  void         *opaque;
} Walk;

static bool
walk_step (const VmProp *prop, uint32_t offset, void *opaque)
{
  Walk *walk = opaque;
  Search search = { .name = prop->name };

  if (search_prop (walk->leaf, walk->type, &search))
    return true; /* hidden by a child's */
  return walk->func (prop, offset, walk->opaque);
}

static bool
walk_type (const VmType *leaf, const VmType *type, PropFunc func, void *opaque)
{
  Walk walk = { leaf, type, func, opaque };

  return (!type->parent || walk_type (leaf, type->parent, func, opaque)) &&
         vm_type_foreach_own_prop (type, walk_step, &walk);
}

void
vm_type_foreach_prop (const VmType *type, PropFunc func, void *opaque)
{
  walk_type (type, type, func, opaque);
}

const VmProp *
vm_type_find_prop (const VmType *type, const char *name, uint32_t *offset)
{
  Search search = { .name = name };

  search_prop (type, NULL, &search);
  if (offset)
    *offset = search.offset;
  return search.found;
}

const char *
vm_prop_type_name (const VmProp *prop)
{
  switch (prop->kind)
    {
    case VM_PROP_BOOL:
    case VM_PROP_BIT:       return "bool";
    case VM_PROP_U8:        return "uint8";
    case VM_PROP_U16:       return "uint16";
    case VM_PROP_U32:       return "uint32";
    case VM_PROP_U64:       return "uint64";
    case VM_PROP_I32:       return "int32";
    case VM_PROP_I64:       return "int64";
    case VM_PROP_SIZE:      return "size";
    case VM_PROP_STR:       return "str";
    case VM_PROP_ONOFFAUTO: return "OnOffAuto";
    case VM_PROP_ENUM:      return "str";
    case VM_PROP_LINK:      return prop->link_type ? prop->link_type->name : "object";
    case VM_PROP_CUSTOM:    return prop->custom->type_name;
    default:                return "";
    }
}
