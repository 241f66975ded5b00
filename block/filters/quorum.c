/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several images with the same data: what enough of them agree on is read, and what enough of them took is written. */
#include "block/graph-private.h"

#include "engine/base/log.h"

#include <errno.h>

#define MAX_CHILDREN 32

typedef struct Quorum
{
  unsigned threshold;
  bool verify; /* any difference is an error: of two */
  bool rewrite;
  VmqQuorumReadPattern pattern;
  unsigned next_child;
} Quorum;

static VmNode *
child (const VmNode *node, guint i)
{
  return ((VmEdge *) g_ptr_array_index (node->children, i))->node;
}

/* --- events ---------------------------------------------------------------------------------------------- */

static json_object *
place (json_object *data, uint64_t offset, uint64_t len)
{
  json_object_object_add (data, "sector-num", json_object_new_int64 ((int64_t) (offset >> 9)));
  json_object_object_add (data, "sectors-count",
                          json_object_new_int64 ((int64_t) ((VM_ALIGN_UP (offset + len, 512) >> 9) - (offset >> 9))));
  return data;
}

static void
report_bad (const VmNode *image, VmqQuorumOpType type, uint64_t offset, uint64_t len, int status)
{
  json_object *data = json_object_new_object ();

  json_object_object_add (data, "type", json_object_new_string (vmq_type_quorumoptype.names[type]));
  if (status < 0)
    json_object_object_add (data, "error", json_object_new_string (g_strerror (-status)));
  json_object_object_add (data, "node-name", json_object_new_string (image->name));
  vm_graph_event (image->graph, "QUORUM_REPORT_BAD", place (data, offset, len));
}

/* By the name that the user knows it by. */
static void
report_failure (const VmNode *node, uint64_t offset, uint64_t len)
{
  json_object *data = json_object_new_object ();
  const char *name = node->name;

  for (guint i = 0; i < node->parents->len; i++)
    {
      const VmEdge *edge = g_ptr_array_index (node->parents, i);
      if (edge->root && !strcmp (edge->root->kind, "device") && *edge->name)
        name = edge->name;
    }
  json_object_object_add (data, "reference", json_object_new_string (name));
  vm_graph_event (node->graph, "QUORUM_FAILURE", place (data, offset, len));
}

/* --- all at once -------------------------------------------------------------------------------------------- */

typedef struct Part
{
  struct Round *round;
  VmNode *image;
  VmVec vec;
  struct iovec iov;
  uint8_t *buffer; /* of a read */
  int status;
} Part;

typedef struct Round
{
  VmqQuorumOpType type;
  int (*func) (const struct Round *round, Part *part);
  uint64_t offset, len;
  unsigned flags;
  unsigned n, running;
  VmFiberQueue waiting;
  Part parts[MAX_CHILDREN];
} Round;

static void
run_part (void *opaque)
{
  Part *part = opaque;

  part->status = part->round->func (part->round, part);
  if (!--part->round->running)
    vm_fiber_queue_wake_all (&part->round->waiting);
}

/* VEC: what is written. How many said yes. */
static unsigned
run_round (VmNode *node, Round *round, VmVec vec)
{
  unsigned good = 0;

  round->n = round->running = node->children->len;
  for (unsigned i = 0; i < round->n; i++)
    {
      Part *part = &round->parts[i];
      part->round = round;
      part->image = vm_node_ref (child (node, i));
      if (round->type != VMQ_QUORUM_OP_TYPE_READ)
        part->vec = vec;
      else if ((part->buffer = g_try_malloc (MAX (round->len, 1))))
        part->vec = vm_vec_buffer (&part->iov, part->buffer, round->len);
      else
        part->status = -ENOMEM;
    }
  for (unsigned i = 0; i < round->n; i++)
    if (round->parts[i].status < 0)
      round->running--;
    else
      vm_fiber_spawn (vm_graph_loop (node->graph), run_part, &round->parts[i]);
  while (round->running)
    vm_fiber_queue_wait (&round->waiting);
  for (unsigned i = 0; i < round->n; i++)
    {
      if (round->parts[i].status >= 0)
        good++;
      else
        report_bad (round->parts[i].image, round->type, round->offset, round->len, round->parts[i].status);
    }
  return good;
}

