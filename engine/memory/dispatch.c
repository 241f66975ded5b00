/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One register access: the access-size rules, byte order, and the refusal of re-entry. */
#include "engine/memory/memory-private.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

typedef struct Limits {
  unsigned min, max;
  bool     unaligned;
} Limits;

static Limits
limits (const VmAccessRules *rules, unsigned default_max)
{
  Limits l = { rules->min ? rules->min : 1, rules->max ? rules->max : default_max, rules->unaligned };

  l.max = MIN (MAX (l.max, l.min), 8);
  return l;
}

/* The largest power of two that is at most SIZE and, unless UNALIGNED, divides OFFSET. */
static unsigned
part_size (const Limits *l, uint64_t offset, unsigned size)
{
  unsigned part = 8;

  while (part > size || part > l->max || (!l->unaligned && (offset & (part - 1))))
    part /= 2;
  return part;
}

/* --- one call of the device -------------------------------------------------------------------- */

static VmMemResult
call_read (VmRegion *r, uint64_t offset, uint8_t *bytes, unsigned size, VmMemAttrs attrs)
{
  const VmRegionOps *ops = r->ops;
  VmMemResult result = VM_MEM_OK;
  uint64_t value = ~UINT64_C (0);

  if (ops->read_attrs)
    result = ops->read_attrs (r->opaque, offset, &value, size, attrs);
  else if (ops->read)
    value = ops->read (r->opaque, offset, size);
  else
    result = VM_MEM_DEVICE_ERROR;
  if (result != VM_MEM_OK)
    value = ~UINT64_C (0);
  if (ops->big_endian)
    value = GUINT64_SWAP_LE_BE (value) >> (64 - 8 * size);
  vm_store_le (bytes, value, size);
  return result;
}

static VmMemResult
call_write (VmRegion *r, uint64_t offset, const uint8_t *bytes, unsigned size, VmMemAttrs attrs)
{
  const VmRegionOps *ops = r->ops;
  uint64_t value = vm_load_le (bytes, size);

  if (ops->big_endian)
    value = GUINT64_SWAP_LE_BE (value) >> (64 - 8 * size);
  if (ops->write_attrs)
    return ops->write_attrs (r->opaque, offset, value, size, attrs);
  if (!ops->write)
    return VM_MEM_DEVICE_ERROR;
  ops->write (r->opaque, offset, value, size);
  return VM_MEM_OK;
}

/* --- impl: what the callbacks want ------------------------------------------------------------- */

static VmMemResult
impl_access (VmRegion *r, const Limits *impl, uint64_t offset, uint8_t *bytes, unsigned size, VmMemAttrs attrs,
             bool is_write)
{
  VmMemResult worst = VM_MEM_OK;

  for (unsigned at = 0, n; at < size; at += n)
    {
      VmMemResult result;

      n = part_size (impl, offset + at, size - at);
      if (n >= impl->min)
        result = is_write ? call_write (r, offset + at, bytes + at, n, attrs)
                          : call_read (r, offset + at, bytes + at, n, attrs);
      else
        {
          uint8_t wide[8] = { 0 };
          uint64_t start = VM_ALIGN_DOWN (offset + at, impl->min);
          unsigned skip = offset + at - start;

          n = MIN (impl->min - skip, size - at);
          if (is_write)
            {
              memcpy (wide + skip, bytes + at, n);
              result = call_write (r, start, wide, impl->min, attrs);
            }
          else
            {
              result = call_read (r, start, wide, impl->min, attrs);
              memcpy (bytes + at, wide + skip, n);
            }
        }
      worst = MAX (worst, result);
    }
  return worst;
}

/* --- valid: what the bus lets through ---------------------------------------------------------- */

static bool
valid_access (const Limits *valid, uint64_t offset, unsigned size)
{
  for (unsigned at = 0, n; at < size; at += n)
    {
      n = part_size (valid, offset + at, size - at);
      if (n < valid->min)
        return false;
    }
  return true;
}

/* A write that an eventfd stands for only signals it; with KVM such writes do not even get here. */
static bool
signal_eventfd (VmRegion *r, uint64_t offset, const uint8_t *bytes, unsigned size)
{
  for (unsigned i = 0; i < r->eventfds->len; i++)
    {
      const VmEventfd *e = &g_array_index (r->eventfds, VmEventfd, i);
      const uint64_t one = 1;

      if (e->addr != offset || (e->size && e->size != size) || (e->match && e->data != vm_load_le (bytes, size)))
        continue;
      /* A full counter means that it is signalled already. */
      return write (e->fd, &one, sizeof one) == sizeof one || errno == EAGAIN;
    }
  return false;
}

/* The usual case: one call of the device does it. */
static bool
plain_access (const Limits *valid, const Limits *impl, uint64_t offset, unsigned size)
{
  return (size & (size - 1)) == 0 && (offset & (size - 1)) == 0 && size >= valid->min && size <= valid->max &&
         size >= impl->min && size <= impl->max;
}

/* Does a callback of R's owner already run on this thread? */
static bool
reentered (VmMemory *m, const void *owner)
{
  for (VmReentry *e = m->active.next; e != &m->active; e = e->next)
    if (e->owner == owner && e->thread == (uintptr_t) pthread_self ())
      return true;
  return false;
}

