"""L18: the bilateral kernel between all pixels, and mean field with it."""
import numpy as np

from ...prediction import crf
from .exercise import Exercise


def bilateral_kernel(image, alpha, beta):
    """The normalised kernel K̂ as a matrix, (N, N)."""
    settings = dict(w1=1., alpha=alpha, beta=beta, w2=0., gamma=1.)
    n_pixels = image.shape[0] * image.shape[1]
    return crf.message_passing(image, settings, True, 'float64')(np.eye(n_pixels))


def unnormalised(image, alpha, beta, power=2, half=2, positions=1, colours=1, dtype='float64'):
    """The kernel before it is normalised, from its parts.

    power: of the distances; half: their divisor; positions, colours: 0 leaves one of them out
    """
    place = np.indices(image.shape[:2]).reshape(2, -1).T
    colour = image.reshape(-1, 3).astype(dtype)
    place_difference = place[:, None] - place
    colour_difference = (colour[:, None] - colour).astype('float64')
    place_distance = np.sqrt((place_difference ** 2).sum(2)) / alpha
    colour_distance = np.sqrt((colour_difference ** 2).sum(2)) / beta
    exponent = positions * place_distance ** power + colours * colour_distance ** power
    return np.exp(-exponent / half)


def normalise(kernel):
    root = np.sqrt(kernel.sum(1))
    return kernel / root / root[:, None]


def change_kernel(**changes):
    """The normalised kernel with other arguments of unnormalised()."""
    def mistake(image, alpha, beta):
        return normalise(unnormalised(image, alpha, beta, **changes))
    return mistake


def divide_without_root(image, alpha, beta):
    kernel = unnormalised(image, alpha, beta)
    return kernel / kernel.sum(1) / kernel.sum(1)[:, None]


def square_in_uint8(image, alpha, beta):
    """A difference of 16 has the square 0."""
    colour = image.reshape(-1, 3)
    colour_distance = ((colour[:, None] - colour) ** 2).sum(2)
    positions = unnormalised(image, alpha, beta, colours=0)
    return normalise(positions * np.exp(-(colour_distance / beta ** 2) / 2))


def swap_positions(image, alpha, beta):
    """The positions column by column, the colours row by row."""
    rotated = unnormalised(image.swapaxes(0, 1), alpha, beta, colours=0)
    return normalise(rotated * unnormalised(image, alpha, beta, positions=0))


def divide_rows(image, alpha, beta):
    kernel = unnormalised(image, alpha, beta)
    return kernel / kernel.sum(1, keepdims=True)


def without_diagonal(image, *args):
    n_pixels = image.shape[0] * image.shape[1]
    return normalise(unnormalised(image, *args) * (1 - np.eye(n_pixels)))


def random_image(h, w, seed=0, spread=40):
    rng = np.random.default_rng((seed, h, w))
    return (100 + rng.integers(-spread, spread, (h, w, 3))).astype('uint8')


BILATERAL_KERNEL = Exercise(inputs='image alpha beta', outputs='k', cases=[
    (np.array([[[10, 20, 30], [10, 20, 34]]], 'uint8'), 2., 4.),
    (np.array([[[90, 80, 70]], [[88, 80, 70]]], 'uint8'), 1., 2.),
    (random_image(2, 2), 1.5, 60.),
    (random_image(2, 3, spread=90), 2., 90.),
    (random_image(4, 3, seed=1), 3., 40.),
], solution=bilateral_kernel, mistakes={
    'The kernel is not normalised. Divide by the square roots of the sums of row i and of '
    'column j.': unnormalised,
    'Each row is divided by its own sum, which makes the kernel asymmetric. Divide by the square '
    'roots of both sums, of row i and of column j.':
        divide_rows,
    'The square root is missing: divide by the root of the product of the two sums.':
        divide_without_root,
    'The ½ is missing in exp(−d²/2).': change_kernel(half=1),
    'The distances are not squared.': change_kernel(power=1),
    'The colours are subtracted in uint8, which wraps around below 0. Convert them to float first.':
        change_kernel(dtype='uint8'),
    'The colours are subtracted and squared in uint8, which wraps around. Convert them to float '
    'first.': square_in_uint8,
    'The positions go column by column. The pixels are in the order of image.reshape(-1, 3), row '
    'by row.': swap_positions,
    'The colour term is missing. Both terms belong in one exponent.':
        change_kernel(colours=0),
    'The position term is missing. Both terms belong in one exponent.':
        change_kernel(positions=0),
    'alpha and beta are swapped. alpha is for positions, beta for colours.':
        lambda image, alpha, beta: bilateral_kernel(image, beta, alpha),
    'The diagonal is 0. Here a pixel is connected with itself too.': without_diagonal,
})


