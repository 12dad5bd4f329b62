"""The one building block: a tile of sums that stays in registers while products pass by.

    y[i] = start + Σ over runs r, Σ over steps d:  x[i, r, d] · w[r, d]         i = 0 … rows − 1
    y[i] = max(y[i], least)                                                     0 for ReLU, or −∞

y[i] and w[r, d] are `vectors` vectors of filters, width = vectors · LANES floats; x[i, r, d] is a
number; `start` is the bias, or y as it was. The loops, as one would write them:

    for i in range(rows):                           # pixels of y
        for r in range(runs):                       # rows of taps
            for d in range(depth):                  # taps of a row, and the channels of each
                y[i] += x[xs[r] + i·x_row + d·x_step] * w[ws[r] + d·width:][:width]

In that order each product reads y, x and w and writes y: four accesses to memory for one
multiplication. Here the loop over i is innermost and *unrolled*: y[0] … y[rows − 1] are local
variables, which the compiler keeps in registers from the first product to the last. A step then
reads the vectors of w once, reads one number of x for each pixel, and makes rows · vectors
multiply-adds. With 12 pixels and 2 vectors these are 24 for 14 reads, and 27 of 32 registers are
in use, 24 by sums, 2 by vectors of w and 1 by the number of x: so a core computes at 80 to 95 % of
what its multipliers can. docs/seven-loops.md comes here step by step, and measures the shapes.

A run is a stretch of x and of w that is read without a jump. `offsets` says where each begins:
(xs[0], ws[0], xs[1], ws[1], …). With several runs, a window of an image is read where it lies,
and never copied into a column. (Georganas et al. 2020: the batch-reduce product.)
"""
from functools import cache

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import FLOAT, FLOATS, LANES, REGISTERS, SIZE, call, first_lanes, load, splat, store

ADDRESS = types.intp                            # an address is an integer to Numba

# (rows, vectors) of a tile: the share of the peak that it reaches, measured with AVX-512. Fewer
# shapes mean less to compile. Those of 32 registers also fit ARM, which was not measured.
SHAPES = {
    32: {(16, 1): .80, (8, 1): .70, (4, 1): .50, (1, 1): .20, (12, 2): .97, (8, 2): .92,
         (8, 3): .92, (6, 4): .90},
    16: {(8, 1): .75, (4, 1): .50, (1, 1): .12, (6, 2): .90},
}[REGISTERS]


