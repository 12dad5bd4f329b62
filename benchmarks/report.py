"""Write RESULTS.md and its plots from results/*.json, without measuring anything.

    python benchmarks/report.py
"""
import json
from math import prod

import accuracy
import explain_speed
import family
import few_images
import gpu_tables
import inference
import overfit
import plan_check
import reference
import scaling
import study
import targets
import upper_bound
from markdown_table import table
from timing import MAX_BUSY, PYTORCH, QUICK, RESULTS, TRIAL, is_busy, ratio, threads_of

FOLDER = TRIAL if QUICK else RESULTS            # of what `make bench` measures
PAGE = (FOLDER if QUICK else RESULTS.parent) / 'RESULTS.md'
INTRO = """# Results

tinyfcn beside PyTorch, ONNX Runtime and OpenVINO: float32, as many threads each, the same weights,
and scores that agree to 1e-3 of the largest. Times are medians of rounds that alternate, with the
least behind a slash; × is the time divided by tinyfcn's, so above 1 tinyfcn is faster.

*Of the peak*: the least time that the machine allows for the multiply-adds of the convolutions, and
for reading and writing their arrays once, divided by the time of tinyfcn. Winograd multiplies less
often and may exceed 100 %. `make bench` measures everything up to the section on memory again;
`benchmarks/README.md` says what measures the rest.
"""
COMPETITORS = 'tinyfcn', *PYTORCH, 'ONNX Runtime', 'OpenVINO'
REFERENCE = 'readable'          # tinyfcn by its reference implementations alone


def read_results(name):
    path = FOLDER / f'{name}.json'
    return json.loads(path.read_text('utf-8')) if path.exists() else None


def format_times(times, name):
    """1.234/1.201 (×1.50): a median and the least in seconds, and the ratio of medians."""
    if name not in times:
        return 'not run'
    own = times[name]
    mark = '*' if own['rounds'] == 1 else ''
    text = f'{own["median"]:#.4g}/{own["least"]:#.4g}{mark}'
    return text + (f' (×{ratio(times, [name]):.2f})' if name != 'tinyfcn' else '')


def share(least_seconds, times):
    """What tinyfcn reaches of the machine's peak."""
    return f'{least_seconds / times["tinyfcn"]["median"]:.0%}'


def busy_mark(row):
    """Behind a row that other programs disturbed."""
    return ' †' if (row.get('busy') or 0) > MAX_BUSY else ''


def machine_section(machine):
    yield '## The machine\n'
    yield ', '.join(f'{key} {value}' for key, value in machine.items() if key != 'busy') + '.\n'
    if is_busy(machine):
        yield (f'**Other programs used {machine["busy"]} cores meanwhile: do not quote these '
               f'numbers.**\n')


def peak_section(rows):
    """What a row can reach at most."""
    yield '## The peak of the machine\n'
    yield ('Multiply-adds from registers alone, counted twice; bytes that are read, and those that '
           'a copy reads and writes, of arrays of so many megabytes together.\n')
    sizes = [size['megabytes'] for size in rows[0]['bandwidth']]
    yield from table(
        ['threads', 'GFLOP/s', *(f'GB/s at {size} MB: read, copy' for size in sizes)],
        [[row['threads'], f'{row["flops"] / 1e9:.0f}',
          *(f'{size["read"] / 1e9:.0f}, {size["copy"] / 1e9:.0f}' for size in row['bandwidth'])]
         for row in rows])


def fcn_section(rows):
    """Whole nets."""
    yield '## Whole nets, in seconds\n\n![](results/fcn.png)\n'
    for what, title in (('forward', 'Forward'), ('step', 'One step of SGD')):
        names = (*COMPETITORS, REFERENCE) if what == 'forward' else COMPETITORS[:3]
        cells = []
        for row in rows:
            if row['what'] == what:
                size = '{}×{}'.format(*row['size'])
                times = [format_times(row['times'], name) for name in names]
                cells.append([row['net'], size, row['batch'], row['threads'], *times,
                              share(row['least_seconds'], row['times']) + busy_mark(row)])
        yield f'**{title}**\n'
        yield from table(['net', 'image', 'batch', 'threads', *names, 'of the peak'], cells)
    yield ('\\* a single round. † other programs kept the machine busy: do not quote. *readable*: '
           'the reference implementations of `ops/`, without kernels.\n')