static void
end_round (Round *round)
{
  for (unsigned i = 0; i < round->n; i++)
    {
      g_free (round->parts[i].buffer);
      vm_node_unref (round->parts[i].image);
    }
  g_free (round);
}

/* The error that most have, the first one of these. */
static int
vote_error (const Round *round)
{
  int best = -EIO;
  unsigned most = 0;

  for (unsigned i = 0; i < round->n; i++)
    {
      unsigned votes = 0;
      for (unsigned j = 0; j < round->n; j++)
        votes += round->parts[j].status == round->parts[i].status;
      if (round->parts[i].status < 0 && votes > most)
        {
          best = round->parts[i].status;
          most = votes;
        }
    }
  return best;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

static int
change (VmNode *node, const Round *what, VmVec vec)
{
  const Quorum *s = node->state;
  Round *round = g_memdup2 (what, sizeof *what);
  unsigned good = run_round (node, round, vec);
  int status = good >= s->threshold ? 0 : vote_error (round);

  if (status < 0)
    report_failure (node, round->offset, round->len);
  end_round (round);
  return status;
}

static int
do_write (const Round *round, Part *part)
{
  return vm_node_write (part->image, round->offset, part->vec, round->flags);
}

static int
quorum_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return change (node, &(Round){ VMQ_QUORUM_OP_TYPE_WRITE, do_write, offset, vec.size, flags, .n = 0 }, vec);
}

static int
do_write_zeroes (const Round *round, Part *part)
{
  return vm_node_write_zeroes (part->image, round->offset, round->len, round->flags);
}

static int
quorum_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return change (node, &(Round){ VMQ_QUORUM_OP_TYPE_WRITE, do_write_zeroes, offset, len, flags, .n = 0 }, (VmVec){ 0 });
}

static int
do_flush (const Round *round, Part *part)
{
  return vm_node_flush (part->image);
}

static int
quorum_flush (VmNode *node)
{
  return change (node, &(Round){ VMQ_QUORUM_OP_TYPE_FLUSH, do_flush, 0, 0, 0, .n = 0 }, (VmVec){ 0 });
}

/* --- reading --------------------------------------------------------------------------------------------------- */

static int
read_first (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  int status = -EIO;

  for (guint i = 0; i < node->children->len; i++)
    {
      VmNode *image = child (node, i);
      if ((status = vm_node_read (image, offset, vec, flags)) >= 0)
        return status;
      report_bad (image, VMQ_QUORUM_OP_TYPE_READ, offset, vec.size, status);
    }
  return status;
}

static bool
agree (const Round *round, unsigned a, unsigned b)
{
  const Part *x = &round->parts[a], *y = &round->parts[b];

  return x->status >= 0 && y->status >= 0 && !memcmp (x->buffer, y->buffer, round->len);
}

/* The part most others are equal to. */
static unsigned
vote (const Round *round, unsigned *votes)
{
  unsigned winner = 0;

  *votes = 0;
  for (unsigned i = 0; i < round->n; i++)
    {
      unsigned n = 0;
      for (unsigned j = 0; j < round->n; j++)
        n += agree (round, i, j);
      if (n > *votes)
        {
          *votes = n;
          winner = i;
        }
    }
  return winner;
}

static void
treat_losers (const Quorum *s, Round *round, unsigned winner)
{
  struct iovec iov;

  for (unsigned i = 0; i < round->n; i++)
    {
      VmNode *image = round->parts[i].image;
      if (round->parts[i].status < 0 || agree (round, winner, i))
        continue;
      report_bad (image, VMQ_QUORUM_OP_TYPE_READ, round->offset, round->len, 0);
      if (s->rewrite && !image->readonly) /* an attempt: the next read shows whether it helped */
        vm_node_write (image, round->offset, vm_vec_buffer (&iov, round->parts[winner].buffer, round->len), 0);
    }
}

