# SPDX-License-Identifier: GPL-3.0-or-later
"""Display cards: what firmware and Debian's drivers show on them."""
import random
import shutil
import sys
import time

import linux
import vm

sys.path.insert(0, str(vm.HERE.parent / 'vnc'))
import rfb  # noqa: E402

HELPERS = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci', 'virtio_dma_buf', 'drm',
           'drm_kms_helper', 'drm_shmem_helper', 'ttm', 'drm_ttm_helper', 'drm_vram_helper']
PATTERN = random.Random(7).randbytes(1 << 20)
CONNECTOR = '/sys/class/drm/card0-*-1'


def boot(driver, *options, accel='tcg', append=''):
    """A shell, DRIVER loaded, and its frame buffer no console."""
    files, kernel = linux.packaged('linux-image-amd64')
    found = {path.stem: path for path in files.rglob('*.ko')}
    names = [*HELPERS, driver]
    archive = vm.initramfs(files=[(f'm/{name}.ko', found[name].read_bytes()) for name in names]
                           + [('m/pattern', PATTERN)])
    machine = vm.Machine('-accel', accel, '-m', '384M', '-net', 'none', '-kernel', kernel, '-initrd', archive, '-append',
                         linux.QUIET + ' ' + append, *options)
    try:
        machine.wait('shell on ', 100)
        machine.shell('for m in ' + ' '.join(names) + '; do insmod /m/$m.ko; done; true', 60)
        machine.shell('for i in 1 2 3 4 5 6 7 8 9 10; do [ -c /dev/fb0 ] && break; sleep 1; done; [ -c /dev/fb0 ]')
    except BaseException as error:
        machine.__exit__(type(error))
        raise
    return machine


def frame_buffer(machine, name):
    """Width, height, bits a pixel and bytes a line of /dev/fb0, which is NAME's."""
    said = machine.shell('cd /sys/class/graphics/fb0; cat name virtual_size bits_per_pixel stride; cd /').split()
    assert name in said[0], said
    width, height = map(int, said[-3].split(','))
    return width, height, int(said[-2]), int(said[-1])


def colour(data, at, bits):
    if bits == 16:
        value = data[at] | data[at + 1] << 8
        r, g, b = value >> 11, value >> 5 & 63, value & 31
        return bytes([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2])
    return data[at + 2:at + 3] + data[at + 1:at + 2] + data[at:at + 1]


def colours(machine):
    """Of the picture; 0: there is none yet."""
    try:
        return machine.screen().colours()
    except AssertionError:
        return 0


