#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders as FAT disks: the file system checker finds nothing, and the files read out of the disk are those of the folder;
what is written into the disk is in the folder, and nothing is anywhere else. Arguments: the programs "vitrine-img" and
"vitrine-io". Skipped without fsck.fat and mtools."""
import os
import random
import shutil
import struct
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


def contents(folder):
    """Path -> content; None: a folder."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            full = os.path.join(path, name)
            key = os.path.relpath(full, folder)
            if os.path.islink(full):
                found[key] = 'link to ' + os.readlink(full)
            elif name in folders:
                found[key] = None
            else:
                with open(full, 'rb') as f:
                    found[key] = f.read()
    return found


def expect(folder, wanted, what):
    found = contents(folder)
    if found != wanted:
        sys.exit(f'{what}: {[k for k in found.keys() | wanted.keys() if found.get(k, 0) != wanted.get(k, 0)]} differ')


def put(path, data):
    with open(path, 'wb') as f:
        f.write(data)
    return path


class Disk:
    """What a guest sees of FOLDER, changed by mtools, and then written as a guest would."""

    def __init__(self, img, work, options, start):
        self.img, self.folder, self.file = img, os.path.join(work, 'folder'), os.path.join(work, 'disk')
        self.name = f'fat:{options}rw:{self.folder}'
        self.at = f'{self.file}@@{start * 512}'
        self.load()

    def load(self):
        run(self.img, 'convert', '-O', 'raw', self.name.replace('rw:', ''), self.file)

    def tool(self, name, *args):
        run(name, '-i', self.at, *args)

    def write(self, ok=0):
        return run(self.img, 'convert', '-n', '-f', 'raw', '-O', 'raw', self.file, self.name, ok=(ok,))

    def patch(self, old, new):
        with open(self.file, 'r+b') as f:
            data = f.read()
            at = data.index(old)
            while at >= 0:
                f.seek(at)
                f.write(new)
                at = data.find(old, at + 1)


def writes(img, io, work, rng, every):
    kinds = [('', 63, 200000), ('floppy:', 0, 20000), ('32:', 63, 200000), ('12:', 63, 20000)]
    for options, start, most in kinds if every else kinds[:2]:
        folder = os.path.join(work, 'folder')
        os.makedirs(folder + '/sub/deep')
        os.mkdir(folder + '/other')
        for name in ('KEEP.TXT', 'gone.txt', 'A long name here.bin', 'sub/inner file', 'sub/deep/x', 'other/y', 'grows', 'MOVES'):
            put(f'{folder}/{name}', rng.randbytes(rng.randrange(1, most)))
        outside = put(work + '/outside', b'mine')
        os.symlink(outside, folder + '/link')
        os.chmod(folder + '/grows', 0o640)
        wanted = contents(folder)
        disk = Disk(img, work, options, start)
        disk.write()  # what is there anyway
        expect(folder, wanted, 'nothing changed')
        new, more = rng.randbytes(most), rng.randbytes(most + 5000)
        disk.tool('mcopy', put(work + '/new', new), '::A new file.with.dots')
        disk.tool('mcopy', '-o', put(work + '/more', more), '::grows')
        disk.tool('mdel', '::gone.txt')
        disk.tool('mmd', '::made', '::made/in it')
        disk.tool('mcopy', work + '/new', '::made/in it/deep file')
        disk.tool('mmove', '::MOVES', '::made/')
        disk.tool('mren', '::sub', '::renamed folder')
        disk.tool('mdeltree', '::other')
        disk.write()
        wanted.update({'A new file.with.dots': new, 'grows': more, 'made': None, 'made/in it': None, 'made/in it/deep file': new,
                       'made/MOVES': wanted.pop('MOVES'), 'renamed folder': wanted.pop('sub')})
        for name in ('inner file', 'deep', 'deep/x'):
            wanted['renamed folder/' + name] = wanted.pop('sub/' + name)
        for name in ('gone.txt', 'other', 'other/y'):
            del wanted[name]
        expect(folder, wanted, 'changes')
        assert os.stat(folder + '/grows').st_mode & 0o777 == 0o640
        # A file becomes a folder and a folder a file.
        disk.load()
        disk.tool('mdel', '::grows')
        disk.tool('mmd', '::grows')
        disk.tool('mcopy', work + '/new', '::grows/x')
        disk.tool('mdeltree', '::made')
        disk.tool('mcopy', work + '/new', '::made')
        disk.write()
        wanted = {k: v for k, v in wanted.items() if not k.startswith('made/')}
        wanted.update({'made': new, 'grows': None, 'grows/x': new})
        expect(folder, wanted, 'other kinds')
        # The copies of the FAT differ, a chain leads into itself, files share clusters: nothing of it reaches the folder.
        for harm in ('fat', 'loop', 'share', 'boot'):
            disk.load()
            disk.tool('mcopy', work + '/new', '::not yet')
            damage(disk, start, harm)
            said = disk.write()
            if 'damaged' not in said:
                sys.exit(f'{harm}: {said}')
            expect(folder, wanted, harm)
        # Names that lead elsewhere, and one that the guest does not see.
        for name in ('../', 'x/y', 'a\\b'):
            disk.load()
            disk.tool('mcopy', work + '/new', '::abc is a name')
            disk.patch('abc'.encode('utf-16-le'), name.encode('utf-16-le'))
            disk.write()
            expect(folder, wanted, name)
        disk.load()
        disk.tool('mcopy', work + '/new', '::link')
        disk.write()
        expect(folder, wanted, 'a link')
        if os.path.exists(work + '/ is a name') or contents(work)['outside'] != b'mine':
            sys.exit('something outside of the folder was written')
        if 'floppy' in options:
            meanwhile(disk, io, work, wanted)
        shutil.rmtree(folder)


