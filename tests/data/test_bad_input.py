"""Whatever is wrong with a data set is said, and what is only odd is read."""
import re
import warnings

import numpy as np
import pytest
from bad_input_samples import CASES, FINE, LABEL, RGB, save
from PIL import Image
from scipy.io import savemat

from tinyfcn.data import load_dataset
from tinyfcn.data.check import check
from tinyfcn.data.images import opened, read_image, read_label
from tinyfcn.data.mat import read_mat


def said(name, root):
    """All that is said of a set, when it is opened and when it is checked."""
    try:
        return [*check(load_dataset(name, root), {})]
    except (ValueError, OSError) as error:
        return [str(error)]


@pytest.mark.parametrize('name', CASES)
def test_what_is_wrong_is_named(tmp_path, name):
    make, pattern = CASES[name]
    problems = said(*make(tmp_path))
    assert len(problems) == 1 and re.search(pattern, problems[0], re.S), problems
    assert '\n' not in problems[0]


@pytest.mark.parametrize('name', FINE)
def test_what_is_odd_is_read(tmp_path, name):
    make, is_right = FINE[name]
    set_name, root = make(tmp_path)
    pictures = load_dataset(set_name, root)
    assert not [*check(pictures, {})]
    assert is_right(pictures) in (None, True)


def test_one_by_one_they_are_refused_too(tmp_path):
    """Whoever has not checked a set meets the same sentence while training."""
    for name in 'labels beyond the classes', 'a jpeg cut short', 'a mask of another size':
        make, pattern = CASES[name]
        (tmp_path / name).mkdir()
        set_name, root = make(tmp_path / name)
        pictures = load_dataset(set_name, root)
        with pytest.raises(ValueError, match=pattern.split(';')[0]):
            [pictures[i] for i in range(3)]


def test_a_bomb_is_refused_without_a_warning(tmp_path):
    make, _ = CASES['a bomb of 108 million pixels']
    make(tmp_path)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        with pytest.raises(ValueError, match='12000×9000'), opened(tmp_path / 'images/two.png'):
            pass
    assert not heard


@pytest.mark.parametrize('suffix, read', [
    ('.jpg', read_image), ('.png', read_image), ('.png', read_label), ('.tif', read_label),
    ('.bmp', read_image), ('.gif', read_image), ('.webp', read_image),
    ('.mat', lambda path: read_mat(path, 'GTcls', 'Segmentation'))])
def test_damage_sets_off_nothing_but_a_sentence(tmp_path, suffix, read):
    """Bytes changed, bytes lost: read, or refused by the file's name."""
    path, rng = tmp_path / f'damaged{suffix}', np.random.default_rng(8)
    if suffix == '.mat':
        savemat(path, dict(GTcls=dict(Segmentation=LABEL)), do_compression=True)
    else:
        save(path, LABEL if read is read_label else RGB)
    whole, refused = path.read_bytes(), 0
    for _ in range(100):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 5)):
            data[at] = rng.integers(256)
        path.write_bytes(data[:rng.integers(len(data)) if rng.random() < .3 else None])
        try:
            read(path)
        except ValueError as error:
            assert str(error).startswith(f'{path}: ')
            refused += 1
    assert refused > 10


def test_these_files_are_what_they_claim(tmp_path):
    """The samples themselves: of a kind that a careless reader takes for granted."""
    for name, mode, suffix in [('a cmyk jpeg', 'CMYK', '.jpeg'), ('a grey picture', 'L', '.png'),
                               ('a grey picture with alpha', 'LA', '.png'),
                               ('a picture with alpha', 'RGBA', '.png'),
                               ('a picture of one bit', '1', '.png')]:
        (tmp_path / name).mkdir()
        FINE[name][0](tmp_path / name)
        with Image.open(tmp_path / name / f'images/two{suffix}') as image:
            assert image.mode == mode
