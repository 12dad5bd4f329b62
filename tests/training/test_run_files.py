"""What a run finds in its folder: its own files are checked, and those of others left alone."""
import json
import os
import sys
from itertools import islice
from pathlib import Path
from shutil import copytree

import pytest
from training_samples import make_recipe, small_dataset, small_net

from tinyfcn.files import FormatError
from tinyfcn.training import checkpoint
from tinyfcn.training.run import read_run_info, run
from tinyfcn.training.run_files import read_rows

V01 = Path(__file__).parents[1] / 'fixtures/v01'
VALID = small_dataset(2, seed=9)
LAST = 'last.safetensors'
BEST = 'best.safetensors'
FILES = {'run.json', 'metrics.jsonl', LAST, BEST, 'curves.png', 'predictions.png'}
pytestmark = pytest.mark.usefixtures('no_drawing')


def start(folder, resume=False, log=print, data=None, **changes):
    return run(folder, small_net(), small_dataset(), VALID, make_recipe(steps=4, **changes),
               resume=resume, log=log, data=data)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('finished')
    [*start(folder)]
    return folder


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stopped')
    rows = start(folder)
    [*islice(rows, 4)]
    rows.close()
    return folder


@pytest.fixture
def half(stopped, tmp_path):
    """A run that was stopped at step 3 of 4."""
    return copytree(stopped, tmp_path / 'half')


# ---- files of others -----------------------------------------------------------------------------

@pytest.mark.parametrize('resume', [False, True])
@pytest.mark.parametrize('name, text', [
    ('metrics.jsonl', '{"epoch": 1, "loss": 0.5}\n'), ('metrics.jsonl', ''),
    ('run.json', '{"name": "mine"}'), ('run.json', '[]'), ('run.json', ''),
    (BEST, 'weights of somebody'), (LAST, 'weights of somebody')])
def test_a_folder_with_files_of_another_program_is_left_as_it_is(tmp_path, name, text, resume):
    (tmp_path / name).write_text(text)
    (tmp_path / 'notes.txt').write_text('mine')
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=f'{name}|already holds a run') as error:
        next(start(tmp_path, resume))
    assert '--run' in str(error.value) or isinstance(error.value, FormatError)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('name', sorted(FILES))
def test_no_link_is_followed(tmp_path, name):
    target = tmp_path / 'precious'
    target.write_text('precious')
    folder = tmp_path / 'run'
    folder.mkdir()
    (folder / name).symlink_to(target)
    with pytest.raises(ValueError, match=f'{name}: a link to .*precious, which a run would '
                                         f'replace'):
        next(start(folder))
    assert target.read_text() == 'precious' and os.listdir(folder) == [name]


def test_a_link_that_comes_later_is_not_followed_either(tmp_path):
    target = tmp_path / 'precious'
    target.write_text('precious')
    rows = start(tmp_path / 'run')
    next(rows)
    for name in LAST, 'curves.png':
        (tmp_path / 'run' / name).symlink_to(target)
    with pytest.raises(ValueError, match='a link to'):
        list(rows)
    assert target.read_text() == 'precious'


@pytest.mark.skipif(sys.platform == 'win32', reason='no pipes in folders')
@pytest.mark.parametrize('name', ['run.json', 'metrics.jsonl'])
def test_a_pipe_does_not_hang(half, name):
    (half / name).unlink()
    os.mkfifo(half / name)
    with pytest.raises(ValueError, match='a pipe or a device'):
        next(start(half, resume=True))


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / 'run').write_text('')
    with pytest.raises(ValueError, match='run: a file, not a folder; choose another with --run'):
        next(start(tmp_path / 'run'))


def test_the_best_weights_without_the_last_ones_are_not_overwritten(half):
    (half / LAST).unlink()
    before = contents(half)
    with pytest.raises(ValueError, match='already holds a run: --resume continues it'):
        next(start(half))
    assert contents(half) == before


def test_without_the_last_weights_a_run_goes_on_from_the_best_ones(half, finished):
    """A kill between the two files leaves the best ones alone."""
    (half / LAST).unlink()
    notes = []
    steps = [row['step'] for row in start(half, resume=True, log=notes.append)]
    assert steps == [3, 4, 4] and notes[0].endswith('continues from best.safetensors, of step 2')
    ends = [checkpoint.load(folder / LAST).weights for folder in (half, finished)]
    assert all(w.tobytes() == ends[1][name].tobytes() for name, w in ends[0].items())


DAMAGES = {'cut': lambda path: os.truncate(path, 700),
           'zeros': lambda path: path.write_bytes(bytes(path.stat().st_size)),
           'empty': lambda path: os.truncate(path, 0)}


@pytest.mark.parametrize('damage', DAMAGES.values(), ids=DAMAGES)
def test_beside_damaged_last_weights_the_best_ones_are_offered(half, damage):
    """They are not taken unasked: last.safetensors may be of a later step, and be on a backup."""
    damage(half / LAST)
    before = contents(half)
    advice = f'{BEST} is complete, of step 2: move {LAST} away, and --resume continues from there'
    with pytest.raises(FormatError, match=rf'{LAST}: .*\. {advice}$') as error:
        next(start(half, resume=True))
    assert 'get the file again' not in str(error.value) and contents(half) == before
    (half / LAST).rename(half / 'damaged')
    assert [row['step'] for row in start(half, resume=True)] == [3, 4, 4]


