/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal's screen: lines of cells, the region that scrolls, what has gone off the top. */
#include "engine/display/terminal-private.h"

#include <string.h>

static const VmCell plain = { .foreground = 7 };

static VmCell *
line_new (const VmTerminal *t)
{
  VmCell *line = g_new (VmCell, t->columns);

  for (unsigned x = 0; x < t->columns; x++)
    line[x] = plain;
  return line;
}

static VmCell
blank_cell (const VmTerminal *t)
{
  VmCell cell = plain;

  cell.background = t->cursor.pen.background;
  return cell;
}

static VmCell *
line_at (VmTerminal *t, unsigned y)
{
  return t->screen->lines[y];
}

void
terminal_blank (VmTerminal *t, unsigned y, unsigned from, unsigned to)
{
  VmCell *line = line_at (t, y), cell = blank_cell (t);

  for (unsigned x = from; x < MIN (to, t->columns); x++)
    line[x] = cell;
}

/* --- scrolling ------------------------------------------------------------------------------------------------ */

/* LINE has left the screen; what comes back is free to become another. */
static VmCell *
keep_line (VmTerminal *t, VmCell *line)
{
  if (t->screen != &t->screens[0] || !t->kept_max)
    return line;
  if (t->back && t->back < t->kept_max)
    t->back++; /* the view stays where it is */
  if (t->n_kept < t->kept_max)
    {
      t->kept[(t->first_kept + t->n_kept++) % t->kept_max] = line;
      return line_new (t);
    }
  VmCell *oldest = t->kept[t->first_kept];
  t->kept[t->first_kept] = line;
  t->first_kept = (t->first_kept + 1) % t->kept_max;
  return oldest;
}

static void
scroll_lines (VmTerminal *t, unsigned top, unsigned bottom, int64_t n, bool keep)
{
  VmCell **lines = t->screen->lines;
  unsigned height = bottom - top;
  unsigned count = MIN ((uint64_t) ABS (n), height);

  for (unsigned i = 0; i < count; i++)
    if (n > 0)
      {
        VmCell *line = lines[top];
        memmove (lines + top, lines + top + 1, (height - 1) * sizeof *lines);
        lines[bottom - 1] = keep ? keep_line (t, line) : line;
        terminal_blank (t, bottom - 1, 0, t->columns);
      }
    else
      {
        VmCell *line = lines[bottom - 1];
        memmove (lines + top + 1, lines + top, (height - 1) * sizeof *lines);
        lines[top] = line;
        terminal_blank (t, top, 0, t->columns);
      }
}

void
terminal_scroll_lines (VmTerminal *t, unsigned top, unsigned bottom, int64_t n)
{
  scroll_lines (t, top, bottom, n, false);
}

void
terminal_scroll_region (VmTerminal *t, int64_t n)
{
  scroll_lines (t, t->top, t->bottom, n, !t->top);
}

void
vm_terminal_scroll (VmTerminal *t, int lines)
{
  unsigned back = (unsigned) CLAMP ((int64_t) t->back + lines, 0, (int64_t) t->n_kept);

  if (back != t->back)
    t->serial++;
  t->back = back;
}

/* --- the cursor ----------------------------------------------------------------------------------------------- */

void
terminal_go (VmTerminal *t, int64_t x, int64_t y)
{
  t->cursor.x = (unsigned) CLAMP (x, 0, (int64_t) t->columns - 1);
  t->cursor.y = (unsigned) CLAMP (y, 0, (int64_t) t->rows - 1);
  t->cursor.wrap = false;
}

void
terminal_go_to (VmTerminal *t, unsigned x, unsigned y)
{
  if (t->cursor.origin)
    terminal_go (t, x, MIN ((int64_t) y + t->top, (int64_t) t->bottom - 1));
  else
    terminal_go (t, x, y);
}

void
terminal_line_feed (VmTerminal *t)
{
  t->cursor.wrap = false;
  if (t->cursor.y + 1 == t->bottom)
    terminal_scroll_region (t, 1);
  else if (t->cursor.y + 1 < t->rows)
    t->cursor.y++;
}

void
terminal_reverse_line_feed (VmTerminal *t)
{
  t->cursor.wrap = false;
  if (t->cursor.y == t->top)
    terminal_scroll_region (t, -1);
  else if (t->cursor.y)
    t->cursor.y--;
}

