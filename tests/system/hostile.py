# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that writes random values to random ports and device memory brings nothing down. HOSTILE_SECONDS: how long."""
import os
import random
import re
import time

import vm

COMPLAINTS = re.compile('runtime error|Sanitizer|CRITICAL|Assertion|assertion|ERROR:')


LIFE = 12  # seconds: what a guest writes to the CMOS survives resets and may keep the firmware from starting


def attack(seconds):
    """One machine after the other; how often the guest's mark came, each for 4096 accesses."""
    deadline, marks, machines = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline:
        marks += attack_one(min(LIFE, deadline - time.monotonic() + 1))
        machines += 1
    assert marks > machines, 'the guests did next to nothing'
    return f'{marks * 4096} accesses, {machines} machines'


def attack_one(seconds):
    kernel, marks = vm.assemble('hostile'), vm.scratch() / 'marks'
    images = [vm.scratch() / name for name in ('disk', 'second', 'cd', 'floppy')]
    for image, size in zip(images, (4 << 20, 3 << 20, 2 << 20, 1474560)):
        image.write_bytes(bytes(size))
    disk, second, cd, floppy = images
    keys = ('a', 'shift', 'f1', 'ret')
    with vm.Machine('-m', '32M', '-kernel', kernel, '-debugcon', f'file:{marks}', '-no-shutdown', '-nic', 'none',
                    '-drive', f'file={disk},format=raw', '-drive', f'file={second},format=raw', '-drive',
                    f'file={cd},format=raw,media=cdrom', '-drive', f'file={floppy},format=raw,if=floppy', '-device',
                    'edu', '-device', 'pci-testdev', '-device', 'pc-testdev', '-device', 'pvpanic', '-serial', 'null',
                    '-parallel', 'null', timeout=seconds + 120) as m:
        deadline, last_reset = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            if m.qmp('query-status')['status'] != 'running' or time.monotonic() - last_reset > 5:
                m.qmp('system_reset')
                m.qmp('cont')
                last_reset = time.monotonic()
            m.screen()
            m.key(random.choice(keys))
        try:
            m.quit()
        finally:
            text = m.stderr()
            assert not COMPLAINTS.search(text), text[-4000:]
    return marks.stat().st_size


@vm.case
def ports_and_memory():
    return attack(int(os.environ.get('HOSTILE_SECONDS', '20')))


@vm.case
def ten_minutes():
    return attack(600)


vm.run()
