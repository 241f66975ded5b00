# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and discs behind each controller, under Debian's kernel; flash with UEFI firmware in it."""
import functools
import hashlib
import re
import shutil

import vm

QUIET = 'console=ttyS0 mitigations=off quiet no_timer_check'


@functools.cache
def kernel_package():
    depends = vm.tool('apt-cache', 'depends', 'linux-image-amd64').decode()
    found = re.search(r'Depends: (linux-image-\S+)', depends)
    if not found:
        raise vm.Skip('no package linux-image-amd64')
    files = vm.debian_package(found[1])
    kernel, = files.glob('boot/vmlinuz-*')
    return kernel, {path.stem.replace('-', '_'): path for path in files.rglob('*.ko')}


def with_dependencies(names):
    """Paths of kernel modules, each after those it needs."""
    modules, order = kernel_package()[1], []

    def add(name):
        path = modules.get(name.replace('-', '_'))
        if not path or path in order:
            return
        needs = re.search(rb'\0depends=([^\0]*)\0', path.read_bytes())
        for other in needs[1].decode().split(',') if needs else []:
            add(other)
        order.append(path)
    for name in names:
        add(name)
    return order


def boot(modules, *options, accel='tcg', extra=(), append='', **how):
    """A shell with MODULES loaded. EXTRA: pairs of path inside and content. APPEND: to the kernel's command line."""
    paths = with_dependencies(modules)
    files = [(f'm/{path.name}', path.read_bytes()) for path in paths]
    files.append(('bin/eject', vm.assemble('eject').read_bytes()))
    archive = vm.initramfs(files=files + list(extra))
    machine = vm.Machine('-accel', accel, '-m', '256M', '-kernel', kernel_package()[0], '-initrd', archive, '-append',
                         f'{QUIET} {append}', *options, **how)
    try:
        machine.wait('shell on ', 100)
        machine.shell('for m in ' + ' '.join(path.name for path in paths) + '; do insmod /m/$m; done; true', 60)
    except BaseException as error:
        machine.__exit__(type(error))
        raise
    return machine


def image(name, size=64 << 20):
    path = vm.scratch() / name
    with open(path, 'wb') as file:
        file.write(b'first sector of the disk'.ljust(512, b'.'))
        file.truncate(size)
    return path


def iso(name, text):
    vm.need('xorriso')
    folder = vm.scratch() / f'{name}.d'
    folder.mkdir(exist_ok=True)
    (folder / 'hello.txt').write_text(text)
    path = vm.scratch() / name
    vm.tool('xorriso', '-as', 'mkisofs', '-quiet', '-o', path, folder)
    return path


def wait_node(m, node):
    m.shell(f'for i in $(seq 20); do [ -b {node} ] && break; sleep 0.5; done; [ -b {node} ]', 30)


def exercise(m, disk, path):
    """Writes and reads with an empty cache in between; what is on the host's file at the end."""
    wait_node(m, disk)
    assert m.shell(f'head -c 24 {disk}') == 'first sector of the disk'
    m.shell('dd if=/dev/urandom of=/tmp.bin bs=1M count=8 2>/dev/null')
    m.shell(f'dd if=/tmp.bin of={disk} bs=1M seek=1 conv=fsync 2>/dev/null', 60)
    m.shell('echo 3 > /proc/sys/vm/drop_caches')
    inside = m.shell('md5sum < /tmp.bin').split()[0]
    assert m.shell(f'dd if={disk} bs=1M skip=1 count=8 2>/dev/null | md5sum', 60).split()[0] == inside
    # Many small ones at once, all over.
    m.shell(f'for i in 1 2 3 4 5 6 7 8; do dd if={disk} of=/dev/null bs=4k skip=$((i*900)) count=500 iflag=direct '
            '2>/dev/null & done; wait', 60)
    m.shell('sync')
    with open(path, 'rb') as file:
        file.seek(1 << 20)
        assert hashlib.md5(file.read(8 << 20)).hexdigest() == inside
    return inside


def trim(m, disk, name, path):
    """The guest gives the bytes back, and the host has them."""
    assert int(m.shell(f'cat /sys/block/{name}/queue/discard_max_bytes')) > 0
    before = path.stat().st_blocks
    m.shell(f'blkdiscard -o 1048576 -l 8388608 {disk}', 30)
    after = path.stat().st_blocks
    assert after <= before - (7 << 20) // 512, (before, after)
    m.shell('echo 3 > /proc/sys/vm/drop_caches')
    assert m.shell(f'dd if={disk} bs=1M skip=1 count=8 2>/dev/null | tr -d "\\000" | wc -c', 60) == '0'


