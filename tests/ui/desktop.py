# SPDX-License-Identifier: GPL-3.0-or-later
"""An X server of our own with a window manager, and hands and eyes on it."""
import ctypes
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SKIP = 77
SYSTEM_PYTHON = '/usr/bin/python3'  # which has the bindings of GObject
NEEDED = ('Xvfb', 'openbox', 'xdotool', 'xwininfo', 'import')


def die_with_parent():
    """For a child to be: nothing is left running when a test is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def wait_for(what, condition, seconds=30):
    """Until CONDITION gives something true, which is returned."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {seconds} s')
        time.sleep(0.03)


class Picture:
    """A screen's pixels; what comes from "import" as PPM."""

    def __init__(self, data):
        fields = data.split(maxsplit=4)
        assert fields[0] == b'P6' and fields[3] == b'255', data[:20]
        self.width, self.height = int(fields[1]), int(fields[2])
        self.data = data[len(data) - self.width * self.height * 3:]

    def pixel(self, x, y):
        at = (y * self.width + x) * 3
        return int.from_bytes(self.data[at:at + 3], 'big')

    def row(self, x, y, width):
        at = (y * self.width + x) * 3
        return self.data[at:at + width * 3]

    def part(self, x, y, width, height):
        return b''.join(self.row(x, y + i, width) for i in range(height))


