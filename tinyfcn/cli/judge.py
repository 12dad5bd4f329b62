"""Commands that use what was learned: eval, predict."""
from pathlib import Path

from .device import device
from .tables import per_class, table
from .where import DATA, file_in, opened, sets

CRFS = 'pydensecrf', 'deeplab_vgg', 'deeplab_resnet101', 'deconvnet'    # rows of crf.SETTINGS


def eval_(args):
    """The four metrics of a net on a data set, the IU of every class, and PNGs for a server."""
    from tqdm import tqdm

    from .. import load, metrics, viz
    from ..data.labels import by_output
    from ..prediction.predict import add_confusion, predict_all, total_confusion
    net, hists = load(file_in(args.weights)).to(args.device), {}
    recipe = net.about.get('run', {}).get('recipe', {})
    pictures = judged_on(args, recipe)
    for name, _, label, pred in tqdm(predict_all(net, pictures, **seen(args)),
                                     total=len(pictures), unit='picture', disable=None):
        add_confusion(hists, pictures, label, pred)
        for head, own in by_output(pred).items() if args.export else ():
            (args.export / head).mkdir(parents=True, exist_ok=True)
            viz.write_label(args.export / head / f'{name}.png', own)
    for head, hist in total_confusion(hists, pictures).items():
        scores = metrics.scores(hist)
        print(table({f'{args.weights}: {head}': scores}, recipe.get('aims'), recipe.get('cites')))
        print(f'\n{per_class(scores, hist, by_output(pictures.classes)[head])}')
    if args.export:
        print(f'\n{len(pictures):,} predictions as palette PNG, as the VOC server wants them: '
              f'{args.export}')


def judged_on(args, recipe):
    """The set that is named, or the one that the net's run was judged on."""
    if args.set:
        return opened(args.set, args.data, args.split)
    if not recipe:
        raise ValueError(f'{args.weights} does not say what it was trained on: name a data set')
    return sets(recipe, args.data)[1]


def predict(args):
    """The classes of any pictures, of any size: a palette PNG and an overlay with a legend each."""
    from tqdm import tqdm

    from .. import load, viz
    from ..data.images import read_image
    from ..data.labels import by_output
    from ..prediction.predict import predict as predicted
    net = load(file_in(args.weights)).to(args.device)
    classes = by_output(net.about.get('classes') or numbered(net))
    args.output.mkdir(parents=True, exist_ok=True)
    refuse_to_overwrite(args.images, args.output)
    for path in tqdm(args.images, unit='picture', disable=None):
        image = read_image(path)
        for head, pred in by_output(predicted(net, image, **seen(args))).items():
            stem = args.output / path.stem
            if head != 'score':
                stem = args.output / f'{path.stem}.{head}'
            viz.write_label(f'{stem}.png', pred)
            viz.write_picture(f'{stem}.overlay.png', viz.overlay(image, pred, classes[head]))
            here = ', '.join(f'{name} {share:.0%}' for name, share in
                             shares(pred, classes[head])[:5])
            print(f'{stem}.overlay.png   {here}')


def seen(args):
    """How a picture is looked at, where it is not as usual: what predict is told."""
    from ..prediction.crf import SETTINGS
    how = dict(scales=args.scales, mirrored=args.mirrored, window=args.window,
               crf=args.crf and SETTINGS[args.crf])
    return {key: value for key, value in how.items() if value}


def refuse_to_overwrite(images, output):
    """Neither a picture by its own mask, nor one mask by another's."""
    stems = [path.stem for path in images]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise ValueError(f'two pictures are called {twice.pop()}: predict them one after the '
                         f'other, each with a folder of its own, -o FOLDER')
    for path in images:
        for made in output / f'{path.stem}.png', output / f'{path.stem}.overlay.png':
            if made.exists() and made.samefile(path):
                raise ValueError(f'{path} would be written over: name another folder, -o FOLDER')


def numbered(net):
    """Names for classes that nobody has named."""
    return {name: [f'class {i}' for i in range(net[name].channels)] for name in net.outputs()}


def shares(pred, classes):
    """How much of the picture is of each class, the largest first. -> [(name, share)]"""
    import numpy as np
    counts = np.bincount(pred.ravel(), minlength=len(classes)) / pred.size
    return sorted(((name, n) for name, n in zip(classes, counts) if n), key=lambda pair: -pair[1])


def arguments(command):
    """What each command takes."""
    c = command(eval_)
    c.add_argument('weights', type=Path, metavar='WEIGHTS', help='a file, or the folder of a run')
    c.add_argument('set', nargs='?', metavar='SET',
                   help='such as voc, or a folder of your own (default: what it was judged on)')
    c.add_argument('--data', **DATA)
    c.add_argument('--split', default='val', help='of the named set (default: %(default)s)')
    c.add_argument('--export', type=Path, metavar='FOLDER', help='write predictions as PNG')
    views(c)
    device(c)

    c = command(predict)
    c.add_argument('weights', type=Path, metavar='WEIGHTS', help='a file, or the folder of a run')
    c.add_argument('images', type=Path, nargs='+', metavar='IMAGE')
    c.add_argument('-o', '--output', type=Path, default=Path('predictions'), metavar='FOLDER',
                   help='where the pictures go (default: %(default)s)')
    views(c)
    device(c)


def views(c):
    """What eval and predict may do beside one look at each picture."""
    c.add_argument('--scales', type=float, nargs='+', metavar='FACTOR',
                   help='look at each picture at several scales, as in .75 1 1.25')
    c.add_argument('--mirrored', action='store_true', help='and at its mirror image')
    c.add_argument('--window', type=int, metavar='PIXELS',
                   help='through a window of so many pixels that slides, for large pictures')
    c.add_argument('--crf', choices=CRFS, help='sharpen the answer by the fully connected CRF')
