"""Run folders and checkpoints that version 0.1 wrote are still read, and such runs resume.

tests/fixtures/v01 has two runs that version 0.1 stopped at step 3 of 6. In each folder,
expected.safetensors is the last checkpoint that version 0.1 itself wrote after it resumed.
"""
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copy
from typing import NamedTuple

import numpy as np
import pytest
from training_samples import CENTRED, bits

import tinyfcn
from tinyfcn.cli import main
from tinyfcn.data.shapes import SPLITS
from tinyfcn.runtime.machine import machine_info
from tinyfcn.training import Recipe, checkpoint, get_recipe

FIXTURES = Path(__file__).parents[1] / 'fixtures/v01'
RUNS = pytest.mark.parametrize('name', ['adam', 'sgd'])

# the recipes of these runs, as today's names spell them
RECIPES = {
    'adam': get_recipe('shapes-32s', steps=6, validate_every=2, batch=2, flip=True,
                       scale_range=(.8, 1.25), crop_size=(48, 64), elastic_sigma=2.,
                       net_kwargs={'width': 1/8}),
    'sgd': get_recipe('shapes-8s', init_from=None, steps=6, validate_every=3, iter_size=2,
                      optimizer='sgd', lr=1e-2, momentum=.9, lr_power=0., lr_step=4, replace=True,
                      crop_size=(64, 64), net_kwargs={'width': 1/8}, class_weight='median',
                      loss_at={'score': 1}),
}

# median frequency balancing of the 100,000 images of this data set, which takes 25 minutes
MEDIAN_FREQUENCY = [
    0.24508259623974205, 0.787539899518602, 1.1734764427098343,
    1.0, 1.2886789685922995]

# resumes in a new process: the number of BLAS threads, which decides about the last bits, is fixed
# when NumPy is imported, and the tests run with one
RESUME = '''
import json, sys
from pathlib import Path
from tinyfcn.data import load_dataset
from tinyfcn.training import Recipe, loop
from tinyfcn.training.run import build_net, run

folder = Path(sys.argv[1])
weights = json.loads(sys.argv[2])
loop.median_frequency = lambda dataset: weights
recipe = Recipe.from_dict(json.loads((folder / 'run.json').read_text())['recipe'])
dataset = load_dataset('shapes', split='train')
valid = load_dataset('shapes', split='val')
valid.names = list(valid.names)[:2]
net = build_net(recipe, dataset.classes)
rows = [*run(folder, net, dataset, valid, recipe, command='resumed', resume=True)]
print(json.dumps([row['step'] for row in rows]))
'''


def copy_run(name, tmp_path):
    """A folder with the files that version 0.1 left when it was stopped."""
    for file in 'run.json', 'metrics.jsonl', 'last.safetensors':
        copy(FIXTURES / name / file, tmp_path)
    return tmp_path


class Resumed(NamedTuple):
    """A run of version 0.1 after it was resumed here."""
    name: str
    folder: Path
    steps: list             # of the rows of the new steps and validations


