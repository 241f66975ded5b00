#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the desktop sees of a window on the session bus, and what it says there, with services that are not real.

Usage: test-session-bus.py FAKE-MACHINE"""
import os
import struct
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import SKIP, Desktop, Program, wait_for

try:
    import gi
    gi.require_version('Gio', '2.0')
    from gi.repository import Gio, GLib
except (ImportError, ValueError):
    print('skipped: no Gio for Python')
    sys.exit(SKIP)

INTERFACES = '''<node>
<interface name="org.freedesktop.portal.Settings">
  <method name="Read"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="v" direction="out"/></method>
  <signal name="SettingChanged"><arg type="s"/><arg type="s"/><arg type="v"/></signal>
</interface>
<interface name="org.freedesktop.portal.FileChooser">
  <method name="OpenFile"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="o" direction="out"/></method>
  <method name="SaveFile"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="o" direction="out"/></method>
  <property name="version" type="u" access="read"/>
</interface>
<interface name="org.freedesktop.portal.Inhibit">
  <method name="Inhibit"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="o" direction="out"/></method>
</interface>
<interface name="org.freedesktop.Notifications">
  <method name="Notify"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
    <arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="as" direction="in"/><arg type="a{sv}" direction="in"/>
    <arg type="i" direction="in"/><arg type="u" direction="out"/></method>
  <method name="CloseNotification"><arg type="u" direction="in"/></method>
</interface>
<interface name="org.freedesktop.portal.Request"><method name="Close"/></interface>
<interface name="org.gnome.SessionManager">
  <method name="Inhibit"><arg type="s" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/>
    <arg type="u" direction="in"/><arg type="u" direction="out"/></method>
  <method name="Uninhibit"><arg type="u" direction="in"/></method>
</interface>
</node>'''
NOTE = 31
JOB = '[{"id":"copy","type":"mirror","status":"%s","current-progress":1000000,"total-progress":4000000%s}]'
REQUEST = '/org/freedesktop/portal/desktop/request/1'


class Services:
    """A portal (without Inhibit, if so told) and a session manager."""

    def __init__(self, inhibits, scheme):
        self.bus = Gio.bus_get_sync(Gio.BusType.SESSION)
        self.calls, self.scheme = [], scheme
        self.file = None  # that is chosen; None: the user cancels
        self.names, self.objects = [], []
        nodes = Gio.DBusNodeInfo.new_for_xml(INTERFACES)
        offers = [('org.freedesktop.portal.Settings', '/org/freedesktop/portal/desktop'),
                  ('org.freedesktop.portal.FileChooser', '/org/freedesktop/portal/desktop'),
                  ('org.gnome.SessionManager', '/org/gnome/SessionManager'),
                  ('org.freedesktop.Notifications', '/org/freedesktop/Notifications')]
        if inhibits:
            offers += [('org.freedesktop.portal.Inhibit', '/org/freedesktop/portal/desktop'),
                       ('org.freedesktop.portal.Request', REQUEST)]
        for interface, path in offers:
            self.objects.append(self.bus.register_object(path, nodes.lookup_interface(interface), self.call,
                                                         lambda *_: GLib.Variant('u', 3), None))
        for name in 'org.freedesktop.portal.Desktop', 'org.gnome.SessionManager', 'org.freedesktop.Notifications':
            self.names.append(Gio.bus_own_name_on_connection(self.bus, name, 0, None, None))
        self.turn()

    def turn(self):
        while GLib.MainContext.default().iteration(False):
            pass

    def choose(self, sender, path):
        """The user's answer, after the call's."""
        results = {} if self.file is None else {'uris': GLib.Variant('as', [GLib.filename_to_uri(self.file)])}
        self.bus.emit_signal(sender, path, 'org.freedesktop.portal.Request', 'Response',
                             GLib.Variant('(ua{sv})', (int(self.file is None), results)))
        self.answered = True

    def call(self, _bus, sender, _path, interface, method, arguments, invocation):
        self.calls.append((interface.rsplit('.', 1)[1], method, arguments.unpack()))
        if interface.endswith('.FileChooser'):
            path = f'{REQUEST[:-2]}/{sender[1:].replace(".", "_")}/{arguments.unpack()[2]["handle_token"]}'
            invocation.return_value(GLib.Variant('(o)', (path,)))
            self.answered = False
            GLib.timeout_add(150, self.choose, sender, path)  # no user is faster, and GTK 3.24 crashes on one
            return
        answer = {'Read': lambda: GLib.Variant('(v)', (GLib.Variant('v', GLib.Variant('u', self.scheme)),)),
                  'Close': lambda: None, 'Uninhibit': lambda: None, 'CloseNotification': lambda: None,
                  'Notify': lambda: GLib.Variant('(u)', (NOTE,)),
                  'Inhibit': lambda: GLib.Variant('(o)', (REQUEST,)) if 'portal' in interface else GLib.Variant('(u)', (77,))}
        invocation.return_value(answer[method]())

    def heard(self, *call):
        """The arguments of CALL (interface, method) once it has come; it is forgotten."""
        def come():
            self.turn()
            for i, (*known, arguments) in enumerate(self.calls):
                if tuple(known) == call:
                    del self.calls[i]
                    return arguments or True
            return None
        return wait_for(call, come)

    def close(self):
        for name in self.names:
            Gio.bus_unown_name(name)
        for thing in self.objects:
            self.bus.unregister_object(thing)


def start(desktop):
    machine = Program(desktop, FAKE, 'gtk,gl=off', 'Tester')
    machine.window()
    return machine


def act(services, machine, action):
    """As any program of the session may, once the machine has its name there."""
    name = f'org.vitrine.Vitrine.p{machine.process.pid}'
    wait_for(name, lambda: services.bus.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                                                  'NameHasOwner', GLib.Variant('(s)', (name,)), None, 0, 5000, None)[0])
    services.bus.call_sync(name, '/org/vitrine/Vitrine/window/1', 'org.gtk.Actions',
                           'Activate', GLib.Variant('(sava{sv})', (action, [], {})), None, 0, 5000, None)


def with_portal(desktop):
    services = Services(True, 1)
    machine = start(desktop)
    assert services.heard('Settings', 'Read') == ('org.freedesktop.appearance', 'color-scheme')
    window, flags, options = services.heard('Inhibit', 'Inhibit')
    assert (window, flags) == ('', 4) and 'Tester' in options['reason'], (flags, options)
    act(services, machine, 'pause')
    services.heard('Request', 'Close')
    act(services, machine, 'pause')
    services.heard('Inhibit', 'Inhibit')
    machine.close()
    services.close()


def with_manager(desktop):
    services = Services(False, 0)
    machine = start(desktop)
    name, _window, reason, flags = services.heard('SessionManager', 'Inhibit')
    assert (name, flags) == ('org.vitrine.Vitrine', 4) and 'Tester' in reason
    act(services, machine, 'pause')
    assert services.heard('SessionManager', 'Uninhibit') == (77,)
    machine.close()
    services.close()


def darkness(desktop):
    """The menu bar's colour follows what the portal says, also later."""
    services = Services(True, 1)
    machine = start(desktop)
    services.heard('Settings', 'Read')

    def brightness():
        x, y, width, _height = desktop.geometry(machine.window())
        pixel = desktop.picture().pixel(x + width - 12, y + 8)
        return sum(pixel >> shift & 255 for shift in (0, 8, 16)) / 3
    wait_for('dark', lambda: brightness() < 110)
    services.bus.emit_signal(None, '/org/freedesktop/portal/desktop', 'org.freedesktop.portal.Settings', 'SettingChanged',
                             GLib.Variant('(ssv)', ('org.freedesktop.appearance', 'color-scheme', GLib.Variant('u', 2))))
    wait_for('light', lambda: brightness() > 180)
    machine.close()
    services.close()


