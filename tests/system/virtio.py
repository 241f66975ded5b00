# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's kernel with its virtio drivers: disks, random bytes, ports, memory that comes and goes."""
import hashlib
import os
import socket
import struct

import linux
import vm

ORDER = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci',
         'virtio-rng', 'virtio_balloon', 'virtio_console', 'virtio_blk', 'scsi_common', 'scsi_mod',
         'crct10dif_common', 'crct10dif_generic', 'crc-t10dif', 'crc64', 'crc64-rocksoft-generic', 'crc64-rocksoft',
         't10-pi', 'sd_mod', 'virtio_scsi', 'evdev', 'virtio_input']


def boot(*options, accel='tcg', seconds=100, more=()):
    """A shell with all drivers loaded, and MORE."""
    files, kernel = linux.packaged('linux-image-amd64')
    found = {path.stem: path for path in files.rglob('*.ko')}
    names = [name for name in [*ORDER, *more] if name in found]
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


@vm.case
def iothread():
    """Queues of a disk and of an adapter on threads of their own, which work, have their names and stay as long as they
    are used."""
    path, other = image('io1.img'), image('io2.img')
    with boot('-object', 'iothread,id=one,poll-max-ns=1000', '-object', 'iothread,id=two,aio-max-batch=2', '-smp', '2',
              '-drive', f'file={path},format=raw,if=none,id=d', '-device',
              'virtio-blk-pci,drive=d,iothread=one,num-queues=2,id=disk,serial=vitrine-disk-7',
              '-device', 'virtio-scsi-pci,id=hba,iothread=two', '-drive', f'file={other},format=raw,if=none,id=e',
              '-device', 'scsi-hd,drive=e,bus=hba.0') as m:
        threads = {thread['id']: thread for thread in m.qmp('query-iothreads')}
        assert threads['one']['poll-max-ns'] == 1000 and threads['two']['aio-max-batch'] == 2, threads
        tasks = f'/proc/{m.process.pid}/task'
        for name, thread in threads.items():
            assert open(f'{tasks}/{thread["thread-id"]}/comm').read().strip() == f'IO {name}'
        for disk, image_path in (('/dev/vda', path), ('/dev/sda', other)):
            inside = exercise_disk(m, disk)
            assert hashlib.md5(image_path.read_bytes()[1 << 20:5 << 20]).hexdigest() == inside
        for thread in threads.values():
            ran = open(f'{tasks}/{thread["thread-id"]}/schedstat').read().split()
            assert int(ran[2]) > 10, ran
        try:
            m.qmp('object-del', id='one')
        except Exception as error:
            assert 'in use' in str(error), error
        else:
            raise AssertionError('object-del of a thread in use')
        m.qmp('device_del', id='disk')
        m.qmp.wait_event('DEVICE_DELETED')
        m.qmp('object-del', id='one')
        assert [thread['id'] for thread in m.qmp('query-iothreads')] == ['two']
        m.quit()


