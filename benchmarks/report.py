"""Write RESULTS.md and its plots from results/*.json, without measuring anything.

    python benchmarks/report.py
"""
import json
from math import prod

import accuracy
import crf
import family
import gpu_tables
import overfit
import reference
import scaling
import train_speed
import upper_bound
from markdown import table
from timing import RESULTS, is_busy

PAGE = RESULTS.parent / 'RESULTS.md'
INTRO = """# Results

tinyfcn beside PyTorch, ONNX Runtime and OpenVINO: float32, two threads each, the same weights, and
scores that agree to 1e-3 of the largest. Times are medians of rounds that alternate; × is the time
divided by tinyfcn's, so above 1 tinyfcn is faster. `make bench` measures everything again.
"""
COMPETITORS = 'tinyfcn', 'PyTorch', 'PyTorch channels_last', 'ONNX Runtime', 'OpenVINO'
REFERENCE = 'readable'          # tinyfcn by its reference implementations alone


def read_results(name):
    path = RESULTS / f'{name}.json'
    return json.loads(path.read_text('utf-8')) if path.exists() else None


def format_seconds(times, name):
    """1.234 (×1.50): a median, and its ratio to tinyfcn's."""
    if name not in times:
        return 'not run'
    own = times[name]
    ratio = own['median'] / times['tinyfcn']['median']
    mark = '*' if own['rounds'] == 1 else ''
    return f'{own["median"]:.3f}{mark}' + (f' (×{ratio:.2f})' if name != 'tinyfcn' else '')


def machine_section(machine):
    yield '## The machine\n'
    yield ', '.join(f'{key} {value}' for key, value in machine.items() if key != 'busy') + '.\n'
    if is_busy(machine):
        yield (f'**Other programs used {machine["busy"]} cores meanwhile: do not quote these '
               f'numbers.**\n')


def fcn_section(rows):
    """Whole nets."""
    yield '## Whole nets, in seconds\n\n![](results/fcn.png)\n'
    for what, title in (('forward', 'Forward'), ('step', 'One step of SGD')):
        names = (*COMPETITORS, REFERENCE) if what == 'forward' else COMPETITORS[:3]
        cells = []
        for row in rows:
            size = '{}×{}'.format(*row['size'])
            times = [format_seconds(row[what], name) for name in names]
            cells.append([row['net'], size, row['batch'], *times])
        yield f'**{title}**\n'
        yield from table(['net', 'image', 'batch', *names], cells)
    yield ('\\* a single round, for lack of time. *readable*: the reference implementations of '
           '`ops/`, without kernels.\n')


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
    names = COMPETITORS[1:3]
    nets = list(dict.fromkeys(row['net'] for row in rows))
    for what in 'forward', 'backward':
        yield (f'**{what.capitalize()}**: seconds of all layers; the geometric mean of the '
               f'ratios; layers in which tinyfcn is faster\n')
        cells = [net_row(net, [row[what] for row in rows if row['net'] == net], names)
                 for net in nets]
        yield from table(['net', 'layers', 'tinyfcn', *names, 'the faster layout'], cells)

    yield '<details><summary>Layer by layer, in milliseconds</summary>\n'
    columns = [(what, name) for what in ('forward', 'backward') for name in ('tinyfcn', *names)]
    cells = []
    for row in rows:
        milliseconds = [f'{row[what][name]["median"] * 1e3:.2f}' for what, name in columns]
        cells.append([row['net'], row['layer'], f'{row["c"]} → {row["k"]}',
                      '{}×{}'.format(*row['ksize']), '{}×{}'.format(*row['size']),
                      f'{row["flop"] / 1e9:.2f}', *milliseconds])
    yield from table(['net', 'layer', 'C → K', 'kernel', 'input', 'GFLOP',
                      *(f'{what}: {name}' for what, name in columns)], cells)
    yield '</details>\n'


def net_row(net, layers, names):
    def cell(seconds):
        ratios = [theirs / own for theirs, own in zip(seconds, ours)]
        mean = prod(ratios) ** (1 / len(ratios))
        faster = sum(ratio > 1 for ratio in ratios)
        return f'{sum(seconds):.3f}; ×{mean:.2f}; {faster} of {len(ratios)}'

    ours = [layer['tinyfcn']['median'] for layer in layers]
    columns = [[layer[name]['median'] for layer in layers] for name in names]
    columns.append([min(of_layer) for of_layer in zip(*columns)])
    return [net, len(layers), f'{sum(ours):.3f}', *map(cell, columns)]


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
    _, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    labels = [f'{row["net"]} {row["size"][0]}×{row["size"][1]} ×{row["batch"]}' for row in rows]
    for ax, what in zip(axes, ('forward', 'step')):
        names = [name for name in COMPETITORS[1:] if name in rows[0][what]]
        for i, name in enumerate(names):
            ratios = [row[what][name]['median'] / row[what]['tinyfcn']['median'] for row in rows]
            y = [at + (i + .5) / (len(names) + 1) for at in range(len(rows))]
            ax.barh(y, ratios, 1 / (len(names) + 1), label=name)
        ax.axvline(1, color='black', linewidth=1)
        ax.set(title=f'{what}: time / time of tinyfcn', yticks=[at + .4 for at in range(len(rows))],
               yticklabels=labels)
        ax.legend(fontsize=8)
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


SECTIONS = dict(fcn=fcn_section, conv=conv_section, memory=memory_section, scale=scale_section)
PLOTS = dict(fcn=plot_fcn, scale=plot_scale)
MODULES = (accuracy, family, overfit, train_speed, crf, reference, upper_bound, scaling,
           gpu_tables)


def main():
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt

    results = {name: read_results(name) for name in SECTIONS}
    results = {name: result for name, result in results.items() if result}
    if not results:
        raise SystemExit(f'nothing in {RESULTS}: run the benchmarks first (make bench)')
    page = [INTRO]
    page += machine_section(next(iter(results.values()))['machine'])
    for name, result in results.items():
        page += SECTIONS[name](result['rows'])
        if name in PLOTS:
            figure = PLOTS[name](result['rows'], plt)
            figure.savefig(RESULTS / f'{name}.png', dpi=120, bbox_inches='tight')
    for module in MODULES:
        page += module.markdown_section(module.load_results())
    PAGE.write_text('\n'.join(page), 'utf-8')
    print(PAGE.name)


if __name__ == '__main__':
    main()
