"""Where an FCN fails: objects larger than it sees are broken up, those below its stride are lost.

    python benchmarks/limits.py --demo runs/demo        the nets of a `tinyfcn demo`

They learned from pictures of 128×160 pixels. Here the same kinds, colours and textures come in
other sizes: a larger picture has larger shapes, and of small ones as many are laid side by side as
fill one of those that were learned from. Every size is judged on as many pixels.
"""
import argparse
from pathlib import Path

from side_by_side import RESULTS, save

# isort: split
import numpy as np

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.data import shapes

STRIDES = 32, 16, 8
HEIGHT, HEIGHTS = 128, (16, 32, 64, 128, 256, 512)      # of what was learned from; of what is here
ACROSS = .51, .84                                       # a shape, of the height of its picture
HOW = dict(n_class=5, difficulty=.15)                   # as in the demo
SEED, LARGEST = 4, 6                                    # none that was seen; pictures of 512×640


def scene(height, index):
    """Picture `index` of this height, or as many as fill one of 128×160. -> image, label"""
    size, side = (height, height * 5 // 4), max(1, HEIGHT // height)
    drawn = [shapes.generate(SEED, side ** 2 * index + i, size, **HOW) for i in range(side ** 2)]
    return [np.concatenate([np.concatenate(parts[row * side:(row + 1) * side], 1)
                            for row in range(side)]) for parts in zip(*drawn)]


def judged(nets, height):
    """-> {net: mean IU in per cent}, on as many pixels whatever the height"""
    hists = dict.fromkeys(nets, 0)
    for index in range(LARGEST * (512 // max(height, HEIGHT)) ** 2):
        image, label = scene(height, index)
        for name, net in nets.items():
            hists[name] = hists[name] + metrics.confusion(
                label, tinyfcn.predict(net, image), HOW['n_class'])
    return {name: 100 * metrics.scores(hist)['mean_iu'] for name, hist in hists.items()}


def page(nets, path):
    """The first scene of every height, and what each net makes of it."""
    rows = [(f'{height} high, shapes of {across(height)}', image, label,
             *(tinyfcn.predict(net, image) for net in nets.values()))
            for height in HEIGHTS for image, label in [scene(height, 0)]]
    viz.draw_page(path, rows, shapes.CLASSES[:HOW['n_class']], [*nets])


def across(height):
    return '{:.0f} … {:.0f} pixels'.format(*(part * height for part in ACROSS))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--demo', type=Path, default=Path('runs/demo'), metavar='FOLDER')
    demo = parser.parse_args().demo
    nets = {f'FCN-{stride}s': tinyfcn.load(demo / f'shapes-{stride}s' / 'last.safetensors')
            for stride in STRIDES}
    sees = {name: int(net.score_fr.alignment.field[0]) for name, net in nets.items()}
    print(f'mean IU against the size of shapes; fc6 sees {max(sees.values())} pixels\n\n'
          f'{"shapes":24}' + ''.join(f'{name:>10}' for name in nets))
    rows = []
    for height in HEIGHTS:
        rows.append(dict(height=height, across=[part * height for part in ACROSS],
                         sees=sees, mean_iu=judged(nets, height)))
        print(f'{across(height):24}' + ''.join(f'{iu:10.1f}' for iu in rows[-1]['mean_iu'].values())
              + '   as learned' * (height == HEIGHT), flush=True)
    save('limits', rows)
    page(nets, RESULTS / 'limits.png')


if __name__ == '__main__':
    main()
