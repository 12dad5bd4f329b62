"""A run writes down what it did, and goes on from wherever it was stopped, to the last bit."""
import json
from itertools import islice

import numpy as np
import pytest
from PIL import Image
from training_samples import CENTRED, CLASSES, bits, net, pictures, recipe

from tinyfcn import build
from tinyfcn.data.batches import drawn
from tinyfcn.data.dataset import Dataset
from tinyfcn.training import checkpoint
from tinyfcn.training.loop import evaluate
from tinyfcn.training.run import begin, run as started, truncate_log

LAST, BEST = 'last.safetensors', 'best.safetensors'
VALID = pictures(2, seed=9)


def small(seed=0, **how):
    """Everything that has a memory or is chance: running statistics, dropout, momentum."""
    return net(norm=True, drop=.3, seed=seed, **how)


def other():
    """The same net with other weights: what a checkpoint does not restore is seen."""
    n = small()
    for w in (*n.params.values(), *n.state.values()):
        w += 1
    return n


def settings(**how):
    return recipe(**{**dict(steps=3, every=2, iter_size=2, mirrored=True, poly=.9), **how})


def run(folder, how, n=None, seed=0, resume=False, valid=VALID, chosen=None, command='train'):
    return started(folder, n or small(), chosen or pictures(), valid, how, seed, command, resume)


def what_it_left(folder):
    """Everything that must be the same; the seconds are not among it."""
    left = {}
    for name in LAST, BEST:
        weights, memory, about = checkpoint.load(folder / name)
        left |= {f'{name} {key}': w.tobytes() for key, w in weights.items()}
        left |= {f'{name} {kind} {key}': np.asarray(value).tobytes()
                 for kind, values in memory.items() for key, value in values.items()}
        left[f'{name} run'] = about['run']
    left['rows'] = [{key: row[key] for key in row if key != 'seconds'} for row in rows_in(folder)]
    return left


