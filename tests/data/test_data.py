"""Data sets on disk, each in its own layout: void is always 255, and errors name the file."""
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from tinyfcn.data import load_dataset
from tinyfcn.data.camvid import camvid
from tinyfcn.data.dataset import Dataset, hold_out
from tinyfcn.data.folder import folder
from tinyfcn.data.images import read_label
from tinyfcn.data.lists import read_list
from tinyfcn.data.nyud import nyud
from tinyfcn.data.paths import file_stems
from tinyfcn.data.sbd import sbd
from tinyfcn.data.siftflow import siftflow
from tinyfcn.data.stanford import read_regions, stanford
from tinyfcn.data.transforms import prepare
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
    dataset = voc(devkit)
    assert (len(dataset), len(dataset.classes), dataset.names) == (2, 21, ['one', 'two'])
    assert repr(dataset).startswith('<Dataset of 2 images, classes background, aeroplane, ')
    image, label = dataset[1]
    assert image.shape == (6, 8, 3)
    np.testing.assert_array_equal(label, LABEL)
    assert [CLASSES[i] for i in (8, 12, 15, 20)] == ['cat', 'dog', 'person', 'tvmonitor']


def test_voc_of_some_classes(devkit):
    dataset = voc(devkit, only=['dog', 'cat'])
    assert dataset.classes == ('background', 'dog', 'cat')
    label = dataset[0][1]
    for number, new in [(0, 0), (12, 1), (8, 2), (15, 255), (255, 255)]:
        assert (label[LABEL == number] == new).all()
    save(devkit / 'SegmentationClass/one.png', np.where(LABEL == 15, 38, LABEL).astype('uint8'))
    with pytest.raises(ValueError, match=r'one\.png: label 38 at row 0, column 4; there are 3'):
        dataset[0]
    save(devkit / 'SegmentationClass/one.png', LABEL + np.uint16(285) * (LABEL == 15))
    with pytest.raises(ValueError, match=r'one\.png: label 300 at row 0, column 4'):
        dataset[0]
    with pytest.raises(ValueError, match='VOC has no class zebra; .*background, aeroplane'):
        voc(devkit, only=['zebra'])
    with pytest.raises(ValueError, match='only names background, cat: each class once, and not'):
        voc(devkit, only=['background', 'cat'])


def test_voc_with_a_list_given_by_its_path(devkit, tmp_path):
    (tmp_path / 'mine.txt').write_text('two\n')
    assert voc(devkit, tmp_path / 'mine.txt').names == ['two']


def test_stanford_with_png_and_text_labels(tmp_path):
    label = LABEL % 8
    for name in 'a', 'b':
        save(tmp_path / f'images/{name}.jpg', IMAGE)
    save(tmp_path / 'labels/a.png', label, palette=True)
    rows = '\n'.join(' '.join(str(v) for v in row) for row in label.astype(int))
    (tmp_path / 'labels/b.regions.txt').write_text(rows.replace('7', '-1'))
    from_png, from_text = (stanford(tmp_path)[i][1] for i in (0, 1))
    np.testing.assert_array_equal(from_png, label)
    np.testing.assert_array_equal(from_text, np.where(label == 7, 255, label))
    (tmp_path / 'train.txt').write_text('b\n')
    assert stanford(tmp_path, 'train').names == ['b']


@pytest.mark.parametrize('text', ['0 1\n2\n', '0 x\n', '0 1.5\n'])
def test_regions_that_are_no_matrix(tmp_path, text):
    (tmp_path / 'x.regions.txt').write_text(text)
    with pytest.raises(ValueError, match=r'x\.regions\.txt: .*; get it again'):
        read_regions(tmp_path / 'x.regions.txt')


def test_a_region_above_the_classes_is_not_void(tmp_path):
    save(tmp_path / 'images/a.jpg', np.zeros((1, 2, 3), 'uint8'))
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.regions.txt').write_text('0 300\n')
    with pytest.raises(ValueError, match=r'a\.regions\.txt: label 300 at row 0, column 1'):
        stanford(tmp_path)[0]


def test_camvid(tmp_path):
    label = np.resize(np.arange(12), (6, 8)).astype('uint8')
    save(tmp_path / 'val/x.png', IMAGE)
    save(tmp_path / 'valannot/x.png', label)
    dataset = camvid(tmp_path, 'val')
    assert dataset.names == ['x'] and len(dataset.classes) == 11
    np.testing.assert_array_equal(dataset[0][1], np.where(label == 11, 255, label))


def save_mat(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, arrays)


