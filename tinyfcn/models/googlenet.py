"""GoogLeNet (Szegedy et al. 2015) as BVLC's Caffe model, with the same names."""
from ..layers import (
    avg_pool,
    avg_pool_to,
    concat,
    conv,
    dropout,
    local_response_norm,
    max_pool,
    relu,
    scale_width,
)

# name: 1×1; 3×3 reduced to, 3×3; 5×5 reduced to, 5×5; pooled and projected to. | is a pooling
INCEPTIONS = {
    '3a': (64, 96, 128, 16, 32, 32), '3b': (128, 128, 192, 32, 96, 64), '|3': (),
    '4a': (192, 96, 208, 16, 48, 64), '4b': (160, 112, 224, 24, 64, 64),
    '4c': (128, 128, 256, 24, 64, 64), '4d': (112, 144, 288, 32, 64, 64),
    '4e': (256, 160, 320, 32, 128, 128), '|4': (),
    '5a': (256, 160, 320, 32, 128, 128), '5b': (384, 192, 384, 48, 128, 128),
}


def googlenet(n, n_class=1000, width=1):
    """The ImageNet classifier: 1×1 places for 224×224."""
    googlenet_trunk(n, width, pad=3)
    n['pool5/7x7_s1'] = avg_pool(n['inception_5b/output'], 7, stride=1)
    n['pool5/drop'] = dropout(n['pool5/7x7_s1'], .4)
    n['loss3/classifier'] = conv(n['pool5/drop'], n_class, 1)
    n.score = avg_pool_to(n['loss3/classifier'], 1)


def googlenet_trunk(n, width=1, pad=100):
    """conv1 … inception_5b/output, at stride 32."""
    n['conv1/7x7_s2'] = conv(n.data, scale_width(64, width), 7, stride=2, pad=pad)
    n['conv1/relu']   = relu(n['conv1/7x7_s2'])
    n['pool1/3x3_s2'] = max_pool(n['conv1/relu'], 3, stride=2)
    n['pool1/norm1']  = local_response_norm(n['pool1/3x3_s2'], 5, alpha=1e-4, beta=.75)

    x = _conv(n, 'conv2/3x3_reduce', n['pool1/norm1'], 64, 1, width)
    x = _conv(n, 'conv2/3x3', x, 192, 3, width)
    n['conv2/norm2']  = local_response_norm(x, 5, alpha=1e-4, beta=.75)
    x = n['pool2/3x3_s2'] = max_pool(n['conv2/norm2'], 3, stride=2)

    for name, widths in INCEPTIONS.items():
        if widths:
            x = inception(n, f'inception_{name}', x, width, *widths)
        else:
            x = n[f'pool{name[1]}/3x3_s2'] = max_pool(x, 3, stride=2)


def inception(n, name, x, width, one, three_reduce, three, five_reduce, five, pooled):
    """Four branches, concatenated: 1×1, 3×3, 5×5, and a pool of stride 1."""
    branches = [_conv(n, f'{name}/1x1', x, one, 1, width)]
    for k, reduced, depth in (3, three_reduce, three), (5, five_reduce, five):
        reduce = _conv(n, f'{name}/{k}x{k}_reduce', x, reduced, 1, width)
        branches.append(_conv(n, f'{name}/{k}x{k}', reduce, depth, k, width))
    n[f'{name}/pool'] = max_pool(x, 3, stride=1, pad=1)
    branches.append(_conv(n, f'{name}/pool_proj', n[f'{name}/pool'], pooled, 1, width))
    n[f'{name}/output'] = concat(*branches)
    return n[f'{name}/output']


def _conv(n, name, x, depth, ksize, width):
    """A convolution that keeps the size, and its ReLU, under their names in the Caffe model."""
    n[name] = conv(x, scale_width(depth, width), ksize, pad=ksize // 2)
    group, own = name.rsplit('/', 1)
    n[f'{group}/relu_{own}'] = relu(n[name])
    return n[f'{group}/relu_{own}']