def train_speed_section(rows):
    """Images a second."""
    yield '## Training speed, in images a second\n'
    yield ('A step of four images; generated images in the sizes of the data set. *16s* is '
           'SqueezeNet’s first stage.\n')
    cells = []
    for row in rows:
        paces = [f'{row["images"] / row["times"][name]["median"]:.1f}'
                 if name in row['times'] else 'not run' for name in COMPETITORS[:3]]
        cells.append([row['recipe'], row['threads'], *paces,
                      f'×{ratio(row["times"]):.2f}{busy_mark(row)}'])
    yield from table(['recipe', 'threads', *COMPETITORS[:3], 'the faster layout'], cells)


def memory_section(rows):
    """The peak of a process."""
    yield '## Memory, the peak of a process in GB\n'
    names = [name for name in COMPETITORS if name in rows[0]]
    cells = []
    for row in rows:
        ours = row['tinyfcn']['peak']
        peaks = [f'{row[name]["peak"] / 1e9:.2f} (×{row[name]["peak"] / ours:.2f})'
                 for name in names]
        before = ' / '.join(f'{row[name]["before"] / 1e9:.2f}' for name in names)
        cells.append([row['net'], row['what'], *peaks, before])
    yield from table(['net', 'what', *names, 'of these, in use before'], cells)


def conv_section(rows):
    """By net: the geometric mean of ratios over its layers, and the sum of seconds."""
    yield '## Convolutions: all distinct layers of a net, 500×500 padded by 100\n'
    nets = list(dict.fromkeys((row['net'], row['threads']) for row in rows))
    for what in 'forward', 'backward':
        yield (f'**{what.capitalize()}**: seconds of all layers; the ratio of these sums; the '
               f'geometric mean of the ratios and the least; layers in which tinyfcn is faster\n')
        cells = [net_row(net, threads, [row for row in rows if row['net'] == net
                                        and row['threads'] == threads], what)
                 for net, threads in nets]
        yield from table(['net', 'threads', 'layers', 'tinyfcn', *PYTORCH, 'the faster layout',
                          'of the peak'], cells)

    yield '<details><summary>Layer by layer, in milliseconds</summary>\n'
    columns = [(what, name) for what in ('forward', 'backward') for name in ('tinyfcn', *PYTORCH)]
    cells = []
    for row in rows:
        milliseconds = ['{:.2f}/{:.2f}'.format(*(row[what][name][key] * 1e3
                                                 for key in ('median', 'least')))
                        for what, name in columns]
        shares = [share(row['least_seconds'][what], row[what]) for what in ('forward', 'backward')]
        cells.append([row['net'], row['layer'], row['threads'], f'{row["c"]} → {row["k"]}',
                      '{}×{}'.format(*row['ksize']), '{}×{}'.format(*row['size']),
                      f'{row["flop"] / 1e9:.2f}', *milliseconds,
                      ', '.join(shares) + busy_mark(row)])
    yield from table(['net', 'layer', 'threads', 'C → K', 'kernel', 'input', 'GFLOP',
                      *(f'{what}: {name}' for what, name in columns), 'of the peak'], cells)
    yield '</details>\n'


def net_row(net, threads, layers, what):
    def cell(seconds):
        ratios = [theirs / own for theirs, own in zip(seconds, ours)]
        mean = prod(ratios) ** (1 / len(ratios))
        faster = sum(ratio > 1 for ratio in ratios)
        return (f'{sum(seconds):.3f}; ×{sum(seconds) / sum(ours):.2f}; ×{mean:.2f}, '
                f'{min(ratios):.2f}; {faster}')

    ours = [layer[what]['tinyfcn']['median'] for layer in layers]
    columns = [[layer[what][name]['median'] for layer in layers] for name in PYTORCH]
    columns.append([min(of_layer) for of_layer in zip(*columns)])
    least = sum(layer['least_seconds'][what] for layer in layers)
    return [net, threads, len(layers), f'{sum(ours):.3f}', *map(cell, columns),
            f'{least / sum(ours):.0%}']


