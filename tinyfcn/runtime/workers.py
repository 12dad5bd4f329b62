"""Worker processes: compute the batches of a step in parallel, one process a core.

    with closing(WorkerPool(net, fn, max_batches)) as pool:
        for loss, grads in pool(batches): …         in the order of the batches

Why processes, not threads. A small net calls NumPy thousands of times a step, each time for less
than a millisecond. After every call a thread waits until another thread releases the interpreter's
lock (the GIL), and this contention costs a quarter of the time. A process has an interpreter of its
own.

How a worker starts. By os.fork, as a copy of this process: it has the net and fn already.

How memory is shared. `shared_buffers` maps memory before the fork, so all processes see the same
bytes. One buffer holds the weights: this process copies its weights into it at each step, and the
workers' nets use it as their weights. One buffer for each batch holds gradients: a worker writes
them there, and this process reads them. Only small things go through a pipe: batches to the
worker, losses and the names of the gradients back.

Who computes what. With two workers, batch 0 is computed here, 1 by the first worker, 2 by the
second, 3 here again, and so on.

When something fails. An exception in a worker comes back through its pipe and is raised here, when
the result of that batch is due. When a worker dies (killed, out of memory), its end of the pipe is
closed by the system, and an OSError is raised here. When this process dies, the pipes of the
workers are closed, and they exit; one that is stopped and would never notice is killed by the
system. `close` kills the workers, whether they are busy or not.
"""
import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from mmap import mmap
from multiprocessing import Pipe
from threading import Thread, current_thread, main_thread
from typing import Any

import numpy as np

from .blas_threads import one_blas_thread
from .distributed import world
from .signals import STOP_SIGNALS, hold_stop_signals
from .threads import one_thread, parallel, thread_count

PR_SET_PDEATHSIG = 1                    # of prctl, as numbered in prctl.h


