"""L10: where a unit sits over the image, and the offset between two grids of units."""
from types import SimpleNamespace

from ...models.fcn import stride8
from ...models.vgg import vgg16_trunk
from ...net import Net
from ...net.alignment import Alignment, offset_between
from .exercise import Exercise


def stack_windows(layers):
    """Receptive field, stride and shift by the library's own Alignment."""
    alignment = Alignment()
    for ksize, stride, pad in layers:
        alignment = alignment.window(ksize, stride, pad)
    return int(alignment.field[0]), int(alignment.scale[0]), float(alignment.shift[0])


def layer_by_layer(field_rule, stride_rule, shift_rule):
    """Stack the layers by three rules, each of them rule(field, stride, shift, k, s, p)."""
    def mistake(layers):
        state = 1, 1, 0
        for layer in layers:
            state = tuple(rule(*state, *layer) for rule in (field_rule, stride_rule, shift_rule))
        return state
    return mistake


def from_the_top(layers):
    return stack_windows(layers[::-1])


def next_field(f, t, b, k, s, p):
    return f + (k - 1) * t


def next_stride(f, t, b, k, s, p):
    return t * s


def next_shift(f, t, b, k, s, p):
    return b + ((k - 1) / 2 - p) * t


VGG = [layer for convs in (2, 2, 3, 3, 3) for layer in [*[(3, 1, 1)] * convs, (2, 2, 0)]]
VGG_PAD_100 = [(3, 1, 100), *VGG[1:]]

