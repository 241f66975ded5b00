#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tone through real sound servers: what is recorded there has its pitch, nothing is missing, and a server that is
killed and started again gets it back. Exit status 77: the server is not installed.

servers.py PLAY CASE"""
import array
import glob
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave

HZ = 440
LATENCY_MS = 300  # long enough for a host that has more to do
PA = f'pa,id=a,out.latency={LATENCY_MS}000'


def skip(why):
    print('skipped:', why)
    sys.exit(77)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(f'{program} is not installed')


def pitch(samples, rate):
    """By the distance between upward zero crossings, the usual one: gaps do not change it."""
    crossings = [i + samples[i] / (samples[i] - samples[i + 1]) for i in range(len(samples) - 1) if samples[i] < 0 <= samples[i + 1]]
    found = sorted(b - a for a, b in zip(crossings, crossings[1:]))
    middle = found[len(found) // 4:-(len(found) // 4) or None]
    return rate * len(middle) / sum(middle) if middle else 0


class Late:
    """Which threads of the test's children had to wait for a processor, and when. A break in the sound is forgiven if one had
    to about then, for longer than what is under way lasts."""

    def __init__(self):
        self.lines = tempfile.TemporaryFile('w+')
        self.child = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'late.py'),
                                       str(os.getpid())], stdout=self.lines)

    def excuse(self, begin_ns, end_ns, most_ms):
        """Who waited for longer than MOST_MS in that time; an empty text: nobody."""
        self.lines.seek(0)
        found = [line.split(maxsplit=3) for line in self.lines]
        found = [(int(waited), name.strip()) for begin, end, waited, name in found
                 if int(end) >= begin_ns and int(begin) <= end_ns and int(waited) > most_ms * 1e6
                 and name.strip() != 'parec']  # what it has not fetched yet the server keeps
        return '{1} waited {0:.0f} ms for a processor'.format(max(found)[0] / 1e6, max(found)[1]) if found else ''

    def end(self):
        self.child.kill()
        self.child.wait()


def breaks(samples, rate, hz, amplitude):
    """Places where a sample is not where the two before it lead a sine."""
    k = 2 * math.cos(2 * math.pi * hz / rate)
    limit = max(amplitude * 0.02, 40)
    found, last = [], -rate
    for i in range(2, len(samples)):
        if abs(k * samples[i - 1] - samples[i - 2] - samples[i]) > limit:
            if i - last > rate // 100:
                found.append(i)
            last = i
    return found


def check(server, samples, rate, seconds, what, ended_ns, most_ms=LATENCY_MS / 8):
    """SAMPLES are of a tone; the last one was recorded at ENDED_NS. MOST_MS: as long may a thread be late on their way; a sound
    server holds half of the latency and asks for more a quarter of that at a time."""
    loud = [i for i, v in enumerate(samples) if abs(v) > 500]
    assert loud, f'{what}: nothing was heard'
    ended_ns -= (len(samples) - loud[-1] - 1) * 1e9 / rate
    samples = samples[loud[0]:loud[-1] + 1]
    assert len(samples) > seconds * rate, f'{what}: {len(samples) / rate:.2f} s were heard'
    middle = samples[rate // 2:-rate // 4]
    got, found = pitch(middle, rate), breaks(middle, rate, HZ, 8000)
    peak = max(middle)
    print(f'{what}: {len(samples) / rate:.2f} s, {got:.3f} Hz, peak {peak}, {len(found)} breaks')
    assert abs(got - HZ) < 1.5, f'{what}: {got:.2f} Hz'
    assert 7000 < peak < 9000, f'{what}: peak {peak}'
    for at in found:
        ns = ended_ns - (len(samples) - rate // 2 - at) * 1e9 / rate
        excuse = server.late.excuse(ns - (LATENCY_MS + 100) * 1e6, ns + 2e8, most_ms)
        assert excuse, f'{what}: a break at {at / rate:.2f} s'
        print(f'{what}: a break at {at / rate:.2f} s, but {excuse}')


def left_of(raw, channels=2):
    return array.array('h', raw[:len(raw) // (2 * channels) * 2 * channels])[::channels]


class Server:
    """Programs that end with the test."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        self.late = Late()
        self.env = dict(os.environ, XDG_RUNTIME_DIR=folder, HOME=folder)
        for name in ('PULSE_SERVER', 'PIPEWIRE_REMOTE', 'DISPLAY', 'WAYLAND_DISPLAY', 'DBUS_SESSION_BUS_ADDRESS'):
            self.env.pop(name, None)
        os.chmod(folder, 0o700)

    def start(self, *command, **how):
        how.setdefault('stdout', subprocess.DEVNULL)
        how.setdefault('stderr', open(os.path.join(self.folder, 'log'), 'ab'))
        child = subprocess.Popen(command, env=self.env, **how)
        self.running.append(child)
        return child

    def run(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=20, check=False)

    def until(self, *command):
        for _ in range(100):
            if self.run(*command).returncode == 0:
                return
            time.sleep(0.1)
        with open(os.path.join(self.folder, 'log'), errors='replace') as f:
            sys.exit(f'{" ".join(command)} does not succeed\n{f.read()}')

    def end(self):
        for child in reversed(self.running):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self.late.end()

    def start_pulse(self, sinks=('testsink',)):
        conf = os.path.join(self.folder, 'pulse.conf')
        with open(conf, 'w') as f:
            f.write(''.join(f'load-module module-null-sink sink_name={sink} rate=48000\n' for sink in sinks) +
                    f'load-module module-native-protocol-unix auth-anonymous=1 socket={self.folder}/pulse.sock\n')
        self.env['PULSE_SERVER'] = f'unix:{self.folder}/pulse.sock'
        child = self.start('pulseaudio', '-n', '-F', conf, '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no',
                           '--disable-shm=yes')
        self.until('pactl', 'info')
        return child

    def start_bus(self):
        """The session's, which WirePlumber wants."""
        bus = self.start('dbus-daemon', '--session', '--nofork', '--nopidfile', '--print-address=1',
                         f'--address=unix:path={self.folder}/bus', stdout=subprocess.PIPE)
        self.env['DBUS_SESSION_BUS_ADDRESS'] = bus.stdout.readline().decode().strip()

    def start_pipewire(self, sinks=('testsink',), sources=()):
        """Programs to end with it, itself the first."""
        begun = [self.start('pipewire')]
        self.until('pw-cli', 'info', '0')
        begun.append(self.start('wireplumber'))
        self.until('sh', '-c', 'pw-cli ls Client | grep -q WirePlumber')
        begun.append(self.make_nodes(sinks, sources))
        return begun

    def make_nodes(self, sinks, sources=()):
        nodes = self.start('pw-cli', stdin=subprocess.PIPE)  # what it makes goes with it
        for name, kind in [(sink, 'Sink') for sink in sinks] + [(source, 'Source/Virtual') for source in sources]:
            nodes.stdin.write(f'create-node adapter {{ factory.name=support.null-audio-sink node.name={name} '
                              f'media.class=Audio/{kind} object.linger=true audio.position=[FL FR] '
                              'monitor.channel-volumes=true }\n'.encode())
        nodes.stdin.flush()
        for name in (*sinks, *sources):
            self.until('sh', '-c', f'pw-link -io | grep -q {name}:')
        return nodes

    def record(self, path, device='testsink.monitor'):
        child = self.start('parec', '--latency-msec=20', '--rate=48000', '--channels=2', '--format=s16le',
                          '-d', device, stdout=open(path, 'wb'))
        for _ in range(100):
            if os.path.getsize(path) > 10000:
                return child
            time.sleep(0.1)
        sys.exit('nothing is recorded')


