# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the PC by their registers, without a processor: the qtest protocol on a whole board."""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'system'))
import vm  # noqa: E402


class Board:
    """A board whose ports and memory we drive; time stands until it is stepped."""

    def __init__(self, *options):
        words = [vm.program(), '-display', 'none', '-accel', 'qtest', '-qtest', 'stdio', '-qtest-log', 'none', '-m', '16M', '-nic', 'none',
                 *map(str, options)]
        variables = {'ASAN_OPTIONS': 'detect_leaks=0:abort_on_error=1:handle_segv=0', **os.environ}
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=vm.die_with_parent, env=variables)

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.process.terminate()
        status = self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()
        assert rest[0] or status == 0, f'status {status} at the end'

    def __call__(self, *words):
        line = ' '.join(f'{word:#x}' if isinstance(word, int) else word for word in words)
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()
        while True:
            answer = self.process.stdout.readline().decode().split()
            assert answer, f'{line}: the program ended'
            if answer[0] != 'IRQ':
                assert answer[0] == 'OK', f'{line}: {answer}'
                return int(answer[1], 0) if len(answer) > 1 else None

    def inb(self, port):
        return self('inb', port)

    def inw(self, port):
        return self('inw', port)

    def inl(self, port):
        return self('inl', port)

    def outb(self, port, value):
        self('outb', port, value)

    def outw(self, port, value):
        self('outw', port, value)

    def outl(self, port, value):
        self('outl', port, value)

    def pass_time(self, ns):
        self('clock_step', str(ns))

    def config(self, device, function, register, value=None):
        self.outl(0xcf8, 0x80000000 | device << 11 | function << 8 | register)
        return self.inl(0xcfc) if value is None else self.outl(0xcfc, value)


def same(got, wanted):
    assert got == wanted, f'{got:#x} instead of {wanted:#x}'


@vm.case
def uart():
    """16550A, data sheet PC16550D: scratch, divisor latch, FIFO detection, loopback with interrupts, modem lines."""
    with Board('-serial', 'null') as b:
        com = 0x3f8
        same(b.inb(com + 5), 0x60)
        b.outb(com + 7, 0x5a)
        same(b.inb(com + 7), 0x5a)
        b.outb(com + 3, 0x83)
        b.outb(com, 0x34)
        b.outb(com + 1, 0x12)
        same(b.inb(com), 0x34)
        same(b.inb(com + 1), 0x12)
        b.outb(com, 1)
        b.outb(com + 1, 0)
        b.outb(com + 3, 3)
        same(b.inb(com + 3), 3)
        same(b.inb(com + 2), 1)
        b.outb(com + 2, 7)
        same(b.inb(com + 2), 0xc1)
        b.outb(com + 4, 0x1f)  # loopback, all outputs: all inputs
        same(b.inb(com + 6) & 0xf0, 0xf0)
        b.outb(com + 1, 1)
        for value in b'hello':
            b.outb(com, value)
            b.pass_time(1000000)
        same(b.inb(com + 5) & 1, 1)
        assert bytes(b.inb(com) for _ in range(5)) == b'hello'
        same(b.inb(com + 5) & 1, 0)
        b.outb(com + 1, 0xff)
        same(b.inb(com + 1), 0x0f)


@vm.case
def keyboard_controller():
    with Board() as b:
        def answer():
            b.pass_time(10000000)
            same(b.inb(0x64) & 1, 1)
            return b.inb(0x60)
        b.outb(0x64, 0xaa)
        same(answer(), 0x55)
        b.outb(0x64, 0xab)
        same(answer(), 0)
        b.outb(0x64, 0x60)
        b.outb(0x60, 0x45)
        b.outb(0x64, 0x20)
        same(answer(), 0x45)
        b.outb(0x64, 0xd3)  # as if from the mouse
        b.outb(0x60, 0x77)
        b.pass_time(10000000)
        same(b.inb(0x64) & 0x21, 0x21)
        same(b.inb(0x60), 0x77)
        b.outb(0x60, 0xf2)  # what keyboard
        same(answer(), 0xfa)
        same(answer(), 0xab)
        assert answer() in (0x41, 0x83)
        b.outb(0x60, 0xff)
        same(answer(), 0xfa)
        same(answer(), 0xaa)
        for byte, answers in ((0xf6, [0xfa]), (0xe9, [0xfa, 0, 2, 100]), (0xff, [0xfa, 0xaa, 0])):
            b.outb(0x64, 0xd4)
            b.outb(0x60, byte)
            assert [answer() for _ in answers] == answers
        b.outb(0x64, 0xd1)
        b.outb(0x60, 0xdd)  # A20 off
        same(b.inb(0x92) & 0, 0)


