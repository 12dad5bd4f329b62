"""Every op but convolution, forward and backward, beside PyTorch's.

    python benchmarks/loops.py                  one minute

These ops compute little: what they cost is memory. A row says what share of the machine's bandwidth
tinyfcn reaches, if x and y count once each, in a backward dx and dy. PyTorch runs in its own layout
and in channels_last; the faster one counts.
"""
from functools import partial
from typing import Any, NamedTuple

from peak import least_seconds, machine_peak
from timing import (
    PYTORCH,
    check_machine,
    format_times,
    measure_rows,
    np,
    ratio,
    save,
    time_alternately,
)

# isort: split
import torch
import torch.nn.functional as F
from torch_nets import LAYOUTS, assert_close

from tinyfcn import ops, optim
from tinyfcn.ops.matrix import bilinear_1d

CLASSES = 21
EARLY = 1, 64, 127, 167                 # conv1 of SqueezeNet, for an image of 240×320
LATE = 1, 512, 44, 44                   # conv4 of VGG-16, for one of 500×500
SCORE = 1, CLASSES, 60, 80
IMAGE = 1, CLASSES, 240, 320
WEIGHTS = 1 << 20
BUDGET = .5                             # seconds for what is timed in turn
ROUNDS = 30
MIN_ROUNDS = 3


# ---- The ops

class Case(NamedTuple):
    """op(x, *args), and what PyTorch has for op(x)."""

    shape: tuple[int, ...]              # of x
    op: Any
    args: tuple[Any, ...]
    torch_op: Any


def cases():
    """{name: Case}"""
    rng = np.random.default_rng(0)
    label = rng.integers(0, CLASSES, (1, *IMAGE[2:]))
    torch_label = torch.from_numpy(label)
    return {
        'relu': Case(EARLY, ops.relu, (), F.relu),
        'leaky_relu': Case(EARLY, ops.leaky_relu, (), F.leaky_relu),
        'dropout': Case(LATE, ops.dropout, (.5, True, rng), F.dropout),
        'max_pool 2/2': Case(EARLY, ops.max_pool, (2, 2), partial(
            F.max_pool2d, kernel_size=2, stride=2, ceil_mode=True)),
        'max_pool 3/2': Case(EARLY, ops.max_pool, (3, 2), partial(
            F.max_pool2d, kernel_size=3, stride=2, ceil_mode=True)),
        'avg_pool 3/2': Case(EARLY, ops.avg_pool, (3, 2), partial(
            F.avg_pool2d, kernel_size=3, stride=2, ceil_mode=True)),
        'avg_pool_to 1': Case(LATE, ops.avg_pool_to, (1,), partial(
            F.adaptive_avg_pool2d, output_size=1)),
        'avg_pool_to 6': Case(LATE, ops.avg_pool_to, (6,), partial(
            F.adaptive_avg_pool2d, output_size=6)),
        'upsample ×2': Case(SCORE, ops.upsample, (2, 4, 1), deconv(2)),
        'upsample ×4': Case(SCORE, ops.upsample, (4, 8, 2), deconv(4)),
        'upsample ×8': Case(SCORE, ops.upsample, (8, 16, 4), deconv(8)),
        'resize': Case(SCORE, ops.resize, (IMAGE[2:],), partial(
            F.interpolate, size=IMAGE[2:], mode='bilinear')),
        'local_response_norm': Case(EARLY, ops.local_response_norm, (), partial(
            F.local_response_norm, size=5)),
        'batch_norm': batch_norm(EARLY, train=False),
        'batch_norm, train': batch_norm(EARLY, train=True),
        'batch_norm of 512, train': batch_norm(LATE, train=True),
        'softmax_cross_entropy': Case(IMAGE, ops.softmax_cross_entropy, (label,), partial(
            F.cross_entropy, target=torch_label, reduction='sum')),
    }


def deconv(factor):
    """Faster than F.interpolate."""
    kernel = torch.tensor(bilinear_1d(2 * factor))
    kernel = torch.outer(kernel, kernel).repeat(CLASSES, 1, 1, 1)
    return partial(F.conv_transpose2d, weight=kernel, stride=factor, padding=factor // 2,
                   groups=CLASSES)


