"""Asking for a GPU that cannot be used is an error with the remedy, never a silent fall-back."""
import numpy as np
import pytest
from training_samples import small_net

from tinyfcn import build, fit
from tinyfcn.cli import main
from tinyfcn.runtime.backend import is_cupy, on_host, to_device_of, to_numpy
from tinyfcn.runtime.gpu import gpu_status, limit_gpu_memory, nccl, precision, to_gpu, use_gpu

X = np.arange(6.).reshape(2, 3)
LAST_CHECK = gpu_status()[-1]
without_gpu = pytest.mark.skipif(LAST_CHECK.ok, reason='a GPU can be used here')


@without_gpu
@pytest.mark.parametrize('use', [
    lambda: to_gpu(X),
    lambda: small_net().to('gpu'),
    lambda: fit(small_net(), None, 'folder', device='gpu'),
    lambda: limit_gpu_memory('50%'),
    lambda: use_gpu(0),
    lambda: nccl(),
    lambda: precision('tf32').__enter__(),
], ids=['to_gpu', 'Net.to', 'fit', 'limit_gpu_memory', 'use_gpu', 'nccl', 'precision'])
def test_without_a_gpu_the_error_names_the_check_that_failed(use):
    with pytest.raises(OSError, match=f'no usable GPU: the {LAST_CHECK.check} check failed: .+: '):
        use()


@without_gpu
@pytest.mark.parametrize('command', [
    'demo --device gpu',
    'train shapes-8s --device gpu --set init_from=None',
    'train shapes-8s --set init_from=None --gpu-memory 50% --device gpu'])
def test_without_a_gpu_a_command_exits_with_2(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith('tinyfcn: ') and LAST_CHECK.check in err
    assert 'Without a GPU: --device cpu' in err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('command, message', [
    ('demo --precision tf32', '--precision and --gpu-memory are for a GPU: --device gpu'),
    ('demo --device tpu', "invalid choice: 'tpu'"),
    ('demo --gpu-memory lots', "'lots': a number of bytes such as 20e9, or a share such as 50%")])
def test_options_that_make_no_sense_are_refused(command, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        assert main(command.split()) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="device is 'cuda'.*'cpu' or 'gpu'"):
        small_net().to('cuda')
    with pytest.raises(ValueError, match="precision is 'half'.*'float32' or 'tf32'"):
        precision('half').__enter__()


def test_on_the_host_nothing_is_moved_or_copied():
    n = build('tiny_8s', 3)
    before = dict(n.params)
    assert n.to('cpu') is n
    assert all(n.params[name] is w for name, w in before.items())
    assert n.bring(X) is X
    assert to_device_of(X, X) is X
    assert to_numpy(X) is X
    assert to_numpy(3) == 3
    assert on_host(X, X)
    assert on_host()
    assert not is_cupy(X)


def test_too_little_memory_is_reported_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr('tinyfcn.cli.doctor.machine_info', lambda: np.empty(1 << 50))
    assert main(['doctor']) == 2
    assert 'not enough memory: Unable to allocate' in capsys.readouterr().err
