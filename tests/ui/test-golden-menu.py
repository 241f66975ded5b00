#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the peer's menus have, ours have, too: under the same menu, with the same label, kind and keys, in the same order. The
peer's tree is read from its running window over AT-SPI where it is installed (qemu-system-gui), and else is the one written down
here, which that also checks.

Usage: test-golden-menu.py VITRINE"""
import os
import shutil
import sys

sys.dont_write_bytecode = True  # the source tree stays clean
from accessible import Atspi, children, find
from desktop import Desktop, Program, wait_for

PEER = 'qemu-system-x86_64'
# Of version 7.2, whose consoles' names are those of ours.
GOLDEN = {
    'Machine': [('check menu item', 'Pause', ''), ('menu item', 'Reset', ''), ('menu item', 'Power Down', ''),
                ('menu item', 'Quit', '<Primary><Alt>q')],
    'View': [('menu item', 'Fullscreen', '<Primary><Alt>f'), ('menu item', 'Zoom In', '<Primary><Alt>plus'),
             ('menu item', 'Zoom Out', '<Primary><Alt>minus'), ('menu item', 'Best Fit', '<Primary><Alt>0'),
             ('check menu item', 'Zoom To Fit', ''), ('check menu item', 'Grab On Hover', ''),
             ('check menu item', 'Grab Input', '<Primary><Alt>g'), ('radio menu item', 'VGA', '<Primary><Alt>1'),
             ('radio menu item', 'compat_monitor0', '<Primary><Alt>2'), ('radio menu item', 'serial0', '<Primary><Alt>3'),
             ('radio menu item', 'parallel0', '<Primary><Alt>4'), ('check menu item', 'Show Tabs', ''),
             ('menu item', 'Detach Tab', ''), ('check menu item', 'Show Menubar', '<Primary><Alt>m')],
}


def item(node):
    keys = (node.get_key_binding(0) or '').split(';')  # "mnemonic;path;accelerator"
    # The peer's names of consoles lose an underscore to a mnemonic.
    name = node.get_name().replace('compatmonitor0', 'compat_monitor0')
    return node.get_role_name(), name, keys[-1] if len(keys) == 3 else ''


def tree(desktop, command, name):
    """Menu -> its items, without separators."""
    with Program(desktop, *command) as program:
        wait_for('window', lambda: program.process.poll() is None and desktop.find('.'), 30)

        def bar():
            root = Atspi.get_desktop(0)
            root.clear_cache()
            app = find(root, lambda node: node.get_name() == name)
            return app and find(app, lambda node: node.get_role_name() == 'menu bar')
        found = wait_for('menu bar', bar, 20)
        return {menu.get_name(): [item(child) for child in children(menu) if child.get_role_name() != 'separator']
                for menu in children(found)}


def check_within(peer, ours):
    """Each of the peer's, in its order; ours has others between them."""
    problems = []
    for menu, items in peer.items():
        at = 0
        for one in items:
            if one[1] == 'Copy':
                continue  # of terminals: shown where there is one
            try:
                at = ours.get(menu, []).index(one, at) + 1
            except ValueError:
                problems.append(f'{menu}: {one} is missing or out of order')
    return problems


def main():
    with Desktop(variables={'NO_AT_BRIDGE': '0', 'G_DEBUG': ''}, bus=True) as desktop:
        os.environ.update(desktop.env)
        Atspi.init()
        ours = tree(desktop, [sys.argv[1], '-S', '-accel', 'tcg', '-display', 'gtk,gl=off'], 'vitrine')
        problems = check_within(GOLDEN, ours)
        live = False
        if shutil.which(PEER):
            try:
                theirs = tree(desktop, [PEER, '-S', '-accel', 'tcg', '-display', 'gtk,gl=off'], 'qemu')
                live = True
            except AssertionError:
                print('the peer shows no window: its tree is the one written down')
        if live:
            problems += check_within(theirs, ours)
            problems += ['the peer: ' + problem for problem in check_within(GOLDEN, theirs)]
        assert not problems, '\n'.join(problems + [str(ours)])
    print('ok, with the peer' if live else 'ok')


main()