def end_recording(recorder):
    """When it was."""
    recorder.terminate()
    recorder.wait()
    return time.monotonic_ns()


def hear(server, path, device, seconds, what):
    """SECONDS of what DEVICE plays, from when the tone is there."""
    recorder = server.record(path, device)
    for _ in range(200):
        if max(left_of(read(path)[-19200:]), default=0) > 7000:
            break
        time.sleep(0.1)
    time.sleep(seconds + 1)
    ended = end_recording(recorder)
    check(server, left_of(read(path)), 48000, seconds, what, ended)


def stop(player):
    """A player that has more to play: its card went on all the time, whatever became of the server. It says each second or so
    how far it is, on a busy host a little late, so that four count together; what is later than 200 ms is lost."""
    player.terminate()
    out, _ = player.communicate(timeout=20)
    print(out.decode().strip())
    told = [line.split() for line in out.decode().splitlines() if line.startswith('frames')]
    paces = [(int(b[1]) - int(a[1])) / (float(b[3]) - float(a[3])) for a, b in zip(told, told[4:])]
    assert paces and all(0.95 * 48000 < pace < 1.05 * 48000 for pace in paces), f'the card did not go on: {paces}'


def finish(player, lines, timeout=60):
    out, _ = player.communicate(timeout=timeout)
    text = out.decode()
    lines += text.splitlines()
    print(text.strip())
    assert player.returncode == 0, text
    return text


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def pa(server, play, options, seconds=8):
    raw = os.path.join(server.folder, 'raw')
    recorder = server.record(raw)
    lines = []
    player = server.start(play, options, str(seconds), str(HZ), stdout=subprocess.PIPE)
    finish(player, lines)
    for _ in range(50):
        time.sleep(0.2)
        if not any(read(raw)[-19200:]): # all has been recorded
            break
    ended = end_recording(recorder)
    check(server, left_of(read(raw)), 48000, seconds - 3, options, ended)
    return lines


