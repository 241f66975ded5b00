/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "info mtree": the trees of regions and the flat views, as text. */
#include "engine/memory/memory-private.h"

#include <inttypes.h>

#define DESCRIBE_DEPTH_MAX 64

const char *
vm_region_kind_name (const VmRegion *r)
{
  bool readonly = r->readonly;

  for (unsigned depth = 0; r->kind == VM_REGION_ALIAS && depth < DESCRIBE_DEPTH_MAX; depth++)
    {
      r = r->alias;
      readonly |= r->readonly;
    }
  if (r->kind == VM_REGION_ROM_DEVICE)
    return "romd";
  if (r->kind == VM_REGION_RAM || r->kind == VM_REGION_ROM)
    return readonly ? "rom" : r->ram_device ? "ramd" : "ram";
  return "i/o";
}

static int
compare_place (const void *pa, const void *pb)
{
  const VmRegion *a = *(VmRegion *const *) pa, *b = *(VmRegion *const *) pb;

  if (a->addr != b->addr)
    return a->addr < b->addr ? -1 : 1;
  return a->priority < b->priority ? 1 : a->priority > b->priority ? -1 : 0;
}

static void
describe_region (GString *out, VmRegion *r, uint64_t base, unsigned level, GPtrArray *targets)
{
  uint64_t start = base + r->addr;

  if (level >= DESCRIBE_DEPTH_MAX)
    return;
  if (r->enabled)
    {
      g_string_append_printf (out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): ", 2 * (int) level + 2, "", start,
                              start + vm_region_last (r), r->priority, vm_region_kind_name (r));
      if (r->kind == VM_REGION_ALIAS)
        g_string_append_printf (out, "alias %s @%s %016" PRIx64 "-%016" PRIx64 "\n", r->name, r->alias->name,
                                r->alias_offset, r->alias_offset + vm_region_last (r));
      else
        g_string_append_printf (out, "%s\n", r->name);
    }
  if (r->kind == VM_REGION_ALIAS && !g_ptr_array_find (targets, r->alias, NULL))
    g_ptr_array_add (targets, r->alias);
  if (!r->subregions)
    return;

  g_autoptr (GPtrArray) sorted = g_ptr_array_copy (r->subregions, NULL, NULL);
  g_ptr_array_sort (sorted, compare_place);
  for (unsigned i = 0; i < sorted->len; i++)
    describe_region (out, sorted->pdata[i], start, level + 1, targets);
}

static void
describe_trees (VmMemory *m, GString *out)
{
  g_autoptr (GPtrArray) targets = g_ptr_array_new ();

  for (unsigned i = 0; i < m->spaces->len; i++)
    {
      VmAddressSpace *as = m->spaces->pdata[i];
      bool seen = false;

      for (unsigned k = 0; k < i && !seen; k++)
        seen = ((VmAddressSpace *) m->spaces->pdata[k])->root == as->root;
      if (seen)
        continue;
      for (unsigned k = i; k < m->spaces->len; k++)
        {
          VmAddressSpace *same = m->spaces->pdata[k];
          if (same->root == as->root)
            g_string_append_printf (out, "address-space: %s\n", same->name);
        }
      if (as->root)
        describe_region (out, as->root, 0, 0, targets);
      g_string_append_c (out, '\n');
    }
  for (unsigned i = 0; i < targets->len; i++) /* grows on the way */
    {
      VmRegion *r = targets->pdata[i];

      g_string_append_printf (out, "memory-region: %s\n", r->name);
      describe_region (out, r, 0, 0, targets);
      g_string_append_c (out, '\n');
    }
}

static void
describe_view (GString *out, const VmFlatView *view)
{
  if (view->n == 0)
    g_string_append (out, "  No rendered FlatView\n");
  for (size_t i = 0; i < view->n; i++)
    {
      const VmFlatRange *range = &view->ranges[i];
      bool rom = range->readonly && range->region->kind != VM_REGION_ROM_DEVICE;

      g_string_append_printf (out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s", range->start, range->last,
                              range->region->priority, rom ? "rom" : vm_region_kind_name (range->region),
                              range->region->name);
      if (range->offset)
        g_string_append_printf (out, " @%016" PRIx64, range->offset);
      g_string_append_c (out, '\n');
    }
}

static bool
same_view (const VmAddressSpace *a, const VmAddressSpace *b)
{
  return a->root == b->root || (a->view->n == 0 && b->view->n == 0);
}

static void
describe_flat (VmMemory *m, GString *out)
{
  unsigned number = 0;

  for (unsigned i = 0; i < m->spaces->len; i++)
    {
      VmAddressSpace *as = m->spaces->pdata[i];
      bool seen = false;

      for (unsigned k = 0; k < i && !seen; k++)
        seen = same_view (m->spaces->pdata[k], as);
      if (seen)
        continue;
      g_string_append_printf (out, "FlatView #%u\n", number++);
      for (unsigned k = i; k < m->spaces->len; k++)
        {
          VmAddressSpace *same = m->spaces->pdata[k];
          if (same_view (same, as))
            g_string_append_printf (out, " AS \"%s\", root: %s\n", same->name, same->root ? same->root->name : "(none)");
        }
      g_string_append_printf (out, " Root memory region: %s\n", as->root && as->view->n ? as->root->name : "(none)");
      describe_view (out, as->view);
      g_string_append_c (out, '\n');
    }
}

char *
vm_memory_describe (VmMemory *m, bool flat)
{
  GString *out = g_string_new (NULL);

  if (flat)
    describe_flat (m, out);
  else
    describe_trees (m, out);
  return g_string_free (out, FALSE);
}
