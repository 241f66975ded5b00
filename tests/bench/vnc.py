#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes and processor time of a VNC server while a screen scrolls, shows something like a film, and has a window dragged
over it; beside the peer where that is installed.

vnc.py PROGRAM [SECONDS]"""
import base64
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../vnc'))
import rfb  # pylint: disable=wrong-import-position

WIDTH, HEIGHT, FRAMES_A_SECOND, MEMORY = 1024, 768, 15, 0xe0000000
ENCODINGS = {'raw': [0], 'hextile': [5], 'zlib': [6], 'zrle': [16], 'tight': [7], 'tight lossy': [7, -32 + 6]}


class Server:
    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, 'vnc')
        test = os.path.join(self.folder.name, 'qtest')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(test)
        listener.listen(1)
        listener.settimeout(20)
        self.process = subprocess.Popen([program, '-display', 'none', '-nodefaults', '-vga', 'std', '-S', '-accel', 'tcg', '-qtest',
                                         f'unix:{test}', '-qtest-log', 'none', '-vnc',
                                         f'unix:{self.path},lossy=on'], stderr=subprocess.DEVNULL)
        self.socket, _ = listener.accept()
        self.socket.settimeout(20)
        listener.close()
        self.lines = self.socket.makefile('r')
        slot = next(s for s in range(1, 32) if self.config(s, 0) == 0x11111234)
        for register, value in ((0x10, MEMORY), (4, 7)):
            self.say(f'outl 0xcf8 {0x80000000 | slot << 11 | register:#x}')
            self.say(f'outl 0xcfc {value:#x}')
        for index, value in ((4, 0), (1, WIDTH), (2, HEIGHT), (3, 32), (4, 0x41)):
            self.say(f'outw 0x1ce {index}')
            self.say(f'outw 0x1cf {value:#x}')
        self.say('inb 0x3da')
        self.say('outb 0x3c0 0x20')  # the screen is on

    def say(self, line):
        self.socket.sendall((line + '\n').encode())
        return self.lines.readline()

    def config(self, slot, register):
        self.say(f'outl 0xcf8 {0x80000000 | slot << 11 | register:#x}')
        return int(self.say('inl 0xcfc').split()[1], 16)

    def write(self, row, text):
        self.say(f'b64write {MEMORY + row * WIDTH * 4:#x} {len(base64.b64decode(text[-4:])) + len(text) // 4 * 3 - 3:#x} {text}')

    def seconds(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='utf-8') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def row_of(words):
    return struct.pack(f'<{len(words)}I', *words)


def pieces(row, rows):
    """As the protocol of tests takes them: not too much at once."""
    return [(row + i, base64.b64encode(b''.join(rows[i:i + 12])).decode()) for i in range(0, len(rows), 12)]


def text_line(r):
    """16 rows of something like letters."""
    letters = [[r.getrandbits(8) & r.getrandbits(8) for _ in range(12)] for _ in range(40)]
    line = [r.choice(letters) if r.random() < 0.8 else None for _ in range(r.randrange(20, WIDTH // 8))]
    rows = []
    for y in range(16):
        row = [0] * WIDTH
        for i, letter in enumerate(line):
            if letter and 2 <= y < 14:
                for x in range(8):
                    if letter[y - 2] >> x & 1:
                        row[i * 8 + x] = 0xaaaaaa
        rows.append(row_of(row))
    return rows


def scenes(seconds):
    """{name: [[(first row, base64 of whole rows)] per frame]}"""
    r = random.Random(3)
    n = FRAMES_A_SECOND * seconds
    rows = [row for _ in range(HEIGHT // 16 + n) for row in text_line(r)]
    scroll = [pieces(0, rows[16 * i:16 * i + HEIGHT]) for i in range(n)]
    film = []
    for i in range(n):
        part = []
        for y in range(360):
            base = [((x + 7 * i) * 3 + y) & 255 for x in range(320)]
            part.append(row_of([0x202020] * 64 + [v << 16 | (v * 3 + i & 255) << 8 | (y + i & 255) for v in base] +
                               [0x202020] * (WIDTH - 384)))
        film.append(pieces(100, part))
    window = [row_of([r.choice((0xffffff, 0xdddddd, 0x222222)) for _ in range(400)]) for _ in range(300)]
    desk = [row_of([0x336699 + (y // 4) for _ in range(WIDTH)]) for y in range(HEIGHT)]
    drag = []
    for i in range(n):
        x, y = 20 + 11 * i % 580, 30 + 7 * i % 400
        screen = list(desk)
        for k in range(300):
            screen[y + k] = screen[y + k][:4 * x] + window[k] + screen[y + k][4 * (x + 400):]
        drag.append(pieces(0, screen))
    return {'scroll': scroll, 'film': film, 'drag': drag}


class Reader(threading.Thread):
    """Takes updates as they come without looking at the pictures: a process of its own, not to be in the way."""

    def __init__(self, path, encodings):
        super().__init__()
        self.process = subprocess.Popen([sys.executable, __file__, '--read', path] + [str(e) for e in encodings],
                                        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n'

    def finish(self):
        out, _ = self.process.communicate('end\n', timeout=60)
        return tuple(int(w) for w in out.split())


def read(path, encodings):
    c = rfb.Client(path)
    c.set_encodings(*encodings, 1)
    c.put = lambda *args: None
    c.fill = lambda *args: None
    c.decode_file = lambda *args: b''
    c.request(False)
    c.update()
    print('ready', flush=True)
    c.received = updates = 0
    ended = []
    threading.Thread(target=lambda: ended.append(sys.stdin.readline()), daemon=True).start()
    c.socket.settimeout(0.5)
    c.request(True)
    while True:
        try:
            c.update()
        except TimeoutError:
            if ended:
                break
            continue
        updates += 1
        c.request(True)
    print(c.received, updates)


def play(server, frames):
    begin = time.monotonic()
    for i, frame in enumerate(frames):
        for row, text in frame:
            server.write(row, text)
        time.sleep(max(0, begin + (i + 1) / FRAMES_A_SECOND - time.monotonic()))


def measure(program, frames, encodings):
    server = Server(program)
    try:
        before = server.seconds()
        play(server, frames)
        idle = server.seconds() - before
        reader = Reader(server.path, encodings)
        before = server.seconds()
        play(server, frames)
        time.sleep(1.5)
        used = server.seconds() - before - idle
        received, updates = reader.finish()
    finally:
        server.close()
    return received, used, updates


def main():
    if sys.argv[1] == '--read':
        read(sys.argv[2], [int(a) for a in sys.argv[3:]])
        return
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    programs = [sys.argv[1]] + ([p] if (p := shutil.which('qemu-system-x86_64')) else [])
    product, n = 1.0, 0
    for scene, frames in scenes(seconds).items():
        for name, encodings in ENCODINGS.items():
            results = [measure(p, frames, encodings) for p in programs]
            words = [f'{b / 1024 / seconds:9.1f} KiB/s {cpu / seconds * 100:6.1f} % {u / seconds:5.1f}/s' for b, cpu, u in results]
            ratio = ''
            if len(results) > 1:
                factor = results[1][0] / results[0][0]
                product *= factor
                n += 1
                ratio = f'  {factor:.2f}x fewer bytes'
            print(f'{scene:8} {name:12} ' + ' | '.join(words) + ratio, flush=True)
    if n:
        print(f'geometric mean: {product ** (1 / n):.2f}x fewer bytes')


main()
