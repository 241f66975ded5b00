#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""vitrine-img: every command by itself, and side by side with the known tool where that is installed."""
import ctypes
import filecmp
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time

from tools import HAVE_PEER, Bench, normal, pare
from program import main

# Lines that are run one after the other in a folder of ours and one of the peer's; status and outputs must be the
# same. "#" begins a line of which only the status counts.
SIDE_BY_SIDE = '''
qemu-img create -f qcow2 a.qcow2 1G
qemu-img create a.raw 64M
qemu-img create -f raw b.raw 10k -o preallocation=full
qemu-img create -f nope x 1M
qemu-img create -f qcow2 x
qemu-img create
qemu-img create -f qcow2 x 1M extra
qemu-img create -f qcow2 x foo
qemu-img create -f qcow2 x -- -1M
qemu-img create -f qcow2 x 99E
qemu-img create -f qcow2 x 9223372036854775808
qemu-img create -f qcow2 -o foo=1 x 1M
qemu-img create -f qcow2 -o cluster_size=foo x 1M
qemu-img create -f qcow2 -o cluster_size=1000 x 1M
qemu-img create -f qcow2 -o lazy_refcounts=maybe x 1M
qemu-img create -f qcow2 -b a.qcow2 -F qcow2 ov.qcow2
qemu-img create -f qcow2 -b a.qcow2 -F qcow2 ov2.qcow2 2G
qemu-img create -f qcow2 -b a.qcow2 -F foo x 2G
qemu-img create -f qcow2 -b nonex -F qcow2 x 2G
qemu-img create -f qcow2 -b nonex -F qcow2 x
qemu-img create -f qcow2 -u -b nonex -F qcow2 x
qemu-img create -f qcow2 -u -b nonex -F qcow2 nobacking.qcow2 1M
qemu-img create -f qcow2 -u -b nonex x 1M
qemu-img create -f raw -b a.raw -F raw x 1M
qemu-img create -f raw -F raw x 1M
qemu-img create -f qcow2 /nonexdir/x 1M
qemu-img create -f qcow2 -q q.qcow2 1M
qemu-img create -f qcow2 -o size=3M,cluster_size=4k s.qcow2
qemu-img create -f qcow2 -o backing_file=a.qcow2,backing_fmt=qcow2 s.qcow2
qemu-img create -f qcow2 -o backing_file=a,,b.qcow2,backing_fmt=qcow2 x
qemu-img create -f qcow2 s.qcow2 -b s.qcow2 -F qcow2
qemu-img create -f qcow2 -o size=1M x 2M
qemu-img create -f qcow2 -q -b a.raw -F qcow2 x
qemu-img create -f qcow2 -o compat=1.1,preallocation=off,refcount_bits=8,lazy_refcounts=on,nocow=off o 1M
qemu-img create -f qcow2 -o data_file=d,data_file_raw=on o 1M
qemu-img create -f vmdk -o subformat=monolithicFlat,adapter_type=ide,hwversion=4,toolsversion=1 o.vmdk 1M
qemu-img create -f vhdx -o subformat=fixed o 8M
qemu-img create -f vpc -o force_size=on o 8M
qemu-img create -f vpc o 8M
qemu-img create -f vdi -o static=on o 8M
qemu-img create -f qed -o table_size=4 o 8M
qemu-img create -f parallels o 8M
qemu-img measure -O luks --size 1G
qemu-img convert --bitmaps a.qcow2 x
qemu-img convert --bitmaps -O vmdk a.qcow2 x
qemu-img convert --bitmaps -f raw -O qcow2 a.raw x
qemu-img create -q -f qcow2 -b a.raw -F raw am.qcow2
qemu-img amend -o backing_file=a.raw am.qcow2
qemu-img amend -o backing_file=a.raw,backing_fmt=raw am.qcow2
qemu-img amend -o backing_file=nonex,backing_fmt=raw am.qcow2
qemu-img amend -o backing_fmt=qcow2 am.qcow2
qemu-img foo
qemu-img
qemu-img create --foo
qemu-img create -f
qemu-img info
qemu-img info --output
qemu-img info --output=xx a.raw
qemu-img info a.qcow2
qemu-img info a.raw
qemu-img info ov2.qcow2
qemu-img info --backing-chain ov2.qcow2
qemu-img info -f qcow2 a.raw
qemu-img info nonex
qemu-img info nobacking.qcow2
qemu-img info --image-opts driver=qcow2,file.filename=a.qcow2
qemu-img info --image-opts -f raw driver=qcow2,file.filename=a.qcow2
qemu-io -c 'write -P 1 0 64k' -c 'write -P 2 1M 128k' ov2.qcow2
qemu-img snapshot -c one ov2.qcow2
qemu-img snapshot -c two ov2.qcow2
qemu-img snapshot -l ov2.qcow2
qemu-img info ov2.qcow2
qemu-img snapshot ov2.qcow2
qemu-img snapshot -d nonex ov2.qcow2
# qemu-img snapshot -a nonex ov2.qcow2
qemu-img snapshot -a one ov2.qcow2
qemu-img snapshot -d one ov2.qcow2
qemu-img snapshot -l a.raw
qemu-img snapshot -a x -d y a.raw
qemu-img check a.qcow2
qemu-img check -q ov2.qcow2
# qemu-img check ov2.qcow2
qemu-img check a.raw
qemu-img check --output=json a.raw
qemu-img check -r foo ov2.qcow2
qemu-img check nonex
qemu-img check -f qcow2 a.raw
qemu-img check
qemu-img check a b
qemu-img map --start-offset=x ov2.qcow2
qemu-io -f raw -c 'write -P 1 0 64k' -c 'write -P 2 1M 100k' a.raw
qemu-img map a.raw
qemu-img map --output=json a.raw
qemu-img convert -f raw -O qcow2 -c a.raw c.qcow2
qemu-img map c.qcow2
qemu-img map --output=json c.qcow2
qemu-img compare a.raw c.qcow2
qemu-img compare a.raw a.qcow2
qemu-img compare -s a.raw c.qcow2
qemu-img compare -s a.raw a.qcow2
qemu-img compare a.raw nonex
qemu-img compare a.raw
qemu-img compare -q a.raw a.qcow2
qemu-img compare -f nope a.raw a.raw
qemu-img create -f qcow2 -q big 2G
qemu-img compare a.qcow2 big
qemu-img compare -s a.qcow2 big
qemu-io -c 'write -P 1 1500M 64k' big
qemu-img compare a.qcow2 big
qemu-img convert a.raw
qemu-img convert
qemu-img convert nonex o
qemu-img convert -O nope a.raw o
qemu-img convert -c a.raw o
qemu-img convert -n a.raw nonex2
qemu-img convert -n -O qcow2 a.raw b.raw
qemu-img convert -n a.raw b.raw
qemu-img convert -S 3 a.raw o
qemu-img convert -m 99 a.raw o
qemu-img convert -m 0 a.raw o
qemu-img convert -o foo=1 -O qcow2 a.raw o
qemu-img convert -B a.qcow2 -O qcow2 a.raw o2
qemu-img convert -B a.qcow2 -F qcow2 -O qcow2 a.raw o2
qemu-img compare a.raw o2
qemu-img convert -l two -O qcow2 ov2.qcow2 o3
qemu-img compare ov2.qcow2 o3
# qemu-img convert -l nonex -O qcow2 ov2.qcow2 o3
qemu-img convert -l snapshot.name=two -O qcow2 ov2.qcow2 o3
qemu-img convert -O raw a.raw a.raw o2x
qemu-img info o2x
qemu-img convert --target-image-opts a.raw driver=raw,file.filename=foo
qemu-img convert -n --target-image-opts a.raw driver=raw,file.filename=foo
qemu-img convert --target-is-zero a.raw foo
qemu-img convert --bitmaps a.raw foo
qemu-img convert --skip-broken-bitmaps -O qcow2 a.raw foo
qemu-img convert -C -S 4k a.raw foo
qemu-img convert -t foo a.raw foo
qemu-img convert -T foo a.raw foo
qemu-img convert -r foo a.raw foo
qemu-img convert -O qcow2 a.raw /nonex/foo
qemu-img convert -O qcow2 a.raw a.raw
qemu-img create -q -f qcow2 r.qcow2 1M
qemu-img resize r.qcow2 2M
qemu-img resize r.qcow2 +2M
qemu-img resize r.qcow2 -- -1M
qemu-img resize --shrink r.qcow2 -- -1M
qemu-img resize r.qcow2
qemu-img resize r.qcow2 foo
qemu-img resize -q r.qcow2 5M
qemu-img resize r.qcow2 5M
qemu-img resize --shrink r.qcow2 -20M
qemu-img resize --shrink r.qcow2 0
qemu-img resize --preallocation=full r.qcow2 1M
qemu-img resize --preallocation=foo r.qcow2 1M
qemu-img resize
qemu-img resize -f raw a.raw 1M
qemu-img resize -f raw --shrink a.raw 60M
qemu-img info r.qcow2
qemu-img rebase -b '' ov2.qcow2
qemu-img rebase -b a.qcow2 ov2.qcow2
qemu-img rebase -b a.qcow2 -F qcow2 ov2.qcow2
qemu-img rebase -u -b xx -F raw ov2.qcow2
qemu-img rebase -b a.qcow2 -F qcow2 ov2.qcow2
qemu-img rebase -u -b a.qcow2 -F qcow2 ov2.qcow2
qemu-img rebase -b nonex -F qcow2 ov2.qcow2
qemu-img rebase ov2.qcow2
qemu-img rebase -b x -F foo ov2.qcow2
qemu-img commit -b nonex ov2.qcow2
qemu-img commit ov2.qcow2
qemu-img info ov2.qcow2
qemu-img commit -q ov2.qcow2
qemu-img commit -f raw a.raw
qemu-img commit -r 0x ov2.qcow2
qemu-img commit
qemu-io -c 'read -P 1 0 64k' -c 'read -P 2 1M 128k' a.qcow2
qemu-img measure --size 1G
qemu-img measure -O qcow2 --size 1G
qemu-img measure -O qcow2 a.qcow2
qemu-img measure
qemu-img measure --size 1G a.raw
qemu-img measure -O foo --size 1G
qemu-img measure --size x
qemu-img measure -O raw a.raw
qemu-img bitmap --add a.qcow2 b0
qemu-img bitmap --add a.qcow2 b0
qemu-img bitmap a.qcow2 b0
qemu-img bitmap --disable a.qcow2 b0
qemu-img bitmap --remove a.qcow2 nonex
qemu-img bitmap --add -g 1000 a.qcow2 b1
qemu-img bitmap --add -g 128k --disable a.qcow2 b1
qemu-img bitmap --merge b0 a.qcow2 b1
qemu-img bitmap --merge nonex a.qcow2 b1
qemu-img info a.qcow2
qemu-img measure -O qcow2 a.qcow2
qemu-img bitmap --clear a.qcow2 b1
qemu-img bitmap
qemu-img bitmap --add a.qcow2
qemu-img bitmap --clear -b x a.qcow2 b1
qemu-img bitmap --clear -F x a.qcow2 b1
qemu-img bitmap --clear -g 64k a.qcow2 b1
qemu-img convert --bitmaps -O qcow2 a.qcow2 abm.qcow2
qemu-img info abm.qcow2
qemu-img bitmap --remove abm.qcow2 b0
qemu-img info abm.qcow2
qemu-img amend -o compat=0.10 r.qcow2
qemu-img info r.qcow2
qemu-img amend -o foo=1 r.qcow2
qemu-img amend r.qcow2
qemu-img amend -o cluster_size=4k r.qcow2
qemu-img amend -f raw -o compat=1.1 a.raw
qemu-img amend -o compat=1.1 r.qcow2
qemu-img amend -o size=16M r.qcow2
qemu-img amend -o lazy_refcounts=on r.qcow2
qemu-img info r.qcow2
qemu-img amend -f raw -o help
qemu-img dd if=a.raw of=d.raw
qemu-img compare a.raw d.raw
qemu-img dd if=a.raw of=d.raw bs=1M skip=1
qemu-img info d.raw
qemu-img dd
qemu-img dd if=a.raw
qemu-img dd if=a.raw of=d.raw bs=x
qemu-img dd if=a.raw of=d.raw foo=1
qemu-img dd if=a.raw of=d.raw bs=0
qemu-img dd -O qcow2 if=a.raw of=d.qcow2 count=1
qemu-img info d.qcow2
qemu-img bench -c 10 -f raw a.raw
qemu-img bench -c 10 -w -d 1 -f raw -s 8k -S 16k --pattern 5 --flush-interval=2 --no-drain a.raw
qemu-img bench -c x a.raw
qemu-img bench
qemu-img bench -c 10 --flush-interval=3 a.raw
qemu-img bench -w -c 10 --flush-interval=3 a.raw
qemu-img bench --pattern 300 -w -c 10 a.raw
'''

