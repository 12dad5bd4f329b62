"""One convolution from seven loops to the peak of a core, step by step: docs/seven-loops.md.

    python benchmarks/seven_loops.py            print what each step reaches
    python benchmarks/seven_loops.py --write    … and write it into the page and its figure

All steps compute the same y from the same x and w on one thread. A step counts as 2 FLOP for each
product of the direct sum, also where it multiplies less often.
"""
import argparse
import os
from collections.abc import Callable
from functools import cache, partial
from math import prod
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

os.environ['TINYFCN_THREADS'] = '1'             # read by the benchmarks below

# isort: split
import markdown_table
from peak import measure_bandwidth, measure_flops
from timing import RESULTS, check_machine, np, save

# isort: split
from numba import njit

from tinyfcn import ops
from tinyfcn.kernels.cpu.images import image_of, pixel
from tinyfcn.kernels.cpu.simd import LANES
from tinyfcn.kernels.cpu.tile import SHAPES, choose_shape, tile
from tinyfcn.kernels.cpu.vec import LOWEST, ZERO, full, load, read, store

CHANNELS = 64
FILTERS = 64
SIZE = 128              # rows and columns of y
TINY = 8                # channels, filters, rows and columns for the loops that Python interprets
SHAPE = choose_shape(SIZE, FILTERS)             # of the tile: pixels, vectors of filters
ROUNDS = 12
MEGABYTES = 256         # far more than any cache: to measure what memory delivers
SHADES = '#c3d9ee #a3c4e3 #82add5 #6294c4 #467baf #2d6195 #164775'.split()
PAGE = Path(__file__).parents[1] / 'docs' / 'seven-loops.md'


# ---- The steps. x (N, C, H, W), w (K, C, kh, kw) -> y (N, K, OH, OW)

def seven_loops(x, w):
    images, channels, height, width = x.shape
    filters, _, kh, kw = w.shape
    y = np.zeros((images, filters, height - kh + 1, width - kw + 1), x.dtype)
    for n in range(images):
        for k in range(filters):
            for r in range(y.shape[2]):
                for o in range(y.shape[3]):
                    for c in range(channels):
                        for i in range(kh):
                            for j in range(kw):
                                y[n, k, r, o] += w[k, c, i, j] * x[n, c, r + i, o + j]
    return y


compiled_loops = njit(seven_loops)


def columns_and_product(x, w):
    columns, _ = ops.im2col(x, w.shape[2:])
    y = w.reshape(len(w), -1) @ columns
    return y.reshape(len(x), len(w), *output_size(x, w))


# The loops of the next three steps read images as (N, H, W, C) and taps as (kh, kw, C, K).

@njit
def filters_innermost(x, w, y):
    kh, kw, channels, filters = w.shape
    for n in range(y.shape[0]):
        for r in range(y.shape[1]):
            for o in range(y.shape[2]):
                for i in range(kh):
                    for j in range(kw):
                        for c in range(channels):
                            for k in range(filters):
                                y[n, r, o, k] += x[n, r + i, o + j, c] * w[i, j, c, k]


def reordered_loops(x, w):
    y = np.zeros((len(x), *output_size(x, w), len(w)), x.dtype)
    filters_innermost(x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0).copy(), y)
    return y.transpose(0, 3, 1, 2)


@njit
def four_pixels(x, w, y):
    kh, kw = w.images, w.rows
    for n in range(y.images):
        for r in range(y.rows):
            for o in range(0, y.columns, 4):
                o = min(o, y.columns - 4)
                for k in range(0, y.channels, LANES):
                    y0 = y1 = y2 = y3 = full(ZERO)
                    for i in range(kh):
                        for j in range(kw):
                            for c in range(x.channels):
                                taps = load(pixel(w, i, j, c, k), y.channels - k)
                                y0 = y0 + read(pixel(x, n, r + i, o + j, c)) * taps
                                y1 = y1 + read(pixel(x, n, r + i, o + j + 1, c)) * taps
                                y2 = y2 + read(pixel(x, n, r + i, o + j + 2, c)) * taps
                                y3 = y3 + read(pixel(x, n, r + i, o + j + 3, c)) * taps
                    store(pixel(y, n, r, o, k), y.channels - k, y0)
                    store(pixel(y, n, r, o + 1, k), y.channels - k, y1)
                    store(pixel(y, n, r, o + 2, k), y.channels - k, y2)
                    store(pixel(y, n, r, o + 3, k), y.channels - k, y3)


def sums_in_registers(x, w):
    y = np.empty((len(x), *output_size(x, w), len(w)), x.dtype)
    x = x.transpose(0, 2, 3, 1)
    w = w.transpose(2, 3, 1, 0).copy()
    four_pixels(image_of(x), image_of(w), image_of(y))
    return y.transpose(0, 3, 1, 2)


