"""Whether the fully connected CRF sharpens what a net says: mean IU with and without, and the time.

    python benchmarks/crf.py --data FOLDER --weights FILE --set stanford

The pictures are those that judge in benchmarks/accuracy.py, and the weights may be its own, in
runs/accuracy/. Its settings are the papers', none of them was tuned on these pictures. A page of
the first few, with photographs, goes to runs/crf.png.
"""
import argparse
import json
from pathlib import Path
from statistics import mean
from time import perf_counter

from side_by_side import RESULTS, save, start

# isort: split
import numpy as np
from accuracy import FOLDERS, RUNS, opened

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.prediction import crf
from tinyfcn.prediction.multiscale import predict_probabilities
from tinyfcn.training import recipes

SHOWN, ITERATIONS = 4, 10


def sharpened(net, image):
    """-> {setting: (pred, seconds)}; 'none' is the net alone"""
    prob = predict_probabilities(net, image)['score']
    found = {'none': (prob.argmax(0), 0.)}
    for name, how in crf.SETTINGS.items():
        began = perf_counter()
        found[name] = crf.mean_field(prob, image, how, ITERATIONS).argmax(0), perf_counter() - began
    return found


def noted_in(path=RESULTS / 'crf.json'):
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def section(rows):
    """Lines of Markdown: a row for each setting."""
    if not rows:
        return
    yield '## The fully connected CRF, in per cent\n'
    yield (f'{rows[0]["pictures"]} pictures of {rows[0]["set"]}, {ITERATIONS} iterations, settings '
           f'as published.\n')
    yield '| setting | pixel acc | mean IU | seconds a picture |\n| --- | --- | --- | --- |'
    for row in rows:
        yield (f'| {row["setting"]} | {row["pixel_acc"]:.1f} | {row["mean_iu"]:.1f} | '
               f'{row["seconds"]:.2f} |')
    yield ''


def main():
    from tqdm import tqdm
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--weights', type=Path, required=True, metavar='FILE')
    parser.add_argument('--set', choices=FOLDERS, default='stanford')
    before, args = start(), parser.parse_args()
    net = tinyfcn.load(args.weights)
    _, valid = opened(recipes.get_recipe(f'{args.set}-4s'), args.data)
    hists, took, page = {}, {}, []
    for i, name in enumerate(tqdm(valid.names, disable=None)):
        image, label = valid[i]
        found = sharpened(net, image)
        for setting, (pred, seconds) in found.items():
            hists[setting] = hists.get(setting, 0) + metrics.confusion(
                label, pred, len(valid.classes))
            took.setdefault(setting, []).append(seconds)
        if i < SHOWN:
            page.append((name, image, label,
                         *(pred.astype(np.uint8) for pred, _ in found.values())))
    viz.draw_page(RUNS.parent / 'crf.png', page, valid.classes, [*hists])
    rows = []
    for setting, hist in hists.items():
        scores = metrics.scores(hist)
        rows.append(dict(setting=setting, set=args.set, pictures=len(valid),
                         pixel_acc=100 * scores['pixel_acc'], mean_iu=100 * scores['mean_iu'],
                         seconds=mean(took[setting])))
    save('crf', rows, before)
    print(*section(rows), sep='\n')


if __name__ == '__main__':
    main()
