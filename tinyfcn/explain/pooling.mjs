// Max pooling and its switches, as in the library's ops/pool.py: sizes are rounded up.
import { emptyTensor } from './tensor.mjs'

export function poolSize(size, { ksize, stride, pad, ceil, dilation }) {
  return size.map((n, i) => {
    const reach = dilation[i] * (ksize[i] - 1) + 1
    if (!ceil) return Math.floor((n + 2 * pad[i] - reach) / stride[i]) + 1
    const count = Math.ceil((n + 2 * pad[i] - reach) / stride[i]) + 1
    return (count - 1) * stride[i] >= n + pad[i] ? count - 1 : count
  })
}

// Where the largest value of each window is, row · W + column; the first of equals.
export function maxSwitches([x], kwargs) {
  const y = emptyTensor(poolSize(x.size, kwargs), x.channels, Int32Array)
  const { ksize, stride, pad, dilation } = kwargs
  const [height, width] = x.size
  const largest = new Float32Array(x.channels), at = new Int32Array(x.channels)
  for (let i = 0; i < y.size[0]; i++) {
    for (let j = 0; j < y.size[1]; j++) {
      largest.fill(-Infinity)
      at.fill(-1)
      for (let u = 0; u < ksize[0]; u++) {
        const row = i * stride[0] - pad[0] + u * dilation[0]
        if (row < 0 || row >= height) continue
        for (let v = 0; v < ksize[1]; v++) {
          const column = j * stride[1] - pad[1] + v * dilation[1]
          if (column < 0 || column >= width) continue
          const pixel = row * width + column
          for (let c = 0; c < x.channels; c++) {
            const value = x.data[pixel * x.channels + c]
            if (at[c] < 0 || value > largest[c]) {
              largest[c] = value
              at[c] = pixel
            }
          }
        }
      }
      y.data.set(at, (i * y.size[1] + j) * x.channels)
    }
  }
  return [y, null]
}

// y[i, j, c] = x at switches[i, j, c]
export function take([x, switches]) {
  const y = emptyTensor(switches.size, x.channels)
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = x.data[switches.data[i] * x.channels + i % x.channels]
  }
  return [y, { switches, size: x.size }]
}

export function takeBackward(dy, { switches, size }) {
  return [scatter(dy, switches, size), null]
}

// x at switches[i, j, c] += y[i, j, c], and 0 elsewhere; `size` is that of the map that was pooled
export function unpool([y, switches], { size }) {
  return [scatter(y, switches, size), { switches }]
}

export function unpoolBackward(dx, { switches }) {
  return [take([dx, switches])[0], null]
}

function scatter(y, switches, size) {
  const x = emptyTensor(size, y.channels)
  for (let i = 0; i < y.data.length; i++) {
    x.data[switches.data[i] * y.channels + i % y.channels] += y.data[i]
  }
  return x
}

export function maxPool([x], kwargs) {
  const [switches] = maxSwitches([x], kwargs)
  const [y] = take([x, switches])
  return [y, { switches, size: x.size }]
}

export function maxPoolBackward(dy, { switches, size }) {
  return [scatter(dy, switches, size)]
}
