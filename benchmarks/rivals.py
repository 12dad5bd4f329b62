"""Two that learn by the same recipe: tinyfcn, and PyTorch in its own ops.

    rival = RIVALS['pytorch'](net)
    losses = [*rival.losses(pictures, recipe, seed)]        the loss of each step; net.params move
    for label, pred in rival.predictions(valid): …

The batches of both are tinyfcn.data.batches'. PyTorch drops the units that tinyfcn drops, and
steps in Caffe's order, which with a falling rate is another than torch.optim.SGD's.
"""
from itertools import cycle

from tinyfcn.data.batches import batches
from tinyfcn.data.transforms import prepare
from tinyfcn.prediction.predict import predict_all
from tinyfcn.runtime.malloc import tune_allocator
from tinyfcn.training import loop


class Ours:
    """tinyfcn, as `tinyfcn train` runs it."""

    def __init__(self, net):
        self.net = net
        tune_allocator()                                   # as the command line does

    def losses(self, pictures, recipe, seed):
        for row in loop.train(self.net, pictures, recipe, loop.make_optimizer(recipe), seed):
            yield row['loss']

    def predict_all(self, valid):
        for _, _, label, pred in predict_all(self.net, valid):
            yield label, pred


class PyTorch:
    """The same in PyTorch's own ops; the stream of batches alone is ours."""

    def __init__(self, net):
        import torch
        from twin import Twin
        self.layout = dict(memory_format=torch.channels_last)           # the quicker one
        self.net, self.twin = net, Twin(net).to(**self.layout)
        self.params = {name: self.twin.get_parameter(name.replace('.', '/')) for name in net.params}

    def dropout(self, x, p, train):
        """Drops what tinyfcn would: chance is a function of (seed, step, box)."""
        import torch
        if not train:
            return x
        rng = self.net._op_kwargs(next(self.dropouts), True, {})['rng']
        return x * torch.from_numpy(rng.random(x.shape, 'float32') >= p) / (1 - p)

    def losses(self, pictures, recipe, seed):
        import torch
        import torch.nn.functional as F
        from twin import Native
        Native.dropout = self.dropout                   # the one who learns last is asked
        self.twin.train()
        self.dropouts = cycle([b for b in self.net.route(True) if b.op.__name__ == 'dropout'])
        stream = batches(pictures, recipe.preprocess, recipe.batch, seed,
                         **{name: getattr(recipe, name) for name in loop.AUGMENTATION})
        velocity = {name: torch.zeros_like(w) for name, w in self.params.items()}
        size = recipe.iter_size
        for step in range(recipe.steps):
            total = 0.
            for self.net.step in range(step * size, (step + 1) * size):
                _, image, label = next(stream)
                label = torch.from_numpy(label).long()
                score = self.twin(torch.from_numpy(image).contiguous(**self.layout))
                loss = F.cross_entropy(score, label, ignore_index=255, reduction='sum')
                if recipe.loss == 'mean':
                    loss = loss / (label != 255).sum().clamp(min=1)
                loss.backward()                         # adds to what the others of the step gave
                total += loss.item() / size
            self.descend(velocity, recipe, loop.learning_rate(recipe, step), size)
            yield total
        stream.close()
        for name, w in self.net.params.items():
            w[...] = self.params[name].detach().numpy()

    def descend(self, velocity, recipe, lr, size):
        """v ← μv + lr·(g/size + λw), w ← w − v, under the rules."""
        import torch
        how = loop.make_optimizer(recipe)
        how.lr = lr
        with torch.no_grad():
            for name, w in self.params.items():
                if w.grad is not None:
                    own, decay = how.lr_and_decay(name)
                    g = w.grad / size + decay * w
                    w -= velocity[name].mul_(recipe.momentum).add_(g, alpha=own)
                    w.grad = None

    def predict_all(self, valid):
        import torch
        self.twin.eval()
        with torch.inference_mode():
            for image, label in map(valid.__getitem__, range(len(valid))):
                x = torch.from_numpy(prepare(image, self.net.about['preprocess']))
                score = self.twin(x.contiguous(**self.layout))
                yield label, score[0].argmax(0).to(torch.uint8).numpy()


RIVALS = dict(tinyfcn=Ours, pytorch=PyTorch)