@vm.case
def ide():
    """ATA: signature, IDENTIFY, reading and writing by PIO in LBA28 and LBA48, errors; ATAPI: signature, INQUIRY."""
    disk, cd = vm.scratch() / 'disk', vm.scratch() / 'cd'
    disk.write_bytes(b''.join(bytes([n & 255]) * 512 for n in range(20000)))
    cd.write_bytes(bytes(1 << 20))
    with Board('-drive', f'file={disk},format=raw,if=ide,index=0', '-drive',
               f'file={cd},format=raw,if=ide,index=2,media=cdrom') as b:
        def wait(base, mask, value):
            end = time.monotonic() + 30  # the host's disk may be busy
            while time.monotonic() < end:
                b.pass_time(100000)
                status = b.inb(base + 7)
                if status & 0x80 == 0 and status & mask == value:
                    return status
            raise AssertionError(f'status {status:#x}')

        def command(base, code, lba=0, count=1, device=0xe0):
            b.outb(base + 6, device | lba >> 24 & 15)
            for register, value in ((2, count), (3, lba & 255), (4, lba >> 8 & 255), (5, lba >> 16 & 255), (7, code)):
                b.outb(base + register, value)

        def data(base, count):
            return b''.join(b.inw(base).to_bytes(2, 'little') for _ in range(count))

        b.outb(0x3f6, 4)
        b.outb(0x3f6, 0)
        wait(0x1f0, 0x40, 0x40)
        assert [b.inb(0x1f0 + n) for n in range(1, 6)] == [1, 1, 1, 0, 0]
        command(0x1f0, 0xec)
        wait(0x1f0, 8, 8)
        identify = data(0x1f0, 256)
        words = [int.from_bytes(identify[i:i + 2], 'little') for i in range(0, 512, 2)]
        same(words[60] | words[61] << 16, 20000)
        assert words[49] & 0x300 == 0x300 and words[83] & 0x400
        if identify[510] == 0xa5:
            same(sum(identify) & 255, 0)
        command(0x1f0, 0x20, lba=300, count=2)
        wait(0x1f0, 8, 8)
        assert data(0x1f0, 256) == bytes([300 & 255]) * 512
        wait(0x1f0, 8, 8)
        assert data(0x1f0, 256) == bytes([301 & 255]) * 512
        wait(0x1f0, 8, 0)
        command(0x1f0, 0x30, lba=5)
        wait(0x1f0, 8, 8)
        for n in range(256):
            b.outw(0x1f0, n)
        wait(0x1f0, 0x89, 0)
        command(0x1f0, 0xe7)
        wait(0x1f0, 0x89, 0)
        command(0x1f0, 0x20, lba=20000)  # past the end: error, address not found
        assert wait(0x1f0, 1, 1) & 8 == 0
        same(b.inb(0x1f1) & 0x10, 0x10)
        command(0x1f0, 0x99)
        wait(0x1f0, 1, 1)
        same(b.inb(0x1f1), 4)
        for register, high, low in ((2, 0, 1), (3, 0, 7), (4, 0, 0), (5, 0, 0)):
            b.outb(0x1f0 + register, high)
            b.outb(0x1f0 + register, low)
        b.outb(0x1f6, 0x40)
        b.outb(0x1f7, 0x24)
        wait(0x1f0, 8, 8)
        assert data(0x1f0, 256) == bytes([7]) * 512

        b.outb(0x376, 4)
        b.outb(0x376, 0)
        b.pass_time(1000000)
        b.outb(0x176, 0xa0)
        assert [b.inb(0x170 + n) for n in (4, 5)] == [0x14, 0xeb]
        command(0x170, 0xec, device=0xa0)
        wait(0x170, 1, 1)
        b.outb(0x176, 0xa0)
        b.outb(0x174, 36)
        b.outb(0x175, 0)
        b.outb(0x177, 0xa0)
        wait(0x170, 8, 8)
        for word in (0x0012, 0, 36, 0, 0, 0):
            b.outw(0x170, word)
        wait(0x170, 8, 8)
        inquiry = data(0x170, 18)
        assert inquiry[0] == 5 and inquiry[1] & 0x80, inquiry
    assert disk.read_bytes()[5 * 512:6 * 512] == b''.join(n.to_bytes(2, 'little') for n in range(256))


