#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window's clipboard between other programs (xclip) and an agent that is none.

Usage: test-clipboard.py FAKE-MACHINE [TEST...]"""
import os
import shutil
import struct
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from agent_double import FILE_DATA, FILE_START, FILE_STATUS, MONITORS, PNG, RELEASE, TEXT, AgentDouble
from desktop import SKIP, SYSTEM_PYTHON, Desktop, Program, wait_for

FAKE = sys.argv.pop(1)
if not shutil.which('xclip'):
    print('skipped: no xclip')
    sys.exit(SKIP)
# 1 x 1, red.
PICTURE = bytes.fromhex('89504e470d0a1a0a0000000d494844520000000100000001080200000090 7753de'
                        '0000000c49444154 78da63f8cfc0000003010100 f70341430000000049454e44ae426082'.replace(' ', ''))


class Clipboard(unittest.TestCase):
    def setUp(self):
        self.desktop = Desktop()
        self.addCleanup(self.desktop.close)

    def start(self, options='gl=off', **settings):
        self.desktop.settings(**settings)
        self.machine = Program(self.desktop, FAKE, 'gtk,' + options)
        self.addCleanup(self.machine.close)
        self.id = self.machine.window()
        self.focus()
        self.machine.command('mode 320 200')
        self.agent = AgentDouble()
        self.addCleanup(self.agent.close)
        self.machine.command('agent ' + self.agent.path)
        self.agent.accept()

    def focus(self):
        self.desktop.activate(self.id)

    def other_window(self):
        """Takes the focus away."""
        process = subprocess.Popen(['xmessage', 'other'], env=self.desktop.env, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        window = wait_for('other window', lambda: self.desktop.find('xmessage'))[0]
        self.desktop.activate(window)

    def copy(self, content, kind='UTF8_STRING', selection='clipboard'):
        subprocess.run(['xclip', '-selection', selection, '-t', kind, '-i'], input=content, env=self.desktop.env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10)

    def paste(self, kind='UTF8_STRING', selection='clipboard'):
        """Starts to; what() of it waits."""
        process = subprocess.Popen(['xclip', '-selection', selection, '-t', kind, '-o'], env=self.desktop.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        return process

    def targets(self):
        return self.paste('TARGETS').communicate(timeout=10)[0].decode().split()

    def wait_targets(self, target):
        wait_for(target, lambda: target in self.targets())

    def middle(self):
        x, y, width, height = self.desktop.geometry(self.id)
        return self.desktop.picture().pixel(x + width // 2, y + height - 100)

    def test_text_to_guest(self):
        self.start()
        self.copy('Grüße\n'.encode())
        self.assertEqual(self.agent.expect_grab(), (0, 0, {TEXT}))
        self.assertEqual(self.agent.fetch(TEXT), (TEXT, 'Grüße\n'.encode()))
        self.copy(b'x' * 1000000)
        self.agent.expect(RELEASE)
        self.assertEqual(self.agent.expect_grab(), (0, 1, {TEXT}))
        self.assertEqual(self.agent.fetch(TEXT), (TEXT, b'x' * 1000000))

    def test_picture_to_guest(self):
        self.start()
        self.copy(PICTURE, 'image/png')
        self.assertEqual(self.agent.expect_grab(), (0, 0, {PNG}))
        self.assertEqual(self.agent.fetch(PNG), (PNG, PICTURE))

    def test_text_to_host(self):
        self.start()
        self.agent.grab(0, TEXT)
        self.wait_targets('UTF8_STRING')
        self.assertNotIn('image/png', self.targets())
        self.agent.quiet(0.2)  # nobody has asked for the content
        pasting = self.paste()
        self.agent.serve('Grüße\n'.encode())
        self.assertEqual(pasting.communicate(timeout=10)[0], 'Grüße\n'.encode())
        self.assertEqual(self.paste('STRING').communicate(timeout=10)[0], 'Grüße\n'.encode('latin-1'))
        # Larger than what the X server takes in one piece.
        self.agent.grab(1, TEXT)
        large = b'0123456789abcde\n' * 200000
        wait_for('the new offer', lambda: 'UTF8_STRING' in self.targets())
        time.sleep(0.2)
        pasting = self.paste()
        self.agent.serve(large)
        self.assertEqual(pasting.communicate(timeout=20)[0], large)

    def test_picture_to_host(self):
        self.start()
        self.agent.grab(0, TEXT, PNG)
        self.wait_targets('image/png')
        pasting = self.paste('image/png')
        self.agent.serve(PICTURE, PNG)
        self.assertEqual(pasting.communicate(timeout=10)[0], PICTURE)

    def test_window_lives_while_guest_is_slow(self):
        self.start()
        self.agent.grab(0, PNG)
        self.wait_targets('image/png')
        began = time.monotonic()
        pasting = self.paste('image/png')
        for _ in range(5):  # while somebody waits for the agent
            for color in (0x00ff00, 0x0000ff):
                self.machine.command(f'fill 0 0 320 200 {color}')
                wait_for(f'{color:x}', lambda: self.middle() == color, 2)
        self.assertEqual(pasting.communicate(timeout=10)[0], b'')  # it gives up
        self.assertLess(time.monotonic() - began, 7)

    def test_only_while_active(self):
        self.start()
        self.copy(b'first')
        self.agent.expect_grab()
        self.other_window()
        self.copy(b'secret')
        self.agent.expect(RELEASE)
        self.agent.quiet()
        self.assertEqual(self.agent.fetch(TEXT), (0, b''))
        self.focus()
        self.agent.expect_grab()
        self.assertEqual(self.agent.fetch(TEXT), (TEXT, b'secret'))
        self.other_window()
        self.agent.grab(5, TEXT)
        time.sleep(0.5)
        self.assertEqual(self.paste().communicate(timeout=10)[0], b'secret')
        self.focus()
        wait_for('the guest to have it', lambda: 'TIMESTAMP' in self.targets() and 'MULTIPLE' in self.targets())
        pasting = self.paste()
        self.agent.serve(b'of the guest')
        self.assertEqual(pasting.communicate(timeout=10)[0], b'of the guest')

    def test_directions(self):
        self.start(clipboard="'to-host'")
        self.copy(b'secret')
        self.agent.quiet()
        self.assertEqual(self.agent.fetch(TEXT), (0, b''))
        self.agent.grab(0, TEXT)
        self.wait_targets('MULTIPLE')
        pasting = self.paste()
        self.agent.serve(b'of the guest')
        self.assertEqual(pasting.communicate(timeout=10)[0], b'of the guest')

    def test_off(self):
        self.start(clipboard="'off'")
        self.copy(b'secret')
        self.agent.grab(0, TEXT)
        self.agent.quiet()
        self.assertEqual(self.paste().communicate(timeout=10)[0], b'secret')

    def test_primary(self):
        self.start(clipboard_primary='true')
        self.copy(b'selected', selection='primary')
        self.assertEqual(self.agent.expect_grab(), (1, 0, {TEXT}))
        self.assertEqual(self.agent.fetch(TEXT, selection=1), (TEXT, b'selected'))

    def test_agent_goes(self):
        self.start()
        self.agent.grab(0, TEXT)
        self.wait_targets('UTF8_STRING')
        pasting = self.paste()
        self.agent.next()
        self.machine.command('no-agent')
        self.assertEqual(pasting.communicate(timeout=4.5)[0], b'')
        wait_for('an empty clipboard', lambda: not self.targets())

    def test_size(self):
        """The guest's screen follows the window."""
        self.start('gl=off,zoom-to-fit=on')
        self.desktop.xdotool('windowsize', '--sync', self.id, 700, 500)
        count, flags, height, width, depth, x, y = struct.unpack('<IIIIIii', self.agent.expect(MONITORS))
        self.assertEqual((count, width, depth, x, y), (1, 700, 32, 0, 0))
        self.assertTrue(400 < height < 500, height)
        self.agent.quiet()

    def test_files(self):
        self.start()
        with open(os.path.join(self.desktop.home, 'a_file'), 'wb') as file:
            file.write(b'content')
        time.sleep(0.3)  # until what the agent said of itself has arrived
        self.machine.send(f'files {file.name}')
        start = self.agent.expect(FILE_START)
        self.assertIn(b'name=a_file\nsize=7\n', start)
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 0))
        self.assertEqual(self.agent.expect(FILE_DATA), start[:4] + struct.pack('<Q', 7) + b'content')
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 3))
        wait_for('the end', lambda: 'files fine' in self.machine.said())

    def test_files_dropped(self):
        """What is dropped on the field for it goes to the agent."""
        if subprocess.run([SYSTEM_PYTHON, '-c', 'import gi; gi.require_version("Gtk", "3.0"); from gi.repository import Gtk'],
                          env=self.desktop.env, capture_output=True).returncode:
            self.skipTest('no Gtk for Python')
        self.start()
        path = os.path.join(self.desktop.home, 'c_file')
        with open(path, 'wb') as file:
            file.write(b'dropped')
        self.desktop.drag(self.id, [path], (0.25, 0.75))
        start = self.agent.expect(FILE_START)
        self.assertIn(b'name=c_file\nsize=7\n', start)
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 0))
        self.assertEqual(self.agent.expect(FILE_DATA), start[:4] + struct.pack('<Q', 7) + b'dropped')
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 3))

    def test_files_from_the_menu(self):
        self.start()
        with open(os.path.join(self.desktop.home, 'b_file'), 'wb') as file:
            file.write(b'other')
        x, y, _, _ = self.desktop.geometry(self.id)
        self.desktop.click(x + 150, y + 12)
        time.sleep(0.4)
        self.desktop.key('Down', 'c')
        dialog = wait_for('dialog', lambda: self.desktop.find('Copy Files to the Guest'))[0]
        self.desktop.activate(dialog)
        time.sleep(0.4)
        self.desktop.key('ctrl+l', 'ctrl+a')
        self.desktop.type(file.name)
        time.sleep(0.5)
        self.desktop.key('Return')
        start = self.agent.expect(FILE_START)
        self.assertIn(b'name=b_file\nsize=5\n', start)
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 0))
        self.assertEqual(self.agent.expect(FILE_DATA), start[:4] + struct.pack('<Q', 5) + b'other')
        self.agent.say(FILE_STATUS, start[:4] + struct.pack('<I', 3))
        time.sleep(0.5)
        self.assertIsNone(self.machine.process.poll())


if __name__ == '__main__':
    unittest.main()
