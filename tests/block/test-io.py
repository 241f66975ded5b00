#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""vitrine-io: its commands by themselves, and side by side with the known tool where that is installed."""
import shlex
import sys

from tools import HAVE_PEER, Bench, normal
from program import main

SIDE_BY_SIDE = '''
qemu-img create -q -f raw b.raw 20k
qemu-img create -q -f qcow2 a.qcow2 1G
qemu-io -f raw -c 'read -v 0 64' b.raw
qemu-io -f raw -c 'read 0 1M' b.raw
qemu-io -f raw -c 'read -P 1 0 512' -c 'read -P 0 0 512' b.raw
qemu-io -f raw -c 'write -P 5 0 4k' -c 'read -P 4 0 4k' -c 'read -P 5 -s 512 -l 1k 0 4k' b.raw
qemu-io -f raw -c 'writev -P 3 0 512 512' -c 'readv 0 512 512' -c 'aio_read 0 512' -c aio_flush b.raw
qemu-io -f raw -c 'aio_write 0 512' -c aio_flush -c 'discard 0 4k' -c flush -c 'write -z 0 4k' b.raw
qemu-io -f raw -c 'write -z -u 0 4k' -c 'alloc 0 4k' -c 'alloc 0' -c length -c info b.raw
qemu-io -f raw -c 'truncate 24k' -c length -c map b.raw
qemu-io -f raw -c read b.raw
qemu-io -f raw -c foo b.raw
qemu-io -f raw -c 'read x 1' -c 'read 0 x' -c 'read -P x 0 1' -c 'read -P 500 0 1' -c 'read 1 1' b.raw
qemu-io -f raw -c 'write -b 0 512' b.raw
qemu-io -f raw -c 'read -s 4 0 512' b.raw
qemu-io -f raw -c 'read -l 4 0 512' b.raw
qemu-io -f raw -c 'write -z -P 1 0 512' b.raw
qemu-io -f raw -c 'write -u 0 512' b.raw
qemu-io -f raw -c 'write -n 0 512' b.raw
qemu-io -f raw -c 'write -s a.qcow2 0 1k' -c 'read -v 0 80' b.raw
qemu-io -f raw -c 'write -s /nonex 0 1k' b.raw
qemu-io -f raw -c 'write -q 0 1k' b.raw
qemu-io -f raw -c 'open x' b.raw
qemu-io -f raw -c close -c length b.raw
qemu-io -c 'open -r -o driver=raw b.raw' -c length -c close
qemu-io -c 'open -r -o driver=raw b.raw' -c 'write 0 512'
qemu-io -c 'open nonex'
qemu-io -c 'read 0 512'
qemu-io nonex
qemu-io -r -f raw -c 'write 0 512' b.raw
qemu-io -c 'write -c 64k 64k' -c 'read -P 0xcd 64k 64k' a.qcow2
qemu-io -c 'write -c 1000 512' a.qcow2
qemu-io -c 'write -b -P 7 0 1k' -c 'read -b -P 7 0 1k' a.qcow2
qemu-io -c 'read -v -b 0 16' a.qcow2
qemu-io -c 'write 0 64k' -c map -c info -c 'alloc 0 1M' -c 'alloc 64k 1M' -c 'alloc 500M 1M' a.qcow2
qemu-io -t foo -f raw -c 'read 0 512' b.raw
qemu-io -d foo -f raw -c 'read 0 512' b.raw
qemu-io -i foo -f raw -c 'read 0 512' b.raw
qemu-io -f foo -c 'read 0 512' b.raw
qemu-io --image-opts driver=raw,file.filename=b.raw -c length
qemu-io --image-opts -f raw driver=raw,file.filename=b.raw -c length
qemu-io -f raw -c 'reopen -r' -c 'write 0 512' b.raw
qemu-io -f raw -c 'reopen -r' -c 'reopen -w' -c 'write 0 512' b.raw
qemu-io -f raw -c 'aio_read -v 0 16' -c aio_flush -c 'write -P 65 0 32' -c 'read -v 3 30' b.raw
qemu-io -s -f raw -c 'write -P 9 0 512' -c 'read -P 9 0 512' b.raw
qemu-io -f raw -c 'read -P 65 0 32' b.raw
qemu-io -m -f raw -c 'read -P 65 0 32' b.raw
qemu-io -f raw -c 'truncate -m foo 9M' b.raw
qemu-io -f raw -c 'help foo' b.raw
qemu-io -c 'break write_aio A' -c 'aio_write 0 64k' -c 'wait_break A' -c 'write 64k 64k' -c 'resume A' -c aio_flush blkdebug::a.qcow2
qemu-io -c 'break read_aio A' -c 'break read_aio B' -c 'aio_read 0 64k' -c 'wait_break B' -c 'resume B' -c 'resume B' -c 'resume A' -c aio_flush blkdebug::a.qcow2
qemu-io -c 'break write_aio A' -c 'remove_break A' -c 'aio_write 0 64k' -c aio_flush -c 'remove_break B' -c 'resume B' blkdebug::a.qcow2
qemu-io -c 'break foo A' -c 'break write_aio' -c resume -c wait_break blkdebug::a.qcow2
qemu-io -c 'remove_break A' -c 'resume A' a.qcow2
'''


