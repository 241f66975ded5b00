#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describes every type, object and property there is, in loops: no device code may run for it."""
import sys

import program
from program import Machine

ROUNDS = 3


def names(m, **arguments):
    return [t['name'] for t in m.command('qom-list-types', **arguments)['return']]


def check_list(answer):
    listed = answer['return']
    keys = [p['name'] for p in listed]
    assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)
    assert all(p['type'] for p in listed), listed


def every_type(board='none'):
    m = Machine('-S', '-machine', board)
    m.negotiate()
    before = m.command('query-commands')
    everything = names(m, abstract=True)
    concrete = set(names(m))
    devices = set(names(m, implements='device'))
    assert len(everything) == len(set(everything)) and concrete <= set(everything)
    for _ in range(ROUNDS):
        for name in everything:
            check_list(m.command('qom-list-properties', typename=name))
            answer = m.command('device-list-properties', typename=name)
            if name in devices:
                check_list(answer)
                assert m.hmp(f'device_add {name},help=on') is not None
            else:
                assert answer['error']['class'] in ('GenericError', 'DeviceNotFound'), name
    assert m.command('query-commands') == before
    m.quit()


def every_type_beside_a_machine():
    every_type('pc')


def every_processor_model():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    models = m.command('query-cpu-definitions')['return']
    assert len(models) > 50
    for model in models:
        for kind in ('static', 'full'):
            answer = m.command('query-cpu-model-expansion', type=kind, model={'name': model['name']})
            props = answer['return']['model']['props']
            assert isinstance(props['sse2'], bool) and 'family' in props
    off = m.command('query-cpu-model-expansion', type='full', model={'name': 'max', 'props': {'sse2': False, 'model': 3}})
    assert off['return']['model']['props']['sse2'] is False and off['return']['model']['props']['model'] == 3
    assert m.command('query-cpu-model-expansion', type='full', model={'name': 'none'})['error']['desc'] == \
        "CPU model 'none' not found"
    assert m.command('query-cpu-model-expansion', type='full', model={'name': 'max', 'props': {'no': 1}})['error'][
        'desc'] == "Property 'max-x86_64-cpu.no' not found"
    assert m.command('query-cpu-model-expansion', type='full', model={'name': 'max', 'props': 1})['error'][
        'class'] == 'GenericError'
    m.quit()


def every_object():
    m = Machine('-S')
    m.negotiate()
    todo, seen = ['/'], 0
    while todo:
        path = todo.pop()
        listed = m.command('qom-list', path=path)['return']
        seen += 1
        for p in listed:
            value = m.command('qom-get', path=path, property=p['name'])
            assert 'return' in value or value['error']['class'] == 'GenericError', (path, p)
            if p['type'].startswith('child<'):
                todo.append(path.rstrip('/') + '/' + p['name'])
    assert seen > 30
    m.quit()


def every_schema_entry():
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    entries = m.command('query-qmp-schema')['return']
    types = {e['name']: e for e in entries if e['meta-type'] not in ('command', 'event')}
    wanted = {'builtin': {'json-type'}, 'enum': {'members', 'values'}, 'array': {'element-type'}, 'object': {'members'},
              'command': {'arg-type', 'ret-type'}, 'event': {'arg-type'}, 'alternate': {'members'}}
    for e in entries:
        assert wanted[e['meta-type']] <= set(e), e
        if 'tag' in e:
            tag = next(x for x in e['members'] if x['name'] == e['tag'])
            assert [v['case'] for v in e['variants']] == types[tag['type']]['values'], e
        for variant in e.get('variants', []):
            assert types[variant['type']]['meta-type'] == 'object'
    listed = {c['name'] for c in m.command('query-commands')['return']}
    assert listed == {e['name'] for e in entries if e['meta-type'] == 'command'}
    m.quit()


sys.exit(program.main([every_type, every_type_beside_a_machine, every_processor_model, every_object,
                       every_schema_entry]))
