"""The page of predictions: the first images, and the worst by their mean IU; own colours."""
import numpy as np
import pytest
from PIL import Image
from training_samples import CENTRED

from tinyfcn import Net
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset
from tinyfcn.layers import conv
from tinyfcn.training import fit
from tinyfcn.training.validation import draw_examples, validate

GREY = np.full((10, 12, 3), 100, 'uint8')


def net_of_class_1(n_class=2):
    n = Net(3)
    n.score = conv(n.data, n_class, 1)
    n.params['score.b'][1] = 1e6
    n.about['preprocess'] = CENTRED
    return n


def dataset_with_shares(shares, colours=None):
    """Images of which this share is class 1 and all else 0, which the net above never predicts."""
    def read(name):
        label = np.zeros((10, 12), 'uint8')
        label.flat[:round(120 * shares[int(name)])] = 1
        return GREY, label

    return Dataset(['a', 'b'], map(str, range(len(shares))), read, colours=colours)


def test_half_of_the_page_are_the_worst_images_by_their_mean_iu():
    shares = [.9, .8, .7, .1, .6, .3, .95]
    row, examples = validate(net_of_class_1(), dataset_with_shares(shares))
    assert [each.name for each in examples] == ['0', '1', '3', '5']
    assert [each.choice for each in examples] == ['first', 'first', 'worst', 'worst']
    np.testing.assert_allclose([each.mean_iu for each in examples], [.45, .4, .05, .15], atol=1e-3)
    np.testing.assert_allclose(row['iu'], [0, np.mean(shares)], atol=1e-2)


def test_an_image_that_is_all_void_is_not_among_the_worst():
    dataset = dataset_with_shares([1, 1, .5, .4, .3])
    read = dataset.read
    dataset.read = lambda name: (GREY, np.full((10, 12), 255)) if name == '4' else read(name)
    examples = validate(net_of_class_1(), dataset).examples
    assert [each.name for each in examples] == ['0', '1', '3', '2']


@pytest.mark.parametrize('n, captions', [
    (2, ['mean IU 1.000', 'mean IU 0.125']),
    (5, ['one of the first: mean IU 1.000', 'one of the first: mean IU 0.125',
         'one of the worst: mean IU 0.125', 'one of the worst: mean IU 0.125'])])
def test_why_an_image_is_drawn_is_said_where_not_all_are(n, captions, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr('tinyfcn.viz.draw_page', lambda *args: drawn.append(args[4]))
    dataset = dataset_with_shares([1, .25, .25, .25, .25][:n])
    draw_examples(tmp_path / 'page.png', validate(net_of_class_1(), dataset).examples, dataset)
    assert [caption for [caption] in drawn[0]] == captions


def test_the_page_has_the_colours_of_the_data_set_and_any_names(tmp_path):
    own = {'a': (1, 2, 3), 'b': (250, 4, 5)}
    dataset = dataset_with_shares([.5, .25], own)
    dataset.names = ['0', '1']
    examples = [each._replace(name='a\nb\x85') for each in
                validate(net_of_class_1(), dataset).examples]
    draw_examples(tmp_path / 'page.png', examples, dataset)
    with Image.open(tmp_path / 'page.png') as page:
        colours = {colour for _, colour in page.getcolors(1 << 20)}
    assert {*own.values()} <= colours


# ---- from classes.txt to a drawing

def test_own_colours_go_from_classes_txt_into_the_net(tmp_path):
    for part in 'images', 'masks':
        (tmp_path / part).mkdir()
    (tmp_path / 'classes.txt').write_text('10 20 30 sky\nroad\n1 1 1 void\n200 0 0 tree\n')
    Image.fromarray(GREY).save(tmp_path / 'images' / 'x.png')
    Image.fromarray(GREY[..., 0] // 100).save(tmp_path / 'masks' / 'x.png')
    dataset = load_dataset('folder', tmp_path)
    own = {'sky': (10, 20, 30), 'tree': (200, 0, 0)}
    assert dataset.colours == dataset.subset(['x']).colours == own
    n = net_of_class_1(3)
    fit(n, dataset, dict(preprocess=CENTRED, lr=1e-9, steps=1))
    assert n.about['colours'] == own
    assert load_dataset('shapes').colours == {}
