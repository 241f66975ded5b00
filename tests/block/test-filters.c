/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters that test, vote, log and keep what was: each over small images. */
#include "tests/block/graph-test.h"

#include "block/throttle.h"

#include <errno.h>

static VmNode *
open_raw (GraphTest *t, const char *name, const char *path)
{
  GError *error = NULL;
  VmNode *node = graph_test_open (t, 0, &error,
                                  "{'driver':'raw','node-name':'%s','discard':'unmap',"
                                  "'file':{'driver':'file','filename':'%s'}}",
                                  name, path);

  g_assert_no_error (error);
  return node;
}

static int
write_byte (VmNode *node, uint64_t offset, int byte)
{
  uint8_t bytes[512];

  memset (bytes, byte, sizeof bytes);
  return vm_node_pwrite (node, offset, bytes, sizeof bytes);
}

static int
read_byte (VmNode *node, uint64_t offset)
{
  uint8_t bytes[512];
  int status = vm_node_pread (node, offset, bytes, sizeof bytes);

  return status < 0 ? status : bytes[0];
}

/* --- blkdebug ------------------------------------------------------------------------------------------------- */

static void
blkdebug_rules (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "a", 65536);
  GError *error = NULL;
  VmNode *node = graph_test_open (
      t, 0, &error,
      "{'driver':'raw','file':{'driver':'blkdebug','image':{'driver':'file','filename':'%s'},"
      "'inject-error':[{'event':'write_aio','state':2,'errno':28,'once':true},"
      "{'event':'none','iotype':'flush','immediately':true},{'event':'none','iotype':'read','sector':4,'errno':6}],"
      "'set-state':[{'event':'write_aio','state':1,'new_state':2}]}}",
      path);

  g_assert_no_error (error);
  g_assert_cmpint (write_byte (node, 0, 1), ==, 0);
  g_assert_cmpint (write_byte (node, 0, 2), ==, -ENOSPC);
  g_assert_cmpint (write_byte (node, 0, 3), ==, 0);
  g_assert_cmpint (read_byte (node, 0), ==, 3);
  g_assert_cmpint (read_byte (node, 2048), ==, -ENXIO);
  g_assert_cmpint (read_byte (node, 2048 + 512), >, 0);
  g_assert_cmpint (vm_node_flush (node), ==, -EIO);
  node->dead = true; /* what cannot be flushed need not be told of */
  vm_node_unref (node);
}

static void
blkdebug_file (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "b", 65536), *config = g_build_filename (t->dir, "rules", NULL);
  g_autofree char *name = g_strdup_printf ("blkdebug:%s:%s", config, path);
  GError *error = NULL;
  VmNode *node;

  g_assert_true (g_file_set_contents (config,
                                      "[inject-error]\nevent = \"read_aio\"\nerrno = \"28\"\nonce = \"on\"\n\n"
                                      "[set-state]\nevent=\"write_aio\"\nnew_state=\"3\"\n"
                                      "[inject-error]\nevent = \"write_aio\"\nstate = \"3\"\n",
                                      -1, NULL));
  node = vm_node_open_name (t->graph, name, "raw", NULL, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpint (read_byte (node, 0), ==, -ENOSPC);
  g_assert_cmpint (read_byte (node, 0), ==, 1);
  g_assert_cmpint (write_byte (node, 0, 1), ==, 0);
  g_assert_cmpint (write_byte (node, 0, 1), ==, -EIO);
  vm_node_unref (node);
  g_assert_true (g_file_set_contents (config, "[other]\na=b\n", -1, NULL));
  g_assert_null (vm_node_open_name (t->graph, name, "raw", NULL, 0, &error));
  graph_test_fails (error, "Unknown section 'other' in blkdebug's file");
  g_assert_true (g_file_set_contents (config, "[inject-error]\nevent=nope\n", -1, NULL));
  g_assert_null (vm_node_open_name (t->graph, name, "raw", NULL, 0, &error));
  g_clear_error (&error);
}

