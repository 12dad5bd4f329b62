"""Generated images that need no files: shapes of up to 20 classes, with an outline and a colour.

Each class has a typical colour; the higher the difficulty, the more colours vary, until only the
outline distinguishes the classes. Textures differ from shape to shape. Shapes overlap and lie among
scratches under uneven light, and their borders are void, as those of VOC's objects are.
Image `index` of a `seed` is always the same.
"""
from collections.abc import Callable
from colorsys import hsv_to_rgb
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .labels import VOID

Floats: TypeAlias = NDArray[np.float64]
# (u, v) -> how far outside the shape, negative inside
Distance: TypeAlias = Callable[[Floats, Floats], Floats]
Size: TypeAlias = tuple[int, int]


# ---- outlines ------------------------------------------------------------------------------------

def _polygon(corners: int, radius: float) -> Distance:
    """A regular polygon with one corner pointing up."""
    wedge = 2 * np.pi / corners
    apothem = radius * np.cos(wedge / 2)

    def distance(u: Floats, v: Floats) -> Floats:
        angle = np.arctan2(u, -v)
        outside: Floats = np.hypot(u, v) * np.cos(angle % wedge - wedge / 2) - apothem
        return outside
    return distance


def _box(u: Floats, v: Floats, half_width: float, half_height: float) -> Floats:
    return np.maximum(abs(u) - half_width, abs(v) - half_height)


def _petals(count: int, radius: float, depth: float) -> Distance:
    return lambda u, v: np.hypot(u, v) - radius - depth * np.cos(count * np.arctan2(u, -v))


# class: how far (u, v) is outside the shape, negative inside; it fills the circle of radius 1
SIGNED_DISTANCE: dict[str, Distance] = {
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
CLASSES = 'background', *SIGNED_DISTANCE

# split: (seed, number of images)
SPLITS = dict(train=(1, 100_000), val=(2, 60), test=(3, 120))


# ---- images --------------------------------------------------------------------------------------

def shapes(root: Any = None, split: str = 'train', size: Size = (128, 160), n_class: int = 5,
           difficulty: float = .15) -> Dataset:
    """A data set whose images are generated when they are read; `root` is not used."""
    seed, count = SPLITS[split]
    return Dataset(CLASSES[:n_class], map(str, range(count)),
                   lambda name: generate(seed, int(name), size, n_class, difficulty))


def generate(seed: int, index: int, size: Size = (96, 128), n_class: int = 6,
             difficulty: float = .5) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image `index` of the stream `seed`. -> image (H, W, 3) uint8, label (H, W) uint8

    Classes are 0 (background) … n_class−1, and 255 on the borders. At difficulty 0 shapes are large
    and plain, at 1 they are small, faint, cluttered and noisy.
    """
    if not 2 <= n_class <= len(CLASSES):
        raise ValueError(f'n_class is {n_class}; it must be 2 … {len(CLASSES)}')
    if not 0 <= difficulty <= 1:
        raise ValueError(f'difficulty is {difficulty}; it must be between 0 and 1')
    rng = np.random.default_rng((seed, index))
    y, x = np.mgrid[:size[0], :size[1]].astype(float)
    background = _random_colour(rng, 0, .5, (0., .35 + .55 * difficulty))
    image = _random_texture(rng, x, y, background, .5)
    label = np.zeros(size, 'uint8')
    _add_scratches(rng, image, x, y, int(12 * difficulty))
    for _ in range(rng.integers(2, 5 + round(4 * difficulty))):
        number = int(rng.integers(1, n_class))
        _add_shape(rng, image, label, x, y, number, difficulty)
    _add_scratches(rng, image, x, y, int(6 * difficulty))           # some lie over the shapes
    image *= _uneven_light(rng, x, y, .15 + .35 * difficulty)[..., None]
    image += rng.normal(0, 4 + 16 * difficulty, image.shape)
    return image.clip(0, 255).astype('uint8'), label


def _add_shape(rng: np.random.Generator, image: Floats, label: NDArray[np.uint8], x: Floats,
               y: Floats, number: int, difficulty: float) -> None:
    """Blend a shape of class `number` into the image, antialiased, and mark its border as void.

    Nothing is drawn if 8 random positions all overlap too much with earlier shapes.
    """
    h, w = label.shape
    radius = min(h, w) * np.exp(rng.uniform(np.log(.28 - .16 * difficulty), np.log(.42)))
    margin = (1 - difficulty) * radius
    turn = rng.uniform(0, 2 * np.pi)
    stretch = rng.uniform(.85, 1.15)
    for _ in range(8):
        left = rng.uniform(margin, w - margin)
        top = rng.uniform(margin, h - margin)
        u = ((x - left) * np.cos(turn) + (y - top) * np.sin(turn)) / radius * stretch
        v = ((y - top) * np.cos(turn) - (x - left) * np.sin(turn)) / radius / stretch
        pixels = SIGNED_DISTANCE[CLASSES[number]](u, v) * radius    # outside by how many pixels
        overlap = (label[pixels < 1] > 0).mean()
        if not overlap > difficulty:            # of no pixels the mean is NaN, which is no overlap
            break
    else:
        return
    inside = pixels < 0
    cover = (.5 - pixels).clip(0, 1)[..., None]                     # how much of each pixel
    behind = image[inside].mean(0) if inside.any() else np.full(3, 128.)
    colour = _contrasting_colour(rng, number, behind, difficulty)
    texture = _random_texture(rng, x, y, colour, 1.)
    image[...] = image * (1 - cover) + texture * cover
    label[inside] = number
    label[_edge(inside)] = VOID


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels on either side of a mask's edge."""
    h, w = inside.shape
    padded = np.pad(inside, 1, mode='edge')
    neighbours = np.stack([padded[i:i + h, j:j + w] for i in range(3) for j in range(3)])
    edge: NDArray[np.bool_] = np.any(neighbours, axis=0) & ~np.all(neighbours, axis=0)
    return edge


# ---- colours, textures, light --------------------------------------------------------------------

# of the colour wheel: multiples of the golden ratio spread hues evenly for any number of classes
GOLDEN = .618034


def _contrasting_colour(rng: np.random.Generator, number: int, behind: Floats,
                        difficulty: float) -> Floats:
    """A colour near that of a class, drawn until it differs enough from what is behind."""
    while True:
        colour = _random_colour(rng, GOLDEN * number, .4 * difficulty, (.35, .9))
        if np.linalg.norm(colour - behind) > 110 - 55 * difficulty:
            return colour


def _random_colour(rng: np.random.Generator, hue: float, spread: float,
                   saturation: tuple[float, float]) -> Floats:
    """A random colour near this hue. -> (3,), each 0 … 255"""
    hue = (hue + rng.normal(0, spread)) % 1
    return 255 * np.array(hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(.3, .95)))


