/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Power that goes at any moment: all writes of a format to its file are logged; each state that the file could be in
 * (what was flushed, and any part of what was written since) is made and opened. What a guest has flushed is there, and
 * nothing is corrupt. "test-block-replay [SEEDS [FIRST]]" for more rounds. */
#include "tests/block/replay.h"

#include <stdlib.h>

#define STATES 3 /* after each flush */

static unsigned seeds = 1, first_seed = 1, n_ops = 20;

typedef struct Entry
{
  uint64_t offset, len, at; /* AT: of the data in the log */
  bool flush, discard;
  uint64_t sector; /* of the log, where it is */
} Entry;

typedef struct Replay
{
  const struct ReplayFormat *format;
  uint32_t seed;
} Replay;

static VmNode *
open_logged (GraphTest *t, const char *format, const char *path, const char *log)
{
  GError *error = NULL;
  VmNode *node = graph_test_open (
      t, 0, &error,
      "{'driver':'%s','discard':'unmap','detect-zeroes':'off','file':{'driver':'blklogwrites','discard':'unmap',"
      "'log-sector-size':512,'file':{'driver':'file','filename':'%s','discard':'unmap'},"
      "'log':{'driver':'file','node-name':'log','filename':'%s'}}}",
      format, path, log);

  g_assert_no_error (error);
  return node;
}

static GArray *
write_some (GraphTest *t, const Replay *r, VmNode *node, GRand *rand)
{
  GArray *ops = g_array_new (FALSE, FALSE, sizeof (ReplayOp));
  VmNode *log = vm_node_find (t->graph, "log");

  for (uint32_t i = 1; i <= n_ops; i++)
    {
      ReplayOp op = replay_make (rand, i, r->format->snapshots);
      op.begin = log->size >> 9;
      op.failed = replay_do (node, &op) < 0;
      g_assert_false (op.failed);
      op.end = log->size >> 9;
      op.size = node->file->node->size;
      g_array_append_val (ops, op);
    }
  return ops;
}

static GArray *
read_log (const uint8_t *log, size_t size)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (Entry));

  for (uint64_t at = 512; at + 512 <= size;)
    {
      uint64_t head[4];
      memcpy (head, log + at, sizeof head);
      Entry e = { head[0] << 9, head[1] << 9, at + 512, head[2] & 1, head[2] & 4, at >> 9 };
      g_array_append_val (entries, e);
      at += 512 + (e.discard ? 0 : e.len);
    }
  return entries;
}

/* DONE false: of what is lost only the size is there, which the host's journal keeps. */
static void
apply (GByteArray *image, const Entry *e, const uint8_t *log, bool done)
{
  if (e->flush)
    return;
  if (image->len < e->offset + e->len)
    {
      guint before = image->len;
      g_byte_array_set_size (image, (guint) (e->offset + e->len));
      memset (image->data + before, 0, image->len - before);
    }
  if (!done)
    return;
  if (e->discard)
    memset (image->data + e->offset, 0, e->len);
  else
    memcpy (image->data + e->offset, log + e->at, e->len);
}

/* The state is opened, looked through, and closed. */
static void
check_state (GraphTest *t, const Replay *r, const GByteArray *image, const ReplayModel *model, const char *what)
{
  g_autofree char *path = g_build_filename (t->dir, "state", NULL);
  g_autoptr (GError) error = NULL;
  VmNode *node;

  g_assert_true (g_file_set_contents (path, (const char *) image->data, image->len, NULL));
  node = graph_test_open (t, 0, &error, "{'driver':'%s','file':{'driver':'file','filename':'%s'}}", r->format->name,
                          path);
  if (!node)
    g_error ("%s: %s", what, error->message);
  replay_check_data (node, model->kept, what);
  replay_check_image (node, what);
  vm_node_unref (node);
  if (g_getenv ("REPLAY_PEER") && strcmp (r->format->name, "vpc") && strcmp (r->format->name, "raw")
      && strcmp (r->format->name, "qcow"))
    {
      const char *argv[] = { "qemu-img", "check", "-q", "-f", r->format->name, path, NULL };
      int status = 0;
      g_autofree char *err = NULL;
      g_spawn_sync (NULL, (char **) (uintptr_t) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &err, &status, NULL);
      if (status && status != 3 << 8)
        g_error ("%s: the other program: %d %s", what, status >> 8, err);
    }
}

