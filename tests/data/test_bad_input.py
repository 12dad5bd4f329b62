"""Every mistake in a data set is reported, and what is only unusual is read."""
import re
import warnings

import numpy as np
import pytest
from bad_input_samples import BAD_INPUT, LABEL, RGB, UNUSUAL_INPUT, save
from PIL import Image
from scipy.io import savemat

from tinyfcn.data import load_dataset
from tinyfcn.data.check import find_problems
from tinyfcn.data.images import open_image, read_image, read_label
from tinyfcn.data.mat import read_mat


def all_problems(name, root):
    """What is reported when a data set is loaded and when it is checked."""
    try:
        return [*find_problems(load_dataset(name, root), {})]
    except (ValueError, OSError) as error:
        return [str(error)]


@pytest.mark.parametrize('name', BAD_INPUT)
def test_bad_input_is_reported(tmp_path, name):
    make, pattern = BAD_INPUT[name]
    problems = all_problems(*make(tmp_path))
    assert len(problems) == 1 and re.search(pattern, problems[0], re.S), problems
    assert '\n' not in problems[0]


@pytest.mark.parametrize('name', UNUSUAL_INPUT)
def test_unusual_input_is_read(tmp_path, name):
    make, check = UNUSUAL_INPUT[name]
    dataset_name, root = make(tmp_path)
    dataset = load_dataset(dataset_name, root)
    assert not [*find_problems(dataset, {})]
    assert check(dataset) in (None, True)


def test_bad_input_that_was_not_checked_is_reported_while_training(tmp_path):
    for name in 'labels above the classes', 'a jpeg cut short', 'a mask of another size':
        make, pattern = BAD_INPUT[name]
        (tmp_path / name).mkdir()
        dataset_name, root = make(tmp_path / name)
        dataset = load_dataset(dataset_name, root)
        with pytest.raises(ValueError, match=pattern.split(';')[0]):
            [dataset[i] for i in range(3)]


def test_a_decompression_bomb_is_rejected_without_a_warning(tmp_path):
    make, _ = BAD_INPUT['a decompression bomb of 108 million pixels']
    make(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with pytest.raises(ValueError, match='12000×9000'), open_image(tmp_path / 'images/two.png'):
            pass
    assert not caught


@pytest.mark.parametrize('suffix, read', [
    ('.jpg', read_image), ('.png', read_image), ('.png', read_label), ('.tif', read_label),
    ('.bmp', read_image), ('.gif', read_image), ('.webp', read_image),
    ('.mat', lambda path: read_mat(path, 'GTcls', 'Segmentation'))])
def test_a_damaged_file_raises_only_errors_that_name_it(tmp_path, suffix, read):
    """With random bytes changed or lost it is read, or rejected by name."""
    path = tmp_path / f'damaged{suffix}'
    rng = np.random.default_rng(8)
    if suffix == '.mat':
        savemat(path, dict(GTcls=dict(Segmentation=LABEL)), do_compression=True)
    else:
        save(path, LABEL if read is read_label else RGB)
    intact = path.read_bytes()
    rejected = 0
    for _ in range(100):
        data = bytearray(intact)
        for at in rng.integers(0, len(data), rng.integers(1, 5)):
            data[at] = rng.integers(256)
        path.write_bytes(data[:rng.integers(len(data)) if rng.random() < .3 else None])
        try:
            read(path)
        except ValueError as error:
            assert str(error).startswith(f'{path}: ')
            rejected += 1
    assert rejected > 10


def test_the_samples_have_the_modes_they_are_named_after(tmp_path):
    for name, mode, suffix in [('a cmyk jpeg', 'CMYK', '.jpeg'), ('a grey image', 'L', '.png'),
                               ('a grey image with alpha', 'LA', '.png'),
                               ('an image with alpha', 'RGBA', '.png'),
                               ('an image of one bit', '1', '.png')]:
        (tmp_path / name).mkdir()
        UNUSUAL_INPUT[name].make(tmp_path / name)
        with Image.open(tmp_path / name / f'images/two{suffix}') as image:
            assert image.mode == mode
