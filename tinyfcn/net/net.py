"""A network is a list of named boxes. Forward walks it; backward walks it in reverse; where a
value was read twice, its gradients add.

    n = Net(channels=3)
    n.conv1 = conv(n.data, 8, 3, pad=1)             one line, one box, one name
    score = n.forward(image, train=True)
    grads = n.backward(conv1=dscore)                {'conv1.w': …, 'conv1.b': …}

Out of scope: graphs that depend on the data; weights shared between boxes.
"""
from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..geometry import Pair, Size
from ..runtime.backend import array_module, on_host, to_device_of, to_numpy
from ..runtime.gpu import require_gpu, to_gpu
from .box import Box
from .errors import with_context
from .graph import Graph, as_list, check_dtype
from .plan import Plan, Plans, Step, make_plan
from .summary import summary

__all__ = ['Box', 'Net']


class LastWalk(threading.local):
    """What the last walk left behind, in each thread its own."""

    def __init__(self) -> None:
        self.values: dict[str, NDArray[Any]] = {}
        self.caches: dict[str, Any] = {}
        self.grads: dict[str, NDArray[Any]] = {}
        self.keep = False
        self.plan = Plan([], [], {}, {}, set(), {})

    def __reduce__(self) -> Any:
        """A copy of a net begins without a last walk."""
        return LastWalk, ()


def require_net(net: object) -> None:
    """Raise if a net is its file or its name."""
    if not isinstance(net, Net):
        raise TypeError(f'net is {net!r:.60}; give a net, such as tinyfcn.load(path) or '
                        f'tinyfcn.build(name, n_class)')


