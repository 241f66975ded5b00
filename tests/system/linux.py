# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux: to a shell, all its processors at work, reset and power off."""
import hashlib
import re
import time

import vm

QUIET = 'console=ttyS0 mitigations=off quiet no_timer_check'  # a busy host gives the timer no time for a trial


def boot(*options, arch='amd64', append=QUIET, kernel=None, init=vm.INIT, seconds=100):
    machine = vm.Machine('-accel', 'tcg', '-m', '256M', '-kernel', kernel or vm.linux(arch), '-initrd',
                         vm.initramfs(arch, init), '-append', append, *options)
    try:
        machine.wait('shell on ', seconds)
        machine.booted = time.monotonic() - machine.started
    except BaseException as error:
        machine.__exit__(type(error))
        raise
    return machine


@vm.case
def amd64():
    """A shell, clocks that go as ours do, stop and cont, power off."""
    with boot() as m:
        assert m.shell('uname -m') == 'x86_64'
        assert re.search(r'MemTotal: +2[0-9]{5} kB', m.shell('cat /proc/meminfo')), m.shell('cat /proc/meminfo')
        start, guest = time.monotonic(), float(m.shell('cut -d" " -f1 /proc/uptime'))
        m.shell('sleep 2')
        passed, counted = time.monotonic() - start, float(m.shell('cut -d" " -f1 /proc/uptime')) - guest
        assert abs(passed - counted) < 0.5, (passed, counted)
        assert abs(int(m.shell('date +%s')) - time.time()) <= 2

        m.qmp('stop')
        m.qmp.wait_event('STOP')
        assert m.qmp('query-status')['status'] == 'paused'
        m.send('echo go$((1+1))on\n')
        seen = len(m.text)
        time.sleep(0.3)
        assert len(m.text) == seen
        m.qmp('cont')
        m.qmp.wait_event('RESUME')
        m.wait('go2on')

        m.send('poweroff -f\n')
        m.qmp.wait_event('SHUTDOWN')
        assert m.wait_exit() == 0
        return f'shell after {m.booted:.1f} s'


@vm.case
def suspend():
    """Suspend to RAM: the machine stands until it is woken, and the guest goes on where it was."""
    with boot() as m:
        m.shell('mkdir -p /t; echo kept > /t/file')
        assert 'mem' in m.shell('cat /sys/power/state')
        m.send('echo mem > /sys/power/state; echo wo$((1+1))ke\n')
        m.qmp.wait_event('SUSPEND')
        assert m.qmp('query-status')['status'] == 'suspended'
        time.sleep(0.5)
        assert 'wo2ke' not in m.text
        m.qmp('system_wakeup')
        m.qmp.wait_event('WAKEUP')
        m.wait('wo2ke', 60)
        assert m.shell('cat /t/file') == 'kept'
        m.quit()


@vm.case
def i386():
    with boot(arch='i386') as m:
        assert m.shell('uname -m') == 'i686'
        m.send('echo o > /proc/sysrq-trigger\n')
        m.qmp.wait_event('SHUTDOWN')
        assert m.wait_exit() == 0
        return f'shell after {m.booted:.1f} s'


@vm.case
def models():
    """Processors with much and with little."""
    for model in ('qemu64', 'max', 'Haswell'):
        with boot('-cpu', model) as m:
            flags = m.shell('grep -m1 flags /proc/cpuinfo').split()
            assert ('avx2' in flags) == (model != 'qemu64'), f'{model}: {flags}'
            m.quit()
    with boot('-cpu', 'max,-avx2,+sse4.2', '-machine', 'hpet=off') as m:
        flags = m.shell('grep -m1 flags /proc/cpuinfo').split()
        assert 'avx2' not in flags and 'sse4_2' in flags, flags
        m.quit()


def packaged(name):
    """The files of the kernel package that NAME depends on, and its kernel."""
    depends = vm.tool('apt-cache', 'depends', name).decode()
    found = re.search(r'Depends: (linux-image-\S+)', depends)
    if not found:
        raise vm.Skip(f'no package {name}')
    files = vm.debian_package(found[1])
    kernel, = files.glob('boot/vmlinuz-*')
    return files, kernel


@vm.case
def cloud():
    """The kernel of Debian's clouds; with its driver the guest hears the power button."""
    files, kernel = packaged('linux-image-cloud-amd64')
    drivers = [(f'm/{path.name}', path.read_bytes()) for path in files.rglob('button.ko')]
    vm.initramfs(files=drivers)
    with boot(kernel=kernel) as m:
        assert 'cloud' in m.shell('uname -r')
        if drivers:
            m.shell('insmod /m/button.ko')
        counter = '/sys/firmware/acpi/interrupts/ff_pwr_btn'
        before = m.shell(f'cat {counter}').split()
        assert 'enabled' in before, before
        m.qmp('system_powerdown')
        m.qmp.wait_event('POWERDOWN')
        vm.wait_for('the button event', lambda: int(m.shell(f'cat {counter}').split()[0]) == int(before[0]) + 1)
        m.quit()
        return f'shell after {m.booted:.1f} s'


