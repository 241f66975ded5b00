#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's graphical installer in the window: a language chosen by keyboard, a button pressed by mouse, and the next
page appears. Pictures of the stages are left in the folder of $VITRINE_PICTURES, if set.

Usage: test-installer.py VITRINE [OPTIONS]"""
import os
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, Desktop, Program, wait_for

FILES = '/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64'
BOOT = 300  # seconds for all of it on a busy machine without hardware help
PAGE = 90
WIDTH, HEIGHT = 1280, 800
# Places of the first page, in guest pixels.
LIST = (30, 150, 1200, 570)
CONTINUE = (1172, 762, 95, 24)


class Installer:
    def __init__(self, desktop, program):
        self.desktop, self.program = desktop, program
        self.window = program.window('Vitrine .installer.')
        self.began = time.monotonic()

    def say(self, what):
        print(f'{time.monotonic() - self.began:6.1f} s  {what}', flush=True)
        folder = os.environ.get('VITRINE_PICTURES')
        if folder:
            self.desktop.save(os.path.join(folder, what.replace(' ', '-') + '.png'))

    def place(self):
        """Top left of the guest's picture on the screen; None unless it has the expected size."""
        if self.program.process.poll() is not None:
            raise AssertionError('the program has ended')
        x, y, width, height = self.desktop.geometry(self.window)
        return (x, y + height - HEIGHT) if width == WIDTH and height > HEIGHT else None

    def part(self, rectangle):
        place = self.place()
        if not place:
            return None
        x, y, width, height = rectangle
        return self.desktop.picture().part(place[0] + x, place[1] + y, width, height)

    def chosen_row(self):
        """Middle of the highlighted row of the list; None: there is none."""
        x, y, _, height = LIST
        column = self.part((x, y, 1, height))
        if not column:
            return None
        # Green, on a list that is mostly white.
        rows = [i for i in range(height) if column[i * 3] < 0x60 and 0x60 < column[i * 3 + 1] < 0xb0]
        white = sum(column[i * 3:i * 3 + 3] == b'\xff\xff\xff' for i in range(height))
        return y + sum(rows) // len(rows) if 8 < len(rows) < 60 and white > height // 3 else None

    def settled_row(self):
        """The same, once the list has come to rest."""
        row = None
        while row is None or row != self.chosen_row():
            row = self.chosen_row()
            time.sleep(3)
        return row

    def press_continue(self):
        """By mouse, whichever way the guest takes it."""
        x, y, width, height = CONTINUE
        left, top = self.place()
        self.desktop.move(left + WIDTH // 2, top + 60)
        self.desktop.click()
        time.sleep(1)
        if 'release grab' not in self.desktop.title(self.window):
            self.desktop.click(left + x + width // 2, top + y + height // 2)
            return
        # Captured: to the corner, where it stops, and back in steps too small to be accelerated, until the button
        # lights up under the pointer.
        for _ in range(80):
            self.desktop.xdotool('mousemove_relative', 30, 20)
        time.sleep(1)
        edge = (x + 4, y + 4, 12, height - 8)
        before = self.part(edge)
        for _ in range(150):
            self.desktop.xdotool('mousemove_relative', '--', -2, -1)
            time.sleep(0.1)
            if self.part(edge) != before:
                break
        else:
            raise AssertionError('the pointer does not come to the button')
        time.sleep(0.5)
        self.desktop.click()

    def run(self):
        self.desktop.activate(self.window)
        wait_for('page of languages', self.chosen_row, BOOT)
        english = self.settled_row()
        self.say('page of languages')
        for _ in range(4):
            self.desktop.key('Down')
            time.sleep(0.3)
        wait_for('another language', lambda: (self.chosen_row() or 0) > english + 40, 30)
        french = self.settled_row()
        self.say('language chosen by keyboard')
        before = self.part(LIST)
        self.press_continue()
        self.say('button pressed by mouse')

        def next_page():
            now = self.part(LIST)
            row = self.chosen_row()
            return now and row and row != french and sum(a != b for a, b in zip(now, before)) > len(now) // 50
        wait_for('next page', next_page, PAGE)
        self.say('next page')
        # The window goes when asked, and the program with it.
        self.desktop.key('ctrl+alt+g')
        self.desktop.key('ctrl+alt+q')
        assert self.program.process.wait(10) == 0


def main():
    if not os.path.exists(FILES + '/linux'):
        print('skipped: no package debian-installer-12-netboot-amd64')
        sys.exit(SKIP)
    with Desktop(1440, 1000) as desktop, \
            Program(desktop, sys.argv[1], '-name', 'installer', '-m', '1G', '-kernel', FILES + '/linux',
                    '-initrd', FILES + '/initrd.gz', '-append', 'vga=788 --- quiet', *sys.argv[2:]) as program:
        installer = Installer(desktop, program)
        try:
            installer.run()
        except AssertionError:
            installer.say('at the failure')
            raise


main()
