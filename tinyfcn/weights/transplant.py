"""Net surgery: weights move from a file into a net by name, fc layers becoming convolutions."""
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..runtime.backend import array_module

# layers with an output a class: with other classes they begin anew, and are no mistake
CLASSIFIERS = 'fc', 'fc8', 'conv10', 'loss?/classifier', 'score*', 'upscore*', 'aux*'


class Report(NamedTuple):
    """What became of every array: names, and by name its shapes in the file and in the net."""
    copied: list        # into a weight of the same shape
    reshaped: list      # an fc layer into a convolution, three channels into four
    left: list          # in the file: the net has no such weight, or for other classes
    missing: list       # in the net: as they were before
    shapes: dict

    def __str__(self):
        lines = [f'copied {len(self.copied)} · reshaped {len(self.reshaped)} · left '
                 f'{len(self.left)} · missing {len(self.missing)}']
        rows = [(what, name) for what in ('reshaped', 'left', 'missing')
                for name in getattr(self, what)]
        if rows:
            lines.append(f'  {"":9} {"name":27} {"in the file":19} in the net')
        for what, name in rows:
            file, net = ('–' if shape is None else ' × '.join(map(str, shape)) or 'one number'
                         for shape in self.shapes[name])
            lines.append(f'  {what:9} {name:27} {file:19} {net}')
        return '\n'.join(lines)


def transplant(net, arrays, say=None):
    """net.params[name] ← arrays[name], in place and cast to the net's dtype. -> Report

    An fc layer (out, C·kh·kw), channel-major, fills a convolution (out, C, kh, kw). A first
    convolution of four channels takes the three of the file, and their mean as the fourth. A
    classifier for other classes is left. Any other shape is refused, before anything is changed.
    `say` is given the report's text.
    """
    weights = {**net.params, **getattr(net, 'state', {})}
    report = Report([], [], [], [], {})
    fitted, refused = {}, []
    first = next((name for name, w in weights.items() if w.ndim == 4), None)
    for name in [*weights, *(name for name in arrays if name not in weights)]:
        w, array = weights.get(name), arrays.get(name)
        report.shapes[name] = tuple(x if x is None else x.shape for x in (array, w))
        if array is None:
            report.missing.append(name)
        elif w is None or array.shape != w.shape and _other_classes(name, array, w):
            report.left.append(name)
        elif (fit := _fit(array, w, name == first)) is None:
            refused.append(f'{name} is {array.shape} in the file and {w.shape} in the net')
        else:
            fitted[name] = fit
            (report.copied if array.shape == w.shape else report.reshaped).append(name)
    if refused:
        raise ValueError(f'{"; ".join(refused)}: another net, or another width? Nothing was '
                         f'copied')
    if not fitted:
        raise ValueError(_nothing(weights, arrays))
    for name, array in fitted.items():
        w = weights[name]
        w[...] = array_module(w).asarray(array, w.dtype)
    if say:
        say(str(report))
    return report


def _fit(array, w, first):
    """`array` in the shape of w, or None.   See `transplant` for the ways there are."""
    if array.shape == w.shape:
        return array
    if array.ndim == 2 and w.ndim == 4 and len(array) == len(w) and array.size == w.size:
        return array.reshape(w.shape)
    out, *ksize = w.shape[:1] + w.shape[2:]
    if first and w.shape[1] == 4 and array.shape == (out, 3, *ksize):
        xp = array_module(array)
        return xp.concatenate([array, array.mean(1, keepdims=True)], 1)
    return None


def _other_classes(name, array, w):
    box = name.rpartition('.')[0]
    return (any(fnmatchcase(box, pattern) for pattern in CLASSIFIERS)
            and array.shape[:1] != w.shape[:1])


def _nothing(weights, arrays):
    """Say that no name is in both, and which are nearly."""
    near = {name: get_close_matches(name, arrays, 1) for name in weights}
    pairs = [f'{name} is perhaps {close[0]}' for name, close in near.items() if close][:3]
    return (f'nothing to copy: the net has {", ".join([*weights][:4])} …, and the file has '
            f'{", ".join([*arrays][:4]) or "nothing"} …' + '; '.join(['', *pairs])
            + '. `read` in tinyfcn.weights gives the names that our nets use')
