# SPDX-License-Identifier: GPL-3.0-or-later
"""SPICE as bytes: a client that logs in by itself, sends any message and sees what the server really sends. The protocol is that of
spice/protocol.h and spice/enums.h; see "Spice protocol" of spice-space.org."""
import base64
import hashlib
import os
import socket
import struct
import time

MAIN, DISPLAY, INPUTS, CURSOR, PLAYBACK, RECORD, PORT = 1, 2, 3, 4, 5, 6, 10
COMMON = 0b1111  # authentication is chosen, by ticket or SASL; short headers
SEAMLESS = 3  # capability of the main channel
OPUS = 3  # of the playback channel
# of messages
SET_ACK, PING = 3, 4
MAIN_INIT, MAIN_MOUSE_MODE, MAIN_AGENT_DATA = 103, 105, 109
MARK, STREAM_CREATE, DRAW_COPY = 102, 122, 304
PLAYBACK_DATA, PLAYBACK_MODE, PLAYBACK_START = 101, 102, 103
RECORD_START = 101
# of an image
BITMAP, QUIC, LZ_PALETTE, LZ, GLZ, JPEG, ZLIB_GLZ, LZ4 = 0, 1, 100, 101, 102, 105, 107, 109
VISIBLE = (BITMAP, QUIC, LZ_PALETTE, LZ, GLZ, JPEG, ZLIB_GLZ, LZ4)
# of the agent
MONITORS, CLIPBOARD, CAPABILITIES, GRAB, FILE_START = 2, 4, 6, 7, 10


def seal(password, key):
    """RSA-OAEP with SHA-1 (PKCS #1); KEY is a SubjectPublicKeyInfo of 1024 bits."""
    modulus = int.from_bytes(key[29:157], 'big')

    def mask(seed, data):
        stream = b''.join(hashlib.sha1(seed + struct.pack('>I', i)).digest() for i in range(len(data) // 20 + 1))
        return bytes(a ^ b for a, b in zip(data, stream))
    block = hashlib.sha1().digest() + bytes(128 - len(password) - 42) + b'\1' + password
    seed = os.urandom(20)
    block = mask(seed, block)
    sealed = pow(int.from_bytes(mask(block, seed) + block, 'big'), 65537, modulus)
    return sealed.to_bytes(128, 'big')


class Heard:
    """What comes from a socket."""

    def take(self, n):
        """All N bytes."""
        out = b''
        while len(out) < n:
            part = self.socket.recv(n - len(out))
            if not part:
                raise EOFError
            out += part
        return out


class Web(Heard):
    """What is said within a WebSocket (RFC 6455)."""

    def __init__(self, place):
        self.socket, self.heard = connect(place), b''
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ' + key
                            + b'\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n')
        answer = b''
        while not answer.endswith(b'\r\n\r\n'):
            answer += self.take(1)
        assert answer.startswith(b'HTTP/1.1 101 '), answer
        assert base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest()) in answer, answer

    def sendall(self, data):
        mask = os.urandom(4)
        size = struct.pack('>B', 0x80 | len(data)) if len(data) < 126 else struct.pack('>BH', 0xfe, len(data))
        self.socket.sendall(b'\x82' + size + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data)))

    def recv(self, n):
        while not self.heard:
            try:
                first, size = self.take(2)
            except EOFError:
                return b''
            if size >= 126:
                size = int.from_bytes(self.take(2 if size == 126 else 8), 'big')
            data = self.take(size)
            if first & 15 == 8:  # it closes
                return b''
            assert first & 15 in (0, 2), first
            self.heard = data
        out, self.heard = self.heard[:n], self.heard[n:]
        return out

    def settimeout(self, seconds):
        self.socket.settimeout(seconds)

    def close(self):
        self.socket.close()


def connect(place):
    """PLACE: a path, (host, port), those with a context for TLS, or a function that connects."""
    if callable(place):
        return place()
    s = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
    s.settimeout(20)
    s.connect(place if isinstance(place, str) else place[:2])
    return s if isinstance(place, str) or len(place) < 3 else place[2].wrap_socket(s)


