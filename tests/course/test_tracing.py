"""Every number in every frame is the library's: on random numbers, sizes, strides and pads.

The numbers are small integers (or halves and quarters of them), so that equal means equal.
"""
import re

import numpy as np
import pytest

from tinyfcn import Net, build, metrics, ops
from tinyfcn.course import tracing
from tinyfcn.geometry import conv_size, pool_size
from tinyfcn.layers import conv, max_pool, upsample
from tinyfcn.prediction import crf

SEEDS = range(12)


def draw(seed, channels=None):
    """x (C, H, W), w (C, kh, kw) and the geometry of a window that fits."""
    rng = np.random.default_rng((seed, 3))
    c = channels or int(rng.integers(1, 3))
    h, w, kh, kw = (int(n) for n in rng.integers((3, 3, 1, 1), (6, 7, 4, 4)))
    kwargs = dict(stride=tuple(int(n) for n in rng.integers(1, 4, 2)),
               pad=tuple(int(n) for n in rng.integers(0, 3, 2)))
    return rng.integers(-4, 5, (c, h, w)) * 1., rng.integers(-3, 4, (c, kh, kw)) * 1., kwargs, rng


def stack(state, name):
    """What stands in the grids x, or x[0], x[1], …: (C, H, W); an empty cell is nan."""
    grids = [grid for key, grid in state.items() if re.fullmatch(rf'{name}(\[\d+\])?', key)]
    return np.array(grids, float)


def inside(player, name, state):
    """The same without its soft rim, which pad has put on or will cut off."""
    x = stack(state, name)
    soft = next(grid['soft'] for grid in player.trace['grids']
                if grid['name'] in (name, f'{name}[0]'))
    keep = np.ones(x.shape[1:], bool)
    keep[tuple(np.array(soft, int).reshape(-1, 2).T)] = False
    rows, columns = keep.any(1), keep.any(0)
    assert keep.sum() == rows.sum() * columns.sum(), 'what is not soft is a rectangle'
    return x[:, rows][:, :, columns]


def lit(frame, state, name):
    """The values that are lit, channel by channel, in the order in which the frame names them."""
    keys = [key for key in state if re.fullmatch(rf'{name}(\[\d+\])?', key)]
    return np.array([[state[key][i][j] for i, j in frame['lit'].get(key, ())] for key in keys])


def same(a, b):
    np.testing.assert_array_equal(a, b, strict=True)


# ---- convolution --------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_convolution_is_conv2d_and_each_frame_one_window(seed):
    x, w, kwargs, _ = draw(seed)
    y, _ = ops.conv2d(x[None], w[None], **kwargs)
    player = tracing.convolution(x, w, **kwargs)
    same(stack(player[-1], 'y'), y[0])
    same(inside(player, 'x', player[0]), x)
    assert len(player) == y.size
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        same(lit(frame, state, 'w').ravel(), w.ravel())
        total = (lit(frame, state, 'x') * lit(frame, state, 'w')).sum()
        assert lit(frame, state, 'y').tolist() == [[total]] == [[y.flat[n]]]
        assert np.isfinite(stack(state, 'y')).sum() == n + 1, 'later outputs are still empty'


def test_convolution_with_holes():
    x, w = np.arange(49.).reshape(7, 7), np.arange(9.).reshape(3, 3)
    player = tracing.convolution(x, w, dilation=2)
    same(stack(player[-1], 'y'), ops.conv2d(x[None, None], w[None, None], dilation=2)[0][0])
    assert player.trace['frames'][0]['lit']['x'][:4] == [[0, 0], [0, 2], [0, 4], [2, 0]]


@pytest.mark.parametrize('seed', SEEDS)
def test_im2col_is_im2col_and_a_column_times_w_is_y(seed):
    x, w, kwargs, _ = draw(seed)
    y, _ = ops.conv2d(x[None], w[None], **kwargs)
    cols, _ = ops.im2col(x[None], w.shape[1:], **kwargs)
    player = tracing.im2col(x, w, **kwargs)
    same(stack(player[-1], 'y'), y[0])
    same(stack(player[-1], 'cols'), cols)
    same(stack(player[-1], 'w').ravel(), w.ravel())
    for n, frame in enumerate(player.trace['frames']):
        column = lit(frame, player[n], 'cols')
        same(column.ravel(), lit(frame, player[n], 'x').ravel())
        assert frame['lit']['cols'] == [[i, n] for i in range(w.size)]
        assert lit(frame, player[n], 'y') == column[0] @ w.ravel()


