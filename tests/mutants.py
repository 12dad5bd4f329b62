"""Who tests the tests? Plant a bug, run the suite, and see whether it notices.

    python tests/mutants.py                 all groups: make mutants
    python tests/mutants.py pool loss       some

Every row below is a slip that a hand could make, and each changes what tinyfcn computes, refuses
or keeps. One at a time goes into a copy of the repository. Where the tests of its group stay green
all others are asked, and if they are green too there is a hole in the suite, shown by name.
"""
import ast
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Queue
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
ENDLESS = 'no end within'
# PyTorch stays out: it takes a second to start, and the suite must do without this witness
PYTEST = "import sys, pytest; sys.modules['torch'] = None; sys.exit(pytest.console_main())"
KINDS = 'index sign stride accumulate rounding life chance'.split()
AT_LEAST, KILLED = dict(conv=20, pool=20, loss=20), .95

# What the bugs of a group meet first: the tests that start in a moment; then the table; and last
# hypothesis, which takes its time to shrink what it finds
STAGES = ('adjoint', 'refusals', 'matrix'), ('ops',), ('random_geometry',)
OPS = {
    'conv': 'conv or col',
    'pool': 'pool or take or switch',
    'loss': 'softmax or score or loss',
    'matrix': 'matrix or upsample or resize',
    'others': 'norm or relu or drop or add or multiply or scale or concat or channels or crop '
              'or pad',
}
SUBSETS = {
    **{group: [(files, words) for files in STAGES] for group, words in OPS.items()},
    'net': [(('figure', 'place', 'net'), '')],
    'family': [(('heads', 'views', 'cells'), ''), (('crf', 'prediction', 'summary'), ''),
               (('walkers', 'training'), '')],
}

