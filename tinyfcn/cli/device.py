"""Where a command computes: on the CPU, or on a GPU that has to be asked for."""
import re
from argparse import ArgumentTypeError
from contextlib import contextmanager


@contextmanager
def prepared(args):
    """Around a command: the GPU as --precision and --gpu-memory want it."""
    from ..runtime.distributed import world
    from ..runtime.gpu import limit_gpu_memory, precision, use_gpu
    how = getattr(args, 'precision', None), getattr(args, 'gpu_memory', None)
    if getattr(args, 'device', 'cpu') == 'cpu':
        if any(how):
            raise ValueError('--precision and --gpu-memory are for a GPU: --device gpu')
        yield
        return
    use_gpu(world().local)                              # ranks of one machine take a card each
    with precision(how[0] or 'float32'):
        if how[1]:
            limit_gpu_memory(how[1])
        yield


def memory(text):
    """'50%' as it is; '20e9' -> 20000000000"""
    if re.fullmatch(r'\d+(\.\d+)?%', text):
        return text
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f'{text!r}: bytes, as in 20e9, or a share, as in 50%') from None


def device(c):
    """What commands that compute take."""
    c.add_argument('--device', choices=['cpu', 'gpu'], default='cpu',
                   help='where to compute (default: %(default)s)')
    c.add_argument('--precision', choices=['float32', 'tf32'],
                   help='of products on a GPU (default: float32; tf32 is quicker and rounds more)')
    c.add_argument('--gpu-memory', type=memory, metavar='MOST',
                   help='of a GPU, in bytes or as a share: 20e9, 50%% (default: all of it)')
