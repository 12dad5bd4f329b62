"""A colour for every class, and files whose pixels are classes."""
from pathlib import Path

import numpy as np

from ..files import replacing

VOID = 255
ERRORS = {'right': (222, 222, 222), 'wrong': (200, 30, 45),     # far apart without colours too
          'void, which does not count': (255, 255, 255)}


def palette(n=256):
    """VOC's colours: bits 0, 1, 2 of a class are the highest of red, green, blue; then 3, 4, 5 …

    -> (n, 3) uint8
    """
    number, colour = np.arange(n)[:, None], np.zeros((n, 3), 'int64')
    for digit in range(8):
        colour |= (number >> (3 * digit + np.arange(3)) & 1) << (7 - digit)
    return colour.astype('uint8')


def colours(label, n_class=None):
    """Each pixel in the colour of its class.   label (…) integers -> (…, 3) uint8

    Classes are 0 … n_class−1, or any below 255, which is void and cream.
    """
    return palette()[checked(label, n_class)]


def errors(truth, pred):
    """Where pred is right: pale grey; wrong: red; void: white.   (H, W), (H, W) -> (H, W, 3)"""
    kind = np.where(truth == VOID, 2, pred != truth)
    return np.array([*ERRORS.values()], 'uint8')[kind]


def present(label, classes):
    """The classes that a label has, in order -> [(class, name, its share of all but void)]."""
    label = checked(label, len(classes))
    count = np.bincount(label[label != VOID], minlength=len(classes))
    return [(i, classes[i], count[i] / count.sum()) for i in np.flatnonzero(count).tolist()]


def write_label(path, label):
    """A .png of mode P whose pixels are the classes and whose colours are VOC's.   label (H, W)"""
    from PIL import Image
    label = checked(label)
    if label.ndim != 2 or not label.size:
        raise ValueError(f'{path}: the label has shape {label.shape}; one class for each pixel of '
                         f'a picture is needed, (H, W)')
    image = Image.fromarray(label)
    image.putpalette(palette().tobytes())
    write_picture(path, image)


def write_picture(path, image):
    """A picture of Pillow's as a .png, which keeps every colour. The file appears whole."""
    if Path(path).suffix.lower() != '.png':
        raise ValueError(f'{path}: a picture whose colours are classes is kept exactly by .png '
                         f'alone; give the file that ending')
    with replacing(path) as file:
        image.save(file, 'PNG')


def checked(label, n_class=None):
    """-> label as uint8, of which each value is a class or void"""
    label = np.asarray(label)
    if label.dtype.kind not in 'iu':
        raise ValueError(f'label is {label.dtype}; an array of whole numbers is needed')
    strange = (label < 0) | (label >= (VOID if n_class is None else n_class)) & (label != VOID)
    if strange.any():
        first = tuple(np.argwhere(strange)[0].tolist())
        raise ValueError(f'label {label[first]} at {first}, and {strange.sum():,} such pixels in '
                         f'all; there are classes 0 … {(n_class or VOID) - 1}, and {VOID} is void')
    return label.astype('uint8')


def matched(image, label, n_class):
    """-> both as arrays, of one size; the image uint8, the label checked"""
    image, label = np.asarray(image), np.asarray(label)
    if image.shape != (*label.shape, 3) or not label.size or image.dtype != 'uint8':
        raise ValueError(f'the image has shape {image.shape} and is {image.dtype}, its label has '
                         f'shape {label.shape}; (H, W, 3) of uint8 and (H, W) are needed')
    return image, checked(label, n_class)
