"""The fake CuPy is as strict as CuPy: every kind of mistake is made once, and rejected.

Were it more lenient, the other test_gpuproof_*.py would prove nothing.
"""
from copy import deepcopy
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse
from fake_cupy import surface, use_fake_cupy

from tinyfcn.runtime import backend

pytestmark = pytest.mark.gpuproof

HOST = np.arange(6.).reshape(2, 3)
INDICES = np.array([0, 1, 0])


@pytest.fixture
def cupy():
    with use_fake_cupy() as module:
        yield module


@pytest.fixture
def x(cupy):
    x = cupy.asarray(HOST)
    cupy.stats.reset()
    return x


# ---- Rejected code, where x is on the GPU and a is of NumPy: the error, and a part of its message

MIXED, IMPLICIT = 'Unsupported type', 'Implicit conversion to a NumPy array is not allowed'
MISTAKES = {
    # an implicit copy to the host
    'np.asarray(x)': (TypeError, IMPLICIT),
    'np.array([x, x])': (TypeError, IMPLICIT),
    'np.asarray(x[0, 0])': (TypeError, IMPLICIT),
    'np.random.default_rng(0).permutation(x)': (TypeError, IMPLICIT),
    'a.__setitem__(..., x)': (TypeError, IMPLICIT),
    'scipy.sparse.csr_array(x)': (ValueError, 'unrecognized csr_array'),
    # mixed: in operators and ufuncs
    'x + a': (TypeError, MIXED),
    'a + x': (TypeError, MIXED),
    'x @ a.T': (TypeError, MIXED),
    'a @ x.T': (TypeError, MIXED),
    'x == a': (TypeError, MIXED),
    'x.__iadd__(a)': (TypeError, MIXED),
    'a.__iadd__(x)': (TypeError, MIXED),
    'xp.maximum(x, a)': (TypeError, MIXED),
    'np.maximum(x, a)': (TypeError, MIXED),
    'xp.exp(x, out=a)': (TypeError, MIXED),
    'np.exp(x, out=a)': (TypeError, MIXED),
    'xp.add.at(x, (i, i), a[0])': (TypeError, MIXED),
    'x + [1, 2, 3]': (TypeError, MIXED),
    'xp.maximum(x, [1, 2, 3])': (TypeError, MIXED),
    # in functions and methods
    'xp.concatenate([x, a])': (TypeError, MIXED),
    'np.concatenate([x, a])': (TypeError, MIXED),
    'xp.where(x > 0, x, a)': (TypeError, MIXED),
    'xp.pad(a, 1)': (TypeError, MIXED),
    'xp.sum(a)': (TypeError, MIXED),
    'xp.sum([1, 2])': (TypeError, MIXED),
    'xp.sum(x, out=np.array(0.))': (TypeError, MIXED),
    'xp.zeros_like(a)': (TypeError, MIXED),
    'xp.full((2, 3), a)': (TypeError, MIXED),
    'xp.take(x, indices)': (TypeError, MIXED),
    'x.take(indices)': (TypeError, MIXED),
    'x.dot(a.T)': (TypeError, MIXED),
    'x.fill(a)': (TypeError, MIXED),
    'x.sum(out=np.array(0.))': (TypeError, MIXED),
    'xp.lib.stride_tricks.sliding_window_view(a, 2, axis=1)': (TypeError, MIXED),
    'x.set(x)': (TypeError, 'Only numpy.ndarray can be set'),
    # in indices and assignments; CuPy itself would upload an index, and what a mask selects
    'x[indices]': (TypeError, MIXED),
    'x[a > 2]': (TypeError, MIXED),
    'x[[0, 1]]': (TypeError, MIXED),
    'x.__setitem__(..., a)': (TypeError, MIXED),
    'x.__setitem__(0, [1, 2, 3])': (TypeError, MIXED),
    'x.__setitem__(x > 2, a[a > 2])': (TypeError, MIXED),
    'x.__setitem__(i, a[indices])': (TypeError, MIXED),
    'x.__setitem__(a > 2, 0)': (TypeError, MIXED),
    # sparse
    'sparse.csr_array(a)': (TypeError, 'needs an array on the GPU'),
    'sparse.csr_array((a[0], (i, i)))': (TypeError, MIXED),
    'sparse.csr_array(x) @ a.T': (TypeError, 'is not on the GPU'),
    'a @ sparse.csr_array(x)': (TypeError, 'unsupported operand'),
    'x @ sparse.csr_array(x)': (TypeError, 'unsupported operand'),
    'sparse.csr_array(x.astype("int64"))': (ValueError, 'Only bool, float32, float64'),
    # with an undefined result
    'x.__setitem__((i, i), x[0])': (ValueError, 'appears twice'),
    'x.ravel().__setitem__(i - 6, x[0])': (ValueError, 'appears twice'),
    'xp.add(x, x, where=x > 0)': (TypeError, 'pass out='),
    # names that CuPy does not have
    'xp.errstate(all="ignore")': (AttributeError, "module 'cupy' has no attribute 'errstate'"),
    'xp.ndenumerate(x)': (AttributeError, 'ndenumerate'),
    'xp.block([x])': (AttributeError, 'block'),
    'np.block([x])': (TypeError, 'no implementation found'),
    'xp.insert(x, 0, 0)': (AttributeError, 'insert'),
    'xp.nditer(x)': (AttributeError, 'nditer'),
    'xp.random.default_rng(0)': (AttributeError, 'has no random'),
    'xp.linalg.multi_dot([x, x])': (AttributeError, 'multi_dot'),
    'x.resize(3, 2)': (AttributeError, "'cupy.ndarray' object has no attribute 'resize'"),
    'x.setflags(write=False)': (AttributeError, 'setflags'),
    'x.to_device("cpu")': (AttributeError, 'to_device'),
    'range(i[0])': (TypeError, 'cannot be interpreted as an integer'),
    '[7, 8, 9][i[0]]': (TypeError, 'list indices must be integers'),
    'hash(x)': (TypeError, 'unhashable'),
    'xp.maximum.reduce(x)': (NotImplementedError, 'maximum.reduce'),
    'xp.multiply.at(x, (i, i), 2.)': (NotImplementedError, 'multiply.at'),
    'xp.add.at(i, i, 1)': (TypeError, 'scatter_add only supports'),
    'xp.asarray(a.astype("longdouble"))': (ValueError, 'Unsupported dtype'),
    'xp.asarray(np.array([x.shape, None], object))': (ValueError, 'Unsupported dtype'),
    # arguments that CuPy does not have
    'xp.sum(x, where=x > 0)': (TypeError, 'where'),
    'np.sum(x, where=x > 0)': (TypeError, 'where'),
    'x.sum(where=x > 0)': (TypeError, 'where'),
    'xp.max(x, initial=0.)': (TypeError, 'initial'),
    'x.max(initial=0.)': (TypeError, 'initial'),
    'xp.take(x, i, mode="raise")': (TypeError, 'mode'),
    'xp.einsum("ij->i", x, out=x[:, 0])': (TypeError, 'out'),
    'xp.add(x, x, subok=False)': (TypeError, 'subok'),
    'xp.pad(x, 1, constant=2)': (TypeError, 'constant'),
    'xp.take_along_axis(x, i[None])': (TypeError, 'axis'),
    'x.astype("float32", subok=False, order="C", device=0)': (TypeError, 'device'),
    'x.argsort(stable=True)': (TypeError, 'stable'),
    'xp.arange(3, like=x)': (TypeError, 'like'),
}