@vm.case
def floppy():
    """82077AA: reset and its four interrupts sensed, version, dumpreg, seek, and what there is without a disk."""
    image = vm.scratch() / 'floppy'
    image.write_bytes(bytes(1474560))
    with Board('-drive', f'file={image},format=raw,if=floppy') as b:
        def send(*values):
            for value in values:
                b.pass_time(100000)
                same(b.inb(0x3f4) & 0xc0, 0x80)
                b.outb(0x3f5, value)

        def results(count):
            values = []
            for _ in range(count):
                b.pass_time(100000)
                same(b.inb(0x3f4) & 0xd0, 0xd0)
                values.append(b.inb(0x3f5))
            return values

        b.outb(0x3f2, 0)
        b.outb(0x3f2, 0x0c)
        b.pass_time(10000000)
        for drive in range(4):
            send(8)
            assert results(2) == [0xc0 | drive, 0]
        send(0x10)
        assert results(1) == [0x90]
        send(0x03, 0xaf, 0x02)
        b.outb(0x3f2, 0x1c)
        send(0x0f, 0, 20)
        b.pass_time(1000000000)
        send(8)
        assert results(2) == [0x20, 20]
        send(0x07, 0)
        b.pass_time(1000000000)
        send(8)
        assert results(2) == [0x20, 0]
        send(0x4a, 0)
        b.pass_time(1000000000)
        assert results(7)[0] & 0xc0 == 0
        send(0x1f)
        assert results(1) == [0x80]


@vm.case
def fw_cfg():
    with Board('-fw_cfg', 'name=opt/test,string=hello') as b:
        def read(key, count):
            b.outw(0x510, key)
            return bytes(b.inb(0x511) for _ in range(count))
        assert read(0, 6) == b'QEMU\0\0'
        assert int.from_bytes(read(1, 4), 'little') & 3 == 3
        assert int.from_bytes(read(3, 8), 'little') == 16 << 20
        count = int.from_bytes(read(0x19, 4), 'big')
        b.outw(0x510, 0x19)
        [b.inb(0x511) for _ in range(4)]
        files = {}
        for _ in range(count):
            entry = bytes(b.inb(0x511) for _ in range(64))
            files[entry[8:].rstrip(b'\0').decode()] = (int.from_bytes(entry[:4], 'big'),
                                                       int.from_bytes(entry[4:6], 'big'))
        size, key = files['opt/test']
        assert read(key, size) == b'hello'
        assert list(files) == sorted(files), list(files)
        for name in ('etc/acpi/tables', 'etc/acpi/rsdp', 'etc/table-loader', 'etc/smbios/smbios-tables', 'etc/e820'):
            assert name in files, files
        # The same by DMA: a big-endian control block, its address through the two registers.
        block = (key << 16 | 0x08 | 0x02).to_bytes(4, 'big') + (5).to_bytes(4, 'big') + (0x2000).to_bytes(8, 'big')
        for i, byte in enumerate(block):
            b('writeb', 0x1000 + i, byte)
        b.outl(0x518, int.from_bytes((0x1000).to_bytes(4, 'big'), 'little'))
        same(b('readl', 0x1000), 0)
        assert bytes(b('readb', 0x2000 + i) for i in range(5)) == b'hello'
        # To nowhere: the error bit, and nothing else.
        block = (key << 16 | 0x08 | 0x02).to_bytes(4, 'big') + (5).to_bytes(4, 'big') + (0xe0000000).to_bytes(8, 'big')
        for i, byte in enumerate(block):
            b('writeb', 0x1000 + i, byte)
        b.outl(0x518, int.from_bytes((0x1000).to_bytes(4, 'big'), 'little'))
        assert b('readl', 0x1000) in (0, 0x01000000)


