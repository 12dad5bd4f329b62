"""A small net, and a few pictures in memory, for whatever learns."""
import numpy as np
from PIL import Image

from tinyfcn import Net
from tinyfcn.data.dataset import Dataset
from tinyfcn.layers import batch_norm, conv, dropout, relu
from tinyfcn.training.recipes import PLAIN

CENTRED = dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1))
CLASSES = 'ground', 'blob', 'stripe'


def pictures(count=6, size=(9, 12), same=False, seed=0, classes=CLASSES):
    """Random images, each of another size unless `same`; a label is what is bright, some void."""
    def read(name):
        rng = np.random.default_rng((seed, int(name)))
        h, w = size if same else (size[0] + int(name) % 3, size[1] + int(name) % 2)
        image = rng.integers(0, 256, (h, w, 3)).astype('uint8')
        label = (image[..., 0] // 100).astype('uint8')
        label[rng.random((h, w)) < .1] = 255
        return image, label

    return Dataset(classes, [str(i) for i in range(count)], read)


def net(dtype='float32', seed=0, norm=False, drop=0., channels=4):
    """Two convolutions, and between them what is asked for."""
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


def recipe(**how):
    """A whole recipe, of few steps."""
    return {**PLAIN, 'preprocess': CENTRED, 'lr': .1, 'steps': 5, 'every': 2, **how}


def bits(n):
    """Every weight and running statistic of a net, as bytes."""
    return {name: w.tobytes() for name, w in {**n.params, **n.state}.items()}


def bright_halves(root):
    """A set of one's own, as files: 20 pictures of a bright half."""
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
