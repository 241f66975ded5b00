#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as other programs leave them: a VHDX whose log was not written back, a differencing VHD, VMDKs of ESX, split VMDKs,
and VMDKs that name files they should not. Argument: the program "vitrine-img". The other program reads them too where it is
installed and can."""
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

IMG = sys.argv[1]
PEER = shutil.which('qemu-img')
RNG = random.Random(1)


def run(*argv, ok=(0,)):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in ok:
        sys.exit(f"{' '.join(argv)}: {done.stdout}")
    return done.stdout


def expect(fmt, path, data, peer=True):
    with open('raw', 'wb') as f:
        f.write(data)
    run(IMG, 'compare', '-f', fmt, '-F', 'raw', path, 'raw')
    if PEER and peer:
        run(PEER, 'compare', '-f', fmt, '-F', 'raw', path, 'raw')


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_crc(data, at=4):
    data = data[:at] + bytes(4) + data[at + 4:]
    return data[:at] + struct.pack('<I', crc32c(data)) + data[at + 4:]


def log_entry(guid, number, tail, sectors, size):
    """SECTORS: file offset -> 4,096 bytes."""
    descriptors, data = b'', b''
    for offset, content in sectors.items():
        descriptors += struct.pack('<4s4s8sQQ', b'desc', content[-4:], content[:8], offset, number)
        data += b'data' + struct.pack('<I', number >> 32) + content[8:-4] + struct.pack('<I', number & 0xffffffff)
    length = 4096 + len(data)
    head = struct.pack('<4sIIIQII16sQQ', b'loge', 0, length, tail, number, len(sectors), 0, guid, size, size)
    return with_crc((head + descriptors).ljust(4096, b'\0') + data)


def vhdx_log():
    run(IMG, 'create', '-q', '-f', 'vhdx', '-o', 'block_size=1M', 'log.vhdx', '8M')
    content = RNG.randbytes(1 << 20)
    with open('log.vhdx', 'r+b') as f:
        size = f.seek(0, 2)
        f.write(content)  # where a block is that nothing names yet
        f.seek(2 << 20)
        table = bytearray(f.read(4096))
        guid = RNG.randbytes(16)
        stale = bytes(table)
        table[8:16] = struct.pack('<Q', size | 6)
        first = log_entry(guid, 7, 0, {2 << 20: stale}, size + len(content))
        second = log_entry(guid, 8, 0, {2 << 20: bytes(table)}, size + len(content))
        f.seek(1 << 20)
        f.write(first + second)
        for i in range(2):
            f.seek((64 << 10) << i)
            header = bytearray(f.read(4096))
            header[8:16] = struct.pack('<Q', 10 + i)
            header[48:64] = guid
            f.seek((64 << 10) << i)
            f.write(with_crc(bytes(header)))
    shutil.copy('log.vhdx', 'peer.vhdx')
    said = run(IMG, 'info', '-f', 'vhdx', 'log.vhdx', ok=(1,))
    if 'contains a log that needs to be replayed' not in said:
        sys.exit(said)
    run(IMG, 'check', '-r', 'all', '-f', 'vhdx', 'log.vhdx')
    data = bytes(1 << 20) + content + bytes(6 << 20)
    expect('vhdx', 'log.vhdx', data)
    if PEER:
        run(PEER, 'check', '-r', 'all', '-f', 'vhdx', 'peer.vhdx')
        expect('vhdx', 'peer.vhdx', data)


def vpc_sum(data, at):
    data = data[:at] + bytes(4) + data[at + 4:]
    return data[:at] + struct.pack('>I', ~sum(data) & 0xffffffff) + data[at + 4:]


def vpc_differencing():
    size = 6 << 20
    run(IMG, 'create', '-q', '-f', 'vpc', '-o', 'force_size=on', 'parent.vhd', str(size))
    base = bytearray(RNG.randbytes(size))
    with open('raw', 'wb') as f:
        f.write(base)
    run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'vpc', 'raw', 'parent.vhd')
    with open('parent.vhd', 'rb') as f:
        footer = bytearray(f.read(512))
    footer[60:64] = struct.pack('>I', 4)
    footer = vpc_sum(bytes(footer), 64)
    name = 'parent.vhd'
    header = bytearray(1024)
    header[:8] = b'cxsparse'
    header[8:16] = b'\xff' * 8
    header[16:36] = struct.pack('>QIII', 1536, 0x10000, 3, 2 << 20)
    header[64:64 + 2 * len(name)] = name.encode('utf-16-be')
    locator = ('.\\' + name).encode('utf-16-le')
    header[576:600] = struct.pack('>4sIIIQ', b'W2ru', 512, len(locator), 0, 2048)
    table = struct.pack('>III', 0xffffffff, 3072 // 512, 0xffffffff).ljust(512, b'\xff')
    bitmap, block = bytearray(512), bytearray(2 << 20)
    for sector in [0, 1, 2, 9, 300, 301, 4095]:
        bitmap[sector // 8] |= 0x80 >> sector % 8
        content = RNG.randbytes(512)
        block[sector * 512:sector * 512 + 512] = content
        base[(2 << 20) + sector * 512:(2 << 20) + sector * 512 + 512] = content
    with open('child.vhd', 'wb') as f:
        f.write(footer + vpc_sum(bytes(header), 36) + table + locator.ljust(1024, b'\0') + bitmap + block + footer)
    expect('vpc', 'child.vhd', bytes(base), peer=False)


def vmdk_esx():
    sectors = 204800
    with open('esx-s.vmdk', 'wb') as f:
        f.write((b'COWD' + struct.pack('<IIIIII', 1, 3, sectors, 1, 4, 50)).ljust(4096, b'\0'))
    with open('esx.vmdk', 'w', encoding='ascii') as f:
        f.write('# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="vmfsSparse"\n\n'
                f'RW {sectors} VMFSSPARSE "esx-s.vmdk"\n')
    data = bytearray(sectors * 512)
    for _ in range(20):
        at = RNG.randrange(sectors - 200) * 512
        data[at:at + 512 * 100] = RNG.randbytes(512 * 100)
    with open('raw', 'wb') as f:
        f.write(data)
    run(IMG, 'convert', '-n', '-f', 'raw', '-O', 'vmdk', 'raw', 'esx.vmdk')
    expect('vmdk', 'esx.vmdk', data, peer=False)  # which takes it for twice as big
    run(IMG, 'check', '-f', 'vmdk', 'esx.vmdk')


def vmdk_split():
    size = 5 << 30
    with open('sparse', 'wb') as f:
        f.truncate(size)
        for at in ((2 << 30) - 100000, (4 << 30) - 512, size - 70000):
            f.seek(at)
            f.write(RNG.randbytes(70000))
    for subformat in ('twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'):
        run(IMG, 'convert', '-f', 'raw', '-O', 'vmdk', '-o', f'subformat={subformat}', 'sparse', 'split.vmdk')
        for tool in (IMG, PEER) if PEER else (IMG,):
            run(tool, 'compare', '-f', 'vmdk', '-F', 'raw', 'split.vmdk', 'sparse')
            run(tool, 'check', '-f', 'vmdk', 'split.vmdk')
        for name in os.listdir('.'):
            if name.startswith('split'):
                os.unlink(name)


def se_sparse(sectors, grains, backing):
    """An extent of SECTORS with GRAINS: number -> 4,096 bytes, or a type without data."""
    tables = -(-sectors // 32768)
    n = sum(isinstance(g, bytes) for g in grains.values())
    at = {'directory': 4096, 'tables': 8192, 'grains': 8192 + 64 * tables}
    header = {0: 0xcafebabe, 8: 0x200000001, 16: sectors, 24: 8, 32: 64, 80: 1, 88: 1, 96: 2, 104: 2, 112: 2048, 120: 2048,
              128: at['directory'], 136: 64, 144: at['tables'], 152: 64 * tables, 160: at['grains'], 168: 0,
              176: at['grains'], 184: 0, 192: at['grains'], 200: n * 8}
    with open('se-s.vmdk', 'wb') as f:
        f.truncate(at['grains'] * 512)
        for place, value in header.items():
            f.seek(place)
            f.write(struct.pack('<Q', value))
        f.seek(512)
        f.write(struct.pack('<Q', 0xcafecafe))
        numbers, stored = {}, 0
        for grain, content in sorted(grains.items(), reverse=True):
            table = numbers.setdefault(grain // 4096, len(numbers))
            entry = content << 60 if isinstance(content, int) else 3 << 60 | (stored & 0xfff) << 48 | stored >> 12
            f.seek((at['directory'] * 512) + 8 * (grain // 4096))
            f.write(struct.pack('<Q', 1 << 60 | table))
            f.seek((at['tables'] + 64 * table) * 512 + 8 * (grain % 4096))
            f.write(struct.pack('<Q', entry))
            if isinstance(content, bytes):
                f.seek(at['grains'] * 512 + 4096 * stored)
                f.write(content)
                stored += 1
    with open('se.vmdk', 'w', encoding='ascii') as f:
        f.write('# Disk DescriptorFile\nversion=1\nCID=12345678\n'
                + (f'parentCID={backing[1]}\ncreateType="seSparse"\nparentFileNameHint="{backing[0]}"\n' if backing else
                   'parentCID=ffffffff\ncreateType="seSparse"\n') + f'\nRW {sectors} SESPARSE "se-s.vmdk"\n')


def expect_beginning(path, data):
    """The other program takes such images for twice as big."""
    if not PEER:
        return
    run(PEER, 'convert', '-f', 'vmdk', '-O', 'raw', path, 'peer-raw')
    with open('peer-raw', 'rb') as f:
        if f.read(len(data)) != data:
            sys.exit(f'{path} is another for the other program')


def vmdk_se():
    sectors = 163840 + 24
    grains = {n: RNG.randbytes(4096) for n in [0, 1, 5, 4095, 4096, 9999, sectors // 8 - 1, *range(12000, 17000)]}
    grains[2], grains[4097] = 1, 2
    data = bytearray(sectors * 512)
    for n, content in grains.items():
        if isinstance(content, bytes):
            data[n * 4096:n * 4096 + 4096] = content
    se_sparse(sectors, grains, None)
    expect('vmdk', 'se.vmdk', data, peer=False)
    expect_beginning('se.vmdk', data)
    run(IMG, 'check', '-f', 'vmdk', 'se.vmdk')
    said = run(IMG, 'commit', '-f', 'vmdk', 'se.vmdk', ok=(1,))
    if 'can only be read' not in said:
        sys.exit(said)
    # Over a parent, which shows where nothing is allocated, and nowhere else.
    base = RNG.randbytes(len(data))
    with open('raw', 'wb') as f:
        f.write(base)
    run(IMG, 'convert', '-f', 'raw', '-O', 'vmdk', 'raw', 'parent.vmdk')
    with open('parent.vmdk', 'rb') as f:
        head = f.read(4096).decode('latin-1')
    se_sparse(sectors, grains, ('parent.vmdk', head[head.index('CID=') + 4:][:8]))
    for n in range(sectors // 8):
        if n not in grains:
            data[n * 4096:n * 4096 + 4096] = base[n * 4096:n * 4096 + 4096]
    expect('vmdk', 'se.vmdk', data, peer=False)
    expect_beginning('se.vmdk', data)
    # Damage, and a journal that was not replayed.
    for offset, value, words in ((24, 16, 'size of grains'), (8, 1, 'Unsupported version'), (128, 1 << 60, 'damaged'),
                                 (512, 7, 'second header'), (536, 1, 'journal'), (136, 0, 'behind its end')):
        shutil.copy('se-s.vmdk', 'kept')
        with open('se-s.vmdk', 'r+b') as f:
            f.seek(offset)
            f.write(struct.pack('<Q', value))
        said = run(IMG, 'info', '-f', 'vmdk', 'se.vmdk', ok=(1,))
        if words not in said:
            sys.exit(f'{words}: {said}')
        os.replace('kept', 'se-s.vmdk')
    with open('se-s.vmdk', 'r+b') as f:
        f.seek(8192 * 512)
        f.write(struct.pack('<Q', 3 << 60 | 1 << 40))
    said = run(IMG, 'check', '-f', 'vmdk', 'se.vmdk', ok=(2,))
    if '1 errors were found' not in said:
        sys.exit(said)


def vmdk_names():
    os.mkdir('sub')
    with open('secret', 'wb') as f:
        f.write(bytes(1024))
    for name in (os.path.abspath('secret'), '../secret', 'x/../../secret', './../secret'):
        with open('sub/bad.vmdk', 'w', encoding='ascii') as f:
            f.write('# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
                    f'RW 2 FLAT "{name}" 0\n')
        said = run(IMG, 'info', 'sub/bad.vmdk', ok=(1,))
        if 'outside of its folder' not in said:
            sys.exit(said)


def vdi_cut_off():
    """A block map that would lie behind the end of its file is not searched for minutes."""
    run(IMG, 'create', '-q', '-f', 'vdi', 'far.vdi', '1M')
    with open('far.vdi', 'r+b') as f:
        f.seek(0x158)
        f.write(struct.pack('<I', 0xfffffe00))  # where the data begins
        f.seek(0x180)
        f.write(struct.pack('<I', 500_000_000))  # blocks
    text = run(IMG, 'info', '-f', 'vdi', 'far.vdi', ok=(1,))
    assert 'the block map lies behind its end' in text, text


def main():
    work = tempfile.mkdtemp(prefix='formats-', dir=os.environ.get('TMPDIR', '/tmp'))
    os.chdir(work)
    for test in (vhdx_log, vpc_differencing, vmdk_esx, vmdk_se, vmdk_split, vmdk_names, vdi_cut_off):
        test()
    os.chdir('/')
    shutil.rmtree(work)
    return 0


if __name__ == '__main__':
    sys.exit(main())
