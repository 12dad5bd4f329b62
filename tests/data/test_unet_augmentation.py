"""Elastic deformation and weights between cells, as U-Net trains on few images."""
import numpy as np
import pytest

from tinyfcn.data.augment import augment
from tinyfcn.data.transforms import flip_left_right
from tinyfcn.data.unet_augmentation import border_weights, cell_distances

RNG = np.random.default_rng(8)
IMAGE = RNG.integers(0, 256, (23, 31, 3)).astype('uint8')
LABEL = RNG.choice([0, 2, 5, 255], (23, 31)).astype('uint8')
# each pixel holds its own row and column
RAMPS = np.stack(np.indices((60, 80)), axis=2).astype('float32')


def deform(image, label, sigma=3., seed=0):
    return augment(image, label, np.random.default_rng(seed), elastic_sigma=sigma)


# ---- elastic deformation -------------------------------------------------------------------------

@pytest.mark.parametrize('sigma', [.5, 10., 100.])
def test_no_class_is_invented(sigma):
    image, label = deform(IMAGE, dict(a=LABEL, b=LABEL[::-1]), sigma)
    assert image.shape == IMAGE.shape and image.dtype == 'uint8'
    for own in label.values():
        assert own.shape == LABEL.shape and own.dtype == 'uint8' and {*own.flat} <= {*LABEL.flat}
    assert (label['a'] != LABEL).any()


def test_the_deformation_is_a_function_of_the_seed():
    first, again, other = (deform(IMAGE, LABEL, seed=seed) for seed in (0, 0, 1))
    for one, same, another in zip(first, again, other):
        assert (one == same).all() and (one != another).any()


def test_the_label_is_deformed_as_its_image():
    rows = RAMPS[..., 0].astype('uint8')
    image, label = deform(RAMPS, rows, 4.)
    assert abs(image[..., 0] - label).max() <= .5 + 1e-5        # bilinear, and the nearest of them
    assert abs(image[..., 0] - RAMPS[..., 0]).max() > 2


def test_the_displacement_is_smooth_and_has_the_given_sigma():
    """In the middle of the image it is that of the middle node: N(0, σ²) along each axis."""
    middle = []
    for seed in range(200):
        # without the margins, into which the mirror image may come
        field = (deform(RAMPS, {}, 3., seed)[0] - RAMPS)[15:45, 15:65]
        steep = max(abs(np.diff(field, axis=axis)).max() for axis in (0, 1))
        assert steep < 1.5, 'neighbours stay near each other'
        middle.append(field[14:16, 24:26].mean((0, 1)))
    middle = np.array(middle)
    # the standard errors of 200 draws are 5 % and .21: four and almost five times as much
    assert abs(middle.std(0) / 3 - 1).max() < .2 and abs(middle.mean(0)).max() < 1


def test_outside_the_image_its_mirror_image_is_read():
    """Every pixel is displaced sideways by the width of the image."""
    class Sideways:
        def normal(self, mean, sigma, size):
            return np.array([0., sigma])[:, None, None] * np.ones(size)

    image, label = augment(IMAGE, LABEL, Sideways(), elastic_sigma=31)
    flipped_image, flipped_label = flip_left_right(IMAGE, LABEL)
    assert (image == flipped_image).all() and (label == flipped_label).all()


# ---- weights between cells -----------------------------------------------------------------------

def slow_border_weights(label, w0, sigma, class_weight):
    """The distance of every pixel to every pixel of every cell; cells found by flood fill."""
    foreground = {tuple(p) for p in np.argwhere((label != 0) & (label != 255))}
    cells = []
    while foreground:
        cell = []
        edge = [foreground.pop()]
        while edge:
            y, x = edge.pop()
            cell.append((y, x))
            for neighbour in (y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1):
                if neighbour in foreground:
                    foreground.remove(neighbour)
                    edge.append(neighbour)
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
def test_border_weights_are_those_of_all_distances(share, sigma):
    """Except for cells farther than MAX_DISTANCE, which add less than 2e-8 of w0."""
    rng = np.random.default_rng(int(100 * share))
    label = np.where(rng.random((2, 14, 17)) < share, rng.integers(1, 4, (2, 14, 17)), 0)
    label[rng.random(label.shape) < .05] = 255
    of_class = [.5, 1., 2., 3.]
    weight = border_weights(label.astype('uint8'), 10, sigma, of_class)
    assert weight.dtype == 'float32' and weight.shape == label.shape
    expected = np.stack([slow_border_weights(one, 10, sigma, of_class) for one in label])
    np.testing.assert_allclose(weight, expected, rtol=1e-6, atol=1e-6)
    assert (weight > .5 + 1e-3)[label == 0].any()


def test_narrow_borders_weigh_more():
    label = np.zeros((1, 9, 30), 'uint8')
    label[0, :, [0, 4, 13, 29]] = 1                     # 3, 8 and 15 pixels of background
    row = border_weights(label, 10, 5)[0, 4]
    np.testing.assert_allclose(row[[2, 8, 21]], [1 + 10 * np.exp(-d ** 2 / 50) for d in (4, 9, 16)],
                               rtol=1e-6)
    assert row[[0, 4, 13, 29]].tolist() == [1] * 4, 'a cell is not background'


@pytest.mark.parametrize('cells', [0, 1])
def test_without_a_second_cell_there_is_no_border(cells):
    label = np.zeros((1, 8, 9), 'uint8')
    label[0, 3:5, 4:4 + cells] = 2
    assert (border_weights(label, 10, 5) == 1).all()
    nearest, second = cell_distances(label[0], 30)
    assert np.isinf(second).all() and np.isinf(nearest).all() == (cells == 0)


def test_void_is_not_a_cell():
    label = np.zeros((1, 5, 9), 'uint8')
    label[0, :, 0] = 1
    label[0, :, 4] = 255
    assert (border_weights(label, 10, 5) == 1).all()
