# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of wires that are sockets: for coverage.py.

In command lines "{free}" is a port nobody has, "{tcp}" one that listens here and "{udp}", "{udp6}" ones that hear here,
"{stream}" and "{datagrams}" descriptors of one end of a pair, "{vde}" a switch. A probe's link() has the other ends; with
"{wire}" frames of a guest go there and back.
"""
import glob
import os
import re
import shutil
import socket
import struct
import subprocess
import time

from coverage_net import ALL, MAC

OUT = ALL + MAC + b'\x88\xb5' + b'from the guest'.ljust(60, b'.')
IN = MAC + ALL + b'\x88\xb5' + b'to the guest'.ljust(60, b'.')


def bound(kind, host='127.0.0.1'):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, kind)
    s.bind((host, 0))
    s.settimeout(5)
    return s


class Link:
    def __init__(self, args, files):
        self.files, self.session, self.switch = files, None, None
        self.ends, self.given, self.places = {}, [], {}
        self.free = 0
        if '{free}' in args:
            with bound(socket.SOCK_STREAM) as s:
                self.free = s.getsockname()[1]
            self.places['{free}'] = str(self.free)
        for name, kind, host in (('{tcp}', socket.SOCK_STREAM, '127.0.0.1'), ('{udp}', socket.SOCK_DGRAM, '127.0.0.1'),
                                 ('{udp6}', socket.SOCK_DGRAM, '::1')):
            if name in args:
                self.ends[name] = bound(kind, host)
                self.places[name] = str(self.ends[name].getsockname()[1])
        if '{tcp}' in args:
            self.ends['{tcp}'].listen(1)
        for name, kind in (('{stream}', socket.SOCK_STREAM), ('{datagrams}', socket.SOCK_DGRAM)):
            if name in args:
                self.ends[name], theirs = socket.socketpair(socket.AF_UNIX, kind)
                self.ends[name].settimeout(5)
                self.given.append(theirs)
                self.places[name] = str(theirs.fileno())
        if '{vde}' in args:
            self.plug_in()

    def plug_in(self):
        folder = os.path.join(self.files, 'switch')
        self.places['{vde}'] = folder
        if shutil.which('vde_switch'):
            # pylint: disable=consider-using-with
            self.switch = subprocess.Popen(['vde_switch', '-s', folder, '-M', folder + '.mgmt', '-x'], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            end = time.monotonic() + 10
            while not os.path.exists(folder + '.mgmt') and time.monotonic() < end:
                time.sleep(0.02)

    def started(self, session):
        self.session = session
        for s in self.given:
            s.close()

    def close(self):
        for s in self.ends.values():
            s.close()
        if self.switch:
            self.switch.kill()
            self.switch.communicate()

    # --- who is there ---

    def end(self, name):
        return self.ends['{' + name + '}']

    def call(self, host='127.0.0.1'):
        return socket.create_connection((host, self.free), 5)

    def answer(self):
        s = self.end('tcp').accept()[0]
        s.settimeout(5)
        return s

    def abstract(self, name):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect('\0' + name)
        return s

    def late(self, name):
        """A server that comes after the client."""
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(self.files, name))
            s.listen(1)
            s.settimeout(20)
            found = s.accept()[0]
        found.settimeout(5)
        return found

    # --- frames there and back ---

    def arrives(self, send):
        send(IN)
        return self.session.net().first(lambda f: f.startswith(IN)) is not None

    def stream(self, s):
        with s:
            self.session.q('query-status')  # it has seen the connection
            self.session.net().send(OUT)
            got = s.recv(4 + len(OUT), socket.MSG_WAITALL)
            return got == struct.pack('>I', len(OUT)) + OUT and \
                self.arrives(lambda f: s.sendall(struct.pack('>I', len(f)) + f))

    def datagrams(self, s, to=None):
        """From whom the guest's frame came, when it and the answer are as they should be."""
        self.session.net().send(OUT)
        got, who = s.recvfrom(2000)
        return got == OUT and self.arrives(lambda f: s.sendto(f, to or who) if to or who else s.send(f)) and (who or True)

    def paths(self, own, other):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(os.path.join(self.files, other))
            s.settimeout(5)
            return self.datagrams(s) == os.path.join(self.files, own)

    def group(self, address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, self.free))
            s.settimeout(5)
            here = socket.inet_aton('127.0.0.1')
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(address) + here)
            s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            return self.datagrams(s, (address, self.free))

    def l2tp(self, out, into, name='udp'):
        """The headers in hexadecimal."""
        s = self.end(name)
        self.session.net().send(OUT)
        got, who = s.recvfrom(2000)
        return got == bytes.fromhex(out) + OUT and who[1] == self.free and \
            self.arrives(lambda f: s.sendto(bytes.fromhex(into) + f, who))

    # --- what the system knows ---

    def sockets(self, table):
        """(own port, state, timer) of the program's sockets, and whose port is at the other end."""
        owned = set()
        for fd in glob.glob(f'/proc/{self.session.process.pid}/fd/*'):
            try:
                owned.update(re.findall(r'socket:\[(\d+)\]', os.readlink(fd)))
            except OSError:
                pass
        with open(f'/proc/net/{table}', encoding='ascii') as f:
            for words in map(str.split, list(f)[1:]):
                if words[9] in owned:
                    yield int(words[1].split(':')[1], 16), words[3], words[5][:2], int(words[2].split(':')[1], 16)

    def listens(self, table='tcp'):
        return [s[0] for s in self.sockets(table) if s[1] == '0A']

    def keeps_alive(self):
        port = self.end('tcp').getsockname()[1]
        with self.answer():
            return any(s[2] == '02' and s[3] == port for s in self.sockets('tcp'))

    def mptcp(self):
        with open('/proc/net/protocols', encoding='ascii') as f:
            return any(int(line.split()[2]) for line in f if line.startswith('MPTCP'))

    def ports(self):
        """The switch's, as it prints them; None: there is no switch to be had."""
        if not self.switch:
            return None
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(self.files, 'switch.mgmt'))
            s.settimeout(5)
            s.sendall(b'port/print\n')
            text = b''
            while b'1000 Success' not in text:
                text += s.recv(65536)
        return text.decode()

    def plugs(self):
        """Permissions of the switch's sockets to the programs'."""
        return [oct(os.stat(p).st_mode & 0o777) for p in glob.glob(os.path.join(self.files, 'switch', '[0-9]*'))]
