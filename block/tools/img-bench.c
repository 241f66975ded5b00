/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-img bench: a number of requests of one size, one behind the other, several at a time. */
#include "block/tools/img.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FIBERS 4096

typedef struct Bench
{
  VmTool *tool;
  VmToolImage image;
  uint64_t count, sent, step, offset, size, flush_interval;
  unsigned depth, in_flight;
  bool write, drain, failed;
  uint8_t *buffer; /* what is written */
  VmFiberMutex lock;
  VmFiberQueue idle;
} Bench;

static void
fail (Bench *b, const char *what, int err)
{
  if (!b->failed)
    vm_tool_error (b->tool, NULL, "Failed request: %s: %s", what, g_strerror (-err));
  b->failed = true;
}

/* A flush comes before each request that leaves a multiple of the interval to do. */
static void
flush_when_due (Bench *b)
{
  int err;

  if (!b->flush_interval || !b->sent || (b->count - b->sent) % b->flush_interval)
    return;
  while (b->drain && b->in_flight)
    vm_fiber_queue_wait (&b->idle);
  err = vm_node_flush (b->image.node);
  if (err < 0)
    fail (b, "flush", err);
}

/* Behind the end it begins anew, as aligned as before. */
static uint64_t
wrap (const Bench *b, uint64_t offset)
{
  uint64_t size = b->image.node->size;

  offset %= size;
  return offset > size - b->size ? 0 : offset;
}

/* False: all are sent. */
static bool
claim (Bench *b, uint64_t *offset)
{
  bool more;

  vm_fiber_mutex_lock (&b->lock);
  more = !b->failed && b->sent < b->count;
  if (more)
    {
      flush_when_due (b);
      *offset = b->offset;
      b->offset = wrap (b, b->offset + b->step);
      b->sent++;
      b->in_flight++;
    }
  vm_fiber_mutex_unlock (&b->lock);
  return more;
}

static void
worker (void *opaque)
{
  Bench *b = opaque;
  VmNode *node = b->image.node;
  uint8_t *mine = b->write ? b->buffer : vm_tool_buffer (b->tool, b->size);
  struct iovec iov;
  uint64_t at;

  if (!mine)
    b->failed = true;
  while (claim (b, &at))
    {
      VmVec vec = vm_vec_buffer (&iov, mine, b->size);
      int err = b->write ? vm_node_write (node, at, vec, b->image.write_flags) : vm_node_read (node, at, vec, 0);
      if (err < 0)
        fail (b, b->write ? "write" : "read", err);
      if (!--b->in_flight)
        vm_fiber_queue_wake_all (&b->idle);
    }
  if (!b->write)
    free (mine);
}

static int
run (Bench *b, unsigned pattern)
{
  gint64 start;

  if (b->size > b->image.node->size)
    return !vm_tool_error (b->tool, NULL, "The image is smaller than one request");
  if (b->write)
    {
      b->buffer = vm_tool_buffer (b->tool, b->size);
      if (!b->buffer)
        return 1;
      memset (b->buffer, (int) pattern, b->size);
    }
  b->offset = wrap (b, b->offset);
  start = g_get_monotonic_time ();
  vm_tool_parallel (b->tool, b->depth, worker, b);
  if (!b->failed)
    printf ("Run completed in %3.3f seconds.\n", (double) (g_get_monotonic_time () - start) / 1e6);
  free (b->buffer);
  return b->failed;
}

static bool
take_number (VmTool *tool, const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
  char *end;
  guint64 n = g_ascii_strtoull (text, &end, 0);

  if (!g_ascii_isdigit (*text) || *end || n < min || n > max)
    return vm_tool_error (tool, NULL, "Invalid %s specified", what);
  *number = n;
  return true;
}

int
vm_img_bench (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { IMG_COMMON_OPTIONS,
                                           { "flush-interval", required_argument, NULL, IMG_FLUSH_INTERVAL },
                                           { "pattern", required_argument, NULL, IMG_PATTERN },
                                           { "no-drain", no_argument, NULL, IMG_NO_DRAIN },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { NULL } };
  Bench b = { .tool = tool, .count = 75000, .size = 4096, .drain = true };
  uint64_t depth = 64, pattern = 0;
  const char *cache = "writeback";
  VmToolOpen how = { NULL };
  bool has_step = false;
  VmImgArgs args = { argc, argv, ":hc:d:f:ni:o:qs:S:t:wU", options, &how, NULL, 0 };
  int c, status;

  while ((c = vm_img_next (tool, &args)) != -1)
    switch (c)
      {
      case 'c':
        if (!take_number (tool, "request count", optarg, 0, INT_MAX, &b.count))
          return 1;
        break;
      case 'd':
        if (!take_number (tool, "queue depth", optarg, 1, INT_MAX, &depth))
          return 1;
        break;
      case 'n':
        how.aio = "native";
        break;
      case 'i':
        how.aio = optarg;
        if (strcmp (optarg, "threads") != 0 && strcmp (optarg, "native") != 0 && strcmp (optarg, "io_uring") != 0)
          return !vm_tool_error (tool, NULL, "Invalid aio option: %s", optarg);
        break;
      case 'o':
        if (!vm_tool_size (tool, "offset", optarg, 0, INT64_MAX, &b.offset))
          return 1;
        break;
      case 'q':
        break;
      case 's':
        if (!vm_tool_size (tool, "buffer size", optarg, 1, INT_MAX, &b.size))
          return 1;
        break;
      case 'S':
        if (!vm_tool_size (tool, "step_size", optarg, 0, INT_MAX, &b.step))
          return 1;
        has_step = b.step != 0;
        break;
      case 't':
        cache = optarg;
        break;
      case 'w':
        b.write = how.write = true;
        break;
      case IMG_PATTERN:
        if (!take_number (tool, "pattern byte", optarg, 0, 255, &pattern))
          return 1;
        break;
      case IMG_FLUSH_INTERVAL:
        if (!take_number (tool, "flush interval", optarg, 0, INT_MAX, &b.flush_interval))
          return 1;
        break;
      case IMG_NO_DRAIN:
        b.drain = false;
        break;
      default:
        return args.status;
      }
  if (argc - optind != 1)
    return vm_tool_usage (tool, "Expecting one image file name");
  if (!b.write && b.flush_interval)
    return !vm_tool_error (tool, NULL, "--flush-interval is only available in write tests");
  if (b.flush_interval && b.flush_interval < depth)
    return !vm_tool_error (tool, NULL, "Flush interval can't be smaller than depth");
  if (!vm_tool_parse_cache (cache, &how.cache))
    return !vm_tool_error (tool, NULL, "Invalid cache mode");
  how.name = argv[optind];
  b.depth = (unsigned) MIN (MIN (depth, MAX_FIBERS), MAX (b.count, 1));
  if (!has_step)
    b.step = b.size;
  if (!vm_tool_open (tool, &how, &b.image))
    return 1;
  printf ("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
          " in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
          b.count, b.write ? "write" : "read", b.size, depth, b.offset, b.step);
  if (b.flush_interval)
    printf ("Sending flush every %" PRIu64 " requests\n", b.flush_interval);
  fflush (stdout);
  status = run (&b, (unsigned) pattern);
  vm_tool_close (&b.image);
  return status;
}
