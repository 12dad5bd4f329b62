"""Every number in every frame is the library's, for random numbers, sizes, strides and pads.

The numbers are small integers (or halves and quarters of them), so sums are exact.
"""
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tinyfcn import Net, build, metrics, ops, viz
from tinyfcn.course import tracing
from tinyfcn.geometry import conv_size, pool_size
from tinyfcn.layers import add, conv, crop, max_pool, upsample
from tinyfcn.prediction import crf

SEEDS = range(12)
IMAGE = np.arange(16).reshape(4, 4)
KERNEL = [[1, 0], [-2, .5]]


def random_case(seed, channels=None):
    """x (C, H, W), w (C, kh, kw), the geometry of a window that fits, and a random generator."""
    rng = np.random.default_rng((seed, 3))
    c = channels or int(rng.integers(1, 3))
    h, w, kh, kw = (int(n) for n in rng.integers((3, 3, 1, 1), (6, 7, 4, 4)))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    pad = tuple(int(n) for n in rng.integers(0, 3, 2))
    x = rng.integers(-4, 5, (c, h, w)) * 1.
    weights = rng.integers(-3, 4, (c, kh, kw)) * 1.
    return x, weights, dict(stride=stride, pad=pad), rng


def stack(state, name):
    """The values of the grids x, or x[0], x[1], …: (C, H, W); an empty cell is nan."""
    grids = [grid for key, grid in state.items() if re.fullmatch(rf'{name}(\[\d+\])?', key)]
    return np.array(grids, float)


def without_padding(player, name, state):
    """The same without its dim border, which is padding or will be cropped."""
    x = stack(state, name)
    dim = next(grid['dim'] for grid in player.trace['grids']
               if grid['name'] in (name, f'{name}[0]'))
    keep = np.ones(x.shape[1:], bool)
    keep[tuple(np.array(dim, int).reshape(-1, 2).T)] = False
    rows = keep.any(1)
    columns = keep.any(0)
    assert keep.sum() == rows.sum() * columns.sum(), 'the cells that are not dim are a rectangle'
    return x[:, rows][:, :, columns]


def highlighted(frame, state, name):
    """The highlighted values, channel by channel, in the order in which the frame lists them."""
    keys = [key for key in state if re.fullmatch(rf'{name}(\[\d+\])?', key)]
    return np.array([[state[key][i][j] for i, j in frame['highlight'].get(key, ())]
                     for key in keys])


def assert_same(a, b):
    np.testing.assert_array_equal(a, b, strict=True)


# ---- convolution --------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_convolution_is_conv2d_and_each_frame_is_one_window(seed):
    x, w, geometry, _ = random_case(seed)
    y, _ = ops.conv2d(x[None], w[None], **geometry)
    player = tracing.convolution(x, w, **geometry)
    assert_same(stack(player[-1], 'y'), y[0])
    assert_same(without_padding(player, 'x', player[0]), x)
    assert len(player) == y.size
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        assert_same(highlighted(frame, state, 'w').ravel(), w.ravel())
        total = (highlighted(frame, state, 'x') * highlighted(frame, state, 'w')).sum()
        assert highlighted(frame, state, 'y').tolist() == [[total]] == [[y.flat[n]]]
        assert np.isfinite(stack(state, 'y')).sum() == n + 1, 'later outputs are still empty'


def test_dilated_convolution():
    x = np.arange(49.).reshape(7, 7)
    w = np.arange(9.).reshape(3, 3)
    player = tracing.convolution(x, w, dilation=2)
    assert_same(stack(player[-1], 'y'), ops.conv2d(x[None, None], w[None, None], dilation=2)[0][0])
    assert player.trace['frames'][0]['highlight']['x'][:4] == [[0, 0], [0, 2], [0, 4], [2, 0]]


@pytest.mark.parametrize('seed', SEEDS)
def test_im2col_is_im2col_and_a_column_times_w_is_y(seed):
    x, w, geometry, _ = random_case(seed)
    y, _ = ops.conv2d(x[None], w[None], **geometry)
    cols, _ = ops.im2col(x[None], w.shape[1:], **geometry)
    player = tracing.im2col(x, w, **geometry)
    assert_same(stack(player[-1], 'y'), y[0])
    assert_same(stack(player[-1], 'cols'), cols)
    assert_same(stack(player[-1], 'w').ravel(), w.ravel())
    for n, frame in enumerate(player.trace['frames']):
        column = highlighted(frame, player[n], 'cols')
        assert_same(column.ravel(), highlighted(frame, player[n], 'x').ravel())
        assert frame['highlight']['cols'] == [[i, n] for i in range(w.size)]
        assert highlighted(frame, player[n], 'y') == column[0] @ w.ravel()


