"""A first run: a small FCN with one skip learns to tell squares from diamonds, in seconds.

Their colours are random, a little brighter than the ground: only the shape tells them apart.
"""
import numpy as np
from PIL import Image

from .init import zeros
from .layers import add, conv, crop, max_pool, relu, upsample
from .metrics import confusion, scores
from .net import Net
from .ops import softmax_cross_entropy
from .optim import Adam

CLASSES = 'background', 'square', 'diamond'
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], 'uint8')      # as VOC paints its first


def pictures(rng, count, size=48):
    """`count` noisy pictures with two figures each.

    -> images (N, 3, H, W) float32 about zero, labels (N, H, W) of 0, 1, 2
    """
    y, x = np.mgrid[:size, :size]
    images = rng.uniform(-1, 0, (count, 3, 1, 1)) + rng.normal(0, .1, (count, 3, size, size))
    labels = np.zeros((count, size, size), 'int64')
    for image, label in zip(images, labels):
        for kind in rng.integers(1, 3, 2):
            radius, (top, left) = rng.integers(6, 11), rng.integers(10, size - 10, 2)
            dy, dx = abs(y - top), abs(x - left)
            inside = np.maximum(dy, dx) < .8 * radius if kind == 1 else dy + dx < 1.2 * radius
            image[:, inside] = rng.uniform(0, 1, (3, 1)) + rng.normal(0, .1, (3, inside.sum()))
            label[inside] = kind
    return images.astype('float32'), labels


def little_fcn(seed):
    """The paper's Figure 3 in small: a score at stride 4, one at stride 2, fused and upsampled."""
    n = Net(3, seed=seed)
    n.conv1_1 = conv(n.data, 16, 3, pad=8)
    n.conv1_2 = conv(relu(n.conv1_1), 16, 3, pad=1)
    n.pool1   = max_pool(relu(n.conv1_2), 2)
    n.conv2_1 = conv(n.pool1, 32, 3, pad=1)
    n.conv2_2 = conv(relu(n.conv2_1), 32, 3, pad=1)
    n.pool2   = max_pool(relu(n.conv2_2), 2)
    n.fc3     = conv(n.pool2, 64, 5)
    n.score_fr = conv(relu(n.fc3), len(CLASSES), 1, init=zeros)
    n.upscore2 = upsample(n.score_fr, 2)

    n.score_pool1  = conv(n.pool1, len(CLASSES), 1, init=zeros)
    n.score_pool1c = crop(n.score_pool1, like=n.upscore2)
    n.fuse_pool1   = add(n.upscore2, n.score_pool1c)
    n.upscore1     = upsample(n.fuse_pool1, 2)

    n.score = crop(n.upscore1, like=n.data)
    return n


def train(net, rng, steps=200, batch=8):
    """One step after another -> (step, loss a pixel)."""
    adam = Adam(lr=3e-3)
    for net.step in range(1, steps + 1):
        image, label = pictures(rng, batch)
        score = net.forward(image, train=True)
        loss, dscore = softmax_cross_entropy(score, label, reduce='mean')
        adam.step(net.params, net.backward(score=dscore))
        yield net.step, loss


def judge(net, rng, count=64):
    """-> scores of the net on pictures that it has not seen, of the answer 'background', a page."""
    image, label = pictures(rng, count)
    pred = net.forward(image).argmax(1)
    hists = [confusion(label, answer, len(CLASSES)) for answer in (pred, np.zeros_like(label))]
    return *map(scores, hists), page(image[:8], label[:8], pred[:8])


def page(image, label, pred, zoom=3, gap=2):
    """Rows of image, truth and prediction, as one picture."""
    shown = (image.transpose(0, 2, 3, 1) * 96 + 128).clip(0, 255).astype('uint8')
    rows = [np.concatenate([np.pad(tile, ((gap, gap), (gap, gap), (0, 0)), constant_values=255)
                            for tile in tiles], axis=1)
            for tiles in (shown, COLOURS[label], COLOURS[pred])]
    page = Image.fromarray(np.concatenate(rows))
    return page.resize((page.width * zoom, page.height * zoom), Image.Resampling.NEAREST)
