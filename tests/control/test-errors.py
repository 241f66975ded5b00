#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of refusal of the option rules, by its exact sentence; lists and versions; exit statuses."""
import os
import shlex
import sys
import tempfile

import program

# Command line: what follows "PROG: " on the first line of stderr. "@" stands for the line as typed.
ERRORS = {
    # tokens
    '-foo': '-foo: invalid option',
    '---': '---: invalid option',
    '-': '-: invalid option',
    '--': '--: invalid option',
    '-h -foo': '-foo: invalid option',
    '-m': '-m: requires an argument',
    '-M pc -name=x': '-name=x: invalid option',
    # sizes and numbers
    '-m foo': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m 10Q': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m -1': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m size=1,foo=2': "@: Invalid parameter 'foo'",
    '-m 1G,slots=1': 'slots specified but no max-size',
    '-m 1,maxmem=0': 'invalid value of maxmem: maximum memory size (0x0) must be at least the initial memory size '
                     '(0x100000)',
    '-drive file=/dev/null,index=x': "@: Parameter 'index' expects a number",
    # topology
    '-smp foo': "Parameter 'smp.cpus' expects integer",
    '-smp cpus=1,foo=2': "Parameter 'smp.foo' is unexpected",
    '-smp 0': 'Invalid CPU topology: CPU topology parameters must be greater than zero',
    '-smp 2,clusters=2': "clusters not supported by this machine's CPU topology",
    '-smp 4,cores=3': 'Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (1) * dies (1) * '
                      'modules (1) * cores (3) * threads (1) != maxcpus (4)',
    '-smp 2,maxcpus=1': 'Invalid CPU topology: maxcpus must be equal to or greater than smp: sockets (1) * dies (1) * '
                        'modules (1) * cores (1) * threads (1) == maxcpus (1) < smp_cpus (2)',
    # board, processor, accelerator
    '-machine foo': 'unsupported machine type',
    '-machine graphics': 'unsupported machine type',
    '-machine pc,foo': "@: Expected '=' after parameter 'foo'",
    '-machine none,foo=1': "Property 'none-machine.foo' not found",
    '-machine pc,usb=x': "Parameter 'usb' expects 'on' or 'off'",
    '-machine pc,accel=foo': 'invalid accelerator foo',
    '-machine pc,accel=tcg -accel tcg': 'The -accel and "-machine accel=" options are incompatible',
    '-accel foo': '@: invalid accelerator foo',
    '-accel tcg,foo=1': "@: Property 'tcg-accel.foo' not found",
    '-cpu foo': "unable to find CPU model 'foo'",
    '-machine memory-backend=m': "Memory backend 'm' not found",
    # start
    '-boot foo': "Boot device 'o' was given twice",
    '-boot order=z': "Invalid boot device 'z'",
    '-boot foo=1': "Parameter 'boot.foo' is unexpected",
    '-boot menu=maybe': "Parameter 'boot.menu' expects 'on' or 'off'",
    '-boot reboot-timeout=-2': 'reboot timeout is invalid,it should be a value between -1 and 65535',
    '-append x': '-append only allowed with -kernel option',
    '-initrd /dev/null': '-initrd only allowed with -kernel option',
    '-fw_cfg name=x': '@: name, plus exactly one of file, string and gen_id, are needed',
    '-option-rom foo=1': "@: Invalid parameter 'foo'",
    '-smbios type=99': "@: Don't know how to build fields for SMBIOS type 99",
    '-smbios type=1,foo=x': "@: Invalid parameter 'foo'",
    '-acpitable sig=a': "@: '-acpitable' requires one of 'data' or 'file'",
    '-uuid 1': '@: failed to parse UUID string: wrong format',
    '-rtc foo=1': "@: Invalid parameter 'foo'",
    '-rtc base=x': 'invalid datetime format',
    '-rtc clock=x': "invalid option value 'x'",
    '-name a,b=c': "@: Invalid parameter 'b'",
    '-seed x': '@: Invalid seed number: x',
    # drives
    '-hda /nope': "@: Could not open '/nope': No such file or directory",
    '/nope': "@: Could not open '/nope': No such file or directory",
    '-drive foo=1': '@: Must specify either driver or file',
    '-drive if=foo': "@: unsupported bus type 'foo'",
    '-drive media=x': "@: 'x' invalid media",
    '-drive if=none,id=1': "@: Parameter 'id' expects an identifier",
    '-drive if=none,index=0,bus=1': '@: index cannot be used with bus and unit',
    '-drive if=sd': '@: machine type does not support if=sd,bus=0,unit=0',
    '-drive if=mtd': '@: machine type does not support if=mtd,bus=0,unit=0',
    '-drive if=scsi': '@: machine type does not support if=scsi,bus=0,unit=0',
    '-hda /dev/null -hda /dev/null': '-hda /dev/null: drive with bus=0, unit=0 (index=0) exists',
    '-drive if=ide,cache=foo,file=/dev/null': '@: invalid cache option',
    '-drive if=none,file=/dev/null,id=a,format=raw,werror=x': "@: 'x' invalid write error action",
    '-drive if=none,id=a -drive if=none,id=a': "-drive if=none,id=a: Duplicate ID 'a' for drive",
    # devices and objects
    '-device foo': "@: 'foo' is not a valid device model name",
    '-device iobase=1': "@: Parameter 'driver' is missing",
    '-device isa-serial,foo=1': "@: Property 'isa-serial.foo' not found",
    '-device isa-serial,iobase=x': "@: Parameter 'iobase' expects integer",
    '-device isa-serial,id=1': "@: Parameter 'id' expects an identifier",
    '-device isa-serial,id=a -device isa-serial,id=a': "-device isa-serial,id=a: Duplicate ID 'a' for device",
    '-device isa-serial,bus=foo': "@: Bus 'foo' not found",
    '-object foo': "@: Parameter 'qom-type' does not accept value 'foo'",
    '-object memory-backend-ram,id=x': "@: Parameter 'size' is missing",
    '-object memory-backend-ram,size=1M': "@: Parameter 'id' is missing",
    '-object memory-backend-ram,foo': "@: Expected '=' after parameter 'foo'",
    # character back ends and monitors
    '-serial foo': "@: 'foo' is not a valid char driver",
    '-serial mon:foo': "@: 'foo' is not a valid char driver",
    '-serial chardev:x': "@: could not connect serial device to character backend 'chardev:x'",
    '-chardev foo': '@: chardev: no id specified',
    '-chardev foo,id=x': "@: 'foo' is not a valid char driver name",
    '-chardev null,id=1': "@: Parameter 'id' expects an identifier",
    '-chardev null,id=a -chardev null,id=a': "-chardev null,id=a: Duplicate ID 'a' for chardev",
    '-mon foo': '@: chardev "foo" not found',
    '-mon chardev=a,mode=x': "@: Parameter 'mode' does not accept value 'x'",
    '-parallel null -parallel null -parallel null -parallel null': '-parallel null: too many parallel ports',
    # display and reactions
    '-display foo': "@: Parameter 'type' does not accept value 'foo'",
    '-display gtk,foo=1': "@: Parameter 'foo' is unexpected",
    '-display none,x': "@: Expected '=' after parameter 'x'",
    '-vga foo': 'unknown vga type: foo',
    '-action foo=1': "@: Invalid parameter 'foo'",
    '-action reboot=x': "@: Parameter 'reboot' does not accept value 'x'",
    '-watchdog-action x': "@: Parameter 'watchdog' does not accept value 'x'",
    '-dfilter x': '@: Bad range specifier',
    '-dfilter 0..x': '@: Invalid number to the right of ..',
    '-pidfile /nope/x': "cannot create PID file: Could not create '/nope/x': No such file or directory",
    # other targets, and what is not there yet
    '-g 3': '@: Option not supported for this target',
    '-semihosting': '@: Option not supported for this target',
    '-prom-env x': '@: Option not supported for this target',
    '-old-param': '@: Option not supported for this target',
    '-spice port=1': '@: not available in this build',
    '-display sdl': '@: not available in this build',
    '-netdev user,id=n': '@: not available in this build',
    '-object iothread,id=x': '@: not available in this build',
    '-vga cirrus': '-vga cirrus: not available in this build',
}


