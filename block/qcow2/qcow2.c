/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The driver "qcow2". After the public specification of the format. */
#include "block/qcow2/qcow2-private.h"

static int
probe (const uint8_t *head, size_t n, VmNode *file)
{
  return n >= 8 && vm_load_be32 (head) == QCOW2_MAGIC && vm_load_be32 (head + 4) >= 2 ? 100 : 0;
}

static int
flush (VmNode *node)
{
  Qcow2 *s = node->state;
  int status;

  if (s->broken)
    return -EIO;
  vm_fiber_mutex_lock (&s->lock);
  /* With the end of this flush, what was set free before is free. */
  status = s->freed[0]->len || s->freed[1]->len ? qcow2_barrier (s) : qcow2_write_back (s);
  vm_fiber_mutex_unlock (&s->lock);
  return status;
}

static uint32_t
cluster_size (VmNode *node)
{
  const Qcow2 *s = node->state;

  return (uint32_t) s->cluster_size;
}

static bool
is_dirty (VmNode *node)
{
  const Qcow2 *s = node->state;

  return s->incompatible & INCOMPATIBLE_DIRTY;
}

const VmBlockDriver vm_qcow2_driver = {
  .name = "qcow2",
  .help = "images that grow, with snapshots, compression and encryption",
  .kind = VM_DRIVER_FORMAT,
  .state_size = sizeof (Qcow2),
  .has_backing = true,
  .can_compress = true,
  .probe = probe,
  .open = qcow2_open,
  .close = qcow2_close,
  .set_readonly = qcow2_set_readonly,
  .read = qcow2_read,
  .write = qcow2_write,
  .write_zeroes = qcow2_write_zeroes,
  .discard = qcow2_discard,
  .flush = flush,
  .status = qcow2_status,
  .truncate = qcow2_truncate,
  .make_empty = qcow2_make_empty,
  .create = qcow2_create,
  .create_options = qcow2_create_options,
  .amend = qcow2_amend,
  .change_backing = qcow2_change_backing,
  .check = qcow2_check,
  .measure = qcow2_measure,
  .describe = qcow2_describe,
  .cluster_size = cluster_size,
  .is_dirty = is_dirty,
  .snapshot_create = qcow2_snapshot_create,
  .snapshot_apply = qcow2_snapshot_apply,
  .snapshot_delete = qcow2_snapshot_delete,
  .snapshot_rename = qcow2_snapshot_rename,
  .snapshot_list = qcow2_snapshot_list,
  .snapshot_load = qcow2_snapshot_load,
  .vmstate_read = qcow2_vmstate_read,
  .vmstate_write = qcow2_vmstate_write,
  .bitmap_can_store = qcow2_bitmap_can_store,
  .bitmap_remove = qcow2_bitmap_remove,
};