def damage(disk, start, harm):
    with open(disk.file, 'r+b') as f:
        f.seek(start * 512)
        boot = f.read(512)
        reserved, = struct.unpack_from('<H', boot, 14)
        sectors = struct.unpack_from('<H', boot, 22)[0] or struct.unpack_from('<I', boot, 36)[0]
        bits = 32 if b'FAT32' in boot else 16 if b'FAT16' in boot else 12
        fats = [(start + reserved + i * sectors) * 512 for i in range(2)]
        if harm == 'boot':
            f.seek(start * 512 + 13)
            f.write(bytes([boot[13] * 2 % 128 or 1]))
            return
        for n, fat in enumerate(fats):
            f.seek(fat)
            table = bytearray(f.read(sectors * 512))
            if harm == 'fat':
                if n:
                    table[40] ^= 0x11
            else:  # cluster 4 and cluster 5 go on at 2 (a loop), or at 7 both
                to = 2 if harm == 'loop' else 7
                for cluster in (4, 5) if harm == 'share' else (2, 4):
                    if bits == 12:
                        at = cluster + cluster // 2
                        value, = struct.unpack_from('<H', table, at)
                        value = value & 0xf | to << 4 if cluster % 2 else value & 0xf000 | to
                        struct.pack_into('<H', table, at, value)
                    else:
                        struct.pack_into('<H' if bits == 16 else '<I', table, cluster * bits // 8, to)
            f.seek(fat)
            f.write(table)


def meanwhile(disk, io, work, wanted):
    """A folder becomes a link while the guest has it."""
    victim = work + '/victim'
    os.mkdir(victim)
    disk.load()
    disk.tool('mcopy', work + '/new', '::renamed folder/deep/evil')
    program = subprocess.Popen([io, '-f', 'raw', disk.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    program.stdin.write('read 0 512\n')
    program.stdin.flush()
    program.stdout.readline()
    deep = disk.folder + '/renamed folder/deep'
    os.rename(deep, work + '/kept')
    os.symlink(victim, deep)
    said, _ = program.communicate(f'write -q -s {disk.file} 0 {os.path.getsize(disk.file)}\nflush\nquit\n')
    if os.listdir(victim) or 'flush failed' not in said:
        sys.exit(f'{os.listdir(victim)} behind a link: {said}')
    os.unlink(deep)
    os.rename(work + '/kept', deep)
    expect(disk.folder, wanted, 'a folder that is a link')


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
    writes(img, sys.argv[2], work, rng, '--all' in sys.argv)
    shutil.rmtree(work)
    return 0


if __name__ == '__main__':
    sys.exit(main())
