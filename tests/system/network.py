# SPDX-License-Identifier: GPL-3.0-or-later
"""Network cards under Debian's kernel, behind the user-mode network: leases, names, transfers both ways; booting."""
import contextlib
import hashlib
import http.server
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import storage
import vhost_user
import vm


@contextlib.contextmanager
def web(data):
    """A server of one document; its port."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *what):
            pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def fetch_from_guest(port):
    with socket.create_connection(('127.0.0.1', port), 30) as s:
        parts = []
        while part := s.recv(1 << 16):
            parts.append(part)
    return b''.join(parts)


def bring_up(m):
    """By the lease that the network gives."""
    m.shell('ip link set lo up; ip link set eth0 up; for i in $(seq 20); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] '
            '&& break; sleep 0.3; done')
    assert m.shell('cat /sys/class/net/eth0/address') == '52:54:00:ab:cd:ef'
    lease = m.shell('udhcpc -i eth0 -n -q -f -s /bin/true 2>&1', 30)
    assert 'lease of 10.0.2.15 obtained from 10.0.2.2' in lease, lease
    m.shell('ip addr add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2')
    pings = m.shell('ping -c 3 10.0.2.2 2>&1', 30)
    assert ' 0% packet loss' in pings, pings


def transfers(m, size, inside):
    data = os.urandom(1 << 20) * (size >> 20)
    with web(data) as port:
        got = m.shell(f'wget -q -O - http://10.0.2.2:{port}/ | md5sum', 300).split()[0]
    assert got == hashlib.md5(data).hexdigest()
    # From the host into the guest, and the bytes out of it.
    m.shell('dd if=/dev/urandom of=/out.bin bs=1M count=20 2>/dev/null', 60)
    m.shell('(nc -l -p 2222 < /out.bin > /dev/null 2>&1 &)')
    for _ in range(50):
        out = fetch_from_guest(inside)
        if out:
            break
        time.sleep(0.2)
    assert hashlib.md5(out).hexdigest() == m.shell('md5sum < /out.bin', 60).split()[0], len(out)


def drive(card, modules, size=20 << 20, carrier=True, looks=30, options=()):
    inside = free_port()
    with storage.boot(modules, '-nodefaults', '-netdev', f'user,id=n0,hostfwd=tcp::{inside}-:2222', '-device',
                      f'{card},netdev=n0,id=card,mac=52:54:00:ab:cd:ef', *options) as m:
        bring_up(m)
        # Sizes around every border of frames and fragments.
        for bytes_ in (1, 18, 1472, 1473, 4000, 16000):
            pings = m.shell(f'ping -c 2 -s {bytes_} 10.0.2.2 2>&1', 30)
            assert ' 0% packet loss' in pings, pings
        transfers(m, size, inside)
        six = m.shell('for i in $(seq 40); do ip -6 addr show dev eth0 | grep -q fec0 && break; sleep 0.5; done; '
                      'ping6 -c 2 fec0::2 2>&1', 60)
        assert ' 0% packet loss' in six, six
        for bytes_ in (1452, 1453, 16000):
            pings = m.shell(f'ping6 -c 2 -s {bytes_} fec0::2 2>&1', 30)
            assert ' 0% packet loss' in pings, pings
        # The plug is pulled, and put in again.
        m.qmp('set_link', name='card', up=False)
        if not carrier:
            pings = m.shell('ping -c 1 -W 2 10.0.2.2 2>&1; true', 30)
            assert ' 100% packet loss' in pings, pings
            m.qmp('set_link', name='card', up=True)
            pings = m.shell('ping -c 2 10.0.2.2 2>&1', 30)
            assert ' 0% packet loss' in pings, pings
            return
        m.shell('for i in $(seq %d); do [ "$(cat /sys/class/net/eth0/carrier)" = 0 ] && break; sleep 0.2; done' % looks,
                looks)
        assert m.shell('cat /sys/class/net/eth0/carrier') == '0'
        m.qmp('set_link', name='card', up=True)
        m.shell('for i in $(seq %d); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done' % looks,
                looks)
        pings = m.shell('ping -c 2 10.0.2.2 2>&1', 30)
        assert ' 0% packet loss' in pings, pings
        wrong = m.shell("dmesg | grep -iE 'eth0.*(hang|timeout|error)|csum failure|bad checksum' || true")
        assert not wrong, wrong


@vm.case
def e1000():
    drive('e1000', ['e1000'])


@vm.case
def e1000e():
    drive('e1000e', ['e1000e'], 100 << 20)


@vm.case
def tulip():
    drive('tulip', ['tulip'], looks=350)  # the driver looks at its PHY once a minute


@vm.case
def vmxnet3():
    drive('vmxnet3', ['vmxnet3'], 100 << 20)


@vm.case
def vmxnet3_queues():
    """One for each processor, where old machines had the capabilities."""
    drive('vmxnet3,x-old-msi-offsets=on', ['vmxnet3'], options=('-smp', '4'))


@vm.case
def virtio():
    drive('virtio-net-pci', ['virtio-net', 'virtio-pci'], 100 << 20)


@vm.case
def virtio_plain():
    """Without any of the features that make it quick."""
    drive('virtio-net-pci,mrg_rxbuf=off,csum=off,guest_csum=off,ctrl_vq=off,packed=on,status=on', ['virtio-net', 'virtio-pci'])


@vm.case
def rtl8139():
    drive('rtl8139', ['8139cp', '8139too'])


@vm.case
def eepro100():
    drive('i82559c', ['e100'])


@vm.case
def eepro100_old():
    drive('i82557b', ['e100'])


@vm.case
def ne2k():
    """It cannot tell whether there is a link."""
    drive('ne2k_pci', ['ne2k-pci'], carrier=False)


@vm.case
def pcnet():
    drive('pcnet', ['pcnet32'])


# Cards without anything of their own in common, and their drivers.
CARDS = {'rtl8139': '8139cp', 'pcnet': 'pcnet32', 'ne2k_pci': 'ne2k-pci', 'i82559c': 'e100', 'e1000e': 'e1000e',
         'tulip': 'tulip', 'vmxnet3': 'vmxnet3'}


@vm.case
def cards_plugged():
    """They come and go while the machine runs."""
    with storage.boot(list(CARDS.values()), '-nodefaults') as m:
        for card in [*CARDS, *CARDS]:
            m.qmp('netdev_add', type='user', id='n')
            m.qmp('device_add', driver=card, netdev='n', id='card', mac='52:54:00:ab:cd:ef')
            m.shell('for i in $(seq 50); do [ -e /sys/class/net/eth0 ] && break; sleep 0.2; done')
            bring_up(m)
            m.qmp('device_del', id='card')
            m.qmp.wait_event('DEVICE_DELETED', 60)
            m.shell('for i in $(seq 50); do [ -e /sys/class/net/eth0 ] || break; sleep 0.2; done; [ ! -e /sys/class/net/eth0 ]')
            m.qmp('netdev_del', id='n')
        m.quit()


def ping_all(m):
    for n, card in enumerate(CARDS):
        pings = m.shell(f'ping -c 3 -s 4000 10.0.{n}.2 2>&1; true', 30)
        # Single ones are lost with the back end's state, which is not saved, and beside a flood.
        assert ' bytes from ' in pings, f'{card}: {pings}'


@vm.case
def cards_saved():
    """A snapshot in the middle of traffic, gone on with here and in another process."""
    image = vm.scratch() / 'saved.qcow2'
    vm.tool('qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M')
    options = ['-nodefaults', '-drive', f'file={image},if=ide']
    for n, card in enumerate(CARDS):
        options += ['-netdev', f'user,id=n{n},net=10.0.{n}.0/24', '-device', f'{card},netdev=n{n},mac=52:54:00:00:00:0{n}']
    with storage.boot(list(CARDS.values()), *options) as m:
        for n in range(len(CARDS)):
            m.shell(f'for e in /sys/class/net/eth*; do if [ $(cat $e/address) = 52:54:00:00:00:0{n} ]; then '
                    f'ip link set ${{e##*/}} up; ip addr add 10.0.{n}.15/24 dev ${{e##*/}}; fi; done')
        m.shell('sleep 3')
        ping_all(m)
        for n in range(len(CARDS)):
            m.shell(f'(ping -i 0.01 -s 8000 10.0.{n}.2 > /dev/null 2>&1 &)')
        said = m.hmp('savevm one')
        assert not said.strip(), said
        ping_all(m)
        said = m.hmp('loadvm one')
        assert not said.strip(), said
        ping_all(m)
        m.quit()
    with vm.Machine('-m', '256M', '-kernel', storage.kernel_package()[0], '-initrd', vm.initramfs(), '-append',
                    storage.QUIET, '-loadvm', 'one', *options) as m:
        ping_all(m)
        m.quit()


def plugged(m):
    return [d['qdev_id'] for bus in m.qmp('query-pci') for d in bus['devices'] if d['qdev_id']]


@vm.case
def failover():
    """The primary comes when the guest can make one card of two, carries the traffic, is saved with it, and goes."""
    image, mac = vm.scratch() / 'failover.qcow2', '52:54:00:ab:cd:ef'
    vm.tool('qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M')
    options = ['-nodefaults', '-drive', f'file={image},if=ide', '-netdev', 'user,id=n0', '-netdev', 'user,id=n1',
               '-device', f'e1000,netdev=n1,id=primary,failover_pair_id=standby,mac={mac}',
               '-device', f'virtio-net-pci,netdev=n0,id=standby,failover=on,mac={mac}']

    def sent(m):
        return int(m.shell('cat /sys/class/net/eth2/statistics/tx_packets'))

    with storage.boot(['e1000', 'virtio-net', 'virtio-pci'], *options) as m:
        assert 'warning' not in m.stderr(), m.stderr()
        assert m.qmp.wait_event('FAILOVER_NEGOTIATED')['data'] == {'device-id': 'standby'}
        m.shell('for i in $(seq 50); do [ -e /sys/class/net/eth2 ] && break; sleep 0.2; done; [ -e /sys/class/net/eth2 ]')
        bring_up(m)
        assert m.shell('ls -d /sys/class/net/eth0/lower_*').split() == \
            ['/sys/class/net/eth0/lower_eth1', '/sys/class/net/eth0/lower_eth2']
        before = sent(m)
        assert ' 0% packet loss' in m.shell('ping -c 3 10.0.2.2 2>&1', 30)
        assert sent(m) > before
        said = m.hmp('savevm both')
        assert not said.strip(), said
        m.qmp('device_del', id='primary')
        m.qmp.wait_event('DEVICE_DELETED', 60)
        m.shell('for i in $(seq 50); do [ -e /sys/class/net/eth2 ] || break; sleep 0.2; done; [ ! -e /sys/class/net/eth2 ]')
        assert ' 0% packet loss' in m.shell('ping -c 3 10.0.2.2 2>&1', 30)
        # Another one: the guest can still do with two.
        m.qmp('device_add', driver='e1000', id='primary', netdev='n1', mac=mac, failover_pair_id='standby')
        m.shell('for i in $(seq 50); do [ -e /sys/class/net/eth2 ] && break; sleep 0.2; done; [ -e /sys/class/net/eth2 ]')
        assert ' 0% packet loss' in m.shell('sleep 3; ping -c 3 10.0.2.2 2>&1', 30)
        assert sent(m) > 0
        m.quit()
    with vm.Machine('-m', '256M', '-kernel', storage.kernel_package()[0], '-initrd', vm.initramfs(), '-append',
                    storage.QUIET, *options, run=False) as m:
        assert plugged(m) == ['standby'], plugged(m)
        said = m.hmp('savevm before')
        assert not said.strip(), said
        for _ in range(2):
            said = m.hmp('loadvm both')
            assert not said.strip(), said
            assert sorted(plugged(m)) == ['primary', 'standby'], plugged(m)
            said = m.hmp('loadvm before')
            assert not said.strip(), said
            assert plugged(m) == ['standby'], plugged(m)
        said = m.hmp('loadvm both')
        m.qmp('cont')
        assert m.shell('ls -d /sys/class/net/eth0/lower_*').count('lower_') == 2
        # Some are lost with the back end's state.
        assert ' bytes from ' in m.shell('ping -c 8 10.0.2.2 2>&1', 30)
        m.quit()


@vm.case
def smb():
    """A folder of the host, by the host's Samba: read and written by the guest's kernel, from two mounts."""
    vm.need('/usr/sbin/smbd')
    folder = vm.scratch() / 'a folder 100%Hot'
    folder.mkdir()
    data = os.urandom(5 << 20)
    (folder / 'from-host').write_bytes(data)
    ciphers = ['cmac', 'ccm', 'gcm', 'ctr', 'ecb', 'sha256_generic', 'sha512_generic', 'md4', 'md5', 'hmac', 'aes_generic']
    with storage.boot(['virtio-net', 'virtio-pci', 'cifs', *ciphers], '-nodefaults', '-netdev',
                      f'user,id=n0,smb={folder}', '-device', 'virtio-net-pci,netdev=n0,mac=52:54:00:ab:cd:ef') as m:
        bring_up(m)
        places = sorted(pathlib.Path(tempfile.gettempdir()).glob('vitrine-smb.*'), key=os.path.getmtime)
        for at in ('one', 'two'):
            m.shell(f'mkdir /{at}; mount -t cifs //10.0.2.4/qemu /{at} '
                    '-o ip=10.0.2.4,username=someone,password=,vers=3.0,nosharesock 2>&1', 60)
        assert m.shell('md5sum < /one/from-host', 60).split()[0] == hashlib.md5(data).hexdigest()
        m.shell('dd if=/dev/urandom of=/one/from-guest bs=1M count=5 2>/dev/null; mkdir /one/d; mv /one/from-guest /one/d/g; '
                'rm /one/from-host; umount /one', 60)
        assert m.shell('md5sum < /two/d/g', 60).split()[0] == hashlib.md5((folder / 'd/g').read_bytes()).hexdigest()
        assert [path.name for path in folder.iterdir()] == ['d']
        m.quit()
    assert not places[-1].exists() and (folder / 'd/g').exists()
    running = subprocess.run(['pgrep', '-f', str(places[-1])], check=False, capture_output=True)
    assert not running.stdout, running


def boot_from(card, rom=None, kernel=None):
    """By the card's ROM, or by KERNEL, which brings drivers of its own."""
    folder = vm.scratch() / f'tftp-{card}'
    folder.mkdir(exist_ok=True)
    (folder / 'start.ipxe').write_text('#!ipxe\necho What was booted came from the network\nprompt\n')
    vm.need(kernel or f'/usr/lib/ipxe/qemu/efi-{rom or card}.rom')
    with vm.Machine('-m', '64M', '-boot', 'n', '-nodefaults', '-vga', 'std', '-netdev',
                    f'user,id=n0,tftp={folder},bootfile=start.ipxe', '-device',
                    *([f'{card},netdev=n0', '-kernel', kernel] if kernel else [f'{card},netdev=n0,bootindex=0'])) as m:
        m.wait_screen('came from the network', 90)


