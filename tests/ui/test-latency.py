#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a key pressed to the letter on the screen, in a Linux text console: the whole way through window, keyboard
controller, kernel, VGA and back. Prints the times; fails when the median is 50 ms or more.

Usage: test-latency.py VITRINE [OPTIONS]"""
import ctypes
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, Desktop, Program, wait_for

FILES = '/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64'
KEYS = 45
LIMIT_MS = 50
CELL_WIDTH, CELL_HEIGHT = 9, 16
CURSOR_LINE = 12  # from here on a cell also shows the blinking cursor
KEYCODE_A = 38


class Eye:
    """Presses keys and reads pixels without a process for each."""

    def __init__(self, name):
        self.x11 = ctypes.CDLL('libX11.so.6')
        self.xtest = ctypes.CDLL('libXtst.so.6')
        for function, result, *args in (
                ('XOpenDisplay', ctypes.c_void_p, ctypes.c_char_p),
                ('XDefaultRootWindow', ctypes.c_ulong, ctypes.c_void_p),
                ('XSync', ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
                ('XGetImage', ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int,
                 ctypes.c_uint, ctypes.c_uint, ctypes.c_ulong, ctypes.c_int),
                ('XGetPixel', ctypes.c_ulong, ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
                ('XDestroyImage', ctypes.c_int, ctypes.c_void_p)):
            getattr(self.x11, function).restype = result
            getattr(self.x11, function).argtypes = args
        self.xtest.XTestFakeKeyEvent.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ulong]
        self.display = self.x11.XOpenDisplay(name.encode())
        self.root = self.x11.XDefaultRootWindow(self.display)

    def cell(self, x, y):
        image = self.x11.XGetImage(self.display, self.root, x, y, CELL_WIDTH, CURSOR_LINE, 0xffffffff, 2)
        pixels = tuple(self.x11.XGetPixel(image, column, row) for row in range(CURSOR_LINE)
                       for column in range(CELL_WIDTH))
        self.x11.XDestroyImage(image)
        return pixels

    def key(self, down):
        self.xtest.XTestFakeKeyEvent(self.display, KEYCODE_A, down, 0)
        self.x11.XSync(self.display, 0)


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
        eye.key(1)
        eye.key(0)
        time.sleep(1)
        cells = changed_cells(before, desktop.picture(), left, top)
        if len(cells) == 1:
            return cells[0]
        time.sleep(2)


def measure(eye, x, y):
    empty = eye.cell(x, y)
    began = time.monotonic()
    eye.key(1)
    while eye.cell(x, y) == empty:
        assert time.monotonic() < began + 5, 'no letter within 5 s'
        time.sleep(0.0005)
    took = time.monotonic() - began
    eye.key(0)
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
        desktop.xdotool('windowactivate', '--sync', window)
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
