"""Tiles are the whole, memory is what was asked for, and the metrics are those of all pixels."""
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_samples import CENTRED, CLASSES, net, pictures

from tinyfcn import Net, build, metrics
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.lists import read_split
from tinyfcn.data.transforms import prepare
from tinyfcn.data.voc import CLASSES as VOC
from tinyfcn.layers import avg_pool_to, conv, resize
from tinyfcn.net.summary import peak
from tinyfcn.prediction.predict import (
    add_confusion,
    argmax_labels,
    evaluate,
    largest_tile,
    max_stride,
    predict,
    predict_all,
    tile_margin,
    tiled,
)
from tinyfcn.runtime.gpu import gpu_status
from tinyfcn.runtime.machine import free_memory, machine

RNG = np.random.default_rng(5)


def thin(name, n_class=5, dtype='float64'):
    """A sixteenth as wide. Every weight is some number, and every class is somewhere the best."""
    n, rng = build(name, n_class, width=1/16, dtype=dtype), np.random.default_rng(3)
    for w in n.params.values():
        if not w.any():
            w += .1 * rng.standard_normal(w.shape)
    n.forward(prepare(image_of(60, 90), CENTRED, dtype), keep=True)
    for own in n.params:
        box, _, which = own.rpartition('.')
        if box.startswith('score') and which == 'b':    # or one class would win everywhere
            n.params[own] -= n.values[box].mean((0, 2, 3))
    n.about['preprocess'] = CENTRED
    return n


