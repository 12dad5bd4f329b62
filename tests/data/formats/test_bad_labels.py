"""Malformed label files: each ends in one sentence with the file, the place and the cure."""
import json
import os
import re
from typing import NamedTuple

import numpy as np
import pytest
from bad_input_samples import LABEL, RGB, save

from tinyfcn.cli import main
from tinyfcn.data.check import find_problems
from tinyfcn.data.folder import folder


class Sample(NamedTuple):
    """make(folder) writes an image and its label file; a regular expression of the message"""

    make: object
    pattern: str


BAD = {}


def bad(pattern):
    def register(make):
        BAD[make.__name__.replace('_', ' ').strip()] = Sample(make, pattern)
        return make
    return register


def problems_of(root):
    try:
        return [*find_problems(folder(root), {})]
    except (ValueError, OSError) as error:
        return [str(error)]


# ---- LabelMe -------------------------------------------------------------------------------------

SQUARE = [[5, 5], [20, 5], [20, 20], [5, 20]]


def labelme(shapes=(), **other):
    return dict(version='5.5.0', flags={}, shapes=list(shapes), imagePath='a.jpg', imageData=None,
                imageHeight=40, imageWidth=56) | other


def shape(**other):
    return dict(label='cat', points=SQUARE, group_id=None, shape_type='polygon', flags={}) | other


def write(root, data, name='a.json', image='a.jpg'):
    save(root / image, RGB)
    (root / name).write_text(data if isinstance(data, str) else json.dumps(data))


def bad_shape(name, pattern, **other):
    """Register a LabelMe file whose second shape has these values."""
    BAD[name] = Sample(lambda root: write(root, labelme([shape(), shape(**other)])), pattern)


@bad(r'a\.json, line 1, column \d+: not JSON \(.*\); the file is cut short or was edited: export i')
def a_labelme_file_cut_short(root):
    write(root, json.dumps(labelme([shape()]))[:150])


@bad(r'a\.json: the file is empty; export it again as a JSON of LabelMe')
def an_empty_labelme_file(root):
    write(root, labelme([shape()], imagePath='b.jpg'), 'b.json', 'b.jpg')
    write(root, '')


@bad(r'a\.json, line 1: not UTF-8 at byte \d+; save the file as UTF-8')
def a_labelme_file_in_latin_1(root):
    write(root, '')
    text = json.dumps(labelme([shape(label='Bär')]), ensure_ascii=False)
    (root / 'a.json').write_bytes(text.encode('latin-1'))


@bad(r'a\.json: no .shapes., only version, imagePath; this is not a JSON of LabelMe: move it')
def a_labelme_file_without_shapes(root):
    write(root, dict(version='5', imagePath='a.jpg'))


@bad(r'a\.json: {"polygon": 1} where a list of shapes should be; save it again in LabelMe')
def labelme_shapes_that_are_no_list(root):
    write(root, labelme() | dict(shapes=dict(polygon=1)))


@bad(r'a\.json: shape 1: "cat" where a shape should be; save it again in LabelMe')
def a_labelme_shape_that_is_a_word(root):
    write(root, labelme(['cat']))


@bad(r'a\.jpg: no such file, and .*a\.json has labels for it; put the image there, or remove its')
def an_image_that_is_missing(root):
    write(root, labelme([shape()]))
    (root / 'a.jpg').unlink()


@bad(r'a\.json: the labels are of 80×112 pixels \(rows × columns\), and .*a\.jpg has 40×56; use '
     r'the image that was labelled, of its full size')
def an_image_that_was_made_smaller(root):
    write(root, labelme([shape()], imageHeight=80, imageWidth=112))


@bad(r'b\.json and a\.json: both label the image a\.jpg; correct the imagePath of one of them')
def two_labelme_files_of_one_image(root):
    write(root, labelme([shape()]))
    write(root, labelme([shape()]), 'b.json')


@bad(r"a\.json: shape 1 \('Cat'\): 'Cat' is not in classes\.txt; did you mean 'cat'\? Rename it, o")
def a_label_in_capitals(root):
    write(root, labelme([shape(label='Cat')]))
    (root / 'classes.txt').write_text('background\ncat\n')


@bad(r"a\.json: shape 1 \('horse'\): 'horse' is not in classes\.txt; known are background, cat\.")
def a_label_that_is_no_class(root):
    write(root, labelme([shape(label='horse')]))
    (root / 'classes.txt').write_text('background\ncat\n')


