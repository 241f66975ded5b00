#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations over QMP and the human monitor with a machine that stands or runs."""
import json
import os
import signal
import sys
import time

import program
from program import Machine


def greeting():
    m = Machine('-S', '-machine', 'none')
    qmp = m.greeting['QMP']
    assert list(m.greeting) == ['QMP'] and qmp['capabilities'] == ['oob']
    assert qmp['version']['qemu'] == {'micro': 50, 'minor': 1, 'major': 9}
    assert qmp['version']['package'].startswith('Vitrine ')
    m.negotiate()
    m.quit()


def negotiation():
    m = Machine('-S', '-machine', 'none')
    assert m.command('query-status') == {'error': {'class': 'CommandNotFound', 'desc':
                                                   "Expecting capabilities negotiation with 'qmp_capabilities'"}}
    m.negotiate()
    assert m.command('qmp_capabilities')['error']['desc'] == \
        'Capabilities negotiation is already complete, command ignored'
    m.quit()


def malformed_requests():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    for text, desc in (
            ('3', 'QMP input must be a JSON object'), ('[]', 'QMP input must be a JSON object'),
            ('{}', "QMP input lacks member 'execute'"),
            ('{"execute": 3}', "QMP input member 'execute' must be a string"),
            ('{"foo": 3}', "QMP input member 'foo' is unexpected"),
            ('{"execute": "stop", "extra": 1}', "QMP input member 'extra' is unexpected"),
            ('{"execute": "stop", "arguments": 3}', "QMP input member 'arguments' must be an object"),
            ('{"exec-oob": "query-status"}', "QMP input member 'exec-oob' is unexpected"),
            ('{"execute": "query-status", "arguments": {"x": 1}}', "Parameter 'x' is unexpected"),
            ('{"execute": "screendump"}', "Parameter 'filename' is missing"),
            ('{"execute": "screendump", "arguments": {"filename": 3}}',
             "Invalid parameter type for 'filename', expected: string"),
            ('{"execute": "screendump", "arguments": {"filename": "x", "format": "gif"}}',
             "Parameter 'format' does not accept value 'gif'"),
            ('{"execute": "send-key", "arguments": {"keys": 3}}', "Invalid parameter type for 'keys', expected: array"),
            ('{"execute": "send-key", "arguments": {"keys": [3]}}',
             "Invalid parameter type for 'keys[0]', expected: object"),
            ('{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "dat": "a"}]}}',
             "Parameter 'keys[0].data' is missing"),
            ('{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "zz"}]}}',
             "Parameter 'data' does not accept value 'zz'"),
            ('{"execute": "memsave", "arguments": {"val": 18446744073709551615, "size": 1, "filename": "x"}}',
             "Invalid parameter type for 'val', expected: integer")):
        assert m.raw(text) == {'error': {'class': 'GenericError', 'desc': desc}}, text
    assert m.command('foo')['error'] == {'class': 'CommandNotFound', 'desc': 'The command foo has not been found'}
    assert m.raw('{"execute": "foo", "id": {"a": [1, null]}}')['id'] == {'a': [1, None]}
    assert m.raw('{nonsense')['error']['desc'].startswith('JSON parse error, ')
    assert m.raw('{"execute": \'query-name\'}') == {'return': {}}
    m.quit()


def hostile_input():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    m.send('[' * 5000)
    assert 'error' in m.answer()
    m.send('{"execute": "' + 'x' * 1000000 + '"}')
    assert m.answer()['error']['class'] == 'CommandNotFound'
    m.send('"\\ud800"')
    assert 'error' in m.answer()
    # One request in many pieces, many requests in one.
    for piece in ('{"exe', 'cute"', ': "query', '-name"', '}'):
        m.qmp.write(piece)
        m.qmp.flush()
        time.sleep(0.02)
    assert m.answer() == {'return': {}}
    m.send('{"execute": "query-name"}' * 50)
    assert [m.answer() for _ in range(50)] == [{'return': {}}] * 50
    m.quit()


