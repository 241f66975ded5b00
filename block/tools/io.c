/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vitrine-io: tries out disk images by commands, from arguments or typed in. */
#include "block/tools/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool run_line (VmIo *io, const char *line);

/* --- opening --------------------------------------------------------------------------------------------------- */

static VmNode *
put_copy_on_read (VmIo *io, VmNode *below, GError **error)
{
  json_object *options = json_object_new_object ();
  VmNode *node;

  json_object_object_add (options, "driver", json_object_new_string ("copy-on-read"));
  json_object_object_add (options, "file", json_object_new_string (below->name));
  node = vm_node_open (io->tool->graph, options, VM_SCHEMA_TEXT, 0, error);
  json_object_put (options);
  return node;
}

static const VmRootClass io_root = { .kind = "program" };

/* The root moves from what was opened to what was PUT on it; takes both references. */
static bool
stand_on (VmIo *io, VmNode *put, GError **error)
{
  if (!put)
    return false;
  vm_node_detach (io->image.root);
  vm_node_unref (io->image.node);
  io->image.node = put;
  io->image.root = vm_node_attach_root (put, io->tool->program, &io_root, io, VM_PERM_READ | VM_PERM_WRITE,
                                        VM_PERM_READ | VM_PERM_UNCHANGED, error);
  return io->image.root != NULL;
}

static bool
open_image (VmIo *io)
{
  bool write = io->how.write;
  GError *error = NULL;
  bool ok;

  if (io->snapshot)
    io->how.write = false;
  ok = vm_tool_try_open (io->tool, &io->how, &io->image, &error);
  io->how.write = write;
  if (ok && io->snapshot)
    ok = stand_on (io, vm_tool_put_overlay (io->tool, io->image.node, &error), &error);
  if (ok && io->copy_on_read && write)
    ok = stand_on (io, put_copy_on_read (io, io->image.node, &error), &error);
  if (ok)
    return true;
  vm_tool_close (&io->image);
  return vm_tool_error (io->tool, error, io->name && !io->how.image_opts ? "can't open device %s" : "can't open%s",
                        io->name && !io->how.image_opts ? io->name : "");
}

static void
close_image (VmIo *io)
{
  while (io->pending)
    vm_fiber_queue_wait (&io->idle);
  vm_tool_close (&io->image);
}

static bool
take_cache (VmIo *io, const char *text)
{
  return vm_tool_parse_cache (text, &io->how.cache) || vm_tool_error (io->tool, NULL, "Invalid cache option: %s", text);
}

static bool
take_aio (VmIo *io, const char *text)
{
  io->how.aio = !strcmp (text, "threads")    ? "threads"
                : !strcmp (text, "native")   ? "native"
                : !strcmp (text, "io_uring") ? "io_uring"
                                             : NULL;
  return io->how.aio || vm_tool_error (io->tool, NULL, "Invalid aio option: %s", text);
}

static void
add_option (VmIo *io, const char *name, json_object *value)
{
  if (!io->how.options)
    io->how.options = json_object_new_object ();
  json_object_object_add (io->how.options, name, value);
}

static bool
take_discard (VmIo *io, const char *text)
{
  bool unmap = !strcmp (text, "unmap") || !strcmp (text, "on");

  if (!unmap && strcmp (text, "ignore") != 0 && strcmp (text, "off") != 0)
    return vm_tool_error (io->tool, NULL, "Invalid discard option: %s", text);
  add_option (io, "discard", json_object_new_string (unmap ? "unmap" : "ignore"));
  return true;
}

static bool
take_options (VmIo *io, const char *text)
{
  GError *error = NULL;
  json_object *nested = vm_tool_nest (text, &error);

  if (!nested)
    return vm_tool_error (io->tool, error, "%s", "");
  json_object_object_foreach (nested, key, value) add_option (io, key, json_object_get (value));
  json_object_put (nested);
  return true;
}

static void
forget (VmIo *io)
{
  json_object_put (io->how.options);
  g_clear_pointer (&io->name, g_free);
  io->how = (VmToolOpen){ .write = true };
  io->snapshot = io->copy_on_read = false;
}

/* The name may be missing when the options say which file it is. */
static void
take_name (VmIo *io, const char *name)
{
  json_object *driver;

  io->name = g_strdup (name);
  io->how.name = io->name;
  if (io->how.options && json_object_object_get_ex (io->how.options, "driver", &driver) && name)
    {
      g_autofree char *format = g_strdup (json_object_get_string (driver));
      const VmBlockDriver *known = vm_graph_find_driver (io->tool->graph, format);
      json_object_object_del (io->how.options, "driver");
      io->how.format = known ? known->name : g_intern_string (format);
    }
}

