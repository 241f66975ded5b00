/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img rebase and commit: an image and those it lies on. */
#include "block/create.h"
#include "block/info.h"
#include "block/tools/img.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK (2 * VM_MIB)

/* --- rebase ---------------------------------------------------------------------------------------------------- */

typedef struct Rebase
{
  VmTool *tool;
  VmToolImage image, backing; /* BACKING.node NULL: there will be none */
  VmNode *old;                /* backing file until now; NULL: none */
  uint64_t unit;              /* what is compared and written at once */
  bool compress;
  uint8_t *mine, *theirs;
} Rebase;

/* What lies below at OFFSET, with zeros behind the end. */
static int
read_below (VmNode *node, uint64_t offset, uint8_t *buffer, uint64_t len)
{
  uint64_t inside = node && offset < node->size ? MIN (len, node->size - offset) : 0;
  int err = inside ? vm_node_pread (node, offset, buffer, inside) : 0;

  memset (buffer + inside, 0, len - inside);
  return err;
}

/* Zeros are known without reading. */
static bool
zero_below (VmNode *node, uint64_t offset, uint64_t *len)
{
  VmExtent extent;

  if (!node || offset >= node->size)
    return true;
  if (vm_node_status_above (node, NULL, offset, MIN (*len, node->size - offset), &extent) < 0)
    return false;
  *len = MIN (*len, extent.len);
  return extent.flags & VM_EXTENT_ZERO || !(extent.flags & VM_EXTENT_ALLOCATED);
}

/* Writes into the image what would read differently, by whole units when it is to be compressed. */
static int
keep (Rebase *r, uint64_t offset, uint64_t len)
{
  VmNode *node = r->image.node;
  unsigned flags = r->image.write_flags | (r->compress ? VM_REQ_COMPRESSED : 0);
  uint64_t at = 0;
  int err = 0;

  while (at < len && err >= 0)
    {
      uint64_t n = MIN (r->unit - (offset + at) % r->unit, len - at), begin = at;
      if (!memcmp (r->mine + at, r->theirs + at, n))
        {
          at += n;
          continue;
        }
      /* Without a backing file an image need not keep zeros that it is told to hold: those are data then. */
      bool zero = r->old && vm_tool_is_zero (r->mine + at, n);
      do
        {
          at += n;
          n = MIN (r->unit, len - at);
        }
      while (at < len && !r->compress && memcmp (r->mine + at, r->theirs + at, n) != 0
             && (r->old && vm_tool_is_zero (r->mine + at, n)) == zero);
      struct iovec iov;
      err = zero ? vm_node_write_zeroes (node, offset + begin, at - begin, r->image.write_flags)
                 : vm_node_write (node, offset + begin, vm_vec_buffer (&iov, r->mine + begin, at - begin), flags);
    }
  return err;
}

static bool
rebase_piece (Rebase *r, uint64_t offset, uint64_t *len)
{
  VmNode *node = r->image.node;
  uint64_t old_len = *len, new_len = *len;
  VmExtent extent;
  int err = vm_node_status (node, offset, *len, &extent);

  if (err < 0)
    return vm_tool_error (r->tool, NULL, "error while reading image metadata: %s", g_strerror (-err));
  *len = MIN (*len, extent.len);
  if (extent.flags & VM_EXTENT_ALLOCATED)
    return true;
  if (zero_below (r->old, offset, &old_len) && zero_below (r->backing.node, offset, &new_len))
    {
      /* Units are never torn: of one that reads as zeros now, a part would not be written, as it seems to be there. */
      uint64_t end = offset + MIN (*len, MIN (old_len, new_len)), whole = VM_ALIGN_DOWN (end, r->unit);
      if (end == offset + *len || end >= node->size)
        whole = end;
      *len = whole > offset ? whole - offset : MIN (*len, r->unit - offset % r->unit);
      if (whole > offset)
        return true;
    }
  *len = MIN (*len, CHUNK - offset % CHUNK);
  err = read_below (r->old, offset, r->mine, *len);
  if (err < 0)
    return vm_tool_error (r->tool, NULL, "error while reading from old backing file: %s", g_strerror (-err));
  err = read_below (r->backing.node, offset, r->theirs, *len);
  if (err < 0)
    return vm_tool_error (r->tool, NULL, "error while reading from new backing file: %s", g_strerror (-err));
  err = keep (r, offset, *len);
  return err >= 0 || vm_tool_error (r->tool, NULL, "Error while writing to COW image: %s", g_strerror (-err));
}

