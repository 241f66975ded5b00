# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of whole machines in their disk images: a Linux goes back to where it was, here and in another process."""
import contextlib
import subprocess
import time

import storage
import vm

PC = ['ata_piix', 'sd_mod', 'virtio_pci', 'virtio_blk', 'virtio_scsi', 'sym53c8xx']
OTHERS = ['ahci', 'sd_mod', 'nvme', 'vmw_pvscsi', 'megaraid_sas']


def disk(name, size='64M'):
    path = vm.scratch() / f'{name}.qcow2'
    vm.tool('qemu-img', 'create', '-q', '-f', 'qcow2', path, size)
    return path


def pc_options():
    return ['-drive', f'file={disk("ide")},if=ide', '-drive', f'file={disk("blk")},if=none,id=b',
            '-device', 'virtio-blk-pci,drive=b', '-device', 'virtio-scsi-pci,id=vs',
            '-drive', f'file={disk("vscsi")},if=none,id=s', '-device', 'scsi-hd,drive=s,bus=vs.0',
            '-device', 'lsi53c895a,id=lsi', '-drive', f'file={disk("lsi")},if=none,id=l',
            '-device', 'scsi-hd,drive=l,bus=lsi.0', '-device', 'virtio-rng-pci', '-device', 'virtio-balloon-pci']


def other_options():
    return ['-device', 'ich9-ahci,id=sata', '-drive', f'file={disk("sata")},if=none,id=a',
            '-device', 'ide-hd,drive=a,bus=sata.0', '-drive', f'file={disk("nvme")},if=none,id=n',
            '-device', 'nvme,drive=n,serial=1', '-device', 'pvscsi,id=pv', '-drive', f'file={disk("pv")},if=none,id=p',
            '-device', 'scsi-hd,drive=p,bus=pv.0', '-device', 'megasas,id=ms',
            '-drive', f'file={disk("ms")},if=none,id=m', '-device', 'scsi-hd,drive=m,bus=ms.0']


@contextlib.contextmanager
def again(options, tag, accel='tcg'):
    """Another process that begins at a snapshot of a machine that storage.boot() made."""
    with vm.Machine('-accel', accel, '-m', '256M', '-kernel', storage.kernel_package()[0], '-initrd', vm.initramfs(),
                    '-append', storage.QUIET, '-loadvm', tag, *options) as m:
        yield m


def ok(text):
    assert not text.strip(), text


def mark(m, disks, text):
    """A sign in memory and on each disk."""
    m.shell(f'echo {text} > /sign')
    for node in disks:
        m.shell(f'echo {text} | dd of={node} bs=512 seek=9 conv=sync,fsync 2>/dev/null')


def check(m, disks, text):
    assert m.shell('cat /sign') == text
    for node in disks:
        found = m.shell(f'dd if={node} bs=512 skip=9 count=1 iflag=direct 2>/dev/null').strip('\0').strip()
        assert found == text, f'{node}: {found}'
    m.shell('kill -0 $(cat /pid)')  # the process of before


