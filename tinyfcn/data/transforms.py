"""A picture on its way from the file to what a net reads."""

import numpy as np

from .labels import VOID, each_label

# ---- to other places and sizes: the label goes with its image ------------------------------------

def mirror(image, label):
    """Left becomes right."""
    return image[:, ::-1], each_label(lambda part: part[:, ::-1], label)


def crop(image, label, size, rng):
    """A window of (height, width) at a random place; no larger than the picture itself is."""
    top, left = (int(rng.integers(max(0, n - most) + 1)) for n, most in zip(image.shape, size))
    window = slice(top, top + size[0]), slice(left, left + size[1])
    return image[window], each_label(lambda part: part[window], label)


def rescale(image, label, factor):
    """`factor` times as high and wide: image bilinear, label nearest, so no class is invented.

    Of a smaller image each pixel averages those that it stands for. (H, W, C) stays its dtype
    """
    from PIL import Image
    h, w = (max(1, round(n * factor)) for n in image.shape[:2])
    channels = [Image.fromarray(np.ascontiguousarray(channel)).resize(
        (w, h), Image.Resampling.BILINEAR) for channel in image.transpose(2, 0, 1)]
    rows, columns = (((np.arange(new) + .5) * old / new).astype(int)
                     for new, old in zip((h, w), image.shape))
    return (np.stack(channels, axis=2),
            each_label(lambda part: part[rows[:, None], columns], label))


def under(label, place, size):
    """The label at the pixel that each unit of a box sits over; void where that is outside.

    (N, H, W), a Place, (rows, columns) -> (N, rows, columns); half-way is the pixel before.
    """
    if label.shape[1:] == tuple(size) and (not place or place.shift == (0, 0)):
        return label
    if not place:
        raise ValueError('scores of {}×{} and a label of {}×{}: {}'.format(
            *size, *label.shape[1:], place))
    for axis, (count, scale, shift) in enumerate(zip(size, place.scale, place.shift), start=1):
        at = np.ceil(float(scale) * np.arange(count) + float(shift) - .5).astype(int)
        outside = (at < 0) | (at >= label.shape[axis])
        label = np.where(np.expand_dims(outside, [0, 3 - axis]), VOID,
                         label.take(np.where(outside, 0, at), axis))
    return label


def prepare(image, preprocess, dtype='float32'):
    """(scale · image − mean) / std in the channel order that the weights were trained on.

    (H, W, C) red green blue … -> (1, C, H, W); preprocess is dict(order, scale, mean, std).
    'BGR' turns round the first three; mean and std are in that order too, one for each channel.
    """
    x = image.transpose(2, 0, 1).astype(dtype, order='C')       # plane by plane is quicker
    if preprocess['order'] == 'BGR':
        x[:3] = x[2::-1]
    mean, std = (np.asarray(preprocess[key], dtype)[..., None, None] for key in ('mean', 'std'))
    if {mean.shape, std.shape} != {(len(x), 1, 1)}:
        raise ValueError(f'the image has {len(x)} channels, and preprocess a mean of '
                         f'{mean.size} and a std of {std.size}; give one for each channel')
    return ((x * float(preprocess['scale']) - mean) / std)[None]
