"""Sum {name: array} over the processes of a job, while the next array is computed."""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .backend import array_module

Array = NDArray[Any]

# Arrays are collected until they have this many bytes and then summed as one: fewer, longer
# messages, and still small enough to stay in a cache
BUCKET_BYTES = 4 << 20


class LocalSum:
    """The sum over one process: the arrays themselves."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def add(self, name: str, array: Array) -> None:
        self.arrays[name] = array

    def result(self) -> dict[str, Array]:
        return self.arrays


class _Bucket(NamedTuple):
    """Arrays that are summed as one flat array."""
    shapes: dict[str, tuple[int, ...]]
    ends: list[int]                     # where each array but the last ends in flat
    flat: Array
    wait: Callable[[], None]            # returns when flat is the sum


class AllReduce:
    """The sum over several processes. The caller must not use an array after adding it.

    begin_sum(flat) begins to sum flat (N,) over all processes, in place. -> wait()
    """

    def __init__(self, begin_sum: Callable[[Array], Callable[[], None]]) -> None:
        self.begin_sum = begin_sum
        self.collected: dict[str, Array] = {}       # of the next bucket
        self.kind: tuple[type, np.dtype[Any]] | None = None         # type and dtype of its arrays
        self.buckets: list[_Bucket] = []            # whose sums have begun

    def add(self, name: str, array: Array) -> None:
        """Add an array; its sum begins as soon as a bucket is full."""
        kind = (type(array), array.dtype)
        if self.collected and self.kind != kind:
            self._begin_bucket()
        self.kind = kind
        self.collected[name] = array
        if sum(other.nbytes for other in self.collected.values()) >= BUCKET_BYTES:
            self._begin_bucket()

    def result(self) -> dict[str, Array]:
        """Wait for all sums. -> {name: sum}"""
        if self.collected:
            self._begin_bucket()
        sums = {}
        for bucket in self.buckets:
            bucket.wait()
            parts = array_module(bucket.flat).split(bucket.flat, bucket.ends)
            for (name, shape), part in zip(bucket.shapes.items(), parts):
                sums[name] = part.reshape(shape)
        return sums

    def _begin_bucket(self) -> None:
        arrays = [array.ravel() for array in self.collected.values()]
        flat = arrays[0] if len(arrays) == 1 else array_module(arrays[0]).concatenate(arrays)
        shapes = {name: array.shape for name, array in self.collected.items()}
        ends = np.cumsum([array.size for array in arrays])[:-1].tolist()
        self.buckets.append(_Bucket(shapes, ends, flat, self.begin_sum(flat)))
        self.collected = {}
