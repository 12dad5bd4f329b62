"""PyTorch at its best on a GPU: sizes computed once, cuDNN's fastest algorithms, fused updates.

    net = FixedSizeNet(torch_net, size, train)      a TorchNet that torch.compile takes as one graph
    functions = forwards(torch_nets, image)         {'PyTorch': run, 'PyTorch channels_last': run}
    functions = steps(torch_nets, image, label)
    forwards, backwards = op_functions(name, …) of one op, on arrays of NumPy
"""
from functools import partial
from typing import Any, NamedTuple

from timing import PYTORCH, SGD

# isort: split
import torch
import torch.nn.functional as F
from torch_nets import LAYOUTS, TorchNet, TorchOps, bilinear_kernel

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


def make_torch_nets(net, device, layouts=PYTORCH):
    """{layout: a TorchNet on the device}; `net` itself is on the CPU."""
    return {name: TorchNet(net).to(torch_device(device), memory_format=LAYOUTS[name])
            for name in layouts}


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


def peak_memory(run):
    """-> dict of bytes: the maxima in use, and held by the allocator, since before run()"""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run()
    return dict(used=torch.cuda.max_memory_allocated(), held=torch.cuda.max_memory_reserved())


# ---- One op --------------------------------------------------------------------------------------

def op_functions(name, kwargs, host, host_dy, trainable, device):
    """-> {layout: a function of one forward}, {layout: of one backward} of an op of tinyfcn"""
    torch_op = own_op(name, kwargs, host[0].shape[1], device)
    forwards = {}
    backwards = {}
    for layout in LAYOUTS:
        *tensors, dy = to_tensors(*host, host_dy, device=device, layout=layout,
                                  trainable=trainable)
        forwards[layout] = without_gradients(torch_op, tensors)
        backwards[layout] = backward(torch_op(*tensors), [tensors[i] for i in trainable], dy)
    return forwards, backwards


def own_op(name, kwargs, channels, device):
    """PyTorch's function for an op of tinyfcn, with its keywords."""
    kwargs = dict(kwargs)
    if name == 'dropout':
        kwargs['train'] = True
    if name == 'upsample':
        kwargs['kernel'] = bilinear_kernel(kwargs['ksize'], channels).to(torch_device(device))
    if name == 'relu':
        kwargs['inplace'] = False
    return partial(getattr(TorchOps, name), **kwargs)


def without_gradients(torch_op, tensors):
    tensors = [tensor.detach() for tensor in tensors]
    return lambda: torch_op(*tensors)


def backward(y, inputs, dy):
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def loss_functions(host_score, host_label, device):
    """{layout: a function of the loss and its gradient}"""
    functions = {}
    for layout in LAYOUTS:
        score, = to_tensors(host_score, device=device, layout=layout, trainable=[0])
        functions[layout] = loss_and_gradient(score, torch.from_numpy(host_label).to(score.device))
    return functions


def loss_and_gradient(score, label):
    return lambda: torch.autograd.grad(F.cross_entropy(score, label, ignore_index=255,
                                                       reduction='sum'), [score])


def update_functions(w, g, device):
    """{layout: a function of a step of SGD}; one layout, as a step knows of none"""
    name = next(iter(LAYOUTS))
    tensor, = to_tensors(w, device=device, layout=name, trainable=[0])
    tensor.grad = torch.from_numpy(g).to(tensor.device)
    return {name: torch.optim.SGD([tensor], fused=True, **SGD).step}