@pytest.fixture(scope='module', params=['adam', 'sgd'])
def resumed(request, tmp_path_factory):
    folder = copy_run(request.param, tmp_path_factory.mktemp(request.param))
    threads = str(checkpoint.load(folder / 'last.safetensors').about['machine']['blas_threads'])
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(('OPENBLAS', 'OMP', 'TINYFCN'))}
    environment.update(OPENBLAS_NUM_THREADS=threads, TINYFCN_THREADS=threads)
    result = subprocess.run([sys.executable, '-c', RESUME, str(folder),
                             json.dumps(MEDIAN_FREQUENCY)],
                            env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return Resumed(request.param, folder, json.loads(result.stdout))


def all_arrays(path):
    """Weights, running statistics and the memory of the optimizer, by name."""
    saved = checkpoint.load(path)
    memory = {f'{kind} {name}': np.asarray(value) for kind, values in saved.memory.items()
              for name, value in values.items()}
    return {**saved.weights, **memory}


def test_a_run_of_version_0_1_resumes_to_the_same_weights(resumed):
    """To 1e-5: its kernels are gone, which rounded differently. test_compiled_runs.py has bits."""
    expected_file = FIXTURES / resumed.name / 'expected.safetensors'
    assert checkpoint.load(expected_file).about['run']['step'] == 6
    expected = all_arrays(expected_file)
    stopped = all_arrays(FIXTURES / resumed.name / 'last.safetensors')
    assert resumed.steps[0] == 4 and resumed.steps[-1] == 6
    arrays = all_arrays(resumed.folder / 'last.safetensors')
    assert arrays.keys() == expected.keys()
    assert any((arrays[key] != stopped[key]).any() for key in arrays)
    for key, array in expected.items():
        assert arrays[key].dtype == array.dtype
        np.testing.assert_allclose(arrays[key], array, rtol=1e-5, atol=1e-5 * abs(array).max())


def test_the_resumed_run_is_written_with_the_names_of_today(resumed):
    run_state = checkpoint.load(resumed.folder / 'last.safetensors').about['run']
    assert (run_state['step'], run_state['seed']) == (6, 0)
    assert run_state['recipe'].keys() == RECIPES[resumed.name].to_dict().keys()
    assert Recipe.from_dict(run_state['recipe']) == RECIPES[resumed.name]
    assert json.loads((resumed.folder / 'run.json').read_text())['commands'][1:] == ['resumed']


def test_the_rows_of_version_0_1_are_kept(resumed):
    before = (FIXTURES / resumed.name / 'metrics.jsonl').read_text().splitlines()
    after = (resumed.folder / 'metrics.jsonl').read_text().splitlines()
    assert after[:len(before)] == before and json.loads(after[-1])['step'] == 6


def test_machines_are_described_by_the_same_keys_as_in_version_0_1():
    """A key of another name would be a difference on every machine, and no bits be compared.

    The number of threads is new, and so are compiled kernels, which round differently.
    """
    then = checkpoint.load(FIXTURES / 'adam/last.safetensors').about['machine']
    assert {*then, 'threads', 'kernels'} == machine_info().keys()
    differences = checkpoint.machine_differences(dict(machine=then))
    assert not any(line.startswith('threads') for line in differences)
    assert f'kernels was None and is {machine_info()["kernels"]}' in differences


@RUNS
def test_recipes_of_version_0_1_are_converted(name):
    run_info = json.loads((FIXTURES / name / 'run.json').read_text())
    recipe = Recipe.from_dict(run_info['recipe'])
    assert recipe == RECIPES[name]
    about = checkpoint.load(FIXTURES / name / 'last.safetensors').about
    assert Recipe.from_dict(about['run']['recipe']) == recipe


# the recipe of the run 'adam', as the command line spells it
SETTINGS = ['steps=6', 'validate_every=2', 'batch=2', 'flip=True', 'scale_range=(.8,1.25)',
            'crop_size=(48,64)', 'elastic_sigma=2.', "net_kwargs={'width':.125}"]


def test_the_command_line_resumes_a_run_of_version_0_1(tmp_path, monkeypatch):
    seed, _ = SPLITS['val']
    monkeypatch.setitem(SPLITS, 'val', (seed, 2))
    folder = copy_run('adam', tmp_path)
    assert main(['train', 'shapes-32s', '--run', str(folder), '--resume', '--set', *SETTINGS]) == 0
    resumed = all_arrays(folder / 'last.safetensors')
    for key, array in all_arrays(FIXTURES / 'adam/expected.safetensors').items():
        np.testing.assert_allclose(resumed[key], array, rtol=1e-5, atol=1e-5 * abs(array).max())


def test_the_command_line_rejects_another_recipe_for_a_run_of_version_0_1(tmp_path, capsys):
    folder = copy_run('adam', tmp_path)
    assert main(['train', 'shapes-32s', '--run', str(folder), '--resume',
                 '--set', *SETTINGS, 'validate_every=3', 'optimizer=sgd']) == 2
    assert 'optimizer, validate_every: ' in capsys.readouterr().err


@RUNS
def test_a_checkpoint_of_version_0_1_is_a_file_of_weights(name):
    path = FIXTURES / name / 'last.safetensors'
    net = tinyfcn.load(path)
    assert bits(net) == {key: w.tobytes() for key, w in checkpoint.load(path).weights.items()}
    assert net.about['preprocess'] == json.loads(json.dumps(CENTRED))
    label = tinyfcn.predict(net, np.zeros((48, 64, 3), 'uint8'))
    assert label.shape == (48, 64)
