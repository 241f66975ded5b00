/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading qcow2 images: each run of clusters that are alike is one step, and steps of one request run side by side. */
#include "block/qcow2/qcow2-private.h"

#define GROUP_MAX 16

/* --- groups --------------------------------------------------------------------------------------------- */

void
qcow2_group_run (Qcow2Group *group, VmFiberFunc func, void *opaque)
{
  while (group->running >= GROUP_MAX)
    vm_fiber_queue_wait (&group->waiting);
  group->running++;
  vm_fiber_spawn (vm_fiber_loop (vm_fiber_self ()), func, opaque);
}

void
qcow2_group_done (Qcow2Group *group, int status)
{
  if (status < 0 && group->status >= 0)
    group->status = status;
  group->running--;
  vm_fiber_queue_wake (&group->waiting);
}

int
qcow2_group_wait (Qcow2Group *group)
{
  while (group->running)
    vm_fiber_queue_wait (&group->waiting);
  return group->status;
}

/* --- steps ------------------------------------------------------------------------------------------------ */

static int
read_backing (Qcow2 *s, uint64_t offset, VmVec vec)
{
  VmNode *backing = qcow2_backing (s);
  uint64_t size = backing ? backing->size : 0, there = offset >= size ? 0 : MIN (vec.size, size - offset);

  vm_vec_fill (vec, there, 0, vec.size - there);
  if (there)
    qcow2_event (s, VMQ_BLKDEBUG_EVENT_READ_BACKING_AIO);
  return there ? vm_node_read (backing, offset, vm_vec_slice (vec, 0, there), 0) : 0;
}

/* The file may end before the cluster does. */
static int
read_host (VmNode *file, uint64_t host, VmVec vec)
{
  uint64_t there = host >= file->size ? 0 : MIN (vec.size, file->size - host);

  vm_vec_fill (vec, there, 0, vec.size - there);
  vm_node_event (file, VMQ_BLKDEBUG_EVENT_READ_AIO);
  return there ? vm_node_read (file, host, vm_vec_slice (vec, 0, there), 0) : 0;
}

static int
read_encrypted (Qcow2 *s, uint64_t host, uint64_t guest, VmVec vec)
{
  g_autofree uint8_t *buffer = g_try_malloc (vec.size);
  struct iovec iov;
  int status;

  if (!buffer)
    return -ENOMEM;
  if ((status = read_host (qcow2_data (s), host, vm_vec_buffer (&iov, buffer, vec.size))) < 0
      || (status = qcow2_decrypt (s, host, guest, buffer, vec.size)) < 0)
    return status;
  vm_vec_write (vec, 0, buffer, vec.size);
  return 0;
}

static int
read_step (Qcow2 *s, const Qcow2Map *map, uint64_t offset, VmVec vec)
{
  switch (map->kind)
    {
    case KIND_UNALLOCATED:
      return read_backing (s, offset, vec);
    case KIND_ZERO:
      vm_vec_fill (vec, 0, 0, vec.size);
      return 0;
    case KIND_NORMAL:
      return s->crypt ? read_encrypted (s, map->host, offset, vec) : read_host (qcow2_data (s), map->host, vec);
    default:
      qcow2_event (s, VMQ_BLKDEBUG_EVENT_READ_COMPRESSED);
      return qcow2_read_compressed (s, map->entry, offset & (s->cluster_size - 1), vec);
    }
}

typedef struct Step
{
  Qcow2Group *group;
  Qcow2 *s;
  Qcow2Map map;
  uint64_t offset;
  VmVec vec;
} Step;

static void
step_run (void *opaque)
{
  g_autofree Step *step = opaque;

  qcow2_group_done (step->group, read_step (step->s, &step->map, step->offset, step->vec));
}

