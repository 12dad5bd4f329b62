"""Pictures: what is drawn where, and that a file comes out of it."""
import re
import sys
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from tinyfcn import build
from tinyfcn.cli import main
from tinyfcn.data.images import read_label
from tinyfcn.viz import (
    colours,
    draw_curves,
    draw_net,
    grids,
    layout,
    palette,
    present,
    side_by_side,
    write_label,
)
from tinyfcn.viz.curves import smooth, split
from tinyfcn.viz.nets import depths


def rows(name):
    """{row: names from left to right}, arrows."""
    at, arrows = layout(build(name, seed=None, width=1/64))
    found = {}
    for box, (_, row, _) in sorted(at.items(), key=lambda item: item[1][0]):
        found.setdefault(row, []).append(box)
    return found, arrows


def test_fcn8s_is_drawn_as_figure_3():
    found, arrows = rows('fcn8s')
    assert [name for name in found[0] if not name.startswith(('conv', 'fc'))] == [
        'data', 'pool1', 'pool2', 'pool3', 'pool4', 'pool5', 'score_fr', 'upscore2']
    assert found[1] == ['score_pool4', 'fuse_pool4', 'upscore_pool4']
    assert found[2] == ['score_pool3', 'fuse_pool3', 'upscore8', 'score']
    assert {('pool4', 'score_pool4', ''), ('score_pool4', 'fuse_pool4', 'crop 5'),
            ('upscore2', 'fuse_pool4', ''), ('score_pool3', 'fuse_pool3', 'crop 9'),
            ('upscore8', 'score', 'crop 31')} <= set(arrows)


def test_a_second_stream_has_a_row_of_its_own():
    found, _ = rows('nyud_rgb_hha_16s')
    assert found[0][:2] == ['data', 'conv1_1color'] and found[1][0] == 'conv1_1hha'
    assert 'score_fused' in found[1]


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_googlenet', 'fcn_squeezenet_4s', 'siftflow_8s'])
def test_no_two_boxes_of_a_row_overlap(name):
    at, _ = layout(build(name, seed=None, width=1/64))
    for row in {row for _, row, _ in at.values()}:
        spans = sorted((x, x + w) for x, r, w in at.values() if r == row)
        assert all(a[1] < b[0] for a, b in zip(spans, spans[1:]))


@pytest.mark.parametrize('name, ways', [
    ('unet', ['relu4_2 concat4', 'relu3_2 concat3', 'relu2_2 concat2', 'relu1_2 concat1']),
    ('segnet', [f'pool{i} pool{i}_D' for i in (4, 3, 2, 1)])])
def test_skips_go_underneath_and_do_not_cross(name, ways):
    """The innermost is the least deep; what follows at once needs no detour."""
    at, arrows = layout(build(name, seed=None, width=1/64))
    deep = depths(at, arrows)
    ways = [tuple(way.replace('relu', 'conv').split()) for way in ways]
    assert set(deep) == {*ways}
    assert [*deep.values()] == sorted(deep.values()) and len({*deep.values()}) == 4


@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_a_file_comes_out(tmp_path, suffix):
    draw_net(build('fcn16s', seed=None, width=1/64), tmp_path / f'net.{suffix}')
    assert (tmp_path / f'net.{suffix}').stat().st_size > 5000


def test_the_draw_command(tmp_path, capsys):
    path = tmp_path / 'new' / 'fcn8s.png'
    assert main(['draw', 'fcn8s', '-o', str(path)]) == 0
    assert capsys.readouterr().out == f'{path}\n'
    with Image.open(path) as image:
        assert image.width > 3 * image.height > 600
    assert main(['draw', 'fcn9s', '-o', str(path)]) == 2
    assert 'no net called' in capsys.readouterr().err


