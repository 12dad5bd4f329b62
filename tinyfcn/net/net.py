"""A network is a list of named boxes. Forward walks it; backward walks it in reverse; where a
value was read twice, its gradients add.

    n = Net(channels=3)
    n.conv1 = conv(n.data, 8, 3, pad=1)             one line, one box, one name
    score = n.forward(image, train=True)
    grads = n.backward(conv1=dscore)                {'conv1.w': …, 'conv1.b': …}

Out of scope: graphs that depend on the data; weights shared between boxes.
"""
from collections import Counter
from copy import copy
from zlib import crc32

import numpy as np

from ..runtime.backend import array_module, to_device_of, to_numpy
from ..runtime.gpu import require_gpu, to_gpu
from .box import Box
from .errors import with_context
from .graph import Graph, several
from .summary import summary

__all__ = ['Box', 'Net']


class Net(Graph):
    """A figure that runs. A walk fills `values` by box, `grads` by box and weight, and `caches`.

    Chance is a function of (seed, step, box): whoever trains counts `step` up.
    """

    def __init__(self, channels=3, dtype='float32', seed=0):
        self.values, self.caches, self.grads = {}, {}, {}
        self.step, self.keeps = 0, False
        super().__init__(channels, dtype, seed)

    # ---- forward and backward, mirror images --------------------------------------------------

    def walk(self, image, train=False, keep=True, until=None):
        """Forward, one box at a time: `forward` exhausts this, a lesson calls next() on it.

        image (N, C, H, W) -> (box, y) of every box, or of those that `until` (one, several) needs.
        """
        self._check_image(image)
        route, learning = self.route(train, until), self.learning(keep)
        sizes = self.sizes(image.shape[2:], train, until)
        readers = [(name, box) for box in route for name in box.inputs]
        last_reader, asked = dict(readers), {*several(until)}
        overwritable = set() if keep else self._overwritable(readers) - asked
        self.values, self.caches, self.grads, self.keeps = {'data': image}, {}, {}, keep
        for box in route:
            y, cache, *state = self._run(box.op, box, map(self._read, box.reads),
                                         **self._op_kwargs(box, train, sizes, overwritable))
            self.values[box.name] = y
            if box.name in learning and (train or keep):
                self.caches[box.name] = cache
            for new in state:
                self.state.update(zip(box.reads[-len(new):], new))
            if not keep:
                for name in {name for name in box.inputs if last_reader[name] is box} - asked:
                    del self.values[name]
            del cache                                       # else it outlives its box in here
            yield box, y

    def walk_back(self, **dvalues):
        """Backward, one box at a time. Where a value was read twice, its gradients add.

        The gradients of outputs, by name -> (box, gradients of all that it read).
        """
        learning = self.learning(self.keeps)
        self._check_seeds(dvalues, learning)
        self.grads = dict(dvalues)
        for box in reversed(self.boxes.values()):
            if box.name not in self.grads or box.name not in self.caches:
                continue                                    # nobody asks, or nothing below learns
            want = [name in learning for name in box.reads]
            dreads = self._run(box.op.backward, box, (self.grads[box.name], self.caches[box.name]),
                               want=want)
            for name, wanted, d in zip(box.reads, want, dreads):
                if wanted and d is not None:
                    self.grads[name] = self.grads[name] + d if name in self.grads else d
            if not self.keeps:
                del self.grads[box.name], self.caches[box.name]
            yield box, dreads

    def forward(self, image, train=False, keep=False, until=None):
        """What the boxes say that nobody reads, or `until`: an array, or of several a dict by name.

        train=True keeps what `backward` needs; keep=True keeps every value and gradient to look at.
        """
        for _ in self.walk(image, train, keep, until):
            pass
        names = several(until) or self.outputs(train)
        return self.values[names[0]] if len(names) == 1 else {n: self.values[n] for n in names}

    def backward(self, **dvalues):
        """The gradients of outputs, by name -> {'conv1_1.w': …} of every weight that learns."""
        for _ in self.walk_back(**dvalues):
            pass
        if not self.keeps:
            self.caches.clear()                             # of boxes that no gradient came to
        return {name: self.grads[name] for name in self.params if name in self.grads}

    # ---- what a walk asks ----------------------------------------------------------------------

    def _run(self, op, box, arrays, **kwargs):
        try:
            return op(*arrays, **kwargs)
        except (TypeError, ValueError) as error:
            given = {name: self._read(name).shape for name in box.reads
                     if name in self.values or '.' in name}
            raise type(error)(with_context(error, box, given)) from error

    def _read(self, name):
        return next(kind[name] for kind in (self.values, self.params, self.state) if name in kind)

    def _overwritable(self, readers):
        """What is read once, and made by a box with weights: no cache and no other value is it."""
        once = Counter(name for name, _ in readers)
        return {name for name, count in once.items() if count == 1 and name in self.boxes
                and self.boxes[name].weights}

    def _op_kwargs(self, box, train, sizes, overwritable=()):
        """What the op is told beside its arrays."""
        kwargs = dict(box.kwargs)
        if box.like:
            kwargs['size'] = sizes[box.like]
        if 'train' in box.flags:
            kwargs['train'] = train
        if 'overwrite' in box.flags:
            kwargs['overwrite'] = box.inputs[0] in overwritable
        if 'rng' in box.flags:
            chance = self.seed or 0, self.step, crc32(box.name.encode())
            kwargs['rng'] = np.random.default_rng(chance)
        return kwargs

    def _check_image(self, image):
        array_module(image)                                 # refuses what is no array
        shape, channels = image.shape, self.data.channels
        if len(shape) != 4 or shape[1] != channels or 0 in shape:
            raise ValueError(f'the image has shape {shape}; this net reads (N, {channels}, H, W)')
        if image.dtype != self.dtype:
            raise TypeError(f'the image is {image.dtype} and this net computes in {self.dtype}: '
                            f'image.astype({self.dtype!r}), or net.astype({str(image.dtype)!r})')

    def _check_seeds(self, dvalues, learning):
        if not dvalues:
            raise ValueError(f'backward begins at gradients of outputs: backward('
                             f'{", ".join(f"{name}=…" for name in self.outputs())})')
        for name, d in dvalues.items():
            if self[name].name in learning and name not in self.caches:
                raise RuntimeError(f'nothing is kept of {name!r} to go back through: '
                                   f'call forward(image, train=True) before each backward')
            array_module(d)
            y = self.values.get(name, d)
            if (d.shape, d.dtype) != (y.shape, y.dtype):
                raise ValueError(f'the gradient of {name!r} is {d.dtype} {d.shape}; '
                                 f'{name!r} is {y.dtype} {y.shape}')

    # ---- the whole net -------------------------------------------------------------------------

    def __getstate__(self):
        """A copy takes the net, not what its last walk left behind."""
        return {**super().__getstate__(), 'values': {}, 'caches': {}, 'grads': {}}

    def to(self, device):
        """Bring the weights and running state to the 'gpu' or the 'cpu', in place. -> this net"""
        if device not in ('cpu', 'gpu'):
            raise ValueError(f"device is {device!r}: 'cpu' or 'gpu'")
        if device == 'gpu':
            require_gpu()                                  # once: to_gpu moves what it is given
        for values in self.params, self.state:
            values.update({name: (to_gpu if device == 'gpu' else to_numpy)(w)
                           for name, w in values.items()})
        return self

    def bring(self, x):
        """x to where the weights are: on the same device."""
        return to_device_of(x, next(iter(self.params.values()), x))

    def astype(self, dtype):
        """A copy that computes in `dtype`."""
        net = copy(self)
        net.dtype = np.dtype(dtype).name
        for values in net.params, net.state:
            values.update({name: w.astype(dtype) for name, w in values.items()})
        return net

    def save(self, path):
        """Weights, running state and `about` into one checked file, which tinyfcn.load reads."""
        from ..weights.safetensors_file import (
            save,  # here, for a net that only computes needs no files
        )

        about = dict(self.about, seed=self.seed, frozen=sorted(self.frozen))
        save(path, {name: to_numpy(w) for name, w in {**self.params, **self.state}.items()}, about)

    def summary(self, size=None):
        """A table of all boxes; with their sizes for an image of `size`."""
        return summary(self, size)
