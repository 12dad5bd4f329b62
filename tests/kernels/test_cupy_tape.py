"""A tape does what its op would do, bit for bit; what cannot be recorded runs as it is written.

On the real CuPy over the stand-in driver, where fresh memory is full of NaN.
"""
import threading
from copy import deepcopy

import gpu_check
import numpy as np
import pytest
from fake_cuda.driver import computing, counting
from samples import TABLE, changed
from training_samples import CENTRED, make_recipe, small_dataset, small_net

from tinyfcn import Net, build, ops
from tinyfcn.dispatch import accelerated
from tinyfcn.kernels import registry
from tinyfcn.kernels.gpu import im2col, tape
from tinyfcn.kernels.gpu.launch import launch
from tinyfcn.kernels.registry import find_kernel
from tinyfcn.layers import concat, conv, crop, dropout, max_pool, relu, upsample
from tinyfcn.ops.fused import conv_relu
from tinyfcn.optim import SGD
from tinyfcn.runtime.gpu import precision
from tinyfcn.training.loop import make_optimizer, train

pytestmark = pytest.mark.cupy

CALLS = 1 + tape.MAX_ATTEMPTS           # after which a tape is made, if one can be made
SAMPLES = 10                            # of the table, for each op
NOT_RECORDED = 'dropout', 'softmax_cross_entropy'       # one draws; CuPy converts the label


@pytest.fixture(autouse=True)
def cupy(real_cupy):
    """The short name; the fixture has forgotten all tapes."""
    return real_cupy


def taped_ops():
    """The names of the ops that have tapes now."""
    return {key[0] for key in tape._this_thread.tapes}


def as_written(monkeypatch, run, *args, **kwargs):
    """run(*args, **kwargs) without tapes."""
    with monkeypatch.context() as patch:
        patch.setattr(tape, 'enabled', False)
        return run(*args, **kwargs)


def leaves(value):
    """All values inside of tuples, lists and dicts, in order; arrays as NumPy's."""
    if isinstance(value, tuple | list):
        return [leaf for each in value for leaf in leaves(each)]
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    return [value.get() if hasattr(value, 'get') else value]


def assert_same_bits(a, b):
    a, b = leaves(a), leaves(b)
    assert len(a) == len(b)
    for one, other in zip(a, b):
        if isinstance(one, np.ndarray):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            assert one.tobytes() == other.tobytes()
        elif not hasattr(one, 'toarray'):               # the matrix of an axis is always the same
            assert one == other


# ---- Every op

def forward_backward(op, sample, upload):
    """-> the results of an op and of its backward, and its arguments, which it may write to"""
    args = tuple(upload(x) for x in sample.args)
    kwargs = {name: upload(x) for name, x in deepcopy(sample.kwargs).items()}
    results = op(*args, **kwargs)
    if results is None:
        return args
    y, cache, *_ = results
    if not hasattr(op, 'backward') or sample.op == 'max_switches':
        return results, args
    rng = np.random.default_rng(3)
    dy = upload(rng.standard_normal(y.shape).astype(y.dtype)) if y.shape else 1.5
    return results, op.backward(dy, cache), args


WITH_KERNELS = sorted({op for op, library in registry._kernels if library == 'cupy'}
                      & {sample.op for sample in TABLE.values()})


@pytest.mark.parametrize('name', WITH_KERNELS)
def test_a_replay_gives_the_bits_of_the_op(name, cupy, monkeypatch):
    def upload(x):
        return cupy.asarray(x) if isinstance(x, np.ndarray) else x

    op = getattr(ops, name)
    for sample in [sample for sample in TABLE.values() if sample.op == name][:SAMPLES]:
        sample = changed(sample, lambda x: x.astype('float32') if x.dtype.kind == 'f' else x)
        on_gpu = changed(sample, upload)
        if not find_kernel(name, False, *on_gpu.args, **on_gpu.kwargs):
            continue                                    # its reference runs
        other = changed(sample, lambda x: x * np.float32(1.25) if x.dtype.kind == 'f' else x)
        for _ in range(CALLS):
            forward_backward(op, sample, upload)
        replayed = forward_backward(op, other, upload)
        expected = as_written(monkeypatch, forward_backward, op, other, upload)
        assert_same_bits(replayed, expected)
    assert name in taped_ops() or name in NOT_RECORDED


