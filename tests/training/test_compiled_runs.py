"""The compiled kernels keep their bits: two runs resume from files to the weights of before.

tests/fixtures/compiled has two runs that were stopped at step 2 of 4; expected.safetensors is the
checkpoint of step 4. After a change that is meant to round differently, write both anew:

    python tests/training/test_compiled_runs.py

and say in the changelog that runs of before resume to other bits. Rounding differs from one kind of
CPU to another, so bits are compared on the kind that wrote the files, and values everywhere.
"""
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pytest

from tinyfcn.data import load_dataset
from tinyfcn.kernels import registry
from tinyfcn.runtime.machine import machine_info
from tinyfcn.training import checkpoint, get_recipe
from tinyfcn.training.run import build_net, run

FIXTURES = Path(__file__).parents[1] / 'fixtures/compiled'
RECIPES = {
    # Winograd, batch norm, dropout, upsampling, crops
    'tiny': get_recipe('shapes-8s', init_from=None, steps=4, validate_every=2, batch=2,
                       crop_size=(48, 64), net_kwargs={'width': 1/4}),
    # convolutions of 7×7, normalisation over channels, switches
    'segnet': get_recipe('shapes-32s', net='segnet_basic', steps=4, validate_every=2, batch=2,
                         optimizer='sgd', lr=1e-2, momentum=.9, crop_size=(48, 64),
                         net_kwargs={'width': 1/16}),
}


def lower_thresholds(change):
    """Let a small net on small images take every path."""
    change.setattr(registry, 'MIN_SIZE', 1)
    with suppress(ImportError):                         # without Numba the references run
        from tinyfcn.kernels.cpu import conv
        for name in 'SMALL', 'WINOGRAD_CHANNELS', 'WINOGRAD_WORK':
            change.setattr(conv, name, 1)


def continue_run(name, folder, last_step, resume):
    """Train from the last checkpoint, if there is one, to this step."""
    dataset, valid = (load_dataset('shapes', split=split, size=(48, 64)).subset('012')
                      for split in ('train', 'val'))
    recipe = RECIPES[name]
    rows = run(folder, build_net(recipe, dataset.classes), dataset, valid, recipe, resume=resume)
    for row in rows:
        if row['step'] == last_step and 'loss' not in row:
            break
    rows.close()


def all_arrays(path):
    """Weights, running statistics and the memory of the optimizer, by kind and name."""
    saved = checkpoint.load(path)
    memory = {(kind, name): np.asarray(value) for kind, values in saved.memory.items()
              for name, value in values.items()}
    return {**{('weights', name): value for name, value in saved.weights.items()}, **memory}


def kind_of_machine():
    """What the bits of a run depend on. No number of threads changes them."""
    try:
        from tinyfcn.kernels.cpu.simd import LANES
    except ImportError:
        LANES = 0
    info = {**machine_info(), 'lanes': LANES}
    return {key: value for key, value in info.items()
            if key not in ('python', 'threads', 'blas_threads')}


@pytest.fixture(scope='module', params=RECIPES)
def resumed(request, tmp_path_factory):
    """The folder of the fixture, and the arrays of the run after it was resumed here."""
    before = FIXTURES / request.param
    folder = tmp_path_factory.mktemp('runs') / request.param
    copytree(before, folder)
    with pytest.MonkeyPatch.context() as change:
        lower_thresholds(change)
        continue_run(request.param, folder, 4, resume=True)
    return before, all_arrays(folder / 'last.safetensors')


def test_a_run_resumes_to_the_same_values(resumed):
    """To 1e-5 of the largest of their kind: the gradient of a bias before a batch norm is 0."""
    before, arrays = resumed
    expected = all_arrays(before / 'expected.safetensors')
    stopped = all_arrays(before / 'last.safetensors')
    assert arrays.keys() == expected.keys()
    assert any((arrays[key] != stopped[key]).any() for key in arrays)
    for key, array in expected.items():
        largest = max(abs(a).max() for (kind, _), a in expected.items() if kind == key[0])
        assert arrays[key].dtype == array.dtype
        np.testing.assert_allclose(arrays[key], array, rtol=0, atol=1e-5 * largest)


def test_a_run_resumes_to_the_same_bits(resumed):
    before, arrays = resumed
    then = json.loads((before / 'machine.json').read_text())
    now = kind_of_machine()
    differences = [f'{key} {then[key]}, here {now[key]}' for key in then if then[key] != now[key]]
    if differences:
        pytest.skip(f'bits are compared on one kind of machine only: {"; ".join(differences)}')
    expected = all_arrays(before / 'expected.safetensors')
    assert [key for key in arrays if arrays[key].tobytes() != expected[key].tobytes()] == []


def write_fixture(name):
    folder = FIXTURES / name
    rmtree(folder, ignore_errors=True)
    continue_run(name, folder, 2, resume=False)
    stopped = folder.with_suffix('.stopped')
    copytree(folder, stopped)
    continue_run(name, folder, 4, resume=True)
    os.replace(folder / 'last.safetensors', stopped / 'expected.safetensors')
    rmtree(folder)
    os.replace(stopped, folder)
    for unused in *folder.glob('*.png'), folder / 'best.safetensors':
        unused.unlink()
    (folder / 'machine.json').write_text(json.dumps(kind_of_machine(), indent=1) + '\n')


if __name__ == '__main__':
    with pytest.MonkeyPatch.context() as change:
        lower_thresholds(change)
        for name in RECIPES:
            write_fixture(name)
    sys.stdout.write(f'written: {FIXTURES}\n')
