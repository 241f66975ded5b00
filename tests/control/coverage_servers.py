# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that the command lines of coverage.py speak to, started when a line first names them ("{nbd}"): for all
starts, or ("own") for one start of the program."""
import atexit
import base64
import http.server
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import coverage_files
import ftp_server

NBD = os.path.join(os.path.dirname(os.environ['VITRINE']), '../block/tools/vitrine-nbd')


def start(*command):
    # pylint: disable=consider-using-with
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def answers(place):
    try:
        with socket.socket(socket.AF_INET if isinstance(place, int) else socket.AF_UNIX) as s:
            s.connect(('127.0.0.1', place) if isinstance(place, int) else place)
            return True
    except OSError:
        return False


def wait_for(place, seconds=20):
    end = time.monotonic() + seconds
    while not answers(place) and time.monotonic() < end:
        time.sleep(0.02)
    return place


def lasting(process):
    atexit.register(process.kill)


def image(name):
    coverage_files.need('pattern')
    shutil.copy(coverage_files.path('pattern'), coverage_files.path(name))
    return coverage_files.path(name)


def nbd(socket_path, path, *options):
    return start(NBD, '-t', '-e', '0', '-f', 'raw', '-k', socket_path, *options, path)


def unix_nbd():
    path = coverage_files.path('nbd.sock')
    lasting(nbd(path, image('nbd.raw'), '-x', 'exp'))
    return wait_for(path)


def tcp_nbd(*options):
    port = free_port()
    lasting(start(NBD, '-t', '-e', '0', '-f', 'raw', '-p', str(port), '-b', '127.0.0.1', *options,
                  image(f'nbd{port}.raw')))
    return str(wait_for(port))


def tls_nbd():
    folder = coverage_files.need('pki')
    return tcp_nbd('--object', f'tls-creds-x509,id=t,endpoint=server,dir={folder},verify-peer=on', '--tls-creds', 't')


class Web(http.server.BaseHTTPRequestHandler):
    """The image "pattern" in ranges. Under /auth/ for "me:secret" only, under /cookie/ for who has the cookie a=b,
    under /silent/ after ten seconds."""
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        place, data, status = self.path.split('/')[-2], coverage_files.PATTERN, 200
        if place == 'silent':
            time.sleep(10)
        if place == 'auth' and self.headers.get('Authorization') != 'Basic bWU6c2VjcmV0':
            return self.refuse(401)
        if place == 'cookie' and self.headers.get('Cookie') != 'a=b':
            return self.refuse(403)
        if self.path.startswith('http:') and self.headers.get('Proxy-Authorization') != 'Basic bWU6c2VjcmV0':
            return self.refuse(407)
        part = re.match(r'bytes=(\d+)-(\d+)$', self.headers.get('Range', ''))
        if part:
            data, status = data[int(part[1]):int(part[2]) + 1], 206
        self.send_response(status)
        self.send_header('Accept-Ranges', 'bytes')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        return self.wfile.write(data) if body else None

    def refuse(self, status):
        self.send_response(status)
        for header in ('WWW-Authenticate', 'Proxy-Authenticate'):
            self.send_header(header, 'Basic realm="x"')
        self.send_header('Content-Length', '0')
        self.end_headers()


def certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = coverage_files.need('pki')
    context.load_cert_chain(f'{folder}/server-cert.pem', f'{folder}/server-key.pem')
    return context


def ftp(secure=False):
    return f'127.0.0.1:{ftp_server.Server(image("ftp.raw"), certificate() if secure else None).port}'


def web(secure=False):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
    server.daemon_threads = True
    server.handle_error = lambda *unused: None  # clients that go early
    if secure:
        server.socket = certificate().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'127.0.0.1:{server.server_port}'


def sshd():
    """"PORT" of a server of this host's own keys; the user's key is in the agent "agent" of the bench."""
    at = coverage_files.path
    image('ssh.raw')
    os.makedirs('/run/sshd', exist_ok=True)
    for name in ('host', 'user'):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(name)], check=True)
    port = free_port()
    coverage_files.write('sshd.conf', f'Port {port}\nListenAddress 127.0.0.1\nHostKey {at("host")}\nStrictModes no\n'
                         f'UsePAM no\nAuthorizedKeysFile {at("user.pub")}\nPidFile none\nPermitRootLogin yes\n'
                         'Subsystem sftp internal-sftp\n')
    lasting(start('/usr/sbin/sshd', '-D', '-e', '-f', at('sshd.conf')))
    lasting(start(shutil.which('ssh-agent'), '-D', '-a', at('agent')))
    wait_for(at('agent'))
    subprocess.run(['ssh-add', '-q', at('user')], check=True, env=dict(os.environ, SSH_AUTH_SOCK=at('agent')))
    return str(wait_for(port))


def host_key(kind):
    places('{ssh}')
    return subprocess.run(['ssh-keygen', '-l', '-E', kind, '-f', coverage_files.path('host.pub')], capture_output=True,
                          text=True, check=True).stdout.split()[1].split(':', 1)[1].replace(':', '')


def tgtd():
    """"PORT" of an iSCSI server; target 2 wants a password."""
    port, control = free_port(), str(os.getpid() % 30000)
    os.makedirs('/run/tgtd', exist_ok=True)
    lasting(start('/usr/sbin/tgtd', '-f', '-C', control, '--iscsi', f'portal=127.0.0.1:{port}'))
    wait_for(port)

    def admin(*args):
        subprocess.run(['/usr/sbin/tgtadm', '-C', control, '--lld', 'iscsi', *args], check=True, capture_output=True,
                       timeout=20)
    for tid in ('1', '2'):
        admin('--op', 'new', '--mode', 'target', '--tid', tid, '-T', f'iqn.2020-01.test:{tid}')
        admin('--op', 'new', '--mode', 'logicalunit', '--tid', tid, '--lun', '1', '-b', image(f'lun{tid}.raw'))
        admin('--op', 'bind', '--mode', 'target', '--tid', tid, '-I', 'ALL')
    admin('--op', 'new', '--mode', 'account', '--user', 'me', '--password', 'secret123456')
    admin('--op', 'bind', '--mode', 'account', '--tid', '2', '--user', 'me')
    return str(port)


def bus():
    """A message bus; its address."""
    # pylint: disable=consider-using-with
    p = subprocess.Popen(['dbus-daemon', '--session', '--nofork', '--nopidfile', '--print-address=1'], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True)
    atexit.register(p.kill)
    return p.stdout.readline().strip().split(',')[0]


class Desktops:
    """The desktop that windows are shown on; none where its tools are not installed."""
    one = None
    lock = threading.Lock()

    @classmethod
    def display(cls):
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../ui'))
        import desktop  # pylint: disable=import-outside-toplevel,import-error
        if any(not shutil.which(tool) for tool in desktop.NEEDED):
            return ':none'
        cls.one = desktop.Desktop()
        atexit.register(cls.one.close)
        return cls.one.env['DISPLAY']


MAKERS = {
    '{display}': Desktops.display, '{http}': web, '{https}': lambda: web(True), '{ftp}': ftp, '{ftps}': lambda: ftp(True),
    '{ssh}': sshd, '{iscsi}': tgtd,
    '{agent}': lambda: coverage_files.path('agent'), '{nbd}': unix_nbd, '{nbd-port}': tcp_nbd, '{nbd-tls}': tls_nbd,
    '{free-port}': lambda: str(free_port()), '{bus}': bus,
}
MADE = {}
LOCK = threading.RLock()


def places(line):
    """What "{name}" stands for in a line."""
    with LOCK:
        for name, make in MAKERS.items():
            if name in line and (name not in MADE or name in ('{free-port}', '{bus}')):
                MADE[name] = make()
        if '{sha256}' in line:
            MADE['{sha256}'] = base64.b64decode(host_key('sha256') + '=').hex()
        return dict(MADE)


class Own:
    """The NBD server of one start of the program: "@/own.sock", which exports "@/own.raw". LATE seconds after it."""

    def __init__(self, files, late=0):
        self.path, self.image = os.path.join(files, 'own.sock'), os.path.join(files, 'own.raw')
        shutil.copy(image('own.raw'), self.image)
        self.process = None
        self.timer = threading.Timer(late, self.start)
        if late:
            self.timer.start()
        else:
            self.start()
            wait_for(self.path)

    def start(self):
        self.process = nbd(self.path, self.image)

    def stop(self):
        self.timer.join() if self.timer.is_alive() else None  # pylint: disable=expression-not-assigned
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if os.path.exists(self.path):
            os.unlink(self.path)
        return True

    def start_later(self, seconds):
        self.timer = threading.Timer(seconds, self.start)
        self.timer.start()
        return True