@pytest.mark.parametrize('best', ['damaged', 'missing'])
def test_without_whole_weights_a_new_run_is_advised(half, best):
    os.truncate(half / LAST, 700)
    os.truncate(half / BEST, 700)
    if best == 'missing':
        (half / BEST).unlink()
    with pytest.raises(FormatError, match=f'{LAST}: .*No other checkpoint of this run can '
                                          f'be read: start a new run with --run FOLDER'):
        next(start(half, resume=True))


def test_a_run_that_failed_before_its_first_checkpoint_can_be_started_again(tmp_path):
    """Its rows count for nothing."""
    rows = start(tmp_path)
    next(rows)
    rows.close()
    (tmp_path / LAST).unlink()
    assert [row['step'] for row in start(tmp_path)] == [1, 2, 2, 3, 4, 4]


# ---- nothing to resume ---------------------------------------------------------------------------

def test_resuming_nothing_is_noted(tmp_path):
    notes = []
    rows = start(tmp_path / 'mistyped', resume=True, log=notes.append)
    assert next(rows)['step'] == 1
    rows.close()
    assert notes == [f'{tmp_path / "mistyped"}: there is no checkpoint to resume from; the run '
                     f'begins at step 0']


def test_resuming_a_finished_run_is_noted(finished):
    notes = []
    assert [*start(finished, resume=True, log=notes.append)] == []
    assert notes == [f'{finished}: this run is finished, all of its 4 steps are done']


# ---- rows ----------------------------------------------------------------------------------------

GOOD = ['{"step": 1, "loss": 0.5, "lr": 0.1, "seconds": 0.1}',
        '{"step": 1, "pixel_acc": 0.5, "mean_acc": null, "mean_iu": 0.1, "fw_iu": 0.1, '
        '"iu": [0.1, null], "seconds": 0.1}']
BAD = ['', '{', '5', '[]', 'null', '"step"', '{}', '{"step": 0, "loss": 1, "lr": 1}',
       '{"step": "1", "loss": 1, "lr": 1}', '{"step": true, "loss": 1, "lr": 1}',
       '{"step": 1, "loss": "low", "lr": 1}', '{"step": 1, "loss": NaN, "lr": 1}',
       '{"step": 1, "loss": 1e999, "lr": 1}', '{"step": 1, "loss": 1}',
       '{"step": 1, "loss": null, "lr": 1}', '{"step": 1, "mean_iu": 0.5}', '[' * 100_000,
       '{"step": 1, "loss": 1' + '0' * 5000 + ', "lr": 1}', '\x00\xff\x1b[2J',
       '{"step": 1' + ' ' * 10,
       '{"step": 1, "pixel_acc": 0, "mean_acc": 0, "mean_iu": 0, "fw_iu": 0, "iu": 5}',
       '{"step": 1, "pixel_acc": 0, "mean_acc": 0, "mean_iu": 0, "fw_iu": 0, "iu": ["a"]}',
       '{"step": 1, "pixel_acc": 0, "mean_acc": 1e200, "mean_iu": 0, "fw_iu": 0, "iu": [0]}',
       '{"step": 1, "pixel_acc": -5, "mean_acc": 0, "mean_iu": 0, "fw_iu": 0, "iu": [0]}']


@pytest.mark.parametrize('bad', BAD)
def test_a_line_that_is_no_row_is_dropped_alone_and_noted(tmp_path, bad):
    path = tmp_path / 'metrics.jsonl'
    path.write_bytes('\n'.join([GOOD[0], bad, *GOOD, '']).encode())
    notes = []
    assert read_rows(path, notes.append) == [json.loads(line) for line in (GOOD[0], *GOOD)]
    assert notes == [f'{path}: 1 of 4 lines are no rows of a run and left out (line 2)'] * bool(bad)


def test_a_row_that_is_lost_is_noted_when_the_run_resumes(half):
    log = half / 'metrics.jsonl'
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(''.join(['{"step": 1, "lo\n', *lines[1:]]))
    notes = []
    [*start(half, resume=True, log=notes.append)]
    assert notes == [f'{log}: 1 of 4 lines are no rows of a run and left out (line 1)',
                     f'{log}: the rows of 1 of the first 3 steps are missing; the weights are not '
                     f'affected']
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row['step'] for row in rows] == [2, 2, 3, 4, 4]


# ---- run.json ------------------------------------------------------------------------------------

def test_the_run_remembers_its_data(tmp_path):
    [*islice(start(tmp_path, data=('folder', Path('my'))), 1)]
    assert read_run_info(tmp_path)['data'] == dict(name='folder', folder=os.path.abspath('my'))
    [*islice(start(tmp_path, resume=True), 1)]          # which is not forgotten
    assert read_run_info(tmp_path)['data']['name'] == 'folder'
    [*islice(start(tmp_path, resume=True, data=('shapes', None)), 1)]
    assert read_run_info(tmp_path)['data'] == dict(name='shapes', folder=None)


