"""Threads: how many there are, how work is split between them, and one BLAS thread for each."""
import os
import subprocess
import sys
import threading
import weakref
from collections import deque
from contextvars import ContextVar
from functools import cache
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tinyfcn.cli import main
from tinyfcn.runtime import blas, threads as threads_module
from tinyfcn.runtime.blas_threads import _blas_libraries, _set_blas_threads, one_blas_thread
from tinyfcn.runtime.threads import parallel, split_range, thread_count

TIMEOUT = 20            # seconds after which a test that hangs fails


@pytest.fixture
def two_blas_threads():
    """BLAS with two threads, however many the tests run with."""
    before = blas_threads()
    set_blas_threads(2)
    if blas_threads() != 2:
        pytest.skip('this BLAS has only one thread')
    yield
    set_blas_threads(before)


def set_blas_threads(count):
    for library in _blas_libraries():
        _set_blas_threads(library, count)


def blas_threads():
    return max(info['num_threads'] for info in threadpool_info() if info['user_api'] == 'blas')


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '3')


# ---- How many threads

def test_thread_count(monkeypatch):
    monkeypatch.delenv('TINYFCN_THREADS', raising=False)
    assert 1 <= thread_count() <= os.cpu_count()
    monkeypatch.setenv('TINYFCN_THREADS', '5')
    assert thread_count() == 5
    monkeypatch.setenv('TINYFCN_THREADS', ' 1024 ')
    assert thread_count() == 1024


@pytest.mark.parametrize('setting', [
    '0', 'two', '-1', '1.5', '1025', '1000000000', '9' * 5000, '²', '٣', '1 2'])
def test_a_thread_count_that_makes_no_sense_is_refused(setting, monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', setting)
    with pytest.raises(ValueError, match=f"TINYFCN_THREADS is '{setting[:30]}'; .* 1 to 1,024"):
        thread_count()


def test_a_wrong_thread_count_is_reported_before_anything_is_computed(monkeypatch, capsys):
    monkeypatch.setenv('TINYFCN_THREADS', 'all')
    assert main(['train', 'nosuch']) == 2
    assert capsys.readouterr().err.strip() == (
        "tinyfcn: TINYFCN_THREADS is 'all'; set it to a number of threads, 1 to 1,024")


def test_a_process_bound_to_one_core_has_one_thread():
    if not hasattr(os, 'sched_setaffinity'):
        pytest.skip('processes are bound to cores on Linux only')
    script = ('import os\n'
              'os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n'
              'from tinyfcn.runtime.threads import thread_count\n'
              'print(thread_count())')
    env = {name: value for name, value in os.environ.items() if name != 'TINYFCN_THREADS'}
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=env)
    assert run.stdout == '1\n', run.stderr


def test_split_range(three_threads):
    assert split_range(10) == [slice(0, 3), slice(3, 6), slice(6, 10)]
    assert split_range(10, 4) == [slice(0, 5), slice(5, 10)]
    assert split_range(10, 6) == split_range(10, 99) == [slice(0, 10)]
    assert split_range(2) == [slice(0, 1), slice(1, 2)]
    assert split_range(0) == [slice(0, 0)]


# ---- What runs on which thread

def test_results_come_in_order_and_from_several_threads(three_threads):
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    used = set()

    def work(part):
        if part < 3:
            barrier.wait()                      # passed only when three parts run at once
        sleep(.001)                             # so that a further thread would take a part
        used.add(threading.get_ident())
        return part * part

    assert parallel(work, range(20)) == [part * part for part in range(20)]
    assert len(used) == 3
    assert threading.get_ident() in used


def test_one_thread_is_the_callers(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '1')
    assert set(parallel(lambda part: threading.get_ident(), range(5))) == {threading.get_ident()}