SIDE_BY_SIDE_JSON = '''
info --output=json a.qcow2
info --output=json ov2.qcow2
info --backing-chain --output=json ov2.qcow2
info --output=json a.raw
measure --output=json -O qcow2 a.qcow2
check --output=json a.qcow2
map --output=json --start-offset=1M --max-length=64k ov2.qcow2
'''


def side_by_side():
    if not HAVE_PEER:
        return
    wrong = []
    with Bench() as ours, Bench(peer=True) as theirs:
        for line in SIDE_BY_SIDE.strip().split('\n'):
            status_only = line.startswith('# ')
            command = shlex.split(line[2:] if status_only else line)
            a, b = ours.run(*command), theirs.run(*command)
            if status_only:
                a, b = a[:1], b[:1]
            else:
                a, b = [(r[0], normal(r[1]), normal(r[2])) for r in (a, b)]
            if a != b:
                wrong.append(f'{line}\n ours   {a}\n theirs {b}')
        for line in SIDE_BY_SIDE_JSON.strip().split('\n'):
            a, b = [pare(json.loads(bench.img(*line.split()))) for bench in (ours, theirs)]
            if a != b:
                wrong.append(f'{line}\n ours   {a}\n theirs {b}')
    assert not wrong, '\n' + '\n'.join(wrong)


