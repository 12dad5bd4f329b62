"""Arguments of the wrong kind and of absurd sizes: an op computes, or refuses in a sentence of its
own, at once. No error of Python's or NumPy's comes up from inside.
"""
from copy import deepcopy
from inspect import signature
from time import perf_counter
from traceback import walk_tb

import numpy as np
import pytest
from portable import resource
from samples import NAMES
from test_refusals import EXAMPLE, FIVE, LABEL, X

import tinyfcn
from tinyfcn import ops
from tinyfcn.dispatch import reference_only
from tinyfcn.metrics import confusion, scores

HUGE = 10 ** 30
STRANGE = dict(
    none=None, text='a', empty=(), list=[1], dict={}, half=1.5, negative=-1, zero=0, true=True,
    nan=float('nan'), complex=1j, object=object(), slice=slice(1), huge=HUGE, minus_huge=-HUGE,
    huge_pair=(10 ** 9, 10 ** 9), three=(1, 2, 3), pair_of_texts=('a', 'b'), pair=(None, 1),
    vector=np.ones(3), square=np.ones((2, 2)), masked=np.ma.array([1., 2.]))
PACKAGE = tinyfcn.__path__[0]


def is_refusal(error):
    """Whether a line `raise …` of tinyfcn raised it."""
    if not isinstance(error, TypeError | ValueError):
        return False
    *_, (frame, line) = walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    if not file.startswith(PACKAGE):
        return False
    with open(file, encoding='utf-8') as source:
        return source.read().split('\n')[line - 1].lstrip().startswith('raise ')


