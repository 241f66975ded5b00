#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a key pressed to the letter on the screen, in a Linux text console: the whole way through window, keyboard
controller, kernel, VGA and back. Prints the times; fails when the median is 50 ms or more.

Usage: test-latency.py VITRINE [OPTIONS]"""
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, Desktop, Program, wait_for
from eye import Eye

FILES = '/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64'
KEYS = 45
LIMIT_MS = 50
CELL_WIDTH, CELL_HEIGHT = 9, 16
CURSOR_LINE = 12  # from here on a cell also shows the blinking cursor
KEYCODE_A = 38


def changed_cells(before, after, left, top):
    """Column and row of the cells whose upper part differs."""
    return [(column, row) for row in range(400 // CELL_HEIGHT) for column in range(80)
            if any(before.row(left + column * CELL_WIDTH, top + row * CELL_HEIGHT + line, CELL_WIDTH)
                   != after.row(left + column * CELL_WIDTH, top + row * CELL_HEIGHT + line, CELL_WIDTH)
                   for line in range(CURSOR_LINE))]


def first_letter(desktop, eye, left, top):
    """Types until that shows as one letter: the shell is there. Its place."""
    while True:
        before = desktop.picture()
        eye.key(KEYCODE_A, True)
        eye.key(KEYCODE_A, False)
        time.sleep(1)
        cells = changed_cells(before, desktop.picture(), left, top)
        if len(cells) == 1:
            return cells[0]
        time.sleep(2)


def measure(eye, x, y):
    empty = eye.pixels(x, y, CELL_WIDTH, CURSOR_LINE)
    began = time.monotonic()
    eye.key(KEYCODE_A, True)
    while eye.pixels(x, y, CELL_WIDTH, CURSOR_LINE) == empty:
        assert time.monotonic() < began + 5, 'no letter within 5 s'
        time.sleep(0.0005)
    took = time.monotonic() - began
    eye.key(KEYCODE_A, False)
    # Not in step with anything that ticks.
    time.sleep(0.1 + (took * 7919) % 0.05)
    return took * 1000


def main():
    if not os.path.exists(FILES + '/linux'):
        print('skipped: no package debian-installer-12-netboot-amd64')
        sys.exit(SKIP)
    with Desktop() as desktop, \
            Program(desktop, sys.argv[1], '-name', 'latency', '-m', '512', '-kernel', FILES + '/linux',
                    '-initrd', FILES + '/initrd.gz', '-append', 'rdinit=/bin/sh quiet modprobe.blacklist=bochs',
                    *sys.argv[2:]) as program:
        window = program.window('Vitrine .latency.')
        desktop.activate(window)
        wait_for('text mode', lambda: desktop.geometry(window)[2] == 720, 60)
        left, top, _, height = desktop.geometry(window)
        top += height - 400
        eye = Eye(desktop.env['DISPLAY'])
        time.sleep(10)
        column, row = first_letter(desktop, eye, left, top)
        times = []
        for i in range(min(KEYS, 78 - column)):
            times.append(measure(eye, left + (column + 1 + i) * CELL_WIDTH, top + row * CELL_HEIGHT))
        median = statistics.median(times)
        print(f'{len(times)} keys: median {median:.1f} ms, fastest {min(times):.1f}, slowest {max(times):.1f}')
        assert median < LIMIT_MS, 'too slow'


main()