def interchange():
    """Images of one are clean and equal for the other."""
    if not HAVE_PEER:
        return
    with Bench() as ours, Bench(peer=True) as theirs:
        theirs.path = ours.path
        ours.img('create', '-q', '-f', 'raw', 'src', '20M')
        ours.io('src', 'write -P 1 0 1M', 'write -P 2 5M 300k', 'write -P 3 19M 4k', options=('-f', 'raw'))
        for maker, reader in ((ours, theirs), (theirs, ours)):
            for options in ([], ['-c'], ['-o', 'cluster_size=4k'], ['-o', 'compat=0.10'],
                            ['-o', 'preallocation=metadata'], ['-o', 'extended_l2=on'], ['-S', '0'], ['-m', '1', '-W']):
                maker.img('convert', '-f', 'raw', '-O', 'qcow2', *options, 'src', 'dst')
                reader.img('check', 'dst')
                reader.img('compare', '-f', 'raw', 'src', 'dst')


def long_runs():
    """Tables of more clusters than one refcount block counts."""
    with Bench() as ours, Bench(peer=HAVE_PEER) as reader:
        reader.path = ours.path
        for options in 'cluster_size=512,refcount_bits=64', 'cluster_size=512,refcount_bits=1':
            ours.img('create', '-q', '-f', 'qcow2', '-o', options, 'a', '1M')
            for size in '100M', '4G', '9G':
                ours.img('resize', '-q', 'a', size)
                ours.io('a', 'write -P 7 70M 200k')
                reader.img('check', '-q', 'a')
            ours.io('a', 'read -P 7 70M 200k')


