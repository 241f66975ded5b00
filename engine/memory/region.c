/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree of regions: initialisers, changes, transactions. */
#include "engine/memory/memory-private.h"

VmMemory *
vm_memory_new (VmLock *machine_lock)
{
  VmMemory *m = g_new0 (VmMemory, 1);

  m->lock = machine_lock;
  pthread_mutex_init (&m->view_mutex, NULL);
  pthread_mutex_init (&m->ram_mutex, NULL);
  m->ram = g_ptr_array_new ();
  m->spaces = g_ptr_array_new ();
  m->listeners = g_ptr_array_new ();
  m->active.prev = m->active.next = &m->active;
  return m;
}

void
vm_memory_free (VmMemory *memory)
{
  g_assert (memory->spaces->len == 0 && memory->listeners->len == 0 && memory->depth == 0);
  for (guint i = 0; i < memory->ram->len; i++)
    ((VmRamBlock *) memory->ram->pdata[i])->memory = NULL;
  g_ptr_array_free (memory->ram, TRUE);
  pthread_mutex_destroy (&memory->ram_mutex);
  g_ptr_array_free (memory->spaces, TRUE);
  g_ptr_array_free (memory->listeners, TRUE);
  pthread_mutex_destroy (&memory->view_mutex);
  g_free (memory);
}

/* --- transactions ------------------------------------------------------------------------------ */

void
vm_memory_begin (VmMemory *m)
{
  m->depth++;
}

static void
memory_update_all (VmMemory *m)
{
  g_autoptr (GHashTable) by_root = g_hash_table_new (NULL, NULL);

  for (unsigned i = 0; i < m->spaces->len; i++)
    {
      VmAddressSpace *as = m->spaces->pdata[i];
      VmFlatView *view = g_hash_table_lookup (by_root, as->root);

      if (view)
        vm_flat_view_ref (view);
      else
        view = vm_flat_view_new (as->root);
      g_hash_table_insert (by_root, as->root, view);
      vm_address_space_update (as, view); /* takes the reference; AS holds VIEW until the next change */
    }
}

void
vm_memory_commit (VmMemory *m)
{
  g_assert (m->depth > 0);
  if (m->depth > 1 || !m->changed)
    {
      m->depth--;
      return;
    }
  /* A listener that changes the tree meets an open transaction and gets another round. */
  for (unsigned round = 0; m->changed && round < 16; round++)
    {
      m->changed = false;
      memory_update_all (m);
    }
  m->depth--;
}

void
vm_memory_changed (VmMemory *m)
{
  m->changed = true;
  if (m->depth == 0)
    {
      m->depth++;
      vm_memory_commit (m);
    }
}

/* --- initialisers ------------------------------------------------------------------------------ */

static void
region_init (VmRegion *r, VmMemory *m, const char *name, VmRegionKind kind, uint64_t size)
{
  *r = (VmRegion) { .name = name, .kind = kind, .enabled = true, .romd = true, .size = size, .memory = m };
}

void
vm_region_init (VmRegion *r, VmMemory *m, const char *name, uint64_t size)
{
  region_init (r, m, name, VM_REGION_CONTAINER, size);
}

void
vm_region_init_io (VmRegion *r, VmMemory *m, const VmRegionOps *ops, void *opaque, const char *name, uint64_t size)
{
  region_init (r, m, name, VM_REGION_IO, size);
  r->ops = ops;
  r->opaque = opaque;
}

bool
vm_region_init_ram (VmRegion *r, VmMemory *m, const char *name, uint64_t size, GError **error)
{
  region_init (r, m, name, VM_REGION_RAM, size);
  r->ram = vm_ram_block_new (m, name, size, error);
  if (!r->ram)
    r->kind = VM_REGION_CONTAINER;
  return r->ram != NULL;
}

bool
vm_region_init_rom (VmRegion *r, VmMemory *m, const char *name, uint64_t size, GError **error)
{
  if (!vm_region_init_ram (r, m, name, size, error))
    return false;
  r->kind = VM_REGION_ROM;
  r->readonly = true;
  return true;
}

bool
vm_region_init_rom_device (VmRegion *r, VmMemory *m, const VmRegionOps *ops, void *opaque, const char *name,
                           uint64_t size, GError **error)
{
  if (!vm_region_init_ram (r, m, name, size, error))
    return false;
  r->kind = VM_REGION_ROM_DEVICE;
  r->ops = ops;
  r->opaque = opaque;
  return true;
}

void
vm_region_init_ram_block (VmRegion *r, VmMemory *m, const char *name, VmRamBlock *block)
{
  region_init (r, m, name, VM_REGION_RAM, block->size);
  r->ram = vm_ram_block_ref (block);
}

void
vm_region_init_alias (VmRegion *r, const char *name, VmRegion *target, uint64_t offset, uint64_t size)
{
  region_init (r, target->memory, name, VM_REGION_ALIAS, size);
  r->alias = target;
  r->alias_offset = offset;
}

