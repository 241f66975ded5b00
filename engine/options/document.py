#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option reference out of options.tsv: document.py markdown|man OUT options.tsv"""
import re
import sys


def rows(path):
    with open(path, encoding='utf-8') as f:
        next(f)
        return [line.rstrip('\n').split('\t') for line in f]


def cell(text):
    return text.replace('|', r'\|').replace('<', '&lt;').replace('*', r'\*')


def markdown(table, out):
    out.write('# Options\n\nEvery documented option, from `engine/options/options.tsv`. What is not there yet says so and '
              'exits with\nstatus 1; `./dev coverage` tells which. Rows of another target are refused as such.\n')
    section = option = None
    for name, sub, values, default, part, target, meaning in table:
        if part != section:
            section = part
            out.write(f'\n## {section}\n')
        if name != option:
            option = name
            out.write(f'\n### `{name}`\n\n| key | values | default | target | meaning |\n|---|---|---|---|---|\n')
        key = f'`{sub}`' if sub else ''
        out.write(f'| {key} | {cell(values)} | {cell(default)} | {target} | {cell(meaning)} |\n')


def troff(text):
    text = text.replace('\\', r'\e').replace('-', r'\-')
    return re.sub(r"^([.'])", r'\\&\1', text)


def man(table, out):
    out.write('.TH VITRINE 1\n.SH NAME\nvitrine \\- runs whole operating systems in windows\n.SH SYNOPSIS\n.B vitrine\n'
              '[\\fIoptions\\fR] [\\fIdisk_image\\fR]\n.br\n.B vitrine \\-\\-machine\n\\fIfile\\fR [\\fIoptions\\fR]\n'
              '.SH DESCRIPTION\nBuilds a machine as the command line says and runs it. A machine file holds the command '
              'line, one option to a\nline; paths in it are relative to its folder. \\fB\\-\\-machine\\fR takes its '
              'argument for a file when a slash comes\nbefore any comma or equals sign, or when it ends in ".conf".\n'
              '.SH OPTIONS\n')
    section = None
    for name, sub, values, default, part, target, meaning in table:
        if part != section:
            section = part
            out.write(f'.SS {troff(section)}\n')
        head = f'{name} {sub}=' if sub else f'{name} '
        note = f' Default: {default}.' if default else ''
        note += f' Target: {target}.' if target.startswith('other') else ''
        out.write(f'.TP\n.B {troff(head.strip())}\n{troff(values)}\n.br\n{troff(meaning[:1].upper() + meaning[1:])}.'
                  f'{troff(note)}\n')


def main():
    kind, target, source = sys.argv[1:]
    with open(target, 'w', encoding='utf-8') as out:
        (markdown if kind == 'markdown' else man)(rows(source), out)


main()
