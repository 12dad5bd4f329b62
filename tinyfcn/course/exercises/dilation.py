"""L17: the kernel of a dilated convolution, and where a net needs dilation in place of stride."""
import numpy as np

from ... import ops
from .exercise import Exercise, integers


def dilate_kernel(w, dilation):
    """A transposed convolution with the 1×1 kernel 1 does nothing but put zeros between."""
    k, c, kh, kw = w.shape
    one = np.ones((1, 1, 1, 1))
    dilated, _ = ops.conv_transpose2d(w.reshape(k * c, 1, kh, kw), one, stride=dilation)
    return dilated.reshape(k, c, *dilated.shape[2:])


def zeros_after_last_tap(w, dilation):
    more = dilation - 1
    return np.pad(dilate_kernel(w, dilation), ((0, 0), (0, 0), (0, more), (0, more)))


def repeat_taps(w, dilation):
    return w.repeat(dilation, 2).repeat(dilation, 3)


def dilate_channels(w, dilation):
    return dilate_kernel(w.transpose(2, 3, 0, 1), dilation).transpose(2, 3, 0, 1)


DILATE_KERNEL = Exercise(inputs='w dilation', outputs='dilated', cases=[
    (integers(1, 1, 2, 2), 2),
    (integers(1, 1, 2, 3), 3),
    (integers(1, 2, 3, 2), 2),
    (integers(2, 3, 3, 3), 1),
    (integers(2, 3, 3, 3), 4),
], solution=dilate_kernel, mistakes={
    'There is one zero too many between two taps. The taps are `dilation` apart, so dilation − 1 '
    'zeros lie between them.': lambda w, dilation: dilate_kernel(w, dilation + 1),
    'There are zeros after the last taps too. They belong only between two taps, and the size is '
    '(k − 1)·dilation + 1.': zeros_after_last_tap,
    'Only the rows are dilated. Dilate the columns too.':
        lambda w, dilation: dilate_kernel(w, (dilation, 1)),
    'Only the columns are dilated. Dilate the rows too.':
        lambda w, dilation: dilate_kernel(w, (1, dilation)),
    'The taps are repeated. Put zeros between them.': repeat_taps,
    'The channels are dilated. Only the last two axes are rows and columns.': dilate_channels,
})


def stride_to_dilation(strides, output_stride):
    """What DeepLab does to a classifier: limit the stride, and dilate the layers after it."""
    return replace_strides(strides, output_stride, lambda dilation, stride: dilation * stride)


def replace_strides(strides, output_stride, next_dilation, dilate_at_once=False):
    """The strides that are kept, and the dilation of each layer.

    next_dilation(dilation, stride): the dilation of the layers after one whose stride is replaced
    """
    total_stride = 1
    dilation = 1
    kept = []
    dilations = []
    for stride in strides.tolist():
        dilation_before = dilation
        if total_stride * stride > output_stride:
            dilation = next_dilation(dilation, stride)
            stride = 1
        total_stride *= stride
        kept.append(stride)
        dilations.append(dilation if dilate_at_once else dilation_before)
    return np.array(kept), np.array(dilations)


def by_rule(next_dilation, dilate_at_once=False):
    def mistake(strides, output_stride):
        return replace_strides(strides, output_stride, next_dilation, dilate_at_once)
    return mistake


def replace_where(rule):
    """rule(strides, output_stride) -> for each layer, whether its stride becomes 1."""
    def mistake(strides, output_stride):
        replaced = rule(strides, output_stride)
        factors = np.where(replaced, strides, 1)
        return np.where(replaced, 1, strides), np.cumprod([1, *factors[:-1]])
    return mistake


STRIDE_TO_DILATION = Exercise(inputs='strides output_stride', outputs='new_strides dilations',
                              cases=[
    (np.array([2, 2, 1]), 2),
    (np.array([1, 2, 1, 2, 1]), 2),
    (np.array([2, 2, 2, 2, 1]), 2),
    (np.array([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]), 8),                   # VGG-16, ends with fc6
    (np.array([2, 1, 4, 1, 3, 2, 1]), 2),
    (np.array([2, 3, 1, 2, 1]), 4),                     # 3 would exceed it, 2 does not
], solution=stride_to_dilation, mistakes={
    'The strides are replaced, but nothing is dilated, so the receptive fields are smaller than in '
    'training. The layers after a replaced stride need dilation.':
        by_rule(lambda dilation, stride: 1),
    'A layer is dilated for its own stride. The dilation of a layer comes from the strides '
    'replaced before it; its own matters to the layers after it.':
        by_rule(lambda dilation, stride: dilation * stride, dilate_at_once=True),
    'The dilations are added. Multiply them: after three replaced strides of 2 the dilation is 8.':
        by_rule(lambda dilation, stride: dilation + stride),
    'The dilation is that of the last replaced stride only. Multiply it by those of the strides '
    'replaced before.': by_rule(lambda dilation, stride: stride),
    'A stride is replaced too early. A layer that reaches `output_stride` exactly keeps its '
    'stride; replace those that would go beyond it.':
        lambda strides, output_stride: stride_to_dilation(strides, output_stride / 2),
    'A stride is kept that exceeds `output_stride`. Compare the product that includes the stride '
    'of the layer itself.': replace_where(
        lambda strides, limit: np.cumprod([1, *strides[:-1]]) >= limit),
    'A stride is replaced that would not exceed `output_stride`: strides that were replaced before '
    'it no longer count.': replace_where(lambda strides, limit: np.cumprod(strides) > limit),
    'No stride is replaced. Where the product of the strides would exceed `output_stride`, a '
    'stride becomes 1.': lambda strides, output_stride: stride_to_dilation(strides, np.inf),
})

EXERCISES = dict(dilate_kernel=DILATE_KERNEL, stride_to_dilation=STRIDE_TO_DILATION)