def errors():
    for line, expected in ERRORS.items():
        status, out, err = program.run(*program.BASE, *shlex.split(line))
        first = err.split('\n')[0]
        assert status == 1, f'{line}: status {status}'
        wanted = f'{os.path.basename(program.PROGRAM)}: ' + expected.replace('@', line, 1)
        assert first == wanted, f'{line}: {first!r}, expected {wanted!r}'
        assert 'Sanitizer' not in err and not out, err + out


def firmware_errors():
    for args, expected in ((['-kernel', '/nope'], "qemu: could not open kernel file '/nope': No such file or directory"),
                           (['-bios', 'nope'], "qemu: could not load PC BIOS 'nope'")):
        status, _, err = program.run(*args, *program.BASE)
        assert (status, err.strip()) == (1, expected), err


def second_lines():
    _, _, err = program.run('-m', 'x')
    assert err.split('\n')[1:3] == ['Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-',
                                    'and exabytes, respectively.'], err
    _, _, err = program.run(*program.BASE, '-chardev', 'null,id=1')
    assert err.split('\n')[1] == "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.", err
    _, _, err = program.run('-machine', 'foo')
    assert err.split('\n')[1] == 'Use -machine help to list supported machines', err


def old_booleans_warn():
    name = os.path.basename(program.PROGRAM)
    _, _, err = program.run('-drive', 'nofoo,if=bar')
    assert err.split('\n')[:2] == [f"{name}: -drive nofoo,if=bar: warning: short-form boolean option 'nofoo' deprecated",
                                   'Please use foo=off instead'], err


