/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the image tools share: starting, messages, objects, progress. */
#include "config.h"

#include "block/tools/tool.h"

#include "block/info.h"

#include "engine/base/log.h"
#include "engine/base/trace.h"
#include "engine/object/user-object.h"
#include "engine/options/keyvals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

extern const VmType *const vm_all_types[]; /* generated: what --object may make */
extern const size_t vm_n_all_types;

/* --- messages ------------------------------------------------------------------------------------------------- */

static void
print_message (VmTool *tool, const char *message)
{
  fflush (stdout);
  fprintf (stderr, "%s: %s\n", tool->program, message);
}

bool
vm_tool_error (VmTool *tool, GError *error, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *whole = g_strconcat (text, *text && error ? ": " : "", error ? error->message : NULL, NULL);
  print_message (tool, whole);
  g_clear_error (&error);
  return false;
}

int
vm_tool_usage (VmTool *tool, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  print_message (tool, text);
  fprintf (stderr, "Try '%s --help' for more information\n", tool->program);
  return 1;
}

int
vm_tool_getopt (VmTool *tool, int argc, char **argv, const char *letters, const struct option *options)
{
  int before = optind, c = getopt_long (argc, argv, letters, options, NULL);
  const char *word = argv[MAX (optind, 1) - 1];

  if (c != '?' && c != ':')
    return c;
  if (c == ':')
    vm_tool_usage (tool, "missing argument for option '%s'", word);
  else if (optopt && optopt < 256 && g_ascii_isgraph (optopt) && !g_str_has_prefix (word, "--"))
    vm_tool_usage (tool, "unrecognized option '-%c'", optopt);
  else
    vm_tool_usage (tool, "unrecognized option '%s'", optind > before ? word : argv[before]);
  return '?';
}

void
vm_tool_print_version (const VmTool *tool)
{
  if (tool->known_name)
    printf ("qemu-%s version 9.1.50 (Vitrine " VM_VERSION ")\n", tool->name);
  else
    printf ("vitrine-%s version " VM_VERSION "\n", tool->name);
  printf ("Copyright (c) the Vitrine authors\n");
}

/* --- starting ------------------------------------------------------------------------------------------------- */

static bool
on_signal (int fd, GIOCondition condition, void *opaque)
{
  VmTool *tool = opaque;
  struct signalfd_siginfo info;

  while (read (fd, &info, sizeof info) == sizeof info)
    if (tool->progress.running && !tool->progress.shown)
      fprintf (stderr, "    (%3.2f/100%%)\n", tool->progress.now);
  return true;
}

static void
run (void *opaque)
{
  VmTool *tool = opaque;
  sigset_t set;
  int fd;

  sigemptyset (&set);
  sigaddset (&set, SIGUSR1);
  fd = signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  GSource *source = fd >= 0 ? vm_loop_watch_fd (vm_graph_loop (tool->graph), fd, G_IO_IN, on_signal, tool) : NULL;
  tool->status = tool->func (tool, tool->argc, tool->argv);
  if (source)
    vm_source_clear (&source);
  if (fd >= 0)
    close (fd);
}

int
vm_tool_main (const char *name, int argc, char **argv, VmToolFunc func, void *opaque)
{
  g_autofree char *program = g_path_get_basename (argc > 0 ? argv[0] : name);
  VmTool tool = { .name = name, .program = program, .argc = argc, .argv = argv, .func = func, .opaque = opaque };
  sigset_t set;

  vm_log_set_program (argc > 0 ? argv[0] : name);
  tool.known_name = g_str_has_prefix (program, "qemu-");
  opterr = 0;
  signal (SIGPIPE, SIG_IGN); /* servers that go away are errors of a read */
  sigemptyset (&set);
  sigaddset (&set, SIGUSR1);
  sigprocmask (SIG_BLOCK, &set, NULL); /* all threads: a descriptor takes it */
  tool.types = vm_type_list_new (vm_all_types, vm_n_all_types);
  tool.root = vm_object_new (&vm_container_type);
  tool.graph = vm_graph_new (vm_block_drivers, tool.root);
  if (strcmp (name, "nbd"))
    vm_graph_set_patient (tool.graph);
  vm_graph_call (tool.graph, run, &tool);
  vm_graph_free (tool.graph);
  vm_object_unref (tool.root);
  vm_type_list_free (tool.types);
  if (fflush (stdout) || ferror (stdout))
    {
      fprintf (stderr, "%s: could not write the output: %s\n", program, g_strerror (errno));
      return tool.status ? tool.status : 1;
    }
  return tool.status;
}

