"""Exported nets compute in ONNX Runtime what they compute here."""
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from export_samples import CAFFE, TORCH, photo, sample
from optional_deps import needed

from tinyfcn import Net, build
from tinyfcn.data.transforms import prepare
from tinyfcn.layers import (
    add,
    avg_pool,
    avg_pool_to,
    batch_norm,
    channels,
    conv,
    crop,
    deconv,
    dropout,
    leaky_relu,
    local_response_norm,
    max_pool,
    max_switches,
    pad,
    relu,
    resize,
    scale,
    take,
    unpool,
    upsample,
)
from tinyfcn.models import NETS
from tinyfcn.net.box import Box
from tinyfcn.weights.export import export_net
from tinyfcn.weights.export.onnx_file import make_model

pytestmark = pytest.mark.onnx
RNG = np.random.default_rng(3)

# the least rows of an image, of nets that need more than 40
LEAST = dict(vgg16=212, alexnet=227, alexnet_torchvision=223, googlenet=224, deconvnet=193,
             edeconvnet=193, unet=173)


def session(model):
    """ONNX Runtime, which checks the model too."""
    needed('onnx').checker.check_model(model, full_check=True)
    runtime = needed('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 2                      # warnings
    return runtime.InferenceSession(model.SerializeToString(), options, ['CPUExecutionProvider'])


def assert_same(net, runs, image, tol=1e-5):
    """All outputs, in ONNX Runtime and here."""
    outputs = net.outputs(train=False)
    ours = net.forward(image)
    ours = ours if len(outputs) > 1 else {outputs[0]: ours}
    for name, theirs in zip(outputs, runs.run(outputs, {'data': image})):
        assert theirs.shape == ours[name].shape
        assert abs(theirs - ours[name]).max() <= tol * max(1, abs(ours[name]).max()), name


def image(net, n, *size):
    return RNG.standard_normal((n, net.data.channels, *size)).astype('float32')


# ---- every net ---------------------------------------------------------------------------------

@pytest.mark.parametrize('name', NETS)
def test_every_net(name, capfd):
    """One model, two sizes, one image and two."""
    net = sample(name)
    runs = session(make_model(net))
    least = LEAST.get(name, 40)
    assert_same(net, runs, image(net, 1, least, least + 9))
    assert_same(net, runs, image(net, 2, least + 13, least + 2))
    assert not capfd.readouterr().err                   # warnings of ONNX Runtime


@pytest.mark.parametrize('name, variant', [
    ('fcn8s', dict(up='learned')), ('fcn_squeezenet_4s', dict(dtype='float64')),
    ('nyud_rgbd_32s', {}), ('segnet', dict(channels=1))])
def test_variants(name, variant):
    net = sample(name, **variant)
    runs = session(make_model(net))
    net = net.astype('float32')
    assert_same(net, runs, image(net, 1, 37, 50))


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_resnet50', 'pspnet', 'segnet', 'unet_same',
                                  'siftflow_16s', 'deconvnet'])
def test_one_size_alone(name):
    net = sample(name)
    size = (193, 200) if name == 'deconvnet' else (41, 50)
    model = make_model(net, size)
    runs = session(model)
    assert [i.shape for i in runs.get_inputs()] == [['batch', 3, *size]]
    assert [o.shape for o in runs.get_outputs()] == [
        ['batch', net[name].channels, *size] for name in net.outputs(train=False)]
    assert_same(net, runs, image(net, 2, *size))
    with pytest.raises(Exception, match='(?i)invalid.*dimension'):
        runs.run(None, {'data': image(net, 1, size[0], size[1] + 1)})


def test_a_size_that_the_net_cannot_take_is_refused():
    with pytest.raises(ValueError, match='(?s)7×7.*fc6 = conv'):
        make_model(sample('deconvnet'), (100, 200))


# ---- every op ----------------------------------------------------------------------------------

def net_of(draw):
    """draw(n, n.data) -> the box score"""
    n = Net(3, seed=1)
    n.score = draw(n, n.data)
    for w in (*n.params.values(), *n.state.values()):
        w[...] = RNG.uniform(.5, 1.5, w.shape)
    return n