def case_pa(server, play):
    need('pulseaudio', 'parec')
    server.start_pulse()
    begun = time.monotonic_ns()
    lines = pa(server, play, PA)
    latency = float(lines[-2].split('latency ')[1].split()[0])
    # The server is given more when it was late.
    assert abs(latency - LATENCY_MS) < 15 or server.late.excuse(begun, time.monotonic_ns(), LATENCY_MS / 8), \
        f'latency {latency} ms where {LATENCY_MS} were asked for'
    pa(server, play, PA + ',out.fixed-settings=off')
    pa(server, play, PA + ',out.name=testsink,out.stream-name=x,out.format=f32,out.frequency=48000')


def start_tone(server):
    """Of another program's, into testsink."""
    tone = array.array('h')
    for i in range(48000 * 30):
        v = round(8000 * math.sin(2 * math.pi * HZ * i / 48000))
        tone.extend((v, v))
    path = os.path.join(server.folder, 'tone')
    with open(path, 'wb') as f:
        f.write(tone.tobytes())
    child = server.start('pacat', '--rate=48000', '--channels=2', '--format=s16le', '-d', 'testsink', path)
    time.sleep(1)
    return child


def record(server, play, options, look=()):
    """LOOK: a command that succeeds while it records."""
    tone, raw = start_tone(server), os.path.join(server.folder, 'raw')
    player, lines = server.start(play, options, '6', raw, stdout=subprocess.PIPE), []
    if look:
        server.until(*look)
    finish(player, lines)
    check(server, left_of(read(raw)), 48000, 4, options, time.monotonic_ns())
    tone.terminate()
    return lines


def chunk(lines):
    """Frames that the host moves at once, as the player says."""
    return int([line for line in lines if ' chunk ' in line][-1].split(' chunk ')[1])


def case_pa_record(server, play):
    need('pulseaudio', 'pacat')
    server.start_pulse()
    record(server, play, f'pa,id=a,in.name=testsink.monitor,in.latency={LATENCY_MS}000,in.stream-name=ear',
           ('sh', '-c', 'pactl list source-outputs | grep -q \'media.name = "ear"\''))


