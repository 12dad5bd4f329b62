"""What a net says when it is drawn wrongly, or given what it cannot read: the box, its line in the
figure's words, the shapes."""
import numpy as np
import pytest

from tinyfcn import Net, ops
from tinyfcn.layers import (
    add,
    batch_norm,
    channels,
    conv,
    crop,
    deconv,
    dropout,
    max_pool,
    pad,
    relu,
    scale,
)
from tinyfcn.net.net import Box


def small():
    n = Net(2)
    n.conv1 = conv(n.data, 4, 3, pad=1)
    n.pool1 = max_pool(n.conv1, 2)
    return n


def image(*shape, dtype='float32'):
    return np.ones(shape, dtype)


# ---- names -------------------------------------------------------------------------------------

def test_a_box_is_reached_by_name_in_two_ways():
    n = small()
    assert n.conv1 is n['conv1'] and n.conv1.line == 'conv1 = conv(data, 4, 3, pad=1)'
    assert repr(n) == '<Net of 3 boxes, 76 parameters>'


def test_a_box_inside_a_line_is_named_after_it():
    n = small()
    n.mixed = add(relu(n.conv1), relu(n.conv1), scale(n.conv1, 2))
    assert list(n.boxes)[3:] == ['mixed/relu1', 'mixed/relu2', 'mixed/scale1', 'mixed']
    assert n.mixed.line == 'mixed = add(relu(conv1), relu(conv1), scale(conv1, 2))'


@pytest.mark.parametrize('name, box, error, why', [
    ('params', lambda n: relu(n.conv1), NameError, "'params' is an attribute of every net"),
    ('forward', lambda n: relu(n.conv1), NameError, "'forward' is an attribute of every net"),
    ('conv1', lambda n: relu(n.pool1), NameError,
     r"two boxes are called 'conv1'; the first is conv1 = conv\(data, 4, 3, pad=1\)"),
    ('twin', lambda n: n.conv1, NameError, "'twin' is already called 'conv1': a box has one name"),
    ('a.b', lambda n: relu(n.conv1), NameError, "'a.b' has a dot, which separates a box from its"),
    ('score', lambda n: relu(conv(n.pool1, 2, 1)), NameError,
     r"conv\(pool1, 2, 1\) inside 'score' has weights: it needs a line and a name"),
    ('foreign', lambda n: relu(small().conv1), NameError, "reads 'conv1', a box of another net"),
    ('foreign', lambda n: crop(n.conv1, like=small().pool1, offset=0), NameError,
     "reads 'pool1', a box of another net"),
    ('score', lambda n: relu(n.aux_head), NameError,
     r'score = relu\(aux_head\): a box that reads an aux… box must be called aux… too'),
    ('score', lambda n: add(n.pool1, n.aux_pool), NameError, 'a box that reads an aux… box'),
    ('odd', lambda n: conv(n.conv1, 6, 3, groups=4), ValueError,
     r'(?s)groups=4 does not divide 4 channels into 6\n  in conv\(conv1, 6, 3, groups=4\)'),
    ('odd', lambda n: deconv(n.conv1, 6, 3, groups=3), ValueError, 'groups=3 does not divide 4 ch'),
    ('odd', lambda n: conv(n.conv1, 4, 3, stride=0), ValueError,
     r'(?s)stride is 0: it must be at least 1\n  in conv\(conv1, 4, 3, stride=0\)'),
    ('odd', lambda n: conv(n.conv1, 4, 2.5), TypeError, 'ksize is 2.5: an int or a pair of ints'),
    ('odd', lambda n: conv(image(1, 2, 3, 3), 4, 3), TypeError, 'the first argument must be a box'),
    ('odd', lambda n: pad(n.conv1, -1), ValueError, 'before is -1: it must be at least 0'),
    ('odd', lambda n: conv(n.conv1, 0, 3), ValueError, 'channels is 0: it must be at least 1'),
    ('odd', lambda n: conv(n.conv1, 4, 3, groups=0), ValueError, 'groups is 0: it must be at lea'),
    ('odd', lambda n: deconv(n.conv1, 4, 3, groups=0), ValueError, 'groups is 0: it must be at l'),
    ('odd', lambda n: conv(n.conv1, 4, 3, groups='2'), TypeError, "groups is '2': an integer is "),
    ('odd', lambda n: conv(n.conv1, 4, 3, init='zeros'), TypeError, "init is 'zeros': a function"),
    ('odd', lambda n: conv('conv1', 4, 3), TypeError, 'the first argument must be a box'),
    ('odd', lambda n: relu(), TypeError, r'relu\(\): the first argument must be a box'),
    ('odd', lambda n: add(n.conv1, 3), TypeError, r'(?s)3 is no box, such as n.pool4\n  in add\('),
    ('odd', lambda n: crop(n.conv1, like='pool1'), TypeError, "'pool1' is no box, such as n.pool"),
    ('odd', lambda n: crop(n.conv1), TypeError, r"(?s)missing .*'like'\n  in crop\(conv1\)"),
    ('odd', lambda n: channels(n.conv1, 2, 2), ValueError, 'channels 2 to 2 of a box that has 4'),
    ('odd', lambda n: channels(n.conv1, 2, 5), ValueError, 'channels 2 to 5 of a box that has 4'),
    ('odd', lambda n: channels(n.conv1, '0', '2'), TypeError, "start and stop is \\('0', '2'\\): "),
    ('odd', lambda n: 5, TypeError, r"net\['odd'\] = 5: a name and a box are needed"),
    (5, lambda n: relu(n.conv1), TypeError, r'net\[5\] = relu\(conv1\): a name and a box'),
])
def test_graphs_that_are_refused(name, box, error, why):
    n = small()
    n.aux_head = conv(n.conv1, 2, 1)
    n.aux_pool = max_pool(n.conv1, 2)
    before = list(n.boxes), list(n.params)
    with pytest.raises(error, match=why):
        n[name] = box(n)
    assert (list(n.boxes), list(n.params)) == before


