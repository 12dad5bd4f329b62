"""A colour for every class, and labels in the colours of their classes."""
from collections.abc import Iterator, Mapping, Sequence
from colorsys import hsv_to_rgb
from itertools import count
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..files import printable
from .images import as_colours

VOID = 255
# these three differ in brightness, too, for a print without colours
ERRORS = {'right': (222, 222, 222), 'wrong': (200, 30, 45), 'void, not evaluated': (255, 255, 255)}

Colour: TypeAlias = tuple[int, int, int]

VOC_CLASSES = tuple('''background aeroplane bicycle bird boat bottle bus car cat chair cow
diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor'''.split())
BACKGROUND_NAMES = {'background', '_background_', 'bg', 'none', 'void', 'unlabeled', 'unlabelled'}
BACKGROUND = 236, 238, 241
# The first seven are Okabe & Ito's. The others were chosen one by one, each as far as possible from
# all before it, from white and from the ink of text; also as a colour-blind reader sees them
LIGHT_COLOURS = '''56b4e9 e69f00 009e73 f0e442 d55e00 0072b2 cc79a7 8877ff aa2233 00cc77 aa1177
00ddee eeaabb aadd77 0055cc aa5522 7799ff cc8844 ee77cc bb66dd dd6677 aa5577 ddee99
8877aa'''.split()
GOLDEN_RATIO = .618034


def class_colours(classes: Sequence[str],
                  own: Mapping[str, Sequence[int]] | None = None) -> NDArray[np.uint8]:
    """The colour of each class and, in row 255, of void.   -> (256, 3) uint8

    own: {class: (red, green, blue)}, as in `Dataset.colours`
    The 21 classes of VOC have VOC's colours. All other classes have light colours, which can be
    told apart on a photo and by colour-blind readers; a background is nearly white.

    >>> class_colours(['background', 'sky', 'road'], {'road': (128, 64, 128)})[:3].tolist()
    [[236, 238, 241], [86, 180, 233], [128, 64, 128]]
    """
    table = palette()
    own_colours = _check_own(own or {})
    light = _light_colours()
    for i, name in enumerate(classes):
        if name in own_colours:
            table[i] = own_colours[name]
        elif tuple(classes) != VOC_CLASSES:
            unused = (colour for colour in light if colour not in own_colours.values())
            table[i] = BACKGROUND if is_background(name) else next(unused)
    return table


def is_background(name: str) -> bool:
    """Whether a class is the background by its name; the first class need not be.

    >>> is_background('Background'), is_background('sky')
    (True, False)
    """
    return name.strip().lower() in BACKGROUND_NAMES


def _light_colours() -> Iterator[Colour]:
    """LIGHT_COLOURS; then hues that the golden ratio spreads around the circle."""
    colours: list[Colour] = []
    for code in LIGHT_COLOURS:
        red, green, blue = bytes.fromhex(code)
        colours.append((red, green, blue))
    yield from colours
    for i in count():
        saturation, value = [(.5, .95), (.8, .8), (.35, .75)][i % 3]
        rgb = hsv_to_rgb(i * GOLDEN_RATIO % 1, saturation, value)
        red, green, blue = (round(255 * part) for part in rgb)
        if (red, green, blue) not in colours:
            colours.append((red, green, blue))
            yield red, green, blue


def _check_own(own: Mapping[str, Sequence[int]]) -> dict[str, Colour]:
    """Colours as tuples; a file of weights may say anything about them."""
    if not isinstance(own, Mapping):
        raise ValueError(f'the colours of the classes are {printable(own)}; {{class: (red, green, '
                         f'blue)}} is needed')
    checked = {}
    for name, colour in own.items():
        match colour:
            case [int(red), int(green), int(blue)] if 0 <= min(colour) and max(colour) <= 255:
                checked[name] = red, green, blue
            case _:
                raise ValueError(f'the colour of class {printable(name)} is {printable(colour)}; '
                                 f'it has three numbers 0 … 255: red, green, blue')
    return checked


def palette(n: int = 256) -> NDArray[np.uint8]:
    """VOC's colours: bits 0, 1, 2 of a class are the highest of red, green, blue; then 3, 4, 5 …

    -> (n, 3) uint8

    >>> palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    number = np.arange(n)[:, None]
    colour = np.zeros((n, 3), 'int64')
    for digit in range(8):
        colour |= (number >> (3 * digit + np.arange(3)) & 1) << (7 - digit)
    return colour.astype('uint8')


def colours(label: NDArray[Any], n_class: int | None = None) -> NDArray[np.uint8]:
    """Each pixel in VOC's colour of its class.   label (…) integers -> (…, 3) uint8

    Classes are 0 … n_class−1, or any number below 255, which is void and cream.

    >>> colours(np.array([[0, 1]])).tolist()
    [[[0, 0, 0], [128, 0, 0]]]
    """
    return palette()[check_label(label, n_class)]


def error_map(truth: NDArray[Any], pred: NDArray[Any]) -> NDArray[np.uint8]:
    """Pale grey where pred is right, red where it is wrong, white at void.   (H, W) -> (H, W, 3)

    >>> error_map(np.array([[1, 2, 255]]), np.array([[1, 1, 1]])).tolist()
    [[[222, 222, 222], [200, 30, 45], [255, 255, 255]]]
    """
    row = np.where(truth == VOID, 2, pred != truth)
    return np.array([*ERRORS.values()], 'uint8')[row]


def class_shares(label: NDArray[Any], classes: Sequence[str]) -> list[tuple[int, str, float]]:
    """The classes that a label has, in order -> [(class, name, its share of all but void)].

    >>> class_shares(np.array([[0, 0, 2, 255]]), ['sky', 'tree', 'road'])[0][:2]
    (0, 'sky')
    """
    label = check_label(label, len(classes))
    count = np.bincount(label[label != VOID], minlength=len(classes))
    return [(i, classes[i], count[i] / count.sum()) for i in np.flatnonzero(count).tolist()]


def share_text(share: float) -> str:
    """In per cent: '12.3 %', and '< 0.1 %' for what is there and would be rounded to nothing.

    >>> share_text(.1234), share_text(.0001)
    ('12.3 %', '< 0.1 %')
    """
    return f'{100 * share:.1f} %' if share >= .0005 else '< 0.1 %'


def check_label(label: NDArray[Any], n_class: int | None = None) -> NDArray[np.uint8]:
    """-> label as uint8, if each value is a class or void"""
    label = np.asarray(label)
    if label.dtype.kind not in 'iu':
        raise ValueError(f'label is {label.dtype}; an array of integers is needed')
    classes = VOID if n_class is None else n_class
    invalid = (label < 0) | (label >= classes) & (label != VOID)
    if invalid.any():
        first = tuple(np.argwhere(invalid)[0].tolist())
        raise ValueError(f'label {label[first]} at {first}, and {invalid.sum():,} such pixels in '
                         f'all; there are classes 0 … {classes - 1}, and {VOID} is void')
    return label.astype('uint8')


def check_pair(image: NDArray[Any], label: NDArray[Any],
               n_class: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """-> the image as colours, its label, if both have one size and the label is valid"""
    image = as_colours(np.asarray(image))
    label = np.asarray(label)
    if image.shape != (*label.shape, 3) or not label.size or image.dtype != 'uint8':
        raise ValueError(f'the image has shape {image.shape} and is {image.dtype}, its label has '
                         f'shape {label.shape}; (H, W, 3) of uint8 and (H, W) are needed')
    return image, check_label(label, n_class)