def version():
    status, out, err = program.run('-version', name='qemu-system-x86_64')
    lines = out.split('\n')
    assert status == 0 and not err
    assert lines[0].startswith('QEMU emulator version 9.1.50 (Vitrine ') and lines[0].endswith(')'), out
    assert lines[1].startswith('Copyright (c) '), out
    assert program.run('--version')[1].startswith('Vitrine ')
    # An error names the program as it was called.
    assert program.run('-foo', name='qemu-system-x86_64')[2] == 'qemu-system-x86_64: -foo: invalid option\n'


def help_lists():
    for args, status, text in (
            (['-help'], 0, 'usage: '), (['-machine', 'help'], 0, 'Supported machines are:\n'),
            (['-machine', 'pc,help'], 0, '-machine options:\n'), (['-cpu', 'help'], 0, 'qemu64'),
            (['-accel', '?'], 0, 'tcg\n'), (['-device', 'help'], 0, 'name "isa-serial", bus ISA'),
            (['-device', 'isa-serial,help'], 0, 'isa-serial options:\n'), (['-object', 'help'], 0, 'memory-backend-ram'),
            (['-object', 'memory-backend-ram,help'], 0, 'share=<bool>'), (['-chardev', 'help'], 0, '  socket\n'),
            (['-display', 'help'], 0, 'none\n'), (['-vga', 'help'], 0, 'standard VGA'), (['-L', 'help'], 0, '/'),
            (['-drive', 'format=help'], 0, 'raw'), (['-boot', 'help'], 0, 'order='), (['-smp', 'help'], 0, 'cpus='),
            (['-d', 'help'], 1, 'guest_errors'), (['-msg', 'help'], 1, 'timestamp='), (['-rtc', 'help'], 1, 'base='),
            (['-global', 'help'], 1, 'driver='), (['-action', 'help'], 1, 'reboot=')):
        got, out, err = program.run(*args)
        assert got == status and text in out, f'{args}: {got} {out} {err}'


def every_documented_option_is_known():
    table = os.path.join(os.path.dirname(__file__), '../../engine/options/options.tsv')
    names = set()
    with open(table, encoding='utf-8') as f:
        for line in f:
            name, sub, values = line.split('\t')[:3]
            if name.startswith('-') and ' ' not in name and not sub:
                names.add((name, not values.startswith('flag')))
    # A missing argument comes out in the first pass, so the last one tells that all before were known.
    args = []
    for name, has_arg in sorted(names):
        args += [name, 'x'] if has_arg else [name]
    _, _, err = program.run(*args, '-name')
    assert err.endswith(': -name: requires an argument\n'), err
    # With nothing wrong in the first pass, -h among them wins.
    assert program.run(*args)[0] == 0


def failed_start_leaves_nothing():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sock')
        status, _, err = program.run(*program.BASE, '-chardev', f'socket,id=a,path={path},server=on,wait=off',
                                     '-pidfile', os.path.join(folder, 'pid'), '-device', 'nope')
        assert status == 1 and 'nope' in err, err
        assert not os.listdir(folder), os.listdir(folder)


sys.exit(program.main([errors, firmware_errors, second_lines, old_booleans_warn, version, help_lists,
                       every_documented_option_is_known, failed_start_leaves_nothing]))
