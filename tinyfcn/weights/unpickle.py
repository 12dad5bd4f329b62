"""Interpret a pickle without running it: what torch.save writes of a state dict, and no more.

A pickle is a program for a machine with a stack. `pickletools` lists its opcodes; the machine here
makes lists, dicts and tensors, and has no way to import or to call anything. What the program would
import becomes a Name, and must be one of a few; anything else is refused. Of these, what is no part
of a state dict becomes None.

A tuple may hold another one twice, which holds another one twice, and so on: a pickle of a few
hundred bytes would take ages to print or to hash. So no value is printed in full, or hashed, before
its type is known. A pickle may also use one long tuple a thousand times; so values are counted
where they are copied, and no program runs more than MAX_OPCODES steps.
"""
import pickletools
from collections.abc import Callable, Iterable
from reprlib import Repr
from typing import IO, Any, NamedTuple

from ..files import FormatError

DTYPES = dict(FloatStorage='<f4', DoubleStorage='<f8', HalfStorage='<f2', BFloat16Storage='<u2',
              LongStorage='<i8', IntStorage='<i4', ShortStorage='<i2', CharStorage='i1',
              ByteStorage='u1', BoolStorage='?')
ORDERED_DICT = 'collections OrderedDict'
PARAMETER = 'torch._utils _rebuild_parameter'
TENSORS = 'torch._utils _rebuild_tensor_v2', 'torch._utils _rebuild_tensor'
# What a checkpoint may hold beside its weights: a score, a device, the options of a program. Called
# with anything, they become None.
DROPPED = {
    'argparse Namespace', 'collections Counter', 'collections defaultdict',
    *(f'{builtins} {name}' for builtins in ('builtins', '__builtin__')
      for name in ('dict', 'float', 'int', 'list')),
    '_codecs encode', 'numpy dtype', 'numpy ndarray',
    *(f'numpy.{core}.{name}' for core in ('core', '_core')
      for name in ('multiarray _reconstruct', 'multiarray scalar', 'numeric _frombuffer')),
    'torch Size', 'torch device', *(f'torch {dtype}' for dtype in (
        'bfloat16', 'float16', 'float32', 'float64', 'int64')),
    'pathlib PosixPath', 'pathlib WindowsPath', 'pathlib._local PosixPath',
    'pathlib._local WindowsPath', 'datetime datetime', 'datetime timedelta',
    *(f'{package} AttributeDict' for package in (
        'lightning.fabric.utilities.data', 'lightning_fabric.utilities.data',
        'pytorch_lightning.utilities.parsing')),
}
KNOWN = {ORDERED_DICT, PARAMETER, *TENSORS, *(f'torch {storage}' for storage in DTYPES), *DROPPED}
MAX_OPCODES = 500_000           # that of a ResNet-101 with its optimizer has 40,000
MAX_ARGUMENTS = 8               # of a call; a tensor has 6 or 7
ADVICE = 'only state dicts are read: in torch, torch.save(model.state_dict(), …)'


class ShortRepr(Repr):
    """The beginning of a value's repr; Python refuses to print numbers of thousands of digits."""

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if abs(x) < 1 << 64 else 'a number beyond 64 bits'


short_repr = ShortRepr().repr


class Name(NamedTuple):
    """What the program would import: 'torch FloatStorage'."""
    text: str


class Storage(NamedTuple):
    """`size` numbers in a row; the dtype is NumPy's, but '<u2' stands for bfloat16"""
    dtype: str
    key: str
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and stride count numbers."""
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def interpret(file: IO[bytes] | Any, storages: dict[str, Storage] | None = None) -> Any:
    """One pickle -> an object of lists, dicts, tuples, strings, numbers, Names and Tensors

    `storages` is filled with every Storage that the pickle mentions, by its key.
    """
    machine = Machine({} if storages is None else storages)
    for machine.steps, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if machine.steps > MAX_OPCODES:
            raise FormatError(f'its pickle has more than {MAX_OPCODES:,} opcodes; {ADVICE}')
        if opcode.name == 'STOP':
            return machine.stack.pop()
        if opcode.name not in EXECUTE:
            raise FormatError(f'its pickle has the opcode {opcode.name}, which no state dict '
                              f'needs; {ADVICE}')
        EXECUTE[opcode.name](machine, argument)
    return None                                 # genops itself refuses a pickle without STOP


class Machine:
    """The state of an unpickler, and a method for each group of opcodes."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []              # heights of the stack
        self.memo: dict[int, Any] = {}          # values that are used again later
        self.storages = storages
        self.steps = 0
        self.copied = 0                         # items of lists that became dicts

    def ignore(self, _: Any) -> None:
        pass

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop_to_mark(self) -> list[Any]:
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values

    # ---- values that are used again

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    # ---- lists, tuples, dicts

    def tuple_to_mark(self, _: Any) -> None:
        self.push(tuple(self.pop_to_mark()))

    def short_tuple(self, length: int) -> None:
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def list_to_mark(self, _: Any) -> None:
        self.push(self.pop_to_mark())

    def append(self, _: Any) -> None:
        value = self.stack.pop()
        if self.stack[-1] is not None:                  # dropped
            self.stack[-1].append(value)

    def extend(self, _: Any) -> None:
        values = self.pop_to_mark()
        if self.stack[-1] is not None:
            self.stack[-1].extend(values)

    def dict_to_mark(self, _: Any) -> None:
        values = self.pop_to_mark()
        self.push(_updated({}, zip(values[::2], values[1::2])))

    def set_item(self, _: Any) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        if self.stack[-1] is not None:
            _updated(self.stack[-1], [(key, value)])

    def set_items(self, _: Any) -> None:
        values = self.pop_to_mark()
        if self.stack[-1] is not None:
            _updated(self.stack[-1], zip(values[::2], values[1::2]))

    # ---- what a real unpickler would import and call

    def global_name(self, text: str) -> None:
        self.push(_checked_name(text))

    def stack_global(self, _: Any) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        self.push(_checked_name(' '.join([module, name])))

    def persistent_id(self, _: Any) -> None:
        storage = _storage(*_few(self.stack[-1]))
        self.stack[-1] = storage
        self.storages[storage.key] = storage

    def reduce(self, _: Any) -> None:
        """The opcode says "call": build the known result instead."""
        arguments = _few(self.stack.pop())
        name = self.stack.pop()
        for argument in arguments if name.text == ORDERED_DICT else ():
            self.copied += len(argument)
        if self.copied > self.steps:            # a step makes at most one item
            raise FormatError(f'its pickle copies the same values again and again; {ADVICE}')
        self.push(_result_of_call(name, *arguments))

    def new_object(self, _: Any) -> None:
        """The opcode says "make an object": only of what is dropped."""
        _few(self.stack.pop())
        name = self.stack.pop()
        if name.text not in DROPPED:
            raise FormatError(f'its pickle would make an object of {name.text}: {ADVICE}')
        self.push(None)

    def build(self, _: Any) -> None:
        """The opcode says "set attributes": drop them."""
        self.stack.pop()


