"""Thousands of damaged files: each is read, or refused by a sentence that names it.

They are read in a process of its own, which has little memory and little time; one that would fill
the memory, never end or kill the process fails the test. TINYFCN_FUZZ=60000 tries more files.
"""
import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from bounded_reader import bounded_reader
from PIL import Image
from scipy.io import savemat
from test_weights_fuzz import damage, outcomes
from tiff_samples import FOLDER, PNGS, values_of

from tinyfcn.data.images import read_label
from tinyfcn.files.images import MAX_PIXELS

pytestmark = [pytest.mark.fuzz, pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='measures memory by /proc of Linux')]
COUNT = int(os.environ.get('TINYFCN_FUZZ', 2_000))
ADDRESSES = 1 << 30             # bytes of RLIMIT_AS beyond those at the beginning
MEMORY = 20 * MAX_PIXELS        # bytes: damage may make an image the largest there is

RNG = np.random.default_rng(4)
RGB = RNG.integers(0, 256, (24, 32, 3), 'uint8')
LABEL = (np.add.outer(np.arange(24), np.arange(32)) // 5 % 4).astype('uint8')
MAT = 'tinyfcn.data.mat.read_mat GTcls Segmentation'
IMAGE = 'tinyfcn.data.images.read_image'
PIXELS = 'tinyfcn.files.pixels.read_pixels'
MASK = 'tinyfcn.data.images.read_label'
COLOURED_MASK = 'test_data_fuzz.read_coloured_mask'


def encoded(array, form, mode=None, **kwargs):
    image = Image.fromarray(array)
    if mode == 'P':
        image.putpalette([*range(256)] * 3)
    elif mode:
        image = image.convert(mode)
    image.save(file := io.BytesIO(), form, **kwargs)
    return file.getvalue()


def animated(form):
    return encoded(RGB, form, save_all=True, append_images=[Image.fromarray(RGB[::-1])] * 2)


def turned():
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def saved(array):
    np.save(file := io.BytesIO(), array)
    return file.getvalue()


def mat(compressed, **fields):
    savemat(file := io.BytesIO(), dict(note='text', GTcls=fields), do_compression=compressed)
    return file.getvalue()


def boxed(array):
    cell = np.empty((1, 1), object)
    cell[0, 0] = array
    return cell


# what reads them, and files of that kind
READERS = {
    'png': (IMAGE, lambda: [
        encoded(RGB, 'PNG'), encoded(RGB, 'PNG', 'RGBA', exif=turned()), animated('PNG'),
        encoded(LABEL, 'PNG', 'P', transparency=bytes([0, 9])), encoded(RGB, 'PNG', '1')]),
    'jpeg': (IMAGE, lambda: [
        encoded(RGB, 'JPEG'), encoded(RGB, 'JPEG', progressive=True, exif=turned()),
        encoded(RGB, 'JPEG', 'CMYK'), animated('MPO')]),
    'tiff': (IMAGE, lambda: [
        *(encoded(RGB, 'TIFF', compression=name, exif=turned()) for name in
          (None, 'tiff_lzw', 'tiff_adobe_deflate', 'packbits', 'jpeg')),
        encoded(RGB, 'TIFF', '1', compression='group4'), animated('TIFF'),
        encoded(RGB, 'TIFF', big_tiff=True)]),
    'bmp': (IMAGE, lambda: [encoded(RGB, 'BMP', mode) for mode in (None, '1', 'RGBA')]),
    'gif': (IMAGE, lambda: [encoded(LABEL, 'GIF', 'P', transparency=1), animated('GIF')]),
    'webp': (IMAGE, lambda: [encoded(RGB, 'WEBP'), encoded(RGB, 'WEBP', 'RGBA', exif=turned()),
                             encoded(RGB, 'WEBP', lossless=True), animated('WEBP')]),
    'ppm': (IMAGE, lambda: [encoded(RGB, 'PPM'), encoded(RGB, 'PPM', '1'),
                            b'P3\n# c\n2 1\n255\n1 2 3 4 5 6\n', b'P1 4 2\n1 0 1 0 0 1 0 1\n']),
    'channels': (PIXELS, lambda: [
        *((FOLDER / f'{name}.tif').read_bytes() for name in (
            'plain', 'lzw', 'tiles', 'tiles_in_planes', 'pages', 'big', 'bytes', 'zstandard')),
        *((FOLDER / f'{name}.png').read_bytes() for name in PNGS),
        saved(values_of('uint16', 4)), saved(values_of('float32', 1)[..., 0])]),
    'masks': (MASK, lambda: [
        encoded(LABEL, 'PNG', 'P'), encoded(LABEL.astype('uint16'), 'PNG'),
        encoded(LABEL, 'PNG', '1'), encoded(LABEL, 'TIFF', compression='tiff_lzw'),
        encoded(LABEL.astype('int32'), 'TIFF'), encoded(LABEL, 'GIF', 'P'),
        encoded(LABEL, 'BMP'), encoded(LABEL, 'PPM')]),
    'mat': (MAT, lambda: [mat(compressed, Boundaries=LABEL, Segmentation=label)
                          for compressed in (False, True)
                          for label in (LABEL, LABEL * 1., boxed(LABEL))]),
    'list': ('tinyfcn.data.lists.read_list', lambda: [
        '2007_000032\nIMG_1.jpg\nä b\n'.encode(), b'\xef\xbb\xbfa\r\nb']),
    'classes': ('tinyfcn.data.classes.read_classes', lambda: [
        'sky\ntree\nroad ä\n'.encode(), b'0 0 0 sky\n0 128 0 tree\n224 224 192 void\n']),
    'regions': ('tinyfcn.data.stanford.read_regions', lambda: [b'0 1 2\n3 -1 5\n' * 4, b'0 0\n']),
    'manifest': ('tinyfcn.data.manifest.read_manifest', lambda: [
        b'a' * 64 + b'  images/a.png\n', b'\\' + b'B' * 64 + rb' *im\\a\n.png' + b'\r\n']),
}


def damage_inside(data, rng):
    """Damage what a checksum would give away, and make that right again."""
    if data.startswith(b'\x89PNG'):
        chunks = []
        at = 8
        while at < len(data):
            length, = struct.unpack_from('>I', data, at)
            chunks.append((data[at + 4:at + 8], data[at + 8:at + 8 + length]))
            at += 12 + length
        chosen = rng.integers(len(chunks))
        kind, content = chunks[chosen]
        if kind == b'IDAT':
            content = zlib.compress(damage(zlib.decompress(content), rng))
        else:
            content = damage(content, rng)
        chunks[chosen] = kind, content
        return data[:8] + b''.join(struct.pack('>I', len(content)) + kind + content
                                   + struct.pack('>I', zlib.crc32(kind + content))
                                   for kind, content in chunks)
    if data.startswith(b'MATLAB') and data[128] == 15:  # compressed
        length, = struct.unpack_from('<I', data, 132)
        content = zlib.compress(damage(zlib.decompress(data[136:136 + length]), rng))
        return data[:132] + struct.pack('<I', len(content)) + content + data[136 + length:]
    return damage(data, rng)


@pytest.mark.parametrize('kind', READERS)
def test_a_damaged_file_is_read_or_refused(tmp_path, kind):
    name, make_files = READERS[kind]
    counts = outcomes(tmp_path, name, make_files(), COUNT, seed=13, damage_inside=damage_inside,
                      addresses=ADDRESSES, memory=MEMORY)
    assert min(counts.values()) > COUNT / 100, counts


def largest_png(height, width, colour_type, channels):
    header = struct.pack('>IIBBBBB', width, height, 8, colour_type, 0, 0, 0)
    rows = zlib.compress(bytes((width * channels + 1) * height), 1)
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + kind + content
        + struct.pack('>I', zlib.crc32(kind + content))
        for kind, content in [(b'IHDR', header), (b'PLTE', bytes(768)), (b'IDAT', rows),
                              (b'IEND', b'')])


