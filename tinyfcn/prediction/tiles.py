"""The scores of an image of any size: at once, or in tiles where they need too much memory.

Tiles overlap by the receptive field and begin where the pools of the whole image have a window, so
their scores are those of the whole image.
"""
from collections.abc import Callable, Iterable, Iterator
from math import ceil, inf
from typing import NamedTuple

import numpy as np

from ..data.labels import Array, by_output
from ..net.alignment import Alignment, Unaligned
from ..net.box import Box
from ..net.net import Net
from ..net.summary import peak
from ..runtime.backend import array_module, on_host, to_numpy
from ..runtime.distributed import world
from ..runtime.machine import available_memory

# of the available memory, the part that a prediction may take: `peak` does not count the scratch
# memory of the kernels, which takes up to a quarter more
MEMORY_SHARE = .8


class Piece(NamedTuple):
    """The scores of a part of an image, {output: (1, classes, h, w)}."""

    rows: slice
    columns: slice
    scores: dict[str, Array]


def usable_memory(net: Net) -> float:
    """The bytes that a prediction may take on the device of the net, its weights included."""
    weights = [*net.params.values(), *net.state.values()]
    free = MEMORY_SHARE * available_memory(weights[0] if weights else None)
    if on_host(*weights):
        free /= world().local_size                      # each rank predicts an image of its own
    return free + sum(w.nbytes for w in weights)


def iter_scores(net: Net, x: Array, max_memory: float) -> Iterator[Piece]:
    """The scores of x (1, C, H, W): in one piece if max_memory bytes are enough, else in tiles.

    An allocation may still fail, as free memory can be fragmented, or taken by another process in
    the meantime. Then smaller tiles follow.
    """
    for piece in _iter_whole_or_tiles(net, net.bring(x), max_memory):
        for output, score in piece.scores.items():
            require_finite(score, output, piece.rows.start, piece.columns.start)
        yield piece


def _iter_whole_or_tiles(net: Net, x: Array, max_memory: float) -> Iterator[Piece]:
    h, w = x.shape[2:]
    margin = border(net)
    if peak(net, (h + 2 * margin, w + 2 * margin)) <= max_memory:
        try:
            yield Piece(slice(0, h), slice(0, w), predict_scores(net, x))
            return
        except MemoryError:
            max_memory /= 2
    yield from iter_tiles(net, x, largest_tile(net, max_memory, max(h, w)))


def join(pieces: Iterable[Piece], size: tuple[int, int],
         convert: Callable[[Array], Array]) -> dict[str, Array]:
    """convert(scores) of all pieces, in their places. -> {output: (…, H, W)}

    convert: (1, classes, h, w) -> (…, h, w), on the host
    """
    whole: dict[str, Array] = {}
    for rows, columns, scores in pieces:
        for output, score in scores.items():
            part = convert(score)
            if part.shape[-2:] == size:
                whole[output] = part
                continue
            if output not in whole:
                whole[output] = np.empty((*part.shape[:-2], *size), part.dtype)
            whole[output][..., rows, columns] = part
    return whole


def require_finite(score: Array, output: str, top: int, left: int) -> None:
    """Raise if a score (1, classes, h, w), whose first pixel is at top, left, is nan or inf.

    The largest of such scores would be class 0 everywhere.
    """
    is_finite = array_module(score).isfinite(score)
    if not is_finite.all():
        number, row, column = np.argwhere(~to_numpy(is_finite[0]))[0].tolist()
        value = float(score[0, number, row, column])
        raise NotFinite(f'{output} of class {number} at row {top + row}, column {left + column} '
                        f'is {value}, which is no score: the weights, or what net.about says '
                        f'about mean and std, are damaged')


class NotFinite(ValueError):
    """A score that is nan or infinite."""


# ---- At once

def predict_scores(net: Net, x: Array) -> dict[str, Array]:
    """The scores of every pixel of x (1, C, H, W). -> {output: (1, classes, H, W)}"""
    h, w = x.shape[2:]
    scores = {output: score[:, :, :h, :w]
              for output, score in by_output(net.forward(mirror_pad(net, x))).items()}
    for output, score in scores.items():
        if score.shape[2:] != (h, w):
            raise ValueError(f'{output} has {score.shape[2]}×{score.shape[3]} scores for an image '
                             f'of {h}×{w} pixels: this net does not predict the class of every '
                             f'pixel; tinyfcn.prediction.classify.classify gives that of an image')
    return scores


def mirror_pad(net: Net, x: Array) -> Array:
    """x, padded by mirroring where the net's convolutions are not padded.

    "Extrapolated by mirroring" (U-Net): without it the first score would lie inside the image.
    """
    margin = border(net)
    if not margin:
        return x
    around = [(0, 0), (0, 0), (margin, margin), (margin, margin)]
    padded: Array = array_module(x).pad(x, around, mode='symmetric')
    return padded


