"""Whole nets: forward, and one step of SGD, beside PyTorch, ONNX Runtime and OpenVINO.

    python benchmarks/fcn.py                    about eight minutes

FCN-8s on VGG-16 and on SqueezeNet (stride 4), at full width, 500×500 and 320×240, one picture and
four. The scores of all agree to 1e-3 of the largest, which is asserted first. For one picture the
readable bodies run, too: they are what a lesson steps through.
"""
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from side_by_side import SGD, a_step, alternate, apart, save, some_image, some_net, start, words

# isort: split
import torch
import torch.nn.functional as F
from twin import Twin, agree, export, onnx_runtime, openvino, same

from tinyfcn.dispatch import reference_only

NETS = 'fcn8s', 'fcn_squeezenet_4s'
SIZES = (500, 500), (240, 320)
LAYOUTS = {'PyTorch': torch.contiguous_format, 'PyTorch channels_last': torch.channels_last}
BUDGET = dict(forward={'fcn8s': 30., 'fcn_squeezenet_4s': 5.},      # seconds for all rivals
              step={'fcn8s': 48., 'fcn_squeezenet_4s': 8.})


def forwards(net, twins, image):
    """{name: a forward of this image}, each of which has shown that it gives our scores."""
    score, rivals = net.forward(image), {'tinyfcn': lambda: net.forward(image)}
    for name, twin in twins.items():
        rivals[name] = inference(twin, image, LAYOUTS[name])
        same(score, rivals[name]().numpy(), name)
    with TemporaryDirectory() as folder:
        path = Path(folder) / 'net.onnx'
        export(twins['PyTorch'], image, path)
        for name, runtime in {'ONNX Runtime': onnx_runtime, 'OpenVINO': openvino}.items():
            run = runtime(path)
            if run:
                same(score, run(image), name)
                rivals[name] = lambda run=run: run(image)
    if len(image) == 1:
        rivals['readable'] = readable(net, image)
    return rivals


def readable(net, image):
    """The same forward by the definitions alone."""
    def run():
        with reference_only():
            return net.forward(image)
    return run


def inference(twin, image, layout):
    image = torch.from_numpy(image).contiguous(memory_format=layout)

    def run():
        with torch.inference_mode():
            return twin.eval()(image)
    return run


def steps(net, twins, image, label):
    """{name: a step of SGD on this image}; the paper's momentum, weight decay and dropout."""
    return {'tinyfcn': a_step(net, image, label),
            **{name: descent(twin, image, label, LAYOUTS[name]) for name, twin in twins.items()}}


def descent(twin, image, label, layout):
    image = torch.from_numpy(image).contiguous(memory_format=layout)
    label, sgd = torch.from_numpy(label), torch.optim.SGD(twin.parameters(), **SGD)

    def step():
        score = twin.train()(image)
        F.cross_entropy(score, label, ignore_index=255, reduction='sum').backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
    return step


def measure(name, **variant):
    """-> rows of one net"""
    net = some_net(name, **variant)
    twins = {layout: Twin(net).to(memory_format=form) for layout, form in LAYOUTS.items()}
    agree(net, twins['PyTorch'], some_image(net, (64, 80))[0])
    for size in SIZES:
        for batch in (1, 4):
            image, label = some_image(net, size, batch)
            row = dict(net=name, size=size, batch=batch)
            row['forward'] = alternate(forwards(net, twins, image), BUDGET['forward'][name])
            row['step'] = alternate(steps(net, twins, image, label), BUDGET['step'][name])
            yield row


def main(names):
    """Each net in a process of its own: their weights and memory do not meet."""
    if len(names) == 1:
        rows = []
        for row in measure(*names):
            rows.append(row)
            for what in ('forward', 'step'):
                print(f'{row["net"]} {row["size"]} ×{row["batch"]} {what:8} {words(row[what])}',
                      file=sys.stderr, flush=True)
        return rows
    return [row for name in names for row in apart(__file__, name)]


if __name__ == '__main__':
    import json
    if sys.argv[1:]:
        print(json.dumps(main(sys.argv[1:])))
    else:
        before = start()
        save('fcn', main(NETS), before)