static bool
cmd_open (VmIo *io, int argc, char **argv)
{
  int c;

  if (io->image.node)
    return vm_tool_error (io->tool, NULL, "file open already, try 'help close'");
  forget (io);
  while ((c = getopt (argc, argv, "snCro:ki:t:d:U")) != -1)
    switch (c)
      {
      case 's':
        io->snapshot = true;
        break;
      case 'n':
        io->how.cache = (VmToolCache){ .direct = true };
        break;
      case 'C':
        io->copy_on_read = true;
        break;
      case 'r':
        io->how.write = false;
        break;
      case 'U':
        io->how.force_share = true;
        break;
      case 'k':
        io->how.aio = "native";
        break;
      case 'i':
        if (!take_aio (io, optarg))
          return false;
        break;
      case 't':
        if (!take_cache (io, optarg))
          return false;
        break;
      case 'd':
        if (!take_discard (io, optarg))
          return false;
        break;
      case 'o':
        if (!take_options (io, optarg))
          return false;
        break;
      default:
        return vm_io_usage (io, argv[0]);
      }
  if (optind == argc && !io->how.options)
    return vm_tool_error (io->tool, NULL, "open: a file name or options must be given");
  if (argc - optind > 1)
    return vm_io_usage (io, argv[0]);
  take_name (io, argv[optind]);
  return open_image (io);
}

static bool
cmd_close (VmIo *io, int argc, char **argv)
{
  close_image (io);
  return true;
}

static bool
cmd_reopen (VmIo *io, int argc, char **argv)
{
  bool write = io->how.write;
  int c;

  while ((c = getopt (argc, argv, "c:o:rw")) != -1)
    switch (c)
      {
      case 'c':
        if (!take_cache (io, optarg))
          return false;
        break;
      case 'o':
        if (!take_options (io, optarg))
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
  if (io->snapshot)
    return vm_tool_error (io->tool, NULL, "An image opened with -s cannot be reopened");
  close_image (io);
  io->how.write = write;
  return open_image (io);
}

/* --- other commands --------------------------------------------------------------------------------------------- */

static bool
cmd_quit (VmIo *io, int argc, char **argv)
{
  io->quit = true;
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

  if (!vm_io_number (argv[1], &number))
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

static bool cmd_help (VmIo *io, int argc, char **argv);

static const VmIoCommand own_commands[] = {
  { "abort", NULL, cmd_abort, 0, 0, true, false, NULL, "simulate a program crash using abort(3)", NULL },
  { "close", "c", cmd_close, 0, 0, false, false, NULL, "close the current open file", NULL },
  { "help", "?", cmd_help, 0, 1, true, false, "[command]", "help for one or all commands", NULL },
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

static const VmIoCommand *
find_command (const char *name)
{
  const VmIoCommand *const tables[] = { own_commands, vm_io_requests };

  for (unsigned i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const VmIoCommand *c = tables[i]; c->name; c++)
      if (!strcmp (c->name, name) || (c->alias && !strcmp (c->alias, name)))
        return c;
  return NULL;
}

static void
print_summary (const VmIoCommand *c)
{
  printf ("%s %s%s-- %s\n", c->name, c->args ? c->args : "", c->args ? " " : "", c->summary);
}

bool
vm_io_usage (VmIo *io, const char *name)
{
  print_summary (find_command (name));
  return false;
}

static int
compare_commands (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const VmIoCommand *const *) a)->name, (*(const VmIoCommand *const *) b)->name);
}

static bool
cmd_help (VmIo *io, int argc, char **argv)
{
  const VmIoCommand *const tables[] = { own_commands, vm_io_requests };
  g_autoptr (GPtrArray) all = g_ptr_array_new ();

  if (argc > 1)
    {
      const VmIoCommand *c = find_command (argv[1]);
      if (!c)
        {
          printf ("command %s not found\n", argv[1]);
          return true;
        }
      print_summary (c);
      if (c->help)
        printf ("\n%s\n", c->help);
      return true;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const VmIoCommand *c = tables[i]; c->name; c++)
      g_ptr_array_add (all, (gpointer) (uintptr_t) c);
  g_ptr_array_sort (all, compare_commands);
  for (guint i = 0; i < all->len; i++)
    print_summary (g_ptr_array_index (all, i));
  printf ("\nUse 'help commandname' for extended help.\n");
  return true;
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

static bool
run_command (VmIo *io, const VmIoCommand *c, int argc, char **argv)
{
  if (argc - 1 < c->min || (c->max >= 0 && argc - 1 > c->max))
    {
      if (c->max == c->min)
        fprintf (stderr, "bad argument count %d to %s, expected %d arguments\n", argc - 1, argv[0], c->min);
      else if (c->max < 0)
        fprintf (stderr, "bad argument count %d to %s, expected at least %d arguments\n", argc - 1, argv[0], c->min);
      else
        fprintf (stderr, "bad argument count %d to %s, expected between %d and %d arguments\n", argc - 1, argv[0],
                 c->min, c->max);
      return false;
    }
  if (!c->anytime && !io->image.node)
    {
      fprintf (stderr, "no file open, try 'help open'\n");
      return false;
    }
  if (c->writes && !io->how.write)
    return vm_tool_error (io->tool, NULL, "Block node is read-only");
  optind = 0;
  return c->func (io, argc, argv);
}

static bool
run_line (VmIo *io, const char *line)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *copy = g_strdup (line);
  char *rest = copy, *word;
  bool ok = true;

  while ((word = strsep (&rest, " \t\n")))
    if (*word)
      g_ptr_array_add (words, word);
  if (words->len)
    {
      const VmIoCommand *c = find_command (g_ptr_array_index (words, 0));
      int argc = (int) words->len;
      g_ptr_array_add (words, NULL);
      if (c)
        ok = run_command (io, c, argc, (char **) words->pdata);
      else
        {
          fprintf (stderr, "command \"%s\" not found\n", (char *) g_ptr_array_index (words, 0));
          ok = false;
        }
    }
  return ok;
}

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
fetch (VmIo *io, Input *input, GString *lines)
{
  struct pollfd poll_ = { .fd = STDIN_FILENO, .events = POLLIN };

  fflush (stdout);
  if (io->pending || poll (&poll_, 1, 0) <= 0)
    vm_fiber_work (read_input, input); /* requests go on meanwhile */
  else
    read_input (input);
  if (input->len > 0)
    g_string_append_len (lines, input->bytes, input->len);
  return input->len > 0;
}

