# SPDX-License-Identifier: GPL-3.0-or-later
"""A real gdb, and packets of our own making, at the door that -gdb opens."""
import contextlib
import pathlib
import re
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'system'))
import vm  # noqa: E402


def guest():
    vm.need('gcc')
    kernel = vm.scratch() / 'guest'
    if not kernel.exists():
        vm.tool('gcc', '-g', '-O1', '-std=gnu17', '-ffreestanding', '-fno-pic', '-no-pie', '-mno-red-zone',
                '-mgeneral-regs-only', '-fno-stack-protector', '-fcf-protection=none',
                '-fno-asynchronous-unwind-tables', '-nostdlib', '-static',
                '-Wl,--build-id=none,--no-warn-rwx-segments', f'-Wl,-T,{HERE.parent}/system/guest/kernel.ld', '-o',
                kernel, HERE / 'guest.c')
    return kernel


@contextlib.contextmanager
def machine(*options, run=False):
    path = vm.scratch() / 'gdb'
    with vm.Machine('-m', '64M', '-smp', '2', '-kernel', guest(), '-gdb', f'unix:{path}', *options, run=run,
                    timeout=180) as m:
        m.gdb_path = path
        yield m
        m.quit()


def gdb(m, *commands, seconds=90):
    """What gdb prints; each command's own output is in the list returned."""
    vm.need('gdb')
    script = vm.scratch() / 'script.gdb'
    lines = ['set pagination off', 'set confirm off', 'set architecture i386:x86-64', f'target remote {m.gdb_path}']
    for number, command in enumerate(commands):
        lines += [f'echo \\n<{number}>\\n', command]
    script.write_text('\n'.join(lines + [f'echo \\n<{len(commands)}>\\n', '']))
    done = subprocess.run(['gdb', '-q', '-nx', '-batch', '-x', str(script), str(guest())], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True,
                          preexec_fn=vm.die_with_parent)
    outputs = re.split(r'\n?<\d+>\n', done.stdout)
    assert len(outputs) == len(commands) + 2, done.stdout
    return outputs[1:-1]


def has(text, *patterns):
    for pattern in patterns:
        assert re.search(pattern, text), f'{pattern!r} is not in:\n{text}'


class Peer:
    """Speaks the protocol byte by byte."""

    def __init__(self, m):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(m.gdb_path))
        self.socket.settimeout(20)
        self.data = b''

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def byte(self):
        if not self.data:
            self.data = self.socket.recv(65536)
            if not self.data:
                raise ConnectionError('closed')
        first, self.data = self.data[:1], self.data[1:]
        return first

    def send(self, text):
        data = text.encode() if isinstance(text, str) else text
        self.raw(b'$' + data + b'#%02x' % (sum(data) & 255))

    def receive(self):
        """A reply; acknowledgements before it are skipped."""
        while self.byte() != b'$':
            pass
        data = b''
        while (byte := self.byte()) != b'#':
            data += byte
        assert int(self.byte() + self.byte(), 16) == sum(data) & 255, data
        return re.sub(rb'}(.)', lambda m: bytes([m[1][0] ^ 32]), data, flags=re.S).decode()

    def __call__(self, text):
        self.send(text)
        return self.receive()


def wait_running(m):
    vm.wait_for('a running machine', lambda: m.qmp('query-status')['status'] == 'running')