def image_of(*size):
    """Coloured blocks, and noise over them."""
    blocks = RNG.integers(0, 200, [-(-n // 20) for n in size] + [3])
    image = blocks.repeat(20, 0).repeat(20, 1)[:size[0], :size[1]]
    return (image + RNG.integers(0, 56, image.shape)).astype('uint8')


# ---- tiles ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('name, size', [
    ('fcn32s', (11, 453)), ('fcn16s', (451, 10)), ('fcn8s', (9, 455)), ('fcn_alexnet', (37, 453)),
    ('fcn_squeezenet_4s', (37, 303)), ('fcn_squeezenet_16s', (301, 153)),
    ('segnet_basic', (37, 303)), ('unet_same', (33, 303))])
def test_tiles_are_the_whole(name, size):
    """In float64, where two ways to add the same numbers find the same largest one."""
    n = thin(name)
    x = prepare(image_of(*size), CENTRED, 'float64')
    whole, core = argmax_labels(n.forward(x)), 6 * max_stride(n)
    parts = tiled(n, x, core)
    assert max(size) > core + tile_margin(n), 'some tile does not see all of the image'
    assert len(np.unique(whole['score'])) > 1
    np.testing.assert_array_equal(parts['score'], whole['score'])
    assert parts['score'].dtype == 'uint8' and parts.keys() == {'score'}


def apart(n, x, left, core, margin):
    """How far a tile's scores are from those of the whole, of their largest."""
    whole, begin = n.forward(x)[:, :, :, left:left + core], max(0, left - margin)
    seen = n.forward(np.ascontiguousarray(x[:, :, :, begin:left + core + margin]))
    part = seen[:, :, :, left - begin:][:, :, :, :core]
    assert part.shape == whole.shape
    return abs(part - whole).max() / abs(whole).max()


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
def test_so_are_their_scores_and_a_narrower_margin_would_not_do(name):
    n, x = thin(name), prepare(image_of(11, 651), CENTRED, 'float64')
    stride, margin = max_stride(n), tile_margin(n)
    left = -(-margin // stride) * stride + stride
    assert apart(n, x, left, 3 * stride, margin) < 1e-12
    assert apart(n, x, left, 3 * stride, stride) > 1e-6
    assert apart(n, x, left + 1, 3 * stride - 1, margin) > 1e-6, 'tiles begin at whole strides'


@pytest.mark.parametrize('name, stride, margin', [('fcn32s', 32, 256), ('fcn8s', 32, 256),
                                                  ('fcn_squeezenet_16s', 16, 128)])
def test_what_a_score_sees(name, stride, margin):
    n = build(name, width=1/64, seed=None)
    assert (max_stride(n), tile_margin(n)) == (stride, margin)
    assert margin - stride < n.score.alignment.field[0] / 2 <= margin


def test_predict_tiles_what_would_not_fit():
    n, image = thin('fcn_squeezenet_4s'), image_of(33, 3603)
    free = peak(n, [2 * tile_margin(n) + 64] * 2)
    assert peak(n, image.shape[:2]) > free and largest_tile(n, free) == 64
    pred = predict(n, image, free=free)
    assert len(np.unique(pred)) > 2
    np.testing.assert_array_equal(pred, predict(n, image))


@pytest.mark.parametrize('name', ['fcn32s', 'fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
def test_no_tile_takes_more_than_is_free(name, monkeypatch):
    n = build(name, width=1/16, seed=None)
    least = peak(n, [2 * tile_margin(n) + max_stride(n)] * 2)
    for free in least, 1.5 * least, 6 * least:
        tile = 2 * tile_margin(n) + largest_tile(n, free)
        assert largest_tile(n, free) % max_stride(n) == 0
        assert peak(n, (tile, tile)) <= free
    assert largest_tile(n, 6 * least) > largest_tile(n, least)


def test_less_than_the_smallest_tile_takes_is_told():
    """Rather than taken from a machine that does not have it."""
    n = thin('fcn_squeezenet_16s')
    with pytest.raises(ValueError, match='memory'):
        predict(n, image_of(40, 50), free=1e5)


def test_a_net_without_a_place_cannot_be_tiled():
    n = Net(3)
    n.conv = conv(n.data, 3, 3, pad=1)
    n.bins = avg_pool_to(n.conv, 2)
    n.score = resize(n.bins, like=n.data)
    n.about['preprocess'] = CENTRED
    assert predict(n, image_of(20, 30)).shape == (20, 30)
    with pytest.raises(ValueError, match='this image needs tiles, and of this net none is as the '
                                         'whole: no place over the image: '):
        predict(n, image_of(20, 30), free=1)


# ---- one image -----------------------------------------------------------------------------------

@pytest.mark.parametrize('name', ['fcn32s', 'fcn8s', 'fcn_squeezenet_4s', 'fcn_alexnet'])
@pytest.mark.parametrize('size', [(1, 1), (1, 50), (33, 2)])
def test_images_of_any_size(name, size):
    image, n = image_of(*size), thin(name)
    pred = predict(n, image)
    score = n.forward(prepare(image, CENTRED, 'float64'))
    assert pred.dtype == 'uint8' and pred.shape == size
    np.testing.assert_array_equal(pred, score[0].argmax(0))


def test_several_heads_are_a_dict():
    n = thin('siftflow_16s', 33)
    pred = predict(n, image_of(20, 30))
    assert pred.keys() == {'score_sem', 'score_geo'}
    assert all(own.shape == (20, 30) for own in pred.values())
    assert pred['score_geo'].max() < 3 <= pred['score_sem'].max()
    x = prepare(image_of(9, 330), CENTRED, 'float64')
    whole, parts = argmax_labels(n.forward(x)), tiled(n, x, 64)
    for head, own in whole.items():
        np.testing.assert_array_equal(parts[head], own)


def test_nobody_knows_how_to_prepare():
    with pytest.raises(ValueError, match=r'nobody knows how images were prepared for this net; set '
                                         r'net.about\["preprocess"\] = dict\(order='):
        predict(build('fcn_squeezenet_16s', seed=None), image_of(5, 5))


def test_another_number_of_channels_is_refused():
    n = net()
    with pytest.raises(ValueError, match='channels'):
        predict(n, image_of(5, 6)[..., :2])


# ---- memory --------------------------------------------------------------------------------------

@pytest.mark.parametrize('name, size', [('fcn8s', (60, 70)), ('fcn32s', (1, 1)),
                                        ('fcn_squeezenet_16s', (160, 120)),
                                        ('fcn_squeezenet_4s', (160, 120)),
                                        ('fcn_alexnet', (90, 80)), ('siftflow_8s', (40, 50))])
def test_the_peak_is_what_is_taken(name, size):
    """Counted by tracemalloc, which NumPy tells of every array: at most 1.25 of what was said.

    And no less than a half: nobody would tile for nothing.
    """
    n = build(name, width=1/8)
    x = np.zeros((1, 3, *size), 'float32')
    n.forward(x)                                        # whatever is made once is made now
    n.values.clear()
    tracemalloc.start()
    n.forward(x)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = peak(n, size) - sum(w.nbytes for w in n.params.values())
    assert .5 < taken / said < 1.25, f'{taken:,} bytes, and {said:,} were said'


def test_the_peak_grows_with_dtype_and_size():
    n = build('fcn16s', width=1/16, seed=None)
    assert peak(n.astype('float64'), (50, 60)) > 1.9 * peak(n, (50, 60))
    assert peak(n, (500, 600)) > 4 * peak(n, (50, 60))


def test_the_peak_by_hand():
    """conv1 4×3×3 on 5×6 of 3 channels: 3 in, 4 out, in float64 27 columns; relu: 4 in, 4 out."""
    n = net(channels=4)
    weights = sum(w.size for w in n.params.values())
    assert peak(n.astype('float64'), (5, 6)) == pytest.approx(8 * (30 * (3 + 4 + 27) + weights))
    assert peak(n, (5, 6)) == pytest.approx(4 * (30 * (4 + 4) + weights))


# ---- all pictures --------------------------------------------------------------------------------

def test_the_metrics_are_those_of_all_pixels_at_once():
    n, chosen = net(), pictures(5)
    labels, preds = zip(*((label.ravel(), pred.ravel())
                          for _, _, label, pred in predict_all(n, chosen)))
    hist = metrics.confusion(np.concatenate(labels), np.concatenate(preds), 3)
    got, wanted = evaluate(n, chosen), metrics.scores(hist)
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        np.testing.assert_array_equal(got[key], value)
    each = [evaluate(n, chosen.of([name]))['mean_iu'] for name in chosen.names]
    assert got['mean_iu'] != pytest.approx(np.mean(each)), 'nor the mean of each picture’s own'


def test_predictions_come_with_their_picture():
    n, chosen = net(), pictures(3)
    seen = list(predict_all(n, chosen))
    assert [name for name, *_ in seen] == chosen.names
    for i, (_, image, label, pred) in enumerate(seen):
        np.testing.assert_array_equal(image, chosen[i][0])
        np.testing.assert_array_equal(label, chosen[i][1])
        np.testing.assert_array_equal(pred, predict(n, image))


def constant(which):
    """A net that says one class of everything."""
    n = net()
    n.params['score.w'][:], n.params['score.b'][:] = 0, 0
    n.params['score.b'][which] = 1
    return n


def test_classes_that_are_nowhere():
    def read(name):
        return np.zeros((4, 5, 3), 'uint8'), np.zeros((4, 5), 'uint8')

    chosen = Dataset(CLASSES, ['a'], read)
    scores = evaluate(constant(1), chosen)              # 1 is predicted, 0 true, 2 neither
    np.testing.assert_array_equal(scores['iu'], [0, 0, np.nan])
    assert (scores['pixel_acc'], scores['mean_iu']) == (0, 0)
    np.testing.assert_array_equal(evaluate(constant(0), chosen)['iu'], [1, np.nan, np.nan])


def test_a_net_of_other_classes_is_refused():
    chosen = pictures(2, classes=('ground', 'blob', 'stripe', 'more'))
    two = Dataset(CLASSES[:2], ['a'], lambda name: (np.zeros((4, 5, 3), 'uint8'),
                                                     np.zeros((4, 5), 'uint8')))
    assert len(evaluate(net(), chosen)['iu']) == 4
    with pytest.raises(ValueError, match='pred 2 at .* there are classes 0 … 1'):
        evaluate(constant(2), two)


# ---- the machine ---------------------------------------------------------------------------------

def test_free_memory_is_some_and_less_than_all():
    free = free_memory()
    assert isinstance(free, int) and free > 1 << 20
    if Path('/proc/meminfo').exists():
        total = int(Path('/proc/meminfo').read_text().split('MemTotal:')[1].split()[0]) * 1024
        assert free <= total


def test_free_memory_heeds_the_limit_of_a_container():
    """What a container may take is less than its host has; beyond it the kernel ends it."""
    limits = [Path('/sys/fs/cgroup', name).read_text().strip() for name in (
        'memory.max', 'memory/memory.limit_in_bytes') if Path('/sys/fs/cgroup', name).exists()]
    if not limits or 'max' in limits:
        pytest.skip('no limit is set here')
    assert free_memory() <= min(map(int, limits))


def test_the_machine_says_what_changes_a_last_bit():
    found = machine()
    assert found.keys() == {'python', 'numpy', 'cpu', 'blas', 'blas_version', 'blas_kernel',
                            'blas_threads'}
    assert found['numpy'] == np.__version__ and found == machine()
    assert found['blas'] in ('openblas', 'mkl', 'blis', None)


def test_a_gpu_is_told_of_layer_by_layer():
    layers = gpu_status()
    names = [layer for layer, _, _ in layers]
    assert names == ['wheel', 'driver', 'toolkit', 'kernel'][:len(layers)]
    assert all(fine is True for _, fine, _ in layers[:-1])
    if len(layers) < 4:
        assert layers[-1][1] is False and len(layers[-1][2]) > 20


# ---- real masks ----------------------------------------------------------------------------------

DATA = Path(os.environ.get('TINYFCN_DATA', 'nowhere'))


@pytest.mark.realdata
@pytest.mark.skipif(not DATA.is_dir(), reason='TINYFCN_DATA names no folder of real data')
def test_the_metrics_of_736_real_masks():
    """Against themselves moved by (3, 5), counted class by class without a matrix."""
    names = read_split(DATA / 'lists', 'voc2011_seg11valid')
    hists, right, true, said, pixels = {}, *np.zeros((3, 21), int), 0
    chosen = Dataset(VOC, names, None)
    for name in names:
        with Image.open(DATA / f'seg11valid_masks/{name}.png') as mask:
            label = np.array(mask)
        pred = np.roll(label, (3, 5), (0, 1))
        pred[pred == 255] = 0
        add_confusion(hists, chosen, label, pred)
        valid = label != 255
        pixels += int(valid.sum())
        for c in np.flatnonzero(np.bincount(label[valid], minlength=256)
                                + np.bincount(pred[valid], minlength=256)):
            is_c, says_c = (label == c) & valid, (pred == c) & valid
            right[c] += np.count_nonzero(is_c & says_c)
            true[c] += np.count_nonzero(is_c)
            said[c] += np.count_nonzero(says_c)
    got, iu = metrics.scores(hists['score']), right / (true + said - right)
    wanted = dict(pixel_acc=right.sum() / pixels, mean_acc=(right / true).mean(),
                  mean_iu=iu.mean(), fw_iu=(true * iu).sum() / pixels)
    print({key: round(100 * value, 4) for key, value in wanted.items()}, f'{pixels:,} pixels')
    assert len(names) == 736 and true.all()
    for key, value in wanted.items():
        assert abs(got[key] - value) < 1e-12
    assert abs(got['iu'] - iu).max() < 1e-12
