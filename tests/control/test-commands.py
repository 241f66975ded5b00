#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that change a machine that stands: objects, character back ends, media, descriptors, dumps."""
import json
import os
import socket
import struct
import sys
import tempfile

import program
from program import Machine


def error(answer):
    return answer['error']['class'], answer['error']['desc']


def objects():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    backend = {'qom_type': 'memory-backend-ram', 'id': 'x', 'size': 4096}
    assert m.command('object-add', **backend) == {'return': {}}
    assert m.command('query-memdev')['return'][0]['id'] == 'x'
    assert error(m.command('object-add', **backend)) == \
        ('GenericError', "attempt to add duplicate property 'x' to object (type 'container')")
    assert m.command('object-del', id='x') == {'return': {}}
    assert error(m.command('object-del', id='x')) == ('GenericError', "object 'x' not found")
    for change, desc in (({'id': '1y'}, "Parameter 'id' expects an identifier"),
                         ({'qom_type': 'nope'}, "Parameter 'qom-type' does not accept value 'nope'"),
                         ({'foo': 3}, "Parameter 'foo' is unexpected")):
        assert error(m.command('object-add', **{**backend, **change})) == ('GenericError', desc)
    assert m.hmp('object_add memory-backend-ram,id=y,size=1M') == ''
    assert m.hmp('object_del y') == '' and m.hmp('object_del y') == "Error: object 'y' not found\n"
    m.quit()


def character_back_ends():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    null = {'type': 'null', 'data': {}}
    assert m.command('chardev-add', id='a', backend=null) == {'return': {}}
    assert error(m.command('chardev-add', id='a', backend=null)) == \
        ('GenericError', "Chardev with id 'a' already exists")
    pty = m.command('chardev-add', id='p', backend={'type': 'pty', 'data': {}})['return']['pty']
    assert pty.startswith('/dev/pts/') or pty.startswith('/dev/'), pty
    path = os.path.join(m.folder.name, 'sock')
    addr = {'type': 'unix', 'data': {'path': path}}
    assert m.command('chardev-add', id='s', backend={'type': 'socket', 'data': {'addr': addr}}) == {'return': {}}
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.settimeout(30)
        instance = {'type': 'chardev', 'id': 's'}
        assert instance in m.command('query-yank')['return']
        assert m.command('yank', instances=[instance]) == {'return': {}}
        assert s.recv(1) == b''
    assert error(m.command('yank', instances=[{'type': 'chardev', 'id': 'a'}])) == \
        ('DeviceNotFound', 'Instance not found')
    assert m.command('chardev-add', id='r', backend={'type': 'ringbuf', 'data': {'size': 64}}) == {'return': {}}
    assert m.command('ringbuf-write', device='r', data='abc') == {'return': {}}
    assert m.command('ringbuf-read', device='r', size=8) == {'return': 'abc'}
    assert {c['label'] for c in m.command('query-chardev')['return']} >= {'a', 'p', 's', 'r'}
    for name in 'apsr':
        assert m.command('chardev-remove', id=name) == {'return': {}}
    assert error(m.command('chardev-change', id='a', backend=null)) == ('GenericError', "Chardev 'a' does not exist")
    m.quit()


