/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages on stderr and the log of -d and -D. */
#include "engine/base/log.h"
#include "engine/base/recent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GUEST_LINES_PER_SECOND 100
#define RECENT_LINES           200

typedef struct LogItemName {
  uint32_t    item;
  const char *name;
  const char *help;
} LogItemName;

static const LogItemName item_names[] = {
  { VM_LOG_OUT_ASM,     "out_asm",      "show the host code generated for each translated block" },
  { VM_LOG_IN_ASM,      "in_asm",       "show the guest code of each block" },
  { VM_LOG_OP,          "op",           "show the decoded operations of each translated block (there is no\n"
                                        "other intermediate form)" },
  { VM_LOG_OP_OPT,      "op_opt",       "show the operations with what was found out about them: which\n"
                                        "flags are wanted, which address checks are shared; at the end,\n"
                                        "the translator's counters" },
  { VM_LOG_OP_IND,      "op_ind",       "as 'op': nothing is lowered in between" },
  { VM_LOG_OP_PLUGIN,   "op_plugin",    "as 'op': plugins do not change operations" },
  { VM_LOG_INT,         "int",          "show interrupts and exceptions in short form" },
  { VM_LOG_EXEC,        "exec",         "show each block that is entered (lots of output)" },
  { VM_LOG_CPU,         "cpu",          "show the registers before each block (lots of output)" },
  { VM_LOG_FPU,         "fpu",          "add the FPU registers to what 'cpu' shows" },
  { VM_LOG_VPU,         "vpu",          "add the vector registers to what 'cpu' shows" },
  { VM_LOG_MMU,         "mmu",          "show memory management events" },
  { VM_LOG_PCALL,       "pcall",        "show far transfers in protected mode (x86)" },
  { VM_LOG_CPU_RESET,   "cpu_reset",    "show the CPU's state before it is reset" },
  { VM_LOG_UNIMP,       "unimp",        "show uses of functionality that is not implemented" },
  { VM_LOG_GUEST_ERROR, "guest_errors", "show invalid things the guest does, such as an access\n"
                                        "to a register that does not exist" },
  { VM_LOG_PAGE,        "page",         "user-mode emulation only: shows nothing here" },
  { VM_LOG_NOCHAIN,     "nochain",      "do not chain blocks, so that 'exec' and 'cpu' show\n"
                                        "every one of them" },
  { VM_LOG_PLUGIN,      "plugin",       "show what plugins print" },
  { VM_LOG_STRACE,      "strace",       "user-mode emulation only: shows nothing here" },
  { VM_LOG_TID,         "tid",          "write a log file per thread; its name must hold '%d'" },
};

uint32_t vm_log_mask;

static char *program;
static bool timestamp;     /* with the next: what stands before messages */
static char *guest_name;
static GMutex file_mutex;     /* guards the three below */
static FILE *file;            /* NULL: stderr */
static char *file_template;   /* of the file per thread; NULL when there is one for all */
static unsigned file_serial;  /* counts vm_log_set_file(), so that threads open theirs again */
static GArray *filter;        /* VmLogRange; NULL: everything is covered */
static GMutex guest_mutex;    /* guards the three below */
static int64_t guest_second;
static unsigned guest_lines;
static unsigned guest_dropped;
static GMutex recent_mutex;   /* guards the one below */
static GQueue recent;         /* char *: lines, the oldest first */

typedef struct ThreadFile {
  FILE    *file;
  unsigned serial;
} ThreadFile;

static void
thread_file_free (gpointer data)
{
  ThreadFile *self = data;

  if (self->file)
    fclose (self->file);
  g_free (self);
}

static GPrivate thread_file = G_PRIVATE_INIT (thread_file_free);

void
vm_log_set_program (const char *argv0)
{
  g_free (program);
  program = g_path_get_basename (argv0 && *argv0 ? argv0 : "vitrine");
}

const char *
vm_log_program (void)
{
  return program ? program : "vitrine";
}

void
vm_log_set_prefix (bool with_time, const char *name)
{
  timestamp = with_time;
  g_free (guest_name);
  guest_name = g_strdup (name);
}

/* --- what was said last ---------------------------------------------------------------------------- */

void
vm_log_remember (const char *line)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autofree char *time = g_date_time_format (now, "%H:%M:%S");

  g_mutex_lock (&recent_mutex);
  g_queue_push_tail (&recent, g_strdup_printf ("%s  %s", time, line));
  while (recent.length > RECENT_LINES)
    g_free (g_queue_pop_head (&recent));
  g_mutex_unlock (&recent_mutex);
}