# ---- Whole nets

def a_net(seed=0):
    """Convolutions by each algorithm, two of them into parts of one array; FCN's last boxes."""
    n = Net(3, seed=seed)
    n.conv1 = conv(n.data, 32, 3, pad=1)
    n.conv2 = conv(relu(n.conv1), 32, 3, pad=1)
    n.pool = max_pool(relu(n.conv2), 2)
    n.left_conv = conv(n.pool, 8, 1)
    n.right_conv = conv(n.pool, 4, 3, pad=1)
    n.both = concat(relu(n.left_conv), relu(n.right_conv))
    n.drop = dropout(n.both, .5)
    n.small = conv(n.drop, 3, 1)
    n.large = upsample(n.small, 2)
    n.score = crop(n.large, like=n.data)
    n.about['preprocess'] = CENTRED
    return n.to('gpu')


def images(cupy, count=3, batch=1):
    rng = np.random.default_rng(4)
    return [cupy.asarray(rng.standard_normal((batch, 3, 24, 28), 'float32'))
            for _ in range(count)]


@pytest.mark.parametrize('batch', [1, 2])
def test_a_net_with_tapes_has_the_same_bits(cupy, monkeypatch, batch):
    n = a_net()
    first, other = images(cupy, 2, batch)

    def forward_backward(image):
        score = n.forward(image, train=True)
        return score, n.backward(score=score)

    for _ in range(CALLS):
        forward_backward(first)
    assert taped_ops() >= {'conv_relu', 'conv_relu_backward', 'conv2d', 'conv2d_backward',
                           'max_pool', 'max_pool_backward', 'dropout_backward', 'upsample_crop',
                           'separable'}
    replayed = forward_backward(other)
    assert_same_bits(replayed, as_written(monkeypatch, forward_backward, other))


def losses_and_net(steps, **changes):
    """Some steps of a net with batch norm and dropout, with a learning rate that changes."""
    n = small_net(norm=True, drop=.5, channels=40).to('gpu')
    recipe = make_recipe(steps=steps, batch=2, lr_power=.9, **changes)
    rows = train(n, small_dataset(size=(12, 15), same_size=True), recipe, make_optimizer(recipe))
    return [row['loss'] for row in rows], n


@pytest.mark.parametrize('changes', [dict(momentum=.9), dict(optimizer='adam'),
                                     dict(iter_size=2)], ids=['sgd', 'adam', 'iter_size'])
def test_a_training_with_tapes_has_the_same_bits(cupy, monkeypatch, changes):
    losses, n = losses_and_net(7, **changes)
    assert taped_ops() >= {'conv2d_backward', 'batch_norm', 'batch_norm_backward'}
    expected_losses, expected = as_written(monkeypatch, losses_and_net, 7, **changes)
    assert losses == expected_losses
    assert_same_bits([n.params, n.state], [expected.params, expected.state])


def test_a_replayed_step_waits_once_and_launches_the_same_kernels(cupy, monkeypatch):
    def count_a_step():
        n = a_net()
        recipe = make_recipe(lr=1e-4, steps=CALLS + 2)
        rows = train(n, small_dataset(size=(24, 28), same_size=True), recipe,
                     make_optimizer(recipe))
        for _ in range(CALLS + 1):
            next(rows)
        with counting() as counts:
            next(rows)
        return counts

    replayed = count_a_step()
    assert taped_ops() >= {'conv_relu', 'conv_relu_backward'}
    assert replayed == as_written(monkeypatch, count_a_step)
    assert replayed['waits'] == 1


