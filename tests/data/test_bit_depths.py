"""Pixels of 16 bits, and numbers that a reader rescales, are refused and not misread."""
import io
import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image

from tinyfcn.data.images import read_image, read_label
from tinyfcn.files.pixels import read_pixels

H, W = 2, 3
COLOURS = {(0, 0, 0): 0, (1, 1, 1): 1}


def png(colour_type, channels, bits):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', crc32(kind + data))
    samples = np.arange(W * channels) % (1 << min(bits, 2))
    if bits == 16:
        row = samples.astype('>u2').tobytes()
    else:
        digits = ''.join(f'{sample:0{bits}b}' for sample in samples)
        row = bytes(int(digits[at:at + 8].ljust(8, '0'), 2) for at in range(0, len(digits), 8))
    header = struct.pack('>IIBBBBB', W, H, bits, colour_type, 0, 0, 0)
    palette = chunk(b'PLTE', bytes(range(48))) if colour_type == 3 else b''
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + palette
            + chunk(b'IDAT', compress((b'\0' + row) * H)) + chunk(b'IEND', b''))


def tiff(channels, bits, photometric, compression=1):
    """compression: 1 is none, 8 is deflate. photometric: 0 and 1 are grey, 2 is RGB."""
    data = (np.arange(H * W * channels) % 3).astype(f'<u{bits // 8}').tobytes()
    data = compress(data) if compression == 8 else data
    depths = struct.pack(f'<{channels}H', *[bits] * channels)
    tags = {256: W, 257: H, 258: bits, 259: compression, 262: photometric, 273: 0, 277: channels,
            278: H, 279: len(data), 284: 1}
    at = 8 + 2 + 12 * len(tags) + 4                     # where the depths are, then the data
    tags[273] = at + len(depths)
    if channels > 2:
        tags[258] = at
    entries = b''.join(struct.pack('<HHII', tag, 4 if tag in (273, 279) else 3,
                                   channels if tag == 258 else 1, value)
                       for tag, value in tags.items())
    return (b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + bytes(4) + depths + data)


def tiff_of_bits(photometric):
    image = Image.new('1', (W, H))
    image.putdata([0, 255, 0] * H)
    image.save(file := io.BytesIO(), 'TIFF', tiffinfo={262: photometric})
    return file.getvalue()


DEEP_COLOUR = {
    'rgb.png': png(2, 3, 16), 'rgba.png': png(6, 4, 16), 'grey with alpha.png': png(4, 2, 16),
    'rgb.tif': tiff(3, 16, 2), 'packed.tif': tiff(3, 16, 2, 8), 'cmyk.tif': tiff(4, 16, 5),
    'rgb.ppm': b'P6 3 2 65535\n' + bytes(36), 'twelve bits.ppm': b'P6 3 2 4095\n' + bytes(36),
    'text.ppm': b'P3 1 1 1000\n1 2 3\n'}
DEEP_GREY = {
    'grey.png': png(0, 1, 16), 'grey.tif': tiff(1, 16, 1), 'white is zero.tif': tiff(1, 16, 0),
    'packed.tif': tiff(1, 16, 1, 8), 'long.tif': tiff(1, 32, 1),
    'grey.pgm': b'P5 3 2 65535\n' + bytes(12), 'twelve bits.pgm': b'P5 3 2 4095\n' + bytes(12)}
RESCALED = {
    'two bits.png': png(0, 1, 2), 'four bits.png': png(0, 1, 4), 'white is zero.tif': tiff(1, 8, 0),
    'three levels.pgm': b'P5 3 2 2\n' + bytes([0, 1, 2] * 2),
    'twelve bits.pgm': b'P5 3 2 4095\n' + bytes(12), 'text.pgm': b'P2 3 1 2\n0 1 2\n',
    'bits.pgm': b'P4 3 2\n@@', 'bits as text.pgm': b'P1 3 2\n0 1 0 0 1 0\n',
    'bit white is zero.tif': tiff_of_bits(0)}
NUMBERS = {
    'bit.png': (png(0, 1, 1), [0, 1, 0]), 'palette of two bits.png': (png(3, 1, 2), [0, 1, 2]),
    'palette of four bits.png': (png(3, 1, 4), [0, 1, 2]), 'grey.png': (png(0, 1, 8), [0, 1, 2]),
    'deep.png': (png(0, 1, 16), [0, 1, 2]), 'grey.tif': (tiff(1, 8, 1), [0, 1, 2]),
    'bit.tif': (tiff_of_bits(1), [0, 1, 0]), 'deep.tif': (tiff(1, 16, 1), [0, 1, 2]),
    'deep white is zero.tif': (tiff(1, 16, 0), [0, 1, 2]),
    'grey.pgm': (b'P5 3 2 255\n' + bytes([0, 1, 2] * 2), [0, 1, 2]),
    'deep.pgm': (b'P5 3 2 65535\n' + bytes([0, 0, 0, 1, 0, 2] * 2), [0, 1, 2])}


@pytest.mark.parametrize('name', [*DEEP_COLOUR, *DEEP_GREY])
def test_images_of_more_than_8_bits_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes((DEEP_COLOUR | DEEP_GREY)[name])
    with pytest.raises(ValueError, match=r'more than 8 bits; scale them to 0 … 255') as error:
        read_image(tmp_path / name)
    assert str(error.value).startswith(f'{tmp_path / name}: ')


def test_every_kind_of_png_of_16_bits_is_read_as_it_is_stored(tmp_path):
    for colour_type, channels in (0, 1), (2, 3), (4, 2), (6, 4):
        (tmp_path / 'a.png').write_bytes(png(colour_type, channels, 16))
        samples = np.arange(W * channels) % 4
        expected = np.broadcast_to(samples.reshape(W, channels), (H, W, channels))
        np.testing.assert_array_equal(read_pixels(tmp_path / 'a.png'), expected)


@pytest.mark.parametrize('name', DEEP_COLOUR)
def test_coloured_masks_of_more_than_8_bits_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(DEEP_COLOUR[name])
    with pytest.raises(ValueError, match='more than 8 bits|pixels are colours'):
        read_label(tmp_path / name, COLOURS)


@pytest.mark.parametrize('name', RESCALED)
def test_masks_whose_numbers_a_reader_rescales_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(RESCALED[name])
    with pytest.raises(ValueError, match='its numbers are rescaled or inverted when it is read; '
                                         'save it as a PNG of 8 bits'):
        read_label(tmp_path / name)


@pytest.mark.parametrize('name', NUMBERS)
def test_masks_of_any_depth_keep_their_numbers(tmp_path, name):
    data, row = NUMBERS[name]
    (tmp_path / name).write_bytes(data)
    np.testing.assert_array_equal(read_label(tmp_path / name)[0], row)



@pytest.mark.parametrize('name', ['bits.pgm', 'bits as text.pgm'])
def test_an_image_of_bits_is_read(tmp_path, name):
    """1 is black."""
    (tmp_path / name).write_bytes(RESCALED[name])
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image, np.full((H, W, 3), [[[255], [0], [255]]]))
