#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions, dirty bitmaps, snapshots, filters of jobs and what else QMP can do with nodes, as libvirt does it."""
import json
import sys

from tools import Bench
from program import Machine, main


def machine(image, *args, fmt='qcow2'):
    m = Machine('-S', '-blockdev', json.dumps({'driver': fmt, 'node-name': 'n0', 'file': {
        'driver': 'file', 'node-name': 'f0', 'filename': image}}), '-device', 'virtio-blk-pci,id=v0,drive=n0', *args)
    m.negotiate()
    return m


def ok(answer):
    assert 'return' in answer, answer
    return answer['return']


def error(answer):
    return answer['error']['desc']


def call(m, command, **arguments):
    return m.raw(json.dumps({'execute': command, 'arguments': arguments}))


def actions(m, *list_, **properties):
    return call(m, 'transaction', actions=[{'type': t, 'data': d} for t, d in list_],
                **({'properties': properties} if properties else {}))


def bitmaps(m, name='n0'):
    for node in ok(call(m, 'query-named-block-nodes')):
        if node['node-name'] == name:
            return {b.get('name'): b for b in node.get('dirty-bitmaps', [])}
    return None


def add_node(m, b, name, fmt='qcow2', **more):
    ok(call(m, 'blockdev-add', driver=fmt, **{'node-name': name},
            file={'driver': 'file', 'filename': b.file(name)}, **more))


def dirty_bitmaps():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'd', '8M')
        m = machine(b.file('d'))
        ok(call(m, 'block-dirty-bitmap-add', node='n0', name='a', persistent=True))
        ok(call(m, 'block-dirty-bitmap-add', node='n0', name='b', granularity=4096, disabled=True))
        assert error(call(m, 'block-dirty-bitmap-add', node='n0', name='a')) == 'Bitmap already exists: a'
        assert 'power of 2' in error(call(m, 'block-dirty-bitmap-add', node='n0', name='c', granularity=1000))
        ok(call(m, 'human-monitor-command', **{'command-line': 'info block'}))
        found = bitmaps(m)
        assert found['a']['persistent'] and found['a']['recording'] and found['a']['granularity'] == 65536, found
        assert not found['b']['recording'] and found['b']['granularity'] == 4096, found
        # All or none.
        answer = actions(m, ('block-dirty-bitmap-enable', {'node': 'n0', 'name': 'b'}),
                         ('block-dirty-bitmap-add', {'node': 'n0', 'name': 'c'}), ('abort', {}))
        assert error(answer) == 'Transaction aborted using Abort action', answer
        found = bitmaps(m)
        assert sorted(found) == ['a', 'b'] and not found['b']['recording'], found
        ok(actions(m, ('block-dirty-bitmap-enable', {'node': 'n0', 'name': 'b'}),
                   ('block-dirty-bitmap-disable', {'node': 'n0', 'name': 'a'}),
                   ('block-dirty-bitmap-merge', {'node': 'n0', 'target': 'b',
                                                 'bitmaps': ['a', {'node': 'n0', 'name': 'a'}]}),
                   ('block-dirty-bitmap-clear', {'node': 'n0', 'name': 'b'})))
        found = bitmaps(m)
        assert found['b']['recording'] and not found['a']['recording'], found
        assert len(ok(call(m, 'x-debug-block-dirty-bitmap-sha256', node='n0', name='a'))['sha256']) == 64
        ok(call(m, 'block-dirty-bitmap-remove', node='n0', name='b'))
        assert sorted(bitmaps(m)) == ['a']
        # Through closing, opening for reading and for writing again.
        m.quit()
        info = b.json('info', '--output=json', 'd')
        assert [x['name'] for x in info['format-specific']['data']['bitmaps']] == ['a'], info
        m = machine(b.file('d'))
        assert sorted(bitmaps(m)) == ['a']
        ok(call(m, 'block-dirty-bitmap-enable', node='n0', name='a'))
        m.quit()
        # In nobody's use it can be reopened.
        m = Machine('-S')
        m.negotiate()
        add_node(m, b, 'd')
        options = {'driver': 'qcow2', 'node-name': 'd', 'file': next(
            n['node-name'] for n in ok(call(m, 'query-named-block-nodes')) if n['drv'] == 'file')}
        for readonly in (True, False, True, False):
            ok(call(m, 'blockdev-reopen', options=[{**options, 'read-only': readonly}]))
            assert not bitmaps(m, 'd')['a'].get('inconsistent'), readonly
            answer = call(m, 'block-dirty-bitmap-clear', node='d', name='a')
            assert ('error' in answer) == readonly, answer
        m.quit()
        info = b.json('info', '--output=json', 'd')
        assert 'in-use' not in info['format-specific']['data']['bitmaps'][0]['flags'], info
        b.img('check', 'd')


