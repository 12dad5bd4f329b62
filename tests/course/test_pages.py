"""Classes over pictures, pages of predictions: which pixels have which colour, and what fits."""
import re
from time import process_time

import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.shapes import CLASSES, generate
from tinyfcn.viz import draw_page, error_map, overlay, palette
from tinyfcn.viz.colours import ERRORS
from tinyfcn.viz.legend import draw_legend, fit_columns, load_font, truncate

RIGHT, WRONG, UNJUDGED = ERRORS.values()
GREY = np.full((200, 200, 3), 100, 'uint8')


def quarters(*classes):
    """A label (200, 200) of four squares."""
    return np.array(classes, 'uint8').reshape(2, 2).repeat(100, 0).repeat(100, 1)


def colours_in(pixels):
    """{colour: how many pixels have it}"""
    r, g, b = np.asarray(pixels).reshape(-1, 3).T.astype('uint32')
    found, count = np.unique(r << 16 | g << 8 | b, return_counts=True)
    return {(i >> 16, i >> 8 & 255, i & 255): n for i, n in zip(found.tolist(), count.tolist())}


def squares(pixels, size=13):
    """The classes among the first 60 whose squares are drawn there; their frames are greyer."""
    found = colours_in(pixels)
    return {i for i, colour in enumerate(palette(60).tolist())
            if found.get(tuple(colour), 0) >= (size - 2) ** 2}


# ---- the legend

def test_a_legend_has_a_square_for_each_entry_and_clips_no_words():
    entries = [(palette()[i], f'class {i} {"long " * (i == 2)}') for i in range(5)]
    drawn = np.asarray(draw_legend(entries, 260, 13))
    assert drawn.shape[1] == 260 and squares(drawn) == {0, 1, 2, 3, 4}
    assert (drawn[:, -3:] == 255).all() and (drawn[-1] == 255).all()
    narrow = np.asarray(draw_legend(entries, 20, 13))
    assert narrow.shape[1] > 100 and squares(narrow) == {0, 1, 2, 3, 4}
    assert (narrow[:, 20:] < 100).any(), 'words beyond the width asked for are drawn'


@pytest.mark.parametrize('widths, width, lefts, wide', [
    ([10, 20, 30], 70, [0, 15, 40], 70),            # 10 + 5 + 20 + 5 + 30: all in one row
    ([10, 20, 30], 69, [0, 35], 55),                # one pixel less: the third is below the first
    ([10, 20, 30], 20, [0], 30),
    ([], 50, [0], 0),
])
def test_as_many_columns_as_have_room(widths, width, lefts, wide):
    assert fit_columns(widths, width, 5) == (lefts, wide)


def test_words_are_cut_only_where_they_must():
    letters = load_font(13)
    assert truncate('2007_000720', letters, 200) == '2007_000720'
    short = truncate('a name of a picture that goes on and on', letters, 100)
    assert short.endswith('…') and 85 < letters.getlength(short) <= 100


# ---- a picture with its classes over it

def test_an_overlay_is_half_image_half_colour_and_void_is_the_image():
    label = quarters(1, 2, 255, 20)
    page = np.asarray(overlay(GREY, label, [f'c{i}' for i in range(21)]))
    at = dict(zip([1, 2, 255, 20], [(100, 100), (100, 300), (300, 100), (300, 300)]))  # zoomed by 2
    for i, (y, x) in at.items():
        expected = [100] * 3 if i == 255 else 50 + palette()[i].astype(int) // 2
        assert page[y, x].tolist() == list(expected), i
    assert (page[10:390, 199] == 255).all() and (page[199, 10:390] == 255).all(), 'outlines'
    assert (page[10:190, 10:190] == page[100, 100]).all(), 'and nothing is hidden elsewhere'
    assert squares(page[400:]) == {1, 2, 20}, 'the legend has what is there, and nothing else'


def test_shares_are_of_all_but_void_and_come_largest_first():
    label = quarters(3, 3, 255, 1)
    label[0, :9] = 0                                    # 9 of 30,000
    page = np.asarray(overlay(GREY, label, list('abcd')))
    key = draw_legend([(palette()[3], 'd  66.6 %'), (palette()[1], 'b  33.3 %'),
                  (palette()[0], 'a  < 0.1 %')], 36 * 13 - 2 * 13, 13)
    assert (page[400 + 6:400 + 6 + key.height, 13:13 + key.width] == np.asarray(key)).all()