def test_what_fcn8s_asks_of_a_gpu(cupy):
    """With half of its channels, all of its convolutions run by the algorithms of the whole net."""
    n = build('fcn8s', 21, width=1/2, seed=None).to('gpu')
    image = cupy.zeros((1, 3, 64, 64), 'float32')
    label = cupy.zeros((1, 64, 64), 'uint8')
    sgd = SGD(lr=.1, momentum=.9)

    def step():
        _, dscore = ops.softmax_cross_entropy(n.forward(image, train=True), label)
        sgd.step(n.params, n.backward(score=dscore))

    with computing(False):
        for _ in range(CALLS):
            n.forward(image)
            step()
        with counting() as of_forward:
            n.forward(image)
        with counting() as of_step:
            step()
    asked = ('launches', 'products', 'uploads', 'downloads', 'waits')
    assert [of_forward[name] for name in asked] == [51, 18, 0, 0, 0]
    assert [of_step[name] for name in asked] == [204, 53, 2, 0, 0]


def test_the_check_for_a_gpu_compares_tapes_with_ops(cupy, monkeypatch):
    row, = gpu_check.check_tapes('tiny_8s', 1 / 4)
    assert taped_ops() and row.ok, str(row)
    monkeypatch.setattr(tape.Tape, 'play', lambda self, arrays: self.make_result(
        arrays, [x.data for x in arrays] + [cupy.cuda.alloc(1 << 20)] * len(self.no_memory)))
    row, = gpu_check.check_tapes('tiny_8s', 1 / 4)          # nothing was launched
    assert not row.ok


def test_a_result_is_not_overwritten_by_a_later_call(cupy):
    n = a_net()
    for image in 2 * images(cupy):
        n.forward(image)
    scores = [n.forward(image) for image in images(cupy)]
    for image, score in zip(images(cupy), scores):
        assert_same_bits(score, n.forward(image))
    assert (scores[0] != scores[1]).any()


