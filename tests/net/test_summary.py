"""The table of a net: its rows, its sums, and the arithmetic of every crop."""
import re

import pytest

from tinyfcn import Net, build
from tinyfcn.cli import main
from tinyfcn.layers import (
    add,
    avg_pool_to,
    batch_norm,
    conv,
    crop,
    deconv,
    max_pool,
    relu,
    resize,
    upsample,
)
from tinyfcn.net.summary import compare_nets, multiply_adds, summary


def test_rows():
    n = Net(3)
    n.conv1 = conv(n.data, 3, 3, pad=1)
    n.pool1 = max_pool(relu(n.conv1), 2)
    n.bins = avg_pool_to(n.pool1, 1)
    rows = [row.split() for row in n.summary((9, 6)).splitlines()]
    assert rows[0] == ['box', 'channels', 'stride', 'field', 'begins', 'parameters', 'size',
                       'multiply-adds', 'MB']
    assert rows[2] == 'conv1 = conv(data, 3, 3, pad=1) 3 1 3 0 84 9×6 4,374 0.0'.split()
    assert rows[4] == 'pool1 = max_pool(relu(conv1), 2) 3 2 4 0.5 5×3 0.0'.split()
    assert rows[5] == 'bins = avg_pool_to(pool1, 1) 3 1×1 0.0'.split(), 'it is unaligned'
    assert rows[6] == ['all', '84', '4,374', '0.0']
    assert 'MB' not in n.summary() and '9×6' not in n.summary()


def test_multiply_adds_of_fcn32s():
    """150.3 thousand million in the trunk, 26.3 in fc6, 4.3 in fc7, 0.46 in a dense upscore."""
    n = build('fcn32s', seed=None, up='learned')
    sizes = n.sizes((500, 500))
    cost = {box.name: multiply_adds(n, box, sizes) for box in n.boxes.values()}
    trunk = sum(count for name, count in cost.items() if name.startswith('conv'))
    assert [round(v / 1e9, 1) for v in (trunk, cost['fc6'], cost['fc7'])] == [150.3, 26.3, 4.3]
    assert round(cost['upscore'] / 1e9, 2) == .46
    assert round(sum(cost.values()) / 1e9, 1) == 181.4


def test_multiply_adds_of_groups_and_transposes():
    n = Net(4)
    n.grouped = conv(n.data, 8, 3, groups=2)
    n.up = deconv(n.data, 2, (4, 2), stride=2)
    sizes = n.sizes((10, 7))
    assert multiply_adds(n, n.grouped, sizes) == 8 * 5 * (8 * 2 * 9)
    assert multiply_adds(n, n.up, sizes) == 10 * 7 * (4 * 2 * 8)


@pytest.mark.parametrize('name, crops', [
    ('fcn32s', ['(0 + 19) / 1 = 19']),
    ('fcn8s', ['(-11.5 + 91.5) / 16 = 5', '(-23.5 + 95.5) / 8 = 9', '(0 + 31) / 1 = 31']),
    ('fcn_alexnet', ['(0 + 18) / 1 = 18'])])
def test_why_each_crop_is_what_it_is(name, crops):
    assert re.findall(r': (\(.*)', build(name, seed=None).summary()) == crops


def test_arguments_that_say_what_holds_anyway_are_left_out():
    n = build('deeplab_largefov', seed=None, width=1/64)
    text = summary(n)
    assert re.search(r'conv1_1 = conv\(data, \d+, 3, pad=1\)  ', text)
    assert re.search(r'conv5_1 = conv\(pool4, \d+, 3, pad=2, dilation=2\)  ', text)
    text += summary(build('resnet101', seed=None, width=1/64))
    assert 'dilation=12' in text and not re.search(r'dilation=1\b', text)


def test_the_command(capsys):
    assert main(['summary', 'fcn8s', '--size', '375x500']) == 0
    printed = capsys.readouterr().out
    assert '134,362,751' in printed and '440×568' in printed
    assert '(-11.5 + 91.5) / 16 = 5' in printed
    assert main(['summary', 'fcn8s', '--classes', '2']) == 0
    assert '134,' in capsys.readouterr().out
    assert main(['summary', 'fcn9s']) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("tinyfcn: no net called 'fcn9s'") and 'fcn8s' in printed
    with pytest.raises(SystemExit) as stop:
        main(['summary', 'fcn8s', '--size', 'big'])
    assert stop.value.code == 2 and "'big' is not a size" in capsys.readouterr().err


def test_a_net_by_the_name_of_weights_or_by_a_run(capsys, tmp_path):
    build('tiny_8s', 3, width=1/8).save(tmp_path / 'best.safetensors')
    assert main(['summary', str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] != ['all', '0']
    assert main(['summary', 'siftflow-fcn8s-heavy', '--size', '64x64']) == 0
    assert 'score_geo = crop(' in capsys.readouterr().out
    assert main(['summary', 'caffenet', 'vgg16_torchvision']) == 0
    assert '| vgg16_torchvision |' in capsys.readouterr().out


def test_compare_nets_by_hand():
    """Every column is known: two convolutions, one dilated, a skip, bilinear upsampling."""
    n = Net(1)
    n.first = conv(n.data, 2, 3, stride=2, pad=3)
    n.norm = batch_norm(n.first)
    n.second = conv(n.norm, 2, 3, pad=4, dilation=4)
    n.sum = add(n.norm, n.second)
    n.up = upsample(n.sum, 2, ksize=3)
    n.score = crop(n.up, like=n.data)
    head, line, row = compare_nets({'mine': n}).splitlines()
    assert [cell.strip() for cell in row.strip('|').split('|')] == [
        'mine', str(18 + 2 + 4 + 36 + 2), '2', '2', str(3 + 2 * 8 + 2), '4', 'batch', 'sum',
        'bilinear']
    assert len(head) == len(line) == len(row)
    bins = Net(1)
    bins.mean = avg_pool_to(bins.data, 1)
    bins.score = add(bins.data, resize(bins.mean, like=bins.data))
    both = compare_nets({'mine': n, 'bins': bins})
    assert both.splitlines()[3].split('|')[5].strip() == 'all'
    n = Net(1)
    n.conv = conv(n.data, 2, 3)
    n.score = avg_pool_to(n.conv, 1)
    assert compare_nets({'mean': n}).splitlines()[2].split('|')[5].strip() == 'all'


def test_a_long_box_has_a_line_of_its_own():
    lines = build('pspnet', seed=None, width=1/64).summary().splitlines()
    i = next(i for i, line in enumerate(lines) if line.startswith('ppm = concat('))
    assert lines[i].endswith('align_corners=True))') and len(lines[i]) > 200
    assert re.fullmatch(r' +\d+ +8 +1023 +0', lines[i + 1])
    assert max(len(line) for line in lines if line != lines[i]) < 120
