"""What launch() refuses, of arguments and of a text; and NVIDIA's own compiler on every text."""
import ctypes
import os
from importlib.util import find_spec
from pathlib import Path

import cuda_emulator
import numpy as np
import pytest
from fake_cupy import lent

from tinyfcn.kernels.gpu import launch as gpu

pytestmark = pytest.mark.gpuproof

TEXT = '''
extern "C" __global__ void mix(const REAL* x,           // n * c
                               const int* index,        // n
                               const double* weight,    // weighs * n
                               unsigned char* seen,     // n * c
                               REAL* y,                 // n * c
                               int n, int c, int weighs, long long step, REAL scale)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n * c; i += gridDim.x * blockDim.x) {
        y[i] = (x[i] * scale + index[i / c]) * (weighs ? (REAL)weight[i / c] : 1) + (REAL)step;
        seen[i] = 1;
    }
}
'''


@pytest.fixture
def cupy(tmp_path, monkeypatch):
    cuda_emulator.compiler()
    (tmp_path / 'mix.cu').write_text(TEXT, 'utf-8')
    monkeypatch.setattr(gpu, 'FOLDER', tmp_path)
    with lent() as module:
        yield module


def arguments(cupy, dtype='float32', **other):
    """Those of mix by name, fine but for `other`."""
    x = np.arange(6.).reshape(2, 3).astype(dtype)
    return dict(dict(x=cupy.asarray(x), index=cupy.asarray(np.array([10, 20], 'int32')),
                     weight=None, seen=cupy.empty((2, 3), 'uint8'), y=cupy.empty((2, 3), dtype),
                     n=2, c=3, weighs=0, step=1 << 40, scale=.5), **other)


def mix(cupy, given):
    gpu.launch('mix', 'mix', 6, *given.values())
    return given['y'].get()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('weighs', [0, 1])
@pytest.mark.parametrize('seen', ['uint8', 'bool'])
def test_a_kernel_runs_on_what_it_declares(cupy, dtype, weighs, seen):
    given = arguments(cupy, dtype, weighs=weighs, step=7, seen=cupy.empty((2, 3), seen),
                      weight=cupy.asarray(np.array([1., 2.])) if weighs else None)
    true = (given['x'].get() / 2 + [[10], [20]]) * ([[1], [2]] if weighs else 1) + 7
    np.testing.assert_array_equal(mix(cupy, given), true.astype(dtype))
    assert (given['seen'].get() == 1).all()


def test_numbers_of_numpy_are_numbers(cupy):
    given = arguments(cupy, n=np.int64(2), scale=np.float64(.5), step=np.uint8(3), weighs=False)
    assert mix(cupy, given)[1, 2] == 5 * .5 + 20 + 3


def test_nothing_to_do_is_no_launch(cupy):
    gpu.launch('mix', 'mix', 0, *arguments(cupy).values())      # a grid of 0 blocks is an error


REFUSED = {
    'an array of the host': (
        lambda cupy: dict(x=np.zeros((2, 3), 'float32')),
        TypeError, 'mix: x is a numpy.ndarray; an array on the GPU is needed'),
    'a list': (
        lambda cupy: dict(index=[10, 20]),
        TypeError, 'mix: index is a builtins.list; an array on the GPU is needed'),
    'no array': (
        lambda cupy: dict(weighs=1),
        TypeError, 'mix: weight is a builtins.NoneType; an array on the GPU is needed'),
    'an array that should not be': (
        lambda cupy: dict(weight=cupy.zeros(2, 'float64')),
        ValueError, r'mix: weight has 2 values, \(2,\); the kernel reads 0'),
    'two widths': (
        lambda cupy: dict(y=cupy.empty((2, 3), 'float64')),
        TypeError, 'mix: y is float64; this kernel reads float32'),
    'no width that a kernel computes in': (
        lambda cupy: dict(x=cupy.zeros((2, 3), 'float16'), y=cupy.zeros((2, 3), 'float16')),
        TypeError, 'mix: x is float16; this kernel reads float32'),
    'whole numbers of another width': (
        lambda cupy: dict(index=cupy.zeros(2, 'int64')),
        TypeError, 'mix: index is int64; this kernel reads int32'),
    'bytes with a sign': (
        lambda cupy: dict(seen=cupy.zeros((2, 3), 'int8')),
        TypeError, 'mix: seen is int8; this kernel reads uint8 or bool'),
    'too short': (
        lambda cupy: dict(y=cupy.empty((2, 2), 'float32')),
        ValueError, r'mix: y has 4 values, \(2, 2\); the kernel reads 6'),
    'too long': (
        lambda cupy: dict(index=cupy.zeros(3, 'int32')),
        ValueError, r'mix: index has 3 values, \(3,\); the kernel reads 2'),
    'gaps': (
        lambda cupy: dict(x=cupy.zeros((3, 2), 'float32').T),
        ValueError, 'mix: x is not C-contiguous: cupy.ascontiguousarray makes it so'),
    'a fraction': (
        lambda cupy: dict(n=2.),
        TypeError, 'mix: n is a builtins.float; a whole number is needed'),
    'a number too large': (
        lambda cupy: dict(c=1 << 31), ValueError, 'mix: c is 2147483648, which int cannot hold'),
    'a number too large for long long': (
        lambda cupy: dict(step=1 << 63), ValueError, 'mix: step is 9.*, which long long cannot'),
    'a number that is an array': (
        lambda cupy: dict(scale=cupy.zeros((), 'float32')),
        TypeError, 'mix: scale is a cupy.ndarray; a number is needed'),
    'a number that is a word': (
        lambda cupy: dict(scale='.5'), TypeError, 'mix: scale is a builtins.str; a number is'),
}


