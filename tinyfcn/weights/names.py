"""Layer names of other programs become '<box>.w' and '<box>.b', by the layouts of layouts.py."""
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import FormatError
from .about import is_build
from .arrays import Arrays
from .bilinear import without_bilinear
from .first_filter import check_first_layer
from .layouts import (
    FCN,
    FCN_MEANS,
    FCN_TORCH,
    FILE_PREPROCESS,
    LAYOUTS,
    SHORTER_SIDES,
    Layout,
    Preprocess,
    bgr,
)

MAX_PREFIXES = 8                # of one name
PREFIXES = '_orig_mod.', 'module.', 'model.', 'net.', 'network.', 'timm_model.', 'backbone.'
BACKBONE_LAYER = re.compile(r'(conv\d|features\.|fire\d|inception|block\d|layer\d)')
# the names of a stem module, and torchvision's for its layers
ALIASES = {'stem.0.': 'conv1.', 'stem.1.': 'bn1.'}
MIN_SIMILARITY = .25            # the share of its layers from which a source is called near
MAX_WIDTH = 4                   # of a net that a file of another program may ask for
# the FCNs of 2015 call their last layer upsample, or upsample_new, whatever its stride
LAST_UPSAMPLING = dict(fcn32s='upscore', fcn16s='upscore16', fcn8s='upscore8')
AT_ONCE = ('fcn8s_at_once has weights of the same names; if these are for it, rename the file to '
           'fcn8s-atonce….pth')