@pytest.mark.parametrize('seed', SEEDS)
def test_matrix_is_conv_matrix_and_a_row_times_x_is_y(seed):
    x, w, kwargs, _ = draw(seed, channels=1)
    player = tracing.matrix(x, w, **kwargs)
    state = player[-1]
    m = stack(state, 'M')[0]
    same(m, ops.conv_matrix(w[None], x.shape, **kwargs).toarray())
    same(m @ x.ravel(), stack(state, 'y').ravel())
    same(stack(state, 'y').ravel(), ops.conv2d(x[None], w[None], **kwargs)[0].ravel())
    for n, frame in enumerate(player.trace['frames']):
        state = player[n]
        assert (lit(frame, state, 'M') * lit(frame, state, 'x')).sum() == state['y'][n][0]
        assert np.isfinite(stack(state, 'M')[0]).all(1).sum() == n + 1


# ---- backward -----------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_backward_is_the_backward_of_conv2d_and_each_frame_adds(seed):
    x, w, kwargs, rng = draw(seed)
    y, cache = ops.conv2d(x[None], w[None], **kwargs)
    dy = rng.integers(-3, 4, y.shape[2:]) * 1.
    dx, dw, _ = ops.conv2d.backward(dy[None, None], cache)
    player = tracing.backward(x, w, dy, **kwargs)
    same(inside(player, 'dx', player[-1]), dx[0])
    same(stack(player[-1], 'dw'), dw[0])
    before = {'dw': np.zeros_like(w), 'dx': 0 * stack(player[0], 'x')}
    for n, frame in enumerate(player.trace['frames']):
        state, d = player[n], dy.flat[n]
        window = lit(frame, state, 'x').reshape(w.shape)
        same(stack(state, 'dw'), before['dw'] + d * window)
        cells = tuple(np.array(next(cells for name, cells in frame['lit'].items()
                                    if name.startswith('dx'))).T)
        before['dx'][(slice(None), *cells)] += d * w.reshape(len(w), -1)
        same(stack(state, 'dx'), before['dx'])
        before['dw'] = stack(state, 'dw')


@pytest.mark.parametrize('seed', SEEDS)
def test_col2im_is_col2im(seed):
    x, w, kwargs, _ = draw(seed)
    cols, _ = ops.im2col(x[None], w.shape[1:], **kwargs)
    player = tracing.col2im(cols[0], x.shape[1:], w.shape[1:], **kwargs)
    same(inside(player, 'x', player[-1]), ops.col2im(cols, x.shape, w.shape[1:], **kwargs)[0][0])
    same(stack(player[0], 'cols'), cols)
    for n in range(len(player)):
        assert stack(player[n], 'x').sum() == cols[0, :, :n + 1].sum()


# ---- pooling ------------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_max_pool_its_switches_and_back(seed):
    x, w, kwargs, rng = draw(seed)
    ksize, stride = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    if min(pool_size(x.shape[1:], ksize, stride)) < 1:
        pytest.skip('no window')
    y, cache = ops.max_pool(x[None], ksize, stride)
    switches, _ = ops.max_switches(x[None], ksize, stride)
    player = tracing.max_pool(x, ksize, stride)
    state, half = player[-1], len(player) // 2
    same(stack(state, 'y'), y[0])
    same(stack(state, 'switches'), switches[0] * 1.)
    same(stack(state, 'unpooled'), ops.unpool(y, switches, x.shape[1:])[0][0])
    assert half == y.size and not np.isfinite(stack(player[half - 1], 'unpooled')).any()
    for n, frame in enumerate(player.trace['frames'][:half]):
        name = 'x' if len(x) == 1 else f'x[{n // (y.size // len(x))}]'
        window = [player[n][name][i][j] for i, j in frame['lit'][name]]
        assert y.flat[n] == max(window) and len(window) <= ksize ** 2, 'the last may hang over'
    for n in range(half, 2 * half):
        assert stack(player[n], 'unpooled').sum() == y.flat[:n - half + 1].sum()


