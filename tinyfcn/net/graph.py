"""The graph of a net: boxes with names, and everything that is known of them before a run."""
from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from difflib import get_close_matches
from fnmatch import fnmatchcase
from operator import index
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pair, Size, axes, count
from .alignment import Alignment
from .box import Box
from .errors import with_context


class Graph:
    """Boxes by name, in order, with their arrays: `params`, the weights, and running `state`.

    n.score_fr = conv(n.drop7, 21, 1) appends a box; n['conv1_1'] = … does the same.
    Boxes whose names begin with aux run in training only.
    `frozen` holds patterns of weights that are not trained, such as 'conv*'. A batch norm whose
    weights are frozen uses its running statistics in training too, and keeps them.
    `about` is saved with the weights: how the net was built, its classes, its preprocessing.
    """

    def __init__(self, channels: int = 3, dtype: str = 'float32', seed: int | None = 0) -> None:
        self.boxes: dict[str, Box] = {}
        self.params: dict[str, NDArray[Any]] = {}
        self.state: dict[str, NDArray[Any]] = {}
        self.about: dict[str, Any] = {}
        self.dtype = check_dtype(dtype)
        self.seed = check_seed(seed)
        self.frozen: set[str] = set()
        data = Box(None, channels=count(channels, 'channels'), alignment=Alignment())
        data.name = 'data'
        self.boxes['data'] = data

    # ---- building ------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Box):
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __setitem__(self, name: str, box: Box) -> None:
        if not isinstance(name, str) or not isinstance(box, Box):
            raise TypeError(f'net[{name!r}] = {box}: a name and a box are needed, such as '
                            f"net['relu1'] = relu(net.conv1)")
        if name in dir(type(self)) or name in vars(self):
            raise NameError(f'{name!r} is an attribute of every net: give the box another name')
        if name in self.boxes:
            raise NameError(f'two boxes are called {name!r}; the first is {self.boxes[name].line}')
        if box.name:
            raise NameError(f'{name!r} is already called {box.name!r}: a box has one name')
        if '.' in name:
            raise NameError(f'{name!r} has a dot, which separates a box from its weights')
        for inner in filter(None, (*box.inputs, box.like)):
            self._name_inner_box(name, inner)
        box.name = name
        box.inputs = [x.name for x in box.inputs]
        box.like = box.like and box.like.name
        if not name.startswith('aux') and any(x.startswith('aux') for x in box.inputs):
            raise NameError(f'{box.line}: a box that reads an aux… box must be called aux… too, '
                            f'since both run in training only')
        self._make_weights(box)
        self.boxes[name] = box

    def _name_inner_box(self, name: str, inner: Box) -> None:
        """Name a box that was written inside the line of another: 'fuse/relu1' for fuse."""
        if not inner.name:
            if inner.weights:
                raise NameError(f'{inner} inside {name!r} has weights: it needs a line and a name')
            stem = f'{name}/{inner.op.__name__}'
            number = 1
            while stem + str(number) in self.boxes:
                number += 1
            self[stem + str(number)] = inner
        if self.boxes.get(inner.name) is not inner:
            raise NameError(f'{name!r} reads {inner.name!r}, a box of another net')

    def _make_weights(self, box: Box) -> None:
        """Draw from (seed, name) alone, in float32 whatever the dtype: equal in any two builds."""
        rng = np.random.default_rng((self.seed or 0, crc32(box.name.encode())))
        for arrays, specs in (self.params, box.weights), (self.state, box.state):
            for short_name, (init, shape) in specs.items():
                w = np.zeros(shape, self.dtype) if self.seed is None else init(shape, rng)
                arrays[f'{box.name}.{short_name}'] = w.astype(self.dtype, copy=False)

    def branch(self, suffix: str) -> Any:
        """A view of this graph in which every new name gets `suffix`: a second stream or head."""
        return Branch(self, suffix)

    # ---- boxes by name -------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Box:
        if not isinstance(name, str) or name not in self.boxes:
            raise KeyError(self._unknown(name))
        return self.boxes[name]

    def __getattr__(self, name: str) -> Box:
        # copy and pickle look for methods on a net that has no boxes yet
        if name in vars(self).get('boxes', ()):
            return self.boxes[name]
        raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        near = get_close_matches(str(name), vars(self).get('boxes', ()), 1)
        return f'no box called {name!r}' + (f'; did you mean {near[0]!r}?' if near else '')

    def __getstate__(self) -> dict[str, Any]:
        """For copy, deepcopy and pickle: a copy has dicts of its own."""
        return {name: copy(value) for name, value in vars(self).items()}

    def __repr__(self) -> str:
        count = sum(w.size for w in self.params.values())
        return f'<{type(self).__name__} of {len(self.boxes)} boxes, {count:,} parameters>'

    # ---- what follows from the graph -----------------------------------------------------------

    def route(self, train: bool = True, until: str | Iterable[str] | None = None) -> list[Box]:
        """The boxes to run, in order: all, or those that `until` (one or several names) needs."""
        asked_for = as_list(until)
        needed = {self[name].name for name in asked_for}
        if aux := sorted(name for name in needed if name.startswith('aux') and not train):
            raise ValueError(f'{aux[0]!r} runs in training only: pass train=True')
        route = []
        for box in reversed(self.boxes.values()):
            runs = train or not box.name.startswith('aux')
            if box.op and runs and (not asked_for or box.name in needed):
                route.append(box)
                needed.update([*box.inputs, box.like])
        return route[::-1]

    def outputs(self, train: bool = True) -> list[str]:
        """The names of the boxes that no other box reads."""
        route = self.route(train)
        read = {name for box in route for name in box.inputs}
        return [box.name for box in route if box.name not in read]

    def sizes(self, size: Pair, train: bool = True, until: str | Iterable[str] | None = None,
              ) -> dict[str, Size]:
        """The size of every box for an image of `size`, without running it.

        -> {'conv1_1': (698, 698), …}
        """
        sizes = {'data': axes(size, 'the size of the image', 1)}
        for box in self.route(train, until):
            inputs = [*box.inputs, box.like] if box.like else box.inputs
            try:
                sizes[box.name] = box.output_size(*(sizes[name] for name in inputs))
            except ValueError as error:
                given = {name: sizes[name] for name in inputs}
                raise ValueError(with_context(error, box, given)) from error
        return sizes

    def find_grad_names(self, image: bool) -> set[str]:
        """The names whose gradient is needed: trained weights, and boxes that depend on one.

        image: whether the gradient by the image is needed, and so that of every box.
        """
        if isinstance(self.frozen, str) or not isinstance(self.frozen, Iterable) \
                or not all(isinstance(pattern, str) for pattern in self.frozen):
            raise TypeError(f"frozen is {self.frozen!r}: a set of patterns is needed, such as "
                            f"{{'conv*'}}")
        for pattern in self.frozen:
            if not any(fnmatchcase(name, pattern) for name in self.params):
                raise ValueError(f'frozen has {pattern!r}, which matches no weight')
        names = {'data'} if image else set()
        names.update(name for name in self.params
                     if not any(fnmatchcase(name, pattern) for pattern in self.frozen))
        for box in self.boxes.values():
            if names.intersection(box.reads):
                names.add(box.name)
        return names


