# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that the command lines of coverage.py speak to, started when a line first names them ("{nbd}"): for all starts,
or ("own") for one start of the program."""
import atexit
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import coverage_files

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


MAKERS = {'{display}': Desktops.display, '{nbd}': unix_nbd, '{nbd-port}': tcp_nbd, '{nbd-tls}': tls_nbd, '{free-port}': lambda: str(free_port())}
MADE = {}
LOCK = threading.Lock()


def places(line):
    """What "{name}" stands for in a line."""
    with LOCK:
        for name, make in MAKERS.items():
            if name in line and (name not in MADE or name == '{free-port}'):
                MADE[name] = make()
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
