/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The graph without a machine: opening, chains, permissions, drained sections, requests that are not aligned. */
#include "block/create.h"
#include "tests/block/graph-test.h"

#include <errno.h>
#include <string.h>

/* --- opening --------------------------------------------------------------------------------------------- */

static void
open_and_move (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "a.img", 100000);
  GError *error = NULL;
  char buffer[1000];
  VmNode *node = graph_test_open (t, 0, &error,
                                  "{'driver':'raw','node-name':'a','file':{'driver':'file',"
                                  "'filename':'%s'}}",
                                  path);

  g_assert_no_error (error);
  g_assert_cmpuint (node->size, ==, 100000);
  g_assert_true (vm_node_find (t->graph, "a") == node);
  g_assert_cmpint (vm_node_pread (node, 251 * 10, buffer, 1000), ==, 0);
  for (unsigned i = 0; i < 1000; i++)
    g_assert_cmpint ((uint8_t) buffer[i], ==, i % 251 + 1);
  memset (buffer, 0xaa, sizeof buffer);
  g_assert_cmpint (vm_node_pwrite (node, 5, buffer, 10), ==, 0);
  g_assert_cmpint (vm_node_flush (node), ==, 0);
  g_assert_cmpint (vm_node_pread (node, 0, buffer, 20), ==, 0);
  g_assert_cmpint (buffer[4], ==, 5);
  g_assert_cmpint ((uint8_t) buffer[5], ==, 0xaa);
  g_assert_cmpint ((uint8_t) buffer[14], ==, 0xaa);
  g_assert_cmpint (buffer[15], ==, 16);
  /* Beyond the end: zeros. */
  memset (buffer, 1, sizeof buffer);
  g_assert_cmpint (vm_node_pread (node, 99990, buffer, 100), ==, 0);
  g_assert_cmpint (buffer[10], ==, 0);
  vm_node_unref (node);
  g_assert_cmpuint (vm_graph_nodes (t->graph)->len, ==, 0);
}

static void
open_fails (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "a.img", 4096);
  GError *error = NULL;
  g_autofree char *missing = g_strdup_printf ("Could not open '%s.no': No such file or directory", path);

  graph_test_open (t, 0, &error, "{'driver':'raw','node-name':'a','file':'nope'}");
  graph_test_fails (error, "Cannot find device='nope' nor node-name='nope'");
  graph_test_open (t, 0, &error, "{'driver':'raw'}");
  graph_test_fails (error, "Parameter 'file' is missing");
  graph_test_open (t, 0, &error, "{'driver':'raw','file':{'driver':'file'}}");
  graph_test_fails (error, "Parameter 'file.filename' is missing");
  graph_test_open (t, 0, &error, "{'driver':'raw','file.driver':'file','file.filename':'%s.no'}", path);
  graph_test_fails (error, missing);
  graph_test_open (t, 0, &error, "{'driver':'raw','node-name':'a b','file.driver':'file','file.filename':'%s'}", path);
  graph_test_fails (error, "Invalid node-name: 'a b'");
  graph_test_open (t, 0, &error, "{'driver':'file','filename':'/'}");
  graph_test_fails (error, "Could not open '/': Is a directory");
  graph_test_open (t, 0, &error, "{'driver':'host_device','filename':'/dev'}");
  graph_test_fails (error, "Could not open '/dev': Is a directory");
  graph_test_open (t, 0, &error, "{'driver':'raw','size':100,'file':{'driver':'null-co'}}");
  graph_test_fails (error, "Specified size is not multiple of 512");
  graph_test_open (t, 0, &error, "{'driver':'raw','size':8192,'file.driver':'file','file.filename':'%s'}", path);
  graph_test_fails (error,
                    "The sum of offset (0) and size (8192) has to be smaller or equal to the  actual size of the "
                    "containing file (4096)");
  graph_test_open (t, 0, &error, "{'driver':'no-such','node-name':'a'}");
  graph_test_fails (error, "Parameter 'driver' does not accept value 'no-such'");
  graph_test_open (t, 0, &error, "{'driver':'null-co','force-share':true}");
  graph_test_fails (error, "force-share=on can only be used with read-only images");
  g_assert_cmpuint (vm_graph_nodes (t->graph)->len, ==, 0);
}

/* --- permissions --------------------------------------------------------------------------------------------- */

static const VmRootClass test_root = { .kind = "device" };

