"""A net of tinyfcn as a torch.nn.Module of PyTorch's own ops, and as an ONNX file.

    twin = Twin(net)                            the same boxes, the same names, the same weights
    agree(net, twin, image)                     asserted before anything is timed
"""
import sys
import warnings
from collections import Counter

from side_by_side import THREADS

# isort: split
import torch
import torch.nn.functional as F

torch.set_num_threads(THREADS)


class Twin(torch.nn.Module):
    """PyTorch as its users write it: native ops, relu in place, fixed tents in grouped deconvs."""

    def __init__(self, net, lends=False):
        """lends: the weights are the net's own memory, for processes whose memory is measured."""
        super().__init__()
        self.net, self.tents = [net], {}        # in a list: no part of the module
        for name, w in net.params.items():
            w = torch.from_numpy(w) if lends else torch.tensor(w)
            self.register_parameter(name.replace('.', '/'), torch.nn.Parameter(w))
        for name, w in net.state.items():
            self.register_buffer(name.replace('.', '/'), torch.tensor(w))
        for box in net.route(train=False):
            if box.op.__name__ == 'upsample':
                self.register_buffer(f'{box.name}/tent', tent(box))

    def forward(self, image):
        net, = self.net
        route, sizes = net.route(train=False), net.sizes(tuple(image.shape[2:]))
        values, weights = {'data': image}, {**self._parameters, **self._buffers}
        readers = Counter(name for box in route for name in box.inputs)
        unread = readers.copy()
        for box in route:
            op, how = box.op.__name__, dict(box.kwargs)
            if box.like:
                how['size'] = sizes[box.like]
            if 'train' in box.asks:
                how['train'] = self.training
            if op == 'upsample':
                how['tent'] = weights[f'{box.name}/tent']
            if op == 'relu':                    # in place, where nobody else reads what it reads
                how['inplace'] = readers[box.inputs[0]] == 1 and box.inputs[0] != 'data'
            reads = [values[name] if name in values else weights[name.replace('.', '/')]
                     for name in box.reads]
            values[box.name] = getattr(Native, op)(*reads, **how)
            unread.subtract(box.inputs)
            for name in {name for name in box.inputs if not unread[name]}:
                del values[name]
        return values[net.outputs(train=False)[0]]


class Native:
    """PyTorch's own functions, by the names of the ops."""

    def relu(x, inplace):
        return F.relu(x, inplace)

    def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        return F.conv2d(x, w, b, stride, pad, dilation, groups)

    def conv_transpose2d(x, w, b=None, stride=1, pad=0, groups=1, dilation=1):
        return F.conv_transpose2d(x, w, b, stride, pad, 0, groups, dilation)

    def upsample(x, factor, ksize, pad, tent):
        return F.conv_transpose2d(x, tent, None, factor, pad, 0, x.shape[1])

    def max_pool(x, ksize, stride, pad, ceil):
        return F.max_pool2d(x, ksize, stride, pad, ceil_mode=ceil)

    def avg_pool(x, ksize, stride, pad, ceil):
        return F.avg_pool2d(x, ksize, stride, pad, ceil_mode=ceil)

    def avg_pool_to(x, bins):
        return F.adaptive_avg_pool2d(x, bins)

    def dropout(x, p, train):
        return F.dropout(x, p, train)

    def add(first, *others):
        return sum(others, first)

    def scale(x, factor):
        return x * factor

    def concat(*xs):
        return torch.cat(xs, 1)

    def channels(x, start, stop):
        return x[:, start:stop]

    def crop(x, size, offset):
        (h, w), (top, left) = size, offset
        return x[:, :, top:top + h, left:left + w]

    def local_response_norm(x, size, alpha, beta, k):
        return F.local_response_norm(x, size, alpha, beta, k)


def tent(box):
    """(C, 1, kh, kw): the weights of a grouped deconvolution that upsamples bilinearly."""
    rows, columns = (torch.tensor([1 - abs(i - (k - 1) / 2) / ((k + 1) // 2) for i in range(k)])
                     for k in box.kwargs['ksize'])
    return torch.outer(rows, columns).repeat(box.channels, 1, 1, 1)


def agree(net, twin, image, tol=1e-3):
    """The twin's score is the net's, up to `tol` of the largest: else there is nothing to time."""
    with torch.inference_mode():
        theirs = twin.eval()(torch.from_numpy(image)).numpy()
    same(net.forward(image), theirs, 'PyTorch', tol)


def same(ours, theirs, name, tol=1e-3):
    apart = abs(ours - theirs).max() / abs(ours).max()
    assert apart <= tol, f'{name} is {apart:.1g} of the largest score apart from tinyfcn'


def export(twin, image, path):
    """An ONNX file for images of this very size."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')         # of the exporter, about itself
        torch.onnx.export(twin.eval(), (torch.from_numpy(image),), str(path), dynamo=False,
                          input_names=['data'], output_names=['score'])


# ---- What runs an ONNX file; None, said aloud, where it is not installed

def skipped(name, packages):
    print(f'SKIPPED: {name} is not installed: pip install {packages}', file=sys.stderr)


def onnx_runtime(path):
    """-> image (N, C, H, W) -> score, on two threads in float32"""
    try:
        import onnxruntime
    except ImportError:
        return skipped('ONNX Runtime', 'onnx onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
    session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    return lambda image: session.run(None, {'data': image})[0]


def openvino(path):
    """-> image (N, C, H, W) -> score, on two threads in float32, which it must be told"""
    try:
        from openvino import Core
    except ImportError:
        return skipped('OpenVINO', 'openvino')
    compiled = Core().compile_model(str(path), 'CPU', {
        'INFERENCE_NUM_THREADS': THREADS, 'INFERENCE_PRECISION_HINT': 'f32',
        'PERFORMANCE_HINT': 'LATENCY'})
    return lambda image: compiled([image])[0]
