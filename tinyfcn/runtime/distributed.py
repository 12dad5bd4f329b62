"""Data-parallel training: several processes, each with its share of every batch.

    world = distributed.world()         SingleProcess(), or MPIProcesses() under mpiexec or srun
    world.rank, world.size              this process, 0 … size − 1, and how many there are
    world.rank_slice                    the share of this rank: items[world.rank_slice]
    value = world.broadcast(value)      the value of rank 0, on every rank
    values = world.all_gather(value)    the values of all ranks, on every rank
    total = world.begin_all_reduce()    a sum of {name: array} over all ranks, still empty
    total.add(name, array)              begins to sum this array; the next is computed meanwhile
    total.result()                      waits -> {name: sum}, the same bits on every rank
    world.barrier()                     wait until all ranks are here

    require_agreement(description)      raises on all ranks if they are about to do different things

All ranks make the same calls in the same order. If one rank fails, it ends the job for all, with
`abort_with`: otherwise the others would wait for it for ever.
"""
import atexit
import os
import pickle
import stat
import sys
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, cached_property
from time import monotonic, sleep
from typing import Any

import numpy as np

from .all_reduce import BUCKET_BYTES, AllReduce, LocalSum
from .backend import array_module
from .gpu import nccl
from .job_watch import JobWatch
from .signals import ignore_stop_signals

# The number of processes, as the mpiexec of MPICH, that of Open MPI, and srun set it
SIZE_VARIABLES = ('PMI_SIZE', 'OMPI_COMM_WORLD_SIZE', 'SLURM_STEP_NUM_TASKS')
DELIVERY_SECONDS = 2    # for a message to be read by mpiexec before the job ends
SHOWN_DIFFERENCES = 3   # between ranks, in a message
SHOWN_CHARACTERS = 80   # of each value


@cache
def world():
    """The processes of this job, seen from this one."""
    values = [os.environ.get(variable, '') for variable in SIZE_VARIABLES]
    sizes = [int(value) for value in values if value.isdecimal()]
    return MPIProcesses(sizes[0]) if sizes and sizes[0] > 1 else SingleProcess()


def require_agreement(description: dict[str, Any]) -> None:
    """Raise ValueError on all ranks, with the same message, if their descriptions differ.

    description: what this rank is about to do, in plain values; {key: {key: value}} is compared
    value by value.
    """
    if world().size == 1:
        return
    first, *others = (_flattened(each) for each in world().all_gather(description))
    for rank, other in enumerate(others, 1):
        keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
        if keys:
            shown = [f'{key}: {_value(first, key)} on rank 0, {_value(other, key)} on rank {rank}'
                     for key in keys[:SHOWN_DIFFERENCES]]
            if len(keys) > len(shown):
                shown.append(f'{len(keys) - len(shown)} more')
            raise ValueError(f'the ranks of this job do not agree ({"; ".join(shown)}): start all '
                             f'ranks with the same command, data and versions')


def _flattened(description: dict[str, Any]) -> dict[str, str]:
    """{'recipe': {'lr': .1}, 'seed': 0} -> {'recipe lr': '0.1', 'seed': '0'}"""
    flat = {}
    for key, value in description.items():
        if isinstance(value, dict):
            flat.update({f'{key} {inner}': text for inner, text in _flattened(value).items()})
        else:
            flat[str(key)] = repr(value)
    return flat


def _value(flat: dict[str, str], key: str) -> str:
    text = flat.get(key, 'nothing')
    return text if len(text) <= SHOWN_CHARACTERS else f'{text[:SHOWN_CHARACTERS]}…'


class SingleProcess:
    """A job of one process: everything is its own, and nothing is waited for."""
    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    rank_slice = slice(None)

    def broadcast(self, value):
        return value

    def all_gather(self, value):
        return [value]

    def begin_all_reduce(self):
        return LocalSum()

    def barrier(self):
        pass

    def is_any_asked_to_stop(self, is_asked):
        return is_asked

    def mute(self):
        pass

    def abort_with(self, code):
        return nullcontext()


