"""All that is wrong with a set is said at once; a manifest sees what a JPEG hides."""
import hashlib
import shutil
import subprocess

import numpy as np
import pytest
from bad_input_samples import LABEL, RGB, save, spoil, whole
from PIL import Image

from tinyfcn.data import load_dataset
from tinyfcn.data.check import check
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.images import read_image
from tinyfcn.data.manifest import verify, write_manifest


def test_the_first_problem_hides_no_other(tmp_path):
    """Three files, three faults, and what only all the masks together show."""
    whole(tmp_path)
    (tmp_path / 'images/one.jpg').write_bytes(b'')
    (tmp_path / 'masks/two.png').unlink()
    label = LABEL.copy()
    label[5, 7] = 9
    save(tmp_path / 'masks/three.png', label[:, :50])
    summary = {}
    problems = [*check(load_dataset('folder', tmp_path), summary)]
    assert [problem.split(': ')[0].removeprefix(f'{tmp_path}/') for problem in problems] == [
        'images/one.jpg', 'images/three.jpg', 'masks/two.png']
    assert summary['pictures'] == 0 and summary['smallest'] is None


def test_labels_beyond_are_counted_over_all_files():
    label = LABEL.astype(int)
    labels = dict(a=label, b=np.where(label == 1, 38, label), c=np.where(label == 2, -1, label))
    pictures = Dataset('sky tree road'.split(), labels, lambda name: (RGB, labels[name]))
    odd = [(LABEL == 1).sum(), (LABEL == 2).sum()]
    row, column = np.argwhere(LABEL == 1)[0]
    assert [*check(pictures, {})] == [
        f'b: label 38 at row {row}, column {column}; there are 3 classes (0 … 2) and 255 is void. '
        f'{sum(odd):,} such pixels in 2 files. Values seen: -1, 0, 1, 2, 38, 255']


def test_the_summary_of_a_set(tmp_path):
    whole(tmp_path)
    (tmp_path / 'classes.txt').write_text('sky\ntree\nroad\nsea\n')
    save(tmp_path / 'images/two.png', np.dstack([RGB, RGB[:, :, 0]])[:8])
    (tmp_path / 'images/two.jpg').unlink()
    save(tmp_path / 'masks/two.png', LABEL[:8] * 0 + 255)
    summary = {}
    assert not [*check(load_dataset('folder', tmp_path), summary)]
    counts = 2 * np.bincount(LABEL.ravel(), minlength=256)
    void = counts[255] + 8 * 56
    assert summary == dict(
        pictures=3, smallest=(8, 56), largest=(40, 56), labels=dict(score=dict(
            pixels=dict(sky=counts[0], tree=counts[1], road=counts[2], sea=0),
            values=[0, 1, 2, 255], void=pytest.approx(void / (counts.sum() + 8 * 56), rel=1e-12))),
        notes=['no pixel is sea', f'1 void in every pixel: {tmp_path}/masks/two.png',
               '1 with transparency, which is dropped: two'])