class Net(Graph):
    """A graph that runs.

    Two flags decide what outlives a box. train=True keeps its cache for `backward`. keep=True keeps
    its value, its cache and its gradient too, to inspect; then the image gets a gradient as well.
    With neither, a value is freed once its last reader has run. `walk` keeps unless told otherwise,
    `forward` does not; then it may run two boxes in one step (plan.py), with the same result.

    One net may run in several threads at once: each sees the values and gradients of its own walk.
    `params`, `state` and `step` belong to the net: train in one thread at a time.
    Randomness is a function of (seed, step, box): training increments `step`.
    """

    def __init__(self, channels: int = 3, dtype: str = 'float32', seed: int | None = 0) -> None:
        self.step = 0
        self._last = LastWalk()
        self._plans = Plans()
        super().__init__(channels, dtype, seed)

    @property
    def values(self) -> dict[str, NDArray[Any]]:
        """The values that the last walk of this thread has computed and kept, by box."""
        return self._last.values

    @property
    def caches(self) -> dict[str, Any]:
        """What each box has kept for the walk back, by box."""
        return self._last.caches

    @property
    def grads(self) -> dict[str, NDArray[Any]]:
        """The gradients of the last walk back of this thread, by box and by weight."""
        return self._last.grads

    # ---- forward and backward, mirror images --------------------------------------------------

    def walk(self, image: NDArray[Any], train: bool = False, keep: bool = True,
             until: str | Iterable[str] | None = None) -> Iterator[tuple[Box, NDArray[Any]]]:
        """Forward, one box at a time: fills `values` and `caches`. A lesson calls next() on it.

        image (N, C, H, W) -> (box, y) of every box, or of those that `until` (one, several) needs.
        """
        self._check_image(image)
        plan = make_plan(self, image.shape[2:], train, keep, until)
        for step, y in self._run_forward(plan, image, train, keep):
            yield step.box, y

    def walk_back(self, **dvalues: NDArray[Any]) -> Iterator[tuple[Box, tuple[Any, ...]]]:
        """Backward, one box at a time: fills `grads`. Where a value was read twice, they add.

        dvalues: the gradient of the loss by each output, by the output's name
        -> (box, gradients of everything it read: its inputs, its weights).
        After `walk` box by box; after `forward` in the steps that it took.
        """
        for step, dreads in self._run_backward(dvalues):
            yield step.box, dreads

    def forward(self, image: NDArray[Any], train: bool = False, keep: bool = False,
                until: str | Iterable[str] | None = None) -> NDArray[Any] | Any:
        """The value of the output, or of `until`: an array; of several a dict of arrays by name.

        The same as a walk, in fewer steps if nothing is kept: see plan.py.

        image (N, C, H, W) -> y (N, C, h, w), or {name: y}, which is the Any of the type: the names
        decide which. train, keep: see Net.
        """
        self._check_image(image)
        if keep:
            plan = make_plan(self, image.shape[2:], train, keep, until)
        else:
            plan = self._plans.find(self, image.shape[2:], train, until)
        for _ in self._run_forward(plan, image, train, keep):
            pass
        names = as_list(until) or plan.outputs
        if len(names) == 1:
            return self.values[names[0]]
        return {name: self.values[name] for name in names}

    def backward(self, **dvalues: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The gradients of outputs, by name -> {'conv1_1.w': …} of every weight that is trained."""
        for _ in self._run_backward(dvalues):
            pass
        if not self._last.keep:
            self.caches.clear()             # of boxes that no gradient reached
        return {name: self.grads[name] for name in self.params if name in self.grads}

    def _run_forward(self, plan: Plan, image: NDArray[Any], train: bool, keep: bool,
                     ) -> Iterator[tuple[Step, NDArray[Any]]]:
        """Run the steps of a plan. -> (step, y) of each"""
        last = self._last
        values = last.values = {'data': image}
        caches = last.caches = {}
        last.grads = {}
        last.keep = keep
        last.plan = plan
        arrays = ChainMap(values, self.params, self.state)
        for step in plan.steps:
            box = step.box
            kwargs = step.kwargs
            if step.part:
                kwargs = {**kwargs, 'out': self._part_of(step.part, plan.sizes, image)}
            if 'rng' in box.flags:
                kwargs = {**kwargs, 'rng': self.generator_of(box)}
            inputs = [arrays[name] for name in step.reads]
            # rest: the new running state, of an op that has one
            y, cache, *rest = self._run(step.op, box, inputs, arrays, **kwargs)
            del inputs                      # this frame would keep them alive until the next step
            values[step.name] = y
            if step.name in plan.needs_grad and (train or keep):
                caches[step.name] = cache
            for new in rest:
                self.state.update(zip(step.reads[-len(new):], new))
            if not keep:
                for name in plan.last_reads[step.name]:
                    del values[name]
            del cache, kwargs
            yield step, y

    def _run_backward(self, dvalues: dict[str, NDArray[Any]],
                      ) -> Iterator[tuple[Step, tuple[Any, ...]]]:
        """Run the steps of the last plan in reverse. -> (step, gradients of all it read) of each"""
        last = self._last
        caches, keep, plan = last.caches, last.keep, last.plan
        self._check_output_grads(dvalues)
        grads = last.grads = dict(dvalues)
        arrays = ChainMap(last.values, self.params, self.state)
        for step in reversed(plan.steps):
            if step.name not in grads or step.name not in caches:
                continue                    # no output depends on it, or it depends on no weight
            want = plan.wants[step.name]
            dreads = self._run(step.op.backward, step.box, (grads[step.name], caches[step.name]),
                               arrays, want=want)
            for name, needed, d in zip(step.reads, want, dreads):
                if needed and d is not None:
                    grads[name] = grads[name] + d if name in grads else d
            if not keep:
                del grads[step.name], caches[step.name]
            yield step, dreads

    # ---- parts of a walk -----------------------------------------------------------------------

    def _run(self, op: Any, box: Box, inputs: Sequence[Any], arrays: Mapping[str, NDArray[Any]],
             **kwargs: Any) -> Any:
        """op(*inputs, **kwargs); its error gets the box, and the shapes of what is still there."""
        try:
            return op(*inputs, **kwargs)
        except (TypeError, ValueError) as error:
            given = {name: arrays[name].shape for name in box.reads if name in arrays}
            raise type(error)(with_context(error, box, given)) from error

    def _part_of(self, part: tuple[str, int, int], sizes: dict[str, Size], image: NDArray[Any],
                 ) -> NDArray[Any] | None:
        """Some channels of a value that is written in parts; None where kernels cannot do that.

        On the host its memory is (N, H, W, C), on a GPU (N, C, H, W), as the kernels write. There
        the channels of several images lie apart.
        """
        name, start, stop = part
        values = self.values
        if name not in values:
            n = len(image)
            h, w = sizes[name]
            c = self[name].channels
            if on_host(image):
                values[name] = np.empty((n, h, w, c), self.dtype).transpose(0, 3, 1, 2)
            elif n == 1:
                values[name] = array_module(image).empty((n, c, h, w), self.dtype)
            else:
                return None
        return values[name][:, start:stop]

    def generator_of(self, box: Box) -> np.random.Generator:
        """The random numbers of a box at this step."""
        return np.random.default_rng((self.seed or 0, self.step, crc32(box.name.encode())))

    def _check_image(self, image: NDArray[Any]) -> None:
        array_module(image)                 # refuses anything that is not an array
        shape = image.shape
        channels = self.data.channels
        if len(shape) != 4 or shape[1] != channels or 0 in shape[1:]:
            raise ValueError(f'the image has shape {shape}; this net reads (N, {channels}, H, W)')
        if image.dtype != self.dtype:
            raise TypeError(f'the image is {image.dtype} and this net computes in {self.dtype}: '
                            f'image.astype({self.dtype!r}), or net.astype({str(image.dtype)!r})')

    def _check_output_grads(self, dvalues: dict[str, NDArray[Any]]) -> None:
        if not dvalues:
            raise ValueError(f'backward needs the gradients of the outputs: backward('
                             f'{", ".join(f"{name}=…" for name in self.outputs())})')
        plan = self._last.plan
        for name, d in dvalues.items():
            if name not in self.caches and (self[name].name in plan.needs_grad or not plan.steps):
                raise RuntimeError(f'nothing was kept for the backward of {name!r}: call forward('
                                   f'image, train=True) before each backward, in the same thread')
            array_module(d)
            y = self.values.get(name, d)
            if (d.shape, d.dtype) != (y.shape, y.dtype):
                raise ValueError(f'the gradient of {name!r} is {d.dtype} {d.shape}; '
                                 f'{name!r} is {y.dtype} {y.shape}')

    # ---- the whole net -------------------------------------------------------------------------

    def to(self, device: str) -> Net:
        """Move the weights and running state to the 'gpu' or the 'cpu', in place. -> the net"""
        if device not in ('cpu', 'gpu'):
            raise ValueError(f"device is {device!r}: 'cpu' or 'gpu'")
        if device == 'gpu':
            require_gpu()                   # once here: to_gpu checks nothing unless it fails
        move = to_gpu if device == 'gpu' else to_numpy
        for arrays in self.params, self.state:
            arrays.update({name: move(w) for name, w in arrays.items()})
        return self

    def bring(self, x: Any) -> Any:
        """x on the device of the weights: itself, or a copy if it is on another."""
        return to_device_of(x, next(iter(self.params.values()), x))

    def astype(self, dtype: str) -> Net:
        """A copy that computes in `dtype`."""
        net = copy(self)
        net.dtype = check_dtype(dtype)
        for arrays in net.params, net.state:
            arrays.update({name: w.astype(net.dtype) for name, w in arrays.items()})
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
