"""Several processes learn one net. Four verbs: who am I, take what rank 0 has, add up, wait.

    world = distributed.world()         Solo(), or Ranks() where mpiexec or srun has started many
    world.rank, world.size              0 … size − 1; world.mine is the slice of a list that is ours
    value = world.broadcast(value)      what rank 0 gave, on every rank
    total = world.adding()              adds up {name: array} over the ranks, bucket by bucket
    total.add(name, array)              begins at once, while what comes next is computed
    total.done()                        {name: sum}, the same bits on every rank
    world.barrier()                     nobody goes on before all are here

All ranks make the same calls in the same order. Whoever fails ends the job for all: `ending`.
"""
import os
import sys
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from time import sleep

import numpy as np

from .backend import array_module
from .gpu import nccl

BUCKET = 4 << 20        # bytes that are added up at a time: as much as stays in a cache
# how many processes there are, as MPICH's mpiexec, Open MPI's and srun tell each of them
SIZES = 'PMI_SIZE', 'OMPI_COMM_WORLD_SIZE', 'SLURM_STEP_NUM_TASKS'


@cache
def world():
    """This process among those that were started with it."""
    sizes = [int(said) for key in SIZES if (said := os.environ.get(key, '')).isdecimal()]
    return Ranks(sizes[0]) if sizes and sizes[0] > 1 else Solo()


class Solo:
    """One process, which has nobody to wait for."""
    rank, size, local, mine = 0, 1, 0, slice(None)

    def broadcast(self, value):
        return value

    def adding(self):
        return Alone()

    def barrier(self):
        pass

    def mute(self):
        pass

    def ending(self, code):
        return nullcontext()


class Alone(dict):
    """The sum over one rank."""
    add = dict.__setitem__

    def done(self):
        return self


class Ranks:
    """All processes of a job, by MPI; what lies on a GPU goes by NCCL from card to card.

    `local` counts those of the own machine, a card each. They share its cores, unless
    TINYFCN_THREADS says how many threads each may take.
    """

    def __init__(self, started):
        self.mpi = _mpi4py(started)
        self.comm = self.mpi.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size
        if self.size != started:
            raise OSError(f'{started} processes were started, and the MPI of mpi4py sees '
                          f'{self.size}: they are of two kinds. Start them with the mpiexec that '
                          f'stands beside this python, in {os.path.dirname(sys.executable)}')
        self.mine = slice(self.rank, None, self.size)
        here = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        self.local = here.rank
        has = getattr(os, 'sched_getaffinity', lambda _: range(os.cpu_count() or 1))
        _share_cores(len({*()}.union(*here.allgather({*has(0)}))) // here.size)
        before = sys.excepthook

        def hook(*error):                               # plain mpiexec would wait for ever
            with self.ending(1):
                before(*error)

        sys.excepthook = hook

    def broadcast(self, value):
        return self.comm.bcast(value)

    def adding(self):
        return Sum(self)

    def barrier(self):
        self.comm.Barrier()

    def mute(self):
        """Rank 0 alone is heard, until somebody has to say why the job ends."""
        if self.rank:
            sys.stdout = sys.stderr = open(os.devnull, 'w', encoding='utf-8')

    @contextmanager
    def ending(self, code):
        """Say inside why the job ends; then it does, on every rank, with this exit code.

        Where all of them fail alike, one speaks for all: the others wait, and are ended meanwhile.
        """
        sleep(1 + .1 * min(self.rank, 30) if self.rank else 0)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            self.comm.Abort(code)

    # ---- what Sum asks -------------------------------------------------------------------------

    def begin(self, flat):
        """Begin to add up flat (N,), in place. -> wait()"""
        if array_module(flat) is not np:
            return self._begin_on_cards(flat)
        step = max(1, BUCKET // flat.itemsize)
        asked = [self.comm.Iallreduce(self.mpi.IN_PLACE, flat[i:i + step])
                 for i in range(0, flat.size, step)]
        asked[-1].Test()                        # MPI goes on with what is begun while it is called
        return lambda: self.mpi.Request.Waitall(asked)

    @cached_property
    def _cards(self):
        try:
            return nccl().init_process_group(self.size, self.rank, use_mpi=True)
        except RuntimeError as error:
            raise OSError(f'{error}, by which GPUs add up: pip install nvidia-nccl-cu12') from None

    def _begin_on_cards(self, flat):
        """On a stream of its own: it waits for what makes `flat`, and is waited for at the end."""
        cuda = array_module(flat).cuda
        made, added, aside = cuda.Event(), cuda.Event(), cuda.Stream(non_blocking=True)
        made.record()
        aside.wait_event(made)
        self._cards.all_reduce(flat, flat, 'sum', aside)
        added.record(aside)
        return lambda: cuda.get_current_stream().wait_event(added)


class Sum:
    """{name: array}, added up over the ranks. An array that was added is given away."""

    def __init__(self, world):
        self.world, self.waiting, self.under_way, self.kind = world, {}, [], None

    def add(self, name, array):
        if self.waiting and self.kind != (type(array), array.dtype):
            self._send()
        self.kind = type(array), array.dtype
        self.waiting[name] = array
        if sum(other.nbytes for other in self.waiting.values()) >= BUCKET:
            self._send()

    def done(self):
        if self.waiting:
            self._send()
        sums = {}
        for shapes, ends, flat, wait in self.under_way:
            wait()
            parts = array_module(flat).split(flat, ends)
            sums.update({name: part.reshape(shape)
                         for (name, shape), part in zip(shapes.items(), parts)})
        return sums

    def _send(self):
        arrays = [array.ravel() for array in self.waiting.values()]
        flat = arrays[0] if len(arrays) == 1 else array_module(arrays[0]).concatenate(arrays)
        shapes = {name: array.shape for name, array in self.waiting.items()}
        ends = np.cumsum([array.size for array in arrays])[:-1].tolist()
        self.under_way.append((shapes, ends, flat, self.world.begin(flat)))
        self.waiting = {}


def _mpi4py(started):
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:        # no module, or no library of MPI for it
        raise OSError(f'{started} processes were started, and have nothing to talk by ({error}): '
                      f'pip install "tinyfcn[mpi]"') from None
    return MPI


def _share_cores(threads):
    """Ranks of one machine that all took all its cores would stand in each other's way."""
    from threadpoolctl import ThreadpoolController
    threads = max(1, threads)
    os.environ.setdefault('TINYFCN_THREADS', str(threads))
    for blas in ThreadpoolController().select(user_api='blas').lib_controllers:
        blas.set_num_threads(min(threads, blas.num_threads))
