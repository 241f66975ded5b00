/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Control characters and sequences: ECMA-48, DEC's VT220 reference, xterm's "ctlseqs", console_codes(4). */
#include "engine/display/terminal-private.h"

#include <stdio.h>
#include <string.h>

static void G_GNUC_PRINTF (2, 3) answer (VmTerminal *t, const char *format, ...)
{
  char text[48];
  va_list args;

  va_start (args, format);
  int len = vsnprintf (text, sizeof text, format, args);
  va_end (args);
  if (t->answer)
    t->answer (t->opaque, (const uint8_t *) text, MIN ((size_t) len, sizeof text - 1));
}

/* Parameter N, of which 0 and nothing mean FALLBACK. */
static unsigned
param (const VmTerminal *t, unsigned n, unsigned fallback)
{
  return n < t->n_params && t->params[n] ? t->params[n] : fallback;
}

/* --- colours and attributes ------------------------------------------------------------------------------------- */

/* After 38 or 48: "5;N", "2;R;G;B", or with colons, "2::R:G:B". Returns how many parameters it took. */
static unsigned
extended_color (const VmTerminal *t, unsigned at, uint32_t *color)
{
  unsigned kind = param (t, at, 0), n = at + 1, end = at;

  while (end < t->n_params && t->colons >> end & 1)
    end++;
  bool colons = end > at;
  if (kind == 5)
    {
      if (n < t->n_params)
        *color = MIN (t->params[n], 255);
      return colons ? end - at : 2;
    }
  if (kind != 2)
    return colons ? end - at : 1;
  if (colons && end - n >= 4) /* the colour space stands before the colour */
    n++;
  if (n + 2 < t->n_params)
    *color
        = VM_CELL_RGB | MIN (t->params[n], 255) << 16 | MIN (t->params[n + 1], 255) << 8 | MIN (t->params[n + 2], 255);
  return colons ? end - at : 4;
}

static void
set_rendition (VmTerminal *t)
{
  VmCell *pen = &t->cursor.pen;

  for (unsigned i = 0; i < MAX (t->n_params, 1); i++)
    {
      unsigned n = param (t, i, 0);
      switch (n)
        {
        case 0:
          *pen = (VmCell){ .foreground = 7 };
          break;
        case 1:
          pen->attributes |= VM_CELL_BOLD;
          break;
        case 2:
          pen->attributes |= VM_CELL_DIM;
          break;
        case 3:
          pen->attributes |= VM_CELL_ITALIC;
          break;
        case 4:
          pen->attributes |= VM_CELL_UNDERLINE;
          if (i + 1 < t->n_params && t->colons >> (i + 1) & 1 && !t->params[++i]) /* 4:0 */
            pen->attributes &= ~VM_CELL_UNDERLINE;
          break;
        case 5:
        case 6:
          pen->attributes |= VM_CELL_BLINK;
          break;
        case 7:
          pen->attributes |= VM_CELL_REVERSE;
          break;
        case 8:
          pen->attributes |= VM_CELL_HIDDEN;
          break;
        case 9:
          pen->attributes |= VM_CELL_STRIKE;
          break;
        case 21:
        case 22:
          pen->attributes &= ~(VM_CELL_BOLD | VM_CELL_DIM);
          break;
        case 23:
          pen->attributes &= ~VM_CELL_ITALIC;
          break;
        case 24:
          pen->attributes &= ~VM_CELL_UNDERLINE;
          break;
        case 25:
          pen->attributes &= ~VM_CELL_BLINK;
          break;
        case 27:
          pen->attributes &= ~VM_CELL_REVERSE;
          break;
        case 28:
          pen->attributes &= ~VM_CELL_HIDDEN;
          break;
        case 29:
          pen->attributes &= ~VM_CELL_STRIKE;
          break;
        case 38:
          i += extended_color (t, i + 1, &pen->foreground);
          break;
        case 48:
          i += extended_color (t, i + 1, &pen->background);
          break;
        case 39:
          pen->foreground = 7;
          break;
        case 49:
          pen->background = 0;
          break;
        default:
          if (n >= 30 && n <= 37)
            pen->foreground = n - 30;
          else if (n >= 40 && n <= 47)
            pen->background = n - 40;
          else if (n >= 90 && n <= 97)
            pen->foreground = n - 90 + 8;
          else if (n >= 100 && n <= 107)
            pen->background = n - 100 + 8;
        }
    }
}

/* --- modes ------------------------------------------------------------------------------------------------------ */

