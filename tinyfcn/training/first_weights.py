"""The net of a recipe, with random weights or with weights from files."""
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .. import weights
from ..data.channels import RGB, Channels
from ..data.dataset import Dataset
from ..data.labels import by_output
from ..files import printable
from ..models import NETS, build
from ..net import Net
from ..weights.first_layer import describe_adaptation
from .channels import describe_channels, preprocess_for
from .recipes import Recipe

# data sets whose first three channels are not colours, and have neither RGB nor BGR order
NO_COLOURS = 'nyud_hha',
MAX_ADAM_LR = 1e-4              # for weights that are trained already
# {classifier: the FCN that starts from its weights}, if that is not called fcn_ and its name
FCN_ON = dict(vgg16='fcn8s_at_once', squeezenet='fcn_squeezenet_16s')
Classes: TypeAlias = 'tuple[str, ...] | dict[str, tuple[str, ...]]'


def build_net(recipe: Recipe, dataset: 'Dataset | Classes', seed: int = 0,
              files: Mapping[str, str | Path] | None = None,
              log: Callable[[str], object] | None = None, keep_preprocess: bool = False) -> Net:
    """The net of a recipe, with its initial weights.

    dataset: whose classes and channels the net has; or only the classes, if the channels are red,
    green and blue of 8 bits
    files: {'': file} of weights whose names are those of the net's boxes, or the name of pretrained
    weights. For a net with several branches, {suffix: file}: with {'color': file} the weights of
    conv1_1 go to conv1_1color.
    log, keep_preprocess: see `resolve_preprocess`

    >>> recipe = Recipe(net='tiny_8s', lr=.1, steps=10, net_kwargs=dict(width=1/8))
    >>> build_net(recipe, ('sky', 'tree'))
    <Net of 36 boxes, 4,256 parameters>
    """
    if recipe.net is None:
        raise ValueError('net is None; the recipe needs the name of a net, such as fcn8s')
    classes = dataset.classes if isinstance(dataset, Dataset) else dataset
    class_names, *_ = by_output(classes).values()       # of the first output
    channels = dataset.channels if isinstance(dataset, Dataset) else RGB
    kwargs = dict(recipe.net_kwargs)
    if channels != RGB:
        kwargs.setdefault('channels', len(channels.names))
    try:
        net = build(recipe.net, len(class_names), seed=seed, **kwargs)
    except TypeError as error:                          # an argument that the net does not have
        raise ValueError(f'net_kwargs is {recipe.net_kwargs}, which {recipe.net} does not take: '
                         f'{error}') from None
    preprocess = recipe.preprocess
    for suffix, file in (files or {}).items():
        arrays, about = weights.read(file)
        _require_channels(file, about, channels)
        renamed = {}
        for name, array in arrays.items():
            box, _, weight = name.rpartition('.')
            renamed[f'{box}{suffix}.{weight}'] = array
        try:
            report = weights.transplant(net, renamed, has_colours=channels.has_colours)
        except ValueError as error:
            raise ValueError(f'{_describe_misfit(file, about, recipe)}: {error}') from None
        _log_adaptation(report, net, channels, log)
        _log_class_order(file, about, class_names, log)
        if 'channels' in about:                         # the same as those of the data set
            net.about['channels'] = about['channels']
            preprocess = about['preprocess']
            continue
        is_branch = bool(suffix) or recipe.train is not None and recipe.train[0] in NO_COLOURS
        preprocess = resolve_preprocess(preprocess, about.get('preprocess'), file, is_branch, log,
                                        keep_preprocess)
    if isinstance(dataset, Dataset) and channels != RGB:
        if not keep_preprocess:
            preprocess = _preprocess_of_channels(net, dataset, preprocess, log)
        net.about['channels'] = channels.to_about()
    net.about.update(classes=classes, preprocess=preprocess)
    return net


def _preprocess_of_channels(net: Net, dataset: Dataset, of_photos: dict[str, Any] | None,
                            log: Callable[[str], object] | None) -> dict[str, Any] | None:
    """See `preprocess_for`; what is done to the images is logged."""
    preprocess = preprocess_for(net, dataset, of_photos)
    if log and preprocess and preprocess != of_photos:
        log(describe_channels(dataset.channels, preprocess))
    return preprocess


