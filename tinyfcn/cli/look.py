"""Commands that look: at a net, at what a classifier sees, at a file of weights."""
import argparse
from pathlib import Path


def summary(args):
    """A net as a table: boxes, strides, fields, parameters, why each crop. Several: a row each."""
    from .. import build
    from ..net.summary import beside
    nets = {name: build(name, args.classes, seed=None) for name in args.net}
    print(beside(nets) if len(nets) > 1 else nets[args.net[0]].summary(args.size))


def draw(args):
    """A net as a figure; with --heatmap, where in an image a classifier sees a class; with
    --activations, what the boxes make of an image.
    """
    from .. import build, viz
    net = build(args.net, args.classes, seed=None)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    if args.heatmap:
        heatmap(args, net)
    elif args.activations:
        activations(args, net)
    else:
        viz.draw_net(net, args.output)
    print(args.output)


def heatmap(args, net):
    """The paper's Figure 2: a class' score at every place that the classifier looks at."""
    from .. import viz
    from ..data.images import read_image
    from ..data.transforms import prepare
    preprocess = learned(net, args.weights, '--heatmap')
    names = args.names.read_text('utf-8').splitlines() if args.names else []
    number, image = class_number(args.heatmap[0], names), read_image(args.heatmap[1])
    box = net[net['score'].inputs[0]]           # the score averages over places; this is the map
    score = net.forward(prepare(image, preprocess), until=box.name)[0]
    if number >= len(score):
        raise ValueError(f'class {number}: there are 0 … {len(score) - 1}')

    def called(number):
        return names[number] if number < len(names) else f'class {number}'

    viz.draw_heatmap(image, score[number], box.alignment, args.output, called(number))
    print(f'{called(number)}: {score[number].mean():.2f} on average over '
          f'{score.shape[1]}×{score.shape[2]} places, {score[number].max():.2f} at most; the whole '
          f'image is {called(score.mean((1, 2)).argmax())}')


def learned(net, file, asked):
    """The weights of a file moved into the net. -> how its images were prepared"""
    from .. import weights
    if not file:
        raise ValueError(f'{asked} needs what the net has learned: --weights FILE')
    arrays, about = weights.read(file)
    weights.transplant(net, arrays)
    if not about.get('preprocess'):
        raise ValueError(f'{file} does not say how its images were prepared')
    return about['preprocess']


def activations(args, net):
    """The strongest channel of the last box of every size, on the way down and up again."""
    from .. import viz
    from ..data.images import read_image
    from ..data.transforms import prepare
    preprocess = learned(net, args.weights, '--activations')
    last, values = None, {}
    for box, y in net.walk(prepare(read_image(args.activations), preprocess), keep=False):
        if last and last[1].shape[2:] != y.shape[2:]:
            values[last[0].name] = last[1][0]
        last = box, y.copy()                            # a relu may overwrite it
    viz.draw_activations({**values, last[0].name: last[1][0]}, args.output)


def class_number(wanted, names):
    """A class by its number, or by a part of its name."""
    if wanted.isdecimal():
        return int(wanted)
    if not names:
        raise ValueError(f'class {wanted!r}: a number, or give the names of all: --names FILE')
    found = [i for i, name in enumerate(names) if wanted.lower() in name.lower()]
    if len(found) != 1:
        near = ', '.join(f'{i} {names[i]}' for i in found[:8]) or 'no name has it'
        raise ValueError(f'class {wanted!r} is no single one of {len(names)}: {near}')
    return found[0]


def weights(args):
    """A file of weights: what is in it, or (convert) the same as a checked .safetensors."""
    from .. import weights
    arrays, about = (weights.raw if args.what == 'inspect' else weights.read)(args.file)
    for key, value in about.items():
        print(f'{key:12} {value}')
    if args.what == 'convert':
        output = args.output or args.file.with_suffix('.safetensors')
        if output.exists() and output.samefile(args.file):
            raise ValueError(f'{output} is the file itself: name another with -o FILE')
        weights.save(output, arrays, about)
        print(f'{"written":12} {output}')
        return
    for name, array in arrays.items():
        print(f'{name:44} {array.dtype.name:9} {"×".join(map(str, array.shape))}')
    print(f'{len(arrays)} arrays, {sum(array.size for array in arrays.values()):,} numbers')


def size(text):
    """'375x500' -> (375, 500)."""
    try:
        h, w = (int(number) for number in text.split('x'))
    except ValueError:
        why = f'{text!r} is no size: height x width, as in 375x500'
        raise argparse.ArgumentTypeError(why) from None
    return h, w


def arguments(command):
    """What each command takes."""
    c = command(summary)
    c.add_argument('net', metavar='NET', nargs='+',
                   help='such as fcn8s; a wrong name lists them all')
    c.add_argument('--size', type=size, metavar='HxW',
                   help='of an image: adds sizes, multiply-adds and memory')
    c.add_argument('--classes', type=int, metavar='N', help="how many (default: the paper's)")

    c = command(draw)
    c.add_argument('net', metavar='NET', help='such as fcn8s')
    c.add_argument('-o', '--output', type=Path, required=True, metavar='FILE',
                   help='a picture: .png, .svg or .pdf')
    c.add_argument('--classes', type=int, metavar='N', help="how many (default: the paper's)")
    c.add_argument('--heatmap', nargs=2, metavar=('CLASS', 'IMAGE'),
                   help='draw what a classifier says of every place of an image')
    c.add_argument('--activations', type=Path, metavar='IMAGE',
                   help='draw what the boxes make of an image')
    c.add_argument('--weights', type=Path, metavar='FILE', help='of the net')
    c.add_argument('--names', type=Path, metavar='FILE', help='of its classes, a line each')

    c = command(weights)
    c.add_argument('what', choices=['inspect', 'convert'])
    c.add_argument('file', type=Path, metavar='FILE',
                   help='.safetensors, .caffemodel, .pth, .npz or .h5')
    c.add_argument('-o', '--output', type=Path, metavar='FILE', help='what convert writes')
