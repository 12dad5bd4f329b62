"""The nodes and constants of an ONNX model while it is made; a value is its name."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...geometry import Size


class OnnxGraph:
    """Values have the names of their boxes, and weights their own: conv1_1, conv1_1.w.

    What a box needs beside is numbered: score.1, score.2. `sizes` has the size of every box where
    the model is made for one size of image; otherwise the model asks for sizes when it runs.
    """

    def __init__(self, helper: Any, sizes: Mapping[str, Size] | None = None) -> None:
        self.helper = helper                            # onnx.helper
        self.sizes = sizes
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.values: dict[str, str] = {}                # by box
        self._stem = ''
        self._count = 0

    def begin(self, box: str) -> None:
        """What follows belongs to this box."""
        self._stem = box
        self._count = 0

    def finish(self, value: str) -> None:
        """The value of the box: what the last node made, or a value of another box as it is."""
        box = self._stem
        if value.startswith(f'{box}.'):
            self.nodes[-1].output[-1] = self.nodes[-1].name = value = box
        self.values[box] = value

    def node(self, op_type: str, *inputs: str, unused: int = 0, **attributes: Any) -> str:
        """Append a node. -> the name of its value, which comes after some that nothing reads"""
        outputs = [self._new_name() for _ in range(unused + 1)]
        while inputs and not inputs[-1]:                # optional ones that are not given
            inputs = inputs[:-1]
        name = outputs[-1]
        self.nodes.append(self.helper.make_node(op_type, inputs, outputs, name, **attributes))
        return name

    def constant(self, values: ArrayLike, dtype: str = 'int64') -> str:
        """A constant that belongs to the box. -> its name"""
        name = self._new_name()
        self.constants[name] = np.asarray(values, dtype)
        return name

    def weight(self, name: str, array: NDArray[Any]) -> None:
        self.constants[name] = np.ascontiguousarray(array, 'float32')

    def shape(self, value: str, start: int, end: int) -> str:
        """Some axes of the shape of a value."""
        return self.node('Shape', value, start=start, end=end)

    def size(self, box: str, offset: Sequence[int] = (0, 0)) -> str:
        """(H, W) of a box, plus an offset."""
        if self.sizes:
            return self.constant(np.add(self.sizes[box], offset))
        size = self.shape(self.values[box], 2, 4)
        return self.node('Add', size, self.constant(offset)) if any(offset) else size

    def flat(self, value: str) -> str:
        """(N, C, H, W) -> (N, C, H·W)"""
        return self.node('Reshape', value, self.constant([0, 0, -1]))       # 0: as it is

    def _new_name(self) -> str:
        self._count += 1
        return f'{self._stem}.{self._count}'
