"""The nets with a decoder: DeconvNet, SegNet, U-Net and the autoencoder, beside their sources."""
from functools import cache, partial

import numpy as np
import pytest
from optional_deps import needs_torch, torch, torch_oracle
from oracle_net import run

from tinyfcn import Net, ops
from tinyfcn.gradcheck import check_net
from tinyfcn.models.autoencoder import cae, cae_fcn
from tinyfcn.models.deconvnet import deconvnet, edeconvnet
from tinyfcn.models.fcn import fcn8s
from tinyfcn.models.segnet import segnet, segnet_basic
from tinyfcn.models.unet import unet
from tinyfcn.optim import SGD
from tinyfcn.weights.transplant import transplant

RNG = np.random.default_rng(6)
unet_same = partial(unet, same=True)


def drawn(figure, n_class=5, width=1/16, dtype='float64', seed=0, channels=3):
    n = Net(channels, dtype, seed)
    figure(n, n_class, width)
    return n


@cache
def blank(figure, n_class=21, channels=3):
    return drawn(figure, n_class, 1, 'float32', None, channels)


def images_of(n, h, w, dtype='float64'):
    """The same whichever tests run: a kink is where it is."""
    return np.random.default_rng(6).standard_normal((n, 3, h, w)).astype(dtype)


def boxes(weights):
    return {name.split('.')[0] for name in weights}


# ---- the papers' numbers -----------------------------------------------------------------------

@pytest.mark.parametrize('figure, n_class, channels, count', [
    (deconvnet, 21, 3, 251_805_653), (segnet, 11, 3, 29_449_355),
    (segnet_basic, 11, 3, 1_415_563 + 1_024),
    (unet, 2, 3, 31_031_810), (unet, 2, 1, 31_030_658), (unet_same, 21, 3, 31_033_045)])
def test_parameters(figure, n_class, channels, count):
    assert sum(w.size for w in blank(figure, n_class, channels).params.values()) == count


def test_receptive_fields_strides_and_crops():
    bottom = blank(unet).drop5.alignment
    assert (bottom.field, bottom.scale) == ((140, 140), (16, 16))
    assert [blank(unet)[f'crop{level}'].kwargs['offset'] for level in (4, 3, 2, 1)] == \
        [(4, 4), (16, 16), (40, 40), (88, 88)]
    assert blank(deconvnet).fc7.alignment.field == (404, 404)
    assert blank(segnet).pool5.alignment.field == (212, 212)
    assert blank(cae_fcn).drop6.alignment.field == (110, 110)


def test_batch_norm_is_initialised_as_in_the_papers():
    n = drawn(deconvnet)
    assert (n.params['debn5_1.w'] == 1).all()
    assert (n.params['bn1_1.b'] == np.float32(.001)).all()
    assert not blank(deconvnet).params['bn1_1.b'].any()


# ---- sizes -------------------------------------------------------------------------------------

def test_unet_from_572_to_388():
    sizes = blank(unet).sizes((572, 572))
    down = [sizes[f'conv{level}_{i}'][0] for level in (1, 2, 3, 4, 5) for i in (1, 2)]
    up = [sizes[box][0] for level in (4, 3, 2, 1)
          for box in (f'upconv{level}', f'conv{level}_3', f'conv{level}_4')]
    assert down == [570, 568, 282, 280, 138, 136, 66, 64, 30, 28]
    assert up == [56, 54, 52, 104, 102, 100, 200, 198, 196, 392, 390, 388]
    assert sizes['score'] == (388, 388)


