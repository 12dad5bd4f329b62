"""A run: the folder in which a training is written down, and from which it goes on.

    run.json            the commands that were given, the seed, the recipe, the machine
    metrics.jsonl       a line a step, and a line a validation
    last.safetensors    the checkpoint; best.safetensors is the one of the best mean IU so far
    curves.png          the loss and the metrics; predictions.png: a few pictures of the validation
"""
import json
from contextlib import closing
from pathlib import Path
from time import perf_counter

import numpy as np

from .. import metrics, viz, weights
from ..data.labels import by_output
from ..files import replacing
from ..models import build
from ..prediction.predict import add_confusion, predict_all, total_confusion
from ..runtime.distributed import world
from ..runtime.machine import machine
from . import checkpoint, loop as training

SHOWN = 4                       # pictures on the page
MINUTES = 10                    # between two checkpoints where validations are rare


def begin(recipe, classes, seed=0, files=None):
    """The net of a recipe, with the weights of {'': file}, or {suffix: file} for its branches."""
    n_class = len(next(iter(by_output(classes).values())))
    net = build(recipe['net'], n_class, seed=seed, **recipe['built'])
    net.about.update(classes=classes, preprocess=recipe['preprocess'])
    for suffix, file in (files or {}).items():
        arrays, about = weights.read(file)
        weights.transplant(net, {f'{box}{suffix}.{which}': array for name, array in arrays.items()
                                 for box, _, which in [name.rpartition('.')]})
        net.about['preprocess'] = resolve_preprocess(recipe['preprocess'],
                                                     about.get('preprocess'), file)
    return net


def resolve_preprocess(wanted, given, file):
    """How images are prepared, when recipe and weights both say; a mix-up would fail in silence."""
    for key in ('order', 'scale') if wanted and given else ():
        if wanted[key] != given[key]:
            raise ValueError(f'{file} was trained on images of {key} {given[key]!r}, and the '
                             f'recipe prepares them with {wanted[key]!r}: change its preprocess')
    return wanted or given


def run(folder, net, pictures, valid, recipe, seed=0, command='', resume=False):
    """Train, and write it down: yields a dict after each step, and one after each validation.

    Whoever closes this generator stops the run between two steps; its checkpoint is then written.
    Of several ranks all read the folder, and rank 0 alone writes into it.
    """
    folder, recipe = Path(folder), json.loads(json.dumps(recipe))       # tuples are lists in there
    last = folder / 'last.safetensors'
    optimizer = training.make_optimizer(recipe)
    step, best = 0, 0.
    if last.exists():
        if not resume:
            raise ValueError(f'{folder} holds a run already: --resume goes on with it, '
                             f'--run FOLDER names another')
        step, best = restore(last, net, optimizer, recipe, seed)
    step, best = world().broadcast((step, best))
    if world().rank:
        yield from train_without_writing(net, pictures, valid, recipe, optimizer, seed, step)
        return
    folder.mkdir(parents=True, exist_ok=True)
    append_run_info(folder / 'run.json', command, seed, recipe)
    history, start = truncate_log(folder / 'metrics.jsonl', step), perf_counter()

    def save(name):
        about = dict(net.about, seed=net.seed, frozen=sorted(net.frozen),
                     run=dict(step=step, best=best, recipe=recipe, seed=seed))
        checkpoint.save(folder / f'{name}.safetensors', {**net.params, **net.state},
                        optimizer.memory, about)

    saved = perf_counter()
    rows = training.train(net, pictures, recipe, optimizer, seed, step)
    with closing(rows), open(folder / 'metrics.jsonl', 'a', encoding='utf-8') as log:
        try:
            for row in rows:
                del row['names']
                step, new = row['step'], [row]
                if is_validation_step(step, recipe):
                    new.append(dict(step=step, **validate(net, valid, folder)))
                for row in new:                 # before the checkpoint, which takes later ones back
                    row['seconds'] = round(perf_counter() - start, 3)
                    log.write(json.dumps(row) + '\n')
                log.flush()
                history += new
                if len(new) > 1:
                    if (new[-1]['mean_iu'] or 0.) > best:       # None: all of it is void
                        best = new[-1]['mean_iu']
                        save('best')
                    viz.draw_curves(folder / 'curves.png', history)
                if len(new) > 1 or perf_counter() - saved > 60 * MINUTES:
                    save('last')
                    saved = perf_counter()
                yield from new
        except GeneratorExit:
            save('last')
            raise
        except OSError as error:
            raise OSError(f'{error}, at step {step}. The checkpoint before is as it was: make '
                          f'room, then --resume') from None


