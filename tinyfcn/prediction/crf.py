"""The fully connected CRF: all pairs of pixels are connected, weighted by their similarity.

    E(l) = −Σᵢ log pᵢ(lᵢ) + Σ over pairs i < j with lᵢ ≠ lⱼ of k(i, j)
    k(i, j) = w₁ exp(−|sᵢ − sⱼ|²/2α² − |cᵢ − cⱼ|²/2β²) + w₂ exp(−|sᵢ − sⱼ|²/2γ²)

    q = mean_field(prob, image, SETTINGS['deeplab_resnet101'])          q.argmax(0) is the mask

p are the net's probabilities, s is the position of a pixel, c its colour (0 … 255). The first
kernel is called the appearance kernel, the second the smoothness kernel. Each is normalised by
√(K1) on both sides, K̂ = D^-½ K D^-½, so that a weight has the same effect in every image.

The model and its mean field are Krähenbühl & Koltun's (NIPS 2011); the permutohedral lattice, which
makes a sum over all pairs affordable, is Adams, Baek & Davis's (Eurographics 2010).
"""
from collections.abc import Callable, Mapping
from math import inf, prod
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from ..data.labels import Array
from ..runtime.backend import array_module
from ..runtime.machine import available_memory
from .tiles import MEMORY_SHARE

Filter: TypeAlias = Callable[[Array], Array]            # K̂ as a function: x (N, C) -> K̂ x (N, C)

SETTINGS: dict[str, dict[str, float]] = {
    'pydensecrf': dict(w1=10, alpha=80, beta=13, w2=3, gamma=3),        # its README; 5 iterations
    'deeplab_vgg': dict(w1=4, alpha=65, beta=3, w2=2, gamma=2),         # version 2; 10, as below
    'deeplab_resnet101': dict(w1=4, alpha=67, beta=3, w2=3, gamma=1),
    'deconvnet': dict(w1=5, alpha=20, beta=3, w2=3, gamma=3),
}

MAX_EXACT_ENTRIES = 5e7             # of the kernel matrix of all pairs: 0.4 GB


def mean_field(prob: Array, image: Array, settings: Mapping[str, float], iterations: int = 10,
               exact: bool = False) -> Array:
    """Q ← softmax(log p + Σ w K̂ Q) for all pixels at once, starting with Q = p.

    prob (C, H, W), the softmax of a net's score; image (H, W, 3) uint8 -> Q (C, H, W)
    settings: a row of SETTINGS. exact=True sums over all pairs, for small images; otherwise the
    permutohedral lattice approximates the sums. A probability of 0 stays 0.
    """
    _check(prob, image, settings)
    send_messages = message_passing(image, settings, exact, prob.dtype)
    q = prob.reshape(len(prob), -1).T.copy()                            # (N, C)
    with np.errstate(divide='ignore'):
        log_p = np.log(q)
    for _ in range(iterations):
        q = send_messages(q)
        q += log_p
        q -= q.max(1, keepdims=True)
        np.exp(q, out=q)
        q /= q.sum(1, keepdims=True)
    return np.ascontiguousarray(q.T).reshape(prob.shape)


def memory_needed(size: tuple[int, int], n_class: int) -> float:
    """The most bytes that `mean_field` takes with the lattice, as measured for float32.

    A pixel takes as much if no other is near it in position and colour, as in noise; in photos most
    pixels share their lattice points, and it is a half.
    """
    h, w = size
    return h * w * (1650 + 32 * n_class) + 32 * (h * h + w * w)


def require_memory(size: tuple[int, int], n_class: int, max_memory: float | None = None) -> None:
    """Raise if `mean_field` may take more than max_memory bytes; by default most of the memory."""
    limit = MEMORY_SHARE * available_memory() if max_memory is None else max_memory
    needed = memory_needed(size, n_class)
    if needed > limit:
        raise ValueError(f'the CRF of {size[0]}×{size[1]} pixels and {n_class} classes takes up to '
                         f'{needed / 1e6:,.0f} MB of memory, and {limit / 1e6:,.0f} MB may be '
                         f'used: reduce the image with longest=640 (--longest 640), or leave out '
                         f'crf')


