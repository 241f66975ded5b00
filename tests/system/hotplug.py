# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtio disks that come and go while the guest works on them and on others."""
import hashlib

import storage
import virtio
import vm

DISKS = ['virtio_pci', 'virtio_blk']


def come_and_go(rounds, *options, device='virtio-blk-pci', thread=''):
    """A disk is read and written, another comes, is read, and goes in the middle of that; ROUNDS times."""
    steady, other = virtio.image('steady.img', 32 << 20), virtio.image('other.img', 32 << 20)
    with storage.boot(DISKS, '-smp', '2', '-drive', f'file={steady},format=raw,if=none,id=s', '-device',
                      f'{device},drive=s,serial=vitrine-disk-7{thread}', *options) as m:
        m.shell('dd if=/dev/urandom of=/tmp.bin bs=1M count=4 2>/dev/null')
        inside = m.shell('md5sum < /tmp.bin').split()[0]
        m.shell('((while [ ! -e /stop ]; do dd if=/tmp.bin of=/dev/vda bs=64k seek=16 oflag=direct 2>/dev/null; '
                '[ "$(dd if=/dev/vda bs=64k skip=16 count=64 iflag=direct 2>/dev/null | md5sum)" = '
                '"$(md5sum < /tmp.bin)" ] || echo bad >> /bad; done; echo end > /ended) &)')
        extra = {'iothread': 'io'} if thread else {}
        for number in range(rounds):
            m.qmp('blockdev-add', driver='raw', **{'node-name': 'o', 'file': {'driver': 'file', 'filename': str(other)}})
            m.qmp('device_add', driver=device, id='plugged', drive='o', **extra)
            storage.wait_node(m, '/dev/vdb')
            m.shell('(while dd if=/dev/vdb of=/dev/null bs=64k iflag=direct 2>/dev/null; do :; done) & '
                    '(while dd if=/tmp.bin of=/dev/vdb bs=16k seek=9 oflag=direct 2>/dev/null; do :; done) & sleep 0.3')
            m.qmp('device_del', id='plugged')
            m.qmp.wait_event('DEVICE_DELETED', 60)
            m.shell('for i in $(seq 40); do [ -e /dev/vdb ] || break; sleep 0.5; done; [ ! -e /dev/vdb ]', 60)
            m.qmp('blockdev-del', **{'node-name': 'o'})
        m.shell('> /stop; for i in $(seq 40); do [ -e /ended ] && break; sleep 0.5; done; [ -e /ended ]', 60)
        assert m.shell('cat /bad 2>/dev/null; true') == ''
        m.quit()
    assert hashlib.md5(steady.read_bytes()[1 << 20:5 << 20]).hexdigest() == inside


@vm.case
def short():
    come_and_go(4)


@vm.case
def fifty():
    come_and_go(50)


@vm.case
def iothread():
    come_and_go(12, '-object', 'iothread,id=io', thread=',iothread=io')


if __name__ == "__main__":
    vm.run()
