# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of widgets as a screen reader has it (AT-SPI)."""
import sys

from desktop import SKIP

try:
    import gi
    gi.require_version('Atspi', '2.0')
    from gi.repository import Atspi, GLib
except (ImportError, ValueError):
    print('skipped: no Atspi for Python')
    sys.exit(SKIP)

__all__ = ['Atspi', 'below', 'children', 'doubled_mnemonics', 'find']


def children(node):
    return [node.get_child_at_index(i) for i in range(node.get_child_count())]


def below(node):
    """NODE and all that is in it."""
    if node:
        yield node
        for child in children(node):
            yield from below(child)


def doubled_mnemonics(bar):
    """Those that several items of a menu have."""
    found = []
    for menu in below(bar):
        letters = [(item.get_key_binding(0) or '').split(';')[0].lower() for item in children(menu) if item]
        found += [f'{menu.get_name()}: {letter}' for letter in sorted(set(letters) - {''}) if letters.count(letter) > 1]
    return found


def find(node, test):
    """The first below NODE, itself included, or None. Who does not answer in time, as while it begins, is not there yet."""
    try:
        if test(node):
            return node
        nodes = children(node)
    except GLib.Error:
        return None
    for child in nodes:
        found = child and find(child, test)
        if found:
            return found
    return None