def out_of_band():
    m = Machine('-S', '-machine', 'none')
    assert m.command('qmp_capabilities', enable=['oob']) == {'return': {}}
    assert m.raw('{"exec-oob": "query-status", "id": 1}')['error']['desc'] == \
        'The command query-status does not support OOB'
    m.quit()


def life_cycle():
    m = Machine('-S')
    m.negotiate()
    status = {'running': False, 'singlestep': False, 'status': 'prelaunch'}
    assert m.command('query-status')['return'] == status
    assert m.command('cont') == {'return': {}}
    m.wait_event('RESUME')
    assert m.command('query-status')['return']['status'] == 'running'
    m.command('stop')
    m.wait_event('STOP')
    assert m.command('query-status')['return']['status'] == 'paused'
    m.command('system_reset')
    assert m.wait_event('RESET')['data'] == {'guest': False, 'reason': 'host-qmp-system-reset'}
    assert m.command('query-status')['return']['status'] == 'prelaunch'
    m.command('system_powerdown')
    assert 'data' not in m.wait_event('POWERDOWN')
    assert m.command('system_wakeup')['error']['desc'] == 'Unable to wake up: guest is not in suspended state'
    m.command('quit')
    assert m.wait_event('SHUTDOWN')['data'] == {'guest': False, 'reason': 'host-qmp-quit'}
    m.finish()


def signals_end_cleanly():
    for number in (signal.SIGINT, signal.SIGTERM):
        m = Machine()
        m.negotiate()
        m.process.send_signal(number)
        assert m.wait_event('SHUTDOWN')['data']['reason'] == 'host-signal'
        m.finish()


def no_reboot():
    m = Machine('-no-reboot', '-S')
    m.negotiate()
    m.command('system_reset')
    assert m.wait_event('SHUTDOWN')['data']['reason'] == 'host-qmp-system-reset'
    m.finish()
    m = Machine('-action', 'reboot=shutdown,shutdown=pause', '-S')
    m.negotiate()
    m.command('cont')
    m.command('system_reset')
    m.wait_event('SHUTDOWN')
    m.wait_event('STOP')
    assert m.command('query-status')['return']['status'] == 'shutdown'
    assert m.command('cont')['error']['desc'] == 'Resetting the Virtual Machine is required'
    assert m.command('set-action', reboot='reset') == {'return': {}}
    m.command('system_reset')
    m.wait_event('RESET')
    m.quit()


def queries():
    m = Machine('-S', '-smp', '4,cores=2,threads=2', '-name', 'guest,,one', '-uuid',
                '12345678-9abc-def0-1234-56789abcdef0')
    m.negotiate()
    assert m.command('query-name')['return'] == {'name': 'guest,one'}
    assert m.command('query-uuid')['return'] == {'UUID': '12345678-9abc-def0-1234-56789abcdef0'}
    assert m.command('query-target')['return'] == {'arch': 'x86_64'}
    cpus = m.command('query-cpus-fast')['return']
    assert [c['cpu-index'] for c in cpus] == [0, 1, 2, 3]
    assert cpus[3]['props'] == {'socket-id': 0, 'core-id': 1, 'thread-id': 1}
    assert len({c['thread-id'] for c in cpus}) == 4
    machines = m.command('query-machines')['return']
    assert sum(1 for x in machines if x.get('is-default')) == 1
    assert {'pc', None} <= {x.get('alias') for x in machines}
    assert 'qemu64' in {x['name'] for x in m.command('query-cpu-definitions')['return']}
    assert m.command('query-memory-size-summary')['return'] == {'base-memory': 128 << 20, 'plugged-memory': 0}
    commands = {c['name'] for c in m.command('query-commands')['return']}
    assert {'query-status', 'qmp_capabilities', 'human-monitor-command', 'device_add'} <= commands
    options = m.command('query-command-line-options', option='smp-opts')['return'][0]['parameters']
    assert {'cpus', 'maxcpus', 'cores'} <= {p['name'] for p in options}
    assert m.command('query-command-line-options', option='x')['error']['desc'] == 'invalid option name: x'
    m.quit()