@bad(r'a\.json, line 1, column 1: not JSON|a\.json: lists within lists .* without end; this is not')
def a_labelme_file_of_nested_lists(root):
    write(root, '{"shapes": ' + '[' * 200_000)


bad_shape('a label that is a number', r'a\.json: shape 2: 7 where the name of a class should be',
          label=7)
bad_shape('an empty label', r"a\.json: shape 2: its label ' ' is no name; give it one", label=' ')
bad_shape('a label with an escape sequence', r"shape 2: its label 'c\\x1b\[2J' is no name",
          label='c\x1b[2J')
bad_shape('a polygon of two points', r"a\.json: shape 2 \('cat'\): a polygon of 2 points; it has "
                                     r"at least 3\. Draw it again, or remove", points=SQUARE[:2])
bad_shape('a circle of three points', r"a circle of 3 points; it has 2\. Draw it again",
          points=SQUARE[:3], shape_type='circle')
bad_shape('points that are no pairs', r"shape 2 \('cat'\): point 3 is \[1\], not \[x, y\]; save it",
          points=[[1, 2], [3, 4], [1]])
bad_shape('points that are words', r"shape 2 \('cat'\): point 1 is \['x', 'y'\], not \[x, y\]",
          points=[['x', 'y']] * 3)
bad_shape('a point that is not finite', r"point 2, \[nan, 1\.0\], is far outside of any image",
          points=[[1, 2], [float('nan'), 1.], [3, 4]])
bad_shape('a point that is far away', r"point 1, \[1e\+300, 1\], is far outside of any image",
          points=[[1e300, 1], [2, 2], [3, 4]])
bad_shape('an unknown kind of shape', r"shape_type 'spline' is not a shape that has pixels; there "
                                      r"are polygon, rectangle", shape_type='spline')
bad_shape('a mask that is no base64', r"shape 2 \('cat'\): its mask is not a PNG in base64 \(",
          shape_type='mask', points=SQUARE[:2], mask='%%%')
bad_shape('a mask that is no image', r"its mask is not a PNG in base64 \(cannot identify image fil",
          shape_type='mask', points=SQUARE[:2], mask='aGVsbG8=')
bad_shape('a mask of another size', r"its mask has 1×1 pixels, and its points are of 16×16 from "
                                    r"row 5, column 5; save it again in LabelMe",
          shape_type='mask', points=[[5, 5], [20, 20]],
          mask='iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5'
               'ErkJggg==')


# ---- COCO ----------------------------------------------------------------------------------------

BOX = [5, 5, 20, 5, 20, 20, 5, 20]


def coco(**other):
    return dict(images=[dict(id=1, file_name='a.jpg', height=40, width=56)],
                categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
                annotations=[annotation(id=8)]) | other


def annotation(**other):
    return dict(id=9, image_id=1, category_id=1, segmentation=[BOX], iscrowd=0) | other


def bad_coco(name, pattern, **other):
    BAD[name] = Sample(lambda root: write(root, coco(**other)), pattern)


def bad_annotation(name, pattern, **other):
    """Register a COCO file whose second annotation has these values."""
    bad_coco(name, r"a\.json: annotation 2" + pattern,
             annotations=[annotation(id=8), annotation(**other)])


@bad(r'a\.json, line 3, column 1: not JSON')
def a_coco_file_cut_short(root):
    write(root, '{"images": [],\n"annotations": [\n')


bad_coco('coco without categories', r'a\.json: its list of categories is empty; export it again',
         categories=[])
bad_coco('coco without images', r'a\.json: its list of images is empty; export it again', images=[])
bad_coco('images that are no list', r'a\.json: {"id": 1} where a list of images should be',
         images=dict(id=1))
bad_coco('an image without a file', r"row 1 of images: no 'file_name', only id; export it again",
         images=[dict(id=1)])
bad_coco('an image without an id', r"row 1 of images: no 'id', only file_name; export it again",
         images=[dict(file_name='a.jpg')])
bad_coco('two images of one id', r'row 2 of images: its id 1 is that of another image, too',
         images=[dict(id=1, file_name='a.jpg'), dict(id=1, file_name='b.jpg')])
bad_coco('a file that is a folder', r"row 1 of images: '/' is no name of a file; export it again",
         images=[dict(id=1, file_name='/')])
