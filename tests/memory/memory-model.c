/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random trees of regions, checked byte by byte against a naive model: the model resolves each address anew by
 * walking the tree and keeps the bytes of each region in an array. */
#include "tests/memory/memory-model.h"

#include "engine/memory/memory.h"

#define N_REGIONS 14
#define SPACE     0x10000 /* the part of the address space that is compared */
#define LEAF_MAX  0x4000

typedef struct Leaf {
  VmRegion region;
  uint64_t order; /* when it was added to its container */
  uint8_t  bytes[LEAF_MAX]; /* what the model thinks a leaf holds */
  uint8_t  device[LEAF_MAX]; /* what an IO region really holds */
  bool     vanishes;        /* ROM */
} Leaf;

typedef struct Model {
  const uint8_t *data;
  size_t         left;
  VmLock        *lock;
  VmMemory      *memory;
  VmAddressSpace as;
  VmMemoryListener listener;
  GArray        *told; /* VmFlatRange: the view as the listener knows it */
  Leaf           leaves[N_REGIONS];
  uint64_t       order;
  unsigned       depth;
} Model;

static unsigned
take (Model *m, unsigned limit)
{
  unsigned v = 0;

  for (unsigned i = 0; i < 2 && m->left; i++, m->left--)
    v = v << 8 | *m->data++;
  return v % limit;
}

/* --- a device that is a row of bytes ----------------------------------------------------------- */

static uint64_t
device_read (void *opaque, uint64_t offset, unsigned size)
{
  Leaf *leaf = opaque;
  const VmRegionOps *ops = leaf->region.ops;
  uint64_t v = 0;

  g_assert (size <= (ops->impl.max ? ops->impl.max : 4));
  g_assert (offset % size == 0 || ops->impl.unaligned);
  for (unsigned i = 0; i < size; i++)
    v |= (uint64_t) leaf->device[offset + i] << 8 * (ops->big_endian ? size - 1 - i : i);
  return v;
}

static void
device_write (void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
  Leaf *leaf = opaque;
  const VmRegionOps *ops = leaf->region.ops;

  g_assert (size <= (ops->impl.max ? ops->impl.max : 4));
  g_assert (size == 8 || value >> (8 * size) == 0);
  for (unsigned i = 0; i < size; i++)
    leaf->device[offset + i] = value >> 8 * (ops->big_endian ? size - 1 - i : i);
}

static const VmRegionOps device_ops[] = {
  { .read = device_read, .write = device_write },
  { .read = device_read, .write = device_write, .impl = { 1, 1 } },
  { .read = device_read, .write = device_write, .impl = { 1, 8, true }, .valid = { 1, 8, true } },
  { .read = device_read, .write = device_write, .big_endian = true, .impl = { 1, 2 } },
  { .read = device_read, .write = device_write, .big_endian = true, .valid = { 1, 4 }, .impl = { 1, 8 } },
  { .read = device_read, .write = device_write, .valid = { 1, 2, true }, .impl = { 1, 4 } },
};

/* --- the naive look-up ------------------------------------------------------------------------- */

static uint8_t *
resolve (Model *m, VmRegion *r, uint64_t offset, bool *readonly)
{
  if (!r->enabled || offset >= r->size)
    return NULL;

  bool inner = *readonly || r->readonly;
  Leaf *leaf = VM_CONTAINER_OF (r, Leaf, region);
  uint8_t *found = NULL;

  if (r->kind == VM_REGION_ALIAS)
    {
      found = resolve (m, r->alias, offset + r->alias_offset, &inner);
      *readonly = found ? inner : *readonly;
      return found;
    }
  /* Highest priority, then newest. */
  for (uint64_t tried = 0; !found;)
    {
      Leaf *best = NULL;

      for (unsigned i = 0; i < N_REGIONS; i++)
        {
          Leaf *c = &m->leaves[i];
          if (c->region.container == r && !(tried & VM_BIT (i)) &&
              (!best || c->region.priority > best->region.priority ||
               (c->region.priority == best->region.priority && c->order > best->order)))
            best = c;
        }
      if (!best)
        break;
      tried |= VM_BIT (best - m->leaves);
      bool below = inner;
      if (offset >= best->region.addr)
        found = resolve (m, &best->region, offset - best->region.addr, &below);
      if (found)
        {
          *readonly = below;
          return found;
        }
    }
  if (r->kind == VM_REGION_CONTAINER)
    return NULL;
  *readonly = r->kind == VM_REGION_ROM || (r->kind == VM_REGION_RAM && inner);
  return &leaf->bytes[offset];
}

/* --- the listener ------------------------------------------------------------------------------ */

