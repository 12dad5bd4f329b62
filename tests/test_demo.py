"""The demo: its command, its exit codes, and that the little FCN learns."""
import re

import numpy as np
from PIL import Image

from tinyfcn import demo
from tinyfcn.cli import main


def test_the_demo_learns(tmp_path, capsys):
    """The real command, with its real length: the net beats 'all background' by far."""
    page = tmp_path / 'new' / 'page.png'
    assert main(['demo', '--seed', '3', '-o', str(page)]) == 0
    said = capsys.readouterr().out
    background, learned = (float(re.search(rf'{name} .*? ([\d.]+) +[\d.]+\n', said).group(1))
                           for name in ('all background', 'the small FCN'))
    assert background < .34 and learned > .75
    assert str(page) in said
    with Image.open(page) as image:
        assert image.width > 8 * 48 and np.unique(np.asarray(image)).size > 100


def test_pictures_follow_from_the_seed():
    image, label = demo.pictures(np.random.default_rng(1), 3)
    again, _ = demo.pictures(np.random.default_rng(1), 3)
    np.testing.assert_array_equal(image, again)
    assert image.shape == (3, 3, 48, 48) and image.dtype == 'float32'
    assert set(np.unique(label)) <= {0, 1, 2}


def test_bad_input_is_told_in_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, 'train', lambda net, rng: iter(()))       # to the point at once
    taken = tmp_path / 'taken'
    taken.write_text('a file, where a folder is asked for')
    assert main(['demo', '-o', str(taken / 'page.png')]) == 2
    said = capsys.readouterr().err
    assert said.startswith('tinyfcn: ') and str(taken) in said and 'Traceback' not in said
