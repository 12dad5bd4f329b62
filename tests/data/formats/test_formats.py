"""Labels of other tools: masks are those of the tools' own code.

The fixtures were written by labelme, datumaro (which CVAT exports with) and pycocotools; see
fixtures/formats/make.py.
"""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bad_input_samples import RGB, save
from optional_deps import needed
from PIL import Image

from tinyfcn.cli import main
from tinyfcn.data.check import find_problems
from tinyfcn.data.fingerprint import fingerprint
from tinyfcn.data.folder import folder, has_split
from tinyfcn.data.formats.coco_masks import decode_counts, decode_text, draw_polygon
from tinyfcn.data.manifest import verify_manifest, write_manifest

FIXTURES = Path(__file__).parents[2] / 'fixtures/formats'
NAMES = ('background', 'cat', 'dog', 'tree')
RNG = np.random.default_rng(4)


@pytest.fixture
def copy(tmp_path):
    """copy(name) -> a fixture that may be changed"""
    return lambda name: Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def expected(name):
    with Image.open(FIXTURES / f'expected/{name}.png') as image:
        return np.array(image)


# ---- the same masks ------------------------------------------------------------------------------

@pytest.mark.parametrize('format, prefix, described', [
    ('labelme', '', 'LabelMe, 6 JSON files; 4 classes (sorted by name)'),
    ('coco', 'coco_', 'COCO, 4 images in annotations/instances_default.json; 4 classes (by the')])
def test_masks_are_those_of_the_tool(format, prefix, described):
    dataset = folder(FIXTURES / format)
    assert dataset.description.startswith(described) and dataset.classes == NAMES
    assert len(dataset) >= 4 and not [*find_problems(dataset, summary := {})]
    assert summary['images'] == len(dataset)
    for i, name in enumerate(dataset.names):
        np.testing.assert_array_equal(dataset[i][1], expected(prefix + name))
        with Image.open(dataset.files(name)[0]) as image:
            np.testing.assert_array_equal(dataset[i][0], image)


def test_shapes_of_cvat_are_the_masks_that_cvat_exports():
    shapes = folder(FIXTURES / 'cvat')
    masks = folder(FIXTURES / 'voc')
    assert shapes.classes == masks.classes == NAMES and shapes.names == masks.names
    assert masks.colours['dog'] == (51, 221, 255)
    assert 'masks of colours in SegmentationClass/; 4 classes from labelmap.txt' in \
        masks.description
    for (image, label), (same_image, same_label) in zip(shapes, masks):
        np.testing.assert_array_equal(label, same_label)
        np.testing.assert_array_equal(image, same_image)


# pycocotools' own, of what it hands to NumPy
@pytest.mark.filterwarnings('ignore:__array__ implementation')
def test_polygons_are_those_of_pycocotools():
    """Corners on and between pixels, beyond the image, repeated, and in a straight line."""
    mask = needed('pycocotools.mask')
    for i in range(400):
        height, width = RNG.integers(1, 60, 2).tolist()
        points = RNG.uniform(-15, 75, (RNG.integers(3, 12), 2))
        if i % 4:
            step = (1, 2, 10)[i % 4 - 1]
            points = (points * step).round() / step
        points[RNG.integers(len(points))] = points[0]
        points = points.ravel().tolist()
        theirs = mask.decode(mask.frPyObjects([points], height, width))[..., 0]
        np.testing.assert_array_equal(draw_polygon(points, height, width), theirs)


def test_run_lengths_are_those_of_pycocotools():
    mask = needed('pycocotools.mask')
    for _ in range(200):
        height, width = RNG.integers(1, 60, 2).tolist()
        pixels = (RNG.random((height, width)) < RNG.random()).astype('uint8')
        text = mask.encode(np.asfortranarray(pixels))['counts'].decode()
        counts = decode_text(text)
        np.testing.assert_array_equal(decode_counts(counts, height, width), pixels)
        rle = mask.frPyObjects(dict(counts=counts, size=[height, width]), height, width)
        assert rle['counts'].decode() == text


def test_an_ellipse_of_cvat(copy):
    """It covers the pixels whose centre it covers; turned by 90 degrees its axes change places."""
    root = copy('cvat')
    path = root / 'default.xml'
    ellipse = '<ellipse label="cat" cx="28" cy="20" rx="{}" ry="{}" rotation="{}" z_order="9"/>'
    found = []
    for arguments in (12, 7, 0), (7, 12, 90):
        text = (FIXTURES / 'cvat/default.xml').read_text()
        at = text.index('</image>')
        path.write_text(text[:at] + ellipse.format(*arguments) + text[at:])
        found.append(folder(root)[0][1])
    rows, columns = np.mgrid[:40, :56]
    is_inside = ((columns + .5 - 28) / 12) ** 2 + ((rows + .5 - 20) / 7) ** 2 <= 1
    label = folder(FIXTURES / 'cvat')[0][1]
    label[is_inside] = 1
    for own in found:
        np.testing.assert_array_equal(own, label)