def _random_texture(rng: np.random.Generator, x: Floats, y: Floats, colour: Floats,
                    strength: float) -> Floats:
    """Plain, stripes, a chequerboard or waves around a colour. -> (H, W, 3)"""
    across = _random_wave(rng, x, y)
    along = _random_wave(rng, x, y)
    patterns = [0 * x, across, np.sign(across) * np.sign(along), across * along]
    pattern = patterns[rng.integers(4)]
    amplitude = strength * rng.uniform(8, 26)
    texture: Floats = colour + amplitude * pattern[..., None] * rng.uniform(.5, 1, 3)
    return texture


def _random_wave(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    turn = rng.uniform(0, 2 * np.pi)
    period = rng.uniform(5, 22)
    wave: Floats = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period + turn)
    return wave


def _uneven_light(rng: np.random.Generator, x: Floats, y: Floats, strength: float) -> Floats:
    """Brighter on one side, and around one point. -> factors (H, W)"""
    h, w = x.shape
    turn = rng.uniform(0, 2 * np.pi)
    left = rng.uniform(0, w)
    top = rng.uniform(0, h)
    side = (x - w / 2) / w * np.cos(turn) + (y - h / 2) / h * np.sin(turn)
    lamp = np.exp(-((x - left) ** 2 + (y - top) ** 2) / (.5 * max(h, w)) ** 2)
    light: Floats = 1 + strength * (side + lamp - .4)
    return light


def _add_scratches(rng: np.random.Generator, image: Floats, x: Floats, y: Floats,
                   count: int) -> None:
    """Lines and specks that belong to no class: background, or lying over shapes."""
    h, w = x.shape
    for _ in range(count):
        turn = rng.uniform(0, np.pi)
        left = rng.uniform(0, w)
        top = rng.uniform(0, h)
        along = (x - left) * np.cos(turn) + (y - top) * np.sin(turn)
        across = (y - top) * np.cos(turn) - (x - left) * np.sin(turn)
        length = rng.uniform(2, 25)
        width = rng.uniform(.4, 1.1)
        inside = (abs(along) < length) & (abs(across) < width)
        image[inside] = _random_colour(rng, 0, .5, (0., .9))