@cache
def choose_shape(pixels: int, filters: int) -> tuple[int, int]:
    """(rows, vectors) of the tile that takes least for lines of so many pixels and all filters.

    The last tile of a line overlaps the one before, so a tile must not be longer than a line.
    """
    def time(shape: tuple[int, int]) -> float:
        rows, vectors = shape
        tiles = -(-pixels // rows) * -(-filters // (vectors * LANES))
        return tiles * rows * vectors / SHAPES[shape]

    return min((shape for shape in SHAPES if shape[0] <= pixels), key=time)


# All sizes are literals of one global intrinsic, so each caller holds its own unrolled copy.
@intrinsic(prefer_literal=True)
def tile(typingctx, rows, vectors, adds_to_y, x, x_row, x_step, w, offsets, runs, depth,
         y, y_row, bias, least, filters):
    """Emit a tile. x, w, offsets, y and bias are addresses, all other sizes count floats.

    adds_to_y == 1: y += Σ
    adds_to_y == 0: y = max(bias + Σ, least), of which the first `filters` are written. NaN stays.
    """
    if not all(isinstance(a, types.Literal) for a in (rows, vectors, adds_to_y)):
        return None
    shape = rows.literal_value, vectors.literal_value
    adds = bool(adds_to_y.literal_value)
    n = types.intp
    signature = types.void(rows, vectors, adds_to_y, ADDRESS, n, n, ADDRESS, ADDRESS, n, n, ADDRESS,
                           n, ADDRESS, types.float32, n)

    def emit(context, b, signature, args):
        _, _, _, x, x_row, x_step, w, offsets, runs, depth, y, y_row, bias, least, filters = args
        x, w, y, bias = (b.inttoptr(a, FLOAT.as_pointer()) for a in (x, w, y, bias))
        offsets = b.inttoptr(offsets, SIZE.as_pointer())
        start = [ir.Constant(FLOATS, None) if adds else load(b, b.gep(bias, [SIZE(LANES * v)]))
                 for v in range(shape[1])]
        sums = emit_loops(b, shape, start, (x, x_row, x_step), w, offsets, runs, depth)
        for i in range(shape[0]):
            for v in range(shape[1]):
                target = b.gep(y, [b.add(b.mul(SIZE(i), y_row), SIZE(LANES * v))])
                value = sums[i * shape[1] + v]
                if adds:
                    store(b, b.fadd(value, load(b, target)), target)
                else:
                    value = at_least(b, value, splat(b, least))
                    left = b.sub(filters, SIZE(LANES * v))
                    store(b, value, target, first_lanes(b, left))
        return context.get_dummy_value()
    return signature, emit


def at_least(b, value, least):
    """max(value, least), lane by lane; NaN stays, for it is not less than anything."""
    return b.select(b.fcmp_ordered('<', value, least), least, value)


def emit_loops(b, shape, start, x_and_strides, w, offsets, runs, depth):
    """The loop over runs, and in it the loop over steps. -> the sums, pixel by pixel

    In LLVM a variable that a loop changes is a `phi`: its value is what the block that was left
    last says, the block before the loop or the end of the loop itself.
    """
    rows, vectors = shape
    x, x_row, x_step = x_and_strides
    before = b.block
    run, step, step_end, end = (b.append_basic_block(name)
                                for name in ('run', 'step', 'step_end', 'end'))
    b.branch(run)

    b.position_at_end(run)                                          # for r in range(runs):
    r = b.phi(SIZE)
    r.add_incoming(SIZE(0), before)
    outer = [b.phi(FLOATS) for _ in range(rows * vectors)]
    for i, phi in enumerate(outer):
        phi.add_incoming(start[i % vectors], before)
    entry = b.gep(offsets, [b.mul(r, SIZE(2))])
    x_start = b.gep(x, [b.load(entry)])
    w_start = b.gep(w, [b.load(b.gep(entry, [SIZE(1)]))])
    b.branch(step)

    b.position_at_end(step)                                         #     for d in range(depth):
    changing = [b.phi(SIZE), b.phi(FLOAT.as_pointer()), b.phi(FLOAT.as_pointer()),
                *(b.phi(FLOATS) for _ in outer)]
    for phi, first in zip(changing, [SIZE(0), x_start, w_start, *outer]):
        phi.add_incoming(first, run)
    d, x_at, w_at, *sums = changing
    sums = emit_step(b, shape, x_at, x_row, w_at, sums)
    d = b.add(d, SIZE(1))
    following = [d, b.gep(x_at, [x_step]), b.gep(w_at, [SIZE(LANES * vectors)]), *sums]
    for phi, value in zip(changing, following):
        phi.add_incoming(value, step)
    b.cbranch(b.icmp_signed('<', d, depth), step, step_end)

    b.position_at_end(step_end)
    for phi, value in zip([r, *outer], [b.add(r, SIZE(1)), *sums]):
        phi.add_incoming(value, step_end)
    b.cbranch(b.icmp_signed('<', b.add(r, SIZE(1)), runs), run, end)
    b.position_at_end(end)
    return sums


def emit_step(b: ir.IRBuilder, shape, x, x_row, w, sums):
    """One number of x for each pixel times the vectors of w, added to the sums."""
    rows, vectors = shape
    filters = [load(b, b.gep(w, [SIZE(LANES * v)])) for v in range(vectors)]
    result = []
    for i in range(rows):
        pixel = splat(b, b.load(b.gep(x, [b.mul(SIZE(i), x_row)])))
        for v in range(vectors):
            addend = sums[i * vectors + v]
            result.append(call(b, f'llvm.fma.v{LANES}f32', FLOATS, pixel, filters[v], addend))
    return result
