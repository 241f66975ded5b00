/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2: what is refused and in which words, what is done about damage, many requests at once. Interchange with another
 * program, kills and hostile images are tests of their own. */
#include "block/create.h"
#include "tests/block/graph-test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct Rig
{
  GraphTest *test;
  char *path;
  VmNode *node;
} Rig;

static void
make (Rig *rig, const char *options, uint64_t size)
{
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec = { .name = rig->path, .format = "qcow2", .size = size, .has_size = true, .options = lists };
  GError *error = NULL;

  if (options)
    g_ptr_array_add (lists, (char *) (uintptr_t) options);
  vm_image_create (rig->test->graph, &spec, &error);
  g_assert_no_error (error);
}

static void
open_image (Rig *rig, bool readonly, GError **error)
{
  rig->node = graph_test_open (rig->test, 0, error,
                               "{'driver':'qcow2','read-only':%s,'file':{'driver':'file','filename':'%s'}}",
                               readonly ? "true" : "false", rig->path);
}

static void
close_image (Rig *rig)
{
  vm_node_unref (g_steal_pointer (&rig->node));
}

static void
poke (Rig *rig, uint64_t offset, uint64_t value, unsigned bytes)
{
  int fd = open (rig->path, O_WRONLY);
  uint8_t big[8];

  vm_store_be64 (big, value);
  g_assert_cmpint (pwrite (fd, big + 8 - bytes, bytes, (off_t) offset), ==, bytes);
  close (fd);
}

static void
run (void (*func) (Rig *rig))
{
  Rig rig = { .test = graph_test_new () };

  rig.path = g_build_filename (rig.test->dir, "image.qcow2", NULL);
  vm_graph_call (rig.test->graph, (VmFiberFunc) (void (*) (void)) func, &rig);
  graph_test_free (rig.test);
  g_free (rig.path);
}

/* --- refusals -------------------------------------------------------------------------------------------------------
 */

static const struct
{
  uint64_t offset, value;
  unsigned bytes;
  const char *words;
} refused[] = {
  { 0, 0x51464900, 4, "Image is not in qcow2 format" },
  { 4, 1, 4, "Unsupported qcow2 version 1" },
  { 20, 8, 4, "Unsupported cluster size: 2^8" },
  { 20, 22, 4, "Unsupported cluster size: 2^22" },
  { 100, 100, 4, "qcow2 header too short" },
  { 100, 65544, 4, "qcow2 header exceeds cluster size" },
  { 8, 65537, 8, "Invalid backing file offset" },
  { 72, UINT64_C (1) << 40, 8, "Unsupported qcow2 feature(s): Unknown incompatible feature: 10000000000" },
  { 72, 2, 8, "qcow2: Image is corrupt; cannot be opened read/write" },
  { 72, 8, 8, "qcow2: Compression type incompatible feature bit must not be set" },
  { 96, 7, 4, "Reference count entry width too large; may not exceed 64 bits" },
  { 32, 3, 4, "Unsupported encryption method 3" },
  { 32, 2, 4, "Missing CRYPTO header for crypt method 2" },
  { 36, 0x7fffffff, 4, "Active L1 table too large" },
  { 36, 1, 4, "L1 table is too small" },
  { 40, 0x30001, 8, "Active L1 table offset invalid" },
  { 48, 0x10001, 8, "Reference count table offset invalid" },
  { 56, 0, 4, "Image does not contain a reference count table" },
  { 56, 0x7fffffff, 4, "Reference count table too large" },
  { 60, 70000, 4, "Snapshot table too large" },
  { 24, UINT64_C (1) << 62, 8, "Image is too big" },
  { 88, 2, 8, "data-file-raw requires a data file" },
  { 116, 0x10000, 4, "Header extension too large" },
};

