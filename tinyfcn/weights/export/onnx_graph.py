"""The nodes and constants of an ONNX model under construction; values are given by name."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...geometry import Size


class OnnxGraph:
    """Values have the names of their boxes, and weights their own: conv1_1, conv1_1.w.

    Intermediate values of a box are numbered: score.1, score.2. `sizes` are those of every box if
    the model is for images of one size; otherwise the model computes them when it runs.
    """

    def __init__(self, helper: Any, sizes: Mapping[str, Size] | None = None) -> None:
        self.helper = helper                            # onnx.helper
        self.sizes = sizes
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.values: dict[str, str] = {}                # {box: its value}
        self._stem = ''
        self._count = 0

    def begin(self, box: str) -> None:
        """Begin the nodes of a box."""
        self._stem = box
        self._count = 0

    def finish(self, value: str) -> None:
        """Set the value of the box: that of its last node, or of another box."""
        box = self._stem
        if value.startswith(f'{box}.'):
            self.nodes[-1].output[-1] = self.nodes[-1].name = value = box
        self.values[box] = value

    def node(self, op_type: str, *inputs: str, unused: int = 0, **attributes: Any) -> str:
        """Append a node. -> the name of its last output; `unused` others come before it"""
        outputs = [self._new_name() for _ in range(unused + 1)]
        while inputs and not inputs[-1]:                # optional ones at the end
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
        """Add a weight of the net under its own name."""
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
        return self.node('Reshape', value, self.constant([0, 0, -1]))       # 0: keep the axis

    def _new_name(self) -> str:
        self._count += 1
        return f'{self._stem}.{self._count}'
