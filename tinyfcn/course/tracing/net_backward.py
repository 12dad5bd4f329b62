"""The backward pass of a net in pictures: where a value is read twice, its gradients add."""
import numpy as np

from ...viz.data_uri import image_uri
from ..player import Player

GREYS = 16                  # of a picture, to keep it small
WIDTH = 150                 # of a picture on the page


def walk_back(net, x, rows, **dvalues):
    """The gradients of these boxes, in the order in which the backward pass computes them.

    x (1, C, H, W), prepared as for net.forward; rows of names, in which the boxes are drawn, None
    where there is none; dvalues: the gradients of the outputs, as for net.backward
    -> Player; a picture is Σ |gradient| over the channels, white where it is largest
    """
    places = {name: (i, j) for i, row in enumerate(rows) for j, name in enumerate(row) if name}
    for name in {*places} - {'data'}:
        net[name]                                       # an unknown name is refused here
    for _ in net.walk(x):
        pass
    steps = _add_gradients(net, places, dvalues)
    images = []
    frames = []
    shown = {}
    links = []
    for name, gradient, caption, new_links in steps:
        shown = {**shown, name: len(images)}
        images.append(image_uri(_as_picture(gradient)))
        links += [link for link in new_links if link not in links]
        frames.append(dict(caption=caption, show=shown, links=new_links))
    panels = [dict(name=name, title=name, width=WIDTH, row=i, column=j)
              for name, (i, j) in places.items() if name in shown]
    return Player(dict(kind='images', title='The backward pass: where a value is read twice, '
                       'its gradients add', images=images, panels=panels, links=links,
                       frames=frames))


def _add_gradients(net, places, dvalues):
    """Each time that the gradient of a place changes: (name, gradient, caption, links to it)."""
    totals = {}
    sources = {}            # of each value the places that its gradient comes from
    for name, dvalue in dvalues.items():
        totals[name] = dvalue
        sources[name] = [name] if name in places else []
        if name in places:
            yield name, dvalue, f'the gradient of {name} is given: it is that of the loss', []
    for box, dreads in net.walk_back(**dvalues):
        found = [box.name] if box.name in places else sources.get(box.name, [])
        for name, dread in zip(box.inputs, dreads):
            if dread is None:
                continue
            is_second = name in totals
            totals[name] = totals[name] + dread if is_second else dread
            sources[name] = [*sources.get(name, []), *found]
            if name not in places:
                continue
            caption = (f'{name} was read by {box.name}, too: this gradient is added'
                       if is_second else f'the gradient of {name}, by the backward of {box.name}')
            yield name, totals[name], caption, [[source, name] for source in found]


def _as_picture(gradient):
    """Σ |gradient| over the channels of (1, C, H, W), in some greys.   -> (H, W, 3) uint8"""
    size = abs(gradient[0]).sum(0)
    grey = (size / max(float(size.max()), 1e-30) * (GREYS - 1)).round() / (GREYS - 1)
    return np.repeat((255 * grey).astype('uint8')[..., None], 3, 2)
