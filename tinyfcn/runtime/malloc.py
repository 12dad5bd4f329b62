"""glibc's allocator, set up for a process that does nothing but compute.

This changes the whole process, so only a program does it (the command line, a benchmark), never
an import of the package.
"""
import ctypes
import sys

# parameters of mallopt, as numbered in malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8


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


def tune_allocator():
    """Let glibc keep freed memory with the process. -> whether it could be done

    Fresh pages have to be cleared by the kernel: a fifth of the time of a training step.
    """
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if not hasattr(libc, 'mallopt'):                    # another system, or another libc
        return False
    # large arrays come from the heap instead of from mmap, and the heap never shrinks. It is one
    # for all threads, for what a thread has of its own is given back
    return bool(libc.mallopt(M_MMAP_MAX, 0) and libc.mallopt(M_TRIM_THRESHOLD, -1)
                and libc.mallopt(M_ARENA_MAX, 1))
