"""What one rank does in test_distributed: twelve training steps, with the results written to files.

    mpiexec -n 2 python mpi_steps.py FOLDER float64
    mpiexec -n 2 python mpi_steps.py FOLDER float64 gpu
"""
import json
import sys
from pathlib import Path
from zlib import crc32

import numpy as np

import tinyfcn
from tinyfcn.data import load_dataset
from tinyfcn.prediction import analyse_errors, evaluate
from tinyfcn.runtime.backend import to_numpy
from tinyfcn.runtime.distributed import world
from tinyfcn.training.loop import make_optimizer, train
from tinyfcn.training.recipes import get_recipe

SMALL = dict(size=(48, 56), n_class=3)


def new_net(dtype):
    return tinyfcn.build('tiny_8s', n_class=3, width=1/4, dtype=dtype, seed=3)


def trained_net(dtype, device='cpu'):
    """-> the net, and the row of each step"""
    net = new_net(dtype).to(device)
    for w in net.params.values():
        w += world().rank                               # all ranks continue with those of rank 0
    recipe = get_recipe('shapes-8s', init_from=None, batch=1, iter_size=4, steps=12,
                        optimizer='sgd', lr=.02, flip=True)
    dataset = load_dataset('shapes', **SMALL)
    return net, list(train(net, dataset, recipe, make_optimizer(recipe), seed=1))


def held_out_images():
    """Five images, which 2 or 4 ranks cannot split evenly."""
    dataset = load_dataset('shapes', split='test', **SMALL)
    return dataset.subset(dataset.names[:5])


def main(folder, dtype, device='cpu'):
    net, rows = trained_net(dtype, device)
    weights = {key: to_numpy(w) for key, w in {**net.params, **net.state}.items()}
    report = dict(
        size=world().size,
        mean_iu=evaluate(net, held_out_images())['mean_iu'],
        errors=analyse_errors(net, held_out_images()).by_cause.tolist(),
        losses=[row['loss'] for row in rows],
        names=[row['names'] for row in rows],
        weights=crc32(b''.join(w.tobytes() for w in weights.values())))
    (folder / f'{world().rank}.json').write_text(json.dumps(report))
    if world().rank == 0:
        np.savez(folder / 'weights.npz', **weights)


if __name__ == '__main__':
    main(Path(sys.argv[1]), *sys.argv[2:])
