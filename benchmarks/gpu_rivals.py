"""PyTorch on a card at its best: nothing asked of Python twice, cuDNN's choice, fused updates.

    straight = Straight(twin, size, train)      a Twin for images of one size, which compiles whole
    rivals = forwards(twins, image)             {'PyTorch': run, 'PyTorch channels_last': run}
    rivals = steps(twins, image, label)
"""
from side_by_side import SGD

# isort: split
import torch
import torch.nn.functional as F
from fcn import LAYOUTS
from twin import Native, Twin

torch.backends.cudnn.benchmark = True           # it tries all its ways once, and keeps the quickest


def set_precision(name):
    """What tinyfcn.backend.precision is, for all that PyTorch computes from now on."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == 'tf32'


def torch_device(device):
    return 'cuda' if device == 'gpu' else 'cpu'


class Straight(torch.nn.Module):
    """The boxes of a Twin in a row, with all that depends on the size of an image worked out."""

    def __init__(self, twin, size, train):
        super().__init__()
        self.twin, self.row = twin, []
        net, = twin.net
        route, sizes = net.route(train=False), net.sizes(size)
        readers = [name for box in route for name in box.inputs]
        for box in route:
            op, how = box.op.__name__, dict(box.kwargs)
            if box.like:
                how['size'] = tuple(sizes[box.like])
            if 'train' in box.asks:
                how['train'] = train
            if op == 'relu':
                how['inplace'] = readers.count(box.inputs[0]) == 1 and box.inputs[0] != 'data'
            reads = [name.replace('.', '/') for name in box.reads]
            tent = f'{box.name}/tent' if op == 'upsample' else None
            self.row.append((getattr(Native, op), tuple(reads), how, tent, box.name))
        last = {name: i for i, (_, reads, *_) in enumerate(self.row) for name in reads}
        self.dying = [[name for name in reads if last[name] == i and '/' not in name]
                      for i, (_, reads, *_) in enumerate(self.row)]

    def forward(self, image):
        values = {'data': image}
        for (op, reads, how, tent, name), dying in zip(self.row, self.dying):
            arrays = [values[key] if key in values else getattr(self.twin, key) for key in reads]
            if tent:
                how = dict(how, tent=getattr(self.twin, tent))
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
    return {name: Twin(net).to(torch_device(device), memory_format=form)
            for name, form in LAYOUTS.items()}


def placed(image, twin, layout):
    device = next(twin.parameters()).device
    return torch.from_numpy(image).to(device).contiguous(memory_format=LAYOUTS[layout])


def forwards(twins, image, compiled=lambda module: module):
    return {name: forward(twin, placed(image, twin, name), compiled)
            for name, twin in twins.items()}


def forward(twin, image, compiled):
    module = compiled(Straight(twin, tuple(image.shape[2:]), train=False))

    def run():
        with torch.inference_mode():
            return module(image)
    return run


def steps(twins, image, label, compiled=lambda module: module):
    return {name: step(twin, placed(image, twin, name), torch.from_numpy(label).long(), compiled)
            for name, twin in twins.items()}


def step(twin, image, label, compiled):
    module = compiled(Loss(Straight(twin, tuple(image.shape[2:]), train=True)))
    sgd, label = torch.optim.SGD(twin.parameters(), fused=True, **SGD), label.to(image.device)

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