def hello(kind=MAIN, number=0, session=0, caps=()):
    words = [0] * (max(caps) // 32 + 1 if caps else 0)
    for cap in caps:
        words[cap // 32] |= 1 << cap % 32
    link = struct.pack('<IBBIII', session, kind, number, 1, len(words), 18) + struct.pack(f'<{1 + len(words)}I', COMMON, *words)
    return b'REDQ' + struct.pack('<III', 2, 2, len(link)) + link


class Channel(Heard):
    """Logged in, by ticket or, where PASSWORD is a name and a password, SASL."""

    def __init__(self, place, kind=MAIN, number=0, session=0, password='', caps=()):
        self.socket = connect(place) if not isinstance(place, socket.socket) else place
        self.socket.sendall(hello(kind, number, session, caps))
        magic, _, _, size = struct.unpack('<4sIII', self.take(16))
        reply = self.take(size)
        assert magic == b'REDQ'
        (error,) = struct.unpack_from('<I', reply)
        assert not error, f'the server refuses: {error}'
        common, own, at = struct.unpack_from('<III', reply, 166)
        words = struct.unpack_from(f'<{common + own}I', reply, at)
        self.common, self.own = words[:common], words[common:]
        if isinstance(password, str):
            self.socket.sendall(struct.pack('<I', 1) + seal(password.encode() + b'\0', reply[4:166]))
        else:
            self.say_name(*password)
        (error,) = struct.unpack('<I', self.take(4))
        assert not error, f'the server lets nobody in: {error}'
        self.window = self.count = 0

    def say_name(self, name, password):
        self.socket.sendall(struct.pack('<I', 2))
        assert b'PLAIN' in self.take(*struct.unpack('<I', self.take(4)))
        proof = f'\0{name}\0{password}\0'.encode()
        self.socket.sendall(struct.pack('<I', 5) + b'PLAIN' + struct.pack('<I', len(proof)) + proof)
        self.take(*struct.unpack('<I', self.take(4)))
        assert self.take(5) == b'\1\0\0\0\0'

    def can(self, capability):
        return bool(self.own and self.own[capability // 32] >> capability % 32 & 1)

    def send(self, kind, data=b''):
        self.socket.sendall(struct.pack('<HI', kind, len(data)) + data)

    def next(self, seconds=20):
        """A message: number and bytes. What keeps the connection going is done meanwhile."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            kind, size = struct.unpack('<HI', self.take(6))
            self.socket.settimeout(20)
            data = self.take(size)
            if kind == SET_ACK:
                self.window, self.count = struct.unpack_from('<I', data, 4)[0], 0
                self.send(1, data[:4])
                continue
            self.count += 1
            if self.window and self.count >= self.window:
                self.send(2)
                self.count = 0
            if kind == PING:
                self.send(3, data[:12])
            else:
                return kind, data

    def wait(self, *kinds, seconds=20):
        end = time.monotonic() + seconds
        while True:
            kind, data = self.next(max(0.001, end - time.monotonic()))
            if kind in kinds:
                return data

    def all(self, seconds):
        """What comes in that time."""
        out = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                out.append(self.next(end - time.monotonic()))
            except TimeoutError:
                break
        return out

    def close(self):
        self.socket.close()


class Client:
    """A main channel, and others of the same session."""

    def __init__(self, place, password='', caps=()):
        self.place, self.password = place, password
        self.main = Channel(place, password=password, caps=caps)
        words = struct.unpack_from('<8I', self.main.wait(MAIN_INIT))
        self.session, _, self.mouse_modes, self.mouse_mode, self.agent, self.tokens = words[:6]
        self.channels = [self.main]
        self.main.send(104)  # attach channels

    def channel(self, kind, number=0, caps=()):
        self.channels.append(Channel(self.place, kind, number, self.session, self.password, caps))
        return self.channels[-1]

    def display(self, number=0, caps=()):
        """Its cache and dictionary are small."""
        channel = self.channel(DISPLAY, number, caps)
        channel.send(101, struct.pack('<BqBi', 1, 1 << 20, 1, 1 << 20))
        return channel

    def tell_agent(self, kind, data=b'', start=True):
        """A message for the agent in the guest."""
        if start:
            self.main.send(106, struct.pack('<I', 10))
        message = struct.pack('<IIQI', 1, kind, 0, len(data)) + data
        for at in range(0, len(message), 2048):
            self.main.send(107, message[at:at + 2048])

    def close(self):
        for channel in self.channels:
            channel.close()


def agent_kinds(data):
    """Of what clients sent: chunks of a port and a size, and whole messages in those."""
    kinds, stream = [], b''
    while len(data) >= 8:
        port, size = struct.unpack_from('<II', data)
        if len(data) < 8 + size:
            break
        if port == 1:
            stream += data[8:8 + size]
        data = data[8 + size:]
    while len(stream) >= 20:
        _, kind, _, size = struct.unpack_from('<IIQI', stream)
        if len(stream) < 20 + size:
            break
        kinds.append(kind)
        stream = stream[20 + size:]
    return kinds


def image_kind(data):
    """That of a DRAW_COPY message: surface, box, clip, then where the image is."""
    clip, at = data[20], 21
    if clip:
        at += 4 + 16 * struct.unpack_from('<I', data, at)[0]
    (image,) = struct.unpack_from('<I', data, at)
    return data[image + 8]


def picture(data):
    """Width, height and RGB bytes of a DRAW_COPY message with a bitmap of 32 bits a pixel."""
    assert image_kind(data) == BITMAP
    clip, at = data[20], 21
    if clip:
        at += 4 + 16 * struct.unpack_from('<I', data, at)[0]
    (at,) = struct.unpack_from('<I', data, at)
    form, flags, width, height, stride = struct.unpack_from('<BBIII', data, at + 18)
    assert form == 8 and stride == width * 4, (form, stride)
    rows = [data[at + 36 + y * stride:at + 36 + (y + 1) * stride] for y in range(height)]
    words = b''.join(rows if flags & 4 else rows[::-1])
    out = bytearray(3 * width * height)
    out[0::3], out[1::3], out[2::3] = words[2::4], words[1::4], words[0::4]
    return width, height, bytes(out)
