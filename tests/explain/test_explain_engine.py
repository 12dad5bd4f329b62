"""The explainer's JavaScript computes what the library computes: ops, nets, a step of training, and
the alignment of layers."""
import numpy as np
import pytest
from explain_page import (
    evaluate,
    from_page,
    largest_difference,
    to_page,
    weights_to_page,
)
from samples import TABLE

import tinyfcn
from tinyfcn import layers, models, ops
from tinyfcn.explain.describe import describe_net, op_arguments, pack_weights
from tinyfcn.net import Net

pytestmark = pytest.mark.explain
TOL = 1e-4
RUN_OPS = """samples => samples.map(({ op, inputs, kwargs, dy, want }) => {
    const [forward, backward] = OPS[op]
    const [y, cache] = forward(inputs.map(x => x && arrive(x)), kwargs)
    return { y: leave(y), grads: dy ? backward(arrive(dy), cache, want).map(leave) : [] }
})"""
RUN_NET = """({ description, weights, image, label, lr }) => {
    const arrays = unpackWeights(weights, description.arrays)
    const net = { boxes: description.boxes, arrays }, output = description.outputs[0]
    const { values, caches } = forward(net, arrive(image))
    const { loss, dscore } = softmaxCrossEntropy(values[output], label)
    const grads = backward(net, caches, output, dscore)
    const next = step(arrays, grads, lr)
    const all = found => Object.fromEntries(Object.entries(found).map(([k, x]) => [k, leave(x)]))
    return { values: all(values), grads: all(grads), loss, next: all(next) }
}"""


# ---- Ops

def page_samples():
    """The samples of the table that a page can compute: one image, no batch statistics."""
    for name, sample in TABLE.items():
        shapes = [x.shape for x in sample.args if x is not None]
        if shapes[0][0] != 1 or len(shapes[0]) != 4 or sample.op not in OPS_OF_PAGE:
            continue
        if sample.kwargs.get('train') or sample.op == 'resize' and 'scale' in sample.kwargs:
            continue
        yield name, sample


OPS_OF_PAGE = {'add', 'avg_pool', 'avg_pool_to', 'batch_norm', 'channels', 'concat', 'conv2d',
               'conv_transpose2d', 'crop', 'leaky_relu', 'local_response_norm', 'max_pool',
               'max_switches', 'multiply', 'pad', 'relu', 'resize', 'scale', 'take', 'unpool',
               'upsample'}


def test_ops_and_their_gradients(engine):
    questions = []
    expected = []
    for name, (op_name, args, kwargs) in page_samples():
        op = getattr(ops, op_name)
        args = [x if x is None or x.dtype.kind == 'i' else x.astype('float32') for x in args]
        y, cache, *_ = op(*args, **kwargs)
        dy = None
        grads = []
        if y.dtype.kind == 'f':
            dy = np.random.default_rng(1).standard_normal(y.shape).astype('float32')
            grads = [*op.backward(dy, cache)]
        arguments = op_arguments(op, kwargs)
        if 'size' in kwargs and op_name != 'local_response_norm':
            arguments['size'] = list(np.broadcast_to(kwargs['size'], 2)[-2:].tolist())
        first, *others = args
        inputs = [to_page(first), *(x if x is None else to_page(x) if x.ndim == 4 and not (
            op_name.startswith('conv')) else weights_to_page(x) for x in others)]
        questions.append(dict(op=op_name, inputs=inputs, kwargs=arguments,
                              dy=dy if dy is None else to_page(dy), want=[True] * len(args)))
        expected.append((name, y, grads))
    assert {question['op'] for question in questions} == OPS_OF_PAGE
    for found, (name, y, grads) in zip(evaluate(engine, RUN_OPS, questions), expected):
        assert largest_difference(from_page(found['y']), y) < TOL, name
        for i, (theirs, ours) in enumerate(zip(found['grads'], grads)):
            if theirs is not None:
                assert ours is not None, (name, i)
                assert largest_difference(from_page(theirs), ours) < TOL, (name, i)
            elif not name.startswith('batch_norm'):     # whose weights are not trained here
                assert ours is None, (name, i)


# ---- Nets

def random_net(name, width=1):
    """No statistic, bias or score is zero; all are in half precision, as a page has them."""
    net = tinyfcn.build(name, n_class=7, width=width)
    rng = np.random.default_rng(0)
    for key, w in {**net.params, **net.state}.items():
        if key.endswith('.var'):
            w[...] = rng.uniform(.5, 2, w.shape)
        elif key.endswith(('.b', '.mean')) or 'score' in key:
            w[...] = rng.normal(0, .1, w.shape)
        w[...] = w.astype('float16')
    for box in net.boxes.values():
        if box.op is ops.batch_norm:
            box.kwargs['frozen'] = True                 # one image is no batch
        if box.op is ops.dropout:
            box.kwargs['p'] = 0.
    return net


@pytest.mark.parametrize('name, width', [('tiny_8s', 1), ('fcn_squeezenet_4s', 1),
                                         ('unet_same', .25), ('segnet', .25)])
