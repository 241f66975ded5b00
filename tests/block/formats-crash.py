#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of images that are killed at any moment: the image is never corrupt for the other program (space may be leaked),
and what was flushed is there. Arguments: see images.rounds()."""
import os
import sys

import images

# Format, options, whether the other program checks it.
FORMATS = [
    ('vdi', '', True),
    ('vpc', 'force_size=on', False),
    ('vhdx', 'block_size=1M', True),
    ('parallels', 'cluster_size=65536', True),
    ('qed', 'cluster_size=4096', True),
    ('qcow', '', False),
    ('vmdk', '', True),
    ('vmdk', 'zeroed_grain=on', True),
    ('vmdk', 'subformat=streamOptimized', True),
    ('vmdk', 'subformat=twoGbMaxExtentSparse', True),
]


def one_round(blkio, rng, folder, kind):
    fmt, options, checked = kind
    path = os.path.join(folder, 'image.' + fmt)
    size = 65536 * rng.randrange(20, 300)
    images.create(blkio, rng, fmt, path, size, options)
    sectors = images.Sectors(size >> 9)
    commands = images.script(rng, size, rng.choice([65536, 262144]), ['write'] * 7 + ['zero', 'flush'])
    done = images.write_until_killed(blkio, f'open {path} {fmt}', rng.random() ** 2 * 0.4 + 0.003, commands, sectors)
    if checked:
        images.run('qemu-img', 'check', '-q', '-f', fmt, path, ok=(0, 3))
    sectors.check(images.contents(fmt, path))
    return done


if __name__ == '__main__':
    sys.exit(images.rounds(one_round, FORMATS, 'writers killed'))