void
vm_memory_owner_enter (VmMemory *m, VmReentry *mark, const void *owner)
{
  *mark = (VmReentry) { .owner = owner, .thread = (uintptr_t) pthread_self (), .prev = &m->active, .next = m->active.next };
  mark->next->prev = mark;
  m->active.next = mark;
}

/* Not always the newest: a callback may let go of the machine lock for a while. */
void
vm_memory_owner_leave (VmMemory *m, VmReentry *mark)
{
  mark->prev->next = mark->next;
  mark->next->prev = mark->prev;
}

/* Of a write before, of a read after the device was asked. */
static inline void
trace_access (const VmRegion *r, uint64_t offset, const uint8_t *bytes, unsigned size, bool is_write)
{
  if (is_write)
    vm_trace (REGION_WRITE, "offset 0x%" PRIx64 " value 0x%" PRIx64 " size %u name '%s'", offset,
              vm_load_le (bytes, size), size, r->name);
  else
    vm_trace (REGION_READ, "offset 0x%" PRIx64 " value 0x%" PRIx64 " size %u name '%s'", offset,
              vm_load_le (bytes, size), size, r->name);
}

VmMemResult
vm_region_access (VmRegion *r, uint64_t offset, uint8_t *bytes, unsigned size, VmMemAttrs attrs, bool is_write)
{
  VmMemory *m = r->memory;
  const void *owner = r->reentry_owner ? r->reentry_owner : r->opaque ? r->opaque : r;
  VmMemResult worst = VM_MEM_OK;
  VmReentry mark;

  if (r->ram && !(r->kind == VM_REGION_ROM_DEVICE && (is_write || !r->romd)))
    {
      uint8_t *host = r->ram->host + r->ram_offset + offset;

      if (!is_write)
        memcpy (bytes, host, size);
      else if (r->kind == VM_REGION_RAM && !r->readonly)
        {
          memcpy (host, bytes, size);
          vm_ram_written (m, r->ram, r->ram_offset + offset, size);
        }
      return VM_MEM_OK;
    }

  if (!is_write)
    memset (bytes, 0xff, size);
  else if (r->eventfds && signal_eventfd (r, offset, bytes, size))
    return VM_MEM_OK;
  if (!r->ops)
    return VM_MEM_DECODE_ERROR;
  Limits valid = limits (&r->ops->valid, 8), impl = limits (&r->ops->impl, 4);
  bool plain = plain_access (&valid, &impl, offset, size);
  if (!plain && !valid_access (&valid, offset, size))
    {
      vm_guest_error (r->name, "%s of %u bytes at 0x%" PRIx64 " is not allowed", is_write ? "write" : "read", size,
                      offset);
      return VM_MEM_DEVICE_ERROR;
    }
  if (reentered (m, owner))
    {
      vm_guest_error (r->name, "%s at 0x%" PRIx64 " out of the device's own access refused",
                      is_write ? "write" : "read", offset);
      return VM_MEM_DEVICE_ERROR;
    }
  if (m->flush_hook && !m->flushing)
    {
      m->flushing = true;
      m->flush_hook (m->flush_opaque);
      m->flushing = false;
    }

  if (is_write)
    trace_access (r, offset, bytes, size, true);
  vm_memory_owner_enter (m, &mark, owner);
  if (plain)
    worst = is_write ? call_write (r, offset, bytes, size, attrs) : call_read (r, offset, bytes, size, attrs);
  else
    for (unsigned at = 0, n; at < size; at += n)
      {
        n = part_size (&valid, offset + at, size - at);
        VmMemResult result = impl_access (r, &impl, offset + at, bytes + at, n, attrs, is_write);
        worst = MAX (worst, result);
      }
  vm_memory_owner_leave (m, &mark);
  if (!is_write)
    trace_access (r, offset, bytes, size, false);
  return worst;
}

void
vm_memory_set_flush_hook (VmMemory *m, void (*func) (void *opaque), void *opaque)
{
  m->flush_hook = func;
  m->flush_opaque = opaque;
}

VmMemResult
vm_region_read (VmRegion *r, uint64_t offset, uint64_t *value, unsigned size, VmMemAttrs attrs)
{
  VmLock *lock = r->memory->lock;
  bool taken = vm_lock_enter (lock);
  uint8_t bytes[8] = { 0 };

  g_assert (size >= 1 && size <= 8);
  VmMemResult result = VM_MEM_DECODE_ERROR;
  if (offset <= vm_region_last (r) && vm_region_last (r) - offset >= size - 1)
    result = vm_region_access (r, offset, bytes, size, attrs, false);
  else
    memset (bytes, 0xff, size);
  *value = vm_load_le64 (bytes);
  vm_lock_leave (lock, taken);
  return result;
}

VmMemResult
vm_region_write (VmRegion *r, uint64_t offset, uint64_t value, unsigned size, VmMemAttrs attrs)
{
  VmLock *lock = r->memory->lock;
  bool taken = vm_lock_enter (lock);
  uint8_t bytes[8];

  g_assert (size >= 1 && size <= 8);
  vm_store_le64 (bytes, value);
  VmMemResult result = VM_MEM_DECODE_ERROR;
  if (offset <= vm_region_last (r) && vm_region_last (r) - offset >= size - 1)
    result = vm_region_access (r, offset, bytes, size, attrs, true);
  vm_lock_leave (lock, taken);
  return result;
}
