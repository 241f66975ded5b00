/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all formats with a table of blocks have in common: reading, writing, zeroing and describing by the driver's
 * table. Data is written before the table says where it is, so an image is whole whenever its writer is stopped. */
#include "block/formats/map.h"

#include <errno.h>
#include <inttypes.h>

#define RUN_MAX 1024 /* blocks that get places together */

/* What lies below a hole. */
static int
read_below (VmNode *node, uint64_t offset, VmVec vec)
{
  VmNode *below = node->backing ? node->backing->node : NULL;
  size_t n = 0;

  if (below && offset < below->size)
    {
      n = MIN (vec.size, below->size - offset);
      int err = vm_node_read (below, offset, vm_vec_slice (vec, 0, n), 0);
      if (err < 0)
        return err;
    }
  if (n < vec.size)
    vm_vec_fill (vec, n, 0, vec.size - n);
  return 0;
}

static int
lookup (VmNode *node, uint64_t offset, uint64_t len, VmMapping *mapping)
{
  VmMap *map = node->state;

  *mapping = (VmMapping){ 0 };
  int err = map->ops->lookup (node, offset, mapping);
  if (err == -EUCLEAN)
    {
      if (!map->damaged)
        vm_node_corrupt (node, false, offset, -1,
                         "a table entry points to where no data can be (of offset %" PRIu64 ")", offset);
      map->damaged = true;
      err = -EIO;
    }
  mapping->len = MIN (mapping->len, len);
  return err ? err : mapping->len ? 0 : -EIO;
}

int
vm_map_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  VmMap *map = node->state;
  (void) flags;

  for (size_t done = 0; done < vec.size;)
    {
      VmMapping m;
      int err = lookup (node, offset + done, vec.size - done, &m);
      if (err)
        return err;
      VmVec part = vm_vec_slice (vec, done, m.len);
      switch (m.kind)
        {
        case VM_MAP_HOLE:
          err = read_below (node, offset + done, part);
          break;
        case VM_MAP_ZERO:
          vm_vec_fill (part, 0, 0, m.len);
          break;
        case VM_MAP_DATA:
          err = vm_file_read (m.file, m.offset, part);
          break;
        case VM_MAP_PACKED:
          err = map->ops->unpack (node, offset + done, &m, part);
          break;
        }
      if (err < 0)
        return err;
      done += m.len;
    }
  return 0;
}

/* What the bytes from OFFSET are now, into BUFFER, for a block that gets a place. */
static int
read_old (VmNode *node, uint64_t offset, uint8_t *buffer, size_t len)
{
  struct iovec iov;

  return len ? vm_map_read (node, offset, vm_vec_buffer (&iov, buffer, len), 0) : 0;
}

/* The block of PLACE: the bytes of VEC at OFFSET (or zeros, when it is empty), and around them what was there. */
static int
fill_place (VmNode *node, const VmPlace *place, uint64_t offset, uint64_t len, VmVec vec, bool below)
{
  uint64_t before = offset - place->start, after = place->len - before - len;
  bool whole = !before && !after;

  if (vec.size && (whole || (place->fresh && !below)))
    return vm_node_write (place->file, place->offset + before, vec, 0);
  if (!vec.size && place->fresh && (whole || !below))
    return 0;
  if (!vec.size && whole)
    return vm_node_write_zeroes (place->file, place->offset, place->len, 0);
  if (!below)
    { /* nothing of worth around it */
      int err = vm_node_write_zeroes (place->file, place->offset, place->len, 0);
      if (err < 0 || !vec.size)
        return err;
      return vm_node_write (place->file, place->offset + before, vec, 0);
    }
  uint8_t *buffer = g_try_malloc (place->len);
  if (!buffer)
    return -ENOMEM;
  struct iovec iov;
  int err = read_old (node, place->start, buffer, before);
  if (err >= 0)
    err = read_old (node, offset + len, buffer + before + len, after);
  if (err >= 0)
    {
      if (vec.size)
        vm_vec_read (vec, 0, buffer + before, len);
      else
        memset (buffer + before, 0, len);
      err = vm_node_write (place->file, place->offset, vm_vec_buffer (&iov, buffer, place->len), 0);
    }
  g_free (buffer);
  return err;
}

/* The same into a packed block. */
static int
pack_place (VmNode *node, const VmPlace *place, uint64_t offset, uint64_t len, VmVec vec)
{
  VmMap *map = node->state;
  uint64_t before = offset - place->start, after = place->len - before - len;
  struct iovec iov;

  if (vec.size == place->len)
    return map->ops->write_packed (node, offset, vec);
  uint8_t *buffer = g_try_malloc0 (place->len);
  if (!buffer)
    return -ENOMEM;
  int err = read_old (node, place->start, buffer, before);
  if (err >= 0)
    err = read_old (node, offset + len, buffer + before + len, after);
  if (err >= 0)
    {
      if (vec.size)
        vm_vec_read (vec, 0, buffer + before, len);
      err = map->ops->write_packed (node, place->start, vm_vec_buffer (&iov, buffer, place->len));
    }
  g_free (buffer);
  return err;
}

