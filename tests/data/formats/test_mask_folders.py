"""Folders of images and of masks, under the names that people give them."""
import json

import numpy as np
import pytest
from bad_input_samples import LABEL, RGB, save, write_dataset
from PIL import Image

from tinyfcn.cli import main
from tinyfcn.cli.paths import train_val_sets
from tinyfcn.data.check import find_problems
from tinyfcn.data.folder import folder
from tinyfcn.data.images import read_label
from tinyfcn.training import get_recipe

# folders of images, of their masks, by split; and other folders that are in the way
LAYOUTS = {
    'as documented': ('images', 'masks', ''),
    'singular, in capitals': ('Image', 'Mask', ''),
    'short': ('img', 'gt', ''),
    'VOC': ('JPEGImages', 'SegmentationClass', 'SegmentationObject'),
    'labelme2voc': ('JPEGImages', 'SegmentationClassPNG', 'SegmentationClassVisualization'),
    'labelme2voc, with arrays': ('JPEGImages', 'SegmentationClassPNG', 'SegmentationClass/a.npy'),
    'only the masks have a known name': ('frames', 'masks', ''),
    'only the images have a known name': ('photos', 'drawn by us', ''),
    'no name is known': ('before', 'after', ''),
    'both in one folder': ('', '', ''),
    'both in a folder for each split': ('{}', '{}', ''),
    'splits within': ('images/{}', 'masks/{}', ''),
    'splits above': ('{}/images', '{}/labels', ''),
    'ADE20K': ('images/{}ing', 'annotations/{}ing', ''),
    'SegNet': ('{}', '{}annot', ''),
    'Carvana': ('{}', '{}_masks', ''),
    'years': ('images_{}2017', 'masks_{}2017', ''),
    'images of a test without masks': ('images/{}', 'masks/{}', 'images/test'),
}


@pytest.mark.parametrize('images, masks, other', LAYOUTS.values(), ids=LAYOUTS)
def test_the_folders_of_images_and_masks_are_found(tmp_path, images, masks, other):
    splits = dict(train='abc', val='de') if '{}' in images else {'': 'abc'}
    for split, names in splits.items():
        for name in names:
            save(tmp_path / images.format(split) / f'{name}.jpg', RGB)
            save(tmp_path / masks.format(split) / f'{name}.png', LABEL)
    if other.endswith('.npy'):
        (tmp_path / other).parent.mkdir()
        np.save(tmp_path / other, LABEL)
    elif other:
        save(tmp_path / other / 'a.png', RGB)
    (tmp_path / 'classes.txt').write_text('sky\ntree\nroad\n')
    dataset = folder(tmp_path)
    assert dataset.names == sorted(name for names in splits.values() for name in names)
    assert not [*find_problems(dataset, {})]
    np.testing.assert_array_equal(dataset[0][1], LABEL)
    for split, names in splits.items():
        if split:
            assert folder(tmp_path, split).names == [*names]


def test_lists_where_voc_has_them_unless_there_are_others(tmp_path):
    for name in 'abc':
        save(tmp_path / f'JPEGImages/{name}.jpg', RGB)
        save(tmp_path / f'SegmentationClass/{name}.png', LABEL)
    (tmp_path / 'classes.txt').write_text('sky\ntree\nroad\n')
    lists = tmp_path / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'default.txt').write_text('a\nb\nc\n')    # of CVAT, which has no splits
    assert len(folder(tmp_path, 'train')) == 3 and folder(tmp_path, 'default').names == [*'abc']
    (lists / 'val.txt').write_text('c\n')
    assert folder(tmp_path, 'val').names == ['c'] and folder(tmp_path, 'train').names == ['a', 'b']
    (tmp_path / 'val.txt').write_text('b\n')
    assert folder(tmp_path, 'val').names == ['b'] and folder(tmp_path, 'train').names == ['a', 'c']


def test_a_training_takes_the_splits_of_the_folders(tmp_path):
    for split in 'train', 'valid':
        save(tmp_path / split / 'images/a.jpg', RGB)
        save(tmp_path / split / 'masks/a_mask.png', LABEL)
    (tmp_path / 'classes.txt').write_text('sky\ntree\nroad\n')
    train, valid = train_val_sets(get_recipe('folder'), tmp_path)
    assert (train.names, valid.names) == (['train/a'], ['val/a'])


