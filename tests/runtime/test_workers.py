"""Worker processes: which process computes which batch, what it sees, and how it ends."""
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from time import sleep

import numpy as np
import pytest
from training_samples import small_net

from tinyfcn.runtime import workers
from tinyfcn.runtime.threads import parallel
from tinyfcn.runtime.workers import WorkerPool

pytestmark = pytest.mark.skipif(not workers.may_fork(), reason='workers are forked on Linux only')

TIMEOUT = 60            # seconds after which a test that hangs fails


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '2')


def report_process(n, batch):
    """As the loss the process, as the gradient of each weight its value plus the batch."""
    return os.getpid(), ((name, w + batch) for name, w in n.params.items())


def is_alive(process):
    try:
        with open(f'/proc/{process}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def start_script(script):
    """Start Python with a script that can import these tests."""
    tests = os.path.dirname(os.path.dirname(__file__))
    environ = {**os.environ, 'TINYFCN_THREADS': '3',
               'PYTHONPATH': os.pathsep.join([tests, os.path.join(tests, 'training')])}
    return subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True,
                            cwd=os.path.dirname(__file__), env=environ)


# ---- Which process computes what

def test_processes_take_turns_and_results_come_in_order():
    n = small_net('float64')
    with closing(WorkerPool(n, report_process, 5)) as pool:
        for batches in [10, 20, 30, 40, 50], [1, 2], [7]:
            for i, (process, grads) in enumerate(pool(batches)):
                assert (process == os.getpid()) == (i % 2 == 0)
                for name, g in grads:
                    np.testing.assert_array_equal(g, n.params[name] + batches[i])


def test_workers_see_updated_weights():
    n = small_net()
    with closing(WorkerPool(n, report_process, 2)) as pool:
        for _ in range(3):
            for _, grads in pool([0, 0]):
                assert all((g == n.params[name]).all() for name, g in grads)
            n.params['conv1.w'] += 1                            # in place, as an optimizer does
            n.params['conv1.b'] = n.params['conv1.b'] - 1       # or another array


def test_a_weight_without_a_gradient_has_none():
    def only_the_first(n, batch):
        return 0., list(n.params.items())[:1]

    with closing(WorkerPool(small_net(), only_the_first, 2)) as pool:
        assert [[name for name, _ in grads] for _, grads in pool([1, 2])] == [['conv1.w']] * 2


def test_each_process_has_one_thread():
    def count_threads(n, batch):
        return len({*parallel(lambda _: threading.get_ident(), range(8))}), []

    with closing(WorkerPool(small_net(), count_threads, 2)) as pool:
        assert [count for count, _ in pool([1, 2])] == [1, 1]


@pytest.mark.parametrize('reason', ['one core', 'one batch', 'another system'])
def test_without_workers_this_process_computes_all(reason, monkeypatch):
    if reason == 'one core':
        monkeypatch.setenv('TINYFCN_THREADS', '1')
    if reason == 'another system':
        monkeypatch.setattr(workers.sys, 'platform', 'darwin')
    batches = [1] if reason == 'one batch' else [1, 2]
    with closing(WorkerPool(small_net(), report_process, len(batches))) as pool:
        assert [process for process, _ in pool(batches)] == [os.getpid()] * len(batches)
        assert not pool.processes


# ---- Errors, and how workers end

def test_an_error_is_raised_in_the_place_of_its_batch():
    def fail_at_3(n, batch):
        if batch == 3:
            raise ValueError('the third is bad')
        return batch, []

    with closing(WorkerPool(small_net(), fail_at_3, 4)) as pool:
        results = pool([0, 1, 2, 3])
        assert [next(results)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match='the third is bad'):
            next(results)


def test_an_error_in_this_process_kills_a_worker_that_is_busy(tmp_path):
    """And the thread ends that still sends a batch larger than the pipe."""
    parent = os.getpid()

    def fail_here(n, batch):
        if os.getpid() == parent:
            raise ValueError('an error of the parent')
        sleep(TIMEOUT)
        (tmp_path / 'finished').touch()
        return 0., []

    pool = WorkerPool(small_net(), fail_here, 6)
    with pytest.raises(ValueError, match='an error of the parent'):
        next(pool([np.zeros(1 << 20)] * 6))
    (worker,) = pool.processes
    sender = pool.sender
    pool.close()
    assert not is_alive(worker)
    assert not sender.is_alive()
    assert not (tmp_path / 'finished').exists(), 'close waited until the worker had finished'