def border(net: Net) -> int:
    """How many pixels `mirror_pad` adds on each side."""
    return max(first_score_offset(net[output].alignment) for output in net.outputs(train=False))


def first_score_offset(alignment: Alignment | Unaligned) -> int:
    """How many pixels of the image lie before its first score."""
    if isinstance(alignment, Unaligned):
        return 0
    return max(0, *map(ceil, alignment.shift))


# ---- In tiles

def iter_tiles(net: Net, x: Array, core: int) -> Iterator[Piece]:
    """The scores of x (1, C, H, W) in squares of core×core pixels, each predicted with a margin.

    `core` is a multiple of the largest stride: every pool then has the same windows as in the whole
    image. A square for which the memory is not enough after all is predicted in smaller ones.
    """
    h, w = x.shape[2:]
    yield from _iter_squares(net, mirror_pad(net, x), core, range(h), range(w))


def _iter_squares(net: Net, padded: Array, core: int, rows: range,
                  columns: range) -> Iterator[Piece]:
    """The scores of some rows and columns of the image, which `mirror_pad` has padded."""
    for top in rows[::core]:
        for left in columns[::core]:
            square = (range(top, min(rows.stop, top + core)),
                      range(left, min(columns.stop, left + core)))
            try:
                piece = _predict_square(net, padded, *square)
            except MemoryError:
                smaller = core // 2
                if smaller == 0 or smaller % max_stride(net):
                    raise
                yield from _iter_squares(net, padded, smaller, *square)
            else:
                yield piece


def _predict_square(net: Net, padded: Array, rows: range, columns: range) -> Piece:
    """The scores of a square, predicted with as much around it as they see."""
    margin = tile_margin(net)
    row0 = max(0, rows.start - margin)                  # the tile begins here,
    col0 = max(0, columns.start - margin)
    top = rows.start - row0                             # and the square here in the tile
    left = columns.start - col0
    # padding has moved pixel i to i + border; its score is still at i
    after = margin + 2 * border(net)
    tile = padded[:, :, row0:rows.stop + after, col0:columns.stop + after]
    scores = by_output(net.forward(array_module(padded).ascontiguousarray(tile)))
    return Piece(slice(rows.start, rows.stop), slice(columns.start, columns.stop),
                 {output: score[:, :, top:top + len(rows), left:left + len(columns)]
                  for output, score in scores.items()})


def largest_tile(net: Net, max_memory: float, longest: float = inf) -> int:
    """The largest core of a tile: the largest stride, doubled as long as it fits into the memory.

    max_memory: in bytes, for a tile with its margins on both sides
    longest: the longer side of the image, which needs no larger core
    """
    require_tileable(net)
    stride = max_stride(net)
    margins = 2 * (tile_margin(net) + border(net))
    needed = peak(net, [margins + stride] * 2)
    if needed > max_memory:
        raise ValueError(f'even the smallest tile takes {needed / 1e6:,.0f} MB of memory with this '
                         f'net, and {max_memory / 1e6:,.0f} MB may be used')
    core = stride
    while core < longest and peak(net, [margins + 2 * core] * 2) <= max_memory:
        core *= 2
    return core


def require_tileable(net: Net) -> None:
    """Raise if tiles of an image would have other scores than the whole."""
    route = net.route(train=False)
    reasons = [str(box.alignment) for box in route if isinstance(box.alignment, Unaligned)]
    # 65 rows that become 513 are stretched by less than 8, and 64 that become 512 by 8
    reasons += [f'{box} is {net[box.inputs[0]]}, stretched to the size of the image, and the part '
                f'in a tile would be stretched otherwise' for box in route
                if box.op.__name__ == 'resize'
                and isinstance(net[box.inputs[0]].alignment, Alignment)]
    if reasons:
        raise ValueError(f'this image needs more memory than may be used, and this net cannot '
                         f'predict it in tiles: {reasons[0]}. Reduce the image with longest=640 '
                         f'(--longest 640), or predict it in windows with window=')


def max_stride(net: Net) -> int:
    """The largest stride of any box."""
    return max(ceil(max(alignment.scale)) for alignment in _alignments(net.route(train=False)))


def tile_margin(net: Net) -> int:
    """Half of the receptive field of a score, rounded up to a multiple of the largest stride."""
    stride = max_stride(net)
    outputs = _alignments(net[output] for output in net.outputs(train=False))
    field = max(max(alignment.field) for alignment in outputs)
    return ceil(field / 2 / stride) * stride


def _alignments(boxes: Iterable[Box]) -> list[Alignment]:
    return [box.alignment for box in boxes if isinstance(box.alignment, Alignment)]
