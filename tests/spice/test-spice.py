#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SPICE server, seen by a viewer made of spice-client-glib and by those that people use: pixels equal those of screendump,
ways to log in, hands, sizes, ports and the agent, events. The paths of the program and of the viewer are in VITRINE and
SPICE_VIEWER."""
import base64
import contextlib
import importlib.util
import os
import queue
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../vnc'), os.path.join(HERE, '../control')]
# pylint: disable=wrong-import-position
import screen
import wire
from program import Machine, main, run
from screen import free_port, make_certificates

VIEWER = os.environ.get('SPICE_VIEWER')
OPEN = 'disable-ticketing=on'


class Screen(screen.Screen):
    """With a SPICE server at a Unix socket, or where SPICE says."""

    def __init__(self, spice=OPEN, *args, size=(640, 480)):
        self.home = tempfile.TemporaryDirectory()
        path = os.path.join(self.home.name, 'spice')
        if 'port=' not in spice:
            spice = f'unix=on,addr={path},{spice}'.rstrip(',')
        super().__init__('-spice', spice, *args, size=size, where='nowhere')
        self.path = path

    def viewer(self, *args, **properties):
        return Viewer(*args, **(properties or {'unix_path': self.path}))

    def quit(self):
        super().quit()
        self.home.cleanup()

    def serial(self, n, seconds=20):
        """N bytes that came to the serial port."""
        out = b''
        end = time.monotonic() + seconds
        while len(out) < n and time.monotonic() < end:
            if int(self.test('inb 0x3fd').split()[1], 16) & 1:
                out += bytes([int(self.test('inb 0x3f8').split()[1], 16)])
        return out

    def scan_codes(self, n):
        """What the keyboard controller has for the guest; set 1, translated."""
        out = []
        end = time.monotonic() + 10
        while len(out) < n and time.monotonic() < end:
            if int(self.test('inb 0x64').split()[1], 16) & 1:
                out.append(int(self.test('inb 0x60').split()[1], 16))
        assert len(out) == n, [hex(x) for x in out]
        return out


class Viewer:
    """Drives viewer.c."""

    def __init__(self, *words, wait='inputs opened', **properties):
        args = [f'{key.replace("_", "-")}={value}' for key, value in properties.items()]
        env = {**os.environ, 'XDG_CACHE_HOME': tempfile.gettempdir(), 'HOME': tempfile.gettempdir()}
        self.process = subprocess.Popen([VIEWER, *args, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=env)
        self.lines = queue.Queue()
        self.events = []
        threading.Thread(target=self.listen, daemon=True).start()
        if wait:
            self.wait(wait)

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip('\n'))
        self.lines.put(None)

    def next(self, end):
        try:
            line = self.lines.get(timeout=max(0, end - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f'nothing more comes after {self.events[-5:]}') from None
        if line is None:
            raise AssertionError(f'the viewer is gone after {self.events[-5:]}')
        return line

    def wait(self, start, seconds=20):
        """An event that begins so, now or earlier."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event.startswith(start):
                    self.events.remove(event)
                    return event
            line = self.next(end)
            if line.startswith('event '):
                self.events.append(line[6:])

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        end = time.monotonic() + 20
        while True:
            answer = self.next(end)
            if not answer.startswith('event '):
                return answer
            self.events.append(answer[6:])

    def do(self, line):
        answer = self.ask(line)
        assert answer.startswith('ok'), (line, answer)
        return answer

    def picture(self, display=0):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'rgb')
            if not self.ask(f'dump {display} {path}').startswith('ok'):
                return b''
            with open(path, 'rb') as f:
                return f.read()

    def until(self, picture, display=0, seconds=20):
        end = time.monotonic() + seconds
        while self.picture(display) != picture:
            if time.monotonic() > end:
                seen = self.picture(display)
                bad = next((i for i, (a, b) in enumerate(zip(seen, picture)) if a != b), -1)
                raise AssertionError(f'the picture never comes: {len(seen)} of {len(picture)} bytes, differs at pixel {bad // 3}: '
                                     f'{seen[bad:bad + 6].hex()} for {picture[bad:bad + 6].hex()}')
            time.sleep(0.02)

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.close()


def refused(how, **properties):
    v = Viewer(wait=None, **properties)
    try:
        v.wait(f'main {how}', 20)
    finally:
        v.kill()


# --- pictures ---

def pictures_are_exact():
    for compression in ('off', 'auto_glz', 'auto_lz', 'quic', 'glz', 'lz'):
        m = Screen(f'{OPEN},image-compression={compression},jpeg-wan-compression=never')
        v = m.viewer()
        for make in (m.noise, m.desk, m.smooth, lambda m=m: m.noise(4)):
            m.draw(make())
            v.until(m.dump())
        v.close()
        m.quit()


def sizes_follow():
    m = Screen()
    m.draw(m.desk())
    v = m.viewer()
    v.until(m.dump())
    for size in ((800, 600), (333, 211), (1280, 1024), (64, 64), (640, 480)):
        m.set_mode(*size)
        m.draw(m.smooth())
        v.until(m.dump())
    v.close()
    v = m.viewer()  # whoever comes later sees the same
    v.until(m.dump())
    v.close()
    m.quit()


def small_changes():
    m = Screen()
    rows = m.desk()
    m.draw(rows)
    v = m.viewer()
    v.until(m.dump())
    for _ in range(30):
        x, y = m.random.randrange(m.width - 9), m.random.randrange(m.height - 9)
        for row in range(y, y + 9):
            rows[row][x:x + 9] = [m.random.getrandbits(24)] * 9
            m.write((row * m.width + x) * 4, b''.join(p.to_bytes(4, 'little') for p in rows[row][x:x + 9]))
    v.until(m.dump())
    v.close()
    m.quit()


