# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest by hand on the wire of a user-mode network, and interfaces of a network namespace: for coverage.py.

"{wire}" in a command line is a card with two filters, through which a probe's net() sends what a guest would and hears
what it would. "alone" in front of a line starts the program in a network namespace of its own, with a TAP interface as
descriptor 50 and one of two queues as 51 and 52.
"""
import ctypes
import fcntl
import os
import socket
import struct
import sys
import time

WIRE = ('-device e1000,netdev=n -chardev socket,id=i,path=@/in,server=on,wait=off '
        '-chardev socket,id=o,path=@/out,server=on,wait=off '
        '-object filter-redirector,id=fi,netdev=n,indev=i,queue=rx '
        '-object filter-redirector,id=fo,netdev=n,outdev=o,queue=tx')
MAC, ALL = bytes.fromhex('525400123456'), b'\xff' * 6
TUNSETIFF, TUNGETIFF, TUNGETSNDBUF = 0x400454ca, 0x800454d2, 0x800454d3
INHERITED = (50, 51, 52)
TAP, NO_PI, VNET_HDR, MULTI_QUEUE = 2, 0x1000, 0x4000, 0x100


def checksum(data):
    total = sum(struct.unpack(f'>{len(data) // 2}H', data[:len(data) & ~1])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


class Guest:
    """Knows as much of the protocols as the probes need."""

    def __init__(self, folder):
        self.sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        for s, name in zip(self.sockets, ('in', 'out')):
            s.connect(os.path.join(folder, name))
        self.buffer = b''
        self.port = 40000

    def close(self):
        for s in self.sockets:
            s.close()

    def send(self, frame):
        frame = frame.ljust(60, b'\0')
        self.sockets[0].sendall(struct.pack('>I', len(frame)) + frame)

    def frames(self, seconds):
        end = time.monotonic() + seconds
        while True:
            while len(self.buffer) >= 4 and len(self.buffer) >= 4 + int.from_bytes(self.buffer[:4], 'big'):
                size = 4 + int.from_bytes(self.buffer[:4], 'big')
                frame, self.buffer = self.buffer[4:size], self.buffer[size:]
                yield frame
            left = end - time.monotonic()
            if left <= 0:
                return
            self.sockets[1].settimeout(left)
            try:
                self.buffer += self.sockets[1].recv(65536)
            except TimeoutError:
                return

    def first(self, wanted, seconds=4):
        return next((f for f in self.frames(seconds) if wanted(f)), None)

    # IPv4.
    def ip4(self, protocol, source, target, payload):
        head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, socket.inet_aton(source),
                           socket.inet_aton(target))
        head = head[:10] + struct.pack('>H', checksum(head)) + head[12:]
        self.send((ALL if target == '255.255.255.255' else b'\x52\x55' + socket.inet_aton(target)) + MAC + b'\x08\0' +
                  head + payload)

    def arp(self, address, own='10.0.2.15', seconds=4):
        """Is somebody there?"""
        self.send(ALL + MAC + b'\x08\x06\0\1\x08\0\6\4\0\1' + MAC + socket.inet_aton(own) + bytes(6) +
                  socket.inet_aton(address))
        answer = b'\0\2'
        return self.first(lambda f: f[12:14] == b'\x08\6' and f[20:22] == answer and f[28:32] == socket.inet_aton(address),
                          seconds) is not None

    def sought(self, address, seconds=4):
        """Does the network look for that guest?"""
        return self.first(lambda f: f[12:14] == b'\x08\6' and f[38:42] == socket.inet_aton(address), seconds) is not None

    def udp(self, source, target, own_port, port, data):
        self.ip4(17, source, target, struct.pack('>HHHH', own_port, port, 8 + len(data), 0) + data)

    def dhcp(self, seconds=4):
        """The offer: address, boot file, options by number. None: there is no server."""
        request = (struct.pack('>BBBBIHH16s', 1, 1, 6, 0, 0x1234, 0, 0x8000, b'') + MAC + bytes(10 + 192) +
                   b'\x63\x82\x53\x63' + b'\x35\1\1\xff')
        self.udp('0.0.0.0', '255.255.255.255', 68, 67, request.ljust(300, b'\0'))
        frame = self.first(lambda f: f[12:14] == b'\x08\0' and f[23] == 17 and f[36:38] == b'\0\x44', seconds)
        if not frame:
            return None
        reply, found, at = frame[42:], {}, 240
        while at + 1 < len(reply) and reply[at] != 255:
            if reply[at]:
                found[reply[at]] = reply[at + 2:at + 2 + reply[at + 1]]
                at += 1 + reply[at + 1]
            at += 1
        name = {'ip': reply[16:20], 'router': found.get(3), 'dns': found.get(6), 'mask': found.get(1)}
        return ({k: socket.inet_ntoa(v) for k, v in name.items() if v} | {'file': reply[108:236].rstrip(b'\0').decode()} |
                found)

    def tftp(self, name, server='10.0.2.2'):
        self.arp(server)
        self.udp('10.0.2.15', server, 5000, 69, b'\0\1' + name.encode() + b'\0octet\0')
        frame = self.first(lambda f: f[12:14] == b'\x08\0' and f[23] == 17 and f[36:38] == b'\x13\x88')
        return frame[46:14 + int.from_bytes(frame[16:18], 'big')] if frame and frame[43] == 3 else None

    def tcp(self, server, port, data=b'', seconds=4):
        """What a server says after DATA; None: it does not let us in."""
        self.port += 1
        self.arp(server, seconds=1)
        state = {'seq': 1000, 'ack': 0}

        def segment(flags, payload=b''):
            head = struct.pack('>HHIIBBHHH', self.port, port, state['seq'], state['ack'], 0x50, flags, 60000, 0, 0)
            pseudo = (socket.inet_aton('10.0.2.15') + socket.inet_aton(server) +
                      struct.pack('>BBH', 0, 6, len(head) + len(payload)))
            total = checksum(pseudo + head + payload)
            self.ip4(6, '10.0.2.15', server, head[:16] + struct.pack('>H', total) + head[18:] + payload)

        def answer(f):
            return f[12:14] == b'\x08\0' and f[23] == 6 and f[36:38] == struct.pack('>H', self.port)
        segment(2)
        frame = self.first(answer, seconds)
        if not frame or frame[47] & 4:
            return None
        state['seq'] += 1
        state['ack'] = int.from_bytes(frame[38:42], 'big') + 1
        segment(0x10)
        if data:
            segment(0x18, data)
        got = b''
        for frame in self.frames(seconds):
            if not answer(frame):
                continue
            payload = frame[34 + (frame[46] >> 4) * 4:14 + int.from_bytes(frame[16:18], 'big')]
            if int.from_bytes(frame[38:42], 'big') == state['ack']:
                got += payload
                state['ack'] += len(payload)
                if frame[47] & 1:
                    break
            segment(0x10)
        return got

    # IPv6.
    def icmp6(self, target, mac, kind, body):
        own = socket.inet_pton(socket.AF_INET6, 'fe80::5054:ff:fe12:3456')
        target = socket.inet_pton(socket.AF_INET6, target)
        text = struct.pack('>BBH', kind, 0, 0) + body
        total = checksum(own + target + struct.pack('>II', len(text), 58) + text)
        self.send(mac + MAC + b'\x86\xdd' + struct.pack('>IHBB', 6 << 28, len(text), 58, 255) + own + target + text[:2] +
                  struct.pack('>H', total) + text[4:])

    def ra(self, seconds=4):
        """The prefix that the router tells, with its length."""
        self.icmp6('ff02::2', b'\x33\x33\0\0\0\2', 133, bytes(4) + b'\1\1' + MAC)
        frame = self.first(lambda f: f[12:14] == b'\x86\xdd' and f[20] == 58 and f[54] == 134, seconds)
        at = 70
        while frame and at + 1 < len(frame) and frame[at + 1]:
            if frame[at] == 3:
                return f'{socket.inet_ntop(socket.AF_INET6, frame[at + 16:at + 32])}/{frame[at + 2]}'
            at += frame[at + 1] * 8
        return None

    def ndp(self, address, seconds=4):
        packed = socket.inet_pton(socket.AF_INET6, address)
        self.icmp6(address, b'\x33\x33\xff' + packed[-3:], 135, bytes(4) + packed + b'\1\1' + MAC)
        return self.first(lambda f: f[12:14] == b'\x86\xdd' and f[20] == 58 and f[54] == 136 and f[62:78] == packed,
                          seconds) is not None


# --- TAP ---

def ioctl_of(pid, request, size=40):
    """What an ioctl says of a process's TAP interfaces, one after the other."""
    process = os.pidfd_open(pid)
    answers = []
    for number in sorted(map(int, os.listdir(f'/proc/{pid}/fd'))):
        if number in INHERITED:
            continue
        try:
            if os.readlink(f'/proc/{pid}/fd/{number}') != '/dev/net/tun':
                continue
        except OSError:
            continue
        fd = ctypes.CDLL(None).syscall(438, process, number, 0)  # pidfd_getfd
        if fd < 0:
            raise OSError('no pidfd_getfd')
        try:
            answers.append(fcntl.ioctl(fd, request, bytes(size)))
        except OSError:
            answers.append(b'')
        os.close(fd)
    os.close(process)
    return answers


