// Ops that are a sparse matrix along each axis: y = rows · x · columnsᵀ, as in the library's
// ops/matrix.py. A matrix is a list of its rows, each a list of [input, weight].
import { transposedSize } from './convolution.mjs'
import { poolSize } from './pooling.mjs'
import { emptyTensor } from './tensor.mjs'

function separable(x, rows, columns) {
  const y = alongRows(alongColumns(x, columns), rows)
  return [y, { size: x.size, rows, columns }]
}

export function separableBackward(dy, { size, rows, columns }) {
  return separable(dy, transposed(rows, size[0]), transposed(columns, size[1])).slice(0, 1)
}

function alongColumns(x, matrix) {
  const y = emptyTensor([x.size[0], matrix.length], x.channels)
  for (let i = 0; i < x.size[0]; i++) {
    matrix.forEach((entries, j) => {
      for (const [from, weight] of entries) {
        addPixel(x, i * x.size[1] + from, weight, y, i * matrix.length + j)
      }
    })
  }
  return y
}

function alongRows(x, matrix) {
  const y = emptyTensor([matrix.length, x.size[1]], x.channels)
  matrix.forEach((entries, i) => {
    for (const [from, weight] of entries) {
      for (let j = 0; j < x.size[1]; j++) {
        addPixel(x, from * x.size[1] + j, weight, y, i * x.size[1] + j)
      }
    }
  })
  return y
}

function addPixel(x, from, weight, y, to) {
  const { channels } = x
  for (let c = 0; c < channels; c++) {
    y.data[to * channels + c] += weight * x.data[from * channels + c]
  }
}

function transposed(matrix, width) {
  const rows = Array.from({ length: width }, () => [])
  matrix.forEach((entries, i) => entries.forEach(([j, weight]) => rows[j].push([i, weight])))
  return rows
}

// count rows; entriesOf(i) gives [input, weight] pairs, of which those inside 0 … n−1 count
function sparseRows(count, n, entriesOf) {
  return Array.from({ length: count }, (_, i) =>
    entriesOf(i).filter(([from, weight]) => from >= 0 && from < n && weight !== 0))
}

const range = count => [...Array(count).keys()]

// ---- Bilinear upsampling: Mᵀ of the bilinear kernel at stride `factor`

export function bilinearKernel(ksize) {
  const centre = (ksize - 1) / 2, slope = Math.floor((ksize + 1) / 2)
  return range(ksize).map(i => 1 - Math.abs(i - centre) / slope)
}

// The size of the kernel of an upsampling: by default 2·factor, or one less for an odd factor.
export function upsamplingKsize({ factor, ksize }) {
  return ksize ?? factor.map(f => 2 * f - f % 2)
}

export function upsample([x], { pad, ...kwargs }) {
  const { factor } = kwargs, ksize = upsamplingKsize(kwargs)
  const size = transposedSize(x.size, ksize, { stride: factor, pad, dilation: [1, 1],
                                               output_padding: [0, 0] })
  const [rows, columns] = size.map((count, axis) => {
    const kernel = bilinearKernel(ksize[axis])
    return sparseRows(count, x.size[axis], i => {
      const last = Math.floor((i + pad[axis]) / factor[axis])
      const reach = Math.ceil(ksize[axis] / factor[axis])
      const weightOf = input => kernel[i + pad[axis] - input * factor[axis]] ?? 0
      return range(reach).map(k => [last - k, weightOf(last - k)])
    })
  })
  return separable(x, rows, columns)
}

export function resize([x], { size, align_corners: alignCorners, mode }) {
  const [rows, columns] = size.map((count, axis) => {
    const n = x.size[axis]
    return sparseRows(count, n, i => {
      if (mode === 'nearest') return [[Math.floor(i * n / count + 1e-9), 1]]
      const at = alignCorners ? i * (n - 1) / Math.max(count - 1, 1)
        : Math.min(Math.max((i + .5) * (n / count) - .5, 0), n - 1)
      const before = Math.floor(at)
      return [before, before + 1].map(pixel => [pixel, 1 - Math.abs(at - pixel)])
    })
  })
  return separable(x, rows, columns)
}

// ---- Mean pooling

export function avgPool([x], kwargs) {
  const { ksize, stride, pad, dilation, count_include_pad: includePad } = kwargs
  const [rows, columns] = poolSize(x.size, kwargs).map((count, axis) => {
    const n = x.size[axis], p = pad[axis]
    const [begin, end] = includePad ? [-p, n + p] : [0, n]      // pixels that count
    return sparseRows(count, n, i => {
      const pixels = range(ksize[axis]).map(k => i * stride[axis] - p + k * dilation[axis])
      const counted = pixels.filter(pixel => pixel >= begin && pixel < end).length
      return pixels.map(pixel => [pixel, 1 / counted])
    })
  })
  return separable(x, rows, columns)
}

// bin i covers ⌊i·n/bins⌋ … ⌈(i+1)·n/bins⌉ − 1
export function avgPoolTo([x], { bins }) {
  const [rows, columns] = bins.map((count, axis) => {
    const n = x.size[axis]
    return sparseRows(count, n, i => {
      const first = Math.floor(i * n / count), end = Math.ceil((i + 1) * n / count)
      return range(end - first).map(k => [first + k, 1 / (end - first)])
    })
  })
  return separable(x, rows, columns)
}
