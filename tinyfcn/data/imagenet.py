"""The 1000 classes of ILSVRC 2012, which every ImageNet classifier here scores, and groups of them.

The names, one a line in imagenet.txt, are the short ones of torchvision, in the order of the
challenge, which Caffe uses, too. GROUPS has the classes that everyday words stand for: ImageNet has
no class `dog`, but 118 breeds of dogs.
"""
from collections.abc import Sequence
from functools import cache
from pathlib import Path

GROUPS: dict[str, Sequence[int]] = {
    'fish': [*range(0, 7), *range(389, 398)],
    'shark': range(2, 5),
    'bird': [*range(7, 25), *range(80, 101), *range(127, 147)],
    'frog': range(30, 33),
    'turtle': range(33, 38),
    'lizard': range(38, 49),
    'crocodile': range(49, 51),
    'snake': range(52, 69),
    'spider': range(72, 78),
    'crab': [*range(118, 122), 125],
    'whale': range(147, 149),
    'dog': range(151, 269),
    'wolf': range(269, 273),
    'fox': range(277, 281),
    'cat': range(281, 286),
    'big cat': range(286, 294),
    'bear': range(294, 298),
    'beetle': range(300, 308),
    'butterfly': range(321, 327),
    'insect': range(300, 327),
    'rabbit': range(330, 333),
    'horse': [339],
    'pig': range(341, 344),
    'cow': range(345, 348),
    'sheep': range(348, 351),
    'antelope': range(351, 354),
    'ape': range(365, 370),
    'monkey': range(370, 383),
    'elephant': range(385, 387),
    'panda': range(387, 389),
    'aeroplane': [404, 895],
    'bicycle': [444, 671],
    'boat': [472, 484, 554, 576, 625, 780, 814, 871, 914],
    'bottle': [440, 720, 737, 898, 899, 901, 907],
    'bus': [654, 779, 874],
    'car': [407, 436, 468, 511, 609, 627, 656, 661, 734, 751, 817],
    'chair': [423, 559, 765],
    'motorbike': [665, 670],
    'ship': [403, 510, 628],
    'sofa': [831],
    'train': [466, 547, 565, 705, 820],
    'truck': [555, 569, 675, 717, 864, 867],
    'tvmonitor': [664, 851],
    'mushroom': [947, *range(991, 998)],
}


def everyday_word(number: int) -> str:
    """The name of the smallest group that has this class; '' if none has it.

    >>> everyday_word(281), everyday_word(0), everyday_word(999)
    ('cat', 'fish', '')
    """
    groups = [word for word, numbers in GROUPS.items() if number in numbers]
    return min(groups, key=lambda word: len(GROUPS[word]), default='')


@cache
def class_names() -> tuple[str, ...]:
    """The names of the 1000 classes, in the order of their numbers.

    >>> class_names()[281]
    'tabby'
    """
    return tuple((Path(__file__).with_suffix('.txt')).read_text('utf-8').splitlines())
