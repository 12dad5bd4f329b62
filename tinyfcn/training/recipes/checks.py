"""What every field of a recipe must be: a text for errors, and a function that tells."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ...files import printable

SHOWN = 60                      # characters of a value in an error

# A loss summed over the pixels of an image (some 10⁵) never has a higher learning rate than this,
# and a mean over them never a lower one
MAX_LR_OF_SUM = 1e-6
MIN_LR_OF_MEAN = 1e-9

MAX_BLUR = 50                   # pixels; the time of a blur grows with it


def show(value: object) -> str:
    """A value as Python writes it, cut where it is long.

    >>> show([1] * 50)
    '[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,…'
    """
    try:
        return printable(repr(value), limit=SHOWN)
    except (ValueError, RecursionError):                # an integer of thousands of digits
        return f'a {type(value).__name__} too long to show'


def check_fields(values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first field of a recipe that is not what it must be."""
    for requirement in REQUIREMENTS:
        for name in requirement.fields:
            if not requirement.accepts(values[name]):
                raise ValueError(f'{name} is {show(values[name])}; it must be {requirement.text}')
    _check_schedule(values['lr_power'], values['lr_step'])
    _check_learning_rate(values['loss'], values['lr'])
    if 'dice' in values['loss'] and values['border_weight']:
        raise ValueError(f'border_weight weighs single pixels, and loss={values["loss"]!r} '
                         f'compares areas: set border_weight=None, or loss="mean"')


@dataclass(frozen=True)
class Requirement:
    """What some fields must be, as a text and as a function."""
    fields: tuple[str, ...]
    text: str
    accepts: Callable[[Any], bool]


# ---- kinds of values -----------------------------------------------------------------------------

def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return isfinite(value)
    except OverflowError:                               # an integer beyond all floats
        return False


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_at_least_0(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_tuple_of(accepts: Callable[[Any], bool], value: Any, length: int | None = None) -> bool:
    if not isinstance(value, tuple) or not all(map(accepts, value)):
        return False
    return bool(value) if length is None else len(value) == length


def _is_dict_of(accepts: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value)) and \
        all(map(accepts, value.values()))


def _is_plain(value: Any) -> bool:
    """What JSON can hold."""
    if value is None or isinstance(value, (bool, str)) or _is_number(value):
        return True
    return value == () or _is_tuple_of(_is_plain, value) or _is_dict_of(_is_plain, value)


# ---- kinds of fields -----------------------------------------------------------------------------