# group: {file: [(kind, the slip, old text, new text)]}; the old text stands in the file once
BUGS = {
    'conv': {
        'ops/conv.py': [
            ('index', 'im2col pads columns as it pads rows',
             '(pad[1], pad[1])))', '(pad[0], pad[0])))'),
            ('index', 'im2col files a tap (i, j) under (j, i)',
             'cols[:, :, i, j] = padded', 'cols[:, :, j, i] = padded'),
            ('stride', 'im2col walks columns with the stride of rows',
             '_taps(kw, ow, stride[1], dilation[1])\n    padded = xp.pad',
             '_taps(kw, ow, stride[0], dilation[1])\n    padded = xp.pad'),
            ('rounding', 'im2col computes in float64 whatever it is given',
             'cols = xp.empty(shape, x.dtype)', 'cols = xp.empty(shape)'),
            ('accumulate', 'col2im: of windows that overlap the last one wins',
             '+= cols[:, :, i, j]', '= cols[:, :, i, j]'),
            ('index', 'col2im cuts the padding off below and right only',
             'padded[:, :, pad[0]:pad[0] + h, pad[1]:pad[1] + w]', 'padded[:, :, :h, :w]'),
            ('index', 'col2im cuts columns where rows begin',
             'pad[1]:pad[1] + w]', 'pad[0]:pad[0] + w]'),
            ('stride', 'col2im spreads columns with the dilation of rows',
             '_taps(kw, ow, stride[1], dilation[1])\n    padded = xp.zeros',
             '_taps(kw, ow, stride[1], dilation[0])\n    padded = xp.zeros'),
            ('index', 'filters are dealt out to groups like cards',
             'w.reshape(groups, len(w) // groups, -1)',
             'w.reshape(len(w) // groups, groups, -1).swapaxes(0, 1)'),
            ('index', 'channels are dealt out to groups like cards',
             'cols.reshape(len(x), groups, -1, oh * ow)  ',
             'cols.reshape(len(x), -1, groups, oh * ow).swapaxes(1, 2)  '),
            ('sign', 'conv2d takes the bias off',
             'y + b[:, None, None], (x, w, b, geometry, groups)\n',
             'y - b[:, None, None], (x, w, b, geometry, groups)\n'),
            ('index', 'a bias of one value serves all channels',
             "shaped((makes,), 'one", "shaped(b.shape, 'one"),
            ('rounding', 'conv2d.backward forgets the rows that no window reached',
             'groups=groups, output_padding=unseen)', 'groups=groups)'),
            ('index', 'conv2d.backward: dx comes where dw is wanted',
             'if want[0]:\n        unseen', 'if want[1]:\n        unseen'),
            ('index', 'conv2d.backward convolves with x and dy exchanged',
             'weight_gradient(x, dy, w', 'weight_gradient(dy, x, w'),
            ('accumulate', 'conv2d.backward: db of the first picture alone',
             'db = dy.sum((0, 2, 3))\n    return dx, dw, db\n\n\n@accelerated',
             'db = dy[0].sum((1, 2))\n    return dx, dw, db\n\n\n@accelerated'),
            ('accumulate', 'dw is the mean over pictures',
             'cols.swapaxes(2, 3)).sum(0)', 'cols.swapaxes(2, 3)).mean(0)'),
            ('stride', 'conv_transpose2d forgets its dilation',
             'geometry = dict(stride=stride, pad=pad, dilation=dilation)\n    size =',
             'geometry = dict(stride=stride, pad=pad)\n    size ='),
            ('index', 'conv_transpose2d gives its bias no place in want',
             'if b is not None and want[2]:\n        db = dy.sum((0, 2, 3))\n    return dx, dw, db'
             '\n\n\ndef', 'if b is not None:\n        db = dy.sum((0, 2, 3))\n    return dx, dw, db'
             '\n\n\ndef'),
            ('sign', 'conv_transpose2d.backward adds the bias of forward to dx',
             'conv2d(dy, w, **geometry, groups=groups)\n    if want[1]:\n'
             '        dw = weight_gradient(dy, x',
             'conv2d(dy, w, b, **geometry, groups=groups)\n    if want[1]:\n'
             '        dw = weight_gradient(dy, x'),
            ('stride', 'a tap begins at i, whatever the dilation',
             'slice(i * dilation, i * dilation + stride * out, stride)',
             'slice(i, i + stride * out, stride)'),
        ],
        'geometry.py': [
            ('rounding', 'conv_size rounds up',
             '(n + 2 * p - r) // s + 1', '-((r - n - 2 * p) // s) + 1'),
            ('index', 'conv_size counts the padding of one side',
             '(n + 2 * p - r) // s + 1', '(n + p - r) // s + 1'),
            ('stride', 'a dilated window reaches d·k',
             'reach = [d * (k - 1) + 1 for', 'reach = [d * k for'),
            ('index', 'a window as large as the image is refused',
             'any(r > n + 2 * p', 'any(r >= n + 2 * p'),
            ('rounding', 'leftover is one row off',
             '(n + 2 * p - d * (k - 1) - 1) % s', '(n + 2 * p - d * (k - 1)) % s'),
            ('rounding', 'transposed_size has as many strides as windows',
             '(n - 1) * s + d * (k - 1) + 1 + e', 'n * s + d * (k - 1) + 1 + e'),
            ('index', 'transposed_size takes the padding of one side off',
             'tuple(n - 2 * p for', 'tuple(n - p for'),
            ('rounding', 'an output_padding of a whole stride passes',
             'any(e >= s for', 'any(e > s for'),
            ('index', 'an output of nothing passes',
             'any(n <= 2 * p for', 'any(n < 2 * p for'),
            ('index', 'pad is (along the width, along the height)',
             "axes(pad, 'pad'),\n", "axes(pad, 'pad')[::-1],\n"),
            ('sign', 'only the first of a pair is held to its least',
             'if min(y, x) < least', 'if y < least'),
        ],
    },
    'pool': {
        'ops/pool.py': [
            ('stride', 'max_switches moves by one pixel unless told',
             'stride = ksize if stride is None else stride\n',
             'stride = 1 if stride is None else stride\n'),
            ('rounding', 'max_switches: a window that hangs over loses its last rows',
             '(oh - 1) * down + kh - h - top)', '(oh - 1) * down + kh - h - 2 * top)'),
            ('sign', 'max_switches pads with zeros, which win over what is negative',
             'constant_values=-xp.inf', 'constant_values=0'),
            ('stride', 'max_switches exchanges the strides of rows and columns',
             'windows[:, :, ::down, ::right]', 'windows[:, :, ::right, ::down]'),
            ('index', 'max_switches takes the last of equals',
             'kh * kw).argmax(-1)', 'kh * kw)[..., ::-1].argmax(-1) * -1 + kh * kw - 1'),
            ('index', 'max_pool leaves out the last tap of a window',
             'product(*map(range, windows.shape[4:]))',
             'list(product(*map(range, windows.shape[4:])))[:-1] or [(0, 0)]'),
            ('stride', 'max_pool goes back through windows without their stride',
             'max_switches(x, **how)\n    return',
             'max_switches(x, **{**how, "stride": None})\n    return'),
            ('index', 'a tap has the row of a window kh wide',
             'row = tap // kw', 'row = tap // kh'),
            ('index', 'a tap has the column of a window kh wide',
             'column = tap % kw', 'column = tap % kh'),
            ('sign', 'switches lie one padding too low',
             'xp.arange(oh)[:, None] - top', 'xp.arange(oh)[:, None] + top'),
            ('index', 'switches move left by the padding on top',
             'xp.arange(ow) - left', 'xp.arange(ow) - top'),
            ('stride', 'columns of switches step as rows do',
             'right * xp.arange(ow)', 'down * xp.arange(ow)'),
            ('index', 'a switch is row·H + column',
             'row.clip(0) * x.shape[3] + column', 'row.clip(0) * x.shape[2] + column'),
            ('index', 'a dark window is pooled from the padding',
             'row.clip(0) * x.shape[3] + column.clip(0)', 'row * x.shape[3] + column'),
            ('index', 'take remembers (W, H)',
             '(switches, (h, w))', '(switches, (w, h))'),
            ('accumulate', 'unpool: of two values on one pixel the last one wins',
             'xp.add.at(x, pixels, y.ravel())', 'x[pixels] = y.ravel()'),
            ('rounding', 'unpool: switches of uint64 beside int64 become floats',
             "switches.astype('int64')", 'switches'),
            ('index', 'unpool: planes are a row apart',
             'h * w * xp.arange(n * c)', 'w * xp.arange(n * c)'),
            ('rounding', 'unpool computes in float64 whatever it is given',
             'xp.zeros(n * c * h * w, y.dtype)', 'xp.zeros(n * c * h * w)'),
            ('index', 'a switch one beyond its plane passes',
             'switches.max() < h * w:', 'switches.max() <= h * w:'),
            ('sign', 'negative switches pass, and count from the end',
             'not 0 <= switches.min() <= switches.max() < h * w', 'switches.max() >= h * w'),
            ('accumulate', 'take reads switches of fewer planes, again and again',
             "shaped((n, c, *switches.shape[2:]), 'the", "shaped(switches.shape, 'the"),
            ('stride', 'avg_pool moves by one pixel unless told',
             'window(ksize, ksize if stride is None', 'window(ksize, 1 if stride is None'),
            ('sign', 'avg_pool: windows begin inside the image',
             'first = s * xp.arange(out) - p', 'first = s * xp.arange(out) + p'),
            ('rounding', 'avg_pool does not count the padding below',
             'xp.minimum(first + k, n + p)', 'xp.minimum(first + k, n)'),
            ('rounding', 'avg_pool counts what lies beyond the padding',
             'xp.minimum(first + k, n + p)', 'first + k'),
            ('accumulate', 'the mean is over the pixels there are, without padding',
             'inside / (end - first)[:, None]', 'inside / inside.sum(1, keepdims=True)'),
            ('index', 'a mean reaches one pixel too far',
             'pixels < end[:, None]', 'pixels <= end[:, None]'),
            ('index', 'a mean begins one pixel too late',
             'pixels >= first[:, None]', 'pixels > first[:, None]'),
            ('rounding', 'bins of avg_pool_to begin at multiples of ⌊H/bins⌋',
             'i * n // out,', 'i * (n // out),'),
            ('rounding', 'bins of avg_pool_to end where the next begins',
             '-(-(i + 1) * n // out)', '(i + 1) * n // out'),
        ],
        'geometry.py': [
            ('rounding', 'pool_size rounds down',
             '-((k - n - 2 * p) // s) + 1', '(n + 2 * p - k) // s + 1'),
            ('rounding', 'ceil means floor',
             'if not ceil:', 'if ceil:'),
            ('index', 'a window that begins just beyond the image stays',
             '(c - 1) * s >= n + p)', '(c - 1) * s > n + p)'),
            ('index', 'a window that begins in the padding below stays',
             '(c - 1) * s >= n + p)', '(c - 1) * s >= n + 2 * p)'),
            ('sign', 'a window that begins beyond the image brings one more',
             'tuple(c - (', 'tuple(c + ('),
            ('index', 'a window wholly in the padding passes',
             'any(p >= k for', 'any(p > k for'),
            ('stride', 'pool_size counts windows that move by one pixel, unless told',
             'window(ksize, ksize if stride is None', 'window(ksize, 1 if stride is None'),
            ('rounding', 'a pooling into nothing passes',
             'if min(out) < 1:', 'if min(out) < 0:'),
        ],
    },
    'loss': {
        'ops/loss.py': [
            ('index', 'the void is 255, whatever `ignore` says',
             'valid = label != ignore', 'valid = label != 255'),
            ('sign', 'ignored are the labels above `ignore`, too',
             'valid = label != ignore', 'valid = label < ignore'),
            ('index', 'an ignored label is looked up all the same',
             'xp.where(valid, label, 0)', 'label'),
            ('accumulate', 'void pixels weigh as others do',
             'weight = valid.astype(score.dtype)', 'weight = xp.ones(label.shape, score.dtype)'),
            ('rounding', 'weights are float64',
             "weight = valid.astype(score.dtype)", "weight = valid.astype('float64')"),
            ('index', 'the weight of the class that is predicted',
             'class_weight[at[:, 0]]', 'class_weight[score.argmax(1)]'),
            ('accumulate', 'class weights bring the void back',
             'weight = weight * class_weight', 'weight = class_weight'),
            ('accumulate', 'pixel weights replace all others',
             'weight = weight * pixel_weight', 'weight = pixel_weight'),
            ('index', 'a class weight for every class and more',
             "shaped((c,), 'one", "shaped(class_weight.shape, 'one"),
            ('index', 'pixel weights may be of one row or one column',
             "shaped(label.shape, 'one", "shaped(pixel_weight.shape, 'one"),
            ('accumulate', 'the mean is over all pixels, void or not',
             'xp.maximum(valid.sum(), 1)', 'xp.maximum(valid.size, 1)'),
            ('accumulate', 'the mean is over pictures',
             'xp.maximum(valid.sum(), 1)', 'xp.maximum(len(valid), 1)'),
            ('accumulate', 'the mean is over the weights',
             'xp.maximum(valid.sum(), 1)', 'xp.maximum(weight.sum(), 1)'),
            ('rounding', 'the mean of nothing is 0 / 0',
             'xp.maximum(valid.sum(), 1)', 'valid.sum()'),
            ('rounding', 'the mean is taken in float64',
             'xp.maximum(valid.sum(), 1).astype(score.dtype)', 'xp.maximum(valid.sum(), 1)'),
            ('sign', "reduce='sum' takes the mean",
             "if reduce == 'mean':", "if reduce != 'mean':"),
            ('rounding', 'exp may overflow',
             'score - score.max(1, keepdims=True)', 'score'),
            ('rounding', 'all pixels are shifted by one maximum, and exp underflows',
             'score - score.max(1, keepdims=True)', 'score - score.max()'),
            ('index', 'scores are shifted by their largest along the rows',
             'score - score.max(1, keepdims=True)', 'score - score.max(2, keepdims=True)'),
            ('accumulate', 'one total for a whole picture',
             'p.sum(1, keepdims=True)', 'p.sum((1, 2, 3), keepdims=True)'),
            ('sign', 'log p = score + log Σ exp',
             'axis=1) - xp.log(total)', 'axis=1) + xp.log(total)'),
            ('sign', 'the loss is negative',
             'weight * -log_p[:, 0]', 'weight * log_p[:, 0]'),
            ('rounding', 'the loss is summed in float32',
             ".sum(dtype='float64')", '.sum()'),
            ('index', 'classes count from one',
             'truth = xp.arange(c)', 'truth = xp.arange(1, c + 1)'),
            ('sign', 'the gradient points downhill',
             '(p / total - truth)', '(truth - p / total)'),
            ('accumulate', 'the gradient forgets weights, the mean and the void',
             '(p / total - truth) * weight[:, None]', '(p / total - truth)'),
            ('accumulate', 'the gradient forgets weights and the mean',
             '(p / total - truth) * weight[:, None]', '(p / total - truth) * valid[:, None]'),
            ('accumulate', 'the gradient of exp in place of log Σ exp',
             '(p / total - truth)', '(p - truth)'),
            ('accumulate', 'backward forgets dy',
             'return cache * float(dy), None', 'return cache, None'),
            ('rounding', 'backward: a float64 dy widens the gradient',
             'return cache * float(dy), None', 'return cache * dy, None'),
            ('index', 'a label one beyond the last class passes',
             '(label >= c)', '(label > c)'),
            ('sign', 'negative labels pass, and count from the end',
             '((label < 0) | (label >= c))', '(label >= c)'),
            ('index', 'only 255 is exempt from the check',
             'strange = (label != ignore) &', 'strange = (label != 255) &'),
        ],
    },
    'matrix': {
        'ops/matrix.py': [
            ('index', 'columns of conv_matrix count from one',
             'reshape(groups, 1, -1, oh * ow) - 1  ', 'reshape(groups, 1, -1, oh * ow)  '),
            ('index', 'conv_matrix takes the first pixel for padding',
             'real = meets >= 0', 'real = meets > 0'),
            ('index', 'rows of conv_matrix are in the order of places, then filters',
             'xp.arange(k * oh * ow).reshape(groups, k // groups, 1, oh * ow)',
             'xp.arange(k * oh * ow).reshape(oh * ow, groups, k // groups, 1).transpose(1, 2, 3, 0)'
             ),
            ('stride', 'conv_matrix forgets its dilation',
             'im2col(numbers, (kh, kw), stride, pad, dilation)',
             'im2col(numbers, (kh, kw), stride, pad)'),
            ('index', 'separable exchanges rows and columns on the way back',
             'separable(dy, rows.T, columns.T)', 'separable(dy, columns.T, rows.T)'),
            ('rounding', 'the centre of a tent is a pixel, also of an even one',
             '(ksize - 1) / 2,', '(ksize - 1) // 2,'),
            ('rounding', 'an odd tent is too steep',
             '(ksize + 1) // 2\n', 'ksize // 2\n'),
            ('stride', 'upsample moves its tent along the rows by one',
             'conv_matrix(w, (n, 1), (f, 1), (p, 0)).T', 'conv_matrix(w, (n, 1), 1, (p, 0)).T'),
            ('rounding', 'upsample computes in float64 whatever it is given',
             'xp.asarray(tent(k), x.dtype)', 'xp.asarray(tent(k))'),
            ('rounding', 'resize: pixels are corners',
             '((xp.arange(float(out)) + .5) * (n / out) - .5)',
             '(xp.arange(float(out)) * (n / out))'),
            ('index', 'resize darkens at the edge',
             '.clip(0, n - 1)', ''),
            ('rounding', 'resize with align_corners never reaches the last corner',
             '(n - 1) / max(out - 1, 1)', '(n - 1) / out'),
            ('sign', 'resize subtracts what lies further than a pixel',
             'xp.arange(n))).clip(0))', 'xp.arange(n))))'),
            ('sign', 'align_corners means its opposite',
             'if align_corners:', 'if not align_corners:'),
        ],
        'geometry.py': [
            ('rounding', 'odd factors take the even tent unless told',
             '[2 * f - f % 2 for', '[2 * f for'),
            ('rounding', 'a tent of 2·factor + 1 passes',
             'any((k + 1) // 2 != f', 'any(k // 2 != f and (k + 1) // 2 != f'),
        ],
    },
    'others': {
        'ops/norm.py': [
            ('rounding', 'the running variance is the biased one',
             'var * (each / (each - 1))', 'var'),
            ('sign', 'running statistics keep a tenth of the old',
             'old + MOMENTUM * (new - old)', 'new + MOMENTUM * (old - new)'),
            ('sign', 'frozen statistics move in training',
             'train and not frozen', 'train'),
            ('index', 'batch_norm: the count is over pictures only',
             'each = x.size // x.shape[1]', 'count = x.shape[0] * x.shape[2]'),
            ('sign', 'batch_norm.backward adds what mean(dy·x̂) takes off',
             '- x_hat * _each(dw / each)', '+ x_hat * _each(dw / each)'),
            ('index', 'batch_norm.backward takes given statistics for those of the batch',
             '(x_hat, w, inverse, of_batch)', '(x_hat, w, inverse, train)'),
            ('accumulate', 'batch_norm.backward forgets w',
             '_each(w * inverse)', '_each(inverse)'),
            ('rounding', 'local_response_norm: α is not divided',
             '+ alpha / size *', '+ alpha *'),
            ('sign', 'local_response_norm.backward adds',
             's ** -beta - (2', 's ** -beta + (2'),
            ('accumulate', 'local_response_norm.backward: x² has the slope x',
             '(2 * alpha * beta / size)', '(alpha * beta / size)'),
            ('index', 'neighbours are the channels that follow',
             '(half, half), (0, 0)', '(0, 2 * half), (0, 0)'),
        ],
        'ops/pointwise.py': [
            ('index', 'relu hands gradients through where it is shut',
             'dy * (y > 0)', 'dy * (y >= 0)'),
            ('sign', 'leaky_relu.backward leaks above zero',
             'where(x > 0, dy, dy * slope)', 'where(x > 0, dy * slope, dy)'),
            ('sign', 'dropout keeps what it should drop',
             ">= p)", "< p)"),
            ('accumulate', 'dropout.backward does not divide by 1 − p',
             'dy * kept * (1 / (1 - p))', 'dy * kept'),
            ('sign', 'dropout drops at all times',
             'if not train:', 'if train is None:'),
            ('index', 'multiply.backward hands out its gradients crosswise',
             'dy * b, dy * a', 'dy * a, dy * b'),
            ('accumulate', 'add.backward shares the gradient out',
             '(dy,) * count', '(dy / count,) * count'),
            ('accumulate', 'add overwrites x1',
             'return sum(xs[1:], xs[0]), ', 'y = xs[0]\n    for x in xs[1:]:\n        y += x\n'
             '    return y, '),
        ],
        'ops/shape.py': [
            ('index', 'concat.backward cuts one part too early',
             'cache[:i + 1]', 'cache[:i]'),
            ('index', 'channels.backward fills from the first channel on',
             'dx[:, start:stop] = dy', 'dx[:, :stop - start] = dy'),
            ('index', 'crop begins columns where rows begin',
             'return x[:, :, top:top + h, left:left + w]',
             'return x[:, :, top:top + h, top:top + w]'),
            ('index', 'pad exchanges left and right',
             '(left, right))', '(right, left))'),
            ('index', 'pad.backward cuts from the corner',
             'crop(dy, shape[2:], offset)', 'crop(dy, shape[2:])'),
        ],
        'geometry.py': [
            ('index', 'a crop may reach one column outside',
             'left + w > size[1]', 'left + w > size[1] + 1'),
        ],
    },
    'net': {
        'net.py': [
            ('accumulate', 'where a value was read twice, the last gradient stays',
             'self.grads[name] + d if name in self.grads else d', 'd'),
            ('accumulate', 'gradients add in place, also where two boxes share the array',
             'self.grads[name] + d if name',
             'np.add(self.grads[name], d, self.grads[name]) if name'),
            ('life', 'walk_back frees no caches as it passes',
             'del self.grads[box.name], self.caches[box.name]', 'del self.grads[box.name]'),
            ('life', 'walk_back frees no gradients as it passes',
             'del self.grads[box.name], self.caches[box.name]', 'del self.caches[box.name]'),
            ('life', 'a value dies at its first reader',
             'asked = dict(readers),', 'asked = dict(readers[::-1]),'),
            ('life', 'relu overwrites what somebody else reads later',
             'if count == 1 and name in self.boxes', 'if name in self.boxes'),
            ('life', 'relu overwrites what a cache or another value is',
             '\n                and self.boxes[name].weights}', '}'),
            ('life', 'relu overwrites although all is kept',
             'set() if keep else self._dying(readers)', 'self._dying(readers)'),
            ('life', 'relu never overwrites',
             'set() if keep else self._dying(readers)', 'set()'),
            ('life', 'inference keeps every value',
             'if not keep:\n                for', 'if train and not keep:\n                for'),
            ('life', 'caches outlive a backward in which nobody came to them',
             'self.caches.clear()', 'pass'),
            ('life', 'inference keeps caches',
             'box.name in learning and (train or keep)', 'box.name in learning'),
            ('index', 'running statistics are stored under the names of weights',
             'box.reads[-len(new):]', 'box.reads[1:]'),
            ('sign', 'inference is training',
             "how['train'] = train", "how['train'] = True"),
            ('chance', 'chance does not depend on the step',
             'self.seed or 0, self.step, crc32(', 'self.seed or 0, crc32('),
            ('chance', 'all boxes draw the same',
             'self.step, crc32(box.name.encode())', 'self.step'),
            ('chance', 'chance does not depend on the seed',
             'self.seed or 0, self.step,', '0, self.step,'),
            ('index', 'want is in the order of the reads reversed',
             'for name in box.reads]\n', 'for name in reversed(box.reads)]\n'),
            ('index', 'gradients that nobody wants are kept',
             'if wanted and d is not None', 'if d is not None'),
            ('life', 'a copy of a net has the very caches of the net',
             "'values': {}, 'caches': {}, 'grads': {}}", "}"),
            ('life', 'astype casts the net itself',
             'net = copy(self)', 'net = self'),
            ('index', 'astype leaves running statistics as they are',
             'for values in net.params, net.state:', 'for values in (net.params,):'),
        ],
        'figure.py': [
            ('index', 'a weight is frozen where all patterns match',
             'if not any(fnmatchcase(name, pattern) for pattern in self.frozen))',
             'if not all(fnmatchcase(name, pattern) for pattern in self.frozen))'),
            ('index', 'frozen holds names, not patterns',
             'if not any(fnmatchcase(name, pattern) for pattern in self.frozen))',
             'if name not in self.frozen)'),
            ('index', 'a box whose only weights learn is not asked',
             'names.intersection(box.reads)', 'names.intersection(box.inputs)'),
            ('index', 'what is below frozen weights is computed all the same',
             "{'data'} if keep else set()", "{'data'}"),
            ('sign', 'aux boxes run in inference',
             "here = train or not box.name.startswith('aux')", 'here = True'),
            ('index', 'aux boxes are those with aux anywhere in their names',
             "train or not box.name.startswith('aux')", "train or 'aux' not in box.name"),
            ('index', 'what lends its size is not walked',
             'needed.update([*box.inputs, box.like])', 'needed.update(box.inputs)'),
            ('index', 'what lends its size counts as read',
             'read = {name for box in route for name in box.inputs}',
             'read = {name for box in route for name in [*box.inputs, box.like]}'),
            ('chance', 'boxes of one shape begin with the same weights',
             '(self.seed or 0, crc32(box.name.encode()))', '(self.seed or 0)'),
            ('chance', 'initial weights do not depend on the seed',
             '(self.seed or 0, crc32(box.name.encode()))', '(crc32(box.name.encode()))'),
            ('index', 'a box may read an aux box beside another',
             'and any(read.startswith', 'and all(read.startswith'),
            ('life', 'a copy shares its params with the net',
             'name: copy(value) for', 'name: value for'),
            ('index', 'sizes: of two boxes read, in the wrong order',
             'box.sized(*(sizes[name] for name in given))',
             'box.sized(*(sizes[name] for name in reversed(given)))'),
        ],
        'place.py': [
            ('sign', 'the offset of a crop has the wrong sign',
             '[(b - a) / s for', '[(a - b) / s for'),
            ('stride', 'the offset of a crop is in pixels of the image',
             '[(b - a) / s for', '[(b - a) for'),
            ('rounding', 'an offset between two pixels is rounded',
             'o.denominator != 1', 'o.denominator > 2'),
            ('sign', 'padding moves a place to the right',
             '[b + s * (Fraction(r, 2) - p)', '[b + s * (Fraction(r, 2) + p)'),
            ('rounding', 'the centre of an even window is a pixel',
             '[b + s * (Fraction(r, 2) - p)', '[b + s * (r // 2 - p)'),
            ('stride', 'a field widens by taps, not by their distance over the image',
             '[f + s * r for f, s, r in zip(self.field, self.scale',
             '[f + r for f, s, r in zip(self.field, self.scale'),
            ('stride', 'a transposed window coarsens the grid',
             '[s / t for', '[s * t for'),
            ('sign', 'a transposed window moves to the right',
             '[b - s * (Fraction', '[b + s * (Fraction'),
            ('stride', 'a transposed window moves by coarse pixels',
             'zip(self.shift, fine, reach, pad)', 'zip(self.shift, self.scale, reach, pad)'),
            ('sign', 'a crop moves a place to the left',
             '[b + s * o for', '[b - s * o for'),
            ('stride', 'a crop moves a place by pixels of the image',
             '[b + s * o for', '[b + o for'),
            ('index', 'boxes on one grid may be added wherever they begin',
             '(self.scale, self.shift) == (other.scale, other.shift)', 'self.scale == other.scale'),
            ('index', 'what is added sees the narrowest field of all',
             'map(max, place.field', 'map(min, place.field'),
        ],
    },
    'family': {
        'data/transforms.py': [
            ('rounding', 'a label half-way is of the pixel after',
             'float(shift) - .5)', 'float(shift) + .49)'),
            ('index', 'what lies beyond the image has its last label',
             '(at < 0) | (at >= label.shape[axis])', '(at < 0) & (at >= label.shape[axis])'),
            ('stride', 'labels are shrunk by nothing',
             'float(scale) * np.arange(count)', 'np.arange(count)'),
        ],
        'data/pictures.py': [
            ('accumulate', 'a class’ share is of all pictures',
             'seen += (counts > 0) * counts.sum()', 'seen += counts.sum()'),
        ],
        'backprop.py': [
            ('accumulate', 'the share of a head is of its loss alone',
             'd if share == 1 else d * float(share)', 'd'),
            ('index', 'gaps are as wide as what the score sees of the label',
             'under(gap_weights(whole, *', 'under(gap_weights(there, *'),
            ('index', 'gaps and classes both weigh',
             'weight = dict(pixel_weight=', 'weight |= dict(pixel_weight='),
        ],
        'data/cells.py': [
            ('index', 'the next cell is the nearest',
             'np.maximum(first, d)', 'd'),
            ('accumulate', 'gaps weigh on the cells, too',
             '(whole == 0) * w0', 'w0'),
            ('index', 'void is a cell',
             '(label != 0) & (label != VOID)', 'label != 0'),
            ('rounding', 'a label is interpolated',
             'seen(part, 0)', 'seen(part, 1)'),
            ('index', 'both axes are bent alike',
             "rng.normal(0, sigma, (2, *GRID))", "rng.normal(0, sigma, GRID)[None].repeat(2, 0)"),
        ],
        'training.py': [
            ('chance', 'pictures side by side drop the same units',
             'net.step, (_, image, label) = part', '_, (_, image, label) = part'),
            ('life', 'running state is walked side by side',
             'return not net.state and', 'return'),
        ],
        'walkers.py': [
            ('life', 'what moves here has not moved there',
             'room[...] = self.net.params[name]', 'pass'),
            ('index', 'a batch comes back in the place of the first',
             'self.rooms[i]) if who', 'self.rooms[0]) if who'),
            ('life', 'Ctrl-C ends who was only asked to help',
             'signal.signal(number, signal.SIG_IGN)', 'pass'),
        ],
        'net.py': [
            ('life', 'what is asked for dies where another has read it',
             'last_reader[name] is box} - asked', 'last_reader[name] is box}'),
        ],
        'views.py': [
            ('index', 'a mirror image is not turned back',
             '(p[..., ::-1] if turned else p)[0]', 'p[0]'),
            ('accumulate', 'windows are summed and not averaged',
             '(whole / count)[:, :, :h, :w]', 'whole[:, :, :h, :w]'),
            ('stride', 'the last window ends before the picture does',
             '(size - window) * i // max(1, steps)', '(size - window) * i // (steps + 1)'),
            ('index', 'a net without padding sees zeros around',
             "mode='symmetric'", "mode='constant'"),
        ],
        'crf.py': [
            ('accumulate', 'a message is heard twice', "how['w2'] * near(q)",
             "2 * how['w2'] * near(q)"),
            ('rounding', 'a kernel is normalised on one side',
             'kernel /= norm[:, None]', 'kernel /= 1'),
            ('index', 'a corner is numbered by the pixel’s order of another axis',
             'steps[order].cumsum(1)', 'steps[order[:, ::-1]].cumsum(1)'),
            ('accumulate', 'the unary is forgotten after the first step',
             'q += log_p', 'q += 0'),
        ],
        'place.py': [
            ('stride', 'unpooled, a field begins anew',
             '[f + s for f, s in zip(self.field, self.scale)])', 'like.field)'),
        ],
        'summary.py': [
            ('index', 'holes are those of the rows', "- {1}", "- {1, 2, 4}"),
        ],
    },
}


