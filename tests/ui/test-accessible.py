#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a screen reader finds: the menu tree that users of the command line know, with its keys, and the display.

Usage: test-accessible.py FAKE-MACHINE"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from accessible import Atspi, below, children, doubled_mnemonics, find
from gi.repository import Gio, GLib
from desktop import Desktop, Program, wait_for

MENUS = [
    ('Machine', [('check menu item', 'Pause', ''), '-', ('menu item', 'Reset', ''), ('menu item', 'Power Down', ''),
                 ('menu item', 'Force Off…', ''), '-', ('menu', 'Send Keys', ''), ('menu', 'Clipboard', ''),
                 ('menu item', 'Type Clipboard', ''), '-',
                 ('menu item', 'Take Screenshot…', ''), ('menu item', 'Copy Screenshot', ''), '-',
                 ('menu item', 'Remote Access…', ''), '-',
                 ('menu item', 'Save and Close', ''), ('menu item', 'Quit', '<Primary><Alt>q')]),
    ('View', [('menu item', 'Fullscreen', '<Primary><Alt>f'), '-',
              ('menu item', 'Zoom In', '<Primary><Alt>plus'), ('menu item', 'Zoom Out', '<Primary><Alt>minus'),
              ('menu item', 'Best Fit', '<Primary><Alt>0'), ('check menu item', 'Zoom To Fit', ''),
              ('check menu item', 'Integer Scaling', ''), ('menu', 'Zoom Level', ''),
              ('check menu item', 'Match Device Pixels', ''), ('check menu item', 'Resize Guest to Window', ''), '-',
              ('check menu item', 'Grab On Hover', ''), ('check menu item', 'Grab While Focused', ''),
              ('check menu item', 'Grab in Full Screen', ''), ('check menu item', 'Grab Input', '<Primary><Alt>g'), '-',
              ('radio menu item', 'vc', '<Primary><Alt>1'), ('radio menu item', 'vc.1', '<Primary><Alt>2'), '-',
              ('check menu item', 'Show Tabs', ''), ('menu item', 'Detach Tab', ''),
              ('check menu item', 'Show Menubar', '<Primary><Alt>m'), ('check menu item', 'Show Status Strip', '')]),
    ('Devices', [('menu', '1 CD drive cd_0', ''), ('menu', '2 Floppy drive fd0', ''), '-',
                 ('menu item', 'Attach Disk Image (no bus of this machine takes one while it is on)', ''),
                 ('menu item', 'Share Folder (no bus of this machine takes a disk while it is on)', ''),
                 ('menu item', 'Send Files on a CD…', ''),
                 ('menu item', 'Copy Files to the Guest (it has no agent that takes them)', ''),
                 ('menu item', 'Grow Disk (this machine has no disk)', ''), '-',
                 ('menu', 'Network', ''), ('menu item', 'Audio (this machine has no -audiodev)', ''),
                 ('menu item', 'USB (comes later: this build has no USB controllers)', '')]),
    ('Snapshots', [('menu item', 'Take Snapshot…', ''), ('menu item', 'Manage Snapshots…', ''), '-',
                   ('menu item', 'Go Back to the Last…', '')]),
    ('Help', [('menu item', 'Shortcuts', ''), '-', ('menu item', 'Log', ''), ('menu item', 'Diagnostics', ''), '-',
              ('menu item', 'About', '')]),
]
# What the engine of the machine that is not there says of its drives and cards.
BLOCK = '''[{"device":"cd_0","qdev":"cd","removable":true,"tray_open":false,"locked":false,
  "inserted":{"file":"/a/debian.iso","drv":"raw","ro":true,"node-name":"n"}},
 {"device":"fd0","qdev":"fd","removable":true,"locked":false}]'''
DISKS = '''[{"device":"big","qdev":"v0","inserted":{"file":"%s","drv":"qcow2","ro":false,"node-name":"b",
  "image":{"virtual-size":2147483648,"actual-size":1048576}}},
 {"device":"old","qdev":"v1","inserted":{"file":"/a/old.vmdk","drv":"vmdk","ro":false}},
 {"device":"ro_1","qdev":"v2","inserted":{"file":"/a/ro","drv":"raw","ro":true}},
 {"device":"dir","qdev":"v3","inserted":{"file":"json:{\\"driver\\":\\"vvfat\\",\\"dir\\":\\"/a/dir\\"}","drv":"raw","ro":false}},
 {"device":"lv","qdev":"v4","inserted":{"file":"/dev/vg/lv","drv":"raw","ro":false}}]'''
