"""Reading image and mask files."""
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .lists import inventory


class ImageError(ValueError):
    """A picture or a mask that cannot be used: which file, what is wrong in it, what to do."""

LARGEST = 50_000_000    # pixels: a file of 23 kB can claim 100 million

NUMBERS = '1', 'L', 'P', 'I', 'I;16', 'I;16B'           # modes whose pixels are whole numbers


def read_image(path, like=None):
    """A picture as a person sees it. -> (H, W, 3) uint8, red green blue

    A camera's note to turn it is obeyed, unless only the picture as stored has the size of its
    mask, `like`. Grey, palette and CMYK become RGB and transparency is dropped; 16 bits or
    floats are refused, for nobody said what their white is.
    """
    from PIL import ImageOps
    with opened(path) as image:
        if image.mode.startswith(('I', 'F')):
            raise ImageError(f'{path}: {image.mode} pixels have more than 8 bits; scale them to '
                               f'0 … 255 and save them as RGB first')
        upright = ImageOps.exif_transpose(image)
        sizes = [(shown.height, shown.width) for shown in (upright, image)]
        if like is not None and like not in sizes:
            how = '{}×{} pixels'.format(*sizes[0])
            if sizes[0] != sizes[1]:
                how = '{} upright, {}×{} as stored'.format(how, *sizes[1])
            raise size_mismatch(path, how, 'mask', like)
        shown = upright if like in (None, sizes[0]) else image
        if shown.mode == 'P':                           # some have colours that are transparent
            shown = shown.convert('RGBA')
        return np.array(shown.convert('RGB'))


def read_label(path, colours=None):
    """The numbers of a mask's pixels, not its colours. -> (H, W) whole numbers

    A palette PNG or a grey one; a JPEG has other numbers than were saved, and is refused.
    RGB is read only by a table, colours[red, green, blue] = the number.
    """
    with opened(path) as image:
        if image.format == 'JPEG':
            raise ImageError(f'{path}: a JPEG blurs the numbers of a mask; save it as PNG')
        coloured = colours and image.mode in ('RGB', 'RGBA')
        if image.mode not in NUMBERS and not coloured:
            raise ImageError(
                f'{path}: {image.mode} pixels are colours; a mask holds the number of a class in '
                f'each pixel, as a palette or grey PNG' + '; or give every class its colour, by '
                "lines 'R G B name' in classes.txt" * (colours is not None) + ' (lesson 13)')
        image.verify()                                  # a flipped bit would change a class
    with opened(path) as image:
        label = np.array(image.convert('RGB') if coloured else image)
    return _numbered(path, label, colours) if coloured else label * np.uint8(1)     # no bools


def _numbered(path, mask, colours):
    """(H, W, 3) of colours -> (H, W) of what the table says they are"""
    weights = np.array([1 << 16, 1 << 8, 1])
    table = sorted((int(np.dot(colour, weights)), number) for colour, number in colours.items())
    known, numbers = np.array(table).T
    code = mask @ weights
    at = np.searchsorted(known, code).clip(max=len(known) - 1)
    odd = known[at] != code
    if odd.any():
        row, column = np.unravel_index(odd.argmax(), odd.shape)
        colour = ' '.join(map(str, mask[row, column]))
        raise ImageError(
            f'{path}: colour {colour} at row {row}, column {column} is not in classes.txt; '
            f'{odd.sum():,} pixels have {len(np.unique(code[odd])):,} such colours; add a line '
            f"'{colour} name', or '{colour} void' if it means nothing")
    return numbers[at].astype('uint8')


def read_pair(image_path, label_path, read=read_label):
    """-> image, label, the image turned as its label is"""
    label = read(label_path)
    return read_image(image_path, label.shape), label


def size_mismatch(path, how, other, size):
    return ImageError('{}: {} (rows × columns), and its {} has {}×{}; scale one of them, a mask '
                        'by nearest neighbour'.format(path, how, other, *size))


@contextmanager
def opened(path):
    """A picture of a size that can be read; what is wrong with it names the file."""
    from PIL import Image, UnidentifiedImageError
    try:
        with warnings.catch_warnings():                 # above 89 million pixels; LARGEST is ours
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            if image.width * image.height > LARGEST:
                raise ImageError(f'{path}: {image.width}×{image.height} pixels are more than '
                                   f'{LARGEST:,}; make it smaller first')
            yield image
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file; {inventory(Path(path).parent)}') from None
    except (PermissionError, IsADirectoryError) as error:
        raise type(error)(f'{path}: cannot be read ({error.strerror})') from None
    except UnidentifiedImageError:
        raise ImageError(f'{path}: no picture, {_looks_like(path)}') from None
    except Image.DecompressionBombError:
        raise ImageError(f'{path}: far more than {LARGEST:,} pixels; make it smaller '
                           f'first') from None
    except Exception as error:                          # Pillow's words do not name the file
        raise ImageError(f'{path}: damaged ({error}), of {_bytes(path):,} bytes; get it '
                           f'again') from None


def is_transparent(path):
    """Whether a picture has pixels to look through; what lies under them is not seen by a net."""
    with opened(path) as image:
        return image.has_transparency_data


def _bytes(path):
    with open(path, 'rb') as file:
        return file.seek(0, 2)


def _looks_like(path):
    with open(path, 'rb') as file:
        head = file.read(64).lstrip().lower()
    if not head:
        return 'the file is empty: a failed download?'
    return 'but a page of HTML: a failed download?' if head.startswith(b'<') else \
        f'it begins with {head[:8]!r}'
