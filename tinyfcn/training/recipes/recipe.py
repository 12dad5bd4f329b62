"""How one net is trained, as a frozen dataclass that checks itself.

Two ways to reduce a loss over pixels are in use, and their learning rates differ by a factor of
10⁵. The paper takes the *mean*, over twenty images a step. The reference nets take the *sum*, over
one image a step, with a momentum so high that it averages over steps. A learning rate that suits
one is useless with the other, so a recipe that mixes them up is rejected.
"""
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, Literal

# no summed loss over some 10⁵ pixels has a higher learning rate, and no mean loss a lower one
MAX_LR_OF_SUM = 1e-6
MIN_LR_OF_MEAN = 1e-9

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
    # order, scale, mean and std of images; None takes those that come with the weights
    preprocess: dict[str, Any] | None = None
    # further arguments of tinyfcn.build, such as width
    net_kwargs: dict[str, Any] = field(default_factory=dict)

    # over the pixels of a batch
    loss: Literal['sum', 'mean'] = 'mean'
    # the learning rate of the first step
    lr: float
    # of SGD
    momentum: float = .9
    weight_decay: float = 5e-4
    optimizer: Literal['sgd', 'adam'] = 'sgd'
    # {pattern of parameter names: factors of lr and decay}
    rules: dict[str, dict[str, float]] = field(
        default_factory=lambda: {'*.b': dict(lr=2, decay=0)})
    # {box: the weight of its loss}; None takes the loss at every output of the net, each weighing 1
    loss_at: dict[str, float] | None = None
    # a weight for each class, or 'median' for median frequency balancing
    class_weight: tuple[float, ...] | str | None = None
    # (w0, sigma in pixels): U-Net's weight of background between two cells
    border_weight: tuple[float, float] | None = None

    # lr · (1 − step / steps)^lr_power; 0 keeps lr
    lr_power: float = 0.
    # lr is divided by 10 every so many steps
    lr_step: int | None = None
    # optimizer steps
    steps: int
    # images in a batch
    batch: int = 1
    # batches whose gradients are accumulated in one step
    iter_size: int = 1

    # draw images with replacement, instead of all of them once an epoch
    replace: bool = False
    # mirror half of the images left to right
    flip: bool = False
    # (low, high): scale each image by a random factor in this range
    scale_range: tuple[float, float] | None = None
    # (rows, columns) of a random crop
    crop_size: tuple[int, int] | None = None
    # elastic deformation by so many pixels
    elastic_sigma: float | None = None

    # steps between two validations, each followed by a checkpoint
    validate_every: int = 500
    # the scores to reach, in per cent, and where they are published
    target: dict[str, float] | None = None
    source: str = ''

    def __post_init__(self) -> None:
        for one in fields(self):
            # a frozen dataclass has no other way to set a field
            object.__setattr__(self, one.name, _with_tuples(getattr(self, one.name)))
        for requirement in REQUIREMENTS:
            for name in requirement.fields:
                value = getattr(self, name)
                if not requirement.accepts(value):
                    raise ValueError(f'{name} is {value!r}; it must be {requirement.text}')
        _check_learning_rate(self.loss, self.lr)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = 'a recipe') -> 'Recipe':
        """A recipe from field names and values, such as JSON has; `name` stands in errors.

        >>> Recipe.from_dict(dict(lr=1e-4, steps=10, crop_size=[32, 48])).crop_size
        (32, 48)
        """
        # version 0.1 always wrote all of its fields, so these together identify one of its files
        if {*V01_NAMES, 'adam'} <= values.keys():
            values = _convert_v01(values)
        known = [one.name for one in fields(cls)]
        if unknown := values.keys() - set(known):
            raise ValueError(f'{name} has no {", ".join(sorted(unknown))}; it has '
                             f'{", ".join(known)}')
        # lr and steps have no default: where they are missing, the check of None reports them
        required: dict[str, Any] = dict(lr=None, steps=None)
        return cls(**{**required, **values})

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, which JSON can hold: the inverse of `from_dict`."""
        return asdict(self)


def _convert_v01(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe that version 0.1 wrote, under the names of today."""
    converted = {V01_NAMES.get(key, key): value for key, value in values.items()}
    converted['optimizer'] = 'adam' if converted.pop('adam') else 'sgd'
    return converted


