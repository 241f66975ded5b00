#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network by its monitors: what is shown, links, forwarded ports, cards and back ends that come and go."""
import json
import re
import socket
import sys
import time

from program import Machine, main


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def human():
    port, other = free_port(), free_port()
    m = Machine('-S', '-nodefaults', '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,id=e')
    m.negotiate()
    assert m.hmp('info network') == ('e: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\n'
                                     ' \\ n: index=0,type=user,net=10.0.2.0,restrict=off\n')
    head = '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n'
    assert m.hmp('info usernet') == 'Hub -1 (n):\n' + head
    assert m.hmp(f'hostfwd_add tcp::{port}-:22') == m.hmp(f'hostfwd_add n udp:127.0.0.1:{other}-10.0.2.9:53') == ''
    shown = m.hmp('info usernet')
    assert re.search(rf'TCP\[HOST_FORWARD\] +\d+ +127.0.0.1 +{port} +10.0.2.15 +22 ', shown), shown
    assert re.search(rf'UDP\[HOST_FORWARD\] +\d+ +127.0.0.1 +{other} +10.0.2.9 +53 ', shown), shown
    socket.create_connection(('127.0.0.1', port), 5).close()
    assert m.hmp('hostfwd_add q tcp::1-:2') == "unrecognized netdev id 'q'\n"
    for rule, why in (('n', 'No : separators'), ('tcp:zz', 'Missing : separator'), ('xdp::1-:2', 'Bad protocol name'),
                      ('tcp::zz', 'Bad host port separator'), ('tcp:bad:1-:2', 'Bad host address'),
                      ('tcp::99999-:2', 'Bad host port'), ('tcp::1-2', 'Missing guest address'),
                      ('tcp::1-bad:2', 'Bad guest address'), ('tcp::1-:0', 'Bad guest port')):
        assert m.hmp(f'hostfwd_add {rule}') == f"Invalid host forwarding rule '{rule}' ({why})\n", rule
    assert m.hmp(f'hostfwd_add tcp::{port}-:22').startswith(f"Could not set up host forwarding rule 'tcp::{port}-:22'")
    assert m.hmp(f'hostfwd_remove tcp::{port}') == f'host forwarding rule for tcp::{port} removed\n'
    assert m.hmp(f'hostfwd_remove n tcp::{port}') == f'host forwarding rule for tcp::{port} not found\n'
    assert m.hmp('hostfwd_remove zz') == 'invalid format\n'
    assert m.hmp('set_link n off') == m.hmp('set_link e off') == m.hmp('set_link e on') == ''
    assert m.hmp('set_link zz off') == "Error: Device 'zz' not found\n"
    assert m.hmp('netdev_add user,id=n2,net=10.7.0.0/16,hostfwd=tcp::0-:1,hostfwd=tcp::0-:2') == ''
    assert m.hmp('info usernet').count('HOST_FORWARD') == 3
    assert 'n2: index=0,type=user,net=10.7.0.0,restrict=off\n' in m.hmp('info network')
    assert m.hmp('netdev_add user,id=n2') == "Error: Duplicate ID 'n2' for netdev\n"
    assert m.hmp('netdev_add user') == "Error: Parameter 'id' is missing\n"
    assert m.hmp('netdev_add foo,id=n3') == "Error: Parameter 'type' does not accept value 'foo'\n"
    assert m.hmp('netdev_del n2') == '' and m.hmp('netdev_del n2') == "Error: Device 'n2' not found\n"
    assert m.hmp('announce_self') == m.hmp('announce_self e') == m.hmp('announce_self zz,e name') == ''
    m.quit()


def hubs():
    m = Machine('-S', '-nodefaults', '-net', 'nic', '-net', 'user', '-netdev', 'user,id=u', '-netdev',
                'hubport,id=h,hubid=3,netdev=u', '-nic', 'hubport,hubid=3')
    m.negotiate()
    shown = m.hmp('info network')
    assert shown == ('hub 0\n'
                     ' \\ hub0port0: e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56\n'
                     ' \\ hub0port1: #net0: index=0,type=user,net=10.0.2.0,restrict=off\n'
                     'hub 3\n'
                     ' \\ h: u: index=0,type=user,net=10.0.2.0,restrict=off\n'
                     ' \\ #net1: e1000.1: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:57\n'), shown
    assert m.hmp('info usernet').startswith('Hub 0 (#net0):\n') and '\nHub 3 (u):\n' in m.hmp('info usernet')
    m.quit()