int
qcow2_read_at (Qcow2 *s, uint64_t offset, VmVec vec)
{
  Qcow2Group group = { 0 };
  size_t done = 0;

  while (done < vec.size && group.status >= 0)
    {
      Qcow2Map map;
      VmVec part;
      int status = qcow2_map (s, offset + done, vec.size - done, &map);

      if (status < 0)
        {
          group.status = status;
          break;
        }
      part = vm_vec_slice (vec, done, map.len);
      /* What waits and is not the last of the request gets a fiber of its own. */
      if (map.kind == KIND_ZERO || (map.kind == KIND_UNALLOCATED && !qcow2_backing (s)) || done + map.len == vec.size)
        {
          status = read_step (s, &map, offset + done, part);
          if (status < 0 && group.status >= 0)
            group.status = status;
        }
      else
        {
          Step *step = g_new (Step, 1);

          *step = (Step){ &group, s, map, offset + done, part };
          qcow2_group_run (&group, step_run, step);
        }
      done += map.len;
    }
  return qcow2_group_wait (&group);
}

static int
read_guarded (Qcow2 *s, uint64_t offset, VmVec vec)
{
  int status = qcow2_usable (s, false);
  unsigned epoch;

  if (status < 0)
    return status;
  vm_fiber_rw_read (&s->gate);
  epoch = qcow2_enter (s);
  status = qcow2_read_at (s, offset, vec);
  qcow2_leave (s, epoch);
  vm_fiber_rw_unlock (&s->gate);
  return status;
}

int
qcow2_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return read_guarded (node->state, offset, vec);
}

/* --- the state of machines, behind the disk -------------------------------------------------------------- */

int
qcow2_vmstate_read (VmNode *node, uint64_t offset, VmVec vec)
{
  Qcow2 *s = node->state;
  uint64_t base = (uint64_t) s->l1_vm_state << (s->cluster_bits + s->l2_bits);

  qcow2_event (s, VMQ_BLKDEBUG_EVENT_VMSTATE_LOAD);
  return offset > INT64_MAX - base - vec.size ? -EFBIG : read_guarded (s, base + offset, vec);
}

/* --- what is known ------------------------------------------------------------------------------------------ */

bool
qcow2_reads_zero (Qcow2 *s, uint64_t offset, uint64_t len)
{
  VmNode *backing = qcow2_backing (s);

  while (len)
    {
      Qcow2Map map;

      if (qcow2_map (s, offset, len, &map) < 0)
        return false;
      if (map.kind == KIND_UNALLOCATED && backing && offset < backing->size)
        {
          VmExtent extent;
          uint64_t n = MIN (map.len, backing->size - offset);

          if (vm_node_status_above (backing, NULL, offset, n, &extent) < 0 || !(extent.flags & VM_EXTENT_ZERO))
            return false;
          map.len = extent.len < n ? extent.len : map.len;
        }
      else if (map.kind != KIND_ZERO && map.kind != KIND_UNALLOCATED)
        return false;
      offset += map.len;
      len -= map.len;
    }
  return true;
}

/* Preallocated images are full of clusters that nobody has written: asking the file is worth it. */
static bool
is_sparse (Qcow2 *s)
{
  VmNode *file = qcow2_data (s);

  if (!s->sparse_known)
    s->sparse = file->driver->allocated && file->driver->allocated (file) < file->size - file->size / 8;
  s->sparse_known = true;
  return s->sparse;
}

int
qcow2_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  Qcow2 *s = node->state;
  Qcow2Map map;
  int status;

  vm_fiber_rw_read (&s->gate);
  status = qcow2_map (s, offset, len, &map);
  vm_fiber_rw_unlock (&s->gate);
  if (status < 0)
    return status;
  *extent = (VmExtent){ .len = map.len };
  if ((map.kind == KIND_NORMAL || (map.kind == KIND_ZERO && map.has_host)) && !s->crypt)
    {
      extent->flags |= VM_EXTENT_HAS_OFFSET;
      extent->file_offset = map.host;
      extent->file = qcow2_data (s);
    }
  switch (map.kind)
    {
    case KIND_UNALLOCATED:
      extent->flags |= qcow2_backing (s) ? 0 : VM_EXTENT_ZERO;
      break;
    case KIND_ZERO:
      extent->flags |= VM_EXTENT_ALLOCATED | VM_EXTENT_ZERO;
      break;
    case KIND_NORMAL:
      extent->flags |= VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | (!s->crypt && is_sparse (s) ? VM_EXTENT_RECURSE : 0);
      break;
    case KIND_COMPRESSED:
      extent->flags |= VM_EXTENT_ALLOCATED | VM_EXTENT_DATA | VM_EXTENT_COMPRESSED;
      break;
    }
  return 0;
}