def mean_field(prob, image, settings, iterations):
    return crf.mean_field(prob, image, settings, iterations, exact=True)


def update_by(rule):
    """rule(p, q, pairs) -> the q of the next round; p and q are (N, C)."""
    def mistake(prob, image, settings, iterations):
        p = prob.reshape(len(prob), -1).T
        q = p
        for _ in range(iterations):
            q = rule(p, q, crf.message_passing(image, settings, True, 'float64'))
        return np.ascontiguousarray(q.T).reshape(prob.shape)
    return mistake


def divide_by_sum(x, axis=1):
    return x / x.sum(axis, keepdims=True)


def sequential_update(p, q, pairs):
    kernel = pairs(np.eye(len(q)))
    q = q.copy()
    for i in range(len(q)):
        q[i] = divide_by_sum(p[i:i + 1] * np.exp(kernel[i:i + 1] @ q))
    return q


def mean_field_case(n_class, h, w, iterations, seed=0, **settings):
    rng = np.random.default_rng((seed, n_class, h, w))
    prob = rng.integers(1, 9, (n_class, h, w)) * 1.
    settings = {**dict(w1=2., alpha=2., beta=30., w2=1., gamma=1.), **settings}
    return prob / prob.sum(0), random_image(h, w, seed), settings, iterations


MEAN_FIELD = Exercise(inputs='prob image settings iterations', outputs='q', cases=[
    mean_field_case(2, 1, 2, 1),
    mean_field_case(2, 2, 2, 1, w2=0.),
    mean_field_case(2, 2, 2, 2),
    mean_field_case(3, 2, 3, 1),
    mean_field_case(3, 3, 4, 4, seed=1),
], solution=mean_field, mistakes={
    'From the second round on the output of the net is lost. It is always p·exp(message), with '
    'the p that came in.': update_by(lambda p, q, pairs: divide_by_sum(q * np.exp(pairs(q)))),
    'The output of the net is missing. q is p·exp(message), divided by its sum.':
        update_by(lambda p, q, pairs: divide_by_sum(np.exp(pairs(q)))),
    'All rounds give the result of the first one. The messages come from the current q, not '
    'from p.': update_by(lambda p, q, pairs: divide_by_sum(p * np.exp(pairs(p)))),
    'The sign is wrong. A larger message for a class makes that class more probable.':
        update_by(lambda p, q, pairs: divide_by_sum(p * np.exp(-pairs(q)))),
    'The message is added to p. It is added to log p, so multiply p by its exp.':
        update_by(lambda p, q, pairs: divide_by_sum(p + pairs(q))),
    'The probabilities of a pixel do not sum to 1. Divide by their sum over the classes.':
        update_by(lambda p, q, pairs: p * np.exp(pairs(q))),
    'The sum runs over the pixels. It should run over the classes of one pixel.':
        update_by(lambda p, q, pairs: divide_by_sum(p * np.exp(pairs(q)), 0)),
    'The pixels are updated one after the other, so that each uses the new q of those before it. '
    'Update all of them at once, from the same q.': update_by(sequential_update),
})

EXERCISES = dict(bilateral_kernel=BILATERAL_KERNEL, mean_field=MEAN_FIELD)