@vm.case
def vga():
    """Indexed registers, DAC, attribute flip-flop, planes with write modes, Bochs VBE and its frame buffer, EDID."""
    with Board('-vga', 'std') as b:
        b.outb(0x3c4, 2)
        b.outb(0x3c5, 0x0f)
        same(b.inb(0x3c5), 0x0f)
        b.outb(0x3c2, 0x67)
        same(b.inb(0x3cc), 0x67)
        b.outb(0x3c8, 5)
        for value in (1, 2, 3):
            b.outb(0x3c9, value)
        b.outb(0x3c7, 5)
        assert [b.inb(0x3c9) for _ in range(3)] == [1, 2, 3]
        b.inb(0x3da)
        b.outb(0x3c0, 0x11)
        b.outb(0x3c0, 0x3f)
        b.inb(0x3da)
        b.outb(0x3c0, 0x11)
        same(b.inb(0x3c1), 0x3f)
        for port, index, value in ((0x3c4, 4, 6), (0x3c4, 2, 15), (0x3ce, 5, 0), (0x3ce, 6, 5), (0x3ce, 8, 0xff),
                                   (0x3ce, 1, 0), (0x3ce, 3, 0)):
            b.outb(port, index)
            b.outb(port + 1, value)
        for plane in range(4):
            b.outb(0x3c4, 2)
            b.outb(0x3c5, 1 << plane)
            b('writeb', 0xa0000, 0x10 + plane)
        for plane in range(4):
            b.outb(0x3ce, 4)
            b.outb(0x3cf, plane)
            same(b('readb', 0xa0000), 0x10 + plane)
        b.outw(0x1ce, 0)
        same(b.inw(0x1cf) & 0xfff0, 0xb0c0)
        for index, value in ((4, 0), (1, 800), (2, 600), (3, 32), (4, 0x41)):
            b.outw(0x1ce, index)
            b.outw(0x1cf, value)
        b.outw(0x1ce, 1)
        same(b.inw(0x1cf), 800)
        same(b.config(2, 0, 0), 0x11111234)
        b.config(2, 0, 0x10, 0xfd000000)
        b.config(2, 0, 0x18, 0xfebf0000)
        b.config(2, 0, 4, 3)
        b('writel', 0xfd000000, 0x00123456)
        same(b('readl', 0xfd000000), 0x00123456)
        edid = bytes(b('readb', 0xfebf0000 + i) for i in range(128))
        assert edid[:8] == bytes([0, 255, 255, 255, 255, 255, 255, 0]) and sum(edid) & 255 == 0
        same(b('readw', 0xfebf0500) & 0xfff0, 0xb0c0)


@vm.case
def parallel():
    output = vm.scratch() / 'printed'
    with Board('-parallel', f'file:{output}') as b:
        b.outb(0x378, 0x41)
        same(b.inb(0x378), 0x41)
        for value in (0x0c, 0x0d, 0x0c):
            b.outb(0x37a, value)
            b.pass_time(1000000)
        b.inb(0x379)
        same(b.inb(0x37a) & 0x0f, 0x0c)
    assert output.read_bytes() == b'A', output.read_bytes()


def pci_memory(b, device, function=0, at=0xfe000000):
    """Maps BAR 0 there and lets the function answer."""
    b.config(device, function, 0x10, at)
    b.config(device, function, 4, 0x107)
    return at


@vm.case
def watchdogs():
    """i6300ESB, data sheet 300641: unlock sequence, two stages, lock; IB700: its table of times; the event of both."""
    path = vm.scratch() / 'watchdog-qmp'
    with Board('-device', 'i6300esb,addr=5', '-device', 'ib700', '-action', 'watchdog=none', '-qmp',
               f'unix:{path},server=on,wait=off') as b:
        qmp = vm.Monitor(str(path), lambda: True)
        qmp('qmp_capabilities')
        same(b.config(5, 0, 0), 0x25ab8086)
        esb = pci_memory(b, 5)
        b('writel', esb, 100)  # locked: does nothing
        for register in (0, 4):
            b('writew', esb + 12, 0x80)
            b('writew', esb + 12, 0x86)
            b('writel', esb + register, 1000)
        b.config(5, 0, 0x68, 2)
        b.pass_time(900 * 10**6)
        b('writew', esb + 12, 0x80)
        b('writew', esb + 12, 0x86)
        b('writew', esb + 12, 0x100)
        b.pass_time(900 * 10**6)
        same(b('readl', esb + 8), 0)
        b.pass_time(200 * 10**6)
        same(b('readl', esb + 8), 1)  # the first stage is over
        same(b('readl', esb + 12) & 0x200, 0)
        b('writel', esb + 8, 1)
        same(b('readl', esb + 8), 0)
        b.pass_time(1000 * 10**6)
        same(b('readl', esb + 12), 0x200)
        assert qmp.wait_event('WATCHDOG')['data'] == {'action': 'none'}
        b.config(5, 0, 0x68, 3)
        b.config(5, 0, 0x68, 0)  # locked
        same(b.config(5, 0, 0x68) & 7, 3)
        b.config(5, 0, 0x60, 0x20)  # no output

        b.outb(0x443, 13)
        b.pass_time(3 * 10**9)
        b.outb(0x443, 13)
        b.pass_time(3 * 10**9)
        b.outb(0x441, 0)
        b.pass_time(60 * 10**9)
        assert not [e for e in qmp.events if e['event'] == 'WATCHDOG'], qmp.events
        b.outb(0x443, 15)
        b.pass_time(1)
        qmp.wait_event('WATCHDOG')


