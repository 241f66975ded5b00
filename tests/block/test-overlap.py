#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""qcow2 images whose tables point to other metadata: what each setting of overlap-check prevents. Snapshot tables that lack
fields, or have too many. Prints TAP."""
import json
import shutil
import struct
import sys

from tools import HAVE_PEER, Bench
from program import main

CLUSTER = 65536
KINDS = ('main-header', 'active-l1', 'active-l2', 'refcount-table', 'refcount-block', 'snapshot-table', 'inactive-l1',
         'inactive-l2', 'bitmap-directory')
CONSTANT = {'main-header', 'active-l1', 'refcount-table', 'snapshot-table', 'bitmap-directory'}
CACHED = CONSTANT | {'active-l2', 'refcount-block', 'inactive-l1'}
NAMES = {'active-l1': 'active L1 table', 'active-l2': 'active L2 table', 'refcount-table': 'refcount table',
         'refcount-block': 'refcount block', 'snapshot-table': 'snapshot table', 'inactive-l1': 'inactive L1 table',
         'inactive-l2': 'inactive L2 table', 'bitmap-directory': 'bitmap directory'}


def get(path, offset, kind='>Q'):
    with open(path, 'rb') as f:
        f.seek(offset)
        return struct.unpack(kind, f.read(struct.calcsize(kind)))[0]


def put(path, offset, value, kind='>Q'):
    with open(path, 'r+b') as f:
        f.seek(offset)
        f.write(struct.pack(kind, value))


def address(entry):
    return entry & 0x00fffffffffffe00


def places(path):
    """Where each kind of metadata lies."""
    l1, table, snapshots = get(path, 40), get(path, 48), get(path, 64)
    inactive = get(path, snapshots)
    at, bitmaps = 104 if get(path, 100, '>I') == 104 else 112, None
    while kind := get(path, at, '>I'):
        if kind == 0x23852875:
            bitmaps = get(path, at + 8 + 16)
        at += 8 + (get(path, at + 4, '>I') + 7) // 8 * 8
    return {'active-l1': l1, 'active-l2': address(get(path, l1)), 'refcount-table': table, 'refcount-block': address(get(path, table)),
            'snapshot-table': snapshots, 'inactive-l1': inactive, 'inactive-l2': address(get(path, inactive)),
            'bitmap-directory': bitmaps}


def write(b, options, name='x'):
    """What a write to the damaged cluster says; the damaged entry is that of the second cluster."""
    status, out, err = b.run('qemu-io', '-c', 'write -P 9 64k 512', '--image-opts', f'driver=qcow2,file.filename={b.file(name)}{options}')
    assert 'Sanitizer' not in out + err, err
    return 'wrote' in out, err


def overlaps():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '4M')
        b.io('a', 'write -q -P 1 0 256k')
        b.img('snapshot', '-c', 'one', 'a')
        b.img('bitmap', '--add', 'a', 'bits')
        b.io('a', 'write -q -P 2 0 192k')
        assert 'No errors' in b.img('check', 'a')
        where = places(b.file('a'))
        assert None not in where.values() and len(set(where.values())) == len(where), where
        for kind, offset in where.items():
            shutil.copy(b.file('a'), b.file('bad'))
            put(b.file('bad'), where['active-l2'] + 8, offset | 1 << 63)
            for options, caught in (
                    [('', kind in CACHED), (',overlap-check=none', False), (',overlap-check=constant', kind in CONSTANT),
                     (',overlap-check=cached', kind in CACHED), (',overlap-check=all', True),
                     (',overlap-check.template=all', True), (f',overlap-check.template=all,overlap-check.{kind}=off', False)]
                    + [(f',overlap-check.template=none,overlap-check.{k}=on', k == kind) for k in KINDS]):
                shutil.copy(b.file('bad'), b.file('x'))
                wrote, err = write(b, options)
                assert wrote != caught, (kind, options, err)
                assert not caught or f'(overlaps with {NAMES[kind]})' in err, (kind, err)
                assert bool(get(b.file('x'), 72) & 2) == caught, 'marked as corrupt'
        for bad in (',overlap-check=most', ',overlap-check.template=most', ',overlap-check.what=on', ',overlap-check.active-l1=perhaps'):
            status, _, err = b.run('qemu-io', '-c', 'quit', '--image-opts', f'driver=qcow2,file.filename={b.file("a")}{bad}')
            assert status == 1 and 'overlap-check' in err, (bad, err)


def tables_that_move():
    """Places that were metadata once, and are data now, are nobody's."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512,refcount_bits=64', 'a', '2M')
        options = f'driver=qcow2,overlap-check=all,file.filename={b.file("a")}'
        for round_ in range(6):
            commands = [x for i in range(24) for x in ('-c', f'write -q -P {i + 1} {(i * 37 + round_ * 11) % 64 * 32}k 20k')]
            commands += [x for i in range(6) for x in ('-c', f'discard -q {(i * 13 + round_) % 60 * 32}k 64k')]
            status, out, err = b.run('qemu-io', *commands, '--image-opts', options)
            assert status == 0 and not err, (out, err)
            b.img('snapshot', '-c', f's{round_}', 'a')
            if round_ % 2:
                b.img('snapshot', '-a', f's{round_ - 1}', 'a')
                b.img('snapshot', '-d', f's{round_}', 'a')
            assert 'No errors' in b.img('check', 'a')


