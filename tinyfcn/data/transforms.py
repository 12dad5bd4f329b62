"""A picture on its way from the file to what a net reads."""
from contextlib import contextmanager

import numpy as np

LARGEST = 50_000_000    # pixels: a file of 23 kB can claim 100 million


def read_image(path):
    """A picture as a person sees it, turned upright. -> (H, W, 3) uint8, red green blue

    Grey, palette and CMYK become RGB and transparency is dropped; 16 bits or floats are refused,
    for nobody said what their white is.
    """
    from PIL import ImageOps
    with _opened(path) as image:
        if image.mode.startswith(('I', 'F')):
            raise ValueError(f'{path}: {image.mode} pixels have more than 8 bits; scale them to '
                             f'0 … 255 and save them as RGB first')
        return np.array(ImageOps.exif_transpose(image).convert('RGB'))


def read_label(path):
    """The numbers of a mask's pixels, not its colours. -> (H, W) uint8

    A palette PNG or a grey one; a JPEG has other numbers than were saved, and is refused.
    """
    with _opened(path) as image:
        if image.format == 'JPEG':
            raise ValueError(f'{path}: a JPEG blurs the numbers of a mask; save it as PNG')
        if image.mode not in ('P', 'L'):
            raise ValueError(f'{path}: {image.mode} pixels are colours; a mask holds the number of '
                             f'a class in each pixel, as a palette or grey PNG')
        image.verify()                                  # a flipped bit would change a class
    with _opened(path) as image:
        return np.array(image)


@contextmanager
def _opened(path):
    """A picture of a size that can be read; what is wrong with it names the file."""
    from PIL import Image, UnidentifiedImageError
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST:
                raise ValueError(f'{path}: {image.width}×{image.height} pixels are more than '
                                 f'{LARGEST:,}; make it smaller first')
            yield image
    except UnidentifiedImageError:
        raise ValueError(f'{path}: no picture, {_looks_like(path)}') from None
    except Image.DecompressionBombError as error:
        raise ValueError(f'{path}: {error}') from None
    except (OSError, SyntaxError) as error:             # Pillow's words do not name the file
        if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
            raise
        raise ValueError(f'{path}: damaged ({error}), of {_bytes(path):,} bytes; get it '
                         f'again') from None


def prepare(image, preprocess, dtype='float32'):
    """(scale · image − mean) / std in the channel order that the weights were trained on.

    (H, W, 3) uint8 RGB -> (1, 3, H, W); preprocess is dict(order, scale, mean, std)
    """
    x = image.astype(dtype)
    if preprocess['order'] == 'BGR':                    # the mean is in that order too
        x = x[:, :, ::-1]
    mean, std = (np.asarray(preprocess[key], dtype) for key in ('mean', 'std'))
    x = (x * float(preprocess['scale']) - mean) / std
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


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
