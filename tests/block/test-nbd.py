#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""vitrine-nbd: a client written here after the NBD protocol, hostile ones, and the known one where installed."""
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time

from tools import HAVE_PEER, Bench
from program import main

IHAVEOPT = 0x49484156454f5054
ACK, INFO, META = 1, 3, 4
GO, LIST, STRUCTURED, SET_META = 7, 3, 8, 10


class Server:
    def __init__(self, bench, *args):
        self.path = bench.file('sock')
        program = os.path.join(bench.bin.name, 'qemu-nbd')
        self.process = subprocess.Popen([program, '-t', '-e', '0', '-k', self.path, *args], cwd=bench.path,
                                        stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 30
        while not os.path.exists(self.path):
            assert time.monotonic() < end and self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(self.path)
        return s

    def end(self):
        self.process.terminate()
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0 and 'Sanitizer' not in err and 'runtime error' not in err, err


class Client:
    def __init__(self, server, export=b'', structured=True):
        self.s = server.connect()
        self.structured = structured
        magic, opts, flags = struct.unpack('>QQH', self.take(18))
        assert magic == 0x4e42444d41474943 and opts == IHAVEOPT and flags == 3, flags
        self.s.sendall(struct.pack('>I', 3))
        if structured:
            assert self.option(STRUCTURED)[-1][0] == ACK
            query = b'base:allocation'
            data = struct.pack('>I', len(export)) + export + struct.pack('>II', 1, len(query)) + query
            replies = self.option(SET_META, data)
            assert replies[0] == (META, struct.pack('>I', 0) + query) and replies[1][0] == ACK, replies
        replies = self.option(GO, struct.pack('>I', len(export)) + export + struct.pack('>H', 0))
        self.error = replies[-1][0]
        for kind, body in replies:
            if kind == INFO and body[:2] == b'\0\0':
                self.size, self.flags = struct.unpack('>QH', body[2:])

    def take(self, n):
        data = b''
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def option(self, number, data=b''):
        self.s.sendall(struct.pack('>QII', IHAVEOPT, number, len(data)) + data)
        replies = []
        while not replies or not (replies[-1][0] == ACK or replies[-1][0] >> 31):
            magic, option, kind, n = struct.unpack('>QIII', self.take(20))
            assert magic == 0x3e889045565a9 and option == number
            replies.append((kind, self.take(n)))
        return replies

    def request(self, kind, offset, length, data=b'', flags=0):
        """(error, data or extents)"""
        self.s.sendall(struct.pack('>IHHQQI', 0x25609513, flags, kind, 77, offset, length) + data)
        if not self.structured:
            magic, error, handle = struct.unpack('>IIQ', self.take(16))
            assert magic == 0x67446698 and handle == 77
            return error, self.take(length) if kind == 0 and not error else b''
        error, out, extents, done = 0, bytearray(length if kind == 0 else 0), [], False
        while not done:
            magic, flags_, chunk, handle, n = struct.unpack('>IHHQI', self.take(20))
            assert magic == 0x668e33ef and handle == 77
            body, done = self.take(n), bool(flags_ & 1)
            if chunk == 1:
                at = struct.unpack('>Q', body[:8])[0] - offset
                out[at:at + n - 8] = body[8:]
            elif chunk == 5:
                extents = [struct.unpack('>II', body[i:i + 8]) for i in range(4, n, 8)]
            elif chunk == 0x8001:
                error = struct.unpack('>I', body[:4])[0]
        return error, extents if kind == 7 else bytes(out)

    def close(self):
        self.s.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 2, 0, 0, 0))
        self.s.close()


def prepare(b):
    b.img('create', '-q', '-f', 'qcow2', 'a', '8M')
    b.io('a', 'write -P 7 1M 1M')