@pytest.mark.parametrize('name, height, width, colour_type, channels', [
    (IMAGE, 7000, 7000, 6, 4), (IMAGE, 7000, 7000, 3, 1), (IMAGE, 49_000_000, 1, 2, 3),
    (COLOURED_MASK, 7000, 7000, 2, 3), (COLOURED_MASK, 49_000_000, 1, 2, 3)])
def test_the_largest_images_take_the_memory_that_is_promised(tmp_path, name, height, width,
                                                             colour_type, channels):
    """A file of less than a megabyte may be as large as that. Most of the seconds are Pillow's."""
    (tmp_path / 'x.png').write_bytes(largest_png(height, width, colour_type, channels))
    with bounded_reader() as reader:
        outcome, by_pillow = (reader.read(tmp_path / 'x.png', reads)
                              for reads in (name, 'test_data_fuzz.read_by_pillow'))
    assert outcome.kind == by_pillow.kind == 'read' and outcome.memory < MEMORY, outcome
    assert outcome.seconds < by_pillow.seconds + 3, (outcome, by_pillow)


def read_by_pillow(path):
    with Image.open(path) as image:
        return np.array(image.convert('RGB'))


def read_coloured_mask(path):
    """Black is class 0."""
    return read_label(path, {(0, 0, 0): 0, (255, 0, 0): 1})