static void
blkdebug_limits (GraphTest *t)
{
  g_autofree char *path = graph_test_file (t, "c", 65536);
  GError *error = NULL;
  VmNode *node = graph_test_open (t, 0, &error,
                                  "{'driver':'blkdebug','image':{'driver':'file','filename':'%s'},'align':4096,"
                                  "'max-transfer':8192,'opt-write-zero':16384,'max-write-zero':32768}",
                                  path);

  g_assert_no_error (error);
  g_assert_cmpuint (node->limits.alignment, ==, 4096);
  g_assert_cmpuint (node->limits.max_transfer, ==, 8192);
  g_assert_cmpint (write_byte (node, 512, 9), ==, 0);
  g_assert_cmpint (read_byte (node, 512), ==, 9);
  g_assert_cmpint (read_byte (node, 0), ==, 1);
  vm_node_unref (node);
  g_assert_null (graph_test_open (t, 0, &error,
                                  "{'driver':'blkdebug','image':{'driver':'null-co'},'align':4096,'max-transfer':5}"));
  graph_test_fails (error, "Cannot meet constraints with max-transfer 5");
  node = graph_test_open (t, 0, &error,
                          "{'driver':'blkdebug','image':{'driver':'null-co','node-name':'n'},"
                          "'take-child-perms':['write'],'unshare-child-perms':['write']}");
  g_assert_no_error (error);
  g_assert_null (graph_test_open (t, 0, &error, "{'driver':'blkdebug','image':'n','take-child-perms':['write']}"));
  g_assert_nonnull (strstr (error->message, "Permission conflict on node 'n'"));
  g_clear_error (&error);
  vm_node_unref (node);
}

/* --- blkverify ------------------------------------------------------------------------------------------------ */

static void
verified (GraphTest *t)
{
  g_autofree char *a = graph_test_file (t, "v1", 65536), *b = graph_test_file (t, "v2", 65536);
  VmNode *one = open_raw (t, "one", a), *two = open_raw (t, "two", b);
  GError *error = NULL;
  VmNode *node = graph_test_open (t, 0, &error, "{'driver':'blkverify','test':'one','raw':'two'}");

  g_assert_no_error (error);
  g_assert_cmpint (write_byte (node, 0, 7), ==, 0);
  g_assert_cmpint (vm_node_write_zeroes (node, 4096, 4096, 0), ==, 0);
  g_assert_cmpint (read_byte (node, 0), ==, 7);
  g_assert_cmpint (read_byte (node, 4096), ==, 0);
  g_assert_cmpint (write_byte (two, 1024, 1), ==, 0);
  g_assert_cmpint (read_byte (node, 1024), ==, -EIO);
  vm_node_unref (node);
  vm_node_unref (one);
  vm_node_unref (two);
}

/* --- quorum ------------------------------------------------------------------------------------------------------ */

typedef struct Heard
{
  unsigned bad, failed;
} Heard;

static void
hear (void *opaque, const char *name, json_object *data)
{
  Heard *heard = opaque;

  heard->bad += !strcmp (name, "QUORUM_REPORT_BAD");
  heard->failed += !strcmp (name, "QUORUM_FAILURE");
  json_object_put (data);
}

static VmNode *
open_quorum (GraphTest *t, const char *more)
{
  GError *error = NULL;
  VmNode *node = graph_test_open (t, 0, &error, "{'driver':'quorum','node-name':'q','children':['x','y','z']%s}", more);

  g_assert_no_error (error);
  return node;
}

static void
voted (GraphTest *t)
{
  VmNode *images[3];
  Heard heard = { 0 };
  GError *error = NULL;

  for (unsigned i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("%c", 'x' + i), *path = graph_test_file (t, name, 65536);
      images[i] = open_raw (t, name, path);
    }
  vm_graph_set_event_func (t->graph, hear, &heard);
  VmNode *q = open_quorum (t, ",'vote-threshold':2,'rewrite-corrupted':true");
  g_assert_cmpint (write_byte (q, 0, 5), ==, 0);
  for (unsigned i = 0; i < 3; i++)
    g_assert_cmpint (read_byte (images[i], 0), ==, 5);
  g_assert_cmpint (write_byte (images[1], 0, 6), ==, 0);
  g_assert_cmpint (read_byte (q, 0), ==, 5);
  g_assert_cmpuint (heard.bad, ==, 1);
  g_assert_cmpint (read_byte (images[1], 0), ==, 5); /* made good */
  write_byte (images[1], 0, 6);
  write_byte (images[2], 0, 7);
  g_assert_cmpint (read_byte (q, 0), ==, -EIO);
  g_assert_cmpuint (heard.failed, ==, 1);
  images[0]->dead = true;
  g_assert_cmpint (write_byte (q, 0, 9), ==, 0); /* two took it */
  g_assert_cmpint (read_byte (q, 0), ==, 9);
  g_assert_cmpint (vm_node_flush (q), ==, 0);
  images[1]->dead = true;
  g_assert_cmpint (write_byte (q, 0, 9), ==, -EIO);
  images[0]->dead = images[1]->dead = false;
  g_assert_true (q->driver->remove_child (q, g_ptr_array_index (q->children, 0), &error));
  g_assert_false (q->driver->remove_child (q, g_ptr_array_index (q->children, 0), &error));
  graph_test_fails (error, "The number of children cannot be lower than the vote threshold 2");
  g_assert_true (q->driver->add_child (q, images[0], &error));
  g_assert_cmpuint (q->children->len, ==, 3);
  vm_node_unref (q);
  q = open_quorum (t, ",'vote-threshold':1,'read-pattern':'fifo'");
  images[0]->dead = true;
  g_assert_cmpint (read_byte (q, 0), ==, 9);
  images[0]->dead = false;
  vm_node_unref (q);
  g_assert_null (graph_test_open (t, 0, &error, "{'driver':'quorum','children':['x'],'vote-threshold':2}"));
  graph_test_fails (error, "threshold may not exceed children count");
  for (unsigned i = 0; i < 3; i++)
    vm_node_unref (images[i]);
}

