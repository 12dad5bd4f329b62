"""What a laptop can train: SqueezeNet and GoogLeNet on three small data sets, and a tiny net.

The stages of SqueezeNet are those of the paper: each finer stride starts from the weights of the
coarser one, at a lower learning rate. GoogLeNet is trained with all of its skips at once, by Adam.
"""
from typing import Any

CENTRED = dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1))

# images are prepared as the weights say: Caffe's SqueezeNet reads BGR, torchvision's RGB
SQUEEZENET: dict[str, Any] = dict(loss='mean', lr_power=.9, iter_size=4, flip=True)
# a user's images are augmented moderately. elastic_sigma is for tissue and cells, blur and noise
# are for images of several cameras, and rare_classes is for classes that few images have
OWN_IMAGES: dict[str, Any] = dict(
    train=('folder', 'train'), steps=1000, validate_every=100, scale_range=(.75, 1.33),
    rotation=10., colour=(.3, .3, .3, .05))
TINY: dict[str, Any] = dict(
    preprocess=CENTRED, loss='mean', optimizer='adam', rules={}, weight_decay=0., batch=4)


def squeezenet_stages(set_name: str, valid: tuple[str, str] | None, n_images: int,
                      epochs: int) -> dict[str, dict[str, Any]]:
    """Stride 16 from the ImageNet weights, then strides 8 and 4, for a set of n_images."""
    def stage(stride: int, init_from: str, lr: float, epochs: int) -> dict[str, Any]:
        steps = epochs * n_images // 4
        return dict(SQUEEZENET, net=f'fcn_squeezenet_{stride}s', init_from=init_from, lr=lr,
                    steps=steps, train=(set_name, 'train'), valid=valid,
                    validate_every=max(1, steps // 8))

    finer_epochs = max(1, epochs * 2 // 5)
    return {f'{set_name}-16s': stage(16, 'squeezenet', 1e-3, epochs),
            f'{set_name}-8s': stage(8, f'{set_name}-16s', 3e-4, finer_epochs),
            f'{set_name}-4s': stage(4, f'{set_name}-8s', 1e-4, finer_epochs)}


GOOGLENET: dict[str, Any] = dict(
    loss='mean', optimizer='adam', lr=1e-4, lr_power=.9, weight_decay=0., rules={}, iter_size=4,
    net='fcn_googlenet_4s', init_from='googlenet', flip=True)


def googlenet_recipe(set_name: str, valid: tuple[str, str] | None, n_images: int, epochs: int,
                     crop_size: tuple[int, int]) -> dict[str, Any]:
    """All strides at once from the ImageNet weights, for a set of n_images.

    crop_size: no smaller than most images; it only bounds those that are enlarged
    """
    steps = epochs * n_images // 4
    return dict(GOOGLENET, train=(set_name, 'train'), valid=valid, steps=steps,
                validate_every=max(1, steps // 4), scale_range=(.7, 1.4), rotation=8.,
                colour=(.3, .3, .3, .05), crop_size=crop_size)


def shapes_stage(stride: int, init_from: str | None, lr: float, steps: int) -> dict[str, Any]:
    """A stage of `make demo`."""
    return dict(TINY, net=f'tiny_{stride}s', init_from=init_from, lr=lr, steps=steps, lr_power=.9,
                train=('shapes', 'train'), valid=('shapes', 'val'), validate_every=steps // 2)


OURS: dict[str, dict[str, Any]] = {
    'shapes-32s': shapes_stage(32, None, 4e-3, 500),
    'shapes-16s': shapes_stage(16, 'shapes-32s', 3e-3, 220),
    'shapes-8s': shapes_stage(8, 'shapes-16s', 3e-3, 280),
    **squeezenet_stages('stanford', None, 458, 20),
    **squeezenet_stages('camvid', ('camvid', 'val'), 367, 25),
    **squeezenet_stages('voc_animals', None, 2509, 4),
    'stanford-googlenet': googlenet_recipe('stanford', None, 458, 16, (320, 320)),
    'camvid-googlenet': googlenet_recipe('camvid', ('camvid', 'val'), 367, 20, (360, 480)),
    'voc_animals-googlenet': googlenet_recipe('voc_animals', None, 2509, 4, (320, 320)),
    # a folder of the user's images: from ImageNet weights, or from random ones. Photos are trained
    # on crops, so that a step takes as long and as much memory for images of any size
    'folder-googlenet': dict(GOOGLENET, **OWN_IMAGES, crop_size=(320, 320)),
    'folder-squeezenet': dict(SQUEEZENET, **OWN_IMAGES, net='fcn_squeezenet_16s',
                              init_from='squeezenet', lr=1e-3, crop_size=(320, 320)),
    'folder': dict(TINY, **OWN_IMAGES, net='tiny_8s', lr=3e-3, lr_power=.9, flip=True,
                   crop_size=(256, 256)),
}

# the name of the data set alone means its most accurate recipe (benchmarks/RESULTS.md)
OURS |= {name: OURS[f'{name}-googlenet'] for name in ('stanford', 'camvid', 'voc_animals')}