bad_coco('an image outside of the folder', r"my.passwd: no such file, and .*a\.json has labels",
         images=[dict(id=1, file_name='../../../etc/passwd')], annotations=[annotation()])
bad_coco('two categories of one name', r"row 2 of categories: another one has its id 2 or its name "
                                       r"'cat', too; give each its own",
         categories=[dict(id=1, name='cat'), dict(id=2, name='cat')])
bad_coco('a category without a name', r"row 1 of categories: no 'name', only id; export it again",
         categories=[dict(id=1)])
bad_coco('only boxes', r'none of its 1 annotations has a segmentation; boxes alone cannot be train',
         annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 2, 3, 4])])
bad_coco('an image of another size', r'a\.json: the labels are of 4×5 pixels .* has 40×56; use the',
         images=[dict(id=1, file_name='a.jpg', height=4, width=5)])
WHERE = r" \(id 9, image 'a\.jpg'\): "
bad_annotation('an annotation of no image', r': its image_id is 5, and no image has this id; expor',
               image_id=5)
bad_annotation('an annotation of no category', WHERE + r'its category_id is 7, and no category has',
               category_id=7)
bad_annotation('an annotation without a segmentation', WHERE + r'it has no segmentation, which is '
               r'a polygon or run lengths; draw its outline, or remove', segmentation=[])
bad_annotation('a segmentation that is a text', WHERE + r"its segmentation is xy, neither a list o",
               segmentation='xy')
bad_annotation('a polygon of words', WHERE + r"its polygon is \['x'\], not a list of numbers x1",
               segmentation=[['x']])
bad_annotation('a polygon of three numbers', WHERE + r'its polygon has 3 numbers, and one needs x',
               segmentation=[[1, 2, 3]])
bad_annotation('a polygon that is far away', WHERE + r'its polygon has the coordinate 1e\+300, far',
               segmentation=[[1e300] * 6])
bad_annotation('an endless outline', WHERE + r'its outline is more than 4,000,000 pixels long; exp',
               segmentation=[[0, 0, 1e5, 1e5] * 30])
bad_annotation('counts of another size', WHERE + r'its run lengths have the size \[4, 5\], and the',
               segmentation=dict(size=[4, 5], counts=[20]))
bad_annotation('counts that are too short', WHERE + r'its counts are of 7 pixels, and the image ha'
               r's 40×56 = 2,240; export it again as COCO, or remove the annotation',
               segmentation=dict(size=[40, 56], counts=[3, 4]))
bad_annotation('negative counts', WHERE + r'its counts are not a list of whole numbers, 0 or more',
               segmentation=dict(size=[40, 56], counts=[-3, 2243]))
bad_annotation('counts of words', WHERE + r'its counts are neither a text nor a list of whole',
               segmentation=dict(size=[40, 56], counts=['x']))
bad_annotation('a compressed text of other characters', WHERE + r"its counts have the character '!",
               segmentation=dict(size=[40, 56], counts='12!'))
bad_annotation('a compressed text cut short', WHERE + r'its counts are cut short; export it again',
               segmentation=dict(size=[40, 56], counts='1o'))
bad_annotation('a compressed text of a huge number', WHERE + r'its counts have a number of more th',
               segmentation=dict(size=[40, 56], counts='o' * 50))


# ---- CVAT ----------------------------------------------------------------------------------------

def bad_cvat(name, shapes, pattern, size='width="56" height="40"'):
    text = (f'<annotations><version>1.1</version><meta><task><labels><label><name>cat</name>'
            f'</label></labels></task></meta>\n<image name="a.jpg" {size}>\n{shapes}\n</image>\n'
            f'</annotations>')
    BAD[name] = Sample(lambda root: write(root, text, 'annotations.xml'), pattern)


PLACE = r"annotations\.xml: image 'a\.jpg', shape 1"
bad_cvat('xml cut short', '<box', r'annotations\.xml, line 4, column \d+: not XML \(.*\); it is cu')
bad_cvat('a polyline', '<polyline label="cat" points="1,2;3,4"/>',
         PLACE + ': a polyline has no area; draw it as a polygon, or remove it')
bad_cvat('points without a comma', '<polygon label="cat" points="1;2;3"/>',
         PLACE + r" \('cat'\): its points are '1;2;3', not x,y;x,y;x,y or more; export the task")