def requests():
    for structured in (True, False):
        with Bench() as b:
            prepare(b)
            server = Server(b, '-f', 'qcow2', '-x', 'disk', 'a')
            c = Client(server, b'disk', structured)
            assert c.error == ACK and c.size == 8 << 20
            assert c.request(0, 1 << 20, 4096) == (0, b'\7' * 4096)
            assert c.request(0, (1 << 20) - 3, 6) == (0, b'\0' * 3 + b'\7' * 3)
            assert c.request(1, 5000, 10, b'0123456789', flags=1)[0] == 0
            assert c.request(0, 4999, 12) == (0, b'\x000123456789\0')
            assert c.request(6, 1 << 20, 65536)[0] == 0
            assert c.request(0, 1 << 20, 8) == (0, b'\0' * 8)
            assert c.request(4, 2 << 20, 65536)[0] == 0
            assert c.request(3, 0, 0)[0] == 0
            if structured:
                error, extents = c.request(7, 0, 8 << 20)
                assert not error and sum(n for n, _ in extents) == 8 << 20 and extents[0] == (65536, 0), extents
                assert len(c.request(7, 0, 8 << 20, flags=8)[1]) == 1
            assert c.request(0, 8 << 20, 1)[0] == 22 and c.request(1, 8 << 20, 1, b'x')[0] == 28
            assert c.request(99, 0, 1)[0] == 22 and c.request(0, 0, 1, flags=0x8000)[0] == 22
            c.close()
            server.end()
            b.io('a', 'read -P 48 5000 1')
            b.img('check', 'a')


def readonly_and_names():
    with Bench() as b:
        prepare(b)
        server = Server(b, '-r', '-f', 'qcow2', '-x', 'disk', '-D', 'words', 'a')
        c = Client(server, b'disk')
        assert c.flags & 2
        assert c.request(1, 0, 1, b'x')[0] == 1 and c.request(6, 0, 1)[0] == 1
        c.close()
        c = Client(server, b'other', structured=False)
        assert c.error == 0x80000006
        replies = c.option(LIST)
        assert replies[0] == (2, struct.pack('>I', 4) + b'diskwords') and replies[1][0] == ACK, replies
        server.end()


def last_client_ends_it():
    with Bench() as b:
        prepare(b)
        status, _, err = b.run('qemu-nbd', '--fork', '--pid-file', 'pid', '-k', b.file('sock'), '-f', 'qcow2', 'a')
        assert status == 0 and not err, err
        with open(b.file('pid'), encoding='ascii') as f:
            assert int(f.read()) > 1
        s = socket.socket(socket.AF_UNIX)
        s.connect(b.file('sock'))
        s.close()
        end = time.monotonic() + 30
        while (os.path.exists(b.file('pid')) or os.path.exists(b.file('sock'))) and time.monotonic() < end:
            time.sleep(0.01)
        assert not os.path.exists(b.file('pid')) and not os.path.exists(b.file('sock'))
        status, _, err = b.run('qemu-nbd', '--fork', '-k', b.file('sock'), 'nonex')
        assert status == 1 and 'No such file or directory' in err, err
        status, _, err = b.run('qemu-nbd', '--tls-creds', 'x', 'a')
        assert status == 1 and err == "qemu-nbd: Failed to get TLS creds: No TLS credentials with id 'x'\n", err


def hostile():
    chance = random.Random(5)
    with Bench() as b:
        prepare(b)
        server = Server(b, '-f', 'qcow2', 'a')
        for round_ in range(150):
            s = server.connect()
            s.sendall(struct.pack('>I', chance.choice((0, 1, 3, 3, 3, 0xffffffff))))
            for _ in range(chance.randrange(1, 6)):
                data = bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
                length = chance.choice((len(data), len(data), len(data), 0, 0xffffffff, 70000))
                number = chance.choice((1, 2, 3, 5, 6, 7, 8, 9, 10, 99))
                if number in (7, 6, 9, 10) and chance.random() < 0.5:
                    data = struct.pack('>I', chance.choice((0, 4, 0xffffffff))) + data
                    length = len(data)
                try:
                    s.sendall(struct.pack('>QII', IHAVEOPT, number, length) + data)
                except OSError:
                    break
            if round_ % 2:
                try:
                    s.sendall(bytes(chance.randrange(256) for _ in range(500)))
                except OSError:
                    pass
            s.close()
        for _ in range(40):  # requests
            c = Client(server)
            try:
                for _ in range(8):
                    kind, length = chance.randrange(9), chance.choice((0, 1, 512, 1 << 20, 40 << 20, 0xffffffff))
                    c.s.sendall(struct.pack('>IHHQQI', 0x25609513, chance.choice((0, 0, 1, 4, 8, 0xffff)), kind, 1,
                                            chance.choice((0, 1 << 20, 1 << 63, (1 << 64) - 1)), length))
            except OSError:
                pass
            c.s.close()
        c = Client(server)  # still there
        assert c.request(0, 0, 1)[0] == 0
        c.close()
        server.end()
        b.img('check', 'a')


