"""Gradient descent with momentum in a valley: a velocity speeds it up, or makes it overshoot."""
import numpy as np

from ... import optim
from ..player import Player, format_number


def descent(lr=.05, momentum=0., curvature=(1., 20.), start=(4., 1.), steps=40):
    """The path of w over the loss Σ curvature·w² / 2; lr and momentum can be changed in the page.

    -> Player; frame k is after k steps of SGD
    """
    sgd = optim.SGD(lr, momentum, weight_decay=0.)
    params = dict(w=np.array(start, 'float64'))
    slopes = np.array(curvature, 'float64')
    frames = []
    for step in range(steps + 1):
        if step:
            sgd.step(params, dict(w=slopes * params['w']))
        w = params['w'].tolist()
        loss = float((slopes * params['w'] ** 2).sum() / 2)
        first, second = map(format_number, w)
        frames.append(dict(caption=f'step {step}: w = ({first}, {second}), '
                                   f'loss {format_number(loss)}', point=w, loss=loss))
    return Player(dict(kind='descent', title='Gradient descent with momentum, in a narrow valley',
                       curvature=list(curvature), start=list(start), lr=lr, momentum=momentum,
                       frames=frames))
