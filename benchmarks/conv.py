"""Every distinct convolution of five nets, forward and backward, beside PyTorch's.

    python benchmarks/conv.py                   four minutes

Images of 500×500, padded by 100 as FCN does. PyTorch runs in its own layout and in channels_last,
and the faster one counts; tinyfcn is channels-last. The sum over a net's distinct layers is not the
time of that net. Each row ends with the share that tinyfcn reaches of the machine's peak, that of
multiply-adds or of memory (peak.py). A direct sum cannot exceed 100 %, Winograd, which multiplies a
quarter as often, can.
"""
from functools import partial
from math import prod
from typing import NamedTuple

from peak import least_seconds, machine_peak
from timing import (
    check_machine,
    format_times,
    measure_rows,
    np,
    ratio,
    save,
    threads_of,
    time_alternately,
)

# isort: split
import torch
import torch.nn.functional as F
from torch_nets import LAYOUTS, assert_close

from tinyfcn import build, ops
from tinyfcn.geometry import conv_size

SIZE = 500
PAD = 100
NETS = {'VGG-16': 'fcn32s', 'AlexNet': 'fcn_alexnet', 'GoogLeNet': 'fcn_googlenet',
        'SqueezeNet': 'fcn_squeezenet_16s'}
# a stage: channels within, channels of its output, stride, channels of its input
RESNET = [(64, 256, 1, 64), (128, 512, 2, 256), (256, 1024, 2, 512), (512, 2048, 2, 1024)]
ROUNDS = dict(min_rounds=3, max_rounds=25)
BUDGET = dict(forward=.7, backward=1.)          # seconds for all together, where it allows more


class Layer(NamedTuple):
    """A convolution."""

    c: int
    k: int
    ksize: tuple[int, int]
    size: tuple[int, int]
    stride: int | tuple[int, int]
    pad: int | tuple[int, int]
    groups: int

    @property
    def has_dx(self):
        """Whether backward computes dx: the gradient of an image is not needed."""
        return self.c > 3

    @property
    def places(self):
        return prod(conv_size(self.size, self.ksize, self.stride, self.pad))

    @property
    def weights(self):
        return self.k * self.c // self.groups * prod(self.ksize)

    def least_seconds(self, peak, images=1):
        """-> what forward and backward take at least, as each array is read or written once"""
        multiply_adds = images * self.weights * self.places
        inputs = images * self.c * prod(self.size) + self.weights
        outputs = images * self.k * self.places
        times = 1 + self.has_dx
        return dict(
            forward=least_seconds(peak, multiply_adds, 4 * (inputs + outputs)),
            backward=least_seconds(peak, times * multiply_adds, 4 * (times * inputs + outputs)))


# ---- The layers

def layers_of(net, size):
    """{name: Layer} of the convolutions of a net, for images of this size."""
    sizes = net.sizes(size)
    found = {}
    for box in net.boxes.values():
        if box.op is ops.conv2d:
            k, depth, *ksize = net.params[f'{box.name}.w'].shape
            groups = box.kwargs['groups']
            found[box.name] = Layer(depth * groups, k, tuple(ksize), sizes[box.inputs[0]],
                                    box.kwargs['stride'], box.kwargs['pad'], groups)
    return found


def resnet101_layers():
    """He et al. 2016, Table 1, for 700×700; the 3×3 has the stride, as in PyTorch."""
    size = SIZE + 2 * PAD
    found = {'conv1': Layer(3, 64, (7, 7), (size, size), 2, 3, 1)}
    size //= 4                                  # conv1, and the pool after it
    for stage, (inner, outer, stride, before) in enumerate(RESNET, start=2):
        after = -(-size // stride)
        for name, c, k, ksize, input_size, own_stride in (
                ('a_1x1', before, inner, 1, size, 1), ('a_3x3', inner, inner, 3, size, stride),
                ('a_1x1_out', inner, outer, 1, after, 1),
                ('a_shortcut', before, outer, 1, size, stride),
                ('b_1x1', outer, inner, 1, after, 1), ('b_3x3', inner, inner, 3, after, 1)):
            found[f'conv{stage}{name}'] = Layer(c, k, (ksize, ksize), (input_size, input_size),
                                                own_stride, ksize // 2, 1)
        size = after
    return found


def distinct(layers):
    """Of equal layers only the first. {name: Layer} of both"""
    names = {}
    for name, layer in layers.items():
        names.setdefault(layer, name)
    return {name: layer for layer, name in names.items()}


# ---- Times

def measure(layer, peak):
    """-> the fields of a row"""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, *layer.size, layer.c), dtype='float32').transpose(0, 3, 1, 2)
    w = rng.standard_normal((layer.k, layer.c // layer.groups, *layer.ksize), dtype='float32')
    w *= (w[0].size) ** -.5
    b = np.zeros(layer.k, 'float32')
    geometry = dict(stride=layer.stride, pad=layer.pad, groups=layer.groups)
    y, cache = ops.conv2d(x, w, b, **geometry)
    dy = rng.standard_normal((1, *y.shape[2:], layer.k), dtype='float32').transpose(0, 3, 1, 2)
    want = layer.has_dx, True, True
    forward = {'tinyfcn': lambda: ops.conv2d(x, w, b, **geometry)}
    backward = {'tinyfcn': lambda: ops.conv2d.backward(dy, cache, want=want)}
    for name, layout in LAYOUTS.items():
        tensors = [torch.from_numpy(v).contiguous(memory_format=layout) for v in (x, w)]
        tensors.append(torch.from_numpy(b))
        inputs = [v.requires_grad_() for v, wanted in zip(tensors, want) if wanted]
        ty = F.conv2d(*tensors, layer.stride, layer.pad, groups=layer.groups)
        assert_close(y, ty.detach().numpy(), name)
        forward[name] = partial(torch_forward, layer, tensors)
        tdy = torch.from_numpy(dy).contiguous(memory_format=layout)
        backward[name] = partial(torch.autograd.grad, ty, inputs, tdy, retain_graph=True)
    times = {what: time_alternately(functions, BUDGET[what], **ROUNDS)
             for what, functions in (('forward', forward), ('backward', backward))}
    return dict(layer._asdict(), flop=2 * layer.weights * layer.places, **times,
                least_seconds=layer.least_seconds(peak))


def torch_forward(layer, tensors):
    with torch.inference_mode():
        F.conv2d(*tensors, layer.stride, layer.pad, groups=layer.groups)


def print_row(row):
    print(f'{row["net"]}, {row["layer"]}, {threads_of(row)}')
    for what in 'forward', 'backward':
        share = row['least_seconds'][what] / row[what]['tinyfcn']['median']
        print(f'    {what:8} ×{ratio(row[what]):.2f}, {share:4.0%} of the peak: '
              f'{format_times(row[what])}')


def measurements():
    """Pairs for measure_rows."""
    peak = machine_peak()
    layers = {name: layers_of(build(net, seed=None), (SIZE, SIZE)) for name, net in NETS.items()}
    layers['ResNet-101'] = resnet101_layers()
    for net, layers_of_net in layers.items():
        for name, layer in distinct(layers_of_net).items():
            yield dict(net=net, layer=name), partial(measure, layer, peak)


def main():
    machine = check_machine()
    save('conv', measure_rows('conv', measurements(), print_row), machine)


if __name__ == '__main__':
    main()
