#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Viewers as people use them: each shows the pixels of screendump, and what is typed, clicked and resized in it reaches the
guest. Those that are not installed are left out. The path of the program is in VITRINE."""
import base64
import contextlib
import fcntl
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../control'))
# pylint: disable=wrong-import-position
from program import main
from rfb import Client
from screen import Screen, free_port, make_certificates, until

NOVNC = '/usr/share/novnc'
KEY_A = [0x1e, 0x9e]


def missing(*programs):
    for name in programs:
        if not (os.path.exists(name) if '/' in name else shutil.which(name)):
            print(f'# {name} is not here')
            return True
    return False


def rgb_of(path):
    return subprocess.run(['convert', path, '-depth', '8', 'rgb:-'], capture_output=True, check=True, timeout=20).stdout


def clicked(m):
    """Whether the first button of the mouse has been down: packets of three bytes after one answer."""
    return any(first & 9 == 9 for first in m.moved[1::3])


def picture_is_there(m, port):
    """The screen has been read by somebody, so that viewers see all of it at once."""
    c = Client(('127.0.0.1', port))
    c.request(False)
    until(c, m.dump())
    c.close()


def serve_screen(*args):
    port = free_port()
    m = Screen('-vnc', f'127.0.0.1:{port - 5900},key-delay-ms=0', *args)
    m.draw(m.desk())
    picture_is_there(m, port)
    return m, port


# --- viewers that write files

def libvncclient():
    """All encodings, in the clear and under TLS; keys, buttons, a wish for a size."""
    viewer = os.environ.get('VNC_VIEWER')
    if not viewer:
        print('# LibVNCClient is not here')
        return
    secure = free_port()
    m, port = serve_screen('-vnc', f'127.0.0.1:{secure - 5900},id=b,tls-creds=t', '-object',
                           'tls-creds-anon,id=t,endpoint=server')
    with tempfile.TemporaryDirectory() as folder:
        picture = os.path.join(folder, 'picture')
        for place in (port, secure):
            for encodings in ('raw', 'copyrect hextile', 'zlib', 'zrle', 'tight', 'copyrect tight zrle hextile'):
                p = subprocess.run([viewer, '127.0.0.1', str(place), encodings, picture], capture_output=True, text=True,
                                   timeout=30, check=False)
                assert p.returncode == 0, (place == secure, encodings, p.stderr[-500:])
                with open(picture, 'rb') as f:
                    assert f.read() == m.dump(), encodings
        m.plug_in()
        subprocess.run([viewer, '127.0.0.1', str(port), 'zrle', picture, 'hands'], check=True, capture_output=True, timeout=30)
    assert m.scan_codes(2) == KEY_A
    m.wait_hands('a click', lambda: clicked(m))
    m.wait_hands('a size', lambda: m.wish() == (800, 600))
    m.quit()


def snapshots():
    """gvnccapture and vncsnapshot."""
    m, port = serve_screen()
    with tempfile.TemporaryDirectory() as folder:
        picture = os.path.join(folder, 'picture')
        if not missing('gvnccapture', 'convert'):
            subprocess.run(['gvnccapture', f'127.0.0.1:{port - 5900}', picture + '.png'], capture_output=True, check=True,
                           timeout=30)
            assert rgb_of(picture + '.png') == m.dump()
        if not missing('vncsnapshot', 'convert'):
            m.draw(m.smooth())
            picture_is_there(m, port)
            subprocess.run(['vncsnapshot', '-quality', '100', f'127.0.0.1:{port - 5900}', picture + '.jpg'], check=True,
                           capture_output=True, timeout=30)
            seen, wanted = rgb_of(picture + '.jpg'), m.dump()
            assert len(seen) == len(wanted)
            assert max(abs(a - b) for a, b in zip(seen, wanted)) <= 8  # it writes JPEG
    m.quit()


# --- viewers with windows

class Desktop:
    """A display of our own with a window manager."""

    def __init__(self, width=1100, height=900):
        self.width = width
        self.place = tempfile.TemporaryDirectory()
        end, theirs = os.pipe()
        self.server = subprocess.Popen(['Xvfb', '-displayfd', str(theirs), '-screen', '0', f'{width}x{height}x24'],
                                       pass_fds=[theirs], stderr=subprocess.DEVNULL)
        os.close(theirs)
        with os.fdopen(end) as numbers:
            self.env = dict(os.environ, DISPLAY=':' + numbers.readline().strip(), HOME=self.place.name)
        self.children = [self.start('openbox')]
        # A window that comes while the manager starts is never shown.
        end = time.monotonic() + 20
        while b'window id' not in subprocess.run(['xprop', '-root', '_NET_SUPPORTING_WM_CHECK'], env=self.env, timeout=20,
                                                 capture_output=True, check=False).stdout and time.monotonic() < end:
            time.sleep(0.05)

    def start(self, *words):
        return subprocess.Popen(words, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def open(self, *words):
        self.children.append(self.start(*words))
        return self.children[-1]

    def tool(self, *words):
        return subprocess.run(['xdotool', *map(str, words)], env=self.env, capture_output=True, text=True, timeout=20,
                              check=True).stdout

    def find(self, picture, width):
        """Where PICTURE is on the screen; None: it is not."""
        path = os.path.join(self.place.name, 'root.png')
        subprocess.run(['import', '-window', 'root', path], env=self.env, check=True, timeout=20)
        screen, row, stride = rgb_of(path), 3 * width, 3 * self.width
        at = -1
        while (at := screen.find(picture[:row], at + 1)) >= 0:
            if all(screen[at + stride * (y // row):at + stride * (y // row) + row] == picture[y:y + row]
                   for y in range(0, len(picture), row)):
                return at // 3 % self.width, at // 3 // self.width
        return None

    def wait_picture(self, m):
        end = time.monotonic() + 40
        while time.monotonic() < end:
            found = self.find(m.dump(), m.width)
            if found:
                return found
            time.sleep(0.3)
        raise AssertionError('the window never shows it')

    def close(self):
        for p in reversed(self.children + [self.server]):
            p.kill()
            p.wait()
        self.place.cleanup()


def use_window(m, desk, resizes):
    """What is done by hand in the window that shows M's screen."""
    x, y = desk.wait_picture(m)
    m.draw(m.desk())
    x, y = desk.wait_picture(m)
    m.plug_in()
    desk.tool('mousemove', x + 300, y + 200, 'click', 1)
    m.wait_hands('a click', lambda: clicked(m))
    desk.tool('key', 'a')
    m.wait_hands('a key', lambda: KEY_A == [c for c in m.typed if c in KEY_A])
    if not resizes:
        return
    before = m.wish()
    desk.tool('getactivewindow', 'windowsize', 896, 700)
    m.wait_hands('a size', lambda: m.wish() == (896, 700) != before)
    m.set_mode(*m.wish())  # as a guest does that follows
    m.draw(m.desk())
    desk.wait_picture(m)


