# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the program and talking to it, for the tests of this folder."""
import json
import os
import socket
import subprocess
import tempfile
import time

PROGRAM = os.environ['VITRINE']
BASE = ['-display', 'none', '-nodefaults']
TIMEOUT = 60


def run(*args, stdin='', name=None):
    """Exit status and the outputs of a run that ends by itself."""
    program = PROGRAM
    with tempfile.TemporaryDirectory() as folder:
        if name:
            program = os.path.join(folder, name)
            os.symlink(PROGRAM, program)
        p = subprocess.run([program, *args], input=stdin, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return p.returncode, p.stdout, p.stderr


class Lines:
    """Lines to and from a socket. (A file that is open for both forgets what it has read ahead when it writes.)"""

    def __init__(self, connection):
        self.connection = connection
        self.input = connection.makefile('r', encoding='utf-8', newline='\n')
        self.readline = self.input.readline

    def write(self, text):
        self.connection.sendall(text.encode())

    def flush(self):
        pass

    def close(self):
        self.input.close()
        self.connection.close()


class Machine:
    """A machine with a QMP and a qtest socket."""

    def __init__(self, *args, qtest=False, qmp=True):
        self.folder = tempfile.TemporaryDirectory()
        self.work = tempfile.TemporaryDirectory()  # what it writes by names without a folder
        self.qmp_path = os.path.join(self.folder.name, 'qmp')
        self.qtest_path = os.path.join(self.folder.name, 'qtest')
        command = [PROGRAM, *BASE, *args]
        if qmp:
            command += ['-qmp', f'unix:{self.qmp_path},server=on,wait=off']
        if qtest:
            command += ['-accel', 'qtest', '-qtest', f'unix:{self.qtest_path},server=on,wait=off',
                        '-qtest-log', 'none']
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=self.work.name)
        self.events = []
        self.qmp = self.connect(self.qmp_path) if qmp else None
        self.qtest = self.connect(self.qtest_path) if qtest else None
        if qmp:
            self.greeting = self.read()

    def connect(self, path):
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(TIMEOUT)
                s.connect(path)
                return Lines(s)
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(self.process.communicate()[1]) from None
                time.sleep(0.01)

    def read(self):
        line = self.qmp.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def send(self, text):
        self.qmp.write(text + '\n')
        self.qmp.flush()

    def answer(self):
        while True:
            message = self.read()
            if 'event' not in message:
                return message
            self.events.append(message)

    def raw(self, text):
        self.send(text)
        return self.answer()

    def command(self, name, /, **arguments):
        request = {'execute': name}
        if arguments:
            request['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        return self.raw(json.dumps(request))

    def negotiate(self):
        assert self.command('qmp_capabilities') == {'return': {}}

    def wait_event(self, name):
        for event in self.events:
            if event['event'] == name:
                self.events.remove(event)
                return event
        while True:
            message = self.read()
            if message.get('event') == name:
                return message
            self.events.append(message)

    def hmp(self, line):
        return self.command('human-monitor-command', command_line=line)['return'].replace('\r\n', '\n')

    def test(self, line):
        """A command of the qtest protocol; interrupt messages before the answer are kept."""
        self.qtest.write(line + '\n')
        self.qtest.flush()
        while True:
            answer = self.qtest.readline().rstrip('\n')
            if not answer.startswith('IRQ '):
                return answer
            self.events.append(answer)

    def finish(self, status=0):
        """Waits for the end; the exit status must be as told and stderr clean."""
        _, err = self.process.communicate(timeout=TIMEOUT)
        assert self.process.returncode == status, (self.process.returncode, err)
        assert 'Sanitizer' not in err and 'runtime error' not in err, err
        for stream in (self.qmp, self.qtest):
            if stream:
                stream.close()
        left = os.listdir(self.folder.name)
        self.folder.cleanup()
        assert not left, left
        return err

    def quit(self):
        assert self.command('quit') == {'return': {}}
        return self.finish()


def main(tests):
    """Runs functions and prints TAP."""
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f'ok {number} - {test.__name__}', flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print(f'not ok {number} - {test.__name__}: {type(e).__name__} {e}'.replace('\n', '\n# '), flush=True)
    return 1 if failed else 0
