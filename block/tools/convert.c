/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The copying of vitrine-img convert: fibers take chunks off a cursor that knows where the holes are, read them side by
 * side, look for zeros, and start writing in the order of the chunks. */
#include "block/tools/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK (2 * VM_MIB)
#define LOCAL_CHUNK (512 * 1024)
#define SECTOR 512
#define SURVEY_LIMIT 64 /* extents looked at to learn whether a target is all zeros */

enum
{
  KIND_DATA,
  KIND_ZERO,
  KIND_BACKING
};

typedef struct Chunk
{
  uint64_t offset, len, number;
  bool zero, copied;
} Chunk;

static void
fail (VmConvert *c, const char *what, uint64_t offset, int err)
{
  if (!c->failed)
    vm_tool_error (c->tool, NULL, "error while %s at byte %" PRIu64 ": %s", what, offset, g_strerror (-err));
  c->failed = true;
  vm_fiber_queue_wake_all (&c->waiting);
}

static VmConvertSource *
source_at (VmConvert *c, uint64_t offset)
{
  VmConvertSource *s = c->sources;

  while (offset >= s->start + s->size && s < c->sources + c->n_sources - 1)
    s++;
  return s;
}

/* --- the cursor ------------------------------------------------------------------------------------------------ */

/* Learns what lies at the cursor. */
static bool
survey (VmConvert *c)
{
  VmConvertSource *s = source_at (c, c->cursor);
  uint64_t at = c->cursor - s->start, left = s->size - at;
  VmNode *node = s->image.node;
  VmExtent extent = { .len = left, .flags = VM_EXTENT_ALLOCATED };
  int err = 0;

  if (at >= node->size) /* the rest of a sector */
    extent.flags = VM_EXTENT_ZERO | VM_EXTENT_ALLOCATED;
  else if (c->over_backing)
    err = vm_node_status (vm_node_skip_filters (node), at, node->size - at, &extent);
  else if (c->sparse)
    err = vm_node_status_above (node, NULL, at, node->size - at, &extent);
  if (err < 0 && !c->salvage)
    {
      fail (c, "reading block status", c->cursor, err);
      return false;
    }
  if (err < 0)
    extent = (VmExtent){ .len = MIN (left, CHUNK), .flags = VM_EXTENT_ALLOCATED };
  c->extent_end = c->cursor + MIN (extent.len, left);
  c->extent_kind = KIND_DATA;
  if (c->over_backing && !(extent.flags & VM_EXTENT_ALLOCATED))
    {
      c->extent_kind = c->cursor < c->backing_size ? KIND_BACKING : KIND_ZERO;
      if (c->cursor < c->backing_size)
        c->extent_end = MIN (c->extent_end, c->backing_size);
    }
  else if (extent.flags & VM_EXTENT_ZERO || !(extent.flags & VM_EXTENT_ALLOCATED))
    {
      c->extent_kind = c->sparse ? KIND_ZERO : KIND_DATA;
    }
  return true;
}

