#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What viewers cost, beside the peer: vnc.py [PROGRAM] [--rounds N] [--seconds S] [--rows TEXT] [--plain]

Two machines, one in our program and one in qemu-system-x86_64, run the same kernel and the same program in it, which
draws one sequence pixel by pixel the same for both (guest/screen.c): text that scrolls, a film in a part of a desktop, a
window that is dragged. For each encoding they take turns, while the other one is stopped: a viewer that asks for that
encoding and, as all viewers do, for CopyRect (--plain: not) is connected while the sequence is drawn. A row has the
medians of bytes and of processor time (of all threads but the virtual processors') for a picture that arrived, and of
pictures and rectangles a second; a ratio above 1 is in our favour. Where the host is busy a server that sends fewer pictures
spends less a second, which is why it is counted by pictures.
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


def screen_program():
    path = vm.scratch() / 'screen'
    vm.tool(os.environ.get('CC', 'gcc'), '-std=gnu17', '-static', '-O2', '-o', path, HERE / 'guest/screen.c')
    return path


class Viewer:
    """watch.py as a process of its own."""

    def __init__(self, place, encodings, rate=0):
        words = ['nice', '-n', '10', sys.executable, watch.__file__, place, encodings] + ([str(rate)] if rate else [])
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

    def run(self, scene, encodings, rate, seconds):
        """Bytes and processor seconds for a picture, pictures and rectangles a second."""
        self.m.send(f'screen {scene} {SIZE[0]} {SIZE[1]} {rate} {int(rate * seconds)}\n')
        self.m.wait('@ready', 60)
        with contextlib.closing(Viewer(self.place, encodings)) as viewer:
            time.sleep(1)
            before, spent = viewer.counts(), self.spent()
            self.m.send('\n')
            self.m.wait(r'@done \d+ (\d+)', 4 * seconds + 60)
            after, spent = viewer.counts(), self.spent() - spent
        took = after['time'] - before['time']
        pictures = max(1, after['frames'] - before['frames'])
        return [(after['bytes'] - before['bytes']) / pictures, spent / pictures, pictures / took,
                (after['rectangles'] - before['rectangles']) / took]


def geometric(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def measure(sides, scene, encoding, options):
    words = encoding if options.plain else f'{encoding},copy'
    found = {side.name: [] for side in sides}
    for number in range(options.rounds):
        for side in sides if number % 2 else reversed(sides):
            side.m.qmp('cont')
            found[side.name].append(side.run(scene, words, options.rate, options.seconds))
            side.m.qmp('stop')
    return [[statistics.median(values) for values in zip(*found[side.name])] for side in sides]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--peer', default='qemu-system-x86_64')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=4)
    parser.add_argument('--rate', type=int, default=25, help='pictures a second that the guest draws (25)')
    parser.add_argument('--rows', default='', help='only those whose scene and encoding contain one of these, with commas')
    parser.add_argument('--plain', action='store_true', help='viewers that do not know CopyRect')
    parser.add_argument('--accel', default='tcg')
    options = parser.parse_args()
    program = screen_program()
    ratios = {'bytes': [], 'processor': []}
    worse = []
    print(f'{"":17} {"":10} {"kB a picture":^25} {"ms of processor a picture":^25} {"pictures":^11} {"rectangles":^13}')
    print(f'{"scene":17} {"encoding":10} {"ours":>9} {"peer":>9} {"ratio":>5} {"ours":>9} {"peer":>9} {"ratio":>5} '
          f'{"ours":>5} {"peer":>5} {"ours":>6} {"peer":>6}')
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
                ratio = peer[0] / ours[0], peer[1] / ours[1]
                ratios['bytes'].append(ratio[0])
                ratios['processor'].append(ratio[1])
                if min(ratio) < 1:
                    worse.append(f'{words}, {encoding}')
                print(f'{words:17} {encoding:10} {ours[0] / 1e3:9.2f} {peer[0] / 1e3:9.2f} {ratio[0]:5.2f} '
                      f'{ours[1] * 1e3:9.2f} {peer[1] * 1e3:9.2f} {ratio[1]:5.2f} {ours[2]:5.1f} {peer[2]:5.1f} '
                      f'{ours[3]:6.0f} {peer[3]:6.0f}', flush=True)
    for name, values in ratios.items():
        print(f'geometric mean, {name}: {geometric(values):.2f}')
    print('no row is worse' if not worse else 'worse: ' + '; '.join(worse))


if __name__ == '__main__':
    main()