@pytest.mark.parametrize('shape', ['<ellipse label="cat" cx="28" cy="20" rx="15" ry="2" ',
                                   '<box label="cat" xtl="13" ytl="18" xbr="43" ybr="22" '])
def test_a_shape_of_cvat_is_turned_clockwise(tmp_path, shape):
    save(tmp_path / 'a.jpg', RGB)
    (tmp_path / 'a.xml').write_text(f'<annotations><image name="a.jpg" width="56" height="40">'
                                    f'{shape} rotation="30"/></image></annotations>')
    label = folder(tmp_path)[0][1]
    right, down = round(12 * 3 ** .5 / 2), round(12 / 2)
    assert label[20 + down, 28 + right] == label[20 - down, 28 - right] == label[20, 28] == 1
    assert label[20 - down, 28 + right] == label[20 + down, 28 - right] == 0
    assert 80 < (label == 1).sum() < 130


# ---- rules ---------------------------------------------------------------------------------------

def coco_of(shapes, **other):
    """A COCO file of one image of 40×56 with annotations [(category, segmentation, iscrowd)]."""
    return dict(
        images=[dict(id=7, file_name='a.jpg', height=40, width=56)],
        categories=[dict(id=30, name='dog'), dict(id=4, name='cat')],
        annotations=[dict(id=i, image_id=7, category_id=category, segmentation=shape, iscrowd=crowd)
                     for i, (category, shape, crowd) in enumerate(shapes)], **other)


def box(left, top, right, bottom):
    return [[left, top, right, top, right, bottom, left, bottom]]


def write_coco(root, *shapes):
    save(root / 'a.jpg', RGB)
    (root / 'labels.json').write_text(json.dumps(coco_of(shapes)))
    return root


def test_later_annotations_lie_over_earlier_ones_and_crowds_beneath_all(tmp_path):
    dataset = folder(write_coco(tmp_path, (4, box(0, 0, 20, 20), 0), (30, box(10, 0, 30, 20), 0),
                                (4, box(0, 10, 40, 30), 1)))
    assert dataset.classes == ('background', 'cat', 'dog')          # by the ids
    label = dataset[0][1]
    assert [label[at] for at in [(5, 5), (5, 15), (15, 5), (25, 5), (35, 5)]] == [1, 2, 1, 255, 0]


def test_parts_of_an_annotation_are_united(tmp_path):
    dataset = folder(write_coco(tmp_path, (4, box(0, 0, 20, 20) + box(10, 10, 30, 30), 0)))
    assert (dataset[0][1][[5, 15, 25, 25], [5, 15, 25, 5]] == (1, 1, 1, 0)).all()


def test_a_list_of_classes_decides_their_numbers_and_what_is_outside(tmp_path):
    root = write_coco(tmp_path, (4, box(0, 0, 20, 20), 0))
    (root / 'classes.txt').write_text('dog\ncat\n')
    dataset = folder(root)
    assert 'pixels in no shape are void, as classes.txt has no class' in dataset.description
    assert (dataset[0][1][5, 5], dataset[0][1][30, 30]) == (1, 255)
    (root / 'classes.txt').write_text('dog\ncat\nbackground\n')
    assert (folder(root)[0][1][5, 5], folder(root)[0][1][30, 30]) == (1, 2)


def test_files_of_coco_for_training_and_validation_are_splits(tmp_path):
    for split in 'train2017', 'val2017':
        save(tmp_path / f'{split}/a.jpg', RGB[::-1] if split == 'val2017' else RGB)
        (tmp_path / 'annotations').mkdir(exist_ok=True)
        data = coco_of([(4 if split == 'val2017' else 30, box(0, 0, 20, 20), 0)])
        (tmp_path / f'annotations/instances_{split}.json').write_text(json.dumps(data))
        (tmp_path / f'annotations/captions_{split}.json').write_text('{"annotations": []}')
    train, valid = (folder(tmp_path, split) for split in ('train', 'val'))
    assert (train.names, valid.names) == (['train2017/a'], ['val2017/a'])
    assert train[0][1][5, 5] == 2 and valid[0][1][5, 5] == 1
    assert (train[0][0] != valid[0][0]).any() and len(folder(tmp_path)) == 2
    assert has_split(tmp_path, 'val') and not has_split(tmp_path, 'test')
    with pytest.raises(FileNotFoundError, match="it has no split 'test', only train, val; or list"):
        folder(tmp_path, 'test')


