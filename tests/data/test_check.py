"""Checking a data set: all problems are reported at once; a manifest reveals changed files."""
import hashlib
import shutil
import subprocess

import numpy as np
import pytest
from bad_input_samples import LABEL, RGB, edit_bytes, save, write_dataset
from PIL import Image

from tinyfcn.data import load_dataset
from tinyfcn.data.check import find_overlaps, find_problems
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.images import read_image
from tinyfcn.data.lists import read_list
from tinyfcn.data.manifest import verify_manifest, write_manifest


def test_the_first_problem_hides_no_other(tmp_path):
    """Three files with three mistakes."""
    write_dataset(tmp_path)
    (tmp_path / 'images/one.jpg').write_bytes(b'')
    (tmp_path / 'masks/two.png').unlink()
    label = LABEL.copy()
    label[5, 7] = 9
    save(tmp_path / 'masks/three.png', label[:, :50])
    summary = {}
    problems = [*find_problems(load_dataset('folder', tmp_path), summary)]
    assert [problem.split(': ')[0].removeprefix(f'{tmp_path}/') for problem in problems] == [
        'images/one.jpg', 'images/three.jpg', 'masks/two.png']
    assert summary['images'] == 0 and summary['smallest'] is None


def test_invalid_labels_are_counted_over_all_files():
    label = LABEL.astype(int)
    labels = dict(a=label, b=np.where(label == 1, 38, label), c=np.where(label == 2, -1, label))
    dataset = Dataset('sky tree road'.split(), labels, lambda name: (RGB, labels[name]))
    invalid = (LABEL == 1).sum() + (LABEL == 2).sum()
    row, column = np.argwhere(LABEL == 1)[0]
    assert [*find_problems(dataset, {})] == [
        f'b: label 38 at row {row}, column {column}; there are 3 classes (0 … 2) and 255 is void. '
        f'{invalid:,} such pixels in 2 files. Values found: -1, 0, 1, 2, 38, 255. Also in c']


def test_the_summary_of_a_data_set(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / 'classes.txt').write_text('sky\ntree\nroad\nsea\n')
    save(tmp_path / 'images/two.png', np.dstack([RGB, RGB[:, :, 0]])[:8])
    (tmp_path / 'images/two.jpg').unlink()
    save(tmp_path / 'masks/two.png', LABEL[:8] * 0 + 255)
    summary = {}
    assert not [*find_problems(load_dataset('folder', tmp_path), summary)]
    counts = 2 * np.bincount(LABEL.ravel(), minlength=256)
    void = counts[255] + 8 * 56
    assert summary == dict(
        images=3, smallest=(8, 56), largest=(40, 56), labels=dict(score=dict(
            pixels=dict(sky=counts[0], tree=counts[1], road=counts[2], sea=0),
            values=[0, 1, 2, 255], void=pytest.approx(void / (counts.sum() + 8 * 56), rel=1e-12))),
        notes=['no pixel is sea', f'1 void in every pixel: {tmp_path}/masks/two.png',
               '1 with transparency, which is dropped: two'])