def test_every_box_every_gradient_and_a_step(name, width, engine):
    net = random_net(name, width)
    rng = np.random.default_rng(1)
    image = rng.standard_normal((1, 3, 48, 64)).astype('float32')
    score = net.forward(image, train=True, keep=True)
    label = rng.integers(0, 7, (1, *score.shape[2:]))
    label[:, :5] = 255
    loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
    net.backward(**{net.outputs()[0]: dscore})

    found = evaluate(engine, RUN_NET, dict(
        description=describe_net(net), weights=pack_weights(net), image=to_page(image),
        label=label.ravel().tolist(), lr=.1))
    assert abs(found['loss'] - loss) < TOL * loss
    for box in net.route(train=False):
        value = net.values[box.name]
        assert largest_difference(from_page(found['values'][box.name]), value) < TOL, box.line
    compared = 0
    for key, gradient in net.grads.items():
        if key in net.params and net[key.rsplit('.', 1)[0]].op is ops.batch_norm:
            continue
        compared += 1
        assert largest_difference(from_page(found['grads'][key]), gradient) < 1e-3, key
    assert compared > len(net.route())
    for key, w in net.params.items():
        if key not in found['grads']:
            continue
        stepped = w - np.float32(.1) * net.grads[key]
        assert largest_difference(from_page(found['next'][key]), stepped) < 1e-3, key


# ---- Layers

MEASURE = """cases => cases.map(({ text, size }) => {
    try { return measureLayers(readLayers(text), size) } catch (error) { return error.message }
})"""


def as_fractions(alignment):
    return {key: [[value.numerator, value.denominator] for value in getattr(alignment, key)]
            for key in ('scale', 'shift', 'field')}


def assert_measured(engine, nets):
    """nets: [(name, net, size)]: sizes and alignments of all boxes that run"""
    cases = []
    for _, net, size in nets:
        text = '\n'.join(box.line for box in net.route())
        cases.append(dict(text=text, size=size))
    for found, (name, net, size) in zip(evaluate(engine, MEASURE, cases), nets):
        assert isinstance(found, dict), (name, found)
        sizes = net.sizes(size)
        for box in net.route():
            own = found[box.name]
            assert tuple(own['size']) == tuple(sizes[box.name]), (name, box.line)
            if box.alignment:
                assert own['alignment'] == as_fractions(box.alignment), (name, box.line)
            else:
                assert own['alignment'] is None, (name, box.line)


def test_layers_of_all_nets(engine):
    nets = [(name, tinyfcn.build(name, n_class=7, width=1 / 16, seed=None), (320, 261))
            for name in models.NETS]
    assert_measured(engine, nets)


def random_stack(seed):
    """Convolutions, pools and upsampling; at the end a crop like an earlier box, where it fits."""
    rng = np.random.default_rng(seed)
    net = Net()
    x = net.data
    for i in range(rng.integers(1, 9)):
        kind = rng.choice(['conv', 'max_pool', 'avg_pool', 'upsample', 'deconv', 'pad'])
        ksize = [int(k) for k in rng.integers(1, 6, 2)]
        stride = [int(s) for s in rng.integers(1, 4, 2)]
        pad = [int(rng.integers(0, k)) for k in ksize]
        if kind == 'conv':
            x = layers.conv(x, 2, tuple(ksize), tuple(stride), pad=tuple(pad),
                            dilation=int(rng.integers(1, 3)))
        elif kind in ('max_pool', 'avg_pool'):
            x = getattr(layers, kind)(x, tuple(ksize), tuple(stride), pad=tuple(pad),
                                      ceil=bool(rng.integers(2)))
        elif kind == 'upsample':
            x = layers.upsample(x, int(rng.integers(1, 4)))
        elif kind == 'deconv':
            x = layers.deconv(x, 2, int(rng.integers(2, 5)), stride=2)
        else:
            x = layers.pad(x, tuple(pad))
        net[f'box{i}'] = x
    boxes = [*net.boxes.values()]
    for like in boxes[:-1]:
        try:
            net['cropped'] = layers.crop(x, like=like)
            net.sizes((90, 77))
            break
        except ValueError:
            net.boxes.pop('cropped', None)
    return net


def test_two_hundred_random_stacks(engine):
    nets = []
    seed = 0
    while len(nets) < 200:
        net = random_stack(seed)
        seed += 1
        try:
            net.sizes((90, 77))
        except ValueError:                              # a window does not fit
            continue
        nets.append((f'stack {seed}', net, (90, 77)))
    assert sum('cropped' in net.boxes for _, net, _ in nets) > 20
    assert_measured(engine, nets)


@pytest.mark.parametrize('text, message', [
    ('a = conf(data, 1, 3)', 'line 1: conf is no layer'),
    ('a = conv(b, 1, 3)', 'line 1: there is no box called b above'),
    ('a = conv(data, 1, 99)', 'a window of 99×99 does not fit into 40×40'),
    ('a = conv(data, 1, 3)\na = relu(a)', 'line 2: there are two boxes called a'),
    ('a = conv(data, 1)', 'conv needs ksize'),
    ('a = max_pool(data, 2)\nb = add(a, data)', 'crop one like the other'),
    ('a = conv(data, 1, 2)\nb = crop(data, like=a)', 'begins 0.5 units before a'),
    ('a = conv(data, 1, 3)\nb = crop(a, like=data)', 'begins 1 units after data'),
    ('a = max_pool(data, 2)\nb = crop(data, like=a)', 'bring them to one stride first'),
    ('a', 'line 1: a line is NAME = LAYER(BOX, …)')])
def test_what_is_wrong_with_layers(text, message, engine):
    found, = evaluate(engine, MEASURE, [dict(text=text, size=[40, 40])])
    assert message in found
