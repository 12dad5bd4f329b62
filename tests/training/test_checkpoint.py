"""The state of a run: written whole or not at all, and read back bit for bit."""
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from training_samples import bits, make_recipe, small_dataset, small_net

import tinyfcn
from tinyfcn import build, weights
from tinyfcn.files import FormatError
from tinyfcn.runtime.machine import machine_info
from tinyfcn.training import checkpoint, make_optimizer, train
from tinyfcn.weights.safetensors_file import weights_only

RNG = np.random.default_rng(4)


def train_three_steps(optimizer='sgd', dtype='float32'):
    """-> a net with running statistics, and an optimizer that has a memory"""
    net = small_net(dtype, norm=True)
    recipe = make_recipe(optimizer=optimizer, steps=3)
    made = make_optimizer(recipe)
    for _ in train(net, small_dataset(), recipe, made):
        pass
    return net, made


def save_trained(path, optimizer='sgd', dtype='float32'):
    net, made = train_three_steps(optimizer, dtype)
    checkpoint.save(path, {**net.params, **net.state}, made.memory, dict(step=3))
    return net, made


# ---- saving and loading --------------------------------------------------------------------------

@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('optimizer', ['sgd', 'adam'])
def test_everything_is_read_back_bit_for_bit(tmp_path, optimizer, dtype):
    net, made = save_trained(tmp_path / 'a.safetensors', optimizer, dtype)
    arrays, memory, about = checkpoint.load(tmp_path / 'a.safetensors')
    assert {name: w.tobytes() for name, w in arrays.items()} == bits(net)
    assert {w.dtype.name for w in arrays.values()} == {dtype}
    assert memory.keys() == made.memory.keys()
    for kind, values in made.memory.items():
        assert memory[kind].keys() == values.keys() == net.params.keys()
        for name, value in values.items():
            if kind == 'count':
                assert type(memory[kind][name]) is int and memory[kind][name] == value == 3
            else:
                assert memory[kind][name].tobytes() == value.tobytes()
                assert memory[kind][name].shape == value.shape
    assert about == dict(step=3, machine=machine_info())


def test_names_may_have_a_slash(tmp_path):
    net = build('fcn_squeezenet_16s', width=1/16)
    memory = dict(velocity={name: RNG.standard_normal(w.shape) for name, w in net.params.items()})
    checkpoint.save(tmp_path / 'a.safetensors', net.params, memory, {})
    loaded = checkpoint.load(tmp_path / 'a.safetensors')
    assert loaded.weights.keys() == net.params.keys() == loaded.memory['velocity'].keys()
    assert any('/' in name for name in loaded.weights)


def test_arrays_of_a_checkpoint_are_writable(tmp_path):
    save_trained(tmp_path / 'a.safetensors')
    loaded = checkpoint.load(tmp_path / 'a.safetensors')
    for w in (*loaded.weights.values(), *loaded.memory['velocity'].values()):
        w += 1


# ---- as a file of weights ------------------------------------------------------------------------

def save_checkpoint_of(path, name='fcn_squeezenet_16s'):
    net = build(name, n_class=3, width=1/16)
    memory = dict(velocity={key: np.ones_like(w) for key, w in net.params.items()})
    about = dict(net.about, seed=0, frozen=[], run=dict(step=5))
    checkpoint.save(path, net.params, memory, about)
    return net


def test_a_checkpoint_is_a_file_of_weights_too(tmp_path):
    path = tmp_path / 'a.safetensors'
    net = save_checkpoint_of(path)
    assert bits(tinyfcn.load(path)) == bits(net)
    arrays, about = weights.read(path)
    assert {name: w.tobytes() for name, w in arrays.items()} == bits(net)
    assert about['source'] == 'tinyfcn'
    finer = build('fcn_squeezenet_8s', n_class=3, width=1/16)
    assert not weights.transplant(finer, arrays).unused


def test_weights_only_leaves_out_the_memory_of_the_optimizer():
    assert weights_only({'conv.w': 1, '~velocity/conv.w': 2, 'a~b.w': 3, '~': 4}) == {
        'conv.w': 1, 'a~b.w': 3}


def test_a_file_of_weights_is_not_a_checkpoint(tmp_path):
    path = tmp_path / 'a.safetensors'
    small_net().save(path)
    name = re.escape(str(path))
    with pytest.raises(FormatError, match=f'{name} has weights, but no state of a run to resume; '
                                          f'start a new run from them with --weights {name}'):
        checkpoint.load(path)


def test_a_checkpoint_saved_again_as_a_net_is_none_any_more(tmp_path):
    """It has lost its momentum, so no run may resume from it."""
    save_checkpoint_of(tmp_path / 'run.safetensors')
    tinyfcn.load(tmp_path / 'run.safetensors').save(tmp_path / 'net.safetensors')
    with pytest.raises(FormatError, match='net.safetensors has weights, but no state'):
        checkpoint.load(tmp_path / 'net.safetensors')


# ---- where it was written ------------------------------------------------------------------------

