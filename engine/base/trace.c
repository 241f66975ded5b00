/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of trace events and which of them are on. */
#include "engine/base/trace.h"

#include "engine/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define EVENT_NAME(symbol, name) name,
static const char *const event_names[VM_TRACE_N] = { VM_TRACE_EVENTS (EVENT_NAME) };

uint8_t vm_trace_states[VM_TRACE_N];

const char *
vm_trace_name (VmTraceEvent event)
{
  return event_names[event];
}

bool
vm_trace_is_pattern (const char *text)
{
  return strpbrk (text, "*?") != NULL;
}

bool
vm_trace_matches (VmTraceEvent event, const char *pattern)
{
  return g_pattern_match_simple (pattern, event_names[event]);
}

unsigned
vm_trace_set (const char *pattern, bool enable)
{
  unsigned found = 0;

  for (unsigned i = 0; i < VM_TRACE_N; i++)
    if (vm_trace_matches (i, pattern))
      {
        __atomic_store_n (&vm_trace_states[i], enable, __ATOMIC_RELAXED);
        found++;
      }
  return found;
}

void
vm_trace_enable (const char *where, const char *pattern)
{
  bool enable = *pattern != '-';

  pattern += !enable;
  if (!vm_trace_set (pattern, enable) && !vm_trace_is_pattern (pattern))
    vm_report_error ("%swarning: trace event '%s' does not exist", where, pattern);
}

bool
vm_trace_enable_file (const char *path, GError **error)
{
  g_autofree char *where = g_strdup_printf ("%s: ", path);
  g_autoptr (GError) failed = NULL;
  g_autofree char *text = NULL;

  /* Told as ":FILE: why", the form of configuration files. */
  if (!g_file_get_contents (path, &text, NULL, &failed))
    return vm_fail (error, ":%s: %s", path,
                    g_error_matches (failed, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? g_strerror (ENOENT) : failed->message);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++)
    if (*g_strstrip (*line) && **line != '#')
      vm_trace_enable (where, *line);
  return true;
}

void
vm_trace_print (void)
{
  for (unsigned i = 0; i < VM_TRACE_N; i++)
    puts (event_names[i]);
}

void
vm_trace_write (VmTraceEvent event, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (vm_log_has_timestamp ())
    {
      int64_t now = g_get_real_time ();
      vm_log_print ("%d@%" G_GINT64_FORMAT ".%06d:%s %s\n", getpid (), now / G_USEC_PER_SEC,
                    (int) (now % G_USEC_PER_SEC), event_names[event], text);
    }
  else
    vm_log_print ("%s %s\n", event_names[event], text);
}
