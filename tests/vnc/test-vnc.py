#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VNC servers, seen by a client of our own: pixels equal those of screendump in every encoding and format, all ways to
log in, input, sizes, several servers and clients. The path of the program is in VITRINE."""
import base64
import json
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../control'))
# pylint: disable=wrong-import-position
import rfb
from program import Machine, main, run
from rfb import Client, Closed, Format, Refused

VGA_MEMORY = 0xe0000000
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


ENCODINGS = {'raw': rfb.RAW, 'hextile': rfb.HEXTILE, 'zlib': rfb.ZLIB, 'tight': rfb.TIGHT, 'zrle': rfb.ZRLE,
             'tight-png': rfb.TIGHT_PNG}
FORMATS = {
    'rgb565': Format(16, 16, False, (31, 63, 31), (11, 5, 0)),
    'rgb555-big': Format(16, 15, True, (31, 31, 31), (10, 5, 0)),
    'bgr233': Format(8, 8, False, (7, 7, 3), (0, 3, 6)),
    'mapped': Format(8, 8, False, (7, 7, 3), (5, 2, 0), mapped=True),
    'bgr888': Format(32, 24, False, (255, 255, 255), (0, 8, 16)),
    'rgb888-big': Format(32, 24, True, (255, 255, 255), (16, 8, 0)),
    'rgb888-high': Format(32, 24, False, (255, 255, 255), (24, 16, 8)),
    'rgb101010': Format(32, 30, False, (1023, 1023, 1023), (20, 10, 0)),
}


def encodings_are_exact():
    m = Screen(size=(640, 480))
    for name, code in ENCODINGS.items():
        c = Client(m.path)
        c.set_encodings(code, *EVERYTHING)
        c.request(False)
        check_pictures(m, c, [m.desk, m.noise, lambda: m.noise(2), lambda: m.noise(12), lambda: m.noise(100), m.smooth])
        assert set(c.seen) & {code}, (name, c.seen)
        c.close()
    m.quit()


def formats_are_exact():
    m = Screen(size=(320, 200))
    for name, form in FORMATS.items():
        for code in ENCODINGS.values():
            c = Client(m.path)
            c.set_format(form)
            c.set_encodings(code)
            c.request(False)
            if form.mapped:
                c.update()
            try:
                check_pictures(m, c, [m.desk, lambda: m.noise(3), m.smooth])
            except AssertionError as e:
                raise AssertionError(f'{name} in {code}: {e}') from e
            c.close()
    m.quit()


def sizes_that_are_no_multiples():
    m = Screen(size=(648, 481))
    for code in ENCODINGS.values():
        c = Client(m.path)
        c.set_encodings(code)
        c.request(False)
        check_pictures(m, c, [m.desk, lambda: m.noise(5)])
        c.close()
    m.quit()


def small_changes_are_small():
    m = Screen(size=(1024, 768))
    m.draw(m.desk())
    c = Client(m.path)
    c.set_encodings(rfb.ZRLE, *EVERYTHING)
    c.request(False)
    until(c, m.dump())
    before = c.received
    m.write((300 * 1024 + 500) * 4, b'\1\2\3\0')
    until(c, m.dump())
    assert c.received - before < 200, c.received - before
    m.quit()


def scrolling_is_copied():
    m = Screen(size=(640, 480))
    rows = m.desk() + m.noise(2)
    m.draw(rows[:480])
    c = Client(m.path)
    c.set_encodings(rfb.ZLIB, *EVERYTHING)
    c.request(False)
    until(c, m.dump())
    c.seen.clear()
    total = 0
    for step in range(16, 200, 16):
        before = c.received
        m.draw(rows[step:step + 480])
        until(c, m.dump())
        total += c.received - before
    assert c.seen.get(rfb.COPY_RECT, 0) > 4, c.seen
    # A window that goes somewhere else.
    window = m.noise(4)
    def at(x, y):
        out = [[0x204060] * 640 for _ in range(480)]
        for row in range(200):
            out[y + row][x:x + 300] = window[row][:300]
        return out
    m.draw(at(20, 20))
    until(c, m.dump())
    c.seen.clear()
    for i in range(1, 12):
        m.draw(at(20 + 7 * i, 20 + 5 * i))
        until(c, m.dump())
    assert c.seen.get(rfb.COPY_RECT, 0) > 2, c.seen
    m.quit()


def lossy_becomes_exact():
    m = Screen('-vnc', 'unix:@,lossy=on', size=(320, 240))
    c = Client(m.path)
    c.set_encodings(rfb.TIGHT, rfb.quality(3))
    c.request(False)
    m.draw(m.smooth())
    until(c, m.dump())
    assert c.seen.get('jpeg'), c.seen
    c.close()
    # Not without being asked, and not where nothing changes often.
    m.quit()
    m = Screen(size=(320, 240))
    c = Client(m.path)
    c.set_encodings(rfb.TIGHT, rfb.quality(3))
    c.request(False)
    m.draw(m.smooth())
    until(c, m.dump())
    assert not c.seen.get('jpeg'), c.seen
    # A film is sent as JPEG, its last picture becomes exact.
    noise = m.noise()
    for i in range(25):
        m.draw([row[i:] + row[:i] for row in noise])
        c.request(True)
        c.update()
    until(c, m.dump())
    assert c.seen.get('jpeg'), c.seen
    m.quit()


def versions_and_names():
    m = Screen('-name', 'box')
    for version in (3, 7, 8):
        c = Client(m.path, version=version)
        assert (c.width, c.height) == (640, 480) and 'box' in c.name
        c.request(False)
        until(c, m.dump())
        c.close()
    m.quit()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def refused(*args, **options):
    try:
        Client(*args, **options).close()
    except (Refused, Closed, ConnectionError, ssl.SSLError):
        return True
    return False


def passwords():
    m = Screen('-vnc', 'unix:@,password=on')
    assert refused(m.path, password='')
    assert m.command('set_password', protocol='vnc', password='secret') == {'return': {}}
    for version in (3, 7, 8):
        Client(m.path, password='secret', version=version).close()
        assert refused(m.path, password='secreT', version=version)
    assert m.command('change-vnc-password', password='other') == {'return': {}}
    assert refused(m.path, password='secret')
    Client(m.path, password='other').close()
    m.command('expire_password', protocol='vnc', time='now')
    assert refused(m.path, password='other')
    m.command('expire_password', protocol='vnc', time='+100')
    Client(m.path, password='other').close()
    m.command('expire_password', protocol='vnc', time=str(int(time.time()) - 5))
    assert refused(m.path, password='other')
    m.command('expire_password', protocol='vnc', time='never')
    assert m.hmp('change vnc password third') == ''
    Client(m.path, password='third').close()
    assert m.hmp('set_password vnc fourth') == '' and m.hmp('expire_password vnc never') == ''
    Client(m.path, password='fourth').close()
    assert 'keep' in m.command('set_password', protocol='vnc', password='x', connected='fail')['error']['desc']
    assert 'not in use' in m.command('set_password', protocol='spice', password='x')['error']['desc']
    assert 'error' in m.command('set_password', protocol='vnc', password='x', display='nobody')
    assert 'error' in m.command('expire_password', protocol='vnc', time='soon')
    m.quit()
    m = Screen('-vnc', 'unix:@,password-secret=s', '-object', 'secret,id=s,data=known')
    Client(m.path, password='known').close()
    assert refused(m.path, password='unknown')
    m.quit()
    m = Screen()
    assert 'password=on' in m.command('set_password', protocol='vnc', password='x')['error']['desc']
    m.quit()


def events_and_queries():
    port = free_port()
    m = Screen('-vnc', f'127.0.0.1:{port - 5900},id=one', '-vnc', 'unix:@,id=two,password=on', '-vnc', 'none,id=three')
    servers = {s['id']: s for s in m.command('query-vnc-servers')['return']}
    assert list(servers) == ['one', 'two', 'three']
    assert servers['one']['server'] == [{'host': '127.0.0.1', 'service': str(port), 'family': 'ipv4', 'websocket': False,
                                         'auth': 'none'}]
    assert servers['two']['auth'] == 'vnc' and servers['two']['server'][0]['service'] == m.path
    assert servers['three']['server'] == []
    assert m.command('query-vnc')['return'] == {'enabled': True, 'host': '127.0.0.1', 'service': str(port),
                                                'family': 'ipv4', 'auth': 'none', 'clients': []}
    c = Client(('127.0.0.1', port))
    connected = m.wait_event('VNC_CONNECTED')['data']
    assert connected['client']['host'] == '127.0.0.1' and connected['server']['auth'] == 'none', connected
    assert m.wait_event('VNC_INITIALIZED')['data']['server']['service'] == str(port)
    clients = m.command('query-vnc')['return']['clients']
    assert [x['service'] for x in clients] == [str(c.socket.getsockname()[1])], clients
    assert f'Server: 127.0.0.1:{port} (ipv4)' in m.hmp('info vnc') and 'Client: 127.0.0.1' in m.hmp('info vnc')
    c.close()
    assert m.wait_event('VNC_DISCONNECTED')['data']['client']['family'] == 'ipv4'
    # Somewhere else from now on.
    other = free_port()
    answer = m.command('display-update', type='vnc', addresses=[{'type': 'inet', 'host': '127.0.0.1', 'port': str(other)}])
    assert answer == {'return': {}}, answer
    Client(('127.0.0.1', other)).close()
    assert refused(('127.0.0.1', port))
    assert m.command('display-reload', type='vnc') == {'return': {}}
    assert 'tls' in m.command('display-reload', type='vnc', tls_certs=True)['error']['desc']
    m.quit()


def handed_over():
    m = Screen('-vnc', 'none,password=on')
    for skip in (True, False):
        ours, theirs = socket.socketpair()
        m.qmp.connection.sendmsg([json.dumps({'execute': 'getfd', 'arguments': {'fdname': 'v'}}).encode() + b'\n'],
                                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', theirs.fileno()))])
        assert m.answer() == {'return': {}}
        theirs.close()
        assert m.command('add_client', protocol='vnc', fdname='v', skipauth=skip) == {'return': {}}
        ours.settimeout(20)
        try:
            c = Client(ours)
            assert skip
            c.request(False)
            until(c, m.dump())
        except Refused:
            assert not skip
        ours.close()
    m.quit()


def reverse():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        m = Screen('-vnc', f'127.0.0.1:{listener.getsockname()[1]},reverse=on')
        theirs, _ = listener.accept()
        theirs.settimeout(20)
        c = Client(theirs)
        c.request(False)
        until(c, m.dump())
        theirs.close()
        m.quit()
    status, _, err = run('-display', 'none', '-vnc', f'127.0.0.1:{free_port()},reverse=on')
    assert status == 1 and 'Failed to connect' in err, err


def free_displays():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(1)
        taken = s.getsockname()[1]
        status, _, err = run('-display', 'none', '-vnc', f'127.0.0.1:{taken - 5900}')
        assert status == 1 and 'Failed to find an available port' in err, err
        m = Screen('-vnc', f'127.0.0.1:{taken - 5900},to={taken - 5900 + 50}')
        port = int(m.command('query-vnc')['return']['service'])
        assert taken < port <= taken + 50
        Client(('127.0.0.1', port)).close()
        m.quit()


def websockets():
    port = free_port()
    m = Screen('-vnc', f'unix:@,websocket=127.0.0.1:{port}')
    c = Client(('127.0.0.1', port), websocket=True)
    c.set_encodings(rfb.TIGHT)
    c.request(False)
    m.draw(m.desk())
    until(c, m.dump())
    ends = m.command('query-vnc-servers')['return'][0]
    assert [e['websocket'] for e in ends['server']] == [False, True] and ends['clients'][0]['websocket']
    c.close()
    with socket.create_connection(('127.0.0.1', port), 20) as s:
        s.sendall(b'GET / HTTP/1.1\r\n\r\n')
        assert s.recv(100).startswith(b'HTTP/1.1 400')
    m.quit()


def exclusive():
    m = Screen()
    first = Client(m.path)
    second = Client(m.path)
    alone = Client(m.path, shared=False)
    for c in (first, second):
        try:
            c.request(False)
            c.update()
            assert False, 'still there'
        except (Closed, ConnectionError):
            pass
    try:
        c = Client(m.path)
        assert False, 'two at once'
    except (Closed, ConnectionError):
        pass
    alone.close()
    m.wait_event('VNC_DISCONNECTED')
    m.quit()
    m = Screen('-vnc', 'unix:@,share=force-shared')
    c = Client(m.path)
    try:
        Client(m.path, shared=False)
        assert False, 'alone'
    except (Closed, ConnectionError):
        pass
    c.request(False)
    c.update()
    m.quit()
    m = Screen('-vnc', 'unix:@,share=ignore')
    c, d = Client(m.path), Client(m.path, shared=False)
    for x in (c, d):
        x.request(False)
        x.update()
    m.quit()
    m = Screen('-vnc', 'unix:@,connections=2')
    c, d = Client(m.path), Client(m.path)
    assert refused(m.path)
    c.close()
    m.wait_event('VNC_DISCONNECTED')
    Client(m.path).close()
    m.quit()


def sizes_follow():
    m = Screen(size=(640, 480))
    old, plain, new = Client(m.path), Client(m.path), Client(m.path)
    plain.set_encodings(rfb.ZRLE, rfb.DESKTOP_SIZE)
    new.set_encodings(rfb.ZRLE, rfb.DESKTOP_SIZE, rfb.EXTENDED_SIZE)
    for c in (old, plain, new):
        c.request(False)
        c.update()
    m.set_mode(800, 600)
    m.draw(m.desk())
    for c in (plain, new):
        until(c, m.dump())
        assert (c.width, c.height) == (800, 600)
    old.request(True)
    old.update()
    assert (old.width, old.height) == (640, 480)
    m.set_mode(320, 200)
    m.draw(m.noise(7))
    for c in (plain, new):
        until(c, m.dump())
    assert new.sizes[-1][:4] == (0, 0, 320, 200) and len(new.sizes[-1][4]) == 1
    new.set_size(1024, 768)
    new.request(True)
    new.update()
    assert any(s[0] == 1 for s in new.sizes), new.sizes
    m.quit()


def hands():
    m = Screen('-vnc', 'unix:@,key-delay-ms=0,power-control=on')
    m.command('cont')
    c = Client(m.path)
    c.set_encodings(rfb.RAW, rfb.POINTER_MODE, rfb.KEY_CODES, rfb.LEDS, rfb.MORE_BUTTONS, rfb.POWER)
    c.request(False)
    c.update()
    c.request(True)
    while c.absolute is None or c.leds is None or len(c.acknowledged) < 2:
        c.update()
    assert c.acknowledged == {rfb.KEY_CODES, rfb.MORE_BUTTONS} and c.absolute == 0 and c.power == [(1, 1)]

    def scan_codes(n):
        """What the keyboard controller has for the guest; set 1, translated."""
        out = []
        end = time.monotonic() + 10
        while len(out) < n and time.monotonic() < end:
            if int(m.test('inb 0x64').split()[1], 16) & 1:
                out.append(int(m.test('inb 0x60').split()[1], 16))
        assert len(out) == n, [hex(x) for x in out]
        return out

    m.test('outb 0x64 0x60')
    m.test('outb 0x60 0x45')
    c.key(ord('a'), True)
    c.key(ord('a'), False)
    assert scan_codes(2) == [0x1e, 0x9e]
    c.key_code(0xff52, 0xc8, True)  # by code: the arrow
    c.key_code(0xff52, 0xc8, False)
    assert scan_codes(4) == [0xe0, 0x48, 0xe0, 0xc8]
    c.key(ord('!'), True)  # needs a shift that nobody holds
    c.key(ord('!'), False)
    assert scan_codes(4)[:2] == [0x2a, 0x02]
    c.key(0xffe1, True)
    assert scan_codes(1) == [0x2a]
    c.close()  # what it held comes up
    assert scan_codes(1) == [0xaa]
    c = Client(m.path)
    c.set_encodings(rfb.RAW, rfb.POWER)
    c.ask_power(3)
    c.request(False)
    c.update()
    c.ask_power(4)
    m.wait_event('RESET')
    assert (1, 0) in c.power
    m.quit()


def layouts():
    m = Screen('-vnc', 'unix:@,key-delay-ms=0', '-k', 'de')
    m.command('cont')
    c = Client(m.path)
    m.test('outb 0x64 0x60')
    m.test('outb 0x60 0x45')
    c.key(ord('z'), True)
    c.key(ord('z'), False)
    out = []
    while len(out) < 2:
        if int(m.test('inb 0x64').split()[1], 16) & 1:
            out.append(int(m.test('inb 0x60').split()[1], 16))
    assert out == [0x15, 0x95], out
    m.quit()


def nonsense_is_the_end():
    m = Screen()
    for message in (b'\x99', b'\xff\1\0\0', b'\xff\0' + bytes(10), b'\0\0\0\0' + bytes(16), b'\x06\0\0\0\xff\xff\xff\xf0',
                    b'\xfa\0\1\2', b'\xfb' + bytes(7)):
        c = Client(m.path)
        c.write(message)
        try:
            c.request(False)
            c.update()
            assert False, message
        except (Closed, ConnectionError):
            pass
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(m.path)
        s.settimeout(20)
        s.recv(12)
        s.sendall(b'RFB 009.001\n')
        assert s.recv(1) == b''
    c = Client(m.path)
    c.request(False)
    until(c, m.dump())
    m.quit()


def silent_strangers_go():
    m = Screen('-vnc', 'unix:@,connections=3')
    strangers = []
    for _ in range(12):
        s = socket.socket(socket.AF_UNIX)
        s.connect(m.path)
        strangers.append(s)
    c = Client(m.path)  # there is room for somebody who speaks
    c.request(False)
    c.update()
    strangers[-1].settimeout(20)
    begin = time.monotonic()
    while strangers[-1].recv(100):
        pass
    assert time.monotonic() - begin < 15
    for s in strangers:
        s.close()
    m.quit()


def many_viewers():
    m = Screen(size=(640, 480))
    codes = list(ENCODINGS.values())
    clients = [Client(m.path) for _ in range(10)]
    for i, c in enumerate(clients):
        c.set_encodings(codes[i % len(codes)], *EVERYTHING)
        c.request(False)
    for i in range(3):
        m.draw(m.desk() if i else m.noise(9))
    for c in clients:
        until(c, m.dump())
    m.quit()


def dies_at_random():
    m = Screen(size=(320, 240))
    r = random.Random(7)
    m.draw(m.desk())
    end = time.monotonic() + 10
    n = 0
    while time.monotonic() < end and n < 1000:
        n += 1
        try:
            if r.random() < 0.3:
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(20)
                s.connect(m.path)
                if r.random() < 0.7:
                    s.recv(12)
                    s.sendall(b'RFB 003.008\n'[:r.randrange(13)])
                s.close()
                continue
            c = Client(m.path)
            c.set_encodings(r.choice(list(ENCODINGS.values())), *EVERYTHING)
            for _ in range(r.randrange(4)):
                c.request(False)
                if r.random() < 0.5:
                    c.more()
                c.request(True)
            if r.random() < 0.5:
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            c.close()
        except (Closed, ConnectionError):
            pass
    c = Client(m.path)
    c.request(False)
    until(c, m.dump())
    m.quit()


# --- TLS

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


def context(folder, client=True, trust=True):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    if trust:
        c.load_verify_locations(os.path.join(folder, 'ca-cert.pem'))
    else:
        c.verify_mode = ssl.CERT_NONE
    if client:
        c.load_cert_chain(os.path.join(folder, 'client-cert.pem'), os.path.join(folder, 'client-key.pem'))
    return c


def certificates():
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        ws = free_port()
        m = Screen('-vnc', f'unix:@,tls-creds=t,websocket=127.0.0.1:{ws}', '-object',
                   f'tls-creds-x509,id=t,dir={folder},endpoint=server,verify-peer=off')
        info = m.command('query-vnc-servers')['return'][0]
        assert info['auth'] == 'vencrypt' and info['vencrypt'] == 'x509-none', info
        c = Client(m.path, tls=context(folder, False))
        assert c.subtypes == (260,)
        c.set_encodings(rfb.ZRLE)
        c.request(False)
        m.draw(m.noise())
        until(c, m.dump())
        c.close()
        c = Client(('127.0.0.1', ws), tls=context(folder, False), websocket=True)
        assert c.auth == 1
        c.set_encodings(rfb.TIGHT)
        c.request(False)
        m.draw(m.desk())
        until(c, m.dump())
        c.close()
        assert m.command('display-reload', type='vnc', tls_certs=True) == {'return': {}}
        Client(m.path, tls=context(folder, False)).close()
        m.quit()
        m = Screen('-vnc', 'unix:@,tls-creds=t,password=on,tls-authz=a', '-object',
                   f'tls-creds-x509,id=t,dir={folder},endpoint=server', '-object',
                   'authz-simple,id=a,identity=CN=visitor')
        m.command('set_password', protocol='vnc', password='pw')
        c = Client(m.path, tls=context(folder), password='pw')
        assert c.subtypes == (261,)
        assert m.wait_event('VNC_INITIALIZED')['data']['client']['x509_dname'] == 'CN=visitor'
        c.close()
        assert refused(m.path, tls=context(folder, False), password='pw')
        assert refused(m.path, tls=context(folder), password='no')
        m.quit()
        m = Screen('-vnc', 'unix:@,tls-creds=t,tls-authz=a', '-object',
                   f'tls-creds-x509,id=t,dir={folder},endpoint=server', '-object',
                   'authz-simple,id=a,identity=CN=somebody')
        assert refused(m.path, tls=context(folder))
        m.quit()


def logging_in_by_name():
    module = os.path.join(os.path.dirname(os.environ['VITRINE']), '../ui/vnc/vitrine-vnc-sasl.so')
    if not shutil.which('saslpasswd2') or not os.path.exists(module):
        print('# no SASL here')
        return
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, 'db')
        with open(os.path.join(folder, 'qemu.conf'), 'w', encoding='utf-8') as f:
            f.write(f'mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {base}\n')
        for user, password in (('ann', 'pw1'), ('bob', 'pw2')):
            subprocess.run(['saslpasswd2', '-c', '-p', '-a', 'qemu', '-f', base, user], input=password.encode(), check=True,
                           timeout=20)
        make_certificates(folder)
        os.environ['SASL_CONF_PATH'] = folder
        try:
            m = Screen('-vnc', 'unix:@,sasl=on,sasl-authz=a', '-object', 'authz-list,id=a,policy=deny,rules.0.match=ann*,'
                       'rules.0.policy=allow,rules.0.format=glob')
            assert m.command('query-vnc')['return']['auth'] == 'sasl'
            c = Client(m.path, sasl=('ann', 'pw1'))
            assert m.wait_event('VNC_INITIALIZED')['data']['client']['sasl_username'].startswith('ann')
            c.set_encodings(rfb.ZRLE)
            c.request(False)
            until(c, m.dump())
            assert refused(m.path, sasl=('ann', 'pw2'))
            assert refused(m.path, sasl=('bob', 'pw2'))  # the password is right, the list says no
            assert refused(m.path, sasl=('eve', 'x'))
            m.quit()
            m = Screen('-vnc', 'unix:@,sasl=on,tls-creds=t', '-object',
                       f'tls-creds-x509,id=t,dir={folder},endpoint=server,verify-peer=off')
            assert m.command('query-vnc-servers')['return'][0]['vencrypt'] == 'x509-sasl'
            tls = context(folder, False)
            c = Client(m.path, sasl=('bob', 'pw2'), tls=tls)
            assert c.subtypes == (264, 262)
            c.close()
            Client(m.path, plain=('bob', 'pw2'), tls=tls).close()
            assert refused(m.path, plain=('bob', 'pw1'), tls=tls)
            assert refused(m.path, sasl=('bob', 'pw1'), tls=tls)
            m.quit()
            # In the clear nobody may say a password.
            port = free_port()
            m = Screen('-vnc', f'127.0.0.1:{port - 5900},sasl=on')
            assert refused(('127.0.0.1', port), sasl=('ann', 'pw1'))
            m.quit()
        finally:
            del os.environ['SASL_CONF_PATH']


def rgb_of(path):
    return subprocess.run(['convert', path, '-depth', '8', 'rgb:-'], capture_output=True, check=True, timeout=20).stdout


def real_viewers():
    """Those that are installed see what screendump sees."""
    port, secure = free_port(), free_port()
    m = Screen('-vnc', f'127.0.0.1:{port - 5900}', '-vnc', f'127.0.0.1:{secure - 5900},id=b,tls-creds=t', '-object',
               'tls-creds-anon,id=t,endpoint=server')
    m.draw(m.desk())
    c = Client(('127.0.0.1', port))
    c.request(False)
    until(c, m.dump())
    c.close()
    with tempfile.TemporaryDirectory() as folder:
        picture = os.path.join(folder, 'picture')
        viewer = os.environ.get('VNC_VIEWER')
        for place in (port, secure) if viewer else ():
            for encodings in ('raw', 'copyrect hextile', 'zlib', 'zrle', 'tight', 'copyrect tight zrle hextile'):
                p = subprocess.run([viewer, '127.0.0.1', str(place), encodings, picture], capture_output=True, text=True,
                                   timeout=30, check=False)
                assert p.returncode == 0, (place == secure, encodings, p.stderr[-500:])
                with open(picture, 'rb') as f:
                    assert f.read() == m.dump(), encodings
        if shutil.which('gvnccapture'):
            subprocess.run(['gvnccapture', f'127.0.0.1:{port - 5900}', picture + '.png'], capture_output=True, check=True,
                           timeout=30)
            assert rgb_of(picture + '.png') == m.dump()
        if shutil.which('vncsnapshot'):
            subprocess.run(['vncsnapshot', '-quality', '100', f'127.0.0.1:{port - 5900}', picture + '.jpg'], check=True,
                           capture_output=True, timeout=30)
            assert len(rgb_of(picture + '.jpg')) == 3 * 640 * 480
        if all(map(shutil.which, ('vncviewer', 'Xvfb', 'import'))):
            see_in_window(m, port, folder)
    m.quit()


def see_in_window(m, port, folder):
    """TigerVNC's window on a screen of its own."""
    end, theirs = os.pipe()
    server = subprocess.Popen(['Xvfb', '-displayfd', str(theirs), '-screen', '0', '1000x800x24'], pass_fds=[theirs],
                              stderr=subprocess.DEVNULL)
    env = dict(os.environ, DISPLAY=':' + os.read(end, 20).decode().strip(), HOME=folder)
    viewer = subprocess.Popen(['vncviewer', '-SecurityTypes', 'None', f'127.0.0.1::{port}'], env=env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(40):
            time.sleep(0.25)
            path = os.path.join(folder, 'root.png')
            subprocess.run(['import', '-window', 'root', path], env=env, check=True, timeout=20)
            screen, wanted = rgb_of(path), m.dump()
            at = screen.find(wanted[:3 * 640])
            if at >= 0 and all(screen[at + 3000 * y:at + 3000 * y + 1920] == wanted[1920 * y:1920 * (y + 1)]
                               for y in range(480)):
                return
        assert False, 'the window never shows it'
    finally:
        for p in (viewer, server):
            p.terminate()
            p.wait()
        os.close(end)
        os.close(theirs)


TESTS = [encodings_are_exact, formats_are_exact, sizes_that_are_no_multiples, small_changes_are_small, scrolling_is_copied,
         lossy_becomes_exact, versions_and_names, passwords, events_and_queries, handed_over, reverse, free_displays,
         websockets, exclusive, sizes_follow, hands, layouts, nonsense_is_the_end, silent_strangers_go, many_viewers,
         dies_at_random, certificates, logging_in_by_name, real_viewers]

if __name__ == '__main__':
    chosen = sys.argv[1:]
    sys.exit(main([t for t in TESTS if not chosen or t.__name__ in chosen]))