static bool
talk (VmIo *io)
{
  g_autofree Input *input = g_new (Input, 1);
  g_autoptr (GString) lines = g_string_new (NULL);
  bool ok = true, more = true;
  size_t at = 0; /* of the first line in LINES */

  while (!io->quit)
    {
      char *end;
      printf ("%s> ", io->tool->program);
      while (!(end = memchr (lines->str + at, '\n', lines->len - at)) && more)
        {
          g_string_erase (lines, 0, (gssize) at);
          at = 0;
          more = fetch (io, input, lines);
        }
      if (!end && at == lines->len)
        break;
      size_t len = end ? (size_t) (end - lines->str) - at : lines->len - at;
      g_autofree char *line = g_strndup (lines->str + at, len);
      at += len + (end != NULL);
      ok &= run_line (io, line);
      if (io->pending >= MANY)
        vm_fiber_queue_wait (&io->idle);
      else if (io->pending % 16 == 15)
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
take_option (VmIo *io, int c, GPtrArray *commands)
{
  switch (c)
    {
    case 's':
      io->snapshot = true;
      return -1;
    case 'n':
      io->how.cache = (VmToolCache){ .direct = true };
      return -1;
    case 'C':
      io->copy_on_read = true;
      return -1;
    case 'c':
      g_ptr_array_add (commands, optarg);
      return -1;
    case 'r':
      io->how.write = false;
      return -1;
    case 'm':
      io->misalign = true;
      return -1;
    case 'f':
      io->how.format = optarg;
      return -1;
    case 'U':
      io->how.force_share = true;
      return -1;
    case 'k':
      io->how.aio = "native";
      return -1;
    case 'i':
      return take_aio (io, optarg) ? -1 : 1;
    case 't':
      return take_cache (io, optarg) ? -1 : 1;
    case 'd':
      return take_discard (io, optarg) ? -1 : 1;
    case 'T':
      return vm_tool_trace (io->tool, optarg) ? -1 : 1;
    case 'V':
      vm_tool_print_version (io->tool);
      return 0;
    case 'h':
      print_usage (io->tool, stdout);
      return 0;
    case OPTION_OBJECT:
      return vm_tool_add_object (io->tool, optarg) ? -1 : 1;
    case OPTION_IMAGE_OPTS:
      io->how.image_opts = true;
      return -1;
    default:
      return 1;
    }
}

static int
run_io (VmIo *io, GPtrArray *commands, const char *name)
{
  bool ok = true;

  if (name)
    {
      io->name = g_strdup (name);
      io->how.name = io->name;
      if (!open_image (io))
        return 1;
    }
  for (guint i = 0; i < commands->len && !io->quit; i++)
    ok &= run_line (io, g_ptr_array_index (commands, i));
  if (!commands->len)
    ok = talk (io);
  close_image (io);
  fflush (stdout);
  return !ok;
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
  VmIo io = { .tool = tool, .how = { .write = true } };
  int c, status = -1;

  while (status < 0 && (c = vm_tool_getopt (tool, argc, argv, ":hVc:d:f:rsnCmki:t:T:U", options)) != -1)
    status = take_option (&io, c, commands);
  if (status < 0 && argc - optind > 1)
    {
      print_usage (tool, stderr);
      status = 1;
    }
  if (status < 0 && io.how.format && io.how.image_opts)
    status = !vm_tool_error (tool, NULL, "--image-opts and -f are mutually exclusive");
  if (status < 0)
    status = run_io (&io, commands, argv[optind]);
  forget (&io);
  return status;
}

int
main (int argc, char **argv)
{
  return vm_tool_main ("io", argc, argv, run, NULL);
}
