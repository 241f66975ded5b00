#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""savevm, loadvm, delvm, info snapshots, the jobs, x-snapshot-rename and -loadvm: which images are meant, and what is said."""
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time

import program
from program import Machine

SNAPSHOTS = 'List of snapshots present on all disks:\n'


def in_folder(test):
    @functools.wraps(test)
    def run():
        with tempfile.TemporaryDirectory() as folder:
            test(folder)
    return run


def disk(folder, name, form='qcow2', size='16M'):
    path = os.path.join(folder, name)
    subprocess.run(['qemu-img', 'create', '-q', '-f', form, path, size], check=True)
    return path


def drive(path, *words):
    return ['-drive', ','.join([f'file={path}', *words])]


def names(m):
    """Of the snapshots that can be loaded, with their sizes."""
    text = m.hmp('info snapshots')
    if text == 'There is no snapshot available.\n':
        return {}
    assert text.startswith(SNAPSHOTS), text
    lines = text[len(SNAPSHOTS):].split('\n\n')[0].split('\n')[1:]
    return {line.split()[1]: ' '.join(line.split()[2:4]) for line in lines if line}


@in_folder
def people(folder):
    a, b = disk(folder, 'a'), disk(folder, 'b')
    options = ['-m', '16', '-S', *drive(a, 'if=ide'), *drive(b, 'if=virtio'), '-cdrom', disk(folder, 'c', 'raw')]
    m = Machine(*options)
    m.negotiate()
    assert names(m) == {}
    assert m.hmp('savevm') == '' and m.hmp('savevm one') == '' and m.hmp('savevm one') == ''
    found = names(m)
    assert len(found) == 2 and found['one'].endswith('iB'), found
    assert m.hmp('loadvm nope') == "Error: Snapshot 'nope' does not exist in one or more devices\n"
    assert m.hmp('loadvm one') == ''
    assert m.command('query-status')['return']['status'] == 'prelaunch'
    m.command('cont')
    assert m.hmp('loadvm one') == '' and m.command('query-status')['return']['status'] == 'running'
    assert [e['data']['reason'] for e in m.events if e['event'] == 'RESET'] == ['snapshot-load'] * 2, m.events
    assert m.hmp('delvm nope') == '' and m.hmp('delvm one') == '' and 'one' not in names(m)
    assert m.hmp('savevm two') == ''
    m.quit()
    # Another process begins there; -S stays.
    m = Machine(*options, '-loadvm', 'two')
    m.negotiate()
    assert m.command('query-status')['return']['status'] == 'prelaunch'
    m.quit()
    # What another machine left is not for this one.
    for more, text in (['-m', '32'], 'saved with'), (['-device', 'virtio-rng-pci'], 'saved as'):
        status, _, error = program.run(*program.BASE, '-S', *options, *more, '-loadvm', 'two')
        assert status == 1 and text in error, error
    status, _, error = program.run(*program.BASE, '-S', *options, '-loadvm', 'three')
    assert status == 1 and error.endswith("Snapshot 'three' does not exist in one or more devices\n"), error


@in_folder
def raw(folder):
    m = Machine('-m', '16', '-S', *drive(disk(folder, 'r', 'raw'), 'format=raw'),
                *drive(disk(folder, 'q'), 'if=virtio'))
    m.negotiate()
    for command in 'savevm x', 'loadvm x', 'delvm x':
        assert m.hmp(command) == "Error: Device 'ide0-hd0' is writable but does not support snapshots\n", m.hmp(command)
    m.quit()
    m = Machine('-S')
    m.negotiate()
    assert m.hmp('savevm x') == 'Error: no block device can store vmstate for snapshot\n'
    assert m.hmp('info snapshots') == 'no block device can store vmstate for snapshot\n'
    m.quit()


def job(m, command, **arguments):
    arguments = {name.replace('_', '-'): value for name, value in arguments.items()}
    assert 'return' in m.command(command, **{'job-id': 'j', **arguments})
    while True:
        found, = m.command('query-jobs')['return']
        if found['status'] == 'concluded':
            break
        time.sleep(0.02)
    m.command('job-dismiss', id='j')
    return found.get('error')


