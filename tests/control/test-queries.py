#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at parts of a machine: virtio queues, rates, statistics, the translator, machine checks; and those
that have a definite answer here."""
import os
import socket
import sys
import tempfile
import time

import program
from program import Machine

VIRTIO = ['-device', 'virtio-serial-pci,id=s', '-device', 'virtio-balloon-pci,id=b', '-object',
          'rng-random,id=x,filename=/dev/urandom', '-device', 'virtio-rng-pci,id=r,packed=on,disable-legacy=on']


def error(answer):
    return answer['error']['desc']


def virtio():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'd')
        with open(path, 'wb') as f:
            f.truncate(1 << 20)
        m = Machine('-S', '-machine', 'pc', *VIRTIO, '-drive', f'file={path},format=raw,if=virtio')
        m.negotiate()
        listed = {d['name']: d['path'] for d in m.command('x-query-virtio')['return']}
        assert {'virtio-serial', 'virtio-balloon', 'virtio-rng', 'virtio-blk'} == set(listed), listed
        assert listed['virtio-rng'] == '/machine/peripheral/r/virtio-backend'
        text = m.hmp('info virtio')
        assert all(f'{path} [{name}]' in text for name, path in listed.items()), text
        for name, path in listed.items():
            s = m.command('x-query-virtio-status', path=path)['return']
            assert s['name'] == name and not s['started'] and s['status'] == {'statuses': []}, s
            features = ' '.join(s['host-features']['transports'] + s['host-features']['dev-features'])
            assert 'VIRTIO_F_VERSION_1' in features and ('RING_PACKED' in features) == (name == 'virtio-rng'), features
            assert s['guest-features']['transports'] == [], s
            q = m.command('x-query-virtio-queue-status', path=path, queue=0)['return']
            assert q['vring-desc'] == 0 and q['last-avail-idx'] == 0 and q['vring-num-default'] > 0, q
            assert error(m.command('x-query-virtio-queue-status', path=path, queue=s['num-vqs'])) == \
                f'Invalid virtqueue number {s["num-vqs"]}'
            assert 'is not set up' in error(m.command('x-query-virtio-queue-element', path=path, queue=0))
            assert 'vhost' in error(m.command('x-query-virtio-vhost-queue-status', path=path, queue=0))
            for line in f'virtio-status {path}', f'virtio-queue-status {path} 0':
                assert f'device_name:' in m.hmp('info ' + line) and name in m.hmp('info ' + line), line
        assert error(m.command('x-query-virtio-status', path='/machine')) == 'Path /machine is not a VirtIODevice'
        # The firmware's driver uses the disk.
        m.command('cont')
        end = time.monotonic() + 30
        while True:
            s = m.command('x-query-virtio-status', path=listed['virtio-blk'])['return']
            q = m.command('x-query-virtio-queue-status', path=listed['virtio-blk'], queue=0)['return']
            if s['started'] and q['used-idx']:
                break
            assert time.monotonic() < end, s
            time.sleep(0.1)
        assert 'VIRTIO_CONFIG_S_DRIVER_OK: Driver setup and ready' in s['status']['statuses'], s
        e = m.command('x-query-virtio-queue-element', path=listed['virtio-blk'], queue=0, index=0)['return']
        assert e['name'] == 'virtio-blk' and e['descs'][0]['len'] == 16 and 'next' in e['descs'][0]['flags'], e
        assert 'addr 0x' in m.hmp(f'info virtio-queue-element {listed["virtio-blk"]} 0 0')
        m.quit()
    m = Machine('-S')
    m.negotiate()
    assert m.hmp('info virtio') == 'No VirtIO devices\n'
    m.quit()


def dirty_rate():
    m = Machine('-accel', 'tcg', '-m', '32')
    m.negotiate()
    assert m.command('query-dirty-rate')['return']['status'] == 'unstarted'
    for arguments, text in (({'calc-time': 0}, 'calc-time is out of range'),
                            ({'calc-time': 1, 'sample-pages': 1}, 'sample-pages'),
                            ({'calc-time': 1, 'mode': 'dirty-ring'}, 'dirty ring')):
        assert text in error(m.command('calc-dirty-rate', **arguments))
    for mode in 'page-sampling', 'dirty-bitmap':
        assert 'return' in m.command('calc-dirty-rate', **{'calc-time': 1, 'mode': mode})
        assert 'already' in error(m.command('calc-dirty-rate', **{'calc-time': 1}))
        end = time.monotonic() + 20
        while m.command('query-dirty-rate')['return']['status'] == 'measuring':
            assert time.monotonic() < end
            time.sleep(0.1)
        found = m.command('query-dirty-rate')['return']
        assert found['status'] == 'measured' and found['mode'] == mode and 0 <= found['dirty-rate'] <= 32, found
    assert 'Mode: dirty-bitmap\nDirty rate: ' in m.hmp('info dirty_rate')
    assert 'Starting dirty rate measurement with period 1 seconds' in m.hmp('calc_dirty_rate 1')
    assert m.command('query-vcpu-dirty-limit')['return'] == []
    assert "'dirty-ring-size'" in error(m.command('set-vcpu-dirty-limit', **{'dirty-rate': 1}))
    m.quit()


def translator():
    m = Machine('-accel', 'tcg')
    m.negotiate()
    assert not m.command('query-status')['return']['singlestep']
    assert m.hmp('singlestep') == '' and m.command('query-status')['return']['singlestep']
    assert m.hmp('info status') == 'VM status: running (single step mode)\n'
    time.sleep(0.3)
    assert m.hmp('singlestep off') == '' and m.hmp('info status') == 'VM status: running\n'
    assert m.hmp('singlestep x') == 'unexpected option x\n'
    text = m.command('x-query-jit')['return']['human-readable-text']
    assert 'TB count' in text and m.hmp('info jit').startswith('Translation buffer state:')
    assert m.hmp('info stats vm') == '' and m.hmp('info stats x') == 'invalid stats target x\n'
    m.quit()


def machine_checks():
    m = Machine('-S', '-accel', 'tcg', '-smp', '2')
    m.negotiate()

    def failures():
        m.command('query-status')
        found = [e['data'] for e in m.events if e['event'] == 'MEMORY_FAILURE']
        m.events.clear()
        return found

    assert m.hmp('mce 0 0 0 0 0 0') == 'Invalid MCE status code\n'
    assert m.hmp('mce 0 50 0xbe00000000000000 0 0 0') == 'Invalid MCE bank number\n'
    assert m.hmp('mce 7 1 0xbe00000000000000 0 0 0') == 'invalid CPU index\n'
    assert failures() == []
    assert m.hmp('mce 1 3 0x8200000000000000 1 1 2') == ''
    assert [f['action'] for f in failures()] == ['inject']
    assert m.hmp('mce 0 3 0xbe00000000000000 1 1 2') == 'CPU 0: MCE capability is not enabled, raising triple fault\n'
    m.command('query-status')
    resets = [e['data'] for e in m.events if e['event'] == 'RESET']
    assert resets == [{'guest': True, 'reason': 'guest-reset'}], m.events
    assert [f['action'] for f in failures()] == ['reset']
    m.quit()


def answers():
    m = Machine('-S')
    m.negotiate()
    assert m.command('query-replay')['return'] == {'mode': 'none', 'icount': 0}
    assert m.command('query-colo-status')['return'] == {'mode': 'none', 'last-mode': 'none', 'reason': 'none'}
    only_in_play = 'setting the breakpoint is allowed only in play mode'
    for command, arguments, text in (('replay-break', {'icount': 5}, only_in_play),
                                     ('replay-delete-break', {}, 'replay breakpoints are allowed only in play mode'),
                                     ('replay-seek', {'icount': 5}, 'replay must be enabled to seek'),
                                     ('dumpdtb', {'filename': 'x'}, "This machine doesn't have a FDT"),
                                     ('query-sev-launch-measure', {}, 'SEV launch measurement is not available')):
        assert error(m.command(command, **arguments)) == text
    assert m.hmp('info replay') == 'Record/replay is not active\n'
    assert m.hmp('replay_break 5') == 'Error: setting the breakpoint is allowed only in play mode\n'
    m.quit()


def clients():
    """A connection that comes as a descriptor."""
    m = Machine('-S', '-chardev', 'socket,id=c,path=c,server=on,wait=off', '-serial', 'chardev:c', '-qmp',
                'unix:q,server=on,wait=off')
    m.negotiate()
    assert 'has not been found' in error(m.command('add_client', protocol='c', fdname='no'))
    mine, theirs = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(m.work.name, 'q'))
        lines = s.makefile('r')
        lines.readline()
        for text, fds in (('{"execute": "qmp_capabilities"}\n', []),
                          ('{"execute": "getfd", "arguments": {"fdname": "f"}}\n', [theirs.fileno()]),
                          ('{"execute": "add_client", "arguments": {"protocol": "c", "fdname": "f"}}\n', [])):
            if fds:
                socket.send_fds(s, [text.encode()], fds)
            else:
                s.sendall(text.encode())
            assert '"return": {}' in lines.readline(), text
        lines.close()
    chardev, = [line for line in m.hmp('info chardev').split('\n') if line.startswith('c:')]
    assert 'disconnected' not in chardev, chardev
    mine.close()
    theirs.close()
    m.quit()


def epc():
    status, _, text = program.run(*program.BASE, '-object', 'memory-backend-epc,id=e,size=1M')
    assert status == 1 and '/dev/sgx_vepc' in text, text


sys.exit(program.main([virtio, dirty_rate, translator, machine_checks, answers, clients, epc]))
