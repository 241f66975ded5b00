# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder that the window shares, in a Linux guest: the line that the window gives is typed there as it is, and shows the files.
The guest is Debian's installer, whose udev it is that the line goes by."""
import os
import subprocess
import sys
import time

import storage
import vm

sys.path.insert(0, str(vm.HERE.parent / 'ui'))
from desktop import Desktop  # noqa: E402
from window_case import MENUS  # noqa: E402

MODULES = ['virtio_pci', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'nls_cp437', 'nls_ascii', 'nls_utf8', 'vfat']
UDEV = 'mkdir -p /run; /lib/systemd/systemd-udevd --daemon; udevadm trigger --action=add; udevadm settle'
FOLDER_ZONE = (0.75, 0.75)


def guest():
    """Kernel and initial RAM disk: the installer's files, and those of an installed kernel over them."""
    kernel = storage.kernel_package()[0]
    archive = vm.INSTALLER.format('amd64') + 'initrd.gz'
    vm.need(archive)
    paths = storage.with_dependencies(MODULES)
    ours = vm.initramfs(files=[(f'm/{path.name}', path.read_bytes()) for path in paths])
    both = vm.scratch() / 'initrd'
    with open(archive, 'rb') as first:
        data = first.read()
    both.write_bytes(data + bytes(-len(data) % 512) + ours.read_bytes())
    return kernel, both, ' '.join(path.name for path in paths)


def clipboard(desktop):
    return subprocess.run(['xclip', '-o', '-selection', 'clipboard'], env=desktop.env, capture_output=True, text=True,
                          timeout=10).stdout


def share(*options):
    vm.need('xclip')
    kernel, archive, modules = guest()
    with Desktop() as desktop:
        os.environ.update(desktop.env)
        folder = os.path.join(desktop.home, 'My Holiday Photos')
        other = os.path.join(desktop.home, 'My Holiday Plans')
        for path in folder, other:
            os.mkdir(path)
            with open(path + '/a long name.txt', 'w') as file:
                file.write(f'this is {path}')
        with vm.Machine('-display', 'gtk,gl=off', '-accel', 'tcg', '-m', '768M', '-kernel', kernel, '-initrd', archive, '-append',
                        storage.QUIET, *options) as m:
            m.wait('shell on ', 200)
            m.shell(f'for m in {modules}; do insmod /m/$m; done; true', 60)
            m.shell(UDEV, 60)
            m.shell('sudo() { "$@"; }')
            window = vm.wait_for('window', lambda: desktop.find('^Vitrine'))[0]
            drives = sum(drive['removable'] and 'qdev' in drive for drive in m.qmp('query-block'))
            lines = []
            for number, path in enumerate((folder, other)):
                desktop.drag(window, [path], FOLDER_ZONE)
                vm.wait_for('disk', lambda: m.hmp('info block').count('vvfat') > number)
                time.sleep(1)
                x, y, _, _ = desktop.geometry(window)
                desktop.activate(window)
                desktop.click(x + MENUS['Devices'], y + 12)
                time.sleep(0.5)
                for key in 'Down', str(drives + number + 1), 'm':
                    desktop.key(key)
                    time.sleep(0.3)
                lines.append(clipboard(desktop))
                print(f'# {lines[-1]}', flush=True)
            # One is not taken for the other.
            for line, path in zip(lines, (folder, other)):
                m.shell(f'for i in $(seq 40); do [ -e "$(set -- {line}; echo $5)" ] && break; sleep 0.5; done; {line}', 60)
                assert m.shell('cat "/mnt/a long name.txt"') == f'this is {path}'
                assert 'Read-only' in m.shell('echo x > /mnt/new 2>&1 || true; umount /mnt')
            m.quit()


@vm.case
def virtio_blk():
    share()


@vm.case
def scsi():
    share('-global', 'PIIX4_PM.acpi-root-pci-hotplug=off', '-device', 'virtio-scsi-pci')


if __name__ == "__main__":
    vm.run()
