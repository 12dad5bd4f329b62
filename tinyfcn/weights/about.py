"""The metadata `about` of a tinyfcn file, which is validated before it is used.

Checksums reveal damage, not intent: a file may say anything. Each of these entries may be absent,
and code that needs one checks it; other entries may be anything, and are only printed.
"""
from collections.abc import Callable
from reprlib import repr as short_repr
from typing import Any, NamedTuple

from ..files import FormatError

MAX_CLASSES = 65_536
MAX_CHANNELS = 65_536
MAX_WIDTH = 64                  # times as wide as in the paper
MAX_SIDE = 65_536               # pixels
MAX_STEPS = 1 << 48
MAX_NUMBER = 1e30               # nan and infinity are not below it


class Rule(NamedTuple):
    """What an entry must be, and how a message says it."""
    is_valid: Callable[[Any], bool]
    wanted: str


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_NUMBER      # type: ignore[arg-type]


def is_count(value: object, least: int = 0, most: int = MAX_STEPS) -> bool:
    return type(value) is int and least <= value <= most


def is_seed(value: object) -> bool:
    return value is None or is_count(value, most=(1 << 128) - 1)


def is_list(value: object, is_item: Callable[[Any], bool] = is_text) -> bool:
    return isinstance(value, list) and all(map(is_item, value))


def is_build(value: object) -> bool:
    """The arguments of tinyfcn.build, without dtype and seed, which stand elsewhere."""
    return (isinstance(value, dict)
            and is_text(value.get('name'))
            and is_count(value.get('n_class'), 1, MAX_CLASSES)
            and is_count(value.get('channels'), 1, MAX_CHANNELS)
            and is_number(value.get('width')) and 0 < value['width'] <= MAX_WIDTH
            and not value.keys() & {'dtype', 'seed'}
            and all(type(x) in (str, int, float, bool, type(None)) for x in value.values()))


def is_classes(value: object) -> bool:
    """The names of the classes; of a net with several outputs, those of each."""
    if isinstance(value, dict):
        return len(value) > 0 and all(map(is_classes_of_output, value.values()))
    return value is None or is_classes_of_output(value)


def is_classes_of_output(value: object) -> bool:
    return is_list(value) and 0 < len(value) <= MAX_CLASSES         # type: ignore[arg-type]


def is_preprocess(value: object) -> bool:
    """None if unknown; what stands in it must be right, though it need not be complete."""
    if value is None:
        return True
    return (isinstance(value, dict) and value.keys() <= PREPROCESS.keys()
            and all(PREPROCESS[key](x) for key, x in value.items())
            and len({len(value[key]) for key in ('mean', 'std') if key in value}) <= 1)


def is_complete(preprocess: dict[str, Any] | None) -> bool:
    """Whether images can be prepared by it."""
    return preprocess is not None and preprocess.keys() >= PREPROCESS.keys()


def is_channels(value: object) -> bool:
    """The names of the channels, in the order of the files, and the type of their values."""
    return (isinstance(value, dict) and value.keys() == {'names', 'dtype'}
            and is_list(value['names']) and 0 < len(value['names']) <= MAX_CHANNELS
            and len(set(value['names'])) == len(value['names'])
            and is_text(value['dtype']))


def is_run(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(RUN[key](value[key]) for key in RUN.keys() & value.keys())


def is_machine(value: object) -> bool:
    scalars = (str, int, float, bool, type(None))
    return isinstance(value, dict) and all(type(x) in scalars for x in value.values())


PREPROCESS: dict[str, Callable[[Any], bool]] = {
    'order': lambda value: is_text(value) and value in ('RGB', 'BGR'),
    'scale': lambda value: is_number(value) and value != 0,
    'mean': lambda value: is_list(value, is_number) and len(value) > 0,
    'std': lambda value: is_list(value, is_number) and len(value) > 0 and min(value) > 0,
}
RUN: dict[str, Callable[[Any], bool]] = {
    'step': is_count,
    'best': is_number,
    'best_step': is_count,
    'seed': is_seed,
    'recipe': lambda value: isinstance(value, dict),
    'data': lambda value: value is None or isinstance(value, dict),
}
ABOUT = {
    'build': Rule(is_build, 'a dict of name, n_class, channels, width and variants'),
    'classes': Rule(is_classes, 'a list of names, or a dict of such lists'),
    'preprocess': Rule(is_preprocess, 'a dict of order (RGB or BGR), scale, mean and std'),
    # of the images; absent: red, green and blue of 8 bits
    'channels': Rule(is_channels, 'a dict of names, a list of texts, and dtype'),
    # of the images that the weights were trained on; absent: images are not resized
    'shorter_side': Rule(lambda value: is_count(value, 1, MAX_SIDE), 'a number of pixels'),
    'seed': Rule(is_seed, 'a whole number'),
    'frozen': Rule(is_list, 'a list of names'),
    'run': Rule(is_run, 'a dict of step, best, recipe and seed'),
    'machine': Rule(is_machine, 'a dict of texts and numbers'),
    'source': Rule(is_text, 'a text'),
    'format': Rule(is_text, 'a text'),
}


def check_about(about: object) -> dict[str, Any]:
    """-> about.   Refuse what no tinyfcn writes, with the entry and what it should be.

    >>> check_about({'seed': 0, 'frozen': ['conv1_1']})
    {'seed': 0, 'frozen': ['conv1_1']}
    """
    if not isinstance(about, dict):
        raise FormatError(f'what it says about its weights is {short_repr(about)}, and should be '
                          f'a dict; tinyfcn did not write it')
    for key, rule in ABOUT.items():
        if key in about and not rule.is_valid(about[key]):
            raise FormatError(f'its entry {key!r} is {short_repr(about[key])}, and should be '
                              f'{rule.wanted}; tinyfcn did not write it')
    build, classes = about.get('build'), about.get('classes')
    if build and isinstance(classes, list) and len(classes) != build['n_class']:
        raise FormatError(f'it names {len(classes):,} classes, and its net has '
                          f'{build["n_class"]:,}; tinyfcn did not write it')
    channels = about.get('channels')
    if build and channels and len(channels['names']) != build['channels']:
        raise FormatError(f'it names {len(channels["names"]):,} channels, and its net reads '
                          f'{build["channels"]:,}; tinyfcn did not write it')
    preprocess = about.get('preprocess')
    if build and preprocess is not None and not is_complete(preprocess):
        raise FormatError(f'its preprocess has only {[*preprocess]}, and a net needs '
                          f'{[*PREPROCESS]}; tinyfcn did not write it')
    return about
