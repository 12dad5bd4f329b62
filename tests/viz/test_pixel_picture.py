"""The picture of why a pixel has its class: which colours stand where."""
import numpy as np
from PIL import Image

from tinyfcn.viz.pixel import draw_pixel

OWN = {'sky': (10, 20, 250), 'road': (250, 20, 10)}


def test_only_classes_have_colours_and_the_mask_has_a_legend(tmp_path):
    mask = np.zeros((80, 100), 'uint8')
    mask[-20:] = 1
    parts = {name: np.array([1., 2]) for name in ('score_fr', 'score_pool4', 'score_pool3')}
    draw_pixel(tmp_path / 'why.png', np.full((80, 100, 3), 90, 'uint8'), mask, (20, 10), parts,
               {name: (5, 35, 0, 25) for name in parts}, np.zeros((80, 100)), [*OWN], OWN)
    with Image.open(tmp_path / 'why.png') as image:
        page = np.asarray(image.convert('RGB')).astype(int)
    height = len(page)
    bars = page[6 * height // 10:]
    assert (np.ptp(bars, axis=2) == 0).all(), 'the parts are grey'
    assert (bars == 0).all(2).sum() > 2000, 'and their sum is a black bar'
    for colour in OWN.values():
        rows, columns = np.nonzero((page == colour).all(2))
        assert rows.size
        squares = columns[rows > rows.max() - 4]
        assert np.ptp(squares) < 40, 'a square below the mask, with the name of the class'
