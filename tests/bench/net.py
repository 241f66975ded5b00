#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast guests send and receive, beside the peer: net.py [PROGRAM] [--rounds N] [--seconds S] [--rows TEXT]

Two machines run the same Debian kernel, one in our program and one in qemu-system-x86_64, and take turns with iperf3
over TCP while the other one is stopped. A row is the median of ours divided by the peer's: bits a second, and processor
time of the program for a byte. Cards are virtio-net and e1000, back ends user and tap; everything happens in a network
namespace of its own, for which the host has to let us be root (unshare).
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'system'))
options_of_ours = sys.argv[1:]
sys.argv = sys.argv[:1]
import storage  # noqa: E402
import vm  # noqa: E402

MODULES = {'virtio-net-pci': ['virtio-net', 'virtio-pci'], 'e1000': ['e1000'], 'rtl8139': ['8139cp', '8139too'],
           'e1000e': ['e1000e'], 'vmxnet3': ['vmxnet3']}
PORT = 5201


def libraries(program, name):
    """PROGRAM, in the guest NAME, and what it is linked to, as files of the guest."""
    text = subprocess.run(['ldd', program], check=True, capture_output=True, text=True).stdout
    paths = [word for word in text.split() if word.startswith('/')]
    return [(name, open(program, 'rb').read())] + [(path.lstrip('/'), open(path, 'rb').read()) for path in paths]


def processor_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Side:
    """A machine that serves iperf3."""

    def __init__(self, name, binary, number, card, back_end, files, stack):
        self.name = name
        self.back_end = back_end
        if back_end == 'user':
            self.address, self.port = '127.0.0.1', 15200 + number
            netdev = f'user,id=n,hostfwd=tcp:127.0.0.1:{self.port}-:{PORT}'
            inside, gateway = '10.0.2.15/24', '10.0.2.2'
        else:
            tap, net = f'bench{number}', f'192.168.{70 + number}'
            subprocess.run(['ip', 'tuntap', 'add', tap, 'mode', 'tap', 'vnet_hdr'], check=True)
            subprocess.run(['ip', 'addr', 'add', f'{net}.1/24', 'dev', tap], check=True)
            subprocess.run(['ip', 'link', 'set', tap, 'up'], check=True)
            stack.callback(subprocess.run, ['ip', 'link', 'del', tap])
            self.address, self.port = f'{net}.2', PORT
            netdev = f'tap,id=n,ifname={tap},script=no,downscript=no'
            inside, gateway = f'{net}.2/24', f'{net}.1'
        self.m = stack.enter_context(storage.boot(
            MODULES[card], '-nodefaults', '-netdev', netdev, '-device', f'{card},netdev=n', extra=files, binary=binary,
            timeout=3000))
        self.m.shell(f'ip link set lo up; ip link set eth0 up; ip addr add {inside} dev eth0; '
                     f'ip route add default via {gateway}')
        self.m.shell(f'mkdir -p /tmp; (iperf3 -s -p {PORT} > /tmp/log 2>&1 &); sleep 2; cat /tmp/log', 30)
        self.m.qmp('stop')

    def run(self, seconds, reverse):
        """Bits a second, processor seconds for a gigabyte."""
        self.m.qmp('cont')
        time.sleep(0.3)
        before = processor_seconds(self.m.process.pid)
        words = ['iperf3', '-J', '-c', self.address, '-p', str(self.port), '-t', str(seconds)] + ['-R'] * reverse
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds * 4 + 60)
        spent = processor_seconds(self.m.process.pid) - before
        self.m.qmp('stop')
        answer = json.loads(done.stdout)
        if 'error' in answer:
            raise AssertionError(f'{self.name}: {answer["error"]}')
        total = answer['end']['sum_received']
        return total['bits_per_second'], spent / total['bytes'] * 1e9


def rows(options, card, back_end, files):
    with contextlib.ExitStack() as stack:
        sides = [Side('ours', options.program, 0, card, back_end, files, stack),
                 Side('peer', 'qemu-system-x86_64', 1, card, back_end, files, stack)]
        for reverse, way in (False, 'to the guest'), (True, 'from the guest'):
            found = {side.name: [] for side in sides}
            for round_ in range(options.rounds):
                for side in sides if round_ % 2 else reversed(sides):
                    found[side.name].append(side.run(options.seconds, reverse))
            speed, cost = ([statistics.median(result[i] for result in found[side.name]) for side in sides]
                           for i in range(2))
            print(f'{card:15} {back_end:5} {way:15} {speed[0] / 1e6:8.0f} {speed[1] / 1e6:8.0f} Mbit/s {speed[0] / speed[1]:6.2f}'
                  f'   {cost[0]:6.2f} {cost[1]:6.2f} s/GB {cost[1] / cost[0]:6.2f}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=5)
    parser.add_argument('--rows', help='only those whose card and back end contain this', default='')
    parser.add_argument('--cards', default='virtio-net-pci,e1000')
    options = parser.parse_args(options_of_ours)
    options.program = os.path.abspath(options.program)
    for tool in ('iperf3', 'ip', 'unshare', 'qemu-system-x86_64'):
        if not shutil.which(tool):
            sys.exit(f'{tool} is missing')
    if not os.environ.get('VITRINE_BENCH_NAMESPACE'):
        os.environ['VITRINE_BENCH_NAMESPACE'] = '1'
        os.execvp('unshare', ['unshare', '-n', sys.executable, __file__, *options_of_ours])
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    files = libraries(shutil.which('iperf3'), 'bin/iperf3')
    print(f'{"card":15} {"end":5} {"":15} {"ours":>8} {"peer":>8} {"":6} {"ratio":>6}   {"ours":>6} {"peer":>6} '
          f'{"":4} {"ratio":>6}')
    for card in options.cards.split(','):
        for back_end in 'user', 'tap':
            if options.rows in f'{card} {back_end}':
                rows(options, card, back_end, files)


if __name__ == '__main__':
    main()