ALIGNMENT = Exercise(inputs='layers', outputs='field stride shift', cases=[
    ([(3, 1, 0)],),
    ([(3, 1, 1), (2, 2, 0)],),
    ([(2, 2, 0), (3, 1, 0)],),
    ([(7, 2, 3), (3, 2, 1), (5, 1, 0)],),
    (VGG_PAD_100[:10],),
    ([*VGG_PAD_100, (7, 1, 0), (1, 1, 0)],),
], solution=stack_windows, mistakes={
    'The shift ignores the padding. It grows by ((k − 1) / 2 − pad) · stride.':
        layer_by_layer(next_field, next_stride, lambda f, t, b, k, s, p: b + (k - 1) / 2 * t),
    'The shift is counted in units of the layer. One such unit is `stride` pixels of the image, so '
    'multiply by the stride so far.':
        layer_by_layer(next_field, next_stride, lambda f, t, b, k, s, p: b + (k - 1) / 2 - p),
    'The shift has the wrong sign. Without padding the centre of a window lies further down and '
    'right; padding moves it back.':
        layer_by_layer(next_field, next_stride, lambda f, t, b, k, s, p: b + (p - (k - 1) / 2) * t),
    'The centre of k pixels is (k − 1) / 2 after the first one, not k / 2.':
        layer_by_layer(next_field, next_stride, lambda f, t, b, k, s, p: b + (k / 2 - p) * t),
    'The centre of k pixels may lie between two of them: it is (k − 1) / 2, not (k − 1) // 2.':
        layer_by_layer(next_field, next_stride,
                       lambda f, t, b, k, s, p: b + ((k - 1) // 2 - p) * t),
    'The stride is that of the last layer. Multiply the strides of all layers so far.':
        layer_by_layer(lambda f, t, b, k, s, p: f + (k - 1) * t,
                       lambda f, t, b, k, s, p: s, next_shift),
    'The strides are added. Multiply them: 2 after 2 is 4, and another 2 makes 8.':
        layer_by_layer(next_field, lambda f, t, b, k, s, p: t + s - 1, next_shift),
    'The field grows by k − 1 units of the layer before, and each of them is `stride` pixels of '
    'the image: (k − 1) · stride.':
        layer_by_layer(lambda f, t, b, k, s, p: f + k - 1, next_stride, next_shift),
    'The field grows by k − 1 units, not by k: the first of the k was in the field already.':
        layer_by_layer(lambda f, t, b, k, s, p: f + k * t, next_stride, next_shift),
    'The stride of a layer matters only to the layers after it. Update the field and the shift '
    'first, then the stride.':
        layer_by_layer(lambda f, t, b, k, s, p: f + (k - 1) * t * s, next_stride,
                       lambda f, t, b, k, s, p: b + ((k - 1) / 2 - p) * t * s),
    'The shift grows by the stride of the layers below. Update the shift first, then the stride.':
        layer_by_layer(next_field, next_stride,
                       lambda f, t, b, k, s, p: b + ((k - 1) / 2 - p) * t * s),
    'The padding counts units of the layer as well. Multiply by the stride after subtracting it: '
    '((k − 1) / 2 − p) · stride.':
        layer_by_layer(next_field, next_stride, lambda f, t, b, k, s, p: b + (k - 1) / 2 * t - p),
    'The layers are taken from the last to the first. The list begins at the image.': from_the_top,
})


def crop_offset(fine, coarse):
    """By the library's own offset_between; each grid is (field, stride, shift)."""
    boxes = [SimpleNamespace(alignment=Alignment([stride] * 2, [shift] * 2, [field] * 2))
             for field, stride, shift in (fine, coarse)]
    return offset_between(*boxes)[0]


def by_rule(rule):
    """rule(fields, stride, shifts): fields and shifts of the fine and the coarse grid."""
    def mistake(fine, coarse):
        fine_field, stride, fine_shift = fine
        coarse_field, _, coarse_shift = coarse
        return rule((fine_field, coarse_field), stride, (fine_shift, coarse_shift))
    return mistake


CROP = Exercise(inputs='fine coarse', outputs='offset', cases=[
    ((3, 1, -2.), (5, 1, 0.)),
    ((4, 2, -3.5), (8, 2, 2.5)),
    ((467, 1, -19.), (1, 1, 0.)),                       # FCN-32s: upscore, and the image: 19
    ((100, 16, -91.5), (436, 16, -11.5)),               # 16s: score_pool4, upscore2: 5
    ((44, 8, -95.5), (468, 8, -23.5)),                  # 8s: score_pool3, upscore_pool4: 9
], solution=crop_offset, mistakes={
    'The sign is wrong. Unit `offset` of the fine grid lies where unit 0 of the coarse grid does.':
        by_rule(lambda fields, stride, shifts: (shifts[0] - shifts[1]) / stride),
    'This is in pixels of the image. One unit of the grid is `stride` pixels, so divide by it.':
        by_rule(lambda fields, stride, shifts: shifts[1] - shifts[0]),
    'This multiplies by the stride. Divide by it: the offset counts units, the shifts are in '
    'pixels.': by_rule(lambda fields, stride, shifts: (shifts[1] - shifts[0]) * stride),
    'Half the difference of the receptive fields ignores the padding. What counts is where the '
    'units sit: the shifts.':
        by_rule(lambda fields, stride, shifts: (fields[1] - fields[0]) / 2 / stride),
    'This uses the shift of the fine grid only. The shift of the coarse grid need not be 0.':
        by_rule(lambda fields, stride, shifts: -shifts[0] / stride),
})


def crops(pad):
    """Those of a narrow FCN-8s, whose first convolution is padded by `pad`."""
    net = Net(seed=None)
    vgg16_trunk(net, net.data, width=1 / 32, pad=pad)
    stride8(net, 21)
    crop_names = 'score_pool4c', 'score_pool3c', 'score'
    return tuple(net[name].kwargs['offset'][0] for name in crop_names)


def sum_up(conv1=1., pooling=.5, poolings=5, fc6=3, trunk_pad=1, strides=(16, 8, 1),
           kernels=(4, 4, 16), pixels=False):
    """The crops by hand, with some of the shifts changed.

    conv1, the shift of conv1_1 without padding; pooling, that of a 2×2 pooling, in cells; fc6, too;
    poolings, how many there are before fc6; trunk_pad, how much of the padding counts for pool3 and
    pool4; strides, of the upsampled rows; kernels, with which they are upsampled; pixels=True
    leaves out the division by the stride
    """
    def mistake(pad):
        pool3 = conv1 - trunk_pad * pad + pooling * (1 + 2 + 4)
        pool4 = pool3 + pooling * 8
        score = conv1 - pad + pooling * (2 ** poolings - 1) + 32 * fc6
        first, second, last = [stride * (k - 1) / 2 for stride, k in zip(strides, kernels)]
        by_2 = score - first
        by_4 = by_2 - second
        by_32 = by_4 - last
        if pixels:
            return by_2 - pool4, by_4 - pool3, -by_32
        return (by_2 - pool4) / 16, (by_4 - pool3) / 8, -by_32
    return mistake


CROPS = Exercise(inputs='pad', outputs='pool4 pool3 image', cases=[(120,), (100,), (97,), (150,)],
                 solution=crops, mistakes={
    'conv1_1 is 3×3: without padding its first window is centred on pixel 1, so its shift is '
    '1 − pad.': sum_up(conv1=0.),
    'The poolings have a shift too: half of the stride before them, (2 − 1)/2·stride.':
        sum_up(pooling=0.),
    'fc6 is missing. It is 7×7 without padding at stride 32, so the scores are 3 cells of 32 '
    'pixels later.': sum_up(fc6=0),
    'fc6 is a window of 7 cells: its centre is (7 − 1)/2 = 3 cells after the first, not 3.5.':
        sum_up(fc6=3.5),
    'pool5 is missing. The scores come after all five poolings.': sum_up(poolings=4),
    'The kernel of an upsampling by f has 2·f rows: 4, 4 and 16.': sum_up(kernels=(2, 2, 8)),
    'The last upsampling is by 8, so its kernel has 16 rows.': sum_up(kernels=(4, 4, 4)),
    'The order is: the crop of the scores of pool4, of those of pool3, and the last one.':
        lambda pad: sum_up()(pad)[::-1],
    'Upsampling has a shift too. It falls by stride·(ksize − 1)/2, with the new, fine stride.':
        sum_up(strides=(0, 0, 0)),
    'The shift of an upsampling is counted in units of the fine row: use the stride after it.':
        sum_up(strides=(32, 16, 8)),
    'pool3 and pool4 are moved by the padding of conv1_1 as well: everything after it is.':
        sum_up(trunk_pad=0),
    'These are pixels. A crop counts cells of the row that is cropped: divide by its stride.':
        sum_up(pixels=True),
    'These are the crops for a pad of 100. The last one depends on the padding: more padding moves '
    'the scores to the left.': lambda pad: (5, 9, 31),
    'The signs are wrong. The row that starts earlier is cropped, and an offset is positive.':
        lambda pad: tuple(-crop for crop in sum_up()(pad)),
})

EXERCISES = dict(alignment=ALIGNMENT, crop=CROP, crops=CROPS)