def in_a_browser():
    """Within a WebSocket, at the same place."""
    m = Screen(f'{OPEN},image-compression=off')
    m.draw(m.noise())
    picture = m.dump()
    client = wire.Client(lambda: wire.Web(m.path))
    assert wire.picture(client.display().wait(wire.DRAW_COPY)) == (640, 480, picture)
    client.close()
    m.quit()


def film(m, noise, frames):
    """One that fills the screen: whether the viewer sees video in so many frames."""
    m.draw(m.desk())
    client = wire.Client(m.path)
    display = client.display(caps=(0, 8, 9))  # sized streams, several codecs, of which it knows MJPEG
    display.wait(wire.MARK)
    seen = False
    for n in range(frames):
        if noise:
            m.draw(m.noise())
        else:
            m.draw([[(x + 3 * n & 0xff) << 16 | (y + 2 * n & 0xff) << 8 | (x + y & 0xff) for x in range(m.width)] for y in range(m.height)])
        seen |= any(kind == wire.STREAM_CREATE for kind, _ in display.all(0.03))
        if seen:
            break
    client.close()
    return seen


def what_moves():
    """Is video where the option says so: everything, or what looks like a photograph."""
    for mode, photographs, noises in (('off', False, False), ('all', True, True), ('filter', True, False)):
        for noise, video in ((False, photographs), (True, noises)):
            m = Screen(f'{OPEN},streaming-video={mode}', size=(128, 100))  # anew: who comes later sees the video that there is
            assert film(m, noise, 600 if video else 80) == video, (mode, noise)
            m.quit()


def several_heads():
    m = Screen(OPEN, '-device', 'VGA,id=second')
    m.draw(m.desk())
    v = m.viewer()
    v.until(m.dump())
    assert v.wait('primary 1').split()[1] == '1'
    v.close()
    m.quit()
    m = Screen(OPEN + ',display=second', '-device', 'VGA,id=second')
    v = m.viewer()
    v.wait('primary 0')
    time.sleep(0.2)
    assert v.ask('dump 1 /dev/null').startswith('no')
    v.close()
    m.quit()


def clients_say_the_size():
    """Their windows' sizes come to the card's monitor."""
    m = Screen(OPEN, '-chardev', 'spicevmc,id=a,name=vdagent', '-device', 'isa-serial,chardev=a')
    v = m.viewer()
    v.wait('primary')
    v.wait('agent 1')
    v.do('monitors 1111 777')
    end = time.monotonic() + 20
    while m.wish() not in ((1111, 777), (1112, 777), (1104, 777)):
        assert time.monotonic() < end, m.wish()
        time.sleep(0.05)
    v.close()
    m.quit()


# --- hands ---

def hands():
    m = Screen()
    m.command('cont')
    m.test('outb 0x64 0x60')
    m.test('outb 0x60 0x45')
    v = m.viewer()
    v.do('down 30')
    v.do('up 30')
    assert m.scan_codes(2) == [0x1e, 0x9e]
    v.do('down 328')  # 0x148: up
    v.do('up 328')
    assert m.scan_codes(4) == [0xe0, 0x48, 0xe0, 0xc8]
    v.do('down 42')
    assert m.scan_codes(1) == [0x2a]
    v.close()  # what it held comes up
    assert m.scan_codes(1) == [0xaa]
    m.quit()


def mouse_packets(m, n, size=3):
    """Packets from the PS/2 mouse."""
    data = m.scan_codes(size * n)
    return [data[i:i + size] for i in range(0, size * n, size)]


def pointing():
    m = Screen()
    m.command('cont')
    for port, value in ((0x64, 0xa8), (0x64, 0x60), (0x60, 0x47), (0x64, 0xd4), (0x60, 0xf4)):
        m.test(f'outb {port:#x} {value:#x}')
    assert m.scan_codes(1) == [0xfa]
    v = m.viewer()
    assert v.wait('mouse') == 'mouse server' and m.command('query-spice')['return']['mouse-mode'] == 'server'
    v.do('motion 5 3 0')
    assert mouse_packets(m, 1) == [[0x28, 5, 0xfd]]
    # left, middle, right: numbers and masks of the protocol
    for number, mask, bit in ((1, 1, 1), (2, 2, 4), (3, 4, 2)):
        v.do(f'press {number} {mask}')
        assert mouse_packets(m, 1)[0][0] & 7 == bit, number
        v.do(f'release {number} 0')
        assert mouse_packets(m, 1)[0][0] & 7 == 0
    v.close()
    m.quit()


def the_wheel():
    m = Screen()
    m.command('cont')
    for port, value in ((0x64, 0xa8), (0x64, 0x60), (0x60, 0x47)):
        m.test(f'outb {port:#x} {value:#x}')
    for value in (0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4):  # this way a driver asks for a wheel
        m.test('outb 0x64 0xd4')
        m.test(f'outb 0x60 {value:#x}')
        assert m.scan_codes(1) == [0xfa]
    v = m.viewer()
    for number, step in ((4, 0xff), (5, 1)):
        v.do(f'press {number} 0')
        v.do(f'release {number} 0')
        assert mouse_packets(m, 1, 4)[0][3] == step, number
    v.close()
    m.quit()


