"""The values in an image file as they are stored: any number of channels, 8 bits and more.

Pillow shows an image as a person sees it, of up to four channels of 8 bits. For others there are
TIFF, NumPy's .npy, and PNG of 16 bits.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .images import MAX_PIXELS, ImageError, has_deep_pixels, open_image, to_upright
from .regular import ReadError, open_regular
from .text import printable
from .tiff import GREYS, PHOTOMETRIC_NAMES, RGB, Page, is_tiff, read_page, read_pages

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Array = NDArray[Any]

MAX_CHANNELS = 256
MAX_VALUES = 4 * MAX_PIXELS     # pixels × channels
NPY_MAGIC = b'\x93NUMPY'
# Pillow's modes of plain images, and how many channels and whether transparency they have
PLAIN_MODES = {'1': (1, False), 'L': (1, False), 'LA': (1, True), 'La': (1, True),
               'RGBA': (3, True), 'RGBa': (3, True), 'PA': (3, True)}


class Head(NamedTuple):
    """What an image file says of itself, without its pixels being read."""

    height: int             # as stored: EXIF may turn it
    width: int
    channels: int           # without transparency
    has_alpha: bool         # whether transparency follows them
    dtype: str              # such as uint8, uint16 or float32
    is_plain: bool          # grey, colours or a palette of 8 bits, which any program shows


def read_head(path: str | os.PathLike[str]) -> Head:
    """The size of an image, and the number and type of its channels."""
    with _open(path) as file:
        start = _peek(file)
        if is_tiff(start):
            page, *others = _tiff_pages(file)
            if others or not page.is_plain:
                return _checked(Head(page.height, page.width, page.channels + len(others),
                                     page.has_alpha, page.dtype.newbyteorder('=').name, False))
        elif start.startswith(NPY_MAGIC):
            shape, _, dtype = _npy_header(file)
            return _checked(Head(shape[0], shape[1], shape[2] if len(shape) == 3 else 1, False,
                                 dtype.newbyteorder('=').name, False))
    with open_image(path) as image:
        return _head_of_pillow(image, path)


def _head_of_pillow(image: PILImage, source: object) -> Head:
    if not has_deep_pixels(image):
        channels, has_alpha = _plain_channels(image)
        return Head(image.height, image.width, channels, has_alpha, 'uint8', True)
    layout = _png_layout(image)
    if image.format != 'PNG' or layout is None:
        raise _reduced_by_pillow(image, source)
    return Head(image.height, image.width, layout.channels, layout.has_alpha, 'uint16', False)


def _reduced_by_pillow(image: PILImage, source: object) -> ImageError:
    return ImageError(f'{printable(source)}: a {image.format} of more than 8 bits, of which only '
                      f'8 can be read; save it as a PNG or TIFF of 16 bits')


def read_pixels(path: str | os.PathLike[str]) -> Array:
    """The values of an image, upright, of the type that the file has. -> (H, W, C)

    Transparency, if there is any, is the last channel.
    """
    with _open(path) as file:
        start = _peek(file)
        if is_tiff(start):
            pages = _tiff_pages(file)
            if len(pages) > 1 or not pages[0].is_plain:
                return np.concatenate([read_page(file, page) for page in pages], axis=2)
        elif start.startswith(NPY_MAGIC):
            return _read_npy(file)
    with open_image(path) as image:
        if has_deep_pixels(image):
            return _read_deep_png(path, image)
        return plain_pixels(to_upright(image))


def plain_pixels(image: PILImage) -> NDArray[np.uint8]:
    """The values of a plain image: grey (H, W, 1), colours (H, W, 3); one more of transparency."""
    channels, has_alpha = _plain_channels(image)
    mode = ('L' if channels == 1 else 'RGB') + 'A' * has_alpha
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def _plain_channels(image: PILImage) -> tuple[int, bool]:
    """How many channels a plain image has, and whether transparency follows."""
    if image.mode == 'P':
        return 3, image.has_transparency_data
    return PLAIN_MODES.get(image.mode, (3, False))


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file; every error in it names it."""
    name = printable(path)
    with open_regular(path) as file:
        try:
            yield file
        except ReadError:
            raise
        except MemoryError:
            raise ImageError(f'{name}: not enough memory to read it; make it smaller first, or '
                             f'allow more (ulimit -v)') from None
        except ValueError as error:
            if str(error).startswith(f'{name}: '):
                raise
            raise ImageError(f'{name}: {printable(error)}') from None
        except Exception as error:                      # Pillow's, of a damaged strip
            raise ImageError(f'{name}: damaged ({printable(error)}); get it again') from None


def _peek(file: BinaryIO) -> bytes:
    start = file.read(len(NPY_MAGIC))
    file.seek(0)
    return start


