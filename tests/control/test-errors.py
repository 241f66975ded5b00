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
    '--foo': '--foo: invalid option',
    '-Name x': '-Name: invalid option',
    # lists: newer ones want a value, none takes what it does not know; JSON
    '-machine pc,hpet': "@: Expected '=' after parameter 'hpet'",
    '-overcommit foo=1': "@: Invalid parameter 'foo'",
    '-run-with foo=1': "@: Invalid parameter 'foo'",
    '-msg foo=1': "@: Invalid parameter 'foo'",
    '-object secret,id=s,data=x,foo=1': "@: Invalid parameter 'foo'",
    '-M none -fw_cfg opt/a,string=b': '-fw_cfg opt/a,string=b: fw_cfg device not available',
    '-compat foo=1': "@: Parameter 'foo' is unexpected",
    '-compat deprecated-input=x': "@: Parameter 'deprecated-input' does not accept value 'x'",
    '-device \'{"driver":\'': '-device {"driver":: JSON parse error, unexpected end of data',
    '-machine \'{"type":"pc"}\'': 'unsupported machine type',
    # booleans: lower case words only
    '-machine pc,hpet=1': "Parameter 'hpet' expects 'on' or 'off'",
    '-machine pc,hpet=ON': "Parameter 'hpet' expects 'on' or 'off'",
    '-machine pc,acpi=maybe': "Parameter 'acpi' does not accept value 'maybe'",
    '-overcommit mem-lock=1': "@: Parameter 'mem-lock' expects 'on' or 'off'",
    '-msg timestamp=maybe': "@: Parameter 'timestamp' expects 'on' or 'off'",
    '-drive if=none,id=a,file=/dev/null,readonly=maybe': "@: Parameter 'read-only' expects 'on' or 'off'",
    # sizes and numbers
    '-m foo': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m 10Q': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m -1': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m 1.5': "@: Parameter 'size' expects a non-negative number below 2^64",
    '-m 18446744073709551616': "@: Value '18446744073709551616' is out of range for parameter 'size'",
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
    '-acpitable file=/nope': "@: can't open file /nope: No such file or directory",
    '-smbios file=/nope': '@: Cannot read SMBIOS file /nope',
    '-fw_cfg name=opt/a,gen_id=x': "@: Cannot find object ID 'x'",
    '-option-rom romfile=/nope': "Could not open option rom '/nope'",
    '-icount align=on': '@: Please specify shift option when using align',
    '-icount shift=x': '@: icount: Invalid shift value',
    '-icount shift=auto,sleep=off': '@: shift=auto and sleep=off are incompatible',
    '-icount shift=1,align=on,sleep=off': '@: align=on and sleep=off are incompatible',
    '-numa foo': "@: Parameter 'type' does not accept value 'foo'",
    '-numa node,nodeid=x': "@: Parameter 'nodeid' expects a uint64 value",
    '-numa hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=foo':
        "@: Parameter 'data-type' does not accept value 'foo'",
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
    '/dev/null /dev/null': '/dev/null: drive with bus=0, unit=0 (index=0) exists',
    '-hda /dev/null /dev/null': '/dev/null: drive with bus=0, unit=0 (index=0) exists',
    '-cdrom /dev/null -hdc /dev/null': '-hdc /dev/null: drive with bus=1, unit=0 (index=2) exists',
    '-drive if=ide,index=9': '@: machine type does not support if=ide,bus=4,unit=1',
    '-drive if=none,id=a,file=/dev/null,format=foo': "@: Unknown driver 'foo'",
    '-drive if=none,id=a,bps=1,bps_rd=1':
        '@: bps/iops/max total values and read/write values cannot be used at the same time',
    # nodes
    '-blockdev driver=null-co': "@: 'node-name' must be specified for the root node",
    '-blockdev driver=foo,node-name=a': "@: Parameter 'driver' does not accept value 'foo'",
    '-blockdev driver=raw,node-name=a,file=b': "@: Cannot find device='b' nor node-name='b'",
    '-blockdev driver=raw,node-name=a': "@: Parameter 'file' is missing",
    '-blockdev driver=null-co,node-name=1a': "@: Invalid node-name: '1a'",
    '-blockdev driver=null-co,node-name=a,foo=1': "@: Parameter 'foo' is unexpected",
    '-blockdev driver=null-co,node-name=a,read-only': "@: Expected '=' after parameter 'read-only'",
    '-blockdev driver=null-co,node-name=a,size=x': "@: Parameter 'size' expects integer",
    '-blockdev driver=null-co,node-name=a -blockdev driver=null-co,node-name=a':
        "-blockdev driver=null-co,node-name=a: Duplicate nodes with node-name='a'",
    '-blockdev driver=null-co,node-name=a -drive if=none,id=a':
        "-drive if=none,id=a: Device name 'a' conflicts with an existing node name",
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
    '-device isa-serial,chardev=x': "@: Property 'isa-serial.chardev' can't find value 'x'",
    '-device ide-hd,drive=x': "@: Property 'ide-hd.drive' can't find value 'x'",
    '-device loader,data=1': '@: Both data and data-len must be specified',
    # items of others: -set after the item only, and not for what is merged
    '-set device.x.irq=1 -device isa-serial,id=x': '-set device.x.irq=1: there is no device "x" defined',
    '-set foo.bar.baz=1': "@: There is no option group 'foo'",
    '-set foo': '@: can\'t parse: "foo"',
    '-set machine.x.y=1': '@: -set is not supported with machine',
    '-object secret,id=a,data=x -object secret,id=a,data=y':
        "-object secret,id=a,data=y: Duplicate ID 'a' for object",
    '-object memory-backend-file,id=a,size=1M': "@: Parameter 'mem-path' is missing",
    '-object rng-random,id=a,filename=/nope': "Could not open '/nope': No such file or directory",
    '-add-fd fd=1,set=1': '@: fd cannot be a standard I/O stream',
    '-add-fd fd=9,set=1': '@: fd is not valid or already in use',
    '-add-fd set=1': '@: fd option is required and must be non-negative',
    '-object foo': "@: Parameter 'qom-type' does not accept value 'foo'",
    '-object memory-backend-ram,id=x': "@: Parameter 'size' is missing",
    '-object memory-backend-ram,size=1M': "@: Parameter 'id' is missing",
    '-object memory-backend-ram,foo': "@: Expected '=' after parameter 'foo'",
    # character back ends and monitors
    '-serial foo': "@: 'foo' is not a valid char driver",
    '-serial mon:foo': "@: 'foo' is not a valid char driver",
    '-serial chardev:x': "@: could not connect serial device to character backend 'chardev:x'",
    '-chardev foo': '@: chardev: no id specified',
    '-chardev file,id=a': '@: chardev: file: no filename given',
    '-chardev ringbuf,id=a,size=3': '@: size of ringbuf chardev must be power of two',
    '-chardev pipe,id=a,path=/nope': "@: Could not open '/nope': No such file or directory",
    '-chardev socket,id=a,path=/nope/x,server=on': '@: Failed to bind socket to /nope/x: No such file or directory',
    '-serial stdio -monitor stdio': '-serial stdio: cannot use stdio by multiple character devices',
    '-serial null,x': "@: 'null,x' is not a valid char driver",
    '-gdb mon:stdio': "@: 'mon:stdio': a monitor cannot share this device",
    '-qmp foo': "@: 'foo' is not a valid char driver",
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
    '-runas nobodyx': '@: User "nobodyx" doesn\'t exist (and is not <uid>:<gid>)',
    '-chroot /nope': 'chroot failed',
    '-k xx': "@: could not read keymap file: 'xx'",
    '-D /nope/x': 'Error opening logfile /nope/x: No such file or directory',
    '-sandbox foo': "@: Parameter 'enable' expects 'on' or 'off'",
    '-sandbox on,spawn=x': '@: invalid argument for spawn',
    '-echr x': '@: Bad argument to echr',
    '-vnc foo': '@: no vnc port specified',
    '-incoming defer -loadvm x': "'incoming' and 'loadvm' options are mutually exclusive",
    '-usbdevice foo': "@: could not add USB device 'foo'",
    # kinds of back ends; "help" is one where there is no list
    '-netdev user': "@: Parameter 'id' is missing",
    '-netdev foo,id=a': "@: Parameter 'type' does not accept value 'foo'",
    '-nic help': "@: Parameter 'type' does not accept value 'help'",
    '-net help': "@: Parameter 'type' does not accept value 'help'",
    '-blockdev help': '@: Help is not available for this option',
    '-drive help': '@: Must specify either driver or file',
    '-fsdev foo,id=a': '@: fsdev: fsdriver foo not found',
    '-fsdev help': '@: fsdev: No id specified',
    '-fsdev local,id=a,path=/tmp': '@: security_model property not set',
    '-virtfs local,path=/tmp,security_model=none': '@: Usage: -virtfs fsdriver,mount_tag=tag',
    '-tpmdev foo,id=a': "@: Parameter 'type' expects a TPM backend type",
    '-audiodev foo,id=a': "@: Parameter 'driver' does not accept value 'foo'",
    '-audiodev none': "@: Parameter 'id' is missing",
    '-iscsi foo=1': "@: Invalid parameter 'foo'",
    '-spice foo=1': "@: Invalid parameter 'foo'",
    # files of groups
    '-readconfig /nope': "@: Could not open '/nope': No such file or directory",
    '-watchdog-action x': "@: Parameter 'watchdog' does not accept value 'x'",
    '-dfilter x': '@: Bad range specifier',
    '-dfilter 0..x': '@: Invalid number to the right of ..',
    '-pidfile /nope/x': "cannot create PID file: Could not create '/nope/x': No such file or directory",
    # other targets, and what is not there yet
    '-g 3': '@: Option not supported for this target',
    '-semihosting': '@: Option not supported for this target',
    '-prom-env x': '@: Option not supported for this target',
    '-old-param': '@: Option not supported for this target',
    '-spice port=70000': 'spice port is out of range',
    '-object input-barrier,id=x,name=y': '@: not available in this build',
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


