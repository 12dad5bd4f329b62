"""A confusion matrix, and the curve of scores near borders, as pictures."""
from types import SimpleNamespace

import numpy as np
import pytest

from tinyfcn.files import require_own
from tinyfcn.viz import draw_border_curve, draw_confusion
from tinyfcn.viz.border_curve import border_figure
from tinyfcn.viz.confusion import MAX_NUMBERED, SIDE, confusion_figure

BANDS = [SimpleNamespace(distance=n, pixels=.02 * n, errors=1 - .9 ** n, pixel_acc=1 - .5 ** n,
                         mean_iu=1 - .6 ** n) for n in range(1, 11)]


def texts(figure):
    return {tuple(map(int, text.get_position()[::-1])): text.get_text()
            for text in figure.axes[0].texts}


def test_cells_show_the_share_of_their_row():
    figure = confusion_figure(np.array([[996, 4, 0], [50, 150, 0], [0, 0, 0]]), 'abc')
    assert texts(figure) == {(0, 0): '100', (1, 0): '25', (1, 1): '75', (2, 2): '–'}
    drawn = figure.axes[0].images[0].get_array()
    assert drawn[1].tolist() == [25, 75, 0] and np.ma.getmaskarray(drawn)[2].all()


@pytest.mark.parametrize('n', [1, 21, 150])
def test_any_number_of_classes_fits(n):
    figure = confusion_figure(np.eye(n, dtype='int64') + 1, [f'name {i}' for i in range(n)])
    assert max(figure.get_size_inches()) < SIDE + 3
    assert bool(texts(figure)) == (n <= MAX_NUMBERED)


def test_the_picture_is_known_as_its_own(tmp_path):
    """Its names are no formulas."""
    draw_confusion(tmp_path / 'confusion.png', np.eye(2), ['$x^', 'b$'])
    require_own(tmp_path / 'confusion.png')


def test_characters_without_a_glyph_are_squares():
    """matplotlib would warn of each."""
    figure = confusion_figure(np.eye(2), ['車 car', 'a\x1b[2J'])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ['0 □ car', r'1 a\x1b[2J']


def test_a_matrix_of_other_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'shape \(2, 2\) and there are 3 classes'):
        draw_confusion(tmp_path / 'confusion.png', np.eye(2), 'abc')
    with pytest.raises(ValueError, match='unknown image format'):
        draw_confusion(tmp_path / 'confusion.jpg', np.eye(2), 'ab')


def test_the_border_curve_has_all_bands(tmp_path):
    figure = border_figure(BANDS, .95, .9)
    curves = {line.get_label(): line.get_ydata() for ax in figure.axes for line in ax.get_lines()}
    for name, key in (('mean IU', 'mean_iu'), ('pixel accuracy', 'pixel_acc'),
                      ('of all errors', 'errors'), ('of all pixels', 'pixels')):
        assert curves[name] == pytest.approx([100 * getattr(band, key) for band in BANDS])
    draw_border_curve(tmp_path / 'border.svg', BANDS[:1], .95, .9)
    require_own(tmp_path / 'border.svg')
