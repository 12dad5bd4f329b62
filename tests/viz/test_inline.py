"""Images and matrices in a notebook."""
import re

import numpy as np

from tinyfcn.viz import heat, show_matrices, side_by_side


def test_images_side_by_side():
    red = np.zeros((20, 30, 3), 'uint8')
    ramp = np.arange(600.).reshape(20, 30)
    red[..., 0] = 255
    shown = side_by_side({'red': red, 'ramp': ramp}, width=2)
    assert shown.size == (400, 170)                     # 4 × 1.7 inches at 100 dpi
    assert len(shown.getcolors()) <= 32
    left, right = (np.array(shown.convert('RGB').crop(box)) for box in
                   [(0, 0, 200, 170), (200, 0, 400, 170)])
    assert (left == (255, 0, 0)).all(2).mean() > .4 and not (right == (255, 0, 0)).all(2).any()


def test_matrices_show_every_number_and_colour_what_is_not_zero():
    page = show_matrices(x=[[0, 1.5], [-2, 0]], dx_for_y=np.eye(1))._repr_html_()
    tables = re.findall(r'<table.*?<caption.*?>(.*?)</caption>(.*?)</table>', page)
    assert [title for title, _ in tables] == ['x', 'dx for y']
    cells = [re.findall(r'<td( style=.*?)?>([^<]*)', body) for _, body in tables]
    assert [[(bool(style), text) for style, text in body] for body in cells] == [
        [(False, '0'), (True, '1.5'), (True, '-2'), (False, '0')], [(True, '1')]]


def test_titles_are_escaped():
    page = show_matrices(**{'<script>alert(1)</script>_&': np.eye(2), 'a\u202eb': np.eye(1)})
    assert '<script' not in page
    assert '&lt;script&gt;alert(1)&lt;/script&gt; &amp;</caption>' in page
    assert r'a\u202eb</caption>' in page


def test_heat_is_darkest_at_the_lowest_number_and_one_colour_if_all_are_equal():
    ramp = heat(np.arange(-3, 9.).reshape(3, 4))
    assert ramp.shape == (3, 4, 3) and (np.diff(ramp.sum(2, dtype=int).ravel()) > 0).all()
    assert (heat(np.full((2, 2), 7.)) == ramp[0, 0]).all()
