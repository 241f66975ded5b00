# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole machines for tests: start one, talk to its serial port and its monitor, look at its screen.

A test file decorates functions with @case and ends with vm.run (). It is called as "FILE PROGRAM [CASE...]" (or with
VITRINE set), prints TAP, and ends with 77 when everything was skipped.
"""
import ctypes
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SKIP = 77
HERE = pathlib.Path(__file__).resolve().parent
INSTALLER = '/usr/lib/debian-installer/images/12/{0}/text/debian-installer/{0}/'


class Skip(Exception):
    """The host lacks what the test needs."""


def need(*paths):
    for path in paths:
        if not (os.path.exists(path) if '/' in str(path) else shutil.which(path)):
            raise Skip(f'{path} is missing')


def die_with_parent():
    """For a child to be: nothing is left running when a test is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def program():
    return sys.argv[1] if len(sys.argv) > 1 else os.environ.get('VITRINE', 'build/app/vitrine')


@functools.cache
def scratch():
    """A folder that goes when the test ends."""
    folder = tempfile.TemporaryDirectory(prefix='vitrine-test-')
    scratch.keep = folder
    return pathlib.Path(folder.name)


def tool(*command, **options):
    """Runs a host tool; its output only matters when it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise AssertionError(f'{command[0]}: status {done.returncode}\n{done.stdout.decode(errors="replace")}')
    return done.stdout


def debian_package(name):
    """The files of a Debian package that is not to be installed, in a cache that outlives the test."""
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache'))) / 'vitrine-tests'
    target = cache / name
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            try:
                subprocess.run(['apt-get', 'download', name], cwd=work, check=True, timeout=300,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                archive, = pathlib.Path(work).glob('*.deb')
                subprocess.run(['dpkg-deb', '-x', archive, f'{work}/files'], check=True)
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                raise Skip(f'package {name} cannot be had: {error}') from error
            os.rename(f'{work}/files', target)
    return target


# --- guests ----------------------------------------------------------------------------------------------------------

INIT = '''#!/bin/busybox sh
export PATH=/bin:/sbin
[ -e /bin/mount ] || /bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
exec < /dev/console > /dev/console 2>&1
echo 1 > /proc/sys/kernel/printk
echo "shell on $(uname -m)"
while true; do sh; sleep 1; done
'''


def linux(arch='amd64'):
    """The kernel of Debian's installer."""
    path = INSTALLER.format(arch) + 'linux'
    need(path)
    return path


def installer_files(arch, *patterns):
    """Files of the installer's initial RAM disk, unpacked."""
    archive = INSTALLER.format(arch) + 'initrd.gz'
    need(archive, 'cpio')
    folder = scratch() / f'installer-{arch}'
    folder.mkdir(exist_ok=True)
    unzipped = subprocess.Popen(['zcat', archive], stdout=subprocess.PIPE)
    tool('cpio', '-idu', '--quiet', '--no-absolute-filenames', *patterns, stdin=unzipped.stdout, cwd=folder)
    unzipped.stdout.close()
    unzipped.wait()
    return folder


def initramfs(arch='amd64', init=INIT, files=()):
    """A busybox with a shell on the console. FILES: pairs of path inside and content."""
    target = scratch() / f'initramfs-{arch}.cpio'
    root = scratch() / f'root-{arch}'
    for folder in ('bin', 'dev', 'proc', 'sys', 'lib'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    if arch == 'amd64':
        need('/bin/busybox')
        shutil.copy('/bin/busybox', root / 'bin/busybox')
    else:  # there is no static 32-bit one: the installer's, with its C library
        source = installer_files(arch, 'bin/*', 'sbin/*', 'usr/bin/*', 'lib/*/libc.so.6', 'lib/*/libresolv.so.2',
                                 'lib/*/ld-linux.so.2')
        shutil.copy(source / 'bin/busybox', root / 'bin/busybox')
        for path in source.rglob('bin/*'):
            if path.is_symlink() and path.readlink().name == 'busybox' and not (root / 'bin' / path.name).exists():
                (root / 'bin' / path.name).symlink_to('busybox')
        for library in (source / 'lib').glob('*/*'):
            shutil.copy(library, root / 'lib')
    (root / 'init').write_text(init)
    (root / 'init').chmod(0o755)
    for name, content in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        (root / name).chmod(0o755)
    names = '\n'.join(str(path.relative_to(root)) for path in sorted(root.rglob('*')))
    target.write_bytes(subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet', '-R', '0:0'], input=names.encode(),
                                      cwd=root, stdout=subprocess.PIPE, check=True).stdout)
    return target


