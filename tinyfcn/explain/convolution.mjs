// Convolution and its transpose, as in the library's ops/conv.py. Each is the gradient of the
// other by x.
import { multiplyAdd } from './matmul.mjs'
import { emptyTensor, sumOverPixels } from './tensor.mjs'

export function convSize(size, ksize, { stride, pad, dilation }) {
  return size.map((n, i) =>
    Math.floor((n + 2 * pad[i] - dilation[i] * (ksize[i] - 1) - 1) / stride[i]) + 1)
}

export function transposedSize(size, ksize, { stride, pad, dilation, output_padding: extra }) {
  return size.map((n, i) =>
    (n - 1) * stride[i] + dilation[i] * (ksize[i] - 1) + 1 + extra[i] - 2 * pad[i])
}

// y = M(w) x + b
export function conv2d([x, w, b], kwargs) {
  const y = emptyTensor(convSize(x.size, w.shape.slice(2), kwargs), w.shape[0])
  applyMatrix(x, w, kwargs, y)
  addBias(y, b)
  return [y, { x, w, b, kwargs }]
}

export function conv2dBackward(dy, { x, w, b, kwargs }, want) {
  const dx = want[0] ? emptyTensor(x.size, x.channels) : null
  if (dx) applyTransposed(dy, w, kwargs, dx)
  const dw = want[1] ? gradientOfWeights(x, dy, w, kwargs) : null
  return [dx, dw, b && want[2] ? gradientOfBias(dy) : null]
}

// y = M(w)ᵀ x + b: w is that of the convolution whose transpose this is, (in, out/groups, kh, kw)
export function convTranspose2d([x, w, b], kwargs) {
  const size = transposedSize(x.size, w.shape.slice(2), kwargs)
  const y = emptyTensor(size, w.shape[1] * kwargs.groups)
  applyTransposed(x, w, kwargs, y)
  addBias(y, b)
  return [y, { x, w, b, kwargs }]
}

export function convTranspose2dBackward(dy, { x, w, b, kwargs }, want) {
  const dx = want[0] ? emptyTensor(x.size, x.channels) : null
  if (dx) applyMatrix(dy, w, kwargs, dx)
  const dw = want[1] ? gradientOfWeights(dy, x, w, kwargs) : null
  return [dx, dw, b && want[2] ? gradientOfBias(dy) : null]
}

function addBias(y, b) {
  if (!b) return
  for (let i = 0; i < y.data.length; i += y.channels) {
    for (let c = 0; c < y.channels; c++) y.data[i + c] += b.data[c]
  }
}

function gradientOfBias(dy) {
  return { shape: [dy.channels], data: Float32Array.from(sumOverPixels(dy)) }
}

// y += M(w) x: of each row of y its windows as rows of a matrix, times w
function applyMatrix(x, w, kwargs, y) {
  const { groups } = kwargs
  const [k, perGroup, kh, kw] = w.shape
  const taps = kh * kw * perGroup, wide = y.size[1], outputs = k / groups
  const columns = new Float64Array(wide * taps)
  for (let g = 0; g < groups; g++) {
    const weights = packWeights(w, g, groups)
    const part = new Float64Array(wide * outputs)
    for (let i = 0; i < y.size[0]; i++) {
      readWindows(x, i, g * perGroup, w.shape, kwargs, columns)
      part.fill(0)
      multiplyAdd(columns, weights, part, wide, outputs, taps)
      for (let j = 0; j < wide; j++) {
        const at = (i * wide + j) * y.channels + g * outputs
        for (let c = 0; c < outputs; c++) y.data[at + c] += part[j * outputs + c]
      }
    }
  }
}

// dx += M(w)ᵀ dy: every number of dy stamps its kernel onto dx
function applyTransposed(dy, w, kwargs, dx) {
  const { groups } = kwargs
  const [k, perGroup, kh, kw] = w.shape
  const taps = kh * kw * perGroup, wide = dy.size[1], outputs = k / groups
  const rows = new Float64Array(wide * outputs), stamps = new Float64Array(wide * taps)
  for (let g = 0; g < groups; g++) {
    const weights = transpose(packWeights(w, g, groups), outputs, taps)
    for (let i = 0; i < dy.size[0]; i++) {
      copyChannels(dy, i, g * outputs, outputs, rows)
      stamps.fill(0)
      multiplyAdd(rows, weights, stamps, wide, taps, outputs)
      addWindows(stamps, i, g * perGroup, w.shape, kwargs, dx, wide)
    }
  }
}

