# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command lines of coverage.py name: images of every format, certificates, tables. Made once for all starts,
and copied into the folder of each start whose line names them."""
import atexit
import base64
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

import coverage_net

IMG = os.path.join(os.path.dirname(os.environ['VITRINE']), '../block/tools/vitrine-img')
BENCH = tempfile.mkdtemp(prefix='coverage-files')
PATTERN = b''.join(bytes([n % 255 + 1]) * 512 for n in range(2048))
DESCRIPTORS = (60, 61)  # /dev/zero and the image "pattern", for reading
LOCK = threading.Lock()


def path(name):
    return os.path.join(BENCH, name)


def write(name, data):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def run(*command):
    p = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)
    if p.returncode:
        sys.exit(f"{' '.join(command)}: {p.stderr}{p.stdout}")


def img(*args):
    run(IMG, *args)


def hole(name, size):
    write(name, b'')
    os.truncate(path(name), size)


# --- images ---

def converted(fmt, *options):
    """An image of a format with the pattern in it, made when it is first asked for."""
    return lambda name: img('convert', '-f', 'raw', '-O', fmt, *options, path('pattern'), path(name))


def encrypted(fmt, *options):
    secret = ('--object', 'secret,id=s,data=opensesame')
    return lambda name: (img('create', '-q', *secret, '-f', fmt, '-o', ','.join(options), path(name), '1M'),
                         img('convert', '-n', *secret, '--image-opts', '--target-image-opts',
                             f"driver=raw,file.filename={path('pattern')}",
                             ','.join([f'driver={fmt},file.filename={path(name)}',
                                       *(o for o in options if 'iter' not in o)])))


def overlay(fmt, base, base_format):
    """An empty image over another one."""
    def make(name):
        need(base)
        img('create', '-q', '-f', fmt, '-b', base, '-F', base_format, path(name))
    return make


def bochs(name):
    extent, bitmap, count = 16384, 512, len(PATTERN) // 16384
    out = struct.pack('<32s16s16sIIIIIIQ', b'Bochs Virtual HD Image', b'Redolog', b'Growing', 0x20000, 512, count,
                      bitmap, extent, 0, len(PATTERN))
    out = out.ljust(512, b'\0') + struct.pack(f'<{count}I', *range(count))
    for i in range(count):
        out += (b'\xff' * (extent // 4096)).ljust(bitmap, b'\0') + PATTERN[i * extent:(i + 1) * extent]
    write(name, out)


def cloop(name):
    block = 8192
    chunks = [zlib.compress(PATTERN[at:at + block]) for at in range(0, len(PATTERN), block)]
    out = (b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n').ljust(128, b'\0')
    out += struct.pack('>II', block, len(chunks))
    at = len(out) + 8 * (len(chunks) + 1)
    for chunk in [*chunks, b'']:
        out += struct.pack('>Q', at)
        at += len(chunk)
    write(name, out + b''.join(chunks))


def dmg(name):
    chunk = 65536
    data, entries = b'', b''
    for at in range(0, len(PATTERN), chunk):
        packed = zlib.compress(PATTERN[at:at + chunk])
        entries += struct.pack('>IIQQQQ', 0x80000005, 0, at // 512, chunk // 512, len(data), len(packed))
        data += packed
    entries += struct.pack('>IIQQQQ', 0xffffffff, 0, 0, 0, 0, 0)
    table = (struct.pack('>4sIQQ', b'mish', 1, 0, len(PATTERN) // 512).ljust(200, b'\0') +
             struct.pack('>I', len(entries) // 40) + entries)
    plist = (b'<plist version="1.0"><dict><key>resource-fork</key><dict><key>blkx</key><array><dict><key>Data</key>'
             b'<data>\n' + base64.b64encode(table) + b'\n</data></dict></array></dict></dict></plist>\n')
    koly = bytearray(512)
    koly[:12] = struct.pack('>4sII', b'koly', 4, 512)
    struct.pack_into('>Q', koly, 0x20, len(data))
    struct.pack_into('>QQ', koly, 0xd8, len(data), len(plist))
    struct.pack_into('>Q', koly, 0x1ec, len(PATTERN) // 512)
    write(name, data + plist + bytes(koly))


def scrambled(name):
    """An image of qcow that says it is encrypted."""
    converted('qcow')(name)
    with open(path(name), 'r+b') as f:
        f.seek(36)
        f.write(struct.pack('>I', 1))


def damaged(offset, value):
    """A qcow2 image with the pattern whose entry for the first cluster leads to OFFSET of the file."""
    def make(name):
        converted('qcow2')(name)
        with open(path(name), 'r+b') as f:
            head = f.read(48)
            f.seek(struct.unpack('>Q', head[40:48])[0])
            table = struct.unpack('>Q', f.read(8))[0] & 0x00fffffffffffe00
            f.seek(table)
            f.write(struct.pack('>Q', value | offset))
    return make


# --- credentials ---

def certificates(name):
    """A folder of X.509 credentials as both ends want them; the server's key with a passphrase in "locked"."""
    os.makedirs(path(name))
    os.chmod(path(name), 0o700)

    def key(what):
        run('openssl', 'genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out',
            path(f'{name}/{what}.pem'))
    key('ca-key')
    run('openssl', 'req', '-x509', '-new', '-key', path(f'{name}/ca-key.pem'), '-days', '3650', '-subj',
        '/CN=authority', '-out', path(f'{name}/ca-cert.pem'), '-addext', 'keyUsage=critical,keyCertSign,cRLSign')
    for side, use in (('server', 'serverAuth'), ('client', 'clientAuth')):
        key(f'{side}-key')
        run('openssl', 'req', '-new', '-key', path(f'{name}/{side}-key.pem'), '-subj', f'/CN={side}', '-out',
            path(f'{name}/{side}.csr'))
        write(f'{name}/{side}.ext', 'basicConstraints=critical,CA:FALSE\n'
              'keyUsage=critical,digitalSignature,keyEncipherment\n'
              f'extendedKeyUsage=critical,{use}\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n')
        run('openssl', 'x509', '-req', '-in', path(f'{name}/{side}.csr'), '-CA', path(f'{name}/ca-cert.pem'), '-CAkey',
            path(f'{name}/ca-key.pem'), '-CAcreateserial', '-days', '3650', '-extfile', path(f'{name}/{side}.ext'),
            '-out', path(f'{name}/{side}-cert.pem'))