@vm.case
def breakpoints():
    with machine() as m:
        assert m.qmp('query-status')['status'] == 'prelaunch'
        out = gdb(m, 'hbreak first', 'continue', 'tbreak tick', 'continue', 'print counter', 'stepi', 'print $pc',
                  'next', 'delete', 'break other_tick', 'continue', 'info threads', 'backtrace', 'finish', 'delete',
                  'break tick if counter % 100 == 50', 'continue', 'print counter % 100', 'delete', 'break loaded', 'continue',
                  'x/i $pc')
        has(out[1], r'Thread 1 hit Breakpoint 1, first \(\)')
        has(out[3], r'Temporary breakpoint 2, tick \(step=')
        has(out[4], r'= 0$')
        has(out[6], r'<tick\+\d+>')
        has(out[10], r'Thread 2 hit Breakpoint 3, other_tick')
        has(out[11], r'\* 2 .*CPU#1', r'  1 .*CPU#0')
        has(out[12], r'#1 .* in second \(\)')
        has(out[13], r'second \(\)')
        has(out[17], r'= 50$')
        has(out[20], r'vectors \(\)')
        has(out[21], r'nop')
        m.wait('ready')
        # gdb has gone and taken its breakpoints along: the machine runs.
        assert m.qmp('query-status')['status'] == 'running'
        m.qmp.wait_event('STOP')


@vm.case
def watchpoints():
    with machine() as m:
        out = gdb(m, 'hbreak first', 'continue', 'delete', 'watch watched', 'continue', 'continue', 'print watched',
                  'delete', 'hbreak other_tick', 'continue', 'delete', 'thread 2', 'set var go = 1',
                  'awatch other_watched', 'continue', 'print other_watched != 0', 'delete', 'set var go = 1',
                  'rwatch go', 'continue', 'print $_thread')
        has(out[4], r'Hardware watchpoint 2: watched', r'Old value = 0\nNew value = 64\n', r'touch \(')
        has(out[5], r'Old value = 64\nNew value = 128\n')
        has(out[6], r'= 128$')
        has(out[14], r'Hardware access \(read/write\) watchpoint', r'New value = ', r'second \(\)')
        has(out[15], r'= 1$')
        has(out[19], r'Hardware read watchpoint \d+: go', r'Value = ')
        has(out[20], r'= 2$')


@vm.case
def registers():
    with machine('-cpu', 'max') as m:
        out = gdb(m, 'hbreak loaded', 'continue', 'print $xmm1.v4_int32', 'print $xmm2.v4_int32', 'print/x $gs_base',
                  'print/x $k_gs_base', 'print $cr0', 'print $efer', 'print/x $cr3', 'print/x $cs',
                  'set var $xmm1.v4_int32[2] = 77', 'print $xmm1.v4_int32', 'set var $rax = 0x123456789a',
                  'print/x $rax', 'print $ymm1.v8_int32', 'print $eflags', 'set var $st0 = 1.5', 'print $st0',
                  'print $mxcsr', 'set var $k_gs_base = 0x7000', 'monitor info registers', 'print/x $k_gs_base')
        has(out[2], r'\{1, 2, 3, 4\}')
        has(out[3], r'\{2, 4, 6, 8\}')
        has(out[4], r'= 0x123456789000$')
        has(out[5], r'= 0xfff000$')
        has(out[6], r'PE MP ET NE PG')
        has(out[7], r'SCE LME LMA')
        has(out[8], r'= 0x10\w000$')
        has(out[9], r'= 0x8$')
        has(out[11], r'\{1, 2, 77, 4\}')
        has(out[13], r'= 0x123456789a$')
        has(out[14], r'\{1, 2, 77, 4, 0, 0, 0, 0\}')
        has(out[17], r'= 1.5$')
        has(out[18], r'IM DM ZM OM UM PM')
        has(out[21], '= 0x7000$')
        has(out[20], 'RAX=000000123456789a', 'XMM01=000000040000004d|YMM01=.* 000000040000004d', 'CR0=80000033')


