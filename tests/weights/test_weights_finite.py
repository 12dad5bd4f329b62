"""Weights that are nan or infinite are refused with file and array; `inspect` counts them."""
import numpy as np
import pytest
from PIL import Image
from weights_samples import floats

import tinyfcn
from tinyfcn import weights
from tinyfcn.cli import main
from tinyfcn.training import checkpoint
from tinyfcn.training.run import build_net
from tinyfcn.weights import FormatError, require_finite
from tinyfcn.weights.finite import BLOCK, count_non_finite


@pytest.fixture
def bad_file(tmp_path):
    """A net of which one bias is nan and one infinite, as a diverged training leaves it."""
    net = tinyfcn.build('tiny_32s', n_class=3, width=1/8)
    name = next(name for name, w in net.params.items() if name.endswith('.b') and w.size > 2)
    net.params[name][:2] = np.nan, -np.inf
    net.save(tmp_path / 'bad.safetensors')
    return tmp_path / 'bad.safetensors', name, net.params[name].size


def message_of(bad_file):
    path, name, size = bad_file
    return rf'{path.name}: 2 of the {size} values of {name} are nan or infinite'


def test_every_value_is_looked_at():
    long = np.ones(2 * BLOCK + 3, 'float32')
    for i in 0, BLOCK - 1, BLOCK, long.size - 1:
        bad = long.copy()
        bad[i] = np.inf
        assert count_non_finite({'a': long, 'b': bad, 'c': np.arange(3)}) == {'b': 1}
    assert count_non_finite({'a': np.array(np.nan), 'b': floats(2, 3).T}) == {'a': 1}


def test_the_message_names_the_file_and_an_array():
    arrays = {'a.w': floats(3), 'a.b': np.array([np.nan, 1]), 'b.w': np.array([np.inf])}
    with pytest.raises(FormatError, match=r'x\.pth: 1 of the 2 values of a\.b are nan or infinite '
                                          r'\(arrays with such values: 2\); .*smaller lr'):
        require_finite(arrays, 'x.pth')


def test_load_refuses_them(bad_file):
    with pytest.raises(FormatError, match=message_of(bad_file)):
        tinyfcn.load(bad_file[0])


def test_read_refuses_them_and_read_raw_does_not(bad_file):
    with pytest.raises(FormatError, match=message_of(bad_file)):
        weights.read(bad_file[0])
    assert count_non_finite(weights.read_raw(bad_file[0])[0]) == {bad_file[1]: 2}


def test_a_net_with_weights_from_a_file_refuses_them(bad_file):
    recipe = tinyfcn.training.get_recipe('shapes-32s', net_kwargs=dict(width=1/8))
    with pytest.raises(FormatError, match=message_of(bad_file)):
        build_net(recipe, ('background', 'disc', 'ring'), files={'': bad_file[0]})


def test_a_checkpoint_is_refused_also_for_the_state_of_its_optimizer(tmp_path):
    checkpoint.save(tmp_path / 'a', {'w': floats(2)}, {'velocity': {'w': floats(2)}}, {})
    assert checkpoint.load(tmp_path / 'a').weights.keys() == {'w'}
    weights.save(tmp_path / 'bad', {'w': floats(2), '~velocity/w': np.array([np.nan, 0])},
                 dict(machine={}))
    with pytest.raises(FormatError, match=r'bad: 1 of the 2 values of ~velocity/w are nan'):
        checkpoint.load(tmp_path / 'bad')


def test_inspect_counts_them(bad_file, capsys):
    assert main(['weights', 'inspect', str(bad_file[0])]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if 'not finite' in line]
    assert len(lines) == 2 and lines[0].split()[0] == bad_file[1] and '2 not finite' in lines[0]
    assert '1 array has values that are not finite' in lines[1]


@pytest.mark.parametrize('command', [
    ['eval', 'bad.safetensors', 'shapes'], ['predict', 'bad.safetensors', 'photo.png'],
    ['weights', 'convert', 'bad.safetensors', '-o', 'good.safetensors']], ids=' '.join)
def test_the_commands_refuse_them(bad_file, command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (32, 32)).save('photo.png')
    assert main(command) == 2
    assert 'are nan or infinite' in capsys.readouterr().err
    assert not (tmp_path / 'good.safetensors').exists()
