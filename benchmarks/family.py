"""FCN and its family on CamVid: one recipe, one size, one width; what each costs, what it reaches.

    python benchmarks/family.py --data FOLDER        some forty minutes of a core

Each member runs in a process of its own and leaves a JSON in results/family/; what is there already
is not done again. All begin with weights that nobody has taught. A page of predictions goes to
runs/family.png. --steps N tries it out, in runs/family/, and writes nothing to results/.
"""
import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from side_by_side import RESULTS, machine, peak, warn

# isort: split
import numpy as np

from tinyfcn import metrics, viz
from tinyfcn.data import load_dataset
from tinyfcn.data.dataset import Dataset
from tinyfcn.data.labels import VOID
from tinyfcn.data.transforms import rescale
from tinyfcn.files import open_atomic
from tinyfcn.prediction.multiscale import first_score_offset
from tinyfcn.prediction.predict import predict_all
from tinyfcn.training import loop, recipes, run

RUNS = RESULTS.parent.parent / 'runs'
ROWS, SHOWN = 121, 3                            # 121×161: the last score at stride 8 is the corner
HOW = dict(train=('camvid', 'train'), valid=('camvid', 'val'), batch=4, flip=True,
           preprocess=dict(order='RGB', scale=1 / 64, mean=(2., 2., 2.), std=(1, 1, 1)),
           lr=2e-3, lr_power=.9, steps=400, optimizer='adam', rules={}, weight_decay=0.)

# what differs; of each the first convolution has 8 channels. DeconvNet finds no 7×7 window below
# 193 rows, and U-Net's first score lies 92 pixels inside: so wide a frame of mirror images it gets
MEMBERS = {
    'fcn32s': {}, 'fcn16s': {}, 'fcn8s': {}, 'cae_fcn': dict(width=1/2),
    'deconvnet': dict(frame=36), 'segnet': {}, 'segnet_basic': {}, 'unet': dict(frame=92),
    'unet_same': {}, 'deeplab_largefov': {}, 'deeplab_aspp': {}, 'deeplab_resnet101': {},
    'pspnet': dict(loss_at={'score': 1, 'aux': .4}),
}


def planned(member, **changes):
    """-> the recipe of a member, and how many pixels of mirror images surround each picture"""
    own = dict(MEMBERS[member])
    frame = own.pop('frame', 0)
    own['net_kwargs'] = dict(width=own.pop('width', 1/8))
    return recipes.Recipe.from_dict({**HOW, **own, 'net': member, **changes}), frame


def begun(recipe, classes):
    """Its net. Where ImageNet has taught no batch norm that could stay as it is, it learns."""
    net = run.build_net(recipe, classes)
    net.frozen = set()
    for box in net.boxes.values():
        if 'frozen' in box.kwargs:
            box.kwargs['frozen'] = False
    return net


def opened(data, split):
    """CamVid's pictures, made smaller."""
    return changed(load_dataset('camvid', data / 'camvid', split),
                   lambda image, label: rescale(image, label, ROWS / len(image)))


def framed(pictures, frame):
    """Surrounded by their mirror images, of which no label says anything."""
    return changed(pictures, lambda image, label: (
        np.pad(image, [(frame, frame), (frame, frame), (0, 0)], mode='symmetric'),
        np.pad(label, frame, constant_values=VOID))) if frame else pictures


def changed(pictures, change):
    return Dataset(pictures.classes, pictures.names, lambda name: change(*pictures.read(name)),
                    pictures.files)


def said(net, pictures, frame):
    """-> label, pred of every picture, without its frame"""
    if first_score_offset(net.score.alignment):       # it is surrounded anyway, and by as much
        frame = 0
    inner = slice(frame, -frame or None), slice(frame, -frame or None)
    for _, _, label, pred in predict_all(net, framed(pictures, frame)):
        yield label[inner], pred[inner]


def judged(net, pictures, frame):
    """-> the metrics, and a few predictions to be shown"""
    hist, shown = 0, []
    for i, (label, pred) in enumerate(said(net, pictures, frame)):
        hist = hist + metrics.confusion(label, pred, len(pictures.classes))
        shown += [pred] * (i in chosen(pictures))
    return run.json_scores(metrics.scores(hist)), shown


