/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables that embed-font.py makes of resources/fonts: the public domain font "Fixed" of the X Window System, 8x13.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VM_FONT_DATA_ROWS 13

extern const size_t vm_font_n;
extern const uint16_t vm_font_codes[]; /* rising */
extern const uint8_t vm_font_rows[][VM_FONT_DATA_ROWS];
