/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-io: tries out disk images by commands, from arguments or typed in. */
#include "block/io.h"
#include "block/tools/tool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct Program
{
  VmIo io;
  VmTool *tool;
  VmToolImage image; /* what IO works on */
  VmToolOpen how;    /* as it was opened */
  char *name;        /* owned, of HOW */
  bool snapshot, copy_on_read;
  bool quit;
} Program;

/* --- opening --------------------------------------------------------------------------------------------------- */

static VmNode *
put_copy_on_read (Program *p, VmNode *below, GError **error)
{
  json_object *options = json_object_new_object ();
  VmNode *node;

  json_object_object_add (options, "driver", json_object_new_string ("copy-on-read"));
  json_object_object_add (options, "file", json_object_new_string (below->name));
  node = vm_node_open (p->tool->graph, options, VM_SCHEMA_TEXT, 0, error);
  json_object_put (options);
  return node;
}

static const VmRootClass io_root = { .kind = "program" };

/* The root moves from what was opened to what was PUT on it; takes both references. */
static bool
stand_on (Program *p, VmNode *put, GError **error)
{
  if (!put)
    return false;
  vm_node_detach (p->image.root);
  vm_node_unref (p->image.node);
  p->image.node = put;
  p->image.root = vm_node_attach_root (put, p->tool->program, &io_root, p, VM_PERM_READ | VM_PERM_WRITE,
                                       VM_PERM_READ | VM_PERM_UNCHANGED, error);
  return p->image.root != NULL;
}

static bool
open_image (Program *p)
{
  bool write = p->how.write;
  GError *error = NULL;
  bool ok;

  if (p->snapshot)
    p->how.write = false;
  ok = vm_tool_try_open (p->tool, &p->how, &p->image, &error);
  p->how.write = write;
  if (ok && p->snapshot)
    ok = stand_on (p, vm_tool_put_overlay (p->tool, p->image.node, &error), &error);
  if (ok && p->copy_on_read && write)
    ok = stand_on (p, put_copy_on_read (p, p->image.node, &error), &error);
  if (ok)
    {
      p->io.node = p->image.node;
      p->io.root = p->image.root;
      p->io.write_flags = p->image.write_flags;
      p->io.writable = p->how.write;
      return true;
    }
  vm_tool_close (&p->image);
  return vm_tool_error (p->tool, error, p->name && !p->how.image_opts ? "can't open device %s" : "can't open%s",
                        p->name && !p->how.image_opts ? p->name : "");
}

static void
close_image (Program *p)
{
  if (p->io.node)
    {
      vm_node_drain_begin (p->io.node); /* what has stopped at a breakpoint goes on */
      vm_node_drain_end (p->io.node);
    }
  vm_io_wait (&p->io);
  p->io.node = NULL;
  p->io.root = NULL;
  vm_tool_close (&p->image);
}

static bool
take_cache (Program *p, const char *text)
{
  return vm_tool_parse_cache (text, &p->how.cache) || vm_tool_error (p->tool, NULL, "Invalid cache option: %s", text);
}

static bool
take_aio (Program *p, const char *text)
{
  p->how.aio = !strcmp (text, "threads")    ? "threads"
               : !strcmp (text, "native")   ? "native"
               : !strcmp (text, "io_uring") ? "io_uring"
                                            : NULL;
  return p->how.aio || vm_tool_error (p->tool, NULL, "Invalid aio option: %s", text);
}

static void
add_option (Program *p, const char *name, json_object *value)
{
  if (!p->how.options)
    p->how.options = json_object_new_object ();
  json_object_object_add (p->how.options, name, value);
}

static bool
take_discard (Program *p, const char *text)
{
  bool unmap = !strcmp (text, "unmap") || !strcmp (text, "on");

  if (!unmap && strcmp (text, "ignore") != 0 && strcmp (text, "off") != 0)
    return vm_tool_error (p->tool, NULL, "Invalid discard option: %s", text);
  add_option (p, "discard", json_object_new_string (unmap ? "unmap" : "ignore"));
  return true;
}

static bool
take_options (Program *p, const char *text)
{
  GError *error = NULL;
  json_object *nested = vm_tool_nest (text, &error);

  if (!nested)
    return vm_tool_error (p->tool, error, "%s", "");
  json_object_object_foreach (nested, key, value) add_option (p, key, json_object_get (value));
  json_object_put (nested);
  return true;
}

