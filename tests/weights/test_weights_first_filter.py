"""Caffe's VGG-16 is known by its first filters, under any names and in either order of channels."""
import os
from pathlib import Path

import numpy as np
import pytest
from weights_samples import floats

from tinyfcn import build, weights
from tinyfcn.weights import FormatError
from tinyfcn.weights.export.torch_names import state_dict
from tinyfcn.weights.first_filter import BLUE, NORMS, RGB_255, TOP_LEFT, compare_with_caffe
from tinyfcn.weights.layouts import (
    BLOCKS,
    FEATURES,
    NYUD_HHA,
    RGB_NORMALISED,
    VGG,
    VGG_MEAN,
    VOC_MEAN,
    bgr,
    same_names,
)
from tinyfcn.weights.names import to_our_names

BGR = bgr(*VGG_MEAN)
PLAIN = same_names(*VGG)
# the first filter of torchvision's own VGG-16, red green blue, as it is often printed
TORCHVISIONS = [[[-.5537, .1427, .5290], [-.5831, .3566, .7657], [-.6902, -.0480, .4841]],
                [[.1755, .0099, -.0814], [.0441, -.0703, -.2604], [.1324, -.1728, -.1323]],
                [[.3130, -.1659, -.4275], [.4752, -.0827, -.4870], [.6320, .0193, -.2775]]]


def caffe_filters(order='BGR', noise=0., factor=1.):
    """A first layer that has what is known of Caffe's, and random weights elsewhere."""
    w = .2 * floats(64, 3, 3, 3, seed=1)
    for i, corner in TOP_LEFT.items():
        w[i, :, 0, 0] = corner
    w[0, 0] = BLUE
    w = factor * (w + noise * floats(64, 3, 3, 3, seed=2))
    return np.ascontiguousarray(w if order == 'BGR' else w[:, ::-1])


def vgg(names, filters, ends=('.weight', '.bias')):
    """The convolutions of a VGG-16 with this first layer; the others are as small as can be."""
    arrays = {}
    for layer, box in names.items():
        w = filters if box == 'conv1_1' else floats(1, 1, 3, 3)
        arrays |= {f'{layer}{ends[0]}': w, f'{layer}{ends[1]}': floats(len(w))}
    return arrays


def fcn(filters, n_class, ends=('.w', '.b')):
    heads = {name: name for name in ('fc6', 'fc7', 'score_fr')}
    arrays = vgg({**PLAIN, **heads}, filters, ends)
    return {**arrays, f'score_fr{ends[0]}': floats(n_class, 1, 1, 1)}


@pytest.mark.parametrize('order, expected', [('BGR', BGR), ('RGB', RGB_255)])
@pytest.mark.parametrize('noise', [0, .05], ids=['as published', 'fine-tuned'])
@pytest.mark.parametrize('names, source', [
    (FEATURES, 'VGG-16 of Caffe, under the names of torchvision'),
    (PLAIN, 'VGG-16 of Caffe, PyTorch')], ids=['torchvision', 'own names'])
def test_under_the_names_of_pytorch(names, source, noise, order, expected):
    """vgg16-00b39a1b.pth is the first of these, torchvision's IMAGENET1K_FEATURES the second."""
    _, about = to_our_names(vgg(names, caffe_filters(order, noise)))
    assert about == dict(source=source, preprocess=expected)


def test_torchvisions_own_weights_are_told_from_them():
    filters = caffe_filters()
    filters[0] = TORCHVISIONS
    filters[1:] = floats(63, 3, 3, 3)
    _, about = to_our_names(vgg(FEATURES, filters))
    assert about == dict(source='VGG-16 of torchvision', preprocess=RGB_NORMALISED)