static void
test_refused (Rig *rig)
{
  for (unsigned i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      GError *error = NULL;

      make (rig, NULL, VM_GIB);
      poke (rig, refused[i].offset, refused[i].value, refused[i].bytes);
      open_image (rig, false, &error);
      g_assert_null (rig->node);
      graph_test_fails (error, refused[i].words);
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

/* A table that points to another one: a write there is prevented, and the image is marked. */
static void
test_overlap (Rig *rig)
{
  GError *error = NULL;
  uint8_t byte = 1;

  make (rig, NULL, 64 * VM_MIB);
  open_image (rig, false, &error);
  g_assert_no_error (error);
  g_assert_cmpint (vm_node_pwrite (rig->node, 0, &byte, 1), ==, 0);
  close_image (rig);
  poke (rig, 0x40000, UINT64_C (0x8000000000010000), 8); /* the first L2 entry: the refcount table */
  open_image (rig, false, &error);
  g_assert_no_error (error);
  g_assert_cmpint (vm_node_pwrite (rig->node, 0, &byte, 1), ==, -EIO);
  g_assert_cmpint (vm_node_pwrite (rig->node, 65536, &byte, 1), ==, -EIO);
  close_image (rig);
  open_image (rig, false, &error);
  graph_test_fails (error, "qcow2: Image is corrupt; cannot be opened read/write");
  open_image (rig, true, &error);
  g_assert_no_error (error);
  close_image (rig);
}

/* --- many at once ----------------------------------------------------------------------------- */

enum
{
  FIBERS = 24,
  SLOT = 3000, /* bytes of each fiber in turn: they share clusters */
  SLOTS = 40,
};

typedef struct Many
{
  Rig *rig;
  unsigned running;
  VmFiberQueue done;
  uint8_t model[FIBERS * SLOT * SLOTS];
} Many;

typedef struct Worker
{
  Many *many;
  unsigned index;
} Worker;

static void
work (void *opaque)
{
  Worker *w = opaque;
  Many *m = w->many;
  uint8_t data[SLOT];

  for (unsigned i = 0; i < SLOTS; i++)
    {
      uint64_t offset = ((uint64_t) i * 7 % SLOTS * FIBERS + w->index) * SLOT;

      memset (data, (int) (w->index + i * 3 + 1), SLOT);
      memcpy (m->model + offset, data, SLOT);
      g_assert_cmpint (vm_node_pwrite (m->rig->node, offset, data, SLOT), ==, 0);
      if (i % 9 == 0)
        g_assert_cmpint (vm_node_flush (m->rig->node), ==, 0);
      g_assert_cmpint (vm_node_pread (m->rig->node, offset, data, SLOT), ==, 0);
      g_assert_cmpmem (data, SLOT, m->model + offset, SLOT);
    }
  m->running--;
  vm_fiber_queue_wake_all (&m->done);
}

static void
many (Rig *rig, const char *options)
{
  Many *m = g_new0 (Many, 1);
  Worker workers[FIBERS];
  g_autofree uint8_t *data = g_malloc (sizeof m->model);
  VmCheckResult result = { 0 };
  GError *error = NULL;

  m->rig = rig;
  make (rig, options, VM_ALIGN_UP (sizeof m->model, 512));
  open_image (rig, false, &error);
  g_assert_no_error (error);
  for (unsigned i = 0; i < FIBERS; i++)
    {
      workers[i] = (Worker){ m, i };
      m->running++;
      vm_fiber_spawn (vm_graph_loop (rig->test->graph), work, workers + i);
    }
  while (m->running)
    vm_fiber_queue_wait (&m->done);
  close_image (rig);
  open_image (rig, false, &error);
  g_assert_no_error (error);
  g_assert_cmpint (vm_node_pread (rig->node, 0, data, sizeof m->model), ==, 0);
  g_assert_cmpmem (data, sizeof m->model, m->model, sizeof m->model);
  g_assert_cmpint (rig->node->driver->check (rig->node, &result, 0), ==, 0);
  g_assert_cmpuint (result.corruptions + result.leaks + result.check_errors, ==, 0);
  close_image (rig);
  g_free (m);
}

static void
test_many (Rig *rig)
{
  many (rig, NULL);
  many (rig, "cluster_size=512");
  many (rig, "cluster_size=512,refcount_bits=64");
  many (rig, "extended_l2=on");
  many (rig, "lazy_refcounts=on,cluster_size=4096");
}

static void
refusals (void)
{
  run (test_refused);
}

static void
overlap (void)
{
  run (test_overlap);
}

static void
at_once (void)
{
  run (test_many);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/qcow2/refused", refusals);
  g_test_add_func ("/qcow2/overlap", overlap);
  g_test_add_func ("/qcow2/at-once", at_once);
  return g_test_run ();
}
