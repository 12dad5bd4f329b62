"""The colours of classes, and label files."""
import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.images import read_label
from tinyfcn.viz import class_shares, colours, palette, write_label

VOC = """0 0 0, 128 0 0, 0 128 0, 128 128 0, 0 0 128, 128 0 128, 0 128 128, 128 128 128, 64 0 0,
192 0 0, 64 128 0, 192 128 0, 64 0 128, 192 0 128, 64 128 128, 192 128 128, 0 64 0, 128 64 0,
0 192 0, 128 192 0, 0 64 128, 128 64 128"""


def test_the_palette_is_vocs():
    expected = [[int(part) for part in colour.split()] for colour in VOC.split(',')]
    assert len(expected) == 22 and palette()[:22].tolist() == expected
    assert palette()[255].tolist() == [224, 224, 192]
    assert palette().shape == (256, 3) and palette().dtype == 'uint8'
    assert len(np.unique(palette(), axis=0)) == 256, 'no two classes share a colour'
    assert (palette(21) == palette()[:21]).all()


def test_each_pixel_has_the_colour_of_its_class():
    label = np.array([[0, 1], [20, 255]])
    assert colours(label, 21).tolist() == [[[0, 0, 0], [128, 0, 0]],
                                           [[0, 64, 128], [224, 224, 192]]]
    assert (colours(label.astype('uint8')) == colours(label, 21)).all()


@pytest.mark.parametrize('label, n_class, message', [
    ([[0, 21]], 21, r'label 21 at \(0, 1\), and 1 such pixels in all; there are classes 0 … 20'),
    ([[0], [-1]], None, r'label -1 at \(1, 0\).* 0 … 254, and 255 is void'),
    ([[256]], None, 'label 256'),
    ([[1.]], None, 'label is float64; an array of integers is needed'),
])
def test_invalid_labels_are_refused(label, n_class, message):
    with pytest.raises(ValueError, match=message):
        colours(np.array(label), n_class)


def test_which_classes_are_present():
    label = np.array([[2, 0, 0], [0, 255, 255]])
    assert class_shares(label, 'abc') == [(0, 'a', .75), (2, 'c', .25)]
    assert class_shares(np.array([[255]]), 'abc') == []


def test_a_label_is_written_as_voc_writes_it(tmp_path):
    label = np.arange(256).reshape(8, 32)
    write_label(tmp_path / 'label.png', label)
    with Image.open(tmp_path / 'label.png') as image:
        assert (image.format, image.mode, image.size) == ('PNG', 'P', (32, 8))
        assert (np.asarray(image) == label).all()
        assert image.getpalette() == palette().ravel().tolist()
        assert (np.asarray(image.convert('RGB')) == colours(label)).all()
    assert (read_label(tmp_path / 'label.png') == label).all(), 'the reader of label files reads it'
    assert [path.name for path in tmp_path.iterdir()] == ['label.png']


@pytest.mark.parametrize('name, label, message', [
    ('a.jpg', [[0]], 'a.jpg: only a .png'),
    ('a.png', [0], r'a.png: the label has shape \(1,\)'),
    ('a.png', [[]], 'integers|shape'),
    ('a.png', [[300]], 'label 300'),
])
def test_after_an_error_of_write_label_the_old_file_is_there(tmp_path, name, label, message):
    write_label(tmp_path / 'a.png', np.array([[7]]))
    with pytest.raises(ValueError, match=message):
        write_label(tmp_path / name, np.array(label))
    assert read_label(tmp_path / 'a.png').tolist() == [[7]]
    assert len([*tmp_path.iterdir()]) == 1
