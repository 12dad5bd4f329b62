"""Data-parallel training: several processes, each with its share of every batch.

    world = distributed.world()         SingleProcess(), or MPIProcesses() under mpiexec or srun
    world.rank, world.size              this process, 0 … size − 1, and how many there are
    world.rank_slice                    the share of this rank: items[world.rank_slice]
    value = world.broadcast(value)      the value of rank 0, on every rank
    sums = world.all_reduce()           sums {name: array} over all ranks, bucket by bucket
    sums.add(name, array)               begins the sum; the next array is computed meanwhile
    sums.result()                       {name: sum}, the same bits on every rank
    world.barrier()                     wait until all ranks are here

All ranks make the same calls in the same order. If one rank fails, it ends the job for all, with
`abort_with`: otherwise the others would wait for it for ever.
"""
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from time import sleep
from typing import NamedTuple

import numpy as np

from .backend import array_module
from .gpu import nccl

# Arrays are collected until they have this many bytes and then summed as one: fewer, longer
# messages, and still small enough to stay in a cache
BUCKET_BYTES = 4 << 20
# The number of processes, as the mpiexec of MPICH, that of Open MPI, and srun set it
SIZE_VARIABLES = ('PMI_SIZE', 'OMPI_COMM_WORLD_SIZE', 'SLURM_STEP_NUM_TASKS')


@cache
def world():
    """The processes of this job, seen from this one."""
    values = [os.environ.get(variable, '') for variable in SIZE_VARIABLES]
    sizes = [int(value) for value in values if value.isdecimal()]
    return MPIProcesses(sizes[0]) if sizes and sizes[0] > 1 else SingleProcess()


class SingleProcess:
    """A job of one process: everything is its own, and nothing is waited for."""
    rank = 0
    size = 1
    local_rank = 0
    rank_slice = slice(None)

    def broadcast(self, value):
        return value

    def all_reduce(self):
        return LocalSum()

    def barrier(self):
        pass

    def mute(self):
        pass

    def abort_with(self, code):
        return nullcontext()


class LocalSum(dict):
    """The sum over one rank: the arrays themselves."""
    add = dict.__setitem__

    def result(self):
        return self


