"""A net of tinyfcn as a torch.nn.Module of PyTorch's own ops, and runtimes for an ONNX file.

    torch_net = TorchNet(net)                   the same boxes, the same names, the same weights
    assert_same_scores(net, torch_net, image)   before anything is timed
"""
import sys
from collections import Counter

from timing import PYTORCH, THREADS

# isort: split
import torch
import torch.nn.functional as F

torch.set_num_threads(THREADS)
LAYOUTS = dict(zip(PYTORCH, (torch.contiguous_format, torch.channels_last)))


class TorchNet(torch.nn.Module):
    """As PyTorch's users write it: native ops, relu in place, upsampling by a grouped deconv."""

    def __init__(self, net, share_memory=False):
        """share_memory: do not copy the weights, when memory is what is measured."""
        super().__init__()
        self.net = [net]                        # in a list, so that torch does not register it
        self.ops = TorchOps
        for name, w in net.params.items():
            w = torch.from_numpy(w) if share_memory else torch.tensor(w)
            self.register_parameter(name.replace('.', '/'), torch.nn.Parameter(w))
        for name, w in net.state.items():
            self.register_buffer(name.replace('.', '/'), torch.tensor(w))
        for box in net.route(train=False):
            if box.op.__name__ == 'upsample':
                kernel = bilinear_kernel(box.kwargs['ksize'], box.channels)
                self.register_buffer(f'{box.name}/kernel', kernel)

    def forward(self, image):
        net, = self.net
        route = net.route(train=False)
        sizes = net.sizes(tuple(image.shape[2:]))
        values = {'data': image}
        weights = {**self._parameters, **self._buffers}
        reads = Counter(name for box in route for name in box.inputs)
        remaining_reads = reads.copy()
        for box in route:
            op = box.op.__name__
            kwargs = dict(box.kwargs)
            if box.like:
                kwargs['size'] = sizes[box.like]
            if 'train' in box.flags:
                kwargs['train'] = self.training
            if op == 'upsample':
                kwargs['kernel'] = weights[f'{box.name}/kernel']
            if op == 'relu':                    # in place, if no other box reads its input
                kwargs['inplace'] = reads[box.inputs[0]] == 1 and box.inputs[0] != 'data'
            arrays = [values[name] if name in values else weights[name.replace('.', '/')]
                      for name in box.reads]
            values[box.name] = getattr(self.ops, op)(*arrays, **kwargs)
            remaining_reads.subtract(box.inputs)
            for name in {name for name in box.inputs if not remaining_reads[name]}:
                del values[name]
        return values[net.outputs(train=False)[0]]


class TorchOps:
    """PyTorch's own functions, by the names of tinyfcn's ops."""

    def relu(x, inplace):
        return F.relu(x, inplace)

    def conv2d(x, w, b=None, stride=1, pad=0, dilation=1, groups=1):
        return F.conv2d(x, w, b, stride, pad, dilation, groups)

    def conv_transpose2d(x, w, b=None, stride=1, pad=0, groups=1, dilation=1):
        return F.conv_transpose2d(x, w, b, stride, pad, 0, groups, dilation)

    def upsample(x, factor, ksize, pad, kernel):
        return F.conv_transpose2d(x, kernel, None, factor, pad, 0, x.shape[1])

    def max_pool(x, ksize, stride, pad, ceil, dilation=1):
        return F.max_pool2d(x, ksize, stride, pad, dilation, ceil_mode=ceil)

    def avg_pool(x, ksize, stride, pad, ceil, count_include_pad=True, dilation=1):
        assert dilation in (1, (1, 1)), 'PyTorch has no dilated average'
        return F.avg_pool2d(x, ksize, stride, pad, ceil, count_include_pad)

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


def bilinear_kernel(ksize, channels):
    """(C, 1, kh, kw): the weights of a grouped deconvolution that upsamples bilinearly."""
    rows, columns = (torch.tensor([1 - abs(i - (k - 1) / 2) / ((k + 1) // 2) for i in range(k)])
                     for k in ksize)
    return torch.outer(rows, columns).repeat(channels, 1, 1, 1)


def assert_same_scores(net, torch_net, image, tol=1e-3):
    """Both nets give one score, up to `tol` of its largest value; else timing means nothing."""
    with torch.inference_mode():
        theirs = torch_net.eval()(torch.from_numpy(image)).numpy()
    assert_close(net.forward(image), theirs, 'PyTorch', tol)


def assert_close(ours, theirs, name, tol=1e-3):
    difference = abs(ours - theirs).max() / abs(ours).max()
    assert difference <= tol, (f'{name} differs from tinyfcn by {difference:.1g} of the largest '
                               f'score')


# ---- Runtimes for an ONNX file; None, with a message, where one is not installed

def report_skipped(name, packages):
    print(f'SKIPPED: {name} is not installed: pip install {packages}', file=sys.stderr)


def load_onnx_runtime(path, shape):
    """-> a function image (N, C, H, W) -> score, on THREADS threads in float32"""
    try:
        import onnxruntime
    except ImportError:
        return report_skipped('ONNX Runtime', 'onnx onnxruntime')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name('batch', shape[0])
    # between runs its threads would wait busily, for 20 ms, on cores that the next competitor needs
    options.add_session_config_entry('session.force_spinning_stop', '1')
    session = onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    return lambda image: session.run(None, {'data': image})[0]


def load_openvino(path, shape):
    """-> a function image (N, C, H, W) -> score, on THREADS threads; float32 is not its default"""
    try:
        from openvino import Core
    except ImportError:
        return report_skipped('OpenVINO', 'openvino')
    model = Core().read_model(str(path))
    model.reshape(list(shape))
    compiled = Core().compile_model(model, 'CPU', {
        'INFERENCE_NUM_THREADS': THREADS, 'INFERENCE_PRECISION_HINT': 'f32',
        'PERFORMANCE_HINT': 'LATENCY'})
    return lambda image: compiled([image])[0]


RUNTIMES = {'ONNX Runtime': load_onnx_runtime, 'OpenVINO': load_openvino}
