"""One run in one folder: a second training is refused."""
import os
import subprocess
import sys
from itertools import islice

import pytest
from training_samples import make_recipe, small_dataset, small_net

from tinyfcn.training.run import run

VALID = small_dataset(2, seed=9)
pytestmark = pytest.mark.usefixtures('no_drawing')


def start(folder, resume=False, **changes):
    return run(folder, small_net(), small_dataset(), VALID, make_recipe(steps=4, **changes),
               resume=resume)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize('resume', [False, True])
def test_a_second_training_in_the_folder_is_refused(tmp_path, resume):
    """Also from another seed or by --resume; and the first one goes on as if nothing had been."""
    first = start(tmp_path)
    rows = [*islice(first, 3)]                          # step 2, validated and saved
    before = contents(tmp_path)
    with pytest.raises(ValueError, match='another process is training in this folder; wait until '
                                         'it has ended, or choose another folder with --run'):
        next(start(tmp_path, resume))
    assert contents(tmp_path) == before
    rows += first
    assert [row['step'] for row in rows] == [1, 2, 2, 3, 4, 4]


def test_the_lock_is_released_when_a_run_is_closed_or_fails(tmp_path):
    rows = start(tmp_path)
    next(rows)
    rows.close()
    with pytest.raises(ValueError, match='already holds a run'):
        next(start(tmp_path))
    assert len([*start(tmp_path, resume=True)]) == 5


# forks twenty pairs of trainings, each the real command line, that start at once
PAIRS = '''
import os, sys
from tinyfcn import viz
from tinyfcn.cli import main
from tinyfcn.data import shapes

viz.draw_curves = viz.draw_page = lambda path, *rest: path.touch()
shapes.SPLITS.update(train=(1, 50), val=(2, 1))

def train(folder):
    return main(['train', 'shapes-8s', '--run', f'{sys.argv[1]}/{folder}', '--resume', '--set',
                 'init_from=None', 'net_kwargs={"width": .125}', 'steps=3', 'validate_every=3',
                 'crop_size=(32,32)'])

assert train('first') == 0                              # loads all that is loaded on first use
for number in range(20):
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os._exit(train(number))
        children.append(child)
    print(*sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
'''


@pytest.mark.crash
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='forks')
def test_of_two_trainings_in_one_folder_one_is_refused_twenty_times(tmp_path):
    """The one that comes second exits with a sentence, or finds the run finished."""
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'TINYFCN_THREADS': '1'}
    result = subprocess.run([sys.executable, '-c', PAIRS, str(tmp_path)], env=environment,
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    codes = [line for line in result.stdout.splitlines() if line in ('0 0', '0 2')]
    assert len(codes) == 20, result.stdout
    refused = result.stderr.count('another process is training in this folder')
    assert refused == codes.count('0 2') > 0
    runs = [*tmp_path.glob('[0-9]*/metrics.jsonl')]
    assert [run.read_text().count('"loss"') for run in runs] == [3] * 20
