"""Reading image and mask files."""
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..files import ImageError, open_image, printable
from ..files.images import require_8_bits, to_rgb, to_upright
from ..files.pixels import Head, plain_pixels, read_head, read_pixels
from .channels import RGB, Channels, describe_head, fits, value_type
from .labels import Array

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

PIXELS_AT_ONCE = 1 << 20        # of a mask in colours, whose integers have 8 times their bytes
INTEGER_MODES = '1', 'L', 'P', 'I', 'I;16', 'I;16B'     # Pillow's modes whose pixels are integers

Colour = tuple[int, ...]        # red, green, blue


def read_image(path: str | Path, mask_size: tuple[int, ...] | None = None,
               channels: Channels = RGB, others: str = 'the other images') -> Array:
    """An image. -> (H, W, C), red green blue first: uint8 for values of 8 bits, else float32

    channels: what the images of the data set, or of the net, have; by default red, green and blue
    of 8 bits. Then the image is read as a person sees it: greyscale, palette and CMYK become RGB,
    and transparency is dropped. Images of more than 8 bits are rejected, for nothing says which
    value is white.
    others: which images have these channels, for errors
    The EXIF orientation is applied, unless only the image as stored has the size of its mask.
    """
    n = len(channels.names)
    if channels.dtype == 'uint8' and n in (1, 3) and not _is_array(path):
        with open_image(path) as stored:
            require_8_bits(stored, path)        # before they are turned, which forgets the bits
            turned = _turn_as_mask(stored, path, mask_size)
            pixels = to_rgb(turned) if n == 3 else np.array(turned.convert('L'))[..., None]
        return pixels if channels == RGB else pixels[..., channels.order]
    head = read_head(path)
    _require_channels(path, head, channels, others)
    if head.is_plain:
        with open_image(path) as stored:
            pixels = plain_pixels(_turn_as_mask(stored, path, mask_size))
    else:
        pixels = read_pixels(path)
        if mask_size not in (None, pixels.shape[:2]):
            raise size_mismatch(path, '{}×{} pixels'.format(*pixels.shape[:2]), 'mask', mask_size)
    if pixels.shape[2] < n:                             # grey of 8 bits
        pixels = pixels.repeat(n, 2)
    image = np.empty((*pixels.shape[:2], n), 'uint8' if pixels.dtype == 'uint8' else 'float32')
    for i, channel in enumerate(channels.order):        # without a copy of all channels
        image[..., i] = pixels[..., channel]
    require_finite(image, path)
    return image


def _is_array(path: str | Path) -> bool:
    """Whether a file is one of .npy, or a TIFF that Pillow does not read."""
    if not str(path).lower().endswith(('.npy', '.tif', '.tiff')):
        return False
    try:
        head = read_head(path)
    except ValueError:                          # reading it will report it
        return False
    is_npy = str(path).lower().endswith('.npy')
    return not head.is_plain and (is_npy or head.dtype == 'uint8' or head.channels not in (1, 3))


def _require_channels(path: str | Path, head: Head, channels: Channels, others: str) -> None:
    """Raise unless an image has these channels, of this type."""
    differ = f'{printable(path)}: {describe_head(head)}, and {others} have {channels}'
    if value_type(head.dtype) != channels.dtype:
        raise ImageError(f'{differ}; convert it, for values of another range would be misread')
    if not fits(head, len(channels.names)):
        raise ImageError(f'{differ}; save it with the same channels')


def require_finite(image: Array, source: object) -> None:
    """Raise for an image with a value that is nan or infinite."""
    if image.dtype.kind != 'f':
        return
    invalid = ~np.isfinite(image)
    if invalid.any():
        row, column, channel = np.argwhere(invalid)[0].tolist()
        raise ImageError(f'{printable(source)}: {image[row, column, channel]} at row {row}, column '
                         f'{column}, channel {channel}, and {np.count_nonzero(invalid):,} such '
                         f'values in all; replace them, for example by the mean')


def _turn_as_mask(stored: 'PILImage', path: str | Path,
                  mask_size: tuple[int, ...] | None) -> 'PILImage':
    """The image upright, or as stored if only so it has the size of its mask."""
    upright = to_upright(stored)
    upright_size = upright.height, upright.width
    stored_size = stored.height, stored.width
    if mask_size not in (None, upright_size, stored_size):
        size = '{}×{} pixels'.format(*upright_size)
        if upright_size != stored_size:
            size = '{} upright, {}×{} as stored'.format(size, *stored_size)
        raise size_mismatch(path, size, 'mask', mask_size)
    return upright if mask_size in (None, upright_size) else stored


def image_size(path: str | Path) -> tuple[int, int]:
    """The height and width that the head of an image file says."""
    head = read_head(path)
    return head.height, head.width


