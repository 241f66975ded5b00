/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Image formats against a model in memory: random writes, zeros, discards and reads, closing, opening again, checking.
 * Where the peer's image tool is installed, it has to find the same in the image. */
#include "block/create.h"
#include "tests/block/foreign-images.h"
#include "tests/block/graph-test.h"

#include <string.h>

typedef struct Case
{
  const char *format, *options;
  uint64_t size;
  bool no_check; /* the driver has none */
} Case;

static const Case cases[] = {
  { "vdi", NULL, 21 * VM_MIB + 512 * 3 },
  { "vdi", "static=on", 5 * VM_MIB },
  { "vpc", "force_size=on", 21 * VM_MIB + 512 * 3, true },
  { "vpc", "subformat=fixed,force_size=on", 5 * VM_MIB, true },
  { "vhdx", NULL, 21 * VM_MIB + 512 * 3 },
  { "vhdx", "block_size=1M,block_state_zero=off,log_size=3M", 40 * VM_MIB },
  { "vhdx", "subformat=fixed", 5 * VM_MIB },
  { "parallels", NULL, 21 * VM_MIB + 512 * 3 },
  { "parallels", "cluster_size=64k", 9 * VM_MIB },
  { "qed", NULL, 21 * VM_MIB + 512 * 3 },
  { "qed", "cluster_size=4k,table_size=2", 9 * VM_MIB },
  { "vmdk", NULL, 41 * VM_MIB + 512 * 3 },
  { "vmdk", "subformat=monolithicFlat", 5 * VM_MIB },
  { "vmdk", "subformat=twoGbMaxExtentSparse", 9 * VM_MIB },
  { "vmdk", "subformat=twoGbMaxExtentFlat", 5 * VM_MIB },
  { "vmdk", "subformat=streamOptimized", 9 * VM_MIB },
  { "vmdk", "zeroed_grain=on", 9 * VM_MIB },
  { "qcow", NULL, 21 * VM_MIB + 512 * 3, true },
};

typedef struct Rig
{
  GraphTest *test;
  const Case *c;
  char *path;
  uint8_t *model;
  uint64_t size;
  VmNode *node;
  GRand *rand;
  unsigned rounds;
} Rig;

static void
open_image (Rig *rig, bool readonly)
{
  GError *error = NULL;

  rig->node = graph_test_open (
      rig->test, 0, &error, "{'driver':'%s','read-only':%s,'discard':'unmap','file':{'driver':'file','filename':'%s'}}",
      rig->c->format, readonly ? "true" : "false", rig->path);
  g_assert_no_error (error);
  g_assert_cmpuint (rig->node->size, ==, rig->size);
}

static void
close_image (Rig *rig)
{
  vm_node_unref (g_steal_pointer (&rig->node));
}

static void
create_image (Rig *rig)
{
  GError *error = NULL;
  g_autoptr (GPtrArray) options = g_ptr_array_new ();

  if (rig->c->options)
    g_ptr_array_add (options, (char *) rig->c->options);
  vm_image_create (
      rig->test->graph,
      &(VmImageCreate){
          .name = rig->path, .format = rig->c->format, .options = options, .size = rig->size, .has_size = true },
      &error);
  g_assert_no_error (error);
}

static void
compare_all (Rig *rig)
{
  const size_t piece = VM_MIB;
  g_autofree uint8_t *buffer = g_malloc (piece);

  for (uint64_t at = 0; at < rig->size; at += piece)
    {
      size_t n = MIN (piece, rig->size - at);
      g_assert_cmpint (vm_node_pread (rig->node, at, buffer, n), ==, 0);
      g_assert_cmpmem (buffer, n, rig->model + at, n);
    }
}

/* What status says must be so. */
static void
compare_status (Rig *rig)
{
  for (uint64_t at = 0; at < rig->size;)
    {
      VmExtent extent;
      g_assert_cmpint (vm_node_status (rig->node, at, rig->size - at, &extent), ==, 0);
      for (uint64_t i = 0; (extent.flags & VM_EXTENT_ZERO) && i < extent.len; i++)
        g_assert_cmpint (rig->model[at + i], ==, 0);
      if (extent.flags & VM_EXTENT_HAS_OFFSET)
        {
          uint8_t one;
          g_assert_cmpint (vm_node_pread (extent.file, extent.file_offset, &one, 1), ==, 0);
          g_assert_cmpint (one, ==, rig->model[at]);
        }
      at += extent.len;
    }
}