def help_and_version():
    with Bench() as b:
        out = b.img('--version')
        assert out.startswith('qemu-img version 9.1.50 (Vitrine '), out
        out = b.img('--help')
        for word in ('amend', 'convert', 'snapshot', 'Supported formats:', 'qcow2'):
            assert word in out, word
        out = b.img('create', '-f', 'qcow2', '-o', 'help')
        assert out.startswith('Supported qcow2 options:\n') and '  cluster_size=<size>    - ' in out, out
        assert 'preallocation=<str>' in b.img('create', '-f', 'raw', '-o', 'help', 'x')
        assert b.img('amend', '-f', 'qcow2', '-o', 'help').startswith("Amend options for 'qcow2':\n")


def progress():
    with Bench() as b:
        b.img('create', '-q', '-f', 'raw', 'src', '20M')
        b.io('src', 'write -P 1 0 10M', options=('-f', 'raw'))
        out = b.img('convert', '-p', '-f', 'raw', '-O', 'qcow2', 'src', 'dst')
        assert out.startswith('    (0.00/100%)\n') and out.endswith('    (100.00/100%)\n'), repr(out)  # each \r
        p = subprocess.Popen([os.path.join(b.bin.name, 'qemu-img'), 'convert', '-r', '2M', '-f', 'raw', 'src', 'dst2'],
                             cwd=b.path, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        p.send_signal(signal.SIGUSR1)
        _, err = p.communicate(timeout=60)
        assert p.returncode == 0 and '/100%)' in err, err


def check_repairs():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '64M')
        b.io('a', 'write 0 1M')
        with open(b.file('a'), 'r+b') as f:  # a refcount too many
            f.seek(2 * 65536 + 2 * 2)
            f.write(b'\x00\x05')
        status, out, _ = b.run('qemu-img', 'check', 'a')
        assert status == 3 and '1 leaked clusters were found on the image.' in out, (status, out)
        status, out, _ = b.run('qemu-img', 'check', '--output=json', 'a')
        assert status == 3 and json.loads(out)['leaks'] == 1
        out = b.img('check', '-r', 'leaks', 'a')
        assert 'The following inconsistencies were found and repaired:\n\n    1 leaked clusters\n' in out, out
        assert 'No errors were found on the image.' in b.img('check', 'a')


