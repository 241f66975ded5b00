# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, pixels and pings without a process for each."""
import ctypes
import os
import threading
import time

__all__ = ['Eye', 'Pulse', 'Watch', 'processor_seconds']


def processor_seconds(pid):
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


class ClientMessage(ctypes.Structure):
    _fields_ = [('type', ctypes.c_int), ('serial', ctypes.c_ulong), ('send_event', ctypes.c_int),
                ('display', ctypes.c_void_p), ('window', ctypes.c_ulong), ('message_type', ctypes.c_ulong),
                ('format', ctypes.c_int), ('data', ctypes.c_long * 5), ('rest', ctypes.c_long * 12)]


class Eye:
    """Presses keys and reads pixels of the screen."""

    def __init__(self, name):
        self.x11 = ctypes.CDLL('libX11.so.6')
        self.xtest = ctypes.CDLL('libXtst.so.6')
        for function, result, *args in (
                ('XOpenDisplay', ctypes.c_void_p, ctypes.c_char_p),
                ('XDefaultRootWindow', ctypes.c_ulong, ctypes.c_void_p),
                ('XSync', ctypes.c_int, ctypes.c_void_p, ctypes.c_int),
                ('XFlush', ctypes.c_int, ctypes.c_void_p),
                ('XPending', ctypes.c_int, ctypes.c_void_p),
                ('XNextEvent', ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
                ('XSelectInput', ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_long),
                ('XInternAtom', ctypes.c_ulong, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
                ('XSendEvent', ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p),
                ('XGetImage', ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int,
                 ctypes.c_uint, ctypes.c_uint, ctypes.c_ulong, ctypes.c_int),
                ('XGetPixel', ctypes.c_ulong, ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
                ('XDestroyImage', ctypes.c_int, ctypes.c_void_p)):
            getattr(self.x11, function).restype = result
            getattr(self.x11, function).argtypes = args
        self.xtest.XTestFakeKeyEvent.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ulong]
        self.display = self.x11.XOpenDisplay(name.encode())
        self.root = self.x11.XDefaultRootWindow(self.display)

    def pixels(self, x, y, width=1, height=1):
        image = self.x11.XGetImage(self.display, self.root, x, y, width, height, 0xffffffff, 2)
        pixels = tuple(self.x11.XGetPixel(image, column, row) & 0xffffff for row in range(height) for column in range(width))
        self.x11.XDestroyImage(image)
        return pixels

    def pixel(self, x, y):
        return self.pixels(x, y)[0]

    def key(self, keycode, down):
        self.xtest.XTestFakeKeyEvent(self.display, keycode, down, 0)
        self.x11.XSync(self.display, 0)


class Pulse(threading.Thread):
    """How long a window's program takes to look at what the display server has for it, while the "with" lasts: it is pinged
    as window managers do (EWMH, _NET_WM_PING) every few milliseconds. "slowest" is in milliseconds, and includes what a busy host
    makes us, the server and the program wait. A program that does not answer ten seconds after the end is not counted."""
    EVERY = 0.005

    def __init__(self, name, window):
        super().__init__(daemon=True)
        self.eye = Eye(name)
        self.window = window
        self.slowest = self.count = 0
        self.ended = None

    def over(self, patience):
        return self.ended is not None and time.monotonic() > self.ended + patience

    def run(self):
        x11, display, root = self.eye.x11, self.eye.display, self.eye.root
        protocols = x11.XInternAtom(display, b'WM_PROTOCOLS', 0)
        ping = x11.XInternAtom(display, b'_NET_WM_PING', 0)
        x11.XSelectInput(display, root, 1 << 19)  # SubstructureNotifyMask
        event = ClientMessage()
        number = 1000
        while not self.over(0):
            number += 1
            sent = ClientMessage(type=33, window=self.window, message_type=protocols, format=32)
            sent.data[:3] = ping, number, self.window
            began = time.monotonic()
            x11.XSendEvent(display, self.window, 0, 0, ctypes.byref(sent))
            x11.XFlush(display)
            answered = False
            while not answered and not self.over(10):
                while x11.XPending(display):
                    x11.XNextEvent(display, ctypes.byref(event))
                    answered |= event.type == 33 and event.message_type == protocols and event.data[1] == number
                self.slowest = max(self.slowest, (time.monotonic() - began) * 1000)
                time.sleep(0.0005)
            if not answered:
                self.count = 0
                return
            self.count += 1
            time.sleep(self.EVERY)

    def __enter__(self):
        self.start()
        time.sleep(0.05)
        self.slowest = 0
        return self

    def __exit__(self, *_):
        self.ended = time.monotonic()
        self.join()


class Watch:
    """What watchdog.c says of a program while the "with" lasts; MODULE is that, built. The program is started with "env"."""

    def __init__(self, desktop, module):
        self.path = os.path.join(desktop.home, 'watchdog')
        self.env = {'GTK_MODULES': module, 'VITRINE_WATCHDOG': self.path, 'VITRINE_WATCHDOG_SERVER': str(desktop.server.pid)}

    def __enter__(self):
        self.began = time.monotonic()
        self.slowest = self.waited = 0  # milliseconds: that the window did not listen; that it waited for a processor
        self.parts = []  # of the slowest: that it ran, slept, waited for a processor
        return self

    def __exit__(self, *_):
        time.sleep(0.1)  # what has just been answered may not be at its end
        with open(self.path) as file:
            lines = [list(map(float, line.split())) for line in file if line[0].isdigit()]
        for end, blocked, *parts in lines:
            if end > self.began:
                self.waited = max(self.waited, parts[-1])
                if blocked > self.slowest:
                    self.slowest, self.parts = blocked, parts

    def words(self):
        """For people: the longest of these times, and who was called in the last of them."""
        with open(self.path) as file:
            lines = file.readlines()
        numbers = sorted((line for line in lines if line[0].isdigit()), key=lambda line: -float(line.split()[1]))
        callers = ''.join(line for line in lines if not line[0].isdigit()).split('# callers\n')
        return 'end blocked ran slept waited\n' + ''.join(numbers[:12]) + '# callers\n'.join(callers[-4:])
