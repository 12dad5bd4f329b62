"""The fully connected CRF: every pixel hears all others, the more alike they are the louder.

    E(l) = −Σᵢ log pᵢ(lᵢ) + Σ over pairs i < j with lᵢ ≠ lⱼ of k(i, j)
    k(i, j) = w₁ exp(−|sᵢ − sⱼ|²/2α² − |cᵢ − cⱼ|²/2β²) + w₂ exp(−|sᵢ − sⱼ|²/2γ²)

    q = mean_field(prob, image, SETTINGS['deeplab_resnet101'])          q.argmax(0) is the mask

p is what a net says, s where a pixel is, c its colour (0 … 255). Each of the two kernels is divided
by √(K1) on both sides, K̂ = D^-½ K D^-½, so that a weight means the same in every picture.

The model and its mean field are Krähenbühl & Koltun's (NIPS 2011); the lattice that makes a sum
over all pairs affordable is Adams, Baek & Davis's (Eurographics 2010).
"""
from math import inf, prod

import numpy as np

from ..runtime.backend import array_module

SETTINGS = {
    'pydensecrf': dict(w1=10, alpha=80, beta=13, w2=3, gamma=3),        # its README; 5 iterations
    'deeplab_vgg': dict(w1=4, alpha=65, beta=3, w2=2, gamma=2),         # version 2; 10, as below
    'deeplab_resnet101': dict(w1=4, alpha=67, beta=3, w2=3, gamma=1),
    'deconvnet': dict(w1=5, alpha=20, beta=3, w2=3, gamma=3),
}

LARGEST = 5e7       # entries of an exact kernel: 0.4 GB


def mean_field(prob, image, how, iterations=10, exact=False):
    """Q ← softmax(log p + Σ w K̂ Q), everywhere at once, beginning with Q = p.

    prob (C, H, W), the softmax of a net's score; image (H, W, 3) uint8 -> Q (C, H, W)
    how: a row of SETTINGS. exact sums over all pairs, for small pictures; else the lattice.
    What has probability 0 stays at 0.
    """
    _check(prob, image, how)
    pairs = messages(image, how, exact, prob.dtype)
    q = prob.reshape(len(prob), -1).T.copy()                            # (N, C)
    with np.errstate(divide='ignore'):
        log_p = np.log(q)
    for _ in range(iterations):
        q = pairs(q)
        q += log_p
        q -= q.max(1, keepdims=True)
        np.exp(q, out=q)
        q /= q.sum(1, keepdims=True)
    return np.ascontiguousarray(q.T).reshape(prob.shape)


def energy(q, prob, image, how):
    """F = Σ Q log(Q/p) + ½ Σᵢⱼ k̂(i, j) (1 − ⟨Qᵢ, Qⱼ⟩), which an exact step never raises.

    q and prob (C, H, W), image (H, W, 3) uint8 -> a number, 0 or more
    A Gaussian that counts i = j has no negative eigenvalue, so −½ QᵀK̂Q is concave: it lies below
    its tangents, and a step minimises all of F with a tangent in its place.
    """
    from scipy.special import rel_entr
    _check(prob, image, how)
    _check(q, image, how, 'q')
    if q.shape != prob.shape:
        raise ValueError(f'q is {q.dtype} {q.shape} and prob has shape {prob.shape}; both are '
                         f'needed over the same classes')
    q, prob = (x.reshape(len(x), -1).T.astype('float64') for x in (q, prob))
    pairs = messages(image, how, True, q.dtype)
    return float(rel_entr(q, prob).sum() + (pairs(np.ones((len(q), 1))).sum()
                                            - (q * pairs(q)).sum()) / 2)


def messages(image, how, exact, dtype):
    """-> Σ w K̂ as a function of Q (N, C): what all pixels tell each of them."""
    (h, w), how = image.shape[:2], {name: float(value) for name, value in how.items()}
    places, colours = np.indices((h, w)).reshape(2, -1).T, image.reshape(-1, 3)
    features = np.hstack([places / how['alpha'], colours / how['beta']])
    alike = (brute_force if exact else lattice)(features, dtype)
    near = spatial((h, w), how['gamma'], dtype)
    return lambda q: how['w1'] * alike(q) + how['w2'] * near(q)


def brute_force(features, dtype):
    """K̂ x for k(i, j) = exp(−|fᵢ − fⱼ|²/2), pair by pair.   features (N, d) -> a function"""
    from scipy.spatial.distance import cdist
    if (n := len(features)) ** 2 > LARGEST:
        raise ValueError(f'{n} pixels have {n ** 2:.2g} pairs, of which {LARGEST:.0e} fit: '
                         f'take a smaller picture, or the lattice (exact=False)')
    kernel = _normalised(cdist(features, features, 'sqeuclidean'), dtype)
    return lambda x: kernel @ x


def spatial(size, reach, dtype):
    """K̂ x = R x Cᵀ, for a Gaussian of places alone is one along each axis, and so is its K1.

    size (H, W), reach γ -> a function of x (H·W, C)
    """
    h, w = size
    rows, columns = (_normalised((np.subtract.outer(range(n), range(n)) / reach) ** 2, dtype)
                     for n in size)
    return lambda x: (columns @ (rows @ x.reshape(h, -1)).reshape(h, w, -1)).reshape(x.shape)