@pytest.mark.parametrize('n_class, label', [
    (3, LABEL // 2 % 2 * 255), (2, LABEL % 2), (2, LABEL * 0)])
def test_few_values_alone_are_no_problem(n_class, label):
    """0 and 255 are suspicious only where there should be 0 and 1."""
    dataset = Dataset('abc'[:n_class], ['x'], lambda name: (RGB, label))
    assert not [*find_problems(dataset, {})]


def test_a_selection_of_images_may_be_checked():
    reads = []
    dataset = Dataset(['a'], 'abcd', lambda name: reads.append(name) or (RGB, LABEL * 0))
    summary = {}
    assert not [*find_problems(dataset, summary, range(0, 4, 2))]
    assert reads == ['a', 'c'] and summary['images'] == 2


def test_each_output_of_a_net_has_its_own_labels():
    """One has invalid labels, the other only 0 and 255 for two classes."""
    label = dict(score_sem=LABEL, score_geo=np.where(LABEL == 1, 0, 255))
    classes = dict(score_sem=['a', 'b'], score_geo=['sky', 'ground'])
    summary = {}
    problems = [*find_problems(Dataset(classes, ['x'], lambda name: (RGB, label)), summary)]
    assert len(problems) == 2
    assert 'label 2 at row' in problems[0] and "'ground'" in problems[1]
    assert summary['labels']['score_geo']['pixels'] == dict(sky=(LABEL == 1).sum(), ground=0)


def test_a_label_of_another_size_than_its_image():
    label = dict(score_sem=LABEL, score_geo=LABEL[:, 1:])
    dataset = Dataset(dict.fromkeys(label, 'abc'), ['x'], lambda name: (RGB, label))
    problem, = find_problems(dataset, {})
    assert problem.startswith('x: 40×55 pixels') and '40×56' in problem


# ---- what the lists and the names of files show --------------------------------------------------

def test_equal_problems_of_many_files_are_one(tmp_path):
    for i in range(20):
        save(tmp_path / f'images/{i:02}.jpg', RGB)
        save(tmp_path / f'masks/{i:02}.png', RGB)
    (tmp_path / 'classes.txt').write_text('sky\ntree\n')
    (tmp_path / 'masks/07.png').write_bytes(b'')
    colours, empty = find_problems(load_dataset('folder', tmp_path), {})
    assert colours.startswith(f'{tmp_path}/masks/00.png: RGB pixels are colours; ')
    assert colours.endswith(f'. The same of 18 more: {tmp_path}/masks/01.png, '
                            f'{tmp_path}/masks/02.png, {tmp_path}/masks/03.png, …')
    assert empty.startswith(f'{tmp_path}/masks/07.png: not an image: the file is empty')


def test_a_name_that_a_list_has_more_than_once(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / 'train.txt').write_text('one\ntwo\none\nthree\none.jpg\n')
    problem, = find_problems(load_dataset('folder', tmp_path), {})
    assert problem == 'one: 3 times in the list; list it once, or it is trained on more often'


def test_images_in_two_splits(tmp_path):
    write_dataset(tmp_path)
    for split, names in dict(train='one two three', val='two.jpg', test='one two').items():
        (tmp_path / f'{split}.txt').write_text('\n'.join(names.split()))
    splits = {split: load_dataset('folder', tmp_path, split) for split in ('train', 'val', 'test')}
    assert [*find_overlaps(splits)] == [
        'two is in train and in val: remove it from one of them; a score on images that a net was '
        'trained on says nothing of others',
        'one, two are in train and in test: remove them from one of them; a score on images that a '
        'net was trained on says nothing of others',
        'two is in val and in test: remove it from one of them; a score on images that a net was '
        'trained on says nothing of others']
    names = dict(train=['0', '1'], val=['0'])
    generated = {split: Dataset(['a'], own, lambda name: (RGB, LABEL * 0))
                 for split, own in names.items()}
    assert not [*find_overlaps(generated)]              # equal names alone are not equal images


def test_lists_of_other_splits_are_checked(tmp_path):
    write_dataset(tmp_path)
    all_images = load_dataset('folder', tmp_path)
    val = all_images.subset(['two', 'two', 'two', 'nosuch'])
    splits = dict(train=all_images.subset(['one']), val=val, test=all_images.subset(['absent']))
    assert [*find_overlaps(splits)] == [
        'two: more than once in val; list each once, or it counts more often',
        f'2 missing in val: {tmp_path}/images/nosuch.png, {tmp_path}/masks/nosuch.png; add what is '
        f'missing, or remove the names from the list',
        f'1 missing in test: {tmp_path}/images/absent.png; add what is missing, or remove the '
        f'names from the list']


def test_names_in_problems_and_notes_are_printable():
    name = 'a\x1b[2J'
    for label in LABEL + 9, LABEL * 0 + 255, LABEL[1:]:
        dataset = Dataset(['sky', 'tree'], [name, name], lambda name, label=label: (RGB, label))
        summary = {}
        lines = [*find_problems(dataset, summary), *summary['notes']]
        assert len(lines) > 1 and all(line.isprintable() for line in lines)


# ---- the manifest --------------------------------------------------------------------------------

def test_a_flipped_bit_in_a_jpeg_is_found(tmp_path):
    """It decodes to another image; only the SHA-256 of the file reveals it."""
    write_dataset(tmp_path)
    dataset = load_dataset('folder', tmp_path)
    path = tmp_path / 'train.sha256'
    write_manifest(dataset, path)
    assert not [*verify_manifest(dataset, path)]
    before = read_image(tmp_path / 'images/two.jpg')
    edit_bytes(tmp_path / 'images/two.jpg',
               lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
    assert (read_image(tmp_path / 'images/two.jpg') != before).any()
    assert not [*find_problems(dataset, {})]
    problem, = verify_manifest(dataset, path)
    assert problem.startswith(f'{tmp_path}/images/two.jpg: changed since {path} was written')


def test_the_manifest_is_one_of_sha256sum_and_can_be_moved(tmp_path):
    (tmp_path / 'here').mkdir()
    write_dataset(tmp_path / 'here')
    write_manifest(load_dataset('folder', tmp_path / 'here'), tmp_path / 'here/files.sha256')
    lines = (tmp_path / 'here/files.sha256').read_text().splitlines()
    data = (tmp_path / 'here/masks/two.png').read_bytes()
    assert len(lines) == 6 and f'{hashlib.sha256(data).hexdigest()}  masks/two.png' in lines
    (tmp_path / 'here').rename(tmp_path / 'there')
    moved = load_dataset('folder', tmp_path / 'there')
    assert not [*verify_manifest(moved, tmp_path / 'there/files.sha256')]
    if shutil.which('sha256sum'):
        subprocess.run(['sha256sum', '--check', '--quiet', 'files.sha256'], check=True,
                       cwd=tmp_path / 'there')


def test_new_and_missing_files_are_found(tmp_path):
    write_dataset(tmp_path)
    write_manifest(load_dataset('folder', tmp_path), tmp_path / 'all.sha256')
    Image.fromarray(RGB).save(tmp_path / 'images/four.png')
    dataset = load_dataset('folder', tmp_path)
    (tmp_path / 'masks/one.png').unlink()
    new, new_mask, missing = verify_manifest(dataset, tmp_path / 'all.sha256')
    assert new == (f'{tmp_path}/images/four.png: not listed in {tmp_path}/all.sha256; if the file '
                   f'is new, write the manifest again')
    assert 'masks/four.png: not listed in' in new_mask
    assert 'masks/one.png: no such file, but' in missing
    with pytest.raises(FileNotFoundError, match=r'masks.four\.png: no such file'):
        write_manifest(dataset, tmp_path / 'more.sha256')
    assert not (tmp_path / 'more.sha256').exists()


def test_a_file_that_is_no_manifest(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / 'x.sha256').write_text('hello\n')
    with pytest.raises(ValueError, match=r"x\.sha256, line 1: 'hello' is not a SHA-256"):
        [*verify_manifest(load_dataset('folder', tmp_path), tmp_path / 'x.sha256')]


def test_a_data_set_without_files_has_an_empty_manifest(tmp_path):
    dataset = Dataset(['a'], ['x'], lambda name: (RGB, LABEL))
    write_manifest(dataset, tmp_path / 'none.sha256')
    assert (tmp_path / 'none.sha256').read_bytes() == b''
    assert not [*verify_manifest(dataset, tmp_path / 'none.sha256')]


def test_an_image_that_is_listed_often_is_read_once():
    read = []

    def read_pair(name):
        read.append(name)
        return np.zeros((2, 2, 3), 'uint8'), np.array([[0, 1], [1, 255]])

    dataset = Dataset(['sky', 'bird'], ['one'] * 1000 + ['two'], read_pair)
    (problem,) = find_problems(dataset, summary := {})
    assert problem.startswith('one: 1000 times in the list')
    assert read == ['one', 'two'] and summary['images'] == 2


def test_a_list_of_millions_of_lines_is_refused(tmp_path):
    (tmp_path / 'train.txt').write_bytes(b'\n' * 2_000_001)
    with pytest.raises(ValueError, match=r'train\.txt: more than 2,000,000 lines; this is no list'):
        read_list(tmp_path / 'train.txt')
