"""Overlays and pages of predictions: the colours of their pixels, and the sizes of their parts."""
import re
from time import process_time

import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.shapes import CLASSES, generate
from tinyfcn.viz import as_colours, class_colours, draw_page, error_map, overlay
from tinyfcn.viz.colours import ERRORS
from tinyfcn.viz.legend import draw_legend, fit_columns, load_font, truncate
from tinyfcn.viz.tiles import label_tile

RIGHT, WRONG, VOID = ERRORS.values()
GREY = np.full((200, 200, 3), 100, 'uint8')
TABLE = class_colours([f'class {i}' for i in range(60)])    # of any classes but VOC's


def quarters(*classes):
    """A label (200, 200) of four squares with these classes."""
    return np.array(classes, 'uint8').reshape(2, 2).repeat(100, 0).repeat(100, 1)


def colours_in(pixels):
    """{colour: number of pixels}"""
    r, g, b = np.asarray(pixels).reshape(-1, 3).T.astype('uint32')
    codes, counts = np.unique(r << 16 | g << 8 | b, return_counts=True)
    return {(code >> 16, code >> 8 & 255, code & 255): count
            for code, count in zip(codes.tolist(), counts.tolist())}


def legend_classes(pixels, size=13):
    """The classes among the first 60 that have a square of their colour in a legend.

    The frame of a square, one pixel wide, has a greyer colour.
    """
    counts = colours_in(pixels)
    return {i for i, colour in enumerate(TABLE[:60].tolist())
            if counts.get(tuple(colour), 0) >= (size - 2) ** 2}


# ---- the legend

def test_a_legend_has_a_square_for_each_entry_and_clips_no_text():
    entries = [(TABLE[i], f'class {i} {"long " * (i == 2)}') for i in range(5)]
    wide = np.asarray(draw_legend(entries, 260, 13))
    assert wide.shape[1] == 260 and legend_classes(wide) == {0, 1, 2, 3, 4}
    assert (wide[:, -3:] == 255).all() and (wide[-1] == 255).all()
    narrow = np.asarray(draw_legend(entries, 20, 13))
    assert narrow.shape[1] > 100 and legend_classes(narrow) == {0, 1, 2, 3, 4}
    assert (narrow[:, 20:] < 100).any(), 'long text is drawn beyond the given width'


@pytest.mark.parametrize('widths, width, lefts, total', [
    ([10, 20, 30], 70, [0, 15, 40], 70),            # 10 + 5 + 20 + 5 + 30: all in one row
    ([10, 20, 30], 69, [0, 35], 55),                # one pixel less: the third is below the first
    ([10, 20, 30], 20, [0], 30),
    ([], 50, [0], 0),
])
def test_a_legend_has_as_many_columns_as_fit(widths, width, lefts, total):
    assert fit_columns(widths, width, 5) == (lefts, total)


def test_text_is_truncated_only_if_it_is_too_long():
    font = load_font(13)
    assert truncate('2007_000720', font, 200) == '2007_000720'
    short = truncate('a name of an image that goes on and on', font, 100)
    assert short.endswith('…') and 85 < font.getlength(short) <= 100


# ---- overlays

def test_an_overlay_is_half_image_half_colour_and_void_is_the_image():
    label = quarters(1, 2, 255, 20)
    page = np.asarray(overlay(GREY, label, [f'c{i}' for i in range(21)]))
    # the page is enlarged by 2: one pixel in each of the four squares
    positions = {1: (100, 100), 2: (100, 300), 255: (300, 100), 20: (300, 300)}
    for i, (row, column) in positions.items():
        expected = [100] * 3 if i == 255 else 50 + TABLE[i].astype(int) // 2
        assert page[row, column].tolist() == list(expected), i
    assert (page[10:390, 199] == 255).all() and (page[199, 10:390] == 255).all(), 'outlines'
    assert (page[10:190, 10:190] == page[100, 100]).all(), 'no outline elsewhere'
    assert legend_classes(page[400:]) == {1, 2, 20}, 'the classes that occur, and no others'


