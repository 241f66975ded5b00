# SPDX-License-Identifier: GPL-3.0-or-later
"""What viewers from afar cost a guest that draws all the time."""
import contextlib
import os
import pathlib
import sys
import time

import vm

sys.path[:0] = [str(vm.HERE.parent / 'bench'), str(vm.HERE.parent / 'vnc')]
import vnc as bench  # noqa: E402

SIZE = (1920, 1080)
SECONDS = 15
# Encodings and how many bytes a second the viewer reads; 0: all it gets. They stand for viewers on other hosts, so they take
# only what this one has to spare.
VIEWERS = [('raw,copy', 0), ('tight-jpeg,copy', 0), ('zrle,copy', 0), ('hextile,copy', 0), ('zlib', 0), ('tight', 400000),
           ('raw', 2000000), ('tight-jpeg', 150000), ('zrle', 100000), ('hextile', 50000)]


def resident(m):
    return int(pathlib.Path(f'/proc/{m.process.pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class Drawing:
    """The guest redraws its whole screen at 60 Hz until it has done so often enough."""

    def __init__(self, m):
        self.m = m
        m.send(f'screen whole {SIZE[0]} {SIZE[1]} 60 {60 * SECONDS}\n')
        m.wait('@ready', 120)

    def begin(self):
        self.m.send('\n')

    def rate(self):
        frames, took = self.m.wait(r'@done (\d+) (\d+)\s', 10 * SECONDS).groups()
        return int(frames) / int(took) * 1000


def alone(m):
    drawing = Drawing(m)
    drawing.begin()
    return drawing.rate()


@vm.case
def ten_viewers():
    """The guest's own rate hardly falls, memory is flat, slow viewers get fewer pictures."""
    with contextlib.ExitStack() as stack:
        side = bench.Side('ours', vm.program(), 'tcg', bench.screen_program(), stack)
        m, before = side.m, alone(side.m)
        drawing = Drawing(m)
        viewers = [stack.enter_context(contextlib.closing(bench.Viewer(side.place, *viewer, before=('nice', '-n', '19')))) for viewer in VIEWERS]
        start = [viewer.counts() for viewer in viewers]
        drawing.begin()
        sizes = []
        for _ in range(SECONDS):
            time.sleep(0.8)
            sizes.append(resident(m))
        rate = drawing.rate()
        end = [viewer.counts() for viewer in viewers]
        frames = [(b['pixels'] - a['pixels']) / SIZE[0] / SIZE[1] for a, b in zip(start, end)]
        after = alone(m)
        note = (f'{before:.1f} {rate:.1f} {after:.1f} pictures a second, {min(sizes[5:]) >> 20} to {max(sizes) >> 20} MiB, '
                f'viewers got {" ".join(f"{count:.2f}" for count in frames)}')
        assert rate >= 0.95 * min(before, after), note
        assert max(sizes[10:]) <= max(sizes[3:10]) * 1.05 + (4 << 20), (note, sizes)
        assert all(count > 0 for count in frames), note
        assert min(frames[:3]) > max(frames[6], frames[8], frames[9]), note
        return note


if __name__ == '__main__':
    vm.run()
