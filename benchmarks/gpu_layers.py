"""The ops of FCN-8s one by one on a GPU, beside PyTorch's and beside what the GPU can reach.

    for row in layers(net, size, device, budget): …

`bytes` is what an op must read and write at least. `flops` counts two for each multiplication of
the direct sum; Winograd needs less than half of them and may be faster than this floor.
"""
from math import prod
from typing import Any, NamedTuple

from gpu_timing import time_short, to_device
from timing import np

# isort: split
import torch
import torch.nn.functional as F
from gpu_torch import LAYOUTS, backward, to_tensors, torch_device
from torch_nets import TorchOps, bilinear_kernel

from tinyfcn import ops, optim

BATCH = 1
OTHER_BOXES = 'relu1_1', 'pool1', 'drop6', 'upscore2', 'upscore8'


class Comparison(NamedTuple):
    """An op of tinyfcn with its arguments, and the same of PyTorch with its own."""

    name: str
    op: Any
    shapes: list[tuple[int, ...]]
    kwargs: dict[str, Any]
    torch_op: Any
    torch_args: tuple[Any, ...]
    flops: int
    trainable: list[int]            # which arrays need a gradient


def layers(net, size, device, budget=.3):
    """-> dict(layer, what, flops, bytes, times) of each op, forward and backward"""
    sizes = net.sizes(size)

    def shape(name):
        return BATCH, net[name].channels, *sizes[name]

    seen = set()
    for box in net.boxes.values():
        if box.op is not ops.conv2d:
            continue
        comparison = compare_conv(net, box, shape)
        key = str((comparison.shapes, comparison.kwargs))
        if key not in seen:
            seen.add(key)
            yield from time_op(comparison, device, budget)
    for name in OTHER_BOXES:
        box = net[name]
        comparison = compare_box(box, shape(box.inputs[0]), device)
        yield from time_op(comparison, device, budget)
    yield from time_loss(shape('score'), device, budget)
    yield from time_update(net.params['fc6.w'].shape, device, budget)


def compare_conv(net, box, shape):
    shapes = [shape(box.inputs[0]), *(net.params[w].shape for w in box.reads[1:])]
    torch_args = tuple(box.kwargs[key] for key in ('stride', 'pad', 'dilation', 'groups'))
    flops = 2 * prod(shape(box.name)) * prod(shapes[1][1:])
    trainable = [0, 1, 2] if box.inputs[0] != 'data' else [1, 2]    # an image needs no gradient
    return Comparison(box.name, box.op, shapes, box.kwargs, F.conv2d, torch_args, flops, trainable)


def compare_box(box, shape, device):
    name = box.op.__name__
    kwargs = dict(box.kwargs)
    torch_kwargs = dict(kwargs)
    torch_op = getattr(TorchOps, name)
    if name == 'dropout':
        kwargs.update(train=True, rng=np.random.default_rng(0))
        return Comparison(box.name, box.op, [shape], kwargs, F.dropout, (box.kwargs['p'], True), 0,
                          [0])
    if name == 'upsample':
        torch_kwargs['kernel'] = bilinear_kernel(box).to(torch_device(device))
    if name == 'relu':
        torch_kwargs['inplace'] = False
    return Comparison(box.name, box.op, [shape], kwargs, lambda x: torch_op(x, **torch_kwargs), (),
                      0, [0])


def time_op(comparison, device, budget):
    """Rows of an op, forward and backward, beside PyTorch's in both layouts."""
    name, op, shapes, kwargs, torch_op, torch_args, flops, trainable = comparison
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(shape, dtype='float32') for shape in shapes]
    arrays = [to_device(a, device) for a in host]
    y, cache, *_ = op(*arrays, **kwargs)
    host_dy = rng.standard_normal(y.shape, dtype='float32')
    dy = to_device(host_dy, device)
    want = [i in trainable for i in range(len(arrays))]
    forwards = {'tinyfcn': lambda: op(*arrays, **kwargs)}
    backwards = {'tinyfcn': lambda: op.backward(dy, cache, want=want)}
    for layout in LAYOUTS:
        *tensors, torch_dy = to_tensors(*host, host_dy, device=device, layout=layout,
                                        trainable=trainable)
        forwards[layout] = without_gradients(torch_op, tensors, torch_args)
        backwards[layout] = backward(torch_op(*tensors, *torch_args),
                                     [tensors[i] for i in trainable], torch_dy)
    read = sum(a.nbytes for a in host)
    written = 4 * y.size
    yield dict(layer=name, what='forward', flops=flops, bytes=read + written,
               times=time_short(forwards, device, budget))
    yield dict(layer=name, what='backward', flops=flops * (1 + (0 in trainable)),
               bytes=read + written + sum(host[i].nbytes for i in trainable),
               times=time_short(backwards, device, budget))


def without_gradients(torch_op, tensors, torch_args):
    tensors = [tensor.detach() for tensor in tensors]
    return lambda: torch_op(*tensors, *torch_args)


def time_loss(shape, device, budget):
    """The loss and its gradient, which tinyfcn computes together."""
    rng = np.random.default_rng(0)
    host_score = rng.standard_normal(shape, dtype='float32')
    host_label = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    score = to_device(host_score, device)
    label = to_device(host_label.astype('uint8'), device)
    functions = {'tinyfcn': lambda: ops.softmax_cross_entropy(score, label)}
    for layout in LAYOUTS:
        tensor, = to_tensors(host_score, device=device, layout=layout, trainable=[0])
        functions[layout] = torch_loss(tensor, torch.from_numpy(host_label).to(tensor.device))
    yield dict(layer='loss', what='both', flops=0, bytes=2 * host_score.nbytes + host_label.size,
               times=time_short(functions, device, budget))


def torch_loss(score, label):
    return lambda: torch.autograd.grad(F.cross_entropy(score, label, ignore_index=255,
                                                       reduction='sum'), [score])


def time_update(shape, device, budget):
    """A step of SGD with momentum and weight decay on the weights of fc6."""
    rng = np.random.default_rng(0)
    options = dict(lr=0., momentum=.99, weight_decay=5e-4)
    w, g = rng.standard_normal((2, *shape), dtype='float32')
    params = {'w': to_device(w, device)}
    grads = {'w': to_device(g, device)}
    sgd = optim.SGD(**options)
    tensor, = to_tensors(w, device=device, layout='PyTorch', trainable=[0])
    tensor.grad = torch.from_numpy(g).to(tensor.device)
    torch_sgd = torch.optim.SGD([tensor], fused=True, **options)
    functions = {'tinyfcn': lambda: sgd.step(params, grads), 'PyTorch': torch_sgd.step}
    yield dict(layer='update of fc6', what='step', flops=0, bytes=5 * w.nbytes,
               times=time_short(functions, device, budget))
