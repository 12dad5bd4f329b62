"""A picture with its classes over it."""
import numpy as np

from .colours import VOID, colours, matched, palette, present
from .legend import legend

SMALL, PARTS = 480, 80          # what is smaller is enlarged; letters are this part of the side


def overlay(image, label, classes):
    """The picture half in the colours of its classes, outlined, over a legend with their shares.

    image (H, W, 3) uint8, label (H, W), the names of the classes -> a picture of Pillow's
    Void keeps the colours of the image. A small image is enlarged, by a whole number.
    """
    from PIL import Image
    image, label = matched(image, label, len(classes))
    tinted = image // 2 + colours(label) // 2
    shown = np.where((label == VOID)[..., None], image, tinted)
    zoom = max(1, SMALL // max(label.shape))
    shown, label = (a.repeat(zoom, 0).repeat(zoom, 1) for a in (shown, label))
    size = max(13, max(label.shape) // PARTS)
    shown[_outlines(label, 1 + size // 25)] = 255
    key = legend([(palette()[i], f'{name}  {_percent(share)}')
                  for i, name, share in sorted(present(label, classes), key=lambda it: -it[2])],
                 max(label.shape[1], 36 * size) - 2 * size, size)
    page = Image.new('RGB', (max(label.shape[1], key.width + 2 * size),
                             label.shape[0] + key.height + size), 'white')
    page.paste(Image.fromarray(shown), (0, 0))
    page.paste(key, (size, label.shape[0] + size // 2))
    return page


def _outlines(label, thick):
    """The pixels to the right of which, or below, another class begins within `thick` pixels."""
    edge = np.zeros(label.shape, bool)
    for step in range(1, thick + 1):
        edge[:, :-step] |= label[:, step:] != label[:, :-step]
        edge[:-step] |= label[step:] != label[:-step]
    return edge


def _percent(share):
    return f'{100 * share:.1f} %' if share >= .0005 else '< 0.1 %'