@vm.case
def boot_e1000():
    boot_from('e1000')


@vm.case
def boot_e1000e():
    boot_from('e1000e')


@vm.case
def boot_vmxnet3():
    boot_from('vmxnet3')


@vm.case
def boot_virtio():
    boot_from('virtio-net-pci', 'virtio')


@vm.case
def boot_eepro100():
    boot_from('i82551', 'eepro100')


@vm.case
def boot_ne2k():
    boot_from('ne2k_pci')


@vm.case
def boot_ne2k_isa():
    boot_from('ne2k_isa', kernel='/usr/lib/ipxe/ipxe.lkrn')


@vm.case
def boot_pcnet():
    boot_from('pcnet')


@vm.case
def boot_rtl8139():
    boot_from('rtl8139')


# --- interfaces of the host, in a network namespace of the test's own ---

def alone(name):
    """Runs this case once more where networks may be changed. True: this is where."""
    if os.environ.get('VITRINE_ALONE') == name:
        return True
    vm.need('unshare', 'ip', '/dev/net/tun')
    if subprocess.run(['unshare', '-rnm', 'ip', 'link', 'add', 'br0', 'type', 'bridge'], check=False,
                      capture_output=True).returncode:
        raise vm.Skip('no network namespace with bridges may be made here')
    storage.kernel_package()
    vm.tool('unshare', '-rnm', sys.executable, __file__, vm.program(), name, env=dict(os.environ, VITRINE_ALONE=name))
    return False