def incremental():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'd', '8M')
        b.io('d', 'write -P 1 0 4M')
        b.img('create', '-q', '-f', 'qcow2', 'full', '8M')
        b.img('create', '-q', '-f', 'qcow2', '-b', 'full', '-F', 'qcow2', 'inc')
        m = machine(b.file('d'))
        add_node(m, b, 'full')
        ok(actions(m, ('block-dirty-bitmap-add', {'node': 'n0', 'name': 'bm', 'persistent': True}),
                   ('blockdev-backup', {'device': 'n0', 'target': 'full', 'sync': 'full', 'job-id': 'j0',
                                        'x-perf': {'max-workers': 3, 'max-chunk': 65536}}),
                   **{'completion-mode': 'individual'}))
        m.wait_event('BLOCK_JOB_COMPLETED')
        ok(call(m, 'blockdev-del', **{'node-name': 'full'}))
        m.quit()
        b.img('compare', 'd', 'full')
        b.io('d', 'write -P 2 1M 64k', 'write -P 3 6M 64k')
        m = machine(b.file('d'))
        assert bitmaps(m)['bm']['count'] == 2 * 65536, bitmaps(m)
        add_node(m, b, 'inc')
        ok(call(m, 'blockdev-backup', device='n0', target='inc', sync='incremental', bitmap='bm', **{'job-id': 'j1'}))
        assert 'error' not in m.wait_event('BLOCK_JOB_COMPLETED')['data']
        assert bitmaps(m)['bm']['count'] == 0, bitmaps(m)
        m.quit()
        b.img('compare', 'd', 'inc')


def grouped():
    with Bench() as b:
        for name in ('d', 'e', 't', 'u'):
            b.img('create', '-q', '-f', 'qcow2', name, '4M')
        b.io('d', 'write -P 1 0 2M')
        m = machine(b.file('d'))
        for name in ('e', 't', 'u'):
            add_node(m, b, name)
        jobs = (('blockdev-backup', {'device': 'n0', 'target': 't', 'sync': 'full', 'job-id': 'j0'}),
                ('blockdev-backup', {'device': 'e', 'target': 'u', 'sync': 'full', 'job-id': 'j1',
                                     'auto-finalize': False}))
        ok(actions(m, *jobs, **{'completion-mode': 'grouped'}))
        m.wait_event('BLOCK_JOB_PENDING')
        assert {j['status'] for j in ok(m.command('query-jobs'))} == {'pending'}, m.command('query-jobs')
        ok(m.command('job-finalize', id='j1'))
        for _ in range(2):
            m.wait_event('BLOCK_JOB_COMPLETED')
        # One that is cancelled takes the other along.
        slow = (('blockdev-backup', {'device': 'n0', 'target': 't', 'sync': 'full', 'job-id': 'j0', 'speed': 65536}),
                ('blockdev-backup', {'device': 'e', 'target': 'u', 'sync': 'full', 'job-id': 'j1'}))
        ok(actions(m, *slow, **{'completion-mode': 'grouped'}))
        ok(call(m, 'block-job-cancel', device='j0'))
        for _ in range(2):
            m.wait_event('BLOCK_JOB_CANCELLED')
        answer = actions(m, ('block-dirty-bitmap-add', {'node': 'n0', 'name': 'x'}), **{'completion-mode': 'grouped'})
        assert 'does not support transaction property completion-mode = grouped' in error(answer), answer
        m.quit()


def overlays():
    with Bench() as b:
        for name in ('d', 'e'):
            b.img('create', '-q', '-f', 'qcow2', name, '4M')
        m = machine(b.file('d'))
        add_node(m, b, 'e')
        first = {'node-name': 'n0', 'snapshot-file': b.file('o1'), 'snapshot-node-name': 'o1'}
        second = {'node-name': 'e', 'snapshot-file': '/nonexistent/x', 'snapshot-node-name': 'o2'}
        answer = actions(m, ('blockdev-snapshot-sync', first), ('blockdev-snapshot-sync', second))
        assert 'error' in answer, answer
        assert ok(m.command('query-block'))[0]['inserted']['node-name'] == 'n0'
        ok(actions(m, ('blockdev-snapshot-sync', {**first, 'mode': 'existing'}),
                   ('blockdev-snapshot-internal-sync', {'device': 'e', 'name': 's'})))
        inserted = ok(m.command('query-block'))[0]['inserted']
        assert inserted['node-name'] == 'o1' and inserted['backing_file_depth'] == 1, inserted
        assert error(call(m, 'blockdev-snapshot-internal-sync', device='e', name='s')).startswith('Snapshot with name')
        assert ok(call(m, 'blockdev-snapshot-delete-internal-sync', device='e', name='s'))['name'] == 's'
        ok(call(m, 'change-backing-file', device='o1', **{'image-node-name': 'o1', 'backing-file': 'd'}))
        m.quit()
        assert b.json('info', '--output=json', 'o1')['backing-filename'] == 'd'


