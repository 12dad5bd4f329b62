"""Where an FCN fails: on objects larger than its receptive field, and smaller than its stride.

    python benchmarks/limits.py --demo runs/demo        the nets of a `tinyfcn demo`

They were trained on images of 128×160 pixels. Here the same shapes, colours and textures have other
sizes: a larger image has larger shapes, and small images are put side by side until they fill
128×160 pixels. Every size is evaluated on the same number of pixels.
"""
import argparse
from pathlib import Path

from timing import RESULTS, save

# isort: split
import numpy as np

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.data import shapes

STRIDES = 32, 16, 8
TRAIN_HEIGHT = 128
HEIGHTS = 16, 32, 64, 128, 256, 512
SHAPE_SIZE = .51, .84                           # least and most, as a part of the image's height
KWARGS = dict(n_class=5, difficulty=.15)        # as in the demo
SEED = 4                                        # of other images than the demo's
LARGEST = 6                                     # images of 512×640


def scene(height, index):
    """Image `index` of this height, or as many as fill 128×160. -> image, label"""
    size = height, height * 5 // 4
    side = max(1, TRAIN_HEIGHT // height)       # small images in a row of the scene
    pairs = [shapes.generate(SEED, side ** 2 * index + i, size, **KWARGS) for i in range(side ** 2)]
    images, labels = zip(*pairs)
    return tile(images, side), tile(labels, side)


def tile(parts, side):
    """side × side arrays (h, w, …) -> one (side·h, side·w, …)"""
    rows = [np.concatenate(parts[row * side:(row + 1) * side], 1) for row in range(side)]
    return np.concatenate(rows)


def evaluate(nets, height):
    """-> {net: mean IU in per cent}, on the same number of pixels for every height"""
    hists = dict.fromkeys(nets, 0)
    for index in range(LARGEST * (512 // max(height, TRAIN_HEIGHT)) ** 2):
        image, label = scene(height, index)
        for name, net in nets.items():
            hists[name] = hists[name] + metrics.confusion(
                label, tinyfcn.predict(net, image), KWARGS['n_class'])
    return {name: 100 * metrics.scores(hist)['mean_iu'] for name, hist in hists.items()}


def draw_page(nets, path):
    """The first scene of every height, and the prediction of each net."""
    rows = [(f'{height} high, shapes of {format_sizes(height)}', image, label,
             *(tinyfcn.predict(net, image) for net in nets.values()))
            for height in HEIGHTS for image, label in [scene(height, 0)]]
    viz.draw_page(path, rows, shapes.CLASSES[:KWARGS['n_class']], [*nets])


def format_sizes(height):
    return '{:.0f} … {:.0f} pixels'.format(*(part * height for part in SHAPE_SIZE))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--demo', type=Path, default=Path('runs/demo'), metavar='FOLDER')
    demo = parser.parse_args().demo
    nets = {f'FCN-{stride}s': tinyfcn.load(demo / f'shapes-{stride}s' / 'last.safetensors')
            for stride in STRIDES}
    fields = {name: int(net.score_fr.alignment.field[0]) for name, net in nets.items()}
    print(f'mean IU by the size of shapes; the receptive field of fc6 is '
          f'{max(fields.values())} pixels\n\n'
          f'{"shapes":24}' + ''.join(f'{name:>10}' for name in nets))
    rows = []
    for height in HEIGHTS:
        rows.append(dict(height=height, shape_sizes=[part * height for part in SHAPE_SIZE],
                         receptive_fields=fields, mean_iu=evaluate(nets, height)))
        mean_iu = rows[-1]['mean_iu'].values()
        print(f'{format_sizes(height):24}' + ''.join(f'{iu:10.1f}' for iu in mean_iu)
              + '   as trained' * (height == TRAIN_HEIGHT), flush=True)
    save('limits', rows)
    draw_page(nets, RESULTS / 'limits.png')


if __name__ == '__main__':
    main()
