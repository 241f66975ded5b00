#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VNC servers, seen by a client of our own: pixels equal those of screendump in every encoding and format, all ways to
log in, input, sizes, several servers and clients. The path of the program is in VITRINE."""
import base64
import json
import os
import random
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../control'))
# pylint: disable=wrong-import-position
import rfb
import watch
from program import PROGRAM, main, run
from rfb import Client, Closed, Format, Refused
from screen import EVERYTHING, Screen, check_pictures, free_port, make_certificates, until

with open(PROGRAM, 'rb') as program_file:
    SANITIZED = b'__asan_init' in program_file.read()  # which keeps what is freed for long

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
    c.close()
    c = Client(m.path)
    c.request(False)
    until(c, m.dump())
    before = c.received
    m.write((300 * 1024 + 501) * 4, b'\1\2\3\0')
    until(c, m.dump())
    assert c.received - before == 4 + 12 + 4, c.received - before
    # Four pixels that lie in four cells.
    before = c.received
    for y in 319, 320:
        m.write((y * 1024 + 511) * 4, b'\1\2\3\0\4\5\6\0')
    until(c, m.dump())
    assert c.received - before <= 4 * (4 + 12 + 4), c.received - before
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
    m.wait_hands('the monitor has that size', lambda: m.wish() == (1024, 768))
    m.quit()


def hands():
    m = Screen('-vnc', 'unix:@,key-delay-ms=0,power-control=on')
    c = Client(m.path)
    c.set_encodings(rfb.RAW, rfb.POINTER_MODE, rfb.KEY_CODES, rfb.LEDS, rfb.MORE_BUTTONS, rfb.POWER)
    c.request(False)
    c.update()
    c.request(True)
    while c.absolute is None or c.leds is None or len(c.acknowledged) < 2:
        c.update()
    assert c.acknowledged == {rfb.KEY_CODES, rfb.MORE_BUTTONS} and c.absolute == 0 and c.power == [(1, 1)]
    m.plug_in()
    c.key(ord('a'), True)
    c.key(ord('a'), False)
    assert m.scan_codes(2) == [0x1e, 0x9e]
    c.key_code(0xff52, 0xc8, True)  # by code: the arrow
    c.key_code(0xff52, 0xc8, False)
    assert m.scan_codes(4) == [0xe0, 0x48, 0xe0, 0xc8]
    c.key(ord('!'), True)  # needs a shift that nobody holds
    c.key(ord('!'), False)
    assert m.scan_codes(4)[:2] == [0x2a, 0x02]
    c.key(0xffe1, True)
    assert m.scan_codes(1) == [0x2a]
    c.close()  # what it held comes up
    assert m.scan_codes(1) == [0xaa]
    c = Client(m.path)
    c.set_encodings(rfb.RAW, rfb.POWER)
    c.ask_power(3)
    c.request(False)
    c.update()
    c.ask_power(4)
    m.wait_event('RESET')
    assert (1, 0) in c.power
    m.quit()


def text_consoles():
    m = Screen('-vnc', 'unix:@,key-delay-ms=0', '-monitor', 'vc:640x400')
    c = Client(m.path)
    c.set_encodings(rfb.ZRLE, rfb.DESKTOP_SIZE)
    c.request(False)
    m.plug_in()
    m.draw(m.desk())
    until(c, m.dump())

    def go(number):
        for key in 0xffe3, 0xffe9, ord(str(number)):
            c.key(key, True)
        for key in ord(str(number)), 0xffe9, 0xffe3:
            c.key(key, False)
        c.request(False)
        c.update()

    go(2)
    end = time.monotonic() + 20
    while (c.width, c.height) != (640, 400) or len(set(c.picture())) < 2:
        assert time.monotonic() < end, (c.width, c.height)
        c.request(True)
        c.update()
    before = c.picture()
    assert before != m.dump()
    for letter in 'stop\r':
        c.key(13 + 0xff00 if letter == '\r' else ord(letter), True)
        c.key(13 + 0xff00 if letter == '\r' else ord(letter), False)
    m.wait_event('STOP')
    c.request(True)
    c.update()
    assert c.picture() != before  # what was typed is shown
    go(1)
    until(c, m.dump())
    # The guest heard of Ctrl and Alt before they meant something to us, not of what was typed.
    m.listen()
    assert not set(m.typed) - {0x1d, 0x38, 0x9d, 0xb8}, [hex(x) for x in m.typed]
    m.quit()


def sound():
    """What the guest's loudspeaker plays, as one viewer wants it, not for the other."""
    m = Screen('-vnc', 'unix:@,audiodev=a', '-audiodev', 'none,id=a', '-machine', 'pcspk-audiodev=a')
    m.command('cont')
    c, deaf = Client(m.path), Client(m.path)
    for viewer in c, deaf:
        viewer.set_encodings(rfb.RAW, *([rfb.SOUND] if viewer is c else []))
        viewer.request(False)
        viewer.update()
    while rfb.SOUND not in c.acknowledged:
        c.request(True)
        c.update()
    c.ask_sound(2, 3, 1, 8000)  # S16, mono
    c.ask_sound(0)
    m.command('query-vnc')
    for port, value in ((0x43, 0xb6), (0x42, 0xa9), (0x42, 0x04), (0x61, 3)):  # 1 kHz
        m.test(f'outb {port:#x} {value:#x}')
    samples = []
    end = time.monotonic() + 20
    while len(samples) < 4000:
        assert time.monotonic() < end, len(samples)
        m.test('clock_step 20000000')
        c.request(False)
        c.update()
        data = b''.join(s for s in c.sound if isinstance(s, bytes))
        samples = struct.unpack(f'<{len(data) // 2}h', data)
    assert c.sound[0] == 1
    part = samples[1000:4000]
    assert max(part) > 1000 and min(part) < 0 or max(part) - min(part) > 1000, (min(part), max(part))
    middle = (max(part) + min(part)) / 2
    waves = sum(a < middle <= b for a, b in zip(part, part[1:]))
    assert 340 < waves < 410, waves  # a thousand a second: 375 in 3000 of 8000
    c.ask_sound(1)
    deaf.request(False)
    deaf.update()
    assert not deaf.sound
    # Another format while it plays; one that makes no sense is the end.
    c.ask_sound(2, 0, 2, 11025)
    c.ask_sound(0)
    c.ask_sound(2, 9, 2, 11025)
    try:
        for _ in range(100):
            c.request(False)
            c.update()
        assert False, 'it goes on'
    except (Closed, ConnectionError):
        pass
    m.quit()


