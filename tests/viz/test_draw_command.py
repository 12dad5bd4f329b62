"""`tinyfcn draw`: a diagram, a heat map, activations; and its error messages."""
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image
from published import random_net
from training_samples import write_bright_halves

from tinyfcn import build, viz
from tinyfcn.cli import main
from tinyfcn.cli.draw import select_classes
from tinyfcn.data.imagenet import GROUPS, class_names


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


def test_activations_come_with_the_image_and_the_names_of_classes(tmp_path, monkeypatch):
    net = build('tiny_8s', 3, width=1/8)
    net.about['preprocess'] = dict(order='RGB', scale=1, mean=[0.] * 3, std=[1.] * 3)
    net.about['classes'] = ['sky', 'tree', 'crack']
    for name in 'score_fr', 'score_pool4', 'score_pool3':
        net.params[f'{name}.b'][2] = 9
    net.save(tmp_path / 'net.safetensors')
    image = np.full((60, 65, 3), 90, 'uint8')
    Image.fromarray(image).save(tmp_path / 'photo.png')
    titles = []
    draw = Axes.set_title
    monkeypatch.setattr(Axes, 'set_title', lambda ax, text, **options: titles.append(text) or
                        draw(ax, text, **options))
    assert main(['draw', str(tmp_path / 'net.safetensors'), '--activations',
                 str(tmp_path / 'photo.png'), '-o', str(tmp_path / 'y.png')]) == 0
    assert titles[0] == 'the image\n60×65' and titles[-1] == 'score\n60×65, crack'
    assert all(', crack' in text for text in titles if text.startswith(('score', 'fuse', 'ups')))
    numbers = [[*map(int, re.findall(r'channel (\d+) of (\d+)$', text)[0])] for text in titles
               if 'channel' in text]
    assert numbers and all(1 <= number <= count for number, count in numbers)


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


# ---- by name -------------------------------------------------------------------------------------

@pytest.fixture
def heat_maps(monkeypatch):
    """What is drawn, instead of drawing it: the arguments of viz.draw_heatmap."""
    drawn = []
    monkeypatch.setattr(viz, 'draw_heatmap', lambda *args: drawn.append(args))
    return drawn


def test_a_name_brings_its_weights_and_a_word_adds_up_the_classes(publish, tmp_path, capsys,
                                                                  heat_maps):
    here = publish('squeezenet', random_net('squeezenet', 1000))
    Image.fromarray(np.full((300, 256, 3), 90, 'uint8')).save(tmp_path / 'photo.png')
    output = str(tmp_path / 'heat.png')
    for wanted in 'dog', '207', 'golden retriever':
        assert main(['draw', 'squeezenet', '--heatmap', wanted, str(tmp_path / 'photo.png'), '-o',
                     output]) == 0
    dog, number, name = capsys.readouterr().out.splitlines()[::2]
    assert re.match(r'dog, 118 classes: \d+% on average over 28×23 positions, \d+% at most; the '
                    r'class with the highest average is \w', dog)
    assert number == name and number.startswith('golden retriever: ')
    (image, heat, alignment, _, title, label), (_, score, *_, score_label), _ = heat_maps
    assert image.shape == (450, 384, 3) and heat.shape == score.shape == (28, 23)
    assert (title, label, score_label) == ('dog, 118 classes', 'probability', 'score')
    assert 0 <= heat.min() <= heat.max() <= 1
    assert len(here.server.requests) == 1


def test_a_net_for_segmentation_has_a_map_too(publish, tmp_path, capsys, heat_maps):
    publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    Image.fromarray(np.full((60, 65, 3), 90, 'uint8')).save(tmp_path / 'photo.png')
    assert main(['draw', 'fcn_resnet50', '--heatmap', 'dog', str(tmp_path / 'photo.png'), '-o',
                 str(tmp_path / 'heat.png')]) == 0
    out = capsys.readouterr().out
    assert re.match(r'dog: -?\d+.\d\d on average over 520×563 positions, .* at most\n', out)


def test_the_net_of_a_name_or_a_run_is_drawn(tmp_path):
    build('tiny_8s', 3, width=1/8).save(tmp_path / 'best.safetensors')
    for net in 'squeezenet1_1', str(tmp_path):
        assert main(['draw', net, '-o', str(tmp_path / 'x.svg'), '--overwrite']) == 0
    assert main(['draw', 'squeezenet', '--classes', '3', '--heatmap', 'cat', str(tmp_path), '-o',
                 str(tmp_path / 'x.svg')]) == 2


@pytest.mark.parametrize('options', [[], ['--activations', 'photo.png', '--classes', '3']])
def test_a_folder_of_that_name_takes_precedence(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((60, 65, 3), 90, 'uint8')).save('photo.png')
    (tmp_path / 'squeezenet').mkdir()
    net = build('tiny_8s', 3, width=1/8)
    net.about['preprocess'] = dict(order='RGB', scale=1, mean=[0.] * 3, std=[1.] * 3)
    net.save('squeezenet/best.safetensors')
    drawn = []
    monkeypatch.setattr(viz, 'draw_net', lambda net, path: drawn.append([*net.boxes]))
    monkeypatch.setattr(viz, 'draw_activations', lambda boxes, *_: drawn.append([*boxes]))
    assert main(['draw', 'squeezenet', *options, '-o', 'x.svg']) == 0
    assert {*drawn[0]} <= {*net.boxes}


def test_nothing_is_downloaded_for_an_image_that_is_not_there(publish, tmp_path, capsys):
    here = publish('squeezenet', random_net('squeezenet', 1000))
    assert main(['draw', 'squeezenet', '--heatmap', 'cat', str(tmp_path / 'gone.png'), '-o',
                 str(tmp_path / 'x.png')]) == 2
    assert 'gone.png: no such file' in capsys.readouterr().err and not here.server.requests


