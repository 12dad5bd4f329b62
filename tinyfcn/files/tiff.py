"""TIFFs that Pillow cannot read: any number of channels, integers and floats of 8 to 64 bits.

Pillow still decompresses them. The bytes of their strips and tiles are given to it as a TIFF of
grey pixels, one for each byte, with the same compression.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

Tags = dict[int, tuple[int, ...]]       # of a page: the numbers that each tag has

# tags
SUBFILE_TYPE = 254
WIDTH = 256
HEIGHT = 257
BITS = 258
COMPRESSION = 259
PHOTOMETRIC = 262
FILL_ORDER = 266
STRIP_OFFSETS = 273
ORIENTATION = 274
SAMPLES = 277
STRIP_ROWS = 278
STRIP_BYTES = 279
PLANAR = 284
PREDICTOR = 317
TILE_WIDTH = 322
TILE_HEIGHT = 323
TILE_OFFSETS = 324
TILE_BYTES = 325
EXTRA_SAMPLES = 338
SAMPLE_FORMAT = 339
READ = frozenset([SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER,
                  STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANAR, PREDICTOR,
                  TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT])
# how a type of numbers is stored: BYTE, SHORT, LONG, LONG8, IFD8
TYPES = {1: 'B', 3: 'H', 4: 'I', 16: 'Q', 18: 'Q'}
KINDS = {1: 'u', 2: 'i', 3: 'f', 4: 'u'}                # of samples: unsigned, signed, float
DEPTHS = {'u': (8, 16, 32, 64), 'i': (8, 16, 32, 64), 'f': (16, 32, 64)}
# photometric interpretations: how many samples of a pixel are colours or grey
GREYS = 0, 1                            # white is 0, black is 0
RGB = 2
PHOTOMETRIC_NAMES = {3: 'a palette', 5: 'CMYK', 6: 'YCbCr', 8: 'Lab', 9: 'Lab'}
COLOUR_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 4, 6: 3, 8: 3, 9: 3}
COMPRESSIONS = {1: 'none', 5: 'LZW', 8: 'deflate', 32946: 'deflate', 32773: 'PackBits',
                34925: 'LZMA', 50000: 'Zstandard'}
MAX_PAGES = 256
MAX_TAGS = 4096                         # of a page
MAX_CHUNKS = 1 << 20                    # strips and tiles of a page
AT_ONCE = 1 << 26                       # bytes that Pillow decompresses as one image


class Page(NamedTuple):
    """An image in a TIFF: its size, its samples, and where they are."""

    height: int
    width: int
    samples: int            # of a pixel, with transparency
    bits: int               # of a sample
    dtype: np.dtype[Any]    # of samples of 8 bits and more, in the byte order of the file
    has_alpha: bool         # whether the last sample is transparency
    photometric: int
    compression: int
    predictor: int
    is_planar: bool         # one plane after another
    is_reversed: bool       # the bits of each byte
    is_tiled: bool
    chunk_height: int       # of a strip or a tile
    chunk_width: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    orientation: int

    @property
    def channels(self) -> int:
        """Samples of a pixel without transparency."""
        return self.samples - self.has_alpha

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads it without loss: grey or colours of 8 bits at most."""
        return (self.bits <= 8 and self.dtype.kind == 'u'
                and self.channels == COLOUR_SAMPLES.get(self.photometric))


# ---- what the file says of itself ----------------------------------------------------------------

def is_tiff(head: bytes) -> bool:
    """Whether a file begins as a TIFF or a BigTIFF does."""
    return head[:4] in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


def read_pages(file: BinaryIO) -> list[Page]:
    """The pages of a TIFF that have the size and the samples of the first, which are its channels.

    Reduced copies of a page are left out. What is wrong in a file is a ValueError.
    """
    size = file.seek(0, 2)
    head = _read_at(file, 0, 16)
    order = '<' if head[:2] == b'II' else '>'
    pages: list[Page] = []
    for tags in _directories(file, order, size, is_big=b'+' in head[2:4]):
        is_reduced = tags.get(SUBFILE_TYPE, (0,))[0] & 1
        if is_reduced and pages:
            continue
        page = _page(tags, order)
        if pages and not _are_alike(page, pages[0]):
            continue                                    # such as a preview or a mask
        if len(pages) == MAX_PAGES:
            raise ValueError(f'more than {MAX_PAGES} pages; save those that are channels of one '
                             f'image as a file of their own')
        pages.append(page)
        if page.samples > 1 or page.bits < 8:           # whose pages are several images
            break
    if not pages:
        raise ValueError('a TIFF without an image; get it again')
    return pages