@pytest.mark.parametrize('line', MISTAKES)
def test_a_mistake_is_rejected(cupy, x, line):
    import cupyx.scipy.sparse
    error, message = MISTAKES[line]
    names = dict(np=np, scipy=scipy, xp=cupy, sparse=cupyx.scipy.sparse, x=x, a=HOST.copy(),
                 i=cupy.asarray(INDICES), indices=INDICES)
    with pytest.raises(error, match=message):
        eval(line, names)


# ---- How many uploads, downloads, synchronisations a line costs

TRANSFERS = {
    'x.get()': (0, 1, 1), 'xp.asnumpy(x)': (0, 1, 1), 'float(x[0, 0])': (0, 0, 1),
    'int(x[0, 0])': (0, 0, 1), 'bool(x.any())': (0, 0, 1), 'x.sum().item()': (0, 0, 1),
    'x.tolist()': (0, 0, 1), 'str(x)': (0, 0, 1), 'max(x[0])': (0, 0, 2), 'x[x > 0]': (0, 0, 1),
    'xp.nonzero(x)': (0, 0, 1), 'xp.argwhere(x)': (0, 0, 1), 'xp.where(x > 0)': (0, 0, 1),
    'xp.unique(x)': (0, 0, 1), 'xp.bincount(x.ravel().astype(int))': (0, 0, 1),
    'x.__setitem__(x > 2, x[0, 0])': (0, 0, 1), 'x.__setitem__(x > 2, 0.)': (1, 0, 1),
    'xp.asarray(a)': (1, 0, 0), 'xp.array([1., 2.])': (1, 0, 0), 'xp.asarray(x)': (0, 0, 0),
    'x.set(a)': (1, 0, 0), 'xp.where(x > 0, x, 0)': (0, 0, 0), 'x + 1': (0, 0, 0),
    'x.sum()': (0, 0, 0), 'x[1:, ::2]': (0, 0, 0), 'xp.arange(3)': (0, 0, 0),
    'x.fill(0)': (0, 0, 0), 'xp.full((2, 3), np.float32(2))': (0, 0, 0), 'list(x)': (0, 0, 0),
    'x.__setitem__(0, 1.)': (0, 0, 0), 'xp.cuda.Stream().synchronize()': (0, 0, 1),
    'sparse.csr_array(x) @ x.T': (0, 0, 2), 'sparse.csr_array(scipy.sparse.eye(2))': (3, 0, 0),
}