/* Gives the block at OFFSET, which has none, a place. With the lock held. */
static int
new_block (VmNode *node, uint64_t offset, uint64_t len, VmVec vec, const VmMapping *old, bool packed)
{
  VmMap *map = node->state;
  VmPlace place = { .start = offset - offset % map->block };

  place.len = MIN (map->block, node->size - place.start);
  bool whole = offset == place.start && len == place.len;
  /* A hole over a backing file and a packed block have something to keep. */
  bool below = old->kind == VM_MAP_PACKED || (old->kind == VM_MAP_HOLE && node->backing);
  place.zero = !vec.size && whole && map->ops->can_zero;
  if (!place.zero)
    {
      int err = packed ? VM_MAP_PACK : map->ops->allocate (node, &place);
      if (err == VM_MAP_PACK)
        return pack_place (node, &place, offset, len, vec);
      place.fresh |= err >= 0 && place.offset >= place.file->size;
      /* A write of all of it lets the file grow by itself. */
      bool grows = whole && vec.size && place.reserve <= place.len && err >= 0 && place.file->driver->grows;
      if (err >= 0 && !grows)
        err = vm_file_grow (place.file, place.offset, MAX (place.len, place.reserve));
      if (err >= 0)
        err = fill_place (node, &place, offset, len, vec, below);
      if (err < 0)
        return err;
    }
  return map->ops->link (node, &place);
}

/* Places for the blocks of LEN bytes at OFFSET, as far as they have none; their number, or -errno. */
static int
allocate_run (VmNode *node, uint64_t offset, uint64_t len, VmPlace *places)
{
  VmMap *map = node->state;
  unsigned n = MIN (len / map->block, RUN_MAX);

  for (unsigned i = 0; i < n; i++)
    {
      VmMapping m;
      VmPlace *p = &places[i];
      int err = i ? lookup (node, offset + i * map->block, map->block, &m) : 0;
      if (err < 0 || (i && m.kind == VM_MAP_DATA))
        return (int) i;
      *p = (VmPlace){ .start = offset + i * map->block, .len = map->block, .index = i };
      err = map->ops->allocate (node, p);
      if (err)
        return i ? (int) i : err == VM_MAP_PACK ? 0 : err;
    }
  return (int) n;
}

/* The data of N blocks: a request for each run of places. */
static int
fill_run (const VmPlace *places, unsigned n, VmVec vec)
{
  uint64_t block = places->len;
  int err = 0;

  for (unsigned i = 0, next; i < n && err >= 0; i = next)
    {
      const VmPlace *first = &places[i], *last = first;
      for (next = i + 1; next < n; last = &places[next++])
        if (places[next].file != first->file || places[next].offset != last->offset + block)
          break;
      if (!first->file->driver->grows || last->reserve > block)
        err = vm_file_grow (first->file, first->offset, last->offset + MAX (block, last->reserve) - first->offset);
      if (err >= 0)
        err = vm_node_write (first->file, first->offset, vm_vec_slice (vec, i * block, (next - i) * block), 0);
    }
  return err;
}

/* The blocks at OFFSET, a multiple of blocks that all of VEC is new for; as many as *DONE bytes. With the lock held. */
static int
new_blocks (VmNode *node, uint64_t offset, VmVec vec, uint64_t *done)
{
  VmMap *map = node->state;
  g_autofree VmPlace *places = g_new (VmPlace, MIN (vec.size / map->block, RUN_MAX));
  int n = allocate_run (node, offset, vec.size, places), err = 0;

  *done = 0;
  if (n <= 0)
    return n;
  err = fill_run (places, (unsigned) n, vec);
  if (err < 0)
    return err;
  vm_meta_batch_begin (&map->meta);
  for (int i = 0; i < n && err >= 0; i++)
    err = map->ops->link (node, &places[i]);
  int status = vm_meta_batch_end (&map->meta);
  *done = (uint64_t) n * map->block;
  return err < 0 ? err : status;
}