def locked(name):
    need('pki')
    shutil.copytree(path('pki'), path(name))
    run('openssl', 'pkcs8', '-topk8', '-in', path('pki/server-key.pem'), '-passout', 'pass:opensesame', '-v2',
        'aes-256-cbc', '-out', path(f'{name}/server-key.pem'))


def expired(name):
    """Server and client mixed up: what a check of the certificates must find."""
    need('pki')
    shutil.copytree(path('pki'), path(name))
    for what in ('cert', 'key'):
        shutil.copy(path(f'pki/client-{what}.pem'), path(f'{name}/server-{what}.pem'))


def acpi(name):
    table = bytearray(b'TEST' + (40).to_bytes(4, 'little') + bytes(28) + b'BODY')
    table[9] = -sum(table) & 255
    write(name, bytes(table))


def trim(name):
    """For the bus master: one descriptor, and behind it the range 0..1023."""
    write(name, struct.pack('<II', 0x10200, 0x80000200).ljust(512, b'\0') +
          struct.pack('<Q', 1024 << 48).ljust(512, b'\0'))


def folder(name):
    write(f'{name}/hello.txt', 'file-in-a-folder')


def program(name, text):
    write(name, text)
    os.chmod(path(name), 0o755)


def write_log(name):
    """A log of dm-log-writes with one entry, a flush."""
    head = struct.pack('<QQQI', 0x6a736677736872, 1, 1, 512).ljust(512, b'\0')
    write(name, (head + struct.pack('<QQQQ', 0, 0, 1, 0).ljust(512, b'\0')).ljust(1 << 20, b'\0'))


def sector(code):
    """A disk that starts code."""
    return lambda name: write(name, (bytes.fromhex(code).ljust(510, b'\0') + b'\x55\xaa').ljust(1 << 20, b'\0'))


def users(name):
    """SASL's folder and its users ann and bob, both with the password pw."""
    os.makedirs(path(name))
    base = path(f'{name}/db')
    write(f'{name}/qemu.conf', f'mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {base}\n')
    for user in 'ann', 'bob':
        subprocess.run(['saslpasswd2', '-c', '-p', '-a', 'qemu', '-f', base, user], input=b'pw', check=True)


def unfit(name):
    write(f'{name}/dh-params.pem', 'no parameters')