@pytest.mark.parametrize('line', TRANSFERS)
def test_transfers_and_synchronisations_are_counted(cupy, x, line):
    import cupyx.scipy.sparse
    eval(line, dict(np=np, scipy=scipy, xp=cupy, sparse=cupyx.scipy.sparse, x=x, a=HOST.copy()))
    stats = cupy.stats
    assert (stats.uploads, stats.downloads, stats.synchronisations) == TRANSFERS[line]


# ---- Where CuPy differs from NumPy

def test_results_are_arrays_on_the_gpu_even_single_numbers(cupy, x):
    dot = backend.array_module(x).dot
    for y in (x.sum(), x[0, 0], x.max(), dot(x[0], x[0]), *x[0], x.T, x > 0, x.argmax(1),
              *cupy.broadcast_arrays(x, x[0]), np.exp(x), np.float64(2) * x, 2 - x, abs(x)):
        assert type(y) is cupy.ndarray and type(y).__module__ == 'cupy'
    assert x.sum().shape == ()


def test_no_memory_is_shared_with_the_host(cupy):
    host = HOST.copy()
    x = cupy.asarray(host)
    copy = x.get()
    host[0, 0] = 7
    copy[0, 1] = 7
    np.testing.assert_array_equal(x.get(), HOST)


def test_a_view_is_a_view_and_a_copy_a_copy(cupy, x):
    copies = x.copy(), deepcopy(x), cupy.array(x)
    x.T[0, 0], x[1, 2, ...] = 7., 8.
    x[0, 1] += 1
    np.testing.assert_array_equal(x.get(), [[7, 2, 2], [3, 4, 8]])
    for copied in copies:
        np.testing.assert_array_equal(copied.get(), HOST)


def test_unwritten_memory_is_garbage(cupy, x):
    for unwritten in (cupy.empty((2, 3)), cupy.empty_like(x), cupy.ndarray((2, 3), 'float32')):
        assert np.isnan(unwritten.get()).all()
    assert (cupy.empty(3, 'int32').get() > 1 << 30).all()
    assert not cupy.zeros((2, 3)).get().any()


def test_an_index_outside_wraps_around(cupy, x):
    outside = cupy.asarray([3, -4, 5])
    np.testing.assert_array_equal(x[0, outside].get(), [0, 2, 2])
    np.testing.assert_array_equal(cupy.take(x, 6 * outside).get(), [0, 0, 0])
    np.testing.assert_array_equal(
        cupy.take_along_axis(x, cupy.asarray([[3], [-4]]), axis=1).get(), [[0], [5]])
    x[0, outside[:2]] = cupy.asarray([7., 8.])
    cupy.add.at(x, (1, outside), cupy.ones(3))
    np.testing.assert_array_equal(x.get(), [[7, 1, 8], [4, 4, 7]])


