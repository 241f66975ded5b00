#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window on Wayland, under sway without a screen: pixels, the host's shortcuts while the keyboard is grabbed, the clipboard, a
full screen on two monitors, and a compositor that goes away.

Usage: dbus-run-session -- test-wayland.py FAKE-MACHINE"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, Picture, Program, die_with_parent, wait_for
from window_case import pattern_row

try:
    import gi
    gi.require_version('Gio', '2.0')
    from gi.repository import Gio, GLib
except (ImportError, ValueError):
    print('skipped: no Gio for Python')
    sys.exit(SKIP)

NOBODY = 65534  # sway wants to be nobody special


class Sway:
    """A compositor of our own, for Program as Desktop is."""

    def __init__(self):
        missing = [tool for tool in ('sway', 'swaymsg', 'grim', 'wtype', 'wl-copy', 'setpriv') if not shutil.which(tool)]
        if missing:
            print('skipped: no', *missing)
            sys.exit(SKIP)
        self.home = tempfile.mkdtemp(prefix='vitrine-sway-', dir='/tmp')
        self.mark = self.home + '/mark'
        config = self.home + '/config'
        with open(config, 'w') as file:
            file.write('xwayland disable\noutput HEADLESS-1 resolution 1000x700\ndefault_border none\n'
                       f'bindsym Mod4+Return exec touch {self.mark}\n')
        settings = self.home + '/glib-2.0/settings'
        os.makedirs(settings)
        with open(settings + '/keyfile', 'w') as file:
            file.write('[org/vitrine/Vitrine]\nshow-status=false\n')
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.home, WLR_BACKENDS='headless', WLR_LIBINPUT_NO_DEVICES='1',
                        WLR_RENDERER='pixman', HOME=self.home, XDG_CONFIG_HOME=self.home, XDG_CACHE_HOME=self.home,
                        XDG_STATE_HOME=self.home, LC_ALL='C.UTF-8', NO_AT_BRIDGE='1', GSETTINGS_BACKEND='keyfile', GIO_USE_VFS='local',
                        GTK_THEME='Adwaita', GDK_BACKEND='wayland', G_DEBUG='fatal-criticals')
        self.env.pop('DISPLAY', None)
        self.env.pop('WAYLAND_DISPLAY', None)
        command = ['sway', '-c', config]
        if os.getuid() == 0:
            for name in (self.home, config, settings):
                os.chown(name, NOBODY, NOBODY)
            command = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', '--'] + command
        os.chmod(self.home, 0o700)
        self.log = open(self.home + '/log', 'w+')
        self.server = subprocess.Popen(command, env=self.env, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)

        def sockets():
            names = os.listdir(self.home)
            return ([name for name in names if name.startswith('wayland-') and not name.endswith('.lock')],
                    [name for name in names if name.startswith('sway-ipc')])
        try:
            wait_for('sway', lambda: all(sockets()) or self.server.poll() is not None)
            assert self.server.poll() is None
        except AssertionError:
            print('skipped: sway does not start')
            sys.exit(SKIP)
        (display, *_), (control, *_) = sockets()
        self.env.update(WAYLAND_DISPLAY=display, SWAYSOCK=f'{self.home}/{control}')
        # A seat has a keyboard as long as somebody has a virtual one.
        self.keyboard = subprocess.Popen(['wtype', '-s', '3600000', 'x'], env=self.env, preexec_fn=die_with_parent)

    def run(self, *command, **options):
        return subprocess.run(command, env=self.env, check=True, capture_output=True, timeout=20, **options).stdout

    def find(self, _pattern):
        """Ids of windows."""
        def leaves(node):
            below = node['nodes'] + node['floating_nodes']
            return [found for one in below for found in leaves(one)] if below else [node] if node.get('pid') else []
        return [leaf['id'] for leaf in leaves(json.loads(self.run('swaymsg', '-t', 'get_tree', '-r')))]

    def chord(self, *words):
        self.run('wtype', *words)
        time.sleep(0.3)

    def picture(self):
        return Picture(self.run('grim', '-t', 'ppm', '-'))

    def kill(self):
        for process in self.keyboard, self.server:
            process.kill()
            process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def act(machine, action, *arguments):
    Gio.bus_get_sync(Gio.BusType.SESSION).call_sync(
        f'org.vitrine.Vitrine.p{machine.process.pid}', '/org/vitrine/Vitrine/window/1', 'org.gtk.Actions', 'Activate',
        GLib.Variant('(sava{sv})', (action, list(arguments), {})), None, 0, 5000, None)


