# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and discs behind each SCSI adapter, under Debian's kernel and SeaBIOS."""
import re

import storage
import vm

DISKS = ['sd_mod', 'sr_mod', 'isofs']
TROUBLE = r'aborting|aborted|bus reset|timed out|I/O error|DID_|BUG|Call Trace'


def drives(disk, disc=None, bus='hba.0', more=''):
    """A disk as target 0 and a disc as target 2."""
    words = ['-drive', f'file={disk},format=raw,if=none,id=d,discard=unmap', '-device',
             f'scsi-hd,drive=d,bus={bus},scsi-id=0,id=hd{more}']
    if disc:
        words += ['-drive', f'file={disc},format=raw,if=none,id=c,media=cdrom,readonly=on', '-device',
                  f'scsi-cd,drive=c,bus={bus},scsi-id=2,id=cd']
    return words


def adapter(driver, module, rescan=True, trim=True):
    """The common tour: a disk to write and read, a disc to change, a second disk that comes and goes."""
    disk, other = storage.image(f'{driver}.img'), storage.image(f'{driver}-other.img', 8 << 20)
    first, second = storage.iso(f'{driver}1.iso', 'first disc'), storage.iso(f'{driver}2.iso', 'second disc')
    with storage.boot(DISKS + module.split(), '-device', f'{driver},id=hba', '-drive',
                      f'file={other},format=raw,if=none,id=o', *drives(disk, first, more=',serial=VT1,ver=9.1')) as m:
        storage.exercise(m, '/dev/sda', disk)
        assert m.shell('cat /sys/block/sda/device/rev').strip() == '9.1'
        assert m.shell('cat /sys/block/sda/queue/write_cache') == 'write back'
        if trim:
            storage.trim(m, '/dev/sda', 'sda', disk)
        storage.swap_discs(m, 'first disc', ('second disc', second), 'cd')
        m.qmp('device_add', driver='scsi-hd', drive='o', bus='hba.0', id='plugged', **{'scsi-id': '4'})
        if rescan:
            m.shell('for h in /sys/class/scsi_host/*; do echo "- - -" > $h/scan; done', 60)
        storage.wait_node(m, '/dev/sdb')
        assert m.shell('head -c 24 /dev/sdb') == 'first sector of the disk'
        if rescan:
            m.shell('echo 1 > /sys/block/sdb/device/delete')
        m.qmp('device_del', id='plugged')
        m.qmp.wait_event('DEVICE_DELETED')
        m.shell('for i in $(seq 20); do [ -e /sys/block/sdb ] || break; sleep 0.5; done; [ ! -e /sys/block/sdb ]')
        # Where the disk goes first and Linux hears of it then, its last flush finds nobody.
        trouble = [line for line in m.shell('dmesg').splitlines() if re.search(TROUBLE, line)
                   and not (not rescan and '[sdb] Synchronize Cache' in line)]
        assert not trouble, trouble
        m.quit()


@vm.case
def lsi():
    adapter('lsi53c895a', 'sym53c8xx')


@vm.case
def lsi_810():
    adapter('lsi53c810', 'sym53c8xx')


@vm.case
def am53c974():
    adapter('am53c974', 'am53c974', trim=False)  # no commands of 16 bytes with this driver


@vm.case
def dc390():
    adapter('dc390', 'am53c974', trim=False)


@vm.case
def pvscsi():
    adapter('pvscsi', 'vmw_pvscsi', rescan=False)


@vm.case
def virtio():
    adapter('virtio-scsi-pci', 'virtio_pci virtio_scsi', rescan=False)


@vm.case
def mptsas():
    adapter('mptsas1068', 'mptsas', rescan=False)


@vm.case
def megasas():
    adapter('megasas', 'megaraid_sas', rescan=False)


@vm.case
def megasas_gen2():
    adapter('megasas-gen2', 'megaraid_sas', rescan=False)


@vm.case
def firmware():
    """SeaBIOS reads disks behind the adapters it knows: named by bootindex, and of -drive if=scsi."""
    disk, other = vm.scratch() / 'boot.img', vm.scratch() / 'none.img'
    text = b'second sector of the SCSI disk'
    disk.write_bytes(vm.assemble('sector').read_bytes() + text.ljust(512, b'\0') + bytes(1 << 20))
    other.write_bytes(bytes(1 << 20))
    for driver in ('lsi53c895a', 'am53c974', 'pvscsi', 'megasas'):
        with vm.Machine('-m', '16M', '-nodefaults', '-vga', 'std', '-device', f'{driver},id=hba', '-drive',
                        f'file={other},format=raw,if=none,id=o', '-device', 'scsi-hd,drive=o,scsi-id=0', '-drive',
                        f'file={disk},format=raw,if=none,id=d', '-device',
                        'scsi-hd,drive=d,scsi-id=3,bootindex=0') as m:
            m.wait('second sector of the SCSI disk', 60)
            m.quit()
    with vm.Machine('-m', '16M', '-nodefaults', '-vga', 'std', '-device', 'lsi53c895a', '-drive',
                    f'file={disk},format=raw,if=scsi') as m:
        m.wait('second sector of the SCSI disk', 60)
        m.quit()


if __name__ == '__main__':
    vm.run()