class Bug(NamedTuple):
    group: str
    file: str
    kind: str
    slip: str
    old: str
    new: str


def planted(groups):
    return [Bug(group, file, *row) for group in groups
            for file, rows in BUGS[group].items() for row in rows]


def stale(bugs):
    """What no longer fits the package: a bug that cannot be planted would count as survived."""
    for bug in bugs:
        text = (ROOT / 'tinyfcn' / bug.file).read_text('utf-8')
        where = f'{bug.file}: {bug.slip}'
        if (count := text.count(bug.old)) != 1:
            yield f'{where}: the old text stands there {count} times: {bug.old!r}'
            continue
        if bug.kind not in KINDS:
            yield f'{where}: of kind {bug.kind!r}, which is none of {KINDS}'
        try:
            ast.parse(text.replace(bug.old, bug.new))
        except SyntaxError as error:
            yield f'{where}: {error}'


# ---- One copy of the repository for each worker

def copied(folder):
    """A copy whose tinyfcn is the one that gets imported, not this one."""
    copytree(ROOT, folder, ignore=ignore_patterns('.*', '__pycache__', '*.egg-info', 'runs'))
    where = python(folder, '-c', 'import tinyfcn; print(tinyfcn.__file__)').stdout.strip()
    assert Path(where).resolve().is_relative_to(folder.resolve()), where
    return folder


