#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""dump-guest-memory: each compressed format is unpacked by the library it is for and compared with the memory; virtual
addresses of an ELF file against the page tables."""
import ctypes
import ctypes.util
import os
import struct
import sys
import tempfile
import time
import zlib

import program
from program import Machine

PAGE = 4096
SIZE = 4 << 20


def library(name):
    path = ctypes.util.find_library(name)
    return ctypes.CDLL(path) if path else None


def unpack_lzo(data):
    lzo = library('lzo2')
    if not lzo:
        return None
    out, n = ctypes.create_string_buffer(PAGE), ctypes.c_size_t(PAGE)
    assert lzo.lzo1x_decompress_safe(data, ctypes.c_size_t(len(data)), out, ctypes.byref(n), None) == 0
    return out.raw[:n.value]


def unpack_snappy(data):
    snappy = library('snappy')
    if not snappy:
        return None
    out, n = ctypes.create_string_buffer(PAGE), ctypes.c_size_t(PAGE)
    assert snappy.snappy_uncompress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(n)) == 0
    return out.raw[:n.value]


UNPACK = {1: zlib.decompress, 2: unpack_lzo, 4: unpack_snappy}


def unflatten(data):
    """The file that a flattened one stands for."""
    assert data[:16] == b'makedumpfile\0\0\0\0' and struct.unpack('>qq', data[16:32]) == (1, 1)
    at, out = 4096, bytearray()
    while True:
        offset, size = struct.unpack('>qq', data[at:at + 16])
        at += 16
        if offset == -1:
            assert size == -1 and at == len(data)
            return bytes(out)
        out.extend(bytes(max(0, offset + size - len(out))))
        out[offset:offset + size] = data[at:at + size]
        at += size


def pages(data):
    """Frame number -> bytes."""
    assert data[:8] == b'KDUMP   ' and struct.unpack('<i', data[8:12])[0] == 6
    status, block, sub, bitmap = struct.unpack('<IiiI', data[424:440])
    notes, length, = struct.unpack('<QQ', data[PAGE + 48:PAGE + 64])
    assert block == PAGE and data[notes + 12:notes + 16] == b'CORE' and length >= 20 + 336
    start = (1 + sub) * PAGE
    bits = data[start:start + bitmap * PAGE // 2]
    assert bits == data[start + len(bits):start + 2 * len(bits)]
    frames = [n for n in range(len(bits) * 8) if bits[n // 8] >> n % 8 & 1]
    table, out = start + bitmap * PAGE, {}
    for i, frame in enumerate(frames):
        offset, size, flags = struct.unpack('<QII', data[table + i * 24:table + i * 24 + 16])
        packed = data[offset:offset + size]
        assert flags in (0, status) and len(packed) == size
        out[frame] = UNPACK[flags](packed) if flags else packed
        assert out[frame] is None or len(out[frame]) == PAGE
    return out


def contents():
    """Something of every kind: text, noise, runs, zeros."""
    text = b''.join(b'the quick brown fox %d ' % i * 3 for i in range(2000))
    return text[:20 * PAGE].ljust(20 * PAGE, b'x') + os.urandom(3 * PAGE) + b'\1' * PAGE + bytes(PAGE - 3) + b'abc' \
        + bytes(range(256)) * 48


def start(*options, rom=None):
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, 'contents')
    with open(path, 'wb') as f:
        f.write(contents())
    if rom:
        options += '-bios', os.path.join(folder.name, 'rom')
        with open(options[-1], 'wb') as f:
            f.write(rom)
    m = Machine('-m', '4', '-S', '-accel', 'tcg', '-device', f'loader,file={path},addr=0x100000,force-raw=on', *options)
    m.keep = folder
    m.negotiate()
    return m


def memory(m):
    path = os.path.join(m.keep.name, 'memory')
    m.command('pmemsave', val=0, size=SIZE, filename=path)
    with open(path, 'rb') as f:
        return f.read()


def formats():
    m = start()
    known = m.command('query-dump-guest-memory-capability')['return']['formats']
    assert {'elf', 'kdump-zlib', 'kdump-lzo', 'kdump-snappy', 'kdump-raw-zlib'} <= set(known), known
    expected = memory(m)
    for name in known:
        path = os.path.join(m.keep.name, name)
        answer = m.command('dump-guest-memory', paging=False, protocol='file:' + path, format=name)
        assert 'return' in answer, answer
        state = m.command('query-dump')['return']
        assert state['status'] == 'completed' and state['completed'] == state['total'] >= SIZE, state
        with open(path, 'rb') as f:
            data = f.read()
        if name == 'elf':
            continue
        assert len(data) < SIZE // 2, len(data)
        found = pages(data if 'raw' in name else unflatten(data))
        # What is for adapters, below 1 MiB, may be no memory.
        assert set(range(0xa0)) | set(range(0x100, SIZE // PAGE)) <= set(found)
        for frame in range(SIZE // PAGE):
            assert found.get(frame) in (None, expected[frame * PAGE:(frame + 1) * PAGE]), (name, frame)
    m.quit()


def detached():
    m = start()
    path = os.path.join(m.keep.name, 'dump')
    assert 'return' in m.command('dump-guest-memory', paging=False, protocol='file:' + path, format='kdump-zlib',
                                 detach=True)
    end = time.monotonic() + 30
    while not [e for e in m.events if e['event'] == 'DUMP_COMPLETED']:
        assert time.monotonic() < end
        m.command('query-dump')
    event, = [e for e in m.events if e['event'] == 'DUMP_COMPLETED']
    assert event['data']['result']['status'] == 'completed', event
    pages(unflatten(open(path, 'rb').read()))
    m.quit()


def segments(path):
    """(virtual, physical, file offset, size) of a core file."""
    with open(path, 'rb') as f:
        data = f.read()
    count = struct.unpack('<H', data[56:58])[0]
    heads = [struct.unpack('<IIQQQQQQ', data[64 + i * 56:120 + i * 56]) for i in range(count)]
    return data, [(h[3], h[4], h[2], h[5]) for h in heads if h[0] == 1]


def part():
    """begin and length."""
    m = start()
    path = os.path.join(m.keep.name, 'part')
    assert 'return' in m.command('dump-guest-memory', paging=False, protocol='file:' + path, begin=0x100000,
                                 length=0x3000)
    data, found = segments(path)
    assert len(found) == 1 and found[0][1] == 0x100000 and found[0][3] == 0x3000, found
    assert data[found[0][2]:][:0x3000] == memory(m)[0x100000:0x103000]
    for arguments, text in (({'begin': 0}, "'length' is missing"), ({'begin': 0, 'length': 1, 'format': 'kdump-zlib'},
                                                                    "kdump-compressed format doesn't support")):
        answer = m.command('dump-guest-memory', paging=False, protocol='file:' + path, **arguments)
        assert text in answer['error']['desc'], answer
    m.quit()


def paging_rom():
    """Goes to protected mode with paging: addresses below 4 MiB one to one, those from 1 GiB on two pages of 1 MiB."""
    real = bytes.fromhex('fa 2e660f01168000'               # lgdt cs:[0x80]
                         '0f20c0 0c01 0f22c0'              # protected mode
                         '66ea20000f000800')               # to what follows
    paging = bytes.fromhex('66b81000 8ed8'                 # ds: all of memory
                           'c70500002000 03102000'         # directory[0] = 0x201003
                           'c70500042000 03202000'         # directory[256] = 0x202003
                           'bf00102000 b803000000 b900040000'
                           '8907 83c704 0500100000 e2f4'   # 1024 pages from 0
                           'c70500202000 03001000'         # 0x40000000 -> 0x100000
                           'c70504202000 03101000'         # 0x40001000 -> 0x101000
                           'b800002000 0f22d8'             # cr3
                           '0f20c0 0d00000080 0f22c0'      # paging
                           'f4 ebfd')
    table = struct.pack('<HIH', 23, 0xf0088, 0) + bytes(8) + bytes.fromhex('ffff0000009acf00 ffff00000092cf00')
    rom = (real.ljust(0x20, b'\x90') + paging).ljust(0x80, b'\xf4') + table
    return bytes(0x10000) + rom.ljust(0xfff0, b'\xf4') + bytes.fromhex('ea000000f0').ljust(16, b'\xf4')


def paged():
    """Memory that is seen at other addresses; and no paging yet."""
    m = start(rom=paging_rom())
    path = os.path.join(m.keep.name, 'paged')
    assert 'return' in m.command('dump-guest-memory', paging=True, protocol='file:' + path)
    _, found = segments(path)
    assert all(virtual == 0 for virtual, _, _, _ in found), found
    m.command('cont')
    end = time.monotonic() + 20
    while 'CR3=00200000' not in m.hmp('info registers') or 'HLT=1' not in m.hmp('info registers'):
        assert time.monotonic() < end, m.hmp('info registers')
    m.command('stop')
    assert 'return' in m.command('dump-guest-memory', paging=True, protocol='file:' + path)
    data, found = segments(path)
    high, = [s for s in found if s[0] == 0x40000000]
    assert high[1] == 0x100000 and high[3] == 0x2000, high
    assert data[high[2]:][:0x2000] == memory(m)[0x100000:0x102000]
    assert [s for s in found if s[0] == s[1] == 0], found
    m.quit()


sys.exit(program.main([formats, detached, part, paged]))
