"""Net surgery: weights move from a file into a net by name, fc layers becoming convolutions."""
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from ..files import printable
from ..runtime.backend import array_module
from .first_layer import adapt_first_layer

MAX_MESSAGE = 1000              # characters
MAX_NAME = 100
MAX_CANDIDATES = 100            # names that are compared with each other
# Layers with one output per class: with other classes they must be trained again, so a mismatch
# of their shapes is no error
CLASSIFIERS = ('fc', 'fc8', 'conv10', 'loss?/classifier', 'score*', 'upscore*', 'aux*',
               'classifier/4')


class HasParams(Protocol):
    """A net, as far as `transplant` needs it; `state`, the running statistics, may be absent."""

    @property
    def params(self) -> Mapping[str, NDArray[Any]]: ...


class Report(NamedTuple):
    """What happened to every array: names, and by name its shapes in the file and in the net."""
    copied: list[str]       # into a weight of the same shape
    reshaped: list[str]     # an fc layer into a convolution, three channels into others
    unused: list[str]       # in the file: the net has no such weight, or for other classes
    missing: list[str]      # in the net: unchanged, as the file does not have them
    shapes: dict[str, tuple[tuple[int, ...] | None, ...]]

    def __str__(self) -> str:
        lines = [f'copied {len(self.copied)} · reshaped {len(self.reshaped)} · unused '
                 f'{len(self.unused)} · missing {len(self.missing)}']
        rows = [(what, name) for what in ('reshaped', 'unused', 'missing')
                for name in getattr(self, what)]
        if rows:
            lines.append(f'  {"":9} {"name":27} {"in the file":19} in the net')
        for what, name in rows:
            file, net = map(_format_shape, self.shapes[name])
            lines.append(f'  {what:9} {printable(name):27} {file:19} {net}')
        return '\n'.join(lines)


def transplant(net: HasParams, arrays: Mapping[str, NDArray[Any]],
               log: Callable[[str], object] | None = None, has_colours: bool = True) -> Report:
    """net.params[name] ← arrays[name], in place and cast to the net's dtype. -> Report

    An fc layer (out, C·kh·kw), channel-major, fills a convolution (out, C, kh, kw). A first
    convolution for red, green and blue becomes one for the channels of the net, as
    `adapt_first_layer` does it; has_colours says whether these begin with red, green and blue. A
    classifier for another number of classes is not used. Any other shape is refused, before
    anything is changed. `log`, such as print, is called with the report as text.

    >>> import tinyfcn
    >>> coarse, fine = (tinyfcn.build(name, width=1/64) for name in ('fcn32s', 'fcn16s'))
    >>> transplant(fine, coarse.params).missing
    ['score_pool4.w', 'score_pool4.b']
    """
    weights = {**net.params, **getattr(net, 'state', {})}
    report = Report([], [], [], [], {})
    fitted = {}
    refused = []
    first_conv = next((name for name, w in weights.items() if w.ndim == 4), None)

    for name in [*weights, *(name for name in arrays if name not in weights)]:
        w = weights.get(name)
        array = arrays.get(name)
        report.shapes[name] = tuple(None if x is None else x.shape for x in (array, w))
        if array is None:
            report.missing.append(name)
        elif w is None or array.shape != w.shape and _is_for_other_classes(name, array, w):
            report.unused.append(name)
        elif (fit := _reshaped(array, w, name == first_conv, has_colours)) is None:
            refused.append(f'{name} is {array.shape} in the file and {w.shape} in the net')
        else:
            fitted[name] = fit
            (report.copied if array.shape == w.shape else report.reshaped).append(name)

    if refused:
        names = printable('; '.join(refused), limit=MAX_MESSAGE)
        raise ValueError(f'{names}: another net, or another width? Nothing was copied')
    if not fitted:
        raise ValueError(_no_common_name(weights, arrays))
    for name, array in fitted.items():
        w = weights[name]
        w[...] = array_module(w).asarray(array, w.dtype)
    if log:
        log(str(report))
    return report


def _reshaped(array: NDArray[Any], w: NDArray[Any], is_first_conv: bool,
              has_colours: bool) -> NDArray[Any] | None:
    """`array` in the shape of w, or None if `transplant` has no rule for these two shapes."""
    if array.shape == w.shape:
        return array
    if array.ndim == 2 and w.ndim == 4 and len(array) == len(w) and array.size == w.size:
        return array.reshape(w.shape)
    if is_first_conv and array.shape == (w.shape[0], 3, *w.shape[2:]):
        return adapt_first_layer(array, w.shape[1], has_colours)
    return None


def _is_for_other_classes(name: str, array: NDArray[Any], w: NDArray[Any]) -> bool:
    box = name.rpartition('.')[0]
    is_classifier = any(fnmatchcase(box, pattern) for pattern in CLASSIFIERS)
    return is_classifier and array.shape[:1] != w.shape[:1]


def _no_common_name(weights: Mapping[str, NDArray[Any]],
                    arrays: Mapping[str, NDArray[Any]]) -> str:
    """The message: names on both sides, and up to three that are similar."""
    similar = []
    # few and short ones, for the time grows with the product of both numbers and both lengths
    candidates = [name for name in arrays if len(name) < MAX_NAME][:MAX_CANDIDATES]
    for name in [*weights][:MAX_CANDIDATES]:
        for close in get_close_matches(name, candidates, 1):
            similar.append(f'{name} is perhaps {close}')
        if len(similar) == 3:
            break
    return printable(f'nothing to copy: the net has {", ".join([*weights][:4])} …, and the file '
                     f'has {", ".join([*arrays][:4]) or "nothing"} …'
                     + '; '.join(['', *similar])
                     + '. `read` in tinyfcn.weights returns the names that tinyfcn uses',
                     limit=MAX_MESSAGE)


def _format_shape(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return '–'
    return ' × '.join(map(str, shape)) or 'scalar'