def assemble(name, form='bin', **defines):
    """tests/system/guest/NAME.asm by nasm; "elf32" and "elf64" are linked by kernel.ld."""
    need('nasm')
    source = HERE / 'guest' / f'{name}.asm'
    output = scratch() / f'{name}.{form}'
    flags = [f'-D{key}={value}' for key, value in defines.items()]
    tool('nasm', '-f', form, '-I', f'{source.parent}/', '-o', output, *flags, source)
    if form == 'bin':
        return output
    linked = scratch() / name
    emulation = 'elf_i386' if form == 'elf32' else 'elf_x86_64'
    tool('ld', '-m', emulation, '-T', source.with_name('kernel.ld'), '-o', linked, output)
    return linked


# --- machines --------------------------------------------------------------------------------------------------------

class Monitor:
    """A QMP connection."""

    def __init__(self, path, alive):
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline or not alive():
                    raise
                time.sleep(0.002)
        self.socket.settimeout(60)
        self.file = self.socket.makefile('rw')
        self.events = []
        self.greeting = self.read()

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError('the monitor has gone')
        return json.loads(line)

    def __call__(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            answer = self.read()
            if 'event' in answer:
                self.events.append(answer)
            elif 'error' in answer:
                raise AssertionError(f'{command}: {answer["error"]}')
            else:
                return answer['return']

    def wait_event(self, name, seconds=30):
        self.socket.settimeout(seconds)
        while True:
            for i, event in enumerate(self.events):
                if event['event'] == name:
                    return self.events.pop(i)
            self.events.append(self.read())


class Picture:
    """A PPM file's pixels."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        fields = data.split(maxsplit=4)
        assert fields[0] == b'P6' and fields[3] == b'255', data[:20]
        self.width, self.height = int(fields[1]), int(fields[2])
        self.data = data[-self.width * self.height * 3:]

    def colours(self):
        return len({self.data[i:i + 3] for i in range(0, len(self.data), 3)})


class Machine:
    """A running program. Its serial port is text that comes and bytes that go."""

    def __init__(self, *options, monitor=True, serial=True, run=True, timeout=600, binary=None):
        self.folder = tempfile.TemporaryDirectory(prefix='machine-', dir=scratch())
        words = [binary or program(), '-display', 'none']
        if monitor:
            words += ['-qmp', f'unix:{self.folder.name}/qmp,server=on,wait=off']
        if serial:
            words += ['-serial', 'stdio']
        if not run:
            words += ['-S']
        self.words = words + [str(option) for option in options]
        self.text, self.seen = '', 0
        self.changed = threading.Condition()
        self.started = time.monotonic()
        self.errors = open(f'{self.folder.name}/stderr', 'w+', errors='replace')
        # With sanitizers: the translator has its own use for SIGSEGV, and a finding is to end the program.
        variables = {'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=1:handle_segv=0', **os.environ}
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        preexec_fn=die_with_parent, env=variables)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()
        self.killer = threading.Timer(timeout, self.process.kill)
        self.killer.daemon = True
        self.killer.start()
        self.qmp = None
        if monitor:
            try:
                self.qmp = Monitor(f'{self.folder.name}/qmp', lambda: self.process.poll() is None)
            except OSError as error:
                raise AssertionError(f'no monitor: {error}\n{self.stderr()}') from error
            self.greeted = time.monotonic() - self.started
            self.qmp('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.killer.cancel()
        self.reader.join()
        if kind and kind is not Skip:
            tail = self.text[-1500:] + '\n' + self.stderr()[-1500:]
            explain(' '.join(self.words) + ''.join('\n| ' + line for line in clean(tail).splitlines()))
        self.errors.close()
        self.folder.cleanup()

    def collect(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            with self.changed:
                if data:
                    self.text += data.decode(errors='replace')
                else:
                    self.text += '\x04'
                self.changed.notify_all()
            if not data:
                return

    def stderr(self):
        self.errors.flush()
        return pathlib.Path(self.errors.name).read_text(errors='replace')

    def wait(self, pattern, seconds=60):
        """Until PATTERN comes out of the serial port, after what earlier waits found."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                match = expression.search(self.text, self.seen)
                if match:
                    self.seen = match.end()
                    return match
                if '\x04' in self.text[self.seen:]:
                    raise AssertionError(f'ended, status {self.process.wait()}, before {pattern!r} came')
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f'{pattern!r} did not come within {seconds} s')
                self.changed.wait(left)

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def shell(self, command, seconds=30):
        """What COMMAND prints, on the shell of our initramfs."""
        # Quotes in the marks, so that the terminal's echo of the line is not one.
        self.send(f'echo "<""start>"; {command}; echo "<"$?">"\n')
        start = self.wait(r'<start>\r?\n', seconds).end()
        status = self.wait(r'<(\d+)>\r?\n', seconds)
        output = clean(self.text[start:status.start()]).strip()
        assert status[1] == '0', f'{command}: status {status[1]}: {output}'
        return output

    def hmp(self, line):
        return self.qmp('human-monitor-command', **{'command-line': line})

    def key(self, *names):
        self.qmp('send-key', keys=[{'type': 'qcode', 'data': name} for name in names])

    def screen(self):
        """The picture of the first console."""
        path = f'{self.folder.name}/screen.ppm'
        self.qmp('screendump', filename=path)
        return Picture(path)

    def text_screen(self, columns=80, rows=25):
        """What is written in VGA text memory."""
        path = f'{self.folder.name}/text'
        self.qmp('pmemsave', val=0xb8000, size=columns * rows * 2, filename=path)
        cells = pathlib.Path(path).read_bytes()[::2].decode('cp437')
        return '\n'.join(cells[i:i + columns].rstrip() for i in range(0, len(cells), columns))

    def wait_screen(self, pattern, seconds=60):
        def look():
            screen = self.text_screen()
            return re.search(pattern, screen) and screen
        try:
            return wait_for(f'{pattern!r} on the screen', look, seconds, 0.2)
        except AssertionError as error:
            raise AssertionError(f'{error}; there is:\n{self.text_screen()}') from error

    def wait_exit(self, seconds=30):
        return self.process.wait(seconds)

    def quit(self):
        self.qmp('quit')
        status = self.wait_exit()
        assert status == 0, f'quit: status {status}\n{self.stderr()}'