@in_folder
def jobs(folder):
    m = Machine('-m', '16', '-blockdev', f'qcow2,node-name=n,file.driver=file,file.filename={disk(folder, "n")}',
                '-device', 'virtio-blk-pci,drive=n', '-blockdev',
                f'qcow2,node-name=o,file.driver=file,file.filename={disk(folder, "o")}',
                '-device', 'virtio-blk-pci,drive=o')
    m.negotiate()
    both = {'vmstate': 'n', 'devices': ['n', 'o']}
    assert job(m, 'snapshot-save', tag='x', vmstate='z', devices=['z']) == "No block device node 'z'"
    assert job(m, 'snapshot-save', tag='x', vmstate='n', devices=['o']) == "vmstate block device 'n' does not exist"
    assert job(m, 'snapshot-save', tag='x', vmstate='n', devices=[]) == 'At least one device is required for snapshot'
    assert job(m, 'snapshot-save', tag='x', **both) is None
    assert job(m, 'snapshot-save', tag='x', **both) == "Snapshot 'x' already exists in one or more devices"
    assert job(m, 'snapshot-save', tag='w', vmstate='n', devices=['n']) is None
    text = m.hmp('info snapshots')
    assert "\nList of partial (non-loadable) snapshots on 'n':\n" in text and ' w ' in text, text
    assert job(m, 'snapshot-load', tag='x', vmstate='o', devices=['n', 'o']).startswith('This is a disk-only snapshot')
    assert job(m, 'snapshot-load', tag='q', **both) == "Snapshot 'q' does not exist in one or more devices"
    assert job(m, 'snapshot-load', tag='x', **both) is None
    assert m.command('query-status')['return']['status'] == 'running'
    assert job(m, 'snapshot-delete', tag='x', devices=['n', 'o']) is None
    assert job(m, 'snapshot-delete', tag='x', devices=['n', 'o']) is None
    m.quit()


def node(name, path, **faults):
    """FAULTS: options of a blkdebug below."""
    file = {'driver': 'file', 'filename': path}
    if faults:
        file = {'driver': 'blkdebug', 'image': file, **{key.replace('_', '-'): value for key, value in faults.items()}}
    return ['-blockdev', json.dumps({'driver': 'qcow2', 'node-name': name, 'file': file}), '-device', f'virtio-blk-pci,drive={name}']


def fault(kind, number, once):
    """What fails: the write of that number, or the flush that follows it; once, or all of the kind from then on."""
    states = [{'event': 'pwritev', 'state': i, 'new_state': i + 1} for i in range(1, number)]
    return {'set_state': states,
            'inject_error': [{'event': 'pwritev', 'state': number, 'iotype': kind, 'errno': 5, 'once': once}]}


def listed(path):
    """What the peer says of the snapshots of an image."""
    out = subprocess.run(['qemu-img', 'snapshot', '-U', '-l', path], capture_output=True, text=True, check=True).stdout
    return out.splitlines()[2:]


def tags(m, name):
    """What the program says of those of a node."""
    found, = [b['inserted'] for b in m.command('query-block')['return'] if b.get('inserted', {}).get('node-name') == name]
    return {s['name'] for s in found['image'].get('snapshots', [])}


def rename_error(m, tag, name, devices=('n', 'o')):
    return m.command('x-snapshot-rename', tag=tag, name=name, devices=list(devices)).get('error', {}).get('desc')


@in_folder
def rename(folder):
    """The name is another, everything else of a snapshot as it was, on all disks that have it."""
    paths = disk(folder, 'n'), disk(folder, 'o')
    both = {'vmstate': 'n', 'devices': ['n', 'o']}
    m = Machine('-m', '16', '-S', *node('n', paths[0]), *node('o', paths[1]))
    m.negotiate()
    for tag in 'one', 'two':
        assert job(m, 'snapshot-save', tag=tag, **both) is None
    assert job(m, 'snapshot-save', tag='only', vmstate='n', devices=['n']) is None
    before = [listed(path) for path in paths]
    assert rename_error(m, 'none', 'x') == "Snapshot 'none' does not exist in any device"
    assert rename_error(m, 'one', 'two') == "Snapshot 'two' already exists in one or more devices"
    assert rename_error(m, 'two', 'only') == "Snapshot 'only' already exists in one or more devices"
    assert rename_error(m, 'one', '') == 'A snapshot needs a name'
    assert rename_error(m, 'one', 'x', []) == 'At least one device is required for snapshot'
    assert rename_error(m, 'one', 'x' * 40000) == \
        "Could not rename snapshot 'one' on 'n': Snapshot name: Invalid argument. It has its old name on all disks"
    assert [listed(path) for path in paths] == before
    assert rename_error(m, 'one', 'Größe') is None and rename_error(m, 'only', 'lonely') is None
    after = [[line.replace('Größe', 'one').replace('lonely', 'only').split() for line in listed(path)] for path in paths]
    assert after == [[line.split() for line in lines] for lines in before], (before, after)
    assert job(m, 'snapshot-load', tag='one', **both) == "Snapshot 'one' does not exist in one or more devices"
    assert job(m, 'snapshot-load', tag='Größe', **both) is None
    m.quit()
    for path in paths:
        subprocess.run(['qemu-img', 'check', '-q', path], check=True)


