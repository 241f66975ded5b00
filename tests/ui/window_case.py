# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the window on a machine that is not there have in common."""
import os
import time
import unittest

from desktop import Desktop, Program, wait_for

KEY_A, KEY_LEFTCTRL, KEY_LEFTALT, KEY_LEFTSHIFT, KEY_M, KEY_F10, KEY_PAUSE, KEY_UP = 30, 29, 56, 42, 50, 68, 119, 103
MENUS = {'Machine': 30, 'View': 90, 'Devices': 150, 'Snapshots': 220, 'Help': 290}  # where their titles are


def pattern(x, y):
    """The rule of fake-machine.c."""
    return (x * 0x9e3779b1 + y * 0x85ebca6b + 0x5a000000) & 0xffffff


def pattern_row(y, width, times=1):
    return b''.join(pattern(x, y).to_bytes(3, 'big') * times for x in range(width))


class WindowCase(unittest.TestCase):
    desktop = None
    fake = None  # the program's path

    @classmethod
    def setUpClass(cls):
        cls.desktop = Desktop()

    @classmethod
    def tearDownClass(cls):
        cls.desktop.close()

    def tearDown(self):
        """A test that fails with a key down leaves it to nobody."""
        self.desktop.xdotool(*(word for key in ('a', 'b', 'shift', 'ctrl', 'alt') for word in ('keyup', key)))

    def start(self, options='gl=off', name=None, mode=(320, 200), layout=None):
        args = [self.fake, 'gtk' + (',' + options if options else '')] + ([name or '', layout] if layout else [name] if name else [])
        self.machine = Program(self.desktop, *args)
        self.addCleanup(self.machine.close)
        # A pointer over the new window would be input already.
        self.desktop.move(1270, 790)
        self.id = self.machine.window()
        self.desktop.activate(self.id)
        if mode:
            self.machine.command('mode %d %d' % mode)
            self.wait_width(mode[0])
        return self.machine

    def wait_width(self, width, height=None):
        wait_for(f'window {width} wide', lambda: self.desktop.geometry(self.id)[2] == width)
        time.sleep(0.15)

    def guest_place(self, width, height):
        """Where the picture's top left corner is on the screen: it ends where the window ends."""
        x, y, w, h = self.desktop.geometry(self.id)
        self.assertEqual(w, width)
        return x, y + h - height

    def wait_pixel(self, x, y, color):
        wait_for(f'#{color:06x} at {x}, {y}', lambda: self.desktop.picture().pixel(x, y) == color)

    def wait_title(self, title, window=None):
        try:
            wait_for('title', lambda: self.desktop.title(window or self.id) == title)
        except AssertionError:
            self.assertEqual(self.desktop.title(window or self.id), title)

    def check_picture(self, width, height, times=1):
        x, y = self.guest_place(width * times, height * times)
        self.wait_pixel(x, y, pattern(0, 0))
        picture = self.desktop.picture()
        for row in range(height * times):
            self.assertEqual(picture.row(x, y + row, width * times), pattern_row(row // times, width, times),
                             f'row {row}')

    @property
    def sizes(self):
        # The wish comes 200 ms after the last change.
        time.sleep(0.4)
        return self.machine.said()

    def balance(self, lines):
        """What is down at the end. A key that is held is pressed again and again; all else comes in turns."""
        down = {}
        for line in lines:
            words = line.split()
            if words[0] in ('key', 'button'):
                what = words[0] + words[1]
                was = down.pop(what, 0)
                if words[2] == '1':
                    self.assertTrue(not was or words[0] == 'key', lines)
                    down[what] = 1
                else:
                    self.assertTrue(was, lines)
        return down

    def menu(self, title, *keys):
        """Opens a menu with the mouse, goes to its first item and on by keys."""
        x, y, _, _ = self.desktop.geometry(self.id)
        self.desktop.click(x + MENUS[title], y + 12)
        time.sleep(0.3)
        self.desktop.key('Down', *keys)

    def save(self, name):
        """For people to look at, where $VITRINE_PICTURES says."""
        folder = os.environ.get('VITRINE_PICTURES')
        if folder:
            self.desktop.save(os.path.join(folder, name + '.png'))