def test_folders_that_cannot_be_told_apart_are_named(tmp_path, capsys):
    root = tmp_path / 'my'
    write_dataset(root)
    (root / 'images').rename(root / 'before')
    (root / 'masks').rename(root / 'after')
    save(root / 'too/one.png', LABEL)
    with pytest.raises(ValueError, match=r'images in after/, before/, too/; which of them are'):
        folder(root)
    assert folder(root, images='before', masks='after').names == ['one', 'three', 'two']
    with pytest.raises(ValueError, match='before: the folder of masks is missing; name both'):
        folder(root, images='before')
    with pytest.raises(ValueError, match=r'my.gone: no such folder; .*my has 3 folders, 1 \.txt'):
        folder(root, images='gone', masks='after')
    named = ['--images', str(root / 'before'), '--masks', str(root / 'after')]
    assert main(['check', str(root), '--masks', 'after']) == 2
    assert '--images and --masks name two folders: give both' in capsys.readouterr().err
    (root / 'val.txt').write_text('two\n')
    inside = ['--images', 'before', '--masks', 'after']
    for command in ['check', 'folder', *named], ['check', str(root), *inside]:
        assert main([*command, '--split', 'val']) == 0
        assert 'my: 3 images in before/, masks of class numbers' in capsys.readouterr().out
    assert main(['check', str(root)]) == 2              # the names are not kept
    command = ['data', 'convert', str(root), str(tmp_path / 'new'), '--images', 'before']
    assert main(command) == 2 and main([*command, '--masks', str(root / 'after')]) == 0
    assert 'masks of class numbers in after/; 3 classes' in capsys.readouterr().out
    np.testing.assert_array_equal(folder(tmp_path / 'new')[0][1], LABEL)
    assert folder(tmp_path / 'new', 'val').names == ['two']


@pytest.mark.parametrize('fault, message', [
    ('a colour is not listed', r"Anna/a\.png: colour 128 64 128 at row .* add a line '128 64 128 "),
    ('no table', r"classes\.txt: no such file; .* a line is 'R G B name'; the first ones have 0 0"),
    ('JPEG masks', r'Anna/a\.jpg: a JPEG blurs the numbers of a mask; save it as PNG'),
    ('an ending of its own', '')])
def test_faulty_masks_under_any_name_are_found_and_their_fault_is_named(tmp_path, fault, message):
    ending = '_anna' if fault.startswith('an ending') else ''
    suffix = '.jpg' if fault == 'JPEG masks' else '.png'
    for name in 'ab':
        save(tmp_path / f'2026/{name}.jpg', np.tile(RGB, (4, 4, 1)))
        save(tmp_path / f'by Anna/{name}{ending}{suffix}', MASK.repeat(4, 0).repeat(4, 1))
    table = TABLES['classes.txt'].splitlines()
    if fault != 'no table':
        table = [line for line in table if not message or 'road' not in line]
        (tmp_path / 'classes.txt').write_text('\n'.join(table))
    if not message:
        return np.testing.assert_array_equal(folder(tmp_path)[0][1][::4, ::4], LABEL)
    with pytest.raises((ValueError, OSError), match=message):
        folder(tmp_path)[0]


# ---- classes and their colours -------------------------------------------------------------------

COLOURS = np.array([[0, 0, 0], [0, 128, 0], [128, 64, 128], [224, 224, 192]], 'uint8')
MASK = COLOURS[LABEL.clip(max=3)]
NAMES = 'sky', 'tree', 'road', 'void'
TABLES = {
    'classes.txt': '0 0 0 sky\n0 128 0 tree\n128 64 128 road\n224 224 192 void\n',
    'labelmap.txt': '# label:color_rgb:parts:actions\nsky:0,0,0::\ntree:0,128,0::\n'
                    'road:128,64,128::\nvoid:224,224,192::\n',
    'classes.json': json.dumps(dict(zip(NAMES, COLOURS.tolist()))),
    'colors.json': json.dumps([dict(name=name, color=f'#{bytes(colour.tolist()).hex()}')
                               for name, colour in zip(NAMES, COLOURS)]),
    'colours.json': json.dumps(dict(labels=[
        dict(readable=name, color=colour) for name, colour in zip(NAMES, COLOURS.tolist())])),
}


