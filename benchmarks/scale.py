"""How time and memory of FCN-8s grow with pixels, channels, pictures, classes and threads.

    python benchmarks/scale.py

Every point in a process of its own, half as wide as the paper's net unless channels vary. An
exponent is the slope of log(time) over log(quantity): 1 is linear. fc6 stands apart: its map is
smaller than the image by what its own window takes off.
"""
import json
import sys
from collections import Counter
from time import perf_counter

from side_by_side import THREADS, apart, np, peak, save, some_image, some_net, start

from tinyfcn import ops, optim

PAD = 200                                       # what FCN's first padding adds to each side
AXES = {                                        # the quantity: the points at which it is measured
    'pixels': [dict(side=side) for side in (256, 384, 512, 768, 1024)],
    'channels': [dict(width=width) for width in (.125, .25, .5, 1.)],
    'pictures': [dict(batch=batch) for batch in (1, 2, 4)],
    'classes': [dict(n_class=n) for n in (2, 21, 60, 150)],
    'threads': [dict(threads=n) for n in range(1, THREADS + 1)],
}
STANDARD = dict(side=456, width=.5, batch=1, n_class=21, threads=THREADS)
QUANTITY = dict(pixels=lambda at: at['side'] ** 2, channels=lambda at: at['width'],
                pictures=lambda at: at['batch'], classes=lambda at: at['n_class'],
                threads=lambda at: at['threads'])


def point(side, width, batch, n_class, threads):
    """-> seconds of forward and of a step, fc6 apart, and the peak of memory in bytes"""
    net = some_net('fcn8s', width=width, n_class=n_class)
    image, label = some_image(net, (side - PAD, side - PAD), batch)
    sgd, took = optim.SGD(lr=1e-10, momentum=.99), {}
    forward = [timed(net.walk(image, keep=False)) for _ in range(4)][1:]
    forward_peak = peak()
    steps = [step(net, image, label, sgd) for _ in range(3)][1:]
    for what, rounds in dict(forward=forward, step=steps).items():
        took[f'{what}_fc6'] = min(spent['fc6'] for spent in rounds)
        took[what] = min(spent.total() - spent['fc6'] for spent in rounds)
    return dict(took, forward_peak=forward_peak, step_peak=peak())


def timed(walk):
    """Seconds by box."""
    spent, before = Counter(), perf_counter()
    for box, _ in walk:
        spent[box.name] += perf_counter() - before
        before = perf_counter()
    return spent


def step(net, image, label, sgd):
    spent, start = timed(net.walk(image, train=True, keep=False)), perf_counter()
    _, dscore = ops.softmax_cross_entropy(net.values['score'], label)
    spent['loss'] = perf_counter() - start
    spent += timed(net.walk_back(score=dscore))
    start = perf_counter()
    sgd.step(net.params, {name: net.grads[name] for name in net.params})
    net.caches.clear()
    net.grads.clear()
    spent['sgd'] = perf_counter() - start
    return spent


def exponent(quantity, values):
    """The slope of log(values) over log(quantity)."""
    return float(np.polyfit(np.log(quantity), np.log(values), 1)[0])


def main():
    before, rows, done = start(), [], {}
    for axis, points in AXES.items():
        row = dict(axis=axis, points=[])
        for change in points:
            at = {**STANDARD, **change}
            key = tuple(at.values())
            if key not in done:                             # the standard lies on most axes
                done[key] = apart(__file__, json.dumps(at), TINYFCN_THREADS=str(at['threads']))
            row['points'].append(dict(at, quantity=QUANTITY[axis](at), **done[key]))
        quantity = [p['quantity'] for p in row['points']]
        row['exponents'] = {what: exponent(quantity, [p[what] for p in row['points']])
                            for what in done[key]}
        print(axis, ' '.join(f'{what} {slope:.2f}' for what, slope in row['exponents'].items()),
              flush=True)
        rows.append(row)
    save('scale', rows, before)


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(point(**json.loads(sys.argv[1]))))
    else:
        main()
