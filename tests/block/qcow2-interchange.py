#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""qcow2 images that two programs write in turn: random images, random requests, snapshots; after each turn the other
program finds the same bytes, and nothing to complain of. Arguments: the program "blkio", rounds, a seed."""
import hashlib
import os
import sys

import images
from images import Failed, pattern, run


class Image:
    def __init__(self, folder, rng, blkio):
        self.folder, self.rng, self.blkio = folder, rng, blkio
        self.path = os.path.join(folder, 'image.qcow2')
        self.snapshots = {}
        self.choose()

    def choose(self):
        r = self.rng
        self.v2 = r.random() < 0.15
        self.extended = not self.v2 and r.random() < 0.3
        bits = r.choice([14, 16, 16, 17]) if self.extended else r.choice([9, 10, 12, 12, 16, 16, 16, 18, 21])
        self.cluster = 1 << bits
        self.size = r.randrange(1, min(40 << 20, self.cluster * 300)) & ~511 or 512
        self.refcount_bits = 16 if self.v2 else r.choice([16, 16, 16, 1, 2, 4, 8, 32, 64])
        options = [f'cluster_size={self.cluster}', f'refcount_bits={self.refcount_bits}',
                   f"compat={'v2' if self.v2 else 'v3'}"]
        self.external = not self.v2 and r.random() < 0.1
        self.raw = self.external and r.random() < 0.5
        if self.extended:
            options.append('extended_l2=on')
        if not self.v2 and r.random() < 0.4:
            options.append('compression_type=zstd')
        if not self.v2 and r.random() < 0.2:
            options.append('lazy_refcounts=on')
        self.model = bytearray(self.size)
        self.backing = None
        if self.external:
            options.append(f"data_file={os.path.join(self.folder, 'data.raw')}")
            if self.raw:
                options.append('data_file_raw=on')
        if r.random() < 0.4 and not self.raw:
            size = r.choice([self.size, r.randrange(512, self.size * 2)]) & ~511 or 512
            self.backing = os.path.join(self.folder, 'base.raw')
            data = pattern(0, size, 77)
            with open(self.backing, 'wb') as f:
                f.write(data)
            n = min(size, self.size)
            self.model[:n] = data[:n]
            options += [f'backing_file={self.backing}', 'backing_fmt=raw']
        elif r.random() < 0.2:
            options.append(f"preallocation={r.choice(['metadata', 'falloc', 'full'])}")
        self.options = ','.join(options)

    def create(self):
        if self.rng.random() < 0.5:
            self.ours([f'create qcow2 {self.size} {self.path} {self.options}'])
            self.maker = 'ours'
        else:
            run('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', self.options, self.path, str(self.size))
            self.maker = 'theirs'

    def ours(self, lines, fails=()):
        out = run(self.blkio, data='\n'.join(lines) + '\n')
        for line in out.splitlines():
            if 'failed' in line and not any(f in line for f in fails):
                raise Failed('ours: ' + line + '\n' + '\n'.join(lines))
        return out.splitlines()

    def span(self, limit):
        r = self.rng
        length = min(r.choice([512, 4096, 70000, self.cluster, self.cluster * 3, limit]), self.size)
        length = max(1, r.randrange(length) + 1 if r.random() < 0.7 else length)
        offset = r.randrange(self.size - length + 1)
        if r.random() < 0.4:
            offset -= offset % self.cluster
        if r.random() < 0.5:
            offset &= ~511
            length = (length + 511) & ~511
        return offset, min(length, self.size - offset)

    def requests(self, n):
        """Random requests and what they make of the model: kind, offset, length, seed."""
        r = self.rng
        for _ in range(n):
            offset, length = self.span(600000)
            kind = r.choice(['write', 'write', 'write', 'write', 'zero', 'discard', 'wc'])
            seed = r.randrange(1, 250)
            if kind == 'discard':
                offset += -offset % self.cluster
                length -= length % self.cluster
                if offset + length > self.size or not length:
                    continue
                # What is read then: zeros, or in version 2 over a backing file, what was there.
                if self.v2 and self.backing:
                    continue
            if kind == 'wc':
                offset -= offset % self.cluster
                length = min(max(length, self.cluster), self.size - offset)
                if offset + length < self.size:
                    length -= length % self.cluster
                if self.external:
                    continue
            if not length:
                continue
            data = pattern(offset, length, seed) if kind in ('write', 'wc') else bytes(length)
            self.model[offset:offset + length] = data
            yield kind, offset, length, seed

    def turn_ours(self):
        lines, used = [f'open {self.path}'], []
        for kind, offset, length, seed in self.requests(self.rng.randrange(5, 60)):
            beside = self.rng.random() < 0.7
            if any(offset < b and a < offset + length for a, b in used):
                lines.append('wait')
                used = []
            used.append((offset, offset + length))
            unmap = self.rng.choice(['', ' unmap']) if kind == 'zero' else ''
            lines.append(f"{'&' if beside else ''}{kind} {offset} {length}" +
                         (f' {seed}' if kind in ('write', 'wc') else unmap))
            if self.rng.random() < 0.1:
                lines.append('flush')
            if self.rng.random() < 0.05:
                lines.append('check')
        lines.append('wait')
        before = dict(self.snapshots), bytearray(self.model)
        if self.rng.random() < 0.5 and not self.external:
            lines += self.snapshot_lines()
        lines += ['check', f'read 0 {self.size}']
        out = self.ours(lines, fails=('snap failed: Could not create snapshot: Invalid argument',
                                      'snap failed: Failed to load snapshot: Invalid argument'))
        if any(line.startswith('snap failed') for line in out):
            self.snapshots, self.model = before  # refcounts were too narrow
        for line in out:
            if line.startswith('corruptions=') and not line.startswith('corruptions=0 leaks=0 errors=0'):
                if 'corruptions=0' not in line or '&' not in ''.join(lines):
                    raise Failed('\n'.join(out[-30:]) + '\n' + '\n'.join(lines))

    def snapshot_lines(self, rename=True):
        r = self.rng
        if self.refcount_bits == 1:
            return []
        kind = r.choice(['create', 'create', 'apply', 'delete'] + ['rename'] * rename)
        if kind == 'create' and (len(self.snapshots) < 2 or self.refcount_bits > 4):
            name = f's{r.randrange(1000)}'
            if name in self.snapshots:
                return []
            if self.refcount_bits <= 4 and len(self.snapshots) + 3 > (1 << self.refcount_bits) - 1:
                return []
            self.snapshots[name] = bytes(self.model)
            return ['wait', f'snap create {name}']
        if not self.snapshots or kind == 'create':
            return []
        name = r.choice(list(self.snapshots))
        if kind == 'rename':
            new = f'r{r.randrange(1000000)}' + 'x' * r.choice([0, 200])
            self.snapshots[new] = self.snapshots.pop(name)
            return [f'snap rename {name} {new}']
        if kind == 'apply':
            if self.refcount_bits <= 4 and len(self.snapshots) + 2 > (1 << self.refcount_bits) - 1:
                return []
            self.model = bytearray(self.snapshots[name])
            return [f'snap apply {name}']
        del self.snapshots[name]
        return [f'snap delete {name}']

    def turn_theirs(self):
        args = []
        for kind, offset, length, seed in self.requests(self.rng.randrange(3, 30)):
            if kind in ('write', 'wc'):
                data = pattern(offset, length, seed)
                name = os.path.join(self.folder, f'data{len(args)}')
                with open(name, 'wb') as f:
                    f.write(data)
                # It does not write compressed clusters over others.
                args += ['-c', f'write -s {name} {offset} {length}']
            elif kind == 'zero':
                args += ['-c', f"write -z {self.rng.choice(['', '-u '])}{offset} {length}"]
            else:
                args += ['-c', f'discard {offset} {length}']
        if args:
            out = run('qemu-io', '-f', 'qcow2', '-d', 'unmap', *args, self.path)
            if 'failed' in out:
                raise Failed(out)
        if self.rng.random() < 0.3 and not self.external and self.refcount_bits > 4:
            for line in self.snapshot_lines(rename=False):  # it cannot
                if line.startswith('snap'):
                    _, kind, name = line.split()
                    run('qemu-img', 'snapshot', '-q', {'create': '-c', 'apply': '-a', 'delete': '-d'}[kind], name, self.path)
        for name in os.listdir(self.folder):
            if name.startswith('data') and name != 'data.raw':
                os.unlink(os.path.join(self.folder, name))

    def verify(self):
        model = os.path.join(self.folder, 'model.raw')
        with open(model, 'wb') as f:
            f.write(self.model)
        run('qemu-img', 'check', '-q', self.path)
        run('qemu-img', 'compare', '-q', '-f', 'qcow2', '-F', 'raw', self.path, model)
        for name, data in self.snapshots.items():
            with open(model, 'wb') as f:
                f.write(data)
            out = os.path.join(self.folder, 'snap.raw')
            run('qemu-img', 'convert', '-l', f'snapshot.name={name}', '-O', 'raw', self.path, out)
            run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'raw', out, model)
        if self.raw:
            with open(os.path.join(self.folder, 'data.raw'), 'rb') as f:
                if f.read(self.size) != bytes(self.model):
                    raise Failed('the raw data file differs')
        want = hashlib.md5(self.model).hexdigest()
        out = self.ours([f'open {self.path} qcow2 ro', f'read 0 {self.size}', 'check'])
        if out[1] != f'read {want}' or not out[2].startswith('corruptions=0 leaks=0 errors=0'):
            raise Failed('ours reads it wrong:\n' + '\n'.join(out))


def one_round(blkio, rng, folder, kind):
    image = Image(folder, rng, blkio)
    history = []
    try:
        image.create()
        history.append(image.maker)
        image.verify()
        for _ in range(rng.randrange(1, 6)):
            mine = rng.random() < 0.65
            history.append('ours' if mine else 'theirs')
            image.turn_ours() if mine else image.turn_theirs()
            image.verify()
    except Failed as e:
        raise Failed(f'{image.options} size={image.size} turns={history}\n{e}') from e


if __name__ == '__main__':
    sys.exit(images.rounds(one_round))