def test_an_error_is_raised_and_no_other_part_is_begun(three_threads, monkeypatch):
    """The parts beside the failing one return only after it has stopped the others."""
    dropped = threading.Event()

    class SignallingDeque(deque):
        def extendleft(self, items):
            super().extendleft(items)
            dropped.set()

    monkeypatch.setattr(threads_module, 'deque', SignallingDeque)
    begun = []

    def work(part):
        begun.append(part)
        if part == 4:
            raise ZeroDivisionError('part 4')
        if part > 4:
            assert dropped.wait(TIMEOUT)

    with pytest.raises(ZeroDivisionError, match='part 4'):
        parallel(work, range(1000))
    assert dropped.is_set()
    assert len(begun) <= 4 + 3                  # those before part 4, and one for each thread
    monkeypatch.undo()
    assert parallel(abs, [-1, -2]) == [1, 2]


def test_an_error_in_another_thread_is_raised_here(three_threads):
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    caller = threading.get_ident()

    def work(part):
        barrier.wait()
        if threading.get_ident() != caller:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        parallel(work, range(3))


def test_an_interrupted_caller_waits_for_the_parts_that_run(three_threads):
    """Or they would write into arrays that the caller uses for something else."""
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    caller = threading.get_ident()
    ended = []

    def work(part):
        barrier.wait()
        if threading.get_ident() == caller:
            raise KeyboardInterrupt
        sleep(.05)
        ended.append(part)

    with pytest.raises(KeyboardInterrupt):
        parallel(work, range(3))
    assert len(ended) == 2


@pytest.mark.parametrize('count', [0, 1])
def test_without_a_further_thread_the_others_do_the_work(count, three_threads, monkeypatch):
    """As under a limit on processes or memory."""
    class LimitedThread(threading.Thread):
        started = 0

        def start(self):
            if LimitedThread.started == count:
                raise RuntimeError("can't start new thread")
            LimitedThread.started += 1
            super().start()

    monkeypatch.setattr(threads_module, 'Thread', LimitedThread)
    monkeypatch.setattr(threads_module, '_helpers', cache(threads_module._helpers.__wrapped__))
    barrier = threading.Barrier(1 + count, timeout=TIMEOUT)

    def work(part):
        barrier.wait()                          # passed only when so many parts run at once
        return part

    for _ in range(2):
        assert parallel(work, range(8)) == [*range(8)]
    assert LimitedThread.started == count
    calls, _ = threads_module._helpers(os.getpid())
    assert calls.empty()                        # none waits for a thread that there is not


def test_within_a_part_a_call_is_a_plain_loop(three_threads):
    def inner(part):
        sleep(.005)                             # so that a thread without work would take a part
        return threading.get_ident()

    def outer(part):
        return {threading.get_ident(), *parallel(inner, range(4))}

    assert all(len(used) == 1 for used in parallel(outer, range(2)))


def test_many_callers_share_the_threads(three_threads):
    results = {}

    def call(caller):
        results[caller] = [parallel(lambda part: (caller, part), range(6)) for _ in range(20)]

    callers = [threading.Thread(target=call, args=(name,)) for name in 'abcdefgh']
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(3 * TIMEOUT)
    assert results == {name: [[(name, part) for part in range(6)]] * 20 for name in 'abcdefgh'}


def test_threads_that_are_busy_delay_no_caller(three_threads):
    """Nor do they keep its arrays: what they have not begun is not theirs any more."""
    all_busy = threading.Barrier(4, timeout=TIMEOUT)
    release = threading.Event()

    def occupy(part):
        all_busy.wait()
        assert release.wait(TIMEOUT)

    other = threading.Thread(target=parallel, args=(occupy, range(3)))
    other.start()
    all_busy.wait()
    array = np.ones(3)
    freed = weakref.ref(array)
    try:
        assert parallel(array.__getitem__, range(3)) == [1, 1, 1]
        del array
        assert freed() is None
    finally:
        release.set()
        other.join()


def test_a_thread_that_waits_keeps_no_array(three_threads):
    barrier = threading.Barrier(3, timeout=TIMEOUT)
    array = np.ones(3)

    def work(part, array=array):
        barrier.wait()
        return array[part]

    freed = weakref.ref(array)
    del array
    assert parallel(work, range(3)) == [1, 1, 1]
    del work
    assert freed() is None


