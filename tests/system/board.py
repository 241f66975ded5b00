# SPDX-License-Identifier: GPL-3.0-or-later
"""What the board tells a guest about processors, memory and slots, and what comes and goes while it runs."""
import re
import time

import vm

QUIET = 'console=ttyS0 mitigations=off'


def boot(*options, append=QUIET, memory='256M', seconds=100):
    machine = vm.Machine('-accel', 'tcg', '-m', memory, '-kernel', vm.linux(), '-initrd', vm.initramfs(), '-append',
                         append, '-nodefaults', *options)
    try:
        machine.wait('shell on ', seconds)
    except BaseException as error:
        machine.__exit__(type(error))
        raise
    return machine


def backends(**sizes):
    words = []
    for name, size in sizes.items():
        words += ['-object', f'memory-backend-ram,id={name},size={size}']
    return words


@vm.case
def numa():
    """Nodes with memory of their own, distances, and the attributes of memory."""
    with boot('-machine', 'hmat=on', '-smp', '3,sockets=3', *backends(a='192M', b='64M'),
              '-numa', 'node,memdev=a,cpus=0-1', '-numa', 'node,memdev=b,cpus=2', '-numa', 'node,initiator=0',
              '-numa', 'dist,src=0,dst=1,val=21', '-numa', 'dist,src=0,dst=2,val=33',
              '-numa', 'dist,src=1,dst=2,val=44',
              '-numa', 'hmat-lb,initiator=0,target=1,hierarchy=memory,data-type=access-latency,latency=150',
              '-numa', 'hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=10',
              '-numa', 'hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-bandwidth,bandwidth=20G',
              '-numa', 'hmat-lb,initiator=1,target=1,hierarchy=memory,data-type=access-latency,latency=25',
              '-numa', 'hmat-cache,node-id=0,size=16M,level=1,associativity=direct,policy=write-back,line=64') as m:
        node = '/sys/devices/system/node/'
        assert m.shell(f'cat {node}online') == '0-1', m.shell(f'cat {node}online')
        assert m.shell(f'cat {node}node0/cpulist {node}node1/cpulist').split() == ['0-1', '2']
        assert m.shell(f'cat {node}node0/distance').split()[:2] == ['10', '21']
        sizes = [int(line.split()[3]) for line in m.shell(f'grep -h MemTotal {node}node*/meminfo').splitlines()]
        assert 100000 < sizes[0] < 196608 and 40000 < sizes[1] <= 65536, sizes
        text = m.shell('dmesg | grep -i "acpi: HMAT\\|acpi/hmat\\|SRAT: Node\\|hmat"')
        assert 'HMAT' in text and 'SRAT: Node 1' in text, text
        assert 'Invalid' not in text and re.search(r'Initiator-Target.*150 nsec', text), text
        assert m.hmp('info numa').splitlines()[:3] == ['3 nodes', 'node 0 cpus: 0 1', 'node 0 size: 192 MB']
        places = m.qmp('query-hotpluggable-cpus')
        assert sorted(p['props']['node-id'] for p in places) == [0, 0, 1], places
        assert {b['id'] for b in m.qmp('query-memdev')} == {'a', 'b'}
        m.quit()


vm.run()
