/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Characters as pixels: a font for letters; lines, blocks and Braille are drawn, so that they meet those of the next
 * cell. */
#include "engine/display/cells.h"
#include "engine/display/font-data.h"

#include <string.h>

#define TOP 1 /* rows above the font's own, which are fewer than a cell has */

/* --- lines: U+2500 to U+257F ------------------------------------------------------------------------------------ */

/* Arms to the left, up, to the right, down: 0 nothing, 1 thin, 2 thick, 3 double. */
typedef struct Box
{
  uint8_t arms[4];
} Box;

#define B(l, u, r, d)                                                                                                  \
  {                                                                                                                    \
    {                                                                                                                  \
      l, u, r, d                                                                                                       \
    }                                                                                                                  \
  }

static const Box boxes[128] = {
  B (1, 0, 1, 0), B (2, 0, 2, 0), B (0, 1, 0, 1), B (0, 2, 0, 2), B (1, 0, 1, 0), B (2, 0, 2, 0), B (0, 1, 0, 1),
  B (0, 2, 0, 2), B (1, 0, 1, 0), B (2, 0, 2, 0), B (0, 1, 0, 1), B (0, 2, 0, 2), B (0, 0, 1, 1), B (0, 0, 2, 1),
  B (0, 0, 1, 2), B (0, 0, 2, 2), B (1, 0, 0, 1), B (2, 0, 0, 1), B (1, 0, 0, 2), B (2, 0, 0, 2), B (0, 1, 1, 0),
  B (0, 1, 2, 0), B (0, 2, 1, 0), B (0, 2, 2, 0), B (1, 1, 0, 0), B (2, 1, 0, 0), B (1, 2, 0, 0), B (2, 2, 0, 0),
  B (0, 1, 1, 1), B (0, 1, 2, 1), B (0, 2, 1, 1), B (0, 1, 1, 2), B (0, 2, 1, 2), B (0, 2, 2, 1), B (0, 1, 2, 2),
  B (0, 2, 2, 2), B (1, 1, 0, 1), B (2, 1, 0, 1), B (1, 2, 0, 1), B (1, 1, 0, 2), B (1, 2, 0, 2), B (2, 2, 0, 1),
  B (2, 1, 0, 2), B (2, 2, 0, 2), B (1, 0, 1, 1), B (2, 0, 1, 1), B (1, 0, 2, 1), B (2, 0, 2, 1), B (1, 0, 1, 2),
  B (2, 0, 1, 2), B (1, 0, 2, 2), B (2, 0, 2, 2), B (1, 1, 1, 0), B (2, 1, 1, 0), B (1, 1, 2, 0), B (2, 1, 2, 0),
  B (1, 2, 1, 0), B (2, 2, 1, 0), B (1, 2, 2, 0), B (2, 2, 2, 0), B (1, 1, 1, 1), B (2, 1, 1, 1), B (1, 1, 2, 1),
  B (2, 1, 2, 1), B (1, 2, 1, 1), B (1, 1, 1, 2), B (1, 2, 1, 2), B (2, 2, 1, 1), B (1, 2, 2, 1), B (2, 1, 1, 2),
  B (1, 1, 2, 2), B (2, 2, 2, 1), B (2, 1, 2, 2), B (2, 2, 1, 2), B (1, 2, 2, 2), B (2, 2, 2, 2), B (1, 0, 1, 0),
  B (2, 0, 2, 0), B (0, 1, 0, 1), B (0, 2, 0, 2), B (3, 0, 3, 0), B (0, 3, 0, 3), B (0, 0, 3, 1), B (0, 0, 1, 3),
  B (0, 0, 3, 3), B (3, 0, 0, 1), B (1, 0, 0, 3), B (3, 0, 0, 3), B (0, 1, 3, 0), B (0, 3, 1, 0), B (0, 3, 3, 0),
  B (3, 1, 0, 0), B (1, 3, 0, 0), B (3, 3, 0, 0), B (0, 1, 3, 1), B (0, 3, 1, 3), B (0, 3, 3, 3), B (3, 1, 0, 1),
  B (1, 3, 0, 3), B (3, 3, 0, 3), B (3, 0, 3, 1), B (1, 0, 1, 3), B (3, 0, 3, 3), B (3, 1, 3, 0), B (1, 3, 1, 0),
  B (3, 3, 3, 0), B (3, 1, 3, 1), B (1, 3, 1, 3), B (3, 3, 3, 3), B (0, 0, 1, 1), B (1, 0, 0, 1), B (1, 1, 0, 0),
  B (0, 1, 1, 0), B (0, 0, 0, 0), B (0, 0, 0, 0), B (0, 0, 0, 0), B (1, 0, 0, 0), B (0, 1, 0, 0), B (0, 0, 1, 0),
  B (0, 0, 0, 1), B (2, 0, 0, 0), B (0, 2, 0, 0), B (0, 0, 2, 0), B (0, 0, 0, 2), B (1, 0, 2, 0), B (0, 1, 0, 2),
  B (2, 0, 1, 0), B (0, 2, 0, 1),
};

/* Dashes, by the code's place in the block: pixels or rows that are left out. */
static unsigned
dash_of (unsigned n)
{
  if (n >= 0x04 && n <= 0x07)
    return 3;
  if (n >= 0x08 && n <= 0x0b)
    return 2;
  return n >= 0x4c && n <= 0x4f ? 4 : 0;
}

static void
fill (uint8_t out[VM_FONT_HEIGHT], int x0, int x1, int y0, int y1)
{
  for (int y = MAX (y0, 0); y < MIN (y1, VM_FONT_HEIGHT); y++)
    for (int x = MAX (x0, 0); x < MIN (x1, VM_FONT_WIDTH); x++)
      out[y] |= 0x80 >> x;
}

