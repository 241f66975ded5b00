/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2 images that somebody has damaged, by accident or with intent: opening, reading, writing, checking and mending
 * them may fail, but nothing else. The input: which image, then changes of four bytes of offset and eight of contents.
 */
#include "block/create.h"
#include "tests/fuzz/fuzz.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define READ_MAX (4 * VM_MIB)

static const char *const variants[] = {
  "cluster_size=4096",
  "cluster_size=512",
  "cluster_size=16384,extended_l2=on",
  "cluster_size=4096,refcount_bits=1",
  "cluster_size=4096,compat=0.10",
  "cluster_size=4096,compression_type=zstd,refcount_bits=64",
  "cluster_size=65536,lazy_refcounts=on",
};

typedef struct Run
{
  VmBlockGraph *graph;
  const char *path;
  const uint8_t *data;
  size_t size;
} Run;

static VmNode *
open_image (const Run *run, const char *path, unsigned flags)
{
  json_object *options = json_object_new_object (), *file = json_object_new_object ();
  VmNode *node;
  g_autoptr (GError) error = NULL;

  json_object_object_add (file, "driver", json_object_new_string ("file"));
  json_object_object_add (file, "filename", json_object_new_string (path));
  json_object_object_add (options, "driver", json_object_new_string ("qcow2"));
  json_object_object_add (options, "file", file);
  if (flags & VM_OPEN_READONLY)
    json_object_object_add (options, "read-only", json_object_new_boolean (true));
  node = vm_node_open (run->graph, options, VM_SCHEMA_JSON, flags | VM_OPEN_NO_BACKING, &error);
  g_assert_true (node || (error && *error->message));
  json_object_put (options);
  return node;
}

/* Some of all there is: data, zeros, compressed clusters, a snapshot. */
static void
fill (const Run *run, const char *path)
{
  VmNode *node = open_image (run, path, 0);
  g_autofree uint8_t *data = g_malloc (70000);
  VmSnapshotInfo info = { .name = (char *) "one", .icount = UINT64_MAX };
  struct iovec iov;

  g_assert_nonnull (node);
  for (unsigned i = 0; i < 70000; i++)
    data[i] = (uint8_t) (i / 300 + 1);
  vm_node_pwrite (node, 0, data, 70000);
  vm_node_write (node, 131072, vm_vec_buffer (&iov, data, 65536), VM_REQ_COMPRESSED);
  vm_node_write_zeroes (node, 16384, 8192, 0);
  node->driver->snapshot_create (node, &info, NULL); /* not where refcounts are one bit wide */
  g_free (info.id);
  vm_node_pwrite (node, 4096, data, 5000);
  vm_node_unref (node);
}

static char *
make_base (const Run *run, unsigned variant, gsize *size)
{
  g_autofree char *path = g_strdup_printf ("%s.base", run->path);
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec = { .name = path, .format = "qcow2", .size = 300 * VM_KIB, .has_size = true, .options = lists };
  char *bytes = NULL;

  g_ptr_array_add (lists, (char *) (uintptr_t) variants[variant]);
  g_assert_true (vm_image_create (run->graph, &spec, NULL));
  fill (run, path);
  g_assert_true (g_file_get_contents (path, &bytes, size, NULL));
  g_unlink (path);
  return bytes;
}

/* The image before it is damaged; each made once, which takes longer than all the rest. */
static char *
base_image (const Run *run, unsigned variant, gsize *size)
{
  static char *bytes[G_N_ELEMENTS (variants)];
  static gsize lengths[G_N_ELEMENTS (variants)];

  if (!bytes[variant])
    bytes[variant] = make_base (run, variant, &lengths[variant]);
  *size = lengths[variant];
  return g_memdup2 (bytes[variant], *size);
}

static void
damage (const Run *run, char *bytes, gsize size)
{
  for (size_t at = 1; at + 12 <= run->size; at += 12)
    {
      uint64_t offset = vm_load_be32 (run->data + at);
      unsigned len = 1 + (run->data[at + 1] & 7);

      /* The header and the first entries of tables are worth most. */
      offset = run->data[at] < 100   ? offset % 160
               : run->data[at] < 200 ? offset % (size / 512) * 512 + run->data[at + 3] % 4 * 8
                                     : offset % size;
      memcpy (bytes + offset, run->data + at + 4, MIN (len, size - offset));
    }
}

static void
use (VmNode *node, bool write)
{
  uint64_t size = MIN (node->size, READ_MAX);
  g_autofree uint8_t *buffer = g_malloc0 (READ_MAX);
  g_autoptr (GPtrArray) snapshots = node->driver->snapshot_list (node);
  json_object *info = node->driver->describe (node);
  VmExtent extent;

  json_object_put (info);
  for (uint64_t at = 0; at < size; at += 65536 + 512)
    vm_node_pread (node, at, buffer, MIN (size - at, 65536));
  if (node->size > size)
    vm_node_pread (node, node->size - 512, buffer, 512);
  for (uint64_t at = 0; at < size && vm_node_status (node, at, size - at, &extent) >= 0; at += extent.len)
    ;
  if (!write)
    return;
  vm_node_pwrite (node, 1000, buffer, MIN (size, 20000));
  vm_node_write_zeroes (node, 0, MIN (size, 40000), VM_REQ_UNMAP);
  vm_node_discard (node, 0, MIN (size, 131072));
  if (node->size > size)
    vm_node_pwrite (node, node->size - 512, buffer, 512);
  vm_node_flush (node);
  if (snapshots->len)
    node->driver->snapshot_apply (node, ((VmSnapshotInfo *) snapshots->pdata[0])->id, NULL);
  if (snapshots->len)
    node->driver->snapshot_rename (node, ((VmSnapshotInfo *) snapshots->pdata[0])->id, "renamed", NULL);
  if (snapshots->len)
    node->driver->snapshot_delete (node, ((VmSnapshotInfo *) snapshots->pdata[0])->id, NULL, NULL);
}

static void
run_image (void *opaque)
{
  Run *run = opaque;
  gsize size;
  g_autofree char *bytes = base_image (run, run->data[0] % G_N_ELEMENTS (variants), &size);

  damage (run, bytes, size);
  for (unsigned way = 0; way < 4; way++)
    {
      VmNode *node;
      VmCheckResult result = { 0 };

      g_assert_true (g_file_set_contents (run->path, bytes, (gssize) size, NULL));
      node = open_image (run, run->path, way == 0 ? VM_OPEN_READONLY : way == 1 ? 0 : VM_OPEN_CHECK);
      if (!node)
        continue;
      if (way < 2)
        use (node, way == 1);
      else
        node->driver->check (node, &result, way == 2 ? 0 : VM_CHECK_FIX_LEAKS | VM_CHECK_FIX_ERRORS);
      vm_node_unref (node);
      g_assert_cmpint (truncate (run->path, 0), ==, 0);
    }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  g_autofree char *path = g_strdup_printf (
      "%s/fuzz-qcow2-%d", g_file_test ("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp", (int) getpid ());
  Run run = { .path = path, .data = data, .size = size };

  if (!size)
    return;
  run.graph = vm_graph_new (vm_block_drivers, NULL);
  vm_graph_call (run.graph, run_image, &run);
  vm_graph_free (run.graph);
  g_unlink (path);
}

void
fuzz_make (GRand *rand, GByteArray *input)
{
  g_byte_array_set_size (input, 1 + 12 * (guint) g_rand_int_range (rand, 1, 6));
  for (guint i = 0; i < input->len; i++)
    input->data[i] = (uint8_t) (g_rand_int_range (rand, 0, 3) ? g_rand_int (rand) : 0);
}