def far_clusters():
    """A reference to far behind the file's end is not counted, so the file does not grow to there; long and empty files are
    checked at once."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '64M')
        b.io('a', 'write 0 64k')
        with open(b.file('a'), 'r+b') as f:
            f.seek(40)
            f.seek(int.from_bytes(f.read(8), 'big'))
            l2 = int.from_bytes(f.read(8), 'big') & (1 << 56) - 512
            f.seek(l2 + 8 * 5)
            f.write((1 << 44 | 1 << 63).to_bytes(8, 'big'))
        status, _, err = b.run('qemu-img', 'snapshot', '-c', 's', 'a')
        assert status == 1 and 'Cluster 0x100000000000 is referred to behind the file' in err, (status, err)
        assert os.path.getsize(b.file('a')) < 1 << 20
        b.img('create', '-q', '-f', 'qcow2', 'b', '64M')
        os.truncate(b.file('b'), 1 << 42)
        began = time.monotonic()
        assert 'No errors were found' in b.img('check', 'b')
        assert time.monotonic() - began < 20


def tables_overlap():
    """What many entries lead to is looked through once or twice; where all tables together are longer than the file, that is
    said. An image of 8 MiB would take hours else. What snapshots share is counted for each of them."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', 'a', '64M')
        b.io('a', 'write 0 4M')
        with open(b.file('a'), 'r+b') as f:
            f.seek(40)
            f.seek(int.from_bytes(f.read(8), 'big'))
            l2 = int.from_bytes(f.read(8), 'big') & (1 << 56) - 512
            l1 = os.path.getsize(b.file('a')) + (1 << 21) - 1 >> 21 << 21
            f.seek(36)
            f.write((1 << 18).to_bytes(4, 'big') + l1.to_bytes(8, 'big'))
            f.seek(l1)
            f.write((l2 | 1 << 63).to_bytes(8, 'big') * (1 << 18))
        status, out, err = b.run('qemu-img', 'check', 'a')
        assert status == 2 and f'ERROR cluster {l2 >> 21} refcount=1 reference={1 << 18}' in out + err, (status, out[-500:], err)
        with open(b.file('a'), 'r+b') as f:
            f.seek(l1)
            f.write(b''.join((n << 9 | 1 << 63).to_bytes(8, 'big') for n in range(1 << 18)))
        status, out, err = b.run('qemu-img', 'check', '-r', 'all', 'a')
        assert status == 1 and 'ERROR tables overlap: there is no room' in out + err, (status, out[-500:], err[-500:])
        b.img('create', '-q', '-f', 'qcow2', 'b', '64M')
        b.io('b', 'write 0 4M', 'write -c 8M 64k')
        for n in range(5):
            b.img('snapshot', '-c', str(n), 'b')
        b.io('b', 'write 0 64k')
        assert 'No errors were found' in b.img('check', 'b')


