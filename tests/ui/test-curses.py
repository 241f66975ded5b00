#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine in a terminal ("-display curses"), which is tmux's: what it shows, keys, consoles, sizes, the end.

Usage: test-curses.py VITRINE"""
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import unittest

VITRINE = sys.argv.pop(1)
TIMEOUT = 60


def wait_for(what, condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not come')
        time.sleep(0.05)


class Curses(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.socket = os.path.join(self.folder.name, 'tmux')

    def tmux(self, *args):
        return subprocess.run(['tmux', '-S', self.socket, '-f', '/dev/null', *args], capture_output=True, text=True,
                              check=True, timeout=TIMEOUT, env=dict(os.environ, LC_ALL='C.UTF-8', TERM='screen-256color')).stdout

    def start(self, *options, size=(90, 30), term='screen-256color', locale='C.UTF-8'):
        command = ['env', f'TERM={term}', f'LC_ALL={locale}', VITRINE, '-accel', 'tcg', '-m', '64', '-net', 'none', '-display',
                   *(options or ['curses'])]
        text = ' '.join(shlex.quote(word) for word in command) + '; echo "status $?"; exec sleep 1000'
        self.tmux('new-session', '-d', '-x', str(size[0]), '-y', str(size[1]), text)
        self.addCleanup(self.tmux, 'kill-server')

    def screen(self):
        return self.tmux('capture-pane', '-p')

    def wait_text(self, text):
        try:
            wait_for(text, lambda: text in self.screen())
        except AssertionError:
            raise AssertionError(f'{text!r} is not in\n{self.screen()}') from None

    def keys(self, *keys):
        self.tmux('send-keys', *keys)

    def quit(self):
        self.keys('M-2')
        self.wait_text('(qemu)')
        self.keys('quit', 'Enter')
        self.wait_text('status 0')

    def test_firmware(self):
        self.start()
        self.wait_text('SeaBIOS (version')
        self.wait_text('No bootable device')
        self.quit()

    def test_keys_reach_the_guest(self):
        self.start('curses', '-boot', 'menu=on,splash-time=60000', '-drive', 'if=ide,file.driver=null-co,format=raw')
        self.wait_text('Press ESC for boot menu')
        self.keys('Escape')
        self.wait_text('Select boot device')
        self.quit()

    def test_monitor(self):
        self.start()
        self.keys('M-2')
        self.wait_text('(qemu)')
        self.keys('info statuz', 'BSpace', 's', 'Enter')
        self.wait_text('VM status: running')
        self.keys('Up', 'Enter')
        wait_for('the same again', lambda: self.screen().count('VM status: running') == 2)
        self.keys('stop', 'Enter')
        self.keys('info status', 'Enter')
        self.wait_text('VM status: paused')
        self.keys('Escape')
        self.keys('1')
        self.wait_text('SeaBIOS')
        self.quit()

    def test_scrolls_back(self):
        self.start()
        self.keys('M-2')
        self.wait_text('(qemu)')
        self.keys('help', 'Enter')
        wait_for('the end of the help', lambda: 'xp ' in self.screen() and self.screen().rstrip().endswith('(qemu)'))
        last = self.screen()
        self.keys('C-PPage')
        wait_for('older lines', lambda: self.screen() != last)
        self.keys('C-NPage')
        wait_for('the last lines', lambda: self.screen() == last)
        self.quit()

    def test_graphic_mode(self):
        self.start()
        self.wait_text('No bootable device')
        self.keys('M-2')
        self.wait_text('(qemu)')
        for index, value in ((4, 0), (1, 800), (2, 600), (3, 32), (4, 0x41)):
            self.keys(f'o/h 0x1ce {index}', 'Enter')
            self.keys(f'o/h 0x1cf {value}', 'Enter')
        self.keys('info status', 'Enter')
        self.wait_text('VM status')
        self.keys('M-1')
        self.wait_text('800 x 600 Graphic mode')
        self.quit()

    def write_cells(self, path, text):
        with socket.socket(socket.AF_UNIX) as s:
            wait_for('the socket', lambda: os.path.exists(path))
            s.connect(path)
            s.sendall(f'write 0xb8000 {len(text) * 2} 0x{b"".join(bytes((c, 7)) for c in text).hex()}\n'.encode())
            self.assertEqual(s.recv(100), b'OK\n')

    def fonts(self, charset, locale, want):
        path = os.path.join(self.folder.name, 'qtest')
        self.start(charset, '-qtest', f'unix:{path},server=on,wait=off', '-qtest-log', 'none', locale=locale)
        self.wait_text('No bootable device')
        self.write_cells(path, b'<\xc9\xcd\xbb\xdb\x03\xe4>')
        self.wait_text(want)
        self.quit()

    def test_code_page(self):
        self.fonts('curses', 'C.UTF-8', '<\u2554\u2550\u2557\u2588\u2665\u03a3>')

    def test_charset(self):
        self.fonts('curses,charset=ISO-8859-1', 'C.UTF-8', '<\xc9\xcd\xbb\xdb\u2665\xe4>')

    def test_plain_locale(self):
        self.fonts('curses', 'C', '<+-+#??>')

    def test_sizes(self):
        self.start(size=(120, 40))
        self.wait_text('SeaBIOS')
        self.assertNotIn('SeaBIOS', '\n'.join(line[:10] for line in self.screen().split('\n')))  # in the middle
        self.tmux('resize-window', '-x', '60', '-y', '12')
        wait_for('the left edge', lambda: self.screen().startswith('SeaBIOS') or '\nSeaBIOS' in self.screen()
                 or 'No bootable' in self.screen())
        self.tmux('resize-window', '-x', '3', '-y', '2')
        self.tmux('resize-window', '-x', '100', '-y', '30')
        self.wait_text('SeaBIOS')
        self.quit()

    def test_colors(self):
        path = os.path.join(self.folder.name, 'qtest')
        self.start('curses', '-qtest', f'unix:{path},server=on,wait=off', '-qtest-log', 'none')
        self.wait_text('No bootable device')
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b'write 0xb8000 4 0x5214421f\n')  # R: red on blue; B: white on blue
            self.assertEqual(s.recv(100), b'OK\n')
        self.wait_text('RB')
        text = self.tmux('capture-pane', '-p', '-e')
        self.assertRegex(text, r'\033\[31[^R]*44m?R|\033\[31m\033\[44mR|\033\[31;44mR')

    def refused(self, want, *options, tty=True, term='xterm'):
        command = [VITRINE, '-display', *options]
        if tty:
            command = ['script', '-qec', ' '.join(command), '/dev/null']
        p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
                           env=dict(os.environ, TERM=term))
        self.assertEqual(p.returncode, 1)
        self.assertIn(want, p.stdout + p.stderr)

    def test_refusals(self):
        self.refused('needs a terminal', 'curses', tty=False)
        self.refused("character set 'nope' is not known", 'curses,charset=nope')
        self.refused("terminal type 'nonsense' is not known", 'curses', term='nonsense')


if __name__ == '__main__':
    unittest.main()
