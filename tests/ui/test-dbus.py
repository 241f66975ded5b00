#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine on D-Bus ("-display dbus"): pixels equal those of screendump, keys, mice, sizes, streams, the clipboard, clients of
add_client, and clients that behave badly. To be run inside dbus-run-session.

Usage: test-dbus.py VITRINE SOURCE"""
import array
import contextlib
import json
import mmap
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from gi.repository import Gio, GLib  # pylint: disable=no-name-in-module

VITRINE, SOURCE = sys.argv[1:3]
del sys.argv[1:3]
TIMEOUT = 60
ROOT = '/org/qemu/Display1'
NAME = 'org.qemu.Display1.'
LISTENER = '''<node><interface name="org.qemu.Display1.Listener">
<method name="Scanout"><arg type="u"/><arg type="u"/><arg type="u"/><arg type="u"/><arg type="ay"/></method>
<method name="Update"><arg type="i"/><arg type="i"/><arg type="i"/><arg type="i"/><arg type="u"/><arg type="u"/><arg type="ay"/></method>
<method name="Disable"/><method name="MouseSet"><arg type="i"/><arg type="i"/><arg type="i"/></method>
<method name="CursorDefine"><arg type="i"/><arg type="i"/><arg type="i"/><arg type="i"/><arg type="ay"/></method>
<property name="Interfaces" type="as" access="read"/></interface>
<interface name="org.qemu.Display1.Listener.Unix.Map">
<method name="ScanoutMap"><arg type="h"/><arg type="u"/><arg type="u"/><arg type="u"/><arg type="u"/><arg type="u"/></method>
<method name="UpdateMap"><arg type="i"/><arg type="i"/><arg type="i"/><arg type="i"/></method></interface>
</node>'''


def turn():
    """Lets the clients of this program do what has come."""
    GLib.MainContext.default().iteration(False)
    time.sleep(0.002)


def wait_for(what, condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while True:
        turn()
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not come')


def glyphs():
    """The pictures of characters as the font file has them: rows of 16 bytes to text."""
    table = {}
    with open(os.path.join(SOURCE, 'resources/fonts/fixed-8x13.hex'), encoding='ascii') as f:
        for line in f:
            code, rows = line.split(':')
            if int(code, 16) < 0x7f:
                table[b'\0' + bytes.fromhex(rows) + b'\0\0'] = chr(int(code, 16))
    return table


RELAYS = []


def relay(ours, theirs, limit):
    """Both ways, descriptors too, until LIMIT bytes have gone in all; then the connection is cut."""
    ways = {ours: theirs, theirs: ours}
    try:
        while limit:
            for source in select.select(list(ways), [], [], TIMEOUT)[0]:
                data, fds, _, _ = socket.recv_fds(source, min(65536, limit), 4)
                if not data:
                    limit = 0
                    break
                socket.send_fds(ways[source], [data], fds)
                for fd in fds:
                    os.close(fd)
                limit -= len(data)
    except OSError:
        pass
    ours.close()
    theirs.close()


def socket_pair(limit=None):
    """Two ends; with LIMIT, of a connection that is cut after as many bytes."""
    ours, theirs = socket.socketpair()
    if limit is None:
        return ours, theirs
    middle, end = socket.socketpair()
    thread = threading.Thread(target=relay, args=(theirs, middle, limit))
    RELAYS.append((thread, middle))
    thread.start()
    return ours, end


def cut_relays():
    for thread, middle in RELAYS:
        with contextlib.suppress(OSError):  # it has gone
            middle.shutdown(socket.SHUT_RDWR)
        thread.join()
    RELAYS.clear()


class Listener:
    """A client's view of a console over a connection of its own."""

    def __init__(self, bus, path, maps=False, answers=True, limit=None):
        self.size, self.pixels, self.calls, self.maps, self.answers = None, None, [], maps, answers
        self.connection = self.map = None
        ours, theirs = socket_pair(limit)
        fds = Gio.UnixFDList()
        handle = fds.append(theirs.fileno())
        theirs.close()
        with ours:  # closed where it is refused
            bus.call_with_unix_fd_list_sync('org.qemu' if bus.get_unique_name() else None, path, NAME + 'Console', 'RegisterListener',
                                            GLib.Variant('(h)', (handle,)), None, 0, TIMEOUT * 1000, fds, None)
            stream = Gio.Socket.new_from_fd(ours.detach()).connection_factory_create_connection()
        Gio.DBusConnection.new(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                               Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING, None, None, self.connected)

    def connected(self, _, result):
        try:
            self.connection = Gio.DBusConnection.new_finish(result)
        except GLib.Error:  # it was cut meanwhile
            return
        for interface in Gio.DBusNodeInfo.new_for_xml(LISTENER).interfaces:
            self.connection.register_object(ROOT + '/Listener', interface, self.called, self.get, None)
        self.connection.start_message_processing()

    def get(self, *_):
        return GLib.Variant('as', [NAME + 'Listener.Unix.Map'] if self.maps else [])

    def called(self, _connection, _sender, _path, _interface, method, args, invocation):
        self.calls.append(method)
        if method == 'Scanout':
            width, height, stride, kind, data = (args.get_child_value(i) for i in range(5))
            assert kind.get_uint32() == 0x20020888 and stride.get_uint32() == 4 * width.get_uint32()
            self.size = width.get_uint32(), height.get_uint32()
            self.pixels = bytearray(data.get_data_as_bytes().get_data())
        elif method == 'Update':
            x, y, width, height = (args.get_child_value(i).get_int32() for i in range(4))
            data, stride = args.get_child_value(6).get_data_as_bytes().get_data(), args.get_child_value(4).get_uint32()
            for row in range(height):
                at = ((y + row) * self.size[0] + x) * 4
                self.pixels[at:at + width * 4] = data[row * stride:row * stride + width * 4]
        elif method == 'ScanoutMap':
            fd = invocation.get_message().get_unix_fd_list().get(0)
            _, offset, width, height, stride, _ = args.unpack()
            assert stride == 4 * width
            self.size = width, height
            self.map = mmap.mmap(fd, offset + stride * height, prot=mmap.PROT_READ)
            os.close(fd)
        if self.answers:
            invocation.return_value(None)

    def picture(self):
        """RGB bytes, as PPM files have them."""
        data = self.map[:] if self.map else bytes(self.pixels or b'')
        out = bytearray(len(data) // 4 * 3)
        out[0::3], out[1::3], out[2::3] = data[2::4], data[1::4], data[0::4]
        return bytes(out)

    def text(self, table=glyphs()):  # pylint: disable=dangerous-default-value
        """What a text console shows, read off its pixels."""
        if not self.size:
            return ''
        width, height = self.size
        data, lines = self.picture(), []
        for row in range(height // 16):
            line = ''
            for column in range(width // 8):
                bits = bytearray(16)
                for y in range(16):
                    at = ((row * 16 + y) * width + column * 8) * 3
                    for x in range(8):
                        if data[at + x * 3:at + x * 3 + 3] != b'\0\0\0':
                            bits[y] |= 0x80 >> x
                line += table.get(bytes(bits), '?')
            lines.append(line.rstrip())
        return '\n'.join(lines).rstrip()


class Machine:
    """One that runs the program with a QMP socket."""

    def __init__(self, *args, display='dbus', qtest=False):
        self.folder = tempfile.TemporaryDirectory()
        path, test = os.path.join(self.folder.name, 'qmp'), os.path.join(self.folder.name, 'qtest')
        command = [VITRINE, '-display', display, *args, '-qmp', f'unix:{path},server=on,wait=off', '-net', 'none']
        if qtest:
            command += ['-accel', 'qtest', '-qtest', f'unix:{test},server=on,wait=off', '-qtest-log', 'none']
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.socket = self.connect(path)
        self.file = self.socket.makefile('r')
        self.qtest_socket = self.connect(test) if qtest else None
        self.qtest = self.qtest_socket.makefile('rw') if qtest else None
        self.file.readline()
        self.command('qmp_capabilities')

    def connect(self, path):
        def attempt():
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if self.process.poll() is not None:
                    raise RuntimeError(self.process.communicate()[1]) from None
                return None
        return wait_for('the socket', attempt)

    def command(self, name, fd=None, **arguments):
        text = json.dumps({'execute': name, 'arguments': {k.replace('_', '-'): v for k, v in arguments.items()}}).encode()
        if fd is None:
            self.socket.sendall(text)
        else:
            self.socket.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
        while True:
            answer = json.loads(self.file.readline())
            if 'event' not in answer:
                return answer

    def test(self, line):
        self.qtest.write(line + '\n')
        self.qtest.flush()
        return self.qtest.readline().strip()

    def screendump(self):
        path = os.path.join(self.folder.name, 'picture')
        assert self.command('screendump', filename=path) == {'return': {}}
        with open(path, 'rb') as f:
            assert f.readline() == b'P6\n'
            size = tuple(map(int, f.readline().split()))
            f.readline()
            return size, f.read()

    def set_mode(self, width, height):
        for index, value in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
            self.test(f'outw 0x1ce {index}')
            self.test(f'outw 0x1cf {value:#x}')

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def quit(self):
        if self.process.poll() is None:
            self.command('quit')
        _, err = self.process.communicate(timeout=TIMEOUT)
        self.file.close()
        self.socket.close()
        if self.qtest:
            self.qtest.close()
            self.qtest_socket.close()
        self.folder.cleanup()
        assert self.process.returncode == 0 and 'Sanitizer' not in err and 'runtime error' not in err and 'CRITICAL' not in err, err
        return err


class Display(unittest.TestCase):
    def start(self, *args, **options):
        machine = Machine(*args, **options)
        self.addCleanup(lambda: machine.process.poll() is None and machine.quit())
        if options.get('display', 'dbus') == 'dbus':
            self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
            wait_for('the name', self.has_name)
        return machine

    def has_name(self):
        return self.bus.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'NameHasOwner',
                                  GLib.Variant('(s)', ('org.qemu',)), None, 0, -1, None).unpack()[0]

    def call(self, place, interface, method, signature='()', *args, bus=None):
        bus = bus or self.bus
        reply = []
        bus.call('org.qemu' if bus.get_unique_name() else None, f'{ROOT}/{place}', NAME + interface, method,
                 GLib.Variant(signature, args), None, 0, TIMEOUT * 1000, None, lambda b, r: reply.append((b, r)))
        wait_for('the answer', lambda: reply)
        return reply[0][0].call_finish(reply[0][1]).unpack()

    def get(self, place, interface, name, bus=None):
        bus = bus or self.bus
        return bus.call_sync('org.qemu' if bus.get_unique_name() else None, f'{ROOT}/{place}', 'org.freedesktop.DBus.Properties',
                             'Get', GLib.Variant('(ss)', (NAME + interface, name)), None, 0, -1, None).unpack()[0]

    def refused(self, kind, *call):
        with self.assertRaises(GLib.Error) as caught:
            self.call(*call)
        self.assertIn('org.qemu.Display1.Error.' + kind, str(caught.exception))

    def same_picture(self, machine, listener):
        def same():
            size, pixels = machine.screendump()
            return listener.size == size and listener.picture() == pixels
        wait_for('the same picture', same)

    def test_facts(self):
        machine = self.start('-name', 'a guest', '-uuid', '01234567-89ab-cdef-0123-456789abcdef', '-monitor', 'vc', '-S')
        self.assertEqual(self.get('VM', 'VM', 'Name'), 'a guest')
        self.assertEqual(self.get('VM', 'VM', 'UUID'), '01234567-89ab-cdef-0123-456789abcdef')
        self.assertEqual(self.get('VM', 'VM', 'ConsoleIDs'), [0, 1, 2, 3])
        self.assertEqual(self.get('Console_0', 'Console', 'Label'), 'VGA')
        self.assertEqual(self.get('Console_0', 'Console', 'Type'), 'Graphic')
        self.assertEqual(self.get('Console_0', 'Console', 'DeviceAddress'), 'pci/0000/02.0')
        self.assertEqual(self.get('Console_1', 'Console', 'DeviceAddress'), '')
        self.assertEqual(self.get('Console_1', 'Console', 'Type'), 'Text')
        self.assertEqual(self.get('Console_1', 'Console', 'Label'), 'compat_monitor0')
        wait_for('a size', lambda: self.get('Console_0', 'Console', 'Width') == machine.screendump()[0][0])
        self.assertEqual(self.get('Chardev_serial0', 'Chardev', 'Name'), 'org.qemu.console.serial.0')
        self.assertEqual(self.get('Chardev_compat_monitor0', 'Chardev', 'Name'), 'org.qemu.monitor.hmp.0')
        machine.quit()

    def pixels(self, maps):
        machine = self.start('-nodefaults', '-device', 'VGA', '-accel', 'tcg')
        listener = Listener(self.bus, ROOT + '/Console_0', maps)
        time.sleep(1)
        machine.command('stop')  # the cursor of the firmware blinks
        self.same_picture(machine, listener)
        self.assertIn('ScanoutMap' if maps else 'Scanout', listener.calls)
        machine.quit()

    def test_pixels(self):
        self.pixels(False)

    def test_pixels_shared(self):
        self.pixels(True)

    def test_modes_and_updates(self):
        machine = self.start('-nodefaults', '-device', 'VGA', qtest=True)
        plain, shared = (Listener(self.bus, ROOT + '/Console_0', maps) for maps in (False, True))
        for size in ((640, 480), (1024, 768), (320, 200)):
            machine.set_mode(*size)
            wait_for('the size', lambda s=size: plain.size == s and shared.size == s)
            wait_for('the property', lambda s=size: self.get('Console_0', 'Console', 'Width') == s[0])
            self.same_picture(machine, plain)
            self.same_picture(machine, shared)
        machine.test('outl 0xcf8 0x80001010')
        machine.test('outl 0xcfc 0xe0000000')
        machine.test('outl 0xcf8 0x80001004')
        machine.test('outl 0xcfc 7')
        plain.calls.clear()
        for n in range(20):
            machine.test(f'memset {0xe0000000 + n * 12345:#x} 4096 {n + 1:#x}')
            turn()
        self.same_picture(machine, plain)
        self.same_picture(machine, shared)
        machine.quit()

    def test_keyboard(self):
        machine = self.start('-nodefaults', '-device', 'VGA', qtest=True)
        self.call('Console_0', 'Keyboard', 'Press', '(u)', 0x1e)
        self.call('Console_0', 'Keyboard', 'Release', '(u)', 0x1e)
        self.call('Console_0', 'Keyboard', 'Press', '(u)', 0xc8)
        self.call('Console_0', 'Keyboard', 'Press', '(u)', 99999)
        codes = []

        def read():
            if int(machine.test('inb 0x64').split()[1], 16) & 1:
                codes.append(int(machine.test('inb 0x60').split()[1], 16))
            return len(codes) == 4
        wait_for('scan codes', read)
        self.assertEqual(codes, [0x1c, 0xf0, 0x1c, 0xe0])  # nobody has asked for translation
        machine.quit()

    def test_clicks(self):
        machine = self.start('-nodefaults', '-device', 'VGA', qtest=True)

        def read(count):
            found = []

            def more():
                if int(machine.test('inb 0x64').split()[1], 16) & 1:
                    found.append(int(machine.test('inb 0x60').split()[1], 16))
                return len(found) == count
            wait_for('bytes', more)
            return found
        for port, value in ((0x64, 0xa8), (0x64, 0xd4), (0x60, 0xf4)):  # the mouse's port on, its reports on
            machine.test(f'outb {port:#x} {value:#x}')
        self.assertEqual(read(1), [0xfa])
        self.call('Console_0', 'Mouse', 'RelMotion', '(ii)', 5, 3)
        self.assertEqual(read(3), [0x28, 5, 0xfd])
        self.call('Console_0', 'Mouse', 'Press', '(u)', 2)
        self.assertEqual(read(3), [0x0a, 0, 0])
        self.call('Console_0', 'Mouse', 'Release', '(u)', 2)
        self.assertEqual(read(3), [0x08, 0, 0])
        machine.quit()

    def test_touch(self):
        machine = self.start('-nodefaults', '-device', 'VGA', '-device', 'virtio-multitouch-pci', '-S')
        self.assertEqual(self.get('Console_0', 'MultiTouch', 'MaxSlots'), 10)
        self.assertIn(NAME + 'MultiTouch', self.get('Console_0', 'Console', 'Interfaces'))
        for kind in range(4):
            for x, y in ((5.5, 3.25), (-1e300, float('inf')), (float('nan'), 1e9)):
                self.call('Console_0', 'MultiTouch', 'SendEvent', '(utdd)', kind, 9, x, y)
        self.refused('Invalid', 'Console_0', 'MultiTouch', 'SendEvent', '(utdd)', 0, 10, 1.0, 1.0)
        self.refused('Invalid', 'Console_0', 'MultiTouch', 'SendEvent', '(utdd)', 4, 0, 1.0, 1.0)
        machine.quit()

    def test_mouse(self):
        machine = self.start('-nodefaults', '-device', 'VGA', '-S')
        self.assertEqual(self.get('Console_0', 'Mouse', 'IsAbsolute'), False)
        self.call('Console_0', 'Mouse', 'RelMotion', '(ii)', 5, -5)
        self.refused('Invalid', 'Console_0', 'Mouse', 'SetAbsPosition', '(uu)', 5, 5)
        self.refused('Invalid', 'Console_0', 'Mouse', 'Press', '(u)', 99)
        self.call('Console_0', 'Mouse', 'Press', '(u)', 0)
        self.call('Console_0', 'Mouse', 'Release', '(u)', 0)
        machine.quit()

    def test_size_wishes(self):
        machine = self.start('-device', 'VGA', '-nodefaults', '-serial', 'vc', qtest=True)
        for register, value in ((0x18, 0xe1000000), (4, 7)):
            machine.test(f'outl 0xcf8 {0x80001000 | register:#x}')
            machine.test(f'outl 0xcfc {value:#x}')
        self.call('Console_0', 'Console', 'SetUIInfo', '(qqiiuu)', 300, 200, 0, 0, 1000, 700)

        def preferred():  # by the EDID
            low, high = (int(machine.test(f'readb {0xe1000000 + at:#x}').split()[1], 16) for at in (56, 58))
            return low | (high & 0xf0) << 4
        wait_for('the wish', lambda: preferred() == 1000)
        self.refused('Unsupported', 'Console_1', 'Console', 'SetUIInfo', '(qqiiuu)', 300, 200, 0, 0, 1000, 700)
        machine.quit()

    def test_text_console(self):
        machine = self.start('-monitor', 'vc', '-S')
        listener = Listener(self.bus, ROOT + '/Console_1')
        wait_for('the prompt', lambda: '(qemu)' in listener.text())
        self.assertEqual(listener.size, (640, 384))
        for number in (0x17, 0x31, 0x21, 0x18, 0x39, 0x1f, 0x14, 0x1e, 0x14, 0x16, 0x1f, 0x1c):  # "info status", return
            self.call('Console_1', 'Keyboard', 'Press', '(u)', number)
            self.call('Console_1', 'Keyboard', 'Release', '(u)', number)
        wait_for('the answer', lambda: 'VM status: paused (prelaunch)' in listener.text())
        machine.quit()

    def test_streams(self):
        machine = self.start('-monitor', 'vc', '-S')
        ours, theirs = socket.socketpair()
        fds = Gio.UnixFDList()
        handle = fds.append(theirs.fileno())
        theirs.close()
        self.bus.call_with_unix_fd_list_sync('org.qemu', ROOT + '/Chardev_compat_monitor0', NAME + 'Chardev', 'Register',
                                             GLib.Variant('(h)', (handle,)), None, 0, -1, fds, None)
        self.assertEqual(self.get('Chardev_compat_monitor0', 'Chardev', 'Owner'), self.bus.get_unique_name())
        ours.sendall(b'info status\n')
        ours.settimeout(TIMEOUT)
        said = b''
        while b'VM status: paused' not in said:
            said += ours.recv(4096)
        ours.sendall(b'help\n' * 300)  # more than the socket holds
        time.sleep(0.5)
        count = 0
        ours.settimeout(1)
        try:
            while data := ours.recv(65536):
                count += len(data)
        except socket.timeout:
            pass
        self.assertGreater(count, 100000)
        ours.close()
        wait_for('the end', lambda: self.get('Chardev_compat_monitor0', 'Chardev', 'Owner') == '')
        self.call('Chardev_serial0', 'Chardev', 'SendBreak')
        machine.quit()

    def test_named_stream(self):
        machine = self.start('-nodefaults', '-chardev', 'dbus,id=my.mon,name=org.example.monitor', '-mon', 'my.mon', '-S')
        self.assertEqual(self.get('Chardev_my_mon', 'Chardev', 'Name'), 'org.example.monitor')
        self.assertEqual(self.get('VM', 'VM', 'ConsoleIDs'), [])  # it is nothing to look at
        machine.quit()

    def test_clipboard(self):
        machine = self.start('-S')
        text = ['text/plain;charset=utf-8']
        self.refused('Failed', 'Clipboard', 'Clipboard', 'Grab', '(uuas)', 0, 1, text)
        self.call('Clipboard', 'Clipboard', 'Register')
        self.refused('Failed', 'Clipboard', 'Clipboard', 'Register')
        self.call('Clipboard', 'Clipboard', 'Grab', '(uuas)', 0, 1, text)
        self.refused('Failed', 'Clipboard', 'Clipboard', 'Grab', '(uuas)', 9, 1, text)
        self.refused('Failed', 'Clipboard', 'Clipboard', 'Request', '(uas)', 0, text)
        self.call('Clipboard', 'Clipboard', 'Release', '(u)', 0)
        self.call('Clipboard', 'Clipboard', 'Unregister')
        self.refused('Failed', 'Clipboard', 'Clipboard', 'Unregister')
        machine.quit()

    def add_client(self, machine, limit=None):
        ours, theirs = socket_pair(limit)
        self.assertEqual(machine.command('getfd', fd=theirs.fileno(), fdname='client'), {'return': {}})
        theirs.close()
        self.assertEqual(machine.command('add_client', protocol='@dbus-display', fdname='client'), {'return': {}})
        done = []
        stream = Gio.Socket.new_from_fd(ours.detach()).connection_factory_create_connection()
        Gio.DBusConnection.new(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None, lambda o, r: done.append(r))
        wait_for('the connection', lambda: done)
        return Gio.DBusConnection.new_finish(done[0])

    def test_sound_registers(self):
        machine = self.start('-nodefaults', '-audiodev', 'dbus,id=a', '-S', display='dbus,audiodev=a')
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        wait_for('the name', self.has_name)
        for method in ('RegisterOutListener', 'RegisterInListener'):
            ours, theirs = socket.socketpair()
            fds = Gio.UnixFDList()
            handle = fds.append(theirs.fileno())
            theirs.close()
            self.bus.call_with_unix_fd_list_sync('org.qemu', ROOT + '/Audio', NAME + 'Audio', method, GLib.Variant('(h)', (handle,)),
                                                 None, 0, -1, fds, None)
            ours.close()
        machine.quit()

    def test_peer(self):
        machine = self.start('-name', 'peer', '-S', display='dbus,p2p=yes')
        first = self.add_client(machine)
        self.assertEqual(self.get('VM', 'VM', 'Name', bus=first), 'peer')
        listener = Listener(first, ROOT + '/Console_0')
        self.same_picture(machine, listener)
        self.call('Clipboard', 'Clipboard', 'Register', bus=first)
        second = self.add_client(machine)  # the newest one is the one
        self.assertEqual(self.get('VM', 'VM', 'Name', bus=second), 'peer')
        wait_for('the end of the first', first.is_closed)
        machine.quit()

    def die(self, times):
        """Clients whose connections, or those of their listeners, end after any number of bytes."""
        machine = self.start('-nodefaults', '-device', 'VGA', '-device', 'virtio-multitouch-pci', '-S', display='dbus,p2p=yes')
        r = random.Random(7)
        calls = [('Console_0', 'Console', 'SetUIInfo', '(qqiiuu)', 300, 200, 0, 0, 1000, 700),
                 ('Console_0', 'Keyboard', 'Press', '(u)', 0x1e), ('Console_0', 'Keyboard', 'Release', '(u)', 0x1e),
                 ('Console_0', 'MultiTouch', 'SendEvent', '(utdd)', 0, 1, 5.0, 5.0), ('Clipboard', 'Clipboard', 'Register'),
                 ('Clipboard', 'Clipboard', 'Grab', '(uuas)', 0, 1, ['text/plain;charset=utf-8'])]
        cut = {False: 0, True: 0}
        for n in range(times):
            if n == times // 4:  # all that stays is there
                before = machine.descriptors()
            bus = None
            try:
                bus = self.add_client(machine, int(2 ** r.uniform(0, 13)))
                for _ in range(r.randrange(3)):
                    Listener(bus, ROOT + '/Console_0', limit=int(2 ** r.uniform(0, 22)), maps=r.random() < 0.3)
                for _ in range(r.randrange(30)):
                    turn()
                for call in r.sample(calls, r.randrange(len(calls))):
                    self.call(*call, bus=bus)
            except GLib.Error:
                pass
            cut[bus is None or bus.is_closed()] += 1
            cut_relays()
            self.assertIsNone(machine.process.poll())
        self.assertTrue(all(cut.values()), cut)
        last = self.add_client(machine)  # whom the one before makes room for
        wait_for('their end', lambda: machine.descriptors() <= before + 8)
        self.same_picture(machine, Listener(last, ROOT + '/Console_0'))
        machine.quit()

    def test_dies_at_random(self):
        self.die(30)

    def dies_a_thousand_times(self):
        self.die(1000)

    def test_no_peer_without_saying(self):
        machine = self.start('-S')
        ours, theirs = socket.socketpair()
        machine.command('getfd', fd=theirs.fileno(), fdname='client')
        self.assertIn('error', machine.command('add_client', protocol='@dbus-display', fdname='client'))
        ours.close()
        theirs.close()
        machine.quit()

    def test_names_wait_in_line(self):
        first, second = self.start('-name', 'one', '-S'), self.start('-name', 'two', '-S')
        self.assertEqual(self.get('VM', 'VM', 'Name'), 'one')
        first.quit()
        wait_for('the second', lambda: self.has_name() and self.get('VM', 'VM', 'Name') == 'two')
        second.quit()

    def test_address(self):
        machine = self.start('-S', display='dbus,addr=' + os.environ['DBUS_SESSION_BUS_ADDRESS'].replace(',', ',,'))
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        wait_for('the name', self.has_name)
        machine.quit()

    def test_bad_clients(self):
        machine = self.start('-nodefaults', '-device', 'VGA', '-accel', 'tcg', '-serial', 'vc')
        deaf = Listener(self.bus, ROOT + '/Console_0', answers=False)
        read, write = os.pipe()
        for place, interface, method in (('Console_0', 'Console', 'RegisterListener'), ('Chardev_serial0', 'Chardev', 'Register')):
            fds = Gio.UnixFDList()
            handle = fds.append(read)
            with self.assertRaises(GLib.Error):
                self.bus.call_with_unix_fd_list_sync('org.qemu', f'{ROOT}/{place}', NAME + interface, method,
                                                     GLib.Variant('(h)', (handle,)), None, 0, -1, fds, None)
            with self.assertRaises(GLib.Error):
                self.bus.call_with_unix_fd_list_sync('org.qemu', f'{ROOT}/{place}', NAME + interface, method,
                                                     GLib.Variant('(h)', (7,)), None, 0, -1, None, None)
        os.close(read)
        os.close(write)
        for junk in (b'', b'\0', b'\0AUTH EXTERNAL 30\r\n', b'\0BEGIN\r\n', os.urandom(300)):
            ours, theirs = socket.socketpair()
            fds = Gio.UnixFDList()
            handle = fds.append(theirs.fileno())
            theirs.close()
            self.bus.call_with_unix_fd_list_sync('org.qemu', ROOT + '/Console_0', NAME + 'Console', 'RegisterListener',
                                                 GLib.Variant('(h)', (handle,)), None, 0, -1, fds, None)
            ours.sendall(junk)
            ours.close()
        for n in range(10):
            listener = Listener(self.bus, ROOT + '/Console_0', maps=n % 2)
            for _ in range(n * 3):
                turn()
            if listener.connection:
                listener.connection.close_sync()
        good = Listener(self.bus, ROOT + '/Console_0')
        wait_for('a picture', lambda: good.size)
        silent = []
        with self.assertRaises(GLib.Error):  # who says nothing costs something, but not without end
            for _ in range(40):
                ours, theirs = socket.socketpair()
                fds = Gio.UnixFDList()
                handle = fds.append(theirs.fileno())
                theirs.close()
                silent.append(ours)
                self.bus.call_with_unix_fd_list_sync('org.qemu', ROOT + '/Console_0', NAME + 'Console', 'RegisterListener',
                                                     GLib.Variant('(h)', (handle,)), None, 0, -1, fds, None)
        for ours in silent:
            ours.close()

        def room():
            try:
                return Listener(self.bus, ROOT + '/Console_0')
            except GLib.Error:
                return None
        wait_for('room', room)
        self.assertLessEqual(len(deaf.calls), 70)  # what was under way when it stopped
        machine.quit()

    def test_refusals(self):
        for options, want in (('dbus,addr=foo', 'failed to connect'), ('dbus,addr=unix:path=/x,p2p=yes', 'both'),
                              ('dbus,gl=on', 'OpenGL'), ('dbus,audiodev=none', "Audiodev 'none' not found")):
            p = subprocess.run([VITRINE, '-display', options], capture_output=True, text=True, timeout=TIMEOUT, check=False)
            self.assertEqual(p.returncode, 1)
            self.assertIn(want, p.stderr)


if __name__ == '__main__':
    unittest.main()