static bool
rebase_all (Rebase *r)
{
  VmNode *node = r->image.node;
  uint32_t cluster = node->driver->cluster_size ? node->driver->cluster_size (node) : 0;
  uint64_t len;
  bool ok;

  r->unit = MIN (MAX (cluster, 4096), CHUNK);
  if (r->compress && !node->driver->can_compress)
    return vm_tool_error (r->tool, NULL, "Compression not supported for this file format");
  r->mine = vm_tool_buffer (r->tool, CHUNK);
  r->theirs = vm_tool_buffer (r->tool, CHUNK);
  ok = r->mine && r->theirs;
  for (uint64_t at = 0; ok && at < node->size; at += len)
    {
      vm_tool_progress (r->tool, at, node->size);
      len = node->size - at;
      ok = rebase_piece (r, at, &len);
    }
  free (r->mine);
  free (r->theirs);
  return ok;
}

static bool
change_backing (VmTool *tool, VmNode *node, const char *name, const char *format)
{
  GError *error = NULL;

  if (!node->driver->change_backing)
    return vm_tool_error (tool, NULL, "Could not change the backing file to '%s': %s", name, g_strerror (ENOTSUP));
  if (*name && !format)
    return vm_tool_error (tool, NULL, "Could not change the backing file to '%s': backing format must be specified",
                          name);
  return node->driver->change_backing (node, *name ? name : NULL, *name ? format : NULL, &error)
         || vm_tool_error (tool, error, "Could not change the backing file to '%s'", name);
}

static bool
open_new_backing (VmTool *tool, Rebase *r, const char *name, const VmToolOpen *how)
{
  g_autofree char *path = NULL;
  VmToolOpen below = *how;
  GError *error = NULL;

  if (!*name)
    return true;
  path = vm_image_backing_path (r->image.node->filename, name, &error);
  below.name = path;
  return (path && vm_tool_try_open (tool, &below, &r->backing, &error))
         || vm_tool_error (tool, error, "Could not open new backing file '%s'", name);
}

static bool
rebase (VmTool *tool, Rebase *r, const VmToolOpen *how, const VmToolOpen *backing_how, const char *name, bool unsafe)
{
  VmNode *node;

  if (!vm_tool_open (tool, how, &r->image))
    return false;
  node = r->image.node;
  if (!node->driver->change_backing)
    return change_backing (tool, node, name ? name : "", backing_how->format);
  if (!unsafe)
    {
      r->old = vm_node_backing (node);
      if (!open_new_backing (tool, r, name, backing_how) || !rebase_all (r))
        return false;
      int err = vm_node_flush (node);
      if (err < 0)
        return vm_tool_error (tool, NULL, "Could not flush '%s': %s", node->filename, g_strerror (-err));
    }
  if (!change_backing (tool, node, name ? name : "", backing_how->format))
    return false;
  vm_tool_progress (tool, 1, 1);
  return true;
}

