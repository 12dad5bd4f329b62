"""The paper's tables, as far as they follow from the nets and from the true masks alone.

    python benchmarks/paper_tables.py           after upper_bound.py the upper bounds, too
"""
import json

import upper_bound
from side_by_side import RESULTS

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
    for name, (seen_by, *paper) in TABLE_1.items():
        net = build(name, seed=None)
        place, count = net[seen_by].alignment, sum(w.size for w in net.params.values())
        ours = depth(net), f'{count:,}', place.field[0], place.scale[0]
        yield f'{name:16}' + ''.join(f'{a!s:>15}{"(" + b + ")":>8}' for a, b in zip(ours, paper))
    with_pool = build('googlenet', seed=None)['pool5/7x7_s1'].alignment.field[0]
    yield (f'\nThe paper drops GoogLeNet\'s last 7×7 pool and yet counts it: with it a unit sees '
           f'{with_pool} pixels.')


def upper_bounds():
    """Mean IU at best, by stride, of the way that comes nearest to the paper."""
    path = RESULTS / 'upper_bound.json'
    if not path.exists():
        return
    row = min(json.loads(path.read_text('utf-8'))['rows'], key=lambda row: row['apart'])
    found = {int(factor): mean_iu for factor, mean_iu in row['mean_iu'].items()}
    yield f'\nMean IU at best on {row["masks"]} true masks, seen through cells of so many pixels:'
    yield upper_bound.line('', {factor: factor for factor in found})
    yield upper_bound.line('the paper', upper_bound.PAPER)
    yield upper_bound.line(row['way'], found)


if __name__ == '__main__':
    print(*table_1(), *upper_bounds(), sep='\n')
