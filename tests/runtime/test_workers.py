"""Processes that walk batches side by side: who walks what, what they see, and how they end."""
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from time import monotonic, sleep

import numpy as np
import pytest
from training_samples import net

from tinyfcn.runtime import workers as walkers
from tinyfcn.runtime.workers import Walkers

pytestmark = pytest.mark.skipif(not walkers.may_fork(), reason='processes copy themselves on Linux')


@pytest.fixture(autouse=True)
def two(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '2')


def who(n, batch):
    """The loss is who walked; the gradient of each weight is the weight and the batch."""
    return os.getpid(), ((name, w + batch) for name, w in n.params.items())


def test_batches_are_dealt_and_come_back_in_order():
    n = net('float64')
    with closing(Walkers(n, who, 5)) as walk:
        for batches in [10, 20, 30, 40, 50], [1, 2], [7]:
            for i, (process, grads) in enumerate(walk(batches)):
                assert (process == os.getpid()) == (i % 2 == 0)
                for name, g in grads:
                    np.testing.assert_array_equal(g, n.params[name] + batches[i])


def test_what_moves_here_has_moved_there():
    n = net()
    with closing(Walkers(n, who, 2)) as walk:
        for _ in range(3):
            for _, grads in walk([0, 0]):
                assert all((g == n.params[name]).all() for name, g in grads)
            n.params['conv1.w'] += 1                            # in place, as an optimiser does
            n.params['conv1.b'] = n.params['conv1.b'] - 1       # or another array


def test_a_weight_without_a_gradient_has_none():
    def first(n, batch):
        return 0., list(n.params.items())[:1]

    with closing(Walkers(net(), first, 2)) as walk:
        assert [[name for name, _ in grads] for _, grads in walk([1, 2])] == [['conv1.w']] * 2


def test_each_of_them_has_one_thread():
    def threads(n, batch):
        from tinyfcn.runtime.threads import parallel
        return len({*parallel(lambda _: threading.get_ident(), range(8))}), []

    with closing(Walkers(net(), threads, 2)) as walk:
        assert [count for count, _ in walk([1, 2])] == [1, 1]


def test_an_error_surfaces_where_its_batch_is():
    def angry(n, batch):
        if batch == 3:
            raise ValueError('the third is bad')
        return batch, []

    with closing(Walkers(net(), angry, 4)) as walk:
        answers = walk([0, 1, 2, 3])
        assert [next(answers)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match='the third is bad'):
            next(answers)


def test_an_error_of_ones_own_leaves_nobody_behind():
    """While a batch larger than a pipe is on its way to another, who is at work."""
    def angry(n, batch):
        if os.getpid() == mine:
            raise ValueError('mine is bad')
        sleep(60)

    mine, walk = os.getpid(), Walkers(net(), angry, 6)
    with pytest.raises(ValueError, match='mine is bad'):
        next(walk([np.zeros(1 << 20)] * 6))
    began, (other,) = monotonic(), walk.processes
    walk.close()
    assert monotonic() - began < 5 and not alive(other) and not walk.sending.is_alive()


def test_one_that_is_killed_is_missed():
    with closing(Walkers(net(), who, 2)) as walk:
        _, (other, _) = walk([1, 2])
        os.kill(other, signal.SIGKILL)
        with pytest.raises(OSError, match='is gone, killed or out of memory: TINYFCN_THREADS=1'):
            [*walk([1, 2])]


def test_nobody_is_left_behind():
    walk = Walkers(net(), who, 2)
    _, (other, _) = walk([1, 2])
    walk.close()
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)
    walk.close()                                                # twice is as once


def test_they_end_with_the_one_who_began_them():
    """Three processes; the first is killed, and none is told."""
    script = ('from test_workers import Walkers, net, os, who\n'
              'from time import sleep\n'
              'answers = [*Walkers(net(), who, 3)([1, 2, 3])]\n'
              'print(*[process for process, _ in answers], flush=True)\n'
              'sleep(60)')
    here = os.path.dirname(__file__)
    began = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True,
                             cwd=here,
                             env={**os.environ, 'TINYFCN_THREADS': '3',
                                  'PYTHONPATH': os.path.dirname(here)})
    with began:
        first, *others = map(int, began.stdout.readline().split())
        assert first == began.pid and len({first, *others}) == 3
        began.kill()
    late = monotonic() + 20
    while any(alive(process) for process in others):
        assert monotonic() < late, 'a process goes on without the one who began it'
        sleep(.01)


def alive(process):
    try:
        with open(f'/proc/{process}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_what_ends_a_job_is_for_the_one_who_began_it(number):
    with closing(Walkers(net(), who, 2)) as walk:
        _, (other, _) = walk([1, 2])
        os.kill(other, number)
        assert [process for process, _ in walk([1, 2])] == [os.getpid(), other]


@pytest.mark.parametrize('why', ['one core', 'one batch', 'another system'])
def test_else_this_process_walks_all(why, monkeypatch):
    if why == 'one core':
        monkeypatch.setenv('TINYFCN_THREADS', '1')
    if why == 'another system':
        monkeypatch.setattr(walkers.sys, 'platform', 'darwin')
    with closing(Walkers(net(), who, 1 if why == 'one batch' else 2)) as walk:
        batches = [1] if why == 'one batch' else [1, 2]
        assert [process for process, _ in walk(batches)] == [os.getpid()] * len(batches)
        assert not walk.processes
