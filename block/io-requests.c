/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands on a node: those that read, write and ask. */
#include "block/info.h"
#include "block/io.h"

#include "engine/clock/clock.h"
#include "engine/schema/types.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#define SECTOR 512
#define MAX_LENGTH UINT64_C (2147483136)
#define READ_FILL 0xab
#define WRITE_FILL 0xcd
#define MISALIGNMENT 16
#define MAX_PIECES 1024

/* --- numbers ---------------------------------------------------------------------------------------------------- */

bool
vm_io_number (VmIo *io, const char *text, uint64_t *number)
{
  if (vm_parse_size (text, 'B', number, NULL) && *number <= INT64_MAX)
    return true;
  if (strspn (text, "0123456789") == strlen (text) && *text)
    vm_io_print (io, "Parsing error: argument too large -- %s\n", text);
  else
    vm_io_print (io, "Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n", text);
  return false;
}

char *
vm_io_size_text (double value)
{
  static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
  unsigned unit = 0;
  char *text, *dot;

  while (value >= 1024 && unit < G_N_ELEMENTS (units) - 1)
    {
      value /= 1024;
      unit++;
    }
  text = g_strdup_printf (unit ? "%.3f" : "%f", value);
  dot = strchr (text, '.');
  if (dot && strspn (dot + 1, "0") == strlen (dot + 1))
    *dot = '\0';
  g_autofree char *digits = text;
  return g_strdup_printf ("%s %s", digits, units[unit]);
}