def test_near_misses_are_suggested():
    n = small()
    with pytest.raises(AttributeError, match="no box called 'pol1'; did you mean 'pool1'?"):
        relu(n.pol1)
    with pytest.raises(KeyError, match="did you mean 'conv1'?"):
        relu(n['conv_1'])
    with pytest.raises(AttributeError, match="no box called 'zzz'$"):
        relu(n.zzz)
    with pytest.raises(KeyError, match="did you mean 'pool1'"):
        n.forward(image(1, 2, 4, 4), until='pool')


@pytest.mark.parametrize('name', [5, None, ['conv1'], b'conv1'])
def test_what_is_no_name_names_no_box(name):
    n = small()
    with pytest.raises(KeyError, match='no box called'):
        n[name]
    with pytest.raises(KeyError, match='no box called'):
        n.forward(image(1, 2, 4, 4), until=[name])


def test_until_nothing_is_all():
    n = small()
    assert n.forward(image(1, 2, 4, 4), until=[]).shape == (1, 4, 2, 2)
    with pytest.raises(KeyError, match='no box called 5'):
        n.forward(image(1, 2, 4, 4), until=5)


@pytest.mark.parametrize('wrong, error, why', [
    (dict(channels=0), ValueError, 'channels is 0'), (dict(dtype='int8'), ValueError, 'dtype is'),
    (dict(channels=None), TypeError, 'channels is None'), (dict(seed=-1), ValueError, 'seed is -1'),
])
def test_a_net_refuses_what_build_refuses(wrong, error, why):
    with pytest.raises(error, match=why):
        Net(**wrong)


def test_astype_casts_to_floats_alone():
    for dtype in 'int64', None, 'nonsense':
        with pytest.raises(ValueError, match=f"dtype is {dtype!r}: a net computes in 'float32'"):
            small().astype(dtype)


# ---- what a walk refuses -----------------------------------------------------------------------

@pytest.mark.parametrize('x, error, why', [
    (image(1, 3, 4, 4), ValueError, r'the image has shape \(1, 3, 4, 4\); this net reads \(N, 2'),
    (image(2, 4, 4), ValueError, r'the image has shape \(2, 4, 4\)'),
    (image(1, 2, 0, 4), ValueError, r'the image has shape \(1, 2, 0, 4\)'),
    (image(1, 2, 4, 4, dtype='float64'), TypeError,
     r"the image is float64 and this net computes in float32: image.astype\('float32'\), or"),
    (image(1, 2, 4, 4, dtype='uint8'), TypeError, 'the image is uint8'),
    ([[1.]], TypeError, 'list is not an array'),
])
def test_images_that_a_net_refuses(x, error, why):
    with pytest.raises(error, match=why):
        small().forward(x)