def _checked(head: Head) -> Head:
    """Raise if there are more values than are read."""
    pixels = head.height * head.width
    if head.channels > MAX_CHANNELS:
        raise ValueError(f'{head.height}×{head.width} pixels of {head.channels:,} channels; at '
                         f'most {MAX_CHANNELS} are read, which come last: save '
                         f'numpy.moveaxis(array, 0, -1) if yours come first')
    if pixels > MAX_PIXELS or pixels * head.channels > MAX_VALUES:
        raise ValueError(f'{head.width}×{head.height} pixels of {head.channels} channels are more '
                         f'than {MAX_PIXELS:,} pixels, or than {MAX_VALUES:,} values; make it '
                         f'smaller first')
    return head


# ---- TIFF ----------------------------------------------------------------------------------------

def _tiff_pages(file: BinaryIO) -> list[Page]:
    """The pages of a TIFF that are channels of one image: one, or several of one grey channel."""
    pages = read_pages(file)
    photometric = pages[0].photometric
    if not pages[0].is_plain and photometric not in (*GREYS, RGB):
        name = PHOTOMETRIC_NAMES.get(photometric, f'photometric interpretation {photometric}')
        raise ValueError(f'{pages[0].samples} channels of {pages[0].bits} bits in {name}; save '
                         f'them as grey or RGB')
    return pages if pages[0].photometric in GREYS else pages[:1]


# ---- PNG of 16 bits ------------------------------------------------------------------------------

class DeepLayout(NamedTuple):
    """How the pixels of a PNG of 16 bits are stored."""

    channels: int
    has_alpha: bool
    # Pillow's names of layouts by which it reads them as 8 bits. Several are parts of one number,
    # the upper one first
    raw_modes: tuple[str, ...]


PNG_LAYOUTS = {
    'I;16B': DeepLayout(1, False, ()),
    'LA;16B': DeepLayout(1, True, ('RGBA',)),           # two numbers as four bytes
    'RGB;16B': DeepLayout(3, False, ('RGB;16B', 'RGB;16L')),
    'RGBA;16B': DeepLayout(3, True, ('RGBA;16B', 'RGBA;16L'))}


def _png_layout(image: PILImage) -> DeepLayout | None:
    tile: list[Any] = getattr(image, 'tile', [])        # how Pillow decodes the file
    args = [args if isinstance(args, str) else args[0] for *_, args in tile]
    return PNG_LAYOUTS.get(args[0]) if args else None


def _read_deep_png(path: str | os.PathLike[str], image: PILImage) -> Array:
    """(H, W, C) uint16 of a PNG of 16 bits. Pillow reads 8 of a colour: the upper, or the lower."""
    layout = _png_layout(image)
    if image.format != 'PNG' or layout is None:
        raise _reduced_by_pillow(image, path)
    if not layout.raw_modes:
        grey = np.array(to_upright(image)).astype('uint16')
        return grey[..., None]
    parts: list[NDArray[np.uint8]] = []
    for raw_mode in layout.raw_modes:
        with open_image(path) as opened:
            again: Any = opened                         # as a file it has `tile`
            again.tile = [(codec, box, at, raw_mode) for codec, box, at, _ in again.tile]
            parts.append(np.array(to_upright(again)))
    if len(parts) == 1:                                 # bytes, the upper one of each number first
        return parts[0].view('>u2').astype('uint16')
    upper, lower = parts
    deep: Array = upper.astype('uint16') << 8
    return deep | lower


# ---- .npy ----------------------------------------------------------------------------------------

def _npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """-> shape, whether the first axis changes fastest, dtype"""
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f'a .npy of version {version}, of named fields; save a plain array')
    try:
        shape, is_fortran, dtype = read(file)
    except ValueError as error:
        raise ValueError(f'damaged ({error}); get it again') from None
    if dtype.kind not in 'buif':
        raise ValueError(f'an array of {dtype}; save one of integers or floats')
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(f'an array of shape {shape}; an image is (rows, columns) or (rows, '
                         f'columns, channels)')
    return shape, is_fortran, dtype


def _read_npy(file: BinaryIO) -> Array:
    shape, is_fortran, dtype = _npy_header(file)
    _checked(Head(shape[0], shape[1], shape[2] if len(shape) == 3 else 1, False, '', False))
    needed = prod(shape) * dtype.itemsize
    data = file.read(needed + 1)
    if len(data) != needed:
        has = 'more' if len(data) > needed else f'{len(data):,}'
        raise ValueError(f'damaged (an array {shape} of {dtype} has {needed:,} bytes, and the file '
                         f'has {has}); get it again')
    flat = np.frombuffer(data, dtype).astype(dtype.newbyteorder('='), copy=False)
    pixels = flat.reshape(shape, order='F' if is_fortran else 'C')
    return pixels.reshape(*shape[:2], -1)
