"""Data sets as people have them, each with one thing wrong, or odd and yet right.

    CASES['a jpeg cut short'] = make, pattern       make(folder) -> name of the set, its root
    FINE['a grey picture'] = make, is_right         is_right(pictures) asserts what was read

A message must match the pattern: the file, the place, the value, and what to do next. Most are
sets called 'folder', of three pictures in which one thing was changed.
"""
import struct
from zlib import compress, crc32

import numpy as np
from PIL import Image
from scipy.io import savemat

CASES, FINE = {}, {}
RNG = np.random.default_rng(12)
H, W = 40, 56
RGB = RNG.integers(0, 256, (H // 8, W // 8, 3)).astype('uint8').repeat(8, 0).repeat(8, 1)
LABEL = RNG.integers(0, 3, (H // 4, W // 4)).astype('uint8').repeat(4, 0).repeat(4, 1)
LABEL[:2] = 255
NAMES = 'one', 'two', 'three'


def bad(pattern):
    """The function spoils a whole folder; one that gives back a name has made that set instead."""
    return lambda spoil: CASES.setdefault(_words(spoil), (_maker(spoil), pattern)) and spoil


def fine(is_right):
    return lambda change: FINE.setdefault(_words(change), (_maker(change), is_right)) and change


def _words(function):
    return function.__name__.replace('_', ' ').strip()


def _maker(change):
    def make(root):
        whole(root)
        return change(root) or 'folder', root
    return make


def whole(root):
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


def spoil(path, change):
    path.write_bytes(change(path.read_bytes()))


def png(width, height, data):
    """A grey PNG of one bit a pixel, which may claim any size."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc32(kind + data))
    header = struct.pack('>IIBBBBB', width, height, 1, *[0] * 4)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', compress(data))
            + chunk(b'IEND', b''))


# ---- files that are damaged, or no pictures ------------------------------------------------------

@bad(r'images.two\.jpg: damaged \(.*truncated.*\), of [\d,]+ bytes; get it again')
def a_jpeg_cut_short(root):
    spoil(root / 'images/two.jpg', lambda data: data[:len(data) * 9 // 10])


@bad(r'masks.two\.png: damaged \(.*\), of [\d,]+ bytes; get it again')
def a_bit_flipped_in_a_mask(root):
    def flip(data):
        at = data.index(b'IDAT') + 20
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1:]
    spoil(root / 'masks/two.png', flip)


@bad(r'masks.two\.png: damaged')
def a_mask_without_its_end(root):
    spoil(root / 'masks/two.png', lambda data: data[:-12])


@bad(r'images.two\.jpg: no picture, the file is empty: a failed download\?')
def an_empty_file(root):
    spoil(root / 'images/two.jpg', lambda data: b'')


@bad(r'images.two\.jpg: no picture, but a page of HTML: a failed download\?')
def a_page_of_html(root):
    spoil(root / 'images/two.jpg', lambda data: b'\n<!DOCTYPE html><html>404</html>')


@bad(r"images.two\.jpg: no picture, it begins with b'%pdf-1\.7'")
def some_other_file(root):
    spoil(root / 'images/two.jpg', lambda data: b'%PDF-1.7 and more')


@bad(r'images.two\.jpg: cannot be read \(Is a directory\)')
def a_folder_with_the_name_of_a_picture(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.jpg').mkdir()


@bad(r'images.two\.jpg: no such file; .*images has 3 \.jpg')
def a_link_to_nowhere(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.jpg').symlink_to(root / 'gone.jpg')


@bad(r'images.two\.png: 12000×9000 pixels are more than 50,000,000; make it smaller first')
def a_bomb_of_108_million_pixels(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.png').write_bytes(png(12000, 9000, bytes(1501 * 9000)))


@bad(r'images.two\.png: far more than 50,000,000 pixels; make it smaller first')
def a_bomb_of_400_million_pixels(root):
    (root / 'images/two.jpg').unlink()
    (root / 'images/two.png').write_bytes(png(20000, 20000, b''))


@bad(r'images.two\.png: I;16 pixels have more than 8 bits; scale them to 0 … 255')
def a_picture_of_16_bits(root):
    (root / 'images/two.jpg').unlink()
    save(root / 'images/two.png', RGB[:, :, 0].astype('uint16') * 257)


@bad(r'images.two\.tif: F pixels have more than 8 bits; scale them to 0 … 255')
def a_picture_of_floats(root):
    (root / 'images/two.jpg').unlink()
    save(root / 'images/two.tif', RGB[:, :, 0] / np.float32(255))


# ---- pictures turned by a camera -----------------------------------------------------------------

TURNED = {2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.swapaxes(0, 1),
          6: np.rot90(RGB), 7: RGB[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(RGB, -1)}


def turned(root, orientation, array):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(root / 'images/two.png', array, exif=exif)
    (root / 'images/two.jpg').unlink()


def image_of_two(image):
    def is_right(pictures):
        np.testing.assert_array_equal(pictures[pictures.names.index('two')][0], image)
    return is_right


for _orientation, _stored in TURNED.items():
    FINE[f'turned, its mask upright: {_orientation}'] = (_maker(
        lambda root, kwargs=(_orientation, _stored): turned(root, *kwargs)), image_of_two(RGB))


@fine(image_of_two(np.rot90(RGB)))
def turned_and_its_mask_as_stored(root):
    turned(root, 6, np.rot90(RGB))
    save(root / 'masks/two.png', np.rot90(LABEL))


@bad(r'two\.png: 40×56 pixels upright, 56×40 as stored \(rows × columns\), and its mask has 40×50')
def turned_and_its_mask_of_neither_size(root):
    turned(root, 6, np.rot90(RGB))
    save(root / 'masks/two.png', LABEL[:, :50])


# ---- pictures of every kind ----------------------------------------------------------------------

def grey_of_two(pictures):
    grey = np.array(Image.fromarray(RGB).convert('L'))
    image_of_two(np.dstack([grey] * 3))(pictures)


def near(pictures):
    """As the picture was, but for what CMYK and JPEG lose."""
    image = pictures[pictures.names.index('two')][0].astype(int)
    assert np.median(abs(image - RGB)) < 8


def instead(root, array, mode=None, suffix='.png', **kwargs):
    (root / 'images/two.jpg').unlink()
    save(root / f'images/two{suffix}', array, mode, **kwargs)


@fine(near)
def a_cmyk_jpeg(root):
    instead(root, RGB, 'CMYK', '.jpeg', quality=100, subsampling=0)


@fine(grey_of_two)
def a_grey_picture(root):
    instead(root, RGB, 'L')


@fine(grey_of_two)
def a_grey_picture_with_alpha(root):
    instead(root, RGB, 'LA')


@fine(image_of_two(RGB))
def a_picture_with_alpha(root):
    instead(root, np.dstack([RGB, LABEL]))


@fine(image_of_two(np.dstack([LABEL % 2 * 255] * 3)))
def a_picture_of_one_bit(root):
    instead(root, LABEL % 2 > 0)


@fine(lambda pictures: len(pictures[pictures.names.index('two')][0]) == H)
def a_palette_whose_colours_are_transparent(root):
    instead(root, LABEL, 'P', transparency=bytes([0, 128, 255]))


@fine(near)
def a_suffix_in_capitals(root):
    instead(root, RGB, suffix='.JPG', quality=95, subsampling=0)


@fine(lambda pictures: [part.shape for part in pictures[0]] == [(1, 1, 3), (1, 1)])
def pictures_of_one_pixel(root):
    for name in NAMES:
        save(root / f'images/{name}.jpg', RGB[:1, :1])
        save(root / f'masks/{name}.png', LABEL[-1:, :1])


# ---- masks ---------------------------------------------------------------------------------------

def label_is(label):
    def is_right(pictures):
        np.testing.assert_array_equal(pictures[pictures.names.index('two')][1], label)
    return is_right


@fine(label_is(LABEL))
def a_palette_of_strange_colours(root):
    save(root / 'masks/two.png', LABEL, 'P')


@fine(label_is(LABEL))
def a_mask_of_16_bits(root):
    save(root / 'masks/two.png', LABEL.astype('uint16'))


@fine(label_is(LABEL % 2))
def a_mask_of_one_bit(root):
    save(root / 'masks/two.png', LABEL % 2 > 0)


@fine(label_is(LABEL))
def a_grey_tiff(root):
    (root / 'masks/two.png').unlink()
    save(root / 'masks/two.tif', LABEL)


COLOURS = np.array([[0, 0, 0], [0, 128, 0], [128, 64, 128], [224, 224, 192]], 'uint8')
TABLE = '0 0 0 sky\n0 128 0 tree\n128 64 128 road\n'


@bad(r"masks.two\.png: RGB pixels are colours; .* or give every class its colour, by lines 'R G B")
def a_mask_of_colours_without_a_table(root):
    save(root / 'masks/two.png', COLOURS[LABEL.clip(max=3)])


@fine(label_is(LABEL))
def a_mask_of_colours_with_a_table(root):
    a_mask_of_colours_without_a_table(root)
    (root / 'classes.txt').write_text(TABLE + '224 224 192 void\n')


@bad(r"masks.two\.png: colour 224 224 192 at row 0, column 0 is not in classes\.txt; 112 pixels "
     r"have 1 such colours; add a line '224 224 192 name', or '224 224 192 void' if it means")
def a_colour_that_the_table_has_not(root):
    a_mask_of_colours_without_a_table(root)
    (root / 'classes.txt').write_text(TABLE)


@bad(r'masks.two\.jpg: a JPEG blurs the numbers of a mask; save it as PNG')
def a_mask_as_jpeg(root):
    (root / 'masks/two.png').unlink()
    save(root / 'masks/two.jpg', LABEL)


@bad(r'images.two\.jpg: 40×56 pixels \(rows × columns\), and its mask has 20×28; scale one of '
     r'them, a mask by nearest neighbour')
def a_mask_of_another_size(root):
    save(root / 'masks/two.png', LABEL[::2, ::2])


@bad(r'masks.one\.png: label 38 at row 17, column 20; there are 3 classes \(0 … 2\) and 255 is '
     r'void\. 204 such pixels in 3 files\. Values seen: 0, 1, 2, 38, 255')
def labels_beyond_the_classes(root):
    (root / 'train.txt').write_text('\n'.join(NAMES))
    for name, count in zip(NAMES, [2, 100, 102]):
        label = LABEL.copy()
        label[17:].flat[20:20 + count] = 38
        save(root / f'masks/{name}.png', label, 'P')


@bad(r"the masks hold only 0 and 255, and 255 is void: of 'road' there is not one pixel\. If 255 "
     r"means 'road', save it as 1 \(mask // 255\)")
def a_binary_mask_of_0_and_255(root):
    (root / 'classes.txt').write_text('background\nroad\n')
    for name in NAMES:
        save(root / f'masks/{name}.png', LABEL // 2 % 2 * 255)


@bad(r'every pixel of all masks is 255, void: there is nothing to learn; a class is 0 … 2')
def masks_of_void_alone(root):
    for name in NAMES:
        save(root / f'masks/{name}.png', LABEL * 0 + 255)


# ---- lists and folders ---------------------------------------------------------------------------

def lists(data):
    return lambda root: (root / 'train.txt').write_bytes(data) and None


CASES['a list in latin-1'] = _maker(lists('one\ntwö\n'.encode('latin-1'))), \
    r"train\.txt, line 2: b'tw\\xf6' is not UTF-8; save the file as UTF-8"
CASES['a list in utf-16'] = _maker(lists('one\ntwo\n'.encode('utf-16-le'))), \
    r'train\.txt, line 1: .* is not UTF-8; save the file as UTF-8'
CASES['a name that leads elsewhere'] = _maker(lists(b'one\n../../etc/passwd\n')), \
    r"train\.txt, line 2: '\.\./\.\./etc/passwd' is a path; the name of a picture is needed"
CASES['an empty list'] = _maker(lists(b'\n\n')), \
    r'train\.txt: no name in it; write the names of pictures, one a line'
CASES['a name without a picture'] = _maker(lists(b'one\nfour\n')), \
    r'masks.four\.png: no such file; .*masks has 3 \.png'
for _name, _data in {'with a mark of its byte order': b'\xef\xbb\xbftwo\none\n',
                     'from windows': b'two\r\none\r\n',
                     'with blank lines': b'\ntwo\n \none '}.items():
    FINE[f'a list {_name}'] = (_maker(lists(_data)),
                               lambda pictures: pictures.names == ['two', 'one'])


@bad(r'train\.txt: no such list; of lists .* has classes\.txt, val\.txt')
def a_list_that_is_missing(root):
    (root / 'val.txt').write_text('one\n')


@bad(r'masks.two\.png: no such file; .*masks has 2 \.png')
def a_mask_that_is_missing(root):
    (root / 'masks/two.png').unlink()


@bad(r'images: no pictures \(\.jpg, .*\); .*images has 3 \.dcm')
def pictures_of_an_unknown_suffix(root):
    for path in [*(root / 'images').iterdir()]:
        path.rename(path.with_suffix('.dcm'))


@bad(r'images: no pictures \(.*\); .*images has nothing in it')
def an_empty_folder(root):
    for path in [*(root / 'images').iterdir()]:
        path.unlink()


@bad(r'masks: no pictures \(.*\); .*masks is no folder')
def no_masks_at_all(root):
    (root / 'masks').rename(root / 'labels')


@bad(r'classes\.txt: no such file; write the names of the classes, one a line.* 2 without suffix')
def no_classes(root):
    (root / 'classes.txt').unlink()


@bad(r"classes\.txt, line 3: '0 0 0 road'; every class has one line, and a colour of its own")
def two_classes_of_one_colour(root):
    (root / 'classes.txt').write_text('0 0 0 sky\n0 128 0 tree\n0 0 0 road\n')


@bad(r'classes\.txt, line 1: void is no class; it is 255')
def void_among_the_classes(root):
    (root / 'classes.txt').write_text('void\nsky\ntree\nroad\n')


@bad(r'classes\.txt: 0 classes; there may be 1 … 255')
def classes_in_an_empty_file(root):
    (root / 'classes.txt').write_text('')


@bad(r'images.two\.png and two\.jpg: two pictures of one name; rename one of them')
def two_pictures_of_one_name(root):
    save(root / 'images/two.png', RGB)


# ---- sets in layouts of their own ----------------------------------------------------------------

@bad(r'Segmentation.train\.txt: no such list; of lists .*Segmentation has none')
def a_devkit_that_is_none(root):
    return 'voc'


def regions(text):
    def make(root):
        save(root / 'images/one.jpg', RGB[:2, :2])
        (root / 'labels').mkdir()
        (root / 'labels/one.regions.txt').write_bytes(text)
        (root / 'train.txt').write_text('one\n')
        return 'stanford'
    return _maker(make)


CASES['regions that are words'] = regions(b'sky sky\nroad road\n'), \
    r'one\.regions\.txt: not a row of whole numbers for each row of pixels \(.*sky.*\); get it'
CASES['regions of uneven rows'] = regions(b'0 1\n2\n'), r'one\.regions\.txt: not a row of whole num'
CASES['regions of nothing'] = regions(b''), r'one\.regions\.txt: not a row of whole numbers'
CASES['regions of bytes'] = regions(b'\xff\xfe\x00'), r'one\.regions\.txt: not a row of whole numb'
CASES['regions beyond the classes'] = regions(b'0 1\n300 -1\n'), \
    r'one\.regions\.txt: label 300 at row 1, column 0; there are 8 classes'


def outlines(write):
    """SBD of one picture."""
    def make(root):
        save(root / 'img/one.jpg', RGB)
        (root / 'cls').mkdir()
        write(root / 'cls/one.mat')
        (root / 'train.txt').write_text('one\n')
        return 'sbd'
    return _maker(make)


CASES['a mat that is none'] = outlines(lambda path: path.write_bytes(b'nothing of MATLAB' * 20)), \
    r'one\.mat: damaged, or no \.mat of MATLAB 4 … 7\.2 \(.*\); get the file again'
CASES['a mat of matlab 7.3'] = outlines(lambda path: path.write_bytes(
    b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')), r'one\.mat: damaged, or no \.mat .*HDF'
CASES['a mat without its key'] = outlines(lambda path: savemat(path, dict(S=LABEL, names=LABEL))), \
    r"one\.mat: no 'GTcls' in it; there is S, names"
CASES['a mat without its field'] = outlines(
    lambda path: savemat(path, dict(GTcls=dict(Boundaries=LABEL)))), \
    r"one\.mat: no 'Segmentation' in it; there is Boundaries"
CASES['a mat that is no table'] = outlines(
    lambda path: savemat(path, dict(GTcls=dict(Segmentation='words')))), \
    r'one\.mat: Segmentation is .*; a label is a table of whole numbers'
CASES['a mat of fractions'] = outlines(
    lambda path: savemat(path, dict(GTcls=dict(Segmentation=LABEL / 2)))), \
    r'one\.mat: Segmentation is float64 .*; a label is a table of whole numbers'
CASES['a mat of three dimensions'] = outlines(
    lambda path: savemat(path, dict(GTcls=dict(Segmentation=np.dstack([LABEL] * 2))))), \
    r'one\.mat: Segmentation is uint8 \(40, 56, 2\); a label is a table of whole numbers'
CASES['a mat that is missing'] = outlines(lambda path: None), \
    r'one\.mat: no such file; .*cls has nothing in it'
FINE['a mat as MATLAB saves it'] = outlines(
    lambda path: savemat(path, dict(GTcls=dict(Segmentation=LABEL * 1.)))), \
    lambda pictures: np.testing.assert_array_equal(pictures[0][1], LABEL)


@bad(r'trainannot.one\.png: label 12 at row 0, column 0; there are 11 classes')
def camvid_of_another_split(root):
    save(root / 'train/one.png', RGB)
    save(root / 'trainannot/one.png', LABEL * 0 + 12)
    return 'camvid'


@bad(r'data.images.img_one\.png: no such file; .*images is no folder')
def nyud_in_another_layout(root):
    (root / 'segmentation').mkdir()
    savemat(root / 'segmentation/img_one.mat', dict(segmentation=LABEL))
    (root / 'train.txt').write_text('one\n')
    return 'nyud_rgb'