def swap_discs(m, first, second, device):
    """A disc is read, let go by the guest, and another one put in."""
    wait_node(m, '/dev/sr0')
    m.shell('mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd')
    assert m.shell('cat /cd/*') == first
    try:
        m.qmp('eject', id=device)
        raise ValueError('a locked tray opened')
    except AssertionError as error:
        assert 'is locked' in str(error), error
    m.shell('umount /cd')
    m.shell('eject')
    event = m.qmp.wait_event('DEVICE_TRAY_MOVED')
    assert event['data']['tray-open'] is True, event
    m.qmp('blockdev-change-medium', id=device, filename=str(second[1]))
    m.shell('for i in 1 2 3 4 5 6 7 8; do mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null && break; sleep 1; done')
    assert m.shell('cat /cd/*') == second[0]
    # By force, whatever the guest thinks of it; then a disc comes again.
    m.qmp('eject', id=device, force=True)
    m.shell('umount /cd')
    m.qmp('blockdev-change-medium', id=device, filename=str(second[1]))
    m.shell('for i in 1 2 3 4 5 6 7 8; do mount -t iso9660 -o ro /dev/sr0 /cd 2>/dev/null && break; sleep 1; done')
    assert m.shell('cat /cd/*') == second[0]
    m.shell('umount /cd')


ATA = ['sd_mod', 'sr_mod', 'isofs', 'ahci']


@vm.case
def ahci():
    """A disk with queuing and a CD on the ports of ich9-ahci."""
    disk, first, second = image('ahci.img'), iso('a1.iso', 'first disc'), iso('a2.iso', 'second disc')
    with boot(ATA, '-device', 'ich9-ahci,id=sata', '-drive', f'file={disk},format=raw,if=none,id=d,discard=unmap',
              '-device', 'ide-hd,drive=d,bus=sata.0,serial=VT1234,ver=9.1,model=Vitrine test disk,'
              'wwn=0x5000c500a1b2c3d4,rotation_rate=1',
              '-drive', f'file={first},format=raw,if=none,id=c,media=cdrom,readonly=on',
              '-device', 'ide-cd,drive=c,bus=sata.3,id=cd') as m:
        exercise(m, '/dev/sda', disk)
        sys = '/sys/block/sda/'
        assert m.shell(f'cat {sys}device/model') == 'Vitrine test dis'
        assert m.shell(f'cat {sys}device/rev').strip() == '9.1'
        assert 'naa.5000c500a1b2c3d4' in m.shell(f'cat {sys}device/wwid')
        assert m.shell(f'cat {sys}queue/rotational') == '0'
        assert int(m.shell(f'cat {sys}device/queue_depth')) == 32
        assert m.shell(f'cat {sys}queue/write_cache') == 'write back'
        assert int(m.shell('grep -c "ahci\\[" /proc/interrupts')) == 1
        assert 'MSI' in m.shell('grep ahci /proc/interrupts')
        trim(m, '/dev/sda', 'sda', disk)
        swap_discs(m, 'first disc', ('second disc', second), 'cd')
        assert not re.search(r'ata\d.*(exception|failed|error)', m.shell('dmesg')), m.shell('dmesg | grep ata')
        m.quit()


@vm.case
def ide():
    """A disk and a CD on the channels of the PIIX3."""
    disk, first, second = image('ide.img'), iso('i1.iso', 'first disc'), iso('i2.iso', 'second disc')
    with boot(['sd_mod', 'sr_mod', 'isofs', 'ata_piix'], '-drive', f'file={disk},format=raw,if=ide,index=0', '-drive',
              f'file={first},format=raw,if=none,id=c,media=cdrom,readonly=on', '-device',
              'ide-cd,drive=c,bus=ide.1,id=cd') as m:
        exercise(m, '/dev/sda', disk)
        swap_discs(m, 'first disc', ('second disc', second), 'cd')
        assert not re.search(r'ata\d.*(exception|failed|error)', m.shell('dmesg')), m.shell('dmesg | grep ata')
        m.quit()