def as_list(names: str | Iterable[str] | None) -> list[str]:
    """A name, names or None -> a list of names."""
    if isinstance(names, Iterable) and not isinstance(names, str):
        return list(names)
    return [] if names is None else [names]


def check_dtype(dtype: Any) -> str:
    """'float32' or 'float64': what a net computes in."""
    try:
        name = '' if dtype is None else str(np.dtype(dtype).name)
    except (TypeError, ValueError):
        name = ''
    if name not in ('float32', 'float64'):
        raise ValueError(f"dtype is {dtype!r}: a net computes in 'float32' or 'float64'")
    return name


def check_seed(seed: int | None) -> int | None:
    """An integer of 0 or more, or None."""
    if seed is None:
        return None
    try:
        number = index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f'seed is {seed!r}: an integer of 0 or more, or None for weights of 0')
    return number


class Branch:
    """Writes n.score_fr as score_fr + suffix, and reads that box where there is one."""

    graph: Graph
    suffix: str

    def __init__(self, graph: Graph, suffix: str) -> None:
        vars(self).update(graph=graph, suffix=suffix)       # past our own __setattr__

    def __setitem__(self, name: str, box: Box) -> None:
        self.graph[f'{name}{self.suffix}'] = box

    def __getitem__(self, name: str) -> Any:
        own_name = f'{name}{self.suffix}'
        return self.graph[own_name if own_name in self.graph.boxes else name]

    __setattr__ = __setitem__
    __getattr__ = __getitem__
