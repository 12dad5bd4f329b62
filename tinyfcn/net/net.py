"""A network is a list of named boxes. Forward walks it; backward walks it in reverse; where a
value was read twice, its gradients add.

    n = Net(channels=3)
    n.conv1 = conv(n.data, 8, 3, pad=1)             one line, one box, one name
    score = n.forward(image, train=True)
    grads = n.backward(conv1=dscore)                {'conv1.w': …, 'conv1.b': …}

Out of scope: graphs that depend on the data; weights shared between boxes.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pair, Size
from ..runtime.backend import array_module, to_device_of, to_numpy
from ..runtime.gpu import require_gpu, to_gpu
from .box import Box
from .errors import with_context
from .graph import Graph, as_list
from .summary import summary

__all__ = ['Box', 'Net']


class Net(Graph):
    """A graph that runs. A walk fills `values` by box, `grads` by box and weight, and `caches`.

    Randomness is a function of (seed, step, box): training increments `step`.
    """

    def __init__(self, channels: int = 3, dtype: str = 'float32', seed: int | None = 0) -> None:
        self.values: dict[str, NDArray[Any]] = {}
        self.caches: dict[str, Any] = {}
        self.grads: dict[str, NDArray[Any]] = {}
        self.step = 0
        self.keeps = False
        super().__init__(channels, dtype, seed)

    # ---- forward and backward, mirror images --------------------------------------------------

    def walk(self, image: NDArray[Any], train: bool = False, keep: bool = True,
             until: str | Iterable[str] | None = None) -> Iterator[tuple[Box, NDArray[Any]]]:
        """Forward, one box at a time: `forward` exhausts this, a lesson calls next() on it.

        image (N, C, H, W) -> (box, y) of every box, or of those that `until` (one, several) needs.
        """
        self._check_image(image)
        route = self.route(train, until)
        differentiated = self.differentiated(keep)
        sizes = self.sizes(image.shape[2:], train, until)
        readers = [(name, box) for box in route for name in box.inputs]
        last_reader = dict(readers)
        wanted = {*as_list(until)}
        overwritable = set() if keep else self._overwritable(readers) - wanted
        self.values = {'data': image}
        self.caches = {}
        self.grads = {}
        self.keeps = keep
        for box in route:
            name = str(box.name)
            y, cache, *state = self._run(box.op, box, [self._read(read) for read in box.reads],
                                         **self._op_kwargs(box, train, sizes, overwritable))
            self.values[name] = y
            if name in differentiated and (train or keep):
                self.caches[name] = cache
            for new in state:
                self.state.update(zip(box.reads[-len(new):], new))
            if not keep:
                read_last_here = {read for read in box.inputs if last_reader[read] is box}
                for read in read_last_here - wanted:
                    del self.values[read]
            del cache                       # this frame would keep it alive until the next box
            yield box, y

    def walk_back(self, **dvalues: NDArray[Any]) -> Iterator[tuple[Box, tuple[Any, ...]]]:
        """Backward, one box at a time. Where a value was read twice, its gradients add.

        The gradients of outputs, by name -> (box, gradients of everything it read).
        """
        differentiated = self.differentiated(self.keeps)
        self._check_output_grads(dvalues, differentiated)
        self.grads = dict(dvalues)
        for box in reversed(self.boxes.values()):
            name = str(box.name)
            if name not in self.grads or name not in self.caches:
                continue                    # no output depends on it, or it depends on no weight
            want = [read in differentiated for read in box.reads]
            dreads = self._run(box.op.backward, box, (self.grads[name], self.caches[name]),
                               want=want)
            for read, wanted, d in zip(box.reads, want, dreads):
                if wanted and d is not None:
                    self.grads[read] = self.grads[read] + d if read in self.grads else d
            if not self.keeps:
                del self.grads[name], self.caches[name]
            yield box, dreads

    def forward(self, image: NDArray[Any], train: bool = False, keep: bool = False,
                until: str | Iterable[str] | None = None) -> NDArray[Any] | Any:
        """The value of the output, or of `until`: an array; of several a dict of arrays by name.

        train=True keeps what `backward` needs; keep=True keeps every value and gradient to inspect.
        """
        for _ in self.walk(image, train, keep, until):
            pass
        names = as_list(until) or self.outputs(train)
        if len(names) == 1:
            return self.values[names[0]]
        return {name: self.values[name] for name in names}

    def backward(self, **dvalues: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The gradients of outputs, by name -> {'conv1_1.w': …} of every weight that is trained."""
        for _ in self.walk_back(**dvalues):
            pass
        if not self.keeps:
            self.caches.clear()             # of boxes that no gradient reached
        return {name: self.grads[name] for name in self.params if name in self.grads}

    # ---- parts of a walk -----------------------------------------------------------------------

    def _run(self, op: Any, box: Box, arrays: Sequence[Any], **kwargs: Any) -> Any:
        try:
            return op(*arrays, **kwargs)
        except (TypeError, ValueError) as error:
            given = {name: self._read(name).shape for name in box.reads
                     if name in self.values or '.' in name}
            raise type(error)(with_context(error, box, given)) from error

    def _read(self, name: str) -> NDArray[Any]:
        return next(kind[name] for kind in (self.values, self.params, self.state) if name in kind)

    def _overwritable(self, readers: Iterable[tuple[str, Box]]) -> set[str]:
        """The values that their only reader may overwrite, as ReLU does to save a copy.

        Overwriting is safe when nothing else needs the value afterwards:
        1. exactly one box reads it, so no other box finds it changed;
        2. the box that made it has weights (a convolution, batch norm, …): such ops cache their
           input, never their output, so their backward does not need it either. An op without
           weights may have cached its output or return a view of its input;
        3. `keep` is off and `until` does not ask for it (the caller takes care of both).
        """
        times_read = Counter(name for name, _ in readers)
        return {name for name, count in times_read.items() if count == 1 and name in self.boxes
                and self.boxes[name].weights}

    def _op_kwargs(self, box: Box, train: bool, sizes: dict[str, Size],
                   overwritable: Container[str] = ()) -> dict[str, Any]:
        """The arguments of the op beside its arrays."""
        kwargs = dict(box.kwargs)
        if box.like:
            kwargs['size'] = sizes[box.like]
        if 'train' in box.flags:
            kwargs['train'] = train
        if 'overwrite' in box.flags:
            kwargs['overwrite'] = box.inputs[0] in overwritable
        if 'rng' in box.flags:
            stream = self.seed or 0, self.step, crc32(str(box.name).encode())
            kwargs['rng'] = np.random.default_rng(stream)
        return kwargs

    def _check_image(self, image: NDArray[Any]) -> None:
        array_module(image)                 # refuses anything that is not an array
        shape = image.shape
        channels = self.data.channels
        if len(shape) != 4 or shape[1] != channels or 0 in shape:
            raise ValueError(f'the image has shape {shape}; this net reads (N, {channels}, H, W)')
        if image.dtype != self.dtype:
            raise TypeError(f'the image is {image.dtype} and this net computes in {self.dtype}: '
                            f'image.astype({self.dtype!r}), or net.astype({str(image.dtype)!r})')

    def _check_output_grads(self, dvalues: dict[str, NDArray[Any]],
                            differentiated: Container[str]) -> None:
        if not dvalues:
            raise ValueError(f'backward needs the gradients of the outputs: backward('
                             f'{", ".join(f"{name}=…" for name in self.outputs())})')
        for name, d in dvalues.items():
            if self[name].name in differentiated and name not in self.caches:
                raise RuntimeError(f'nothing was kept for the backward of {name!r}: '
                                   f'call forward(image, train=True) before each backward')
            array_module(d)
            y = self.values.get(name, d)
            if (d.shape, d.dtype) != (y.shape, y.dtype):
                raise ValueError(f'the gradient of {name!r} is {d.dtype} {d.shape}; '
                                 f'{name!r} is {y.dtype} {y.shape}')

    # ---- the whole net -------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """For copies: the net without what its last walk left behind."""
        return {**super().__getstate__(), 'values': {}, 'caches': {}, 'grads': {}}

    def to(self, device: str) -> Net:
        """Move the weights and running state to the 'gpu' or the 'cpu', in place. -> this net"""
        if device not in ('cpu', 'gpu'):
            raise ValueError(f"device is {device!r}: 'cpu' or 'gpu'")
        if device == 'gpu':
            require_gpu()                   # once here: to_gpu checks nothing unless it fails
        move = to_gpu if device == 'gpu' else to_numpy
        for values in self.params, self.state:
            values.update({name: move(w) for name, w in values.items()})
        return self

    def bring(self, x: Any) -> Any:
        """x on the device of the weights."""
        return to_device_of(x, next(iter(self.params.values()), x))

    def astype(self, dtype: str) -> Net:
        """A copy that computes in `dtype`."""
        net = copy(self)
        net.dtype = np.dtype(dtype).name
        for values in net.params, net.state:
            values.update({name: w.astype(dtype) for name, w in values.items()})
        return net

    def save(self, path: str | Path) -> None:
        """Write weights, state and `about` to one file with checksums, for tinyfcn.load."""
        # imported here: a net that only computes needs no files
        from ..weights.safetensors_file import save

        about = dict(self.about, seed=self.seed, frozen=sorted(self.frozen))
        save(path, {name: to_numpy(w) for name, w in {**self.params, **self.state}.items()}, about)

    def summary(self, size: Pair | None = None) -> str:
        """A table of all boxes; with their sizes and costs for an image of `size`."""
        return summary(self, size)
