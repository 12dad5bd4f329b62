"""One player of every tracing function, for the tests of players."""
import html
import re
import zlib
from base64 import b64decode

import numpy as np

from tinyfcn import Net, build, ops
from tinyfcn.course import tracing
from tinyfcn.course.player import Player
from tinyfcn.layers import add, conv, crop, max_pool, relu, upsample

X = np.array([[1, 2, 0, 4], [3, -1, 2, 1], [0, 5, 1, 2], [2, 3, 4, 0]])
W = np.array([[1, 0], [-2, .5]])


def small_net():
    """Five boxes, from an image to the scores of two classes."""
    n = Net(3, dtype='float64')
    n.conv1 = conv(n.data, 4, 3, pad=1)
    n.relu1 = relu(n.conv1)
    n.pool1 = max_pool(n.relu1, 2)
    n.coarse = conv(n.pool1, 2, 1)
    n.score = upsample(n.coarse, 2)
    return n


def stack_net():
    """A trunk, a skip, and the crops that align them with each other and with the image."""
    n = Net(3, seed=None)
    n.conv1 = conv(n.data, 4, 3, pad=21)
    n.pool1 = max_pool(n.conv1, 4)
    n.pool2 = max_pool(n.pool1, 2)
    n.coarse = conv(n.pool2, 2, 3)
    n.up2 = upsample(n.coarse, 2)
    n.score_pool1 = conv(n.pool1, 2, 1)
    n.pool1c = crop(n.score_pool1, like=n.up2)
    n.fuse = add(n.up2, n.pool1c)
    n.up8 = upsample(n.fuse, 4)
    n.score = crop(n.up8, like=n.data)
    return n


def players():
    rng = np.random.default_rng(0)
    net = build('fcn16s', width=1/64, seed=None)
    label = rng.choice([0, 1, 255], (12, 16))
    image = rng.integers(0, 256, (12, 16, 3)).astype('uint8')
    masks = {step: rng.integers(0, 2, (12, 16)) for step in (0, 10, 50)}
    fcn = build('fcn16s', n_class=3, width=1/64)
    x = rng.standard_normal((1, 3, 48, 64)).astype('float32')
    small = small_net()
    return {
        'convolution': tracing.convolution(X, W, stride=2, pad=1),
        'two channels': tracing.convolution(np.stack([X, -X]) / 3, np.stack([W, W])),
        'im2col': tracing.im2col(X, W, pad=1),
        'matrix': tracing.matrix(X, W),
        'backward': tracing.backward(X, W, X[:3, :3]),
        'col2im': tracing.col2im(ops.im2col(X[None, None] * 1., 2)[0][0], (4, 4), 2),
        'max_pool': tracing.max_pool(X, 2),
        'scatter': tracing.scatter(X[:3, :3], W, 2, 1),
        'zero_insert': tracing.zero_insert(X[:3, :3], W, 2),
        'transposed_matrix': tracing.transposed_matrix(X[:2, :2], W, 2),
        'bilinear': tracing.bilinear([1, 3, 2], 2),
        'confusion': tracing.confusion(rng.choice([0, 1, 255], (3, 4)),
                                       rng.integers(0, 2, (3, 4)), 2),
        'avg_pool_to': tracing.avg_pool_to(X, 3),
        'paths': tracing.paths([1, 2, 4]),
        'mean_field': tracing.mean_field([[[.9, .4]], [[.1, .6]]], np.full((1, 2, 3), 9, 'uint8'),
                                         dict(w1=1, alpha=1, beta=9, w2=1, gamma=1)),
        'loss': tracing.loss([[2, 0, -1], [1, 0, 2]], [0, 255, 1]),
        'fusion': tracing.fusion(net, (32, 48), 'pool4', 'upscore2', 'score_pool4c'),
        'receptive_field': tracing.receptive_field(small, 'conv1', 'pool1', 'coarse', size=(12, 16),
                                                   image=image),
        'stack': tracing.stack(stack_net(), 32),
        'descent': tracing.descent(lr=.05, momentum=.5, steps=12),
        'training': tracing.training(image, label, masks),
        'walk': tracing.walk(small, rng.standard_normal((1, 3, 12, 16))),
        'walk_back': tracing.walk_back(fcn, x, [['pool4', 'score_pool4c'], ['score_fr', 'upscore2'],
                                                ['score', 'fuse_pool4']], score=x),
        'skips': tracing.skips(fcn, x, rng.integers(0, 3, (48, 64)), ['score_pool4']),
    }


PLAYERS = players()


def two_cells(**changes):
    """A player with two cells and two frames; changes are of its trace."""
    grid = dict(name='x', title='x', values=[[1.5, None]], row=0)
    frames = [dict(caption='first', set={}, highlight={'x': [[0, 0]]}),
              dict(caption='then', set={'x': [[0, 1, 7.]]}, highlight={'x': [[0, 1]]})]
    trace = dict(kind='grid', title='two cells', grids=[grid], frames=frames)
    return Player({**trace, **changes})


def unpack(output):
    """The page in the output of a notebook's cell, and what stands before its iframe."""
    before, attributes, srcdoc = re.fullmatch(r"(.*)<iframe ([^<]*) srcdoc='([^']*)'></iframe>",
                                              output, re.S).groups()
    packed, = re.findall(r"await unpack\('(.*?)'\)", html.unescape(srcdoc))
    page = inflate(packed)
    for name, part in re.findall(r'(data-\S+?)="(.*?)"', attributes):
        page = page.replace(f'/*{name}*/', inflate(part))
    return page, before


def inflate(text):
    return zlib.decompress(b64decode(text)).decode()