COPIED = {  # name -> how it is made, when first wanted
    'disk': lambda n: hole(n, 1 << 20), 'disk2': lambda n: hole(n, 1 << 20), 'floppy': lambda n: hole(n, 1474560),
    'rom': lambda n: hole(n, 65536), 'pattern': lambda n: write(n, PATTERN),
    'text': lambda n: write(n, 'marker-of-a-file'),
    'events': lambda n: write(n, 'machine_reset\n'), 'bmp': lambda n: write(n, b'BM' + bytes(60)), 'acpi': acpi,
    'psk/keys.psk': lambda n: write(n, 'bob:0123456789abcdef0123456789abcdef\n'),
    'authz': lambda n: write(n, '{"policy": "deny", "rules": []}'),
    'ini': lambda n: write(n, '[name]\n  guest = "from-a-file"\n'),
    'smbios': lambda n: write(n, bytes([11, 5, 0x77, 0x10, 1]) + b'blob-marker\0\0'),
    'flash': lambda n: write(n, b'\x37' * 65536), 'folder': folder,
    'log1': write_log,
    'rules': lambda n: write(n, '[inject-error]\nevent = "none"\nerrno = "5"\nsector = "4"\n'),
    'unfit': unfit, 'phrase': lambda n: write(n, 'opensesame'),
    'authz-client': lambda n: write(n, '{"policy": "deny", "rules": [{"match": "CN=client", "policy": "allow"}]}'),
    'helper': lambda n: program(n, coverage_net.HELPER), 'ifup': lambda n: program(n, coverage_net.SCRIPT),
    # 320 x 200 with 256 colours: a picture with all of them; one that goes on changing.
    'still': sector('b81300 cd10 b800a0 8ec0 31ff 6bc735 aa 85ff 75f8 f4 ebfd'),
    'film': sector('b81300 cd10 b800a0 8ec0 31ff 31db 6bc735 00d8 aa 85ff 75f6 43 ebf3'),
    'wave': sector('b81300 cd10 bac803 31c0 ee 42 31db 88d8 c0e802 ee ee ee fec3 75f4 b800a0 8ec0 31db 31ff 89f8 00d8 aa 85ff 75f7 fb f4 43 ebf0'),
    'sasl': users, 'trim': trim, 'pki': certificates, 'locked': locked, 'mixed': expired,
    'plugin.so': lambda n: shutil.copy(os.path.join(os.path.dirname(IMG), '../../tests/control/plugin-count.so'),
                                       path(n)),
    'i.qcow2': converted('qcow2'), 'i.qcow': converted('qcow'), 'i.qed': converted('qed'), 'i.vmdk': converted('vmdk'),
    'i.vdi': converted('vdi'), 'i.vhdx': converted('vhdx', '-o', 'block_size=1M'),
    'i.vpc': converted('vpc', '-o', 'force_size=on'),
    'i.parallels': converted('parallels'), 'i.bochs': bochs, 'i.cloop': cloop, 'i.dmg': dmg,
    'i.luks': encrypted('luks', 'key-secret=s', 'iter-time=10'),
    'luks.qcow2': encrypted('qcow2', 'encrypt.format=luks', 'encrypt.iter-time=10', 'encrypt.key-secret=s'),
    'aes.qcow': scrambled,
    'aes.qcow2': encrypted('qcow2', 'encrypt.format=aes', 'encrypt.key-secret=s'),
    'small.qcow2': converted('qcow2', '-o', 'cluster_size=512'),
    'lazy.qcow2': converted('qcow2', '-o', 'lazy_refcounts=on'),
    'empty.qcow2': lambda n: img('create', '-q', '-f', 'qcow2', path(n), '1M'),
    'over.qcow2': overlay('qcow2', 'pattern', 'raw'), 'over.qcow': overlay('qcow', 'pattern', 'raw'),
    'over.qed': overlay('qed', 'pattern', 'raw'), 'over.vmdk': overlay('vmdk', 'i.vmdk', 'vmdk'),
    'badread.qcow2': damaged(0x30200, 1 << 63), 'badwrite.qcow2': damaged(0x30000, 1 << 63),
    'data.qcow2': lambda n: img('create', '-q', '-f', 'qcow2', '-o', 'data_file=none.raw', path(n), '1M'),
}


def need(name):
    """The path of a thing of the bench, made if it is not there yet."""
    if not os.path.exists(path(name)):
        COPIED[name](name)
    return path(name)


def places(line, files):
    """Copies what a line names ("@/NAME") into FILES; what other words of it ("{name}") stand for."""
    with LOCK:
        wanted = {n for n in COPIED if re.search(rf'@/{re.escape(n.split("/")[0])}(?![\w.-])', line)}
        if any(n.startswith('over.') for n in wanted):
            wanted |= {'pattern', 'i.vmdk'}
        for name in wanted:
            source, target = need(name), os.path.join(files, name)
            if os.path.isdir(source):
                shutil.copytree(source, target)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                subprocess.run(['cp', '--sparse=always', source, target], check=True)
    return {'{files}': BENCH, '{program}': os.environ['VITRINE']}


def prepare():
    write('pattern', PATTERN)
    for number, name in zip(DESCRIPTORS, ('/dev/zero', path('pattern'))):
        descriptor = os.open(name, os.O_RDONLY)
        os.dup2(descriptor, number, inheritable=True)
        os.close(descriptor)
    atexit.register(shutil.rmtree, BENCH, ignore_errors=True)


prepare()
