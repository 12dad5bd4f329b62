"""`tinyfcn demo --with`: a correct function trains, a slow one for fewer steps, a wrong one not."""
import re
from argparse import Namespace

import pytest
from PIL import Image

from tinyfcn.cli import main, own_demo
from tinyfcn.cli.demo import run as run_demo
from tinyfcn.course.own import training

CORRECT = '''
import numpy as np

def max_pool_mine(x, ksize, stride):
    n, c, h, w = x.shape
    oh, ow = (-(-(length - ksize) // stride) + 1 for length in (h, w))
    y = np.empty((n, c, oh, ow))
    for i, j in np.ndindex(oh, ow):
        top, left = i * stride, j * stride
        y[:, :, i, j] = x[:, :, top:top + ksize, left:left + ksize].max((2, 3))
    return y

def conv2d_mine(x, w, b, stride, pad):
    raise NotImplementedError
'''
# zeros beyond the edge: wrong only where all pixels of a window are negative
WRONG = CORRECT.replace('.max((2, 3))', '.max((2, 3), initial=0)')


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """Runs the command with this text as mine.py, for few steps."""
    monkeypatch.setenv('TINYFCN_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(own_demo, 'STEPS', 3)
    for module in own_demo, training:
        monkeypatch.setattr(module, 'N_VAL', 6)

    def run(text):
        (tmp_path / 'mine.py').write_text(text)
        return main(['demo', '--with', str(tmp_path / 'mine.py'), '-o', str(tmp_path / 'out')])
    return run


def test_a_correct_function_trains_and_is_compared(demo, tmp_path, capsys):
    assert demo(CORRECT) == 0
    printed = capsys.readouterr().out
    assert 'mine.py: max_pool passed the checks' in printed
    assert "not written yet, so the library's: conv2d" in printed
    number = r' +([\d.]+)'
    rows = [re.search(rf'^{name}{4 * number}$', printed, re.M).groups()
            for name in ('yours', "the library's")]
    assert rows[0][:3] == rows[1][:3]                   # both losses, and the mean IU
    times = re.search(rf'^max_pool{3 * number}×$', printed, re.M).groups()
    assert min(map(float, times)) > 0
    assert 'conv2d_backward' not in printed
    with Image.open(tmp_path / 'out/own.png') as page:
        assert page.width > 500


def test_with_a_slow_function_fewer_steps_are_trained(demo, monkeypatch, capsys):
    monkeypatch.setattr(own_demo, 'MAX_SECONDS', 1e-6)
    assert demo(CORRECT) == 0
    assert 'so both train for 2 only' in capsys.readouterr().out


def test_a_function_with_a_mistake_trains_nothing(demo, tmp_path, capsys):
    assert demo(WRONG) == 2
    stderr = capsys.readouterr().err
    assert 'max_pool is not correct yet, so it trains nothing' in stderr
    assert 'Beyond the edge you have zeros, which are larger than negative pixels' in stderr
    assert not (tmp_path / 'out').exists()


def test_functions_of_ones_own_do_not_compute_on_a_gpu(tmp_path):
    args = Namespace(own=tmp_path / 'mine.py', output=tmp_path, device='gpu')
    with pytest.raises(ValueError, match='functions of your own compute on the CPU'):
        run_demo(args)
