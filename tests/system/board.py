# SPDX-License-Identifier: GPL-3.0-or-later
"""What the board tells a guest about processors, memory and slots, and what comes and goes while it runs."""
import re
import time

import vm

QUIET = 'console=ttyS0 mitigations=off no_timer_check'  # a busy host gives the timer no time for a trial


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


@vm.case
def pci_hotplug():
    """A card comes while Linux runs and goes when asked to, with its name by acpi-index; what stays asked for goes at reset."""
    with boot('-device', 'edu,id=first,addr=5') as m:
        devices = '/sys/bus/pci/devices'
        m.qmp('device_add', driver='pci-testdev', id='card', addr='7', **{'acpi-index': 9})
        vm.wait_for('the card', lambda: '0000:00:07.0' in m.shell(f'ls {devices}'), 20)
        assert m.shell(f'cat {devices}/0000:00:07.0/vendor') == '0x1b36'
        assert m.shell(f'cat {devices}/0000:00:07.0/acpi_index') == '9'
        resource = m.shell(f'head -1 {devices}/0000:00:07.0/resource').split()
        assert int(resource[0], 16) > 0, resource
        for name, slot in (('card', 7), ('first', 5)):
            m.qmp('device_del', id=name)
            event = m.qmp.wait_event('DEVICE_DELETED')
            assert event['data'] == {'device': name, 'path': f'/machine/peripheral/{name}'}, event
            vm.wait_for('no card', lambda: f'0000:00:0{slot}.0' not in m.shell(f'ls {devices}'), 20)
        m.qmp('device_add', driver='edu', id='again', addr='7')
        vm.wait_for('the card', lambda: '0000:00:07.0' in m.shell(f'ls {devices}'), 20)
        assert m.shell(f'cat {devices}/0000:00:07.0/vendor') == '0x1234'
        m.quit()
    with vm.Machine('-nodefaults', run=False) as m:
        m.qmp('device_add', driver='edu', id='card')
        m.qmp('device_del', id='card')
        try:
            m.qmp('device_del', id='card')
            raise ValueError('a second device_del')
        except AssertionError as error:
            assert 'already in the process of unplug' in str(error)
        m.qmp('system_reset')
        assert m.qmp.wait_event('DEVICE_DELETED')['data']['device'] == 'card'
        m.quit()
    with vm.Machine('-nodefaults', '-global', 'PIIX4_PM.acpi-root-pci-hotplug=off', run=False) as m:
        try:
            m.qmp('device_add', driver='edu', id='card')
            raise ValueError('a bus without hot-plug took a device')
        except AssertionError as error:
            assert 'does not support hotplugging' in str(error)
        m.quit()


@vm.case
def cpu_hotplug():
    """Processors come, work, go and come again."""
    with boot('-smp', '1,maxcpus=4,sockets=2,cores=2') as m:
        cpus = '/sys/devices/system/cpu'
        assert m.shell(f'cat {cpus}/possible {cpus}/online').split() == ['0-3', '0']
        places = m.qmp('query-hotpluggable-cpus')
        assert len(places) == 4 and sum('qom-path' in p for p in places) == 1, places
        free = [p for p in places if p['props'] == {'socket-id': 1, 'core-id': 0, 'thread-id': 0}]
        m.qmp('device_add', driver=free[0]['type'], id='third', **free[0]['props'])
        vm.wait_for('the processor', lambda: m.shell(f'ls -d {cpus}/cpu[0-9]*').count('cpu/cpu') == 2, 20)
        added = re.search(r'cpu([1-9])', m.shell(f'ls -d {cpus}/cpu[1-9]*'))[1]
        m.shell(f'echo 1 > {cpus}/cpu{added}/online')
        assert m.shell('grep -c ^processor /proc/cpuinfo') == '2'
        assert m.shell(f'cat {cpus}/cpu{added}/topology/physical_package_id') == '1'
        assert m.shell(f'taskset {1 << int(added):x} sh -c "i=0; while [ \\$i -lt 2000 ]; do i=\\$((i+1)); done; echo \\$i"') == '2000'
        assert [c['cpu-index'] for c in m.qmp('query-cpus-fast')] == [0, 2]
        assert any(s.get('device') == 'third' and s['status'] == 0 for s in m.qmp('query-acpi-ospm-status'))

        m.qmp('device_del', id='third')
        assert m.qmp.wait_event('DEVICE_DELETED')['data']['device'] == 'third'
        assert m.shell(f'cat {cpus}/online') == '0'
        assert [c['cpu-index'] for c in m.qmp('query-cpus-fast')] == [0]
        m.qmp('device_add', driver=free[0]['type'], id='more', **{'socket-id': 0, 'core-id': 1, 'thread-id': 0})
        vm.wait_for('the processor', lambda: m.shell(f'ls -d {cpus}/cpu[0-9]*').count('cpu/cpu') == 2, 20)
        m.qmp('system_reset')
        m.wait('shell on ', 100)
        assert m.shell('grep -c ^processor /proc/cpuinfo') == '2'
        m.quit()


