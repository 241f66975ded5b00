# SPDX-License-Identifier: GPL-3.0-or-later
"""-kernel with what is not Linux: Multiboot by ELF and by addresses, PVH; our own kernels say what they were given."""
import vm


def boot(kernel, *options, status):
    with vm.Machine('-m', '64M', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', kernel,
                    *options) as m:
        m.wait('done\r?\n', 40)
        assert m.wait_exit() == status
        return vm.clean(m.text)


def check_ranges(text):
    """64 MiB less what the firmware keeps at the end."""
    ram = [line.split() for line in text.splitlines() if line.startswith('range') and line.endswith(' 00000001')]
    assert ram[0][1] == '00000000' and int(ram[0][3], 16) in range(0x90000, 0xa0000), ram
    assert ram[1][1] == '00100000', ram
    end = int(ram[1][1], 16) + int(ram[1][3], 16)
    assert (63 << 20) <= end <= (64 << 20), ram


def modules():
    first, second = vm.scratch() / 'first', vm.scratch() / 'sec,ond'
    first.write_text('FIRST')
    second.write_text('the second one')
    return first, second


def multiboot(kernel):
    first, second = modules()
    text = boot(kernel, '-append', 'one "two" three', '-initrd',
                f'{first} with arguments,{str(second).replace(",", ",,")}', status=11)
    assert 'magic 2BADB002' in text, text
    assert f'command line [{kernel} one "two" three]' in text, text
    assert f'module [{first} with arguments] size 00000005 content FIRST\n' in text, text
    assert f'module [{second}] size 0000000E content the second one\n' in text, text
    assert 'zero 00000000' in text, text
    check_ranges(text)
    upper = int(text.split('upper ')[1].split()[0], 16)
    assert 62 << 10 <= upper <= 63 << 10, upper


@vm.case
def multiboot_elf():
    multiboot(vm.assemble('multiboot', 'elf32'))


@vm.case
def multiboot_flat():
    multiboot(vm.assemble('multiboot', 'bin', FLAT=1))


@vm.case
def pvh():
    first, _ = modules()
    kernel = vm.assemble('pvh', 'elf32')
    text = boot(kernel, '-append', 'a b=c', '-initrd', first, status=13)
    assert 'magic 336EC578' in text and 'cr0 00000001' in text, text
    assert 'command line [a b=c]' in text and 'modules 00000001\n' in text and 'module content FIRST\n' in text, text
    check_ranges(text)
    text = boot(kernel, status=13)
    assert 'command line []' in text and 'modules 00000000\n' in text, text


vm.run()