// dw = Σ over all positions: dy times its window of x
function gradientOfWeights(x, dy, w, kwargs) {
  const { groups } = kwargs
  const [k, perGroup, kh, kw] = w.shape
  const taps = kh * kw * perGroup, wide = dy.size[1], outputs = k / groups
  const columns = new Float64Array(wide * taps), rows = new Float64Array(wide * outputs)
  const dw = { shape: w.shape, data: new Float32Array(w.data.length) }
  for (let g = 0; g < groups; g++) {
    const sums = new Float64Array(outputs * taps)
    for (let i = 0; i < dy.size[0]; i++) {
      readWindows(x, i, g * perGroup, w.shape, kwargs, columns)
      copyChannels(dy, i, g * outputs, outputs, rows)
      multiplyAdd(transpose(rows, wide, outputs), transpose(columns, wide, taps), sums,
                  outputs, taps, wide)
    }
    unpackWeights(sums, dw, g, groups)
  }
  return dw
}

// ---- Rows and columns

// (K/groups, kh·kw·C/groups) of one group: the taps of an output in a row, channels last.
function packWeights(w, g, groups) {
  const packed = new Float64Array(w.data.length / groups)
  eachWeight(w.shape, g, groups, (from, to) => { packed[to] = w.data[from] })
  return packed
}

function unpackWeights(packed, w, g, groups) {
  eachWeight(w.shape, g, groups, (from, to) => { w.data[from] = packed[to] })
}

// The index of every weight of a group in (K, C, kh, kw), and in (K, kh, kw, C).
function eachWeight([k, channels, kh, kw], g, groups, visit) {
  const outputs = k / groups
  let to = 0
  for (let output = g * outputs; output < (g + 1) * outputs; output++) {
    for (let tap = 0; tap < kh * kw; tap++) {
      for (let c = 0; c < channels; c++) visit((output * channels + c) * kh * kw + tap, to++)
    }
  }
}

function transpose(a, rows, columns) {
  const t = new Float64Array(a.length)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) t[j * rows + i] = a[i * columns + j]
  }
  return t
}

function copyChannels({ size, channels, data }, i, first, count, rows) {
  for (let j = 0; j < size[1]; j++) {
    const at = (i * size[1] + j) * channels + first
    for (let c = 0; c < count; c++) rows[j * count + c] = data[at + c]
  }
}

// The windows of row i of the output, each in a row of `columns`; 0 outside the image.
function readWindows(x, i, first, shape, kwargs, columns) {
  const perGroup = shape[1]
  columns.fill(0)
  eachTap(x.size, i, shape, kwargs, columns.length / (shape[2] * shape[3] * perGroup),
          (pixel, tap) => {
    const at = pixel * x.channels + first
    for (let c = 0; c < perGroup; c++) columns[tap + c] = x.data[at + c]
  })
}

function addWindows(columns, i, first, shape, kwargs, x, wide) {
  const perGroup = shape[1]
  eachTap(x.size, i, shape, kwargs, wide, (pixel, tap) => {
    const at = pixel * x.channels + first
    for (let c = 0; c < perGroup; c++) x.data[at + c] += columns[tap + c]
  })
}

// visit(pixel, tap): every pixel under a tap of row i's windows; tap is an index into their columns
function eachTap([height, width], i, [, perGroup, kh, kw], { stride, pad, dilation }, wide, visit) {
  for (let u = 0; u < kh; u++) {
    const row = i * stride[0] - pad[0] + u * dilation[0]
    if (row < 0 || row >= height) continue
    for (let j = 0; j < wide; j++) {
      for (let v = 0; v < kw; v++) {
        const column = j * stride[1] - pad[1] + v * dilation[1]
        if (column < 0 || column >= width) continue
        visit(row * width + column, ((j * kh + u) * kw + v) * perGroup)
      }
    }
  }
}
