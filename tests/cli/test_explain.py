"""tinyfcn explain: which nets and pictures it takes, and what it refuses."""
import json
import re

import numpy as np
import pytest
from PIL import Image

import tinyfcn
from tinyfcn.cli import main

PREPROCESS = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    net = tinyfcn.build('tiny_8s', n_class=2, width=1 / 8)
    net.about.update(preprocess=PREPROCESS, classes=['<b>', 'cat'])
    path = tmp_path_factory.mktemp('nets') / 'net.safetensors'
    net.save(path)
    return path


def data_of(page):
    return json.loads(re.search(r'id="data">\n(.*)\n', page.read_text('utf-8'))[1])


def test_a_page_of_a_net_and_a_picture(weights, tmp_path, capsys):
    Image.fromarray(np.zeros((400, 640, 3), 'uint8')).save(tmp_path / 'photo.png')
    page = tmp_path / 'page.html'
    assert main(['explain', str(weights), str(tmp_path / 'photo.png'), '-o', str(page)]) == 0
    data = data_of(page)
    assert data['size'] == [200, 320] and data['classes'] == ['<b>', 'cat']
    assert [net['title'] for net in data['nets']] == ['tiny_8s']
    assert '<b>' not in page.read_text('utf-8')
    assert 'open it in a browser' in capsys.readouterr().out


def test_all_nets_of_a_demo(weights, tmp_path):
    for stride in 32, 16, 8:
        folder = tmp_path / f'shapes-{stride}s'
        folder.mkdir()
        (folder / 'best.safetensors').write_bytes(weights.read_bytes())
    page = tmp_path / 'page.html'
    assert main(['explain', str(tmp_path), '-o', str(page)]) == 0
    assert [net['title'] for net in data_of(page)['nets']] == ['FCN-32s', 'FCN-16s', 'FCN-8s']


@pytest.mark.parametrize('arguments, message', [
    ([], 'tinyfcn demo'),
    (['{weights}', '-o', 'page.pdf'], 'is not called .html'),
    (['{weights}', '-o', 'taken.html'], '--overwrite')])
def test_what_is_refused(arguments, message, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'taken.html').write_text('mine')
    assert main(['explain', *(text.format(weights=weights) for text in arguments)]) == 2
    assert message in capsys.readouterr().err