def gone(m, device):
    """With nobody who would answer, a reset ends what a guest holds on to."""
    m.ok('device_del', id=device)
    m.ok('system_reset')
    end = time.monotonic() + 20
    while any(p['name'] == device for p in m.ok('qom-list', path='/machine/peripheral')):
        assert time.monotonic() < end
        time.sleep(0.05)


def plugging():
    m = Machine('-S', '-nodefaults', '-machine', 'pc')
    m.negotiate()
    m.ok = lambda name, **args: m.command(name, **args)['return']
    for model in 'virtio-net-pci', 'e1000':
        for _ in range(3):
            # The back end goes first: the card stays, without a link.
            m.ok('netdev_add', type='user', id='n')
            m.ok('device_add', driver=model, id='e', netdev='n', mac='52:54:00:01:02:03')
            assert m.command('device_add', driver=model, id='e2', netdev='n')['error']['desc'] == \
                f"Property '{model}.netdev' can't take value 'n', it's in use"
            m.ok('netdev_del', id='n')
            assert m.hmp('info network') == f'e: index=0,type=nic,model={model},macaddr=52:54:00:01:02:03\n'
            m.ok('netdev_add', type='user', id='n')  # another of that name is another
            gone(m, 'e')
            assert m.hmp('info network') == 'n: index=0,type=user,net=10.0.2.0,restrict=off\n'
            # The card goes first: the back end takes the next one.
            m.ok('device_add', driver=model, id='e', netdev='n')
            gone(m, 'e')
            m.ok('device_add', driver=model, id='e', netdev='n')
            gone(m, 'e')
            m.ok('netdev_del', id='n')
            assert m.hmp('info network') == ''
    m.quit()


def refusal(m, name):
    return m.raw(f'{{"execute": "query-rx-filter", "arguments": {{"name": "{name}"}}}}')['error']['desc']


def failover():
    """A primary waits for its standby; what cannot be one says so."""
    m = Machine('-S', '-nodefaults', '-netdev', 'user,id=n', '-netdev', 'user,id=n2', '-device',
                'e1000e,id=p,netdev=n2,failover_pair_id=s', '-device', 'virtio-net-pci,netdev=n,id=s,failover=on')
    m.negotiate()

    def there():
        return [d['qdev_id'] for bus in m.command('query-pci')['return'] for d in bus['devices'] if d['qdev_id']]

    def add(**how):
        how = {'driver': 'e1000', 'failover_pair_id': 's', **how}
        answer = m.raw(json.dumps({'execute': 'device_add', 'arguments': how}))
        return answer['error']['desc'] if 'error' in answer else answer['return']
    assert there() == ['s']
    assert add(id='q', driver='virtio-rng-pci') == 'failover primary device is not an Ethernet device'
    assert add(id='p') == "Duplicate device ID 'p'"
    assert add() == 'Device with failover_pair_id needs to have id'
    # The one that waits is forgotten; another waits in its place.
    assert m.command('device_del', id='p')['return'] == {}
    assert 'error' in m.command('device_del', id='p')
    assert add(id='p', netdev='n2') == {}
    assert there() == ['s']
    m.quit()


def filters():
    m = Machine('-S', '-nodefaults', '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,id=e', '-device',
                'e1000,id=f')
    m.negotiate()
    answer = m.command('query-rx-filter')['return']
    assert [a['name'] for a in answer] == ['e', 'f']
    one = answer[0]
    assert one['main-mac'] == '52:54:00:12:34:56' and one['promiscuous'] in (True, False) and one['vlan-table'] is not None
    assert refusal(m, 'n') == "net client(n) isn't a NIC"
    assert refusal(m, 'x') == 'invalid net client name: x'
    assert m.command('announce-self', initial=50, max=550, rounds=5, step=100, interfaces=['e'], id='x')['return'] == {}
    assert 'error' in m.command('announce-self', initial=0, max=550, rounds=5, step=100)
    m.quit()


if __name__ == '__main__':
    sys.exit(main([human, hubs, plugging, failover, filters]))
