"""Open image files, of the formats that pictures and masks come in.

Budget: 20 bytes for each pixel, of which there are at most MAX_PIXELS; .1 s a million pixels, and
1 s a megabyte of the file.
"""
from __future__ import annotations

import mmap
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .regular import ReadError, open_regular
from .text import printable

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Pillow would try every format it knows by the content of the file. One of them, PostScript, is
# read by starting another program.
FORMATS = 'PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP', 'GIF', 'PPM'
MAX_PIXELS = 50_000_000         # a file of 23 kB can claim 100 million
# of a JPEG, each of which may be a few bytes and goes through all pixels; a progressive one has ten
MAX_SCANS = 500
# bytes of a PNM in plain text, which Pillow reads number by number; the time for comments in it
# grows with their square
MAX_PLAIN_TEXT = 1 << 18
JPEG_MARKER = re.compile(rb'\xff[\x01-\xcf\xd8-\xfe]')   # 0 and D0 … D7 stand within a scan
# as a phone saves photos, behind the length of the first part
HEIF = b'ftypheic', b'ftypheix', b'ftyphevc', b'ftypmif1', b'ftypmsf1', b'ftypavif'
START_OF_SCAN = 0xda
END_OF_IMAGE = 0xd9


class ImageError(ValueError):
    """An image or a mask that cannot be used: which file, what is wrong with it, what to do."""


@contextmanager
def open_image(path: str | os.PathLike[str]) -> Iterator[PILImage]:
    """Open an image that is not too large; every error names the file and what is wrong."""
    from PIL import Image, UnidentifiedImageError
    name = printable(path)
    with open_regular(path) as file:
        try:
            with warnings.catch_warnings():             # Pillow's, for which MAX_PIXELS stands in
                warnings.simplefilter('ignore', Image.DecompressionBombWarning)
                image = Image.open(file, formats=FORMATS)
            with image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(f'{name}: {image.width}×{image.height} pixels are more than '
                                     f'{MAX_PIXELS:,}; make it smaller first')
                if image.format in ('JPEG', 'MPO') and _count_scans(file) > MAX_SCANS:
                    raise ImageError(f'{name}: a JPEG of more than {MAX_SCANS} scans, which would '
                                     f'take long to read; save it again')
                size = os.fstat(file.fileno()).st_size
                if _is_plain_text(image) and size > MAX_PLAIN_TEXT:
                    raise ImageError(f'{name}: {size // 1000:,} kB of numbers in plain text, which '
                                     f'take long to read; save it as PNG')
                yield image
        except (ImageError, ReadError):
            raise
        except MemoryError:                             # Pillow's, of a damaged size too
            raise ImageError(f'{name}: not enough memory to read it; make it smaller first, or '
                             f'allow more (ulimit -v)') from None
        except UnidentifiedImageError:
            file.seek(0)
            raise ImageError(f'{name}: not an image: {_describe(file.read(64))}') from None
        except Image.DecompressionBombError:
            raise ImageError(f'{name}: far more than {MAX_PIXELS:,} pixels; make it smaller '
                             f'first') from None
        except Exception as error:                      # Pillow's message does not name the file
            size = os.fstat(file.fileno()).st_size
            raise ImageError(f'{name}: damaged ({printable(error)}), of {size:,} bytes; get it '
                             f'again') from None


def require_8_bits(image: PILImage, name: object) -> None:
    """Raise for pixels of 16 bits or floats: nothing says which value is white."""
    if has_deep_pixels(image):
        raise ImageError(f'{printable(name)}: {image.mode} pixels have more than 8 bits; scale '
                         f'them to 0 … 255 and save them as RGB first')


def to_upright(image: PILImage) -> PILImage:
    """The image turned as its EXIF orientation says; itself if it says nothing."""
    from PIL import ExifTags, ImageOps
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)               # which copies it in any case


def to_rgb(image: PILImage) -> NDArray[np.uint8]:
    """-> (H, W, 3) uint8. Greyscale, palette and CMYK become RGB; transparency is dropped."""
    if image.mode == 'P':                               # Pillow warns of transparent palettes
        image = image.convert('RGBA')
    return np.array(image if image.mode == 'RGB' else image.convert('RGB'))


def has_deep_pixels(image: PILImage) -> bool:
    """Whether a file has more than 8 bits a channel. Of 16-bit colours Pillow keeps the upper 8."""
    if image.mode.startswith(('I', 'F')):
        return True
    if max(_bits_per_sample(image), default=8) > 8:
        return True
    for codec, _, _, args in getattr(image, 'tile', ()):    # how Pillow decodes the file
        if codec.startswith('ppm') and isinstance(args, tuple) and args[-1] > 255:
            return True                                 # the largest value
        raw_mode = args if isinstance(args, str) else args[0] if args else ''
        # such as 'RGB;16B'; 'BGR;16' has 16 bits for all three colours together
        if ';16' in str(raw_mode) and raw_mode != 'BGR;16':
            return True
    return False


def _bits_per_sample(image: PILImage) -> tuple[int, ...]:
    """What a TIFF says of its channels; one plane after another, Pillow decodes them as 8 bits."""
    bits_per_sample = 258
    value = getattr(image, 'tag_v2', {}).get(bits_per_sample, ())
    return value if isinstance(value, tuple) else (value,)


def _is_plain_text(image: PILImage) -> bool:
    """Whether this is a PNM of the kinds P1, P2 and P3."""
    return any(codec == 'ppm_plain' for codec, *_ in getattr(image, 'tile', ()))


def _count_scans(file: BinaryIO) -> int:
    """How often a JPEG goes through its pixels."""
    scans = 0
    at = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while found := JPEG_MARKER.search(data, at):
            marker = data[found.end() - 1]
            at = found.end()
            if marker == END_OF_IMAGE:
                break
            scans += marker == START_OF_SCAN
            if at > 2:                                  # all but the first are followed by a length
                at += int.from_bytes(data[at:at + 2], 'big')
    return scans


def _describe(head: bytes) -> str:
    """What a file that is no image begins with."""
    head = head.lstrip().lower()
    if not head:
        return 'the file is empty (a failed download?); get it again'
    if head[4:12] in HEIF:
        return 'it is HEIC or AVIF; convert it to JPEG first'
    if head.startswith(b'<?xml') and b'html' not in head:
        return 'it is XML; give the image itself'
    if head.startswith(b'<'):
        return 'it is an HTML page (a failed download?); get it again'
    return f'it begins with {head[:8]!r}; the formats are {", ".join([*FORMATS, "NPY"])}'