def commit_through_layers():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'base', '8M')
        b.img('create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', 'mid')
        b.img('create', '-q', '-f', 'qcow2', '-b', 'mid', '-F', 'qcow2', 'top', '16M')
        b.io('base', 'write -P 1 0 8M')
        b.io('mid', 'write -P 2 1M 1M')
        b.io('top', 'write -P 3 1536k 1M', 'write -z 4M 1M', 'write -P 4 12M 1M')
        b.img('convert', '-O', 'raw', 'top', 'want')
        assert b.img('commit', '-b', 'base', 'top') == 'Image committed.\n'
        b.img('compare', 'base', 'want')
        b.img('check', 'base')
        assert b.json('info', '--output=json', 'base')['virtual-size'] == 16 << 20
        b.img('commit', 'mid')
        assert b.img('map', 'mid') == b.img('map', 'mid')


def rebase_keeps_content():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'old', '8M')
        b.img('create', '-q', '-f', 'qcow2', 'new', '4M')
        b.io('old', 'write -P 1 0 3M', 'write -P 2 6M 1M')
        b.io('new', 'write -P 1 0 2M', 'write -P 3 2M 2M')
        for options in ([], ['-c']):
            b.img('create', '-q', '-f', 'qcow2', '-b', 'old', '-F', 'qcow2', 'top')
            b.io('top', 'write -P 5 512k 64k')
            b.img('convert', '-O', 'raw', 'top', 'want')
            b.img('rebase', *options, '-b', 'new', '-F', 'qcow2', 'top')
            b.img('compare', 'top', 'want')
            b.img('check', 'top')
            b.img('rebase', '-b', '', 'top')
            b.img('compare', 'top', 'want')
            assert 'backing-filename' not in b.json('info', '--output=json', 'top')


def rebase_at_random():
    """What differs lies anywhere in a cluster, zeros over data among it; with and without a backing file before."""
    for seed in range(int(os.environ.get('ROUNDS', 12))):
        chance = random.Random(seed)
        with Bench() as b:
            size = 65536 * chance.randrange(3, 30) + 512 * chance.randrange(3)
            fmt = chance.choice([['qcow2'], ['qcow2', '-o', 'compat=0.10'], ['qcow2', '-o', 'extended_l2=on'],
                                 ['qcow2', '-o', 'cluster_size=512'], ['qed']])
            for name, below in ('old', None), ('new', None), ('top', chance.choice(['old', None])):
                kind = fmt if name == 'top' else [chance.choice(['raw', 'qcow2'])]
                backing = ['-b', below, '-F', 'raw' if kinds['old'] == 'raw' else 'qcow2'] if below else []
                b.img('create', '-q', '-f', *kind, *backing, name, str(size))
                kinds = {**(kinds if name != 'old' else {}), name: kind[0]}
                lines = []
                for _ in range(chance.randrange(1, 12)):
                    length = min(chance.choice([512, 5120, 65536, 200704]), size)
                    offset = chance.randrange(size - length + 512 >> 9) << 9
                    lines.append(f'write {chance.choice(["-z", f"-P {chance.randrange(1, 250)}"])} {offset} {length}')
                b.io(name, *lines, options=('-f', kind[0]))
            b.img('convert', '-f', fmt[0], '-O', 'raw', 'top', 'want')
            to = chance.choice([['-b', 'new', '-F', kinds['new']], ['-b', '']])
            b.img('rebase', '-q', '-f', fmt[0], *to, 'top')
            b.img('check', '-q', '-f', fmt[0], 'top')
            status, out, err = b.run('qemu-img', 'compare', '-f', fmt[0], '-F', 'raw', 'top', 'want')
            assert status == 0, (seed, fmt, to, out, err)


