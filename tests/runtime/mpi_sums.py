"""What one rank of a job does in test_distributed: sums of arrays of all kinds, into a file.

    mpiexec -n 2 python mpi_sums.py FOLDER
"""
import sys
from pathlib import Path

import numpy as np

from tinyfcn.runtime.distributed import BUCKET, world

SHAPES = {'small': (3, 5), 'one': (1,), 'bucket': (BUCKET // 4,), 'large': (3, BUCKET // 9),
          'last': (7, 2)}


def sample(name, rank):
    """The array that a rank adds; 'large turned' lies in memory the other way round."""
    kind, _, dtype = name.partition(' ')
    rng = np.random.default_rng((rank, *name.encode()))
    if dtype == 'int64':
        return rng.integers(-2 ** 40, 2 ** 40, SHAPES[kind])
    if dtype == 'turned':
        return rng.random(SHAPES[kind][::-1], 'float32').T
    return rng.random(SHAPES[kind], dtype)


NAMES = ['small float32', 'large float32', 'one float64', 'bucket float32', 'large turned',
         'small int64', 'small float64', 'last float64', 'last float32']


def main(folder):
    ranks, total = world(), world().adding()
    assert ranks.broadcast(ranks.rank) == 0
    for name in NAMES:
        total.add(name, sample(name, ranks.rank))
    np.savez(folder / f'{ranks.rank}.npz', **total.done())


if __name__ == '__main__':
    main(Path(sys.argv[1]))
