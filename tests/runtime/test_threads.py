"""Threads: how many there are, how work is split between them, and one BLAS thread for each."""
import os
import platform
import subprocess
import sys
import threading
from collections import deque
from contextvars import ContextVar

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tinyfcn.cli import main
from tinyfcn.runtime import blas as openblas, threads as threads_module
from tinyfcn.runtime.threads import one_blas_thread, parallel, split_range, thread_count

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
    for blas in threads_module._blas_libraries():
        threads_module._set_blas_threads(blas, count)


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
        used.add(threading.get_ident())
        return part * part

    assert parallel(work, range(20)) == [part * part for part in range(20)]
    assert len(used) == 3
    assert threading.get_ident() in used


def test_one_thread_is_the_callers(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '1')
    assert set(parallel(lambda part: threading.get_ident(), range(5))) == {threading.get_ident()}


def test_an_error_is_raised_and_no_other_part_is_begun(three_threads, two_blas_threads,
                                                       monkeypatch):
    """The parts beside the failing one return only after the others have been dropped."""
    dropped = threading.Event()

    class SignallingDeque(deque):
        def clear(self):
            super().clear()
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
    assert len(begun) <= 4 + 3                  # those before part 4, and one for each thread
    monkeypatch.undo()
    assert parallel(abs, [-1, -2]) == [1, 2]
    assert blas_threads() == 2


def test_without_a_further_thread_the_others_do_the_work(three_threads, monkeypatch):
    """As under a limit on processes or memory."""
    pool = threads_module._pool(os.getpid(), 2)
    monkeypatch.setattr(threads_module, '_pool', lambda process, size: pool)
    submit = pool.submit
    calls = []

    def submit_once(*args):
        calls.append(args)
        if len(calls) > 1:
            raise RuntimeError("can't start new thread")
        return submit(*args)

    monkeypatch.setattr(pool, 'submit', submit_once)
    assert parallel(abs, range(-9, 0)) == [*range(9, 0, -1)]
    assert len(calls) == 2


def test_within_a_part_a_call_is_a_plain_loop(three_threads):
    def inner(part):
        return threading.get_ident()

    def outer(part):
        return {threading.get_ident(), *parallel(inner, range(4))}

    assert all(len(used) == 1 for used in parallel(outer, range(9)))


def test_many_callers_share_one_pool(three_threads):
    results = {}

    def call(caller):
        results[caller] = [parallel(lambda part: (caller, part), range(6)) for _ in range(20)]

    callers = [threading.Thread(target=call, args=(name,)) for name in 'abcdefgh']
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(3 * TIMEOUT)
    assert results == {name: [[(name, part) for part in range(6)]] * 20 for name in 'abcdefgh'}


def test_context_variables_of_the_caller_hold_inside(three_threads):
    setting = ContextVar('setting', default='outer')
    token = setting.set('inner')
    try:
        assert set(parallel(lambda part: setting.get(), range(9))) == {'inner'}
    finally:
        setting.reset(token)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='only Unix has fork')
def test_a_forked_child_has_threads_of_its_own():
    script = ('import os\n'
              'os.environ["TINYFCN_THREADS"] = "2"\n'
              'from tinyfcn.runtime.threads import parallel\n'
              'parallel(abs, range(4))\n'
              'child = os.fork()\n'
              'if child:\n'
              '    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n'
              'os._exit(0 if parallel(abs, [-1, -2]) == [1, 2] else 3)')
    run = subprocess.run([sys.executable, '-c', script], timeout=3 * TIMEOUT)
    assert run.returncode == 0


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
    assert set(parallel(lambda part: blas_threads(), range(6))) == {1}
    assert blas_threads() == 2


def test_products_are_the_same_on_any_thread(three_threads):
    a = np.random.default_rng(1).standard_normal((6, 200, 200), 'float32')
    in_a_loop = [m @ m for m in a]
    for m, n in zip(parallel(lambda m: m @ m, a), in_a_loop):
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
    openblas.choose_kernel(file)
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
    libraries = threads_module._blas_libraries()
    assert libraries is threads_module._blas_libraries()
    assert all(blas.user_api == 'blas' for blas in libraries)


# ---- The allocator

def test_freed_memory_stays_with_the_process():
    """300 MB that were used and freed are still resident."""
    if not os.path.exists('/proc/self/statm'):
        pytest.skip('only Linux reports how much memory is resident')
    script = ('import numpy as np\n'
              'from tinyfcn.runtime.malloc import tune_allocator\n'
              'def resident():\n'
              '    with open("/proc/self/statm") as file:\n'
              '        return int(file.read().split()[1]) * 4096\n'
              'tuned = tune_allocator()\n'
              'for _ in range(2):\n'
              '    np.ones(300 << 17)\n'
              'print(tuned, resident() > 280 << 20)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout.split() in (['True', 'True'], ['False', 'False']), run.stderr


def test_a_limited_address_space_is_not_taken_for_the_heap():
    """Under `ulimit -v` the gigabyte would be missing when libraries are loaded."""
    if not os.path.exists('/proc/self/statm'):
        pytest.skip('only Linux reports the address space')
    script = ('import resource\n'
              'from tinyfcn.runtime.malloc import tune_allocator\n'
              'def space():\n'
              '    with open("/proc/self/statm") as file:\n'
              '        return int(file.read().split()[0]) * 4096\n'
              'limit = space() + (1200 << 20)\n'
              'resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n'
              'tune_allocator()\n'
              'print(limit - space() > 1100 << 20)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout == 'True\n', run.stderr


def test_the_heap_has_huge_pages():
    """/proc/self/smaps marks memory that was advised to have huge pages with 'hg'."""
    advice = '/sys/kernel/mm/transparent_hugepage/enabled'
    if not os.path.exists(advice) or platform.libc_ver()[0] != 'glibc':
        pytest.skip('this kernel has no transparent huge pages, or this libc no mallopt')
    script = ('from tinyfcn.runtime.malloc import tune_allocator\n'
              'tune_allocator()\n'
              'sizes = []\n'
              'advised = 0\n'
              'with open("/proc/self/smaps") as file:\n'
              '    for line in file:\n'
              '        kind, *values = line.split()\n'
              '        if kind == "Size:":\n'
              '            sizes.append(int(values[0]))\n'
              '        if kind == "VmFlags:" and "hg" in values:\n'
              '            advised += sizes[-1]\n'
              'print(advised)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert int(run.stdout) >= (1 << 20) - 2048, run.stderr      # kB, up to the rounding to a page
