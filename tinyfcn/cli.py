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


def parser():
    p = argparse.ArgumentParser(prog='tinyfcn', description='Fully convolutional networks from '
                                'scratch: from the pixel to the mean IU.')
    commands = p.add_subparsers(metavar='command', required=True)
    c = commands.add_parser('demo', help=demo.__doc__, description=demo.__doc__)
    c.add_argument('-o', '--output', type=Path, default=Path('runs/demo.png'), metavar='FILE',
                   help='where the picture goes (default: %(default)s)')
    c.add_argument('--seed', type=int, default=0, help='of weights and pictures (default: 0)')
    c.set_defaults(run=demo)
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
