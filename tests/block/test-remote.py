#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on other hosts: web servers with and without ranges, short, missing and slow ones; SFTP; iSCSI."""
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from tools import Bench
from program import main

MODULES = os.environ.get('VITRINE_BLOCK_MODULES', '').split(':')


def has(module):
    return any(os.path.basename(path) == f'vitrine-block-{module}.so' for path in MODULES)


class Handler(http.server.BaseHTTPRequestHandler):
    """/MODE/anything serves DATA."""
    protocol_version = 'HTTP/1.1'
    data = b''
    seen = []

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        mode = self.path.split('/')[1]
        Handler.seen.append((self.path, dict(self.headers)))
        if mode == 'missing':
            return self.send_error(404)
        if mode == 'auth' and self.headers.get('Authorization') != 'Basic bWU6c2VjcmV0':
            self.send_response(401)
            self.send_header('WWW-Authenticate', 'Basic realm="x"')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if mode == 'elsewhere':
            self.send_response(302)
            self.send_header('Location', '/good/x')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if mode == 'file':
            self.send_response(302)
            self.send_header('Location', 'file:///etc/passwd')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if mode == 'silent':
            time.sleep(4)
        data, status = Handler.data, 200
        match = re.match(r'bytes=(\d+)-(\d+)$', self.headers.get('Range', ''))
        if match and mode not in ('plain', 'liar'):
            data, status = data[int(match[1]):int(match[2]) + 1], 206
        self.send_response(status)
        if mode != 'plain':
            self.send_header('accept-Ranges', ' bytes ')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if not body:
            return None
        if mode == 'short':
            start = int(match[1]) if match else 0
            self.wfile.write(data[:max(600000 - start, 0)])
            self.close_connection = True
        elif mode == 'slow':
            for at in range(0, len(data), 65536):
                self.wfile.write(data[at:at + 65536])
                time.sleep(0.05)
        else:
            try:
                self.wfile.write(data)
            except OSError:  # it has heard enough
                self.close_connection = True
        return None


def serve(b):
    """A URL without its path; an image "i" with data and its bytes on the server."""
    b.img('create', '-q', '-f', 'qcow2', 'i', '8M')
    b.io('i', 'write -P 7 1M 1M', 'write -P 9 5M 300k')
    with open(b.file('i'), 'rb') as f:
        Handler.data = f.read()
    Handler.seen = []
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *unused: None  # clients that go early
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f'http://127.0.0.1:{server.server_port}'