def test_context_variables_of_the_caller_hold_inside(three_threads):
    setting = ContextVar('setting', default='outer')
    token = setting.set('inner')
    barrier = threading.Barrier(3, timeout=TIMEOUT)

    def work(part):
        barrier.wait()                          # so that each thread has a part
        return setting.get()

    try:
        assert set(parallel(work, range(3))) == {'inner'}
    finally:
        setting.reset(token)


CHILD = '''
import os, sys, threading
from tinyfcn.runtime.threads import parallel

def work(part):
    at_work.wait()
    may_end.wait()

at_work = threading.Barrier(3)
may_end = threading.Event()
other = threading.Thread(target=parallel, args=(work, 'ab'))
other.start()
at_work.wait()                          # both threads of the parent are at work
child = os.fork()
if child:
    may_end.set()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
both = threading.Barrier(2, timeout=20)
parallel(lambda part: both.wait(), 'ab')
'''


OTHER_CPU = (
    'import os, threading\n'
    'from tinyfcn.runtime import threads\n'
    'cpus = os.sched_getaffinity(0)\n'
    'for cpu in sorted(cpus)[:2] * 2:\n'
    '    threads._cpu_getter = lambda: lambda: cpu\n'
    '    threads.parallel(str, range(2))\n'
    '    (thread,) = [t for t in threading.enumerate() if t is not threading.main_thread()]\n'
    '    assert os.sched_getaffinity(thread.native_id) == cpus - {cpu}, cpu\n'
    'assert os.sched_getaffinity(0) == cpus\n'
    'print("right")')


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity') or len(os.sched_getaffinity(0)) < 2,
                    reason='a machine with two CPUs is needed, and Linux')
def test_threads_keep_off_the_cpu_of_the_caller():
    """As it is at each call; the caller itself may run everywhere."""
    run = subprocess.run([sys.executable, '-c', OTHER_CPU], timeout=TIMEOUT, capture_output=True,
                         text=True, env={**os.environ, 'TINYFCN_THREADS': '2'})
    assert (run.stdout, run.stderr) == ('right\n', '')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='only Unix has fork')
@pytest.mark.parametrize('end', ['os._exit(7)', 'sys.exit(7)'])
def test_a_forked_child_has_threads_of_its_own(end):
    run = subprocess.run([sys.executable, '-c', CHILD + end], timeout=3 * TIMEOUT,
                         env={**os.environ, 'TINYFCN_THREADS': '2'})
    assert run.returncode == 7


INTERRUPTED = '''
import os, signal, sys, threading, time
from tinyfcn.runtime.threads import parallel

def work(part):
    both.wait()
    if threading.current_thread() is not threading.main_thread():
        time.sleep(.1)                  # the caller waits for this part
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(.2)
        open(sys.argv[1], 'w').close()

both = threading.Barrier(2)
try:
    parallel(work, 'ab')
except KeyboardInterrupt:
    sys.exit(0 if os.path.exists(sys.argv[1]) else 7)
'''


def test_a_program_ends_once_its_threads_have(tmp_path):
    """Ctrl-C while the caller waits leaves a part at work; the program does not end under it."""
    run = subprocess.run([sys.executable, '-c', INTERRUPTED, str(tmp_path / 'ended')],
                         env={**os.environ, 'TINYFCN_THREADS': '2'}, timeout=3 * TIMEOUT)
    assert run.returncode == 7
    assert (tmp_path / 'ended').exists()


# ---- One BLAS thread

def test_blocks_with_one_blas_thread_nest(two_blas_threads):
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == 2


def test_the_last_block_to_end_restores_the_blas_threads(two_blas_threads):
    """A begins, B begins, A ends, B ends: in threads of their own, as prefetching would."""
    first = one_blas_thread()
    second = one_blas_thread()

    def in_another_thread(function, *args):
        other = threading.Thread(target=function, args=args)
        other.start()
        other.join()

    in_another_thread(first.__enter__)
    in_another_thread(second.__enter__)
    assert blas_threads() == 1
    in_another_thread(first.__exit__, None, None, None)
    assert blas_threads() == 1
    in_another_thread(second.__exit__, None, None, None)
    assert blas_threads() == 2