def _are_alike(a: Page, b: Page) -> bool:
    return (a.height, a.width, a.samples, a.dtype) == (b.height, b.width, b.samples, b.dtype)


def _directories(file: BinaryIO, order: str, size: int, is_big: bool) -> Iterator[Tags]:
    """The tags of every page."""
    count_format, entry, offset_format = ('Q', 'HHQ8s', 'Q') if is_big else ('H', 'HHI4s', 'I')
    entry_size = struct.calcsize(order + entry)
    at, = _unpack(file, 8 if is_big else 4, order + offset_format, size)
    seen = set()
    while at:
        if at in seen:
            raise ValueError('damaged (its pages refer to each other in a circle); get it again')
        seen.add(at)
        count, = _unpack(file, at, order + count_format, size)
        if count > MAX_TAGS:
            raise ValueError(f'damaged (a page of {count:,} tags); get it again')
        start = at + struct.calcsize(order + count_format)
        tags: Tags = {}
        for i in range(count):
            tag, kind, n, value = struct.unpack(
                order + entry, _read(file, start + i * entry_size, entry_size, size))
            if tag in READ and kind in TYPES:
                tags[tag] = _numbers(file, f'{order}{n}{TYPES[kind]}', n, value,
                                     order + offset_format, size)
        yield tags
        at, = _unpack(file, start + count * entry_size, order + offset_format, size)


def _numbers(file: BinaryIO, number_format: str, n: int, value: bytes, offset_format: str,
             size: int) -> tuple[int, ...]:
    """The numbers of a tag: in its value if they fit into it, else where the value points to."""
    if n > MAX_CHUNKS:
        raise ValueError(f'damaged (a tag of {n:,} numbers); get it again')
    length = struct.calcsize(number_format)
    if length <= len(value):
        return struct.unpack(number_format, value[:length])
    at, = struct.unpack(offset_format, value)
    return _unpack(file, at, number_format, size)


def _unpack(file: BinaryIO, at: int, number_format: str, size: int) -> tuple[int, ...]:
    data = _read(file, at, struct.calcsize(number_format), size)
    return struct.unpack(number_format, data)


def _read(file: BinaryIO, at: int, length: int, size: int) -> bytes:
    if at + length > size:
        raise ValueError(f'damaged (it ends at byte {size:,}, and refers to byte '
                         f'{at + length:,}); get it again')
    return _read_at(file, at, length)


