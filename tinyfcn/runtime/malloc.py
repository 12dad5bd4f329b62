"""glibc's allocator, set up for a process that does nothing but compute.

This changes the whole process, so only a program does it (the command line, a benchmark), never
an import of the package.
"""
import ctypes
import sys
from functools import cache

HEAP_BYTES = 1 << 30                    # this much of the heap is backed by huge pages
HUGE_PAGE_BYTES = 1 << 21

# parameters of mallopt, as numbered in malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
# advice of madvise, as numbered in mman.h
MADV_HUGEPAGE = 14


class HeapInfo(ctypes.Structure):
    """struct mallinfo2 of malloc.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
        'fordblks', 'keepcost')]


def free_heap_bytes() -> int:
    """What the process has freed and glibc keeps for it; 0 with another libc."""
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if libc is None or not hasattr(libc, 'mallinfo2'):
        return 0
    libc.mallinfo2.restype = HeapInfo
    return int(libc.mallinfo2().fordblks)


@cache
def tune_allocator():
    """Let glibc keep freed memory and use huge pages. -> whether it could be done

    1. Freed memory stays with the process instead of going back to the kernel. Fresh pages have to
       be cleared by the kernel: a tenth of the time of a training step.
    2. One gigabyte of the heap is backed by huge pages, which need fewer address translations:
       a twentieth of a step. Not under `ulimit -v`, where addresses are what is scarce.
    """
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if not hasattr(libc, 'mallopt'):                    # another system, or another libc
        return False

    # large arrays come from the heap instead of from mmap, and the heap never shrinks
    tuned = libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, -1)

    if _is_address_space_limited():
        return bool(tuned)

    # the heap grows to HEAP_BYTES: addresses only, no memory is touched yet
    libc.malloc.restype = ctypes.c_void_p
    libc.sbrk.restype = ctypes.c_void_p
    if tuned and (block := libc.malloc(ctypes.c_size_t(HEAP_BYTES))):
        libc.free(ctypes.c_void_p(block))
        end = libc.sbrk(0)                              # where the heap ends
        first_page = -(-(end - HEAP_BYTES) // HUGE_PAGE_BYTES)          # rounded up
        begin = first_page * HUGE_PAGE_BYTES
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_HUGEPAGE)
    return bool(tuned)


def _is_address_space_limited() -> bool:
    # not on Windows, so not at the top
    import resource
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