def chosen(pictures):
    """The numbers of a few, far apart: neighbours in a film are alike."""
    return [len(pictures) * i // SHOWN for i in range(SHOWN)]


def where(folder, member, steps=None):
    """The paths of a result: its JSON, a few predictions."""
    kept = RUNS / folder / (f'{steps} steps' if steps else '')
    return (kept if steps else RESULTS / folder) / f'{member}.json', kept / f'{member}.npz'


def learn(data, member, steps=None):
    """One member, in a process that does nothing else; its result is written down."""
    from tqdm import tqdm
    recipe, frame = planned(member, steps=steps or HOW['steps'])
    pictures, valid = opened(data, 'train'), opened(data, 'val')
    net, found = begun(recipe, pictures.classes), warn(machine())
    rows = loop.train(net, framed(pictures, frame), recipe, loop.make_optimizer(recipe))
    clock = [perf_counter()]
    for _ in tqdm(rows, member, recipe.steps, disable=None):
        clock.append(perf_counter())
    most, (scores, shown) = peak(), judged(net, valid, frame)
    write_down(where('family', member, steps), shown, member=member, frame=frame,
               recipe=recipe.to_dict(),
               machine=found, scores=scores, step_seconds=np.median(np.diff(clock)), peak=most,
               parameters=sum(w.size for name, w in net.params.items()
                              if not name.startswith('aux')))


def write_down(paths, shown, **result):
    noted, predicted = paths
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(predicted, *shown)
    with open_atomic(noted) as file:                      # last: what is noted is done
        file.write(json.dumps(result, indent=1).encode())


def in_turn(learn, folder, data, members, steps):
    """What is not there already, each member in a process of its own. -> their results"""
    for member in members:
        noted, _ = where(folder, member, steps)
        if not noted.exists():
            with ProcessPoolExecutor(1, get_context('spawn')) as process:
                process.submit(learn, data, member, steps).result()
        yield json.loads(noted.read_text('utf-8'))


# ---- What became of it

def noted_in(folder=RESULTS / 'family'):
    """All results, in the order of the members."""
    results = [json.loads(path.read_text('utf-8')) for path in folder.glob('*.json')]
    return sorted(results, key=lambda r: [*MEMBERS].index(r['member']))


def section(results):
    """Lines of Markdown: a row for each member."""
    if not results:
        return
    how = results[0]['recipe']
    yield '## The family on CamVid, in per cent\n'
    yield (f'From nothing: {how["steps"]} steps of {how["batch"]} pictures, {ROWS} high, by Adam '
           f'at {how["lr"]:g}; each net so thin that its first convolution has 8 channels. Judged '
           f'on val. {results[0].get("timed", "")}\n')
    yield '| member | parameters | seconds a step | peak GB | pixel acc | mean acc | mean IU |'
    yield '|' + ' --- |' * 7
    yield from map(line, results)
    yield '\n\\* the machine did other work meanwhile: not to be quoted.\n'


def busy(r):
    return '*' * ((r['machine']['busy'] or 0) > .2)


def line(r):
    scores = ' | '.join(f'{100 * r["scores"][key]:.1f}'
                        for key in ('pixel_acc', 'mean_acc', 'mean_iu'))
    return (f'| {r["member"]} | {r["parameters"]:,} | {r["step_seconds"]:.2f}{busy(r)} | '
            f'{r["peak"] / 1e9:.2f} | {scores} |')


def page(pictures, folder, results, steps, path):
    """A few of the pictures that judge, and what each member made of them that was here to see."""
    paths = {r['member']: where(folder, r['member'], steps)[1] for r in results}
    preds = {member: np.load(path) for member, path in paths.items() if path.exists()}
    rows = [(pictures.names[i], *pictures[i], *(pred[f'arr_{n}'] for pred in preds.values()))
            for n, i in enumerate(chosen(pictures))]
    viz.draw_page(path, rows, pictures.classes, [*preds])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--members', nargs='+', choices=MEMBERS, default=[*MEMBERS])
    parser.add_argument('--steps', type=int, help='fewer steps, to try it out')
    args = parser.parse_args()
    for r in in_turn(learn, 'family', args.data, args.members, args.steps):
        print(line(r), flush=True)
    results = noted_in(where('family', '', args.steps)[0].parent)
    print('', *section(results), sep='\n')
    page(opened(args.data, 'val'), 'family', results, args.steps, RUNS / 'family.png')


if __name__ == '__main__':
    main()
