# SPDX-License-Identifier: GPL-3.0-or-later
"""One start of the program with a command line, and what a test may ask it: for coverage.py."""
import collections
import fcntl
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

for folder in 'spice', 'vnc':
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', folder))
# pylint: disable=wrong-import-position
import coverage_files
import coverage_links
import coverage_net
import coverage_servers
import rfb
import wire
from program import PROGRAM, Lines

TIMEOUT = 60
LONGEST = 180  # seconds: a start of the program that has not ended by then is ended, and its probes are wrong
with open(PROGRAM, 'rb') as program_file:
    SANITIZED = b'__asan_init' in program_file.read()  # which keeps memory from being locked


class Session:
    """One start of the program: what it said, and while it runs its monitor. `files` is a folder of its own."""

    def __init__(self, args, bare=False):
        self.files = tempfile.mkdtemp(prefix='coverage')
        self.events = []
        self.files_of_firmware = {}
        self.number = 0
        self.settings = dict(os.environ)
        self.socket, theirs = socket.socketpair()
        self.guest = None
        self.viewers = []
        self.typed_to = False
        args = args.replace('{wire}', coverage_net.WIRE)
        self.wires = coverage_links.Link(args, self.files)
        self.server = None
        if '@/own.sock' in args:
            self.server = coverage_servers.Own(self.files, 1 if 'open-timeout' in args else 0)
        self.shown = '-display gtk' in args or '-display sdl' in args or '-full-screen' in args
        if self.shown:
            coverage_servers.Desktops.lock.acquire()  # one window at a time: keys go to the one in front
            self.settings['DISPLAY'] = coverage_servers.places('{display}')['{display}']
            if coverage_servers.Desktops.one:
                self.settings = dict(coverage_servers.Desktops.one.env, G_DEBUG='')
        places = (coverage_files.places(args, self.files) | coverage_servers.places(args) |
                  {'{socket}': str(theirs.fileno())} | self.wires.places)
        self.began = time.monotonic()
        words = shlex.split(args)
        while words and re.match(r'env:\w+=', words[0]):
            name, _, value = words.pop(0)[4:].partition('=')
            self.settings[name] = self.replace(value, places)
        self.alone = bool(words) and words[0] == 'alone'
        self.args = [self.replace(a, places) for a in words[self.alone:]]
        self.terminal = None
        if '-display curses' in args:
            self.terminal, slave = os.openpty()
            self.settings['TERM'] = 'xterm'
            self.written = b''
        path = os.path.join(self.files, 'qmp')
        command = [PROGRAM] + ([] if bare else ['-S', '-display', 'none', '-nodefaults', '-qmp', f'unix:{path}'])
        if self.alone:
            command = ['unshare', '-rn', sys.executable, coverage_net.__file__] + command
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(0.05)
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command + self.args, stdin=slave if self.terminal else subprocess.DEVNULL,
                                        stdout=slave if self.terminal else subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=self.files, env=self.settings,
                                        pass_fds=(*coverage_files.DESCRIPTORS, theirs.fileno(),
                                                  *(s.fileno() for s in self.wires.given)), errors='replace',
                                        start_new_session=True)
        self.overdue = False
        self.watch = threading.Timer(LONGEST, self.give_up)
        self.watch.daemon = True
        self.watch.start()
        theirs.close()
        if self.terminal:
            os.close(slave)
        self.wires.started(self)
        self.out = self.err = ''
        self.status = None
        self.stream = None
        self.connection = None
        self.wait_for(listener, bare)
        listener.close()

    def replace(self, word, places):
        for name, value in places.items():
            word = word.replace(name, value)
        return word.replace('@', self.files).replace('{title}', self.files[5:]).replace('{at}', '@')

    def wait_for(self, listener, bare):
        for _ in range(int(TIMEOUT / 0.05)):
            try:
                if not bare:
                    self.connection, _ = listener.accept()
                    self.connection.settimeout(TIMEOUT)
                    self.stream = Lines(self.connection)
                    if self.stream.readline():
                        self.q('qmp_capabilities')
                        return
                    self.stream = None
            except (socket.timeout, ConnectionError, ValueError):
                pass
            if bare or self.stream is None and self.process.poll() is not None or self.connection:
                break
        self.finish()

    def finish(self):
        try:
            self.out, self.err = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            self.out, self.err = self.process.communicate(timeout=TIMEOUT)
            self.err += 'TIMEOUT'
        if self.overdue:
            self.err += f'not done after {LONGEST} s'
        self.status = self.process.returncode
        self.took = time.monotonic() - self.began

    def kill(self):
        """The program and those it started, which may hold its pipes."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def give_up(self):
        self.overdue = True
        self.kill()

    def close(self):
        if self.stream and self.process.poll() is None:
            try:
                self.q('quit')
            except (OSError, ValueError, KeyError):
                pass
        for closable in (self.stream, self.connection):
            try:
                if closable:
                    closable.close()
            except OSError:
                pass
        if self.status is None:
            self.finish()
        self.watch.cancel()
        self.socket.close()
        if self.guest:
            self.guest.close()
        if self.terminal:
            os.close(self.terminal)
        for viewer in self.viewers:
            viewer.close()
        if self.shown:
            coverage_servers.Desktops.lock.release()
        if self.server:
            self.server.stop()
        self.wires.close()
        shutil.rmtree(self.files, ignore_errors=True)

    # What probes may use.
    def ask(self, command, **arguments):
        request = {'execute': command.replace('_', '-') if command != 'qmp_capabilities' and '-' not in command and
                   command not in ('device_add', 'device_del', 'system_reset') else command}
        if arguments:
            request['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.stream.write(json.dumps(request) + '\n')
        self.stream.flush()
        while True:
            line = self.stream.readline()
            if not line:
                raise EOFError('the monitor is gone')
            message = json.loads(line)
            if 'event' not in message:
                return message
            self.events.append(message)

    def q(self, command, **arguments):
        answer = self.ask(command, **arguments)
        if 'error' in answer:
            raise ValueError(answer['error']['desc'])
        return answer['return']

    def hmp(self, line):
        return self.q('human-monitor-command', command_line=line).replace('\r\n', '\n')

    def get(self, path, prop):
        return self.q('qom-get', path=path, property=prop)

    def cpu(self, prop):
        return self.get(self.q('query-cpus-fast')[0]['qom-path'], prop)

    def inb(self, port, count):
        data = bytearray()
        for _ in range(count):
            data.append(int(self.hmp(f'i /b {port:#x}').split('=')[1], 16))
        return bytes(data)

    def fw_key(self, key, count):
        self.hmp(f'o /w 0x510 {key:#x}')
        return self.inb(0x511, count)

    def fw(self, name, limit=4096):
        """Contents of a fw_cfg file; None without one."""
        if name not in self.files_of_firmware:
            self.files_of_firmware[name] = self.read_fw(name, limit)
        return self.files_of_firmware[name]

    def read_fw(self, name, limit):
        count = int.from_bytes(self.fw_key(0x19, 4), 'big')
        directory = self.inb(0x511, 64 * count)
        for i in range(count):
            entry = directory[64 * i:64 * i + 64]
            if entry[8:].split(b'\0')[0].decode() == name:
                size = int.from_bytes(entry[:4], 'big')
                return self.fw_key(int.from_bytes(entry[4:6], 'big'), min(size, limit))
        return None

    def chardev(self, label):
        return next((c for c in self.q('query-chardev') if c['label'] == label), None)

    def block(self):
        return self.hmp('info block')

    def threads(self):
        base = f'/proc/{self.process.pid}/task'
        names = []
        for tid in os.listdir(base):
            with open(f'{base}/{tid}/comm', encoding='utf-8') as f:
                names.append(f.read().strip())
        return names

    def proc(self, name):
        with open(f'/proc/{self.process.pid}/{name}', encoding='utf-8') as f:
            return f.read()

    def qtree(self):
        return self.hmp('info qtree')

    def file(self, name):
        with open(os.path.join(self.files, name), encoding='utf-8', errors='replace') as f:
            return f.read()

    def smbios(self, kind):
        """The first structure of a type, with its strings."""
        data, at = self.fw('etc/smbios/smbios-tables', 65536), 0
        while at < len(data):
            end = data.index(b'\0\0', at + data[at + 1]) + 2
            if data[at] == kind:
                return data[at:end]
            at = end
        return b''

    def cmos(self, index):
        self.hmp(f'o /b 0x70 {index:#x}')
        return self.inb(0x71, 1)[0]

    def ends_on_reset(self):
        self.ask('system_reset')
        self.stream.close()
        self.stream = None
        self.finish()
        return self.status == 0

    def helpers(self):
        """A process that shares this one's memory."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/comm', encoding='utf-8') as f:
                    if f.read().strip() == f'cleanup/{self.process.pid}'[:15]:
                        return True
            except OSError:
                pass
        return False

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def event(self, name, **data):
        """Waits for an event with these data."""
        def seen():
            self.q('query-status')
            return any(e['event'] == name and data.items() <= e.get('data', {}).items() for e in self.events)
        return self.until(seen)

    def run(self, condition, seconds=30):
        """Lets the processors run until a condition holds."""
        self.q('cont')
        return self.until(condition, seconds)

    def leave(self):
        """Quits; what the program said. What it leaves behind can be looked at."""
        self.q('quit')
        self.stream.close()
        self.stream = None
        self.finish()
        return 'ended ' + self.err if self.status == 0 else ''

    def map(self, size):
        """The mapping of SIZE bytes: its address, permissions, offset in its file, and what the kernel says of it."""
        found = []
        for part in re.split(r'(?m)^(?=[0-9a-f]+-[0-9a-f]+ )', self.proc('smaps')):
            head = re.match(r'([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)\n', part)
            if head and int(head.group(2), 16) - int(head.group(1), 16) == size:
                found.append({'at': int(head.group(1), 16), 'mode': head.group(3), 'offset': int(head.group(4), 16), 'file':
                              head.group(5), 'resident': int(re.search(r'^Rss: +(\d+)', part, re.M).group(1)) << 10, 'flags':
                              re.search(r'^VmFlags: (.*)', part, re.M).group(1).split()})
        # The program, or a sanitizer, may have others of that size: a file that was named goes first.
        names = [self.files] + [PROGRAM] * any(PROGRAM in word for word in self.args)
        named = [m for m in found if m['file'] in names or m['file'].startswith(self.files + '/')]
        others = [m for m in found if m['file'] != PROGRAM]
        return (named or others or [{'at': 1, 'mode': '', 'offset': None, 'file': '', 'resident': 0, 'flags': []}])[0]

    def policy(self, size):
        """The host's NUMA policy of the mapping of SIZE bytes."""
        return re.search(rf"^{self.map(size)['at']:x} (\S+)", self.proc('numa_maps'), re.M).group(1)

    def seals(self, name):
        """The seals of a memfd; None: there is none of this name."""
        for number in os.listdir(f'/proc/{self.process.pid}/fd'):
            path = f'/proc/{self.process.pid}/fd/{number}'
            if name in os.readlink(path):
                with open(path, 'rb') as f:
                    return fcntl.fcntl(f, 1034)
        return None

    def power_off(self):
        """What a guest writes into the power management registers of the PIIX4."""
        for register, value in ((0x40, 0x601), (0x80, 1)):
            self.hmp(f'o /w 0xcf8 {0x80000b00 | register:#x}')
            self.hmp(f'o /w 0xcfc {value:#x}')
        self.hmp('o /h 0x604 0x2000')

    def state(self):
        return self.q('query-status')['status']

    def port(self, label):
        return int(re.search(r':(\d+)(,|$)', self.chardev(label)['filename']).group(1))

    def talk(self, place, data=b'', want=b''):
        """Sends DATA to a unix socket, or a port, and reads until WANT came or nothing more does."""
        with self.connect(place) as s:
            s.sendall(data)
            return self.hear(s, want)

    def connect(self, place):
        if isinstance(place, int):
            s = socket.create_connection(('127.0.0.1', place))
        else:
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.path.join(self.files, place))
        s.settimeout(5)
        return s

    def hear(self, s, want):
        got = b''
        try:
            while not want or want not in got:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except OSError:
            pass
        return got

    def certificate(self, name=None):
        """How to speak TLS as the owner of a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(os.path.join(coverage_files.need('pki'), 'ca-cert.pem'))
        if name:
            folder = os.path.join(coverage_files.need('pki'), name)
            context.load_cert_chain(folder + '-cert.pem', folder + '-key.pem')
        return context

    def tls(self, label, certificate=None):
        """The version of TLS and the first words of a server that wants it; None: no agreement."""
        try:
            with self.connect(self.port(label)) as plain, self.certificate(certificate).wrap_socket(plain) as s:
                words = self.hear(s, b'(')
                return (s.version(), words) if words else None
        except (ssl.SSLError, OSError):
            return None

    def tcp(self, port):
        """Whether somebody listens at PORT of this host."""
        try:
            self.connect(port).close()
            return True
        except OSError:
            return False

    def vnc(self, ask=(), **options):
        """A viewer at the socket "v" that asked for pseudo-encodings and got a picture; None: it was not let in."""
        try:
            viewer = rfb.Client(os.path.join(self.files, 'v'), **options)
            viewer.set_encodings(*ask, 0)
            viewer.request(False)
            viewer.update()
        except (rfb.Refused, rfb.Closed, OSError):
            return None
        self.viewers.append(viewer)
        return viewer

    def spice(self, port=None):
        """A SPICE client at the socket "s", or at a port."""
        self.viewers.append(wire.Client(('127.0.0.1', port) if port else os.path.join(self.files, 's')))
        return self.viewers[-1]

    def sent(self, port, *wanted, seconds=20):
        """Kinds of pictures that a SPICE client is sent while the guest runs, until one of those that are wanted came. It is at a
        port, because at a socket of this host nothing is worth being made small."""
        display, kinds = self.spice(port).display(), set()
        self.q('cont')
        end = time.monotonic() + seconds
        while time.monotonic() < end and not kinds & set(wanted):
            try:
                kind, data = display.next(end - time.monotonic())
            except TimeoutError:
                break
            kinds.add('stream' if kind == wire.STREAM_CREATE else wire.image_kind(data) if kind == wire.DRAW_COPY else 'other')
        return kinds

    def reaches_agent(self, kind):
        """Whether a SPICE client's message for the agent comes to the serial port at 0x3f8, before another that always does."""
        client = self.spice()
        client.tell_agent(kind, bytes(16))
        client.tell_agent(wire.CAPABILITIES, bytes(8), start=False)
        heard, kinds = b'', []
        end = time.monotonic() + 20
        while wire.CAPABILITIES not in kinds and time.monotonic() < end:
            if self.inb(0x3fd, 1)[0] & 1:
                heard += self.inb(0x3f8, 1)
            kinds = wire.agent_kinds(heard)
        return kind in kinds

    def film(self, pictures=40):
        """Whether a viewer that asks for JPEG is sent any, of so many pictures of a guest that shows 320 x 200."""
        viewer = self.vnc(ask=(rfb.TIGHT, rfb.quality(6), rfb.DESKTOP_SIZE))
        self.q('cont')
        end = time.monotonic() + TIMEOUT
        while pictures and 'jpeg' not in viewer.seen:
            if time.monotonic() > end:
                raise TimeoutError(f'{pictures} pictures did not come')
            viewer.request()
            viewer.update()
            pictures -= viewer.width == 320
        return 'jpeg' in viewer.seen

    def typed(self, text, seconds=2):
        """Scan codes, and when they came, of what a viewer types; where no processor takes them."""
        viewer = self.vnc()
        self.q('cont')
        for port, value in (0x64, 0x60), (0x60, 0x45):
            self.hmp(f'o /b {port:#x} {value:#x}')
        for letter in text:
            viewer.key(ord(letter), True)
            viewer.key(ord(letter), False)
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            if self.inb(0x64, 1)[0] & 1:
                found.append((self.inb(0x60, 1)[0], time.monotonic()))
        return found

    # The network.
    def link(self):
        """The other ends of "{tcp}", "{stream}" and others."""
        return self.wires

    def net(self):
        """A guest by hand at "{wire}"."""
        self.guest = self.guest or coverage_net.Guest(self.files)
        return self.guest

    def network(self):
        return self.hmp('info network')

    def forwarded(self):
        """The host's port of the first rule."""
        return int(re.search(r'HOST_FORWARD\] +\d+ +\S+ +(\d+)', self.hmp('info usernet')).group(1))

    def web(self):
        """The port of a server on the host."""
        self.server_socket = socket.create_server(('127.0.0.1', 0))
        return self.server_socket.getsockname()[1]

    def tap_flags(self):
        return coverage_net.tap_flags(self.process.pid)

    def tap_buffers(self):
        return coverage_net.tap_buffers(self.process.pid)

    def size(self, name):
        return os.path.getsize(os.path.join(self.files, name))

    # The window.
    def window(self):
        """Its id, when it is shown."""
        found = coverage_servers.Desktops.one.find(self.files[5:])
        return found[0] if found else None

    def place(self):
        return coverage_servers.Desktops.one.geometry(self.window())

    def type_keys(self, chord):
        """To its window, or to a dialog that it has opened since."""
        desktop = coverage_servers.Desktops.one
        window = self.until(self.window) and self.window()
        if self.typed_to:
            self.until(lambda: desktop.active() not in (None, window), 20)
        else:
            desktop.activate(window)
        self.typed_to = True
        desktop.key(chord)
        return True

    def terminal_says(self, want):
        """In the terminal that it was started in."""
        def seen():
            if select.select([self.terminal], [], [], 0)[0]:
                self.written += os.read(self.terminal, 65536)
            return want.encode() in self.written
        return self.until(seen)

    def on_bus(self):
        """Whether it is to be found on the bus it was given."""
        address = re.search(r'addr=([^,]+)', ' '.join(self.args))
        address = address[1] if address else self.settings['DBUS_SESSION_BUS_ADDRESS']
        command = ['gdbus', 'call', '--address', address, '--dest', 'org.qemu', '--object-path', '/org/qemu/Display1/VM', '--method',
                   'org.freedesktop.DBus.Properties.Get', 'org.qemu.Display1.VM', 'Name']
        return self.until(lambda: self.files[5:] in subprocess.run(command, capture_output=True, text=True, check=False,
                                                                  timeout=TIMEOUT).stdout)

    def lives(self):
        time.sleep(1)
        return self.process.poll() is None

    # Disks.
    def node(self, name):
        return next(n for n in self.q('query-named-block-nodes') if n.get('node-name') == name)

    def drivers(self):
        return [n['drv'] for n in self.q('query-named-block-nodes')]

    def drive(self, name):
        """What is in a drive."""
        return next(b for b in self.q('query-block') if b['device'] == name)['inserted']

    def stats(self, name):
        return next(b for b in self.q('query-blockstats') if b.get('device') == name)['stats']

    def copy(self, source, target):
        """Copies all of a node to another, by a job; what it ended with."""
        self.number += 1
        self.q('blockdev-backup', job_id=f'copy{self.number}', device=source, target=target, sync='full')
        if not self.event('BLOCK_JOB_COMPLETED', device=f'copy{self.number}'):
            return False
        done = [e['data'] for e in self.events if e['event'] == 'BLOCK_JOB_COMPLETED']
        return self.until(lambda: not self.q('query-jobs')) and 'error' not in done[-1]

    def content(self, name):
        """All bytes of a node, read by a job."""
        self.number += 1
        path, target = os.path.join(self.files, f'content{self.number}'), f'content{self.number}'
        with open(path, 'wb') as f:
            f.truncate(self.node(name)['image']['virtual-size'])
        self.q('blockdev-add', driver='file', filename=path, node_name=target)
        good = self.copy(name, target)
        self.q('blockdev-del', node_name=target)
        with open(path, 'rb') as f:
            return f.read() if good else None

    def fill(self, name, data):
        """Writes all bytes of a node, by a job."""
        self.number += 1
        path, source = os.path.join(self.files, f'fill{self.number}'), f'fill{self.number}'
        with open(path, 'wb') as f:
            f.write(data)
        self.q('blockdev-add', driver='file', filename=path, node_name=source)
        good = self.copy(source, name)
        self.q('blockdev-del', node_name=source)
        return good

    def same(self, name):
        """Whether a node holds what the images of the bench hold."""
        return self.content(name) == coverage_files.PATTERN

    def io(self, field, action):
        """How much a counter of the process's reads and writes grew in an action."""
        def now():
            return int(re.search(rf'^{field}: (\d+)', self.proc('io'), re.M).group(1))
        before = now()
        action()
        return now() - before

    def blocks(self, name):
        """Bytes a file takes on its disk."""
        return os.stat(os.path.join(self.files, name)).st_blocks * 512

    def ata(self, lba, count, command, device=0):
        """Sets a command of the first IDE channel going."""
        for port, value in ((6, 0xe0 | device << 4), (2, count), (3, lba & 255), (4, lba >> 8 & 255), (5, 0),
                            (7, command)):
            self.hmp(f'o /b {0x1f0 + port:#x} {value:#x}')

    def flush(self, device=0):
        """What the guest's disk wrote is on the host's."""
        self.ata(0, 0, 0xe7, device)
        return not self.ata_status() & 1

    def ata_status(self):
        self.until(lambda: not self.inb(0x1f7, 1)[0] & 0x80)
        return self.inb(0x1f7, 1)[0]

    def rd(self, lba, device=0):
        """A sector read by a guest's instructions from an IDE disk; None: an error."""
        self.ata(lba, 1, 0x20, device)
        if self.ata_status() & 1:
            return None
        return b''.join(int(self.hmp('i /h 0x1f0').split('=')[1], 16).to_bytes(2, 'little') for _ in range(256))

    def wr(self, lba, byte, device=0):
        """A sector of one byte's value, written likewise; whether there was no error."""
        self.ata(lba, 1, 0x30, device)
        self.ata_status()
        for _ in range(256):
            self.hmp(f'o /h 0x1f0 {byte * 0x101:#x}')
        return not self.ata_status() & 1

    def trim(self):
        """A TRIM command for half of the first IDE disk, whose table is the file "trim" at 0x10000."""
        for register, value in ((0x20, 0xc001), (4, 5)):  # the bus master of the PIIX3 at port 0xc000
            self.hmp(f'o /w 0xcf8 {0x80000900 | register:#x}')
            self.hmp(f'o /w 0xcfc {value:#x}')
        self.hmp('o /w 0xc004 0x10000')
        self.hmp('o /b 0x1f1 1')
        self.hmp('o /b 0x1f2 0')  # the upper half
        self.ata(0, 1, 6)
        self.hmp('o /b 0xc000 1')
        return self.until(lambda: not self.inb(0xc002, 1)[0] & 1) and not self.ata_status() & 1

    def l2(self, index):
        """An entry of the first L2 table of the image "i.qcow2"."""
        with open(os.path.join(self.files, 'i.qcow2'), 'rb') as f:
            f.seek(40)
            f.seek(int.from_bytes(f.read(8), 'big'))
            f.seek((int.from_bytes(f.read(8), 'big') & 0x00fffffffffffe00) + 8 * index)
            return int.from_bytes(f.read(8), 'big')

    def holds_lock(self, name):
        inode = os.stat(os.path.join(self.files, name)).st_ino
        return re.search(rf'OFDLCK .*:{inode} ', self.proc('../locks')) is not None

    def see(self, expression):
        names = {n: getattr(self, n) for n in dir(self) if not n.startswith('__')}
        names.update({'os': os, 're': re, 'json': json, 'time': time, 'PATTERN': coverage_files.PATTERN,
                      'collections': collections, 'socket_': socket, 'sanitized': SANITIZED})
        return bool(eval(expression, names))  # pylint: disable=eval-used
