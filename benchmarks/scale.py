"""How time and memory of FCN-8s grow with pixels, channels, images, classes and threads.

    python benchmarks/scale.py

Every point in its own process, with half the channels of the paper's net unless channels vary. An
exponent is the slope of log(time) over log(quantity): 1 is linear. fc6 is listed separately: its
output is smaller than the image by its own window.
"""
import json
import sys
from collections import Counter
from time import perf_counter

from timing import (
    THREADS,
    check_machine,
    np,
    peak_memory,
    random_batch,
    random_net,
    run_in_subprocess,
    save,
)

from tinyfcn import ops, optim

PAD = 200                                       # what FCN's first padding adds to each axis
AXES = {                                        # the quantity: the points at which it is measured
    'pixels': [dict(side=side) for side in (256, 384, 512, 768, 1024)],
    'channels': [dict(width=width) for width in (.125, .25, .5, 1.)],
    'images': [dict(batch=batch) for batch in (1, 2, 4)],
    'classes': [dict(n_class=n) for n in (2, 21, 60, 150)],
    'threads': [dict(threads=n) for n in range(1, THREADS + 1)],
}
STANDARD = dict(side=456, width=.5, batch=1, n_class=21, threads=THREADS)
QUANTITY = dict(pixels=lambda point: point['side'] ** 2, channels=lambda point: point['width'],
                images=lambda point: point['batch'], classes=lambda point: point['n_class'],
                threads=lambda point: point['threads'])


def measure(side, width, batch, n_class, threads):
    """-> seconds of forward and of a step, without and of fc6, and the peak memory in bytes"""
    net = random_net('fcn8s', width=width, n_class=n_class)
    image, label = random_batch(net, (side - PAD, side - PAD), batch)
    sgd = optim.SGD(lr=1e-10, momentum=.99)
    forward = [time_boxes(net.walk(image, keep=False)) for _ in range(4)][1:]
    forward_peak = peak_memory()
    steps = [time_step(net, image, label, sgd) for _ in range(3)][1:]
    seconds = {}
    for what, rounds in dict(forward=forward, step=steps).items():
        seconds[f'{what}_fc6'] = min(spent['fc6'] for spent in rounds)
        seconds[what] = min(spent.total() - spent['fc6'] for spent in rounds)
    return dict(seconds, forward_peak=forward_peak, step_peak=peak_memory())


def time_boxes(walk):
    """-> seconds by box, while walking"""
    spent = Counter()
    before = perf_counter()
    for box, _ in walk:
        spent[box.name] += perf_counter() - before
        before = perf_counter()
    return spent


def time_step(net, image, label, sgd):
    spent = time_boxes(net.walk(image, train=True, keep=False))
    start = perf_counter()
    _, dscore = ops.softmax_cross_entropy(net.values['score'], label)
    spent['loss'] = perf_counter() - start
    spent += time_boxes(net.walk_back(score=dscore))
    start = perf_counter()
    sgd.step(net.params, {name: net.grads[name] for name in net.params})
    net.caches.clear()
    net.grads.clear()
    spent['sgd'] = perf_counter() - start
    return spent


def fit_exponent(quantity, values):
    """The slope of log(values) over log(quantity)."""
    return float(np.polyfit(np.log(quantity), np.log(values), 1)[0])


def main():
    machine = check_machine()
    rows = []
    measured = {}                               # the standard point is on most axes
    for axis, changes in AXES.items():
        row = dict(axis=axis, points=[])
        for change in changes:
            point = {**STANDARD, **change}
            key = tuple(point.values())
            if key not in measured:
                measured[key] = run_in_subprocess(__file__, json.dumps(point),
                                                  TINYFCN_THREADS=str(point['threads']))
            row['points'].append(dict(point, quantity=QUANTITY[axis](point), **measured[key]))
        quantity = [point['quantity'] for point in row['points']]
        row['exponents'] = {what: fit_exponent(quantity, [point[what] for point in row['points']])
                            for what in measured[key]}
        print(axis, ' '.join(f'{what} {slope:.2f}' for what, slope in row['exponents'].items()),
              flush=True)
        rows.append(row)
    save('scale', rows, machine)


if __name__ == '__main__':
    if sys.argv[1:]:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
    else:
        main()
