/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands on a node: finding and running them. */
#include "block/io.h"

#include <getopt.h>

static bool cmd_help (VmIo *io, int argc, char **argv);

static const VmIoCommand own_commands[] = {
  { "help", "?", cmd_help, 0, 1, true, false, "[command]", "help for one or all commands", NULL },
  { NULL },
};

/* Calls FUNC for each command until it says true. */
static const VmIoCommand *
each_command (const VmIo *io, bool (*func) (const VmIoCommand *c, void *opaque), void *opaque)
{
  const VmIoCommand *const tables[] = { own_commands, vm_io_requests, io->more };

  for (unsigned i = 0; i < G_N_ELEMENTS (tables); i++)
    for (const VmIoCommand *c = tables[i]; c && c->name; c++)
      if (func (c, opaque))
        return c;
  return NULL;
}

static bool
is_called (const VmIoCommand *c, void *opaque)
{
  const char *name = opaque;

  return !strcmp (c->name, name) || (c->alias && !strcmp (c->alias, name));
}

static const VmIoCommand *
find_command (const VmIo *io, const char *name)
{
  return each_command (io, is_called, (void *) (uintptr_t) name);
}

/* --- telling ------------------------------------------------------------------------------------------------- */

static void
tell (VmIo *io, bool complaint, const char *format, va_list args)
{
  g_autofree char *text = g_strdup_vprintf (format, args);

  io->print (io, complaint, text);
}

void
vm_io_print (VmIo *io, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  tell (io, false, format, args);
  va_end (args);
}

void
vm_io_complain (VmIo *io, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  tell (io, true, format, args);
  va_end (args);
}

static void
print_summary (VmIo *io, const VmIoCommand *c)
{
  vm_io_print (io, "%s %s%s-- %s\n", c->name, c->args ? c->args : "", c->args ? " " : "", c->summary);
}

bool
vm_io_usage (VmIo *io, const char *name)
{
  print_summary (io, find_command (io, name));
  return false;
}

static bool
add_command (const VmIoCommand *c, void *opaque)
{
  g_ptr_array_add (opaque, (gpointer) (uintptr_t) c);
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
  g_autoptr (GPtrArray) all = g_ptr_array_new ();

  if (argc > 1)
    {
      const VmIoCommand *c = find_command (io, argv[1]);
      if (!c)
        {
          vm_io_print (io, "command %s not found\n", argv[1]);
          return false;
        }
      print_summary (io, c);
      if (c->help)
        vm_io_print (io, "\n%s\n", c->help);
      return true;
    }
  each_command (io, add_command, all);
  g_ptr_array_sort (all, compare_commands);
  for (guint i = 0; i < all->len; i++)
    print_summary (io, g_ptr_array_index (all, i));
  vm_io_print (io, "\nUse 'help commandname' for extended help.\n");
  return true;
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

static bool
run_command (VmIo *io, const VmIoCommand *c, int argc, char **argv)
{
  int n = argc - 1;

  if (n < c->min || (c->max >= 0 && n > c->max))
    {
      if (c->max == c->min)
        vm_io_complain (io, "bad argument count %d to %s, expected %d arguments\n", n, argv[0], c->min);
      else if (c->max < 0)
        vm_io_complain (io, "bad argument count %d to %s, expected at least %d arguments\n", n, argv[0], c->min);
      else
        vm_io_complain (io, "bad argument count %d to %s, expected between %d and %d arguments\n", n, argv[0], c->min,
                        c->max);
      return false;
    }
  if (!c->anytime && !io->node)
    {
      vm_io_complain (io, "no file open, try 'help open'\n");
      return false;
    }
  if (c->writes && !io->writable)
    {
      vm_io_complain (io, "%sBlock node is read-only\n", io->prefix);
      return false;
    }
  optind = 0;
  opterr = io->tell_options; /* on stderr, in the words of the C library */
  return c->func (io, argc, argv);
}

bool
vm_io_run_line (VmIo *io, const char *line)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *copy = g_strdup (line);
  char *rest = copy, *word;

  while ((word = strsep (&rest, " \t\n")))
    if (*word)
      g_ptr_array_add (words, word);
  if (!words->len)
    return true;
  const VmIoCommand *c = find_command (io, g_ptr_array_index (words, 0));
  int argc = (int) words->len;
  g_ptr_array_add (words, NULL);
  if (c)
    return run_command (io, c, argc, (char **) words->pdata);
  vm_io_complain (io, "command \"%s\" not found\n", (char *) g_ptr_array_index (words, 0));
  return false;
}

bool
vm_io_line_writes (const VmIo *io, const char *line)
{
  const char *at = line + strspn (line, " \t\n");
  g_autofree char *name = g_strndup (at, strcspn (at, " \t\n"));
  const VmIoCommand *c = find_command (io, name);

  return c && c->writes;
}

void
vm_io_wait (VmIo *io)
{
  while (io->pending)
    vm_fiber_queue_wait (&io->idle);
}
