// The numbers of a box that a player steps through: a patch of its input around one unit, small
// enough to read, and the kernel. A player computes everything else from them.
import { bilinearKernel, upsamplingKsize } from './interpolation.mjs'

const MOST_ROWS = 13                    // of the patch
const MOST_FACTOR = 2                   // of an upsampling
const LAYERS_OF_1X1 = 3                 // input channels that are shown if the kernel is 1×1

// -> { text, plays: [[title, { function, arrays, numbers }, step], …] } or null; the player begins
// at the step that computes this unit, or at the first
export function excerptOf(box, values, arrays, channel, unit) {
  const x = values[box.inputs[0]]
  if (box.op === 'conv2d') return ofConvolution(box, x, arrays, channel, unit)
  if (box.op === 'max_pool') return ofPooling(box, x, channel, unit)
  if (box.op === 'upsample') return ofUpsampling(box, x, channel, unit)
  if (box.op === 'conv_transpose2d') return ofTransposed(box, x, arrays, channel, unit)
  return null
}

// Three digits, as a reader sees them: what a player computes from them is exact.
const round = value => Number(value.toPrecision(3))

// Rows of numbers of one channel; zeros where the patch leaves the map.
function patchOf(x, channel, [top, left], [high, wide]) {
  const isInside = (i, j) => i >= 0 && i < x.size[0] && j >= 0 && j < x.size[1]
  return [...Array(high).keys()].map(a => [...Array(wide).keys()].map(b => {
    const [i, j] = [top + a, left + b]
    return isInside(i, j) ? round(x.data[(i * x.size[1] + j) * x.channels + channel]) : 0
  }))
}

// The plane w[first, second] of a kernel (first, second, kh, kw).
function kernelPlane(w, first, second) {
  const [, count, high, wide] = w.shape
  const start = (first * count + second) * high * wide
  return [...Array(high).keys()].map(
    i => [...w.data.subarray(start + i * wide, start + (i + 1) * wide)].map(round))
}

// One number for both axes, or null.
const same = ([a, b]) => (a === b ? a : null)

function ofConvolution(box, x, arrays, channel, unit) {
  const stride = same(box.kwargs.stride), dilation = same(box.kwargs.dilation)
  const w = arrays[`${box.name}.w`], [outputs, perGroup, ...ksize] = w.shape
  const extent = ksize.map(k => (k - 1) * dilation + 1)
  if (!stride || !dilation || Math.max(...extent) > MOST_ROWS) return null
  const outputRows = [3, 2, 1].find(n => Math.max(...extent) + (n - 1) * stride <= 9) ?? 1
  const size = extent.map(n => n + (outputRows - 1) * stride)
  const own = unit.map((n, axis) => n * stride - box.kwargs.pad[axis])      // of its own window
  const corner = outputRows > 2 ? own.map(n => n - stride) : own
  const first = Math.floor(channel / (outputs / box.kwargs.groups)) * perGroup
  const chosen = largestParts(x, w, channel, first, own, extent, dilation)
    .slice(0, Math.max(...ksize) > 1 ? 1 : LAYERS_OF_1X1)
  const planes = {
    x: chosen.map(c => patchOf(x, first + c, corner, size)),
    w: chosen.map(c => kernelPlane(w, channel, c)),
  }
  const verb = chosen.length > 1 ? 'count' : 'counts'
  const place = { 3: 'in the middle', 2: 'at the top left', 1: 'alone' }[outputRows]
  const text = `${sourceText(chosen.map(c => first + c), box.inputs[0])}, which ${verb} most here, `
    + `and the weights with which channel ${channel} reads ${chosen.length > 1 ? 'them' : 'it'}. The `
    + `output ${place} is the part of the sum above that comes from ${chosen.length} of the `
    + `${perGroup} channels, without the bias.`
  const numbers = { stride, pad: 0 }, step = outputRows > 2 ? outputRows + 1 : 0
  return { text, plays: [
    ['window by window', { function: 'convolution', arrays: planes,
                           numbers: { ...numbers, dilation } }, step],
    ...dilation === 1 ? [['as columns', { function: 'im2col', arrays: planes, numbers }, step]] : [],
  ] }
}

// Which channels of a box the grids x, or x[0], x[1], … show.
function sourceText(channels, name) {
  if (channels.length === 1) return `Channel ${channels[0]} of ${name}`
  const each = channels.map((c, n) => `${c} (below: ${n})`)
  return `Channels ${each.slice(0, -1).join(', ')} and ${each.at(-1)} of ${name}`
}

