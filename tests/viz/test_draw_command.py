"""`tinyfcn draw`: a diagram, a heat map, activations; and its error messages."""
import re

import numpy as np
import pytest
from PIL import Image

from tinyfcn import build
from tinyfcn.cli import main


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
    """A folder: a SqueezeNet that scores how red a place is, an image, the names of its classes."""
    net = build('squeezenet', n_class=3)
    for w in net.params.values():
        w[...] = 0
    net.about['preprocess'] = dict(order='RGB', scale=1/255, mean=[0.] * 3, std=[1.] * 3)
    for box in net.boxes.values():                      # the first channel is red in every box
        if 'w' in box.weights:
            w = net.params[f'{box.name}.w']
            w[0, 0, w.shape[2] // 2, w.shape[3] // 2] = 1
    net.params['conv10.w'][0] = 0
    net.params['conv10.w'][1, 0] = 1
    net.save(tmp_path / 'net.safetensors')
    image = np.zeros((96, 128, 3), 'uint8')
    image[40:70, 70:110, 0] = 255
    Image.fromarray(image).save(tmp_path / 'image.png')
    (tmp_path / 'names.txt').write_text('n0 blue thing\nn1 red thing\nn2 another thing\n')
    return tmp_path


def draw_heatmap(folder, wanted, *options):
    return main(['draw', 'squeezenet', '--classes', '3', '--heatmap', wanted,
                 str(folder / 'image.png'), '-o', str(folder / 'heat.png'), *options])


def test_the_heatmap_command(classifier, capsys):
    weights = ['--weights', str(classifier / 'net.safetensors')]
    names = ['--names', str(classifier / 'names.txt')]
    assert draw_heatmap(classifier, 'red', *weights, *names) == 0
    assert re.search('n1 red thing: 0.46 .* 1.00 at most.* n1 red thing\n', capsys.readouterr().out)
    with Image.open(classifier / 'heat.png') as heat:
        page = np.asarray(heat.convert('RGB')).astype(int)
    right = page[:, page.shape[1] // 2:]
    assert (right[..., 0] - right[..., 2] > 60).sum() > 1000, 'the heat map is red somewhere'
    assert draw_heatmap(classifier, '1', *weights) == 0
    assert 'class 1: 0.46' in capsys.readouterr().out


def test_the_activations_command(tmp_path, capsys):
    n = build('segnet_basic', width=1, n_class=3)
    n.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    n.save(tmp_path / 'net.safetensors')
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), 'uint8')).save(tmp_path / 'x.png')
    command = ['draw', 'segnet_basic', '--classes', '3', '-o', str(tmp_path / 'y.png'),
               '--activations', str(tmp_path / 'x.png')]
    assert main([*command, '--weights', str(tmp_path / 'net.safetensors')]) == 0
    with Image.open(tmp_path / 'y.png') as image:
        assert image.width > 1000 and len(image.convert('RGB').getcolors(1 << 20)) > 100
    assert main(command) == 2
    assert re.search('--activations .* --weights FILE', capsys.readouterr().err)


@pytest.mark.parametrize('wanted, given, message', [
    ('red', ['names'], '--heatmap .* --weights FILE'),
    ('red', ['weights'], "class 'red': .* --names FILE"),
    ('thing', ['weights', 'names'], "class 'thing' .* 3 .*: 0 n0 blue thing, 1 n"),
    ('green', ['weights', 'names'], "class 'green' .* 3 .*: no name"),
    ('7', ['weights'], 'class 7: .* 0 … 2'),
])
def test_errors_of_the_heatmap_command(classifier, capsys, wanted, given, message):
    files = dict(weights='net.safetensors', names='names.txt')
    options = [word for key in given for word in (f'--{key}', str(classifier / files[key]))]
    assert draw_heatmap(classifier, wanted, *options) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
