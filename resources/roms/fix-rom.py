#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the two checksums into an assembled option ROM: that of the Plug and Play header and that of the whole."""
import sys

src, dst = sys.argv[1:3]
rom = bytearray(open(src, 'rb').read())
if len(rom) % 512 or rom[:2] != b'\x55\xaa' or rom[2] * 512 != len(rom):
    sys.exit(f'{src}: not a whole option ROM')
pnp = rom[0x1a] | rom[0x1b] << 8
length = rom[pnp + 5] * 16
rom[pnp + 9] = 0
rom[pnp + 9] = -sum(rom[pnp:pnp + length]) & 0xff
rom[-1] = 0
rom[-1] = -sum(rom) & 0xff
open(dst, 'wb').write(rom)