def side_by_side():
    if not HAVE_PEER:
        return
    wrong = []
    with Bench() as ours, Bench(peer=True) as theirs:
        for line in SIDE_BY_SIDE.strip().split('\n'):
            command = shlex.split(line)
            a, b = [(r[0], normal(r[1]), normal(r[2]))
                    for r in (ours.run(*command), theirs.run(*command))]
            if a != b:
                wrong.append(f'{line}\n ours   {a}\n theirs {b}')
    assert not wrong, '\n' + '\n'.join(wrong)


def typed_in():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '20k')
        lines = 'length\nwrite -P 3 0 512\naio_read -P 3 0 512\naio_flush\nquit\n'
        status, out, err = b.run('qemu-io', 'a', stdin=lines)
        assert status == 0 and not err, (status, err)
        assert out.startswith('qemu-io> 20 KiB\nqemu-io> wrote 512/512 bytes at offset 0\n'), out
        assert 'read 512/512 bytes at offset 0\n' in out


def machine_readable():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '20k')
        out = b.io('a', 'write -C 0 512')
        assert out.startswith('512,1,0:00:0') and out.count(',') == 4, out


def help_texts():
    with Bench() as b:
        _, out, _ = b.run('qemu-io', '-c', 'help')
        for name in ('aio_read', 'discard', 'map  -- prints', 'writev', "Use 'help commandname' for extended help."):
            assert name in out, name
        _, out, _ = b.run('qemu-io', '-c', 'help write')
        assert out.startswith('write [-bcCfnquz] [-P pattern | -s source_file] off len -- '), out
        _, out, _ = b.run('qemu-io', '--version')
        assert out.startswith('qemu-io version 9.1.50 (Vitrine '), out


def breakpoints():
    """What has stopped goes on when the image is closed, and nobody waits for what can not come."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a', '1M')
        status, out, err = b.run('qemu-io', '-c', 'break write_aio A', '-c', 'aio_write -P 7 0 64k', '-c', 'wait_break A', 'blkdebug::a')
        assert (status, err) == (0, '') and "Suspended request 'A'" in out and 'wrote 65536/65536' in out, (status, out, err)
        b.io('a', 'read -P 7 0 64k')
        status, out, _ = b.run('qemu-io', '-c', 'wait_break A', 'blkdebug::a')
        assert status == 1 and out.startswith('Could not wait for breakpoint A: '), (status, out)


def many_at_once():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4k', 'a', '16M')
        b.io('a', *[f'aio_write -q -P {i % 250 + 1} {i * 3000} 3000' for i in range(500)], 'aio_flush')
        b.io('a', *[f'aio_read -q -P {i % 250 + 1} {i * 3000} 3000' for i in range(500)], 'aio_flush')
        out = b.io('a', *[f'read -P {i % 250 + 1} {i * 3000} 3000' for i in range(500)])
        assert 'failed' not in out, out
        b.img('check', 'a')


if __name__ == '__main__':
    sys.exit(main([side_by_side, typed_in, machine_readable, help_texts, breakpoints, many_at_once]))