def _with_tuples(value: Any) -> Any:
    """A copy in which lists, which JSON makes of tuples, are tuples again; also inside dicts."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_with_tuples(part) for part in value)
    return value


# ---- checks --------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Requirement:
    """What some fields must be, as a text and as a function."""
    fields: tuple[str, ...]
    text: str
    accepts: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_pair_of(accepts: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(accepts, value))


def _is_dict_of(accepts: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, dict) and all(map(accepts, value.values()))


def _is_class_weight(value: Any) -> bool:
    return value == 'median' or (isinstance(value, (list, tuple))
                                 and all(map(_is_positive, value)))


def _is_preprocess(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {'order', 'scale', 'mean', 'std'}


REQUIREMENTS = [
    Requirement(('lr',), 'a number above 0', _is_positive),
    Requirement(('momentum', 'weight_decay', 'lr_power'), 'a number of at least 0',
                lambda value: _is_number(value) and value >= 0),
    Requirement(('steps', 'batch', 'iter_size', 'validate_every'), 'a whole number above 0',
                _is_count),
    Requirement(('optimizer',), "'sgd' or 'adam'", lambda value: value in ('sgd', 'adam')),
    Requirement(('loss',), "'sum' or 'mean', over the pixels of a batch",
                lambda value: value in ('sum', 'mean')),
    Requirement(('scale_range',), 'None, or a low and a high factor',
                lambda value: value is None or _is_pair_of(_is_positive, value)),
    Requirement(('border_weight',), 'None, or a weight and a distance in pixels',
                lambda value: value is None or _is_pair_of(_is_positive, value)),
    Requirement(('elastic_sigma',), 'None, or a number of pixels above 0',
                lambda value: value is None or _is_positive(value)),
    Requirement(('lr_step',), 'None, or a whole number above 0',
                lambda value: value is None or _is_count(value)),
    Requirement(('crop_size',), 'None, or numbers of rows and columns',
                lambda value: value is None or _is_pair_of(_is_count, value)),
    Requirement(('net_kwargs',), 'a dict of further arguments of tinyfcn.build',
                lambda value: isinstance(value, dict)),
    Requirement(('loss_at',), 'None, or a dict of boxes and the weights of their losses',
                lambda value: value is None or (bool(value) and _is_dict_of(_is_positive, value))),
    Requirement(('class_weight',), "None, 'median' or a number above 0 for each class",
                lambda value: value is None or _is_class_weight(value)),
    Requirement(('train', 'valid'), 'None, or a data set and a split',
                lambda value: value is None or _is_pair_of(lambda part: True, value)),
    Requirement(('rules',), 'a dict of patterns and their factors',
                lambda value: _is_dict_of(lambda rule: isinstance(rule, dict), value)),
    Requirement(('preprocess',), 'None, or a dict of order, scale, mean and std',
                lambda value: value is None or _is_preprocess(value)),
]


def _check_learning_rate(loss: str, lr: float) -> None:
    """A learning rate suits one way to reduce the loss; with the other, training fails silently."""
    if loss == 'sum' and lr > MAX_LR_OF_SUM:
        raise ValueError(f'lr {lr:g} suits a mean loss, and this loss is a sum: over 500×375 '
                         f'pixels its steps are 187,500 times as long, and it is soon nan. Set '
                         f'loss="mean", or an lr such as 1e-10 (lesson 13)')
    if loss == 'mean' and lr < MIN_LR_OF_MEAN:
        raise ValueError(f'lr {lr:g} suits a summed loss, and this loss is a mean: the weights '
                         f'would hardly move. Set loss="sum", or an lr such as 1e-4 (lesson 13)')