@vm.case
def iothread_queues():
    """A disk whose queues lie on two threads, written and read by four processors at once."""
    path = image('io3.img', 64 << 20)
    with boot('-object', 'iothread,id=one', '-object', 'iothread,id=two', '-smp', '4',
              '-drive', f'file={path},format=raw,if=none,id=d', '-device',
              'virtio-blk-pci,drive=d,num-queues=4,id=disk,iothread-vq-mapping.0.iothread=one,'
              'iothread-vq-mapping.0.vqs.0=0,iothread-vq-mapping.0.vqs.1=2,iothread-vq-mapping.1.iothread=two,'
              'iothread-vq-mapping.1.vqs.0=1,iothread-vq-mapping.1.vqs.1=3') as m:
        assert m.shell('ls /sys/block/vda/mq').split() == ['0', '1', '2', '3']
        m.shell('for i in 0 1 2 3; do dd if=/dev/urandom of=/t$i bs=1M count=3 2>/dev/null; done')
        m.shell('for i in 0 1 2 3; do taskset $((1 << i)) dd if=/t$i of=/dev/vda bs=64k seek=$((i * 256 + 16)) conv=fsync '
                '2>/dev/null & done; wait; echo 3 > /proc/sys/vm/drop_caches')
        inside = m.shell('cat /t0 /t1 /t2 /t3 | md5sum').split()[0]
        m.shell('for i in 0 1 2 3; do taskset $((1 << i)) dd if=/dev/vda bs=64k skip=$((i * 256 + 16)) count=48 of=/r$i 2>/dev/null '
                '& done; wait')
        assert m.shell('cat /r0 /r1 /r2 /r3 | md5sum').split()[0] == inside
        tasks = f'/proc/{m.process.pid}/task'
        for thread in m.qmp('query-iothreads'):
            ran = open(f'{tasks}/{thread["thread-id"]}/schedstat').read().split()
            assert int(ran[2]) > 10, (thread, ran)
        m.qmp('device_del', id='disk')
        m.qmp.wait_event('DEVICE_DELETED')
        for name in ('one', 'two'):
            m.qmp('object-del', id=name)
        m.quit()
    data = path.read_bytes()
    assert hashlib.md5(b''.join(data[(i * 16 + 1) << 20:(i * 16 + 4) << 20] for i in range(4))).hexdigest() == inside


@vm.case
def folder():
    """A folder as a FAT disk that the guest writes: it is in the folder when the guest flushes, and in the end."""
    shared = vm.scratch() / 'shared'
    (shared / 'sub').mkdir(parents=True)
    for name in ('from the host', 'moved.txt', 'gone', 'grows', 'sub/deep'):
        (shared / name).write_text(f'this is {name}\n')
    with boot('-drive', f'file=fat:rw:{shared},format=raw,if=virtio',
              more=['nls_base', 'nls_cp437', 'nls_ascii', 'nls_utf8', 'fat', 'vfat']) as m:
        m.shell('mkdir /f; mount -t vfat /dev/vda1 /f')
        assert m.shell('cat "/f/from the host"') == 'this is from the host'
        m.shell('mkdir /f/dir; mv /f/moved.txt "/f/dir/a long name"; rm /f/gone; echo more >> /f/grows; sync')
        m.shell('dd if=/dev/urandom of=/f/new.bin bs=1k count=300 conv=fsync 2>/dev/null')
        inside = m.shell('md5sum < /f/new.bin').split()[0]
        new = shared / 'new.bin'
        vm.wait_for('the new file', lambda: new.exists() and hashlib.md5(new.read_bytes()).hexdigest() == inside)
        m.shell('for i in 1 2 3 4 5; do cp /f/new.bin "/f/sub/copy number $i"; done; rm /f/sub/deep; umount /f')
        m.quit()
    found = {str(path.relative_to(shared)) for path in shared.rglob('*')}
    assert found == {'from the host', 'dir', 'dir/a long name', 'grows', 'new.bin', 'sub',
                     *(f'sub/copy number {i}' for i in range(1, 6))}, found
    assert (shared / 'grows').read_text() == 'this is grows\nmore\n'
    assert (shared / 'dir/a long name').read_text() == 'this is moved.txt\n'
    for path in [new, *(shared / f'sub/copy number {i}' for i in range(1, 6))]:
        assert hashlib.md5(path.read_bytes()).hexdigest() == inside, path


@vm.case
def drive_option():
    """-drive if=virtio: a queue for each processor; the disk grows under the guest."""
    path = image('drive.img')
    with boot('-drive', f'file={path},format=raw,if=virtio', '-smp', '2') as m:
        m.shell('[ -b /dev/vda ]')
        assert m.shell('ls /sys/block/vda/mq').split() == ['0', '1']
        m.qmp('block_resize', device='virtio0', size=32 << 20)
        vm.wait_for('the new size', lambda: m.shell('cat /sys/block/vda/size') == '65536')
        m.quit()