static void
set_private_mode (VmTerminal *t, unsigned mode, bool on)
{
  switch (mode)
    {
    case 1:
      t->cursor_keys = on;
      break;
    case 5:
      t->reverse = on;
      break;
    case 6:
      t->cursor.origin = on;
      terminal_go_to (t, 0, 0);
      break;
    case 7:
      t->wraps = on;
      t->cursor.wrap = false;
      break;
    case 25:
      t->visible = on;
      break;
    case 47:
    case 1047:
      terminal_use_alternate (t, on, mode == 1047);
      break;
    case 1048:
      (on ? terminal_save_cursor : terminal_restore_cursor) (t);
      break;
    case 1049:
      if (on == (t->screen == &t->screens[1]))
        break;
      if (on)
        terminal_save_cursor (t);
      terminal_use_alternate (t, on, true);
      if (!on)
        terminal_restore_cursor (t);
      break;
    default:
      break;
    }
}

static void
set_modes (VmTerminal *t, bool on)
{
  for (unsigned i = 0; i < t->n_params; i++)
    if (t->private == '?')
      set_private_mode (t, t->params[i], on);
    else if (t->params[i] == 4)
      t->insert = on;
    else if (t->params[i] == 20)
      t->newline = on;
}

/* --- control sequences ------------------------------------------------------------------------------------------ */

static void
report (VmTerminal *t)
{
  unsigned y = t->cursor.y - (t->cursor.origin ? MIN (t->top, t->cursor.y) : 0);

  if (param (t, 0, 0) == 5)
    answer (t, "\033[0n");
  else if (param (t, 0, 0) == 6)
    answer (t, "\033[%s%u;%uR", t->private ? "?" : "", y + 1, t->cursor.x + 1);
}

static void
set_region (VmTerminal *t)
{
  unsigned top = param (t, 0, 1), bottom = MIN (param (t, 1, t->rows), t->rows);

  if (top >= bottom)
    return;
  t->top = top - 1;
  t->bottom = bottom;
  terminal_go_to (t, 0, 0);
}

static void
erase_line (VmTerminal *t)
{
  unsigned how = param (t, 0, 0), x = t->cursor.x;

  if (how <= 2)
    terminal_blank (t, t->cursor.y, how == 0 ? x : 0, how == 1 ? x + 1 : t->columns);
}

static void
edit_lines (VmTerminal *t, bool insert)
{
  int64_t n = param (t, 0, 1);

  if (t->cursor.y < t->top || t->cursor.y >= t->bottom)
    return;
  terminal_scroll_lines (t, t->cursor.y, t->bottom, insert ? -n : n);
  terminal_go (t, 0, t->cursor.y);
}

static void
move_vertically (VmTerminal *t, int64_t by, bool to_start)
{
  /* The region's edges stop a cursor that is inside. */
  int64_t y = t->cursor.y + by;

  if (t->cursor.y >= t->top && t->cursor.y < t->bottom)
    y = CLAMP (y, (int64_t) t->top, (int64_t) t->bottom - 1);
  terminal_go (t, to_start ? 0 : t->cursor.x, y);
}

static void
window_operation (VmTerminal *t)
{
  switch (param (t, 0, 0))
    {
    case 14:
      answer (t, "\033[4;%u;%ut", t->rows * VM_FONT_HEIGHT, t->columns * VM_FONT_WIDTH);
      break;
    case 18:
    case 19:
      answer (t, "\033[%u;%u;%ut", param (t, 0, 0) - 10, t->rows, t->columns);
      break;
    default:
      break;
    }
}

static void
identify (VmTerminal *t)
{
  if (t->private == '>')
    answer (t, "\033[>1;10;0c");
  else if (!t->private && !param (t, 0, 0))
    answer (t, "\033[?62;22c"); /* VT220 with colours */
}

static void
soft_reset (VmTerminal *t)
{
  static const Cursor home = { .pen = { .foreground = 7 }, .charsets = { 'B', 'B' } };
  unsigned x = t->cursor.x, y = t->cursor.y;

  t->insert = t->cursor_keys = false;
  t->wraps = t->visible = true;
  t->top = 0;
  t->bottom = t->rows;
  t->cursor = t->screen->saved = home;
  terminal_go (t, x, y);
}

static void
repeat_last (VmTerminal *t)
{
  uint32_t c = t->last;

  for (unsigned n = MIN (param (t, 0, 1), t->columns); n; n--)
    terminal_put (t, c);
}

static void
clear_tabs (VmTerminal *t)
{
  if (param (t, 0, 0) == 0)
    t->tabs[t->cursor.x] = false;
  else if (param (t, 0, 0) == 3)
    memset (t->tabs, 0, t->columns * sizeof *t->tabs);
}

