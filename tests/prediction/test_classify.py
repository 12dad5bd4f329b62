"""The class of a whole image, the map of a class, and the size at which images are seen."""
import numpy as np
import pytest
from published import random_net

from tinyfcn import build, evaluate, predict
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.imagenet import GROUPS, class_names, everyday_word
from tinyfcn.data.transforms import prepare, rescale, resize_shorter
from tinyfcn.prediction.class_map import class_map
from tinyfcn.prediction.classify import classify, is_classifier, is_of_imagenet
from tinyfcn.prediction.multiscale import softmax

RGB = dict(order='RGB', scale=1/64, mean=(2, 2, 2), std=(1, 1, 1))
PHOTO = np.random.default_rng(0).integers(0, 255, (40, 52, 3), 'uint8')


def net_for(name, n_class=3, width=1/16, **about):
    net = random_net(name, n_class, width)
    net.about.update(preprocess=RGB, **about)
    return net


@pytest.mark.parametrize('name', ['vgg16', 'googlenet', 'squeezenet', 'alexnet_torchvision',
                                  'resnet50'])
def test_classifiers(name):
    assert is_classifier(build(name, 3, width=1/16, seed=None))


@pytest.mark.parametrize('name', ['fcn32s', 'unet', 'siftflow_8s', 'deeplabv3_resnet50', 'pspnet'])
def test_nets_that_score_pixels_are_no_classifiers(name):
    net = build(name, 3, width=1/16, seed=None)
    assert not is_classifier(net)
    with pytest.raises(ValueError, match='use tinyfcn.predict'):
        classify(net, PHOTO)


def test_guesses_are_the_softmax_of_the_score_at_the_size_of_the_weights():
    net = net_for('squeezenet', shorter_side=96, classes=['sky', 'tree', 'road'])
    guesses = classify(net, PHOTO, top=2)
    resized = resize_shorter(PHOTO, 96)
    assert resized.shape == (96, 124, 3)
    expected = softmax(net.forward(prepare(resized, RGB))).ravel()
    assert [guess.number for guess in guesses] == [*np.argsort(-expected)[:2]]
    assert guesses[0].probability == expected.max()
    assert guesses[0].name == ('sky', 'tree', 'road')[expected.argmax()]


def test_classes_of_imagenet():
    net = build('squeezenet', 1000, width=1/16, seed=None)
    assert not is_of_imagenet(net)
    net.about['classes'] = [*class_names()]
    assert is_of_imagenet(net)
    for word, numbers in GROUPS.items():
        assert len(numbers) and all(0 <= number < 1000 for number in numbers), word
        assert all(len(GROUPS[everyday_word(number)]) <= len(numbers) for number in numbers)
    assert {class_names()[n] for n in GROUPS['horse']} == {'sorrel'}


# ---- the map of a class --------------------------------------------------------------------------

def test_the_map_of_a_classifier_has_the_score_as_its_mean():
    for name, size, n_places in ('squeezenet', (80, 96), (4, 5)), ('googlenet', (224, 224), (7, 7)):
        net = net_for(name)
        photo = np.resize(PHOTO, (*size, 3))
        found = class_map(net, photo)
        assert found.scores.shape == (3, *n_places) and found.image.shape == photo.shape
        np.testing.assert_allclose(found.scores.mean((1, 2)),
                                   net.forward(prepare(photo, RGB)).ravel(), rtol=1e-4, atol=1e-5)


def test_the_map_of_a_classifier_is_finer_than_what_it_classifies():
    found = class_map(net_for('squeezenet', shorter_side=64), PHOTO)
    assert found.image.shape == (96, 124, 3)


def test_the_map_of_a_net_for_segmentation_are_its_scores():
    net = net_for('tiny_8s')
    found = class_map(net, PHOTO)
    np.testing.assert_array_equal(found.scores, net.forward(prepare(PHOTO, RGB))[0])
    with pytest.raises(ValueError, match='score_sem, score_geo, has no single map'):
        class_map(build('siftflow_32s', width=1/16, seed=None), PHOTO)


# ---- the size of the images of the weights -------------------------------------------------------

@pytest.mark.parametrize('size', [(40, 52), (52, 40), (90, 130), (64, 64)])
def test_images_are_resized_for_the_weights_and_the_mask_back(size):
    net = net_for('tiny_8s', shorter_side=64)
    photo = np.resize(PHOTO, (*size, 3))
    mask = predict(net, photo)
    assert mask.shape == size
    seen = resize_shorter(photo, 64)
    assert min(seen.shape[:2]) == 64
    prob = softmax(net.forward(prepare(seen, RGB)))
    expected = prob[0].argmax(0)
    if seen.shape == photo.shape:
        assert (mask == expected).all()
    else:                                               # to a pixel at the edges of the classes
        rows, columns = (((np.arange(n) + .5) * m / n).astype(int)
                         for n, m in zip(size, expected.shape))
        assert (mask == expected[rows[:, None], columns]).mean() > .9


def test_scales_and_longest_say_otherwise():
    net = net_for('tiny_8s', shorter_side=64)
    plain = net_for('tiny_8s')
    for options in dict(scales=(1,)), dict(scales=(.5, 1)), dict(longest=40), dict(longest=1000):
        np.testing.assert_array_equal(predict(net, PHOTO, **options),
                                      predict(plain, PHOTO, **options))
    assert (predict(net, PHOTO) != predict(plain, PHOTO)).any()
    larger, _ = rescale(PHOTO, {}, 64 / 40)
    np.testing.assert_array_equal(predict(net, PHOTO, flip=True).shape, (40, 52))
    np.testing.assert_array_equal(predict(net, larger, flip=True),
                                  predict(plain, larger, flip=True))


def test_evaluate_sees_images_as_predict_does():
    net = net_for('tiny_8s', shorter_side=64)
    mask = predict(net, PHOTO)
    dataset = Dataset('abc', ['x'], lambda name: (PHOTO, mask))
    assert evaluate(net, dataset)['pixel_acc'] == 1


@pytest.mark.parametrize('size, expected', [
    ((500, 333), (780, 520)), ((1040, 900), (600, 520)), ((375, 500), (520, 693)),
    ((520, 700), (520, 700)), ((1, 1), (520, 520))])
def test_the_longer_side_is_rounded_as_torchvision_does_it(size, expected):
    """Down: 500×333 become 780.78×520."""
    assert resize_shorter(np.zeros((*size, 3), 'uint8'), 520).shape[:2] == expected


def test_a_strip_is_not_enlarged_beyond_all_bounds():
    with pytest.raises(ValueError, match='1×3000 pixels would have 520×1,560,000 .*longest=640'):
        resize_shorter(np.zeros((1, 3000, 3), 'uint8'), 520)
