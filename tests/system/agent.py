# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian with X and the real spice-vdagent, in the window on an X server of ours: clipboard, size, pointer, files."""
import os
import subprocess
import sys
import time

import debootstrap
import vm

sys.path.insert(0, str(vm.HERE.parent / 'ui'))
from desktop import NEEDED, Desktop  # noqa: E402

PACKAGES = ('linux-image-amd64,systemd-sysv,udev,kmod,dbus,xserver-xorg-core,xserver-xorg-input-libinput,xinit,openbox,xclip,'
            'x11-xserver-utils,xinput,dbus-x11,spice-vdagent')
UNIT = '''[Unit]
After=basic.target dbus.service
[Service]
ExecStart=/root/job
[Install]
WantedBy=multi-user.target
'''
# Whoever runs an agent may have the channel: there is no login here.
JOB = '''#!/bin/sh
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
export HOME=/root DISPLAY=:0 XDG_RUNTIME_DIR=/run/user/0
mkdir -p $XDG_RUNTIME_DIR /root/Downloads
spice-vdagentd -x -X -d > /root/vdagentd.log 2>&1 &
xinit /root/session -- /usr/bin/Xorg :0 vt1 -keeptty > /root/x.log 2>&1 &
until xset q > /dev/null 2>&1; do sleep 0.3; done
until [ -S /run/spice-vdagentd/spice-vdagent-sock ]; do sleep 0.3; done
echo shell in the guest
while true; do sh; sleep 1; done
'''
SESSION = '''#!/bin/sh
openbox &
sleep 1
exec spice-vdagent -x -d -f /root/Downloads -o 0 > /root/vdagent.log 2>&1
'''
# 1 x 1, red.
PICTURE = bytes.fromhex('89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de'
                        '0000000c4944415478da63f8cfc0000003010100f70341430000000049454e44ae426082')


