"""How often a training step waits, copies and allocates, as the driver under CuPy counts it."""
import pytest
from fake_cuda.driver import counting
from training_samples import CENTRED, CLASSES, make_recipe, small_dataset, small_net

from tinyfcn import build, ops
from tinyfcn.training.loop import make_optimizer, train

pytestmark = pytest.mark.cupy

DATASET = small_dataset(size=(32, 32), same_size=True)


def net_on_gpu(name):
    net = build(name, len(CLASSES), width=1/16).to('gpu')
    net.about['preprocess'] = CENTRED
    return net


def train_steps(net, **changes):
    """The rows of a training, whose first step creates what all steps keep."""
    recipe = make_recipe(lr=1e-4, **changes)
    rows = train(net, DATASET, recipe, make_optimizer(recipe))
    next(rows)
    return rows


def count_next(rows):
    with counting() as counts:
        next(rows)
    return counts


@pytest.mark.parametrize('name', ['fcn8s', 'fcn_googlenet', 'unet_same'])
def test_a_step_waits_once_and_uploads_image_label_and_dropout_masks(pool, name):
    net = net_on_gpu(name)
    dropouts = sum(box.op.__name__ == 'dropout' for box in net.route(True))
    rows = train_steps(net)
    for _ in range(3):
        counts = count_next(rows)
        assert (counts['waits'], counts['uploads']) == (1, 2 + dropouts)
    rows.close()


@pytest.mark.parametrize('changes', [
    dict(iter_size=3), dict(optimizer='adam'), dict(loss='focal'), dict(loss='dice'),
    dict(loss='ce+dice'), dict(class_weight=(1., 2., 3.)), dict(border_weight=(2., 3.))], ids=str)
def test_a_step_of_any_recipe_waits_once(pool, changes):
    rows = train_steps(small_net(norm=True, drop=.5).to('gpu'), **changes)
    assert [count_next(rows)['waits'] for _ in range(2)] == [1, 1]
    rows.close()


def test_a_check_that_waits_is_counted(pool):
    """The tests above would fail if an op read its values on the host."""
    def add_with_check(*xs):
        assert bool((xs[0] == xs[0]).all())
        return ops.add(*xs)

    add_with_check.backward = ops.add.backward
    net = net_on_gpu('fcn8s')
    net.fuse_pool4.op = add_with_check
    rows = train_steps(net)
    assert count_next(rows)['waits'] == 2
    rows.close()


def test_a_step_frees_all_that_it_takes(pool):
    """Weights and their velocity stay; every later step gets the memory of the first."""
    before = pool.used_bytes()                          # matrices of other tests' upsampling
    net = net_on_gpu('fcn8s')
    rows = train_steps(net)
    used = []
    for _ in range(4):
        counts = count_next(rows)
        used.append(pool.used_bytes() - before)
    rows.close()
    # and the score of the last pass, and some small matrices of upsampling
    kept = [*net.params.values(), *net.params.values(), *net.values.values()]
    least = sum(-(-x.nbytes // 512) * 512 for x in kept)
    assert used == [used[0]] * 4 and least <= used[0] <= least + (1 << 13)
    assert counts['allocations'] == 0
