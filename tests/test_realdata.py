"""Real weights on real pictures, where the folder of TINYFCN_DATA has them."""
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyfcn import build, weights
from tinyfcn.data.images import read_image
from tinyfcn.data.transforms import prepare

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))
pytestmark = [pytest.mark.realdata,
              pytest.mark.skipif(not DATA.is_dir(),
                                 reason='TINYFCN_DATA names no folder of real data')]

SYNSETS = {8: range(281, 288), 12: range(151, 269)}     # VOC's cat and dog among ImageNet's 1000


def alone(count):
    """`count` cats and as many dogs that have a picture to themselves and fill a tenth of it."""
    wanted = dict.fromkeys(SYNSETS, count)
    for path in sorted((DATA / 'voc_animals/SegmentationClass').glob('*.png')):
        with Image.open(path) as image:
            mask = np.array(image)
        found = set(np.unique(mask)) - {0, 255}
        animal = found.pop() if len(found) == 1 else None
        if wanted.get(animal) and (mask == animal).mean() > .1:
            wanted[animal] -= 1
            yield animal, DATA / 'voc_animals/JPEGImages' / f'{path.stem}.jpg'


def test_a_real_classifier_knows_cats_from_dogs():
    """SqueezeNet's top-1 on 200 pictures of any size; it has 1000 classes to choose from."""
    arrays, about = weights.read(DATA / 'weights/squeezenet_v1.1_oihw_fp32.npz')
    net = build('squeezenet', seed=None)
    assert not weights.transplant(net, arrays).missing
    right = []
    for animal, path in alone(100):
        score = net.forward(prepare(read_image(path), about['preprocess']))
        right.append(score.argmax() in SYNSETS[animal])
    print(f'top-1 {np.mean(right):.3f} on {len(right)} pictures')
    assert len(right) == 200 and np.mean(right) > .7
