/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Guest memory slots, dirty logs, eventfds and buffered device writes (KVM API, sections 4.35, 4.8, 4.59, 4.116). */
#include "config.h"

#include "engine/kvm/kvm-private.h"
#include "engine/base/log.h"

#include <errno.h>
#include <sys/ioctl.h>

/* --- slots ------------------------------------------------------------------------------------- */

static bool
set_slot (KvmListener *l, const KvmSlot *slot, uint64_t size)
{
  struct kvm_userspace_memory_region region = {
    .slot = slot->id, .flags = slot->flags, .guest_phys_addr = slot->guest, .memory_size = size,
    .userspace_addr = (uintptr_t) slot->host,
  };

  if (ioctl (l->accel->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0)
    return true;
  vm_report_error ("kvm: memory at 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x bytes: %s", slot->guest, size,
                   g_strerror (errno));
  return false;
}

static bool
allocate_id (KvmListener *l, uint32_t *id)
{
  for (uint32_t n = 0; n < l->accel->max_slots; n++)
    {
      *id = (uint32_t) l->space << 16 | n;
      if (!g_hash_table_contains (l->accel->slot_ids, GUINT_TO_POINTER (*id + 1)))
        {
          g_hash_table_add (l->accel->slot_ids, GUINT_TO_POINTER (*id + 1));
          return true;
        }
    }
  vm_report_error ("kvm: more than %u pieces of memory", l->accel->max_slots);
  return false;
}

/* The whole pages of a range that the processor may access directly; the rest comes as exits. */
static bool
describe_slot (KvmListener *l, const VmFlatRange *r, KvmSlot *slot)
{
  uint64_t start = VM_ALIGN_UP (r->start, VM_PAGE_SIZE), end = VM_ALIGN_DOWN (r->last + 1, VM_PAGE_SIZE);

  if (!r->host || !r->block || end <= start || start < r->start)
    return false;
  *slot = (KvmSlot) {
    .guest = start, .size = end - start, .host = r->host + (start - r->start), .block = r->block,
    .flags = (r->readonly ? KVM_MEM_READONLY : 0) | (r->dirty_clients ? KVM_MEM_LOG_DIRTY_PAGES : 0),
  };
  slot->block_offset = slot->host - r->block->host;
  return ((uintptr_t) slot->host & (VM_PAGE_SIZE - 1)) == 0 && (!r->readonly || l->accel->has_readonly);
}

static void
on_add (VmMemoryListener *parent, const VmFlatRange *range)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  KvmSlot slot;

  if (!describe_slot (l, range, &slot) || !allocate_id (l, &slot.id))
    return;
  vm_ram_block_ref (slot.block);
  set_slot (l, &slot, slot.size);
  g_array_append_val (l->slots, slot);
}

static KvmSlot *
find_slot (KvmListener *l, const VmFlatRange *range, unsigned *index)
{
  KvmSlot wanted;

  if (!describe_slot (l, range, &wanted))
    return NULL;
  for (unsigned i = 0; i < l->slots->len; i++)
    {
      KvmSlot *slot = &g_array_index (l->slots, KvmSlot, i);

      if (slot->guest == wanted.guest && slot->size == wanted.size && slot->host == wanted.host)
        {
          *index = i;
          return slot;
        }
    }
  return NULL;
}

/* --- dirty pages ------------------------------------------------------------------------------- */

static void
pull_dirty (KvmListener *l, const KvmSlot *slot)
{
  uint64_t pages = slot->size / VM_PAGE_SIZE;
  g_autofree uint64_t *bitmap = NULL;
  struct kvm_dirty_log log = { .slot = slot->id };

  if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
    return;
  bitmap = g_new0 (uint64_t, (pages + 63) / 64);
  log.dirty_bitmap = bitmap;
  if (ioctl (l->accel->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0)
    return;
  for (uint64_t page = 0; page < pages;)
    {
      uint64_t first = page;

      if (bitmap[page / 64] == 0)
        {
          page = (page / 64 + 1) * 64;
          continue;
        }
      while (page < pages && bitmap[page / 64] >> (page % 64) & 1)
        page++;
      if (page > first)
        vm_ram_written (l->parent.as->memory, slot->block, slot->block_offset + first * VM_PAGE_SIZE,
                        (page - first) * VM_PAGE_SIZE);
      else
        page++;
    }
}

static void
on_sync_dirty (VmMemoryListener *parent, const VmFlatRange *range)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  unsigned index;
  KvmSlot *slot = find_slot (l, range, &index);

  if (slot)
    pull_dirty (l, slot);
}

static void
on_dirty_changed (VmMemoryListener *parent, const VmFlatRange *range)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  unsigned index;
  KvmSlot *slot = find_slot (l, range, &index), wanted;

  if (!slot || !describe_slot (l, range, &wanted) || wanted.flags == slot->flags)
    return;
  pull_dirty (l, slot);
  slot->flags = wanted.flags;
  set_slot (l, slot, slot->size);
}

/* Reading the log protects the pages again. */
static void
on_dirty_cleared (VmMemoryListener *parent, VmRamBlock *block, uint64_t offset, uint64_t len)
{
}

static void
on_del (VmMemoryListener *parent, const VmFlatRange *range)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  unsigned index;
  KvmSlot *slot = find_slot (l, range, &index);

  if (!slot)
    return;
  pull_dirty (l, slot);
  set_slot (l, slot, 0);
  g_hash_table_remove (l->accel->slot_ids, GUINT_TO_POINTER (slot->id + 1));
  vm_ram_block_unref (slot->block);
  g_array_remove_index_fast (l->slots, index);
}

/* --- eventfds ---------------------------------------------------------------------------------- */

