#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on the disks of a machine: create, mirror, backup, stream, commit, and what users can do to them."""
import json
import sys

from tools import Bench
from program import Machine, main


def machine(image, *args, fmt='qcow2'):
    m = Machine('-S', '-drive', f'if=none,id=d0,file={image},format={fmt}', '-device', 'virtio-blk-pci,drive=d0', *args)
    m.negotiate()
    return m


def ok(answer):
    assert 'return' in answer, answer
    return answer['return']


def states_until(m, last='null'):
    """The states of the only job, and its other events."""
    states, others = [], []
    while not states or states[-1] != last:
        event = m.events.pop(0) if m.events else m.read()
        if event.get('event') == 'JOB_STATUS_CHANGE':
            states.append(event['data']['status'])
        elif event.get('event', '').startswith('BLOCK_JOB'):
            others.append(event['event'])
    return states, others


def fill(b):
    b.img('create', '-q', '-f', 'qcow2', 'base', '16M')
    b.img('create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', 'mid')
    b.img('create', '-q', '-f', 'qcow2', '-b', 'mid', '-F', 'qcow2', 'top')
    b.io('base', 'write -P 1 0 8M')
    b.io('mid', 'write -P 2 1M 1M', 'write -P 2 9M 100k')
    b.io('top', 'write -P 3 1536k 1M', 'write -z 4M 1M', 'write -P 4 12M 1M')
    b.img('convert', '-O', 'raw', 'top', 'want')


def create():
    with Bench() as b:
        m = machine('null-co://', fmt='raw')
        path = b.file('new')
        ok(m.command('blockdev-create', job_id='c0', options={'driver': 'file', 'filename': path, 'size': 0}))
        states, _ = states_until(m, 'concluded')
        assert states == ['created', 'running', 'waiting', 'pending', 'concluded'], states
        jobs = ok(m.command('query-jobs'))
        assert [(j['id'], j['type'], j['status']) for j in jobs] == [('c0', 'create', 'concluded')], jobs
        answer = m.command('job-pause', id='c0')
        assert answer['error']['desc'] == "Job 'c0' in state 'concluded' cannot accept command verb 'pause'", answer
        ok(m.command('job-dismiss', id='c0'))
        assert m.command('job-dismiss', id='c0')['error']['desc'] == 'Job not found'
        ok(m.raw(json.dumps({'execute': 'blockdev-create', 'arguments': {
            'job-id': 'c1', 'options': {'driver': 'qcow2', 'file': {'driver': 'file', 'filename': path},
                                        'size': 3 << 20, 'cluster-size': 4096, 'version': 'v3'}}})))
        states_until(m, 'concluded')
        assert 'error' not in ok(m.command('query-jobs'))[0]
        ok(m.command('job-dismiss', id='c1'))
        m.quit()
        info = b.json('info', '--output=json', 'new')
        assert info['virtual-size'] == 3 << 20 and info['cluster-size'] == 4096, info


def mirror():
    for sync in ('full', 'top'):
        with Bench() as b:
            fill(b)
            m = machine(b.file('top'))
            ok(m.command('drive-mirror', device='d0', target=b.file('copy'), format='qcow2', sync=sync))
            ready = m.wait_event('BLOCK_JOB_READY')['data']
            assert ready['device'] == 'd0' and ready['type'] == 'mirror' and ready['len'] == ready['offset'], ready
            job = ok(m.command('query-block-jobs'))[0]
            assert job['ready'] and job['status'] == 'ready' and job['io-status'] == 'ok', job
            answer = m.command('block_resize', device='d0', size=64 << 20)  # the copy would not have it
            assert 'is busy' in answer['error']['desc'], answer
            ok(m.command('block-job-complete', device='d0'))
            m.wait_event('BLOCK_JOB_COMPLETED')
            assert ok(m.command('query-block'))[0]['inserted']['file'] == b.file('copy')
            m.quit()
            b.img('compare', 'copy', 'want')
            b.img('check', 'copy')
            assert ('backing-filename' in b.json('info', '--output=json', 'copy')) == (sync == 'top')


def mirror_let_go():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        ok(m.command('drive-mirror', device='d0', target=b.file('copy'), format='raw', sync='full', job_id='j'))
        m.wait_event('BLOCK_JOB_READY')
        ok(m.command('block-job-pause', device='j'))
        ok(m.command('block-job-resume', device='j'))
        ok(m.command('block-job-cancel', device='j'))
        m.wait_event('BLOCK_JOB_COMPLETED')
        assert ok(m.command('query-block'))[0]['inserted']['file'] == b.file('top')
        answer = m.command('block-job-cancel', device='j')
        assert answer['error']['class'] == 'DeviceNotActive', answer
        m.quit()
        b.img('compare', '-f', 'raw', 'copy', 'want')