static void
conflicts (GraphTest *t)
{
  GError *error = NULL;
  VmNode *node = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'n'}");
  VmNode *ro = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'ro','read-only':true}");
  VmEdge *a = vm_node_attach_root (node, "d0", &test_root, NULL, VM_PERM_READ | VM_PERM_WRITE,
                                   VM_PERM_ALL & ~VM_PERM_WRITE, &error);

  g_assert_no_error (error);
  g_assert_null (vm_node_attach_root (node, "d1", &test_root, NULL, VM_PERM_READ | VM_PERM_WRITE, VM_PERM_ALL, &error));
  graph_test_fails (error, "Permission conflict on node 'n': permissions 'write' are both required by block device "
                           "'d1' (uses node 'n' as 'root' child) and unshared by block device 'd0' (uses node 'n' as "
                           "'root' child).");
  VmEdge *b = vm_node_attach_root (node, "d1", &test_root, NULL, VM_PERM_READ, VM_PERM_ALL, &error);
  g_assert_no_error (error);
  g_assert_false (vm_edge_set_perms (b, VM_PERM_WRITE, VM_PERM_ALL, NULL));
  g_assert_cmpuint (b->perm, ==, VM_PERM_READ);
  g_assert_null (vm_node_attach_root (ro, "d2", &test_root, NULL, VM_PERM_WRITE, VM_PERM_ALL, &error));
  graph_test_fails (error, "Block node is read-only");
  vm_node_detach (a);
  g_assert_true (vm_edge_set_perms (b, VM_PERM_WRITE, VM_PERM_ALL, NULL));
  vm_node_detach (b);
  vm_node_unref (node);
  vm_node_unref (ro);
}

static void
locks (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "l.img", 4096);
  g_autofree char *write_lock
      = g_strdup_printf ("Failed to get \"write\" lock\nIs another process using the image [%s]?", path);
  GError *error = NULL;
  VmNode *a = graph_test_open (t, 0, &error, "{'driver':'file','filename':'%s'}", path);
  VmNode *b = graph_test_open (t, 0, &error, "{'driver':'file','filename':'%s'}", path);
  VmEdge *ea = vm_node_attach_root (a, "a", &test_root, NULL, VM_PERM_READ | VM_PERM_WRITE,
                                    VM_PERM_ALL & ~VM_PERM_WRITE, &error);

  g_assert_no_error (error);
  g_assert_null (vm_node_attach_root (b, "b", &test_root, NULL, VM_PERM_WRITE, VM_PERM_ALL, &error));
  graph_test_fails (error, write_lock);
  vm_node_detach (ea);
  VmEdge *eb = vm_node_attach_root (b, "b", &test_root, NULL, VM_PERM_WRITE, VM_PERM_ALL, &error);
  g_assert_no_error (error);
  vm_node_detach (eb);
  vm_node_unref (a);
  vm_node_unref (b);
}

/* --- requests that are not aligned, at the same time ----------------------------------------------------------- */

static int
coarse_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  uint8_t **bytes = node->state;

  g_assert_cmpuint (offset % 4096 + vec.size % 4096, ==, 0);
  vm_fiber_sleep (100000);
  vm_vec_write (vec, 0, *bytes + offset, vec.size);
  return 0;
}

static int
coarse_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  uint8_t **bytes = node->state;

  g_assert_cmpuint (offset % 4096 + vec.size % 4096, ==, 0);
  vm_fiber_sleep (100000);
  vm_vec_read (vec, 0, *bytes + offset, vec.size);
  return offset == 61440 ? -EIO : 0;
}

static bool
coarse_open (VmNode *node, const void *options, GError **error)
{
  *(uint8_t **) node->state = g_malloc0 (65536);
  node->size = 65536;
  node->limits.alignment = 4096;
  node->filename = g_strdup ("coarse");
  return true;
}

static void
coarse_close (VmNode *node)
{
  g_free (*(uint8_t **) node->state);
}

static const VmBlockDriver coarse_driver = {
  .name = "null-co",
  .kind = VM_DRIVER_PROTOCOL,
  .state_size = sizeof (uint8_t *),
  .open = coarse_open,
  .close = coarse_close,
  .read = coarse_read,
  .write = coarse_write,
};
static const VmBlockDriver *const coarse_drivers[] = { &coarse_driver, NULL };

typedef struct Writer
{
  VmNode *node;
  unsigned n, *left;
  VmFiber *parent;
} Writer;

static void
write_bytes (void *opaque)
{
  Writer *w = opaque;

  for (unsigned i = 0; i < 8; i++)
    {
      uint8_t bytes[3] = { (uint8_t) w->n, (uint8_t) (w->n + 1), (uint8_t) (w->n + 2) };
      g_assert_cmpint (vm_node_pwrite (w->node, i * 4096 + w->n * 3, bytes, 3), ==, 0);
    }
  if (!--*w->left)
    vm_fiber_wake (w->parent);
}