char *
vm_log_recent (void)
{
  GString *out = g_string_new (NULL);

  g_mutex_lock (&recent_mutex);
  for (GList *at = recent.head; at; at = at->next)
    g_string_append_printf (out, "%s\n", (const char *) at->data);
  g_mutex_unlock (&recent_mutex);
  return g_string_free (out, FALSE);
}

/* --- messages -------------------------------------------------------------------------------------- */

static void
report (const char *prefix, const char *format, va_list args)
{
  g_autofree char *message = g_strdup_vprintf (format, args);

  if (timestamp)
    {
      g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
      g_autofree char *text = g_date_time_format (now, "%Y-%m-%dT%H:%M:%S.%fZ");
      fprintf (stderr, "%s ", text);
    }
  if (guest_name)
    fprintf (stderr, "%s ", guest_name);
  fprintf (stderr, "%s: %s%s\n", vm_log_program (), prefix, message);
  g_autofree char *line = g_strconcat (prefix, message, NULL);
  vm_log_remember (line);
}

void
vm_report_error (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  report ("", format, args);
  va_end (args);
}

void
vm_report_warning (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  report ("warning: ", format, args);
  va_end (args);
}

void
vm_report_info (const char *format, ...)
{
  va_list args;

  va_start (args, format);
  report ("info: ", format, args);
  va_end (args);
}

void
vm_log_set_mask (uint32_t items)
{
  __atomic_store_n (&vm_log_mask, items, __ATOMIC_RELAXED);
}

/* PATH with its "%d" replaced. */
static char *
file_name_of (const char *path, int number)
{
  const char *mark = strstr (path, "%d");

  if (!mark)
    return g_strdup (path);
  return g_strdup_printf ("%.*s%d%s", (int) (mark - path), path, number, mark + 2);
}

static FILE *
open_file (const char *path, int number, GError **error)
{
  g_autofree char *name = file_name_of (path, number);
  FILE *opened = fopen (name, "we");

  if (!opened)
    vm_fail (error, "Error opening logfile %s: %s", name, g_strerror (errno));
  else
    setvbuf (opened, NULL, _IOLBF, 0);
  return opened;
}

bool
vm_log_set_file (const char *path, GError **error)
{
  bool per_thread = (vm_log_mask & VM_LOG_TID) != 0;
  FILE *opened = NULL;

  if (path)
    {
      const char *mark = strchr (path, '%');

      if (mark && (mark[1] != 'd' || strchr (mark + 2, '%')))
        return vm_fail (error, "Bad logfile template: %s", path);
      if (per_thread && !mark)
        return vm_fail (error, "Filename template with '%%d' needed for 'tid' log");
      if (!per_thread && !(opened = open_file (path, getpid (), error)))
        return false;
    }
  g_mutex_lock (&file_mutex);
  if (file)
    fclose (file);
  file = opened;
  g_free (file_template);
  file_template = path && per_thread ? g_strdup (path) : NULL;
  file_serial++;
  g_mutex_unlock (&file_mutex);
  return true;
}

/* The calling thread's own file, opened on first use; stderr when that fails. */
static FILE *
own_thread_file (void)
{
  ThreadFile *own = g_private_get (&thread_file);

  if (!own)
    {
      own = g_new0 (ThreadFile, 1);
      g_private_set (&thread_file, own);
    }
  if (!own->file || own->serial != file_serial)
    {
      g_clear_pointer (&own->file, fclose);
      own->file = open_file (file_template, gettid (), NULL);
      own->serial = file_serial;
    }
  return own->file ? own->file : stderr;
}

static void
write_text (const char *text)
{
  g_mutex_lock (&file_mutex);
  fputs (text, file_template ? own_thread_file () : file ? file : stderr);
  g_mutex_unlock (&file_mutex);
}

static uint32_t
find_item (const char *name)
{
  if (strcmp (name, "all") == 0)
    return ~0u & ~(uint32_t) (VM_LOG_TID | VM_LOG_NOCHAIN);
  for (size_t i = 0; i < G_N_ELEMENTS (item_names); i++)
    if (strcmp (name, item_names[i].name) == 0)
      return item_names[i].item;
  return 0;
}

bool
vm_log_parse_items (const char *list, uint32_t *items, GPtrArray *traces, GError **error)
{
  g_auto (GStrv) names = g_strsplit (list, ",", -1);

  *items = 0;
  for (char **name = names; *name; name++)
    {
      uint32_t found = find_item (*name);

      if (traces && g_str_has_prefix (*name, "trace:") && (*name)[6])
        g_ptr_array_add (traces, g_strdup (*name + 6));
      else if (!found)
        return vm_fail (error, "Unknown log item '%s'", *name);
      *items |= found;
    }
  return true;
}