def test_an_error_restores_the_blas_threads(two_blas_threads):
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas_threads() == 2


def test_each_part_has_one_blas_thread(three_threads, two_blas_threads):
    with one_blas_thread():
        assert set(parallel(lambda part: blas_threads(), range(6))) == {1}
    assert blas_threads() == 2


def test_products_are_the_same_on_any_thread(three_threads):
    a = np.random.default_rng(1).standard_normal((6, 200, 200), 'float32')
    in_a_loop = [m @ m for m in a]
    with one_blas_thread():
        on_threads = parallel(lambda m: m @ m, a)
    for m, n in zip(on_threads, in_a_loop):
        np.testing.assert_allclose(m, n, rtol=0, atol=1e-4)     # OpenBLAS may block it otherwise


# ---- The OpenBLAS kernel

AMD = ('vendor_id\t: AuthenticAMD\n'
       'flags\t\t: fpu avx512f avx512dq avx512bw avx512vl\n'
       '\n'
       'vendor_id\t: the next core\n')


@pytest.mark.parametrize('cpuinfo, before, chosen', [
    (AMD, None, 'SkylakeX'),
    (AMD, 'Haswell', 'Haswell'),
    (AMD.replace('avx512bw', 'avx2'), None, None),
    (AMD.replace('AuthenticAMD', 'GenuineIntel'), None, None),     # OpenBLAS recognizes these
    ('', None, None),
    (None, None, None)], ids=['AMD', 'set by the user', 'AVX2', 'Intel', 'empty', 'not Linux'])
def test_the_kernel_of_openblas_is_chosen(cpuinfo, before, chosen, tmp_path, monkeypatch):
    file = tmp_path / 'cpuinfo'
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setenv('OPENBLAS_CORETYPE', before or '')
    if not before:
        monkeypatch.delenv('OPENBLAS_CORETYPE')
    blas.choose_kernel(file)
    assert os.environ.get('OPENBLAS_CORETYPE') == chosen


@pytest.mark.parametrize('first, before, chosen', [
    ('tinyfcn', None, '20'), ('tinyfcn', '9', '9'), ('numpy', None, None)])
def test_blas_threads_stop_spinning_soon(first, before, chosen):
    """OpenBLAS reads it when NumPy is imported: afterwards it is not set, for it has no effect."""
    environ = {key: value for key, value in os.environ.items() if 'OPENBLAS' not in key}
    if before:
        environ['OPENBLAS_THREAD_TIMEOUT'] = before
    script = (f'import os, {first}, tinyfcn\n'
              'print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))\n'
              'import numpy')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                         env=environ)
    assert run.stdout.split() == [str(chosen)], run.stderr


def test_the_blas_libraries_are_found_once():
    libraries = _blas_libraries()
    assert libraries is _blas_libraries()
    assert all(blas.user_api == 'blas' for blas in libraries)


# ---- The allocator

def test_freed_memory_stays_with_the_process():
    """300 MB that were used and freed are still resident, also those of another thread."""
    if not os.path.exists('/proc/self/statm'):
        pytest.skip('only Linux reports how much memory is resident')
    script = ('from threading import Thread\n'
              'import numpy as np\n'
              'from tinyfcn.runtime.malloc import tune_allocator\n'
              'def resident():\n'
              '    with open("/proc/self/statm") as file:\n'
              '        return int(file.read().split()[1]) * 4096\n'
              'tuned = tune_allocator()\n'
              'thread = Thread(target=lambda: [np.ones(3 << 17) for _ in range(100)])\n'
              'thread.start()\n'
              'thread.join()\n'
              'print(tuned, resident() > 280 << 20)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout.split() in (['True', 'True'], ['False', 'False']), run.stderr
