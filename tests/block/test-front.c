/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The devices' side of the graph: requests from one loop to the other, drained sections, errors by policy, limits. */
#include "block/front.h"
#include "block/node.h"

#include <errno.h>

/* --- a medium that fails on demand ------------------------------------------------------------------------ */

typedef struct Medium
{
  uint8_t bytes[65536];
  int error; /* of the next write */
  unsigned writes, flushes;
  int64_t latency_ns;
} Medium;

static Medium medium;

static bool
medium_open (VmNode *node, const void *options, GError **error)
{
  node->size = sizeof medium.bytes;
  node->filename = g_strdup ("medium");
  return true;
}

static int
medium_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  if (medium.latency_ns)
    vm_fiber_sleep (medium.latency_ns);
  vm_vec_write (vec, 0, medium.bytes + offset, vec.size);
  return 0;
}

static int
medium_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  if (medium.latency_ns)
    vm_fiber_sleep (medium.latency_ns);
  medium.writes++;
  if (medium.error)
    return medium.error;
  vm_vec_read (vec, 0, medium.bytes + offset, vec.size);
  return 0;
}

static int
medium_flush (VmNode *node)
{
  medium.flushes++;
  return 0;
}

static int
medium_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  node->size = size;
  return 0;
}

static const VmBlockDriver medium_driver = {
  .name = "null-co",
  .kind = VM_DRIVER_PROTOCOL,
  .open = medium_open,
  .read = medium_read,
  .write = medium_write,
  .flush = medium_flush,
  .truncate = medium_truncate,
};
static const VmBlockDriver *const drivers[] = { &medium_driver, NULL };

/* --- the bench --------------------------------------------------------------------------------------------------- */

typedef struct Bench
{
  VmDrive drive; /* whom the front belongs to: nothing in it is set */
  VmBlockGraph *graph;
  VmLoop *loop;
  VmNode *node;
  VmBlock *block;
  unsigned done, resized;
  int status;
  VmBlockErrorAction action;
} Bench;

static void
open_node (void *opaque)
{
  Bench *b = opaque;
  json_object *options = json_tokener_parse ("{\"driver\":\"null-co\",\"node-name\":\"m\"}");
  GError *error = NULL;

  b->node = vm_node_open (b->graph, options, VM_SCHEMA_JSON, 0, &error);
  g_assert_no_error (error);
  json_object_put (options);
}

static void
close_node (void *opaque)
{
  vm_node_unref (((Bench *) opaque)->node);
}

static VmBlockErrorAction
bench_failed (void *owner, bool read, int status)
{
  return ((Bench *) owner)->action;
}

static void
bench_resized (void *owner)
{
  ((Bench *) owner)->resized++;
}

static void
bench_init (Bench *b)
{
  *b = (Bench){ .graph = vm_graph_new (drivers, NULL), .loop = vm_loop_new ("device", NULL) };
  memset (&medium, 0, sizeof medium);
  vm_graph_call (b->graph, open_node, b);
  b->block = vm_block_new (b->loop, b->node);
  vm_graph_call (b->graph, close_node, b);
  b->block->owner = b;
  b->block->failed = bench_failed;
  b->block->resized = bench_resized;
  g_assert_true (vm_block_attach (b->block, "dev", VM_PERM_READ | VM_PERM_WRITE, VM_PERM_ALL, NULL));
}

static void
bench_clear (Bench *b)
{
  vm_block_drain (b->block);
  vm_block_unref (b->block);
  vm_graph_free (b->graph);
  vm_loop_free (b->loop);
}

static void
done (void *opaque, int status)
{
  Bench *b = opaque;

  b->done++;
  b->status = status;
}

