"""The memory of a process that does nothing but compute; only who owns it may arrange it so."""
import ctypes
import sys
from functools import cache

HEAP = 1 << 30                          # bytes that lie in huge pages, each of them
PAGE = 1 << 21
MMAP_MAX, TRIM_THRESHOLD = -4, -1       # as malloc.h numbers them
HUGE = 14                               # as mman.h does


@cache
def tune_allocator():
    """Let glibc keep what is freed: fresh pages cost a tenth of a training step. -> whether so

    And a gigabyte lies in huge pages, of which a processor looks up fewer: a twentieth of a step.
    """
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if not hasattr(libc, 'mallopt'):                            # another system, another libc
        return False
    kept = libc.mallopt(MMAP_MAX, 0) and libc.mallopt(TRIM_THRESHOLD, -1)
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    if kept and (room := libc.malloc(ctypes.c_size_t(HEAP))):   # addresses, and no memory yet
        libc.free(ctypes.c_void_p(room))
        end = libc.sbrk(0)
        begin = -(-(end - HEAP) // PAGE) * PAGE
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), HUGE)
    return bool(kept)