def back_and_forth(modules, options, disks, accel='tcg'):
    with storage.boot(modules, *options, accel=accel) as m:
        for node in disks:
            storage.wait_node(m, node)
        m.shell('dmesg -c > /dev/null; sleep 100000 & echo $! > /pid')
        mark(m, disks, 'first')
        ok(m.hmp('savevm one'))
        assert m.qmp('query-status')['status'] == 'running'
        check(m, disks, 'first')
        mark(m, disks, 'second')
        began = time.monotonic()
        ok(m.hmp('savevm two'))
        took = time.monotonic() - began
        assert 'one' in m.hmp('info snapshots') and 'two' in m.hmp('info snapshots')
        ok(m.hmp('loadvm one'))
        m.qmp.wait_event('RESET')
        check(m, disks, 'first')
        mark(m, disks, 'third')
        ok(m.hmp('loadvm two'))
        check(m, disks, 'second')
        # What is under way is not lost: disks are busy while the snapshot is made and when it is loaded.
        for node in disks:
            m.shell(f'dd if=/dev/urandom of={node} bs=64k seek=16 count=640 conv=fsync 2>/dev/null & echo $! >> /jobs')
        ok(m.hmp('savevm busy'))
        m.shell('for i in $(cat /jobs); do while kill -0 $i 2>/dev/null; do sleep 0.2; done; done', 200)
        ok(m.hmp('loadvm busy'))
        m.shell('for i in $(cat /jobs); do while kill -0 $i 2>/dev/null; do sleep 0.2; done; done', 200)
        check(m, disks, 'second')
        trouble = m.shell('dmesg | grep -iE "i/o error|timed out|abort" || true')
        assert not trouble, trouble
        ok(m.hmp('delvm busy'))
        m.quit()
    for tag, text in ('one', 'first'), ('two', 'second'):
        with again(options, tag, accel) as m:
            check(m, disks, text)
            m.shell('uptime')
            m.quit()
    for option in options:
        if 'file=' in option:
            path = option.split('file=')[1].split(',')[0]
            vm.tool('qemu-img', 'check', '-q', path)
    return f'saved in {took:.1f} s'


@vm.case
def pc():
    """IDE, virtio-blk, virtio-scsi and an LSI adapter."""
    return back_and_forth(PC, pc_options(), ['/dev/sda', '/dev/vda', '/dev/sdb', '/dev/sdc'])


@vm.case
def others():
    """AHCI, NVMe, pvscsi and megasas."""
    return back_and_forth(OTHERS, other_options(), ['/dev/sda', '/dev/nvme0n1', '/dev/sdb', '/dev/sdc'])


@vm.case
def kvm():
    """The same with the host's processor."""
    vm.need('/dev/kvm')
    return back_and_forth(PC, pc_options(), ['/dev/sda', '/dev/vda'], accel='kvm')


def conclude(m, name):
    """Waits for a job; its error or ''."""
    def ended():
        job, = [j for j in m.qmp('query-jobs') if j['id'] == name]
        return job if job['status'] == 'concluded' else None
    job = vm.wait_for(f'job {name}', ended, 60)
    m.qmp('job-dismiss', id=name)
    return job.get('error', '')


@vm.case
def jobs():
    """snapshot-save, -load and -delete, by the names of nodes."""
    path = disk('jobs')
    node = f'qcow2,node-name=n,file.driver=file,file.filename={path}'
    with storage.boot(['virtio_pci', 'virtio_blk'], '-blockdev', node, '-device', 'virtio-blk-pci,drive=n') as m:
        place = {'vmstate': 'n', 'devices': ['n']}
        m.shell('echo early > /sign')
        m.qmp('snapshot-save', **{'job-id': 'j', 'tag': 'one', **place})
        assert conclude(m, 'j') == ''
        m.shell('echo late > /sign')
        m.qmp('snapshot-save', **{'job-id': 'j', 'tag': 'one', **place})
        assert conclude(m, 'j') == "Snapshot 'one' already exists in one or more devices"
        m.qmp('snapshot-load', **{'job-id': 'j', 'tag': 'two', **place})
        assert conclude(m, 'j') == "Snapshot 'two' does not exist in one or more devices"
        assert m.shell('cat /sign') == 'late'
        m.qmp('snapshot-load', **{'job-id': 'j', 'tag': 'one', **place})
        assert conclude(m, 'j') == ''
        assert m.shell('cat /sign') == 'early'
        m.qmp('snapshot-delete', **{'job-id': 'j', 'tag': 'one', 'devices': ['n']})
        assert conclude(m, 'j') == ''
        assert m.hmp('info snapshots').strip() == 'There is no snapshot available.'
        m.quit()
    assert b'one' not in subprocess.run(['qemu-img', 'snapshot', '-l', path], stdout=subprocess.PIPE, check=True).stdout


if __name__ == '__main__':
    vm.run()
