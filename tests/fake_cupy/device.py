"""The fake GPU: its runtime, its streams and its memory, as far as tinyfcn uses them."""
from types import ModuleType, SimpleNamespace

from .array import stats
from .surface import look_up

MEMORY = 1 << 34
PROPERTIES = dict(name=b'no GPU: the host', totalGlobalMem=MEMORY, major=8, minor=0,
                  multiProcessorCount=1)


class Stream:
    """The fake GPU does one thing after another, in the order of the calls."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def use(self):
        return self

    def synchronize(self):
        stats.wait()


class Device(Stream):
    """The only one there is."""

    compute_capability = '80'
    mem_info = MEMORY, MEMORY

    def __init__(self, device=None):
        self.id = device or 0


class MemoryPool:
    """Memory comes from the host and is not counted."""

    limit = 0

    def set_limit(self, size=None, fraction=None):
        self.limit = size if fraction is None else int(fraction * MEMORY)

    def get_limit(self):
        return self.limit

    def used_bytes(self):
        return 0

    free_bytes = total_bytes = used_bytes

    def free_all_blocks(self, stream=None):
        pass


def make_module(name, **contents):
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def make_checked_module(space, **contents):
    """A module of CuPy with these contents; AttributeError for a name that CuPy does not have."""
    for name in contents:
        look_up(space, name)
    return make_module(f'cupy.{space}', **contents)


NULL = Stream()
POOL = MemoryPool()
RUNTIME = make_checked_module(
    'cuda.runtime', CUDA_R_32F=0, CUDA_R_64F=1, getDeviceCount=lambda: 1, getDevice=lambda: 0,
    deviceSynchronize=stats.wait, getDeviceProperties=lambda device: PROPERTIES,
    driverGetVersion=lambda: 12090, runtimeGetVersion=lambda: 12090,
    memGetInfo=lambda: (MEMORY, MEMORY))
CUDA = make_checked_module(
    'cuda', is_available=lambda: True, runtime=RUNTIME, Device=Device, Stream=Stream,
    MemoryPool=MemoryPool, get_current_stream=lambda: NULL, get_cublas_handle=lambda: 0,
    nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)))

# how products of float32 round is set by a private name of CuPy; the host has only one way
_compute_types = {}
LINALG = make_module('cupy._core._routines_linalg', COMPUTE_TYPE_DEFAULT=0, COMPUTE_TYPE_TF32=4,
                     get_compute_type=lambda char: _compute_types.get(char, 0),
                     set_compute_type=_compute_types.__setitem__)
CORE = make_module('cupy._core', _routines_linalg=LINALG)