def _require_channels(file: str | Path, about: Mapping[str, Any], channels: Channels) -> None:
    """Raise for weights that were trained on other channels, unless these are those of photos."""
    if 'channels' in about and about['channels'] != channels.to_about():
        raise ValueError(f'{printable(file)} was trained on images of '
                         f'{Channels.from_about(about["channels"])}, and these have {channels}: '
                         f'start from weights for the same channels, or from those for photos')


def _log_adaptation(report: weights.Report, net: Net, channels: Channels,
                    log: Callable[[str], object] | None) -> None:
    """Say what was done to the weights of the first layer."""
    for name in report.reshaped:
        before, after = report.shapes[name]
        if log and before and after and len(before) == len(after) == 4:
            log(describe_adaptation(name.removesuffix('.w'), after[1], channels.has_colours))


def _log_class_order(file: str | Path, about: Mapping[str, Any], names: Sequence[str],
                     log: Callable[[str], object] | None) -> None:
    """Say if a class has another number in the file, whose scores then begin as another's."""
    before, *_ = by_output(about.get('classes') or ()).values()
    if not log or len(before) != len(names):
        return
    moved = [name for i, name in enumerate(names) if name in before and before[i] != name]
    if moved:
        old = before[names.index(moved[0])]
        log(f'{printable(file)} has the classes in another order, {printable(", ".join(before))}: '
            f'the scores of {printable(repr(moved[0]))} start as those of {printable(repr(old))} '
            f'and have to be learned again; a classes.txt in the order of the weights avoids it')


def _describe_misfit(file: str | Path, about: Mapping[str, Any], recipe: Recipe) -> str:
    """The message for weights of another net than that of the recipe, with a net that they fit."""
    of_net = about.get('build', {}).get('name')
    if of_net in (None, recipe.net):
        return printable(file)
    text = f'{printable(file)} has the weights of {of_net}, which do not fit into {recipe.net}'
    # the steps of Adam with the lr of a new net would undo what weights have been trained to
    lr = f' lr={MAX_ADAM_LR}' if recipe.optimizer == 'adam' and recipe.lr > MAX_ADAM_LR else ''
    for net in FCN_ON.get(of_net, f'fcn_{of_net}'), of_net:
        if net in NETS and net != recipe.net:
            return f'{text}; `--set net={net}{lr}` trains a net that they fit into'
    return text


def resolve_preprocess(known: dict[str, Any] | None, of_file: dict[str, Any] | None,
                       file: str | Path, is_branch: bool = False,
                       log: Callable[[str], object] | None = None,
                       keep: bool = False) -> dict[str, Any] | None:
    """Choose between the preprocess of the recipe and that of a file of weights.

    Weights for BGR images give bad scores for RGB images, and no error: so the weights decide. If
    order and scale agree, the result is `known`, as the means of the recipe are those of its paper;
    if they differ, it is that of the file, which is logged.
    known: from the recipe, or from the file of another branch
    is_branch: the file is for channels other than colours. They have no order that could be
    reversed, and only their scale must agree
    keep: the user asked for `known`; a file that differs raises
    """
    if not known or not of_file:
        return known or of_file
    differing = [key for key in preprocess_differences(known, of_file)
                 if not (is_branch and key == 'order')]
    if not differing:
        return known
    key = differing[0]
    if keep or is_branch or len(known['mean']) != len(of_file['mean']):
        remedy = 'leave out preprocess, and that of the weights is taken' if keep else \
            'choose other weights'
        raise ValueError(f'{printable(file)} was trained on images of {key} {of_file[key]!r}, and '
                         f'the recipe preprocesses them with {known[key]!r}: {remedy}')
    if log:
        log(f'images are prepared as {printable(file)} needs it, {describe(of_file)}, and not as '
            f'in the recipe, {describe(known)}')
    return of_file


def preprocess_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The keys in which two preprocesses differ so that weights for one do not fit the other.

    >>> preprocess_differences(dict(order='RGB', scale=1), dict(order='BGR', scale=1.))
    ['order']
    """
    return [key for key in ('order', 'scale') if a[key] != b[key]]


def describe(preprocess: Mapping[str, Any]) -> str:
    """A preprocess as text.

    >>> describe(dict(order='BGR', scale=1, mean=(104, 117, 123)))
    'BGR × 1 − (104, 117, 123)'
    """
    mean = ', '.join(f'{value:.6g}' for value in preprocess['mean'])
    return f'{preprocess["order"]} × {preprocess["scale"]:.3g} − ({mean})'
