/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img compare: whether two images hold the same. */
#include "block/tools/img.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum
{
  COMPARE_SAME,
  COMPARE_DIFFERENT,
  COMPARE_OPEN,
  COMPARE_STATUS,
  COMPARE_READ
};

#define CHUNK (2 * VM_MIB)
#define DEPTH 8

typedef struct Compare
{
  VmTool *tool;
  VmNode *nodes[2];
  const char *names[2];
  bool strict;
  uint64_t cursor, end, total;
  VmFiberMutex lock;
  /* What ends it: the event at the lowest offset. */
  uint64_t found_at;
  int found; /* COMPARE_SAME: nothing yet */
  bool status_differs;
  int err, which;
} Compare;

typedef struct Piece
{
  uint64_t offset, len;
  bool zero[2];
} Piece;

static void
found (Compare *c, int what, uint64_t offset, int which, int err)
{
  if (c->found && offset >= c->found_at)
    return;
  c->found = what;
  c->found_at = offset;
  c->which = which;
  c->err = err;
}

static bool
piece_next (Compare *c, Piece *p)
{
  VmExtent extents[2];

  *p = (Piece){ .offset = c->cursor, .len = MIN (c->end - c->cursor, 256 * VM_MIB) };
  for (int i = 0; i < 2; i++)
    {
      extents[i] = (VmExtent){ .len = p->len, .flags = VM_EXTENT_ZERO };
      if (c->cursor >= c->nodes[i]->size)
        {
          p->zero[i] = true;
          continue;
        }
      int err = vm_node_status_above (c->nodes[i], NULL, c->cursor, MIN (p->len, c->nodes[i]->size - c->cursor),
                                      &extents[i]);
      if (err < 0)
        {
          found (c, COMPARE_STATUS, c->cursor, i, err);
          return false;
        }
      p->len = MIN (p->len, extents[i].len);
      p->zero[i] = extents[i].flags & VM_EXTENT_ZERO || !(extents[i].flags & VM_EXTENT_ALLOCATED);
    }
  unsigned mask = VM_EXTENT_ALLOCATED | VM_EXTENT_ZERO | VM_EXTENT_DATA | VM_EXTENT_HAS_OFFSET;
  if (c->strict && (extents[0].flags & mask) != (extents[1].flags & mask))
    {
      found (c, COMPARE_DIFFERENT, c->cursor, 0, 0);
      c->status_differs = true;
      return false;
    }
  if (!p->zero[0] || !p->zero[1])
    p->len = MIN (p->len, CHUNK - c->cursor % CHUNK);
  c->cursor += p->len;
  return true;
}

static uint64_t
first_difference (const uint8_t *a, const uint8_t *b, size_t len)
{
  size_t at = 0;

  for (; at < len && !memcmp (a + at, b + at, MIN (512, len - at)); at += 512)
    ;
  return at;
}

static void
compare_piece (Compare *c, const Piece *p, uint8_t *buffers[2])
{
  for (int i = 0; i < 2; i++)
    if (!p->zero[i])
      {
        int err = vm_node_pread (c->nodes[i], p->offset, buffers[i], p->len);
        if (err < 0)
          {
            found (c, COMPARE_READ, p->offset, i, err);
            return;
          }
      }
  if (!p->zero[0] && !p->zero[1])
    {
      if (memcmp (buffers[0], buffers[1], p->len) != 0)
        found (c, COMPARE_DIFFERENT, p->offset + first_difference (buffers[0], buffers[1], p->len), 0, 0);
      return;
    }
  const uint8_t *data = buffers[p->zero[0]];
  if (vm_tool_is_zero (data, p->len))
    return;
  for (uint64_t at = 0; at < p->len; at += 512)
    if (!vm_tool_is_zero (data + at, MIN (512, p->len - at)))
      {
        found (c, COMPARE_DIFFERENT, p->offset + at, 0, 0);
        return;
      }
}

