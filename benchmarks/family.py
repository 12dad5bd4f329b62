"""FCN and related nets on CamVid by one recipe, size and width: what each costs and what it scores.

    python benchmarks/family.py --data FOLDER        some forty minutes of one core

Each net is trained in its own process and writes a JSON to results/family/; existing ones are not
computed again. All start from random weights. A page of predictions goes to runs/family.png. With
--steps N, for a trial, everything goes to runs/family/, and nothing to results/.
"""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from timing import RESULTS, check_machine, is_busy, peak_memory

# isort: split
import numpy as np

from tinyfcn import metrics, viz
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.labels import VOID
from tinyfcn.data.transforms import rescale
from tinyfcn.files import open_atomic
from tinyfcn.prediction.evaluation import predict_all
from tinyfcn.prediction.tiles import first_score_offset
from tinyfcn.training import loop, recipes, run
from tinyfcn.training.validation import json_scores

RUNS = RESULTS.parent.parent / 'runs'
# images become 121×161: at stride 8 the last score is at the corner
ROWS = 121
SHOWN = 3               # images whose predictions are kept
RECIPE = dict(train=('camvid', 'train'), valid=('camvid', 'val'), batch=4, flip=True,
              preprocess=dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1)),
              lr=2e-3, lr_power=.9, steps=400, optimizer='adam', rules={}, weight_decay=0.)

# What differs from RECIPE. `width` gives each net 8 channels in its first convolution. `frame`
# pixels of mirrored image surround each image: DeconvNet's 7×7 layer needs at least 193 rows, and
# U-Net's first score is 92 pixels inside the image.
MEMBERS = {
    'fcn32s': {}, 'fcn16s': {}, 'fcn8s': {}, 'cae_fcn': dict(width=1/2),
    'deconvnet': dict(frame=36), 'segnet': {}, 'segnet_basic': {}, 'unet': dict(frame=92),
    'unet_same': {}, 'deeplab_largefov': {}, 'deeplab_aspp': {}, 'deeplab_resnet101': {},
    'pspnet': dict(loss_at={'score': 1, 'aux': .4}),
}
WIDTH = 1/8


class ResultPaths(NamedTuple):
    result: Path            # a JSON
    predictions: Path       # of a few images


def member_recipe(member, **changes):
    """-> the recipe of a member, the width of the frame of mirrored pixels around each image"""
    own = dict(MEMBERS[member])
    frame = own.pop('frame', 0)
    own['net_kwargs'] = dict(width=own.pop('width', WIDTH))
    return recipes.Recipe.from_dict({**RECIPE, **own, 'net': member, **changes}), frame


def build_member(recipe, classes):
    """The net of a recipe. Batch norm that a pretrained net would freeze is trained."""
    net = run.build_net(recipe, classes)
    net.frozen = set()
    for box in net.boxes.values():
        if 'frozen' in box.kwargs:
            box.kwargs['frozen'] = False
    return net


def load_camvid(data, split):
    """CamVid, with images of ROWS rows."""
    return map_pairs(load_dataset('camvid', data / 'camvid', split),
                     lambda image, label: rescale(image, label, ROWS / len(image)))


def add_frame(dataset, frame):
    """Each image surrounded by its mirrored pixels, whose labels are void."""
    if not frame:
        return dataset
    padding = (frame, frame)
    return map_pairs(dataset, lambda image, label: (
        np.pad(image, [padding, padding, (0, 0)], mode='symmetric'),
        np.pad(label, frame, constant_values=VOID)))


def map_pairs(dataset, function):
    """function(image, label) -> image, label, for each pair of a data set"""
    return Dataset(dataset.classes, dataset.names, lambda name: function(*dataset.read(name)),
                   dataset.files)


def predict_framed(net, dataset, frame):
    """-> label, pred of every image, predicted with its frame, which is cut off"""
    if first_score_offset(net.score.alignment):     # then `predict_all` itself adds the same frame
        frame = 0
    inner = slice(frame, -frame or None), slice(frame, -frame or None)
    for _, _, label, pred in predict_all(net, add_frame(dataset, frame)):
        yield label[inner], pred[inner]


def evaluate(net, dataset, frame):
    """-> the metrics, and the predictions of a few images"""
    hist = 0
    shown = []
    for i, (label, pred) in enumerate(predict_framed(net, dataset, frame)):
        hist = hist + metrics.confusion(label, pred, len(dataset.classes))
        if i in shown_indices(dataset):
            shown.append(pred)
    return json_scores(metrics.scores(hist)), shown


