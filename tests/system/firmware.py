# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot loaders, firmware, hypervisor and memory test as Debian packages them."""
import gzip
import re
import subprocess
import time

import vm


def memtest(kind, seconds):
    """Starts, knows the memory, and makes progress without errors."""
    kernel = f'/boot/memtest86+{kind}.bin'
    vm.need(kernel)
    with vm.Machine('-m', '32M', '-kernel', kernel, serial=False) as m:
        screen = m.wait_screen(r'Memtest86\+', 30)
        m.wait_screen(r'Pass +[1-9]\d*%|Pass: +[1-9]|Test +[1-9]\d*%', seconds)
        screen = m.wait_screen(r'Time: +\d+:\d\d:0*[2-9]', seconds)
        assert re.search(r'Errors: +0\b', screen), screen
        m.quit()


@vm.case
def memtest_x64():
    memtest('x64', 60)


@vm.case
def memtest_ia32():
    memtest('ia32', 60)


def memtest_pass(kind):
    kernel = f'/boot/memtest86+{kind}.bin'
    vm.need(kernel)
    with vm.Machine('-m', '8M', '-kernel', kernel, serial=False, timeout=3000) as m:
        screen = m.wait_screen(r'Pass:? +[1-9]\d* |PASS', 2900)
        assert re.search(r'Errors: +0\b', screen), screen
        m.quit()


@vm.case
def memtest_x64_pass():
    memtest_pass('x64')


@vm.case
def memtest_ia32_pass():
    memtest_pass('ia32')


@vm.case
def grub():
    """GRUB's rescue CD, and a script on it."""
    vm.need('grub-mkrescue', 'xorriso', 'mformat', '/usr/lib/grub/i386-pc')
    root, iso = vm.scratch() / 'rescue', vm.scratch() / 'rescue.iso'
    (root / 'boot/grub').mkdir(parents=True)
    (root / 'boot/grub/grub.cfg').write_text('serial --unit=0 --speed=115200\nterminal_output console serial\n'
                                             'terminal_input console serial\necho "script of the CD: $grub_platform"\n')
    vm.tool('grub-mkrescue', '-d', '/usr/lib/grub/i386-pc', '-o', iso, root)
    with vm.Machine('-m', '64M', '-cdrom', iso, '-boot', 'd') as m:
        m.wait('script of the CD: pc', 60)
        m.wait('grub> ')
        m.send('ls\r')
        m.wait(r'\(cd0?\)|\(hd96\)|\(cd\)')
        m.send('lsmmap\r')
        m.wait(r'base_addr = 0x100000, length = 0x3[ef]')
        m.send('halt\r')
        assert m.wait_exit(20) == 0


@vm.case
def ipxe():
    iso = '/usr/lib/ipxe/ipxe.iso'
    vm.need(iso)
    with vm.Machine('-m', '64M', '-cdrom', iso, '-boot', 'd', '-nic', 'none', serial=False) as m:
        m.wait_screen(r'iPXE 1\.|iPXE --|iPXE initialising', 60)
        m.wait_screen(r'Features:', 30)
        m.quit()


@vm.case
def u_boot():
    rom = '/usr/lib/u-boot/qemu-x86/u-boot.rom'
    vm.need(rom)
    # It runs VGA ROMs in real mode with 64 KiB segments, and SeaBIOS' VGA ROM reads above them: as with a real
    # processor there is no display.
    with vm.Machine('-m', '256M', '-bios', rom, '-nic', 'none', '-vga', 'none') as m:
        m.wait(r'U-Boot 20\d\d\.\d\d', 60)
        m.wait('DRAM: +256 MiB')
        m.wait('=> ', 60)
        m.send('pci\r')
        m.wait('0x8086', 10)
        m.quit()


@vm.case
def seabios():
    """Nothing to boot from: the firmware says so, and its serial friend debugcon has the log."""
    log = vm.scratch() / 'seabios.log'
    with vm.Machine('-m', '64M', '-nic', 'none', '-debugcon', f'file:{log}', '-global', 'isa-debugcon.iobase=0x402',
                    serial=False) as m:
        m.wait_screen('No bootable device', 60)
        text = log.read_text(errors='replace')
        for line in ('Found 1 serial ports', 'PS2 keyboard initialized', 'ACPI', 'SMBIOS'):
            assert line in text, f'{line!r} is not in:\n{text}'
        picture = m.screen()
        assert (picture.width, picture.height) == (720, 400) and picture.colours() >= 2
        m.quit()


@vm.case
def boot_sector():
    """A floppy and a disk with a boot sector each; the order says whose runs."""
    sector = vm.assemble('sector').read_bytes()
    assert len(sector) == 512
    disk, floppy = vm.scratch() / 'boot.img', vm.scratch() / 'floppy.img'
    disk.write_bytes(sector + b'second sector of the hard disk'.ljust(512, b'\0') + bytes(1 << 20))
    floppy.write_bytes((sector + b'second sector of the floppy'.ljust(512, b'\0')).ljust(1474560, b'\0'))
    drives = ('-drive', f'file={disk},format=raw', '-drive', f'file={floppy},format=raw,if=floppy', '-nic', 'none')
    for order, text in (('c', 'hard disk'), ('a', 'floppy')):
        with vm.Machine('-m', '16M', '-boot', order, *drives) as m:
            m.wait(f'second sector of the {text}', 60)
            m.quit()


@vm.case
def machine_types():
    """Every versioned type comes out of the firmware; the oldest loads a kernel without fw_cfg's DMA."""
    disk = vm.scratch() / 'types.img'
    disk.write_bytes(vm.assemble('sector').read_bytes() + b'second sector of the hard disk'.ljust(512, b'\0') + bytes(1 << 20))
    listed = subprocess.run([vm.program(), '-machine', 'help'], stdout=subprocess.PIPE, check=True).stdout.decode()
    names = [line.split()[0] for line in listed.splitlines()[1:]]
    types = [name for name in names if name not in ('none', 'pc', 'q35')]
    assert len(types) > 30, types
    for name in types:
        with vm.Machine('-machine', name, '-m', '32M', '-nodefaults', '-drive', f'file={disk},format=raw') as m:
            m.wait('second sector of the hard disk', 30)
            m.quit()
    with vm.Machine('-machine', 'pc-i440fx-1.4', '-m', '256M', '-nodefaults', '-kernel', vm.linux(), '-append',
                    'console=ttyS0 panic=-1 no_timer_check', '-no-reboot') as m:
        m.wait('Linux version 6', 30)
        m.quit()
    return f'{len(types)} types'


@vm.case
def xen():
    """Xen as a Multiboot kernel, Linux as its first domain."""
    package = vm.debian_package('xen-hypervisor-4.17-amd64')
    packed, = package.glob('boot/xen-*.gz')
    kernel = vm.scratch() / 'xen'
    kernel.write_bytes(gzip.decompress(packed.read_bytes()))
    modules = f'{vm.linux()} console=hvc0 earlyprintk=xen,{vm.initramfs()}'
    with vm.Machine('-m', '1G', '-cpu', 'max', '-kernel', kernel, '-append',
                    'com1=115200,8n1 console=com1 dom0_mem=512M,max:512M loglvl=warning', '-initrd', modules, timeout=900) as m:
        m.wait(r'Xen version 4\.', 100)
        m.wait('Xen is relinquishing VGA console|Freed .* init memory', 300)
        m.wait('shell on x86_64', 500)
        took = time.monotonic() - m.started
        m.quit()
        return f'Dom0 shell after {took:.1f} s'


vm.run()
