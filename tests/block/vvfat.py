#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders as FAT disks: the file system checker finds nothing, and the files read out of the disk are those of the folder.
Argument: the program "vitrine-img". Skipped without fsck.fat and mtools."""
import os
import random
import shutil
import subprocess
import sys
import tempfile


def run(*argv, ok=(0,)):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in ok:
        sys.exit(f"{' '.join(argv)}: {done.stdout}")
    return done.stdout


def make_folder(folder, rng, most):
    names = ['README.TXT', 'lower.c', 'A rather long name.text', 'A rather long name too.text', 'ünï cödé.txt', '.hidden', 'a.b.c.d',
             'empty']
    for sub in ('', 'sub', 'sub/deeper folder', 'many'):
        os.makedirs(os.path.join(folder, sub), exist_ok=True)
        for name in names + ([f'file number {i}' for i in range(60)] if sub == 'many' else []):
            with open(os.path.join(folder, sub, name), 'wb') as f:
                f.write(rng.randbytes(0 if name == 'empty' else rng.randrange(most)))
    os.symlink('/etc/passwd', os.path.join(folder, 'link'))


def compare(folder, out):
    for path, _, files in os.walk(folder):
        for name in files:
            mine = os.path.join(path, name)
            if os.path.islink(mine):
                continue
            with open(mine, 'rb') as a, open(os.path.join(out, os.path.relpath(mine, folder)), 'rb') as b:
                if a.read() != b.read():
                    sys.exit(f'{mine} differs')
    if os.path.exists(os.path.join(out, 'link')):
        sys.exit('a link was followed')


def main():
    img, work = sys.argv[1], tempfile.mkdtemp(prefix='vvfat-')
    rng = random.Random(1)
    if not shutil.which('fsck.fat') or not shutil.which('mcopy'):
        print('fsck.fat or mtools is not installed')
        return 77
    for prefix, most, start in (('fat:', 90000, 63), ('fat:12:', 9000, 63), ('fat:32:', 90000, 63), ('fat:floppy:', 9000, 0),
                                ('fat:floppy:16:', 9000, 0), ('fat:floppy:12:', 3000, 0)):
        folder, disk, out = (os.path.join(work, n) for n in ('folder', 'disk', 'out'))
        make_folder(folder, rng, most)
        os.mkdir(out)
        run(img, 'convert', '-O', 'raw', prefix + folder, disk)
        with open(disk, 'r+b') as f:
            data = f.read()
            f.seek(0)
            f.truncate()
            f.write(data[start * 512:])
        run('fsck.fat', '-n', disk)
        run('mcopy', '-s', '-n', '-i', disk, '::*', out + '/')
        compare(folder, out)
        shutil.rmtree(folder)
        shutil.rmtree(out)
        os.unlink(disk)
    shutil.rmtree(work)
    return 0


if __name__ == '__main__':
    sys.exit(main())