@pytest.fixture
def classifier(tmp_path):
    """A thin SqueezeNet on disk that tells where an image is red, its picture, its class names."""
    net = build('squeezenet', n_class=3)
    for w in net.params.values():
        w[...] = 0
    net.about['preprocess'] = dict(order='RGB', scale=1/255, mean=[0.] * 3, std=[1.] * 3)
    for box in net.boxes.values():                      # one channel carries red all the way
        if 'w' in box.weights:
            w = net.params[f'{box.name}.w']
            w[0, 0, w.shape[2] // 2, w.shape[3] // 2] = 1
    net.params['conv10.w'][0], net.params['conv10.w'][1, 0] = 0, 1
    net.save(tmp_path / 'net.safetensors')
    image = np.zeros((96, 128, 3), 'uint8')
    image[40:70, 70:110, 0] = 255
    Image.fromarray(image).save(tmp_path / 'picture.png')
    (tmp_path / 'names.txt').write_text('n0 blue thing\nn1 red thing\nn2 another thing\n')
    return tmp_path


def draw_heat(at, wanted, *more):
    return main(['draw', 'squeezenet', '--classes', '3', '--heatmap', wanted,
                 str(at / 'picture.png'), '-o', str(at / 'heat.png'), *more])


def test_the_heatmap_command(classifier, capsys):
    where = ['--weights', str(classifier / 'net.safetensors')]
    names = ['--names', str(classifier / 'names.txt')]
    assert draw_heat(classifier, 'red', *where, *names) == 0
    said = capsys.readouterr().out
    assert 'n1 red thing: 0.46' in said and '1.00 at most; the whole image is n1 red thing' in said
    with Image.open(classifier / 'heat.png') as heat:
        page = np.asarray(heat.convert('RGB')).astype(int)
    right = page[:, page.shape[1] // 2:]
    assert (right[..., 0] - right[..., 2] > 60).sum() > 1000, 'somewhere it glows'
    assert draw_heat(classifier, '1', *where) == 0
    assert 'class 1: 0.46' in capsys.readouterr().out


def test_the_activations_command(tmp_path, capsys):
    n = build('segnet_basic', width=1, n_class=3)
    n.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    n.save(tmp_path / 'net.safetensors')
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), 'uint8')).save(tmp_path / 'x.png')
    words = ['draw', 'segnet_basic', '--classes', '3', '-o', str(tmp_path / 'y.png'),
             '--activations', str(tmp_path / 'x.png')]
    assert main([*words, '--weights', str(tmp_path / 'net.safetensors')]) == 0
    with Image.open(tmp_path / 'y.png') as shown:
        assert shown.width > 1000 and len(shown.convert('RGB').getcolors(1 << 20)) > 100
    assert main(words) == 2
    assert '--activations needs what the net has learned' in capsys.readouterr().err


@pytest.mark.parametrize('wanted, more, why', [
    ('red', ['names'], 'needs what the net has learned: --weights FILE'),
    ('red', ['weights'], "class 'red': a number, or give the names of all: --names FILE"),
    ('thing', ['weights', 'names'], "class 'thing' is no single one of 3: 0 n0 blue thing, 1 n"),
    ('green', ['weights', 'names'], "class 'green' is no single one of 3: no name has it"),
    ('7', ['weights'], 'class 7: there are 0 … 2'),
])
def test_what_the_heatmap_command_refuses(classifier, capsys, wanted, more, why):
    files = dict(weights='net.safetensors', names='names.txt')
    options = [word for key in more for word in (f'--{key}', str(classifier / files[key]))]
    assert draw_heat(classifier, wanted, *options) == 2
    said = capsys.readouterr().err
    assert re.search(why, said), said


# ---- colours

VOC = """0 0 0, 128 0 0, 0 128 0, 128 128 0, 0 0 128, 128 0 128, 0 128 128, 128 128 128, 64 0 0,
192 0 0, 64 128 0, 192 128 0, 64 0 128, 192 0 128, 64 128 128, 192 128 128, 0 64 0, 128 64 0,
0 192 0, 128 192 0, 0 64 128, 128 64 128"""


def test_the_palette_is_vocs():
    expected = [[int(part) for part in colour.split()] for colour in VOC.split(',')]
    assert len(expected) == 22 and palette()[:22].tolist() == expected
    assert palette()[255].tolist() == [224, 224, 192]
    assert palette().shape == (256, 3) and palette().dtype == 'uint8'
    assert len(np.unique(palette(), axis=0)) == 256, 'no two classes share a colour'
    assert (palette(21) == palette()[:21]).all()


def test_each_pixel_has_the_colour_of_its_class():
    label = np.array([[0, 1], [20, 255]])
    assert colours(label, 21).tolist() == [[[0, 0, 0], [128, 0, 0]],
                                           [[0, 64, 128], [224, 224, 192]]]
    assert (colours(label.astype('uint8')) == colours(label, 21)).all()


@pytest.mark.parametrize('label, n_class, why', [
    ([[0, 21]], 21, r'label 21 at \(0, 1\), and 1 such pixels in all; there are classes 0 … 20'),
    ([[0], [-1]], None, r'label -1 at \(1, 0\).* 0 … 254, and 255 is void'),
    ([[256]], None, 'label 256'),
    ([[1.]], None, 'label is float64; an array of whole numbers is needed'),
])
def test_what_colours_refuses(label, n_class, why):
    with pytest.raises(ValueError, match=why):
        colours(np.array(label), n_class)


