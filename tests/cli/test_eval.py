"""tinyfcn eval: it finds the data of a run, and says when its scores are not what they seem."""
import json
import os
import re
from shutil import copy, copytree

import numpy as np
import pytest
from PIL import Image

from tinyfcn import Dataset, build, load, load_dataset, metrics
from tinyfcn.cli.evaluate import changes_of_data, count_trained_on, require_same_classes
from tinyfcn.cli.tables import iu_table, score_table
from tinyfcn.data.fingerprint import fingerprint
from tinyfcn.data.shapes import SPLITS
from tinyfcn.training import get_recipe
from tinyfcn.viz import class_colours


@pytest.fixture
def moved(trained, tmp_path):
    """Copies of the data set and of the run, which remembers the copy."""
    root, run = tmp_path / 'data', tmp_path / 'run'
    copytree(trained[0], root)
    copytree(trained[1], run)
    info = json.loads((run / 'run.json').read_text())
    info['data']['folder'] = str(root)
    (run / 'run.json').write_text(json.dumps(info))
    return root, run


# ---- The data set --------------------------------------------------------------------------------

def test_a_run_knows_its_data(trained, run_main, monkeypatch, tmp_path):
    """From any folder, and also by its checkpoint."""
    monkeypatch.chdir(tmp_path)
    root, run = trained
    code, named, err = run_main('eval', run, '--data', root)
    assert code == 0, err
    for weights in run, run / 'best.safetensors':
        code, out, err = run_main('eval', weights)
        assert code == 0, err
        assert out.splitlines()[1].split()[-4:] == named.splitlines()[1].split()[-4:]
    assert 'trained on' not in out


def test_data_that_was_moved_is_asked_for(moved, run_main, tmp_path):
    root, run = moved
    root.rename(tmp_path / 'elsewhere')
    code, _, err = run_main('eval', run)
    assert code == 2 and f'{root}: the folder with the data' in err and '--data FOLDER' in err
    assert run_main('eval', run, '--data', tmp_path / 'elsewhere')[0] == 0


def test_a_folder_without_lists_has_the_images_that_training_holds_out(moved, run_main):
    root, run = moved
    of_run, of_folder = (run_main('eval', run, *args)[1].splitlines() for args in ((), (root,)))
    assert of_folder == of_run and of_run[1].startswith(f'{run} ')
    (root / 'val.txt').write_text('gone\n')
    code, _, err = run_main('eval', run, root)
    assert code == 2 and 'gone.png: no such file' in err


def test_weights_without_a_run_need_a_data_set(moved, run_main, tmp_path):
    net = load(moved[1])
    del net.about['run']
    net.save(tmp_path / 'alone.safetensors')
    code, _, err = run_main('eval', tmp_path / 'alone.safetensors')
    assert code == 2 and 'name a data set' in err
    assert run_main('eval', tmp_path / 'alone.safetensors', moved[0], '--split', 'train')[0] == 0


def test_before_a_validation_the_last_checkpoint_is_taken(moved, run_main):
    root, run = moved
    (run / 'best.safetensors').unlink()
    code, _, err = run_main('eval', run)
    assert code == 0 and 'no best.safetensors' in err and 'taking last.safetensors' in err


@pytest.mark.parametrize('named', [True, False])
def test_images_that_were_trained_on_are_counted(named, trained, run_main):
    root, run = trained
    code, out, _ = run_main('eval', run, *[root] * named, '--split', 'train')
    trained_on = int(re.search(r'(\d+) of these 12 images were trained on', out).group(1))
    assert code == 0 and 5 < trained_on < 12


@pytest.mark.parametrize('split', ['train', 'val'])
def test_generated_images_that_were_trained_on_are_counted(split, monkeypatch):
    monkeypatch.setitem(SPLITS, 'train', (1, 60))
    dataset = load_dataset('shapes', split=split)
    recipe = get_recipe('shapes-8s')
    assert recipe.train == ('shapes', 'train')
    assert count_trained_on(dataset, recipe, None) == (60 if split == 'train' else 0)


def test_a_changed_validation_set_is_reported(moved, run_main):
    root, run = moved
    code, out, _ = run_main('eval', run)
    assert code == 0 and 'has changed' not in out
    for i in range(20, 40):
        copy(root / 'images/one.jpg', root / f'images/{i}.jpg')
        copy(root / 'masks/one.png', root / f'masks/{i}.png')
    code, out, _ = run_main('eval', run)
    assert code == 0 and re.search('validation set has changed: it had 3 images and has', out)


def test_a_changed_image_of_the_same_size_is_reported(moved, run_main):
    root, run = moved
    valid = load(run).about['run']['data']['valid']
    assert valid['contents'] and not valid['dates']
    for image in (root / 'images').iterdir():
        data = bytearray(image.read_bytes())
        data[-10] ^= 1
        image.write_bytes(data)
    _, out, _ = run_main('eval', run)
    assert 'validation set has changed: its files have other contents, of the same size' in out


@pytest.mark.parametrize('data', [
    'x', 3, dict(valid='x'), dict(valid=dict(classes=3)), dict(valid=dict(images='many')),
    dict(valid=dict(contents=[]))])