/* --- blklogwrites ---------------------------------------------------------------------------------------------- */

static uint64_t
le64 (const char *bytes, size_t offset)
{
  uint64_t value;

  memcpy (&value, bytes + offset, 8);
  return GUINT64_FROM_LE (value);
}

static void
logged (GraphTest *t)
{
  g_autofree char *a = graph_test_file (t, "l1", 65536), *log = graph_test_file (t, "log", 0), *text = NULL;
  GError *error = NULL;
  VmNode *node;
  gsize n;
  const char *options = "{'driver':'blklogwrites','discard':'unmap',"
                        "'file':{'driver':'file','filename':'%s','discard':'unmap'},"
                        "'log':{'driver':'raw','file':{'driver':'file','filename':'%s'}}%s}";

  node = graph_test_open (t, 0, &error, options, a, log, ",'log-sector-size':512");
  g_assert_no_error (error);
  g_assert_cmpint (write_byte (node, 1024, 7), ==, 0);
  g_assert_cmpint (vm_node_flush (node), ==, 0);
  g_assert_cmpint (vm_node_discard (node, 4096, 4096), ==, 0);
  vm_node_unref (node);
  node = graph_test_open (t, 0, &error, options, a, log, ",'log-append':true");
  g_assert_no_error (error);
  g_assert_cmpint (vm_node_write_zeroes (node, 8192, 1024, 0), ==, 0);
  vm_node_unref (node);
  g_assert_true (g_file_get_contents (log, &text, &n, NULL));
  g_assert_cmphex (le64 (text, 0), ==, 0x6a736677736872);
  g_assert_cmpuint (le64 (text, 8), ==, 1);
  g_assert_cmpuint (le64 (text, 16), >=, 5);
  g_assert_cmpuint (le64 (text, 512), ==, 2); /* the write: sector, sectors, flags */
  g_assert_cmpuint (le64 (text, 520), ==, 1);
  g_assert_cmpuint (le64 (text, 528), ==, 0);
  g_assert_cmpint (text[1024], ==, 7);
  g_assert_cmpuint (le64 (text, 1536 + 16), ==, 1); /* the flush */
  g_assert_cmpuint (le64 (text, 2048), ==, 8);      /* the discard */
  g_assert_cmpuint (le64 (text, 2048 + 8), ==, 8);
  g_assert_cmpuint (le64 (text, 2048 + 16), ==, 4);
  g_assert_null (graph_test_open (t, 0, &error, options, a, log, ",'log-sector-size':100"));
  graph_test_fails (error, "Invalid log sector size 100");
}

/* --- copy-before-write ----------------------------------------------------------------------------------------- */

static void
kept (GraphTest *t)
{
  g_autofree char *a = graph_test_file (t, "k1", 300000), *b = graph_test_file (t, "k2", 300000);
  VmNode *disk = open_raw (t, "disk", a), *copy = open_raw (t, "copy", b);
  GError *error = NULL;
  g_autofree uint8_t *before = g_malloc (300000), *now = g_malloc (300000);
  VmExtent extent;
  VmNode *cbw, *access;

  g_assert_cmpint (vm_node_write_zeroes (copy, 0, 300000, 0), ==, 0);
  g_assert_cmpint (vm_node_pread (disk, 0, before, 300000), ==, 0);
  cbw = graph_test_open (t, 0, &error,
                         "{'driver':'copy-before-write','node-name':'cbw','file':'disk','target':'copy',"
                         "'discard':'unmap','cbw-timeout':10}");
  g_assert_no_error (error);
  access = graph_test_open (t, 0, &error, "{'driver':'snapshot-access','file':'cbw','discard':'unmap'}");
  g_assert_no_error (error);
  g_assert_cmpint (write_byte (cbw, 70000, 9), ==, 0);
  g_assert_cmpint (vm_node_write_zeroes (cbw, 200000, 50000, 0), ==, 0);
  g_assert_cmpint (vm_node_discard (cbw, 0, 65536), ==, 0);
  g_assert_cmpint (vm_node_pread (access, 0, now, 300000), ==, 0);
  g_assert_cmpmem (before, 300000, now, 300000);
  g_assert_cmpint (read_byte (disk, 70000), ==, 9);
  g_assert_cmpint (vm_node_status (access, 0, 300000, &extent), ==, 0);
  g_assert_true (extent.flags & VM_EXTENT_DATA);
  g_assert_cmpint (vm_node_discard (access, 65536, 65536), ==, 0);
  g_assert_cmpint (read_byte (access, 65536), ==, -EACCES);
  copy->dead = true;
  g_assert_cmpint (write_byte (cbw, 131072, 9), ==, -EIO); /* guests' writes break */
  copy->dead = false;
  vm_node_unref (access);
  vm_node_unref (cbw);
  cbw = graph_test_open (t, 0, &error,
                         "{'driver':'copy-before-write','node-name':'cbw','file':'disk','target':'copy',"
                         "'on-cbw-error':'break-snapshot'}");
  g_assert_no_error (error);
  access = graph_test_open (t, 0, &error, "{'driver':'snapshot-access','file':'cbw'}");
  copy->dead = true;
  g_assert_cmpint (write_byte (cbw, 131072, 9), ==, 0); /* the snapshot does */
  g_assert_cmpint (read_byte (access, 0), ==, -EIO);
  copy->dead = false;
  vm_node_unref (access);
  vm_node_unref (cbw);
  g_assert_null (graph_test_open (t, 0, &error, "{'driver':'snapshot-access','file':'disk'}"));
  graph_test_fails (error, "Node 'disk' keeps no snapshot that could be accessed");
  vm_node_unref (disk);
  vm_node_unref (copy);
}