static void
forget (Program *p)
{
  json_object_put (p->how.options);
  g_clear_pointer (&p->name, g_free);
  p->how = (VmToolOpen){ .write = true };
  p->snapshot = p->copy_on_read = false;
}

/* The name may be missing when the options say which file it is. */
static void
take_name (Program *p, const char *name)
{
  json_object *driver;

  p->name = g_strdup (name);
  p->how.name = p->name;
  if (p->how.options && json_object_object_get_ex (p->how.options, "driver", &driver) && name)
    {
      g_autofree char *format = g_strdup (json_object_get_string (driver));
      const VmBlockDriver *known = vm_graph_find_driver (p->tool->graph, format);
      json_object_object_del (p->how.options, "driver");
      p->how.format = known ? known->name : g_intern_string (format);
    }
}

static bool
cmd_open (VmIo *io, int argc, char **argv)
{
  Program *p = (Program *) io;
  int c;

  if (p->image.node)
    return vm_tool_error (p->tool, NULL, "file open already, try 'help close'");
  forget (p);
  while ((c = getopt (argc, argv, "snCro:ki:t:d:U")) != -1)
    switch (c)
      {
      case 's':
        p->snapshot = true;
        break;
      case 'n':
        p->how.cache = (VmToolCache){ .direct = true };
        break;
      case 'C':
        p->copy_on_read = true;
        break;
      case 'r':
        p->how.write = false;
        break;
      case 'U':
        p->how.force_share = true;
        break;
      case 'k':
        p->how.aio = "native";
        break;
      case 'i':
        if (!take_aio (p, optarg))
          return false;
        break;
      case 't':
        if (!take_cache (p, optarg))
          return false;
        break;
      case 'd':
        if (!take_discard (p, optarg))
          return false;
        break;
      case 'o':
        if (!take_options (p, optarg))
          return false;
        break;
      default:
        return vm_io_usage (io, argv[0]);
      }
  if (optind == argc && !p->how.options)
    return vm_tool_error (p->tool, NULL, "open: a file name or options must be given");
  if (argc - optind > 1)
    return vm_io_usage (io, argv[0]);
  take_name (p, argv[optind]);
  return open_image (p);
}

static bool
cmd_close (VmIo *io, int argc, char **argv)
{
  Program *p = (Program *) io;
  close_image (p);
  return true;
}

static bool
cmd_reopen (VmIo *io, int argc, char **argv)
{
  Program *p = (Program *) io;
  bool write = p->how.write;
  int c;

  while ((c = getopt (argc, argv, "c:o:rw")) != -1)
    switch (c)
      {
      case 'c':
        if (!take_cache (p, optarg))
          return false;
        break;
      case 'o':
        if (!take_options (p, optarg))
          return false;
        break;
      case 'r':
      case 'w':
        write = c == 'w';
        break;
      default:
        return vm_io_usage (io, argv[0]);
      }
  if (optind != argc)
    return vm_io_usage (io, argv[0]);
  if (p->snapshot)
    return vm_tool_error (p->tool, NULL, "An image opened with -s cannot be reopened");
  close_image (p);
  p->how.write = write;
  return open_image (p);
}

/* --- other commands --------------------------------------------------------------------------------------------- */

static bool
cmd_quit (VmIo *io, int argc, char **argv)
{
  Program *p = (Program *) io;
  p->quit = true;
  return true;
}

static bool
cmd_sleep (VmIo *io, int argc, char **argv)
{
  char *end;
  gint64 ms = g_ascii_strtoll (argv[1], &end, 0);

  if (*end || end == argv[1] || ms < 0)
    {
      printf ("%s is not a valid argument\n", argv[1]);
      return false;
    }
  vm_fiber_sleep (ms * 1000000);
  return true;
}

static bool
cmd_sigraise (VmIo *io, int argc, char **argv)
{
  uint64_t number;

  if (!vm_io_number (io, argv[1], &number))
    return false;
  fflush (stdout);
  raise ((int) number);
  return true;
}

static bool
cmd_abort (VmIo *io, int argc, char **argv)
{
  fflush (stdout);
  signal (SIGABRT, SIG_DFL);
  raise (SIGABRT);
  return false;
}