def convert_forms():
    with Bench() as b:
        b.img('create', '-q', '-f', 'raw', 'src', '5000001')
        b.io('src', 'write -P 7 4999000 1001', 'write -P 8 0 100k', options=('-f', 'raw'))
        b.img('convert', '-f', 'raw', '-O', 'qcow2', 'src', 'q')
        b.img('compare', '-f', 'raw', 'src', 'q')
        b.img('convert', '-S', '0', '-f', 'raw', 'src', 'full')
        assert os.stat(b.file('full')).st_blocks * 512 >= 5000001
        b.img('convert', '-f', 'raw', 'src', 'thin')
        assert os.stat(b.file('thin')).st_blocks * 512 < 500000
        with open(b.file('there'), 'wb') as f:
            f.write(b'x' * 6000000)
        b.img('convert', '-n', '-f', 'raw', '-O', 'raw', 'src', 'there')
        with open(b.file('there'), 'rb') as f, open(b.file('src'), 'rb') as g:
            assert f.read(5000001) == g.read()
        b.img('convert', '-n', '--target-image-opts', '-f', 'raw', 'src', 'driver=raw,file.filename=there')
        out = b.img('convert', '--salvage', '-q', '-f', 'raw', 'src', 'saved')
        assert out == ''
        b.img('compare', '-f', 'raw', '-F', 'raw', 'src', 'saved')
        # The host copies: nobody looks for zeros in what is data, holes stay holes.
        b.io('q', 'write -z 8k 4k', 'write -P 9 200k 64k')
        b.img('create', '-q', '-f', 'qcow2', '-b', 'q', '-F', 'qcow2', 'over')
        b.io('over', 'write -P 1 64k 128k', 'write -P 2 4m 70k')
        b.img('convert', '-c', '-O', 'qcow2', 'over', 'packed')
        for name in 'full', 'q', 'over', 'packed':
            b.img('convert', '-C', '-O', 'raw', name, 'copy')
            b.img('compare', '-F', 'raw', name, 'copy')
            if name in ('full', 'q'):
                assert (os.stat(b.file('copy')).st_blocks * 512 >= 5000000) == (name == 'full')


def long_copies_leave_memory():
    """What a long convert writes is let go of as it reaches storage; the last part stays, and nothing is lost."""
    size = 640 << 20
    with Bench() as b:
        chunk = os.urandom(1 << 20)
        with open(b.file('in'), 'wb') as f:
            for i in range(size >> 20):
                f.write(i.to_bytes(8, 'little') + chunk[8:])
        # No faster than a disk: one that is done before storage has begun is not waited for.
        b.img('convert', '-r', '400M', '-f', 'raw', '-O', 'raw', 'in', 'out')
        start = time.monotonic()
        with open(b.file('out'), 'rb') as f:
            os.fsync(f.fileno())
        behind = time.monotonic() - start
        resident = subprocess.run(['fincore', '-nbo', 'RES', b.file('out')], capture_output=True, text=True, check=True)
        kind = subprocess.run(['stat', '-fc', '%T', b.path], capture_output=True, text=True, check=True).stdout.strip()
        assert filecmp.cmp(b.file('in'), b.file('out'), shallow=False)
        # A file of tmpfs is nothing but memory; slow storage had not done what it was asked.
        if kind != 'tmpfs' and behind < 0.5:
            assert int(resident.stdout) < size - (64 << 20), resident.stdout


def luks_sizes():
    """A volume is as large as it was said to become; the key's length counts."""
    with Bench() as b:
        for options in 'iter-time=10', 'iter-time=10,cipher-alg=aes-128':
            more = ['--object', 'secret,id=s,data=a', '-o', 'key-secret=s,' + options]
            said = b.json('measure', '--output=json', '-O', 'luks', '--size', '3M', *more)
            b.img('create', '-q', '-f', 'luks', *more, 'x', '3M')
            assert said['required'] == said['fully-allocated'] == os.stat(b.file('x')).st_size, (options, said)


