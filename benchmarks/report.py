"""RESULTS.md and its plots, from results/*.json: nothing is measured here.

    python benchmarks/report.py
"""
import json
from math import prod
from pathlib import Path

import accuracy
import by_heart
import crf
import family
import gpu_tables
import pace
import reference
import scaling
import upper_bound
from markdown import table
from side_by_side import RESULTS

PAGE = RESULTS.parent / 'RESULTS.md'
INTRO = """# Measured

Plain NumPy beside PyTorch, ONNX Runtime and OpenVINO: float32, two threads each, the same weights,
scores that agree to 1e-3 of the largest. Times are medians of rounds that alternate; × is how many
times as long as tinyfcn a rival took, so more than 1 is a point for tinyfcn. `make bench` measures
all of it anew.
"""
RIVALS = 'tinyfcn', 'PyTorch', 'PyTorch channels_last', 'ONNX Runtime', 'OpenVINO'
BODIES = 'readable'             # tinyfcn without its stand-ins


def read(name):
    path = RESULTS / f'{name}.json'
    return json.loads(path.read_text('utf-8')) if path.exists() else None


def seconds(row, name):
    """1.234 (×1.50): a rival's time, and how many times as long as tinyfcn's that is."""
    if name not in row:
        return 'not run'
    took, ours = row[name], row['tinyfcn']['median']
    ratio = '' if name == 'tinyfcn' else f' (×{took["median"] / ours:.2f})'
    return f'{took["median"]:.3f}{"*" if took["rounds"] == 1 else ""}{ratio}'


def machine(found):
    yield '## The machine\n'
    words = dict(found)
    busy = words.pop('busy')
    yield ', '.join(f'{key} {value}' for key, value in words.items()) + '.\n'
    if busy and busy > .2:
        yield f'**Others kept {busy} cores busy meanwhile: do not quote these numbers.**\n'


def fcn(rows):
    """Whole nets."""
    yield '## Whole nets, in seconds\n\n![](results/fcn.png)\n'
    for what, title in (('forward', 'Forward'), ('step', 'One step of SGD')):
        names = (*RIVALS, BODIES) if what == 'forward' else RIVALS[:3]
        yield f'**{title}**\n'
        yield from table(['net', 'image', 'pictures', *names],
                         [[row['net'], '{}×{}'.format(*row['size']), row['batch'],
                           *(seconds(row[what], name) for name in names)] for row in rows])
    yield ('\\* one round: there was time for no other. *readable*: by the bodies of `ops/` alone, '
           'with no stand-in.\n')


def memory(rows):
    """The peak of a process."""
    yield '## Memory, the peak of a process in GB\n'
    names = [name for name in RIVALS if name in rows[0]]
    yield from table(['net', 'what', *names, 'of it held before'], [
        [row['net'], row['what'],
         *(f'{row[name]["peak"] / 1e9:.2f} (×{row[name]["peak"] / row["tinyfcn"]["peak"]:.2f})'
           for name in names),
         ' / '.join(f'{row[name]["before"] / 1e9:.2f}' for name in names)] for row in rows])


def conv(rows):
    """By net: the geometric mean of ratios over its layers, and the sum of seconds."""
    yield '## Convolutions: all distinct layers of a net, 500×500 padded by 100\n'
    names, nets = RIVALS[1:3], list(dict.fromkeys(row['net'] for row in rows))
    for what in 'forward', 'backward':
        yield f'**{what.capitalize()}**: seconds of all layers; the mean ratio of a layer; won\n'
        yield from table(['net', 'layers', 'tinyfcn', *names, 'the better one'],
                         [by_net(net, [row[what] for row in rows if row['net'] == net], names)
                          for net in nets])
    yield '<details><summary>Layer by layer, in milliseconds</summary>\n'
    yield from table(
        ['net', 'layer', 'C → K', 'window', 'image', 'GFLOP', *(f'{what}: {name}' for what in (
            'forward', 'backward') for name in ('tinyfcn', *names))],
        [[row['net'], row['layer'], f'{row["c"]} → {row["k"]}', '{}×{}'.format(*row['ksize']),
          '{}×{}'.format(*row['size']), f'{row["flop"] / 1e9:.2f}',
          *(f'{row[what][name]["median"] * 1e3:.2f}' for what in ('forward', 'backward')
            for name in ('tinyfcn', *names))] for row in rows])
    yield '</details>\n'


