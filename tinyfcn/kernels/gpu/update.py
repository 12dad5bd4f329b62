"""The step of a weight: one launch, where array expressions pass over memory nine times or more."""
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import launch, suited


def _suits(w, g, *arrays):
    return suited(w, g, *arrays) and all(x.shape == w.shape for x in (g, *arrays)) \
        and all(x.flags.c_contiguous for x in (w, *arrays))         # these are written in place


@kernel('descend', 'cupy', accepts=lambda w, g, v, *numbers, **named: _suits(w, g, v))
def descend(w, g, v, lr, momentum, decay, scale):
    launch('update', 'descend', w.size, w, array_module(g).ascontiguousarray(g), v,
           lr, momentum, decay, scale, w.size)


@kernel('adapt', 'cupy', accepts=lambda w, g, m, s, *numbers, **named: _suits(w, g, m, s))
def adapt(w, g, m, s, lr, betas, eps, decay, scale, t):
    b1, b2 = betas
    launch('update', 'adapt', w.size, w, array_module(g).ascontiguousarray(g), m, s,
           lr / (1 - b1 ** t), b1, 1 - b1, b2, 1 - b2, eps, decay, scale, 1 - b2 ** t, w.size)