def to_our_names(arrays: Arrays, file_name: str = '',
                 about: Mapping[str, Any] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """{name in the file: array} -> {'<box>.w': array, …}, dict(source=…, preprocess=…)

    A layer that is not in the layout's table, such as a score layer, keeps its name.
    about['build']: the arguments of tinyfcn.build for the net that the weights fill as a whole,
    if there is one. about['bilinear']: {layer: ksize} of upsampling layers with fixed bilinear
    weights, which are left out. about['shorter_side']: in pixels, of the images that it was trained
    on, if these were resized. about['remark']: a doubt that the user should know of.
    file_name, without its suffix, and `arch` in the `about` of the file distinguish nets whose
    weights have the same names.
    """
    format_, arch = ((about or {}).get(key, '') for key in ('format', 'arch'))
    arrays = with_aliases(without_prefixes(arrays))
    layout = _layout_of(arrays)
    renamed = _renamed(arrays, layout)
    renamed, bilinear = without_bilinear(renamed)

    source, preprocess = check_first_layer(layout, renamed, _preprocess(layout, renamed), format_)
    if layout is FCN and file_name in FILE_PREPROCESS:
        preprocess = FILE_PREPROCESS[file_name]
    found: dict[str, Any] = dict(source=source, preprocess=preprocess)
    if bilinear:
        found['bilinear'] = bilinear
    boxes = {name.rpartition('.')[0] for name in (*arrays, *renamed)}
    hint = re.sub('[-_]', '', f'{file_name} {arch}'.lower())
    if build := _build(layout, renamed, boxes, hint):
        found['build'] = build
        if build['name'] in SHORTER_SIDES:
            found['shorter_side'] = SHORTER_SIDES[build['name']]
        last = LAST_UPSAMPLING.get(build['name'], '')
        renamed = {re.sub('^upsample(_new)?(?=[.])', last, name) if last else name: array
                   for name, array in renamed.items()}
        if layout is FCN_TORCH and build['name'] == 'fcn8s' and 'fcn8s' not in hint:
            found['remark'] = AT_ONCE
    return renamed, found


def _renamed(arrays: Arrays, layout: Layout) -> Arrays:
    boxes = layout.required | layout.optional
    channels = next((array.size for name, array in arrays.items()
                     if _box_and_suffix(name, layout) == ('conv5_3', '.b')), 0)
    renamed = {}
    for name, array in arrays.items():
        layer, suffix = _split_name(name, layout)
        our_suffix = layout.suffixes.get(suffix)
        if our_suffix == '' or name in layout.constants or is_counter(array):
            continue
        box = boxes.get(layer, layer)
        if our_suffix == '.w':
            array = np.ascontiguousarray(layout.convert(box, array, channels))
        renamed[name if our_suffix is None else f'{box}{our_suffix}'] = array
    return renamed


def is_counter(array: NDArray[Any]) -> bool:
    """Whether an array only counts updates, as n_averaged of PyTorch's AveragedModel does."""
    return array.ndim == 0 and array.dtype.kind in 'iu'


def _preprocess(layout: Layout, arrays: Arrays) -> Preprocess | None:
    """That of the layout; the mean of the authors' FCNs depends on the data set."""
    if layout not in (FCN, FCN_TORCH) or 'score_fr.w' not in arrays:
        return layout.preprocess
    mean = FCN_MEANS.get(len(arrays['score_fr.w']))
    return bgr(*mean) if mean else None


def _build(layout: Layout, arrays: Arrays, boxes: set[str], hint: str) -> dict[str, Any] | None:
    """The arguments of `build` for the net that has these weights; None if `build` has none."""
    first = arrays.get(f'{next(iter(layout.required.values()))}.w')
    known = next((known for known in layout.nets if boxes >= {known.score, *known.boxes}), None)
    if known is None or first is None or first.ndim != 4:
        return None
    score = arrays.get(f'{known.score}.w')
    width = len(first) / layout.depth
    channels = known.channels or first.shape[1]
    if score is None or score.ndim == 0 or not 0 < width <= MAX_WIDTH:
        return None
    name = known.net
    if name == 'fcn8s' and 'atonce' in hint:
        name = 'fcn8s_at_once'
    build = dict(name=name, n_class=len(score), channels=channels, width=width)
    if any(key.startswith('up') for key in arrays):
        build['up'] = 'learned'
    return build if is_build(build) else None


def without_prefixes(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Remove the prefixes that torch.compile, DataParallel and classes around a net add to names.

    A prefix is removed if most names have it: a backbone may have a head beside it.

    >>> [*without_prefixes({'module.backbone.conv1.weight': ..., 'module.classifier.bias': ...,
    ...                     'module.backbone.bn1.bias': ...})]
    ['conv1.weight', 'classifier.bias', 'bn1.bias']
    """
    stripped = dict(arrays)
    for _ in range(MAX_PREFIXES):
        for prefix in PREFIXES:
            count = sum(name.startswith(prefix) for name in stripped)
            if count <= len(stripped) / 2:
                continue
            shorter = {name.removeprefix(prefix): array for name, array in stripped.items()}
            if len(shorter) == len(stripped):           # else two names would become one
                stripped = shorter
                break
        else:
            break
    return stripped


def with_aliases(arrays: Arrays) -> Arrays:
    """Give the layers of a stem module the names that torchvision has for them.

    >>> [*with_aliases({'stem.0.weight': ..., 'layer1.0.bn1.bias': ...})]
    ['conv1.weight', 'layer1.0.bn1.bias']
    """
    if any(name.startswith(tuple(ALIASES.values())) for name in arrays):
        return arrays
    return {next((ours + name.removeprefix(alias) for alias, ours in ALIASES.items()
                  if name.startswith(alias)), name): array for name, array in arrays.items()}


def _box_and_suffix(name: str, layout: Layout) -> tuple[str, str | None]:
    layer, suffix = _split_name(name, layout)
    return layout.required.get(layer, layer), layout.suffixes.get(suffix)


def is_known(arrays: Arrays) -> bool:
    """Whether a file with arrays of these names is of a known layout."""
    try:
        _layout_of(with_aliases(without_prefixes(arrays)))
    except FormatError:
        return False
    return True


def _layout_of(arrays: Arrays) -> Layout:
    for layout in LAYOUTS:
        layers = _layers(arrays, layout)
        if layout.required.keys() <= layers and not _unexpected_layers(layers, layout) \
                and layout.fits(arrays):
            return layout
    raise FormatError(_unknown_source(arrays))


def _split_name(name: str, layout: Layout) -> tuple[str, str]:
    """'features.0.weight' -> 'features.0', '.weight'; '' for a suffix that is not the layout's"""
    for suffix in layout.suffixes:
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix
    return name, ''


def _layers(arrays: Iterable[str], layout: Layout) -> set[str]:
    split = (_split_name(name, layout) for name in arrays)
    return {layer for layer, suffix in split if suffix}


def _unexpected_layers(layers: set[str], layout: Layout) -> list[str]:
    """Layers of another backbone: VGG-19 has all layers of VGG-16, and more."""
    others = layers - layout.required.keys() - layout.optional.keys()
    return sorted(layer for layer in others if BACKBONE_LAYER.match(layer))


def _unknown_source(arrays: Arrays) -> str:
    """The message: the names in the file, and how the most similar source differs."""
    def similarity(layout: Layout) -> float:
        shared = layout.required.keys() & _layers(arrays, layout)
        return len(shared) / len(layout.required)

    nearest = max(LAYOUTS, key=similarity)
    layers = _layers(arrays, nearest)
    missing = sorted(nearest.required.keys() - layers)
    unexpected = _unexpected_layers(layers, nearest)
    differences = []
    if missing:
        differences.append(f'would have {", ".join(missing[:4])}')
    if unexpected:
        differences.append(f'would not have {", ".join(unexpected[:4])}')

    found = ', '.join([*(f'{name} {arrays[name].shape}' for name in [*arrays][:6]), '…'])
    if similarity(nearest) >= MIN_SIMILARITY:
        hint = f'The nearest, {nearest.name}, {" and ".join(differences)}'
    else:
        hint = f'Known: {"; ".join(layout.name for layout in LAYOUTS)}'
    return (f'its {len(arrays)} arrays are of no known source: {found}. {hint}. `read_raw` in '
            f'tinyfcn.weights reads them under their own names')