def mirrored():
    for mode in ('background', 'write-blocking'):
        with Bench() as b:
            for name in ('d', 't'):
                b.img('create', '-q', '-f', 'qcow2', name, '32M')
            b.io('d', 'write -P 1 1M 20M')
            m = machine(b.file('d'))
            add_node(m, b, 't')
            ok(call(m, 'blockdev-mirror', device='n0', target='t', sync='full', **{
                'job-id': 'j', 'copy-mode': mode, 'filter-node-name': 'top', 'buf-size': 1 << 20}))
            m.wait_event('BLOCK_JOB_READY')
            assert 'top' in [n['node-name'] for n in ok(call(m, 'query-named-block-nodes'))]
            if mode == 'background':
                ok(call(m, 'block-job-change', id='j', type='mirror', **{'copy-mode': 'write-blocking'}))
            ok(call(m, 'job-complete', id='j'))
            assert 'error' not in m.wait_event('BLOCK_JOB_COMPLETED')['data']
            names = [n['node-name'] for n in ok(call(m, 'query-named-block-nodes'))]
            assert 'top' not in names and 't' in names, names
            assert ok(m.command('query-block'))[0]['inserted']['node-name'] == 't'
            m.quit()
            b.img('compare', 'd', 't')


def reopened():
    with Bench() as b:
        for name in ('d', 'e'):
            b.img('create', '-q', '-f', 'qcow2', name, '4M')
        m = machine(b.file('d'))
        add_node(m, b, 'e')
        ok(call(m, 'blockdev-add', driver='raw', **{'node-name': 'r'}, file='e'))
        one = {'driver': 'qcow2', 'node-name': 'e', 'file': 'nope'}
        both = [{'driver': 'raw', 'node-name': 'r', 'file': 'e', 'read-only': True, 'discard': 'unmap'}, one]
        assert 'error' in call(m, 'blockdev-reopen', options=both)
        nodes = {n['node-name']: n for n in ok(call(m, 'query-named-block-nodes'))}
        assert not nodes['r']['ro'], nodes['r']
        # The second cannot be: the first is as it was.
        file = next(n['node-name'] for n in nodes.values() if n['file'] == b.file('e') and n['drv'] == 'file')
        both[1] = {'driver': 'qcow2', 'node-name': 'e', 'file': file, 'backing': 'n0', 'read-only': True}
        both.append({'driver': 'qcow2', 'node-name': 'n0', 'file': 'f0', 'read-only': True})
        assert 'error' in call(m, 'blockdev-reopen', options=both)
        nodes = {n['node-name']: n for n in ok(call(m, 'query-named-block-nodes'))}
        assert not nodes['r']['ro'] and not nodes['e']['ro'] and nodes['e']['backing_file_depth'] == 0, nodes
        ok(call(m, 'blockdev-reopen', options=both[:1]))
        assert {n['node-name']: n for n in ok(call(m, 'query-named-block-nodes'))}['r']['ro']
        m.quit()


def voting():
    with Bench() as b:
        for name in ('x', 'y', 'z'):
            b.img('create', '-q', '-f', 'raw', name, '1M')
        m = Machine('-S')
        m.negotiate()
        for name in ('x', 'y', 'z'):
            add_node(m, b, name, fmt='raw')
        ok(call(m, 'blockdev-add', driver='quorum', children=['x', 'y'], **{'node-name': 'q', 'vote-threshold': 2}))
        ok(call(m, 'x-blockdev-change', parent='q', node='z'))
        assert 'in conflict' in error(call(m, 'x-blockdev-change', parent='q', node='z', child='children.0'))
        ok(call(m, 'x-blockdev-change', parent='q', child='children.0'))
        assert 'vote threshold 2' in error(call(m, 'x-blockdev-change', parent='q', child='children.1'))
        assert 'does not support adding' in error(call(m, 'x-blockdev-change', parent='x', node='q'))
        m.quit()


def measured():
    with Bench() as b:
        b.img('create', '-q', '-f', 'qcow2', 'd', '4M')
        m = machine(b.file('d'))
        ok(call(m, 'block-latency-histogram-set', id='v0', boundaries=[10, 1000], **{'boundaries-flush': [5]}))
        stats = ok(m.command('query-blockstats'))[0]['stats']
        assert stats['rd_latency_histogram'] == {'boundaries': [10, 1000], 'bins': [0, 0, 0]}, stats
        assert stats['flush_latency_histogram']['boundaries'] == [5] and stats['timed_stats'] == [], stats
        assert 'ascend' in error(call(m, 'block-latency-histogram-set', id='v0', boundaries=[10, 10]))
        ok(call(m, 'block-latency-histogram-set', id='v0'))
        assert 'rd_latency_histogram' not in ok(m.command('query-blockstats'))[0]['stats']
        ok(call(m, 'x-blockdev-amend', **{'job-id': 'a', 'node-name': 'n0',
                                          'options': {'driver': 'qcow2', 'version': 'v2'}}))
        m.quit()


if __name__ == '__main__':
    sys.exit(main([dirty_bitmaps, incremental, grouped, overlays, mirrored, reopened, voting, measured]))