def _normalised(square, dtype):
    """Squared distances (N, N) -> K̂ (N, N)"""
    kernel = np.exp(square / -2)
    kernel[kernel < 1e-16] = 0          # lost in any sum, and slow where float32 is denormal
    norm = np.sqrt(kernel.sum(1))
    kernel /= norm
    kernel /= norm[:, None]
    return kernel.astype(dtype)


def lattice(features, dtype):
    """K̂ x ≈ S B Sᵀ x: splat each pixel on the corners around it, blur there, slice the same way.

    features (N, d) -> a function of x (N, C); S (N, corners) is sparse, d + 1 entries a row
    The permutohedral lattice is the whole points of d + 1 numbers, seen along their diagonal: z and
    z + (1, …, 1) are one. The corners around a pixel are met by going from its floor one up along
    one axis after another, where most is left first.
    """
    from scipy.linalg import helmert
    from scipy.sparse import csr_array, eye_array
    n, d = features.shape
    # S, B and Sᵀ spread a pixel by variances 1/12, 1/2, 1/12 of a step: 2/3, where K has 1
    y = np.sqrt(2 / 3) * features @ helmert(d + 1)                      # (N, d + 1)
    floor = np.floor(y)
    order = np.argsort(floor - y, axis=1, kind='stable')
    part = np.take_along_axis(y - floor, order, axis=1)
    share = -np.diff(part, append=part[:, :1] - 1)                      # barycentric, sums to 1

    corners, where, steps = _corners(floor, order)
    m = len(corners)
    weights = csr_array((share.astype(dtype).ravel(), where.ravel(), np.arange(n + 1) * (d + 1)),
                        shape=(n, m))
    blurs = []
    for step in steps:                                                  # ½ 1 ½ along each axis
        _, there, here = np.intersect1d(corners, corners + step, True, return_indices=True)
        half = csr_array((np.full(len(here), .5, dtype), (here, there)), shape=(m, m))
        blurs.append((eye_array(m, dtype=dtype, format='csr') + half + half.T).tocsr())

    def filtered(x):
        x = weights.T @ x
        for blur in blurs:
            x = blur @ x
        return weights @ x

    weights.data /= np.repeat(np.sqrt(filtered(np.ones((n, 1), dtype))), d + 1)
    return filtered


def _corners(floor, order):
    """Give every corner a number of its own; the last that a pixel meets is its floor again.

    floor, order (N, d + 1) -> the corners' numbers, ascending (M,); which of them each pixel meets
    (N, d + 1); what a step along each axis adds to such a number (d + 1,)
    """
    place = floor[:, :-1] - floor[:, -1:]
    span = (np.ptp(place, axis=0) + 4).tolist()     # room for a step, and for a neighbour of that
    if not prod(span) < 2. ** 62:
        raise ValueError(f'the lattice has {prod(span):.1e} places, too many to be numbered: '
                         f'take a larger alpha or beta')
    digits = np.array([prod(map(int, span[:i])) for i in range(len(span))])
    steps = np.append(digits, -digits.sum())        # one up on the last is one down on the others
    met = (place.astype('int64') @ digits)[:, None] + steps[order].cumsum(1)
    return *np.unique(met, return_inverse=True), steps


def _check(prob, image, how, name='prob'):
    for what, array in {name: prob, 'image': image}.items():
        if array_module(array) is not np:
            raise TypeError(f'{what} is on a GPU; the CRF computes on the host: pass {what}.get()')
    if prob.dtype not in ('float32', 'float64') or prob.ndim != 3 or not prob.size:
        raise ValueError(f'{name} is {prob.dtype} {prob.shape}; float32 or float64 (C, H, W) is '
                         f'needed, the softmax of a score')
    if image.dtype != 'uint8' or image.shape != (*prob.shape[1:], 3):
        raise ValueError(f'image is {image.dtype} {image.shape} and {name} has shape {prob.shape}; '
                         f'the picture itself is needed, uint8 {(*prob.shape[1:], 3)}')
    total = prob.sum(0)
    strange = ~((abs(total - 1) < 1e-3) & (prob >= 0).all(0))           # nan is strange, too
    if strange.any():
        i, j = (int(k) for k in np.argwhere(strange)[0])
        raise ValueError(f'{name} has sum {total[i, j]:.6g} and least {prob[:, i, j].min():.3g} at '
                         f'row {i}, column {j}, and {strange.sum()} such pixels in all: '
                         f'probabilities are 0 or more and sum to 1; take the softmax of a score')
    if set(how) != {'w1', 'alpha', 'beta', 'w2', 'gamma'}:
        raise ValueError(f'how has {sorted(how)}; w1, alpha, beta, w2 and gamma are needed, '
                         f'as a row of SETTINGS has them')
    for key, value in how.items():
        if not (0 < value < inf or value == 0 and key in ('w1', 'w2')):
            raise ValueError(f'{key} is {value}; a weight is 0 or more, a reach above 0')
