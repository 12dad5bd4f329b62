"""What the best prediction at a stride could reach: the paper's upper bounds on mean IU.

    python benchmarks/upper_bound.py --data FOLDER      FOLDER/seg11valid_masks has the 736 masks

Each true mask is made `factor` times smaller and as large again, and judged by what it was. The
paper does not say by which resampling, so several are tried, and the nearest to it is named.
"""
import argparse
import json
from pathlib import Path

from side_by_side import RESULTS, save

# isort: split
import numpy as np

from tinyfcn.data.images import read_label
from tinyfcn.metrics import scores

PAPER = {128: 50.9, 64: 73.3, 32: 86.1, 16: 92.8, 8: 96.4, 4: 98.5}
N_CLASS, VOID = 21, 255


# ---- How much each of n pixels belongs to each cell of `factor` pixels.   -> (n, cells)

def grid(n, factor):
    """Pixels as a column, and where each cell begins; the last may reach beyond the edge."""
    return np.arange(n)[:, None], np.arange(0, n, factor)


def middle(n, factor):
    """The pixel in the middle of a cell, alone."""
    pixel, first = grid(n, factor)
    return (pixel == (first + factor // 2).clip(max=n - 1)) * np.float32(1)


def cell(n, factor):
    """All pixels of the cell, alike."""
    pixel, first = grid(n, factor)
    return ((pixel >= first) & (pixel < first + factor)) * np.float32(1)


def tent(n, factor, at=None):
    """The less, the farther from the middle; nothing from the middle of the next cell on."""
    pixel, first = grid(n, factor)
    at = (factor - 1) / 2 if at is None else at
    return np.maximum(0, 1 - abs(pixel - first - at) / factor).astype('float32')


def tent_about(n, factor):
    """The same about the pixel that `middle` takes, half a pixel further on."""
    return tent(n, factor, factor // 2)


# down by the one; does a cell keep its best class alone; up by the other; is void a class, too
WAYS = {
    'middle pixel, repeated':               (middle, False, cell, True),
    'middle pixel, bilinear':               (middle, False, tent_about, True),
    'middle pixel, bilinear, no void':      (middle, False, tent_about, False),
    'commonest class, repeated':            (cell, True, cell, True),
    'commonest class, bilinear':            (cell, True, tent, True),
    'commonest class, bilinear, no void':   (cell, True, tent, False),
    'shares, bilinear':                     (cell, False, tent, True),
    'bilinear, bilinear':                   (tent, False, tent, True),
}


def there_and_back(label, factor, down, best, up, void):
    """label (H, W) -> (H, W), as seen through cells of factor × factor pixels."""
    there = np.unique(label)
    there = there if void else there[there != VOID]
    layers = (label == there[:, None, None]).astype('float32')
    rows, columns = (down(n, factor) for n in label.shape)
    small = (rows / rows.sum(0)).T @ layers @ (columns / columns.sum(0))
    if best:
        small = (small.argmax(0) == np.arange(len(there))[:, None, None]).astype('float32')
    rows, columns = (up(n, factor) for n in label.shape)
    return there[(rows @ small @ columns.T).argmax(0)]


def confused(label, pred):
    """Void among predictions is a mistake: of the true class, and in favour of none. -> (22, 22)"""
    known = label != VOID
    pairs = 22 * label[known].astype(int) + np.minimum(pred[known], N_CLASS)
    return np.bincount(pairs, minlength=22 ** 2).reshape(22, 22)


def mean_iu(hist):
    """Over the 21 classes, in per cent."""
    return 100 * float(np.nanmean(scores(hist)['iu'][:N_CLASS]))


def bounds(masks, way):
    """-> {factor: mean IU in per cent}"""
    hists = {factor: np.zeros((22, 22), int) for factor in PAPER}
    for path in masks:
        label = read_label(path)
        for factor, hist in hists.items():
            hist += confused(label, there_and_back(label, factor, *WAYS[way]))
    return {factor: mean_iu(hist) for factor, hist in hists.items()}


def apart(found):
    """From the paper's numbers, on average."""
    return sum(abs(found[factor] - PAPER[factor]) for factor in PAPER) / len(PAPER)


def line(name, found, distance=''):
    """A row of the table: floats in per cent, or the factors themselves."""
    numbers = [f'{x:7.1f}' if isinstance(x, float) else f'{x:7}' for x in found.values()]
    return f'{name:36}{"".join(numbers)}   {distance}'.rstrip()


def noted_in(path=RESULTS / 'upper_bound.json'):
    """The rows of the last run, or none."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def section(rows):
    """Lines of Markdown: the paper's numbers, and those of every way."""
    if not rows:
        return
    yield '## The best that a coarse prediction could do\n'
    yield (f'Mean IU of {rows[0]["masks"]} true masks made smaller by a factor and as large again, '
           f'beside the paper’s, whose resampling nobody wrote down.\n')
    yield f'| way, down and up | {" | ".join(map(str, PAPER))} | apart |'
    yield '|' + ' --- |' * (len(PAPER) + 2)
    yield f'| **the paper** | {" | ".join(f"{iu:.1f}" for iu in PAPER.values())} | |'
    for row in sorted(rows, key=lambda row: row['apart']):
        numbers = ' | '.join(f'{iu:.1f}' for iu in row['mean_iu'].values())
        yield f'| {row["way"]} | {numbers} | {row["apart"]:.2f} |'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--every', type=int, default=1, help='only each N-th mask (default: all)')
    args = parser.parse_args()
    folder = args.data / 'seg11valid_masks'
    masks = sorted(folder.glob('*.png'))[::args.every]
    if not masks:
        parser.error(f'{folder}: no masks, *.png, in there')
    print(f'{len(masks)} masks; mean IU of a mask made smaller by a factor, and as large again\n')
    print(line('factor', {factor: factor for factor in PAPER}, 'points from the paper, on average'))
    print(line('the paper', PAPER))
    rows = []
    for way in WAYS:
        found = bounds(masks, way)
        rows.append(dict(way=way, masks=len(masks), mean_iu=found, apart=apart(found)))
        print(line(way, found, f'{apart(found):.2f}'), flush=True)
    print(f'\nnearest to the paper: {min(rows, key=lambda row: row["apart"])["way"]}')
    if args.every == 1:
        save('upper_bound', rows)


if __name__ == '__main__':
    main()
