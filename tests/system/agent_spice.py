# SPDX-License-Identifier: GPL-3.0-or-later
"""The same Debian, its agent spoken to by a viewer of SPICE: clipboard, size, pointer, files."""
import base64
import hashlib
import importlib.util
import os

import agent
import vm


def spice_tests():
    """The viewer of tests/spice/test-spice.py."""
    spec = importlib.util.spec_from_file_location('test_spice', vm.HERE.parent / 'spice/test-spice.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def b64(data):
    return base64.b64encode(data).decode()


def clipboard_works(g, v):
    for text in ('Grüße vom Gastgeber\n'.encode() * 3, b''.join(b'%d\n' % i for i in range(50000))):
        v.do('copy ' + b64(text))
        g.until('text from the viewer', 'timeout 5 xclip -selection clipboard -o | md5sum', hashlib.md5(text).hexdigest())
    for make in ("printf 'Gr\\303\\274\\303\\237e vom Gast\\n'", 'seq 1 50000'):
        text = 'Grüße vom Gast\n'.encode() if 'printf' in make else b''.join(b'%d\n' % i for i in range(1, 50001))
        g.shell(f'{make} > /root/text; xclip -selection clipboard -i /root/text > /dev/null 2>&1')
        assert base64.b64decode(v.wait('clipboard', 60).split()[1]) == text


class Guest(agent.Guest):
    """Without a window."""

    def __init__(self, m):  # pylint: disable=super-init-not-called
        self.m = m


@vm.case
def viewer():
    image = agent.disk()
    path = vm.scratch() / 'spice.sock'
    os.environ.setdefault('VITRINE', str(vm.program()))
    tests = spice_tests()
    if not tests.VIEWER:
        raise vm.Skip('there is no viewer: libspice-client-glib-2.0-dev')
    with vm.Machine('-accel', 'tcg', '-m', '1G', '-smp', '2', '-nodefaults', '-vga', 'cirrus', '-display', 'none',
                    '-spice', f'unix=on,addr={path},disable-ticketing=on', '-drive', f'if=virtio,file={image},format=raw',
                    '-kernel', vm.scratch() / 'vmlinuz', '-initrd', vm.scratch() / 'initrd.img',
                    '-append', 'root=/dev/vda rw console=ttyS0 quiet mitigations=off no_timer_check', '-device', 'virtio-serial-pci',
                    '-chardev', 'spicevmc,id=agent,name=vdagent', '-device',
                    'virtserialport,chardev=agent,name=com.redhat.spice.0', timeout=900) as m:
        m.wait('shell in the guest', 400)
        g = Guest(m)
        v = tests.Viewer(unix_path=str(path))
        v.wait('agent 1', 60)
        g.until('the agent', 'cat /root/vdagentd.log', 'connected')
        clipboard_works(g, v)
        v.do('monitors 800 600')
        g.until('the size of the window', 'xrandr', 'current 800 x 600')
        while v.wait('mouse', 20) != 'mouse client':
            pass
        g.shell("(xinput test 'spice vdagent tablet' > /root/motion 2>&1 &) ; sleep 1")
        for x in range(100, 700, 100):
            v.do(f'position {x} 300 0 0')
        g.until('events of the pointer', 'cat /root/motion', 'motion')
        file = vm.scratch() / 'file'
        file.write_bytes(os.urandom(3000000))
        v.do(f'send {file}')
        v.wait('sent', 60)
        g.until('the file', 'md5sum /root/Downloads/*', hashlib.md5(file.read_bytes()).hexdigest())
        v.close()
        m.quit()


if __name__ == '__main__':
    vm.run()