def media():
    with tempfile.TemporaryDirectory() as folder:
        image, disk = os.path.join(folder, 'cd.iso'), os.path.join(folder, 'hd.img')
        for path in image, disk:
            with open(path, 'wb') as f:
                f.truncate(1 << 20)
        m = Machine('-S', '-drive', 'if=ide,index=2,media=cdrom,id=cd', '-drive', f'file={disk},format=raw,id=hd',
                    '-drive', f'if=virtio,file={image},format=raw,readonly=on,id=ro')
        m.negotiate()
        block = {b['device']: b for b in m.command('query-block')['return']}
        assert block['cd']['removable'] and 'inserted' not in block['cd'] and block['cd']['tray_open'] is False
        # What is only read is no CD drive.
        assert not block['ro']['removable'] and 'tray_open' not in block['ro'] and block['ro']['inserted']['ro']
        assert not block['hd']['removable'] and block['hd']['inserted']['image']['virtual-size'] == 1 << 20
        assert error(m.command('eject', device='hd')) == ('GenericError', "Device 'hd' is not removable")
        assert error(m.command('eject', device='no')) == ('DeviceNotFound', "Device 'no' not found")
        assert error(m.command('eject')) == ('GenericError', "Need exactly one of 'device' and 'id'")
        assert error(m.command('blockdev-change-medium', device='cd', filename='/nonexistent'))[1] == \
            "Could not open '/nonexistent': No such file or directory"
        assert m.command('blockdev-change-medium', device='cd', filename=image, format='raw') == {'return': {}}
        moves = [e['data']['tray-open'] for e in m.events if e['event'] == 'DEVICE_TRAY_MOVED']
        assert moves == [True, False], m.events
        assert f'{image} (raw, read-only)' in m.hmp('info block cd')
        assert m.hmp('eject cd') == '' and 'tray open' in m.hmp('info block')
        assert m.command('blockdev-close-tray', id=block['cd']['qdev']) == {'return': {}}
        assert {s['device'] for s in m.command('query-blockstats')['return']} >= {'cd', 'hd'}
        assert {n['drv'] for n in m.command('query-named-block-nodes')['return']} == {'raw', 'file'}
        m.quit()


def descriptors():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'second')
        m = Machine('-S', '-machine', 'none', '-qmp', f'unix:{path},server=on,wait=off')
        m.negotiate()
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        lines = s.makefile('r', encoding='utf-8')
        lines.readline()

        def command(name, fd=None, **arguments):
            text = json.dumps({'execute': name, 'arguments': arguments} if arguments else {'execute': name}) + '\n'
            if fd is None:
                s.sendall(text.encode())
            else:
                socket.send_fds(s, [text.encode()], [fd])
            return json.loads(lines.readline())

        command('qmp_capabilities')
        assert error(command('add-fd'))[1] == 'No file descriptor supplied via SCM_RIGHTS'
        with open(os.devnull, 'rb') as f:
            one = command('add-fd', fd=f.fileno(), opaque='mine')['return']
            assert one['fdset-id'] == 0
            assert command('query-fdsets')['return'] == [{'fdset-id': 0, 'fds': [{'fd': one['fd'], 'opaque': 'mine'}]}]
            assert error(command('remove-fd', **{'fdset-id': 3}))[1] == "File descriptor named 'fdset-id:3' not found"
            assert command('remove-fd', **{'fdset-id': 0}) == {'return': {}}
            assert command('query-fdsets')['return'] == []
            assert command('getfd', fd=f.fileno(), fdname='x') == {'return': {}}
            assert command('closefd', fdname='x') == {'return': {}}
        assert error(command('closefd', fdname='x'))[1] == "File descriptor named 'x' not found"
        lines.close()
        s.close()
        m.quit()


def segments(path):
    with open(path, 'rb') as f:
        data = f.read()
    assert data[:4] == b'\x7fELF'
    offset, count = struct.unpack_from('<Q', data, 32)[0], struct.unpack_from('<H', data, 56)[0]
    heads = [struct.unpack_from('<IIQQQQQQ', data, offset + i * 56) for i in range(count)]
    assert heads[0][0] == 4 and all(h[0] == 1 for h in heads[1:])
    assert all(h[2] + h[5] <= len(data) for h in heads)
    return data, heads


def core_dumps():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'core')
        m = Machine('-S', '-m', '8', '-smp', '2')
        m.negotiate()
        assert m.command('query-dump')['return']['status'] == 'none'
        assert m.command('dump-guest-memory', paging=False, protocol=f'file:{path}') == {'return': {}}
        data, heads = segments(path)
        assert heads[1][3] == 0 and heads[1][5] == 0xa0000
        assert heads[-1][4] + heads[-1][5] == 1 << 32
        reset_vector = heads[-1][2] + heads[-1][5] - 16
        assert data[reset_vector] in (0xea, 0xe9, 0x90, 0xfa), data[reset_vector]
        notes = data[heads[0][2]:heads[0][2] + heads[0][5]]
        assert len(notes) == 2 * (12 + 8 + 336) and notes[12:16] == b'CORE'
        rip = struct.unpack_from('<Q', notes, 20 + 112 + 16 * 8)[0]
        assert rip == 0xfff0, hex(rip)
        os.unlink(path)
        assert m.command('dump-guest-memory', paging=False, protocol=f'file:{path}', begin=4096, length=8192,
                         detach=True) == {'return': {}}
        done = m.wait_event('DUMP_COMPLETED')['data']
        assert done == {'result': {'status': 'completed', 'completed': 8192, 'total': 8192}}
        assert segments(path)[1][1][3:6] == (4096, 4096, 8192)
        assert m.hmp('info dump') == 'Status: completed\n'
        for change, desc in (({'protocol': 'no:x'}, "Invalid parameter 'protocol'"),
                             ({'protocol': 'fd:x'}, "File descriptor named 'x' has not been found"),
                             ({'begin': 3}, "Parameter 'length' is missing"),
                             ({'begin': 1 << 40, 'length': 1}, 'dump: no guest memory to dump'),
                             ({'protocol': 'file:/nonexistent/x'},
                              "Could not open '/nonexistent/x': No such file or directory")):
            answer = m.command('dump-guest-memory', **{'paging': False, 'protocol': f'file:{path}', **change})
            assert error(answer) == ('GenericError', desc), answer
        m.quit()


