"""How a training goes: its loss, and the four metrics, over the steps."""
from pathlib import Path

import numpy as np

from ..files import replacing

INK, FAINT = '#22262e', '#9aa0aa'
METRICS = {                 # in colours, and with marks, that colour-blind eyes tell apart
    'mean_iu': ('mean IU', dict(color='#0072b2', lw=2.2, marker='o')),
    'pixel_acc': ('pixel accuracy', dict(color='#d55e00', lw=1.2, marker='s')),
    'mean_acc': ('mean accuracy', dict(color='#009e73', lw=1.2, marker='^')),
    'fw_iu': ('f.w. IU', dict(color='#aa4499', lw=1.2, marker='D')),
}


def draw_curves(path, rows):
    """The loss, each and on average, above the four metrics, where they were taken.

    rows: dicts with a 'step', and with a 'loss' or with metrics
    Where steps begin again, another stage follows; where they fall back, a run was resumed, and
    what it did anew counts.
    """
    from matplotlib.figure import Figure
    stages = split(row for row in rows if 'step' in row)
    shown = [(key, draw) for key, draw in [('loss', _losses), ('mean_iu', _metrics)]
             if any(key in row for _, stage in stages for row in stage)]
    if not shown:
        raise ValueError(f"{path}: no row has a 'loss' or a 'mean_iu' beside its 'step'; the rows "
                         f'of a metrics.jsonl are needed')
    kind = Path(path).suffix[1:].lower()
    canvas = Figure(figsize=(9, .5 + 2.7 * len(shown)), dpi=110, layout='constrained')
    if kind not in (known := canvas.canvas.get_supported_filetypes()):
        raise ValueError(f'{path}: no such kind of picture is drawn; give it the ending of one of '
                         f'{", ".join(known)}')
    axes = canvas.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for ax, (_, draw) in zip(axes, shown):
        ax.grid(color='#e6e8eb', lw=.7)
        ax.tick_params(which='both', colors=INK, length=0, labelsize=9)
        ax.spines[:].set_visible(False)
        for begin, _ in stages[1:]:
            ax.axvline(begin, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
        draw(ax, stages)
        ax.legend(loc='upper left', bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9,
                  labelcolor=INK)
    canvas.align_ylabels()
    axes[-1].set_xlabel('step', color=INK)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as file:
        canvas.savefig(file, format=kind)


def split(rows):
    """-> [(the step at which a stage begins, counted through all stages, its rows)]"""
    stages = [[]]
    for row in rows:
        stage, step = stages[-1], row['step']
        if stage and step < stage[-1]['step']:
            if step <= stage[0]['step']:
                stages.append([])
            else:
                stages[-1] = [early for early in stage if early['step'] < step]
        stages[-1].append(row)
    ends = np.cumsum([stage[-1]['step'] for stage in stages if stage])
    return list(zip([0, *ends.tolist()], stages))


def smooth(y):
    """Each value's mean with its neighbours, a tenth of all; what is not finite has none."""
    reach, finite = len(y) // 20, np.isfinite(y)
    sums, counts = (np.concatenate([[0], np.cumsum(a)]) for a in (np.where(finite, y, 0), finite))
    low, high = (np.clip(np.arange(len(y)) + d, 0, len(y)) for d in (-reach, reach + 1))
    count = counts[high] - counts[low]
    return np.where(finite, (sums[high] - sums[low]) / np.maximum(count, 1), np.nan)


def _column(begin, stage, key):
    """The steps at which a stage has a value for `key`, counted through, and these values."""
    found = [(begin + row['step'], row[key]) for row in stage if key in row]
    return np.array(found, float).reshape(-1, 2).T          # None becomes nan


def _losses(ax, stages):
    columns = [_column(*stage, 'loss') for stage in stages]
    few = max(len(steps) for steps, _ in columns) < 40      # then the mean would hide nothing
    for i, (steps, loss) in enumerate(columns):
        ax.plot(steps, loss, color='#0072b2' if few else '#a9c9e2', lw=1.4 if few else .8,
                marker='.' if few else '', label='' if i else 'loss')
        if not few:
            ax.plot(steps, smooth(loss), color='#0072b2', lw=1.8, label='' if i else 'running mean')
    seen = np.concatenate([loss for _, loss in columns])
    seen = seen[np.isfinite(seen)]
    if len(seen) and seen.max() > 10 * seen.min() > 0:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
        decades = np.log10(seen.max() / seen.min())
        ax.set_yscale('log')
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:g}'))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel('loss', color=INK)


def _metrics(ax, stages):
    for key, (name, how) in METRICS.items():
        columns = [_column(*stage, key) for stage in stages]
        last = np.concatenate([values for _, values in columns])[-1:]
        for i, (steps, values) in enumerate(columns):
            ax.plot(steps, values, **how, ms=5.5, mec='white', mew=.6, clip_on=False, zorder=3,
                    markevery=1 + len(steps) // 25,
                    label='' if i else ' '.join([name, *(f'{value:.3f}' for value in last)]))
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 0), min(high, 1))
    ax.set_ylabel('metrics', color=INK)