@vm.case
def memory_hotplug():
    """Modules come before the start and while Linux runs; one goes."""
    with boot('-object', 'memory-backend-ram,id=early,size=128M', '-device', 'pc-dimm,id=d0,memdev=early',
              memory='256M,slots=4,maxmem=2G') as m:
        blocks = '/sys/devices/system/memory'
        before = int(m.shell('grep MemTotal /proc/meminfo').split()[1])
        m.shell(f'for b in {blocks}/memory*/state; do echo online > $b; done 2>/dev/null; true')
        total = int(m.shell('grep MemTotal /proc/meminfo').split()[1])
        assert total >= before + (120 << 10), (before, total)
        m.qmp('object-add', **{'qom-type': 'memory-backend-memfd', 'id': 'late', 'size': 256 << 20})
        m.qmp('device_add', driver='pc-dimm', id='d1', memdev='late')
        found = {d['data']['id']: d['data'] for d in m.qmp('query-memory-devices')}
        assert found['d0']['addr'] == 0x100000000 and not found['d0']['hotplugged'], found
        assert found['d1']['addr'] == 0x108000000 and found['d1']['slot'] == 1 and found['d1']['hotplugged'], found
        event = m.qmp.wait_event('ACPI_DEVICE_OST')
        assert event['data']['info'] == {'device': 'd1', 'slot': '1', 'slot-type': 'DIMM', 'source': 1, 'status': 0}, event
        m.shell(f'for b in {blocks}/memory*/state; do echo online_movable > $b; done 2>/dev/null; true')
        after = int(m.shell('grep MemTotal /proc/meminfo').split()[1])
        assert after >= total + (250 << 10), (total, after)
        assert m.qmp('query-memory-size-summary') == {'base-memory': 256 << 20, 'plugged-memory': 384 << 20}
        m.shell('mkdir -p /t; mount -t tmpfs -o size=400M none /t; dd if=/dev/urandom of=/t/x bs=1M count=300 2>/dev/null')
        m.shell('md5sum /t/x > /sum; md5sum -c /sum; rm /t/x', 60)

        m.qmp('device_del', id='d1')
        assert m.qmp.wait_event('DEVICE_DELETED', 60)['data']['device'] == 'd1'
        assert int(m.shell('grep MemTotal /proc/meminfo').split()[1]) <= total
        m.qmp('object-del', id='late')
        m.quit()


@vm.case
def inventory():
    """SMBIOS structures of slots and devices, the tables of users, the generation identifier."""
    table = vm.scratch() / 'body'
    table.write_bytes(b'body of a table')
    with boot('-device', 'edu,id=e,addr=6', '-smbios', 'type=9,slot_designation=Slot X,slot_id=3,pci_device=e',
              '-smbios', 'type=41,designation=Trainer,kind=other,pcidev=e', '-acpitable',
              f'sig=OEMX,oem_id=ABCDEF,rev=2,data={table}', '-device',
              'vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87', '-device', 'vmcoreinfo') as m:
        names = m.shell('strings /sys/firmware/dmi/tables/DMI')
        assert 'Slot X' in names and 'Trainer' in names, names
        assert 'body of a table' in m.shell('strings /sys/firmware/acpi/tables/OEMX')
        assert m.qmp('query-vm-generation-id')['guid'] == '324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87'
        assert 'QEMUVGID' in m.shell('ls /sys/bus/acpi/devices')
        path = f'{m.folder.name}/memory'
        m.qmp('pmemsave', val=0, size=256 << 20, filename=path)
        with open(path, 'rb') as file:
            places = [found.start() % 4096 for found in
                      re.finditer(re.escape(bytes.fromhex('af6e4e32d1d1f64bbf41b9bb6c91fb87')), file.read())]
        assert 40 in places, places
        m.quit()


vm.run()
