"""A stack of layers over the image: the size, the scale and the shift of each, as three sums."""
from ...geometry import axes
from ..player import Player
from .alignment import with_image

MAX_LAYERS = 16             # more than fit on a screen
WINDOWS = 'conv2d', 'max_pool', 'avg_pool'
UPSAMPLINGS = 'upsample', 'conv_transpose2d'
IMAGE = 'image'


def stack(net, size, image=None):
    """The layers from the image to the output; in the page, windows, pads and crops can be changed.

    size of the image, an int -> Player with a frame for each layer, along one axis
    image: (size, size, 3), to show under the units

    Where an earlier layer is cropped and added, that is one layer of the stack, a 'fuse'.
    """
    size, _ = axes(size, 'size', 1)
    sizes = net.sizes((size, size))
    boxes = [box for box in _main_branch(net) if _changes_alignment(box)]
    if len(boxes) >= MAX_LAYERS:
        raise ValueError(f'a stack of {len(boxes)} layers is too high to show; the limit is '
                         f'{MAX_LAYERS - 1}: build a net of the layers that matter')
    layers = [dict(name=IMAGE, op='image')]
    frames = [dict(caption=f'the image: {size} pixels, pixel i is at i',
                   **_state_of(net['data'], sizes['data']))]
    for box in boxes:
        layer = _as_layer(net, box)
        state = _state_of(box, sizes[box.name])
        if layer['op'] in ('crop', 'fuse'):
            state['offset'] = _crop_of(net, box).kwargs['offset'][1]
            like = [each['name'] for each in layers].index(layer['like'])
            caption = _crop_sum(layer, frames[-1], frames[like], state['offset'])
        else:
            caption = _window_sums(layer, frames[-1], state)
        layers.append(layer)
        frames.append(dict(caption=caption, **state))
    trace = dict(kind='stack', title='A stack of layers: three sums each', size=size,
                 layers=layers, frames=frames)
    return Player(with_image(trace, image, (size, size)))


def _main_branch(net):
    """The boxes from the image to the last one, along the branch with the largest fields."""
    box = [*net.boxes.values()][-1]
    boxes = []
    while box.name != 'data':
        boxes.append(box)
        if not box.alignment:
            raise ValueError(f'{box} has {box.alignment}')
        box = max((net[name] for name in box.inputs), key=lambda read: read.alignment.field[1])
    return boxes[::-1]


def _changes_alignment(box):
    """Whether this layer has a line of its own; relu and a 1×1 convolution have none."""
    op = box.op.__name__
    if op in WINDOWS:
        return (_ksize_of(box), _number_of(box, 'stride'), _number_of(box, 'pad')) != (1, 1, 0)
    return op in (*UPSAMPLINGS, 'crop', 'add')


def _as_layer(net, box):
    """The numbers that the page needs to compute a layer anew."""
    op = box.op.__name__
    if op in WINDOWS:
        if _number_of(box, 'dilation') != 1:
            raise ValueError(f'{box.line}: a stack has no dilated windows; leave dilation at 1')
        return dict(name=box.name, op='pool' if box.kwargs.get('ceil') else 'conv',
                    ksize=_ksize_of(box), stride=_number_of(box, 'stride'),
                    pad=_number_of(box, 'pad'))
    if op in UPSAMPLINGS:
        stride = _number_of(box, 'factor' if op == 'upsample' else 'stride')
        return dict(name=box.name, op='up', ksize=_ksize_of(box), stride=stride,
                    pad=_number_of(box, 'pad'))
    if op == 'crop':
        return dict(name=box.name, op='crop', like=IMAGE if box.like == 'data' else box.like)
    like, = _crop_of(net, box).inputs
    while not _changes_alignment(net[like]):                # the score layer of a skip
        like, = net[like].inputs
    return dict(name=box.name, op='fuse', like=like)


def _crop_of(net, box):
    """The crop that a box is, or the one whose output it adds."""
    if box.op.__name__ == 'crop':
        return box
    crops = [net[name] for name in box.inputs if 'offset' in net[name].kwargs]
    if len(crops) != 1:
        raise ValueError(f'{box.line}: a stack adds a layer and the crop of an earlier one')
    return crops[0]


def _ksize_of(box):
    return axes(box.kwargs.get('ksize') or box.weights['w'][1][-1], 'ksize')[1]


def _number_of(box, name):
    return axes(box.kwargs[name], name)[1]


def _state_of(box, size):
    """Along the width: how many units, where they are, and what each sees."""
    return dict(size=size[1], scale=float(box.alignment.scale[1]),
                shift=float(box.alignment.shift[1]), field=float(box.alignment.field[1]))


def _window_sums(layer, before, after):
    """The three sums of a window, or of a transposed one, with their numbers."""
    k, s, p = (layer[name] for name in ('ksize', 'stride', 'pad'))
    n = before['size']
    half = f'(({k} − 1)/2 − {p})' if p else f'({k} − 1)/2'
    scales = _text(before['scale']), _text(after['scale'])
    if layer['op'] == 'up':
        size = f'{s}·({n} − 1) + {k}' + (f' − 2·{p}' if p else '')
        scale = f'{scales[0]}/{s}'
        shift = f'− {scales[1]}·{half}'
    else:
        left, right = '⌈⌉' if layer['op'] == 'pool' else '⌊⌋'
        padded = f'{n} + 2·{p}' if p else f'{n}'
        size = f'{left}({padded} − {k})/{s}{right} + 1'
        if layer['op'] == 'pool' and after['size'] != -(-(n + 2 * p - k) // s) + 1:
            size += ' − 1'                          # the last window would begin outside
        scale = f'{scales[0]}·{s}'
        shift = f'+ {scales[0]}·{half}'
    return (f'{layer["name"]}: size = {size} = {after["size"]},  scale = {scale} = {scales[1]},  '
            f'shift = {_text(before["shift"])} {shift} = {_text(after["shift"])}')


def _crop_sum(layer, before, like, offset):
    """How many units a crop cuts off, from two shifts."""
    if layer['op'] == 'crop':
        later, earlier = like, before
    else:
        later, earlier = before, like
    sign = '+' if earlier['shift'] < 0 else '−'
    difference = f'{_text(later["shift"])} {sign} {_text(abs(earlier["shift"]))}'
    return (f'{layer["name"]}: crop {layer["like"] if layer["op"] == "fuse" else "it"} at '
            f'({difference})/{_text(before["scale"])} = {offset}')


def _text(value):
    """12.5, −91.5: exactly."""
    return str(int(value) if value == int(value) else value).replace('-', '−')