def _or_none(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or accepts(value)


def _is_range(value: Any) -> bool:
    return _is_tuple_of(_is_positive, value, 2) and value[0] <= value[1]


def _is_class_weight(value: Any) -> bool:
    return value == 'median' or _is_tuple_of(_is_positive, value)


def _is_init(value: Any) -> bool:
    return _is_text(value) or bool(value) and _is_dict_of(_is_text, value)


def _is_rule(value: Any) -> bool:
    return _is_dict_of(_is_at_least_0, value) and value.keys() <= {'lr', 'decay'}


def _is_preprocess(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {'order', 'scale', 'mean', 'std'}:
        return False
    return (value['order'] in ('RGB', 'BGR') and _is_positive(value['scale'])
            and _is_tuple_of(_is_number, value['mean'])
            and _is_tuple_of(_is_positive, value['std'], len(value['mean'])))


REQUIREMENTS = [
    Requirement(('net',), 'None, or the name of a net, such as fcn8s', _or_none(_is_text)),
    Requirement(('train', 'valid'), "None, or a data set and a split, such as ('voc', 'train')",
                _or_none(lambda value: _is_tuple_of(_is_text, value, 2))),
    Requirement(('init_from',), 'None, or the name of a classifier or of a recipe; for several '
                'branches a dict of such names', _or_none(_is_init)),
    Requirement(('preprocess',), "None, or a dict of order ('RGB' or 'BGR'), scale, mean and std, "
                'the last two with a number for each channel', _or_none(_is_preprocess)),
    Requirement(('net_kwargs',), 'a dict of further arguments of tinyfcn.build',
                lambda value: _is_dict_of(_is_plain, value)),
    Requirement(('lr',), 'a number above 0', _is_positive),
    Requirement(('momentum', 'weight_decay', 'lr_power'), 'a number of at least 0', _is_at_least_0),
    Requirement(('steps', 'batch', 'iter_size', 'validate_every'), 'a whole number above 0',
                _is_count),
    Requirement(('optimizer',), "'sgd' or 'adam'", lambda value: value in ('sgd', 'adam')),
    Requirement(('loss',), "'sum' or 'mean' of the cross-entropy of all pixels, 'focal', 'dice' or "
                "'ce+dice'", lambda value: value in ('sum', 'mean', 'focal', 'dice', 'ce+dice')),
    Requirement(('rules',), 'a dict of patterns of weights, each with factors of lr and decay, '
                "such as {'*.b': {'lr': 2, 'decay': 0}}",
                lambda value: _is_dict_of(_is_rule, value)),
    Requirement(('freeze',), 'None, or patterns of names of weights, such as conv*,fc*',
                _or_none(lambda value: _is_tuple_of(_is_text, value))),
    Requirement(('loss_at',), 'None, or a dict of boxes and the weights of their losses',
                _or_none(lambda value: bool(value) and _is_dict_of(_is_positive, value))),
    Requirement(('class_weight',), "None, 'median' or a number above 0 for each class",
                _or_none(_is_class_weight)),
    Requirement(('border_weight',), 'None, or a weight and a distance in pixels',
                _or_none(lambda value: _is_tuple_of(_is_positive, value, 2))),
    Requirement(('lr_step',), 'None, or a whole number of steps above 0', _or_none(_is_count)),
    Requirement(('patience',), 'None, or a whole number of validations above 0',
                _or_none(_is_count)),
    Requirement(('replace', 'flip'), 'True or False', lambda value: isinstance(value, bool)),
    Requirement(('scale_range',), 'None, or a low and a high factor', _or_none(_is_range)),
    Requirement(('crop_size',), 'None, or numbers of rows and columns, such as (256, 256)',
                _or_none(lambda value: _is_tuple_of(_is_count, value, 2))),
    Requirement(('elastic_sigma',), 'None, or a number of pixels above 0', _or_none(_is_positive)),
    Requirement(('blur',), f'None, or a number of pixels above 0, at most {MAX_BLUR}',
                _or_none(lambda value: _is_positive(value) and value <= MAX_BLUR)),
    Requirement(('rotation',), 'None, or a number of degrees above 0, at most 180',
                _or_none(lambda value: _is_positive(value) and value <= 180)),
    Requirement(('colour',), 'None, or the largest changes of brightness, contrast, saturation and '
                'hue, each from 0 to 1, such as (.4, .4, .4, .1)',
                _or_none(lambda value: _is_tuple_of(_is_share, value, 4))),
    Requirement(('noise',), 'None, or a part of the standard deviation of the image, such as .1',
                _or_none(_is_positive)),
    Requirement(('rare_classes',), 'None, or a share of the images above 0, at most 1',
                _or_none(lambda value: _is_share(value) and value > 0)),
    Requirement(('target',), "None, or a dict of scores in per cent, such as {'mean_iu': 65.5}",
                _or_none(lambda value: _is_dict_of(_is_number, value))),
    Requirement(('source',), 'a text', _is_text),
]


def allowed_values() -> dict[str, str]:
    """What each field must be, as a text by its name.

    >>> allowed_values()['lr']
    'a number above 0'
    """
    return {name: requirement.text for requirement in REQUIREMENTS for name in requirement.fields}


# ---- fields that depend on each other ------------------------------------------------------------

def _check_schedule(lr_power: float, lr_step: int | None) -> None:
    if lr_power and lr_step:
        raise ValueError(f'lr_power is {lr_power:g} and lr_step is {lr_step}; lr follows one of '
                         f'them: set lr_power=0 or lr_step=None')


def _check_learning_rate(loss: str, lr: float) -> None:
    """A learning rate suits one way to reduce the loss.

    With the other one training diverges, or the weights hardly move.
    """
    if loss == 'sum' and lr > MAX_LR_OF_SUM:
        raise ValueError(f'lr {lr:g} suits a mean loss, and this loss is a sum: over 500×375 '
                         f'pixels its steps are 187,500 times as long, and it is soon nan. Set '
                         f'loss="mean", or an lr such as 1e-10 (lesson 15)')
    if loss != 'sum' and lr < MIN_LR_OF_MEAN:
        raise ValueError(f'lr {lr:g} suits a summed loss, and this loss is a mean: the weights '
                         f'would hardly move. Set loss="sum", or an lr such as 1e-4 (lesson 15)')
