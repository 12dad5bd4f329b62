"""What a net says of pictures of any size, and how good that is."""
from math import ceil

import numpy as np

from ..data.labels import by_output
from ..data.transforms import prepare
from ..metrics import confusion, scores as scored
from ..net.summary import peak
from ..runtime.backend import array_module, to_numpy
from ..runtime.distributed import world
from ..runtime.machine import free_memory
from .crf import mean_field
from .multiscale import margin_of, mirror_pad, preprocess_of, probabilities, scores


def predict(net, image, free=None, crf=None, **seen):
    """The class of every pixel: argmax over the scores.   (H, W, 3) uint8 RGB -> (H, W) uint8

    A net with several outputs gives a dict. `seen`: the scales=, mirrored=, window= of `views`;
    crf, a row of crf.SETTINGS, sharpens what they say. An image that would need more memory than
    is `free` (bytes; default: what the machine has) is predicted in tiles, which changes nothing
    but the time: each is seen with as much around it as a score sees.
    """
    if seen or crf:
        prob = probabilities(net, image, **seen)
        return unwrap_single({head: (mean_field(p, image[..., :3], crf) if crf else p).argmax(0)
                     .astype('uint8') for head, p in prob.items()})
    x = net.bring(prepare(image, preprocess_of(net), net.dtype))
    free = .8 * free_memory(x) if free is None else free
    if peak(net, mirror_pad(net, x).shape[2:]) <= free:
        return unwrap_single(argmax_labels(scores(net, x)))
    return unwrap_single(tiled(net, x, largest_tile(net, free)))


def argmax_labels(score):
    """The best class of every pixel of one picture.   (1, C, H, W), or a dict -> {head: (H, W)}"""
    return {head: to_numpy(own[0].argmax(0).astype('uint8'))
            for head, own in by_output(score).items()}


def unwrap_single(outputs):
    """The inverse of by_output: what belongs to the only output is given as it is."""
    return outputs.get('score', outputs)


def tiled(net, x, core):
    """Predict x (1, C, H, W) core×core pixels at a time, each with what its scores see around it.

    Tiles begin at multiples of the coarsest stride, so that every pool falls as in the whole.
    """
    margin, (h, w), whole, xp = tile_margin(net), x.shape[2:], {}, array_module(x)
    for top in range(0, h, core):
        for left in range(0, w, core):
            y, x0 = max(0, top - margin), max(0, left - margin)
            seen = x[:, :, y:top + core + margin, x0:left + core + margin]
            for head, pred in argmax_labels(net.forward(xp.ascontiguousarray(seen))).items():
                part = pred[top - y:, left - x0:][:core, :core]
                whole.setdefault(head, np.empty((h, w), 'uint8'))[
                    top:top + core, left:left + core] = part
    return whole


def largest_tile(net, free):
    """How wide a tile's core may be, as a multiple of the coarsest stride."""
    core = max_stride(net)
    if (least := peak(net, [2 * tile_margin(net) + core] * 2)) > free:
        raise ValueError(f'even a tile of this net takes {least / 1e6:,.0f} MB of memory, and '
                         f'{free / 1e6:,.0f} MB are free')
    while peak(net, [2 * tile_margin(net) + 2 * core] * 2) <= free:
        core *= 2
    return core


def max_stride(net):
    """The largest stride of any box: where tiles may begin."""
    places = [box.alignment for box in net.route(train=False)]
    if not all(places) or any(margin_of(net[head].alignment) for head in net.outputs(train=False)):
        reason = next((place for place in places if not place), 'its scores begin inside of it')
        raise ValueError(f'this image needs tiles, and of this net none is as the whole: {reason}')
    return max(ceil(max(place.scale)) for place in places)


def tile_margin(net):
    """How far a score sees, in whole strides."""
    field = max(max(net[name].alignment.field) for name in net.outputs(train=False))
    return ceil(field / 2 / max_stride(net)) * max_stride(net)


def predict_all(net, pictures, **how):
    """One picture after another, predicted as `how` says -> name, image, label, pred.

    Of several ranks each takes its share.
    """
    for i in range(len(pictures))[world().mine]:
        image, label = pictures[i]
        yield pictures.names[i], image, label, predict(net, image, **how)


def add_confusion(hists, pictures, label, pred):
    """One more picture's confusion, added to {head: (C, C)} in place."""
    for head, classes in by_output(pictures.classes).items():
        hist = confusion(by_output(label)[head], by_output(pred)[head], len(classes))
        hists[head] = hists.get(head, 0) + hist


def total_confusion(hists, pictures):
    """What all ranks have counted together: {head: (C, C)}, for every head of the pictures."""
    total = world().adding()
    for head, classes in by_output(pictures.classes).items():
        total.add(head, hists.get(head, np.zeros([len(classes)] * 2, 'int64')))
    return total.done()


def evaluate(net, pictures, **how):
    """The four metrics and every class' IU over all pictures; by head, where there are several."""
    hists = {}
    for _, _, label, pred in predict_all(net, pictures, **how):
        add_confusion(hists, pictures, label, pred)
    totals = total_confusion(hists, pictures)
    return unwrap_single({head: scored(hist) for head, hist in totals.items()})