def scale_section(rows):
    """Exponents, and the points they were fitted to."""
    yield '## How time and memory grow\n\n![](results/scale.png)\n'
    yield ('FCN-8s, with half its channels unless they vary; the slope of log(time or memory) over '
           'log(quantity). fc6 is not in the other columns.\n')
    whats = list(rows[0]['exponents'])
    cells = []
    for row in rows:
        points = ', '.join(f'{point["quantity"]:g}' for point in row['points'])
        cells.append([row['axis'], points, *(f'{row["exponents"][what]:.2f}' for what in whats)])
    yield from table(['quantity', 'points', *(what.replace('_', ' ') for what in whats)], cells)


# ---- Plots

def plot_fcn(rows, plt):
    """The ratio of times to tinyfcn's, for each net."""
    _, axes = plt.subplots(1, 2, figsize=(14, 5))
    for ax, what in zip(axes, ('forward', 'step')):
        own = [row for row in rows if row['what'] == what]
        labels = ['{net} {size[0]}×{size[1]} ×{batch}'.format_map(row) + f', {threads_of(row)}'
                  for row in own]
        names = [name for name in COMPETITORS[1:] if name in own[0]['times']]
        for i, name in enumerate(names):
            ratios = [ratio(row['times'], [name]) for row in own]
            y = [at + (i + .5) / (len(names) + 1) for at in range(len(own))]
            ax.barh(y, ratios, 1 / (len(names) + 1), label=name)
        ax.axvline(1, color='black', linewidth=1)
        ax.set(title=f'{what}: time / time of tinyfcn', yticks=[at + .4 for at in range(len(own))],
               yticklabels=labels)
        ax.legend(fontsize=8)
    axes[0].figure.tight_layout()
    return axes[0].figure


def plot_scale(rows, plt):
    """Seconds over each quantity, both axes logarithmic."""
    _, axes = plt.subplots(1, len(rows), figsize=(3.2 * len(rows), 3.2))
    for ax, row in zip(axes, rows):
        quantity = [point['quantity'] for point in row['points']]
        for what in ('forward', 'step', 'forward_fc6', 'step_fc6'):
            ax.loglog(quantity, [point[what] for point in row['points']], 'o-', markersize=3,
                      label=f'{what.replace("_", " ")} {row["exponents"][what]:.2f}')
        ax.set(title=row['axis'])
        ax.legend(fontsize=7)
    axes[0].set_ylabel('seconds')
    return axes[0].figure


SECTIONS = dict(peak=peak_section, fcn=fcn_section, train_speed=train_speed_section,
                conv=conv_section, memory=memory_section, scale=scale_section)
PLOTS = dict(fcn=plot_fcn, scale=plot_scale)
MODULES = (accuracy, study, few_images, inference, family, overfit, reference, upper_bound,
           plan_check, scaling, explain_speed, gpu_tables)


def main():
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt

    results = {name: read_results(name) for name in SECTIONS}
    results = {name: result for name, result in results.items() if result}
    if not results:
        raise SystemExit(f'nothing in {FOLDER}: run the benchmarks first (make bench)')
    page = [INTRO]
    page += machine_section(next(iter(results.values()))['machine'])
    page += targets.markdown_section(results)
    for name, result in results.items():
        page += SECTIONS[name](result['rows'])
        if name in PLOTS:
            figure = PLOTS[name](result['rows'], plt)
            figure.savefig(FOLDER / f'{name}.png', dpi=120, bbox_inches='tight')
    for module in MODULES:
        page += module.markdown_section(module.load_results())
    PAGE.write_text('\n'.join(page), 'utf-8')
    print(*targets.markdown_section(results), PAGE, sep='\n')


if __name__ == '__main__':
    main()