def make_bridge():
    storage.kernel_package()  # while /etc is what it was
    passwd = pathlib.Path('/etc/passwd').read_bytes()
    vm.tool('mount', '-t', 'tmpfs', 'tmpfs', '/etc')
    pathlib.Path('/etc/passwd').write_bytes(passwd)
    os.mkdir('/etc/qemu')
    subprocess.run(['ip', 'link', 'del', 'br0'], check=False, capture_output=True)  # of a first try
    for line in ('link set lo up', 'link add br0 type bridge', 'addr add 10.9.0.1/24 dev br0',
                 'link set br0 up'):
        vm.tool('ip', *line.split())


def refused(helper, rules, why, *arguments):
    pathlib.Path('/etc/qemu/bridge.conf').write_text(rules)
    here, there = socket.socketpair()
    with here, there:
        done = subprocess.run([helper, *(arguments or ('--br=br0', f'--fd={there.fileno()}'))], capture_output=True,
                              text=True, pass_fds=[there.fileno()], check=False, timeout=20)
    assert done.returncode == 1 and why in done.stderr, (rules, done)


@vm.case
def bridge():
    """The helper's rules; two machines and the host on one bridge, one of them by the helper, one by a TAP of its own."""
    if not alone('bridge'):
        return
    make_bridge()
    helper = pathlib.Path(vm.program()).resolve().parent / '../net/bridge-helper/vitrine-bridge-helper'
    shutil.copy('/etc/passwd', '/etc/qemu/other.conf')
    denied = "access denied: no rule allows the bridge 'br0'"
    for rules, why in (('', denied), ('allow br1\n', denied), ('allow all\ndeny br0\n', denied),
                       ('deny all\nallow br0\n', denied), ('allow br0 x\n', "'allow' is no rule"),
                       ('permit br0\n', "bridge.conf:1: 'permit' is no rule"), ('# allow br0\n', denied),
                       ('include /etc/qemu/bridge.conf\n', 'too deeply'), ('include /etc/qemu/none\n', denied),
                       ('allow br0' + ' ' * 2000 + '\n', 'the line is too long'),
                       ('include /etc/qemu/other.conf\n', 'other.conf:1: ')):
        refused(helper, rules, why)
    refused(helper, 'allow all\n', 'no Unix socket', '--br=br0', '--fd=2')
    refused(helper, 'allow all\n', "'a/b' is no name of a bridge", '--br=a/b', '--fd=2')
    refused(helper, 'allow all\n', 'Usage:', '--br=br0')
    pathlib.Path('/etc/qemu/more.conf').write_text('allow br0 # the one\n')
    pathlib.Path('/etc/qemu/bridge.conf').write_text('# ours\n\ninclude /etc/qemu/more.conf\ndeny br1\n')
    modules = ['virtio-net', 'virtio-pci', 'e1000']
    with storage.boot(modules, '-nodefaults', '-netdev', f'bridge,id=n0,helper={helper}', '-device',
                      'virtio-net-pci,netdev=n0,mac=52:54:00:09:00:02') as a, \
            storage.boot(modules, '-nodefaults', '-netdev', 'tap,id=n0,ifname=tapb,script=no,downscript=no', '-device',
                         'e1000,netdev=n0,mac=52:54:00:09:00:03') as b:
        links = vm.tool('ip', '-o', 'link', 'show', 'master', 'br0').decode()
        assert links.count('\n') == 1 and ' tap0: ' in links and 'UP' in links and ' fe:' in links, links
        vm.tool('ip', 'link', 'set', 'tapb', 'master', 'br0', 'up')
        for m, address in ((a, 2), (b, 3)):
            m.shell(f'ip link set eth0 up; ip addr add 10.9.0.{address}/24 dev eth0')
        for m, other in ((a, '10.9.0.1'), (b, '10.9.0.1'), (a, '10.9.0.3'), (b, '10.9.0.2')):
            pings = m.shell(f'ping -c 3 -w 20 {other} 2>&1', 40)
            assert ' 0% packet loss' in pings or ' 33% packet loss' in pings, pings
        for server, client, address in ((a, b, '10.9.0.2'), (b, a, '10.9.0.3')):
            server.shell('dd if=/dev/urandom of=/out.bin bs=1M count=20 2>/dev/null; httpd -h /', 60)
            got = client.shell(f'wget -q -O - http://{address}/out.bin | md5sum', 100).split()[0]
            assert got == server.shell('md5sum < /out.bin', 60).split()[0]
    assert 'tap' not in vm.tool('ip', '-o', 'link').decode()