class Desktop:
    def __init__(self, width=1280, height=800, variables=None, bus=False):
        """With BUS there is a session bus, and the services it begins are at home here, too."""
        missing = [tool for tool in NEEDED + ('dbus-daemon',) * bus if not shutil.which(tool)]
        if missing:
            print('skipped: no', *missing)
            sys.exit(SKIP)
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ['Xvfb', '-displayfd', str(write), '-screen', '0', f'{width}x{height}x24', '+extension', 'GLX',
             '-nolisten', 'tcp', '-noreset'],
            pass_fds=[write], preexec_fn=die_with_parent, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            print('skipped: Xvfb does not start')
            sys.exit(SKIP)
        # Nothing of the tester's desktop or home may play a part.
        self.home = tempfile.mkdtemp(prefix='vitrine-desktop-', dir='/tmp')
        self.settings()
        self.env = dict(os.environ, DISPLAY=f':{number}', GDK_BACKEND='x11', NO_AT_BRIDGE='1', LC_ALL='C.UTF-8',
                        HOME=self.home, XDG_CONFIG_HOME=self.home, XDG_CACHE_HOME=self.home, XDG_STATE_HOME=self.home,
                        XDG_RUNTIME_DIR=self.home, GSETTINGS_BACKEND='keyfile', GIO_USE_VFS='local',
                        DBUS_SESSION_BUS_ADDRESS='disabled:', GTK_THEME='Adwaita', G_DEBUG='fatal-criticals')
        self.bus = bus and subprocess.Popen(['dbus-daemon', '--session', '--nofork', '--nopidfile', '--print-address'], env=self.env,
                                            preexec_fn=die_with_parent, stdout=subprocess.PIPE, text=True)
        if bus:
            self.env['DBUS_SESSION_BUS_ADDRESS'] = self.bus.stdout.readline().strip()
        self.env.update(variables or {})
        self.manager = subprocess.Popen(['openbox', '--sm-disable'], env=self.env, preexec_fn=die_with_parent,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for('window manager', lambda: subprocess.run(
            ['xdotool', 'get_desktop'], env=self.env, capture_output=True).returncode == 0)

    def settings(self, **values):
        """What the user has chosen; the strip is off unless a test wants it: then pictures end where windows end."""
        folder = f'{self.home}/glib-2.0/settings'
        os.makedirs(folder, exist_ok=True)
        values = {'show-status': 'false', 'patience': 'uint32 2', **{key.replace('_', '-'): value for key, value in values.items()}}
        with open(f'{folder}/keyfile', 'w') as file:
            file.write('[org/vitrine/Vitrine]\n' + ''.join(f'{key}={value}\n' for key, value in values.items()))

    def close(self):
        for process in (self.bus, self.manager, self.server):
            if not process:
                continue
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- hands

    def xdotool(self, *args):
        return subprocess.run(['xdotool', *map(str, args)], env=self.env, check=True, capture_output=True,
                              text=True, timeout=60).stdout.strip()

    def active(self):
        """The window in front; None: there is none."""
        run = subprocess.run(['xdotool', 'getactivewindow'], env=self.env, capture_output=True, text=True, timeout=60)
        return int(run.stdout) if run.returncode == 0 and run.stdout.strip() else None

    def activate(self, window):
        """Brings a window to the front. xdotool's own waiting ("--sync") never ends when a manager is asked too early."""
        def in_front():
            self.xdotool('windowactivate', window)
            time.sleep(0.05)
            return self.active() == window
        wait_for(f'window {window} in front', in_front)

    def ask_to_close(self):
        """Alt+F4 to the window in front, and what it asks then."""
        window = self.active()
        self.key('alt+F4')
        wait_for('the question', lambda: self.active() not in (None, window))
        time.sleep(0.5)

    def key(self, *chords):
        self.xdotool('key', '--delay', 20, *chords)

    def type(self, text):
        self.xdotool('type', '--delay', 30, text)

    def move(self, x, y):
        self.xdotool('mousemove', x, y)

    def click(self, x=None, y=None, button=1):
        if x is not None:
            self.move(x, y)
        self.xdotool('mousedown', button)
        self.xdotool('mouseup', button)

    def drag(self, window, paths, to, key=None, drop=True, hovering=None):
        """Files from another program over WINDOW, to a place in parts of its size; HOVERING is called there. KEY is held."""
        with Program(self, SYSTEM_PYTHON, os.path.dirname(os.path.abspath(__file__)) + '/drag-source.py', *paths) as source:
            left, top, wide, high = self.geometry(source.window('drag source'))
            time.sleep(0.6)
            x, y, width, height = self.geometry(window)
            start = (left + wide // 2, top + high // 2)
            end = (x + int(width * to[0]), y + int(height * to[1]))
            self.move(*start)
            self.xdotool('mousedown', 1)
            for step in range(1, 13):
                self.move(start[0] + (end[0] - start[0]) * step // 12, start[1] + (end[1] - start[1]) * step // 12)
                time.sleep(0.05)
            time.sleep(0.7)
            self.move(end[0] + 1, end[1])
            time.sleep(0.4)
            if hovering:
                hovering()
            if key:
                self.xdotool('keydown', key)
                self.move(end[0] + 3, end[1] + 1)
                time.sleep(0.3)
            if not drop:
                self.key('Escape')
                time.sleep(0.3)
            self.xdotool('mouseup', 1)
            time.sleep(0.5)
            if key:
                self.xdotool('keyup', key)

    # --- eyes

    def picture(self):
        return Picture(subprocess.run(['import', '-silent', '-window', 'root', '-depth', '8', 'ppm:-'], env=self.env,
                                      check=True, capture_output=True).stdout)

    def save(self, path):
        subprocess.run(['import', '-silent', '-window', 'root', path], env=self.env, check=True)

    def find(self, pattern):
        """Ids of the visible windows whose title matches."""
        run = subprocess.run(['xdotool', 'search', '--onlyvisible', '--name', pattern], env=self.env,
                             capture_output=True, text=True)
        return [int(line) for line in run.stdout.split()]

    def title(self, window):
        return self.xdotool('getwindowname', window)

    def geometry(self, window):
        """x, y, width, height of the client area."""
        text = subprocess.run(['xwininfo', '-id', str(window)], env=self.env, check=True, capture_output=True,
                              text=True).stdout
        return tuple(int(re.search(name + r':\s+(-?\d+)', text).group(1))
                     for name in ('Absolute upper-left X', 'Absolute upper-left Y', 'Width', 'Height'))


class Program:
    """A process with a window, and what it says line by line."""

    def __init__(self, desktop, *args, **options):
        self.desktop = desktop
        self.process = subprocess.Popen(list(map(str, args)), env=desktop.env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1, preexec_fn=die_with_parent,
                                        **options)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip('\n'))

    def window(self, pattern='^Vitrine', seconds=20):
        return wait_for('window', lambda: self.process.poll() is None and self.desktop.find(pattern), seconds)[0]

    def said(self, quiet=0.25):
        """All lines until nothing comes for a while."""
        lines, end = [], time.monotonic() + 60
        try:
            while time.monotonic() < end:
                lines.append(self.lines.get(timeout=quiet))
        except queue.Empty:
            return lines
        raise AssertionError(f'it does not stop talking: {lines[-3:]}')

    def send(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def command(self, line, seconds=30):
        """Sends and waits until it is done; what was said before is dropped."""
        self.send(line)
        end = time.monotonic() + seconds
        while self.lines.get(timeout=max(0.01, end - time.monotonic())) != 'done ' + line.split()[0]:
            pass

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
