"""TIFFs as tifffile writes them, in the compressions of imagecodecs, and deep PNGs of OpenCV.

They are in tests/fixtures/images; `python tests/tiff_samples.py` writes them again.
"""
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / 'fixtures' / 'images'
SIZE = 21, 37


class Sample(NamedTuple):
    """What a file holds: its type, its channels, and what tifffile is told beside the values."""

    dtype: str
    channels: int
    options: dict


def tiff(dtype, channels, **options):
    return Sample(dtype, channels, dict(photometric='minisblack', metadata=None) | options)


TIFFS = {
    'plain': tiff('uint16', 4, planarconfig='contig'),
    'planes': tiff('uint16', 5, planarconfig='separate', rowsperstrip=8),
    'bytes': tiff('uint8', 6, planarconfig='contig', compression='packbits', rowsperstrip=4),
    'signed': tiff('int16', 2, planarconfig='contig', byteorder='>'),
    'lzw': tiff('uint16', 3, photometric='rgb', compression='lzw', predictor=True, rowsperstrip=5),
    'tiles': tiff('uint16', 9, planarconfig='contig', compression='zlib', predictor=True,
                  tile=(16, 16)),
    'tiles_in_planes': tiff('float32', 3, planarconfig='separate', compression='zlib',
                            predictor=True, tile=(16, 32)),
    'floats': tiff('float32', 4, planarconfig='contig', compression='lzw', predictor=True,
                   byteorder='>'),
    'doubles': tiff('float64', 1, compression='zlib', predictor=True),
    'zstandard': tiff('uint32', 2, planarconfig='contig', compression='zstd'),
    'big': tiff('uint16', 4, planarconfig='contig', bigtiff=True, byteorder='>'),
    'pages': tiff('uint16', 3),
    'alpha': tiff('uint16', 4, photometric='rgb', extrasamples=['unassalpha']),
    'grey': tiff('uint16', 1),
    'white_is_0': tiff('uint16', 1, photometric='miniswhite'),
}
PNGS = {'deep_grey': 1, 'deep_colours': 3, 'deep_alpha': 4}


def values_of(dtype, channels):
    """Values (H, W, C) that have no pattern a wrong layout would keep."""
    shape = *SIZE, channels
    count = np.arange(np.prod(shape)).reshape(shape)
    numbers = count * 2654435761 >> 7
    if np.dtype(dtype).kind == 'f':
        return ((numbers % 100_003) / 64 - 500).astype(dtype)
    return numbers.astype(dtype)


def write_all():
    import cv2
    import tifffile
    FOLDER.mkdir(exist_ok=True)
    for name, (dtype, channels, options) in TIFFS.items():
        values = values_of(dtype, channels)
        if name == 'pages' or options.get('planarconfig') == 'separate':
            values = values.transpose(2, 0, 1)
        elif channels == 1:
            values = values[..., 0]
        tifffile.imwrite(FOLDER / f'{name}.tif', values, **options)
    for name, channels in PNGS.items():
        values = values_of('uint16', channels)
        values[..., :3] = values[..., 2::-1]            # OpenCV writes blue, green, red
        cv2.imwrite(str(FOLDER / f'{name}.png'), values)


if __name__ == '__main__':
    write_all()