def python(folder, *args, limit=60):
    # no bytecode: a file that changes twice in a second would be taken for its old self
    env = {**os.environ, 'PYTHONPATH': str(folder), 'PYTHONDONTWRITEBYTECODE': '1',
           'OPENBLAS_NUM_THREADS': '1', 'CI': ''}
    return subprocess.run([sys.executable, *args], cwd=folder, env=env, timeout=limit,
                          capture_output=True, text=True)


def first_failure(folder, tests, words='', limit=60):
    """-> the first test that fails; None if all pass"""
    try:
        run = python(folder, '-c', PYTEST, '-x', '-q', '--tb=no', '-p', 'no:cacheprovider',
                     *tests, '-k', words, limit=limit)
    except subprocess.TimeoutExpired:
        return f'{ENDLESS} {limit} s'
    if run.returncode == 0:
        return None
    found = re.search(r'^(?:FAILED|ERROR) (.+?)(?: - .*)?$', run.stdout, re.M)
    assert found and run.returncode in (1, 2), f'pytest itself failed:\n{run.stdout}{run.stderr}'
    return found[1]


def subset_failure(subset, folder):
    files, words = subset
    return first_failure(folder, [f'tests/test_{file}.py' for file in files], words)


def fate(bug, folder):
    """Plant the bug. -> the first test that notices; None if none does"""
    file = folder / 'tinyfcn' / bug.file
    text = file.read_text('utf-8')
    try:
        file.write_text(text.replace(bug.old, bug.new), 'utf-8')
        for subset in SUBSETS[bug.group]:
            if test := subset_failure(subset, folder):
                return test
        # of the rest all but the house: a line too long or a name unused is no bug found
        test = first_failure(folder, ['tests', '--ignore=tests/test_house.py'], limit=300)
    finally:
        file.write_text(text, 'utf-8')
    if test and not test.startswith(ENDLESS):   # the subsets are known to be green, not the rest
        green(first_failure(folder, [test.split('::')[0]], limit=300))
    return test