def test_damaged_fingerprints_are_not_compared(data, trained):
    note, = changes_of_data(dict(data=data), load_dataset('folder', trained[0]))
    assert 'not compared' in note


def test_other_dates_of_unread_files_are_reported(moved, run_main):
    """Of a large set the fingerprint has the dates of files in place of their contents."""
    root, run = moved
    dataset = load_dataset('folder', root)
    state = dict(data=dict(valid=fingerprint(dataset)))
    assert changes_of_data(state, dataset) == []
    os.utime(root / 'images/one.jpg', (1, 1))
    note, = changes_of_data(state, dataset)
    assert 'another date' in note


# ---- Classes -------------------------------------------------------------------------------------

@pytest.mark.parametrize('classes, message', [
    ('sky\nroad\ntree\n', "class 1 is 'tree' for the net and 'road' in the data set"),
    ('sky\ntree\nroad\ncar\n', "class 3 is missing for the net and 'car' in the data set"),
    ('sky\ntree\n', "class 2 is 'road' for the net and missing in the data set")])
def test_other_classes_than_those_of_the_net_are_refused(classes, message, moved, run_main):
    root, run = moved
    assert (root / 'classes.txt').read_text().split() == ['sky', 'tree', 'road']
    (root / 'classes.txt').write_text(classes)
    for args in ['eval', run], ['eval', run, root, '--split', 'train']:
        code, out, err = run_main(*args)
        assert code == 2 and not out and message in err, err
        assert 'sky, tree, road' in err


def test_a_net_without_names_is_compared_by_their_number(moved, run_main, tmp_path):
    root, run = moved
    net = load(run)
    del net.about['run'], net.about['classes']
    net.save(tmp_path / 'unnamed.safetensors')
    assert run_main('eval', tmp_path / 'unnamed.safetensors', root, '--split', 'train')[0] == 0
    classes = (root / 'classes.txt').read_text()
    (root / 'classes.txt').write_text(f'{classes}\ncar\n')
    code, _, err = run_main('eval', tmp_path / 'unnamed.safetensors', root, '--split', 'train')
    assert code == 2 and "class 3 is missing for the net and 'car'" in err
    larger = build('tiny_8s', 4, width=1/8)
    larger.about['preprocess'] = net.about['preprocess']
    larger.save(tmp_path / 'larger.safetensors')
    (root / 'classes.txt').write_text(classes)
    code, _, err = run_main('eval', tmp_path / 'larger.safetensors', root, '--split', 'train')
    assert code == 2 and "class 3 is '3' for the net and missing in the data set" in err


def test_a_net_with_other_outputs_is_refused():
    dataset = Dataset(dict(score_sem=['sky'], score_geo=['flat']), ['one'], read=None)
    with pytest.raises(ValueError, match='labels for score_sem, and the net has no such .*: score'):
        require_same_classes(build('tiny_8s', 3, width=1/8), dataset)


# ---- Files and tables ----------------------------------------------------------------------------

def test_export_overwrites_no_mask_drawn_by_hand(trained, run_main, tmp_path):
    root, run = trained
    (tmp_path / 'score').mkdir()
    drawn = tmp_path / 'score/two.png'
    Image.fromarray(np.full((40, 56), 1, 'uint8')).save(drawn)
    before = drawn.read_bytes()
    args = ['eval', run, root, '--split', 'train', '--export', tmp_path]
    code, _, err = run_main(*args)
    assert code == 2 and f'{drawn}: exists' in err
    assert drawn.read_bytes() == before and [*(tmp_path / 'score').iterdir()] == [drawn]
    assert run_main(*args, '--overwrite')[0] == 0 and drawn.read_bytes() != before
    assert run_main(*args)[0] == 0                      # these are its own


def test_exports_have_the_colours_of_the_classes(trained, run_main, tmp_path):
    root, run = trained
    assert run_main('eval', run, root, '--split', 'train', '--export', tmp_path)[0] == 0
    dataset = load_dataset('folder', root)
    with Image.open(tmp_path / 'score/two.png') as mask:
        assert mask.getpalette() == class_colours(dataset.classes, dataset.colours).ravel().tolist()


def test_the_published_scores_are_printed_for_their_data_set_alone(moved, run_main):
    root, run = moved
    net = load(run / 'last.safetensors')
    net.about['run']['recipe'].update(target=dict(mean_iu=65.5), source='a paper')
    net.save(run / 'best.safetensors')
    assert 'target: a paper' in run_main('eval', run)[1]
    assert 'target' not in run_main('eval', run, root, '--split', 'train')[1]


def test_names_are_shown_escaped_and_cut():
    hist = np.array([[0, 0], [0, 0]])                   # and every pixel is void
    lines = iu_table(metrics.scores(hist), hist, ['sky\x1b[2J\nroad', 'x' * 10_000]).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) < 120 and '\x1b' not in lines[1]
    table = score_table({'runs/\x1b[2J\nmy': dict(mean_iu=None, pixel_acc=.5)}, dict(mean_iu=65.5),
                        'a\npaper')
    assert table.splitlines()[1].split()[-4:] == ['50.0', '–', '–', '–']
    assert r'\x1b[2J\nmy' in table and len(table.splitlines()) == 3
