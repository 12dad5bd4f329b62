"""Reading image and mask files."""
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..files import ImageError, open_image, printable
from ..files.images import require_8_bits, to_rgb, to_upright
from .labels import Array

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

PIXELS_AT_ONCE = 1 << 20        # of a mask in colours, whose integers have 8 times their bytes
INTEGER_MODES = '1', 'L', 'P', 'I', 'I;16', 'I;16B'     # Pillow's modes whose pixels are integers

Colour = tuple[int, ...]        # red, green, blue


def read_image(path: str | Path, mask_size: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """An image as a person sees it. -> (H, W, 3) uint8, red green blue

    The EXIF orientation is applied, unless only the image as stored has the size of its mask.
    Greyscale, palette and CMYK images become RGB, and transparency is dropped. 16-bit and float
    images are rejected, for nothing says which value is white.
    """
    with open_image(path) as stored:
        require_8_bits(stored, path)            # before they are turned, which forgets the bits
        upright = to_upright(stored)
        upright_size = upright.height, upright.width
        stored_size = stored.height, stored.width
        if mask_size not in (None, upright_size, stored_size):
            size = '{}×{} pixels'.format(*upright_size)
            if upright_size != stored_size:
                size = '{} upright, {}×{} as stored'.format(size, *stored_size)
            raise size_mismatch(path, size, 'mask', mask_size)
        image = upright if mask_size in (None, upright_size) else stored
        return to_rgb(image)


def read_label(path: str | Path, colours: Mapping[Colour, int] | None = None) -> Array:
    """The numbers of a mask's pixels, not their colours. -> (H, W) integers

    A palette or greyscale PNG, for example. A JPEG is rejected: its numbers are not those that were
    saved. RGB is read only with a table {(red, green, blue): number}.
    """
    source = printable(path)
    with open_image(path) as image:
        if image.format == 'JPEG':
            raise ImageError(f'{source}: a JPEG blurs the numbers of a mask; save it as PNG')
        is_coloured = bool(colours) and image.mode in ('RGB', 'RGBA')
        if is_coloured:
            require_8_bits(image, path)
        elif image.mode not in INTEGER_MODES:
            advice = ('' if colours is None else
                      "; or give every class its colour, by lines 'R G B name' in classes.txt")
            raise ImageError(
                f'{source}: {image.mode} pixels are colours; a mask holds the number of a class in '
                f'each pixel, as a palette or greyscale PNG{advice} (lesson 13)')
        elif _is_rescaled(image):
            raise ImageError(f'{source}: its numbers are rescaled or inverted when it is read; '
                             f'save it as a PNG of 8 bits')
        image.verify()                                  # a flipped bit would change a class
    with open_image(path) as image:                     # verify() leaves the image unusable
        pixels = to_rgb(image) if is_coloured else np.array(image)
    if colours and is_coloured:
        return _numbers_of_colours(source, pixels, colours)
    label: Array = pixels * np.uint8(1)                 # bool becomes uint8, others stay
    return label


def _is_rescaled(image: 'PILImage') -> bool:
    """Whether Pillow changes the numbers of a grey image, so that its brightest pixel is white.

    It does so for 2 and 4 bits, for TIFFs in which 0 is white, for PBMs, and for PGMs of other
    maxima.
    """
    for codec, _, _, args in getattr(image, 'tile', ()):    # how Pillow decodes the file
        if codec.startswith('ppm') and isinstance(args, tuple):
            return args[-1] not in (255, 65535)         # the largest value
        layout = args if isinstance(args, str) else args[0] if args else ''
        if image.mode == 'L' and isinstance(layout, str) and layout not in ('L', 'L;R'):
            return True
        if image.mode == '1' and str(layout).startswith('1;I'):
            return True
    return False


def _numbers_of_colours(source: str, mask: Array,
                        colours: Mapping[Colour, int]) -> NDArray[np.uint8]:
    """(H, W, 3) colours -> (H, W), the number that the table gives each"""
    weights = np.array([1 << 16, 1 << 8, 1])            # a colour as one integer
    table = sorted((int(np.dot(colour, weights)), number) for colour, number in colours.items())
    known, numbers = np.array(table).T
    label = np.zeros(mask.shape[:2], 'uint8')
    unknown = np.zeros(mask.shape[:2], bool)
    unknown_codes = np.zeros(1 << 24, bool)
    step = max(1, PIXELS_AT_ONCE // mask.shape[1])
    for top in range(0, len(mask), step):
        rows = slice(top, top + step)
        codes = mask[rows] @ weights
        at = np.searchsorted(known, codes).clip(max=len(known) - 1)
        label[rows] = numbers[at]
        unknown[rows] = known[at] != codes
        unknown_codes[codes[unknown[rows]]] = True
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        colour = ' '.join(map(str, mask[row, column]))
        raise ImageError(
            f'{source}: colour {colour} at row {row}, column {column} is not in classes.txt; '
            f'{unknown.sum():,} pixels have {_such_colours(int(unknown_codes.sum()))}; add a '
            f"line '{colour} name', or '{colour} void' if it is no class")
    return label


def _such_colours(n: int) -> str:
    return 'such a colour' if n == 1 else f'{n:,} such colours'


def read_pair(image_path: str | Path, label_path: str | Path,
              read: Callable[..., Array] = read_label) -> tuple[NDArray[np.uint8], Array]:
    """-> image, label; the image turned as the label is"""
    label = read(label_path)
    return read_image(image_path, label.shape), label


def size_mismatch(source: object, size: str, other: str,
                  other_size: tuple[int, ...] | None) -> ImageError:
    """An error to raise where image and mask differ in size."""
    rows, columns = other_size or (0, 0)
    return ImageError(f'{printable(source)}: {size} (rows × columns), and its {other} has '
                      f'{rows}×{columns}; resize one of them, a mask by nearest neighbour')


def is_transparent(path: str | Path) -> bool:
    """Whether an image has transparent pixels. What is behind them is not known to a net."""
    with open_image(path) as image:
        return bool(image.has_transparency_data)
