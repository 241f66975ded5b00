# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian that debootstrap installed on a qcow2 disk starts from each controller by firmware and GRUB, and fio finds
what it wrote."""
import pathlib
import shutil

import debootstrap
import vm

PACKAGES = 'linux-image-amd64,fio,systemd-sysv,udev,kmod'
UNIT = '''[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/root/job
[Install]
WantedBy=multi-user.target
'''
JOB = '''#!/bin/sh
exec > /dev/console 2>&1
echo "root on $(readlink -f /sys/dev/block/$(mountpoint -d /))"
cd /var/tmp
if fio --name=verify --filename=file --size=48m --rw=randwrite --bsrange=512-64k --ioengine=libaio --iodepth=16 \\
    --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=64 --output=/dev/null
then echo "fio is content"; else echo "fio: status $?"; fi
sync
poweroff
'''
GRUB = '''search --no-floppy --set=root --label vitrine
linux /vmlinuz root=LABEL=vitrine rw console=ttyS0 quiet mitigations=off no_timer_check
initrd /initrd.img
boot
'''
IMG = str(pathlib.Path(vm.program()).resolve().parents[1] / 'block/tools/vitrine-img')


def disk():
    """A qcow2 disk with GRUB, a partition and the system on it."""
    target = vm.scratch() / 'debian.qcow2'
    if target.exists():
        return target
    vm.need('grub-mkimage', 'mke2fs', '/usr/lib/grub/i386-pc/boot.img')
    root, folder = debootstrap.copy(debootstrap.installed('debian-root', PACKAGES)), vm.scratch()
    kernel = max(path.name for path in (root / 'boot').glob('vmlinuz-*'))
    (root / 'vmlinuz').unlink(missing_ok=True)
    (root / 'initrd.img').unlink(missing_ok=True)
    (root / 'vmlinuz').symlink_to(f'boot/{kernel}')
    (root / 'initrd.img').symlink_to(f'boot/{kernel.replace("vmlinuz", "initrd.img")}')
    (root / 'root/job').write_text(JOB)
    (root / 'root/job').chmod(0o755)
    (root / 'etc/systemd/system/job.service').write_text(UNIT)
    wants = root / 'etc/systemd/system/multi-user.target.wants'
    wants.mkdir(parents=True, exist_ok=True)
    (wants / 'job.service').symlink_to('/etc/systemd/system/job.service')
    (root / 'etc/systemd/system/serial-getty@.service').symlink_to('/dev/null')
    (root / 'etc/fstab').write_text('LABEL=vitrine / ext4 defaults 0 1\n')
    (folder / 'grub.cfg').write_text(GRUB)
    vm.tool('grub-mkimage', '-O', 'i386-pc', '-o', folder / 'core.img', '-p', '/', '-c', folder / 'grub.cfg', 'biosdisk',
            'part_msdos', 'ext2', 'linux', 'search', 'search_label', 'boot', 'normal', 'test', 'configfile')
    vm.tool('mke2fs', '-q', '-t', 'ext4', '-L', 'vitrine', '-d', root, folder / 'part.img', '1900M')
    first, size = 2048, 1900 << 11
    sector = bytearray(pathlib.Path('/usr/lib/grub/i386-pc/boot.img').read_bytes()[:446])
    entry = bytes((0x80, 0, 2, 0, 0x83, 0, 2, 0)) + first.to_bytes(4, 'little') + size.to_bytes(4, 'little')
    core = (folder / 'core.img').read_bytes()
    assert len(core) < (first - 1) * 512
    with open(folder / 'disk.img', 'wb') as image:
        image.write(bytes(sector) + entry.ljust(64, b'\0') + b'\x55\xaa' + core)
        image.truncate((first + size) * 512)
    vm.tool('dd', f'if={folder}/part.img', f'of={folder}/disk.img', 'bs=1M', 'seek=1', 'conv=notrunc,sparse')
    vm.tool(IMG, 'convert', '-O', 'qcow2', folder / 'disk.img', target)
    for name in ('disk.img', 'part.img'):
        (folder / name).unlink()
    shutil.rmtree(root)
    return target


def start(sign, *options):
    """From an overlay, which is in order afterwards."""
    overlay = vm.scratch() / 'overlay.qcow2'
    vm.tool(IMG, 'create', '-f', 'qcow2', '-b', disk(), '-F', 'qcow2', overlay)
    with vm.Machine('-accel', 'tcg', '-m', '512M', '-no-reboot', '-nodefaults', '-drive',
                    f'if=none,id=d,file={overlay},format=qcow2,discard=unmap', *options, timeout=1200) as m:
        m.wait(f'root on [^\n]*{sign}', 300)
        m.wait('fio is content', 600)
        assert m.wait_exit(120) == 0
    vm.tool(IMG, 'check', overlay)


@vm.case
def ide():
    start('ata1', '-device', 'ide-hd,drive=d')


@vm.case
def ahci():
    start('ata', '-device', 'ich9-ahci,id=a', '-device', 'ide-hd,drive=d,bus=a.0')


@vm.case
def virtio_blk():
    start('virtio', '-device', 'virtio-blk-pci,drive=d')


@vm.case
def virtio_scsi():
    start('virtio', '-device', 'virtio-scsi-pci', '-device', 'scsi-hd,drive=d')


@vm.case
def nvme():
    start('nvme', '-device', 'nvme,drive=d,serial=1')


@vm.case
def lsi():
    start('host', '-device', 'lsi53c895a', '-device', 'scsi-hd,drive=d')


vm.run()
