"""The fully connected CRF against its formulas in plain loops.

Its lattice is compared with the exact kernel, and with the algorithm of the paper (Adams et al.),
which uses ranks and a hash table.
"""
import sys
from itertools import product
from math import exp, log, sqrt
from types import ModuleType

import numpy as np
import pytest

from tinyfcn import ops
from tinyfcn.data.shapes import generate
from tinyfcn.prediction import crf
from tinyfcn.prediction.crf import (
    SETTINGS,
    energy,
    exact_filter,
    lattice_filter,
    mean_field,
    message_passing,
    spatial_filter,
)

TEST_SETTINGS = dict(w1=4., alpha=3., beta=20., w2=2., gamma=1.5)
with_each_setting = pytest.mark.parametrize('settings', SETTINGS.values(), ids=SETTINGS)


def random_case(seed, size=(5, 6), n_class=3, dtype='float64'):
    """Probabilities none of which is near 0, and an image of noise."""
    rng = np.random.default_rng(seed)
    score = rng.standard_normal((1, n_class, *size))
    return softmax(score)[0].astype(dtype), rng.integers(0, 256, (*size, 3), 'uint8')


def softmax(score):
    p = np.exp(score)
    return p / p.sum(1, keepdims=True)


def features_of(image, settings):
    positions = np.indices(image.shape[:2]).reshape(2, -1).T
    return np.hstack([positions / settings['alpha'], image.reshape(-1, 3) / settings['beta']])


