/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Flattening a tree of regions into a sorted list of ranges, and finding an address in it. */
#include "engine/memory/memory-private.h"

#define RENDER_DEPTH_MAX 64 /* nested containers and aliases; ends an alias that leads to itself */

typedef __int128 Wide; /* an address, or how far below 0 the start of an alias' target would lie */

typedef struct Render {
  GArray  *ranges;
  unsigned depth;
} Render;

typedef struct Window {
  uint64_t first, last;
} Window;

static VmFlatRange
range_of (VmRegion *r, Wide base, Window w, bool readonly)
{
  VmFlatRange range = { .start = w.first, .last = w.last, .region = r, .offset = (uint64_t) (w.first - base),
                        .dirty_clients = r->dirty_clients };

  if (r->ram)
    range.block = r->ram;
  if (r->ram && (r->kind != VM_REGION_ROM_DEVICE || r->romd))
    {
      range.host = r->ram->host + r->ram_offset + range.offset;
      range.readonly = readonly || r->kind != VM_REGION_RAM;
    }
  return range;
}

/* Puts R into the parts of W that nothing above it has taken. */
static void
render_leaf (Render *self, VmRegion *r, Wide base, Window w, bool readonly)
{
  GArray *ranges = self->ranges;
  unsigned lo = 0, hi = ranges->len;
  uint64_t at = w.first;

  while (lo < hi) /* the first range that ends at or after AT */
    {
      unsigned mid = lo + (hi - lo) / 2;

      if (g_array_index (ranges, VmFlatRange, mid).last < at)
        lo = mid + 1;
      else
        hi = mid;
    }
  for (unsigned i = lo;; i++)
    {
      const VmFlatRange *next = i < ranges->len ? &g_array_index (ranges, VmFlatRange, i) : NULL;

      if (!next || next->start > w.last)
        {
          VmFlatRange range = range_of (r, base, (Window) { at, w.last }, readonly);
          g_array_insert_val (ranges, i, range);
          return;
        }
      uint64_t next_last = next->last;
      if (next->start > at)
        {
          VmFlatRange range = range_of (r, base, (Window) { at, next->start - 1 }, readonly);
          g_array_insert_val (ranges, i, range);
          i++;
        }
      if (next_last >= w.last)
        return;
      at = next_last + 1;
    }
}

/* BASE is where byte 0 of R lies in the address space. */
static void
render (Render *self, VmRegion *r, Wide base, Window w, bool readonly)
{
  Wide end = base + (Wide) vm_region_span (r) - 1;

  if (!r->enabled || self->depth >= RENDER_DEPTH_MAX || end < (Wide) w.first || base > (Wide) w.last)
    return;
  w.first = base > (Wide) w.first ? (uint64_t) base : w.first;
  w.last = end < (Wide) w.last ? (uint64_t) end : w.last;
  readonly |= r->readonly;

  self->depth++;
  if (r->kind == VM_REGION_ALIAS)
    render (self, r->alias, base - r->alias_offset, w, readonly);
  for (unsigned i = 0; r->subregions && i < r->subregions->len; i++)
    {
      VmRegion *child = r->subregions->pdata[i];
      render (self, child, base + child->addr, w, readonly);
    }
  self->depth--;
  if (r->kind != VM_REGION_ALIAS && r->kind != VM_REGION_CONTAINER)
    render_leaf (self, r, base, w, readonly);
}

static bool
ranges_join (const VmFlatRange *a, const VmFlatRange *b)
{
  return a->region == b->region && a->last + 1 == b->start && a->offset + (a->last - a->start) + 1 == b->offset &&
         a->readonly == b->readonly && !a->host == !b->host;
}

static size_t
ranges_merge (VmFlatRange *ranges, size_t n)
{
  size_t out = 0;

  for (size_t i = 1; i < n; i++)
    {
      if (ranges_join (&ranges[out], &ranges[i]))
        ranges[out].last = ranges[i].last;
      else
        ranges[++out] = ranges[i];
    }
  return n ? out + 1 : 0;
}

static void
view_make_map (VmFlatView *view)
{
  uint64_t top = view->n ? MIN (view->ranges[view->n - 1].last, UINT32_MAX) : 0;
  uint32_t at = 0;

  while (top >> view->map_shift >= VM_FLAT_MAP)
    view->map_shift++;
  for (uint64_t i = 0; i < VM_FLAT_MAP; i++)
    {
      while (at < view->n && view->ranges[at].last < i << view->map_shift)
        at++;
      view->map[i] = at;
    }
  view->map[VM_FLAT_MAP] = view->n;
}

VmFlatView *
vm_flat_view_new (VmRegion *root)
{
  Render self = { .ranges = g_array_new (FALSE, FALSE, sizeof (VmFlatRange)) };
  VmFlatView *view = g_new0 (VmFlatView, 1);
  gsize n;

  if (root)
    render (&self, root, 0, (Window) { 0, UINT64_MAX }, false);
  view->refs = 1;
  view->ranges = g_array_steal (self.ranges, &n);
  g_array_unref (self.ranges);
  view->n = ranges_merge (view->ranges, n);
  for (size_t i = 0; i < view->n; i++)
    if (view->ranges[i].block)
      vm_ram_block_ref (view->ranges[i].block);
  view_make_map (view);
  return view;
}

VmFlatView *
vm_flat_view_ref (VmFlatView *view)
{
  g_atomic_int_inc (&view->refs);
  return view;
}

void
vm_flat_view_unref (VmFlatView *view)
{
  if (!view || !g_atomic_int_dec_and_test (&view->refs))
    return;
  for (size_t i = 0; i < view->n; i++)
    g_clear_pointer (&view->ranges[i].block, vm_ram_block_unref);
  g_free (view->ranges);
  g_free (view);
}

size_t
vm_flat_view_index (const VmFlatView *view, uint64_t addr)
{
  uint64_t piece = addr >> view->map_shift;
  size_t lo = piece < VM_FLAT_MAP ? view->map[piece] : view->map[VM_FLAT_MAP - 1];
  size_t hi = piece < VM_FLAT_MAP - 1 ? view->map[piece + 1] : view->n;

  while (lo < hi)
    {
      size_t mid = lo + (hi - lo) / 2;

      if (view->ranges[mid].last < addr)
        lo = mid + 1;
      else
        hi = mid;
    }
  return lo;
}

const VmFlatRange *
vm_flat_view_find (const VmFlatView *view, uint64_t addr)
{
  size_t i = vm_flat_view_index (view, addr);

  return i < view->n && view->ranges[i].start <= addr ? &view->ranges[i] : NULL;
}