def test_which_classes_are_present():
    assert present(np.array([[2, 0, 0], [0, 255, 255]]), 'abc') == [(0, 'a', .75), (2, 'c', .25)]
    assert present(np.array([[255]]), 'abc') == []


def test_a_label_is_written_as_voc_writes_it(tmp_path):
    label = np.arange(256).reshape(8, 32)
    write_label(tmp_path / 'label.png', label)
    with Image.open(tmp_path / 'label.png') as image:
        assert (image.format, image.mode, image.size) == ('PNG', 'P', (32, 8))
        assert (np.asarray(image) == label).all()
        assert image.getpalette() == palette().ravel().tolist()
        assert (np.asarray(image.convert('RGB')) == colours(label)).all()
    assert (read_label(tmp_path / 'label.png') == label).all(), 'and our own reader reads it'
    assert [path.name for path in tmp_path.iterdir()] == ['label.png']


@pytest.mark.parametrize('name, label, why', [
    ('a.jpg', [[0]], 'a.jpg: a picture whose colours are classes is kept exactly by .png alone'),
    ('a.png', [0], r'a.png: the label has shape \(1,\)'),
    ('a.png', [[]], 'whole numbers|shape'),
    ('a.png', [[300]], 'label 300'),
])
def test_what_write_label_refuses_leaves_the_old_file(tmp_path, name, label, why):
    write_label(tmp_path / 'a.png', np.array([[7]]))
    with pytest.raises(ValueError, match=why):
        write_label(tmp_path / name, np.array(label))
    assert read_label(tmp_path / 'a.png').tolist() == [[7]]
    assert len([*tmp_path.iterdir()]) == 1


# ---- curves

def run(steps, every=20, judge=200, loss=lambda step: 3 / step):
    """The rows of a stage."""
    for step in range(every, steps + 1, every):
        yield dict(step=step, loss=loss(step), lr=1e-3, seconds=step / 10)
        if step % judge == 0:
            yield dict(step=step, mean_iu=.4, pixel_acc=.8, mean_acc=.6, fw_iu=.7)


def test_stages_follow_each_other():
    stages = split([*run(400), *run(200), *run(60)])
    assert [(begin, len(rows)) for begin, rows in stages] == [(0, 22), (400, 11), (600, 3)]
    assert split([]) == [(0, [])]


def test_what_a_resumed_run_does_anew_counts():
    first, again = [*run(380)], [*run(600, loss=lambda step: 1.)]
    (begin, rows), = split([*first, *(row for row in again if row['step'] > 300)])
    assert begin == 0
    assert [row['step'] for row in rows if 'loss' in row] == [*range(20, 601, 20)]
    assert [row['loss'] == 1 for row in rows if 'loss' in row] == [False] * 15 + [True] * 15


def test_the_running_mean_by_hand():
    y = np.arange(40.)                                  # a tenth: two to the left, two to the right
    assert smooth(y)[2:-2] == pytest.approx(y[2:-2], abs=1e-12)
    assert smooth(y)[:2] == pytest.approx([1, 1.5]) and smooth(y)[-1] == pytest.approx(38)
    y[10], y[11] = np.nan, np.inf
    assert smooth(y)[9] == pytest.approx((7 + 8 + 9) / 3)
    assert np.isnan(smooth(y)).nonzero()[0].tolist() == [10, 11], 'no curve where no number is'
    assert np.isnan(smooth(np.full(3, np.nan))).all() and smooth(np.zeros(0)).size == 0


def inks(path):
    """Which rows of the picture have the blue of loss and mean IU, which the orange of accuracy."""
    with Image.open(path) as image:
        page = np.asarray(image.convert('RGB')).astype(int)
    return [np.flatnonzero((abs(page[:, :700] - colour).sum(-1) < 9).any(1))
            for colour in [(0, 0x72, 0xb2), (0xd5, 0x5e, 0)]], page.shape[0]


def test_the_loss_is_drawn_above_the_metrics(tmp_path):
    draw_curves(tmp_path / 'a.png', [*run(2000), *run(1000)])
    (blue, orange), high = inks(tmp_path / 'a.png')
    assert blue.min() < .1 * high and .45 * high < orange.min() < blue.max(), 'accuracy above IU'
    draw_curves(tmp_path / 'a.png', run(180))
    (blue, orange), lower = inks(tmp_path / 'a.png')
    assert lower < .6 * high and blue.size and not orange.size, 'no metrics, no room for them'
    draw_curves(tmp_path / 'a.png', [row for row in run(400) if 'loss' not in row])
    assert inks(tmp_path / 'a.png')[0][1].size and inks(tmp_path / 'a.png')[1] == lower


