"""Every net at full width beside PyTorch, in float32: one net a process, for the memory's sake.

    python tests/parity.py                  all: make parity
    python tests/parity.py fcn8s vgg16      some

Scores agree to 1e-4 of the largest. Of gradients the direction is compared: near a ReLU's kink two
right nets may part by a per cent, and yet point the same way (cosine ≥ 0.999).
"""
import subprocess
import sys
from contextlib import nullcontext
from time import perf_counter

import numpy as np
import torch
import torch_oracle
from oracle_net import run

from tinyfcn import build
from tinyfcn.dispatch import exact
from tinyfcn.models import NETS

# DeconvNet's fc6 needs seven rows at stride 32, and a U-Net without padding eats 184 of them
SIZES = dict(deconvnet=(224, 240), edeconvnet=(224, 240), unet=(188, 204))


def compare(name):
    """-> the largest difference of a score, relative; the smallest cosine of a gradient; whose."""
    rng, net = np.random.default_rng(1), build(name)
    for w in net.params.values():
        if not w.any():
            w += (.02 * rng.standard_normal(w.shape)).astype('float32')
    classifier = NETS[name][2] == 1000
    size = SIZES.get(name, (227, 240) if classifier else (48, 61))
    x = rng.standard_normal((1, NETS[name][1], *size)).astype('float32')
    # where two pixels nearly tie, Winograd's rounding would move a switch, and what it unpools
    unpools = any(box.op and box.op.__name__ == 'unpool' for box in net.boxes.values())
    with exact() if unpools else nullcontext():
        ours = net.forward(x, keep=True)                    # without dropout, with all caches
        ours = ours if isinstance(ours, dict) else {'score': ours}
        seeds = {head: rng.standard_normal(y.shape).astype('float32') for head, y in ours.items()}
        net.frozen = set()
        grads = net.backward(**seeds)

    torch.set_num_threads(2)
    params = {key: torch.tensor(w, requires_grad=True) for key, w in net.params.items()}
    state = {key: torch.tensor(w) for key, w in net.state.items()}
    values = run(net, torch_oracle, torch.tensor(x), params | state)
    sum((values[head] * torch.tensor(seed)).sum() for head, seed in seeds.items()).backward()
    apart = max(abs(y - values[head].detach().numpy()).max() / abs(y).max()
                for head, y in ours.items())
    cosines = {key: cosine(grad, params[key].grad.numpy()) for key, grad in grads.items()}
    worst = min(cosines, key=cosines.get)
    return apart, cosines[worst], worst


def cosine(a, b):
    a, b = a.ravel().astype('float64'), b.ravel().astype('float64')
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def main(names):
    if len(names) == 1:
        start = perf_counter()
        apart, least, worst = compare(*names)
        ok = apart <= 1e-4 and least >= .999
        print(f'{names[0]:20} scores {apart:7.1e}   cosine {least:.6f} ({worst})   '
              f'{perf_counter() - start:5.1f} s   {"ok" if ok else "APART"}', flush=True)
        return not ok
    return any([subprocess.run([sys.executable, __file__, name]).returncode for name in names])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:] or list(NETS)))
