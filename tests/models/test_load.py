"""tinyfcn.load and tinyfcn.pretrained: nets from files of other programs, and by name."""
import re

import numpy as np
import pytest
from published import random_net, write_state_dict
from weights_samples import bilinear_kernel, caffemodel

import tinyfcn
from tinyfcn import build, weights
from tinyfcn.cli import main
from tinyfcn.data.imagenet import class_names
from tinyfcn.data.voc import CLASSES
from tinyfcn.models.load import PUBLISHED_CLASSES
from tinyfcn.weights import find
from tinyfcn.weights.sources import SOURCES

TORCH = dict(order='RGB', scale=1/255, mean=(.485, .456, .406), std=(.229, .224, .225))


def scores(net):
    """Those of every output, for a fixed image."""
    return net.forward(np.random.default_rng(1).standard_normal((1, 3, 64, 72)).astype('float32'))


# ---- files of other programs ---------------------------------------------------------------------

@pytest.mark.parametrize('name, n_class, side', [
    ('fcn_resnet50', 4, 520), ('deeplabv3_resnet50', 21, 520), ('resnet50', 7, 256),
    ('squeezenet', 1000, 256)])
def test_a_state_dict_becomes_its_net(name, n_class, side, tmp_path):
    net = random_net(name, n_class)
    write_state_dict(tmp_path / 'x.pth', net)
    loaded = tinyfcn.load(tmp_path / 'x.pth')
    np.testing.assert_array_equal(scores(loaded), scores(net))
    assert loaded.about['build'] == net.about['build']
    assert loaded.about['preprocess'] == TORCH and loaded.about['shorter_side'] == side
    # 21 classes may be of any data set; 1000 are ImageNet's
    assert loaded.about.get('classes') == ([*class_names()] if n_class == 1000 else None)
    loaded.save(tmp_path / 'own.safetensors')
    again = tinyfcn.load(tmp_path / 'own.safetensors')
    assert again.about['shorter_side'] == side and (scores(again) == scores(net)).all()


def test_only_the_auxiliary_head_may_be_missing(tmp_path):
    net = random_net('fcn_resnet50', 4)
    for prefix, is_whole in ('aux', True), ('classifier/4.b', False), ('layer4/2/bn3', False):
        arrays = {name: array for name, array in {**net.params, **net.state}.items()
                  if not name.startswith(prefix)}
        weights.save(tmp_path / 'x.safetensors', arrays, dict(build=net.about['build']))
        if is_whole:
            assert (scores(tinyfcn.load(tmp_path / 'x.safetensors')) == scores(net)).all()
        else:
            with pytest.raises(ValueError, match=f'not the weights of(.|\n)*missing +{prefix}'):
                tinyfcn.load(tmp_path / 'x.safetensors')


def test_weights_of_a_trunk_alone_are_no_net(tmp_path):
    net = random_net('squeezenet', 5)
    trunk = {name: w for name, w in net.params.items() if not name.startswith('conv10')}
    np.savez(tmp_path / 'x.npz', **trunk)
    with pytest.raises(ValueError, match='x.npz has weights of SqueezeNet v1.1, but not all of a '
                                         'net. Training can start from them'):
        tinyfcn.load(tmp_path / 'x.npz')


def test_what_a_trunk_alone_lacks_is_said(tmp_path):
    trunk = {name: w for name, w in build('squeezenet', seed=None).params.items()
             if not name.startswith('conv10')}
    np.savez(tmp_path / 'x.npz', **trunk)
    with pytest.raises(ValueError, match='but not all of a net') as error:
        tinyfcn.load(tmp_path / 'x.npz')
    assert str(error.value).splitlines()[1:3] == [
        'The nearest nets of tinyfcn:', 'squeezenet: 50 of 52 weights; missing conv10.w, conv10.b']


