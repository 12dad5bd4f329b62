"""Threads: how many, how work is shared, and one thread of BLAS for each while they compute."""
import os
import platform
import subprocess
import sys
import threading
from contextvars import ContextVar
from time import sleep

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import tinyfcn
from tinyfcn.runtime import threads as counted
from tinyfcn.runtime.threads import one_blas_thread, parallel, shares, threads


@pytest.fixture
def two_of_blas():
    """BLAS with two threads, whatever the tests run with."""
    before = blas_threads()
    set_blas_threads(2)
    if blas_threads() != 2:
        pytest.skip('this BLAS has one thread alone')
    yield
    set_blas_threads(before)


def set_blas_threads(count):
    for blas in counted._blas():
        counted._limit(blas, count)


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '3')


def blas_threads():
    return max(info['num_threads'] for info in threadpool_info() if info['user_api'] == 'blas')


# ---- How many

def test_how_many(monkeypatch):
    monkeypatch.delenv('TINYFCN_THREADS', raising=False)
    assert 1 <= threads() <= os.cpu_count()
    monkeypatch.setenv('TINYFCN_THREADS', '5')
    assert threads() == 5
    for said in '0', 'two', '-1', '1.5':
        monkeypatch.setenv('TINYFCN_THREADS', said)
        with pytest.raises(ValueError, match=f"TINYFCN_THREADS is '{said}': a number of threads"):
            threads()


def test_a_process_bound_to_one_core_has_one_thread():
    if not hasattr(os, 'sched_setaffinity'):
        pytest.skip('cores are bound on Linux alone')
    script = ('import os\n'
              'os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n'
              'from tinyfcn.runtime.threads import threads\n'
              'print(threads())')
    env = {name: value for name, value in os.environ.items() if name != 'TINYFCN_THREADS'}
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=env)
    assert run.stdout == '1\n', run.stderr


def test_shares(three):
    assert shares(10) == [slice(0, 3), slice(3, 6), slice(6, 10)]
    assert shares(10, 4) == [slice(0, 5), slice(5, 10)]
    assert shares(10, 6) == shares(10, 99) == [slice(0, 10)]
    assert shares(2) == [slice(0, 1), slice(1, 2)]
    assert shares(0) == [slice(0, 0)]


# ---- Who does what

def test_results_come_in_order_and_from_several_threads(three):
    meeting, seen = threading.Barrier(3, timeout=20), set()

    def work(part):
        if part < 3:
            meeting.wait()                      # three are at work at once, or nobody goes on
        seen.add(threading.get_ident())
        return part * part

    assert parallel(work, range(20)) == [part * part for part in range(20)]
    assert len(seen) == 3 and threading.get_ident() in seen


def test_one_thread_is_the_callers(monkeypatch):
    monkeypatch.setenv('TINYFCN_THREADS', '1')
    assert set(parallel(lambda part: threading.get_ident(), range(5))) == {threading.get_ident()}


def test_an_error_surfaces_and_nobody_begins_another_part(three, two_of_blas):
    begun = []

    def work(part):
        begun.append(part)
        sleep(.001)
        if part == 4:
            raise ZeroDivisionError('part 4')

    with pytest.raises(ZeroDivisionError, match='part 4'):
        parallel(work, range(1000))
    assert len(begun) < 900
    assert parallel(abs, [-1, -2]) == [1, 2]
    assert blas_threads() == 2


def test_within_a_part_a_call_is_a_plain_loop(three):
    def inner(part):
        return threading.get_ident()

    def outer(part):
        return {threading.get_ident(), *parallel(inner, range(4))}

    assert all(len(who) == 1 for who in parallel(outer, range(9)))


def test_many_callers_share_one_pool(three):
    results = {}

    def call(caller):
        results[caller] = [parallel(lambda part: (caller, part), range(6)) for _ in range(20)]

    callers = [threading.Thread(target=call, args=(name,)) for name in 'abcdefgh']
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert results == {name: [[(name, part) for part in range(6)]] * 20 for name in 'abcdefgh'}


def test_what_is_set_around_a_call_holds_inside(three):
    setting = ContextVar('setting', default='outer')
    token = setting.set('inner')
    try:
        assert set(parallel(lambda part: setting.get(), range(9))) == {'inner'}
    finally:
        setting.reset(token)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='fork is of Unix')
def test_a_child_of_fork_has_threads_of_its_own():
    script = ('import os\n'
              'os.environ["TINYFCN_THREADS"] = "2"\n'
              'from tinyfcn.runtime.threads import parallel\n'
              'parallel(abs, range(4))\n'
              'child = os.fork()\n'
              'if child:\n'
              '    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n'
              'os._exit(0 if parallel(abs, [-1, -2]) == [1, 2] else 3)')
    assert subprocess.run([sys.executable, '-c', script], timeout=60).returncode == 0


# ---- One thread of BLAS

def test_the_guard_nests(two_of_blas):
    with one_blas_thread():
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == 2


