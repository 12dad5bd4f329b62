"""The ops of FCN-8s one by one on a GPU, beside PyTorch's and beside what the GPU can reach.

    for layer in layers(net, size): …           name, op, shapes, arguments: nothing is computed yet
    for row in time_layer(layer, device, budget, gpu_torch): …

`bytes` is what an op must read and write at least. `flops` counts two for each multiplication of
the direct sum; Winograd needs less than half of them and may be faster than this floor. PyTorch is
left out where gpu_torch is None.
"""
from math import prod
from typing import Any, NamedTuple

from gpu_tables import EXACT
from gpu_timing import time_short, to_device
from timing import SGD, np

from tinyfcn import ops, optim
from tinyfcn.dispatch import exact

BATCH = 1
OTHER_BOXES = 'relu1_1', 'pool1', 'drop6', 'upscore2', 'upscore8'


class Layer(NamedTuple):
    """An op and its arguments: random arrays of these shapes, and keywords."""

    name: str
    op: Any
    shapes: list[tuple[int, ...]]
    kwargs: dict[str, Any]
    flops: int
    trainable: list[int]            # which arrays need a gradient


def layers(net, size):
    """-> a Layer for each distinct convolution and for some other boxes, at images of this size"""
    sizes = net.sizes(size)

    def shape(name):
        return BATCH, net[name].channels, *sizes[name]

    convs = {}
    for box in net.boxes.values():
        if box.op is ops.conv2d:
            layer = conv_layer(net, box, shape)
            convs.setdefault(str((layer.shapes, layer.kwargs)), layer)
    others = [Layer(name, net[name].op, [shape(net[name].inputs[0])], net[name].kwargs, 0, [0])
              for name in OTHER_BOXES]
    return [*convs.values(), *others]


def conv_layer(net, box, shape):
    shapes = [shape(box.inputs[0]), *(net.params[w].shape for w in box.reads[1:])]
    flops = 2 * prod(shape(box.name)) * prod(shapes[1][1:])
    trainable = [0, 1, 2] if box.inputs[0] != 'data' else [1, 2]    # an image needs no gradient
    return Layer(box.name, box.op, shapes, box.kwargs, flops, trainable)


def time_layer(layer, device, budget, gpu_torch=None):
    """Rows of a layer, forward and backward, beside PyTorch's in both layouts."""
    name, op, shapes, kwargs, flops, trainable = layer
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(shape, dtype='float32') for shape in shapes]
    arrays = [to_device(a, device) for a in host]
    own_kwargs = kwargs
    if op is ops.dropout:
        own_kwargs = dict(kwargs, train=True, rng=np.random.default_rng(0))
    y, cache, *_ = op(*arrays, **own_kwargs)
    host_dy = rng.standard_normal(y.shape, dtype='float32')
    dy = to_device(host_dy, device)
    want = [i in trainable for i in range(len(arrays))]
    forwards = with_exact(op, lambda: op(*arrays, **own_kwargs))
    backwards = with_exact(op, lambda: op.backward(dy, cache, want=want))
    if gpu_torch:
        torch_forwards, torch_backwards = gpu_torch.op_functions(
            op.__name__, kwargs, host, host_dy, trainable, device)
        forwards.update(torch_forwards)
        backwards.update(torch_backwards)
    read = sum(a.nbytes for a in host)
    written = 4 * y.size
    yield dict(part='layers', layer=name, what='forward', flops=flops, bytes=read + written,
               times=time_short(forwards, device, budget))
    yield dict(part='layers', layer=name, what='backward', flops=flops * (1 + (0 in trainable)),
               bytes=read + written + sum(host[i].nbytes for i in trainable),
               times=time_short(backwards, device, budget))


def with_exact(op, run):
    """{name: function}: run, and for a convolution also without Winograd."""
    def run_exact():
        with exact():
            return run()

    return {'tinyfcn': run, EXACT: run_exact} if op is ops.conv2d else {'tinyfcn': run}


def time_loss(net, size, device, budget, gpu_torch=None):
    """The loss and its gradient, which tinyfcn computes together."""
    shape = BATCH, net.score.channels, *net.sizes(size)['score']
    rng = np.random.default_rng(0)
    host_score = rng.standard_normal(shape, dtype='float32')
    host_label = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    score = to_device(host_score, device)
    label = to_device(host_label.astype('uint8'), device)
    functions = {'tinyfcn': lambda: ops.softmax_cross_entropy(score, label)}
    if gpu_torch:
        functions.update(gpu_torch.loss_functions(host_score, host_label, device))
    yield dict(part='layers', layer='loss', what='both', flops=0,
               bytes=2 * host_score.nbytes + host_label.size,
               times=time_short(functions, device, budget))


def time_update(net, device, budget, gpu_torch=None):
    """A step of SGD with momentum and weight decay on the weights of fc6."""
    rng = np.random.default_rng(0)
    w, g = rng.standard_normal((2, *net.params['fc6.w'].shape), dtype='float32')
    params = {'w': to_device(w, device)}
    grads = {'w': to_device(g, device)}
    sgd = optim.SGD(**SGD)
    functions = {'tinyfcn': lambda: sgd.step(params, grads)}
    if gpu_torch:
        functions.update(gpu_torch.update_functions(w, g, device))
    yield dict(part='layers', layer='update of fc6', what='step', flops=0, bytes=5 * w.nbytes,
               times=time_short(functions, device, budget))
