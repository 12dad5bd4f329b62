"""tinyfcn plan: what it prints and draws, commands that can be pasted, and errors."""
import json
import os
import re
import shlex
import sys
from io import StringIO

import numpy as np
import pytest
from bad_input_samples import save, write_dataset
from PIL import Image

from tinyfcn.cli import parse, plan, trial
from tinyfcn.training.advice import Advice, Stage
from tinyfcn.training.recipes import get_recipe
from tinyfcn.training.trial import Trial

TRIAL = Trial(step=.5, image=.1, validation=1, memory=1_500_000_000)


@pytest.fixture
def my(tmp_path, monkeypatch):
    """Large squares of two classes and a bird; `a name` has to be quoted in a command."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'a name'
    label = np.zeros((120, 160), 'uint8')
    label[:, 80:] = 1
    label[40:50, 40:50] = 2
    for i in range(12):
        save(root / f'images/{i}.png', np.stack([label * 60 + i] * 3, 2))
        save(root / f'masks/{i}.png', label)
    (root / 'classes.txt').write_text('sky\ntree\nbird\nabsent\n')
    return root


@pytest.fixture
def no_trial(monkeypatch):
    """A trial takes seconds; here are the numbers of one."""
    monkeypatch.setattr(plan, 'run_trial', lambda stage, root, seed: TRIAL)


def test_the_plan_of_a_folder(my, no_trial, run_main):
    code, out, _ = run_main('plan', my)
    assert code == 0 and out.startswith(f'{my}: 12 images in images/, ')
    assert 'images to train on, of 120×160 pixels (rows × columns), and' in out
    assert 'no pixel is absent' in out
    assert re.search(r'^sky +49\.48% +\d+ +\d\d\.\d ', out, re.M)
    assert re.search(r'^bird +\d+ +100% +100% +0% +0% +100% +100% +0% +0%$', out, re.M)
    assert '0.5 s a step; 1,000 steps, with validations, take about' in out and '1.5 GB' in out
    with Image.open('plan.png') as image:
        assert image.width > 1000 and len(image.getcolors(1 << 20)) > 50


@pytest.mark.parametrize('load, shown', [(.1, False), (100., True)])
def test_a_busy_machine_is_mentioned(load, shown, monkeypatch):
    monkeypatch.setattr(os, 'getloadavg', lambda: (load, 0, 0))
    advice = Advice([Stage('folder', {})], [])
    lines = [*plan.describe_costs(advice, [TRIAL], 3, plan.load_of_others())]
    assert any('other programs were using' in line for line in lines) == shown


def test_its_commands_can_be_pasted(my, no_trial, run_main):
    _, out, _ = run_main('plan', my)
    lines = [shlex.split(line) for line in re.findall(r'^  tinyfcn (train .*)$', out, re.M)]
    assert lines
    for words in lines:
        args = parse(words)
        get_recipe(args.recipe, **dict(args.set))
        assert args.data == my
    for before, words in zip(lines, lines[1:]):
        assert words[words.index('--weights') + 1] == before[before.index('--run') + 1]


def test_folders_of_other_names_are_in_its_commands(my, no_trial, run_main):
    (my / 'images').rename(my / 'photos')
    (my / 'masks').rename(my / 'truth')
    _, out, _ = run_main('plan', my, '--images', 'photos', '--masks', 'truth')
    assert f"--data '{my}' --images photos --masks truth --" in out


@pytest.mark.parametrize('change, message', [
    (lambda my: (my / 'classes.txt').unlink(), r'classes\.txt'),
    (lambda my: [save(mask, np.full((120, 160), 255, 'uint8'))
                 for mask in (my / 'masks').iterdir()], 'no pixel of the masks has a class'),
    (lambda my: [save(mask, np.full((120, 160), 9, 'uint8')) for mask in (my / 'masks').iterdir()],
     'label 9 at row 0, column 0'),
    (lambda my: my.with_name('plan.png').write_bytes(b'mine'), r'plan\.png')])
def test_errors_come_before_a_trial(my, monkeypatch, run_main, change, message):
    monkeypatch.setattr(plan, 'run_trial', None)
    change(my)
    code, _, err = run_main('plan', my)
    assert code == 2 and re.search(message, err)


def test_the_picture_is_there_if_no_step_fits(my, monkeypatch, run_main):
    def refuse(stage, root, seed):
        raise ValueError('a step takes more memory than there is')

    monkeypatch.setattr(plan, 'run_trial', refuse)
    code, out, err = run_main('plan', my)
    assert code == 2 and 'than there is' in err and 'tinyfcn train' in out
    with Image.open('plan.png') as image:
        assert image.width > 1000


def test_small_images_get_the_net_for_small_images(tmp_path, monkeypatch, no_trial, run_main):
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / 'my')
    code, out, _ = run_main('plan', 'my', '-o', 'my.svg')
    assert code == 0 and 'tinyfcn train folder --data my' in out and 'tiny_8s' in out
    assert b'<svg' in (tmp_path / 'my.svg').read_bytes()[:2000]


# ---- the trial -----------------------------------------------------------------------------------

def answer(monkeypatch, capsys, **question):
    """What the process of a trial prints."""
    monkeypatch.setattr(sys, 'stdin', StringIO(json.dumps(question)))
    monkeypatch.setattr(trial.signal, 'signal', lambda *args: None)     # this process keeps its own
    trial.main()
    return json.loads(capsys.readouterr().out)


def test_what_cannot_be_trained_is_an_answer(my, monkeypatch, capsys):
    question = dict(recipe='folder', root=str(my), seed=0, folders={})
    changes = dict(loss_at={'nosuch': 1}, net_kwargs=dict(width=1/8))
    found = answer(monkeypatch, capsys, changes=changes, **question)
    assert found['error'].startswith("loss_at has 'nosuch', which is no box of this net")


@pytest.mark.demo
def test_a_trial_in_its_own_process(my):
    found = trial.run_trial(Stage('folder', dict(crop_size=(64, 64))), my)
    assert 0 < found.step < 60 and 5e7 < found.memory < 2e9
    with pytest.raises(ValueError, match="loss_at has 'nosuch', which is no box of this net"):
        trial.run_trial(Stage('folder', dict(loss_at={'nosuch': 1})), my)


@pytest.mark.demo
def test_a_trial_that_ends_is_reported(my, monkeypatch):
    monkeypatch.setattr(trial.sys, 'executable', '/bin/false')
    with pytest.raises(ValueError, match='the trial of folder ended with code 1'):
        trial.run_trial(Stage('folder', {}), my)