def old_image_stays():
    """What cannot be made does not end what was there."""
    with Bench() as b:
        old = os.urandom(5000)
        for line in '''
            -f qcow2 -o cluster_size=3k x 1M
            -f qcow2 -o refcount_bits=3 x 1M
            -f qcow2 -o preallocation=foo x 1M
            -f qcow2 -o data_file_raw=on x 1M
            -f qcow2 -o encrypt.format=foo x 1M
            -f qcow2 -o encrypt.format=luks x 1M
            -f qcow2 -o encrypt.format=luks,encrypt.key-secret=none x 1M
            -f qcow2 -o encrypt.format=aes,encrypt.key-secret=none x 1M
            -f qcow2 x 7E
            -f vmdk -o subformat=foo x 1M
            -f vmdk -o adapter_type=foo x 1M
            -f vmdk x 7E
            -f vpc -o subformat=foo x 1M
            -f vpc x 3T
            -f vdi x 7E
            -f vhdx -o block_size=3M x 1M
            -f vhdx x 100T
            -f qed -o cluster_size=1k x 1M
            -f qed x 7E
            -f parallels x 7E
            -f luks x 1M
            -f luks -o key-secret=none x 1M
            -f qcow x 7E
            -f raw -o preallocation=foo x 1M
            '''.strip().split('\n'):
            with open(b.file('x'), 'wb') as f:
                f.write(old)
            status, _, err = b.run('qemu-img', 'create', *line.split())
            assert status == 1 and err, line
            with open(b.file('x'), 'rb') as f:
                assert f.read() == old, line
            if line.split()[-1] == '1M':
                status, _, err = b.run('qemu-img', 'convert', '-f', 'raw', '-O', *line.split()[1:-2], 'x', 'x2')
                assert status == 1 and not os.path.exists(b.file('x2')), line


def objects():
    with Bench() as b:
        status, _, err = b.run('qemu-img', 'info', '--object', 'secret,id=s0', 'x')
        assert status == 1 and err.startswith('qemu-img: '), err
        status, _, err = b.run('qemu-img', 'info', '--object', 'nope,id=s0', 'x')
        assert status == 1 and err == "qemu-img: Parameter 'qom-type' does not accept value 'nope'\n", err


class Watch:
    """Whether somebody opens a file (inotify)."""

    def __init__(self, path):
        libc = ctypes.CDLL(None)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.fd, path.encode(), 0x20) >= 0  # IN_OPEN

    def opened(self):
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False


def names_in_images():
    """Who looks at an image does not open what it names; who uses it opens what the format provides for, and a pipe or a
    folder is refused at once."""
    with Bench() as b:
        secret = b.file('secret')
        with open(secret, 'wb') as f:
            f.write(b's' * 1048576)
        os.mkfifo(b.file('pipe'))
        server = socket.socket(socket.AF_UNIX)
        server.bind(b.file('sock'))
        server.listen()
        server.setblocking(False)
        watch = Watch(secret)
        local = json.dumps({'driver': 'raw', 'file': {'driver': 'file', 'filename': secret}})
        for name in secret, 'json:' + local, f"nbd+unix:///x?socket={b.file('sock')}", 'http://127.0.0.1:1/x', b.file('pipe'):
            for fmt in 'qcow2', 'qed':
                image = b.file('image')
                b.img('create', '-q', '-f', fmt, '-u', '-b', name, '-F', 'raw', image, '1M')
                for command in ['info'], ['info', '--output=json'], ['check', '-q'], ['snapshot', '-l']:
                    if fmt == 'qcow2' or command[0] != 'snapshot':
                        b.run('qemu-img', *command, image)
                assert not watch.opened(), (name, fmt)
                try:
                    server.accept()
                    raise AssertionError(name)
                except BlockingIOError:
                    pass
        b.img('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', b.file('flat.vmdk'), '1M')
        with open(b.file('flat.vmdk')) as f:
            text = f.read()
        for name in '../' + os.path.basename(b.path) + '/secret', secret, 'json:' + local.replace('"', "'"), 'nbd:unix:sock':
            with open(b.file('flat.vmdk'), 'w') as f:
                f.write(text.replace('flat-flat.vmdk', name))
            for command in ['info'], ['convert', '-O', 'raw']:
                status, _, err = b.run('qemu-img', *command, 'flat.vmdk', *['out'] * (len(command) > 1))
                assert status == 1 and err.count('\n') == 1, (name, err)
            assert not watch.opened(), name
        for name in 'pipe', '.':
            status, _, err = b.run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', name, 'out')
            assert status == 1 and err.count('\n') == 1, err


if __name__ == '__main__':
    sys.exit(main([help_and_version, side_by_side, interchange, long_runs, progress, check_repairs, far_clusters, tables_overlap,
                   commit_through_layers, rebase_keeps_content, rebase_at_random, convert_forms, long_copies_leave_memory, luks_sizes, old_image_stays,
                   objects, names_in_images]))
