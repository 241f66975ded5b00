#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that decide what a client may do: -compat, --preconfig, -add-fd; and those about threads and processors."""
import os
import subprocess
import sys
import time

import program
from program import Machine


def error(answer):
    return answer['error']['class'], answer['error']['desc']


def rejected_input():
    m = Machine('-S', '-compat', 'deprecated-input=reject,unstable-input=reject')
    m.negotiate()
    assert error(m.command('eject', device='x')) == ('GenericError', 'Deprecated parameter device disabled by policy')
    assert error(m.command('eject', id='x')) == ('DeviceNotFound', "Device 'x' not found")
    # Before the arguments are looked at.
    assert error(m.command('x-query-numa', foo=1)) == \
        ('CommandNotFound', 'Unstable command x-query-numa disabled by policy')
    assert m.hmp('info numa').startswith('0 nodes')
    m.quit()
    m = Machine('-S', '-compat', 'deprecated-input=accept,unstable-input=accept')
    m.negotiate()
    assert error(m.command('eject', device='x')) == ('DeviceNotFound', "Device 'x' not found")
    assert m.command('x-query-numa')['return'] == {'human-readable-text': '0 nodes\n'}
    m.quit()


def crash_on_input():
    for choice, line in (('deprecated-input', '{"execute": "eject", "arguments": {"device": "x"}}'),
                         ('unstable-input', '{"execute": "x-query-numa"}')):
        p = subprocess.run([program.PROGRAM, *program.BASE, '-S', '-compat', choice + '=crash', '-qmp', 'stdio'],
                           input='{"execute": "qmp_capabilities"}' + line, capture_output=True, text=True, timeout=60,
                           check=False)
        assert p.returncode == -6 and 'disabled by policy' in p.stderr, (p.returncode, p.stderr)


def hidden_output():
    m = Machine('-S', '-compat', 'deprecated-output=hide')
    m.negotiate()
    schema = m.command('query-qmp-schema')['return']
    assert not any('values' in e for e in schema)
    assert not any('deprecated' in member.get('features', ()) for e in schema for member in e.get('members', ()))
    m.quit()
    m = Machine('-S')
    m.negotiate()
    schema = {e['name']: e for e in m.command('query-qmp-schema')['return']}
    assert any('values' in e for e in schema.values())
    device = [x for x in schema[schema['eject']['arg-type']]['members'] if x['name'] == 'device']
    assert device[0]['features'] == ['deprecated']
    assert schema['x-exit-preconfig']['features'] == ['unstable']
    m.quit()


def preconfig():
    m = Machine('--preconfig', '-smp', '2', '-m', '64', '-object', 'memory-backend-ram,id=r,size=64M',
                '-machine', 'pc', '-accel', 'tcg')
    m.negotiate()
    assert m.command('query-status')['return']['status'] == 'prelaunch'
    for name in ('query-cpus-fast', 'cont', 'stop', 'device_add', 'human-monitor-command', 'system_reset'):
        assert error(m.command(name)) == ('GenericError', f"The command '{name}' is permitted only after machine "
                                                          'initialization has completed')
    assert m.command('query-memdev')['return'][0]['id'] == 'r'
    assert m.command('set-numa-node', type='node', nodeid=0, memdev='r') == {'return': {}}
    assert error(m.command('set-numa-node', type='node', nodeid=0))[1] == 'Duplicate NUMA nodeid: 0'
    assert error(m.command('set-numa-node', type='foo'))[1] == "Parameter 'type' does not accept value 'foo'"
    assert m.command('set-numa-node', type='cpu', node_id=0, socket_id=0) == {'return': {}}
    assert {p['props'].get('node-id') for p in m.command('query-hotpluggable-cpus')['return']} >= {0}
    assert m.command('x-exit-preconfig') == {'return': {}}
    m.wait_event('RESUME')
    assert m.command('query-status')['return']['status'] == 'running'
    assert error(m.command('x-exit-preconfig'))[1] == 'The command is permitted only before machine initialization'
    assert error(m.command('set-numa-node', type='node'))[1] == \
        'The command is permitted only before the machine has been created'
    assert m.hmp('info numa').startswith('1 nodes\n')
    m.quit()


