#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A viewer that looks at nothing: it reads updates as far as is needed to know where they end, and counts.

watch.py PLACE ENCODINGS [RATE [ASKS]]: to a Unix socket or to host:port, with encodings as numbers or names, reading at
most RATE bytes a second and asking for at most ASKS pictures a second (0: no limit). For each line on its standard input it
prints what it has had so far, as JSON.
"""
import json
import socket
import struct
import sys
import threading
import time

ENCODINGS = {  # names of combinations, as viewers ask for them
    'raw': [0], 'hextile': [5], 'zlib': [6, -254], 'zrle': [16, -254], 'tight': [7, -254], 'tight-jpeg': [7, -254, -24],
    'copy': [1],
}
RAW, COPY_RECT, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG = 0, 1, 5, 6, 7, 16, -260
DESKTOP_SIZE, LAST_RECT, EXTENDED_SIZE = -223, -224, -308
SOME = 1 << 20


class Closed(Exception):
    """The server has ended the connection."""


class Watcher:
    """One connection without a password, in the pixel format that every server has: 32 bits, full colours."""

    def __init__(self, place, encodings, rate=0):
        if isinstance(place, str) and not place.startswith('/') and ':' in place:
            host, _, port = place.rpartition(':')
            self.socket = socket.create_connection((host, int(port)))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            if rate:  # what lies in the kernel is not old then
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            self.socket.connect(place)
        self.room = memoryview(bytearray(SOME if not rate else 16384))
        self.at = self.end = 0
        self.rate = rate
        self.bytes = self.frames = self.rectangles = self.copies = self.pixels = 0
        self.areas = []  # of pictures in the last update
        self.encodings = encodings
        self.log_in()

    # --- bytes

    def fill(self):
        """More, after what is left of the last."""
        left = self.end - self.at
        self.room[:left] = bytes(self.room[self.at:self.end])
        n = self.socket.recv_into(self.room[left:])
        if not n:
            raise Closed
        self.at, self.end = 0, left + n
        self.bytes += n
        if self.rate:
            time.sleep(n / self.rate)

    def read(self, n):
        while self.end - self.at < n:
            self.fill()
        data = self.room[self.at:self.at + n]
        self.at += n
        return bytes(data)

    def skip(self, n):
        while n:
            have = min(n, self.end - self.at)
            self.at += have
            n -= have
            if n:
                self.fill()

    def take(self, form):
        return struct.unpack('>' + form, self.read(struct.calcsize('>' + form)))

    # --- the protocol

    def log_in(self):
        self.read(12)
        self.socket.sendall(b'RFB 003.008\n')
        kinds = self.read(self.read(1)[0])
        assert 1 in kinds, kinds
        self.socket.sendall(b'\1')
        assert self.take('I') == (0,)
        self.socket.sendall(b'\1')
        self.width, self.height = self.take('HH')
        self.skip(16)
        self.skip(self.take('I')[0])
        self.socket.sendall(struct.pack('>BxxxBBBBHHHBBBxxx', 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        codes = [*self.encodings, DESKTOP_SIZE]
        self.socket.sendall(struct.pack('>BxH', 2, len(codes)) + struct.pack(f'>{len(codes)}i', *codes))

    def request(self, incremental=True):
        self.socket.sendall(struct.pack('>BBHHHH', 3, incremental, 0, 0, self.width, self.height))

    def update(self):
        """Until an update with pictures has come, and been counted."""
        while True:
            kind = self.read(1)[0]
            if kind == 0:
                n = self.take('xH')[0]
                pictures, self.areas = 0, []
                while n:
                    n -= 1
                    code = self.rectangle()
                    pictures += code >= 0 or code == TIGHT_PNG
                    if code == LAST_RECT:
                        break
                self.frames += pictures > 0
                return
            if kind == 1:
                self.skip(6 * self.take('xHH')[1])
            elif kind == 3:
                self.skip(self.take('xxxI')[0])
            else:
                assert kind == 2, kind

    def rectangle(self):
        x, y, w, h, code = self.take('HHHHi')
        self.rectangles += 1
        if code == RAW:
            self.skip(4 * w * h)
        elif code == COPY_RECT:
            self.copies += 1
            self.skip(4)
        elif code in (ZLIB, ZRLE):
            self.skip(self.take('I')[0])
        elif code == HEXTILE:
            self.hextile(w, h)
        elif code in (TIGHT, TIGHT_PNG):
            self.tight(w, h)
        elif code == DESKTOP_SIZE:
            self.width, self.height = w, h
        else:
            assert code == LAST_RECT, (x, y, code)
        if code >= 0 or code == TIGHT_PNG:
            self.areas.append((x, y, w, h))
            self.pixels += w * h
        return code

    def hextile(self, w, h):
        full = 16 * 16 * 4
        for top in range(0, h, 16):
            rows = min(16, h - top)
            for left in range(0, w, 16):
                mask = self.read(1)[0]
                if mask & 1:
                    self.skip(full if rows == 16 and left + 16 <= w else 4 * rows * min(16, w - left))
                    continue
                self.skip((4 if mask & 2 else 0) + (4 if mask & 4 else 0))
                if mask & 8:
                    self.skip(self.read(1)[0] * (6 if mask & 16 else 2))

    def tight(self, w, h):
        control = self.read(1)[0] >> 4
        if control == 8:
            self.skip(3)
            return
        if control in (9, 10):
            self.skip(self.length())
            return
        n = 3 * w * h
        if control & 4 and self.read(1)[0] == 1:
            colours = self.read(1)[0] + 1
            self.skip(3 * colours)
            n = (w + 7) // 8 * h if colours == 2 else w * h
        self.skip(n if n < 12 else self.length())

    def length(self):
        n = self.read(1)[0]
        if n < 0x80:
            return n
        more = self.read(1)[0]
        if more < 0x80:
            return n & 0x7f | more << 7
        return n & 0x7f | (more & 0x7f) << 7 | self.read(1)[0] << 14

    def counts(self):
        return {'bytes': self.bytes, 'frames': self.frames, 'rectangles': self.rectangles, 'copies': self.copies,
                'pixels': self.pixels, 'time': time.monotonic()}


def codes_of(text):
    codes = []
    for word in text.split(','):
        codes += ENCODINGS[word] if word in ENCODINGS else [int(word)]
    return codes


def answer(watcher):
    for _ in sys.stdin:
        print(json.dumps(watcher.counts()), flush=True)


def main():
    rate, asks = (int(word) for word in (sys.argv[3:] + ['0', '0'])[:2])
    watcher = Watcher(sys.argv[1], codes_of(sys.argv[2]), rate)
    asked = time.monotonic()
    watcher.request(False)
    watcher.update()
    threading.Thread(target=answer, args=(watcher,), daemon=True).start()
    print(json.dumps(watcher.counts()), flush=True)
    try:
        while True:
            if asks:
                asked = max(asked + 1 / asks, time.monotonic())
                time.sleep(asked - time.monotonic() if asked > time.monotonic() else 0)
            watcher.request()
            watcher.update()
    except (Closed, ConnectionError):
        pass


if __name__ == '__main__':
    main()