def a_tablet():
    """One that takes positions: those of the viewer, and its buttons."""
    m = Screen(OPEN, '-chardev', 'wctablet,id=t', '-device', 'isa-serial,chardev=t')
    m.command('cont')
    v = m.viewer()
    v.wait('primary')
    while v.wait('mouse') != 'mouse client':
        pass

    def packet():
        data = m.serial(7)
        return ((data[0] & 3) << 14 | data[1] << 7 | data[2], (data[3] & 3) << 14 | data[4] << 7 | data[5], data[3] >> 3 & 7)
    for x, y in ((639, 479), (0, 0), (320, 240)):
        v.do(f'position {x} {y} 0 0')
        seen = packet()
        assert abs(seen[0] - x * 5040 // 639) < 3 and abs(seen[1] - y * 3779 // 479) < 3 and not seen[2], (x, y, seen)
    v.do('press 1 1')
    assert packet()[2] == 1
    v.do('release 1 0')
    assert packet()[2] == 0
    v.close()
    m.quit()


def lights():
    m = Screen()
    m.command('cont')
    v = m.viewer()
    for byte in (0xed, 0x06):
        m.test(f'outb 0x60 {byte:#x}')
        m.scan_codes(1)
    while v.wait('leds') != 'leds 6':
        pass
    v.close()
    m.quit()


# --- who may come in ---

def tickets():
    m = Screen('')  # nobody yet
    assert m.command('query-spice')['return']['auth'] == 'spice'
    refused('auth', unix_path=m.path, password='')
    refused('auth', unix_path=m.path, password='x')
    assert m.command('set_password', protocol='spice', password='right') == {'return': {}}
    refused('auth', unix_path=m.path, password='wrong')
    v = m.viewer(unix_path=m.path, password='right')
    answer = m.command('set_password', protocol='spice', password='other', connected='fail')
    assert 'Could not set password' in answer['error']['desc'], answer
    assert 'return' in m.command('set_password', protocol='spice', password='other', connected='disconnect')
    v.wait('main closed')
    v.close()
    refused('auth', unix_path=m.path, password='right')
    m.viewer(unix_path=m.path, password='other').close()
    for when, good in (('now', False), ('never', True), ('+1', None), ('+100', True), ('1', False)):
        assert m.command('expire_password', protocol='spice', time=when) == {'return': {}}
        if good:
            m.viewer(unix_path=m.path, password='other').close()
        elif good is None:
            time.sleep(2.2)
            refused('auth', unix_path=m.path, password='other')
        else:
            refused('auth', unix_path=m.path, password='other')
    m.quit()
    with tempfile.NamedTemporaryFile('w') as f:
        f.write('from a file')
        f.flush()
        m = Screen('password-secret=s', '-object', f'secret,id=s,file={f.name}')
        m.viewer(unix_path=m.path, password='from a file').close()
        refused('auth', unix_path=m.path, password='from')
        m.quit()


def certificates():
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        tls, plain = free_port(), free_port()
        m = Screen(f'{OPEN},tls-port={tls},port={plain},addr=127.0.0.1,x509-dir={folder},tls-channel=main,tls-channel=inputs,'
                   'plaintext-channel=display')
        where = {'host': 'localhost', 'tls_port': tls, 'ca_file': f'{folder}/ca-cert.pem'}
        m.draw(m.desk())
        # One that knows both ports uses the right one for each channel.
        v = m.viewer(port=plain, **where)
        v.until(m.dump())
        channels = {c['channel-type']: c['tls'] for c in m.command('query-spice')['return']['channels']}
        assert channels[1] and channels[3] and not channels[2], channels
        v.close()
        refused('', host='localhost', tls_port=tls, ca_file=f'{folder}/client-cert.pem')  # another authority
        m.quit()
        m = Screen(f'{OPEN},tls-port={tls},addr=127.0.0.1,x509-dir={folder},tls-channel=default')
        v = m.viewer(**where)
        assert all(c['tls'] for c in m.command('query-spice')['return']['channels'])
        v.close()
        m.quit()
        status, _, err = run('-display', 'none', '-spice', f'{OPEN},tls-port={tls},x509-dir={folder},x509-key-file='
                             f'{folder}/client-key.pem')
        assert status == 1 and 'failed to initialize spice server' in err, err


@contextlib.contextmanager
def people(folder):
    """Ann may come in, in TLS; the options and the context for that."""
    base = os.path.join(folder, 'db')
    with open(os.path.join(folder, 'qemu.conf'), 'w', encoding='utf-8') as f:
        f.write(f'mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {base}\n')
    subprocess.run(['saslpasswd2', '-c', '-p', '-a', 'qemu', '-f', base, 'ann'], input=b'pw1', check=True, timeout=20)
    make_certificates(folder)
    tls = free_port()
    os.environ['SASL_CONF_PATH'] = folder
    try:
        yield f'sasl=on,addr=127.0.0.1,tls-port={tls},x509-dir={folder}', {'host': 'localhost', 'tls_port': tls,
                                                                           'ca_file': f'{folder}/ca-cert.pem'}
    finally:
        del os.environ['SASL_CONF_PATH']


def logging_in_by_name():
    if not shutil.which('saslpasswd2'):
        print('# no SASL here')
        return
    with tempfile.TemporaryDirectory() as folder, people(folder) as (options, where):
        m = Screen(options)
        assert m.command('query-spice')['return']['auth'] == 'sasl'
        m.viewer(username='ann', password='pw1', **where).close()
        refused('auth', username='ann', password='pw2', **where)
        refused('auth', username='eve', password='pw1', **where)
        m.quit()
        m = Screen('sasl=on')  # in the clear nobody may say a password
        refused('auth', unix_path=m.path, username='ann', password='pw1')
        m.quit()


def handed_over():
    m = Screen('disable-ticketing=on')
    port = free_port()
    m.quit()
    m = Screen(f'port={port},addr=127.0.0.1')
    ours, theirs = socket.socketpair()
    import array  # pylint: disable=import-outside-toplevel
    m.qmp.connection.sendmsg([b'{"execute": "getfd", "arguments": {"fdname": "x"}}\n'],
                             [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [theirs.fileno()]))])
    assert m.answer() == {'return': {}}
    theirs.close()
    assert m.command('add_client', protocol='spice', fdname='x', skipauth=True) == {'return': {}}
    # The client's first word: magic, version 2.2, and so on; the answer begins with the same.
    link = bytes(4) + bytes([1, 0]) + bytes(8) + (18).to_bytes(4, 'little')  # main channel, no capabilities
    ours.sendall(b'REDQ' + (2).to_bytes(4, 'little') + (2).to_bytes(4, 'little') + len(link).to_bytes(4, 'little') + link)
    ours.settimeout(10)
    assert ours.recv(4) == b'REDQ'
    ours.close()
    assert 'not in use' not in str(m.command('add_client', protocol='spice', fdname='none'))
    m.quit()