static void
told_add (VmMemoryListener *l, const VmFlatRange *range)
{
  Model *m = VM_CONTAINER_OF (l, Model, listener);
  unsigned at = 0;

  while (at < m->told->len && g_array_index (m->told, VmFlatRange, at).start < range->start)
    at++;
  g_array_insert_vals (m->told, at, range, 1);
}

static void
told_del (VmMemoryListener *l, const VmFlatRange *range)
{
  Model *m = VM_CONTAINER_OF (l, Model, listener);

  for (unsigned i = 0; i < m->told->len; i++)
    {
      const VmFlatRange *known = &g_array_index (m->told, VmFlatRange, i);
      if (known->start == range->start && known->last == range->last && known->region == range->region &&
          known->offset == range->offset)
        {
          g_array_remove_index (m->told, i);
          return;
        }
    }
  g_assert_not_reached ();
}

static void
told_commit (VmMemoryListener *l)
{
  Model *m = VM_CONTAINER_OF (l, Model, listener);
  VmFlatView *view = vm_address_space_view (l->as);
  uint64_t next = 0;

  if (m->told->len == 0 && view->n)
    goto done; /* being removed */
  g_assert_cmpuint (m->told->len, ==, view->n);
  for (size_t i = 0; i < view->n; i++)
    {
      const VmFlatRange *range = &view->ranges[i], *known = &g_array_index (m->told, VmFlatRange, i);

      g_assert (range->start >= next && range->last >= range->start);
      next = range->last + 1;
      g_assert (known->start == range->start && known->last == range->last && known->region == range->region &&
                known->host == range->host && known->readonly == range->readonly);
      g_assert (vm_flat_view_find (view, range->start) == range);
      g_assert (vm_flat_view_find (view, range->last) == range);
    }
done:
  vm_flat_view_unref (view);
}

/* --- steps ------------------------------------------------------------------------------------- */

static void
check_read (Model *m, uint64_t addr, uint64_t len)
{
  uint8_t buf[256];

  len = MIN (len, sizeof buf);
  vm_as_read (&m->as, addr, VM_MEM_ATTRS_NONE, buf, len);
  for (uint64_t i = 0; i < len; i++)
    {
      bool readonly = false;
      uint8_t *byte = resolve (m, m->as.root, addr + i, &readonly);
      g_assert_cmphex (buf[i], ==, byte ? *byte : 0xff);
    }
}

static void
check_write (Model *m, uint64_t addr, uint64_t len, bool fill)
{
  uint8_t buf[256];

  len = MIN (len, sizeof buf);
  memset (buf, take (m, 256), sizeof buf);
  for (uint64_t i = 0; !fill && i < len; i++)
    buf[i] = take (m, 256);
  if (fill)
    vm_as_fill (&m->as, addr, VM_MEM_ATTRS_NONE, buf[0], len);
  else
    vm_as_write (&m->as, addr, VM_MEM_ATTRS_NONE, buf, len);
  for (uint64_t i = 0; i < len; i++)
    {
      bool readonly = false;
      uint8_t *byte = resolve (m, m->as.root, addr + i, &readonly);
      if (byte && !readonly)
        *byte = buf[i];
    }
  check_read (m, addr, len);
}

static void
check_number (Model *m, uint64_t addr, unsigned size)
{
  uint64_t want = 0;

  for (unsigned i = 0; i < size; i++)
    {
      bool readonly = false;
      uint8_t *byte = resolve (m, m->as.root, addr + i, &readonly);
      want |= (uint64_t) (byte ? *byte : 0xff) << 8 * i;
    }
  g_assert_cmphex (vm_as_load (&m->as, addr, size, VM_MEM_ATTRS_NONE, NULL), ==, want);
}

static void
change_tree (Model *m)
{
  unsigned index = take (m, N_REGIONS - 1);
  Leaf *leaf = &m->leaves[index];
  VmRegion *r = &leaf->region;

  switch (take (m, 8))
    {
    case 0:
      vm_region_set_enabled (r, !r->enabled);
      break;
    case 1:
      if (r->container)
        {
          uint64_t addr = take (m, SPACE) & ~0xfu;
          if (addr != r->addr)
            leaf->order = ++m->order;
          vm_region_set_address (r, addr);
        }
      break;
    case 2:
      if (r->kind == VM_REGION_CONTAINER || r->kind == VM_REGION_ALIAS)
        vm_region_set_size (r, 1 + take (m, SPACE));
      else
        vm_region_set_size (r, 1 + take (m, LEAF_MAX - 16));
      break;
    case 3:
      if (r->kind == VM_REGION_ALIAS || r->kind == VM_REGION_RAM || r->kind == VM_REGION_CONTAINER)
        vm_region_set_readonly (r, !r->readonly);
      break;
    case 4:
      if (r->kind == VM_REGION_ALIAS)
        vm_region_set_alias_offset (r, take (m, LEAF_MAX));
      break;
    case 5:
      vm_region_remove (r);
      break;
    default:
      {
        /* Only into later ones, so that there is no circle. */
        unsigned parent = index + 1 + take (m, N_REGIONS - 1 - index);

        while (parent < N_REGIONS && m->leaves[parent].region.kind == VM_REGION_ALIAS)
          parent++;
        if (r->container || parent >= N_REGIONS)
          break;
        uint64_t addr = take (m, SPACE);
        leaf->order = ++m->order;
        vm_region_add_overlap (&m->leaves[parent].region, addr, r, (int) take (m, 4) - 2);
      }
    }
}

