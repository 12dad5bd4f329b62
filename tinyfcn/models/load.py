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
from .nearest import describe_unknown

# What a file may lack, and what it may have beside the net: heads that only training needs
AUX_OURS = 'aux*',
AUX_THEIRS = 'aux*', 'loss1/*', 'loss2/*'
# The data sets of published weights, by their number of classes
DATASETS: dict[int, Any] = {
    1000: imagenet.class_names(), 21: voc.CLASSES, 40: nyud.CLASSES,
    33: dict(score_sem=siftflow.SEMANTIC, score_geo=siftflow.GEOMETRIC)}


def load(path: str | os.PathLike[str]) -> Net:
    """A net with the weights of a file, of a run, or of a name.

    path: a file that `net.save`, a training run or another program wrote; the folder of a run, of
    which the best checkpoint is taken; or a name that `tinyfcn weights list` shows, whose file is
    downloaded if it is not in the cache. A file or folder of that name goes before it.
    net.about says what is known of the weights: how images are prepared for them, and their
    classes.

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
        raise ValueError(_no_net(file, about))
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
    if not _is_whole(report):
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
    about.pop('bilinear', None)                         # the net has them as fixed numbers
    if about.get('source') == 'tinyfcn':
        del about['source']
    if 'build' in about and 'source' in about:          # of others
        _describe_published(file, about)
    return arrays, about


def _read_known(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return read(file)
    except FormatError as error:
        if nearest := describe_unknown(file):
            raise FormatError(f'{error}\nThe nearest nets of tinyfcn:\n{nearest}') from None
        raise


def _describe_published(file: Path, about: dict[str, Any]) -> None:
    """Add what is known of weights of others: their net, if published in such a file, and classes.

    1000 classes of a known classifier are taken for ImageNet's.
    """
    name = published_name(file)
    row = SOURCES[name] if name else None
    if row:
        about['build'] = dict(about['build'], name=row.net)
    n_class = about['build']['n_class']
    is_known = row is not None and row.n_class == n_class and n_class in DATASETS
    if 'classes' not in about and (is_known or n_class == 1000):
        about['classes'] = _as_lists(DATASETS[n_class])


def _as_lists(classes: Any) -> Any:
    """As a file of weights has them."""
    if isinstance(classes, dict):
        return {output: [*names] for output, names in classes.items()}
    return [*classes]


def _no_net(file: Path, about: dict[str, Any]) -> str:
    """The message for weights that are not those of a whole net."""
    how = 'build the net, then tinyfcn.weights.transplant(net, tinyfcn.weights.read(file)[0])'
    source = about.get('source')
    if source in (None, 'tinyfcn'):
        return f'{file} has weights, but does not say of which net: {how}'
    return (f'{file} has weights of {printable(source)}, but not all of a net. A training can '
            f'begin with them (`tinyfcn train RECIPE --weights FILE`); in Python, {how}')


def _is_whole(report: Report) -> bool:
    """Whether a file has all that the net needs, and nothing that the net has no place for."""
    def all_match(names: list[str], patterns: tuple[str, ...]) -> bool:
        return all(any(fnmatchcase(name, pattern) for pattern in patterns) for name in names)

    return all_match(report.missing, AUX_OURS) and all_match(report.unused, AUX_THEIRS)


def _check_classes(net: Net, classes: object) -> None:
    """The names of classes by output must be as many as the scores of each output."""
    counts = {output: net[output].channels for output in net.outputs(train=False)}
    if isinstance(classes, dict) and {name: len(x) for name, x in classes.items()} != counts:
        raise ValueError(f'it names the classes of {[*classes]}, and the outputs of its net have '
                         f'the classes {counts}; tinyfcn did not write it')
