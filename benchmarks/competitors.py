"""Two ways to train a net by the same recipe: tinyfcn, and PyTorch with its own ops.

    competitor = COMPETITORS['pytorch'](net)
    losses = [*competitor.train(dataset, recipe, seed)]     of each step; updates net.params
    for label, pred in competitor.predict_all(valid): …

Both train on the batches of tinyfcn.data.batches. PyTorch drops the units that tinyfcn drops, and
updates weights by Caffe's formula, which differs from torch.optim.SGD's when the rate changes; Adam
is torch.optim.Adam.
"""
from itertools import cycle

from tinyfcn.data.batches import batches
from tinyfcn.data.transforms import prepare
from tinyfcn.prediction.evaluation import predict_all
from tinyfcn.runtime.malloc import tune_allocator
from tinyfcn.training import loop


class TinyFCN:
    """tinyfcn, as `tinyfcn train` runs it."""

    def __init__(self, net):
        self.net = net
        tune_allocator()                                # as the command line does

    def train(self, dataset, recipe, seed):
        for row in loop.train(self.net, dataset, recipe, loop.make_optimizer(recipe), seed):
            yield row['loss']

    def predict_all(self, valid):
        for _, _, label, pred in predict_all(self.net, valid):
            yield label, pred


class PyTorch:
    """The same net in PyTorch's own ops, on the batches of tinyfcn."""

    def __init__(self, net, layout='PyTorch channels_last'):
        from torch_nets import LAYOUTS, TorchNet, TorchOps
        self.layout = dict(memory_format=LAYOUTS[layout])
        self.net = net
        self.torch_net = TorchNet(net).to(**self.layout)
        self.torch_net.ops = type('Ops', (TorchOps,), dict(dropout=self.dropout))
        self.params = {name: self.torch_net.get_parameter(name.replace('.', '/'))
                       for name in net.params}

    def dropout(self, x, p, train):
        """Drops the same units as tinyfcn, whose randomness depends on (seed, step, box) alone."""
        import torch
        if not train:
            return x
        rng = self.net.generator_of(next(self.dropout_boxes))
        return x * torch.from_numpy(rng.random(x.shape, 'float32') >= p) / (1 - p)

    def train(self, dataset, recipe, seed):
        import torch
        import torch.nn.functional as F
        self.torch_net.train()
        self.dropout_boxes = cycle(
            [box for box in self.net.route(True) if box.op.__name__ == 'dropout'])
        augmentation = {name: getattr(recipe, name) for name in loop.AUGMENTATION}
        stream = batches(dataset, recipe.preprocess, recipe.batch, seed, **augmentation)
        update = self.adam(recipe) if recipe.optimizer == 'adam' else self.sgd(recipe)
        size = recipe.iter_size
        for step in range(recipe.steps):
            total = 0.
            for self.net.step in range(step * size, (step + 1) * size):
                _, image, label = next(stream)
                label = torch.from_numpy(label).long()
                score = self.torch_net(torch.from_numpy(image).contiguous(**self.layout))
                loss = F.cross_entropy(score, label, ignore_index=255, reduction='sum')
                if recipe.loss == 'mean':
                    loss = loss / (label != 255).sum().clamp(min=1)
                loss.backward()                         # accumulates over the batches of a step
                total += loss.item() / size
            update(loop.learning_rate(recipe, step), size)
            yield total
        stream.close()
        for name, w in self.net.params.items():
            w[...] = self.params[name].detach().numpy()

    def sgd(self, recipe):
        """v ← μv + lr·(g/size + λw), w ← w − v, with the rules of the recipe."""
        import torch
        velocity = {name: torch.zeros_like(w) for name, w in self.params.items()}
        optimizer = loop.make_optimizer(recipe)

        @torch.no_grad()
        def update(lr, size):
            optimizer.lr = lr
            for name, w in self.params.items():
                if w.grad is not None:
                    lr_of_w, decay = optimizer.lr_and_decay(name)
                    g = w.grad / size + decay * w
                    w -= velocity[name].mul_(recipe.momentum).add_(g, alpha=lr_of_w)
                    w.grad = None

        return update

    def adam(self, recipe):
        """torch.optim.Adam on the mean gradients of a step; without rules or weight decay."""
        import torch
        if recipe.rules or recipe.weight_decay:
            raise ValueError('PyTorch trains by Adam without rules and without weight decay here')
        optimizer = torch.optim.Adam(self.params.values(), eps=loop.make_optimizer(recipe).eps)

        def update(lr, size):
            for group in optimizer.param_groups:
                group['lr'] = lr
            for w in self.params.values():
                if w.grad is not None:
                    w.grad /= size
            optimizer.step()
            optimizer.zero_grad()

        return update

    def predict_all(self, valid):
        import torch
        self.torch_net.eval()
        with torch.inference_mode():
            for i in range(len(valid)):
                image, label = valid[i]
                x = torch.from_numpy(prepare(image, self.net.about['preprocess']))
                score = self.torch_net(x.contiguous(**self.layout))
                yield label, score[0].argmax(0).to(torch.uint8).numpy()


COMPETITORS = dict(tinyfcn=TinyFCN, pytorch=PyTorch)