def test_threads_replay_at_once(cupy):
    n = a_net()
    expected = [n.forward(image).get() for image in images(cupy)]
    wrong = []

    def run(image, score):
        wrong.extend('bits' for _ in range(12) if (n.forward(image).get() != score).any())
        wrong.extend([] if taped_ops() else ['no tape'])

    threads = [threading.Thread(target=run, args=pair) for pair in zip(images(cupy), expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- Which call it is

def test_a_tape_is_for_one_kind_of_call(cupy):
    x = cupy.asarray(np.random.default_rng(1).standard_normal((2, 64, 24, 24), 'float32'))
    w = cupy.asarray(np.random.default_rng(2).standard_normal((32, 64, 3, 3), 'float32'))

    def calls():
        yield ops.conv2d(x, w, pad=1)
        yield ops.conv2d(x, w, pad=2)
        yield ops.conv2d(x[:1], w, pad=1)
        yield ops.conv2d(x, w[:, :, ::-1], pad=1)
        yield ops.conv2d(x.astype('float64'), w.astype('float64'), pad=1)
        yield ops.max_pool(x, 2)
        yield ops.max_pool(x, 2, ceil=False)

    first = [y.get() for y, _ in calls()]
    for _ in range(CALLS):
        for y, expected in zip(calls(), first, strict=True):
            assert_same_bits(y[0], expected)
    with counting() as counts, precision('tf32'):
        tf32, _ = ops.conv2d(x, w, pad=1)
    assert counts['tf32_products'] == 1
    assert_same_bits(ops.conv2d(x, w, pad=1)[0], first[0])


def test_two_arguments_in_one_memory(cupy):
    """A tape made of them would not know which of the two an address is of."""
    x = cupy.asarray(np.random.default_rng(1).standard_normal((1, 2, 3, 4), 'float32'))
    for _ in range(CALLS):
        ops.relu.backward(x, (x,))
    assert taped_ops() == set()
    for _ in range(2):
        ops.relu.backward(x, (x.copy(),))
    assert_same_bits(ops.relu.backward(x, (-x,)), [np.where(-x.get() > 0, x.get(), 0)])


def test_an_array_to_write_into_that_shares_memory_with_one_to_read(cupy, monkeypatch):
    """A tape of arrays apart would write over pixels of x that its next piece reads."""
    monkeypatch.setattr(im2col, 'MAX_PIECE', 1)
    rng = np.random.default_rng(1)
    x, w = (cupy.asarray(rng.standard_normal(shape, 'float32'))
            for shape in [(1, 4, 16, 16), (4, 4, 3, 3)])
    for _ in range(CALLS):
        expected, _ = conv_relu(x, w, pad=1, out=cupy.empty_like(x))
    assert taped_ops() == {'conv_relu'}
    in_place, _ = conv_relu(x, w, pad=1, out=x)
    assert in_place is x
    np.testing.assert_allclose(x.get(), expected.get(), rtol=1e-5, atol=1e-6)


def test_another_stream_has_another_tape(cupy):
    x = cupy.ones((1, 2, 6, 6), 'float32')
    for _ in range(CALLS):
        ops.max_pool(x, 2)
    with cupy.cuda.Stream():
        for _ in range(CALLS):
            assert (ops.max_pool(x, 2)[0] == 1).all()
    assert len(tape._this_thread.tapes) == 2


def test_a_thread_forgets_its_tapes_when_they_are_too_many(cupy, monkeypatch):
    monkeypatch.setattr(tape, 'MAX_CALLS', 5)
    for _ in range(2):
        for size in range(2, 40):
            x = cupy.ones((1, 1, size, size), 'float32')
            for _ in range(3):
                assert (ops.max_pool(x, 2)[0] == 1).all()
            assert len(tape._this_thread.tapes) <= 6


# ---- What cannot be recorded

@pytest.fixture
def planted(monkeypatch):
    """A function that makes an op which has this kernel on the GPU."""
    def plant(function):
        monkeypatch.setattr(registry, '_kernels', dict(registry._kernels))
        registry.kernel('planted', 'cupy', accepts=lambda *arrays: True)(function)

        def planted(x):
            raise NotImplementedError
        return accelerated(planted)
    return plant


def half_by_cupy(x):
    """CuPy doubles a copy, a kernel halves it by a mask of ones."""
    y = x.copy()
    dx = x * 0
    launch('pointwise', 'relu_backward', x.size, y, x, dx, x.size)
    return dx


def all_by_cupy(x):
    return x * 2


def a_view(x):
    return x[:, 1:]


@pytest.mark.parametrize('kernel', [half_by_cupy, all_by_cupy, a_view])
def test_what_cupy_computes_itself_is_not_replayed(cupy, planted, kernel):
    op = planted(kernel)
    rng = np.random.default_rng(1)
    for _ in range(CALLS + 2):
        x = cupy.asarray(rng.random((2, 3), 'float32'))
        assert_same_bits(op(x), kernel(x))
    assert taped_ops() == set()


def test_an_op_inside_of_a_kernel_is_on_its_tape(cupy, monkeypatch, planted):
    def pool_twice(x):
        y, _ = ops.max_pool(x, 2)
        return ops.max_pool(y, 3)[0]

    op = planted(pool_twice)
    rng = np.random.default_rng(1)
    for _ in range(CALLS + 2):
        x = cupy.asarray(rng.random((1, 2, 12, 12), 'float32'))
        assert_same_bits(op(x), as_written(monkeypatch, op, x))
    assert taped_ops() == {'planted'}


def test_an_error_while_it_is_recorded_ends_the_recording(cupy, planted):
    op = planted(lambda x: launch('pointwise', 'no such kernel', x.size))
    x = cupy.ones(3)
    for _ in range(CALLS + 2):
        with pytest.raises(ValueError, match='no such kernel'):
            op(x)
    assert tape._this_thread.recorder is None and taped_ops() == set()