def busy(machine, count):
    """Share of the time that each processor worked, with a busy loop for each."""
    def times():
        rows = re.findall(r'cpu(\d+) (\d+) (\d+) (\d+) (\d+)', machine.shell('cat /proc/stat'))
        return [(sum(map(int, row[1:4])), int(row[4])) for row in rows]
    machine.shell(f'for i in $(seq {count}); do (while :; do :; done) & done; sleep 1')
    first = times()
    machine.shell('sleep 3')
    second = times()
    assert len(first) == len(second) == count, second
    shares = []
    for (work, idle), (work2, idle2) in zip(first, second):
        shares.append((work2 - work) / max(1, work2 - work + idle2 - idle))
    return shares


def four_processors(thread):
    with boot('-smp', '4', '-accel', f'tcg,thread={thread}', seconds=200) as m:
        assert m.shell('grep -c ^processor /proc/cpuinfo') == '4'
        shares = busy(m, 4)
        assert all(share > 0.8 for share in shares), shares
        m.quit()
        return 'busy ' + ' '.join(f'{share:.0%}' for share in shares)


@vm.case
def smp_multi():
    return four_processors('multi')


@vm.case
def smp_single():
    return four_processors('single')


@vm.case
def no_shutdown():
    """-no-shutdown stops the machine instead, and it can be looked at."""
    with boot('-no-shutdown') as m:
        m.send('poweroff -f\n')
        event = m.qmp.wait_event('SHUTDOWN')
        assert event['data'] == {'guest': True, 'reason': 'guest-shutdown'}, event
        assert m.qmp('query-status')['status'] == 'shutdown'
        m.quit()


@vm.case
def reboot():
    with boot() as m:
        m.send('reboot -f\n')
        m.qmp.wait_event('RESET')
        m.wait('shell on ', 100)
        m.qmp('system_reset')
        m.wait('shell on ', 100)
        assert m.shell('echo $((6*7))') == '42'
        m.quit()


@vm.case
def no_reboot():
    with boot('-no-reboot') as m:
        m.send('reboot -f\n')
        m.qmp.wait_event('SHUTDOWN')
        assert m.wait_exit() == 0


@vm.case
def triple_fault():
    with boot(append=QUIET + ' reboot=t') as m:
        m.send('reboot -f\n')
        m.qmp.wait_event('RESET')
        m.wait('shell on ', 100)
        m.quit()


@vm.case
def no_initrd():
    """Without a root file system the kernel says so."""
    with vm.Machine('-m', '256M', '-kernel', vm.linux(), '-append', 'console=ttyS0 panic=-1 no_timer_check', '-no-reboot') as m:
        m.wait('Kernel panic - not syncing: VFS: Unable to mount root fs', 100)
        assert m.wait_exit() == 0


@vm.case
def disk():
    """Debian's usual kernel on an IDE disk and a CD, by bus master DMA."""
    image, iso = vm.scratch() / 'disk.img', vm.scratch() / 'cd.iso'
    vm.need('xorriso')
    image.write_bytes(b'first sector of the disk'.ljust(512, b'.') + bytes(8 << 20))
    folder = vm.scratch() / 'cd'
    folder.mkdir()
    (folder / 'hello.txt').write_text('hello from the CD\n')
    vm.tool('xorriso', '-as', 'mkisofs', '-quiet', '-o', iso, folder)
    files, kernel = packaged('linux-image-amd64')
    order = ['scsi_common', 'scsi_mod', 'libata', 'crct10dif_common', 'crct10dif_generic', 'crc-t10dif', 'crc64',
             'crc64-rocksoft-generic', 'crc64-rocksoft', 't10-pi', 'cdrom', 'sd_mod', 'sr_mod', 'isofs', 'ata_piix']
    found = {path.stem: path for path in files.rglob('*.ko')}
    archive = vm.initramfs(files=[(f'm/{name}.ko', found[name].read_bytes()) for name in order if name in found])
    with vm.Machine('-m', '256M', '-kernel', kernel, '-initrd', archive, '-append', QUIET, '-drive',
                    f'file={image},format=raw,if=ide', '-cdrom', iso) as m:
        m.wait('shell on ', 100)
        m.shell('for m in ' + ' '.join(name for name in order if name in found) + '; do insmod /m/$m.ko; done; true')
        m.shell('for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/sda ] && [ -b /dev/sr0 ] && break; sleep 1; done; '
                '[ -b /dev/sda ]')
        assert m.shell('head -c 24 /dev/sda') == 'first sector of the disk'
        m.shell('dd if=/dev/urandom of=/tmp.bin bs=1M count=4 2>/dev/null')
        m.shell('dd if=/tmp.bin of=/dev/sda bs=1M seek=1 conv=fsync 2>/dev/null')
        m.shell('echo 3 > /proc/sys/vm/drop_caches')
        inside = m.shell('md5sum < /tmp.bin').split()[0]
        assert m.shell('dd if=/dev/sda bs=1M skip=1 count=4 2>/dev/null | md5sum').split()[0] == inside
        m.shell('mkdir -p /cd; mount -t iso9660 -o ro /dev/sr0 /cd')
        assert m.shell('cat /cd/*') == 'hello from the CD'
        m.shell('umount /cd')
        m.quit()
    assert hashlib.md5(image.read_bytes()[1 << 20:5 << 20]).hexdigest() == inside


if __name__ == '__main__':
    vm.run()