def test_sbd(tmp_path):
    save(tmp_path / 'img/a.jpg', IMAGE)
    save_mat(tmp_path / 'cls/a.mat', GTcls=dict(Segmentation=LABEL, Boundaries=[]))
    (tmp_path / 'train.txt').write_text('a\n')
    dataset = sbd(tmp_path)
    assert dataset.names == ['a'] and dataset.classes == tuple(CLASSES)
    np.testing.assert_array_equal(dataset[0][1], LABEL)


@pytest.fixture
def nyud_root(tmp_path):
    """Two images of NYUDv2: the label of one is a .mat, of the other a PNG."""
    label = np.where(LABEL == 255, 0, LABEL + 1)
    save_mat(tmp_path / 'segmentation/img_1.mat', segmentation=label)
    save(tmp_path / 'segmentation/img_2.png', label.astype('uint8'))
    for name in '12':
        save(tmp_path / f'data/images/img_{name}.png', IMAGE)
        save(tmp_path / f'data/hha/img_{name}.png', IMAGE[::-1])
        save(tmp_path / f'data/depth/img_{name}.png', IMAGE[:, :, 0].astype('uint16') * 30 + 1)
    (tmp_path / 'train.txt').write_text('1\n2\n')
    return tmp_path


@pytest.mark.parametrize('sensors, mean', [
    ('rgb', (116.190, 97.203, 92.318)), ('hha', (132.431, 94.076, 118.477)),
    ('rgbd', (116.190, 97.203, 92.318, 7.844)),
    ('rgb_hha', (116.190, 97.203, 92.318, 132.431, 94.076, 118.477))])
def test_nyud(nyud_root, sensors, mean):
    """What each net of the paper reads: colour first, as BGR; HHA in the order of its file."""
    dataset = nyud(nyud_root, sensors=sensors)
    depth = np.log(IMAGE[:, :, :1] * 30. + 1)
    hha = IMAGE[::-1]
    expected = dict(rgb=[IMAGE[:, :, ::-1]], hha=[hha], rgbd=[IMAGE[:, :, ::-1], depth],
                    rgb_hha=[IMAGE[:, :, ::-1], hha])[sensors]
    order = 'RGB' if sensors == 'hha' else 'BGR'
    for image, label in dataset:
        np.testing.assert_array_equal(label, LABEL)
        x = prepare(image, dict(order=order, scale=1., mean=mean, std=[1.] * len(mean)))
        np.testing.assert_allclose(x[0].transpose(1, 2, 0), np.dstack(expected) - mean, atol=1e-4)
    assert len(dataset.classes) == 40 and dataset.classes[27] == 'shower curtain'


@pytest.mark.parametrize('depth, message', [
    (IMAGE[:, :, 0], r'img_2\.png: L pixels; a depth is in millimetres, as a greyscale PNG of 16'),
    (np.where(LABEL == 255, 0, 900).astype('uint16'),
     r'img_2\.png: depth 0 at row 0, column 3, and 6 such pixels in all; fill in the missing'),
    (np.full((6, 7), 900, 'uint16'), r'img_2\.png: 6×7 pixels .*, and its mask has 6×8')])
def test_invalid_depths(nyud_root, depth, message):
    save(nyud_root / 'data/depth/img_2.png', depth)
    with pytest.raises(ValueError, match=message):
        nyud(nyud_root, sensors='rgbd')[1]


def test_nyud_with_an_unknown_sensor(nyud_root):
    with pytest.raises(ValueError, match="sensors is 'depth'.* 'rgb', 'hha', 'rgbd', 'rgb_hha'"):
        nyud(nyud_root, sensors='depth')


def test_siftflow(tmp_path):
    semantic = np.where(LABEL == 255, 0, LABEL + 1)
    geometric = np.resize([-1, 0, 1, 2, 3], (6, 8))
    place = 'spatial_envelope_256x256_static_8outdoorcategories'
    save(tmp_path / 'Images' / place / 'a.jpg', IMAGE)
    save_mat(tmp_path / 'SemanticLabels' / place / 'a.mat', S=semantic, names=['x'])
    save_mat(tmp_path / 'GeoLabels' / place / 'a.mat', S=geometric.astype(float))
    (tmp_path / 'trainval.txt').write_text('a\n')
    dataset = siftflow(tmp_path)
    image, label = dataset[0]
    np.testing.assert_array_equal(label['score_sem'], LABEL)
    np.testing.assert_array_equal(label['score_geo'], np.resize([255, 255, 0, 1, 2], (6, 8)))
    assert {len(dataset.classes[key]) for key in label} == {33, 3}
    assert dataset.classes['score_sem'][27] == 'sky' and label['score_sem'].dtype == 'uint8'
    save_mat(tmp_path / 'GeoLabels' / place / 'a.mat', S=geometric + 1)
    with pytest.raises(ValueError, match=r'GeoLabels.*a\.mat: label 3 at row 0, column 4; there'):
        dataset[0]


# ---- your own images -----------------------------------------------------------------------------