def layouts():
    m = Screen('-vnc', 'unix:@,key-delay-ms=0', '-k', 'de')
    c = Client(m.path)
    m.plug_in()
    c.key(ord('z'), True)
    c.key(ord('z'), False)
    assert m.scan_codes(2) == [0x15, 0x95]
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


def resident(m):
    with open(f'/proc/{m.process.pid}/statm', encoding='ascii') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def descriptors(m):
    return len(os.listdir(f'/proc/{m.process.pid}/fd'))


def settled(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def flood(place, words, n=1 << 24):
    """Sends WORDS and then nonsense until nobody takes any more; whether the server ended it."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(2)
    s.connect(place)
    try:
        s.sendall(words)
        for _ in range(n >> 16):
            s.sendall(b'A' * (1 << 16))
    except TimeoutError:
        return s, False
    except OSError:
        return s, True
    return s, False


def strangers_cost_little():
    m = Screen('-vnc', 'unix:@,password=on,websocket=unix:@w')
    m.command('set_password', protocol='vnc', password='pw')
    Client(m.path, password='pw').close()
    before, upgrade = resident(m), (b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                                    b'Sec-WebSocket-Key: ' + base64.b64encode(bytes(16)) +
                                    b'\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\r\n')
    held = []
    for place, words, ends in (
            (m.path, b'', True), (m.path, b'RFB 003.008\n\2', True), (m.path, b'RFB 003.008\n\7', True),
            (m.path + 'w', b'GET / HTTP/1.1\r\nHost: ', True), (m.path + 'w', upgrade + b'\x82\x8c\0\0\0\0', True),
            # A frame of almost any length, a message of many frames: nothing of them is kept but what is asked for.
            (m.path + 'w', upgrade + b'\x82\xff\x3f' + bytes(11) + b'RFB 003.008\n', True)):
        for _ in range(4):
            s, over = flood(place, words)
            held.append(s)
            assert over == ends, words
    if not SANITIZED:
        assert resident(m) - before < 8 << 20, (before, resident(m))
    for s in held:
        s.close()
    Client(m.path, password='pw').close()
    m.quit()


def those_who_dawdle_go():
    """A byte now and then does not keep a stranger in."""
    m = Screen('-vnc', 'unix:@,password=on')
    s = socket.socket(socket.AF_UNIX)
    s.connect(m.path)
    s.settimeout(5)
    begin = time.monotonic()
    s.sendall(b'RFB 003.008\n\2')
    try:
        while time.monotonic() - begin < 200:
            try:
                while s.recv(100):
                    pass
                break
            except TimeoutError:
                if time.monotonic() - begin < 75:
                    s.sendall(b'x')
    except OSError:
        pass
    assert time.monotonic() - begin < 150
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


def viewers_of_one_kind():
    """Those that wait for the same pictures are sent the same bytes; who leaves meanwhile takes nothing away."""
    m = Screen('-vnc', 'unix:@,lossy=on', size=(640, 480))
    clients = [Client(m.path) for _ in range(10)]
    for i, c in enumerate(clients):
        c.set_encodings(*[[rfb.HEXTILE], [rfb.RAW], [rfb.ZRLE], [rfb.TIGHT, rfb.quality(3)]][i % 4], *EVERYTHING)
        if i == 4:
            c.set_format(FORMATS['rgb565'])
        c.request(False)
        c.update()
    for i in range(4):
        for c in clients:
            c.request(True)
        m.draw(m.noise(200) if i % 2 else m.desk())
        if i == 2:
            clients.pop(0).close()
            clients.pop(0).close()
        for c in clients:
            until(c, c.format.expected(m.dump()))
    assert [bool(c.seen.get('jpeg')) for c in clients] == [i % 4 == 3 for i in range(2, 10)], [c.seen for c in clients]
    m.quit()


def slow_viewers_are_paced():
    """Who reads slowly is sent a part of the picture at a time, each in its turn; who asks for all of it is sent all."""
    m = Screen(size=(1024, 768))
    w = watch.Watcher(m.path, [rfb.RAW], 2 << 20)
    w.request(False)
    w.update()
    sizes, rows = [], set()
    for _ in range(12):
        m.write(0, os.urandom(m.width * m.height * 4))
        w.request()
        w.update()
        sizes.append(sum(width * height for _, _, width, height in w.areas))
        rows.update(row for _, y, _, height in w.areas for row in range(y, y + height))
    assert max(sizes) < m.width * m.height / 2 and len(rows) == m.height, (sizes, len(rows))
    w.request(False)
    w.update()
    assert sum(width * height for _, _, width, height in w.areas) == m.width * m.height, w.areas
    m.quit()


def relay(ours, theirs, limit, abrupt):
    """Both ways, until LIMIT bytes have gone in all; then the connection is cut."""
    ways = {ours: theirs, theirs: ours}
    try:
        while limit:
            for source in select.select(list(ways), [], [], 20)[0]:
                data = source.recv(min(65536, limit))
                if not data:
                    limit = 0
                    break
                ways[source].sendall(data)
                limit -= len(data)
    except OSError:
        pass
    if abrupt:  # as when a process dies with bytes unread
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    ours.close()
    theirs.close()


def converse(c, r):
    c.set_encodings(r.choice(list(ENCODINGS.values())), *EVERYTHING, rfb.KEY_CODES, rfb.POINTER_MODE, rfb.CLIPBOARD)
    for _ in range(r.randrange(8)):
        what = r.randrange(7)
        if what == 0:
            c.set_format(FORMATS['rgb565'])
        elif what == 1:
            c.key(r.choice(b'abc'), r.random() < 0.7)
        elif what == 2:
            c.pointer(r.randrange(320), r.randrange(240), r.randrange(8))
        elif what == 3:
            c.cut_text('cut ' * r.randrange(100))
        elif what == 4:
            c.set_size(r.randrange(64, 1000), r.randrange(64, 1000))
        else:
            full = r.random() < 0.7
            c.request(not full)
            if full:
                c.more()


def die(times):
    """Connections of each kind that end after any number of bytes."""
    r = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        m = Screen('-vnc', 'unix:@,websocket=unix:@w,connections=64', '-vnc', 'unix:@p,id=p,password=on', '-vnc',
                   'unix:@t,id=t,tls-creds=t', '-object', f'tls-creds-x509,id=t,dir={folder},endpoint=server,verify-peer=off',
                   size=(320, 240))
        tls = context(folder, False)
    m.command('set_password', protocol='vnc', password='pw', display='p')
    m.draw(m.desk())
    Client(m.path).close()
    settled('it has gone', lambda: not m.command('query-vnc')['return']['clients'])
    open_before = memory_before = 0
    for n in range(times):
        if n == times // 4:  # all pools have what they need
            open_before, memory_before = descriptors(m), resident(m)
        suffix, options = r.choice([('', {}), ('w', {'websocket': True}), ('p', {'password': 'pw'}), ('t', {'tls': tls})])
        theirs = socket.socket(socket.AF_UNIX)
        theirs.connect(m.path + suffix)
        ours, middle = socket.socketpair()
        ours.settimeout(20)
        thread = threading.Thread(target=relay, args=(middle, theirs, int(2 ** r.uniform(0, 19)), r.random() < 0.5))
        thread.start()
        c = None
        try:
            c = Client(ours, **options)
            while True:
                converse(c, r)
        except (Closed, Refused, OSError, EOFError):  # TLS has OSErrors of its own
            pass
        (c or ours).close()
        thread.join(30)
        assert not thread.is_alive()
        if m.process.poll() is not None:
            break
    for server in '', 'p', 't':
        settled('all have gone', lambda: all(not s['clients'] for s in m.command('query-vnc-servers')['return']))
        c = Client(m.path + server, **({'password': 'pw'} if server == 'p' else {'tls': tls} if server else {}))
        c.request(False)
        until(c, m.dump())
        c.close()
    settled('descriptors are closed', lambda: descriptors(m) <= open_before + 4)
    if not SANITIZED:
        assert resident(m) - memory_before < 8 << 20, (memory_before, resident(m))
    m.quit()


def dies_at_random():
    die(100)


def dies_a_thousand_times():
    die(1000)


# --- TLS

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


def keys_shared_before():
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'keys.psk'), 'w', encoding='ascii') as f:
            f.write(f'ann:{"12" * 16}\nbob:{"34" * 16}\n')
        m = Screen('-vnc', 'unix:@,tls-creds=t,password=on', '-object', f'tls-creds-psk,id=t,dir={folder},endpoint=server')
        m.command('set_password', protocol='vnc', password='pw')
        m.draw(m.desk())
        assert m.command('query-vnc-servers')['return'][0]['vencrypt'] == 'tls-vnc'
        for name, key, password, ok in (('ann', '12' * 16, 'pw', True), ('bob', '34' * 16, 'pw', True),
                                        ('bob', '12' * 16, 'pw', False), ('eve', '12' * 16, 'pw', False),
                                        ('ann', '12' * 16, 'no', False)):
            try:
                c = Client(m.path, tls=rfb.shared_key(name, key), password=password)
                assert ok, name
                c.request(False)
                until(c, m.dump())
                c.close()
            except (Refused, Closed, ConnectionError):
                assert not ok, name
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


TESTS = [encodings_are_exact, formats_are_exact, sizes_that_are_no_multiples, small_changes_are_small, scrolling_is_copied,
         lossy_becomes_exact, versions_and_names, passwords, events_and_queries, handed_over, reverse, free_displays,
         websockets, exclusive, sizes_follow, hands, text_consoles, sound, layouts, nonsense_is_the_end, silent_strangers_go,
         strangers_cost_little, many_viewers, viewers_of_one_kind, slow_viewers_are_paced, dies_at_random, certificates,
         keys_shared_before, logging_in_by_name]
SLOW = [dies_a_thousand_times, those_who_dawdle_go]

if __name__ == '__main__':
    chosen = sys.argv[1:]
    sys.exit(main([t for t in TESTS + SLOW if (t.__name__ in chosen if chosen else t in TESTS)]))