void
terminal_tab (VmTerminal *t, int64_t n)
{
  unsigned x = t->cursor.x;

  for (; n > 0 && x + 1 < t->columns; n--)
    do
      x++;
    while (x + 1 < t->columns && !t->tabs[x]);
  for (; n < 0 && x; n++)
    do
      x--;
    while (x && !t->tabs[x]);
  terminal_go (t, x, t->cursor.y);
}

void
terminal_save_cursor (VmTerminal *t)
{
  t->screen->saved = t->cursor;
}

void
terminal_restore_cursor (VmTerminal *t)
{
  t->cursor = t->screen->saved;
}

/* --- characters ----------------------------------------------------------------------------------------------- */

/* Half of a wide character is none. */
static void
split_wide (VmTerminal *t, unsigned x, unsigned y)
{
  VmCell *line = line_at (t, y);

  if (x < t->columns && line[x].attributes & VM_CELL_RIGHT)
    {
      if (x)
        line[x - 1] = blank_cell (t);
      line[x] = blank_cell (t);
    }
}

void
terminal_insert_cells (VmTerminal *t, unsigned n)
{
  VmCell *line = line_at (t, t->cursor.y);
  unsigned x = t->cursor.x, count = MIN (n, t->columns - x);

  split_wide (t, x, t->cursor.y);
  memmove (line + x + count, line + x, (t->columns - x - count) * sizeof *line);
  terminal_blank (t, t->cursor.y, x, x + count);
  if (line[t->columns - 1].attributes & VM_CELL_WIDE)
    line[t->columns - 1] = blank_cell (t);
}

void
terminal_delete_cells (VmTerminal *t, unsigned n)
{
  VmCell *line = line_at (t, t->cursor.y);
  unsigned x = t->cursor.x, count = MIN (n, t->columns - x);

  split_wide (t, x, t->cursor.y);
  split_wide (t, x + count, t->cursor.y);
  memmove (line + x, line + x + count, (t->columns - x - count) * sizeof *line);
  terminal_blank (t, t->cursor.y, t->columns - count, t->columns);
}

/* DEC's special graphics, from 0x5f on. */
static uint32_t
line_drawing (uint32_t c)
{
  static const uint16_t graphics[] = {
    0x00a0, 0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1, 0x2424, 0x240b,
    0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c,
    0x2524, 0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7,
  };

  return c >= 0x5f && c < 0x5f + G_N_ELEMENTS (graphics) ? graphics[c - 0x5f] : c;
}

void
terminal_put (VmTerminal *t, uint32_t c)
{
  Cursor *cursor = &t->cursor;

  if (cursor->charsets[cursor->charset] == '0')
    c = line_drawing (c);
  if (c >= 0x300 && g_unichar_iszerowidth (c))
    return;
  unsigned width = c >= 0x300 && g_unichar_iswide (c) ? 2 : 1;
  if (width > t->columns)
    return;
  if (t->wraps && (cursor->wrap || cursor->x + width > t->columns))
    {
      cursor->x = 0;
      terminal_line_feed (t);
    }
  cursor->x = MIN (cursor->x, t->columns - width);
  if (t->insert)
    terminal_insert_cells (t, width);
  split_wide (t, cursor->x, cursor->y);
  split_wide (t, cursor->x + width, cursor->y);
  VmCell *cell = line_at (t, cursor->y) + cursor->x;
  *cell = cursor->pen;
  cell->c = c;
  if (width == 2)
    {
      cell->attributes |= VM_CELL_WIDE;
      cell[1] = cursor->pen;
      cell[1].attributes |= VM_CELL_RIGHT;
    }
  t->last = c;
  cursor->x += width;
  if (cursor->x >= t->columns)
    {
      cursor->x = t->columns - 1;
      cursor->wrap = true;
    }
}

/* --- the whole screen ----------------------------------------------------------------------------------------- */