def shown_indices(dataset):
    """A few, far from each other: neighbouring frames of a film look alike."""
    return [len(dataset) * i // SHOWN for i in range(SHOWN)]


def result_paths(folder, member, steps=None):
    kept = RUNS / folder / (f'{steps} steps' if steps else '')
    results = kept if steps else RESULTS / folder
    return ResultPaths(results / f'{member}.json', kept / f'{member}.npz')


def train_member(data, member, steps=None):
    """Train and evaluate one member; write its result."""
    from tqdm import tqdm
    recipe, frame = member_recipe(member, steps=steps or RECIPE['steps'])
    dataset = load_camvid(data, 'train')
    valid = load_camvid(data, 'val')
    net = build_member(recipe, dataset.classes)
    machine = check_machine()
    rows = loop.train(net, add_frame(dataset, frame), recipe, loop.make_optimizer(recipe))
    clock = [perf_counter()]
    for _ in tqdm(rows, member, recipe.steps, disable=None):
        clock.append(perf_counter())
    peak = peak_memory()
    scores, shown = evaluate(net, valid, frame)
    parameters = sum(w.size for name, w in net.params.items() if not name.startswith('aux'))
    write_result(result_paths('family', member, steps), shown, member=member, frame=frame,
                 recipe=recipe.to_dict(), machine=machine, scores=scores,
                 step_seconds=np.median(np.diff(clock)), peak=peak, parameters=parameters)


def write_result(paths, shown, **result):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(paths.predictions, *shown)
    with open_atomic(paths.result) as file:     # last, as its existence means that all is written
        file.write(json.dumps(result, indent=1).encode())


def run_members(train, folder, data, members, steps):
    """Train the members without a result, each in its own process -> all results"""
    for member in members:
        path = result_paths(folder, member, steps).result
        if not path.exists():
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                process.submit(train, data, member, steps).result()
        yield json.loads(path.read_text('utf-8'))


# ---- Results

def load_results(folder=RESULTS / 'family'):
    """All results, in the order of the members."""
    results = [json.loads(path.read_text('utf-8')) for path in folder.glob('*.json')]
    return sorted(results, key=lambda r: [*MEMBERS].index(r['member']))


def markdown_section(results):
    """A row for each member."""
    if not results:
        return
    recipe = results[0]['recipe']
    yield '## The family of nets on CamVid, in per cent\n'
    yield (f'From random weights: {recipe["steps"]} steps of {recipe["batch"]} images, {ROWS} '
           f'pixels high, by Adam at {recipe["lr"]:g}; each net with 8 channels in its first '
           f'convolution. Evaluated on val. {results[0].get("timed", "")}\n')
    yield '| net | parameters | seconds a step | peak GB | pixel acc | mean acc | mean IU |'
    yield '|' + ' --- |' * 7
    yield from map(table_row, results)
    yield '\n\\* other programs kept the machine busy: do not quote.\n'


def busy_mark(result):
    return '*' if is_busy(result['machine']) else ''


def table_row(r):
    scores = ' | '.join(f'{100 * r["scores"][key]:.1f}'
                        for key in ('pixel_acc', 'mean_acc', 'mean_iu'))
    return (f'| {r["member"]} | {r["parameters"]:,} | {r["step_seconds"]:.2f}{busy_mark(r)} | '
            f'{r["peak"] / 1e9:.2f} | {scores} |')


def draw_predictions(dataset, folder, results, steps, path):
    """A few images, with the predictions of each member whose file of predictions exists."""
    paths = {r['member']: result_paths(folder, r['member'], steps).predictions for r in results}
    preds = {member: np.load(path) for member, path in paths.items() if path.exists()}
    rows = [(dataset.names[i], *dataset[i], *(pred[f'arr_{n}'] for pred in preds.values()))
            for n, i in enumerate(shown_indices(dataset))]
    viz.draw_page(path, rows, dataset.classes, [*preds])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--members', nargs='+', choices=MEMBERS, default=[*MEMBERS])
    parser.add_argument('--steps', type=int, help='fewer steps, for a trial')
    args = parser.parse_args()
    for r in run_members(train_member, 'family', args.data, args.members, args.steps):
        print(table_row(r), flush=True)
    results = load_results(result_paths('family', '', args.steps).result.parent)
    print('', *markdown_section(results), sep='\n')
    draw_predictions(load_camvid(args.data, 'val'), 'family', results, args.steps,
                     RUNS / 'family.png')


if __name__ == '__main__':
    main()
