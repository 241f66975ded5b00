/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The terminal's screen, which terminal.c changes as terminal-parse.c reads. */
#pragma once

#include "engine/display/terminal.h"

#define PARAMS_MAX 32
#define KEPT_CELLS (128 * 1024) /* that can be scrolled back to */

typedef enum State
{
  GROUND,
  ESCAPE,
  ESCAPE_MORE, /* after an intermediate byte */
  CSI,
  CSI_IGNORE,
  OSC,           /* a string that ends with BEL or ST */
  STRING,        /* of another kind */
  STRING_ESCAPE, /* perhaps its end */
  LINUX_COLOR,   /* the Linux console's palette: seven digits and no end */
} State;

typedef struct Cursor
{
  unsigned x, y;
  bool wrap; /* after the last column: the next character goes to the next line */
  VmCell pen;
  uint8_t charsets[2]; /* 'B', '0' */
  unsigned charset;
  bool origin;
} Cursor;

typedef struct Screen
{
  VmCell **lines;
  Cursor saved;
} Screen;

struct VmTerminal
{
  unsigned columns, rows;
  VmTerminalAnswer answer;
  void *opaque;
  uint64_t serial;

  Screen screens[2]; /* the second one is the alternate */
  Screen *screen;
  Cursor cursor;
  unsigned top, bottom; /* of the region that scrolls; BOTTOM is past it */
  bool *tabs;
  bool insert, newline, wraps, visible, reverse, cursor_keys;
  uint32_t last; /* character, for REP */

  VmCell **kept; /* a ring of lines that have gone off the top */
  unsigned kept_max, n_kept, first_kept;
  unsigned back; /* lines that the view is scrolled back */

  State state;
  char intermediate, private;
  unsigned params[PARAMS_MAX], n_params;
  uint32_t colons; /* bit n: parameter n belongs to the one before */
  unsigned left;   /* bytes of what has no end, or of a UTF-8 character */
  uint32_t utf8, utf8_least;
};

/* terminal.c */
void terminal_reset (VmTerminal *t);
void terminal_put (VmTerminal *t, uint32_t c);
void terminal_go (VmTerminal *t, int64_t x, int64_t y);      /* anywhere: clamped to the screen */
void terminal_go_to (VmTerminal *t, unsigned x, unsigned y); /* 0-based, as the origin mode has it */
void terminal_line_feed (VmTerminal *t);
void terminal_reverse_line_feed (VmTerminal *t);
void terminal_scroll_lines (VmTerminal *t, unsigned top, unsigned bottom, int64_t n); /* up by N, down by -N */
void terminal_scroll_region (VmTerminal *t, int64_t n); /* what goes off the top of the screen is kept */
void terminal_blank (VmTerminal *t, unsigned y, unsigned from, unsigned to);
void terminal_erase_screen (VmTerminal *t, unsigned how);
void terminal_insert_cells (VmTerminal *t, unsigned n);
void terminal_delete_cells (VmTerminal *t, unsigned n);
void terminal_tab (VmTerminal *t, int64_t n); /* forward, or back */
void terminal_save_cursor (VmTerminal *t);
void terminal_restore_cursor (VmTerminal *t);
void terminal_use_alternate (VmTerminal *t, bool on, bool clear);
void terminal_align (VmTerminal *t); /* the screen full of E */
