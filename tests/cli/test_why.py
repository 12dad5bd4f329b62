"""tinyfcn predict --why X,Y: a table of the parts of the scores of a pixel, and a picture."""
import re

import numpy as np
import pytest
from PIL import Image


def test_a_table_and_a_picture_say_why(trained, run_main, tmp_path):
    root, run = trained
    image = sorted((root / 'images').iterdir())[0]
    code, out, err = run_main('predict', run, image, '--why', '20,11', '-o', tmp_path)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == ['score_fr', 'score_pool4', 'score_pool3', 'score']
    for line in lines[1:-2]:
        *parts, score = map(float, re.findall(r'[+-]\d+\.\d+', line))
        assert len(parts) == 3 and abs(sum(parts) - score) < .025       # each is rounded
    assert lines[-2].startswith('pixels it sees')
    with Image.open(tmp_path / f'{image.stem}.why.png') as picture:
        assert picture.width > 800 and np.asarray(picture.convert('L')).std() > 20


@pytest.mark.parametrize('args, message', [
    (['--why', '9999,0'], 'column 9999, row 0 is outside of the image, which has'),
    (['--why', '2,3', '--flip'], '--why explains one pass of the net, and --flip would'),
    (['--why', '2,3', '--probabilities', 'npz'], 'leave out --probabilities, or predict without'),
    (['--why', '2,3', '--side-by-side'], 'leave out --side-by-side')])
def test_what_cannot_be_explained_is_refused(args, message, trained, run_main, tmp_path):
    root, run = trained
    image = sorted((root / 'images').iterdir())[0]
    code, _, err = run_main('predict', run, image, *args, '-o', tmp_path / 'out')
    assert code == 2 and message in err
    assert not (tmp_path / 'out').exists()


def test_only_one_image_is_explained(trained, run_main, tmp_path):
    root, run = trained
    code, _, err = run_main('predict', run, root / 'images', '--why', '2,3', '-o', tmp_path / 'out')
    assert code == 2 and '--why explains a pixel of one image, and there are 12' in err


def test_a_pixel_is_two_numbers(run_main, capsys):
    with pytest.raises(SystemExit, match='2'):
        run_main('predict', 'runs/my', 'photo.jpg', '--why', '20')
    assert "'20' is not a pixel: X,Y counted from 0" in capsys.readouterr().err
