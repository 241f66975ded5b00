#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of qcow2 images that are killed at any moment: the image is never corrupt (clusters may be leaked), and what was
flushed is there. Arguments: the program "blkio", rounds, a seed."""
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location('interchange', os.path.join(here, 'qcow2-interchange.py'))
interchange = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interchange)
pattern, Failed = interchange.pattern, interchange.Failed


class Sectors:
    """Per sector: what it may hold, as seeds; the first is what the last flush has made sure of."""

    def __init__(self, n):
        self.may = [[0] for _ in range(n)]

    def change(self, offset, length, seed):
        for i in range(offset >> 9, (offset + length) >> 9):
            self.may[i].append(seed)

    def flushed(self, before):
        """BEFORE: how many changes of each sector were complete when the flush began."""
        for i, n in before.items():
            self.may[i] = self.may[i][n:]

    def pending(self):
        return {i: len(m) - 1 for i, m in enumerate(self.may) if len(m) > 1}

    def check(self, data):
        for i, may in enumerate(self.may):
            got = data[i * 512:(i + 1) * 512]
            if not any(got == pattern(i * 512, 512, seed) for seed in may):
                raise Failed(f'sector {i} holds {got[:8].hex()}, none of {may}')


def script(rng, size, cluster, kinds):
    """Endless commands: text, kind, offset, length, seed."""
    while True:
        length = rng.choice([512, 4096, cluster, cluster * 2, 65536, 8192])
        offset = rng.randrange(size >> 9) << 9
        length = min(length, size - offset)
        kind = rng.choice(kinds)
        seed = rng.randrange(1, 250)
        if kind in ('wc', 'discard'):
            offset -= offset % cluster
            length = min(max(cluster, length - length % cluster), size - offset)
            if length % cluster:
                continue
        if kind in ('write', 'wc'):
            yield f'{kind} {offset} {length} {seed}', offset, length, seed
        elif kind == 'zero':
            yield f"zero {offset} {length}{rng.choice(['', ' unmap'])}", offset, length, 0
        elif kind == 'discard':
            yield f'discard {offset} {length}', offset, length, 0
        else:
            yield 'flush', 0, 0, 0


def one_round(blkio, seed, folder):
    rng = random.Random(seed)
    path = os.path.join(folder, 'image.qcow2')
    extended = rng.random() < 0.25
    cluster = 65536 if extended else rng.choice([512, 4096, 65536])
    size = cluster * rng.randrange(20, 200)
    options = f'cluster_size={cluster}' + rng.choice(['', ',lazy_refcounts=on', ',refcount_bits=8']) + \
        (',extended_l2=on' if extended else '')
    interchange.run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options, path, str(size))
    sectors = Sectors(size >> 9)
    if rng.random() < 0.5:  # something to copy, some of it shared
        interchange.run(blkio, data=f'open {path}\nwrite 0 {size // 2 & ~511} 251\nsnap create base\n')
        sectors.change(0, size // 2 & ~511, 251)
        sectors.flushed(sectors.pending())
    writer = subprocess.Popen([blkio], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    kinds = ['write'] * 6 + ['zero', 'discard', 'wc', 'flush']
    timer = threading.Timer(rng.random() ** 2 * 0.5 + 0.003, writer.kill)
    timer.start()
    done = 0
    try:
        writer.stdin.write(f'open {path}\n')
        writer.stdout.readline()
        for text, offset, length, value in script(rng, size, cluster, kinds):
            before = sectors.pending() if text == 'flush' else None
            if length:
                sectors.change(offset, length, value)
            writer.stdin.write(text + '\n')
            answer = writer.stdout.readline()
            if not answer:
                break
            if 'failed' in answer:
                raise Failed(f'{text}: {answer}')
            done += 1
            if text == 'flush':
                sectors.flushed(before)
    except BrokenPipeError:
        pass
    finally:
        timer.cancel()
        writer.kill()
        writer.wait()
    if 'lazy' in options:
        # Opening for writing repairs.
        interchange.run(blkio, data=f'open {path}\n')
    interchange.run('qemu-img', 'check', '-q', path, ok=(0, 3))
    out = os.path.join(folder, 'out.raw')
    interchange.run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', path, out)
    with open(out, 'rb') as f:
        sectors.check(f.read())
    return done


def main():
    blkio, rounds = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if not shutil.which('qemu-img'):
        print('the peer is not installed')
        return 77
    commands = 0
    for i in range(rounds):
        folder = tempfile.mkdtemp(prefix='qcow2-crash-', dir=os.environ.get('TMPDIR', '/tmp'))
        try:
            commands += one_round(blkio, seed + i, folder)
        except Failed as e:
            print(f'seed {seed + i}: {e}\nkept: {folder}')
            return 1
        shutil.rmtree(folder)
    print(f'{rounds} writers killed after {commands} requests')
    return 0


if __name__ == '__main__':
    sys.exit(main())
