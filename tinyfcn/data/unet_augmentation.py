"""What U-Net does with few pictures of many cells that touch (Ronneberger, Fischer & Brox 2015).

Each picture is bent anew whenever it comes, as tissue bends; and the gaps between two cells, a few
pixels of background that the loss would hardly notice, weigh more.
"""
import numpy as np

from .labels import VOID, each_label

GRID = 3, 3         # nodes of the field that bends a picture
FAR = 6             # times σ; so far off a cell adds 2e-8 of w0, which float32 loses beside w_c


def deform(image, label, sigma, rng):
    """y(p) = x(p + u(p)): u is drawn at 3×3 nodes, N(0, σ²) pixels each way, bicubic in between.

    Image bilinear, label nearest, so no class is invented; beyond the edge lies the mirror image.
    """
    from PIL import Image
    from scipy.ndimage import map_coordinates
    h, w = image.shape[:2]
    nodes = rng.normal(0, sigma, (2, *GRID)).astype('float32')
    at = np.indices((h, w)) + np.array([
        Image.fromarray(axis).resize((w, h), Image.Resampling.BICUBIC) for axis in nodes])

    def seen(array, order):
        return map_coordinates(array, at, order=order, mode='reflect')

    return (np.stack([seen(channel, 1) for channel in image.transpose(2, 0, 1)], axis=2),
            each_label(lambda part: seen(part, 0), label))


def gap_weights(label, w0, sigma, class_weight=None):
    """w = w_c + w0·exp(−(d1 + d2)² / 2σ²), for the background between two cells; else w = w_c.

    label (N, H, W), class_weight (C,), or 1 for each -> (N, H, W) float32
    A cell is a connected region of anything but class 0, the background; void is neither.
    d1 and d2 are the distances to the nearest cell and to the next; where is no next, w = w_c.
    """
    of_class = np.ones(VOID) if class_weight is None else np.asarray(class_weight)
    weight = of_class[np.where(label == VOID, 0, label)]
    for own, whole in zip(weight, label):
        nearest, next_one = distances(whole, FAR * sigma)
        own += (whole == 0) * w0 * np.exp(-(nearest + next_one) ** 2 / (2 * sigma ** 2))
    return weight.astype('float32')


def distances(label, far):
    """To the nearest cell and to the next, of each pixel; inf where a cell is farther than `far`.

    (H, W) -> two (H, W)
    """
    from scipy.ndimage import distance_transform_edt, find_objects, label as regions
    cells, _ = regions((label != 0) & (label != VOID))
    nearest, next_one = np.full((2, *label.shape), np.inf)
    for number, box in enumerate(find_objects(cells), start=1):
        around = tuple(slice(max(0, side.start - int(far)), side.stop + int(far)) for side in box)
        d, first = distance_transform_edt(cells[around] != number), nearest[around]
        next_one[around] = np.minimum(next_one[around], np.maximum(first, d))
        nearest[around] = np.minimum(first, d)
    return nearest, next_one
