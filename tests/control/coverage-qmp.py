#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the documented monitor commands and events the program has, asked from the program itself.

coverage-qmp.py [--short] [--missing]    the program's path is in VITRINE
"""
import argparse
import os

from program import Machine

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../data')


def lines(name):
    with open(os.path.join(DATA, name), encoding='utf-8') as f:
        return [line.rstrip('\n') for line in f if line.strip()]


def help_names(text, words):
    """First words of the lines of help: "cont|c  -- ..." has two names."""
    found = set()
    for line in text.split('\n'):
        parts = line.split()
        if len(parts) < words or line.startswith(('\t', ' ')):
            continue
        found.update(' '.join(parts[:words - 1] + [name]) for name in parts[words - 1].split('|'))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--short', action='store_true', help='only the counts')
    parser.add_argument('--missing', action='store_true', help='only what is not there')
    options = parser.parse_args()
    m = Machine('-S', '-machine', 'none')
    m.negotiate()
    has = {'command': {c['name'] for c in m.command('query-commands')['return']},
           'event': {e['name'] for e in m.command('query-qmp-schema')['return'] if e['meta-type'] == 'event'},
           'hmp': help_names(m.hmp('help'), 1) | help_names(m.hmp('help info'), 2)}
    m.quit()
    rows = [tuple(line.split('\t')) for line in lines('qmp-names.tsv')] + [('hmp', n) for n in lines('hmp-names.txt')]
    counts = {kind: [0, 0] for kind in has}
    for kind, name in rows:
        there = name in has[kind]
        counts[kind][0] += there
        counts[kind][1] += 1
        if not options.short and not (options.missing and there):
            print(f'{kind}\t{name}\t{"yes" if there else "no"}')
    for kind, (n, total) in counts.items():
        label = {'command': 'QMP commands', 'event': 'QMP events', 'hmp': 'HMP commands'}[kind]
        print(f'{label}: {n} of {total}')


main()
