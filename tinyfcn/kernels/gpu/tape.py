"""A tape: what one call of an op asks of the GPU, to be repeated without the Python in between.

A kernel is some lines of Python around one to ten launches. These lines take longer than the driver
does, and for a single image longer than the GPU computes. So the second call of an op with
arguments of one kind is recorded: with arrays of these shapes, strides and dtypes, and with these
values of everything else. Every later call of that kind replays the tape. It takes memory from
CuPy's pool, writes the addresses of its own arrays into the arguments, and launches.

    call = find_call(op, exact_only, args, kwargs)
    call.replay             called in place of the kernel, where there is a tape
    call.record(kernel)     the kernel, made to leave a tape if it can

A result lies in memory of its own, as if the kernel had run: no later call writes over it.

The recorder sees allocations, `launch` and `call_library`; it does not see what CuPy computes by
itself. So it keeps track of the memory that launches have written. Where a launch reads, or the op
returns, other memory, CuPy has computed it: no tape is made, and such calls run as they are
written. What it would not find out is a kernel that changes an array in place by CuPy's operators,
that fills one by xp.zeros for a launch to add to, or that reads a value of one on the host. No
kernel may do any of these; a test replays every op of the table on other values.
"""
import threading
from collections import Counter
from collections.abc import Callable
from ctypes import addressof, c_uint64, memmove
from functools import cache, partial
from typing import Any, NamedTuple

from ...runtime.backend import is_cupy

MAX_CALLS = 4096        # kinds of calls that a thread remembers
MAX_ATTEMPTS = 3        # to record a kind: in the first CuPy may still compute a BandMatrix
NEVER = 'sgd_update', 'adam_update'     # their numbers change at every step

# types of values that are part of a key as they are. An op that draws has a generator among its
# arguments, which is none of these
PLAIN = frozenset({int, bool, str, type(None)})
constants: set[type] = set()     # types of objects that never change, which are part of a key too

enabled = True          # False: every kernel runs as it is written, to compare


class _ThisThread(threading.local):
    """A thread has tapes of its own: a replay writes addresses into the tape before it launches."""

    def __init__(self):
        self.recorder = None
        self.tapes = {}                 # by the key of a call
        self.attempts = Counter()       # calls without a tape, by key


_this_thread = _ThisThread()


class _CuPy(NamedTuple):
    """What is needed of CuPy, looked up once."""

    ndarray: type
    allocate: Callable[..., Any]
    launch: Callable[..., Any]
    device: Callable[[], int]
    stream: Callable[[], Any]
    compute_type: Callable[[str], int]


@cache
def _cupy():
    import cupy
    from cupy._core import _routines_linalg
    return _CuPy(cupy.ndarray, cupy.cuda.alloc, cupy.cuda.driver.launchKernel,
                 cupy.cuda.runtime.getDevice, cupy.cuda.get_current_stream,
                 _routines_linalg.get_compute_type)


# ---- Which kind of call it is

class Call(NamedTuple):
    """A call of an op: its kind, the arrays among its arguments, in order, and its tape or None."""

    key: tuple
    arrays: list
    tape: Any

    def replay(self, *args, **kwargs):
        """The result of the call. The arguments are those of the op, of which `arrays` suffice."""
        return self.tape.play(self.arrays)

    def record(self, kernel):
        """-> the kernel, or a function that does the same and leaves a tape if it can"""
        attempts = _this_thread.attempts
        attempts[self.key] += 1
        if not 1 < attempts[self.key] <= 1 + MAX_ATTEMPTS or _overlap(self.arrays):
            return kernel
        return partial(_record, self, kernel)


def find_call(op, exact_only, args, kwargs):
    """-> a Call; None where an argument has no place in a key, and while another is recorded"""
    if not enabled or _this_thread.recorder or op in NEVER:
        return None
    cupy = _cupy()
    key = [op, exact_only, cupy.device(), cupy.stream().ptr, cupy.compute_type('f')]
    arrays = []
    if not (_describe(args, arrays, key, cupy.ndarray)
            and _describe(kwargs, arrays, key, cupy.ndarray)):
        return None
    if len(_this_thread.attempts) > MAX_CALLS:
        forget()
    key = tuple(key)
    tape = _this_thread.tapes.get(key)
    # it was made of arrays apart: a kernel may refuse to write where it also reads
    if tape and tape.writes_arguments and _overlap(arrays):
        tape = None
    return Call(key, arrays, tape)


