"""Data sets as people have them, each with one mistake, or with something unusual that is fine.

    make, pattern = BAD_INPUT['a jpeg cut short']       make(folder) -> name of the data set, root
    make, check = UNUSUAL_INPUT['a grey image']         check(dataset) asserts what was read

The message must match the pattern: the file, the place, the value, and what to do next. It is
asserted here and nowhere else. Most are data sets called 'folder' with three images, in which one
thing was changed. Functions decorated with @bad or @unusual are samples, and their
names are the keys of these tables.
"""
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import compress, crc32

import numpy as np
from PIL import Image
from scipy.io import savemat


class BadInput(NamedTuple):
    """make(folder) -> name of the data set, root; a regular expression of the message"""

    make: Callable[[Path], tuple[str, Path]]
    pattern: str


class UnusualInput(NamedTuple):
    """make(folder) -> name of the data set, root; check(dataset) asserts, or returns whether"""

    make: Callable[[Path], tuple[str, Path]]
    check: Callable


BAD_INPUT = {}
UNUSUAL_INPUT = {}

RNG = np.random.default_rng(12)
H = 40
W = 56
RGB = RNG.integers(0, 256, (H // 8, W // 8, 3)).astype('uint8').repeat(8, 0).repeat(8, 1)
LABEL = RNG.integers(0, 3, (H // 4, W // 4)).astype('uint8').repeat(4, 0).repeat(4, 1)
LABEL[:2] = 255
NAMES = 'one', 'two', 'three'


def bad(pattern):
    """Register the function, which spoils a good data set, or returns the name of its own."""
    def register(spoil):
        BAD_INPUT[_title(spoil)] = BadInput(_maker(spoil), pattern)
        return spoil
    return register


def unusual(check):
    def register(change):
        UNUSUAL_INPUT[_title(change)] = UnusualInput(_maker(change), check)
        return change
    return register


def _title(function):
    return function.__name__.replace('_', ' ').strip()


def _maker(change):
    def make(root):
        write_dataset(root)
        return change(root) or 'folder', root
    return make


def write_dataset(root):
    """A good data set of three images in a folder of one's own."""
    for name in NAMES:
        save(root / f'images/{name}.jpg', RGB)
        save(root / f'masks/{name}.png', LABEL, 'P')
    (root / 'classes.txt').write_text('sky\ntree\nroad\n')


def save(path, array, mode=None, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.ascontiguousarray(array))
    if mode == 'P':
        image.putpalette(RNG.integers(0, 256, 768).astype('uint8').tobytes())
    elif mode:
        image = image.convert(mode)
    image.save(path, **kwargs)


def edit_bytes(path, change):
    path.write_bytes(change(path.read_bytes()))


def png(width, height, data):
    """A greyscale PNG of one bit a pixel, which may claim any size."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc32(kind + data))
    header = struct.pack('>IIBBBBB', width, height, 1, *[0] * 4)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', compress(data))
            + chunk(b'IEND', b''))


# ---- files that are damaged, or no images --------------------------------------------------------

@bad(r'images.two\.jpg: damaged \(.*truncated.*\), of [\d,]+ bytes; get it again')
def a_jpeg_cut_short(root):
    edit_bytes(root / 'images/two.jpg', lambda data: data[:len(data) * 9 // 10])


@bad(r'masks.two\.png: damaged \(.*\), of [\d,]+ bytes; get it again')
def a_bit_flipped_in_a_mask(root):
    def flip(data):
        at = data.index(b'IDAT') + 20
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]
    edit_bytes(root / 'masks/two.png', flip)


@bad(r'masks.two\.png: damaged')
def a_mask_without_its_end(root):
    edit_bytes(root / 'masks/two.png', lambda data: data[:-12])


@bad(r'images.two\.jpg: not an image: the file is empty \(a failed download\?\); get it again')
def an_empty_file(root):
    edit_bytes(root / 'images/two.jpg', lambda data: b'')


@bad(r'images.two\.jpg: not an image: it is an HTML page \(a failed download\?\); get it again')
def an_html_page(root):
    edit_bytes(root / 'images/two.jpg', lambda data: b'\n<!DOCTYPE html><html>404</html>')


@bad(r'images.two\.jpg: not an image: it is HEIC or AVIF; convert it to JPEG first')
def a_photo_of_a_phone(root):
    edit_bytes(root / 'images/two.jpg', lambda data: b'\0\0\0\x18ftypheic' + b'\0' * 99)


@bad(r'images.two\.jpg: not an image: it is XML; give the image itself')
def labels_in_place_of_an_image(root):
    edit_bytes(root / 'images/two.jpg', lambda data: b'<?xml version="1.0"?><annotations/>')


@bad(r"images.two\.jpg: not an image: it begins with b'%pdf-1\.7'")
def a_file_of_another_kind(root):
    edit_bytes(root / 'images/two.jpg', lambda data: b'%PDF-1.7 and more')


@bad(r'images.two\.jpg: cannot be read \(Is a directory\)')
def a_folder_with_the_name_of_an_image(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.jpg').mkdir()


@bad(r'images.two\.jpg: no such file; .*images has 3 \.jpg')
def a_broken_link(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.jpg').symlink_to(root / 'gone.jpg')


@bad(r'images.two\.png: 12000×9000 pixels are more than 50,000,000; make it smaller first')
def a_decompression_bomb_of_108_million_pixels(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.png').write_bytes(png(12000, 9000, bytes(1501 * 9000)))


@bad(r'images.two\.png: far more than 50,000,000 pixels; make it smaller first')
def a_decompression_bomb_of_400_million_pixels(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.png').write_bytes(png(20000, 20000, b''))


@bad(r'images.two\.png: I;16 pixels have more than 8 bits; scale them to 0 … 255')
def an_image_of_16_bits(root):
    (root / 'images/two.jpg').unlink()
    save(root / 'images/two.png', RGB[:, :, 0].astype('uint16') * 257)


@bad(r'images.two\.tif: F pixels have more than 8 bits; scale them to 0 … 255')
def an_image_of_floats(root):
    (root / 'images/two.jpg').unlink()
    save(root / 'images/two.tif', RGB[:, :, 0] / np.float32(255))


# ---- orientations in EXIF ------------------------------------------------------------------------

# orientation: how RGB is stored
STORED = {2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.swapaxes(0, 1),
          6: np.rot90(RGB), 7: RGB[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(RGB, -1)}


def save_with_orientation(root, orientation, array):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(root / 'images/two.png', array, exif=exif)
    (root / 'images/two.jpg').unlink()


def image_of_two_is(image):
    def check(dataset):
        np.testing.assert_array_equal(dataset[dataset.names.index('two')][0], image)
    return check


def an_image_with_orientation(orientation):
    def change(root):
        save_with_orientation(root, orientation, STORED[orientation])
    return change


for _orientation in STORED:
    UNUSUAL_INPUT[f'orientation {_orientation}, the mask upright'] = UnusualInput(
        _maker(an_image_with_orientation(_orientation)), image_of_two_is(RGB))


@unusual(image_of_two_is(np.rot90(RGB)))
def an_orientation_and_the_mask_as_stored(root):
    save_with_orientation(root, 6, np.rot90(RGB))
    save(root / 'masks/two.png', np.rot90(LABEL))


@bad(r'two\.png: 40×56 pixels upright, 56×40 as stored \(rows × columns\), and its mask has '
           r'40×50')
def an_orientation_and_a_mask_of_neither_size(root):
    save_with_orientation(root, 6, np.rot90(RGB))
    save(root / 'masks/two.png', LABEL[:, :50])


# ---- images of every kind ------------------------------------------------------------------------

def two_is_grey(dataset):
    grey = np.array(Image.fromarray(RGB).convert('L'))
    image_of_two_is(np.dstack([grey] * 3))(dataset)


def two_is_similar(dataset):
    """The same up to what CMYK and JPEG lose."""
    image = dataset[dataset.names.index('two')][0].astype(int)
    assert np.median(abs(image - RGB)) < 8


def replace_image(root, array, mode=None, suffix='.png', **kwargs):
    (root / 'images/two.jpg').unlink()
    save(root / f'images/two{suffix}', array, mode, **kwargs)


@unusual(two_is_similar)
def a_cmyk_jpeg(root):
    replace_image(root, RGB, 'CMYK', '.jpeg', quality=100, subsampling=0)


@unusual(two_is_grey)
def a_grey_image(root):
    replace_image(root, RGB, 'L')


@unusual(two_is_grey)
def a_grey_image_with_alpha(root):
    replace_image(root, RGB, 'LA')


@unusual(image_of_two_is(RGB))
def an_image_with_alpha(root):
    replace_image(root, np.dstack([RGB, LABEL]))


@unusual(image_of_two_is(np.dstack([LABEL % 2 * 255] * 3)))
def an_image_of_one_bit(root):
    replace_image(root, LABEL % 2 > 0)


@unusual(lambda dataset: len(dataset[dataset.names.index('two')][0]) == H)
def a_palette_whose_colours_are_transparent(root):
    replace_image(root, LABEL, 'P', transparency=bytes([0, 128, 255]))


@unusual(two_is_similar)
def a_suffix_in_capitals(root):
    replace_image(root, RGB, suffix='.JPG', quality=95, subsampling=0)


@unusual(lambda dataset: [part.shape for part in dataset[0]] == [(1, 1, 3), (1, 1)])
def images_of_one_pixel(root):
    for name in NAMES:
        save(root / f'images/{name}.jpg', RGB[:1, :1])
        save(root / f'masks/{name}.png', LABEL[-1:, :1])


# ---- masks ---------------------------------------------------------------------------------------

def label_is(label):
    def check(dataset):
        np.testing.assert_array_equal(dataset[dataset.names.index('two')][1], label)
    return check


@unusual(label_is(LABEL))
def a_palette_of_random_colours(root):
    save(root / 'masks/two.png', LABEL, 'P')


@unusual(label_is(LABEL))
def a_mask_of_16_bits(root):
    save(root / 'masks/two.png', LABEL.astype('uint16'))


@unusual(label_is(LABEL % 2))
def a_mask_of_one_bit(root):
    save(root / 'masks/two.png', LABEL % 2 > 0)


@unusual(label_is(LABEL))
def a_grey_tiff(root):
    (root / 'masks/two.png').unlink()
    save(root / 'masks/two.tif', LABEL)


COLOURS = np.array([[0, 0, 0], [0, 128, 0], [128, 64, 128], [224, 224, 192]], 'uint8')
TABLE = '0 0 0 sky\n0 128 0 tree\n128 64 128 road\n'


@bad(r"masks.two\.png: RGB pixels are colours; .* or give every class its colour, by lines 'R G B")
def an_rgb_mask_without_a_table(root):
    save(root / 'masks/two.png', COLOURS[LABEL.clip(max=3)])


@unusual(label_is(LABEL))
def an_rgb_mask_with_a_table(root):
    an_rgb_mask_without_a_table(root)
    (root / 'classes.txt').write_text(TABLE + '224 224 192 void\n')


@bad(r"masks.two\.png: colour 224 224 192 at row 0, column 0 is not in classes\.txt; 112 pixels "
     r"have such a colour; add a line '224 224 192 name', or '224 224 192 void' if it is no")
def a_colour_that_is_not_in_the_table(root):
    an_rgb_mask_without_a_table(root)
    (root / 'classes.txt').write_text(TABLE)


@bad(r'masks.two\.jpg: a JPEG blurs the numbers of a mask; save it as PNG')
def a_mask_as_jpeg(root):
    (root / 'masks/two.png').unlink()
    save(root / 'masks/two.jpg', LABEL)


@bad(r'images.two\.jpg: 40×56 pixels \(rows × columns\), and its mask has 20×28; resize one of '
     r'them, a mask by nearest neighbour')
def a_mask_of_another_size(root):
    save(root / 'masks/two.png', LABEL[::2, ::2])


@bad(r'masks.one\.png: label 38 at row 17, column 20; there are 3 classes \(0 … 2\) and 255 is '
     r'void\. 204 such pixels in 3 files\. Values found: 0, 1, 2, 38, 255\. '
     r'Also in .*masks.two\.png, .*masks.three\.png')
def labels_above_the_classes(root):
    (root / 'train.txt').write_text('\n'.join(NAMES))
    for name, count in zip(NAMES, [2, 100, 102]):
        label = LABEL.copy()
        label[17:].flat[20:20 + count] = 38
        save(root / f'masks/{name}.png', label, 'P')


@bad(r"the masks hold only 0 and 255, and 255 is void: no pixel is 'road'\. If 255 "
     r"means 'road', save it as 1 \(mask // 255\)")
def a_binary_mask_of_0_and_255(root):
    (root / 'classes.txt').write_text('background\nroad\n')
    for name in NAMES:
        save(root / f'masks/{name}.png', LABEL // 2 % 2 * 255)


@bad(r'every pixel of all masks is 255, void: there is nothing to learn; a class is 0 … 2')
def masks_of_only_void(root):
    for name in NAMES:
        save(root / f'masks/{name}.png', LABEL * 0 + 255)


# ---- lists and folders ---------------------------------------------------------------------------

def with_list(data):
    def change(root):
        (root / 'train.txt').write_bytes(data)
    return _maker(change)


def names_are_two_one(dataset):
    return dataset.names == ['two', 'one']


BAD_INPUT |= {
    'a list in latin-1': BadInput(
        with_list('one\ntwö\n'.encode('latin-1')),
        r"train\.txt, line 2: b'tw\\xf6' is not UTF-8; save the file as UTF-8"),
    'a list in utf-16': BadInput(
        with_list('one\ntwo\n'.encode('utf-16-le')),
        r'train\.txt, line 1: .* is not UTF-8; save the file as UTF-8'),
    'a name that is a path': BadInput(
        with_list(b'one\n../../etc/passwd\n'),
        r"train\.txt, line 2: '\.\./\.\./etc/passwd' is a path; write the name of an image"),
    'an empty list': BadInput(
        with_list(b'\n\n'),
        r'train\.txt: the list is empty; write the names of images, one a line'),
    'a name without an image': BadInput(
        with_list(b'one\nfour\n'), r'masks.four\.png: no such file; .*masks has 3 \.png'),
}
UNUSUAL_INPUT |= {
    'a list with a byte order mark': UnusualInput(
        with_list(b'\xef\xbb\xbftwo\none\n'), names_are_two_one),
    'a list from windows': UnusualInput(with_list(b'two\r\none\r\n'), names_are_two_one),
    'a list with blank lines': UnusualInput(with_list(b'\ntwo\n \none '), names_are_two_one),
}


@bad(r'train\.txt: no such list; the \.txt files in .* are: classes\.txt, val\.txt')
def a_list_that_is_missing(root):
    (root / 'img').mkdir()
    (root / 'val.txt').write_text('one\n')
    return 'sbd'


@unusual(lambda dataset: dataset.names == ['two'])
def lists_of_validation_and_test_alone(root):
    (root / 'val.txt').write_text('one.jpg\n')
    (root / 'test.txt').write_text('three\n')


@bad(r'masks.two\.png: no such file; .*masks has 2 \.png')
def a_mask_that_is_missing(root):
    (root / 'masks/two.png').unlink()


@bad(r'images: no images \(\.jpg, .*\); .*images has 3 \.dcm')
def images_of_an_unknown_suffix(root):
    for path in [*(root / 'images').iterdir()]:
        path.rename(path.with_suffix('.dcm'))


@bad(r'images: no images \(.*\); .*images is empty')
def an_empty_folder(root):
    for path in [*(root / 'images').iterdir()]:
        path.unlink()


@bad(r'images in images/, and no labels for them; known are .*, or put the masks into a folder')
def no_masks_at_all(root):
    for path in [*(root / 'masks').iterdir()]:
        path.unlink()
    (root / 'masks').rmdir()


@bad(r'masks: no images \(.*\); .*masks is empty')
def an_empty_folder_of_masks(root):
    for path in [*(root / 'masks').iterdir()]:
        path.unlink()


@bad(r'classes\.txt: no such file; write the names of the classes, one a line.* 2 folders')
def no_classes(root):
    (root / 'classes.txt').unlink()


@bad(r"classes\.txt, line 3: '0 0 0 road'; every class has one line, and a colour of its own")
def two_classes_of_one_colour(root):
    (root / 'classes.txt').write_text('0 0 0 sky\n0 128 0 tree\n0 0 0 road\n')


@bad(r'classes\.txt, line 1: void is not a class; it is 255')
def void_among_the_classes(root):
    (root / 'classes.txt').write_text('void\nsky\ntree\nroad\n')


@bad(r"classes\.txt, line 2: 'xxx.*…' is a name of 5,000 characters; write at most 255")
def a_class_of_a_very_long_name(root):
    (root / 'classes.txt').write_text('sky\n' + 5000 * 'x' + '\nroad\n')


@bad(r'classes\.txt: 0 classes; write 1 … 255')
def classes_in_an_empty_file(root):
    (root / 'classes.txt').write_text('')


@bad(r'images.two\.png and two\.jpg: two images of one name; rename one of them')
def two_images_of_one_name(root):
    save(root / 'images/two.png', RGB)


# ---- data sets in other layouts ------------------------------------------------------------------

@bad(r'Segmentation.train\.txt: no such list; the \.txt files in .*Segmentation are: none')
def a_devkit_without_lists(root):
    (root / 'JPEGImages').mkdir()
    return 'voc'


def with_regions(text):
    """Stanford Background of one image, whose label is this text."""
    def make(root):
        save(root / 'images/one.jpg', RGB[:2, :2])
        (root / 'labels').mkdir()
        (root / 'labels/one.regions.txt').write_bytes(text)
        (root / 'train.txt').write_text('one\n')
        return 'stanford'
    return _maker(make)


NO_INTEGERS = r'one\.regions\.txt: not a line of integers for each row of pixels \(.*\); get it'
BAD_INPUT |= {
    'regions that are words': BadInput(
        with_regions(b'sky sky\nroad road\n'), NO_INTEGERS.replace('.*', '.*sky.*')),
    'regions of uneven rows': BadInput(with_regions(b'0 1\n2\n'), NO_INTEGERS),
    'regions of nothing': BadInput(with_regions(b''), NO_INTEGERS),
    'regions of a comment': BadInput(with_regions(b'# 0 1'), NO_INTEGERS),
    'regions of bytes': BadInput(with_regions(b'\xff\xfe\x00'), NO_INTEGERS),
    'regions above the classes': BadInput(
        with_regions(b'0 1\n300 -1\n'),
        r'one\.regions\.txt: label 300 at row 1, column 0; there are 8 classes'),
}


def with_mat(write):
    """SBD of one image; write(path) writes its label."""
    def make(root):
        save(root / 'img/one.jpg', RGB)
        (root / 'cls').mkdir()
        write(root / 'cls/one.mat')
        (root / 'train.txt').write_text('one\n')
        return 'sbd'
    return _maker(make)


def with_segmentation(value):
    return with_mat(lambda path: savemat(path, dict(GTcls=dict(Segmentation=value))))


NO_MATRIX = r'a label is a matrix of integers'
BAD_INPUT |= {
    'a mat that is not one': BadInput(
        with_mat(lambda path: path.write_bytes(b'nothing of MATLAB' * 20)),
        r'one\.mat: damaged, or not a \.mat of MATLAB 5 … 7\.2 \(.*\); get the file again'),
    'a mat of matlab 7.3': BadInput(
        with_mat(lambda path: path.write_bytes(
            b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')),
        r'one\.mat: damaged, or not a \.mat .*HDF'),
    'a mat without its key': BadInput(
        with_mat(lambda path: savemat(path, dict(S=LABEL, names=LABEL))),
        r"one\.mat: it has no 'GTcls', only S, names"),
    'a mat without its field': BadInput(
        with_mat(lambda path: savemat(path, dict(GTcls=dict(Boundaries=LABEL)))),
        r"one\.mat: it has no 'Segmentation', only Boundaries"),
    'a mat that is no matrix': BadInput(
        with_segmentation('words'), rf'one\.mat: Segmentation is .*; {NO_MATRIX}'),
    'a mat of fractions': BadInput(
        with_segmentation(LABEL / 2), rf'one\.mat: Segmentation is float64 .*; {NO_MATRIX}'),
    'a mat of three dimensions': BadInput(
        with_segmentation(np.dstack([LABEL] * 2)),
        rf'one\.mat: Segmentation is uint8 \(40, 56, 2\); {NO_MATRIX}'),
    'a mat that is a bomb': BadInput(
        with_mat(lambda path: savemat(path, dict(GTcls=np.zeros((9000, 9000), 'uint8')),
                                      do_compression=True)),
        r'one\.mat: damaged, .*expands to more than 67,108,864 bytes, and a label is far smaller'),
    'a mat that is missing': BadInput(
        with_mat(lambda path: None), r'one\.mat: no such file; .*cls is empty'),
}
UNUSUAL_INPUT['a mat of doubles, as MATLAB saves it'] = UnusualInput(
    with_segmentation(LABEL * 1.),
    lambda dataset: np.testing.assert_array_equal(dataset[0][1], LABEL))


@bad(r'trainannot.one\.png: label 12 at row 0, column 0; there are 11 classes')
def camvid_of_another_split(root):
    save(root / 'train/one.png', RGB)
    save(root / 'trainannot/one.png', LABEL * 0 + 12)
    return 'camvid'


@bad(r'data.images.img_one\.png: no such file; .*images is not a folder')
def nyud_in_another_layout(root):
    (root / 'segmentation').mkdir()
    savemat(root / 'segmentation/img_one.mat', dict(segmentation=LABEL))
    (root / 'train.txt').write_text('one\n')
    return 'nyud_rgb'
