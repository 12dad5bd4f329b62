"""Wait for the other processes of an MPI job, but not for those that have ended.

MPI ends a job when one of its processes is killed. It waits for ever in two other cases:

1. A process leaves early, without an error. It says so to the others (`leave`), and whoever still
   waits for it a few seconds later gets an OSError.
2. The launcher is killed, the process on each machine that mpiexec or srun starts the others with.
   Then nothing is left that could end them. Each notices by its parent, which is another one now.

`wait` returns to Python between two looks at its requests, so that signals are handled as well.
"""
import os
from time import monotonic, sleep
from typing import Any

from .signals import ignore_stop_signals

SPIN_SECONDS = 1e-4     # for short messages, before the core is offered to others
CHECK_SECONDS = .05     # between two checks of the others
PATIENCE = 2            # seconds that what an ended process has sent may still be on its way
LEFT = 1                # tags of messages
STOP = 2


class JobWatch:
    """What this process knows of the others. `mpi` is mpi4py.MPI, `comm` a communicator of all."""

    def __init__(self, mpi: Any, comm: Any) -> None:
        self.mpi = mpi
        self.comm = comm.Dup()          # its messages meet no others
        self.launcher = os.getppid()
        self.left: dict[int, float] = {}        # rank: when this process heard that it has left
        self.stop_asked = False
        self.sent: list[Any] = []       # requests, which have to live until they are complete

    def wait(self, requests: list[Any]) -> None:
        """Wait until all requests are complete. -> OSError if a process that has ended is needed"""
        self._require_launcher()
        started = monotonic()
        checked = started
        while not self.mpi.Request.Testall(requests):
            now = monotonic()
            if now - started > SPIN_SECONDS:
                os.sched_yield()                # others may need this core
            if now - checked > CHECK_SECONDS:
                self._check(started, now)
                checked = now

    def leave(self) -> None:
        """Wait until the others leave, too. MPI_Finalize, which follows, would not be interrupted.

        All tell rank 0, and rank 0 tells all.
        """
        if self.mpi.Is_finalized():
            return
        ignore_stop_signals()           # nothing is left to stop here; the others have theirs
        others = range(1, self.comm.size) if self.comm.rank == 0 else [0]
        for rank in others:
            self.send(rank, LEFT)
        while not self.left.keys() >= set(others):
            self._receive()
            if self._launcher_has_ended():
                os._exit(1)             # MPI_Finalize would wait for it
            sleep(CHECK_SECONDS)

    def ask_to_stop(self) -> None:
        """Tell rank 0 that this process was asked to stop."""
        if not self.stop_asked:
            self.stop_asked = True
            self.send(0, STOP)

    def is_asked_to_stop(self) -> bool:
        """Whether a process has said so."""
        self._receive()
        return self.stop_asked

    def send(self, rank: int, tag: int) -> None:
        """Send a message that is nothing but a tag."""
        self.sent.append(self.comm.Isend(b'', rank, tag))

    def _check(self, started: float, now: float) -> None:
        self._require_launcher()
        self._receive()
        for rank, since in self.left.items():
            if now - max(started, since) > PATIENCE:
                raise OSError(f'rank {rank} has ended, and rank {self.comm.rank} waits for it: '
                              f'all ranks must run the same program with the same arguments')

    def _require_launcher(self) -> None:
        if self._launcher_has_ended():
            raise OSError('the process that started this rank has ended: mpiexec or srun was '
                          'killed')

    def _receive(self) -> None:
        """Read the messages that have come."""
        status = self.mpi.Status()
        while self.comm.Iprobe(self.mpi.ANY_SOURCE, self.mpi.ANY_TAG, status):
            self.comm.Recv(bytearray(), status.source, status.tag)
            if status.tag == STOP:
                self.stop_asked = True
            else:
                self.left[status.source] = monotonic()

    def _launcher_has_ended(self) -> bool:
        return os.getppid() != self.launcher
