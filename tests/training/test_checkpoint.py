"""The state of a run, written whole or not at all, and read back to the last bit."""
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from training_samples import bits, net, pictures, recipe

import tinyfcn
from tinyfcn import build, weights
from tinyfcn.runtime.machine import machine_info
from tinyfcn.training import checkpoint
from tinyfcn.training.loop import make_optimizer, train
from tinyfcn.weights import safetensors_file as storage

RNG = np.random.default_rng(4)


def trained(adam=False, dtype='float32'):
    """A net with running statistics, and an optimiser that remembers three steps."""
    n, kwargs = net(dtype, norm=True), recipe(adam=adam, steps=3)
    optimizer = make_optimizer(kwargs)
    for _ in train(n, pictures(), kwargs, optimizer):
        pass
    return n, optimizer


def saved(path, adam=False, dtype='float32', **about):
    n, optimizer = trained(adam, dtype)
    checkpoint.save(path, {**n.params, **n.state}, optimizer.memory, dict(step=3, **about))
    return n, optimizer


# ---- there and back ------------------------------------------------------------------------------

@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('adam', [False, True], ids=['SGD', 'Adam'])
def test_everything_comes_back_to_the_last_bit(tmp_path, adam, dtype):
    n, optimizer = saved(tmp_path / 'a.safetensors', adam, dtype)
    arrays, memory, about = checkpoint.load(tmp_path / 'a.safetensors')
    assert {name: w.tobytes() for name, w in arrays.items()} == bits(n)
    assert {w.dtype.name for w in arrays.values()} == {dtype}
    assert memory.keys() == optimizer.memory.keys()
    for kind, values in optimizer.memory.items():
        assert memory[kind].keys() == values.keys() == n.params.keys()
        for name, value in values.items():
            if kind == 'count':
                assert type(memory[kind][name]) is int and memory[kind][name] == value == 3
            else:
                assert memory[kind][name].tobytes() == value.tobytes()
                assert memory[kind][name].shape == value.shape
    assert about == dict(step=3, machine=machine_info())


def test_names_with_a_slash_come_back(tmp_path):
    n = build('fcn_squeezenet_16s', width=1/16)
    memory = dict(velocity={name: RNG.standard_normal(w.shape) for name, w in n.params.items()})
    checkpoint.save(tmp_path / 'a.safetensors', n.params, memory, {})
    arrays, again, _ = checkpoint.load(tmp_path / 'a.safetensors')
    assert arrays.keys() == n.params.keys() == again['velocity'].keys()
    assert any('/' in name for name in arrays)


def test_what_is_read_can_be_trained_on(tmp_path):
    """The arrays of a file are writable, and as large as they were in memory."""
    saved(tmp_path / 'a.safetensors')
    arrays, memory, _ = checkpoint.load(tmp_path / 'a.safetensors')
    for w in (*arrays.values(), *memory['velocity'].values()):
        w += 1


# ---- as a file of weights ------------------------------------------------------------------------

def checkpoint_of(path, name='fcn_squeezenet_16s'):
    n = build(name, n_class=3, width=1/16)
    memory = dict(velocity={key: np.ones_like(w) for key, w in n.params.items()})
    about = dict(n.about, seed=0, frozen=[], run=dict(step=5))
    checkpoint.save(path, n.params, memory, about)
    return n


def test_it_is_a_file_of_weights_too(tmp_path):
    path = tmp_path / 'a.safetensors'
    n = checkpoint_of(path)
    assert bits(tinyfcn.load(path)) == bits(n)
    arrays, about = weights.read(path)
    assert {name: w.tobytes() for name, w in arrays.items()} == bits(n)
    assert about['source'] == 'tinyfcn'
    finer = build('fcn_squeezenet_8s', n_class=3, width=1/16)
    assert not weights.transplant(finer, arrays).left


def test_weights_alone():
    assert storage.weights_only({'conv.w': 1, '~velocity/conv.w': 2, 'a~b.w': 3, '~': 4}) == {
        'conv.w': 1, 'a~b.w': 3}


def test_weights_are_no_checkpoint(tmp_path):
    path = tmp_path / 'a.safetensors'
    net().save(path)
    with pytest.raises(storage.FormatError, match=rf'{re.escape(str(path))}: weights, but no state '
                                                  rf'of a run to go on with; begin one with them: '
                                                  rf'--weights {re.escape(str(path))}'):
        checkpoint.load(path)


def test_nor_are_the_weights_that_were_once_one(tmp_path):
    """Loaded and saved again as a net, a checkpoint has lost its momentum: no run may go on."""
    checkpoint_of(tmp_path / 'run.safetensors')
    tinyfcn.load(tmp_path / 'run.safetensors').save(tmp_path / 'net.safetensors')
    with pytest.raises(storage.FormatError, match='no state of a run'):
        checkpoint.load(tmp_path / 'net.safetensors')


# ---- where it was written ------------------------------------------------------------------------