@pytest.mark.parametrize('size, n_class', [
    ((1, 1), 2), ((1, 700), 60), ((700, 1), 60), ((3000, 4000), 60), ((90, 60), 60)])
def test_overlays_of_all_sizes_have_room_for_their_legend(size, n_class):
    rng = np.random.default_rng(0)
    label = np.resize(rng.permutation(n_class).astype('uint8'), [-(-n // 50) for n in size])
    label = label.repeat(50, 0).repeat(50, 1)[:size[0], :size[1]]
    page = overlay(np.zeros((*size, 3), 'uint8'), label, [f'class {i}' for i in range(n_class)])
    zoom = max(1, 480 // max(size))
    letters = max(13, max(size) * zoom // 80)
    key = np.asarray(page)[size[0] * zoom:]
    assert page.width >= max(size[1] * zoom, 36 * letters)
    assert squares(key, letters) == {*np.unique(label).tolist()}
    assert (key[:, -letters // 2:] == 255).all() and (key[-2:] == 255).all(), 'nothing is clipped'


def test_an_overlay_of_nothing_but_void():
    page = overlay(GREY, quarters(255, 255, 255, 255), ['a'])
    assert page.size == (468, 413) and set(colours_in(page)) == {(100,) * 3, (255,) * 3}


# ---- errors

def test_errors_by_hand():
    truth, pred = np.array([[0, 1, 255], [2, 2, 255]]), np.array([[0, 0, 1], [2, 1, 255]])
    assert error_map(truth, pred).tolist() == [[list(RIGHT), list(WRONG), list(UNJUDGED)],
                                            [list(RIGHT), list(WRONG), list(UNJUDGED)]]
    grey = np.asarray(Image.fromarray(error_map(truth, pred)).convert('L')).astype(int)
    assert grey[0, 0] - grey[0, 1] > 100, 'to eyes that see no colours too'


# ---- pages

def page_of(path, *args):
    draw_page(path, *args)
    with Image.open(path) as page:
        return np.asarray(page)


def test_a_page_shows_image_truth_prediction_and_errors(tmp_path):
    truth, pred = quarters(0, 1, 2, 255), quarters(0, 1, 1, 4)
    page = page_of(tmp_path / 'page.png', [('one', GREY, truth, pred)], 'abcdefg', ['FCN-8s'])
    tiles = [page[51:251, x:x + 200] for x in (25 + i * (202 + 14) for i in range(4))]
    for tile, expected in zip(tiles, [GREY, palette()[truth], palette()[pred],
                                      error_map(truth, pred)]):
        assert (tile == expected).all()
    found = colours_in(tiles[3])
    assert found == {RIGHT: 20_000, WRONG: 10_000, UNJUDGED: 10_000}
    below = page[285:]
    assert squares(below) == {0, 1, 2, 4} and colours_in(below)[224, 224, 192] >= 11 * 11
    assert colours_in(below)[WRONG] >= 11 * 11 and colours_in(below)[RIGHT] >= 11 * 11
    assert (page[:, -24:] == 255).all() and (page[-20:] == 255).all(), 'a clear margin'


def test_how_much_is_wrong_is_said_of_what_is_judged(tmp_path):
    truth, said = quarters(0, 1, 2, 255), []
    for pred in [quarters(0, 1, 2, 0), quarters(0, 1, 2, 4), quarters(0, 1, 1, 4)]:
        page = page_of(tmp_path / 'page.png', [('one', GREY, truth, pred)], 'abcde', ['FCN-8s'])
        said.append(page[253:278, -226:])
    assert (said[0] < 160).any() and (said[0] == said[1]).all() and (said[0] != said[2]).any()


def test_several_predictions_stand_side_by_side_without_errors(tmp_path):
    truth, preds = quarters(0, 1, 0, 1), [quarters(1, 1, 1, 1), quarters(0, 1, 1, 1)]
    page = page_of(tmp_path / 'page.png', [('one', GREY, truth, *preds)], 'abc', ['32s', '16s'],
                   [('mean IU 25.0', 'mean IU 58.3')])
    assert page.shape[1] == 4 * 202 + 3 * 14 + 2 * 24
    for i, label in enumerate([truth, *preds]):
        left = 25 + (i + 1) * (202 + 14)
        assert (page[51:251, left:left + 200] == palette()[label]).all()
        assert (page[253:278, left:left + 200] < 160).any() == (i > 0), 'captions: not of the truth'
    assert WRONG not in colours_in(page) and squares(page[285:]) == {0, 1}


def test_pictures_of_many_sizes_keep_their_shapes(tmp_path):
    sizes = [(480, 640), (640, 480), (60, 60), (1, 300)]
    rows = [(f'{h}×{w}', np.full((h, w, 3), 90, 'uint8'), np.ones((h, w), 'uint8'),
             np.full((h, w), 2)) for h, w in sizes]
    page = page_of(tmp_path / 'page.png', rows, 'abc', ['FCN-8s'])
    truth = (page == palette()[1]).all(-1)[:-70]        # without the legend
    starts = np.flatnonzero(np.diff(truth.any(1).astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(truth.any(1).astype(int), append=0) == -1) + 1
    found = [(int(end - start), int(truth[start].sum())) for start, end in zip(starts, ends)]
    assert found == [(240, 320), (320, 240), (320, 320), (1, 320)]


@pytest.mark.parametrize('side, shown', [
    (1, 200), (7, 203), (96, 288), (128, 256), (250, 250), (900, 320)])
def test_small_pictures_are_enlarged_by_whole_numbers(tmp_path, side, shown):
    label = np.indices((side, side)).sum(0) % 3
    page = page_of(tmp_path / 'page.png', [('a', np.zeros((side, side, 3), 'uint8'), label)],
                   'abc', [])
    assert page.shape[1] == 2 * (shown + 2) + 14 + 2 * 24
    truth = page[51:51 + shown, -25 - shown:-25]
    assert colours_in(truth).keys() <= {*map(tuple, palette(3).tolist())}, 'no colours between'
    if shown % side == 0:
        zoom = shown // side
        assert (truth == palette()[label].repeat(zoom, 0).repeat(zoom, 1)).all()


def test_a_page_is_quick(tmp_path):
    rows = [(f'picture {i}', image, label, label, label, label) for i in range(4)
            for image, label in [generate(1, i, (300, 400))]]
    start = process_time()
    draw_page(tmp_path / 'page.png', rows, CLASSES, ['FCN-32s', 'FCN-16s', 'FCN-8s'])
    assert process_time() - start < 1.5


@pytest.mark.parametrize('row, why', [
    ((GREY, quarters(0, 0, 0, 0)), 'one: 1 labels; one truth, and a prediction for each of 1'),
    ((GREY, quarters(0, 0, 0, 0), quarters(0, 3, 0, 0)),
     r'one: label 3 at \(0, 100\), and 10,000 such pixels in all; there are classes 0 … 2'),
    ((GREY, quarters(0, 0, 0, 0), np.zeros((3, 4), int)),
     r'one: the image has shape \(200, 200, 3\) and is uint8, its label has shape \(3, 4\)'),
    ((GREY / 255., quarters(0, 0, 0, 0), quarters(0, 0, 0, 0)), 'is float64'),
])
def test_what_a_page_refuses(tmp_path, row, why):
    with pytest.raises(ValueError, match=why):
        draw_page(tmp_path / 'page.png', [('one', *row)], 'abc', ['FCN-8s'])
    with pytest.raises(ValueError, match=re.escape('page.png: no rows')):
        draw_page(tmp_path / 'page.png', [], 'abc', ['FCN-8s'])
    rows = [('one', GREY, quarters(0, 0, 0, 0), quarters(0, 0, 0, 0))]
    for captions in [[[]], [['a'], ['b']]]:
        with pytest.raises(ValueError, match=r'captions; for each of 1 rows one under each of 1'):
            draw_page(tmp_path / 'page.png', rows, 'abc', ['FCN-8s'], captions)
    assert not list(tmp_path.iterdir())
