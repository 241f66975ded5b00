/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RAM blocks: their host memory, page flags, dirty tracking. */
#include "engine/memory/memory-private.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOST_HUGE_PAGE (UINT64_C (2) << 20)
#define DIRTY_ALL      (VM_DIRTY_VGA | VM_DIRTY_MIGRATION)

/* Maps FD on a huge-page boundary, so that the host may use huge pages for it. */
static void *
map_aligned (int fd, uint64_t size, const VmRamMap *map)
{
  uint64_t align = MAX (map->align, HOST_HUGE_PAGE);
  uint64_t spare = size >= HOST_HUGE_PAGE || map->align ? align : 0;
  uint8_t *area = mmap (NULL, size + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

  if (area == MAP_FAILED)
    return NULL;
  uint64_t head = spare ? -(uintptr_t) area & (align - 1) : 0;
  int flags = MAP_FIXED | (map->shared ? MAP_SHARED : MAP_PRIVATE) | (map->reserve ? 0 : MAP_NORESERVE)
              | (fd < 0 ? MAP_ANONYMOUS : 0);
  void *host = mmap (area + head, size, PROT_READ | PROT_WRITE, flags, fd, (off_t) map->offset);
  if (host == MAP_FAILED)
    {
      int err = errno;
      munmap (area, size + spare);
      errno = err;
      return NULL;
    }
  if (head)
    munmap (area, head);
  if (spare - head)
    munmap (area + head + size, spare - head);
  madvise (host, size, MADV_HUGEPAGE); /* a wish: hosts without it are fine */
  return host;
}

VmRamBlock *
vm_ram_block_new_map (VmMemory *m, const char *name, int fd, uint64_t size, const VmRamMap *map, GError **error)
{
  uint64_t pages = size / VM_PAGE_SIZE + (size % VM_PAGE_SIZE != 0);
  uint64_t bytes = pages << VM_PAGE_SHIFT;

  if (size == 0 || bytes < size || bytes > INT64_MAX)
    {
      vm_fail (error, "cannot set up guest memory '%s': invalid size", name);
      return NULL;
    }

  void *host = map_aligned (fd, bytes, map);
  uint8_t *flags = host ? mmap (NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                        : MAP_FAILED;
  if (flags == MAP_FAILED)
    {
      vm_fail (error, "cannot set up guest memory '%s': %s", name, g_strerror (errno));
      if (host)
        munmap (host, bytes);
      return NULL;
    }

  VmRamBlock *block = g_new0 (VmRamBlock, 1);
  block->name = g_strdup (name);
  block->host = host;
  block->size = bytes;
  block->page_base = __atomic_fetch_add (&m->next_page, pages, __ATOMIC_RELAXED);
  block->fd = fd;
  block->shared = map->shared;
  block->refs = 1;
  block->page_flags = flags;
  block->fd_offset = map->offset;
  block->memory = m;
  pthread_mutex_lock (&m->ram_mutex);
  g_ptr_array_add (m->ram, block);
  pthread_mutex_unlock (&m->ram_mutex);
  return block;
}

/* A reference, unless the last one has just gone. */
static bool
try_ref (VmRamBlock *block)
{
  int refs = g_atomic_int_get (&block->refs);

  while (refs > 0 && !g_atomic_int_compare_and_exchange (&block->refs, refs, refs + 1))
    refs = g_atomic_int_get (&block->refs);
  return refs > 0;
}

GPtrArray *
vm_memory_ram_blocks (VmMemory *m)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_ram_block_unref);

  pthread_mutex_lock (&m->ram_mutex);
  for (guint i = 0; i < m->ram->len; i++)
    if (try_ref (m->ram->pdata[i]))
      g_ptr_array_add (list, m->ram->pdata[i]);
  pthread_mutex_unlock (&m->ram_mutex);
  return list;
}

VmRamBlock *
vm_ram_block_new_fd (VmMemory *m, const char *name, int fd, uint64_t size, bool shared, GError **error)
{
  return vm_ram_block_new_map (m, name, fd, size, &(VmRamMap){ .shared = shared }, error);
}

