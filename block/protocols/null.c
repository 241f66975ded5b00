/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nothing: writes go nowhere, reads give what was in memory or zeros. For measuring what is above. */
#include "block/node.h"

#include "engine/schema/types.h"

typedef struct NullState
{
  uint64_t latency_ns;
  bool zeroes;
} NullState;

static bool
null_open (VmNode *node, const void *opaque, GError **error)
{
  const VmqBlockdevOptionsNull *options = opaque;
  NullState *s = node->state;

  node->size = options->has_size ? options->size : VM_GIB;
  s->latency_ns = options->has_latency_ns ? options->latency_ns : 0;
  if (s->latency_ns > INT64_MAX)
    return vm_fail (error, "latency-ns is invalid");
  s->zeroes = options->has_read_zeroes && options->read_zeroes;
  node->filename = g_strdup_printf ("%s://", node->driver->name);
  node->write_flags = VM_REQ_FUA;
  return true;
}

static int
null_wait (VmNode *node)
{
  const NullState *s = node->state;

  if (s->latency_ns)
    vm_fiber_sleep ((int64_t) s->latency_ns);
  return 0;
}

static int
null_read (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  const NullState *s = node->state;

  if (s->zeroes)
    vm_vec_fill (vec, 0, 0, vec.size);
  return null_wait (node);
}

static int
null_write (VmNode *node, uint64_t offset, VmVec vec, unsigned flags)
{
  return null_wait (node);
}

static int
null_write_zeroes (VmNode *node, uint64_t offset, uint64_t len, unsigned flags)
{
  return null_wait (node);
}

static int
null_status (VmNode *node, uint64_t offset, uint64_t len, VmExtent *extent)
{
  const NullState *s = node->state;

  *extent = (VmExtent){ .len = node->size - offset,
                        .flags = VM_EXTENT_ALLOCATED | VM_EXTENT_HAS_OFFSET | (s->zeroes ? VM_EXTENT_ZERO : 0),
                        .file_offset = offset,
                        .file = node };
  return 0;
}

static uint64_t
null_allocated (VmNode *node)
{
  return 0;
}

#define NULL_FUNCTIONS                                                                                                 \
  .kind = VM_DRIVER_PROTOCOL, .state_size = sizeof (NullState), .open = null_open, .read = null_read,                  \
  .write = null_write, .write_zeroes = null_write_zeroes, .flush = null_wait, .status = null_status,                   \
  .allocated = null_allocated

static const char *const null_co_schemes[] = { "null-co", NULL };
static const char *const null_aio_schemes[] = { "null-aio", NULL };

const VmBlockDriver vm_null_co_driver
    = { .name = "null-co", .help = "Nothing, by fibers", .schemes = null_co_schemes, NULL_FUNCTIONS };
const VmBlockDriver vm_null_aio_driver
    = { .name = "null-aio", .help = "Nothing, by the kernel's queue", .schemes = null_aio_schemes, NULL_FUNCTIONS };
