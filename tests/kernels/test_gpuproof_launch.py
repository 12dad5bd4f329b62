"""What launch() rejects, in arguments and in a .cu file; NVIDIA's own compiler on every file."""
import ctypes
import os
from importlib.util import find_spec
from pathlib import Path

import cuda_emulator
import numpy as np
import pytest

from tinyfcn.kernels.gpu import launch

pytestmark = pytest.mark.gpuproof

CODE = '''
extern "C" __global__ void mix(const REAL* x,           // n * c
                               const int* index,        // n
                               const double* weight,    // is_weighted * n
                               unsigned char* seen,     // n * c
                               REAL* y,                 // n * c
                               int n, int c, int is_weighted, long long step, REAL scale)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n * c; i += gridDim.x * blockDim.x) {
        y[i] = (x[i] * scale + index[i / c]) * (is_weighted ? (REAL)weight[i / c] : 1) + (REAL)step;
        seen[i] = 1;
    }
}
'''


@pytest.fixture
def cupy(real_cupy, tmp_path, monkeypatch):
    (tmp_path / 'mix.cu').write_text(CODE, 'utf-8')
    monkeypatch.setattr(launch, 'FOLDER', tmp_path)
    with cuda_emulator.use_emulator():
        yield real_cupy


def arguments(cupy, dtype='float32', **other):
    """The arguments of mix by name: valid ones, except for `other`."""
    x = np.arange(6.).reshape(2, 3).astype(dtype)
    return dict(dict(x=cupy.asarray(x), index=cupy.asarray(np.array([10, 20], 'int32')),
                     weight=None, seen=cupy.empty((2, 3), 'uint8'), y=cupy.empty((2, 3), dtype),
                     n=2, c=3, is_weighted=0, step=1 << 40, scale=.5), **other)


def mix(given):
    launch.launch('mix', 'mix', 6, *given.values())
    return given['y'].get()


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('is_weighted', [0, 1])
@pytest.mark.parametrize('seen', ['uint8', 'bool'])
def test_a_kernel_runs_on_arguments_of_the_declared_types(cupy, dtype, is_weighted, seen):
    given = arguments(cupy, dtype, is_weighted=is_weighted, step=7, seen=cupy.empty((2, 3), seen),
                      weight=cupy.asarray(np.array([1., 2.])) if is_weighted else None)
    true = (given['x'].get() / 2 + [[10], [20]]) * ([[1], [2]] if is_weighted else 1) + 7
    np.testing.assert_array_equal(mix(given), true.astype(dtype))
    assert (given['seen'].get() == 1).all()


def test_numpy_scalars_are_accepted(cupy):
    given = arguments(cupy, n=np.int64(2), scale=np.float64(.5), step=np.uint8(3),
                      is_weighted=False)
    assert mix(given)[1, 2] == 5 * .5 + 20 + 3


def test_a_count_of_0_launches_nothing(cupy):
    launch.launch('mix', 'mix', 0, *arguments(cupy).values())      # CUDA rejects a grid of 0 blocks


REJECTED = {
    'a NumPy array': (
        lambda cupy: dict(x=np.zeros((2, 3), 'float32')),
        TypeError, 'mix: x is a numpy.ndarray; an array on the GPU is needed'),
    'a list': (
        lambda cupy: dict(index=[10, 20]),
        TypeError, 'mix: index is a builtins.list; an array on the GPU is needed'),
    'None for an array': (
        lambda cupy: dict(is_weighted=1),
        TypeError, 'mix: weight is a builtins.NoneType; an array on the GPU is needed'),
    'an array where None is expected': (
        lambda cupy: dict(weight=cupy.zeros(2, 'float64')),
        ValueError, r'mix: weight has 2 values, \(2,\); the kernel reads 0'),
    'float32 and float64': (
        lambda cupy: dict(y=cupy.empty((2, 3), 'float64')),
        TypeError, 'mix: y is float64; this kernel reads float32'),
    'float16': (
        lambda cupy: dict(x=cupy.zeros((2, 3), 'float16'), y=cupy.zeros((2, 3), 'float16')),
        TypeError, 'mix: x is float16; this kernel reads float32'),
    'integers of another width': (
        lambda cupy: dict(index=cupy.zeros(2, 'int64')),
        TypeError, 'mix: index is int64; this kernel reads int32'),
    'signed bytes': (
        lambda cupy: dict(seen=cupy.zeros((2, 3), 'int8')),
        TypeError, 'mix: seen is int8; this kernel reads uint8 or bool'),
    'too short': (
        lambda cupy: dict(y=cupy.empty((2, 2), 'float32')),
        ValueError, r'mix: y has 4 values, \(2, 2\); the kernel reads 6'),
    'too long': (
        lambda cupy: dict(index=cupy.zeros(3, 'int32')),
        ValueError, r'mix: index has 3 values, \(3,\); the kernel reads 2'),
    'a transposed array': (
        lambda cupy: dict(x=cupy.zeros((3, 2), 'float32').T),
        ValueError, 'mix: x is not C-contiguous: cupy.ascontiguousarray makes it so'),
    'a fraction': (
        lambda cupy: dict(n=2.),
        TypeError, 'mix: n is a builtins.float; a whole number is needed'),
    'a number too large for int': (
        lambda cupy: dict(c=1 << 31), ValueError, 'mix: c is 2147483648, which int cannot hold'),
    'a number too large for long long': (
        lambda cupy: dict(step=1 << 63), ValueError, 'mix: step is 9.*, which long long cannot'),
    'an array for a number': (
        lambda cupy: dict(scale=cupy.zeros((), 'float32')),
        TypeError, 'mix: scale is a cupy.ndarray; a number is needed'),
    'a string for a number': (
        lambda cupy: dict(scale='.5'), TypeError, 'mix: scale is a builtins.str; a number is'),
}