def strip(path, keep):
    """Entries of the snapshot table with KEEP bytes of extra data."""
    n, offset = get(path, 60, '>I'), get(path, 64)
    with open(path, 'r+b') as f:
        f.seek(offset)
        table, out, at = f.read(CLUSTER), b'', 0
        for _ in range(n):
            extra, ids, names = struct.unpack_from('>I', table, at + 36)[0], *struct.unpack_from('>HH', table, at + 12)
            end = at + 40 + extra + ids + names
            more = table[at + 40:at + 40 + extra][:keep].ljust(keep, b'\xa5')
            entry = table[at:at + 36] + struct.pack('>I', keep) + more + table[at + 40 + extra:end]
            out += entry + bytes(-len(entry) % 8)
            at = (end + 7) // 8 * 8
        f.seek(offset)
        f.write(out.ljust(CLUSTER, b'\0'))


def snapshot_tables():
    with Bench() as b, Bench(peer=True) as peer:
        for compat in ('0.10', '1.1'):
            b.img('create', '-q', '-f', 'qcow2', '-o', f'compat={compat}', 'a', '4M')
            for i, name in enumerate(('one', 'two')):
                b.io('a', f'write -q -P {i + 1} 0 256k')
                b.img('snapshot', '-c', name, 'a')
            for keep in (0, 8, 16, 24, 100, 2000):
                shutil.copy(b.file('a'), b.file('x'))
                strip(b.file('x'), keep)
                incomplete, too_much = keep < 16 and compat == '1.1', keep > 1024
                status, out, err = b.run('qemu-img', 'check', 'x')
                assert status == (2 if incomplete or too_much else 0), (compat, keep, status, out, err)
                assert ('snapshot table entry 1 is incomplete' in out + err) == incomplete, (out, err)
                if HAVE_PEER:
                    shutil.copy(b.file('x'), peer.file('x'))
                    assert peer.run('qemu-img', 'check', 'x')[0] == (1 if too_much else status)
                if too_much:
                    status, _, err = b.run('qemu-img', 'snapshot', '-l', 'x')
                    assert status == 1 and 'Too much extra metadata in snapshot table entry 0' in err, err
                if incomplete or too_much:
                    status, out, err = b.run('qemu-img', 'check', '-r', 'all', 'x')
                    assert status == 0 and '2 corruptions' in out and 'snapshot table entry 1' in out + err, (out, err)
                for who in (b, peer) if HAVE_PEER else (b,):
                    shutil.copy(b.file('x'), who.file('y'))
                    assert who.run('qemu-img', 'check', 'y')[0] == 0
                names = [s['name'] for s in json.loads(b.img('info', '--output=json', 'x'))['snapshots']]
                assert names == ['one', 'two']
                b.img('snapshot', '-a', 'one', 'x')
                assert 'read' in b.io('x', 'read -P 1 0 256k')
                b.img('snapshot', '-d', 'two', 'x')
                if compat == '0.10':
                    status, _, err = b.run('qemu-img', 'resize', 'x', '8M')
                    assert status == 1 and "Can't resize a v2 image which has snapshots" in err
                    b.img('amend', '-o', 'compat=1.1', 'x')
                b.img('resize', 'x', '8M')
                b.img('snapshot', '-a', 'one', 'x')
                assert json.loads(b.img('info', '--output=json', 'x'))['virtual-size'] == 4 << 20
                assert 'No errors' in b.img('check', 'x')


if __name__ == '__main__':
    sys.exit(main([overlaps, tables_that_move, snapshot_tables]))