void
terminal_erase_screen (VmTerminal *t, unsigned how)
{
  unsigned from = how == 0 ? t->cursor.y + 1 : 0, to = how == 1 ? t->cursor.y : t->rows;

  if (how == 3)
    {
      for (unsigned i = 0; i < t->n_kept; i++)
        g_free (t->kept[(t->first_kept + i) % t->kept_max]);
      t->n_kept = t->first_kept = t->back = 0;
      return;
    }
  for (unsigned y = from; y < to; y++)
    terminal_blank (t, y, 0, t->columns);
  if (how == 0)
    terminal_blank (t, t->cursor.y, t->cursor.x, t->columns);
  else if (how == 1)
    terminal_blank (t, t->cursor.y, 0, t->cursor.x + 1);
}

void
terminal_use_alternate (VmTerminal *t, bool on, bool clear)
{
  t->screen = &t->screens[on];
  t->back = 0;
  if (on && clear)
    terminal_erase_screen (t, 2);
}

void
terminal_align (VmTerminal *t)
{
  VmCell cell = plain;

  cell.c = 'E';
  t->top = 0;
  t->bottom = t->rows;
  terminal_go (t, 0, 0);
  for (unsigned y = 0; y < t->rows; y++)
    for (unsigned x = 0; x < t->columns; x++)
      line_at (t, y)[x] = cell;
}

void
terminal_reset (VmTerminal *t)
{
  static const Cursor home = { .pen = { .foreground = 7 }, .charsets = { 'B', 'B' } };

  t->cursor = t->screens[0].saved = t->screens[1].saved = home;
  t->top = 0;
  t->bottom = t->rows;
  t->insert = t->newline = t->reverse = t->cursor_keys = false;
  t->wraps = t->visible = true;
  t->last = ' ';
  for (unsigned x = 0; x < t->columns; x++)
    t->tabs[x] = x % 8 == 0;
  for (int i = 1; i >= 0; i--)
    {
      t->screen = &t->screens[i];
      terminal_erase_screen (t, 2);
    }
  t->back = 0;
}

VmTerminal *
vm_terminal_new (unsigned columns, unsigned rows, VmTerminalAnswer answer, void *opaque)
{
  VmTerminal *t = g_new0 (VmTerminal, 1);

  t->columns = CLAMP (columns, 1, VM_TERMINAL_COLUMNS_MAX);
  t->rows = CLAMP (rows, 1, VM_TERMINAL_ROWS_MAX);
  t->answer = answer;
  t->opaque = opaque;
  t->tabs = g_new0 (bool, t->columns);
  for (unsigned i = 0; i < 2; i++)
    {
      t->screens[i].lines = g_new (VmCell *, t->rows);
      for (unsigned y = 0; y < t->rows; y++)
        t->screens[i].lines[y] = line_new (t);
    }
  t->kept_max = KEPT_CELLS / t->columns;
  t->kept = g_new (VmCell *, t->kept_max);
  terminal_reset (t);
  return t;
}

void
vm_terminal_free (VmTerminal *t)
{
  if (!t)
    return;
  terminal_erase_screen (t, 3);
  for (unsigned i = 0; i < 2; i++)
    {
      for (unsigned y = 0; y < t->rows; y++)
        g_free (t->screens[i].lines[y]);
      g_free (t->screens[i].lines);
    }
  g_free (t->kept);
  g_free (t->tabs);
  g_free (t);
}

void
vm_terminal_size (const VmTerminal *t, unsigned *columns, unsigned *rows)
{
  *columns = t->columns;
  *rows = t->rows;
}

uint64_t
vm_terminal_serial (const VmTerminal *t)
{
  return t->serial;
}

VmCells *
vm_terminal_cells (VmTerminal *t)
{
  VmCells *cells = vm_cells_new (t->columns, t->rows);

  for (unsigned y = 0; y < t->rows; y++)
    {
      const VmCell *line
          = y < t->back ? t->kept[(t->first_kept + t->n_kept - t->back + y) % t->kept_max] : line_at (t, y - t->back);
      memcpy (cells->cells + (size_t) y * t->columns, line, t->columns * sizeof *line);
    }
  if (t->visible && t->cursor.y + t->back < t->rows)
    {
      cells->cursor_x = (int) t->cursor.x;
      cells->cursor_y = (int) (t->cursor.y + t->back);
    }
  for (size_t i = 0; t->reverse && i < (size_t) t->columns * t->rows; i++)
    cells->cells[i].attributes ^= VM_CELL_REVERSE;
  return cells;
}
