#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A management daemon with this program as its emulator: probing, a machine's whole life, the daemon started
anew meanwhile. Skipped where libvirt is not installed. The daemon runs for an unprivileged user in a folder of
its own and sees nothing of the host's."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ['VITRINE']
NOBODY = 65534
DOMAIN = '''<domain type='qemu'>
  <name>test</name>
  <memory unit='MiB'>64</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <serial type='pty'/>
    <video><model type='vga' vram='16384'/></video>
    <memballoon model='none'/>
  </devices>
</domain>
'''


DISKS = '''<domain type='qemu'>
  <name>disks</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{folder}/v.qcow2'/><target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{folder}/i.qcow2'/><target dev='hda' bus='ide'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='{folder}/c.iso'/><target dev='hdc' bus='ide'/><readonly/>
    </disk>
    <controller type='usb' model='none'/>
    <channel type='unix'><target type='virtio' name='org.test.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='virtio'/>
  </devices>
</domain>
'''


class Daemon:
    def __init__(self, folder):
        self.folder = folder
        self.emulator = os.path.join(folder, 'qemu-system-x86_64')
        os.symlink(PROGRAM, self.emulator)
        self.env = {'PATH': os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin'), 'HOME': folder, 'LANG': 'C'}
        for key in ('RUNTIME_DIR', 'CONFIG_HOME', 'CACHE_HOME', 'DATA_HOME'):
            path = os.path.join(folder, key.lower())
            os.makedirs(os.path.join(path, 'libvirt'), exist_ok=True)
            self.env['XDG_' + key] = path
        with open(os.path.join(folder, 'config_home', 'libvirt', 'qemu.conf'), 'w', encoding='utf-8') as f:
            f.write('stdio_handler = "file"\nseccomp_sandbox = 0\n')
        self.become = []
        if os.geteuid() == 0:
            self.become = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
            for path, _, files in os.walk(folder):
                for name in ['.'] + files:
                    os.chown(os.path.join(path, name), NOBODY, NOBODY, follow_symlinks=False)
        self.process = None

    def start(self):
        self.process = subprocess.Popen([*self.become, 'libvirtd'], env=self.env, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        for _ in range(100):
            if subprocess.run([*self.become, 'virsh', '-c', 'qemu:///session', 'uri'], env=self.env,
                              capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError('the daemon does not answer')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)

    def virsh(self, *args):
        p = subprocess.run([*self.become, 'virsh', '-c', 'qemu:///session', *args], env=self.env, capture_output=True,
                           text=True, timeout=120, check=False)
        assert p.returncode == 0, (args, p.stdout, p.stderr)
        return p.stdout

    def state(self):
        return self.virsh('domstate', 'test').strip()

    def wait_state(self, wanted):
        for _ in range(100):
            if self.state() == wanted:
                return
            time.sleep(0.1)
        raise AssertionError(f'{self.state()}, not {wanted}')


def capabilities(d):
    text = d.virsh('domcapabilities', '--emulatorbin', d.emulator, '--virttype', 'qemu')
    assert "<mode name='maximum' supported='yes'>" in text
    assert '<arch>x86_64</arch>' in text
    assert "<model usable='yes' vendor='AMD'>qemu64</model>" in text or '>qemu64</model>' in text, text


def define_and_start(d):
    path = os.path.join(d.folder, 'test.xml')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(DOMAIN.format(emulator=d.emulator))
    d.virsh('define', path)
    d.virsh('start', 'test')
    d.wait_state('running')


def suspend_and_resume(d):
    d.virsh('suspend', 'test')
    assert d.state() == 'paused'
    d.virsh('resume', 'test')
    assert d.state() == 'running'


def picture_and_keys(d):
    path = os.path.join(d.folder, 'runtime_dir', 'picture')
    d.virsh('screenshot', 'test', path)
    with open(path, 'rb') as f:
        assert f.read(2) in (b'P6', b'\x89P')
    d.virsh('send-key', 'test', 'KEY_LEFTCTRL', 'KEY_LEFTALT', 'KEY_DELETE')


def monitor_of_its_own(d):
    assert '"status":"running"' in d.virsh('qemu-monitor-command', 'test', '{"execute": "query-status"}').replace(' ', '')
    assert 'VM status: running' in d.virsh('qemu-monitor-command', 'test', '--hmp', 'info status')
    assert 'cpu.count' not in d.virsh('domstats', 'test', '--state')
    assert 'state.state=1' in d.virsh('domstats', 'test')
    d.virsh('vcpuinfo', 'test')


def reset(d):
    d.virsh('reset', 'test')
    assert d.state() == 'running'


def core_dump(d):
    path = os.path.join(d.folder, 'runtime_dir', 'core')
    d.virsh('dump', 'test', path, '--memory-only')
    with open(path, 'rb') as f:
        assert f.read(4) == b'\x7fELF'
    assert d.state() == 'running'


def reconnect(d):
    d.stop()
    d.start()
    d.wait_state('running')
    suspend_and_resume(d)


def shut_down(d):
    d.virsh('shutdown', 'test')  # nobody in the guest listens to the button
    assert d.state() in ('running', 'in shutdown')
    d.virsh('destroy', 'test')
    assert d.state() == 'shut off'
    d.virsh('start', 'test')
    d.virsh('destroy', 'test')
    d.virsh('undefine', 'test')


def disks(d):
    folder = os.path.join(d.folder, 'runtime_dir')
    for name in 'v.qcow2', 'i.qcow2':
        subprocess.run([*d.become, 'qemu-img', 'create', '-q', '-f', 'qcow2', os.path.join(folder, name), '32M'],
                       check=True)
    with open(os.path.join(folder, 'c.iso'), 'wb') as f:
        f.write(bytes(1 << 20))
    path = os.path.join(d.folder, 'disks.xml')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(DISKS.format(emulator=d.emulator, folder=folder))
    d.virsh('define', path)
    d.virsh('start', 'disks')
    assert re.search(r'Capacity: +[1-9]', d.virsh('domblkinfo', 'disks', 'vda')), d.virsh('domblkinfo', 'disks', 'vda')
    text = d.virsh('domblklist', 'disks')
    assert 'vda' in text and 'hda' in text and 'hdc' in text, text
    d.virsh('dommemstat', 'disks')
    d.virsh('setmem', 'disks', '48M', '--live')
    d.virsh('change-media', 'disks', 'hdc', '--eject')
    d.virsh('change-media', 'disks', 'hdc', os.path.join(folder, 'c.iso'), '--insert')


def internal_snapshots(d):
    d.virsh('snapshot-create-as', 'disks', 'one')
    d.virsh('snapshot-create-as', 'disks', 'two')
    assert d.virsh('snapshot-list', 'disks', '--name').split() == ['one', 'two']
    d.virsh('snapshot-revert', 'disks', 'one')
    assert d.virsh('domstate', 'disks').strip() == 'running'
    d.virsh('destroy', 'disks')
    d.virsh('snapshot-revert', 'disks', 'two')  # into a new process
    assert d.virsh('domstate', 'disks').strip() == 'running'
    d.virsh('snapshot-delete', 'disks', 'one')
    d.virsh('snapshot-delete', 'disks', 'two')


def block_jobs(d):
    folder = os.path.join(d.folder, 'runtime_dir')
    d.virsh('blockcopy', 'disks', 'vda', '--dest', os.path.join(folder, 'copy.qcow2'), '--format', 'qcow2',
            '--transient-job', '--wait', '--pivot')
    assert 'copy.qcow2' in d.virsh('domblklist', 'disks')
    d.virsh('snapshot-create-as', 'disks', 'over', '--disk-only', '--no-metadata', '--diskspec',
            f'vda,file={folder}/over.qcow2', '--diskspec', 'hda,snapshot=no')
    assert 'over.qcow2' in d.virsh('domblklist', 'disks')
    d.virsh('blockcommit', 'disks', 'vda', '--active', '--wait', '--pivot')
    assert 'copy.qcow2' in d.virsh('domblklist', 'disks')


def disks_end(d):
    d.virsh('destroy', 'disks')
    d.virsh('undefine', 'disks', '--snapshots-metadata')


def main():
    tests = [capabilities, define_and_start, suspend_and_resume, picture_and_keys, monitor_of_its_own, reset, core_dump,
             reconnect, shut_down, disks, internal_snapshots, block_jobs, disks_end]
    needed = ['libvirtd', 'virsh'] + (['setpriv'] if os.geteuid() == 0 else [])
    if not all(shutil.which(name) for name in needed):
        print('1..0 # SKIP libvirt is not installed')
        return 0
    failed = 0
    print(f'1..{len(tests)}')
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        d = Daemon(folder)
        d.start()
        for number, test in enumerate(tests, 1):
            try:
                test(d)
                print(f'ok {number} - {test.__name__}', flush=True)
            except Exception as e:  # pylint: disable=broad-except
                failed += 1
                print(f'not ok {number} - {test.__name__}: {type(e).__name__} {e}'.replace('\n', '\n# '), flush=True)
        if failed:
            for domain in 'test', 'disks':
                subprocess.run([*d.become, 'virsh', '-c', 'qemu:///session', 'destroy', domain], env=d.env,
                               capture_output=True, check=False)
        d.stop()
    return 1 if failed else 0


sys.exit(main())
