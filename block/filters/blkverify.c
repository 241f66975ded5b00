/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An image beside a raw one with the same data: each read compares the two. */
#include "block/node.h"

#include "engine/base/log.h"

#include <errno.h>

typedef struct Blkverify
{
  VmEdge *test, *raw;
} Blkverify;

static bool
blkverify_open (VmNode *node, const void *options, GError **error)
{
  Blkverify *s = node->state;

  if (!(s->raw = vm_node_open_child (node, "raw", VM_ROLE_DATA, true, error))
      || !(s->test = vm_node_open_child (node, "test", VM_ROLE_FILTERED | VM_ROLE_PRIMARY, true, error)))
    return false;
  node->size = s->test->node->size;
  node->limits = s->test->node->limits;
  node->limits.alignment = MAX (node->limits.alignment, s->raw->node->limits.alignment);
  return true;
}

/* Both are asked at once; FUNC is done for the raw one beside. */
typedef struct Twin
{
  int (*func) (struct Twin *twin, VmNode *node, VmVec vec);
  VmNode *node;
  uint64_t offset, len;
  VmVec vec;
  unsigned flags;
  int status;
  bool done;
  VmFiberQueue waiting;
} Twin;

static void
run_twin (void *opaque)
{
  Twin *twin = opaque;

  twin->status = twin->func (twin, twin->node, twin->vec);
  twin->done = true;
  vm_fiber_queue_wake_all (&twin->waiting);
}

static int
on_both (VmNode *node, Twin *twin, VmVec vec)
{
  Blkverify *s = node->state;
  int status;

  twin->node = s->raw->node;
  vm_fiber_spawn (vm_graph_loop (node->graph), run_twin, twin);
  status = twin->func (twin, s->test->node, vec);
  while (!twin->done)
    vm_fiber_queue_wait (&twin->waiting);
  if (status == twin->status)
    return status;
  vm_report_error ("blkverify: '%s' answers '%s', '%s' answers '%s' at offset %" PRIu64, s->test->node->filename,
                   g_strerror (-status), s->raw->node->filename, g_strerror (-twin->status), twin->offset);
  return -EIO;
}

static int
do_read (Twin *twin, VmNode *node, VmVec vec)
{
  return vm_node_read (node, twin->offset, vec, twin->flags);
}

static int
do_write (Twin *twin, VmNode *node, VmVec vec)
{
  return vm_node_write (node, twin->offset, vec, twin->flags);
}

static int
do_write_zeroes (Twin *twin, VmNode *node, VmVec vec)
{
  return vm_node_write_zeroes (node, twin->offset, twin->len, twin->flags);
}

static uint64_t
first_difference (VmVec vec, const uint8_t *other)
{
  g_autofree uint8_t *mine = g_malloc (MAX (vec.size, 1));
  uint64_t at = 0;

  vm_vec_read (vec, 0, mine, vec.size);
  while (at < vec.size && mine[at] == other[at])
    at++;
  return at;
}

static int
blkverify_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  g_autofree uint8_t *other = g_try_malloc0 (MAX (vec.size, 1));
  struct iovec iov;
  Twin twin = { .func = do_read, .offset = offset, .vec = vm_vec_buffer (&iov, other, vec.size), .flags = flags };
  int status = other ? on_both (node, &twin, vec) : -ENOMEM;
  uint64_t at;

  if (status < 0 || (at = first_difference (vec, other)) == vec.size)
    return status;
  vm_report_error ("blkverify: contents mismatch at offset %" PRIu64, offset + at);
  return -EIO;
}

static int
blkverify_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return on_both (node, &(Twin){ .func = do_write, .offset = offset, .vec = vec, .flags = flags }, vec);
}

static int
blkverify_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return on_both (node, &(Twin){ .func = do_write_zeroes, .offset = offset, .len = len }, (VmVec){ 0 });
}

/* What lies where is the tested image's; but a fault in that must show when it is read. */
static int
blkverify_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  *extent = (VmExtent){ .len = len, .flags = VM_EXTENT_DATA | VM_EXTENT_ALLOCATED };
  return 0;
}

/* "blkverify:RAW:IMAGE" */
static bool
blkverify_parse_name (const char *name, json_object *options, GError **error)
{
  const char *raw = name + strlen ("blkverify:"), *colon = strchr (raw, ':');
  json_object *child;

  if (!colon)
    return vm_fail (error, "blkverify requires raw copy and original image path");
  g_autofree char *path = g_strndup (raw, colon - raw);
  json_object_object_add (options, "raw", child = json_object_new_object ());
  json_object_object_add (child, "filename", json_object_new_string (path));
  json_object_object_add (options, "test", child = json_object_new_object ());
  json_object *file = json_object_new_object ();
  json_object_object_add (child, "file", file);
  json_object_object_add (file, "filename", json_object_new_string (colon + 1));
  return true;
}

static const char *const blkverify_schemes[] = { "blkverify", NULL };

const VmBlockDriver vm_blkverify_driver = {
  .name = "blkverify",
  .help = "Compares an image with a raw one",
  .kind = VM_DRIVER_FILTER,
  .state_size = sizeof (Blkverify),
  .schemes = blkverify_schemes,
  .parse_name = blkverify_parse_name,
  .open = blkverify_open,
  .read = blkverify_read,
  .write = blkverify_write,
  .write_zeroes = blkverify_write_zeroes,
  .status = blkverify_status,
};