static void
step (Model *m)
{
  unsigned what = take (m, 16);

  if (what < 7)
    change_tree (m);
  else if (what == 7 && m->depth < 3)
    {
      vm_memory_begin (m->memory);
      m->depth++;
    }
  else if (what <= 9 && m->depth)
    {
      vm_memory_commit (m->memory);
      m->depth--;
    }
  else if (m->depth == 0)
    {
      uint64_t addr = take (m, SPACE);

      if (what == 10)
        check_number (m, addr, 1u << take (m, 4));
      else if (what < 13)
        check_read (m, addr, 1 + take (m, 64));
      else
        check_write (m, addr, 1 + take (m, 32), what == 13);
    }
}

static void
init_leaf (Model *m, unsigned i)
{
  Leaf *leaf = &m->leaves[i];
  VmRegion *r = &leaf->region;
  uint64_t size = 1 + take (m, LEAF_MAX - 16);
  unsigned kind = i == 0 ? 0 : take (m, 7);

  for (unsigned k = 0; k < LEAF_MAX; k++)
    leaf->bytes[k] = leaf->device[k] = k * 7 + i * 31 + (k >> 8);
  if (i == N_REGIONS - 1)
    vm_region_init (r, m->memory, "root", SPACE);
  else if (kind < 2)
    vm_region_init_io (r, m->memory, &device_ops[take (m, G_N_ELEMENTS (device_ops))], leaf, "io", size);
  else if (kind == 2)
    vm_region_init (r, m->memory, "container", take (m, SPACE) + 1);
  else if (kind == 3)
    g_assert_true (vm_region_init_ram (r, m->memory, "ram", size, NULL));
  else if (kind == 4)
    g_assert_true (vm_region_init_rom (r, m->memory, "rom", size, NULL));
  else
    vm_region_init_alias (r, "alias", &m->leaves[take (m, i)].region, take (m, LEAF_MAX), take (m, SPACE) + 1);
  if (r->ram)
    {
      /* Sizes change later: give it all the bytes it may ever show. */
      vm_ram_block_unref (r->ram);
      r->ram = vm_ram_block_new (m->memory, r->name, LEAF_MAX, NULL);
      memcpy (r->ram->host, leaf->bytes, LEAF_MAX);
    }
}

void
memory_model_run (const uint8_t *data, size_t len)
{
  Model *m = g_new0 (Model, 1);

  m->data = data;
  m->left = len;
  m->lock = vm_lock_new ();
  bool taken = vm_lock_enter (m->lock);
  m->memory = vm_memory_new (m->lock);
  m->told = g_array_new (FALSE, FALSE, sizeof (VmFlatRange));
  for (unsigned i = 0; i < N_REGIONS; i++)
    init_leaf (m, i);
  vm_address_space_init (&m->as, m->memory, &m->leaves[N_REGIONS - 1].region, "test");
  m->listener = (VmMemoryListener) { .add = told_add, .del = told_del, .commit = told_commit };
  vm_memory_listener_add (&m->listener, &m->as);

  while (m->left)
    step (m);
  while (m->depth--)
    vm_memory_commit (m->memory);
  for (uint64_t addr = 0; addr < SPACE; addr += 509) /* a sample: the model is slow */
    check_read (m, addr, 8);
  g_free (vm_memory_describe (m->memory, false));
  g_free (vm_memory_describe (m->memory, true));

  vm_memory_listener_remove (&m->listener);
  g_assert_cmpuint (m->told->len, ==, 0);
  vm_address_space_destroy (&m->as);
  for (unsigned i = N_REGIONS; i-- > 0;)
    vm_region_destroy (&m->leaves[i].region);
  vm_memory_free (m->memory);
  vm_lock_leave (m->lock, taken);
  vm_lock_free (m->lock);
  g_array_unref (m->told);
  g_free (m);
}