class MPIProcesses:
    """The processes of an MPI job. Arrays on GPUs are summed by NCCL, directly between the GPUs.

    `local_rank` counts the processes of one machine; each takes a GPU of its own. They share the
    cores of the machine, unless TINYFCN_THREADS says how many threads each may use.
    """

    def __init__(self, started):
        self.mpi = _import_mpi(started)
        self.comm = self.mpi.COMM_WORLD
        self.rank = self.comm.rank
        self.size = self.comm.size
        if self.size != started:
            raise OSError(f'{started} processes were started, but the MPI library of mpi4py sees '
                          f'{self.size}: mpiexec and mpi4py are of different MPI libraries. Use '
                          f'the mpiexec beside this python, in {os.path.dirname(sys.executable)}')
        self.rank_slice = slice(self.rank, None, self.size)

        same_machine = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        self.local_rank = same_machine.rank
        cores = set().union(*same_machine.allgather(_own_cores()))
        _limit_threads(len(cores) // same_machine.size)

        self._abort_on_uncaught_errors()

    def broadcast(self, value):
        return self.comm.bcast(value)

    def all_reduce(self):
        return AllReduce(self)

    def barrier(self):
        self.comm.Barrier()

    def mute(self):
        """Print on rank 0 only; `abort_with` turns the output on again."""
        if self.rank:
            sys.stdout = sys.stderr = open(os.devnull, 'w', encoding='utf-8')

    @contextmanager
    def abort_with(self, code):
        """Print inside why the job ends. Then it ends on every rank, with this exit code.

        Often all ranks fail alike, and one message is enough. So the others wait a little before
        they print, and rank 0 ends them meanwhile.
        """
        if self.rank:
            sleep(1 + .1 * min(self.rank, 30))
        sys.stdout = sys.__stdout__
        sys.stderr = sys.__stderr__
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            self.comm.Abort(code)

    def _abort_on_uncaught_errors(self):
        """Also in a script of the user's, where plain mpiexec would leave the others waiting."""
        print_error = sys.excepthook

        def print_and_abort(*error):
            with self.abort_with(1):
                print_error(*error)

        sys.excepthook = print_and_abort

    # ---- Used by AllReduce

    def begin_sum(self, flat):
        """Begin to sum flat (N,) over all ranks, in place. -> wait()"""
        if array_module(flat) is not np:
            return self._begin_sum_on_gpus(flat)
        step = max(1, BUCKET_BYTES // flat.itemsize)
        requests = []
        for start in range(0, flat.size, step):
            part = flat[start:start + step]
            requests.append(self.comm.Iallreduce(self.mpi.IN_PLACE, part))
        # MPI makes progress only inside its own calls: this one starts the transfer
        requests[-1].Test()
        return lambda: self.mpi.Request.Waitall(requests)

    @cached_property
    def _gpus(self):
        try:
            return nccl().init_process_group(self.size, self.rank, use_mpi=True)
        except RuntimeError as error:
            raise OSError(f'{error}: GPUs exchange gradients with NCCL: '
                          f'pip install nvidia-nccl-cu12') from None

    def _begin_sum_on_gpus(self, flat):
        """On a stream of its own, so that the GPU goes on computing while it exchanges data."""
        cuda = array_module(flat).cuda
        computed = cuda.Event()
        summed = cuda.Event()
        stream = cuda.Stream(non_blocking=True)
        computed.record()                               # the sum waits until flat is computed
        stream.wait_event(computed)
        self._gpus.all_reduce(flat, flat, 'sum', stream)
        summed.record(stream)                           # and what reads it waits for the sum
        return lambda: cuda.get_current_stream().wait_event(summed)


class _Bucket(NamedTuple):
    """Arrays that are summed as one flat array."""
    shapes: dict                        # {name: shape}
    ends: list                          # where each array but the last ends in flat
    flat: np.ndarray
    wait: Callable[[], None]            # returns when flat is the sum


class AllReduce:
    """Sums {name: array} over the ranks. The caller must not use an array after adding it."""

    def __init__(self, world):
        self.world = world
        self.collected = {}             # {name: array} of the next bucket
        self.kind = None                # the type and dtype of its arrays
        self.buckets = []               # whose sums have begun

    def add(self, name, array):
        """Add an array; its sum begins as soon as a bucket is full."""
        kind = (type(array), array.dtype)
        if self.collected and self.kind != kind:
            self._begin_bucket()
        self.kind = kind
        self.collected[name] = array
        if sum(other.nbytes for other in self.collected.values()) >= BUCKET_BYTES:
            self._begin_bucket()

    def result(self):
        """Wait for all sums. -> {name: sum}"""
        if self.collected:
            self._begin_bucket()
        sums = {}
        for bucket in self.buckets:
            bucket.wait()
            parts = array_module(bucket.flat).split(bucket.flat, bucket.ends)
            for (name, shape), part in zip(bucket.shapes.items(), parts):
                sums[name] = part.reshape(shape)
        return sums

    def _begin_bucket(self):
        arrays = [array.ravel() for array in self.collected.values()]
        flat = arrays[0] if len(arrays) == 1 else array_module(arrays[0]).concatenate(arrays)
        shapes = {name: array.shape for name, array in self.collected.items()}
        ends = np.cumsum([array.size for array in arrays])[:-1].tolist()
        self.buckets.append(_Bucket(shapes, ends, flat, self.world.begin_sum(flat)))
        self.collected = {}


def _import_mpi(started):
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:        # no module, or no MPI library for it
        raise OSError(f'{started} processes were started, but they cannot communicate ({error}): '
                      f'pip install "tinyfcn[mpi]"') from None
    return MPI


def _own_cores():
    """The numbers of the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):                # on Linux only
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _limit_threads(threads):
    """Use this many threads at most: ranks that each take all cores would slow each other down."""
    from threadpoolctl import ThreadpoolController
    threads = max(1, threads)
    os.environ.setdefault('TINYFCN_THREADS', str(threads))
    for blas in ThreadpoolController().select(user_api='blas').lib_controllers:
        blas.set_num_threads(min(threads, blas.num_threads))
