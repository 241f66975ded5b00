/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a disk may hold: for tests that lose power and for those whose storage fails. Each write has a number, and fills
 * its sectors with it. */
#pragma once

#include "tests/block/graph-test.h"

#include "block/create.h"

#include <errno.h>

#define REPLAY_SIZE (UINT64_C (3) << 20)
#define REPLAY_SECTORS (REPLAY_SIZE >> 9)
#define REPLAY_SET 12

typedef struct ReplaySet
{ /* numbers that a sector may have; too many: any */
  uint32_t n, values[REPLAY_SET];
} ReplaySet;

typedef struct ReplayModel
{
  ReplaySet now[REPLAY_SECTORS];  /* what is read */
  ReplaySet kept[REPLAY_SECTORS]; /* what may be there when the power goes */
} ReplayModel;

typedef enum ReplayKind
{
  REPLAY_WRITE,
  REPLAY_ZERO,
  REPLAY_DISCARD,
  REPLAY_FLUSH,
  REPLAY_SNAPSHOT,
  REPLAY_DROP, /* the snapshot */
  REPLAY_RENAME,
} ReplayKind;

typedef struct ReplayOp
{
  ReplayKind kind;
  uint64_t sector, n;
  uint32_t number;
  bool failed;
  uint64_t begin, end; /* where the log was */
  uint64_t size;       /* of the file then */
} ReplayOp;

static const struct ReplayFormat
{
  const char *name, *options;
  bool snapshots;
} replay_formats[] = {
  { "qcow2", "", true },
  { "qcow2", "cluster_size=4096,lazy_refcounts=on", true },
  { "qcow2", "extended_l2=on", true },
  { "qcow2", "compat=0.10,cluster_size=512", false }, /* snapshots there have a moment when it must be repaired */
  { "qcow2", "refcount_bits=1", false },
  { "qcow2", "refcount_bits=64,cluster_size=32k", true },
  { "vmdk", "", false },
  { "vmdk", "zeroed_grain=on", false },
  { "vdi", "", false },
  { "vpc", "force_size=on", false },
  { "vhdx", "block_size=1M", false },
  { "parallels", "cluster_size=65536", false },
  { "qed", "cluster_size=4096", false },
  { "qcow", "", false },
  { "raw", "", false },
};

static inline void
replay_set_add (ReplaySet *set, uint32_t value)
{
  for (uint32_t i = 0; i < set->n && i < REPLAY_SET; i++)
    if (set->values[i] == value)
      return;
  if (set->n < REPLAY_SET)
    set->values[set->n] = value;
  set->n = MIN (set->n + 1, REPLAY_SET + 1);
}

static inline bool
replay_set_has (const ReplaySet *set, uint32_t value)
{
  for (uint32_t i = 0; i < set->n && i < REPLAY_SET; i++)
    if (set->values[i] == value)
      return true;
  return set->n > REPLAY_SET;
}

static inline ReplayModel *
replay_model_new (void)
{
  ReplayModel *m = g_new0 (ReplayModel, 1);

  for (unsigned i = 0; i < REPLAY_SECTORS; i++)
    m->now[i].n = m->kept[i].n = 1;
  return m;
}

static inline void
replay_model_apply (ReplayModel *m, const ReplayOp *op)
{
  uint32_t value = op->kind == REPLAY_WRITE ? op->number : 0;

  if (op->kind == REPLAY_FLUSH && !op->failed)
    memcpy (m->kept, m->now, sizeof m->kept);
  for (uint64_t i = op->sector; op->kind <= REPLAY_DISCARD && i < op->sector + op->n; i++)
    {
      if (op->kind != REPLAY_DISCARD && !op->failed)
        m->now[i].n = 0;
      replay_set_add (&m->now[i], value);
      replay_set_add (&m->kept[i], value);
    }
}

/* In a fiber: the disk has what SETS say. */
static inline void
replay_check_data (VmNode *node, const ReplaySet *sets, const char *what)
{
  g_autofree uint32_t *data = g_malloc (REPLAY_SIZE);

  if (vm_node_pread (node, 0, data, REPLAY_SIZE) < 0) /* the error that was still to come */
    g_assert_cmpint (vm_node_pread (node, 0, data, REPLAY_SIZE), ==, 0);
  for (uint64_t i = 0; i < REPLAY_SECTORS; i++)
    for (unsigned j = 0; j < 128; j++)
      if (data[i * 128 + j] != data[i * 128] || !replay_set_has (&sets[i], data[i * 128]))
        {
          GString *may = g_string_new (NULL);
          for (uint32_t k = 0; k < MIN (sets[i].n, REPLAY_SET); k++)
            g_string_append_printf (may, " %u", sets[i].values[k]);
          g_error ("%s: sector %" PRIu64 " has %u (at %u: %u), not one of%s", what, i, data[i * 128], j,
                   data[i * 128 + j], may->str);
        }
}

