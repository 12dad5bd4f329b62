"""Labels at a stride, objects, and what is thin, beside loops over cells, pixels and squares."""
import numpy as np
import pytest

from tinyfcn.data.ceiling import through_cells
from tinyfcn.data.objects import object_areas, thin_pixels

RNG = np.random.default_rng(8)


def random_label(size, block=3, values=(0, 1, 4, 255)):
    """Blocks of random values, the last ones incomplete."""
    blocks = RNG.choice(values, [-(-n // block) for n in size])
    return blocks.repeat(block, 0).repeat(block, 1)[:size[0], :size[1]].astype('uint8')


# ---- through cells -------------------------------------------------------------------------------

def through_cells_by_loops(label, stride):
    """The definition, pixel by pixel: a class has a weight from each cell where it is commonest."""
    height, width = label.shape
    cells = {}
    for top in range(0, height, stride):
        for left in range(0, width, stride):
            cell = label[top:top + stride, left:left + stride]
            if (cell != 255).any():
                count = np.bincount(cell[cell != 255])
                middle = top + (stride - 1) / 2, left + (stride - 1) / 2
                cells[middle] = count.argmax()
    result = np.full_like(label, 255)
    for i, j in np.argwhere(label != 255):
        weights = np.zeros(255)
        for (y, x), winner in cells.items():
            weights[winner] += max(0, 1 - abs(i - y) / stride) * max(0, 1 - abs(j - x) / stride)
        result[i, j] = weights.argmax()
    return result


@pytest.mark.parametrize('stride, size', [(2, (12, 9)), (4, (17, 22)), (8, (30, 23)), (8, (5, 40))])
def test_cells_equal_loops_over_cells_and_pixels(stride, size):
    """The strides are powers of two, so that all weights are exact and ties are the same."""
    label = random_label(size)
    found = through_cells(label, stride)
    assert found.dtype == 'uint8' and (found == through_cells_by_loops(label, stride)).all()
    assert (found != label)[label != 255].any()


@pytest.mark.parametrize('value', [2, 255])
def test_a_label_of_one_value_stays_as_it_is(value):
    label = np.full((9, 10), value, 'uint8')
    for stride in 1, 3, 64:
        assert (through_cells(label, stride) == value).all()


# ---- objects -------------------------------------------------------------------------------------

def test_objects_by_hand():
    label = np.array([[1, 1, 255, 0, 2],
                      [0, 0, 1, 0, 2],
                      [0, 0, 1, 0, 0],
                      [2, 0, 0, 0, 0]], 'uint8')
    areas = {number: own.tolist() for number, own in object_areas(label).items()}
    assert areas == {0: [12], 1: [4], 2: [2, 1]}, 'corners join, void does not'
    assert object_areas(np.full((3, 3), 255, 'uint8')) == {}


def thin_by_loops(label, width):
    """Every square of the image and what goes on around it."""
    outside = np.pad(label, width, mode='edge')
    covered = np.zeros(outside.shape, bool)
    for i in range(len(outside) - width + 1):
        for j in range(outside.shape[1] - width + 1):
            square = outside[i:i + width, j:j + width]
            if len(np.unique(square[square != 255])) == 1:
                covered[i:i + width, j:j + width] = True
    return (outside != 255)[width:-width, width:-width] & ~covered[width:-width, width:-width]


@pytest.mark.parametrize('width', [1, 3, 4, 5, 8])
def test_thin_equals_loops_over_squares(width):
    label = random_label((17, 22))
    thin = thin_pixels(label, width)
    assert (thin == thin_by_loops(label, width)).all()
    assert thin.any() == (width > 3)
