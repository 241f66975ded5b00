/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Storage that fails at any step: the Nth write, zeroing, flush or some read of a format's file has an error. The
 * request reports it, its repetition goes well, and the image is sound afterwards. "test-block-faults [SEEDS [FIRST]]"
 * for more rounds. */
#include "tests/block/replay.h"

#include <stdlib.h>

#define OPS 25
#define PASSES 14 /* of one seed */

typedef struct Faults
{
  GraphTest *t;
  const struct ReplayFormat *format;
  uint32_t seed;
} Faults;

static const char *const kinds[] = { "write", "write-zeroes", "flush", "read", "discard" };
static const char *const events[] = { "pwritev", "pwritev_zero", "flush_to_disk", "none", "none" };

/* Rules for the Nth event of a kind, or a sector of those that have none. */
static char *
make_rules (GRand *rand, unsigned kind, unsigned n, int error)
{
  GString *text = g_string_new ("'set-state':[");

  for (unsigned i = 1; kind < 3 && i < n; i++)
    g_string_append_printf (text, "%s{'event':'%s','state':%u,'new_state':%u}", i > 1 ? "," : "", events[kind], i,
                            i + 1);
  g_string_append_printf (text, "],'inject-error':[{'event':'%s','iotype':'%s','errno':%d,'once':true", events[kind],
                          kinds[kind], error);
  if (kind < 3)
    g_string_append_printf (text, ",'state':%u", n);
  else
    g_string_append_printf (text, ",'sector':%d", g_rand_int_range (rand, 0, 2048));
  g_string_append (text, "}]");
  return g_string_free (text, FALSE);
}

static VmNode *
open_faulty (const Faults *f, const char *path, const char *rules)
{
  g_autoptr (GError) error = NULL;

  /* An error may come while it is opened: then there is none the second time? Rules are made anew, so it is. */
  return graph_test_open (f->t, 0, &error,
                          "{'driver':'%s','discard':'unmap','file':{'driver':'blkdebug','discard':'unmap',%s,"
                          "'image':{'driver':'file','filename':'%s','discard':'unmap'}}}",
                          f->format->name, rules, path);
}

static void
one_pass (const Faults *f, GRand *rand, unsigned kind, unsigned n)
{
  g_autofree char *path = g_build_filename (f->t->dir, "image", NULL);
  int error = g_rand_boolean (rand) ? EIO : ENOSPC;
  g_autofree char *rules = make_rules (rand, kind, n, error);
  g_autofree char *what = g_strdup_printf ("%s %s, seed %u: %s number %u fails with %d", f->format->name,
                                           f->format->options, f->seed, kinds[kind], n, error);
  g_autofree ReplayModel *model = replay_model_new ();
  g_autoptr (GError) why = NULL;
  VmNode *node;

  g_unlink (path);
  replay_create (f->t, f->format, path);
  node = open_faulty (f, path, rules);
  for (uint32_t i = 1; node && i <= OPS; i++)
    {
      ReplayOp op = replay_make (rand, i, f->format->snapshots);
      int status = replay_do (node, &op);
      if (status < 0)
        {
          op.failed = true;
          replay_model_apply (model, &op);
          op.failed = false;
          status = replay_do (node, &op); /* as a machine that goes on */
          if (status < 0)
            g_error ("%s: operation %u (%d) goes wrong again: %s", what, i, op.kind, g_strerror (-status));
        }
      replay_model_apply (model, &op);
    }
  if (node)
    {
      replay_check_data (node, model->now, what);
      vm_node_unref (node); /* may be where it fails: then what was not flushed is lost */
    }
  node = graph_test_open (f->t, 0, &why, "{'driver':'%s','file':{'driver':'file','filename':'%s'}}", f->format->name,
                          path);
  if (!node)
    g_error ("%s: %s", what, why->message);
  replay_check_data (node, model->kept, what);
  replay_check_image (node, what);
  vm_node_unref (node);
}

static void
run_faults (void *opaque)
{
  const Faults *f = opaque;
  g_autoptr (GRand) rand = g_rand_new_with_seed (f->seed);

  for (unsigned i = 0; i < PASSES; i++)
    one_pass (f, rand, i % G_N_ELEMENTS (kinds), (unsigned) g_rand_int_range (rand, 1, 40));
}

static unsigned seeds = 1, first_seed = 1;

static void
faults (gconstpointer format)
{
  for (unsigned i = 0; i < seeds; i++)
    {
      Faults f = { graph_test_new (), format, first_seed + i };
      vm_graph_call (f.t->graph, run_faults, &f);
      graph_test_free (f.t);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  seeds = argc > 1 ? (unsigned) atoi (argv[1]) : g_test_slow () ? 40 : 1;
  first_seed = argc > 2 ? (unsigned) atoi (argv[2]) : 1;
  g_log_set_always_fatal (G_LOG_FATAL_MASK); /* warnings are what is expected */
  for (unsigned i = 0; i < G_N_ELEMENTS (replay_formats); i++)
    {
      g_autofree char *name = g_strdup_printf ("/faults/%u-%s/%s", i, replay_formats[i].name,
                                               *replay_formats[i].options ? replay_formats[i].options : "plain");
      g_test_add_data_func (name, &replay_formats[i], faults);
    }
  return g_test_run ();
}
