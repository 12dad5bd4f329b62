"""What the kernels of dropout share: which units are kept, drawn on the host, and their factor."""
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 16         # units that are drawn at a time: their bits stay in the L2 cache


def draw_kept(rng: Any, shape: tuple[int, ...], p: float) -> NDArray[np.bool_]:
    """rng.random(shape, 'float32') >= p, in less time: the floats are not made.

    PCG64 gives 64 random bits at a time, of which NumPy takes the lower 32 first. What remains of
    an odd number of units it keeps for the next call, so these are left to NumPy.
    """
    count = prod(shape)
    source = getattr(rng, 'bit_generator', None)
    if not isinstance(source, np.random.PCG64) or source.state['has_uint32'] or count % 2:
        return rng.random(shape, 'float32') >= p        # type: ignore[no-any-return]
    kept = np.empty(count, bool)
    for start in range(0, count, PIECE):
        piece = kept[start:start + PIECE]
        bits = source.random_raw(piece.size // 2).astype('<u8', copy=False).view('<u4')
        piece[...] = is_kept(bits, p)
    return kept.reshape(shape)


def is_kept(bits: NDArray[np.uint32], p: float) -> NDArray[np.bool_]:
    """Whether ⌊u / 2⁸⌋ / 2²⁴, the float32 that NumPy makes of 32 random bits u, is at least p."""
    least = ceil(float(np.float32(p)) * (1 << 24))
    return bits >= least << 8                           # for p = 1 more than any 32 bits


def scale_of_kept(p: float) -> float:
    """1 / (1 − p), by which the units that are kept make up for the others."""
    return 1 / (1 - p) if p < 1 else 0.
