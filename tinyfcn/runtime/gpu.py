"""The GPU: whether CuPy can compute on one here, which one, how precisely, with how much memory."""
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from types import ModuleType
from typing import Any, NamedTuple

from numpy.typing import NDArray

from .backend import on_host


class GpuCheck(NamedTuple):
    """One of the four things that a computation on a GPU needs, and whether it works."""
    check: str                          # 'wheel', 'driver', 'toolkit' or 'kernel'
    ok: bool
    message: str                        # what was found, or what is wrong and what to do


def to_gpu(x: NDArray[Any]) -> NDArray[Any]:
    """A copy of x on the GPU. Without a usable GPU this is an error, never a silent fall-back."""
    if not on_host(x):
        return x
    try:
        import cupy
        copy: NDArray[Any] = cupy.asarray(x)
        return copy
    except Exception:
        require_gpu()                   # raises, with the check that failed and the remedy
        raise


def gpu_status() -> list[GpuCheck]:
    """Check what a GPU needs, in the order in which it is needed, up to the first that fails.

    1. wheel: the CuPy package is installed, once.
    2. driver: an NVIDIA driver is there and counts the GPUs.
    3. toolkit: NVRTC is there, which compiles kernels.
    4. kernel: a small sum is computed correctly.
    """
    checks: dict[str, Callable[[], str]] = dict(
        wheel=_check_wheel, driver=_check_driver, toolkit=_check_toolkit, kernel=_check_kernel)
    results = []
    for name, check in checks.items():
        try:
            results.append(GpuCheck(name, True, check()))
        except Exception as error:      # CuPy raises many types; each is an answer here
            results.append(GpuCheck(name, False, str(error)))
            break
    return results


def _check_wheel() -> str:
    try:
        import cupy
    except ImportError as error:
        reason = 'CuPy is not installed' if error.name == 'cupy' else error
        raise ImportError(f'{reason}: for an NVIDIA GPU, pip install "tinyfcn[cuda12x]" (or '
                          f'cuda13x)') from None
    installed = {str(package.metadata['Name']).lower() for package in distributions()}
    wheels = sorted(name for name in installed if name.startswith('cupy'))
    if len(wheels) > 1:
        raise ImportError(f'{" and ".join(wheels)} overwrite each other: pip uninstall both, then '
                          f'install one')
    return f'CuPy {cupy.__version__}'


def _check_driver() -> str:
    from cupy.cuda import runtime
    try:
        count = runtime.getDeviceCount()
        version = runtime.driverGetVersion()
    except Exception as error:
        raise OSError(f'{error}: is an NVIDIA driver installed? Check with nvidia-smi') from None
    major = version // 1000
    minor = version % 1000 // 10
    return f'{count} GPU, supports CUDA up to {major}.{minor}'


def _check_toolkit() -> str:
    from cupy.cuda import nvrtc
    try:
        major, minor = nvrtc.getVersion()
    except Exception as error:
        raise OSError(f'{error}: pip install "tinyfcn[cuda12x]" brings the toolkit') from None
    return f'NVRTC {major}.{minor}'


def _check_kernel() -> str:
    import cupy
    # a driver alone counts devices; only a kernel shows that they can be computed on
    if float((cupy.arange(3) + 1).sum()) != 6:
        raise ArithmeticError('1 + 2 + 3 was computed wrongly')
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f'{properties["name"].decode()} computes'


def require_gpu() -> None:
    """Raise OSError, with the check that failed and the remedy, where no GPU can be used."""
    last = gpu_status()[-1]
    if not last.ok:
        raise OSError(f'no usable GPU: the {last.check} check failed: {last.message}. '
                      f'Without a GPU: --device cpu')


@contextmanager
def precision(name: str) -> Iterator[None]:
    """The precision of float32 matrix products on a GPU, inside a `with` block.

    name: 'float32', or 'tf32', which rounds the factors to 11 bits and is faster
    """
    if name not in ('float32', 'tf32'):
        raise ValueError(f"precision is {name!r}; choose 'float32' or 'tf32'")
    require_gpu()
    from cupy._core import _routines_linalg as linalg
    before = linalg.get_compute_type('f')
    wanted = linalg.COMPUTE_TYPE_TF32 if name == 'tf32' else linalg.COMPUTE_TYPE_DEFAULT
    linalg.set_compute_type('f', wanted)
    try:
        yield
    finally:
        linalg.set_compute_type('f', before)


def uses_tf32() -> bool:
    """Whether float32 products on a GPU are computed in tf32 now, as `precision` sets it."""
    from cupy._core import _routines_linalg as linalg
    return bool(linalg.get_compute_type('f') == linalg.COMPUTE_TYPE_TF32)


def limit_gpu_memory(limit: int | str) -> None:
    """Limit CuPy's memory pool to so many bytes, or to a share of the GPU's memory ('50%')."""
    require_gpu()
    import cupy
    pool = cupy.get_default_memory_pool()
    text = str(limit)
    if text.endswith('%'):
        pool.set_limit(fraction=float(text[:-1]) / 100)
    else:
        pool.set_limit(size=int(limit))


def use_gpu(number: int) -> None:
    """Compute on this GPU from now on; numbers beyond the last start again at the first."""
    require_gpu()
    import cupy
    count = cupy.cuda.runtime.getDeviceCount()
    cupy.cuda.Device(number % count).use()


def nccl() -> ModuleType:
    """cupyx.distributed: NCCL, with which GPUs exchange data."""
    require_gpu()
    import cupyx.distributed
    library: ModuleType = cupyx.distributed
    return library