/* Moves the cursor over the next chunk there is something to do for; false: nothing more. */
static bool
claim (VmConvert *c, Chunk *chunk)
{
  while (!c->failed && c->cursor < c->total)
    {
      if (c->cursor >= c->extent_end && !survey (c))
        return false;
      uint64_t offset = c->cursor, len = c->extent_end - offset;
      bool whole = len >= c->unit || c->extent_end == c->total;
      /* Units of the target are not torn: what a hole shares with data goes with the data. */
      if (c->extent_kind != KIND_DATA && whole && offset % c->unit == 0)
        {
          if (c->extent_end != c->total)
            len -= len % c->unit;
          bool zero = c->extent_kind == KIND_ZERO;
          if (zero && !c->has_zeros)
            len = MIN (len, VM_GIB);
          c->cursor += len;
          if (!zero || c->has_zeros)
            continue;
          *chunk = (Chunk){ offset, len, c->next_number++, true, false };
          return true;
        }
      uint64_t end = c->extent_kind == KIND_DATA ? c->extent_end : offset + 1;
      end = MIN (VM_ALIGN_DOWN (end + c->unit - 1, c->unit), c->total);
      end = MIN (end, offset + c->chunk - offset % c->chunk);
      *chunk = (Chunk){ offset, end - offset, c->next_number++, false, false };
      c->cursor = end;
      return true;
    }
  return false;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

static int
read_sectors (VmConvert *c, VmNode *node, uint64_t offset, uint8_t *buffer, uint64_t len, uint64_t target_offset)
{
  for (uint64_t at = 0; at < len; at += SECTOR)
    {
      uint64_t n = MIN (SECTOR, len - at);
      int err = vm_node_pread (node, offset + at, buffer + at, n);
      if (err >= 0)
        continue;
      if (!c->quiet)
        fprintf (stderr, "%s: warning: error while reading offset %" PRIu64 ": %s\n", c->tool->program,
                 target_offset + at, g_strerror (-err));
      memset (buffer + at, 0, n);
    }
  return 0;
}

static int
read_chunk (VmConvert *c, const Chunk *chunk, uint8_t *buffer)
{
  uint64_t at = 0;

  while (at < chunk->len)
    {
      VmConvertSource *s = source_at (c, chunk->offset + at);
      uint64_t offset = chunk->offset + at - s->start, n = MIN (chunk->len - at, s->size - offset);
      VmNode *node = s->image.node;
      uint64_t inside = offset < node->size ? MIN (n, node->size - offset) : 0;
      if (inside)
        {
          int err = vm_node_pread (node, offset, buffer + at, inside);
          if (err < 0 && c->salvage)
            err = read_sectors (c, node, offset, buffer + at, inside, chunk->offset + at);
          if (err < 0)
            return err;
        }
      memset (buffer + at + inside, 0, n - inside);
      at += n;
    }
  return 0;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

static void
obey_rate (VmConvert *c, uint64_t bytes)
{
  if (!c->rate)
    return;
  int64_t now = g_get_monotonic_time () * 1000;
  int64_t start = MAX (c->free_at, now);
  c->free_at = start + (int64_t) ((double) bytes * 1e9 / (double) c->rate);
  if (start > now)
    vm_fiber_sleep (start - now);
}

static int
write_zeros (VmConvert *c, uint64_t offset, uint64_t len)
{
  if (c->has_zeros || (c->over_backing && offset >= c->backing_size && c->created))
    return 0;
  obey_rate (c, len);
  return vm_node_write_zeroes (c->target.node, offset, len,
                               (c->over_backing ? 0 : VM_REQ_UNMAP) | c->target.write_flags);
}

static int
write_data (VmConvert *c, uint64_t offset, const uint8_t *buffer, uint64_t len)
{
  struct iovec iov;

  obey_rate (c, len);
  return vm_node_write (c->target.node, offset, vm_vec_buffer (&iov, buffer, len),
                        c->target.write_flags | (c->compressed ? VM_REQ_COMPRESSED : 0));
}

/* Data and zeros by turns. */
static int
write_chunk (VmConvert *c, const Chunk *chunk, const uint8_t *buffer)
{
  uint64_t grain = c->compressed ? c->unit : MAX (c->sparse, c->unit), at = 0;
  int err = 0;

  if (!c->sparse)
    return write_data (c, chunk->offset, buffer, chunk->len);
  if (chunk->len % grain && chunk->offset + chunk->len != c->total)
    grain = c->unit; /* a chunk that ends inside of a grain */
  while (at < chunk->len && err >= 0)
    {
      uint64_t begin = at;
      bool zero = vm_tool_is_zero (buffer + at, MIN (grain, chunk->len - at));
      do
        at = MIN (at + grain, chunk->len);
      while (at < chunk->len && vm_tool_is_zero (buffer + at, MIN (grain, chunk->len - at)) == zero);
      err = zero ? write_zeros (c, chunk->offset + begin, at - begin)
                 : write_data (c, chunk->offset + begin, buffer + begin, at - begin);
    }
  return err;
}

/* What lies raw in files of the host on both sides. False: to be read and written, which also says what is wrong. */
static bool
copy_in_host (VmConvert *c, const Chunk *chunk)
{
  VmConvertSource *s = source_at (c, chunk->offset);
  uint64_t offset = chunk->offset - s->start;
  VmExtent from, to;

  if (strcmp (c->target.node->driver->name, "raw") != 0 || offset + chunk->len > MIN (s->size, s->image.node->size)
      || vm_node_status_above (s->image.node, NULL, offset, chunk->len, &from) < 0 || from.len < chunk->len
      || !(from.flags & VM_EXTENT_HAS_OFFSET) || from.flags & (VM_EXTENT_ZERO | VM_EXTENT_COMPRESSED)
      || vm_node_status (c->target.node, chunk->offset, chunk->len, &to) < 0 || !(to.flags & VM_EXTENT_HAS_OFFSET)
      || from.file->driver != to.file->driver || !to.file->driver->copy_from)
    return false;
  obey_rate (c, chunk->len);
  return to.file->driver->copy_from (to.file, to.file_offset, from.file, from.file_offset, chunk->len) >= 0;
}

/* Chunks begin to be written one after the other, so that growing targets lie in order; the first wait of one lets the
 * next begin. Compressed ones take the time they take. */
static void
await_turn (VmConvert *c, const Chunk *chunk)
{
  if (c->any_order || c->compressed)
    return;
  while (c->turn != chunk->number && !c->failed)
    vm_fiber_queue_wait (&c->waiting);
  c->turn++;
  vm_fiber_queue_wake_all (&c->waiting);
}

static void
worker (void *opaque)
{
  VmConvert *c = opaque;
  uint8_t *buffer = vm_tool_buffer (c->tool, c->chunk);
  Chunk chunk;
  bool more;
  int err;

  if (!buffer)
    c->failed = true;
  for (;;)
    {
      vm_fiber_mutex_lock (&c->lock);
      more = claim (c, &chunk);
      vm_fiber_mutex_unlock (&c->lock);
      if (!more)
        break;
      chunk.copied = c->offload && !chunk.zero && copy_in_host (c, &chunk);
      err = chunk.zero || chunk.copied ? 0 : read_chunk (c, &chunk, buffer);
      if (err < 0)
        fail (c, "reading", chunk.offset, err);
      await_turn (c, &chunk);
      if (c->failed)
        break;
      err = chunk.copied ? 0
            : chunk.zero ? write_zeros (c, chunk.offset, chunk.len)
                         : write_chunk (c, &chunk, buffer);
      if (err < 0)
        fail (c, "writing", chunk.offset, err);
      vm_tool_progress (c->tool, c->cursor, c->total);
    }
  free (buffer);
}

/* --- the target ------------------------------------------------------------------------------------------------ */

static bool
reads_as_zeros (VmNode *node)
{
  uint64_t at = 0;
  VmExtent extent;

  for (unsigned i = 0; i < SURVEY_LIMIT && at < node->size; i++, at += extent.len)
    if (vm_node_status_above (node, NULL, at, node->size - at, &extent) < 0
        || !(extent.flags & VM_EXTENT_ZERO || !(extent.flags & VM_EXTENT_ALLOCATED)))
      return false;
  return at >= node->size;
}

static VmNode *
bottom (VmNode *node)
{
  while (node->file)
    node = node->file->node;
  return node;
}

static bool
is_local (VmNode *node)
{
  return !strcmp (bottom (node)->driver->name, "file");
}

static bool
all_local (const VmConvert *c)
{
  for (unsigned i = 0; i < c->n_sources; i++)
    if (!is_local (c->sources[i].image.node))
      return false;
  return is_local (c->target.node);
}

static void
study_target (VmConvert *c)
{
  VmNode *node = c->target.node;
  uint32_t cluster = node->driver->cluster_size ? node->driver->cluster_size (node) : 0;

  c->unit = MAX (MAX (cluster, node->limits.alignment), 1);
  uint64_t chunk = all_local (c) ? LOCAL_CHUNK : CHUNK;
  c->chunk = MAX (chunk - chunk % c->unit, c->unit);
  VmNode *backing = vm_node_backing (node);
  c->backing_size = backing ? backing->size : 0;
  if (c->target_is_zero)
    c->has_zeros = true;
  else if (!backing)
    c->has_zeros = c->created && c->sparse && reads_as_zeros (node);
  /* One request may make all of it zero; then holes cost nothing. */
  if (!c->has_zeros && !backing && c->sparse && !c->created)
    c->has_zeros = vm_node_write_zeroes (node, 0, MIN (node->size, c->total), VM_REQ_UNMAP | VM_REQ_NO_FALLBACK) >= 0;
}

bool
vm_convert_run (VmConvert *c)
{
  VmNode *file = bottom (c->target.node);

  study_target (c);
  if (file->driver->bulk)
    file->driver->bulk (file, true);
  vm_tool_parallel (c->tool, c->depth, worker, c);
  int err = file->driver->bulk ? file->driver->bulk (file, false) : 0;
  if (c->failed)
    return false;
  if (err >= 0)
    err = vm_node_flush (c->target.node);
  if (err < 0)
    return vm_tool_error (c->tool, NULL, "Could not flush the output image: %s", g_strerror (-err));
  vm_tool_progress (c->tool, 1, 1);
  return true;
}
