"""A whole net run with the ops of an oracle: the same boxes, independent arithmetic."""


def run(net, oracle, image, params, train=False):
    """Walk net's boxes with the functions of `oracle`, which have the names of the ops.

    image and params are whatever the oracle computes with -> {box: y}
    """
    values, sizes = {'data': image, **params}, net.sizes(image.shape[2:])
    for box in net.route(train):
        kwargs = dict(box.kwargs)
        if box.like:
            kwargs['size'] = sizes[box.like]
        if 'train' in box.flags:
            kwargs['train'] = train
        values[box.name] = getattr(oracle, box.op.__name__)(
            *(values[name] for name in box.reads), **kwargs)
    return values
