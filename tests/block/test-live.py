#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drives of a machine under requests: the human monitor's qemu-io, what is counted of them, connections that are ended,
queues on several threads. Prints TAP."""
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time

from tools import Bench
from program import Machine, main, run

OK = {'return': {}}


def error(answer):
    return answer['error']['class'], answer['error']['desc']


def stats(m, **which):
    found = [b for b in m.command('query-blockstats')['return'] if all(b.get(k) == v for k, v in which.items())]
    return found[0]['stats']


def commands():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'a.qcow2', '4M')
        b.img('create', '-q', '-f', 'raw', 'ro', '1M')
        m = Machine('-S', '-drive', f'if=none,id=hd,file={b.file("a.qcow2")},format=qcow2,node-name=top', '-device', 'ide-hd,drive=hd,id=disk',
                    '-blockdev', f'driver=raw,node-name=ro,read-only=on,file.driver=file,file.filename={b.file("ro")}',
                    '-drive', 'if=none,id=cd', '-device', 'ide-cd,drive=cd,id=tray')
        m.negotiate()
        assert 'wrote 65536/65536 bytes at offset 0' in m.hmp('qemu-io hd "write -P 7 0 64k"')
        assert 'read 4096/4096 bytes at offset 512' in m.hmp('qemu-io -d disk "read -P 7 512 4k"')
        assert 'Pattern verification failed at offset 0' in m.hmp('qemu-io hd "read -P 8 0 512"')
        assert m.hmp('qemu-io hd "read -v 0 16"').startswith('00000000:  07 07 07')
        assert 'not allocated at offset 64 KiB' in m.hmp('qemu-io hd map')
        assert 'cluster size: 64 KiB' in m.hmp('qemu-io hd info')
        assert m.hmp('qemu-io hd length').strip() == '4 MiB'
        assert m.hmp('qemu-io hd flush') == '' and m.hmp('qemu-io hd "discard -q 0 64k"') == ''
        assert 'Permission conflict' in m.hmp('qemu-io top "write 0 512"')  # the node is the disk's alone
        assert 'read 512/512' in m.hmp('qemu-io top "read 0 512"')
        assert 'read 512/512' in m.hmp('qemu-io ro "read 0 512"')
        assert m.hmp('qemu-io ro "write 0 512"') == 'Error: Block node is read-only\n'
        assert 'command "foo" not found' in m.hmp('qemu-io hd foo')
        for tools_only in ('quit', 'abort', 'sigraise 9', 'open x', 'close'):
            assert 'not found' in m.hmp(f'qemu-io hd "{tools_only}"')
        assert '[-abCqv]' in m.hmp('qemu-io hd "help read"') and 'aio_write' in m.hmp('qemu-io hd help')
        assert '[-abCqv]' in m.hmp('qemu-io hd "read -x 0 512"')
        assert 'bad argument count' in m.hmp('qemu-io hd "read 0"')
        assert "Cannot find device='none'" in m.hmp('qemu-io none "read 0 512"')
        assert "Device 'cd' has no medium" in m.hmp('qemu-io cd "read 0 512"')
        assert 'Error' in m.hmp('qemu-io -d hd "read 0 512"')
        assert 'read failed: Input/output error' in m.hmp('qemu-io hd "read 4M 512"')
        m.quit()
        assert 'File size' not in b.img('check', 'a.qcow2')


def intervals():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a')
        with open(path, 'wb') as f:
            f.truncate(1 << 20)
        image = f'if=none,file={path},format=raw,file.locking=off'
        m = Machine('-S', '-drive', f'{image},id=a,stats-intervals.0=1,stats-intervals.1=3600', '-device', 'ide-hd,drive=a,bus=ide.0',
                    '-drive', f'if=none,id=b,file.driver=null-co,file.size=1M,format=raw,stats-account-invalid=off,stats-account-failed=off',
                    '-device', json.dumps({'driver': 'ide-hd', 'drive': 'b', 'id': 'b', 'bus': 'ide.1', 'stats-intervals': [60, 5, 7]}),
                    '-drive', 'if=none,id=c,file.driver=blkdebug,file.image.driver=null-co,file.image.size=1M,format=raw,'
                    'file.inject-error.0.event=none,file.inject-error.0.sector=0,file.inject-error.0.iotype=read,readonly=off',
                    '-device', 'virtio-blk-pci,drive=c,id=c,stats-intervals.0=9')
        m.negotiate()
        assert [t['interval_length'] for t in stats(m, device='a')['timed_stats']] == [1, 3600]
        assert [t['interval_length'] for t in stats(m, device='b')['timed_stats']] == [60, 5, 7]
        assert [t['interval_length'] for t in stats(m, device='c')['timed_stats']] == [9]
        assert m.command('qom-get', path='/machine/peripheral/b', property='stats-intervals')['return'] == [60, 5, 7]
        quiet = stats(m, device='a')['timed_stats'][1]
        assert all(v == 0 for k, v in quiet.items() if k != 'interval_length'), quiet
        for command in ('aio_write -P 1 0 64k', 'aio_write 64k 4k', 'aio_read 0 64k', 'read 0 512'):
            m.hmp(f'qemu-io a "{command}"')
        s = stats(m, device='a')
        assert s['wr_operations'] == 2 and s['wr_bytes'] == 68 << 10 and s['rd_operations'] == 1, s
        for t in s['timed_stats']:
            for kind in ('rd', 'wr'):
                assert 0 < t[f'min_{kind}_latency_ns'] <= t[f'avg_{kind}_latency_ns'] <= t[f'max_{kind}_latency_ns'], t
                assert t[f'avg_{kind}_queue_depth'] > 0, t
            assert t['max_flush_latency_ns'] == 0
            assert t['max_wr_latency_ns'] + t['min_wr_latency_ns'] <= s['wr_total_time_ns'] + 2000, (t, s)
        time.sleep(1.2)
        short, long = stats(m, device='a')['timed_stats']
        assert short['max_wr_latency_ns'] == 0 and long['max_wr_latency_ns'] > 0, (short, long)
        # What is not valid, and what fails.
        m.hmp('qemu-io a "aio_read -i 0 512"')
        m.hmp('qemu-io b "aio_read -i 0 512"')
        m.hmp('qemu-io c "aio_read 0 512"')
        assert stats(m, device='a')['invalid_rd_operations'] == stats(m, device='b')['invalid_rd_operations'] == 1
        assert stats(m, device='b')['account_invalid'] is False and 'idle_time_ns' not in stats(m, device='b')
        s = stats(m, device='c')
        assert s['failed_rd_operations'] == 1 and s['rd_operations'] == 0 and s['rd_total_time_ns'] > 0, s
        assert s['timed_stats'][0]['max_rd_latency_ns'] > 0
        # Histograms, by kind and all together; gone when nothing is said.
        assert m.command('block-latency-histogram-set', id='/machine/peripheral/b', boundaries=[1, 1000000000]) == OK
        m.hmp('qemu-io b "aio_write 0 512"')
        assert stats(m, device='b')['wr_latency_histogram'] == {'boundaries': [1, 1000000000], 'bins': [0, 1, 0]}
        assert m.command('block-latency-histogram-set', id='b', boundaries_read=[5]) == OK
        s = stats(m, device='b')
        assert s['rd_latency_histogram'] == {'boundaries': [5], 'bins': [0, 0]} and 'flush_latency_histogram' in s
        assert 'error' in m.command('block-latency-histogram-set', id='b', boundaries=[5, 5])
        assert m.command('block-latency-histogram-set', id='b') == OK
        assert not [k for k in stats(m, device='b') if k.endswith('histogram')]
        m.quit()
        for bad, words in (('0', "Invalid interval length: '0'"), ('x', "Invalid interval length: 'x'")):
            status, _, err = run('-S', '-display', 'none', '-drive', f'{image},id=a,stats-intervals.0={bad}')
            assert status == 1 and words in err, err
        status, _, err = run('-S', '-display', 'none', '-drive', f'{image},id=a', '-device', 'ide-hd,drive=a,stats-intervals.0=0')
        assert status == 1 and 'stats-intervals expects a list of seconds' in err, err


class Deaf:
    """In front of an NBD server: passes all on until it is told to be deaf."""

    def __init__(self, path, server):
        self.deaf, self.server = threading.Event(), server
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.count = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.count += 1
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                while self.deaf.is_set():
                    time.sleep(0.05)
                b.sendall(data)
        except OSError:
            pass  # one side is gone
        b.close()


def nodes_to_yank(m):
    return [i for i in m.command('query-yank')['return'] if i['type'] == 'block-node']


def yanks():
    from subprocess import Popen
    with Bench() as b:
        b.img('create', '-q', '-f', 'raw', 'r', '8M')
        path, front = b.file('sock'), b.file('front')
        server = Popen([os.path.join(b.bin.name, 'qemu-nbd'), '-t', '-e', '4', '-k', path, '-f', 'raw', b.file('r')])
        while not os.path.exists(path):
            time.sleep(0.02)
        deaf = Deaf(front, path)
        m = Machine('-S', '-blockdev', f'driver=nbd,node-name=n,reconnect-delay=300,server.type=unix,server.path={front}',
                    '-blockdev', 'driver=null-co,node-name=other')
        m.negotiate()
        instance = {'type': 'block-node', 'node-name': 'n'}
        assert nodes_to_yank(m) == [instance]
        assert 'wrote' in m.hmp('qemu-io n "write -P 3 0 64k"')
        for nobody in ('other', 'none'):
            assert error(m.command('yank', instances=[instance, {'type': 'block-node', 'node-name': nobody}])) == \
                ('DeviceNotFound', 'Instance not found')
        assert 'read 65536' in m.hmp('qemu-io n "read -P 3 0 64k"')  # all or none
        # A job that waits for a server that does not answer.
        deaf.deaf.set()
        assert m.command('blockdev-mirror', job_id='j', device='n', target='other', sync='full') == OK
        time.sleep(0.3)
        connections = deaf.count
        assert m.command('yank', instances=[instance]) == OK
        assert nodes_to_yank(m) == [instance]
        assert 'Input/output error' in m.hmp('qemu-io n "read 0 512"')
        time.sleep(1.5)
        assert deaf.count == connections, 'it connects again'
        deaf.deaf.clear()
        for job in m.command('query-jobs')['return']:
            m.command('job-cancel', id=job['id'])
        deadline = time.monotonic() + 20
        while 'error' in m.command('blockdev-del', **{'node-name': 'n'}) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert nodes_to_yank(m) == []
        m.quit()
        server.kill()
        server.wait()


def mapping():
    threads = [x for name in 'ab' for x in ('-object', f'iothread,id={name}')]

    def start(device):
        return run('-S', '-display', 'none', *threads, '-blockdev', 'driver=null-co,node-name=n', '-device', json.dumps(
            {'driver': 'virtio-blk-pci', 'drive': 'n', **device}), '-monitor', 'stdio', stdin='quit\n')
    for device, words in (
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a'}, {'iothread': 'b'}]}, None),
            ({'num-queues': 3, 'iothread-vq-mapping': [{'iothread': 'a', 'vqs': [0, 2]}, {'iothread': 'b', 'vqs': [1]}]}, None),
            ({'num-queues': 1, 'iothread-vq-mapping': [{'iothread': 'x'}]}, 'IOThread "x" object does not exist'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a'}, {'iothread': 'a'}]}, 'duplicate IOThread name "a"'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a', 'vqs': [0]}, {'iothread': 'b'}]}, 'must have vqs or none'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a', 'vqs': [0, 2]}]}, 'must be less than num_queues 2'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a', 'vqs': [0, 1]}, {'iothread': 'b', 'vqs': [1]}]},
             'already assigned'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'iothread': 'a', 'vqs': [1]}]}, 'missing vq 0'),
            ({'num-queues': 2, 'iothread-vq-mapping': [{'vqs': [1]}]}, "'iothread' is missing"),
            ({'iothread': 'a', 'iothread-vq-mapping': [{'iothread': 'b'}]}, 'cannot be set at the same time')):
        status, _, err = start(device)
        assert (status == 0) == (words is None) and (not words or words in err), (device, status, err)
    m = Machine('-S', *threads, '-blockdev', 'driver=null-co,node-name=n')
    m.negotiate()
    where = [{'iothread': 'a', 'vqs': [1]}, {'iothread': 'b', 'vqs': [0]}]
    assert m.raw(json.dumps({'execute': 'device_add', 'arguments': {
        'driver': 'virtio-blk-pci', 'id': 'd', 'drive': 'n', 'num-queues': 2, 'iothread-vq-mapping': where}})) == OK
    assert 'in use' in error(m.command('object-del', id='a'))[1]
    m.quit()


def stops():
    """Answered when what was under way is done and on stable storage."""
    with Bench() as b:
        with open(b.file('log'), 'wb') as f:
            f.truncate(8 << 20)
        m = Machine('-blockdev', json.dumps(
            {'driver': 'blklogwrites', 'node-name': 'n', 'log': {'driver': 'file', 'filename': b.file('log')},
             'file': {'driver': 'null-co', 'size': 1 << 20, 'latency-ns': 700 * 1000 * 1000}}), '-device', 'ide-hd,drive=n,bus=ide.0', qtest=True)
        m.negotiate()
        for port, value in ((0x1f6, 0xe0), (0x1f2, 1), (0x1f3, 5), (0x1f4, 0), (0x1f5, 0), (0x1f7, 0x30)):
            m.test(f'outb {port:#x} {value:#x}')
        for _ in range(256):
            m.test('outw 0x1f0 0x1234')
        assert int(m.test('inb 0x1f7').split()[1], 16) & 0x80  # busy
        assert m.command('stop') == OK
        with open(b.file('log'), 'rb') as f:
            log = f.read()
        entries, at = [], 1
        for _ in range(struct.unpack_from('<Q', log, 16)[0]):
            sector, count, flags, _ = struct.unpack_from('<4Q', log, at * 512)
            entries.append((sector, count, flags))
            at += 1 + count
        assert entries == [(5, 1, 0), (0, 0, 1)], entries  # a write, a flush
        m.quit()


if __name__ == '__main__':
    sys.exit(main([commands, intervals, yanks, mapping, stops]))
