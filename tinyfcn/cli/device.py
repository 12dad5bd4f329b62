"""The device that a command computes on: the CPU, or a GPU when --device gpu asks for one."""
import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..runtime.distributed import world
from ..runtime.gpu import limit_gpu_memory, precision, use_gpu


@contextmanager
def use_device(args: argparse.Namespace) -> Iterator[None]:
    """Inside, the GPU is set up by --precision and --gpu-memory, if --device gpu was given."""
    gpu_precision = getattr(args, 'precision', None)
    gpu_memory = getattr(args, 'gpu_memory', None)
    if getattr(args, 'device', 'cpu') == 'cpu':
        if gpu_precision or gpu_memory:
            raise ValueError('--precision and --gpu-memory are for a GPU: --device gpu')
        yield
        return
    use_gpu(world().local_rank)                         # each rank of a machine has its own GPU
    with precision(gpu_precision or 'float32'):
        if gpu_memory:
            limit_gpu_memory(gpu_memory)
        yield


def memory_limit(text: str) -> int | str:
    """'50%' -> '50%'; '20e9' -> 20000000000"""
    if re.fullmatch(r'\d+(\.\d+)?%', text):
        return text
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r}: a number of bytes such as 20e9, or a share such as 50%') from None


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """--device, --precision and --gpu-memory, for commands that run a net."""
    parser.add_argument('--device', choices=['cpu', 'gpu'], default='cpu',
                        help='where to compute (default: %(default)s)')
    parser.add_argument('--precision', choices=['float32', 'tf32'],
                        help='of matrix products on a GPU; tf32 is faster and less accurate '
                             '(default: float32)')
    parser.add_argument('--gpu-memory', type=memory_limit, metavar='LIMIT',
                        help='GPU memory to use at most, in bytes or as a share, such as 20e9 or '
                             '50%% (default: all of it)')