static void
compare_worker (void *opaque)
{
  Compare *c = opaque;
  uint8_t *buffers[2] = { vm_tool_buffer (c->tool, CHUNK), vm_tool_buffer (c->tool, CHUNK) };
  bool ok = buffers[0] && buffers[1];
  Piece piece;

  if (!ok)
    found (c, COMPARE_READ, 0, 0, -ENOMEM);
  while (ok && !c->found)
    {
      vm_fiber_mutex_lock (&c->lock);
      ok = !c->found && c->cursor < c->end && piece_next (c, &piece);
      vm_fiber_mutex_unlock (&c->lock);
      if (ok && (!piece.zero[0] || !piece.zero[1]))
        compare_piece (c, &piece, buffers);
      vm_tool_progress (c->tool, c->cursor, c->total);
    }
  free (buffers[0]);
  free (buffers[1]);
}

static int
compare (Compare *c, bool quiet)
{
  uint64_t sizes[2] = { c->nodes[0]->size, c->nodes[1]->size };

  if (c->strict && sizes[0] != sizes[1])
    {
      if (!quiet)
        puts ("Strict mode: Image size mismatch!");
      return COMPARE_DIFFERENT;
    }
  c->total = MAX (sizes[0], sizes[1]);
  c->end = MIN (sizes[0], sizes[1]);
  vm_tool_parallel (c->tool, DEPTH, compare_worker, c);
  if (!c->found && c->total > c->end)
    {
      if (!quiet)
        puts ("Warning: Image size mismatch!");
      c->end = c->total;
      vm_tool_parallel (c->tool, DEPTH, compare_worker, c);
    }
  switch (c->found)
    {
    case COMPARE_SAME:
      vm_tool_progress (c->tool, 1, 1);
      if (!quiet)
        puts ("Images are identical.");
      break;
    case COMPARE_DIFFERENT:
      if (!quiet && c->status_differs)
        printf ("Strict mode: Offset %" PRIu64 " block status mismatch!\n", c->found_at);
      else if (!quiet)
        printf ("Content mismatch at offset %" PRIu64 "!\n", c->found_at);
      break;
    case COMPARE_STATUS:
      vm_tool_error (c->tool, NULL, "Sector allocation test failed for %s", c->names[c->which]);
      break;
    default:
      vm_tool_error (c->tool, NULL, "Error while reading offset %" PRIu64 " of %s: %s", c->found_at, c->names[c->which],
                     g_strerror (-c->err));
      break;
    }
  return c->found;
}

int
vm_img_compare (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS, { "force-share", no_argument, NULL, 'U' }, { NULL } };
  VmToolOpen how[2] = { { NULL }, { NULL } };
  bool shown = false, quiet = false;
  const char *cache = "writeback";
  Compare compared = { .tool = tool };
  VmToolImage images[2] = { { NULL }, { NULL } };
  VmImgArgs args = { argc, argv, ":hf:F:T:pqsU", options, &how[0], NULL, 0 };
  int c, status = COMPARE_OPEN;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'F':
        how[1].format = optarg;
        break;
      case 'T':
        cache = optarg;
        break;
      case 'p':
        shown = true;
        break;
      case 'q':
        quiet = true;
        break;
      case 's':
        compared.strict = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 2)
    return vm_tool_usage (tool, "Expecting two image file names");
  if (!vm_tool_parse_cache (cache, &how[0].cache))
    {
      vm_tool_error (tool, NULL, "Invalid source cache option: %s", cache);
      return COMPARE_OPEN;
    }
  how[1].cache = how[0].cache;
  how[1].force_share = how[0].force_share;
  how[1].image_opts = how[0].image_opts;
  for (int i = 0; i < 2; i++)
    compared.names[i] = how[i].name = argv[optind + i];
  vm_tool_progress_start (tool, shown && !quiet);
  if (vm_tool_open (tool, &how[0], &images[0]) && vm_tool_open (tool, &how[1], &images[1]))
    {
      compared.nodes[0] = images[0].node;
      compared.nodes[1] = images[1].node;
      status = compare (&compared, quiet);
    }
  vm_tool_close (&images[0]);
  vm_tool_close (&images[1]);
  vm_tool_progress_end (tool);
  return status;
}