@vm.case
def memory():
    with machine() as m:
        out = gdb(m, 'hbreak first', 'continue', 'print/x magic', 'x/gx 0x200000000 + (long) &magic',
                  'set var magic = 0xabcdef', 'x/gx 0x200000000 + (long) &magic',
                  'maintenance packet qqemu.PhyMemMode', 'maintenance packet Qqemu.PhyMemMode:1',
                  'maintenance packet qqemu.PhyMemMode', 'x/gx &magic', 'x/4bx 0xfffffff0',
                  'python\ntry: gdb.selected_inferior ().read_memory (0x200100000, 8)\n'
                  'except gdb.MemoryError as error: print ("refused", error)\nend',
                  'maintenance packet Qqemu.PhyMemMode:0', 'monitor info status', 'monitor nonsense',
                  'set var *(int *) 0xf0000 = 5')
        has(out[2], r'= 0x1122334455667788$')
        has(out[3], '0x1122334455667788')
        has(out[5], '0x0*abcdef')
        has(out[6], 'received: "0"')
        has(out[7], 'received: "OK"')
        has(out[8], 'received: "1"')
        has(out[9], '0x0*abcdef')
        has(out[10], r'0xea')
        has(out[11], 'refused')
        has(out[13], r'paused \(debug\)')
        has(out[14], r"unknown command: 'nonsense'")


@vm.case
def steps():
    """Time stands still for a step, unless told otherwise; another processor can stay where it is."""
    with machine() as m:
        out = gdb(m, 'hbreak other_tick', 'continue', 'delete', 'set scheduler-locking on', 'thread 1',
                  'print $at = other_counter', 'stepi 200', 'print other_counter == $at',
                  'maintenance packet qqemu.sstepbits', 'maintenance packet qqemu.sstep',
                  'maintenance packet Qqemu.sstep=1', 'maintenance packet qqemu.sstep', 'stepi 20',
                  'print other_counter == $at', 'set scheduler-locking off', 'stepi', 'break tick', 'continue', 'step',
                  'kill')
        has(out[7], r'= 1$')
        has(out[8], 'ENABLE=1,NOIRQ=2,NOTIMER=4')
        has(out[9], '"0x7"')
        has(out[11], '"0x1"')
        has(out[13], r'= 1$')
        has(out[17], r'Thread 1 hit Breakpoint \d+, tick')
        assert m.wait_exit() == 0
        m.quit = lambda: None


@vm.case
def states():
    with machine(run=True) as m:
        m.wait('ready')
        assert m.qmp('query-status')['status'] == 'running'
        peer = Peer(m)
        m.qmp.wait_event('STOP')
        assert m.qmp('query-status')['status'] == 'paused'
        assert 'PacketSize=' in peer('qSupported:multiprocess+;swbreak+;hwbreak+')
        assert re.fullmatch(r'T02thread:p01.01;', peer('?'))
        peer.send('vCont;c')
        wait_running(m)
        peer.raw(b'\x03')
        assert re.fullmatch(r'T02thread:p01.0[12];', peer.receive())
        symbol = int(vm.tool('nm', guest()).decode().split(' T tick\n')[0].split('\n')[-1], 16)
        assert peer(f'Z0,{symbol:x},1') == 'OK'
        assert peer('vCont;c') == 'T05thread:p01.01;swbreak:;'
        assert m.qmp('query-status')['status'] == 'debug'
        # Still there, nothing was executed.
        assert peer('c') == 'T05thread:p01.01;swbreak:;'
        assert peer('vCont;s:p1.1') == 'T05thread:p01.01;'
        assert peer(f'z0,{symbol:x},1') == 'OK'
        peer.send('vCont;c')
        wait_running(m)
        m.qmp('stop')
        assert peer.receive().startswith('T02')
        peer.send('c')
        wait_running(m)
        m.hmp('system_reset')
        peer.raw(b'\x03')
        assert peer.receive().startswith('T02')
        assert peer('D;1') == 'OK'
        assert m.qmp('query-status')['status'] == 'running'
        peer.close()
        peer = Peer(m)
        assert peer('?').startswith('T02')
        peer.close()
        assert m.qmp('query-status')['status'] == 'paused'
        m.qmp('cont')


