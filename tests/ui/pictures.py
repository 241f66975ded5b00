#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of docs/window.md, of Debian's installer in the window: pictures.py VITRINE [FOLDER [NAME...]]

Each shows the window alone, in 256 colours. The machine is started once and saved; each picture goes on from there."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays clean
from desktop import Desktop, Program, wait_for
from window_case import MENUS

FILES = '/usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64'
WIDTH, HEIGHT = 800, 600  # of the guest's picture
BOOT = 600  # seconds for all of it on a busy machine without hardware help


class Machine:
    def __init__(self, desktop, vitrine, folder, *options, display='gl=off', width=WIDTH):
        path = desktop.home + '/qmp'
        if os.path.exists(path):
            os.unlink(path)
        self.desktop = desktop
        self.program = Program(
            desktop, vitrine, '-name', 'Debian 12', '-accel', 'tcg', '-m', '1G', '-cpu', 'max', '-kernel', f'{FILES}/linux', '-initrd',
            f'{FILES}/initrd.gz', '-append', 'vga=788 mitigations=off --- quiet', '-global', f'VGA.xres={WIDTH}', '-global',
            f'VGA.yres={HEIGHT}', '-drive', f'file={folder}/debian.qcow2,if=virtio',
            '-drive', f'file={folder}/debian-12.iso,media=cdrom,id=cd,if=none', '-device', 'ide-cd,drive=cd,id=cdrom',
            '-nic', 'user,hostfwd=tcp:127.0.0.1:2222-:22', '-display', 'gtk,' + display, '-qmp', f'unix:{path},server=on,wait=off',
            *options)
        try:
            self.id = self.program.window('Debian', BOOT)
            self.socket = socket.socket(socket.AF_UNIX)
            wait_for('monitor', lambda: not self.socket.connect_ex(path))
            self.file = self.socket.makefile('rw')
            self.file.readline()
            self.qmp('qmp_capabilities')
            desktop.activate(self.id)
            wait_for('the picture', lambda: desktop.geometry(self.id)[2] >= width, BOOT)
            time.sleep(2)
        except BaseException:
            self.program.close()
            raise

    def qmp(self, command, **arguments):
        self.file.write(json.dumps({'execute': command, 'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if 'event' not in answer:
                return answer

    def menu(self, title, *keys):
        x, y, _, _ = self.desktop.geometry(self.id)
        self.desktop.click(x + MENUS[title], y + 12)
        time.sleep(0.4)
        self.desktop.key('Down')
        for key in keys:
            self.desktop.key(key)
            time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.close()
        self.socket.close()


class Camera:
    def __init__(self, vitrine, target):
        self.vitrine, self.target = vitrine, target
        self.work = tempfile.TemporaryDirectory(prefix='vitrine-pictures-')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', f'{self.work.name}/debian.qcow2', '8G'], check=True)
        iso = bytearray(40 * 2048)
        iso[16 * 2048:16 * 2048 + 7] = b'\x01CD001\x01'
        iso[17 * 2048:17 * 2048 + 7] = b'\xffCD001\x01'
        with open(f'{self.work.name}/debian-12.iso', 'wb') as file:
            file.write(iso)

    def desktop(self, width=1000, height=800, **variables):
        desktop = Desktop(width, height, {'G_DEBUG': '', **variables})
        desktop.settings(show_status='true')
        subprocess.run(['xsetroot', '-solid', '#5a6b7b'], env=desktop.env)
        return desktop

    def machine(self, desktop, *options, **more):
        return Machine(desktop, self.vitrine, self.work.name, *options, **more)

    def boot(self):
        """Until the first question is there: much of the picture is white, and it stays as it is."""
        with self.desktop() as desktop, self.machine(desktop) as machine:
            def page():
                x, y, width, height = desktop.geometry(machine.id)
                picture = desktop.picture().part(x, y + height - HEIGHT, width, HEIGHT - 40)
                return picture if picture.count(b'\xff\xff\xff') > WIDTH * HEIGHT // 4 else None

            def settled():
                before = page()
                time.sleep(6)
                return before and before == page()
            wait_for('the installer', settled, BOOT)
            answer = machine.qmp('human-monitor-command', **{'command-line': 'savevm ready'})
            assert not answer.get('return'), answer

    def save(self, desktop, name, whole=False):
        time.sleep(0.5)
        path = os.path.join(self.target, name + '.png')
        shot = desktop.home + '/shot.png'
        desktop.save(shot)
        # What is around windows is of one colour and goes.
        trim = [] if whole else ['-trim', '+repage']
        subprocess.run(['convert', shot, *trim, '+dither', '-colors', '255', '-strip', '-define', 'png:compression-level=9',
                        'PNG8:' + path], check=True)
        print(f'{name}: {os.path.getsize(path) // 1024} KiB', flush=True)

    # --- the states

    LOAD = ('-loadvm', 'ready')

    def running(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD):
            self.save(desktop, name)

    def stopped(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD, '-no-shutdown') as machine:
            machine.qmp('human-monitor-command', **{'command-line': 'system_reset'})
            machine.qmp('human-monitor-command', **{'command-line': 'loadvm ready'})
            time.sleep(1)
            # As a guest does it: by the power management port.
            machine.qmp('human-monitor-command', **{'command-line': 'o /w 0x604 0x2000'})
            time.sleep(2)
            self.save(desktop, name)

    def error(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD) as machine:
            missing = f'{self.work.name}/debian.qcow2'
            machine.menu('Devices', 'a')
            chooser = wait_for('chooser', lambda: desktop.find('Attach'))[0]
            desktop.activate(chooser)
            time.sleep(0.5)
            desktop.key('ctrl+l', 'ctrl+a')
            desktop.type(missing)
            time.sleep(0.5)
            desktop.key('Return')
            time.sleep(1.5)
            self.save(desktop, name)

    def dialogs(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD) as machine:
            machine.menu('Snapshots', 'm')
            time.sleep(1)
            desktop.key('Tab')
            self.save(desktop, name)

    def devices(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD) as machine:
            machine.menu('Devices', 'Right')
            time.sleep(0.5)
            self.save(desktop, name)

    def tabs(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD, '-monitor', 'vc', display='gl=off,show-tabs=on'):
            desktop.key('ctrl+alt+2')
            time.sleep(1)
            desktop.type('info status\ninfo block\n')
            time.sleep(1)
            self.save(desktop, name)

    def drop(self, name):
        with self.desktop() as desktop, self.machine(desktop, *self.LOAD) as machine:
            def hovering():
                self.save(desktop, name, whole=False)
            desktop.drag(machine.id, [f'{self.work.name}/debian-12.iso'], (0.25, 0.4), drop=False, hovering=hovering)

    def dark(self, name):
        with self.desktop(GTK_THEME='Adwaita:dark') as desktop, self.machine(desktop, *self.LOAD) as machine:
            machine.menu('View')
            time.sleep(0.5)
            self.save(desktop, name)

    def german(self, name):
        with self.desktop(LANGUAGE='de') as desktop, self.machine(desktop, *self.LOAD):
            desktop.key('alt+F4')
            time.sleep(0.8)
            self.save(desktop, name)

    def scaled(self, name):
        with self.desktop(1700, 1500, GDK_SCALE='2') as desktop, \
                self.machine(desktop, *self.LOAD, display='gl=off,zoom-to-fit=on', width=500):
            window = desktop.find('Debian')[0]
            desktop.xdotool('windowsize', '--sync', window, 1600, 1340)
            time.sleep(1)
            self.save(desktop, name)

    def fullscreen(self, name):
        with self.desktop(1024, 768) as desktop, self.machine(desktop, *self.LOAD):
            desktop.key('ctrl+alt+f')
            time.sleep(1)
            desktop.move(512, 0)
            time.sleep(1.2)
            self.save(desktop, name, whole=True)

    def contrast(self, name):
        with self.desktop(GTK_THEME='HighContrast') as desktop, self.machine(desktop, *self.LOAD) as machine:
            machine.menu('Machine')
            time.sleep(0.5)
            self.save(desktop, name)

    STATES = {'running': running, 'stopped': stopped, 'error': error, 'snapshots': dialogs, 'devices': devices, 'tabs': tabs,
              'drop': drop, 'dark': dark, 'german': german, 'scaled': scaled, 'full-screen': fullscreen,
              'high-contrast': contrast}


def main():
    vitrine = os.path.abspath(sys.argv[1])
    target = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else 'docs/pictures')
    os.makedirs(target, exist_ok=True)
    camera = Camera(vitrine, target)
    camera.boot()
    for name in sys.argv[3:] or Camera.STATES:
        Camera.STATES[name](camera, name)


main()