@vm.case
def loader():
    """Numbers and files are in memory after a reset; ELF goes where it says; a panic notifier on PCI is there."""
    raw = vm.scratch() / 'raw.bin'
    raw.write_bytes(b'\x7fraw bytes')
    with Board('-device', 'loader,addr=0x200000,data=0x11223344,data-len=4', '-device',
               'loader,addr=0x200010,data=0x1122,data-len=2,data-be=on', '-device',
               f'loader,addr=0x200020,file={raw},force-raw=on', '-device', 'pvpanic-pci,addr=6,events=1') as b:
        same(b('readl', 0x200000), 0x11223344)
        same(b('readw', 0x200010), 0x2211)
        same(b('readl', 0x200020), 0x7761727f)
        b('writel', 0x200000, 0)
        same(b('readl', 0x200000), 0)
        same(b.config(6, 0, 0), 0x00111b36)
        same(b('readb', pci_memory(b, 6)), 1)


@vm.case
def hotplug():
    """What ACPI code reads: a card's slot, a module's place, and what was asked of the guest."""
    path = vm.scratch() / 'hotplug-qmp'
    with Board('-m', '16M,slots=2,maxmem=1G', '-object', 'memory-backend-ram,id=r,size=128M', '-smp', '1,maxcpus=2',
               '-qmp', f'unix:{path},server=on,wait=off') as b:
        qmp = vm.Monitor(str(path), lambda: True)
        qmp('qmp_capabilities')
        pci, cpu, memory, gpe = 0xae00, 0xaf00, 0xa00, 0xafe0
        qmp('device_add', driver='edu', id='card', addr='8')
        same(b.inb(gpe), 2)
        same(b.inl(pci), 0x100)
        same(b.inl(pci), 0)
        b.outb(gpe, 2)
        qmp('device_del', id='card')
        same(b.inb(gpe), 2)
        same(b.inl(pci + 4), 0x100)
        b.outl(pci + 8, 0x100)
        assert qmp.wait_event('DEVICE_DELETED')['data']['device'] == 'card'
        same(b.config(8, 0, 0), 0xffffffff)
        b.outl(pci + 8, 0xffffffff)  # the board's own chips stay
        same(b.config(1, 0, 0), 0x70008086)

        qmp('device_add', driver='pc-dimm', id='d', memdev='r', slot=1)
        same(b.inb(gpe) & 8, 8)
        b.outl(memory, 1)
        same(b.inb(memory + 20), 3)
        same(b.inl(memory), 0)
        same(b.inl(memory + 4), 1)
        same(b.inl(memory + 8), 128 << 20)
        b.outb(memory + 20, 2)
        same(b.inb(memory + 20), 1)
        b('writel', 0x100000000, 0x12345678)
        same(b('readl', 0x100000000), 0x12345678)
        b.outl(memory, 77)
        same(b.inb(memory + 20), 0)
        b.outl(memory, 1)
        b.outb(memory + 20, 8)
        assert qmp.wait_event('DEVICE_DELETED')['data']['device'] == 'd'
        same(b.inb(memory + 20), 0)

        place = [p for p in qmp('query-hotpluggable-cpus') if 'qom-path' not in p][0]
        qmp('device_add', driver=place['type'], id='c', **place['props'])
        b.outb(cpu + 5, 0)
        same(b.inl(cpu + 8), 1)
        same(b.inb(cpu + 4), 3)
        b.outb(cpu + 5, 3)
        same(b.inl(cpu + 8), 1)
        b.outb(cpu + 4, 2)
        b.outb(cpu + 4, 8)
        assert qmp.wait_event('DEVICE_DELETED')['data']['device'] == 'c'
        same(b.inb(cpu + 4), 0)


vm.run()
