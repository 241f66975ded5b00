# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of widgets as a screen reader has it (AT-SPI)."""
import sys

from desktop import SKIP

try:
    import gi
    gi.require_version('Atspi', '2.0')
    from gi.repository import Atspi
except (ImportError, ValueError):
    print('skipped: no Atspi for Python')
    sys.exit(SKIP)

__all__ = ['Atspi', 'children', 'find']


def children(node):
    return [node.get_child_at_index(i) for i in range(node.get_child_count())]


def find(node, test):
    """The first below NODE, itself included, or None."""
    if test(node):
        return node
    for child in children(node):
        found = child and find(child, test)
        if found:
            return found
    return None
