"""The demo: the paper's staging, from random weights, on pictures that need no files."""
import shlex
from pathlib import Path
from time import perf_counter

from .device import device
from .learn import follow
from .tables import table

SHOWN = 5       # pictures on the page


def demo(args):
    """FCN-32s, then 16s, then 8s learn to segment shapes, each from the one before, in minutes."""
    from .. import viz
    from ..data import load_dataset
    from ..prediction.predict import evaluate, predict
    from ..training import recipes, run
    judged, seconds, nets, before = {}, {}, {}, {}
    unseen = load_dataset('shapes', split='test')
    judged['all background'] = background(unseen)
    for stride in 32, 16, 8:
        name, label = f'shapes-{stride}s', f'FCN-{stride}s'
        recipe, folder = recipes.recipe(name), args.output / name
        pictures, valid = (load_dataset(*recipe[part][:1], split=recipe[part][1])
                           for part in ('train', 'valid'))
        net = run.begin(recipe, pictures.classes, args.seed, before).to(args.device)
        print(f'{label}: {net}, {recipe["steps"]} steps of {recipe["batch"]} pictures'
              + (', from the weights of the one before' if before else ', from random weights'))
        (folder / 'last.safetensors').unlink(missing_ok=True)       # of a demo before this one
        start = perf_counter()
        follow(run.run(folder, net, pictures, valid, recipe, args.seed, shlex.join(args.command)),
               recipe, folder)
        seconds[label], nets[label] = perf_counter() - start, net
        judged[label], before = evaluate(net, unseen), {'': folder / 'last.safetensors'}
    print(f'\nOn {len(unseen)} pictures that none of them has seen, in per cent:\n'
          f'{table(judged, seconds=seconds)}')
    rows = [(unseen.names[i], *unseen[i], *(predict(net, unseen[i][0]) for net in nets.values()))
            for i in range(SHOWN)]
    page = args.output / 'demo.png'
    viz.draw_page(page, rows, unseen.classes, [*nets])
    print(f'\nThe same pictures at the three strides: {page}\n'
          f'A picture of your own: tinyfcn predict {args.output / "shapes-8s"} PICTURE')


def background(pictures):
    """The scores of whoever says that all is background."""
    import numpy as np

    from ..metrics import confusion, scores
    labels = [pictures[i][1] for i in range(len(pictures))]
    return scores(sum(confusion(label, np.zeros_like(label), len(pictures.classes))
                      for label in labels))


def arguments(command):
    """What the command takes."""
    c = command(demo)
    c.add_argument('-o', '--output', type=Path, default=Path('runs/demo'), metavar='FOLDER',
                   help='where everything goes (default: %(default)s)')
    device(c)