static void
set_eventfd (VmMemoryListener *parent, uint64_t addr, unsigned size, bool match, uint64_t data, int fd, uint32_t flags)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  struct kvm_ioeventfd event = {
    .datamatch = data, .addr = addr, .len = size, .fd = fd,
    .flags = flags | (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) | (l->ports ? KVM_IOEVENTFD_FLAG_PIO : 0),
  };

  if (size == 0 && !l->accel->has_any_length_eventfd)
    event.len = 2;
  if (ioctl (l->accel->vm_fd, KVM_IOEVENTFD, &event) < 0)
    vm_report_error ("kvm: eventfd at 0x%" G_GINT64_MODIFIER "x: %s", addr, g_strerror (errno));
}

static void
on_eventfd_add (VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd)
{
  set_eventfd (l, addr, size, match, data, fd, 0);
}

static void
on_eventfd_del (VmMemoryListener *l, uint64_t addr, unsigned size, bool match, uint64_t data, int fd)
{
  set_eventfd (l, addr, size, match, data, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

/* --- coalesced writes -------------------------------------------------------------------------- */

static void
set_coalesced (VmMemoryListener *parent, uint64_t addr, uint64_t len, bool on)
{
  KvmListener *l = VM_CONTAINER_OF (parent, KvmListener, parent);
  struct kvm_coalesced_mmio_zone zone = { .addr = addr, .size = len, .pio = l->ports };

  if (!l->accel->coalesced_page || (l->ports && !l->accel->has_coalesced_ports))
    return;
  /* Not getting it costs speed alone. */
  (void) ioctl (l->accel->vm_fd, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

static void
on_coalesced_add (VmMemoryListener *l, uint64_t addr, uint64_t len)
{
  set_coalesced (l, addr, len, true);
}

static void
on_coalesced_del (VmMemoryListener *l, uint64_t addr, uint64_t len)
{
  set_coalesced (l, addr, len, false);
}

void
kvm_memory_flush_coalesced (void *opaque)
{
  KvmAccel *accel = opaque;
  struct kvm_coalesced_mmio_ring *ring = accel->ring;
  unsigned max = (VM_PAGE_SIZE - sizeof *ring) / sizeof (struct kvm_coalesced_mmio);
  bool taken;

  if (!ring || __atomic_load_n (&ring->last, __ATOMIC_ACQUIRE) == ring->first)
    return;
  taken = vm_lock_enter (kvm_lock (accel));
  if (accel->flushing)
    {
      vm_lock_leave (kvm_lock (accel), taken);
      return;
    }
  accel->flushing = true; /* the writes below come back here, and must stay in order */
  while (ring->first != __atomic_load_n (&ring->last, __ATOMIC_ACQUIRE))
    {
      struct kvm_coalesced_mmio entry = ring->coalesced_mmio[ring->first % max];

      __atomic_store_n (&ring->first, (ring->first + 1) % max, __ATOMIC_RELEASE);
      vm_as_write (entry.pio ? accel->ports.parent.as : accel->memory.parent.as, entry.phys_addr, VM_MEM_ATTRS_NONE,
                   entry.data, MIN (entry.len, sizeof entry.data));
    }
  accel->flushing = false;
  vm_lock_leave (kvm_lock (accel), taken);
}

/* --- life -------------------------------------------------------------------------------------- */

static void
listen (KvmAccel *accel, KvmListener *l, VmAddressSpace *as, uint16_t space, bool ports)
{
  l->accel = accel;
  l->space = space;
  l->ports = ports;
  l->slots = g_array_new (FALSE, FALSE, sizeof (KvmSlot));
  l->parent = (VmMemoryListener) {
    .eventfd_add = on_eventfd_add, .eventfd_del = on_eventfd_del, .coalesced_add = on_coalesced_add,
    .coalesced_del = on_coalesced_del, .priority = 10,
  };
  if (!ports)
    {
      l->parent.add = on_add;
      l->parent.del = on_del;
      l->parent.dirty_changed = on_dirty_changed;
      l->parent.sync_dirty = on_sync_dirty;
      l->parent.dirty_cleared = on_dirty_cleared;
    }
  vm_memory_listener_add (&l->parent, as);
}

void
kvm_memory_begin (KvmAccel *accel, VmEnv *env)
{
  bool taken = vm_lock_enter (kvm_lock (accel));

  accel->slot_ids = g_hash_table_new (NULL, NULL);
  listen (accel, &accel->memory, env->memory_as, 0, false);
  listen (accel, &accel->ports, env->io_as, 0, true);
  vm_memory_set_flush_hook (env->memory, kvm_memory_flush_coalesced, accel);
  vm_lock_leave (kvm_lock (accel), taken);
}

void
kvm_memory_begin_smm (KvmAccel *accel, VmAddressSpace *as)
{
  bool taken = vm_lock_enter (kvm_lock (accel));

  if (accel->has_smm && !accel->smm_listens && as)
    {
      accel->smm_listens = true;
      listen (accel, &accel->smm, as, 1, false);
    }
  vm_lock_leave (kvm_lock (accel), taken);
}

static void
end (KvmListener *l)
{
  vm_memory_listener_remove (&l->parent);
  g_array_unref (l->slots);
}

void
kvm_memory_end (KvmAccel *accel)
{
  bool taken = vm_lock_enter (kvm_lock (accel));

  vm_memory_set_flush_hook (accel->parent.env->memory, NULL, NULL);
  end (&accel->memory);
  end (&accel->ports);
  if (accel->smm_listens)
    end (&accel->smm);
  g_clear_pointer (&accel->slot_ids, g_hash_table_unref);
  vm_lock_leave (kvm_lock (accel), taken);
}
