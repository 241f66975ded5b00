#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast vitrine-img and vitrine-io are, beside qemu-img and qemu-io of the host: block.py FOLDER_OF_OURS [--gib N] [--rounds N]

Both take turns at every row; what a row shows is the median of ours divided by the peer's, by the wall clock and by
processor time. The images lie in a folder of the working directory, so run it on the disk that is to be measured.
"""
import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

CHUNK = 1 << 20


def make_dense(path, size):
    """Half of it cannot be compressed, half of it is text."""
    noise = os.urandom(CHUNK)
    text = b''.join(b'%d bottles of beer on the wall, %x of them full\n' % (i, i * i) for i in range(40000))[:CHUNK]
    with open(path, 'wb') as f:
        for i in range(size // CHUNK):
            block = bytearray(noise if i % 2 else text)
            block[:8] = i.to_bytes(8, 'little')
            f.write(block)


def make_sparse(path, size):
    chance = random.Random(1)
    data = os.urandom(65536)
    with open(path, 'wb') as f:
        f.truncate(size)
        for _ in range(size >> 22):
            f.seek(chance.randrange(size // 65536) * 65536)
            f.write(data)


def make_requests(path, kind, size):
    """For vitrine-io and qemu-io: 4 KiB at random, one after the other and many at a time."""
    chance = random.Random(2)
    with open(path, 'w') as f:
        for i in range(100000):
            f.write(f'{kind} -q {chance.randrange(size // 4096) * 4096} 4096\n')
            if kind.startswith('aio') and i % 64 == 63:
                f.write('aio_flush\n')
        f.write('aio_flush\nquit\n')


def timed(command, requests=None):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with open(requests or os.devnull) as text:
        subprocess.run(command, check=True, stdin=text, stdout=subprocess.DEVNULL)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ROWS = [
    ('sparse to qcow2', 'convert -f raw -O qcow2 sparse out'),
    ('sparse to raw', 'convert -f raw -O raw sparse out'),
    ('dense to qcow2', 'convert -f raw -O qcow2 dense out'),
    ('dense to raw', 'convert -f raw -O raw dense out'),
    ('dense compressed', 'convert -c -f raw -O qcow2 dense out'),
    ('qcow2 to raw', 'convert -f qcow2 -O raw dense.qcow2 out'),
    ('compressed to raw', 'convert -f qcow2 -O raw packed.qcow2 out'),
    *((f'dense to {name}', f'convert -f raw -O {name} {options} dense out') for name, options in [
        ('vmdk', ''), ('vdi', ''), ('vpc', '-o force_size=on'), ('vhdx', ''), ('parallels', ''), ('qed', ''), ('qcow', '')]),
    ('compare', 'compare -f raw -F qcow2 dense dense.qcow2'),
    ('4 KiB reads', 'bench -c 200000 -d 32 -S 69632 -f qcow2 dense.qcow2'),
    ('4 KiB writes', 'bench -w -c 100000 -d 32 -S 69632 -f qcow2 dense.qcow2'),
]

IO_KINDS = 'read', 'aio_read', 'write', 'aio_write'


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('ours')
    parser.add_argument('--gib', type=float, default=8)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--rows', help='only those whose name contains this')
    options = parser.parse_args()
    programs = [os.path.join(os.path.abspath(options.ours), 'vitrine-img'), shutil.which('qemu-img')]
    size = int(options.gib * 1024) * CHUNK
    with tempfile.TemporaryDirectory(dir='.') as folder:
        os.chdir(folder)
        make_sparse('sparse', size)
        make_dense('dense', size)
        for name, flags in ('dense', []), ('packed', ['-c']):
            subprocess.run([programs[1], 'convert', *flags, '-f', 'raw', '-O', 'qcow2', 'dense', name + '.qcow2'], check=True)
        for kind in IO_KINDS:
            make_requests(kind, kind, size)
        for name, line in ROWS + [(f'io {kind}', kind) for kind in IO_KINDS]:
            if options.rows and options.rows not in name:
                continue
            times = ([], [])
            for round_ in range(options.rounds * 2 + 1):
                # Who comes first reads what is not in the host's cache: by turns, and the first does not count.
                for program, results in list(zip(programs, times))[::1 if round_ % 2 else -1]:
                    if os.path.exists('out'):
                        os.unlink('out')
                    if line in IO_KINDS:
                        taken = timed([program[:-3] + 'io', '-f', 'qcow2', 'dense.qcow2'], line)
                    else:
                        taken = timed([program, *line.split()])
                    if round_:
                        results.append(taken)
            wall, cpu = [[statistics.median(t[i] for t in results) for results in times] for i in (0, 1)]
            print(f'{name:18} ours {wall[0]:7.2f} s ({cpu[0]:6.2f} s of processor)  peer {wall[1]:7.2f} s '
                  f'({cpu[1]:6.2f} s)  speed {wall[1] / wall[0]:.2f}', flush=True)
        os.chdir('..')


if __name__ == '__main__':
    main()