# --- what the monitor knows ---

def queries_and_events():
    m = Screen(OPEN, '-name', 'a guest')
    info = m.command('query-spice')['return']
    assert info['enabled'] and info['host'] == m.path and info['channels'] == [] and info['auth'] == 'none'
    assert 'Channels: none' in m.hmp('info spice')
    v = m.viewer()
    connected, ready = m.wait_event('SPICE_CONNECTED'), m.wait_event('SPICE_INITIALIZED')
    assert connected['data']['client']['family'] == 'unix' and ready['data']['server']['auth'] == 'none'
    assert ready['data']['client']['channel-type'] == 1 and not ready['data']['client']['tls']
    v.wait('primary')
    types = {c['channel-type'] for c in m.command('query-spice')['return']['channels']}
    assert {1, 2, 3} <= types, types
    assert 'channel name: main' in m.hmp('info spice')
    v.close()
    for _ in types:
        m.wait_event('SPICE_DISCONNECTED')
    assert 'disable-ticketing' in m.command('set_password', protocol='spice', password='x')['error']['desc']
    assert "expects 'spice'" in m.command('client_migrate_info', protocol='vnc', hostname='a')['error']['desc']
    assert 'port/tls-port' in m.command('client_migrate_info', protocol='spice', hostname='a')['error']['desc']
    m.quit()
    m = screen.Screen(where='nowhere')
    assert m.command('query-spice')['return'] == {'enabled': False, 'migrated': False, 'mouse-mode': 'client'}
    assert m.hmp('info spice') == 'Server: disabled\n'
    for command, arguments in (('set_password', {'protocol': 'spice', 'password': 'x'}),
                               ('expire_password', {'protocol': 'spice', 'time': 'now'}),
                               ('client_migrate_info', {'protocol': 'spice', 'hostname': 'a', 'port': 1})):
        assert m.command(command, **arguments)['error']['class'] == 'DeviceNotActive'
    with open(f'/proc/{m.process.pid}/maps', encoding='utf-8') as f:
        assert not any('spice' in os.path.basename(line.strip()) for line in f)
    m.quit()


def words():
    """What is refused, and what is warned of."""
    port = free_port()
    for spice, why in (('port=70000', 'spice port is out of range'), ('tls-port=70000', 'spice tls-port is out of range'),
                       ('unix=on', 'needs the path'), ('port=1,password=x', 'password-secret'),
                       ('image-compression=x', 'invalid image-compression: x'), ('port=1,ipv4=off,ipv6=off', 'no way to listen'),
                       ('tls-channel=main', 'without specifying a TLS port'), ('port=1,gl=on', 'local-only'),
                       ('tls-port=1,x509-dir=/none', '/none/server-key.pem'), ('password-secret=x', "No secret with id 'x'"),
                       ('unix=on,addr=/none/x', 'failed to initialize spice server'),
                       ('display=x', "Device 'x' not found"), ('tls-port=1,tls-channel=x', 'invalid tls-channel: x')):
        status, _, err = run('-display', 'none', '-nodefaults', '-machine', 'none', '-spice', spice)
        assert status == 1 and why in err.strip().split('\n')[-1], (spice, err)
    for spice, word in ((f'port={port},{OPEN}', 'lets everybody in'), (f'port={port},password-secret=s', 'in the clear'),
                        (f'port={port},{OPEN},addr=127.0.0.1', ''), ('unix=on,addr=@/s,' + OPEN, '')):
        with tempfile.TemporaryDirectory() as folder:
            p = subprocess.run([os.environ['VITRINE'], '-display', 'none', '-nodefaults', '-machine', 'none', '-monitor', 'stdio',
                                '-object', 'secret,id=s,data=x', '-spice', spice.replace('@', folder)], input='quit\n', text=True,
                               capture_output=True, timeout=30, check=False)
        assert p.returncode == 0 and word in p.stderr and bool(word) == bool(p.stderr), (spice, p.stderr)


# --- ports ---

def ports():
    m = Screen(OPEN, '-chardev', 'spiceport,id=p,name=org.example.door', '-device', 'isa-serial,chardev=p')
    assert any(c['label'] == 'p' and c['filename'] == 'spiceport' for c in m.command('query-chardev')['return'])
    m.command('cont')
    v = m.viewer()
    assert v.wait('port org.example.door') == 'port org.example.door 1'
    v.do('write org.example.door hello')

    assert m.serial(5) == b'hello'
    for byte in b'back':
        m.test(f'outb 0x3f8 {byte:#x}')
        m.test('clock_step 10000000')
    got = b''
    while len(got) < 4:
        got += base64.b64decode(v.wait('data org.example.door').split()[2])
    assert got == b'back'
    v.close()
    m.quit()
    status, _, err = run('-display', 'none', '-chardev', 'spiceport,id=p,name=x')
    assert status == 1 and 'spice not enabled' in err
    status, _, err = run('-display', 'none', '-chardev', 'spicevmc,id=p,name=x')
    assert status == 1 and 'allowed spice char type names: vdagent, smartcard, usbredir' in err
    m = Screen(OPEN)  # while it runs
    assert 'return' in m.command('chardev-add', id='u', backend={'type': 'spicevmc', 'data': {'type': 'usbredir'}})
    assert 'return' in m.command('chardev-add', id='q', backend={'type': 'spiceport', 'data': {'fqdn': 'a.b'}})
    v = m.viewer()
    v.wait('port opened')
    assert 'return' in m.command('chardev-remove', id='q') and 'return' in m.command('chardev-remove', id='u')
    v.close()
    m.quit()