/* One line of an arm, OFFSET beside its middle, which is pixel 3 and row 7. How far it goes depends on what crosses it
 * there: the inner line of a double one that turns ends at the near line, the outer one at the far line. */
static void
draw_line (const Box *box, unsigned arm, int offset, uint8_t out[VM_FONT_HEIGHT])
{
  bool upright = arm & 1;
  const int along = upright ? 7 : 3, across = (upright ? 3 : 7) + offset;
  const int length = upright ? VM_FONT_HEIGHT : VM_FONT_WIDTH, thick = box->arms[arm] == 2 ? 2 : 1;
  unsigned low = box->arms[!upright], high = box->arms[!upright + 2], crossing = MAX (low, high);
  int beyond = 0, from, to;

  if (crossing == 3)
    beyond = (offset ? (offset < 0 ? low : high) != 0 : low && high && !box->arms[arm ^ 2]) ? -1 : 1;
  else if (crossing == 2)
    beyond = arm < 2;
  from = arm < 2 ? 0 : along - beyond;
  to = arm < 2 ? along + beyond + 1 : length;
  if (upright)
    fill (out, across, across + thick, from, to);
  else
    fill (out, from, to, across, across + thick);
}

static void
draw_box (unsigned n, uint8_t out[VM_FONT_HEIGHT])
{
  const Box *box = &boxes[n];
  unsigned dash = dash_of (n);

  for (unsigned arm = 0; arm < 4; arm++)
    if (box->arms[arm] == 3)
      {
        draw_line (box, arm, -1, out);
        draw_line (box, arm, 1, out);
      }
    else if (box->arms[arm])
      draw_line (box, arm, 0, out);
  for (int y = 0; y < VM_FONT_HEIGHT; y++)
    {
      if (n == 0x71 || n == 0x73) /* diagonals */
        out[y] |= 0x01 << y / 2;
      if (n == 0x72 || n == 0x73)
        out[y] |= 0x80 >> y / 2;
      if (dash && box->arms[0])
        out[y] &= dash == 2 ? 0x66 : 0xdb;
      else if (dash && (dash == 2 ? y % 8 == 0 || y % 8 == 7 : y % 4 == 3))
        out[y] = 0;
    }
}

/* --- blocks: U+2580 to U+259F; Braille: U+2800 to U+28FF -------------------------------------------------------- */

static void
draw_quadrants (unsigned which, uint8_t out[VM_FONT_HEIGHT])
{
  for (unsigned i = 0; i < 4; i++) /* upper left, upper right, lower left, lower right */
    if (which & 1u << i)
      fill (out, i & 1 ? 4 : 0, i & 1 ? 8 : 4, i & 2 ? 8 : 0, i & 2 ? 16 : 8);
}

static void
draw_block (unsigned n, uint8_t out[VM_FONT_HEIGHT])
{
  static const uint8_t quadrants[] = { 4, 8, 1, 13, 9, 7, 11, 2, 6, 14 };
  static const uint8_t shades[3][2] = { { 0x88, 0x22 }, { 0xaa, 0x55 }, { 0x77, 0xdd } };

  if (n == 0)
    fill (out, 0, 8, 0, 8);
  else if (n <= 8)
    fill (out, 0, 8, VM_FONT_HEIGHT - (int) n * 2, VM_FONT_HEIGHT);
  else if (n <= 15)
    fill (out, 0, 16 - (int) n, 0, VM_FONT_HEIGHT);
  else if (n == 16)
    fill (out, 4, 8, 0, VM_FONT_HEIGHT);
  else if (n <= 19)
    for (unsigned y = 0; y < VM_FONT_HEIGHT; y++)
      out[y] = shades[n - 17][y & 1];
  else if (n == 20)
    fill (out, 0, 8, 0, 2);
  else if (n == 21)
    fill (out, 7, 8, 0, VM_FONT_HEIGHT);
  else
    draw_quadrants (quadrants[n - 22], out);
}

static void
draw_braille (unsigned dots, uint8_t out[VM_FONT_HEIGHT])
{
  static const uint8_t columns[] = { 0, 0, 0, 1, 1, 1, 0, 1 }, rows[] = { 0, 1, 2, 0, 1, 2, 3, 3 };

  for (unsigned i = 0; i < 8; i++)
    if (dots & 1u << i)
      fill (out, columns[i] * 4 + 1, columns[i] * 4 + 3, rows[i] * 4 + 1, rows[i] * 4 + 3);
}

/* --- letters ---------------------------------------------------------------------------------------------------- */

bool
vm_font_glyph (uint32_t c, uint8_t out[VM_FONT_HEIGHT])
{
  size_t from = 0, to = vm_font_n;

  memset (out, 0, VM_FONT_HEIGHT);
  if (c == 0 || c == ' ')
    return true;
  if (c >= 0x2500 && c < 0x2580)
    draw_box (c - 0x2500, out);
  else if (c >= 0x2580 && c < 0x25a0)
    draw_block (c - 0x2580, out);
  else if (c >= 0x2800 && c < 0x2900)
    draw_braille (c - 0x2800, out);
  else
    {
      while (from < to)
        {
          size_t middle = (from + to) / 2;
          if (vm_font_codes[middle] < c)
            from = middle + 1;
          else
            to = middle;
        }
      if (from == vm_font_n || vm_font_codes[from] != c)
        {
          for (unsigned y = 2; y < 12; y++)
            out[y] = y == 2 || y == 11 ? 0x7e : 0x42;
          return false;
        }
      memcpy (out + TOP, vm_font_rows[from], VM_FONT_DATA_ROWS);
    }
  return true;
}