def ends_in_preconfig():
    m = Machine('--preconfig')
    m.negotiate()
    m.quit()
    m = Machine('--preconfig')
    m.process.terminate()
    m.finish()
    p = subprocess.run([program.PROGRAM, *program.BASE, '--preconfig', '-monitor', 'stdio'],
                       input='info cpus\ninfo status\nstop\nquit\n', capture_output=True, text=True, timeout=60,
                       check=False)
    assert p.returncode == 0, p
    assert "Command 'info cpus' not available until machine initialization has completed." in p.stdout
    assert "Command 'stop' not available until machine initialization has completed." in p.stdout
    assert 'VM status: paused (prelaunch)' in p.stdout


def one_table_of_descriptors():
    fd = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(fd, True)
    p = subprocess.run([program.PROGRAM, *program.BASE, '-add-fd', f'fd={fd},set=2,opaque=mine', '-qmp', 'stdio'],
                       input='{"execute":"qmp_capabilities"}{"execute":"query-fdsets"}{"execute":"remove-fd",'
                             '"arguments":{"fdset-id":2}}{"execute":"query-fdsets","id":7}{"execute":"quit"}',
                       capture_output=True, text=True, timeout=60, check=False, pass_fds=[fd])
    os.close(fd)
    assert p.returncode == 0 and '"fdset-id": 2' in p.stdout and '"opaque": "mine"' in p.stdout, p.stdout + p.stderr
    assert '"id": 7, "return": []' in p.stdout, p.stdout


def thread_names():
    def names(*args):
        m = Machine('-S', '-accel', 'tcg', *args)
        m.negotiate()
        folder = f'/proc/{m.process.pid}/task'
        found = set()
        for task in os.listdir(folder):
            with open(os.path.join(folder, task, 'comm'), encoding='utf-8') as f:
                found.add(f.read().strip())
        m.quit()
        return found
    assert 'CPU 0/TCG' in names('-name', 'x,debug-threads=on')
    assert not any(name.startswith('CPU') for name in names('-name', 'x'))


def texts():
    m = Machine('-S', '-machine', 'pc')
    m.negotiate()
    for name, item in (('x-query-roms', 'roms'), ('x-query-irq', 'irq'), ('x-query-ramblock', 'ramblock'),
                       ('x-query-interrupt-controllers', 'pic')):
        assert m.command(name)['return']['human-readable-text'] == m.hmp('info ' + item)
    assert 'addr=00000000fff' in m.hmp('info roms') and 'mem=rom name="' in m.hmp('info roms')
    assert m.command('query-stats-schemas') == {'return': []}
    assert m.command('query-stats', target='vm') == {'return': []}
    m.quit()


def kvm():
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return
    m = Machine('-accel', 'kvm', '-cpu', 'host', '-overcommit', 'cpu-pm=on', '-only-migratable')
    m.negotiate()
    time.sleep(0.5)
    assert m.command('query-status')['return']['status'] == 'running'
    assert m.command('query-cpus-fast')['return'][0]['cpu-index'] == 0
    vm = {s['target']: s for s in m.command('query-stats-schemas')['return']}
    if vm:
        assert set(vm) == {'vm', 'vcpu'} and vm['vm']['stats']
        name = vm['vm']['stats'][0]['name']
        answer = m.command('query-stats', target='vm', providers=[{'provider': 'kvm', 'names': [name]}])['return']
        assert [s['name'] for s in answer[0]['stats']] == [name]
        cpus = m.command('query-stats', target='vcpu')['return']
        assert cpus[0]['qom-path'] == m.command('query-cpus-fast')['return'][0]['qom-path']
    m.quit()


def host_model_needs_kvm():
    status, _, err = program.run(*program.BASE, '-cpu', 'host', '-accel', 'tcg')
    assert status == 1 and "CPU model 'host' requires KVM or HVF" in err, err


sys.exit(program.main([rejected_input, crash_on_input, hidden_output, preconfig, ends_in_preconfig,
                       one_table_of_descriptors, thread_names, texts, kvm, host_model_needs_kvm]))
