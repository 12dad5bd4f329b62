"""The fingerprint of a data set tells when images, lists, classes or files are others."""
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from training_samples import small_dataset, write_bright_halves

from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.fingerprint import fingerprint, fingerprint_differences, only_dates_differ


@pytest.fixture
def root(tmp_path):
    return write_bright_halves(tmp_path)


def open_folder(root):
    return load_dataset('folder', root)


def changed(root, change, contents=False):
    """The differences after a change to the folder."""
    then = fingerprint(open_folder(root), contents)
    change()
    now = fingerprint(open_folder(root), contents)
    return fingerprint_differences(then, now), only_dates_differ(then, now)


def test_the_same_data_set_has_the_same_fingerprint(root):
    found = fingerprint(open_folder(root))
    assert json.loads(json.dumps(found)) == found == fingerprint(open_folder(root))
    assert (found['images'], found['classes']) == (20, {'score': ['dark', 'bright']})
    files = [*root.glob('images/*'), *root.glob('masks/*')]
    assert found['bytes'] == sum(path.stat().st_size for path in files)


def test_it_is_the_same_in_another_folder(root, tmp_path_factory):
    moved = shutil.copytree(root, tmp_path_factory.mktemp('other') / 'copy')
    then, now = (fingerprint(open_folder(folder)) for folder in (root, moved))
    assert fingerprint_differences(then, now) == []


CLASSES = 'its classes were dark, bright and '


@pytest.mark.parametrize('classes, sentence', [
    ('bright\ndark\n', f'{CLASSES}stand in another order now: bright, dark'),
    ('dark\nlight\n', f'{CLASSES}are dark, light'),
    ('dark\nbright\nnew\u200b\n', f'{CLASSES}are dark, bright, new\\u200b')])
def test_other_classes(root, classes, sentence):
    found, _ = changed(root, lambda: (root / 'classes.txt').write_text(classes))
    assert found == [sentence]


def test_another_number_of_images(root):
    found, _ = changed(root, (root / 'images/03.png').unlink)
    assert found == ['it had 20 images and has 19']


def test_another_list_of_as_many_images(root):
    (root / 'train.txt').write_text('01\n02\n')
    found, _ = changed(root, lambda: (root / 'train.txt').write_text('02\n01\n'))
    assert found == ['its list names other images, or the same ones in another order']


def test_a_file_of_another_size(root):
    path = root / 'masks/04.png'
    found, _ = changed(root, lambda: Image.fromarray(np.eye(30, 40, dtype='uint8')).save(path))
    assert len(found) == 1 and 'its files had ' in found[0] and ' bytes and have ' in found[0]


def test_a_change_of_the_same_size_is_seen_by_contents_or_doubted_by_date(root):
    path = root / 'masks/04.png'

    def flip_a_bit():
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 10))

    assert changed(root, flip_a_bit) == ([], True)
    found, only_dates = changed(root, flip_a_bit, contents=True)
    assert found == ['its files have other contents, of the same size'] and not only_dates


def test_other_dates_alone_are_no_difference(root):
    def touch():
        os.utime(root / 'masks/04.png', (1, 1))

    assert changed(root, touch) == ([], True)
    os.utime(root / 'masks/04.png', (2, 2))
    assert changed(root, touch, contents=True) == ([], False)


@pytest.mark.parametrize('changes', [dict(seed=1), dict(size=(9, 13)), dict(count=5),
                                     dict(classes=('a', 'b', 'c'))])
def test_generated_data_sets_have_a_fingerprint_too(changes):
    then = fingerprint(small_dataset())
    assert then == fingerprint(small_dataset()) and then['dates'] is None
    assert len(fingerprint_differences(then, fingerprint(small_dataset(**changes)))) == 1


def test_shapes_of_another_difficulty():
    then, now = (fingerprint(load_dataset('shapes', split='val', difficulty=difficulty))
                 for difficulty in (.1, .2))
    assert fingerprint_differences(then, now) == ['its first image, or the label of it, is another '
                                                  'one']


def test_what_a_fingerprint_does_not_know_is_not_compared(root):
    now = fingerprint(open_folder(root))
    assert fingerprint_differences({}, now) == [] and not only_dates_differ({}, now)


def test_several_outputs():
    def of(geo):
        return fingerprint(Dataset(dict(score_sem='ab', score_geo=geo), ['0'], read=None))

    assert fingerprint_differences(of('xy'), of('yx')) == [
        'its classes of score_geo were x, y and stand in another order now: y, x']


def test_a_missing_file_is_left_for_reading_to_report(root):
    dataset = open_folder(root)
    then = fingerprint(dataset)
    (root / 'masks/04.png').unlink()
    assert len(fingerprint_differences(then, fingerprint(dataset, contents=True))) == 1
