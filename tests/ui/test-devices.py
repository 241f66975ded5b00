#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Media, disks, cables, ports, snapshots and files that are dropped, on a machine that is there: what is done in the window,
and what the engine says of it. Pictures of the stages are left in the folder of $VITRINE_PICTURES, if set.

Usage: test-devices.py VITRINE [TEST...]"""
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, SYSTEM_PYTHON, Desktop, Program, wait_for
from window_case import MENUS

VITRINE = sys.argv.pop(1)
FILES = '/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64'


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        wait_for('monitor', lambda: not self.socket.connect_ex(path))
        self.file = self.socket.makefile('rw')
        self.file.readline()
        self('qmp_capabilities')

    def __call__(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': {
            key.replace('_', '-'): value for key, value in arguments.items()}}) + '\n')
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise AssertionError(f'{command}: {answer["error"]["desc"]}')

    def hmp(self, line):
        return self('human-monitor-command', command_line=line)

    def drive(self, name):
        return next(drive for drive in self('query-block') if drive['device'] == name)

    def file_of(self, name):
        return self.drive(name).get('inserted', {}).get('file')


def make_iso(path, text=b'hello'):
    """An empty volume is enough: what counts are its descriptors."""
    data = bytearray(40 * 2048)
    data[16 * 2048:16 * 2048 + 7] = b'\x01CD001\x01'
    data[17 * 2048:17 * 2048 + 7] = b'\xffCD001\x01'
    data[30 * 2048:30 * 2048 + len(text)] = text
    with open(path, 'wb') as file:
        file.write(data)


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


class Devices(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.desktop = Desktop()
        cls.desktop.settings(show_status='true')
        # GTK 3.24's file chooser complains of itself when a key closes it; all else is looked for in what is said.
        cls.desktop.env['G_DEBUG'] = ''
        cls.folder = cls.desktop.home + '/files'
        os.makedirs(cls.folder)

    @classmethod
    def tearDownClass(cls):
        cls.desktop.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def picture(self, name):
        folder = os.environ.get('VITRINE_PICTURES')
        if folder:
            self.desktop.save(os.path.join(folder, name + '.png'))

    def start(self, *options, machine='pc', stopped=True, asks=False):
        path = self.desktop.home + '/qmp'
        if os.path.exists(path):
            os.unlink(path)
        # The image that the firmware would boot from does not matter; a machine that stands has no use for the host's time.
        self.machine = Program(self.desktop, VITRINE, *['-S'][:stopped], '-machine', machine, '-accel', 'tcg', '-display', 'gtk,gl=off',
                               '-qmp', f'unix:{path},server=on,wait=off', *options, stderr=open(self.path('stderr'), 'w'))
        self.addCleanup(self.machine.close)
        self.addCleanup(self.check_quiet)
        self.desktop.move(1270, 790)
        self.id = self.machine.window()
        self.qmp = Qmp(path)
        if not asks:
            self.desktop.activate(self.id)
        time.sleep(0.7)

    def check_quiet(self):
        with open(self.path('stderr')) as file:
            said = [line for line in file if 'CRITICAL' in line and 'WIDGET_REALIZED_FOR_EVENT' not in line]
        self.assertEqual(said, [])

    def menu(self, title, *keys):
        """Opens a menu with the mouse, goes to its first item and on by keys."""
        x, y, _, _ = self.desktop.geometry(self.id)
        self.desktop.activate(self.id)
        self.desktop.click(x + MENUS[title], y + 12)
        time.sleep(0.4)
        self.desktop.key('Down')
        for key in keys:
            self.desktop.key(key)
            time.sleep(0.15)

    def dialog(self, title):
        window = wait_for(title, lambda: self.desktop.find('^' + title))[0]
        self.desktop.activate(window)
        time.sleep(0.4)
        return window

    def clipboard(self):
        return subprocess.run(['xclip', '-o', '-selection', 'clipboard'], env=self.desktop.env, capture_output=True, text=True,
                              timeout=10).stdout

    def problem(self):
        """What the dialog says, as its button copies it; it is closed."""
        self.dialog('Problem')
        self.desktop.key('alt+o')  # "Copy"
        time.sleep(0.3)
        text = self.clipboard()
        self.desktop.key('Escape')
        wait_for('closed', lambda: not self.desktop.find('^Problem'))
        return text

    def choose_file(self, title, path, folder=False):
        """Ctrl+L first: a path that is typed into the list itself makes GTK 3.24 complain of itself."""
        self.dialog(title)
        self.desktop.key('ctrl+l', 'ctrl+a')
        self.desktop.type(path)
        time.sleep(0.5)
        self.desktop.key('Return')
        if folder and self.desktop.find('^' + title):
            time.sleep(0.7)
            self.desktop.key('Return')

    # --- media

    def test_insert_and_eject(self):
        make_iso(self.path('one.iso'))
        self.start()
        before = digest(self.path('one.iso'))
        self.menu('Devices', '1', 'i')
        self.choose_file('Insert Medium', self.path('one.iso'))
        wait_for('medium', lambda: self.qmp.file_of('ide1-cd0') == self.path('one.iso'))
        self.assertEqual(self.qmp.drive('ide1-cd0')['inserted']['drv'], 'raw')
        self.assertTrue(self.qmp.drive('ide1-cd0')['inserted']['ro'])
        time.sleep(0.5)
        self.picture('tray')
        self.menu('Devices', '1', 'e')
        wait_for('no medium', lambda: not self.qmp.file_of('ide1-cd0'))
        self.assertEqual(digest(self.path('one.iso')), before)

    def test_floppy(self):
        with open(self.path('floppy'), 'wb') as file:
            file.write(bytes(1440 * 1024))
        self.start()
        self.menu('Devices', '2', 'i')
        self.choose_file('Insert Medium', self.path('floppy'))
        wait_for('floppy', lambda: self.qmp.file_of('floppy0') == self.path('floppy'))
        self.assertFalse(self.qmp.drive('floppy0')['inserted']['ro'])

    def test_missing_file(self):
        """A failure is a dialog with cause, and the machine is as it was."""
        self.start()
        make_iso(self.path('gone.iso'))
        self.qmp('blockdev-change-medium', device='ide1-cd0', filename=self.path('gone.iso'), format='raw')
        time.sleep(0.5)
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', self.path('bad.qcow2'), '1M'], check=True)
        with open(self.path('bad.qcow2'), 'r+b') as file:
            file.seek(4)
            file.write(b'\xff\xff\xff\xff')  # a version that nobody knows
        self.menu('Devices', 'a')
        self.choose_file('Attach Disk Image', self.path('bad.qcow2'))
        self.dialog('Problem')
        self.picture('failure')
        text = self.problem()
        self.assertIn('bad.qcow2', text)
        self.assertIn('version', text.split('Command line:')[0])  # the cause
        self.assertIn('-machine pc', text.split('Command line:')[1])
        self.assertIsNone(self.machine.process.poll())

    # --- disks

    def test_attach_disk(self):
        image = self.path('a disk, with a comma')  # the name says nothing of what it is
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '8M'], check=True)
        self.start()
        self.menu('Devices', 'a')
        self.choose_file('Attach Disk Image', image)
        drive = wait_for('disk', lambda: self.disks(image))[0]
        self.assertEqual(drive['inserted']['drv'], 'qcow2')
        self.assertFalse(drive['inserted']['ro'])
        self.assertIn('virtio-blk-pci', self.qmp.hmp('info qtree'))
        # Nothing is left of looking at it.
        self.assertEqual([drive for drive in self.qmp('query-block') if drive['device'].startswith('probe')], [])
        time.sleep(0.5)
        self.picture('attached')
        # The same again is in use: it comes to be read only, or not at all, and is never written twice.
        self.menu('Devices', 'a')
        self.choose_file('Attach Disk Image', image)
        time.sleep(1.5)
        self.assertEqual(sum(not drive['inserted']['ro'] for drive in self.disks(image)), 1)

    def test_grow_disk(self):
        """By the menu, while the machine runs; what cannot be done is said."""
        image = self.path('grow.qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '8M'], check=True)
        self.start('-drive', f'file={image},if=virtio', stopped=False)

        def size():
            return self.qmp.drive('virtio0')['inserted']['image']['virtual-size']
        self.menu('Devices', 'g', '1')
        self.dialog('Grow Disk')
        self.picture('grow-disk')
        self.desktop.key('ctrl+a')
        self.desktop.type('1.5')
        self.desktop.key('Return')
        wait_for('grown', lambda: size() == 3 << 29)
        self.assertTrue(self.qmp('query-status')['running'])
        # As much as nothing holds: the disk stays.
        self.desktop.activate(self.id)
        time.sleep(0.5)
        self.menu('Devices', 'g', '1')
        self.dialog('Grow Disk')
        self.desktop.key('ctrl+a')
        self.desktop.type('8000000000')
        time.sleep(0.3)
        self.picture('grow-too-far')
        self.desktop.key('Return')
        text = self.problem()
        self.assertIn('Disk virtio0 was not enlarged.', text)
        self.assertEqual(size(), 3 << 29)
        self.qmp('quit')
        self.machine.process.wait(10)
        info = json.loads(subprocess.run(['qemu-img', 'info', '--output=json', image], capture_output=True, text=True, check=True).stdout)
        self.assertEqual(info['virtual-size'], 3 << 29)
        subprocess.run(['qemu-img', 'check', '-q', image], check=True)

    def test_no_hotplug(self):
        """A machine whose buses take nothing says so instead."""
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', self.path('x.qcow2'), '8M'], check=True)
        self.start(machine='isapc')
        self.menu('Devices', 'a')
        time.sleep(0.5)
        self.picture('greyed')
        self.assertEqual(self.desktop.find('Attach Disk Image'), [])
        self.desktop.key('Escape', 'Escape')

    def test_share_folder(self):
        folder = self.path('shared')
        os.makedirs(folder, exist_ok=True)
        with open(folder + '/note.txt', 'w') as file:
            file.write('note')
        self.start()
        self.menu('Devices', 'o')
        self.choose_file('Share Folder', folder, folder=True)
        wait_for('folder', lambda: any('vvfat' in drive.get('inserted', {}).get('file', '') for drive in self.qmp('query-block')))
        drive = next(drive for drive in self.qmp('query-block') if 'vvfat' in drive.get('inserted', {}).get('file', ''))
        self.assertTrue(drive['inserted']['ro'])
        # The menu has it, and the line with which a Linux guest gets at it (tests/system/shares.py types it there).
        time.sleep(0.7)
        self.picture('share')
        self.menu('Devices', '3')
        self.picture('share-menu')
        self.desktop.key('m')
        time.sleep(0.3)
        self.assertEqual(self.clipboard(), 'sudo mount -o ro /dev/disk/by-label/SHARED-1 /mnt')
        # One that only the command line knows.
        self.qmp('quit')
        self.machine.process.wait(10)
        self.start('-blockdev', f'vvfat,node-name=v,dir={folder},label=My disk,rw=on', '-device', 'virtio-blk-pci,drive=v')
        self.menu('Devices', '3', 'm')
        time.sleep(0.3)
        self.assertEqual(self.clipboard(), r'sudo mount -o rw /dev/disk/by-label/My\\x20disk /mnt')

    # --- network

    def link(self):
        return self.qmp('qom-get', path='/netdevs/n0', property='link')

    def test_cable(self):
        self.start('-nic', 'user,id=n0,model=virtio-net-pci')
        self.assertTrue(self.link())
        self.menu('Devices', 'n', '1')
        wait_for('no cable', lambda: not self.link())
        time.sleep(0.5)
        # Whoever pulled it, it can be put in again.
        self.menu('Devices', 'n', '1')
        wait_for('cable', self.link)

    def cards(self):
        """{name: what the monitor says of it}, and the back ends that no card has."""
        lines = self.qmp.hmp('info network').splitlines()
        cards = {lines[i].split(':')[0]: lines[i] + lines[i + 1] for i in range(len(lines) - 1) if lines[i + 1].startswith(' \\ ')}
        return cards, [line for i, line in enumerate(lines) if 'type=user' in line and not line.startswith(' \\ ')]

    def test_add_and_remove_nic(self):
        """A card more while the machine runs, of the kind that the guest knows already; both go again."""
        self.start('-nic', 'user,model=e1000e')
        self.menu('Devices', 'n', 'a')
        self.dialog('Add Network Card')
        self.desktop.key('alt+m')
        self.desktop.type('52:54:00:ab:cd')
        time.sleep(0.3)
        self.picture('add-nic-wrong')
        self.desktop.key('Return')  # not yet
        time.sleep(0.3)
        self.assertEqual(len(self.cards()[0]), 1)
        self.desktop.type(':ef')
        time.sleep(0.3)
        self.picture('add-nic')
        self.desktop.key('Return')
        wait_for('card', lambda: len(self.cards()[0]) == 2)
        name, text = next(pair for pair in self.cards()[0].items() if pair[0] != 'e1000e.0')
        self.assertIn('model=e1000e,macaddr=52:54:00:ab:cd:ef', text)
        self.assertIn('type=user', text)
        self.assertIn(name, [rule['name'] for rule in self.qmp('query-rx-filter')])
        time.sleep(0.7)
        self.picture('nic-added')
        # The same address again.
        self.menu('Devices', 'n', 'a')
        self.dialog('Add Network Card')
        self.desktop.key('alt+m')
        self.desktop.type('52:54:00:AB:CD:EF')
        time.sleep(0.3)
        self.picture('add-nic-twice')
        self.desktop.key('Return')
        time.sleep(0.5)
        self.assertEqual(len(self.cards()[0]), 2)
        self.desktop.key('Escape')
        wait_for('closed', lambda: not self.desktop.find('Add Network Card'))
        # No guest answers; with a reset they go all the same, and their networks: that of the command line, too.
        for number in '2', '1':
            self.menu('Devices', 'n', 'r', number)
        time.sleep(5.5)
        self.picture('nic-waits')
        self.assertEqual(len(self.cards()[0]), 2)
        self.qmp('system_reset')
        wait_for('no card', lambda: self.cards() == ({}, []))
        self.assertEqual(self.qmp('query-rx-filter'), [])
        time.sleep(0.7)
        self.picture('nic-removed')

    def test_nic_of_a_guest(self):
        """A guest that runs finds the card, and lets go of it and of its first one."""
        if not os.path.exists(FILES):
            self.skipTest('no package debian-installer-12-netboot-amd64')
        serial = self.path('serial')

        def printed(text):
            with open(serial, errors='replace') as file:
                return text in file.read()
        self.start('-m', '512', '-kernel', FILES + '/linux', '-initrd', FILES + '/initrd.gz', '-append',
                   'console=ttyS0 mitigations=off rdinit=/bin/sh', '-serial', 'file:' + serial, '-nic', 'user,model=e1000', stopped=False)
        wait_for('shell', lambda: os.path.exists(serial) and printed('job control turned off'), 200)
        self.menu('Devices', 'n', 'a')
        self.dialog('Add Network Card')
        self.desktop.key('alt+a')
        name = wait_for('card', lambda: [name for name in self.cards()[0] if name != 'e1000.0'])[0]
        wait_for('found', lambda: printed('0000:00:04.0: BAR 0 [mem'), 60)
        for number, gone in ('2', name), ('1', 'e1000.0'):
            time.sleep(0.7)
            self.menu('Devices', 'n', 'r', number)
            wait_for('no card', lambda gone=gone: gone not in self.cards()[0], 60)
        wait_for('no network', lambda: self.cards() == ({}, []))

    def test_no_nic_hotplug(self):
        """A bus that takes nothing says so instead."""
        self.start('-nic', 'user', machine='isapc')
        for key in 'a', 'r':
            self.menu('Devices', 'n', key)
            time.sleep(0.5)
            self.picture('nic-greyed-' + key)
            self.assertEqual(self.desktop.find('Add Network Card'), [])
            self.desktop.key('Escape', 'Escape', 'Escape')
        self.assertEqual(len(self.cards()[0]), 1)

    # --- the window

    def test_kept_by_uuid(self):
        """What is kept of a machine's window goes by its UUID, whatever its name is."""
        uuid = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'
        for name, found in ('one', None), ('two', (700, 560)):
            self.start('-uuid', uuid, '-name', name)
            if found:
                self.assertEqual(self.desktop.geometry(self.id)[2:], found)
            else:
                self.menu('View', 'z')
                self.desktop.xdotool('windowsize', '--sync', self.id, 700, 560)
                time.sleep(0.7)
            self.qmp('quit')
            self.machine.process.wait(10)

    # --- sound

    def start_pulse(self):
        """A sound server with two devices; what says "pactl" of it."""
        if not all(shutil.which(tool) for tool in ('pulseaudio', 'pactl')):
            self.skipTest('no PulseAudio')
        socket_path = self.path('pulse.sock')
        env = dict(self.desktop.env, PULSE_SERVER='unix:' + socket_path)
        with open(self.path('pulse.conf'), 'w') as file:
            file.write(''.join(f'load-module module-null-sink sink_name={name} sink_properties=device.description={name.title()}\n'
                               for name in ('headphones', 'speakers')) +
                       f'set-default-sink headphones\nload-module module-native-protocol-unix auth-anonymous=1 socket={socket_path}\n')
        server = Program(self.desktop, 'pulseaudio', '-n', '-F', self.path('pulse.conf'), '--daemonize=no', '--exit-idle-time=-1',
                         '--use-pid-file=no', '--disable-shm=yes', stderr=subprocess.DEVNULL)
        self.addCleanup(server.close)

        def pactl(*words):
            return subprocess.run(['pactl', *words], env=env, capture_output=True, text=True, timeout=10)
        wait_for('sound server', lambda: pactl('info').returncode == 0)
        return pactl, 'unix:' + socket_path

    def sound(self, name):
        return self.qmp('qom-get', path='/audiodevs/snd', property=name)

    def test_sound(self):
        pactl, address = self.start_pulse()

        def plays():
            """The names of the devices that something is played to: the tone of the PC's speaker, which the firmware ends."""
            for line in '0x43 0xb6', '0x42 0xa9', '0x42 0x04', '0x61 0x03':
                self.qmp.hmp(f'o /1 {line}')
            sinks = dict(line.split('\t')[:2] for line in pactl('list', 'short', 'sinks').stdout.splitlines())
            return [sinks[line.split('\t')[1]] for line in pactl('list', 'short', 'sink-inputs').stdout.splitlines()]
        self.start('-audiodev', f'pa,id=snd,server={address}', machine='pc,pcspk-audiodev=snd', stopped=False)
        wait_for('tone', lambda: plays() == ['headphones'])
        self.assertEqual([device['name'] for device in self.sound('out-devices')], ['headphones', 'speakers'])
        time.sleep(1.5)  # the window looks once a second
        self.menu('Devices', 'u', 'p')
        time.sleep(0.5)
        self.picture('sound')
        self.desktop.key('2')
        wait_for('another device', lambda: plays() == ['speakers'])
        self.assertEqual(self.sound('out-device'), 'speakers')
        time.sleep(0.5)
        self.menu('Devices', 'u', 'm')
        wait_for('mute', lambda: self.sound('out-mute'))
        self.menu('Devices', 'u', 'e')
        wait_for('mute', lambda: self.sound('in-mute'))
        time.sleep(0.5)
        self.menu('Devices', 'u', 'm')
        wait_for('not mute', lambda: not self.sound('out-mute'))
        self.assertTrue(self.sound('in-mute'))
        self.menu('Devices', 'u', 'p', 'f')
        wait_for('the default device', lambda: plays() == ['headphones'])
        self.assertFalse(self.sound('out-device'))
        # One that is plugged in later is there; when the default changes, it is followed.
        pactl('load-module', 'module-null-sink', 'sink_name=tv')
        wait_for('it is known', lambda: len(self.sound('out-devices')) == 3)
        time.sleep(1.5)
        self.menu('Devices', 'u', 'p', '3')
        wait_for('the new device', lambda: plays() == ['tv'])
        self.menu('Devices', 'u', 'p', 'f')
        wait_for('the default device', lambda: plays() == ['headphones'])
        pactl('set-default-sink', 'speakers')
        wait_for('the new default', lambda: plays() == ['speakers'])

    def test_forwards(self):
        self.start('-nic', 'user,id=n0,model=virtio-net-pci')
        self.menu('Devices', 'n', 'f')
        self.dialog('Port Forwards')
        self.desktop.key('alt+o')  # host port
        self.desktop.key('ctrl+a')
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.desktop.type(str(port))
        self.desktop.key('Tab', 'alt+a')
        row = wait_for('rule', lambda: [line.split() for line in self.qmp.hmp('info usernet').splitlines()
                                        if 'HOST_FORWARD' in line])[0]
        self.assertEqual((row[0], row[2], row[3], row[5]), ('TCP[HOST_FORWARD]', '127.0.0.1', str(port), '22'))
        time.sleep(0.6)
        self.picture('forwards')
        # One that is taken: said, and the list stays.
        self.desktop.key('alt+a')
        time.sleep(1)
        self.desktop.key('Escape')
        time.sleep(0.3)
        self.assertEqual(self.qmp.hmp('info usernet').count('HOST_FORWARD'), 1)
        # Rules of others show, too, and can be removed.
        self.dialog('Port Forwards')
        self.desktop.key('alt+n')
        self.desktop.key('alt+r')
        time.sleep(0.3)

    # --- snapshots

    def test_snapshots(self):
        image = self.path('snap.qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '8M'], check=True)
        self.start('-drive', f'file={image},if=virtio')
        self.menu('Snapshots', 't')
        self.dialog('Take Snapshot')
        self.desktop.key('ctrl+a')
        self.desktop.type('first')
        self.picture('take-snapshot')
        self.desktop.key('Return')
        wait_for('snapshot', lambda: 'first' in self.qmp.hmp('info snapshots'))
        wait_for('no job is left', lambda: not self.qmp('query-jobs'))
        # Going back asks; so does deleting.
        self.menu('Snapshots', 'm')
        self.dialog('Snapshots')
        self.desktop.key('Down', 'Up')
        time.sleep(0.2)
        self.picture('snapshots')
        self.desktop.key('alt+g')
        time.sleep(0.7)
        self.desktop.key('alt+g')
        time.sleep(1)
        self.assertEqual(self.qmp('query-status')['running'], False)
        self.dialog('Snapshots')
        self.desktop.key('Down', 'Up', 'alt+d')
        time.sleep(0.7)
        self.desktop.key('Return')  # "Cancel" is what Return means
        time.sleep(0.5)
        self.assertIn('first', self.qmp.hmp('info snapshots'))
        self.dialog('Snapshots')
        self.desktop.key('Down', 'Up', 'alt+d')
        time.sleep(0.7)
        self.desktop.key('alt+l')
        wait_for('no snapshot', lambda: 'first' not in self.qmp.hmp('info snapshots'))

    def test_rename_snapshot(self):
        """On both disks that have it; F2 and the button; a name that there is already is refused."""
        images = [self.path(name) for name in ('rename-a.qcow2', 'rename-b.qcow2')]
        for image in images:
            subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '8M'], check=True)
        self.start(*(word for image in images for word in ('-drive', f'file={image},if=virtio')))
        self.qmp.hmp('savevm first')
        self.qmp.hmp('savevm second')
        before = [subprocess.run(['qemu-img', 'snapshot', '-U', '-l', image], capture_output=True, text=True, check=True).stdout
                  for image in images]

        def tags():
            return [{snapshot['name'] for snapshot in self.qmp.drive(drive)['inserted']['image']['snapshots']}
                    for drive in ('virtio0', 'virtio1')]
        self.menu('Snapshots', 'm')
        self.dialog('Snapshots')
        self.desktop.key('Home', 'F2')
        self.dialog('Rename Snapshot')
        self.picture('rename-snapshot')
        self.desktop.key('ctrl+a')
        self.desktop.type('second')
        time.sleep(0.3)
        self.picture('rename-taken')
        self.desktop.key('Return')  # does nothing
        time.sleep(0.3)
        self.assertEqual(tags(), [{'first', 'second'}] * 2)
        self.dialog('Rename Snapshot')
        self.desktop.key('ctrl+a')
        self.desktop.type('before the update')
        self.desktop.key('Return')
        wait_for('renamed', lambda: tags() == [{'before the update', 'second'}] * 2)
        # It is still the one that is chosen.
        time.sleep(0.5)
        self.dialog('Snapshots')
        self.picture('renamed')
        self.desktop.key('alt+r')
        self.dialog('Rename Snapshot')
        self.desktop.key('ctrl+a')
        self.desktop.type('1st')
        self.desktop.key('Return')
        wait_for('renamed', lambda: tags() == [{'1st', 'second'}] * 2)
        self.qmp('quit')
        self.machine.process.wait(10)
        for image, text in zip(images, before):
            self.assertEqual(self.snapshots_of(image).replace('1st', 'first').split(), text.split())
            subprocess.run(['qemu-img', 'check', '-q', image], check=True)

    def test_snapshots_impossible(self):
        with open(self.path('plain'), 'wb') as file:
            file.write(bytes(1 << 20))
        self.start('-drive', f'file={self.path("plain")},if=virtio,format=raw')
        self.menu('Snapshots', 't')
        self.dialog('Problem')
        self.assertEqual(self.desktop.find('Take Snapshot'), [])
        self.picture('no-snapshots')
        self.assertIn('is a raw image: only qcow2 images hold snapshots', self.problem())

    # --- the machine's state, saved when the window closes

    # xor ax, ax; mov ds, ax; mov dword [0x600], 0; sti; again: hlt; inc dword [0x600]; jmp again
    COUNTER = bytes.fromhex('31c08ed866c706000600000000fbf466ff060006ebf8')
    TICKS = 18.3  # of the firmware's timer, a second

    def counter_image(self, name):
        with open(self.path('raw'), 'wb') as file:
            file.write(self.COUNTER.ljust(510, b'\0') + b'\x55\xaa' + bytes((1 << 20) - 512))
        image = self.path(name)
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', self.path('raw'), image], check=True)
        return image

    def count(self):
        return int(self.qmp.hmp('xp /1wx 0x600').split()[-1], 16)

    def save_and_close(self):
        """What the guest had counted to when it was stopped."""
        wait_for('the guest counts', lambda: 60 < self.count() < 100000, 60)
        before = self.count()
        self.desktop.activate(self.id)
        self.desktop.ask_to_close()
        self.picture('close')
        began = time.monotonic()
        self.desktop.key('alt+v')
        self.assertEqual(self.machine.process.wait(30), 0)
        return before, before + int((time.monotonic() - began + 3) * self.TICKS)

    def snapshots_of(self, image):
        return subprocess.run(['qemu-img', 'snapshot', '-l', image], capture_output=True, text=True, check=True).stdout

    def test_save_and_close(self):
        """The guest's counter goes on from where it was; what was saved is used once."""
        image = self.counter_image('counter.qcow2')
        drive = ['-drive', f'file={image},if=virtio']
        self.start(*drive, stopped=False)
        least, most = self.save_and_close()
        self.assertIn('vitrine-closed', self.snapshots_of(image))
        began = time.monotonic()
        self.start(*drive, stopped=False)
        wait_for('running', lambda: self.qmp('query-status')['running'])
        wait_for('dropped', lambda: 'vitrine-closed' not in self.qmp.hmp('info snapshots'))
        found = self.count()
        self.assertGreaterEqual(found, least)
        self.assertLess(found, most + (time.monotonic() - began) * self.TICKS)
        self.picture('restored')
        # Saved again, and then used by somebody else: it asks.
        least, most = self.save_and_close()
        subprocess.run(['qemu-io', '-f', 'qcow2', '-c', 'write 512k 512', image], check=True, stdout=subprocess.DEVNULL)
        self.start(*drive, stopped=False, asks=True)
        time.sleep(1)
        self.assertFalse(self.qmp('query-status')['running'])
        self.picture('restore-asks')
        self.desktop.key('alt+r')
        wait_for('running', lambda: self.qmp('query-status')['running'])
        self.assertGreaterEqual(self.count(), least)
        least, most = self.save_and_close()
        os.utime(image)
        self.start(*drive, stopped=False, asks=True)
        time.sleep(1)
        self.assertFalse(self.qmp('query-status')['running'])
        self.desktop.key('alt+s')
        wait_for('running', lambda: self.qmp('query-status')['running'])
        wait_for('dropped', lambda: 'vitrine-closed' not in self.qmp.hmp('info snapshots'))
        self.assertLess(self.count(), least)

    def test_save_and_close_impossible(self):
        image = self.counter_image('gone.qcow2')
        self.start('-drive', f'file={image},if=virtio', '-snapshot', stopped=False)
        self.desktop.ask_to_close()
        self.desktop.key('alt+v')
        self.dialog('Problem')
        self.picture('not-saved')
        self.assertIn('is not kept (-snapshot)', self.problem())
        self.assertTrue(wait_for('running', lambda: self.qmp('query-status')['running']))

    # --- files that are dropped

    def drag(self, *paths, to=(0.25, 0.3), key=None, drop=True, name=None):
        """From another program over the window, to a place given in parts of its size."""
        self.desktop.drag(self.id, paths, to, key, drop, lambda: name and self.picture(name))

    CD, DISK, COPY, FOLDER = (0.25, 0.3), (0.75, 0.3), (0.25, 0.75), (0.75, 0.75)

    def need_drag(self):
        if subprocess.run([SYSTEM_PYTHON, '-c', 'import gi; gi.require_version("Gtk", "3.0"); from gi.repository import Gtk'],
                          env=self.desktop.env, capture_output=True).returncode:
            self.skipTest('no Gtk for Python')

    def test_drop_disc(self):
        """By its content: the name is that of a text."""
        self.need_drag()
        make_iso(self.path('disc.txt'))
        before = digest(self.path('disc.txt'))
        self.start()
        self.drag(self.path('disc.txt'), to=self.CD, drop=False, name='zones-disc')
        self.assertIsNone(self.qmp.file_of('ide1-cd0'))
        self.drag(self.path('disc.txt'), to=self.CD)
        wait_for('disc', lambda: self.qmp.file_of('ide1-cd0') == self.path('disc.txt'))
        # A full drive is asked about.
        make_iso(self.path('other.iso'))
        self.drag(self.path('other.iso'), to=self.CD)
        time.sleep(0.5)
        self.picture('replace')
        self.desktop.key('Return')  # "Cancel"
        time.sleep(0.4)
        self.assertEqual(self.qmp.file_of('ide1-cd0'), self.path('disc.txt'))
        # Not with Ctrl.
        self.drag(self.path('other.iso'), to=self.DISK, key='ctrl')
        wait_for('other disc', lambda: self.qmp.file_of('ide1-cd0') == self.path('other.iso'))
        self.assertEqual(digest(self.path('disc.txt')), before)

    def test_drop_disc_without_a_drive(self):
        """It comes with a drive of its own, where a bus takes one."""
        self.need_drag()
        make_iso(self.path('alone.iso'))
        self.start('-nodefaults', '-device', 'VGA', '-device', 'virtio-scsi-pci')
        self.drag(self.path('alone.iso'), to=self.CD)
        drive = wait_for('a drive', lambda: self.disks(self.path('alone.iso')))[0]
        self.assertTrue(drive['inserted']['ro'])
        self.assertIn('scsi-cd', self.qmp.hmp('info qtree'))

    def disks(self, path):
        """But not the one it is looked at by."""
        return [drive for drive in self.qmp('query-block') if drive.get('inserted', {}).get('file') == path and 'qdev' in drive]

    def test_drop_disk(self):
        self.need_drag()
        image = self.path('disk.iso')  # it is none
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'vmdk', image, '8M'], check=True)
        self.start()
        self.drag(image, to=self.DISK, name='zones-disk')
        disk = wait_for('disk', lambda: self.disks(image))[0]
        self.assertEqual(disk['inserted']['drv'], 'vmdk')
        # Shift means a disk wherever it falls.
        make_iso(self.path('as-disk.iso'))
        self.drag(self.path('as-disk.iso'), to=self.CD, key='shift')
        disk = wait_for('disc as disk', lambda: self.disks(self.path('as-disk.iso')))[0]
        self.assertEqual(disk['inserted']['drv'], 'raw')

    def test_drop_unknown(self):
        """What nobody can tell is asked about before it becomes a disk."""
        self.need_drag()
        with open(self.path('unknown'), 'wb') as file:
            file.write(bytes(i * i * 7 % 251 for i in range(1 << 20)))
        self.start()
        self.drag(self.path('unknown'), to=self.DISK)
        self.dialog('Dropped Files')
        self.desktop.key('Escape')
        time.sleep(0.5)
        self.assertEqual(self.disks(self.path('unknown')), [])

    def test_drop_folder(self):
        self.need_drag()
        os.makedirs(self.path('some folder'), exist_ok=True)
        self.start()
        self.drag(self.path('some folder'), to=self.FOLDER, name='zones-folder')
        wait_for('folder', lambda: any('vvfat' in drive.get('inserted', {}).get('file', '') for drive in self.qmp('query-block')))

    def test_drop_files(self):
        """Plain files come on a disc of their own; several are listed first."""
        self.need_drag()
        for name, size in (('letter ä.odt', 5000), ('empty', 0), ('big', 3 << 20)):
            with open(self.path(name), 'wb') as file:
                file.write(bytes((i * 7) & 0xff for i in range(256)) * (size // 256) + bytes(size % 256))
        names = ['letter ä.odt', 'empty', 'big']
        self.start()
        self.drag(*[self.path(name) for name in names], to=self.CD, name='zones-files')
        self.dialog('Dropped Files')
        self.picture('dropped-files')
        self.desktop.key('alt+d')
        image = wait_for('disc', lambda: self.qmp.file_of('ide1-cd0'))
        self.assertTrue(image.startswith(self.desktop.home))
        self.assertEqual(os.stat(image).st_mode & 0o777, 0o600)
        self.check_iso(image, names)
        # It goes with the machine.
        self.desktop.activate(self.id)
        self.desktop.key('ctrl+alt+q')
        self.machine.process.wait(10)
        self.assertFalse(os.path.exists(image))

    def check_iso(self, image, names):
        with open(image, 'rb') as file:
            data = file.read()
        sector = lambda n: data[n * 2048:(n + 1) * 2048]
        self.assertEqual(sector(16)[:7], b'\x01CD001\x01')
        joliet = sector(17)
        self.assertEqual(joliet[:7], b'\x02CD001\x01')
        self.assertEqual(len(data), struct.unpack('<I', joliet[80:84])[0] * 2048)
        root, size = struct.unpack('<I', joliet[158:162])[0], struct.unpack('<I', joliet[166:170])[0]
        folder, at, found = data[root * 2048:root * 2048 + size], 0, {}
        while at < len(folder) and folder[at]:
            record = folder[at:at + folder[at]]
            name = record[33:33 + record[32]]
            if len(name) > 1:
                start, length = struct.unpack('<I', record[2:6])[0], struct.unpack('<I', record[10:14])[0]
                found[name.decode('utf-16-be')] = data[start * 2048:start * 2048 + length]
            at += folder[at]
        self.assertEqual(sorted(found), sorted(names))
        for name in names:
            with open(self.path(name), 'rb') as file:
                self.assertEqual(found[name], file.read())
        for tool in ('isoinfo', 'bsdtar'):
            if shutil.which(tool):
                args = [tool, '-i', image, '-f'] if tool == 'isoinfo' else [tool, '-tf', image]
                subprocess.run(args, check=True, capture_output=True)

    def test_drop_refused(self):
        """Copying needs an agent; a machine that cannot have it says why, and nothing happens."""
        self.need_drag()
        make_iso(self.path('r.iso'))
        self.start(machine='isapc')
        self.drag(self.path('r.iso'), to=self.DISK, name='zones-greyed')
        time.sleep(0.5)
        self.assertEqual((self.disks(self.path('r.iso')), self.desktop.find('^Problem')), ([], []))
        # Shift says what is meant wherever it falls, and is told why not.
        self.drag(self.path('r.iso'), to=self.CD, key='shift')
        self.assertIn('No bus of this machine takes disks while it is on', self.problem())
        self.assertEqual(self.disks(self.path('r.iso')), [])


if __name__ == '__main__':
    if shutil.which('qemu-img') is None:
        print('skipped: no qemu-img')
        sys.exit(SKIP)
    unittest.main(warnings='ignore')
