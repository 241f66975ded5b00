/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What jobs that copy have in common; and nodes that become writable for them. */
#include "block/jobs/copy.h"

#include "block/graph-private.h"

#include <errno.h>

static bool
is_zero (const uint8_t *buffer, uint64_t len)
{
  return !buffer[0] && !memcmp (buffer, buffer + 1, len - 1);
}

int
vm_job_copy (VmNode *from, VmNode *to, uint64_t offset, uint64_t len, void *buffer, unsigned flags, bool *read)
{
  VmExtent extent = { .len = len };
  struct iovec iov;
  int status = 0;

  *read = true;
  for (uint64_t at = 0; status >= 0 && at < len; at += extent.len)
    {
      extent.len = len - at;
      if (offset + at < from->size)
        status = vm_node_status_above (from, NULL, offset + at, MIN (len - at, from->size - offset - at), &extent);
      else
        extent.flags = VM_EXTENT_ZERO;
      if (status < 0)
        break;
      extent.len = MIN (extent.len, len - at);
      bool zero = extent.flags & VM_EXTENT_ZERO;
      if (!zero && (status = vm_node_pread (from, offset + at, buffer, extent.len)) < 0)
        break;
      *read = false;
      if (zero || is_zero (buffer, extent.len))
        status = vm_node_write_zeroes (to, offset + at, extent.len, VM_REQ_UNMAP);
      else
        status = vm_node_write (to, offset + at, vm_vec_buffer (&iov, buffer, extent.len), flags);
      *read = status >= 0;
    }
  return status;
}

VmJob *
vm_job_new_for (const VmJobOptions *o, const VmJobClass *klass, size_t state_size, GError **error)
{
  VmJob *job = vm_job_new (o->node->graph, o->id, klass, state_size, error);

  if (!job)
    return NULL;
  job->speed = o->speed;
  job->auto_finalize = !o->no_auto_finalize;
  job->auto_dismiss = !o->no_auto_dismiss;
  return job;
}

int
vm_job_allocated (VmNode *top, VmNode *base, uint64_t offset, uint64_t *len)
{
  VmExtent extent;
  int status = vm_node_status_above (top, base, offset, *len, &extent);

  if (status < 0)
    return status;
  *len = MIN (*len, extent.len);
  return (extent.flags & VM_EXTENT_ALLOCATED) != 0;
}

void
vm_job_share_backing (VmNode *node, bool written)
{
  node->backing_written = written;
  vm_node_update_perms (node, NULL); /* shares more, or what it did before */
}

/* --- writable ---------------------------------------------------------------------------------------------------- */

static bool
can_change (VmNode *node)
{
  static const char *const simple[] = { "file", "host_device", "raw", "null-co", "null-aio" };

  for (unsigned i = 0; i < G_N_ELEMENTS (simple); i++)
    if (!strcmp (node->driver->name, simple[i]))
      return true;
  return node->driver->set_readonly != NULL;
}

static void
set_flag (VmNode *node, bool readonly)
{
  node->readonly = readonly;
  if (readonly)
    node->open_flags |= VM_OPEN_READONLY;
  else
    node->open_flags &= ~(unsigned) VM_OPEN_READONLY;
  if (node->driver->set_readonly)
    node->driver->set_readonly (node, readonly);
}

bool
vm_node_set_readonly (VmNode *node, bool readonly, GError **error)
{
  VmNode *file = node->file ? node->file->node : NULL;

  if (node->readonly == readonly)
    return true;
  if (!can_change (node))
    return vm_fail (error, "Block format '%s' used by node '%s' does not support reopening", node->driver->name,
                    node->name);
  if (readonly)
    vm_node_flush (node); /* what fails now fails again when it is closed */
  else if (file && !vm_node_set_readonly (file, false, error))
    return false;
  set_flag (node, readonly);
  if (!vm_node_update_perms (node, error))
    {
      set_flag (node, !readonly);
      vm_node_update_perms (node, NULL);
      return false;
    }
  return !readonly || !file || vm_node_set_readonly (file, true, error);
}