def tap_flags(pid):
    return [struct.unpack('H', a[16:18])[0] for a in ioctl_of(pid, TUNGETIFF) if a]


def tap_buffers(pid):
    return [struct.unpack('i', a[:4])[0] for a in ioctl_of(pid, TUNGETSNDBUF) if a]


def open_tap(name, flags, number):
    fd = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), TAP | NO_PI | flags))
    os.dup2(fd, number, inheritable=True)
    os.close(fd)


# What "helper=" of a command line runs: makes a TAP interface and writes down what it was told.
HELPER = f'''#!{sys.executable}
import fcntl, os, socket, struct, sys
with open(os.path.join(os.path.dirname(sys.argv[0]), 'told'), 'w') as f:
    f.write(' '.join(sys.argv[1:]))
fd = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(fd, {TUNSETIFF}, struct.pack('16sH22x', b'tap%d', {TAP | NO_PI | VNET_HDR}))
there = next(a for a in sys.argv if a.startswith('--fd='))
socket.send_fds(socket.socket(fileno=int(there[5:])), [b'x'], [fd])
'''
SCRIPT = '#!/bin/sh\necho "ran $1" >> "$(dirname "$0")/told"\n'

if __name__ == '__main__':
    open_tap('one', VNET_HDR, 50)
    open_tap('two', VNET_HDR | MULTI_QUEUE, 51)
    open_tap('two', VNET_HDR | MULTI_QUEUE, 52)
    os.execv(sys.argv[1], sys.argv[1:])
