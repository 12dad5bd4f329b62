"""What FCN-8s is made of, op by op, on the card: beside PyTorch, and beside what the card can do.

    for row in layers(net, size, device, budget): …

bytes are what an op must read and write at least, sums the products that it adds up, counted as two
(a Winograd convolution takes less than half of them, and may be quicker than its floor).
"""
from math import prod

from card import in_turn, placed
from timing import np

# isort: split
import torch
import torch.nn.functional as F
from gpu_rivals import LAYOUTS, backward, on_device
from torch_nets import TorchOps, bilinear_kernel

from tinyfcn import ops, optim

BATCH = 1


def layers(net, size, device, budget=.3):
    """-> dict(layer, what, sums, bytes, times) of each op, forward and backward"""
    sizes = net.sizes(size)

    def shape(name):
        return BATCH, net[name].channels, *sizes[name]

    seen = set()
    for box in net.boxes.values():
        if box.op is ops.conv2d:
            shapes = [shape(box.inputs[0]), *(net.params[w].shape for w in box.reads[1:])]
            if (key := str((shapes, box.kwargs))) not in seen:
                seen.add(key)
                how = [box.kwargs[word] for word in ('stride', 'pad', 'dilation', 'groups')]
                yield from pair(box.name, box.op, shapes, box.kwargs, F.conv2d, how,
                                2 * prod(shape(box.name)) * prod(shapes[1][1:]), device, budget,
                                learns=range(box.inputs[0] == 'data', 3))   # a picture does not
    for box in map(net.__getitem__, ('relu1_1', 'pool1', 'drop6', 'upscore2', 'upscore8')):
        yield from pair(box.name, box.op, [shape(box.inputs[0])], *told(box, device), 0, device,
                        budget, learns=[0])
    yield from loss(shape('score'), device, budget)
    yield from update(net.params['fc6.w'].shape, device, budget)


def told(box, device):
    """What an op is told, PyTorch's function, and what that is told."""
    name, how = box.op.__name__, dict(box.kwargs)
    if name == 'dropout':
        return dict(how, train=True, rng=np.random.default_rng(0)), F.dropout, (how['p'], True)
    if name == 'upsample':
        own = bilinear_kernel(box).to('cuda' if device == 'gpu' else 'cpu')
        return how, lambda x: TorchOps.upsample(x, **how, kernel=own), ()
    native = getattr(TorchOps, name)
    extra = dict(inplace=False) if name == 'relu' else {}
    return how, lambda x: native(x, **how, **extra), ()


def pair(name, op, shapes, how, native, told, sums, device, budget, learns):
    """An op, forward and backward, beside PyTorch's in both layouts."""
    rng, learns = np.random.default_rng(0), [*learns]
    host = [rng.standard_normal(shape, dtype='float32') for shape in shapes]
    arrays = [placed(a, device) for a in host]
    y, cache, *_ = op(*arrays, **how)
    dy = rng.standard_normal(y.shape, dtype='float32')
    d, want = placed(dy, device), [i in learns for i in range(len(arrays))]
    forward = {'tinyfcn': lambda: op(*arrays, **how)}
    back = {'tinyfcn': lambda: op.backward(d, cache, want=want)}
    for layout in LAYOUTS:
        *tensors, td = on_device(*host, dy, device=device, layout=layout, learns=learns)
        forward[layout] = bare(native, tensors, told)
        back[layout] = backward(native(*tensors, *told), [tensors[i] for i in learns], td)
    read, written = sum(a.nbytes for a in host), 4 * y.size
    yield dict(layer=name, what='forward', sums=sums, bytes=read + written,
               times=in_turn(forward, device, budget))
    yield dict(layer=name, what='backward', sums=sums * (1 + (0 in learns)),
               bytes=read + written + sum(host[i].nbytes for i in learns),
               times=in_turn(back, device, budget))


def bare(native, tensors, told):
    tensors = [each.detach() for each in tensors]
    return lambda: native(*tensors, *told)


def loss(shape, device, budget):
    """The loss and its gradient, which tinyfcn gives at once."""
    rng = np.random.default_rng(0)
    score = rng.standard_normal(shape, dtype='float32')
    label = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    x, at = placed(score, device), placed(label.astype('uint8'), device)
    times = {'tinyfcn': lambda: ops.softmax_cross_entropy(x, at)}
    for layout in LAYOUTS:
        tx, = on_device(score, device=device, layout=layout, learns=[0])
        times[layout] = torch_sgd_step(tx, torch.from_numpy(label).to(tx.device))
    yield dict(layer='loss', what='both', sums=0, bytes=2 * score.nbytes + label.size,
               times=in_turn(times, device, budget))


def torch_sgd_step(score, label):
    return lambda: torch.autograd.grad(F.cross_entropy(score, label, ignore_index=255,
                                                       reduction='sum'), [score])


def update(shape, device, budget):
    """A step of SGD with momentum and decay on the weights of fc6."""
    rng, how = np.random.default_rng(0), dict(lr=0., momentum=.99, weight_decay=5e-4)
    w, g = rng.standard_normal((2, *shape), dtype='float32')
    params, grads = {'w': placed(w, device)}, {'w': placed(g, device)}
    ours, (tw,) = optim.SGD(**how), on_device(w, device=device, layout='PyTorch', learns=[0])
    tw.grad, theirs = torch.from_numpy(g).to(tw.device), torch.optim.SGD([tw], fused=True, **how)
    times = {'tinyfcn': lambda: ours.step(params, grads), 'PyTorch': theirs.step}
    yield dict(layer='update of fc6', what='step', sums=0, bytes=5 * w.nbytes,
               times=in_turn(times, device, budget))
