"""Whole nets: forward, and one step of SGD, beside PyTorch, ONNX Runtime and OpenVINO.

    python benchmarks/fcn.py                    three minutes

FCN-8s on VGG-16 and on SqueezeNet (stride 4), at full width. ONNX Runtime and OpenVINO run the
file that `tinyfcn export` writes. All scores must agree to 1e-3 of the largest. A row has the share
of the machine's peak: the least time for all convolutions, each by the peak of multiply-adds or of
memory (peak.py), divided by the time of the whole net.
"""
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import (
    SGD,
    check_machine,
    format_times,
    measure_rows,
    random_batch,
    random_net,
    ratio,
    save,
    sgd_step,
    threads_of,
    time_alternately,
)

# isort: split
import torch
import torch.nn.functional as F
from conv import layers_of
from peak import machine_peak
from torch_nets import LAYOUTS, RUNTIMES, TorchNet, assert_close, report_skipped

from tinyfcn.dispatch import reference_only
from tinyfcn.weights.export import export_net

CASES = [('fcn_squeezenet_4s', (240, 320), 1), ('fcn_squeezenet_4s', (240, 320), 4),
         ('fcn_squeezenet_4s', (500, 500), 1), ('fcn8s', (500, 500), 1)]
ROUNDS = dict(min_rounds=3, max_rounds=30)
BUDGET = dict(forward=8., step=12.)             # seconds for all together, where it allows more


@lru_cache(1)                                   # the next net takes the memory of this one
def make_nets(name, **variant):
    """-> a net of tinyfcn, {layout: the same in PyTorch}"""
    net = random_net(name, **variant)
    return net, {layout: TorchNet(net).to(memory_format=memory_format)
                 for layout, memory_format in LAYOUTS.items()}


# ---- Forward

def forward_functions(net, torch_nets, image):
    """{name: a function that scores this image}, each checked against tinyfcn's score"""
    functions = {'tinyfcn': partial(net.forward, image)}
    for name, torch_net in torch_nets.items():
        functions[name] = partial(torch_forward, torch_net, as_tensor(image, name))
    functions.update(runtime_functions(net, image))
    functions['readable'] = partial(reference_forward, net, image)
    score = net.forward(image)
    for name, function in functions.items():
        assert_close(score, function(), name)
    return functions


def as_tensor(image, layout):
    return torch.from_numpy(image).contiguous(memory_format=LAYOUTS[layout])


def torch_forward(torch_net, image):
    with torch.inference_mode():
        return torch_net.eval()(image).numpy()


def runtime_functions(net, image):
    """Those that are installed."""
    if not find_spec('onnx'):
        report_skipped('onnx, which writes the file for ONNX Runtime and OpenVINO,', 'onnx')
        return {}
    functions = {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'net.onnx'
        export_net(net, path, size=image.shape[2:])
        for name, load in RUNTIMES.items():
            run = load(path, image.shape)
            if run:
                functions[name] = partial(run, image)
    return functions


def reference_forward(net, image):
    """The same by the reference implementations alone."""
    with reference_only():
        return net.forward(image)


# ---- A step of SGD, with momentum, weight decay and dropout

def step_functions(net, torch_nets, image, label):
    """{name: a function that does a step}"""
    functions = {'tinyfcn': sgd_step(net, image, label)}
    for name, torch_net in torch_nets.items():
        functions[name] = torch_sgd_step(torch_net, as_tensor(image, name), label)
    return functions


def torch_sgd_step(torch_net, image, label):
    label = torch.from_numpy(label)
    sgd = torch.optim.SGD(torch_net.parameters(), **SGD)

    def step():
        score = torch_net.train()(image)
        F.cross_entropy(score, label, ignore_index=255, reduction='sum').backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
    return step


# ---- Rows

def measure(name, size, batch, what, **variant):
    """-> the fields of a row"""
    net, torch_nets = make_nets(name, **variant)
    image, label = random_batch(net, size, batch)
    if what == 'forward':
        functions = forward_functions(net, torch_nets, image)
    else:
        functions = step_functions(net, torch_nets, image, label)
    peak = machine_peak()
    least = [layer.least_seconds(peak, batch) for layer in layers_of(net, size).values()]
    passes = ['forward'] if what == 'forward' else ['forward', 'backward']
    return dict(times=time_alternately(functions, BUDGET[what], **ROUNDS),
                least_seconds=sum(seconds[one] for seconds in least for one in passes))


def print_row(row):
    share = row['least_seconds'] / row['times']['tinyfcn']['median']
    print('{net} {size[0]}×{size[1]} ×{batch}, {what}'.format_map(row) + f', {threads_of(row)}')
    print(f'    ×{ratio(row["times"]):.2f}, {share:.0%} of the peak: {format_times(row["times"])}')


def main():
    machine = check_machine()
    measurements = [(dict(net=name, size=size, batch=batch, what=what),
                     partial(measure, name, size, batch, what))
                    for name, size, batch in CASES for what in ('forward', 'step')]
    save('fcn', measure_rows('fcn', measurements, print_row), machine)


if __name__ == '__main__':
    main()
