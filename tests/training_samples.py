"""A small net and a few images in memory, for every test that trains."""
import numpy as np
from PIL import Image

from tinyfcn import Net, viz
from tinyfcn.data.dataset import Dataset
from tinyfcn.layers import batch_norm, conv, dropout, relu
from tinyfcn.training import Recipe

CENTRED = dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1))
CLASSES = 'ground', 'blob', 'stripe'


def small_dataset(count=6, size=(9, 12), same_size=False, seed=0, classes=CLASSES):
    """Random images of different sizes; labels threshold the red channel, with 10 % void."""
    def read(name):
        number = int(name)
        rng = np.random.default_rng((seed, number))
        h, w = size
        if not same_size:
            h += number % 3
            w += number % 2
        image = rng.integers(0, 256, (h, w, 3)).astype('uint8')
        label = (image[..., 0] // 100).astype('uint8')
        label[rng.random((h, w)) < .1] = 255
        return image, label

    return Dataset(classes, [str(i) for i in range(count)], read)


def small_net(dtype='float32', seed=0, norm=False, drop=0., channels=4):
    """Two convolutions; between them batch norm and dropout, where they are asked for."""
    n = Net(3, dtype, seed)
    x = n.conv1 = conv(n.data, channels, 3, pad=1)
    if norm:
        x = n.norm1 = batch_norm(x)
    x = n.relu1 = relu(x)
    if drop:
        x = n.drop1 = dropout(x, drop)
    n.score = conv(x, len(CLASSES), 1)
    n.about['preprocess'] = CENTRED
    return n


def make_recipe(**changes):
    """A recipe of few steps."""
    return Recipe(**{**dict(preprocess=CENTRED, lr=.1, steps=5, validate_every=2), **changes})


def bits(net):
    """Every weight and running statistic of a net, as bytes."""
    return {name: array.tobytes() for name, array in {**net.params, **net.state}.items()}


def draw_nothing(monkeypatch):
    """Leave out the pictures of a run, which take most of the time of a short one."""
    monkeypatch.setattr(viz, 'draw_curves', lambda path, rows: path.touch())
    monkeypatch.setattr(viz, 'draw_page', lambda path, *rest: path.touch())


def write_bright_halves(root):
    """Write a user's data set into a folder: 20 images whose right part is bright."""
    rng = np.random.default_rng(1)
    (root / 'images').mkdir()
    (root / 'masks').mkdir()
    (root / 'classes.txt').write_text('dark\nbright\n')
    for i in range(20):
        label = np.zeros((30, 40), 'uint8')
        label[:, rng.integers(8, 32):] = 1
        image = label[..., None] * 120 + rng.integers(0, 100, (30, 40, 3))
        Image.fromarray(image.astype('uint8')).save(root / f'images/{i:02}.png')
        Image.fromarray(label).save(root / f'masks/{i:02}.png')
    return root
