"""The demo: three nets, each from the weights of the one before; its table and its drawing.

Here with a few steps; the complete demo has the mark `demo`.
"""
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tinyfcn.cli import main
from tinyfcn.data.shapes import SPLITS
from tinyfcn.training import checkpoint, recipes

ROW = r'^{} +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)'


def table_row(name, output):
    """The four metrics of a row of the table."""
    return [float(number) for number in re.search(ROW.format(name), output, re.M).groups()]


def run_short_demo(folder):
    """The real command, with six steps for each net and few images to validate and test on."""
    with pytest.MonkeyPatch.context() as patch:
        for stride in 32, 16, 8:
            name = f'shapes-{stride}s'
            patch.setitem(recipes.RECIPES, name,
                          recipes.RECIPES[name] | dict(steps=6, validate_every=3))
        for split in 'val', 'test':
            seed, _ = SPLITS[split]
            patch.setitem(SPLITS, split, (seed, 6))
        return main(['demo', '--seed', '4', '-o', str(folder)])


@pytest.fixture(scope='module')
def short_demo(tmp_path_factory):
    """-> its folder, its exit code"""
    folder = tmp_path_factory.mktemp('demo')
    return folder, run_short_demo(folder)


def test_it_trains_three_nets_and_draws_their_predictions(short_demo):
    folder, code = short_demo
    assert code == 0
    with Image.open(folder / 'demo.png') as page:
        assert page.width > 1000 and len(np.unique(np.asarray(page))) > 100
    for stride in 32, 16, 8:
        rows = (folder / f'shapes-{stride}s/metrics.jsonl').read_text().splitlines()
        assert [json.loads(row)['step'] for row in rows] == [1, 2, 3, 3, 4, 5, 6, 6]


def test_each_net_starts_from_the_one_before(short_demo):
    """After six steps its trunk has moved, but not far: it is not a new one."""
    folder, _ = short_demo
    before, after = (checkpoint.load(folder / f'shapes-{stride}s/last.safetensors').weights
                     for stride in (32, 16))
    assert recipes.get_recipe('shapes-16s').init_from == 'shapes-32s'
    for name in 'conv5_1.w', 'fc6.w':
        distance = np.linalg.norm(after[name] - before[name])
        assert 0 < distance < .5 * np.linalg.norm(before[name])


def test_a_second_demo_starts_anew(short_demo):
    """Files of an earlier demo are no obstacle, and the same seed gives the same losses."""
    folder, _ = short_demo
    file = folder / 'shapes-8s/metrics.jsonl'

    def losses():
        return [json.loads(row).get('loss') for row in file.read_text().splitlines()]

    first = losses()
    assert run_short_demo(folder) == 0
    assert losses() == first


def test_a_file_in_place_of_the_folder(tmp_path, capsys):
    file = tmp_path / 'taken'
    file.write_text('not a folder')
    assert main(['demo', '-o', str(file)]) == 2
    message = capsys.readouterr().err
    assert message.startswith('tinyfcn: ') and str(file) in message
    assert 'Traceback' not in message


@pytest.mark.demo
def test_the_complete_demo(tmp_path):
    """Each net is better than the one before, on images that none was trained on."""
    done = subprocess.run([sys.executable, '-m', 'tinyfcn', 'demo', '-o', str(tmp_path)],
                          capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    mean_iu = {name: table_row(name, done.stdout)[2]
               for name in ('all background', 'FCN-32s', 'FCN-16s', 'FCN-8s')}
    assert mean_iu['all background'] < 20 < mean_iu['FCN-32s']
    assert mean_iu['FCN-16s'] - mean_iu['FCN-32s'] > 3
    assert mean_iu['FCN-8s'] - mean_iu['FCN-16s'] > 3
    assert mean_iu['FCN-8s'] >= 80