# --- sound ---

def sound():
    """What the guest's loudspeaker plays."""
    m = Screen(OPEN, '-audiodev', 'spice,id=a', '-machine', 'pcspk-audiodev=a')
    m.command('cont')
    v = m.viewer()
    v.wait('playback opened')
    v.wait('record opened')
    for port, value in ((0x43, 0xb6), (0x42, 0xa9), (0x42, 0x04), (0x61, 3)):  # 1 kHz
        m.test(f'outb {port:#x} {value:#x}')
    end = time.monotonic() + 20
    loudest = 0
    while loudest < 1000:
        assert time.monotonic() < end, loudest
        m.test('clock_step 20000000')
        time.sleep(0.02)
        v.ask('events')  # what has been said meanwhile
        loudest = max([int(e.split()[1]) for e in v.events if e.startswith('sound')], default=0)
    assert v.wait('playback 2 ').split()[2] in ('44100', '48000')
    m.test('outb 0x61 0')
    v.close()
    v = m.viewer()  # one that comes later
    v.wait('playback opened')
    v.close()
    m.quit()


def recording():
    """What a viewer says comes to a sound card that records."""
    m = Screen(OPEN, '-audiodev', 'spice,id=a', '-device', 'AC97,audiodev=a')
    slot = next(s for s in range(1, 32) if m.config_read(s, 0) == 0x24158086)
    for register, value in ((0x10, 0xc000), (0x14, 0xc400), (4, 5)):
        m.config_write(slot, register, value)
    m.test('memset 0x200000 0x10000 0')
    for i in range(32):  # buffers of 1024 samples, all the same one
        m.test(f'writel {0x100000 + 8 * i:#x} 0x200000')
        m.test(f'writel {0x100004 + 8 * i:#x} 1024')
    m.test('outw 0xc01c 0')  # the gain that records
    m.test('outl 0xc400 0x100000')
    m.test('outb 0xc405 31')
    m.command('cont')
    m.test('outb 0xc40b 1')
    client = wire.Client(m.path)
    channel = client.channel(wire.RECORD)
    channels, kind, rate = struct.unpack_from('<IHI', channel.wait(wire.RECORD_START))
    assert channels == 2 and kind == 1 and rate in (44100, 48000)
    channel.send(103, bytes(4))
    channel.send(102, struct.pack('<IH', 0, 1))
    end = time.monotonic() + 20
    heard = set()
    while not {8000, 0x10000 - 8000} <= heard:
        assert time.monotonic() < end, sorted(heard)[:10]
        channel.send(101, bytes(4) + (struct.pack('<hh', 8000, 8000) * 240 + struct.pack('<hh', -8000, -8000) * 240))
        m.test('clock_step 10000000')
        time.sleep(0.01)
        data = bytes.fromhex(m.test('read 0x200000 0x800').split()[1][2:])
        heard |= {n for n in struct.unpack('<1024H', data) if n in (8000, 0x10000 - 8000)}
    client.close()
    m.quit()


# --- the agent ---

def the_agent_is_asked():
    """What the options leave out of what viewers say to the agent in the guest, here a serial port."""
    for options, through in (('', [wire.GRAB, wire.FILE_START]), (',disable-copy-paste=on', [wire.FILE_START]),
                             (',disable-agent-file-xfer=on', [wire.GRAB]), (',agent-mouse=off', [wire.GRAB, wire.FILE_START])):
        m = Screen(OPEN + options, '-chardev', 'spicevmc,id=a,name=vdagent', '-device', 'isa-serial,chardev=a')
        m.command('cont')
        client = wire.Client(m.path)
        assert bool(client.mouse_modes & 2) == ('agent-mouse' not in options), (options, client.mouse_modes)
        for n, kind in enumerate((wire.GRAB, wire.FILE_START, wire.CAPABILITIES)):
            client.tell_agent(kind, bytes(16), start=n == 0)
        heard = b''
        while wire.CAPABILITIES not in wire.agent_kinds(heard):
            more = m.serial(1)
            assert more, (options, heard)
            heard += more
        assert [k for k in wire.agent_kinds(heard) if k in (wire.GRAB, wire.FILE_START)] == through, options
        client.close()
        m.quit()


def the_agent_hears_no_millimetres():
    """Of windows: spice-vdagent 0.22 refuses sizes that have them. This card takes no sizes itself."""
    monitors = struct.pack('<IIIii', 600, 800, 32, 0, 0) * 2
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'spice')
        m = Machine('-vga', 'cirrus', '-spice', f'unix=on,addr={path},{OPEN}', '-chardev', 'spicevmc,id=a,name=vdagent', '-device',
                    'isa-serial,chardev=a', qtest=True)
        m.negotiate()
        m.command('cont')
        client = wire.Client(path)
        for n, (flags, millimetres) in enumerate(((3, bytes(8)), (1, b''), (3, bytes(8)))):
            client.tell_agent(wire.MONITORS, struct.pack('<II', 2, flags) + monitors + millimetres, start=not n)
            want = struct.pack('<IIIIQIII', 1, 68, 1, wire.MONITORS, 0, 48, 2, 1) + monitors
            heard = Screen.serial(m, len(want))
            assert heard == want, (flags, heard.hex())
        client.close()
        m.quit()


