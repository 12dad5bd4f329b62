"""The GPU: whether CuPy can compute here, and how it should."""
from contextlib import contextmanager
from importlib.metadata import distributions

from .backend import on_host


def to_gpu(x):
    """A copy of x on the GPU. Where none can compute this is an error: never the CPU in silence."""
    if not on_host(x):
        return x
    try:
        import cupy
        return cupy.asarray(x)
    except Exception:
        require_gpu()                                      # why not, in words
        raise


def gpu_status():
    """Whether CuPy can compute here, layer by layer, up to the first that fails.

    -> [(layer, fine, words)] of wheel, driver, toolkit, kernel
    """
    layers = []
    for layer, look in dict(wheel=_wheel, driver=_driver, toolkit=_toolkit, kernel=_kernel).items():
        try:
            layers.append((layer, True, look()))
        except Exception as error:                      # whatever CuPy raises, it is the answer
            return [*layers, (layer, False, str(error))]
    return layers


def _wheel():
    try:
        import cupy
    except ImportError as error:
        raise ImportError(f'{error}: pip install "tinyfcn[cuda12x]" (or cuda13x)') from None
    names = {str(each.metadata['Name']).lower() for each in distributions()}
    if len(wheels := sorted(name for name in names if name.startswith('cupy'))) > 1:
        raise ImportError(f'{" and ".join(wheels)} break each other: pip uninstall both, then '
                          f'install one')
    return f'CuPy {cupy.__version__}'


def _driver():
    from cupy.cuda import runtime
    try:
        count, version = runtime.getDeviceCount(), runtime.driverGetVersion()
    except Exception as error:
        raise OSError(f'{error}: is an NVIDIA driver installed? nvidia-smi tells') from None
    return f'{count} GPU, CUDA {version // 1000}.{version % 1000 // 10} at most'


def _toolkit():
    from cupy.cuda import nvrtc
    try:
        return 'NVRTC {}.{}'.format(*nvrtc.getVersion())
    except Exception as error:
        raise OSError(f'{error}: pip install "tinyfcn[cuda12x]" brings the toolkit') from None


def _kernel():
    import cupy
    if float((cupy.arange(3) + 1).sum()) != 6:          # a driver alone counts, but cannot compute
        raise ArithmeticError('computes 1 + 2 + 3 wrongly')
    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)['name']
    return f'{name.decode()} computes'


def require_gpu():
    """Refuse, with the layer that fails and the remedy, where no GPU computes."""
    layer, fine, words = gpu_status()[-1]
    if not fine:
        raise OSError(f'no GPU computes here, for its {layer} fails: {words}. Without a GPU: '
                      f'--device cpu')


@contextmanager
def precision(name):
    """'float32', or 'tf32': inside, products of float32 on a GPU round their factors to 11 bits."""
    if name not in ('float32', 'tf32'):
        raise ValueError(f"precision is {name!r}: 'float32' or 'tf32'")
    require_gpu()
    from cupy._core import _routines_linalg as linalg
    was = linalg.get_compute_type('f')
    linalg.set_compute_type('f', linalg.COMPUTE_TYPE_TF32 if name == 'tf32' else
                            linalg.COMPUTE_TYPE_DEFAULT)
    try:
        yield
    finally:
        linalg.set_compute_type('f', was)


def limit_gpu_memory(most):
    """Let CuPy's pool hold at most so many bytes, or such a share of the card as '50%'."""
    require_gpu()
    import cupy
    share = str(most).endswith('%')
    cupy.get_default_memory_pool().set_limit(
        **{'fraction': float(most[:-1]) / 100} if share else {'size': int(most)})


def use_gpu(number):
    """From here on compute on this card; they are counted round."""
    require_gpu()
    import cupy
    cupy.cuda.Device(number % cupy.cuda.runtime.getDeviceCount()).use()


def nccl():
    """What GPUs talk to each other by: cupyx.distributed."""
    require_gpu()
    import cupyx.distributed
    return cupyx.distributed
