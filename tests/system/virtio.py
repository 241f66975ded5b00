# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernel with its virtio drivers: disks, random bytes, ports, memory that comes and goes."""
import hashlib
import os

import linux
import vm

ORDER = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci',
         'virtio-rng', 'virtio_balloon', 'virtio_console', 'virtio_blk', 'scsi_common', 'scsi_mod',
         'crct10dif_common', 'crct10dif_generic', 'crc-t10dif', 'crc64', 'crc64-rocksoft-generic', 'crc64-rocksoft',
         't10-pi', 'sd_mod', 'virtio_scsi', 'evdev', 'virtio_input']


def boot(*options, accel='tcg', seconds=100):
    """A shell with all drivers loaded."""
    files, kernel = linux.packaged('linux-image-amd64')
    found = {path.stem: path for path in files.rglob('*.ko')}
    names = [name for name in ORDER if name in found]
    archive = vm.initramfs(files=[(f'm/{name}.ko', found[name].read_bytes()) for name in names])
    machine = vm.Machine('-accel', accel, '-m', '256M', '-kernel', kernel, '-initrd', archive, '-append', linux.QUIET,
                         *options)
    try:
        machine.wait('shell on ', seconds)
        machine.shell('for m in ' + ' '.join(names) + '; do insmod /m/$m.ko; done; true')
    except BaseException as error:
        machine.__exit__(type(error))
        raise
    return machine


def image(name, size=16 << 20):
    path = vm.scratch() / name
    path.write_bytes(f'first sector of {name}'.encode().ljust(512, b'.'))
    os.truncate(path, size)
    return path


def exercise_disk(m, disk):
    """Writes what nobody can guess and reads it back past the cache; its md5."""
    m.shell(f'for i in 1 2 3 4 5 6 7 8 9 10; do [ -b {disk} ] && break; sleep 1; done; [ -b {disk} ]')
    m.shell('dd if=/dev/urandom of=/tmp.bin bs=1M count=4 2>/dev/null')
    m.shell(f'dd if=/tmp.bin of={disk} bs=1M seek=1 conv=fsync 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches')
    inside = m.shell('md5sum < /tmp.bin').split()[0]
    assert m.shell(f'dd if={disk} bs=1M skip=1 count=4 2>/dev/null | md5sum').split()[0] == inside
    return inside


def blk(device, *options):
    path = image('virtio-disk.img')
    with boot('-drive', f'file={path},format=raw,if=none,id=d', '-device', f'{device},drive=d,serial=vitrine-disk-7',
              *options) as m:
        assert m.shell('head -c 24 /dev/vda').startswith('first sector of virtio')
        assert m.shell('cat /sys/block/vda/serial') == 'vitrine-disk-7'
        inside = exercise_disk(m, '/dev/vda')
        features = m.shell('cat /sys/bus/virtio/devices/virtio0/features')
        m.quit()
    assert hashlib.md5(path.read_bytes()[1 << 20:5 << 20]).hexdigest() == inside
    return features


@vm.case
def blk_modern():
    features = blk('virtio-blk-pci')
    assert features[32] == '1' and features[34] == '0', features


@vm.case
def blk_legacy():
    features = blk('virtio-blk-pci,disable-modern=on')
    assert features[32] == '0', features


@vm.case
def blk_packed():
    features = blk('virtio-blk-pci-non-transitional,packed=on,num-queues=2,ioeventfd=off', '-smp', '2')
    assert features[34] == '1', features


if __name__ == '__main__':
    vm.run()