def disk():
    """An ext4 file system; its kernel and initial RAM disk beside it."""
    target = vm.scratch() / 'agent.img'
    if target.exists():
        return target
    vm.need('mke2fs', 'xclip', *NEEDED)
    root = debootstrap.copy(debootstrap.installed('debian-agent-root', PACKAGES))
    for name, text in (('root/job', JOB), ('root/session', SESSION)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    (root / 'etc/systemd/system/job.service').write_text(UNIT)
    wants = root / 'etc/systemd/system/multi-user.target.wants'
    wants.mkdir(parents=True, exist_ok=True)
    (wants / 'job.service').symlink_to('/etc/systemd/system/job.service')
    for unit in ('serial-getty@.service', 'getty@.service', 'spice-vdagentd.service', 'spice-vdagentd.socket'):
        link = root / 'etc/systemd/system' / unit
        link.unlink(missing_ok=True)
        link.symlink_to('/dev/null')
    (root / 'etc/fstab').write_text('/dev/vda / ext4 defaults 0 1\n')
    for name in ('vmlinuz', 'initrd.img'):
        newest = max((root / 'boot').glob(f'{name}-*'))
        (vm.scratch() / name).write_bytes(newest.read_bytes())
    vm.tool('mke2fs', '-q', '-t', 'ext4', '-d', root, target, '2500M')
    return target


class Guest:
    """The machine, its window and both ends of the clipboard."""

    def __init__(self, m, desktop):
        self.m, self.desktop = m, desktop
        self.window = vm.wait_for('the window', lambda: desktop.find('^Vitrine'), 20)[0]
        desktop.activate(self.window)

    def shell(self, command, seconds=60):
        return self.m.shell(command, seconds)

    def until(self, what, command, want, seconds=120):
        try:
            return vm.wait_for(what, lambda: want in self.shell(f'{command} 2>&1 || true'), seconds, 0.3)
        except AssertionError as error:
            log = self.shell('tail -n 15 /root/vdagentd.log /root/vdagent.log /root/x.log')
            raise AssertionError(f'{error}; {command}: {self.shell(command + " 2>&1 || true")}\n{log}') from error

    def host_copy(self, content, kind='UTF8_STRING'):
        subprocess.run(['xclip', '-selection', 'clipboard', '-t', kind, '-i'], input=content, env=self.desktop.env,
                       check=True, timeout=20, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def host_paste(self, kind='UTF8_STRING'):
        return subprocess.run(['xclip', '-selection', 'clipboard', '-t', kind, '-o'], env=self.desktop.env, timeout=20,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def clipboard_works(g):
    g.host_copy('Grüße vom Gastgeber\n'.encode() * 3)
    g.until('text from the host', 'timeout 5 xclip -selection clipboard -o | md5sum',
            subprocess.run('md5sum', input='Grüße vom Gastgeber\n'.encode() * 3, stdout=subprocess.PIPE).stdout.decode()[:32])
    g.host_copy(PICTURE, 'image/png')
    g.until('a picture from the host', 'timeout 5 xclip -selection clipboard -t image/png -o | md5sum',
            subprocess.run('md5sum', input=PICTURE, stdout=subprocess.PIPE).stdout.decode()[:32])
    g.shell("printf 'Gr\\303\\274\\303\\237e vom Gast\\n' > /root/text; xclip -selection clipboard -i /root/text > /dev/null 2>&1")
    vm.wait_for('text from the guest', lambda: g.host_paste() == 'Grüße vom Gast\n'.encode(), 120, 0.3)
    # A mebibyte, so that it comes and goes in parts on each of the ways.
    g.shell('seq 1 150000 > /root/text; xclip -selection clipboard -i /root/text > /dev/null 2>&1')
    large = ''.join(f'{i}\n' for i in range(1, 150001)).encode()
    vm.wait_for('much text from the guest', lambda: g.host_paste() == large, 120, 0.3)
    g.host_copy(large[::-1])
    g.until('much text from the host', 'timeout 5 xclip -selection clipboard -o | md5sum',
            subprocess.run('md5sum', input=large[::-1], stdout=subprocess.PIPE).stdout.decode()[:32])


def size_works(g):
    g.desktop.xdotool('windowsize', '--sync', g.window, 1000, 700)
    g.until('the size of the window', 'xrandr', ' 1000 x ')


def pointer_works(g):
    """By position, without a tablet: the guest's device is the agent's."""
    assert 'vdagent' in g.m.hmp('info mice'), g.m.hmp('info mice')
    g.shell("(xinput test 'spice vdagent tablet' > /root/motion 2>&1 &) ; sleep 1")
    x, y, width, height = g.desktop.geometry(g.window)
    for i in range(1, 9):
        g.desktop.move(x + width * i // 10, y + height // 2)
        time.sleep(0.1)
    g.until('events of the pointer', 'cat /root/motion', 'motion')


def files_work(g):
    """One that is dropped on the zone for it."""
    vm.need('/usr/bin/python3')
    path = vm.scratch() / 'a file'
    path.write_bytes(os.urandom(3000000))
    source = subprocess.Popen(['/usr/bin/python3', vm.HERE.parent / 'ui/drag-source.py', path], env=g.desktop.env,
                              preexec_fn=vm.die_with_parent)
    try:
        window = vm.wait_for('something to drag', lambda: g.desktop.find('drag source'), 20)[0]
        g.desktop.xdotool('windowmove', '--sync', window, 0, 0)
        left, top, wide, high = g.desktop.geometry(window)
        x, y, width, height = g.desktop.geometry(g.window)
        g.desktop.move(left + wide // 2, top + high // 2)
        g.desktop.xdotool('mousedown', 1)
        for step in range(1, 11):
            g.desktop.move(left + wide // 2 + (x + width * 3 // 10 - left) * step // 10,
                           top + high // 2 + (y + height * 7 // 10 - top) * step // 10)
            time.sleep(0.1)
        time.sleep(1)
        g.desktop.xdotool('mouseup', 1)
        g.until('the file', 'md5sum /root/Downloads/*', subprocess.run(['md5sum', path], stdout=subprocess.PIPE).stdout.decode()[:32])
    finally:
        source.kill()
        source.wait()


@vm.case
def desktop():
    image = disk()
    with Desktop() as host:
        os.environ.update(host.env)
        with vm.Machine('-accel', 'tcg', '-m', '1G', '-smp', '2', '-nodefaults', '-vga', 'std', '-display',
                        'gtk,gl=off,zoom-to-fit=on', '-drive', f'if=virtio,file={image},format=raw',
                        '-kernel', vm.scratch() / 'vmlinuz', '-initrd', vm.scratch() / 'initrd.img',
                        '-append', 'root=/dev/vda rw console=ttyS0 quiet mitigations=off no_timer_check', '-device', 'virtio-serial-pci',
                        '-chardev', 'qemu-vdagent,id=agent,clipboard=on', '-device',
                        'virtserialport,chardev=agent,name=com.redhat.spice.0', timeout=1800) as m:
            m.wait('shell in the guest', 800)
            g = Guest(m, host)
            g.until('the agent', 'cat /root/vdagentd.log', 'connected', 300)
            clipboard_works(g)
            size_works(g)
            pointer_works(g)
            files_work(g)
            m.quit()


if __name__ == '__main__':
    vm.run()
