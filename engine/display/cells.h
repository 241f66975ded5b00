/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that a console shows: character cells, as they are at a moment, and how they become pixels. Those published by
 * vm_console_set_cells() never change again. */
#pragma once

#include "engine/display/display.h"

/* Colours of cells: a number of the palette that xterm has (0 to 7, 8 to 15 bright, 16 to 255), or VM_CELL_RGB |
 * 0xRRGGBB. */
#define VM_CELL_RGB 0x01000000u

enum
{ /* attributes */
  VM_CELL_BOLD = 1 << 0,
  VM_CELL_DIM = 1 << 1,
  VM_CELL_ITALIC = 1 << 2,
  VM_CELL_UNDERLINE = 1 << 3,
  VM_CELL_BLINK = 1 << 4,
  VM_CELL_REVERSE = 1 << 5,
  VM_CELL_HIDDEN = 1 << 6,
  VM_CELL_STRIKE = 1 << 7,
  VM_CELL_WIDE = 1 << 8,  /* goes on in the cell to the right ... */
  VM_CELL_RIGHT = 1 << 9, /* ... which is this one */
};

typedef struct VmCell
{
  uint32_t c; /* Unicode; 0: a space */
  uint32_t attributes;
  uint32_t foreground, background;
} VmCell;

struct VmCells
{
  int refs; /* atomic */
  unsigned columns, rows;
  int cursor_x, cursor_y; /* -1: none is shown */
  bool code_page; /* characters are numbers of the guest's font (of code page 437, if it has not loaded another) */
  VmCell cells[]; /* row by row */
};

VmCells *vm_cells_new (unsigned columns, unsigned rows); /* blank: the caller fills it before others see it */
VmCells *vm_cells_ref (VmCells *cells);
void vm_cells_unref (VmCells *cells);

uint32_t vm_cell_rgb (uint32_t color); /* 0xRRGGBB */

#define VM_FONT_WIDTH 8
#define VM_FONT_HEIGHT 16

/* The rows of a character, the leftmost pixel in the highest bit. False: not in the font; OUT is then a box. */
bool vm_font_glyph (uint32_t c, uint8_t out[VM_FONT_HEIGHT]);
/* Draws what differs from BEFORE (NULL: all) and damages it. SURFACE is the console's, of this many cells of the font's
 * size. */
void vm_cells_draw (const VmCells *cells, const VmCells *before, VmConsole *console, VmSurface *surface);
