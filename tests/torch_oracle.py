"""The ops by PyTorch, where PyTorch has such an op; slicing and gathering stand in elsewhere.

One function an op, with the op's name and arguments, on torch tensors; it returns y alone.
"""
import torch
import torch.nn.functional as F

torch.set_num_threads(1)                        # tiny arrays: a second thread would only wait


def both(v):
    """An int or a pair -> a pair."""
    return v if isinstance(v, tuple) else (v, v)


def knows(sample):
    """PyTorch pads a pooling by half a window at most, and dilates no average."""
    if 'pool' not in sample.op and sample.op != 'max_switches' or 'ksize' not in sample.kwargs:
        return True
    if sample.op == 'avg_pool' and both(sample.kwargs.get('dilation', 1)) != (1, 1):
        return False
    return all(2 * p <= k for p, k in zip(both(sample.kwargs.get('pad', 0)),
                                          both(sample.kwargs['ksize'])))


# ---- Convolution

def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
    return F.conv2d(x, w, b, stride, pad, dilation, groups)


def conv_transpose2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1, output_padding=0):
    return F.conv_transpose2d(x, w, b, stride, pad, output_padding, groups, dilation)


def im2col(x, ksize, stride=1, pad=0, dilation=1):
    return F.unfold(x, ksize, dilation, pad, stride)


def col2im(cols, shape, ksize, stride=1, pad=0, dilation=1):
    return F.fold(cols, shape[-2:], ksize, dilation, pad, stride)


# ---- Pooling

def max_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return F.max_pool2d(x, ksize, stride, pad, dilation, ceil_mode=ceil)


def max_switches(x, ksize, stride=None, pad=0, ceil=True, dilation=1):
    return F.max_pool2d(x, ksize, stride, pad, dilation, ceil_mode=ceil, return_indices=True)[1]


def avg_pool(x, ksize, stride=None, pad=0, ceil=True, dilation=1, count_include_pad=True):
    return F.avg_pool2d(x, ksize, stride, pad, ceil, count_include_pad)


def avg_pool_to(x, bins):
    return F.adaptive_avg_pool2d(x, bins)


def take(x, switches):
    return x.flatten(2).gather(2, switches.long().flatten(2)).view(switches.shape)


def unpool(y, switches, size):
    planes = y.new_zeros(*y.shape[:2], size[-2] * size[-1])
    filled = planes.scatter_add(2, switches.long().flatten(2), y.flatten(2))
    return filled.view(*y.shape[:2], *size[-2:])


# ---- Fixed upsampling

def upsample(x, factor, ksize=None, pad=0):
    """A depthwise transposed convolution with the outer product of two kernels."""
    channels, factor = x.shape[1], both(factor)
    ksize = both(ksize) if ksize else [2 * f - f % 2 for f in factor]
    rows, columns = (1 - (torch.arange(k, dtype=x.dtype) - (k - 1) / 2).abs() / f
                     for k, f in zip(ksize, factor))
    w = torch.outer(rows, columns).expand(channels, 1, *ksize)
    return F.conv_transpose2d(x, w, stride=factor, padding=pad, groups=channels)


def resize(x, size=None, align_corners=False, scale=None, mode='bilinear'):
    return F.interpolate(x, size, scale, mode, align_corners if mode == 'bilinear' else None)


# ---- Pointwise and shape

relu = F.relu


def leaky_relu(x, slope=.01):
    return F.leaky_relu(x, slope)


def dropout(x, p=.5, train=False, rng=None):
    if not train:
        return x * 1
    kept = torch.from_numpy(rng.random(x.shape, 'float32') >= p)        # the draws are ours
    return x.where(kept, 0) / (1 - p if p < 1 else 1)


def add(*xs):
    return torch.stack(xs).sum(0)


def multiply(a, b):
    return torch.mul(a, b)


def scale(x, factor):
    return torch.mul(x, factor)


def concat(*xs):
    return torch.cat(xs, 1)


def channels(x, start, stop):
    return x[:, start:stop]


def crop(x, size, offset=0):
    (h, w), (top, left) = both(size), both(offset)
    return x.narrow(2, top, h).narrow(3, left, w)


def pad(x, before, after=None, value=0.):
    (top, left), (bottom, right) = both(before), both(before if after is None else after)
    return F.pad(x, (left, right, top, bottom), value=value)


# ---- Normalisation and loss

def batch_norm(x, w, b, mean, var, train=False, eps=1e-5, frozen=False, momentum=.1):
    """Training also moves `mean` and `var`, in place."""
    return F.batch_norm(x, mean, var, w, b, train and not frozen, momentum, eps)


def local_response_norm(x, size=5, alpha=1e-4, beta=.75, k=1.):
    return F.local_response_norm(x, size, alpha, beta, k)


def softmax_cross_entropy(score, label, ignore=255, reduce='sum', class_weight=None,
                          pixel_weight=None, label_smoothing=0.):
    """'mean' is ours: PyTorch would divide by the sum of the class weights."""
    label = label.long()
    loss = F.cross_entropy(score, label, class_weight, ignore_index=ignore, reduction='none',
                           label_smoothing=label_smoothing)
    if pixel_weight is not None:
        loss = loss * pixel_weight
    if reduce == 'none':
        return loss
    valid = (label != ignore).sum().clamp(min=1)
    return loss.sum() / valid if reduce == 'mean' else loss.sum()


def focal_loss(score, label, ignore=255, gamma=2., reduce='sum', class_weight=None,
               pixel_weight=None):
    """As torchvision.ops.sigmoid_focal_loss, with softmax in place of the sigmoid."""
    label = label.long()
    each = F.cross_entropy(score, label, ignore_index=ignore, reduction='none')
    # of an ignored pixel p is 1, where a root has an infinite slope, and 0 times that is NaN
    missing = -torch.expm1(-each)
    loss = torch.where(missing > 0, missing.clamp(min=1e-300) ** gamma, float(gamma == 0)) * each
    if class_weight is not None:
        loss = loss * class_weight[label.where(label != ignore, 0)]
    if pixel_weight is not None:
        loss = loss * pixel_weight
    if reduce == 'none':
        return loss
    valid = (label != ignore).sum().clamp(min=1)
    return loss.sum() / valid if reduce == 'mean' else loss.sum()


def dice_loss(score, label, ignore=255, class_weight=None):
    """The formula of segmentation_models_pytorch, over the classes that are there."""
    label = label.long()
    valid = (label != ignore)[:, None]
    truth = F.one_hot(label.where(valid[:, 0], 0), score.shape[1]).movedim(3, 1) * valid
    p = F.softmax(score, 1) * valid
    intersection, cardinality = (v.sum((0, 2, 3)) for v in (p * truth, p + truth))
    found = truth.sum((0, 2, 3)) > 0
    if not found.any():
        return 0 * score.sum()
    loss = 1 - 2 * intersection[found] / cardinality[found]
    weight = torch.ones_like(loss) if class_weight is None else class_weight[found]
    return (loss * weight).sum() / weight.sum()
