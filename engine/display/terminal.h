/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A terminal: bytes in, character cells out. It understands what programs for Linux consoles, VT100 to VT220 and xterm
 * send (ECMA-48, DEC's and xterm's control sequences), in UTF-8. Whatever comes costs bounded time and memory. */
#pragma once

#include "engine/display/cells.h"

#define VM_TERMINAL_COLUMNS_MAX 512
#define VM_TERMINAL_ROWS_MAX 256

typedef struct VmTerminal VmTerminal;
/* What the terminal itself has to say: where the cursor is, who it is. */
typedef void (*VmTerminalAnswer) (void *opaque, const uint8_t *bytes, size_t len);

VmTerminal *vm_terminal_new (unsigned columns, unsigned rows, VmTerminalAnswer answer,
                             void *opaque); /* sizes are clamped */
void vm_terminal_free (VmTerminal *terminal);
void vm_terminal_size (const VmTerminal *terminal, unsigned *columns, unsigned *rows);
void vm_terminal_feed (VmTerminal *terminal, const uint8_t *bytes, size_t len);
/* Some bytes are missing: what comes is not in the middle of a sequence. */
void vm_terminal_lost (VmTerminal *terminal);
/* Grows with each change of what is to be seen. */
uint64_t vm_terminal_serial (const VmTerminal *terminal);
/* The screen, or what is scrolled back to. */
VmCells *vm_terminal_cells (VmTerminal *terminal);
/* Back by LINES, or forward by -LINES, as far as there are any. */
void vm_terminal_scroll (VmTerminal *terminal, int lines);

#define VM_TERMINAL_KEY_MAX 16
/* What the key of a symbol sends in the present modes; vm_console_type(). 0: nothing. */
size_t vm_terminal_key (const VmTerminal *terminal, uint32_t keysym, unsigned modifiers,
                        uint8_t out[VM_TERMINAL_KEY_MAX]);