@pytest.mark.parametrize('other, error, message', REJECTED.values(), ids=REJECTED)
def test_a_wrong_argument_is_rejected(cupy, other, error, message):
    given = arguments(cupy, **other(cupy))
    with pytest.raises(error, match=message):
        mix(given)


def test_an_array_of_another_gpu_is_rejected(cupy):
    class Elsewhere(cupy.ndarray):
        device = type('Device', (), {'id': 1})()

    elsewhere = Elsewhere((2, 3), 'float32')
    with pytest.raises(ValueError, match='mix: x is on GPU 1; the kernel would run on GPU 0'):
        mix(arguments(cupy, x=elsewhere))


def test_too_few_arguments_are_rejected(cupy):
    with pytest.raises(TypeError, match='mix takes 10 arguments and was given 9: x, index, wei'):
        launch.launch('mix', 'mix', 6, *[*arguments(cupy).values()][1:])


def test_an_unknown_kernel_is_rejected(cupy):
    with pytest.raises(ValueError, match='mix.cu has no kernel stir; it has mix'):
        launch.launch('mix', 'stir', 6)


@pytest.mark.parametrize('old, new, message', [
    ('        // n\n', '\n', 'mix.cu: mix does not say how many values index has'),
    ('int n,', 'short n,', "mix.cu: mix has an argument 'short n'; an argument is one of int, lo"),
])
def test_a_signature_that_cannot_be_checked_is_rejected(cupy, old, new, message):
    assert CODE.count(old) == 1
    (launch.FOLDER / 'other.cu').write_text(CODE.replace(old, new), 'utf-8')
    with pytest.raises(ValueError, match=message.replace('mix.cu', 'other.cu')):
        launch.launch('other', 'mix', 6)


@pytest.mark.parametrize('type', [*launch.DTYPES, 'REAL'])
def test_an_argument_has_any_type_that_the_error_names(type):
    code = f'extern "C" __global__ void f(const {type}* x,  // n\n{type} y, int n)\n{{}}'
    (_, (x, y, n)), = launch.read_signatures(code, 'f.cu')
    assert (x.type, y.type, n.type) == (type, type, 'int')


def test_every_kernel_is_declared_extern_c():
    """Otherwise launch() does not find it."""
    for path in launch.FOLDER.glob('*.cu'):
        assert path.read_text('utf-8').count('__global__') == len(launch.signatures(str(path)))


# ---- NVIDIA's compiler, which needs no GPU

def load_nvrtc():
    """The library of nvidia-cuda-nvrtc-cu12; skips the test where it is not installed."""
    try:
        found = find_spec('nvidia.cuda_nvrtc')
    except ModuleNotFoundError:
        found = None
    if not found:
        pytest.skip('NVIDIA’s compiler is not installed: pip install "tinyfcn[nvrtc]"')
    folder = Path(next(iter(found.submodule_search_locations)))
    name = 'bin/nvrtc64*_0.dll' if os.name == 'nt' else 'lib/libnvrtc.so.*'
    return ctypes.CDLL(str(next(folder.glob(name))))


@pytest.mark.parametrize('architecture', ['sm_75', 'sm_80', 'sm_90'])
@pytest.mark.parametrize('real', ['float', 'double'])
def test_nvidias_compiler_accepts_every_file(architecture, real):
    library = load_nvrtc()
    for path in sorted(launch.FOLDER.glob('*.cu')):
        program = ctypes.c_void_p()
        size = ctypes.c_size_t()
        code = f'#define REAL {real}\n#line 1 "{path.name}"\n{path.read_text("utf-8")}'
        assert not library.nvrtcCreateProgram(ctypes.byref(program), code.encode(), None, 0, None,
                                              None)
        target = f'--gpu-architecture={architecture}'.encode()
        options = (ctypes.c_char_p * 2)(target, b'--std=c++17')
        failed = library.nvrtcCompileProgram(program, 2, options)
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        library.nvrtcDestroyProgram(ctypes.byref(program))
        assert not failed, log.value.decode()