static void
control_sequence (VmTerminal *t, char final)
{
  unsigned n = param (t, 0, 1), x = t->cursor.x;
  int64_t many = n;

  if (t->intermediate)
    {
      if (t->intermediate == '!' && final == 'p')
        soft_reset (t);
      return;
    }
  if (t->private && !strchr ("hlncJK", final))
    return;
  switch (final)
    {
    case '@':
      terminal_insert_cells (t, n);
      t->cursor.wrap = false;
      break;
    case 'A':
      move_vertically (t, -many, false);
      break;
    case 'B':
    case 'e':
      move_vertically (t, many, false);
      break;
    case 'C':
    case 'a':
      terminal_go (t, x + many, t->cursor.y);
      break;
    case 'D':
      terminal_go (t, x - many, t->cursor.y);
      break;
    case 'E':
      move_vertically (t, many, true);
      break;
    case 'F':
      move_vertically (t, -many, true);
      break;
    case 'G':
    case '`':
      terminal_go (t, many - 1, t->cursor.y);
      break;
    case 'H':
    case 'f':
      terminal_go_to (t, param (t, 1, 1) - 1, n - 1);
      break;
    case 'I':
      terminal_tab (t, many);
      break;
    case 'J':
      if (param (t, 0, 0) <= 3)
        terminal_erase_screen (t, param (t, 0, 0));
      break;
    case 'K':
      erase_line (t);
      break;
    case 'L':
      edit_lines (t, true);
      break;
    case 'M':
      edit_lines (t, false);
      break;
    case 'P':
      terminal_delete_cells (t, n);
      t->cursor.wrap = false;
      break;
    case 'S':
      terminal_scroll_region (t, many);
      break;
    case 'T':
      terminal_scroll_region (t, -many);
      break;
    case 'X':
      terminal_blank (t, t->cursor.y, x, x + n);
      break;
    case 'Z':
      terminal_tab (t, -many);
      break;
    case 'b':
      repeat_last (t);
      break;
    case 'c':
      identify (t);
      break;
    case 'd':
      terminal_go_to (t, x, n - 1);
      break;
    case 'g':
      clear_tabs (t);
      break;
    case 'h':
    case 'l':
      set_modes (t, final == 'h');
      break;
    case 'm':
      set_rendition (t);
      break;
    case 'n':
      report (t);
      break;
    case 'r':
      set_region (t);
      break;
    case 's':
      terminal_save_cursor (t);
      break;
    case 't':
      window_operation (t);
      break;
    case 'u':
      terminal_restore_cursor (t);
      break;
    default:
      break;
    }
}

static void
csi_byte (VmTerminal *t, uint8_t byte)
{
  if (byte >= '0' && byte <= '9')
    {
      if (!t->n_params)
        t->n_params = 1;
      unsigned *p = &t->params[t->n_params - 1];
      *p = MIN (*p * 10 + (byte - '0'), 9999);
    }
  else if (byte == ';' || byte == ':')
    {
      if (!t->n_params)
        t->n_params = 1;
      if (t->n_params == PARAMS_MAX)
        t->state = CSI_IGNORE;
      else
        {
          t->colons |= (uint32_t) (byte == ':') << t->n_params;
          t->params[t->n_params++] = 0;
        }
    }
  else if (byte >= '<' && byte <= '?' && !t->n_params && !t->private)
    t->private = (char) byte;
  else if (byte >= ' ' && byte <= '/')
    t->intermediate = (char) byte;
  else if (byte >= '@' && byte <= '~')
    {
      t->state = GROUND;
      control_sequence (t, (char) byte);
    }
  else
    t->state = CSI_IGNORE;
}

/* --- escape sequences ------------------------------------------------------------------------------------------- */

static void
begin_csi (VmTerminal *t)
{
  t->state = CSI;
  t->intermediate = t->private = 0;
  t->n_params = 0;
  t->colons = 0;
  memset (t->params, 0, sizeof t->params);
}

static void
escape_byte (VmTerminal *t, uint8_t byte)
{
  t->state = GROUND;
  switch (byte)
    {
    case '[':
      begin_csi (t);
      break;
    case ']':
      t->state = OSC;
      t->left = 0;
      break;
    case 'P':
    case 'X':
    case '^':
    case '_':
      t->state = STRING;
      break;
    case '7':
      terminal_save_cursor (t);
      break;
    case '8':
      terminal_restore_cursor (t);
      break;
    case 'D':
      terminal_line_feed (t);
      break;
    case 'E':
      terminal_line_feed (t);
      terminal_go (t, 0, t->cursor.y);
      break;
    case 'H':
      t->tabs[t->cursor.x] = true;
      break;
    case 'M':
      terminal_reverse_line_feed (t);
      break;
    case 'Z':
      answer (t, "\033[?62;22c");
      break;
    case 'c':
      terminal_reset (t);
      break;
    default:
      if (byte >= ' ' && byte <= '/')
        {
          t->state = ESCAPE_MORE;
          t->intermediate = (char) byte;
        }
    }
}