void
vm_region_destroy (VmRegion *r)
{
  if (!r->memory)
    return;
  vm_memory_begin (r->memory);
  vm_region_remove (r);
  while (r->subregions && r->subregions->len)
    vm_region_remove (r->subregions->pdata[r->subregions->len - 1]);
  vm_memory_commit (r->memory);
  g_clear_pointer (&r->subregions, g_ptr_array_unref);
  g_clear_pointer (&r->eventfds, g_array_unref);
  g_clear_pointer (&r->ram, vm_ram_block_unref);
  r->memory = NULL;
}

void *
vm_region_ram_ptr (VmRegion *r)
{
  uint64_t offset = 0;

  while (r->kind == VM_REGION_ALIAS)
    {
      offset += r->alias_offset;
      r = r->alias;
    }
  return r->ram ? r->ram->host + r->ram_offset + offset : NULL;
}

/* --- changes ----------------------------------------------------------------------------------- */

void
vm_region_add (VmRegion *parent, uint64_t addr, VmRegion *child)
{
  vm_region_add_overlap (parent, addr, child, 0);
}

void
vm_region_add_overlap (VmRegion *parent, uint64_t addr, VmRegion *child, int priority)
{
  unsigned at = 0;

  g_assert (!child->container && parent->kind != VM_REGION_ALIAS);
  if (!parent->subregions)
    parent->subregions = g_ptr_array_new ();
  /* Of equals the newest is on top. */
  while (at < parent->subregions->len && ((VmRegion *) parent->subregions->pdata[at])->priority > priority)
    at++;
  g_ptr_array_insert (parent->subregions, at, child);
  child->container = parent;
  child->mapped = true;
  child->addr = addr;
  child->priority = priority;
  vm_memory_changed (parent->memory);
}

void
vm_region_remove (VmRegion *child)
{
  if (!child->container)
    return;
  g_ptr_array_remove (child->container->subregions, child);
  child->container = NULL;
  child->mapped = false;
  vm_memory_changed (child->memory);
}

void
vm_region_set_enabled (VmRegion *r, bool enabled)
{
  if (r->enabled == enabled)
    return;
  r->enabled = enabled;
  vm_memory_changed (r->memory);
}

void
vm_region_set_address (VmRegion *r, uint64_t addr)
{
  if (r->addr == addr)
    return;
  r->addr = addr;
  if (!r->container)
    return;

  /* The region that moved lies on top of its equals, as a new one would. */
  VmRegion *parent = r->container;
  vm_memory_begin (r->memory);
  vm_region_remove (r);
  vm_region_add_overlap (parent, addr, r, r->priority);
  vm_memory_commit (r->memory);
}

void
vm_region_set_size (VmRegion *r, uint64_t size)
{
  if (r->size == size)
    return;
  if (r->ram)
    g_assert (size != 0 && size <= r->ram->size - r->ram_offset);
  r->size = size;
  vm_memory_changed (r->memory);
}

void
vm_region_set_readonly (VmRegion *r, bool readonly)
{
  if (r->readonly == readonly)
    return;
  r->readonly = readonly;
  vm_memory_changed (r->memory);
}

void
vm_region_set_romd (VmRegion *r, bool rom_mode)
{
  if (r->romd == rom_mode)
    return;
  r->romd = rom_mode;
  vm_memory_changed (r->memory);
}

void
vm_region_set_alias_offset (VmRegion *r, uint64_t offset)
{
  if (r->alias_offset == offset)
    return;
  r->alias_offset = offset;
  vm_memory_changed (r->memory);
}

void
vm_region_set_coalesced (VmRegion *r, bool on)
{
  if (r->coalesced == on)
    return;
  r->coalesced = on;
  vm_memory_changed (r->memory);
}

void
vm_region_add_eventfd (VmRegion *r, uint64_t offset, unsigned size, bool match, uint64_t data, int fd)
{
  VmEventfd e = { .addr = offset, .size = size, .match = match, .data = match ? data : 0, .fd = fd };

  if (!r->eventfds)
    r->eventfds = g_array_new (FALSE, FALSE, sizeof (VmEventfd));
  g_array_append_val (r->eventfds, e);
  vm_memory_changed (r->memory);
}

void
vm_region_del_eventfd (VmRegion *r, uint64_t offset, unsigned size, bool match, uint64_t data, int fd)
{
  for (unsigned i = 0; r->eventfds && i < r->eventfds->len; i++)
    {
      const VmEventfd *e = &g_array_index (r->eventfds, VmEventfd, i);

      if (e->addr == offset && e->size == size && e->match == match && (!match || e->data == data) && e->fd == fd)
        {
          g_array_remove_index (r->eventfds, i);
          vm_memory_changed (r->memory);
          return;
        }
    }
}

void
vm_region_set_dirty_log (VmRegion *r, unsigned client, bool on)
{
  uint8_t clients = on ? r->dirty_clients | client : r->dirty_clients & ~client;

  if (clients == r->dirty_clients)
    return;
  r->dirty_clients = clients;
  vm_memory_changed (r->memory);
}