static void
unaligned (void *opaque)
{
  GError *error = NULL;
  json_object *options = json_tokener_parse ("{\"driver\":\"null-co\"}");
  VmNode *node = vm_node_open (opaque, options, VM_SCHEMA_JSON, 0, &error);
  enum
  {
    N = 20
  };
  Writer writers[N];
  unsigned left = N;
  uint8_t bytes[N * 3];

  json_object_put (options);
  for (unsigned i = 0; i < N; i++)
    {
      writers[i] = (Writer){ node, i, &left, vm_fiber_self () };
      vm_fiber_spawn (vm_fiber_loop (vm_fiber_self ()), write_bytes, &writers[i]);
    }
  vm_fiber_suspend ();
  for (unsigned i = 0; i < 8; i++)
    {
      g_assert_cmpint (vm_node_pread (node, i * 4096, bytes, sizeof bytes), ==, 0);
      for (unsigned j = 0; j < sizeof bytes; j++)
        g_assert_cmpuint (bytes[j], ==, j / 3 + j % 3);
    }
  g_assert_cmpint (vm_node_pwrite (node, 61440 + 7, bytes, 3), ==, -EIO);
  g_assert_cmpint (vm_node_pwrite (node, 65530, bytes, 30), ==, -ENOSPC);
  g_assert_cmpint (vm_node_write_zeroes (node, 4000, 300, 0), ==, 0);
  g_assert_cmpint (vm_node_pread (node, 4096, bytes, sizeof bytes), ==, 0);
  for (unsigned j = 0; j < sizeof bytes; j++)
    g_assert_cmpuint (bytes[j], ==, 0);
  g_assert_cmpuint (node->in_flight, ==, 0);
  vm_node_unref (node);
}

static void
test_unaligned (void)
{
  VmBlockGraph *graph = vm_graph_new (coarse_drivers, NULL);

  vm_graph_call (graph, unaligned, graph);
  vm_graph_free (graph);
}

/* --- drained sections ------------------------------------------------------------------------------------------- */

static void
slow_read (void *opaque)
{
  Writer *w = opaque;
  char byte;

  g_assert_cmpint (vm_node_pread (w->node, 0, &byte, 1), ==, 0);
  --*w->left;
}

static unsigned root_begun;

static void
root_drain_begin (void *opaque)
{
  root_begun++;
}

static void
root_drain_end (void *opaque)
{
  root_begun--;
}

static void
drained (GraphTest *t)
{
  static const VmRootClass klass = { .kind = "device", .drain_begin = root_drain_begin, .drain_end = root_drain_end };
  GError *error = NULL;
  VmNode *low = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'low','latency-ns':20000000}");
  VmNode *high = graph_test_open (t, 0, &error, "{'driver':'raw','file':'low'}");
  VmEdge *root = vm_node_attach_root (high, "d", &klass, NULL, VM_PERM_READ, VM_PERM_ALL, &error);
  unsigned left = 1;
  Writer w = { high, 0, &left, NULL };

  g_assert_no_error (error);
  vm_fiber_spawn (vm_fiber_loop (vm_fiber_self ()), slow_read, &w);
  g_assert_cmpuint (high->in_flight, ==, 1);
  vm_node_drain_begin (low);
  g_assert_cmpuint (left, ==, 0);
  g_assert_cmpuint (root_begun, ==, 1);
  vm_node_drain_begin (high);
  g_assert_cmpuint (root_begun, ==, 2);
  vm_node_detach (root); /* goes on before it goes */
  g_assert_cmpuint (root_begun, ==, 0);
  vm_node_drain_end (high);
  vm_node_drain_end (low);
  g_assert_cmpuint (high->quiesced, ==, 0);
  vm_node_unref (high);
  vm_node_unref (low);
}

static void
replaced (GraphTest *t)
{
  GError *error = NULL;
  VmNode *a = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'a','size':1024}");
  VmNode *b = graph_test_open (t, 0, &error, "{'driver':'raw','node-name':'b','file':'a'}");
  VmNode *c = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'c','size':4096}");
  VmEdge *root = vm_node_attach_root (b, "d", &test_root, NULL, VM_PERM_READ, VM_PERM_ALL, &error);

  g_assert_true (vm_node_replace (a, c, &error));
  g_assert_true (b->file->node == c);
  g_assert_cmpuint (b->size, ==, 4096);
  g_assert_cmpuint (a->refs, ==, 1);
  g_assert_null (vm_node_attach (c, "x", b, VM_ROLE_DATA, &error));
  graph_test_fails (error, "Making 'b' a x child of 'c' would create a cycle");
  vm_node_detach (root);
  vm_node_unref (b);
  vm_node_unref (a);
  vm_node_unref (c);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static void
check_name (GraphTest *t, const char *name, const char *expected)
{
  g_autoptr (GError) error = NULL;
  json_object *options = vm_graph_parse_name (t->graph, name, &error);

  if (options)
    g_assert_cmpstr (json_object_to_json_string_ext (options, JSON_C_TO_STRING_PLAIN), ==, expected);
  else
    g_assert_cmpstr (error->message, ==, expected);
  json_object_put (options);
}

