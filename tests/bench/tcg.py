# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the translator runs guests, beside the peer: Debian's qemu-system-x86_64 with -accel tcg.

Both boot one kernel with one initial RAM disk. In every pair each boots afresh (that is the row "boot"), then they take
turns at every row of the table: the guest's shell starts guest/main.c, which says when it is ready, is told to go, and
says when it is done. Time is taken here, between those two marks; while a machine waits for us it sleeps. A turn is
thrown away when a loop run natively before and after it shows that the host's speed changed by more than a tenth.
"""
import argparse
import collections
import math
import os
import pathlib
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'system'))
import vm  # noqa: E402

INIT = '''#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
/bin/busybox stty raw -echo
echo @shell
while read -r line; do $line; done
'''

Row = collections.namedtuple('Row', 'name group floor program work amount')

# Amounts make about a third of a second each for the peer. Floors are what a row must reach, times the peer's speed.
ROWS = [Row(*line.split()[:2], float(line.split()[2]), *line.split()[3:]) for line in '''
alu           integer 0.9 bench   alu          95000000
carry         integer 0.9 bench   carry        180000
divide        integer 0.9 bench   divide       23000000
crc32         integer 0.9 bench   crc32        3100
sha256        integer 0.9 bench   sha256       720
compress      integer 0.9 bench   compress     46
sort          integer 0.9 bench   sort         65
search        integer 0.9 bench   search       3800
recursion     integer 1.5 bench   recursion    1300
call          integer 1.5 bench   call         6700000
virtual-call  integer 1.5 bench   virtual-call 14000000
interpreter   integer 1.5 bench   interpreter  490
branches      integer 0.9 bench   branches     9300000
jit           integer 0.9 bench   jit          4100
patch         integer 0.9 bench   patch        17000
mixed-page    integer 0.9 bench   mixed-page   1000000
memory        integer 0.9 bench   memory       19000000
chase         integer 0.9 bench   chase        1900000
pages         integer 0.9 bench   pages        930000
locked        integer 0.9 bench   locked       22000000
alu-32        integer 0.9 bench32 alu          31000000
sort-32       integer 0.9 bench32 sort         47
call-32       integer 1.5 bench32 call         6200000
rep-copy      copy    5   bench   rep-copy     730
rep-fill      copy    5   bench   rep-fill     210000
rep-short     copy    5   bench   rep-short    180000
scan          integer 0.9 bench   scan         19000
copy          copy    5   bench   copy         480
copy-small    copy    5   bench   copy-small   1300000
strings       simd    5   bench   strings      8100
nbody         float   5   bench   nbody        81000
linpack       float   5   bench   linpack      120
whetstone     float   5   bench   whetstone    97000
convert       float   5   bench   convert      2000000
nbody-x87     float   5   bench32 nbody        11000
linpack-x87   float   5   bench32 linpack      16
whetstone-x87 float   5   bench32 whetstone    49000
convert-x87   float   5   bench32 convert      370000
sse-float     simd    5   bench   sse-float    3600
sse-integer   simd    5   bench   sse-integer  4600
ssse3         simd    5   bench   ssse3        2000000
avx2-integer  simd    5   bench   avx2-integer 1100
avx2-fma      simd    5   bench   avx2-fma     4200
avx2-gather   simd    5   bench   avx2-gather  1100000
aes           simd    5   bench   aes          1400000
clmul         simd    5   bench   clmul        1300000
syscall       system  1.5 bench   syscall      260000
switch        system  1.5 bench   switch       1200
page-fault    system  1.5 bench   page-fault   29
fork          system  0.9 bench   fork         99
exec          system  0.9 bench   exec         35
signal        system  0.9 bench   signal       3600
read          system  0.9 bench   read         19000
'''.strip().splitlines()]

BOOT = Row('boot', 'boot', 1.2, '', '', '')
CALIBRATION = ('alu', '5000000')
GROUPS = {  # what a geometric mean is taken over, and its floor
    'integer and system': (('integer', 'system'), 1.5),
    'floating point, vectors, copies': (('float', 'simd', 'copy'), 5),
}

Turn = collections.namedtuple('Turn', 'wall cpu hash')


class Failure(Exception):
    """A machine did not do its work."""


class Process:
    """Something that speaks the marks on its standard input and output."""

    def __init__(self, words):
        self.start = time.monotonic()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, preexec_fn=vm.die_with_parent)
        self.clock = (~self.process.pid << 3) | 2  # CPU time of all its threads: MAKE_PROCESS_CPUCLOCK
        self.text = b''

    def now(self):
        return time.monotonic(), time.clock_gettime(self.clock)

    def send(self, line):
        try:
            os.write(self.process.stdin.fileno(), line.encode() + b'\n')
        except OSError as error:
            raise Failure(self.last_words()) from error

    def wait(self, mark, seconds):
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(mark, self.text)
            if found:
                self.text = self.text[found.end():]
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failure(f'no {mark.decode()} within {seconds} s: {self.last_words()}')
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failure(f'ended, status {self.process.wait()}: {self.last_words()}')
            self.text += data

    def last_words(self):
        self.errors.seek(0)
        return vm.clean((self.text + self.errors.read())[-400:].decode(errors='replace')).strip()

    def turn(self, seconds=60):
        """The work that was asked for, timed."""
        self.wait(rb'@ready\r?\n', seconds)
        wall, cpu = self.now()
        self.send('')
        result = self.wait(rb'@done ([0-9a-f]+)\r?\n', seconds)[1]
        wall_end, cpu_end = self.now()
        self.send('')
        return Turn(wall_end - wall, cpu_end - cpu, result)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.errors.close()
        self.process.stdin.close()
        self.process.stdout.close()


class Guest(Process):
    """A machine that has come to its shell."""

    def __init__(self, program, accelerator, initrd):
        super().__init__([program, '-accel', accelerator, '-cpu', 'max', '-m', '512', '-smp', '1', '-nodefaults',
                          '-display', 'none', '-serial', 'stdio', '-kernel', vm.linux(), '-initrd', initrd, '-append',
                          'console=ttyS0 quiet mitigations=off'])
        try:
            self.wait(rb'@shell\r?\n', 120)
            now = self.now()
            self.boot = Turn(now[0] - self.start, now[1], b'')
        except Failure:
            self.stop()
            raise

    def run(self, row):
        self.send(f'/{row.program} {row.work} {row.amount}')
        return self.turn()


def native(program, work, amount):
    process = Process([program, work, amount])
    try:
        return process.turn()
    finally:
        process.stop()


def build(folder, name, flags, extra=()):
    """The benchmark program, as Debian would compile it."""
    parts = ('main', 'integer', 'code', 'memory', 'float', 'system', *extra)
    sources = [HERE / 'guest' / f'{part}.c' for part in parts]
    vm.tool(os.environ.get('CC', 'gcc'), '-std=gnu17', '-static', '-O2', '-I', HERE.parents[1], *flags, '-o', folder / name, *sources, '-lm')
    return folder / name


class Bench:
    def __init__(self, options):
        self.options = options
        folder = vm.scratch()
        self.programs = {'bench': build(folder, 'bench', (), ('simd',)),
                         'bench32': build(folder, 'bench32', ('-m32', '-mfpmath=387', '-mno-sse'))}
        self.initrd = vm.initramfs(init=INIT, files=[(name, path.read_bytes()) for name, path in self.programs.items()])
        self.sides = {'ours': (options.program, options.accel), 'peer': (options.peer, options.peer_accel)}
        self.guests = {}
        self.turns = {side: collections.defaultdict(list) for side in self.sides}
        self.native = {}
        self.discarded = collections.Counter()
        self.problems = {}

    def time_of(self, turn):
        return turn.cpu if self.options.cpu_time else turn.wall

    def calibrate(self):
        return self.time_of(native(self.programs['bench'], *CALIBRATION))

    def start(self, side):
        self.guests[side] = Guest(*self.sides[side], self.initrd)

    def stop(self, side):
        if side in self.guests:
            self.guests.pop(side).stop()

    def take(self, side, row):
        """One side's turn at ROW. A machine that failed is started again."""
        try:
            if row is BOOT:
                self.start(side)
                return self.guests[side].boot
            if side not in self.guests:
                self.start(side)
            return self.guests[side].run(row)
        except Failure as failure:
            self.stop(side)
            self.problems[row.name] = f'{side}: {failure}'
            return None

    def pair(self, row, order):
        if row.name in self.problems:
            return
        before = self.calibrate()
        turns = {side: self.take(side, row) for side in order}
        after = self.calibrate()
        if None in turns.values():
            return
        if turns['ours'].hash != turns['peer'].hash:
            results = ', '.join(f'{side} {turn.hash.decode()}' for side, turn in turns.items())
            self.problems[row.name] = f'results differ: {results}'
        steady = max(before, after) / min(before, after) <= 1.1
        self.discarded[row.name] += not steady
        for side, turn in turns.items():
            self.turns[side][row.name].append((steady, turn))

    def run(self, rows):
        for number in range(self.options.pairs):
            order = list(self.sides) if number % 2 == 0 else list(self.sides)[::-1]
            for row in rows:
                self.pair(row, order)
                if sys.stderr.isatty():
                    print(f'\rpair {number + 1} of {self.options.pairs}: {row.name:16}', end='', file=sys.stderr)
            for side in self.sides:
                self.stop(side)
        if sys.stderr.isatty():
            print('\r' + ' ' * 40 + '\r', end='', file=sys.stderr)
        for row in rows:
            if row is not BOOT:
                turn = native(self.programs[row.program], row.work, row.amount)
                # The clock of a process knows nothing of its children.
                self.native[row.name] = turn.wall if row.group == 'system' else self.time_of(turn)

    def pairs(self, row, measure):
        """Times of both sides, of steady pairs when there are any."""
        both = list(zip(self.turns['ours'][row.name], self.turns['peer'][row.name]))
        steady = [pair for pair in both if pair[0][0]] or both
        return [(measure(ours[1]), measure(peer[1])) for ours, peer in steady]


