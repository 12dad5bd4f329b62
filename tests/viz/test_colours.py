"""The colours of classes, and label files."""
import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.images import read_label
from tinyfcn.data.voc import CLASSES as VOC_CLASSES
from tinyfcn.viz import class_colours, class_shares, colours, palette, write_label
from tinyfcn.viz.colours import BACKGROUND
from tinyfcn.viz.legend import INK

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


# ---- the colours of any classes

def test_the_classes_of_voc_have_vocs_colours_and_no_others_have():
    assert (class_colours(VOC_CLASSES) == palette()).all()
    others = class_colours(['background', 'cat', 'dog'])
    assert others[0].tolist() == list(BACKGROUND)
    assert not (others[:3, None] == palette()[:21]).all(-1).any()
    assert others[255].tolist() == palette()[255].tolist(), 'void is void'


def test_own_colours_are_used_and_no_other_class_gets_one_of_them():
    light = class_colours('abc')
    table = class_colours(['sky', 'tree', 'road'], {'tree': light[0].tolist(), 'gone': [1, 2, 3]})
    assert table[:3].tolist() == [light[1].tolist(), light[0].tolist(), light[2].tolist()]
    assert class_colours(VOC_CLASSES, {'cat': (9, 8, 7)})[8].tolist() == [9, 8, 7]
    assert class_colours(['background'], {'background': (9, 8, 7)})[0].tolist() == [9, 8, 7]


def test_a_first_class_is_no_background_unless_it_is_called_so():
    assert class_colours(['sky', 'Background'])[:2].tolist() == [[86, 180, 233], [*BACKGROUND]]
    for name in 'background', '_background_', 'BG', 'void', ' unlabelled':
        assert class_colours([name])[0].tolist() == list(BACKGROUND), name


@pytest.mark.parametrize('own', [{'a': (1, 2)}, {'a': (1, 2, 256)}, {'a': (1., 2, 3)}, {'a': 5},
                                 {'a': 'red'}, ['a'], {'a': (-1, 2, 3)}])
def test_own_colours_of_another_shape_are_refused(own):
    with pytest.raises(ValueError, match='0 … 255: red, green, blue|red, green, blue.* is needed'):
        class_colours('ab', own)


def lab(rgb):
    """(n, 3) uint8 -> CIE L*a*b*, in which the distance of two colours is how they differ."""
    linear = np.where(rgb / 255 <= .04045, rgb / 255 / 12.92, ((rgb / 255 + .055) / 1.055) ** 2.4)
    return linear, lab_of_linear(linear)


def lab_of_linear(linear):
    xyz = linear.clip(0, 1) @ np.array([[.4124, .2126, .0193], [.3576, .7152, .1192],
                                        [.1805, .0722, .9505]]) / (.9505, 1, 1.089)
    f = np.where(xyz > .008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


# Machado, Oliveira & Fernandes (2009): linear RGB as a dichromat sees it
PROTANOPIA = np.array([[.152, 1.053, -.205], [.115, .786, .099], [-.004, -.048, 1.052]])
DEUTERANOPIA = np.array([[.367, .861, -.228], [.280, .673, .047], [-.012, .043, .969]])


def test_light_colours_can_be_told_apart():
    """Also by colour-blind readers, from white, from void and from the ink of the text."""
    table = class_colours([f'class {i}' for i in range(24)])[[*range(24), 255]]
    with_paper = np.concatenate([table, [[255] * 3, BACKGROUND, INK]])
    linear, seen = lab(with_paper)
    assert seen[:24, 0].min() > 35, 'none is dark'
    for name, colours_seen, at_least in [
            ('normal', seen, 13), ('protanopia', lab_of_linear(linear @ PROTANOPIA.T), 3),
            ('deuteranopia', lab_of_linear(linear @ DEUTERANOPIA.T), 3)]:
        distance = np.linalg.norm(colours_seen[:, None] - colours_seen[:24], axis=2)
        distance[np.arange(24), np.arange(24)] = 999
        print(name, distance.min(), distance[:8, :8].min())
        assert distance.min() > at_least, (name, np.argwhere(distance == distance.min()))
        assert distance[:7, :7].min() > 15, 'of seven classes or fewer'


def test_255_classes_have_255_colours():
    table = class_colours([f'class {i}' for i in range(255)])
    assert len(np.unique(table, axis=0)) == 256


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
