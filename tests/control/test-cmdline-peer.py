#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated command lines beside the peer: exit statuses agree, and the first error line agrees in form.

test-cmdline-peer.py [LINES [SEED]]. Lines whose answer this build owes ("not available in this build") are counted but
not compared, nor are those of the documented list (docs/compatibility.md, also below)."""
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

PROGRAM = os.environ['VITRINE']
PEER = shutil.which('qemu-system-x86_64')
BASE = ['-S', '-nodefaults', '-display', 'none']
# What differs on purpose; matched against the line. docs/compatibility.md says why.
DIFFERENCES = re.compile(r'-run-with|modules=|-smp 0|-cpu .*-M none|-M none.*-cpu')

VALID = ['-m 64', '-m 128M', '-m size=96M', '-smp 2', '-smp 2,cores=2', '-smp cpus=2,threads=2,cores=1', '-name a',
         '-name guest=a,debug-threads=on', '-uuid 12345678-9abc-def0-1234-56789abcdef0', '-boot c', '-boot order=dc',
         '-boot menu=on,strict=on', '-rtc base=utc', '-rtc base=2006-06-17', '-rtc clock=vm', '-no-reboot',
         '-no-shutdown', '-action panic=none', '-action reboot=shutdown,shutdown=pause', '-machine pc',
         '-machine accel=tcg', '-M pc', '-M isapc', '-M none', '-accel tcg', '-cpu qemu64', '-cpu max', '-cpu qemu64,+avx',
         '-device isa-serial', '-device isa-debug-exit', '-device isa-serial,id=s0,irq=5,index=1', '-chardev null,id=c0',
         '-chardev ringbuf,id=c1', '-serial null', '-parallel null', '-global isa-serial.irq=4', '-vga std', '-vga none',
         '-fw_cfg opt/a,string=b', '-smbios type=1,product=x', '-object memory-backend-ram,id=m0,size=1M', '-k de',
         '-msg timestamp=off', '-sandbox on', '-nodefaults', '-no-user-config', '-drive if=none,id=d0',
         '-object rng-builtin,id=r0', '-overcommit cpu-pm=off',
         '-device isa-serial,chardev=c0', '-compat deprecated-input=accept']
INVALID = ['-m x', '-m 1,foo=1', '-m 64,slots=1', '-m 64M,maxmem=32M', '-smp 0', '-smp x', '-smp 2,cores=3', '-smp 2,maxcpus=1',
           '-smp foo=1', '-name a,b=c', '-uuid x', '-boot x', '-boot foo=1', '-boot menu=maybe', '-boot once=cc',
           '-rtc foo=1', '-rtc base=x', '-rtc clock=x', '-action foo=1', '-action panic=x', '-machine foo', '-accel foo',
           '-accel tcg,foo=1', '-cpu foo', '-device foo', '-device isa-serial,foo=1', '-device isa-serial,irq=x',
           '-device isa-serial,id=1', '-device isa-serial,bus=x', '-device id=x', '-chardev foo', '-chardev foo,id=c9',
           '-chardev null,id=1', '-serial foo', '-vga foo', '-fw_cfg name=x', '-fw_cfg foo=1',
           '-smbios type=99', '-smbios type=1,foo=1', '-object foo', '-object memory-backend-ram,id=m9',
           '-object memory-backend-ram,size=1M', '-drive foo=1', '-drive if=foo', '-drive if=none,id=1',
           '-drive if=none,file=/nope', '-hda /nope', '-g 1', '-semihosting', '-prom-env x', '-foo',
           '---', '-m', '-drive media=x', '-mon foo', '-mon mode=x', '-sandbox x', '-sandbox on,foo=1',
           '-sandbox on,spawn=x', '-msg foo=1', '-msg timestamp=x', '-overcommit foo=1', '-compat foo=1',
           '-compat deprecated-input=x', '-set foo', '-set device.x.y=1', '-set machine.x.y=1', '-set foo.x.y=1',
           '-readconfig /nope/x', '-add-fd fd=1,set=1', '-add-fd set=1', '-add-fd fd=99,set=1', '-incoming foo',
           '-netdev foo,id=n', '-netdev user', '-netdev user,id=n,foo=1', '-netdev user,id=n,ipv4=x', '-nic foo', '-net foo',
           '-netdev hubport,id=h', '-netdev hubport,id=h,hubid=x', '-blockdev foo', '-blockdev driver=foo',
           '-blockdev driver=null-co', '-blockdev driver=null-co,node-name=1x', '-blockdev driver=file,node-name=n',
           '-blockdev driver=file,filename=/dev/zero,node-name=n,foo=1', '-audiodev foo,id=a', '-audiodev none',
           '-audiodev none,id=a,foo=1', '-audiodev none,id=a,in.format=q', '-audiodev none,id=a,timer-period=x', '-display foo',
           '-display none,foo=1', '-display none,gl=x', '-display sdl,foo=1', '-tpmdev foo', '-tpmdev passthrough',
           '-tpmdev passthrough,id=x,foo=1', '-fsdev foo', '-fsdev foo,id=f', '-fsdev local,id=f', '-virtfs local',
           '-virtfs foo,mount_tag=x', '-iscsi foo=1', '-vnc foo', '-vnc :0,foo=1', '-vnc :0,share=x', '-spice foo=1',
           '-spice port=x', '-numa foo', '-numa node,foo=1', '-numa node,nodeid=x', '-numa dist,src=0', '-icount foo',
           '-icount align=on', '-icount shift=1,foo=1', '-runas nobodyx', '-xen-attach', '-append x', '-initrd /dev/zero',
           '-object secret,id=s', '-object rng-random,id=r,foo=1', '-global foo', '-acpitable sig=a', '-dfilter x',
           "-device '{\"driver\":\"foo\"}'", "-netdev '{\"type\":\"foo\",\"id\":\"n\"}'", '-option-rom foo=1', '-pidfile /nope/x']


def run(program, args):
    with tempfile.TemporaryDirectory() as folder:
        qmp = os.path.join(folder, 'in')
        with open(qmp, 'w', encoding='ascii') as f:
            f.write('{"execute": "qmp_capabilities"}\n{"execute": "quit"}\n')
        with open(qmp, encoding='ascii') as f:
            try:
                p = subprocess.run([program, *BASE, *args, '-qmp', 'stdio'], stdin=f, capture_output=True, text=True,
                                   timeout=20, check=False, errors='replace')
            except subprocess.TimeoutExpired:
                return -1, 'timeout'
    lines = [line for line in p.stderr.split('\n') if line and 'warning' not in line.lower() and not line.startswith(
        (' ', 'Please use'))]
    return p.returncode, lines[0] if lines else ''


def form(line):
    """The sentence without names: of the program, of what was typed, of types and values."""
    line = re.sub(r'^[^ ]*(vitrine|qemu-system-x86_64):', 'PROG:', line)
    line = line.replace(' * modules (1)', '')
    line = re.sub(r'pc-i440fx-[0-9.]+|none-machine', 'MACHINE', line)
    line = re.sub(r"'[^']*'|\"[^\"]*\"|\d+", 'X', line)
    return line


def generate(rand):
    picks = rand.choices(VALID, k=rand.randrange(0, 5))
    if rand.random() < 0.6:
        picks.append(rand.choice(INVALID))
    if rand.random() < 0.1 and picks:
        picks.append(rand.choice(picks))
    rand.shuffle(picks)
    return ' '.join(picks)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    if not PEER:
        print('1..0 # SKIP the peer is not installed')
        return 0
    lines = INVALID + VALID if count >= 250 else rand.sample(INVALID + VALID, 60)
    lines += [generate(rand) for _ in range(count - len(lines))]
    owed = differ = forms = listed = 0
    for line in lines:
        args = shlex.split(line)
        status, first = run(PROGRAM, args)
        if 'not available in this build' in first:
            owed += 1
            continue
        if DIFFERENCES.search(line):
            listed += 1
            continue
        peer_status, peer_first = run(PEER, args)
        if status != peer_status:
            differ += 1
            print(f'# {line}: status {status}, the peer {peer_status}\n#   {first}\n#   {peer_first}')
        elif status and form(first) != form(peer_first):
            forms += 1
            print(f'# {line}: {first}\n#   the peer: {peer_first}')
    print(f'# {len(lines)} lines: {owed} not available here, {listed} of the documented list, {differ} statuses and '
          f'{forms} sentences differ')
    print('1..2')
    print(f"{'not ok' if differ else 'ok'} 1 - exit statuses")
    print(f"{'not ok' if forms > len(lines) // 20 else 'ok'} 2 - sentences")
    return 1 if differ else 0


sys.exit(main())
