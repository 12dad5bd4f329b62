"""A box: one op of a net, and the words that made it."""
from functools import wraps
from inspect import signature

from ..geometry import same_size


class Box:
    """An op, the boxes it reads, the weights it owns, and its place over the image.

    `like` lends its size and is not read. `sized` says how the size follows from those read.
    `weights` and `state` hold, by short name, (init, shape): the figure makes them when it names
    the box. `how` is what else the op is told: stride, pad, …; what it `asks` for the walk knows.
    """

    def __init__(self, op, *inputs, like=None, channels=None, alignment=None, output_size=same_size,
                 weights=(), state=(), **kwargs):
        self.op = op
        self.inputs = inputs
        self.like = like
        self.kwargs = kwargs
        self.output_size = output_size
        self.channels = inputs[0].channels if channels is None else channels
        self.alignment = inputs[0].alignment if alignment is None else alignment
        self.weights = dict(weights)
        self.state = dict(state)
        parameters = signature(op).parameters if op else {}
        self.flags = {'train', 'rng', 'overwrite'} & parameters.keys()
        self.name = None
        self.call_text = f'{op.__name__}({", ".join(map(str, inputs))})' if op else 'the image'

    def __str__(self):
        return self.name or self.call_text

    @property
    def line(self):
        """As the figure's author wrote it: score_fr = conv(drop7, 21, 1)."""
        return f'{self.name} = {self.call_text}'

    @property
    def reads(self):
        """The names of what the op is given, in order: boxes, own weights, own state."""
        return [*self.inputs, *(f'{self.name}.{own}' for own in (*self.weights, *self.state))]


def layer(make):
    """A box remembers the words it was asked for in: errors and summaries quote them."""
    @wraps(make)
    def say(*args, **kwargs):
        named = (f'{name}={getattr(value, "__name__", value)}' for name, value in kwargs.items())
        call_text = f'{make.__name__}({", ".join([*map(str, args), *named])})'
        if not args or not isinstance(args[0], Box):
            raise TypeError(f'{call_text}: a word reads boxes, such as n.pool4')
        try:
            box = make(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise type(error)(f'{error}\n  in {call_text}') from error
        box.call_text = call_text
        return box
    return say
