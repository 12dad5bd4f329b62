"""What one rank does in test_distributed: sums of arrays of many kinds, written to a file.

    mpiexec -n 2 python mpi_sums.py FOLDER
"""
import sys
from pathlib import Path

import numpy as np

from tinyfcn.runtime.all_reduce import BUCKET_BYTES
from tinyfcn.runtime.distributed import world

SHAPES = {
    'small': (3, 5),
    'one': (1,),
    'bucket': (BUCKET_BYTES // 4,),
    'large': (3, BUCKET_BYTES // 9),
    'last': (7, 2),
}


def sample(name, rank):
    """The array that a rank adds; 'transposed' is column-major in memory."""
    kind, _, dtype = name.partition(' ')
    rng = np.random.default_rng((rank, *name.encode()))
    if dtype == 'int64':
        return rng.integers(-2 ** 40, 2 ** 40, SHAPES[kind])
    if dtype == 'transposed':
        return rng.random(SHAPES[kind][::-1], 'float32').T
    return rng.random(SHAPES[kind], dtype)


NAMES = ['small float32', 'large float32', 'one float64', 'bucket float32', 'large transposed',
         'small int64', 'small float64', 'last float64', 'last float32']


def main(folder):
    rank = world().rank
    sums = world().begin_all_reduce()
    assert world().broadcast(rank) == 0
    for name in NAMES:
        sums.add(name, sample(name, rank))
    np.savez(folder / f'{rank}.npz', **sums.result())


if __name__ == '__main__':
    main(Path(sys.argv[1]))
