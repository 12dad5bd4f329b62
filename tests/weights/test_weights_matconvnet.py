"""Files as MatConvNet's importers leave them, written by SciPy, fill the nets they came from."""
import numpy as np
import pytest
from scipy.io import savemat
from weights_samples import (
    VOC_AVERAGE,
    as_hwio,
    bilinear_kernel,
    dagnn_layers,
    dagnn_of,
    floats,
    meta,
)

import tinyfcn
from tinyfcn import weights
from tinyfcn.weights import FormatError, matconvnet
from tinyfcn.weights.layouts import VGG

CLASSES = ['background', *(f'class {i}' for i in range(20))]
SMALL = [('conv1', 'Conv', [floats(3, 2, 4, 5), floats(5, 1)]), ('relu1', 'ReLU', []),
         ('bn1', 'BatchNorm', [floats(5, 1), floats(5, 1), floats(5, 2)]),
         ('fc', 'Conv', [floats(1, 1, 5, 2)])]


@pytest.fixture
def write(tmp_path):
    def write(compressed=False, **variables):
        savemat(tmp_path / 'x.mat', variables, do_compression=compressed, oned_as='column')
        return tmp_path / 'x.mat'
    return write


def random_net(name, **kwargs):
    net = tinyfcn.build(name, width=1 / 32, **kwargs)
    for i, (key, w) in enumerate(net.params.items()):
        w[...] = floats(*w.shape, seed=i) * (.1 if key.endswith('.w') else 1)
    return net


@pytest.mark.parametrize('compressed', [False, True])
@pytest.mark.parametrize('name, ups', [
    ('fcn32s', dict(upscore=64)), ('fcn16s', dict(upscore2=4, upscore16=32)),
    ('fcn8s', dict(upscore2=4, upscore_pool4=4, upscore8=16))])
def test_the_nets_of_the_first_paper(write, name, ups, compressed):
    net = random_net(name)
    upsampling = {box: bilinear_kernel(21, k) for box, k in ups.items()}
    path = write(compressed, **dagnn_layers(dagnn_of(net.params, upsampling)),
                 meta=meta(classes=CLASSES))
    arrays, about = weights.read(path)
    assert about['format'] == 'matconvnet' and about['classes'] == CLASSES
    assert about['preprocess'] == dict(order='RGB', scale=1., mean=tuple(VOC_AVERAGE),
                                       std=(1., 1., 1.))
    assert about['build'] == dict(name=name, n_class=21, channels=3, width=1 / 32)
    assert [*about['bilinear'].values()] == [(k, k) for k in ups.values()]
    filled = tinyfcn.build(**about['build'], seed=None)
    report = weights.transplant(filled, arrays)
    assert not report.missing and not report.unused
    image = floats(1, 3, 40, 56)
    np.testing.assert_array_equal(filled.forward(image), net.forward(image))


def test_learned_upsampling_is_kept_and_the_net_learns_it(write):
    net = random_net('fcn8s', up='learned')
    arrays, about = weights.read(write(**dagnn_layers(dagnn_of(net.params)), meta=meta()))
    assert about['build']['up'] == 'learned' and 'bilinear' not in about
    filled = tinyfcn.build(**about['build'], seed=None)
    report = weights.transplant(filled, arrays)
    assert not report.missing and not report.unused
    image = floats(1, 3, 33, 47)
    np.testing.assert_array_equal(filled.forward(image), net.forward(image))


@pytest.mark.parametrize('average', [
    VOC_AVERAGE, VOC_AVERAGE.reshape(1, 1, 3), np.broadcast_to(VOC_AVERAGE, (9, 7, 3)),
    np.arange(3, dtype='uint8')])
def test_the_average_may_be_an_image(write, average):
    _, about = matconvnet.load(write(**dagnn_layers(SMALL), meta=meta(average)))
    np.testing.assert_allclose(about['preprocess']['mean'], average.reshape(-1, 3).mean(0))


@pytest.mark.parametrize('average', [np.zeros((0, 0)), np.zeros((4, 4)), 'none', 5.])
def test_an_average_of_something_else_is_not_taken(write, average):
    _, about = matconvnet.load(write(**dagnn_layers(SMALL), meta=meta(average)))
    assert 'preprocess' not in about