static char *
time_text (double seconds, bool fixed)
{
  unsigned hundredths = (unsigned) (seconds * 100) % 100;
  uint64_t s = (uint64_t) seconds;

  if (fixed || s >= 60)
    return g_strdup_printf ("%u:%02u:%02u.%02u", (unsigned) (s / 3600), (unsigned) (s / 60 % 60), (unsigned) (s % 60),
                            hundredths);
  return g_strdup_printf ("%02u.%02u sec", (unsigned) s, hundredths);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

typedef struct Request
{
  VmIo *io;
  const char *verb; /* of messages: "read", "aio_write" */
  bool write, quiet, machine, dump, zero, unmap, no_fallback, compressed, vmstate, fua, verify, patterned;
  bool asynchronous, invalid;
  int pattern;
  uint64_t offset, len;
  uint64_t verify_offset, verify_len;
  bool has_verify_offset, has_verify_len;
  const char *file; /* what is written is its content */
  uint8_t *memory, *buffer;
  GArray *iov;
  gint64 start;
} Request;

static void
request_clear (Request *r)
{
  free (r->memory);
  if (r->iov)
    g_array_unref (r->iov);
}

static bool
take_pattern (Request *r, const char *text)
{
  char *end;
  gint64 n = g_ascii_strtoll (text, &end, 0);

  if (*end || end == text || n < 0 || n > 255)
    {
      vm_io_print (r->io, "%s is not a valid pattern byte\n", text);
      return false;
    }
  r->patterned = true;
  r->pattern = (int) n;
  return true;
}

/* Offset and lengths from ARGV[optind] on; several lengths make several pieces. */
static bool
take_range (Request *r, int argc, char **argv)
{
  uint64_t n;

  if (!vm_io_number (r->io, argv[optind++], &r->offset))
    return false;
  r->iov = g_array_new (FALSE, FALSE, sizeof (struct iovec));
  for (; optind < argc; optind++)
    {
      if (!vm_io_number (r->io, argv[optind], &n))
        return false;
      if (n > MAX_LENGTH - r->len || r->iov->len == MAX_PIECES)
        {
          vm_io_print (r->io, "length cannot exceed %" PRIu64 " bytes, given %s\n", MAX_LENGTH, argv[optind]);
          return false;
        }
      struct iovec piece = { NULL, n };
      g_array_append_val (r->iov, piece);
      r->len += n;
    }
  return true;
}

static bool
fill_from_file (Request *r)
{
  g_autofree char *data = NULL;
  GError *error = NULL;
  gsize len;

  if (!g_file_get_contents (r->file, &data, &len, &error))
    {
      int err = errno;
      g_clear_error (&error);
      vm_io_complain (r->io, "%s: %s\n", r->file, g_strerror (err));
      return false;
    }
  if (!len)
    {
      vm_io_complain (r->io, "%s: file is empty\n", r->file);
      return false;
    }
  for (uint64_t at = 0; at < r->len; at += len)
    memcpy (r->buffer + at, data, MIN (len, r->len - at));
  return true;
}

static bool
make_buffer (Request *r)
{
  size_t shift = r->io->misalign ? MISALIGNMENT : 0;
  uint8_t *at;

  if (r->zero)
    return true;
  if (posix_memalign ((void **) &r->memory, 4096, MAX (r->len + shift, 1)))
    {
      r->memory = NULL;
      vm_io_complain (r->io, "%s%s\n", r->io->prefix, g_strerror (ENOMEM));
      return false;
    }
  r->buffer = at = r->memory + shift;
  memset (r->buffer, r->write ? r->patterned ? r->pattern : WRITE_FILL : READ_FILL, r->len);
  for (guint i = 0; i < r->iov->len; i++)
    {
      struct iovec *piece = &g_array_index (r->iov, struct iovec, i);
      piece->iov_base = at;
      at += piece->iov_len;
    }
  return !r->file || fill_from_file (r);
}

static void
dump (const Request *r)
{
  for (uint64_t at = 0; at < r->len; at += 16)
    {
      uint64_t n = MIN (16, r->len - at);
      vm_io_print (r->io, "%08" PRIx64 ":  ", r->offset + at);
      for (uint64_t i = 0; i < n; i++)
        vm_io_print (r->io, "%02x ", r->buffer[at + i]);
      vm_io_print (r->io, " ");
      for (uint64_t i = 0; i < n; i++)
        vm_io_print (r->io, "%c", g_ascii_isalnum (r->buffer[at + i]) ? r->buffer[at + i] : '.');
      vm_io_print (r->io, "\n");
    }
}

static void
report (const Request *r, const char *past)
{
  double seconds = (double) MAX (g_get_monotonic_time () - r->start, 1) / 1e6;
  g_autofree char *total = vm_io_size_text ((double) r->len);
  g_autofree char *rate = vm_io_size_text ((double) r->len / seconds);
  g_autofree char *took = time_text (seconds, r->machine);

  if (r->machine)
    {
      vm_io_print (r->io, "%" PRIu64 ",1,%s,%.3f,%.3f\n", r->len, took, (double) r->len / seconds, 1 / seconds);
      return;
    }
  vm_io_print (r->io, "%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", past, r->len, r->len, r->offset);
  vm_io_print (r->io, "%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", total, took, rate, 1 / seconds);
}

static int
submit (Request *r)
{
  VmNode *node = r->io->node;
  unsigned flags = r->io->write_flags | (r->fua ? VM_REQ_FUA : 0) | (r->unmap ? VM_REQ_UNMAP : 0)
                   | (r->no_fallback ? VM_REQ_NO_FALLBACK : 0) | (r->compressed ? VM_REQ_COMPRESSED : 0);
  VmVec vec = vm_vec ((const struct iovec *) (void *) r->iov->data, r->iov->len);

  if (r->vmstate)
    {
      VmNode *holder = vm_node_skip_filters (node);
      if (!(r->write ? holder->driver->vmstate_write : holder->driver->vmstate_read))
        return -ENOTSUP;
      return (r->write ? holder->driver->vmstate_write : holder->driver->vmstate_read) (holder, r->offset, vec);
    }
  if (r->offset > node->size || r->len > node->size - r->offset)
    return -EIO;
  if (r->zero)
    return vm_node_write_zeroes (node, r->offset, r->len, flags);
  return r->write ? vm_node_write (node, r->offset, vec, flags) : vm_node_read (node, r->offset, vec, 0);
}

static bool
verify (const Request *r)
{
  const uint8_t *at = r->buffer + r->verify_offset;
  uint64_t n = r->verify_len;

  if (!n || (at[0] == r->pattern && !memcmp (at, at + 1, n - 1)))
    return true;
  vm_io_print (r->io, "Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes\n",
               r->offset + r->verify_offset, n);
  return false;
}

/* The request itself and all that is said of it. */
static bool
carry_out (Request *r)
{
  bool ok = true;
  int err;

  r->start = g_get_monotonic_time ();
  err = submit (r);
  if (r->asynchronous && r->io->account)
    r->io->account (r->io, r->write, r->len, (uint64_t) (g_get_monotonic_time () - r->start) * 1000, err);
  if (err < 0)
    {
      vm_io_print (r->io, "%s failed: %s\n", r->verb, g_strerror (-err));
      return false;
    }
  if (r->verify)
    ok = verify (r);
  if (r->quiet)
    return ok;
  if (r->dump)
    dump (r);
  report (r, r->write ? "wrote" : "read");
  return ok;
}

static void
asynchronous (void *opaque)
{
  Request *r = opaque;
  VmIo *io = r->io;

  carry_out (r);
  request_clear (r);
  g_free (r);
  if (!--io->pending)
    vm_fiber_queue_wake_all (&io->idle);
}

static bool
check_flags (Request *r, const char *name)
{
  if (r->vmstate && (r->compressed || r->zero))
    vm_io_print (r->io, "-b and -c or -z cannot be specified at the same time\n");
  else if (r->compressed && r->zero)
    vm_io_print (r->io, "-c and -z cannot be specified at the same time\n");
  else if (r->fua && (r->vmstate || r->compressed))
    vm_io_print (r->io, "-f and -b or -c cannot be specified at the same time\n");
  else if (r->no_fallback && !r->zero)
    vm_io_print (r->io, "-n requires -z to be specified\n");
  else if (r->unmap && !r->zero)
    vm_io_print (r->io, "-u requires -z to be specified\n");
  else if (r->zero + (r->patterned && r->write) + (r->file != NULL) > 1)
    vm_io_print (r->io, "Only one of -z, -P, and -s can be specified at the same time\n");
  else if (!r->patterned && (r->has_verify_offset || r->has_verify_len))
    return vm_io_usage (r->io, name);
  else
    return true;
  return false;
}

static bool
check_range (Request *r)
{
  if ((r->vmstate || r->compressed) && (r->offset % SECTOR || (r->vmstate && r->len % SECTOR)))
    {
      bool offset = r->offset % SECTOR;
      vm_io_print (r->io, "%" PRIu64 " is not a sector-aligned value for '%s'\n", offset ? r->offset : r->len,
                   offset ? "offset" : "count");
      return false;
    }
  r->verify = !r->write && r->patterned;
  if (!r->has_verify_len)
    r->verify_len = r->len - MIN (r->verify_offset, r->len);
  if (r->verify && (r->verify_offset > r->len || r->verify_len > r->len - r->verify_offset))
    {
      vm_io_print (r->io, "pattern verification range exceeds end of read data\n");
      return false;
    }
  return true;
}

static bool
take_flag (Request *r, int c)
{
  switch (c)
    {
    case 'a': /* as all are */
    case 'p':
      return true;
    case 'b':
      return r->vmstate = true;
    case 'c':
      return r->compressed = true;
    case 'C':
      return r->machine = true;
    case 'f':
      return r->fua = true;
    case 'i':
      return r->invalid = true;
    case 'n':
      return r->no_fallback = true;
    case 'q':
      return r->quiet = true;
    case 'u':
      return r->unmap = true;
    case 'v':
      return r->dump = true;
    case 'z':
      return r->zero = true;
    case 'l':
      return (r->has_verify_len = vm_io_number (r->io, optarg, &r->verify_len));
    case 'P':
      return take_pattern (r, optarg);
    case 's':
      if (r->write)
        r->file = optarg;
      else
        return (r->has_verify_offset = vm_io_number (r->io, optarg, &r->verify_offset));
      return true;
    default:
      return false;
    }
}

/* LETTERS: what getopt(3) takes. */
static bool
request (VmIo *io, int argc, char **argv, const char *letters, bool write, bool pieces, bool async)
{
  Request r = { .io = io, .verb = argv[0], .write = write, .asynchronous = async };
  bool ok = true;
  int c;

  r.verb = async    ? (write ? "aio_write" : "aio_read")
           : pieces ? (write ? "writev" : "readv")
           : write  ? "write"
                    : "read";
  while (ok && (c = getopt (argc, argv, letters)) != -1)
    {
      if (c == '?')
        return vm_io_usage (io, argv[0]);
      ok = take_flag (&r, c);
    }
  if (ok && (argc - optind < 2 || (!pieces && argc - optind > 2)))
    ok = vm_io_usage (io, argv[0]);
  ok = ok && check_flags (&r, argv[0]) && take_range (&r, argc, argv) && check_range (&r);
  if (ok && r.invalid)
    {
      vm_io_print (io, "injecting invalid %s request\n", write ? "write" : "read");
      if (io->account)
        io->account (io, write, 0, 0, -EINVAL);
      request_clear (&r);
      return true;
    }
  ok = ok && make_buffer (&r);
  if (ok && async)
    {
      io->pending++;
      vm_fiber_spawn (vm_graph_loop (io->graph), asynchronous, g_memdup2 (&r, sizeof r));
      return true;
    }
  ok = ok && carry_out (&r);
  request_clear (&r);
  return ok;
}

static bool
cmd_read (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "abCl:pP:qs:v", false, false, false);
}

