"""The stand-in for CuPy is as strict as CuPy: each mistake is made once, and refused.

Were it lenient, all that test_gpuproof_*.py prove on it would be worth nothing.
"""
from copy import deepcopy
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse
from fake_cupy import lent, names as strict_names

from tinyfcn.runtime import backend

pytestmark = pytest.mark.gpuproof

HOST = np.arange(6.).reshape(2, 3)
CELLS = np.array([0, 1, 0])


@pytest.fixture
def cupy():
    with lent() as module:
        yield module


@pytest.fixture
def x(cupy):
    x = cupy.asarray(HOST)
    cupy.stats.reset()
    return x


# ---- What is refused: a line of code about x on the card, a of NumPy, the error, its words

MIXED, IMPLICIT = 'Unsupported type', 'Implicit conversion to a NumPy array is not allowed'
MISTAKES = {
    # brought to the host by accident
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
    'xp.take(x, cells)': (TypeError, MIXED),
    'x.take(cells)': (TypeError, MIXED),
    'x.dot(a.T)': (TypeError, MIXED),
    'x.fill(a)': (TypeError, MIXED),
    'x.sum(out=np.array(0.))': (TypeError, MIXED),
    'xp.lib.stride_tricks.sliding_window_view(a, 2, axis=1)': (TypeError, MIXED),
    'x.set(x)': (TypeError, 'Only numpy.ndarray can be set'),
    # in indices and assignments; CuPy itself would bring an index up, and what a mask takes
    'x[cells]': (TypeError, MIXED),
    'x[a > 2]': (TypeError, MIXED),
    'x[[0, 1]]': (TypeError, MIXED),
    'x.__setitem__(..., a)': (TypeError, MIXED),
    'x.__setitem__(0, [1, 2, 3])': (TypeError, MIXED),
    'x.__setitem__(x > 2, a[a > 2])': (TypeError, MIXED),
    'x.__setitem__(i, a[cells])': (TypeError, MIXED),
    'x.__setitem__(a > 2, 0)': (TypeError, MIXED),
    # sparse
    'sparse.csr_array(a)': (TypeError, 'made of an array on the card'),
    'sparse.csr_array((a[0], (i, i)))': (TypeError, MIXED),
    'sparse.csr_array(x) @ a.T': (TypeError, 'is not on the card'),
    'a @ sparse.csr_array(x)': (TypeError, 'unsupported operand'),
    'x @ sparse.csr_array(x)': (TypeError, 'unsupported operand'),
    'sparse.csr_array(x.astype("int64"))': (ValueError, 'Only bool, float32, float64'),
    # left to chance
    'x.__setitem__((i, i), x[0])': (ValueError, 'stands here twice'),
    'x.ravel().__setitem__(i - 6, x[0])': (ValueError, 'stands here twice'),
    'xp.add(x, x, where=x > 0)': (TypeError, 'give it out='),
    # what CuPy does not have
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
    # what it cannot be told
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
def test_a_mistake_is_refused(cupy, x, line):
    import cupyx.scipy.sparse
    error, words = MISTAKES[line]
    names = dict(np=np, scipy=scipy, xp=cupy, sparse=cupyx.scipy.sparse, x=x, a=HOST.copy(),
                 i=cupy.asarray(CELLS), cells=CELLS)
    with pytest.raises(error, match=words):
        eval(line, names)


# ---- How often the host and the card speak: uploads, downloads, synchronisations

TALK = {
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


@pytest.mark.parametrize('line', TALK)
def test_what_the_host_and_the_card_say_is_counted(cupy, x, line):
    import cupyx.scipy.sparse
    eval(line, dict(np=np, scipy=scipy, xp=cupy, sparse=cupyx.scipy.sparse, x=x, a=HOST.copy()))
    stats = cupy.stats
    assert (stats.uploads, stats.downloads, stats.synchronisations) == TALK[line]


# ---- What it does otherwise than NumPy, as CuPy does

def test_what_comes_out_is_on_the_card_even_a_single_number(cupy, x):
    for y in (x.sum(), x[0, 0], x.max(), xp_of(x).dot(x[0], x[0]), *x[0], x.T, x > 0, x.argmax(1),
              *cupy.broadcast_arrays(x, x[0]), np.exp(x), np.float64(2) * x, 2 - x, abs(x)):
        assert type(y) is cupy.ndarray and type(y).__module__ == 'cupy'
    assert x.sum().shape == ()


def xp_of(x):
    return backend.array_module(x)


def test_no_memory_is_shared_with_the_host(cupy):
    host = HOST.copy()
    x = cupy.asarray(host)
    down = x.get()
    host[0, 0], down[0, 1] = 7, 7
    np.testing.assert_array_equal(x.get(), HOST)


def test_a_view_is_a_view_and_a_copy_a_copy(cupy, x):
    copies = x.copy(), deepcopy(x), cupy.array(x)
    x.T[0, 0], x[1, 2, ...] = 7., 8.
    x[0, 1] += 1
    np.testing.assert_array_equal(x.get(), [[7, 2, 2], [3, 4, 8]])
    for copied in copies:
        np.testing.assert_array_equal(copied.get(), HOST)


def test_fresh_memory_is_garbage(cupy, x):
    for fresh in (cupy.empty((2, 3)), cupy.empty_like(x), cupy.ndarray((2, 3), 'float32')):
        assert np.isnan(fresh.get()).all()
    assert (cupy.empty(3, 'int32').get() > 1 << 30).all()
    assert not cupy.zeros((2, 3)).get().any()


def test_what_lies_outside_wraps(cupy, x):
    outside = cupy.asarray([3, -4, 5])
    np.testing.assert_array_equal(x[0, outside].get(), [0, 2, 2])
    np.testing.assert_array_equal(cupy.take(x, 6 * outside).get(), [0, 0, 0])
    np.testing.assert_array_equal(
        cupy.take_along_axis(x, cupy.asarray([[3], [-4]]), axis=1).get(), [[0], [5]])
    x[0, outside[:2]] = cupy.asarray([7., 8.])
    cupy.add.at(x, (1, outside), cupy.ones(3))
    np.testing.assert_array_equal(x.get(), [[7, 1, 8], [4, 4, 7]])


def test_a_card_divides_by_zero_in_silence(cupy, x):
    assert np.isinf((1 / x).get()).any() and np.isnan(cupy.log(x - 1).get()).any()


def test_numbers_widen_as_in_numpy_2(cupy, x):
    single = x.astype('float32')
    assert (single * 2.).dtype == (single * np.float32(2)).dtype == 'float32'
    assert (single * np.float64(2)).dtype == (single + x).dtype == 'float64'
    assert single.sum(dtype='float64').dtype == 'float64'


def test_results_lie_in_c_order_and_copies_as_what_they_copy(cupy, x):
    for y in (x.T + 1, cupy.maximum(x.T, 0), cupy.where(x.T > 0, x.T, 0), x.T.copy(),
              x.T[cupy.asarray([0, 2])], cupy.concatenate([x.T, x.T]), cupy.exp(x.T)):
        assert y.flags.c_contiguous, y
    for y in (cupy.empty_like(x.T), cupy.asarray(x.T), x.T.astype('float32'), x.T):
        assert y.flags.f_contiguous, y


def test_it_is_lent_and_given_back():
    import sys
    before = sys.modules.get('cupy')
    with lent() as module:
        import cupy
        import cupyx.scipy.sparse
        assert cupy is module
        assert backend.sparse_module(cupy.zeros(3)) is cupyx.scipy.sparse
    assert sys.modules.get('cupy') is before


# ---- The frozen table

def test_the_frozen_table_is_that_of_the_cupy_installed_here():
    if not find_spec('cupy'):
        pytest.skip('CuPy is not installed: pip install cupy-cuda12x, which needs no GPU for this')
    import cupy
    from fake_cupy.freeze_surface import surface
    if cupy.__version__.split('.')[:2] != strict_names.SURFACE['version'].split('.')[:2]:
        pytest.skip(f'CuPy {cupy.__version__} is here, and the table is of '
                    f'{strict_names.SURFACE["version"]}: run tests/fake_cupy/freeze_surface.py')
    found = surface()
    assert found.keys() == strict_names.SURFACE.keys()
    for space in found:
        assert found[space] == strict_names.SURFACE[space], space


def test_the_stand_in_has_nothing_that_cupy_has_not(cupy):
    import cupyx.scipy.sparse as sparse
    of_an_instance = {'data', 'indices', 'indptr'}          # of a matrix, which its class has not
    for space, offered in {'ndarray': cupy.ndarray, 'sparse.csr_array': sparse.csr_array,
                           'sparse.csc_array': sparse.csc_array}.items():
        names = {name for name in dir(offered) if not name.startswith('_')}
        assert names - of_an_instance <= strict_names.SURFACE[space].keys()
    assert not hasattr(cupy.ndarray, '__index__') and '__float__' in vars(cupy.ndarray)


def test_ufuncs_compute_in_the_kinds_that_numpy_computes_in():
    """So NumPy may compute in their place. What only one of them computes, it refuses."""
    seen = 0
    for name, called in strict_names.SURFACE[''].items():
        ufunc, kinds = getattr(np, name, None), called.split()[1:]
        if not called.startswith('ufunc') or not isinstance(ufunc, np.ufunc):
            continue
        for kind in strict_names.KINDS:
            fitting = (k.partition('->') for k in kinds)
            of_cupy = next((out for ins, _, out in fitting
                            if all(np.can_cast(kind, each) for each in ins)), None)
            try:
                with np.errstate(all='ignore'):
                    y = ufunc(*[np.ones(1, kind)] * ufunc.nin)
            except TypeError:
                continue
            assert of_cupy, f'{name} of {kind}'
            assert [np.dtype(c) for c in of_cupy] == [
                each.dtype for each in (y if isinstance(y, tuple) else (y,))], f'{name} of {kind}'
            seen += 1
    assert seen > 800
