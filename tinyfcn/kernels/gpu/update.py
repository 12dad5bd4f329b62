"""The update of a weight in one launch; array expressions pass over memory nine times or more."""
from ...runtime.backend import array_module
from ..registry import kernel
from .launch import are_gpu_floats, launch


def _accepts(w, g, *written):
    """Arrays of one shape; w and those after g are written in place."""
    return (are_gpu_floats(w, g, *written) and all(x.shape == w.shape for x in (g, *written))
            and all(x.flags.c_contiguous for x in (w, *written)))


@kernel('sgd_update', 'cupy', accepts=lambda w, g, v, *numbers, **named: _accepts(w, g, v))
def sgd_update(w, g, v, lr, momentum, decay, scale):
    launch('update', 'sgd_update', w.size, w, array_module(g).ascontiguousarray(g), v,
           lr, momentum, decay, scale, w.size)


@kernel('adam_update', 'cupy', accepts=lambda w, g, m, s, *numbers, **named: _accepts(w, g, m, s))
def adam_update(w, g, m, s, lr, betas, eps, decay, scale, t):
    b1, b2 = betas
    launch('update', 'adam_update', w.size, w, array_module(g).ascontiguousarray(g), m, s,
           lr / (1 - b1 ** t), b1, 1 - b1, b2, 1 - b2, eps, decay, scale, 1 - b2 ** t, w.size)
