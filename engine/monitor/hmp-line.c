/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Line editing for the human monitor: cursor keys, the usual control keys, history, completion. */
#include "engine/monitor/hmp.h"

#define LINE_MAX_BYTES 4095
#define HISTORY_LINES 64
#define PROMPT "(qemu) "

enum
{
  CTRL_A = 1,
  CTRL_B = 2,
  CTRL_D = 4,
  CTRL_E = 5,
  CTRL_F = 6,
  CTRL_H = 8,
  CTRL_K = 11,
  CTRL_L = 12,
  CTRL_N = 14,
  CTRL_P = 16,
  CTRL_U = 21,
  CTRL_W = 23,
  ESCAPE = 27,
  DELETE = 127
};

typedef enum State
{
  PLAIN,
  AFTER_ESC,
  IN_CSI,
  AFTER_SS3
} State;

struct VmLine
{
  GString *text;
  size_t cursor;
  GPtrArray *history; /* oldest first */
  guint place;        /* in it; its length: the line that is being typed */
  char *typed;        /* that line, while history is shown */
  State state;
  int param;
  bool last_was_cr;
};

VmLine *
vm_line_new (void)
{
  VmLine *line = g_new0 (VmLine, 1);

  line->text = g_string_new (NULL);
  line->history = g_ptr_array_new_with_free_func (g_free);
  return line;
}

void
vm_line_free (VmLine *line)
{
  if (!line)
    return;
  g_string_free (line->text, TRUE);
  g_ptr_array_unref (line->history);
  g_free (line->typed);
  g_free (line);
}

/* Draws the whole line again: one code path for every edit, cheap at this length. */
static void
redraw (VmLine *line, VmMonitor *mon)
{
  g_autoptr (GString) out = g_string_new ("\r" PROMPT);
  size_t back = line->text->len - line->cursor;

  g_string_append_len (out, line->text->str, line->text->len);
  g_string_append (out, "\033[K");
  if (back)
    g_string_append_printf (out, "\033[%zuD", back);
  vm_monitor_write (mon, out->str, out->len);
}

void
vm_line_show_prompt (VmLine *line, VmMonitor *mon)
{
  g_string_truncate (line->text, 0);
  line->cursor = 0;
  line->place = line->history->len;
  vm_monitor_write (mon, PROMPT, strlen (PROMPT));
}

void
vm_line_print_history (VmLine *line, VmMonitor *mon)
{
  for (guint i = 0; line && i < line->history->len; i++)
    vm_monitor_printf (mon, "%u: '%s'\n", i, (char *) g_ptr_array_index (line->history, i));
}

static void
remember (VmLine *line, const char *text)
{
  if (!*text)
    return;
  /* The same line again moves to the end. */
  for (guint i = 0; i < line->history->len; i++)
    if (!strcmp (g_ptr_array_index (line->history, i), text))
      {
        g_ptr_array_remove_index (line->history, i);
        break;
      }
  if (line->history->len >= HISTORY_LINES)
    g_ptr_array_remove_index (line->history, 0);
  g_ptr_array_add (line->history, g_strdup (text));
}

static void
set_text (VmLine *line, const char *text)
{
  g_string_assign (line->text, text);
  line->cursor = line->text->len;
}

static void
go_in_history (VmLine *line, int step)
{
  guint last = line->history->len;

  if ((step < 0 && line->place == 0) || (step > 0 && line->place >= last))
    return;
  if (line->place == last)
    {
      g_free (line->typed);
      line->typed = g_strdup (line->text->str);
    }
  line->place += step;
  set_text (line, line->place == last ? line->typed : g_ptr_array_index (line->history, line->place));
}

static void
insert (VmLine *line, VmMonitor *mon, uint8_t byte)
{
  if (line->text->len >= LINE_MAX_BYTES)
    return;
  g_string_insert_c (line->text, line->cursor++, byte);
  if (line->cursor == line->text->len)
    vm_monitor_write (mon, (const char *) &byte, 1); /* at the end nothing else moves */
  else
    redraw (line, mon);
}

static void
erase_before (VmLine *line, size_t n)
{
  n = MIN (n, line->cursor);
  g_string_erase (line->text, line->cursor - n, n);
  line->cursor -= n;
}

static size_t
word_before (const VmLine *line)
{
  size_t at = line->cursor;

  while (at && g_ascii_isspace (line->text->str[at - 1]))
    at--;
  while (at && !g_ascii_isspace (line->text->str[at - 1]))
    at--;
  return line->cursor - at;
}

