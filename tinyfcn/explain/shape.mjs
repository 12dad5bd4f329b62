// Ops that move values without computing, as in the library's ops/shape.py.
import { emptyTensor } from './tensor.mjs'

export function crop([x], { size, offset }) {
  const y = emptyTensor(size, x.channels)
  copyBlock(x, offset, y, [0, 0], size)
  return [y, { size: x.size, offset }]
}

export function cropBackward(dy, { size, offset }) {
  const dx = emptyTensor(size, dy.channels)
  copyBlock(dy, [0, 0], dx, offset, dy.size)
  return [dx]
}

export function pad([x], { before, after, value }) {
  const end = after ?? before
  const y = emptyTensor(x.size.map((n, i) => n + before[i] + end[i]), x.channels)
  y.data.fill(value)
  copyBlock(x, [0, 0], y, before, x.size)
  return [y, { size: x.size, before }]
}

export function padBackward(dy, { size, before }) {
  return crop([dy], { size, offset: before }).slice(0, 1)
}

export function concat(xs) {
  const y = emptyTensor(xs[0].size, xs.reduce((sum, x) => sum + x.channels, 0))
  let first = 0
  for (const x of xs) {
    copyChannels(x, 0, y, first, x.channels)
    first += x.channels
  }
  return [y, xs.map(x => x.channels)]
}

export function concatBackward(dy, counts) {
  let first = 0
  return counts.map(count => {
    const dx = emptyTensor(dy.size, count)
    copyChannels(dy, first, dx, 0, count)
    first += count
    return dx
  })
}

export function channels([x], { start, stop }) {
  const y = emptyTensor(x.size, stop - start)
  copyChannels(x, start, y, 0, stop - start)
  return [y, { count: x.channels, start }]
}

export function channelsBackward(dy, { count, start }) {
  const dx = emptyTensor(dy.size, count)
  copyChannels(dy, 0, dx, start, dy.channels)
  return [dx]
}

// size rows and columns of x, from `at` on, to y, from `to` on
function copyBlock(x, at, y, to, size) {
  const length = size[1] * x.channels
  for (let i = 0; i < size[0]; i++) {
    const from = ((at[0] + i) * x.size[1] + at[1]) * x.channels
    y.data.set(x.data.subarray(from, from + length),
               ((to[0] + i) * y.size[1] + to[1]) * x.channels)
  }
}

function copyChannels(x, from, y, to, count) {
  const pixels = x.size[0] * x.size[1]
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < count; c++) {
      y.data[i * y.channels + to + c] = x.data[i * x.channels + from + c]
    }
  }
}
