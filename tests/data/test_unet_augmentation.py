"""Bent pictures and heavy gaps: U-Net's two ways to learn cells from few pictures."""
import numpy as np
import pytest

from tinyfcn.data.transforms import mirror
from tinyfcn.data.unet_augmentation import deform, distances, gap_weights

RNG = np.random.default_rng(8)
IMAGE = RNG.integers(0, 256, (23, 31, 3)).astype('uint8')
LABEL = RNG.choice([0, 2, 5, 255], (23, 31)).astype('uint8')
RAMPS = np.stack(np.indices((60, 80)), axis=2).astype('float32')      # each pixel says where it was


def bent(image, label, sigma=3., seed=0):
    return deform(image, label, sigma, np.random.default_rng(seed))


# ---- bent ----------------------------------------------------------------------------------------

def test_no_field_bends_nothing():
    image, label = bent(IMAGE, LABEL, 0)
    assert (image == IMAGE).all() and (label == LABEL).all()
    assert image.dtype == label.dtype == 'uint8'


@pytest.mark.parametrize('sigma', [.5, 10., 100.])
def test_no_class_is_invented(sigma):
    image, label = bent(IMAGE, dict(a=LABEL, b=LABEL[::-1]), sigma)
    assert image.shape == IMAGE.shape and image.dtype == 'uint8'
    for own in label.values():
        assert own.shape == LABEL.shape and own.dtype == 'uint8' and {*own.flat} <= {*LABEL.flat}
    assert (label['a'] != LABEL).any()


def test_a_field_is_a_function_of_the_seed():
    first, again, other = (bent(IMAGE, LABEL, seed=seed) for seed in (0, 0, 1))
    for one, same, another in zip(first, again, other):
        assert (one == same).all() and (one != another).any()


def test_a_label_goes_where_its_image_goes():
    rows = RAMPS[..., 0].astype('uint8')
    image, label = bent(RAMPS, rows, 4.)
    assert abs(image[..., 0] - label).max() <= .5 + 1e-5        # bilinear, and the nearest of them
    assert abs(image[..., 0] - RAMPS[..., 0]).max() > 2


def test_a_field_is_smooth_and_as_large_as_it_is_told():
    """At the middle of the picture it is what its middle node drew: N(0, σ²) each way."""
    drawn = []
    for seed in range(200):
        field = (bent(RAMPS, {}, 3., seed)[0] - RAMPS)[15:45, 15:65]    # no mirror image in there
        steep = max(abs(np.diff(field, axis=axis)).max() for axis in (0, 1))
        assert steep < 1.5, 'two neighbours stay near'
        drawn.append(field[14:16, 24:26].mean((0, 1)))
    drawn = np.array(drawn)
    # of 200 draws a deviation is known to 5 %, a mean to .21: four and five times as much
    assert abs(drawn.std(0) / 3 - 1).max() < .2 and abs(drawn.mean(0)).max() < 1


def test_beyond_the_edge_lies_the_mirror_image():
    """A field that points far out of the picture, all of it alike: sideways by half its width."""
    class Sideways:
        def normal(self, mean, sigma, size):
            return np.array([0., sigma])[:, None, None] * np.ones(size)

    image, label = deform(IMAGE, LABEL, 31, Sideways())
    turned = mirror(IMAGE, LABEL)
    assert (image == turned[0]).all() and (label == turned[1]).all()


# ---- gaps ----------------------------------------------------------------------------------------

def by_hand(label, w0, sigma, class_weight):
    """Every pixel beside every pixel of every cell; cells grow from pixel to neighbour."""
    foreground = {tuple(p) for p in np.argwhere((label != 0) & (label != 255))}
    cells = []
    while foreground:
        cell, edge = [], [foreground.pop()]
        while edge:
            y, x = edge.pop()
            cell.append((y, x))
            for near in (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1):
                if near in foreground:
                    foreground.remove(near)
                    edge.append(near)
        cells.append(cell)
    weight = np.zeros(label.shape)
    for (y, x), c in np.ndenumerate(label):
        weight[y, x] = class_weight[0 if c == 255 else c]
        d = sorted(min(np.hypot(y - i, x - j) for i, j in cell) for cell in cells)
        if c == 0 and len(d) > 1:
            weight[y, x] += w0 * np.exp(-(d[0] + d[1]) ** 2 / (2 * sigma ** 2))
    return weight


@pytest.mark.parametrize('share', [.05, .2, .5])
@pytest.mark.parametrize('sigma', [.6, 1.5, 5.])
def test_weights_are_those_of_all_distances(share, sigma):
    """But for what lies FAR off, and adds less than 2e-8 of w0."""
    rng = np.random.default_rng(int(100 * share))
    label = np.where(rng.random((2, 14, 17)) < share, rng.integers(1, 4, (2, 14, 17)), 0)
    label[rng.random(label.shape) < .05] = 255
    of_class = [.5, 1., 2., 3.]
    weight = gap_weights(label.astype('uint8'), 10, sigma, of_class)
    assert weight.dtype == 'float32' and weight.shape == label.shape
    expected = np.stack([by_hand(one, 10, sigma, of_class) for one in label])
    np.testing.assert_allclose(weight, expected, rtol=1e-6, atol=1e-6)
    assert (weight > .5 + 1e-3)[label == 0].any()


def test_the_narrower_the_heavier():
    label = np.zeros((1, 9, 30), 'uint8')
    label[0, :, [0, 4, 13, 29]] = 1                     # 3, 8 and 15 pixels of background
    row = gap_weights(label, 10, 5)[0, 4]
    np.testing.assert_allclose(row[[2, 8, 21]], [1 + 10 * np.exp(-d ** 2 / 50) for d in (4, 9, 16)],
                               rtol=1e-6)
    assert row[[0, 4, 13, 29]].tolist() == [1] * 4, 'a cell is no gap'


@pytest.mark.parametrize('cells', [0, 1])
def test_without_a_second_cell_there_is_no_gap(cells):
    label = np.zeros((1, 8, 9), 'uint8')
    label[0, 3:5, 4:4 + cells] = 2
    assert (gap_weights(label, 10, 5) == 1).all()
    nearest, next_one = distances(label[0], 30)
    assert np.isinf(next_one).all() and np.isinf(nearest).all() == (cells == 0)


def test_void_is_no_cell():
    label = np.zeros((1, 5, 9), 'uint8')
    label[0, :, 0], label[0, :, 4] = 1, 255
    assert (gap_weights(label, 10, 5) == 1).all()