/* --- objects ------------------------------------------------------------------------------------------------- */

static bool
set_props (VmObject *obj, const VmKeyVals *list, GError **error)
{
  const VmUserObjectClass *klass = vm_type_klass (obj->type);

  for (guint i = 0; i < list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (list->pairs, i);
      bool mine = false;
      if (!strcmp (pair->key, "qom-type") || !strcmp (pair->key, "id"))
        continue;
      if (klass->set && !klass->set (obj, pair->key, pair->value, &mine, error))
        return false;
      if (mine)
        continue;
      if (!vm_type_find_prop (obj->type, pair->key, NULL))
        return vm_fail (error, "Parameter '%s' is unexpected", pair->key);
      if (!vm_object_set (obj, pair->key, pair->value, error))
        return false;
    }
  return true;
}

static bool
add_object (VmTool *tool, const VmKeyVals *list, GError **error)
{
  const char *name = vm_keyvals_get (list, "qom-type"), *id = vm_keyvals_get (list, "id");
  const VmType *type = name ? vm_type_find (tool->types, name) : NULL;
  VmObject *folder = vm_object_container (tool->root, "objects");

  if (!name)
    return vm_fail (error, "Parameter 'qom-type' is missing");
  if (!type || type->abstract || !vm_type_is_a (type, &vm_user_object_type))
    return vm_fail (error, "Parameter 'qom-type' does not accept value '%s'", name);
  if (!id)
    return vm_fail (error, "Parameter 'id' is missing");
  if (!vm_id_well_formed (id))
    return vm_fail (error, "Parameter 'id' expects an identifier");
  if (vm_object_child (folder, id))
    return vm_fail (error, "attempt to add duplicate property '%s' to object (type 'container')", id);
  const VmUserObjectClass *klass = vm_type_klass (type);
  g_autoptr (VmObject) obj = vm_object_new (type);
  obj->scope = tool->root;
  if (!set_props (obj, list, error))
    return false;
  vm_object_add_child (folder, id, obj);
  if (klass->complete && !klass->complete (obj, NULL, error))
    {
      vm_object_remove_child (obj);
      return false;
    }
  obj->frozen = true;
  return true;
}

bool
vm_tool_add_object (VmTool *tool, const char *text)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  GError *error = NULL;
  bool ok = *text == '{' ? vm_keyvals_parse_json (list, text, &error)
                         : vm_keyvals_parse (list, text, "qom-type", VM_KEYVALS_STRICT, &error);

  if (ok && add_object (tool, list, &error))
    return true;
  return vm_tool_error (tool, error, "%s", "");
}

bool
vm_tool_trace (VmTool *tool, const char *text)
{
  g_autoptr (VmKeyVals) list = vm_keyvals_new ();
  GError *error = NULL;
  bool ok = vm_keyvals_parse (list, text, "enable", VM_KEYVALS_STRICT, &error);
  const char *pattern = vm_keyvals_get (list, "enable"), *events = vm_keyvals_get (list, "events");
  const char *file = vm_keyvals_get (list, "file");
  g_autofree char *where = g_strdup_printf ("-T %s: ", text);

  if (ok && vm_keyvals_check_used (list, &error) && (!events || vm_trace_enable_file (events, &error))
      && (!file || vm_log_set_file (file, &error)))
    {
      if (pattern)
        vm_trace_enable (where, pattern);
      return true;
    }
  return vm_tool_error (tool, error, "-T %s", text);
}

/* --- values ------------------------------------------------------------------------------------------------- */