class MPIProcesses:
    """The processes of an MPI job. Arrays on GPUs are summed by NCCL, directly between the GPUs.

    `local_rank` counts the `local_size` processes of one machine; each takes a GPU of its own. They
    share its memory, and its cores unless TINYFCN_THREADS says how many threads each may use.

    Nothing here waits inside MPI: `watch.wait` handles signals, and notices if a process that is
    waited for has ended.
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
        self.local_size = same_machine.size
        cores = set().union(*same_machine.allgather(_own_cores()))
        _limit_threads(len(cores) // same_machine.size)

        self.watch = JobWatch(self.mpi, self.comm)
        _unlink_shared_memory(same_machine)
        atexit.register(self.watch.leave)
        self._abort_on_uncaught_errors()

    def broadcast(self, value):
        data = np.frombuffer(pickle.dumps(value) if self.rank == 0 else b'', 'uint8')
        size = np.array([data.size])
        self.watch.wait([self.comm.Ibcast(size)])
        if self.rank == 0:
            self.watch.wait([self.comm.Ibcast(data)])
            return value
        data = np.empty(size[0], 'uint8')
        self.watch.wait([self.comm.Ibcast(data)])
        return pickle.loads(data)

    def all_gather(self, value):
        data = np.frombuffer(pickle.dumps(value), 'uint8')
        sizes = np.empty(self.size, 'int64')
        self.watch.wait([self.comm.Iallgather(np.array([data.size]), sizes)])
        together = np.empty(sizes.sum(), 'uint8')
        self.watch.wait([self.comm.Iallgatherv(data, [together, sizes])])
        return [pickle.loads(part) for part in np.split(together, np.cumsum(sizes)[:-1])]

    def begin_all_reduce(self):
        return AllReduce(self._begin_sum)

    def barrier(self):
        self.watch.wait([self.comm.Ibarrier()])

    def is_any_asked_to_stop(self, is_asked):
        """On rank 0, whether any rank has been asked to stop; the others tell rank 0.

        Unlike the calls above, this one does not wait for the others.
        """
        if self.rank == 0:
            return self.watch.is_asked_to_stop() or is_asked
        if is_asked:
            self.watch.ask_to_stop()
        return is_asked

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
        ignore_stop_signals()
        if self.rank:
            sleep(2 + .1 * min(self.rank, 30))
        sys.stdout = sys.__stdout__
        sys.stderr = sys.__stderr__
        try:
            yield
        finally:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                _deliver(stream)
            # MPI would add a line of its own to stderr
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            self.comm.Abort(code)

    def _abort_on_uncaught_errors(self):
        """Also in a script of the user's, where plain mpiexec would leave the others waiting."""
        print_error = sys.excepthook

        def print_and_abort(*error):
            with self.abort_with(1):
                print_error(*error)

        sys.excepthook = print_and_abort

    def _begin_sum(self, flat):
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
        return lambda: self.watch.wait(requests)

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


def _unlink_shared_memory(same_machine):
    """Remove the names of the memory that the ranks of a machine share.

    MPICH removes them in MPI_Finalize, so a rank that is aborted or killed would leave 2 MB in
    /dev/shm for ever. All ranks have mapped it by now; without a name it ends with the last of
    them.
    """
    same_machine.Barrier()
    if same_machine.rank == 0 and os.path.exists('/proc/self/maps'):
        with open('/proc/self/maps') as file:
            paths = {line.split()[-1] for line in file if '/dev/shm/mpich_shm_' in line}
        for path in paths:
            with suppress(OSError):
                os.unlink(path)


def _deliver(stream):
    """Flush, and wait until mpiexec has read what is in the pipe to it.

    A job that ends at once ends before its last message is read.
    """
    with suppress(OSError, ValueError, ImportError):    # the reader has ended, or this is Windows
        import fcntl
        import termios
        stream.flush()
        pipe = stream.fileno()
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            return
        end = monotonic() + DELIVERY_SECONDS
        while monotonic() < end:
            unread = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
            if not unread:
                return
            sleep(.005)
