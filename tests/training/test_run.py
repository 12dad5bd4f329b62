"""A run writes down what it does, and resumes bit for bit wherever it was stopped."""
import json
import os
import re
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from training_samples import (
    CENTRED,
    CLASSES,
    bits,
    make_recipe,
    small_dataset,
    small_net,
    write_bright_halves,
)

from tinyfcn import build
from tinyfcn.data import load_dataset
from tinyfcn.data.batches import sample
from tinyfcn.data.dataset import Dataset
from tinyfcn.prediction.evaluation import evaluate
from tinyfcn.training import checkpoint, get_recipe, make_optimizer, run as run_module, train
from tinyfcn.training.run import build_net, run
from tinyfcn.training.run_files import truncate_log
from tinyfcn.weights import safetensors_file

LAST = 'last.safetensors'
BEST = 'best.safetensors'
VALID = small_dataset(2, seed=9)
# the runs of the fixtures `finished` and `uninterrupted` do draw, and so do two heads
pytestmark = pytest.mark.usefixtures('no_drawing')


def stateful_net(seed=0, **kwargs):
    """A net with all that a checkpoint has to restore: running statistics, dropout, momentum."""
    return small_net(norm=True, drop=.3, seed=seed, **kwargs)


def shifted_net():
    """The same net with other weights, so that a test sees what a checkpoint does not restore."""
    net = stateful_net()
    for array in (*net.params.values(), *net.state.values()):
        array += 1
    return net


def run_recipe(**changes):
    return make_recipe(**{**dict(steps=3, iter_size=2, flip=True, lr_power=.9), **changes})


def start_run(folder, recipe, net=None, seed=0, resume=False, valid=VALID, dataset=None,
              command='train'):
    return run(folder, net or stateful_net(), dataset or small_dataset(), valid, recipe, seed,
               command, resume)


def run_until(folder, recipe, n_rows, **kwargs):
    """Stop a run, by closing it, after so many rows. -> the rows"""
    stream = start_run(folder, recipe, **kwargs)
    rows = list(islice(stream, n_rows))
    stream.close()
    return rows


def read_run(folder):
    """Everything in a folder that has to be the same after resuming: all but the seconds."""
    contents = {}
    for name in LAST, BEST:
        saved = checkpoint.load(folder / name)
        for key, w in saved.weights.items():
            contents[f'{name} {key}'] = w.tobytes()
        for kind, values in saved.memory.items():
            for key, value in values.items():
                contents[f'{name} {kind} {key}'] = np.asarray(value).tobytes()
        contents[f'{name} run'] = saved.about['run']
    contents['rows'] = [{key: row[key] for key in row if key != 'seconds'}
                        for row in read_log(folder)]
    return contents


