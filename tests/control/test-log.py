#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What -d, -dfilter, -D, -trace and -icount really write."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from program import BASE, PROGRAM, Machine, main, run


def log_of(*args, seconds=3, enough=1):
    """The log of a machine that runs its firmware for a while, until it has ENOUGH bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'log')
        with subprocess.Popen([PROGRAM, *BASE, *args, '-D', path], stdin=subprocess.DEVNULL) as process:
            end = time.monotonic() + 10 * seconds
            while time.monotonic() < end and (not os.path.exists(path) or os.path.getsize(path) < enough):
                time.sleep(0.05)
            process.terminate()
            process.wait(30)
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()


def blocks():
    text = log_of('-d', 'in_asm,op,op_opt,out_asm,exec,cpu,nochain', '-dfilter', '0xfe05b+0x10', enough=1000)
    assert re.search(r'^IN: \n0x000fe05b:  2e 66 83 3e .*cmp', text, re.M), text[:500]
    assert '\nOP:\n' in text and 'OP after optimization' in text and re.search(r'OUT: \[size=\d+\]', text)
    assert re.search(r'^Trace 0: 0x[0-9a-f]+ \[00000000000f0000/00000000000fe05b/', text, re.M)
    assert 'EIP=0000e05b' in text and 'FCW=' not in text
    assert 'fffffff0' not in text.split('Trace')[0], 'the filter lets other addresses through'
    assert 'FCW=' in log_of('-d', 'cpu,fpu', enough=5000)


def events():
    text = log_of('-d', 'int,pcall,mmu,cpu_reset', enough=100000)
    assert text.count('CPU Reset (CPU 0)\nEAX=') >= 1
    assert 'far jump to 0008:' in text and re.search(r'^external 08 ', text, re.M)
    assert 'all translations dropped' in text


def chains():
    """Without links the turns of a loop are seen: fewer different addresses in as many lines."""
    different = {}
    for items in ('exec', 'exec,nochain'):
        text = log_of('-d', items, enough=200000)[:190000]
        different[items] = len(set(re.findall(r'/([0-9a-f]{16})/', text)))
    assert 0 < different['exec,nochain'] < different['exec'], different


def filters():
    for bad, why in (('0x1000', 'Bad range specifier'), ('1+0', 'Invalid range'), ('5..1', 'Invalid range'),
                     ('x+1', 'Invalid number to the left of +'), ('1..', 'Invalid number to the right of ..')):
        status, _, err = run('-dfilter', bad)
        assert status == 1 and err.endswith(f': -dfilter {bad}: {why}\n'), err


def files():
    with tempfile.TemporaryDirectory() as folder:
        m = Machine('-d', 'exec,tid', '-D', os.path.join(folder, 'log-%d'))
        m.negotiate()
        end = time.monotonic() + 30
        while not glob.glob(os.path.join(folder, 'log-*')) and time.monotonic() < end:
            time.sleep(0.05)
        cpu = m.command('query-cpus-fast')['return'][0]['thread-id']
        assert os.listdir(folder) == [f'log-{cpu}'], (cpu, os.listdir(folder))
        m.quit()


def help_lists():
    _, out, _ = run('-d', 'help')
    for item in ('out_asm', 'in_asm', 'op', 'op_opt', 'op_ind', 'int', 'exec', 'cpu', 'fpu', 'mmu', 'pcall', 'cpu_reset',
                 'unimp', 'guest_errors', 'page', 'nochain', 'strace', 'tid', 'trace:PATTERN', 'plugin', 'vpu'):
        assert re.search(rf'^{item} ', out, re.M), item
    _, out, _ = run('-trace', 'help')
    assert 'ide_exec_cmd' in out.split() and run('-d', 'trace:help')[1] == out
    status, _, err = run('-trace', 'events=/nonexistent', '-display', 'none')
    assert status == 1 and err.endswith(':/nonexistent: No such file or directory\n'), err


def ask(m, command, **arguments):
    return m.raw(json.dumps({'execute': command, 'arguments': arguments}))


def traces():
    with tempfile.TemporaryDirectory() as folder:
        names, log = os.path.join(folder, 'events'), os.path.join(folder, 'log')
        with open(names, 'w', encoding='utf-8') as f:
            f.write('# both\nrunstate_set\npci_cfg_*\n-pci_cfg_write\n')
        m = Machine('-trace', f'events={names},file={log}', '-S')
        m.negotiate()
        state = {e['name']: e['state'] for e in ask(m, 'trace-event-get-state', name='*')['return']}
        assert state['runstate_set'] == state['pci_cfg_read'] == 'enabled'
        assert state['pci_cfg_write'] == state['ide_reset'] == 'disabled'
        m.command('cont')
        assert ask(m, 'trace-event-set-state', name='handle_qmp_*', enable=True) == {'return': {}}
        m.command('query-status')
        error = ask(m, 'trace-event-set-state', name='nothing', enable=True)['error']
        assert error == {'class': 'GenericError', 'desc': 'unknown event "nothing"'}, error
        assert m.hmp('info trace-events ide_reset') == 'ide_reset : state 0\n'
        m.hmp('trace-event ide_reset on')
        assert m.hmp('info trace-events ide_reset') == 'ide_reset : state 1\n'
        m.hmp('system_reset')
        m.command('query-status')
        m.quit()
        with open(log, encoding='utf-8') as f:
            text = f.read()
        assert 'runstate_set current_run_state prelaunch new_state running\n' in text, text
        assert re.search(r'^handle_qmp_command .*query-status', text, re.M)
        assert 'ide_reset ide.0\n' in text


def switched_by_monitor():
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, 'log')
        m = Machine()
        m.negotiate()
        m.hmp(f'logfile {log}')
        m.hmp('log cpu_reset')
        m.hmp('system_reset')
        m.command('query-status')
        m.hmp('log none')
        assert 'none            remove all logs' in m.hmp('log foo')
        m.quit()
        with open(log, encoding='utf-8') as f:
            assert f.read().startswith('CPU Reset (CPU 0)\n')


def counted():
    """Every interrupt and exception at the same instruction, with the same registers and the same time."""
    for args in (('shift=2,sleep=off',), ('shift=2',), ('shift=2,sleep=off', '-smp', '2')):
        a, b = (log_of('-icount', *args, '-d', 'int', enough=15000) for _ in range(2))
        n = min(len(a), len(b))
        assert n > 10000 and a[:n] == b[:n], args
    for args, why in (('thread=multi', '-accel tcg,thread=multi: No MTTCG when icount is enabled'),):
        status, _, err = run('-icount', '3', '-accel', f'tcg,{args}', '-display', 'none')
        assert status == 1 and err.endswith(f': {why}\n'), err


sys.exit(main([blocks, events, chains, filters, files, help_lists, traces, switched_by_monitor, counted]))
