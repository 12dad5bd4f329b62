"""What a laptop trains: SqueezeNet on three small sets, and a tiny net on shapes or one's own.

Their staging is the paper's: each finer stride begins with the weights of the coarser one, at a
lower rate.
"""
BGR = dict(order='BGR', scale=1, mean=(104., 117., 123.), std=(1, 1, 1))
CENTRED = dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1))

SQUEEZENET = dict(preprocess=BGR, loss='mean', poly=.9, iter_size=4, mirrored=True)
TINY = dict(preprocess=CENTRED, loss='mean', adam=True, rules={}, weight_decay=0., batch=4)


def squeezenet(set_name, valid, pictures, epochs):
    """Stride 16 from ImageNet's weights, then 8, then 4, for sets of so many pictures."""
    def stage(stride, start, lr, epochs):
        steps = epochs * pictures // 4
        return dict(SQUEEZENET, net=f'fcn_squeezenet_{stride}s', start=start, lr=lr, steps=steps,
                    train=(set_name, 'train'), valid=valid, every=max(1, steps // 8))

    return {f'{set_name}-16s': stage(16, 'squeezenet', 1e-3, epochs),
            f'{set_name}-8s': stage(8, f'{set_name}-16s', 3e-4, max(1, epochs * 2 // 5)),
            f'{set_name}-4s': stage(4, f'{set_name}-8s', 1e-4, max(1, epochs * 2 // 5))}


def shapes(stride, start, lr, steps):
    """A stage of `make demo`."""
    return dict(TINY, net=f'tiny_{stride}s', start=start, lr=lr, steps=steps, poly=.9,
                train=('shapes', 'train'), valid=('shapes', 'val'), every=steps // 2)


OURS = {
    'shapes-32s': shapes(32, None, 4e-3, 500),
    'shapes-16s': shapes(16, 'shapes-32s', 3e-3, 220),
    'shapes-8s': shapes(8, 'shapes-16s', 3e-3, 280),
    **squeezenet('stanford', None, 458, 20),
    **squeezenet('camvid', ('camvid', 'val'), 367, 25),
    **squeezenet('voc_animals', None, 2509, 4),
    # one's own pictures: on ImageNet's weights, or from nothing
    'folder-squeezenet': dict(SQUEEZENET, net='fcn_squeezenet_16s', start='squeezenet', lr=1e-3,
                              steps=1000, train=('folder', 'train'), every=100),
    'folder': dict(TINY, net='tiny_8s', lr=3e-3, poly=.9, steps=1000, train=('folder', 'train'),
                   every=100, mirrored=True),
}