static inline void
replay_finding (void *opaque, const char *line)
{
  g_test_message ("%s", line);
}

static inline void
replay_check_image (VmNode *node, const char *what)
{
  VmCheckResult result = { .print = replay_finding };

  if (!node->driver->check)
    return;
  g_assert_cmpint (node->driver->check (node, &result, 0), ==, 0);
  if (result.corruptions || result.check_errors)
    g_error ("%s: %" PRIu64 " corruptions, %" PRIu64 " errors", what, result.corruptions, result.check_errors);
}

static inline bool
replay_create (GraphTest *t, const struct ReplayFormat *f, const char *path)
{
  g_autoptr (GPtrArray) lists = g_ptr_array_new ();
  VmImageCreate spec = { .name = path, .format = f->name, .size = REPLAY_SIZE, .has_size = true, .options = lists };
  g_autoptr (GError) error = NULL;

  if (*f->options)
    g_ptr_array_add (lists, (char *) (uintptr_t) f->options);
  bool ok = vm_image_create (t->graph, &spec, &error);
  g_assert_no_error (error);
  return ok;
}

/* Something to do; mostly near each other, so that tables are shared. */
static inline ReplayOp
replay_make (GRand *rand, uint32_t number, bool snapshots)
{
  static const ReplayKind kinds[] = { REPLAY_WRITE, REPLAY_WRITE,   REPLAY_WRITE, REPLAY_WRITE, REPLAY_WRITE,
                                      REPLAY_ZERO,  REPLAY_DISCARD, REPLAY_FLUSH, REPLAY_FLUSH };
  ReplayOp op = { .kind = kinds[g_rand_int_range (rand, 0, G_N_ELEMENTS (kinds))], .number = number };

  if (snapshots && g_rand_int_range (rand, 0, 12) == 0)
    op.kind = (ReplayKind) g_rand_int_range (rand, REPLAY_SNAPSHOT, REPLAY_RENAME + 1);
  op.n = (uint64_t) g_rand_int_range (rand, 1, g_rand_boolean (rand) ? 17 : 400);
  op.sector = (uint64_t) g_rand_int_range (rand, 0, (gint32) (REPLAY_SECTORS - op.n));
  if (g_rand_boolean (rand))
    op.sector = op.sector / 128 * 128;
  if (op.kind > REPLAY_DISCARD)
    op.n = 0;
  return op;
}

static inline int
replay_snapshot (VmNode *node, ReplayKind kind)
{
  VmSnapshotInfo info = { .name = (char *) "s", .date_sec = 1, .icount = UINT64_MAX };
  g_autoptr (GPtrArray) list = node->driver->snapshot_list (node);
  g_autoptr (GError) error = NULL;
  bool ok;

  const VmSnapshotInfo *first = list->len ? g_ptr_array_index (list, 0) : NULL;

  if (!first != (kind == REPLAY_SNAPSHOT))
    return 0;
  ok = kind == REPLAY_SNAPSHOT ? node->driver->snapshot_create (node, &info, &error)
       : kind == REPLAY_DROP   ? node->driver->snapshot_delete (node, first->id, NULL, &error)
                             : node->driver->snapshot_rename (node, first->id, *first->name == 's' ? "t" : "s", &error);
  g_free (info.id);
  return ok ? 0 : -EIO;
}

static inline int
replay_do (VmNode *node, const ReplayOp *op)
{
  g_autofree uint32_t *data = NULL;

  switch (op->kind)
    {
    case REPLAY_WRITE:
      data = g_new (uint32_t, op->n * 128);
      for (uint64_t i = 0; i < op->n * 128; i++)
        data[i] = op->number;
      return vm_node_pwrite (node, op->sector << 9, data, op->n << 9);
    case REPLAY_ZERO:
      return vm_node_write_zeroes (node, op->sector << 9, op->n << 9, op->number & 1 ? VM_REQ_UNMAP : 0);
    case REPLAY_DISCARD:
      return vm_node_discard (node, op->sector << 9, op->n << 9);
    case REPLAY_FLUSH:
      return vm_node_flush (node);
    default:
      return replay_snapshot (node, op->kind);
    }
}