def is_validation_step(step, recipe):
    return step % recipe['every'] == 0 or step == recipe['steps']


def train_without_writing(net, pictures, valid, recipe, optimizer, seed, step):
    """What the ranks do that do not write: the same, but for keeping it."""
    for row in training.train(net, pictures, recipe, optimizer, seed, step):
        yield dict(row, seconds=0.)
        if is_validation_step(row['step'], recipe):
            yield dict(step=row['step'], seconds=0., **validate(net, valid))


def restore(path, net, optimizer, recipe, seed):
    """Everything as it was when the checkpoint was written. -> step, best"""
    arrays, memory, about = checkpoint.load(path)
    then = about['run']
    other = [key for key in then['recipe'].keys() | recipe.keys()
             if then['recipe'].get(key) != recipe.get(key)] + ['seed'] * (then['seed'] != seed)
    if other:
        raise ValueError(f'{path} is of a run with another {", ".join(sorted(other))}: go on with '
                         f'the same command, or begin with --run FOLDER')
    own = {**net.params, **net.state}
    if {name: w.shape for name, w in own.items()} != {name: w.shape for name, w in arrays.items()}:
        raise ValueError(f'{path}: not the weights of {recipe["net"]}; begin with --run FOLDER')
    for name, w in own.items():
        w[...] = net.bring(arrays[name])
    for kind, values in memory.items():
        optimizer.memory[kind].update({name: net.bring(value) if np.ndim(value) else value
                                   for name, value in values.items()})
    net.about['preprocess'] = about['preprocess']
    return then['step'], then['best']


def validate(net, valid, folder=None):
    """The metrics on all pictures of `valid`, and a page of the first few. -> dict for JSON"""
    hists, rows = {}, []
    for name, image, label, pred in predict_all(net, valid):
        add_confusion(hists, valid, label, pred)
        if len(rows) < SHOWN:
            rows.append((name, image, label, pred))
    hists = total_confusion(hists, valid)
    by_head = {head: as_json(metrics.scores(hist)) for head, hist in hists.items()}
    first, *others = by_head
    shown = [(name, image[..., :3], by_output(label)[first], by_output(pred)[first])
             for name, image, label, pred in rows]
    if folder:
        viz.draw_page(folder / 'predictions.png', shown, by_output(valid.classes)[first],
                      ['prediction'])
    return by_head[first] | {head: by_head[head] for head in others}


def as_json(scores):
    """nan, which JSON does not know, becomes None."""
    def known(x):
        return None if np.isnan(x) else float(x)

    return {key: [*map(known, value)] if key == 'iu' else known(value)
            for key, value in scores.items()}


def truncate_log(path, step):
    """The rows until `step`, which are all that the file then holds: later ones come anew."""
    lines = path.read_text('utf-8').splitlines() if path.exists() else []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:                              # a kill cut the last line
            break
    rows = [row for row in rows if row['step'] <= step]
    with replacing(path) as file:
        file.write(''.join(json.dumps(row) + '\n' for row in rows).encode())
    return rows


def append_run_info(path, command, seed, recipe):
    """One more command; what is the same for all stands once."""
    try:
        before = json.loads(path.read_text('utf-8'))['commands']
    except (OSError, ValueError, KeyError):             # not there, or damaged: begun anew
        before = []
    note = dict(commands=[*before, command], seed=seed, recipe=recipe, machine=machine())
    with replacing(path) as file:
        file.write(json.dumps(note, indent=1, ensure_ascii=False).encode())