def case_pa_restart(server, play):
    need('pulseaudio', 'parec')
    pulse = server.start_pulse()
    raw = os.path.join(server.folder, 'raw')
    player = server.start(play, PA, '100', str(HZ), stdout=subprocess.PIPE)
    hear(server, raw, 'testsink.monitor', 1, 'before')
    pulse.send_signal(signal.SIGKILL)
    pulse.wait()
    time.sleep(2)
    os.unlink(f'{server.folder}/pulse.sock')
    server.start_pulse()
    hear(server, raw, 'testsink.monitor', 3, 'after the server came back')
    stop(player)


def case_pa_default(server, play):
    need('pulseaudio', 'parec', 'pactl')
    server.start_pulse()
    assert server.run('pactl', 'load-module', 'module-null-sink', 'sink_name=other', 'rate=48000').returncode == 0
    assert server.run('pactl', 'set-default-sink', 'testsink').returncode == 0
    raw = os.path.join(server.folder, 'raw')
    player = server.start(play, PA, '100', str(HZ), stdout=subprocess.PIPE)
    hear(server, raw, 'testsink.monitor', 1, 'the first default device')
    assert server.run('pactl', 'set-default-sink', 'other').returncode == 0
    hear(server, raw, 'other.monitor', 2, 'the new default device')
    stop(player)


def case_pa_device(server, play):
    """The device that the options name goes away and comes back; the server is named, too."""
    need('pulseaudio', 'parec', 'pactl')
    server.start_pulse()

    def plug():
        return server.run('pactl', 'load-module', 'module-null-sink', 'sink_name=other', 'rate=48000').stdout.strip()
    module, raw = plug(), os.path.join(server.folder, 'raw')
    player = server.start('env', '-u', 'PULSE_SERVER', play, f'pa,id=a,server={server.env["PULSE_SERVER"]},out.name=other,'
                          f'out.stream-name=voice,out.latency={LATENCY_MS}000', '100', str(HZ), stdout=subprocess.PIPE)
    hear(server, raw, 'other.monitor', 1, 'the device')
    server.until('sh', '-c', 'pactl list sink-inputs | grep -q \'media.name = "voice"\'')
    assert server.run('pactl', 'unload-module', module).returncode == 0
    time.sleep(2)
    plug()
    hear(server, raw, 'other.monitor', 2, 'the device that came back')
    stop(player)