POOLS = [dict(ksize=k, stride=s, pad=p, ceil=ceil)
         for k in (1, 2, 3, (3, 2)) for s in (1, 2, 3, (2, 3)) for p in (0, 1) for ceil in (0, 1)
         if p < np.min(k)]


@pytest.mark.parametrize('pool', [
    max_pool, avg_pool, partial(avg_pool, count_include_pad=False), max_switches],
    ids=['max', 'avg', 'avg without pad', 'switches'])
def test_pools_of_all_geometries(pool):
    """Rounded up or down, with windows that begin in the padding, or would begin beyond it."""
    def draw(n, x, geometry):
        if pool is not max_switches:
            return pool(x, **geometry)
        n.switches = pool(x, **geometry)
        return take(scale(x, 2.), n.switches)

    for geometry in POOLS:
        net = net_of(partial(draw, geometry=geometry))
        runs = session(make_model(net))
        for size in (7, 8), (9, 6), (5, 10):
            assert_same(net, runs, image(net, 1, *size))


@pytest.mark.parametrize('draw', [
    lambda n, x: max_pool(x, 2, stride=1, dilation=2, ceil=False),
    lambda n, x: avg_pool_to(x, (3, 2)),
    lambda n, x: avg_pool_to(x, (20, 1)),               # more bins than rows
    lambda n, x: upsample(x, (3, 2), pad=1),
    lambda n, x: resize(max_pool(x, 2), like=x),
    lambda n, x: resize(max_pool(x, 2), like=x, align_corners=True),
    lambda n, x: resize(max_pool(x, 3), like=x, mode='nearest'),
    lambda n, x: resize(x, like=avg_pool_to(x, 1), align_corners=True),
    lambda n, x: pad(x, (1, 2), (3, 0), value=-2.),
    lambda n, x: channels(x, 1, 3),
    lambda n, x: leaky_relu(x, .3),
    lambda n, x: add(x, relu(x), scale(x, .5)),
    lambda n, x: add(x),
    lambda n, x: dropout(x),
    lambda n, x: dropout(dropout(relu(x))),
    lambda n, x: local_response_norm(x, 3, alpha=.7, beta=.6, k=2.),
    lambda n, x: crop(upsample(x, 2), like=x, offset=(1, 3)),
], ids=range(17))
def test_ops(draw):
    net = net_of(draw)
    runs = session(make_model(net))
    for size in (8, 11), (13, 9):
        assert_same(net, runs, image(net, 2, *size))


def test_ops_with_weights():
    def draw(n, x):
        n.conv = conv(x, 6, (3, 5), stride=(2, 1), pad=(1, 3), dilation=(2, 1), groups=3)
        n.bn = batch_norm(n.conv, eps=.1)
        n.up = deconv(n.bn, 4, 3, stride=2, pad=1, groups=2)
        return deconv(n.up, 2, (2, 4), bias=False)
    net = net_of(draw)
    assert_same(net, session(make_model(net)), image(net, 2, 12, 15))


def test_unpooling_adds_where_windows_overlap():
    def draw(n, x):
        n.switches = max_switches(x, 3, stride=1, pad=1)
        return unpool(take(x, n.switches), n.switches, like=x)
    net = net_of(draw)
    x = image(net, 2, 9, 7)
    assert abs(net.forward(x)).max() > 2 * abs(x).max()
    assert_same(net, session(make_model(net)), x)


# ---- what is refused ---------------------------------------------------------------------------

def test_what_onnx_cannot_express_is_refused_with_its_line():
    def own_op(x):
        return x, None
    for draw, message in [
            (lambda n, x: local_response_norm(x, 4), r'(?s)odd size.*local_response_norm\(data, 4'),
            (lambda n, x: max_pool(x, 2, stride=3, dilation=4), r'(?s)ONNX has no pool.*max_pool'),
            (lambda n, x: avg_pool(x, 2, dilation=2), '(?s)no dilated average.*avg_pool'),
            (lambda n, x: Box(own_op, x), r'(?s)own_op has no counterpart.*score = own_op\(data')]:
        with pytest.raises(ValueError, match=message):
            make_model(net_of(draw))


def test_weights_that_no_onnx_file_holds_are_refused():
    large = np.broadcast_to(np.float32(0), (1 << 29, 1))
    net = SimpleNamespace(about={}, params={'fc.w': large}, state={})
    with pytest.raises(ValueError, match='2,147,483,648 bytes.*2 GiB'):
        make_model(net)