def green(test):
    if test:
        sys.exit(f'{test} fails without any bug: nothing can be learned from it')


# ---- The report

def main(groups):
    start, bugs = perf_counter(), planted(groups)
    if complaints := list(stale(bugs)):
        sys.exit('\n'.join(complaints))
    survivors = {group: [] for group in groups}
    with TemporaryDirectory() as parent, ThreadPoolExecutor(WORKERS) as pool:
        folders = Queue()
        for i in range(WORKERS):
            folders.put(copied(Path(parent, f'copy{i}')))

        def in_a_copy(work):
            folder = folders.get()
            try:
                return work(folder)
            finally:
                folders.put(folder)

        def all_of(works):
            return pool.map(in_a_copy, works)

        subsets = dict.fromkeys(subset for group in groups for subset in SUBSETS[group])
        for test in all_of(partial(subset_failure, subset) for subset in subsets):
            green(test)
        for bug, test in zip(bugs, all_of(partial(fate, bug) for bug in bugs)):
            print(f'{bug.group:6}  {bug.kind:10}  {bug.slip:.58}'.ljust(80), test or 'SURVIVED',
                  flush=True)
            if not test:
                survivors[bug.group].append(bug)
    print(f'\n{"group":8} {"planted":>7} {"killed":>7}')
    good = True
    for group, alive in survivors.items():
        count = sum(bug.group == group for bug in bugs)
        share = 1 - len(alive) / count
        good &= share >= KILLED and count >= AT_LEAST.get(group, 0)
        print(f'{group:8} {count:7} {count - len(alive):7} {share:6.0%}')
    for bug in sum(survivors.values(), []):
        print(f'\nsurvived: {bug.slip}  ({bug.group}, {bug.kind})\n  {bug.file}\n'
              f'    - {bug.old}\n    + {bug.new}')
    print(f'\n{len(bugs)} bugs in {perf_counter() - start:.0f} s')
    return 0 if good else 1


if __name__ == '__main__':
    asked = sys.argv[1:] or list(BUGS)
    if strange := set(asked) - set(BUGS):
        sys.exit(f'{", ".join(strange)}: no such group; there are {", ".join(BUGS)}')
    sys.exit(main(asked))
