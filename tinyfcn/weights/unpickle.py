"""Follow a pickle without running anything: what torch.save writes of a state dict, and no more.

A pickle is a program for a machine with a stack. `pickletools` only spells it out; the machine
here can make lists, dicts and tensors, and has no way to import or to call anything. What the
program would import is a Name, looked up among a few; anything else is refused.

A tuple may hold another twice, which holds another twice, …: nothing here spells out or hashes
what it has not looked at.
"""
import pickletools
from reprlib import repr as abridged
from typing import NamedTuple

from ..files import FormatError

DTYPES = dict(FloatStorage='<f4', DoubleStorage='<f8', HalfStorage='<f2', BFloat16Storage='<u2',
              LongStorage='<i8', IntStorage='<i4', ShortStorage='<i2', CharStorage='i1',
              ByteStorage='u1', BoolStorage='?')
ORDERED_DICT, PARAMETER = 'collections OrderedDict', 'torch._utils _rebuild_parameter'
TENSORS = 'torch._utils _rebuild_tensor_v2', 'torch._utils _rebuild_tensor'
KNOWN = {ORDERED_DICT, PARAMETER, *TENSORS, *(f'torch {storage}' for storage in DTYPES)}
ADVICE = 'only state dicts are read: in torch, torch.save(model.state_dict(), …)'


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
    shape: tuple
    stride: tuple


def follow(file, storages=None):
    """One pickle -> an object of lists, dicts, tuples, texts, numbers, Names and Tensors

    `storages`, a dict, is filled with every Storage that was spoken of, by its key.
    """
    stack, marks, memo = [], [], {}

    def since_mark():
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    for opcode, value, _ in pickletools.genops(file):
        match opcode.name:
            case 'PROTO' | 'FRAME':
                pass
            case 'STOP':
                return stack.pop()
            case 'NONE' | 'NEWTRUE' | 'NEWFALSE' as name:
                stack.append(dict(NONE=None, NEWTRUE=True, NEWFALSE=False)[name])
            case ('BININT' | 'BININT1' | 'BININT2' | 'INT' | 'LONG' | 'LONG1' | 'LONG4' | 'FLOAT'
                  | 'BINFLOAT' | 'UNICODE' | 'BINUNICODE' | 'BINUNICODE8' | 'SHORT_BINUNICODE'
                  | 'STRING' | 'BINSTRING' | 'SHORT_BINSTRING'):
                stack.append(value)
            case 'PUT' | 'BINPUT' | 'LONG_BINPUT':
                memo[value] = stack[-1]
            case 'MEMOIZE':
                memo[len(memo)] = stack[-1]
            case 'GET' | 'BINGET' | 'LONG_BINGET':
                stack.append(memo[value])
            case 'MARK':
                marks.append(len(stack))
            case 'EMPTY_LIST' | 'EMPTY_DICT' | 'EMPTY_TUPLE' as name:
                stack.append(dict(EMPTY_LIST=list, EMPTY_DICT=dict, EMPTY_TUPLE=tuple)[name]())
            case 'TUPLE':
                stack.append(tuple(since_mark()))
            case 'TUPLE1' | 'TUPLE2' | 'TUPLE3' as name:
                stack[-int(name[-1]):] = [tuple(stack[-int(name[-1]):])]
            case 'LIST':
                stack.append(since_mark())
            case 'DICT':
                taken = since_mark()
                stack.append(_update({}, zip(taken[::2], taken[1::2])))
            case 'APPEND':
                value = stack.pop()
                stack[-1].append(value)
            case 'APPENDS':
                taken = since_mark()
                stack[-1].extend(taken)
            case 'SETITEM':
                value, key = stack.pop(), stack.pop()
                _update(stack[-1], [(key, value)])
            case 'SETITEMS':
                taken = since_mark()
                _update(stack[-1], zip(taken[::2], taken[1::2]))
            case 'GLOBAL':
                stack.append(_name(value))
            case 'STACK_GLOBAL':
                name, module = stack.pop(), stack.pop()
                stack.append(_name(' '.join([module, name])))
            case 'BINPERSID':
                stack[-1] = storage = _storage(*stack[-1])
                if storages is not None:
                    storages[storage.key] = storage
            case 'REDUCE':                              # "call": here, look it up
                given, name = stack.pop(), stack.pop()
                stack.append(_made(name, *given))
            case 'BUILD':                               # "set attributes": here, do not
                stack.pop()
            case name:
                raise FormatError(f'its pickle says {name}, which no state dict needs; {ADVICE}')


def _name(text):
    if text not in KNOWN:
        raise FormatError(f'its pickle would run {text.replace(" ", ".")}; nothing was run, and '
                          f'{ADVICE}')
    return Name(text)


def _storage(storage, name, key, device, size, view=None):
    """('storage', torch.FloatStorage, '0', 'cpu', 12) -> Storage"""
    dtype = DTYPES[name.text.removeprefix('torch ')]
    if (storage, view, type(key), type(size)) != ('storage', None, str, int) or size < 0:
        raise FormatError(f'storage {abridged(key)} of {abridged(size)} numbers, of which '
                          f'{abridged(view)} is seen: {ADVICE}')
    return Storage(dtype, key, size)


def _made(name, *given):
    """What a call would have given, of the four that a state dict makes."""
    if name.text == ORDERED_DICT:
        return _update({}, *given)
    if name.text == PARAMETER:
        return given[0]
    if name.text in TENSORS and isinstance(given[0], Storage):
        return Tensor(*given[:4])                       # gradients and hooks come after
    raise FormatError(f'its pickle would call {name.text} with {len(given)} values: {ADVICE}')


def _update(made, pairs=()):
    for key, value in pairs:
        if not isinstance(key, (str, int)):             # the hash of tuples in tuples takes ages
            raise FormatError(f'its pickle has a key of type {type(key).__name__}; {ADVICE}')
        made[key] = value
    return made
