"""The page of an explainer: its scripts, its nets and a picture in one file."""
from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..course.player.page import make_blank_page
from ..files import printable
from ..files.overwrite import MARK
from ..net import Net
from ..prediction.multiscale import get_preprocess
from ..viz import class_colours, layout
from ..viz.data_uri import image_uri
from .describe import describe_net, pack_weights

HERE = Path(__file__).parent
# each after those that it imports
ENGINE = ('tensor', 'matmul', 'convolution', 'pooling', 'pointwise', 'shape', 'interpolation',
          'norm', 'ops', 'loss', 'net')
WORKER = (*ENGINE, 'half', 'images', 'parts', 'reach', 'terms', 'excerpt', 'worker')
CALCULATOR = 'dom', 'crops', 'fraction', 'layers', 'calculator'
PAGE = ('dom', 'client', 'map', 'picture', 'pixel', 'player', 'crops', 'box', 'back', 'page')
IMPORT = re.compile(r'^import\b.*?\bfrom .*?$\n', re.M | re.S)
EXPORT = re.compile(r'^export (?:function\*?|const) (\w+)', re.M)
# nothing is loaded from outside; the worker is made of text in the page
POLICY = ("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline' blob:; worker-src blob:")
TEMPLATE = '''<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{mark}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<main></main>
{worker}<script type="application/json" id="data">
{data}
</script>
<script type="module">
{page}
</script>
</body>
</html>
'''


class Part(NamedTuple):
    """A net of a page."""

    title: str
    net: Net


def make_page(parts: Sequence[Part], image: NDArray[np.uint8], title: str,
              questions: Sequence[str] = ()) -> str:
    """A page with these nets, which all know the same classes, for the same kind of pictures.

    image: (H, W, 3), which is shown first; questions: for the reader, above everything
    """
    first = parts[0].net
    classes = _classes(first)
    for part in parts:
        if _classes(part.net) != classes:
            raise ValueError(f'{part.title} knows other classes than {parts[0].title}')
    colours = class_colours(classes, first.about.get('colours'))
    data = dict(
        title=printable(title), questions=list(questions),
        classes=[printable(name) for name in classes],
        colours=[[int(value) for value in colour] for colour in colours[:len(classes)]],
        image=image_uri(image), size=list(image.shape[:2]), player=make_blank_page(),
        nets=[dict(title=part.title, map=describe_map(part.net), description=describe_net(part.net),
                   preprocess=_preprocess(part.net), weights=pack_weights(part.net))
              for part in parts])
    worker = f'<script type="text/plain" id="worker">\n{join_modules(WORKER)}\n</script>\n'
    return _fill(title, data, PAGE, worker)


def make_calculator(presets: Mapping[str, Net], title: str) -> str:
    """A page that computes sizes, alignments and crops of layers that the reader types.

    presets: nets whose lines can be chosen, by name
    """
    lines = {name: '\n'.join(box.line for box in net.route(train=False))
             for name, net in presets.items()}
    return _fill(title, dict(title=title, presets=lines), CALCULATOR)


def _fill(title: str, data: dict[str, Any], modules: Sequence[str], worker: str = '') -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':')).replace('<', '\\u003c')
    return TEMPLATE.format(mark=MARK, policy=POLICY, title=escape(printable(title)),
                           style=(HERE / 'explain.css').read_text('utf-8'), worker=worker,
                           data=text, page=join_modules(modules))


def _classes(net: Net) -> list[str]:
    if len(outputs := net.outputs(train=False)) != 1:
        raise ValueError(f'a net of several outputs, {", ".join(outputs)}, is not explained')
    if net.data.channels != 3:
        raise ValueError(f'this net reads images of {net.data.channels} channels; a browser gives '
                         f'three')
    count = net[outputs[0]].channels
    return list(net.about.get('classes') or [f'class {i}' for i in range(count)])


def _preprocess(net: Net) -> Mapping[str, Any]:
    preprocess = get_preprocess(net)
    return dict(order=preprocess['order'], scale=float(preprocess['scale']),
                mean=[float(value) for value in preprocess['mean']],
                std=[float(value) for value in preprocess['std']])


def describe_map(net: Net) -> dict[str, Any]:
    """Where the boxes stand in the figure of the net, as `tinyfcn draw` draws it, and its arrows.

    >>> import tinyfcn
    >>> found = describe_map(tinyfcn.build('tiny_8s', n_class=7))
    >>> found['arrows'][-1]
    ['upscore8', 'score', 'crop 28']
    """
    places, arrows = layout(net)
    return dict(places={name: [round(place.x, 3), place.row, place.width]
                        for name, place in places.items()},
                arrows=[list(arrow) for arrow in arrows])


def join_modules(names: Sequence[str]) -> str:
    """The modules of this folder as one script, each in a scope of its own."""
    return '\n'.join(_module_text(name) for name in names)


def _module_text(name: str) -> str:
    """A module as a constant for each of its exports; its imports are those of modules before."""
    text = IMPORT.sub('', (HERE / f'{name}.mjs').read_text('utf-8'))
    exports = ', '.join(EXPORT.findall(text))
    text = re.sub(r'^export ', '', text, flags=re.M)
    start = f'const {{ {exports} }} = ' if exports else ''
    return f'{start}(() => {{\n{text}return {{ {exports} }}\n}})();'