def rows_in(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


# ---- what is written down ------------------------------------------------------------------------

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of five steps, validated after 2, 4 and the last. -> folder, rows, net"""
    folder, n = tmp_path_factory.mktemp('runs') / 'new/run', small()
    rows = list(run(folder, settings(steps=5), n))
    return folder, rows, n


def test_the_files_of_a_run(whole):
    folder, _, _ = whole
    assert {path.name for path in folder.iterdir()} == {
        'run.json', 'metrics.jsonl', LAST, BEST, 'curves.png', 'predictions.png'}
    for name in 'curves.png', 'predictions.png':
        with Image.open(folder / name) as image:
            assert np.unique(np.asarray(image)).size > 20


def test_a_row_a_step_and_a_row_a_validation(whole):
    folder, rows, _ = whole
    assert rows == rows_in(folder)
    assert [(row['step'], 'loss' in row) for row in rows] == [
        (1, True), (2, True), (2, False), (3, True), (4, True), (4, False), (5, True), (5, False)]
    for row in rows:
        assert row.keys() == ({'step', 'loss', 'lr', 'seconds'} if 'loss' in row else {
            'step', 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu', 'iu', 'seconds'})
    seconds = [row['seconds'] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert rows[0]['lr'] == .1 > rows[1]['lr']


def test_the_last_checkpoint_is_the_net_and_the_best_had_the_best_mean_iu(whole):
    folder, rows, n = whole
    weights, memory, about = checkpoint.load(folder / LAST)
    assert {name: w.tobytes() for name, w in weights.items()} == bits(n)
    assert memory['velocity'].keys() == n.params.keys() and about['run']['step'] == 5
    judged = {row['step']: row['mean_iu'] for row in rows if 'mean_iu' in row}
    best, _, about = checkpoint.load(folder / BEST)
    assert about['run']['best'] == max(judged.values()) == judged[about['run']['step']]
    twin = small()
    for name, w in {**twin.params, **twin.state}.items():
        w[...] = best[name]
    assert evaluate(twin, VALID)['mean_iu'] == max(judged.values())


def test_the_best_is_not_always_the_last(tmp_path):
    """A net that believes in blobs, judged where all is blob, learns that all is ground."""
    def all_of(chosen, which):
        return Dataset(CLASSES, chosen.names, lambda name: (
            chosen.read(name)[0], np.full_like(chosen.read(name)[1], which)))

    n = small()
    n.params['score.b'][1] = 4
    rows = list(run(tmp_path, settings(steps=12, every=6, lr=.03), n, valid=all_of(VALID, 1),
                    chosen=all_of(pictures(), 0)))
    first, last = (row['mean_iu'] for row in rows if 'mean_iu' in row)
    assert last < .1 < first
    about = checkpoint.load(tmp_path / BEST)[2]['run']
    assert (about['step'], about['best']) == (6, first)
    about = checkpoint.load(tmp_path / LAST)[2]['run']
    assert (about['step'], about['best']) == (12, first)


def test_run_json_says_what_was_asked_for(tmp_path):
    stream = run(tmp_path, settings(), command='tinyfcn train a')
    next(stream)
    stream.close()
    list(run(tmp_path, settings(), resume=True, command='tinyfcn train a --resume'))
    note = json.loads((tmp_path / 'run.json').read_text())
    assert note['commands'] == ['tinyfcn train a', 'tinyfcn train a --resume']
    assert note['seed'] == 0 and note['recipe'] == json.loads(json.dumps(settings()))
    assert note['machine']['numpy'] == np.__version__


# ---- what is refused -----------------------------------------------------------------------------

def test_a_folder_that_holds_a_run_already(whole):
    folder, _, _ = whole
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match='holds a run already: --resume goes on with it, --run '
                                         'FOLDER names another'):
        list(run(folder, settings(steps=5)))
    for how, what in [(dict(lr=.2), 'lr'), (dict(steps=9, momentum=.5), 'momentum, steps'),
                      (dict(adam=True, rules={}), 'adam, rules')]:
        with pytest.raises(ValueError, match=f'is of a run with another {what}: go on with the '
                                             f'same command, or begin with --run FOLDER'):
            list(run(folder, settings(**{'steps': 5, **how}), resume=True))
    with pytest.raises(ValueError, match='is of a run with another seed'):
        list(run(folder, settings(steps=5), seed=1, resume=True))
    with pytest.raises(ValueError, match='not the weights of '):
        list(run(folder, settings(steps=5), net(), resume=True))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_of_another_shape_are_refused(whole):
    with pytest.raises(ValueError, match='not the weights of '):
        list(run(whole[0], settings(steps=5), small(channels=6), resume=True))


def test_a_finished_run_has_nothing_to_go_on_with(whole):
    folder, _, _ = whole
    before = what_it_left(folder)
    n = other()
    assert list(run(folder, settings(steps=5), n, resume=True)) == []
    assert what_it_left(folder) == before
    assert bits(n) == {key.split(' ')[1]: w for key, w in before.items()
                       if key.startswith(LAST) and key.count(' ') == 1 and key != f'{LAST} run'}


# ---- stopped, and gone on with -------------------------------------------------------------------

@pytest.fixture(scope='module')
def ended(tmp_path_factory):
    """What a run leaves that nobody stopped."""
    folder = tmp_path_factory.mktemp('ended')
    list(run(folder, settings()))
    return what_it_left(folder)


HOWS = {'SGD': dict(), 'Adam': dict(adam=True, rules={}, lr=.01, batch=2, iter_size=1)}


@pytest.mark.parametrize('how', HOWS.values(), ids=HOWS)
def test_stopped_after_any_row_it_ends_as_if_it_had_not_been(tmp_path, how):
    rows = list(run(tmp_path / 'whole', settings(**how)))
    left = what_it_left(tmp_path / 'whole')
    for stop in range(1, len(rows) + 1):
        folder = tmp_path / str(stop)
        stream = run(folder, settings(**how))
        early = list(islice(stream, stop))
        stream.close()
        assert checkpoint.load(folder / LAST)[2]['run']['step'] == early[-1]['step']
        late = list(run(folder, settings(**how), other(), resume=True))
        again = what_it_left(folder)
        assert again.keys() == left.keys()
        assert not [key for key in left if again[key] != left[key]], f'stopped after row {stop}'
        assert all('seconds' in row for row in late)
    assert any(' norm1.mean' in key for key in left) and any(
        (' count' if 'adam' in how else ' velocity') in key for key in left)


def test_stopped_again_and_again(ended, tmp_path):
    while True:
        stream = run(tmp_path / 'parts', settings(), resume=True)
        row = next(stream, None)
        stream.close()
        if row is None:
            break
    assert what_it_left(tmp_path / 'parts') == ended


def test_killed_it_goes_on_from_the_last_checkpoint(ended, tmp_path):
    """Rows that were written after it are made anew, and so is one that was cut."""
    folder = tmp_path / 'run'
    stream = run(folder, settings())
    list(islice(stream, 3))                             # step 2, validated and saved
    kept = (folder / LAST).read_bytes()
    list(islice(stream, 1))
    stream.close()
    (folder / LAST).write_bytes(kept)                   # as a kill would have left it
    log = folder / 'metrics.jsonl'
    assert [row['step'] for row in rows_in(folder)] == [1, 2, 2, 3, 3]
    log.write_text(log.read_text()[:-7])
    list(run(folder, settings(), other(), resume=True))
    assert what_it_left(folder) == ended


def test_killed_before_the_first_checkpoint_it_begins_anew(ended, tmp_path):
    folder = tmp_path / 'run'
    stream = run(folder, settings())
    next(stream)
    stream.close()
    (folder / LAST).unlink()
    list(run(folder, settings(), resume=True))
    assert what_it_left(folder) == ended


@pytest.mark.parametrize('cut', [1, 5, 20])
def test_a_line_that_was_cut_is_dropped(tmp_path, cut):
    path, rows = tmp_path / 'metrics.jsonl', [dict(step=i, loss=1 / i) for i in (1, 2, 3)]
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    path.write_text(text[:-cut])
    kept = rows[:3 if cut == 1 else 2]
    assert truncate_log(path, 9) == kept
    assert path.read_text() == ''.join(json.dumps(row) + '\n' for row in kept)
    assert truncate_log(path, 1) == rows[:1] and len(path.read_text().splitlines()) == 1
    assert truncate_log(tmp_path / 'none.jsonl', 5) == []


# ---- the comparison has teeth --------------------------------------------------------------------

@pytest.mark.parametrize('forget', ['momentum', 'step', 'statistics', 'seed'])
def test_a_run_that_forgets_something_ends_elsewhere(ended, tmp_path, forget):
    seed = int(forget == 'seed')
    stream = run(tmp_path, settings(), seed=seed)
    list(islice(stream, 2))
    stream.close()
    weights, memory, about = checkpoint.load(tmp_path / LAST)
    if forget == 'momentum':
        memory = dict(velocity={})
    elif forget == 'step':
        about['run']['step'] = 1
    elif forget == 'statistics':
        weights['norm1.mean'] = weights['norm1.mean'] * 0
    about.pop('machine')
    checkpoint.save(tmp_path / LAST, weights, memory, about)
    list(run(tmp_path, settings(), seed=seed, resume=True))
    key = f'{LAST} norm1.mean' if forget == 'statistics' else f'{LAST} conv1.w'
    assert what_it_left(tmp_path)[key] != ended[key]


# ---- odd ones ------------------------------------------------------------------------------------

def test_two_heads(tmp_path):
    """The first head's scores are the run's, the other's lie in them under its name."""
    whole = pictures(3, (20, 24))

    def read(name):
        image, label = whole.read(name)
        return image, dict(score_sem=label, score_geo=label)

    chosen = Dataset(dict(score_sem=CLASSES, score_geo=('low', 'high', 'far')), whole.names, read)
    n = build('siftflow_32s', n_class=3, width=1/64)
    rows = list(run(tmp_path, settings(steps=2, lr=.01), n, valid=chosen, chosen=chosen))
    assert [row['step'] for row in rows] == [1, 2, 2]
    assert rows[-1]['score_geo'].keys() >= {'mean_iu', 'iu'} and 0 <= rows[-1]['mean_iu'] <= 1
    assert rows == rows_in(tmp_path) and (tmp_path / 'curves.png').exists()


def test_a_class_that_is_nowhere_is_null(tmp_path):
    def read(name):
        return np.zeros((6, 7, 3), 'uint8'), np.zeros((6, 7), 'uint8')

    flat = Dataset((*CLASSES, 'never'), ['a'], read)
    *_, judged = run(tmp_path, settings(steps=2), valid=flat)
    assert judged['iu'][3] is None and 'NaN' not in (tmp_path / 'metrics.jsonl').read_text()


def test_a_validation_that_is_void_is_no_best(tmp_path):
    """Nothing is true in it, so no mean IU is: null, and no TypeError from comparing it."""
    void = Dataset(CLASSES, ['a'], lambda name: (np.zeros((6, 7, 3), 'uint8'),
                                                  np.full((6, 7), 255, 'uint8')))
    *_, judged = run(tmp_path, settings(steps=2), valid=void)
    assert judged['mean_iu'] is None and (tmp_path / LAST).exists()


def test_how_images_are_prepared_is_known_again_after_a_stop(tmp_path):
    """A recipe that leaves it to the weights: when they are in the checkpoint, so is that."""
    how = settings(preprocess=None)
    stream = run(tmp_path, how)
    next(stream)
    stream.close()
    resumed = small()
    resumed.about['preprocess'] = None                  # as `begin` makes it without files
    assert len(list(run(tmp_path, how, resumed, resume=True))) == 4
    assert resumed.about['preprocess'] == json.loads(json.dumps(CENTRED))


def test_a_picture_that_fails_leaves_the_checkpoint_before(tmp_path):
    def read(name):
        if name == sixth:
            raise ValueError(f'{name}.png: damaged')
        return pictures().read(name)

    sixth, rows = drawn(pictures(), 5, 0)[0], []
    with pytest.raises(ValueError, match=f'^{sixth}.png: damaged'):
        for row in run(tmp_path, settings(steps=8, iter_size=1, every=4),
                       chosen=Dataset(CLASSES, pictures().names, read)):
            rows.append(row['step'])
    assert rows == [1, 2, 3, 4, 4, 5]
    assert checkpoint.load(tmp_path / LAST)[2]['run']['step'] in (4, 5)


# ---- how it begins -------------------------------------------------------------------------------

@pytest.fixture
def coarse(tmp_path):
    """What a stage before has left."""
    n = build('fcn_squeezenet_16s', n_class=3)
    n.params['score_fr.w'][:] = 7
    n.about['preprocess'] = CENTRED
    n.save(tmp_path / 'coarse.safetensors')
    return tmp_path / 'coarse.safetensors', n


def test_a_stage_begins_where_the_one_before_has_ended(coarse):
    path, before = coarse
    n = begin(recipe(net='fcn_squeezenet_8s'), CLASSES, 1, {'': path})
    for name, w in before.params.items():
        np.testing.assert_array_equal(n.params[name], w)
    assert not n.params['score_fire5.w'].any()
    assert n.about['classes'] == CLASSES and n.about['preprocess'] == CENTRED


def test_without_files_it_begins_from_the_seed():
    a, b, c = (begin(recipe(net='fcn_squeezenet_16s'), CLASSES, seed) for seed in (1, 1, 2))
    assert bits(a) == bits(b) != bits(c)


def test_the_weights_say_how_images_are_prepared_where_the_recipe_does_not(coarse):
    n = begin(recipe(net='fcn_squeezenet_16s', preprocess=None), CLASSES, 0, {'': coarse[0]})
    assert n.about['preprocess'] == json.loads(json.dumps(CENTRED))


@pytest.mark.parametrize('key, value', [('order', 'BGR'), ('scale', 1.)])
def test_weights_of_images_prepared_otherwise_are_refused(coarse, key, value):
    how = recipe(net='fcn_squeezenet_16s', preprocess={**CENTRED, key: value})
    with pytest.raises(ValueError, match=rf'coarse.safetensors was trained on images of {key} '
                                         rf'.*, and the recipe prepares them with {value!r}'):
        begin(how, CLASSES, 0, {'': coarse[0]})
