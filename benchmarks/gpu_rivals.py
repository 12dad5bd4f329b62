"""PyTorch on a card at its best: nothing asked of Python twice, cuDNN's choice, fused updates.

    straight = Straight(twin, size, train)      a Twin for images of one size, which compiles whole
    rivals = forwards(twins, image)             {'PyTorch': run, 'PyTorch channels_last': run}
    rivals = steps(twins, image, label)
"""
from timing import SGD

# isort: split
import torch
import torch.nn.functional as F
from fcn import LAYOUTS
from torch_nets import TorchNet, TorchOps

torch.backends.cudnn.benchmark = True           # it tries all its ways once, and keeps the quickest


def set_precision(name):
    """What tinyfcn.backend.precision is, for all that PyTorch computes from now on."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == 'tf32'


def torch_device(device):
    return 'cuda' if device == 'gpu' else 'cpu'


class Straight(torch.nn.Module):
    """The boxes of a Twin in a row, with all that depends on the size of an image worked out."""

    def __init__(self, torch_net, size, train):
        super().__init__()
        self.torch_net, self.row = torch_net, []
        net, = torch_net.net
        route, sizes = net.route(train=False), net.sizes(size)
        readers = [name for box in route for name in box.inputs]
        for box in route:
            op, how = box.op.__name__, dict(box.kwargs)
            if box.like:
                how['size'] = tuple(sizes[box.like])
            if 'train' in box.flags:
                how['train'] = train
            if op == 'relu':
                how['inplace'] = readers.count(box.inputs[0]) == 1 and box.inputs[0] != 'data'
            reads = [name.replace('.', '/') for name in box.reads]
            kernel = f'{box.name}/kernel' if op == 'upsample' else None
            self.row.append((getattr(TorchOps, op), tuple(reads), how, kernel, box.name))
        last = {name: i for i, (_, reads, *_) in enumerate(self.row) for name in reads}
        self.dying = [[name for name in reads if last[name] == i and '/' not in name]
                      for i, (_, reads, *_) in enumerate(self.row)]

    def forward(self, image):
        values = {'data': image}
        for (op, reads, how, kernel, name), dying in zip(self.row, self.dying):
            arrays = [values[key] if key in values else getattr(self.torch_net, key)
                      for key in reads]
            if kernel:
                how = dict(how, kernel=getattr(self.torch_net, kernel))
            values[name] = op(*arrays, **how)
            for key in dying:
                del values[key]
        return values[name]


class Loss(torch.nn.Module):
    """The paper's loss of a Straight, so that both are compiled as one."""

    def __init__(self, straight):
        super().__init__()
        self.straight = straight

    def forward(self, image, label):
        return F.cross_entropy(self.straight(image), label, ignore_index=255, reduction='sum')


def twins_of(net, device):
    """{layout: a Twin on the device}; the net itself is on the CPU."""
    return {name: TorchNet(net).to(torch_device(device), memory_format=form)
            for name, form in LAYOUTS.items()}


def placed(image, torch_net, layout):
    device = next(torch_net.parameters()).device
    return torch.from_numpy(image).to(device).contiguous(memory_format=LAYOUTS[layout])


def forwards(torch_nets, image, compiled=lambda module: module):
    return {name: forward(torch_net, placed(image, torch_net, name), compiled)
            for name, torch_net in torch_nets.items()}


def forward(torch_net, image, compiled):
    module = compiled(Straight(torch_net, tuple(image.shape[2:]), train=False))

    def run():
        with torch.inference_mode():
            return module(image)
    return run


def steps(torch_nets, image, label, compiled=lambda module: module):
    label = torch.from_numpy(label).long()
    return {name: step(torch_net, placed(image, torch_net, name), label, compiled)
            for name, torch_net in torch_nets.items()}


def step(torch_net, image, label, compiled):
    module = compiled(Loss(Straight(torch_net, tuple(image.shape[2:]), train=True)))
    sgd, label = torch.optim.SGD(torch_net.parameters(), fused=True, **SGD), label.to(image.device)

    def run():
        module(image, label).backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
    return run


def on_device(*arrays, device, layout, learns=()):
    """Tensors of NumPy arrays; those whose gradient is asked for say so."""
    form = LAYOUTS[layout]
    return [torch.from_numpy(a).to(torch_device(device)).contiguous(
        memory_format=form if a.ndim == 4 else torch.contiguous_format).requires_grad_(i in learns)
        for i, a in enumerate(arrays)]


def backward(y, reads, dy):
    return lambda: torch.autograd.grad(y, reads, dy, retain_graph=True)


def memory(device):
    """-> dict: the most that was in use, and the most that the allocator held"""
    if device == 'cpu':
        return {}
    return dict(used=torch.cuda.max_memory_allocated(), held=torch.cuda.max_memory_reserved())