# ---- what the file says ------------------------------------------------------------------------

def test_metadata():
    net = sample('fcn_squeezenet_8s', CAFFE, n_class=3)
    net.about.update(classes=['sky', 'tree', 'road'], shorter_side=520)
    model = make_model(net)
    found = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert found == dict(preprocess=CAFFE, classes=['sky', 'tree', 'road'], shorter_side=520,
                         net=net.about['build'])
    assert model.producer_name == 'tinyfcn' and model.graph.name == 'fcn_squeezenet_8s'
    assert session(model).get_modelmeta().custom_metadata_map.keys() == found.keys()


@pytest.mark.parametrize('name, axes', [
    ('fcn8s', ['height', 'width']), ('squeezenet', [1, 1]),
    ('unet', ['score_height', 'score_width'])])
def test_shapes(name, axes):
    model = make_model(sample(name))
    assert [i.shape for i in session(model).get_inputs()] == [['batch', 3, 'height', 'width']]
    [score] = session(model).get_outputs()
    assert score.shape == ['batch', build(name, seed=None, width=1/16).score.channels, *axes]


def test_values_have_the_names_of_boxes_and_weights():
    net = sample('fcn8s')
    model = make_model(net)
    names = {name for node in model.graph.node for name in node.output}
    assert {'conv1_1', 'fuse_pool4', 'upscore8', 'score'} <= names
    assert {*net.params} <= {array.name for array in model.graph.initializer}
    assert 'drop7' not in names                         # only training drops


def test_nets_of_training_alone_are_left_out():
    assert not [array.name for array in make_model(sample('fcn_resnet50')).graph.initializer
                if array.name.startswith('aux')]


@pytest.mark.parametrize('preprocess, channels', [
    (CAFFE, 3), (TORCH, 3),
    (dict(order='BGR', scale=.5, mean=[1., 2., 3., 4.], std=[1., 2., 3., 4.]), 4)])
def test_the_preprocessing_in_the_graph(preprocess, channels):
    net = sample('tiny_8s', preprocess, channels=channels)
    picture = photo(33, 40, channels=channels)
    model = make_model(net, with_preprocess=True)
    pixels = picture.transpose(2, 0, 1)[None].astype('float32')
    [score] = session(model).run(None, {'image': pixels})
    expected = net.forward(prepare(picture, preprocess))
    assert abs(score - expected).max() <= 1e-5 * max(1, abs(expected).max())

    [left] = [json.loads(p.value) for p in model.metadata_props if p.key == 'preprocess']
    assert left == dict(preprocess, order='RGB', scale=1, mean=[0] * channels, std=[1] * channels)
    assert prepare(picture, left).tolist() == pixels.tolist()


def test_an_output_that_is_called_image():
    """The autoencoder's: no two values have one name."""
    runs = session(make_model(sample('cae', TORCH), with_preprocess=True))
    assert [i.name for i in runs.get_inputs()] == ['data_image']
    assert [o.name for o in runs.get_outputs()] == ['image']


def test_a_preprocessing_for_other_channels_cannot_be_put_in():
    with pytest.raises(ValueError, match='reads 4 channels.*mean of 3'):
        make_model(sample('nyud_rgbd_32s', CAFFE), with_preprocess=True)


def test_a_preprocessing_that_is_not_known_cannot_be_put_in():
    with pytest.raises(ValueError, match='does not say how images are prepared'):
        make_model(sample('tiny_8s'), with_preprocess=True)


def test_the_same_weights_give_the_same_file(tmp_path):
    for name in 'ab':
        export_net(sample('tiny_8s', CAFFE), tmp_path / f'{name}.onnx', (32, 48))
    assert (tmp_path / 'a.onnx').read_bytes() == (tmp_path / 'b.onnx').read_bytes()
    assert b'tinyfcn' in (tmp_path / 'a.onnx').read_bytes()[:100]


def test_a_net_that_was_built_by_hand():
    n = Net(2)
    n.conv1 = conv(n.data, 4, 3)
    assert build('tiny_8s').about and not n.about
    assert make_model(n).graph.name == 'net'
