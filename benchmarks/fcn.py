"""Whole nets: forward, and one step of SGD, beside PyTorch, ONNX Runtime and OpenVINO.

    python benchmarks/fcn.py                    about eight minutes

FCN-8s on VGG-16 and on SqueezeNet (stride 4), at full width, 500×500 and 320×240, one image and
four. It is asserted first that all scores agree to 1e-3 of the largest. For one image the reference
implementations of `ops/` are timed, too.
"""
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from timing import (
    SGD,
    check_machine,
    format_times,
    random_batch,
    random_net,
    run_in_subprocess,
    save,
    sgd_step,
    time_alternately,
)

# isort: split
import torch
import torch.nn.functional as F
from torch_nets import (
    TorchNet,
    assert_close,
    assert_same_scores,
    export_onnx,
    load_onnx_runtime,
    load_openvino,
)

from tinyfcn.dispatch import reference_only

NETS = 'fcn8s', 'fcn_squeezenet_4s'
SIZES = (500, 500), (240, 320)
LAYOUTS = {'PyTorch': torch.contiguous_format, 'PyTorch channels_last': torch.channels_last}
BUDGET = dict(forward={'fcn8s': 30., 'fcn_squeezenet_4s': 5.},      # seconds for all together
              step={'fcn8s': 48., 'fcn_squeezenet_4s': 8.})


def forward_functions(net, torch_nets, image):
    """{name: a function that scores this image}, each checked against tinyfcn's score"""
    score = net.forward(image)
    functions = {'tinyfcn': lambda: net.forward(image)}
    for name, torch_net in torch_nets.items():
        functions[name] = torch_forward(torch_net, image, LAYOUTS[name])
        assert_close(score, functions[name]().numpy(), name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'net.onnx'
        export_onnx(torch_nets['PyTorch'], image, path)
        for name, load in {'ONNX Runtime': load_onnx_runtime, 'OpenVINO': load_openvino}.items():
            run = load(path)
            if run:
                assert_close(score, run(image), name)
                functions[name] = lambda run=run: run(image)
    if len(image) == 1:
        functions['readable'] = reference_forward(net, image)
    return functions


def reference_forward(net, image):
    """The same by the reference implementations alone."""
    def run():
        with reference_only():
            return net.forward(image)
    return run


def torch_forward(torch_net, image, layout):
    image = torch.from_numpy(image).contiguous(memory_format=layout)

    def run():
        with torch.inference_mode():
            return torch_net.eval()(image)
    return run


def step_functions(net, torch_nets, image, label):
    """{name: a function that does a step of SGD}, with momentum, weight decay and dropout"""
    functions = {'tinyfcn': sgd_step(net, image, label)}
    for name, torch_net in torch_nets.items():
        functions[name] = torch_sgd_step(torch_net, image, label, LAYOUTS[name])
    return functions


def torch_sgd_step(torch_net, image, label, layout):
    image = torch.from_numpy(image).contiguous(memory_format=layout)
    label = torch.from_numpy(label)
    sgd = torch.optim.SGD(torch_net.parameters(), **SGD)

    def step():
        score = torch_net.train()(image)
        F.cross_entropy(score, label, ignore_index=255, reduction='sum').backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
    return step


def measure(name, **variant):
    """-> rows of one net"""
    net = random_net(name, **variant)
    torch_nets = {layout: TorchNet(net).to(memory_format=memory_format)
                  for layout, memory_format in LAYOUTS.items()}
    assert_same_scores(net, torch_nets['PyTorch'], random_batch(net, (64, 80))[0])
    for size in SIZES:
        for batch in (1, 4):
            image, label = random_batch(net, size, batch)
            row = dict(net=name, size=size, batch=batch)
            row['forward'] = time_alternately(forward_functions(net, torch_nets, image),
                                              BUDGET['forward'][name])
            row['step'] = time_alternately(step_functions(net, torch_nets, image, label),
                                           BUDGET['step'][name])
            yield row


def measure_one(name):
    """In this process; prints the rows as JSON for the process that started it."""
    rows = []
    for row in measure(name):
        rows.append(row)
        for what in ('forward', 'step'):
            print(f'{row["net"]} {row["size"]} ×{row["batch"]} {what:8} '
                  f'{format_times(row[what])}', file=sys.stderr, flush=True)
    print(json.dumps(rows))


def main():
    """Each net in its own process, so that one's weights do not take memory from the other."""
    machine = check_machine()
    rows = [row for name in NETS for row in run_in_subprocess(__file__, name)]
    save('fcn', rows, machine)


if __name__ == '__main__':
    if sys.argv[1:]:
        measure_one(sys.argv[1])
    else:
        main()
