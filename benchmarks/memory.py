"""The peak memory of a forward and of a step of SGD, each in its own process.

    python benchmarks/memory.py

Beside the peak stands what was in use just before: weights, libraries and the image.
"""
import json
import os
import sys
from functools import partial
from pathlib import Path

from timing import (
    PYTORCH,
    check_machine,
    measure_rows,
    peak_memory,
    random_batch,
    random_net,
    run_in_subprocess,
    save,
    sgd_step,
    threads_of,
)

NETS = 'fcn8s', 'fcn_squeezenet_4s'
SIZE = 500, 500
COMPETITORS = 'tinyfcn', *PYTORCH


def measure_one(name, competitor, what, **variant):
    """-> bytes in use before, and at most, in a process that does it twice"""
    net = random_net(name, **variant)
    image, label = random_batch(net, SIZE)
    if competitor == 'tinyfcn':
        run = sgd_step(net, image, label) if what == 'step' else lambda: net.forward(image)
    else:
        # imported only here: the process that measures tinyfcn must not load PyTorch
        from fcn import as_tensor, torch_forward, torch_sgd_step
        from torch_nets import LAYOUTS, TorchNet
        torch_net = TorchNet(net, share_memory=True)
        layout = LAYOUTS[competitor]
        for w in (*torch_net.parameters(), *torch_net.buffers()):
            if w.ndim == 4:
                w.data = w.data.contiguous(memory_format=layout)
        net.params.clear()
        image = as_tensor(image, competitor)
        if what == 'step':
            run = torch_sgd_step(torch_net, image, label)
        else:
            run = partial(torch_forward, torch_net, image)
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


def measure(name, what):
    """-> the fields of a row"""
    return {competitor: run_in_subprocess(__file__, name, competitor, what)
            for competitor in COMPETITORS}


def print_row(row):
    peaks = ', '.join(f'{name} {row[name]["peak"] / 1e9:.2f}' for name in COMPETITORS)
    print(f'{row["net"]}, {row["what"]}, {threads_of(row)}: peak in GB: {peaks}')


def main():
    machine = check_machine()
    measurements = [(dict(net=name, size=SIZE, what=what), partial(measure, name, what))
                    for name in NETS for what in ('forward', 'step')]
    save('memory', measure_rows('memory', measurements, print_row), machine)


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(measure_one(*sys.argv[1:])))
    else:
        main()
