"""The card that is not there: its runtime, its streams and its memory, as far as tinyfcn asks."""
from types import ModuleType, SimpleNamespace

from .array import stats
from .names import known

MEMORY = 1 << 34
PROPERTIES = dict(name=b'no card: the host', totalGlobalMem=MEMORY, major=8, minor=0,
                  multiProcessorCount=1)


class Stream:
    """The card does one thing after another, as the host does."""

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
    """It hands out the host's memory, and keeps no account."""
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


def module(name, **contents):
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def of(space, **contents):
    """What of a part of CuPy is here, by names that CuPy has."""
    for name in contents:
        known(space, name)
    return module(f'cupy.{space}', **contents)


NULL, POOL = Stream(), MemoryPool()
RUNTIME = of('cuda.runtime', getDeviceCount=lambda: 1, getDevice=lambda: 0,
             deviceSynchronize=stats.wait, getDeviceProperties=lambda device: PROPERTIES,
             driverGetVersion=lambda: 12090, runtimeGetVersion=lambda: 12090,
             memGetInfo=lambda: (MEMORY, MEMORY))
CUDA = of('cuda', is_available=lambda: True, runtime=RUNTIME, Device=Device, Stream=Stream,
          MemoryPool=MemoryPool, get_current_stream=lambda: NULL,
          nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)))

# how products of float32 round is no public name of CuPy; the host has but one way
_compute = {}
LINALG = module('cupy._core._routines_linalg', COMPUTE_TYPE_DEFAULT=0, COMPUTE_TYPE_TF32=4,
                get_compute_type=lambda char: _compute.get(char, 0),
                set_compute_type=_compute.__setitem__)
CORE = module('cupy._core', _routines_linalg=LINALG)