def test_class_shares_exclude_void_and_are_sorted():
    label = quarters(3, 3, 255, 1)
    label[0, :9] = 0                                    # 9 of 30,000
    page = np.asarray(overlay(GREY, label, list('abcd')))
    entries = [(TABLE[3], 'd  66.6 %'), (TABLE[1], 'b  33.3 %'),
               (TABLE[0], 'a  < 0.1 %')]
    legend = draw_legend(entries, 400 - 2 * 13, 13)
    shown = page[400 + 6:400 + 6 + legend.height, 13:13 + legend.width]
    assert (shown == np.asarray(legend)).all()


@pytest.mark.parametrize('size, n_class', [
    ((1, 1), 2), ((1, 700), 60), ((700, 1), 60), ((3000, 4000), 60), ((90, 60), 60)])
def test_overlays_of_any_size_have_room_for_their_legend(size, n_class):
    rng = np.random.default_rng(0)
    label = np.resize(rng.permutation(n_class).astype('uint8'), [-(-n // 50) for n in size])
    label = label.repeat(50, 0).repeat(50, 1)[:size[0], :size[1]]
    page = overlay(np.zeros((*size, 3), 'uint8'), label, [f'class {i}' for i in range(n_class)])
    zoom = max(1, 480 // max(size))
    font_size = max(13, max(size) * zoom // 80)
    legend = np.asarray(page)[size[0] * zoom:]
    longest = load_font(font_size).getlength(f'class {n_class - 1}  100.0 %') + 4 * font_size
    assert size[1] * zoom <= page.width <= max(size[1] * zoom, longest), 'and no strip beside it'
    assert legend_classes(legend, font_size) == {*np.unique(label).tolist()}
    margins = legend[:, -font_size // 2:], legend[-2:]
    assert all((margin == 255).all() for margin in margins), 'nothing is clipped'


def test_the_background_keeps_the_colours_of_the_image_if_it_is_called_so():
    label = quarters(0, 1, 0, 1)
    page = np.asarray(overlay(GREY, label, ['background', 'cell']))
    assert (page[100, 100] == 100).all(), 'the image'
    assert page[100, 300].tolist() == (50 + TABLE[0].astype(int) // 2).tolist(), 'tinted'
    page = np.asarray(overlay(GREY, label, ['sky', 'background']))
    assert page[100, 100].tolist() == (50 + TABLE[0].astype(int) // 2).tolist()
    assert (page[100, 300] == 100).all()


def test_own_colours_are_drawn(tmp_path):
    own = {'road': (1, 2, 3), 'sky': (250, 10, 10)}
    label = quarters(0, 1, 2, 2)
    page = np.asarray(overlay(GREY, label, ['sky', 'tree', 'road'], own))
    assert page[100, 100].tolist() == [50 + 125, 50 + 5, 50 + 5]
    assert colours_in(page[400:])[1, 2, 3] >= 11 * 11, 'in the legend, too'
    draw_page(tmp_path / 'page.png', [('one', GREY, label)], ['sky', 'tree', 'road'], [], None, own)
    with Image.open(tmp_path / 'page.png') as page:
        counts = colours_in(page)
    assert counts[1, 2, 3] >= 20_000 + 11 * 11 and counts[250, 10, 10] >= 10_000 + 11 * 11


@pytest.mark.parametrize('size', [(1, 20_000), (20_000, 1), (3, 9000)])
def test_the_letters_of_a_narrow_image_do_not_grow_with_its_length(size):
    """An overlay of 20,000 pixels had 551 MB of letters and paper."""
    page = overlay(np.zeros((*size, 3), 'uint8'), np.zeros(size, int), ['sky'])
    assert page.width * page.height * 3 < 40e6


def test_an_overlay_of_a_void_label():
    page = overlay(GREY, quarters(255, 255, 255, 255), ['a'])
    assert page.size == (400, 413) and set(colours_in(page)) == {(100,) * 3, (255,) * 3}


# ---- pages of tiles

@pytest.mark.parametrize('colour, lines', [((20, 10, 10), 2), ((250, 0, 9), 0)])
def test_a_white_line_parts_two_classes_of_nearly_one_colour(colour, lines):
    label = np.zeros((200, 200, 3), 'uint8')
    label[:, 80:120] = colour
    tile = np.asarray(label_tile(label, 200))[1:-1, 1:-1]
    is_line = (tile == 255).all(2)
    assert is_line.all(0).sum() == is_line.any(0).sum() == lines
    assert (tile[~is_line] == label[~is_line]).all()


# ---- error maps

def test_an_error_map_by_hand():
    truth = np.array([[0, 1, 255], [2, 2, 255]])
    pred = np.array([[0, 0, 1], [2, 1, 255]])
    row = [list(RIGHT), list(WRONG), list(VOID)]
    assert error_map(truth, pred).tolist() == [row, row]
    grey = np.asarray(Image.fromarray(error_map(truth, pred)).convert('L')).astype(int)
    assert grey[0, 0] - grey[0, 1] > 100, 'visible without colours, too'


# ---- pages

def page_pixels(path, *args):
    """Draw a page and read it again."""
    draw_page(path, *args)
    with Image.open(path) as page:
        return np.asarray(page)


def test_a_page_shows_image_truth_prediction_and_errors(tmp_path):
    truth = quarters(0, 1, 2, 255)
    pred = quarters(0, 1, 1, 4)
    page = page_pixels(tmp_path / 'page.png', [('one', GREY, truth, pred)], 'abcdefg', ['FCN-8s'])
    tiles = [page[51:251, x:x + 200] for x in (25 + i * (202 + 14) for i in range(4))]
    for tile, expected in zip(tiles, [GREY, TABLE[truth], TABLE[pred],
                                      error_map(truth, pred)]):
        assert (tile == expected).all()
    assert colours_in(tiles[3]) == {RIGHT: 20_000, WRONG: 10_000, VOID: 10_000}
    legend = page[285:]
    counts = colours_in(legend)
    assert legend_classes(legend) == {0, 1, 2, 4} and counts[224, 224, 192] >= 11 * 11
    assert counts[WRONG] >= 11 * 11 and counts[RIGHT] >= 11 * 11
    assert (page[:, -24:] == 255).all() and (page[-20:] == 255).all(), 'a clear margin'


def test_the_error_rate_excludes_void_pixels(tmp_path):
    truth = quarters(0, 1, 2, 255)
    captions = []
    for pred in [quarters(0, 1, 2, 0), quarters(0, 1, 2, 4), quarters(0, 1, 1, 4)]:
        page = page_pixels(tmp_path / 'page.png', [('one', GREY, truth, pred)], 'abcde', ['FCN-8s'])
        captions.append(page[253:278, -226:])
    class_0_in_void, class_4_in_void, wrong_quarter = captions
    assert (class_0_in_void < 160).any(), 'there is text'
    assert (class_0_in_void == class_4_in_void).all()
    assert (class_0_in_void != wrong_quarter).any()


def test_several_predictions_are_side_by_side_without_errors(tmp_path):
    truth = quarters(0, 1, 0, 1)
    preds = [quarters(1, 1, 1, 1), quarters(0, 1, 1, 1)]
    page = page_pixels(tmp_path / 'page.png', [('one', GREY, truth, *preds)], 'abc', ['32s', '16s'],
                   [('mean IU 25.0', 'mean IU 58.3')])
    assert page.shape[1] == 4 * 202 + 3 * 14 + 2 * 24
    for i, label in enumerate([truth, *preds]):
        left = 25 + (i + 1) * (202 + 14)
        assert (page[51:251, left:left + 200] == TABLE[label]).all()
        has_caption = (page[253:278, left:left + 200] < 160).any()
        assert has_caption == (i > 0), 'predictions have captions, the truth has none'
    assert WRONG not in colours_in(page) and legend_classes(page[285:]) == {0, 1}


def test_images_of_any_size_keep_their_aspect_ratio(tmp_path):
    sizes = [(480, 640), (640, 480), (60, 60), (1, 300)]
    rows = [(f'{h}×{w}', np.full((h, w, 3), 90, 'uint8'), np.ones((h, w), 'uint8'),
             np.full((h, w), 2)) for h, w in sizes]
    page = page_pixels(tmp_path / 'page.png', rows, 'abc', ['FCN-8s'])
    truth = (page == TABLE[1]).all(-1)[:-70]        # without the legend
    starts = np.flatnonzero(np.diff(truth.any(1).astype(int), prepend=0) == 1)
    ends = np.flatnonzero(np.diff(truth.any(1).astype(int), append=0) == -1) + 1
    tiles = [(int(end - start), int(truth[start].sum())) for start, end in zip(starts, ends)]
    assert tiles == [(240, 320), (320, 240), (320, 320), (1, 320)]


@pytest.mark.parametrize('side, shown', [
    (1, 200), (7, 203), (96, 288), (128, 256), (250, 250), (900, 320)])
def test_small_images_are_enlarged_by_integers(tmp_path, side, shown):
    label = np.indices((side, side)).sum(0) % 3
    page = page_pixels(tmp_path / 'page.png', [('a', np.zeros((side, side, 3), 'uint8'), label)],
                   'abc', [])
    assert page.shape[1] == 2 * (shown + 2) + 14 + 2 * 24
    truth = page[51:51 + shown, -25 - shown:-25]
    assert colours_in(truth).keys() <= {*map(tuple, TABLE[:3].tolist())}, 'no interpolated colours'
    if shown % side == 0:
        zoom = shown // side
        assert (truth == TABLE[label].repeat(zoom, 0).repeat(zoom, 1)).all()


@pytest.mark.demo                       # a clock decides
def test_a_page_is_quick(tmp_path):
    rows = [(f'image {i}', image, label, label, label, label) for i in range(4)
            for image, label in [generate(1, i, (300, 400))]]
    start = process_time()
    draw_page(tmp_path / 'page.png', rows, CLASSES, ['FCN-32s', 'FCN-16s', 'FCN-8s'])
    assert process_time() - start < 1.5


@pytest.mark.parametrize('row, message', [
    ((GREY, quarters(0, 0, 0, 0)), 'one: 1 labels; one truth, and a prediction for each of 1'),
    ((GREY, quarters(0, 0, 0, 0), quarters(0, 3, 0, 0)),
     r'one: label 3 at \(0, 100\), and 10,000 such pixels in all; there are classes 0 … 2'),
    ((GREY, quarters(0, 0, 0, 0), np.zeros((3, 4), int)),
     r'one: the image has shape \(200, 200, 3\) and is uint8, its label has shape \(3, 4\)'),
    ((GREY / 255., quarters(0, 0, 0, 0), quarters(0, 0, 0, 0)), 'is float64'),
])
def test_rows_that_cannot_be_drawn_raise(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        draw_page(tmp_path / 'page.png', [('one', *row)], 'abc', ['FCN-8s'])
    with pytest.raises(ValueError, match=re.escape('page.png: no rows')):
        draw_page(tmp_path / 'page.png', [], 'abc', ['FCN-8s'])
    rows = [('one', GREY, quarters(0, 0, 0, 0), quarters(0, 0, 0, 0))]
    for captions in [[[]], [['a'], ['b']]]:
        with pytest.raises(ValueError, match=r'captions; for each of 1 rows one under each of 1'):
            draw_page(tmp_path / 'page.png', rows, 'abc', ['FCN-8s'], captions)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('channels, shown', [(1, [0, 0, 0]), (2, [0, 0, 0]), (4, [0, 1, 2])])
def test_an_image_of_any_channels_is_drawn_in_colours(tmp_path, channels, shown):
    """Each channel from its darkest to its brightest; of 8 bits, as it is."""
    label = quarters(0, 1, 2, 0)
    levels = np.stack([label * (3 + i) for i in range(channels)], 2)
    deep = levels.astype('float32') * 1000 - 7
    expected = (label[..., None] * [127.5, 127.5, 127.5]).round()
    np.testing.assert_array_equal(as_colours(deep), expected)
    np.testing.assert_array_equal(as_colours(levels), levels[..., shown])
    page = page_pixels(tmp_path / 'page.png', [('a', deep, label)], 'abc', [])
    assert {(0, 0, 0), (128, 128, 128), (255, 255, 255)} <= colours_in(page[51:251, 25:225]).keys()
    drawn = overlay(deep, label, 'abc')
    np.save(tmp_path / 'deep.npy', deep)
    assert drawn == overlay(tmp_path / 'deep.npy', label, 'abc')
