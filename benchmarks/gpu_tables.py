"""What the card's two benchmarks found, as Markdown and as curves; nothing is measured here."""
import json

from markdown import table
from timing import RESULTS

# isort: split
import numpy as np

NAMES = 'tinyfcn', 'PyTorch', 'PyTorch channels_last'
METRICS = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'
TERA, GIGA, MILLI = 1e12, 1e9, 1e-3


def load_results(folder=RESULTS):
    """{'gpu': …, 'gpu_run': …} of those that have run on a card."""
    paths = {name: folder / f'{name}.json' for name in ('gpu', 'gpu_run')}
    return {name: json.loads(path.read_text('utf-8'))
            for name, path in paths.items() if path.exists()}


def markdown_section(found):
    """Lines of Markdown."""
    if 'gpu' in found:
        yield from speed(found['gpu'])
    if 'gpu_run' in found:
        yield from full_run(found['gpu_run'])


# ---- benchmarks/gpu.py

def speed(found):
    """FCN-8s beside PyTorch, whole, in memory and op by op."""
    reached = found['ceilings'][0]
    yield '## FCN-8s on VGG-16 on a card, {}×{}\n'.format(*found['size'])
    yield f'{found["card"]}; PyTorch {found["machine"]["torch"]}, cuDNN choosing its ways.\n'
    yield (f'What the card reaches: {reached["copy"] / TERA:.2f} TB/s of a copy, read and written; '
           + '; '.join(f'{value / TERA:.1f} TFLOP/s, {name}' for name, value in reached.items()
                       if name != 'copy') + '.\n')
    yield ('Milliseconds, medians of rounds that alternate; × is how many times as long as tinyfcn '
           'in the same rounds, so more than 1 is a point for tinyfcn.\n')
    by_compiler = {key(row): row for row in found.get('compiled', ())}
    yield from table(
        ['precision', 'pictures', 'what', 'tinyfcn', 'PyTorch', 'channels_last', 'compiled'],
        [[row['precision'], row['batch'], row['what'],
          *(cell(row, name) for name in NAMES),
          compiled(by_compiler.get(key(row)))] for row in found.get('nets', ())])
    if found.get('memory'):
        yield from memory(found['memory'])
    if found.get('layers'):
        yield from layers(found['layers'], reached)
    yield from (f'FAILED, {part}: {why}\n' for part, why in found.get('failed', {}).items())


def key(row):
    return row['precision'], row['batch'], row['what']


def cell(row, name):
    if 'times' not in row:
        return row['failed']
    took, own = (row['times'][each]['median'] for each in (name, 'tinyfcn'))
    return f'{took / MILLI:.3g}' + f' (×{took / own:.2f})' * (name != 'tinyfcn')


def compiled(row):
    """PyTorch's compiled net in the layout that was quicker, and what compiling it took."""
    if not row:
        return 'not run'
    layout = row['layout']
    return cell(row, layout) + (f', {layout.split()[-1]}, after {row["first"][layout]:.0f} s'
                                if 'times' in row else '')


def memory(rows):
    """Of the pool, and of the card itself, libraries' workspaces and all."""
    yield '**Memory**: the most, in GB, each in a process of its own\n'
    def words(held):
        parts = {'used': 'used', 'held': 'of the pool', 'card': 'of the card'}
        return ', '.join(f'{held[part] / GIGA:.2f} {said}' for part, said in parts.items()
                         if part in held)

    yield from table(['pictures', 'what', *NAMES],
                     [[row['batch'], row['what'], *(words(row[name]) for name in NAMES)]
                      for row in rows])


def layers(rows, reached):
    """Beside the better layout of PyTorch, and beside the floor: bytes or sums of this card."""
    yield ('**Op by op**, one picture, float32; the floor is the longer of its bytes at the speed '
           'of a copy and its sums at that of a product\n')

    def line(row):
        own = row['times']['tinyfcn']['median']
        name = min((name for name in row['times'] if name != 'tinyfcn'),
                   key=lambda name: row['times'][name]['median'])
        floor = max(row['bytes'] / reached['copy'], row['sums'] / reached['product, float32'])
        return [row['layer'], row['what'], f'{row["sums"] / GIGA:.2f}', f'{row["bytes"] / 1e6:.1f}',
                cell(row, 'tinyfcn'), f'{cell(row, name)}, {name.split()[-1]}',
                f'{floor / MILLI:.3g}', f'{100 * floor / own:.0f} %']

    yield from table(['op', 'what', 'GFLOP', 'MB', 'tinyfcn', 'PyTorch, the better layout', 'floor',
                      'of the floor'], map(line, rows))


# ---- benchmarks/gpu_run.py

def full_run(found):
    """A row for each stage."""
    yield '## The full run on a card\n\n![](results/gpu_run.png)\n'
    yield f'{found["card"]}. VGG-16 begins as it was drawn, for its weights are not at hand.\n'
    yield ('| part | net | steps | epochs | pixel acc | mean acc | mean IU | f.w. IU | images/s | '
           'seconds | GB |')
    yield '|' + ' --- |' * 11
    yield from map(line, found['rows'])
    yield ''


def line(row):
    scores = ' | '.join(f'{100 * (row["scores"][name] or 0):.1f}' for name in METRICS)
    return (f'| {row["part"]} | {row["stage"]} | {row["recipe"]["steps"]:,} | {row["epochs"]:.1f} '
            f'| {scores} | {row["images_per_second"]:.1f} | {row["train_seconds"]:.0f} | '
            f'{row["memory"] / GIGA:.2f} |')


def curves(rows, path):
    """The losses of a part, one stage after the other."""
    from matplotlib.figure import Figure
    parts = list(dict.fromkeys(row['part'] for row in rows))
    figure = Figure(figsize=(1 + 3.2 * len(parts), 3), layout='constrained')
    for ax, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts):
        done = 0
        for row in (row for row in rows if row['part'] == part):
            steps = row['recipe']['steps']
            at = (np.arange(len(row['losses'])) + .5) * steps / len(row['losses'])
            ax.plot(done + at, row['losses'], label=row['stage'])
            done += steps
        ax.set(title=part, xlabel='step')
        ax.legend(fontsize=7)
    figure.axes[0].set(ylabel='loss')
    figure.savefig(path, dpi=120)