@cache
def loops_of_tiles(rows, vectors):
    """The loops around a tile of `rows` pixels and `vectors` · LANES filters."""
    @njit
    def loops(x, panel, y, offsets, bias):
        kh, kw = panel.images, panel.rows
        for n in range(y.images):
            for r in range(y.rows):
                for o in range(0, y.columns, rows):
                    o = min(o, y.columns - rows)
                    tile(rows, vectors, 0, pixel(x, n, r, o, 0), x.channels, 1, panel.address,
                         offsets, kh, kw * x.channels, pixel(y, n, r, o, 0), y.column_stride // 4,
                         bias, LOWEST, y.channels)
    return loops


def tiles(x, w, shape=SHAPE):
    filters, channels, kh, kw = w.shape
    width = shape[1] * LANES
    y = np.empty((len(x), *output_size(x, w), filters), x.dtype)
    x = x.transpose(0, 2, 3, 1)
    bias = np.zeros(width, x.dtype)
    lines = np.arange(kh)                       # a window is kh pieces of lines of x
    offsets = np.stack([lines * x[0, 0].size, lines * kw * channels * width], axis=1)
    for k in range(0, filters, width):
        panel = np.zeros((kh, kw, channels, width), x.dtype)
        panel[..., :filters - k] = w[k:k + width].transpose(2, 3, 1, 0)
        loops_of_tiles(*shape)(image_of(x), image_of(panel), image_of(y[..., k:]),
                               offsets.ctypes.data, bias.ctypes.data)
    return y.transpose(0, 3, 1, 2)


def library(x, w):
    y, _ = ops.conv2d(x, w)
    return y


def output_size(x, w):
    return x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1


class Step(NamedTuple):
    name: str
    title: str
    function: Callable[..., Any]
    is_channels_last: bool = False      # how x lies in memory
    before: str | None = None           # the step that it is compared with


STEPS = [
    Step('interpreted', 'seven loops, interpreted', seven_loops),
    Step('compiled', 'seven loops, compiled', compiled_loops, before='interpreted'),
    Step('im2col', 'im2col and BLAS', columns_and_product, before='compiled'),
    Step('order', 'filters innermost', reordered_loops, True, 'compiled'),
    Step('registers', 'four sums in registers', sums_in_registers, True, 'order'),
    Step('tile', 'the tile', tiles, True, 'registers'),
    Step('library', 'Winograd, ¼ of the products', library, True, 'tile')]


# ---- What they reach

def random_layer(channels, filters, size):
    """x (1, C, size + 2, size + 2), w (K, C, 3, 3)"""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, channels, size + 2, size + 2), dtype='float32')
    w = rng.standard_normal((filters, channels, 3, 3), dtype='float32')
    return x, w


def lay_out(x, is_channels_last):
    """The same x, of which the channels of a pixel, or all pixels of a channel, are adjacent."""
    if not is_channels_last:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def count_flop(x, w):
    """Of the direct sum: a multiplication and an addition for each product."""
    return 2 * prod(output_size(x, w)) * w.size


def measure(channels=CHANNELS, filters=FILTERS, size=SIZE, rounds=ROUNDS):
    """The least seconds of each step and of each shape of the tile; the machine's limits."""
    x, w = random_layer(channels, filters, size)
    first, *others = STEPS
    tiny = random_layer(TINY, TINY, TINY)
    calls = {first.name: partial(first.function, *tiny)}
    for step in others:
        calls[step.name] = partial(step.function, lay_out(x, step.is_channels_last), w)
    calls['columns'] = partial(ops.im2col, x, w.shape[2:])
    last = lay_out(x, True)
    shapes = {shape: partial(tiles, last, w, shape) for shape in SHAPES if shape[0] <= size}
    seconds = least_seconds(calls, rounds)
    shape_seconds = least_seconds(shapes, rounds)
    bandwidth = measure_bandwidth(MEGABYTES)
    flop = count_flop(x, w)
    return dict(
        layer=[channels, filters, size],
        peak=measure_flops() / 1e9, bandwidth=bandwidth['read'] / 1e9,
        megabytes=4e-6 * (x.size + w.size + filters * size ** 2),
        columns=seconds.pop('columns'), seconds=seconds, flop=flop,
        gflops={name: (count_flop(*tiny) if name == first.name else flop) / own / 1e9
                for name, own in seconds.items()},
        shapes=[dict(rows=rows, vectors=vectors, gflops=flop / own / 1e9)
                for (rows, vectors), own in shape_seconds.items()])


def least_seconds(calls, rounds):
    """Of each call, the least CPU time of this thread: other programs do not count."""
    seconds = {name: [] for name in calls}
    for call in calls.values():
        call()                                  # compiles it
    for _ in range(rounds):
        for name, call in calls.items():
            start = thread_time()
            call()
            seconds[name].append(thread_time() - start)
    return {name: min(own) for name, own in seconds.items()}


def memory_limits(found):
    """GFLOP/s if memory were the limit: each number moved once; two numbers for each product."""
    once = found['flop'] / found['megabytes'] * found['bandwidth'] / 1e6
    return once, 2 * found['bandwidth'] / 8


# ---- The page

