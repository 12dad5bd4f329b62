"""Pictures: what is drawn where, and that a file comes out of it."""
import re

import numpy as np
import pytest
from PIL import Image

from tinyfcn import build
from tinyfcn.cli import main
from tinyfcn.viz import draw_net, layout


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


@pytest.mark.parametrize('wanted, more, why', [
    ('red', ['names'], 'needs what the classifier has learned: --weights FILE'),
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