static void
wait_done (Bench *b, unsigned n)
{
  while (b->done < n)
    vm_loop_iterate (b->loop, true);
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */

static void
test_requests (void)
{
  Bench b;
  uint8_t out[600], in[600];
  struct iovec iov[2] = { { out, 100 }, { out + 100, 500 } }, back = { in, sizeof in };

  bench_init (&b);
  for (unsigned i = 0; i < sizeof out; i++)
    out[i] = (uint8_t) (i * 7);
  vm_block_write (b.block, 1000, iov, 2, done, &b);
  g_assert_cmpuint (b.done, ==, 0);
  wait_done (&b, 1);
  g_assert_cmpint (b.status, ==, 0);
  vm_block_read (b.block, 1000, &back, 1, done, &b);
  vm_block_drain (b.block);
  g_assert_cmpuint (b.done, ==, 2);
  g_assert_cmpmem (in, sizeof in, out, sizeof out);
  /* Refused before they are tried, and never in the call. */
  vm_block_write (b.block, 65536, iov, 2, done, &b);
  g_assert_cmpuint (b.done, ==, 2);
  wait_done (&b, 3);
  g_assert_cmpint (b.status, ==, -ENOSPC);
  vm_block_discard (b.block, 65000, 10000, done, &b);
  wait_done (&b, 4);
  g_assert_cmpint (b.status, ==, -EINVAL);
  vm_block_write_zeroes (b.block, 1000, 300, 0, done, &b);
  vm_block_flush (b.block, done, &b);
  wait_done (&b, 6);
  g_assert_cmpuint (medium.bytes[1299], ==, 0);
  g_assert_cmpuint (medium.bytes[1300], ==, (uint8_t) (300 * 7));
  g_assert_cmpuint (vm_block_stats (b.block)->operations[VM_BLOCK_WRITE], ==, 2);
  g_assert_cmpuint (vm_block_stats (b.block)->highest, ==, 1600);
  /* Without a cache each write is flushed. */
  unsigned flushes = medium.flushes;
  vm_block_set_write_cache (b.block, false);
  vm_block_write (b.block, 0, iov, 2, done, &b);
  wait_done (&b, 7);
  g_assert_cmpuint (medium.flushes, ==, flushes + 1);
  bench_clear (&b);
}

static void
test_errors (void)
{
  Bench b;
  uint8_t out[512] = { 1 };
  struct iovec iov = { out, sizeof out };

  bench_init (&b);
  medium.error = -EIO;
  vm_block_write (b.block, 0, &iov, 1, done, &b);
  wait_done (&b, 1);
  g_assert_cmpint (b.status, ==, -EIO);
  b.action = VM_BLOCK_ERROR_IGNORE;
  vm_block_write (b.block, 0, &iov, 1, done, &b);
  wait_done (&b, 2);
  g_assert_cmpint (b.status, ==, 0);
  /* Held, and tried again. */
  b.action = VM_BLOCK_ERROR_STOP;
  vm_block_write (b.block, 0, &iov, 1, done, &b);
  while (!b.block->held.length)
    vm_loop_iterate (b.loop, true);
  g_assert_cmpuint (b.done, ==, 2);
  vm_block_retry (b.block);
  while (!b.block->held.length)
    vm_loop_iterate (b.loop, true);
  g_assert_cmpuint (medium.writes, ==, 4);
  medium.error = 0;
  vm_block_retry (b.block);
  wait_done (&b, 3);
  g_assert_cmpint (b.status, ==, 0);
  g_assert_cmpuint (medium.bytes[0], ==, 1);
  /* Held, and given up by a reset. */
  medium.error = -ENOSPC;
  vm_block_write (b.block, 0, &iov, 1, done, &b);
  while (!b.block->held.length)
    vm_loop_iterate (b.loop, true);
  vm_block_drain (b.block);
  g_assert_cmpuint (b.done, ==, 4);
  g_assert_cmpint (b.status, ==, -ENOSPC);
  bench_clear (&b);
}

static void
drain_begin (void *opaque)
{
  vm_node_drain_begin (((Bench *) opaque)->block->root->node);
}

static void
drain_end (void *opaque)
{
  vm_node_drain_end (((Bench *) opaque)->block->root->node);
}

static void
grow (void *opaque)
{
  g_assert_cmpint (vm_node_truncate (((Bench *) opaque)->block->root->node, 1 << 20, true, VM_PREALLOC_OFF, 0, NULL),
                   ==, 0);
}

static void
test_sections (void)
{
  Bench b;
  uint8_t out[512] = { 1 };
  struct iovec iov = { out, sizeof out };

  bench_init (&b);
  medium.latency_ns = 2000000;
  for (unsigned i = 0; i < 50; i++)
    vm_block_write (b.block, i * 512, &iov, 1, done, &b);
  vm_graph_call (b.graph, drain_begin, &b);
  g_assert_cmpuint (b.block->running, ==, 0);
  unsigned before = medium.writes;
  vm_block_write (b.block, 0, &iov, 1, done, &b);
  g_usleep (10000);
  g_assert_cmpuint (medium.writes, ==, before); /* it waits for the end of the section */
  vm_graph_call (b.graph, drain_end, &b);
  vm_block_drain (b.block);
  g_assert_cmpuint (b.done, ==, 51);
  vm_graph_call (b.graph, grow, &b);
  while (!b.resized)
    vm_loop_iterate (b.loop, true);
  g_assert_cmpuint (vm_block_size (b.block), ==, 1 << 20);
  bench_clear (&b);
}

static void
limit (void *opaque)
{
  Bench *b = opaque;
  VmThrottleGroup *group = vm_throttle_group_get (b->graph, "g");
  VmThrottleConfig config;

  vm_throttle_config_init (&config);
  config.limits[VM_THROTTLE_OPS_TOTAL].avg = 100;
  vm_throttle_group_configure (group, &config);
  b->block->throttle = vm_throttle_member_new (group);
  vm_throttle_group_unref (group);
}

static void
test_throttle (void)
{
  Bench b;
  uint8_t in[512];
  struct iovec iov = { in, sizeof in };
  VmThrottleConfig config;
  g_autoptr (GError) error = NULL;

  bench_init (&b);
  vm_graph_call (b.graph, limit, &b);
  gint64 begun = g_get_monotonic_time ();
  for (unsigned i = 0; i < 41; i++)
    vm_block_read (b.block, 0, &iov, 1, done, &b);
  vm_block_drain (b.block);
  /* Ten at once, the others one every 10 ms. */
  double seconds = (double) (g_get_monotonic_time () - begun) / 1e6;
  g_assert_cmpfloat (seconds, >, 0.25);
  g_assert_cmpfloat (seconds, <, 3);
  bench_clear (&b);
  vm_throttle_config_init (&config);
  config.limits[VM_THROTTLE_BPS_TOTAL].avg = config.limits[VM_THROTTLE_BPS_READ].avg = 1;
  g_assert_false (vm_throttle_config_check (&config, &error));
  g_assert_cmpstr (error->message, ==,
                   "bps/iops/max total values and read/write values cannot be used at the same time");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/block/front/requests", test_requests);
  g_test_add_func ("/block/front/errors", test_errors);
  g_test_add_func ("/block/front/sections", test_sections);
  g_test_add_func ("/block/front/throttle", test_throttle);
  return g_test_run ();
}