def as_caffemodel(net, upsampling):
    """The boxes of a net as layers of Caffe, and its bilinear upsampling as deconvolutions."""
    boxes = dict.fromkeys(name.rpartition('.')[0] for name in net.params)
    layers = [(box, 'Convolution', [net.params[f'{box}.{x}'] for x in 'wb']) for box in boxes]
    return caffemodel([*layers, *((box, 'Deconvolution', [bilinear_kernel(n_class, ksize)])
                                  for box, n_class, ksize in upsampling)])


def test_the_authors_fcn8s(tmp_path):
    net = random_net('fcn8s', 21)
    file = tmp_path / 'fcn8s-heavy-pascal.caffemodel'
    file.write_bytes(as_caffemodel(net, [('upscore2', 21, 4), ('upscore_pool4', 21, 4),
                                         ('upscore8', 21, 16)]))
    loaded = tinyfcn.load(file)
    np.testing.assert_array_equal(scores(loaded), scores(net))
    assert loaded.about['classes'] == CLASSES and 'shorter_side' not in loaded.about
    assert loaded.about['preprocess'] == dict(order='BGR', scale=1, std=(1, 1, 1),
                                              mean=(104.00699, 116.66877, 122.67892))
    mask = tinyfcn.predict(loaded, np.zeros((40, 50, 3), 'uint8'))
    assert mask.shape == (40, 50)


def test_the_authors_two_headed_net_has_classes_for_both(tmp_path):
    net = random_net('siftflow_32s', 33)
    file = tmp_path / 'siftflow-fcn32s-heavy.caffemodel'
    file.write_bytes(as_caffemodel(net, [('upscore_sem', 33, 64), ('upscore_geo', 3, 64)]))
    loaded = tinyfcn.load(file)
    assert len(loaded.about['classes']['score_sem']) == 33
    assert loaded.about['classes']['score_geo'] == ['sky', 'horizontal', 'vertical']
    masks = tinyfcn.predict(loaded, np.zeros((40, 50, 3), 'uint8'))
    assert {output: mask.shape for output, mask in masks.items()} == dict(score_sem=(40, 50),
                                                                         score_geo=(40, 50))


def test_heads_of_training_may_be_there_and_nothing_else(tmp_path):
    """GoogLeNet was trained with two more classifiers."""
    net = random_net('googlenet', 5)
    arrays = {**net.params, 'loss1/fc.w': np.zeros((4, 4)), 'loss2/classifier.b': np.zeros(5)}
    np.savez(tmp_path / 'x.npz', **arrays)
    assert tinyfcn.load(tmp_path / 'x.npz').about['build'] == net.about['build']
    np.savez(tmp_path / 'x.npz', **arrays, **{'loss3/extra.w': np.zeros(4)})
    with pytest.raises(ValueError, match='not the weights of(.|\n)*unused +loss3/extra.w'):
        tinyfcn.load(tmp_path / 'x.npz')


# ---- by name -------------------------------------------------------------------------------------

def test_a_name_is_fetched_once_and_then_found(publish, capfd):
    net = random_net('fcn_resnet50', 21)
    here = publish('fcn_resnet50', net)
    loaded = tinyfcn.pretrained('fcn_resnet50')
    assert (scores(loaded) == scores(net)).all() and here.cached.exists()
    assert loaded.about['classes'] == CLASSES and loaded.about['preprocess'] == TORCH
    out, err = capfd.readouterr()
    assert not out and [line.partition(':')[0] for line in err.splitlines()[-2:]] == [
        'licence', 'cite']
    for again in tinyfcn.load('fcn_resnet50'), tinyfcn.pretrained('fcn_resnet50'):
        assert (scores(again) == scores(net)).all()
    assert capfd.readouterr() == ('', '') and len(here.server.requests) == 1
    arrays, about = weights.read('fcn_resnet50')
    assert about['source'] == 'FCN on ResNet-50 of torchvision' and 'classifier/4.w' in arrays