def test_a_coco_file_that_begins_with_its_images(tmp_path):
    """Nothing but their names stands in the part of it that is looked at first."""
    data = coco_of([(4, box(0, 0, 20, 20), 0)])
    data['images'] += [dict(id=100 + i, file_name=f'{i:060}.jpg') for i in range(1000)]
    save(tmp_path / 'a.jpg', RGB)
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    assert 'COCO, 1,001 images in labels.json' in folder(tmp_path).description
    problem, = find_problems(folder(tmp_path), summary := {})
    assert 'no such file' in problem and 'The same of 999 more' in problem
    assert summary['images'] == 1


def test_a_category_that_only_names_a_group_is_no_class(tmp_path):
    root = write_coco(tmp_path, (4, box(0, 0, 20, 20), 0))
    data = json.loads((root / 'labels.json').read_text())
    data['categories'] = [dict(id=0, name='animals', supercategory='none'),
                          dict(id=3, name='cow', supercategory='cow'),
                          dict(id=4, name='cat', supercategory='animals')]
    (root / 'labels.json').write_text(json.dumps(data))
    assert folder(root).classes == ('background', 'cow', 'cat')
    data['annotations'].append(dict(data['annotations'][0], category_id=0))
    (root / 'labels.json').write_text(json.dumps(data))
    assert folder(root).classes == ('background', 'animals', 'cow', 'cat')


def test_shapes_of_labelme_that_have_no_class_number(copy):
    """A list decides the numbers; __ignore__ is void, _background_ the background."""
    root = copy('labelme')
    (root / 'labels.txt').write_text('__ignore__\n_background_\ntree\ndog\ncat\n')
    dataset = folder(root)
    assert dataset.classes == ('background', 'tree', 'dog', 'cat')
    assert '4 classes from labels.txt' in dataset.description
    changed = np.arange(256)
    changed[[1, 3]] = 3, 1
    np.testing.assert_array_equal(dataset[1][1], changed[expected('photo1')])
    (root / 'labels.txt').write_text('cat\ndog\ntree\n')
    changed[:4] = 255, 0, 1, 2                          # no background: void
    np.testing.assert_array_equal(folder(root)[1][1], changed[expected('photo1')])


def test_images_of_labelme_in_a_folder_of_their_own(copy):
    root = copy('labelme')
    for path in root.glob('*.png'):
        (root / 'photos').mkdir(exist_ok=True)
        path.rename(root / 'photos' / path.name)
    for path in root.glob('*.json'):
        path.write_text(path.read_text().replace('"photo', r'"..\\photos\\photo'))
    (root / 'photo5.json').unlink()
    dataset = folder(root)
    assert '5 JSON files, 1 image without one left out' in dataset.description
    np.testing.assert_array_equal(dataset[4][1], expected('photo4'))
    (root / 'val.txt').write_text('photo2\n')
    assert folder(root, 'val').names == ['photo2'] and len(folder(root, 'train')) == 4


def test_folders_of_labelme_are_splits_unless_there_are_lists(copy):
    root = copy('labelme')
    for i, path in enumerate(sorted(root.glob('*.json'))):
        split = root / ('validation' if i > 3 else 'training')
        split.mkdir(exist_ok=True)
        path.rename(split / path.name)
        path.with_suffix('.png').rename(split / f'{path.stem}.png')
    assert folder(root, 'val').names == ['photo4', 'photo5'] and has_split(root, 'val')
    (root / 'test.txt').write_text('photo0\n')
    assert len(folder(root, 'train')) == 5 and not has_split(root, 'val')


@pytest.mark.parametrize('format', ['labelme', 'coco', 'cvat'])
def test_images_in_a_folder_elsewhere(copy, tmp_path, capsys, format):
    labels, elsewhere = copy(format), tmp_path / 'photos'
    dataset = folder(FIXTURES / format)
    for name in dataset.names:
        path = dataset.files(name)[0]
        target = elsewhere / path.relative_to(FIXTURES / format)
        target.parent.mkdir(parents=True, exist_ok=True)
        (labels / path.relative_to(FIXTURES / format)).rename(target)
    assert main(['check', str(labels)]) == 2
    assert 'name their folder: --images FOLDER' in capsys.readouterr().out
    assert main(['check', str(labels), '--images', str(elsewhere)]) == 0
    np.testing.assert_array_equal(folder(labels, images=elsewhere)[0][1], dataset[0][1])


def test_labels_of_a_second_format_are_named(tmp_path, copy):
    shutil.copytree(FIXTURES / 'cvat', copy('coco') / 'b')
    assert folder(tmp_path / 'coco').description.endswith(
        '; not read, as of another format: b/default.xml')


