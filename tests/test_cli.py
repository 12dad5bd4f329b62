"""The frame of the command line: help, exit codes, and a sentence instead of a traceback."""
import subprocess
import sys

import numpy as np
import pytest

from tinyfcn import build, weights
from tinyfcn.cli import main


def tinyfcn(*words):
    return subprocess.run([sys.executable, '-m', 'tinyfcn', *words], capture_output=True, text=True)


def test_the_module_is_the_command():
    ran = tinyfcn('--help')
    assert ran.returncode == 0
    assert all(command in ran.stdout for command in ('demo', 'summary', 'draw', 'weights'))


def test_a_mistake_is_2_and_one_sentence():
    ran = tinyfcn('summary', 'fcn9s')
    assert ran.returncode == 2 and not ran.stdout
    assert ran.stderr.startswith("tinyfcn: no net called 'fcn9s'; there are vgg16")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize('command', ['demo', 'summary', 'draw', 'weights'])
def test_every_command_has_help_and_a_seed(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, '--help'])
    assert stop.value.code == 0 and '--seed' in capsys.readouterr().out


@pytest.mark.parametrize('words', [['dmeo'], [], ['summary'], ['draw', 'fcn8s'],
                                   ['weights', 'eat', 'x'], ['demo', '--seed', 'x']])
def test_words_that_are_no_command(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and 'usage: tinyfcn' in capsys.readouterr().err


@pytest.fixture
def caffe_like(tmp_path):
    """SqueezeNet's weights under their own names, as somebody else would have saved them."""
    net = build('squeezenet', width=1/16, n_class=4)
    arrays = {name.replace('.w', '.weight').replace('.b', '.bias'): w
              for name, w in net.params.items()}
    np.savez(tmp_path / 'theirs.npz', **arrays)
    return tmp_path / 'theirs.npz', net


def test_weights_inspect(caffe_like, capsys):
    path, net = caffe_like
    assert main(['weights', 'inspect', str(path)]) == 0
    said = capsys.readouterr().out
    count = sum(w.size for w in net.params.values())
    assert 'format       npz' in said and f'52 arrays, {count:,} numbers' in said
    assert 'fire2/squeeze1x1.weight' in said and '2×4×1×1' in said


def test_weights_convert(caffe_like, capsys):
    path, net = caffe_like
    assert main(['weights', 'convert', str(path)]) == 0
    said, own = capsys.readouterr().out, path.with_suffix('.safetensors')
    assert 'SqueezeNet v1.1' in said and str(own) in said
    arrays, about = weights.read(own)
    assert about['preprocess']['order'] == 'BGR'
    for name, w in net.params.items():
        np.testing.assert_array_equal(arrays[name], w)
    assert main(['weights', 'convert', str(own)]) == 2
    assert 'is the file itself: name another with -o FILE' in capsys.readouterr().err


def test_what_is_no_file_of_weights(tmp_path, capsys):
    page = tmp_path / 'vgg.caffemodel'
    page.write_text('<html>404</html>')
    assert main(['weights', 'inspect', str(page)]) == 2
    said = capsys.readouterr().err
    assert str(page) in said and 'HTML' in said and 'Traceback' not in said
    assert main(['weights', 'inspect', str(tmp_path / 'nowhere.npz')]) == 2
    assert 'nowhere.npz' in capsys.readouterr().err
