/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scattered guest memory of one transfer. */
#include "devices/storage/dma-sg.h"

#define KEEP_PARTS 1024u /* a hostile table's memory is not kept for the next transfer */

void
vm_dma_sg_clear (VmDmaSg *sg)
{
  g_clear_pointer (&sg->parts, g_free);
  sg->n = sg->room = 0;
  sg->size = 0;
}

void
vm_dma_sg_reset (VmDmaSg *sg)
{
  if (sg->room > KEEP_PARTS)
    vm_dma_sg_clear (sg);
  sg->n = 0;
  sg->size = 0;
  sg->failed = false;
}

void
vm_dma_sg_add (VmDmaSg *sg, uint64_t addr, uint64_t len)
{
  VmDmaPart *last = sg->n ? &sg->parts[sg->n - 1] : NULL;

  if (!len)
    return;
  sg->size += len;
  if (last && last->addr + last->len == addr)
    {
      last->len += len;
      return;
    }
  if (sg->n == sg->room)
    {
      sg->room = MAX (16, sg->room * 2);
      sg->parts = g_renew (VmDmaPart, sg->parts, sg->room);
    }
  sg->parts[sg->n++] = (VmDmaPart){ addr, len };
}

uint64_t
vm_dma_sg_copy (VmDmaSg *sg, uint64_t offset, void *buf, uint64_t len, bool to_memory)
{
  uint8_t *at = buf;
  uint64_t done = 0;
  VmReentry mark;

  vm_memory_owner_enter (sg->as->memory, &mark, sg->owner);

  for (unsigned i = 0; i < sg->n && done < len; i++)
    {
      const VmDmaPart *part = &sg->parts[i];

      if (offset >= part->len)
        {
          offset -= part->len;
          continue;
        }

      uint64_t n = MIN (part->len - offset, len - done);
      VmMemResult result = to_memory ? vm_as_write (sg->as, part->addr + offset, sg->attrs, at + done, n)
                                     : vm_as_read (sg->as, part->addr + offset, sg->attrs, at + done, n);

      sg->failed |= result != VM_MEM_OK;
      done += n;
      offset = 0;
    }
  vm_memory_owner_leave (sg->as->memory, &mark);
  return done;
}

static void
map_add (VmDmaMap *map, void *host, uint64_t len, VmRamBlock *block)
{
  if (map->n == map->room)
    {
      map->room = MAX (16, map->room * 2);
      map->iov = g_renew (struct iovec, map->iov, map->room);
      map->blocks = g_renew (VmRamBlock *, map->blocks, map->room);
    }
  map->iov[map->n] = (struct iovec){ host, len };
  map->blocks[map->n++] = block;
}

static bool
map_ram (VmDmaMap *map)
{
  VmDmaSg *sg = map->sg;
  uint64_t offset = map->offset, left = map->len;

  for (unsigned i = 0; i < sg->n && left; i++)
    {
      const VmDmaPart *part = &sg->parts[i];

      for (; offset < part->len && left;)
        {
          uint64_t n = MIN (part->len - offset, left);
          VmRamBlock *block;
          void *host = vm_as_map (sg->as, part->addr + offset, &n, map->to_memory, &block);

          if (!host)
            return false;
          map_add (map, host, n, block);
          offset += n;
          left -= n;
        }
      offset -= MIN (offset, part->len);
    }
  return left == 0;
}

static void
map_release (VmDmaMap *map, bool written)
{
  for (unsigned i = 0; i < map->n; i++)
    if (map->blocks[i])
      vm_as_unmap (map->sg->as, map->iov[i].iov_base, written && map->to_memory ? map->iov[i].iov_len : 0,
                   map->blocks[i]);
  map->n = 0;
}

uint64_t
vm_dma_map (VmDmaMap *map, VmDmaSg *sg, uint64_t offset, uint64_t len, bool to_memory)
{
  map->sg = sg;
  map->offset = offset;
  map->len = len;
  map->to_memory = to_memory;
  map->n = 0;
  if (map_ram (map))
    return len;
  map_release (map, false);
  map->len = MIN (len, VM_DMA_BOUNCE);
  map->bounce = g_malloc (map->len);
  if (!to_memory)
    vm_dma_sg_copy (sg, offset, map->bounce, map->len, false);
  map_add (map, map->bounce, map->len, NULL);
  return map->len;
}

void
vm_dma_unmap (VmDmaMap *map, bool written)
{
  map_release (map, written);
  if (map->bounce && written && map->to_memory)
    vm_dma_sg_copy (map->sg, map->offset, map->bounce, map->len, true);
  g_clear_pointer (&map->bounce, g_free);
  if (map->room > KEEP_PARTS)
    vm_dma_map_clear (map);
}

void
vm_dma_map_clear (VmDmaMap *map)
{
  g_clear_pointer (&map->iov, g_free);
  g_clear_pointer (&map->blocks, g_free);
  map->n = map->room = 0;
}