bad_cvat('a box without an edge', '<box label="cat" xtl="1" ytl="2" xbr="3"/>',
         PLACE + r" \('cat'\): its ybr is 'None', not a number of pixels; export")
bad_cvat('a label that cvat does not list', '<box label="cow" xtl="1" ytl="2" xbr="3" ybr="4"/>',
         PLACE + r" \('cow'\): 'cow' is not in the list of classes; known are background, cat\. "
         r"Rename it, or list all classes in classes\.txt")
bad_cvat('an unknown shape', '<star label="cat"/>', PLACE + r" \('cat'\): star is not a shape that")
bad_cvat('a mask beyond the image', '<mask label="cat" rle="0,4" left="55" top="0" width="2" '
         'height="2"/>', r"its mask of 2×2 pixels from row 0, column 55 is beyond the image of")
bad_cvat('a mask of words', '<mask label="cat" rle="x" left="5" top="0" width="2" height="2"/>',
         PLACE + r" \('cat'\): its rle is 'x', not a list of whole numbers; export")
bad_cvat('an image without a size', '', r"image 'a\.jpg': its height is 'None', not a number", '')


@bad(r'annotations\.xml: it has a DOCTYPE, which no export of CVAT has; export the task as')
def xml_that_expands(root):
    write(root, '<!DOCTYPE x [<!ENTITY a "aaaa">]>\n<annotations>&a;</annotations>',
          'annotations.xml')


@bad(r"annotations\.xml: no <image> in it, of a video; export the task as 'CVAT for images 1\.1'")
def cvat_for_video(root):
    write(root, '<annotations><track id="0" label="cat"/></annotations>', 'annotations.xml')


# ---- several labels in one folder, and none that is read -----------------------------------------

@bad(r"b\.json: the label 'Cat ', and elsewhere 'cat'; rename one of them, or list both in class")
def labels_of_labelme_that_differ_in_capitals(root):
    for name, label in ('a', 'cat'), ('b', 'Cat '), ('c', 'cat'):
        write(root, labelme([shape(label=label)], imagePath=f'{name}.jpg'), f'{name}.json',
              f'{name}.jpg')


@bad(r'a\.json and copy\.json: both label the image x/a; if one is a copy of the other, remove it')
def a_coco_file_and_its_copy(root):
    save(root / 'x/a.jpg', RGB)
    for name in 'a.json', 'copy.json':
        (root / name).write_text(json.dumps(coco()))


@bad(r'images.gone\.jpg: no such file, and .*a\.json has labels for it; put the image there')
def an_image_that_is_missing_among_those_of_coco(root):
    save(root / 'images/a.jpg', RGB)
    images = [*coco()['images'], dict(id=2, file_name='gone.jpg', height=40, width=56)]
    (root / 'a.json').write_text(json.dumps(coco(images=images)))


@bad(r'project\.json: \[{.*}\] where a JSON of COCO should be; export it again as COCO')
def a_json_of_label_studio(root):
    write(root, [dict(id=1, annotations=[])], 'project.json')


@bad(r'via\.json is of the VGG Image Annotator \(VIA\), whose own JSON is not read; export the ann')
def a_json_of_via(root):
    write(root, {'a.jpg12': dict(filename='a.jpg', regions=[])}, 'via.json')


# ---- tables of classes and colours ---------------------------------------------------------------

def bad_table(name, file, text, pattern):
    def make(root):
        save(root / 'images/a.jpg', RGB)
        save(root / 'masks/a.png', LABEL)
        (root / file).write_text(text)
    BAD[name] = Sample(make, pattern)


bad_table('a labelmap without colons', 'labelmap.txt', '# label\nsky 0 0 0\n',
          r"labelmap\.txt, line 2: 'sky 0 0 0' is not 'name:R,G,B::'; export from CVAT again, or w")
bad_table('two colours of a labelmap alike', 'labelmap.txt', 'a:0,0,0::\nb:0,0,0::\n',
          r"labelmap\.txt, line 2: 'b:0,0,0::'; every class has one line, and a colour of its own")
bad_table('colours that are no table', 'classes.json', '7', r'classes\.json: not a table of colour')
bad_table('a colour of two numbers', 'colors.json', '{"sky": [1, 2]}',
          r'colors\.json, class 1: \[1, 2\] is no colour; write \[R, G, B\], three numbers 0 … 255')