static bool
cmd_readv (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "CP:qv", false, true, false);
}

static bool
cmd_write (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "bcCfnpP:qs:uz", true, false, false);
}

static bool
cmd_writev (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "CfqP:", true, true, false);
}

static bool
cmd_aio_read (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "CP:iqv", false, true, true);
}

static bool
cmd_aio_write (VmIo *io, int argc, char **argv)
{
  return request (io, argc, argv, "CfiP:quz", true, true, true);
}

static bool
cmd_aio_flush (VmIo *io, int argc, char **argv)
{
  while (io->pending)
    vm_fiber_queue_wait (&io->idle);
  return true;
}

static bool
cmd_flush (VmIo *io, int argc, char **argv)
{
  int err = vm_node_flush (io->node);

  if (err < 0)
    vm_io_print (io, "flush failed: %s\n", g_strerror (-err));
  return err >= 0;
}

static bool
cmd_discard (VmIo *io, int argc, char **argv)
{
  Request r = { .io = io };
  int c, err;

  while ((c = getopt (argc, argv, "Cq")) != -1)
    if (c == '?' || !take_flag (&r, c))
      return vm_io_usage (io, argv[0]);
  if (argc - optind != 2)
    return vm_io_usage (io, argv[0]);
  if (!vm_io_number (io, argv[optind], &r.offset) || !vm_io_number (io, argv[optind + 1], &r.len))
    return false;
  r.start = g_get_monotonic_time ();
  err = r.offset > io->node->size || r.len > io->node->size - r.offset ? -EIO
                                                                       : vm_node_discard (io->node, r.offset, r.len);
  if (err < 0)
    vm_io_print (io, "discard failed: %s\n", g_strerror (-err));
  else if (!r.quiet)
    report (&r, "discard");
  return err >= 0;
}