def test_what_has_changed_since(tmp_path):
    saved(tmp_path / 'a.safetensors')
    _, _, about = checkpoint.load(tmp_path / 'a.safetensors')
    assert checkpoint.changes(about) == []
    about['machine'].update(numpy='1.0', blas_kernel='Prescott')
    del about['machine']['cpu']
    about['machine']['gpu'] = 'one'
    now = machine_info()
    assert checkpoint.changes(about) == [
        f'blas_kernel was Prescott and is {now["blas_kernel"]}',
        f'cpu was None and is {now["cpu"]}', 'gpu was one and is None',
        f'numpy was 1.0 and is {now["numpy"]}']


# ---- damaged -------------------------------------------------------------------------------------

def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / 'a.safetensors'
    saved(path)
    whole = path.read_bytes()
    for at in {0, 7, 8, 100, *range(0, len(whole), 211), len(whole) - 1}:
        flipped = bytearray(whole)
        flipped[at] ^= 16
        for damaged in bytes(flipped), whole[:at]:
            path.write_bytes(damaged)
            with pytest.raises(storage.FormatError, match='a.safetensors: '):
                checkpoint.load(path)


# ---- a disk that is full, or locked --------------------------------------------------------------

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


def said_by(path, limit=0):
    """What saving 1.6 MB says, in a process that may write files of `limit` bytes."""
    ran = subprocess.run([sys.executable, '-c', SAVE, str(path), str(limit)], text=True,
                         capture_output=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def unharmed(path, before):
    assert path.read_bytes() == before and [*path.parent.iterdir()] == [path]
    checkpoint.load(path)


@pytest.mark.parametrize('limit', [4096, 1_000_000])
def test_a_disk_that_fills_up(tmp_path, limit):
    """The limit on a file's size ends a write where a full disk would."""
    path = tmp_path / 'a.safetensors'
    saved(path)
    before = path.read_bytes()
    said = said_by(path, limit)
    unharmed(path, before)
    assert 'File too large' in said and str(path) in said


@contextmanager
def mounted(folder, options):
    """A tmpfs of its own; skips where nobody may mount."""
    folder.mkdir()
    if os.name != 'posix' or not shutil.which('mount') or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'tinyfcn-test', str(folder)],
            capture_output=True).returncode:
        pytest.skip('only who may mount can have a disk that is small or locked')
    try:
        yield folder
    finally:
        subprocess.run(['umount', str(folder)], check=True)


def test_a_disk_that_is_full(tmp_path):
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'a.safetensors'
        saved(path)
        before = path.read_bytes()
        said = said_by(path)
        unharmed(path, before)
        assert 'No space left on device' in said and str(path) in said


def test_a_folder_that_is_locked(tmp_path):
    """To root a folder's mode is nothing; a disk mounted to be read is."""
    with mounted(tmp_path / 'disk', 'size=1m') as disk:
        path = disk / 'a.safetensors'
        saved(path)
        before = path.read_bytes()
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        said = said_by(path)
        unharmed(path, before)
        assert 'Read-only file system' in said and str(path) in said and '.tmp' not in said


@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='to root no folder is locked')
def test_a_folder_whose_mode_locks_it(tmp_path):
    path = tmp_path / 'a.safetensors'
    saved(path)
    before = path.read_bytes()
    tmp_path.chmod(0o555)
    try:
        said = said_by(path)
    finally:
        tmp_path.chmod(0o755)
    unharmed(path, before)
    assert 'Permission denied' in said and str(path) in said and '.tmp' not in said


def test_a_folder_that_is_not_there(tmp_path):
    said = said_by(tmp_path / 'nowhere/a.safetensors')
    assert str(tmp_path / 'nowhere/a.safetensors') in said and '.tmp' not in said


# ---- what a killed process left ------------------------------------------------------------------

def test_the_litter_of_the_dead_is_swept_and_not_that_of_the_living(tmp_path):
    path = tmp_path / 'a.safetensors'
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    with subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE) as living:
        mine, theirs, others = (tmp_path / name for name in (
            f'.a.safetensors.{dead.pid}.tmp', f'.a.safetensors.{living.pid}.tmp',
            f'.b.safetensors.{dead.pid}.tmp'))
        strange = tmp_path / '.a.safetensors.old.tmp'
        for left in mine, theirs, others, strange:
            left.touch()
        saved(path)
        assert not mine.exists() and theirs.exists() and others.exists() and strange.exists()
        checkpoint.load(path)
        living.communicate(b'\n')


def test_a_link_is_kept_and_what_it_leads_to_replaced(tmp_path):
    (tmp_path / 'real').mkdir()
    link, real = tmp_path / 'last.safetensors', tmp_path / 'real/a.safetensors'
    saved(real)
    link.symlink_to(real)
    n, _ = saved(link, dtype='float64')
    assert link.is_symlink() and checkpoint.load(real)[0]['conv1.w'].dtype == 'float64'
    assert [path.name for path in Path(real.parent).iterdir()] == ['a.safetensors']