static void
names (GraphTest *t)
{
  check_name (t, "a b", "{\"driver\":\"file\",\"filename\":\"a b\"}");
  check_name (t, "./a:b", "{\"driver\":\"file\",\"filename\":\".\\/a:b\"}");
  check_name (t, "file:a:b", "{\"driver\":\"file\",\"filename\":\"a:b\"}");
  check_name (t, "nope:x", "Unknown protocol 'nope'");
  check_name (t, "json:{\"driver\":\"raw\",\"file.filename\":\"x\",\"l.0\":1,\"l.1\":2}",
              "{\"driver\":\"raw\",\"file\":{\"filename\":\"x\"},\"l\":[1,2]}");
  check_name (t, "json:3", "Invalid JSON object given");
  check_name (t, "json:{\"a\":1,\"a.b\":1}", "Cannot mix 'a' as a value and as a group");
}

static void
guessed (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "g.img", 4096);
  GError *error = NULL;
  VmNode *node = vm_node_open_name (t->graph, path, NULL, NULL, VM_OPEN_READONLY, &error);
  char head[512] = "QFI\xfb";

  g_assert_no_error (error);
  g_assert_cmpstr (node->driver->name, ==, "raw");
  vm_node_unref (node);
  node = vm_node_open_name (t->graph, path, "raw", NULL, 0, &error);
  g_assert_no_error (error);
  g_assert_false (node->guessed);
  g_assert_cmpint (vm_node_pwrite (node, 0, head, sizeof head), ==, 0);
  g_assert_cmpint (vm_node_pwrite (node, 8192, head, sizeof head), ==, 0);
  g_assert_cmpuint (node->size, ==, 8704);
  g_assert_cmpint (vm_node_truncate (node, 1024, true, VM_PREALLOC_OFF, 0, &error), ==, 0);
  g_assert_cmpuint (node->size, ==, 1024);
  vm_node_unref (node);
}

/* An image below a filter has its backing file, and reading copies from there once. */
static void
copied_up (GraphTest *t)
{
  g_autofree char *base = graph_test_file (t, "base", 300000), *top = g_build_filename (t->dir, "top", NULL);
  VmImageCreate spec = { .name = top, .format = "qcow2", .backing = base, .backing_format = "raw" };
  GError *error = NULL;
  uint8_t bytes[1000];
  VmExtent extent;

  g_assert_true (vm_image_create (t->graph, &spec, &error));
  VmNode *node = graph_test_open (t, 0, &error,
                                  "{'driver':'copy-on-read','file':{'driver':'qcow2','file':{'driver':"
                                  "'file','filename':'%s'}}}",
                                  top);
  g_assert_no_error (error);
  VmEdge *root = vm_node_attach_root (node, "d", &test_root, NULL, VM_PERM_READ, VM_PERM_ALL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (vm_node_status (node->file->node, 100000, 1000, &extent), ==, 0);
  g_assert_false (extent.flags & VM_EXTENT_ALLOCATED);
  for (unsigned pass = 0; pass < 2; pass++)
    {
      g_assert_cmpint (vm_node_pread (node, 100000, bytes, sizeof bytes), ==, 0);
      for (unsigned i = 0; i < sizeof bytes; i++)
        g_assert_cmpuint (bytes[i], ==, (100000 + i) % 251 + 1);
      g_assert_cmpint (vm_node_status (node->file->node, 100000, 1000, &extent), ==, 0);
      g_assert_true (extent.flags & VM_EXTENT_ALLOCATED);
    }
  vm_node_detach (root);
  vm_node_unref (node);
}

static void
test_run (gconstpointer func)
{
  GraphTest *t = graph_test_new ();

  graph_test_run (t, (void (*) (GraphTest *)) (uintptr_t) func);
  graph_test_free (t);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/block/graph/open", (void *) (uintptr_t) open_and_move, test_run);
  g_test_add_data_func ("/block/graph/open-fails", (void *) (uintptr_t) open_fails, test_run);
  g_test_add_data_func ("/block/graph/permissions", (void *) (uintptr_t) conflicts, test_run);
  g_test_add_data_func ("/block/graph/locks", (void *) (uintptr_t) locks, test_run);
  g_test_add_func ("/block/graph/unaligned", test_unaligned);
  g_test_add_data_func ("/block/graph/drain", (void *) (uintptr_t) drained, test_run);
  g_test_add_data_func ("/block/graph/replace", (void *) (uintptr_t) replaced, test_run);
  g_test_add_data_func ("/block/graph/names", (void *) (uintptr_t) names, test_run);
  g_test_add_data_func ("/block/graph/guessed", (void *) (uintptr_t) guessed, test_run);
  g_test_add_data_func ("/block/graph/copied-up", (void *) (uintptr_t) copied_up, test_run);
  return g_test_run ();
}