// The input channels by the size of their part of the sum, the largest first.
function largestParts(x, w, channel, first, corner, extent, dilation) {
  const [, perGroup] = w.shape
  const sizes = [...Array(perGroup).keys()].map(c => {
    const rows = patchOf(x, first + c, corner, extent), taps = kernelPlane(w, channel, c)
    return Math.abs(taps.reduce((sum, line, i) => sum + line.reduce(
      (part, tap, j) => part + tap * rows[i * dilation][j * dilation], 0), 0))
  })
  return [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a])
}

function ofPooling(box, x, channel, unit) {
  const ksize = same(box.kwargs.ksize), stride = same(box.kwargs.stride)
  if (!ksize || !stride || ksize + stride > MOST_ROWS) return null
  const own = unit.map((n, axis) => n * stride - box.kwargs.pad[axis])      // its own window
  // at the end of the map the window before it is shown with it, elsewhere the one after it
  const before = own.map((n, axis) => (n + ksize + stride > x.size[axis] ? 1 : 0))
  const corner = own.map((n, axis) => Math.max(0, n - before[axis] * stride))
  const size = corner.map((n, axis) => Math.min(ksize + stride, x.size[axis] - n))
  const step = before[0] * (size[1] > ksize ? 2 : 1) + before[1]
  const arrays = { x: [patchOf(x, channel, corner, size)] }
  return { text: `Channel ${channel} of ${box.inputs[0]} around this unit.`, plays: [
    ['windows and switches', { function: 'max_pool', arrays, numbers: { ksize, stride } }, step]] }
}

// The nearest corner at which a patch of this size lies in the map.
const cornerOf = (corner, size, patch) => corner.map(
  (n, axis) => Math.max(0, Math.min(n, size[axis] - patch[axis])))

function ofUpsampling(box, x, channel, unit) {
  const factor = same(box.kwargs.factor), ksize = same(upsamplingKsize(box.kwargs))
  if (!factor || !ksize || factor === 1) return null
  const isShown = factor <= MOST_FACTOR
  const numbers = isShown ? { stride: factor, pad: same(box.kwargs.pad) ?? 0 }
    : { stride: MOST_FACTOR, pad: 0 }
  const text = `Channel ${channel} of ${box.inputs[0]} around this unit, and the bilinear kernel `
    + (isShown ? `of this factor, ${factor}.` : `of a factor of ${MOST_FACTOR}: that of ${factor} `
      + `has ${ksize}×${ksize} weights, too many to read.`)
  const taps = bilinearKernel(isShown ? ksize : 2 * MOST_FACTOR)
  const w = [taps.map(a => taps.map(b => round(a * b)))]
  // the last of the two that this unit is made of, along each axis
  const last = unit.map((n, axis) => Math.floor((n + box.kwargs.pad[axis]) / factor))
  return transposedPlays(text, x, channel, last.map(n => n - 1), w, numbers)
}

function ofTransposed(box, x, arrays, channel, unit) {
  const stride = same(box.kwargs.stride), pad = same(box.kwargs.pad)
  const w = arrays[`${box.name}.w`], [, , high, wide] = w.shape
  if (!stride || pad === null || Math.max(high, wide) + stride > MOST_ROWS) return null
  const perGroup = w.shape[1], group = Math.floor(channel / perGroup)
  const inputs = x.channels / box.kwargs.groups
  const corner = unit.map(n => Math.floor((n + pad) / stride))
  // the input channel that is largest at this unit
  const at = cornerOf(corner, x.size, [1, 1])
  const start = (at[0] * x.size[1] + at[1]) * x.channels + group * inputs
  const sizes = [...x.data.subarray(start, start + inputs)].map(Math.abs)
  const input = group * inputs + sizes.indexOf(Math.max(...sizes))
  const text = `Channel ${input} of ${box.inputs[0]}, and its kernel for channel ${channel}: y is `
    + `one of the ${inputs} parts of this sum, without the bias.`
  const planes = [kernelPlane(w, input, channel % perGroup)]
  return transposedPlays(text, x, input, at, planes, { stride, pad })
}

function transposedPlays(text, x, channel, unit, w, numbers) {
  const size = x.size.map(n => Math.min(n, 2)), corner = cornerOf(unit, x.size, size)
  const edit = { arrays: { x: [patchOf(x, channel, corner, size)], w }, numbers }
  return { text, plays: [['each x adds x·w', { function: 'scatter', ...edit }],
                         ['zeros, then a convolution', { function: 'zero_insert', ...edit }],
                         ['as the matrix Mᵀ', { function: 'transposed_matrix', ...edit }]] }
}
