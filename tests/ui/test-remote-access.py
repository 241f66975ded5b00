#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dialog that lets viewers in, as a screen reader has it, and viewers that come. Pictures of the stages are left in the
folder of $VITRINE_PICTURES, if set.

Usage: test-remote-access.py VITRINE"""
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '../vnc')]
# pylint: disable=wrong-import-position
from accessible import Atspi, children, find
from desktop import Desktop, Program, wait_for
from rfb import Client, Closed, Refused
from gi.repository import GLib

VITRINE = sys.argv[1]


class Machine:
    def __init__(self, desktop, *options):
        self.desktop = desktop
        self.folder = desktop.home + '/vitrine'
        self.program = Program(desktop, VITRINE, '-accel', 'tcg', '-display', 'gtk,gl=off', '-name', 'box', *options)
        self.window = self.program.window()
        self.root = Atspi.get_desktop(0)
        self.app = wait_for('program on the accessibility bus', lambda: self.root.clear_cache() or find(
            self.root, lambda node: node.get_role_name() == 'application' and node.get_process_id() == self.program.process.pid))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.close()

    def act(self, action):
        """As any program of the session may."""
        subprocess.run(['gdbus', 'call', '--session', '--dest', f'org.vitrine.Vitrine.p{self.program.process.pid}', '--object-path',
                        '/org/vitrine/Vitrine/window/1', '--method', 'org.gtk.Actions.Activate', action, '[]', '{}'],
                       env=self.desktop.env, check=True, capture_output=True, timeout=20)

    def look(self, test):
        self.app.clear_cache()
        return find(self.app, test)

    def open(self):
        wait_for('action', lambda: subprocess.run(
            ['gdbus', 'introspect', '--session', '--dest', f'org.vitrine.Vitrine.p{self.program.process.pid}', '--object-path',
             '/org/vitrine/Vitrine/window/1'], env=self.desktop.env, capture_output=True, timeout=20).returncode == 0)
        self.act('remote-access')
        self.dialog = wait_for('dialog', lambda: self.look(lambda node: node.get_role_name() == 'dialog'
                                                           and node.get_name() == 'Remote Access'))

    def part(self, role, name=''):
        return wait_for(f'{role} {name}', lambda: self.dialog.clear_cache() or find(
            self.dialog, lambda node: node.get_role_name() == role and (node.get_name() or '').startswith(name)))

    def press(self, role, name=''):
        assert self.part(role, name).do_action(0)

    def is_on(self):
        return self.part('toggle button').get_state_set().contains(Atspi.StateType.CHECKED)

    def text(self, label):
        """What is in the field of LABEL."""
        field = self.part('label', label).get_relation_set()[0].get_target(0)
        field.clear_cache()
        return Atspi.Text.get_text(field, 0, -1)

    def copied(self, button):
        self.press('push button', button)
        time.sleep(0.3)
        return subprocess.run(['xclip', '-o', '-selection', 'clipboard'], env=self.desktop.env, capture_output=True, text=True,
                              timeout=10).stdout

    def viewers(self):
        """The lines of the list."""
        try:
            return [row.get_name() for row in children(self.part('list box', 'Viewers')) if row.get_role_name() == 'list item']
        except GLib.GError:
            return self.viewers()  # they were made anew meanwhile

    def wait_viewers(self, *patterns):
        def there():
            lines = self.viewers()
            return len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))
        try:
            wait_for('viewers', there)
        except AssertionError as error:
            raise AssertionError(f'{patterns}: there are {self.viewers()}') from error

    def told(self):
        """What the line below says of viewers."""
        button = self.look(lambda node: node.get_role_name() == 'push button' and node.get_name() == 'Viewers')
        shown = button and button.get_state_set().contains(Atspi.StateType.SHOWING)
        return button.get_description() if shown else None

    def others(self):
        line = self.part('label', 'Other servers')
        siblings = children(line.get_parent())
        return [node.get_name() for node in siblings if ' at ' in (node.get_name() or '')]

    def listens(self):
        """Addresses of TCP that the program listens on, as the kernel has them."""
        pid, found = self.program.process.pid, []
        inodes = set()
        for fd in os.listdir(f'/proc/{pid}/fd'):
            try:
                inodes.add(os.readlink(f'/proc/{pid}/fd/{fd}'))
            except OSError:
                pass
        for name in 'tcp', 'tcp6':
            with open(f'/proc/{pid}/net/{name}') as file:
                for line in file.readlines()[1:]:
                    words = line.split()
                    if words[3] == '0A' and f'socket:[{words[9]}]' in inodes:
                        found.append(words[1])
        return found

    def sockets(self):
        return [entry.name for entry in os.scandir(self.folder) if not entry.is_file()] if os.path.isdir(self.folder) else []

    def picture(self, name):
        folder = os.environ.get('VITRINE_PICTURES')
        if folder:
            time.sleep(0.5)
            self.desktop.save(os.path.join(folder, name + '.png'))


def gone(client):
    """Whether the server has hung up."""
    client.socket.settimeout(10)
    try:
        while True:
            client.more()
    except (Closed, ConnectionError):
        return True


def refuses(where):
    try:
        Client(where).close()
    except OSError:
        return True
    return False


ME = os.getpid()
HERE_WITHOUT = rf'Process {ME} of this computer, since [\d:]+, without a password'


def unix_socket(desktop):
    """While the machine is paused. Only the user comes there."""
    with Machine(desktop, '-S') as m:
        m.open()
        assert not m.is_on() and m.sockets() == [] and m.viewers() == [] and m.told() is None
        m.picture('remote-off')
        m.press('toggle button')
        path = wait_for('address', lambda: m.text('VNC address'))
        assert m.is_on() and path == f'{m.folder}/{m.sockets()[0]}', path
        assert stat.S_IMODE(os.stat(m.folder).st_mode) == 0o700 and m.listens() == []
        assert m.copied('Copy Address') == path
        clients = [Client(path), Client(path)]
        assert clients[0].name == 'Vitrine (box)' and clients[0].width > 0
        m.wait_viewers(HERE_WITHOUT, HERE_WITHOUT)
        wait_for('told', lambda: m.told() == '2 viewers look on')
        m.picture('remote-viewers')
        m.press('push button', 'Disconnect')
        m.wait_viewers(HERE_WITHOUT)
        assert gone(clients[0])
        wait_for('told', lambda: m.told() == '1 viewer looks on')
        clients[1].request(False)  # it was not its turn
        m.press('toggle button')
        wait_for('off', lambda: not m.is_on())
        assert gone(clients[1]) and m.sockets() == [] and refuses(path)
        wait_for('not told', lambda: m.told() is None)
        assert m.viewers() == [] and m.text('VNC address') == ''
        # And again: nothing of the last one is in the way. It goes with the machine, too.
        m.press('toggle button')
        wait_for('on', m.sockets)
        clients.append(Client(path))
        m.wait_viewers(HERE_WITHOUT)
        m.program.process.terminate()
        assert m.program.process.wait(20) == 0
        assert m.sockets() == [], m.sockets()


def loopback(desktop):
    """With a password, while the machine runs."""
    with Machine(desktop) as m:
        m.open()
        m.press('radio button', 'Anyone')
        password = m.text('Password')
        assert re.fullmatch(r'[A-Za-z2-9]{8}', password), password
        assert m.copied('Copy Password') == password
        m.press('push button', 'New')
        password, before = m.text('Password'), password
        assert re.fullmatch(r'[A-Za-z2-9]{8}', password) and password != before, password
        m.press('toggle button')
        address = wait_for('address', lambda: m.text('VNC address'))
        port = int(re.fullmatch(r'127\.0\.0\.1:(59\d\d)', address)[1])
        assert m.listens() == [f'0100007F:{port:04X}'] and m.sockets() == [], m.listens()
        for wrong in before, '', password[:7]:
            try:
                Client(('127.0.0.1', port), password=wrong)
                raise AssertionError(f'{wrong} was let in')
            except Refused:
                pass
        wait_for('nobody', lambda: m.viewers() == [] and m.told() is None)
        client = Client(('127.0.0.1', port), password=password)
        ours = client.socket.getsockname()[1]
        m.wait_viewers(rf'127\.0\.0\.1:{ours}, since [\d:]+, with a password')
        # Two at the same time: another machine takes the next port.
        with Machine(desktop) as other:
            other.open()
            other.press('radio button', 'Anyone')
            other.press('toggle button')
            second = wait_for('address', lambda: other.text('VNC address'))
            assert second != address and other.text('Password') != password, second
        m.press('push button', 'Disconnect')
        assert gone(client)
        m.wait_viewers()
        client = Client(('127.0.0.1', port), password=password)
        m.wait_viewers(r'127\.0\.0\.1:.*')
        m.picture('remote-loopback')
        m.press('toggle button')
        wait_for('off', lambda: not m.is_on())
        assert gone(client) and m.listens() == [] and refuses(('127.0.0.1', port))


def of_the_command_line(desktop):
    """Its servers and viewers are listed, too, and the servers stay."""
    path = desktop.home + '/own'
    with Machine(desktop, '-vnc', f'unix:{path},id=vitrine-window') as m:
        m.open()
        wait_for('server', lambda: m.others() == [f'VNC at {path}, without a password'])
        assert not m.is_on()
        client = Client(path)
        m.wait_viewers(HERE_WITHOUT)
        m.press('push button', 'Disconnect')
        assert gone(client)
        # A name that is taken is said; what has it is not ours.
        m.press('toggle button')
        problem = wait_for('problem', lambda: m.look(lambda node: "Duplicate ID" in (node.get_name() or '')))
        assert problem and not m.is_on()
        client = Client(path)
        m.wait_viewers(HERE_WITHOUT)
        assert m.others() == [f'VNC at {path}, without a password']
        client.close()


def by_spice(desktop):
    """A viewer of several channels is one, which is told of and only listed."""
    if not shutil.which('spicy') or not os.path.exists(os.path.join(os.path.dirname(VITRINE), '../ui/spice/vitrine-spice.so')):
        return
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with Machine(desktop, '-S', '-spice', f'addr=127.0.0.1,port={port},disable-ticketing=on') as m:
        m.open()
        wait_for('server', lambda: m.others() == [f'SPICE at 127.0.0.1:{port}, without a password'])
        with Program(desktop, 'spicy', '-h', '127.0.0.1', '-p', port):
            wait_for('bar', lambda: m.look(lambda node: re.fullmatch(r'127\.0\.0\.1:\d+ sees and operates this machine\.',
                                                                    node.get_name() or '')))
            m.wait_viewers(r'SPICE: 127\.0\.0\.1:\d+')
            wait_for('told', lambda: m.told() == '1 viewer looks on')
            button = m.part('push button', 'Disconnect')
            assert not button.get_state_set().contains(Atspi.StateType.SENSITIVE)
        m.wait_viewers()
        wait_for('not told', lambda: m.told() is None)


def open_to_others(desktop):
    """A folder that others may use is not good enough."""
    with Machine(desktop, '-S') as m:
        os.makedirs(m.folder, exist_ok=True)
        os.chmod(m.folder, 0o755)
        m.open()
        m.press('toggle button')
        wait_for('problem', lambda: m.look(lambda node: 'you alone' in (node.get_name() or '')))
        assert not m.is_on() and m.sockets() == []
        os.chmod(m.folder, 0o700)


TESTS = [unix_socket, loopback, of_the_command_line, by_spice, open_to_others]


def main():
    wanted = [test for test in TESTS if not sys.argv[2:] or test.__name__ in sys.argv[2:]]
    with Desktop(variables={'NO_AT_BRIDGE': '0', 'G_DEBUG': ''}, bus=True) as desktop:
        os.environ.update(desktop.env)
        desktop.settings(show_status='true')
        Atspi.init()
        print(f'1..{len(wanted)}')
        for number, test in enumerate(wanted, 1):
            test(desktop)
            print(f'ok {number} - {test.__name__}', flush=True)


main()
