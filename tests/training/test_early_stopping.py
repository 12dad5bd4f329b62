"""A run with patience ends where validations get no better, and so does one that was resumed."""
from itertools import islice

import numpy as np
import pytest
from training_samples import (
    CLASSES,
    bits,
    draw_nothing,
    make_recipe,
    small_dataset,
    small_net,
)

from tinyfcn.data.dataset import Dataset
from tinyfcn.training import checkpoint
from tinyfcn.training.early_stopping import Progress
from tinyfcn.training.run import run

pytestmark = pytest.mark.usefixtures('no_drawing')
LAST = 'last.safetensors'
# each step is validated; the net forgets blobs, which are all that it is validated on
FORGETS = dict(steps=12, validate_every=1, lr=.02)


def with_label(dataset, label):
    def read(name):
        image, true_label = dataset.read(name)
        return image, np.full_like(true_label, label)

    return Dataset(CLASSES, dataset.names, read)


def start(folder, recipe, resume=False, log=lambda note: None):
    net = small_net()
    net.params['score.b'][1] = 4
    return run(folder, net, with_label(small_dataset(), 0), with_label(small_dataset(2, seed=9), 1),
               recipe, resume=resume, log=log)


def without_seconds(rows):
    return [{key: row[key] for key in row if key != 'seconds'} for row in rows]


@pytest.fixture(scope='module')
def patient(tmp_path_factory):
    """The rows of a run without patience, and the mean IU after each step."""
    folder = tmp_path_factory.mktemp('patient')
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        rows = list(start(folder, make_recipe(**FORGETS)))
    return rows, [row['mean_iu'] for row in rows if 'mean_iu' in row]


def expected_stop(scores, patience):
    """By the definition: the first step after `patience` validations without a better one."""
    best = 0.
    worse = 0
    for step, score in enumerate(scores, 1):
        worse = 0 if score > best else worse + 1
        best = max(best, score)
        if worse == patience:
            return step
    return len(scores)


@pytest.mark.parametrize('patience', [1, 2, 5, 30])
def test_a_run_stops_after_so_many_validations_that_are_no_better(patient, patience, tmp_path):
    rows, scores = patient
    notes = []
    found = list(start(tmp_path, make_recipe(**FORGETS, patience=patience), log=notes.append))
    last = expected_stop(scores, patience)
    assert (last < 12) == (patience < 30)
    assert without_seconds(found) == without_seconds(row for row in rows if row['step'] <= last)
    state = checkpoint.load(tmp_path / LAST).about['run']
    best_step = 1 + int(np.argmax(scores[:last]))
    assert (state['step'], state['best_step']) == (last, best_step)
    if last < 12:
        note, = notes
        assert note.startswith(f'stopped early at step {last} of 12: the last ')
        assert f'of step {best_step}, which best.safetensors holds' in note
        assert f'--resume --set patience={2 * patience}' in note
    else:
        assert not notes


def test_stopped_by_the_user_and_resumed_it_stops_at_the_same_step(patient, tmp_path):
    recipe = make_recipe(**FORGETS, patience=2)
    for _ in range(20):
        stream = start(tmp_path, recipe, resume=True)
        rows = list(islice(stream, 1))
        stream.close()
        if not rows:
            break
    assert checkpoint.load(tmp_path / LAST).about['run']['step'] == expected_stop(patient[1], 2)


def test_resumed_with_more_patience_it_ends_as_if_it_had_had_it(tmp_path, patient):
    list(start(tmp_path, make_recipe(**FORGETS, patience=1)))
    notes = []
    assert not list(start(tmp_path, make_recipe(**FORGETS, patience=1), True, notes.append))
    assert len(notes) == 1 and f'{tmp_path}: this run has stopped early at step' in notes[0]
    rows = list(start(tmp_path, make_recipe(**FORGETS), resume=True))
    assert without_seconds(rows) == without_seconds(patient[0])[-len(rows):]
    assert rows[-1]['step'] == 12


def test_a_checkpoint_that_does_not_know_its_best_step_counts_from_there(tmp_path):
    """As earlier versions wrote it."""
    stream = start(tmp_path, make_recipe(**FORGETS, patience=3))
    list(islice(stream, 4))                             # step 2, validated
    stream.close()
    weights, memory, about = checkpoint.load(tmp_path / LAST)
    step = about['run']['step']
    del about['run']['best_step'], about['machine']
    checkpoint.save(tmp_path / LAST, weights, memory, about)
    rows = list(start(tmp_path, make_recipe(**FORGETS, patience=3), resume=True))
    assert rows[-1]['step'] == step + 3


def test_validations_on_void_are_no_better_either(tmp_path):
    notes = []
    rows = run(tmp_path, small_net(), small_dataset(), with_label(small_dataset(2), 255),
               make_recipe(**FORGETS, patience=2), log=notes.append)
    assert [row['step'] for row in rows] == [1, 1, 2, 2]
    assert 'the last 2 validations have not found a mean IU above 0;' in notes[-1]


def test_the_same_score_is_no_better():
    progress = Progress(step=2, best=.5, best_step=1)
    assert progress.after_validation(3, .5) == Progress(step=3, best=.5, best_step=1)
    assert progress.after_validation(3, .6) == Progress(step=3, best=.6, best_step=3)


def test_patience_changes_no_weight(tmp_path, patient):
    """Until it ends the run."""
    nets = small_net(), small_net()
    for net, patience in zip(nets, (None, 30)):
        list(run(tmp_path / str(patience), net, small_dataset(), small_dataset(2, seed=9),
                 make_recipe(patience=patience)))
    assert bits(nets[0]) == bits(nets[1])
