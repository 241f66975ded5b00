#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the documented command line takes effect: every row of options.tsv against the program itself.

A row counts as "effect" only when its probe saw it: what a command line leads to is looked up through QMP, the human
monitor, fw_cfg, files or the exit status. "explains" is a refusal that says why (not available in this build, another
target). "accepted" is a row whose value is taken but whose effect was not seen: not there yet. "wrong" is anything
else. Values that the rules refuse are tried too.

Probes stand in tests/data/coverage.tsv: option, suboption, command line, Python expression. Rows without one get a
line made from the table: the required keys of their kind and a sample value.

coverage.py [--short] [--list CLASS] [--only REGEX]    the program's path is in VITRINE
"""
import argparse
import collections
import concurrent.futures
import faulthandler
import os
import re
import shlex
import sys

import coverage_files
from coverage_session import Session

HERE = os.path.dirname(os.path.abspath(__file__))

Row = collections.namedtuple('Row', 'option sub values default section target meaning')


def table():
    with open(os.path.join(HERE, '../../engine/options/options.tsv'), encoding='utf-8') as f:
        next(f)
        return [Row(*line.rstrip('\n').split('\t')) for line in f]


def probes():
    """{(option, suboption): (command line, probe)}; "=": as in the line above."""
    found = {}
    before = ()
    with open(os.path.join(HERE, '../data/coverage.tsv'), encoding='utf-8') as f:
        for line in f:
            if line.strip() and not line.startswith('#'):
                fields = line.rstrip('\n').split('\t')
                option, sub, args, check = before = tuple(b if a == '=' else a for a, b in
                                                         zip(fields, before or fields))
                found[option, sub] = (args, check)
    return found


# --- lines made from the table ---

EXPLAINS = re.compile(r'not available in this build|please install it|needs lib\w+, but the module|not supported for this target|'
                      r'takes no device tree')
SAMPLES = {  # by key; else by what the value is
    'host': '127.0.0.1', 'port': '0', 'path': '@/new', 'filename': '@/disk', 'addr.host': '127.0.0.1', 'dir': '@',
    'mac': '52:54:00:11:22:33', 'macaddr': '52:54:00:11:22:33', 'size': '1M', 'mem-path': '@/mem', 'uuid':
    '12345678-9abc-def0-1234-56789abcdef0', 'rrfile': '@/rr', 'logfile': '@/log', 'input-path': '@/text',
    'interleave-granularity': '256', 'hostfwd': 'tcp::0-:22', 'dsp-policy': '5', 'data': 'abc', 'release': '1.2',
    'server.type': 'inet', 'server.0.type': 'inet', 'addr.type': 'inet', 'local.type': 'inet', 'remote.type': 'inet',
    'shift': '3', 'evdev': '/dev/null', 'if': 'ide', 'serial': '5', 'cpu-affinity': '0', 'node-affinity': '0',
}
TAKES_ID = {'-netdev', '-audiodev', '-fsdev', '-chardev', '-object', '-device', '-tpmdev'}
EXTRA = {  # what a kind needs besides its table row
    '-fsdev local': 'path=@,security_model=none', '-virtfs local': 'path=@,security_model=none',
    '-chardev socket': 'path=@/sock,server=on,wait=off', '-chardev file': 'path=@/out', '-chardev udp': 'port=9',
    '-drive': 'if=none,id=d0,file=@/disk,format=raw', '-add-fd': 'fd=60,set=2', '-audio': 'model=sb16', '-chardev pipe':
    'path=@/none', '-object authz-pam': 'service=login', '-numa dist': 'src=0,dst=0,val=10', '-numa cpu': 'node-id=0',
    '-numa hmat-lb': 'initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=5',
    '-numa hmat-cache': 'node-id=0,size=1024,level=1,associativity=none,policy=none,line=8',
    '-netdev stream': 'addr.type=unix,addr.path=@/net', '-netdev dgram': 'local.type=inet,local.host=127.0.0.1,'
    'local.port=0', '-netdev socket': 'listen=:0', '-icount': 'shift=3', '-spice': 'port=0',
    '-object filter-redirector': 'outdev=o', '-object secret': 'data=abc',
    '-object rng-random': 'filename=/dev/urandom',
}


def kind_of(values):
    text = re.split(r'[,;]| \(', values)[0]
    if text in ('on|off', 'yes|no'):
        return 'bool'
    if text == 'on|off|auto':
        return 'auto'
    if text == '<size>':
        return 'size'
    if text in ('<n>', '<us>', '<ms>', '<s>', '<ns>', '<Hz>', '<uint>', '<MiB>', '<bytes>', '<u32>', '<u64>', '<req/s>',
                '<byte>', '<bytes/s>', '<bits>', '<tcp-port>', '<pixels>'):
        return 'number'
    if '|' in text and re.fullmatch(r'[A-Za-z0-9_.+|-]+', text) and '..' not in text:
        return 'enum'
    return 'free'


def sample(row):
    key, kind = row.sub, kind_of(row.values)
    if key in SAMPLES:
        return SAMPLES[key]
    text = re.split(r'[,;]| \(', row.values)[0]
    by_kind = {'bool': 'on', 'auto': 'on', 'size': '1M', 'number': '1'}
    if kind in by_kind:
        return by_kind[kind]
    if kind == 'enum':
        return text.split('|')[0]
    if re.match(r'<(path|file|socket)', text):
        return '@/new'
    if re.match(r'<(folder|dir)', text):
        return '@'
    number = re.match(r'-?(\d+)\.\.', text)
    return number.group(1) if number else 'x1'


def required(values):
    for item in values.split('[')[0].split(','):
        if re.fullmatch(r'[a-z_.-]+=', item) and '(' not in item:
            yield item[:-1]


def list_line(rows, row, value):
    """"-opt kind,id=..,needed=..,key=value" for a row of an option with a list."""
    option, _, kind = row.option.partition(' ')
    head = next((r for r in rows if r.option == row.option and not r.sub), None)
    items = []
    if kind:
        items.append(f'driver={kind}' if option == '-blockdev' else kind)
    elif option == '-blockdev':
        items.append('driver=null-co')
    elif option in TAKES_ID or option in ('-virtfs', '-nic', '-net', '-audio', '-numa'):
        items.append({'-netdev': 'user', '-audiodev': 'none', '-fsdev': 'local', '-chardev': 'null',
                      '-object': 'memory-backend-ram', '-device': 'isa-serial', '-tpmdev': 'passthrough',
                      '-virtfs': 'local', '-nic': 'user', '-net': 'nic', '-audio': 'none', '-numa': 'node'}[option])
    elif option in ('-accel', '-display', '-vnc'):
        items.append({'-accel': 'tcg', '-display': 'none', '-vnc': 'none'}[option])
        if items == ['local']:
            items.append('path=@,security_model=none')
    keys = {row.sub}
    if option in TAKES_ID:
        items.append('id=c0')
        keys.add('id')
    if option == '-blockdev':
        items.append('node-name=c0')
        keys |= {'node-name', 'driver'}
    if option == '-virtfs':
        items.append('mount_tag=c0')
        keys.add('mount_tag')
    for extra in EXTRA.get(row.option, '').split(','):
        if extra and extra.split('=')[0] not in keys:
            items.append(extra)
            keys.add(extra.split('=')[0])
    for key in required(head.values) if head and kind else ():
        if key not in keys:
            other = next((r for r in rows if r.option == row.option and r.sub == key), None)
            items.append(f'{key}={sample(other) if other else "x1"}')
            keys.add(key)
    if row.sub and value is not None:
        items = [i for i in items if i == row.sub or i.split('=')[0] != row.sub.replace('.N', '.0').replace('.M', '.0')]
        items.append(f"{row.sub.replace('.N', '.0').replace('.M', '.0')}={value}")
    return f'{option} ' + shlex.quote(','.join(items)).replace("'@", "'@")


def is_list(row):
    return '=' in row.values or row.sub


def made_line(rows, row, value=None):
    if row.option.startswith('URL '):
        scheme = row.option[4:]
        return '-drive if=none,file=' + ('rbd:pool/image' if scheme == 'rbd:' else scheme + '//127.0.0.1:1/x/y/0')
    if row.option == 'disk_image':
        return '@/disk'
    if not row.option.startswith('-'):
        return None
    if not row.sub and ' ' not in row.option:
        if row.values.startswith('flag'):
            return row.option
        if row.option in TAKES_ID | {'-blockdev', '-virtfs'}:
            return list_line(rows, row, None)
        words = re.split(r'[,;]| \(', row.values)[0]
        return f'{row.option} ' + (words.split('|')[0] if re.fullmatch(r'[a-z|-]+', words) else 'x1')
    option = row.option.split(' ')[0]
    if row.values == 'keyword' or row.values.startswith('keyword '):
        return f'{option} {row.sub}'
    if option in ('-serial', '-incoming') and not row.sub:
        kind = row.option.split(' ')[1]
        return f'{option} {kind}' + ('0:0' if kind.endswith(':') else '')
    if option in ('-serial', '-incoming') and row.sub:
        kind = row.option.split(' ')[1]
        place = '@/sock' if kind == 'unix:' else '@/save' if kind == 'file:' else '127.0.0.1:0'
        return f'{option} {kind}{place},{row.sub}={sample(row) if value is None else value}'
    if option == '-smbios' and ' ' in row.option:
        return f"{row.option}" + (f',{row.sub}={sample(row) if value is None else value}' if row.sub else '')
    return list_line(rows, row, sample(row) if value is None else value)


WRONG = {'bool': 'maybe', 'auto': 'maybe', 'enum': 'bogus-value', 'number': 'x', 'size': 'x'}
REFUSES = re.compile(r"expects|does not accept|not available|[Ii]nvalid|unknown|[Uu]nsupported|not supported|"
                     r'not a valid|[Uu]nknown|requires|could not|unable|not found|deprecated|Usage|must')


# Back ends of other hosts, or that this build has no library for: unknown values here.
OTHER_HOSTS = re.compile(r"does not accept value '(cocoa|vmnet-[a-z]+|coreaudio|dsound|gluster)'|"
                         r"Unknown protocol 'gluster'")


def classify(text, status):
    if status in (0, None):
        return 'accepted'
    if status == 1 and (EXPLAINS.search(text) or OTHER_HOSTS.search(text)):
        return 'explains'
    return 'wrong'


def run_line(line):
    session = Session(line)
    try:
        if session.status is None:
            return 'accepted', ''
        return classify(session.err, session.status), f'exit {session.status}: {session.err.strip()[:300]}'
    finally:
        session.close()


def run_probes(args, checks):
    """[(key, expression)] on one start of the program -> {key: (class, why)}."""
    bare = args.startswith('!')
    session = Session(args.lstrip('!'), bare)
    results, before = {}, {}
    try:
        for key, check in checks:
            if check in before:  # "=": what was seen holds for all of them
                results[key] = results[before[check]]
                continue
            before[check] = key
            if session.settings.get('DISPLAY') == ':none':
                results[key] = ('accepted', f'{args}: no desktop to look at')
                continue
            if session.alone and session.status and ('unshare' in session.err or 'open_tap' in session.err):
                results[key] = ('accepted', f'{args}: no network namespace to try it in')
                continue
            if check == '-' or session.status == 1 and EXPLAINS.search(session.err) and not EXPLAINS.search(check):
                results[key] = (classify(session.err, session.status), f'{args}: {session.err.strip()[:300]}')
                continue
            try:
                seen = session.see(check.lstrip('~'))
                if seen:
                    results[key] = ('accepted' if check.startswith('~') else 'effect', args)
                else:
                    results[key] = ('wrong', f'not seen: {check} {session.err.strip()[:200]}')
            except Exception as e:  # pylint: disable=broad-except
                results[key] = ('wrong', f'{check}: {type(e).__name__} {e} {session.err.strip()[:200]}')
    finally:
        session.close()
    if 'Sanitizer' in session.err or session.status not in (0, 1, None):
        for key, _ in checks:
            results[key] = ('wrong', f'exit {session.status} {session.err[-300:]}')
    return results


def wrong_value(rows, row, base):
    """A value the rules refuse; None: fine."""
    kind = kind_of(row.values)
    if kind not in WRONG or not row.sub or row.values.startswith('keyword') or not row.option.startswith('-'):
        return None
    if row.target.startswith('other') or row.option == '-iscsi':
        return None
    line = made_line(rows, row, WRONG[kind])
    if line is None:
        return None
    session = Session(line)
    try:
        if session.status == 1 and REFUSES.search(session.err):
            return None
        if session.status is None and base == 'explains':
            return f'{line}: accepted'
        return f'{line}: exit {session.status}: {session.err.strip()[:200]}'
    finally:
        session.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--short', action='store_true', help='rows with probes only, and few wrong values')
    parser.add_argument('--list', help='name the rows of a class: effect, explains, accepted, wrong')
    parser.add_argument('--only', default='', help='rows whose "option suboption" matches')
    options = parser.parse_args()
    rows = [r for r in table() if re.search(options.only, f'{r.option} {r.sub}')]
    if options.short:
        faulthandler.dump_traceback_later(560, exit=True)  # before the test's time is over: where it stands
    everything = table()
    known = probes()
    names = {(r.option, r.sub) for r in everything}
    targets = {(r.option, r.sub): r.target for r in everything}
    for key in known:
        if key not in names:
            print(f'coverage.tsv: no such row: {key}')
    groups = collections.defaultdict(list)
    results = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {}
        for row in rows:
            key = (row.option, row.sub)
            if key in known:
                groups[known[key][0]].append((key, known[key][1]))
        for args, checks in groups.items():
            waiting[pool.submit(run_probes, args, checks)] = None
        for row in rows:
            key = (row.option, row.sub)
            if key in known or options.short:
                continue
            line = made_line(everything, row)
            if line is None:
                results[key] = ('accepted', 'no line')
                continue
            waiting[pool.submit(run_line, line)] = (key, line)
        for future in concurrent.futures.as_completed(waiting):
            if waiting[future] is None:
                for key, (result, why) in future.result().items():
                    foreign = targets[key].startswith('other') and why.startswith('-') and result == 'wrong'
                    results[key] = ('explains' if foreign else result, why)
            else:
                key, line = waiting[future]
                result, why = future.result()
                if result == 'wrong' and targets[key].startswith('other') and ': exit 1:' in f': {why}':
                    result = 'explains'
                results[key] = (result, f'{line}: {why}' if why else line)
        bad = {}
        checks = {pool.submit(wrong_value, everything, row, results[row.option, row.sub][0]): row
                  for row in rows if (row.option, row.sub) in results and not options.short}
        for future in concurrent.futures.as_completed(checks):
            row = checks[future]
            why = future.result()
            if why:
                bad[row.option, row.sub] = why
    for key, why in bad.items():
        results[key] = ('wrong', why)
    report(rows, results, options)
    return 1 if any(r[0] == 'wrong' for r in results.values()) else 0


def report(rows, results, options):
    classes = ('effect', 'explains', 'accepted', 'wrong')
    counts = collections.defaultdict(collections.Counter)
    for row in rows:
        key = (row.option, row.sub)
        if key not in results:
            continue
        counts[row.section][results[key][0]] += 1
        counts['all'][results[key][0]] += 1
        if results[key][0] == 'wrong' or results[key][0] == options.list:
            print(f"{results[key][0]}: {' '.join(key).strip()}: {results[key][1]}")
    print(f"{'section':12}{'takes effect':>14}{'explains':>10}{'not yet':>9}{'wrong':>7}")
    for section, counter in counts.items():
        if section != 'all':
            print(f'{section:12}' + ''.join(f'{counter[c]:>{w}}' for c, w in zip(classes, (14, 10, 9, 7))))
    print(f"{'all':12}" + ''.join(f"{counts['all'][c]:>{w}}" for c, w in zip(classes, (14, 10, 9, 7))))


if __name__ == '__main__':
    sys.exit(main())
