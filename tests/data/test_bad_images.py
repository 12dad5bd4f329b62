"""Images of several channels and of more than 8 bits, each damaged or not like the others.

Every one ends in one sentence: the file, what is wrong, what to do.
"""
import re
import struct

import numpy as np
import pytest
from bad_input_samples import edit_bytes
from PIL import Image
from tiff_samples import FOLDER, SIZE, values_of

from tinyfcn.data import load_dataset
from tinyfcn.data.check import find_problems

H, W = SIZE
GET_AGAIN = r'damaged \(.*\); get it again'
BAD = {}                # name: the file that the others are like, the message, what spoils a file


def bad(good, message):
    """Register a function that spoils a file, a copy of `good`, which is one of the fixtures."""
    def register(spoil):
        BAD[spoil.__name__.replace('_', ' ').strip()] = good, message, spoil
        return spoil
    return register


def tiff(message, good='plain.tif'):
    return bad(good, message)


def npy(message):
    return bad('array.npy', message)


def set_tag(path, tag, value, count=1, kind=3):
    """Change what a tag of a small TIFF in little-endian order says; the tag must be there."""
    data = bytearray(path.read_bytes())
    start, = struct.unpack_from('<I', data, 4)
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from('<H', data, start)[0], 12):
        if struct.unpack_from('<H', data, at)[0] == tag:
            data[at:at + 12] = struct.pack('<HHII', tag, kind, count, value)
            path.write_bytes(data)
            return
    raise AssertionError(f'no tag {tag} in {path}')


# ---- TIFF ----------------------------------------------------------------------------------------

@tiff(r'truncated \(its pixels end at byte 6,456, and the file at byte 5,000\); get it again')
def cut_short(path):
    edit_bytes(path, lambda data: data[:5000])


@tiff('the file is empty .*; get it again')
def empty(path):
    path.write_bytes(b'')


@tiff('it is an HTML page .*; get it again')
def a_page_of_the_web(path):
    path.write_bytes(b'<!DOCTYPE html>\n<html>')


@tiff(r'damaged \(it ends at byte .*, and refers to byte .*\); get it again')
def a_directory_beyond_the_end(path):
    edit_bytes(path, lambda data: data[:4] + struct.pack('<I', 10**9) + data[8:])


@tiff('pages refer to each other in a circle', 'pages.tif')
def pages_in_a_circle(path):
    data = bytearray(path.read_bytes())
    start, = struct.unpack_from('<I', data, 4)
    count, = struct.unpack_from('<H', data, start)
    struct.pack_into('<I', data, start + 2 + 12 * count, start)
    path.write_bytes(data)


@tiff(GET_AGAIN)
def a_tag_of_a_billion_numbers(path):
    set_tag(path, 273, 8, count=10**9, kind=4)


@tiff(GET_AGAIN)
def no_columns(path):
    set_tag(path, 256, 0)


@tiff('40000×30000 pixels of 4 channels are more than 50,000,000 pixels.*make it smaller')
def far_too_large(path):
    set_tag(path, 256, 40000)
    set_tag(path, 257, 30000)


@tiff('compression 7, which is not read for such pixels; save it with one of none, LZW')
def jpeg_of_four_channels(path):
    set_tag(path, 259, 7)


@tiff('4 channels of 16 bits in CMYK; save them as grey or RGB')
def inks(path):
    set_tag(path, 262, 5)


@tiff('channels of 8 and 16 bits; save all of them alike')
def channels_of_unequal_depth(path):
    set_tag(path, 258, 4 << 16)                         # where the four numbers are
    data = bytearray(path.read_bytes())
    data[4:] = data[4:] + struct.pack('<4H', 8, 16, 16, 16)
    path.write_bytes(data)
    set_tag(path, 258, len(data) - 8, count=4)


@tiff('integers of 12 bits; save them as integers of 8 or 16 bits', 'grey.tif')
def twelve_bits(path):
    set_tag(path, 258, 12)


@tiff('numbers of unknown kind of 64 bits; save them as', 'doubles.tif')
def complex_numbers_in_a_tiff(path):
    set_tag(path, 339, 5)


@tiff(r'damaged \(it has 1 strips or tiles, and 4 are needed\); get it again')
def strips_that_are_missing(path):
    set_tag(path, 278, 6)


@tiff('predictor 9, which is not read .*; save it uncompressed', 'lzw.tif')
def an_unknown_predictor(path):
    set_tag(path, 317, 9)


@tiff(GET_AGAIN, 'lzw.tif')
def noise_in_place_of_what_was_compressed(path):
    data = bytearray(path.read_bytes())
    data[-200:] = bytes(range(200))
    path.write_bytes(data)


@tiff('a strip or tile of 7 bytes, which needs 6,216')
def a_strip_too_short(path):
    set_tag(path, 279, 7, kind=4)


@tiff(r'3 channels of uint16, and the other images have 4 '
      r'channels of uint16 \(red, green, blue, channel 4\); save it with the same channels')
def a_channel_too_few(path):
    path.write_bytes((FOLDER / 'lzw.tif').read_bytes())


@tiff('channels? of int16, and the other images have .* of uint16 .*; convert it')
def numbers_of_another_type(path):
    path.write_bytes((FOLDER / 'signed.tif').read_bytes())


@tiff('channels and transparency of uint8, and the other images have .* of uint16 .*; convert it')
def eight_bits_among_sixteen(path):
    Image.new('RGBA', (W, H)).save(path)