static size_t
common_prefix (char **words)
{
  size_t n = strlen (words[0]);

  for (char **w = words + 1; *w; w++)
    {
      size_t i = 0;
      while (i < n && (*w)[i] == words[0][i])
        i++;
      n = i;
    }
  return n;
}

static void
complete (VmLine *line, VmMonitor *mon)
{
  g_autofree char *head = g_strndup (line->text->str, line->cursor);
  size_t word;
  g_auto (GStrv) found = vm_hmp_complete (mon, head, &word);
  size_t have = line->cursor - word;

  if (!found || !found[0])
    return;
  g_autofree char *common = g_strndup (found[0], common_prefix (found));
  if (strlen (common) + line->text->len > LINE_MAX_BYTES)
    return;
  g_string_insert (line->text, line->cursor, common + have);
  line->cursor += strlen (common) - have;
  if (!found[1])
    {
      g_string_insert_c (line->text, line->cursor++, ' ');
    }
  else if (strlen (common) == have)
    {
      vm_monitor_puts (mon, "\n");
      for (char **f = found; *f; f++)
        vm_monitor_printf (mon, "%-20s%s", *f, (f - found) % 4 == 3 || !f[1] ? "\n" : "");
    }
  redraw (line, mon);
}

/* Final byte of an escape sequence. */
static void
sequence (VmLine *line, VmMonitor *mon, uint8_t final)
{
  size_t len = line->text->len;

  switch (final)
    {
    case 'A':
      go_in_history (line, -1);
      break;
    case 'B':
      go_in_history (line, 1);
      break;
    case 'C':
      line->cursor = MIN (line->cursor + 1, len);
      break;
    case 'D':
      line->cursor -= line->cursor > 0;
      break;
    case 'H':
      line->cursor = 0;
      break;
    case 'F':
      line->cursor = len;
      break;
    case '~':
      if (line->param == 1 || line->param == 7)
        line->cursor = 0;
      else if (line->param == 4 || line->param == 8)
        line->cursor = len;
      else if (line->param == 3 && line->cursor < len)
        g_string_erase (line->text, line->cursor, 1);
      break;
    default:
      return;
    }
  redraw (line, mon);
}

static void
control (VmLine *line, VmMonitor *mon, uint8_t byte)
{
  size_t len = line->text->len;

  switch (byte)
    {
    case '\t':
      complete (line, mon);
      return;
    case CTRL_A:
      line->cursor = 0;
      break;
    case CTRL_E:
      line->cursor = len;
      break;
    case CTRL_B:
      line->cursor -= line->cursor > 0;
      break;
    case CTRL_F:
      line->cursor = MIN (line->cursor + 1, len);
      break;
    case CTRL_D:
      if (line->cursor < len)
        g_string_erase (line->text, line->cursor, 1);
      break;
    case CTRL_H:
    case DELETE:
      erase_before (line, 1);
      break;
    case CTRL_W:
      erase_before (line, word_before (line));
      break;
    case CTRL_U:
      erase_before (line, line->cursor);
      break;
    case CTRL_K:
      g_string_truncate (line->text, line->cursor);
      break;
    case CTRL_N:
      go_in_history (line, 1);
      break;
    case CTRL_P:
      go_in_history (line, -1);
      break;
    case CTRL_L:
      vm_monitor_write (mon, "\033[2J\033[H", 7);
      break;
    default:
      return;
    }
  redraw (line, mon);
}

static void
escape_input (VmLine *line, VmMonitor *mon, uint8_t byte)
{
  switch (line->state)
    {
    case AFTER_ESC:
      line->param = 0;
      line->state = byte == '[' ? IN_CSI : byte == 'O' ? AFTER_SS3 : PLAIN;
      break;
    case IN_CSI:
      if (g_ascii_isdigit (byte))
        {
          line->param = (line->param * 10 + byte - '0') % 1000;
          break;
        }
      G_GNUC_FALLTHROUGH;
    default:
      line->state = PLAIN;
      sequence (line, mon, byte);
    }
}

char *
vm_line_input (VmLine *line, VmMonitor *mon, uint8_t byte)
{
  bool second_half = byte == '\n' && line->last_was_cr;

  line->last_was_cr = byte == '\r';
  if (second_half)
    return NULL;
  if (line->state != PLAIN)
    {
      escape_input (line, mon, byte);
      return NULL;
    }
  if (byte == '\r' || byte == '\n')
    {
      vm_monitor_puts (mon, "\n");
      remember (line, line->text->str);
      return g_strdup (line->text->str);
    }
  if (byte == ESCAPE)
    line->state = AFTER_ESC;
  else if (byte < 32 || byte == DELETE)
    control (line, mon, byte);
  else
    insert (line, mon, byte);
  return NULL;
}
