#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""LUKS images of every cipher, mode and hash, written by one program and read by another, keyslots changed; cryptsetup
looks at them too where it is installed. Arguments: vitrine-img, vitrine-io."""
import os
import random
import shutil
import subprocess
import sys
import tempfile

# Keys of 192 bits: see alone().
CIPHERS = ['aes-128', 'aes-256', 'cast5-128', 'serpent-128', 'serpent-256', 'twofish-128', 'twofish-256']
HASHES = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160']
MODES = ['cbc-plain', 'cbc-plain64', 'cbc-essiv', 'xts-plain64', 'xts-plain', 'ecb-plain64', 'ctr-plain64']
SECRETS = [f'--object=secret,id={name},data={text}' for name, text in (('s', 'first pass'), ('t', 'second'), ('w', 'wrong'))]


class Bench:
    def __init__(self, img, io):
        self.programs = {True: (img, io), False: (shutil.which('qemu-img'), shutil.which('qemu-io'))}
        self.cryptsetup = shutil.which('cryptsetup') or shutil.which('cryptsetup', path='/sbin:/usr/sbin')

    def attempt(self, *args, data=None):
        """On a busy host the peer cannot measure how long a round takes, sometimes."""
        for _ in range(20):
            p = subprocess.run(args, capture_output=True, timeout=60, input=data)
            if b'CPU usage' not in p.stderr:
                break
        return p

    def run(self, *args, ok=True, data=None):
        p = self.attempt(*args, data=data)
        assert (p.returncode == 0) == ok, (args, p.returncode, p.stdout, p.stderr)
        return (p.stdout + p.stderr).decode()

    def img(self, ours, command, *args, ok=True):
        return self.run(self.programs[ours][0], command, *SECRETS, *args, ok=ok)

    def io(self, ours, image, *commands, secret='s', ok=True):
        words = [w for c in commands for w in ('-c', c)]
        out = self.run(self.programs[ours][1], *SECRETS, *words, '--image-opts',
                       f'driver=luks,key-secret={secret},file.filename={image}', ok=ok)
        assert 'failed' not in out or not ok, out
        return out

    def opens(self, image, password, ok=True):
        """By cryptsetup, when it is there."""
        if self.cryptsetup:
            self.run(self.cryptsetup, 'luksOpen', '--test-passphrase', '-d', '-', image, data=password.encode(), ok=ok)


def forms(bench, rng, image):
    """By turns one makes and writes it and the other reads it; what one refuses, the other refuses."""
    kinds = [(c, m, rng.choice(HASHES)) for c in CIPHERS for m in MODES]
    kinds += [('aes-256', 'xts-plain64', h) for h in HASHES]
    made = 0
    for cipher, mode, hash_ in rng.sample(kinds, 4) + kinds[-len(HASHES):]:
        mode, ivgen = mode.split('-')
        options = f'key-secret=s,iter-time=10,cipher-alg={cipher},cipher-mode={mode},ivgen-alg={ivgen},hash-alg={hash_}'
        if ivgen == 'essiv':
            options += ',ivgen-hash-alg=sha256'
        maker = rng.random() < 0.5
        command = ['create', '-q', *SECRETS, '-f', 'luks', '-o', options, image, '1M']
        status = [bench.attempt(bench.programs[who][0], *command) for who in (not maker, maker)]
        if status[1].returncode:
            assert status[0].returncode, (options, maker, status)
            continue
        made += 1
        bench.io(maker, image, 'write -P 0x5a 0 1M', 'write -P 7 65536 5120')
        for reader in True, False:
            bench.io(reader, image, 'read -P 0x5a 0 64k', 'read -P 7 65536 5120', 'read -P 0x5a 70656 100k')
        bench.io(not maker, image, 'write -P 9 512 1536')
        bench.io(maker, image, 'read -P 9 512 1536', 'read -P 0x5a 0 512')
        if cipher.startswith('aes') and mode in ('cbc', 'xts'):
            bench.opens(image, 'first pass')
        bench.io(True, image, 'read 0 512', secret='w', ok=False)
    assert made > 5, made


def alone(bench, rng, image):
    """What the peer stops at."""
    for cipher in 'aes-192', 'serpent-192':
        for mode in 'cbc', 'ecb', 'ctr':
            bench.img(True, 'create', '-q', '-f', 'luks', '-o', f'key-secret=s,iter-time=10,cipher-alg={cipher},cipher-mode={mode}',
                      image, '1M')
            bench.io(True, image, 'write -P 0x5a 0 1M')
            bench.io(True, image, 'read -P 0x5a 0 1M')
            if cipher == 'aes-192' and mode == 'cbc':
                bench.opens(image, 'first pass')


def keyslots(bench, rng, image):
    for maker in True, False:
        bench.img(maker, 'create', '-q', '-f', 'luks', '-o', 'key-secret=s,iter-time=10', image, '1M')
        bench.io(maker, image, 'write -P 3 0 1M')
        opts = ['--image-opts', f'driver=luks,key-secret=s,file.filename={image}']
        bench.img(not maker, 'amend', '-o', 'state=active,new-secret=t,iter-time=10', *opts)
        for who in True, False:
            for secret in 's', 't':
                bench.io(who, image, 'read -P 3 0 1M', secret=secret)
        bench.img(maker, 'amend', '-o', 'state=inactive,old-secret=t', *opts)
        for who in True, False:
            bench.io(who, image, 'read 0 512', secret='t', ok=False)
            bench.io(who, image, 'read -P 3 0 1M')
        bench.opens(image, 'second', ok=False)
        # The last password stays, unless it is insisted on.
        for who in True, False:
            bench.img(who, 'amend', '-o', 'state=inactive,old-secret=s', *opts, ok=False)
        bench.img(maker, 'amend', '-o', 'state=active,new-secret=t,keyslot=7,iter-time=10', *opts)
        bench.img(maker, 'amend', '-o', 'state=inactive,keyslot=0', *opts)
        for who in True, False:
            bench.io(who, image, 'read -P 3 0 1M', secret='t')
        bench.opens(image, 'second')


def detached(bench, rng, image):
    data = image + '.data'
    bench.img(True, 'create', '-q', '-f', 'luks', '-o', 'key-secret=s,iter-time=10,detached-header=on', image, '1M')
    with open(data, 'wb') as f:
        f.truncate(1 << 20)
    volume = ['--image-opts', f'driver=luks,key-secret=s,file.filename={data},header.driver=file,header.filename={image}']
    out = bench.run(bench.programs[True][1], *SECRETS, '-c', 'write -P 5 0 1M', '-c', 'read -P 5 4096 8192', *volume)
    assert 'failed' not in out, out
    with open(data, 'rb') as f:
        content = f.read()
    assert len(content) == 1 << 20 and content[:512] != bytes([5]) * 512
    bench.opens(image, 'first pass')
    # The same as an image in one piece is for others: the header takes room, and data follows.
    whole = image + '.whole'
    with open(image, 'rb') as f, open(whole, 'wb') as g:
        header = bytearray(f.read())
        header[104:108] = (len(header) // 512).to_bytes(4, 'big')
        g.write(header + content)
    bench.io(False, whole, 'read -P 5 0 1M')


def main():
    bench = Bench(*sys.argv[1:3])
    if not all(bench.programs[False]):
        print('the peer is not installed')
        return 77
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as folder:
        for test in forms, alone, keyslots, detached:
            test(bench, random.Random(seed), os.path.join(folder, test.__name__))
    return 0


if __name__ == '__main__':
    sys.exit(main())