def coarse_probabilities(label, n_class, stride=8):
    """What a net of this stride might predict: the label, blurred and uncertain."""
    h, w = label.shape
    one_hot = np.arange(n_class)[:, None, None] == np.where(label == 255, 0, label)
    blocks = one_hot.reshape(1, n_class, h // stride, stride, w // stride, stride)
    score, _ = ops.resize(4 * blocks.mean((3, 5)), (h, w))
    return softmax(score)[0].astype('float32')


# ---- The formulas, one pair of pixels at a time

def kernels_by_loops(image, settings):
    """-> [(weight, k̂(i, j) as a list of lists)]"""
    h, w = image.shape[:2]
    pixels = [(y, x, image[y, x].tolist()) for y, x in product(range(h), range(w))]

    def appearance(a, b):
        distance = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        contrast = sum((c - d) ** 2 for c, d in zip(a[2], b[2]))
        return exp(-distance / (2 * settings['alpha'] ** 2)
                   - contrast / (2 * settings['beta'] ** 2))

    def smoothness(a, b):
        distance = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        return exp(-distance / (2 * settings['gamma'] ** 2))

    found = []
    for weight, kernel in (settings['w1'], appearance), (settings['w2'], smoothness):
        k = [[kernel(a, b) for b in pixels] for a in pixels]
        total = [sum(row) for row in k]
        found.append((weight, [[k[i][j] / sqrt(total[i] * total[j]) for j in range(len(k))]
                               for i in range(len(k))]))
    return found


def mean_field_by_loops(prob, image, settings, iterations):
    n_class = len(prob)
    n = prob[0].size
    p = prob.reshape(n_class, n).tolist()
    q = p
    kernels = kernels_by_loops(image, settings)
    for _ in range(iterations):
        new = [[0.] * n for _ in range(n_class)]
        for i in range(n):
            for c in range(n_class):
                message = sum(weight * k[i][j] * q[c][j] for weight, k in kernels
                              for j in range(n))
                new[c][i] = p[c][i] * exp(message)
            total = sum(new[c][i] for c in range(n_class))
            for c in range(n_class):
                new[c][i] /= total
        q = new
    return np.reshape(q, prob.shape)


def test_mean_field_is_its_formula():
    prob, image = random_case(0)
    found = mean_field(prob, image, TEST_SETTINGS, 3, exact=True)
    expected = mean_field_by_loops(prob, image, TEST_SETTINGS, 3)
    assert abs(found - expected).max() < 1e-12          # float64, 30 pixels
    assert abs(found - prob).max() > .5


def test_energy_is_its_formula():
    prob, image = random_case(1)
    q, _ = random_case(2)
    expected = 0.
    for c, i in product(range(3), range(30)):
        expected += q[c].flat[i] * log(q[c].flat[i] / prob[c].flat[i])
    kernels = kernels_by_loops(image, TEST_SETTINGS)
    for (weight, k), i, j in product(kernels, range(30), range(30)):
        same_class = sum(q[c].flat[i] * q[c].flat[j] for c in range(3))
        expected += weight * k[i][j] * (1 - same_class) / 2
    assert energy(q, prob, image, TEST_SETTINGS) == pytest.approx(expected, rel=1e-12)


def test_a_pixel_sends_a_message_to_itself():
    """With one pixel K = K̂ = 1, whatever alpha, beta and gamma are."""
    prob = np.array([.3, .7]).reshape(2, 1, 1)
    image = np.zeros((1, 1, 3), 'uint8')
    a = .3 * exp(6 * .3)
    b = .7 * exp(6 * .7)
    for exact in True, False:
        q = mean_field(prob, image, TEST_SETTINGS, 1, exact)
        assert q.ravel() == pytest.approx([a / (a + b), b / (a + b)], rel=1e-12)


def test_without_iterations_or_weights_the_probabilities_stay():
    prob, image = random_case(3)
    q = mean_field(prob, image, TEST_SETTINGS, 0)
    assert (q == prob).all()
    assert not np.shares_memory(q, prob)
    without_weights = TEST_SETTINGS | dict(w1=0, w2=0)
    assert mean_field(prob, image, without_weights) == pytest.approx(prob, rel=1e-12)


def test_probabilities_of_0_and_1_stay():
    prob, image = random_case(4)
    prob[0] = 0
    prob[1] = 1 - prob[2]
    q = mean_field(prob, image, TEST_SETTINGS)
    assert (q[0] == 0).all()
    assert q[1].min() < .5 < q[1].max()
    prob[1] = 1
    prob[2] = 0
    assert (mean_field(prob, image, TEST_SETTINGS) == prob).all()
    assert np.isfinite(energy(prob, prob, image, TEST_SETTINGS))


@with_each_setting
def test_an_exact_step_never_raises_the_energy(settings):
    """A step with the lattice may raise it a little near the minimum: it is an approximation."""
    image, label = generate(7, 1, (16, 24), n_class=5, difficulty=.3)
    coarse = coarse_probabilities(label, 5, 4).astype('float64')
    noise, _ = random_case(5, (16, 24), 5)
    for prob in coarse, noise:
        for exact, allowed in (True, 1e-12), (False, 1e-3):
            fields = [mean_field(prob, image, settings, k, exact) for k in range(8)]
            energies = np.array([energy(q, prob, image, settings) for q in fields])
            assert (np.diff(energies) <= allowed * energies[0]).all()
            assert energies[-1] < .95 * energies[0]


# ---- The kernels

def test_the_kernel_is_normalised_on_both_sides():
    """K̂ √(K1) = D^-½ K 1 = √(K1): this vector stays as it is."""
    _, image = random_case(6)
    f = features_of(image, TEST_SETTINGS)
    kernel = np.exp(-((f[:, None] - f) ** 2).sum(2) / 2)
    root = np.sqrt(kernel.sum(1))[:, None]
    k_hat = exact_filter(f, 'float64')
    assert k_hat(root) == pytest.approx(root, rel=1e-12)
    assert k_hat(np.eye(30)) == pytest.approx(kernel / root / root.T, rel=1e-12)


@pytest.mark.parametrize('size', [(5, 6), (1, 7), (9, 1)])
def test_a_gaussian_of_positions_is_separable(size):
    x = np.random.default_rng(7).standard_normal((size[0] * size[1], 2))
    f = np.indices(size).reshape(2, -1).T / 1.5
    separable = spatial_filter(size, 1.5, 'float64')(x)
    exact = exact_filter(f, 'float64')(x)
    assert abs(separable - exact).max() < 1e-13


def lattice_by_loops(f, x):
    """Adams, Baek & Davis's algorithm: the nearest point of remainder 0, ranks, a hash table."""
    n, d = f.shape
    f = f.tolist()
    around = []
    for i in range(n):
        elevated = [0.] * (d + 1)                           # in the plane of sum 0
        for j in range(d):
            scaled = f[i][j] * sqrt(2 / 3) * (d + 1) / sqrt((j + 1) * (j + 2))
            for k in range(j + 1):
                elevated[k] += scaled
            elevated[j + 1] -= (j + 1) * scaled
        zero = [(d + 1) * round(u / (d + 1)) for u in elevated]
        extra = sum(zero) // (d + 1)
        rest = [u - z for u, z in zip(elevated, zero)]
        rank = [sum(b > a or (b == a and k < j) for k, b in enumerate(rest))
                for j, a in enumerate(rest)]
        for j in range(d + 1):
            rank[j] += extra
            turn = (rank[j] < 0) - (rank[j] > d)
            rank[j] += turn * (d + 1)
            zero[j] += turn * (d + 1)
        barycentric = [0.] * (d + 2)
        for j in range(d + 1):
            barycentric[d - rank[j]] += (elevated[j] - zero[j]) / (d + 1)
            barycentric[d + 1 - rank[j]] -= (elevated[j] - zero[j]) / (d + 1)
        barycentric[0] += 1 + barycentric.pop()
        points = [tuple(z + r - (d + 1) * (k > d - r) for z, k in zip(zero, rank))
                  for r in range(d + 1)]
        around.append(list(zip(points, barycentric)))

    def splat_blur_slice(x):
        table = {point: 0. for pairs in around for point, _ in pairs}
        for i, pairs in enumerate(around):
            for point, b in pairs:
                table[point] = table[point] + b * x[i]
        for axis in range(d + 1):
            def neighbour(point, way, axis=axis, table=table):
                at = tuple(c + way - way * (d + 1) * (k == axis) for k, c in enumerate(point))
                return table.get(at, 0.)
            table = {point: value + (neighbour(point, 1) + neighbour(point, -1)) / 2
                     for point, value in table.items()}
        return np.array([sum(b * table[point] for point, b in pairs) for pairs in around])

    root = np.sqrt(splat_blur_slice(np.ones(n)))
    return splat_blur_slice(x / root) / root


@pytest.mark.parametrize('spread', [1, 4, 30])             # pixels share points, or none does
@pytest.mark.parametrize('d', [1, 2, 3, 5])
def test_the_lattice_is_that_of_the_paper(d, spread):
    rng = np.random.default_rng(d)
    f = rng.uniform(-spread, spread, (60, d))
    x = rng.standard_normal((60, 1))
    found = lattice_filter(f, 'float64')(x)[:, 0]
    assert abs(found - lattice_by_loops(f, x[:, 0])).max() < 1e-12


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_the_lattice_is_close_to_the_exact_kernel_on_twenty_images():
    """Ten of shapes and ten of noise. The largest errors when this was written: ones .034, single
    pixels .26, a field .044; at least .987 of the labels were the same, and .995 on average."""
    settings = SETTINGS['deeplab_resnet101']
    same = []
    for i in range(10):
        shapes, label = generate(7, i, (24, 32), n_class=5, difficulty=.3)
        noise_prob, noise = random_case(i, (24, 32), 5, 'float32')
        cases = [(shapes, coarse_probabilities(label, 5, 4)), (noise, noise_prob)]
        for image, prob in cases:
            f = features_of(image, settings)
            exact = exact_filter(f, 'float64')
            lattice = lattice_filter(f, 'float64')
            ones = np.ones((len(f), 1))
            single_pixels = np.eye(len(f))[:, i::40]
            field = prob.reshape(5, -1).T
            for x, allowed in (ones, .05), (single_pixels, .35), (field, .06):
                assert relative_error(lattice(x), exact(x)) < allowed
            slow, fast = (mean_field(prob, image, settings, exact=exact)
                          for exact in (True, False))
            same.append((slow.argmax(0) == fast.argmax(0)).mean())
    assert min(same) > .97
    assert np.mean(same) > .99


@pytest.mark.parametrize('reach', [1, 2, 3])
def test_in_two_dimensions_the_lattice_is_a_gaussian_up_to_two_per_cent(reach):
    x = np.random.default_rng(8).random((30 * 40, 3))
    f = np.indices((30, 40)).reshape(2, -1).T / reach
    lattice = lattice_filter(f, 'float64')(x)
    gaussian = spatial_filter((30, 40), reach, 'float64')(x)
    assert relative_error(lattice, gaussian) < .02


# ---- What it is for

@with_each_setting
def test_the_image_sharpens_a_coarse_prediction(settings):
    """Without the edges of the image, small objects only disappear."""
    for i in range(2):
        image, label = generate(7, i, (96, 128), n_class=5, difficulty=.15)
        prob = coarse_probabilities(label, 5)
        valid = label != 255
        refined = mean_field(prob, image, settings)
        without_edges = mean_field(prob, 0 * image, settings)
        before, after, blind = [(q.argmax(0) == label)[valid].mean()
                                for q in (prob, refined, without_edges)]
        assert 1 - after < (1 - before) / 2
        assert blind < before


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_the_result_is_reproducible_bit_for_bit(dtype):
    prob, image = random_case(9, (40, 60), 4, dtype)
    before = prob.copy()
    q = mean_field(prob, image, TEST_SETTINGS)
    assert (q.dtype, q.shape, q.flags.c_contiguous) == (dtype, prob.shape, True)
    assert abs(q.sum(0) - 1).max() < 4 * np.finfo(dtype).eps
    assert q.min() >= 0
    assert q.tobytes() == mean_field(prob, image, TEST_SETTINGS).tobytes()
    strided_prob = prob.transpose(2, 1, 0).copy().transpose(2, 1, 0)
    strided_image = image[::-1].copy()[::-1]
    assert q.tobytes() == mean_field(strided_prob, strided_image, TEST_SETTINGS).tobytes()
    assert (prob == before).all()


def test_float32_and_float64_agree():
    prob, image = random_case(10, (20, 30))
    for exact in True, False:
        x = prob.reshape(3, -1).T.copy()
        single = message_passing(image, TEST_SETTINGS, exact, 'float32')(x.astype('float32'))
        double = message_passing(image, TEST_SETTINGS, exact, 'float64')(x)
        assert single.dtype == 'float32'
        assert abs(single - double).max() < 2e-5


def test_the_work_for_an_image_of_320_by_240_is_bounded(monkeypatch):
    """Three lattice points a pixel, one message an iteration; times are in benchmarks/inference.py.

    The exact kernel would have 5.9e9 entries.
    """
    points = []
    messages = []

    def counting_points(*args, make=crf._lattice_points):
        found = make(*args)
        points.append(len(found.numbers))
        return found

    def counting_messages(*args, make=crf.message_passing):
        send_messages = make(*args)
        return lambda q: messages.append(q.shape) or send_messages(q)

    monkeypatch.setattr(crf, '_lattice_points', counting_points)
    monkeypatch.setattr(crf, 'message_passing', counting_messages)
    image, _ = generate(7, 0, (240, 320), n_class=21, difficulty=.5)
    prob, _ = random_case(11, (240, 320), 21, 'float32')
    mean_field(prob, image, SETTINGS['deeplab_resnet101'], 5)
    assert len(points) == 1
    assert points[0] < 3 * 240 * 320
    assert messages == [(240 * 320, 21)] * 5


def test_the_settings_are_those_of_the_papers():
    rows = {name: ' '.join(f'{key}={value}' for key, value in settings.items())
            for name, settings in SETTINGS.items()}
    assert rows == {
        'pydensecrf':        'w1=10 alpha=80 beta=13 w2=3 gamma=3',
        'deeplab_vgg':       'w1=4 alpha=65 beta=3 w2=2 gamma=2',
        'deeplab_resnet101': 'w1=4 alpha=67 beta=3 w2=3 gamma=1',
        'deconvnet':         'w1=5 alpha=20 beta=3 w2=3 gamma=3',
    }


# ---- What is refused

def refusal(prob=None, image=None, **changes):
    """The message with which mean_field refuses a case in which these things are changed."""
    valid_prob, valid_image = random_case(12)
    with pytest.raises((TypeError, ValueError)) as caught:
        mean_field(valid_prob if prob is None else prob, valid_image if image is None else image,
                   TEST_SETTINGS | changes)
    return str(caught.value)


def test_refused_probabilities():
    prob, _ = random_case(12)
    assert 'list is not an array' in refusal(prob.tolist())
    assert 'prob is float64 (1, 3, 5, 6); float32 or float64 (C, H, W)' in refusal(prob[None])
    assert 'prob is float16 (3, 5, 6); float32' in refusal(prob.astype('float16'))
    assert 'prob is float64 (0, 5, 6); float32' in refusal(prob[:0])
    prob[0, 2, 4] = prob[0, 4, 5] = -.25
    prob[1:, 2, 4] = .625
    assert refusal(prob) == ('prob has sum 1 and minimum -0.25 at row 2, column 4, and 2 such '
                             'pixels in all: probabilities are 0 or more and sum to 1; take the '
                             'softmax of a score')
    prob[:, 2, 4] = .5
    assert 'prob has sum 1.5 and minimum 0.5 at row 2, column 4, and 2' in refusal(prob)
    prob[1, 0, 3] = np.nan
    assert 'prob has sum nan and minimum nan at row 0, column 3, and 3' in refusal(prob)


def test_energy_refuses_an_invalid_q():
    prob, image = random_case(12)
    with pytest.raises(ValueError, match='q has sum 2 and minimum .* at row 0, column 0, and 30'):
        energy(2 * prob, prob, image, TEST_SETTINGS)
    other_classes, _ = random_case(12, n_class=2)
    with pytest.raises(ValueError, match=r'q is float64 \(2, 5, 6\) and prob has shape \(3, 5, 6'):
        energy(other_classes, prob, image, TEST_SETTINGS)


def test_refused_images():
    _, image = random_case(12)
    for other, found in [(image / 255., 'float64 (5, 6, 3)'), (image[..., 0], 'uint8 (5, 6)'),
                         (image.transpose(2, 0, 1), 'uint8 (3, 5, 6)'),
                         (image[1:], 'uint8 (4, 6, 3)')]:
        assert refusal(image=other) == (
            f'image is {found} and prob has shape (3, 5, 6); the image itself is needed, '
            f'uint8 (5, 6, 3)')
    assert 'list is not an array' in refusal(image=image.tolist())


def test_refused_settings():
    assert refusal(w3=1) == ("settings has ['alpha', 'beta', 'gamma', 'w1', 'w2', 'w3']; w1, "
                             "alpha, beta, w2 and gamma are needed, as in a row of SETTINGS")
    for name, value in dict(w1=-1, alpha=0, beta=-3, gamma=np.inf, w2=np.nan).items():
        assert f'{name} is {value}; weights (w1, w2) are 0 or more' in refusal(**{name: value})
    assert 'too many to be numbered: use a larger alpha or beta' in refusal(beta=1e-5)
    assert 'too many to be numbered: use a larger alpha or beta' in refusal(beta=1e-60)


def test_an_image_too_large_for_the_exact_kernel_is_refused():
    prob, image = random_case(12, (80, 100))
    with pytest.raises(ValueError, match=r'8000 pixels have 6.4e\+07 pairs; at most 5e\+07'):
        mean_field(prob, image, TEST_SETTINGS, exact=True)


def test_arrays_on_a_gpu_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cupy', ModuleType('cupy'))
    on_gpu = type('ndarray', (), {'__module__': 'cupy'})()
    assert refusal(on_gpu) == 'prob is on a GPU; the CRF computes on the host: pass prob.get()'
    assert refusal(image=on_gpu).startswith('image is on a GPU; the CRF computes on the host')