def groups_of_files():
    name = os.path.basename(program.PROGRAM)
    for text, expected in (('x\n', '{}:1: no group defined'), ('[foo]\n', "{}:1: There is no option group 'foo'"),
                           ('[drive]\n# one\n key\n', '{}:3: parse error'),
                           ('[machine]\n  foo = "1"\n', "Property 'pc-i440fx-9.1-machine.foo' not found")):
        with tempfile.NamedTemporaryFile('w', suffix='.cfg') as f:
            f.write(text)
            f.flush()
            status, _, err = program.run(*program.BASE, '-readconfig', f.name)
            wanted = name + (':' if '{}' in expected else ': ') + expected.format(f.name)
            assert (status, err.split('\n')[0]) == (1, wanted), err


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
            (['-drive', 'format=help'], 0, ' qcow2 '), (['-tpmdev', 'help'], 1, 'Supported TPM types'),
            (['-audiodev', 'help'], 0, 'none'), (['-audio', 'model=help'], 0, 'sound card names'),
            (['-nic', 'model=help'], 0, 'Supported NIC models:\ne1000\n'),
            (['-net', 'nic,model=?'], 0, '\ni82559c\n'), (['-boot', 'help'], 0, 'order='), (['-smp', 'help'], 0, 'cpus='),
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


sys.exit(program.main([errors, firmware_errors, groups_of_files, second_lines, old_booleans_warn, version, help_lists,
                       every_documented_option_is_known, failed_start_leaves_nothing]))
