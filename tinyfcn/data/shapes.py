"""Pictures that need no files: shapes of up to 20 kinds, told by their outline and their colour.

As in the world, a kind has a colour that it likes; the more difficult, the less it keeps to it,
until the outline alone tells. Textures differ from shape to shape. They overlap, stand in uneven
light among scratches and specks, and have a void border, as VOC's objects have. Picture `index` of
a `seed` is the same for ever.
"""
from colorsys import hsv_to_rgb

import numpy as np

from .dataset import Dataset
from .labels import VOID


def _polygon(corners, radius):
    """How far outside a regular polygon, of which one corner points up."""
    def outside(u, v):
        angle, wedge = np.arctan2(u, -v), 2 * np.pi / corners
        return np.hypot(u, v) * np.cos(angle % wedge - wedge / 2) - radius * np.cos(wedge / 2)
    return outside


def _box(u, v, half_width, half_height):
    return np.maximum(abs(u) - half_width, abs(v) - half_height)


def _petals(count, inner, depth):
    return lambda u, v: np.hypot(u, v) - inner - depth * np.cos(count * np.arctan2(u, -v))


# kind: how far (u, v) lies outside of it, below 0 inside; it fills the circle of radius 1
OUTSIDE = {
    'disc': lambda u, v: np.hypot(u, v) - .86,
    'triangle': _polygon(3, 1.1),
    'ring': lambda u, v: abs(np.hypot(u, v) - .7) - .23,
    'flower': _petals(5, .66, .3),
    'square': lambda u, v: _box(u, v, .74, .74),
    'cross': lambda u, v: np.minimum(_box(u, v, .95, .3), _box(u, v, .3, .95)),
    'bar': lambda u, v: _box(u, v, 1., .32),
    'crescent': lambda u, v: np.maximum(np.hypot(u, v) - .95, .8 - np.hypot(u - .55, v)),
    'frame': lambda u, v: abs(np.maximum(abs(u), abs(v)) - .62) - .2,
    'corner': lambda u, v: np.maximum(_box(u, v, .8, .8), np.minimum(u, v) + .2),
    'half': lambda u, v: np.maximum(np.hypot(u, v - .4) - .98, v - .4),
    'tee': lambda u, v: np.minimum(_box(u, v + .6, .9, .26), _box(u, v - .1, .27, .85)),
    'bowtie': lambda u, v: np.maximum(abs(u) - .95, abs(v) - .8 * abs(u) - .06),
    'clover': _petals(4, .68, .28),
    'arrow': lambda u, v: np.minimum(_polygon(3, .75)(u, v + .3), _box(u, v - .5, .22, .45)),
    'wave': lambda u, v: np.maximum(abs(u) - 1, abs(v - .38 * np.sin(3.6 * u)) - .27),
    'drop': lambda u, v: np.minimum(np.hypot(u, v - .35) - .58,
                                    np.maximum(abs(u) - (v + .95) * .45, v - .15)),
    'dumbbell': lambda u, v: np.minimum(np.hypot(abs(u) - .58, v) - .4, _box(u, v, .6, .15)),
    'trefoil': _petals(3, .62, .32),
    'stairs': lambda u, v: np.maximum(_box(u, v, .8, .8), np.floor(u * 2) / 2 - v - .1),
}
CLASSES = 'background', *OUTSIDE

STREAMS = dict(train=(1, 100_000), val=(2, 60), test=(3, 120))         # split: (seed, how many)


def shapes(root=None, split='train', **how):
    """A data set of pictures, drawn as they are asked for; `how` is what `picture` knows."""
    how = dict(size=(128, 160), n_class=5, difficulty=.15) | how
    seed, count = STREAMS[split]
    return Dataset(CLASSES[:how['n_class']], map(str, range(count)),
                    lambda name: picture(seed, int(name), **how))


def picture(seed, index, size=(96, 128), n_class=6, difficulty=.5):
    """Picture `index` of the stream `seed`. -> image (H, W, 3) uint8, label (H, W) uint8

    Classes are 0 (background) … n_class−1, and 255 on the borders. difficulty 0 is plain and
    large, 1 is small, faint, cluttered and noisy.
    """
    if not 2 <= n_class <= len(CLASSES):
        raise ValueError(f'n_class is {n_class}: 2 … {len(CLASSES)} are there')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty}: between 0 and 1')
    rng = np.random.default_rng((seed, index))
    y, x = np.mgrid[:size[0], :size[1]].astype(float)
    ground = _colour(rng, 0, .5, (0., .35 + .55 * difficulty))
    image, label = _paint(rng, x, y, ground, .5), np.zeros(size, 'uint8')
    _scratch(rng, image, x, y, int(12 * difficulty))
    for _ in range(rng.integers(2, 5 + round(4 * difficulty))):
        _place(rng, image, label, x, y, rng.integers(1, n_class), difficulty)
    _scratch(rng, image, x, y, int(6 * difficulty))                 # some lie over the shapes
    image *= _light(rng, x, y, .15 + .35 * difficulty)[..., None]
    image += rng.normal(0, 4 + 16 * difficulty, image.shape)
    return image.clip(0, 255).astype('uint8'), label


