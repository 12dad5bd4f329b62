"""Nets in pictures: a mask as training goes on, the outputs of all boxes, skips on and off."""
from copy import deepcopy

import numpy as np

from ... import metrics
from ...viz import as_colours, colours
from ...viz.data_uri import image_uri
from ..player import Player

VOID = 255
MAX_CHANNELS = 4            # of a box, the strongest ones
GREYS = 16                  # of a picture of channels, to keep it small
GAP = .08                   # between channels, of the width of one
MASK_WIDTH = 210            # of a picture on the page
CHANNEL_WIDTH = 150


def training(image, label, masks):
    """How the mask of an image changes as a net learns.

    image (H, W, 3), label (H, W), masks {step: (H, W)} in the order of the steps
    -> Player with the pictures image, label, mask; a frame for each step
    """
    label = np.asarray(label)
    n_class = _class_count([label, *masks.values()])
    images = [image_uri(as_colours(np.asarray(image)), is_photo=True), image_uri(colours(label))]
    frames = []
    for step, mask in masks.items():
        frames.append(dict(caption=f'after {step} steps: {_quality(label, mask, n_class)}',
                           show=dict(image=0, label=1, mask=len(images))))
        images.append(image_uri(colours(np.asarray(mask))))
    panels = [dict(name=name, title=name, width=MASK_WIDTH) for name in ('image', 'label', 'mask')]
    return Player(dict(kind='images', title='The mask while the net learns', images=images,
                       panels=panels, frames=frames))


def walk(net, x):
    """The forward pass, box by box: what each box reads and what it writes.

    x (1, C, H, W), prepared as for net.forward -> Player with the pictures reads, writes; of each
    box its strongest channels
    """
    images = [image_uri(_strongest(x[0]))]
    widths = [CHANNEL_WIDTH * min(MAX_CHANNELS, x.shape[1])]
    numbers = {'data': 0}
    titles = {'data': _shape_text('data', x)}
    frames = []
    for box, y in net.walk(x):
        if y.ndim != 4:
            continue
        numbers[box.name] = len(images)
        titles[box.name] = _shape_text(box.name, y)
        images.append(image_uri(_strongest(y[0])))
        widths.append(CHANNEL_WIDTH * min(MAX_CHANNELS, y.shape[1]))
        read = next((name for name in box.inputs if name in numbers), box.name)
        frames.append(dict(caption=f'{box.line}:  {_shape_text("", y[:1])}',
                           show=dict(reads=numbers[read], writes=numbers[box.name]),
                           titles=dict(reads=f'reads {titles[read]}',
                                       writes=f'writes {titles[box.name]}')))
    panels = [dict(name=name, title=name) for name in ('reads', 'writes')]
    return Player(dict(kind='images', title='The forward pass, box by box: the strongest channels',
                       images=images, widths=widths, panels=panels, frames=frames))


def skips(net, x, label, names):
    """The mask without its skips, and with one after the other.

    x (1, C, H, W), prepared; label (H, W); names of the score layers of the skips, coarsest first:
    a skip is off while the weights of its layer are zero
    -> Player with the pictures label, mask
    """
    label = np.asarray(label)
    masks = []
    for count in range(len(names) + 1):
        without = deepcopy(net)
        for name in names[count:]:
            for key, w in without.params.items():
                if key.startswith(f'{name}.'):
                    w[...] = 0
        masks.append(without.forward(x)[0].argmax(0))
    n_class = _class_count([label, *masks])
    images = [image_uri(colours(each)) for each in (label, *masks)]
    frames = []
    for count, mask in enumerate(masks):
        on = ' and '.join(names[:count])
        text = f'with {on}' if on else 'without its skips'
        frames.append(dict(caption=f'{text}: {_quality(label, mask, n_class)}',
                           show=dict(label=0, mask=1 + count)))
    panels = [dict(name=name, title=name, width=MASK_WIDTH) for name in ('label', 'mask')]
    return Player(dict(kind='images', title='Skips, off and on', images=images, panels=panels,
                       frames=frames))


def _quality(label, mask, n_class):
    """How right a mask is, as text."""
    scores = metrics.scores(metrics.confusion(label, np.asarray(mask), n_class))
    return f'{scores["pixel_acc"]:.1%} of the pixels are right, mean IU {scores["mean_iu"]:.2f}'


def _class_count(labels):
    """How many classes these labels may have."""
    return 1 + max(int(label[label != VOID].max(initial=0)) for label in map(np.asarray, labels))


def _strongest(y):
    """Some channels of (C, h, w) side by side, dark where they are zero.   -> (h, W, 3) uint8"""
    order = np.argsort(-abs(y).mean((1, 2)), kind='stable')[:MAX_CHANNELS]
    h, w = y.shape[1:]
    step = w + max(1, round(GAP * w))
    picture = np.full((h, (len(order) - 1) * step + w), 255, 'uint8')
    for k, c in enumerate(order):
        size = abs(y[c])
        grey = (size / max(float(size.max()), 1e-12) * (GREYS - 1)).round() / (GREYS - 1)
        picture[:, k * step:k * step + w] = (255 * grey).astype('uint8')
    return np.repeat(picture[..., None], 3, 2)


def _shape_text(name, y):
    """conv1, 12 channels of 40×48"""
    _, channels, h, w = y.shape
    text = f'{channels} channels of {h}×{w}' if channels > 1 else f'1 channel of {h}×{w}'
    return f'{name}, {text}' if name else text
