#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees and does in the window, on a machine that is not there.

Usage: test-window.py FAKE-MACHINE [TEST...]"""
import hashlib
import os
import random
import struct
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import Desktop, Program, wait_for
from window_case import KEY_A, KEY_F10, KEY_LEFTALT, KEY_LEFTSHIFT, KEY_M, KEY_PAUSE, KEY_UP, WindowCase, pattern, pattern_row

FAKE = sys.argv.pop(1)


class Window(WindowCase):
    fake = FAKE

    # --- pixels

    def test_exact_pixels_cairo(self):
        self.start()
        self.check_picture(320, 200)

    def test_exact_pixels_gl(self):
        self.start('gl=on')
        self.check_picture(320, 200)

    def check_double(self):
        for _ in range(4):
            self.desktop.key('ctrl+alt+plus')
        self.wait_width(640)
        self.check_picture(320, 200, 2)

    def test_double_cairo(self):
        self.start()
        self.check_double()

    def test_double_gl(self):
        self.start('gl=on')
        self.check_double()

    def check_damage(self):
        self.start_x, self.start_y = self.guest_place(320, 200)
        self.wait_pixel(self.start_x, self.start_y, pattern(0, 0))
        self.machine.command('fill 100 50 33 7 0x00ff8040')
        self.wait_pixel(self.start_x + 100, self.start_y + 50, 0xff8040)
        picture = self.desktop.picture()
        for dy in range(-1, 9):
            for dx in range(-1, 35):
                inside = 0 <= dx < 33 and 0 <= dy < 7
                self.assertEqual(picture.pixel(self.start_x + 100 + dx, self.start_y + 50 + dy),
                                 0xff8040 if inside else pattern(100 + dx, 50 + dy))

    def test_damage_cairo(self):
        self.start()
        self.check_damage()

    def test_damage_gl(self):
        self.start('gl=on')
        self.check_damage()

    def test_mode_change(self):
        self.start()
        self.machine.command('mode 400 300')
        self.wait_width(400)
        self.check_picture(400, 300)
        self.machine.command('mode 200 100')
        self.wait_width(200)
        self.check_picture(200, 100)

    def test_hidpi(self):
        """At desktop scale 2, 100 % is still one guest pixel per host pixel."""
        self.desktop.env['GDK_SCALE'] = '2'
        try:
            self.start(mode=(600, 400))
        finally:
            del self.desktop.env['GDK_SCALE']
        self.check_picture(600, 400)

    def test_fit_keeps_aspect(self):
        self.start('gl=off,zoom-to-fit=on', mode=None)
        self.machine.command('mode 320 200')
        self.desktop.xdotool('windowsize', '--sync', self.id, 800, 400)
        x, y, width, height = self.desktop.geometry(self.id)
        sizes = self.sizes
        self.machine.command('fill 0 0 320 200 0xffffff')
        wait_for('white', lambda: self.desktop.picture().pixel(x + 400, y + 300) == 0xffffff)
        picture = self.desktop.picture()
        white = [column for column in range(width) if picture.pixel(x + column, y + 300) == 0xffffff]
        rows = [row for row in range(height) if picture.pixel(x + 400, y + row) == 0xffffff]
        # All of the height, and the width that belongs to it in the middle; the rest is black.
        self.assertEqual(rows[-1], height - 1)
        self.assertAlmostEqual(len(white), len(rows) * 320 / 200, delta=2)
        self.assertAlmostEqual(white[0], width - 1 - white[-1], delta=1)
        self.assertEqual(picture.pixel(x + 2, y + 300), 0)
        # One wish, after the last change, and it is the picture's place.
        self.assertEqual(sizes[-1], f'ui-info 800 {len(rows)}')

    def test_bigger_than_the_screen(self):
        """The window stays on the screen and scrolls."""
        self.start(mode=None)
        self.machine.command('mode 2000 1500')
        wait_for('big window', lambda: self.desktop.geometry(self.id)[2] > 1200)
        x, y, width, height = self.desktop.geometry(self.id)
        self.assertLessEqual(x + width, 1280)
        self.assertLessEqual(y + height, 800)

    # --- keyboard

    def test_keys(self):
        self.start()
        self.machine.said()
        self.desktop.key('a')
        self.assertEqual(self.machine.said(), [f'key {KEY_A} 1', f'key {KEY_A} 0'])
        self.desktop.key('shift+m')
        self.assertEqual(sorted(self.machine.said()), [f'key {KEY_LEFTSHIFT} 0', f'key {KEY_LEFTSHIFT} 1',
                                                       f'key {KEY_M} 0', f'key {KEY_M} 1'])
        # What a desktop program would keep: the guest gets it, and no menu opens.
        self.desktop.key('F10', 'alt+m', 'Pause', 'Up')
        self.assertEqual(sorted(self.machine.said()), sorted(
            f'key {key} {down}' for key in (KEY_F10, KEY_LEFTALT, KEY_M, KEY_PAUSE, KEY_UP) for down in (0, 1)))

    def test_nothing_sticks(self):
        self.start()
        self.machine.said()
        # Our chords' last key is not the guest's, neither way.
        self.desktop.key('ctrl+alt+equal', 'ctrl+alt+0')
        lines = self.machine.said()
        self.assertEqual(self.balance(lines), {})
        self.assertNotIn('key 13 1', lines)
        self.assertNotIn('key 13 0', lines)
        # Held while another window takes the keyboard.
        self.desktop.xdotool('keydown', 'a')
        with Program(self.desktop, FAKE, 'gtk,gl=off', 'other') as other:
            id_ = other.window('other')
            self.desktop.activate(id_)
            self.assertEqual(self.balance(self.machine.said()), {})
            self.desktop.xdotool('keyup', 'a')
        self.desktop.activate(self.id)
        # Held while the machine is stopped.
        self.desktop.xdotool('keydown', 'b')
        self.machine.command('state 4')
        self.desktop.xdotool('keyup', 'b')
        self.machine.command('state 9')
        self.assertEqual(self.balance(self.machine.said()), {})

    # --- mouse

    def test_absolute(self):
        self.start()
        self.machine.command('absolute 1')
        x, y = self.guest_place(320, 200)
        self.desktop.move(x + 10, y + 10)
        self.machine.said()
        self.desktop.move(x + 160, y + 199)
        lines = self.machine.said()
        self.assertEqual(lines[-2:], [f'abs 0 {160 * 0x7fff // 319}', f'abs 1 {199 * 0x7fff // 199}'])
        self.desktop.click(button=1)
        self.desktop.click(button=3)
        buttons = [line for line in self.machine.said() if line.startswith('button')]
        self.assertEqual(buttons, ['button 0 1', 'button 0 0', 'button 2 1', 'button 2 0'])
        # A pointer that goes by position is never captured.
        self.wait_title('Vitrine')

    def test_absolute_zoomed(self):
        self.start()
        self.check_double()
        self.machine.command('absolute 1')
        x, y = self.guest_place(640, 400)
        self.desktop.move(x + 3, y + 3)
        self.machine.said()
        self.desktop.move(x + 101, y + 51)
        self.assertEqual(self.machine.said()[-2:], [f'abs 0 {50 * 0x7fff // 319}', f'abs 1 {25 * 0x7fff // 199}'])

    def test_relative(self):
        self.start(name='box')
        self.wait_title('Vitrine (box)')
        x, y = self.guest_place(320, 200)
        self.desktop.move(x + 100, y + 100)
        self.assertEqual(self.machine.said(), [], 'motion before the grab')
        self.desktop.click()
        self.wait_title('Vitrine (box) - Press Ctrl+Alt+G to release grab')
        self.assertEqual([line for line in self.machine.said() if line.startswith('button')], [], 'the grabbing click')
        # Further than the window is wide: the pointer is put back and motion goes on.
        moved = [0, 0]
        for _ in range(60):
            self.desktop.xdotool('mousemove_relative', '--', 9, -4)
            time.sleep(0.01)
        for line in self.machine.said():
            if line.startswith('rel'):
                _, axis, value = line.split()
                moved[int(axis)] += int(value)
        self.assertEqual(moved, [540, -240])
        self.desktop.click()
        self.desktop.click(button=9)
        self.assertEqual([line for line in self.machine.said() if line.startswith('button')],
                         ['button 0 1', 'button 0 0', 'button 6 1', 'button 6 0'])
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine (box)')
        self.machine.said()
        self.desktop.xdotool('mousemove_relative', 10, 10)
        self.assertEqual(self.machine.said(), [])
        # And by keyboard alone.
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine (box) - Press Ctrl+Alt+G to release grab')
        self.assertEqual(self.balance(self.machine.said()), {})
        # The guest's driver takes positions from now on: the pointer is free again.
        self.machine.command('absolute 1')
        self.machine.said()
        self.desktop.move(x + 50, y + 60)
        self.assertEqual(self.machine.said()[-2:], [f'abs 0 {50 * 0x7fff // 319}', f'abs 1 {60 * 0x7fff // 199}'])

    def test_wheel(self):
        self.start()
        self.machine.command('absolute 1')
        x, y = self.guest_place(320, 200)
        self.desktop.move(x + 100, y + 100)
        self.machine.said()
        for button in (4, 5, 5):
            self.desktop.click(button=button)
        buttons = [line for line in self.machine.said() if line.startswith('button')]
        self.assertEqual(buttons, ['button 3 1', 'button 3 0'] + 2 * ['button 4 1', 'button 4 0'])

    def test_guest_cursor_drawn(self):
        """While the pointer is captured the guest's cursor is drawn where the guest puts it."""
        for gl in ('off', 'on'):
            with self.subTest(gl=gl):
                self.start('gl=' + gl)
                self.machine.command('cursor 8 0xffff0000')
                self.machine.command('move-cursor 100 100 1')
                x, y = self.guest_place(320, 200)
                self.desktop.click(x + 200, y + 20)
                self.wait_pixel(x + 100, y + 100, 0xff0000)
                self.wait_pixel(x + 107, y + 107, 0xff0000)
                self.machine.command('move-cursor 10 10 1')
                self.wait_pixel(x + 100, y + 100, pattern(100, 100))
                self.wait_pixel(x + 12, y + 12, 0xff0000)
                self.machine.close()

    # --- window

    def test_zoom_keys(self):
        self.start()
        for key, width in (('plus', 400), ('equal', 480), ('minus', 400), ('minus', 320), ('minus', 240),
                           ('0', 320)):
            self.desktop.key('ctrl+alt+' + key)
            self.wait_width(width)

    def test_full_screen(self):
        self.start()
        before = self.desktop.geometry(self.id)
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        # 320 x 200 is the screen's own shape: every guest pixel is four by four.
        self.wait_pixel(0, 0, pattern(0, 0))
        picture = self.desktop.picture()
        for x, y in ((3, 3), (4, 0), (1279, 799), (640, 400)):
            self.assertEqual(picture.pixel(x, y), pattern(x // 4, y // 4))
        # The guest changes its mode meanwhile, also to a shape that leaves borders.
        self.machine.command('mode 640 400')
        self.wait_pixel(2, 0, pattern(1, 0))
        self.assertEqual(self.desktop.geometry(self.id), (0, 0, 1280, 800))
        picture = self.desktop.picture()
        for x, y in ((1, 1), (2, 0), (1279, 799), (640, 400)):
            self.assertEqual(picture.pixel(x, y), pattern(x // 2, y // 2))
        self.machine.command('mode 800 600')

        def fits():
            """Borders at the sides, none above."""
            picture = self.desktop.picture()
            return (len({picture.pixel(x, 400) for x in (2, 50, 100, 1200, 1277)}) == 1
                    and len({picture.pixel(x, 5) for x in range(600, 620)}) > 10)
        wait_for('the whole height', fits)
        self.machine.command('mode 320 200')
        self.wait_pixel(0, 0, pattern(0, 0))
        self.desktop.key('ctrl+alt+f')
        wait_for('window again', lambda: self.desktop.geometry(self.id)[2:] == before[2:])
        self.check_picture(320, 200)

    def test_options(self):
        self.start('gl=off,full-screen=on', mode=None)
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        self.machine.close()
        self.start('gl=off,show-menubar=off')
        self.assertEqual(self.desktop.geometry(self.id)[2:], (320, 200))
        self.desktop.key('ctrl+alt+m')
        wait_for('menu bar', lambda: self.desktop.geometry(self.id)[3] > 200)
        self.check_picture(320, 200)
        self.machine.close()
        self.start('gl=off,window-close=off')
        self.desktop.key('alt+F4')
        self.assertNotIn('quit', self.machine.said())

    def test_bad_options(self):
        for options in ('colour=on', 'gl=perhaps', 'full-screen=2'):
            with Program(self.desktop, FAKE, 'gtk,' + options) as machine:
                self.assertEqual(machine.process.wait(10), 1)

    def test_no_display(self):
        env = self.desktop.env
        number, env['DISPLAY'] = env['DISPLAY'], ':4711'
        try:
            with Program(self.desktop, FAKE, 'gtk', stderr=-1) as machine:
                self.assertEqual(machine.process.wait(10), 1)
                self.assertIn('gtk initialization failed', machine.process.stderr.read())
        finally:
            env['DISPLAY'] = number

    def test_quit(self):
        self.start()
        self.desktop.key('ctrl+alt+q')
        self.assertEqual(self.machine.process.wait(10), 0)
        self.assertEqual(self.machine.said()[-2:], ['quit', 'end'])
        # A machine that is off has nothing to lose.
        self.start()
        self.machine.command('shutdown guest-shutdown')
        self.desktop.key('alt+F4')
        self.assertEqual(self.machine.process.wait(10), 0)

    def again(self, name, options='gl=off'):
        """The size of a new window with a picture of 320 by 200."""
        self.start(options, name, mode=None)
        self.machine.command('mode 320 200')
        time.sleep(0.7)
        return self.desktop.geometry(self.id)[2:]

    def quit(self):
        self.desktop.activate(self.id)
        self.desktop.key('ctrl+alt+q')
        self.assertEqual(self.machine.process.wait(10), 0)

    def test_kept(self):
        """A machine's window is as big as it was, and as its picture was shown; a full screen does not count."""
        name = 'Ümlaut [1] = x'
        plain = self.again(name)
        self.assertEqual(plain[0], 320)
        self.menu('View', 'z')
        self.desktop.xdotool('windowsize', '--sync', self.id, 500, 420)
        time.sleep(0.7)
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        time.sleep(0.7)
        self.quit()
        self.assertEqual(self.again(name), (500, 420))
        self.quit()
        self.assertEqual(self.again(name), (500, 420))  # it was not changed
        self.machine.close()
        for other, options in ('another', 'gl=off'), (None, 'gl=off'), (name, 'gl=off,zoom-to-fit=off'):
            self.assertEqual(self.again(other, options), plain)
            self.machine.close()
        # What is written there makes no sense, or is more than there is room for.
        path = f'{self.desktop.home}/vitrine/ui.ini'
        with open(path) as file:
            text = file.read()
        for old, new, expected in (('width=500', 'width=-1', None), ('zoom=fit', 'zoom=huge', plain[0]), ('width=500', 'width=30000', 1280)):
            with open(path, 'w') as file:
                file.write(text.replace(old, new))
            width = self.again(name)[0]
            self.assertTrue(expected is None or abs(width - expected) <= 4, (new, width))
            self.machine.close()

    def test_close_asks(self):
        self.addCleanup(self.desktop.settings)
        self.start()
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.desktop.key('Return')  # "Cancel" is what Return means
        time.sleep(0.3)
        self.assertNotIn('quit', self.machine.said())
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.desktop.key('alt+s')
        wait_for('power button', lambda: 'powerdown' in self.machine.said())
        self.assertIsNone(self.machine.process.poll())
        # This machine has no disk that could hold its state: it goes on.
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.desktop.key('alt+v')
        problem = wait_for('why not', lambda: self.desktop.find('^Problem'))[0]
        self.assertEqual([line for line in self.machine.said() if line.startswith(('state', 'command', 'quit'))],
                         ['state 4', 'state 9'])
        self.desktop.activate(problem)
        self.desktop.key('Escape')
        wait_for('closed', lambda: not self.desktop.find('^Problem'))
        self.desktop.activate(self.id)
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.desktop.key('alt+d', 'alt+p')
        self.assertEqual(self.machine.process.wait(10), 0)
        # It was said not to ask again.
        self.start()
        self.desktop.key('alt+F4')
        self.assertEqual(self.machine.process.wait(10), 0)

    def test_close_remembers_which_choice(self):
        """Of that machine, and only of that."""
        self.addCleanup(self.desktop.settings)
        self.start(name='one')
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.desktop.key('alt+d', 'alt+s')
        wait_for('power button', lambda: 'powerdown' in self.machine.said())
        self.desktop.key('alt+F4')
        wait_for('power button', lambda: 'powerdown' in self.machine.said())
        self.assertIsNone(self.machine.process.poll())
        self.machine.close()
        self.start(name='other')
        self.desktop.key('alt+F4')
        time.sleep(0.5)
        self.assertNotIn('powerdown', self.machine.said())
        self.desktop.key('Escape')

    def test_force_off(self):
        self.start()
        self.menu('Machine', 'o')
        time.sleep(0.5)
        self.desktop.key('Escape')
        time.sleep(0.3)
        self.assertIsNone(self.machine.process.poll())
        self.menu('Machine', 'o')
        time.sleep(0.5)
        self.desktop.key('alt+o')
        self.assertEqual(self.machine.process.wait(10), 0)

    def test_send_keys(self):
        self.start()
        self.machine.said()
        self.menu('Machine', 'k', 'd')
        wait_for('chord', lambda: 'keys ctrl-alt-delete' in self.machine.said())

    def test_copied_screenshot(self):
        self.start()
        self.desktop.key('ctrl+alt+plus')
        self.wait_width(400)
        self.menu('Machine', 'c')
        wait_for('screenshot', lambda: 'screenshot 1' in self.machine.said())
        time.sleep(0.3)
        png = subprocess.run(['xclip', '-o', '-selection', 'clipboard', '-t', 'image/png'], env=self.desktop.env,
                             capture_output=True, timeout=10).stdout
        self.assertEqual(struct.unpack('>II', png[16:24]), (320, 200))

    def test_strip(self):
        """The line below takes room of its own and never covers the picture."""
        self.desktop.settings(show_status='true')
        self.addCleanup(self.desktop.settings)
        self.start()
        _, _, _, height = self.desktop.geometry(self.id)
        self.menu('View', 's')
        wait_for('no strip', lambda: self.desktop.geometry(self.id)[3] < height - 10)
        self.check_picture(320, 200)

    def test_empty(self):
        """A machine whose display is not set up yet says so; so does one that ended."""
        self.start(mode=None)
        self.wait_width(640)
        x, y, width, height = self.desktop.geometry(self.id)
        time.sleep(0.3)
        picture = self.desktop.picture()
        light = sum(picture.pixel(x + column, y + row) > 0x808080
                    for row in range(100, height) for column in range(width))
        self.assertGreater(light, 200)
        self.machine.command('mode 320 200')
        self.wait_width(320)
        self.check_picture(320, 200)

    def test_paused_and_off(self):
        self.start(name='box')
        self.machine.command('state 4')
        self.wait_title('Vitrine (box) [Paused]')
        self.check_picture(320, 200)
        self.machine.command('state 9')
        self.wait_title('Vitrine (box)')
        self.machine.command('fill 0 0 320 200 0xffffff')
        self.machine.command('shutdown guest-shutdown')
        self.wait_title('Vitrine (box) [Paused]')
        x, y = self.guest_place(320, 200)
        self.wait_pixel(x + 2, y + 2, 0x666666)
        self.machine.command('state 9')
        self.wait_pixel(x + 2, y + 2, 0xffffff)

    def test_menu_items(self):
        self.start()
        self.machine.said()
        self.menu('Machine', 'Down', 'Return')
        wait_for('reset', lambda: 'reset' in self.machine.said())
        self.menu('Machine', 'd')
        wait_for('powerdown', lambda: 'powerdown' in self.machine.said())
        self.menu('Machine', 'p')
        wait_for('pause', lambda: 'state 4' in self.machine.said())
        self.wait_title('Vitrine [Paused]')
        self.menu('Machine', 'p')
        wait_for('continue', lambda: 'state 9' in self.machine.said())
        # The keyboard is the guest's again.
        self.desktop.key('a')
        wait_for('keys', lambda: f'key {KEY_A} 0' in self.machine.said())

    def test_right_to_left(self):
        """What is around the guest turns round, the guest does not."""
        self.desktop.settings(show_status='true')
        self.addCleanup(self.desktop.settings)
        self.start(mode=(640, 400))
        self.machine.command('right-to-left')
        time.sleep(0.5)
        x, y, width, height = self.desktop.geometry(self.id)
        row = pattern_row(0, 640)
        picture = self.desktop.picture()
        self.assertTrue(any(picture.row(x, y + line, 640) == row for line in range(height)))
        self.save('right-to-left')
        self.machine.said()
        self.desktop.click(x + width - 30, y + 12)
        time.sleep(0.4)
        self.desktop.key('Down', 'd')
        wait_for('powerdown', lambda: 'powerdown' in self.machine.said())

    def test_screenshot(self):
        """Has the guest's size, whatever the zoom."""
        self.start(name='a/b')
        self.check_double()
        self.menu('Machine', 's')
        dialog = wait_for('dialog', lambda: self.desktop.find('Take Screenshot'))[0]
        self.desktop.activate(dialog)
        time.sleep(0.3)
        path = self.desktop.home + '/shot.png'
        self.desktop.key('ctrl+a')
        self.desktop.type(path)
        self.desktop.key('Return')
        wait_for('file', lambda: os.path.exists(path) and 'screenshot 1' in self.machine.said())
        with open(path, 'rb') as file:
            self.assertEqual(struct.unpack('>II', file.read(24)[16:24]), (320, 200))

    def test_consoles(self):
        """A second console comes, gets a tab, a window of its own, and goes."""
        self.start()
        self.machine.command('second')
        self.desktop.key('ctrl+alt+2')
        self.wait_width(400)
        self.check_picture(400, 300)
        self.menu('View', 'd')
        own = wait_for('detached window', lambda: self.desktop.find(r'vc\.1'))[0]
        self.wait_title('Vitrine: vc.1', own)
        self.desktop.activate(own)
        self.assertEqual(self.desktop.geometry(own)[2:], (400, 300))
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine: vc.1 +kbd +ptr', own)
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine: vc.1', own)
        self.desktop.key('alt+F4')
        wait_for('attached', lambda: not self.desktop.find(r'vc\.1'))
        self.wait_width(400)
        self.check_picture(400, 300)
        self.machine.command('no-second')
        self.wait_width(320)
        self.check_picture(320, 200)

    def test_tab_dragged_out(self):
        """Dropped on the desktop it is a window, whose closing puts it back to its place; on the row of tabs it stays a tab."""
        self.start('gl=off,show-tabs=on')
        self.machine.command('second')
        self.desktop.key('ctrl+alt+2')
        self.wait_width(400)
        time.sleep(0.5)
        x, y, _, height = self.desktop.geometry(self.id)
        tab = x + 80, y + height - 300 - 16

        def drag(*to):
            self.desktop.move(*tab)
            self.desktop.xdotool('mousedown', 1)
            for step in range(1, 13):
                self.desktop.move(*(a + (b - a) * step // 12 for a, b in zip(tab, to)))
                time.sleep(0.03)
            time.sleep(0.3)
            self.desktop.xdotool('mouseup', 1)
        drag(tab[0] + 40, tab[1])
        time.sleep(1.2)
        self.assertEqual(self.desktop.find(r'vc\.1'), [])
        for _ in range(2):
            drag(1200, 700)
            own = wait_for('a window', lambda: self.desktop.find(r'vc\.1'))[0]
            self.assertEqual(self.desktop.geometry(own)[2:], (400, 300))
            self.desktop.activate(own)
            self.desktop.key('alt+F4')
            wait_for('attached', lambda: not self.desktop.find(r'vc\.1'))
            self.wait_width(400)
            time.sleep(0.5)

    def test_integer_scaling(self):
        """The greatest whole multiple that fits, in the middle."""
        self.start('gl=off', mode=None)
        self.machine.command('mode 320 200')
        self.wait_width(320)
        self.menu('View', 'l')
        time.sleep(0.3)
        self.desktop.xdotool('windowsize', '--sync', self.id, 1000, 560)
        time.sleep(0.5)
        x, y, width, height = self.desktop.geometry(self.id)
        bar = height - (560 - 0)
        # Two times: 640 by 400 in the middle of what the menu bar leaves.
        picture = self.desktop.picture()
        row = y + height // 2
        shown = [column for column in range(width) if picture.pixel(x + column, row) != 0]
        self.assertEqual((len(range(shown[0], shown[-1] + 1)), shown[0]), (640, (1000 - 640) // 2), bar)
        # In full screen, too: four times.
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        time.sleep(4)  # until the bar has gone
        self.wait_pixel(0, 0, pattern(0, 0))
        self.assertEqual(self.desktop.picture().pixel(1279, 799), pattern(319, 199))

    def test_zoom_level(self):
        self.start()
        self.menu('View', 'v', 'Up')  # the last of the submenu: 400 %
        self.desktop.key('Return')
        wait_for('400 %', lambda: self.desktop.geometry(self.id)[2] > 1000)

    def test_one_hint_after_a_drag(self):
        """In device pixels, at a desktop scale of two."""
        self.desktop.env['GDK_SCALE'] = '2'
        try:
            self.start('gl=off,zoom-to-fit=on', mode=None)
        finally:
            del self.desktop.env['GDK_SCALE']
        self.machine.command('mode 320 200')
        self.assertIsNotNone(self.sizes)
        for width in range(600, 820, 20):
            self.desktop.xdotool('windowsize', self.id, width, 600)
            time.sleep(0.03)
        said = [line for line in self.sizes if line.startswith('ui-info')]
        self.assertEqual(len(said), 1, said)
        self.assertEqual(int(said[0].split()[1]), 800)

    def test_full_screen_bar(self):
        """Comes when the pointer touches the top edge, and leads out; a change of mode leaves all in place."""
        self.start()
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        time.sleep(4)
        self.wait_pixel(640, 4, pattern(160, 1))
        self.machine.command('mode 640 400')
        self.wait_pixel(0, 0, pattern(0, 0))
        self.wait_pixel(640, 4, pattern(320, 2))
        self.assertEqual(self.desktop.geometry(self.id), (0, 0, 1280, 800))
        self.desktop.move(640, 0)
        wait_for('bar', lambda: self.desktop.picture().pixel(640, 4) != pattern(320, 2))
        time.sleep(0.6)
        self.save('full-screen')
        # Its last button leaves.
        picture = self.desktop.picture()
        right = max(x for x in range(640, 1280) if picture.pixel(x, 12) != pattern(x // 2, 6))
        self.desktop.click(right - 22, 18)
        wait_for('window', lambda: self.desktop.geometry(self.id)[2] < 1280)

    def test_full_screen_menu(self):
        """The bar's context menu leads out, too."""
        self.start()
        self.desktop.key('ctrl+alt+f')
        wait_for('full screen', lambda: self.desktop.geometry(self.id) == (0, 0, 1280, 800))
        self.desktop.move(640, 0)
        time.sleep(1)
        self.desktop.click(500, 12, button=3)
        time.sleep(0.5)
        self.save('full-screen-menu')
        self.desktop.key('l')
        wait_for('window', lambda: self.desktop.geometry(self.id)[2] < 1280)

    def test_start_again(self):
        """What has ended has a button."""
        self.start()
        self.machine.command('shutdown guest-shutdown')
        time.sleep(0.5)
        self.save('off')
        x, y = self.guest_place(320, 200)
        self.machine.said()
        self.desktop.click(x + 115, y + 160)
        said = wait_for('start', lambda: [line for line in self.machine.said() if line.startswith('command')])
        self.assertEqual([line.split()[1] for line in said], ['system_reset', 'cont'])

    def test_type_clipboard(self):
        self.start()
        text = 'Ab1 /#\n'
        xclip = subprocess.Popen(['xclip', '-i', '-selection', 'clipboard', '-quiet'], env=self.desktop.env, stdin=subprocess.PIPE)
        self.addCleanup(xclip.kill)
        xclip.stdin.write(text.encode())
        xclip.stdin.close()
        time.sleep(0.3)
        self.machine.said()
        self.menu('Machine', 't')
        # A and # with shift.
        shift = KEY_LEFTSHIFT
        wanted = [f'key {shift} 1', 'key 30 1', 'key 30 0', f'key {shift} 0', 'key 48 1', 'key 48 0', 'key 2 1', 'key 2 0',
                  'key 57 1', 'key 57 0', 'key 53 1', 'key 53 0', f'key {shift} 1', 'key 4 1', 'key 4 0', f'key {shift} 0',
                  'key 28 1', 'key 28 0']
        said = []
        wait_for('text', lambda: said.extend(self.machine.said()) or 'key 28 0' in said)
        self.assertEqual([line for line in said if line.startswith('key')], wanted)

    def test_type_clipboard_on_a_layout(self):
        """That of -k, whatever the host's is."""
        self.start(layout='de')
        xclip = subprocess.Popen(['xclip', '-i', '-selection', 'clipboard', '-quiet'], env=self.desktop.env, stdin=subprocess.PIPE)
        self.addCleanup(xclip.kill)
        xclip.stdin.write('z@Y\n'.encode())
        xclip.stdin.close()
        time.sleep(0.3)
        self.machine.said()
        self.menu('Machine', 't')
        wanted = ['key 21 1', 'key 21 0', 'key 100 1', 'key 16 1', 'key 16 0', 'key 100 0', f'key {KEY_LEFTSHIFT} 1', 'key 44 1',
                  'key 44 0', f'key {KEY_LEFTSHIFT} 0', 'key 28 1', 'key 28 0']
        said = []
        wait_for('text', lambda: said.extend(self.machine.said()) or 'key 28 0' in said)
        self.assertEqual([line for line in said if line.startswith('key')], wanted)

    def test_random_input(self):
        """Ten thousand events, none of which is the end of anything."""
        self.start()
        self.machine.command('serial')
        self.machine.command('second')
        random.seed(int(os.environ.get('VITRINE_SEED', '4711')))
        x, y, width, height = self.desktop.geometry(self.id)
        keys = ['a', 'Return', 'Tab', 'F10', 'Up', 'Down', 'space', 'Alt_L', 'Control_L', 'Shift_L', 'Super_L', 'plus',
                'minus', '0', '1', '2', '3', 'g', 'm', 'd']
        down = set()
        sent = 0
        while sent < 10000:
            args = []
            for _ in range(250):
                what = random.random()
                if what < 0.5:
                    args += ['mousemove', x + random.randrange(-5, width + 5), y + random.randrange(30, height + 5)]
                elif what < 0.7:
                    args += [random.choice(['mousedown', 'mouseup']), random.choice([1, 2, 3, 4, 5])]
                else:
                    key = random.choice(keys)
                    # Alt+F4 and the like are questions for a person.
                    if key in down or random.random() < 0.4:
                        down.discard(key)
                        args += ['keyup', key]
                    else:
                        down.add(key)
                        args += ['keydown', key]
                sent += 1
            self.desktop.xdotool(*args)
            self.assertIsNone(self.machine.process.poll())
        for key in keys:
            self.desktop.xdotool('keyup', key)
        for button in (1, 2, 3, 4, 5):
            self.desktop.xdotool('mouseup', button)
        self.desktop.key('Escape', 'Escape')
        time.sleep(1)
        said = self.machine.said()
        self.assertGreater(len(said), 100)
        self.assertEqual(self.balance(said), {})
        self.machine.command('mode 320 200')
        self.machine.command('state 4')
        self.machine.command('state 9')

    def test_display_server_goes(self):
        """The machine runs on, says so once, and ends as it should, whatever the window was doing."""
        for options, chords in (('gl=off', []), ('gl=on', []), ('gl=off,full-screen=on', []), ('gl=off', ['ctrl+alt+g']),
                                ('gl=off', ['ctrl+alt+2', 'alt+v', 'd']), ('gl=off', ['alt+F4'])):
            with self.subTest(options=options, chords=chords):
                self.lose_display(options, chords)

    def lose_display(self, options, chords):
        with Desktop() as desktop:
            errors = open(desktop.home + '/stderr', 'w+')
            with Program(desktop, FAKE, 'gtk,' + options, stderr=errors) as machine:
                machine.window()
                machine.command('mode 320 200')
                machine.command('second')
                time.sleep(0.5)
                for chord in chords:
                    desktop.key(chord)
                    time.sleep(0.3)
                desktop.manager.terminate()
                desktop.manager.wait()
                desktop.server.kill()
                desktop.server.wait()
                time.sleep(1)
                self.assertIsNone(machine.process.poll())
                machine.command('fill 0 0 10 10 0xff')
                machine.command('state 4')
                machine.command('state 9')
                # It has nothing to do.
                with open(f'/proc/{machine.process.pid}/stat') as file:
                    before = sum(map(int, file.read().rsplit(')', 1)[1].split()[11:13]))
                time.sleep(1)
                with open(f'/proc/{machine.process.pid}/stat') as file:
                    self.assertLess(sum(map(int, file.read().rsplit(')', 1)[1].split()[11:13])) - before, 20)
                machine.send('quit')
                self.assertEqual(machine.process.wait(10), 0)
            errors.seek(0)
            said = [line for line in errors.read().splitlines() if line]
            self.assertEqual(len(said), 1, said)
            self.assertIn('display server has gone', said[0])

    # --- terminals

    def typed(self, text):
        """The bytes that reached the port, in order."""
        found = ''

        def arrived():
            nonlocal found
            found += ''.join(line.removeprefix('typed ') for line in self.machine.said(0.1) if line.startswith('typed '))
            return text in found
        try:
            wait_for(f'typed {text!r}', arrived)
        except AssertionError:
            self.assertEqual(found, text)

    def start_terminal(self):
        self.start()
        self.machine.command('serial')
        self.desktop.key('ctrl+alt+2')
        wait_for('the terminal', lambda: self.desktop.geometry(self.id)[2] > 500)
        time.sleep(0.2)

    def selected(self, *keys):
        """What the keys put into the clipboard."""
        self.desktop.key(*keys)
        time.sleep(0.2)
        return subprocess.run(['xclip', '-o', '-selection', 'clipboard'], env=self.desktop.env, capture_output=True,
                              text=True, timeout=10).stdout

    def test_terminal(self):
        self.start_terminal()
        self.desktop.type('ls')
        self.desktop.key('Return', 'ctrl+c', 'Up')
        self.typed(r'ls\r\003\033[A')
        self.machine.command(r'say hello\040world\r\n 1')
        time.sleep(0.3)
        self.assertEqual(self.selected('ctrl+shift+a', 'ctrl+shift+c').strip(), 'hello world')
        self.desktop.key('ctrl+shift+v')
        self.typed('hello world')
        # The menu twin.
        self.menu('View', 'p')
        self.typed('hello world')
        # Chords of the window stay its own, and those of the display do nothing here.
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine')
        self.desktop.key('ctrl+alt+1')
        self.wait_width(320)
        self.check_picture(320, 200)
        self.assertEqual(self.selected('ctrl+shift+a', 'ctrl+shift+c').strip(), 'hello world')

    def test_terminal_paste_much(self):
        """All of it goes to the guest, when that reads; a window stays a window meanwhile."""
        self.start_terminal()
        path = self.desktop.home + '/much'
        text = ''.join(f'{i:06} lorem ipsum äöü\n' for i in range(150000))  # more than 3 MiB
        with open(path, 'w') as file:
            file.write(text)
        xclip = subprocess.Popen(['xclip', '-i', '-selection', 'clipboard', '-quiet', path], env=self.desktop.env)
        self.addCleanup(xclip.wait)
        self.addCleanup(xclip.kill)
        time.sleep(0.5)
        self.machine.command('deaf 1')
        self.machine.command('sum')
        self.desktop.key('ctrl+shift+v')
        time.sleep(1)
        self.save('pasting')
        self.machine.command('deaf 0')
        wanted = text.replace('\n', '\r').encode()

        def summed():
            self.machine.send('sum')
            found = [line for line in self.machine.said() if line.startswith('sum')]
            return found and found[0].split()
        time.sleep(4)
        self.assertEqual(summed(), ['sum', str(len(wanted)), hashlib.md5(wanted).hexdigest()])

    def test_terminal_scrollback(self):
        """Much text: the window stays quick, what was said long ago can be found."""
        self.start_terminal()
        self.machine.command(r'say a\040line\040of\040text\r\n 100000')  # more than is kept
        self.machine.command(r'say needle\r\n 1')
        self.machine.command(r'say a\040line\040of\040text\r\n 3000')
        start = time.monotonic()
        wait_for('the last screen', lambda: self.selected('ctrl+shift+a', 'ctrl+shift+c').count('a line of text') > 20)
        self.assertLess(time.monotonic() - start, 3)
        self.desktop.key('ctrl+shift+f')
        time.sleep(0.3)
        self.desktop.type('needle')
        time.sleep(0.5)
        self.desktop.key('Escape')
        self.assertEqual(self.selected('ctrl+shift+c'), 'needle')

    def test_terminal_find(self):
        self.start_terminal()
        for word in ('first', 'needle', 'last'):
            self.machine.command(rf'say {word}\r\n 30')
        self.desktop.key('ctrl+shift+f')
        time.sleep(0.3)
        self.desktop.type('NEEDLE')
        time.sleep(0.5)
        # What was found is selected.
        self.desktop.key('Escape')
        self.assertEqual(self.selected('ctrl+shift+c'), 'needle')
        self.desktop.type('x')
        self.typed('x')

    def test_terminal_comes_and_goes(self):
        """In a window of its own too."""
        self.start_terminal()
        self.menu('View', 'd')
        own = wait_for('detached window', lambda: self.desktop.find('serial_0'))[0]
        self.wait_title('Vitrine: serial_0', own)
        self.desktop.activate(own)
        self.desktop.type('y')
        self.typed('y')
        self.desktop.key('alt+F4')
        wait_for('attached', lambda: not self.desktop.find('serial_0'))
        self.desktop.type('z')
        self.typed('z')
        self.machine.command('no-serial')
        self.wait_width(320)
        self.check_picture(320, 200)
        self.assertIsNone(self.machine.process.poll())


if __name__ == '__main__':
    unittest.main(warnings="ignore")