def test_differences_of_the_machine_are_listed(tmp_path):
    save_trained(tmp_path / 'a.safetensors')
    about = checkpoint.load(tmp_path / 'a.safetensors').about
    assert checkpoint.machine_differences(about) == []
    about['machine'].update(numpy='1.0', blas_kernel='Prescott')
    about['machine']['threads'] = 77
    del about['machine']['cpu']
    about['machine']['gpu'] = 'one'
    now = machine_info()
    assert checkpoint.machine_differences(about) == [
        f'blas_kernel was Prescott and is {now["blas_kernel"]}',
        f'cpu was None and is {now["cpu"]}', 'gpu was one and is None',
        f'numpy was 1.0 and is {now["numpy"]}', f'threads was 77 and is {now["threads"]}']


# ---- damaged files -------------------------------------------------------------------------------

def test_a_damaged_checkpoint_is_rejected(tmp_path):
    path = tmp_path / 'a.safetensors'
    save_trained(path)
    intact = path.read_bytes()
    for at in {0, 7, 8, 100, *range(0, len(intact), 211), len(intact) - 1}:
        flipped = bytearray(intact)
        flipped[at] ^= 16
        for damaged in bytes(flipped), intact[:at]:
            path.write_bytes(damaged)
            with pytest.raises(FormatError, match='a.safetensors: '):
                checkpoint.load(path)


# ---- a disk that is full, or read-only -----------------------------------------------------------

SAVE = '''
import resource, signal, sys
import numpy as np
from tinyfcn.training import checkpoint
if int(sys.argv[2]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    checkpoint.save(sys.argv[1], {'a.w': np.ones(200_000)}, {}, {})
except OSError as error:
    print(error)
'''


def save_error(path, limit=0):
    """The error of saving 1.6 MB, in a process that may write files of `limit` bytes."""
    result = subprocess.run([sys.executable, '-c', SAVE, str(path), str(limit)], text=True,
                            capture_output=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def assert_unchanged(path, before):
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]
    checkpoint.load(path)


@pytest.mark.parametrize('limit', [4096, 1_000_000])
def test_a_disk_that_becomes_full_leaves_the_file_unchanged(tmp_path, limit):
    """The limit on a file's size stops a write where a full disk would."""
    path = tmp_path / 'a.safetensors'
    save_trained(path)
    before = path.read_bytes()
    error = save_error(path, limit)
    assert_unchanged(path, before)
    assert 'File too large' in error and str(path) in error


@contextmanager
def mounted(folder, options):
    """A tmpfs of its own; skips where this process may not mount one."""
    folder.mkdir()
    if os.name != 'posix' or not shutil.which('mount') or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'tinyfcn-test', str(folder)],
            capture_output=True).returncode:
        pytest.skip('a small or read-only disk needs the right to mount one')
    try:
        yield folder
    finally:
        subprocess.run(['umount', str(folder)], check=True)


def test_a_full_disk_leaves_the_file_unchanged(tmp_path):
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'a.safetensors'
        save_trained(path)
        before = path.read_bytes()
        error = save_error(path)
        assert_unchanged(path, before)
        assert 'No space left on device' in error and str(path) in error


def test_a_read_only_disk_leaves_the_file_unchanged(tmp_path):
    """Root may write into a folder of any mode, but not onto a read-only disk."""
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'a.safetensors'
        save_trained(path)
        before = path.read_bytes()
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        error = save_error(path)
        assert_unchanged(path, before)
        assert 'Read-only file system' in error and str(path) in error and '.tmp' not in error


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0,
                    reason='root may write into any folder')
def test_a_read_only_folder_leaves_the_file_unchanged(tmp_path):
    path = tmp_path / 'a.safetensors'
    save_trained(path)
    before = path.read_bytes()
    tmp_path.chmod(0o555)
    try:
        error = save_error(path)
    finally:
        tmp_path.chmod(0o755)
    assert_unchanged(path, before)
    assert 'Permission denied' in error and str(path) in error and '.tmp' not in error


def test_a_folder_that_does_not_exist(tmp_path):
    error = save_error(tmp_path / 'nowhere/a.safetensors')
    assert str(tmp_path / 'nowhere/a.safetensors') in error and '.tmp' not in error


# ---- temporary files of a killed process ---------------------------------------------------------

def test_temporary_files_of_dead_processes_are_removed_and_of_living_ones_kept(tmp_path):
    path = tmp_path / 'a.safetensors'
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    with subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE) as living:
        of_dead = tmp_path / f'.a.safetensors.{dead.pid}.tmp'
        of_living = tmp_path / f'.a.safetensors.{living.pid}.tmp'
        of_other_file = tmp_path / f'.b.safetensors.{dead.pid}.tmp'
        without_pid = tmp_path / '.a.safetensors.old.tmp'
        for temporary in of_dead, of_living, of_other_file, without_pid:
            temporary.touch()
        save_trained(path)
        assert not of_dead.exists()
        assert of_living.exists() and of_other_file.exists() and without_pid.exists()
        checkpoint.load(path)
        living.communicate(b'\n')


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / 'real').mkdir()
    link = tmp_path / 'last.safetensors'
    real = tmp_path / 'real/a.safetensors'
    save_trained(real)
    link.symlink_to(real)
    with pytest.raises(ValueError, match='last.safetensors: a link'):
        save_trained(link, dtype='float64')
    assert link.is_symlink()
    assert checkpoint.load(real).weights['conv1.w'].dtype == 'float32'
    assert [path.name for path in real.parent.iterdir()] == ['a.safetensors']