VmRamBlock *
vm_ram_block_new (VmMemory *m, const char *name, uint64_t size, GError **error)
{
  int fd = memfd_create (name, MFD_CLOEXEC);

  if (fd < 0 || size > INT64_MAX - VM_PAGE_SIZE || ftruncate (fd, VM_ALIGN_UP (size, VM_PAGE_SIZE)) < 0)
    {
      vm_fail (error, "cannot set up guest memory '%s': %s", name,
               size > INT64_MAX - VM_PAGE_SIZE ? "invalid size" : g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  VmRamBlock *block = vm_ram_block_new_fd (m, name, fd, size, true, error);
  if (!block)
    close (fd);
  return block;
}

VmRamBlock *
vm_ram_block_ref (VmRamBlock *block)
{
  g_atomic_int_inc (&block->refs);
  return block;
}

void
vm_ram_block_unref (VmRamBlock *block)
{
  if (!block || !g_atomic_int_dec_and_test (&block->refs))
    return;
  if (block->memory)
    {
      pthread_mutex_lock (&block->memory->ram_mutex);
      g_ptr_array_remove (block->memory->ram, block);
      pthread_mutex_unlock (&block->memory->ram_mutex);
    }
  munmap (block->host, block->size);
  munmap (block->page_flags, block->size >> VM_PAGE_SHIFT);
  if (block->fd >= 0)
    close (block->fd);
  g_free (block->name);
  g_free (block);
}

void
vm_memory_set_code_hook (VmMemory *m, VmCodeWrittenFunc func, void *opaque)
{
  m->code_hook = func;
  m->code_opaque = opaque;
}

void
vm_ram_written (VmMemory *m, VmRamBlock *block, uint64_t offset, uint64_t len)
{
  if (len == 0 || offset >= block->size)
    return;
  len = MIN (len, block->size - offset);

  /* A reader clears a flag and then reads the bytes; we wrote the bytes and now look at the flag. Without the
   * fence both could see the old state, and the change would be lost. */
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  uint64_t last = (offset + len - 1) >> VM_PAGE_SHIFT;
  for (uint64_t page = offset >> VM_PAGE_SHIFT; page <= last; page++)
    {
      uint8_t flags = __atomic_load_n (&block->page_flags[page], __ATOMIC_RELAXED);

      if ((flags & DIRTY_ALL) != DIRTY_ALL)
        flags = __atomic_fetch_or (&block->page_flags[page], DIRTY_ALL, __ATOMIC_SEQ_CST);
      if (G_UNLIKELY (flags & VM_PAGE_CODE) && m->code_hook)
        {
          uint64_t from = MAX (offset, page << VM_PAGE_SHIFT);
          uint64_t to = MIN (offset + len, (page + 1) << VM_PAGE_SHIFT);
          m->code_hook (m->code_opaque, block, from, to - from);
        }
    }
}

/* --- dirty log --------------------------------------------------------------------------------- */

void
vm_region_sync_dirty (VmRegion *r)
{
  VmMemory *m = r->memory;

  for (unsigned i = 0; i < m->listeners->len; i++)
    {
      VmMemoryListener *l = m->listeners->pdata[i];

      if (!l->sync_dirty)
        continue;
      for (size_t k = 0; k < l->as->view->n; k++)
        if (l->as->view->ranges[k].block == r->ram)
          l->sync_dirty (l, &l->as->view->ranges[k]);
    }
}

static void
tell_cleared (VmMemory *m, VmRamBlock *block, uint64_t page, uint64_t end)
{
  for (unsigned i = 0; i < m->listeners->len; i++)
    {
      VmMemoryListener *l = m->listeners->pdata[i];

      if (l->dirty_cleared)
        l->dirty_cleared (l, block, page << VM_PAGE_SHIFT, (end - page) << VM_PAGE_SHIFT);
    }
}

bool
vm_region_take_dirty (VmRegion *r, unsigned client, uint64_t offset, uint64_t len, unsigned long *bitmap)
{
  const unsigned bits = 8 * sizeof *bitmap;
  uint64_t run = UINT64_MAX; /* first page of the dirty run in hand */
  bool any = false;

  g_assert (r->ram && (client == VM_DIRTY_VGA || client == VM_DIRTY_MIGRATION));
  if (len == 0 || offset >= r->size)
    return false;
  len = MIN (len, r->size - offset);
  vm_region_sync_dirty (r);

  uint64_t base = r->ram_offset >> VM_PAGE_SHIFT;
  uint64_t page = offset >> VM_PAGE_SHIFT, end = ((offset + len - 1) >> VM_PAGE_SHIFT) + 1;
  for (; page < end; page++)
    {
      uint8_t *flags = &r->ram->page_flags[base + page];
      bool dirty = (__atomic_load_n (flags, __ATOMIC_RELAXED) & client) &&
                   (__atomic_fetch_and (flags, (uint8_t) ~client, __ATOMIC_SEQ_CST) & client);
      unsigned long bit = 1ul << (page % bits);

      bitmap[page / bits] = dirty ? bitmap[page / bits] | bit : bitmap[page / bits] & ~bit;
      any |= dirty;
      if (dirty && run == UINT64_MAX)
        run = page;
      if (!dirty && run != UINT64_MAX)
        {
          tell_cleared (r->memory, r->ram, base + run, base + page);
          run = UINT64_MAX;
        }
    }
  if (run != UINT64_MAX)
    tell_cleared (r->memory, r->ram, base + run, base + end);
  return any;
}
