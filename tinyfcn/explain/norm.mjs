// Normalisation, as in the library's ops/norm.py.
import { emptyTensor, likeTensor, mapTensor } from './tensor.mjs'

// By the running statistics, in the step back too: one image has no better ones.
export function batchNorm([x, w, b, mean, variance], { eps }) {
  const inverse = variance.data.map(v => 1 / Math.sqrt(v + eps))
  const y = emptyTensor(x.size, x.channels)
  for (let i = 0; i < y.data.length; i++) {
    const c = i % x.channels
    y.data[i] = (x.data[i] - mean.data[c]) * inverse[c] * w.data[c] + b.data[c]
  }
  return [y, { w, inverse }]
}

export function batchNormBackward(dy, { w, inverse }) {
  const dx = likeTensor(dy, new Float32Array(dy.data.length))
  for (let i = 0; i < dx.data.length; i++) {
    const c = i % dy.channels
    dx.data[i] = dy.data[i] * w.data[c] * inverse[c]
  }
  return [dx, null, null, null, null]
}

// y = x / sᵝ, s = k + α/size · Σ x² over the neighbouring channels
export function localResponseNorm([x], { size, alpha, beta, k }) {
  const squares = mapTensor(value => value * value, x)
  const sums = sumNeighbours(squares, Math.floor(size / 2), Math.floor((size - 1) / 2))
  const s = mapTensor(sum => k + alpha / size * sum, sums)
  const y = mapTensor((value, scale) => value * scale ** -beta, x, s)
  return [y, { x, y, s, size, alpha, beta }]
}

export function localResponseNormBackward(dy, { x, y, s, size, alpha, beta }) {
  const products = mapTensor((d, value, scale) => d * value / scale, dy, y, s)
  const sums = sumNeighbours(products, Math.floor((size - 1) / 2), Math.floor(size / 2))
  const direct = mapTensor((d, scale) => d * scale ** -beta, dy, s)
  return [mapTensor((d, value, sum) => d - 2 * alpha * beta / size * value * sum, direct, x, sums)]
}

function sumNeighbours(x, before, after) {
  const y = emptyTensor(x.size, x.channels)
  for (let at = 0; at < x.data.length; at += x.channels) {
    for (let c = 0; c < x.channels; c++) {
      const last = Math.min(c + after, x.channels - 1)
      let sum = 0
      for (let near = Math.max(c - before, 0); near <= last; near++) sum += x.data[at + near]
      y.data[at + c] = sum
    }
  }
  return y
}
