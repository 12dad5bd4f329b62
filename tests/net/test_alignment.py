"""Alignment of boxes with the image: receptive fields measured, crop offsets derived."""
from fractions import Fraction

import numpy as np
import pytest

from tinyfcn import Net, build
from tinyfcn.layers import (
    add,
    avg_pool_to,
    channels,
    concat,
    conv,
    crop,
    deconv,
    max_pool,
    pad,
    resize,
    upsample,
)
from tinyfcn.net.alignment import Alignment


@pytest.mark.parametrize('name, crops', [('fcn32s', [19]), ('fcn16s', [5, 27]),
                                         ('fcn8s', [5, 9, 31])])
def test_the_papers_crop_offsets_are_derived(name, crops):
    boxes = build(name, seed=None).boxes.values()
    offsets = [box.kwargs['offset'] for box in boxes if 'offset' in box.kwargs]
    assert offsets == [(c, c) for c in crops]


def test_alignments_of_the_trunk():
    """The column of fcn32s over the image: where unit 0 sits, its stride, its receptive field."""
    n = build('fcn32s', seed=None)
    for name, shift, stride, field in [('pool1', -98.5, 2, 6), ('pool2', -97.5, 4, 16),
                                       ('pool3', -95.5, 8, 44), ('pool4', -91.5, 16, 100),
                                       ('pool5', -83.5, 32, 212), ('fc6', 12.5, 32, 404)]:
        place = n[name].alignment
        assert (place.shift[0], place.scale[0], place.field[1]) == (shift, stride, field), name


def test_a_crop_that_needs_no_padding():
    """With conv1_1 padded by 1 and fc6 by 3 every upsampling by 2s padded by s/2 aligns at 0."""
    n = Net(1)
    x = n.data
    for i in range(5):
        x = n[f'conv{i}'] = conv(x, 1, 3, pad=1)
        x = n[f'pool{i}'] = max_pool(x, 2)
    n.fc6 = conv(x, 1, 7, pad=3)
    assert n.fc6.alignment.shift == (Fraction(31, 2),) * 2
    n.up = upsample(n.fc6, 32, pad=16)
    n.score = crop(n.up, like=n.data)
    assert n.score.kwargs['offset'] == (0, 0) and n.sizes((64, 96))['up'] == (64, 96)


def linear_net(rng, transposed):
    """Four convolutions, perhaps one of them transposed, with all weights 1: no pixel cancels."""
    n = Net(1, dtype='float64')
    x = n.data
    for i in range(4):
        k, s, p, d = (int(v) for v in rng.integers((1, 1, 0, 1), (5, 3, 3, 3)))
        if i == 2 and transposed:
            x = n.box2 = deconv(x, 1, (k + s, 3), (s, 2), (p, 1))
        else:
            x = n[f'box{i}'] = conv(x, 1, (k, 3), (s, 1), p, d)
    for name, w in n.params.items():
        w[...] = name.endswith('.w')
    return n, x


@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.parametrize('seed', range(10))
def test_receptive_field_measured_by_perturbation(seed, transposed):
    """The pixels that move a unit, found by backward: all of its field, or no more than that."""
    n, last = linear_net(np.random.default_rng(seed), transposed)
    size = 241, 61
    y = n.forward(np.ones((1, 1, *size)), keep=True)
    unit = y.shape[2] // 2, y.shape[3] // 2
    one = np.zeros_like(y)
    one[0, 0, unit[0], unit[1]] = 1
    n.backward(**{last.name: one})
    seen = np.argwhere(n.grads['data'][0, 0])
    for axis in 0, 1:
        place = last.alignment
        centre = place.scale[axis] * unit[axis] + place.shift[axis]
        reach = (place.field[axis] - 1) / 2
        low, high = centre - reach, centre + reach
        if transposed:          # its taps fall between the pixels of some units
            assert low <= seen[:, axis].min() and seen[:, axis].max() <= high
        else:
            assert (seen[:, axis].min(), seen[:, axis].max()) == (low, high)


def test_shifted():
    n = Net(2)
    n.pooled = max_pool(n.data, 2)
    n.padded = pad(n.pooled, (1, 3))
    assert n.padded.alignment == Alignment((2, 2), (Fraction(1, 2) - 2, Fraction(1, 2) - 6))
    n.cut = crop(n.padded, like=n.pooled)
    assert n.cut.kwargs['offset'] == (1, 3) and n.cut.alignment == n.pooled.alignment
    n.one = channels(n.cut, 0, 1)
    n.wide = conv(n.pooled, 1, 5, pad=2)
    n.both = concat(n.one, n.wide)
    assert n.both.alignment == n.pooled.alignment
    assert n.both.alignment.field == (10, 10), 'the wider field'


def test_unaligned():
    n = Net(1)
    n.bins = avg_pool_to(n.data, 2)
    n.deep = conv(n.bins, 1, 1)
    assert not n.deep.alignment and 'averaged into 2×2 bins' in str(n.deep.alignment)
    n.back = resize(n.deep, like=n.data)
    assert n.back.alignment == n.data.alignment, 'resize makes it aligned again'
    n.mixed = add(n.deep, n.bins)
    assert not n.mixed.alignment
    with pytest.raises(ValueError, match=r'averaged into 2×2 bins.*; give the crop as offset='):
        n.cut = crop(n.deep, like=n.data)
    n.cut = crop(n.deep, like=n.bins, offset=0)


@pytest.mark.parametrize('draw, why', [
    (lambda n: crop(upsample(n.stride4, 4, 8), like=n.data), r'3\.5 units before data.*factor − 1'),
    (lambda n: crop(n.stride4, like=n.stride2), 'no common grid: image = 4·i .* bring them to one'),
    (lambda n: crop(n.valid, like=n.data), 'valid begins 2 units after data: it needs more pad'),
    (lambda n: add(n.valid, n.data), r'do not lie over the same pixels: image = 1·i \+ 2 against'),
    (lambda n: concat(n.stride2, n.stride4), 'do not lie over the same pixels'),
    (lambda n: add(n.wide, n.data), 'data has 1 channels and wide 3'),
])
def test_misaligned_boxes_are_refused_while_building(draw, why):
    n = Net(1)
    n.valid = conv(n.data, 1, 5)
    n.wide = conv(n.data, 3, 3, pad=1)
    n.stride2 = conv(n.data, 1, 3, stride=2, pad=1)
    n.stride4 = conv(n.data, 1, 3, stride=4, pad=1)
    with pytest.raises(ValueError, match='(?s)' + why + r'.*\n  in [a-z]+\('):
        n.new = draw(n)
    assert 'new' not in n.boxes


def test_alignment_as_text():
    assert str(Alignment()) == 'image = 1·i + 0'
    assert str(Alignment((2, 4), (-1, Fraction(3, 2)))) == 'image = (2·i − 1, 4·i + 1.5)'