def test_a_gpu_divides_by_zero_silently(cupy, x):
    assert np.isinf((1 / x).get()).any() and np.isnan(cupy.log(x - 1).get()).any()


def test_dtypes_are_promoted_as_in_numpy_2(cupy, x):
    single = x.astype('float32')
    assert (single * 2.).dtype == (single * np.float32(2)).dtype == 'float32'
    assert (single * np.float64(2)).dtype == (single + x).dtype == 'float64'
    assert single.sum(dtype='float64').dtype == 'float64'


def test_results_are_in_c_order_and_some_copies_keep_their_order(cupy, x):
    for y in (x.T + 1, cupy.maximum(x.T, 0), cupy.where(x.T > 0, x.T, 0), x.T.copy(),
              x.T[cupy.asarray([0, 2])], cupy.concatenate([x.T, x.T]), cupy.exp(x.T)):
        assert y.flags.c_contiguous, y
    for y in (cupy.empty_like(x.T), cupy.asarray(x.T), x.T.astype('float32'), x.T):
        assert y.flags.f_contiguous, y


def test_the_import_of_cupy_is_replaced_and_restored():
    import sys
    before = sys.modules.get('cupy')
    with use_fake_cupy() as module:
        import cupy
        import cupyx.scipy.sparse
        assert cupy is module
        assert backend.sparse_module(cupy.zeros(3)) is cupyx.scipy.sparse
    assert sys.modules.get('cupy') is before


# ---- surface.json

def test_surface_json_agrees_with_an_installed_cupy():
    if not find_spec('cupy'):
        pytest.skip('CuPy is not installed: pip install cupy-cuda12x, which needs no GPU for this')
    import cupy
    from fake_cupy.freeze_surface import read_surface
    if cupy.__version__.split('.')[:2] != surface.SURFACE['version'].split('.')[:2]:
        pytest.skip(f'CuPy {cupy.__version__} is installed, and surface.json is of '
                    f'{surface.SURFACE["version"]}: run tests/fake_cupy/freeze_surface.py')
    found = read_surface()
    assert found.keys() == surface.SURFACE.keys()
    for space in found:
        assert found[space] == surface.SURFACE[space], space


def test_the_fake_has_no_names_that_cupy_lacks(cupy):
    import cupyx.scipy.sparse as sparse
    of_an_instance = {'data', 'indices', 'indptr'}          # CuPy's class does not have them
    for space, fake in {'ndarray': cupy.ndarray, 'sparse.csr_array': sparse.csr_array,
                           'sparse.csc_array': sparse.csc_array}.items():
        names = {name for name in dir(fake) if not name.startswith('_')}
        assert names - of_an_instance <= surface.SURFACE[space].keys()
    assert not hasattr(cupy.ndarray, '__index__') and '__float__' in vars(cupy.ndarray)


def test_ufuncs_compute_in_the_same_dtypes_as_those_of_numpy():
    """So NumPy may compute in their place."""
    compared = 0
    for name, called in surface.SURFACE[''].items():
        ufunc = getattr(np, name, None)
        types = called.split()[1:]
        if not called.startswith('ufunc') or not isinstance(ufunc, np.ufunc):
            continue
        for dtype in surface.DTYPES:
            candidates = (each.partition('->') for each in types)
            of_cupy = next((out for ins, _, out in candidates
                            if all(np.can_cast(dtype, each) for each in ins)), None)
            try:
                with np.errstate(all='ignore'):
                    y = ufunc(*[np.ones(1, dtype)] * ufunc.nin)
            except TypeError:
                continue
            assert of_cupy, f'{name} of {dtype}'
            assert [np.dtype(c) for c in of_cupy] == [
                each.dtype for each in (y if isinstance(y, tuple) else (y,))], f'{name} of {dtype}'
            compared += 1
    assert compared > 800
