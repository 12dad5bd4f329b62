"""The curves of a training run: stages, resumed runs, the running mean, and what is drawn where."""
import sys
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from tinyfcn.viz import draw_curves
from tinyfcn.viz.curves import running_mean, split


def run_rows(steps, every=20, evaluate_every=200, loss=lambda step: 3 / step):
    """The rows of a stage."""
    for step in range(every, steps + 1, every):
        yield dict(step=step, loss=loss(step), lr=1e-3, seconds=step / 10)
        if step % evaluate_every == 0:
            yield dict(step=step, mean_iu=.4, pixel_acc=.8, mean_acc=.6, fw_iu=.7)


def test_stages_follow_each_other():
    stages = split([*run_rows(400), *run_rows(200), *run_rows(60)])
    assert [(begin, len(rows)) for begin, rows in stages] == [(0, 22), (400, 11), (600, 3)]
    assert split([]) == [(0, [])]


def test_a_resumed_run_replaces_the_steps_it_repeats():
    first = [*run_rows(380)]
    resumed = [row for row in run_rows(600, loss=lambda step: 1.) if row['step'] > 300]
    (begin, rows), = split([*first, *resumed])
    assert begin == 0
    assert [row['step'] for row in rows if 'loss' in row] == [*range(20, 601, 20)]
    assert [row['loss'] == 1 for row in rows if 'loss' in row] == [False] * 15 + [True] * 15


def test_the_running_mean_by_hand():
    y = np.arange(40.)                                  # a tenth: two to the left, two to the right
    assert running_mean(y)[2:-2] == pytest.approx(y[2:-2], abs=1e-12)
    assert running_mean(y)[:2] == pytest.approx([1, 1.5])
    assert running_mean(y)[-1] == pytest.approx(38)
    y[10] = np.nan
    y[11] = np.inf
    assert running_mean(y)[9] == pytest.approx((7 + 8 + 9) / 3)
    assert np.isnan(running_mean(y)).nonzero()[0].tolist() == [10, 11], 'no curve at nan and inf'
    assert np.isnan(running_mean(np.full(3, np.nan))).all()
    assert running_mean(np.zeros(0)).size == 0


def coloured_rows(path):
    """-> (pixel rows with the blue of loss and mean IU, with the orange of accuracy), height"""
    with Image.open(path) as image:
        page = np.asarray(image.convert('RGB')).astype(int)
    return [np.flatnonzero((abs(page[:, :700] - colour).sum(-1) < 9).any(1))
            for colour in [(0, 0x72, 0xb2), (0xd5, 0x5e, 0)]], page.shape[0]


def test_the_loss_is_drawn_above_the_metrics(tmp_path):
    draw_curves(tmp_path / 'a.png', [*run_rows(2000), *run_rows(1000)])
    (blue, orange), height = coloured_rows(tmp_path / 'a.png')
    assert blue.min() < .1 * height
    assert .45 * height < orange.min() < blue.max(), 'accuracy above IU'
    draw_curves(tmp_path / 'a.png', run_rows(180))
    (blue, orange), lower = coloured_rows(tmp_path / 'a.png')
    assert lower < .6 * height and blue.size and not orange.size, 'no metrics, no panel for them'
    draw_curves(tmp_path / 'a.png', [row for row in run_rows(400) if 'loss' not in row])
    (_, orange), height = coloured_rows(tmp_path / 'a.png')
    assert orange.size and height == lower


def test_metrics_are_in_per_cent_and_the_best_is_named_beside_the_last(tmp_path):
    nan = float('nan')
    rows = [dict(step=step, mean_iu=iu, pixel_acc=.951, mean_acc=nan, fw_iu=None)
            for step, iu in enumerate([nan, .521, .508])]
    draw_curves(tmp_path / 'a.svg', rows)
    text = (tmp_path / 'a.svg').read_text('utf-8')
    for label in 'last validation', 'mean IU 50.8, best 52.1', 'pixel accuracy 95.1', 'metrics, %':
        assert f'<!-- {label} -->' in text or f'>{label}<' in text, label
    draw_curves(tmp_path / 'a.svg', rows[:2])
    assert 'mean IU 52.1 ' in (tmp_path / 'a.svg').read_text('utf-8')


def test_stages_are_drawn_one_after_the_other(tmp_path):
    rows = [dict(step=20, loss=2.), dict(step=40, loss=2.)] * 2
    draw_curves(tmp_path / 'a.png', rows)
    with Image.open(tmp_path / 'a.png') as image:
        page = np.asarray(image.convert('RGB')).astype(int)[:, :880]
    blue = (abs(page - (0, 0x72, 0xb2)).sum(-1) < 9).any(0)
    starts = np.flatnonzero(np.diff(blue.astype(int), prepend=0) == 1)
    assert len(starts) == 2, 'two lines with a gap between'


def test_more_than_a_decade_is_drawn_on_a_log_scale(tmp_path):
    """A loss that falls by a fifth at every row is a straight line there, and a bow otherwise."""
    for ratio, straight in [(.8, True), (.98, False)]:
        rows = [dict(step=i, loss=ratio ** i) for i in range(30)]
        draw_curves(tmp_path / 'a.png', [*rows, dict(step=30, loss=float('nan'))])
        with Image.open(tmp_path / 'a.png') as image:
            page = np.asarray(image.convert('RGB')).astype(int)[:, :880]
        y, x = np.nonzero(abs(page - (0, 0x72, 0xb2)).sum(-1) < 9)
        bend = np.polyfit(x / np.ptp(x), y / np.ptp(y), 2)[0]
        assert (abs(bend) < .02) == straight, bend


@pytest.mark.parametrize('rows', [
    [dict(step=20, loss=1.)],
    [dict(step=0, mean_iu=.1, pixel_acc=.2, mean_acc=float('nan'), fw_iu=None)],
    [dict(step=1, loss=float('nan')), dict(step=2, loss=float('inf'))],
    [dict(step=i, loss=[1., 0., float('nan'), 1e9][i % 4]) for i in range(100)],
    [dict(net='fcn8s'), dict(step=1, loss=2.), dict(step=1, mean_iu=.5)],
], ids=['one row', 'metrics without values', 'not finite', 'zero and nan', 'other rows'])
def test_curves_of_odd_runs(tmp_path, rows):
    draw_curves(tmp_path / 'a.png', rows)
    with Image.open(tmp_path / 'a.png') as image:
        assert image.width == 990 and image.height > 300
        assert np.asarray(image.convert('L')).min() < 80, 'there is text'


def test_curves_in_a_thread_and_as_svg_without_pyplot(tmp_path):
    before = 'matplotlib.pyplot' in sys.modules         # another test may have imported it
    threads = [Thread(target=draw_curves, args=(tmp_path / f'{i}.svg', [*run_rows(400)]))
               for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all('</svg>' in (tmp_path / f'{i}.svg').read_text('utf-8') for i in range(3))
    assert ('matplotlib.pyplot' in sys.modules) == before


@pytest.mark.parametrize('name, rows, message', [
    ('a.png', [], "a.png: no row has a 'loss' or a 'mean_iu' beside its 'step'"),
    ('a.txt', [dict(step=1, loss=1.)], r'a.txt: unknown image format.* \.png, \.svg, \.pdf'),
])
def test_errors_of_draw_curves(tmp_path, name, rows, message):
    with pytest.raises(ValueError, match=message):
        draw_curves(tmp_path / name, rows)
    assert not list(tmp_path.iterdir())
