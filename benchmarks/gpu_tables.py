"""The logs of gpu.py and gpu_run.py as Markdown and as curves; nothing is measured here."""
from gpu_jobs import failure_lines, read_log
from markdown_table import table
from timing import RESULTS

# isort: split
import numpy as np

NAMES = 'tinyfcn', 'PyTorch', 'PyTorch channels_last'
EXACT = 'tinyfcn exact'         # the kernels that round no more than their reference
METRICS = 'pixel_acc', 'mean_acc', 'mean_iu', 'fw_iu'
TERA = 1e12
GIGA = 1e9
MEGA = 1e6
MILLI = 1e-3


def load_results(folder=RESULTS):
    """{'gpu': Log, 'gpu_run': Log} of those that have run on a GPU."""
    paths = {name: folder / f'{name}.jsonl' for name in ('gpu', 'gpu_run')}
    return {name: read_log(path) for name, path in paths.items() if path.exists()}


def markdown_section(results):
    """Lines of Markdown."""
    if 'gpu' in results:
        yield from speed_section(results['gpu'])
    if 'gpu_run' in results:
        yield from training_section(results['gpu_run'])


def rows_of(log, part):
    return [row for row in log.rows if row['part'] == part]


def first_row(log, part):
    return next(iter(rows_of(log, part)), None)


def print_report(lines, log):
    """Print the lines. -> the exit code of a script: 1 if a job failed"""
    print('\n'.join(lines), flush=True)
    return int(bool(log.failed or log.stopped))


# ---- benchmarks/gpu.py

def speed_section(log):
    """FCN-8s beside PyTorch: whole, its memory, and op by op."""
    machine = first_row(log, 'machine')
    if not machine:
        yield from failure_lines(log)
        return
    yield '## FCN-8s on VGG-16 on a GPU, {}×{}\n'.format(*machine['size'])
    yield f'{machine["gpu"]}; {describe_torch(machine)}.\n'
    if any(row.get('exact') for row in log.rows):
        yield 'Without Winograd: only kernels that round no more than their reference.\n'
    ceilings = first_row(log, 'ceilings')
    if ceilings:
        yield from ceilings_lines(ceilings)
    sections = dict(smoke=smoke_section, nets=nets_section, memory=memory_section)
    for part, section in sections.items():
        if rows_of(log, part):
            yield from section(log)
    if rows_of(log, 'layers'):
        yield from layers_section(rows_of(log, 'layers'), ceilings)
    yield from failure_lines(log)


def describe_torch(machine):
    if machine['without_torch']:
        return f'PyTorch is not measured: {machine["without_torch"]}'
    return f'PyTorch {machine["machine"]["torch"]}, cuDNN in benchmark mode'


def ceilings_lines(ceilings):
    products = '; '.join(f'{value / TERA:.1f} TFLOP/s, {name}' for name, value in ceilings.items()
                         if ', ' in name)
    yield (f'The GPU reaches {ceilings["copy"] / TERA:.2f} TB/s in a copy, read and written; '
           f'{products}.\n')


def smoke_section(log):
    yield '**Errors** of products and of one layer, ‖y − expected‖ / ‖expected‖\n'
    yield from table(['what', 'precision', 'error', 'bar', 'ms'],
                     [[row['what'], row['precision'], f'{row["error"]:.1e}' + above_bar(row),
                       f'{row["bar"]:g}', time_cell(row, 'tinyfcn') if 'times' in row else '']
                      for row in rows_of(log, 'smoke')])


def above_bar(row):
    return '' if row['ok'] else ' ABOVE ITS BAR'


def nets_section(log):
    yield ('Milliseconds, medians of alternating rounds. × is the time as a multiple of '
           "tinyfcn's in the same rounds; more than 1 means that tinyfcn is faster.\n")
    compiled_rows = {row_key(row): row for row in rows_of(log, 'compiled')}
    yield from table(
        ['precision', 'images', 'what', 'tinyfcn', 'PyTorch', 'channels_last', 'compiled',
         'host alone: tinyfcn, PyTorch', 'scores differ by'],
        [[row['precision'], row['batch'], row['what'],
          *(time_cell(row, name) for name in NAMES), compiled_cell(compiled_rows.get(row_key(row))),
          host_cell(row), difference_cell(row)]
         for row in rows_of(log, 'nets')])


def host_cell(row):
    """Until the call returns, while the GPU may still compute."""
    return ', '.join(f'{row["host"][name] / MILLI:.3g}' for name in NAMES[:2]
                     if name in row['host'])


def difference_cell(row):
    """Of the scores of a forward pass, from PyTorch's."""
    differences = row.get('differences', {}).values()
    return f'{max(differences):.1e}' if differences else ''