def by_net(net, layers, names):
    def cell(ratios, total):
        won = sum(ratio > 1 for ratio in ratios)
        mean = prod(ratios) ** (1 / len(ratios))
        return f'{total:.3f}; ×{mean:.2f}; {won} of {len(ratios)}'

    def total(name):
        return sum(layer[name]['median'] for layer in layers)

    columns = [[layer[name]['median'] for layer in layers] for name in names]
    columns.append([min(both) for both in zip(*columns)])
    ours = [layer['tinyfcn']['median'] for layer in layers]
    return [net, len(layers), f'{total("tinyfcn"):.3f}',
            *(cell([a / b for a, b in zip(theirs, ours)], sum(theirs)) for theirs in columns)]


def scale(rows):
    """Exponents, and what they were fitted to."""
    yield '## How it grows\n\n![](results/scale.png)\n'
    yield ('FCN-8s, half as wide unless channels vary; the slope of log(time or memory) over '
           'log(quantity). fc6 apart from all else.\n')
    whats = list(rows[0]['exponents'])
    yield from table(['quantity', 'points', *(what.replace('_', ' ') for what in whats)],
                     [[row['axis'], ', '.join(f'{p["quantity"]:g}' for p in row['points']),
                       *(f'{row["exponents"][what]:.2f}' for what in whats)] for row in rows])


# ---- Plots

def plot_fcn(rows, plt):
    """How many times as long the rivals took, net by net; 1 is tinyfcn."""
    _, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for ax, what in zip(axes, ('forward', 'step')):
        names = [name for name in RIVALS[1:] if name in rows[0][what]]
        for i, name in enumerate(names):
            ratios = [row[what][name]['median'] / row[what]['tinyfcn']['median'] for row in rows]
            ax.barh([at + (i + .5) / (len(names) + 1) for at in range(len(rows))], ratios,
                    1 / (len(names) + 1), label=name)
        ax.axvline(1, color='black', linewidth=1)
        ax.set(title=f'{what}: time / time of tinyfcn', yticks=[at + .4 for at in range(len(rows))],
               yticklabels=[f'{row["net"]} {row["size"][0]}×{row["size"][1]} ×{row["batch"]}'
                            for row in rows])
        ax.legend(fontsize=8)
    return axes[0].figure


def plot_scale(rows, plt):
    """Seconds over each quantity, both axes logarithmic."""
    _, axes = plt.subplots(1, len(rows), figsize=(3.2 * len(rows), 3.2))
    for ax, row in zip(axes, rows):
        quantity = [p['quantity'] for p in row['points']]
        for what in ('forward', 'step', 'forward_fc6', 'step_fc6'):
            ax.loglog(quantity, [p[what] for p in row['points']], 'o-', markersize=3,
                      label=f'{what.replace("_", " ")} {row["exponents"][what]:.2f}')
        ax.set(title=row['axis'])
        ax.legend(fontsize=7)
    axes[0].set_ylabel('seconds')
    return axes[0].figure


def main():
    import matplotlib
    matplotlib.use('agg')
    from matplotlib import pyplot as plt

    page = [INTRO]
    found = {name: read(name) for name in ('fcn', 'conv', 'memory', 'scale')}
    there = {name: result for name, result in found.items() if result}
    if not there:
        raise SystemExit(f'nothing in {RESULTS}: run the benchmarks first (make bench)')
    page += machine(next(iter(there.values()))['machine'])
    for name, result in there.items():
        page += globals()[name](result['rows'])
        plot = globals().get(f'plot_{name}')
        if plot:
            figure = plot(result['rows'], plt)
            figure.savefig(RESULTS / f'{name}.png', dpi=120, bbox_inches='tight')
    for name in (accuracy, family, by_heart, pace, crf, reference, upper_bound, scaling,
                 gpu_tables):
        page += name.section(name.noted_in())
    PAGE.write_text('\n'.join(page), 'utf-8')
    print(Path(PAGE).name)


if __name__ == '__main__':
    main()