bool
vm_tool_size (VmTool *tool, const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *size)
{
  uint64_t n;

  if (!vm_parse_size (text, 'B', &n, NULL))
    {
      /* Digits alone that do not fit are out of range; all else is not a size. */
      if (strspn (text, "0123456789") && strlen (text) - strspn (text, "0123456789") <= 1
          && (!text[strspn (text, "0123456789")] || strchr ("kKmMgGtTpPeEbB", text[strspn (text, "0123456789")])))
        return vm_tool_error (tool, NULL,
                              "Invalid %s specified. Must be between %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT ".",
                              what, min, max);
      vm_tool_error (tool, NULL, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
      return vm_tool_error (tool, NULL, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    }
  if (n < min || n > max)
    return vm_tool_error (tool, NULL,
                          "Invalid %s specified. Must be between %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT ".",
                          what, min, max);
  *size = n;
  return true;
}

bool
vm_tool_parse_cache (const char *name, VmToolCache *cache)
{
  static const struct
  {
    const char *name;
    VmToolCache cache;
  } modes[] = {
    { "none", { .direct = true } },
    { "off", { .direct = true } },
    { "directsync", { .direct = true, .writethrough = true } },
    { "writeback", { false } },
    { "unsafe", { .no_flush = true } },
    { "writethrough", { .writethrough = true } },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (modes); i++)
    if (!strcmp (name, modes[i].name))
      {
        *cache = modes[i].cache;
        return true;
      }
  return false;
}

/* --- progress ------------------------------------------------------------------------------------------------- */

void
vm_tool_progress_start (VmTool *tool, bool shown)
{
  tool->progress = (VmToolProgress){ .shown = shown, .running = true, .last = -2 };
  vm_tool_progress (tool, 0, 1);
}

void
vm_tool_progress (VmTool *tool, uint64_t done, uint64_t total)
{
  VmToolProgress *p = &tool->progress;

  p->now = total ? 100.0 * (double) MIN (done, total) / (double) total : 100;
  if (!p->shown || (p->now < p->last + 2 && !(p->now >= 100 && p->last < 100)))
    return;
  p->last = p->now;
  printf ("    (%3.2f/100%%)\r", p->now);
  fflush (stdout);
}

void
vm_tool_progress_end (VmTool *tool)
{
  if (tool->progress.shown)
    {
      putchar ('\n');
      fflush (stdout);
    }
  tool->progress = (VmToolProgress){ false };
}

/* --- parallel work -------------------------------------------------------------------------------------------- */

typedef struct Crew
{
  VmFiberFunc func;
  void *opaque;
  unsigned running;
  VmFiber *waiting;
} Crew;

static void
crew_member (void *opaque)
{
  Crew *crew = opaque;

  crew->func (crew->opaque);
  if (!--crew->running && crew->waiting)
    vm_fiber_wake (crew->waiting);
}

void
vm_tool_parallel (VmTool *tool, unsigned n, VmFiberFunc func, void *opaque)
{
  Crew crew = { func, opaque, n, NULL };

  for (unsigned i = 0; i < n; i++)
    vm_fiber_spawn (vm_graph_loop (tool->graph), crew_member, &crew);
  crew.waiting = vm_fiber_self ();
  if (crew.running)
    vm_fiber_suspend ();
}

void *
vm_tool_buffer (VmTool *tool, size_t size)
{
  void *buffer = NULL;

  if (posix_memalign (&buffer, VM_PAGE_SIZE, MAX (size, VM_PAGE_SIZE)))
    {
      vm_tool_error (tool, NULL, "Could not allocate %zu bytes of memory", size);
      return NULL;
    }
  return buffer;
}

bool
vm_tool_is_zero (const void *buffer, size_t len)
{
  const char *p = buffer;

  while (len && (uintptr_t) p & 15)
    {
      if (*p++)
        return false;
      len--;
    }
  if (len < 64)
    {
      while (len--)
        if (*p++)
          return false;
      return true;
    }
  /* What equals itself one step on is as it begins: the C library compares in the widest registers there are. */
  for (unsigned i = 0; i < 16; i++)
    if (p[i])
      return false;
  return !memcmp (p, p + 16, len - 16);
}

/* --- output --------------------------------------------------------------------------------------------------- */

void
vm_tool_print_json (json_object *json)
{
  g_autofree char *text = vm_json_to_string (json, true);

  puts (text);
}

void
vm_tool_print_specific (json_object *specific, unsigned indent)
{
  g_autoptr (GString) text = g_string_new (NULL);

  vm_info_specific_text (specific, indent, text);
  fputs (text->str, stdout);
}