def energy(q: Array, prob: Array, image: Array, settings: Mapping[str, float]) -> float:
    """F = Σ Q log(Q/p) + ½ Σᵢⱼ k̂(i, j) (1 − ⟨Qᵢ, Qⱼ⟩), which an exact step never raises.

    q and prob (C, H, W), image (H, W, 3) uint8 -> a number, 0 or more
    A Gaussian kernel with its diagonal (i = j) has no negative eigenvalue, so −½ QᵀK̂Q is concave
    and lies below its tangents. A step minimises all of F with a tangent in its place.
    """
    from scipy.special import rel_entr
    _check(prob, image, settings)
    _check(q, image, settings, 'q')
    if q.shape != prob.shape:
        raise ValueError(f'q is {q.dtype} {q.shape} and prob has shape {prob.shape}; both are '
                         f'needed over the same classes')
    q, prob = (x.reshape(len(x), -1).T.astype('float64') for x in (q, prob))
    send_messages = message_passing(image, settings, True, q.dtype)
    unary = rel_entr(q, prob).sum()
    all_pairs = send_messages(np.ones((len(q), 1))).sum()
    same_class = (q * send_messages(q)).sum()
    return float(unary + (all_pairs - same_class) / 2)


def message_passing(image: Array, settings: Mapping[str, float], exact: bool,
                    dtype: DTypeLike) -> Filter:
    """-> Q (N, C) ↦ Σ w K̂ Q: the message that each pixel gets from all pixels."""
    size = image.shape[:2]
    w1, w2, alpha, beta, gamma = (float(settings[name])
                                  for name in ('w1', 'w2', 'alpha', 'beta', 'gamma'))
    positions = np.indices(size).reshape(2, -1).T
    colours = image.reshape(-1, 3)
    features = np.hstack([positions / alpha, colours / beta])
    appearance = exact_filter(features, dtype) if exact else lattice_filter(features, dtype)
    smoothness = spatial_filter(size, gamma, dtype)
    return lambda q: w1 * appearance(q) + w2 * smoothness(q)


def exact_filter(features: Array, dtype: DTypeLike) -> Filter:
    """K̂ x for k(i, j) = exp(−|fᵢ − fⱼ|²/2), pair by pair.   features (N, d) -> a function"""
    from scipy.spatial.distance import cdist
    n = len(features)
    if n ** 2 > MAX_EXACT_ENTRIES:
        raise ValueError(f'{n} pixels have {n ** 2:.2g} pairs; at most {MAX_EXACT_ENTRIES:.0e} '
                         f'are computed exactly: use a smaller image, or the lattice (exact=False)')
    kernel = _normalised(cdist(features, features, 'sqeuclidean'), dtype)
    return lambda x: kernel @ x


def spatial_filter(size: tuple[int, ...], reach: float, dtype: DTypeLike) -> Filter:
    """K̂ x = R x Cᵀ: a Gaussian of positions alone is separable, and so is its K1.

    size (H, W), reach γ -> a function of x (H·W, C)
    """
    h, w = size
    rows, columns = (_normalised((np.subtract.outer(range(n), range(n)) / reach) ** 2, dtype)
                     for n in size)

    def filter_both_axes(x: Array) -> Array:
        along_rows = rows @ x.reshape(h, -1)
        filtered: Array = columns @ along_rows.reshape(h, w, -1)
        return filtered.reshape(x.shape)

    return filter_both_axes


def _normalised(square: Array, dtype: DTypeLike) -> Array:
    """Squared distances (N, N) -> K̂ (N, N)"""
    kernel = np.exp(square / -2)
    kernel[kernel < 1e-16] = 0          # lost in any sum, and slow where float32 is denormal
    norm = np.sqrt(kernel.sum(1))
    kernel /= norm
    kernel /= norm[:, None]
    return kernel.astype(dtype)