@vm.case
def vhost():
    """Another process serves the rings: it comes, pauses with the machine, goes without a word and comes again."""
    path = vm.scratch() / f'vhost-{time.monotonic()}'
    backend = vhost_user.Backend(path, queues=2)
    memory = ['-object', 'memory-backend-memfd,id=m,size=256M,share=on', '-machine', 'memory-backend=m']
    for card, queues in (('virtio-net-pci', 1), ('virtio-net-pci,mq=on', 2)):
        with storage.boot(['virtio-net', 'virtio-pci'], '-nodefaults', *memory, '-chardev',
                          f'socket,id=c,path={path},reconnect=1', '-netdev', f'vhost-user,id=n0,chardev=c,queues={queues}',
                          '-device', f'{card},netdev=n0,id=card') as m:
            def pings():
                said = m.shell('ping -c 3 -w 20 10.9.1.1 2>&1', 40)
                assert ' 0% packet loss' in said, said
            m.shell('ip link set eth0 up; ip addr add 10.9.1.2/24 dev eth0')
            pings()
            on = [backend.rings[i].enabled for i in sorted(backend.rings)]
            assert on == [True] * 2 + [False] * (2 * queues - 2), on  # one processor uses one pair
            assert {5, 9, 12, 13, 18} <= set(backend.seen), backend.seen
            m.qmp('stop')
            assert 11 in backend.seen
            backend.seen.clear()
            m.qmp('cont')
            pings()
            backend.drop()
            for _ in range(100):
                if m.shell('cat /sys/class/net/eth0/carrier') == '0':
                    break
                time.sleep(0.05)
            m.shell('for i in $(seq 50); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done')
            pings()
            m.qmp('set_link', name='card', up=False)
            m.qmp('set_link', name='card', up=True)
            m.shell('for i in $(seq 50); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done')
            pings()
            m.qmp('announce-self', initial=50, max=100, rounds=1, step=10)
            m.shell('ip link set eth0 down; ip link set eth0 up')
            pings()
    backend.stop()


if __name__ == '__main__':
    vm.run()
