"""tinyfcn train: which values it takes, where a run is kept, and what it refuses at once."""
import json
import os
import re
from shutil import copytree

import pytest

from tinyfcn.cli import parse
from tinyfcn.cli.train import default_run_folder, describe_missed, last_and_best
from tinyfcn.data import Dataset
from tinyfcn.training import recipes

# ---- --set ---------------------------------------------------------------------------------------

def changes(*words):
    return dict(parse(['train', 'folder', *words]).set)


def test_several_set_accumulate_and_the_last_value_counts():
    assert changes('--set', 'lr=1e-3', 'steps=5', '--set', 'batch=2', '--set', 'steps=7') == dict(
        lr=1e-3, steps=7, batch=2)
    assert changes() == {} == changes()                 # nothing is kept from call to call


def test_several_weights_accumulate():
    args = parse(['train', 'nyud-rgb-hha-32s', '--weights', 'a', '--weights', 'b'])
    assert [str(path) for path in args.weights] == ['a', 'b']


@pytest.mark.parametrize('change', [
    'steps=' + '-' * 5000 + '1', 'steps=' + '(' * 5000, 'steps=' + '9' * 5000, 'lr=1e999',
    'lr=nan', 'lr=-1', 'lr=True', 'steps=2.5', 'scale_range=(1, 1e999)', 'scale_range=(2, 1)',
    'net=[1]', 'net="nosuch"', 'init_from=5', 'net_kwargs=3', 'net_kwargs={"wide": 2}',
    'rules={"*.b": 3}', 'rules=5', 'loss_at={"nosuch": 1}', 'loss_at={}', 'class_weight=()',
    'class_weight=(1, 2)', 'target=3', 'target={"mean_iu": "x"}', 'source=4', 'flip=2',
    'train=("folder", 3)', 'valid=5', 'crop_size=(0, 5)', 'preprocess={"order": "RGB"}',
    'optimizer="lion"', 'nosuch=1', '=1', '\x1b[2J=1', 'lr=\x1b[2J'])
def test_values_are_checked_before_anything_starts(change, trained, run_main, tmp_path):
    """Each is exit code 2 and one sentence, and leaves no trace of a run."""
    folder = tmp_path / 'run'
    code, out, err = run_main('train', 'folder', '--data', trained[0], '--run', folder, '--set',
                              change)
    assert code == 2 and not out and '\x1b' not in err
    assert len(err) < 1500 and len(err.splitlines()) == 1
    assert not folder.exists() or not os.listdir(folder)


def test_what_numba_would_gain_is_said_once(trained, run_main, tmp_path, monkeypatch):
    monkeypatch.setattr('tinyfcn.cli.train.has_numba', lambda: False)
    code, _, err = run_main('train', 'folder', '--data', trained[0], '--run', tmp_path / 'run',
                            '--set', 'steps=1', 'crop_size=(40, 56)')
    assert code == 0 and err.splitlines()[0].startswith('Numba is not installed, so every op runs')
    assert err.count('Numba') == 1 and 'pip install numba' in err


# ---- Recipes -------------------------------------------------------------------------------------

