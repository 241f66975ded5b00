#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast guests read and write at random, beside the peer: disk.py [PROGRAM] [--rounds N] [--seconds S] [--cards ...]

Two machines run the same Debian kernel, one in our program and one in qemu-system-x86_64, each with a qcow2 disk full of
data, and take turns with fio (4 KiB, 32 requests at a time, direct) while the other one is stopped. A row is the
median of ours divided by the peer's, and the processor time of the program for a request. The images lie in a folder
of the working directory.
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
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'system'))
options_of_ours = sys.argv[1:]
sys.argv = sys.argv[:1]
import net  # noqa: E402
import storage  # noqa: E402

# The card's modules, its disk in the guest, and what has to be said of it.
CARDS = {
    'virtio-blk': (['virtio_blk', 'virtio_pci'], 'vda', ['-device', 'virtio-blk-pci,drive=d']),
    'virtio-scsi': (['virtio_scsi', 'virtio_pci', 'sd_mod'], 'sda', ['-device', 'virtio-scsi-pci', '-device',
                                                                    'scsi-hd,drive=d']),
    'nvme': (['nvme'], 'nvme0n1', ['-device', 'nvme,serial=1,drive=d']),
    'ahci': (['ahci', 'sd_mod'], 'sda', ['-device', 'ahci,id=a', '-device', 'ide-hd,bus=a.0,drive=d']),
}


class Side:
    def __init__(self, name, binary, card, image, files, stack):
        modules, self.disk, words = CARDS[card]
        self.name = name
        self.m = stack.enter_context(storage.boot(
            modules, '-nodefaults', '-m', '768M', '-drive', f'file={image},if=none,id=d,format=qcow2', *words,
            extra=files, binary=binary, timeout=3000))
        self.m.shell(f'mkdir -p /tmp; mount -t tmpfs tmpfs /tmp; mknod /dev/null c 1 3; mkdir -p /dev/shm; '
                     f'ls /dev/{self.disk}')
        self.m.qmp('stop')

    def run(self, seconds, way):
        """Requests a second, processor seconds for a million."""
        self.m.qmp('cont')
        before = net.processor_seconds(self.m.process.pid)
        text = self.m.shell(
            f'cd /tmp; /bin/fio --name=j --filename=/dev/{self.disk} --rw={way} --bs=4k --iodepth=32 --ioengine=libaio '
            f'--direct=1 --time_based --runtime={seconds} --randrepeat=0 --thread --output-format=json '
            f'--output=/tmp/o; cat /tmp/o', seconds * 10 + 120)
        spent = net.processor_seconds(self.m.process.pid) - before
        self.m.qmp('stop')
        job = json.loads(text[text.index('{'):text.rindex('}') + 1])['jobs'][0]
        done = job['write' if 'write' in way else 'read']
        if job['error'] or not done['total_ios']:
            raise AssertionError(f'{self.name}: {text}')
        return done['iops'], spent / done['total_ios'] * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program', nargs='?', default='build/app/vitrine')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=5)
    parser.add_argument('--gib', type=int, default=2)
    parser.add_argument('--cards', default=','.join(CARDS))
    options = parser.parse_args(options_of_ours)
    options.program = os.path.abspath(options.program)
    for tool in 'fio', 'qemu-img', 'qemu-system-x86_64':
        if not shutil.which(tool):
            sys.exit(f'{tool} is missing')
    files = net.libraries(shutil.which('fio'), 'bin/fio')
    with tempfile.TemporaryDirectory(dir='.') as folder:
        images = [os.path.abspath(f'{folder}/{i}.qcow2') for i in range(2)]
        raw = f'{folder}/raw'
        with open(raw, 'wb') as f:
            for _ in range(options.gib * 16):
                f.write(os.urandom(64 << 20))
        for image in images:
            subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', raw, image], check=True)
        os.unlink(raw)
        print(f'{"card":12} {"":10} {"ours":>8} {"peer":>8} {"":10} {"ratio":>6}   {"ours":>6} {"peer":>6} {"":9} {"ratio":>6}')
        for card in options.cards.split(','):
            with contextlib.ExitStack() as stack:
                sides = [Side('ours', options.program, card, images[0], files, stack),
                         Side('peer', 'qemu-system-x86_64', card, images[1], files, stack)]
                for way in 'randread', 'randwrite':
                    found = {side.name: [] for side in sides}
                    for round_ in range(options.rounds):
                        for side in sides if round_ % 2 else reversed(sides):
                            found[side.name].append(side.run(options.seconds, way))
                    speed, cost = ([statistics.median(result[i] for result in found[side.name]) for side in sides]
                                   for i in range(2))
                    print(f'{card:12} {way:10} {speed[0]:8.0f} {speed[1]:8.0f} requests/s {speed[0] / speed[1]:5.2f}'
                          f'   {cost[0]:6.1f} {cost[1]:6.1f} s/million {cost[1] / cost[0]:6.2f}', flush=True)


if __name__ == '__main__':
    main()