class WorkerPool:
    """Processes that compute fn(net, batch) -> loss, (name, gradient) … for the batches of a step.

    Without several cores, several batches and a system that can fork, everything is computed in
    this process. The workers start at the first step that needs them.
    """

    def __init__(self, net: Any, fn: Callable[..., Any], max_batches: int) -> None:
        self.net = net
        self.fn = fn
        self.max_batches = max_batches          # of a step
        self.pipes: list[Any] = []              # this end of the pipe of each worker
        self.processes: list[int] = []          # the process id of each worker
        self.sender = None                      # the thread that sends the batches of a step

    def __call__(self, batches):
        """Yield the loss and the gradients of each batch, in order."""
        workers = min(self.max_batches, thread_count()) - 1
        if workers < 1 or not may_fork():
            with one_blas_thread():
                results = parallel(self._compute, batches)
            yield from results
            return
        if not self.processes:
            self._start(workers)

        # 1. The optimizer has changed the weights: hand them to the workers
        for name, shared in self.weights.items():
            shared[...] = self.net.params[name]

        # 2. A thread sends the workers their batches, while this one computes its own. It has to be
        #    a thread: a pipe holds less than an image, so send() waits until a worker receives
        processes = 1 + len(self.processes)
        sender = Thread(target=self._send, args=(batches, processes), daemon=True)
        sender.start()
        self.sender = sender                    # only now: `close` waits for a thread that runs
        with one_thread():
            own_results = [self._compute(batch) for batch in batches[::processes]]

        # 3. Give the results in order
        for i in range(len(batches)):
            turn, process = divmod(i, processes)
            if process:
                yield self._receive(self.pipes[process - 1], self.gradients[i])
            else:
                yield own_results[turn]

    def close(self):
        """Kill the workers and forget them; the next step would start new ones."""
        while self.processes:
            process = self.processes.pop()
            with suppress(ProcessLookupError, ChildProcessError):   # someone has waited for it
                os.kill(process, signal.SIGKILL)    # it has no files or state that could be lost
                os.waitpid(process, 0)
        if self.sender:
            self.sender.join()                  # its send() fails now that the workers are gone
            self.sender = None
        while self.pipes:
            self.pipes.pop().close()

    def _compute(self, batch):
        # a forward pass keeps its values in the net: each batch gets a (shallow) copy of its own
        loss, grads = self.fn(copy(self.net), batch)
        return loss, list(grads)

    def _send(self, batches, processes):
        with suppress(OSError):                 # of a worker that has died, _receive tells
            for i, batch in enumerate(batches):
                process = i % processes
                if process:
                    self.pipes[process - 1].send((i, batch))

    def _receive(self, pipe, gradients):
        """The result of the next batch that the worker at `pipe` computes."""
        try:
            result = pipe.recv()
        except (EOFError, OSError):
            raise OSError('a worker process died: it was killed or out of memory. '
                          'TINYFCN_THREADS=1 trains without worker processes') from None
        if isinstance(result, Exception):
            raise result
        loss, names = result
        return loss, [(name, gradients[name]) for name in names]

    def _start(self, workers):
        self.weights, *self.gradients = shared_buffers(self.net, 1 + self.max_batches)
        parent = os.getpid() if current_thread() is main_thread() else None
        for _ in range(workers):
            here, there = Pipe()
            # Ctrl-C must not raise an exception in the worker before it is one, nor in this process
            # before it knows the worker
            with warnings.catch_warnings(), hold_stop_signals():
                # Python ≥ 3.12 warns that fork copies no other threads; the worker needs none
                warnings.simplefilter('ignore', DeprecationWarning)
                process = os.fork()
                if not process:
                    # this is the worker. It has copies of all pipe ends that this process holds
                    self._worker_loop(there, [*self.pipes, here], parent)
                self.pipes.append(here)
                self.processes.append(process)
            there.close()

    def _worker_loop(self, pipe, parent_ends, parent):
        """The life of a worker: compute batches until the pipe is closed. Never returns."""
        try:
            # Ctrl-C goes to all processes of a terminal. The parent decides when to stop
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            _die_with(parent)
            # A pipe counts as closed when all copies of its other end are closed. If the worker
            # kept these, neither it nor another worker would notice that the parent has died
            for end in parent_ends:
                end.close()
            self.net.params.update(self.weights)
            with suppress(EOFError, OSError), one_thread():
                while True:
                    i, batch = pipe.recv()
                    pipe.send(self._compute_into(self.gradients[i], batch))
        finally:
            os._exit(0)                         # without the parent's exit handlers

    def _compute_into(self, gradients, batch):
        """Write the gradients into shared memory. -> loss and their names, or the exception"""
        try:
            loss, grads = self.fn(copy(self.net), batch)
            names = []
            for name, g in grads:
                gradients[name][...] = g
                names.append(name)
            return loss, names
        except Exception as error:              # raised by _receive, in the parent
            return error


def _die_with(parent):
    """Let the system kill this worker when its parent dies, also if the worker is stopped then.

    Not for a pool of another thread than the main one: to the system, the parent is the thread that
    has forked, which may end before the process.
    """
    libc = ctypes.CDLL(None)
    if parent is not None and hasattr(libc, 'prctl'):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:              # it has died before
            os._exit(0)


def may_fork():
    """Whether workers can be used here.

    Only on Linux: on macOS a forked process may crash in a system library, and Windows cannot
    fork. Not under MPI, which forbids it.
    """
    return sys.platform == 'linux' and world().size == 1


def shared_buffers(net, count):
    """Memory that forked processes share, `count` times the size of all weights. -> [{name: array}]

    Each dict has an array for every weight of the net, of its shape and dtype.
    """
    shapes = {name: w.shape for name, w in net.params.items()}
    ends = np.cumsum([w.size for w in net.params.values()])
    dtype = np.dtype(net.dtype)
    # an anonymous shared mapping: pages are allocated when they are first written
    memory = mmap(-1, int(count * ends[-1]) * dtype.itemsize)
    buffers = []
    for row in np.frombuffer(memory, dtype).reshape(count, -1):
        parts = np.split(row, ends[:-1])
        buffers.append({name: part.reshape(shape)
                        for (name, shape), part in zip(shapes.items(), parts)})
    return buffers
