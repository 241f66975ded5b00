# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that writes random values to random ports and device memory brings nothing down. HOSTILE_SECONDS: how long."""
import os
import random
import re
import time

import vm

COMPLAINTS = re.compile('runtime error|Sanitizer|CRITICAL|Assertion|assertion|ERROR:')


def attack(seconds, *options):
    """How often the guest's mark came, each for 4096 accesses."""
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
                    '-parallel', 'null', *options, timeout=seconds + 120) as m:
        deadline, last_reset, resets = time.monotonic() + seconds, time.monotonic(), 0
        while time.monotonic() < deadline:
            time.sleep(0.25)
            status = m.qmp('query-status')['status']
            if status != 'running' or time.monotonic() - last_reset > 5:
                m.qmp('system_reset')
                m.qmp('cont')
                last_reset, resets = time.monotonic(), resets + 1
            m.screen()
            m.key(random.choice(keys))
        text = m.stderr()
        assert not COMPLAINTS.search(text), text[-4000:]
        try:
            m.quit()
        finally:
            text = m.stderr()
            assert not COMPLAINTS.search(text), text[-4000:]
    count = marks.stat().st_size
    assert count > 0, 'the guest did nothing'
    return f'{count * 4096} accesses, {resets} resets'


@vm.case
def ports_and_memory():
    return attack(int(os.environ.get('HOSTILE_SECONDS', '20')))


@vm.case
def ten_minutes():
    return attack(600)


vm.run()
