"""The paper's tables, as far as they follow from the nets and the true masks, without training.

    python benchmarks/paper_tables.py           with the upper bounds, if upper_bound.py has run
"""
import json

import upper_bound
from timing import RESULTS

from tinyfcn import build
from tinyfcn.net.summary import depth

# net: the box whose receptive field the paper counts; conv layers, parameters, field, stride there
TABLE_1 = {'fcn_alexnet': ('score_fr', '8', '57M', '355', '32'),
           'fcn32s': ('score_fr', '16', '134M', '404', '32'),
           'fcn_googlenet': ('score_fr', '22', '6M', '907', '32')}
COLUMNS = 'conv. layers', 'parameters', 'rf size', 'max stride'


def table_1():
    """Layers, parameters, receptive field and stride of three nets, beside the paper's."""
    yield f'{"":16}' + ''.join(f'{column:>15}{"(paper)":>8}' for column in COLUMNS)
    for name, (box, *paper) in TABLE_1.items():
        net = build(name, seed=None)
        alignment = net[box].alignment
        parameters = sum(w.size for w in net.params.values())
        ours = depth(net), f'{parameters:,}', alignment.field[0], alignment.scale[0]
        yield f'{name:16}' + ''.join(f'{a!s:>15}{"(" + b + ")":>8}' for a, b in zip(ours, paper))
    with_pool = build('googlenet', seed=None)['pool5/7x7_s1'].alignment.field[0]
    yield (f'\nThe paper drops GoogLeNet\'s last 7×7 pool and yet counts it: with it the receptive '
           f'field is {with_pool} pixels.')


def upper_bounds():
    """The best possible mean IU by stride, resampled in the way that is nearest to the paper."""
    path = RESULTS / 'upper_bound.json'
    if not path.exists():
        return
    row = min(json.loads(path.read_text('utf-8'))['rows'], key=lambda row: row['mean_deviation'])
    found = {int(factor): mean_iu for factor, mean_iu in row['mean_iu'].items()}
    yield f'\nThe best possible mean IU on {row["masks"]} true masks, by the downsampling factor:'
    yield upper_bound.format_row('', {factor: factor for factor in found})
    yield upper_bound.format_row('the paper', upper_bound.PAPER)
    yield upper_bound.format_row(row['way'], found)


if __name__ == '__main__':
    print(*table_1(), *upper_bounds(), sep='\n')
