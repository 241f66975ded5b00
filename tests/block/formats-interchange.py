#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the formats besides qcow2 that two programs write in turn: after each turn the other program finds the same
bytes, and nothing to complain of. Arguments: see images.rounds()."""
import hashlib
import os
import sys

import images

# Format, options by chance, block size, whether the other program checks it, whether it writes it.
FORMATS = [
    ('raw', [''], 65536, False, True),
    ('vdi', ['', 'static=on'], 1 << 20, True, True),
    ('vpc', ['force_size=on', 'force_size=on,subformat=fixed'], 2 << 20, False, True),
    ('vhdx', ['block_size=1M', 'block_size=1M,subformat=fixed', ''], 1 << 20, True, True),
    ('parallels', ['cluster_size=65536', ''], 65536, True, True),
    ('qed', ['cluster_size=4096', '', 'cluster_size=4096,table_size=2'], 65536, True, True),
    ('qcow', [''], 4096, False, True),
    ('vmdk', ['', 'zeroed_grain=on', 'subformat=twoGbMaxExtentSparse', 'subformat=monolithicFlat',
              'subformat=twoGbMaxExtentFlat'], 65536, True, True),
    ('vmdk', ['subformat=streamOptimized'], 65536, True, False),
    ('luks', ['key-secret=sec0,iter-time=1'], 65536, False, True),
]
SECRET = 'secret,id=sec0,data=open-sesame'


class Image:
    def __init__(self, blkio, rng, folder, kind):
        self.blkio, self.rng, self.folder = blkio, rng, folder
        self.fmt, options, self.block, self.checked, self.theirs = kind
        self.options = rng.choice(options)
        self.path = os.path.join(folder, 'image.' + self.fmt)
        # Sectors past a whole block too.
        self.size = rng.randrange(1, 40) * 262144 + rng.choice([0, 0, 512 * rng.randrange(512)])
        self.model = bytearray(self.size)
        self.done = 0

    def peer(self, program, *args, ok=(0,)):
        """ARGS with %s for the image; encrypted ones need more words for it."""
        if self.fmt != 'luks':
            args = [self.path if a == '%s' else self.fmt if a == '%f' else a for a in args]
        else:
            at = args.index('%f')
            args = [a for i, a in enumerate(args) if i not in (at - 1, at)]
            image = f'driver=luks,key-secret=sec0,file.filename={self.path}'
            args = [*args[:1], '--object', SECRET, '--image-opts', *args[1:]] if program == 'qemu-img' else \
                ['--object', SECRET, '--image-opts', *args]
            args = [image if a == '%s' else a for a in args]
        return images.run(program, *args, ok=ok)

    def create(self):
        if self.fmt == 'luks':  # what it holds at first is what zeros decrypt to
            self.ours([f'create luks {self.size} {self.path} {self.options}', self.opening(), f'zero 0 {self.size}'])
        else:
            images.create(self.blkio, self.rng, self.fmt, self.path, self.size, self.options)

    def requests(self, n):
        for _ in range(n):
            length = self.rng.choice([512, 4096, 70000, self.block, 3 * self.block, 2 << 20])
            length = min(self.rng.randrange(length) + 1 if self.rng.random() < 0.6 else length, self.size)
            offset = self.rng.randrange(self.size - length + 1)
            if self.rng.random() < 0.5:
                offset -= offset % self.block
            kind = self.rng.choice(['write', 'write', 'write', 'zero'])
            seed = self.rng.randrange(1, 250)
            self.model[offset:offset + length] = images.pattern(offset, length, seed if kind == 'write' else 0)
            self.done += 1
            yield kind, offset, length, seed

    def opening(self, more=''):
        return f"open {self.path} {self.fmt}{' key-secret=sec0' if self.fmt == 'luks' else ''}{more}"

    def ours(self, lines):
        out = images.run(self.blkio, data='\n'.join(lines) + '\n')
        if 'failed' in out:
            raise images.Failed(out + '\n'.join(lines))
        return out.splitlines()

    def turn_ours(self):
        lines, used = [self.opening()], []
        for kind, offset, length, seed in self.requests(self.rng.randrange(5, 60)):
            if any(offset < b and a < offset + length for a, b in used):
                lines.append('wait')
                used = []
            used.append((offset, offset + length))
            beside = '&' if self.rng.random() < 0.7 else ''
            tail = f' {seed}' if kind == 'write' else self.rng.choice(['', ' unmap'])
            lines.append(f'{beside}{kind} {offset} {length}{tail}')
        self.ours(lines + ['wait'])

    def turn_theirs(self):
        args = []
        for i, (kind, offset, length, seed) in enumerate(self.requests(self.rng.randrange(3, 20))):
            if kind == 'write':
                name = os.path.join(self.folder, f'data{i}')
                with open(name, 'wb') as f:
                    f.write(images.pattern(offset, length, seed))
                args += ['-c', f'write -s {name} {offset} {length}']
            else:
                args += ['-c', f'write -z {offset} {length}']
        out = self.peer('qemu-io', '-f', '%f', *args, '%s')
        if 'failed' in out:
            raise images.Failed(out)

    def verify(self):
        model = os.path.join(self.folder, 'model.raw')
        with open(model, 'wb') as f:
            f.write(self.model)
        if self.checked:
            self.peer('qemu-img', 'check', '-q', '-f', '%f', '%s')
        out = os.path.join(self.folder, 'out.raw')
        self.peer('qemu-img', 'convert', '-f', '%f', '-O', 'raw', '%s', out)
        images.run('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'raw', out, model)
        got = self.ours([self.opening(' ro'), f'read 0 {self.size}'])[1]
        if got != f'read {hashlib.md5(self.model).hexdigest()}':
            raise images.Failed('ours reads it wrong')


def one_round(blkio, rng, folder, kind):
    image = Image(blkio, rng, folder, kind)
    history = [image.options, str(image.size)]
    try:
        image.create()
        image.verify()
        for _ in range(rng.randrange(1, 4)):
            mine = not image.theirs or rng.random() < 0.6
            history.append('ours' if mine else 'theirs')
            image.turn_ours() if mine else image.turn_theirs()
            image.verify()
    except images.Failed as e:
        raise images.Failed(f'{history}: {e}') from e
    return image.done


if __name__ == '__main__':
    sys.exit(images.rounds(one_round, FORMATS))
