"""What an op can do, its layer can do: the arguments reach the op, the sizes and the alignment."""
import numpy as np

from tinyfcn import Net, ops
from tinyfcn.gradcheck import check_net
from tinyfcn.layers import (
    avg_pool,
    batch_norm,
    conv,
    local_response_norm,
    max_pool,
    max_switches,
    resize,
    take,
)


def small_net():
    n = Net(2)
    n.conv1 = conv(n.data, 4, 3, pad=1)
    n.pool1 = max_pool(n.conv1, 3, 1, pad=2, dilation=2)
    n.switches = max_switches(n.pool1, 2, 1, dilation=3, ceil=False)
    n.taken = take(n.pool1, n.switches)
    n.mean = avg_pool(n.taken, 2, 2, pad=1, dilation=2, count_include_pad=False)
    n.norm1 = batch_norm(n.mean, momentum=.3)
    n.nearest = resize(n.norm1, like=n.conv1, mode='nearest')
    n.norm2 = local_response_norm(n.nearest, 4, alpha=1.)
    n.score = conv(n.norm2, 2, 1)
    return n


X = np.random.default_rng(0).standard_normal((2, 2, 12, 14))


def test_values_sizes_and_gradients():
    n = small_net().astype('float64')
    n.forward(X, keep=True)
    values = n.values
    pooled, _ = ops.max_pool(values['conv1'], 3, 1, pad=2, dilation=2)
    np.testing.assert_array_equal(values['pool1'], pooled)
    mean, _ = ops.avg_pool(values['taken'], 2, 2, pad=1, dilation=2, count_include_pad=False)
    np.testing.assert_array_equal(values['mean'], mean)
    nearest, _ = ops.resize(values['norm1'], (12, 14), mode='nearest')
    np.testing.assert_array_equal(values['nearest'], nearest)
    assert {name: value.shape[2:] for name, value in values.items() if value.ndim == 4
            and name in n.boxes} == {name: n.sizes((12, 14))[name] for name in n.boxes}
    report = check_net(n, X, directions=1)
    assert report.ok, str(report)


def test_the_momentum_of_a_batch_norm():
    n = small_net().astype('float64')
    n.forward(X, train=True, keep=True)
    np.testing.assert_allclose(n.state['norm1.mean'], .3 * n.values['mean'].mean((0, 2, 3)))


def test_a_batch_without_images():
    assert small_net().forward(np.zeros((0, 2, 12, 14), 'float32')).shape == (0, 2, 12, 14)