def row_key(row):
    return row['precision'], row['batch'], row['what']


def time_cell(row, name):
    if name not in row['times']:
        return row.get('missing', {}).get(name, 'not run')
    seconds, of_tinyfcn = (row['times'][each]['median'] for each in (name, 'tinyfcn'))
    ratio = '' if name == 'tinyfcn' else f' (×{seconds / of_tinyfcn:.2f})'
    return f'{seconds / MILLI:.3g}{ratio}'


def compiled_cell(row):
    """PyTorch's compiled net in the layout that was faster, and the time it took to compile."""
    if not row:
        return 'not run'
    layout = row['layout']
    return (f'{time_cell(row, layout)}, {layout.split()[-1]}, after {row["first"][layout]:.0f} s')


def memory_section(log):
    """The memory of each program's pool."""
    labels = {'used': 'used', 'held': 'held'}
    cells = {}
    for row in rows_of(log, 'memory'):
        cells.setdefault((row['batch'], row['what']), {})[row['program']] = ', '.join(
            f'{row["memory"][key] / GIGA:.2f} {label}' for key, label in labels.items()
            if key in row['memory'])
    yield '**Memory**: the maximum in use and held by the pool, in GB\n'
    yield from table(['images', 'what', *NAMES],
                     [[*key, *(of_key.get(name, 'not run') for name in NAMES)]
                      for key, of_key in cells.items()])


def layers_section(rows, ceilings):
    """Each op beside PyTorch in its faster layout, and beside the floor of this GPU."""
    yield ('**Op by op**, one image, float32. The floor is the longer of two times: that of its '
           'bytes at the speed of a copy, and that of its flops at the speed of a product\n')

    def cells(row):
        return [row['layer'], row['what'], f'{row["flops"] / GIGA:.2f}',
                f'{row["bytes"] / MEGA:.1f}', time_cell(row, 'tinyfcn'), time_cell(row, EXACT),
                fastest_cell(row), *floor_cells(row, ceilings)]

    yield from table(['op', 'what', 'GFLOP', 'MB', 'tinyfcn', 'without Winograd',
                      'PyTorch, the faster layout', 'floor', 'of the floor'], map(cells, rows))


def fastest_cell(row):
    others = [name for name in row['times'] if name in NAMES[1:]]
    if not others:
        return 'not run'
    fastest = min(others, key=lambda name: row['times'][name]['median'])
    return f'{time_cell(row, fastest)}, {fastest.split()[-1]}'


def floor_cells(row, ceilings):
    if not ceilings:
        return '', ''
    seconds = row['times']['tinyfcn']['median']
    floor = max(row['bytes'] / ceilings['copy'], row['flops'] / ceilings['product, float32'])
    return f'{floor / MILLI:.3g}', f'{100 * floor / seconds:.0f} %'


# ---- benchmarks/gpu_run.py

def training_section(log):
    """A row for each stage."""
    machine = first_row(log, 'machine')
    stages = rows_of(log, 'stage')
    if machine:
        yield '## The full run on a GPU\n'
        if stages:
            yield '![](results/gpu_run.png)\n'
        yield f'{machine["gpu"]}. VGG-16 starts from random weights.\n'
    if stages:
        yield from table(
            ['part', 'net', 'steps', 'epochs', 'pixel acc', 'mean acc', 'mean IU', 'f.w. IU',
             'images/s', 'seconds', 'GB'], map(training_cells, stages))
    yield from failure_lines(log)


def training_cells(row):
    scores = [f'{100 * (row["scores"][name] or 0):.1f}' for name in METRICS]
    steps = f'{row["steps"]:,}' + (' STOPPED' if row['steps'] < row['recipe']['steps'] else '')
    return [row['name'], row['stage'], steps, f'{row["epochs"]:.1f}', *scores,
            f'{row["images_per_second"]:.1f}', f'{row["train_seconds"]:.0f}',
            f'{row["memory"] / GIGA:.2f}']


def draw_losses(rows, path):
    """The losses of each part, one stage after the other."""
    from matplotlib.figure import Figure
    names = list(dict.fromkeys(row['name'] for row in rows))
    figure = Figure(figsize=(1 + 3.2 * len(names), 3), layout='constrained')
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        first_step = 0
        for row in (row for row in rows if row['name'] == name):
            centres = (np.arange(len(row['losses'])) + .5) * row['steps'] / len(row['losses'])
            ax.plot(first_step + centres, row['losses'], label=row['stage'])
            first_step += row['steps']
        ax.set(title=name, xlabel='step')
        ax.legend(fontsize=7)
    figure.axes[0].set(ylabel='loss')
    figure.savefig(path, dpi=120)
