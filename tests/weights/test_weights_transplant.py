"""Which arrays are copied into a net, which are not, and what the report says."""
from types import SimpleNamespace

import numpy as np
import pytest
from weights_samples import floats

import tinyfcn
from tinyfcn.weights import transplant


def net_of(dtype='float32', **shapes):
    return SimpleNamespace(params={name.replace('_w', '.w').replace('_b', '.b'):
                                   np.zeros(shape, dtype) for name, shape in shapes.items()})


def test_weights_are_copied_by_name_in_place_and_cast():
    net = net_of('float64', conv_w=(4, 3, 3, 3), conv_b=4, score_w=(2, 4, 1, 1))
    w = net.params['conv.w']
    arrays = {'conv.b': floats(4), 'conv.w': floats(4, 3, 3, 3),
              'fc8.w': floats(9)}
    report = transplant(net, arrays)
    assert net.params['conv.w'] is w and w.dtype == 'float64'
    np.testing.assert_array_equal(w, arrays['conv.w'])
    np.testing.assert_array_equal(net.params['conv.b'], arrays['conv.b'])
    assert not net.params['score.w'].any()
    assert report.copied == ['conv.w', 'conv.b'] and report.reshaped == []
    assert report.unused == ['fc8.w'] and report.missing == ['score.w']


def test_an_fc_layer_fills_a_convolution_channel_by_channel():
    net = net_of(fc6_w=(6, 5, 7, 7), fc7_w=(6, 6, 1, 1))
    w = floats(6, 5 * 49)
    report = transplant(net, {'fc6.w': w, 'fc7.w': floats(6, 6)})
    assert report.reshaped == ['fc6.w', 'fc7.w'] and not report.copied
    x = floats(5, 7, 7)
    np.testing.assert_allclose((net.params['fc6.w'] * x).sum((1, 2, 3)), w @ x.ravel(), rtol=1e-4)


def test_a_fourth_channel_is_the_mean_of_the_three():
    net = net_of(conv1_1_w=(4, 4, 3, 3), conv2_w=(4, 4, 3, 3))
    w = floats(4, 3, 3, 3)
    report = transplant(net, {'conv1_1.w': w})
    assert report.reshaped == ['conv1_1.w'] and report.missing == ['conv2.w']
    np.testing.assert_array_equal(net.params['conv1_1.w'][:, :3], w)
    np.testing.assert_allclose(net.params['conv1_1.w'][:, 3], (w[:, 0] + w[:, 1] + w[:, 2]) / 3,
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('box', ['score_fr', 'score', 'fc8', 'conv10', 'loss3/classifier',
                                 'upscore2', 'aux_score'])
def test_a_classifier_for_other_classes_is_unused(box):
    net = SimpleNamespace(params={'conv.w': np.zeros(3), f'{box}.w': np.zeros((40, 8, 1, 1)),
                                  f'{box}.b': np.zeros(40)})
    report = transplant(net, {'conv.w': floats(3), f'{box}.w': floats(21, 8),
                              f'{box}.b': floats(21)})
    assert report.unused == [f'{box}.w', f'{box}.b'] and report.copied == ['conv.w']
    assert not net.params[f'{box}.w'].any() and report.missing == []


def test_running_statistics_are_copied_too():
    net = net_of(bn_w=(3,))
    net.state = {'bn.mean': np.zeros(3, 'float32')}
    assert transplant(net, {'bn.w': floats(3), 'bn.mean': floats(3)}).copied == ['bn.w', 'bn.mean']
    np.testing.assert_array_equal(net.state['bn.mean'], floats(3))


@pytest.mark.parametrize('file, net', [
    ((64, 3, 3, 3), (4, 3, 3, 3)),                      # another width
    ((4, 2, 3, 3), (4, 4, 3, 3)), ((4, 4, 3, 3), (4, 3, 3, 3)), ((4, 3, 5, 5), (4, 4, 3, 3)),
    ((4, 27, 1, 1), (4, 3, 3, 3)), ((3, 36), (4, 3, 3, 3)), ((4, 26), (4, 3, 3, 3)), ((1,), (4,))])
def test_other_shapes_are_refused_and_nothing_is_changed(file, net):
    target = SimpleNamespace(params={'a.w': np.zeros(3), 'conv.w': np.zeros(net)})
    with pytest.raises(ValueError) as error:
        transplant(target, {'a.w': floats(3), 'conv.w': floats(*file)})
    assert f'conv.w is {file} in the file and {net} in the net' in str(error.value)
    assert 'another net, or another width? Nothing was copied' in str(error.value)
    assert not target.params['a.w'].any()


def test_three_channels_into_four_only_at_the_first_convolution():
    with pytest.raises(ValueError, match=r'two.w is \(4, 3, 3, 3\) in the file'):
        transplant(net_of(one_w=(4, 4, 3, 3), two_w=(4, 4, 3, 3)), {'two.w': floats(4, 3, 3, 3)})


def test_every_mismatch_is_named():
    with pytest.raises(ValueError, match=r'a.w is .*; b.w is '):
        transplant(net_of(a_w=(2,), b_w=(3,)), {'a.w': floats(3), 'b.w': floats(2)})


def test_no_common_name():
    net = net_of(conv1_1_w=(4,), conv1_2_w=(4,))
    with pytest.raises(ValueError, match='nothing to copy: the net has conv1_1.w, conv1_2.w …, and '
                                         'the file has conv1_1.weight …; conv1_1.w is perhaps '
                                         'conv1_1.weight; .*`read` in tinyfcn.weights'):
        transplant(net, {'conv1_1.weight': floats(4)})
    with pytest.raises(ValueError, match='the file has nothing …'):
        transplant(net, {})


def test_the_report_is_a_table():
    messages = []
    net = net_of(conv_w=(4, 3, 3, 3), fc6_w=(2, 4, 7, 7), score_w=(21, 2, 1, 1))
    report = transplant(net, {'conv.w': floats(4, 3, 3, 3), 'fc6.w': floats(2, 196),
                              'fc8.w': floats(9, 2)}, messages.append)
    assert messages == [str(report)]
    assert str(report).splitlines() == [
        'copied 1 · reshaped 1 · unused 1 · missing 1',
        '            name                        in the file         in the net',
        '  reshaped  fc6.w                       2 × 196             2 × 4 × 7 × 7',
        '  unused    fc8.w                       9 × 2               –',
        '  missing   score.w                     –                   21 × 2 × 1 × 1']
    assert str(transplant(net, {'conv.w': floats(4, 3, 3, 3), 'fc6.w': floats(2, 196),
                                'score.w': floats(21, 2)})).count('\n') == 3


def test_from_net_to_net():
    """32s → 16s → 8s is one call each; only the new score layer is missing."""
    nets = [tinyfcn.build(name, width=1 / 64, seed=seed)
            for seed, name in enumerate(['fcn32s', 'fcn16s', 'fcn8s'])]
    for coarse, fine, new in zip(nets, nets[1:], ('score_pool4', 'score_pool3')):
        report = transplant(fine, coarse.params)
        assert report.copied == [*coarse.params] and report.unused == report.reshaped == []
        assert report.missing == [f'{new}.w', f'{new}.b']
        for name, w in coarse.params.items():
            np.testing.assert_array_equal(fine.params[name], w)