static void
step (Rig *rig)
{
  GRand *r = rig->rand;
  uint64_t max = g_rand_int_range (r, 0, 4) ? 9000 : 3 * VM_MIB, unit = g_rand_boolean (r) ? 512 : 1;
  uint64_t offset = g_rand_int_range (r, 0, rig->size), len = g_rand_int_range (r, 1, max);

  offset = offset / unit * unit;
  len = MIN (VM_ALIGN_UP (len, unit), rig->size - offset);
  g_autofree uint8_t *buffer = g_malloc (len);
  switch (g_rand_int_range (r, 0, 6))
    {
    case 0:
    case 1:
    case 2:
      memset (buffer, g_rand_int (r), len);
      memset (buffer, g_rand_int (r), len / 2);
      g_assert_cmpint (vm_node_pwrite (rig->node, offset, buffer, len), ==, 0);
      memcpy (rig->model + offset, buffer, len);
      break;
    case 3:
      g_assert_cmpint (vm_node_write_zeroes (rig->node, offset, len, g_rand_boolean (r) ? VM_REQ_UNMAP : 0), ==, 0);
      memset (rig->model + offset, 0, len);
      break;
    case 4:
      g_assert_cmpint (vm_node_discard (rig->node, offset, len), ==, 0);
      g_assert_cmpint (vm_node_pread (rig->node, offset, rig->model + offset, len), ==, 0); /* either */
      break;
    case 5:
      g_assert_cmpint (vm_node_pread (rig->node, offset, buffer, len), ==, 0);
      g_assert_cmpmem (buffer, len, rig->model + offset, len);
      break;
    }
}

static void
check_image (Rig *rig)
{
  VmCheckResult result = { 0 };

  if (rig->c->no_check)
    return;
  g_assert_nonnull (rig->node->driver->check);
  g_assert_cmpint (rig->node->driver->check (rig->node, &result, 0), ==, 0);
  g_assert_cmpuint (result.corruptions, ==, 0);
  g_assert_cmpuint (result.check_errors, ==, 0);
  g_assert_cmpuint (result.leaks, ==, 0);
}

static void
in_fiber (void *opaque)
{
  Rig *rig = opaque;

  if (!rig->node && !g_file_test (rig->path, G_FILE_TEST_EXISTS))
    create_image (rig);
  for (unsigned round = 0; round < rig->rounds; round++)
    {
      open_image (rig, false);
      compare_all (rig);
      for (unsigned i = 0; i < 60; i++)
        step (rig);
      g_assert_cmpint (vm_node_flush (rig->node), ==, 0);
      check_image (rig);
      compare_status (rig);
      close_image (rig);
    }
  open_image (rig, true);
  compare_all (rig);
  check_image (rig);
  close_image (rig);
}

/* --- the peer's opinion ------------------------------------------------------------------------------------ */

static int
run_peer (const char *const *argv)
{
  g_autofree char *out = NULL, *err = NULL;
  int status = -1;

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, NULL));
  if (status)
    g_test_message ("%s %s: %s%s", argv[0], argv[1], out, err);
  return status;
}

static void
ask_peer (Rig *rig)
{
  g_autofree char *peer = g_find_program_in_path ("qemu-img"), *raw = g_strconcat (rig->path, ".raw", NULL);

  if (!peer)
    return;
  g_assert_true (g_file_set_contents (raw, (char *) rig->model, rig->size, NULL));
  g_assert_cmpint (run_peer ((const char *const[]){ "qemu-img", "compare", "-f", rig->c->format, "-F", "raw", rig->path,
                                                    raw, NULL }),
                   ==, 0);
  if (!rig->c->no_check)
    g_assert_cmpint (run_peer ((const char *const[]){ "qemu-img", "check", "-f", rig->c->format, rig->path, NULL }), ==,
                     0);
}

/* An image that the peer has made is gone on with. */
static void
make_by_peer (Rig *rig)
{
  g_autofree char *size = g_strdup_printf ("%" G_GUINT64_FORMAT, rig->size);
  const char *options = rig->c->options ? rig->c->options : "size";
  g_autofree char *list = rig->c->options ? g_strdup (options) : g_strdup_printf ("size=%s", size);

  g_assert_cmpint (run_peer ((const char *const[]){ "qemu-img", "create", "-q", "-f", rig->c->format, "-o", list,
                                                    rig->path, rig->c->options ? size : NULL, NULL }),
                   ==, 0);
}

static void
run_case (const Case *c, bool by_peer)
{
  Rig rig = { .test = graph_test_new (), .c = c, .size = c->size, .rounds = 3 };

  rig.rand = g_rand_new_with_seed (g_test_rand_int ());
  rig.path = g_build_filename (rig.test->dir, "image", NULL);
  rig.model = g_malloc0 (c->size);
  if (by_peer)
    make_by_peer (&rig);
  vm_graph_call (rig.test->graph, in_fiber, &rig);
  ask_peer (&rig);
  g_free (rig.model);
  g_free (rig.path);
  g_rand_free (rig.rand);
  graph_test_free (rig.test);
}

static void
test_ours (gconstpointer data)
{
  run_case (data, false);
}

static void
test_peers (gconstpointer data)
{
  g_autofree char *peer = g_find_program_in_path ("qemu-img");

  if (peer)
    run_case (data, true);
  else
    g_test_skip ("qemu-img is not installed");
}

/* --- formats that we only read ------------------------------------------------------------------------------- */

typedef struct Foreign
{
  const char *format;
  GByteArray *(*make) (const uint8_t *data, gsize size);
} Foreign;
static const Foreign foreign[] = { { "bochs", foreign_bochs }, { "cloop", foreign_cloop }, { "dmg", foreign_dmg } };

