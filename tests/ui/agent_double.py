# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent in a guest that is not there: speaks the vdagent protocol on a Unix socket."""
import os
import queue
import socket
import struct
import tempfile
import threading

CLIENT_PORT = 1
REPLY, CLIPBOARD, ANNOUNCE, GRAB, REQUEST, RELEASE, FILE_START, FILE_STATUS, FILE_DATA = 3, 4, 6, 7, 8, 9, 10, 11, 12
MONITORS, MAX_CLIPBOARD = 2, 14
TEXT, PNG = 1, 2
CAP_MONITORS, CAP_BY_DEMAND, CAP_SELECTION, CAP_CRLF, CAP_SERIAL = 1, 5, 6, 9, 17


class AgentDouble:
    """Listens at .path; accept() takes the host's side and shakes hands."""

    def __init__(self, caps=(CAP_MONITORS, CAP_BY_DEMAND, CAP_SELECTION, CAP_SERIAL)):
        self.folder = tempfile.mkdtemp(prefix='vitrine-agent-')
        self.path = os.path.join(self.folder, 'agent')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(10)
        self.caps = sum(1 << cap for cap in caps)
        self.messages = queue.Queue()
        self.connection = None

    def accept(self):
        self.connection, _ = self.listener.accept()
        threading.Thread(target=self._read, daemon=True).start()
        request, _ = struct.unpack('<II', self.expect(ANNOUNCE))
        assert request == 1
        self.say(ANNOUNCE, struct.pack('<II', 0, self.caps))

    def close(self):
        for end in (self.connection, self.listener):
            if end:
                end.close()
        os.unlink(self.path)
        os.rmdir(self.folder)

    def _read(self):
        stream, message = self.connection.makefile('rb'), {}
        while len(head := stream.read(8)) == 8:
            port, size = struct.unpack('<II', head)
            part = message.setdefault(port, bytearray())
            part += stream.read(size)
            while len(part) >= 20 and len(part) >= 20 + struct.unpack_from('<I', part, 16)[0]:
                end = 20 + struct.unpack_from('<I', part, 16)[0]
                self.messages.put((struct.unpack_from('<I', part, 4)[0], bytes(part[20:end])))
                del part[:end]

    def next(self, seconds=30):
        return self.messages.get(timeout=seconds)

    def expect(self, kind, seconds=30):
        """The data of the next message, which is of this kind."""
        found, data = self.next(seconds)
        assert found == kind, (found, data)
        return data

    def quiet(self, seconds=0.5):
        """Nothing comes."""
        try:
            message = self.next(seconds)
        except queue.Empty:
            return
        raise AssertionError(message)

    def say(self, kind, data):
        message = struct.pack('<IIQI', 1, kind, 0, len(data)) + data
        for at in range(0, len(message), 2048):
            part = message[at:at + 2048]
            self.connection.sendall(struct.pack('<II', CLIENT_PORT, len(part)) + part)

    # --- clipboard, with selections and serials

    def expect_grab(self):
        """Selection, serial, set of types."""
        data = self.expect(GRAB)
        return data[0], struct.unpack_from('<I', data, 4)[0], set(struct.unpack(f'<{len(data) // 4 - 2}I', data[8:]))

    def grab(self, serial, *types, selection=0):
        self.say(GRAB, struct.pack(f'<II{len(types)}I', selection, serial, *types))

    def fetch(self, kind, selection=0):
        """What the host has."""
        self.say(REQUEST, struct.pack('<II', selection, kind))
        data = self.expect(CLIPBOARD)
        return struct.unpack_from('<I', data, 4)[0], data[8:]

    def serve(self, content, kind=TEXT, selection=0):
        """Answers the host's next question."""
        assert self.expect(REQUEST) == struct.pack('<II', selection, kind)
        self.say(CLIPBOARD, struct.pack('<II', selection, kind if content is not None else 0) + (content or b''))