def web():
    if not has('curl'):
        return
    with Bench() as b:
        server, url = serve(b)
        info = b.json('info', '--output=json', url + '/good/i')
        assert info['format'] == 'qcow2' and info['virtual-size'] == 8 << 20 and info['filename'] == url + '/good/i', info
        for mode in ('good', 'slow', 'elsewhere'):
            b.img('compare', '-f', 'qcow2', '-F', 'qcow2', 'i', f'{url}/{mode}/i')
        b.img('convert', '-O', 'raw', url + '/good/i', 'copy')
        b.img('compare', '-F', 'raw', 'i', 'copy')
        b.io('copy', 'read -P 7 1M 1M', options=('-f', 'raw'))
        ahead = f'driver=qcow2,file.driver=http,file.url={url}/good/i,file.readahead=512,file.timeout=3,file.cookie=a=b'
        Handler.seen = []
        status, out, err = b.run('qemu-io', '-r', '-c', 'read -P 7 1M 1M', '-c', 'read -P 9 5M 300k', '--image-opts', ahead)
        assert status == 0 and 'Pattern' not in out, (out, err)
        assert all(headers.get('Cookie') == 'a=b' for _, headers in Handler.seen), Handler.seen[:2]
        for path, words in (('missing', '404'), ('plain', "Server does not support 'range' (byte ranges)."),
                            ('file', 'not supported')):
            status, _, err = b.run('qemu-img', 'info', f'{url}/{path}/i')
            assert status == 1 and words in err and 'CURL: Error opening file: ' in err, (path, err)
        force = f'driver=raw,file.driver=http,file.url={url}/plain/i,file.force-range=on'
        status, out, _ = b.run('qemu-io', '-r', '-c', 'read 0 64k', '-c', 'read 1M 64k', '--image-opts', force)
        assert 'read 65536/65536 bytes at offset 0' in out and 'read failed: Input/output error' in out, out
        status, out, _ = b.run('qemu-io', '-r', '-f', 'raw', '-c', 'read 0 500k', '-c', 'read 0 1M', f'{url}/short/i')
        assert 'read 512000/512000' in out and 'read failed: Input/output error' in out, out
        status, out, _ = b.run('qemu-io', '-r', '-f', 'raw', '-c', 'read 1M 64k', f'{url}/liar/i')
        assert status == 1 and 'read failed: Input/output error' in out, out
        start = time.monotonic()
        status, _, err = b.run('qemu-img', 'info', '--image-opts', f'driver=http,url={url}/silent/i,timeout=1')
        assert status == 1 and 'imed out' in err and time.monotonic() - start < 20, err
        auth = f'driver=qcow2,file.driver=http,file.url={url}/auth/i,file.username=me'
        status, _, err = b.run('qemu-img', 'info', '--image-opts', auth)
        assert status == 1 and '401' in err, err
        status, _, err = b.run('qemu-img', 'info', '--object', 'secret,id=s,data=secret', '--image-opts',
                               auth + ',file.password-secret=s')
        assert status == 0, err
        for options, words in ((',readahead=1000', 'must be a multiple of 512'), (',timeout=-1', 'timeout parameter'),
                               (',cookie=a,cookie-secret=s', 'cannot handle both cookie and cookie secret'),
                               (',password-secret=nonex', "'nonex'")):
            status, _, err = b.run('qemu-img', 'info', '--image-opts', f'driver=http,url={url}/good/i{options}')
            assert status == 1 and words in err and err.count('\n') == 1, err
        status, _, err = b.run('qemu-img', 'info', '--image-opts', 'driver=https,url=http://x/')
        assert status == 1 and "does not start with 'https://'" in err, err
        server.shutdown()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(('127.0.0.1', port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def ssh():
    """A server of this host's own keys; the user's key comes from an agent."""
    sshd, agent = '/usr/sbin/sshd', shutil.which('ssh-agent')
    if not has('ssh') or not os.path.exists(sshd) or not agent or os.geteuid():
        return
    with Bench() as b:
        os.makedirs('/run/sshd', exist_ok=True)
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', b.file(name)], check=True)
        port = free_port()
        with open(b.file('conf'), 'w', encoding='ascii') as f:
            f.write(f'Port {port}\nListenAddress 127.0.0.1\nHostKey {b.file("host")}\nStrictModes no\nUsePAM no\n'
                    f'AuthorizedKeysFile {b.file("user.pub")}\nPidFile none\nPermitRootLogin yes\n'
                    'Subsystem sftp internal-sftp\n')
        server = subprocess.Popen([sshd, '-D', '-e', '-f', b.file('conf')], stderr=subprocess.DEVNULL)
        keys = subprocess.Popen([agent, '-D', '-a', b.file('agent')], stdout=subprocess.DEVNULL)
        old = os.environ.get('SSH_AUTH_SOCK')
        os.environ['SSH_AUTH_SOCK'] = b.file('agent')
        try:
            assert wait_for_port(port, server)
            base = f'ssh://root@127.0.0.1:{port}{b.path}'
            status, _, err = b.run('qemu-img', 'info', f'{base}/i?host_key_check=no')
            assert status == 1 and 'failed to authenticate' in err, err
            subprocess.run(['ssh-add', '-q', b.file('user')], check=True)
            b.img('create', '-q', '-f', 'qcow2', f'{base}/i?host_key_check=no', '8M')
            b.io(f'{base}/i?host_key_check=no', 'write -P 7 1M 3M', 'read -P 7 1M 3M', 'flush')
            b.io('i', 'read -P 7 1M 3M', 'read -P 0 4M 4M')
            b.img('convert', '-O', 'raw', f'{base}/i?host_key_check=no', f'{base}/copy?host_key_check=no')
            b.img('compare', '-F', 'raw', 'i', 'copy')
            words = subprocess.run(['ssh-keygen', '-l', '-E', 'md5', '-f', b.file('host.pub')], capture_output=True, text=True,
                                   check=True).stdout.split()[1]
            b.img('info', f'{base}/i?host_key_check={words.lower()}')
            status, _, err = b.run('qemu-img', 'info', f'{base}/i?host_key_check=md5:00:11')
            assert status == 1 and "does not match host_key_check '00:11'" in err, err
            status, _, err = b.run('qemu-img', 'info', f'{base}/i')
            assert status == 1 and 'known' in err, err
            status, _, err = b.run('qemu-img', 'info', f'{base}/nonex?host_key_check=no')
            assert status == 1 and 'failed to open remote file' in err, err
        finally:
            for process in (server, keys):
                process.terminate()
                process.wait()
            if old is None:
                del os.environ['SSH_AUTH_SOCK']
            else:
                os.environ['SSH_AUTH_SOCK'] = old


def iscsi():
    """tgtd with a disk of 512-byte blocks, with and without a password."""
    tgtd = shutil.which('tgtd', path='/usr/sbin')
    if not has('iscsi') or not tgtd or os.geteuid():
        return
    with Bench() as b:
        b.img('create', '-q', '-f', 'raw', 'lun', '16M')
        port, control = free_port(), str(os.getpid() % 30000)
        os.makedirs('/run/tgtd', exist_ok=True)
        server = subprocess.Popen([tgtd, '-f', '-C', control, '--iscsi', f'portal=127.0.0.1:{port}'], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)

        def admin(*args):
            subprocess.run(['/usr/sbin/tgtadm', '-C', control, '--lld', 'iscsi', *args], check=True, capture_output=True,
                           timeout=20)
        try:
            if not wait_for_port(port, server):
                return  # it cannot run here
            for tid in ('1', '2'):
                admin('--op', 'new', '--mode', 'target', '--tid', tid, '-T', f'iqn.2020-01.test:{tid}')
                admin('--op', 'new', '--mode', 'logicalunit', '--tid', tid, '--lun', '1', '-b', b.file('lun'))
                admin('--op', 'update', '--mode', 'logicalunit', '--tid', tid, '--lun', '1', '--params', 'thin_provisioning=1')
                admin('--op', 'bind', '--mode', 'target', '--tid', tid, '-I', 'ALL')
            admin('--op', 'new', '--mode', 'account', '--user', 'me', '--password', 'secret123456')
            admin('--op', 'bind', '--mode', 'account', '--tid', '2', '--user', 'me')
            url = f'iscsi://127.0.0.1:{port}/iqn.2020-01.test:1/1'
            b.io(url, 'write -P 7 1M 3M', 'read -P 7 1M 3M', 'write -P 8 1000 10', 'read -P 8 1000 10', 'write -z 2M 64k',
                 'read -P 0 2M 64k', 'discard 3M 64k', 'flush', options=('-f', 'raw', '-d', 'unmap'))
            b.img('convert', '-f', 'raw', '-O', 'raw', url, 'copy')
            b.img('compare', '-f', 'raw', '-F', 'raw', 'lun', 'copy')
            secret = f'iscsi://127.0.0.1:{port}/iqn.2020-01.test:2/1'
            status, _, err = b.run('qemu-img', 'info', secret)
            assert status == 1 and 'iSCSI: Failed to connect to LUN' in err, err
            b.img('info', '-f', 'raw', secret.replace('//', '//me%secret123456@'))
            image = (f'driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{port},file.user=me,file.lun=1,'
                     'file.target=iqn.2020-01.test:2,file.password-secret=s')
            status, _, err = b.run('qemu-img', 'info', '--object', 'secret,id=s,data=secret123456', '--image-opts', image)
            assert status == 0, err
            status, _, err = b.run('qemu-img', 'info', f'iscsi://127.0.0.1:{port}/iqn.2020-01.test:1/7')
            assert status == 1 and err.startswith('qemu-img: Could not open'), err
        finally:
            server.kill()
            server.wait()


def rbd():
    """Without a cluster: loading the library, and the errors of a name and of a file."""
    with Bench() as b:
        for name, words in (('rbd:x', "Invalid RBD name 'rbd:x'"), ('rbd:a/b:foo=1', "the name's option 'foo' is not known")):
            status, _, err = b.run('qemu-img', 'info', name)
            assert status == 1 and words in err, err
        if has('rbd'):
            status, _, err = b.run('qemu-img', 'info', 'rbd:pool/space/image@snap:id=me:conf=/nonex')
            assert status == 1 and 'error reading conf file /nonex: No such file or directory' in err, err


def missing_modules():
    """A module that cannot be loaded, and names that are wrong: one sentence, with the library."""
    with Bench() as b:
        for module, name, library in (('curl', 'http://x/', 'libcurl'), ('ssh', 'ssh://x/y', 'libssh'),
                                      ('nfs', 'nfs://x/y', 'libnfs'), ('iscsi', 'iscsi://x/y/0', 'libiscsi')):
            if has(module):
                continue
            status, _, err = b.run('qemu-img', 'info', name)
            assert status == 1 and f'needs {library}, but the module vitrine-block-{module} cannot be loaded' in err, err
        for name, words in (('ssh://x', 'No valid URL specified'), ('nfs://x', 'Invalid URI specified'),
                            ('nfs://x/y?foo=1', 'Unknown NFS parameter name: foo'),
                            ('ssh://x/y?host_key_check=maybe', 'unknown host_key_check setting (maybe)'),
                            ('iscsi://x/y', 'Failed to parse URL'), ('iscsi://x', 'Failed to parse URL')):
            status, _, err = b.run('qemu-img', 'info', name)
            assert status == 1 and words in err, err


if __name__ == '__main__':
    sys.exit(main([web, ssh, iscsi, rbd, missing_modules]))
