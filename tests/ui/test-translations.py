#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window in languages: each that we ship, whole and with a mnemonic wherever there is one; and one that nobody
speaks, in which a text that was not given to translators shows.

Usage: test-translations.py FAKE-MACHINE SOURCE-FOLDER"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # the source tree stays clean
from accessible import Atspi, children, doubled_mnemonics, find
from desktop import Desktop, Program, wait_for

FAKE, SOURCE = sys.argv[1:]
PO = os.path.join(SOURCE, 'po')
# What machines and the toolkit say in their own words, and what is printed on keys.
DATA = re.compile(r'|fake-machine|Information|Warning|(Ctrl\+|Alt\+|SysRq\+)*(Del|Backspace|Esc|Print|Super|Tab|Menu|F\d+|[A-Z])|vc(\.\d)?|serial_0|[\d×@ %.,:]+|Vitrine.*|[A-Z]', re.S)
SERVERS = ('[{"id":"a","auth":"vnc","addresses":["127.0.0.1:5900"],"viewers":'
           '[{"number":1,"address":"unix:7","since":1,"looks":false},{"number":2,"address":"127.0.0.1:7","since":1,"looks":true}]}]')
ACCENTS = str.maketrans('aeiouAEIOU', 'äéïöûÄÉÏÖÛ')


def template(folder):
    path = os.path.join(folder, 'all.pot')
    subprocess.run(['xgettext', '--from-code=UTF-8', '-k_', '-kN_', '-kC_:1c,2', '-kNC_:1c,2', '-kngettext:1,2', '-o', path,
                    '-D', SOURCE, '-f', os.path.join(PO, 'POTFILES')], check=True, capture_output=True)
    return path


def names_of_languages():
    with open(os.path.join(PO, 'LINGUAS')) as file:
        return [line.strip() for line in file if line.strip() and not line.startswith('#')]


def languages(pot):
    """Nothing missing, nothing doubtful; formats and mnemonics as in the original."""
    names = names_of_languages()
    assert {'de', 'es', 'fr', 'zh_CN'} <= set(names), names
    for name in names:
        path = os.path.join(PO, name + '.po')
        done = subprocess.run(['msgcmp', path, pot], capture_output=True, text=True)
        assert done.returncode == 0, f'{name}: {done.stderr}'
        subprocess.run(['msgfmt', '--check', '--check-accelerators=_', '-o', os.devnull, path], check=True)


def shown(machine):
    """The program on the accessibility bus; its menu bar."""
    machine.window()
    root = Atspi.get_desktop(0)

    def bar():
        root.clear_cache()
        app = find(root, lambda node: node.get_name() == 'fake-machine')
        return app and find(app, lambda node: node.get_role_name() == 'menu bar')
    return wait_for('menus', bar)


def mnemonics(desktop):
    """No letter twice in a menu of any language, in front of a picture and of a terminal."""
    for name in names_of_languages():
        place = os.path.join(desktop.home, 'po', name, 'LC_MESSAGES')
        os.makedirs(place)
        subprocess.run(['msgfmt', '-o', os.path.join(place, 'vitrine.mo'), os.path.join(PO, name + '.po')], check=True)
        desktop.env.update(LANGUAGE=name, TEXTDOMAINDIR=os.path.join(desktop.home, 'po'))
        with Program(desktop, FAKE, 'gtk,gl=off', 'box') as machine:
            bar = shown(machine)
            desktop.activate(machine.window())
            assert 'Devices' not in [menu.get_name() for menu in children(bar)], name
            found = doubled_mnemonics(bar)
            machine.command('serial')
            desktop.key('ctrl+alt+2')
            # An item that only terminals have: there are more of them now.
            wait_for('terminal', lambda: bar.clear_cache() or find(bar, lambda node: node.get_role_name() == 'menu item'
                                                                   and '<Shift>v' in (node.get_key_binding(0) or '')))
            found += doubled_mnemonics(bar)
            assert not found, (name, found)
        wait_for('gone', lambda: Atspi.get_desktop(0).clear_cache()
                 or not find(Atspi.get_desktop(0), lambda node: node.get_name() == 'fake-machine'))