def shows_pattern(machine, width, bits, stride):
    picture = machine.screen()
    rows = len(PATTERN) // stride
    if picture.width != width or picture.height < rows:
        return None
    expected = b''.join(colour(PATTERN, y * stride + x * bits // 8, bits) for y in range(rows) for x in range(width))
    return picture.data[:len(expected)] == expected and picture


def draw(machine, name):
    """A console that shows text, and then a pattern that nobody could guess."""
    width, height, bits, stride = frame_buffer(machine, name)
    machine.shell('echo 0 > /proc/sys/kernel/printk; for i in 1 2 3 4 5 6; do echo "display test $i"; done > /dev/tty0')
    vm.wait_for('text', lambda: colours(machine) >= 2 and machine.screen().width == width, 20, 0.3)
    machine.shell('for c in /sys/class/vtconsole/vtcon*; do grep -q frame $c/name && echo 0 > $c/bind; done; true')
    machine.shell('cat /m/pattern > /dev/fb0', 60)
    vm.wait_for('the pattern', lambda: shows_pattern(machine, width, bits, stride), 20, 0.3)
    return f'{width}x{height}, {bits} bits'


def linux_draws(driver, *options, name=None, **more):
    with boot(driver, *options, **more) as m:
        said = draw(m, name or driver)
        m.quit()
        return said


@vm.case
def std():
    return linux_draws('bochs', '-vga', 'std')


@vm.case
def secondary_vga():
    return linux_draws('bochs', '-vga', 'none', '-device', 'secondary-vga,xres=800,yres=600')


@vm.case
def bochs_display():
    """Its preferred mode; a viewer's wish is the one that a driver finds when it comes."""
    with boot('bochs', '-vga', 'none', '-device', 'bochs-display,xres=1024,yres=768', '-vnc', 'unix:' + vnc_path()) as m:
        said = draw(m, 'bochs')
        assert m.shell(f'head -n 1 {CONNECTOR}/modes') == '1024x768'
        with_size(m, 1200, 700)
        m.shell('cd /sys/bus/pci/drivers/bochs-drm; d=$(ls -d 0000:*); echo $d > unbind; echo $d > bind; cd /', 60)
        vm.wait_for('the mode', lambda: m.shell('head -n 1 /sys/class/drm/card?-*-1/modes') == '1200x700', 20, 0.3)
        m.quit()
        return said


@vm.case
def cirrus():
    return linux_draws('cirrus', '-vga', 'cirrus')


@vm.case
def vmware():
    return linux_draws('vmwgfx', '-vga', 'vmware', name='vmw')


@vm.case
def qxl():
    """A viewer's wish comes by the card's own way."""
    with boot('qxl', '-vga', 'qxl', '-vnc', 'unix:' + vnc_path()) as m:
        said = draw(m, 'qxl')
        with_size(m, 1000, 600)
        vm.wait_for('the mode', lambda: m.shell(f'head -n 1 {CONNECTOR}/modes') == '1000x600', 20, 0.3)
        m.quit()
        return said


@vm.case
def qxl_second():
    return linux_draws('qxl', '-vga', 'none', '-device', 'qxl,vram64_size_mb=256')


@vm.case
def virtio_vga():
    return linux_draws('virtio-gpu', '-vga', 'virtio', name='virtio_gpu')


@vm.case
def virtio_gpu():
    """The size that is asked for, and that a viewer wants later."""
    with boot('virtio-gpu', '-vga', 'none', '-device', 'virtio-gpu-pci,xres=1000,yres=600,max_outputs=2', '-vnc',
              'unix:' + vnc_path()) as m:
        said = draw(m, 'virtio_gpu')
        assert m.shell(f'head -n 1 {CONNECTOR}/modes') == '1000x600'
        with_size(m, 900, 500)  # no more than its console has room for
        vm.wait_for('the mode', lambda: m.shell(f'head -n 1 {CONNECTOR}/modes') == '900x500', 20, 0.3)
        assert m.shell('cat /sys/class/drm/card0-*/status').split() == ['connected', 'disconnected']
        m.quit()
        return said


@vm.case
def virtio_gpu_blob():
    """Pictures that stay in guest memory."""
    return linux_draws('virtio-gpu', '-vga', 'none', '-device', 'virtio-gpu-pci,blob=on', name='virtio_gpu')


def saved(driver, *options, name=None):
    """A machine that is saved shows the same when it is loaded, and goes on."""
    disk = vm.scratch() / 'display.qcow2'
    vm.need('qemu-img')
    vm.tool('qemu-img', 'create', '-q', '-f', 'qcow2', disk, '64M')
    with boot(driver, *options, '-drive', f'file={disk},if=ide') as m:
        said = draw(m, name or driver)
        before = m.screen().data
        m.hmp('savevm one')
        m.shell('cat /dev/zero > /dev/fb0; true')
        vm.wait_for('black', lambda: m.screen().data != before, 20, 0.3)
        answer = m.hmp('loadvm one')
        assert not answer, answer
        assert m.screen().data == before
        m.shell('cat /dev/zero > /dev/fb0; true')
        vm.wait_for('black', lambda: m.screen().data != before, 20, 0.3)
        m.quit()
        return said


@vm.case
def saved_virtio_gpu():
    return saved('virtio-gpu', '-vga', 'none', '-device', 'virtio-gpu-pci', name='virtio_gpu')


@vm.case
def saved_virtio_vga():
    return saved('virtio-gpu', '-vga', 'virtio', name='virtio_gpu')


@vm.case
def saved_qxl():
    return saved('qxl', '-vga', 'qxl')


@vm.case
def saved_vmware():
    return saved('vmwgfx', '-vga', 'vmware', name='vmw')


@vm.case
def saved_cirrus():
    return saved('cirrus', '-vga', 'cirrus')


def vnc_path():
    return str(vm.scratch() / 'vnc')


def with_size(machine, width, height):
    """A viewer that wants its desktop to be so."""
    viewer = rfb.Client(vnc_path())
    viewer.set_encodings(rfb.RAW, rfb.DESKTOP_SIZE, rfb.EXTENDED_SIZE)
    viewer.request(False)
    viewer.update()
    viewer.set_size(width, height)
    time.sleep(1)
    viewer.close()


# --- firmware --------------------------------------------------------------------------------------------------------

@vm.case
def seabios():
    """Every card's ROM writes text."""
    for options in (['-vga', 'cirrus'], ['-vga', 'vmware'], ['-vga', 'virtio'], ['-M', 'isapc', '-vga', 'cirrus']):
        with vm.Machine('-m', '64M', '-net', 'none', *options) as m:
            m.wait_screen('No bootable device', 60)
            picture = m.screen()
            assert (picture.width, picture.height) == (720, 400) and picture.colours() >= 2, options
            m.quit()
    for device in ('bochs-display', 'ramfb'):
        with vm.Machine('-m', '64M', '-net', 'none', '-vga', 'none', '-device', device) as m:
            vm.wait_for('text', lambda: colours(m) >= 2, 60, 0.3)
            m.quit()


def ovmf(*options):
    code, template = '/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'
    vm.need(code, template)
    variables = vm.scratch() / 'vars.fd'
    shutil.copy(template, variables)
    with vm.Machine('-m', '256M', '-net', 'none', '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={code}', '-drive',
                    f'if=pflash,unit=1,format=raw,file={variables}', *options) as m:
        m.wait('UEFI Interactive Shell', 250)
        picture = vm.wait_for('text', lambda: colours(m) >= 3 and m.screen(), 30, 0.5)
        m.quit()
        return f'{picture.width}x{picture.height}'


@vm.case
def ovmf_ramfb():
    return ovmf('-vga', 'none', '-device', 'ramfb')


@vm.case
def ovmf_virtio_vga():
    return ovmf('-vga', 'virtio')


@vm.case
def ovmf_virtio_gpu():
    return ovmf('-vga', 'none', '-device', 'virtio-gpu-pci')


@vm.case
def ovmf_others():
    return ' '.join(ovmf('-vga', name) for name in ('cirrus', 'vmware'))


if __name__ == '__main__':
    vm.run()