def test_list_prints_a_row_for_every_recipe_with_what_it_needs(run_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / 'runs/voc-fcn16s/best.safetensors'
    weights.parent.mkdir(parents=True)
    weights.touch()
    code, out, _ = run_main('train', '--list')
    table, _, notes = out.partition('\n\n')
    header, *rows = table.splitlines()
    assert code == 0 and [row.split()[0] for row in rows] == [*recipes.RECIPES]
    assert re.search(r'^voc-fcn8s +fcn8s +sbd +voc-fcn16s\* +2\.8 GB +days +65\.5$', out, re.M)
    assert re.search(r'^shapes-8s +tiny_8s +shapes\* +shapes-16s +\d\d MB +minutes +–$', out, re.M)
    assert re.search(r'^folder +tiny_8s +your own +random weights ', out, re.M)
    assert notes.startswith('* is here; `tinyfcn data NAME`')
    assert max(map(len, out.splitlines())) < 120


def test_list_prints_the_fields_of_one_recipe(run_main):
    code, out, _ = run_main('train', 'folder', '--list', '--weights', 'squeezenet', '--set',
                            'patience=7', 'freeze=conv1*,fire2*')
    assert code == 0 and out.startswith('folder-squeezenet\n\n')
    for field in recipes.get_recipe('folder-squeezenet').to_dict():
        assert re.search(rf'^{field} ', out, re.M), field
    assert re.search(r"^freeze +\('conv1\*', 'fire2\*'\) +patterns of weights that stay", out, re.M)
    assert re.search('^patience +7 +stop once so many validations in a row', out, re.M)
    assert re.search("^optimizer +'sgd' +'sgd' or 'adam'$", out, re.M)
    assert max(map(len, out.splitlines())) <= 110
    code, _, err = run_main('train', 'nosuch', '--list')
    assert code == 2 and 'tinyfcn train --list' in err


def test_train_without_a_recipe_names_one(run_main):
    code, out, err = run_main('train', '--set', 'lr=1')
    assert code == 2 and not out
    assert '`tinyfcn train folder --data FOLDER`; `tinyfcn train --list` prints' in err


@pytest.mark.parametrize('typed, meant', [('foldr', 'folder'), ('stanford16s', 'stanford-16s'),
                                          ('voc_fcn8s', 'voc-fcn8s')])
def test_a_wrong_recipe_is_answered_with_near_ones(typed, meant, run_main):
    code, _, err = run_main('train', typed)
    assert code == 2 and re.search(f"no recipe called '{typed}'; did you mean .*{meant}", err)
    assert 'tinyfcn train --list' in err and len(err) < 300


@pytest.mark.parametrize('args, pattern', [
    (['check', 'stanfrod'], 'stanfrod: .*did you mean stanford'),
    (['eval', 'RUN', 'camvd'], 'camvd: .*did you mean camvid'),
    (['train', 'stanford-16s', '--weights', 'x'], '`tinyfcn data stanford` downloads .*--data'),
    (['train', 'voc_animals-16s', '--weights', 'x'], '`tinyfcn data voc2012` downloads'),
    (['train', 'folder-squeezenet', '--data', 'DATA'],
     'weights of squeezenet: `tinyfcn weights get squeezenet` fetches them; '),
    (['train', 'folder', '--data', 'DATA', '--weights', 'gone.pth'], 'gone.pth'),
    (['train', 'DATA'], 'to train on the images in a folder: `tinyfcn train folder --data /'),
    (['train', 'folder'], 'name the folder of your images with --data FOLDER'),
    (['check', 'folder'], 'name the folder of your images with --data FOLDER'),
    (['predict', 'DATA/images/one.jpg', 'RUN'], 'one.jpg: an image, where a file of weights')])
def test_what_is_missing_is_named_with_a_remedy(args, pattern, trained, run_main, tmp_path,
                                                monkeypatch):
    monkeypatch.chdir(tmp_path)
    root, run = trained
    code, out, err = run_main(*[arg.replace('RUN', str(run)).replace('DATA', str(root))
                                for arg in args])
    assert code == 2 and not out and re.search(pattern, err), err


# ---- --find-lr, patience, freeze, --tensorboard --------------------------------------------------

def test_the_table_at_the_end_has_the_last_and_the_best_validation(tmp_path):
    last = dict(step=8, mean_iu=.25, iu=[], pixel_acc=.5, mean_acc=.5, fw_iu=.5)
    rows = [dict(last, step=2, mean_iu=None), dict(last, step=4, mean_iu=.5),
            dict(last, step=6, mean_iu=.5), last]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    assert last_and_best('my', last, tmp_path) == {'my, step 8': last, 'the best, step 4': rows[1]}
    assert last_and_best('my', rows[1], tmp_path) == {'my': rows[1]}
    assert last_and_best('my', last, tmp_path / 'gone') == {'my': last}


def test_classes_that_are_never_predicted_are_named():
    dataset = Dataset(['sky', 'tree', 'bird', 'sea'], ['a'], str)
    missed, = describe_missed(dict(iu=[.5, 0., 0., None]), dataset)
    assert missed.startswith('No pixel is predicted right of: tree, bird. Longer training helps')
    assert not [*describe_missed(dict(iu=[.5, .1, .1, None]), dataset)]


def test_find_lr_suggests_a_rate_and_trains_nothing(trained, run_main, tmp_path):
    root, _ = trained
    command = ['train', 'folder', '--data', root, '--run', tmp_path, '--find-lr', '--set',
               'crop_size=(24, 24)', 'batch=2']
    code, out, err = run_main(*command)
    assert code == 0, err
    suggestion = re.search(r'suggested: --set lr=(\S+); the recipe has lr=0.003', out)
    assert 1e-4 < float(suggestion[1]) < 1
    assert os.listdir(tmp_path) == ['find-lr.png'] and str(tmp_path / 'find-lr.png') in out
    (tmp_path / 'find-lr.png').write_bytes(b'of another program')
    code, _, err = run_main(*command)
    assert code == 2 and 'find-lr.png: exists, and was not written by tinyfcn' in err
    code, _, err = run_main(*command, '--resume')
    assert code == 2 and 'leave out --resume' in err


def test_a_run_stops_early_with_a_frozen_trunk_and_an_event_file(trained, run_main, tmp_path):
    """At this rate predictions stay what they are."""
    code, out, err = run_main(
        'train', 'folder', '--data', trained[0], '--run', tmp_path, '--tensorboard', '--set',
        'steps=9', 'validate_every=1', 'crop_size=(40, 56)', 'patience=2', 'lr=1e-9',
        'freeze=conv*')
    assert code == 0, err
    assert 'freeze keeps weights that are random: start from trained ones' in err
    assert 'stopped early at step 3 of 9: the last 2 validations have not found a better' in err
    assert (tmp_path / 'events.out.tfevents.0.tinyfcn').stat().st_size > 500
    code, _, err = run_main('train', 'folder', '--data', trained[0], '--run', tmp_path / 'other',
                            '--set', 'freeze=fire*')
    assert code == 2 and "freeze has 'fire*', which matches none of the weights of this net" in err
    assert not (tmp_path / 'other').exists()


# ---- The folder of a run -------------------------------------------------------------------------

def test_the_run_is_called_like_its_data(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'cells').mkdir()
    for recipe, data, folder in [('folder', 'cells', 'cells'), ('folder', None, 'folder'),
                                 ('folder-unet', 'cells/', 'cells-unet'),
                                 ('stanford-16s', 'cells', 'stanford-16s')]:
        data = data and tmp_path / data
        assert default_run_folder(recipe, data).as_posix() == f'runs/{folder}'
    monkeypatch.chdir(tmp_path / 'cells')
    assert default_run_folder('folder', tmp_path.cwd().relative_to(tmp_path.cwd())).name == 'cells'


@pytest.mark.parametrize('flags', [[], ['--find-lr']])
def test_a_run_in_the_folder_of_its_images_is_refused(flags, trained, run_main):
    root, _ = trained
    before = sorted(os.listdir(root / 'images'))
    code, out, err = run_main('train', 'folder', '--data', root, '--run', root / 'images', *flags)
    assert code == 2 and not out and 'the images or labels of the data set are in this' in err
    assert sorted(os.listdir(root / 'images')) == before


def test_a_run_remembers_its_data(trained):
    root, run = trained
    info = json.loads((run / 'run.json').read_text())
    assert info['data'] == dict(name='folder', folder=str(root.resolve()))


@pytest.mark.parametrize('name', ['metrics.jsonl', 'run.json', 'curves.png', 'best.safetensors'])
def test_files_of_others_are_not_overwritten(name, trained, four_steps, run_main, tmp_path):
    (tmp_path / name).write_text('written by another program')
    command = ['train', 'folder', '--data', trained[0], '--run', tmp_path, *four_steps]
    code, out, err = run_main(*command)
    assert code == 2 and not out
    assert f'{tmp_path / name}: exists, and was not written by tinyfcn' in err
    assert os.listdir(tmp_path) == [name]


def test_a_finished_run_is_not_announced_again(trained, four_steps, run_main):
    root, run = trained
    code, out, err = run_main('train', 'folder', '--data', root, '--run', run, '--resume',
                              *four_steps)
    assert code == 0 and not out and 'finished' in err


def test_resuming_what_is_not_there_says_so(trained, four_steps, run_main, tmp_path):
    code, out, err = run_main('train', 'folder', '--data', trained[0], '--run', tmp_path / 'new',
                              '--resume', *four_steps)
    assert code == 0 and 'no checkpoint to resume' in err and 'best.safetensors' in out


def test_a_run_in_the_folder_of_version_01_is_resumed(trained, four_steps, run_main, tmp_path,
                                                      monkeypatch):
    root, run = trained
    monkeypatch.chdir(tmp_path)
    copytree(run, 'runs/folder')
    code, _, err = run_main('train', 'folder', '--data', root, '--resume', *four_steps)
    assert code == 0 and 'resuming the one in runs/folder' in err and 'finished' in err
    assert os.listdir('runs') == ['folder']


def test_a_run_of_another_net_is_resumed_by_its_own_command(trained, run_main, tmp_path):
    """A SqueezeNet from random weights, with the rest of recipe folder: not folder-squeezenet."""
    root, _ = trained
    command = ['train', 'folder', '--data', root, '--run', tmp_path / 'run', '--set',
               'net=fcn_squeezenet_8s', 'net_kwargs={"width":.0625}', 'steps=1', 'batch=1',
               'crop_size=(64,64)', 'validate_every=1']
    assert run_main(*command)[0] == 0
    code, _, err = run_main(*command, '--resume')
    assert code == 0 and 'finished' in err


def test_a_run_whose_last_checkpoint_was_moved_away_is_not_taken_for_another(
        trained, four_steps, run_main, tmp_path, monkeypatch):
    root, run = trained
    monkeypatch.chdir(tmp_path)
    own = tmp_path / 'runs' / root.name
    copytree(run, 'runs/folder')
    copytree(run, own)
    (own / 'last.safetensors').unlink()
    code, _, err = run_main('train', 'folder', '--data', root, '--resume', *four_steps)
    assert code == 0 and 'continues from best.safetensors' in err and 'runs/folder' not in err


DAMAGES = {'run.json, cut': ('run.json', lambda text: text[:50]),
           'run.json, empty': ('run.json', lambda text: b''),
           'run.json, of another program': ('run.json', lambda text: b'{"name": "mine"}'),
           'metrics.jsonl': ('metrics.jsonl', lambda text: b'{"epoch": 1}\n' + text),
           'best.safetensors': ('best.safetensors', bytes)}


@pytest.mark.parametrize('name, change', DAMAGES.values(), ids=DAMAGES)
def test_resumed_with_overwrite_a_run_replaces_damaged_files(name, change, trained, four_steps,
                                                             run_main, tmp_path):
    root, run = trained
    folder = copytree(run, tmp_path / 'run')
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    before = (folder / 'last.safetensors').read_bytes()
    code, _, err = run_main('train', 'folder', '--data', root, '--run', folder, '--resume',
                            '--overwrite', *four_steps)
    assert code == 0 and 'finished' in err, err
    assert (folder / 'last.safetensors').read_bytes() == before
    assert json.loads((folder / 'run.json').read_text())['seed'] == 0


@pytest.mark.parametrize('name', ['metrics.jsonl', 'run.json', 'curves.png', 'best.safetensors',
                                  'last.safetensors'])
def test_files_of_others_are_overwritten_where_asked(name, trained, four_steps, run_main, tmp_path):
    (tmp_path / name).write_text('written by another program')
    code, out, err = run_main('train', 'folder', '--data', trained[0], '--run', tmp_path,
                              '--overwrite', *four_steps)
    assert code == 0, err
    assert len(os.listdir(tmp_path)) == 6 and json.loads((tmp_path / 'run.json').read_text())


def test_a_run_is_not_overwritten(trained, four_steps, run_main):
    """--overwrite is for files that no run of tinyfcn has written."""
    root, run = trained
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, _, err = run_main('train', 'folder', '--data', root, '--run', run, '--overwrite',
                            *four_steps)
    assert code == 2 and 'already holds a run' in err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_refused_training_is_not_announced(trained, four_steps, run_main):
    root, run = trained
    code, out, err = run_main('train', 'folder', '--data', root, '--run', run, *four_steps)
    assert code == 2 and not out and 'already holds a run' in err
