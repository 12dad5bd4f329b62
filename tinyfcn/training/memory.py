"""How much memory a training step takes, before the first one is begun."""
from collections.abc import Iterator
from dataclasses import replace

from ..data.batches import PREFETCH
from ..data.dataset import Dataset
from ..data.images import image_size
from ..net import Box, Net
from ..net.summary import megabytes
from ..runtime.distributed import world
from ..runtime.machine import available_memory
from .freeze import frozen_weights
from .recipes import Recipe

Size = tuple[int, int]

# Bytes that reading an image takes for each of its pixels: image, label and copies of both. Of
# images with other channels than red, green and blue of 8 bits, for each channel: measured
READ_BYTES = 16
# ... and for each pixel of the crop, where it comes from if it is rotated or deformed, or else its
# values in float32; measured. An elastic deformation is computed for the whole image
WARP_BYTES = 64
VALUES_BYTES = 24
ELASTIC_BYTES = 8
# The values of all boxes are kept for the backward pass. Measured peaks of nine nets are .85 to 1.3
# times their sum; gradients on the way back, masks of ReLUs and statistics are the rest
SHARE_OF_VALUES = 1.15
SAMPLED = 200                   # images whose sizes are looked up
CROPS = 512, 384, 320, 256, 192, 128, 96, 64        # which an error proposes


def step_memory(net: Net, recipe: Recipe, dataset: Dataset) -> int:
    """About how many bytes a training step takes in addition to what the net takes already.

    >>> import tinyfcn
    >>> dataset = tinyfcn.data.load_dataset('shapes', size=(480, 640))
    >>> net = tinyfcn.build('tiny_8s', n_class=5)
    >>> recipe = tinyfcn.training.get_recipe('shapes-8s')
    >>> round(step_memory(net, recipe, dataset) / 1e9, 1)
    0.7
    """
    return step_memory_at(net, recipe, largest_size(dataset))


def require_memory(net: Net, recipe: Recipe, dataset: Dataset) -> None:
    """Raise ValueError if a training step takes more memory than the device of the net has left."""
    size = largest_size(dataset)
    if size == (0, 0):                                  # no image can be read
        return
    needed = step_memory_at(net, recipe, size)
    available = available_memory(next(iter(net.params.values()), None))
    if needed <= available:
        return
    height, width = input_size(recipe, size)
    raise ValueError(f'a step on images of {height}×{width} pixels (rows × columns) takes about '
                     f'{needed / 1e9:,.1f} GB of memory, and {available / 1e9:,.1f} GB are '
                     f'available: {_remedy(net, recipe, size, available)}')


def _remedy(net: Net, recipe: Recipe, size: Size, available: int) -> str:
    """The largest crops that fit."""
    for side in CROPS:
        cropped = replace(recipe, crop_size=(side, side))
        if min(input_size(recipe, size)) > side and step_memory_at(net, cropped, size) <= available:
            return f'--set crop_size={side},{side} trains on crops'
    return 'smaller images, batch or iter_size, or a smaller net, take less'


def step_memory_at(net: Net, recipe: Recipe, size: Size) -> int:
    """The same for images of (height, width), before they are augmented."""
    height, width = input_size(recipe, size)
    outputs = [*recipe.loss_at] if recipe.loss_at else None
    sizes = net.sizes((height, width), train=True, until=outputs)
    with frozen_weights(net, recipe):
        trained = net.find_grad_names(image=False)
    values = _value_memory(net, net.route(True, outputs), trained, sizes)
    weights = sum(w.nbytes for name, w in net.params.items() if name in trained)
    # the gradients of this batch, those of the step, and the optimizer's memory
    arrays = (1 + (recipe.iter_size > 1) + (2 if recipe.optimizer == 'adam' else 1)) * weights
    item = 8 if net.dtype == 'float64' else 4
    batch = recipe.batch * height * width * (net['data'].channels * item + 1)
    # a rank holds its batches of a step, and prepares the next ones meanwhile
    held = PREFETCH + 2 + recipe.iter_size // world().size
    return int(SHARE_OF_VALUES * recipe.batch * values + arrays + held * batch
               + _reading_memory(net, recipe, size))


def _reading_memory(net: Net, recipe: Recipe, size: Size) -> int:
    """The bytes for reading and augmenting one image of (height, width)."""
    height, width = input_size(recipe, size)
    augmenting = 0
    if recipe.rotation or recipe.elastic_sigma:
        augmenting = WARP_BYTES
    elif recipe.colour or recipe.blur or recipe.noise:
        augmenting = VALUES_BYTES
    parts = net['data'].channels if 'channels' in net.about else 1
    of_image = READ_BYTES * parts + ELASTIC_BYTES * bool(recipe.elastic_sigma)
    return of_image * size[0] * size[1] + augmenting * height * width


def _value_memory(net: Net, route: list[Box], trained: set[str], sizes: dict[str, Size]) -> float:
    """The bytes of the values for one image, without the image itself.

    What boxes with a gradient read and write is kept for the backward pass. Of the others, which
    are frozen, two at a time: what a box reads and what it writes.
    """
    kept = {str(box.name) for box in route if box.name in trained}
    kept.update(name for box in route if box.name in trained for name in box.inputs)
    passing = [megabytes(net, box, sizes) for box in route if box.name not in kept]
    values = sum(megabytes(net, box, sizes) for box in route if box.name in kept)
    return (values + 2 * max(passing, default=0)) * 1e6


def input_size(recipe: Recipe, size: Size) -> Size:
    """The size of an image of (height, width) once it is augmented, at most."""
    factor = recipe.scale_range[1] if recipe.scale_range else 1
    height, width = (max(1, round(length * factor)) for length in size)
    if recipe.crop_size is None:
        return height, width
    return min(height, recipe.crop_size[0]), min(width, recipe.crop_size[1])


def largest_size(dataset: Dataset) -> Size:
    """The largest height and width of the images of a data set, or of 200 of them; 0, 0 of none."""
    sizes = [*image_sizes(dataset)] or [(0, 0)]
    heights, widths = zip(*sizes)
    return max(heights), max(widths)


def image_sizes(dataset: Dataset) -> Iterator[Size]:
    """The sizes that the heads of the files say, or that of the first image of a generated set."""
    names = dataset.names[::1 + len(dataset) // SAMPLED]
    for name in names:
        files = dataset.files(name)
        try:
            if not files:
                image, _ = dataset.read(name)
                yield image.shape[0], image.shape[1]
                return
            yield image_size(files[0])
        except (OSError, ValueError):                   # which reading it will report
            continue