@pytest.mark.parametrize('seed', SEEDS)
def test_matrix_is_conv_matrix_and_a_row_times_x_is_y(seed):
    x, w, geometry, _ = random_case(seed, channels=1)
    player = tracing.matrix(x, w, **geometry)
    state = player[-1]
    m = stack(state, 'M')[0]
    assert_same(m, ops.conv_matrix(w[None], x.shape, **geometry).toarray())
    assert_same(m @ x.ravel(), stack(state, 'y').ravel())
    assert_same(stack(state, 'y').ravel(), ops.conv2d(x[None], w[None], **geometry)[0].ravel())
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        products = highlighted(frame, state, 'M') * highlighted(frame, state, 'x')
        assert products.sum() == state['y'][n][0]
        assert np.isfinite(stack(state, 'M')[0]).all(1).sum() == n + 1


# ---- backward -----------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_backward_is_the_backward_of_conv2d_and_each_frame_adds(seed):
    x, w, geometry, rng = random_case(seed)
    y, cache = ops.conv2d(x[None], w[None], **geometry)
    dy = rng.integers(-3, 4, y.shape[2:]) * 1.
    dx, dw, _ = ops.conv2d.backward(dy[None, None], cache)
    player = tracing.backward(x, w, dy, **geometry)
    assert_same(without_padding(player, 'dx', player[-1]), dx[0])
    assert_same(stack(player[-1], 'dw'), dw[0])
    expected_dx = 0 * stack(player[0], 'x')
    dw_before = np.zeros_like(w)
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        window = highlighted(frame, state, 'x').reshape(w.shape)
        assert_same(stack(state, 'dw'), dw_before + dy.flat[n] * window)
        dw_before = stack(state, 'dw')
        cells = next(cells for name, cells in frame['highlight'].items() if name.startswith('dx'))
        rows, columns = np.array(cells).T
        expected_dx[:, rows, columns] += dy.flat[n] * w.reshape(len(w), -1)
        assert_same(stack(state, 'dx'), expected_dx)


@pytest.mark.parametrize('seed', SEEDS)
def test_col2im_is_col2im(seed):
    x, w, geometry, _ = random_case(seed)
    cols, _ = ops.im2col(x[None], w.shape[1:], **geometry)
    player = tracing.col2im(cols[0], x.shape[1:], w.shape[1:], **geometry)
    expected, _ = ops.col2im(cols, x.shape, w.shape[1:], **geometry)
    assert_same(without_padding(player, 'x', player[-1]), expected[0])
    assert_same(stack(player[0], 'cols'), cols)
    for n in range(len(player)):
        assert stack(player[n], 'x').sum() == cols[0, :, :n + 1].sum()


# ---- pooling ------------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_max_pool_its_switches_and_unpooling(seed):
    x, w, geometry, rng = random_case(seed)
    ksize = int(rng.integers(1, 4))
    stride = int(rng.integers(1, 4))
    if min(pool_size(x.shape[1:], ksize, stride)) < 1:
        pytest.skip('no window')
    y, cache = ops.max_pool(x[None], ksize, stride)
    switches, _ = ops.max_switches(x[None], ksize, stride)
    player = tracing.max_pool(x, ksize, stride)
    state = player[-1]
    half = len(player) // 2
    assert_same(stack(state, 'y'), y[0])
    assert_same(stack(state, 'switches'), switches[0] * 1.)
    assert_same(stack(state, 'unpooled'), ops.unpool(y, switches, x.shape[1:])[0][0])
    assert half == y.size and not np.isfinite(stack(player[half - 1], 'unpooled')).any()
    for n, frame in enumerate(player.trace['frames'][:half]):
        name = 'x' if len(x) == 1 else f'x[{n // (y.size // len(x))}]'
        window = [player[n][name][i][j] for i, j in frame['highlight'][name]]
        assert y.flat[n] == max(window)
        assert len(window) <= ksize ** 2, 'the last window may reach beyond the edge'
    for n in range(half, 2 * half):
        assert stack(player[n], 'unpooled').sum() == y.flat[:n - half + 1].sum()


