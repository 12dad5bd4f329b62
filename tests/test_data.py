"""Data sets on disk: read in their own layouts, void always 255, and what is wrong is named."""
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.camvid import camvid
from tinyfcn.data.pictures import Pictures, read_list, stems
from tinyfcn.data.stanford import read_regions, stanford
from tinyfcn.data.transforms import read_label
from tinyfcn.data.voc import CLASSES, voc

RNG = np.random.default_rng(9)
IMAGE = RNG.integers(0, 256, (6, 8, 3)).astype('uint8')
LABEL = np.array([0, 8, 12, 255, 15, 0, 8, 12] * 6, 'uint8').reshape(6, 8)


def save(path, array, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image = image.convert('P') if array.ndim == 3 else image
        image.putpalette(list(range(256)) * 3)
    image.save(path)


@pytest.fixture
def devkit(tmp_path):
    for name in 'one', 'two':
        save(tmp_path / f'JPEGImages/{name}.jpg', IMAGE)
        save(tmp_path / f'SegmentationClass/{name}.png', LABEL, palette=True)
    (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True)
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('\ufeffone\r\n\r\ntwo \n', 'utf-8')
    return tmp_path


def test_voc(devkit):
    pictures = voc(devkit)
    assert (len(pictures), len(pictures.classes), pictures.names) == (2, 21, ['one', 'two'])
    image, label = pictures[1]
    assert image.shape == (6, 8, 3)
    np.testing.assert_array_equal(label, LABEL)
    assert [CLASSES[i] for i in (8, 12, 15, 20)] == ['cat', 'dog', 'person', 'tvmonitor']


def test_voc_of_some_classes(devkit):
    pictures = voc(devkit, only=['dog', 'cat'])
    assert pictures.classes == ('background', 'dog', 'cat')
    label = pictures[0][1]
    for number, new in [(0, 0), (12, 1), (8, 2), (15, 255), (255, 255)]:
        assert (label[LABEL == number] == new).all()
    with pytest.raises(ValueError, match='VOC has no class zebra; it has background, aeroplane'):
        voc(devkit, only=['zebra'])


def test_voc_by_a_list_of_ones_own(devkit, tmp_path):
    (tmp_path / 'mine.txt').write_text('two\n')
    assert voc(devkit, tmp_path / 'mine.txt').names == ['two']


def test_stanford_in_both_forms(tmp_path):
    label = LABEL % 8
    for name in 'a', 'b':
        save(tmp_path / f'images/{name}.jpg', IMAGE)
    save(tmp_path / 'labels/a.png', label, palette=True)
    rows = '\n'.join(' '.join(str(v) for v in row) for row in label.astype(int))
    (tmp_path / 'labels/b.regions.txt').write_text(rows.replace('7', '-1'))
    drawn, written = (stanford(tmp_path)[i][1] for i in (0, 1))
    np.testing.assert_array_equal(drawn, label)
    np.testing.assert_array_equal(written, np.where(label == 7, 255, label))
    (tmp_path / 'train.txt').write_text('b\n')
    assert stanford(tmp_path, 'train').names == ['b']


@pytest.mark.parametrize('text', ['0 1\n2\n', '0 x\n', '0 1.5\n'])
def test_regions_that_are_no_table(tmp_path, text):
    (tmp_path / 'x.regions.txt').write_text(text)
    with pytest.raises(ValueError, match='x.regions.txt: not a row of whole numbers'):
        read_regions(tmp_path / 'x.regions.txt')


def test_a_region_beyond_the_classes_is_not_taken_for_void(tmp_path):
    save(tmp_path / 'images/a.jpg', np.zeros((1, 2, 3), 'uint8'))
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.regions.txt').write_text('0 300\n')
    with pytest.raises(ValueError, match='a: label 254 at row 0, column 1'):
        stanford(tmp_path)[0]


def test_camvid(tmp_path):
    label = LABEL % 12
    save(tmp_path / 'val/x.png', IMAGE)
    save(tmp_path / 'valannot/x.png', label)
    pictures = camvid(tmp_path, 'val')
    assert pictures.names == ['x'] and len(pictures.classes) == 11
    np.testing.assert_array_equal(pictures[0][1], np.where(label == 11, 255, label))


# ---- what is wrong with a set, or with a mask ----------------------------------------------------

@pytest.mark.parametrize('image, label, why', [
    (IMAGE, LABEL[:, :7], 'one: the image has 6×8 pixels and its label 6×7'),
    (IMAGE, np.where(LABEL == 15, 38, LABEL).astype('uint8'),
     r'one: label 38 at row 0, column 4, and 6 such pixels in all; there are 21 classes, 0 … 20, '
     r'and 255 is void. Its values are 0, 8, 12, 38, 255')])
def test_pairs_that_do_not_fit(devkit, image, label, why):
    save(devkit / 'JPEGImages/one.jpg', image)
    save(devkit / 'SegmentationClass/one.png', label, palette=True)
    with pytest.raises(ValueError, match=why):
        voc(devkit)[0]


@pytest.mark.parametrize('array, suffix, why', [
    (LABEL, '.jpg', 'a JPEG blurs the numbers of a mask; save it as PNG'),
    (IMAGE, '.png', 'RGB pixels are colours; a mask holds the number'),
    (LABEL.astype('uint16'), '.png', 'I;16 pixels are colours')])
def test_masks_that_are_no_masks(tmp_path, array, suffix, why):
    save(tmp_path / f'mask{suffix}', array)
    with pytest.raises(ValueError, match=why):
        read_label(tmp_path / f'mask{suffix}')


def test_a_flipped_bit_in_a_mask_is_seen(tmp_path):
    save(tmp_path / 'mask.png', np.tile(LABEL, (20, 20)), palette=True)
    whole = (tmp_path / 'mask.png').read_bytes()
    start = whole.index(b'IDAT') + 4
    for at in range(start, len(whole) - 20, 5):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        (tmp_path / 'damaged.png').write_bytes(damaged)
        with pytest.raises(ValueError, match='damaged.png: damaged'):
            read_label(tmp_path / 'damaged.png')


@pytest.mark.parametrize('line', ['../evil', 'a/b', 'c\\d', '..'])
def test_a_name_is_no_path(tmp_path, line):
    (tmp_path / 'list.txt').write_text(f'fine\n{line}\n')
    with pytest.raises(ValueError, match='list.txt, line 2: .* is a path; the name of a picture'):
        read_list(tmp_path / 'list.txt')


def test_empty_sets(tmp_path):
    with pytest.raises(ValueError, match='no pictures: a data set needs at least one'):
        Pictures(['a'], [], None)
    with pytest.raises(ValueError, match='nowhere: no such folder'):
        stems(tmp_path / 'nowhere', '.jpg')
    with pytest.raises(ValueError, match=r'no \.jpg in it; there is nothing'):
        stems(tmp_path, '.jpg')
    (tmp_path / 'picture.bmp').touch()
    with pytest.raises(ValueError, match=r'no \.jpg in it; there is \.bmp'):
        stems(tmp_path, '.jpg')


def test_a_missing_picture_is_named(devkit):
    (devkit / 'JPEGImages/two.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='two.jpg'):
        voc(devkit)[1]


# ---- the real ones -------------------------------------------------------------------------------

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
@pytest.mark.parametrize('load, count', [
    (lambda: voc(DATA / 'voc_native'), 60),
    (lambda: voc(DATA / 'voc_animals', only='cat cow dog horse person sheep'.split()), 3136),
    (lambda: stanford(DATA / 'stanford_background', 'train'), 572),
    (lambda: camvid(DATA / 'camvid'), 367), (lambda: camvid(DATA / 'camvid', 'val'), 101)])
def test_real_sets(load, count):
    pictures = load()
    assert len(pictures) == count
    seen = np.zeros(256, int)
    for i in range(0, count, max(1, count // 30)):
        seen += np.bincount(pictures[i][1].ravel(), minlength=256)
    n_class = len(pictures.classes)
    assert (seen[:n_class] > 0).sum() > n_class / 3 and not seen[n_class:255].any() and seen[255]
