"""The first layer of a net shows on which images it was trained, where the names do not.

Weights of Caffe's VGG-16 are often found under the names of torchvision's: Caffe's expect images of
0 … 255 minus the mean, torchvision's normalised ones. The size of the first layer does not tell
them apart. Its filters have a median norm of 1.3 in Caffe's SqueezeNet and 2.3 in its GoogLeNet,
which see 0 … 255, and of 2.0 in torchvision's AlexNet, which sees normalised images: all began with
small random weights, and training moved them by about as much. But there is only one VGG-16 of
Caffe, whose first filters are known, and fine-tuning hardly changes them. The order of their
channels tells BGR from RGB.
"""
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError
from .arrays import Arrays
from .layouts import VGG_MEAN, Layout, Preprocess, bgr

# Some weights of the first layer of Caffe's VGG-16, as Keras and others print them: the blue
# of the first filter, and the top left weights, (blue, green, red), of filters by their number
BLUE = np.array([[.42947057, .373467, -.061360113], [.27476987, .038680777, -.36722335],
                 [-.05746817, -.26224968, -.35009676]])
TOP_LEFT = {
    0: (.42947057, .55037946, .4800154), 1: (.11727387, .02087744, -.17269668),
    2: (.03401296, .09883115, .03755771), 61: (-.13224158, -.08482055, -.12713556),
    62: (-.05334752, -.05113892, -.05029916), 63: (.00757738, .03749434, .03489657),
}
# the same in the order of `_known_positions`; BLUE[0, 0] is in TOP_LEFT, too
CAFFES_WEIGHTS = np.concatenate([BLUE.ravel()[1:], *TOP_LEFT.values()])
SHAPE = (64, 3, 3, 3)
SAME = .9               # cosine from which weights are Caffe's, perhaps fine-tuned
OTHER = .8              # and up to which they are another net's
LARGEST_FACTOR = 2.     # by which fine-tuning changes the size of weights
# ten times beyond the norms of all first layers that were measured
NORMS = .1, 25.
# formats in which Caffe's names mean Caffe's images; '' if the format is not known. A .mat of
# MatConvNet is none of them: its images are RGB, and only the file itself can give their mean
CAFFE_FORMATS = 'caffe', ''
# formats in which a VGG-16 for 0 … 255 that is not Caffe's may have been trained on any images
CONVERTED = 'keras', 'npz'
# as torchvision gives it for the weights of Caffe that it publishes, IMAGENET1K_FEATURES
RGB_255: Preprocess = dict(order='RGB', scale=1., mean=(123., 117., 104.), std=(1., 1., 1.))
ADVICE = ('`read_raw` in tinyfcn.weights reads it under its own names; you then say yourself how '
          'its images are prepared')


class Likeness(NamedTuple):
    """How similar a first layer is to that of Caffe's VGG-16."""
    cosine: float
    factor: float       # by which its weights are larger
    order: str          # of its channels: 'BGR', 'RGB', or '' if that is not clear

    @property
    def is_caffes(self) -> bool:
        """Whether it is Caffe's layer, as published or fine-tuned."""
        return (self.cosine >= SAME and self.order != ''
                and 1 / LARGEST_FACTOR <= self.factor <= LARGEST_FACTOR)


def check_first_layer(layout: Layout, arrays: Arrays, preprocess: Preprocess | None,
                      file_format: str = '') -> tuple[str, Preprocess | None]:
    """-> the source, and how its images are prepared: as the layout says, or as the weights show.

    Raises if the weights contradict the layout. Caffe's names in a file of another format do not
    show that it was trained on Caffe's images, nor do Keras's with another first layer: preprocess
    is then None.
    """
    box = next(iter(layout.required.values()))
    w = arrays.get(f'{box}.w')
    if w is None or w.ndim != 4 or not np.isfinite(w).all():    # `read` refuses such weights
        return layout.name, preprocess
    variance = arrays.get(f'bn{box[4:]}.var')
    # batch norm cancels the size of the weights before it
    has_batch_norm = f'bn{box[4:]}' in layout.required.values()
    if preprocess and not has_batch_norm:
        check_norm(box, w, preprocess)
    if preprocess and has_batch_norm and variance is not None:
        check_variance(box, w, variance, preprocess)
    if box != 'conv1_1':
        return layout.name, None if file_format == 'matconvnet' else preprocess

    likeness = compare_with_caffe(w)
    if likeness and likeness.is_caffes:
        if 'score_fr' in layout.required or preprocess and preprocess['scale'] == 1:
            return layout.name, with_order(preprocess, likeness.order)
        return _caffes_name(layout), bgr(*VGG_MEAN) if likeness.order == 'BGR' else RGB_255
    if likeness and likeness.cosine > OTHER and preprocess and preprocess['scale'] != 1:
        raise FormatError(f'its first layer, {box}, resembles that of Caffe\'s VGG-16 (cosine '
                          f'{likeness.cosine:.2f}, {likeness.factor:.3g} times as large), but is '
                          f'not it: whether images are 0 … 255 or normalised is not clear. '
                          f'{ADVICE}')
    if likeness and file_format in CONVERTED and preprocess and preprocess['scale'] == 1:
        return layout.name, None
    has_caffes_names = layout.required.get(box) == box
    is_of_another_program = ('.weight' in layout.suffixes
                             or '.w' in layout.suffixes and file_format not in CAFFE_FORMATS)
    return layout.name, None if has_caffes_names and is_of_another_program else preprocess


