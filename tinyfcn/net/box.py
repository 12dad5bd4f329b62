"""A box: one op of a net, with its name, its weights and its place over the image."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeAlias

from numpy.typing import NDArray

from ..geometry import Size, same_size
from .alignment import Alignment, Unaligned

P = ParamSpec('P')
Init: TypeAlias = Callable[..., NDArray[Any]]               # init(shape, rng) -> float32
Weights: TypeAlias = Mapping[str, tuple[Init, tuple[int, ...]]]

FLAGS = {'train', 'rng', 'overwrite'}       # keywords of an op whose values only the walk knows


class Box:
    """An op, the boxes it reads, the weights it owns, and its alignment with the image.

    `like` lends its size and is not read. `output_size` computes (H, W) from those of the inputs.
    `weights` and `state` hold (init, shape) by short name: the graph makes the arrays when the box
    gets its name. `kwargs` are the op's other arguments (stride, pad, …), `flags` those of its
    arguments that the walk supplies: train, rng, overwrite.
    """

    name: str           # empty until the graph names the box
    inputs: Any         # boxes; once the box has its name, the names of the boxes
    like: Any           # a box, or its name; None
    channels: int
    alignment: Alignment | Unaligned

    def __init__(self, op: Callable[..., Any] | None, *inputs: Box, like: Box | None = None,
                 channels: int | None = None, alignment: Alignment | Unaligned | None = None,
                 output_size: Callable[..., Size] = same_size, weights: Weights | tuple[()] = (),
                 state: Weights | tuple[()] = (), **kwargs: Any) -> None:
        self.op: Any = op
        self.inputs = inputs
        self.like = like
        self.kwargs = kwargs
        self.output_size = output_size
        self.channels = inputs[0].channels if channels is None else channels
        self.alignment = inputs[0].alignment if alignment is None else alignment
        self.weights = dict(weights)
        self.state = dict(state)
        self.flags = FLAGS.intersection(signature(op).parameters) if op else set()
        self.name = ''
        self.call_text = f'{op.__name__}({", ".join(map(str, inputs))})' if op else 'the image'

    def __str__(self) -> str:
        return self.name or self.call_text

    @property
    def line(self) -> str:
        """The line of the model that made the box: score_fr = conv(drop7, 21, 1)."""
        return f'{self.name} = {self.call_text}'

    @property
    def reads(self) -> list[str]:
        """The names of the op's arrays, in order: input boxes, own weights, own state."""
        return [*self.inputs, *(f'{self.name}.{own}' for own in (*self.weights, *self.state))]


def layer(function: Callable[P, Box]) -> Callable[P, Box]:
    """Make the box remember the call that made it, which errors and summaries quote."""
    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> Box:
        named = (f'{name}={getattr(value, "__name__", value)}' for name, value in kwargs.items())
        call_text = f'{function.__name__}({", ".join([*map(str, args), *named])})'
        if not args or not isinstance(args[0], Box):
            raise TypeError(f'{call_text}: the first argument must be a box, such as n.pool4')
        try:
            box = function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise type(error)(f'{error}\n  in {call_text}') from error
        box.call_text = call_text
        return box
    return make