@pytest.mark.parametrize('order', ['BGR', 'RGB'])
@pytest.mark.parametrize('names', [BLOCKS, PLAIN], ids=['Keras', 'Caffe'])
def test_the_order_of_the_weights_goes_before_that_of_the_layout(names, order):
    _, about = to_our_names(vgg(names, caffe_filters(order), ('.w', '.b')))
    assert about['preprocess']['order'] == order and about['preprocess']['scale'] == 1
    assert about['preprocess']['mean'] == (VGG_MEAN if order == 'BGR' else VGG_MEAN[::-1])


def test_fcns_of_pytorch_are_prepared_as_in_caffe_if_their_weights_are_caffes():
    ends = '.weight', '.bias'
    assert to_our_names(fcn(caffe_filters(), 21, ends))[1]['preprocess'] == bgr(*VOC_MEAN)
    _, about = to_our_names(fcn(caffe_filters('RGB'), 21, ends))
    assert about['preprocess'] == dict(bgr(*VOC_MEAN[::-1]), order='RGB')
    for filters in floats(64, 3, 3, 3), floats(4, 3, 3, 3):     # of someone's own training
        assert to_our_names(fcn(filters, 21, ends))[1]['preprocess'] is None


@pytest.mark.parametrize('arrays', [
    lambda filters: fcn(filters, 21), lambda filters: vgg(PLAIN, filters, ('.w', '.b'))],
    ids=['FCN', 'VGG-16'])
def test_names_of_caffe_in_an_npz_are_no_evidence_of_its_images(tmp_path, arrays):
    """It may be a net of tinyfcn, trained on RGB, in the form of `tinyfcn export`."""
    np.savez(tmp_path / 'x.npz', **arrays(floats(64, 3, 3, 3)))
    assert weights.read(tmp_path / 'x.npz')[1]['preprocess'] is None
    np.savez(tmp_path / 'x.npz', **arrays(caffe_filters()))
    assert weights.read(tmp_path / 'x.npz')[1]['preprocess']['order'] == 'BGR'


@pytest.mark.parametrize('file_format, names, ends', [
    ('keras', BLOCKS, ('.w', '.b')), ('npz', PLAIN, ('_W', '_b')),
    ('matconvnet', PLAIN, ('.w', '.b'))], ids=['Keras', 'Frossard', 'MatConvNet'])
@pytest.mark.parametrize('filters, order', [
    (caffe_filters(), 'BGR'), (caffe_filters('RGB', noise=.05), 'RGB'),
    (floats(64, 3, 3, 3), None)], ids=['as published', 'fine-tuned', 'of another training'])
def test_converted_weights_of_another_training_do_not_show_their_images(
        file_format, names, ends, filters, order):
    arrays = vgg(names, filters, ends)
    if file_format == 'npz':                            # as TensorFlow has them
        arrays = {name: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for name, w in arrays.items()}
    preprocess = to_our_names(arrays, about=dict(format=file_format))[1]['preprocess']
    assert (preprocess and preprocess['order']) == order


def test_hha_is_no_colour_and_keeps_its_order():
    arrays = fcn(caffe_filters(), 40)
    assert to_our_names(arrays)[1]['preprocess'] is None
    _, about = to_our_names(arrays, 'nyud-fcn32s-hha-heavy')
    assert about['preprocess'] == dict(order='RGB', scale=1., mean=NYUD_HHA, std=(1., 1., 1.))
    assert to_our_names(arrays, 'nyud-fcn32s-color-heavy')[1]['preprocess']['order'] == 'BGR'


@pytest.mark.parametrize('factor', [255., 1 / 255, 1 / 58])
def test_a_first_layer_for_another_range_is_refused(factor):
    with pytest.raises(FormatError, match='scaled for another range.*`read_raw`'):
        to_our_names(vgg(FEATURES, caffe_filters(factor=factor)))


def test_normalised_vggs_of_caffe_are_small_and_for_its_images():
    """vgg_normalised.caffemodel, whose layers were divided by their mean outputs."""
    filters = caffe_filters() / (20 + 40 * abs(floats(64, 1, 1, 1)))
    _, about = to_our_names(vgg(PLAIN, filters, ('.w', '.b')))
    assert about['preprocess'] == BGR
    assert to_our_names(vgg(PLAIN, filters))[1]['preprocess'] is None       # of PyTorch
    with pytest.raises(FormatError, match='scaled for another range'):
        to_our_names(vgg(PLAIN, 255 * caffe_filters(), ('.w', '.b')))


