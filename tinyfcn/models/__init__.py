"""One paper, one file; each function draws its figure into an empty net."""
from ..net import Net
from .fcn import fcn8s, fcn16s, fcn32s

NETS = {'fcn32s': fcn32s, 'fcn16s': fcn16s, 'fcn8s': fcn8s}


def build(name, n_class=21, channels=None, width=1, dtype='float32', seed=0):
    """A net by its name. width=1/16 thins every layer; seed=None leaves all weights zero."""
    if name not in NETS:
        raise ValueError(f'no net called {name!r}; there are {", ".join(NETS)}')
    n = Net(3 if channels is None else channels, dtype, seed)
    NETS[name](n, n_class, width)
    return n
