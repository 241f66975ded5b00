# SPDX-License-Identifier: GPL-3.0-or-later
"""A small RFB client (RFC 6143 and the community's protocol document) whose only aim is to be exact."""
import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import zlib

RAW, COPY_RECT, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG = 0, 1, 5, 6, 7, 16, -260
DESKTOP_SIZE, LAST_RECT, CURSOR, EXTENDED_SIZE, ALPHA_CURSOR = -223, -224, -239, -308, -314
POINTER_MODE, KEY_CODES, LEDS, POWER, MORE_BUTTONS, CLIPBOARD = -257, -258, -261, -309, -316, 0xc0a1e5ce - (1 << 32)
SOUND = -259


def des_answer(password, challenge):
    """What a client with that password answers."""
    key = bytes(int(f'{b:08b}'[::-1], 2) for b in password.encode()[:8].ljust(8, b'\0'))
    return des_ecb(key, challenge)


def quality(level):
    return -32 + level


def compression(level):
    return -256 + level


def shared_key(name, key):
    """TLS by a key that both have (PSK), for `tls`: OpenSSL's program in between."""
    def wrap(plain):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, 'tls')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(20)
            ours, theirs = socket.socketpair()
            ours.settimeout(20)
            with theirs:
                subprocess.Popen(['openssl', 's_client', '-quiet', '-unix', path, '-psk_identity', name, '-psk', key],
                                 stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
            far, _ = listener.accept()
        shutil.rmtree(folder)
        for source, target in (far, plain), (plain, far):
            threading.Thread(target=pump, args=(source, target), daemon=True).start()
        return ours
    return wrap


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in source, target:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Closed(Exception):
    """The server has ended the connection."""


class Refused(Exception):
    """It does not let us in."""


class Format:
    """A pixel format, and how to turn its pixels into RGB."""

    def __init__(self, bits=32, depth=24, big=False, maxima=(255, 255, 255), shifts=(16, 8, 0), mapped=False):
        self.bits, self.depth, self.big, self.maxima, self.shifts, self.mapped = bits, depth, big, maxima, shifts, mapped
        self.size = bits // 8
        self.map = None
        used = sum(m << s for m, s in zip(maxima, shifts))
        low, high = used >> 24 == 0, used & 0xff == 0
        self.compact = bits == 32 and depth <= 24 and not mapped and (low or high)
        self.compact_low = low
        self.tight = bits == 32 and depth == 24 and maxima == (255, 255, 255)

    def wire(self):
        return struct.pack('>BBBBHHHBBB3x', self.bits, self.depth, self.big, not self.mapped, *self.maxima, *self.shifts)

    def rgb_of(self, value):
        if self.mapped:
            return bytes(v >> 8 for v in self.map[value])
        return bytes(((value >> s & m) * 255 + m // 2) // m for m, s in zip(self.maxima, self.shifts))

    def to_rgb(self, data):
        """Pixels to bytes R, G, B."""
        n = len(data) // self.size
        if self.bits == 32 and not self.big and self.maxima == (255, 255, 255) and self.shifts == (16, 8, 0):
            out = bytearray(3 * n)
            out[0::3], out[1::3], out[2::3] = data[2::4], data[1::4], data[0::4]
            return bytes(out)
        code = ('>' if self.big else '<') + f'{n}' + {8: 'B', 16: 'H', 32: 'I'}[self.bits]
        cache = {}
        out = bytearray()
        for value in struct.unpack(code, data):
            if value not in cache:
                cache[value] = self.rgb_of(value)
            out += cache[value]
        return bytes(out)

    def expected(self, rgb):
        """What of true colours remains in this format: the pixels a client sees."""
        if self.maxima == (255, 255, 255) and not self.mapped:
            return rgb
        tables = []
        for m in self.maxima:
            tables.append(bytes(((v * m + 127) // 255 * 255 + m // 2) // m for v in range(256)))
        out = bytearray(rgb)
        for c in range(3):
            out[c::3] = rgb[c::3].translate(tables[c])
        if self.mapped:
            for c in range(3):
                m = self.maxima[c]
                table = bytes(((v * m + 127) // 255) * 65535 // m >> 8 for v in range(256))
                out[c::3] = rgb[c::3].translate(table)
        return bytes(out)

    def compact_rgb(self, data):
        """CPIXELs."""
        if not self.compact:
            return self.to_rgb(data)
        full = bytearray()
        for i in range(0, len(data), 3):
            p = data[i:i + 3]
            full += (b'\0' + p if self.big else p + b'\0') if self.compact_low else (p + b'\0' if self.big else b'\0' + p)
        return self.to_rgb(bytes(full))

    def tight_rgb(self, data):
        return bytes(data) if self.tight else self.to_rgb(data)

    @property
    def compact_size(self):
        return 3 if self.compact else self.size

    @property
    def tight_size(self):
        return 3 if self.tight else self.size


class Client:
    """One connection; `screen` holds rows of RGB."""

    def __init__(self, where, version=8, password=None, tls=None, websocket=False, shared=True, sasl=None, plain=None):
        if hasattr(where, 'recv'):
            self.socket = where
        else:
            self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else
                                        socket.AF_INET6 if ':' in where[0] else socket.AF_INET)
            self.socket.settimeout(20)
            self.socket.connect(where)
        self.buffer = b''
        self.received = 0
        self.websocket = False
        if websocket:
            if tls:
                self.socket = tls.wrap_socket(self.socket)
            self.start_websocket()
        self.password, self.tls, self.sasl, self.plain = password, tls, sasl, plain
        self.zlib = zlib.decompressobj()
        self.zrle = zlib.decompressobj()
        self.tights = [None] * 4
        self.cursor = None
        self.leds = None
        self.absolute = None
        self.acknowledged = set()
        self.sizes = []
        self.seen = {}
        self.power = []
        self.cut = []
        self.sound = []
        self.format = Format()
        self.version = version
        self.log_in(shared)

    # --- bytes

    def start_websocket(self):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                             f'Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n'
                             'Sec-WebSocket-Protocol: binary\r\n\r\n').encode())
        head = b''
        while b'\r\n\r\n' not in head:
            more = self.socket.recv(1)
            if not more:
                raise Closed
            head += more
        wanted = base64.b64encode(hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest())
        assert head.startswith(b'HTTP/1.1 101') and wanted in head, head
        self.websocket = True
        self.frames = b''

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed
        self.received += len(data)
        if not self.websocket:
            self.buffer += data
            return
        self.frames += data
        while len(self.frames) >= 2:
            n, at = self.frames[1] & 127, 2
            if n == 126:
                if len(self.frames) < 4:
                    return
                n, at = struct.unpack('>H', self.frames[2:4])[0], 4
            elif n == 127:
                if len(self.frames) < 10:
                    return
                n, at = struct.unpack('>Q', self.frames[2:10])[0], 10
            if len(self.frames) < at + n:
                return
            assert self.frames[0] & 15 in (2, 8), self.frames[0]
            if self.frames[0] & 15 == 8:
                raise Closed
            self.buffer += self.frames[at:at + n]
            self.frames = self.frames[at + n:]

    def read(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def take(self, form):
        return struct.unpack('>' + form, self.read(struct.calcsize('>' + form)))

    def u8(self):
        return self.read(1)[0]

    def u32(self):
        return self.take('I')[0]

    def write(self, data):
        if self.websocket:
            mask = os.urandom(4)
            n = len(data)
            head = bytes([0x82]) + (bytes([0x80 | n]) if n < 126 else bytes([0xfe]) + struct.pack('>H', n) if n < 65536
                                    else bytes([0xff]) + struct.pack('>Q', n))
            data = head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data))
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    # --- logging in

    def result(self):
        if self.u32():
            raise Refused(self.read(self.u32()).decode() if self.version >= 8 else '')

    def log_in(self, shared):
        assert self.read(12) == b'RFB 003.008\n'
        self.write(b'RFB 003.00%d\n' % self.version)
        if self.version >= 7:
            types = self.read(self.u8())
            if not types:
                raise Refused(self.read(self.u32()).decode())
            self.auth = types[0]
            self.write(types[:1])
        else:
            self.auth = self.u32()
            if not self.auth:
                raise Refused(self.read(self.u32()).decode())
        self.log_in_by(self.auth)
        self.write(bytes([shared]))
        self.width, self.height = self.take('HH')
        self.server_format = self.read(16)
        self.name = self.read(self.u32()).decode()
        self.resize(self.width, self.height)

    def log_in_by(self, auth):
        if auth == 1:
            if self.version >= 8:
                self.result()
        elif auth == 2:
            challenge = self.read(16)
            self.write(des_answer(self.password or '', challenge))
            self.result()
        elif auth == 19:
            self.vencrypt()
        elif auth == 20:
            self.log_in_sasl()
        else:
            raise Refused(f'auth {auth}')

    def vencrypt(self):
        assert self.read(2) == b'\0\2'
        self.write(b'\0\2')
        assert self.u8() == 0
        types = self.take(f'{self.u8()}I')
        self.subtypes = types
        kind = types[0]
        if self.plain:
            kind = next(t for t in types if t in (259, 262))
        self.write(struct.pack('>I', kind))
        assert self.u8() == 1
        assert not self.buffer
        if callable(self.tls):
            self.socket = self.tls(self.socket)
        else:
            self.socket = self.tls.wrap_socket(self.socket)
        if kind in (257, 260):
            self.log_in_by(1)
        elif kind in (258, 261):
            self.log_in_by(2)
        elif kind in (259, 262):
            user, password = (s.encode() for s in self.plain)
            self.write(struct.pack('>II', len(user), len(password)) + user + password)
            self.result()
        else:
            self.log_in_sasl()

    def log_in_sasl(self):
        self.mechanisms = self.read(self.u32()).decode().split(',')
        user, password = self.sasl
        assert 'PLAIN' in self.mechanisms, self.mechanisms
        data = b'\0' + user.encode() + b'\0' + password.encode() + b'\0'
        self.write(struct.pack('>I', 5) + b'PLAIN' + struct.pack('>I', len(data)) + data)
        self.read_sasl_result()

    def read_sasl_result(self):
        # A refusal comes at once as the result of the whole: 1 and, from 3.8 on, a reason.
        first = self.u32()
        if first == 1:
            raise Refused(self.read(self.u32()).decode())
        self.read(first)
        assert self.u8() == 1
        self.result()

    # --- what we say

    def set_format(self, form):
        self.format = form
        self.write(b'\0\0\0\0' + form.wire())

    def set_encodings(self, *codes):
        self.write(struct.pack('>BxH', 2, len(codes)) + struct.pack(f'>{len(codes)}i', *codes))

    def request(self, incremental=True, area=None):
        self.write(struct.pack('>BBHHHH', 3, incremental, *(area or (0, 0, self.width, self.height))))

    def key(self, keysym, down):
        self.write(struct.pack('>BBxxI', 4, down, keysym))

    def key_code(self, keysym, code, down):
        self.write(struct.pack('>BBHII', 255, 0, down, keysym, code))

    def pointer(self, x, y, buttons=0):
        if buttons > 0x7f:
            self.write(struct.pack('>BBHHB', 5, buttons & 0x7f | 0x80, x, y, buttons >> 7))
        else:
            self.write(struct.pack('>BBHH', 5, buttons, x, y))

    def set_size(self, width, height):
        self.write(struct.pack('>BxHHBx', 251, width, height, 1) + struct.pack('>IHHHHI', 0, 0, 0, width, height, 0))

    def ask_sound(self, operation, *values):
        """0: enable, 1: disable, 2: a format: sample's kind, channels, rate."""
        self.write(struct.pack('>BBH', 255, 1, operation) + (struct.pack('>BBI', *values) if values else b''))

    def ask_power(self, code):
        self.write(bytes([250, 0, 1, code]))

    def cut_text(self, text):
        data = text.encode('latin-1')
        self.write(struct.pack('>BxxxI', 6, len(data)) + data)

    # --- pixels

    def resize(self, width, height):
        self.width, self.height = width, height
        self.screen = [bytearray(3 * width) for _ in range(height)]

    def picture(self):
        return b''.join(self.screen)

    def put(self, x, y, w, h, rgb):
        assert len(rgb) == 3 * w * h, (w, h, len(rgb))
        assert x + w <= self.width and y + h <= self.height, (x, y, w, h)
        for row in range(h):
            self.screen[y + row][3 * x:3 * (x + w)] = rgb[3 * w * row:3 * w * (row + 1)]

    def fill(self, x, y, w, h, colour):
        self.put(x, y, w, h, colour * (w * h))

    def update(self):
        """One FramebufferUpdate; other messages on the way are noted. Returns the encodings of its rectangles."""
        while True:
            kind = self.u8()
            if kind == 0:
                _, n = self.take('BH')
                return [self.rectangle() for _ in range(n)]
            self.message(kind)

    def message(self, kind):
        if kind == 1:
            _, first, n = self.take('BHH')
            self.format.map = {first + i: self.take('HHH') for i in range(n)}
        elif kind == 3:
            self.read(3)
            n = self.take('i')[0]
            self.cut.append((n < 0, self.read(abs(n))))
        elif kind == 255:
            sub, operation = self.take('BH')
            assert sub == 1 and operation <= 2, (sub, operation)
            self.sound.append(self.read(self.u32()) if operation == 2 else operation)
        elif kind == 250:
            self.power.append(tuple(self.read(3)[1:]))
        else:
            assert kind == 2, kind

    def rectangle(self):
        x, y, w, h, code = self.take('HHHHi')
        self.seen[code] = self.seen.get(code, 0) + 1
        if code == RAW:
            self.put(x, y, w, h, self.format.to_rgb(self.read(w * h * self.format.size)))
        elif code == COPY_RECT:
            from_x, from_y = self.take('HH')
            rows = [bytes(self.screen[from_y + i][3 * from_x:3 * (from_x + w)]) for i in range(h)]
            self.put(x, y, w, h, b''.join(rows))
        elif code == HEXTILE:
            self.hextile(x, y, w, h)
        elif code == ZLIB:
            data = self.zlib.decompress(self.read(self.u32()))
            self.put(x, y, w, h, self.format.to_rgb(data))
        elif code == ZRLE:
            self.read_zrle(x, y, w, h)
        elif code in (TIGHT, TIGHT_PNG):
            self.read_tight(x, y, w, h, code)
        else:
            self.pseudo(x, y, w, h, code)
        return code

    def pseudo(self, x, y, w, h, code):
        if code == DESKTOP_SIZE:
            self.resize(w, h)
        elif code == EXTENDED_SIZE:
            screens = [self.take('IHHHHI') for _ in range(self.take('B3x')[0])]
            self.sizes.append((x, y, w, h, screens))
            if x == 0 or y == 0:
                if (w, h) != (self.width, self.height):
                    self.resize(w, h)
        elif code == CURSOR:
            pixels = self.format.to_rgb(self.read(w * h * self.format.size))
            self.cursor = (x, y, w, h, pixels, self.read((w + 7) // 8 * h))
        elif code == ALPHA_CURSOR:
            assert self.u32() == RAW
            self.cursor = (x, y, w, h, self.read(4 * w * h), None)
        elif code == POINTER_MODE:
            self.absolute = x
        elif code == LEDS:
            self.leds = self.u8()
        elif code in (KEY_CODES, MORE_BUTTONS, SOUND):
            self.acknowledged.add(code)
        else:
            raise AssertionError(f'encoding {code}')

    def hextile(self, x, y, w, h):
        f = self.format
        back = front = None
        for ty in range(y, y + h, 16):
            for tx in range(x, x + w, 16):
                tw, th = min(16, x + w - tx), min(16, y + h - ty)
                mask = self.u8()
                if mask & 1:
                    self.put(tx, ty, tw, th, f.to_rgb(self.read(tw * th * f.size)))
                    back = front = None
                    continue
                if mask & 2:
                    back = f.to_rgb(self.read(f.size))
                if mask & 4:
                    front = f.to_rgb(self.read(f.size))
                self.fill(tx, ty, tw, th, back)
                for _ in range(self.u8() if mask & 8 else 0):
                    colour = f.to_rgb(self.read(f.size)) if mask & 16 else front
                    xy, wh = self.read(2)
                    sw, sh = (wh >> 4) + 1, (wh & 15) + 1
                    assert (xy >> 4) + sw <= tw and (xy & 15) + sh <= th
                    self.fill(tx + (xy >> 4), ty + (xy & 15), sw, sh, colour)
                if mask & 16:
                    front = None

    def read_zrle(self, x, y, w, h):
        data = self.zrle.decompress(self.read(self.u32()))
        f, at = self.format, 0

        def pixels(n):
            nonlocal at
            part = data[at:at + n * f.compact_size]
            at += n * f.compact_size
            return f.compact_rgb(part)

        def run():
            nonlocal at
            n = 1
            while data[at] == 255:
                n += 255
                at += 1
            n += data[at]
            at += 1
            return n

        for ty in range(y, y + h, 64):
            for tx in range(x, x + w, 64):
                tw, th = min(64, x + w - tx), min(64, y + h - ty)
                kind = data[at]
                at += 1
                if kind == 0:
                    self.put(tx, ty, tw, th, pixels(tw * th))
                elif kind == 1:
                    self.fill(tx, ty, tw, th, pixels(1))
                elif kind <= 16:
                    palette = pixels(kind)
                    bits = 1 if kind == 2 else 2 if kind <= 4 else 4
                    out = bytearray()
                    row_bytes = (tw * bits + 7) // 8
                    for _ in range(th):
                        row = int.from_bytes(data[at:at + row_bytes], 'big')
                        at += row_bytes
                        for i in range(tw):
                            index = row >> (row_bytes * 8 - bits * (i + 1)) & (1 << bits) - 1
                            out += palette[3 * index:3 * index + 3]
                    self.put(tx, ty, tw, th, bytes(out))
                else:
                    assert kind == 128 or kind >= 130, kind
                    palette = pixels(kind - 128) if kind > 128 else b''
                    out = bytearray()
                    while len(out) < 3 * tw * th:
                        if kind == 128:
                            colour = pixels(1)
                            out += colour * run()
                        else:
                            index = data[at]
                            at += 1
                            n = run() if index & 128 else 1
                            index &= 127
                            out += palette[3 * index:3 * index + 3] * n
                    self.put(tx, ty, tw, th, bytes(out))
        assert at == len(data), (at, len(data))

    def compact_length(self):
        n = shift = 0
        for i in range(3):
            byte = self.u8()
            n |= (byte & 0x7f if i < 2 else byte) << shift
            shift += 7
            if not byte & 0x80:
                break
        return n

    def tight_data(self, stream, n):
        if n < 12:
            return self.read(n)
        packed = self.read(self.compact_length())
        if self.tights[stream] is None:
            self.tights[stream] = zlib.decompressobj()
        data = self.tights[stream].decompress(packed)
        assert len(data) == n, (len(data), n)
        return data

    def read_tight(self, x, y, w, h, code):
        f = self.format
        assert w <= 2048
        control = self.u8()
        for i in range(4):
            if control & 1 << i:
                self.tights[i] = None
        kind = control >> 4
        if kind == 8:
            self.fill(x, y, w, h, f.tight_rgb(self.read(f.tight_size)))
        elif kind in (9, 10):
            self.seen['jpeg' if kind == 9 else 'png'] = self.seen.get('jpeg' if kind == 9 else 'png', 0) + 1
            self.put(x, y, w, h, self.decode_file(self.read(self.compact_length()), w, h))
        else:
            assert kind < 8 and code == TIGHT, kind
            stream = kind & 3
            chosen = self.u8() if kind & 4 else 0
            if chosen == 0:
                self.put(x, y, w, h, f.tight_rgb(self.tight_data(stream, w * h * f.tight_size)))
                return
            assert chosen == 1, chosen
            n = self.u8() + 1
            palette = f.tight_rgb(self.read(n * f.tight_size))
            if n == 2:
                row_bytes = (w + 7) // 8
                data = self.tight_data(stream, row_bytes * h)
                out = bytearray()
                for row in range(h):
                    for i in range(w):
                        index = data[row * row_bytes + i // 8] >> 7 - i % 8 & 1
                        out += palette[3 * index:3 * index + 3]
            else:
                out = bytearray()
                for index in self.tight_data(stream, w * h):
                    out += palette[3 * index:3 * index + 3]
            self.put(x, y, w, h, bytes(out))

    @staticmethod
    def decode_file(data, w, h):
        """Files of pictures by ImageMagick."""
        kind = 'png' if data.startswith(b'\x89PNG') else 'jpeg'
        out = subprocess.run(['convert', f'{kind}:-', '-depth', '8', 'rgb:-'], input=data, capture_output=True, check=True,
                             timeout=20).stdout
        assert len(out) == 3 * w * h
        return out


# --- DES (FIPS 46-3), for passwords: slow and short

def _bits(data):
    return [byte >> 7 - i & 1 for byte in data for i in range(8)]


PC1 = [57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
       63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4]
PC2 = [14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
       41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32]
IP = [r + 8 * c for r in (58, 60, 62, 64, 57, 59, 61, 63) for c in range(0, -8, -1)]
FP = [v + d for d in range(0, -8, -1) for v in (40, 8, 48, 16, 56, 24, 64, 32)]
P = [16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25]
E = [(4 * i + j + 31) % 32 + 1 for i in range(8) for j in range(6)]
S = [bytes.fromhex(''.join('0' + d for d in box)) for box in (
    'e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d',
    'f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9',
    'a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c',
    '7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e',
    '2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453',
    'c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d',
    '4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c',
    'd2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b')]


def des_ecb(key, data):
    bits = _bits(key)
    c, d = [bits[i - 1] for i in PC1[:28]], [bits[i - 1] for i in PC1[28:]]
    keys = []
    for n in (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1):
        c, d = c[n:] + c[:n], d[n:] + d[:n]
        keys.append([(c + d)[i - 1] for i in PC2])
    out = b''
    for at in range(0, len(data), 8):
        block = _bits(data[at:at + 8])
        block = [block[i - 1] for i in IP]
        left, right = block[:32], block[32:]
        for k in keys:
            mixed = [right[i - 1] ^ k[n] for n, i in enumerate(E)]
            word = []
            for box in range(8):
                b = mixed[6 * box:6 * box + 6]
                value = S[box][(b[0] * 2 + b[5]) * 16 + b[1] * 8 + b[2] * 4 + b[3] * 2 + b[4]]
                word += [value >> 3 - i & 1 for i in range(4)]
            left, right = right, [left[i] ^ word[P[i] - 1] for i in range(32)]
        last = [(right + left)[i - 1] for i in FP]
        out += bytes(int(''.join(map(str, last[i:i + 8])), 2) for i in range(0, 64, 8))
    return out