GROWTH = ['1 Disk big…', '2 Disk old (“vmdk” images have the size they were made with)', '3 Disk ro_1 (it is read-only)',
          '4 Shared folder dir (it is a folder)', '5 Disk lv (it is a device of the host)']
STATS = '[{"qdev":"cd","stats":{"rd_bytes":%d,"wr_bytes":0}}]'
SOUND = {'out-mute': 'false', 'in-mute': 'true', 'out-device': '""', 'in-device': '""', 'out-devices': 'null',
         'in-devices': 'null', 'underruns': '2'}
DRIVE = 'CD drive cd_0'
JOB = '[{"id":"copy","type":"mirror","status":"running","current-progress":1048576,"total-progress":4194304}]'
TYPES = ('name "e1000", bus PCI, desc Intel\r\nname "virtio-net-pci", bus PCI, desc Virtio\r\nname "ne2k_isa", bus ISA, desc NE2000\r\n'
         'name "VGA", bus PCI\r\n')
NETWORK = 'e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56\r\n \\ net0: index=0,type=user,net=10.0.2.0\r\n'


def item(node):
    if node.get_role_name() == 'separator':
        return '-'
    # "mnemonic;path;accelerator"
    keys = (node.get_key_binding(0) or '').split(';')
    return node.get_role_name(), node.get_name(), keys[-1] if len(keys) == 3 else ''