def test_a_worker_that_was_killed_is_reported():
    with closing(WorkerPool(small_net(), report_process, 2)) as pool:
        _, (worker, _) = pool([1, 2])
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(OSError, match='TINYFCN_THREADS=1'):
            list(pool([1, 2]))


def test_close_leaves_no_process_behind():
    pool = WorkerPool(small_net(), report_process, 2)
    _, (worker, _) = pool([1, 2])
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    pool.close()                                                # a second time changes nothing


def test_workers_end_when_their_parent_is_killed():
    script = ('from test_workers import WorkerPool, os, report_process, sleep, small_net\n'
              'results = list(WorkerPool(small_net(), report_process, 3)([1, 2, 3]))\n'
              'print(*[process for process, _ in results], flush=True)\n'
              'sleep(600)')
    parent = start_script(script)
    with parent:
        first, *others = map(int, parent.stdout.readline().split())
        assert first == parent.pid
        assert len({first, *others}) == 3
        parent.kill()
        # the workers have inherited this pipe: it ends when the last of them has ended
        rest, _ = parent.communicate(timeout=TIMEOUT)
    assert rest == ''


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_ends_a_job_does_not_end_a_worker(number):
    """The parent gets it too, and decides."""
    with closing(WorkerPool(small_net(), report_process, 2)) as pool:
        _, (worker, _) = pool([1, 2])
        os.kill(worker, number)
        assert [process for process, _ in pool([1, 2])] == [os.getpid(), worker]


@pytest.mark.parametrize('number', [signal.SIGHUP, signal.SIGTERM])
def test_a_stopped_worker_does_not_outlive_its_parent(number):
    """A stopped process does not notice that its pipe is closed: the system kills it."""
    script = ('from test_workers import WorkerPool, os, report_process, signal, sleep, small_net\n'
              '_, (worker, _) = WorkerPool(small_net(), report_process, 2)([1, 2])\n'
              'os.kill(worker, signal.SIGSTOP)\n'
              'print(worker, flush=True)\n'
              'sleep(600)')
    parent = start_script(script)
    with parent:
        assert int(parent.stdout.readline()) != parent.pid
        try:
            parent.send_signal(number)
            rest, _ = parent.communicate(timeout=TIMEOUT)   # the worker has inherited this pipe
        finally:
            parent.kill()
    assert rest == ''


def test_a_closed_terminal_does_not_end_a_worker():
    with closing(WorkerPool(small_net(), report_process, 2)) as pool:
        _, (worker, _) = pool([1, 2])
        os.kill(worker, signal.SIGHUP)
        assert [process for process, _ in pool([1, 2])] == [os.getpid(), worker]


def test_a_pool_closes_although_its_thread_did_not_start(monkeypatch):
    """As with too many threads, or too little memory for one more."""
    class UnstartableThread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers, 'Thread', UnstartableThread)
    pool = WorkerPool(small_net(), report_process, 2)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(pool([1, 2]))
    (worker,) = pool.processes
    pool.close()
    assert not is_alive(worker)


def test_a_pool_closes_although_its_workers_were_waited_for():
    """As by a program that ignores SIGCHLD."""
    pool = WorkerPool(small_net(), report_process, 2)
    _, (worker, _) = pool([1, 2])
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    pool.close()
    assert not pool.processes


def test_a_signal_while_workers_start_waits(monkeypatch):
    """In the worker it would run what the parent does on Ctrl-C; the parent would lose the worker.
    """
    fork = os.fork

    def fork_during_ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
        process = fork()
        if not process:
            os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(workers.os, 'fork', fork_during_ctrl_c)
    pool = WorkerPool(small_net(), report_process, 2)
    with pytest.raises(KeyboardInterrupt):
        list(pool([1, 2]))
    monkeypatch.undo()
    (worker,) = pool.processes
    assert is_alive(worker)
    pool.close()
    assert not is_alive(worker)
