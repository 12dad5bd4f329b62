"""Nets with trained weights: from a file of any program, from the folder of a run, or by name."""
import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..data import imagenet, nyud, siftflow, voc
from ..fetch.progress import write_line
from ..files import FormatError, printable
from ..net.net import Net
from ..weights import Report, read, require_finite, safetensors_file, transplant
from ..weights.detect import detect_format
from ..weights.find import find_weights, published_name, weights_by_name
from ..weights.sources import SOURCES, source_name, unknown_name
from . import build
from .nearest import describe_nets, describe_unknown

# Auxiliary heads, which only training needs: a file may lack those of the net, or have its own
AUX_OF_NET = 'aux*',
AUX_OF_FILE = 'aux*', 'loss1/*', 'loss2/*'
# The classes of published weights, by their number
PUBLISHED_CLASSES: dict[int, Any] = {
    1000: imagenet.class_names(), 21: voc.CLASSES, 40: nyud.CLASSES,
    33: dict(score_sem=siftflow.SEMANTIC, score_geo=siftflow.GEOMETRIC)}


def load(path: str | os.PathLike[str]) -> Net:
    """A net with the weights of a file, of a run, or of a name.

    path: a file that `net.save`, a training run or another program wrote; the folder of a run, of
    which the best checkpoint is taken; or a name that `tinyfcn weights list` shows, whose file is
    downloaded if it is not in the cache. A file or folder of that name takes precedence.
    net.about says how images are prepared for the weights, and what their classes are.

    >>> import tinyfcn
    >>> tinyfcn.build('tiny_8s', n_class=3, width=1/8).save('net.safetensors')
    >>> tinyfcn.load('net.safetensors')
    <Net of 36 boxes, 4,285 parameters>
    """
    return _load_file(find_weights(Path(path)))


def pretrained(name: str) -> Net:
    """The net of a name that `tinyfcn weights list` shows, with these weights.

    They are downloaded once, verified, and kept in the user's cache folder.

    >>> net = pretrained('fcn_resnet50')                        # doctest: +SKIP
    >>> mask = tinyfcn.predict(net, 'photo.jpg')                # doctest: +SKIP
    """
    if not source_name(name):
        raise ValueError(unknown_name(name))
    return _load_file(weights_by_name(name))


def _load_file(file: Path) -> Net:
    arrays, about = _read(file)
    if 'build' not in about:
        raise ValueError(_describe_incomplete(file, about) + describe_nets(arrays))
    if not arrays:
        raise FormatError(f'{file} has no weights: train the net first, or get the file again')
    dtype = next(iter(arrays.values())).dtype.name
    try:
        net = build(**about['build'], dtype=dtype, seed=None)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = printable(f'{about["build"]}: {error}', limit=1000)
        raise FormatError(f'{file}: its net cannot be built, {reason}') from None
    try:
        report = transplant(net, arrays)
    except ValueError as error:
        raise FormatError(f'{file}: {error}') from None
    if not _is_complete(report):
        raise ValueError(f'{file}: these are not the weights of {about["build"]}\n{report}')
    net.seed = about.pop('seed', None)
    try:
        net.frozen = set(about.pop('frozen', []))
        net.find_grad_names(image=False)                # raises for a pattern of no weight
        _check_classes(net, about.get('classes'))
    except ValueError as error:
        raise FormatError(f'{file}: {error}') from None
    about.pop('machine', None)                          # a fact of the run, not of the net
    net.about = about
    return net


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights of a file, and what is known of them."""
    if detect_format(file) == 'safetensors' and safetensors_file.is_tinyfcn_file(file):
        arrays, about = safetensors_file.load(file)
        arrays = safetensors_file.weights_only(arrays)
        require_finite(arrays, file)
    else:
        arrays, about = _read_known(file)
        del about['format']
        if remark := about.pop('remark', ''):
            write_line(f'{printable(file)}: {remark}')
    about.pop('bilinear', None)                         # they are constants of the net
    if about.get('source') == 'tinyfcn':
        del about['source']
    if 'build' in about and 'source' in about:          # weights of another program
        _describe_published(file, about)
    return arrays, about


def _read_known(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return read(file)
    except FormatError as error:
        if nearest := describe_unknown(file):
            raise FormatError(f'{error}{nearest}') from None
        raise


def _describe_published(file: Path, about: dict[str, Any]) -> None:
    """Add the net and the classes of weights of another program to `about`, where they are known.

    The name of a published file decides which net it is. 1000 classes are taken for ImageNet's.
    """
    name = published_name(file)
    row = SOURCES[name] if name else None
    if row:
        about['build'] = dict(about['build'], name=row.net)
    n_class = about['build']['n_class']
    is_known = row is not None and row.n_class == n_class and n_class in PUBLISHED_CLASSES
    if 'classes' not in about and (is_known or n_class == 1000):
        about['classes'] = _as_lists(PUBLISHED_CLASSES[n_class])


def _as_lists(classes: Any) -> Any:
    """Names of classes in lists, as in a file of weights."""
    if isinstance(classes, dict):
        return {output: [*names] for output, names in classes.items()}
    return [*classes]


def _describe_incomplete(file: Path, about: dict[str, Any]) -> str:
    """The message for weights that do not make up a net."""
    advice = 'build the net, then tinyfcn.weights.transplant(net, tinyfcn.weights.read(file)[0])'
    source = about.get('source')
    if source in (None, 'tinyfcn'):
        return f'{file} has weights, but does not say of which net: {advice}'
    return (f'{file} has weights of {printable(source)}, but not all of a net. Training can start '
            f'from them (`tinyfcn train RECIPE --weights FILE`); in Python, {advice}')


def _is_complete(report: Report) -> bool:
    """Whether a file has all weights of the net and no others, except for auxiliary heads."""
    def all_match(names: list[str], patterns: tuple[str, ...]) -> bool:
        return all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in names)

    return all_match(report.missing, AUX_OF_NET) and all_match(report.unused, AUX_OF_FILE)


def _check_classes(net: Net, classes: object) -> None:
    """Raise unless each output has as many names of classes as scores."""
    counts = {output: net[output].channels for output in net.outputs(train=False)}
    if isinstance(classes, dict) and {name: len(x) for name, x in classes.items()} != counts:
        raise ValueError(f'it names the classes of {[*classes]}, and the outputs of its net have '
                         f'the classes {counts}; tinyfcn did not write it')
