"""Nets of full width in ONNX Runtime: real weights on a real photo, and FCN-8s."""
import json
import os
from pathlib import Path

import numpy as np
import pytest
from export_samples import randomised
from optional_deps import needed

from tinyfcn import build, weights
from tinyfcn.data.images import read_image
from tinyfcn.data.transforms import prepare
from tinyfcn.weights.export import export_net

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))
pytestmark = [pytest.mark.realdata,
              pytest.mark.skipif(not DATA.is_dir(),
                                 reason='TINYFCN_DATA does not name a folder of real data')]


def session(net, path, **kwargs):
    """Export, and open the file in ONNX Runtime. -> the session, the metadata of the file"""
    needed('onnx')
    export_net(net, path, **kwargs)
    runs = needed('onnxruntime').InferenceSession(path, providers=['CPUExecutionProvider'])
    texts = runs.get_modelmeta().custom_metadata_map
    return runs, {key: json.loads(text) for key, text in texts.items()}


def assert_close(score, expected):
    difference = abs(score - expected).max() / max(1, abs(expected).max())
    print(f'largest difference {difference:.1e} of {abs(expected).max():.3g}')
    assert score.shape == expected.shape and difference <= 1e-5


def photos(least, count):
    """Photos with so many pixels on each side."""
    found = (read_image(path) for path in sorted((DATA / 'voc_animals/JPEGImages').glob('*.jpg')))
    large = (photo for photo in found if min(photo.shape[:2]) >= least)
    return [next(large) for _ in range(count)]


@pytest.mark.parametrize('name, file', [
    ('squeezenet', 'squeezenet_v1.1_oihw_fp32.npz'), ('googlenet', 'googlenet_bvlc_oihw_fp32.npz')])
def test_a_trained_classifier_on_photos(tmp_path, name, file):
    """Ten photos as they are, red green blue; the preparation is in the graph."""
    arrays, about = weights.read(DATA / 'weights' / file)
    net = build(name, seed=None)
    assert not weights.transplant(net, arrays).missing
    net.about['preprocess'] = about['preprocess']
    runs, found = session(net, tmp_path / 'net.onnx', with_preprocess=True)
    assert found['preprocess'] == dict(order='RGB', scale=1, mean=[0] * 3, std=[1] * 3)
    for photo in photos(224, 10):
        pixels = photo.transpose(2, 0, 1)[None].astype('float32')
        [score] = runs.run(None, {'image': pixels})
        expected = net.forward(prepare(photo, about['preprocess']))
        assert_close(score, expected)
        assert score.argmax() == expected.argmax()


def test_fcn8s_at_full_width(tmp_path):
    net = randomised(build('fcn8s'))
    x = np.random.default_rng(0).uniform(-100, 100, (1, 3, 120, 160)).astype('float32')
    runs, found = session(net, tmp_path / 'net.onnx')
    [score] = runs.run(None, {'data': x})
    assert_close(score, net.forward(x))
    assert found['net']['name'] == 'fcn8s'
    assert (tmp_path / 'net.onnx').stat().st_size > 4 * 134_362_751