@vm.case
def packets():
    """Broken, long and odd ones."""
    with machine() as m:
        peer = Peer(m)
        peer.raw(b'noise$?#00')
        assert peer.byte() == b'-'
        peer.raw(b'$?#3f')
        assert peer.byte() == b'+'
        first = peer.receive()
        peer.raw(b'-')
        assert peer.receive() == first
        assert peer('x' * 20000) == 'E22'
        assert peer('vMustReplyEmpty') == ''
        assert peer('QStartNoAckMode') == 'OK'
        assert peer('qC') == 'QC01'
        assert peer('qfThreadInfo') == 'm01,02' and peer('qsThreadInfo') == 'l'
        assert peer('T2') == 'OK' and peer('T3') == 'E22' and peer('Hg2') == 'OK' and peer('qC') == 'QC02'
        assert bytes.fromhex(peer('qThreadExtraInfo,2')).startswith(b'CPU#1')
        assert len(peer('g')) > 1000
        assert peer('vCont?') == 'vCont;c;C;s;S'
        assert peer('qAttached') == '1'
        xml, offset = '', 0
        while True:
            part = peer(f'qXfer:features:read:target.xml:{offset:x},200')
            xml += part[1:]
            offset = len(xml)
            if part[0] == 'l':
                break
        assert xml.startswith('<?xml') and xml.endswith('</target>') and 'name="xmm15"' in xml
        assert peer('qXfer:features:read:other.xml:0,10') == 'E00'
        assert peer(b'X8000,4:a}\x03}]b') == 'OK'
        assert peer('m8000,4') == '61237d62'
        assert peer('M8000,2:1234') == 'OK' and peer('m8000,2') == '1234'
        for odd in ('m', 'm1', 'm1,', 'm11111111111111111,1', 'M1,2:12', 'X1,5:a', 'Z', 'Z9,1,1', 'Z0,1', 'Z2,1,0',
                    'z0', 'G1', 'Gzz', 'p', 'pffffffff', 'P1', 'P1=', 'P0=12', 'vCont;', 'vCont;x', 'vCont;s:9',
                    'vCont;c:p9.1', 'H', 'Hx1', 'Hg9', 'T', 'qRcmd,6', 'qRcmd,zz', 'cq', 'C', 'Qqemu.sstep=9',
                    'qXfer:features:read:target.xml:999999,1', 'qThreadExtraInfo,'):
            answer = peer(odd)
            assert answer.startswith('E'), f'{odd}: {answer}'
        # As many breakpoints as there can be, all gone with the connection.
        answers = [peer(f'Z0,{address:x},1') for address in range(0x300000, 0x300000 + 1100)]
        assert answers.count('OK') == 1024 and answers[-1] == 'E22'
        peer.close()
        m.qmp('cont')
        m.wait('ready')


@vm.case
def listening():
    """-s and the monitor's gdbserver."""
    with vm.Machine('-m', '16M', '-gdb', 'none', run=False, timeout=60) as m:
        path = vm.scratch() / 'later'
        m.gdb_path = path
        assert 'Waiting for gdb connection' in m.hmp(f'gdbserver unix:{path}')
        peer = Peer(m)
        assert peer('?') == 'T05thread:01;'
        line = b'gdbserver none'.hex()
        assert 'cannot be changed' in bytes.fromhex(peer(f'qRcmd,{line}')[1:]).decode()
        assert peer.receive() == 'OK'
        assert 'Disabled' in m.hmp('gdbserver none')
        try:
            assert not peer.socket.recv(1)
        except ConnectionError:
            pass
        assert 'Could not open' in m.hmp('gdbserver nonsense:1')
        assert 'Waiting' in m.hmp('gdbserver tcp:127.0.0.1:0')
        assert 'Waiting' in m.hmp(f'gdbserver unix:{path}')
        peer = Peer(m)
        peer.send('k')
        assert m.wait_exit() == 0


if __name__ == '__main__':
    vm.run()
