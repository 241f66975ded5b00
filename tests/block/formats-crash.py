#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of images that are killed at any moment: the image is never corrupt for the other program (space may be leaked),
and what was flushed is there. Arguments: the program "blkio", rounds of each format, a seed."""
import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location('crash', os.path.join(here, 'qcow2-crash.py'))
crash = importlib.util.module_from_spec(spec)
spec.loader.exec_module(crash)
run, Failed = crash.interchange.run, crash.Failed

# Format, options, whether the other program checks it.
FORMATS = [
    ('vdi', '', True),
    ('vpc', 'force_size=on', False),
    ('vhdx', 'block_size=1M', True),
    ('parallels', 'cluster_size=65536', True),
    ('qed', 'cluster_size=4096', True),
    ('qcow', '', False),
    ('vmdk', '', True),
    ('vmdk', 'zeroed_grain=on', True),
    ('vmdk', 'subformat=streamOptimized', True),
    ('vmdk', 'subformat=twoGbMaxExtentSparse', True),
]


def one_round(blkio, seed, folder, fmt, options, checked):
    rng = random.Random(seed)
    path = os.path.join(folder, 'image.' + fmt)
    size = 65536 * rng.randrange(20, 300)
    if rng.random() < 0.5:
        run('qemu-img', 'create', '-q', '-f', fmt, *(['-o', options] if options else []), path, str(size))
    else:
        run(blkio, data=f'create {fmt} {size} {path} {options}\n')
    sectors = crash.Sectors(size >> 9)
    writer = subprocess.Popen([blkio], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    timer = threading.Timer(rng.random() ** 2 * 0.4 + 0.003, writer.kill)
    timer.start()
    done = 0
    try:
        writer.stdin.write(f'open {path} {fmt}\n')
        answer = writer.stdout.readline()
        if 'failed' in answer:
            raise Failed(answer)
        for text, offset, length, value in crash.script(rng, size, 65536, ['write'] * 7 + ['zero', 'flush']):
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
    if checked:
        run('qemu-img', 'check', '-q', '-f', fmt, path, ok=(0, 3))
    out = os.path.join(folder, 'out.raw')
    run('qemu-img', 'convert', '-f', fmt, '-O', 'raw', path, out)
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
        for fmt, options, checked in FORMATS:
            folder = tempfile.mkdtemp(prefix='formats-crash-', dir=os.environ.get('TMPDIR', '/tmp'))
            try:
                commands += one_round(blkio, seed + i, folder, fmt, options, checked)
            except Failed as e:
                print(f'{fmt} {options} seed {seed + i}: {e}\nkept: {folder}')
                return 1
            shutil.rmtree(folder)
    print(f'{rounds * len(FORMATS)} writers killed after {commands} requests')
    return 0


if __name__ == '__main__':
    sys.exit(main())
