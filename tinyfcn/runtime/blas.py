"""What OpenBLAS needs: it reads settings once, when NumPy is imported. Imports no NumPy itself."""
import os
import sys
from itertools import takewhile

# what OpenBLAS needs to know about an AMD processor to be sure of AVX-512
AVX512 = {'avx512f', 'avx512bw', 'avx512dq', 'avx512vl'}


# bytes of address space that NumPy and SciPy take, and their OpenBLAS for each core
BASE_ADDRESS_SPACE = 500_000_000
CORE_ADDRESS_SPACE = 60_000_000


def require_address_space() -> None:
    """Raise MemoryError if this process may not have enough (`ulimit -v`): OpenBLAS would end it.
    """
    try:
        import resource
    except ImportError:                                 # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    needed = BASE_ADDRESS_SPACE + CORE_ADDRESS_SPACE * (os.cpu_count() or 1)
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise MemoryError(f'this process may take {limit / 1e6:,.0f} MB of address space, and '
                          f'NumPy and SciPy on this machine take {needed / 1e6:,.0f}: allow more '
                          f'(ulimit -v)')


def configure_openblas() -> None:
    """Set what makes OpenBLAS faster, unless the user has set it or NumPy is imported already."""
    if 'numpy' in sys.modules:
        return
    choose_kernel()
    # its threads busy-wait after a product, by default for 2²⁶ cycles, on cores that ours need
    os.environ.setdefault('OPENBLAS_THREAD_TIMEOUT', '20')


def choose_kernel(cpuinfo: str | os.PathLike[str] = '/proc/cpuinfo') -> None:
    """Choose the AVX-512 kernel on AMD processors that have AVX-512.

    OpenBLAS does not recognize those newer than itself, and computes at half their speed.
    """
    if 'OPENBLAS_CORETYPE' in os.environ:
        return
    try:
        with open(cpuinfo) as file:                     # an empty line ends the first core
            lines = [line.partition(':') for line in takewhile(str.strip, file)]
    except OSError:                                     # not Linux
        return
    values = {key.strip(): set(value.split()) for key, _, value in lines}
    if 'AuthenticAMD' in values.get('vendor_id', set()) and values.get('flags', set()) >= AVX512:
        os.environ['OPENBLAS_CORETYPE'] = 'SkylakeX'
