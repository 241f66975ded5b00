#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of qcow2 images that are killed at any moment: the image is never corrupt (clusters may be leaked), and what was
flushed is there. Arguments: see images.rounds()."""
import os
import sys

import images


def one_round(blkio, rng, folder, kind):
    path = os.path.join(folder, 'image.qcow2')
    extended = rng.random() < 0.25
    cluster = 65536 if extended else rng.choice([512, 4096, 65536])
    size = cluster * rng.randrange(20, 200)
    options = f'cluster_size={cluster}' + rng.choice(['', ',lazy_refcounts=on', ',refcount_bits=8']) + \
        (',extended_l2=on' if extended else '')
    images.create(blkio, rng, 'qcow2', path, size, options)
    sectors = images.Sectors(size >> 9)
    if rng.random() < 0.5:  # something to copy, some of it shared
        images.run(blkio, data=f'open {path}\nwrite 0 {size // 2 & ~511} 251\nsnap create base\n')
        sectors.change(0, size // 2 & ~511, 251)
        sectors.flushed(sectors.pending())
    commands = images.script(rng, size, cluster, ['write'] * 6 + ['zero', 'discard', 'wc', 'flush'])
    done = images.write_until_killed(blkio, f'open {path}', rng.random() ** 2 * 0.5 + 0.003, commands, sectors)
    if 'lazy' in options:
        # Opening for writing repairs.
        images.run(blkio, data=f'open {path}\n')
    images.run('qemu-img', 'check', '-q', path, ok=(0, 3))
    sectors.check(images.contents('qcow2', path))
    return done


if __name__ == '__main__':
    sys.exit(images.rounds(one_round, what='writers killed'))
