#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""-plugin: what a small guest executes is counted, by callbacks and by counters; and what is refused."""
import os
import subprocess
import sys
import tempfile

import program

PLUGIN = os.environ['PLUGIN']
# At the reset vector: jmp f000:0. There: xor ax,ax; mov ds,ax; mov cx,1000; l: inc word [0x500]; loop l; mov al,16;
# out 0xf4,al; hlt.
CODE = bytes.fromhex('31c0 8ed8 b9e803 ff060005 e2fa b010 e6f4 f4')


def run_guest(folder, *options):
    rom = os.path.join(folder, 'rom')
    with open(rom, 'wb') as f:
        f.write(bytes(0x10000) + CODE.ljust(0xfff0, b'\xf4') + bytes.fromhex('ea000000f0').ljust(16, b'\xf4'))
    return subprocess.run([program.PROGRAM, *program.BASE, '-bios', rom, '-device',
                           'isa-debug-exit,iobase=0xf4,iosize=4', *options], capture_output=True, text=True, timeout=60, check=False)


def counts():
    with tempfile.TemporaryDirectory() as folder:
        path, log = os.path.join(folder, 'counts'), os.path.join(folder, 'log')
        p = run_guest(folder, '-accel', 'tcg', '-smp', '2', '-plugin', f'file={PLUGIN},report={path}', '-d', 'plugin',
                      '-D', log)
        assert p.returncode == 33, (p.returncode, p.stderr)
        with open(path) as f:
            n = {name: int(value) for name, value in (line.split() for line in f)}
        with open(log) as f:
            assert 'plugin-count: done' in f.read()
    assert n['begun'] == n['ended'] == 2, n
    assert 2006 <= n['insns'] <= 2008 and n['insns'] == n['counted-insns'], n
    assert 1001 <= n['blocks'] <= n['insns'] and n['blocks'] == n['counted-blocks'], n
    assert n['insns'] <= n['in-blocks'] <= n['insns'] + 10, n
    assert 1000 <= n['stores'] <= 1001 and n['stores'] <= n['accesses'] == n['counted-accesses'], n
    assert n['first'] == 0xea << 56 | 0xfffffff0, hex(n['first'])


def refused():
    with tempfile.TemporaryDirectory() as folder:
        for options, text in ((['-plugin', 'file=/nowhere.so'], 'Could not load plugin /nowhere.so'),
                              (['-plugin', f'{PLUGIN},colour=red'], 'returned error code 2'),
                              (['-accel', 'qtest', '-plugin', f'file={PLUGIN}'], '-plugin needs accel=tcg')):
            p = run_guest(folder, *options)
            assert p.returncode == 1 and text in p.stderr, (options, p.returncode, p.stderr)


sys.exit(program.main([counts, refused]))