def start(sway, **options):
    machine = Program(sway, FAKE, 'gtk,gl=off', 'box', **options)
    machine.window()
    machine.command('mode 320 200')
    time.sleep(0.7)
    return machine


def pixels(sway):
    """At 100 % each pixel is one, wherever the window lies."""
    with start(sway):
        row = pattern_row(100, 320)
        wait_for('the picture', lambda: row in sway.picture().data)


def host_heard(sway):
    """Whether a shortcut of the host's is the host's now."""
    if os.path.exists(sway.mark):
        os.unlink(sway.mark)
    sway.chord('-M', 'logo', '-k', 'Return', '-m', 'logo')
    time.sleep(0.3)
    return os.path.exists(sway.mark)


def guest_hears(sway, machine):
    machine.said()
    return not host_heard(sway) and [line for line in machine.said() if line.startswith('key')]


def shortcuts(sway):
    """While the keyboard is grabbed the host's shortcuts are the guest's, and afterwards the host's again."""
    with start(sway) as machine:
        for action in 'grab-input', 'grab-when-focused':
            assert host_heard(sway), 'the host has no shortcut to lose'
            act(machine, action)
            wait_for('the shortcut to be the guest\'s alone', lambda: guest_hears(sway, machine))
            if action == 'grab-input':
                sway.chord('-M', 'ctrl', '-M', 'alt', 'g')  # by keyboard alone
            else:  # each wtype is a keyboard that comes, for which sway takes the focus away and gives it back: it would be held again
                act(machine, action)
            wait_for('released', lambda: host_heard(sway))


def keys(sway):
    with start(sway) as machine:
        machine.said()
        sway.chord('a')
        said = [line for line in machine.said() if line.startswith('key')]
        # Which key it is that makes an "a" is wtype's to invent.
        assert len(said) == 2 and said[0].endswith(' 1') and said[1] == said[0][:-1] + '0', said


def clipboard(sway):
    with start(sway) as machine:
        act(machine, 'copy-screenshot')
        time.sleep(1.5)
        assert b'image/png' in sway.run('wl-paste', '-l')
        png = sway.run('wl-paste', '-t', 'image/png')
        assert png.startswith(b'\x89PNG'), png[:8]
        machine.command('serial')
        act(machine, 'console', GLib.Variant('i', 1))
        # It stays behind to give it out.
        subprocess.run(['wl-copy', 'hello'], env=sway.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        machine.said()
        act(machine, 'paste')
        wait_for('pasted', lambda: 'typed hello' in machine.said())


def monitors(sway):
    """A full screen takes all of them: a picture each; and leaves them again."""
    sway.run('swaymsg', 'create_output')

    def screens():
        """Monitor -> whether each window there fills it."""
        def leaves(node):
            below = node['nodes'] + node['floating_nodes']
            return [found for one in below for found in leaves(one)] if below else [node] if node.get('pid') else []
        tree = json.loads(sway.run('swaymsg', '-t', 'get_tree', '-r'))
        return {output['name']: [leaf['fullscreen_mode'] == 1 and leaf['rect'] == output['rect'] for leaf in leaves(output)]
                for output in tree['nodes'] if output['name'].startswith('HEADLESS')}
    with start(sway) as machine:
        machine.command('second')
        assert sorted(screens().values()) == [[], [False]], screens()
        for _ in range(2):
            act(machine, 'fullscreen')
            wait_for('both filled', lambda: list(screens().values()) == [[True], [True]])
            act(machine, 'fullscreen')
            wait_for('one window', lambda: sorted(screens().values()) == [[], [False]])
        machine.command('mode 320 200')
        row = pattern_row(100, 320)
        wait_for('the picture', lambda: row in sway.picture().data)
    sway.run('swaymsg', 'output', 'HEADLESS-2', 'disable')


def compositor_goes(sway):
    """As a display server does: the machine runs on."""
    errors = open(sway.home + '/stderr', 'w+')
    with start(sway, stderr=errors) as machine:
        sway.kill()
        time.sleep(1)
        assert machine.process.poll() is None
        machine.command('state 4')
        machine.send('quit')
        assert machine.process.wait(10) == 0
    errors.seek(0)
    assert 'display server has gone' in errors.read()


def main():
    tests = [pixels, shortcuts, keys, clipboard, monitors, compositor_goes]
    with Sway() as sway:
        print(f'1..{len(tests)}')
        for i, test in enumerate(tests):
            test(sway)
            print('ok', i + 1, '-', test.__name__, flush=True)


FAKE = sys.argv[1]
main()