def slow_and_cancelled():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        ok(m.command('drive-backup', device='d0', target=b.file('copy'), sync='full', speed=65536))
        answer = m.command('drive-backup', device='d0', target=b.file('copy2'), sync='full')
        assert 'error' in answer, answer
        ok(m.command('block-job-set-speed', device='d0', speed=32768))
        assert ok(m.command('query-block-jobs'))[0]['speed'] == 32768
        ok(m.command('block-job-cancel', device='d0'))
        states, others = states_until(m)
        assert states[-3:] == ['aborting', 'concluded', 'null'] and others == ['BLOCK_JOB_CANCELLED'], (states, others)
        m.quit()


def backup():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        ok(m.command('drive-backup', device='d0', target=b.file('copy'), sync='full', compress=True,
                     auto_finalize=False))
        m.wait_event('BLOCK_JOB_PENDING')
        ok(m.command('job-finalize', id='d0'))
        m.wait_event('BLOCK_JOB_COMPLETED')
        m.quit()
        b.img('compare', 'copy', 'want')
        b.img('check', 'copy')


def odd_sizes():
    """Backups count whole clusters, mirrors bytes; the top alone is what it holds itself."""
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'odd', '100352')
        b.io('odd', 'write 70k 1k')
        m = machine(b.file('odd'))
        m.command('blockdev-add', driver='null-co', size=100352, **{'node-name': 't', 'read-zeroes': True})
        for command, sync, size in (('backup', 'full', 131072), ('backup', 'top', 65536), ('mirror', 'full', 100352),
                                    ('mirror', 'top', 100352 - 65536)):
            ok(m.command('blockdev-' + command, device='d0', target='t', sync=sync, **{'job-id': 'j'}))
            if command == 'mirror':
                m.wait_event('BLOCK_JOB_READY')
                ok(m.command('block-job-cancel', device='j'))
            data = m.wait_event('BLOCK_JOB_COMPLETED')['data']
            assert data['len'] == data['offset'] == size, (command, sync, data)
        m.quit()


def stream():
    for base in (None, 'base'):
        with Bench() as b:
            fill(b)
            m = machine(b.file('top'))
            args = {'base': b.file(base)} if base else {}
            ok(m.command('block-stream', device='d0', **args))
            states, others = states_until(m)
            assert states == ['created', 'running', 'waiting', 'pending', 'concluded', 'null'], states
            assert others == ['BLOCK_JOB_COMPLETED'], others
            m.quit()
            b.img('compare', 'top', 'want')
            b.img('check', 'top')
            info = b.json('info', '--output=json', 'top')
            assert info.get('full-backing-filename') == (b.file(base) if base else None), info


def commit_below():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        ok(m.command('block-commit', device='d0', top=b.file('mid')))
        states, others = states_until(m)
        assert others == ['BLOCK_JOB_COMPLETED'] and 'aborting' not in states, (states, others)
        m.quit()
        b.img('compare', 'top', 'want')
        info = b.json('info', '--output=json', 'top')
        assert info['full-backing-filename'] == b.file('base'), info
        b.img('check', 'base')


def commit_active():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        ok(m.command('block-commit', device='d0'))
        assert m.wait_event('BLOCK_JOB_READY')['data']['type'] == 'commit'
        ok(m.command('job-complete', id='d0'))
        m.wait_event('BLOCK_JOB_COMPLETED')
        assert ok(m.command('query-block'))[0]['inserted']['file'] == b.file('base')
        m.quit()
        b.img('compare', 'base', 'want')
        b.img('check', 'base')


def refused():
    with Bench() as b:
        fill(b)
        m = machine(b.file('top'))
        for command, args in (('block-stream', {'device': 'nope'}), ('block-stream', {'device': 'd0', 'base': 'nope'}),
                              ('block-commit', {'device': 'd0', 'top': 'nope'}),
                              ('blockdev-mirror', {'device': 'd0', 'target': 'nope', 'sync': 'full'}),
                              ('drive-mirror', {'device': 'd0', 'target': '/nonex/x', 'sync': 'full'}),
                              ('drive-backup', {'device': 'd0', 'target': 'x', 'sync': 'bitmap'}),
                              ('drive-mirror', {'device': 'd0', 'target': 'x', 'sync': 'full', 'granularity': 3})):
            assert 'error' in m.command(command, **args), command
        assert ok(m.command('query-jobs')) == []
        m.quit()
        b.img('compare', 'top', 'want')


if __name__ == '__main__':
    sys.exit(main([create, mirror, mirror_let_go, slow_and_cancelled, backup, odd_sizes, stream, commit_below, commit_active,
                   refused]))