@vm.case
def nvme():
    """A controller with a namespace of its own and one more, with doorbells in memory and a memory buffer."""
    disk, other = image('nvme.img'), image('nvme2.img', 16 << 20)
    with boot(['nvme'], '-smp', '2', '-drive', f'file={disk},format=raw,if=none,id=d,discard=unmap', '-device',
              'nvme,serial=VTNVME,id=n,drive=d,cmb_size_mb=16', '-drive', f'file={other},format=raw,if=none,id=e',
              '-device', 'nvme-ns,drive=e,bus=n,nsid=7,logical_block_size=4096,physical_block_size=4096') as m:
        exercise(m, '/dev/nvme0n1', disk)
        sys = '/sys/class/nvme/nvme0/'
        assert m.shell(f'cat {sys}serial').strip() == 'VTNVME'
        assert m.shell(f'cat {sys}state') == 'live'
        assert int(m.shell(f'cat {sys}queue_count')) == 3
        assert m.shell('cat /sys/block/nvme0n2/queue/logical_block_size') == '4096'
        assert m.shell('cat /sys/block/nvme0n1/queue/write_cache') == 'write back'
        assert int(m.shell('grep -c "nvme0q" /proc/interrupts')) == 3
        trim(m, '/dev/nvme0n1', 'nvme0n1', disk)
        m.shell('dd if=/tmp.bin of=/dev/nvme0n2 bs=1M count=8 conv=fsync 2>/dev/null')
        inside = m.shell('md5sum < /tmp.bin').split()[0]
        assert hashlib.md5(other.read_bytes()[:8 << 20]).hexdigest() == inside
        m.shell('echo 1 > /sys/class/nvme/nvme0/reset_controller; sleep 1')
        m.shell('dd if=/dev/nvme0n1 of=/dev/null bs=1M count=4 iflag=direct 2>/dev/null')
        assert not re.search(r'nvme.*(timeout|error|abort)', m.shell('dmesg'), re.I), m.shell('dmesg | grep nvme')
        m.quit()


@vm.case
def sd():
    """Cards of standard and high capacity behind sdhci-pci, one of them protected; a file system; another card."""
    card, big, other = image('sd.img'), image('sdhc.img', 4 << 30), image('sd2.img', 128 << 20)
    with boot(['sdhci_pci', 'mmc_block', 'ext4'],
              '-device', 'sdhci-pci,id=a', '-drive', f'file={card},format=raw,if=none,id=d',
              '-device', 'sd-card,drive=d,bus=a.0,id=card',
              '-device', 'sdhci-pci,id=b,sd-spec-version=3', '-drive', f'file={big},format=raw,if=none,id=e,readonly=on',
              '-device', 'sd-card,drive=e,bus=b.0,spec_version=3') as m:
        exercise(m, '/dev/mmcblk0', card)
        wait_node(m, '/dev/mmcblk1')
        assert m.shell('cat /sys/block/mmcblk0/device/type') == 'SD'
        assert m.shell('cat /sys/block/mmcblk1/size') == str((4 << 30) // 512)
        assert m.shell('cat /sys/block/mmcblk1/ro') == '1'
        m.qmp('blockdev-change-medium', id='card', filename=str(other))
        vm.wait_for('the other card', lambda: m.shell('cat /sys/block/mmcblk?/size | sort -n | head -1')
                    == str((128 << 20) // 512), 30, 0.5)
        assert not re.search(r'mmc\d.*(error|timeout)', m.shell('dmesg')), m.shell('dmesg | grep mmc')
        m.quit()


@vm.case
def ovmf():
    """UEFI firmware in flash: to its shell, with variables that stay."""
    code, template = '/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'
    vm.need(code, template)
    variables = vm.scratch() / 'vars.fd'
    shutil.copy(template, variables)
    options = ['-m', '256M', '-net', 'none', '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={code}',
               '-drive', f'if=pflash,unit=1,format=raw,file={variables}']
    with vm.Machine(*options) as m:
        m.wait('UEFI Interactive Shell', 200)
        m.wait('Press .*ESC.* in')
        m.send('\x1b')
        m.wait('Shell>')
        m.send('set vitrine kept\r')
        m.wait('Shell>')
        m.quit()
    assert variables.read_bytes() != open(template, 'rb').read()
    with vm.Machine(*options) as m:
        m.wait('UEFI Interactive Shell', 200)
        m.wait('Press .*ESC.* in')
        m.send('\x1b')
        m.wait('Shell>')
        m.send('set vitrine\r')
        m.wait('kept')
        m.send('reset -s\r')
        m.qmp.wait_event('SHUTDOWN')
        assert m.wait_exit() == 0


if __name__ == "__main__":
    vm.run()
