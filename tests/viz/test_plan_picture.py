"""The picture of a plan: the worse a number, the darker its cell."""
import numpy as np
import pytest
from PIL import Image

from tinyfcn.viz import draw_plan


def dark_cells(path, ceiling):
    """The share of the picture in dark orange, where the ceiling of the second class is this."""
    zeros = {16: np.zeros(2)}
    draw_plan(path, 'a $title', ['sky', 'bi$rd'], np.array([.99999, .00001]),
              {16: np.array([1., ceiling])}, zeros, zeros, {16: .5}, ['a note ' * 50],
              np.array([[0, 0, 255], [0, 255, 0]], 'uint8'))
    with Image.open(path) as image:
        page = np.asarray(image.convert('RGB')).astype(int)
    assert (abs(page - (0, 0, 255)).sum(2) < 9).any(), 'the colour of sky'
    return ((page[..., 0] > 100) & (page[..., 1] < 60) & (page[..., 2] < 30)).mean()


def test_worse_is_darker(tmp_path):
    assert dark_cells(tmp_path / 'a.png', .02) > .001
    assert dark_cells(tmp_path / 'b.png', .98) < .0001


def test_the_ending_is_checked_before_anything_is_drawn():
    with pytest.raises(ValueError, match='plan.jpg: unknown image format'):
        draw_plan('plan.jpg', '', [], None, {}, {}, {}, {})