def test_unet_scores_all_but_a_margin_and_refuses_what_is_nothing_but_margin():
    n = blank(unet)
    assert (n.score.alignment.scale, n.score.alignment.shift) == ((1, 1), (92, 92))
    for h in range(173, 420):
        rows = -(-(h - 124) // 16) * 16 - 60
        assert n.sizes((h, 200))['score'] == (rows, 20)
        assert h - 184 <= rows < h - 92                     # none is lost, and each is over a pixel
    for h in 140, 156, 172:                                 # these reach the bottom, and no further
        assert n.sizes((h, h), until='drop5')['drop5'] == ((h - 124) // 16,) * 2
        with pytest.raises(ValueError, match=r'(?s)window of 3×3 does not fit.*in     conv'):
            n.sizes((h, h))


def test_deconvnet_at_224_and_at_all_it_can():
    n = blank(deconvnet)
    sizes = n.sizes((224, 224))
    assert [sizes[box][0] for box in ('pool5', 'fc6', 'fc7', 'fc6-deconv', 'unpool5', 'unpool4',
                                      'unpool3', 'unpool2', 'unpool1', 'score')] == \
        [7, 1, 1, 7, 14, 28, 56, 112, 224, 224]
    for h in range(193, 400):
        assert n.sizes((h, 500))['score'] == (h, 500)
    with pytest.raises(ValueError, match=r'(?s)7×7 does not fit .* 6×7.*fc6 = conv\(pool5'):
        n.sizes((192, 224))


def test_segnet_unpools_to_the_sizes_that_its_authors_wrote_down():
    sizes = blank(segnet).sizes((360, 480))
    assert [sizes[box] for box in ('pool4', 'pool5', 'pool5_D', 'pool4_D')] == \
        [(23, 30), (12, 15), (23, 30), (45, 60)]


# ---- how training begins -----------------------------------------------------------------------

@pytest.mark.parametrize('figure, size', [(deconvnet, (200, 193)), (unet, (173, 180))])
def test_the_first_loss_is_ln_of_the_classes_and_only_scores_get_gradients(figure, size):
    n = drawn(figure, width=1/64, dtype='float32')
    score = n.forward(images_of(2, *size, dtype='float32'), train=True)
    label = RNG.integers(0, 5, (2, *score.shape[2:]))
    loss, dscore = ops.softmax_cross_entropy(score, label, reduce='mean')
    assert abs(loss - np.log(5)) < 1e-6
    moving = {name for name, grad in n.backward(score=dscore).items() if grad.any()}
    assert moving == {'score.w', 'score.b'}


# ---- the autoencoder ---------------------------------------------------------------------------

@pytest.mark.parametrize('size', [(1, 1), (2, 9), (17, 33), (40, 50)])
def test_the_autoencoder_reconstructs_an_image(size):
    n = drawn(cae, channels=4)
    assert n.forward(RNG.standard_normal((1, 4, *size))).shape == (1, 4, *size)


def test_autoencoder_weights_fit_the_fcn():
    first, x = drawn(cae, width=1/2), images_of(2, 6, 8).repeat(4, 2).repeat(4, 3)
    sgd, losses = SGD(lr=3e-4, momentum=.9), []
    for _ in range(16):
        error = first.forward(x, train=True) - x
        losses.append((error ** 2).sum() / 2)
        sgd.step(first.params, first.backward(image=error))
    assert losses[-1] < losses[0] / 2

    second = drawn(cae_fcn, width=1/2, seed=1)
    report = transplant(second, first.params | first.state)
    assert boxes(report.copied) == {f'{word}{i}' for word in ('conv', 'bn') for i in (1, 2, 3, 4)}
    assert boxes(report.missing) == {'fc6', 'bn6', 'score_fr', 'score_pool3', 'score_pool2'}
    assert (first.forward(x, until='pool4') == second.forward(x, until='pool4')).all()


# ---- gradients ---------------------------------------------------------------------------------

TO_BLOCK_4 = {f'*{block}_{i}*' for block in (1, 2, 3, 4) for i in (1, 2, 3)} - {'*1_3*', '*2_3*'}


@pytest.mark.parametrize('figure, shape, frozen', [
    (cae, (1, 35, 45), ()), (cae_fcn, (2, 33, 49), ()), (segnet_basic, (1, 30, 41), ()),
    (segnet, (1, 61, 77), TO_BLOCK_4), (unet_same, (1, 19, 24), ()),
    (unet, (1, 173, 174), {'*[1-4]_*', 'upconv[123]*'})])
def test_check_net(figure, shape, frozen):
    """18 values or more in every normalised channel; the image is asked whatever is frozen."""
    n = drawn(figure, 2, 1/64)
    n.frozen = set(frozen)
    report = check_net(n, images_of(*shape), directions=1)
    assert report.ok, str(report)


def test_check_net_between_the_halves_of_deconvnet():
    """Of a million units one is always near a kink: smaller steps, of fewer weights."""
    n = drawn(deconvnet, 2, 1/64)
    # a batch norm is in training as long as one of its weights is
    n.frozen = {'conv*', 'deconv*', '*.b', 'fc7*', 'score*'}
    report = check_net(n, images_of(1, 257, 353), step=1e-7, atol=1e-3, directions=1)
    assert report.ok, str(report)
    between = [row for row in report.rows if row.name in ('fc6.w', 'fc6-deconv.w', 'data')]
    assert len(between) == 3
    assert min(abs(row.analytic) for row in between) > 10           # atol is nothing beside it


@needs_torch
@pytest.mark.parametrize('figure, shape', [
    (cae, (1, 35, 45)), (segnet, (1, 61, 77)), (segnet_basic, (1, 30, 41)),
    (deconvnet, (1, 289, 225)), (unet, (1, 173, 189))])
def test_a_training_step_equals_pytorch(figure, shape):
    """Scores, gradients and the running statistics that batch norm leaves behind."""
    n = drawn(figure)
    for w in n.params.values():
        if not w.any():                             # zeros hide what is behind them
            w += .1 * RNG.standard_normal(w.shape)
    x, (last,), train = images_of(*shape), n.outputs(), bool(n.state)
    params = {name: torch.tensor(w, requires_grad=True) for name, w in n.params.items()}
    state = {name: torch.tensor(w) for name, w in n.state.items()}
    true = run(n, torch_oracle, torch.tensor(x), params | state, train)[last]
    dscore = RNG.standard_normal(true.shape)
    (true * torch.tensor(dscore)).sum().backward()

    score = n.forward(x, train, keep=True)
    grads = n.backward(**{last: dscore})
    assert set(grads) == set(params)
    pairs = [(score, true.detach()), *((grads[name], w.grad) for name, w in params.items()),
             *((n.state[name], w) for name, w in state.items())]
    for ours, theirs in pairs:
        theirs = theirs.numpy()
        assert abs(ours - theirs).max() <= 1e-9 * max(1, abs(theirs).max())


# ---- two nets as one -----------------------------------------------------------------------------

def test_the_ensemble_is_the_product_of_two_nets():
    """Their weights move in under a suffix, and what either says alone is multiplied."""
    parts = {'_fcn': drawn(fcn8s, width=1/32), '_deconv': drawn(deconvnet, width=1/32)}
    both, x = drawn(edeconvnet, width=1/32), images_of(1, 224, 230)
    for suffix, part in parts.items():
        for w in part.params.values():
            if not w.any():
                w += .1 * RNG.standard_normal(w.shape)
        transplant(both, {name.replace('.', f'{suffix}.'): w
                          for name, w in {**part.params, **part.state}.items()})
    fcn, deconv = (part.forward(x) for part in parts.values())
    score = both.forward(x)
    np.testing.assert_array_equal(score, deconv * np.maximum(fcn, 0))
    assert (fcn < 0).any() and (fcn > 0).any() and score.any()
    assert both.outputs() == ['score']
