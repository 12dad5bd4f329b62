// A tensor here is one image with its channels last: { size: [h, w], channels, data }. The value of
// channel c at row i, column j is data[(i * w + j) * channels + c]. Weights are { shape, data } in
// the library's order, (K, C, kh, kw).

export function emptyTensor(size, channels, Type = Float32Array) {
  return { size, channels, data: new Type(size[0] * size[1] * channels) }
}

export function likeTensor(x, data) {
  return { size: x.size, channels: x.channels, data }
}

// y[i] = f(x[i], …) of tensors of one shape.
export function mapTensor(f, x, ...others) {
  const y = likeTensor(x, new Float32Array(x.data.length))
  const [a, b] = others.map(other => other.data)
  for (let i = 0; i < y.data.length; i++) y.data[i] = f(x.data[i], a && a[i], b && b[i])
  return y
}

export function sameShape(x, y) {
  return x.size[0] === y.size[0] && x.size[1] === y.size[1] && x.channels === y.channels
}

export function addTensors(x, y) {
  if (!sameShape(x, y)) {
    throw new Error(`${shapeText(x)} and ${shapeText(y)} cannot be added`)
  }
  return mapTensor((a, b) => a + b, x, y)
}

export function shapeText({ size, channels }) {
  return `${channels}×${size[0]}×${size[1]}`
}

// The sum of each channel over all pixels.
export function sumOverPixels(x) {
  const sums = new Float64Array(x.channels)
  for (let i = 0; i < x.data.length; i += x.channels) {
    for (let c = 0; c < x.channels; c++) sums[c] += x.data[i + c]
  }
  return sums
}
