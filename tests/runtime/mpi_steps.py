"""What one rank of a job does in test_distributed: thirty steps, and what came of them, in files.

    mpiexec -n 2 python mpi_steps.py FOLDER float64
"""
import json
import sys
from pathlib import Path
from zlib import crc32

import numpy as np

import tinyfcn
from tinyfcn.data import load_dataset
from tinyfcn.runtime.distributed import world
from tinyfcn.training.loop import evaluate, make_optimizer, train
from tinyfcn.training.recipes import get_recipe

SMALL = dict(size=(48, 56), n_class=3)


def begun(dtype):
    return tinyfcn.build('tiny_8s', n_class=3, width=1/4, dtype=dtype, seed=3)


def learned(dtype):
    """-> the net, and a row a step"""
    net = begun(dtype)
    for w in net.params.values():
        w += world().rank                               # all go on from what rank 0 has
    how = get_recipe('shapes-8s', init_from=None, batch=1, iter_size=4, steps=30,
                     optimizer='sgd', lr=.02, flip=True)
    return net, [*train(net, load_dataset('shapes', **SMALL), how, make_optimizer(how), seed=1)]


def unseen():
    """Five pictures, which no number of ranks here parts evenly."""
    pictures = load_dataset('shapes', split='test', **SMALL)
    return pictures.subset(pictures.names[:5])


def main(folder, dtype):
    net, rows = learned(dtype)
    weights = {**net.params, **net.state}
    told = dict(size=world().size, mean_iu=evaluate(net, unseen())['mean_iu'],
                losses=[row['loss'] for row in rows], names=[row['names'] for row in rows],
                weights=crc32(b''.join(w.tobytes() for w in weights.values())))
    (folder / f'{world().rank}.json').write_text(json.dumps(told))
    if not world().rank:
        np.savez(folder / 'weights.npz', **weights)


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2])