def the_agent_is_heard():
    """For as long as the viewer gives it tokens, and it gave it two to begin with."""
    m = Screen(OPEN, '-chardev', 'spicevmc,id=a,name=vdagent', '-device', 'isa-serial,chardev=a')
    m.command('cont')
    client = wire.Client(m.path)
    client.main.send(106, struct.pack('<I', 2))
    client.tell_agent(wire.CAPABILITIES, bytes(4), start=False)
    assert wire.agent_kinds(m.serial(32)) == [wire.CAPABILITIES]  # until then the library drops what the agent says
    for n in range(8):
        for byte in struct.pack('<IIIIQIB', 1, 21, 1, wire.CLIPBOARD, 0, 1, n):
            m.test(f'outb 0x3f8 {byte:#x}')
            m.test('clock_step 1000000')
        assert client.main.wait(wire.MAIN_AGENT_DATA) == struct.pack('<IIQIB', 1, wire.CLIPBOARD, 0, 1, n)
        client.main.send(108, struct.pack('<I', 1))
    client.close()
    m.quit()


def which_head():
    """With an agent the pointer says which head it is over."""
    m = Screen(OPEN, '-device', 'VGA,id=second', '-chardev', 'spicevmc,id=a,name=vdagent', '-device', 'isa-serial,chardev=a')
    m.command('cont')
    client = wire.Client(m.path)
    client.tell_agent(wire.CAPABILITIES, bytes(4))
    heard = b''
    while wire.CAPABILITIES not in wire.agent_kinds(heard):  # from then on the library knows whom it speaks to
        more = m.serial(1)
        assert more, heard
        heard += more
    client.display().wait(wire.MARK)
    inputs = client.channel(wire.INPUTS)
    if client.mouse_mode != 2:
        client.main.send(105, struct.pack('<H', 2))
        while struct.unpack_from('<HH', client.main.wait(wire.MAIN_MOUSE_MODE))[1] != 2:
            pass
    for head in (1, 0):
        inputs.send(112, struct.pack('<IIHB', 30, 40, 0, head))
        heard = b''
        while b'\x1e\0\0\0\x28\0\0\0' not in heard or len(heard) < heard.index(b'\x1e\0\0\0\x28\0\0\0') + 13:
            more = m.serial(1)
            assert more, heard
            heard += more
        assert heard[heard.index(b'\x1e\0\0\0\x28\0\0\0') + 12] == head, heard
    client.close()
    m.quit()


# --- the rest ---

def die(times):
    m = Screen()
    r = random.Random(3)
    m.draw(m.noise())
    before = None
    for n in range(times):
        if n == times // 4:  # all that stays is there
            m.viewer().close()
            before = descriptors(m)
        v = m.viewer(wait=None)
        if n % 16 == 0:
            m.draw(m.noise())
        time.sleep(r.random() * 0.15)
        v.kill()
        assert m.process.poll() is None, f'death {n}'
    for _ in range(times * 5):  # and those that do not know how to speak
        s = socket.socket(socket.AF_UNIX)
        s.connect(m.path)
        s.sendall(r.choice([b'', b'REDQ', b'REDQ' + r.randbytes(12), b'REDQ\2\0\0\0\2\0\0\0' + r.randbytes(4) + r.randbytes(200),
                            r.randbytes(300)]))
        if r.random() < 0.5:
            time.sleep(0.01)
        s.close()
    v = m.viewer()
    v.until(m.dump())
    v.close()
    until(lambda: descriptors(m), lambda: descriptors(m) <= before + 8)
    m.quit()


def dies_at_random():
    die(12)


def dies_a_thousand_times():
    die(1000)


def descriptors(m):
    return len(os.listdir(f'/proc/{m.process.pid}/fd'))


def half_hellos():
    whole = wire.hello()
    lies = [whole[:12] + struct.pack('<I', n) + whole[16:] for n in (0xffffffff, 0x7fffffff, 1 << 20, 4096)]
    return [b'', b'R', whole[:4], whole[:16], whole[:-1], whole, *lies]


def until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.05)


def hung_up_on(sockets):
    """Those of them."""
    out = set()
    for s in sockets:
        s.setblocking(False)
        try:
            while s.recv(4096):
                pass
            out.add(s)
        except ConnectionResetError:
            out.add(s)
        except BlockingIOError:
            pass
    return out


def the_silent_make_room():
    """A thousand who connect and say nothing, or half a word: no more than some are kept, and others come in."""
    m = Screen()
    m.draw(m.desk())
    m.viewer().close()
    m.wait_event('SPICE_DISCONNECTED')
    before = descriptors(m)
    r = random.Random(1)
    silent = []
    for n in range(1000):
        s = wire.connect(m.path)
        s.send(r.choice(half_hellos()))
        silent.append(s)
        if n % 100 == 99:
            until(lambda: descriptors(m), lambda: descriptors(m) < before + 64 * 3 + 50)  # three each
    over, most = set(), 0
    end = time.monotonic() + 100  # for each that says enough a key is made
    while len(over) < 1000 - 64:
        assert time.monotonic() < end, len(over)
        over |= hung_up_on(set(silent) - over)
        most = max(most, descriptors(m))
    assert most < before + 1000, (most, before)  # some are on their way out; without a limit there would be twice as many
    v = m.viewer()
    v.until(m.dump())
    assert m.command('query-spice')['return']['channels']
    v.until(m.dump())  # it is not one of those that had to go
    v.close()
    for s in silent:
        s.close()
    until(lambda: (descriptors(m), before), lambda: descriptors(m) <= before)
    m.quit()


