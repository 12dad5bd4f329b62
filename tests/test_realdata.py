"""Real weights on real images, in the folder that TINYFCN_DATA names."""
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
                                 reason='TINYFCN_DATA does not name a folder of real data')]

# the classes of VOC's cat and dog among ImageNet's 1000
SYNSETS = {8: range(281, 288), 12: range(151, 269)}


def cats_and_dogs(count):
    """`count` images each with a single animal, which fills more than a tenth. -> class, path"""
    wanted = dict.fromkeys(SYNSETS, count)
    for path in sorted((DATA / 'voc_animals/SegmentationClass').glob('*.png')):
        with Image.open(path) as image:
            mask = np.array(image)
        found = set(np.unique(mask)) - {0, 255}
        animal = found.pop() if len(found) == 1 else None
        if wanted.get(animal) and (mask == animal).mean() > .1:
            wanted[animal] -= 1
            yield animal, DATA / 'voc_animals/JPEGImages' / f'{path.stem}.jpg'


def test_squeezenet_tells_cats_from_dogs():
    """Top-1 of its 1000 classes on 200 images of any size."""
    arrays, about = weights.read(DATA / 'weights/squeezenet_v1.1_oihw_fp32.npz')
    net = build('squeezenet', seed=None)
    assert not weights.transplant(net, arrays).missing
    correct = []
    for animal, path in cats_and_dogs(100):
        score = net.forward(prepare(read_image(path), about['preprocess']))
        correct.append(score.argmax() in SYNSETS[animal])
    print(f'top-1 {np.mean(correct):.3f} on {len(correct)} images')
    assert len(correct) == 200 and np.mean(correct) > .7


def test_alexnet_of_torchvision_is_no_caffenet():
    """The names are CaffeNet's, whose images are BGR and 0 … 255; the shapes are not."""
    arrays, about = weights.read(DATA / 'weights/alexnet_torchvision_conv_oihw_fp32.npz')
    assert about['preprocess']['order'] == 'RGB' and about['preprocess']['scale'] == 1 / 255
    report = weights.transplant(build('fcn_alexnet_torchvision', seed=None, n_class=2), arrays)
    assert len(report.copied) == 2 * 5 and not report.unused
    with pytest.raises(ValueError, match='conv1.w is .* another net'):
        weights.transplant(build('fcn_alexnet', seed=None, n_class=2), arrays)