def window(resizes, *words):
    m, port = serve_screen()
    with contextlib.closing(Desktop()) as desk:
        desk.open(*(word.replace('PORT', str(port)).replace('NUMBER', str(port - 5900)) for word in words))
        use_window(m, desk, resizes)
    m.quit()


def tigervnc():
    if not missing('vncviewer', 'Xvfb', 'import', 'xdotool', 'openbox'):
        window(True, 'vncviewer', '-SecurityTypes', 'None', '-RemoteResize', '1', '127.0.0.1::PORT')


def gvncviewer():
    if not missing('gvncviewer', 'Xvfb', 'import', 'xdotool', 'openbox'):
        window(False, 'gvncviewer', '127.0.0.1:NUMBER')


# --- viewers in browsers

class Browser:
    """Chromium without a window, led by its own protocol over pipes."""

    def __init__(self, width=1000, height=800):
        self.place = tempfile.TemporaryDirectory()
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (theirs_in, theirs_out)]
        self.process = subprocess.Popen(
            ['bash', '-c', f'exec "$@" 3<&{high[0]} 4>&{high[1]}', 'bash', 'chromium', '--headless', '--no-sandbox', '--disable-gpu',
             '--disable-dev-shm-usage', '--no-first-run', '--ignore-certificate-errors', '--remote-debugging-pipe',
             f'--window-size={width},{height}', f'--user-data-dir={self.place.name}', 'about:blank'],
            pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            start_new_session=True, env=dict(os.environ, HOME=self.place.name))
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        self.input, self.output = os.fdopen(ours_in, 'rb', 0), os.fdopen(ours_out, 'wb', 0)
        self.killer = threading.Timer(200, self.kill)
        self.killer.daemon = True
        self.killer.start()
        self.buffer, self.number, self.session = b'', 0, None
        target = self.ask('Target.createTarget', url='about:blank')['targetId']
        self.session = self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        self.resize(width, height)

    def read(self):
        while b'\0' not in self.buffer:
            more = self.input.read(1 << 20)
            assert more, 'the browser has gone'
            self.buffer += more
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def ask(self, method, **parameters):
        self.number += 1
        request = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            request['sessionId'] = self.session
        data = json.dumps(request).encode() + b'\0'
        while data:
            data = data[self.output.write(data):]
        while True:
            answer = self.read()
            if answer.get('id') == self.number:
                assert 'error' not in answer, answer
                return answer['result']

    def evaluate(self, script):
        answer = self.ask('Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def resize(self, width, height):
        self.ask('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)

    def canvas(self):
        """Where it is and what it shows, as bytes R, G, B; None: there is none yet."""
        found = self.evaluate('''(() => {
            const canvas = document.querySelector('#noVNC_container canvas');
            if (!canvas || !canvas.width) return null;
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let text = '';
            for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
            const at = canvas.getBoundingClientRect();
            return [at.x, at.y, canvas.width, canvas.height, btoa(text)];
        })()''')
        if not found:
            return None
        data = bytearray(base64.b64decode(found.pop()))
        del data[3::4]
        return *found, bytes(data)

    def mouse(self, kind, x, y, buttons):
        self.ask('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=buttons, clickCount=1)

    def key(self, kind, letter):
        self.ask('Input.dispatchKeyEvent', type=kind, key=letter, code='Key' + letter.upper(),
                 windowsVirtualKeyCode=ord(letter.upper()), **({'text': letter} if kind == 'keyDown' else {}))

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self):
        self.killer.cancel()
        self.kill()
        self.process.wait()
        self.input.close()
        self.output.close()
        for _ in range(50):  # its children may still write
            with contextlib.suppress(OSError):
                self.place.cleanup()
                return
            time.sleep(0.1)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """The folder of noVNC."""

    def __init__(self, *args):
        super().__init__(*args, directory=NOVNC)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


@contextlib.contextmanager
def pages():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def wait_canvas(browser, m):
    end = time.monotonic() + 40
    while time.monotonic() < end:
        found = browser.canvas()
        if found and found[2:4] == (m.width, m.height) and found[4] == m.dump():
            return found
        time.sleep(0.2)
    status = browser.evaluate("(document.querySelector('#noVNC_status') || {}).textContent")
    raise AssertionError(f'the page never shows it: {status!r}, {found and found[:4]}')


def novnc():
    """Over WebSocket, also under TLS: pixels, keys, buttons, sizes."""
    if missing('chromium', NOVNC, 'certtool'):
        return
    plain, secure = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, pages() as port:
        make_certificates(folder)
        m = Screen('-vnc', f'unix:@,websocket=127.0.0.1:{plain},key-delay-ms=0', '-vnc',
                   f'unix:@t,id=t,tls-creds=t,websocket=127.0.0.1:{secure}', '-object',
                   f'tls-creds-x509,id=t,dir={folder},endpoint=server,verify-peer=off')
        m.draw(m.desk())
        m.plug_in()
        with contextlib.closing(Browser()) as browser:
            def open_page(ws, **settings):
                query = urllib.parse.urlencode({'autoconnect': 1, 'host': '127.0.0.1', 'port': ws, 'path': '', **settings})
                browser.ask('Page.navigate', url=f'http://127.0.0.1:{port}/vnc.html?{query}')
            open_page(secure, encrypt=1)
            wait_canvas(browser, m)
            open_page(plain, encrypt=0, resize='off')
            x, y = wait_canvas(browser, m)[:2]
            for picture in (m.noise, m.smooth, m.desk):
                m.draw(picture())
                wait_canvas(browser, m)
            for kind, buttons in (('mouseMoved', 0), ('mousePressed', 1), ('mouseReleased', 0)):
                browser.mouse(kind, x + 200, y + 100, buttons)
            m.wait_hands('a click', lambda: clicked(m))
            browser.key('keyDown', 'a')
            browser.key('keyUp', 'a')
            m.wait_hands('a key', lambda: KEY_A == [c for c in m.typed if c in KEY_A])
            open_page(plain, encrypt=0, resize='remote')
            browser.resize(960, 600)
            m.wait_hands('a size', lambda: m.wish() == (960, 600))
            m.set_mode(960, 600)
            m.draw(m.desk())
            wait_canvas(browser, m)
        m.quit()


# --- deaths

def killed():
    """A thousand viewers die at any moment; the server does not mind."""
    m, port = serve_screen()
    r = random.Random(3)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        picture = os.path.join(folder, 'picture')
        kinds = []
        if os.environ.get('VNC_VIEWER'):
            kinds += [[os.environ['VNC_VIEWER'], '127.0.0.1', str(port), encodings, picture]
                      for encodings in ('copyrect tight', 'zrle', 'hextile')]
        if not missing('gvnccapture'):
            kinds.append(['gvnccapture', f'127.0.0.1:{port - 5900}', picture + '.png'])
        if not missing('vncsnapshot'):
            kinds.append(['vncsnapshot', f'127.0.0.1:{port - 5900}', picture + '.jpg'])
        env = None
        if not missing('vncviewer', 'Xvfb', 'openbox'):
            env = stack.enter_context(contextlib.closing(Desktop())).env
            kinds.append(['vncviewer', '-SecurityTypes', 'None', f'127.0.0.1::{port}'])
        for n in range(1000 if kinds else 0):
            words = r.choice(kinds)
            p = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if n % 16 == 0:
                m.draw(m.noise(5))
            time.sleep(r.uniform(0, 0.4 if words[0] == 'vncviewer' else 0.12))
            p.kill()
            p.wait()
            assert m.process.poll() is None, f'death {n}'
    picture_is_there(m, port)
    end = time.monotonic() + 20
    while m.command('query-vnc')['return']['clients']:
        assert time.monotonic() < end, 'somebody stays'
        time.sleep(0.1)
    m.quit()


TESTS = [libvncclient, snapshots, tigervnc, gvncviewer]
SLOW = [novnc, killed]

if __name__ == '__main__':
    chosen = sys.argv[1:]
    sys.exit(main([t for t in TESTS + SLOW if (t.__name__ in chosen if chosen else t in TESTS)]))
