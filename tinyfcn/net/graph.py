"""The figure of a net: boxes with names, and all that is known of them before anything runs."""
from copy import copy
from difflib import get_close_matches
from fnmatch import fnmatchcase
from zlib import crc32

import numpy as np

from ..geometry import axes
from .alignment import Alignment
from .box import Box
from .errors import with_context


class Graph:
    """Boxes by name, in order, with their `params` and running `state`; `about` goes into files.

    n.score_fr = conv(n.drop7, 21, 1) appends a box; n['conv1_1'] = … does the same.
    Names that begin with aux are boxes for training only.
    `frozen` holds patterns of weights that do not learn, such as 'conv*'.
    """

    def __init__(self, channels=3, dtype='float32', seed=0):
        self.boxes, self.params, self.state, self.about = {}, {}, {}, {}
        self.dtype, self.seed, self.frozen = np.dtype(dtype).name, seed, set()
        self.boxes['data'] = data = Box(None, channels=channels, alignment=Alignment())
        data.name = 'data'

    def __setattr__(self, name, value):
        if isinstance(value, Box):
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __setitem__(self, name, box):
        if name in dir(type(self)) or name in vars(self):
            raise NameError(f'{name!r} is a word of the net itself: call the box something else')
        if name in self.boxes:
            raise NameError(f'two boxes called {name!r}; one is {self.boxes[name].line}')
        if box.name:
            raise NameError(f'{name!r} is {box.name!r} already: a box has one name')
        if '.' in name:
            raise NameError(f'{name!r} has a dot, which parts a box from its weights')
        for read in filter(None, (*box.inputs, box.like)):
            self._adopt(name, read)
        box.name, box.inputs = name, [read.name for read in box.inputs]
        box.like = box.like and box.like.name
        if not name.startswith('aux') and any(read.startswith('aux') for read in box.inputs):
            raise NameError(f'{box.line}: only boxes called aux… may read one, they go together')
        self._make_weights(box)
        self.boxes[name] = box

    def _adopt(self, name, read):
        """A box that was written inside the line of another takes its name from there."""
        if read.name is None:
            if read.weights:
                raise NameError(f'{read} inside {name!r} has weights: it needs a line and a name')
            stem, number = f'{name}/{read.op.__name__}', 1
            while stem + str(number) in self.boxes:
                number += 1
            self[stem + str(number)] = read
        if self.boxes.get(read.name) is not read:
            raise NameError(f'{name!r} reads {read.name!r}, a box of another net')

    def _make_weights(self, box):
        """From (seed, name) alone, in float32 whatever the dtype: so any two builds agree."""
        rng = np.random.default_rng((self.seed or 0, crc32(box.name.encode())))
        for values, made in (self.params, box.weights), (self.state, box.state):
            for own, (init, shape) in made.items():
                w = np.zeros(shape, self.dtype) if self.seed is None else init(shape, rng)
                values[f'{box.name}.{own}'] = w.astype(self.dtype, copy=False)

    def __getitem__(self, name):
        if name not in self.boxes:
            raise KeyError(self._unknown(name))
        return self.boxes[name]

    def __getattr__(self, name):
        # copy and pickle ask a net that has no boxes yet for methods that it does not have
        if name in vars(self).get('boxes', ()):
            return self.boxes[name]
        raise AttributeError(self._unknown(name))

    def _unknown(self, name):
        near = get_close_matches(name, vars(self).get('boxes', ()), 1)
        return f'no box called {name!r}' + (f'; did you mean {near[0]!r}?' if near else '')

    def __getstate__(self):
        """copy, deepcopy and pickle: a copy has a list of boxes of its own."""
        return {name: copy(value) for name, value in vars(self).items()}

    def branch(self, suffix):
        """This figure, where every new box bears `suffix`: a second stream or head, same words."""
        return Branch(self, suffix)

    def __repr__(self):
        count = sum(w.size for w in self.params.values())
        return f'<{type(self).__name__} of {len(self.boxes)} boxes, {count:,} parameters>'

    def route(self, train=True, until=None):
        """The boxes to walk: all, or what `until`, one or several, needs; aux… in training only."""
        needed, route = {self[name].name for name in several(until)}, []
        for box in reversed(self.boxes.values()):
            here = train or not box.name.startswith('aux')
            if box.op and here and (until is None or box.name in needed):
                route.append(box)
                needed.update([*box.inputs, box.like])
        return route[::-1]

    def outputs(self, train=True):
        """The names of the boxes that nobody reads."""
        route = self.route(train)
        read = {name for box in route for name in box.inputs}
        return [box.name for box in route if box.name not in read]

    def sizes(self, size, train=True, until=None):
        """{'conv1_1': (698, 698), …}: every box for an image of `size`, without running."""
        sizes = {'data': axes(size, 'the size of the image', 1)}
        for box in self.route(train, until):
            given = [*box.inputs, box.like] if box.like else box.inputs
            try:
                sizes[box.name] = box.output_size(*(sizes[name] for name in given))
            except ValueError as error:
                given = {name: sizes[name] for name in given}
                raise ValueError(with_context(error, box, given)) from error
        return sizes

    def learning(self, keep):
        """The names of all whose gradient is needed: what learns, and what reads such a one."""
        for pattern in self.frozen:
            if not any(fnmatchcase(name, pattern) for name in self.params):
                raise ValueError(f'frozen has {pattern!r}, which is the name of no weight')
        names = {'data'} if keep else set()
        names.update(name for name in self.params
                     if not any(fnmatchcase(name, pattern) for pattern in self.frozen))
        for box in self.boxes.values():
            if names.intersection(box.reads):
                names.add(box.name)
        return names


def several(names):
    """A name, names or None -> a list of names."""
    return [names] if isinstance(names, str) else list(names or ())


class Branch:
    """Writes n.score_fr as score_fr + suffix, and reads it so where there is such a box."""

    def __init__(self, figure, suffix):
        vars(self).update(figure=figure, suffix=suffix)

    def __setitem__(self, name, box):
        self.figure[name + self.suffix] = box

    def __getitem__(self, name):
        own = name + self.suffix
        return self.figure[own if own in self.figure.boxes else name]

    __setattr__, __getattr__ = __setitem__, __getitem__