def clean(text):
    return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\n]', '', text)


def wait_for(what, condition, seconds=30, pause=0.03):
    """Until CONDITION gives something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f'{what}: not within {seconds} s')
        time.sleep(pause)


# --- running ---------------------------------------------------------------------------------------------------------

CASES = {}


def explain(text):
    """Why a case failed, on stderr: that is what a test run shows of it."""
    sys.stdout.flush()
    print('\n'.join('# ' + line for line in text.splitlines()), file=sys.stderr, flush=True)


def case(function):
    CASES[function.__name__.replace('_', '-')] = function
    return function


def run():
    names = sys.argv[2:] or list(CASES)
    print(f'TAP version 13\n1..{len(names)}', flush=True)
    failed = 0
    for number, name in enumerate(names, 1):
        start = time.monotonic()
        try:
            try:
                note = CASES[name]()
            except AssertionError:
                # What waits for a machine is only meaningful where this can run; a busy host gets a second trial.
                if os.getloadavg()[0] <= os.cpu_count():
                    raise
                explain(f'{name}: once more, as the host is busy (load {os.getloadavg()[0]:.1f})\n' + traceback.format_exc())
                note = CASES[name]()
            took = f'{time.monotonic() - start:.1f} s'
            print(f'ok {number} {name} - {took}' + (f', {note}' if note else ''), flush=True)
        except Skip as why:
            print(f'ok {number} {name} # SKIP {why}', flush=True)
        except Exception:
            failed += 1
            explain(traceback.format_exc())
            print(f'not ok {number} {name}', flush=True)
    sys.exit(1 if failed else 0)