@pytest.mark.parametrize('factor', [.3, 4.])
def test_a_factor_in_the_middle_is_refused(factor):
    with pytest.raises(FormatError, match=rf"resembles that of Caffe's VGG-16 \(cosine 1.00, "
                                          rf'{factor:.3g} times as large\).*`read_raw`'):
        to_our_names(vgg(FEATURES, caffe_filters(factor=factor)))


def test_a_likeness_in_the_middle_is_refused():
    """Between fine-tuning and another net: where the images are not clear, that is said."""
    noise = next(noise for noise in np.arange(.1, 1, .01)
                 if .8 < compare_with_caffe(caffe_filters(noise=noise)).cosine < .85)
    arrays = vgg(FEATURES, caffe_filters(noise=noise))
    with pytest.raises(FormatError, match=r"resembles that of Caffe's VGG-16 \(cosine 0\.8\d, "):
        to_our_names(arrays)
    _, about = to_our_names(vgg(PLAIN, caffe_filters(noise=noise), ('.w', '.b')))
    assert about['preprocess'] == BGR                   # Caffe's names leave nothing open


def test_random_first_layers_are_never_taken_for_caffes():
    likenesses = [compare_with_caffe(floats(64, 3, 3, 3, seed=seed)).cosine for seed in range(300)]
    assert max(likenesses) < .75
    assert compare_with_caffe(floats(64, 4, 3, 3)) and not compare_with_caffe(floats(64, 3, 5, 5))


@pytest.mark.parametrize('factor, is_refused', [(1, False), (2, False), (58, True)])
def test_a_resnet_of_caffe_is_known_by_its_batch_norm(factor, is_refused):
    """Images of a range 58 times as large, 0 … 255 less the mean, have a variance of 58² times."""
    net = build('resnet50', width=1 / 8)
    images = np.repeat(np.repeat(floats(4, 3, 9, 9), 7, 2), 7, 3)       # smooth, as photos are
    net.state['bn1.var'][...] = net.forward(factor * images, until='conv1').var((0, 2, 3))
    arrays = state_dict(net)
    if is_refused:
        with pytest.raises(FormatError, match='conv1, was trained on images with values of 6'):
            to_our_names(arrays)
    else:
        assert to_our_names(arrays)[1]['preprocess'] == RGB_NORMALISED


@pytest.mark.parametrize('values', [0., np.nan, np.inf])
def test_odd_values_pass_and_are_judged_elsewhere(values):
    filters = np.full((64, 3, 3, 3), values, 'float32')
    assert to_our_names(vgg(FEATURES, filters))[1]['preprocess'] == RGB_NORMALISED


# ---- Real weights

@pytest.mark.realdata
@pytest.mark.parametrize('file, box', [
    ('squeezenet_v1.1_oihw_fp32.npz', 'conv1'), ('googlenet_bvlc_oihw_fp32.npz', 'conv1/7x7_s2'),
    ('alexnet_torchvision_conv_oihw_fp32.npz', 'conv1')])
def test_the_size_of_real_first_layers_does_not_tell_their_images(file, box):
    """Of two nets for 0 … 255 and one for normalised images, whose inputs differ by 60 times."""
    if 'TINYFCN_DATA' not in os.environ:
        pytest.skip('TINYFCN_DATA names no folder of real data')
    arrays, _ = weights.read(Path(os.environ['TINYFCN_DATA']) / 'weights' / file)
    w = arrays[f'{box}.w']
    norm = np.median(np.linalg.norm(w.reshape(len(w), -1), axis=1))
    print(f'{file}: {norm:.2f}')
    assert 1.3 < norm < 2.4
    assert 10 * NORMS[0] < norm < NORMS[1] / 10