def hangs_up(come, look):
    """Its display channel has said nothing yet, or half a word, or its first one just now."""
    for first in (b'', struct.pack('<HI', 101, 14) + bytes(5), struct.pack('<HIBqBi', 101, 14, 1, 1 << 20, 1, 1 << 20)) * 3:
        client = come()
        client.channel(wire.DISPLAY).socket.sendall(first)
        client.close()


def says_nothing(come, look):
    client = come()
    client.channel(wire.DISPLAY)
    look()
    client.close()


def sent_away(channel):
    try:
        while channel.socket.recv(65536):
            pass
    except ConnectionResetError:
        pass


def speaks_of_migration(come, look):
    """There is none."""
    for kind, words in ((wire.MAIN, (4, 5, 102, 103, 109, 110, 111)), (wire.DISPLAY, (4, 5)), (wire.INPUTS, (4, 5)), (wire.CURSOR, (4, 5))):
        for word in words:
            client = come()
            channel = client.main if kind == wire.MAIN else client.display() if kind == wire.DISPLAY else client.channel(kind)
            channel.send(word, bytes(4))
            sent_away(channel)
            client.close()


def gives_tokens(come, look):
    """To an agent that is not there, and one that it has not begun to talk to."""
    client = come()
    for _ in range(3):
        client.main.send(108, struct.pack('<I', 10))
        client.main.send(108, struct.pack('<I', 0xffffffff))
    client.display().all(0.2)
    client.close()


def speaks_out_of_turn(come, look):
    """Nonsense instead of a display channel's first word, right behind it, and that word twice."""
    first, nonsense = struct.pack('<HIBqBi', 101, 14, 1, 1 << 20, 1, 1 << 20), struct.pack('<HI', 60976, 0)
    for words in (nonsense, first + nonsense, first + first):
        client = come()
        channel = client.channel(wire.DISPLAY)
        channel.socket.sendall(words)
        sent_away(channel)
        client.close()


def promises_much(come, look):
    """Memory for which the library would take at once."""
    client = come()
    channel = client.channel(wire.RECORD)
    channel.socket.sendall(struct.pack('<HI', 101, 0xfffffff0))
    sent_away(channel)
    client.close()


def promises_little(come, look):
    """Compressed words to the guest with half a head, with a size that nothing has, and such as are not compressed: their
    size is what lay in the library's memory, which the address sanitizer fills."""
    for body in [b'', b'\1\0\0\0', struct.pack('<BI', 1, 0xbebebebe)] + [bytes(n) for n in range(1, 9)]:
        client = come()
        channel = client.channel(wire.PORT)
        channel.send(102, body)
        sent_away(channel)
        client.close()


# what the attacked speak for
GUESTS = ['-chardev', 'spicevmc,id=a,name=vdagent', '-device', 'isa-serial,chardev=a', '-audiodev', 'spice,id=s',
          '-chardev', 'spiceport,id=d,name=org.example.door']


def attacks(m, place, password='', properties=None):
    def come():
        return wire.Client(place, password)

    def look():
        v = m.viewer(**properties or {})
        v.until(m.dump())
        v.close()
    for attack in (hangs_up, says_nothing, speaks_of_migration, gives_tokens, speaks_out_of_turn, promises_much, promises_little):
        attack(come, look)
        look()


def context_of(folder):
    context = ssl.create_default_context(cafile=f'{folder}/ca-cert.pem')
    context.check_hostname = False
    return context


def machines_outlive_viewers():
    """libspice-server 0.15.1 would end the program for each of these."""
    m = Screen(OPEN, *GUESTS)
    m.draw(m.desk())
    attacks(m, m.path)
    m.quit()


def machines_outlive_viewers_of_tls():
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        tls = free_port()
        m = Screen(f'{OPEN},tls-port={tls},addr=127.0.0.1,x509-dir={folder}', *GUESTS)
        m.draw(m.desk())
        attacks(m, ('127.0.0.1', tls, context_of(folder)),
                properties={'host': 'localhost', 'tls_port': tls, 'ca_file': f'{folder}/ca-cert.pem'})
        m.quit()


def machines_outlive_viewers_with_names():
    if not shutil.which('saslpasswd2'):
        print('# no SASL here')
        return
    with tempfile.TemporaryDirectory() as folder, people(folder) as (options, where):
        m = Screen(options, *GUESTS)
        m.draw(m.desk())
        attacks(m, ('127.0.0.1', where['tls_port'], context_of(folder)), ('ann', 'pw1'), {**where, 'username': 'ann', 'password': 'pw1'})
        m.quit()


def machines_outlive_viewers_of_the_web():
    m = Screen(OPEN, *GUESTS)
    m.draw(m.desk())
    attacks(m, lambda: wire.Web(m.path))
    m.quit()


def nobody_comes_from_elsewhere():
    """Viewers of machines that migrate to here would, and all that end later would wait for the first word of their screens."""
    m = Screen()
    with contextlib.closing(wire.connect(m.path)) as s:
        s.sendall(wire.hello(session=77))
        assert s.recv(1) == b''
    m.quit()


def addresses():
    """Of viewers, not of what stands between them and the library."""
    port = free_port()
    m = Screen(f'{OPEN},port={port},addr=127.0.0.1')
    client = wire.Client(('127.0.0.1', port))
    ours = client.main.socket.getsockname()
    data = m.wait_event('SPICE_INITIALIZED')['data']
    assert (data['client']['host'], data['client']['port']) == (ours[0], str(ours[1])), data
    assert (data['server']['host'], data['server']['port']) == ('127.0.0.1', str(port)), data
    client.close()
    m.quit()