def read_label(path: str | Path, colours: Mapping[Colour, int] | None = None,
               table: str = 'classes.txt') -> Array:
    """The numbers of a mask's pixels, not their colours. -> (H, W) integers

    A palette or greyscale PNG, for example. A JPEG is rejected: its numbers are not those that were
    saved. RGB is read only with colours {(red, green, blue): number}, which the file `table` gives.
    """
    source = printable(path)
    if source.lower().endswith('.npy'):
        return _read_label_array(path)
    with open_image(path) as image:
        if image.format == 'JPEG':
            raise ImageError(f'{source}: a JPEG blurs the numbers of a mask; save it as PNG')
        is_coloured = bool(colours) and image.mode in ('RGB', 'RGBA')
        if is_coloured:
            require_8_bits(image, path)
        elif image.mode not in INTEGER_MODES:
            advice = ('' if colours is None else
                      f"; or give every class its colour, by lines 'R G B name' in {table}")
            raise ImageError(
                f'{source}: {image.mode} pixels are colours; a mask holds the number of a class in '
                f'each pixel, as a palette or greyscale PNG{advice} (lesson 15)')
        elif _is_rescaled(image):
            raise ImageError(f'{source}: its numbers are rescaled or inverted when it is read; '
                             f'save it as a PNG of 8 bits')
        image.verify()                                  # a flipped bit would change a class
    with open_image(path) as image:                     # verify() leaves the image unusable
        is_coloured = is_coloured or _has_colours(image, colours or {})
        pixels = to_rgb(image) if is_coloured else np.array(image)
    if colours and is_coloured:
        return _numbers_of_colours(source, pixels, colours, table)
    label: Array = pixels * np.uint8(1)                 # bool becomes uint8, others stay
    return label


def _read_label_array(path: str | Path) -> Array:
    """The numbers in a .npy. -> (H, W) integers"""
    pixels = read_pixels(path)
    if pixels.shape[2] > 1 or pixels.dtype.kind == 'f':
        raise ImageError(f'{printable(path)}: {pixels.shape[2]} channels of {pixels.dtype}; a mask '
                         f'holds the number of a class in each pixel, as an array (rows, columns) '
                         f'of integers')
    label: Array = pixels[..., 0] * np.uint8(1)         # bool becomes uint8, others stay
    return label


def _has_colours(image: 'PILImage', colours: Mapping[Colour, int]) -> bool:
    """Whether the numbers of a mask stand for colours of classes, and not for classes.

    So it is where every pixel has such a colour: of a palette that is not a scale of greys, or of
    a greyscale mask if all classes are grey, such as black and white.
    """
    if not colours or image.mode not in ('L', 'P'):
        return False
    used = np.unique(np.array(image)).tolist()
    if image.mode == 'L':
        is_grey = all(len(set(colour)) == 1 for colour in colours)
        return is_grey and all((value, value, value) in colours for value in used)
    flat = image.getpalette() or []
    palette = list(zip(flat[::3], flat[1::3], flat[2::3]))
    is_scale = all(colour == (i, i, i) for i, colour in enumerate(palette))
    return not is_scale and all(i < len(palette) and palette[i] in colours for i in used)


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


def _numbers_of_colours(source: str, mask: Array, colours: Mapping[Colour, int],
                        table: str) -> NDArray[np.uint8]:
    """(H, W, 3) colours -> (H, W), the number that the table gives each"""
    next_number = np.zeros(1 << 24, 'uint16')           # of a code 0xRRGGBB: its number + 1, or 0
    for (red, green, blue), number in colours.items():
        next_number[red << 16 | green << 8 | blue] = number + 1
    label = np.zeros(mask.shape[:2], 'uint8')
    unknown = np.zeros(mask.shape[:2], bool)
    unknown_codes = np.zeros(1 << 24, bool)
    step = max(1, PIXELS_AT_ONCE // mask.shape[1])
    for top in range(0, len(mask), step):
        rows = slice(top, top + step)
        red, green, blue = np.moveaxis(mask[rows].astype(np.int32), 2, 0)
        codes = red << 16 | green << 8 | blue
        found = next_number[codes]
        label[rows] = found - 1
        unknown[rows] = found == 0
        unknown_codes[codes[unknown[rows]]] = True
    if unknown.any():
        row, column = np.unravel_index(unknown.argmax(), unknown.shape)
        colour = ' '.join(map(str, mask[row, column]))
        raise ImageError(
            f'{source}: colour {colour} at row {row}, column {column} is not in {table}; '
            f'{unknown.sum():,} pixels have {_such_colours(int(unknown_codes.sum()))}; add '
            f"{_line_for(colour, table)}")
    return label


def _line_for(colour: str, table: str) -> str:
    """What to write into a table so that a colour has a class."""
    if table == 'classes.txt':
        return f"a line '{colour} name', or '{colour} void' if it is no class"
    return 'it there, with the name of its class, or void if it is none'


def _such_colours(n: int) -> str:
    return 'such a colour' if n == 1 else f'{n:,} such colours'


def read_pair(image_path: str | Path, label_path: str | Path,
              read: Callable[..., Array] = read_label,
              channels: Channels = RGB) -> tuple[Array, Array]:
    """-> image, label; the image turned as the label is"""
    label = read(label_path)
    return read_image(image_path, label.shape, channels), label


def size_mismatch(source: object, size: str, other: str,
                  other_size: tuple[int, ...] | None) -> ImageError:
    """An error to raise where image and mask differ in size."""
    rows, columns = other_size or (0, 0)
    return ImageError(f'{printable(source)}: {size} (rows × columns), and its {other} has '
                      f'{rows}×{columns}; resize one of them, a mask by nearest neighbour')


def is_transparent(path: str | Path) -> bool:
    """Whether an image has transparent pixels. What is behind them is not known to a net."""
    if _is_array(path):
        return read_head(path).has_alpha
    with open_image(path) as image:
        return bool(image.has_transparency_data)