def test_the_stride_of_max_pool_is_ksize_by_default():
    x = np.arange(25).reshape(5, 5)
    assert tracing.max_pool(x, 2)[-1]['y'] == [[6, 8, 9], [16, 18, 19], [21, 23, 24]]
    assert tracing.max_pool(x, 2).trace == tracing.max_pool(x, 2, 2).trace


@pytest.mark.parametrize('seed', SEEDS)
def test_a_bin_is_the_mean_of_the_highlighted_pixels(seed):
    x, _, _, rng = random_case(seed)
    bins = int(rng.integers(1, 4))
    y, _ = ops.avg_pool_to(x[None], bins)
    player = tracing.avg_pool_to(x, bins)
    assert_same(stack(player[-1], 'y'), y[0])
    for n, frame in enumerate(player.trace['frames']):
        name, cells = next((k, cells) for k, cells in frame['highlight'].items() if k[0] == 'x')
        values = [player[n][name][i][j] for i, j in cells]
        np.testing.assert_allclose(np.mean(values), y.flat[n], atol=1e-14)      # thirds round
        rows, columns = ({cell[axis] for cell in cells} for axis in (0, 1))
        assert len(cells) == len(rows) * len(columns)
        i, j = divmod(n % bins ** 2, bins)
        assert [min(rows), max(rows) + 1] == [i * x.shape[1] // bins,
                                              -(-(i + 1) * x.shape[1] // bins)]
        assert np.isfinite(stack(player[n], 'y')).sum() == n + 1


# ---- dilation -----------------------------------------------------------------------------------

@pytest.mark.parametrize('dilations, reached', [([1, 1, 1], 7), ([2, 2, 2], 7), ([1, 2, 4], 15),
                                                ([4, 2, 1], 15), ([3], 3), ([1, 5], 9)])
def test_paths_are_counted_by_the_gradient_of_a_net(dilations, reached):
    n = Net(1, dtype='float64')
    x = n.data
    for i, dilation in enumerate(dilations, start=1):
        x = n[f'conv{i}'] = conv(x, 1, (1, 3), pad=(0, dilation), dilation=(1, dilation))
    for name, w in n.params.items():
        w[...] = name.endswith('.w')
    wide = int(x.alignment.field[1])
    y = n.forward(np.zeros((1, 1, 1, wide)), keep=True)
    dy = np.zeros_like(y)
    dy[..., wide // 2] = 1
    n.backward(**{x.name: dy})
    player = tracing.paths(dilations)
    for name in [*n.boxes][1:]:
        assert_same(np.nan_to_num(stack(player[-1], name))[0], n.grads[name][0, 0])
    image = stack(player[-1], 'image')[0]
    assert_same(np.nan_to_num(image), n.grads['data'][0, 0])
    assert np.isfinite(image).sum() == reached and len(player) == len(dilations) + 1
    caption = player.trace['frames'][-1]['caption']
    assert caption.startswith(f'image: {reached} of {wide} cells have a path')


# ---- the CRF ------------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_mean_field_is_an_iteration_of_the_crf_and_messages_are_weighted_sums(seed):
    rng = np.random.default_rng(seed)
    c, h, w = (int(n) for n in rng.integers((2, 1, 1), (4, 5, 5)))
    prob = rng.integers(1, 9, (c, h, w)) / 1.
    prob /= prob.sum(0)
    image = rng.integers(0, 256, (h, w, 3)).astype('uint8')
    settings = crf.SETTINGS['pydensecrf']
    player = tracing.mean_field(prob, image, settings)
    after = crf.mean_field(prob, image, settings, 1, exact=True)
    assert_same(stack(player[-1], 'q'), after[1:])
    assert_same(stack(player[0], 'p'), prob[1:])
    assert len(player) == h * w
    for n in range(h * w):
        message = (stack(player[n], 'weights')[0] * prob).sum((1, 2))
        q = prob.reshape(c, -1)[:, n] * np.exp(message)
        # the sums are in another order
        np.testing.assert_allclose(q / q.sum(), after.reshape(c, -1)[:, n], rtol=1e-12)
        assert np.isfinite(stack(player[n], 'q')).sum() == (c - 1) * (n + 1)


# ---- transposed convolution ---------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_scatter_zero_insert_and_transposed_matrix_are_conv_transpose2d(seed):
    x, w, geometry, _ = random_case(seed)
    x = x[:, :3, :3]                            # Mᵀ has a cell for every pair of pixels
    geometry['pad'] = tuple(min(p, k - 1) for p, k in zip(geometry['pad'], w.shape[1:]))
    y, _ = ops.conv_transpose2d(x[None], w[:, None], **geometry)
    scatter = tracing.scatter(x, w, **geometry)
    assert_same(without_padding(scatter, 'y', scatter[-1]), y[0])
    zeros = tracing.zero_insert(x, w, **geometry)
    assert_same(stack(zeros[-1], 'y'), y[0])
    assert_same(stack(zeros[0], 'w'), w[:, ::-1, ::-1])
    matrix = tracing.transposed_matrix(x, w, **geometry)
    assert_same(stack(matrix[-1], 'y').reshape(y[0].shape), y[0])
    m = ops.conv_matrix(w[:, None], y.shape[2:], **geometry).toarray()
    assert_same(stack(matrix[-1], 'Mᵀ').reshape(x.size, -1), m)

    full = 0 * stack(scatter[0], 'y')[0]
    for n, frame in enumerate(scatter.trace['frames']):
        full[tuple(np.array(frame['highlight']['y']).T)] += x.flat[n] * w[n // x[0].size].ravel()
        assert_same(stack(scatter[n], 'y')[0], full)
    for n, frame in enumerate(zeros.trace['frames']):
        total = (highlighted(frame, zeros[n], 'expanded') * highlighted(frame, zeros[n], 'w')).sum()
        assert highlighted(frame, zeros[n], 'y') == total
    for n in range(x.size):
        assert_same(stack(matrix[n], 'y').ravel(), m[:n + 1].T @ x.ravel()[:n + 1])


@pytest.mark.parametrize('values, factor', [([1, 3, 2], 2), ([4, 0, -8, 2], 4), ([3, 6], 3),
                                            ([5, 7], 1)])
def test_bilinear_is_upsample(values, factor):
    player = tracing.bilinear(values, factor)
    true, _ = ops.upsample(np.array(values, float)[None, None, None], (1, factor))
    assert_same(stack(player[-1], 'y'), true[0])
    kernels = stack(player[-1], 'kernels')[0]
    np.testing.assert_allclose(np.nansum(kernels, 0), true[0, 0, 0], atol=1e-15)    # thirds round
    assert np.isfinite(kernels).sum(1).tolist() == [2 * factor - factor % 2] * len(values)


# ---- the confusion matrix -----------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_confusion_is_right_after_every_pixel(seed):
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, 2, 255], (3, 4))
    pred = rng.integers(0, 3, (3, 4))
    player = tracing.confusion(label, pred, 3)
    for n in range(12):
        true = metrics.confusion(label.ravel()[:n + 1], pred.ravel()[:n + 1], 3)
        assert_same(stack(player[n], 'confusion')[0], true * 1.)
    void = [n for n, v in enumerate(label.ravel()) if v == 255]
    assert void == [n for n, f in enumerate(player.trace['frames']) if 'void' in f['caption']]


# ---- alignments ---------------------------------------------------------------------------------

def test_the_crop_of_fcn16s_is_aligned_with_pool4():
    net = build('fcn16s', width=1/64, seed=None)
    player = tracing.fusion(net, (64, 96), 'pool4', 'upscore2', 'score_pool4c')
    image, pool4, upscore2, crop = player.trace['maps']
    assert image['size'] == [64, 96] and crop['size'] == upscore2['size']
    assert pool4['shift'] == [-91.5, -91.5] and crop['shift'] == [-11.5, -11.5]
    assert crop['title'].endswith('16·i − 11.5, crop 5')
    assert len(player) == np.prod(net.sizes((64, 96))['upscore2'])
    units = [[i, j] for i, j in np.ndindex(*crop['size'])]
    for unit, frame in zip(units, player.trace['frames']):
        assert frame['units'] == {'pool4': [n + 5 for n in unit], 'upscore2': unit,
                                  'score_pool4c': unit}
    assert player[3]['caption'] == (
        'pixel [−11.5,36.5]: pool4[5,8], upscore2[0,3], score_pool4c[0,3]')


@pytest.mark.parametrize('name, last', [('fcn32s', 'fc6'), ('fcn8s', 'fuse_pool4'),
                                        ('fcn_alexnet', 'pool5')])
def test_the_fields_are_the_receptive_fields_of_the_net(name, last):
    net = build(name, width=1/64, seed=None)
    player = tracing.receptive_field(net, 'pool1', 'pool2', last, size=(90, 70))
    alignment = net[last].alignment
    sizes = net.sizes((90, 70))
    for unit, frame in zip(np.ndindex(sizes[last]), player.trace['frames']):
        assert frame['units'] == {last: [*unit]}
        centre = [s * n + b for s, n, b in zip(alignment.scale, unit, alignment.shift)]
        assert frame['fields'][last] == [[c, c] for c in centre]
        for name, field in [('image', (1, 1)), ('pool1', net.pool1.alignment.field)]:
            for axis, (low, high) in enumerate(frame['fields'][name]):
                assert (low + high) / 2 == centre[axis]
                assert high - low == alignment.field[axis] - field[axis]
    for each in player.trace['maps'][1:]:
        own = net[each['name']].alignment
        assert (each['scale'], each['shift']) == ([*own.scale], [*own.shift])
        assert each['size'] == [*sizes[each['name']]]


def test_the_fields_hold_exactly_the_units_with_a_gradient():
    """The units that backward finds, box by box."""
    n = Net(1, dtype='float64')
    n.one = conv(n.data, 1, 3, pad=2)
    n.two = conv(n.one, 1, 3, stride=2)
    n.three = conv(n.two, 1, 5, stride=2, pad=1)
    for name, w in n.params.items():
        w[...] = name.endswith('.w')
    size = 15, 31
    player = tracing.receptive_field(n, 'one', 'two', 'three', size=size)
    for frame in player.trace['frames']:
        y = n.forward(np.ones((1, 1, *size)), keep=True)
        dy = np.zeros_like(y)
        dy[0, 0][tuple(frame['units']['three'])] = 1
        n.backward(three=dy)
        for each in player.trace['maps']:
            grad = n.grads['data' if each['name'] == 'image' else each['name']][0, 0]
            for axis, (low, high) in enumerate(frame['fields'][each['name']]):
                reached = grad.any(1 - axis)
                positions = each['scale'][axis] * np.arange(len(reached)) + each['shift'][axis]
                assert_same(reached, (positions >= low) & (positions <= high))


def test_a_box_on_another_branch_is_rejected():
    net = build('fcn16s', width=1/64, seed=None)
    with pytest.raises(ValueError, match='score_pool4 is not on the branch along which fuse_pool4'):
        tracing.receptive_field(net, 'score_pool4', 'fuse_pool4', size=(32, 32))
    with pytest.raises(ValueError, match='name the boxes to show over the image'):
        tracing.receptive_field(net, size=(32, 32))
    with pytest.raises(KeyError, match="no box called 'pool9'; did you mean"):
        tracing.fusion(net, (32, 32), 'pool9')
    vgg = build('vgg16', width=1/64, seed=None)
    with pytest.raises(ValueError, match='score has .*: fc8 was averaged'):
        tracing.receptive_field(vgg, 'score', size=(224, 224))


def test_the_extent_holds_all_fields_and_the_image_is_shown():
    n = Net(1)
    n.first = conv(n.data, 1, 3, pad=1)
    n.pooled = max_pool(n.first, 2)
    n.up = upsample(n.pooled, 2)
    photo = np.full((8, 8, 3), 50, 'uint8')
    trace = tracing.receptive_field(n, 'up', size=(8, 8), image=photo).trace
    assert trace['drag'] == 'up'
    spans = [span for frame in trace['frames'] for spans in frame['fields'].values()
             for span in spans]
    assert trace['extent'] == 2 * [[min(a for a, _ in spans), max(b for _, b in spans)]]
    shown = Image.open(BytesIO(b64decode(trace['image'].partition(',')[2])))
    assert_same(np.array(shown), photo)
    with pytest.raises(ValueError, match='image is 8×8, and the net is shown for 8×9'):
        tracing.fusion(n, (8, 9), 'up', image=photo)


def stack_net():
    """FCN-16s, without the layers that change neither size nor alignment."""
    n = Net(1, seed=None)
    n.conv1 = conv(n.data, 1, 3, pad=100)
    n.pool1 = max_pool(n.conv1, 4)
    n.pool2 = max_pool(n.pool1, 4)
    n.fc6 = conv(n.pool2, 1, 8, stride=2)
    n.score_fr = conv(n.fc6, 1, 1)
    n.upscore2 = upsample(n.score_fr, 2)
    n.score_pool2 = conv(n.pool2, 1, 1)
    n.score_pool2c = crop(n.score_pool2, like=n.upscore2)
    n.fuse = add(n.upscore2, n.score_pool2c)
    n.upscore16 = upsample(n.fuse, 16)
    n.score = crop(n.upscore16, like=n.data)
    return n


def test_the_stack_has_the_sizes_and_alignments_of_the_net():
    net = stack_net()
    trace = tracing.stack(net, 70).trace
    assert [layer['name'] for layer in trace['layers']] == [
        'image', 'conv1', 'pool1', 'pool2', 'fc6', 'upscore2', 'fuse', 'upscore16', 'score']
    sizes = net.sizes((70, 70))
    for layer, frame in zip(trace['layers'], trace['frames']):
        box = net['data' if layer['name'] == 'image' else layer['name']]
        own = box.alignment
        assert (frame['size'], frame['scale'], frame['shift'], frame['field']) == (
            sizes[box.name][1], own.scale[1], own.shift[1], own.field[1])
    assert trace['frames'][2]['caption'] == (
        'pool1: size = ⌈(268 − 4)/4⌉ + 1 = 67,  scale = 1·4 = 4,  '
        'shift = −99 + 1·(4 − 1)/2 = −97.5')
    offsets = [net[name].kwargs['offset'][1] for name in ('score_pool2c', 'score')]
    assert [frame['offset'] for frame in trace['frames'] if 'offset' in frame] == offsets
    assert trace['frames'][-1]['caption'].endswith(f' = {offsets[1]}')
    with pytest.raises(ValueError, match='a stack of 23 layers is too high to show'):
        tracing.stack(build('fcn16s', width=1/64, seed=None), 64)


# ---- the loss, descent, and nets in pictures ----------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS[:4])
def test_loss_is_the_softmax_loss_of_each_pixel(seed):
    rng = np.random.default_rng(seed)
    score = rng.integers(-4, 5, (3, 5)) * 1.
    label = rng.choice([0, 1, 2, 255], 5)
    player = tracing.loss(score, label)
    total, dscore = ops.softmax_cross_entropy(score[None, :, None], label[None, None])
    state = player[-1]
    assert_same(stack(state, 'dscore')[0], dscore[0, :, 0])
    np.testing.assert_allclose(np.sum(state['loss']), total, rtol=1e-12)
    p = np.exp(score) / np.exp(score).sum(0)
    np.testing.assert_allclose(state['p'], p, rtol=1e-12, atol=1e-15)


def test_descent_follows_sgd_with_momentum():
    player = tracing.descent(lr=.1, momentum=.5, curvature=(1, 4), start=(2, 1), steps=2)
    # v = .1·(2, 4) = (.2, .4), w = (1.8, .6); v = (.1, .2) + .1·(1.8, 2.4), w = (1.52, .16)
    points = [frame['point'] for frame in player.trace['frames']]
    np.testing.assert_allclose(points, [(2, 1), (1.8, .6), (1.52, .16)], rtol=1e-12)
    assert player[0]['caption'] == 'step 0: w = (2, 1), loss 4'


def pixels_of(player, frame, panel):
    """The picture that a frame shows in a panel, (H, W, 3)."""
    address = player.trace['images'][frame['show'][panel]]
    with Image.open(BytesIO(b64decode(address.partition(',')[2]))) as image:
        return np.array(image.convert('RGB'))


@pytest.mark.parametrize('factor', [2, 3, 4])
def test_the_formula_of_bilinear_is_right(factor):
    values = np.array([1., 3, -2])
    player = tracing.bilinear(values, factor)
    j = np.arange(len(player[-1]['y'][0]))
    for n, frame in enumerate(player.trace['frames']):
        value, middle, slope = re.fullmatch(
            rf'kernels\[{n},j\] = values\[(\d)\] · \(1 − \|j − (.+)\| / (\d)\)',
            frame['formula']).groups()
        wanted = values[int(value)] * (1 - abs(j - float(middle)) / int(slope)).clip(0)
        kernel = np.array(player[n]['kernels'][n], float)
        np.testing.assert_allclose(np.nan_to_num(kernel), wanted, atol=1e-12)


def test_the_formula_of_softmax_is_right():
    player = tracing.loss([[2, 0, -1], [1, 0, 2]], [0, 255, 1])
    assert [frame['formula'] for frame in player.trace['frames']] == [
        'p[0,0] = e^2 / (e^2 + e^1) ≈ 0.731', 'p[0,1] = e^0 / (e^0 + e^0) = 0.5',
        'p[1,2] = e^2 / (e^−1 + e^2) ≈ 0.953']


@pytest.mark.parametrize('player, formula', [
    (lambda: tracing.convolution(IMAGE, KERNEL, stride=2, pad=1, dilation=2),
     'y[1,0] = Σ[a,b] w[a,b] · x[2+2·a,2·b]'),
    (lambda: tracing.max_pool(IMAGE, 2), 'y[1,1] = max[a,b] x[2+a,2+b]'),
    (lambda: tracing.scatter(IMAGE[:2, :2], KERNEL, 2), 'y[2+a,2+b] += x[1,1] · w[a,b]'),
    (lambda: tracing.matrix(IMAGE[:3, :3], KERNEL), 'y[3] = Σ[j] M[3,j] · x[j]'),
])
def test_formulas_have_the_indices_of_their_step(player, formula):
    assert formula in [frame['formula'] for frame in player().trace['frames']]


def test_training_shows_each_mask_in_the_colours_of_the_lessons():
    label = np.array([[0, 1], [255, 2]])
    masks = {0: np.zeros((2, 2), int), 20: np.array([[0, 1], [1, 1]])}
    player = tracing.training(np.zeros((2, 2, 3), 'uint8'), label, masks)
    assert [frame['caption'] for frame in player.trace['frames']] == [
        'after 0 steps: 33.3% of the pixels are right, mean IU 0.11',
        'after 20 steps: 66.7% of the pixels are right, mean IU 0.50']
    table = viz.palette()
    for frame, mask in zip(player.trace['frames'], masks.values()):
        assert_same(pixels_of(player, frame, 'mask'), table[mask])
        assert_same(pixels_of(player, frame, 'label'), table[label])


def test_walk_shows_the_strongest_channel_of_each_box():
    n = Net(1, dtype='float64')
    n.first = conv(n.data, 2, 1)
    n.pooled = max_pool(n.first, 2)
    n.params['first.w'][:, 0, 0, 0] = 1, 3
    x = np.arange(16.).reshape(1, 1, 4, 4)
    player = tracing.walk(n, x)
    captions = [frame['caption'] for frame in player.trace['frames']]
    assert captions[-1].startswith('pooled = max_pool(first, 2):  2 channels of 2×2')
    grey = pixels_of(player, player.trace['frames'][-1], 'writes')[:, :2, 0]
    np.testing.assert_allclose(grey / 255, n.values['pooled'][0, 1] / 45, atol=.04)    # 16 greys
    assert_same(pixels_of(player, player.trace['frames'][-1], 'reads'),
                pixels_of(player, player.trace['frames'][-2], 'writes'))


def test_walk_back_shows_the_gradients_of_the_net_and_adds_the_second():
    n = Net(1, dtype='float64')
    n.first = conv(n.data, 2, 1)
    n.second = conv(n.first, 2, 1)
    n.total = add(n.first, n.second)
    x = np.arange(4.).reshape(1, 1, 2, 2)
    dtotal = np.arange(8.).reshape(1, 2, 2, 2)
    player = tracing.walk_back(n, x, [['first', 'second'], ['total']], total=dtotal)
    frames = player.trace['frames']
    assert [frame['links'] for frame in frames] == [
        [], [['total', 'first']], [['total', 'second']], [['second', 'first']]]
    assert frames[-1]['caption'] == 'first was read by second, too: this gradient is added'
    n.forward(x, keep=True)
    n.backward(total=dtotal)
    for name in 'first', 'second':
        size = abs(n.grads[name][0]).sum(0)
        np.testing.assert_allclose(pixels_of(player, frames[-1], name)[..., 0] / 255,
                                   size / size.max(), atol=.04)                     # 16 greys


def test_skips_are_off_while_their_score_layer_is_zero():
    net = build('fcn16s', n_class=3, width=1/64)
    rng = np.random.default_rng(1)
    for name in 'score_fr', 'score_pool4':
        net.params[f'{name}.w'][...] = rng.standard_normal(net.params[f'{name}.w'].shape)
    x = rng.standard_normal((1, 3, 48, 64)).astype('float32')
    label = net.forward(x)[0].argmax(0)
    player = tracing.skips(net, x, label, ['score_pool4'])
    without, with_skip = (frame['caption'] for frame in player.trace['frames'])
    assert with_skip == 'with score_pool4: 100.0% of the pixels are right, mean IU 1.00'
    assert without.startswith('without its skips: ') and '100.0%' not in without
    assert (net.forward(x)[0].argmax(0) == label).all(), 'the net itself is not changed'


# ---- captions and errors ------------------------------------------------------------------------

def test_equations_have_the_actual_numbers():
    x = [[1, 2], [-3, 4]]
    w = [[2, -1], [1, 0]]
    assert tracing.convolution(x, w).trace['frames'][0]['caption'] == (
        'y[0,0] = 2·1 − 1·2 + 1·(−3) + 0·4 = −3')
    assert tracing.convolution([[1/3]], [[2]]).trace['frames'][0]['caption'] == (
        'y[0,0] = 2·0.333 ≈ 0.667')
    many = tracing.convolution(np.ones((4, 4)), np.ones((4, 4))).trace['frames'][0]['caption']
    assert many == 'y[0,0] = ' + ' + '.join(['1·1'] * 7 + ['…'] + ['1·1'] * 3) + ' = 16'
    caption = tracing.scatter([[2, -3]], [[1, 5]]).trace['frames'][1]['caption']
    assert caption.endswith('y[0,1] = 10 − 3·1 = 7')
    caption = tracing.col2im([[1, 2], [3, -4]], (1, 3), (1, 2)).trace['frames'][1]['caption']
    assert caption == 'x[0,1] = 3 + 2 = 5'
    caption = tracing.max_pool([[1, 7]], (1, 2)).trace['frames'][0]['caption']
    assert caption == 'y[0,0] = max(1, 7) = 7, found at [0,1]: switch 0·2 + 1 = 1'
    caption = tracing.avg_pool_to([[1, 7]], 1).trace['frames'][0]['caption']
    assert caption == 'y[0,0] = mean(1, 7) = 4'
    caption = tracing.paths([1, 1]).trace['frames'][2]['caption']
    assert caption == 'image: 5 of 5 cells have a path;  [2] = 1 + 1 + 1 = 3'
    settings = dict(w1=1, alpha=1, beta=1, w2=1, gamma=1)
    player = tracing.mean_field([[[.5]], [[.5]]], np.zeros((1, 1, 3), 'uint8'), settings)
    assert player.trace['frames'][0]['caption'] == (
        '[0,0]:  p·e^message = 0.5·e^1 : 0.5·e^1,  so q = 0.5, 0.5')
    caption = tracing.bilinear([1, 3], 2).trace['frames'][1]['caption']
    assert caption == 'y[2] = 0.75 + 0.75 = 1.5'
    assert tracing.confusion([[1]], [[0]], 2).trace['frames'][0]['caption'] == (
        'label 1, prediction 0, wrong: hist[1,0] = 0 + 1 = 1')


@pytest.mark.parametrize('trace, message', [
    (lambda: tracing.convolution(np.ones((31, 30)), [[1]]),
     'x would be a grid of 31×30 cells, too many to read; the limit is 900'),
    (lambda: tracing.convolution(np.ones((25, 25)), [[1]]), '625 steps are too many to follow'),
    (lambda: tracing.matrix(np.ones((8, 8)), np.ones((3, 3))), 'M would be a grid of 36×64 cells'),
    (lambda: tracing.transposed_matrix(np.ones((9, 9)), np.ones((3, 3))),
     'Mᵀ would be a grid of 121×81'),
    (lambda: tracing.bilinear(np.ones(40), 8), 'kernels would be a grid of 40×328'),
    (lambda: tracing.convolution([[1, 2], [3]], [[1]]), 'x is not an array of numbers'),
    (lambda: tracing.convolution([1, 2], [[1]]), r'x has shape \(2,\); \(C, H, W\) or \(H, W\)'),
    (lambda: tracing.convolution(np.ones((2, 2)), np.ones((3, 3))), 'window of 3×3 does not fit'),
    (lambda: tracing.backward(np.ones((3, 3)), np.ones((2, 2)), [[1]]), 'dy has shape'),
    (lambda: tracing.zero_insert([[1]], [[1, 2], [3, 4]], pad=2), 'no zeros are left to put'),
    (lambda: tracing.confusion(np.zeros(3, int), np.zeros(3, int), 2), r'\(H, W\) is needed'),
])
def test_inputs_that_cannot_be_shown_are_rejected(trace, message):
    with pytest.raises(ValueError, match=message):
        trace()


def test_there_is_a_frame_for_each_output_or_each_input():
    x = np.ones((4, 3))
    w = np.ones((3, 2))
    oh, ow = conv_size((4, 3), (3, 2), 2, 1)
    assert len(tracing.convolution(x, w, 2, 1)) == len(tracing.im2col(x, w, 2, 1)) == oh * ow
    assert len(tracing.scatter(x, w, 2)) == len(tracing.transposed_matrix(x, w, 2)) == x.size
