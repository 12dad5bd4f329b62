"""Nets as diagrams: which boxes are drawn in which row, and what the arrows pass."""
from types import SimpleNamespace
from xml.etree.ElementTree import parse

import pytest

from tinyfcn import build
from tinyfcn.viz import draw_net, layout
from tinyfcn.viz.net_layout import detour_depths, row_bottoms


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
    ('edeconvnet', [f'pool{i}_deconv unpool{i}_deconv' for i in (5, 4, 3, 2, 1)])])
def test_skips_run_below_the_row_and_do_not_cross(name, skips):
    """The innermost is the least deep; an arrow to the next box needs no detour."""
    depths = detour_depths(*layout(build(name, seed=None, width=1/64)))
    assert {*depths} == {tuple(skip.split()) for skip in skips}
    assert [*depths.values()] == sorted(depths.values()) and len({*depths.values()}) == 5


# ---- a U

@pytest.mark.parametrize('name, rows, skips', [
    ('unet', {0: ['data', 'conv1_1', 'conv1_2', 'concat1', 'conv1_3', 'conv1_4', 'score'],
              1: ['pool1', 'conv2_1', 'conv2_2', 'concat2', 'conv2_3', 'conv2_4', 'upconv1'],
              4: ['pool4', 'conv5_1', 'conv5_2', 'upconv4']},
     ['conv4_2 concat4', 'conv3_2 concat3', 'conv2_2 concat2', 'conv1_2 concat1']),
    ('segnet', {0: ['data', 'conv1_1', 'conv1_2', 'conv1_2_D', 'score'],
                5: ['pool5', 'pool5_D']}, [f'pool{i} pool{i}_D' for i in (4, 3, 2, 1)])])
def test_a_net_down_and_up_again_is_a_u(name, rows, skips):
    """A row for each stride, and every skip within its row."""
    found, arrows = rows_of(name)
    assert {row: found[row] for row in rows} == rows
    row_of = {box: row for row, boxes in found.items() for box in boxes}
    for source, target in (skip.split() for skip in skips):
        assert row_of[source] == row_of[target]
        assert (source, target) in [arrow[:2] for arrow in arrows]


def test_nets_without_a_way_up_are_no_u():
    for name in 'vgg16', 'squeezenet', 'deeplab_aspp':
        rows, _ = rows_of(name)
        assert [*rows] == [0], name


# ---- lines

@pytest.mark.parametrize('name', ['pspnet', 'resnet101', 'deeplab_resnet101', 'fcn_googlenet'])
def test_a_long_net_is_folded_into_lines(name):
    net = build(name, seed=None, width=1/64)
    places, arrows = layout(net)
    assert max(place.right for place in places.values()) < 32, 'it was up to 95'
    begins = {box for box in places if box not in net.boxes}
    assert begins and all(box.endswith('…') and box[:-1] in net.boxes for box in begins)
    for source, target, _ in arrows:
        if source in begins:                            # a line goes on from its last box above
            assert places[source[:-1]].row < places[source].row == places[target].row
    drawn = {arrow.target for arrow in arrows} | {'data'}
    assert drawn == {*places} - begins, 'every box is still reached'


def test_no_name_and_no_arrow_is_drawn_over_the_next_row():
    """Below the deepest arrow of a row is space for the two lines of a name."""
    places, arrows = layout(build('pspnet', seed=None, width=1/64))
    depths = detour_depths(places, arrows)
    bottoms = row_bottoms(places, depths)
    for (source, _), depth in depths.items():
        row = places[source].row
        if row + 1 < len(bottoms):
            assert bottoms[row] - depth > bottoms[row + 1] + 1 + 2 * .17


# ---- files

@pytest.mark.parametrize('suffix', ['png', 'svg'])
def test_a_file_is_written(tmp_path, suffix):
    draw_net(build('fcn16s', seed=None, width=1/64), tmp_path / f'net.{suffix}')
    assert (tmp_path / f'net.{suffix}').stat().st_size > 5000


@pytest.mark.parametrize('name', [
    '$\\frac{1}$', 'a$b', '\x1b[2J\u202e', '-->\n<script>', 5000 * 'x'])
def test_boxes_of_any_name_are_drawn(tmp_path, name):
    net = build('tiny_32s', seed=None)
    boxes = {renamed(key, name): SimpleNamespace(
        name=renamed(key, name), op=box.op, kwargs=box.kwargs, alignment=box.alignment,
        inputs=[renamed(source, name) for source in box.inputs]) for key, box in net.boxes.items()}
    outputs = [renamed(key, name) for key in net.outputs()]
    draw_net(SimpleNamespace(boxes=boxes, outputs=lambda: outputs), tmp_path / 'net.svg')
    parsed = parse(tmp_path / 'net.svg')
    assert parsed.getroot().tag.endswith('svg') and not [
        element for element in parsed.iter() if 'script' in str(element.tag)]


def renamed(key, name):
    return key if key == 'data' else f'{key}{name}'
