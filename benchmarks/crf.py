"""The fully connected CRF after a net: mean IU with and without it, and its time.

    python benchmarks/crf.py --data FOLDER --weights FILE --set stanford

The images are those that benchmarks/accuracy.py evaluates on, and the weights may be from its
folder, runs/accuracy/. The settings are the papers'; none was tuned on these images. A page of the
first few goes to runs/crf.png.
"""
import argparse
import json
from pathlib import Path
from statistics import mean
from time import perf_counter

from timing import RESULTS, check_machine, save

# isort: split
import numpy as np
from accuracy import FOLDERS, RUNS, load_train_valid

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.prediction import crf
from tinyfcn.prediction.multiscale import average_probabilities
from tinyfcn.training import recipes

SHOWN = 4               # images on the page
ITERATIONS = 10


def predict_with_crf(net, image):
    """-> {setting: (pred, seconds)}; 'none' is the net alone"""
    prob = average_probabilities(net, image)['score']
    found = {'none': (prob.argmax(0), 0.)}
    for name, settings in crf.SETTINGS.items():
        began = perf_counter()
        pred = crf.mean_field(prob, image, settings, ITERATIONS).argmax(0)
        found[name] = pred, perf_counter() - began
    return found


def load_results(path=RESULTS / 'crf.json'):
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def markdown_section(rows):
    """Lines of Markdown: a row for each setting."""
    if not rows:
        return
    yield '## The fully connected CRF, in per cent\n'
    yield (f'{rows[0]["images"]} images of {rows[0]["set"]}, {ITERATIONS} iterations, settings '
           f'as published.\n')
    yield '| setting | pixel acc | mean IU | seconds per image |\n| --- | --- | --- | --- |'
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
    args = parser.parse_args()
    machine = check_machine()
    net = tinyfcn.load(args.weights)
    _, valid = load_train_valid(recipes.get_recipe(f'{args.set}-4s'), args.data)
    hists = {}
    seconds = {}
    page = []
    for i, name in enumerate(tqdm(valid.names, disable=None)):
        image, label = valid[i]
        found = predict_with_crf(net, image)
        for setting, (pred, own_seconds) in found.items():
            hist = metrics.confusion(label, pred, len(valid.classes))
            hists[setting] = hists.get(setting, 0) + hist
            seconds.setdefault(setting, []).append(own_seconds)
        if i < SHOWN:
            preds = [pred.astype(np.uint8) for pred, _ in found.values()]
            page.append((name, image, label, *preds))
    viz.draw_page(RUNS.parent / 'crf.png', page, valid.classes, [*hists])
    rows = []
    for setting, hist in hists.items():
        scores = metrics.scores(hist)
        rows.append(dict(setting=setting, set=args.set, images=len(valid),
                         pixel_acc=100 * scores['pixel_acc'], mean_iu=100 * scores['mean_iu'],
                         seconds=mean(seconds[setting])))
    save('crf', rows, machine)
    print(*markdown_section(rows), sep='\n')


if __name__ == '__main__':
    main()
