#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window answers within 50 ms, whatever the machine, the clipboard or the user does. A watchdog pings it all the time; where
the host was busy with something else a second and a third try are granted: what is slow in the program is slow each time.

Usage: test-responsive.py FAKE-MACHINE VITRINE [TEST...]"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import Program, wait_for
from eye import Pulse
from window_case import MENUS, WindowCase

FAKE, VITRINE = sys.argv.pop(1), sys.argv.pop(1)
LIMIT_MS = 50
# GTK's own dialogs (chooser, shortcuts, about) take their time; ours are measured from the second time on.
TRIES = 3


class Responsive(WindowCase):
    fake = FAKE

    def check(self, what, action, limit=LIMIT_MS):
        found, noise = [], []
        for _ in range(TRIES):
            with Pulse(self.desktop.env['DISPLAY'], self.id) as pulse:
                action()
                time.sleep(0.1)
            self.assertGreater(pulse.count, 3, f'{what}: no pings')
            found.append(round(pulse.slowest))
            noise.append(round(pulse.noise))
            if pulse.slowest <= limit:
                break
        print(f'{what}: {min(found)} ms; the host itself {min(noise)}', flush=True)
        if min(found) > limit and min(noise) > limit / 4:
            self.skipTest(f'the host is busy: {noise}')
        self.assertLessEqual(min(found), limit, f'{what}: {found}')

    # --- the window alone

    def test_watchdog(self):
        """It sees what it is there for."""
        self.start()
        with Pulse(self.desktop.env['DISPLAY'], self.id) as pulse:
            self.machine.process.send_signal(19)  # SIGSTOP
            time.sleep(0.2)
            self.machine.process.send_signal(18)  # SIGCONT
            time.sleep(0.3)
        self.assertGreater(pulse.slowest, 150)

    def test_random_events(self):
        self.start()
        self.machine.command('serial')
        self.machine.command('second')
        random.seed(int(os.environ.get('VITRINE_SEED', '815')))
        x, y, width, height = self.desktop.geometry(self.id)

        def storm():
            for _ in range(14):
                args = []
                for _ in range(250):
                    if random.random() < 0.7:
                        args += ['mousemove', x + random.randrange(width), y + random.randrange(30, height)]
                    else:
                        args += ['key', '--delay', '0', random.choice(['a', 'Return', 'space', 'Up', 'F5'])]
                self.desktop.xdotool(*args)
        self.check('10,500 random events', storm)

    def test_frames(self):
        """A big picture that changes all the time."""
        self.start(mode=None)
        self.machine.command('mode 1240 740')

        def draw():
            for i in range(120):
                self.machine.command(f'fill 0 0 1240 740 {i * 0x10203}')
        self.check('frames', draw)

    def test_flood_of_text(self):
        self.start()
        self.machine.command('serial')
        self.desktop.key('ctrl+alt+2')
        time.sleep(0.5)
        self.check('much text', lambda: (self.machine.command(r'say 0123456789\040abcdefghijklmnopqrstuvwxyz\r\n 200000', 60),
                                         time.sleep(0.5)))

    def put_clipboard(self, size):
        path = self.desktop.home + '/huge'
        with open(path, 'w') as file:
            file.write('lorem ipsum\n' * (size // 12))
        xclip = subprocess.Popen(['xclip', '-i', '-selection', 'clipboard', '-quiet', path], env=self.desktop.env)
        self.addCleanup(xclip.wait)
        self.addCleanup(xclip.kill)
        time.sleep(1)

    def test_huge_clipboard(self):
        """60 MB of text: pasted into a terminal, typed, and announced to a guest."""
        if not shutil.which('xclip'):
            self.skipTest('no xclip')
        self.start()
        self.machine.command('serial')
        self.put_clipboard(60_000_000)
        self.check('typing a huge clipboard', lambda: (self.menu('Machine', 't'), time.sleep(3)))
        self.desktop.key('ctrl+alt+2')
        time.sleep(0.5)
        self.check('pasting a huge clipboard', lambda: (self.desktop.key('ctrl+shift+v'), time.sleep(3)))

    def open_menus(self):
        x, y, _, _ = self.desktop.geometry(self.id)
        for name in MENUS:
            self.desktop.click(x + MENUS[name], y + 12)
            time.sleep(0.25)
            for key in 4 * ('Down', 'Down', 'Right', 'Down', 'Left'):
                self.desktop.key(key)
            self.desktop.key('Escape', 'Escape', 'Escape')
            time.sleep(0.1)

    def test_menus(self):
        self.start()
        self.desktop.xdotool('windowsize', '--sync', self.id, 700, 500)
        self.open_menus()  # GTK makes them once
        self.check('all menus', self.open_menus)

    # --- a machine that is there

    def start_machine(self, *options):
        path = self.desktop.home + '/qmp'
        self.machine = Program(self.desktop, VITRINE, '-accel', 'tcg', '-display', 'gtk,gl=off', '-qmp',
                               f'unix:{path},server=on,wait=off', *options)
        self.addCleanup(self.machine.close)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        self.desktop.move(1270, 790)
        self.id = self.machine.window()
        self.desktop.activate(self.id)
        time.sleep(1)
        return path

    def qmp(self, path, command, **arguments):
        """Says it, does not wait for an answer; the connection."""
        import socket
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(path)
        self.addCleanup(monitor.close)
        for message in ({'execute': 'qmp_capabilities'}, {'execute': command, 'arguments': arguments}):
            monitor.sendall(json.dumps(message).encode() + b'\n')
        return monitor

    def test_slow_disk(self):
        """Each read takes two seconds: at the first one the engine is told to stop, which waits for it; and all the while the
        window is used."""
        if not shutil.which('nbdkit'):
            self.skipTest('no nbdkit')
        place = self.desktop.home + '/nbd'
        server = subprocess.Popen(['nbdkit', '-f', '-U', place, '--filter=delay', 'memory', '8M', 'delay-read=2', 'delay-write=2'],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_for('nbdkit', lambda: os.path.exists(place))
        path = self.start_machine('-drive', f'file=nbd+unix:///?socket={place},if=virtio,format=raw', '-boot', 'c')
        self.open_menus()

        def use():
            self.qmp(path, 'stop')
            self.open_menus()
            self.qmp(path, 'cont')
            self.desktop.key('a', 'ctrl+alt+plus', 'ctrl+alt+0')
            time.sleep(1)
        self.check('a slow disk', use)

    def dialog(self, title, *keys, menu):
        """Opens what KEYS of MENU lead to, and closes it."""
        self.desktop.activate(self.id)
        self.menu(menu, *keys)
        window = wait_for(title, lambda: self.desktop.find('^' + title))[0]
        time.sleep(0.3)
        self.desktop.activate(window)
        self.desktop.key('Escape')
        wait_for('closed', lambda: not self.desktop.find('^' + title))

    def test_dialogs(self):
        self.desktop.env['G_DEBUG'] = ''
        self.addCleanup(self.desktop.env.update, G_DEBUG='fatal-criticals')
        self.start_machine('-S', '-nic', 'user')
        for title, menu, key in (('Log', 'Help', 'l'), ('Diagnostics', 'Help', 'd'), ('Snapshots', 'Snapshots', 'm')):
            with self.subTest(title):
                self.dialog(title, key, menu=menu)
                self.check(title, lambda t=title, k=key, m=menu: self.dialog(t, k, menu=m))


if __name__ == '__main__':
    unittest.main(warnings="ignore")