def lattice_filter(features: Array, dtype: DTypeLike) -> Filter:
    """K̂ x ≈ S B Sᵀ x: splat each pixel on the lattice points around it, blur, slice.

    features (N, d) -> a function of x (N, C); S (N, points) is sparse, d + 1 entries a row

    1. The permutohedral lattice has the integer points of d + 1 dimensions, projected along the
       diagonal: z and z + (1, …, 1) are the same point. The features are embedded in the plane
       orthogonal to the diagonal.
    2. A pixel lies in a simplex of d + 1 lattice points. They are found by starting at its floor
       and going one step up along one axis after another, in the order of the largest remainder.
       Its barycentric coordinates there are the weights of S.
    3. B blurs along each of the d + 1 axes with (½, 1, ½).
    4. S is scaled so that the result is normalised by √(K1) on both sides.
    """
    from scipy.linalg import helmert
    from scipy.sparse import csr_array, eye_array
    n, d = features.shape
    # In units of a lattice step, S, B and Sᵀ blur by variances of 1/12, 1/2 and 1/12: together 2/3.
    # The Gaussian of K has variance 1, so the features are scaled by √(2/3)
    y = np.sqrt(2 / 3) * features @ helmert(d + 1)                      # (N, d + 1)
    floor = np.floor(y)
    order = np.argsort(floor - y, axis=1, kind='stable')
    remainders = np.take_along_axis(y - floor, order, axis=1)
    barycentric = -np.diff(remainders, append=remainders[:, :1] - 1)    # sums to 1

    points, at, steps = _lattice_points(floor, order)
    m = len(points)
    row_starts = np.arange(n + 1) * (d + 1)
    splat = csr_array((barycentric.astype(dtype).ravel(), at.ravel(), row_starts), shape=(n, m))
    blurs = []
    for step in steps:                                                  # ½ 1 ½ along each axis
        _, there, here = np.intersect1d(points, points + step, True, return_indices=True)
        half = csr_array((np.full(len(here), .5, dtype), (here, there)), shape=(m, m))
        blurs.append((eye_array(m, dtype=dtype, format='csr') + half + half.T).tocsr())

    def splat_blur_slice(x: Array) -> Array:
        x = splat.T @ x
        for blur in blurs:
            x = blur @ x
        sliced: Array = splat @ x
        return sliced

    norm = np.sqrt(splat_blur_slice(np.ones((n, 1), dtype)))
    splat.data /= np.repeat(norm, d + 1)
    return splat_blur_slice


class _LatticePoints(NamedTuple):
    """The lattice points that have a pixel near them, each under a number of its own."""

    numbers: Array                      # (M,), ascending
    of_pixels: Array                    # (N, d + 1), indices into `numbers`
    steps: Array                        # (d + 1,), what a step along each axis adds to a number


def _lattice_points(floor: Array, order: Array) -> _LatticePoints:
    """Number the d + 1 lattice points around each pixel; the last of them is its floor again.

    floor, order (N, d + 1). A number is the position of a point, written in a mixed radix.
    """
    position = floor[:, :-1] - floor[:, -1:]        # z and z + (1, …, 1) have the same position
    span = (np.ptp(position, axis=0) + 4).tolist()  # with room for a step, and for its neighbour
    if not prod(span) < 2. ** 62:
        raise ValueError(f'the lattice has {prod(span):.1e} points, too many to be numbered: '
                         f'use a larger alpha or beta')
    digits = np.array([prod(map(int, span[:i])) for i in range(len(span))])
    steps = np.append(digits, -digits.sum())        # one up on the last is one down on the others
    numbers = (position.astype('int64') @ digits)[:, None] + steps[order].cumsum(1)
    unique, inverse = np.unique(numbers, return_inverse=True)
    return _LatticePoints(unique, inverse, steps)


def _check(prob: Array, image: Array, settings: Mapping[str, float], name: str = 'prob') -> None:
    for what, array in {name: prob, 'image': image}.items():
        if array_module(array) is not np:
            raise TypeError(f'{what} is on a GPU; the CRF computes on the host: pass {what}.get()')
    if prob.dtype not in ('float32', 'float64') or prob.ndim != 3 or not prob.size:
        raise ValueError(f'{name} is {prob.dtype} {prob.shape}; float32 or float64 (C, H, W) is '
                         f'needed, the softmax of a score')
    if image.dtype != 'uint8' or image.shape != (*prob.shape[1:], 3):
        raise ValueError(f'image is {image.dtype} {image.shape} and {name} has shape {prob.shape}; '
                         f'the image itself is needed, uint8 {(*prob.shape[1:], 3)}')
    total = prob.sum(0)
    invalid = ~((abs(total - 1) < 1e-3) & (prob >= 0).all(0))           # also where it is nan
    if invalid.any():
        i, j = (int(k) for k in np.argwhere(invalid)[0])
        raise ValueError(f'{name} has sum {total[i, j]:.6g} and minimum {prob[:, i, j].min():.3g} '
                         f'at row {i}, column {j}, and {invalid.sum()} such pixels in all: '
                         f'probabilities are 0 or more and sum to 1; take the softmax of a score')
    if set(settings) != {'w1', 'alpha', 'beta', 'w2', 'gamma'}:
        raise ValueError(f'settings has {sorted(settings)}; w1, alpha, beta, w2 and gamma are '
                         f'needed, as in a row of SETTINGS')
    for key, value in settings.items():
        may_be_0 = key in ('w1', 'w2')
        if not (0 < value < inf or value == 0 and may_be_0):
            raise ValueError(f'{key} is {value}; weights (w1, w2) are 0 or more, and alpha, beta '
                             f'and gamma above 0')
