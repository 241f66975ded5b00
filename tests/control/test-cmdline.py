#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files, machine files, and what the process does with itself."""
import os
import re
import sys
import tempfile
import time

import program
from program import Machine


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w', encoding='utf-8', newline='') as f:
        f.write(text)
    return path


def refused(*args):
    status, _, err = program.run(*program.BASE, *args)
    assert status == 1, (args, status, err)
    return err.split('\n')[0].split(':', 1)[1]


def config_files():
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, 'a', '# comment\n[name]\n  guest = "one, two"\n\n[device "d"]\n  driver = "isa-serial"\n')
        m = Machine('-machine', 'pc', '-readconfig', path, '-set', 'device.d.irq=5')
        m.negotiate()
        assert m.command('query-name')['return'] == {'name': 'one, two'}
        assert m.command('qom-get', path='/machine/peripheral/d', property='irq')['return'] == 5
        m.quit()
        for text, message in (('[foo]\n', "1: There is no option group 'foo'"), ('x = "1"\n', '1: no group defined'),
                              ('[name]\n\n guest="x"\n', '3: parse error'), ('[name]\n guest = "x\n', '2: parse error'),
                              ('[name]\n  foo = "1"\n', "2: Invalid parameter 'foo'"), ('[name\n', '1: parse error'),
                              ('[memory]\n  size = "x"\n', "2: Parameter 'size' expects a non-negative number below 2^64"),
                              ('[name]\n' + 'x' * 1024, '2: parse error')):
            path = write(folder, 'b', text)
            assert refused('-readconfig', path) == f'{path}:{message}', (text, refused('-readconfig', path))
    assert refused('-readconfig', '/nope/x') == " -readconfig /nope/x: Could not open '/nope/x': No such file or directory"


def edits_with_set():
    assert refused('-set', 'x') == ' -set x: can\'t parse: "x"'
    assert refused('-set', 'device.x.y=1') == ' -set device.x.y=1: there is no device "x" defined'
    assert refused('-set', 'machine.x.y=1') == ' -set machine.x.y=1: -set is not supported with machine'
    assert refused('-set', 'foo.x.y=1') == " -set foo.x.y=1: There is no option group 'foo'"
    assert refused('-set', 'device.a.irq=1', '-device', 'isa-serial,id=a').endswith('there is no device "a" defined')


def machine_files():
    with tempfile.TemporaryDirectory() as folder:
        write(folder, 'text', 'contents')
        path = write(folder, 'm.conf', '#!/usr/bin/env -S vitrine --machine\r\n#: title = x\n\n-machine pc\n-m  64M\n'
                                       '-name literal "quotes" \\\nand,, more\n-fw_cfg opt/x,file=text\n')
        m = Machine('--machine', path)
        m.negotiate()
        assert m.command('query-name')['return']['name'] == 'literal "quotes" and, more'
        assert m.command('query-memory-size-summary')['return']['base-memory'] == 64 << 20
        m.quit()
        for text, message in (('-foo\n', '1: -foo: invalid option'), ('\n-m\n', '2: -m: requires an argument'),
                              ('-S x\n', '1: -S: takes no argument'),
                              ('--machine ./m.conf\n', '1: --machine: a machine file names no other')):
            path = write(folder, 'n.conf', text)
            assert refused('--machine', path) == f' {path}:{message}', refused('--machine', path)
    assert refused('--machine', 'foo').startswith(' unsupported machine type')
    assert refused('--machine', './none') == " Could not open './none': No such file or directory"


def confinement():
    if os.geteuid() != 0:
        return
    m = Machine('-sandbox', 'on,spawn=deny,elevateprivileges=deny,resourcecontrol=deny', '-smp', '2')
    tasks = f'/proc/{m.process.pid}/task'
    for tid in os.listdir(tasks):
        with open(f'{tasks}/{tid}/status', encoding='utf-8') as f:
            assert re.search(r'Seccomp:\s+2', f.read()), tid
    m.negotiate()
    m.command('cont')
    until = time.monotonic() + 20
    while True:
        # A thread that runs the guest has one filter more than the rest.
        counts = []
        for tid in os.listdir(tasks):
            with open(f'{tasks}/{tid}/status', encoding='utf-8') as f:
                counts.append(int(re.search(r'Seccomp_filters:\s+(\d+)', f.read()).group(1)))
        if counts.count(max(counts)) == 2 and max(counts) == min(counts) + 1:
            break
        assert time.monotonic() < until, counts
        time.sleep(0.05)
    m.quit()
    with tempfile.TemporaryDirectory() as folder:
        m = Machine('-run-with', f'user=65534:65534,chroot={folder}', qmp=True)
        with open(f'/proc/{m.process.pid}/status', encoding='utf-8') as f:
            status = f.read()
        assert re.search(r'Uid:\s+65534\s+65534', status) and re.search(r'Groups:\s+65534\s*\n', status), status
        m.negotiate()
        m.command('quit')
        m.process.communicate(timeout=30)
    assert refused('-runas', 'no-such-user') == \
        ' -runas no-such-user: User "no-such-user" doesn\'t exist (and is not <uid>:<gid>)'


def handed_over():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'disk')
        with open(path, 'wb') as f:
            f.truncate(1 << 20)
        fd = os.open(path, os.O_RDWR)
        os.set_inheritable(fd, True)
        p = program.subprocess.run(
            [program.PROGRAM, *program.BASE, '-S', '-add-fd', f'fd={fd},set=7', '-drive',
             'file=/dev/fdset/7,format=raw', '-qmp', 'stdio'], pass_fds=(fd,), text=True, capture_output=True, check=False,
            input='{"execute":"qmp_capabilities"}{"execute":"human-monitor-command","arguments":'
                  '{"command-line":"info block"}}{"execute":"quit"}', timeout=60)
        os.close(fd)
        assert p.returncode == 0 and '/dev/fdset/7' in p.stdout, p.stdout + p.stderr
    assert refused('-add-fd', 'fd=99,set=1') == ' -add-fd fd=99,set=1: fd is not valid or already in use'
    assert refused('-add-fd', 'fd=1,set=1') == ' -add-fd fd=1,set=1: fd cannot be a standard I/O stream'


def messages():
    _, _, err = program.run('-msg', 'timestamp=on,guest-name=on', '-name', 'gn', '-display', 'none', '-device', 'nope')
    assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z gn [^ ]+: -device nope: ', err), err


sys.exit(program.main([config_files, edits_with_set, machine_files, confinement, handed_over, messages]))
