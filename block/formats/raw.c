/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw images: the file as it is, or a part of it. */
#include "block/node.h"

#include "engine/schema/types.h"

#include <errno.h>

#define SECTOR 512

typedef struct RawState
{
  uint64_t offset, size;
  bool has_size;
} RawState;

static int
raw_probe (const uint8_t *head, size_t n, VmNode *file)
{
  return 1; /* whatever nobody else knows */
}

static bool
check_part (VmNode *node, const RawState *s, GError **error)
{
  uint64_t total = node->file->node->size;

  if (s->offset > total)
    return vm_fail (error,
                    "Offset (%" G_GUINT64_FORMAT
                    ") cannot be greater than size of the containing file (%" G_GUINT64_FORMAT ")",
                    s->offset, total);
  if (s->has_size && s->size % SECTOR)
    return vm_fail (error, "Specified size is not multiple of %d", SECTOR);
  if (s->has_size && s->size > total - s->offset)
    return vm_fail (error,
                    "The sum of offset (%" G_GUINT64_FORMAT ") and size (%" G_GUINT64_FORMAT
                    ") has to be smaller or equal to the  actual size of the containing file (%" G_GUINT64_FORMAT ")",
                    s->offset, s->size, total);
  return true;
}

static void
raw_refresh_size (VmNode *node)
{
  const RawState *s = node->state;
  uint64_t total = node->file->node->size;

  node->size = s->has_size ? s->size : total > s->offset ? total - s->offset : 0;
}

static bool
raw_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsRaw *options = opaque;
  RawState *s = node->state;

  s->offset = options->has_offset ? options->offset : 0;
  s->has_size = options->has_size;
  s->size = options->size;
  if (!vm_node_open_child (node, "file", VM_ROLE_DATA | VM_ROLE_PRIMARY, true, error) || !check_part (node, s, error))
    return false;
  if (node->file->node->readonly && !node->readonly && node->auto_readonly)
    node->readonly = true;
  raw_refresh_size (node);
  node->limits = node->file->node->limits;
  node->write_flags = VM_REQ_FUA;
  node->zero_flags = VM_REQ_UNMAP;
  return true;
}

/* What it is asked for: it keeps nothing of its own. */
static void
raw_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                 unsigned *child_shared)
{
  *child_perm = perm;
  *child_shared = shared;
}

static int
raw_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  const RawState *s = node->state;

  vm_node_event (node->file->node, VMQ_BLKDEBUG_EVENT_READ_AIO);
  return vm_node_read (node->file->node, s->offset + offset, vec, flags);
}

/* Nobody said that this is raw: a guest must not write what would make it another format the next time. */
static bool
would_change_format (VmNode *node, uint64_t offset, VmVec vec)
{
  uint8_t head[SECTOR];

  if (!node->guessed || offset >= SECTOR || !vec.size)
    return false;
  if (vm_node_read (node, 0, vm_vec (&(struct iovec){ head, sizeof head }, 1), 0) < 0)
    return true;
  vm_vec_read (vec, 0, head + offset, MIN (vec.size, SECTOR - offset));
  for (const VmBlockDriver *const *d = vm_graph_drivers (node->graph); *d; d++)
    if (*d != node->driver && (*d)->probe && (*d)->probe (head, sizeof head, node->file->node) > 1)
      return true;
  return false;
}

static int
raw_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  const RawState *s = node->state;

  if (s->has_size && (offset > s->size || vec.size > s->size - offset))
    return -ENOSPC;
  if (would_change_format (node, offset, vec))
    return -EPERM;
  vm_node_event (node->file->node, VMQ_BLKDEBUG_EVENT_WRITE_AIO);
  return vm_node_write (node->file->node, s->offset + offset, vec, flags);
}

static int
raw_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  const RawState *s = node->state;

  if (s->has_size && (offset > s->size || len > s->size - offset))
    return -ENOSPC;
  return vm_node_write_zeroes (node->file->node, s->offset + offset, len, flags);
}

static int
raw_discard (VmNode *node, uint64_t offset, uint64_t len)
{
  const RawState *s = node->state;

  return vm_node_discard (node->file->node, s->offset + offset, len);
}

static int
raw_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  const RawState *s = node->state;

  *extent = (VmExtent){ .len = len,
                        .flags = VM_EXTENT_ALLOCATED | VM_EXTENT_HAS_OFFSET | VM_EXTENT_DATA,
                        .file_offset = s->offset + offset,
                        .file = node->file->node };

  VmExtent below;
  int status = vm_node_status (node->file->node, s->offset + offset, len, &below);

  if (status < 0)
    return status;
  extent->len = below.len;
  if (below.flags & VM_EXTENT_ZERO)
    extent->flags |= VM_EXTENT_ZERO;
  if (!(below.flags & VM_EXTENT_DATA))
    extent->flags &= ~(unsigned) VM_EXTENT_DATA;
  return 0;
}

static int
raw_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  const RawState *s = node->state;

  if (s->has_size)
    return vm_fail (error, "Cannot resize fixed-size raw disks"), -ENOTSUP;
  if (INT64_MAX - s->offset < size)
    return vm_fail (error, "Disk size too large for the chosen offset"), -EINVAL;

  int status = vm_node_truncate (node->file->node, s->offset + size, exact, prealloc, flags, error);

  raw_refresh_size (node);
  return status;
}

static bool
raw_create (VmBlockGraph *graph, VmNode *file, const char *name, uint64_t size, const VmCreateValues *values,
            GError **error)
{
  const char *prealloc = values ? vm_create_text (values, "preallocation") : NULL;
  VmPreallocation mode = VM_PREALLOC_OFF;

  if (prealloc && !strcmp (prealloc, "falloc"))
    mode = VM_PREALLOC_FALLOC;
  else if (prealloc && !strcmp (prealloc, "full"))
    mode = VM_PREALLOC_FULL;
  else if (prealloc && strcmp (prealloc, "off") != 0)
    return vm_fail (error, "Invalid parameter '%s'", prealloc);
  if (!file)
    return true;
  /* A file that is made for it has its size already. */
  return (file->size == size && mode == VM_PREALLOC_OFF) || vm_node_truncate (file, size, false, mode, 0, error) >= 0;
}

static bool
raw_measure (const VmCreateValues *values, uint64_t size, VmNode *source, uint64_t *required, uint64_t *fully,
             uint64_t *bitmaps, GError **error)
{
  *required = *fully = VM_ALIGN_UP (source ? source->size : size, SECTOR);
  return true;
}

static const VmCreateOption raw_create_options[] = {
  { "preallocation", 's', NULL, "Preallocation mode (allowed values: off, falloc, full)", false },
  { 0 },
};

const VmBlockDriver vm_raw_driver = {
  .name = "raw",
  .help = "The bytes of the disk as they are",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (RawState),
  .grows = true,
  .probe = raw_probe,
  .open = raw_open,
  .child_perms = raw_child_perms,
  .read = raw_read,
  .write = raw_write,
  .write_zeroes = raw_write_zeroes,
  .discard = raw_discard,
  .status = raw_status,
  .truncate = raw_truncate,
  .refresh_size = raw_refresh_size,
  .create = raw_create,
  .create_options = raw_create_options,
  .measure = raw_measure,
};
