"""The peak memory of a forward and of a step of SGD, each in its own process.

    python benchmarks/memory.py

Beside the peak stands what was in use just before: weights, libraries and the image.
"""
import json
import os
import sys
from pathlib import Path

from timing import (
    check_machine,
    peak_memory,
    random_batch,
    random_net,
    run_in_subprocess,
    save,
    sgd_step,
)

NETS = 'fcn8s', 'fcn_squeezenet_4s'
SIZE = 500, 500
COMPETITORS = 'tinyfcn', 'PyTorch', 'PyTorch channels_last'


def measure(name, competitor, what, **variant):
    """-> bytes in use before, and at most, in a process that does it twice"""
    net = random_net(name, **variant)
    image, label = random_batch(net, SIZE)
    if competitor == 'tinyfcn':
        run = sgd_step(net, image, label) if what == 'step' else lambda: net.forward(image)
    else:
        # imported only here: the process that measures tinyfcn must not load PyTorch
        from fcn import LAYOUTS, torch_forward, torch_sgd_step
        from torch_nets import TorchNet
        torch_net = TorchNet(net, share_memory=True)
        layout = LAYOUTS[competitor]
        for w in (*torch_net.parameters(), *torch_net.buffers()):
            if w.ndim == 4:
                w.data = w.data.contiguous(memory_format=layout)
        net.params.clear()
        if what == 'step':
            run = torch_sgd_step(torch_net, image, label, layout)
        else:
            run = torch_forward(torch_net, image, layout)
    before = memory_in_use()
    for _ in range(2):                              # the second one has momentum from the first
        run()
    return dict(before=before, peak=peak_memory())


def memory_in_use():
    """The memory of this process now, in bytes; None where /proc does not exist."""
    try:
        return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGESIZE')
    except OSError:
        return None


def main():
    machine = check_machine()
    rows = []
    for name in NETS:
        for what in ('forward', 'step'):
            row = dict(net=name, size=SIZE, what=what)
            for competitor in COMPETITORS:
                row[competitor] = run_in_subprocess(__file__, name, competitor, what)
                print(f'{name} {what:8} {competitor:22} {row[competitor]["peak"] / 1e9:5.2f} GB',
                      flush=True)
            rows.append(row)
    save('memory', rows, machine)


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
