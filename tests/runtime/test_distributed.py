"""Many ranks do what one does, to rounding, and alike to the last bit; and they end together.

Marked mpi: real jobs of a real mpiexec, `mpi_steps.py` and the command line among them.
"""
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree

import mpi_steps
import mpi_sums
import numpy as np
import pytest
from test_crash import what_it_left
from training_samples import bright_halves

from tinyfcn.prediction.predict import evaluate
from tinyfcn.runtime import distributed
from tinyfcn.training import checkpoint
from tinyfcn.training.loop import rank_batches

HERE = Path(__file__).parent
MPIEXEC = Path(sys.executable).with_name('mpiexec')
ENVIRONMENT = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'PYTHONWARNINGS': 'error'}
ENDS = 10           # seconds in which a job must have ended
ROUNDING = dict(float32=1e-6, float64=1e-14)


def mpi(test):
    """A test of real ranks; it skips where there are none, and with CI set it fails."""
    there = MPIEXEC.exists() and find_spec('mpi4py')
    if not there and os.environ.get('CI') != 'true':
        test = pytest.mark.skip(reason='no mpi4py here: pip install "tinyfcn[mpi]"')(test)
    return pytest.mark.mpi(test)


def job(ranks, *args):
    """A job under way."""
    return subprocess.Popen([MPIEXEC, '-n', str(ranks), sys.executable, *map(str, args)],
                            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def ended(process, seconds=100):
    """-> exit code, what it complained of"""
    try:
        _, complaint = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, complaint


# ---- one process ---------------------------------------------------------------------------------

def test_one_process_waits_for_nobody():
    world = distributed.Solo()
    total, x = world.adding(), np.ones(3)
    total.add('x', x)
    world.barrier()
    assert (world.rank, world.size, [*range(5)][world.mine]) == (0, 1, [0, 1, 2, 3, 4])
    assert total.done()['x'] is x and world.broadcast(x) is x


@pytest.mark.parametrize('said', [{}, dict(PMI_SIZE='1'), dict(SLURM_STEP_NUM_TASKS='1'),
                                  dict(SLURM_NTASKS='8')])
def test_whoever_is_started_alone_is_alone(said, monkeypatch):
    """A batch script of Slurm knows of its tasks, and is none of them."""
    for key in (*distributed.SIZES, *said):
        monkeypatch.delenv(key, raising=False)
    for key, value in said.items():
        monkeypatch.setenv(key, value)
    assert isinstance(distributed.world.__wrapped__(), distributed.Solo)


@pytest.mark.parametrize('key', distributed.SIZES)
def test_ranks_without_mpi4py_say_what_is_missing(key):
    script = ('import sys; sys.modules["mpi4py"] = None\n'
              'from tinyfcn.cli import main; sys.exit(main(["summary", "fcn8s"]))')
    ran = subprocess.run([sys.executable, '-c', script], env={**ENVIRONMENT, key: '4'},
                         capture_output=True, text=True)
    assert ran.returncode == 2 and 'Traceback' not in ran.stderr
    assert '4 processes were started' in ran.stderr and '"tinyfcn[mpi]"' in ran.stderr


@pytest.mark.parametrize('batches, ranks', [(4, 1), (4, 2), (4, 4), (5, 3)])
def test_batches_are_dealt_out_whole_and_once(batches, ranks):
    got = [[*rank_batches(dict(iter_size=batches, batch=1), rank, ranks)] for rank in range(ranks)]
    assert sorted(sum(got, [])) == [*range(batches)]
    assert max(map(len, got)) - min(map(len, got)) <= 1


@pytest.mark.parametrize('batch, remedy', [
    (4, 'iter_size=4 batch=1 parts the same pictures'),
    (1, 'iter_size=4 makes a step of as many batches')])
def test_more_ranks_than_batches_are_refused(batch, remedy):
    with pytest.raises(ValueError, match=f'4 ranks share the batches of a step.*{remedy}'):
        rank_batches(dict(iter_size=1, batch=batch), 0, 4)


# ---- many ----------------------------------------------------------------------------------------

@mpi
@pytest.mark.parametrize('ranks', [2, 3])
def test_sums_of_all_kinds(ranks, tmp_path):
    """Small and large, in any order of memory, of whole numbers too: the same bits everywhere."""
    code, complaint = ended(job(ranks, HERE / 'mpi_sums.py', tmp_path))
    assert code == 0, complaint
    sums = [np.load(tmp_path / f'{rank}.npz') for rank in range(ranks)]
    for name in sums[0].files:
        want = sum(mpi_sums.sample(name, rank) for rank in range(ranks))
        got = sums[0][name]
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        # of at most three numbers of size 1: two roundings
        np.testing.assert_allclose(got, want, rtol=0, atol=4 * np.finfo('f4').eps
                                   if got.dtype == 'f4' else 1e-15)
        assert all(other[name].tobytes() == got.tobytes() for other in sums)


@pytest.fixture(scope='module', params=['float32', 'float64'])
def alone(request):
    """Thirty steps of one process. -> dtype, its net, its rows"""
    return request.param, *mpi_steps.learned(request.param)


@mpi
@pytest.mark.parametrize('ranks', [2, 4])
def test_ranks_are_alike_to_the_last_bit_and_as_one_to_rounding(alone, ranks, tmp_path):
    dtype, net, rows = alone
    code, complaint = ended(job(ranks, HERE / 'mpi_steps.py', tmp_path, dtype))
    assert code == 0, complaint
    told = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(ranks)]
    for key in 'size', 'losses', 'weights', 'mean_iu':
        assert all(own[key] == told[0][key] for own in told), key
    assert told[0]['size'] == ranks

    for step, row in enumerate(rows):                   # disjoint, and nothing is left out
        shares = [own['names'][step] for own in told]
        assert sorted(sum(shares, [])) == sorted(row['names']) and all(shares)
    theirs = np.load(tmp_path / 'weights.npz')
    begun = mpi_steps.begun(dtype).params
    moved = max(abs(w - begun[name]).max() for name, w in net.params.items())
    apart = max(abs(w - theirs[name]).max() for name, w in net.params.items())
    assert apart <= ROUNDING[dtype] and moved > .01
    np.testing.assert_allclose(told[0]['losses'], [row['loss'] for row in rows],
                               rtol=ROUNDING[dtype])

    for name, w in {**net.params, **net.state}.items():  # what they are worth, one can say as well
        w[...] = theirs[name]
    assert evaluate(net, mpi_steps.unseen())['mean_iu'] == told[0]['mean_iu']


