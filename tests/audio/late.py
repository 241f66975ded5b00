#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who had to wait for a processor: late.py PID looks fifty times a second at the threads of the processes below PID, and writes
a line "FROM UNTIL WAITED NAME" for each that waited for some milliseconds since the last look, in nanoseconds of CLOCK_MONOTONIC.
"hypervisor" is the host itself, as a guest of another one. It ends with PID, or with SIGTERM.

The kernel counts the waiting, so that a late look misses nothing. Virtual processors are left out: they take all there is."""
import contextlib
import os
import sys
import time

PERIOD = 0.02
LEAST = 5_000_000


def below(root):
    """Of all processes that ROOT has begun, but for this one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open(f'/proc/{name}/stat') as file:
            parents[int(name)] = int(file.read().rsplit(')', 1)[1].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {root, os.getpid()}


class Thread:
    def __init__(self, pid, tid):
        with open(f'/proc/{pid}/task/{tid}/comm') as file:
            self.name = file.read().strip()
        self.file = os.open(f'/proc/{pid}/task/{tid}/schedstat', os.O_RDONLY)
        self.total = None
        self.waited()

    def waited(self):
        """Since it was last asked."""
        before, self.total = self.total, int(os.pread(self.file, 100, 0).split()[1])
        return self.total - before if before is not None else 0


class Hypervisor:
    name = 'hypervisor'

    def __init__(self):
        self.file = os.open('/proc/stat', os.O_RDONLY)
        self.total = self.stolen()

    def stolen(self):
        return int(os.pread(self.file, 200, 0).split()[8]) * 1_000_000_000 // os.sysconf('SC_CLK_TCK')

    def waited(self):
        before, self.total = self.total, self.stolen()
        return self.total - before


def main():
    root = int(sys.argv[1])
    known, looks, last = {('', ''): Hypervisor()}, 0, time.monotonic_ns()
    while os.getppid() == root:
        if looks % 50 == 0:
            for pid in below(root):
                with contextlib.suppress(OSError):
                    for tid in os.listdir(f'/proc/{pid}/task'):
                        if (pid, tid) not in known:
                            known[pid, tid] = Thread(pid, tid)
        looks += 1
        time.sleep(PERIOD)
        now = time.monotonic_ns()
        for key, thread in list(known.items()):
            try:
                waited = thread.waited()
            except (OSError, IndexError):  # it has ended
                os.close(thread.file)
                del known[key]
                continue
            if waited >= LEAST and not thread.name.startswith('CPU'):
                print(last, now, waited, thread.name, flush=True)
        last = now


if __name__ == '__main__':
    main()
