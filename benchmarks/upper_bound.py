"""The best possible mean IU of a prediction at a stride: the paper's upper bounds.

    python benchmarks/upper_bound.py --data FOLDER      FOLDER/seg11valid_masks has the 736 masks

Each true mask is downsampled by a factor, upsampled again, and compared with itself. The paper does
not say how it resamples, so several ways are tried, and the nearest to its numbers is named. It is
that of `tinyfcn plan` (tinyfcn/data/ceiling.py), where void does not count.
"""
import argparse
import json
from pathlib import Path

from timing import RESULTS, save

# isort: split
import numpy as np

from tinyfcn.data.images import read_label
from tinyfcn.metrics import scores

PAPER = {128: 50.9, 64: 73.3, 32: 86.1, 16: 92.8, 8: 96.4, 4: 98.5}
N_CLASS = 21
VOID = 255


# ---- The weight of each of n pixels in each cell of `factor` pixels.   -> (n, cells)

def pixels_and_cells(n, factor):
    """Pixels as a column, and the first pixel of each cell; the last cell may be incomplete."""
    return np.arange(n)[:, None], np.arange(0, n, factor)


def middle_pixel(n, factor):
    """Only the pixel in the middle of a cell."""
    pixel, first = pixels_and_cells(n, factor)
    return (pixel == (first + factor // 2).clip(max=n - 1)) * np.float32(1)


def whole_cell(n, factor):
    """All pixels of the cell, with equal weights."""
    pixel, first = pixels_and_cells(n, factor)
    return ((pixel >= first) & (pixel < first + factor)) * np.float32(1)


def bilinear(n, factor, at=None):
    """A bilinear kernel: it falls from the middle of the cell to 0 at the middle of the next."""
    pixel, first = pixels_and_cells(n, factor)
    at = (factor - 1) / 2 if at is None else at
    return np.maximum(0, 1 - abs(pixel - first - at) / factor).astype('float32')


def bilinear_at_pixel(n, factor):
    """The same around the pixel of `middle_pixel`, half a pixel further on."""
    return bilinear(n, factor, factor // 2)


# downsampling; whether a cell keeps only its best class; upsampling; whether void is a class
WAYS = {
    'middle pixel, repeated':               (middle_pixel, False, whole_cell, True),
    'middle pixel, bilinear':               (middle_pixel, False, bilinear_at_pixel, True),
    'middle pixel, bilinear, no void':      (middle_pixel, False, bilinear_at_pixel, False),
    'commonest class, repeated':            (whole_cell, True, whole_cell, True),
    'commonest class, bilinear':            (whole_cell, True, bilinear, True),
    'commonest class, bilinear, no void':   (whole_cell, True, bilinear, False),
    'shares, bilinear':                     (whole_cell, False, bilinear, True),
    'bilinear, bilinear':                   (bilinear, False, bilinear, True),
}


def resample(label, factor, down, best_only, up, keep_void):
    """label (H, W) -> (H, W), downsampled to cells of factor × factor pixels and upsampled."""
    classes = np.unique(label)
    if not keep_void:
        classes = classes[classes != VOID]
    layers = (label == classes[:, None, None]).astype('float32')
    rows, columns = (down(n, factor) for n in label.shape)
    small = (rows / rows.sum(0)).T @ layers @ (columns / columns.sum(0))
    if best_only:
        small = (small.argmax(0) == np.arange(len(classes))[:, None, None]).astype('float32')
    rows, columns = (up(n, factor) for n in label.shape)
    return classes[(rows @ small @ columns.T).argmax(0)]


def confusion_with_void(label, pred):
    """A predicted void is an error for the true class, and no false positive. -> (22, 22)"""
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
            hist += confusion_with_void(label, resample(label, factor, *WAYS[way]))
    return {factor: mean_iu(hist) for factor, hist in hists.items()}


def mean_deviation(found):
    """The mean absolute difference from the paper's numbers."""
    return sum(abs(found[factor] - PAPER[factor]) for factor in PAPER) / len(PAPER)


def format_row(name, found, deviation=''):
    """A line of the printed table: floats in per cent, or the factors themselves."""
    numbers = [f'{x:7.1f}' if isinstance(x, float) else f'{x:7}' for x in found.values()]
    return f'{name:36}{"".join(numbers)}   {deviation}'.rstrip()


def load_results(path=RESULTS / 'upper_bound.json'):
    """The rows of the last run, or none."""
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def markdown_section(rows):
    """The paper's numbers, and those of every way to resample."""
    if not rows:
        return
    yield '## The best possible mean IU at a stride\n'
    yield (f'Mean IU of {rows[0]["masks"]} true masks, downsampled by a factor and upsampled '
           f'again. The paper does not say how it resamples.\n')
    yield f'| down, up | {" | ".join(map(str, PAPER))} | mean deviation |'
    yield '|' + ' --- |' * (len(PAPER) + 2)
    yield f'| **the paper** | {" | ".join(f"{iu:.1f}" for iu in PAPER.values())} | |'
    for row in sorted(rows, key=lambda row: row['mean_deviation']):
        numbers = ' | '.join(f'{iu:.1f}' for iu in row['mean_iu'].values())
        yield f'| {row["way"]} | {numbers} | {row["mean_deviation"]:.2f} |'
    yield ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--every', type=int, default=1, help='only each N-th mask (default: all)')
    args = parser.parse_args()
    folder = args.data / 'seg11valid_masks'
    masks = sorted(folder.glob('*.png'))[::args.every]
    if not masks:
        parser.error(f'{folder}: there are no masks (*.png)')
    print(f'{len(masks)} masks; mean IU of a mask, downsampled by a factor and upsampled again\n')
    factors = {factor: factor for factor in PAPER}
    print(format_row('factor', factors, 'mean deviation from the paper'))
    print(format_row('the paper', PAPER))
    rows = []
    for way in WAYS:
        found = bounds(masks, way)
        deviation = mean_deviation(found)
        rows.append(dict(way=way, masks=len(masks), mean_iu=found, mean_deviation=deviation))
        print(format_row(way, found, f'{deviation:.2f}'), flush=True)
    nearest = min(rows, key=lambda row: row['mean_deviation'])
    print(f'\nnearest to the paper: {nearest["way"]}')
    if args.every == 1:
        save('upper_bound', rows)


if __name__ == '__main__':
    main()
