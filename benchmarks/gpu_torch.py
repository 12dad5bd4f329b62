"""PyTorch at its best on a GPU: sizes computed once, cuDNN's fastest algorithms, fused updates.

    net = FixedSizeNet(torch_net, size, train)      a TorchNet that torch.compile takes as one graph
    functions = forwards(torch_nets, image)         {'PyTorch': run, 'PyTorch channels_last': run}
    functions = steps(torch_nets, image, label)
"""
from typing import Any, NamedTuple

from timing import SGD

# isort: split
import torch
import torch.nn.functional as F
from torch_nets import LAYOUTS, TorchNet, TorchOps

torch.backends.cudnn.benchmark = True           # try all algorithms once, keep the fastest


def set_precision(name):
    """Like tinyfcn's precision(), for everything that PyTorch computes from now on."""
    allow_tf32 = name == 'tf32'
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    torch.backends.cudnn.allow_tf32 = allow_tf32


def torch_device(device):
    return 'cuda' if device == 'gpu' else 'cpu'


class Call(NamedTuple):
    """One box: the op, the arrays it reads, its arguments, and what is not read again after it."""

    op: Any
    reads: tuple[str, ...]
    kwargs: dict[str, Any]
    kernel: str | None                          # the bilinear kernel of an upsampling
    name: str
    last_reads: list[str]


class FixedSizeNet(torch.nn.Module):
    """The boxes of a TorchNet in order, for images of one size: no sizes left to compute."""

    def __init__(self, torch_net, size, train):
        super().__init__()
        self.torch_net = torch_net
        net, = torch_net.net
        route = net.route(train=False)
        sizes = net.sizes(size)
        inputs = [name for box in route for name in box.inputs]
        last = {name: i for i, box in enumerate(route) for name in box.inputs}
        self.calls = []
        for i, box in enumerate(route):
            op = box.op.__name__
            kwargs = dict(box.kwargs)
            if box.like:
                kwargs['size'] = tuple(sizes[box.like])
            if 'train' in box.flags:
                kwargs['train'] = train
            if op == 'relu':
                kwargs['inplace'] = inputs.count(box.inputs[0]) == 1 and box.inputs[0] != 'data'
            self.calls.append(Call(
                getattr(TorchOps, op), tuple(name.replace('.', '/') for name in box.reads), kwargs,
                f'{box.name}/kernel' if op == 'upsample' else None, box.name,
                [name for name in dict.fromkeys(box.inputs) if last[name] == i]))

    def forward(self, image):
        values = {'data': image}
        for op, reads, kwargs, kernel, name, last_reads in self.calls:
            arrays = [values[key] if key in values else getattr(self.torch_net, key)
                      for key in reads]
            if kernel:
                kwargs = dict(kwargs, kernel=getattr(self.torch_net, kernel))
            values[name] = op(*arrays, **kwargs)
            for key in last_reads:
                del values[key]
        return values[name]


class Loss(torch.nn.Module):
    """A FixedSizeNet and the paper's loss, so that both are compiled together."""

    def __init__(self, fixed_size_net):
        super().__init__()
        self.fixed_size_net = fixed_size_net

    def forward(self, image, label):
        return F.cross_entropy(self.fixed_size_net(image), label, ignore_index=255,
                               reduction='sum')


def make_torch_nets(net, device):
    """{layout: a TorchNet on the device}; `net` itself is on the CPU."""
    return {name: TorchNet(net).to(torch_device(device), memory_format=layout)
            for name, layout in LAYOUTS.items()}


def upload(image, torch_net, layout):
    device = next(torch_net.parameters()).device
    return torch.from_numpy(image).to(device).contiguous(memory_format=LAYOUTS[layout])


def forwards(torch_nets, image, compile_net=lambda module: module):
    return {name: forward(torch_net, upload(image, torch_net, name), compile_net)
            for name, torch_net in torch_nets.items()}


def forward(torch_net, image, compile_net):
    module = compile_net(FixedSizeNet(torch_net, tuple(image.shape[2:]), train=False))

    def run():
        with torch.inference_mode():
            return module(image)
    return run


def steps(torch_nets, image, label, compile_net=lambda module: module):
    label = torch.from_numpy(label).long()
    return {name: step(torch_net, upload(image, torch_net, name), label, compile_net)
            for name, torch_net in torch_nets.items()}


def step(torch_net, image, label, compile_net):
    module = compile_net(Loss(FixedSizeNet(torch_net, tuple(image.shape[2:]), train=True)))
    sgd = torch.optim.SGD(torch_net.parameters(), fused=True, **SGD)
    label = label.to(image.device)

    def run():
        module(image, label).backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
    return run


def to_tensors(*arrays, device, layout, trainable=()):
    """Tensors of NumPy arrays; those whose index is in `trainable` require a gradient."""
    tensors = []
    for i, a in enumerate(arrays):
        memory_format = LAYOUTS[layout] if a.ndim == 4 else torch.contiguous_format
        tensor = torch.from_numpy(a).to(torch_device(device))
        tensors.append(tensor.contiguous(memory_format=memory_format).requires_grad_(
            i in trainable))
    return tensors


def backward(y, inputs, dy):
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def memory(device):
    """-> dict: the maxima of the memory in use, and of the memory held by the allocator"""
    if device == 'cpu':
        return {}
    return dict(used=torch.cuda.max_memory_allocated(), held=torch.cuda.max_memory_reserved())