def batch_norm(shape, train):
    one = np.ones(shape[1], 'float32')
    zero = np.zeros(shape[1], 'float32')
    return Case(shape, ops.batch_norm, (one, zero, zero, one, train),
                torch.nn.BatchNorm2d(shape[1]).train(train))


# ---- Times

def competitors(case):
    """-> {what: {competitor: function}}; bytes of x and y"""
    rng = np.random.default_rng(0)
    x = channels_last(rng, case.shape)
    y, cache, *_ = case.op(x, *case.args)
    is_loss = case.op is ops.softmax_cross_entropy      # which comes with its gradient
    dy = None if is_loss else channels_last(rng, y.shape)
    forward = {'tinyfcn': partial(case.op, x, *case.args)}
    backward = {} if is_loss else {'tinyfcn': partial(case.op.backward, dy, cache)}
    for name, layout in LAYOUTS.items():
        tx = torch.from_numpy(x).contiguous(memory_format=layout).requires_grad_()
        ty = case.torch_op(tx)
        if case.op is not ops.dropout:
            assert_close(y, ty.detach().numpy(), name)
        if is_loss:
            forward[name] = partial(loss_and_gradient, case.torch_op, tx)
        else:
            has_weights = isinstance(case.torch_op, torch.nn.Module)
            inputs = [tx, *case.torch_op.parameters()] if has_weights else [tx]
            tdy = torch.from_numpy(dy).contiguous(memory_format=layout)
            forward[name] = partial(without_gradient, case.torch_op, tx)
            backward[name] = partial(torch.autograd.grad, ty, inputs, tdy, retain_graph=True)
    if is_loss:
        return dict(forward=forward), 2 * x.nbytes
    return dict(forward=forward, backward=backward), x.nbytes + y.nbytes


def channels_last(rng, shape):
    n, c, h, w = shape
    return rng.standard_normal((n, h, w, c), dtype='float32').transpose(0, 3, 1, 2)


def without_gradient(torch_op, x):
    with torch.inference_mode():
        torch_op(x)


def loss_and_gradient(torch_op, score):
    torch.autograd.grad(torch_op(score), [score])


def updates():
    """{optimizer: ({competitor: function}, bytes read and written)}"""
    rng = np.random.default_rng(0)
    w, g, m, s = (rng.random(WEIGHTS, dtype='float32') for _ in range(4))
    p = torch.from_numpy(w.copy()).requires_grad_()
    p.grad = torch.from_numpy(g)
    sgd = torch.optim.SGD([p], lr=.1, momentum=.9, weight_decay=5e-4, fused=True)
    adam = torch.optim.Adam([p], weight_decay=5e-4, fused=True)
    ours = {'SGD': partial(optim.sgd_update, w, g, m, lr=.1, momentum=.9, decay=5e-4, scale=1.),
            'Adam': partial(optim.adam_update, w, g, m, s, lr=1e-3, betas=(.9, .999), eps=1e-8,
                            decay=5e-4, scale=1., t=9)}
    theirs = {'SGD': sgd.step, 'Adam': adam.step}
    arrays = {'SGD': 5, 'Adam': 7}
    return {name: ({'tinyfcn': ours[name], PYTORCH[0]: theirs[name]}, arrays[name] * w.nbytes)
            for name in ours}


def measure(functions, nbytes, peak):
    """-> the fields of a row"""
    times = time_alternately(functions, BUDGET, ROUNDS, MIN_ROUNDS)
    return dict(times=times, least_seconds=least_seconds(peak, 0, nbytes))


def print_row(row):
    share = row['least_seconds'] / row['times']['tinyfcn']['median']
    print(f'{row["op"]:24} {row["what"]:8} {row["threads"]} threads ×{ratio(row["times"]):5.2f}, '
          f'{share:4.0%} of the peak: {format_times(row["times"])}')


def measurements():
    """Pairs for measure_rows."""
    peak = machine_peak()
    for name, case in cases().items():
        by_direction, nbytes = competitors(case)
        for what, functions in by_direction.items():
            yield dict(op=name, what=what), partial(measure, functions, nbytes, peak)
    for name, (functions, nbytes) in updates().items():
        yield dict(op=name, what='update'), partial(measure, functions, nbytes, peak)


def main():
    machine = check_machine()
    save('loops', measure_rows('loops', measurements(), print_row), machine)


if __name__ == '__main__':
    main()