def test_a_label_in_one_file_that_resembles_that_of_many(tmp_path):
    for i, label in enumerate(['leaf', 'laef', 'leaf', 'leaf', 'leaf', 'stone']):
        save(tmp_path / f'{i}.jpg', RGB)
        square = dict(label=label, points=[[5, 5], [20, 5], [20, 20]], shape_type='polygon')
        (tmp_path / f'{i}.json').write_text(json.dumps(dict(
            shapes=[square], imagePath=f'{i}.jpg', imageHeight=40, imageWidth=56)))
    slip = f"; 'laef' is only in {tmp_path}/1.json: did you mean 'leaf'?"
    assert folder(tmp_path).description.endswith(f'in no shape are background{slip}')
    (tmp_path / '0.json').unlink()                      # three files are too few to tell
    assert 'laef' not in folder(tmp_path).description


def test_a_name_in_a_list_that_no_image_has(copy):
    root = copy('labelme')
    name = folder(root).names[0]
    (root / 'val.txt').write_text(f'{name}\n{name}x\n')
    problem, = find_problems(folder(root, 'val'), {})
    assert problem.startswith(f"{root}/val.txt: it lists '{name}x', and no image of this name has "
                              f"labels; did you mean '{name}'")
    (root / 'a.zip').touch()
    with pytest.raises(ValueError, match=r'a\.zip: a file; unpack it if it is an archive'):
        folder(root / 'a.zip')


def test_a_class_that_the_table_lacks_is_one_problem(copy):
    root = copy('cvat')
    (root / 'classes.txt').write_text('background\ndog\ntree\nkat\n')
    problems = [*find_problems(folder(root), {})]
    assert len(problems) == 1 and "'cat' is not in classes.txt; did you mean 'kat'" in problems[0]
    assert 'The same of' in problems[0]


def test_an_accent_that_is_a_character_of_its_own(tmp_path):
    """As one system writes it in the name of a file, and another one in JSON."""
    data = coco_of([(4, box(0, 0, 20, 20), 0)])
    data['images'][0]['file_name'] = 'B\xe4r.jpg'
    save(tmp_path / 'Ba\u0308r.jpg', RGB)
    (tmp_path / 'labels.json').write_text(json.dumps(data))
    assert folder(tmp_path)[0][1][5, 5] == 1


def test_an_image_that_was_labelled_as_it_is_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / 'a.jpg', RGB, exif=exif)
    (tmp_path / 'labels.json').write_text(json.dumps(coco_of([(4, box(0, 0, 20, 20), 0)])))
    image, label = folder(tmp_path)[0]
    assert image.shape[:2] == label.shape == (40, 56)


def test_the_labels_of_all_images_are_one_file(copy):
    dataset = folder(copy('coco'))
    path = Path(dataset.files('photo0')[1]).parents[1] / 'manifest.sha256'
    write_manifest(dataset, path)
    assert len(path.read_text().splitlines()) == 5 and not [*verify_manifest(dataset, path)]
    before = fingerprint(dataset, contents=True)
    path = dataset.files('photo0')[1]
    path.write_text(path.read_text().replace('"dog"', '"fox"'))
    assert fingerprint(folder(path.parents[1]), contents=True)['contents'] != before['contents']


# ---- convert -------------------------------------------------------------------------------------

@pytest.mark.parametrize('format', ['labelme', 'coco', 'cvat', 'voc'])
def test_a_converted_folder_is_the_same_data_set(tmp_path, capsys, format):
    new = tmp_path / 'new'
    assert main(['data', 'convert', str(FIXTURES / format), str(new)]) == 0
    assert 'classes.txt are written. Next: `tinyfcn check' in capsys.readouterr().out
    before, after = folder(FIXTURES / format), folder(new)
    assert after.classes == before.classes and after.names == before.names
    assert after.colours == before.colours and 'masks of class numbers' in after.description
    for (image, label), (same_image, same_label) in zip(before, after):
        np.testing.assert_array_equal(image, same_image)
        np.testing.assert_array_equal(label, same_label)
    assert not [*find_problems(after, {})]


def test_splits_are_converted_and_nothing_is_overwritten(tmp_path, capsys):
    for split in 'train', 'val':
        save(tmp_path / f'old/{split}/images/a.png', RGB)
        save(tmp_path / f'old/{split}/masks/a.png', RGB[..., 0] % 3)
    (tmp_path / 'old/classes.txt').write_text('sky\ntree\nroad\n')
    command = ['data', 'convert', str(tmp_path / 'old'), str(tmp_path / 'new')]
    assert main(command) == 0
    assert folder(tmp_path / 'new', 'val').names == ['val_a']
    assert folder(tmp_path / 'new', 'train').names == ['train_a']
    assert main(command) == 2
    assert 'new: exists already; name a new folder' in capsys.readouterr().err


def test_what_cannot_be_read_leaves_nothing_behind(copy, tmp_path, capsys):
    root = copy('coco')
    path = root / 'images/default/photo2.png'
    path.write_bytes(path.read_bytes()[:400])
    assert main(['data', 'convert', str(root), str(tmp_path / 'new')]) == 2
    assert 'photo2.png: damaged' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['coco']