def main():
    with Desktop(variables={'NO_AT_BRIDGE': '0'}, bus=True) as desktop:
        os.environ.update(desktop.env)
        desktop.settings(show_status='true')
        with Program(desktop, sys.argv[1], 'gtk,gl=off', 'box', '', '-snapshot') as machine:
            window = machine.window()
            machine.command('mode 320 200')
            machine.command('second')
            def answer(command, text):
                text = text.replace('\\', '\\\\').replace('\r', '\\r').replace('\n', '\\n').replace('"', '\\"').replace(' ', '\\040')
                machine.command(f'answer {command} {text}')
            answer('query-block', BLOCK.replace('\n', ''))
            answer('info_network', NETWORK)
            machine.command('event DEVICE_TRAY_MOVED {}')
            time.sleep(0.5)
            Atspi.init()
            root = Atspi.get_desktop(0)
            app = wait_for('program on the accessibility bus',
                           lambda: find(root, lambda node: node.get_name() == 'fake-machine'))
            bar = find(app, lambda node: node.get_role_name() == 'menu bar')
            found = [(menu.get_name(), [item(child) for child in children(menu)]) for menu in children(bar)]
            assert found == MENUS, found

            # Every chord there is a need for.
            keys = {node.get_name() for node in below(find(bar, lambda node: node.get_name() == 'Send Keys'))}
            assert keys >= {f'Ctrl+Alt+{key}' for key in ('Del', 'Backspace', *(f'F{i}' for i in range(1, 13)))}, keys
            assert keys >= {'Print', 'Super', *(f'Alt+SysRq+{key}' for key in 'REISUB')}, keys

            def greyed():
                """What is off, all of which says why."""
                app.clear_cache()
                names = [node.get_name() for node in below(bar) if node.get_role_name() != 'separator'
                         and not node.get_state_set().contains(Atspi.StateType.SENSITIVE)]
                assert all(name.endswith(')') and '(' in name for name in names), names
                return [name for name in names if 'this tab' in name or 'does not run' in name or 'no display' in name]
            assert greyed() == [], greyed()

            def strip():
                """The line below."""
                app.clear_cache()
                state = find(app, lambda node: node.get_role_name() == 'label' and node.get_name() in ('Running', 'Paused'))
                return [node.get_name() for node in children(state.get_parent()) if node.get_role_name() == 'label']
            wait_for('strip', lambda: strip() == ['Running', 'Emulated', 'Changes are not kept', '320×200 @ 100 %', ''])
            desktop.activate(window)
            desktop.key('ctrl+alt+g')
            wait_for('hint', lambda: strip()[-1] == 'Ctrl+Alt+G releases keyboard and pointer')
            desktop.key('ctrl+alt+g')
            wait_for('no hint', lambda: strip()[-1] == '')

            # What a drive does.
            drive = find(app, lambda node: node.get_name() == DRIVE)
            read = 0

            def reads():
                nonlocal read
                read += 4096
                answer('query-blockstats', STATS % read)
                drive.clear_cache()
                return drive.get_description() == 'debian.iso (read-only), reading'
            wait_for('reading', reads)
            wait_for('idle', lambda: drive.clear_cache() or drive.get_description() == 'debian.iso (read-only), idle')

            # Sound: what it does, and why there is nothing to choose.
            answer('query-audiodevs', '[{"id":"snd","driver":"alsa"}]')
            for name, value in SOUND.items():
                answer('qom-get_' + name, value)
            machine.command('event DEVICE_TRAY_MOVED {}')
            wait_for('sound', lambda: app.clear_cache() or find(app, lambda node: node.get_name() == 'Audio' and
                                                                node.get_description() == 'alsa, records silence, 2 underruns'))
            menu = find(bar, lambda node: node.get_name() == 'Audio')
            assert [node.get_name() for node in children(menu)] == [
                'Mute What It Plays', 'Play To (“alsa” has no devices to choose)', '',
                'Mute What It Records', 'Record From (“alsa” has no devices to choose)'], [node.get_name() for node in children(menu)]
            answer('qom-get_underruns', '1')
            wait_for('an underrun', lambda: app.clear_cache() or find(app, lambda node: node.get_description() ==
                                                                      'alsa, records silence, 1 underrun'))
            assert greyed() == [], greyed()

            # Its tray is locked: that is asked about first.
            x, y, _, _ = desktop.geometry(window)
            answer('eject', "!Device 'cd' is locked")
            desktop.click(x + 150, y + 12)
            for key in 'Down', '1', 'e':
                time.sleep(0.3)
                desktop.key(key)
            force = wait_for('question', lambda: find(app, lambda node: node.get_name() == 'Eject by Force'))
            answer('eject', '{}')
            machine.said()
            force.do_action(0)
            said = wait_for('forced', lambda: [line for line in machine.said() if line.startswith('command eject')])
            assert len(said) == 1 and '"force": true' in said[0], said

            # A job that takes long, whoever began it.
            answer('query-jobs', JOB)
            machine.command('event JOB_STATUS_CHANGE {"id":"copy","status":"running"}')
            stop = wait_for('job', lambda: find(app, lambda node: node.get_name() == 'Cancel'))
            wait_for('how far it is', lambda: find(app, lambda node: ' '.join(node.get_name().split()).startswith(
                'Job mirror “copy”: 1.0 MiB of 4.0 MiB')))
            machine.said()
            stop.do_action(0)
            said = wait_for('cancelled', lambda: [line for line in machine.said() if line.startswith('command job-cancel')])
            assert '"copy"' in said[0], said
            answer('query-jobs', '[]')
            wait_for('no job', lambda: not find(app, lambda node: node.get_name() == 'Cancel'))

            display = find(app, lambda node: node.get_role_name() == 'canvas')
            assert display.get_name() == 'Screen of vc', display.get_name()

            def described(text):
                wait_for(text, lambda: display.get_description() == text or display.clear_cache())
            described('320 by 200, running')
            machine.command('state 4')
            described('320 by 200, paused')
            assert greyed() == ['Type Clipboard (the machine does not run)'], greyed()
            machine.command('mode 640 480')
            described('640 by 480, paused')
            # A full disk: the machine waits, and goes on when told to.
            machine.command(r'event BLOCK_IO_ERROR {"device":"hd0","action":"stop","nospace":true,"reason":"ENOSPC"}')
            retry = wait_for('bar', lambda: find(app, lambda node: node.get_name() == 'Retry'))
            assert find(app, lambda node: 'no room left for disk “hd0”' in node.get_name())
            retry.do_action(0)
            wait_for('continued', lambda: 'state 9' in machine.said())
            wait_for('no bar', lambda: not find(app, lambda node: node.get_name() == 'Retry'))
            # The power button was pressed in vain: two seconds are what the settings say.
            x, y, _, _ = desktop.geometry(window)
            desktop.click(x + 30, y + 12)
            time.sleep(0.3)
            desktop.key('Down', 'd')
            wait_for('offer', lambda: find(app, lambda node: node.get_name().startswith('The guest has not shut down')))
            # What a terminal shows can be read.
            machine.command('serial')
            machine.command(r'say spoken\040words 1')
            terminal = wait_for('terminal', lambda: find(app, lambda node: node.get_role_name() == 'terminal'))
            assert terminal.get_name() == 'serial_0', terminal.get_name()
            desktop.activate(window)
            desktop.key('ctrl+alt+3')
            wait_for('words', lambda: 'spoken words' in Atspi.Text.get_text(terminal, 0, -1))
            assert greyed() == [f'{item} (this tab has no picture)' for item in
                                ('Type Clipboard', 'Take Screenshot', 'Copy Screenshot', 'Grab Input')], greyed()
            assert not doubled_mnemonics(bar), doubled_mnemonics(bar)
            desktop.key('ctrl+alt+1')

            # Much that is pasted waits for the guest, until it is stopped.
            if shutil.which('xclip'):
                path = desktop.home + '/much'
                with open(path, 'w') as file:
                    file.write('lorem ipsum\n' * 100000)
                xclip = subprocess.Popen(['xclip', '-i', '-selection', 'clipboard', '-quiet', path], env=desktop.env)
                time.sleep(0.5)
                machine.command('deaf 1')
                machine.command('sum')
                desktop.activate(window)
                desktop.key('ctrl+alt+3')
                time.sleep(0.5)
                desktop.key('ctrl+shift+v')
                stop = wait_for('bar', lambda: find(app, lambda node: node.get_name() == 'Stop'))
                assert find(app, lambda node: node.get_name().startswith('Pasting what is'))
                stop.do_action(0)
                wait_for('no bar', lambda: not find(app, lambda node: node.get_name() == 'Stop'))
                machine.command('deaf 0')
                time.sleep(1)
                machine.send('sum')
                count = int(next(line for line in machine.said() if line.startswith('sum')).split()[1])
                assert 0 < count < 200000, count
                xclip.kill()
                xclip.wait()
                desktop.key('ctrl+alt+1')

            # Whatever can have the focus has a name, in dialogs, too.
            def nameless():
                found = []

                def walk(node, path):
                    if not node:
                        return
                    if node.get_state_set().contains(Atspi.StateType.FOCUSABLE) and not node.get_name() \
                            and node.get_role_name() not in ('scroll pane', 'table row', 'table cell', 'filler', 'separator'):
                        found.append(f'{path}/{node.get_role_name()}')
                    for child in children(node):
                        walk(child, f'{path}/{node.get_role_name()} {node.get_name()}')
                app.clear_cache()
                walk(app, '')
                return found
            assert not nameless(), nameless()
            for place, key, title in ((30, 'a', 'Remote Access'), (220, 'm', 'Snapshots'), (290, 'l', 'Log'), (290, 'd', 'Diagnostics')):
                desktop.activate(window)
                desktop.click(x + place, y + 12)
                time.sleep(0.4)
                desktop.key('Down', key)
                time.sleep(0.8)
                assert not nameless(), (title, nameless())
                desktop.key('Escape')
                time.sleep(0.3)

            # Network cards: why none can come and go; then one comes, and goes once the guest lets go of it.
            def shows(begin, end=''):
                wait_for(begin + end, lambda: app.clear_cache() or find(
                    app, lambda node: re.match(f'{begin}.*{end}', (node.get_name() or '').replace('\xa0', ' '))
                    and node.get_state_set().contains(Atspi.StateType.SHOWING)))

            def asked(*commands):
                lines = []

                def all_there():
                    lines.extend(line.split(' ', 2) for line in machine.said() if line.startswith('command '))
                    return [line for line in lines if line[1] in commands][:len(commands)] if \
                        {line[1] for line in lines} >= set(commands) else None
                found = wait_for(commands, all_there)
                assert [line[1] for line in found] == list(commands), lines
                return [json.loads(line[2]) for line in found]

            def network():
                app.clear_cache()
                menu = find(bar, lambda node: node.get_name() == 'Network' and node.get_role_name() == 'menu')
                return [(node.get_name(), [child.get_name() for child in children(node)]) for node in children(menu)]

            def activate(action, *parameter):
                machine.said()
                Gio.bus_get_sync(Gio.BusType.SESSION, None).call_sync(
                    f'org.vitrine.Vitrine.p{machine.process.pid}', '/org/vitrine/Vitrine/window/1', 'org.gtk.Actions', 'Activate',
                    GLib.Variant('(sava{sv})', (action, [GLib.Variant('s', text) for text in parameter], {})), None, 0, 5000, None)
            answer('info_network', NETWORK)
            machine.command('event DEVICE_DELETED {}')
            assert network() == [
                ('1 Cable of e1000.0 to net0', []), ('', []), ('Add Network Card (no bus of this machine takes one while it is on)', []),
                ('Remove Network Card', ['1 e1000.0 (this machine keeps it while it is on)']), ('', []), ('Port Forwards…', [])], network()
            for kind in 'e1000', 'virtio-net-pci', 'VGA':
                answer('place_' + kind, '{"bus":"pci.0"}')
            answer('info_qdm', TYPES)
            answer('device-list-properties', '[{"name":"netdev","type":"str"}]')
            answer('qom-list', '[{"name":"device[7]","type":"child<e1000>"}]')
            answer('qom-get_netdev', '"net0"')
            machine.command('event DEVICE_DELETED {}')
            wait_for('a bus', lambda: network()[2:4] == [('Add Network Card…', []), ('Remove Network Card', ['1 e1000.0'])])
            assert not doubled_mnemonics(bar), doubled_mnemonics(bar)

            def add_nic(mac, wrong=None):
                activate('add-nic')
                entry = wait_for('dialog', lambda: app.clear_cache() or find(app, lambda node: node.get_name() == 'MAC address'))
                assert not nameless(), nameless()
                kinds = find(app, lambda node: node.get_role_name() == 'combo box' and node.get_name() == 'Kind of card')
                names = [node.get_name() for node in below(kinds) if node.get_role_name() == 'menu item']
                assert names == ['e1000 (Intel)', 'virtio-net-pci (Virtio)', 'VGA'], names
                add = find(app, lambda node: node.get_name() == 'Add' and node.get_role_name() == 'push button')
                for text, cause in wrong or ():
                    Atspi.EditableText.set_text_contents(entry, text)
                    shows(cause)
                    wait_for('off', lambda: add.clear_cache() or not add.get_state_set().contains(Atspi.StateType.SENSITIVE))
                Atspi.EditableText.set_text_contents(entry, mac)
                wait_for('on', lambda: add.clear_cache() or add.get_state_set().contains(Atspi.StateType.SENSITIVE))
                add.do_action(0)
                wait_for('closed', lambda: app.clear_cache() or not find(app, lambda node: node.get_name() == 'MAC address'))
            add_nic('', [('52:54:00:12:34', 'A MAC address is written'), ('01:00:5e:00:00:01', 'No card can have'),
                         ('52:54:00:12:34:56', 'e1000.0 has this address')])
            back_end, card = asked('netdev_add', 'device_add')
            assert back_end['type'] == 'user' and card == {'driver': 'e1000', 'bus': 'pci.0', 'netdev': back_end['id'],
                                                           'id': card['id']}, (back_end, card)
            shows('Network card added-card.* is in the machine now')
            # The back end does not stay without its card.
            answer('device_add', '!no room on the bus')
            add_nic('52:54:00:00:00:01')
            back_end, card, undone = asked('netdev_add', 'device_add', 'netdev_del')
            assert card['mac'] == '52:54:00:00:00:01' and undone == {'id': back_end['id']}, (card, undone)
            shows('The network card was not added.')
            shows('no room on the bus')
            desktop.key('Escape')
            answer('device_add', '{}')
            answer('netdev_add', '!no network')
            add_nic('')
            asked('netdev_add')
            shows('no network')
            assert not [line for line in machine.said() if 'device_add' in line]
            desktop.key('Escape')

            activate('remove-nic', 'e1000.0')
            assert asked('device_del') == [{'id': '/machine/peripheral/device[7]'}]
            shows('Network card e1000.0 is still in use: the guest has been asked')
            # Asked once.
            activate('remove-nic', 'e1000.0')
            machine.command('event DEVICE_DELETED {"path":"/machine/peripheral/device[8]"}')
            time.sleep(0.5)
            assert not [line for line in machine.said() if '_del ' in line]
            machine.command('event DEVICE_DELETED {"path":"/machine/peripheral/device[7]"}')
            assert asked('netdev_del') == [{'id': 'net0'}]
            shows('Network card e1000.0 is no longer in the machine')
            answer('device_del', '!it is nailed down')
            activate('remove-nic', 'e1000.0')
            shows('Network card e1000.0 was not removed.')
            shows('it is nailed down')
            desktop.key('Escape')

            image = desktop.home + '/big.qcow2'
            with open(image, 'w'):
                pass
            # Which disks can grow, and why others cannot; by the menu's action, which the session bus has, too.
            answer('query-block', BLOCK.replace('\n', '')[:-1] + ',' + (DISKS % image).replace('\n', '')[1:])
            machine.command('event DEVICE_TRAY_MOVED {}')

            def growth():
                app.clear_cache()
                menu = find(bar, lambda node: node.get_name() == 'Grow Disk' and node.get_role_name() == 'menu')
                return menu and [node.get_name() for node in children(menu)]
            wait_for('disks', lambda: growth() == GROWTH)
            for kind in 'CD', 'floppy disk':
                assert find(bar, lambda node, kind=kind: node.get_name() == f'Grow Disk (a {kind} has the size it has)'), kind
            answer('query-block-jobs', '[{"device":"copy","status":"running"}]')
            machine.command('event JOB_STATUS_CHANGE {"id":"copy","status":"running"}')
            wait_for('busy', lambda: growth()[0] == '1 Disk big (a job works on disks)')
            answer('query-block-jobs', '[{"device":"copy","status":"concluded"}]')
            machine.command('event JOB_STATUS_CHANGE {"id":"copy","status":"concluded"}')
            wait_for('not busy', lambda: growth() == GROWTH)

            def grow(size):
                activate('grow', 'v0')
                spin = wait_for('dialog', lambda: app.clear_cache() or find(app, lambda node: node.get_name() == 'New size in GiB'))
                assert not nameless(), nameless()
                shows('The image is sparse: it takes 1.0 MiB of the host')
                shows('The host has ', ' left.')
                Atspi.Value.set_current_value(spin, 8e9)
                shows('The host has ', 'until there is room.')
                Atspi.Value.set_current_value(spin, size)
                assert Atspi.Value.get_current_value(spin) > 2, 'only larger'
                machine.said()
                find(app, lambda node: node.get_name() == 'Grow' and node.get_role_name() == 'push button').do_action(0)
            grow(0.5)
            said = wait_for('resized', lambda: [line for line in machine.said() if line.startswith('command block_resize')])
            assert '"node-name": "b"' in said[0] and f'"size": {2049 << 20}' in said[0], said
            shows('Disk big has 2.0 GiB now')
            grow(5)
            said = wait_for('resized', lambda: [line for line in machine.said() if line.startswith('command block_resize')])
            assert f'"size": {5 << 30}' in said[0], said
            # One that a job has come to meanwhile is left alone.
            answer('query-block-jobs', '[{"device":"copy","status":"running"}]')
            grow(6)
            wait_for('refused', lambda: app.clear_cache() or find(app, lambda node: 'A job works on disks' in node.get_name()))
            assert not [line for line in machine.said() if line.startswith('command block_resize')]
            desktop.key('Escape')

            assert not doubled_mnemonics(bar), doubled_mnemonics(bar)
    print('ok')


main()