@pytest.fixture
def own_folder(tmp_path):
    for suffix in '.jpg', '.PNG', '.tiff', '.bmp':
        save(tmp_path / f'images/{suffix[1:]}{suffix}', IMAGE)
        save(tmp_path / f'masks/{suffix[1:]}.png', LABEL % 2)
    (tmp_path / 'classes.txt').write_text('sky\r\nroad sign\n\n')
    return tmp_path


def test_a_folder_of_images_of_any_kind(own_folder):
    save(own_folder / 'masks/unused.png', LABEL)
    (own_folder / 'images/.hidden.png').touch()
    (own_folder / 'images/notes.txt').touch()
    dataset = folder(own_folder)
    assert dataset.classes == ('sky', 'road sign')
    assert sorted(dataset.names) == ['PNG', 'bmp', 'jpg', 'tiff']
    for _, label in dataset:
        np.testing.assert_array_equal(label, LABEL % 2)


def test_a_folder_with_lists(own_folder):
    assert len(folder(own_folder, 'train')) == 4            # all, as there is no list
    (own_folder / 'val.txt').write_text('bmp\n')
    assert folder(own_folder, 'val').names == ['bmp'] and len(folder(own_folder)) == 4
    assert sorted(folder(own_folder, 'train').names) == ['PNG', 'jpg', 'tiff']      # the rest
    with pytest.raises(FileNotFoundError, match=r'test\.txt: .* classes\.txt, val\.txt'):
        folder(own_folder, 'test')


def test_rgb_masks(own_folder):
    (own_folder / 'classes.txt').write_text(
        '0 0 0 sky\n224 224 192 void\n128 0 64 2 road signs\n9 lives')
    colours = np.array([[0, 0, 0], [128, 0, 64], [224, 224, 192]], 'uint8')
    numbers = RNG.integers(0, 3, (6, 8))
    save(own_folder / 'masks/jpg.png', colours[numbers])
    alpha = np.full((6, 8, 1), 9, 'uint8')
    save(own_folder / 'masks/bmp.png', np.dstack([colours[numbers], alpha]))
    dataset = folder(own_folder)
    assert dataset.classes == ('sky', '2 road signs', '9 lives')
    for name in 'jpg', 'bmp':
        label = dataset[dataset.names.index(name)][1]
        np.testing.assert_array_equal(label, np.array([0, 1, 255])[numbers])
    np.testing.assert_array_equal(dataset[dataset.names.index('PNG')][1], LABEL % 2)


@pytest.mark.parametrize('array, dtype, mode', [
    (LABEL, 'uint8', 'P'), (LABEL % 2, bool, '1'), (LABEL, 'uint16', 'I;16')])
def test_masks_of_numbers(tmp_path, array, dtype, mode):
    save(tmp_path / 'mask.png', array.astype(dtype), palette=mode == 'P')
    with Image.open(tmp_path / 'mask.png') as image:
        assert image.mode == mode
    label = read_label(tmp_path / 'mask.png')
    np.testing.assert_array_equal(label, array)
    assert label.dtype.kind == 'u'


# ---- load_dataset, hold_out ----------------------------------------------------------------------

def test_load_dataset(devkit):
    assert load_dataset('voc', devkit).names == ['one', 'two']
    assert len(load_dataset('voc_animals', devkit, 'train').classes) == 7
    with pytest.raises(ValueError, match="'coco' is not a data set.* voc, sbd, siftflow"):
        load_dataset('coco', devkit)
    with pytest.raises(ValueError, match='voc: root is missing'):
        load_dataset('voc')
    with pytest.raises(ValueError, match=r"images of your own are load_dataset\('folder', '"):
        load_dataset(str(devkit))


def test_the_held_out_images_never_change():
    names = [f'{i:06}' for i in range(1000)]
    rest, held_out = hold_out(Dataset(['a'], names, str), .2)
    assert held_out.names[:5] == ['000010', '000014', '000018', '000020', '000024']
    assert 150 < len(held_out) < 250 and held_out.read is str
    assert sorted(rest.names + held_out.names) == names
    again = hold_out(Dataset(['a'], ['new', *names], str), .2)[1].names
    assert set(again) - {'new'} == set(held_out.names)
    with pytest.raises(ValueError, match='0 of 3 images would be held out: add images, or list'):
        hold_out(Dataset(['a'], names[:3], str), .01)


# ---- errors --------------------------------------------------------------------------------------

@pytest.mark.parametrize('image, label, message', [
    (IMAGE, LABEL[:, :7], r'one\.jpg: 6×8 .*6×7'),
    (IMAGE, np.where(LABEL == 15, 38, LABEL).astype('uint8'),
     r'one\.png: label 38 at row 0, column 4; .* 21 classes .* 6 such pixels in 1 file.* '
     r'0, 8, 12, 38, 255')])
