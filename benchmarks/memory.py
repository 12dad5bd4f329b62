"""The most memory that a forward and a step of SGD hold, each in a process of its own.

    python benchmarks/memory.py

Beside the peak stands what was held just before: weights, libraries and the image.
"""
import json
import os
import sys
from pathlib import Path

from side_by_side import a_step, apart, peak, save, some_image, some_net, start

NETS, SIZE = ('fcn8s', 'fcn_squeezenet_4s'), (500, 500)
RIVALS = 'tinyfcn', 'PyTorch', 'PyTorch channels_last'


def hold(name, rival, what, **variant):
    """-> bytes held before, and at most, by one process that does it twice"""
    net = some_net(name, **variant)
    image, label = some_image(net, SIZE)
    if rival == 'tinyfcn':
        run = a_step(net, image, label) if what == 'step' else lambda: net.forward(image)
    else:                                           # PyTorch is in its own processes alone
        from fcn import LAYOUTS, descent, inference
        from twin import Twin
        twin, layout = Twin(net, lends=True), LAYOUTS[rival]
        for w in (*twin.parameters(), *twin.buffers()):
            w.data = w.data.contiguous(memory_format=layout) if w.ndim == 4 else w.data
        net.params.clear()
        run = descent(twin, image, label, layout) if what == 'step' else \
            inference(twin, image, layout)
    before = held()
    for _ in range(2):                              # the second has SGD's velocities from the first
        run()
    return dict(before=before, peak=peak())


def held():
    """The memory of this process now, in bytes; None where nobody says."""
    try:
        return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGESIZE')
    except OSError:
        return None


def main():
    before, rows = start(), []
    for name in NETS:
        for what in ('forward', 'step'):
            row = dict(net=name, size=SIZE, what=what)
            for rival in RIVALS:
                row[rival] = apart(__file__, name, rival, what)
                print(f'{name} {what:8} {rival:22} {row[rival]["peak"] / 1e9:5.2f} GB', flush=True)
            rows.append(row)
    save('memory', rows, before)


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(hold(*sys.argv[1:])))
    else:
        main()
