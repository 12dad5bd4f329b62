"""How fast tinyfcn should be, on an idle machine, and what was measured: a section of RESULTS.md.

A ratio is the time of the fastest of some competitors divided by tinyfcn's, both medians.
"""
from collections import defaultdict
from typing import NamedTuple

from markdown_table import table
from timing import PYTORCH, ratio

NET_TARGETS = {                                 # (net, size): {what: [(competitors, ratio)]}
    ('fcn_squeezenet_4s', (240, 320)): dict(forward=[(PYTORCH, 1.2)], step=[(PYTORCH, 1.5)]),
    ('fcn8s', (500, 500)): dict(
        forward=[(PYTORCH, 1.9), (['ONNX Runtime'], 1.4), (['OpenVINO'], 1.4)],
        step=[(PYTORCH, 2.2)]),
}
PACE = 1.4                                      # of the recipes
MEMORY = dict(forward=1.06, step=2.84)          # GB at most, for FCN-8s
LAYERS = 1.                                     # the sum over a net's layers
WORST_LAYER = .8


class Target(NamedTuple):
    """A row: `measured` is None if it was not."""

    name: str
    threads: int
    sign: str
    wanted: float
    measured: float | None

    @property
    def result(self):
        if self.measured is None:
            return 'not measured'
        met = self.measured >= self.wanted if self.sign == '≥' else self.measured <= self.wanted
        return 'met' if met else 'missed'


def net_targets(rows):
    for row in rows:
        targets = NET_TARGETS.get((row['net'], tuple(row['size'])), {})
        for names, wanted in targets.get(row['what'], []):
            name = '{net} {size[0]}×{size[1]} ×{batch}, {what}'.format_map(row)
            yield Target(f'{name}: {names[0]} / tinyfcn', row['threads'], '≥', wanted,
                         ratio(row['times'], names))


def pace_targets(rows):
    for row in rows:
        yield Target(f'pace of the recipe {row["recipe"]}: PyTorch / tinyfcn', row['threads'], '≥',
                     PACE, ratio(row['times']))


def memory_targets(rows):
    for row in rows:
        if row['net'] == 'fcn8s':
            yield Target(f'fcn8s {row["what"]}: peak memory in GB', row['threads'], '≤',
                         MEMORY[row['what']], row['tinyfcn']['peak'] / 1e9)


def layer_targets(rows):
    """Of each net: the sum over its distinct layers, and the worst layer."""
    by_net = defaultdict(list)
    for row in rows:
        by_net[row['net'], row['threads']].append(row)
    for (net, threads), layers in by_net.items():
        for what in 'forward', 'backward':
            ours = sum(row[what]['tinyfcn']['median'] for row in layers)
            ratios = {row['layer']: ratio(row[what]) for row in layers}
            theirs = sum(ratio(row[what]) * row[what]['tinyfcn']['median'] for row in layers)
            worst = min(ratios, key=ratios.get)
            yield Target(f'layers of {net}, {what}: sum of PyTorch / sum of tinyfcn', threads, '≥',
                         LAYERS, theirs / ours)
            yield Target(f'layers of {net}, {what}: the worst ({worst})', threads, '≥', WORST_LAYER,
                         ratios[worst])


OF_RESULT = dict(fcn=net_targets, train_speed=pace_targets, memory=memory_targets,
                 conv=layer_targets)


def all_targets(results):
    """results: {name: dict(rows=…)}; those that are not there are left out."""
    for name, targets in OF_RESULT.items():
        if name in results:
            yield from targets(results[name]['rows'])


def markdown_section(results):
    targets = [*all_targets(results)]
    met = sum(target.result == 'met' for target in targets)
    yield f'## Targets: {met} of {len(targets)} are met\n'
    yield from table(['target', 'threads', 'wanted', 'measured', ''],
                     [[target.name, target.threads, f'{target.sign} {target.wanted:.2f}',
                       '–' if target.measured is None else f'{target.measured:.2f}',
                       target.result] for target in targets])