def test_the_guard_holds_until_the_last_has_left(two_of_blas):
    """A enters, B enters, A leaves, B leaves: in threads of their own, as prefetching would."""
    first, second = one_blas_thread(), one_blas_thread()

    def elsewhere(function, *args):
        other = threading.Thread(target=function, args=args)
        other.start()
        other.join()

    elsewhere(first.__enter__)
    elsewhere(second.__enter__)
    assert blas_threads() == 1
    elsewhere(first.__exit__, None, None, None)
    assert blas_threads() == 1
    elsewhere(second.__exit__, None, None, None)
    assert blas_threads() == 2


def test_the_guard_is_left_after_an_error(two_of_blas):
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert blas_threads() == 2


def test_each_part_has_one_thread_of_blas(three, two_of_blas):
    assert set(parallel(lambda part: blas_threads(), range(6))) == {1}
    assert blas_threads() == 2


def test_products_are_the_same_on_any_thread(three):
    a = np.random.default_rng(1).standard_normal((6, 200, 200), 'float32')
    alone = [m @ m for m in a]
    for m, n in zip(parallel(lambda m: m @ m, a), alone):
        np.testing.assert_allclose(m, n, rtol=0, atol=1e-4)     # OpenBLAS may cut it otherwise


# ---- The kernel of BLAS

AMD = ('vendor_id\t: AuthenticAMD\n'
       'flags\t\t: fpu avx512f avx512dq avx512bw avx512vl\n'
       '\n'
       'vendor_id\t: the next core\n')


@pytest.mark.parametrize('cpuinfo, before, chosen', [
    (AMD, None, 'SkylakeX'),
    (AMD, 'Haswell', 'Haswell'),
    (AMD.replace('avx512bw', 'avx2'), None, None),
    (AMD.replace('AuthenticAMD', 'GenuineIntel'), None, None),     # OpenBLAS knows these
    ('', None, None),
    (None, None, None)], ids=['AMD', 'chosen', 'AVX2', 'Intel', 'empty', 'no Linux'])
def test_the_kernel_of_blas_is_chosen(cpuinfo, before, chosen, tmp_path, monkeypatch):
    file = tmp_path / 'cpuinfo'
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setenv('OPENBLAS_CORETYPE', before or '')
    if not before:
        monkeypatch.delenv('OPENBLAS_CORETYPE')
    tinyfcn._choose_blas_kernel(file)
    assert os.environ.get('OPENBLAS_CORETYPE') == chosen


@pytest.mark.parametrize('first, before, chosen', [
    ('tinyfcn', None, '20'), ('tinyfcn', '9', '9'), ('numpy', None, None)])
def test_threads_of_blas_give_up_soon(first, before, chosen):
    """It is read when NumPy is loaded: afterwards nothing is said that has no effect."""
    environ = {key: value for key, value in os.environ.items() if 'OPENBLAS' not in key}
    run = subprocess.run([sys.executable, '-c', f'import os, {first}, tinyfcn\n'
                          'print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))\n'
                          'import numpy'], capture_output=True, text=True,
                         env={**environ, **({'OPENBLAS_THREAD_TIMEOUT': before} if before else {})})
    assert run.stdout.split() == [str(chosen)], run.stderr


def test_blas_is_found_once():
    assert counted._blas() is counted._blas()
    assert all(blas.user_api == 'blas' for blas in counted._blas())


# ---- Memory

def test_memory_is_kept():
    """300 MB that are freed stay with the process, which has owned them once."""
    script = ('import numpy as np\n'
              'from tinyfcn.runtime.malloc import tune_allocator\n'
              'def resident():\n'
              '    with open("/proc/self/statm") as file:\n'
              '        return int(file.read().split()[1]) * 4096\n'
              'kept = tune_allocator()\n'
              'for _ in range(2):\n'
              '    np.ones(300 << 17)\n'
              'print(kept, resident() > 280 << 20)')
    if not os.path.exists('/proc/self/statm'):
        pytest.skip('what a process holds is told by Linux alone')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert run.stdout.split() in (['True', 'True'], ['False', 'False']), run.stderr


def test_memory_lies_in_huge_pages():
    """The kernel tells of each part of the memory what it was advised: hg."""
    advice = '/sys/kernel/mm/transparent_hugepage/enabled'
    if not os.path.exists(advice) or platform.libc_ver()[0] != 'glibc':
        pytest.skip('this kernel has no huge pages to give away, or this libc no mallopt')
    script = ('from tinyfcn.runtime.malloc import tune_allocator\n'
              'tune_allocator()\n'
              'with open("/proc/self/smaps") as file:\n'
              '    sizes, advised = [], 0\n'
              '    for line in file:\n'
              '        kind, *values = line.split()\n'
              '        if kind == "Size:": sizes.append(int(values[0]))\n'
              '        if kind == "VmFlags:" and "hg" in values: advised += sizes[-1]\n'
              'print(advised)')
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert int(run.stdout) >= (1 << 20) - 2048, run.stderr               # kB, but for a page
