"""The names and shapes that PyTorch gives to the weights of a net."""
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.backend import to_numpy
from ..arrays import Arrays
from ..layouts import LAYOUTS, RGB_NORMALISED, TORCH_SUFFIXES, Layout
from .protocols import Net

SUFFIXES = {ours: theirs for theirs, ours in TORCH_SUFFIXES.items() if ours}
LINEAR = 'fc', 'fc6', 'fc7', 'fc8'      # convolutions here, linear layers in torchvision
HEADS = 'classifier', 'aux_classifier'  # of a segmentation net; all else is its backbone


def torchvision_layout(net: Net) -> Layout | None:
    """How torchvision names the layers of this net; None if it does not have the net."""
    return _layout_of(net.about.get('build', {}).get('name'))


def _layout_of(name: str | None) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.name.endswith(' of torchvision')
                 and any(known.net == name for known in layout.nets)), None)


def is_prepared_as_in_torchvision(preprocess: Mapping[str, Any]) -> bool:
    """Whether images for the net are those that torchvision's own weights expect."""
    return preprocess['order'] == RGB_NORMALISED['order'] and all(
        np.allclose(preprocess[key], RGB_NORMALISED[key]) for key in ('scale', 'mean', 'std'))


def state_dict(net: Net) -> Arrays:
    """{'conv1_1.weight': array, …}; under torchvision's names if it has the net."""
    layout = torchvision_layout(net)
    layers = layer_names(layout) if layout else {}
    found = {}
    for name, array in {**net.params, **net.state}.items():
        box, _, short_name = name.rpartition('.')
        if layout and box in LINEAR and short_name == 'w':
            array = array.reshape(len(array), -1)       # (out, C, k, k) -> (out, C·k·k)
        found[layers.get(box, box) + SUFFIXES[f'.{short_name}']] = to_numpy(array)
    return found


def from_state_dict(arrays: Arrays, name: str) -> Arrays:
    """The inverse of `state_dict`: {'conv1_1.w': array, …}.   name: of the net, in `build`"""
    layout = _layout_of(name)
    boxes = {layer: box for box, layer in layer_names(layout).items()} if layout else {}
    found = {}
    for theirs, array in arrays.items():
        layer, dot, word = theirs.rpartition('.')
        suffix = dot + word
        found[boxes.get(layer, layer) + TORCH_SUFFIXES.get(suffix, suffix)] = array
    return found


def layer_names(layout: Layout) -> dict[str, str]:
    """{box: the name of its layer in torchvision}"""
    layers = {box: layer for layer, box in (layout.required | layout.optional).items()}
    in_head = {box: layer.split('.')[0] in HEADS for box, layer in layers.items()}
    if not any(in_head[box] for box in layout.required.values()):
        return layers                                   # a classifier, all of it one module
    return {box: layer if in_head[box] else f'backbone.{layer}' for box, layer in layers.items()}
