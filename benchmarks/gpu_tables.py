"""The results of gpu.py and gpu_run.py as Markdown and as curves; nothing is measured here."""
import json

from markdown_table import table
from timing import RESULTS

# isort: split
import numpy as np

NAMES = 'tinyfcn', 'PyTorch', 'PyTorch channels_last'
METRICS = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'
TERA = 1e12
GIGA = 1e9
MEGA = 1e6
MILLI = 1e-3


def load_results(folder=RESULTS):
    """{'gpu': …, 'gpu_run': …} of those that have run on a GPU."""
    paths = {name: folder / f'{name}.json' for name in ('gpu', 'gpu_run')}
    return {name: json.loads(path.read_text('utf-8'))
            for name, path in paths.items() if path.exists()}


def markdown_section(results):
    """Lines of Markdown."""
    if 'gpu' in results:
        yield from speed_section(results['gpu'])
    if 'gpu_run' in results:
        yield from training_section(results['gpu_run'])


# ---- benchmarks/gpu.py

def speed_section(results):
    """FCN-8s beside PyTorch: whole, its memory, and op by op."""
    ceilings = results['ceilings'][0]
    products = '; '.join(f'{value / TERA:.1f} TFLOP/s, {name}' for name, value in ceilings.items()
                         if name != 'copy')
    yield '## FCN-8s on VGG-16 on a GPU, {}×{}\n'.format(*results['size'])
    yield f'{results["gpu"]}; PyTorch {results["machine"]["torch"]}, cuDNN in benchmark mode.\n'
    yield (f'The GPU reaches {ceilings["copy"] / TERA:.2f} TB/s in a copy, read and written; '
           f'{products}.\n')
    yield ('Milliseconds, medians of alternating rounds. × is the time as a multiple of '
           "tinyfcn's in the same rounds; more than 1 means that tinyfcn is faster.\n")
    compiled_rows = {row_key(row): row for row in results.get('compiled', ())}
    yield from table(
        ['precision', 'images', 'what', 'tinyfcn', 'PyTorch', 'channels_last', 'compiled'],
        [[row['precision'], row['batch'], row['what'],
          *(time_cell(row, name) for name in NAMES),
          compiled_cell(compiled_rows.get(row_key(row)))] for row in results.get('nets', ())])
    if results.get('memory'):
        yield from memory_section(results['memory'])
    if results.get('layers'):
        yield from layers_section(results['layers'], ceilings)
    yield from (f'FAILED, {part}: {error}\n' for part, error in results.get('failed', {}).items())


def row_key(row):
    return row['precision'], row['batch'], row['what']


def time_cell(row, name):
    if 'times' not in row:
        return row['failed']
    seconds, of_tinyfcn = (row['times'][each]['median'] for each in (name, 'tinyfcn'))
    ratio = '' if name == 'tinyfcn' else f' (×{seconds / of_tinyfcn:.2f})'
    return f'{seconds / MILLI:.3g}{ratio}'


def compiled_cell(row):
    """PyTorch's compiled net in the layout that was faster, and the time it took to compile."""
    if not row:
        return 'not run'
    layout = row['layout']
    cell = time_cell(row, layout)
    if 'times' in row:
        cell += f', {layout.split()[-1]}, after {row["first"][layout]:.0f} s'
    return cell


def memory_section(rows):
    """Memory of the pool, and of the whole GPU with the workspaces of libraries."""
    parts = {'used': 'used', 'held': 'of the pool', 'gpu': 'of the GPU'}

    def cell(memory):
        return ', '.join(f'{memory[part] / GIGA:.2f} {label}' for part, label in parts.items()
                         if part in memory)

    yield '**Memory**: the maximum, in GB, each in a process of its own\n'
    yield from table(['images', 'what', *NAMES],
                     [[row['batch'], row['what'], *(cell(row[name]) for name in NAMES)]
                      for row in rows])


def layers_section(rows, ceilings):
    """Each op beside PyTorch in its faster layout, and beside the floor of this GPU."""
    yield ('**Op by op**, one image, float32. The floor is the longer of two times: that of its '
           'bytes at the speed of a copy, and that of its flops at the speed of a product\n')

    def cells(row):
        seconds = row['times']['tinyfcn']['median']
        others = [name for name in row['times'] if name != 'tinyfcn']
        fastest = min(others, key=lambda name: row['times'][name]['median'])
        floor = max(row['bytes'] / ceilings['copy'], row['flops'] / ceilings['product, float32'])
        return [row['layer'], row['what'], f'{row["flops"] / GIGA:.2f}',
                f'{row["bytes"] / MEGA:.1f}', time_cell(row, 'tinyfcn'),
                f'{time_cell(row, fastest)}, {fastest.split()[-1]}', f'{floor / MILLI:.3g}',
                f'{100 * floor / seconds:.0f} %']

    yield from table(['op', 'what', 'GFLOP', 'MB', 'tinyfcn', 'PyTorch, the faster layout',
                      'floor', 'of the floor'], map(cells, rows))


# ---- benchmarks/gpu_run.py

def training_section(results):
    """A row for each stage."""
    yield '## The full run on a GPU\n\n![](results/gpu_run.png)\n'
    yield f'{results["gpu"]}. VGG-16 starts from random weights.\n'
    yield ('| part | net | steps | epochs | pixel acc | mean acc | mean IU | f.w. IU | images/s | '
           'seconds | GB |')
    yield '|' + ' --- |' * 11
    yield from map(training_line, results['rows'])
    yield ''


def training_line(row):
    scores = ' | '.join(f'{100 * (row["scores"][name] or 0):.1f}' for name in METRICS)
    return (f'| {row["part"]} | {row["stage"]} | {row["recipe"]["steps"]:,} | {row["epochs"]:.1f} '
            f'| {scores} | {row["images_per_second"]:.1f} | {row["train_seconds"]:.0f} | '
            f'{row["memory"] / GIGA:.2f} |')


def draw_losses(rows, path):
    """The losses of each part, one stage after the other."""
    from matplotlib.figure import Figure
    parts = list(dict.fromkeys(row['part'] for row in rows))
    figure = Figure(figsize=(1 + 3.2 * len(parts), 3), layout='constrained')
    for ax, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts):
        first_step = 0
        for row in (row for row in rows if row['part'] == part):
            steps = row['recipe']['steps']
            centres = (np.arange(len(row['losses'])) + .5) * steps / len(row['losses'])
            ax.plot(first_step + centres, row['losses'], label=row['stage'])
            first_step += steps
        ax.set(title=part, xlabel='step')
        ax.legend(fontsize=7)
    figure.axes[0].set(ylabel='loss')
    figure.savefig(path, dpi=120)
