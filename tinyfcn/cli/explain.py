"""Write a page in which a net runs in the browser, on any picture.

The page is one file and needs no server and no network. Drop a picture on it,
click a pixel or a box, switch skips off, take a step of training.

  tinyfcn explain                           the nets of a `tinyfcn demo`
  tinyfcn explain runs/my photo.jpg -o page.html
  tinyfcn explain fcn_resnet50 photo.jpg    named weights; they are in the page,
                                            so it has twice as many bytes as the
                                            net has weights
"""
import argparse
from pathlib import Path

import numpy as np

from .. import load
from ..data import load_dataset
from ..explain import Part, make_page
from ..files import open_atomic, printable, require_own
from ..net import Net
from ..prediction.predict import load_image, resize_for
from .demo import STRIDES
from .output import say
from .paths import weights_file

DEMO = Path('runs/demo')
QUESTIONS = (
    'Why is FCN-32s so coarse? Its scores, score_fr below, have one unit for every 32 pixels. '
    'upscore enlarges them to the size of the picture, but it only blends neighbouring units.',
    'What does a skip add? A skip is a path past the deeper boxes: score_pool4 and score_pool3 '
    'are scores of earlier boxes, which have a unit for every 16 and 8 pixels, and so know better '
    'where things are. fuse_pool4 and fuse_pool3 add them to those of score_fr. Choose FCN-8s, '
    'then switch them off and on.',
    'Where does a class come from? Click a pixel of the mask: each bar is what one score layer '
    'says, and their sum decides. The frames show on which part of every box it depends.',
    'Why crop 3, 5 and 28? Maps that are added must lie at the same place. In FCN-8s, click '
    'fuse_pool4, fuse_pool3 and score.',
    'What does training do? Below, say what a wrong pixel should be, and take a step.')
LONGEST = 320                   # pixels: of the picture that is shown first
MOST_WEIGHTS = 150_000_000      # more bytes than a browser reads from a page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('net', type=Path, nargs='?', default=DEMO, metavar='NET',
                        help='the folder of a run or of a demo, a file of weights, or the name of '
                             'pretrained weights (default: %(default)s)')
    parser.add_argument('picture', nargs='?', metavar='PICTURE',
                        help='what is shown first (default: a generated image)')
    parser.add_argument('-o', '--output', type=Path, default=Path('explain.html'), metavar='FILE',
                        help='the page (default: %(default)s)')
    parser.add_argument('--overwrite', action='store_true',
                        help='overwrite a file there that tinyfcn did not write')


def run(args: argparse.Namespace) -> None:
    if args.output.suffix != '.html':
        raise ValueError(f'{args.output} is not called .html, as a page is')
    require_own(args.output, args.overwrite)
    parts = load_parts(args.net)
    for title, net in parts:
        size = 2 * sum(w.size for w in net.params.values())
        if size > MOST_WEIGHTS:
            raise ValueError(f'{title} has {size / 2e6:.0f} million weights, too many for a page: '
                             f'{MOST_WEIGHTS / 2e6:.0f} million at most')
    net = parts[-1].net
    image = picture_of(net, args.picture)
    names = ', '.join(part.title for part in parts)
    questions = QUESTIONS if len(parts) > 1 else ()
    with open_atomic(args.output) as file:
        file.write(make_page(parts, image, f'{names}, in your browser', questions).encode())
    say(f'{printable(args.output)}: open it in a browser')


def load_parts(path: Path) -> list[Part]:
    """The nets of a demo, from coarse to fine; or the one of a run, a file or a name."""
    stages = [(f'FCN-{stride}s', path / f'shapes-{stride}s') for stride in STRIDES]
    if all(folder.is_dir() for _, folder in stages):
        return [Part(title, load(weights_file(folder))) for title, folder in stages]
    if path == DEMO and not path.exists():
        raise FileNotFoundError(f'{path} is not there: train its nets with `tinyfcn demo` first, '
                                f'or name a run or pretrained weights')
    net = load(weights_file(path))
    return [Part(net.about.get('build', {}).get('name', path.name), net)]


def picture_of(net: Net, picture: str | None) -> 'np.ndarray':
    """(H, W, 3): the user's, made smaller if need be, or a generated one."""
    if picture is None:
        test = load_dataset('shapes', split='test')
        image, _ = test[0]
        return image
    return resize_for(net, load_image(picture, net), LONGEST)