def test_max_pool_strides_by_its_window_unless_told():
    x = np.arange(25).reshape(5, 5)
    assert tracing.max_pool(x, 2)[-1]['y'] == [[6, 8, 9], [16, 18, 19], [21, 23, 24]]
    assert tracing.max_pool(x, 2).trace == tracing.max_pool(x, 2, 2).trace


@pytest.mark.parametrize('seed', SEEDS)
def test_a_bin_is_the_mean_of_what_is_lit(seed):
    x, _, _, rng = draw(seed)
    bins = int(rng.integers(1, 4))
    y, _ = ops.avg_pool_to(x[None], bins)
    player = tracing.avg_pool_to(x, bins)
    same(stack(player[-1], 'y'), y[0])
    for n, frame in enumerate(player.trace['frames']):
        name, cells = next((k, cells) for k, cells in frame['lit'].items() if k[0] == 'x')
        seen = [player[n][name][i][j] for i, j in cells]
        np.testing.assert_allclose(np.mean(seen), y.flat[n], atol=1e-14)        # thirds round
        rows, columns = ({cell[axis] for cell in cells} for axis in (0, 1))
        assert len(cells) == len(rows) * len(columns)
        i, j = divmod(n % bins ** 2, bins)
        assert [min(rows), max(rows) + 1] == [i * x.shape[1] // bins,
                                              -(-(i + 1) * x.shape[1] // bins)]
        assert np.isfinite(stack(player[n], 'y')).sum() == n + 1


# ---- windows with holes -------------------------------------------------------------------------

@pytest.mark.parametrize('dilations, seen', [([1, 1, 1], 7), ([2, 2, 2], 7), ([1, 2, 4], 15),
                                             ([4, 2, 1], 15), ([3], 3), ([1, 5], 9)])
def test_ways_are_what_a_net_s_own_gradient_counts(dilations, seen):
    n = Net(1, dtype='float64')
    x = n.data
    for i, hole in enumerate(dilations, start=1):
        x = n[f'conv{i}'] = conv(x, 1, (1, 3), pad=(0, hole), dilation=(1, hole))
    for name, w in n.params.items():
        w[...] = name.endswith('.w')
    wide = int(x.alignment.field[1])
    y = n.forward(np.zeros((1, 1, 1, wide)), keep=True)
    dy = np.zeros_like(y)
    dy[..., wide // 2] = 1
    n.backward(**{x.name: dy})
    player = tracing.ways(dilations)
    for name in [*n.boxes][1:]:
        same(np.nan_to_num(stack(player[-1], name))[0], n.grads[name][0, 0])
    image = stack(player[-1], 'image')[0]
    same(np.nan_to_num(image), n.grads['data'][0, 0])
    assert np.isfinite(image).sum() == seen and len(player) == len(dilations) + 1
    assert player.trace['frames'][-1]['say'].startswith(f'image: {seen} of {wide} cells are seen')


# ---- the CRF ------------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_mean_field_is_a_step_of_the_crf_and_heard_is_what_is_loud(seed):
    rng = np.random.default_rng(seed)
    c, h, w = (int(n) for n in rng.integers((2, 1, 1), (4, 5, 5)))
    prob = rng.integers(1, 9, (c, h, w)) / 1.
    prob /= prob.sum(0)
    image, kwargs = rng.integers(0, 256, (h, w, 3)).astype('uint8'), crf.SETTINGS['pydensecrf']
    player = tracing.mean_field(prob, image, kwargs)
    after = crf.mean_field(prob, image, kwargs, 1, exact=True)
    same(stack(player[-1], 'q'), after)
    same(stack(player[0], 'p'), prob)
    assert len(player) == h * w
    for n in range(h * w):
        heard = (stack(player[n], 'loud')[0] * prob).sum((1, 2))
        q = prob.reshape(c, -1)[:, n] * np.exp(heard)
        # a product of two orders of adding
        np.testing.assert_allclose(q / q.sum(), after.reshape(c, -1)[:, n], rtol=1e-12)
        assert np.isfinite(stack(player[n], 'q')).sum() == c * (n + 1)


# ---- the transpose, three ways ------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_scatter_zero_insert_and_transposed_are_conv_transpose2d(seed):
    x, w, kwargs, _ = draw(seed)
    x = x[:, :3, :3]                            # Mᵀ has a cell for every pair of pixels
    kwargs['pad'] = tuple(min(p, k - 1) for p, k in zip(kwargs['pad'], w.shape[1:]))
    y, _ = ops.conv_transpose2d(x[None], w[:, None], **kwargs)
    scatter = tracing.scatter(x, w, **kwargs)
    same(inside(scatter, 'y', scatter[-1]), y[0])
    zeros = tracing.zero_insert(x, w, **kwargs)
    same(stack(zeros[-1], 'y'), y[0])
    same(stack(zeros[0], 'w'), w[:, ::-1, ::-1])
    matrix = tracing.transposed(x, w, **kwargs)
    same(stack(matrix[-1], 'y').reshape(y[0].shape), y[0])
    m = ops.conv_matrix(w[:, None], y.shape[2:], **kwargs).toarray()
    same(stack(matrix[-1], 'Mᵀ')[0], m.T)

    full = 0 * stack(scatter[0], 'y')[0]
    for n, frame in enumerate(scatter.trace['frames']):
        full[tuple(np.array(frame['lit']['y']).T)] += x.flat[n] * w[n // x[0].size].ravel()
        same(stack(scatter[n], 'y')[0], full)
    for n, frame in enumerate(zeros.trace['frames']):
        total = (lit(frame, zeros[n], 'spread') * lit(frame, zeros[n], 'w')).sum()
        assert lit(frame, zeros[n], 'y') == total
    for n in range(x.size):
        same(stack(matrix[n], 'y').ravel(), m[:n + 1].T @ x.ravel()[:n + 1])


@pytest.mark.parametrize('values, factor', [([1, 3, 2], 2), ([4, 0, -8, 2], 4), ([3, 6], 3),
                                            ([5, 7], 1)])
def test_bilinear_is_upsample(values, factor):
    player = tracing.bilinear(values, factor)
    true, _ = ops.upsample(np.array(values, float)[None, None, None], (1, factor))
    same(stack(player[-1], 'y'), true[0])
    tents = stack(player[-1], 'tents')[0]
    np.testing.assert_allclose(np.nansum(tents, 0), true[0, 0, 0], atol=1e-15)  # thirds round
    assert np.isfinite(tents).sum(1).tolist() == [2 * factor - factor % 2] * len(values)


# ---- pixels -------------------------------------------------------------------------------------

@pytest.mark.parametrize('seed', SEEDS)
def test_confusion_is_confusion_after_every_pixel(seed):
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, 2, 255], (3, 4))
    pred = rng.integers(0, 3, (3, 4))
    player = tracing.confusion(label, pred, 3)
    for n in range(12):
        true = metrics.confusion(label.ravel()[:n + 1], pred.ravel()[:n + 1], 3)
        same(stack(player[n], 'confusion')[0], true * 1.)
    void = [n for n, v in enumerate(label.ravel()) if v == 255]
    assert void == [n for n, f in enumerate(player.trace['frames']) if 'void' in f['say']]


# ---- rulers -------------------------------------------------------------------------------------

def test_the_crop_of_fcn16s_lies_over_pool4():
    net = build('fcn16s', width=1/64, seed=None)
    player = tracing.fusion(net, (64, 96), 'pool4', 'upscore2', 'score_pool4c')
    image, pool4, upscore2, crop = player.trace['lines']
    assert image['points'] == list(range(96))
    assert pool4['points'][:2] == [-91.5, -75.5] and crop['points'][0] == -11.5
    assert '16·i − 11.5, crop 5' in crop['title']
    assert len(player) == len(crop['points']) == net.sizes((64, 96))['upscore2'][1]
    for k, frame in enumerate(player.trace['frames']):
        assert frame['lit'] == {'pool4': [k + 5], 'upscore2': [k], 'score_pool4c': [k]}
    assert player[3]['say'] == 'pixel 36.5: pool4[8], upscore2[3], score_pool4c[3]'


@pytest.mark.parametrize('name, last', [('fcn32s', 'fc6'), ('fcn8s', 'fuse_pool4'),
                                        ('fcn_alexnet', 'pool5')])
def test_the_spans_are_the_net_s_own_places(name, last):
    net = build(name, width=1/64, seed=None)
    player = tracing.places(net, 'pool1', 'pool2', last, size=(90, 70))
    place = net[last].alignment
    for k, frame in enumerate(player.trace['frames']):
        centre = place.scale[1] * k + place.shift[1]
        assert frame['spans'][last] == [centre, centre] and frame['lit'] == {last: [k]}
        for line, field in [('image', 1), ('pool1', net.pool1.alignment.field[1])]:
            low, high = frame['spans'][line]
            assert (low + high) / 2 == centre and high - low == place.field[1] - field
    for line in player.trace['lines'][1:]:
        own = net[line['name']].alignment
        assert line['points'] == [own.scale[1] * i + own.shift[1]
                                  for i in range(net.sizes((90, 70))[line['name']][1])]


def test_the_spans_hold_exactly_the_units_that_move_a_pixel():
    """Found by backward, box by box: what places say of units is what gradients say."""
    n = Net(1, dtype='float64')
    n.one = conv(n.data, 1, 3, pad=2)
    n.two = conv(n.one, 1, 3, stride=2)
    n.three = conv(n.two, 1, 5, stride=2, pad=1)
    for name, w in n.params.items():
        w[...] = name.endswith('.w')
    size = 5, 41
    player = tracing.places(n, 'one', 'two', 'three', size=size)
    for k, frame in enumerate(player.trace['frames']):
        y = n.forward(np.ones((1, 1, *size)), keep=True)
        dy = np.zeros_like(y)
        dy[..., k] = 1
        n.backward(three=dy)
        for line in player.trace['lines']:
            grad = n.grads['data' if line['name'] == 'image' else line['name']]
            low, high = frame['spans'][line['name']]
            assert np.flatnonzero(grad[0, 0].any(0)).tolist() == [
                i for i, p in enumerate(line['points']) if low <= p <= high]


def test_a_box_beside_the_way_is_refused():
    net = build('fcn16s', width=1/64, seed=None)
    with pytest.raises(ValueError, match='score_pool4 is not on the way along which fuse_pool4'):
        tracing.places(net, 'score_pool4', 'fuse_pool4', size=(32, 32))
    with pytest.raises(ValueError, match='name the boxes to lay over the image'):
        tracing.places(net, size=(32, 32))
    with pytest.raises(KeyError, match="no box called 'pool9'; did you mean"):
        tracing.fusion(net, (32, 32), 'pool9')
    vgg = build('vgg16', width=1/64, seed=None)
    with pytest.raises(ValueError, match='score has no place over the image: fc8 was averaged'):
        tracing.places(vgg, 'score', size=(224, 224))


def test_a_ruler_begins_where_its_first_unit_sees():
    n = Net(1)
    n.first = conv(n.data, 1, 3, pad=1)
    n.pooled = max_pool(n.first, 2)
    n.up = upsample(n.pooled, 2)
    player = tracing.places(n, 'up', size=(8, 8))
    assert player.trace['drag'] == 'up'
    spans = [span for frame in player.trace['frames'] for span in frame['spans'].values()]
    low, high = player.trace['extent']
    assert low == min(a for a, _ in spans) and high == max(b for _, b in spans)


# ---- sentences ----------------------------------------------------------------------------------

def test_equations_with_the_real_numbers():
    x, w = [[1, 2], [-3, 4]], [[2, -1], [1, 0]]
    assert tracing.convolution(x, w).trace['frames'][0]['say'] == (
        'y[0,0] = 2·1 − 1·2 + 1·(−3) + 0·4 = −3')
    assert tracing.convolution([[1/3]], [[2]]).trace['frames'][0]['say'] == (
        'y[0,0] = 2·0.333 ≈ 0.667')
    many = tracing.convolution(np.ones((4, 4)), np.ones((4, 4))).trace['frames'][0]['say']
    assert many == 'y[0,0] = ' + ' + '.join(['1·1'] * 7 + ['…'] + ['1·1'] * 3) + ' = 16'
    say = tracing.scatter([[2, -3]], [[1, 5]]).trace['frames'][1]['say']
    assert say.endswith('y[0,1] = 10 − 3·1 = 7')
    say = tracing.col2im([[1, 2], [3, -4]], (1, 3), (1, 2)).trace['frames'][1]['say']
    assert say == 'x[0,1] = 3 + 2 = 5'
    say = tracing.max_pool([[1, 7]], (1, 2)).trace['frames'][0]['say']
    assert say == 'y[0,0] = max(1, 7) = 7, found at [0,1]: switch 0·2 + 1 = 1'
    say = tracing.avg_pool_to([[1, 7]], 1).trace['frames'][0]['say']
    assert say == 'y[0,0] = mean(1, 7) = 4'
    say = tracing.ways([1, 1]).trace['frames'][2]['say']
    assert say == 'image: 5 of 5 cells are seen;  [2] = 1 + 1 + 1 = 3'
    alone = dict(w1=1, alpha=1, beta=1, w2=1, gamma=1)
    say = tracing.mean_field([[[.5]], [[.5]]], np.zeros((1, 1, 3), 'uint8'), alone)
    assert say.trace['frames'][0]['say'] == (
        '[0,0]:  p·e^heard = 0.5·e^1 : 0.5·e^1,  so q = 0.5, 0.5')
    say = tracing.bilinear([1, 3], 2).trace['frames'][1]['say']
    assert say == 'y[2] = 0.75 + 0.75 = 1.5'
    assert tracing.confusion([[1]], [[0]], 2).trace['frames'][0]['say'] == (
        'label 1, prediction 0, wrong: hist[1,0] = 0 + 1 = 1')


@pytest.mark.parametrize('act, why', [
    (lambda: tracing.convolution(np.ones((31, 30)), [[1]]),
     'x would be a grid of 31×30 cells, 900 are the most'),
    (lambda: tracing.convolution(np.ones((25, 25)), [[1]]), '625 steps are too many to follow'),
    (lambda: tracing.matrix(np.ones((8, 8)), np.ones((3, 3))), 'M would be a grid of 36×64 cells'),
    (lambda: tracing.transposed(np.ones((9, 9)), np.ones((3, 3))), 'Mᵀ would be a grid of 121×81'),
    (lambda: tracing.bilinear(np.ones(40), 8), 'tents would be a grid of 40×328'),
    (lambda: tracing.convolution([[1, 2], [3]], [[1]]), 'x is no array of numbers'),
    (lambda: tracing.convolution([1, 2], [[1]]), r'x has shape \(2,\); \(C, H, W\) or \(H, W\)'),
    (lambda: tracing.convolution(np.ones((2, 2)), np.ones((3, 3))), 'window of 3×3 does not fit'),
    (lambda: tracing.backward(np.ones((3, 3)), np.ones((2, 2)), [[1]]), 'dy has shape'),
    (lambda: tracing.zero_insert([[1]], [[1, 2], [3, 4]], pad=2), 'no zeros are left to put'),
    (lambda: tracing.confusion(np.zeros(3, int), np.zeros(3, int), 2), r'\(H, W\) is needed'),
])
def test_what_cannot_be_followed_is_refused_with_a_remedy(act, why):
    with pytest.raises(ValueError, match=why):
        act()


def test_a_frame_for_each_output_or_for_each_input_that_stamps():
    x, w = np.ones((4, 3)), np.ones((3, 2))
    oh, ow = conv_size((4, 3), (3, 2), 2, 1)
    assert len(tracing.convolution(x, w, 2, 1)) == len(tracing.im2col(x, w, 2, 1)) == oh * ow
    assert len(tracing.scatter(x, w, 2)) == len(tracing.transposed(x, w, 2)) == x.size