def test_a_folder_whose_name_is_no_text_is_remembered(tmp_path):
    name = os.fsdecode(b'bilder-\xff')
    [*islice(start(tmp_path, data=('folder', Path('/data') / name)), 1)]
    assert read_run_info(tmp_path)['data']['folder'] == f'/data/{name}'


def test_there_is_no_information_where_there_is_no_run(tmp_path):
    assert read_run_info(tmp_path) == read_run_info(tmp_path / 'nowhere') == {}


def test_run_json_of_version_0_1_is_read():
    info = read_run_info(V01 / 'adam')
    assert info['seed'] == 0 and 'data' not in info


@pytest.mark.parametrize('change', [
    dict(commands='train'), dict(commands=[1]), dict(seed='0'), dict(seed=True), dict(recipe=5),
    dict(recipe=dict(lr='fast', steps=1)), dict(machine=None), dict(data='folder'),
    dict(data=dict(name=5, folder=None)), dict(data=dict(name='a')), dict(changes=5)])
def test_a_run_json_of_another_shape_is_rejected(half, change):
    info = {**json.loads((half / 'run.json').read_text()), **change}
    if change == dict(data=dict(name='a')):
        info['data']['folder'] = 5
    (half / 'run.json').write_text(json.dumps(info))
    before = contents(half)
    key, = change
    with pytest.raises(ValueError, match=rf'run.json: not the run.json of a run \(its {key} is '):
        next(start(half, resume=True))
    assert contents(half) == before


def test_keys_of_run_json_that_may_be_missing_may_be_null(half):
    info = {**json.loads((half / 'run.json').read_text()), 'data': None, 'changes': None}
    (half / 'run.json').write_text(json.dumps(info))
    assert [row['step'] for row in start(half, resume=True)] == [4, 4]


@pytest.mark.parametrize('text', ['', '{', '[[]]', '5', '[' * 100_000, '\x00', '{"commands": NaN}',
                                  '1' * 5000])
def test_a_run_json_that_is_no_dict_is_rejected(half, text):
    (half / 'run.json').write_text(text)
    with pytest.raises(ValueError, match='run.json: not the run.json of a run '):
        next(start(half, resume=True))


# ---- checkpoints ---------------------------------------------------------------------------------

@pytest.mark.parametrize('key, value', [
    ('step', -1), ('step', '3'), ('step', True), ('best', 'high'), ('best', None), ('recipe', []),
    ('recipe', {'lr': 'fast'}), ('seed', None), ('data', 5), ('data', {'images': 'many'}),
    ('data', {'classes': {'score': 5}}), ('data', {'valid': 5})])
def test_a_checkpoint_with_another_state_is_rejected(half, key, value):
    weights, memory, about = checkpoint.load(half / LAST)
    about['run'][key] = value
    del about['machine']
    with pytest.raises(ValueError, match=f"{LAST}|its entry 'run'"):
        checkpoint.save(half / LAST, weights, memory, about)
        next(start(half, resume=True))


@pytest.mark.parametrize('about', [dict(), dict(run=5), dict(run={}), dict(preprocess=5)])
def test_a_checkpoint_that_says_nothing_of_its_run_is_rejected(half, about):
    weights, memory, before = checkpoint.load(half / LAST)
    about = {**before, **about} if 'preprocess' in about else about
    about.pop('machine', None)
    with pytest.raises(FormatError, match=f"{LAST}|its entry '(run|preprocess)'"):
        checkpoint.save(half / LAST, weights, memory, about)
        next(start(half, resume=True))


@pytest.mark.parametrize('memory', [dict(mean={}), dict(velocity={'nosuch.w': 5.}),
                                    dict(velocity={'conv1.w': [1., 2.]})])
def test_the_memory_of_another_optimizer_is_rejected(half, memory):
    import numpy as np
    weights, _, about = checkpoint.load(half / LAST)
    del about['machine']
    arrays = {kind: {name: np.array(value) for name, value in (values or {'conv1.w': 0.}).items()}
              for kind, values in memory.items()}
    checkpoint.save(half / LAST, weights, arrays, about)
    with pytest.raises(ValueError, match='does not hold the memory of this optimizer'):
        next(start(half, resume=True))


def test_a_run_of_version_0_1_without_fields_of_today_resumes(half):
    """Neither the data set nor the changes of the recipe are known of it."""
    weights, memory, about = checkpoint.load(half / LAST)
    del about['run']['data'], about['machine']
    checkpoint.save(half / LAST, weights, memory, about)
    info = json.loads((half / 'run.json').read_text())
    (half / 'run.json').write_text(json.dumps({key: info[key] for key in (
        'commands', 'seed', 'recipe', 'machine')}))
    assert [row['step'] for row in start(half, resume=True)] == [4, 4]