static void
escape_more_byte (VmTerminal *t, uint8_t byte)
{
  if (byte >= ' ' && byte <= '/')
    return;
  t->state = GROUND;
  if (t->intermediate == '(' || t->intermediate == ')')
    t->cursor.charsets[t->intermediate == ')'] = byte == '0' ? '0' : 'B';
  else if (t->intermediate == '#' && byte == '8')
    terminal_align (t);
}

/* Titles, palettes and what else strings are for change nothing here. */
static void
string_byte (VmTerminal *t, uint8_t byte)
{
  if (t->state == LINUX_COLOR)
    {
      if (--t->left == 0)
        t->state = GROUND;
      return;
    }
  if (t->state == STRING_ESCAPE)
    {
      t->state = GROUND;
      t->left = 0;
      if (byte != '\\')
        escape_byte (t, byte);
      return;
    }
  if (byte == '\a')
    t->state = GROUND;
  else if (t->state == OSC && t->left++ == 0 && byte == 'P')
    {
      t->state = LINUX_COLOR;
      t->left = 7;
    }
  else if (t->state == OSC && t->left == 1 && byte == 'R')
    t->state = GROUND;
  else if (t->state == OSC)
    t->left = 2; /* no matter how long it gets */
}

/* --- characters ------------------------------------------------------------------------------------------------- */

static void
control (VmTerminal *t, uint8_t byte)
{
  switch (byte)
    {
    case '\b':
      if (t->cursor.x)
        terminal_go (t, t->cursor.x - 1, t->cursor.y);
      break;
    case '\t':
      terminal_tab (t, 1);
      break;
    case '\n':
    case '\v':
    case '\f':
      terminal_line_feed (t);
      if (t->newline)
        terminal_go (t, 0, t->cursor.y);
      break;
    case '\r':
      terminal_go (t, 0, t->cursor.y);
      break;
    case 0x0e:
    case 0x0f:
      t->cursor.charset = byte == 0x0e;
      break;
    case 0x18:
    case 0x1a:
      t->state = GROUND;
      t->left = 0;
      break;
    case 0x1b:
      t->state = t->state == OSC || t->state == STRING ? STRING_ESCAPE : ESCAPE;
      break;
    default:
      break;
    }
}

static void
text_byte (VmTerminal *t, uint8_t byte)
{
  if (t->left && (byte & 0xc0) == 0x80)
    {
      t->utf8 = t->utf8 << 6 | (byte & 0x3f);
      if (--t->left == 0)
        terminal_put (t, t->utf8 < t->utf8_least || t->utf8 > 0x10ffff || (t->utf8 & ~0x7ffu) == 0xd800 ? 0xfffd
                                                                                                        : t->utf8);
      return;
    }
  if (t->left) /* cut short */
    terminal_put (t, 0xfffd);
  t->left = 0;
  if (byte < 0x80)
    {
      if (byte != 0x7f)
        terminal_put (t, byte);
    }
  else if (byte < 0xc2 || byte > 0xf4)
    terminal_put (t, 0xfffd);
  else
    {
      t->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      t->utf8 = byte & (0x3f >> t->left);
      t->utf8_least = t->left == 1 ? 0x80 : t->left == 2 ? 0x800 : 0x10000;
    }
}

static void
feed_byte (VmTerminal *t, uint8_t byte)
{
  bool in_string = t->state == OSC || t->state == STRING || t->state == STRING_ESCAPE || t->state == LINUX_COLOR;

  if (byte == 0x18 || byte == 0x1a || byte == 0x1b || (byte < 0x20 && !in_string))
    {
      if (t->state == GROUND && t->left)
        {
          t->left = 0;
          terminal_put (t, 0xfffd);
        }
      control (t, byte);
      return;
    }
  switch (t->state)
    {
    case GROUND:
      text_byte (t, byte);
      break;
    case ESCAPE:
      t->left = 0;
      escape_byte (t, byte);
      break;
    case ESCAPE_MORE:
      escape_more_byte (t, byte);
      break;
    case CSI:
      csi_byte (t, byte);
      break;
    case CSI_IGNORE:
      if (byte >= '@' && byte <= '~')
        t->state = GROUND;
      break;
    default:
      string_byte (t, byte);
      break;
    }
  if (t->state == GROUND && in_string)
    t->left = 0;
}

void
vm_terminal_feed (VmTerminal *t, const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    feed_byte (t, bytes[i]);
  if (len)
    t->serial++;
}

void
vm_terminal_lost (VmTerminal *t)
{
  t->state = GROUND;
  t->left = 0;
}
