# SPDX-License-Identifier: GPL-3.0-or-later
"""The back end's side of the vhost-user protocol: a host on a wire of its own that answers ARP and pings, working on the
rings of a virtio card in another process's guest."""
import mmap
import os
import select
import socket
import struct
import threading

VERSION_1, MRG_RXBUF, PROTOCOL = 1 << 32, 1 << 15, 1 << 30
MQ, RARP, REPLY_ACK = 1, 4, 8
OWN_MAC = bytes.fromhex('525400090101')


class Ring:
    def __init__(self):
        self.num = self.base = self.desc = self.used = self.avail = 0
        self.kick = self.call = None
        self.enabled = False


class Backend:
    """Listens at PATH until stop()."""

    def __init__(self, path, own='10.9.1.1', queues=1):
        self.path, self.own, self.queues = path, socket.inet_aton(own), queues
        self.regions, self.rings, self.packets, self.announced = [], {}, [], 0
        self.seen, self.connections = [], 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.stopping, self.connection = False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.drop()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        os.unlink(self.path)

    def drop(self):
        """Leaves without a word."""
        if self.connection:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self):
        while not self.stopping:
            try:
                self.connection, _ = self.listener.accept()
                self.connections += 1
                self.serve()
            except (OSError, EOFError):
                pass
            self.regions, self.rings = [], {}

    def serve(self):
        while not self.stopping:
            kicks = {r.kick: i for i, r in self.rings.items() if r.kick is not None}
            ready, _, _ = select.select([self.connection, *kicks], [], [])
            for fd in ready:
                if fd is self.connection:
                    self.message()
                elif fd in kicks and kicks[fd] in self.rings:
                    os.read(fd, 8)
                    if kicks[fd] % 2:
                        self.transmit(kicks[fd])

    def message(self):
        head, fds, _, _ = socket.recv_fds(self.connection, 12, 8)
        if not head:
            raise EOFError
        request, flags, size = struct.unpack('<III', head)
        body = b''
        while len(body) < size:
            body += self.connection.recv(size - len(body))
        self.seen.append(request)
        number = struct.unpack('<Q', body)[0] if size == 8 else 0
        index, value = struct.unpack('<II', body) if size == 8 else (0, 0)
        reply = None
        if request == 1:
            reply = struct.pack('<Q', VERSION_1 | MRG_RXBUF | PROTOCOL)
        elif request == 15:
            reply = struct.pack('<Q', MQ | RARP | REPLY_ACK)
        elif request == 17:
            reply = struct.pack('<Q', self.queues)
        elif request == 5:
            self.map(body, fds)
        elif request == 8:
            self.ring(index).num = value
        elif request == 10:
            self.ring(index).base = value
        elif request == 9:
            index, _, self.ring(body[0]).desc, self.ring(body[0]).used, self.ring(body[0]).avail, _ = struct.unpack('<IIQQQQ', body)
        elif request == 11:
            reply = struct.pack('<II', index, self.ring(index).base)
            self.ring(index).kick = None
        elif request == 12:
            self.ring(number & 255).kick = fds[0]
        elif request == 13:
            self.ring(number & 255).call = fds[0]
        elif request == 18:
            self.ring(index).enabled = bool(value)
        elif request == 19:
            self.announced += 1
        if reply is None and flags & 8:
            reply = struct.pack('<Q', 0)
        if reply is not None:
            self.connection.sendall(struct.pack('<III', request, 5, len(reply)) + reply)

    def ring(self, index):
        return self.rings.setdefault(index, Ring())

    # Memory.
    def map(self, body, fds):
        self.regions = []
        for i, fd in enumerate(fds):
            guest, size, user, offset = struct.unpack_from('<QQQQ', body, 8 + 32 * i)
            self.regions.append((guest, size, user, offset, mmap.mmap(fd, size + offset)))
            os.close(fd)

    def at(self, address, size, user=False):
        for guest, length, start, offset, memory in self.regions:
            base = start if user else guest
            if base <= address and address + size <= base + length:
                return memory, address - base + offset
        raise EOFError

    def read(self, address, size, user=False):
        memory, offset = self.at(address, size, user)
        return memory[offset:offset + size]

    def write(self, address, data, user=False):
        memory, offset = self.at(address, len(data), user)
        memory[offset:offset + len(data)] = data

    # Rings.
    def take(self, ring):
        """Head and buffers of the next chain, (address, length, for writing); None: there is none."""
        available, = struct.unpack('<H', self.read(ring.avail + 2, 2, True))
        if available == ring.base & 0xffff:
            return None
        head, = struct.unpack('<H', self.read(ring.avail + 4 + 2 * (ring.base % ring.num), 2, True))
        ring.base = (ring.base + 1) & 0xffff
        chain, at = [], head
        while True:
            address, length, flags, follows = struct.unpack('<QIHH', self.read(ring.desc + 16 * at, 16, True))
            chain.append((address, length, flags & 2))
            if not flags & 1:
                return head, chain
            at = follows

    def give(self, ring, head, written):
        used, = struct.unpack('<H', self.read(ring.used + 2, 2, True))
        self.write(ring.used + 4 + 8 * (used % ring.num), struct.pack('<II', head, written), True)
        self.write(ring.used + 2, struct.pack('<H', (used + 1) & 0xffff), True)
        os.write(ring.call, struct.pack('<Q', 1))

    def transmit(self, index):
        while chain := self.take(self.rings[index]):
            packet = b''.join(self.read(a, n) for a, n, _ in chain[1])[12:]
            self.give(self.rings[index], chain[0], 0)
            self.packets.append(packet)
            answer = self.answer(packet)
            if answer:
                self.receive(answer, index - 1)

    def receive(self, packet, index=0):
        """Towards the guest."""
        chain = self.take(self.rings[index])
        if not chain:
            return
        data = bytes(10) + b'\1\0' + packet
        left = data
        for address, length, _ in chain[1]:
            self.write(address, left[:length])
            left = left[length:]
        self.give(self.rings[index], chain[0], len(data))

    def answer(self, f):
        if f[12:14] == b'\x08\x06' and f[38:42] == self.own and f[20:22] == b'\0\1':
            return f[6:12] + OWN_MAC + f[12:20] + b'\0\2' + OWN_MAC + self.own + f[22:32]
        if f[12:14] == b'\x08\0' and f[23] == 1 and f[30:34] == self.own and f[34] == 8:
            total = int.from_bytes(f[36:38], 'big') + 0x800
            checksum = ((total & 0xffff) + (total >> 16)).to_bytes(2, 'big')
            return f[6:12] + OWN_MAC + f[12:26] + f[30:34] + f[26:30] + b'\0' + f[35:36] + checksum + f[38:]
        return None