def forget():
    """Forget the tapes of this thread: they were made with thresholds that no longer hold."""
    _this_thread.tapes.clear()
    _this_thread.attempts.clear()


def _describe(value, arrays, key, ndarray):
    """Append the kind of a value to `key`, and the arrays in it to `arrays`. -> whether it has one
    """
    kind = type(value)
    key.append(kind)                    # 1, 1. and True are equal
    if kind is ndarray:
        arrays.append(value)
        key += value.shape, value.strides, value.dtype.char, value.data.device_id
        return True
    if kind is tuple or kind is list:
        key.append(len(value))
        return all([_describe(each, arrays, key, ndarray) for each in value])
    if kind is dict:
        key.append(tuple(value))
        return all([_describe(each, arrays, key, ndarray) for each in value.values()])
    if kind is float:
        key.append(value.hex())         # 0. and −0. are equal
        return True
    if kind in PLAIN or kind in constants:
        key.append(value)
        return True
    return False


def _overlap(arrays):
    """Whether two of them may share memory: an address would not say which of the two is meant."""
    spans = sorted(map(_span, arrays))
    return any(end > start for (_, end), (start, _) in zip(spans, spans[1:]))


def _span(x):
    """The first address of an array, and the one behind its last."""
    start = end = x.data.ptr
    for count, stride in zip(x.shape, x.strides):
        start += min(0, (count - 1) * stride)
        end += max(0, (count - 1) * stride)
    return start, end + x.itemsize


# ---- Recording

def _record(call, kernel, *args, **kwargs):
    """kernel(*args, **kwargs); the tape of it is kept if one can be made."""
    import cupy
    recorder = Recorder(call.arrays, cupy.cuda.get_allocator())
    _this_thread.recorder = recorder
    try:
        with cupy.cuda.using_allocator(recorder.allocate):
            result = kernel(*args, **kwargs)
    finally:
        _this_thread.recorder = None
    make_result = recorder.maker_of(result)
    if recorder.is_complete:
        _this_thread.tapes[call.key] = recorder.make_tape(make_result)
    return result


def note_launch(kernel, blocks, block, parameters, arguments):
    """To be called behind each launch of a .cu file."""
    if _this_thread.recorder:
        _this_thread.recorder.note_launch(kernel, blocks, block, parameters, arguments)


def call_library(function, *arguments, written):
    """function(*arguments) of a CUDA library, with its address in place of each array.

    It reads every array among its arguments, except for `written`.
    """
    function(*[x.data.ptr if is_cupy(x) else x for x in arguments])
    if _this_thread.recorder:
        _this_thread.recorder.note_call(function, arguments, written)


class Address(NamedTuple):
    """An address among the arguments of a step, which is another in each replay."""

    arguments: Any      # a list, or an array of c_uint64
    position: int       # among them
    memory: int         # the number of the memory that it lies in
    offset: int         # in bytes


class Step(NamedTuple):
    """A launch, or a call of a CUDA library."""

    function: Callable[..., Any]
    arguments: list
    addresses: list     # of Address