def test_the_published_file_itself_is_known_by_its_name(publish):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    assert tinyfcn.load(here.own).about['classes'] == CLASSES
    assert not here.server.requests


def test_a_published_file_that_was_converted_is_known_too(publish, capsys):
    here = publish('fcn_resnet50', random_net('fcn_resnet50', 21))
    assert main(['weights', 'convert', str(here.own)]) == 0
    assert 'written' in capsys.readouterr().out
    net = tinyfcn.load(here.own.with_suffix('.safetensors'))
    assert net.about['classes'] == CLASSES and net.about['shorter_side'] == 520


def test_a_net_of_another_name_with_the_same_layers(publish):
    """The file of NYUDv2's 40 classes has the names of fcn32s; the table knows what it is."""
    net = random_net('fcn32s', 40)
    here = publish('nyud-fcn32s-color-heavy', net, 'nyud-fcn32s-color-heavy.pth')
    row = SOURCES['nyud-fcn32s-color-heavy']._replace(net='nyud_rgb_32s')
    SOURCES['nyud-fcn32s-color-heavy'] = row
    loaded = tinyfcn.load(here.own)
    assert loaded.about['build']['name'] == 'nyud_rgb_32s'
    assert loaded.about['classes'][:2] == ['wall', 'floor']


def test_every_row_of_the_table_says_a_net_with_its_classes():
    for name, row in SOURCES.items():
        net = build(row.net, row.n_class, seed=None, width=1/64)
        classes = PUBLISHED_CLASSES.get(row.n_class)
        if classes is None:
            assert row.n_class == 60, name              # PASCAL-Context
            continue
        counts = ({output: len(of_output) for output, of_output in classes.items()}
                  if isinstance(classes, dict) else {'score': len(classes)})
        assert counts == {output: net[output].channels for output in net.outputs(train=False)}


def test_a_file_of_that_name_takes_precedence(publish, tmp_path, monkeypatch, capfd):
    here = publish('squeezenet', random_net('squeezenet', 3))
    monkeypatch.chdir(tmp_path)
    find._log_name_clash.cache_clear()
    (tmp_path / 'squeezenet').mkdir()
    build('tiny_8s', 3, width=1/8).save('squeezenet/best.safetensors')
    for _ in range(2):
        assert tinyfcn.load('squeezenet').about['build']['name'] == 'tiny_8s'
    assert re.fullmatch('squeezenet is the name of pretrained weights and of a file or folder '
                        'here, which is used: .*\n', capfd.readouterr().err)
    assert tinyfcn.pretrained('squeezenet').about['build']['name'] == 'squeezenet'
    assert len(here.server.requests) == 1


@pytest.mark.parametrize('name, hint', [
    ('sqeezenet', 'did you mean squeezenet, squeezenet1_1'),
    ('fcn8s', 'did you mean fcn8s-heavy-pascal, ')])
def test_a_wrong_name_is_answered_with_near_ones(name, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'^{name}: no such file or folder, and no weights '
                                                f"are called '{name}'; {hint}"):
        tinyfcn.load(name)
    with pytest.raises(ValueError, match=f"^no weights are called '{name}'; {hint}"):
        tinyfcn.pretrained(name)


@pytest.mark.parametrize('path', ['runs/squeezenet', 'squeezenet.npz'])
def test_a_path_is_no_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'^{path}: no such file; give a file of weights, '
                                                f'the folder of a run, or a name that'):
        tinyfcn.load(path)


def test_offline_the_error_says_which_file_to_put_where(publish):
    here = publish('squeezenet', random_net('squeezenet', 3))
    here.server.behaviours[here.own.name] = ['404']
    with pytest.raises(OSError, match='squeezenet-small.pth could not be fetched(.|\n)*'
                                      'tinyfcn weights get squeezenet --from squeezenet-small.pth'):
        tinyfcn.pretrained('squeezenet')
    assert not here.cached.exists()