static const VmIoCommand own_commands[] = {
  { "abort", NULL, cmd_abort, 0, 0, true, false, NULL, "simulate a program crash using abort(3)", NULL },
  { "close", "c", cmd_close, 0, 0, false, false, NULL, "close the current open file", NULL },
  { "open", "o", cmd_open, 0, -1, true, false, "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
    "open the file specified by path",
    " -r, -- open file read-only\n"
    " -s, -- keep what is written apart, and drop it in the end\n"
    " -C, -- use copy-on-read\n"
    " -n, -- disable host cache, short for -t none\n"
    " -U, -- share the file with writers\n"
    " -k, -- use kernel AIO (short for -i native)\n"
    " -i, -- use AIO mode (threads, native or io_uring)\n"
    " -t, -- use the given cache mode for the image\n"
    " -d, -- use the given discard mode for the image\n"
    " -o, -- options for the image, as name=value lists\n" },
  { "quit", "q", cmd_quit, 0, -1, true, false, NULL, "exit the program", NULL },
  { "reopen", NULL, cmd_reopen, 0, -1, false, false, "[(-r|-w)] [-c cache] [-o options]",
    "reopens an image with new options",
    " -r, -- read-only\n -w, -- for reading and writing\n -c, -- with another cache mode\n -o, -- with other "
    "options\n" },
  { "sigraise", NULL, cmd_sigraise, 1, 1, true, false, "signal", "raises a signal", NULL },
  { "sleep", NULL, cmd_sleep, 1, 1, true, false, NULL, "waits for the given value in milliseconds", NULL },
  { NULL },
};

#define MANY 256 /* requests beside each other, after which their end is awaited */

/* The standard input, in pieces as they come. */
typedef struct Input
{
  char bytes[65536];
  ssize_t len; /* 0 or less: the end */
} Input;

static void
read_input (void *opaque)
{
  Input *input = opaque;

  do
    input->len = read (STDIN_FILENO, input->bytes, sizeof input->bytes);
  while (input->len < 0 && errno == EINTR);
}

/* More of the input into LINES; false: the end. */
static bool
fetch (Program *p, Input *input, GString *lines)
{
  struct pollfd poll_ = { .fd = STDIN_FILENO, .events = POLLIN };

  fflush (stdout);
  if (p->io.pending || poll (&poll_, 1, 0) <= 0)
    vm_fiber_work (read_input, input); /* requests go on meanwhile */
  else
    read_input (input);
  if (input->len > 0)
    g_string_append_len (lines, input->bytes, input->len);
  return input->len > 0;
}

static bool
talk (Program *p)
{
  g_autofree Input *input = g_new (Input, 1);
  g_autoptr (GString) lines = g_string_new (NULL);
  bool ok = true, more = true;
  size_t at = 0; /* of the first line in LINES */

  while (!p->quit)
    {
      char *end;
      printf ("%s> ", p->tool->program);
      while (!(end = memchr (lines->str + at, '\n', lines->len - at)) && more)
        {
          g_string_erase (lines, 0, (gssize) at);
          at = 0;
          more = fetch (p, input, lines);
        }
      if (!end && at == lines->len)
        break;
      size_t len = end ? (size_t) (end - lines->str) - at : lines->len - at;
      g_autofree char *line = g_strndup (lines->str + at, len);
      at += len + (end != NULL);
      ok &= vm_io_run_line (&p->io, line);
      if (p->io.pending >= MANY)
        vm_fiber_queue_wait (&p->io.idle);
      else if (p->io.pending % 16 == 15)
        vm_fiber_yield (); /* they are on their way */
    }
  fflush (stdout);
  return ok;
}

/* --- starting --------------------------------------------------------------------------------------------------- */

static void
print_usage (VmTool *tool, FILE *to)
{
  fprintf (to,
           "Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
           "Disk exerciser\n\n"
           "  --object OBJECTDEF   define an object such as 'secret' for\n"
           "                       passwords and/or encryption keys\n"
           "  --image-opts         treat file as option string\n"
           "  -c, --cmd STRING     execute command with its arguments\n"
           "                       from the given string\n"
           "  -f, --format FMT     specifies the block driver to use\n"
           "  -r, --read-only      open read-only\n"
           "  -s, --snapshot       use snapshot file\n"
           "  -n, --nocache        disable host cache, short for -t none\n"
           "  -C, --copy-on-read   enable copy-on-read\n"
           "  -m, --misalign       misalign allocations for O_DIRECT\n"
           "  -k, --native-aio     use kernel AIO (short for -i native)\n"
           "  -i, --aio=MODE       use AIO mode (threads, native or io_uring)\n"
           "  -t, --cache=MODE     use the given cache mode for the image\n"
           "  -d, --discard=MODE   use the given discard mode for the image\n"
           "  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
           "                       specify tracing options\n"
           "  -U, --force-share    force shared permissions\n"
           "  -h, --help           display this help and exit\n"
           "  -V, --version        output version information and exit\n\n"
           "See '%s -c help' for information on available commands.\n",
           tool->program, tool->program);
}