class Chooser:
    """A player that is told which device it shall play to."""

    def __init__(self, server, play, options, rival):
        self.server, self.rival = server, rival  # RIVAL: the command that records what NAME plays
        self.player = server.start(play, options, '200', str(HZ), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def loudest(self, sink):
        """Of what SINK plays in half a second: zero is silence."""
        path = os.path.join(self.server.folder, 'heard')
        recorder = self.server.start(*self.rival(sink, path))
        for _ in range(100):
            if os.path.exists(path) and os.path.getsize(path) > 192000:
                break
            time.sleep(0.1)
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
        samples = left_of(read(path)[192000 - 96000:192000])
        os.unlink(path)
        return max(samples, default=0)

    def plays_to(self, sink, *silent):
        for _ in range(10):
            loud = self.loudest(sink)
            if 7000 < loud < 9000 and not any(self.loudest(other) for other in silent):
                return
        raise AssertionError(f'{sink} plays {loud}; {[(other, self.loudest(other)) for other in silent]}')

    def tell(self, line):
        self.player.stdin.write(line.encode() + b'\n')
        self.player.stdin.flush()
        while True:
            answer = self.player.stdout.readline().decode()
            if answer.startswith('set '):
                print(answer.strip())
                return answer
            assert answer, 'the player has gone'

    def end(self):
        self.player.terminate()
        self.player.wait()


def choose(server, chooser, remove):
    """Two sinks, of which testsink is the default one."""
    chooser.plays_to('testsink', 'other')
    answer = chooser.tell('out-device=other')
    assert ' done; ' in answer and all(f'"name":"{name}"' in answer for name in ('testsink', 'other')), answer
    chooser.plays_to('other', 'testsink')
    assert "has no device 'nobody'" in chooser.tell('out-device=nobody')
    chooser.tell('out-mute=on')
    for _ in range(10):
        if not chooser.loudest('other'):
            break
    else:
        raise AssertionError('it is not mute')
    chooser.tell('out-mute=off')
    chooser.plays_to('other', 'testsink')
    chooser.tell('out-device=')
    chooser.plays_to('testsink', 'other')
    chooser.tell('out-device=other')
    remove()
    chooser.plays_to('testsink')
    answer = chooser.tell('out-device=')
    assert '"name":"other"' not in answer, answer
    chooser.plays_to('testsink')
    chooser.end()


def case_pa_choose(server, play):
    need('pulseaudio', 'parec', 'pactl')
    server.start_pulse()
    module = server.run('pactl', 'load-module', 'module-null-sink', 'sink_name=other', 'rate=48000').stdout.strip()
    assert server.run('pactl', 'set-default-sink', 'testsink').returncode == 0

    def rival(sink, path):
        return ('sh', '-c', f'exec parec --latency-msec=20 --rate=48000 --channels=2 --format=s16le -d {sink}.monitor > {path}')
    choose(server, Chooser(server, play, PA, rival), lambda: server.run('pactl', 'unload-module', module))


def case_sdl(server, play):
    need('pulseaudio', 'parec')
    server.start_pulse()
    server.env['SDL_AUDIODRIVER'] = 'pulseaudio'
    few = pa(server, play, f'sdl,id=a,out.buffer-length={LATENCY_MS}000,out.buffer-count=2')
    many = record(server, play, f'sdl,id=a,in.buffer-length={LATENCY_MS}000,in.buffer-count=16')
    assert chunk(few) >= 4 * chunk(many), (chunk(few), chunk(many))


def case_alsa(server, play):
    conf, raw = os.path.join(server.folder, 'asound.conf'), os.path.join(server.folder, 'raw')
    with open(conf, 'w') as f:
        f.write(f'pcm.!default {{ type file slave.pcm null file "{raw}" format raw }}\npcm.null {{ type null }}\n')
    server.env['ALSA_CONFIG_PATH'] = '/usr/share/alsa/alsa.conf:' + conf
    player = server.start(play, 'alsa,id=a', '3', str(HZ), stdout=subprocess.PIPE)
    finish(player, [])
    samples = left_of(read(raw))
    # The null device takes frames as fast as they come: pieces of the tone between silences.
    assert max(samples[:400000], default=0) > 7000, 'nothing was written'


def case_alsa_pulse(server, play):
    need('pulseaudio', 'parec')
    if not any(os.path.exists(f'/usr/lib/{d}/alsa-lib/libasound_module_pcm_pulse.so') for d in ('x86_64-linux-gnu', '.')):
        skip('the ALSA plug-in for PulseAudio is not installed')
    server.start_pulse()
    conf = os.path.join(server.folder, 'asound.conf')
    with open(conf, 'w') as f:
        f.write('pcm.!default { type pulse }\npcm.mic { type pulse device testsink.monitor }\n')
    server.env['ALSA_CONFIG_PATH'] = '/usr/share/alsa/alsa.conf:' + conf
    pa(server, play, f'alsa,id=a,out.try-poll=off,out.buffer-length={LATENCY_MS}000')
    lines = pa(server, play, f'alsa,id=a,out.period-length=20000,threshold=20000,out.buffer-length={LATENCY_MS}000')
    assert chunk(lines) == 882, chunk(lines)
    record(server, play, f'alsa,id=a,in.dev=mic,in.buffer-length={LATENCY_MS}000')
    lines = record(server, play, f'alsa,id=a,in.dev=mic,in.try-poll=off,in.period-length=10000,in.buffer-length={LATENCY_MS}000')
    assert 441 <= chunk(lines) < 1653, chunk(lines)  # some come together; else it is a quarter of 150 ms


def case_oss(server, play):
    """By what PulseAudio preloads for programs that want /dev/dsp; it plays."""
    need('pulseaudio', 'parec')
    library = glob.glob('/usr/lib*/pulseaudio/libpulsedsp.so') + glob.glob('/usr/lib/*/pulseaudio/libpulsedsp.so')
    if not library or b'libasan' in read(play):
        skip('libpulsedsp.so is not installed, or sanitizers want to be the first that is loaded')
    server.start_pulse()
    wrapped = os.path.join(server.folder, 'play')
    with open(wrapped, 'w') as f:
        f.write(f'#!/bin/sh\nLD_PRELOAD={library[0]} exec {play} "$@"\n')
    os.chmod(wrapped, 0o700)
    pa(server, wrapped, f'oss,id=a,out.buffer-length={LATENCY_MS}000')
    pa(server, wrapped, f'oss,id=a,dsp-policy=-1,out.buffer-count=8,out.try-poll=off,out.buffer-length={LATENCY_MS}000')


def case_sndio(server, play):
    """A raw device of libsndio's, which is one of alsa-lib's."""
    need('pulseaudio', 'parec')
    server.start_pulse()
    conf = os.path.join(server.folder, 'asound.conf')
    with open(conf, 'w') as f:
        f.write('pcm.!hw { @args [ CARD DEV SUBDEV ] @args.CARD { type string } @args.DEV { type integer default 0 } '
                '@args.SUBDEV { type integer default 0 } type pulse }\n')
    server.env['ALSA_CONFIG_PATH'] = '/usr/share/alsa/alsa.conf:' + conf
    pa(server, play, f'sndio,id=a,out.dev=rsnd/0,out.latency={LATENCY_MS}000')
    record(server, play, f'sndio,id=a,in.dev=rsnd/0,in.latency={LATENCY_MS}000')


def case_jack(server, play):
    need('jackd', 'jack_lsp')
    server.env['JACK_NO_AUDIO_RESERVATION'] = '1'
    jackd = ('jackd', '--no-realtime', '-n', 'vitrine-test', '-d', 'dummy', '-r', '48000', '-p', '512')

    def start_jack():
        child = server.start(*jackd)
        server.until('jack_lsp', '-s', 'vitrine-test')
        return child

    def wait_for_port(name):
        server.until('sh', '-c', f'jack_lsp -s vitrine-test | grep -q "^{name}:output 1"')

    def hear_tone(what):
        raw = os.path.join(server.folder, 'raw')
        recorder = server.start(play, 'jack,id=a,in.server-name=vitrine-test,in.client-name=ear,in.connect-ports=^tone:', '4',
                                raw, stdout=subprocess.PIPE)
        finish(recorder, [])
        check(server, left_of(read(raw)), 48000, 2, what, time.monotonic_ns(), 512 / 48)

    def start_player(seconds, options, **how):
        return server.start(play, f'jack,id=a,out.server-name=vitrine-test,{options}', seconds, str(HZ), '44100',
                            stdout=subprocess.PIPE, **how)
    jack = start_jack()
    # One plays, another one records what it plays.
    player = start_player('100', 'out.client-name=tone')
    wait_for_port('tone')
    hear_tone('jack')
    # Names are free, or they are not.
    second = start_player('100', 'out.client-name=tone')
    wait_for_port('tone-01')
    second.terminate()
    second.wait()
    refused = start_player('2', 'out.client-name=tone,out.exact-name=on', stderr=subprocess.STDOUT)
    assert "the client name 'tone' is in use" in finish(refused, [])
    jack.kill()
    jack.wait()
    time.sleep(2)
    start_jack()
    wait_for_port('tone')
    hear_tone('after the server came back')
    player.terminate()
    player.wait()
    # One that is begun for us, as ~/.jackdrc says.
    with open(os.path.join(server.folder, '.jackdrc'), 'w') as f:
        f.write('/usr/bin/jackd --no-realtime -d dummy -r 48000 -p 512\n')
    player = server.start(play, 'jack,id=a,out.server-name=vitrine-own,out.start-server=on', '30', str(HZ), stdout=subprocess.PIPE)
    assert any(b' rate 48000 chunk 512' in line for line in player.stdout), 'no server was begun'
    player.terminate()
    player.wait()


def hear_pipewire(server, sink, seconds, what):
    """SECONDS of what SINK plays, from when the tone is there."""
    raw = os.path.join(server.folder, 'x.wav')
    recorder = server.start('pw-record', '--target', sink, '-P', '{ stream.capture.sink=true }', '--rate', '48000',
                            '--channels', '2', '--format', 's16', raw)
    for _ in range(200):
        if os.path.exists(raw) and max(left_of(read(raw)[44:][-19200:]), default=0) > 7000:
            break
        time.sleep(0.1)
    time.sleep(seconds + 1)
    recorder.send_signal(signal.SIGINT)
    recorder.wait()
    ended = time.monotonic_ns()
    with wave.open(raw) as f:  # a cycle of the graph is 1024 frames
        check(server, left_of(f.readframes(f.getnframes())), 48000, seconds, what, ended, 1024 / 48)
    os.unlink(raw)


def case_pipewire(server, play):
    need('pipewire', 'wireplumber', 'pw-cli', 'pw-link', 'pw-record', 'dbus-daemon')
    server.start_bus()
    begun = server.start_pipewire()
    player = server.start(play, 'pipewire,id=a,out.latency=200000,out.stream-name=tone', '100', str(HZ), stdout=subprocess.PIPE)
    server.until('sh', '-c', 'pw-link -o | grep -q ^tone:')
    hear_pipewire(server, 'testsink', 3, 'pipewire')
    begun[0].kill()
    for child in begun:
        child.terminate()
        child.wait()
    time.sleep(0.5)
    server.start_pipewire()
    hear_pipewire(server, 'testsink', 3, 'after the server came back')
    stop(player)


def case_pipewire_device(server, play):
    """The device that the options name goes away and comes back."""
    need('pipewire', 'wireplumber', 'pw-cli', 'pw-link', 'pw-record', 'dbus-daemon')
    server.start_bus()
    server.start_pipewire(('testsink', 'other'))
    player = server.start(play, 'pipewire,id=a,out.latency=200000,out.name=other', '100', str(HZ), stdout=subprocess.PIPE)
    hear_pipewire(server, 'other', 1, 'the device')
    assert server.run('pw-cli', 'destroy', 'other').returncode == 0
    time.sleep(2)
    server.make_nodes(('other',))
    hear_pipewire(server, 'other', 2, 'the device that came back')
    stop(player)


def case_pipewire_choose(server, play):
    need('pipewire', 'wireplumber', 'pw-cli', 'pw-link', 'pw-metadata', 'pw-record', 'dbus-daemon')
    server.start_bus()
    server.start_pipewire(('testsink', 'other'))

    def make_default(sink):
        assert server.run('pw-metadata', '0', 'default.configured.audio.sink', f'{{ "name": "{sink}" }}',
                          'Spa:String:JSON').returncode == 0
    make_default('testsink')

    def rival(sink, path):
        return ('pw-record', '--target', sink, '-P', '{ stream.capture.sink=true }', '--rate', '48000', '--channels', '2',
                '--format', 's16', path)

    def remove():
        assert server.run('pw-cli', 'destroy', 'other').returncode == 0
    chooser = Chooser(server, play, 'pipewire,id=a,out.latency=200000', rival)
    chooser.plays_to('testsink', 'other')
    make_default('other')
    chooser.plays_to('other', 'testsink')
    make_default('testsink')
    choose(server, chooser, remove)


def main():
    play, case = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix='test-sound-') as folder:
        server = Server(folder)
        try:
            globals()['case_' + case.replace('-', '_')](server, play)
        finally:
            server.end()


if __name__ == '__main__':
    main()