@pytest.fixture
def little_memory():
    """4 GB of addresses more than now: what would need more fails, and takes no other process."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open('/proc/self/statm', encoding='ascii') as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', NAMES)
def test_each_argument_of_an_op(name, dtype, little_memory):
    op = getattr(ops, name)
    args, kwargs = deepcopy(EXAMPLE[name])
    arguments = [key for key in signature(op).parameters if key != 'xs']
    sound = {**dict(zip(arguments, args)), **kwargs}
    sound = {key: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == 'f' else v
             for key, v in sound.items()}
    for key in arguments:
        for kind, value in STRANGE.items():
            try:
                with np.errstate(all='ignore'):
                    op(**deepcopy({**sound, key: value}))
            except Exception as error:
                assert is_refusal(error), f'{key}, {kind}: {type(error).__name__}: {error}'


@pytest.mark.parametrize('dy', [None, 'a', [1.], 1j, np.ones(2), np.ones((2, 2))])
def test_the_dy_of_a_loss(dy):
    _, dscore = ops.softmax_cross_entropy(X, LABEL)
    with pytest.raises((TypeError, ValueError), match='dy') as raised:
        ops.softmax_cross_entropy.backward(dy, dscore)
    assert is_refusal(raised.value)


def test_the_dy_of_the_losses_of_each_pixel():
    losses, dscore = ops.softmax_cross_entropy(X, LABEL, reduce='none')
    with pytest.raises(ValueError, match=r'dy has shape \(2, 5, 5\); \(2, 5, 6\)'):
        ops.softmax_cross_entropy.backward(losses[:, :, 1:], dscore)
    with pytest.raises(TypeError, match='dy is float32'):
        ops.softmax_cross_entropy.backward(np.float32(losses), dscore)


# ---- Absurd sizes

CALLS = dict(
    max_pool=lambda x: ops.max_pool(x, 10 ** 6),
    max_switches=lambda x: ops.max_switches(x, 10 ** 6),
    avg_pool=lambda x: ops.avg_pool(x, 10 ** 6),
    local_response_norm=lambda x: ops.local_response_norm(x, 10 ** 6 + 1),
)


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('call', CALLS.values(), ids=CALLS)
def test_a_window_far_larger_than_the_image_is_walked_no_further_than_the_image(
        call, dtype, little_memory):
    x = np.random.default_rng(1).standard_normal((1, 2, 5, 6)).astype(dtype)
    before = perf_counter()
    y, _ = call(x)
    assert perf_counter() - before < 60                 # at once; without a limit, for minutes
    assert y.shape == ((1, 2, 5, 6) if call is CALLS['local_response_norm'] else (1, 2, 1, 1))
    if call is CALLS['max_pool']:
        assert (y[:, :, 0, 0] == x.max((2, 3))).all()


TOO_LARGE = dict(
    upsample=lambda: ops.upsample(X, 10 ** 6),
    resize=lambda: ops.resize(X, 10 ** 6),
    resize_scale=lambda: ops.resize(X, scale=1e6),
    avg_pool_to=lambda: ops.avg_pool_to(X, 10 ** 6),
    unpool=lambda: ops.unpool(X[..., :2, :2], np.zeros((2, 3, 2, 2), int), (10 ** 6, 10 ** 6)),
    pad=lambda: ops.pad(X, 10 ** 6),
    conv2d=lambda: ops.conv2d(X, np.ones((1, 3, 1, 1)), pad=10 ** 6),
    conv_transpose2d=lambda: ops.conv_transpose2d(X, np.ones((3, 1, 1, 1)), stride=10 ** 6),
    max_pool=lambda: ops.max_pool(X, 10 ** 6, stride=1, pad=10 ** 6 - 1),
)


@pytest.mark.parametrize('call', TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_result_that_no_memory_holds_is_refused_before_it_is_begun(call, little_memory):
    with pytest.raises(ValueError, match='fewer than 2³¹'):
        call()


BEYOND_64_BITS = dict(
    resize=lambda: ops.resize(X, 2 ** 70), avg_pool_to=lambda: ops.avg_pool_to(X, (1, 2 ** 70)),
    max_switches=lambda: ops.max_switches(X, 2 ** 70),
    unpool=lambda: ops.unpool(X, np.zeros(X.shape, int), (2 ** 70, 1)),
    crop=lambda: ops.crop(X, 1, 2 ** 70), groups=lambda: ops.conv2d(X, X, groups=2 ** 70),
    confusion=lambda: confusion(LABEL, LABEL, 2 ** 70))


@pytest.mark.parametrize('call', BEYOND_64_BITS.values(), ids=BEYOND_64_BITS)
def test_a_size_beyond_64_bits_is_refused(call):
    with pytest.raises(ValueError, match='less than 2³¹'):
        call()


# ---- What is no plain array

@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_matrix_and_a_masked_array_are_refused(dtype):
    """Their products and their masks would be lost, or mean something else."""
    two = np.ones((2, 2), dtype)
    masked = np.ma.masked_array(np.ones((1, 3, 5, 6), dtype), mask=True)
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(two)
    for call in (lambda: ops.multiply(matrix, matrix), lambda: ops.multiply(two, matrix),
                 lambda: ops.relu(masked), lambda: ops.max_pool(masked, 2),
                 lambda: ops.conv2d(masked, np.ones((1, 3, 1, 1), dtype)),
                 lambda: ops.relu.backward(matrix, ops.relu(two)[1])):
        with pytest.raises(TypeError, match='is not a plain array.*numpy.asarray'):
            call()
    with pytest.raises(TypeError, match='MaskedArray is not a plain array'):
        confusion(np.ma.masked_equal(LABEL, 0), LABEL, 2)


def test_a_mapped_file_is_an_array(tmp_path):
    np.save(tmp_path / 'x.npy', X)
    mapped = np.load(tmp_path / 'x.npy', mmap_mode='r')
    np.testing.assert_array_equal(ops.max_pool(mapped, 2)[0], ops.max_pool(X, 2)[0])


@pytest.mark.parametrize('op', [ops.relu, ops.leaky_relu, ops.dropout, ops.add])
def test_a_single_number_is_refused_going_forward(op):
    with pytest.raises(ValueError, match=r'x1? is a single number: x1?\.reshape\(1\)'):
        op(np.array(1.))


# ---- ignore, and a matrix of counts

@pytest.mark.parametrize('ignore', [[0, 1], '255', 1.5, float('nan'), None, np.array([0, 1])])
def test_what_to_ignore_is_one_integer(ignore):
    for dtype in 'float32', 'float64':
        with pytest.raises(TypeError, match='ignore is .*: an integer is needed'):
            ops.softmax_cross_entropy(X.astype(dtype), LABEL, ignore=ignore)
    with pytest.raises(TypeError, match='ignore is .*: an integer is needed'):
        confusion(LABEL, LABEL, 3, ignore=ignore)


def test_an_integer_of_numpy_is_one():
    label = LABEL.copy()
    label[0] = 7
    for ignore in 7, np.int64(7), np.uint8(7):
        assert confusion(label, LABEL, 3, ignore=ignore).sum() == label[1].size
        for reference in True, False:
            with reference_only() if reference else np.errstate():
                loss, _ = ops.softmax_cross_entropy(np.float32(X), label, ignore=ignore)
            assert loss == pytest.approx(label[1].size * np.log(3))


@pytest.mark.parametrize('n_class, error', [
    ('4', TypeError), (2.5, TypeError), (None, TypeError), (0, ValueError), (-1, ValueError),
    (10 ** 5, ValueError)])
def test_the_number_of_classes_of_a_confusion_matrix(n_class, error):
    with pytest.raises(error, match='n_class is '):
        confusion(LABEL, LABEL, n_class)


@pytest.mark.parametrize('hist, message', [
    ([[3, -1], [0, 4]], r'hist holds -1 at \(0, 1\)'),
    ([[3., np.nan], [0, 4]], r'hist holds nan at \(0, 1\)')])
def test_scores_refuse_negative_counts(hist, message):
    with pytest.raises(ValueError, match=message):
        scores(np.array(hist))


def test_scores_refuse_what_is_no_number():
    with pytest.raises(TypeError, match='hist is complex128'):
        scores(np.ones((2, 2), complex))


# ---- The new arguments

def test_a_pool_whose_window_reads_no_pixel_is_refused():
    with pytest.raises(ValueError, match=r'dilation \(2, 2\) and pad \(1, 1\).* no pixel .*1×1'):
        ops.max_pool(np.zeros((1, 1, 1, 1)), 2, pad=1, dilation=2)
    with pytest.raises(ValueError, match=r'pad \(3, 3\) must be smaller'):
        ops.avg_pool(X, 2, pad=3, dilation=2)


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(), TypeError, 'size is None and scale is None'),
    (dict(size=2, scale=2), TypeError, 'size is 2 and scale is 2'),
    (dict(scale=0), ValueError, 'scale is 0'),
    (dict(scale=.1), ValueError, r'scale \(0\.1, 0\.1\) leaves nothing of an image of 5×6'),
    (dict(scale=(1, 2, 3)), TypeError, r'scale is \(1, 2, 3\)'),
    (dict(size=2, mode='cubic'), ValueError, "mode is 'cubic'"),
    (dict(size=2, mode='nearest', align_corners=True), ValueError, 'align_corners')])
def test_how_to_resize(kwargs, error, message):
    with pytest.raises(error, match=message):
        ops.resize(X, **kwargs)


@pytest.mark.parametrize('momentum', [-.1, 1.1, np.nan])
def test_a_momentum_outside_0_to_1_is_refused(momentum):
    with pytest.raises(ValueError, match='momentum is '):
        ops.batch_norm(X, *FIVE, momentum=momentum)


@pytest.mark.parametrize('smoothing', [-.1, 1.1, np.nan])
def test_a_label_smoothing_outside_0_to_1_is_refused(smoothing):
    with pytest.raises(ValueError, match='label_smoothing is '):
        ops.softmax_cross_entropy(X, LABEL, label_smoothing=smoothing)