def test_stages_are_drawn_one_after_the_other(tmp_path):
    rows = [dict(step=20, loss=2.), dict(step=40, loss=2.)] * 2
    draw_curves(tmp_path / 'a.png', rows)
    with Image.open(tmp_path / 'a.png') as image:
        page = np.asarray(image.convert('RGB')).astype(int)[:, :880]
    blue = (abs(page - (0, 0x72, 0xb2)).sum(-1) < 9).any(0)
    starts = np.flatnonzero(np.diff(blue.astype(int), prepend=0) == 1)
    assert len(starts) == 2, 'two lines with a gap between'


def test_more_than_a_decade_is_drawn_by_powers(tmp_path):
    """A loss that falls by a fifth at every row is a straight line by powers, a bow by numbers."""
    for ratio, straight in [(.8, True), (.98, False)]:
        rows = [dict(step=i, loss=ratio ** i) for i in range(30)]
        draw_curves(tmp_path / 'a.png', [*rows, dict(step=30, loss=float('nan'))])
        with Image.open(tmp_path / 'a.png') as image:
            page = np.asarray(image.convert('RGB')).astype(int)[:, :880]
        y, x = np.nonzero(abs(page - (0, 0x72, 0xb2)).sum(-1) < 9)
        bend = np.polyfit(x / np.ptp(x), y / np.ptp(y), 2)[0]
        assert (abs(bend) < .02) == straight, bend


@pytest.mark.parametrize('rows', [
    [dict(step=20, loss=1.)],
    [dict(step=0, mean_iu=.1, pixel_acc=.2, mean_acc=float('nan'), fw_iu=None)],
    [dict(step=1, loss=float('nan')), dict(step=2, loss=float('inf'))],
    [dict(step=i, loss=[1., 0., float('nan'), 1e9][i % 4]) for i in range(100)],
    [dict(net='fcn8s'), dict(step=1, loss=2.), dict(step=1, mean_iu=.5)],
], ids=['one row', 'scores of nothing', 'no number', 'zero and nan', 'other rows'])
def test_curves_of_odd_runs(tmp_path, rows):
    draw_curves(tmp_path / 'a.png', rows)
    with Image.open(tmp_path / 'a.png') as image:
        assert image.width == 990 and image.height > 300
        assert np.asarray(image.convert('L')).min() < 80, 'words'


def test_curves_in_a_thread_and_as_svg_without_pyplot(tmp_path):
    before = 'matplotlib.pyplot' in sys.modules         # another test may have wanted it
    threads = [Thread(target=draw_curves, args=(tmp_path / f'{i}.svg', [*run(400)]))
               for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all('</svg>' in (tmp_path / f'{i}.svg').read_text('utf-8') for i in range(3))
    assert ('matplotlib.pyplot' in sys.modules) == before


@pytest.mark.parametrize('name, rows, why', [
    ('a.png', [], "a.png: no row has a 'loss' or a 'mean_iu' beside its 'step'"),
    ('a.txt', [dict(step=1, loss=1.)], 'a.txt: no such kind of picture is drawn.* png'),
])
def test_what_draw_curves_refuses(tmp_path, name, rows, why):
    with pytest.raises(ValueError, match=why):
        draw_curves(tmp_path / name, rows)
    assert not list(tmp_path.iterdir())


# ---- side by side --------------------------------------------------------------------------------

def test_pictures_side_by_side():
    red, ramp = np.zeros((20, 30, 3), 'uint8'), np.arange(600.).reshape(20, 30)
    red[..., 0] = 255
    shown = side_by_side({'red': red, 'ramp': ramp}, width=2)
    assert shown.size == (280, 119) and len(shown.getcolors()) <= 32        # 4 × 1.7 inches of 70
    left, right = (np.array(shown.convert('RGB').crop(box)) for box in
                   [(0, 0, 140, 119), (140, 0, 280, 119)])
    assert (left == (255, 0, 0)).all(2).mean() > .4 and not (right == (255, 0, 0)).all(2).any()


def test_grids_say_every_number_and_colour_what_is_not_zero():
    page = grids(x=[[0, 1.5], [-2, 0]], dx_for_y=np.eye(1))._repr_html_()
    tables = re.findall(r'<table.*?<caption.*?>(.*?)</caption>(.*?)</table>', page)
    assert [title for title, _ in tables] == ['x', 'dx for y']
    cells = [re.findall(r'<td( style=.*?)?>([^<]*)', body) for _, body in tables]
    assert [[(bool(style), text) for style, text in body] for body in cells] == [
        [(False, '0'), (True, '1.5'), (True, '-2'), (False, '0')], [(True, '1')]]
