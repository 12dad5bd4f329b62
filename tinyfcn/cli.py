"""The command line. Nobody else parses arguments or prints."""
import argparse
import sys
from pathlib import Path
from time import perf_counter


def demo(args):
    """A small FCN learns squares and diamonds from scratch, in seconds."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from . import demo
    rng, start = np.random.default_rng(args.seed), perf_counter()
    net = demo.little_fcn(args.seed)
    print(f'A small FCN, {sum(w.size for w in net.params.values()):,} parameters, learns '
          f'{demo.CLASSES[1]}s and {demo.CLASSES[2]}s of any colour:')
    with threadpool_limits(1):                  # matrices so small: a second thread would only wait
        for step, loss in demo.train(net, rng):
            if step == 1 or step % 25 == 0:
                seconds = perf_counter() - start
                print(f'  step {step:3}   loss {loss:.3f}   {seconds:4.1f} s', flush=True)
    learned, background, page = demo.judge(net, rng)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    page.save(args.output)
    print('\nOn 64 pictures that it has not seen   pixel acc  mean acc   mean IU  f.w. IU')
    for name, score in ('all background', background), ('the small FCN', learned):
        row = (score[key] for key in ('pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'))
        print(f'  {name:35}' + ''.join(f'{value:10.3f}' for value in row))
    print(f'\nImage, truth and prediction, row by row: {args.output}')


def summary(args):
    """A net as a table: boxes, strides, receptive fields, parameters, and why each crop."""
    from . import build
    print(build(args.net, args.classes, seed=None).summary(args.size))


def size(text):
    """'375x500' -> (375, 500)."""
    try:
        h, w = (int(number) for number in text.split('x'))
    except ValueError:
        why = f'{text!r} is no size: height x width, as in 375x500'
        raise argparse.ArgumentTypeError(why) from None
    return h, w


def parser():
    p = argparse.ArgumentParser(prog='tinyfcn', description='Fully convolutional networks from '
                                'scratch: from the pixel to the mean IU.')
    commands = p.add_subparsers(metavar='command', required=True)
    c = commands.add_parser('demo', help=demo.__doc__, description=demo.__doc__)
    c.add_argument('-o', '--output', type=Path, default=Path('runs/demo.png'), metavar='FILE',
                   help='where the picture goes (default: %(default)s)')
    c.add_argument('--seed', type=int, default=0, help='of weights and pictures (default: 0)')
    c.set_defaults(run=demo)

    c = commands.add_parser('summary', help=summary.__doc__, description=summary.__doc__)
    c.add_argument('net', metavar='NET', help='such as fcn8s; a wrong name lists them all')
    c.add_argument('--size', type=size, metavar='HxW',
                   help='of an image: adds sizes, multiply-adds and memory')
    c.add_argument('--classes', type=int, metavar='N', help="how many (default: the paper's)")
    c.set_defaults(run=summary)
    return p


def main(argv=None):
    """0 on success, 2 on bad input, which is told in a sentence on stderr."""
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except (OSError, ValueError) as error:
        print(f'tinyfcn: {error}', file=sys.stderr)
        return 2
    return 0
