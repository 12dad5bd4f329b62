"""L16: how alike two pixels are, and what they then make each other believe."""
import numpy as np

from ...prediction import crf
from .exercise import Exercise


def kernel(image, alpha, beta):
    """K̂, whole: what each pixel hears of every other."""
    how = dict(w1=1., alpha=alpha, beta=beta, w2=0., gamma=1.)
    return crf.messages(image, how, True, 'float64')(np.eye(image.shape[0] * image.shape[1]))


def plain(image, alpha, beta, power=2, half=2, near=1, alike=1, colours='float64'):
    """The kernel before it is normalised, from its parts."""
    places = np.indices(image.shape[:2]).reshape(2, -1).T
    c = image.reshape(-1, 3).astype(colours)
    apart = np.sqrt(((places[:, None] - places) ** 2).sum(2)) / alpha
    unlike = np.sqrt(((c[:, None] - c).astype('float64') ** 2).sum(2)) / beta
    return np.exp(-(near * apart ** power + alike * unlike ** power) / half)


def normalised(k):
    root = np.sqrt(k.sum(1))
    return k / root / root[:, None]


def a_picture(h, w, at=0, spread=40):
    rng = np.random.default_rng((at, h, w))
    return (100 + rng.integers(-spread, spread, (h, w, 3))).astype('uint8')


ALIKE = Exercise('image alpha beta', 'k', [
    (np.array([[[10, 20, 30], [10, 20, 34]]], 'uint8'), 2., 4.),
    (np.array([[[90, 80, 70]], [[88, 80, 70]]], 'uint8'), 1., 2.),
    (a_picture(2, 2), 1.5, 60.),
    (a_picture(2, 3, spread=90), 2., 90.),
    (a_picture(4, 3, at=1), 3., 40.),
], kernel, {
    'It is not normalised: divide by the roots of the sums of row i and of column j.': plain,
    'Each row is divided by its sum, and then i does not hear j as j hears i: divide by the root '
    'of both sums.': lambda *case: plain(*case) / plain(*case).sum(1, keepdims=True),
    'The ½ is missing in exp(−d²/2).': lambda *case: normalised(plain(*case, half=1)),
    'The distances are not squared.': lambda *case: normalised(plain(*case, power=1)),
    'Colours of 8 bits are subtracted, which go round below 0: turn them into floats first.':
        lambda *case: normalised(plain(*case, colours='uint8')),
    'The colours are not heard: both terms are in one exponent.':
        lambda *case: normalised(plain(*case, alike=0)),
    'The places are not heard: both terms are in one exponent.':
        lambda *case: normalised(plain(*case, near=0)),
    'alpha and beta are swapped: alpha measures places, beta colours.':
        lambda image, alpha, beta: kernel(image, beta, alpha),
    'A pixel does not hear itself in yours: in the sum over all pixels it is one of them.':
        lambda *case: normalised(plain(*case) * (1 - np.eye(case[0].shape[0] * case[0].shape[1]))),
})


def mean_field(prob, image, how, iterations):
    return crf.mean_field(prob, image, how, iterations, exact=True)


def stepping(rule):
    """rule(p, q, pairs): the q of the next iteration, (N, C)."""
    def slip(prob, image, how, iterations):
        p = q = prob.reshape(len(prob), -1).T
        for _ in range(iterations):
            q = rule(p, q, crf.messages(image, how, True, 'float64'))
        return np.ascontiguousarray(q.T).reshape(prob.shape)
    return slip


def share(x, axis=1):
    return x / x.sum(axis, keepdims=True)


def in_turn(p, q, pairs):
    k, q = pairs(np.eye(len(q))), q.copy()
    for i in range(len(q)):
        q[i] = share(p[i:i + 1] * np.exp(k[i:i + 1] @ q))
    return q


def a_belief(c, h, w, iterations, at=0, **how):
    prob = np.random.default_rng((at, c, h, w)).integers(1, 9, (c, h, w)) * 1.
    how = dict(dict(w1=2., alpha=2., beta=30., w2=1., gamma=1.), **how)
    return prob / prob.sum(0), a_picture(h, w, at), how, iterations


MEAN_FIELD = Exercise('prob image how iterations', 'q', [
    a_belief(2, 1, 2, 1),
    a_belief(2, 2, 2, 1, w2=0.),
    a_belief(2, 2, 2, 2),
    a_belief(3, 2, 3, 1),
    a_belief(3, 3, 4, 4, at=1),
], mean_field, {
    'What the net said is forgotten after the first iteration: it is always p·exp(heard), of the '
    'p that came in.': stepping(lambda p, q, pairs: share(q * np.exp(pairs(q)))),
    'What the net said is forgotten: q is p·exp(heard), divided by its sum.':
        stepping(lambda p, q, pairs: share(np.exp(pairs(q)))),
    'Only one iteration is left: each hears what the others believe now, which is q, not p.':
        stepping(lambda p, q, pairs: share(p * np.exp(pairs(p)))),
    'The sign is turned: a class is believed the more, the more of it is heard.':
        stepping(lambda p, q, pairs: share(p * np.exp(-pairs(q)))),
    'What is heard is added to p: it is added to log p, so p is multiplied by its exp.':
        stepping(lambda p, q, pairs: share(p + pairs(q))),
    'The beliefs of a pixel do not sum to 1: divide by their sum, over the classes.':
        stepping(lambda p, q, pairs: p * np.exp(pairs(q))),
    'The sum runs over the pixels: it is over the classes of one pixel.':
        stepping(lambda p, q, pairs: share(p * np.exp(pairs(q)), 0)),
    'A pixel hears what those before it have only just come to believe: all of them step at once, '
    'from the same q.': stepping(in_turn),
})

EXERCISES = dict(alike=ALIKE, mean_field=MEAN_FIELD)
