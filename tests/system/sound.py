# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound cards under Debian's kernel and its drivers: what a program counts is what is in the file; tones are in tune."""
import array
import functools
import wave

import storage
import vm

COUNT = 100000
ISA = 'memmap=128K$0x700000 iomem=relaxed'


@functools.cache
def program():
    vm.need('gcc')
    output = vm.scratch() / 'sound'
    vm.tool('gcc', '-O1', '-static', '-o', output, vm.HERE / 'guest/sound.c', '-lm')
    return output.read_bytes()


def samples(path):
    """Left and right of the file."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2), file.getparams()
        data = array.array('h', file.readframes(file.getnframes()))
    return data, file.getframerate()


def check_count(path, n):
    """Somewhere in the file are N samples that count from 1 on, all of them."""
    data, rate = samples(path)
    wanted = array.array('h', [(i + 1 + 0x8000) % 0x10000 - 0x8000 for i in range(n)])
    at = data.tobytes().find(wanted.tobytes()[:64])
    assert at >= 0, 'no counting in the file'
    got = data[at // 2:at // 2 + n]
    wrong = [i for i in range(min(len(got), n)) if got[i] != wanted[i]]
    assert len(got) == n and not wrong, f'{len(got)} samples, {len(wrong)} wrong from {wrong[:1]} on'
    return rate


def frequency(path):
    """Of the loudest second, in Hz; and its peak."""
    data, rate = samples(path)
    left = data[0::2]
    loud = next(i for i, value in enumerate(left) if abs(value) > 500)
    part = left[loud + rate // 10:loud + rate // 10 + rate]
    middle = (max(part) + min(part)) / 2
    rises = [i for i in range(1, len(part)) if part[i - 1] < middle <= part[i]]
    assert len(rises) > 10, rises
    return (len(rises) - 1) * rate / (rises[-1] - rises[0]), max(map(abs, part))


def boot(card, modules=(), rate=48000, append='', machine=(), out=''):
    path = vm.scratch() / 'out.wav'
    path.unlink(missing_ok=True)
    device = ('-device', f'{card},audiodev=w' if 'hda' not in card else card) if card else ()
    codec = ('-device', f'hda-duplex,audiodev=w{out}') if 'hda' in card else ()
    m = storage.boot(list(modules), '-nodefaults', '-audiodev', f'wav,id=w,path={path},out.frequency={rate}', *device,
                     *codec, *machine, extra=[('bin/sound', program())], append=append)
    return m, path


def play(card, modules, mixer='', rate=48000):
    """By the card's driver, at a rate the file has too: byte for byte; and so hears the monitor's capture."""
    m, path = boot(card, modules, rate)
    capture = vm.scratch() / 'capture.wav'
    with m:
        m.shell('for i in $(seq 20); do [ -e /dev/snd/pcmC0D0p ] && break; sleep 0.5; done; [ -e /dev/snd/pcmC0D0p ]', 30)
        controls = m.shell(f'sound mixer {mixer}', 60)
        assert not m.hmp(f'wavcapture {capture} w {rate} 16 2')
        for _ in range(3):
            told = m.shell(f'sound play {rate} 2 {COUNT} 2>&1', 60)
            if 'played' in told:
                break
        assert f'played {COUNT} of {COUNT}' in told, (told, controls)
        captures = m.hmp('info capture')
        assert captures.startswith(f'[0]: Capturing audio({rate},16,2) to {capture}: '), captures
        assert not m.hmp('stopcapture 0') and not m.hmp('info capture')
        m.quit()
    assert check_count(path, 2 * COUNT) == check_count(capture, 2 * COUNT) == rate
    return told


@vm.case
def hda():
    return play('intel-hda', ['snd-hda-codec-generic', 'snd-hda-intel'])


@vm.case
def ich9_hda():
    return play('ich9-intel-hda,msi=off', ['snd-hda-codec-generic', 'snd-hda-intel'], rate=44100)


@vm.case
def ac97():
    return play('AC97', ['snd-intel8x0'], '"PCM Playback Volume" 23')


@vm.case
def es1370():
    return play('ES1370', ['snd-ens1370'], '"PCM Volume" 25', 44100)


def isa(card, what=None):
    """By ports and DMA alone."""
    m, path = boot(card, rate=44100, append=ISA)
    with m:
        vm.explain(m.shell(f'sound {what or card} 2>&1', 60))
        m.shell('sleep 1')
        m.quit()
    return path


@vm.case
def sb16():
    check_count(isa('sb16'), 65536)


@vm.case
def cs4231a():
    check_count(isa('cs4231a'), 32768)


@vm.case
def virtio():
    """By a queue: Debian's kernel has no driver."""
    check_count(isa('virtio-sound-pci', 'virtio'), 32768)


@vm.case
def gus():
    hz, peak = frequency(isa('gus'))
    assert abs(hz - 441) < 1 and peak > 10000, (hz, peak)
    return f'{hz:.2f} Hz'


@vm.case
def adlib():
    hz, peak = frequency(isa('adlib'))
    assert abs(hz - 440) < 1 and peak > 3500, (hz, peak)
    return f'{hz:.2f} Hz'


@vm.case
def speaker():
    m, path = boot('', rate=44100, machine=('-machine', 'pcspk-audiodev=w'))
    with m:
        m.shell('sound speaker', 60)
        m.shell('sleep 1')
        m.quit()
    hz, peak = frequency(path)
    assert abs(hz - 440) < 1 and peak > 3000, (hz, peak)
    return f'{hz:.2f} Hz'


if __name__ == '__main__':
    vm.run()