static int
do_read (const Round *round, Part *part)
{
  return vm_node_read (part->image, round->offset, part->vec, round->flags);
}

static int
count_votes (VmNode *node, Round *round, unsigned good, VmVec vec)
{
  const Quorum *s = node->state;
  unsigned votes, winner;

  if (good < s->threshold)
    {
      report_failure (node, round->offset, round->len);
      return vote_error (round);
    }
  winner = vote (round, &votes);
  if (s->verify && votes < round->n)
    {
      vm_report_error ("quorum: the images of '%s' differ at sector %" PRIu64, node->name, round->offset >> 9);
      return -EIO;
    }
  if (votes < s->threshold)
    {
      report_failure (node, round->offset, round->len);
      return -EIO;
    }
  vm_vec_write (vec, 0, round->parts[winner].buffer, round->len);
  if (votes < good)
    treat_losers (s, round, winner);
  return 0;
}

static int
quorum_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  const Quorum *s = node->state;
  Round *round;
  int status;

  if (s->pattern == VMQ_QUORUM_READ_PATTERN_FIFO)
    return read_first (node, offset, vec, flags);
  round = g_new0 (Round, 1);
  *round = (Round){ VMQ_QUORUM_OP_TYPE_READ, do_read, offset, vec.size, flags, .n = 0 };
  status = count_votes (node, round, run_round (node, round, vec), vec);
  end_round (round);
  return status;
}

/* Zeros are those that all know of. */
static int
quorum_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  unsigned zeros = 0;

  *extent = (VmExtent){ .len = len };
  for (guint i = 0; i < node->children->len; i++)
    {
      VmExtent e;
      bool zero
          = vm_node_status_above (child (node, i), NULL, offset, extent->len, &e) >= 0 && e.flags & VM_EXTENT_ZERO;
      if (i && zero != (zeros == i))
        {
          zeros = 0; /* they do not agree: it is read */
          extent->len = MIN (extent->len, e.len);
          break;
        }
      zeros += zero;
      extent->len = MIN (extent->len, MAX (e.len, 1));
    }
  extent->flags = VM_EXTENT_ALLOCATED | (zeros ? VM_EXTENT_ZERO : VM_EXTENT_DATA);
  return 0;
}

/* --- children ------------------------------------------------------------------------------------------------------
 */

static bool
check_options (const VmqBlockdevOptionsQuorum *o, GError **error)
{
  unsigned n = o->children->len;

  if (n < 1)
    return vm_fail (error, "Number of provided children must be 1 or more");
  if (n > MAX_CHILDREN)
    return vm_fail (error, "A quorum has at most %d children", MAX_CHILDREN);
  if (o->vote_threshold < 1)
    return vm_fail (error, "Parameter 'vote-threshold' expects a value >= 1");
  if (o->vote_threshold > n)
    return vm_fail (error, "threshold may not exceed children count");
  if (o->has_blkverify && o->blkverify && (n != 2 || o->vote_threshold != 2))
    return vm_fail (error, "blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
  if (o->has_rewrite_corrupted && o->rewrite_corrupted
      && ((o->has_blkverify && o->blkverify)
          || (o->has_read_pattern && o->read_pattern == VMQ_QUORUM_READ_PATTERN_FIFO)))
    return vm_fail (error, "rewrite-corrupted=on cannot be used with %s",
                    o->has_blkverify && o->blkverify ? "blkverify=on" : "read-pattern=fifo");
  return true;
}

static void
take_limits (VmNode *node)
{
  node->limits = (VmBlockLimits){ 0 };
  for (guint i = 0; i < node->children->len; i++)
    node->limits.alignment = MAX (node->limits.alignment, child (node, i)->limits.alignment);
}

static bool
check_size (const VmNode *node, const VmNode *image, GError **error)
{
  return image->size == node->size
         || vm_fail (error, "The images of a quorum have one size: '%s' has %" PRIu64 " bytes, not %" PRIu64,
                     image->filename, image->size, node->size);
}

static bool
quorum_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsQuorum *o = opaque;
  Quorum *s = node->state;

  if (!check_options (o, error))
    return false;
  s->threshold = (unsigned) o->vote_threshold;
  s->verify = o->has_blkverify && o->blkverify;
  s->rewrite = o->has_rewrite_corrupted && o->rewrite_corrupted;
  s->pattern = o->has_read_pattern ? o->read_pattern : VMQ_QUORUM_READ_PATTERN_QUORUM;
  for (s->next_child = 0; s->next_child < o->children->len; s->next_child++)
    {
      g_autofree char *name = g_strdup_printf ("children.%u", s->next_child);
      VmEdge *edge = vm_node_open_child (node, name, VM_ROLE_DATA, true, error);
      if (!edge)
        return false;
      if (!s->next_child)
        node->size = edge->node->size;
      else if (!check_size (node, edge->node, error))
        return false;
    }
  take_limits (node);
  node->write_flags = VM_REQ_FUA;
  return true;
}