@pytest.mark.parametrize('other, error, words', REFUSED.values(), ids=REFUSED)
def test_a_wrong_argument_is_refused(cupy, other, error, words):
    given = arguments(cupy, **other(cupy))
    with pytest.raises(error, match=words):
        mix(cupy, given)


def test_an_array_of_another_gpu_is_refused(cupy):
    class Elsewhere(cupy.ndarray):
        device = type('Device', (), {'id': 1})()

    x = cupy.zeros((2, 3), 'float32')
    elsewhere = object.__new__(Elsewhere)
    elsewhere._host = x._host
    with pytest.raises(ValueError, match='mix: x is on GPU 1; the kernel would run on GPU 0'):
        mix(cupy, arguments(cupy, x=elsewhere))


def test_too_few_arguments_are_refused(cupy):
    with pytest.raises(TypeError, match='mix takes 10 arguments and was given 9: x, index, wei'):
        gpu.launch('mix', 'mix', 6, *[*arguments(cupy).values()][1:])


def test_a_kernel_that_is_not_there_is_refused(cupy):
    with pytest.raises(ValueError, match='mix.cu has no kernel stir; it has mix'):
        gpu.launch('mix', 'stir', 6)


@pytest.mark.parametrize('old, new, words', [
    ('        // n\n', '\n', 'mix.cu: mix does not say how many values index has'),
    ('int n,', 'short n,', "mix.cu: mix has an argument 'short n'; an argument is one of int, lo"),
])
def test_a_signature_that_cannot_be_checked_is_refused(cupy, old, new, words):
    assert TEXT.count(old) == 1
    (gpu.FOLDER / 'other.cu').write_text(TEXT.replace(old, new), 'utf-8')
    with pytest.raises(ValueError, match=words.replace('mix.cu', 'other.cu')):
        gpu.launch('other', 'mix', 6)


def test_every_text_says_extern_c_of_every_kernel():
    """One that does not is a kernel that launch() cannot see."""
    for path in gpu.FOLDER.glob('*.cu'):
        assert path.read_text('utf-8').count('__global__') == len(gpu.signatures(str(path)))


# ---- NVIDIA's compiler needs no GPU

def nvrtc():
    """The library of nvidia-cuda-nvrtc-cu12, where it is installed."""
    try:
        found = find_spec('nvidia.cuda_nvrtc')
    except ModuleNotFoundError:
        found = None
    if not found:
        pytest.skip('NVIDIA’s compiler is not here: pip install "tinyfcn[nvrtc]"')
    folder = Path(next(iter(found.submodule_search_locations)))
    name = 'bin/nvrtc64*_0.dll' if os.name == 'nt' else 'lib/libnvrtc.so.*'
    return ctypes.CDLL(str(next(folder.glob(name))))


@pytest.mark.parametrize('card', ['sm_75', 'sm_80', 'sm_90'])
@pytest.mark.parametrize('real', ['float', 'double'])
def test_nvidias_compiler_takes_every_text(card, real):
    library = nvrtc()
    for path in sorted(gpu.FOLDER.glob('*.cu')):
        made, size = ctypes.c_void_p(), ctypes.c_size_t()
        code = f'#define REAL {real}\n#line 1 "{path.name}"\n{path.read_text("utf-8")}'
        assert not library.nvrtcCreateProgram(ctypes.byref(made), code.encode(), None, 0, None,
                                              None)
        options = (ctypes.c_char_p * 2)(f'--gpu-architecture={card}'.encode(), b'--std=c++17')
        failed = library.nvrtcCompileProgram(made, 2, options)
        library.nvrtcGetProgramLogSize(made, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(made, log)
        library.nvrtcDestroyProgram(ctypes.byref(made))
        assert not failed, log.value.decode()
