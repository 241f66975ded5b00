#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes C tables of a font of lines CODE:ROWS, all hexadecimal. Usage: embed-font.py FONT OUTPUT"""
import sys

glyphs = sorted((int(code, 16), rows) for code, rows in
                (line.split(':') for line in open(sys.argv[1]).read().split()))
height = len(glyphs[0][1]) // 2
with open(sys.argv[2], 'w') as out:
    out.write('#include "engine/display/font-data.h"\n\n')
    out.write(f'const size_t vm_font_n = {len(glyphs)};\n')
    out.write('const uint16_t vm_font_codes[] = {\n')
    out.writelines(f'  {code:#06x},\n' for code, rows in glyphs)
    out.write('};\n')
    out.write(f'const uint8_t vm_font_rows[][{height}] = {{\n')
    for code, rows in glyphs:
        out.write('  { ' + ', '.join('0x' + rows[i:i + 2] for i in range(0, len(rows), 2)) + ' },\n')
    out.write('};\n')