def keep_running(desktop):
    """The window goes, the machine does not; the notification, or anybody on the bus, brings it back."""
    services = Services(True, 0)
    machine = start(desktop)
    machine.command('mode 320 200')
    services.heard('Inhibit', 'Inhibit')
    for way in 'notification', 'action':
        desktop.activate(machine.window())
        desktop.ask_to_close()
        desktop.key('alt+r')
        wait_for('no window', lambda: not desktop.find('^Vitrine'))
        arguments = services.heard('Notifications', 'Notify')
        assert arguments[3] == 'Tester', arguments
        assert machine.process.poll() is None
        machine.command('fill 0 0 10 10 0xff')
        if way == 'notification':
            services.bus.emit_signal(None, '/org/freedesktop/Notifications', 'org.freedesktop.Notifications', 'ActionInvoked',
                                     GLib.Variant('(us)', (NOTE, 'default')))
        else:
            act(services, machine, 'present')
        assert services.heard('Notifications', 'CloseNotification') == (NOTE,)
        machine.window()
        machine.command('mode 320 200')
    machine.close()
    services.close()


def job_ends(desktop):
    """Long work that ends behind one's back is told of; what is short, or is seen, is not."""
    services = Services(True, 0)
    machine = start(desktop)
    machine.command('mode 320 200')
    services.heard('Inhibit', 'Inhibit')
    window = machine.window()

    def jobs(text):
        machine.command('answer query-jobs ' + text.replace('"', '\\"').replace(' ', '\\040'))

    def job(seconds, end):
        jobs(JOB % ('running', ''))
        machine.command('event JOB_STATUS_CHANGE {"id":"copy","status":"running"}')
        time.sleep(seconds)
        jobs(end)
        time.sleep(1)
        services.turn()
        return [arguments for _interface, method, arguments in services.calls if method == 'Notify']
    desktop.activate(window)
    assert not job(2.5, '[]')
    desktop.xdotool('windowminimize', window)
    time.sleep(0.5)
    assert not job(0.8, '[]')
    assert job(2.5, '[]')
    arguments = services.heard('Notifications', 'Notify')
    assert arguments[3:5] == ('Tester', 'Job mirror “copy”: it is over.'), arguments
    assert job(2.5, JOB % ('concluded', ',"error":"No space left"'))
    arguments = services.heard('Notifications', 'Notify')
    assert arguments[1] == NOTE and arguments[4] == 'Job mirror “copy”: failed. No space left', arguments  # in the place of the first
    services.bus.emit_signal(None, '/org/freedesktop/Notifications', 'org.freedesktop.Notifications', 'ActionInvoked',
                             GLib.Variant('(us)', (NOTE, 'default')))
    wait_for('window', lambda: desktop.active() == window)
    assert services.heard('Notifications', 'CloseNotification') == (NOTE,)
    machine.close()
    services.close()