@pytest.mark.parametrize('n_class, label', [
    (3, LABEL // 2 % 2 * 255), (2, LABEL % 2), (2, LABEL * 0)])
def test_few_values_are_no_mistake_of_their_own(n_class, label):
    """0 and 255 say something only where there should be 0 and 1."""
    assert not [*check(Dataset('abc'[:n_class], ['x'], lambda name: (RGB, label)), {})]


def test_fewer_pictures_may_be_checked():
    read = []
    pictures = Dataset(['a'], 'abcd', lambda name: read.append(name) or (RGB, LABEL * 0))
    summary = {}
    assert not [*check(pictures, summary, range(0, 4, 2))]
    assert read == ['a', 'c'] and summary['pictures'] == 2


def test_each_output_of_a_net_has_its_labels():
    """Of one label the values are beyond, of the other only 0 and 255 of two classes."""
    label = dict(score_sem=LABEL, score_geo=np.where(LABEL == 1, 0, 255))
    classes = dict(score_sem=['a', 'b'], score_geo=['sky', 'ground'])
    summary = {}
    problems = [*check(Dataset(classes, ['x'], lambda name: (RGB, label)), summary)]
    assert len(problems) == 2
    assert 'label 2 at row' in problems[0] and "of 'ground' there is not one" in problems[1]
    assert summary['labels']['score_geo']['pixels'] == dict(sky=(LABEL == 1).sum(), ground=0)


def test_a_label_of_another_size_than_its_image():
    label = dict(score_sem=LABEL, score_geo=LABEL[:, 1:])
    pictures = Dataset(dict.fromkeys(label, 'abc'), ['x'], lambda name: (RGB, label))
    assert [*check(pictures, {})] == [
        'x: 40×55 pixels (rows × columns), and its image has 40×56; scale one of them, a mask by '
        'nearest neighbour']


# ---- the manifest --------------------------------------------------------------------------------

def test_a_flipped_bit_in_a_jpeg_is_seen(tmp_path):
    """It decodes to another picture; only who knows the file's SHA-256 can tell."""
    whole(tmp_path)
    pictures, path = load_dataset('folder', tmp_path), tmp_path / 'train.sha256'
    write_manifest(pictures, path)
    assert not [*verify(pictures, path)]
    before = read_image(tmp_path / 'images/two.jpg')
    spoil(tmp_path / 'images/two.jpg',
          lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:])
    assert (read_image(tmp_path / 'images/two.jpg') != before).any()
    assert not [*check(pictures, {})]
    problem, = verify(pictures, path)
    assert problem.startswith(f'{tmp_path}/images/two.jpg: not as it was when {path} was written')


def test_the_manifest_is_one_of_sha256sum_and_travels(tmp_path):
    (tmp_path / 'here').mkdir()
    whole(tmp_path / 'here')
    write_manifest(load_dataset('folder', tmp_path / 'here'), tmp_path / 'here/files.sha256')
    lines = (tmp_path / 'here/files.sha256').read_text().splitlines()
    data = (tmp_path / 'here/masks/two.png').read_bytes()
    assert len(lines) == 6 and f'{hashlib.sha256(data).hexdigest()}  masks/two.png' in lines
    (tmp_path / 'here').rename(tmp_path / 'there')
    moved = load_dataset('folder', tmp_path / 'there')
    assert not [*verify(moved, tmp_path / 'there/files.sha256')]
    if shutil.which('sha256sum'):
        subprocess.run(['sha256sum', '--check', '--quiet', 'files.sha256'], check=True,
                       cwd=tmp_path / 'there')


def test_files_that_come_and_go(tmp_path):
    whole(tmp_path)
    write_manifest(load_dataset('folder', tmp_path), tmp_path / 'all.sha256')
    Image.fromarray(RGB).save(tmp_path / 'images/four.png')
    pictures = load_dataset('folder', tmp_path)
    (tmp_path / 'masks/one.png').unlink()
    new, absent, gone = verify(pictures, tmp_path / 'all.sha256')
    assert new == (f'{tmp_path}/images/four.png: not in {tmp_path}/all.sha256; if it is new, write '
                   f'the manifest anew')
    assert 'masks/four.png: not in' in absent and 'masks/one.png: no such file, and' in gone
    with pytest.raises(FileNotFoundError, match=r'masks.four\.png: no such file'):
        write_manifest(pictures, tmp_path / 'more.sha256')
    assert not (tmp_path / 'more.sha256').exists()


def test_a_manifest_that_is_none(tmp_path):
    whole(tmp_path)
    (tmp_path / 'x.sha256').write_text('hello\n')
    with pytest.raises(ValueError, match=r"x\.sha256, line 1: 'hello' is not a SHA-256, two"):
        [*verify(load_dataset('folder', tmp_path), tmp_path / 'x.sha256')]


def test_a_set_without_files_has_an_empty_manifest(tmp_path):
    pictures = Dataset(['a'], ['x'], lambda name: (RGB, LABEL))
    write_manifest(pictures, tmp_path / 'none.sha256')
    assert (tmp_path / 'none.sha256').read_bytes() == b''
    assert not [*verify(pictures, tmp_path / 'none.sha256')]


