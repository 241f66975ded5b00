/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Access to an address space by address: numbers, buffers, fills, direct mapping. */
#include "engine/memory/memory-private.h"

#include "engine/base/trace.h"

/* What kind of access moves the bytes. */
typedef enum Mode { MODE_READ, MODE_WRITE, MODE_FILL, MODE_WRITE_ROM } Mode;

typedef struct Access {
  VmAddressSpace *as;
  VmMemAttrs      attrs;
  Mode            mode;
  uint8_t        *buf;  /* read into, or written from */
  uint8_t         byte; /* to fill with */
} Access;

static VmMemResult
direct (const Access *a, const VmFlatRange *range, uint64_t addr, uint64_t len)
{
  uint8_t *host = range->host + (addr - range->start);

  if (a->mode == MODE_READ)
    {
      memcpy (a->buf, host, len);
      return VM_MEM_OK;
    }
  if (a->mode == MODE_FILL)
    memset (host, a->byte, len);
  else
    memcpy (host, a->buf, len);
  vm_ram_written (a->as->memory, range->block, host - range->block->host, len);
  return VM_MEM_OK;
}

/* Nothing is mapped at ADDR: how far that goes. */
static uint64_t
gap_len (const VmFlatView *view, uint64_t addr, uint64_t len)
{
  size_t next = vm_flat_view_index (view, addr);

  return next < view->n ? MIN (len, view->ranges[next].start - addr) : len;
}

/* Up to 8 bytes at a place that was no direct memory a moment ago. Takes the lock, and only then looks up
 * what is there: a device may have gone since. */
static VmMemResult
registers (const Access *a, uint64_t addr, uint64_t *len)
{
  VmLock *lock = a->as->memory->lock;
  bool taken = vm_lock_enter (lock);
  VmFlatView *view = vm_flat_view_ref (a->as->view);
  const VmFlatRange *range = vm_flat_view_find (view, addr);
  VmMemResult result = VM_MEM_DECODE_ERROR;
  uint8_t bytes[8];

  *len = MIN (*len, 8);
  if (range)
    {
      bool is_write = a->mode != MODE_READ;

      *len = MIN (*len - 1, range->last - addr) + 1;
      if (a->mode == MODE_FILL)
        memset (bytes, a->byte, *len);
      else if (is_write)
        memcpy (bytes, a->buf, *len);
      if (is_write && range->readonly && range->region->kind != VM_REGION_ROM_DEVICE)
        result = VM_MEM_OK; /* writes to ROM vanish, through a read-only alias too */
      else
        result = vm_region_access (range->region, addr - range->start + range->offset, bytes, *len, a->attrs,
                                   is_write);
      if (!is_write)
        memcpy (a->buf, bytes, *len);
    }
  else
    {
      *len = gap_len (view, addr, *len);
      if (a->mode == MODE_READ)
        {
          vm_trace (UNASSIGNED_READ, "%s addr 0x%" G_GINT64_MODIFIER "x", a->as->name, addr);
          memset (a->buf, 0xff, *len);
        }
      else
        vm_trace (UNASSIGNED_WRITE, "%s addr 0x%" G_GINT64_MODIFIER "x", a->as->name, addr);
    }
  vm_flat_view_unref (view);
  vm_lock_leave (lock, taken);
  return result;
}

static VmMemResult
access_range (Access a, uint64_t addr, uint64_t len)
{
  VmFlatView *view = vm_address_space_view (a.as);
  unsigned generation = __atomic_load_n (&a.as->generation, __ATOMIC_ACQUIRE);
  VmMemResult worst = VM_MEM_OK;

  while (len)
    {
      const VmFlatRange *range = vm_flat_view_find (view, addr);
      VmMemResult result = VM_MEM_OK;
      uint64_t n = range ? MIN (len - 1, range->last - addr) + 1 : gap_len (view, addr, len);

      if (!range)
        {
          result = VM_MEM_DECODE_ERROR;
          if (a.mode == MODE_READ)
            memset (a.buf, 0xff, n);
        }
      else if (range->host && (a.mode == MODE_READ || a.mode == MODE_WRITE_ROM || !range->readonly))
        result = direct (&a, range, addr, n);
      else if (a.mode == MODE_WRITE_ROM && range->block)
        {
          /* A ROM device in command mode: its bytes are there, only not mapped. */
          VmFlatRange bytes = *range;
          bytes.host = range->block->host + range->region->ram_offset + range->offset;
          result = direct (&a, &bytes, addr, n);
        }
      else if (a.mode == MODE_WRITE_ROM)
        result = VM_MEM_DEVICE_ERROR;
      else
        {
          result = registers (&a, addr, &n);
          if (__atomic_load_n (&a.as->generation, __ATOMIC_ACQUIRE) != generation)
            {
              vm_flat_view_unref (view);
              view = vm_address_space_view (a.as);
              generation = __atomic_load_n (&a.as->generation, __ATOMIC_ACQUIRE);
            }
        }
      worst = MAX (worst, result);
      if (a.mode != MODE_FILL)
        a.buf += n;
      len -= n;
      addr += n;
      if (addr == 0 && len) /* past the end of the address space */
        {
          if (a.mode == MODE_READ)
            memset (a.buf, 0xff, len);
          worst = MAX (worst, VM_MEM_DECODE_ERROR);
          break;
        }
    }
  vm_flat_view_unref (view);
  return worst;
}

VmMemResult
vm_as_read (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, void *buf, uint64_t len)
{
  return access_range ((Access) { .as = as, .attrs = attrs, .mode = MODE_READ, .buf = buf }, addr, len);
}