int
vm_img_rebase (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = {
    IMG_COMMON_OPTIONS, { "force-share", no_argument, NULL, 'U' }, { "compress", no_argument, NULL, 'c' }, { NULL }
  };
  VmToolOpen how = { .write = true }, below = { NULL };
  const char *cache = "writeback", *source_cache = "writeback", *name = NULL;
  bool shown = false, quiet = false, unsafe = false, ok;
  Rebase r = { .tool = tool };
  VmImgArgs args = { argc, argv, ":hf:F:b:upt:T:qUc", options, &how, NULL, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'F':
        below.format = optarg;
        break;
      case 'b':
        name = optarg;
        break;
      case 'u':
        unsafe = true;
        break;
      case 'p':
        shown = true;
        break;
      case 't':
        cache = optarg;
        break;
      case 'T':
        source_cache = optarg;
        break;
      case 'q':
        quiet = true;
        break;
      case 'c':
        r.compress = true;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  if (!unsafe && !name)
    return vm_tool_usage (tool, "Must specify backing file (-b) or use unsafe mode (-u)");
  how.name = argv[optind];
  below.force_share = how.force_share;
  if (below.format && !vm_graph_find_driver (tool->graph, below.format))
    return !vm_tool_error (tool, NULL, "Invalid format name: '%s'", below.format);
  if (!vm_tool_parse_cache (cache, &how.cache))
    return !vm_tool_error (tool, NULL, "Invalid cache option: %s", cache);
  if (!vm_tool_parse_cache (source_cache, &below.cache))
    return !vm_tool_error (tool, NULL, "Invalid source cache option: %s", source_cache);
  how.flags = unsafe ? VM_OPEN_NO_BACKING : 0;
  vm_tool_progress_start (tool, shown && !quiet);
  ok = rebase (tool, &r, &how, &below, name, unsafe);
  vm_tool_close (&r.backing);
  vm_tool_close (&r.image);
  vm_tool_progress_end (tool);
  return !ok;
}

/* --- commit ---------------------------------------------------------------------------------------------------- */

/* Each layer is opened for itself, so that the lowest can be written while nothing lies on it. */
typedef struct Commit
{
  VmTool *tool;
  GArray *layers; /* VmToolImage, the top first, the base last */
  uint64_t rate;
  int64_t free_at;
  uint8_t *buffer;
} Commit;

static VmToolImage *
layer (Commit *m, guint i)
{
  return &g_array_index (m->layers, VmToolImage, i);
}

static bool
same_file (const char *a, const char *b)
{
  g_autofree char *real_a = realpath (a, NULL), *real_b = realpath (b, NULL);

  return !strcmp (a, b) || (real_a && real_b && !strcmp (real_a, real_b));
}

/* Opens what lies below the last layer; the one called BASE (NULL: the first) for writing, which ends it. */
static bool
open_below (Commit *m, const VmToolOpen *top, const char *base, bool *last)
{
  VmNode *node = layer (m, m->layers->len - 1)->node;
  g_autofree char *path = vm_node_full_backing_name (node);
  VmToolOpen how = { .name = path, .format = node->backing_format, .cache = top->cache, .flags = VM_OPEN_NO_BACKING };
  VmToolImage image;

  if (!path || !*path)
    return m->layers->len == 1 && !base
               ? vm_tool_error (m->tool, NULL, "Image does not have a backing file")
               : vm_tool_error (m->tool, NULL, "Did not find '%s' in the backing chain of '%s'", base, top->name);
  *last = !base || !strcmp (node->backing_name, base) || same_file (path, base);
  how.write = how.resize = *last;
  if (!vm_tool_open (m->tool, &how, &image))
    return false;
  g_array_append_val (m->layers, image);
  return true;
}

static int
commit_data (Commit *m, VmNode *from, VmNode *base, uint64_t offset, uint64_t len)
{
  int err = vm_node_pread (from, offset, m->buffer, len);

  if (err < 0)
    return err;
  if (m->rate)
    {
      int64_t now = g_get_monotonic_time () * 1000, start = MAX (m->free_at, now);
      m->free_at = start + (int64_t) ((double) len * 1e9 / (double) m->rate);
      if (start > now)
        vm_fiber_sleep (start - now);
    }
  return vm_node_pwrite (base, offset, m->buffer, len);
}

/* The first layer above the base that has the bytes hands them down. */
static int
commit_piece (Commit *m, uint64_t offset, uint64_t *len)
{
  guint n = m->layers->len;
  VmNode *base = layer (m, n - 1)->node;
  VmExtent extent;

  for (guint i = 0; i + 1 < n; i++)
    {
      VmNode *node = layer (m, i)->node;
      if (offset >= node->size)
        return vm_node_write_zeroes (base, offset, *len, 0); /* all below is hidden */
      int err = vm_node_status (node, offset, MIN (*len, node->size - offset), &extent);
      if (err < 0)
        return err;
      *len = MIN (*len, MIN (extent.len, node->size - offset));
      if (!(extent.flags & VM_EXTENT_ALLOCATED))
        continue;
      if (extent.flags & VM_EXTENT_ZERO)
        return vm_node_write_zeroes (base, offset, *len, VM_REQ_UNMAP);
      *len = MIN (*len, CHUNK - offset % CHUNK);
      return commit_data (m, node, base, offset, *len);
    }
  return 0;
}

static bool
commit_all (Commit *m)
{
  VmNode *top = layer (m, 0)->node, *base = layer (m, m->layers->len - 1)->node;
  GError *error = NULL;
  uint64_t len;
  int err = 0;

  if (base->size < top->size && vm_node_truncate (base, top->size, true, VM_PREALLOC_OFF, 0, &error) < 0)
    return vm_tool_error (m->tool, error, "Could not make the backing file bigger");
  m->buffer = vm_tool_buffer (m->tool, CHUNK);
  for (uint64_t at = 0; m->buffer && err >= 0 && at < top->size; at += len)
    {
      vm_tool_progress (m->tool, at, top->size);
      len = top->size - at;
      err = commit_piece (m, at, &len);
    }
  free (m->buffer);
  if (m->buffer && err >= 0)
    err = vm_node_flush (base);
  if (err < 0)
    return vm_tool_error (m->tool, NULL, "Error while committing: %s", g_strerror (-err));
  return m->buffer != NULL;
}

static bool
make_empty (VmTool *tool, VmNode *node)
{
  int err = node->driver->make_empty ? node->driver->make_empty (node) : vm_node_discard (node, 0, node->size);

  return err >= 0 || vm_tool_error (tool, NULL, "Could not empty '%s': %s", node->filename, g_strerror (-err));
}

static bool
commit (Commit *m, const VmToolOpen *how, const char *base, bool drop)
{
  VmToolImage top;
  bool last = false;

  if (!vm_tool_open (m->tool, how, &top))
    return false;
  g_array_append_val (m->layers, top);
  while (!last)
    if (!open_below (m, how, base, &last))
      return false;
  if (!commit_all (m) || (!drop && !make_empty (m->tool, top.node)))
    return false;
  vm_tool_progress (m->tool, 1, 1);
  return true;
}

int
vm_img_commit (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS, { NULL } };
  VmToolOpen how = { .write = true, .flags = VM_OPEN_NO_BACKING };
  const char *cache = "writeback", *base = NULL;
  bool shown = false, quiet = false, drop = false, ok;
  Commit m = { .tool = tool };
  VmImgArgs args = { argc, argv, ":f:ht:b:dpqr:", options, &how, NULL, 0 };
  int c;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 't':
        cache = optarg;
        break;
      case 'b':
        base = optarg;
        drop = true; /* what lies between no longer holds */
        break;
      case 'd':
        drop = true;
        break;
      case 'p':
        shown = true;
        break;
      case 'q':
        quiet = true;
        break;
      case 'r':
        if (!vm_tool_size (tool, "rate limit", optarg, 0, INT64_MAX, &m.rate))
          return 1;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  how.name = argv[optind];
  if (!vm_tool_parse_cache (cache, &how.cache))
    return !vm_tool_error (tool, NULL, "Invalid cache option: %s", cache);
  m.layers = g_array_new (FALSE, FALSE, sizeof (VmToolImage));
  vm_tool_progress_start (tool, shown && !quiet);
  ok = commit (&m, &how, base, drop);
  for (guint i = 0; i < m.layers->len; i++)
    vm_tool_close (layer (&m, i));
  g_array_unref (m.layers);
  vm_tool_progress_end (tool);
  if (ok && !quiet)
    puts ("Image committed.");
  return !ok;
}
