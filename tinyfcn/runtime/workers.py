"""Several processes walk the batches of a step side by side, each on a core of its own.

    with closing(Walkers(net, walk, most)) as walkers:
        for loss, grads in walkers(batches): …          in order; at most so many a step

Threads would do, but for Python: each of the thousand short steps of a small net ends with waiting
until another thread lets go of the interpreter, a quarter of all time. Processes wait for nobody.
They begin as copies of this one. Weights go to them and gradients come back through memory that
all of them see; batches and losses, which are little, through a pipe.
"""
import os
import signal
import sys
import warnings
from contextlib import suppress
from copy import copy
from mmap import mmap
from multiprocessing import Pipe
from threading import Thread

import numpy as np

from .distributed import world
from .threads import one_thread, parallel, threads


class Walkers:
    """walk(net, batch) -> loss, (name, gradient) …"""

    def __init__(self, net, walk, most):
        self.net, self.walk, self.most = net, walk, most
        self.pipes, self.processes, self.sending = [], [], None

    def __call__(self, batches):
        """The loss and the gradients of each batch, in order."""
        others = min(self.most, threads()) - 1
        if not (others and may_fork()):
            yield from parallel(self._walk, batches)
            return
        if not self.processes:
            self._begin(others)
        for name, room in self.weights.items():
            room[...] = self.net.params[name]
        everyone = 1 + len(self.processes)
        self.sending = Thread(target=self._send, args=(batches, everyone), daemon=True)
        self.sending.start()
        with one_thread():
            own = [*map(self._walk, batches[::everyone])]
        for i in range(len(batches)):
            turn, who = divmod(i, everyone)
            yield self._answer(self.pipes[who - 1], self.rooms[i]) if who else own[turn]

    def _send(self, batches, everyone):
        """Aside, for a pipe holds less than a picture: it is sent when the last one is walked."""
        with suppress(OSError):                 # one that is gone is missed where it should answer
            for i, batch in enumerate(batches):
                if i % everyone:
                    self.pipes[i % everyone - 1].send((i, batch))

    def close(self):
        for process in self.processes:
            os.kill(process, signal.SIGKILL)                    # it has nothing of its own to lose
            os.waitpid(process, 0)
        if self.sending:
            self.sending.join()                                 # to nobody, any more
        for pipe in self.pipes:
            pipe.close()
        self.pipes, self.processes = [], []

    def _walk(self, batch):
        loss, grads = self.walk(copy(self.net), batch)
        return loss, [*grads]

    def _begin(self, others):
        self.weights, *self.rooms = rooms(self.net, 1 + self.most)
        for _ in range(others):
            here, there = Pipe()
            with warnings.catch_warnings():     # Python ≥ 3.12: a thread, reading, is not copied
                warnings.simplefilter('ignore', DeprecationWarning)
                process = os.fork()
            if not process:
                self._serve(there, [*self.pipes, here])
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def _serve(self, pipe, others):
        """What another process does: walk, until nobody is there any more who asks."""
        try:
            for other in others:
                other.close()                   # who holds an end open would never see it closed
            for number in signal.SIGINT, signal.SIGTERM:        # they are for who began this
                signal.signal(number, signal.SIG_IGN)
            self.net.params.update(self.weights)
            with suppress(EOFError, OSError), one_thread():
                while True:
                    i, batch = pipe.recv()
                    pipe.send(self._walked_into(self.rooms[i], batch))
        finally:
            os._exit(0)

    def _walked_into(self, room, batch):
        try:
            loss, grads = self.walk(copy(self.net), batch)
            names = []
            for name, g in grads:
                room[name][...] = g
                names.append(name)
            return loss, names
        except Exception as error:              # it surfaces where the answer is read
            return error

    def _answer(self, pipe, room):
        try:
            answer = pipe.recv()
        except (EOFError, OSError):
            raise OSError('a process that walks batches beside this one is gone, killed or out of '
                          'memory: TINYFCN_THREADS=1 does without') from None
        if isinstance(answer, Exception):
            raise answer
        loss, names = answer
        return loss, [(name, room[name]) for name in names]


def may_fork():
    """macOS does not promise that a copied process works, Windows has none; MPI forbids it."""
    return sys.platform == 'linux' and world().size == 1


def rooms(net, count):
    """Memory that processes share, for so many times all weights. -> [{name: array}]"""
    shapes, dtype = {name: w.shape for name, w in net.params.items()}, np.dtype(net.dtype)
    ends = np.cumsum([w.size for w in net.params.values()])
    shared = np.frombuffer(mmap(-1, int(count * ends[-1]) * dtype.itemsize), dtype)
    return [{name: part.reshape(shape) for (name, shape), part in
             zip(shapes.items(), np.split(row, ends[:-1]))} for row in shared.reshape(count, -1)]