REFUSED = '''
-f foo a
-e x a
-e -1 a
-o x a
--cache=foo a
--cache=none --cache=none a
-n --cache=none a
--aio=foo a
--discard=foo a
--image-opts -f raw a
--tls-creds x a
--tls-authz x a
--selinux-label x a
nofile
'''


def refused():
    with Bench() as ours, Bench(peer=HAVE_PEER) as theirs:
        for b in ours, theirs:
            b.img('create', '-q', '-f', 'qcow2', 'a', '1M')
        for line in REFUSED.strip().split('\n'):
            a, b = [bench.run('qemu-nbd', '-f', 'raw', *line.split()) if '-f' not in line and 'image' not in line
                    else bench.run('qemu-nbd', *line.split()) for bench in (ours, theirs)]
            assert a[0] == 1 and a[2] and a == b, (line, a, b)
        # Without SELinux no label can be set, and then nobody listens.
        if not os.path.exists('/sys/fs/selinux/enforce'):
            status, _, err = ours.run('qemu-nbd', '-k', ours.file('s'), '--selinux-label', 'x', '-f', 'raw', 'a')
            assert status == 1 and 'SELinux' in err and not os.path.exists(ours.file('s')), (status, err)


def known_client():
    if not HAVE_PEER:
        return
    with Bench() as ours, Bench(peer=True) as theirs:
        prepare(ours)
        theirs.path = ours.path
        server = Server(ours, '-f', 'qcow2', '-x', 'e', 'a')
        url = f'nbd+unix:///e?socket={server.path}'
        theirs.io(url, 'read -P 7 1M 1M', 'write -P 9 3M 1M', 'read -P 9 3M 1M', 'write -z 3M 64k', 'flush',
                  options=('-f', 'raw'))
        theirs.img('convert', '-f', 'raw', '-O', 'raw', url, 'copy')
        server.end()
        ours.img('compare', '-F', 'raw', 'a', 'copy')


