"""One net in several threads: each walk has values, caches and gradients of its own."""
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from tinyfcn import Net
from tinyfcn.layers import add, batch_norm, conv, crop, max_pool, relu, scale, upsample

THREADS = 8


def small_fcn():
    """Every kind of lifetime: an overwritten value, one that is read twice, a size that is lent."""
    n = Net(2)
    n.conv1 = conv(n.data, 4, 3, pad=1)
    n.bn1 = batch_norm(n.conv1, frozen=True)
    n.relu1 = relu(n.bn1)
    n.pool1 = max_pool(n.relu1, 2)
    n.score_fr = conv(n.pool1, 3, 1)
    n.up = upsample(n.score_fr, 2)
    n.skip = conv(n.relu1, 3, 1)
    n.fuse = add(crop(n.up, like=n.data, offset=1), n.skip)
    n.score = relu(n.fuse)
    return n


def quick_net():
    """A value that relu overwrites and one that is read twice, in a sixth of a millisecond."""
    n = Net(2)
    n.conv1 = conv(n.data, 2, 1)
    n.relu1 = relu(n.conv1)
    n.half = scale(n.relu1, .5)
    n.score = add(n.half, n.relu1)
    return n


def image(number):
    """Each thread has an image of its own size."""
    return np.random.default_rng(number).standard_normal((1, 2, 6 + number, 9)).astype('float32')


@pytest.fixture
def switch_often():
    """Threads take turns after 10 µs instead of 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def in_threads(work):
    """[work(0), …, work(7)], all at once: the first error of a thread is raised here."""
    barrier = Barrier(THREADS)

    def start(number):
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(start, range(THREADS)))


@pytest.mark.usefixtures('switch_often')
def test_a_thousand_forwards_in_eight_threads_are_all_right():
    net = quick_net()
    scores = [net.forward(image(number)) for number in range(THREADS)]

    def count_right(number):
        x = image(number)
        return sum(np.array_equal(net.forward(x), scores[number]) for _ in range(125))

    assert in_threads(count_right) == [125] * THREADS


@pytest.mark.usefixtures('switch_often')
def test_each_thread_sees_the_values_caches_and_gradients_of_its_own_walk():
    net = small_fcn()
    expected = []
    for number in range(THREADS):
        score = net.forward(image(number), keep=True)
        net.backward(score=np.ones_like(score))
        expected.append((net.values, net.grads))

    def count_right(number):
        x = image(number)
        right = 0
        for _ in range(3):
            for box, y in net.walk(x):                  # step by step, as in a lesson
                assert net.values[box.name] is y and box.name in net.caches
            for box, _ in net.walk_back(score=np.ones_like(net.values['score'])):
                assert box.name in net.grads
            right += all(
                own.keys() == true.keys()
                and all(np.array_equal(own[name], true[name]) for name in true)
                for own, true in zip((net.values, net.grads), expected[number]))
        return right

    assert in_threads(count_right) == [3] * THREADS


@pytest.mark.usefixtures('switch_often')
def test_each_thread_goes_back_through_its_own_forward():
    net = small_fcn()

    def gradients(number):
        score = net.forward(image(number), train=True)
        return net.backward(score=np.ones_like(score))

    expected = [gradients(number) for number in range(THREADS)]
    for own, true in zip(in_threads(gradients), expected):
        assert own.keys() == true.keys()
        for name, grad in true.items():
            np.testing.assert_array_equal(own[name], grad)


def test_backward_needs_the_forward_of_its_own_thread():
    net = small_fcn()
    score = net.forward(image(0), train=True)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(net.backward, score=np.ones_like(score))
        with pytest.raises(RuntimeError, match='before each backward, in the same thread'):
            other.result()
    assert net.backward(score=np.ones_like(score))


@pytest.mark.parametrize('keep', [True, False])
def test_two_walks_in_turns(keep):
    """One step of each at a time: neither reads a value of the other."""
    net = small_fcn()
    expected = [net.forward(image(number)) for number in (0, 1)]
    walks = [net.walk(image(number), keep=keep) for number in (0, 1)]
    *_, last = zip(*walks)
    for (_, score), true in zip(last, expected):
        np.testing.assert_array_equal(score, true)


def test_a_walk_may_go_on_in_another_thread():
    net = small_fcn()
    expected = net.forward(image(0))
    walk = net.walk(image(0))
    next(walk)
    with ThreadPoolExecutor(1) as pool:
        *_, (_, score) = pool.submit(list, walk).result()
    np.testing.assert_array_equal(score, expected)
    assert net.values['score'] is score, 'the thread that began it sees it'