def test_an_error_in_an_op_names_the_box_its_line_and_the_shapes():
    n = small()
    n.params['conv1.w'] = n.params['conv1.w'][:, :1]
    with pytest.raises(ValueError) as caught:
        n.forward(image(1, 2, 5, 6))
    assert str(caught.value).splitlines() == [
        'x has 2 channels; w (4, 1, 3, 3) with groups=1 reads 1',
        '  in     conv1 = conv(data, 4, 3, pad=1)',
        '  given  data (1, 2, 5, 6), conv1.w (4, 1, 3, 3), conv1.b (4,)',
        '  see    lesson 02']
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_in_a_size_names_the_box_before_anything_runs():
    n = small()
    n.fc = conv(n.pool1, 1, 7)
    for ask in (lambda: n.sizes((9, 40)), lambda: n.forward(image(1, 2, 9, 40))):
        with pytest.raises(ValueError) as caught:
            ask()
        assert str(caught.value).splitlines() == [
            'a window of 7×7 does not fit into an image of 5×20 padded by 0×0',
            '  in     fc = conv(pool1, 1, 7)',
            '  given  pool1 (5, 20)',
            '  see    lesson 02']


def test_batch_norm_of_single_values_is_refused_in_training():
    n = Net(2)
    n.bn = batch_norm(n.data)
    n.forward(image(1, 2, 1, 1))
    with pytest.raises(ValueError, match=r'(?s)one value for each channel.*bn = batch_norm\('):
        n.forward(image(1, 2, 1, 1), train=True)


@pytest.mark.parametrize('before, seeds, error, why', [
    (dict(), dict(pool1=image(1, 4, 2, 2)), RuntimeError,
     r"nothing was kept for the backward of 'pool1': call forward\(image, train=True\)"),
    (dict(train=True), dict(), ValueError, r'backward needs the gradients .* backward\(pool1=…\)'),
    (dict(train=True), dict(pol1=image(1, 4, 2, 2)), KeyError, "did you mean 'pool1'"),
    (dict(train=True), dict(pool1=image(1, 4, 1, 1)), ValueError,
     r"the gradient of 'pool1' is float32 \(1, 4, 1, 1\); 'pool1' is float32 \(1, 4, 2, 2\)"),
    (dict(train=True), dict(pool1=image(1, 4, 2, 2, dtype='float64')), ValueError,
     "the gradient of 'pool1' is float64"),
    (dict(train=True), dict(pool1=1.), TypeError, 'float is not an array'),
    (dict(train=True), dict(conv1=image(1, 4, 1, 1)), ValueError,
     r'(?s)dy has shape \(1, 4, 1, 1\); \(1, 4, 4, 4\) is needed, the shape of y\n  in     conv1'),
])
def test_output_gradients_that_backward_refuses(before, seeds, error, why):
    n = small()
    n.forward(image(1, 2, 4, 4), **before)
    with pytest.raises(error, match=why):
        n.backward(**seeds)


def test_caches_serve_one_backward():
    n, seed = small(), image(1, 4, 2, 2)
    n.forward(image(1, 2, 4, 4), train=True)
    n.backward(pool1=seed)
    with pytest.raises(RuntimeError, match='before each backward'):
        n.backward(pool1=seed)


def test_a_frozen_pattern_that_names_nothing_is_refused():
    n = small()
    n.frozen = {'covn*'}
    with pytest.raises(ValueError, match=r"frozen has 'covn\*', which matches no weight"):
        n.forward(image(1, 2, 4, 4), train=True)


@pytest.mark.parametrize('frozen', ['conv*', None, 5, {5}, ['conv*', None]])
def test_frozen_is_a_set_of_patterns(frozen):
    n = small()
    n.frozen = frozen
    with pytest.raises(TypeError, match="frozen is .*: a set of patterns is needed, such as "):
        n.forward(image(1, 2, 4, 4), train=True)


def test_a_user_defined_layer():
    """A layer is only a shorthand: any op pair can be a box."""
    n = small()
    n.own = Box(ops.leaky_relu, n.conv1, slope=.5)
    assert n.own.line == 'own = leaky_relu(conv1)'
    assert n.forward(image(1, 2, 4, 4), until='own').shape == (1, 4, 4, 4)


def test_dropout_in_a_walk_needs_no_rng():
    n = Net(1)
    n.drop = dropout(n.data, .5)
    assert n.forward(image(1, 1, 3, 3)).all()