/* --- asking ----------------------------------------------------------------------------------------------------- */

/* How far what is true of OFFSET goes, at most LEN: *ALLOCATED. */
static int
allocation (VmNode *node, uint64_t offset, uint64_t *len, bool *allocated)
{
  uint64_t total = 0;

  while (total < *len)
    {
      VmExtent extent;
      int err = vm_node_status (vm_node_skip_filters (node), offset + total, *len - total, &extent);
      if (err < 0)
        return err;
      bool now = extent.flags & VM_EXTENT_ALLOCATED;
      if (total && now != *allocated)
        break;
      *allocated = now;
      total += MIN (extent.len, *len - total);
    }
  *len = total;
  return 0;
}

static bool
cmd_alloc (VmIo *io, int argc, char **argv)
{
  uint64_t offset, count = SECTOR, sum = 0, n;
  VmNode *node = io->node;
  bool allocated = false;

  if (!vm_io_number (io, argv[1], &offset) || (argc > 2 && !vm_io_number (io, argv[2], &count)))
    return false;
  for (uint64_t at = 0; at < count && offset + at < node->size; at += n)
    {
      n = MIN (count - at, node->size - offset - at);
      int err = allocation (node, offset + at, &n, &allocated);
      if (err < 0)
        {
          vm_io_print (io, "is_allocated failed: %s\n", g_strerror (-err));
          return false;
        }
      sum += allocated ? n : 0;
    }
  g_autofree char *text = vm_io_size_text ((double) offset);
  vm_io_print (io, "%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, count, text);
  return true;
}

static bool
cmd_map (VmIo *io, int argc, char **argv)
{
  VmNode *node = io->node;
  bool allocated = false;
  uint64_t n;

  for (uint64_t at = 0; at < node->size; at += n)
    {
      n = node->size - at;
      int err = allocation (node, at, &n, &allocated);
      if (err < 0)
        {
          vm_io_print (io, "Failed to get allocation status: %s\n", g_strerror (-err));
          return false;
        }
      g_autofree char *len = vm_io_size_text ((double) n), *offset = vm_io_size_text ((double) at);
      vm_io_print (io, "%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", len, n,
                   allocated ? "   " : "not", offset, at);
    }
  return true;
}

static bool
cmd_length (VmIo *io, int argc, char **argv)
{
  g_autofree char *text = vm_io_size_text ((double) io->node->size);

  vm_io_print (io, "%s\n", text);
  return true;
}

static bool
cmd_info (VmIo *io, int argc, char **argv)
{
  VmNode *node = io->node;
  const VmBlockDriver *driver = node->driver;
  uint64_t cluster = driver->cluster_size ? driver->cluster_size (node) : 0, state = 0;
  json_object *specific;

  /* Behind what the second-level tables of the disk can hold. */
  if (driver->vmstate_read && cluster)
    state = (node->size + cluster * (cluster / 8) - 1) / (cluster * (cluster / 8)) * (cluster * (cluster / 8));
  g_autofree char *cluster_text = vm_io_size_text ((double) cluster), *state_text = vm_io_size_text ((double) state);
  vm_io_print (io, "format name: %s\ncluster size: %s\nvm state offset: %s\n", driver->name, cluster_text, state_text);
  specific = driver->describe ? driver->describe (node) : NULL;
  if (specific)
    {
      g_autoptr (GString) text = g_string_new (NULL);
      vm_info_specific_text (specific, 0, text);
      vm_io_print (io, "%s", text->str);
    }
  json_object_put (specific);
  return true;
}

static bool
cmd_truncate (VmIo *io, int argc, char **argv)
{
  static const char *const modes[] = { "off", "metadata", "falloc", "full" };
  VmPreallocation prealloc = VM_PREALLOC_OFF;
  g_autoptr (GError) error = NULL;
  uint64_t size;
  int c;

  while ((c = getopt (argc, argv, "m:")) != -1)
    {
      unsigned i = 0;
      while (c == 'm' && i < G_N_ELEMENTS (modes) && strcmp (modes[i], optarg) != 0)
        i++;
      if (c != 'm')
        return vm_io_usage (io, argv[0]);
      if (i == G_N_ELEMENTS (modes))
        {
          vm_io_complain (io, "%sInvalid preallocation mode '%s'\n", io->prefix, optarg);
          return false;
        }
      prealloc = i;
    }
  if (argc - optind != 1)
    return vm_io_usage (io, argv[0]);
  if (!vm_io_number (io, argv[optind], &size))
    return false;
  if (!vm_edge_set_perms (io->root, io->root->perm | VM_PERM_RESIZE, io->root->shared, &error)
      || vm_node_truncate (io->node, size, false, prealloc, 0, &error) < 0)
    {
      vm_io_complain (io, "%s%s\n", io->prefix, error->message);
      return false;
    }
  return true;
}

/* --- breakpoints of blkdebug ------------------------------------------------------------------------------------- */

static bool
do_break (VmIo *io, VmBreak what, int event, const char *tag, const char *trouble)
{
  int status = vm_node_break (io->node, what, (VmqBlkdebugEvent) event, tag);

  if (status < 0)
    vm_io_print (io, "%s: %s\n", trouble, g_strerror (-status));
  return status >= 0;
}

static bool
cmd_break (VmIo *io, int argc, char **argv)
{
  int event = vm_schema_enum_value (&vmq_type_blkdebugevent, argv[1]);

  if (event >= 0)
    return do_break (io, VM_BREAK_SET, event, argv[2], "Could not set breakpoint");
  vm_io_print (io, "Could not set breakpoint: %s\n", g_strerror (ENOENT));
  return false;
}

static bool
cmd_remove_break (VmIo *io, int argc, char **argv)
{
  g_autofree char *trouble = g_strconcat ("Could not remove breakpoint ", argv[1], NULL);

  return do_break (io, VM_BREAK_REMOVE, 0, argv[1], trouble);
}

static bool
cmd_resume (VmIo *io, int argc, char **argv)
{
  return do_break (io, VM_BREAK_RESUME, 0, argv[1], "Could not resume request");
}

static bool
cmd_wait_break (VmIo *io, int argc, char **argv)
{
  int status;

  while ((status = vm_node_break (io->node, VM_BREAK_REACHED, 0, argv[1])) == -ENOENT && io->pending)
    vm_fiber_sleep (VM_NS_PER_MS);
  if (status < 0)
    vm_io_print (io, "Could not wait for breakpoint %s: %s\n", argv[1], g_strerror (-status));
  return status >= 0;
}

#define READ_HELP                                                                                                      \
  " -C, -- report statistics in a machine parsable format\n"                                                           \
  " -P, -- use a pattern to verify read data\n"                                                                        \
  " -q, -- quiet mode, do not show I/O statistics\n"                                                                   \
  " -v, -- dump buffer to standard output\n"
#define WRITE_HELP                                                                                                     \
  " -C, -- report statistics in a machine parsable format\n"                                                           \
  " -f, -- on stable storage when it is done\n"                                                                        \
  " -P, -- fill with this byte instead of 0xcd\n"                                                                      \
  " -q, -- quiet mode, do not show I/O statistics\n"
#define ZERO_HELP " -u, -- with -z, allow unmapping\n -z, -- write zeroes\n"

const VmIoCommand vm_io_requests[] = {
  { "aio_flush", NULL, cmd_aio_flush, 0, 0, false, false, NULL, "completes all outstanding aio requests", NULL },
  { "aio_read", NULL, cmd_aio_read, 2, -1, false, false, "[-Ciqv] [-P pattern] off len [len..]",
    "asynchronously reads a number of bytes", READ_HELP " -i, -- treat request as invalid, for exercising stats\n" },
  { "aio_write", NULL, cmd_aio_write, 2, -1, false, true, "[-Cfiquz] [-P pattern] off len [len..]",
    "asynchronously writes a number of bytes",
    WRITE_HELP ZERO_HELP " -i, -- treat request as invalid, for exercising stats\n" },
  { "alloc", NULL, cmd_alloc, 1, 2, false, false, "offset [count]", "checks if offset is allocated in the file", NULL },
  { "break", NULL, cmd_break, 2, 2, false, false, "event tag",
    "sets a breakpoint on event and tags the stopped request as tag", NULL },
  { "discard", "d", cmd_discard, 2, -1, false, true, "[-Cq] off len",
    "discards a number of bytes at a specified offset",
    " -C, -- report statistics in a machine parsable format\n -q, -- quiet mode, do not show I/O statistics\n" },
  { "flush", "f", cmd_flush, 0, 0, false, false, NULL, "flush all in-core file state to disk", NULL },
  { "info", "i", cmd_info, 0, 0, false, false, NULL, "prints information about the current file", NULL },
  { "length", "l", cmd_length, 0, 0, false, false, NULL, "gets the length of the current file", NULL },
  { "map", NULL, cmd_map, 0, 0, false, false, "", "prints the allocated areas of a file", NULL },
  { "read", "r", cmd_read, 2, -1, false, false, "[-abCqv] [-P pattern [-s off] [-l len]] off len",
    "reads a number of bytes at a specified offset",
    READ_HELP " -b, -- read from the VM state rather than the virtual disk\n"
              " -l, -- length for pattern verification (only with -P)\n"
              " -s, -- start offset for pattern verification (only with -P)\n" },
  { "readv", "rv", cmd_readv, 2, -1, false, false, "[-Cqv] [-P pattern] off len [len..]",
    "reads a number of bytes at a specified offset", READ_HELP },
  { "remove_break", NULL, cmd_remove_break, 1, 1, false, false, "tag", "remove a breakpoint by tag", NULL },
  { "resume", NULL, cmd_resume, 1, 1, false, false, "tag", "resumes the request tagged as tag", NULL },
  { "truncate", "t", cmd_truncate, 1, -1, false, true, "[-m prealloc_mode] off",
    "truncates the current file at the given offset", NULL },
  { "wait_break", NULL, cmd_wait_break, 1, 1, false, false, "tag", "waits for the suspension of a request", NULL },
  { "write", "w", cmd_write, 2, -1, false, true, "[-bcCfnquz] [-P pattern | -s source_file] off len",
    "writes a number of bytes at a specified offset",
    WRITE_HELP ZERO_HELP " -b, -- write to the VM state rather than the virtual disk\n"
                         " -c, -- write compressed data\n"
                         " -n, -- with -z, don't allow slow fallback\n"
                         " -s, -- use a pattern file to fill the write buffer\n" },
  { "writev", "wv", cmd_writev, 2, -1, false, true, "[-Cfq] [-P pattern] off len [len..]",
    "writes a number of bytes at a specified offset", WRITE_HELP },
  { NULL },
};
