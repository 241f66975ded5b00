# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine whose guest is the test: what the screen shows is written by hand, what viewers type is read by hand."""
import base64
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../control'))
# pylint: disable=wrong-import-position
import rfb
from program import Machine

VGA_MEMORY = 0xe0000000
VGA_REGISTERS = 0xf0000000
EVERYTHING = [rfb.COPY_RECT, rfb.DESKTOP_SIZE, rfb.EXTENDED_SIZE, rfb.CURSOR, rfb.LAST_RECT]


class Screen(Machine):
    """A machine without processors whose VGA card we program ourselves."""

    def __init__(self, *args, size=(640, 480), where='unix'):
        self.place = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.place.name, 'vnc')
        args = [a.replace('@', self.path) for a in args]
        if where == 'unix' and not any('vnc' in a for a in args[:1]):
            args = ['-vnc', f'unix:{self.path}', *args]
        super().__init__('-vga', 'std', *args, qtest=True)
        self.negotiate()
        self.random = random.Random(1)
        slot = next(s for s in range(1, 32) if self.config_read(s, 0) == 0x11111234)
        self.config_write(slot, 0x10, VGA_MEMORY)
        self.config_write(slot, 0x18, VGA_REGISTERS)
        self.config_write(slot, 4, 7)
        self.set_mode(*size)

    def config_read(self, slot, register):
        self.test(f'outl 0xcf8 {0x80000000 | slot << 11 | register:#x}')
        return int(self.test('inl 0xcfc').split()[1], 16)

    def config_write(self, slot, register, value):
        self.test(f'outl 0xcf8 {0x80000000 | slot << 11 | register:#x}')
        self.test(f'outl 0xcfc {value:#x}')

    def set_mode(self, width, height):
        self.width, self.height = width, height
        for index, value in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
            self.test(f'outw 0x1ce {index}')
            self.test(f'outw 0x1cf {value:#x}')

    def write(self, at, data):
        for i in range(0, len(data), 1 << 16):
            part = data[i:i + (1 << 16)]
            assert self.test(f'b64write {VGA_MEMORY + at + i:#x} {len(part):#x} {base64.b64encode(part).decode()}') == 'OK'

    def draw(self, rows):
        """Rows of words, from the top."""
        self.write(0, b''.join(struct.pack(f'<{len(row)}I', *row) for row in rows))

    def dump(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'ppm')
            assert 'return' in self.command('screendump', filename=path)
            with open(path, 'rb') as f:
                data = f.read()
        return data.split(b'\n', 3)[3]

    def wish(self):
        """The size that the monitor, which viewers speak for, prefers: the first timing of its EDID."""
        low_x, high_x, low_y, high_y = (int(self.test(f'readb {VGA_REGISTERS + at:#x}').split()[1], 16)
                                        for at in (56, 58, 59, 61))
        return low_x | (high_x & 0xf0) << 4, low_y | (high_y & 0xf0) << 4

    # hands
    def plug_in(self):
        """Tells the keyboard and the mouse to speak."""
        self.command('cont')
        for port, value in ((0x64, 0x60), (0x60, 0x45), (0x64, 0xd4), (0x60, 0xf4)):
            self.test(f'outb {port:#x} {value:#x}')
        self.typed, self.moved = [], []
        self.listen()

    def listen(self):
        """Takes what the controller has: scan codes of set 1, and packets of the mouse."""
        while True:
            status = int(self.test('inb 0x64').split()[1], 16)
            if not status & 1:
                return
            (self.moved if status & 0x20 else self.typed).append(int(self.test('inb 0x60').split()[1], 16))

    def scan_codes(self, n, seconds=30):
        """The next N bytes of the keyboard."""
        end = time.monotonic() + seconds
        while len(self.typed) < n:
            assert time.monotonic() < end, [hex(x) for x in self.typed]
            self.listen()
        out, self.typed = self.typed[:n], self.typed[n:]
        return out

    def wait_hands(self, what, condition, seconds=20):
        """Until CONDITION holds for what was typed and how the mouse went."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (what, [hex(x) for x in self.typed], [hex(x) for x in self.moved])
            time.sleep(0.02)
            self.listen()

    def quit(self):
        super().quit()
        self.place.cleanup()

    # pictures
    def noise(self, colours=None):
        r = self.random
        if colours:
            palette = [r.getrandbits(24) for _ in range(colours)]
            return [[r.choice(palette) for _ in range(self.width)] for _ in range(self.height)]
        return [[r.getrandbits(24) for _ in range(self.width)] for _ in range(self.height)]

    def desk(self):
        """Windows with text on a background."""
        r = self.random
        rows = [[0x336699] * self.width for _ in range(self.height)]
        for _ in range(6):
            x, y = r.randrange(self.width - 60), r.randrange(self.height - 60)
            w, h = r.randrange(50, self.width - x), r.randrange(50, self.height - y)
            colour, ink = r.getrandbits(24), r.getrandbits(24)
            for row in range(y, y + h):
                rows[row][x:x + w] = [colour] * w
            for row in range(y + 4, y + h - 4):
                if row % 16 < 10:
                    for column in range(x + 4, x + w - 4):
                        if r.random() < 0.3:
                            rows[row][column] = ink
        return rows

    def smooth(self):
        return [[(x * 255 // self.width) << 16 | (y * 255 // self.height) << 8 | (x + y) * 127 // (self.width + self.height)
                 for x in range(self.width)] for y in range(self.height)]


def until(client, picture, seconds=20):
    """Updates until the client's picture is this one."""
    end = time.monotonic() + seconds
    while client.picture() != picture:
        assert time.monotonic() < end, 'the picture never comes'
        client.request(True)
        client.socket.settimeout(max(0.1, end - time.monotonic()))
        try:
            client.update()
        except TimeoutError:
            break
    if client.picture() != picture:
        bad = next(i for i, (a, b) in enumerate(zip(client.picture(), picture)) if a != b)
        raise AssertionError(f'pixel {bad // 3 % client.width},{bad // 3 // client.width} is wrong')


def check_pictures(m, client, pictures):
    for make in pictures:
        m.draw(make())
        until(client, client.format.expected(m.dump()))


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def make_certificates(folder):
    def tool(*args):
        subprocess.run(['certtool', *args], check=True, capture_output=True, timeout=60)
    def write(name, text):
        with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
            f.write(text)
    p = lambda name: os.path.join(folder, name)
    write('ca', 'cn = Authority\nca\ncert_signing_key\nexpiration_days = 2\n')
    write('server', 'cn = localhost\ndns_name = localhost\ntls_www_server\nsigning_key\nencryption_key\nexpiration_days = 2\n')
    write('client', 'cn = visitor\ntls_www_client\nsigning_key\nencryption_key\nexpiration_days = 2\n')
    for name in ('ca', 'server', 'client'):
        tool('--generate-privkey', '--key-type', 'ecdsa', '--curve', 'secp256r1', '--outfile', p(name + '-key.pem'))
    tool('--generate-self-signed', '--load-privkey', p('ca-key.pem'), '--template', p('ca'), '--outfile', p('ca-cert.pem'))
    for name in ('server', 'client'):
        tool('--generate-certificate', '--load-ca-certificate', p('ca-cert.pem'), '--load-ca-privkey', p('ca-key.pem'),
             '--load-privkey', p(name + '-key.pem'), '--template', p(name), '--outfile', p(name + '-cert.pem'))