def write_masks(root, mask, mode=None):
    save(root / 'images/a.jpg', RGB)
    save(root / 'masks/a.png', mask, mode)


@pytest.mark.parametrize('name', TABLES)
def test_colours_of_masks_from_every_kind_of_table(tmp_path, name):
    write_masks(tmp_path, MASK)
    (tmp_path / name).write_text(TABLES[name])
    dataset = folder(tmp_path)
    assert dataset.classes == ('sky', 'tree', 'road') and dataset.colours['road'] == (128, 64, 128)
    assert dataset.description == f'1 image in images/, masks of colours in masks/; 3 classes ' \
                                  f'from {name}'
    np.testing.assert_array_equal(dataset[0][1], LABEL)


def test_names_alone_from_a_table_of_json_or_labelme(tmp_path):
    write_masks(tmp_path, LABEL)
    (tmp_path / 'classes.json').write_text('["sky", "tree", "road"]')
    np.testing.assert_array_equal(folder(tmp_path)[0][1], LABEL)
    (tmp_path / 'labels.txt').write_text('__ignore__\n_background_\ntree\nroad\n')
    (tmp_path / 'classes.json').unlink()
    assert folder(tmp_path).classes == ('background', 'tree', 'road')


def test_black_and_white_masks_of_two_classes(tmp_path):
    """255 is void, unless it is the colour of a class."""
    write_masks(tmp_path, LABEL // 2 % 2 * 255)
    (tmp_path / 'classes.txt').write_text('background\nroad\n')
    problem, = find_problems(folder(tmp_path), {})
    assert 'or write the colours 0 0 0 and 255 255 255 before the names in classes.txt' in problem
    (tmp_path / 'classes.txt').write_text('0 0 0 background\n255 255 255 road\n')
    np.testing.assert_array_equal(folder(tmp_path)[0][1], LABEL // 2 % 2)
    save(tmp_path / 'masks/a.png', LABEL)               # numbers: not all are black or white
    with pytest.raises(ValueError, match=r'label 2 at row'):
        folder(tmp_path)[0]


def test_a_palette_of_the_colours_of_the_classes_in_another_order(tmp_path):
    """As image editors save it; the order of the palette means nothing then."""
    image = Image.fromarray((2 - LABEL.clip(max=2)).astype('uint8'))
    image.putpalette(COLOURS[[2, 1, 0]].tobytes())
    image.save(tmp_path / 'mask.png')
    colours = {tuple(colour): number for number, colour in enumerate(COLOURS[:3].tolist())}
    np.testing.assert_array_equal(read_label(tmp_path / 'mask.png', colours), LABEL.clip(max=2))
    numbers = read_label(tmp_path / 'mask.png')
    np.testing.assert_array_equal(numbers, 2 - LABEL.clip(max=2))
    del colours[0, 128, 0]                              # a colour of no class: they are numbers
    np.testing.assert_array_equal(read_label(tmp_path / 'mask.png', colours), numbers)


@pytest.mark.parametrize('mask, described', [
    (LABEL, r'The first masks have the values 0, 1, 2, 255, and 255 is void\. '),
    (MASK, r"so a line is 'R G B name'; the first ones have 0 0 0, 0 128 0, 128 64 128, 224 22")])
def test_what_masks_hold_is_said_where_no_file_lists_the_classes(tmp_path, mask, described):
    write_masks(tmp_path, mask)
    with pytest.raises(FileNotFoundError, match=r'classes\.txt: no such file; .*' + described):
        folder(tmp_path)
    (tmp_path / 'colours.txt').touch()
    with pytest.raises(FileNotFoundError, match=r'If colours\.txt lists them, rename it\. '):
        folder(tmp_path)