VmMemResult
vm_as_write (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, const void *buf, uint64_t len)
{
  return access_range ((Access) { .as = as, .attrs = attrs, .mode = MODE_WRITE, .buf = (uint8_t *) buf }, addr, len);
}

VmMemResult
vm_as_fill (VmAddressSpace *as, uint64_t addr, VmMemAttrs attrs, uint8_t byte, uint64_t len)
{
  return access_range ((Access) { .as = as, .attrs = attrs, .mode = MODE_FILL, .byte = byte }, addr, len);
}

VmMemResult
vm_as_write_rom (VmAddressSpace *as, uint64_t addr, const void *buf, uint64_t len)
{
  return access_range ((Access) { .as = as, .mode = MODE_WRITE_ROM, .buf = (uint8_t *) buf }, addr, len);
}

/* Aligned numbers move as one: a driver may look at a ring index while a device advances it. */
static uint64_t
host_load (const void *host, unsigned size)
{
  if ((uintptr_t) host % size)
    return vm_load_le (host, size);
  switch (size)
    {
    case 1:
      return __atomic_load_n ((const uint8_t *) host, __ATOMIC_RELAXED);
    case 2:
      return GUINT16_FROM_LE (__atomic_load_n ((const uint16_t *) host, __ATOMIC_RELAXED));
    case 4:
      return GUINT32_FROM_LE (__atomic_load_n ((const uint32_t *) host, __ATOMIC_RELAXED));
    default:
      return GUINT64_FROM_LE (__atomic_load_n ((const uint64_t *) host, __ATOMIC_RELAXED));
    }
}

static void
host_store (void *host, uint64_t value, unsigned size)
{
  if ((uintptr_t) host % size)
    {
      vm_store_le (host, value, size);
      return;
    }
  switch (size)
    {
    case 1:
      __atomic_store_n ((uint8_t *) host, value, __ATOMIC_RELAXED);
      break;
    case 2:
      __atomic_store_n ((uint16_t *) host, GUINT16_TO_LE (value), __ATOMIC_RELAXED);
      break;
    case 4:
      __atomic_store_n ((uint32_t *) host, GUINT32_TO_LE (value), __ATOMIC_RELAXED);
      break;
    default:
      __atomic_store_n ((uint64_t *) host, GUINT64_TO_LE (value), __ATOMIC_RELAXED);
      break;
    }
}

/* A number that is no direct memory: through REGISTERS at once when it lies in one range. */
static VmMemResult
number (Access a, uint64_t addr, unsigned size)
{
  uint64_t len = size;
  VmMemResult result = registers (&a, addr, &len);

  if (len == size)
    return result;
  a.buf += len;
  if (addr + len == 0) /* past the end of the address space */
    {
      if (a.mode == MODE_READ)
        memset (a.buf, 0xff, size - len);
      return MAX (result, VM_MEM_DECODE_ERROR);
    }
  VmMemResult rest = access_range (a, addr + len, size - len);
  return MAX (result, rest);
}

uint64_t
vm_as_load (VmAddressSpace *as, uint64_t addr, unsigned size, VmMemAttrs attrs, VmMemResult *result)
{
  VmFlatView *view = vm_address_space_view (as);
  const VmFlatRange *range = vm_flat_view_find (view, addr);
  VmMemResult res = VM_MEM_OK;
  uint64_t value;

  g_assert (size == 1 || size == 2 || size == 4 || size == 8);
  if (range && range->host && range->last - addr >= size - 1)
    value = host_load (range->host + (addr - range->start), size);
  else
    {
      uint8_t bytes[8];
      res = number ((Access) { .as = as, .attrs = attrs, .mode = MODE_READ, .buf = bytes }, addr, size);
      value = vm_load_le (bytes, size);
    }
  vm_flat_view_unref (view);
  if (result)
    *result = res;
  return value;
}

VmMemResult
vm_as_store (VmAddressSpace *as, uint64_t addr, uint64_t value, unsigned size, VmMemAttrs attrs)
{
  VmFlatView *view = vm_address_space_view (as);
  const VmFlatRange *range = vm_flat_view_find (view, addr);
  VmMemResult result = VM_MEM_OK;

  g_assert (size == 1 || size == 2 || size == 4 || size == 8);
  if (range && range->host && !range->readonly && range->last - addr >= size - 1)
    {
      uint8_t *host = range->host + (addr - range->start);

      host_store (host, value, size);
      vm_ram_written (as->memory, range->block, host - range->block->host, size);
    }
  else
    {
      uint8_t bytes[8];
      vm_store_le64 (bytes, value);
      result = number ((Access) { .as = as, .attrs = attrs, .mode = MODE_WRITE, .buf = bytes }, addr, size);
    }
  vm_flat_view_unref (view);
  return result;
}

void *
vm_as_map (VmAddressSpace *as, uint64_t addr, uint64_t *len, bool for_write, VmRamBlock **block)
{
  VmFlatView *view = vm_address_space_view (as);
  const VmFlatRange *range = vm_flat_view_find (view, addr);
  void *host = NULL;

  *block = NULL;
  if (*len && range && range->host && !(for_write && range->readonly))
    {
      *len = MIN (*len - 1, range->last - addr) + 1;
      host = range->host + (addr - range->start);
      *block = vm_ram_block_ref (range->block);
    }
  vm_flat_view_unref (view);
  return host;
}

void
vm_as_unmap (VmAddressSpace *as, void *host, uint64_t written, VmRamBlock *block)
{
  vm_ram_written (as->memory, block, (uint8_t *) host - block->host, written);
  vm_ram_block_unref (block);
}