def choose_files(desktop, how):
    """The portal's file chooser is used, not GTK's own, and what is chosen there is taken."""
    services = Services(True, 0)
    machine = start(desktop)
    machine.command('mode 320 200')
    services.file = f'{desktop.home}/{how}.png'
    act(services, machine, 'screenshot')
    window, title, options = services.heard('FileChooser', 'SaveFile')
    assert window.startswith('x11:') and title == 'Take Screenshot' and options['modal'], (window, title, options)
    assert options['current_name'].endswith('.png'), options
    wait_for('the file', lambda: services.turn() or 'screenshot 1' in machine.said())
    with open(services.file, 'rb') as file:
        assert struct.unpack('>II', file.read(24)[16:24]) == (320, 200)
    services.file = None
    act(services, machine, 'screenshot')
    services.heard('FileChooser', 'SaveFile')
    wait_for('no file', lambda: services.turn() or services.answered)
    assert not [line for line in machine.said(1) if 'screenshot' in line]
    services.file = f'{desktop.home}/{how}.png'
    act(services, machine, 'attach-disk')
    _window, title, options = services.heard('FileChooser', 'OpenFile')
    assert title == 'Attach Disk Image' and options['accept_label'] == '_Attach', (title, options)
    # This machine has no place for a disk, and says so: it was told which.
    wait_for('what comes of it', lambda: services.turn() or desktop.find('^Problem'))
    assert not desktop.find('^(Take Screenshot|Attach Disk Image)')
    machine.close()
    services.close()


def portal_by_variable(desktop):
    desktop.env['GTK_USE_PORTAL'] = '1'
    choose_files(desktop, 'variable')
    del desktop.env['GTK_USE_PORTAL']


def portal_in_sandbox(desktop):
    """Flatpak's mark."""
    mark = f'{desktop.env["XDG_RUNTIME_DIR"]}/flatpak-info'
    open(mark, 'w').close()
    choose_files(desktop, 'sandbox')
    os.unlink(mark)


def without(desktop):
    """Nobody there: the window is as it is."""
    machine = start(desktop)
    machine.command('mode 640 480')
    machine.close()


FAKE = sys.argv[1]
TESTS = [with_portal, with_manager, darkness, keep_running, job_ends, portal_by_variable, portal_in_sandbox, without]
with Desktop(variables={'GTK_THEME': ''}, bus=True) as desktop:
    os.environ['DBUS_SESSION_BUS_ADDRESS'] = desktop.env['DBUS_SESSION_BUS_ADDRESS']
    del desktop.env['GTK_THEME']  # it would win over what the portal says
    print(f'1..{len(TESTS)}')
    for i, test in enumerate(TESTS):
        test(desktop)
        print('ok', i + 1, '-', test.__name__, flush=True)