def geometric(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def report(bench, rows):
    """The table; whether every floor holds."""
    measures = {'wall': lambda turn: turn.wall, 'cpu': lambda turn: turn.cpu}
    judged = 'cpu' if bench.options.cpu_time else 'wall'
    ratios, good = {}, True
    print(f'{"row":14} {"group":8} {"ours":>8} {"peer":>8} {"native":>8} {"median":>7} {"min/min":>7} '
          f'{"other":>7} {"floor":>6}')
    print(f'{"":14} {"":8} {judged + " s":>8} {judged + " s":>8} {judged + " s":>8} {judged:>7} {judged:>7} '
          f'{"wall" if judged == "cpu" else "cpu":>7}')
    for row in rows:
        times = {name: bench.pairs(row, measure) for name, measure in measures.items()}
        if not times[judged] or row.name in bench.problems:
            good = False
            print(f'{row.name:14} {row.group:8} FAILED {bench.problems.get(row.name, "")}')
            continue
        ratio = {name: statistics.median(peer / ours for ours, peer in found) for name, found in times.items()}
        ours, peer = (min(side) for side in zip(*times[judged]))
        ratios[row.name] = ratio[judged]
        holds = ratio[judged] >= row.floor
        good &= holds
        other = ratio['wall' if judged == 'cpu' else 'cpu']
        own = f'{bench.native[row.name]:8.3f}' if row.name in bench.native else f'{"-":>8}'
        lost = bench.discarded[row.name]
        print(f'{row.name:14} {row.group:8} {ours:8.3f} {peer:8.3f} {own} {ratio[judged]:7.2f} {peer / ours:7.2f} '
              f'{other:7.2f} {row.floor:6.1f} {"ok" if holds else "BELOW"}'
              + (f' (unsteady: {lost} of {bench.options.pairs})' if lost else ''))
    print()
    for name, (groups, floor) in GROUPS.items():
        found = [ratios[row.name] for row in rows if row.group in groups and row.name in ratios]
        if found:
            mean = geometric(found)
            good &= mean >= floor
            print(f'geometric mean, {name}: {mean:.2f} (floor {floor}) {"ok" if mean >= floor else "BELOW"}')
    for group in dict.fromkeys(row.group for row in rows if row.name in ratios):
        found = [ratios[row.name] for row in rows if row.group == group and row.name in ratios]
        print(f'  of {len(found)} {group} rows: {geometric(found):.2f}')
    print('every floor holds' if good else 'not every floor holds')
    return good


def main():
    parser = argparse.ArgumentParser(description='Times Vitrine beside the peer.')
    parser.add_argument('program')
    parser.add_argument('--pairs', type=int, default=7, help='how often each row is measured (7)')
    parser.add_argument('--rows', help='names or groups of rows, separated by commas')
    parser.add_argument('--cpu-time', action='store_true',
                        help='judge processor time instead of the wall clock: for busy hosts')
    parser.add_argument('--pin', type=int, metavar='CPU', help='run everything on one processor of the host')
    parser.add_argument('--accel', default='tcg', help='our -accel, with its options')
    parser.add_argument('--peer', default='qemu-system-x86_64', help='the program to compare with')
    parser.add_argument('--peer-accel', default='tcg', help="the peer's -accel, such as tcg,tb-size=1024")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error('--pairs takes a number from 1')
    rows = [BOOT, *ROWS]
    if options.rows:
        wanted = options.rows.split(',')
        unknown = set(wanted) - {row.name for row in rows} - {row.group for row in rows}
        if unknown:
            names = ', '.join(row.name for row in rows)
            parser.error(f'no row or group {", ".join(sorted(unknown))}; there are {names}')
        rows = [row for row in rows if row.name in wanted or row.group in wanted]
    if options.pin is not None:
        os.sched_setaffinity(0, {options.pin})
    try:
        vm.need(options.program, options.peer)
        bench = Bench(options)
    except vm.Skip as why:
        print(why)
        return vm.SKIP
    except AssertionError as error:
        print(f'the benchmark program cannot be built: {error}')
        return 1
    begin = time.monotonic()
    bench.run(rows)
    good = report(bench, rows)
    print(f'{time.monotonic() - begin:.0f} s, {options.pairs} pairs, host load {os.getloadavg()[0]:.1f}')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
