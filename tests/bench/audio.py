#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stream of sound costs, beside the peer: audio.py [PROGRAM] [--rounds N] [--seconds S] [--cards LIST]

Two machines run the same Debian kernel, one in our program and one in qemu-system-x86_64, and take turns at playing for
some seconds while the other one is stopped. A row shows processor time of the program for a second of sound: guest,
card, mixing and back end together.
"""
import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'system'))
options_of_ours = sys.argv[1:]
sys.argv = sys.argv[:1]
import sound  # noqa: E402
import storage  # noqa: E402

CARDS = {'AC97': (['snd-intel8x0'], ['-device', 'AC97,audiodev=a']),
         'ES1370': (['snd-ens1370'], ['-device', 'ES1370,audiodev=a']),
         'intel-hda': (['snd-hda-codec-generic', 'snd-hda-intel'], ['-device', 'intel-hda', '-device', 'hda-duplex,audiodev=a'])}
BACK_ENDS = {'none': 'none,id=a', 'wav': 'wav,id=a,path=/dev/null,out.frequency=48000',
             'wav, other rate': 'wav,id=a,path=/dev/null'}


def processor_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def start(stack, binary, card, back_end):
    modules, devices = CARDS[card]
    m = stack.enter_context(storage.boot(modules, '-nodefaults', '-audiodev', BACK_ENDS[back_end], *devices, binary=binary,
                                         extra=[('bin/sound', sound.program())], timeout=3000))
    m.shell('for i in $(seq 20); do [ -e /dev/snd/pcmC0D0p ] && break; sleep 0.5; done; sound mixer; true', 60)
    m.qmp('stop')
    return m


def play(m, seconds):
    m.qmp('cont')
    time.sleep(0.3)
    before, begun = processor_seconds(m.process.pid), time.monotonic()
    told = m.shell(f'sound play 48000 2 {48000 * seconds} 2>&1', 60 + 4 * seconds)
    spent, took = processor_seconds(m.process.pid) - before, time.monotonic() - begun
    m.qmp('stop')
    if 'played' not in told:
        raise AssertionError(told)
    return spent / took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--cards', default=','.join(CARDS))
    options = parser.parse_args(options_of_ours)
    if not shutil.which('qemu-system-x86_64'):
        sys.exit('qemu-system-x86_64 is missing')
    print(f'{"card":10} {"back end":18} {"ours":>8} {"peer":>8}   ratio')
    for card in options.cards.split(','):
        for back_end in BACK_ENDS:
            with contextlib.ExitStack() as stack:
                sides = [start(stack, os.path.abspath(options.program), card, back_end),
                         start(stack, 'qemu-system-x86_64', card, back_end)]
                found = [[], []]
                for round_ in range(options.rounds):
                    for i in (0, 1) if round_ % 2 else (1, 0):
                        found[i].append(play(sides[i], options.seconds))
                ours, peer = (statistics.median(values) * 100 for values in found)
                print(f'{card:10} {back_end:18} {ours:6.1f} % {peer:6.1f} % {peer / ours:7.2f}', flush=True)


if __name__ == '__main__':
    main()