def pci():
    m = Machine('-S')
    m.negotiate()
    bus = m.command('query-pci')['return'][0]
    host = bus['devices'][0]
    assert bus['bus'] == 0 and host['class_info'] == {'class': 0x600, 'desc': 'Host bridge'}
    assert host['id'] == {'vendor': 0x8086, 'device': 0x1237, 'subsystem-vendor': 0x1af4, 'subsystem': 0x1100}
    assert m.hmp('info pci').startswith('  Bus  0, device   0, function 0:\n    Host bridge: PCI device 8086:1237\n')
    m.quit()
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    assert m.command('query-pci')['return'] == []
    m.quit()


def parts_that_are_not_there():
    m = Machine('-S')
    m.negotiate()
    assert error(m.command('query-balloon')) == ('DeviceNotActive', 'No balloon device has been activated')
    assert error(m.command('query-vm-generation-id')) == ('GenericError', 'VM Generation ID device not found')
    assert m.command('query-sev')['return']['enabled'] is False
    assert error(m.command('query-sgx'))[1] == 'No EPC regions defined, SGX not available'
    for name in ('query-memory-devices', 'query-jobs', 'query-block-jobs'):
        assert m.command(name) == {'return': []}
    assert error(m.command('migrate', uri='tcp:x'))[1] == 'Migration is not available in this build'
    m.quit()


def sound_captures():
    m = Machine('-S', '-machine', 'none', '-audiodev', 'none,id=a')
    m.negotiate()
    path = os.path.join(m.folder.name, 'x.wav')
    failed = '\nFailed to add wave capture\n'
    for words, why in ((f'{path} b', "Audiodev 'b' not found\n"),
                       (f'{path} a 44100 12', 'incorrect bit count 12, must be 8 or 16' + failed),
                       (f'{path} a 44100 16 3', 'incorrect channel count 3, must be 1 or 2' + failed),
                       (f'{path} a 999', 'incorrect frequency 999, must be from 1000 to 768000' + failed),
                       ('/nowhere/x a', "Failed to open wave file `/nowhere/x': No such file or directory" + failed)):
        assert m.hmp(f'wavcapture {words}') == why, words
    assert m.hmp('info capture') == '' and not os.path.exists(path)
    assert m.hmp(f'wavcapture {path} a 8000 8 1') == ''
    assert m.hmp(f'wavcapture {path}2 a') == ''
    assert m.hmp('info capture') == (f'[0]: Capturing audio(8000,8,1) to {path}: 0 bytes\n'
                                     f'[1]: Capturing audio(44100,16,2) to {path}2: 0 bytes\n')
    assert m.hmp('stopcapture 2') == m.hmp('stopcapture 0') == ''
    assert m.hmp('info capture').startswith('[0]: Capturing audio(44100,16,2)')
    with open(path, 'rb') as file:
        header = file.read()
    assert (len(header), header[8:16], struct.unpack('<HHIIHH', header[20:36])) == (44, b'WAVEfmt ', (1, 1, 8000, 8000, 1, 8))
    os.unlink(path)
    os.unlink(path + '2')
    m.quit()


sys.exit(program.main([objects, character_back_ends, media, descriptors, core_dumps, pci, parts_that_are_not_there,
                       sound_captures]))