def _place(rng, image, label, x, y, kind, difficulty):
    """Draw one shape over what is there: pixels by how much of them it covers, its border void."""
    h, w = label.shape
    radius = min(h, w) * np.exp(rng.uniform(np.log(.28 - .16 * difficulty), np.log(.42)))
    margin = (1 - difficulty) * radius
    turn, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(.85, 1.15)
    for _ in range(8):                                              # look for a free place
        left, top = (rng.uniform(margin, n - margin) for n in (w, h))
        u = ((x - left) * np.cos(turn) + (y - top) * np.sin(turn)) / radius * stretch
        v = ((y - top) * np.cos(turn) - (x - left) * np.sin(turn)) / radius / stretch
        pixels = OUTSIDE[CLASSES[kind]](u, v) * radius              # outside by how many pixels
        if not (label[pixels < 1] > 0).mean() > difficulty:
            break
    else:
        return
    cover = (.5 - pixels).clip(0, 1)[..., None]
    ground = image[pixels < 0].mean(0) if (pixels < 0).any() else np.full(3, 128.)
    while True:                                                     # until it stands out
        colour = _colour(rng, GOLDEN * kind, .4 * difficulty, (.35, .9))
        if np.linalg.norm(colour - ground) > 110 - 55 * difficulty:
            break
    texture = _paint(rng, x, y, colour, 1.)
    image[...] = image * (1 - cover) + texture * cover
    label[pixels < 0] = kind
    label[_edge(pixels < 0)] = VOID


def _edge(inside):
    """The pixels on either side of a mask's edge."""
    h, w = inside.shape
    padded = np.pad(inside, 1, mode='edge')
    around = [padded[i:i + h, j:j + w] for i in range(3) for j in range(3)]
    return np.any(around, axis=0) & ~np.all(around, axis=0)


GOLDEN = .618034        # of the colour wheel: steps of it spread evenly, however many there are


def _colour(rng, hue, spread, saturation):
    """A colour about this hue. -> (3,) of 0 … 255"""
    hue = (hue + rng.normal(0, spread)) % 1
    return 255 * np.array(hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(.3, .95)))


def _paint(rng, x, y, colour, strength):
    """A texture of one of four kinds about a colour. -> (H, W, 3)"""
    across, along = _waves(rng, x, y), _waves(rng, x, y)
    pattern = [0 * x, across, np.sign(across) * np.sign(along), across * along][rng.integers(4)]
    return colour + strength * rng.uniform(8, 26) * pattern[..., None] * rng.uniform(.5, 1, 3)


def _waves(rng, x, y):
    turn, period = rng.uniform(0, 2 * np.pi), rng.uniform(5, 22)
    return np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period + turn)


def _light(rng, x, y, strength):
    """Brighter on one side, and in one place."""
    h, w = x.shape
    turn, left, top = rng.uniform(0, 2 * np.pi), rng.uniform(0, w), rng.uniform(0, h)
    side = (x - w / 2) / w * np.cos(turn) + (y - h / 2) / h * np.sin(turn)
    lamp = np.exp(-((x - left) ** 2 + (y - top) ** 2) / (.5 * max(h, w)) ** 2)
    return 1 + strength * (side + lamp - .4)


def _scratch(rng, image, x, y, count):
    """Lines and specks that are no shapes: background, or lying over what is there."""
    for _ in range(count):
        turn, left, top = rng.uniform(0, np.pi), rng.uniform(0, x.shape[1]), rng.uniform(0, len(x))
        along = (x - left) * np.cos(turn) + (y - top) * np.sin(turn)
        across = (y - top) * np.cos(turn) - (x - left) * np.sin(turn)
        length, thick = rng.uniform(2, 25), rng.uniform(.4, 1.1)
        inside = (abs(along) < length) & (abs(across) < thick)
        image[inside] = _colour(rng, 0, .5, (0., .9))
