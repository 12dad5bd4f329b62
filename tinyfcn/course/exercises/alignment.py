"""L09: where a unit sits over the image, and how far two grids lie apart."""
from types import SimpleNamespace

from ...net.alignment import Alignment, offset_between
from .exercise import Exercise


def through(layers):
    """field, stride, shift of the library's own Place."""
    place = Alignment()
    for ksize, stride, pad in layers:
        place = place.window(ksize, stride, pad)
    return int(place.field[0]), int(place.scale[0]), float(place.shift[0])


def walk(field, stride, shift):
    """Three rules: what each of the numbers becomes, of (field, stride, shift, k, s, p)."""
    def slip(layers):
        now = 1, 1, 0
        for layer in layers:
            now = tuple(rule(*now, *layer) for rule in (field, stride, shift))
        return now
    return slip


def fields(f, t, b, k, s, p):
    return f + (k - 1) * t


def strides(f, t, b, k, s, p):
    return t * s


def shifts(f, t, b, k, s, p):
    return b + ((k - 1) / 2 - p) * t


VGG = [layer for convs in (2, 2, 3, 3, 3) for layer in [*[(3, 1, 1)] * convs, (2, 2, 0)]]
PADDED = [(3, 1, 100), *VGG[1:]]

PLACE = Exercise('layers', 'field stride shift', [
    ([(3, 1, 0)],),
    ([(3, 1, 1), (2, 2, 0)],),
    ([(2, 2, 0), (3, 1, 0)],),
    ([(7, 2, 3), (3, 2, 1), (5, 1, 0)],),
    (PADDED[:10],),
    ([*PADDED, (7, 1, 0), (1, 1, 0)],),
], through, {
    'The shift knows nothing of the padding: it grows by ((k − 1) / 2 − pad) · stride.':
        walk(fields, strides, lambda f, t, b, k, s, p: b + (k - 1) / 2 * t),
    'The shift is counted in units of the layer: one of its pixels is `stride` pixels of the '
    'image, so multiply by the stride so far.':
        walk(fields, strides, lambda f, t, b, k, s, p: b + (k - 1) / 2 - p),
    'The shift moves the wrong way: a window without padding has its centre further down and '
    'right, padding moves it back.':
        walk(fields, strides, lambda f, t, b, k, s, p: b + (p - (k - 1) / 2) * t),
    'The centre of k pixels is (k − 1) / 2 after the first, not k / 2.':
        walk(fields, strides, lambda f, t, b, k, s, p: b + (k / 2 - p) * t),
    'The centre of k pixels may lie between two of them: (k − 1) / 2, not (k − 1) // 2.':
        walk(fields, strides, lambda f, t, b, k, s, p: b + ((k - 1) // 2 - p) * t),
    'Strides multiply: the stride is that of all layers so far, not of the last one.':
        walk(lambda f, t, b, k, s, p: f + (k - 1) * t, lambda f, t, b, k, s, p: s, shifts),
    'Strides multiply, they do not add: 2 after 2 is 4, and after that 8.':
        walk(fields, lambda f, t, b, k, s, p: t + s - 1, shifts),
    'The field grows by k − 1 pixels of the layer before, and each of them is `stride` pixels of '
    'the image: (k − 1) · stride.':
        walk(lambda f, t, b, k, s, p: f + k - 1, strides, shifts),
    'The field grows by k − 1: the first of k pixels was seen already.':
        walk(lambda f, t, b, k, s, p: f + k * t, strides, shifts),
    'The stride of a layer counts for the layers after it: renew field and shift first, then the '
    'stride.':
        walk(lambda f, t, b, k, s, p: f + (k - 1) * t * s, strides,
             lambda f, t, b, k, s, p: b + ((k - 1) / 2 - p) * t * s),
})


def apart(fine, coarse):
    boxes = [SimpleNamespace(alignment=Alignment([stride] * 2, [shift] * 2, [field] * 2))
             for field, stride, shift in (fine, coarse)]
    return offset_between(*boxes)[0]


def slip(rule):
    """rule(fields, stride, shifts), of the fine grid and the coarse one."""
    return lambda fine, coarse: rule((fine[0], coarse[0]), fine[1], (fine[2], coarse[2]))


CROP = Exercise('fine coarse', 'offset', [
    ((3, 1, -2.), (5, 1, 0.)),
    ((4, 2, -3.5), (8, 2, 2.5)),
    ((467, 1, -19.), (1, 1, 0.)),                       # FCN-32s: upscore, and the image: 19
    ((100, 16, -91.5), (436, 16, -11.5)),               # 16s: score_pool4, upscore2: 5
    ((44, 8, -95.5), (468, 8, -23.5)),                  # 8s: score_pool3, upscore_pool4: 9
], apart, {
    'The sign is turned: unit `offset` of the fine grid lies where unit 0 of the coarse one does.':
        slip(lambda fields, stride, shifts: (shifts[0] - shifts[1]) / stride),
    'This is in pixels of the image: a unit of the grid is `stride` of them, so divide.':
        slip(lambda fields, stride, shifts: shifts[1] - shifts[0]),
    'The shifts are multiplied by the stride: an offset in units is a difference in pixels '
    'divided by it.': slip(lambda fields, stride, shifts: (shifts[1] - shifts[0]) * stride),
    'Half the difference of the fields forgets the padding: what counts is where the units sit, '
    'the shifts.':
        slip(lambda fields, stride, shifts: (fields[1] - fields[0]) / 2 / stride),
    'Only the shift of the fine grid is used: that of the coarse one need not be 0.':
        slip(lambda fields, stride, shifts: -shifts[0] / stride),
})

EXERCISES = dict(place=PLACE, crop=CROP)
