/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cells and how they are drawn. */
#include "engine/display/cells.h"

#include <string.h>

VmCells *
vm_cells_new (unsigned columns, unsigned rows)
{
  VmCells *cells = g_malloc0 (sizeof *cells + (size_t) columns * rows * sizeof cells->cells[0]);

  cells->refs = 1;
  cells->columns = columns;
  cells->rows = rows;
  cells->cursor_x = cells->cursor_y = -1;
  return cells;
}

VmCells *
vm_cells_ref (VmCells *cells)
{
  g_atomic_int_inc (&cells->refs);
  return cells;
}

void
vm_cells_unref (VmCells *cells)
{
  if (cells && g_atomic_int_dec_and_test (&cells->refs))
    g_free (cells);
}

uint32_t
vm_cell_rgb (uint32_t color)
{
  static const uint32_t first[16] = {
    0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
    0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
  };

  if (color & VM_CELL_RGB)
    return color & 0xffffff;
  color &= 0xff;
  if (color < 16)
    return first[color];
  if (color >= 232)
    return (8 + 10 * (color - 232)) * 0x010101;
  color -= 16;
  uint32_t parts[3] = { color / 36, color / 6 % 6, color % 6 };
  for (unsigned i = 0; i < 3; i++)
    parts[i] = parts[i] ? 55 + 40 * parts[i] : 0;
  return parts[0] << 16 | parts[1] << 8 | parts[2];
}

static void
cell_colors (const VmCell *cell, bool under_cursor, uint32_t *foreground, uint32_t *background)
{
  uint32_t front = cell->foreground;

  /* Bold letters of the first eight colours are bright, as terminals have done since they had colours. */
  if (cell->attributes & VM_CELL_BOLD && front < 8)
    front += 8;
  *foreground = vm_cell_rgb (front);
  *background = vm_cell_rgb (cell->background);
  if (cell->attributes & VM_CELL_DIM)
    *foreground = (*foreground >> 1 & 0x7f7f7f) + (*background >> 1 & 0x7f7f7f);
  if (!(cell->attributes & VM_CELL_REVERSE) != !under_cursor)
    {
      uint32_t was = *foreground;
      *foreground = *background;
      *background = was;
    }
  if (cell->attributes & VM_CELL_HIDDEN)
    *foreground = *background;
}

static void
draw_cell (const VmCell *cell, bool under_cursor, uint8_t *to, int stride)
{
  uint8_t rows[VM_FONT_HEIGHT];
  uint32_t foreground, background;

  cell_colors (cell, under_cursor, &foreground, &background);
  vm_font_glyph (cell->attributes & VM_CELL_RIGHT ? ' ' : cell->c, rows);
  if (cell->attributes & VM_CELL_UNDERLINE)
    rows[14] = 0xff;
  if (cell->attributes & VM_CELL_STRIKE)
    rows[7] = 0xff;
  for (unsigned y = 0; y < VM_FONT_HEIGHT; y++, to += stride)
    {
      uint32_t *out = (uint32_t *) to;
      for (unsigned x = 0; x < VM_FONT_WIDTH; x++)
        out[x] = rows[y] & 0x80 >> x ? foreground : background;
    }
}

void
vm_cells_draw (const VmCells *cells, const VmCells *before, VmConsole *console, VmSurface *surface)
{
  if (before && (before->columns != cells->columns || before->rows != cells->rows))
    before = NULL;
  vm_console_lock (console);
  for (unsigned row = 0; row < cells->rows; row++)
    {
      unsigned first = cells->columns, last = 0;
      for (unsigned column = 0; column < cells->columns; column++)
        {
          size_t at = (size_t) row * cells->columns + column;
          bool here = (int) column == cells->cursor_x && (int) row == cells->cursor_y;
          bool was_here = before && (int) column == before->cursor_x && (int) row == before->cursor_y;
          if (before && here == was_here && !memcmp (&before->cells[at], &cells->cells[at], sizeof (VmCell)))
            continue;
          draw_cell (&cells->cells[at], here,
                     surface->data + (size_t) row * VM_FONT_HEIGHT * surface->stride + column * VM_FONT_WIDTH * 4,
                     surface->stride);
          first = MIN (first, column);
          last = column;
        }
      if (first <= last && first < cells->columns)
        vm_console_damage (console, first * VM_FONT_WIDTH, row * VM_FONT_HEIGHT, (last - first + 1) * VM_FONT_WIDTH,
                           VM_FONT_HEIGHT);
    }
  vm_console_unlock (console);
}