def test_masks_that_do_not_fit_their_image(devkit, image, label, message):
    save(devkit / 'JPEGImages/one.jpg', image)
    save(devkit / 'SegmentationClass/one.png', label, palette=True)
    with pytest.raises(ValueError, match=message):
        voc(devkit)[0]


def test_several_labels_need_a_file_each():
    """Of the files of an image, the last ones are those of its labels, output by output."""
    label = dict(score_sem=LABEL % 2, score_geo=LABEL % 2)
    classes = dict.fromkeys(label, 'ab')
    files = ['x.jpg', 'semantic.png', 'geometric.png']
    dataset = Dataset(classes, ['x'], lambda name: (IMAGE, label), lambda name: files)
    assert [own.source for own in dataset.output_labels('x', label)] == files[1:]
    del files[1:]
    with pytest.raises(ValueError, match='shorter'):
        dataset.output_labels('x', label)


def test_a_label_of_another_size_than_its_image():
    with pytest.raises(ValueError, match='x: the image has 6×8 pixels and its label 5×8'):
        Dataset(['a'], ['x'], lambda name: (IMAGE, LABEL[1:]))[0]


@pytest.mark.parametrize('array, suffix, message', [
    (LABEL, '.jpg', r'mask\.jpg: a JPEG'),
    (IMAGE, '.png', 'RGB pixels are colours; a mask holds the number of a class in each pixel, as '
                    r'a palette or greyscale PNG \(lesson 15\)$'),
    (np.zeros((2, 2), 'float32'), '.tif', r'mask\.tif: F pixels')])
def test_images_that_are_not_masks(tmp_path, array, suffix, message):
    save(tmp_path / f'mask{suffix}', array)
    with pytest.raises(ValueError, match=message):
        read_label(tmp_path / f'mask{suffix}')


def test_a_flipped_bit_in_a_mask_is_found(tmp_path):
    save(tmp_path / 'mask.png', np.tile(LABEL, (20, 20)), palette=True)
    intact = (tmp_path / 'mask.png').read_bytes()
    start = intact.index(b'IDAT') + 4
    for at in range(start, len(intact) - 20, 5):
        damaged = bytearray(intact)
        damaged[at] ^= 16
        (tmp_path / 'damaged.png').write_bytes(damaged)
        with pytest.raises(ValueError, match='damaged.png: damaged'):
            read_label(tmp_path / 'damaged.png')


@pytest.mark.parametrize('line', ['../evil', 'a/b', 'c\\d', '..'])
def test_a_name_is_not_a_path(tmp_path, line):
    (tmp_path / 'list.txt').write_text(f'fine\n{line}\n')
    with pytest.raises(ValueError, match='list.txt, line 2: .* is a path'):
        read_list(tmp_path / 'list.txt')


def test_empty_data_sets(tmp_path):
    with pytest.raises(ValueError, match='no images: a data set needs at least one'):
        Dataset(['a'], [], None)
    (tmp_path / 'here').mkdir()
    with pytest.raises(ValueError, match=r'no file \*\.jpg; .*nowhere is not a folder; .*: here$'):
        file_stems(tmp_path / 'nowhere', '.jpg')
    (tmp_path / 'here').rmdir()
    with pytest.raises(ValueError, match=r'no file \*\.jpg; .* is empty'):
        file_stems(tmp_path, '.jpg')
    for name in 'a.bmp', 'b.bmp', 'README':
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r'no file \*\.jpg; .* has 2 \.bmp, 1 without suffix'):
        file_stems(tmp_path, '.jpg')


def test_a_missing_image_is_named(devkit):
    (devkit / 'JPEGImages/two.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'two\.jpg: no such file; .* has 1 \.jpg'):
        voc(devkit)[1]


# ---- real data -----------------------------------------------------------------------------------

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA does not name a folder of real data')
@pytest.mark.parametrize('load, count', [
    (lambda: voc(DATA / 'voc_native'), 60),
    (lambda: voc(DATA / 'voc_animals', only='cat cow dog horse person sheep'.split()), 3136),
    (lambda: stanford(DATA / 'stanford_background', 'train'), 572),
    (lambda: camvid(DATA / 'camvid'), 367), (lambda: camvid(DATA / 'camvid', 'val'), 101)])
def test_real_data_sets(load, count):
    dataset = load()
    assert len(dataset) == count
    counts = np.zeros(256, int)
    for i in range(0, count, max(1, count // 30)):
        counts += np.bincount(dataset[i][1].ravel(), minlength=256)
    n_class = len(dataset.classes)
    assert (counts[:n_class] > 0).sum() > n_class / 3
    assert not counts[n_class:255].any() and counts[255]