def our_client():
    """The driver over our server: data, zeros, holes, bitmaps, allocation depth, the old names, listing."""
    with Bench() as b:
        prepare(b)
        b.img('bitmap', '--add', '-g', '65536', 'a', 'bm')
        b.io('a', 'write -P 8 6M 64k')
        server = Server(b, '-f', 'qcow2', '-x', 'e', '-A', '-B', 'bm', '-D', 'some words', 'a')
        url = f'nbd+unix:///e?socket={server.path}'
        b.io(url, 'read -P 7 1M 1M', 'write -P 9 3M 1M', 'read -P 9 3M 1M', 'write -z 3M 64k', 'read -P 0 3M 64k',
             'write -f -P 1 4000 100', 'discard 4M 1M', 'flush', options=('-f', 'raw'))
        out = b.img('map', '--output=json', '-f', 'raw', url)
        assert '"start": 1048576, "length": 1048576, "depth": 0, "present": true, "zero": false, "data": true' in out, out
        image = f'driver=nbd,server.type=unix,server.path={server.path},export=e,x-dirty-bitmap=qemu:dirty-bitmap:bm'
        out = b.img('map', '--output=json', '--image-opts', image)
        assert '"start": 6291456, "length": 65536, "depth": 0, "present": true, "zero": false, "data": false' in out, out
        status, _, err = b.run('qemu-img', 'map', '--image-opts', image + 'x')
        assert status == 1 and 'requested x-dirty-bitmap qemu:dirty-bitmap:bmx not found' in err, err
        b.img('convert', '-f', 'raw', '-O', 'qcow2', f'nbd:unix:{server.path}:exportname=e', 'copy')
        status, out, _ = b.run('qemu-nbd', '-L', '-k', server.path)
        assert status == 0 and out == """exports available: 1
 export: 'e'
  description: some words
  size:  8388608
  flags: 0xded ( flush fua trim zeroes df multi cache fast-zero )
  min block: 1
  opt block: 4096
  max block: 33554432
  available meta contexts: 3
   base:allocation
   qemu:allocation-depth
   qemu:dirty-bitmap:bm
""", out
        server.end()
        b.img('compare', 'a', 'copy')
        for name, words in (('nbd:foo', "error parsing address 'foo'"), ('nbd://foo?x', 'No valid URL specified'),
                            ('nbd+unix:///', 'No valid URL specified'),
                            ('nbd+unix:///?socket=nonex', "Failed to connect to 'nonex': No such file or directory")):
            status, _, err = b.run('qemu-img', 'info', name)
            assert status == 1 and err == f"qemu-img: Could not open '{name}': {words}\n", err


def peer_server():
    """The driver over servers of other makes."""
    if not HAVE_PEER:
        return
    with Bench() as ours, Bench(peer=True) as theirs:
        prepare(ours)
        theirs.path = ours.path
        server = Server(theirs, '-f', 'qcow2', '-x', 'e', 'a')
        url = f'nbd+unix:///e?socket={server.path}'
        ours.io(url, 'read -P 7 1M 1M', 'write -P 9 3M 1M', 'read -P 9 3M 1M', 'write -z 3M 64k', 'flush',
                options=('-f', 'raw'))
        ours.img('convert', '-f', 'raw', '-O', 'raw', url, 'copy')
        server.end()
        ours.img('compare', '-F', 'raw', 'a', 'copy')
    nbdkit = shutil.which('nbdkit')
    if not nbdkit:
        return
    for args in (['memory', '2M'], ['--no-sr', 'memory', '2M'],
                 ['--filter=blocksize-policy', 'memory', '2M', 'blocksize-minimum=4096', 'blocksize-maximum=65536',
                  'blocksize-error-policy=error']):
        with Bench() as b:
            process = subprocess.Popen([nbdkit, '-f', '-U', b.file('sock'), *args], stderr=subprocess.DEVNULL)
            while not os.path.exists(b.file('sock')):
                assert process.poll() is None, args
                time.sleep(0.01)
            b.io(f'nbd+unix://?socket={b.file("sock")}', 'write -P 5 1000 200000', 'read -P 5 1000 200000',
                 'read -P 0 0 1000', 'write -z 4096 4096', 'read -P 0 4096 4096', 'discard 0 1M', options=('-f', 'raw'))
            process.terminate()
            process.wait()


