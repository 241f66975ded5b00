#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, grabs, wheels and fingers on their way to a machine that is not there.

Usage: test-input.py FAKE-MACHINE [TEST...]"""
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import Program, wait_for
from eye import Eye
from window_case import KEY_A, KEY_LEFTALT, KEY_LEFTCTRL, WindowCase

FAKE = sys.argv.pop(1)
KEY_Q, KEY_Y, KEY_G, KEY_B, KEY_CAPSLOCK, KEY_F4, KEY_RIGHTCTRL, KEY_RIGHTALT = 16, 21, 34, 48, 58, 62, 97, 100
GRABBED = 'Vitrine - Press Ctrl+Alt+G to release grab'
X_OF = 8  # X's key codes are those of evdev and this
FULL = 0x7fff


def at(value, size):
    return value * FULL // (size - 1)


class Input(WindowCase):
    fake = FAKE

    # --- keys

    def hold(self, key='a'):
        self.desktop.xdotool('keydown', key)
        wait_for('key', lambda: f'key {KEY_A} 1' in self.machine.said())

    def check_lifted(self):
        said = []
        wait_for('lifted', lambda: said.extend(self.machine.said()) or f'key {KEY_A} 0' in said)
        self.desktop.xdotool('keyup', 'a')
        self.assertNotIn(f'key {KEY_A} 0', self.machine.said())

    def test_lifted_by_another_tab(self):
        self.start()
        self.machine.command('serial')
        self.hold()
        self.desktop.key('ctrl+alt+2')
        self.check_lifted()

    def test_lifted_by_grab_and_release(self):
        self.start()
        for _ in range(2):
            self.hold()
            self.desktop.key('ctrl+alt+g')
            self.check_lifted()

    def test_lifted_by_a_dialog(self):
        self.start()
        self.hold()
        self.desktop.key('alt+F4')
        self.check_lifted()
        self.desktop.key('Escape')
        time.sleep(0.3)
        self.desktop.key('a')
        wait_for('the guest has the keyboard', lambda: f'key {KEY_A} 0' in self.machine.said())

    def test_grab_ends_with_the_machine(self):
        self.start()
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine - Press Ctrl+Alt+G to release grab')
        self.machine.command('state 4')
        self.wait_title('Vitrine [Paused]')

    def tap(self, seconds=0.05):
        """Ctrl+Alt alone."""
        self.desktop.xdotool('keydown', 'ctrl', 'keydown', 'alt')
        time.sleep(seconds)
        self.desktop.xdotool('keyup', 'alt', 'keyup', 'ctrl')
        time.sleep(0.2)

    def test_tap(self):
        """Lets go of a grab; without one the desktop's keys work, until one goes back to the guest."""
        self.desktop.settings(show_status='true')
        self.addCleanup(self.desktop.settings)
        self.start()
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine - Press Ctrl+Alt+G to release grab')
        self.tap()
        self.wait_title('Vitrine')
        self.assertEqual(self.balance(self.machine.said()), {})

        def guest_has_keyboard():
            self.desktop.key('a')
            wait_for('key', lambda: f'key {KEY_A} 0' in self.machine.said())
        guest_has_keyboard()
        # What is held for long, or with a button or another key, is no tap.
        self.tap(1)
        guest_has_keyboard()
        self.desktop.xdotool('keydown', 'ctrl', 'keydown', 'alt', 'key', 'equal', 'keyup', 'alt', 'keyup', 'ctrl')
        self.wait_width(400)
        guest_has_keyboard()
        x, y = self.guest_place(400, 250)
        self.machine.command('absolute 1')
        self.desktop.move(x + 50, y + 50)
        self.desktop.xdotool('keydown', 'ctrl', 'keydown', 'alt', 'click', 1, 'keyup', 'alt', 'keyup', 'ctrl')
        guest_has_keyboard()
        self.tap()
        self.assertEqual(self.balance(self.machine.said()), {})
        self.desktop.key('F10')
        time.sleep(0.3)
        self.desktop.key('Down', 'd')
        said = []
        wait_for('power button', lambda: said.extend(self.machine.said()) or 'powerdown' in said)
        self.assertEqual([line for line in said if line.startswith('key')], [])
        self.desktop.key('ctrl+alt+1')
        guest_has_keyboard()

    def layout(self, *words):
        subprocess.run(['setxkbmap', *words], env=self.desktop.env, check=True, capture_output=True)
        time.sleep(0.3)

    def test_layouts(self):
        """The guest gets places on the keyboard; its own layout makes characters of them."""
        self.addCleanup(self.layout, 'us')
        self.start()
        eye = Eye(self.desktop.env['DISPLAY'])

        def press(*keys):
            for down in True, False:
                for key in keys if down else reversed(keys):
                    eye.key(key + X_OF, down)
                    time.sleep(0.03)
            time.sleep(0.2)
            return [line for line in self.machine.said() if line.startswith('key')]
        for layout in 'us', 'de', 'fr', 'ru':
            self.layout(layout)
            self.machine.said()
            self.assertEqual(press(KEY_Y), [f'key {KEY_Y} 1', f'key {KEY_Y} 0'], layout)
            self.assertEqual(press(KEY_RIGHTALT, KEY_Q), [f'key {KEY_RIGHTALT} 1', f'key {KEY_Q} 1', f'key {KEY_Q} 0',
                                                          f'key {KEY_RIGHTALT} 0'], layout)
            # The window's own chords go by letters, and by places where there are no Latin letters.
            press(KEY_LEFTCTRL, KEY_LEFTALT, KEY_G)
            self.wait_title('Vitrine - Press Ctrl+Alt+G to release grab')
            self.assertEqual(self.balance(press(KEY_LEFTCTRL, KEY_LEFTALT, KEY_G)), {}, layout)
            self.wait_title('Vitrine')

    def test_locks_follow(self):
        """A guest that shows its locks has those of the desktop when the window gets the keyboard."""
        self.start()
        with Program(self.desktop, FAKE, 'gtk,gl=off', 'other') as other:
            id_ = other.window('other')
            self.desktop.activate(id_)
            self.desktop.key('Caps_Lock')
            try:
                # Nothing is known of the guest's: nothing is done.
                self.machine.said()
                self.desktop.activate(self.id)
                self.assertEqual(self.machine.said(0.5), [])
                self.desktop.activate(id_)
                self.machine.command('leds 2')  # Num Lock, as this X server has not
                self.machine.command('leds 0')
                self.desktop.activate(self.id)
                said = []  # a host that is busy lets it come in two pieces
                wait_for('caps lock', lambda: said.extend(self.machine.said()) or
                         [f'key {KEY_CAPSLOCK} 1', f'key {KEY_CAPSLOCK} 0'] == said)
                self.machine.command('leds 4')
                self.desktop.activate(id_)
                self.desktop.activate(self.id)
                self.assertEqual([line for line in self.machine.said(0.5) if line.startswith('key')], [])
            finally:
                self.desktop.activate(id_)
                self.desktop.key('Caps_Lock')

    # --- grabs

    def test_grab_on_hover(self):
        self.start('gl=off,grab-on-hover=on')
        with Program(self.desktop, FAKE, 'gtk,gl=off', 'other') as other:
            id_ = other.window('other')
            self.desktop.activate(id_)

            def out_of_the_way():  # the window manager puts it over the other one first
                self.desktop.xdotool('windowmove', id_, 800, 500)
                return self.desktop.geometry(id_)[:2] >= (800, 500)
            wait_for('other window moved', out_of_the_way)
            x, y = self.guest_place(320, 200)
            self.machine.said()
            self.desktop.key('a')
            self.assertEqual(self.machine.said(), [])
            self.desktop.move(x + 100, y + 100)
            time.sleep(0.3)
            self.desktop.key('a')
            wait_for('key', lambda: f'key {KEY_A} 0' in self.machine.said())
            self.desktop.xdotool('keydown', 'a')
            self.desktop.move(1200, 50)
            time.sleep(0.3)
            self.assertEqual(self.balance(self.machine.said()), {})
            self.desktop.xdotool('keyup', 'a')
            self.desktop.key('a')
            self.assertEqual([line for line in self.machine.said() if line.startswith('key')], [])

    def test_held_while_focused(self):
        """The window manager's keys are the guest's as long as the screen has the focus and nobody lets go of them."""
        self.desktop.settings(grab_when_focused='true')
        self.addCleanup(self.desktop.settings)
        self.start()
        self.wait_title(GRABBED)
        self.machine.said()
        self.desktop.key('alt+F4')  # would close the window
        said = self.machine.said()
        self.assertIn(f'key {KEY_F4} 1', said)
        self.assertEqual(self.balance(said), {})
        self.desktop.key('ctrl+alt+g')
        self.wait_title('Vitrine')
        time.sleep(1.5)
        self.wait_title('Vitrine')  # for good
        with Program(self.desktop, FAKE, 'gtk,gl=off', 'other') as other:
            id_ = other.window('other')
            self.desktop.activate(id_)
            wait_for('the other one', lambda: self.desktop.title(id_) == GRABBED.replace('Vitrine', 'Vitrine (other)'))
            self.desktop.activate(self.id)
            self.wait_title(GRABBED)
            self.desktop.xdotool('keydown', 'a')
            self.desktop.activate(id_)
            self.wait_title('Vitrine')
            self.desktop.xdotool('keyup', 'a')
            self.desktop.key('b')
            self.assertEqual(self.balance(self.machine.said()), {})
            self.assertIn(f'key {KEY_B} 0', other.said())
        self.desktop.activate(self.id)
        self.wait_title(GRABBED)
        self.menu('View')
        self.wait_title('Vitrine')
        self.desktop.key('Escape', 'Escape')
        self.wait_title(GRABBED)

    def test_held_in_full_screen(self):
        self.start()
        self.menu('View', 'u')
        time.sleep(0.3)
        with open(f'{self.desktop.home}/glib-2.0/settings/keyfile') as file:
            self.assertIn('grab-in-full-screen=true', file.read())
        self.addCleanup(self.desktop.settings)
        self.wait_title('Vitrine')
        self.desktop.key('ctrl+alt+f')
        self.wait_title(GRABBED)
        self.machine.said()
        self.desktop.key('alt+F4')
        self.assertIn(f'key {KEY_F4} 1', self.machine.said())
        self.desktop.key('ctrl+alt+f')
        self.wait_title('Vitrine')

    def test_drag_out_of_the_window(self):
        self.start()
        self.machine.command('absolute 1')
        x, y = self.guest_place(320, 200)
        self.desktop.move(x + 100, y + 100)
        self.desktop.xdotool('mousedown', 1)
        self.desktop.move(1200, 700)
        self.desktop.xdotool('mouseup', 1)
        said = self.machine.said()
        self.assertEqual([line for line in said if line.startswith('button')], ['button 0 1', 'button 0 0'])
        self.assertIn(f'abs 0 {FULL}', said)

    def test_other_release_keys(self):
        """What the setting "grab-keys" says holds and is shown."""
        eye = Eye(self.desktop.env['DISPLAY'])

        def right_ctrl():  # "xdotool key" holds the left one, too
            eye.key(KEY_RIGHTCTRL + X_OF, True)
            eye.key(KEY_RIGHTCTRL + X_OF, False)
        for keys, press, shown in (('<Control><Alt>r', lambda: self.desktop.key('ctrl+alt+r'), 'Ctrl+Alt+R'),
                                   ('Control_R', right_ctrl, 'Right Ctrl'),
                                   ('<Shift>F12', lambda: self.desktop.key('shift+F12'), 'Shift+F12')):
            with self.subTest(keys):
                self.desktop.settings(grab_keys=f"'{keys}'")
                self.addCleanup(self.desktop.settings)
                self.start()
                self.machine.said()
                press()
                self.wait_title(f'Vitrine - Press {shown} to release grab')
                self.desktop.key('ctrl+alt+g')
                time.sleep(0.3)
                self.assertIn(f'key {KEY_G} 1', self.machine.said())
                press()
                self.wait_title('Vitrine')
                self.assertEqual(self.balance(self.machine.said()), {})
                self.machine.close()

    # --- wheels and fingers

    def test_smooth_scroll(self):
        self.start()
        self.machine.command('absolute 1')
        self.machine.said()

        def scroll(*steps):
            for dx, dy in steps:
                self.machine.send(f'scroll {dx} {dy}')
            time.sleep(0.1)
            return [line for line in self.machine.said() if line.startswith('button')]
        up, down, left, right = ([f'button {button} 1', f'button {button} 0'] for button in (3, 4, 7, 8))
        self.assertEqual(scroll(*8 * [(0, 0.25)]), 2 * down)
        self.assertEqual(scroll((0, 0.75), (0, -0.25), (0, -0.5)), [])  # turning back starts afresh
        self.assertEqual(scroll((0, -0.25)), up)
        self.assertEqual(scroll((3, 0), (-1, 0)), 3 * right + left)
        self.assertEqual(len(scroll((0, 1e9))), 2 * 32)

    def test_fingers(self):
        self.start()
        self.machine.command('fingers 1')
        self.machine.said()

        def touch(*words):
            self.machine.send('touch ' + ' '.join(map(str, words)))
            time.sleep(0.1)
            return [line for line in self.machine.said() if line.startswith(('touch', 'abs', 'button'))]
        self.assertEqual(touch('begin', 0, 160, 100), ['touch 0 down', f'touch 0 x {at(160, 320)}', f'touch 0 y {at(100, 200)}'])
        self.assertEqual(touch('begin', 1, 10, 20), ['touch 1 down', f'touch 1 x {at(10, 320)}', f'touch 1 y {at(20, 200)}'])
        self.assertEqual(touch('update', 0, 170, 100), [f'touch 0 x {at(170, 320)}', f'touch 0 y {at(100, 200)}'])
        self.assertEqual(touch('end', 0, 170, 100), ['touch 0 up'])
        self.assertEqual(touch('begin', 2, 319, 199)[0], 'touch 0 down')  # the place that is free
        # What is lifted elsewhere is lifted once.
        self.machine.send('state 4')
        self.assertEqual(sorted(line for line in self.machine.said() if line.startswith('touch')), ['touch 0 up', 'touch 1 up'])
        self.machine.command('state 9')
        self.assertEqual(touch('end', 1, 10, 20), [])
        self.assertEqual(touch('end', 2, 10, 20), [])
        # More than the device has.
        for finger in range(15):
            touch('begin', finger, 10 * finger, 50)
        for finger in range(15):
            touch('end', finger, 10 * finger, 50)

    def test_finger_as_pointer(self):
        self.start()
        self.machine.command('absolute 1')
        self.machine.said()
        self.machine.send('touch begin 1 10 10')  # a second finger does nothing
        self.machine.send('touch end 1 10 10')
        self.machine.send('touch begin 0 160 100')
        self.machine.send('touch update 0 319 199')
        self.machine.send('touch end 0 319 199')
        said = [line for line in self.machine.said() if line.startswith(('touch', 'abs', 'button'))]
        self.assertEqual(said, [f'abs 0 {at(160, 320)}', f'abs 1 {at(100, 200)}', 'button 0 1', f'abs 0 {FULL}', f'abs 1 {FULL}',
                                f'abs 0 {FULL}', f'abs 1 {FULL}', 'button 0 0'])


if __name__ == '__main__':
    unittest.main(warnings="ignore")