# ---- how jobs end --------------------------------------------------------------------------------

SETTINGS = ['net=fcn_squeezenet_8s', 'start=None', 'steps=16', 'every=8', 'iter_size=2',
            'batch=2', 'adam=False', 'lr=0.01', 'size=(24,32)']


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return bright_halves(tmp_path_factory.mktemp('set'))


def words(pictures, folder, *more):
    return ['train', 'folder', '--data', pictures, '--run', folder, '--seed', '5', '--resume',
            '--set', *SETTINGS, *more]


def finish(ranks, pictures, folder):
    code, complaint = ended(job(ranks, '-m', 'tinyfcn', *words(pictures, folder)))
    assert code == 0, complaint
    return what_it_left(folder)


@pytest.fixture(scope='module')
def whole(pictures, tmp_path_factory):
    return finish(2, pictures, tmp_path_factory.mktemp('whole') / 'run')


def under_way(pictures, folder):
    """A job of two that has saved already. -> process, {rank: its process}"""
    process = job(2, '-m', 'tinyfcn', *words(pictures, folder))
    while not (folder / 'last.safetensors').exists() and process.poll() is None:
        time.sleep(.01)
    ranks = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            environ = (path / 'environ').read_bytes().split(b'\0')
            said = (path / 'cmdline').read_bytes()
        except OSError:                                 # ended meanwhile, or another's
            continue
        ranks.update({rank: int(path.name) for rank in range(2)
                      if f'PMI_RANK={rank}'.encode() in environ and bytes(folder) in said})
    return process, ranks