def markdown_sections(found, machine):
    """{name of a section: what the page says there}"""
    channels, filters, size = found['layer']
    peak = found['peak']
    sections = {'machine': (
        f'{machine["cpu"]}, {machine["date"][:10]}: a thread makes at most **{peak:.0f} '
        f'GFLOP/s** and reads {found["bandwidth"]:.0f} GB/s from memory. The layer has {channels} '
        f'channels, {filters} filters of 3×3 and {size}×{size} outputs: '
        f'{found["flop"] / 1e9:.2f} GFLOP, which take {found["flop"] / peak / 1e6:.1f} ms at that '
        f'peak. Its x, w and y are {found["megabytes"]:.1f} MB, which take '
        f'{found["megabytes"] / found["bandwidth"]:.1f} ms to read.\n')}
    for step in STEPS:
        gflops = found['gflops'][step.name]
        text = f'**{gflops:.3g} GFLOP/s**, {format_share(gflops / peak)} of the peak'
        if step.before:
            title = next(other.title for other in STEPS if other.name == step.before)
            text += f', {format_number(gflops / found["gflops"][step.before])} times *{title}*'
        else:
            text += f'; on {TINY} channels, {TINY} filters and {TINY}×{TINY} outputs'
        sections[step.name] = text + '.\n'
    columns = found['columns']
    product = found['seconds']['im2col'] - columns
    sections['im2col'] += (
        f'Of its {found["seconds"]["im2col"] * 1e3:.0f} ms im2col takes {columns * 1e3:.0f}; the '
        f'product alone reaches {found["flop"] / product / 1e9:.0f} GFLOP/s.\n')
    rows = []
    for pixels, vectors, gflops in (row.values() for row in found['shapes']):
        sums = pixels * vectors
        reads = pixels + vectors
        rows.append([f'{pixels} × {vectors}', sums, reads, f'{sums / reads:.1f}', f'{gflops:.0f}',
                     format_share(gflops / peak)])
    sections['shapes'] = '\n'.join(markdown_table.table(
        ['pixels × vectors', 'multiply-adds of a step', 'reads of a step',
         'multiply-adds for each read', 'GFLOP/s', 'of the peak'], rows))
    return sections


def format_share(share):
    return f'{format_number(100 * share)} %'


def format_number(number):
    """Two digits, or all before the point."""
    return f'{number:.2g}' if number < 10 else f'{number:,.0f}'


def fill_in(page, sections):
    """The page with each section between `<!-- name -->` and `<!-- end -->`."""
    for name, text in sections.items():
        before, _, after = page.partition(f'<!-- {name} -->\n')
        page = f'{before}<!-- {name} -->\n{text}{after[after.index("<!-- end -->"):]}'
    return page


def draw(path, found):
    """A bar for each step, on a logarithmic axis, and the limits as lines."""
    from matplotlib.figure import Figure
    once, for_each = memory_limits(found)
    figure = Figure(figsize=(11, 4.4), dpi=110)
    ax = figure.add_axes((.215, .13, .56, .74))
    for i, step in enumerate(STEPS):
        gflops = found['gflops'][step.name]
        ax.barh(i, gflops, height=.64, color=SHADES[i], zorder=2)
        for x, text in (1.22, f'{gflops:.3g}'), (1.36, format_share(gflops / found['peak'])):
            ax.text(x, i, text, ha='right', va='center', fontsize=11,
                    transform=ax.get_yaxis_transform())
    for x, text in (1.22, 'GFLOP/s'), (1.36, 'of the peak'):
        ax.text(x, -.75, text, ha='right', va='bottom', transform=ax.get_yaxis_transform())
    for value, style, side, text in (
            (for_each, ':', 'right', 'memory, two numbers\nfor each product: {:.2g}'),
            (found['peak'], '-', 'right', 'peak of a core:\n{:.0f}'),
            (once, '--', 'left', 'memory, each\nnumber once: {:,.0f}')):
        ax.axvline(value, color='white', linewidth=4, zorder=3)
        ax.axvline(value, color='#c2410c', linestyle=style, linewidth=1.6, zorder=4)
        ax.annotate(text.format(value), (value, 1), xycoords=('data', 'axes fraction'),
                    xytext=(0, 4), textcoords='offset points', ha=side, va='bottom',
                    color='#9a3412', fontsize=10)
    ax.set_xscale('log')
    ax.set_xlim(min(found['gflops'].values()) / 3, 10 * once)
    ax.set_yticks(range(len(STEPS)), [step.title for step in STEPS], fontsize=11)
    ax.invert_yaxis()
    ax.set_xlabel('GFLOP/s on one thread; from each grid line to the next, ten times as many')
    ax.grid(axis='x', color='#d4d4d4', linewidth=.8, zorder=0)
    ax.minorticks_off()
    ax.tick_params(length=0)
    for side in 'top', 'right', 'left':
        ax.spines[side].set_visible(False)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--write', action='store_true', help='into the page and its figure')
    write = parser.parse_args().write
    machine = check_machine()
    found = measure()
    sections = markdown_sections(found, machine)
    for name, text in sections.items():
        print(f'{name}:\n{text}')
    if write:
        save('seven_loops', found, machine)
        draw(RESULTS / 'seven_loops.png', found)
        PAGE.write_text(fill_in(PAGE.read_text('utf-8'), sections), 'utf-8')


if __name__ == '__main__':
    main()