class Recorder:
    """Follows one call. All memory has a number: first the arrays of the call, then allocations."""

    def __init__(self, arrays, allocator):
        self.arrays = arrays
        self.allocator = allocator      # which CuPy would use
        # first address, the one behind the last, number, and the address that is offset 0
        self.spans = [(*_span(x), number, x.data.ptr) for number, x in enumerate(arrays)]
        # numbers of memory whose values are there in a replay too: arguments, what launches write
        self.written = set(range(len(arrays)))
        self.writes_arguments = False
        self.sizes = {}                 # bytes of each allocation, by number
        self.returned = set()           # numbers of memory in the result
        self.steps = []
        self.kept = []                  # what must outlive the call: the steps have its address
        self.is_complete = True         # whether the steps, so far, are all that was computed

    def allocate(self, size):
        """An allocator for CuPy."""
        memory = self.allocator(size)
        number = len(self.arrays) + len(self.sizes)
        self.sizes[number] = size
        self.spans.append((memory.ptr, memory.ptr + size, number, memory.ptr))
        return memory

    def locate(self, x):
        """-> the number of the memory where x lies, and its offset there; None for other memory"""
        address = x.data.ptr
        # from the last one on: memory that was freed meanwhile may be allocated a second time
        for start, end, number, base in reversed(self.spans):
            if start <= address < end:
                return number, address - base
        return None

    def note_launch(self, kernel, blocks, block, parameters, arguments):
        cupy = _cupy()
        count = len(arguments)
        words = (c_uint64 * count)()                    # one for each argument, whatever its width
        pointers = (c_uint64 * count)(*[addressof(words) + 8 * i for i in range(count)])
        addresses = []
        for i, (parameter, value) in enumerate(zip(parameters, arguments)):
            if isinstance(value, cupy.ndarray):
                self._note_array(value, parameter.is_written, words, i, addresses)
            else:
                memmove(addressof(words) + 8 * i, value.tobytes(), value.nbytes)
        self.kept += kernel, words, pointers
        self.steps.append(Step(cupy.launch, [
            kernel.kernel.ptr, blocks, 1, 1, block, 1, 1, 0, cupy.stream().ptr,
            addressof(pointers), 0], addresses))

    def note_call(self, function, arguments, written):
        ndarray = _cupy().ndarray
        arguments = [*arguments]
        addresses = []
        for i, value in enumerate(arguments):
            if isinstance(value, ndarray):
                self._note_array(value, value is written, arguments, i, addresses)
        self.steps.append(Step(function, arguments, addresses))

    def _note_array(self, x, is_written, arguments, position, addresses):
        """Note an array that a step reads or writes, and put its address among the arguments."""
        arguments[position] = x.data.ptr
        location = self.locate(x)
        if location is None:               # part of something that lives on, such as a BandMatrix
            self.kept.append(x)
            self.is_complete &= not is_written
            return
        number, offset = location
        if is_written:
            self.written.add(number)
            self.writes_arguments |= number < len(self.arrays)
        self.is_complete &= number in self.written
        addresses.append(Address(arguments, position, number, offset))

    def maker_of(self, value):
        """make(arrays, memory) -> such a value, in a replay with these arrays and this memory"""
        kind = type(value)
        if kind is _cupy().ndarray:
            return self._maker_of_array(value)
        if kind is tuple or kind is list:
            makers = [*map(self.maker_of, value)]
            return lambda arrays, memory: kind([make(arrays, memory) for make in makers])
        if kind is dict:
            names = [*value]
            makers = [*map(self.maker_of, value.values())]
            return lambda arrays, memory: dict(
                zip(names, [make(arrays, memory) for make in makers]))
        self.is_complete &= kind in PLAIN or kind is float or kind in constants
        return lambda arrays, memory: value

    def _maker_of_array(self, x):
        for i, argument in enumerate(self.arrays):
            if x is argument:
                return lambda arrays, memory: arrays[i]
        number, offset = self.locate(x) or (None, 0)
        if number not in self.sizes or number not in self.written:
            self.is_complete = False
            return None
        self.returned.add(number)
        ndarray = _cupy().ndarray
        shape = x.shape
        dtype = x.dtype
        strides = x.strides
        if x.flags.c_contiguous and not offset:
            return lambda arrays, memory: ndarray(shape, dtype, memory[number])
        return lambda arrays, memory: ndarray(shape, dtype, memory[number] + offset, strides)

    def make_tape(self, make_result):
        """The steps, with each allocation before the first that needs it, and freed after the last.
        """
        first = {}
        last = {}
        for i, step in enumerate(self.steps):
            for address in step.addresses:
                first.setdefault(address.memory, i)
                last[address.memory] = i
        rows = []
        for i, step in enumerate(self.steps):
            allocations = [(number, size) for number, size in self.sizes.items()
                           if first.get(number) == i]
            frees = [number for number in self.sizes
                     if last.get(number) == i and number not in self.returned]
            rows.append((allocations, step.addresses, step.function, step.arguments, frees))
        return Tape(rows, len(self.sizes), make_result, self.writes_arguments, self.kept)


class Tape:
    """The steps of a call, to be repeated with other arrays."""

    def __init__(self, rows, allocation_count, make_result, writes_arguments, kept):
        self.rows = rows                # (allocations, addresses, function, arguments, frees)
        self.no_memory = [None] * allocation_count
        self.make_result = make_result
        self.writes_arguments = writes_arguments
        self.kept = kept

    def play(self, arrays):
        """Take all steps with these arrays. -> the result of the call"""
        allocate = _cupy().allocate
        memory = [x.data for x in arrays]
        starts = [each.ptr for each in memory]
        memory += self.no_memory
        starts += self.no_memory
        for allocations, addresses, function, arguments, frees in self.rows:
            for number, size in allocations:
                memory[number] = allocate(size)
                starts[number] = memory[number].ptr
            for target, position, number, offset in addresses:
                target[position] = starts[number] + offset
            function(*arguments)
            for number in frees:
                memory[number] = None
        return self.make_result(arrays, memory)
