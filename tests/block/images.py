# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests share that write images and look at them with another program: data by offset and seed, random requests,
writers that are killed, rounds."""
import contextlib
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading

TIMEOUT = 120


class Failed(Exception):
    pass


def run(*args, ok=(0,), data=None):
    p = subprocess.run(args, input=data, capture_output=True, text=True, timeout=TIMEOUT)
    if p.returncode not in ok:
        raise Failed(f"{' '.join(args)}: status {p.returncode}\n{p.stdout[-3000:]}{p.stderr[-6000:]}")
    return p.stdout


@functools.lru_cache(maxsize=None)
def period(seed):
    """256 sectors, after which the pattern begins again, twice."""
    return b''.join(bytes((seed * 131 + sector * 7 + (i & seed & 15)) & 255 for i in range(16)) * 32
                    for sector in range(256)) * 2


def pattern(offset, length, seed):
    """The bytes that "blkio" writes there."""
    if not seed:
        return bytes(length)
    first = offset % 131072
    if length <= 131072:
        return period(seed)[first:first + length]
    return (period(seed) * ((first + length) // 262144 + 1))[first:first + length]


def create(blkio, rng, fmt, path, size, options):
    """By either program."""
    if rng.random() < 0.5:
        run('qemu-img', 'create', '-q', '-f', fmt, *(['-o', options] if options else []), path, str(size))
    else:
        out = run(blkio, data=f'create {fmt} {size} {path} {options}\n')
        if 'failed' in out:
            raise Failed(out)


def contents(fmt, path, *options):
    out = path + '.out'
    run('qemu-img', 'convert', '-f', fmt, *options, '-O', 'raw', path, out)
    with open(out, 'rb') as f:
        data = f.read()
    os.unlink(out)
    return data


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


class Writer:
    """A "blkio" that is killed after SECONDS; leaving the block is the end of it."""

    def __init__(self, blkio, seconds):
        self.process = subprocess.Popen([blkio], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.timer = threading.Timer(seconds, self.process.kill)

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, kind, value, trace):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def ask(self, text):
        """The answer; '' when it is dead."""
        try:
            self.process.stdin.write(text + '\n')
            return self.process.stdout.readline()
        except BrokenPipeError:
            return ''


def write_until_killed(blkio, opening, seconds, commands, sectors):
    """Requests until the writer dies, kept in SECTORS; how many were answered."""
    done = 0
    with Writer(blkio, seconds) as writer:
        answer = writer.ask(opening)
        if 'failed' in answer:
            raise Failed(answer)
        for text, offset, length, value in commands:
            before = sectors.pending() if text == 'flush' else None
            if length:
                sectors.change(offset, length, value)
            answer = writer.ask(text)
            if not answer:
                return done
            if 'failed' in answer:
                raise Failed(f'{text}: {answer}')
            done += 1
            if text == 'flush':
                sectors.flushed(before)


def rounds(one_round, kinds=(None,), what='rounds'):
    """Arguments: the program "blkio", rounds of each kind, a seed, which kinds. ONE_ROUND (blkio, rng, folder, kind) gives
    a number to be summed up; what fails keeps its folder."""
    blkio, n = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    only = sys.argv[4] if len(sys.argv) > 4 else ''
    if not shutil.which('qemu-img') or not shutil.which('qemu-io'):
        print('the peer is not installed')
        return 77
    total = count = 0
    for i in range(n):
        for kind in kinds:
            if only not in str(kind):
                continue
            folder = tempfile.mkdtemp(prefix='images-', dir=os.environ.get('TMPDIR', '/tmp'))
            try:
                total += one_round(blkio, random.Random(seed + i), folder, kind) or 0
                count += 1
            except (Failed, subprocess.TimeoutExpired) as e:
                print(f"{kind or ''} seed {seed + i}: {e}\nkept: {folder}")
                return 1
            shutil.rmtree(folder)
    print(f'{count} {what}, {total} requests')
    return 0