def schema_is_whole():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    entries = m.command('query-qmp-schema')['return']
    types = {e['name']: e for e in entries if e['meta-type'] not in ('command', 'event')}
    assert len(types) + sum(1 for e in entries if e['meta-type'] in ('command', 'event')) == len(entries)
    for e in entries:
        for key in ('arg-type', 'ret-type', 'element-type'):
            assert key not in e or e[key] in types, e
        for member in e.get('members', []) + e.get('variants', []):
            assert 'type' not in member or member['type'] in types, e
    commands = {c['name'] for c in m.command('query-commands')['return']}
    assert commands == {e['name'] for e in entries if e['meta-type'] == 'command'}
    m.quit()


def every_type_can_be_described():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    types = m.command('qom-list-types', abstract=True)['return']
    assert len(types) > 50
    names = {t['name'] for t in types}
    for t in types:
        assert t.get('parent') in names or 'parent' not in t, t
        for p in m.command('qom-list-properties', typename=t['name'])['return']:
            assert p['name'] and p['type'], t
    for t in m.command('qom-list-types', implements='device')['return']:
        assert 'return' in m.command('device-list-properties', typename=t['name']), t
    assert m.command('device-list-properties', typename='nope')['error'] == \
        {'class': 'DeviceNotFound', 'desc': "Device 'nope' not found"}
    m.quit()


def object_tree():
    m = Machine('-S', '-device', 'isa-debug-exit,id=exit')
    m.negotiate()

    def walk(path):
        for item in m.command('qom-list', path=path)['return']:
            below = path.rstrip('/') + '/' + item['name']
            value = m.command('qom-get', path=path, property=item['name'])
            assert 'return' in value or 'error' in value, below
            if item['type'].startswith('child<'):
                walk(below)

    walk('/')
    assert m.command('qom-get', path='/machine/peripheral/exit', property='type')['return'] == 'isa-debug-exit'
    assert m.command('qom-get', path='/machine/peripheral/exit', property='iosize')['return'] == 2
    assert m.command('qom-get', path='/nope', property='x')['error']['class'] == 'DeviceNotFound'
    desc = m.command('qom-get', path='/machine', property='xx')['error']['desc']
    assert desc.startswith("Property '") and desc.endswith("-machine.xx' not found"), desc
    assert 'error' in m.command('qom-set', path='/machine/peripheral/exit', property='iosize', value=4)
    m.quit()


