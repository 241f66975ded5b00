#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What viewers cost, beside the peer: vnc.py [PROGRAM] [--rounds N] [--seconds S] [--rows TEXT] [--plain] [--fast]

Two machines, one in our program and one in qemu-system-x86_64, run the same kernel and the same program in it, which
draws one sequence pixel by pixel the same for both (guest/screen.c): text that scrolls, a film in a part of a desktop, a
window that is dragged. For each encoding they take turns, while the other one is stopped: a viewer that asks for that
encoding and, as all viewers do, for CopyRect (--plain: not) is connected while the sequence is drawn. It is drawn as slowly
as both can draw it and send all of it, and the viewer asks as often, so that both send the same pictures in a second. With
--fast the guest draws 25 pictures a second if it can, and the viewer asks for the next as soon as it has one (--rate, --asks).

A row has the medians of bytes and of processor time (of all threads but the virtual processors') for a picture that
arrived; how many did in a second; and how many the guest drew. Ratios above 1 are in our favour: for a picture, for a
second, and for a picture that the guest drew, which is for the whole sequence: a server that sends fewer pictures, or whose
guest draws more slowly, spends less a second. Rows in which the numbers of pictures in a second are more than 3 % apart have
a mark: there a second is not the same work for both.
"""
import argparse
import contextlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'system'), str(HERE.parent / 'vnc')]
import vm  # noqa: E402
import watch  # noqa: E402

SCENES = {'text': 'text that scrolls', 'film': 'a film', 'drag': 'a window dragged'}
ENCODINGS = ['raw', 'hextile', 'zlib', 'tight', 'tight-jpeg', 'zrle']
SIZE = (1024, 768)
BYTES, SPENT, SENT, TOOK, DRAWN = range(5)
PER = {'picture': SENT, 'second': TOOK, 'sequence': DRAWN}
SLOW, FAST = (8, 8), (25, 0)  # pictures a second that are drawn, and that are asked for
APART = 1.03


def screen_program():
    path = vm.scratch() / 'screen'
    vm.tool(os.environ.get('CC', 'gcc'), '-std=gnu17', '-static', '-O2', '-o', path, HERE / 'guest/screen.c')
    return path


class Viewer:
    """watch.py as a process of its own."""

    def __init__(self, place, encodings, rate=0, asks=0, before=('nice', '-n', '10')):
        words = [*before, sys.executable, watch.__file__, place, encodings, str(rate), str(asks)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        preexec_fn=vm.die_with_parent)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        assert line, 'the viewer has gone'
        return json.loads(line)

    def counts(self):
        self.process.stdin.write('\n')
        return self.read()

    def close(self):
        self.process.kill()
        self.process.communicate()


class Side:
    """A machine whose screen is watched."""

    def __init__(self, name, binary, accel, program, stack):
        self.name = name
        archive = vm.initramfs(files=[('bin/screen', program.read_bytes())])
        self.place = str(vm.scratch() / f'{name}.vnc')
        self.m = stack.enter_context(vm.Machine(
            '-accel', accel, '-m', '512M', '-nodefaults', '-vga', 'std', '-vnc', f'unix:{self.place}', '-kernel',
            vm.linux(), '-initrd', archive, '-append', 'console=ttyS0 quiet mitigations=off', binary=binary, timeout=7200))
        self.m.wait('shell on ', 120)
        self.processors = {cpu['thread-id'] for cpu in self.m.qmp('query-cpus-fast')}

    def spent(self):
        """Seconds of processor time that the guest has not had."""
        base = pathlib.Path(f'/proc/{self.m.process.pid}/task')
        return sum(int((task / 'schedstat').read_text().split()[0]) for task in base.iterdir()
                   if int(task.name) not in self.processors) / 1e9

    def run(self, scene, encodings, rate, seconds, asks):
        """Bytes, processor seconds, pictures, seconds, pictures drawn."""
        self.m.send(f'screen {scene} {SIZE[0]} {SIZE[1]} {rate} {int(rate * seconds)}\n')
        self.m.wait('@ready', 60)
        with contextlib.closing(Viewer(self.place, encodings, asks=asks)) as viewer:
            time.sleep(1)
            before, spent = viewer.counts(), self.spent()
            self.m.send('\n')
            drawn = int(self.m.wait(r'@done (\d+) \d+', 4 * seconds + 60).group(1))
            after, spent = viewer.counts(), self.spent() - spent
        return [after['bytes'] - before['bytes'], spent, max(1, after['frames'] - before['frames']),
                after['time'] - before['time'], drawn]


def geometric(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def measure(sides, scene, encoding, options):
    words = encoding if options.plain else f'{encoding},copy'
    found = {side.name: [] for side in sides}
    for number in range(options.rounds):
        for side in sides if number % 2 else reversed(sides):
            side.m.qmp('cont')
            found[side.name].append(side.run(scene, words, options.rate, options.seconds, options.asks))
            side.m.qmp('stop')
    return [[statistics.median(values) for values in zip(*found[side.name])] for side in sides]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--peer', default='qemu-system-x86_64')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=6)
    parser.add_argument('--fast', action='store_true', help='as many pictures as the guest draws and the server sends')
    parser.add_argument('--rate', type=int, help='pictures a second that the guest draws (8; 25 with --fast)')
    parser.add_argument('--rows', default='', help='only those whose scene and encoding contain one of these, with commas')
    parser.add_argument('--asks', type=int, help='pictures a second that the viewer asks for (8; 0, which is all, with --fast)')
    parser.add_argument('--plain', action='store_true', help='viewers that do not know CopyRect')
    parser.add_argument('--accel', default='tcg')
    options = parser.parse_args()
    rate, asks = FAST if options.fast else SLOW
    options.rate = rate if options.rate is None else options.rate
    options.asks = asks if options.asks is None else options.asks
    program = screen_program()
    ratios = {(what, per): [] for per in PER for what in ('bytes', 'processor')}
    worse = {per: [] for per in PER}
    apart = []
    print(f'{"":17} {"":10} {"kB a picture":^19} {"ms a picture":^15} {"pictures/s":^11} {"drawn/s":^11} '
          + ' '.join(f'{"by " + per:^11}' for per in PER))
    print(f'{"scene":17} {"encoding":10} {"ours":>9} {"peer":>9} {"ours":>7} {"peer":>7} {"ours":>5} {"peer":>5} '
          f'{"ours":>5} {"peer":>5} ' + ' '.join(f'{"bytes":>5} {"proc":>5}' for _ in PER))
    with contextlib.ExitStack() as stack:
        sides = [Side('ours', os.path.abspath(options.program), options.accel, program, stack),
                 Side('peer', options.peer, options.accel, program, stack)]
        for side in sides:
            side.m.qmp('stop')
        for scene, words in SCENES.items():
            for encoding in ENCODINGS:
                if not any(part in f'{scene} {encoding}' for part in options.rows.split(',')):
                    continue
                ours, peer = measure(sides, scene, encoding, options)
                shares = []
                for per, by in PER.items():
                    ratio = [peer[i] / peer[by] / (ours[i] / ours[by]) for i in (BYTES, SPENT)]
                    shares += ratio
                    ratios['bytes', per].append(ratio[0])
                    ratios['processor', per].append(ratio[1])
                    if min(ratio) < 1:
                        worse[per].append(f'{scene} {encoding}')
                pictures = ours[SENT] / ours[TOOK] / (peer[SENT] / peer[TOOK])
                if max(pictures, 1 / pictures) > APART:
                    apart.append(f'{scene} {encoding}')
                print(f'{words:17} {encoding:10} '
                      f'{ours[BYTES] / ours[SENT] / 1e3:9.2f} {peer[BYTES] / peer[SENT] / 1e3:9.2f} '
                      f'{ours[SPENT] / ours[SENT] * 1e3:7.2f} {peer[SPENT] / peer[SENT] * 1e3:7.2f} '
                      f'{ours[SENT] / ours[TOOK]:5.1f} {peer[SENT] / peer[TOOK]:5.1f}'
                      f'{"*" if max(pictures, 1 / pictures) > APART else " "}'
                      f'{ours[DRAWN] / ours[TOOK]:5.1f} {peer[DRAWN] / peer[TOOK]:5.1f} '
                      + ' '.join(f'{share:5.2f}' for share in shares), flush=True)
    for (what, per), values in ratios.items():
        print(f'geometric mean, {what} by {per}: {geometric(values):.2f}')
    for per, rows in worse.items():
        print(f'by {per} ' + ('no row is worse' if not rows else 'worse: ' + '; '.join(rows)))
    if apart:
        print('* not the same number of pictures in a second: ' + '; '.join(apart))


if __name__ == '__main__':
    main()