static void
read_only (void *opaque)
{
  Rig *rig = opaque;
  GError *error = NULL;

  open_image (rig, true);
  compare_all (rig);
  compare_status (rig);
  g_assert_cmpint (vm_node_pwrite (rig->node, 0, "x", 1), <, 0);
  close_image (rig);
  graph_test_open (rig->test, 0, &error, "{'driver':'%s','file':{'driver':'file','filename':'%s'}}", rig->c->format,
                   rig->path);
  g_assert_nonnull (error);
  g_clear_error (&error);
}

static void
test_foreign (gconstpointer data)
{
  const Foreign *f = data;
  Case c = { .format = f->format, .size = 320 * VM_KIB, .no_check = true };
  Rig rig = { .test = graph_test_new (), .c = &c, .size = c.size };

  rig.path = g_build_filename (rig.test->dir, "image", NULL);
  rig.model = g_malloc0 (c.size);
  for (gsize i = 0; i < c.size; i++)
    rig.model[i] = i / 40000 % 2 ? i / 300 + i % 7 : 0;
  GByteArray *bytes = f->make (rig.model, c.size);
  g_assert_true (g_file_set_contents (rig.path, (char *) bytes->data, bytes->len, NULL));
  g_byte_array_unref (bytes);
  vm_graph_call (rig.test->graph, read_only, &rig);
  if (strcmp (f->format, "dmg")) /* whose bzip2 is a module that may be missing */
    ask_peer (&rig);
  g_free (rig.model);
  g_free (rig.path);
  graph_test_free (rig.test);
}

/* --- backing files ---------------------------------------------------------------------------------------------- */

static void
over_backing (void *opaque)
{
  Rig *rig = opaque;
  g_autofree char *base = g_strconcat (rig->path, ".base", NULL);
  const char *base_format = strcmp (rig->c->format, "vmdk") ? "raw" : "vmdk";
  GError *error = NULL;
  gsize base_size = rig->size - 70000 / 512 * 512; /* shorter than what is put over it */

  for (gsize i = 0; i < base_size; i++)
    rig->model[i] = i / 1000 + i % 3;
  if (strcmp (base_format, "raw"))
    {
      Case c = { .format = base_format, .size = base_size };
      Rig below = { .test = rig->test, .c = &c, .path = base, .size = base_size, .model = rig->model };
      create_image (&below);
      open_image (&below, false);
      g_assert_cmpint (vm_node_pwrite (below.node, 0, rig->model, base_size), ==, 0);
      close_image (&below);
    }
  else
    g_assert_true (g_file_set_contents (base, (char *) rig->model, base_size, NULL));
  vm_image_create (rig->test->graph,
                   &(VmImageCreate){ .name = rig->path,
                                     .format = rig->c->format,
                                     .backing = base,
                                     .backing_format = base_format,
                                     .size = rig->size,
                                     .has_size = true },
                   &error);
  g_assert_no_error (error);
  open_image (rig, false);
  g_assert_nonnull (rig->node->backing_name);
  rig->node = (vm_node_unref (rig->node), NULL);
  rig->node = vm_node_open_name (rig->test->graph, rig->path, rig->c->format, NULL, 0, &error);
  g_assert_no_error (error);
  g_assert_nonnull (rig->node->backing);
  /* Tests own nodes as a device does. */
  static const VmRootClass root = { .kind = "test" };
  VmEdge *edge
      = vm_node_attach_root (rig->node, "test", &root, NULL, VM_PERM_READ | VM_PERM_WRITE, VM_PERM_ALL, &error);
  g_assert_no_error (error);
  compare_all (rig);
  for (unsigned i = 0; i < 80; i++)
    step (rig);
  compare_all (rig);
  check_image (rig);
  vm_node_detach (edge);
  close_image (rig);
}

static void
test_backing (gconstpointer data)
{
  Case c = { .format = data, .size = 3 * VM_MIB, .no_check = !strcmp (data, "qcow") };
  Rig rig = { .test = graph_test_new (), .c = &c, .size = c.size };

  rig.rand = g_rand_new_with_seed (g_test_rand_int ());
  rig.path = g_build_filename (rig.test->dir, "image", NULL);
  rig.model = g_malloc0 (c.size);
  vm_graph_call (rig.test->graph, over_backing, &rig);
  ask_peer (&rig);
  g_free (rig.model);
  g_free (rig.path);
  g_rand_free (rig.rand);
  graph_test_free (rig.test);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *name
          = g_strdup_printf ("/formats/%s/%s", cases[i].format, cases[i].options ? cases[i].options : "plain");
      g_autofree char *peers = g_strconcat (name, "-of-peer", NULL);
      g_test_add_data_func (name, &cases[i], test_ours);
      g_test_add_data_func (peers, &cases[i], test_peers);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (foreign); i++)
    {
      g_autofree char *name = g_strdup_printf ("/formats/%s/read", foreign[i].format);
      g_test_add_data_func (name, &foreign[i], test_foreign);
    }
  g_test_add_data_func ("/formats/qed/backing", "qed", test_backing);
  g_test_add_data_func ("/formats/qcow/backing", "qcow", test_backing);
  g_test_add_data_func ("/formats/vmdk/backing", "vmdk", test_backing);
  return g_test_run ();
}