static void
check_all (GraphTest *t, const Replay *r, GByteArray *image, const GArray *ops, const GArray *entries,
           const uint8_t *log, GRand *rand)
{
  for (guint i = 0; i < entries->len; i++)
    {
      const Entry *e = &g_array_index (entries, Entry, i);
      guint next = i + 1;
      uint64_t moment;
      apply (image, e, log, true);
      if (!e->flush && i)
        continue;
      while (next < entries->len && !g_array_index (entries, Entry, next).flush)
        next++;
      moment = next < entries->len ? g_array_index (entries, Entry, next).sector : UINT64_MAX;
      g_autofree ReplayModel *model = replay_model_new ();
      uint64_t size = image->len;
      for (guint j = 0; j < ops->len; j++)
        {
          ReplayOp op = g_array_index (ops, ReplayOp, j);
          if (op.begin > moment)
            break;
          size = MAX (size, op.size);
          op.failed = op.end > moment; /* a flush that was under way promises nothing */
          replay_model_apply (model, &op);
        }
      for (unsigned k = 0; k < STATES; k++)
        {
          g_autoptr (GByteArray) state = g_byte_array_new ();
          g_autofree char *what = g_strdup_printf ("%s %s, seed %u, flush at entry %u, state %u", r->format->name,
                                                   r->format->options, r->seed, i, k);
          g_byte_array_append (state, image->data, image->len);
          apply (state, &(Entry){ .len = size }, log, false);
          for (guint j = i + 1; k && j < next; j++)
            apply (state, &g_array_index (entries, Entry, j), log, k == 2 || g_rand_boolean (rand));
          check_state (t, r, state, model, what);
        }
    }
}

static void
replay_fiber (GraphTest *t, const Replay *r)
{
  g_autofree char *path = g_build_filename (t->dir, "image", NULL), *log = graph_test_file (t, "log", 0), *bytes = NULL;
  g_autoptr (GRand) rand = g_rand_new_with_seed (r->seed);
  g_autoptr (GByteArray) image = g_byte_array_new ();
  g_autoptr (GArray) ops = NULL, entries = NULL;
  gsize n;
  VmNode *node;

  replay_create (t, r->format, path);
  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  g_byte_array_append (image, (const uint8_t *) bytes, (guint) n);
  g_clear_pointer (&bytes, g_free);
  node = open_logged (t, r->format->name, path, log);
  ops = write_some (t, r, node, rand);
  vm_node_unref (node);
  g_assert_true (g_file_get_contents (log, &bytes, &n, NULL));
  entries = read_log ((const uint8_t *) bytes, n);
  check_all (t, r, image, ops, entries, (const uint8_t *) bytes, rand);
}

typedef struct Run
{
  GraphTest *t;
  const Replay *r;
} Run;

static void
replay_entry (void *opaque)
{
  const Run *run = opaque;

  replay_fiber (run->t, run->r);
}


static void
replay (gconstpointer format)
{
  for (unsigned i = 0; i < seeds; i++)
    {
      Replay r = { format, first_seed + i };
      Run run = { graph_test_new (), &r };
      vm_graph_call (run.t->graph, replay_entry, &run);
      graph_test_free (run.t);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  seeds = argc > 1 ? (unsigned) atoi (argv[1]) : g_test_slow () ? 20 : 1;
  n_ops = seeds > 1 ? 60 : n_ops;
  first_seed = argc > 2 ? (unsigned) atoi (argv[2]) : 1;
  for (unsigned i = 0; i < G_N_ELEMENTS (replay_formats); i++)
    {
      g_autofree char *name = g_strdup_printf ("/replay/%u-%s/%s", i, replay_formats[i].name,
                                               *replay_formats[i].options ? replay_formats[i].options : "plain");
      g_test_add_data_func (name, &replay_formats[i], replay);
    }
  return g_test_run ();
}
