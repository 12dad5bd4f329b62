"""docs/imbalance.md: it shows what benchmarks/imbalance.py measured."""
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / 'benchmarks'))
with pytest.MonkeyPatch.context() as patch:             # benchmarks use two threads; tests use one
    patch.setenv('TINYFCN_THREADS', '1')
    import imbalance
    from timing import RESULTS


def test_the_cross_is_rare_and_only_in_every_fourth_image():
    dataset = imbalance.shapes_with_a_small_cross(seed=5, images=12)
    has_cross = [(label == imbalance.CROSS).any() for _, label in dataset]
    assert has_cross == [i % 4 == 0 for i in range(12)]
    shares = imbalance.class_shares(dataset)
    assert np.isclose(sum(shares), 1) and .002 < shares[imbalance.CROSS] < .005


def test_a_row_is_trained_and_evaluated():
    name = "loss='ce+dice', rare_classes=.5"
    dataset = imbalance.shapes_with_a_small_cross(seed=5, images=8)
    net = imbalance.train_net(imbalance.ROWS[name], 0, 1, dataset)
    row = dict(name=name, runs=[imbalance.evaluate(net, dataset)])
    assert all(0 <= value <= 100 for value in row['runs'][0].values())
    assert list(imbalance.table_lines([row]))[2].startswith(f'| `{name}` | ')


def test_the_page_shows_the_results_that_are_stored():
    rows = json.loads((RESULTS / 'imbalance.json').read_text('utf-8'))['rows']
    assert {row['name']: row['changes'] for row in rows} == imbalance.ROWS
    assert {(row['steps'], len(row['runs'])) for row in rows} == {
        (imbalance.STEPS, len(imbalance.SEEDS))}
    page = (ROOT / 'docs/imbalance.md').read_text('utf-8')
    assert '\n'.join(['<!-- table -->', *imbalance.table_lines(rows), '<!-- end -->']) in page
