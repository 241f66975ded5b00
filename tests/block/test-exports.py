#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports of a machine that is stopped: the NBD server and its exports by QMP and HMP, files by FUSE. Prints TAP."""
import json
import os
import subprocess
import sys
import time

from tools import Bench
from program import Machine, main

OK = {'return': {}}


def error(answer):
    return answer['error']['desc']


def qmp(m, command, **arguments):
    return m.raw(json.dumps({'execute': command, 'arguments': arguments}))


def unix(path):
    return {'type': 'unix', 'data': {'path': path}}


def start(b, *args):
    b.img('create', '-q', '-f', 'qcow2', 'a', '8M')
    b.io('a', 'write -P 7 1M 1M')
    b.img('bitmap', '--add', 'a', 'bm')
    m = Machine('-S', '-nodefaults', '-blockdev',
                f'driver=qcow2,node-name=n,file.driver=file,file.filename={b.file("a")},discard=unmap', *args)
    m.negotiate()
    return m


def nbd():
    with Bench() as b:
        m = start(b)
        path = b.file('sock')
        url = f'nbd+unix:///%s?socket={path}'
        add = {'type': 'nbd', 'id': 'e', 'node-name': 'n', 'name': 'disk', 'writable': True, 'allocation-depth': True}
        assert error(qmp(m, 'block-export-add', **add)) == 'NBD server not running'
        assert error(qmp(m, 'nbd-server-stop')) == 'NBD server not running'
        assert qmp(m, 'nbd-server-start', addr=unix(path)) == OK
        assert error(qmp(m, 'nbd-server-start', addr=unix(path))) == 'NBD server already running'
        assert error(qmp(m, 'block-export-add', **{**add, 'bitmaps': ['no']})) == "Bitmap 'no' is not found"
        assert qmp(m, 'query-block-exports')['return'] == []
        assert qmp(m, 'block-export-add', **{**add, 'bitmaps': ['bm']}) == OK
        assert error(qmp(m, 'block-export-add', **add)) == "Block export id 'e' is already in use"
        assert error(qmp(m, 'block-export-add', **{**add, 'id': 'f'})) == \
            "NBD server already has export named 'disk'"
        assert error(qmp(m, 'block-export-add', **{**add, 'id': '1'})) == 'Invalid block export id'
        assert qmp(m, 'nbd-server-add', device='n', name='second', description='words') == OK
        assert qmp(m, 'query-block-exports')['return'] == [
            {'id': 'e', 'type': 'nbd', 'node-name': 'n', 'shutting-down': False},
            {'id': 'second', 'type': 'nbd', 'node-name': 'n', 'shutting-down': False}]
        out = b.run('qemu-nbd', '-L', '-k', path)[1]
        assert 'exports available: 2' in out and 'qemu:dirty-bitmap:bm' in out and 'description: words' in out, out
        b.io(url % 'disk', 'read -P 7 1M 1M', 'write -P 8 2M 64k', options=('-f', 'raw'))
        b.io(url % 'second', 'read -P 8 2M 64k', options=('-r', '-f', 'raw'))
        status, _, err = b.run('qemu-io', '-f', 'raw', '-c', 'quit', url % 'none')
        assert status == 1 and "Requested export not available" in err, err
        # A client that stays: removed the soft way, then the hard way.
        client = subprocess.Popen([os.path.join(b.bin.name, 'qemu-io'), '-f', 'raw', url % 'disk'], cwd=b.path,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        client.stdin.write('read -P 8 2M 64k\n')
        client.stdin.flush()
        client.stdout.readline()  # it is there
        end = time.monotonic() + 30
        while 'error' in (answer := qmp(m, 'block-export-del', id='second')) and time.monotonic() < end:
            time.sleep(0.1)  # those of before go in their own time
        assert answer == OK, answer
        m.wait_event('BLOCK_EXPORT_DELETED')
        answer = qmp(m, 'block-export-del', id='e')
        assert error(answer).startswith("export 'e' still in use"), answer
        assert qmp(m, 'block-export-del', id='e', mode='hard') == OK
        m.wait_event('BLOCK_EXPORT_DELETED')
        client.communicate('quit\n', timeout=30)
        assert qmp(m, 'query-block-exports')['return'] == []
        assert error(qmp(m, 'block-export-del', id='e')) == "Export 'e' is not found"
        assert qmp(m, 'block-export-add', **add) == OK
        assert 'in use' in error(qmp(m, 'blockdev-del', **{'node-name': 'n'}))
        assert qmp(m, 'nbd-server-stop') == OK
        m.wait_event('BLOCK_EXPORT_DELETED')
        assert not os.path.exists(path)
        m.quit()
        b.io('a', 'read -P 8 2M 64k')


def fuse():
    if not os.path.exists('/dev/fuse') or os.geteuid() or 'export-fuse' not in os.environ.get('VITRINE_BLOCK_MODULES', ''):
        return
    with Bench() as b:
        m = start(b)
        place = b.file('place')
        open(place, 'wb').close()
        add = {'type': 'fuse', 'id': 'f', 'node-name': 'n', 'writable': True, 'mountpoint': place, 'growable': True}
        assert error(qmp(m, 'block-export-add', **{**add, 'mountpoint': b.path})) == f"'{b.path}' is not a regular file"
        assert qmp(m, 'block-export-add', **add) == OK
        assert os.stat(place).st_size == 8 << 20
        with open(place, 'r+b', buffering=0) as f:
            f.seek(1 << 20)
            assert f.read(1 << 20) == b'\7' * (1 << 20)
            assert os.lseek(f.fileno(), 0, os.SEEK_DATA) == 1 << 20
            assert os.lseek(f.fileno(), 1 << 20, os.SEEK_HOLE) == 2 << 20
            f.seek(3000)
            f.write(b'\5' * 5000)
            os.fsync(f.fileno())
            f.seek((8 << 20) - 512)
            f.write(b'\6' * 1024)
            subprocess.run(['fallocate', '-p', '-o', '1M', '-l', '64k', place], check=True, timeout=30)
            answer = qmp(m, 'block-export-del', id='f')
            assert error(answer).startswith("export 'f' still in use"), answer
        assert os.stat(place).st_size == (8 << 20) + 512
        os.truncate(place, 9 << 20)
        assert qmp(m, 'block-export-del', id='f') == OK
        m.wait_event('BLOCK_EXPORT_DELETED')
        assert os.stat(place).st_size == 0
        assert qmp(m, 'block-export-add', **{**add, 'writable': False, 'growable': False}) == OK
        assert os.stat(place).st_size == 9 << 20
        m.quit()
        assert os.stat(place).st_size == 0
        b.io('a', 'read -P 5 3000 5000', 'read -P 6 8388096 1024', 'read -P 0 1M 64k', 'read -P 7 1114112 64k')
        b.img('check', 'a')


def hmp():
    with Bench() as b:
        m = start(b)
        path = b.file('sock')
        assert m.hmp(f'nbd_server_start unix:{path}') == ''
        assert m.hmp('nbd_server_add -w n e') == ''
        b.io(f'nbd+unix:///e?socket={path}', 'write -P 9 0 64k', options=('-f', 'raw'))
        assert 'still in use' not in m.hmp('nbd_server_remove e')
        assert "Error: Export 'e' is not found" in m.hmp('nbd_server_remove -f e')
        assert m.hmp('nbd_server_stop') == ''
        assert 'Error: NBD server not running' in m.hmp('nbd_server_stop')
        m.quit()


def authorized():
    """Objects that say who may come are asked on the machine's loop."""
    with Bench() as b:
        with open(b.file('keys.psk'), 'w', encoding='ascii') as f:
            f.write('me:' + '0123456789abcdef' * 4 + '\n')
        path = b.file('sock')
        m = start(b, '-object', f'tls-creds-psk,id=t,endpoint=server,dir={b.path}',
                  '-object', 'authz-simple,id=yes,identity=me', '-object', 'authz-simple,id=no,identity=you')
        for authz, status in ('yes', 0), ('no', 1), ('missing', 1):
            assert qmp(m, 'nbd-server-start', addr=unix(path), **{'tls-creds': 't', 'tls-authz': authz}) == OK
            assert qmp(m, 'nbd-server-add', device='n') == OK
            got = b.run('qemu-nbd', '-L', '-k', path, '--tls-creds', 'c', '--object',
                        f'tls-creds-psk,id=c,endpoint=client,dir={b.path},username=me')
            assert (got[0] == 0) == (status == 0), (authz, got)
            assert qmp(m, 'nbd-server-stop') == OK
        m.quit()


if __name__ == '__main__':
    sys.exit(main([nbd, authorized, fuse, hmp]))
