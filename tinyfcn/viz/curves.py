"""The loss and the four metrics of a training run, in per cent, over its steps."""
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import figure_suffix, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = '#22262e'
FAINT = '#9aa0aa'
METRICS = {                 # colours, and marks, that can be told apart by colour-blind readers
    'mean_iu': ('mean IU', dict(color='#0072b2', lw=2.2, marker='o')),
    'pixel_acc': ('pixel accuracy', dict(color='#d55e00', lw=1.2, marker='s')),
    'mean_acc': ('mean accuracy', dict(color='#009e73', lw=1.2, marker='^')),
    'fw_iu': ('f.w. IU', dict(color='#aa4499', lw=1.2, marker='D')),
}
FEW = 40                    # losses, which are drawn with a mark each and without a running mean

Row = Mapping[str, Any]     # a line of metrics.jsonl


class Stage(NamedTuple):
    """The rows of one stage; `begin` counts the steps of the stages before it."""
    begin: int
    rows: list[Row]


def draw_curves(path: str | PathLike[str], rows: Iterable[Row]) -> None:
    """The loss of each step and its running mean, above the four metrics.

    rows: dicts with a 'step', and with a 'loss' or with metrics, as in a run's metrics.jsonl
    If the steps begin again, another stage follows. If they go back to a later step than the first,
    the run was resumed, and replaces the rows from there on.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_curves(f'{folder}/curves.png', [dict(step=i, loss=1 / i) for i in range(1, 9)])
    """
    from matplotlib.figure import Figure
    stages = split(row for row in rows if 'step' in row)
    panels: list[Callable[[Axes, list[Stage]], None]] = []
    if _any_row_has('loss', stages):
        panels.append(_draw_losses)
    if _any_row_has('mean_iu', stages):
        panels.append(_draw_metrics)
    if not panels:
        raise ValueError(f"{path}: no row has a 'loss' or a 'mean_iu' beside its 'step'; the rows "
                         f'of a metrics.jsonl are needed')

    figure_suffix(path)                                     # raises before anything is drawn
    figure = Figure(figsize=(9, .5 + 2.7 * len(panels)), dpi=110, layout='constrained')
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for ax, draw in zip(axes, panels):
        ax.grid(color='#e6e8eb', lw=.7)
        ax.tick_params(which='both', colors=INK, length=0, labelsize=9)
        ax.spines[:].set_visible(False)
        for stage in stages[1:]:
            ax.axvline(stage.begin, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
        draw(ax, stages)
        ax.legend(loc='upper left', bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9,
                  labelcolor=INK, title='last validation' if draw is _draw_metrics else None,
                  title_fontsize=9, alignment='left')
    figure.align_ylabels()
    axes[-1].set_xlabel('step', color=INK)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    write_figure(path, figure)


def split(rows: Iterable[Row]) -> list[Stage]:
    """The rows of several stages after each other -> stages; what a resumed run replaces is gone"""
    stages: list[list[Row]] = [[]]
    for row in rows:
        stage = stages[-1]
        step = row['step']
        if stage and step < stage[-1]['step']:
            if step <= stage[0]['step']:
                stages.append([])
            else:
                stages[-1] = [earlier for earlier in stage if earlier['step'] < step]
        stages[-1].append(row)
    ends = np.cumsum([stage[-1]['step'] for stage in stages if stage])
    return [Stage(begin, stage) for begin, stage in zip([0, *ends.tolist()], stages)]


def running_mean(y: NDArray[Any]) -> NDArray[Any]:
    """Each value's mean with its neighbours, a tenth of all; nan where a value is not finite."""
    reach = len(y) // 20
    finite = np.isfinite(y)
    sums = np.concatenate([[0], np.cumsum(np.where(finite, y, 0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    low = np.clip(np.arange(len(y)) - reach, 0, len(y))
    high = np.clip(np.arange(len(y)) + reach + 1, 0, len(y))
    count = counts[high] - counts[low]
    means: NDArray[Any] = np.where(finite, (sums[high] - sums[low]) / np.maximum(count, 1), np.nan)
    return means


def _any_row_has(key: str, stages: list[Stage]) -> bool:
    return any(key in row for stage in stages for row in stage.rows)


def _column(stage: Stage, key: str) -> NDArray[np.float64]:
    """The steps, counted through all stages, at which this one has a `key`, and the values."""
    found = [(stage.begin + row['step'], row[key]) for row in stage.rows if key in row]
    return np.array(found, float).reshape(-1, 2).T          # None becomes nan


def _draw_losses(ax: 'Axes', stages: list[Stage]) -> None:
    columns = [_column(stage, 'loss') for stage in stages]
    few = max(len(steps) for steps, _ in columns) < FEW
    for i, (steps, loss) in enumerate(columns):
        first = i == 0                                      # one entry in the legend for all stages
        if few:
            ax.plot(steps, loss, color='#0072b2', lw=1.4, marker='.', label='loss' if first else '')
        else:
            ax.plot(steps, loss, color='#a9c9e2', lw=.8, label='loss' if first else '')
            ax.plot(steps, running_mean(loss), color='#0072b2', lw=1.8,
                    label='running mean' if first else '')

    losses = np.concatenate([loss for _, loss in columns])
    losses = losses[np.isfinite(losses)]
    if len(losses) and losses.max() > 10 * losses.min() > 0:
        _use_log_scale(ax, np.log10(losses.max() / losses.min()))
    ax.set_ylabel('loss', color=INK)


def _use_log_scale(ax: 'Axes', decades: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    ax.set_yscale('log')
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 3 else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f'{y:g}'))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_metrics(ax: 'Axes', stages: list[Stage]) -> None:
    for key, (name, style) in METRICS.items():
        columns = [(steps, 100 * shares) for steps, shares in
                   (_column(stage, key) for stage in stages)]
        label = _describe(name, np.concatenate([values for _, values in columns]),
                          key == 'mean_iu')
        for i, (steps, values) in enumerate(columns):
            kwargs: dict[str, Any] = dict(style, ms=5.5, mec='white', mew=.6)
            ax.plot(steps, values, **kwargs, clip_on=False, zorder=3,
                    markevery=1 + len(steps) // 25, label='' if i else label)
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, 0), min(high, 100))
    ax.set_ylabel('metrics, %', color=INK)


def _describe(name: str, values: NDArray[np.float64], with_best: bool) -> str:
    """'mean IU 50.8', and ', best 52.1' if an earlier one is better."""
    texts = [f'{value:.1f}' for value in values[-1:]]
    known = values[np.isfinite(values)]
    if with_best and known.size and f'{known.max():.1f}' not in texts:
        texts[-1] += f', best {known.max():.1f}'
    return ' '.join([name, *texts])
