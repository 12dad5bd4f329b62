"""How one net is trained, as a frozen dataclass that checks itself.

Two ways to reduce a loss over pixels are in use. The paper takes the *mean*, over twenty images a
step, with lr 1e-4 and momentum 0.9. The reference nets take the *sum*, over one image a step, with
lr 1e-10 and momentum 0.99, which averages over steps. The sum over an image of 500×375 pixels is
187,500 times the mean, and the momentum makes up for the rest. A learning rate that suits one is
useless with the other, so a recipe that mixes them up is rejected.
"""
from ast import literal_eval
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from ...files import printable
from .checks import check_fields, show

MAX_TEXT = 10_000               # characters of a value; 255 class weights have fewer

# what version 0.1 called these fields, in the run folders and checkpoints that it wrote
V01_NAMES = dict(
    start='init_from', built='net_kwargs', gaps='border_weight', poly='lr_power', falls='lr_step',
    mirrored='flip', scales='scale_range', size='crop_size', bent='elastic_sigma',
    every='validate_every', aims='target', cites='source')


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a net is trained, except for the seed.

    >>> recipe = Recipe(net='fcn32s', lr=1e-4, steps=10_000, iter_size=20)
    >>> recipe.momentum, recipe.rules
    (0.9, {'*.b': {'lr': 2, 'decay': 0}})
    >>> Recipe(lr=1e-4, steps=0)
    Traceback (most recent call last):
        ...
    ValueError: steps is 0; it must be a whole number above 0
    """
    # a name that tinyfcn.build knows
    net: str | None = None
    # (data set, split)
    train: tuple[str, str] | None = None
    # (data set, split); None holds out a fifth of `train`
    valid: tuple[str, str] | None = None
    # the classifier or the recipe whose weights the net starts from; None starts from random
    # weights. A net with several branches has {suffix of the branch's boxes: name}
    init_from: str | dict[str, str] | None = None
    # order, scale, mean and std of images; None takes those that come with the weights, which also
    # decide where they are for images of another order or scale
    preprocess: dict[str, Any] | None = None
    # further arguments of tinyfcn.build, such as width
    net_kwargs: dict[str, Any] = field(default_factory=dict)

    # cross-entropy, its 'sum' or 'mean' over the pixels of a batch; or the mean focal loss, the
    # Dice loss of a batch, or the sum of mean cross-entropy and Dice loss
    loss: Literal['sum', 'mean', 'focal', 'dice', 'ce+dice'] = 'mean'
    # the learning rate of the first step
    lr: float
    # of SGD; Adam's betas are .9 and .999
    momentum: float = .9
    weight_decay: float = 5e-4
    optimizer: Literal['sgd', 'adam'] = 'sgd'
    # {pattern of parameter names: factors of lr and decay}
    rules: dict[str, dict[str, float]] = field(
        default_factory=lambda: {'*.b': dict(lr=2, decay=0)})
    # patterns of weights that stay as they are, such as ('conv*', 'fc*'), or a text 'conv*,fc*'
    freeze: tuple[str, ...] | None = None
    # {box: the weight of its loss}; None takes the loss at every output of the net, each weighing 1
    loss_at: dict[str, float] | None = None
    # a weight for each class, or 'median' for median frequency balancing
    class_weight: tuple[float, ...] | str | None = None
    # (w0, sigma in pixels): U-Net's weight of background between two cells, up to 1 + w0
    border_weight: tuple[float, float] | None = None

    # lr · (1 − step / steps)^lr_power; 0 keeps lr
    lr_power: float = 0.
    # lr is divided by 10 every so many steps; with lr_power, None
    lr_step: int | None = None
    # optimizer steps
    steps: int
    # images in a batch
    batch: int = 1
    # batches whose gradients are accumulated in one step
    iter_size: int = 1

    # draw images with replacement, instead of all of them once an epoch
    replace: bool = False
    # draw this share of the images for a class, each class as often as any other, from those that
    # have it; a crop then has it too
    rare_classes: float | None = None
    # mirror half of the images left to right
    flip: bool = False
    # (low, high): scale each image by a random factor in this range
    scale_range: tuple[float, float] | None = None
    # (rows, columns) of a random crop
    crop_size: tuple[int, int] | None = None
    # the standard deviation of an elastic deformation, in pixels
    elastic_sigma: float | None = None
    # rotate by up to so many degrees to either side
    rotation: float | None = None
    # (brightness, contrast, saturation, hue): the largest change of each, such as (.4, .4, .4, .1)
    colour: tuple[float, float, float, float] | None = None
    # the largest standard deviation of a Gaussian blur, in pixels
    blur: float | None = None
    # the largest standard deviation of Gaussian noise, as a part of that of the image
    noise: float | None = None

    # steps between two validations, each followed by a checkpoint
    validate_every: int = 500
    # stop once so many validations in a row have found no better mean IU
    patience: int | None = None
    # the scores that are published, in per cent, and where
    target: dict[str, float] | None = None
    source: str = ''

    def __post_init__(self) -> None:
        values = {name: _with_tuples(getattr(self, name)) for name in FIELDS}
        if isinstance(values['freeze'], str):           # as on the command line
            values['freeze'] = tuple(values['freeze'].split(','))
        check_fields(values)
        for name, value in values.items():
            object.__setattr__(self, name, value)       # a frozen dataclass has no other way

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = 'a recipe') -> 'Recipe':
        """A recipe from field names and values, such as JSON has; `name` stands in errors.

        >>> Recipe.from_dict(dict(lr=1e-4, steps=10, crop_size=[32, 48])).crop_size
        (32, 48)
        """
        values = _convert_v01(values)
        if unknown := values.keys() - set(FIELDS):
            names = printable(', '.join(sorted(map(str, unknown))))
            near = [match for key in sorted(map(str, unknown))
                    for match in get_close_matches(key, FIELDS, 1)]
            advice = f'did you mean {" and ".join(near)}?' if near else ''
            if len(near) < len(unknown):
                advice = f'the fields are {", ".join(FIELDS)}' + f'; {advice}' * bool(near)
            raise ValueError(f'{name}: no field called {names}; {advice}')
        # lr and steps have no default: where they are missing, the check of None reports them
        required: dict[str, Any] = dict(lr=None, steps=None)
        return cls(**{**required, **values})

    @classmethod
    def from_saved(cls, values: object, name: str) -> 'Recipe':
        """The recipe in a file that some version of tinyfcn wrote; `name` stands in errors.

        A field that the file lacks has its default. One that this version lacks is left out.

        >>> Recipe.from_saved(dict(lr=1e-4, steps=10, of_the_future=1), 'run.json').flip
        False
        """
        if not isinstance(values, Mapping):
            raise ValueError(f'{name}: {show(values)} is not a recipe')
        known = {key: value for key, value in _convert_v01(values).items() if key in FIELDS}
        try:
            return cls.from_dict(known, name)
        except ValueError as error:
            raise ValueError(f'{name}: {error}') from None

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, which JSON can hold: the inverse of `from_dict`."""
        return asdict(self)


FIELDS = [each.name for each in fields(Recipe)]


def parse_value(text: str) -> Any:
    """The value that a text on the command line stands for; of a word the word itself.

    >>> parse_value('1e-4'), parse_value('(256, 256)'), parse_value('mean')
    (0.0001, (256, 256), 'mean')
    """
    if len(text) > MAX_TEXT:
        return text
    try:
        return literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):      # of thousands of brackets
        return text


def _convert_v01(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that version 0.1 wrote, under the names of today; any other as it is."""
    # version 0.1 always wrote all of its fields, so these together identify one of its files
    if not {*V01_NAMES, 'adam'} <= values.keys():
        return dict(values)
    converted = {V01_NAMES.get(key, key): value for key, value in values.items()}
    converted['optimizer'] = 'adam' if converted.pop('adam') else 'sgd'
    if converted['lr_power']:
        converted['lr_step'] = None                     # which version 0.1 then ignored
    return converted


def _with_tuples(value: Any) -> Any:
    """A copy in which lists, which JSON makes of tuples, are tuples again; also inside dicts."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_with_tuples(part) for part in value)
    return value