@tiff('6 channels of uint16, and the other images have 4 channels of uint16')
def pages_that_are_not_in_the_others(path):
    frames = [Image.fromarray(values_of('uint16', 1)[..., 0])] * 6
    frames[0].save(path, save_all=True, append_images=frames[1:])


@tiff('more than 256 pages; save those that are channels', 'pages.tif')
def three_hundred_pages(path):
    frames = [Image.new('I;16', (2, 2))] * 300
    frames[0].save(path, save_all=True, append_images=frames[1:])


@tiff(r'nan at row 3, column 5, channel 1, and 1 such values in all; replace them', 'floats.tif')
def a_value_that_is_no_number(path):
    values = values_of('float32', 4)
    values[3, 5, 1] = np.nan
    path.unlink()
    np.save(path.with_suffix('.npy'), values)


# ---- .npy ----------------------------------------------------------------------------------------

@npy(r'damaged \(an array \(21, 37, 4\) of uint16 has 6,216 bytes, and the file has 5,000\)')
def an_array_cut_short(path):
    edit_bytes(path, lambda data: data[:128 + 5000])


@npy('an array of object; save one of integers or floats')
def objects(path):
    np.save(path, np.full((H, W), None))


@npy('an array of complex128; save one of integers or floats')
def complex_numbers(path):
    np.save(path, np.zeros((H, W), complex))


@npy(r"an array of \[\('red', 'u1'\)\]; save one of integers or floats")
def named_fields(path):
    np.save(path, np.zeros((H, W), [('red', 'u1')]))


@npy(r'an array of shape \(777,\); an image is \(rows, columns\) or \(rows, columns, channels\)')
def one_axis(path):
    np.save(path, np.zeros(W * H, 'uint16'))


@npy(r'an array of shape \(1, 21, 37, 4\); an image is')
def four_axes(path):
    np.save(path, np.zeros((1, H, W, 4), 'uint16'))


@npy(r'an array of shape \(0, 37, 4\); an image is')
def no_rows(path):
    np.save(path, np.zeros((0, W, 4), 'uint16'))


@npy('4×21 pixels of 370 channels; at most 256 are read, which come last: save numpy.moveaxis')
def channels_that_come_first(path):
    np.save(path, np.zeros((4, H, 370), 'uint16'))


@npy('1000000×1000000 pixels of 3 channels are more than')
def an_array_of_terabytes(path):
    head = "{'descr': '<u2', 'fortran_order': False, 'shape': (1000000, 1000000, 3), }".ljust(117)
    path.write_bytes(b'\x93NUMPY\x01\0' + struct.pack('<H', 118) + head.encode() + b'\n')


@npy(GET_AGAIN)
def a_head_that_is_no_dict(path):
    path.write_bytes(b'\x93NUMPY\x01\0' + struct.pack('<H', 118) + b'(' * 117 + b'\n')


@npy(r'it begins with .*; the formats are PNG, .*, NPY')
def a_zip_called_npy(path):
    path.write_bytes(b'PK\x03\x04 an .npz')


@npy(r'37×21 pixels \(rows × columns\), and its mask has 21×37; resize one of them')
def turned(path):
    np.save(path, values_of('uint16', 4).swapaxes(0, 1))


# ---- others --------------------------------------------------------------------------------------

@bad('deep_colours.png', GET_AGAIN.replace(';', ', .*;'))
def a_png_cut_short(path):
    edit_bytes(path, lambda data: data[:600])


@bad('deep_colours.png', '1 channel of uint16, and the other images have 3 channels of uint16')
def grey_among_colours(path):
    path.write_bytes((FOLDER / 'deep_grey.png').read_bytes())


@bad('deep_colours.png', 'a PPM of more than 8 bits, of which only 8 can be read; save')
def a_portable_pixmap_of_16_bits(path):
    path.unlink()
    pixels = bytes(6 * H * W)
    path.with_suffix('.ppm').write_bytes(b'P6 %d %d 65535\n' % (W, H) + pixels)


@bad('deep_colours.png', '3 channels of uint8, and the other images have 3 channels of uint16')
def a_jpeg_among_deep_images(path):
    path.unlink()
    Image.new('RGB', (W, H)).save(path.with_suffix('.jpg'))


@bad('deep_grey.png', r'2×3 pixels \(rows × columns\), and its mask has 21×37')
def an_image_of_another_size(path):
    Image.new('I;16', (3, 2)).save(path)


def write_set(root, good):
    """Three images like one of the fixtures, and their masks."""
    suffix = good[good.index('.'):]
    for name in 'one', 'two', 'three':
        for folder in 'images', 'masks':
            (root / folder).mkdir(exist_ok=True)
        path = root / 'images' / f'{name}{suffix}'
        if suffix == '.npy':
            np.save(path, values_of('uint16', 4))
        else:
            path.write_bytes((FOLDER / good).read_bytes())
        Image.fromarray(values_of('uint8', 1)[..., 0] % 2).save(root / f'masks/{name}.png')
    (root / 'classes.txt').write_text('sky\ntree\n')
    return root / f'images/two{suffix}'


@pytest.mark.parametrize('name', BAD)
def test_a_bad_image_is_reported_in_one_sentence(tmp_path, name):
    good, message, spoil = BAD[name]
    path = write_set(tmp_path, good)
    assert not [*find_problems(load_dataset('folder', tmp_path), {})]
    spoil(path)
    problem, = find_problems(load_dataset('folder', tmp_path), {})
    assert problem.startswith(f'{tmp_path}/images/two.') and '\n' not in problem
    assert re.search(message, problem), problem
    assert len(problem) < 500


def test_there_are_thirty_and_more():
    assert len(BAD) > 35