/* A copy that takes too long: with a timeout the write fails, and the copy ends by itself. */
static void
kept_in_time (GraphTest *t)
{
  GError *error = NULL;
  VmNode *disk
      = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'s','size':131072,'latency-ns':1500000000}");
  VmNode *copy = graph_test_open (t, 0, &error, "{'driver':'null-co','node-name':'d','size':131072}");
  VmNode *cbw
      = graph_test_open (t, 0, &error, "{'driver':'copy-before-write','file':'s','target':'d','cbw-timeout':1}");

  g_assert_no_error (error);
  g_assert_cmpint (write_byte (cbw, 0, 1), ==, -ETIMEDOUT);
  vm_node_unref (cbw);
  vm_node_unref (disk);
  vm_node_unref (copy);
}

/* --- throttling in drained sections --------------------------------------------------------------------------- */

typedef struct Slow
{
  VmThrottleMember *member;
  unsigned done;
} Slow;

static void
slow_write (void *opaque)
{
  Slow *slow = opaque;

  vm_throttle_wait (slow->member, true, 1000);
  slow->done++;
}

static void
drained (GraphTest *t)
{
  VmThrottleGroup *group = vm_throttle_group_get (t->graph, "g");
  Slow one = { vm_throttle_member_new (group), 0 }, two = { vm_throttle_member_new (group), 0 };
  VmThrottleConfig config;
  int64_t begin = g_get_monotonic_time ();

  vm_throttle_config_init (&config);
  config.limits[VM_THROTTLE_BPS_TOTAL].avg = 10;
  vm_throttle_group_configure (group, &config);
  vm_fiber_spawn (vm_graph_loop (t->graph), slow_write, &one); /* goes: the bucket was empty */
  vm_fiber_spawn (vm_graph_loop (t->graph), slow_write, &one);
  vm_fiber_spawn (vm_graph_loop (t->graph), slow_write, &two);
  g_assert_cmpuint (one.done, ==, 1);
  vm_throttle_member_drain (two.member, true); /* behind the other one in the line */
  vm_fiber_yield ();
  g_assert_cmpuint (two.done, ==, 1);
  vm_throttle_member_drain (one.member, true);
  vm_fiber_yield ();
  g_assert_cmpuint (one.done, ==, 2);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, 5 * G_USEC_PER_SEC);
  vm_throttle_member_free (one.member);
  vm_throttle_member_free (two.member);
  vm_throttle_group_unref (group);
}

static void
run (gconstpointer func)
{
  GraphTest *t = graph_test_new ();

  graph_test_run (t, (void (*) (GraphTest *)) (void (*) (void)) func);
  graph_test_free (t);
}

#define TEST(path, func) g_test_add_data_func (path, (gconstpointer) (void (*) (void)) func, run)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("/filters/blkdebug/rules", blkdebug_rules);
  TEST ("/filters/blkdebug/file", blkdebug_file);
  TEST ("/filters/blkdebug/limits", blkdebug_limits);
  TEST ("/filters/blkverify", verified);
  TEST ("/filters/quorum", voted);
  TEST ("/filters/blklogwrites", logged);
  TEST ("/filters/copy-before-write", kept);
  TEST ("/filters/copy-before-write/timeout", kept_in_time);
  TEST ("/filters/throttle/drained", drained);
  return g_test_run ();
}