/* LEN bytes at OFFSET, of VEC or (when it is empty) zeros: as many as one mapping has, *DONE. */
static int
write_some (VmNode *node, uint64_t offset, uint64_t len, VmVec vec, unsigned flags, uint64_t *done)
{
  VmMap *map = node->state;
  VmMapping m;
  int err = lookup (node, offset, len, &m);

  if (err < 0)
    return err;
  if (m.kind != VM_MAP_DATA)
    {
      uint64_t in_block = MIN (len, map->block - offset % map->block);
      vm_fiber_mutex_lock (&map->lock);
      err = lookup (node, offset, in_block, &m); /* another fiber may have been first */
      if (err >= 0 && m.kind != VM_MAP_DATA)
        {
          *done = in_block;
          bool many = vec.size >= 2 * map->block && offset % map->block == 0 && len >= 2 * map->block
                      && map->ops->allocate && !((flags & VM_REQ_COMPRESSED) && map->ops->write_packed);
          if (many)
            {
              err = new_blocks (node, offset, vec, done);
              if (err < 0 || *done)
                {
                  vm_fiber_mutex_unlock (&map->lock);
                  return err;
                }
              *done = in_block;
            }
          bool nothing = !vec.size && (m.kind == VM_MAP_ZERO || (m.kind == VM_MAP_HOLE && !node->backing));
          if (nothing)
            *done = m.len;
          else if (!map->ops->allocate)
            err = -ENOTSUP;
          else
            err = new_block (node, offset, in_block, vec.size ? vm_vec_slice (vec, 0, in_block) : vec, &m,
                             (flags & VM_REQ_COMPRESSED) && map->ops->write_packed && vec.size);
        }
      vm_fiber_mutex_unlock (&map->lock);
      if (err < 0 || m.kind != VM_MAP_DATA)
        return err;
    }
  *done = m.len;
  if (!vec.size)
    return vm_node_write_zeroes (m.file, m.offset, m.len, flags & ~(unsigned) VM_REQ_FUA);
  return vm_node_write (m.file, m.offset, vm_vec_slice (vec, 0, m.len), 0);
}

int
vm_map_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  for (uint64_t done = 0, n; done < vec.size; done += n)
    {
      int err = write_some (node, offset + done, vec.size - done, vm_vec_slice (vec, done, vec.size - done), flags, &n);
      if (err < 0)
        return err;
    }
  return 0;
}

int
vm_map_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  for (uint64_t done = 0, n; done < len; done += n)
    {
      int err = write_some (node, offset + done, len - done, (VmVec){ 0 }, flags, &n);
      if (err < 0)
        return err;
    }
  return 0;
}

int
vm_map_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  for (uint64_t done = 0; done < len;)
    {
      VmMapping m;
      int err = lookup (node, offset + done, len - done, &m);
      if (err >= 0 && m.kind == VM_MAP_DATA)
        err = vm_node_discard (m.file, m.offset, m.len);
      if (err < 0)
        return err;
      done += m.len;
    }
  return 0;
}

static unsigned
flags_of (const VmNode *node, const VmMapping *m)
{
  const VmMap *map = node->state;

  switch (m->kind)
    {
    case VM_MAP_HOLE:
      return map->layered ? 0 : VM_EXTENT_ALLOCATED | VM_EXTENT_ZERO;
    case VM_MAP_ZERO:
      return VM_EXTENT_ALLOCATED | VM_EXTENT_ZERO;
    case VM_MAP_PACKED:
      return VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | VM_EXTENT_COMPRESSED;
    case VM_MAP_DATA:
      break;
    }
  return VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | VM_EXTENT_HAS_OFFSET | (map->flat ? VM_EXTENT_RECURSE : 0);
}

int
vm_map_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  VmMapping m;
  int err = lookup (node, offset, len, &m);

  if (err < 0)
    return err;
  *extent = (VmExtent){ m.len, flags_of (node, &m), m.offset, m.file };
  /* What follows and is the same: tables are cheaper to read than to ask for again and again. */
  for (unsigned n = 0; extent->len < len && n < 4096; n++)
    {
      VmMapping next;
      if (lookup (node, offset + extent->len, len - extent->len, &next) < 0 || flags_of (node, &next) != extent->flags)
        break;
      if (m.kind == VM_MAP_DATA && (next.file != m.file || next.offset != m.offset + extent->len))
        break;
      extent->len += next.len;
    }
  if (!(extent->flags & VM_EXTENT_HAS_OFFSET))
    {
      extent->file = NULL;
      extent->file_offset = 0;
    }
  return 0;
}

uint32_t
vm_map_cluster_size (VmNode *node)
{
  const VmMap *map = node->state;

  return map->block;
}

void
vm_map_close (VmNode *node)
{
  VmMap *map = node->state;

  vm_meta_free (&map->meta);
}

bool
vm_map_opened (VmNode *node, bool ok)
{
  if (!ok)
    vm_map_close (node);
  return ok;
}
