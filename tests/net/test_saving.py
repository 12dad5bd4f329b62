"""net.save and tinyfcn.load; staging: 32s to 16s to 8s is one call each."""
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import tinyfcn
from tinyfcn import Net, build, weights
from tinyfcn.layers import batch_norm, conv

RNG = np.random.default_rng(8)


def learned(name, **how):
    """A thin net whose every weight is some random number."""
    net = build(name, width=1/64, **how)
    for w in net.params.values():
        w[...] = RNG.standard_normal(w.shape)
    return net


@pytest.mark.parametrize('name, how', [
    ('fcn8s', {}), ('fcn32s_fixed', dict(n_class=4, seed=7)), ('siftflow_16s', {}),
    ('fcn16s', dict(up='learned', dtype='float64')), ('nyud_rgbd_32s', {}), ('googlenet', {})])
def test_a_saved_net_comes_back_whole(tmp_path, name, how):
    net = learned(name, **how)
    net.about['preprocess'] = dict(order='BGR', scale=1., mean=[104., 117., 123.], std=[1.] * 3)
    net.save(tmp_path / 'net.safetensors')
    twin = tinyfcn.load(tmp_path / 'net.safetensors')
    assert list(twin.boxes) == list(net.boxes) and twin.dtype == net.dtype
    assert (twin.seed, twin.frozen) == (net.seed, net.frozen)
    assert twin.about['preprocess'] == net.about['preprocess']
    for pname, w in net.params.items():
        np.testing.assert_array_equal(twin.params[pname], w)
    twin.save(tmp_path / 'again.safetensors')
    first, again = ((tmp_path / f).read_bytes() for f in ('net.safetensors', 'again.safetensors'))
    assert first == again


def test_any_reader_of_safetensors_reads_it(tmp_path):
    net = learned('fcn32s')
    net.save(tmp_path / 'net.safetensors')
    arrays = load_file(tmp_path / 'net.safetensors')
    assert set(arrays) == set(net.params)
    np.testing.assert_array_equal(arrays['score_fr.w'], net.params['score_fr.w'])


def test_running_statistics_are_saved_too(tmp_path):
    n = Net(2)
    n.conv = conv(n.data, 3, 1)
    n.bn = batch_norm(n.conv)
    n.forward(RNG.standard_normal((2, 2, 5, 5)).astype('float32'), train=True)
    n.save(tmp_path / 'own.safetensors')
    arrays, _ = weights.read(tmp_path / 'own.safetensors')
    np.testing.assert_array_equal(arrays['bn.mean'], n.state['bn.mean'])
    with pytest.raises(ValueError, match='does not say of which net: build the net, then'):
        tinyfcn.load(tmp_path / 'own.safetensors')


def test_weights_that_do_not_fill_the_net_are_refused(tmp_path):
    net = learned('fcn32s')
    del net.params['fc7.b']
    net.save(tmp_path / 'net.safetensors')
    with pytest.raises(ValueError, match=r'(?s)not the weights of .*missing +fc7\.b'):
        tinyfcn.load(tmp_path / 'net.safetensors')


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / 'net.safetensors'
    learned('fcn_squeezenet_16s').save(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    with pytest.raises(weights.FormatError, match='net.safetensors'):
        tinyfcn.load(path)


def test_what_is_about_a_net_is_plain_json():
    assert json.loads(json.dumps(build('fcn8s', seed=None, width=1/64).about)) == {
        'build': dict(name='fcn8s', n_class=21, channels=3, width=1/64)}


def test_staging_is_one_call_each():
    """A finer net begins as the coarser one ended, but for its new and zero score layer."""
    coarse = learned('fcn32s')
    for finer, new in ('fcn16s', 'score_pool4'), ('fcn8s', 'score_pool3'):
        net = build(finer, width=1/64)
        report = weights.transplant(net, coarse.params)
        assert report.missing == [f'{new}.w', f'{new}.b'] and not report.unused
        for name, w in coarse.params.items():
            np.testing.assert_array_equal(net.params[name], w)
        assert not net.params[f'{new}.w'].any()
        coarse = net