@vm.case
def rng():
    with boot('-object', 'rng-random,id=r,filename=/dev/urandom', '-device',
              'virtio-rng-pci,rng=r,max-bytes=65536,period=100') as m:
        assert m.shell('cat /sys/class/misc/hw_random/rng_current').startswith('virtio_rng')
        m.shell('dd if=/dev/hwrng of=/r bs=4096 count=32 2>/dev/null')
        assert m.shell('wc -c < /r') == '131072'
        assert int(m.shell('gzip < /r | wc -c')) > 131072
        m.quit()


@vm.case
def balloon():
    with boot('-device', 'virtio-balloon-pci,id=b,guest-stats-polling-interval=1') as m:
        total = m.qmp('query-balloon')['actual']
        assert total == 256 << 20
        m.qmp('balloon', value=160 << 20)
        vm.wait_for('the balloon', lambda: m.qmp('query-balloon')['actual'] == 160 << 20, 30, 0.2)
        m.qmp.wait_event('BALLOON_CHANGE')
        rss = int(m.shell('grep MemFree /proc/meminfo').split()[1])
        assert rss < 160 << 10, rss
        stats = vm.wait_for('statistics', lambda: (lambda got: got['last-update'] and got)(
            m.qmp('qom-get', path='/machine/peripheral/b', property='guest-stats')), 10, 0.2)
        assert 0 < stats['stats']['stat-free-memory'] < 256 << 20, stats
        interval = {'path': '/machine/peripheral/b', 'property': 'guest-stats-polling-interval'}
        m.qmp('qom-set', value=2, **interval)
        assert m.qmp('qom-get', **interval) == 2
        m.qmp('balloon', value=256 << 20)
        vm.wait_for('the memory back', lambda: m.qmp('query-balloon')['actual'] == total, 30, 0.2)
        m.shell('dd if=/dev/zero of=/full bs=1M count=100 2>/dev/null; rm /full')
        m.quit()


@vm.case
def serial():
    path = vm.scratch() / 'agent'
    with boot('-device', 'virtio-serial-pci,id=vs', '-chardev', f'socket,id=a,path={path},server=on,wait=off',
              '-device', 'virtserialport,bus=vs.0,chardev=a,name=org.test.agent,id=port',
              '-chardev', 'ringbuf,id=con,size=65536', '-device', 'virtconsole,chardev=con,id=con0') as m:
        assert m.shell('cat /sys/class/virtio-ports/vport*/name').split() == ['org.test.agent']
        name = m.shell('ls /dev | grep vport | tail -1')
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.settimeout(30)
            m.send(f'(exec 3<>/dev/{name}; while read l <&3; do echo "got $l" >&3; done) &\n')
            event = m.qmp.wait_event('VSERPORT_CHANGE')
            assert event['data'] == {'id': 'port', 'open': True}, event
            opened = {chr['label']: chr['frontend-open'] for chr in m.qmp('query-chardev')}
            assert opened['a'], opened
            s.sendall(b'hello agent\n')
            assert s.recv(100) == b'got hello agent\n'
            m.send('kill %1\n')
        m.shell('echo on the console > /dev/hvc0')
        assert 'on the console' in m.qmp('ringbuf-read', device='con', size=1000)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.settimeout(30)
            m.send(f'head -c 3000000 /dev/zero > /dev/{name}; echo se$((1+1))nt\n')
            got = 0
            while got < 3000000:
                got += len(s.recv(65536))
            m.wait('se2nt')
        m.qmp('device_del', id='port')
        m.qmp.wait_event('DEVICE_DELETED')
        m.shell(f'for i in 1 2 3 4 5; do [ -e /dev/{name} ] || break; sleep 1; done; [ ! -e /dev/{name} ]')
        m.quit()


@vm.case
def firmware():
    """SeaBIOS starts from the disk that the bootindex says."""
    sector, words = vm.assemble('sector').read_bytes(), []
    for name in ('one', 'two'):
        path = vm.scratch() / f'{name}.img'
        path.write_bytes(sector + f'second sector of {name}'.encode().ljust(512, b'\0') + bytes(1 << 20))
        words += ['-drive', f'file={path},format=raw,if=none,id={name}']
    for name in ('one', 'two'):
        last = {'one': 'two', 'two': 'one'}[name]
        with vm.Machine('-m', '16M', '-nic', 'none', *words, '-device', f'virtio-blk-pci,drive={last},bootindex=2',
                        '-device', f'virtio-blk-pci-non-transitional,drive={name},bootindex=1') as m:
            m.wait(f'second sector of {name}', 60)
            m.quit()


