"""The demo: three stages, one from the other, its table and its page; short here, whole in CI."""
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tinyfcn.cli import main
from tinyfcn.data.shapes import STREAMS
from tinyfcn.training import checkpoint, recipes

ROW = r'^{} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)'


def scores(name, said):
    return [float(number) for number in re.search(ROW.format(name), said, re.M).groups()]


def shortened(folder):
    """The real command, with a few steps a stage and a few pictures to be judged by."""
    with pytest.MonkeyPatch.context() as patch:
        for stride in 32, 16, 8:
            patch.setitem(recipes.RECIPES, f'shapes-{stride}s',
                          recipes.RECIPES[f'shapes-{stride}s'] | dict(steps=6, every=3))
        for split in 'val', 'test':
            patch.setitem(STREAMS, split, (STREAMS[split][0], 6))
        return main(['demo', '--seed', '4', '-o', str(folder)])


@pytest.fixture(scope='module')
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp('demo')
    return folder, shortened(folder)


def test_it_trains_three_stages_and_draws_them(short):
    folder, code = short
    assert code == 0
    with Image.open(folder / 'demo.png') as page:
        assert page.width > 1000 and len(np.unique(np.asarray(page))) > 100
    for stride in 32, 16, 8:
        rows = (folder / f'shapes-{stride}s/metrics.jsonl').read_text().splitlines()
        assert [json.loads(row)['step'] for row in rows] == [1, 2, 3, 3, 4, 5, 6, 6]


def test_each_stage_begins_where_the_one_before_ended(short):
    """After six steps the trunk has moved, but not far: it is the one before's, not a new one."""
    folder, _ = short
    before, after = (checkpoint.load(folder / f'shapes-{stride}s/last.safetensors')[0]
                     for stride in (32, 16))
    new = recipes.recipe('shapes-16s')
    assert new['start'] == 'shapes-32s'
    for name in 'conv5_1.w', 'fc6.w':
        apart = np.linalg.norm(after[name] - before[name])
        assert 0 < apart < .5 * np.linalg.norm(before[name])


def test_a_second_demo_begins_anew(short):
    """What an earlier one left is no obstacle; and with the same seed it says the same."""
    folder, _ = short
    first = (folder / 'shapes-8s/metrics.jsonl').read_text()
    assert shortened(folder) == 0

    def losses(text):
        return [json.loads(row).get('loss') for row in text.splitlines()]

    assert losses((folder / 'shapes-8s/metrics.jsonl').read_text()) == losses(first)


def test_a_place_that_is_no_folder(tmp_path, capsys):
    taken = tmp_path / 'taken'
    taken.write_text('a file, where a folder is asked for')
    assert main(['demo', '-o', str(taken)]) == 2
    said = capsys.readouterr().err
    assert said.startswith('tinyfcn: ') and str(taken) in said and 'Traceback' not in said


@pytest.mark.demo
def test_the_whole_demo(tmp_path):
    """Every stage sees more than the one before, on pictures that none has seen."""
    ran = subprocess.run([sys.executable, '-m', 'tinyfcn', 'demo', '-o', str(tmp_path)],
                         capture_output=True, text=True)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    nothing, *stages = (scores(name, ran.stdout)
                        for name in ('all background', 'FCN-32s', 'FCN-16s', 'FCN-8s'))
    mean_iu = [row[2] for row in stages]
    assert nothing[2] < 20 < mean_iu[0]
    assert mean_iu[1] - mean_iu[0] > 3 and mean_iu[2] - mean_iu[1] > 3
    assert mean_iu[2] >= 80
