"""What can be added after training: flipped and multi-scale prediction, the fully connected CRF.

    python benchmarks/inference.py --data FOLDER --weights FILE --set stanford

Each is compared with the net alone by mean IU and time, on the images that benchmarks/study.py and
benchmarks/accuracy.py evaluate on. The weights may be from their folders, runs/study/ and
runs/accuracy/. The settings of the CRF are the papers'; none was tuned on these images. A page of
the first few goes to runs/inference.png.
"""
import argparse
import json
from pathlib import Path
from statistics import mean
from time import perf_counter

from timing import RESULTS, check_machine, is_busy, save

# isort: split
import numpy as np
from accuracy import FOLDERS, RUNS, load_train_valid

import tinyfcn
from tinyfcn import metrics, viz
from tinyfcn.prediction import crf
from tinyfcn.prediction.multiscale import average_probabilities
from tinyfcn.training import recipes

SHOWN = 4               # images on the page
ITERATIONS = 10         # of the CRF
PREDICTIONS = {'the net alone': {}, 'flipped': dict(flip=True),
               'three scales': dict(scales=(.75, 1, 1.25)),
               'three scales, flipped': dict(scales=(.75, 1, 1.25), flip=True)}


def predict_all_ways(net, image):
    """-> {how: (pred, seconds)}; a CRF refines the prediction of the net alone"""
    found = {}
    probs = {}
    for name, kwargs in PREDICTIONS.items():
        began = perf_counter()
        probs[name] = average_probabilities(net, image, **kwargs)['score']
        found[name] = probs[name].argmax(0), perf_counter() - began
    alone = probs['the net alone']
    for name, settings in crf.SETTINGS.items():
        began = perf_counter()
        pred = crf.mean_field(alone, image, settings, ITERATIONS).argmax(0)
        seconds = found['the net alone'][1] + perf_counter() - began
        found[f'CRF, settings {name}'] = pred, seconds
    return found


def load_results(path=RESULTS / 'inference.json'):
    return json.loads(path.read_text('utf-8'))['rows'] if path.exists() else []


def markdown_section(rows):
    """Lines of Markdown: a row for each way of prediction."""
    if not rows:
        return
    yield '## What can be added after training, in per cent\n'
    yield (f'{rows[0]["net"]} on {rows[0]["images"]} validation images of {rows[0]["set"]}; the '
           f'scales are .75, 1 and 1.25; the CRF has {ITERATIONS} iterations and the published '
           f'settings.\n')
    yield '| prediction | pixel acc | mean IU | seconds per image |\n| --- | --- | --- | --- |'
    for row in rows:
        yield (f'| {row["prediction"]} | {row["pixel_acc"]:.1f} | {row["mean_iu"]:.1f} | '
               f'{row["seconds"]:.2f}{"*" * row["busy"]} |')
    if any(row['busy'] for row in rows):
        yield '\n\\* other programs kept the machine busy: do not quote.'
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
        found = predict_all_ways(net, image)
        for how, (pred, own_seconds) in found.items():
            hist = metrics.confusion(label, pred, len(valid.classes))
            hists[how] = hists.get(how, 0) + hist
            seconds.setdefault(how, []).append(own_seconds)
        if i < SHOWN:
            preds = [pred.astype(np.uint8) for pred, _ in found.values()]
            page.append((name, image, label, *preds))
    viz.draw_page(RUNS.parent / 'inference.png', page, valid.classes, [*hists])
    rows = []
    for how, hist in hists.items():
        scores = metrics.scores(hist)
        rows.append(dict(prediction=how, net=net.about['build']['name'], set=args.set,
                         images=len(valid), pixel_acc=100 * scores['pixel_acc'],
                         mean_iu=100 * scores['mean_iu'], seconds=mean(seconds[how]),
                         busy=is_busy(machine)))
    save('inference', rows, machine)
    print(*markdown_section(rows), sep='\n')


if __name__ == '__main__':
    main()
