# SPDX-License-Identifier: GPL-3.0-or-later
"""Network cards under Debian's kernel, behind the user-mode network: leases, names, transfers both ways; booting."""
import contextlib
import hashlib
import http.server
import os
import socket
import threading
import time

import storage
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


def drive(card, modules, size=20 << 20):
    inside = free_port()
    with storage.boot(modules, '-nodefaults', '-netdev', f'user,id=n0,hostfwd=tcp::{inside}-:2222', '-device',
                      f'{card},netdev=n0,id=card,mac=52:54:00:ab:cd:ef') as m:
        bring_up(m)
        # Sizes around every border of frames and fragments.
        for bytes_ in (1, 18, 1472, 1473, 4000, 16000):
            pings = m.shell(f'ping -c 2 -s {bytes_} 10.0.2.2 2>&1', 30)
            assert ' 0% packet loss' in pings, pings
        transfers(m, size, inside)
        six = m.shell('for i in $(seq 40); do ip -6 addr show dev eth0 | grep -q fec0 && break; sleep 0.5; done; '
                      'ping6 -c 2 fec0::2 2>&1', 60)
        assert ' 0% packet loss' in six, six
        # The plug is pulled, and put in again.
        m.qmp('set_link', name='card', up=False)
        m.shell('for i in $(seq 30); do [ "$(cat /sys/class/net/eth0/carrier)" = 0 ] && break; sleep 0.2; done')
        assert m.shell('cat /sys/class/net/eth0/carrier') == '0'
        m.qmp('set_link', name='card', up=True)
        m.shell('for i in $(seq 30); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.2; done')
        pings = m.shell('ping -c 2 10.0.2.2 2>&1', 30)
        assert ' 0% packet loss' in pings, pings
        wrong = m.shell("dmesg | grep -iE 'eth0.*(hang|timeout|error)|csum failure|bad checksum' || true")
        assert not wrong, wrong


@vm.case
def e1000():
    drive('e1000', ['e1000'])


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
def pcnet():
    drive('pcnet', ['pcnet32'])


def boot_from(card, rom=None):
    folder = vm.scratch() / f'tftp-{card}'
    folder.mkdir()
    (folder / 'start.ipxe').write_text('#!ipxe\necho What was booted came from the network\nprompt\n')
    vm.need(f'/usr/lib/ipxe/qemu/efi-{rom or card}.rom')
    with vm.Machine('-m', '64M', '-boot', 'n', '-nodefaults', '-vga', 'std', '-netdev',
                    f'user,id=n0,tftp={folder},bootfile=start.ipxe', '-device', f'{card},netdev=n0,bootindex=0') as m:
        m.wait_screen('came from the network', 90)


@vm.case
def boot_e1000():
    boot_from('e1000')


@vm.case
def boot_virtio():
    boot_from('virtio-net-pci', 'virtio')


@vm.case
def boot_pcnet():
    boot_from('pcnet')


@vm.case
def boot_rtl8139():
    boot_from('rtl8139')


if __name__ == '__main__':
    vm.run()
