"""The class of a whole image, by a net that scores it as a whole, such as GoogLeNet."""
from typing import NamedTuple

import numpy as np

from ..data.imagenet import class_names
from ..data.transforms import prepare
from ..net.net import Net, require_net
from ..runtime.backend import to_numpy
from .multiscale import get_preprocess, softmax
from .predict import Input, load_image, resize_for


class Guess(NamedTuple):
    """A class and its probability."""

    number: int
    name: str
    probability: float


def is_classifier(net: Net) -> bool:
    """Whether the net has one score for the whole image, whatever its size.

    >>> import tinyfcn
    >>> [is_classifier(tinyfcn.build(name, width=1/16)) for name in ('squeezenet', 'fcn8s')]
    [True, False]
    """
    outputs = net.outputs(train=False)
    if outputs != ['score']:
        return False
    return net.sizes((256, 320), train=False)['score'] == (1, 1)


def is_of_imagenet(net: Net) -> bool:
    """Whether the classes of the net are the 1000 of ImageNet."""
    classes = net.about.get('classes')
    return not isinstance(classes, dict) and tuple(classes or ()) == class_names()


def classify(net: Net, image: Input, top: int = 5) -> list[Guess]:
    """The most probable classes of an image, the best first.

    The net scores every position that it fits into, and the scores are averaged. If net.about has a
    shorter_side, the image is first resized so that its shorter side has that many pixels: a
    classifier recognises objects at the size that they had in its training.

    >>> import tinyfcn
    >>> net = tinyfcn.build('squeezenet', n_class=3, width=1/16)
    >>> net.about['preprocess'] = dict(order='RGB', scale=1, mean=(0, 0, 0), std=(1, 1, 1))
    >>> [guess.name for guess in classify(net, np.ones((64, 80, 3), 'uint8'), top=1)]
    ['class 0']
    """
    require_net(net)
    if not is_classifier(net):
        raise ValueError('this net scores every pixel, and not the image as a whole: use '
                         'tinyfcn.predict')
    x = prepare(resize_for(net, load_image(image, net)), get_preprocess(net), net.dtype)
    prob = softmax(to_numpy(net.forward(x))).reshape(-1)
    names = net.about.get('classes') or [f'class {i}' for i in range(len(prob))]
    best = np.argsort(-prob, kind='stable')[:top]
    return [Guess(int(i), names[i], float(prob[i])) for i in best]