static bool
quorum_add_child (VmNode *node, VmNode *image, GError **error)
{
  Quorum *s = node->state;
  g_autofree char *name = g_strdup_printf ("children.%u", s->next_child);

  if (s->verify)
    return vm_fail (error, "Cannot add a child to a quorum in blkverify mode");
  if (node->children->len == MAX_CHILDREN)
    return vm_fail (error, "A quorum has at most %d children", MAX_CHILDREN);
  if (!check_size (node, image, error) || !vm_node_attach (node, name, image, VM_ROLE_DATA, error))
    return false;
  s->next_child++;
  take_limits (node);
  return true;
}

static bool
quorum_remove_child (VmNode *node, VmEdge *edge, GError **error)
{
  const Quorum *s = node->state;

  if (node->children->len <= s->threshold)
    return vm_fail (error, "The number of children cannot be lower than the vote threshold %u", s->threshold);
  vm_node_detach (edge);
  take_limits (node);
  return true;
}

/* Images that others write would not agree for long. */
static void
quorum_child_perms (VmNode *node, const VmEdge *edge, unsigned perm, unsigned shared, unsigned *child_perm,
                    unsigned *child_shared)
{
  const Quorum *s = node->state;

  *child_perm = perm | (s->rewrite && !edge->node->readonly ? VM_PERM_WRITE : 0);
  *child_shared = shared & (VM_PERM_READ | VM_PERM_UNCHANGED);
}

static int
quorum_truncate (VmNode *node, uint64_t size, bool exact, VmPreallocation prealloc, unsigned flags, GError **error)
{
  uint64_t before = node->size;

  for (guint i = 0; i < node->children->len; i++)
    {
      int status = vm_node_truncate (child (node, i), size, true, prealloc, flags, error);
      if (status >= 0)
        continue;
      while (i-- > 0)
        vm_node_truncate (child (node, i), before, true, VM_PREALLOC_OFF, 0,
                          NULL); /* as they were, if that is possible */
      return status;
    }
  node->size = size;
  return 0;
}

static uint64_t
quorum_allocated (VmNode *node)
{
  return UINT64_MAX; /* of whom? */
}

const VmBlockDriver vm_quorum_driver = {
  .name = "quorum",
  .help = "Several images that vote",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Quorum),
  .flushes_children = true,
  .open = quorum_open,
  .child_perms = quorum_child_perms,
  .read = quorum_read,
  .write = quorum_write,
  .write_zeroes = quorum_write_zeroes,
  .flush = quorum_flush,
  .status = quorum_status,
  .truncate = quorum_truncate,
  .allocated = quorum_allocated,
  .add_child = quorum_add_child,
  .remove_child = quorum_remove_child,
};