@vm.case
def scsi():
    """Two disks on one adapter, one of which comes and goes."""
    path, other = image('scsi-disk.img'), image('scsi-other.img', 4 << 20)
    with boot('-smp', '2', '-device', 'virtio-scsi-pci,id=scsi0', '-drive', f'file={path},format=raw,if=none,id=d',
              '-device', 'scsi-hd,bus=scsi0.0,drive=d,scsi-id=3,lun=5', '-drive',
              f'file={other},format=raw,if=none,id=e') as m:
        inside = exercise_disk(m, '/dev/sda')
        assert m.shell('ls /sys/class/scsi_device').split() == ['0:0:3:5']
        assert m.shell('ls /sys/block/sda/mq | wc -l') == '2'
        m.qmp('device_add', driver='scsi-hd', bus='scsi0.0', drive='e', id='second')
        m.shell('for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/sdb ] && break; sleep 1; done; [ -b /dev/sdb ]')
        assert m.shell('head -c 21 /dev/sdb') == 'first sector of scsi-'
        m.qmp('device_del', id='second')
        m.qmp.wait_event('DEVICE_DELETED')
        m.shell('for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/sdb ] || break; sleep 1; done; [ ! -b /dev/sdb ]')
        m.shell('echo 1 > /sys/block/sda/device/delete; [ ! -b /dev/sda ]')
        m.quit()
    assert hashlib.md5(path.read_bytes()[1 << 20:5 << 20]).hexdigest() == inside


def events(m, path):
    """Type, code and value of what was read from an event node."""
    data = bytes.fromhex(m.shell(f'hexdump -v -e \'1/1 "%02x"\' {path}'))
    return [event[2:] for event in struct.iter_unpack('<qqHHi', data)]


@vm.case
def inputs():
    """Keys and positions reach the guest by the newest device; its lights reach us."""
    with boot('-device', 'virtio-keyboard-pci', '-device', 'virtio-tablet-pci', '-device', 'virtio-multitouch-pci') as m:
        names = m.shell('cat /sys/class/input/input*/name').splitlines()
        assert 'Vitrine Virtio Keyboard' in names and 'Vitrine Virtio Tablet' in names, names
        touch = m.shell('for i in /sys/class/input/input*; do grep -q MultiTouch $i/name && '
                        'cat $i/properties $i/capabilities/abs $i/capabilities/key; done; true').split()
        # A direct device (bit 1) with slots, tracking numbers and positions, and a touch.
        assert int(touch[0], 16) == 2, touch
        assert int(touch[1], 16) == 1 << 0x2f | 1 << 0x35 | 1 << 0x36 | 1 << 0x39, touch
        nodes = {}
        for kind in ('Keyboard', 'Tablet'):
            found = m.shell('for i in /sys/class/input/event*; do '
                            f'grep -q "Virtio {kind}" $i/device/name && echo $i; done; '
                            'true')
            nodes[kind] = found.split('/')[-1]
        m.shell(f'(cat /dev/input/{nodes["Keyboard"]} > /keys) & (cat /dev/input/{nodes["Tablet"]} > /moves) & sleep 1')
        m.key('a')
        m.qmp('input-send-event', events=[{'type': 'abs', 'data': {'axis': 'x', 'value': 0x1234}},
                                          {'type': 'abs', 'data': {'axis': 'y', 'value': 0x4321}}])
        m.shell('sleep 1')
        keys, moves = (events(m, path) for path in ('/keys', '/moves'))
        assert [key for key in keys if key[0] == 1] == [(1, 30, 1), (1, 30, 0)], keys
        assert (3, 0, 0x1234) in moves and (3, 1, 0x4321) in moves, moves
        m.quit()


if __name__ == '__main__':
    vm.run()
