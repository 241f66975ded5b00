# SPDX-License-Identifier: GPL-3.0-or-later
"""The image tools under test, and those of another make beside them where installed."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'control'))
os.environ.setdefault('VITRINE', os.environ['VITRINE_IMG'])  # program.py wants one

OURS = {'qemu-img': os.environ['VITRINE_IMG'], 'qemu-io': os.environ['VITRINE_IO']}
if 'VITRINE_NBD' in os.environ:
    OURS['qemu-nbd'] = os.environ['VITRINE_NBD']
PEERS = {name: shutil.which(name, path='/usr/bin:/usr/local/bin') for name in OURS}
HAVE_PEER = bool(PEERS['qemu-img'] and PEERS['qemu-io'])
TIMEOUT = 60


class Bench:
    """A folder with the tools in it under the names scripts use, and (PEER) the others in another folder."""

    def __init__(self, peer=False):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name
        self.bin = tempfile.TemporaryDirectory()
        for name, program in (PEERS if peer else OURS).items():
            if program:
                os.symlink(program, os.path.join(self.bin.name, name))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.folder.cleanup()
        self.bin.cleanup()

    def run(self, *command, stdin=''):
        """Status, stdout, stderr of "qemu-img ..."."""
        p = subprocess.run([os.path.join(self.bin.name, command[0]), *command[1:]], cwd=self.path, input=stdin,
                           capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert 'Sanitizer' not in p.stderr and 'runtime error' not in p.stderr, p.stderr
        return p.returncode, p.stdout, p.stderr

    def img(self, *args):
        """Output of a vitrine-img that must succeed."""
        status, out, err = self.run('qemu-img', *args)
        assert status == 0, (args, status, out, err)
        return out

    def io(self, image, *commands, options=()):
        args = [word for command in commands for word in ('-c', command)]
        status, out, err = self.run('qemu-io', *options, *args, image)
        assert status == 0, (commands, status, out, err)
        return out

    def json(self, *args):
        return json.loads(self.img(*args))

    def file(self, name):
        return os.path.join(self.path, name)


def normal(text):
    """TEXT without what differs from run to run."""
    text = re.sub(r'\d+\.\d+ sec.*', 'TIME', text)
    text = re.sub(r'\d+\.\d+ seconds', 'TIME', text)
    text = re.sub(r'\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d', 'DATE', text)
    text = re.sub(r'(?m)^Child node .*\n( {4}.*\n)*', '', text)
    text = re.sub(r'disk size: .*', 'disk size', text)
    text = re.sub(r'\d+\.\d+% fragmented', 'fragmented', text)  # by who of several writers came first
    text = re.sub(r'#block\d+', '#block', text)
    text = re.sub(r'"compressed": \w+(, )?', '', text).replace(', }', '}')
    return text.rstrip('\n')


def pare(value):
    """JSON of info without what the peer's age lacks and what hosts decide."""
    if isinstance(value, dict):
        return {k: pare(v) for k, v in value.items()
                if k not in ('children', 'actual-size', 'date-sec', 'date-nsec', 'compressed', 'uuid', 'iters', 'fragmented-clusters',
                             'offset')}
    if isinstance(value, list):
        return [pare(v) for v in value]
    return value
