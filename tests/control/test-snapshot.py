#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""savevm, loadvm, delvm, info snapshots, the jobs and -loadvm: which images are meant, and what is said."""
import functools
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


sys.exit(program.main([people, raw, jobs]))
