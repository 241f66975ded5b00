#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The windows of "-display sdl", on a machine that is not there.

Usage: test-sdl.py FAKE-MACHINE-SDL [TEST...]"""
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import Desktop, Program, wait_for

FAKE = sys.argv.pop(1)
KEY_A, KEY_BACKSLASH = 30, 43


def pattern(x, y):
    """The rule of fake-machine.c."""
    return (x * 0x9e3779b1 + y * 0x85ebca6b + 0x5a000000) & 0xffffff


class Window(unittest.TestCase):
    def setUp(self):
        self.desktop = Desktop()
        self.addCleanup(self.desktop.close)

    def start(self, options='', name=None):
        self.machine = Program(self.desktop, FAKE, 'sdl' + options, *([name] if name else []))
        self.addCleanup(self.machine.close)
        self.desktop.move(1270, 790)
        self.id = self.machine.window()
        self.desktop.activate(self.id)
        self.machine.command('mode 320 200')
        wait_for('the size', lambda: self.desktop.geometry(self.id)[2:] == (320, 200))
        self.machine.said()

    def check_picture(self, times=1):
        x, y, width, height = self.desktop.geometry(self.id)
        self.assertEqual((width, height), (320 * times, 200 * times))
        wait_for('the picture', lambda: self.desktop.picture().pixel(x + 7 * times, y + 5 * times) == pattern(7, 5))
        picture = self.desktop.picture()
        for row in range(0, height, 7):
            self.assertEqual(picture.row(x, y + row, width),
                             b''.join(pattern(column // times, row // times).to_bytes(3, 'big') for column in range(width)))

    def test_pixels(self):
        self.start()
        self.check_picture()
        self.machine.command('fill 100 50 33 7 0xff8040')
        x, y = self.desktop.geometry(self.id)[:2]
        wait_for('the damage', lambda: self.desktop.picture().pixel(x + 132, y + 56) == 0xff8040)
        self.assertEqual(self.desktop.picture().pixel(x + 133, y + 56), pattern(133, 56))

    def test_pixels_gl(self):
        self.start(',gl=on')
        self.check_picture()

    def test_scaled_and_back(self):
        self.start()
        self.desktop.xdotool('windowsize', '--sync', self.id, 640, 400)
        self.check_picture(2)
        self.assertIn('ui-info 640 400', self.machine.said(0.5))
        self.desktop.key('ctrl+alt+u')
        wait_for('the size', lambda: self.desktop.geometry(self.id)[2:] == (320, 200))

    def test_keys(self):
        self.start()
        self.desktop.key('a', 'backslash')
        said = [line for line in self.machine.said() if line.startswith('key')]
        self.assertEqual(said, [f'key {KEY_A} 1', f'key {KEY_A} 0', f'key {KEY_BACKSLASH} 1', f'key {KEY_BACKSLASH} 0'])

    def test_pointer(self):
        self.start()
        self.machine.command('absolute 1')
        x, y = self.desktop.geometry(self.id)[:2]
        self.desktop.move(x + 319, y + 199)
        wait_for('the corner', lambda: {'abs 0 32767', 'abs 1 32767'} <= set(self.machine.said()))
        self.desktop.click(button=3)
        self.desktop.click(button=4)
        self.assertEqual([line for line in self.machine.said() if line.startswith('button')],
                         ['button 2 1', 'button 2 0', 'button 3 1', 'button 3 0'])

    def check_grab(self, chord, name):
        x, y = self.desktop.geometry(self.id)[:2]
        self.desktop.click(x + 160, y + 100)
        wait_for('a grab', lambda: self.desktop.title(self.id) == f'Vitrine - Press {name} to exit grab')
        self.machine.said()
        self.desktop.xdotool('mousemove_relative', 20, 10)
        said = wait_for('a motion', lambda: [line for line in self.machine.said() if line.startswith('rel')])
        self.assertTrue(any(line.startswith('rel 0 ') and int(line.split()[2]) > 0 for line in said), said)
        self.desktop.key(chord)
        wait_for('its end', lambda: self.desktop.title(self.id) == 'Vitrine')
        # Every key that went down came up, and that of the chord was not the guest's.
        keys = [line for line in self.machine.said() if line.startswith('key')]
        state = {line.split()[1]: line.split()[2] for line in keys}
        self.assertEqual(set(state.values()), {'0'}, keys)
        self.assertNotIn('34', state)

    def test_grab(self):
        self.start()
        self.check_grab('ctrl+alt+g', 'Ctrl-Alt-G')

    def test_grab_mod(self):
        self.start(',grab-mod=rctrl')
        self.check_grab('Control_R+g', 'Right-Ctrl-G')

    def test_full_screen(self):
        self.start()
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id)[2:] == (1280, 800))
        x, y = 7 * 4 + 1, 5 * 4 + 1
        wait_for('the picture', lambda: self.desktop.picture().pixel(x, y) == pattern(7, 5))
        self.desktop.key('ctrl+alt+f')
        wait_for('its end', lambda: self.desktop.geometry(self.id)[2:] == (320, 200))

    def test_second(self):
        self.start()
        self.machine.command('second')
        time.sleep(0.3)
        self.assertEqual(len(self.desktop.find('^Vitrine')), 1)
        self.desktop.key('ctrl+alt+2')
        wait_for('another window', lambda: self.desktop.find('^Vitrine: vc.1'))
        self.desktop.activate(self.id)
        self.desktop.key('ctrl+alt+2')
        wait_for('its end', lambda: not self.desktop.find('^Vitrine: vc.1'))
        self.machine.command('no-second')
        self.check_picture()

    def test_close(self):
        self.start(name='box')
        self.assertEqual(self.desktop.title(self.id), 'Vitrine (box)')
        self.machine.command('state 4')
        wait_for('the title', lambda: self.desktop.title(self.id) == 'Vitrine (box) [Paused]')
        self.desktop.xdotool('key', 'alt+F4')
        wait_for('the end', lambda: self.machine.process.poll() == 0)

    def test_no_close(self):
        self.start(',window-close=off')
        self.desktop.xdotool('key', 'alt+F4')
        time.sleep(0.5)
        self.assertIsNone(self.machine.process.poll())
        self.check_picture()


if __name__ == '__main__':
    unittest.main()