def read_log(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def run_state(path):
    """The state of the run in a checkpoint: its step, its best mean IU."""
    return checkpoint.load(path).about['run']


# ---- what is written -----------------------------------------------------------------------------

@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run of five steps, validated after 2, 4 and the last. -> folder, rows, net"""
    folder = tmp_path_factory.mktemp('runs') / 'new/run'
    net = stateful_net()
    rows = list(start_run(folder, run_recipe(steps=5), net))
    return folder, rows, net


def test_the_files_of_a_run(finished):
    folder, _, _ = finished
    assert {path.name for path in folder.iterdir()} == {
        'run.json', 'metrics.jsonl', LAST, BEST, 'curves.png', 'predictions.png'}
    for name in 'curves.png', 'predictions.png':
        with Image.open(folder / name) as image:
            assert np.unique(np.asarray(image)).size > 20


def test_there_is_a_row_for_each_step_and_for_each_validation(finished):
    folder, rows, _ = finished
    assert rows == read_log(folder)
    assert [(row['step'], 'loss' in row) for row in rows] == [
        (1, True), (2, True), (2, False), (3, True), (4, True), (4, False), (5, True), (5, False)]
    for row in rows:
        assert row.keys() == ({'step', 'loss', 'lr', 'seconds'} if 'loss' in row else {
            'step', 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu', 'iu', 'seconds'})
    seconds = [row['seconds'] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert rows[0]['lr'] == .1 > rows[1]['lr']


def test_the_last_checkpoint_holds_the_net_and_the_best_one_the_best_mean_iu(finished):
    folder, rows, net = finished
    last = checkpoint.load(folder / LAST)
    assert {name: w.tobytes() for name, w in last.weights.items()} == bits(net)
    assert last.memory['velocity'].keys() == net.params.keys() and last.about['run']['step'] == 5
    mean_iu = {row['step']: row['mean_iu'] for row in rows if 'mean_iu' in row}
    best = checkpoint.load(folder / BEST)
    state = best.about['run']
    assert state['best'] == max(mean_iu.values()) == mean_iu[state['step']]
    best_net = stateful_net()
    for name, array in {**best_net.params, **best_net.state}.items():
        array[...] = best.weights[name]
    assert evaluate(best_net, VALID)['mean_iu'] == max(mean_iu.values())


def test_the_best_is_not_always_the_last(tmp_path):
    """A net that predicts blobs, validated where all is blob, learns that all is ground."""
    def with_label(dataset, label):
        def read(name):
            image, true_label = dataset.read(name)
            return image, np.full_like(true_label, label)

        return Dataset(CLASSES, dataset.names, read)

    net = stateful_net()
    net.params['score.b'][1] = 4
    rows = list(start_run(tmp_path, run_recipe(steps=12, validate_every=6, lr=.03), net,
                          valid=with_label(VALID, 1), dataset=with_label(small_dataset(), 0)))
    first, last = (row['mean_iu'] for row in rows if 'mean_iu' in row)
    assert last < .1 < first
    state = run_state(tmp_path / BEST)
    assert (state['step'], state['best']) == (6, first)
    state = run_state(tmp_path / LAST)
    assert (state['step'], state['best']) == (12, first)


def test_run_json_has_the_commands_and_what_was_asked_for(tmp_path):
    recipe = run_recipe()
    run_until(tmp_path, recipe, 1, command='tinyfcn train a')
    list(start_run(tmp_path, recipe, resume=True, command='tinyfcn train a --resume'))
    info = json.loads((tmp_path / 'run.json').read_text())
    assert info['commands'] == ['tinyfcn train a', 'tinyfcn train a --resume']
    assert info['seed'] == 0 and info['recipe'] == json.loads(json.dumps(recipe.to_dict()))
    assert info['machine']['numpy'] == np.__version__


# ---- what is rejected ----------------------------------------------------------------------------

def test_a_folder_with_another_run_is_rejected_and_unchanged(finished):
    folder, _, _ = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match='already holds a run: --resume continues it, --run FOLDER '
                                         'chooses another folder'):
        list(start_run(folder, run_recipe(steps=5)))
    for changes, fields in [(dict(batch=2), 'batch'),
                            (dict(steps=9, momentum=.5), 'momentum, steps'),
                            (dict(optimizer='adam', rules={}), 'optimizer, rules')]:
        with pytest.raises(ValueError, match=f'{LAST} is of a run that differs in {fields}: '):
            list(start_run(folder, run_recipe(**{'steps': 5, **changes}), resume=True))
    with pytest.raises(ValueError, match=f'{LAST} is of a run that differs in seed: resume with '
                                         f'the same command, or start a new run with --run FOLDER'):
        list(start_run(folder, run_recipe(steps=5), seed=1, resume=True))
    with pytest.raises(ValueError, match=f'{LAST} does not hold the weights of '):
        list(start_run(folder, run_recipe(steps=5), small_net(), resume=True))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_of_another_shape_are_rejected(finished):
    with pytest.raises(ValueError, match=f'{LAST} does not hold the weights of '):
        list(start_run(finished[0], run_recipe(steps=5), stateful_net(channels=6), resume=True))


def test_another_source_of_the_recipe_is_the_same_run(finished):
    """Texts that only describe a recipe may change between two versions."""
    recipe = run_recipe(steps=5, source='elsewhere', target=dict(mean_iu=50.))
    assert list(start_run(finished[0], recipe, resume=True)) == []


def test_resuming_a_finished_run_does_nothing(finished):
    folder, _, _ = finished
    before = read_run(folder)
    net = shifted_net()
    assert list(start_run(folder, run_recipe(steps=5), net, resume=True)) == []
    assert read_run(folder) == before
    saved = checkpoint.load(folder / LAST)
    assert bits(net) == {name: w.tobytes() for name, w in saved.weights.items()}


# ---- stopped and resumed -------------------------------------------------------------------------

@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """The contents of the folder of a run that was not stopped."""
    folder = tmp_path_factory.mktemp('uninterrupted')
    list(start_run(folder, run_recipe()))
    return read_run(folder)


OPTIMIZERS = {'SGD': dict(),
              'Adam': dict(optimizer='adam', rules={}, lr=.01, batch=2, iter_size=1)}


@pytest.mark.parametrize('changes', OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_stopped_after_any_row_a_run_ends_as_if_it_had_not_been(tmp_path, changes):
    recipe = run_recipe(**changes)
    rows = list(start_run(tmp_path / 'whole', recipe))
    whole = read_run(tmp_path / 'whole')
    for n_rows in range(1, len(rows) + 1):
        folder = tmp_path / str(n_rows)
        first_rows = run_until(folder, recipe, n_rows)
        assert run_state(folder / LAST)['step'] == first_rows[-1]['step']
        other_rows = list(start_run(folder, recipe, shifted_net(), resume=True))
        resumed = read_run(folder)
        assert resumed.keys() == whole.keys()
        different = [key for key in whole if resumed[key] != whole[key]]
        assert not different, f'stopped after row {n_rows}'
        assert all('seconds' in row for row in other_rows)
    memory = ' count' if recipe.optimizer == 'adam' else ' velocity'
    assert any(' norm1.mean' in key for key in whole) and any(memory in key for key in whole)


def test_stopped_after_every_row(uninterrupted, tmp_path):
    while run_until(tmp_path / 'run', run_recipe(), 1, resume=True):
        pass
    assert read_run(tmp_path / 'run') == uninterrupted


def test_a_killed_run_resumes_from_the_last_checkpoint(uninterrupted, tmp_path):
    """Rows after the checkpoint are computed again, and so is one that the kill cut."""
    folder = tmp_path / 'run'
    stream = start_run(folder, run_recipe())
    list(islice(stream, 3))                             # step 2, validated and saved
    saved = (folder / LAST).read_bytes()
    list(islice(stream, 1))
    stream.close()
    (folder / LAST).write_bytes(saved)                  # a kill would have left this one
    log = folder / 'metrics.jsonl'
    assert [row['step'] for row in read_log(folder)] == [1, 2, 2, 3, 3]
    log.write_text(log.read_text()[:-7])
    list(start_run(folder, run_recipe(), shifted_net(), resume=True))
    assert read_run(folder) == uninterrupted


def test_killed_before_the_first_checkpoint_a_run_starts_again(uninterrupted, tmp_path):
    folder = tmp_path / 'run'
    run_until(folder, run_recipe(), 1)
    (folder / LAST).unlink()
    list(start_run(folder, run_recipe(), resume=True))
    assert read_run(folder) == uninterrupted


@pytest.mark.parametrize('cut', [1, 5, 20])
def test_a_line_that_was_cut_is_dropped(tmp_path, cut):
    path = tmp_path / 'metrics.jsonl'
    rows = [dict(step=i, loss=1 / i, lr=.1) for i in (1, 2, 3)]
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    path.write_text(text[:-cut])
    complete = rows[:3 if cut == 1 else 2]
    assert truncate_log(path, 9, print) == complete
    assert path.read_text() == ''.join(json.dumps(row) + '\n' for row in complete)
    assert truncate_log(path, 1, print) == rows[:1] and len(path.read_text().splitlines()) == 1
    assert truncate_log(tmp_path / 'none.jsonl', 5, print) == []


# ---- these comparisons can fail ------------------------------------------------------------------

@pytest.mark.parametrize('lost', ['momentum', 'step', 'statistics', 'seed'])
def test_a_run_that_loses_something_ends_differently(uninterrupted, tmp_path, lost):
    seed = int(lost == 'seed')
    run_until(tmp_path, run_recipe(), 2, seed=seed)
    weights, memory, about = checkpoint.load(tmp_path / LAST)
    if lost == 'momentum':
        memory = dict(velocity={})
    elif lost == 'step':
        about['run']['step'] = 1
    elif lost == 'statistics':
        weights['norm1.mean'] = weights['norm1.mean'] * 0
    about.pop('machine')
    checkpoint.save(tmp_path / LAST, weights, memory, about)
    list(start_run(tmp_path, run_recipe(), seed=seed, resume=True))
    key = f'{LAST} norm1.mean' if lost == 'statistics' else f'{LAST} conv1.w'
    assert read_run(tmp_path)[key] != uninterrupted[key]


# ---- another data set, another machine ----------------------------------------------------------

def stopped_run(folder, dataset=None, valid=VALID):
    run_until(folder, run_recipe(), 1, dataset=dataset, valid=valid)
    return {path: path.read_bytes() for path in folder.iterdir()}


OTHER_DATA = {
    'classes in another order': (dict(classes=('blob', 'ground', 'stripe')), {},
                                 'the training set .* stand in another order now: blob, ground, s'),
    'classes of other names': (dict(classes=('ground', 'blob', 'line')), {},
                               'the training set .* are ground, blob, line'),
    'a number of images': (dict(count=5), {}, 'the training set .* had 6 images and has 5'),
    'images': (dict(seed=1), {}, 'the training set .* first image, or the label of it, is another'),
    'validation images': ({}, dict(seed=1), 'the validation set .* first image'),
    'a number of validation images': ({}, dict(count=3), 'the validation set .* had 2 images and')}


@pytest.mark.parametrize('changes, valid_changes, message', OTHER_DATA.values(), ids=OTHER_DATA)
def test_a_run_is_not_resumed_on_another_data_set(tmp_path, changes, valid_changes, message):
    before = stopped_run(tmp_path)
    valid = small_dataset(**{**dict(count=2, seed=9), **valid_changes})
    with pytest.raises(ValueError, match=f'{LAST}: {message}.*Resume with the same data .--data., '
                                         f'or start a new run with --run FOLDER'):
        next(start_run(tmp_path, run_recipe(), resume=True, dataset=small_dataset(**changes),
                       valid=valid))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def change_a_mask(root):
    path = root / 'masks/04.png'
    label = np.array(Image.open(path))
    Image.fromarray(1 - label).save(path)


FILES = {'a mask': (change_a_mask, 'the training set .* its files had '),
         'the list': (lambda root: (root / 'train.txt').write_text('01\n02\n'), 'has 2')}


@pytest.mark.parametrize('change, message', FILES.values(), ids=FILES)
def test_a_run_is_not_resumed_on_changed_files(tmp_path, change, message):
    root = tmp_path / 'data'
    root.mkdir()
    write_bright_halves(root)
    folder = tmp_path / 'run'
    recipe = run_recipe(steps=1)
    run_until(folder, recipe, 1, dataset=load_dataset('folder', root))
    os.utime(root / 'masks/05.png', (1, 1))             # of the same contents
    run_until(folder, recipe, 1, dataset=load_dataset('folder', root), resume=True)
    change(root)
    with pytest.raises(ValueError, match=message):
        next(start_run(folder, recipe, resume=True, dataset=load_dataset('folder', root)))


def test_the_classes_of_a_run_of_version_0_1_are_compared(tmp_path):
    """It noted nothing else of its data."""
    stopped_run(tmp_path)
    weights, memory, about = checkpoint.load(tmp_path / LAST)
    del about['run']['data'], about['machine']
    about['classes'] = [*CLASSES]
    checkpoint.save(tmp_path / LAST, weights, memory, about)
    with pytest.raises(ValueError, match='stand in another order now'):
        next(start_run(tmp_path, run_recipe(), resume=True, dataset=small_dataset(
            classes=('blob', 'ground', 'stripe'))))
    run_until(tmp_path, run_recipe(), 1, resume=True, dataset=small_dataset(count=5))


def test_large_files_of_another_date_are_noted(tmp_path, monkeypatch):
    """Their contents are not read at the start of a run."""
    monkeypatch.setattr(run_module, 'HASHED_BYTES', 0)
    write_bright_halves(tmp_path)
    recipe = run_recipe(steps=2)
    folder = tmp_path / 'run'
    run_until(folder, recipe, 1, dataset=load_dataset('folder', tmp_path))
    os.utime(tmp_path / 'masks/05.png', (1, 1))
    notes = []
    rows = run(folder, stateful_net(), load_dataset('folder', tmp_path), VALID, recipe,
               resume=True, log=notes.append)
    next(rows)
    rows.close()
    assert notes == ['files of the training set have another date than at the last checkpoint, and '
                     'the same size: a copy, or were they changed?']


def test_another_machine_is_noted(tmp_path):
    stopped_run(tmp_path)
    weights, memory, about = checkpoint.load(tmp_path / LAST)
    machine = {**about.pop('machine'), 'blas_threads': 77}
    safetensors_file.save(tmp_path / LAST, {**weights, **checkpoint.memory_arrays(memory)},
                          {**about, 'machine': machine})
    notes = []
    rows = run(tmp_path, stateful_net(), small_dataset(), VALID, run_recipe(), resume=True,
               log=notes.append)
    next(rows)
    rows.close()
    note, = notes
    assert note.startswith('this machine is not the one of the checkpoint (blas_threads was 77 and')
    assert 'may differ in the last bits' in note


# ---- unusual data sets ---------------------------------------------------------------------------

def test_two_heads(tmp_path, monkeypatch):
    """The scores of the first head are the run's; those of the other stand under its name."""
    monkeypatch.undo()                                  # draws
    single = small_dataset(3, (20, 24))

    def read(name):
        image, label = single.read(name)
        return image, dict(score_sem=label, score_geo=label)

    classes = dict(score_sem=CLASSES, score_geo=('low', 'high', 'far'))
    dataset = Dataset(classes, single.names, read)
    net = build('siftflow_32s', n_class=3, width=1/64)
    rows = list(start_run(tmp_path, run_recipe(steps=2, lr=.01), net, valid=dataset,
                          dataset=dataset))
    assert [row['step'] for row in rows] == [1, 2, 2]
    assert rows[-1]['score_geo'].keys() >= {'mean_iu', 'iu'} and 0 <= rows[-1]['mean_iu'] <= 1
    assert rows == read_log(tmp_path) and (tmp_path / 'curves.png').exists()


def test_a_class_that_is_absent_is_null_in_json(tmp_path):
    def read(name):
        return np.zeros((6, 7, 3), 'uint8'), np.zeros((6, 7), 'uint8')

    ground_only = Dataset((*CLASSES, 'never'), ['a'], read)
    *_, validation = start_run(tmp_path, run_recipe(steps=2), valid=ground_only)
    assert validation['iu'][3] is None and 'NaN' not in (tmp_path / 'metrics.jsonl').read_text()


def test_a_validation_on_void_is_never_the_best(tmp_path):
    """There is no true pixel, so mean IU is null, and comparing it is no TypeError."""
    def read(name):
        return np.zeros((6, 7, 3), 'uint8'), np.full((6, 7), 255, 'uint8')

    void = Dataset(CLASSES, ['a'], read)
    notes = []
    *_, validation = run(tmp_path, stateful_net(), small_dataset(), void, run_recipe(steps=2),
                         log=notes.append)
    assert validation['mean_iu'] is None and (tmp_path / LAST).exists()
    assert notes == [f'step 2: all pixels of the validation images are void, so no {BEST} is '
                     f'written']


def test_the_preprocess_of_the_weights_is_restored_with_them(tmp_path):
    """A recipe may leave it to the weights, and a resumed run reads these from the checkpoint."""
    recipe = run_recipe(preprocess=None)
    run_until(tmp_path, recipe, 1)
    resumed = stateful_net()
    resumed.about['preprocess'] = None                  # as build_net without files leaves it
    assert len(list(start_run(tmp_path, recipe, resumed, resume=True))) == 4
    assert resumed.about['preprocess'] == json.loads(json.dumps(CENTRED))


def test_an_image_that_fails_leaves_the_previous_checkpoint(tmp_path):
    sixth = sample(small_dataset(), 5, 0).name

    def read(name):
        if name == sixth:
            raise ValueError(f'{name}.png: damaged')
        return small_dataset().read(name)

    dataset = Dataset(CLASSES, small_dataset().names, read)
    steps = []
    with pytest.raises(ValueError, match=f'^{sixth}.png: damaged'):
        for row in start_run(tmp_path, run_recipe(steps=8, iter_size=1, validate_every=4),
                             dataset=dataset):
            steps.append(row['step'])
    assert steps == [1, 2, 3, 4, 4, 5]
    assert run_state(tmp_path / LAST)['step'] in (4, 5)


def test_a_validation_that_fails_leaves_a_checkpoint(tmp_path):
    valid = Dataset(CLASSES, ['one'], lambda name: (np.zeros((9, 12, 3), 'uint8'),
                                                    np.zeros((9, 10), 'uint8')))
    with pytest.raises(ValueError, match='one: the image has 9×12 pixels and its label 9×10. The '
                                         'weights of step 2 are saved in last.safetensors: '):
        list(start_run(tmp_path, run_recipe(validate_every=2), valid=valid))
    assert run_state(tmp_path / LAST)['step'] == 2


# ---- initial weights -----------------------------------------------------------------------------

@pytest.fixture
def coarse(tmp_path):
    """The weights of the stage before. -> file, net"""
    net = build('fcn_squeezenet_16s', n_class=3)
    net.params['score_fr.w'][:] = 7
    net.about['preprocess'] = CENTRED
    net.save(tmp_path / 'coarse.safetensors')
    return tmp_path / 'coarse.safetensors', net


def test_a_stage_starts_from_the_weights_of_the_one_before(coarse):
    path, before = coarse
    net = build_net(make_recipe(net='fcn_squeezenet_8s'), CLASSES, 1, {'': path})
    for name, w in before.params.items():
        np.testing.assert_array_equal(net.params[name], w)
    assert not net.params['score_fire5.w'].any()
    assert net.about['classes'] == CLASSES and net.about['preprocess'] == CENTRED


def test_without_files_a_net_starts_from_the_seed():
    first, same, other = (build_net(make_recipe(net='fcn_squeezenet_16s'), CLASSES, seed)
                          for seed in (1, 1, 2))
    assert bits(first) == bits(same) != bits(other)


def test_classes_in_another_order_are_noted(coarse):
    file, _ = coarse
    notes = []
    build_net(get_recipe('folder', net='fcn_squeezenet_16s'), ('a', 'b', 'c'), 0, {'': file},
              notes.append)
    assert not notes                                    # the file does not say its classes
    net = build('fcn_squeezenet_16s', n_class=3)
    net.about.update(preprocess=CENTRED, classes=['a', 'c', 'b'])
    net.save(file)
    build_net(get_recipe('folder', net='fcn_squeezenet_16s'), ('a', 'b', 'c'), 0, {'': file},
              notes.append)
    note, = [note for note in notes if 'another order' in note]
    assert "in another order, a, c, b: the scores of 'b' start as those of 'c'" in note


def test_preprocess_is_that_of_the_weights_where_the_recipe_has_none(coarse):
    net = build_net(make_recipe(net='fcn_squeezenet_16s', preprocess=None), CLASSES, 0,
                    {'': coarse[0]})
    assert net.about['preprocess'] == json.loads(json.dumps(CENTRED))


def test_the_means_of_the_recipe_stay_where_order_and_scale_agree(coarse):
    """They are those of the paper, and weights round them otherwise."""
    preprocess = {**CENTRED, 'mean': (2.1, 2., 2.)}
    log = []
    net = build_net(make_recipe(net='fcn_squeezenet_16s', preprocess=preprocess), CLASSES, 0,
                    {'': coarse[0]}, log.append)
    assert net.about['preprocess'] == preprocess and not log


@pytest.mark.parametrize('key, value', [('order', 'BGR'), ('scale', 1.)])
def test_weights_decide_how_images_are_prepared(coarse, key, value):
    recipe = make_recipe(net='fcn_squeezenet_16s', preprocess={**CENTRED, key: value})
    log = []
    net = build_net(recipe, CLASSES, 0, {'': coarse[0]}, log.append)
    assert net.about['preprocess'] == json.loads(json.dumps(CENTRED))
    [line] = log
    assert re.fullmatch(r'images are prepared as .*coarse.safetensors needs it, RGB × 0.0156 − '
                        r'\(2, 2, 2\), and not as in the recipe, \w* × [\d.]* − \(2, 2, 2\)', line)
    next(train(net, VALID, recipe, make_optimizer(recipe)))
    assert net.about['preprocess'] == json.loads(json.dumps(CENTRED))


@pytest.mark.parametrize('key, value', [('order', 'BGR'), ('scale', 1.)])
def test_a_preprocess_that_is_asked_for_is_not_replaced(coarse, key, value):
    recipe = make_recipe(net='fcn_squeezenet_16s', preprocess={**CENTRED, key: value})
    with pytest.raises(ValueError, match=rf'coarse.safetensors was trained on images of {key} '
                                         rf'.*, and the recipe preprocesses them with {value!r}: '
                                         rf'leave out preprocess'):
        build_net(recipe, CLASSES, 0, {'': coarse[0]}, keep_preprocess=True)


@pytest.mark.parametrize('name, changes, is_kept', [
    ('nyud-hha-32s', dict(order='BGR'), True),          # HHA is no colour, and is not reversed
    ('nyud-hha-32s', dict(scale=1/255), False),
    ('nyud-rgbd-32s', dict(order='BGR'), True), ('nyud-rgbd-32s', dict(order='RGB'), False),
    ('nyud-rgb-32s', dict(order='BGR'), True)])
def test_channels_beside_the_colours_keep_their_means(tmp_path, name, changes, is_kept):
    vgg = build('vgg16', 1000, width=1/64)
    vgg.about['preprocess'] = dict(order='BGR', scale=1, mean=(1, 2, 3), std=(1, 1, 1)) | changes
    vgg.save(tmp_path / 'vgg.safetensors')
    recipe = get_recipe(name, net_kwargs={'width': 1/64})
    if is_kept:
        net = build_net(recipe, CLASSES, 0, {'': tmp_path / 'vgg.safetensors'})
        assert net.about['preprocess'] == recipe.preprocess
    else:
        with pytest.raises(ValueError, match='choose other weights'):
            build_net(recipe, CLASSES, 0, {'': tmp_path / 'vgg.safetensors'})


def test_a_run_of_a_recipe_that_said_how_images_are_prepared_resumes(tmp_path):
    """SqueezeNet's recipes leave it to the weights now; what was written before goes on."""
    before = run_recipe()
    run_until(tmp_path / 'whole', before, 99)
    run_until(tmp_path / 'a', before, 2)
    net = shifted_net()
    net.about['preprocess'] = None                      # as build_net without files leaves it
    run_until(tmp_path / 'a', replace(before, preprocess=None), 99, net=net, resume=True)
    whole, resumed = read_run(tmp_path / 'whole'), read_run(tmp_path / 'a')
    for contents in whole, resumed:
        for name in LAST, BEST:
            del contents[f'{name} run']['recipe']['preprocess']
    assert resumed == whole


def test_the_branches_of_a_net_start_from_nets_of_their_own(tmp_path):
    """HHA is no colour, and has an order of its own; color and HHA together are BGR, then HHA."""
    files = {}
    nets = {}
    width = {'width': 1/32}
    for suffix, name in ('color', 'nyud-rgb-32s'), ('hha', 'nyud-hha-32s'):
        net = nets[suffix] = build_net(get_recipe(name, net_kwargs=width), CLASSES)
        files[suffix] = tmp_path / f'{suffix}.safetensors'
        net.save(files[suffix])
    both = build_net(get_recipe('nyud-rgb-hha-32s', net_kwargs=width), CLASSES, 1, files)
    for suffix, net in nets.items():
        np.testing.assert_array_equal(both.params[f'conv1_1{suffix}.w'], net.params['conv1_1.w'])
    assert len(both.about['preprocess']['mean']) == 6


def test_an_error_of_reading_is_not_taken_for_a_full_disk(tmp_path):
    """Only what a run writes says `free disk space`."""
    def read(name):
        raise PermissionError(13, 'Permission denied', name)

    dataset = Dataset(CLASSES, ['a'], read)
    with pytest.raises(PermissionError) as error:
        list(run(tmp_path, stateful_net(), dataset, VALID, run_recipe()))
    assert 'free disk space' not in str(error.value)
