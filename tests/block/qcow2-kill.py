#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are killed while they make, apply, rename and delete snapshots of qcow2 images, resize and amend them, keep bitmaps,
commit and rebase: the image is never corrupt, and holds what it held before or what it was to hold then, never a mixture.
Arguments: see images.rounds(); VITRINE_IMG is the program that commits and rebases."""
import json
import os
import subprocess
import sys
import time

import images
from images import Failed, pattern, run


class State:
    def __init__(self, data, snapshots):
        self.data, self.snapshots = data, snapshots

    def copy(self):
        return State(bytearray(self.data), dict(self.snapshots))


def change(rng, state, cluster, narrow):
    """A command and the state after it."""
    after = state.copy()
    kind = rng.choice(['write'] * 3 + ['create', 'create', 'apply', 'delete', 'rename', 'resize', 'amend', 'bitmap', 'reopen'])
    if kind == 'write':
        length = min(rng.choice([512, cluster, cluster * 3]), len(state.data))
        offset = rng.randrange(len(state.data) - length + 512 >> 9) << 9
        seed = rng.randrange(1, 250)
        after.data[offset:offset + length] = pattern(offset, length, seed)
        return f'write {offset} {length} {seed}', after
    if kind == 'create' and len(state.snapshots) < 4:
        name = f's{rng.randrange(10000)}'
        after.snapshots[name] = bytes(state.data)
        return f'snap create {name}', after
    if kind in ('apply', 'delete', 'rename') and state.snapshots:
        name = rng.choice(list(state.snapshots))
        if kind == 'rename':  # also to one that needs a larger table
            new = f'r{rng.randrange(10000)}' + 'x' * rng.choice([0, 0, 200])
            after.snapshots[new] = after.snapshots.pop(name)
            return f'snap rename {name} {new}', after
        if kind == 'delete':
            del after.snapshots[name]
        else:
            after.data = bytearray(state.snapshots[name])
        return f'snap {kind} {name}', after
    if kind == 'resize' and not state.snapshots:
        size = rng.randrange(8, 100) * cluster
        after.data = after.data[:size] + bytes(max(0, size - len(after.data)))
        return f'resize {size}', after
    if kind == 'amend':
        return 'amend ' + rng.choice(['lazy_refcounts=on', 'lazy_refcounts=off'] +
                                     ([] if narrow else ['refcount_bits=16', 'refcount_bits=32', 'refcount_bits=8'])), after
    if kind == 'bitmap':
        return f"bitmap {rng.choice(['add', 'remove'])} b{rng.randrange(4)} 65536", after
    return 'flush', after


def snapshots_of(path):
    info = json.loads(run('qemu-img', 'info', '--output=json', path))
    return {s['name'] for s in info.get('snapshots', [])}


def same(data, state):
    return len(data) == len(state.data) and data == bytes(state.data)


def verify(path, before, after, command):
    """BEFORE and AFTER the COMMAND that was under way."""
    run('qemu-img', 'check', '-q', path, ok=(0, 3))
    data = images.contents('qcow2', path)
    if command.startswith(('write', 'flush')):
        for at in range(0, len(before.data), 512):
            if data[at:at + 512] not in (before.data[at:at + 512], after.data[at:at + 512]):
                raise Failed(f'{command}: sector {at >> 9} is neither old nor new')
    elif not same(data, before) and not same(data, after):
        raise Failed(f'{command}: neither old nor new ({len(data)} bytes)')
    names = snapshots_of(path)
    if names not in (set(before.snapshots), set(after.snapshots)):
        raise Failed(f'{command}: snapshots {names}')
    for name in names:
        want = after.snapshots.get(name) or before.snapshots[name]
        if images.contents('qcow2', path, '-l', f'snapshot.name={name}') != want:
            raise Failed(f'{command}: snapshot {name} has changed')


def changes(blkio, rng, folder):
    path = os.path.join(folder, 'image.qcow2')
    cluster = rng.choice([512, 4096, 65536])
    size = cluster * rng.randrange(8, 100)
    images.create(blkio, rng, 'qcow2', path, size, f'cluster_size={cluster}')
    state = after = State(bytearray(size), {})
    command, history = 'open', []
    with images.Writer(blkio, rng.random() ** 2 * 0.6 + 0.01) as writer:
        alive = writer.ask(f'open {path}')
        while alive:
            command, after = change(rng, state, cluster, cluster == 512)
            # What a step leaves in memory is brought to the file before the next.
            follow = {'write': ['flush'], 'bitmap': ['close', f'open {path}']}.get(command.split()[0], [])
            failed = False
            for text in [command, *follow]:
                alive = writer.ask(text)
                if 'failed' in alive:
                    failed = True
                    if not text.startswith(('amend', 'snap', 'bitmap', 'resize')):
                        raise Failed(f'{text}: {alive}')
                if not alive:
                    break
                history.append(text)
            if alive and not failed:
                state = after
    run(blkio, data=f'open {path}\n')  # opening for writing repairs images that say that they are dirty
    try:
        verify(path, state, after, command)
    except Failed as e:
        raise Failed(f"in '{command}' after {history[-6:]}: {e}") from e
    return len(history)


def moving(blkio, rng, folder):
    """Commit or rebase of one of three images over each other."""
    img = os.environ.get('VITRINE_IMG')
    if not img:
        return 0
    names = [os.path.join(folder, n + '.qcow2') for n in ('base', 'middle', 'top', 'other')]
    size = 65536 * rng.randrange(20, 400)
    for i, name in enumerate(names):
        backing = ['-b', names[i - 1], '-F', 'qcow2'] if i in (1, 2) else []
        run('qemu-img', 'create', '-q', '-f', 'qcow2', *backing, name, str(size))
        lines = []
        for _ in range(rng.randrange(5, 40)):
            length = min(rng.choice([512, 65536, 1 << 20]), size)
            offset = rng.randrange(size - length + 512 >> 9) << 9
            lines.append(f'write {offset} {length} {rng.randrange(1, 250)}')
        run(blkio, data=f'open {name}\n' + '\n'.join(lines) + '\n')
    want = images.contents('qcow2', names[2])
    command = [img, *rng.choice([['commit', '-q', '-f', 'qcow2'], ['commit', '-q', '-d', '-f', 'qcow2', '-b', names[0]],
                                 ['rebase', '-q', '-f', 'qcow2', '-b', names[3], '-F', 'qcow2'],
                                 ['rebase', '-q', '-f', 'qcow2', '-b', '']]), names[2]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(rng.random() ** 2 * 0.15 + 0.004)
    process.kill()
    process.wait()
    for name in names:
        run('qemu-img', 'check', '-q', name, ok=(0, 3))
    if images.contents('qcow2', names[2]) != want:
        raise Failed(f"{' '.join(command[1:])}: the image reads differently")
    return 1


def one_round(blkio, rng, folder, kind):
    return {'changes': changes, 'moving': moving}[kind](blkio, rng, folder)


if __name__ == '__main__':
    sys.exit(images.rounds(one_round, ['changes', 'moving'], 'programs killed'))
