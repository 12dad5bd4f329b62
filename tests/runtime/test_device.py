"""A GPU that is asked for and is not there is an error with the remedy, never the CPU instead."""
import numpy as np
import pytest
from training_samples import net

from tinyfcn import build, fit
from tinyfcn.cli import main
from tinyfcn.runtime.backend import on_host, to_device_of, to_numpy
from tinyfcn.runtime.gpu import gpu_status, limit_gpu_memory, nccl, precision, to_gpu

X = np.arange(6.).reshape(2, 3)
LAYER, FINE, _ = gpu_status()[-1]
without = pytest.mark.skipif(FINE, reason='a GPU computes here')


@without
@pytest.mark.parametrize('ask', [
    lambda: to_gpu(X), lambda: net().to('gpu'), lambda: fit(net(), None, 'folder', device='gpu'),
    lambda: limit_gpu_memory('50%'), lambda: nccl(), lambda: precision('tf32').__enter__()])
def test_no_gpu_is_an_error_that_says_which_layer_failed(ask):
    with pytest.raises(OSError, match=f'no GPU computes here, for its {LAYER} fails: .+: '):
        ask()


@without
@pytest.mark.parametrize('words', [
    'demo --device gpu', 'train shapes-8s --device gpu --set start=None',
    'train shapes-8s --set start=None --gpu-memory 50% --device gpu'])
def test_on_the_command_line_too(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f'tinyfcn: no GPU computes here, for its {LAYER} fails')
    assert 'Without a GPU: --device cpu' in err and not any(tmp_path.iterdir())


@pytest.mark.parametrize('words, says', [
    ('demo --precision tf32', '--precision and --gpu-memory are for a GPU: --device gpu'),
    ('demo --device tpu', "invalid choice: 'tpu'"),
    ('demo --gpu-memory lots', "'lots': bytes, as in 20e9, or a share, as in 50%")])
def test_what_makes_no_sense_is_refused(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        assert main(words.split()) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert says in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_names_that_are_none():
    with pytest.raises(ValueError, match="device is 'cuda': 'cpu' or 'gpu'"):
        net().to('cuda')
    with pytest.raises(ValueError, match="precision is 'half': 'float32' or 'tf32'"):
        precision('half').__enter__()


def test_on_the_host_nothing_is_moved_or_copied():
    n = build('tiny_8s', 3)
    before = dict(n.params)
    assert n.to('cpu') is n and all(n.params[name] is w for name, w in before.items())
    assert n.bring(X) is X and to_device_of(X, X) is X and to_numpy(X) is X and to_numpy(3) == 3
    assert on_host(X, X) and on_host()


def test_too_little_memory_is_told_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr('tinyfcn.runtime.machine.machine', lambda: np.empty(1 << 50))
    assert main(['doctor']) == 2
    assert 'not enough memory: Unable to allocate' in capsys.readouterr().err