def _read_at(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _page(tags: Tags, order: str) -> Page:
    """The page of these tags."""
    def number(tag: int, default: int | None = None) -> int:
        if found := tags.get(tag):
            return found[0]
        if default is None:
            raise ValueError(f'damaged (tag {tag} is missing); get it again')
        return default

    height, width, samples = number(HEIGHT), number(WIDTH), number(SAMPLES, 1)
    if not (height and width and samples):
        raise ValueError(f'damaged ({height}×{width} pixels of {samples} channels); get it again')
    photometric = number(PHOTOMETRIC, 1)
    n_extra = samples - COLOUR_SAMPLES.get(photometric, samples)
    has_alpha = n_extra > 0 and tags.get(EXTRA_SAMPLES, (0,))[-1] in (1, 2)
    bits, dtype = _sample_type(tags, order)
    is_tiled = TILE_OFFSETS in tags
    return Page(
        height, width, samples, bits, dtype, has_alpha, photometric, number(COMPRESSION, 1),
        number(PREDICTOR, 1), number(PLANAR, 1) == 2, number(FILL_ORDER, 1) == 2, is_tiled,
        number(TILE_HEIGHT) if is_tiled else min(number(STRIP_ROWS, height), height),
        number(TILE_WIDTH) if is_tiled else width,
        tags.get(TILE_OFFSETS if is_tiled else STRIP_OFFSETS, ()),
        tags.get(TILE_BYTES if is_tiled else STRIP_BYTES, ()), number(ORIENTATION, 1))


def _sample_type(tags: Tags, order: str) -> tuple[int, np.dtype[Any]]:
    """The bits of all samples, and their type; uint8 stands for fewer than 8 bits."""
    depths = sorted({*tags.get(BITS, (1,))})
    kinds = {KINDS.get(number, '?') for number in tags.get(SAMPLE_FORMAT, (1,))}
    if len(depths) > 1:
        raise ValueError(f'channels of {" and ".join(map(str, depths))} bits; save all of them '
                         f'alike')
    if len(kinds) > 1:
        raise ValueError('channels of integers and of floats; save all of them alike')
    bits, = depths
    kind, = kinds
    if kind == 'u' and bits < 8:
        return bits, np.dtype('uint8')
    if bits not in DEPTHS.get(kind, ()):
        what = dict(u='integers', i='integers', f='floats').get(kind, 'numbers of unknown kind')
        raise ValueError(f'{what} of {bits} bits; save them as integers of 8 or 16 bits, or floats '
                         f'of 32')
    return bits, np.dtype(f'{order}{kind}{bits // 8}')


def _check_chunks(page: Page, size: int) -> None:
    """Raise unless there are as many strips or tiles as the image has, all of them in the file."""
    if not (page.chunk_height and page.chunk_width):
        raise ValueError('damaged (strips or tiles without a size); get it again')
    expected = len(_chunks_of_plane(page)) * (page.samples if page.is_planar else 1)
    if not len(page.offsets) == len(page.counts) == expected:
        raise ValueError(f'damaged (it has {len(page.offsets):,} strips or tiles, and '
                         f'{expected:,} are needed); get it again')
    end = max(at + count for at, count in zip(page.offsets, page.counts))
    if end > size:
        raise ValueError(f'truncated (its pixels end at byte {end:,}, and the file at byte '
                         f'{size:,}); get it again')


def _chunks_of_plane(page: Page) -> range:
    """The numbers of the strips or tiles of the first plane."""
    across = -(-page.width // page.chunk_width)
    down = -(-page.height // page.chunk_height)
    return range(across * down)


# ---- pixels --------------------------------------------------------------------------------------

def read_page(file: BinaryIO, page: Page) -> Array:
    """The pixels of a page, upright. -> (H, W, samples), in the byte order of this machine"""
    if page.is_reversed:
        raise ValueError('its bits are stored in reverse order; save it as an uncompressed TIFF')
    if page.compression not in COMPRESSIONS:
        raise ValueError(f'compression {page.compression}, which is not read for such pixels; '
                         f'save it with one of {", ".join(dict.fromkeys(COMPRESSIONS.values()))}')
    _check_chunks(page, file.seek(0, 2))
    chunks = [_read_at(file, *place) for place in zip(page.offsets, page.counts)]
    if page.is_planar:
        n = len(_chunks_of_plane(page))
        planes = [_decode(page, chunks[i * n:(i + 1) * n], 1) for i in range(page.samples)]
        pixels = np.concatenate(planes, axis=2)
    else:
        pixels = _decode(page, chunks, page.samples)
    if page.photometric == GREYS[0] and pixels.dtype.kind == 'u':
        pixels = ~pixels                                # white is 0
    return turn_upright(pixels, page.orientation)


def turn_upright(pixels: Array, orientation: int) -> Array:
    """Turn and mirror an image (H, W, C) as its orientation 1 … 8, of TIFF and EXIF, says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _decode(page: Page, chunks: Sequence[bytes], samples: int) -> Array:
    """One plane, or all samples of each pixel. -> (H, W, samples)

    Tiles all have the same size, those at the border too. So they are decoded as the strips of an
    image that has one tile below the other.
    """
    shape = page.chunk_height, page.chunk_width
    row_bytes = page.chunk_width * samples * page.dtype.itemsize
    rows = len(chunks) * page.chunk_height if page.is_tiled else page.height
    data = _decompress(page.compression, chunks, row_bytes, page.chunk_height, rows)
    values = _undo_predictor(data.reshape(rows, row_bytes), page, samples)
    if page.is_tiled:
        across = -(-page.width // page.chunk_width)
        tiles = values.reshape(-1, across, *shape, samples).swapaxes(1, 2)
        values = tiles.reshape(-1, across * page.chunk_width, samples)
    return values[:page.height, :page.width]


def _undo_predictor(data: NDArray[np.uint8], page: Page, samples: int) -> Array:
    """Bytes (rows, row_bytes) -> samples (rows, columns, samples)

    Predictor 2 stores the difference from the pixel to the left; 3, of floats, first stores the
    upper bytes of a row, then the next ones, and so on, and of all of them the differences.
    """
    rows = len(data)
    native = page.dtype.newbyteorder('=')
    size = page.dtype.itemsize
    if page.predictor == 3 and page.dtype.kind == 'f':
        sums = data.reshape(rows, -1, samples).cumsum(1, dtype='uint8')
        by_byte = sums.reshape(rows, size, -1).swapaxes(1, 2)
        floats = np.ascontiguousarray(by_byte).view(f'>f{size}').astype(native)
        return floats.reshape(rows, -1, samples)
    values = data.view(page.dtype).astype(native, copy=False).reshape(rows, -1, samples)
    if page.predictor == 2:
        unsigned: DTypeLike = f'u{size}'
        return values.view(unsigned).cumsum(1, dtype=unsigned).view(native)
    if page.predictor != 1:
        raise ValueError(f'predictor {page.predictor}, which is not read for such pixels; save it '
                         f'uncompressed')
    return values


def _decompress(compression: int, chunks: Sequence[bytes], row_bytes: int, chunk_rows: int,
                rows: int) -> NDArray[np.uint8]:
    """The bytes of all strips, which have chunk_rows rows each; the last may have fewer."""
    if compression == 1:
        parts = []
        for i, chunk in enumerate(chunks):
            needed = row_bytes * min(chunk_rows, rows - i * chunk_rows)
            if len(chunk) < needed:
                raise ValueError(f'damaged (a strip or tile of {len(chunk):,} bytes, which needs '
                                 f'{needed:,}); get it again')
            parts.append(chunk[:needed])
        return np.frombuffer(b''.join(parts), 'uint8')
    step = max(1, AT_ONCE // (row_bytes * chunk_rows))
    decoded = []
    for first in range(0, len(chunks), step):
        rows_here = min(step * chunk_rows, rows - first * chunk_rows)
        part = chunks[first:first + step]
        decoded.append(_decompress_as_grey(compression, part, row_bytes, chunk_rows, rows_here))
    return np.concatenate(decoded).reshape(-1)


def _decompress_as_grey(compression: int, chunks: Sequence[bytes], row_bytes: int,
                        chunk_rows: int, rows: int) -> NDArray[np.uint8]:
    """The bytes of strips, read by Pillow as the pixels of a grey TIFF. -> (rows, row_bytes)"""
    from PIL import Image
    counts = [len(chunk) for chunk in chunks]
    offsets = (8 + np.cumsum([0, *counts[:-1]])).tolist()
    lists = {STRIP_OFFSETS: offsets, STRIP_BYTES: counts}
    at = 8 + sum(counts)                                # where the lists are, then the tags
    values = {WIDTH: row_bytes, HEIGHT: rows, BITS: 8, COMPRESSION: compression, PHOTOMETRIC: 1,
              SAMPLES: 1, STRIP_ROWS: chunk_rows}
    body = b''
    for tag, numbers in lists.items():
        values[tag] = numbers[0] if len(numbers) == 1 else at + len(body)
        body += struct.pack(f'<{len(numbers)}I', *numbers) if len(numbers) > 1 else b''
    entries = b''.join(struct.pack('<HHII', tag, 4, len(lists.get(tag, '.')), value)
                       for tag, value in sorted(values.items()))
    directory = struct.pack('<H', len(values)) + entries + bytes(4)
    head = b'II*\0' + struct.pack('<I', at + len(body))
    with Image.open(BytesIO(b''.join([head, *chunks, body, directory])), formats=['TIFF']) as image:
        return np.asarray(image)
