"""Which exercises each lesson has."""

EXERCISES_OF: dict[str, tuple[str, ...]] = {
    '00': ('preprocess',),
    '01': ('confusion', 'mean_iu'),
    '02': ('conv2d',),
    '03': ('im2col',),
    '04': ('conv_matrix',),
    '05': ('softmax_cross_entropy',),
    '06': ('col2im', 'conv2d_backward'),
    '07': ('max_pool', 'unpool'),
    '08': ('conv_transpose2d',),
    '09': ('bilinear',),
    '10': ('alignment', 'crop', 'crops'),
    '11': ('to_conv',),
    '12': ('fuse',),
    '13': ('backpropagate',),
    '14': ('sgd',),
    '15': ('preprocess',),
    '16': ('standardize',),
    '17': ('dilate_kernel', 'stride_to_dilation'),
    '18': ('bilateral_kernel', 'mean_field'),
    '19': ('concat_skip', 'pyramid_pool'),
}