def test_without_an_average_it_is_not_known_how_images_are_prepared(write):
    """The layers of CaffeNet do not mean blue green red here: MatConvNet's nets see RGB."""
    layers = dagnn_layers([(f'conv{i}', 'Conv', [floats(3, 3, 2, 4), floats(4, 1)])
                           for i in range(1, 6)])
    assert weights.read(write(**layers))[1]['preprocess'] is None
    assert weights.read(write(**layers, meta=meta()))[1]['preprocess']['order'] == 'RGB'


@pytest.mark.parametrize('nested', [False, True], ids=['top', 'net'])
def test_weights_of_all_layers(write, nested):
    variables = dagnn_layers(SMALL)
    arrays, about = matconvnet.load(write(**dict(net=variables) if nested else variables))
    assert about == {}
    assert [*arrays] == ['conv1.w', 'conv1.b', 'bn1.0', 'bn1.1', 'bn1.2', 'fc.w']
    (_, _, (filters, biases)), _, (_, _, norms), (_, _, (last,)) = SMALL
    for name, expected in [('conv1.w', filters.transpose(3, 2, 0, 1)), ('conv1.b', biases[:, 0]),
                           ('bn1.2', norms[2]), ('fc.w', last.transpose(3, 2, 0, 1))]:
        np.testing.assert_array_equal(arrays[name], expected, strict=True)
        assert arrays[name].flags.c_contiguous and arrays[name].flags.writeable


def test_what_matlab_stores_otherwise(write):
    """Whole numbers as integers, and no last axis of one."""
    layers = [('a', 'Conv', [np.ones((3, 3, 4), 'uint8'), np.zeros((0, 0))]),
              ('b', 'Conv', [floats(1, 1).astype('float64')])]
    arrays, _ = matconvnet.load(write(**dagnn_layers(layers)))
    assert [*arrays] == ['a.w', 'b.w']
    assert arrays['a.w'].shape == (1, 4, 3, 3) and arrays['a.w'].dtype == 'float32'
    assert arrays['b.w'].shape == (1, 1, 1, 1) and arrays['b.w'].dtype == 'float64'


@pytest.mark.parametrize('old', [False, True])
def test_vgg_of_simplenn(write, old):
    """imagenet-vgg-verydeep-16.mat, in both ages of the form."""
    net = random_net('vgg16', n_class=7)
    cells = np.empty((1, 18), object)
    for i, box in enumerate([*VGG, 'fc6', 'fc7', 'fc8', 'relu', 'prob']):
        layer = dict(name=box, type='conv' if i < 16 else 'softmax')
        if i < 16:
            pair = as_hwio(net.params[f'{box}.w']), net.params[f'{box}.b'][None]
            both = np.empty((1, 2), object)
            both[0] = pair
            layer.update(dict(zip(('filters', 'biases'), pair)) if old else dict(weights=both))
        cells[0, i] = layer
    arrays, about = weights.read(write(layers=cells, meta=meta()))
    assert about['source'] == 'VGG-16 of Caffe' and about['preprocess']['order'] == 'RGB'
    filled = tinyfcn.build(**about['build'], seed=None)
    report = weights.transplant(filled, arrays)
    assert not report.missing and not report.unused
    for name, w in net.params.items():
        np.testing.assert_array_equal(filled.params[name], w)


def test_other_mat_files_are_described(write, tmp_path):
    with pytest.raises(FormatError, match='x.mat: no net of MatConvNet.*it holds label, depth'):
        weights.read(write(label=floats(3, 3), depth=floats(3, 3)))
    variables = dagnn_layers(SMALL)
    with pytest.raises(FormatError, match='it has layers, and no params'):
        weights.read(write(layers=variables['layers']))
    variables['params'] = variables['params'][1:]
    with pytest.raises(FormatError, match=r"use params that it does not have.*\['conv1_filter'\]"):
        weights.read(write(**variables))
    with pytest.raises(FormatError, match='no layer in it has weights'):
        weights.read(write(**dagnn_layers([('relu1', 'ReLU', [])])))
    with pytest.raises(FormatError, match=r"or twice: \['conv1_filter', 'conv1_bias'\]"):
        weights.read(write(**dagnn_layers([SMALL[0], SMALL[0]])))
    with pytest.raises(FormatError, match='has filters of shape'):
        weights.read(write(**dagnn_layers([('a', 'Conv', [floats(1, 1, 1, 1, 2)])])))
    (tmp_path / 'new.mat').write_bytes(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(600))
    with pytest.raises(FormatError, match='new.mat: this is a .mat of MATLAB 7.3.*-v7'):
        weights.read(tmp_path / 'new.mat')
