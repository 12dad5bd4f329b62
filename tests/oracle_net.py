"""A whole net run by somebody else's ops: the same boxes, another arithmetic."""


def run(net, oracle, image, params, train=False):
    """Walk net's boxes with the functions of `oracle`, which bear the ops' names.

    image and params are whatever the oracle computes with -> {box: y}
    """
    values, sizes = {'data': image, **params}, net.sizes(image.shape[2:])
    for box in net.route(train):
        how = dict(box.kwargs)
        if box.like:
            how['size'] = sizes[box.like]
        if 'train' in net._op_kwargs(box, train, sizes):
            how['train'] = train
        values[box.name] = getattr(oracle, box.op.__name__)(
            *(values[name] for name in box.reads), **how)
    return values
