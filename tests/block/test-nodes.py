#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands about nodes and drives of a machine that is stopped: made, closed, resized, put over each other, limited.
Prints TAP."""
import json
import os
import sys
import tempfile

from tools import Bench  # noqa: F401 - finds the programs
from program import Machine, main

OK = {'return': {}}


def error(answer):
    return answer['error']['class'], answer['error']['desc']


def throttle(m, **limits):
    every = dict.fromkeys(('bps', 'bps_rd', 'bps_wr', 'iops', 'iops_rd', 'iops_wr'), 0)
    return m.raw(json.dumps({'execute': 'block_set_io_throttle', 'arguments': {'id': 'd', **every, **limits}}))


def disk(folder, name, size=1 << 20):
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        f.truncate(size)
    return path


def file_node(name, path, **more):
    return {'driver': 'raw', 'node-name': name, 'file': {'driver': 'file', 'filename': path}, **more}


def nodes():
    with tempfile.TemporaryDirectory() as folder:
        m = Machine('-S', '-nodefaults')
        m.negotiate()
        path = disk(folder, 'a')
        assert m.command('blockdev-add', **file_node('a', path)) == OK
        assert error(m.command('blockdev-add', **file_node('a', path)))[1] == "Duplicate nodes with node-name='a'"
        assert error(m.command('blockdev-add', driver='null-co'))[1] == "'node-name' must be specified for the root node"
        assert error(m.command('blockdev-add', driver='raw', file='no', **{'node-name': 'b'}))[1] == \
            "Cannot find device='no' nor node-name='no'"
        assert m.command('blockdev-add', driver='raw', file='a', **{'node-name': 'b'}) == OK
        assert error(m.command('blockdev-del', **{'node-name': 'a'}))[1] == 'Block device a is in use'
        assert m.command('block_resize', **{'node-name': 'b', 'size': 2 << 20}) == OK
        sizes = {n['node-name']: n['image']['virtual-size'] for n in m.command('query-named-block-nodes')['return']}
        assert sizes['a'] == sizes['b'] == os.stat(path).st_size == 2 << 20
        assert m.command('blockdev-reopen', options=[file_node('a', path, **{'read-only': True})]) == OK
        assert error(m.command('blockdev-reopen', options=[{**file_node('a', path), 'offset': 512}]))[1] == \
            "Cannot change the option 'offset'"
        assert m.command('blockdev-del', **{'node-name': 'b'}) == OK
        assert m.command('object-add', **{'qom-type': 'throttle-group', 'id': 'g'}) == OK
        assert m.command('blockdev-add', driver='throttle', file='a', **{'node-name': 't', 'throttle-group': 'g'}) == OK
        assert error(m.command('object-del', id='g'))[1] == "object 'g' is in use, can not be deleted"
        assert m.command('blockdev-del', **{'node-name': 't'}) == OK
        assert m.command('object-del', id='g') == OK
        assert m.command('blockdev-del', **{'node-name': 'a'}) == OK
        assert m.hmp(f'drive_add 0 if=none,id=late,file={path},format=raw').strip() == 'OK'
        assert m.hmp('drive_add -n 0 driver=null-co,node-name=nil') == ''
        assert "Duplicate ID 'late' for drive" in m.hmp('drive_add 0 if=none,id=late')
        assert "Can't hot-add drives" in m.hmp(f'drive_add 0 if=ide,file={path},format=raw')
        assert [b['device'] for b in m.command('query-block')['return']] == ['late']
        assert m.hmp('drive_del late') == '' and m.command('blockdev-del', **{'node-name': 'nil'}) == OK
        assert error(m.command('blockdev-del', **{'node-name': 'a'}))[1] == "Failed to find node with node-name='a'"
        m.quit()


def devices():
    with tempfile.TemporaryDirectory() as folder:
        path = disk(folder, 'a')
        m = Machine('-S', '-nodefaults', '-blockdev', f'driver=raw,node-name=a,file.driver=file,file.filename={path}',
                    '-device', 'ide-hd,id=d,drive=a', '-drive', 'if=none,id=empty', '-device', 'ide-cd,id=cd,drive=empty')
        m.negotiate()
        block = {b['qdev']: b for b in m.command('query-block')['return']}
        assert block['d']['device'] == '' and block['d']['inserted']['node-name'] == 'a'
        assert error(m.command('blockdev-del', **{'node-name': 'a'}))[1] == 'Node a is in use'
        assert error(m.command('blockdev-insert-medium', id='cd', **{'node-name': 'a'}))[1] == \
            "Tray of device 'cd' is not open"
        assert m.command('blockdev-open-tray', id='cd') == OK
        assert 'Permission conflict' in error(m.command('blockdev-insert-medium', id='cd', **{'node-name': 'a'}))[1]
        iso = disk(folder, 'iso')
        assert m.command('blockdev-add', **file_node('iso', iso, **{'read-only': True})) == OK
        assert m.command('blockdev-insert-medium', id='cd', **{'node-name': 'iso'}) == OK
        assert throttle(m, bps_rd=1000) == OK
        block = {b['qdev']: b for b in m.command('query-block')['return']}
        assert block['d']['inserted']['bps_rd'] == 1000 and block['cd']['inserted']['node-name'] == 'iso'
        assert 'error' in throttle(m, bps=1, bps_rd=1)
        assert m.command('block-set-write-threshold', **{'node-name': 'a', 'write-threshold': 4096}) == OK
        m.quit()


def overlays():
    with tempfile.TemporaryDirectory() as folder:
        path, top = disk(folder, 'a'), os.path.join(folder, 'top.qcow2')
        m = Machine('-S', '-nodefaults', '-drive', f'if=none,id=hd,file={path},format=raw', '-device', 'ide-hd,drive=hd')
        m.negotiate()
        answer = m.command('blockdev-snapshot-sync', device='hd', **{'snapshot-file': top, 'snapshot-node-name': 'top'})
        assert answer == OK, answer
        inserted = m.command('query-block')['return'][0]['inserted']
        assert inserted['node-name'] == 'top' and inserted['backing_file_depth'] == 1, inserted
        assert inserted['image']['backing-image']['filename'] == path
        second = os.path.join(folder, 'second.qcow2')
        with open(top, 'rb') as f, open(second, 'wb') as g:
            g.write(f.read())
        assert m.command('blockdev-add', driver='qcow2', backing=None, file={'driver': 'file', 'filename': second},
                         **{'node-name': 'second'}) == OK
        assert m.command('blockdev-snapshot', node='top', overlay='second') == OK
        assert error(m.command('blockdev-snapshot', node='top', overlay='second'))[1] == 'The overlay is already in use'
        inserted = m.command('query-block')['return'][0]['inserted']
        assert inserted['node-name'] == 'second' and inserted['backing_file_depth'] == 2
        m.quit()


sys.exit(main([nodes, devices, overlays]))