@pytest.mark.parametrize('text, numbers, title', [
    ('281', [281], 'tabby'), ('Tabby', [281], 'tabby'), ('egyptian', [285], 'Egyptian cat'),
    ('dog', [*GROUPS['dog']], 'dog, 118 classes'), ('horse', [339], 'horse')])
def test_classes_of_imagenet(text, numbers, title):
    assert select_classes(text, class_names(), of_imagenet=True) == (numbers, title)


def test_an_exact_name_goes_before_a_part():
    assert select_classes('cat', ['wildcat', 'cat', 'cattle'], False) == ([1], 'cat')
    with pytest.raises(ValueError, match="class 'terrier' matches 19 of 1000 names, .*: 158 toy "
                                         'terrier, .*; words for several are fish, '):
        select_classes('terrier', class_names(), of_imagenet=True)


def test_weights_without_a_score_are_refused(tmp_path, capsys):
    net = random_net('squeezenet', 3, width=1)
    trunk = {name: w for name, w in net.params.items() if not name.startswith('conv10')}
    np.savez(tmp_path / 'x.npz', **trunk)
    Image.fromarray(np.full((60, 65, 3), 90, 'uint8')).save(tmp_path / 'photo.png')
    assert main(['draw', 'squeezenet', '--weights', str(tmp_path / 'x.npz'), '--heatmap', '1',
                 str(tmp_path / 'photo.png'), '-o', str(tmp_path / 'y.png')]) == 2
    assert 'x.npz has no conv10.w, conv10.b, which squeezenet needs' in capsys.readouterr().err


# ---- augmented images ----------------------------------------------------------------------------

def test_a_page_of_augmented_images(tmp_path, capsys, monkeypatch):
    """It is in the current folder; other options draw another one."""
    monkeypatch.chdir(tmp_path)
    write_bright_halves(tmp_path)
    assert main(['draw', '--augment', str(tmp_path), '--recipe', 'folder']) == 0
    assert 'recipe folder: flip left to right; scale 0.75 to 1.33' in capsys.readouterr().out
    with Image.open('augmented.png') as page:
        assert page.info['Software'] == 'tinyfcn'
        pixels = np.asarray(page.convert('RGB'))
    colours = viz.class_colours(['dark', 'bright'])[:2]
    # a label below each of 24 images; they fill a part of the page
    assert np.isin(pixels.reshape(-1, 3), colours).all(1).mean() > .25
    options = '--recipe folder --set rotation=45 noise=.3 rare_classes=1 blur=3 --seed 1'.split()
    assert main(['draw', '--augment', str(tmp_path), '-o', 'other.png', *options]) == 0
    assert '100% of the crops near a class' in capsys.readouterr().out
    assert Path('other.png').read_bytes() != Path('augmented.png').read_bytes()


def test_the_labels_of_a_row_begin_at_one_height(tmp_path):
    pairs = [(np.full((*size, 3), 100, 'uint8'), np.zeros(size, 'uint8'))
             for size in ((50, 100), (100, 100), (100, 60))]
    viz.draw_augmented(tmp_path / 'page.png', [('row', pairs)], ['a'], colours={'a': (250, 0, 9)})
    with Image.open(tmp_path / 'page.png') as page:
        is_label = (np.asarray(page.convert('RGB')) == (250, 0, 9)).all(2)
    tops = is_label.argmax(0)[is_label.any(0)]
    assert len(tops) > 400 and np.ptp(tops) == 0


@pytest.mark.parametrize('args, message', [
    ([], 'name the file to write with -o FILE'),
    (['-o', 'net.png'], 'name a net, such as fcn8s, .* --augment DATA'),
    (['--augment', 'shapes', '-o', 'page.svg'], r'page\.svg: .* as \.png only; give'),
    (['--augment', 'shapes', '-o', 'page.gif'], r'page\.gif: .* as \.png only; give'),
    (['fcn8s', '--augment', 'shapes'], 'leave out NET'),
    (['--augment', 'shapes', '--recipe', 'voc-fcn32s'], 'voc-fcn32s does not augment'),
    (['--augment', 'shapes', '--set', 'rotation=999'], 'rotation is 999; .* at most 180'),
    (['--augment', 'nowhere'], 'nowhere: neither a folder nor the name of a data set'),
])
def test_a_page_of_augmented_images_is_refused(tmp_path, monkeypatch, capsys, args, message):
    monkeypatch.chdir(tmp_path)
    assert main(['draw', *args]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not [*tmp_path.iterdir()]


def test_a_page_says_what_is_wrong_with_a_label():
    pair = np.zeros((4, 6, 3), 'uint8'), np.full((4, 6), 7)
    with pytest.raises(ValueError, match='eye: .*7'):
        viz.draw_augmented('page.png', [('eye', [pair])], ['0', '1'])
    for rows in [], [('eye', [])]:
        with pytest.raises(ValueError, match=r'page\.png: . rows'):
            viz.draw_augmented('page.png', rows, ['0', '1'])


def test_images_of_many_bits_are_as_bright_on_a_page_as_each_other(tmp_path):
    label = np.zeros((20, 20), 'uint8')
    images = [np.full((20, 20, 1), value, 'float32') for value in (900, 500, 100)]
    row = 'row', [(image, label) for image in images]
    viz.draw_augmented(tmp_path / 'page.png', [row], ['a'])
    with Image.open(tmp_path / 'page.png') as page:
        pixels = np.asarray(page.convert('RGB'))
    for grey in 255, 128, 0:
        assert (pixels == grey).all(2).sum() > 150 * 150