def one_message(complaint, message):
    """Nothing but the sentence, and MPI's own line about the end."""
    lines = [line for line in complaint.splitlines() if line and not line.startswith('Abort(')]
    assert len(lines) == 1 and message in lines[0], complaint


@mpi
def test_a_rank_that_is_killed_ends_all_and_they_go_on(pictures, whole, tmp_path):
    process, ranks = under_way(pictures, tmp_path / 'run')
    os.kill(ranks[1], signal.SIGKILL)
    code, _ = ended(process, ENDS)
    assert code not in (0, 2, 75)
    assert checkpoint.load(tmp_path / 'run/last.safetensors')[2]['run']['step'] == 8
    assert finish(2, pictures, tmp_path / 'run') == whole


@mpi
def test_ctrl_c_saves_and_one_rank_goes_on_as_two_would(pictures, whole, tmp_path):
    process, _ = under_way(pictures, tmp_path / 'run')
    process.send_signal(signal.SIGINT)
    code, complaint = ended(process, ENDS)
    assert code == 75
    one_message(complaint, 'the same command with --resume goes on in')
    left = finish(1, pictures, tmp_path / 'run')
    assert left.keys() == whole.keys()
    for key, bits in whole.items():
        if key.startswith('last '):
            one, two = (np.frombuffer(each, 'float32') for each in (left[key], bits))
            np.testing.assert_allclose(one, two, rtol=0, atol=ROUNDING['float32'])


@mpi
def test_a_picture_that_one_rank_cannot_read(pictures, tmp_path):
    data = copytree(pictures, tmp_path / 'set')
    for path in (data / 'images').iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    code, complaint = ended(job(2, '-m', 'tinyfcn', *words(data, tmp_path / 'run')), ENDS)
    assert code == 2
    one_message(complaint, '.png')


@mpi
def test_a_full_disk_of_rank_0_ends_all(pictures, whole, tmp_path):
    """A limit on the size of a file stands for a disk that is full: the old checkpoint stays."""
    folder = tmp_path / 'run'
    process, ranks = under_way(pictures, folder)
    os.kill(ranks[0], signal.SIGKILL)
    ended(process, ENDS)
    before = (folder / 'last.safetensors').read_bytes()
    script = (f'import resource, signal, sys; from tinyfcn import cli; '
              f'from tinyfcn.runtime import distributed; '
              f'distributed.world(); '                  # the memory that ranks share is a file too
              f'signal.signal(signal.SIGXFSZ, signal.SIG_IGN); '
              f'resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2},) * 2); '
              f'sys.exit(cli.main(sys.argv[1:]))')
    again = job(2, '-c', script, *words(pictures, folder))
    code, complaint = ended(again, ENDS)                # so soon from its start
    assert code == 2
    one_message(complaint, 'The checkpoint before is as it was: make room, then --resume')
    assert (folder / 'last.safetensors').read_bytes() == before
    assert finish(2, pictures, folder) == whole


@mpi
def test_an_exception_of_one_rank_ends_those_that_wait():
    """In a script of one's own, under plain mpiexec, which alone would wait for ever."""
    script = ('from tinyfcn.runtime.distributed import world\n'
              'if world().rank == 1: 1 / 0\n'
              'world().barrier()')
    code, complaint = ended(job(2, '-c', script), ENDS)
    assert code == 1 and complaint.count('ZeroDivisionError') == 1


@mpi
def test_what_all_ranks_refuse_is_said_once(pictures, tmp_path):
    code, complaint = ended(job(3, '-m', 'tinyfcn', *words(pictures, tmp_path)), ENDS)
    assert code == 2
    one_message(complaint, '3 ranks share the batches of a step, and this recipe has 2')