bad_table('a colour above 255', 'colors.json', '{"sky": [1, 2, 256]}',
          r"colors\.json, class 1: 'sky: \[1, 2, 256\]'; every class has .* three numbers 0 … 255")
bad_table('a class without a name', 'classes.json', '[{"color": "#123456"}]',
          r"classes\.json, class 1: .* has no name; write {\"name\": …, \"color\": \[R, G, B\]}")
bad_table('a table of no class', 'classes.json', '{}', r'classes\.json: 0 classes; write 1 … 255')

bad_table('a class that is listed twice', 'classes.txt', 'sky\ntree\nsky\n',
          r"classes\.txt, line 3: 'sky'; 'sky' is listed twice; remove one of the two lines")
bad_table('classes with numbers', 'classes.txt', '0 sky\n1 tree\n2: road 2\n',
          r"line 1: '0 sky' begins with a number; write only the names, for the first line is clas")
bad_table('a colour after the name', 'classes.txt', '0 0 0 sky\nold road 1 2 3\n',
          r"classes\.txt, line 2: 'old road 1 2 3' is not 'R G B name'; write '1 2 3 old road'")
bad_table('a colour with commas', 'classes.txt', '0,0,0,sky\n',
          r"classes\.txt, line 1: '0,0,0,sky' is not 'R G B name'; write '0 0 0 sky'")


@bad(r'masks.a\.png: colour 1 2 3 at row 0, column 0 is not in labelmap\.txt; 1 pixels have such a '
     r'colour; add it there, with the name of its class, or void if it is none')
def a_colour_that_the_labelmap_lacks(root):
    mask = np.zeros((40, 56, 3), 'uint8')
    mask[0, 0] = 1, 2, 3
    save(root / 'images/a.jpg', RGB)
    save(root / 'masks/a.png', mask)
    (root / 'labelmap.txt').write_text('sky:0,0,0::\n')


# ---- every one of them ---------------------------------------------------------------------------

@pytest.mark.parametrize('name', BAD)
def test_malformed_labels_are_one_sentence(tmp_path, name):
    root = tmp_path / 'my'
    root.mkdir()
    make, pattern = BAD[name]
    make(root)
    problems = problems_of(root)
    assert len(problems) == 1 and re.search(pattern, problems[0]), problems
    assert problems[0].isprintable() and len(problems[0]) < 500


def test_there_are_many():
    assert len(BAD) >= 60


@pytest.mark.parametrize('name', ['a polygon of two points', 'counts that are too short',
                                  'a polyline', 'a labelmap without colons'])
def test_a_command_ends_with_the_sentence(tmp_path, capsys, name):
    make, pattern = BAD[name]
    make(tmp_path)
    assert main(['check', str(tmp_path)]) == 2
    assert re.search(pattern, ''.join(capsys.readouterr()))


def test_a_pipe_never_blocks(tmp_path):
    write(tmp_path, labelme([shape()], imagePath='b.jpg'), 'b.json', 'b.jpg')
    os.mkfifo(tmp_path / 'a.json')
    problem, = problems_of(tmp_path)
    assert 'a.json: a pipe or a device, not a file' in problem


@pytest.mark.parametrize('name, data', [
    ('a.json', labelme([shape(), shape(shape_type='circle', points=SQUARE[:2])])),
    ('a.json', coco(annotations=[annotation(), annotation(segmentation=dict(
        size=[40, 56], counts='PPo12'))])),
    ('a.xml', '<annotations><image name="a.jpg" width="56" height="40"><box label="cat" xtl="1" '
              'ytl="2" xbr="3" ybr="4"/><polygon label="dog" points="1,2;3,4;5,9" z_order="2"/>'
              '</image></annotations>')])
def test_damaged_files_raise_only_errors_that_name_them(tmp_path, name, data):
    """With random bytes changed or lost a file is read, or rejected by name."""
    write(tmp_path, data, name)
    intact = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(6)
    rejected = 0
    for _ in range(150):
        damaged = bytearray(intact)
        for at in rng.integers(0, len(damaged), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        (tmp_path / name).write_bytes(damaged[:rng.integers(1, len(damaged))]
                                      if rng.random() < .2 else damaged)
        try:
            folder(tmp_path)[0]
        except (ValueError, OSError) as error:
            assert str(error).startswith(str(tmp_path)), error
            rejected += 1
    assert rejected > 30