def those_who_dawdle_go():
    """In time; whoever has logged in may be silent for as long as it likes."""
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        plain, tls = free_port(), free_port()
        m = Screen(f'{OPEN},port={plain},tls-port={tls},addr=127.0.0.1,x509-dir={folder}')
        client = wire.Client(('127.0.0.1', plain))
        began = time.monotonic()
        dawdlers = [wire.connect(('127.0.0.1', port)) for port in (plain, tls) for _ in half_hellos()]
        for s, word in zip(dawdlers, half_hellos() * 2):
            s.send(word)
        for s in dawdlers:
            s.settimeout(max(1, began + 60 - time.monotonic()))
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            s.close()
        assert time.monotonic() - began < 45
        assert [c['channel-type'] for c in m.command('query-spice')['return']['channels']] == [1]
        client.close()
        m.quit()


def real_viewers():
    """Those that are installed see what screendump sees."""
    if not shutil.which('spicy-screenshot') or not shutil.which('convert'):
        print('# no spicy-screenshot here')
        return
    m = Screen()
    m.draw(m.desk())
    m.viewer().close()
    with tempfile.TemporaryDirectory() as folder:
        picture = os.path.join(folder, 'picture.ppm')
        env = {**os.environ, 'HOME': folder, 'XDG_CACHE_HOME': folder}
        subprocess.run(['spicy-screenshot', f'--uri=spice+unix://{m.path}', f'--out-file={picture}'], check=True, timeout=30,
                       capture_output=True, env=env)
        seen = subprocess.run(['convert', picture, '-depth', '8', 'rgb:-'], capture_output=True, check=True, timeout=20).stdout
        assert seen == m.dump()
    m.quit()


def windows():
    """Viewers with windows: what they show, a click, a key."""
    spec = importlib.util.spec_from_file_location('viewers', os.path.join(HERE, '../vnc/test-viewers.py'))
    viewers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(viewers)
    if viewers.missing('Xvfb', 'openbox', 'xdotool', 'import', 'spicy', 'remote-viewer'):
        return
    for words in (['spicy', '--uri=URI'], ['remote-viewer', 'URI']):
        m = Screen()
        m.command('cont')
        m.draw(m.desk())
        with contextlib.closing(viewers.Desktop()) as desk:
            desk.open(*(word.replace('URI', f'spice+unix://{m.path}') for word in words))
            x, y = desk.wait_picture(m)
            m.plug_in()
            desk.tool('mousemove', x + 300, y + 200, 'click', 1)  # which they keep: the pointer is the guest's from now on
            time.sleep(0.5)
            desk.tool('click', 1)
            m.wait_hands('a click', lambda m=m: viewers.clicked(m))
            desk.tool('key', 'a')
            m.wait_hands('a key', lambda m=m: viewers.KEY_A == [c for c in m.typed if c in viewers.KEY_A])
        m.quit()


def the_app():
    """-display spice-app starts what the desktop has for it."""
    with tempfile.TemporaryDirectory() as folder:
        apps = os.path.join(folder, 'share/applications')
        os.makedirs(apps)
        mark = os.path.join(folder, 'mark')
        with open(os.path.join(folder, 'viewer'), 'w', encoding='utf-8') as f:
            f.write(f'#!/bin/sh\necho "$1" > {mark}.new\nmv {mark}.new {mark}\n')
        os.chmod(os.path.join(folder, 'viewer'), 0o755)
        with open(os.path.join(apps, 'v.desktop'), 'w', encoding='utf-8') as f:
            f.write(f'[Desktop Entry]\nType=Application\nName=V\nExec={folder}/viewer %u\nMimeType=x-scheme-handler/spice+unix;\n')
        with open(os.path.join(apps, 'mimeapps.list'), 'w', encoding='utf-8') as f:
            f.write('[Default Applications]\nx-scheme-handler/spice+unix=v.desktop\n')
        saved = dict(os.environ)
        os.environ.update({'HOME': folder, 'XDG_DATA_HOME': f'{folder}/share', 'XDG_RUNTIME_DIR': folder, 'XDG_DATA_DIRS': f'{folder}/none'})
        try:
            m = screen.Screen('-display', 'spice-app', '-monitor', 'vc', '-serial', 'vc', where='nowhere')
        finally:
            os.environ.clear()
            os.environ.update(saved)
        end = time.monotonic() + 10
        while not os.path.exists(mark):
            assert time.monotonic() < end
            time.sleep(0.05)
        with open(mark, encoding='utf-8') as f:
            uri = f.read().strip()
        v = Viewer(uri=uri)
        v.until(m.dump())
        assert {v.wait('port org')[5:], v.wait('port org')[5:]} == {'org.qemu.monitor.hmp.0 1', 'org.qemu.console.serial.0 1'}
        v.do('write org.qemu.monitor.hmp.0 help\r')
        v.wait('data org.qemu.monitor.hmp.0')
        v.close()
        m.quit()
        assert not os.path.exists(uri.split('://')[1])


if __name__ == '__main__':
    ALONE = [queries_and_events, words] if not VIEWER else [
        pictures_are_exact, sizes_follow, small_changes, in_a_browser, what_moves, several_heads, clients_say_the_size, hands, pointing, the_wheel,
        a_tablet, lights, tickets, certificates, logging_in_by_name, handed_over, queries_and_events, words, ports, sound, recording,
        the_agent_is_asked, the_agent_hears_no_millimetres, the_agent_is_heard, which_head, the_silent_make_room, machines_outlive_viewers, machines_outlive_viewers_of_tls,
        machines_outlive_viewers_with_names, machines_outlive_viewers_of_the_web, nobody_comes_from_elsewhere,
        addresses, dies_at_random, real_viewers, windows, the_app]
    SLOW = [those_who_dawdle_go, dies_a_thousand_times]
    chosen = [t for t in ALONE + SLOW if t.__name__ in sys.argv[1:]] if len(sys.argv) > 1 else ALONE
    sys.exit(main(chosen))
