"""Nets as diagrams: which boxes are drawn in which row, and what the arrows pass."""
import pytest

from tinyfcn import build
from tinyfcn.viz import draw_net, layout
from tinyfcn.viz.nets import detour_depths


def rows_of(name):
    """-> {row: names from left to right}, arrows"""
    places, arrows = layout(build(name, seed=None, width=1/64))
    rows = {}
    for box, place in sorted(places.items(), key=lambda item: item[1].x):
        rows.setdefault(place.row, []).append(box)
    return rows, arrows


def test_fcn8s_is_drawn_as_figure_3():
    rows, arrows = rows_of('fcn8s')
    assert [name for name in rows[0] if not name.startswith(('conv', 'fc'))] == [
        'data', 'pool1', 'pool2', 'pool3', 'pool4', 'pool5', 'score_fr', 'upscore2']
    assert rows[1] == ['score_pool4', 'fuse_pool4', 'upscore_pool4']
    assert rows[2] == ['score_pool3', 'fuse_pool3', 'upscore8', 'score']
    assert {('pool4', 'score_pool4', ''), ('score_pool4', 'fuse_pool4', 'crop 5'),
            ('upscore2', 'fuse_pool4', ''), ('score_pool3', 'fuse_pool3', 'crop 9'),
            ('upscore8', 'score', 'crop 31')} <= set(arrows)


def test_a_second_stream_has_a_row_of_its_own():
    rows, _ = rows_of('nyud_rgb_hha_16s')
    assert rows[0][:2] == ['data', 'conv1_1color'] and rows[1][0] == 'conv1_1hha'
    assert 'score_fused' in rows[1]


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_googlenet', 'fcn_squeezenet_4s', 'siftflow_8s'])
def test_no_two_boxes_of_a_row_overlap(name):
    places, _ = layout(build(name, seed=None, width=1/64))
    for row in {place.row for place in places.values()}:
        in_row = sorted(place for place in places.values() if place.row == row)
        assert all(left.right < right.x for left, right in zip(in_row, in_row[1:]))


@pytest.mark.parametrize('name, skips', [
    ('unet', ['relu4_2 concat4', 'relu3_2 concat3', 'relu2_2 concat2', 'relu1_2 concat1']),
    ('segnet', [f'pool{i} pool{i}_D' for i in (4, 3, 2, 1)])])
def test_skips_run_below_the_row_and_do_not_cross(name, skips):
    """The innermost is the least deep; an arrow to the next box needs no detour."""
    depths = detour_depths(*layout(build(name, seed=None, width=1/64)))
    assert {*depths} == {tuple(skip.replace('relu', 'conv').split()) for skip in skips}
    assert [*depths.values()] == sorted(depths.values()) and len({*depths.values()}) == 4


@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_a_file_is_written(tmp_path, suffix):
    draw_net(build('fcn16s', seed=None, width=1/64), tmp_path / f'net.{suffix}')
    assert (tmp_path / f'net.{suffix}').stat().st_size > 5000
