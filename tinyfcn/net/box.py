"""A box: one op of a net, with its name, its weights and its alignment with the image."""
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
# how to make the arrays of a box: {'w': (he_normal, (21, 4096, 1, 1)), …}
ArraySpecs: TypeAlias = Mapping[str, tuple[Init, tuple[int, ...]]]

FLAGS = {'train', 'rng', 'overwrite'}       # arguments of an op that Net.walk supplies


class Box:
    """An op, the boxes it reads, the weights it owns, and its alignment with the image.

    `like` lends its size and is not read. `output_size` computes (H, W) from those of the inputs.
    `weights` and `state` hold (init, shape) by short name ('w', 'mean'): the graph makes the arrays
    when the box gets its name. `kwargs` are the op's other arguments (stride, pad, …), `flags`
    those that Net.walk supplies: train, rng, overwrite.
    """

    name: str           # empty until the graph names the box
    # boxes until then, names afterwards: a chain of boxes would be too deep to pickle
    inputs: Any
    like: Any           # or None
    channels: int
    alignment: Alignment | Unaligned

    def __init__(self, op: Callable[..., Any] | None, *inputs: Box, like: Box | None = None,
                 channels: int | None = None, alignment: Alignment | Unaligned | None = None,
                 output_size: Callable[..., Size] = same_size, weights: ArraySpecs | None = None,
                 state: ArraySpecs | None = None, **kwargs: Any) -> None:
        self.op: Any = op
        self.inputs = inputs
        self.like = like
        self.kwargs = kwargs
        self.output_size = output_size
        self.channels = inputs[0].channels if channels is None else channels
        self.alignment = inputs[0].alignment if alignment is None else alignment
        self.weights = dict(weights or {})
        self.state = dict(state or {})
        self.flags = FLAGS.intersection(signature(op).parameters) if op else set()
        self.name = ''
        self.call_text = f'{op.__name__}({", ".join(map(str, inputs))})' if op else 'the image'

    def __str__(self) -> str:
        return self.name or self.call_text

    @property
    def line(self) -> str:
        """The box as a line of its model: score_fr = conv(drop7, 21, 1)."""
        return f'{self.name} = {self.call_text}'

    @property
    def reads(self) -> list[str]:
        """The names of the op's arrays, in order: input boxes, own weights, own state."""
        return [*self.inputs,
                *(f'{self.name}.{short_name}' for short_name in (*self.weights, *self.state))]


def layer(function: Callable[P, Box]) -> Callable[P, Box]:
    """For a function that makes a box: keep the text of the call, which errors and summaries quote.

    Its first argument is a box, and so is every argument that is annotated as one.
    """
    parameters = signature(function)
    box_names = {name for name, parameter in parameters.parameters.items()
                 if parameter.annotation in (Box, 'Box')}

    def is_default(name: str, value: object) -> bool:
        """Such as dilation=1, which a summary need not repeat in every line."""
        default = parameters.parameters[name].default if name in parameters.parameters else None
        return isinstance(value, int | float | str) and type(value) is type(default) \
            and value == default

    @wraps(function)
    def make(*args: P.args, **kwargs: P.kwargs) -> Box:
        named = {name: f'{name}={getattr(value, "__name__", value)}'
                 for name, value in kwargs.items()}
        call_text = f'{function.__name__}({", ".join([*map(str, args), *named.values()])})'
        if not args or not isinstance(args[0], Box):
            raise TypeError(f'{call_text}: the first argument must be a box, such as n.pool4')
        try:
            for name, value in parameters.bind(*args, **kwargs).arguments.items():
                if name in box_names:
                    _check_boxes(value)
            box = function(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise type(error)(f'{error}\n  in {call_text}') from error
        needed = [text for name, text in named.items() if not is_default(name, kwargs[name])]
        box.call_text = f'{function.__name__}({", ".join([*map(str, args), *needed])})'
        return box
    return make


def _check_boxes(value: Any) -> None:
    """value: an argument, or the tuple of all that a star collects."""
    for box in value if isinstance(value, tuple) else (value,):
        if not isinstance(box, Box):
            raise TypeError(f'{box!r} is no box, such as n.pool4')