def pseudo(desktop, pot):
    folder = os.path.join(desktop.home, 'locale')
    place = os.path.join(folder, 'xx', 'LC_MESSAGES')
    os.makedirs(place)
    text = subprocess.run(['msgen', pot], capture_output=True, text=True, check=True).stdout
    text = text.replace('charset=CHARSET', 'charset=UTF-8').replace('nplurals=INTEGER; plural=EXPRESSION',
                                                                     'nplurals=2; plural=n != 1')
    path = os.path.join(desktop.home, 'xx.po')
    header, inside = True, False
    with open(path, 'w', encoding='utf-8') as file:
        for line in text.split('\n'):
            begins = line.startswith('msgstr')
            inside = begins or (inside and line.startswith('"'))
            if inside and not header:
                before, body = line[:-1].split('"', 1)
                body = ''.join(part if part.startswith(('%', '\\')) else part.translate(ACCENTS)
                               for part in re.split(r'(%(?:\d\$)?[-.\d]*[a-z%]|\\.)', body))
                line = f'{before}"{"⟦" if begins else ""}{body}"'
            if not line:
                header = False  # the first paragraph is it
            file.write(line + '\n')
    subprocess.run(['msgfmt', '-o', os.path.join(place, 'vitrine.mo'), path], check=True, capture_output=True)
    return folder


def walk(node, seen):
    if not node or node.get_role_name() in ('terminal', 'filler'):
        pass
    elif node.get_role_name() not in ('separator', 'panel', 'scroll bar', 'icon'):
        seen.append((node.get_role_name(), node.get_name() or ''))
    for child in children(node) if node else ():
        walk(child, seen)


def untranslated(desktop, pot):
    folder = pseudo(desktop, pot)
    desktop.settings(show_status='true')
    desktop.env.update(LANGUAGE='xx', TEXTDOMAINDIR=folder, LC_ALL='C.UTF-8')
    with Program(desktop, FAKE, 'gtk,gl=off', 'box') as machine:
        machine.window('^⟦')
        machine.command('mode 320 200')
        root = Atspi.get_desktop(0)
        app = wait_for('program on the accessibility bus',
                       lambda: find(root, lambda node: node.get_name() == 'fake-machine'))
        wait_for('menus', lambda: find(app, lambda node: node.get_role_name() == 'menu bar'))
        machine.command(r'event BLOCK_IO_ERROR {"device":"hd0","action":"stop","nospace":true,"reason":"ENOSPC"}')
        wait_for('bar', lambda: find(app, lambda node: 'hd0' in (node.get_name() or '')))
        machine.command('answer vnc-servers ' + SERVERS)
        subprocess.run(['gdbus', 'call', '--session', '--dest', f'org.vitrine.Vitrine.p{machine.process.pid}', '--object-path',
                        '/org/vitrine/Vitrine/window/1', '--method', 'org.gtk.Actions.Activate', 'remote-access', '[]', '{}'],
                       env=desktop.env, check=True, capture_output=True, timeout=20)
        wait_for('viewers', lambda: app.clear_cache() or find(app, lambda node: '127.0.0.1:7' in (node.get_name() or '')))
        seen = []
        walk(app, seen)
        names = [name for _role, name in seen]
        assert sum('⟦' in name for name in names) > 40, names
        plain = [(role, name) for role, name in seen if '⟦' not in name and not DATA.fullmatch(name)]
        assert not plain, plain


def main():
    with Desktop(variables={'NO_AT_BRIDGE': '0'}, bus=True) as desktop:
        os.environ.update(desktop.env)
        Atspi.init()
        pot = template(desktop.home)
        print('1..3')
        languages(pot)
        print('ok 1 - languages')
        mnemonics(desktop)
        print('ok 2 - mnemonics')
        untranslated(desktop, pot)
        print('ok 3 - untranslated')


main()