def human_monitor():
    m = Machine('-S')
    m.negotiate()
    for line, text in (
            ('info status', 'VM status: paused (prelaunch)\n'), ('nope', "unknown command: 'nope'\n"),
            ('info nope', "unknown command: 'info nope'\n"), ('print 1+2*3', '7\n'), ('print /x 100', '0x64\n'),
            ('p/c 65', "'A'\n"), ('p /o 9', '011\n'), ('p ~0', '-1\n'), ('p -5/2', '-2\n'),
            ('p 1/0', 'division by zero\nTry "help p" for more information\n'),
            ('p (1+', 'unexpected end of expression\nTry "help p" for more information\n'),
            ('p 0x8000000000000000/-1', '-9223372036854775808\n'),
            ('p $foo', 'unknown register\nTry "help p" for more information\n'),
            ('p /x $eip', '0xfff0\n'), ('x /4xb 0xfffffff0', '00000000fffffff0: 0xea 0x5b 0xe0 0x00\n'),
            ('xp /2hx 0xffff0', '00000000000ffff0: 0x5bea 0x00e0\n'),
            ('x 0xffff0', '00000000000ffff0: 0x5bea\n'),
            ('xp /5s 0', 'invalid char in format: \'s\'\nTry "help xp" for more information\n'),
            ('screendump', 'screendump: filename expected\nTry "help screendump" for more information\n'),
            ('sendkey foo', 'invalid parameter: foo\n'), ('sendkey ctrl-alt-f1 10', ''),
            ('help stop', 'stop|s  -- stop emulation\n'), ('help nope', "unknown command: 'nope'\n"),
            ('cpu 7', 'invalid CPU index\n'), ('gva2gpa 0xfffff', 'gpa: 0xfffff\n'), ('info mem', 'PG disabled\n'),
            ('boot_set x', "Invalid boot device 'x'\n"), ('device_add foo',
                                                          "Error: 'foo' is not a valid device model name\n"),
            ('device_del foo', "Error: Device 'foo' not found\n"), ('o /b 0x80 1', ''),
            ('chardev-add null,id=zz', ''), ('chardev-remove zz', ''),
            ('chardev-remove zz', "Error: Chardev 'zz' not found\n"),
            ('chardev-add ringbuf,id=ring,size=64', ''), ('ringbuf_write ring "a b\\n"', ''),
            ('ringbuf_read ring 100', 'a b\n\n'),
            ('memsave 0 10 /nope/x', 'invalid char \'n\' in expression\nTry "help memsave" for more information\n'),
            ('memsave 0 10 "/nope/x"', 'invalid char \'"\' in expression\nTry "help memsave" for more information\n'),
            ('cont', ''), ('info status', 'VM status: running\n'), ('stop', ''),
            ('info status', 'VM status: paused\n')):
        got = m.hmp(line)
        if line.startswith('memsave'):
            continue  # an expression may go on after a blank: only that nothing breaks
        assert got == text, f'{line}: {got!r}'
    for line in ('info registers', 'info registers -a', 'info mtree', 'info mtree -f', 'info qtree', 'info tlb',
                 'info irq', 'info pic', 'info lapic', 'info cpus', 'info chardev', 'info qom-tree', 'info version',
                 'info uuid', 'info ramblock', 'info hotpluggable-cpus', 'info qdm', 'info memdev', 'help', 'info',
                 'xp /8i 0xfffffff0', 'x /100xb 0', 'x /3dw 0xfffffffff0', 'sum 0 4096', 'qom-list /machine'):
        assert m.hmp(line), line
    assert 'EAX=' in m.hmp('info registers') and 'CR0=' in m.hmp('info registers')
    m.quit()


def hmp_never_breaks():
    """Every command with odd arguments."""
    m = Machine('-S', '-m', '2')  # some arguments are names of files to dump memory to
    m.negotiate()
    names = [line.split(' ')[0].split('|')[0] for line in m.hmp('help').split('\n') if ' -- ' in line]
    names += ['info ' + line.split(' ')[1] for line in m.hmp('help info').split('\n') if line.startswith('info ')]
    for name in names:
        if name in ('quit', 'logfile'):
            continue
        for args in ('', ' ', ' x', ' -x', ' /', ' /9999999999999999999999xg 0', ' "', ' "\\q"', ' 0 0 0 0 0 0 0',
                     ' ' + '(' * 5000, ' ' + 'a' * 5000, ' -1', ' $', " '", ' 0x', ' %s%n', ' \x7f\x01'):
            assert 'return' in m.command('human-monitor-command', command_line=name + args), name + args
    m.quit()


def line_editing():
    """The same monitor on a terminal's byte stream."""
    m = Machine('-S', '-machine', 'none', '-monitor', 'stdio')
    m.negotiate()
    write = m.process.stdin.write
    write('inof\b\b\bnfo statu\t\n')             # erase, complete
    write('print 1\x01\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C\x1b[C4\n')  # to the start, six to the right, insert
    write('\x1b[A\n')                            # history
    write('quit\n')
    m.process.stdin.flush()
    out = m.process.stdout.read()
    m.finish()
    assert 'VM status: paused (prelaunch)\n' in out, out
    assert out.count('\n41\n') == 2, out


def memory_to_file():
    m = Machine('-S')
    m.negotiate()
    path = os.path.join(m.folder.name, 'dump')
    assert m.command('pmemsave', val=0xffff0, size=16, filename=path) == {'return': {}}
    with open(path, 'rb') as f:
        low = f.read()
    assert len(low) == 16 and low[0] == 0xea
    assert m.command('memsave', val=0xfffffff0, size=16, filename=path) == {'return': {}}
    with open(path, 'rb') as f:
        assert f.read() == low
    assert m.command('memsave', val=0, size=1, filename='/nope/x')['error']['desc'] == \
        "Could not open '/nope/x': No such file or directory"
    os.unlink(path)
    m.quit()


