#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small window whose only use is that files can be dragged out of it: drag-source.py PATH..."""
import sys

import gi
gi.require_version('Gdk', '3.0')
gi.require_version('Gtk', '3.0')
from gi.repository import Gdk, Gio, Gtk

window = Gtk.Window(title='drag source')
box = Gtk.EventBox()
box.add(Gtk.Label(label='drag me'))
box.drag_source_set(Gdk.ModifierType.BUTTON1_MASK, [], Gdk.DragAction.COPY | Gdk.DragAction.MOVE)
box.drag_source_add_uri_targets()
box.connect('drag-data-get', lambda widget, context, data, info, time:
            data.set_uris([Gio.File.new_for_path(path).get_uri() for path in sys.argv[1:]]))
window.add(box)
window.set_default_size(100, 60)
window.connect('destroy', Gtk.main_quit)
window.show_all()
window.move(0, 0)
Gtk.main()
