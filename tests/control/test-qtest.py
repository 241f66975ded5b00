#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The register-level test protocol."""
import sys

from program import Machine, main


def protocol():
    m = Machine(qtest=True)
    assert m.test('endianness') == 'OK little'
    assert m.test('writeb 0x1000 0x5a') == 'OK'
    assert m.test('readb 0x1000') == 'OK 0x000000000000005a'
    assert m.test('writeq 0x1000 0x1122334455667788') == 'OK'
    assert m.test('readl 0x1002') == 'OK 0x0000000033445566'
    assert m.test('write 0x2000 0x4 0x01020304') == 'OK'
    assert m.test('read 0x2000 0x4') == 'OK 0x01020304'
    assert m.test('write 0x2000 4 0xff') == 'OK'
    assert m.test('read 0x2000 4') == 'OK 0xff000000'
    assert m.test('b64write 0x3000 3 YWJj') == 'OK'
    assert m.test('b64read 0x3000 3') == 'OK YWJj'
    assert m.test('memset 0x4000 0x10 0x77') == 'OK'
    assert m.test('readw 0x400e') == 'OK 0x0000000000007777'
    assert m.test('nonsense') == "FAIL Unknown command 'nonsense'"
    assert m.test('readb') == 'FAIL readb: arguments are missing'
    assert m.test('readb zz') == "FAIL Invalid number 'zz'"
    assert m.test('read 0 0xffffffffffffffff').startswith('FAIL ')
    m.negotiate()
    m.quit()


def ports_and_time():
    m = Machine(qtest=True)
    assert m.test('outb 0x70 0x0f') == 'OK'
    assert m.test('outb 0x71 0x42') == 'OK'
    assert m.test('inb 0x71') == 'OK 0x0042'
    assert m.test('clock_step 1000') == 'OK 1000'
    assert m.test('clock_set 5000') == 'OK 5000'
    m.negotiate()
    m.quit()


def timer_interrupt():
    m = Machine(qtest=True)
    assert m.test('irq_intercept_in /machine') == 'OK'
    # 8254 counter 0, mode 2, 1193 ticks: about a millisecond.
    for port, value in ((0x43, 0x34), (0x40, 0xa9), (0x40, 0x04)):
        assert m.test(f'outb {port} {value}') == 'OK'
    m.events.clear()
    m.test('clock_step 3000000')
    assert any(e.startswith('IRQ raise ') for e in m.events), m.events
    m.negotiate()
    m.quit()


sys.exit(main([protocol, ports_and_time, timer_interrupt]))