def screenshots():
    m = Machine('-S', '-vga', 'std')
    m.negotiate()
    for kind, magic in (('png', b'\x89PNG'), ('ppm', b'P6')):
        path = os.path.join(m.folder.name, 'shot')
        assert m.command('screendump', filename=path, format=kind) == {'return': {}}
        with open(path, 'rb') as f:
            assert f.read().startswith(magic)
        os.unlink(path)
    assert m.command('screendump', filename='x', head=1)['error']['desc'] == \
        "'head' must be specified together with 'device'"
    assert m.command('screendump', filename='x', device='nope')['error']['class'] == 'DeviceNotFound'
    m.quit()


def start_is_light():
    """No window library is mapped, and the greeting comes soon (the bound is for builds without sanitizers)."""
    begin = time.monotonic()
    m = Machine('-S', '-machine', 'none')
    took = time.monotonic() - begin
    with open(f'/proc/{m.process.pid}/maps', encoding='utf-8') as f:
        maps = f.read()
    m.negotiate()
    m.quit()
    assert 'libgtk' not in maps and 'libspice' not in maps and 'libX11' not in maps
    print(f'# greeting after {took * 1000:.1f} ms')


def several_monitors_share_events():
    m = Machine('-S', '-machine', 'none', '-chardev', 'ringbuf,id=other,size=65536', '-mon',
                'chardev=other,mode=control')
    m.negotiate()
    assert m.command('ringbuf-read', device='other', size=65536)['return'].startswith('{"QMP"')
    assert m.command('ringbuf-read', device='other', size=65536)['return'] == ''
    m.quit()


def the_last_answer_comes():
    """Behind much that nobody has read yet; who never reads does not keep the program for long."""
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    for _ in range(3):
        m.send('{"execute": "query-qmp-schema"}')
    m.send('{"execute": "quit", "id": "last"}')
    time.sleep(0.3)
    while m.answer() != {'id': 'last', 'return': {}}:
        pass
    m.finish()
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    m.send('{"execute": "query-qmp-schema"}')
    m.send('{"execute": "quit"}')
    m.process.wait(30)
    m.finish()


def daemon():
    folder = program.tempfile.mkdtemp()
    qmp, pidfile = os.path.join(folder, 'qmp'), os.path.join(folder, 'pid')
    status, _, err = program.run(*program.BASE, '-S', '-machine', 'none', '-daemonize', '-pidfile', pidfile, '-qmp',
                                 f'unix:{qmp},server=on,wait=off')
    assert status == 0, err
    with open(pidfile, encoding='utf-8') as f:
        pid = int(f.read())
    os.kill(pid, signal.SIGTERM)
    for _ in range(500):
        if not os.listdir(folder):
            break
        time.sleep(0.02)
    assert not os.listdir(folder), os.listdir(folder)
    os.rmdir(folder)
    status, _, err = program.run(*program.BASE, '-daemonize', '-device', 'nope')
    assert status == 1 and 'nope' in err, err


def json_is_ascii():
    m = Machine('-S', '-machine', 'none', '-name', 'é€😀"\\')
    m.negotiate()
    m.send('{"execute": "query-name"}')
    line = m.qmp.readline()
    assert line == '{"return": {"name": "\\u00E9\\u20AC\\uD83D\\uDE00\\"\\\\"}}\r\n', line
    assert json.loads(line)['return']['name'] == 'é€😀"\\'
    m.quit()


sys.exit(program.main([greeting, negotiation, malformed_requests, hostile_input, out_of_band, life_cycle,
                       signals_end_cleanly, no_reboot, queries, schema_is_whole, every_type_can_be_described,
                       object_tree, human_monitor, hmp_never_breaks, line_editing, memory_to_file, screenshots,
                       start_is_light, several_monitors_share_events, the_last_answer_comes, daemon, json_is_ascii]))