enum
{
  OPTION_OBJECT = 256,
  OPTION_IMAGE_OPTS
};

/* -1: go on; else the exit status. */
static int
take_option (Program *p, int c, GPtrArray *commands)
{
  switch (c)
    {
    case 's':
      p->snapshot = true;
      return -1;
    case 'n':
      p->how.cache = (VmToolCache){ .direct = true };
      return -1;
    case 'C':
      p->copy_on_read = true;
      return -1;
    case 'c':
      g_ptr_array_add (commands, optarg);
      return -1;
    case 'r':
      p->how.write = false;
      return -1;
    case 'm':
      p->io.misalign = true;
      return -1;
    case 'f':
      p->how.format = optarg;
      return -1;
    case 'U':
      p->how.force_share = true;
      return -1;
    case 'k':
      p->how.aio = "native";
      return -1;
    case 'i':
      return take_aio (p, optarg) ? -1 : 1;
    case 't':
      return take_cache (p, optarg) ? -1 : 1;
    case 'd':
      return take_discard (p, optarg) ? -1 : 1;
    case 'T':
      return vm_tool_trace (p->tool, optarg) ? -1 : 1;
    case 'V':
      vm_tool_print_version (p->tool);
      return 0;
    case 'h':
      print_usage (p->tool, stdout);
      return 0;
    case OPTION_OBJECT:
      return vm_tool_add_object (p->tool, optarg) ? -1 : 1;
    case OPTION_IMAGE_OPTS:
      p->how.image_opts = true;
      return -1;
    default:
      return 1;
    }
}

static int
run_io (Program *p, GPtrArray *commands, const char *name)
{
  bool ok = true;

  if (name)
    {
      p->name = g_strdup (name);
      p->how.name = p->name;
      if (!open_image (p))
        return 1;
    }
  for (guint i = 0; i < commands->len && !p->quit; i++)
    ok &= vm_io_run_line (&p->io, g_ptr_array_index (commands, i));
  if (!commands->len)
    ok = talk (p);
  close_image (p);
  fflush (stdout);
  return !ok;
}

/* Who types sees at once what asynchronous requests say. */
static void
print_text (VmIo *io, bool complaint, const char *text)
{
  fputs (text, complaint ? stderr : stdout);
  if (io->pending)
    fflush (stdout);
}

static int
run (VmTool *tool, int argc, char **argv)
{
  static const struct option options[] = { { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, 'V' },
                                           { "cmd", required_argument, NULL, 'c' },
                                           { "format", required_argument, NULL, 'f' },
                                           { "read-only", no_argument, NULL, 'r' },
                                           { "snapshot", no_argument, NULL, 's' },
                                           { "nocache", no_argument, NULL, 'n' },
                                           { "copy-on-read", no_argument, NULL, 'C' },
                                           { "misalign", no_argument, NULL, 'm' },
                                           { "native-aio", no_argument, NULL, 'k' },
                                           { "aio", required_argument, NULL, 'i' },
                                           { "discard", required_argument, NULL, 'd' },
                                           { "cache", required_argument, NULL, 't' },
                                           { "trace", required_argument, NULL, 'T' },
                                           { "force-share", no_argument, NULL, 'U' },
                                           { "object", required_argument, NULL, OPTION_OBJECT },
                                           { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
                                           { NULL } };
  g_autoptr (GPtrArray) commands = g_ptr_array_new ();
  g_autofree char *prefix = g_strconcat (tool->program, ": ", NULL);
  Program p
      = { .io
          = { .graph = tool->graph, .prefix = prefix, .more = own_commands, .tell_options = true, .print = print_text },
          .tool = tool,
          .how = { .write = true } };
  int c, status = -1;

  while (status < 0 && (c = vm_tool_getopt (tool, argc, argv, ":hVc:d:f:rsnCmki:t:T:U", options)) != -1)
    status = take_option (&p, c, commands);
  if (status < 0 && argc - optind > 1)
    {
      print_usage (tool, stderr);
      status = 1;
    }
  if (status < 0 && p.how.format && p.how.image_opts)
    status = !vm_tool_error (tool, NULL, "--image-opts and -f are mutually exclusive");
  if (status < 0)
    status = run_io (&p, commands, argv[optind]);
  forget (&p);
  return status;
}

int
main (int argc, char **argv)
{
  return vm_tool_main ("io", argc, argv, run, NULL);
}