def tls():
    """x509 both ways, a name that is not the server's, psk, anonymous; authorization by name."""
    if not shutil.which('certtool'):
        return
    with Bench() as b:
        prepare(b)
        make_certificates(b)
        creds = f'tls-creds-x509,id=t,dir={b.path},endpoint='
        deny = 'authz-simple,id=z,identity=CN=somebody else'
        for server_args, client_object, more, works in (
                ([creds + 'server,verify-peer=yes'], creds + 'client', '', True),
                ([creds + 'server,verify-peer=yes'], creds + 'client', ',tls-hostname=elsewhere', False),
                ([creds + 'server,verify-peer=yes', deny], creds + 'client', '', False),
                ([f'tls-creds-anon,id=t,endpoint=server'], 'tls-creds-anon,id=t,endpoint=client', '', True),
                ([f'tls-creds-psk,id=t,endpoint=server,dir={b.path}'],
                 f'tls-creds-psk,id=t,endpoint=client,dir={b.path},username=me', '', True)):
            args = [x for o in server_args for x in ('--object', o)] + (['--tls-authz', 'z'] if len(server_args) > 1 else [])
            server = Server(b, *args, '--tls-creds', 't', '-f', 'qcow2', 'a')
            image = f'driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={server.path}'
            status, _, err = b.run('qemu-io', '-c', 'read -P 7 1M 1M', '--image-opts', image)
            assert status == 1 and 'requires TLS' in err, err
            hostname = '' if 'tls-hostname' in more or 'x509' not in client_object else ',file.tls-hostname=localhost'
            if more:
                more = ',file.' + more[1:]
            status, out, err = b.run('qemu-io', '--object', client_object, '-c', 'read -P 7 1M 1M', '-c',
                                     'write -P 3 3M 3M', '-c', 'read -P 3 3M 3M', '--image-opts',
                                     image + ',file.tls-creds=t' + hostname + more)
            assert (status == 0 and 'failed' not in out) == works, (server_args, more, out, err)
            server.end()


def make_certificates(b):
    def run(*args):
        subprocess.run(['certtool', *args], cwd=b.path, check=True, capture_output=True)
    for name, words in (('ca', 'ca\ncert_signing_key\n'), ('server', 'dns_name = localhost\ntls_www_server\n'),
                        ('client', 'tls_www_client\n')):
        with open(b.file(name + '.info'), 'w', encoding='ascii') as f:
            f.write(f'cn = {name}\nexpiration_days = 30\nencryption_key\nsigning_key\n{words}')
        run('--generate-privkey', '--bits', '2048', '--outfile', name + '-key.pem')
        if name == 'ca':
            run('--generate-self-signed', '--load-privkey', 'ca-key.pem', '--template', 'ca.info', '--outfile', 'ca-cert.pem')
        else:
            run('--generate-certificate', '--load-ca-certificate', 'ca-cert.pem', '--load-ca-privkey', 'ca-key.pem',
                '--load-privkey', name + '-key.pem', '--template', name + '.info', '--outfile', name + '-cert.pem')
    with open(b.file('keys.psk'), 'w', encoding='ascii') as f:
        f.write('me:' + '0123456789abcdef' * 4 + '\n')


def reconnects():
    """The server dies under requests and comes back within the delay, and later than it."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'raw', 'r', '8M')
        server = Server(b, '-f', 'raw', 'r')
        for delay, fails in ((30, False), (1, True)):
            image = (f'driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={server.path},'
                     f'file.reconnect-delay={delay}')
            io = subprocess.Popen([os.path.join(b.bin.name, 'qemu-io'), '--image-opts', image], cwd=b.path, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            io.stdin.write('write -P 1 0 1M\n')
            io.stdin.flush()
            time.sleep(0.5)
            server.process.kill()
            server.process.wait()
            os.unlink(server.path)
            io.stdin.write('write -P 2 0 1M\n')
            io.stdin.flush()
            time.sleep(2.5 if fails else 0.5)
            server = Server(b, '-f', 'raw', 'r')
            if fails:
                time.sleep(2.5)  # it connects all the same
            io.stdin.write('read -P %d 0 1M\n' % (1 if fails else 2))
            out, _ = io.communicate('quit\n', timeout=60)
            assert ('write failed: Input/output error' in out) == fails and 'Pattern' not in out, out
            assert 'read 1048576/1048576' in out and 'Sanitizer' not in out, out
        server.end()
        start = time.monotonic()
        status, _, err = b.run('qemu-io', '-c', 'quit', '--image-opts',
                               f'driver=nbd,server.type=unix,server.path={server.path},open-timeout=2')
        assert status == 1 and 'Failed to connect' in err and 1.5 < time.monotonic() - start < 20, err


if __name__ == '__main__':
    sys.exit(main([requests, readonly_and_names, last_client_ends_it, hostile, refused, known_client, our_client, peer_server, tls,
                   reconnects]))
