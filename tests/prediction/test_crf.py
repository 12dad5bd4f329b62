"""The fully connected CRF against its formulas in plain loops; its lattice against the exact kernel
and against the paper's own way to it, with ranks and a hash."""
import sys
from itertools import product
from math import exp, log, sqrt
from time import process_time
from types import ModuleType

import numpy as np
import pytest

from tinyfcn import ops
from tinyfcn.data.shapes import picture
from tinyfcn.prediction.crf import (
    SETTINGS,
    brute_force,
    energy,
    lattice,
    mean_field,
    messages,
    spatial,
)

HOW = dict(w1=4., alpha=3., beta=20., w2=2., gamma=1.5)
ROWS = pytest.mark.parametrize('how', SETTINGS.values(), ids=SETTINGS)


def draw(seed, size=(5, 6), n_class=3, dtype='float64'):
    """A picture of noise, and probabilities of which none is near 0."""
    rng = np.random.default_rng(seed)
    score = rng.standard_normal((1, n_class, *size))
    return softmax(score)[0].astype(dtype), rng.integers(0, 256, (*size, 3), 'uint8')


def softmax(score):
    p = np.exp(score)
    return p / p.sum(1, keepdims=True)


def features(image, how):
    places = np.indices(image.shape[:2]).reshape(2, -1).T
    return np.hstack([places / how['alpha'], image.reshape(-1, 3) / how['beta']])


