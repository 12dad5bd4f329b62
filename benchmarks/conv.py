"""Every distinct convolution of five nets, forward and backward, beside PyTorch's.

    python benchmarks/conv.py

Images of 500×500, padded by 100 as FCN does. PyTorch runs in its own layout and in channels_last;
tinyfcn is channels-last. The sum over a net's distinct layers is not the time of that net. Each row
ends with the share of the machine's peak that tinyfcn reaches; a direct sum cannot exceed 100 %,
Winograd, which multiplies a quarter as often, can.
"""
from math import prod

from peak import measure_peak
from timing import THREADS, check_machine, format_times, np, save, time_alternately

# isort: split
import torch
import torch.nn.functional as F

from tinyfcn import build, ops
from tinyfcn.geometry import conv_size

SIZE = 500
PAD = 100
NETS = {'VGG-16': 'fcn32s', 'AlexNet': 'fcn_alexnet', 'GoogLeNet': 'fcn_googlenet',
        'SqueezeNet': 'fcn_squeezenet_16s'}
# a stage: channels within, channels of its output, stride, channels of its input
RESNET = [(64, 256, 1, 64), (128, 512, 2, 256), (256, 1024, 2, 512), (512, 2048, 2, 1024)]
torch.set_num_threads(THREADS)


def distinct_layers(net):
    """The distinct convolutions of a net. -> {(C, K, ksize, H, W, stride, pad, groups): name}"""
    sizes = net.sizes((SIZE, SIZE))
    found = {}
    for box in net.boxes.values():
        if box.op is ops.conv2d:
            k, depth, *ksize = net.params[f'{box.name}.w'].shape
            geometry = box.kwargs
            key = (depth * geometry['groups'], k, tuple(ksize), sizes[box.inputs[0]],
                   geometry['stride'], geometry['pad'], geometry['groups'])
            found.setdefault(key, box.name)
    return found


def resnet101_layers():
    """He et al. 2016, Table 1, for 700×700; the 3×3 has the stride, as in PyTorch."""
    size = SIZE + 2 * PAD
    found = {(3, 64, (7, 7), (size, size), 2, 3, 1): 'conv1'}
    size //= 4                                  # conv1, and the pool after it
    for stage, (inner, outer, stride, before) in enumerate(RESNET, start=2):
        after = -(-size // stride)
        for name, c, k, ksize, input_size, own_stride in (
                ('a_1x1', before, inner, 1, size, 1), ('a_3x3', inner, inner, 3, size, stride),
                ('a_1x1_out', inner, outer, 1, after, 1),
                ('a_shortcut', before, outer, 1, size, stride),
                ('b_1x1', outer, inner, 1, after, 1), ('b_3x3', inner, inner, 3, after, 1)):
            key = c, k, (ksize, ksize), (input_size, input_size), own_stride, ksize // 2, 1
            found.setdefault(key, f'conv{stage}{name}')
        size = after
    return found


def measure(c, k, ksize, size, stride, pad, groups):
    """-> forward and backward of one convolution: {name: seconds} each"""
    rng = np.random.default_rng(0)
    geometry = dict(stride=stride, padding=pad, groups=groups)
    x = rng.standard_normal((1, *size, c), dtype='float32').transpose(0, 3, 1, 2)
    w = rng.standard_normal((k, c // groups, *ksize), dtype='float32')
    w *= (w[0].size) ** -.5
    b = np.zeros(k, 'float32')
    y, cache = ops.conv2d(x, w, b, stride=stride, pad=pad, groups=groups)
    dy = rng.standard_normal((1, *y.shape[2:], k), dtype='float32').transpose(0, 3, 1, 2)
    want = (c > 3, True, True)                  # the gradient of an image is not needed
    forward = {'tinyfcn': lambda: ops.conv2d(x, w, b, stride=stride, pad=pad, groups=groups)}
    backward = {'tinyfcn': lambda: ops.conv2d.backward(dy, cache, want=want)}
    for name, layout in (('PyTorch', torch.contiguous_format),
                         ('PyTorch channels_last', torch.channels_last)):
        tx, tw, tdy = (torch.from_numpy(v).contiguous(memory_format=layout) for v in (x, w, dy))
        tb = torch.from_numpy(b)
        tx.requires_grad_(want[0])
        tw.requires_grad_()
        tb.requires_grad_()
        ty = F.conv2d(tx, tw, tb, **geometry)
        difference = abs(ty.detach().numpy() - y).max() / abs(y).max()
        assert difference < 1e-3, f'{name} differs from tinyfcn by {difference:.1g}'
        forward[name] = torch_forward(tx, tw, tb, geometry)
        inputs = [v for v in (tx, tw, tb) if v.requires_grad]
        backward[name] = torch_backward(ty, inputs, tdy)
    return time_alternately(forward, budget=.35), time_alternately(backward, budget=.6)


def torch_forward(x, w, b, geometry):
    def run():
        with torch.inference_mode():
            F.conv2d(x, w, b, **geometry)
    return run


def torch_backward(y, inputs, dy):
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def main():
    machine = check_machine()
    peak = machine['peak'] = measure_peak(THREADS)
    print(f'peak of {THREADS} threads: {peak:.0f} GFLOP/s in float32')
    nets = {name: distinct_layers(build(net, seed=None)) for name, net in NETS.items()}
    nets['ResNet-101'] = resnet101_layers()
    rows = []
    for name, layers in nets.items():
        for key, layer in layers.items():
            forward, backward = measure(*key)
            c, k, ksize, size, stride, pad, groups = key
            flop = 2 * c // groups * k * prod(ksize) * prod(conv_size(size, ksize, stride, pad))
            rows.append(dict(net=name, layer=layer, c=c, k=k, ksize=ksize, size=size, stride=stride,
                             pad=pad, groups=groups, flop=flop, forward=forward,
                             backward=backward))
            shares = [times * flop / own['tinyfcn']['median'] / peak / 1e9
                      for times, own in ((1, forward), (1 + (c > 3), backward))]
            print(f'{name:10} {layer:28} {format_times(forward)}  |  {format_times(backward)}  |  '
                  f'{shares[0]:.0%} and {shares[1]:.0%} of the peak', flush=True)
    save('conv', rows, machine)


if __name__ == '__main__':
    main()