char *
vm_log_describe_items (const char *option)
{
  GString *text = g_string_new ("Log items (comma separated):\n");

  for (size_t i = 0; i < G_N_ELEMENTS (item_names); i++)
    g_string_append_printf (text, "%-15s %s\n", item_names[i].name, item_names[i].help);
  g_string_append_printf (text,
                          "trace:PATTERN   enable trace events\n\nUse \"%s trace:help\" to get a list of trace "
                          "events.\n\n",
                          option);
  return g_string_free (text, FALSE);
}

/* --- what -dfilter covers --- */

static bool
parse_range (const char *text, VmLogRange *range, GError **error)
{
  const char *op = strpbrk (text, "-+.");
  char *end;

  if (!op || (*op == '.' && op[1] != '.'))
    return vm_fail (error, "Bad range specifier");
  const char *right = op + (*op == '.' ? 2 : 1);
  errno = 0;
  uint64_t a = g_ascii_strtoull (text, &end, 0);
  if (errno || end != op || end == text)
    return vm_fail (error, "Invalid number to the left of %.*s", (int) (right - op), op);
  uint64_t b = g_ascii_strtoull (right, &end, 0);
  if (errno || end == right || *end)
    return vm_fail (error, "Invalid number to the right of %.*s", (int) (right - op), op);
  if (*op == '.')
    *range = (VmLogRange){ a, b };
  else if (*op == '+')
    *range = (VmLogRange){ a, a + b - 1 };
  else
    *range = (VmLogRange){ a - b + 1, a };
  if (range->first > range->last)
    return vm_fail (error, "Invalid range");
  return true;
}

GArray *
vm_log_parse_filter (const char *list, GError **error)
{
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (VmLogRange));
  g_auto (GStrv) texts = g_strsplit (list, ",", -1);

  for (char **text = texts; *text; text++)
    {
      VmLogRange range;

      if (!parse_range (*text, &range, error))
        return NULL;
      g_array_append_val (ranges, range);
    }
  if (ranges->len == 0)
    {
      vm_fail (error, "Bad range specifier");
      return NULL;
    }
  return g_steal_pointer (&ranges);
}

void
vm_log_set_filter (GArray *ranges)
{
  g_clear_pointer (&filter, g_array_unref);
  filter = ranges;
}

bool
vm_log_covers (uint64_t address)
{
  for (guint i = 0; filter && i < filter->len; i++)
    {
      const VmLogRange *range = &g_array_index (filter, VmLogRange, i);
      if (address >= range->first && address <= range->last)
        return true;
    }
  return !filter;
}

/* --- writing --- */

bool
vm_log_has_timestamp (void)
{
  return timestamp;
}

void
vm_log_print (const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  write_text (text);
}

void
vm_log_write (uint32_t item, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  if (!vm_log_enabled (item))
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  write_text (text);
}

/* Whether this second still has room for a line; says how many were dropped before. */
static bool
guest_line_allowed (void)
{
  int64_t second = g_get_monotonic_time () / G_USEC_PER_SEC;
  unsigned dropped = 0;

  g_mutex_lock (&guest_mutex);
  if (second != guest_second)
    {
      dropped = guest_dropped;
      guest_second = second;
      guest_lines = guest_dropped = 0;
    }
  bool allowed = guest_lines < GUEST_LINES_PER_SECOND;
  if (allowed)
    guest_lines++;
  else
    guest_dropped++;
  g_mutex_unlock (&guest_mutex);
  if (dropped)
    {
      g_autofree char *text = g_strdup_printf ("(%u more lines about the guest left out)\n", dropped);
      write_text (text);
    }
  return allowed;
}

static void
guest_line (const char *who, const char *what, const char *format, va_list args)
{
  if (!guest_line_allowed ())
    return;
  g_autofree char *message = g_strdup_vprintf (format, args);
  g_autofree char *line = g_strdup_printf ("%s: %s%s\n", who, what, message);
  write_text (line);
}

void
vm_guest_error (const char *who, const char *format, ...)
{
  va_list args;

  if (!vm_log_enabled (VM_LOG_GUEST_ERROR))
    return;
  va_start (args, format);
  guest_line (who, "", format, args);
  va_end (args);
}

void
vm_guest_unimp (const char *who, const char *format, ...)
{
  va_list args;

  if (!vm_log_enabled (VM_LOG_UNIMP))
    return;
  va_start (args, format);
  guest_line (who, "not implemented: ", format, args);
  va_end (args);
}
