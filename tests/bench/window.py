#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that draws 1920 x 1080 pixels 60 times a second, in our window and in the peer's, both in full screen on an X server
without a screen: window.py [PROGRAM] [--rounds N] [--seconds S] [--accel tcg] [--check]

Frames that reach the screen each second, processor time of the program and of the X server, and the time from a key press to
the pixel that the guest changes for it. --check fails when fewer than 57 frames arrive (guest and screen each tick 60 times, not in step, and a frame that
is drawn while it is copied is seen late), when a frame or the whole (with the X server) takes more processor time than the
peer's, or when the median key takes more than two frames."""
import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'system'), str(HERE.parent / 'ui')]
import vm  # noqa: E402
from desktop import Desktop, Program, wait_for  # noqa: E402
from eye import Eye, processor_seconds  # noqa: E402

WIDTH, HEIGHT = 1920, 1080
KEYCODE_A = 38
KEYS = 40
FRAME_MS = 1000 / 60


def threads(pid):
    """Name -> processor seconds."""
    found = {}
    for task in os.listdir(f'/proc/{pid}/task'):
        with contextlib.suppress(OSError):
            with open(f'/proc/{pid}/task/{task}/stat') as file:
                before, after = file.read().rsplit(')', 1)
            fields = after.split()
            name = before.split('(', 1)[1]
            found[name] = found.get(name, 0) + (int(fields[11]) + int(fields[12])) / 100
    return found


@contextlib.contextmanager
def guest(binary, accel, kernel, word, options):
    with Desktop(WIDTH, HEIGHT, {'G_DEBUG': ''}) as desktop:
        log = open(desktop.home + '/stderr', 'w+')
        with Program(desktop, binary, '-accel', accel, '-m', '64', '-kernel', kernel, '-append', word, '-net', 'none',
                     '-display', 'gtk,gl=off,full-screen=on', *options, stderr=log) as program:
            eye = Eye(desktop.env['DISPLAY'])
            try:
                window = program.window('.', 30)
                desktop.activate(window)
                desktop.move(960, 1000)
                yield desktop, program, eye
            except AssertionError:
                log.seek(0)
                print(log.read(), file=sys.stderr)
                raise


def frames(binary, options, kernel):
    """Frames a second; percent of a processor: program, X server; and by thread."""
    with guest(binary, options.accel, kernel, '1', []) as (desktop, program, eye):
        first = eye.pixel(960, 600)
        wait_for('frames', lambda: eye.pixel(960, 600) not in (0, first), 30)
        time.sleep(4)  # the bar of the full screen has gone
        pid, server = program.process.pid, desktop.server.pid
        before, server_before, threads_before = processor_seconds(pid), processor_seconds(server), threads(pid)
        began = time.monotonic()
        seen, last = 0, None
        while time.monotonic() < began + options.seconds:
            now = eye.pixel(960, 600)
            seen += now != last
            last = now
            time.sleep(0.002)
        took = time.monotonic() - began
        after = threads(pid)
        share = {name: (after[name] - threads_before.get(name, 0)) / took * 100 for name in after}
        return (seen / took, (processor_seconds(pid) - before) / took * 100,
                (processor_seconds(server) - server_before) / took * 100, share)


def keys(binary, options, kernel):
    """Milliseconds of each."""
    with guest(binary, options.accel, kernel, '0', []) as (_desktop, _program, eye):
        def press():
            empty = eye.pixel(10, 10)
            began = time.monotonic()
            eye.key(KEYCODE_A, True)
            while eye.pixel(10, 10) == empty and time.monotonic() < began + 2:
                time.sleep(0.0003)
            took = time.monotonic() - began
            eye.key(KEYCODE_A, False)
            # Not in step with anything that ticks.
            time.sleep(0.1 + (took * 7919) % 0.05)
            return took * 1000
        wait_for('the guest listens', lambda: press() < 1900, 40)
        time.sleep(4)
        return [press() for _ in range(KEYS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=8)
    parser.add_argument('--accel', default='kvm' if os.access('/dev/kvm', os.R_OK | os.W_OK) else 'tcg')
    parser.add_argument('--threads', action='store_true', help='processor time of each thread')
    parser.add_argument('--check', action='store_true')
    options = parser.parse_args()
    peer = shutil.which('qemu-system-x86_64') or sys.exit('qemu-system-x86_64 is missing')
    kernel = vm.assemble('frames', 'elf32')
    sides = {'ours': os.path.abspath(options.program), 'peer': peer}
    results = {name: [] for name in sides}
    times = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, binary in sides.items():
            found = frames(binary, options, kernel)
            results[name].append(found)
            times[name] += keys(binary, options, kernel)
            if options.threads:
                print(name, ', '.join(f'{thread} {share:.0f} %' for thread, share in found[3].items() if share >= 1))
    print(f'{"":5} {"frames/s":>9} {"processor":>10} {"a frame":>9} {"X server":>9} {"key":>8} {"slowest":>8}')
    row = {}
    for name in sides:
        rate, share, server = (statistics.median(result[i] for result in results[name]) for i in range(3))
        key, slowest = statistics.median(times[name]), max(times[name])
        row[name] = rate, share / rate, share + server, key
        print(f'{name:5} {rate:9.1f} {share:8.1f} % {share / rate * 10:6.2f} ms {server:7.1f} % {key:5.1f} ms {slowest:5.1f} ms')
    if options.check:
        rate, frame, whole, key = row['ours']
        assert rate >= 57, 'frames are lost'
        assert frame < row['peer'][1] and whole < row['peer'][2], 'more processor time than the peer'
        assert key <= 2 * FRAME_MS, 'keys take more than two frames'


main()