@in_folder
def rename_fails(folder):
    """On all disks or on none, and where that cannot be, it is said how it stands."""
    paths = disk(folder, 'n'), disk(folder, 'o')
    m = Machine('-m', '16', '-S', *node('n', paths[0]), *node('o', paths[1]))
    m.negotiate()
    assert job(m, 'snapshot-save', tag='old', vmstate='n', devices=['n', 'o']) is None
    m.quit()
    refused = {'write': 0, 'flush': 0}
    for kind, number in itertools.product(refused, range(1, 9)):
        m = Machine('-m', '16', '-S', *node('n', paths[0]), *node('o', paths[1], **fault(kind, number, True)))
        m.negotiate()
        error = rename_error(m, 'old', 'new')
        refused[kind] += error is not None
        assert not error or error.startswith("Could not rename snapshot 'old' on 'o': "), error
        assert not error or error.endswith('. It has its old name on all disks'), error
        assert tags(m, 'n') == tags(m, 'o') == {'old' if error else 'new'}, (kind, number, error)
        m.quit()
        for path in paths:
            assert [line.split()[1] for line in listed(path)] == ['old' if error else 'new'], (kind, number, error)
            assert subprocess.run(['qemu-img', 'check', '-q', path], capture_output=True).returncode in (0, 3), (kind, number, error)
        if not error:  # there are fewer than that
            m = Machine('-m', '16', '-S', *node('n', paths[0]), *node('o', paths[1]))
            m.negotiate()
            assert rename_error(m, 'new', 'old') is None
            m.quit()
    assert min(refused.values()) >= 2, refused
    split = 0
    for number in range(1, 9):
        m = Machine('-m', '16', '-S', *node('n', paths[0], **fault('write', number, False)),
                    *node('o', paths[1], **fault('write', 1, False)))
        m.negotiate()
        error = rename_error(m, 'old', 'new')
        new = 'new' in tags(m, 'n')
        split += new
        assert tags(m, 'o') == {'old'} and error
        assert error.endswith(". It has the new name on 'n' now and the old one on the others" if new else
                              '. It has its old name on all disks'), error
        m.quit()
        m = Machine('-m', '16', '-S', *node('n', paths[0]), *node('o', paths[1]))
        m.negotiate()
        assert 'new' not in tags(m, 'n') or rename_error(m, 'new', 'old', ['n']) is None
        m.quit()
        assert [line.split()[1] for path in paths for line in listed(path)] == ['old', 'old']
    assert split, 'it was always put back'


@in_folder
def changes_fail(folder):
    """A snapshot that is not made or not deleted for the host's sake leaves an image that is whole."""
    path = disk(folder, 'n')
    refused = {'save': 0, 'delete': 0}
    for kind, what, number in itertools.product(('write', 'flush'), refused, range(1, 13)):
        m = Machine('-m', '16', '-S', *node('n', path))
        m.negotiate()
        for tag in {'old', 'new'} & tags(m, 'n'):
            assert job(m, 'snapshot-delete', tag=tag, devices=['n']) is None
        assert job(m, 'snapshot-save', tag='old', vmstate='n', devices=['n']) is None
        m.quit()
        m = Machine('-m', '16', '-S', *node('n', path, **fault(kind, number, True)))
        m.negotiate()
        why = job(m, 'snapshot-delete', tag='old', devices=['n']) if what == 'delete' else \
            job(m, 'snapshot-save', tag='new', vmstate='n', devices=['n'])
        refused[what] += why is not None
        m.process.kill()
        m.process.wait()
        check = subprocess.run(['qemu-img', 'check', path], capture_output=True, text=True)
        assert check.returncode in (0, 3), (kind, what, number, why, check)
    assert min(refused.values()) >= 2, refused


sys.exit(program.main([people, raw, jobs, rename, rename_fails, changes_fail]))