def coarse(label, n_class, stride=8):
    """What a net of this stride might say of a picture: its label, blurred and unsure."""
    h, w = label.shape
    truth = np.arange(n_class)[:, None, None] == np.where(label == 255, 0, label)
    score = truth.reshape(1, n_class, h // stride, stride, w // stride, stride).mean((3, 5))
    score, _ = ops.resize(4 * score, (h, w))
    return softmax(score)[0].astype('float32')


# ---- The formulas, a pair of pixels at a time

def kernels_by_loops(image, how):
    """-> [(weight, k̂(i, j) as a list of lists)]"""
    h, w = image.shape[:2]
    pixels = [(y, x, image[y, x].tolist()) for y, x in product(range(h), range(w))]

    def alike(a, b):
        place = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        colour = sum((c - d) ** 2 for c, d in zip(a[2], b[2]))
        return exp(-place / (2 * how['alpha'] ** 2) - colour / (2 * how['beta'] ** 2))

    def near(a, b):
        return exp(-((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (2 * how['gamma'] ** 2))

    found = []
    for weight, kernel in (how['w1'], alike), (how['w2'], near):
        k = [[kernel(a, b) for b in pixels] for a in pixels]
        total = [sum(row) for row in k]
        found.append((weight, [[k[i][j] / sqrt(total[i] * total[j]) for j in range(len(k))]
                               for i in range(len(k))]))
    return found


def by_loops(prob, image, how, iterations):
    n_class, n = len(prob), prob[0].size
    p = prob.reshape(n_class, n).tolist()
    q, kernels = p, kernels_by_loops(image, how)
    for _ in range(iterations):
        new = [[0.] * n for _ in range(n_class)]
        for i in range(n):
            for c in range(n_class):
                heard = sum(weight * k[i][j] * q[c][j] for weight, k in kernels for j in range(n))
                new[c][i] = p[c][i] * exp(heard)
            total = sum(new[c][i] for c in range(n_class))
            for c in range(n_class):
                new[c][i] /= total
        q = new
    return np.reshape(q, prob.shape)


def test_mean_field_is_its_formula():
    prob, image = draw(0)
    found = mean_field(prob, image, HOW, 3, exact=True)
    assert abs(found - by_loops(prob, image, HOW, 3)).max() < 1e-12     # float64, 30 pixels
    assert abs(found - prob).max() > .5


def test_energy_is_its_formula():
    (prob, image), (q, _) = draw(1), draw(2)
    expected = 0.
    for c, i in product(range(3), range(30)):
        expected += q[c].flat[i] * log(q[c].flat[i] / prob[c].flat[i])
    for (weight, k), i, j in product(kernels_by_loops(image, HOW), range(30), range(30)):
        same = sum(q[c].flat[i] * q[c].flat[j] for c in range(3))
        expected += weight * k[i][j] * (1 - same) / 2
    assert energy(q, prob, image, HOW) == pytest.approx(expected, rel=1e-12)


def test_a_pixel_hears_itself():
    """One pixel is its own neighbour: K = K̂ = 1, whatever the reaches."""
    prob, image = np.array([.3, .7]).reshape(2, 1, 1), np.zeros((1, 1, 3), 'uint8')
    a, b = .3 * exp(6 * .3), .7 * exp(6 * .7)
    for exact in True, False:
        q = mean_field(prob, image, HOW, 1, exact)
        assert q.ravel() == pytest.approx([a / (a + b), b / (a + b)], rel=1e-12)


def test_no_iterations_and_no_weights_leave_what_the_net_says():
    prob, image = draw(3)
    q = mean_field(prob, image, HOW, 0)
    assert (q == prob).all() and not np.shares_memory(q, prob)
    assert mean_field(prob, image, HOW | dict(w1=0, w2=0)) == pytest.approx(prob, rel=1e-12)


def test_what_is_impossible_stays_so_and_what_is_certain():
    prob, image = draw(4)
    prob[0], prob[1] = 0, 1 - prob[2]
    q = mean_field(prob, image, HOW)
    assert (q[0] == 0).all() and q[1].min() < .5 < q[1].max()
    prob[1], prob[2] = 1, 0
    assert (mean_field(prob, image, HOW) == prob).all()
    assert np.isfinite(energy(prob, prob, image, HOW))


@ROWS
def test_an_exact_step_never_raises_the_energy(how):
    """The lattice's may, where there is next to nothing to fall any more: it is a little askew."""
    image, label = picture(7, 1, (16, 24), n_class=5, difficulty=.3)
    for prob in coarse(label, 5, 4).astype('float64'), draw(5, (16, 24), 5)[0]:
        for exact, allowed in (True, 1e-12), (False, 1e-3):
            fields = [mean_field(prob, image, how, k, exact) for k in range(8)]
            course = np.array([energy(q, prob, image, how) for q in fields])
            assert (np.diff(course) <= allowed * course[0]).all()
            assert course[-1] < .95 * course[0]


# ---- The kernels

def test_both_sides_are_divided_by_the_root_of_the_sum():
    """K̂ √(K1) = D^-½ K 1 = √(K1): this image is what normalising leaves as it is."""
    _, image = draw(6)
    f = features(image, HOW)
    kernel = np.exp(-((f[:, None] - f) ** 2).sum(2) / 2)
    root = np.sqrt(kernel.sum(1))[:, None]
    assert brute_force(f, 'float64')(root) == pytest.approx(root, rel=1e-12)
    assert brute_force(f, 'float64')(np.eye(30)) == pytest.approx(kernel / root / root.T, rel=1e-12)


@pytest.mark.parametrize('size', [(5, 6), (1, 7), (9, 1)])
def test_a_gaussian_of_places_is_one_along_each_axis(size):
    x = np.random.default_rng(7).standard_normal((size[0] * size[1], 2))
    f = np.indices(size).reshape(2, -1).T / 1.5
    assert abs(spatial(size, 1.5, 'float64')(x) - brute_force(f, 'float64')(x)).max() < 1e-13


def lattice_by_loops(f, x):
    """Adams, Baek & Davis as they tell it: the nearest point of remainder 0, ranks, and a hash."""
    (n, d), f = f.shape, f.tolist()
    around = []
    for i in range(n):
        up = [0.] * (d + 1)                                 # elevated into the plane of sum 0
        for j in range(d):
            scaled = f[i][j] * sqrt(2 / 3) * (d + 1) / sqrt((j + 1) * (j + 2))
            for k in range(j + 1):
                up[k] += scaled
            up[j + 1] -= (j + 1) * scaled
        zero = [(d + 1) * round(u / (d + 1)) for u in up]
        extra = sum(zero) // (d + 1)
        left = [u - z for u, z in zip(up, zero)]
        rank = [sum(b > a or (b == a and k < j) for k, b in enumerate(left))
                for j, a in enumerate(left)]
        for j in range(d + 1):
            rank[j] += extra
            turn = (rank[j] < 0) - (rank[j] > d)
            rank[j], zero[j] = rank[j] + turn * (d + 1), zero[j] + turn * (d + 1)
        share = [0.] * (d + 2)
        for j in range(d + 1):
            share[d - rank[j]] += (up[j] - zero[j]) / (d + 1)
            share[d + 1 - rank[j]] -= (up[j] - zero[j]) / (d + 1)
        share[0] += 1 + share.pop()
        corners = [tuple(z + r - (d + 1) * (k > d - r) for z, k in zip(zero, rank))
                   for r in range(d + 1)]
        around.append(list(zip(corners, share)))

    def apply(x):
        table = {corner: 0. for pairs in around for corner, _ in pairs}
        for i, pairs in enumerate(around):
            for corner, b in pairs:
                table[corner] = table[corner] + b * x[i]
        for axis in range(d + 1):
            def at(corner, way, axis=axis, table=table):
                moved = tuple(c + way - way * (d + 1) * (k == axis) for k, c in enumerate(corner))
                return table.get(moved, 0.)
            table = {c: v + (at(c, 1) + at(c, -1)) / 2 for c, v in table.items()}
        return np.array([sum(b * table[corner] for corner, b in pairs) for pairs in around])

    root = np.sqrt(apply(np.ones(n)))
    return apply(x / root) / root


@pytest.mark.parametrize('wide', [1, 4, 30])               # crowded, neighbours, strangers
@pytest.mark.parametrize('d', [1, 2, 3, 5])
def test_the_lattice_is_that_of_the_paper(d, wide):
    rng = np.random.default_rng(d)
    f, x = rng.uniform(-wide, wide, (60, d)), rng.standard_normal((60, 1))
    assert abs(lattice(f, 'float64')(x)[:, 0] - lattice_by_loops(f, x[:, 0])).max() < 1e-12


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_twenty_pictures_by_the_lattice_and_pair_by_pair():
    """Ten of shapes and ten of noise. Measured at most: ones .034, single pixels .26, a field .044;
    of the pixels' answers .987 are the same at least, and .995 on average."""
    how, same = SETTINGS['deeplab_resnet101'], []
    for i in range(10):
        shapes, label = picture(7, i, (24, 32), n_class=5, difficulty=.3)
        for image, prob in (shapes, coarse(label, 5, 4)), draw(i, (24, 32), 5, 'float32')[::-1]:
            f = features(image, how)
            exact, quick = brute_force(f, 'float64'), lattice(f, 'float64')
            pixels, field = np.eye(len(f))[:, i::40], prob.reshape(5, -1).T
            for x, allowed in (np.ones((len(f), 1)), .05), (pixels, .35), (field, .06):
                assert error(quick(x), exact(x)) < allowed
            slow, fast = (mean_field(prob, image, how, exact=exact) for exact in (True, False))
            same.append((slow.argmax(0) == fast.argmax(0)).mean())
    assert min(same) > .97 and np.mean(same) > .99


@pytest.mark.parametrize('reach', [1, 2, 3])
def test_in_two_dimensions_the_lattice_is_a_gaussian_to_two_per_cent(reach):
    x = np.random.default_rng(8).random((30 * 40, 3))
    f = np.indices((30, 40)).reshape(2, -1).T / reach
    assert error(lattice(f, 'float64')(x), spatial((30, 40), reach, 'float64')(x)) < .02


# ---- What it is for

@ROWS
def test_the_picture_sharpens_what_a_coarse_net_says(how):
    """And it is the picture that does: without one, what is small is only drowned."""
    for i in range(2):
        image, label = picture(7, i, (96, 128), n_class=5, difficulty=.15)
        prob, valid = coarse(label, 5), label != 255
        fields = [prob, mean_field(prob, image, how), mean_field(prob, 0 * image, how)]
        before, after, blind = [(q.argmax(0) == label)[valid].mean() for q in fields]
        assert 1 - after < (1 - before) / 2 and blind < before


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_twice_is_the_same_to_the_last_bit(dtype):
    prob, image = draw(9, (40, 60), 4, dtype)
    before = prob.copy()
    q = mean_field(prob, image, HOW)
    assert (q.dtype, q.shape, q.flags.c_contiguous) == (dtype, prob.shape, True)
    assert abs(q.sum(0) - 1).max() < 4 * np.finfo(dtype).eps and q.min() >= 0
    assert q.tobytes() == mean_field(prob, image, HOW).tobytes()
    strided = prob.transpose(2, 1, 0).copy().transpose(2, 1, 0)
    assert q.tobytes() == mean_field(strided, image[::-1].copy()[::-1], HOW).tobytes()
    assert (prob == before).all()


def test_both_precisions_agree():
    prob, image = draw(10, (20, 30))
    for exact in True, False:
        pairs = [messages(image, HOW, exact, dtype) for dtype in ('float32', 'float64')]
        x = prob.reshape(3, -1).T.copy()
        single, double = pairs[0](x.astype('float32')), pairs[1](x)
        assert single.dtype == 'float32' and abs(single - double).max() < 2e-5


def test_a_picture_of_a_real_size_is_affordable():
    """320×240, 21 classes, 5 iterations: .7 s of one core where this was written."""
    image, _ = picture(7, 0, (240, 320), n_class=21, difficulty=.5)
    prob, _ = draw(11, (240, 320), 21, 'float32')
    start = process_time()
    mean_field(prob, image, SETTINGS['deeplab_resnet101'], 5)
    assert process_time() - start < 4                       # two seconds of two cores


def test_the_settings_are_those_of_the_papers():
    rows = {name: ' '.join(f'{key}={value}' for key, value in how.items())
            for name, how in SETTINGS.items()}
    assert rows == {
        'pydensecrf':        'w1=10 alpha=80 beta=13 w2=3 gamma=3',
        'deeplab_vgg':       'w1=4 alpha=65 beta=3 w2=2 gamma=2',
        'deeplab_resnet101': 'w1=4 alpha=67 beta=3 w2=3 gamma=1',
        'deconvnet':         'w1=5 alpha=20 beta=3 w2=3 gamma=3',
    }


# ---- What is refused

def refusal(prob=None, image=None, **how):
    good = draw(12)
    with pytest.raises((TypeError, ValueError)) as caught:
        mean_field(good[0] if prob is None else prob, good[1] if image is None else image,
                   HOW | how)
    return str(caught.value)


def test_refused_probabilities():
    prob, _ = draw(12)
    assert refusal(prob.tolist()) == 'list is no array: numpy.asarray makes one'
    assert 'prob is float64 (1, 3, 5, 6); float32 or float64 (C, H, W)' in refusal(prob[None])
    assert 'prob is float16 (3, 5, 6); float32' in refusal(prob.astype('float16'))
    assert 'prob is float64 (0, 5, 6); float32' in refusal(prob[:0])
    prob[0, 2, 4] = prob[0, 4, 5] = -.25
    prob[1:, 2, 4] = .625
    assert refusal(prob) == ('prob has sum 1 and least -0.25 at row 2, column 4, and 2 such pixels '
                             'in all: probabilities are 0 or more and sum to 1; take the softmax '
                             'of a score')
    prob[:, 2, 4] = .5
    assert 'prob has sum 1.5 and least 0.5 at row 2, column 4, and 2' in refusal(prob)
    prob[1, 0, 3] = np.nan
    assert 'prob has sum nan and least nan at row 0, column 3, and 3' in refusal(prob)


def test_a_refused_field_of_the_energy():
    prob, image = draw(12)
    with pytest.raises(ValueError, match='q has sum 2 and least .* at row 0, column 0, and 30'):
        energy(2 * prob, prob, image, HOW)
    with pytest.raises(ValueError, match=r'q is float64 \(2, 5, 6\) and prob has shape \(3, 5, 6'):
        energy(draw(12, n_class=2)[0], prob, image, HOW)


def test_refused_pictures():
    _, image = draw(12)
    for other, said in [(image / 255., 'float64 (5, 6, 3)'), (image[..., 0], 'uint8 (5, 6)'),
                        (image.transpose(2, 0, 1), 'uint8 (3, 5, 6)'),
                        (image[1:], 'uint8 (4, 6, 3)')]:
        assert refusal(image=other) == (
            f'image is {said} and prob has shape (3, 5, 6); the picture itself is needed, '
            f'uint8 (5, 6, 3)')
    assert refusal(image=image.tolist()) == 'list is no array: numpy.asarray makes one'


def test_refused_settings():
    assert refusal(w3=1) == ("how has ['alpha', 'beta', 'gamma', 'w1', 'w2', 'w3']; w1, alpha, "
                             "beta, w2 and gamma are needed, as a row of SETTINGS has them")
    for name, value in dict(w1=-1, alpha=0, beta=-3, gamma=np.inf, w2=np.nan).items():
        assert f'{name} is {value}; a weight is 0 or more, a reach' in refusal(**{name: value})
    assert 'too many to be numbered: take a larger alpha or beta' in refusal(beta=1e-5)
    assert 'too many to be numbered: take a larger alpha or beta' in refusal(beta=1e-60)


def test_refused_exactness():
    prob, image = draw(12, (80, 100))
    with pytest.raises(ValueError, match=r'8000 pixels have 6.4e\+07 pairs, of which 5e\+07 fit'):
        mean_field(prob, image, HOW, exact=True)


def test_refused_on_a_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', ModuleType('cupy'))
    there = type('ndarray', (), {'__module__': 'cupy'})()
    assert refusal(there) == 'prob is on a GPU; the CRF computes on the host: pass prob.get()'
    assert refusal(image=there).startswith('image is on a GPU; the CRF computes on the host')