def check_norm(box: str, w: NDArray[Any], preprocess: Preprocess) -> None:
    """Raise if a first layer was rescaled for another range of pixels than that of `preprocess`.

    A small norm for 0 … 255 may be right: in some VGG-16 each layer was divided by its mean output.
    """
    norm = float(np.median(np.sqrt((w.astype('float64') ** 2).sum((1, 2, 3))))) if w.size else 0.
    least, most = NORMS
    if 0 < norm < least and preprocess['scale'] != 1 or norm > most:
        raise FormatError(f'the filters of its first layer, {box}, have a norm of {norm:.3g}, and '
                          f'those of nets that see 0 … 255 or normalised images have 1 to 2.5: '
                          f'they were scaled for another range. {ADVICE}')


def check_variance(box: str, w: NDArray[Any], variance: NDArray[Any],
                   preprocess: Preprocess) -> None:
    """Raise if the variance in batch norm is larger than w can give for images of `preprocess`.

    ResNets of Caffe are found under the names of torchvision's. An output is at most the largest
    input times Σ|w|: where most filters have exceeded that, the inputs were larger.
    """
    mean, std = (np.asarray(preprocess[key]) for key in ('mean', 'std'))
    largest = np.abs((np.outer([0., 255.], [preprocess['scale']] * len(mean)) - mean) / std).max()
    sums = np.abs(w.astype('float64')).sum((1, 2, 3))
    if variance.shape != sums.shape or not sums.all():
        return
    inputs = float(np.median(np.sqrt(np.abs(variance)) / sums))
    if inputs > largest:
        raise FormatError(f'its first layer, {box}, was trained on images with values of '
                          f'{inputs:.3g} and more, and normalised ones have at most {largest:.3g}: '
                          f'these may be weights of Caffe, for 0 … 255. {ADVICE}')


def _caffes_name(layout: Layout) -> str:
    if layout.preprocess is None:
        return 'VGG-16 of Caffe, PyTorch'
    return f'VGG-16 of Caffe, under the names of {layout.name.removeprefix("VGG-16 of ")}'


def compare_with_caffe(w: NDArray[Any]) -> Likeness | None:
    """How similar w is to Caffe's first layer; None if it has another shape.

    w (64, 3, 3, 3), or (64, 4, 3, 3) with a fourth channel
    """
    if (*w.shape[:1], min(w.shape[1], 3), *w.shape[2:]) != SHAPE or w.shape[1] > 4:
        return None
    length = float(np.linalg.norm(CAFFES_WEIGHTS))
    found = {}
    for order, channels in ('BGR', w[:, :3]), ('RGB', w[:, 2::-1]):
        x = _known_positions(channels)
        product = float(x @ CAFFES_WEIGHTS)
        found[order] = product / max(length * float(np.linalg.norm(x)), 1e-30), product / length**2
    order = max(found, key=lambda order: found[order][0])
    other = 'RGB' if order == 'BGR' else 'BGR'
    # sines: how far both are from the known weights, whatever their factor
    distance, distance_of_other = (1 - found[key][0] ** 2 for key in (order, other))
    return Likeness(*found[order], order if distance < distance_of_other / 2 else '')


def with_order(preprocess: Preprocess | None, order: str) -> Preprocess | None:
    """The same preprocess for channels in this order."""
    if preprocess is None or preprocess['order'] == order:
        return preprocess
    return dict(preprocess, order=order, mean=preprocess['mean'][::-1])


def _known_positions(w: NDArray[Any]) -> NDArray[np.float64]:
    """The weights of w (64, 3, 3, 3), in BGR, at the positions of CAFFES_WEIGHTS."""
    top_left = [w[i, :, 0, 0] for i in TOP_LEFT]
    return np.concatenate([w[0, 0].ravel()[1:], *top_left]).astype('float64')