# opcode -> what it does to the machine, given the opcode's own argument
EXECUTE: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(['PROTO', 'FRAME'], Machine.ignore),
    **dict.fromkeys(['BININT', 'BININT1', 'BININT2', 'INT', 'LONG', 'LONG1', 'LONG4', 'FLOAT',
                     'BINFLOAT', 'UNICODE', 'BINUNICODE', 'BINUNICODE8', 'SHORT_BINUNICODE',
                     'STRING', 'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES',
                     'BYTEARRAY8'],
                    Machine.push),
    'NONE': lambda machine, _: machine.push(None),
    'NEWTRUE': lambda machine, _: machine.push(True),
    'NEWFALSE': lambda machine, _: machine.push(False),
    **dict.fromkeys(['PUT', 'BINPUT', 'LONG_BINPUT'], Machine.put),
    'MEMOIZE': Machine.memoize,
    **dict.fromkeys(['GET', 'BINGET', 'LONG_BINGET'], Machine.get),
    'MARK': Machine.mark,
    'EMPTY_LIST': lambda machine, _: machine.push([]),
    'EMPTY_DICT': lambda machine, _: machine.push({}),
    'EMPTY_TUPLE': lambda machine, _: machine.push(()),
    'TUPLE': Machine.tuple_to_mark,
    'TUPLE1': lambda machine, _: machine.short_tuple(1),
    'TUPLE2': lambda machine, _: machine.short_tuple(2),
    'TUPLE3': lambda machine, _: machine.short_tuple(3),
    'LIST': Machine.list_to_mark,
    'DICT': Machine.dict_to_mark,
    'APPEND': Machine.append,
    'APPENDS': Machine.extend,
    'SETITEM': Machine.set_item,
    'SETITEMS': Machine.set_items,
    'GLOBAL': Machine.global_name,
    'STACK_GLOBAL': Machine.stack_global,
    'BINPERSID': Machine.persistent_id,
    'REDUCE': Machine.reduce,
    'NEWOBJ': Machine.new_object,
    'BUILD': Machine.build,
}


def _checked_name(text: str) -> Name:
    if text not in KNOWN:
        raise FormatError(f'its pickle would run {text.replace(" ", ".")}; nothing was run, and '
                          f'{ADVICE}')
    return Name(text)


def _storage(tag: str, name: Name, key: str, device: str, size: int, view: Any = None) -> Storage:
    """('storage', torch.FloatStorage, '0', 'cpu', 12) -> Storage"""
    dtype = DTYPES[name.text.removeprefix('torch ')]
    if (tag, view, type(key), type(size)) != ('storage', None, str, int) or size < 0:
        raise FormatError(f'storage {short_repr(key)} of {short_repr(size)} numbers, viewed as '
                          f'{short_repr(view)}: {ADVICE}')
    return Storage(dtype, key, size)


def _few(arguments: Any) -> tuple[Any, ...]:
    """The arguments of a call, of which there are only a few."""
    if not isinstance(arguments, tuple) or len(arguments) > MAX_ARGUMENTS:
        raise FormatError(f'its pickle calls something with {short_repr(arguments)}; {ADVICE}')
    return arguments


def _result_of_call(name: Name, *arguments: Any) -> Any:
    """What a call would have returned, of the four that a state dict makes; None if dropped."""
    if name.text in DROPPED:
        return None
    if name.text == ORDERED_DICT:
        return _updated({}, *arguments)
    if name.text == PARAMETER:
        return arguments[0]
    if name.text in TENSORS and isinstance(arguments[0], Storage):
        return Tensor(*arguments[:4])           # the others are about gradients and hooks
    raise FormatError(f'its pickle would call {name.text} with {len(arguments)} values: {ADVICE}')


def _updated(target: dict[Any, Any], pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    """`target` with these items, whose keys must be strings or whole numbers."""
    for key, value in pairs:
        if not isinstance(key, (str, int)):     # to hash nested tuples could take ages
            raise FormatError(f'its pickle has a key of type {type(key).__name__}; {ADVICE}')
        target[key] = value
    return target
