"""`tinyfcn export`: what it writes, what it prints, and what it refuses."""
import io
import sys

import numpy as np
import pytest
from export_samples import CAFFE, TORCH, sample
from local_mirror import Row

from tinyfcn import weights
from tinyfcn.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(net, *arguments) -> exit code, stdout, stderr; the net is saved in run/ first"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'run').mkdir()

    def export(net, *arguments):
        net.save('run/best.safetensors')
        code = main(['export', 'run', *arguments])
        captured = capsys.readouterr()
        assert 'Traceback' not in captured.err
        return code, captured.out.splitlines(), captured.err
    return export


def test_a_state_dict(run, tmp_path):
    code, out, err = run(sample('fcn8s', CAFFE), '-o', 'new/folder/net.pth')
    assert code == 0 and not err
    size = (tmp_path / 'new/folder/net.pth').stat().st_size
    assert out == [f'written   new/folder/net.pth, {size / 1e6:.1f} MB',
                   'names     of tinyfcn, with .weight, .bias, .running_mean and .running_var',
                   'images    blue green red 0 … 255, minus (104, 117, 123)']
    assert 'conv1_1.weight' in weights.read_raw('new/folder/net.pth')[0]


def test_a_state_dict_for_torchvision(run):
    net = sample('fcn_resnet50', TORCH)
    net.about['shorter_side'] = 520
    code, out, err = run(net, '-o', 'net.pth')
    assert code == 0 and not err
    assert out[1:] == ['names     FCN on ResNet-50 of torchvision',
                       'images    resized to 520 pixels on the shorter side, red green blue '
                       '0 … 255, times 0.00392157, minus (0.485, 0.456, 0.406), divided by '
                       '(0.229, 0.224, 0.225)']
    assert 'backbone.layer1.0.conv1.weight' in weights.read_raw('net.pth')[0]


def test_weights_that_read_other_images_than_torchvisions(run):
    """A state dict has no place to say it."""
    code, out, err = run(sample('squeezenet', CAFFE), '-o', 'net.pth')
    assert code == 0 and out[-1] == 'images    blue green red 0 … 255, minus (104, 117, 123)'
    assert err.startswith('tinyfcn: SqueezeNet v1.1 of torchvision expects images')


@pytest.mark.parametrize('name', ['net.npz', 'net.safetensors'])
def test_weights_alone(run, name):
    code, out, err = run(sample('tiny_8s'), '-o', name)
    assert code == 0 and not err
    assert [line[:9] for line in out] == ['written  ', 'images   ']
    assert out[-1] == 'images    the net does not say how they are prepared for it'


@pytest.mark.onnx
def test_onnx(run):
    code, out, err = run(sample('tiny_8s', TORCH), '-o', 'net.onnx')
    assert code == 0 and not err
    assert out[1:] == [
        'input     data (batch, 3, height, width), float32',
        'output    score (batch, 5, height, width), float32',
        'images    red green blue 0 … 255, times 0.00392157, minus (0.485, 0.456, 0.406), divided '
        'by (0.229, 0.224, 0.225)']
    code, out, err = run(sample('siftflow_16s', CAFFE), '-o', 'net.onnx', '--size', '40x50',
                         '--with-preprocess')
    assert code == 0 and not err                        # which has replaced the first
    assert out[1:] == ['input     image (batch, 3, 40, 50), float32',
                       'output    score_sem (batch, 33, 40, 50), float32',
                       'output    score_geo (batch, 3, 40, 50), float32',
                       'images    red green blue 0 … 255']


@pytest.mark.parametrize('arguments, message', [
    (['-o', 'net.h5'], 'net.h5: name a file with the suffix .onnx, .pth'),
    (['-o', 'net.pth', '--size', '40x50'], 'net.pth: only an .onnx file has a size'),
    (['-o', 'mine.npz'], 'mine.npz: exists, and was not written by tinyfcn'),
    (['-o', 'run'], 'run: name a file with the suffix')],
    ids=['suffix', 'size', 'not ours', 'folder'])
def test_refusals(run, tmp_path, arguments, message):
    np.savez('mine.npz', a=np.zeros(3))
    before = (tmp_path / 'mine.npz').read_bytes()
    code, out, err = run(sample('tiny_8s'), *arguments)
    assert code == 2 and not out and message in err
    assert (tmp_path / 'mine.npz').read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {'run', 'mine.npz'}


def test_what_is_not_ours_is_replaced_on_request(run):
    np.savez('mine.npz', a=np.zeros(3))
    code, _, _ = run(sample('tiny_8s'), '-o', 'mine.npz', '--overwrite')
    assert code == 0 and 'conv1_1.w' in weights.read_raw('mine.npz')[0]


def test_a_name(run, server, table):
    """As everywhere, it is downloaded once; nothing is, if the file cannot be written."""
    net = sample('squeezenet', n_class=4)
    file = io.BytesIO()
    np.savez(file, **{name.replace('.w', '.weight').replace('.b', '.bias'): w
                      for name, w in net.params.items()})
    table('small', Row(file.getvalue(), mirrors=[server.serve('small.npz', file.getvalue())]))
    assert main(['export', 'small', '-o', 'net.h5']) == 2 and not server.requests
    for _ in range(2):
        assert main(['export', 'small', '-o', 'net.pth']) == 0
    assert len(server.requests) == 1
    found = weights.read('net.pth')[0]
    for name, w in net.params.items():
        np.testing.assert_array_equal(found[name], w)


def test_without_onnx_the_message_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    code, out, err = run(sample('tiny_8s'), '-o', 'net.onnx')
    assert code == 2 and not out and "pip install 'tinyfcn[onnx]'" in err
    assert not (tmp_path / 'net.onnx').exists()


def test_a_file_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['export', 'runs/my', '-o', 'net.npz']) == 2
    assert 'runs/my' in capsys.readouterr().err and not [*tmp_path.iterdir()]
